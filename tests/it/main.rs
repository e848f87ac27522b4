//! The built binary, from outside, against the stand-in cluster: exit code, stdout and stderr together.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests panic as tests do"
)]

#[path = "../cluster/mod.rs"]
mod cluster;
#[path = "../pod.rs"]
mod pod;
mod see;
