//! The stand-in cluster, to try kubeknock on: `cargo run --example playground`. Prints the commands to type,
//! and runs until its standard input ends.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "as tests do")]
#![allow(clippy::print_stdout, reason = "it is there to be read")]

use std::io::{self, Read};

use testbed::{Cluster, World};

fn main() {
    let cluster = Cluster::start();
    cluster.namespace("ns-1");
    cluster.service_account("ns-1", "k-sa-1");
    cluster.role("ns-1", "pod-lister", &["get", "list", "watch"], "", &["pods"]);
    cluster.role_binding("ns-1", "pod-lister-binding", "pod-lister", "ns-1", "k-sa-1");
    let mount = tempfile::tempdir().expect("a folder for the mount");
    cluster.mount(mount.path(), "ns-1", "k-sa-1");
    println!("A stand-in API server at {}, until this input ends (Ctrl-D).", cluster.server());
    println!("The pod's service account is ns-1/k-sa-1; it may get, list and watch pods. Knock on it:\n");
    let dir = mount.path().display();
    println!("kubeknock check \"list pods\" --server {} --service-account-dir {dir}\n", cluster.server());
    println!("As cluster admin, to grant more:\n");
    println!(
        "kubectl --server {} --certificate-authority {dir}/ca.crt --token {} get pods -A",
        cluster.server(),
        cluster.admin_token()
    );
    let _ = io::stdin().read_to_end(&mut Vec::new());
}
