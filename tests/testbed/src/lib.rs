//! The base of the tests, the examples and the benchmark: clusters, and pods that talk to them.
//!
//! - [`World`]: a cluster, real or not, as scenarios see it. [`Cluster`] is the stand-in (an API server in the
//!   test's own process, which fails on request), [`RealCluster`] a real etcd and kube-apiserver.
//! - [`far`]: a network on loopback that delays what it passes on.
//! - [`faults`]: listeners that misbehave below HTTP.
//! - [`pod::Pod`]: a service account mount, and kubeknock run with it. [`Finished`] is a run that has ended,
//!   with its assertions, and [`Running`] one that has not. [`scene::Scene`] is the cluster and pod of most
//!   tests.
//!
//! It does not know where cargo puts the binary: each test crate provides the path with [`kubeknock!`].

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::new_without_default,
    clippy::return_self_not_must_use,
    reason = "helpers of tests panic as tests do, and are called for that"
)]

pub mod audit;
pub mod certificates;
pub mod client;
mod cluster;
pub mod far;
pub mod faults;
mod mount;
pub mod pod;
mod program;
pub mod real;
pub mod recordings;
mod relay;
mod running;
pub mod scene;
pub mod schema;
mod screen;
mod world;
pub mod yaml;

pub use cluster::{
    Builder, Cluster, Fault, ISSUER, Seen, Times, Tls, TokenSpec, Version, custom_resource_definition,
};
pub use mount::{kubeconfig, write_mount, write_mount_with};
pub use pod::{Finished, Stderr};
pub use program::{Program, is_released, memory_is_the_runners, program, runner, runner_delay};
pub use real::RealCluster;
pub use relay::Relay;
pub use running::{Running, eventually};
pub use world::{World, rbac_path};
