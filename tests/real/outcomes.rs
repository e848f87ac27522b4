//! Every outcome that a real API server can give, each reached by running the binary: those that leave
//! the cluster as it is. Each case has namespaces of its own.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use testbed::real::keys;
use testbed::{RealCluster, Stderr, World};

use crate::Pod;

/// A name that no name server knows: `invalid` is reserved (RFC 6761).
const NOWHERE: &str = "https://no-such-host.invalid:6443";

/// 10, then 0 once granted, and 10 again in the neighbour's namespace.
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

/// 0, for all that is asked; the first that is not as wanted decides.
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

/// 0 and 10 by access review, what a read would have said.
pub fn asked_by_review(cluster: &RealCluster) {
    let pod = lister(cluster, "review");
    pod.runs(&["check", "--review", "list pods"]).gives(0, &["ok (0)"], Stderr::Empty);
    pod.runs(&["check", "--review", "list secrets"]).gives(10, &["forbidden"], Stderr::Empty);
    pod.runs(&["check", "--token-only", "list pods"]).gives(0, &["ok (0)"], Stderr::Empty);
}

/// 11: the token is no token of this cluster, was made for somebody else, has expired, or its account is
/// gone.
pub fn unauthenticated(cluster: &RealCluster) {
    let namespace = "unauthenticated";
    lister(cluster, namespace);
    let for_vault = cluster.token_for(namespace, "k-sa-1", 3600, &["vault"]);
    let expired = cluster.expired_token(namespace, "k-sa-1");
    let orphan = cluster.orphan_token(namespace, "k-sa-gone");
    for (token, told) in
        [("garbage", "unauthenticated"), (&for_vault, "vault"), (&expired, "expired"), (&orphan, "k-sa-gone")]
    {
        let pod = Pod::of(cluster, namespace, "k-sa-1").with_file("token", token);
        pod.runs(&["check", "list pods"]).gives(11, &["unauthenticated", "11", told], Stderr::Empty);
        pod.runs(&["get", "/api/v1/pods"]).gives(11, &[], Stderr::Any);
    }
}

/// 12: there is no token, and the anonymous request is refused; where it is not, there is nothing to miss.
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

/// 13: it can what it must not.
pub fn excess(cluster: &RealCluster) {
    let pod = lister(cluster, "excess");
    pod.runs(&["check", "cannot list pods"]).gives(13, &["excess", "13"], Stderr::Empty);
    pod.runs(&["check", "cannot delete pods", "cannot list secrets"]).gives(0, &[], Stderr::Empty);
}

/// 14: anybody gets in.
pub fn exposed(cluster: &RealCluster) {
    let pod = lister(cluster, "exposed");
    pod.runs(&["check", "--forbid-anonymous", "get /version"]).gives(14, &["exposed", "14"], Stderr::Empty);
    pod.runs(&["check", "--forbid-anonymous", "list pods"]).gives(0, &["ok (0)"], Stderr::Empty);
}

/// 20, 21 and 22: the API server is not where it should be, or is not who it should be.
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

/// 25: what is granted, and is not there. (Names that do not resolve are in the table of `can_i`.)
pub fn unserved(cluster: &RealCluster) {
    let pod = lister(cluster, "unserved");
    cluster.cluster_role("unserved", json!([{"nonResourceURLs": ["/no-such-path-here"], "verbs": ["get"]}]));
    cluster.cluster_role_binding("unserved", "unserved", "unserved", "k-sa-1");
    pod.runs(&["check", "get /no-such-path-here"]).gives(25, &["unserved", "25"], Stderr::Empty);
    pod.runs(&["check", "list gadgets.example.com"]).gives(25, &["unserved", "25"], Stderr::Any);
    pod.runs(&["get", "/no-such-path-here"]).gives(25, &[], Stderr::Any);
}

/// A Role that names a cluster-scoped resource grants nothing. kubectl, which sends the namespace along,
/// says yes.
pub fn nodes_in_a_role(cluster: &RealCluster) {
    let pod = newcomer(cluster, "nodes-in-a-role");
    cluster.role("nodes-in-a-role", "nodes", &["list"], "", &["nodes"]);
    cluster.role_binding("nodes-in-a-role", "nodes", "nodes", "nodes-in-a-role", "k-sa-1");
    pod.runs(&["check", "list nodes"]).gives(10, &["forbidden", "kubectl create clusterrole "], Stderr::Any);
    pod.runs(&["check", "--review", "list nodes"]).gives(10, &["forbidden"], Stderr::Any);
}

/// `get`: the body on stdout as it came, head on demand, the same codes.
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

/// Pages and redirects of the API server itself: what carries `Audit-Id` (each answer since 1.21) is its own. The pages
/// of one that does not send it could be anything's.
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

/// The report in JSON, and the termination message, say the same as the code.
pub fn machine_readable(cluster: &RealCluster) {
    let pod = lister(cluster, "machine");
    let message = pod.mount().join("termination-log");
    fs::write(&message, "").expect("a termination log");
    let option = format!("--termination-log={}", message.display());
    for (phrase, code, outcome) in [("list pods", 0, "ok"), ("list secrets", 10, "forbidden")] {
        let finished = pod.runs(&["check", phrase, "-o", "json", &option]).gives(code, &[], Stderr::Empty);
        assert_eq!(finished.stdout.lines().count(), 1, "{}", finished.story());
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

/// 23: the API server is frozen; the deadline is kept. (The cluster goes on as it was.)
pub fn timeout(cluster: &RealCluster) {
    let pod = lister(cluster, "timeout");
    cluster.freeze_apiserver();
    let finished = pod.runs(&["check", "list pods", "--timeout", "1s"]);
    cluster.thaw_apiserver();
    let finished = finished.gives(23, &["timeout", "23"], Stderr::Any);
    // 1.1 s is what is promised; the rest is for a busy machine.
    assert!(finished.took < Duration::from_millis(1500), "{}", finished.story());
    pod.runs(&["check", "list pods"]).gives(0, &["ok (0)"], Stderr::Empty);
}

/// A service account in a namespace of its own, without any permission.
pub fn newcomer(cluster: &RealCluster, namespace: &str) -> Pod {
    cluster.namespace(namespace);
    cluster.service_account(namespace, "k-sa-1");
    Pod::of(cluster, namespace, "k-sa-1")
}

/// One that may `get`, `list` and `watch` the pods there.
pub fn lister(cluster: &RealCluster, namespace: &str) -> Pod {
    let pod = newcomer(cluster, namespace);
    cluster.role(namespace, "pod-reader", &["get", "list", "watch"], "", &["pods"]);
    cluster.role_binding(namespace, "pod-reader", "pod-reader", namespace, "k-sa-1");
    pod
}
