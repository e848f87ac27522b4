//! What runs long, while the kubelet renews what is mounted, and while it is probed.

use testbed::real::keys;
use testbed::{RealCluster, World};

use crate::inside::lister;
use crate::podman::{ACCOUNT, Container, OTHER_USER, OWN_USER};

const QUICK: [&str; 4] = ["--interval", "200ms", "--max-interval", "200ms"];

/// A token that is no longer good, then a good one; a CA of somebody else, then the right one: each is told by
/// the same process, which is never started again.
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

/// A gate that has waited with a token that is no longer good passes by the one that comes.
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

/// An exec probe beside a sidecar answers by its code, and leaves the termination message alone.
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
