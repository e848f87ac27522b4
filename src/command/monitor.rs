//! `monitor`: the sidecar. Keeps knocking and prints changes; SIGTERM ends it with 0.

use std::time::{Duration, SystemTime};

use super::{Knocking, Reporting, now};
use crate::exit::{Class, Code, fold};
use crate::report::{Format, Report, complain, print, termination};
use crate::round::Rounds;
use crate::time::backoff::{Backoff, draw, jittered};
use crate::time::date::timestamp;
use crate::time::deadline::Deadline;

/// What `monitor` was asked to do.
#[derive(Debug)]
pub struct Monitor {
    /// What to ask, and how to report it.
    pub knocking: Knocking,
    /// Each round.
    pub request_timeout: Duration,
    /// Between rounds that were answered.
    pub interval: Duration,
    /// The longest pause while there is no answer.
    pub max_interval: Duration,
    /// Exit on a definite no.
    pub until_lost: bool,
}

/// Runs it: without an end, but for `--until-lost` and for a pod that cannot ask from the start.
pub fn run(monitor: Monitor, color: bool) -> Code {
    let Monitor {
        knocking: Knocking { spec, reporting },
        request_timeout,
        interval,
        max_interval,
        until_lost,
    } = monitor;
    let mut rounds = Rounds::new(spec);
    let mut backoff = Backoff::new(max_interval);
    let mut state = Vec::new();
    let mut fault_shown = String::new();
    loop {
        let pause = match rounds.next(request_timeout, reporting.tracing()) {
            // A token or CA that cannot be read while the kubelet renews it comes back.
            Err(fault) if rounds.made > 0 => {
                if fault_shown != fault.text() {
                    complain(fault.text());
                    fault.text().clone_into(&mut fault_shown);
                }
                backoff.next(draw(), None)
            }
            Err(fault) => return reporting.fault(&fault),
            Ok(round) => {
                fault_shown.clear();
                let codes: Vec<Code> = round.findings.iter().map(|finding| finding.code).collect();
                let code = fold(codes.iter().copied(), false);
                let cluster = &rounds.spec.cluster;
                let report =
                    Report { round: &round, cluster, code, fail_open: false, now: now(), waited: None };
                if state != codes && !reporting.quiet {
                    print(&(stamp(&reporting) + &reporting.render(&report, color)));
                }
                state = codes;
                if until_lost && code.class() == Class::No {
                    reporting.termination.write(code, &termination::message(&report));
                    return code;
                }
                if code.class() == Class::NoAnswer {
                    backoff.next(draw(), round.retry_after(SystemTime::now()))
                } else {
                    backoff.reset();
                    jittered(interval, draw())
                }
            }
        };
        Deadline::NEVER.sleep(pause);
    }
}

/// A text report begins with its time; a JSON report has it in a field.
fn stamp(reporting: &Reporting) -> String {
    match reporting.output {
        Format::Text => timestamp(SystemTime::now()) + "\n",
        Format::Json => String::new(),
    }
}
