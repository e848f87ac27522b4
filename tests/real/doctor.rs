//! `doctor` on a real server.

use testbed::real::keys;
use testbed::{RealCluster, Stderr};

use crate::outcomes::{lister, newcomer};

/// For an account that may list its pods, every step is good. For one without a grant, the question is the
/// broken step.
pub fn finds_the_first_broken_step(cluster: &RealCluster) {
    let steps = [
        "✓ TLS",
        "✓ clock",
        "✓ version",
        "CN=kube-apiserver",
        "list pods in doctor: anonymous 403, token 200",
    ];
    lister(cluster, "doctor").runs(&["doctor"]).gives(0, &steps, Stderr::Empty);
    let steps =
        ["the first broken step is \"list pods in doctor-2\"", "→ kubectl create role k-sa-1-list-pods"];
    newcomer(cluster, "doctor-2").runs(&["doctor"]).gives(10, &steps, Stderr::Empty);
    let pod = newcomer(cluster, "doctor-2").with_file("ca.crt", &keys::stranger_ca());
    pod.runs(&["doctor"]).gives(22, &["the first broken step is CA"], Stderr::Empty);
}
