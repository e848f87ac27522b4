//! Content of an answer.

use serde_json::json;
use testbed::faults;

use super::servers::{JSON, PAINT, PODS, raw_answer, refusal};
use super::{Row, row};

#[allow(clippy::too_many_lines, reason = "a table")]
pub fn rows() -> Vec<Row> {
    let with = |name, code, status: &'static str, content_type: &'static str, body: String| {
        row(name, code, move || faults::answers(status, content_type, &[], &body))
    };
    let good = |name, code, body: String| with(name, code, "200 OK", JSON, body);
    let no = |name, code, body: String| with(name, code, "403 Forbidden", JSON, body);
    let status = |more: &str| {
        let message = refusal("jane");
        format!("{},{more}}}", message.strip_suffix('}').unwrap())
    };
    vec![
        no("refuses as it should", 10, refusal("jane")),
        with("says a web page", 26, "200 OK", "text/html", "<!doctype html><title>Welcome</title>".into()),
        with("forbids with a web page", 26, "403 Forbidden", "text/html", "<html>403</html>".into()),
        with("is not found with a web page", 26, "404 Not Found", "text/html", "<html>404</html>".into()),
        with("is sorry with a web page", 24, "502 Bad Gateway", "text/html", "<html>502</html>".into()),
        no("forbids with nothing", 26, String::new()),
        with("rejects with nothing", 11, "401 Unauthorized", "", String::new()),
        no(
            "refuses a user without a name",
            10,
            json!({ "kind": "Status", "message": "no", "code": 403 }).to_string(),
        ),
        no("refuses without a message", 10, json!({ "kind": "Status" }).to_string()),
        no(
            "refuses with a message that is a number",
            10,
            json!({ "kind": "Status", "message": 7 }).to_string(),
        ),
        no(
            "refuses with a message that is an object",
            10,
            json!({ "kind": "Status", "message": { "a": 1 } }).to_string(),
        ),
        no("paints the terminal", 10, json!({ "kind": "Status", "message": PAINT }).to_string()),
        no("paints the terminal as a user", 10, refusal(PAINT)),
        with("paints the terminal in text", 24, "503 Service Unavailable", "text/plain", PAINT.into()),
        with("paints the terminal with an unknown status", 26, "418 Teapot", "text/plain", PAINT.into()),
        row("refuses in 64 MiB", 26, || {
            faults::floods(
                "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: 67108864\r\n\r\n{\"kind\":\"Status\",\"message\":\"",
                "x",
            )
        }),
        no("refuses in just under 1 MiB", 10, refusal(&"x".repeat(1024 * 1024 - 500))),
        no("is no UTF-8", 26, String::new())
            .bytes(b"{\"kind\":\"Status\",\"message\":\"\xff\xfe\"}", "403 Forbidden"),
        no("has half a surrogate", 26, r#"{"kind":"Status","message":"\ud800"}"#.into()),
        no(
            "is nested 100,000 deep",
            26,
            status(&format!("\"a\":{}{}", "[".repeat(100_000), "]".repeat(100_000))),
        ),
        no("is nested 100,000 deep and does not end", 26, status(&format!("\"a\":{}", "[".repeat(100_000)))),
        no(
            "is nested 100,000 deep in objects",
            26,
            status(&format!("\"a\":{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000))),
        ),
        no("is 300,000 empty lists", 26, status(&format!("\"a\":[{}[]]", "[],".repeat(300_000)))),
        no("is 100,000 small objects", 26, status(&format!("\"a\":[{}{{}}]", "{\"\":0},".repeat(100_000)))),
        no(
            "is 60,000 keys",
            26,
            status(&format!(
                "\"a\":{{{}\"\":0}}",
                (0..60_000).map(|n| format!("\"k{n}\":0,")).collect::<String>()
            )),
        ),
        no("is one key of 900 KiB", 10, status(&format!("\"{}\":0", "k".repeat(900 * 1024)))),
        no("is numbers without an end", 26, status(&format!("\"a\":{}", "9".repeat(900 * 1024)))),
        no("says its kind twice", 26, r#"{"kind":"Pod","kind":"Status","message":"no"}"#.into()),
        no("says its message twice", 26, r#"{"kind":"Status","message":"no","message":"yes"}"#.into()),
        no("begins with a byte order mark", 26, format!("\u{feff}{}", refusal("jane"))),
        no("says two objects", 26, refusal("jane") + &refusal("jane")),
        no("is in a list", 26, format!("[{}]", refusal("jane"))),
        no("is of the wrong kind", 26, refusal("jane").replace("\"Status\"", "\"Pod\"")),
        no("is of a kind that is a list", 26, refusal("jane").replace("\"Status\"", "[\"Status\"]")),
        good("begins a good answer with a byte order mark", 26, format!("\u{feff}{PODS}")),
        good("says null", 26, "null".into()),
        good("says a word", 26, "\"kind\"".into()),
        good("says a Status for success", 26, r#"{"kind":"Status","status":"Success"}"#.into()),
        good(
            "says a Status with spaces for success",
            26,
            "{\n  \"kind\": \"Status\",\n  \"status\": \"Success\"}".into(),
        ),
        with("says text", 26, "200 OK", "text/plain", PODS.into()),
        with("says JSON without saying so", 26, "200 OK", "", PODS.into()),
        good("fails inside a success, by a reason alone", 10, {
            r#"{"kind":"Status","status":"Failure","reason":"Forbidden"}"#.into()
        }),
        good(
            "fails inside a success, and does not know how",
            26,
            r#"{"kind":"Status","status":"Failure"}"#.into(),
        ),
        good("fails inside a success, with a code that is none", 26, {
            r#"{"kind":"Status","status":"Failure","code":99999}"#.into()
        }),
        good("fails inside a success after 2 KiB of details", 10, {
            let details = "x".repeat(2048);
            format!(
                r#"{{"apiVersion":"v1","code":403,"details":"{details}","kind":"Status","status":"Failure"}}"#
            )
        }),
        good("fails inside a success after 900 KiB of details", 26, {
            let details = "x".repeat(900 * 1024);
            format!(
                r#"{{"apiVersion":"v1","code":403,"details":"{details}","kind":"Status","status":"Failure"}}"#
            )
        }),
        good("fails inside a success in just under 1 MiB", 10, {
            let message = "x".repeat(1024 * 1024 - 500);
            format!(r#"{{"kind":"Status","status":"Failure","code":403,"message":"{message}"}}"#)
        }),
        good(
            "lists what is served",
            26,
            r#"{"kind":"APIResourceList","groupVersion":"v1","resources":[]}"#.into(),
        ),
        good("lists in a kind that is a list", 26, r#"{"kind":["PodList"],"items":[]}"#.into()),
        good("lists in a kind that is an object", 26, r#"{"kind":{"PodList":1},"apiVersion":"v1"}"#.into()),
        good(
            "breaks off a list in a whole answer",
            26,
            r#"{"kind":"PodList","apiVersion":"v1","items":["#.into(),
        ),
        good(
            "lists in a kind of 900 control characters",
            26,
            format!("{{\"kind\":\"{}\"}}", "\u{1}".repeat(900)),
        ),
        good("lists in two kinds", 26, r#"{"kind":"PodList","kind":"Status","items":[]}"#.into()),
        good("lists without a kind and without items", 26, r#"{"apiVersion":"v1","error":"no"}"#.into()),
        with("says a page after a comment", 26, "200 OK", "text/plain", "<!-- x --><html>".into())
            .asked(&["check", "get /x"]),
        with("says a page after comments without an end", 0, "200 OK", "text/plain", "<!--".repeat(100_000))
            .asked(&["check", "get /x"]),
        with("says a title that paints", 26, "200 OK", "text/html", format!("<title>{PAINT}</title>")),
        with(
            "says a title without an end",
            26,
            "200 OK",
            "text/html",
            format!("<title>{}", "x".repeat(900 * 1024)),
        ),
        with("is sorry in 900 KiB of text", 24, "503 Later", "text/plain", "x y ".repeat(225 * 1024)),
        no("refuses a user that paints, to the root user", 10, refusal("\\x1b[31mroot\\u202e")),
        no("refuses another user", 10, refusal("kube-apiserver")).asked(&["check", "cannot list pods"]),
        no(
            "refuses another verb",
            10,
            refusal("system:serviceaccount:ns-1:k-sa-1").replace("cannot list", "cannot impersonate"),
        )
        .asked(&["check", "cannot list pods"]),
        no("refuses as it must", 0, refusal("system:serviceaccount:ns-1:k-sa-1")).asked(&[
            "check",
            "--token-only",
            "cannot list pods",
        ]),
        with("misses an object of that name", 0, "404 Not Found", JSON, missing("web-0"))
            .asked(&["check", "get pods/web-0"]),
        with("misses another object", 25, "404 Not Found", JSON, missing("web-1"))
            .asked(&["check", "get pods/web-0"]),
        with(
            "misses two objects",
            25,
            "404 Not Found",
            JSON,
            r#"{"kind":"Status","details":{"name":"web-1","name":"web-0"}}"#.into(),
        )
        .asked(&["check", "get pods/web-0"]),
        with("misses something 100,000 deep", 25, "404 Not Found", JSON, {
            let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
            format!("{},\"a\":{deep}}}", missing("web-0").strip_suffix('}').unwrap())
        })
        .asked(&["check", "get pods/web-0"]),
        with("answers a watch with text", 26, "200 OK", "text/plain", String::new())
            .asked(&["check", "watch pods"]),
        row("answers a watch and floods it", 0, || {
            faults::floods(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
                "1\r\n \r\n",
            )
        })
        .asked(&["check", "watch pods"]),
        no(
            "says 100,000 small objects that are passed on",
            26,
            format!("[{}{{}}]", "{\"\":0},".repeat(100_000)),
        )
        .asked(&["get", "-ojson", "/x"]),
        good("says 1 MiB of small lists that is passed on", 0, format!("[{}[]]", "[],".repeat(340_000)))
            .asked(&["get", "-ojson", "/x"]),
        row("floods what is passed on", 23, faults::endless_body).asked(&["get", "/api/v1/pods"]),
        with("refuses what is passed on, and paints", 10, "403 Forbidden", JSON, refusal(PAINT))
            .asked(&["get", "/x"]),
    ]
}

impl Row {
    /// The same with a body that is not text.
    fn bytes(mut self, body: &'static [u8], status: &'static str) -> Self {
        self.server = Box::new(move || raw_answer(status, JSON, body));
        self
    }
}

fn missing(name: &str) -> String {
    let details = json!({ "name": name, "kind": "pods" });
    json!({ "kind": "Status", "message": "not found", "reason": "NotFound", "details": details, "code": 404 })
        .to_string()
}
