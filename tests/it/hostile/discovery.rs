//! Discovery documents.

use serde_json::json;
use testbed::faults;
use testbed::recordings::AGGREGATED;

use super::servers::{JSON, PAINT, raw_answer, redirect};
use super::{Row, row};

/// Answers to `list deploy`, which needs discovery.
#[allow(clippy::too_many_lines, reason = "a table")]
pub fn rows() -> Vec<Row> {
    const ASKED: &[&str] = &["check", "list deploy"];
    let says = |name, code, body: String| {
        row(name, code, move || faults::answers("200 OK", AGGREGATED, &[], &body)).asked(ASKED)
    };
    let older = |name, code, body: String| {
        row(name, code, move || faults::answers("200 OK", JSON, &[], &body)).asked(ASKED)
    };
    let flood = |name, code, content_type: &'static str, begin: &'static str, piece: &'static str| {
        row(name, code, move || {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: 1073741824\r\n\r\n"
            );
            faults::floods(head + begin, piece)
        })
        .asked(ASKED)
    };
    let with = |name, code, status: &'static str, content_type: &'static str, body: &'static str| {
        row(name, code, move || faults::answers(status, content_type, &[], body)).asked(ASKED)
    };
    let groups = |resources: &str| {
        format!(
            r#"{{"kind":"APIGroupDiscoveryList","items":[{{"metadata":{{"name":"apps"}},"versions":[{{"version":"v1","resources":[{resources}]}}]}}]}}"#
        )
    };
    vec![
        with("discovers a web page", 26, "200 OK", "text/html", "<html>groups</html>"),
        with("forbids discovery with a web page", 26, "403 Forbidden", "text/html", "<html>403</html>"),
        with("forbids discovery with nothing", 26, "403 Forbidden", JSON, ""),
        with("does not serve discovery", 25, "404 Not Found", "text/plain", "404 page not found"),
        with("is too busy for discovery", 24, "429 Too Many Requests", "text/plain", "later"),
        say_discovery("redirects discovery", 26, redirect("/apis2")),
        says("discovers nothing", 26, String::new()),
        says("discovers null", 26, "null".into()),
        says("discovers a list", 26, "[]".into()),
        says("discovers an empty object", 25, "{}".into()),
        says("discovers null items", 25, r#"{"items":null}"#.into()),
        says("discovers items that are a word", 26, r#"{"items":"x"}"#.into()),
        says("discovers items that are numbers", 26, r#"{"items":[1]}"#.into()),
        says("discovers a version that is a number", 26, groups("").replace("\"v1\"", "1")),
        says("discovers a resource that is a number", 25, groups("7")),
        says("discovers a resource without a name", 25, groups("{}")),
        says("is broken off in discovery", 26, groups("").replace("]}]}", "")),
        says("says more behind discovery", 26, groups("") + "x"),
        says("begins discovery with a byte order mark", 26, format!("\u{feff}{}", groups(""))),
        says("discovers 100,000 deep", 26, groups(&"[".repeat(100_000))),
        says("nests a discovery document 100,000 deep in an unknown field", 26, {
            format!(r#"{{"x":{}{},"items":[]}}"#, "[".repeat(100_000), "]".repeat(100_000))
        }),
        row("discovers what is no UTF-8", 26, || {
            raw_answer("200 OK", AGGREGATED, b"{\"items\":[{\"metadata\":{\"name\":\"\xff\"}}]}")
        })
        .asked(ASKED),
        says("discovers a thousand stale groups", 24, {
            let stale: Vec<String> = (0..1000)
                .map(|n| format!(r#"{{"metadata":{{"name":"g{n}"}},"versions":[{{"freshness":"Stale"}}]}}"#))
                .collect();
            format!(r#"{{"items":[{}]}}"#, stale.join(","))
        }),
        says(
            "discovers a name for a shell",
            25,
            groups(
                r#"{"resource":"x;reboot","singularResource":"deployment","shortNames":["deploy"],"scope":"Namespaced","verbs":["list"]}"#,
            ),
        ),
        says(
            "discovers a name that paints",
            25,
            groups(&json!({ "resource": PAINT, "shortNames": ["deplo"] }).to_string()),
        ),
        flood("discovers brackets without an end", 26, AGGREGATED, "{\"x\":", "["),
        flood("discovers a string without an end", 26, AGGREGATED, "{\"x\":\"", "x"),
        flood("discovers a key without an end", 26, AGGREGATED, "{\"", "x"),
        flood("discovers a number without an end", 26, AGGREGATED, "{\"x\":", "1"),
        flood("discovers spaces without an end", 26, AGGREGATED, "", " "),
        flood(
            "discovers metadata without an end",
            26,
            AGGREGATED,
            r#"{"items":[{"metadata":{"name":"a","x":["#,
            "{\"\":0},",
        ),
        flood(
            "discovers one resource without an end",
            26,
            AGGREGATED,
            r#"{"items":[{"metadata":{"name":"a"},"versions":[{"version":"v1","resources":[{"x":["#,
            "{\"\":0},",
        ),
        flood(
            "discovers the same resource without an end",
            23,
            AGGREGATED,
            r#"{"items":[{"metadata":{"name":"a"},"versions":[{"version":"v1","resources":["#,
            r#"{"resource":"pods","verbs":["list"]},"#,
        ),
        flood(
            "discovers stale groups without an end",
            23,
            AGGREGATED,
            r#"{"items":["#,
            r#"{"metadata":{"name":"a"},"versions":[{"freshness":"Stale"}]},"#,
        ),
        flood(
            "discovers older groups without an end",
            26,
            JSON,
            r#"{"kind":"APIGroupList","groups":["#,
            r#"{"name":"a"},"#,
        ),
        older("discovers older groups of no kind", 26, r#"{"groups":[]}"#.into()),
        older(
            "discovers 100,000 older groups",
            26,
            format!(r#"{{"kind":"APIGroupList","groups":[{}{{}}]}}"#, "{\"a\":0},".repeat(100_000)),
        ),
        older(
            "discovers an older group whose name is a path",
            25,
            r#"{"kind":"APIGroupList","groups":[{"name":"../../x","versions":[{"version":"v1"}]}]}"#.into(),
        ),
        older(
            "discovers an older group whose name breaks lines",
            25,
            r#"{"kind":"APIGroupList","groups":[{"name":"a\r\nX: y","versions":[{"version":"v1"}]}]}"#.into(),
        ),
        older(
            "discovers an older group that is a word",
            25,
            r#"{"kind":"APIGroupList","groups":["apps"]}"#.into(),
        ),
        older("discovers groups that are a word", 25, r#"{"kind":"APIGroupList","groups":"apps"}"#.into()),
    ]
}

fn say_discovery(name: &'static str, code: i32, bytes: String) -> Row {
    row(name, code, move || faults::says(bytes.clone())).asked(&["check", "list deploy"])
}
