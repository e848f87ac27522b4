//! What a round passes to the next, with the real API server.

use rustix::process::Signal;
use testbed::{RealCluster, Relay, Running, World, eventually};

use crate::Pod;

/// Behind a relay that hangs up after each answer, the server sends its certificate once.
pub fn sessions_are_resumed(cluster: &RealCluster) {
    cluster.namespace("rounds");
    cluster.service_account("rounds", "rounds");
    let relay = Relay::before(&cluster.server());
    let pod = Pod::of(cluster, "rounds", "rounds").at_server(&relay.server());
    let command = ["monitor", "--token-only", "cannot list pods", "--interval", "20ms"];
    let running = Running::start(&mut pod.command(command));
    running.prints("ok (0)");
    eventually("ten connections", || relay.sent().len() >= 10);
    running.send(Signal::TERM);
    assert_eq!(running.ends_with(0), (String::new(), String::new()));
    let sent = relay.sent();
    // Bytes of a certificate.
    assert!(sent[1..].iter().all(|bytes| bytes + 400 < sent[0]), "{sent:?}");
}
