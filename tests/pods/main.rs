//! The image in real pods: `cargo test --test pods`.
//!
//! Runs on any cluster that `KUBECONFIG` names (Kubernetes 1.20 or later), with the kubectl that `KUBECTL`
//! names (or the one on the PATH) and the image that `KUBEKNOCK_IMAGE` names as the nodes know it. It creates
//! namespaces of its own, and `ns-1`, the namespace of the manifests, and removes them. It detects the features
//! of the server, and prints what it leaves out; with `CI` set, leaving out a row that the server's version
//! should allow is a failure.
//!
//! Three groups, one at a time: `cargo test --test pods pods`, `faults` (which needs `KUBEKNOCK_NODE`, a
//! program that stops and starts the API server: `.ci/node`) and, with `--ignored`, `slow`.
//!
//! `KUBEKNOCK_ROWS` limits a run to the rows whose names contain it. Of a manifest, select all acts by its file's
//! name: a gate whose first act is left out may get its grant before it has started, and then has nothing to wait for.
//!
//! Without `KUBECONFIG` or `KUBEKNOCK_IMAGE` this prints that it did not run, and passes; with `CI` set it
//! fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests panic as tests do"
)]

mod cluster;
mod faults;
mod kubectl;
mod manifests;
mod modes;
mod pod;
mod row;
mod slow;
mod space;

use std::env;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use cluster::Cluster;
use row::{Tally, say};

/// One group at a time, because a fault affects the whole cluster.
static TURN: Mutex<()> = Mutex::new(());

/// What a person does first, each manifest of `k8s/`, and the other ways to run the image in a pod.
#[test]
fn pods() {
    group("pods", |cluster, tally| {
        thread::scope(|scope| {
            scope.spawn(|| manifests::run(cluster, tally));
            tally.run(cluster, modes::rows(cluster));
        });
    });
}

/// The same pods while the cluster around them fails.
#[test]
fn faults() {
    group("faults", faults::run);
}

/// Rows that take the whole lifetime of a token.
#[test]
#[ignore = "takes twelve minutes: cargo test --test pods slow -- --ignored"]
fn slow() {
    group("slow", |cluster, tally| tally.run(cluster, slow::rows(cluster)));
}

fn group(name: &str, run: fn(&Cluster, &Tally)) {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let (Some(_), Some(image)) = (set("KUBECONFIG"), set("KUBEKNOCK_IMAGE")) else {
        let why = "KUBECONFIG and KUBEKNOCK_IMAGE are not both set, so no pod was tested.\n\
                   To test the image in real pods: .ci/run 30 45";
        assert!(env::var_os("CI").is_none(), "{why}");
        say(&format!("\n*** NOT RUN: {why}\n"));
        return;
    };
    // A panic in one group must not fail the next one.
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (start, tally) = (Instant::now(), Tally::default());
    let cluster = Cluster::look(image);
    say(&format!("\n{name}: {}", cluster.introduction()));
    run(&cluster, &tally);
    cluster.is_left_as_it_was();
    tally.sum(name, start.elapsed());
}
