//! The built binary, from outside, against the stand-in cluster: exit code, stdout and stderr together.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests panic as tests do"
)]

mod bad_input;
#[path = "../cluster/mod.rs"]
mod cluster;
mod deadline;
mod documents;
mod gate;
mod hostile;
mod house;
mod install;
mod names;
mod outcomes;
mod permissions;
#[path = "../pod.rs"]
mod pod;
mod promises;
#[path = "../running.rs"]
mod running;
mod see;
mod sidecar;
mod strange_answers;
mod support;
mod termination;
