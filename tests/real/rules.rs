//! `rules` and `kubectl auth can-i --list`, for one service account.

use std::process::Command;

use serde_json::json;
use testbed::{RealCluster, Stderr, World};

use crate::Pod;
use crate::outcomes::newcomer;

/// The table is the same as kubectl's, line by line: without a grant, with many rules, and in another
/// namespace.
pub fn rules_are_kubectls(cluster: &RealCluster) {
    newcomer(cluster, "rules");
    let pod = Pod::of(cluster, "rules", "k-sa-1");
    same_table(cluster, &pod, "rules");
    cluster.role_with_rules(
        "rules",
        "many",
        json!([
            {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]},
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["watch", "list"]},
            {"apiGroups": ["", "apps"], "resources": ["*"], "verbs": ["patch"]},
            {"apiGroups": ["*"], "resources": ["*/scale"], "verbs": ["*"]},
            {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["b", "a"], "verbs": ["get", "delete"]},
            {"apiGroups": ["example.com"], "resources": ["widgets/status"], "verbs": ["update"]},
        ]),
    );
    cluster.role_binding("rules", "many", "many", "rules", "k-sa-1");
    cluster.cluster_role(
        "rules",
        json!([{"nonResourceURLs": ["/metrics", "/logs/*"], "verbs": ["get", "post"]}]),
    );
    cluster.cluster_role_binding("rules", "rules", "rules", "k-sa-1");
    same_table(cluster, &pod, "rules");
    same_table(cluster, &pod, "default");
}

fn same_table(cluster: &RealCluster, pod: &Pod, namespace: &str) {
    let finished = pod.runs(&["rules", "-n", namespace]).gives(0, &[], Stderr::Empty);
    let home = tempfile::tempdir().expect("a home for kubectl");
    let output = Command::new(cluster.kubectl())
        .args(["--server", &cluster.server(), "--token", &pod.token().expect("a token")])
        .arg("--certificate-authority")
        .arg(pod.mount().join("ca.crt"))
        .args(["--namespace", namespace, "auth", "can-i", "--list"])
        .env_clear()
        .env("HOME", home.path())
        .output()
        .expect("run kubectl");
    let theirs = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(theirs.lines().count() > 3, "kubectl lists nothing: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(finished.stdout, theirs, "{}", finished.transcript());
}

/// A fresh account may do nothing but what every account may; one binding more is named.
pub fn only(cluster: &RealCluster) {
    newcomer(cluster, "only");
    let pod = Pod::of(cluster, "only", "k-sa-1");
    pod.runs(&["rules", "--only"]).gives(0, &["ok (0)"], Stderr::Empty);
    cluster.role("only", "reader", &["get", "list"], "", &["secrets"]);
    cluster.role_binding("only", "reader", "reader", "only", "k-sa-1");
    pod.runs(&["rules", "--only"]).gives(13, &["get,list secrets in only\n", "excess (13)"], Stderr::Empty);
    pod.runs(&["rules", "--only", "list secrets"]).gives(13, &["get secrets in only\n"], Stderr::Empty);
    pod.runs(&["rules", "--only", "get,list secrets"]).gives(0, &["ok (0)"], Stderr::Empty);
    cluster.cluster_role(
        "only",
        json!([
            {"nonResourceURLs": ["/metrics", "/logs/*"], "verbs": ["get"]},
            {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["web"], "verbs": ["patch"]},
        ]),
    );
    cluster.cluster_role_binding("only", "only", "only", "k-sa-1");
    let wide = ["rules", "--only", "get,list secrets", "get /metrics"];
    pod.runs(&wide).gives(13, &["get /logs/*\n", "patch deployments.apps/web in only\n"], Stderr::Empty);
    let all = [&wide[..], &["get /logs/*", "patch deploy/web"]].concat();
    pod.runs(&all).gives(0, &["ok (0)"], Stderr::Empty);
    pod.runs(&[&all[..], &["-n", "default"]].concat()).gives(0, &["ok (0)"], Stderr::Empty);
}
