//! Servers that send the token back to the client.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::json;
use testbed::faults::{self, answer};
use testbed::recordings::AGGREGATED;

use super::servers::{JSON, PODS, redirect, refusal};
use super::{Row, row};

/// Servers that send the token back to the client.
#[allow(clippy::too_many_lines, reason = "a table")]
pub fn rows() -> Vec<Row> {
    let echo =
        |name, code, answer: fn(&str) -> String| {
            row(name, code, move || faults::echoes(move |token| answer(token.unwrap_or("no token"))))
                .asked(&["check", "-v", "list pods"])
        };
    vec![
        echo("echoes the token in a message", 10, |token| answer("403 Forbidden", JSON, &refusal(token))),
        echo("echoes the token in a message, in escapes", 10, |token| {
            answer("403 Forbidden", JSON, &refusal("NAME").replace("NAME", &escaped(token)))
        }),
        echo("echoes the token in text", 24, |token| answer("503 Later", "text/plain", token)),
        echo("echoes the token over and over", 24, |token| answer("503 Later", "text/plain", &token.repeat(100))),
        echo("echoes the token a byte behind its like", 24, |token| {
            answer("503 Later", "text/plain", &format!("{}{token}", &token[..5]))
        }),
        echo("echoes the token in a location", 26, redirect),
        echo("echoes the token as the content type", 26, |token| answer("200 OK", token, PODS)),
        echo("echoes the token as a status line", 26, |token| format!("{token}\r\n\r\n")),
        echo("echoes the token as the version", 26, |token| answer("200 OK", JSON, PODS).replace("HTTP/1.1", token)),
        echo("echoes the token as the status", 26, |token| answer(token, JSON, PODS)),
        echo("echoes the token as a reason", 24, |token| answer(&format!("503 {token}"), JSON, "")),
        echo("echoes the token as a length", 26, |token| format!("HTTP/1.1 200 OK\r\nContent-Length: {token}\r\n\r\n")),
        echo("echoes the token as a transfer encoding", 26, |token| {
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {token}\r\n\r\n")
        }),
        echo("echoes the token as a chunk size", 26, |token| {
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{token}\r\n")
        }),
        echo("echoes the token as a header", 26, |token| format!("HTTP/1.1 200 OK\r\n{token}\r\n\r\n")),
        echo("echoes the token as the time to wait", 24, |token| {
            format!("HTTP/1.1 429 Later\r\nRetry-After: {token}\r\nContent-Length: 0\r\n\r\n")
        }),
        echo("echoes the token in JSON", 10, |token| answer("403 Forbidden", JSON, &refusal("NAME").replace("NAME", &escaped(token))))
            .asked(&["check", "-ojson", "list pods"]),
        echo("echoes the token as the reason of a review", 10, |token| {
            let review = json!({ "kind": "SelfSubjectAccessReview", "status": { "allowed": false, "reason": "NAME" } });
            answer("201 Created", JSON, &review.to_string().replace("NAME", &escaped(token)))
        })
        .asked(&["check", "create pods"]),
        echo("echoes the token as a group that is stale", 25, |token| {
            let body = format!(
                r#"{{"items":[{{"metadata":{{"name":"{}"}},"versions":[{{"freshness":"Stale"}}]}}]}}"#,
                escaped(token)
            );
            answer("200 OK", AGGREGATED, &body)
        })
        .asked(&["check", "list deploy"]),
        echo("echoes the token as what discovery cannot be", 26, |token| {
            let body = format!(r#"{{"items":"{}"}}"#, escaped(token));
            answer("200 OK", AGGREGATED, &body)
        })
        .asked(&["check", "list deploy"]),
        echo("echoes the token as the user of a review", 0, user_of_a_review)
        .asked(&["whoami"]),
        echo("echoes the token as the user of a review, in JSON", 0, user_of_a_review)
        .asked(&["whoami", "-ojson"]),
        echo("echoes the token as a rule", 0, |token| {
            let rule = json!({ "verbs": ["NAME"], "apiGroups": ["NAME"], "resources": ["NAME"], "resourceNames": ["NAME"] });
            let status = json!({ "resourceRules": [rule], "nonResourceRules": [], "incomplete": true, "evaluationError": "NAME" });
            let review = json!({ "kind": "SelfSubjectRulesReview", "status": status });
            answer("201 Created", JSON, &review.to_string().replace("NAME", &escaped(token)))
        })
        .asked(&["rules"]),
        echo("echoes the token as a version", 26, |token| {
            answer("200 OK", JSON, &r#"{"gitVersion":"NAME"}"#.replace("NAME", &escaped(token)))
        })
        .asked(&["doctor"]),
        row("says a date beyond all numbers", 26, || {
            faults::says("HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 9223372036854775807 9223372036854775807:49:37 GMT\r\nContent-Length: 0\r\n\r\n")
        })
        .asked(&["doctor"]),
        row("says an earlier token in an anonymous answer", 24, || {
            let seen = Mutex::new(None);
            faults::echoes(move |token| {
                let mut seen = seen.lock().unwrap();
                match (token, seen.as_deref()) {
                    (Some(token), _) => {
                        *seen = Some(token.to_owned());
                        answer("503 Later", "text/plain", "later")
                    }
                    (None, Some(earlier)) => answer("503 Later", "text/plain", earlier),
                    (None, None) => answer("403 Forbidden", JSON, &refusal("system:anonymous")),
                }
            })
        })
        .asked(&["wait", "--forbid-anonymous", "-ojson", "list pods", "--timeout=1500ms"])
        .within(Duration::from_millis(1600)),
        echo("echoes the token into what is passed on", 0, |token| answer("200 OK", "text/plain", token))
            .asked(&["get", "-i", "/x"]),
        echo("echoes the token into headers that are passed on", 0, |token| {
            format!("HTTP/1.1 200 {token}\r\n{token}: a\r\nX-A: {token}\r\nContent-Length: 0\r\n\r\n")
        })
        .asked(&["get", "-i", "/x"]),
        echo("echoes the token into JSON that is passed on", 10, |token| {
            answer("403 Forbidden", JSON, &refusal("NAME").replace("NAME", &escaped(token)))
        })
        .asked(&["get", "-ojson", "/x"]),
    ]
}

/// A SelfSubjectReview in which every field is the token.
fn user_of_a_review(token: &str) -> String {
    let user = json!({ "username": "NAME", "groups": ["NAME"], "extra": { "NAME": ["NAME"] } });
    let review = json!({ "kind": "SelfSubjectReview", "status": { "userInfo": user } });
    answer("201 Created", JSON, &review.to_string().replace("NAME", &escaped(token)))
}

/// A JSON string in which every letter is an escape.
fn escaped(token: &str) -> String {
    token.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect()
}
