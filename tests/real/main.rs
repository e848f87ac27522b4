//! The built binary against a real etcd and kube-apiserver, and against `kubectl auth can-i`.
//!
//! `KUBEBUILDER_ASSETS` names a folder with `etcd`, `kube-apiserver` and `kubectl` (the convention of
//! controller-runtime's envtest; `.ci/kube-assets` makes one). Without it these tests say that they did
//! not run, and pass; with `CI` set they fail instead.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests panic as tests do"
)]

mod can_i;
mod doctor;
mod gate;
mod names;
mod outcomes;
mod remedies;
mod rules;
mod settings;
mod whoami;

use std::env;
use std::io::{Write as _, stderr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use testbed::RealCluster;

testbed::kubeknock!();

type Case = (&'static str, fn(&RealCluster));

/// What one cluster serves, in turn. It is owned by this test (a static would never be dropped, and its
/// servers would stay), so the cases are not tests of their own; each one that fails is named.
#[test]
fn one_cluster_for_all() {
    const CASES: &[Case] = &[
        ("tutorial", outcomes::tutorial),
        ("several permissions", outcomes::several_permissions),
        ("gate", gate::opens_with_the_grant),
        ("asked by review", outcomes::asked_by_review),
        ("unauthenticated", outcomes::unauthenticated),
        ("anonymous", outcomes::anonymous),
        ("excess", outcomes::excess),
        ("exposed", outcomes::exposed),
        ("no connection", outcomes::no_connection),
        ("unserved", outcomes::unserved),
        ("nodes in a Role", outcomes::nodes_in_a_role),
        ("raw requests", outcomes::raw_requests),
        ("machine readable", outcomes::machine_readable),
        ("agrees with kubectl", can_i::agrees_with_kubectl),
        ("rules are kubectl's", rules::rules_are_kubectls),
        ("doctor", doctor::finds_the_first_broken_step),
        ("whoami without a review", whoami::without_a_review),
        ("names resolve as kubectl's", names::resolved_as_kubectl_does),
        ("remedies hold", remedies::remedies_hold),
        ("timeout", outcomes::timeout),
    ];
    let Some(cluster) = cluster(&[]) else { return };
    let failed: Vec<_> = CASES
        .iter()
        .filter(|(_, case)| catch_unwind(AssertUnwindSafe(|| case(&cluster))).is_err())
        .map(|(name, _)| *name)
        .collect();
    assert!(failed.is_empty(), "{} of {} cases failed: {}", failed.len(), CASES.len(), failed.join(", "));
}

#[test]
fn outage() {
    if let Some(cluster) = cluster(&[]) {
        settings::outage(cluster);
    }
}

#[test]
fn gate_before_the_api_server() {
    if let Some(cluster) = cluster(&[]) {
        gate::waits_for_the_api_server(cluster);
    }
}

#[test]
fn hardened() {
    if let Some(cluster) = cluster(&["--anonymous-auth=false"]) {
        settings::hardened(&cluster);
    }
}

#[test]
fn overloaded() {
    let one_at_a_time = ["--feature-gates=APIPriorityAndFairness=false", "--max-requests-inflight=1"];
    if let Some(cluster) = cluster(&one_at_a_time) {
        settings::overloaded(&cluster);
    }
}

/// A cluster with these options, where there are servers to make one of.
fn cluster(options: &[&str]) -> Option<RealCluster> {
    static SAID: Once = Once::new();
    if RealCluster::assets().is_some() {
        return Some(RealCluster::start_with(options));
    }
    let why = "KUBEBUILDER_ASSETS is not set, so nothing was tested against a real API server.\n\
               To run these tests: KUBEBUILDER_ASSETS=$(.ci/kube-assets) cargo test --test real";
    assert!(env::var_os("CI").is_none(), "{why}");
    // Not by a macro: the test harness would keep it to itself.
    SAID.call_once(|| writeln!(stderr(), "\n*** NOT RUN: {why}\n").expect("write to stderr"));
    None
}
