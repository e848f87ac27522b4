//! `grant`: asks like `check`, and prints the RBAC objects that are missing, as YAML.

use std::time::Duration;

use super::Knocking;
use crate::api::Request;
use crate::api::review::Attributes;
use crate::api::status::{self, ANONYMOUS, Meaning, Shape};
use crate::cluster::Cluster;
use crate::exit::Code;
use crate::explain::{Context, explain, missing};
use crate::grant::{Rule, Subject, merged, place, yaml};
use crate::permission::Expected;
use crate::report::{Report, complain, print, summary, termination, text};
use crate::round::{Finding, Rounds};
use crate::text::escape;
use crate::time::date::{now, time};
use crate::time::deadline::Deadline;
use crate::trace::Tracing;
use crate::visit::Visit;

/// The settings of `grant`.
#[derive(Debug)]
pub struct Grant {
    /// What to ask, and how.
    pub knocking: Knocking,
    /// The deadline of the whole run.
    pub timeout: Duration,
    /// `--all`: whether to print grants that already exist, too.
    pub all: bool,
}

/// The rules to grant in one namespace, or in the whole cluster.
struct Place<'a> {
    namespace: Option<&'a str>,
    rules: Vec<Rule>,
}

/// Runs `grant`. The exit code is that of `check`, even if some of the grants cannot be printed.
#[inline(never)]
pub fn run(grant: Grant) -> Code {
    let Grant { knocking: Knocking { spec, reporting }, timeout, all } = grant;
    let deadline = Deadline::after(timeout);
    let mut rounds = Rounds::one(spec);
    let round = match rounds.next(timeout, reporting.tracing()) {
        Ok(round) => round,
        Err(fault) => return reporting.fault(&fault),
    };
    let spec = &rounds.spec;
    let code = round.code(false);
    let report =
        Report { round: &round, cluster: &spec.cluster, code, fail_open: false, now: now(), waited: None };
    let context = Context::of(&round, report.cluster, report.now);
    let user = context.subject.filter(|user| *user != ANONYMOUS);
    let subject = user.and_then(Subject::of);
    let mut places: Vec<Place<'_>> = Vec::new();
    let mut is_quiet = true;
    for finding in &round.findings {
        let wanted = missing(finding, round.bearer).or_else(|| granted(finding).filter(|_| all));
        match (wanted, &subject) {
            (Some(attributes), Some(_)) => add(&mut places, attributes),
            (None, _) if finding.code == Code::Ok => {}
            (Some(_) | None, _) => {
                is_quiet = false;
                say(finding, context);
            }
        }
        if wanted.is_some() && subject.is_none() {
            complain("    the user to grant it to is not known: kubeknock whoami");
        }
    }
    let text = match &subject {
        Some(subject) if !places.is_empty() => {
            let tracing = Tracing { warnings: false, ..reporting.tracing() };
            doubts(&spec.cluster, subject, &places, deadline, tracing) + &objects(subject, places)
        }
        Some(_) | None if code == Code::Ok => "# nothing is missing\n".to_owned(),
        Some(_) | None => String::new(),
    };
    if !text.is_empty() {
        let user = user.map(escape);
        let user = user.as_deref().unwrap_or("a user that is not known");
        print(&format!("# asked as {user} at {} of {}\n{text}", time(report.now), spec.cluster.server));
    }
    if !is_quiet {
        complain(&summary(code));
    }
    reporting.termination.write(code, &termination::message(&report));
    code
}

/// The attributes of a permission that is required and already granted.
fn granted(finding: &Finding) -> Option<&Attributes> {
    let asked = finding.asked().filter(|_| finding.code == Code::Ok && finding.expected == Expected::Can)?;
    Some(&asked.question.attributes)
}

fn add<'a>(places: &mut Vec<Place<'a>>, attributes: &'a Attributes) {
    let (namespace, rule) = (place(attributes), Rule::of(attributes));
    match places.iter_mut().find(|place| place.namespace == namespace) {
        Some(place) => place.rules.push(rule),
        None => places.push(Place { namespace, rules: vec![rule] }),
    }
}

/// Prints on stderr why there is no grant for a permission.
fn say(finding: &Finding, context: Context<'_>) {
    complain(&format!("{}: {}", escape(&finding.phrase), text::outcome(finding)));
    for line in explain(finding, context).lines() {
        complain(&format!("    {}", escape(&line)));
    }
}

/// YAML comments about namespaces that do not exist, or that this user cannot see: a grant in a missing namespace
/// cannot be applied. The account's own namespace always exists.
fn doubts(
    cluster: &Cluster,
    subject: &Subject<'_>,
    places: &[Place<'_>],
    deadline: Deadline,
    tracing: Tracing,
) -> String {
    let mut doubts = String::new();
    let mut visit = None;
    for name in places.iter().filter_map(|place| place.namespace) {
        if matches!(subject, Subject::Account(own, _) if *own == name) {
            continue;
        }
        let visit = visit.get_or_insert_with(|| {
            Visit::prepare(cluster, deadline.left().unwrap_or_default(), tracing, None).ok()
        });
        let request = Request::get(format!("/api/v1/namespaces/{name}"));
        let read = |reply| status::answer(reply, &Shape::Object(name.to_owned()));
        let ask = |visit: &Visit| visit.ask(&request, visit.bearer.deciding(), read).ok();
        let doubt = match visit.as_ref().and_then(ask).map(|answer| answer.meaning) {
            Some(Meaning::Granted) => continue,
            Some(Meaning::NotFound) => {
                let doubt = format!(
                    "the namespace {name} does not exist: create it first: kubectl create namespace {name}"
                );
                complain(&format!("warning: {doubt}"));
                doubt
            }
            Some(
                Meaning::Forbidden
                | Meaning::Denied
                | Meaning::ReviewForbidden
                | Meaning::OtherForbidden
                | Meaning::Conditional
                | Meaning::Unauthenticated
                | Meaning::Unserved
                | Meaning::Unavailable
                | Meaning::Unintelligible,
            )
            | None => format!("this user cannot see whether the namespace {name} exists"),
        };
        doubts.push_str(&format!("# {doubt}\n"));
    }
    doubts
}

/// A role and a binding for each place.
fn objects(subject: &Subject<'_>, places: Vec<Place<'_>>) -> String {
    let mut text = String::new();
    for Place { namespace, rules } in places {
        if !text.is_empty() {
            text.push_str("---\n");
        }
        text.push_str(&yaml(subject, namespace, &merged(rules)));
    }
    text
}
