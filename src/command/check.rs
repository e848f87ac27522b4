//! `check`: knock once for each permission, print, exit.

use std::sync::Arc;
use std::time::Duration;

use super::now;
use crate::cli::Output;
use crate::exit::{Code, fold};
use crate::failure::Fault;
use crate::report::{Report, complain, json, print, termination, text, trace};
use crate::round::{self, Order};

/// What `check` was asked to do.
#[derive(Debug)]
pub struct Check {
    /// What to ask.
    pub order: Order,
    /// The whole run.
    pub timeout: Duration,
    /// No answer is no failure.
    pub fail_open: bool,
    /// How to show it.
    pub output: Output,
    /// Nothing on stdout.
    pub quiet: bool,
    /// Each knock on stderr.
    pub verbose: bool,
    /// Where the verdict goes beside stdout.
    pub termination: termination::Target,
}

/// Runs it. `colour`: stdout is a terminal that wants it.
pub fn run(check: Check, colour: bool) -> Code {
    let order = Arc::new(check.order);
    if order.cluster.trust == crate::cluster::Trust::Anything {
        complain("warning: --insecure-skip-tls-verify: whoever answers gets the token");
    }
    let round = match round::run(&order, check.timeout, true, &mut trace(check.verbose)) {
        Ok(round) => round,
        Err(fault) => {
            if check.output == Output::Json && !check.quiet {
                print(&json::render_fault(&fault));
            }
            return could_not_ask(&fault, &check.termination);
        }
    };
    let code = fold(round.findings.iter().map(|finding| finding.code), check.fail_open);
    let report =
        Report { round: &round, cluster: &order.cluster, code, fail_open: check.fail_open, now: now() };
    if !check.quiet {
        print(&match check.output {
            Output::Text => text::render(&report, colour),
            Output::Json => json::render(&report),
        });
    }
    check.termination.write(code, &termination::message(&report));
    code
}

/// Says why it could not be asked.
pub fn could_not_ask(fault: &Fault, termination: &termination::Target) -> Code {
    let code = fault.code();
    complain(fault.text());
    termination.write(code, &format!("{} ({}): {}\n", code.name(), code.number(), fault.text()));
    code
}
