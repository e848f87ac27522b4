//! `rules` on the stand-in, as 1.36 and as 1.20.

use serde_json::{Value, json};
use testbed::scene::report;
use testbed::{Fault, Stderr, Times, Version, World};

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

/// A fresh account has what every account has, and one binding more is named.
#[test]
fn only() {
    for version in [Version::V1_36, Version::V1_20] {
        let scene = Scene::of(version);
        let nothing = "ok (0): nothing beyond what --only names\n";
        scene.runs(&["rules", "--only"]).is(0, nothing, "");
        scene.grant("reader", &["get", "list"], "", &["pods", "secrets"]);
        scene.runs(&["rules", "--only"]).is(
            13,
            "\
get,list pods in ns-1
get,list secrets in ns-1
    the permission is granted to this identity, directly or through a group: delete the binding, or the rule in its role
    kubectl get rolebindings,clusterrolebindings -A -o wide | grep -E 'ns-1/k-sa-1( |,|$)|system:(serviceaccounts|authenticated)'
    keep the default ones (system:basic-user, system:discovery); what a role grants: kubectl describe clusterrole ROLE
excess (13): more than --only names
"
            .replace("this identity", testbed::scene::USER)
            .as_str(),
            "",
        );
        scene.runs(&["rules", "--only", "get,list po", "cannot list secrets"]).gives(
            13,
            &["get,list secrets in ns-1\n    the permission is granted"],
            Stderr::Empty,
        );
        scene.runs(&["rules", "--only", "list", "secrets"]).gives(
            13,
            &["get,list pods in ns-1\n", "\nget secrets in ns-1\n"],
            Stderr::Empty,
        );
        scene.runs(&["rules", "--only", "get,list pods", "get,list secrets in *"]).is(0, nothing, "");
        scene.runs(&["rules", "-n", "default", "--only"]).is(0, nothing, "");
        // A resource of a group is the one that the API server serves.
        scene.grant("deployer", &["patch"], "apps", &["deployments", "deployments/scale"]);
        let rest = ["get,list pods", "get,list secrets", "patch deploy"];
        scene.runs(&[&["rules", "--only"], &rest[..]].concat()).gives(
            13,
            &["patch deployments.apps/*/scale in ns-1\n    the permission is granted"],
            Stderr::Empty,
        );
        scene.runs(&[&["rules", "--only", "patch deploy/*/scale"], &rest[..]].concat()).is(0, nothing, "");
        // One that it does not serve may stand in a rule.
        scene.grant("odd", &["list"], "example.org", &["gizmos"]);
        scene.runs(&[&["rules", "--only", "patch deploy/*/scale", "list gizmos.example.org"], &rest[..]].concat()).is(
            0,
            nothing,
            "kubeknock: warning: the API server has no resource of the name in \"list gizmos.example.org\": it is compared as \
             it is typed\n",
        );
    }
}

/// In the account's namespace, and in each that a phrase names.
#[test]
fn only_in_several_namespaces() {
    let scene = Scene::with_lister();
    scene.cluster.role("default", "pods", &["list", "delete"], "", &["pods"]);
    scene.cluster.role_binding("default", "pods", "pods", "ns-1", "k-sa-1");
    scene.grant_everywhere(
        "metrics",
        json!([
            { "verbs": ["get"], "nonResourceURLs": ["/metrics"] },
            { "verbs": ["get"], "apiGroups": [""], "resources": ["nodes"] },
        ]),
    );
    scene.asked();
    let finished = scene.runs(&["rules", "--only", "list pods", "list pods in default", "-o", "json"]);
    let report = report(&finished.gives(13, &[], Stderr::Empty));
    assert_eq!(report["excess"], json!(["get /metrics", "get nodes", "delete pods in default"]), "{report}");
    assert_eq!((&report["outcome"], &report["namespace"]), (&json!("excess"), &json!("ns-1")));
    assert_eq!(scene.asked().len(), 2, "one review for each namespace, and no name to look up");
    scene.runs(&["rules", "--only", "list pods", "get /metrics", "get nodes"]).gives(
        0,
        &["ok (0)"],
        Stderr::Empty,
    );
    let elsewhere =
        scene.runs(&["rules", "-n", "default", "--only", "list,delete pods", "get nodes", "get /metrics"]);
    elsewhere.gives(0, &["ok (0)"], Stderr::Empty);
}

/// An incomplete list shows what is there, and never that nothing else is.
#[test]
fn only_of_an_incomplete_list() {
    let review = |rules: Value, more: Value| {
        let mut status = json!({ "resourceRules": rules, "nonResourceRules": [], "incomplete": false });
        status.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
        json!({ "kind": "SelfSubjectRulesReview", "apiVersion": "authorization.k8s.io/v1", "status": status })
    };
    let pods = json!([{ "verbs": ["list"], "apiGroups": [""], "resources": ["pods"] }]);
    let scene = Scene::new();
    for (rules, more, arguments, code, warning) in [
        (json!([]), json!({ "incomplete": true }), &["rules", "--only"][..], 24, "this list is incomplete"),
        (json!([]), json!({ "evaluationError": "x" }), &["rules", "--only"], 24, "some rules cannot be read"),
        (
            pods.clone(),
            json!({ "incomplete": true }),
            &["rules", "--only"],
            13,
            "warning: the API server says",
        ),
        (
            pods.clone(),
            json!({ "incomplete": true }),
            &["rules", "--only", "list pods"],
            24,
            "this list is incomplete",
        ),
        (pods, json!({ "incomplete": true }), &["rules"], 0, "warning: the API server says"),
        (json!([]), json!({}), &["rules", "--only"], 0, ""),
    ] {
        let answer = review(rules, more).to_string();
        scene.cluster.fail(Times::Next(1), Fault::raw(201, "application/json", &answer));
        let finished = scene.runs(arguments).gives(code, &[], Stderr::Any);
        assert!(finished.stderr.contains(warning), "{}", finished.transcript());
        assert_eq!(finished.stderr.is_empty(), warning.is_empty(), "{}", finished.transcript());
        assert_eq!(finished.stdout.is_empty(), code == 24, "{}", finished.transcript());
    }
}

#[test]
fn only_without_an_answer() {
    let mut scene = Scene::new();
    scene.runs(&["rules", "list pods"]).gives(
        30,
        &[],
        Stderr::Has("phrases of rules need --only, found \"list pods\""),
    );
    scene.runs(&["rules", "--only", "list"]).gives(30, &[], Stderr::Has("a resource or a path is missing"));
    scene.cluster.delete("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/system:basic-user");
    scene
        .runs(&["rules", "--only"])
        .gives(10, &[], Stderr::Has("--clusterrole=system:basic-user"))
        .has_no_stdout();
    scene.cluster.stop();
    scene
        .runs(&["rules", "--only", "list deploy"])
        .gives(21, &[], Stderr::Has("unreachable (21)"))
        .has_no_stdout();
}

/// A file names the rights, and what grants them comes of the same file.
#[test]
fn only_from_a_file() {
    let scene = Scene::new().with_file("permissions", "get,list pods\ncannot list secrets\n");
    let file = scene.pod.mount().join("permissions");
    let file = file.to_str().unwrap();
    let granted =
        scene.runs(&["grant", "-f", file]).gives(10, &["verbs: [\"get\",\"list\"]\n"], Stderr::Empty);
    for document in testbed::yaml::documents(&granted.stdout) {
        scene.cluster.apply(document);
    }
    scene.runs(&["check", "-f", file]).gives(0, &["ok (0)"], Stderr::Empty);
    scene.runs(&["rules", "--only", "-f", file]).gives(0, &["ok (0)"], Stderr::Empty);
    scene.runs(&["rules", "--only"]).gives(13, &["get,list pods in ns-1\n"], Stderr::Empty);
    scene.runs(&["rules", "-f", file]).gives(30, &[], Stderr::Has("rules takes a file with --only alone"));
}
