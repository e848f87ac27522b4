//! `monitor`: the sidecar. Keeps knocking and prints changes; SIGTERM ends it with 0.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use super::{Knocking, Reporting, render};
use crate::endpoint;
use crate::endpoint::board::{Board, Snapshot};
use crate::exit::{Class, Code};
use crate::failure::{Failure, Fault};
use crate::report::{self, Format, Report, complain, termination};
use crate::round::{Rounds, Spec};
use crate::time::backoff::{Backoff, draw, jittered};
use crate::time::date::{now, timestamp};
use crate::time::deadline::Deadline;
use crate::trace::{Trace, Tracing};

/// The settings of `monitor`.
#[derive(Debug)]
pub struct Monitor {
    /// What to ask, and how to report it.
    pub knocking: Knocking,
    /// The deadline of each round.
    pub request_timeout: Duration,
    /// The pause between rounds that were answered.
    pub interval: Duration,
    /// The longest pause while there is no answer.
    pub max_interval: Duration,
    /// Whether to exit on a definite no.
    pub until_lost: bool,
    /// The address for probes and metrics.
    pub listen: Option<SocketAddr>,
}

/// Runs it. It ends only with `--until-lost`, or if the pod cannot ask from the start.
#[inline(never)]
pub fn run(monitor: Monitor, color: bool) -> Code {
    let Monitor {
        knocking: Knocking { spec, reporting },
        request_timeout,
        interval,
        max_interval,
        until_lost,
        listen,
    } = monitor;
    let board = match listen.map(|address| serve(address, request_timeout, reporting.verbose)).transpose() {
        Ok(board) => board,
        Err(fault) => return reporting.fault(&fault),
    };
    let tracing = board.map_or_else(|| reporting.tracing(), |board| counting(board, reporting.verbose));
    let mut rounds = Rounds::many(spec, true);
    let mut backoff = Backoff::new(max_interval);
    let mut state = Vec::new();
    let mut fault_shown = String::new();
    loop {
        let start = Instant::now();
        let pause = match rounds.next(request_timeout, tracing) {
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
                let code = round.code(false);
                let doubted = rounds.doubts(code);
                let cluster = &rounds.spec.cluster;
                let report =
                    Report { round: &round, cluster, code, fail_open: false, now: now(), waited: None };
                if !doubted {
                    if let Some(board) = board {
                        board.complete(snapshot(&report, &rounds.spec), start.elapsed());
                    }
                    if state != codes && !reporting.quiet {
                        reporting.print(&stamp(&reporting), &report, color);
                    }
                    state = codes;
                    if until_lost && code.class() == Class::No {
                        reporting.termination.write(code, &termination::message(&report));
                        return code;
                    }
                }
                let answered = !doubted && code.class() != Class::NoAnswer;
                let pause = if answered {
                    backoff.reset();
                    jittered(interval, draw())
                } else {
                    backoff.next(draw(), round.retry_after(SystemTime::now()))
                };
                rounds.rest(pause, answered);
                pause
            }
        };
        if let Some(board) = board {
            board.expect_within(pause.saturating_add(request_timeout));
        }
        Deadline::NEVER.sleep(pause);
    }
}

/// Starts to serve. The board lives as long as the process.
fn serve(address: SocketAddr, request_timeout: Duration, verbose: bool) -> Result<&'static Board, Fault> {
    let board: &'static Board = Box::leak(Box::new(Board::new(request_timeout)));
    let bound = endpoint::start(address, board, verbose.then_some(complain))?;
    complain(&format!("serving probes and metrics on {bound}"));
    Ok(board)
}

/// Counts each request of the rounds on the board; shows it, too, with `-v`.
fn counting(board: &'static Board, verbose: bool) -> Tracing {
    let tell = move |seen: &Trace| {
        if let Trace::Request { identity, result, .. } = seen {
            board.count(*identity, result.as_ref().map_err(Failure::code).copied());
            if !verbose {
                return;
            }
        }
        report::trace(seen);
    };
    Tracing { warnings: true, requests: true, tell: Box::leak(Box::new(tell)) }
}

/// What the endpoints show about a round.
fn snapshot(report: &Report<'_>, spec: &Spec) -> Snapshot {
    let claims = report.round.claims.as_ref();
    Snapshot {
        text: render(report, Format::Text),
        json: render(report, Format::Json),
        code: report.code,
        fail_open_code: report.round.code(true),
        // As typed: a name that is resolved in one round and not in another keeps its series.
        permissions: spec
            .permissions
            .iter()
            .zip(&report.round.findings)
            .map(|(permission, finding)| (permission.to_string(), finding.code))
            .collect(),
        expires: claims.and_then(|claims| claims.expires),
        warn_after: claims.and_then(|claims| claims.warn_after),
    }
}

/// A text report begins with its time; a JSON report has it in a field.
fn stamp(reporting: &Reporting) -> String {
    match reporting.output {
        Format::Text => timestamp(SystemTime::now()) + "\n",
        Format::Json => String::new(),
    }
}
