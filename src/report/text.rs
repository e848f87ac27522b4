//! The report as text: one line for each permission, below it why and what to type, and the outcome at the end.

use super::Report;
use crate::api::status::Meaning;
use crate::exit::{Class, Code};
use crate::explain;
use crate::knock::Knock;
use crate::permission::Expected;
use crate::round::Finding;
use crate::text::{escape, quote};

/// Renders the report. `color`: for a terminal.
pub fn render(report: &Report<'_>, color: bool) -> String {
    let mut lines = Vec::new();
    let rows: Vec<[String; 3]> = report.round.findings.iter().map(row).collect();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let (first, second, third) = (width(0), width(1), width(2));
    let mut missing = Vec::new();
    for ((finding, explanation), [phrase, anonymous, token]) in report.explained().zip(&rows) {
        let outcome = paint(outcome(finding), finding.code, color);
        lines.push(format!("{phrase:first$}  {anonymous:second$}  {token:third$}  {outcome}"));
        lines.extend(explanation.lines().iter().map(|line| format!("    {}", escape(line))));
        if !explanation.remedy.is_empty() && explain::missing(finding, report.round.bearer).is_some() {
            missing.push(quote(phrase));
        }
    }
    if missing.len() > 1 {
        lines.push(format!(
            "all {} grants at once, as YAML: kubeknock grant {}",
            missing.len(),
            missing.join(" ")
        ));
    }
    lines.push(paint(&report.summary(), report.code, color));
    lines.join("\n") + "\n"
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
