//! Steps at the API server: who this process is there, what that user may do, and the permissions themselves.

use std::time::Duration;

use super::super::evidence::{Evidence, Question, late};
use super::super::step::{Advice, Mark, Step};
use super::network::failed;
use crate::api::review::Rule;
use crate::api::status::Meaning;
use crate::exit::Code;
use crate::explain::{self, Context, explain};
use crate::report::text::{outcome, row};
use crate::round::{Finding, Round};

/// The user that the API server names.
pub fn identity(seen: &Evidence) -> Step {
    const NAME: &str = "identity";
    let Some((recognition, elapsed)) = &seen.identity else { return unasked(NAME, seen) };
    let code = recognition.code(seen.bearer);
    let claims = seen.claims();
    let step = match (recognition.name(), &recognition.result) {
        (Some(name), Ok(_)) => {
            let groups = recognition.user.as_ref().map(|user| format!("groups {}", user.groups.join(", ")));
            Step::good(NAME, name).and(groups)
        }
        (None, Ok(answer)) if code == Code::Ok => {
            let subject = claims.and_then(|claims| claims.subject.as_deref()).unwrap_or("an unnamed user");
            Step::good(NAME, format!("{subject}, as the token claims (status {})", answer.status))
        }
        (None, Ok(answer)) => Step::good(NAME, answer.line()),
        (_, Err(failure)) => Step::good(NAME, failure.text()),
    };
    let step = step.took(*elapsed);
    if code == Code::Ok {
        return step;
    }
    let context = Context {
        cluster: &seen.cluster,
        bearer: seen.bearer,
        claims,
        subject: recognition.name(),
        now: seen.now,
    };
    let advice = explain::request(code, &recognition.result, context);
    Step { mark: Mark::Broken, code, ..step }.advise(advice)
}

/// What that user may do, in short.
pub fn rules(seen: &Evidence) -> Step {
    const NAME: &str = "rules";
    let Some((result, rules, elapsed)) = &seen.rules else { return unasked(NAME, seen) };
    let namespace = seen.namespace.as_deref().unwrap_or_default();
    let step = match result {
        Ok(answer) if answer.meaning == Meaning::Granted => {
            let doubt = if rules.incomplete { " (incomplete, by the server's own word)" } else { "" };
            Step::good(NAME, format!("in {namespace}{doubt}: {}", in_one_line(&rules.list)))
        }
        Ok(answer) => Step::open(NAME, answer.line()),
        Err(failure) => Step::open(NAME, failure.text()),
    };
    step.took(*elapsed)
}

fn unasked(name: &'static str, seen: &Evidence) -> Step {
    match seen.timed_out {
        Some(patience) if seen.no_contact().is_none() => failed(name, &late(patience)),
        Some(_) | None if seen.no_contact().is_some() => Step::open(name, "not asked: no connection"),
        Some(_) | None if seen.bundle.is_err() => {
            Step::open(name, "not asked: the token is sent only to a verified server")
        }
        Some(_) | None => Step::open(name, "not asked"),
    }
}

/// What is granted beyond what every account may do.
fn in_one_line(rules: &[Rule]) -> String {
    /// So many characters are about a line and a half.
    const ROOM: usize = 110;
    let special = |rule: &&Rule| {
        rule.url.is_none() && !(rule.resource.starts_with("selfsubject") && rule.verbs == ["create"])
    };
    let mut text = String::new();
    let mut left = 0;
    for rule in rules.iter().filter(special) {
        let name = rule.name.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
        let shown = format!("{} {}{name}", rule.verbs.join(","), rule.full_resource());
        if left > 0 || text.len() + shown.len() > ROOM {
            left += 1;
            continue;
        }
        let join = if text.is_empty() { "" } else { "; " };
        text.push_str(&format!("{join}{shown}"));
    }
    match (text.is_empty(), left) {
        (true, 0) => "nothing beyond what every account may do".into(),
        (_, 0) => text,
        (_, left) => format!("{text}; and {left} more"),
    }
}

/// A step for each permission that is asked.
pub fn questions(seen: &Evidence) -> Vec<Step> {
    const NAME: &str = "question";
    match &seen.round {
        None => {
            let why = if seen.no_contact().is_some() { ": no connection" } else { "" };
            let open = |question: &Question| {
                let found = format!("{}: not asked{why}", question.phrase);
                Step::open(NAME, found).about(&question.phrase)
            };
            seen.questions.iter().map(open).collect()
        }
        Some(Err(fault)) => vec![Step::broken(NAME, fault.code(), fault.text())],
        Some(Ok(round)) => {
            let asked = round.findings.iter().zip(&seen.questions);
            asked.map(|(finding, question)| answered(NAME, finding, question, round, seen)).collect()
        }
    }
}

fn answered(
    name: &'static str,
    finding: &Finding,
    question: &Question,
    round: &Round,
    seen: &Evidence,
) -> Step {
    let explanation = explain(finding, Context::of(round, &seen.cluster, seen.now));
    let found = if finding.was_asked() {
        let [phrase, anonymous, token] = row(finding);
        format!("{phrase}: {anonymous}, {token}: {}", outcome(finding))
    } else {
        format!("{}: not asked", finding.phrase)
    };
    let step = match finding.code {
        Code::Ok => Step::good(name, found),
        // Refused, and nothing depends on it.
        Code::Forbidden if !question.decides => Step::open(name, found),
        code => Step::broken(name, code, found),
    };
    let elapsed = finding.was_asked().then(|| {
        let knocks = finding.asked().into_iter().flat_map(|asked| asked.knocks.iter());
        knocks.map(|knock| knock.elapsed).sum::<Duration>()
    });
    // An explanation may hold a line to type among its sentences.
    let advice = |line: String| {
        if line.starts_with("kubectl ") { Advice::command(line) } else { Advice::from(line) }
    };
    Step { elapsed, ..step.about(&finding.phrase) }
        .advise(explanation.why.into_iter().map(advice))
        .advise(explanation.remedy.into_iter().map(Advice::command))
}
