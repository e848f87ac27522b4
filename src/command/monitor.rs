//! `monitor`: the sidecar. Keeps knocking, prints what changes; SIGTERM ends it well.

use std::time::{Duration, SystemTime};

use super::{Knocking, now};
use crate::exit::{Class, Code, fold};
use crate::report::{Report, complain, print, termination};
use crate::round::Rounds;
use crate::time::backoff::{Backoff, draw, jittered};
use crate::time::deadline::Deadline;

/// What `monitor` was asked to do.
#[derive(Debug)]
pub struct Monitor {
    /// What to ask, and how to tell.
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

/// Runs it: for ever, but for `--until-lost` and for a pod that cannot ask from the start.
pub fn run(monitor: Monitor, colour: bool) -> Code {
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
    let mut fault_told = String::new();
    loop {
        let pause = match rounds.next(request_timeout, reporting.tracing()) {
            // A token or CA that cannot be read while the kubelet renews it comes back.
            Err(fault) if rounds.made > 0 => {
                if fault_told != fault.text() {
                    complain(fault.text());
                    fault.text().clone_into(&mut fault_told);
                }
                backoff.next(draw(), None)
            }
            Err(fault) => return reporting.fault(&fault),
            Ok(round) => {
                fault_told.clear();
                let codes: Vec<Code> = round.findings.iter().map(|finding| finding.code).collect();
                let code = fold(codes.iter().copied(), false);
                let cluster = &rounds.spec.cluster;
                let report =
                    Report { round: &round, cluster, code, fail_open: false, now: now(), waited: None };
                if state != codes && !reporting.quiet {
                    print(&reporting.render(&report, colour));
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
