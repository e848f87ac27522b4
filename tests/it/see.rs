//! `whoami` and `rules` on the stand-in, as 1.36 and as 1.20.

use serde_json::{Value, json};

use crate::cluster::{Cluster, TokenSpec, Version, World};
use crate::pod::{Pod, Stderr};

fn ready(version: Version) -> (Cluster, Pod) {
    let cluster = Cluster::builder().version(version).start();
    cluster.namespace("ns-1");
    cluster.service_account("ns-1", "k-sa-1");
    let pod = Pod::of(&cluster, "ns-1", "k-sa-1");
    (cluster, pod)
}

const USER: &str = "system:serviceaccount:ns-1:k-sa-1";

fn report(stdout: &str) -> Value {
    serde_json::from_str(stdout).unwrap()
}

#[test]
fn whoami_tells_everything_that_1_36_knows() {
    let (_cluster, pod) = ready(Version::V1_36);
    let told = [
        "anonymous  system:anonymous",
        "token      system:serviceaccount:ns-1:k-sa-1",
        "groups        system:serviceaccounts, system:serviceaccounts:ns-1, system:authenticated",
        "pod-name      k-sa-1-pod",
        "node-name     node-1",
        "credential-id JTI=",
        "issuer        https://kubernetes.default.svc.cluster.local",
        "expires       in 60m",
        "warn after    in 60m",
        "allowed (0)",
    ];
    pod.runs(&["whoami"]).gives(0, &told, Stderr::Empty);
    let knock = pod.runs(&["whoami", "-ojson"]).gives(0, &[], Stderr::Empty);
    let report = report(&knock.stdout);
    assert_eq!(report["schema"], "kubeknock/v1");
    assert_eq!(report["identity"], json!({ "user": USER, "source": "server" }));
    assert_eq!(report["token"]["confirmed"], true);
    assert_eq!(report["token"]["extra"]["authentication.kubernetes.io/pod-name"], json!(["k-sa-1-pod"]));
    assert_eq!(report["anonymous"]["status"], 403);
    assert_eq!(report["claims"]["pod"], "k-sa-1-pod");
}

#[test]
fn whoami_falls_back_to_the_words_of_a_refusal_on_1_20() {
    let (_cluster, pod) = ready(Version::V1_20);
    let told = [
        "token      system:serviceaccount:ns-1:k-sa-1",
        "source        the words of a refusal",
        "allowed (0)",
    ];
    pod.runs(&["whoami"]).gives(0, &told, Stderr::Empty);
    let knock = pod.runs(&["whoami", "-ojson"]).gives(0, &[], Stderr::Empty);
    assert_eq!(report(&knock.stdout)["token"]["user"], USER);
    assert_eq!(report(&knock.stdout)["token"]["confirmed"], false);
}

#[test]
fn whoami_marks_the_claims_unconfirmed_where_nothing_is_refused_on_1_20() {
    let (cluster, pod) = ready(Version::V1_20);
    cluster.cluster_role_binding("admin", "cluster-admin", "ns-1", "k-sa-1");
    pod.runs(&["whoami"]).gives(
        0,
        &[USER, "the token's own word, unconfirmed", "allowed (0)"],
        Stderr::Empty,
    );
    let knock = pod.runs(&["whoami", "-ojson"]).gives(0, &[], Stderr::Empty);
    assert_eq!(report(&knock.stdout)["identity"], json!({ "user": USER, "source": "token" }));
}

#[test]
fn whoami_without_a_good_token() {
    let (mut cluster, pod) = ready(Version::V1_36);
    let spec = TokenSpec {
        namespace: "ns-1".into(),
        service_account: "k-sa-1".into(),
        expires_in: -60,
        ..TokenSpec::default()
    };
    let pod = pod.with_file("token", &cluster.token_with(&spec));
    pod.runs(&["whoami"]).gives(
        11,
        &["not accepted (401)", "expired 60s ago", "unauthenticated (11)"],
        Stderr::Empty,
    );
    let pod = pod.with_file("token", "");
    pod.runs(&["whoami"]).gives(12, &["system:anonymous", "anonymous (12)", "automount"], Stderr::Empty);
    cluster.anonymous_auth(false);
    pod.runs(&["whoami"]).gives(12, &["anonymous (12)"], Stderr::Empty);
    cluster.anonymous_auth(true);
    cluster.strip_tokens(true);
    let pod = Pod::of(&cluster, "ns-1", "k-sa-1");
    pod.runs(&["whoami"]).gives(12, &["takes the Authorization header off"], Stderr::Empty);
    cluster.stop();
    pod.runs(&["whoami", "-ojson"]).gives(21, &["\"exitCode\":21"], Stderr::Empty);
    pod.runs(&["whoami"]).gives(21, &["unreachable (21)", "expires"], Stderr::Empty);
    pod.runs(&["rules"]).gives(21, &[], Stderr::Has("unreachable (21)"));
}

#[test]
fn whoami_behind_kubectl_proxy() {
    let cluster = Cluster::builder().plain_http("jane").start();
    cluster.namespace("ns-1");
    cluster.service_account("ns-1", "k-sa-1");
    let pod = Pod::of(&cluster, "ns-1", "k-sa-1");
    pod.runs(&["whoami"]).gives(0, &["proxy      jane"], Stderr::Empty);
}

#[test]
fn rules_as_kubectl_lists_them() {
    for version in [Version::V1_36, Version::V1_20] {
        let (cluster, pod) = ready(version);
        cluster.role("ns-1", "pods", &["get", "list"], "", &["pods"]);
        cluster.role_binding("ns-1", "pods", "pods", "ns-1", "k-sa-1");
        let knock = pod.runs(&["rules"]).gives(0, &[], Stderr::Empty);
        let lines: Vec<&str> = knock.stdout.lines().collect();
        assert!(lines[0].starts_with("Resources  "), "{}", knock.story());
        let pods: Vec<&str> =
            lines.iter().find(|line| line.starts_with("pods ")).unwrap().split("   ").collect();
        assert_eq!((pods[0], *pods.last().unwrap()), ("pods", "[get list]"), "{}", knock.story());
        assert!(!pod.runs(&["rules", "-n", "default"]).stdout.contains("pods"));
        let knock = pod.runs(&["rules", "-o", "json"]).gives(0, &[], Stderr::Empty);
        let report = report(&knock.stdout);
        let pods = json!({ "group": "", "resource": "pods", "resourceNames": [], "nonResourceURLs": [], "verbs": ["get", "list"] });
        assert!(report["rules"].as_array().unwrap().contains(&pods), "{report}");
        assert_eq!((&report["namespace"], &report["incomplete"]), (&json!("ns-1"), &json!(false)));
        cluster.role_binding("ns-1", "dangling", "no-such-role", "ns-1", "k-sa-1");
        pod.runs(&["rules"]).gives(0, &["[get list]"], Stderr::Has("the list may lack some"));
    }
}

#[test]
fn rules_refused() {
    let (cluster, pod) = ready(Version::V1_36);
    cluster.delete("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/system:basic-user");
    pod.runs(&["rules"]).gives(10, &[], Stderr::Has("--clusterrole=system:basic-user"));
    let pod = pod.without_file("token");
    pod.runs(&["rules"]).gives(12, &[], Stderr::Has("anonymous (12)"));
    pod.without_file("namespace").runs(&["rules"]).gives(31, &[], Stderr::Has("-n NAMESPACE"));
}
