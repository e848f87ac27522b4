//! The image as containers: podman starts them as the kubelet starts those of `k8s/`, against a real etcd and
//! kube-apiserver.
//!
//! `KUBEKNOCK_IMAGE` names the image (`.ci/image` builds it and prints its name), `PODMAN` the command line
//! that runs it, with global options (default: `podman`), and `KUBEBUILDER_ASSETS` the servers, as for the
//! tests of `real`. Root is needed to set the owners of the mounted files. Without an image or servers this
//! prints that it did not run, and passes; with `CI` set it fails instead.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "as tests do")]

mod commands;
mod inside;
mod podman;
mod rotation;
mod signals;

use std::env;

use testbed::RealCluster;
use testbed::real::{self, Case, say};

testbed::kubeknock!();

#[test]
fn image() {
    const CASES: &[Case] = &[
        ("nothing around it but what is asked for", inside::confined),
        ("the root is read-only", inside::read_only),
        ("no name server", inside::no_name_server),
        ("owners of the token file", inside::owners_of_the_token),
        ("every command", commands::each_once),
        ("the copy that install makes", commands::installed_copy),
        ("termination message", commands::termination_message),
        ("rotation", rotation::seen_while_running),
        ("a renewed token opens a gate", rotation::opens_a_gate),
        ("exec probe", rotation::probed),
        ("signals", signals::end_it),
    ];
    let missing: Vec<_> = ["KUBEBUILDER_ASSETS", "KUBEKNOCK_IMAGE"]
        .into_iter()
        .filter(|name| env::var_os(name).is_none_or(|value| value.is_empty()))
        .collect();
    if !missing.is_empty() {
        let why = format!(
            "{} not set, so no container was tested.\nTo test the image in containers: .ci/run 30 43",
            missing.join(" and ")
        );
        assert!(env::var_os("CI").is_none(), "{why}");
        say(&format!("\n*** NOT RUN: {why}\n"));
        return;
    }
    real::run(CASES, &RealCluster::start());
}
