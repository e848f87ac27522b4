//! Every outcome that a real API server can lead to, each reached by running the binary, without changing the
//! cluster's settings. Each case has its own namespaces.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use testbed::real::keys;
use testbed::{RealCluster, Stderr, World};

use crate::Pod;

/// A name that does not resolve: `invalid` is reserved (RFC 6761).
const NOWHERE: &str = "https://no-such-host.invalid:6443";

/// 10, then 0 after the grant, and still 10 in another namespace.
pub fn tutorial(cluster: &RealCluster) {
    let pod = newcomer(cluster, "ns-1");
    let user = "system:serviceaccount:ns-1:k-sa-1";
    let grant = ["kubectl create role", "--verb=list", "--resource=pods", "--serviceaccount=ns-1:k-sa-1"];
    pod.runs(&["check", "list pods"]).gives(
        10,
        &[&["forbidden", "10", user], &grant[..]].concat(),
        Stderr::Empty,
    );
    cluster.role("ns-1", "pod-lister", &["list"], "", &["pods"]);
    cluster.role_binding("ns-1", "pod-lister-binding", "pod-lister", "ns-1", "k-sa-1");
    pod.runs(&["check", "list pods"]).gives(0, &["ok (0)", "0"], Stderr::Empty);
    pod.runs(&["check", "list pods", "-n", "default"]).gives(10, &["forbidden", "default"], Stderr::Empty);
    cluster.delete("/apis/rbac.authorization.k8s.io/v1/namespaces/ns-1/rolebindings/pod-lister-binding");
    pod.runs(&["check", "list pods"]).gives(10, &["forbidden"], Stderr::Empty);
}

/// 0 for every permission that is granted; the first that is not as required decides.
pub fn several_permissions(cluster: &RealCluster) {
    let pod = lister(cluster, "several");
    pod.runs(&["check", "get,list,watch pods", "get pods/web-1", "get /version"]).gives(
        0,
        &["get pods", "list pods", "watch pods", "/version"],
        Stderr::Empty,
    );
    pod.runs(&["check", "list pods", "delete pods", "get /no-such-path"]).gives(
        10,
        &["forbidden"],
        Stderr::Empty,
    );
    pod.runs(&["check", "get pods/no-such-pod"]).gives(0, &["ok (0)", "not exist"], Stderr::Empty);
}

/// 0 and 10 by access review, as a read would have answered.
pub fn asked_by_review(cluster: &RealCluster) {
    let pod = lister(cluster, "review");
    pod.runs(&["check", "--review", "list pods"]).gives(0, &["ok (0)"], Stderr::Empty);
    pod.runs(&["check", "--review", "list secrets"]).gives(10, &["forbidden"], Stderr::Empty);
    pod.runs(&["check", "--token-only", "list pods"]).gives(0, &["ok (0)"], Stderr::Empty);
}

/// 11: the token is not of this cluster, has another audience, has expired, or its account is gone.
pub fn unauthenticated(cluster: &RealCluster) {
    let namespace = "unauthenticated";
    lister(cluster, namespace);
    let for_vault = cluster.token_for(namespace, "k-sa-1", 3600, &["vault"]);
    let expired = cluster.expired_token(namespace, "k-sa-1");
    let orphan = cluster.orphan_token(namespace, "k-sa-gone");
    for (token, words) in
        [("garbage", "unauthenticated"), (&for_vault, "vault"), (&expired, "expired"), (&orphan, "k-sa-gone")]
    {
        let pod = Pod::of(cluster, namespace, "k-sa-1").with_file("token", token);
        pod.runs(&["check", "list pods"]).gives(11, &["unauthenticated", "11", words], Stderr::Empty);
        pod.runs(&["get", "/api/v1/pods"]).gives(11, &[], Stderr::Any);
    }
}

/// 12: there is no token, and the anonymous request is refused. If it is not refused, no token is needed.
pub fn anonymous(cluster: &RealCluster) {
    let pod = lister(cluster, "anonymous").without_file("token");
    pod.runs(&["check", "list pods"]).gives(
        12,
        &["anonymous", "12", "automountServiceAccountToken"],
        Stderr::Any,
    );
    pod.runs(&["check", "get /version"]).gives(0, &["ok (0)"], Stderr::Any);
    pod.runs(&["check", "--token-only", "get /version"]).gives(12, &["anonymous"], Stderr::Any);
    let pod = pod.with_file("token", "\n");
    pod.runs(&["check", "list pods"]).gives(12, &["anonymous", "12"], Stderr::Any);
}

/// 13: it may do what it must not.
pub fn excess(cluster: &RealCluster) {
    let pod = lister(cluster, "excess");
    pod.runs(&["check", "cannot list pods"]).gives(13, &["excess", "13"], Stderr::Empty);
    pod.runs(&["check", "cannot delete pods", "cannot list secrets"]).gives(0, &[], Stderr::Empty);
}

/// 14: the request is allowed without a token.
pub fn exposed(cluster: &RealCluster) {
    let pod = lister(cluster, "exposed");
    pod.runs(&["check", "--forbid-anonymous", "get /version"]).gives(14, &["exposed", "14"], Stderr::Empty);
    pod.runs(&["check", "--forbid-anonymous", "list pods"]).gives(0, &["ok (0)"], Stderr::Empty);
}

/// 20, 21 and 22: the API server is not at that address, or is not the one that the CA bundle verifies.
pub fn no_connection(cluster: &RealCluster) {
    let pod = || lister(cluster, "connection");
    pod().at_server(NOWHERE).runs(&["check", "list pods"]).gives(
        20,
        &["unresolved", "20", "no-such-host.invalid"],
        Stderr::Any,
    );
    pod().at_server("https://127.0.0.1:1").runs(&["check", "list pods"]).gives(
        21,
        &["unreachable", "21", "127.0.0.1:1"],
        Stderr::Any,
    );
    pod().with_file("ca.crt", &keys::stranger_ca()).runs(&["check", "list pods"]).gives(
        22,
        &["untrusted", "22"],
        Stderr::Any,
    );
    pod().runs(&["check", "list pods", "--tls-server-name=kubernetes.example.com"]).gives(
        22,
        &["untrusted", "22"],
        Stderr::Any,
    );
    pod().runs(&["check", "list pods", "--tls-server-name=kubernetes.default.svc"]).gives(
        0,
        &["ok (0)"],
        Stderr::Empty,
    );
    let both = pod().with_file("ca.crt", &(keys::stranger_ca() + &cluster.ca_pem()));
    both.runs(&["check", "list pods"]).gives(0, &["ok (0)"], Stderr::Empty);
    let stranger = pod().with_file("ca.crt", &keys::stranger_ca());
    stranger.runs(&["check", "list pods", "--insecure-skip-tls-verify"]).gives(
        0,
        &["ok (0)"],
        Stderr::Has("insecure"),
    );
}

/// 25: granted, but it does not exist. (Names that do not resolve are in the table of `can_i`.)
pub fn unserved(cluster: &RealCluster) {
    let pod = lister(cluster, "unserved");
    cluster.cluster_role("unserved", json!([{"nonResourceURLs": ["/no-such-path-here"], "verbs": ["get"]}]));
    cluster.cluster_role_binding("unserved", "unserved", "unserved", "k-sa-1");
    pod.runs(&["check", "get /no-such-path-here"]).gives(25, &["unserved", "25"], Stderr::Empty);
    pod.runs(&["check", "list gadgets.example.com"]).gives(25, &["unserved", "25"], Stderr::Any);
    pod.runs(&["get", "/no-such-path-here"]).gives(25, &[], Stderr::Any);
}

/// A Role that names a cluster-scoped resource grants nothing. kubectl sends the namespace along, and says yes.
pub fn nodes_in_a_role(cluster: &RealCluster) {
    let pod = newcomer(cluster, "nodes-in-a-role");
    cluster.role("nodes-in-a-role", "nodes", &["list"], "", &["nodes"]);
    cluster.role_binding("nodes-in-a-role", "nodes", "nodes", "nodes-in-a-role", "k-sa-1");
    pod.runs(&["check", "list nodes"]).gives(10, &["forbidden", "kubectl create clusterrole "], Stderr::Any);
    pod.runs(&["check", "--review", "list nodes"]).gives(10, &["forbidden"], Stderr::Any);
}

/// `get`: the body on stdout as it came, the head on request, and the same exit codes.
pub fn raw_requests(cluster: &RealCluster) {
    let pod = lister(cluster, "raw");
    pod.runs(&["get", "/version"]).gives(0, &["\"gitVersion\": \"v1."], Stderr::Empty);
    pod.runs(&["get", "-i", "/version"]).gives(0, &["HTTP/1.1 200", "gitVersion"], Stderr::Empty);
    pod.runs(&["get", "/api/v1/namespaces/raw/pods"]).gives(0, &["PodList"], Stderr::Empty);
    let refused = &["\"kind\":", "\"Status\"", "system:serviceaccount:raw:k-sa-1"];
    pod.runs(&["get", "/api/v1/namespaces/default/pods"]).gives(10, refused, Stderr::Any);
    pod.runs(&["get", "--anonymous", "/api/v1/namespaces/raw/pods"]).gives(
        12,
        &["system:anonymous"],
        Stderr::Any,
    );
    pod.runs(&["get", "--anonymous", "/version"]).gives(0, &["gitVersion"], Stderr::Empty);
}

/// Pages and redirects of the API server itself: an answer with `Audit-Id` (each one since 1.21) is its own. A page
/// without it could be from anywhere.
pub fn pages(cluster: &RealCluster) {
    let pod = newcomer(cluster, "pages");
    for path in ["/debug/pprof/", "/debug/pprof"] {
        pod.runs(&["check", &format!("cannot get {path}")]).gives(
            0,
            &["forbidden, as required"],
            Stderr::Empty,
        );
    }
    cluster.cluster_role("pages", json!([{ "verbs": ["get"], "nonResourceURLs": ["/debug/*"] }]));
    cluster.cluster_role_binding("pages", "pages", "pages", "k-sa-1");
    let marks = pod.runs(&["get", "-i", "/version"]).stdout.to_lowercase().contains("\naudit-id: ");
    let (code, excess) = if marks { (0, 13) } else { (26, 26) };
    for path in ["/debug/pprof/", "/debug/pprof"] {
        pod.runs(&["check", &format!("get {path}")]).gives(code, &[], Stderr::Empty);
        pod.runs(&["get", path]).gives(code, &[], Stderr::Any);
        pod.runs(&["check", &format!("cannot get {path}")]).gives(excess, &[], Stderr::Empty);
    }
}

/// The JSON report and the termination message agree with the exit code.
pub fn machine_readable(cluster: &RealCluster) {
    let pod = lister(cluster, "machine");
    let message = pod.mount().join("termination-log");
    fs::write(&message, "").expect("a termination log");
    let option = format!("--termination-log={}", message.display());
    for (phrase, code, outcome) in [("list pods", 0, "ok"), ("list secrets", 10, "forbidden")] {
        let finished = pod.runs(&["check", phrase, "-o", "json", &option]).gives(code, &[], Stderr::Empty);
        assert_eq!(finished.stdout.lines().count(), 1, "{}", finished.transcript());
        let report: Value = serde_json::from_str(&finished.stdout).expect("JSON on stdout");
        assert_eq!(report["schema"], "kubeknock/v1", "{report}");
        assert_eq!(report["outcome"], outcome, "{report}");
        assert_eq!(report["exitCode"], code, "{report}");
        let written = fs::read_to_string(&message).expect("the termination log");
        assert_eq!(written.contains("forbidden"), code == 10, "termination message: {written:?}");
    }
    pod.runs(&["check", "-q", "list secrets"]).gives(10, &[], Stderr::Empty);
    pod.runs(&["check", "-v", "list pods"]).gives(
        0,
        &["ok (0)"],
        Stderr::Has("/api/v1/namespaces/machine/pods"),
    );
}

/// 23: the API server is frozen, and the deadline is kept. (Afterwards the cluster continues.)
pub fn timeout(cluster: &RealCluster) {
    let pod = lister(cluster, "timeout");
    cluster.freeze_apiserver();
    let finished = pod.runs(&["check", "list pods", "--timeout", "1s"]);
    cluster.thaw_apiserver();
    let finished = finished.gives(23, &["timeout", "23"], Stderr::Any);
    // 1.1 s is the promise; the rest is for a busy machine.
    assert!(finished.took < Duration::from_millis(1500), "{}", finished.transcript());
    pod.runs(&["check", "list pods"]).gives(0, &["ok (0)"], Stderr::Empty);
}

/// A service account in its own namespace, without any permission.
pub fn newcomer(cluster: &RealCluster, namespace: &str) -> Pod {
    cluster.namespace(namespace);
    cluster.service_account(namespace, "k-sa-1");
    Pod::of(cluster, namespace, "k-sa-1")
}

/// A service account that may `get`, `list` and `watch` the pods in its namespace.
pub fn lister(cluster: &RealCluster, namespace: &str) -> Pod {
    let pod = newcomer(cluster, namespace);
    cluster.role(namespace, "pod-reader", &["get", "list", "watch"], "", &["pods"]);
    cluster.role_binding(namespace, "pod-reader", "pod-reader", namespace, "k-sa-1");
    pod
}
