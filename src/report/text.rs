//! The report as text: one line for each permission, below it why and what to type, and the outcome at the end.

use super::Report;
use crate::api::status::Meaning;
use crate::exit::{Class, Code};
use crate::explain;
use crate::knock::Knock;
use crate::permission::Expected;
use crate::round::Finding;
use crate::text::{escape, quote};

/// The most phrases in a command to type.
const IN_A_LINE: usize = 100;

/// Writes the report, piece by piece. `color`: for a terminal.
pub fn write(report: &Report<'_>, color: bool, sink: &mut dyn FnMut(&str)) {
    let mut widths = [0; 3];
    for cells in report.round.findings.iter().map(row) {
        for (width, cell) in widths.iter_mut().zip(&cells) {
            *width = cell.chars().count().max(*width);
        }
    }
    let [first, second, third] = widths;
    let (mut count, mut missing) = (0, Vec::new());
    for (finding, explanation) in report.explained() {
        let [phrase, anonymous, token] = row(finding);
        let outcome = paint(outcome(finding), finding.code, color);
        sink(&format!("{phrase:first$}  {anonymous:second$}  {token:third$}  {outcome}\n"));
        for line in explanation.lines() {
            sink(&format!("    {}\n", escape(&line)));
        }
        if !explanation.remedy.is_empty() && explain::missing(finding, report.round.bearer).is_some() {
            count += 1;
            if count <= IN_A_LINE {
                missing.push(quote(&phrase));
            }
        }
    }
    if count > 1 {
        let phrases = if count > IN_A_LINE { "with the same phrases".to_owned() } else { missing.join(" ") };
        sink(&format!("all {count} grants at once, as YAML: kubeknock grant {phrases}\n"));
    }
    sink(&paint(&report.summary(), report.code, color));
    sink("\n");
}

/// The outcome, in a word or two.
pub fn outcome(finding: &Finding) -> &'static str {
    match (finding.is_own(), finding.expected, finding.code) {
        (false, ..) => "not asked",
        // A `cannot` that is satisfied is a refusal, and reads as one.
        (true, Expected::Cannot, Code::Ok) => "forbidden, as required",
        (true, _, code) => code.name(),
    }
}

/// The phrase, and the result of each knock.
pub fn row(finding: &Finding) -> [String; 3] {
    let review = finding.by_review();
    let knocks = finding.asked().map(|asked| &asked.knocks);
    [
        escape(&finding.phrase),
        format!("anonymous {}", cell(knocks.and_then(|knocks| knocks.anonymous.as_ref()), review)),
        format!("token {}", cell(knocks.and_then(|knocks| knocks.token.as_ref()), review)),
    ]
}

/// The result of one knock, in one word.
fn cell(knock: Option<&Knock>, review: bool) -> String {
    let Some(knock) = knock else { return "-".into() };
    match &knock.result {
        Err(failure) => failure.code().name().into(),
        Ok(answer) => match answer.meaning {
            Meaning::ReviewForbidden => "unknown".into(),
            Meaning::Granted if review => "yes".into(),
            Meaning::Forbidden | Meaning::Denied if review => "no".into(),
            Meaning::Conditional => "conditions".into(),
            // A review that was not decided has the status of one that was.
            Meaning::Unavailable if review && answer.status < 300 => "undecided".into(),
            Meaning::Granted
            | Meaning::NotFound
            | Meaning::Denied
            | Meaning::OtherForbidden
            | Meaning::Forbidden
            | Meaning::Unauthenticated
            | Meaning::Unserved
            | Meaning::Unavailable
            | Meaning::Unintelligible => answer.status.to_string(),
        },
    }
}

/// Green, red or yellow by the class of the code.
pub fn paint(text: &str, code: Code, color: bool) -> String {
    if !color {
        return text.to_owned();
    }
    let number = match code.class() {
        Class::Fine => 32,
        Class::No => 31,
        Class::NoAnswer | Class::NotAsked | Class::Ended => 33,
    };
    format!("\u{1b}[{number}m{text}\u{1b}[0m")
}
