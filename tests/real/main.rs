//! The built binary against a real etcd and kube-apiserver, and against `kubectl auth can-i`.
//!
//! `KUBEBUILDER_ASSETS` names a folder with `etcd`, `kube-apiserver` and `kubectl` (the convention of
//! controller-runtime's envtest; `.ci/kube-assets` makes one). Without it these tests print that they did not
//! run, and pass; with `CI` set they fail instead.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "as tests do")]

mod audit;
mod can_i;
mod doctor;
mod far;
mod files;
mod gate;
mod grant;
mod names;
mod outcomes;
mod remedies;
mod rounds;
mod rules;
mod settings;
mod whoami;

use std::env;
use std::sync::Once;

use testbed::RealCluster;
use testbed::real::{self, Case};

testbed::kubeknock!();

#[test]
fn one_cluster_for_most() {
    share(&[
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
        ("pages", outcomes::pages),
        ("machine readable", outcomes::machine_readable),
        ("agrees with kubectl", can_i::agrees_with_kubectl),
        ("rules are kubectl's", rules::rules_are_kubectls),
        ("rules --only", rules::only),
        ("doctor", doctor::finds_the_first_broken_step),
        ("whoami without a review", whoami::without_a_review),
        ("rounds resume the session", rounds::sessions_are_resumed),
        ("far", far::the_same_over_several_connections),
        ("timeout", outcomes::timeout),
    ]);
}

// The cases that take longest have clusters of their own, and run beside the others.

#[test]
fn one_cluster_for_remedies() {
    share(&[("remedies hold", remedies::remedies_hold), ("grant", grant::sixty_permissions_at_once)]);
}

#[test]
fn one_cluster_for_names_and_roles() {
    share(&[
        ("names resolve as kubectl's", names::resolved_as_kubectl_does),
        ("default roles hold", files::default_roles_hold),
        ("roles to the letter", files::roles_are_asked_to_the_letter),
        ("roles in YAML", files::yaml_becomes_json),
    ]);
}

fn share(cases: &[Case]) {
    if let Some(cluster) = cluster(&[]) {
        real::run(cases, &cluster);
    }
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
fn audited() {
    let folder = tempfile::tempdir().unwrap();
    let options = audit::options(folder.path());
    if let Some(cluster) = cluster(&options.each_ref().map(String::as_str)) {
        audit::the_table_is_what_is_logged(&cluster, folder.path());
    }
}

#[test]
fn overloaded() {
    let one_at_a_time = ["--feature-gates=APIPriorityAndFairness=false", "--max-requests-inflight=1"];
    if let Some(cluster) = cluster(&one_at_a_time) {
        settings::overloaded(&cluster);
    }
}

/// A cluster with these options. `None`: there are no servers to start.
fn cluster(options: &[&str]) -> Option<RealCluster> {
    static SAID: Once = Once::new();
    if RealCluster::assets().is_some() {
        return Some(RealCluster::start_with(options));
    }
    let why = "KUBEBUILDER_ASSETS is not set, so nothing was tested against a real API server.\n\
               To run these tests: KUBEBUILDER_ASSETS=$(.ci/kube-assets) cargo test --test real";
    assert!(env::var_os("CI").is_none(), "{why}");
    SAID.call_once(|| real::say(&format!("\n*** NOT RUN: {why}\n")));
    None
}
