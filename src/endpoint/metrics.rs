//! The state as Prometheus' text format (prometheus.io, "Exposition formats"). Pure.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::{Duration, SystemTime};

use super::board::{Requests, State};
use crate::exit::{Class, Code};

/// At most so many phrases have series of their own, so that their number is bounded.
const MOST_PHRASES: usize = 100;

/// The `Content-Type` of the format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Renders all metrics.
pub fn render(state: &State) -> String {
    let mut page = Page::default();
    page.metric("build_info", "gauge", "The version that runs.");
    page.sample("build_info", &[("version", env!("CARGO_PKG_VERSION"))], "1");
    if let Some(last) = &state.last {
        // A permission that is given twice is one series.
        let mut seen = BTreeSet::new();
        let shown: Vec<_> = last
            .permissions
            .iter()
            .filter(|(phrase, _)| seen.insert(phrase.as_str()))
            .take(MOST_PHRASES)
            .collect();
        page.metric(
            "permissions",
            "gauge",
            "Permissions that are asked; the first 100 have series of their own.",
        );
        page.sample("permissions", &[], &last.permissions.len().to_string());
        page.metric("permission_ok", "gauge", "1 if the permission was as required in the last round.");
        for (phrase, code) in &shown {
            page.sample("permission_ok", &[("phrase", phrase)], flag(*code == Code::Ok));
        }
        page.metric("permission_outcome", "gauge", "1 for the outcome of the permission in the last round.");
        for (phrase, code) in &shown {
            for outcome in Code::ALL.iter().copied().filter(|outcome| is_outcome(*outcome)) {
                let labels = [("phrase", phrase.as_str()), ("outcome", outcome.name())];
                page.sample("permission_outcome", &labels, flag(outcome == *code));
            }
        }
        page.metric("last_round_timestamp_seconds", "gauge", "When the last round completed.");
        page.sample("last_round_timestamp_seconds", &[], &timestamp(state.completed));
        page.metric("last_change_timestamp_seconds", "gauge", "When an outcome last changed.");
        page.sample("last_change_timestamp_seconds", &[], &timestamp(state.changed));
        for (name, help, time) in [
            ("token_expiry_timestamp_seconds", "When the token expires, by its own claims.", last.expires),
            (
                "token_warn_after_timestamp_seconds",
                "When the kubelet should have renewed the token, by its own claims.",
                last.warn_after,
            ),
        ] {
            if let Some(time) = time {
                page.metric(name, "gauge", help);
                page.sample(name, &[], &time.to_string());
            }
        }
    }
    page.metric("rounds_total", "counter", "Completed rounds.");
    page.sample("rounds_total", &[], &state.rounds.to_string());
    page.metric("round_duration_seconds", "summary", "How long a completed round took.");
    page.sample("round_duration_seconds_sum", &[], &seconds(state.spent));
    page.sample("round_duration_seconds_count", &[], &state.rounds.to_string());
    page.metric(
        "requests_total",
        "counter",
        "Requests to the API server, by identity and by HTTP status or failure.",
    );
    for Requests { identity, result, count } in &state.requests {
        let code = result.map_or_else(|code| code.name().to_owned(), |status| status.to_string());
        page.sample("requests_total", &[("identity", identity.name()), ("code", &code)], &count.to_string());
    }
    page.0
}

/// Whether a permission can have this outcome. The other codes end a run before a permission is asked.
fn is_outcome(code: Code) -> bool {
    match code.class() {
        Class::Fine | Class::No | Class::NoAnswer => true,
        Class::NotAsked | Class::Ended => false,
    }
}

fn flag(set: bool) -> &'static str {
    if set { "1" } else { "0" }
}

fn seconds(duration: Duration) -> String {
    format!("{}.{:06}", duration.as_secs(), duration.subsec_micros())
}

fn timestamp(time: SystemTime) -> String {
    seconds(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn metric(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP kubeknock_{name} {help}\n# TYPE kubeknock_{name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: &str) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "kubeknock_{name}{labels} {value}");
    }
}

/// A label's value, as the format quotes it.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::board::{Board, Snapshot};
    use crate::identity::Identity;

    #[test]
    fn every_metric_of_a_round() {
        let board = Board::new(Duration::from_secs(10));
        let before = render(&board.read());
        assert!(
            before.contains("kubeknock_rounds_total 0\n") && !before.contains("permission_ok"),
            "{before}"
        );
        board.count(Identity::Token, Ok(200));
        board.count(Identity::Token, Ok(200));
        board.count(Identity::Anonymous, Err(Code::Timeout));
        let permissions: Vec<(String, Code)> = [("list pods", Code::Ok), ("get \"\\\"", Code::Forbidden)]
            .into_iter()
            .chain([("list pods", Code::Ok)])
            .map(|(phrase, code)| (phrase.to_owned(), code))
            .collect();
        let snapshot = Snapshot {
            text: String::new(),
            json: String::new(),
            code: Code::Forbidden,
            fail_open_code: Code::Forbidden,
            permissions,
            expires: Some(1000),
            warn_after: None,
        };
        board.complete(snapshot, Duration::from_micros(1_500_001));
        let page = render(&board.read());
        for line in [
            "kubeknock_permission_ok{phrase=\"list pods\"} 1",
            r#"kubeknock_permission_ok{phrase="get \"\\\""} 0"#,
            "kubeknock_permission_outcome{phrase=\"list pods\",outcome=\"ok\"} 1",
            "kubeknock_permission_outcome{phrase=\"list pods\",outcome=\"forbidden\"} 0",
            "kubeknock_rounds_total 1",
            "kubeknock_round_duration_seconds_sum 1.500001",
            "kubeknock_requests_total{identity=\"token\",code=\"200\"} 2",
            "kubeknock_requests_total{identity=\"anonymous\",code=\"timeout\"} 1",
            "kubeknock_token_expiry_timestamp_seconds 1000",
            "kubeknock_permissions 3",
        ] {
            assert!(page.lines().any(|printed| printed == line), "{line} is missing in\n{page}");
        }
        let ok = page.lines().filter(|line| line.starts_with("kubeknock_permission_ok{"));
        assert_eq!(ok.count(), 2, "one series a phrase\n{page}");
        assert!(!page.contains("warn_after"), "{page}");
    }
}
