//! `wait`: knock until every permission is as required, then exit 0, or become another program.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use super::{Knocking, Reporting, render};
use crate::exit::{Class, Code};
use crate::failure::Fault;
use crate::report::{Report, complain, summary, summary_of};
use crate::round::{Round, Rounds};
use crate::text::escape;
use crate::time::backoff::{Backoff, draw};
use crate::time::date::now;
use crate::time::deadline::Deadline;

/// The pause between the good rounds that `--stable` requires.
const STABLE_PAUSE: Duration = Duration::from_secs(1);

/// The settings of `wait`.
#[derive(Debug)]
pub struct Wait {
    /// What to ask, and how to report it.
    pub knocking: Knocking,
    /// The deadline of the whole wait. `None`: no deadline.
    pub timeout: Option<Duration>,
    /// The deadline of each round.
    pub request_timeout: Duration,
    /// The longest pause between rounds.
    pub max_interval: Duration,
    /// Whether no answer (2x) at the deadline is not a failure.
    pub fail_open: bool,
    /// Whether to stop at once on a definite no.
    pub fail_fast: bool,
    /// How many good rounds in a row are required.
    pub stable: u32,
    /// CMD and its arguments, which the process becomes.
    pub command: Option<Vec<OsString>>,
    /// `KUBEKNOCK_DISABLED`: why nothing is asked.
    pub disabled: Option<String>,
}

/// Runs it. `color`: stdout is a terminal, and NO_COLOR is not set.
#[inline(never)]
pub fn run(wait: &Wait, color: bool) -> Code {
    let Wait { knocking: Knocking { spec, reporting }, fail_open, command, .. } = wait;
    // stdout belongs to the command, if there is one.
    let beside = Reporting { quiet: reporting.quiet || command.is_some(), ..reporting.clone() };
    if let Some(reason) = &wait.disabled {
        beside.pass(&format!("KUBEKNOCK_DISABLED is set, so nothing is asked: {reason}"));
        return start(command.as_deref(), Code::Ok, reporting);
    }
    let begun = Instant::now();
    // Good rounds in a row are each on a new connection: behind one address, API servers learn of a grant one by one.
    let mut rounds = Rounds::many(spec.clone(), wait.stable == 1);
    let ended = knock(wait, &mut rounds);
    let waited = Some((begun.elapsed(), rounds.made));
    let code = match ended {
        Err(fault) if *fail_open && fault.code().class() == Class::NoAnswer => {
            beside.pass(&format!("going on without an answer (--fail-open): {}", fault.text()))
        }
        Err(fault) => return beside.fault(&fault),
        Ok((round, last)) => {
            let code = if *fail_open { round.code(true) } else { last };
            if code == Code::Ok && last != code {
                complain(&format!(
                    "warning: going on without an answer (--fail-open): {}",
                    because(&round, last)
                ));
            }
            let cluster = &rounds.spec.cluster;
            let report = Report { round: &round, cluster, code, fail_open: *fail_open, now: now(), waited };
            match command {
                None => reporting.report(&report, color),
                Some(_) => report_beside(reporting, &report),
            }
            code
        }
    };
    start(command.as_deref(), code, reporting)
}

/// Becomes the command if the gate is open; otherwise returns the code.
fn start(command: Option<&[OsString]>, code: Code, reporting: &Reporting) -> Code {
    match command {
        Some([program, arguments @ ..]) if code == Code::Ok => become_program(program, arguments, reporting),
        Some(_) | None => code,
    }
}

/// Until every permission is as required, or the time is over: the last round and the code.
fn knock(wait: &Wait, rounds: &mut Rounds) -> Result<(Round, Code), Fault> {
    let deadline = wait.timeout.map_or(Deadline::NEVER, Deadline::after);
    let mut backoff = Backoff::new(wait.max_interval);
    let tracing = wait.knocking.reporting.tracing();
    let mut good_rounds = 0;
    let mut completed: Option<(Round, Code)> = None;
    let mut shown = None;
    loop {
        let patience = deadline.left().map_or(wait.request_timeout, |left| left.min(wait.request_timeout));
        let round = match rounds.next(patience, tracing) {
            Ok(round) => round,
            // A file that is not read in time may be readable in the next round, which is then the first of the good ones.
            Err(fault) if fault.code().class() == Class::NoAnswer => {
                if deadline.is_over() {
                    return completed.ok_or(fault);
                }
                good_rounds = 0;
                if shown != Some(fault.code()) {
                    complain(&format!("waiting: {}", fault.text()));
                }
                shown = Some(fault.code());
                deadline.sleep(backoff.next(draw(), None));
                continue;
            }
            Err(fault) => return Err(fault),
        };
        let code = round.code(false);
        let doubted = rounds.doubts(code);
        let over = deadline.is_over();
        if over && round.timed_out {
            // Cut short by the end of the wait, it says nothing that the last whole round did not.
            return Ok(completed.unwrap_or((round, Code::Timeout)));
        }
        let pause = match code.class() {
            Class::Fine => {
                good_rounds += 1;
                if good_rounds >= wait.stable {
                    return Ok((round, code));
                }
                STABLE_PAUSE
            }
            Class::No | Class::NoAnswer
                if wait.fail_fast && !doubted && round.code(wait.fail_open).class() == Class::No =>
            {
                return Ok((round, code));
            }
            Class::NotAsked | Class::Ended => return Ok((round, code)),
            Class::No | Class::NoAnswer => {
                if std::mem::take(&mut good_rounds) > 0 {
                    backoff.reset();
                }
                if shown != Some(code) {
                    complain(&format!("waiting: {}", because(&round, code)));
                }
                backoff.next(draw(), round.retry_after(SystemTime::now()))
            }
        };
        rounds.rest(pause, code.class() != Class::NoAnswer);
        shown = Some(code);
        // Good rounds that are too few are no verdict.
        completed = Some((round, if code == Code::Ok { Code::Timeout } else { code }));
        if !deadline.sleep(pause)
            && let Some(completed) = completed
        {
            return Ok(completed);
        }
    }
}

/// The first permission that is not as required, and the outcome.
fn because(round: &Round, code: Code) -> String {
    let summary = summary_of(round, code);
    match round.findings.iter().find(|finding| finding.code == code) {
        Some(first) => format!("{}: {summary}", escape(&first.phrase)),
        // The good rounds are too few.
        None => summary,
    }
}

/// stdout is the command's: the report goes to stderr.
fn report_beside(reporting: &Reporting, report: &Report<'_>) {
    if !reporting.quiet {
        let _ = io::stderr().write_all(render(report, reporting.output).as_bytes());
    }
    let silent = Reporting { quiet: true, ..reporting.clone() };
    silent.report(report, false);
}

/// The same process, with the same environment and descriptors; handlers fall back to their defaults with
/// `exec`, and the standard library gives SIGPIPE its default back.
fn become_program(program: &OsString, arguments: &[OsString], reporting: &Reporting) -> Code {
    let error = Command::new(program).args(arguments).exec();
    let code = if error.kind() == io::ErrorKind::NotFound { Code::NotFound } else { Code::NotExecutable };
    let why = format!("{}: {}: {error}", summary(code), escape(&program.to_string_lossy()));
    complain(&why);
    reporting.termination.write(code, &format!("{why}\n"));
    code
}
