//! The report as JSON: one object on one line, `kubeknock/v1`, as `kubeknock.schema.json` describes it. Fields are
//! only ever added.

use std::time::SystemTime;

use serde_json::{Map, Value, json};

use super::Report;
use crate::exit::Code;
use crate::explain::Explanation;
use crate::knock::Knock;
use crate::permission::Expected;
use crate::round::Finding;
use crate::time::date::timestamp;

/// The name of the format.
const SCHEMA: &str = "kubeknock/v1";

/// The list of permissions, before they are in it.
const NO_PERMISSIONS: &str = r#""permissions":[]"#;

/// An object that begins as all of them do.
pub fn object(code: Code) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("schema".into(), SCHEMA.into());
    object.insert("time".into(), timestamp(SystemTime::now()).into());
    object.insert("outcome".into(), code.name().into());
    object.insert("exitCode".into(), code.number().into());
    object
}

/// One line.
pub fn line(object: Map<String, Value>) -> String {
    Value::Object(object).to_string() + "\n"
}

/// Writes the report, piece by piece.
pub fn write(report: &Report<'_>, sink: &mut dyn FnMut(&str)) {
    let mut object = object(report.code);
    object.insert("message".into(), report.summary().into());
    object.insert("server".into(), report.cluster.server.to_string().into());
    // No request is made only to learn it.
    object.insert("serverVersion".into(), Value::Null);
    let source = if report.round.user().is_some() { "server" } else { "token" };
    let identity = report.round.subject().map(|user| json!({ "user": user, "source": source }));
    object.insert("identity".into(), identity.unwrap_or(Value::Null));
    object.insert("permissions".into(), Value::Array(Vec::new()));
    if let Some((elapsed, rounds)) = report.waited {
        object.insert("rounds".into(), rounds.into());
        object.insert(
            "waitedMilliseconds".into(),
            u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).into(),
        );
    }
    // There may be thousands: each is written as it is made. No text in JSON has these bytes.
    let line = line(object);
    let (before, after) = line.split_once(NO_PERMISSIONS).unwrap_or_default();
    sink(before);
    sink(NO_PERMISSIONS.trim_end_matches(']'));
    let mut comma = "";
    for (finding, explanation) in report.explained() {
        sink(comma);
        sink(&permission(finding, &explanation).to_string());
        comma = ",";
    }
    sink("]");
    sink(after);
}

/// The report of a run that asked nothing, and why.
pub fn render_message(code: Code, why: &str) -> String {
    let mut object = object(code);
    object.insert("message".into(), why.into());
    line(object)
}

fn permission(finding: &Finding, explanation: &Explanation) -> Value {
    let knocks = finding.asked().map(|asked| &asked.knocks);
    json!({
        "phrase": finding.phrase,
        "expected": match finding.expected {
            Expected::Can => "can",
            Expected::Cannot => "cannot",
        },
        "ok": finding.code == Code::Ok,
        "outcome": finding.code.name(),
        "asked": finding.was_asked(),
        "anonymous": knock(knocks.and_then(|knocks| knocks.anonymous.as_ref())),
        "token": knock(knocks.and_then(|knocks| knocks.token.as_ref())),
        "why": explanation.why,
        "remedy": explanation.remedy,
    })
}

/// `null` where it was not made.
fn knock(knock: Option<&Knock>) -> Value {
    let Some(knock) = knock else { return Value::Null };
    let milliseconds = u64::try_from(knock.elapsed.as_millis()).unwrap_or(u64::MAX);
    match &knock.result {
        Ok(answer) => json!({
            "status": answer.status,
            "user": answer.user,
            "reason": answer.reason,
            "milliseconds": milliseconds,
        }),
        Err(failure) => json!({
            "status": null,
            "user": null,
            "reason": failure.text(),
            "milliseconds": milliseconds,
        }),
    }
}
