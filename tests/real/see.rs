//! `rules` and `whoami` beside kubectl, for one service account.

use std::process::Command;

use serde_json::{Value, json};
use testbed::real::keys;
use testbed::{RealCluster, Stderr, World};

use crate::Pod;
use crate::outcomes::{lister, newcomer};

/// The table is kubectl's, line for line: for a newcomer, for one with many rules, in another namespace.
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
    let knock = pod.runs(&["rules", "-n", namespace]).gives(0, &[], Stderr::Empty);
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
    assert_eq!(knock.stdout, theirs, "{}", knock.story());
}

/// 1.20 has no SelfSubjectReview: the words of its refusal name us.
pub fn whoami_without_a_review(cluster: &RealCluster) {
    let pod = lister(cluster, "whoami");
    let told = ["system:anonymous", "token      system:serviceaccount:whoami:k-sa-1", "words of a refusal"];
    pod.runs(&["whoami"]).gives(0, &told, Stderr::Empty);
    let knock = pod.runs(&["whoami", "-ojson"]).gives(0, &[], Stderr::Empty);
    let report: Value = serde_json::from_str(&knock.stdout).expect("JSON on stdout");
    let identity = json!({"user": "system:serviceaccount:whoami:k-sa-1", "source": "server"});
    assert_eq!(report["identity"], identity, "{report}");
    let expired = cluster.expired_token("whoami", "k-sa-1");
    pod.with_file("token", &expired).runs(&["whoami"]).gives(11, &["401", "expired"], Stderr::Empty);
}

/// Every step is good for one that may list its pods; the last question is the broken one for a newcomer.
pub fn doctor(cluster: &RealCluster) {
    let told = [
        "✓ TLS",
        "✓ clock",
        "✓ version",
        "CN=kube-apiserver",
        "list pods in doctor: anonymous 403, token 200",
    ];
    lister(cluster, "doctor").runs(&["doctor"]).gives(0, &told, Stderr::Empty);
    let told =
        ["the first broken step is \"list pods in doctor-2\"", "→ kubectl create role k-sa-1-list-pods"];
    newcomer(cluster, "doctor-2").runs(&["doctor"]).gives(10, &told, Stderr::Empty);
    let pod = newcomer(cluster, "doctor-2").with_file("ca.crt", &keys::stranger_ca());
    pod.runs(&["doctor"]).gives(22, &["the first broken step is CA"], Stderr::Empty);
}
