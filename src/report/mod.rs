//! The output of a run: text, JSON, and the termination message. Nothing here changes an exit code.

pub mod json;
pub mod termination;
pub mod text;

use std::io::{self, Write};
use std::time::Duration;

use crate::cluster::Cluster;
use crate::exit::Code;
use crate::explain::{Context, Explanation, explain};
use crate::round::{Finding, Round, State};
use crate::text::escape;
use crate::time::duration::span;
use crate::trace::{Trace, Tracing};

/// How results are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Everything that is reported about a round.
#[derive(Debug)]
pub struct Report<'a> {
    /// What was found.
    pub round: &'a Round,
    /// The API server that was asked.
    pub cluster: &'a Cluster,
    /// The code of the run.
    pub code: Code,
    /// `--fail-open`: findings without an answer were passed over.
    pub fail_open: bool,
    /// Seconds since 1970.
    pub now: i64,
    /// `wait`: how long, and in how many rounds.
    pub waited: Option<(Duration, u32)>,
}

impl Report<'_> {
    /// Each finding with its explanation.
    pub fn explained(&self) -> impl Iterator<Item = (&Finding, Explanation)> {
        let context = Context::of(self.round, self.cluster, self.now);
        self.round.findings.iter().map(move |finding| (finding, explain(finding, context)))
    }

    /// The last line: the outcome and the code.
    pub fn summary(&self) -> String {
        let passed = self.round.findings.iter().filter(|finding| finding.code != Code::Ok).count();
        if self.code == Code::Ok && self.fail_open && passed > 0 {
            let plural = if passed == 1 { "" } else { "s" };
            return format!("ok (0): --fail-open ignores {passed} permission{plural} without an answer");
        }
        match self.waited {
            Some((elapsed, rounds)) if rounds > 1 => {
                let waited = span(i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX));
                format!("{}; waited {waited}, asked {rounds} times", summary_of(self.round, self.code))
            }
            Some(_) | None => summary_of(self.round, self.code),
        }
    }
}

/// The same for a round: the API server cannot reject a token that was not sent.
pub fn summary_of(round: &Round, code: Code) -> String {
    if matches!(round.findings.first(), Some(Finding { state: State::TokenEnds { .. }, .. })) {
        return format!("{} ({}): the token ends too soon (--min-token-life)", code.name(), code.number());
    }
    summary(code)
}

/// `forbidden (10): …`.
pub fn summary(code: Code) -> String {
    format!("{} ({}): {}", code.name(), code.number(), code.sentence())
}

/// Writes the answer. A closed pipe or a full disk changes nothing.
pub fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// So many bytes of a report are held before they are written.
const PIECE: usize = 16 * 1024;

/// Writes an answer that is made piece by piece after `begin`: the whole may be large.
pub fn print_pieces(begin: &str, write: impl FnOnce(&mut dyn FnMut(&str))) {
    let mut held = begin.to_owned();
    write(&mut |piece| {
        held.push_str(piece);
        if held.len() > PIECE {
            print(&held);
            held.clear();
        }
    });
    print(&held);
}

/// Writes a diagnostic, under the program's name.
pub fn complain(text: &str) {
    // One write: lines of several processes stay whole.
    let _ = io::stderr().write_all(format!("kubeknock: {text}\n").as_bytes());
}

/// `-v`: a line for each request. Warnings are shown without `-v` too.
pub fn tracing(verbose: bool) -> Tracing {
    Tracing { warnings: true, requests: verbose, tell: &trace }
}

/// Writes a trace line or a warning to stderr.
pub fn trace(seen: &Trace) {
    match seen {
        Trace::Warning(text) => complain(&format!("warning: {}", escape(text))),
        Trace::Request { identity, line, result, elapsed } => {
            let got = match result {
                Ok(status) => status.to_string(),
                Err(failure) => format!("{}: {}", failure.code().name(), escape(failure.text())),
            };
            complain(&format!("{} {}: {got} ({} ms)", identity.name(), escape(line), elapsed.as_millis()));
        }
    }
}
