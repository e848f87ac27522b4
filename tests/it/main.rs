//! The built binary, from outside, against the stand-in cluster: exit code, stdout and stderr together.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "as tests do")]

mod audit;
mod bad_input;
mod clocks;
mod deadline;
mod doctor;
mod documents;
mod endpoints;
mod field_answers;
mod field_names;
mod field_trust;
mod files;
mod gate;
mod grant;
mod hostile;
mod house;
mod install;
mod names;
mod outcomes;
mod permissions;
mod plugin;
mod promises;
mod rounds;
mod rules;
mod sidecar;
mod strange_answers;
mod termination;
mod token_life;
mod whoami;
mod words;

testbed::kubeknock!();
