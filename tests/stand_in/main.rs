//! Tests of the stand-in cluster itself: it answers as recorded kube-apiservers do, and fails as requested.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "as tests do")]

mod recorded;
mod trials;

testbed::kubeknock!();
