//! `check`: knock once for each permission, print, exit.

use std::time::Duration;

use super::Knocking;
use crate::exit::{Class, Code};
use crate::report::Report;
use crate::round::Rounds;
use crate::time::date::now;

/// The settings of `check`.
#[derive(Debug)]
pub struct Check {
    /// What to ask, and how to report it.
    pub knocking: Knocking,
    /// The deadline of the whole run.
    pub timeout: Duration,
    /// Whether no answer (2x) counts as success.
    pub fail_open: bool,
}

/// Runs it. `color`: stdout is a terminal, and NO_COLOR is not set.
#[inline(never)]
pub fn run(check: Check, color: bool) -> Code {
    let Check { knocking: Knocking { spec, reporting }, timeout, fail_open } = check;
    let mut rounds = Rounds::one(spec);
    let round = match rounds.next(timeout, reporting.tracing()) {
        Ok(round) => round,
        Err(fault) if fail_open && fault.code().class() == Class::NoAnswer => {
            return reporting.pass(&format!("--fail-open passes over: {}", fault.text()));
        }
        Err(fault) => return reporting.fault(&fault),
    };
    let code = round.code(fail_open);
    let cluster = &rounds.spec.cluster;
    reporting.report(&Report { round: &round, cluster, code, fail_open, now: now(), waited: None }, color);
    code
}
