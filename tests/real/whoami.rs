//! `whoami` on a real server without SelfSubjectReview.

use serde_json::{Value, json};
use testbed::{RealCluster, Stderr};

use crate::outcomes::lister;

/// 1.20 has no SelfSubjectReview: its refusal names the user.
pub fn without_a_review(cluster: &RealCluster) {
    let pod = lister(cluster, "whoami");
    let lines =
        ["system:anonymous", "token      system:serviceaccount:whoami:k-sa-1", "source        a refusal"];
    pod.runs(&["whoami"]).gives(0, &lines, Stderr::Empty);
    let finished = pod.runs(&["whoami", "-ojson"]).gives(0, &[], Stderr::Empty);
    let report: Value = serde_json::from_str(&finished.stdout).expect("JSON on stdout");
    let identity = json!({"user": "system:serviceaccount:whoami:k-sa-1", "source": "server"});
    assert_eq!(report["identity"], identity, "{report}");
    let expired = cluster.expired_token("whoami", "k-sa-1");
    pod.with_file("token", &expired).runs(&["whoami"]).gives(11, &["401", "expired"], Stderr::Empty);
}
