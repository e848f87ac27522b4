//! What a run tells: text, JSON, and the termination message. Nothing here changes an exit code.

pub mod json;
pub mod termination;
pub mod text;

use std::io::{self, Write};
use std::time::Duration;

use crate::clock::span;
use crate::cluster::Cluster;
use crate::exit::Code;
use crate::explain::{Context, Explanation, explain};
use crate::round::{Finding, Round};
use crate::visit::{Trace, Tracing};

/// How results are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Everything there is to tell about a round.
#[derive(Debug)]
pub struct Report<'a> {
    /// What was found.
    pub round: &'a Round,
    /// Where.
    pub cluster: &'a Cluster,
    /// What it comes to.
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
        let context = Context { round: self.round, cluster: self.cluster, now: self.now };
        self.round.findings.iter().map(move |finding| (finding, explain(finding, context)))
    }

    /// The last line: the outcome and the code.
    pub fn summary(&self) -> String {
        let passed = self.round.findings.iter().filter(|finding| finding.code != Code::Allowed).count();
        if self.code == Code::Allowed && self.fail_open && passed > 0 {
            return format!("allowed (0): --fail-open passed over {passed} without an answer");
        }
        match self.waited {
            Some((elapsed, rounds)) if rounds > 1 => {
                let waited = span(i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX));
                format!("{}; waited {waited}, asked {rounds} times", summary(self.code))
            }
            _ => summary(self.code),
        }
    }
}

/// `forbidden (10): …`.
pub fn summary(code: Code) -> String {
    format!("{} ({}): {}", code.name(), code.number(), code.sentence())
}

/// Escapes control characters and those that reorder text or break lines, so that a server's words cannot paint the
/// reader's terminal or forge lines.
pub fn escape(text: &str) -> String {
    let reorders = |c| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || reorders(c) {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Breaks a text into lines of at most `width` characters, at spaces where there are any.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut letters: Vec<char> = word.chars().collect();
        while !letters.is_empty() {
            let Some(line) = lines.last_mut() else { break };
            let used = line.chars().count();
            let gap = usize::from(used > 0);
            let room = width.saturating_sub(used + gap);
            if letters.len() > room && used > 0 {
                lines.push(String::new());
                continue;
            }
            if gap > 0 {
                line.push(' ');
            }
            line.extend(letters.drain(..letters.len().min(room.max(1))));
        }
    }
    lines
}

/// Writes the answer. A closed pipe or a full disk changes nothing.
pub fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Writes a diagnostic, under the program's name.
pub fn complain(text: &str) {
    // One write: lines of several processes stay whole.
    let _ = io::stderr().write_all(format!("kubeknock: {text}\n").as_bytes());
}

/// `-v`: a line for each request. Warnings are told without `-v` too.
pub fn tracing(verbose: bool) -> Tracing {
    Tracing { warnings: true, requests: verbose, tell: trace }
}

fn trace(seen: &Trace) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_broken_at_spaces_if_they_can_be() {
        assert_eq!(wrap("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrap("a abcdefghij b", 4), ["a", "abcd", "efgh", "ij b"]);
        assert_eq!(wrap("", 4), [""]);
    }

    #[test]
    fn a_servers_words_cannot_paint_the_terminal() {
        assert_eq!(escape("a\u{1b}[31mb\nc\u{202e}\u{9b}\0"), "a\\u{1b}[31mb\\nc\\u{202e}\\u{9b}\\u{0}");
        assert_eq!(escape("grüße ✓ \"x\""), "grüße ✓ \"x\"");
    }
}
