//! `wait` with the real API server.

use std::time::{Duration, Instant};

use testbed::{RealCluster, Running, World};

use crate::Pod;

fn grant(cluster: &RealCluster, namespace: &str) {
    cluster.role(namespace, "pod-lister", &["list"], "", &["pods"]);
    cluster.role_binding(namespace, "pod-lister-binding", "pod-lister", namespace, "gate");
}

/// Started before the role exists, it passes within one step of the grant.
pub fn opens_with_the_grant(cluster: &RealCluster) {
    cluster.namespace("gate");
    cluster.service_account("gate", "gate");
    let pod = Pod::of(cluster, "gate", "gate");
    let arguments = ["wait", "list pods", "--max-interval", "1s", "--stable", "2"];
    let gate = Running::start(&mut pod.command(arguments));
    gate.complains("waiting: list pods in gate: forbidden (10)");
    grant(cluster, "gate");
    let granted = Instant::now();
    gate.ends_with(0);
    // One step, a second good round a second later, and the delay of a busy machine.
    assert!(granted.elapsed() < Duration::from_secs(4), "{:?}", granted.elapsed());
}

/// Started before the API server, it passes when the API server runs and the role exists.
pub fn waits_for_the_api_server(mut cluster: RealCluster) {
    cluster.namespace("gate");
    cluster.service_account("gate", "gate");
    let pod = Pod::of(&cluster, "gate", "gate");
    cluster.stop_apiserver();
    let arguments = ["wait", "list pods", "--max-interval", "1s", "--timeout", "2m"];
    let running = Running::start(&mut pod.command(arguments));
    running.complains("unreachable (21)");
    cluster.restart_apiserver();
    running.complains("forbidden (10)");
    grant(&cluster, "gate");
    running.ends_with(0);
}
