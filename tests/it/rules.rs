//! `rules` on the stand-in, as 1.36 and as 1.20.

use serde_json::json;
use testbed::scene::report;
use testbed::{Stderr, Version, World};

use crate::Scene;

#[test]
fn as_kubectl_lists_them() {
    for version in [Version::V1_36, Version::V1_20] {
        let scene = Scene::of(version);
        scene.cluster.role("ns-1", "pods", &["get", "list"], "", &["pods"]);
        scene.cluster.role_binding("ns-1", "pods", "pods", "ns-1", "k-sa-1");
        let finished = scene.runs(&["rules"]).gives(0, &[], Stderr::Empty);
        let lines: Vec<&str> = finished.stdout.lines().collect();
        assert!(lines[0].starts_with("Resources  "), "{}", finished.transcript());
        let pods: Vec<&str> =
            lines.iter().find(|line| line.starts_with("pods ")).unwrap().split("   ").collect();
        assert_eq!((pods[0], *pods.last().unwrap()), ("pods", "[get list]"), "{}", finished.transcript());
        assert!(!scene.runs(&["rules", "-n", "default"]).stdout.contains("pods"));
        let finished = scene.runs(&["rules", "-o", "json"]).gives(0, &[], Stderr::Empty);
        let report = report(&finished);
        let pods = json!({ "group": "", "resource": "pods", "resourceNames": [], "nonResourceURLs": [], "verbs": ["get", "list"] });
        assert!(report["rules"].as_array().unwrap().contains(&pods), "{report}");
        assert_eq!((&report["namespace"], &report["incomplete"]), (&json!("ns-1"), &json!(false)));
        scene.cluster.role_binding("ns-1", "dangling", "no-such-role", "ns-1", "k-sa-1");
        scene.runs(&["rules"]).gives(0, &["[get list]"], Stderr::Has("this list may be incomplete"));
    }
}

#[test]
fn refused() {
    let scene = Scene::new();
    scene.cluster.delete("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/system:basic-user");
    scene.runs(&["rules"]).gives(10, &[], Stderr::Has("--clusterrole=system:basic-user"));
    let pod = scene.pod.without_file("token");
    pod.runs(&["rules"]).gives(12, &[], Stderr::Has("anonymous (12)"));
    pod.without_file("namespace").runs(&["rules"]).gives(31, &[], Stderr::Has("-n NAMESPACE"));
}

#[test]
fn of_a_server_that_is_gone() {
    let mut scene = Scene::new();
    scene.cluster.stop();
    scene.runs(&["rules"]).gives(21, &[], Stderr::Has("unreachable (21)"));
}
