//! The stand-in cluster itself: that it answers as recorded kube-apiservers do, and goes wrong as it is asked to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "as tests do")]

mod recorded;
mod trials;

testbed::kubeknock!();
