//! Long runs: the kubelet renews the mount, and probes run beside them.

use testbed::real::keys;
use testbed::{RealCluster, World};

use crate::inside::lister;
use crate::podman::{ACCOUNT, Container, OTHER_USER, OWN_USER};

const QUICK: [&str; 4] = ["--interval", "200ms", "--max-interval", "200ms"];

/// An expired token, then a valid one; another cluster's CA, then the right one: the same process reports each
/// change, and is never restarted.
pub fn seen_while_running(cluster: &RealCluster) {
    lister(cluster, "rotation");
    for user in [OWN_USER, OTHER_USER] {
        let container = Container::of(cluster, "rotation", user);
        container.rotate(&cluster.expired_token("rotation", ACCOUNT), &cluster.ca_pem());
        let monitor = container.starts(&[&["monitor", "list pods"], &QUICK[..]].concat());
        monitor.prints("unauthenticated (11)");
        container.rotate(&cluster.token("rotation", ACCOUNT), &cluster.ca_pem());
        monitor.prints("ok (0)");
        container.rotate(&cluster.token("rotation", ACCOUNT), &keys::stranger_ca());
        monitor.prints("untrusted (22)");
        container.rotate(&cluster.token("rotation", ACCOUNT), &cluster.ca_pem());
        monitor.prints("ok (0)");
        monitor.stopped(0);
        assert_eq!(container.termination_message(), "", "a good end");
    }
}

/// A gate that has waited with an expired token passes with the renewed one.
pub fn opens_a_gate(cluster: &RealCluster) {
    lister(cluster, "renewed");
    let container = Container::of(cluster, "renewed", OTHER_USER);
    container.rotate(&cluster.expired_token("renewed", ACCOUNT), &cluster.ca_pem());
    let gate = container.starts(&["wait", "list pods", "--max-interval", "1s"]);
    gate.complains("waiting: list pods in renewed: unauthenticated (11)");
    container.rotate(&cluster.token("renewed", ACCOUNT), &cluster.ca_pem());
    gate.prints("ok (0)");
    gate.ends(0);
}

/// An exec probe beside a sidecar reports by its exit code, and does not change the termination message.
pub fn probed(cluster: &RealCluster) {
    lister(cluster, "probed");
    for user in [OWN_USER, OTHER_USER] {
        let container = Container::of(cluster, "probed", user);
        let monitor = container.starts(&[&["monitor", "list pods"], &QUICK[..]].concat());
        monitor.prints("ok (0)");
        monitor.executes(&["check", "-q", "--token-only", "list pods"]).is(0, "", "");
        monitor.executes(&["check", "-q", "--token-only", "list secrets"]).is(10, "", "");
        monitor.stopped(0);
        assert_eq!(container.termination_message(), "", "a probe writes none");
    }
}
