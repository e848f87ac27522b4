//! `check`: knock once for each permission, print, exit.

use std::time::Duration;

use super::{Asking, now};
use crate::exit::{Code, fold};
use crate::report::Report;
use crate::round::Rounds;

/// What `check` was asked to do.
#[derive(Debug)]
pub struct Check {
    /// What to ask, and how to tell.
    pub asking: Asking,
    /// The whole run.
    pub timeout: Duration,
    /// No answer is no failure.
    pub fail_open: bool,
}

/// Runs it. `colour`: stdout is a terminal that wants it.
pub fn run(check: Check, colour: bool) -> Code {
    let Check { asking: Asking { order, telling }, timeout, fail_open } = check;
    let mut rounds = Rounds::new(order);
    let round = match rounds.next(timeout, telling.tracing()) {
        Ok(round) => round,
        Err(fault) => return telling.fault(&fault),
    };
    let code = fold(round.findings.iter().map(|finding| finding.code), fail_open);
    let cluster = &rounds.order.cluster;
    telling.report(&Report { round: &round, cluster, code, fail_open, now: now(), waited: None }, colour);
    code
}
