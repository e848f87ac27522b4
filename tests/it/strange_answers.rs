//! Answers that no API server gives, and text that is meant for a terminal.

use std::io::Write;

use serde_json::{Value, json};
use testbed::faults::{self, Certificate, Listener, read_request, tls_listener};
use testbed::scene::report;
use testbed::{Fault, Stderr, Times};

use crate::{Pod, Scene};

const JSON: &str = "application/json";

/// A server that sends this answer to every request.
fn says(status: &str, content_type: &str, body: &str) -> Listener {
    faults::answers(status, content_type, &[], body)
}

/// Colors, a title, a cleared screen, a forged verdict, text that runs backwards: none of it reaches the
/// terminal unescaped.
#[test]
fn control_characters_are_escaped() {
    const SHOWN: &str = "pods is forbidden: User \"\\u{1b}[31mroot\\u{1b}[0m\" cannot\\r\\nok (0): every permission is as required\\n\\u{1b}]0;title\\u{7}\\u{9b}2J\\u{202e}\\u{0}";
    let message = "pods is forbidden: User \"\u{1b}[31mroot\u{1b}[0m\" cannot\r\nok (0): every permission is as required\n\u{1b}]0;title\u{7}\u{9b}2J\u{202e}\u{0}";
    let body =
        json!({ "kind": "Status", "message": message, "reason": "Forbidden", "code": 403 }).to_string();
    let listener = says("403 Forbidden", JSON, &body);
    let pod = Pod::in_front_of(&listener);
    let finished = pod.runs(&["check", "list pods", "-v"]).gives(
        10,
        &[&format!("\n    {SHOWN}; to grant it, as an admin:\n")],
        Stderr::Any,
    );
    for text in [&finished.stdout, &finished.stderr] {
        assert!(text.chars().all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}')), "{text:?}");
    }
    assert_eq!(
        finished.stdout.lines().last(),
        Some("forbidden (10): the token's identity does not have the permission")
    );
    pod.runs(&["get", "/x"]).gives(10, &[], Stderr::Has(SHOWN));
    // JSON has its own escapes, so the text stays as it is.
    let finished = pod.runs(&["check", "list pods", "-ojson"]).gives(10, &[], Stderr::Empty);
    assert!(!finished.stdout.contains('\u{1b}'), "{:?}", finished.stdout);
    assert_eq!(report(&finished)["permissions"][0]["token"]["reason"], message);
    // Nor does it reach the termination message.
    let log = tempfile::NamedTempFile::new().unwrap();
    let path = log.path().display().to_string();
    pod.runs(&["check", "list pods", "--termination-log", &path]);
    let written = std::fs::read_to_string(log.path()).unwrap();
    assert!(written.contains("\\u{1b}[31mroot") && !written.contains('\u{1b}'), "{written:?}");
}

/// The user's name is part of a command line that people copy.
#[test]
fn a_users_name_is_quoted_in_the_remedy() {
    let body = json!({
        "kind": "Status", "code": 403,
        "message": "User \"jane; rm -rf $HOME 'x'\" cannot list resource \"pods\"",
    });
    // For an opaque token, the API server's name of its user is the only one known.
    let listener = says("403 Forbidden", JSON, &body.to_string());
    let pod = Pod::in_front_of(&listener).with_file("token", "0123456789abcdefghij");
    pod.runs(&["check", "list pods"]).gives(
        10,
        &["--user='jane; rm -rf $HOME '\\''x'\\''' --namespace=ns-1\n"],
        Stderr::Empty,
    );
}

#[test]
fn headers_are_escaped_too() {
    let listener = faults::answers("302 Found", "text/plain", &["Location: https://h/\u{9b}31m"], "");
    let finished = Pod::in_front_of(&listener).runs(&["check", "list pods"]).gives(
        26,
        &["a redirect to"],
        Stderr::Empty,
    );
    assert!(!finished.stdout.contains('\u{9b}'), "{:?}", finished.stdout);
    let listener = says("200 OK", "text/\u{9b}31m", "x");
    let finished = Pod::in_front_of(&listener).runs(&["check", "list pods"]).gives(26, &[], Stderr::Empty);
    assert!(!finished.stdout.contains('\u{9b}'), "{:?}", finished.stdout);
}

/// An answer to a list: only a Kubernetes object in JSON means yes.
#[test]
fn what_is_no_answer_to_a_read() {
    for (status, content_type, body, why) in [
        ("200 OK", JSON, "", "JSON that is not a Kubernetes object"),
        ("200 OK", JSON, "[]", "JSON that is not a Kubernetes object"),
        ("200 OK", JSON, "{}", "JSON that is not a Kubernetes object"),
        ("200 OK", JSON, "true", "JSON that is not a Kubernetes object"),
        ("200 OK", JSON, "{\"items\":[]}", "JSON that is not a Kubernetes object"),
        ("200 OK", JSON, "{\"kind\":\"Foo\",\"apiVersion\":\"v1\"}", "a Foo where a list is expected"),
        (
            "200 OK",
            JSON,
            "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{}}",
            "a Pod where a list is expected",
        ),
        (
            "200 OK",
            JSON,
            "{\"items\":[{\"kind\":\"PodList\"}],\"a\":{\"kind\":\"PodList\"}}",
            "JSON that is not a Kubernetes object",
        ),
        (
            "200 OK",
            JSON,
            "{\"kind\":\"Status\",\"status\":\"Success\"}",
            "a Status where an object is expected",
        ),
        (
            "200 OK",
            "text/plain",
            "{\"kind\":\"PodList\"}",
            "content type \"text/plain\" where JSON is expected",
        ),
        ("200 OK", "text/html", "{\"kind\":\"PodList\"}", "a web page, from a proxy or portal"),
        ("200 OK", JSON, "<!doctype html>", "a web page, from a proxy or portal"),
        ("201 Created", JSON, "{\"kind\":\"PodList\"}", "a status that no read gets"),
        ("204 No Content", JSON, "", "a status that no read gets"),
        ("400 Bad Request", JSON, "{\"kind\":\"Status\",\"message\":\"what?\"}", "what?"),
        ("406 Not Acceptable", "text/plain", "not that", "not that"),
        ("407 Proxy Authentication Required", "text/plain", "who?", "who?"),
        ("418 Teapot", "text/plain", "short and stout", "short and stout"),
        (
            "403 Forbidden",
            JSON,
            "{\"error\":\"denied\"}",
            "a 403 that is not a Kubernetes Status, so a proxy or mesh before the API server refused it: {\"error\":\"denied\"}",
        ),
        (
            "403 Forbidden",
            JSON,
            "{\"kind\":\"Status\",\"message\":\"pods is forbid",
            "a 403 that is not a Kubernetes Status, so a proxy or mesh before the API server refused it: {\"kind\":\"Status\",\"message\":\"pods is forbid",
        ),
        (
            "403 Forbidden",
            "text/plain",
            "RBAC: access denied",
            "a 403 that is not a Kubernetes Status, so a proxy or mesh before the API server refused it: RBAC: access denied",
        ),
    ] {
        let listener = says(status, content_type, body);
        let finished = Pod::in_front_of(&listener).runs(&["check", "list pods"]);
        let why = format!(" answers with status {}: {why}\n", &status[..3]);
        let advice = "    this answer is not from a Kubernetes API server: check the address, and look for a proxy, portal or mesh on the way\n";
        finished.gives(26, &[&why, advice, "  unintelligible\n"], Stderr::Empty);
    }
}

/// An answer to an access review: `allowed` is true or false, and nothing else means yes.
#[test]
fn what_is_no_answer_to_a_review() {
    let review = |status: Value| json!({ "kind": "SelfSubjectAccessReview", "status": status }).to_string();
    for (body, code, words) in [
        (review(json!({ "allowed": true })), 0, "token yes  ok"),
        (review(json!({ "allowed": false })), 10, "token no  forbidden"),
        (
            review(json!({ "allowed": true, "denied": true, "reason": "webhook" })),
            10,
            "forbidden\n    webhook\n",
        ),
        (review(json!({})), 10, "token no  forbidden"),
        (
            review(
                json!({ "allowed": false, "evaluationError": "Post \"https://authz\": context deadline exceeded" }),
            ),
            24,
            "token undecided  unavailable\n    status 201: Post \"https://authz\": context deadline exceeded\n",
        ),
        (
            review(json!({ "allowed": false, "denied": true, "evaluationError": "x" })),
            10,
            "token no  forbidden",
        ),
        (review(json!({ "allowed": true, "evaluationError": "x" })), 0, "token yes  ok"),
        (review(json!({ "allowed": false, "conditionSetChain": [{}] })), 15, "token conditions  conditional"),
        (review(json!({ "allowed": false, "conditionSetChain": [] })), 10, "token no  forbidden"),
        (review(json!({ "allowed": true, "conditionSetChain": [{}] })), 0, "token yes  ok"),
        (
            review(json!({ "allowed": "true" })),
            26,
            "an access review whose allowed or denied is neither true nor false",
        ),
        (
            review(json!({ "allowed": 1 })),
            26,
            "an access review whose allowed or denied is neither true nor false",
        ),
        (
            review(json!({ "allowed": true, "denied": "false" })),
            26,
            "an access review whose allowed or denied is neither true nor false",
        ),
        (
            json!({ "kind": "SubjectAccessReview", "status": { "allowed": true } }).to_string(),
            26,
            "the answer to an access review is not a SelfSubjectAccessReview",
        ),
        ("{\"kind\":\"SelfSubjectAccessReview\",\"status\":{\"allowed\":true}".to_owned(), 26, "broken JSON"),
        ("yes".to_owned(), 26, "broken JSON"),
        ("<html>yes</html>".to_owned(), 26, "a web page, from a proxy or portal"),
    ] {
        let listener = says("201 Created", JSON, &body);
        Pod::in_front_of(&listener).runs(&["check", "--token-only", "create pods"]).gives(
            code,
            &[words],
            Stderr::Empty,
        );
    }
}

/// The body takes precedence over the head: a Status of failure inside a 200 is a failure. An answer that
/// cannot be about this permission does not satisfy `cannot`.
#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn answers_that_mean_something_else() {
    const ACCOUNT: &str = "system:serviceaccount:ns-1:k-sa-1";
    let failure = |code: u16, reason: &str| {
        json!({ "kind": "Status", "status": "Failure", "reason": reason, "code": code, "message": "no" })
            .to_string()
    };
    let refusal = |what: &str, user: &str, cannot: &str| {
        let message = format!("{what} is forbidden: User \"{user}\" cannot {cannot}");
        json!({ "kind": "Status", "status": "Failure", "code": 403, "message": message }).to_string()
    };
    let list = "list resource \"pods\" in API group \"\" in the namespace \"ns-1\"";
    for (status, content_type, body, phrase, code, words) in [
        ("200 OK", JSON, failure(403, "Forbidden"), "get /healthz/etcd", 10, "  forbidden\n"),
        ("200 OK", JSON, failure(401, "Unauthorized"), "get /healthz/etcd", 11, "  unauthenticated\n"),
        ("200 OK", JSON, failure(503, "ServiceUnavailable"), "list pods", 24, "  unavailable\n"),
        ("200 OK", JSON, failure(200, "?"), "get /healthz/etcd", 26, "a Status where an object is expected"),
        (
            "200 OK",
            "Application/JSON; charset=UTF-8",
            json!({ "kind": "PodList", "items": [] }).to_string(),
            "list pods",
            0,
            "ok (0)",
        ),
        (
            "200 OK",
            JSON,
            json!({ "kind": "PodList" }).to_string(),
            "get pods/web-0",
            26,
            "a PodList where one object is expected",
        ),
        (
            "200 OK",
            JSON,
            json!({ "kind": "Pod" }).to_string(),
            "get pods/web-0",
            26,
            "an object without metadata",
        ),
        ("200 OK", JSON, json!({ "kind": "Pod", "metadata": {} }).to_string(), "get pods/web-0", 0, "ok (0)"),
        (
            "404 Not Found",
            JSON,
            json!({ "kind": "Status", "details": { "name": "ns-1/web-0" } }).to_string(),
            "get pods/web-0",
            0,
            "does not exist",
        ),
        (
            "403 Forbidden",
            JSON,
            refusal("pods", ACCOUNT, list),
            "cannot list pods",
            0,
            "forbidden, as required",
        ),
        (
            "403 Forbidden",
            JSON,
            refusal("pods", "kube-apiserver", list),
            "cannot list pods",
            10,
            "  forbidden\n",
        ),
        (
            "403 Forbidden",
            JSON,
            refusal("pods", "kube-apiserver", list),
            "list pods",
            10,
            "this refuses kube-apiserver something else",
        ),
        (
            "403 Forbidden",
            JSON,
            refusal(
                "serviceaccounts \"k-sa-1\"",
                "system:serviceaccount:proxy:impersonator",
                "impersonate resource \"serviceaccounts\" in API group \"\"",
            ),
            "cannot list pods",
            10,
            "  forbidden\n",
        ),
        (
            "403 Forbidden",
            JSON,
            refusal("secrets", ACCOUNT, "list resource \"secrets\" in API group \"\""),
            "cannot list pods",
            10,
            "  forbidden\n",
        ),
        (
            "400 Bad Request",
            "text/plain",
            "Client sent an HTTP request to an HTTPS server.".into(),
            "list pods",
            26,
            "use https:// in --server",
        ),
    ] {
        let listener = says(status, content_type, &body);
        let finished = Pod::in_front_of(&listener).runs(&["check", "--token-only", phrase]);
        // A grant would not help if another user, or another permission, is refused.
        let other = body.contains("kube-apiserver") || phrase.starts_with("cannot");
        assert!(!(other && finished.stdout.contains("kubectl create")), "{}", finished.transcript());
        finished.gives(code, &[words], Stderr::Empty);
    }
}

/// A named object is absent only if the server says so of that object, in a Status.
#[test]
fn what_is_no_absent_object() {
    let status =
        |name: &str| json!({ "kind": "Status", "message": "gone", "details": { "name": name } }).to_string();
    for (body, code) in [
        (status("web-0"), 0),
        (status("web-1"), 25),
        (json!({ "kind": "Status", "message": "gone" }).to_string(), 25),
        ("404 page not found".to_owned(), 25),
        ("<html>no such page</html>".to_owned(), 26),
    ] {
        let listener = says("404 Not Found", JSON, &body);
        Pod::in_front_of(&listener).runs(&["check", "get pods/web-0"]).gives(
            code,
            &["token 404"],
            Stderr::Empty,
        );
    }
}

/// Answers that are too large are neither stored nor read to their end.
#[test]
fn answers_of_64_mib() {
    let large = |status: &'static str| {
        tls_listener(Certificate::Good, move |stream, _| {
            loop {
                read_request(stream)?;
                let (begin, end) = ("{\"kind\":\"Status\",\"message\":\"", "\",\"code\":403}");
                let (piece, count) = ("x".repeat(64 * 1024), 1024);
                let length = begin.len() + piece.len() * count + end.len();
                write!(
                    stream,
                    "HTTP/1.1 {status}\r\nContent-Type: {JSON}\r\nContent-Length: {length}\r\n\r\n{begin}"
                )?;
                for _ in 0..count {
                    stream.write_all(piece.as_bytes())?;
                }
                stream.write_all(end.as_bytes())?;
                stream.flush()?;
            }
        })
    };
    for (status, code, words) in [
        ("403 Forbidden", 26, "an answer of more than 1048576 bytes"),
        ("404 Not Found", 26, "an answer of more than 1048576 bytes"),
        ("200 OK", 26, "an answer of more than 1048576 bytes"),
        ("503 Service Unavailable", 24, "the API server is up but cannot answer yet"),
    ] {
        let listener = large(status);
        let finished =
            Pod::in_front_of(&listener).runs(&["check", "list pods"]).gives(code, &[words], Stderr::Empty);
        assert!(finished.stdout.len() < 1000, "{}", finished.stdout.len());
    }
}

/// A watch is decided by its head, which must be an API server's too.
#[test]
fn what_is_no_watch() {
    for (status, content_type, code) in [
        ("200 OK", JSON, 0),
        ("200 OK", "text/plain", 26),
        ("200 OK", "text/html", 26),
        ("204 No Content", JSON, 26),
    ] {
        let listener = says(status, content_type, "");
        Pod::in_front_of(&listener).runs(&["check", "watch pods"]).gives(code, &[], Stderr::Empty);
    }
}

/// If an answer breaks off in the middle, its first part does not count.
#[test]
fn an_answer_that_breaks_off() {
    let listener = tls_listener(Certificate::Good, |stream, _| {
        read_request(stream)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"kind\":\"PodList\"")?;
        stream.flush()
    });
    Pod::in_front_of(&listener).runs(&["check", "list pods"]).gives(
        21,
        &["closed the connection"],
        Stderr::Empty,
    );
    let finished = Pod::in_front_of(&listener).runs(&["get", "/api/v1/pods"]).gives(
        21,
        &["{\"kind\":\"PodList\""],
        Stderr::Any,
    );
    assert!(finished.stderr.starts_with("kubeknock: unreachable (21): "), "{}", finished.transcript());
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 99 \r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "\0\0\0\0",
    ] {
        let listener = tls_listener(Certificate::Good, move |stream, _| {
            read_request(stream)?;
            stream.write_all(head.as_bytes())
        });
        let finished = Pod::in_front_of(&listener).runs(&["check", "list pods", "--timeout=2s"]);
        assert!(matches!(finished.code, Some(21 | 26)), "{head:?}\n{}", finished.transcript());
    }
}

/// A failure of the anonymous knock alone decides nothing.
#[test]
fn the_token_knock_decides() {
    let scene = Scene::with_reader();
    for (status, content_type, body) in [
        (503, "text/plain", "later"),
        (302, "text/html", "login"),
        (200, "text/html", "<html>"),
        (403, "text/html", "no"),
    ] {
        scene
            .cluster
            .fail_if(Times::All, Fault::raw(status, content_type, body), |seen| seen.authorization.is_none());
        let row = format!("list pods in ns-1  anonymous {status}  token 200  ok\n");
        scene.runs(&["check", "list pods"]).gives(0, &[&row], Stderr::Empty);
        scene.cluster.heal();
    }
}
