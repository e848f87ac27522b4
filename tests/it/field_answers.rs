//! Answers from the field: what real API servers, aggregated ones and things on the way said, and was misread.

use serde_json::{Value, json};
use testbed::Stderr;
use testbed::faults::{self, Certificate, Listener, read_request, tls_listener};

use crate::Pod;

const JSON: &str = "application/json";
const ACCOUNT: &str = "system:serviceaccount:ns-1:k-sa-1";
const AUDITED: &[&str] = &["Audit-Id: 4e6a1a2c-6d0f-4d0b-9a3e-0d5e7f1c2b3a"];

/// A case: status, content type, headers and body of every answer, what is asked, the code, and words on stdout.
type Case = (&'static str, &'static str, &'static [&'static str], String, &'static str, i32, &'static str);

/// With the token alone, so that one answer decides.
#[track_caller]
fn hold(cases: impl IntoIterator<Item = Case>) {
    let mut failed = Vec::new();
    for (status, content_type, headers, body, phrase, code, words) in cases {
        let listener = faults::answers(status, content_type, headers, &body);
        let finished = Pod::in_front_of(&listener).runs(&["check", "--token-only", phrase]);
        if finished.code != Some(code) || !finished.stdout.contains(words) || !finished.stderr.is_empty() {
            failed.push(format!(
                "{status} {content_type} {body:?}: {code} and {words:?} expected\n{}",
                finished.story()
            ));
        }
    }
    assert!(failed.is_empty(), "{} cases:\n{}", failed.len(), failed.join("\n"));
}

fn status(fields: &Value) -> String {
    let mut object = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure" });
    for (key, value) in fields.as_object().unwrap() {
        object[key] = value.clone();
    }
    object.to_string()
}

fn refusal(user: &str, cannot: &str) -> String {
    let message = format!("x is forbidden: User \"{user}\" cannot {cannot}");
    status(&json!({ "reason": "Forbidden", "code": 403, "message": message }))
}

fn review(fields: &Value) -> String {
    json!({ "kind": "SelfSubjectAccessReview", "status": fields }).to_string()
}

/// What failed inside a 2xx is what the Status says, with a code or with a reason alone, also of a review.
#[test]
fn a_status_of_failure_inside_a_good_answer() {
    let inside = |reason: &str| status(&json!({ "reason": reason, "message": "no" }));
    let long =
        status(&json!({ "code": 403, "message": "x".repeat(900), "details": { "name": "y".repeat(900) } }));
    // Keys in their order, as some servers have them: the kind comes after two pages of details.
    let late = status(&json!({ "code": 403, "details": { "name": "y".repeat(2000) } }));
    hold([
        ("200 OK", JSON, &[][..], inside("Forbidden"), "get /healthz/etcd", 10, "token 200  forbidden"),
        ("200 OK", JSON, &[], inside("Unauthorized"), "list pods", 11, "unauthenticated"),
        ("200 OK", JSON, &[], inside("NotFound"), "list pods", 25, "unserved"),
        ("200 OK", JSON, &[], inside("MethodNotAllowed"), "get /x", 25, "unserved"),
        ("200 OK", JSON, &[], inside("TooManyRequests"), "list pods", 24, "unavailable"),
        ("200 OK", JSON, &[], inside("InternalError"), "get pods/web-0", 24, "unavailable"),
        ("200 OK", JSON, &[], inside("ServiceUnavailable"), "list pods", 24, "unavailable"),
        ("200 OK", JSON, &[], inside("ServerTimeout"), "get /healthz", 24, "unavailable"),
        ("200 OK", JSON, &[], inside("Conflict"), "list pods", 26, "unintelligible"),
        ("200 OK", JSON, AUDITED, inside("Forbidden"), "get /healthz/etcd", 10, "forbidden"),
        ("200 OK", JSON, &[], long, "list pods", 10, "forbidden"),
        ("200 OK", JSON, &[], late, "list pods", 10, "forbidden"),
        (
            "200 OK",
            JSON,
            &[],
            status(&json!({ "code": 404, "details": { "name": "web-0" } })),
            "get pods/web-0",
            0,
            "it does not exist",
        ),
        ("201 Created", JSON, &[], status(&json!({ "code": 401 })), "create pods", 11, "unauthenticated"),
        ("201 Created", JSON, &[], status(&json!({ "code": 503 })), "create pods", 24, "unavailable"),
        (
            "201 Created",
            JSON,
            &[],
            refusal(
                ACCOUNT,
                "create resource \"selfsubjectaccessreviews\" in API group \"authorization.k8s.io\"",
            ),
            "cannot create pods",
            10,
            "token unknown  forbidden",
        ),
        (
            "200 OK",
            JSON,
            &[],
            status(&json!({ "status": "Success" })),
            "create pods",
            26,
            "the answer to an access review is not a SelfSubjectAccessReview",
        ),
    ]);
    // `get` passes on what it got, and reads a long one to its end.
    let more = "y".repeat(2000);
    let long =
        format!(r#"{{"kind":"Status","status":"Failure","code":403,"details":"{more}","message":"no"}}"#);
    let listener = faults::answers("200 OK", JSON, &[], &long);
    Pod::in_front_of(&listener).runs(&["get", "/healthz/etcd"]).gives(
        10,
        &["\"Failure\""],
        Stderr::Has(": no"),
    );
}

/// Kind and shape fit the question, or it is no answer to it.
#[test]
fn kinds_that_do_not_fit() {
    let list = "list pods";
    let object = "get pods/web-0";
    hold(
        [
            (
                list,
                json!({ "kind": "APIResourceList", "groupVersion": "v1", "resources": [] }).to_string(),
                26,
            ),
            (list, json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": [] }).to_string(), 26),
            (list, json!({ "kind": "APIGroupDiscoveryList", "items": [] }).to_string(), 26),
            (list, json!({ "kind": ["PodList"], "items": [] }).to_string(), 26),
            (list, json!({ "kind": { "PodList": 1 }, "items": [] }).to_string(), 26),
            (list, json!({ "kind": 7, "items": [] }).to_string(), 26),
            (list, json!({ "kind": null, "apiVersion": "v1", "items": [] }).to_string(), 26),
            (list, "{\"kind\":\"PodList\",\"kind\":\"Status\",\"items\":[]}".to_owned(), 26),
            (list, json!({ "apiVersion": "v1", "error": "no" }).to_string(), 26),
            (list, json!({ "apiVersion": "v1", "items": [] }).to_string(), 0),
            (list, json!({ "kind": "PartialObjectMetadataList", "items": [] }).to_string(), 0),
            (list, json!({ "kind": "List", "items": null }).to_string(), 0),
            (list, json!({ "kind": "APIServiceList", "items": [] }).to_string(), 0),
            (object, json!({ "kind": "APIGroup", "name": "apps" }).to_string(), 26),
            (object, json!({ "kind": "APIVersions", "versions": ["v1"] }).to_string(), 26),
            (object, json!({ "kind": ["Pod"], "metadata": {} }).to_string(), 26),
            (object, json!({ "apiVersion": "v1", "message": "hello" }).to_string(), 26),
            (object, json!({ "kind": "PartialObjectMetadata", "metadata": {} }).to_string(), 0),
            (
                object,
                json!({ "apiVersion": "v1", "kind": "Secret", "data": { "x": "y".repeat(2000) }, "metadata": {} }).to_string(),
                0,
            ),
        ]
        .map(|(phrase, body, code)| {
            let headers: &[&str] = &[];
            (
                "200 OK",
                JSON,
                headers,
                body,
                phrase,
                code,
                if code == 0 { "ok (0)" } else { "unintelligible (26)" },
            )
        }),
    );
}

/// A review is a no only if it was decided.
#[test]
fn reviews_that_decide_nothing() {
    let allowed = |fields: Value| review(&fields);
    hold(
        [
            (allowed(json!({ "allowed": false, "evaluationError": ["x"] })), 26),
            (allowed(json!({ "allowed": false, "evaluationError": { "x": 1 } })), 26),
            (allowed(json!({ "allowed": false, "evaluationError": null })), 0),
            (allowed(json!({ "allowed": false, "evaluationError": "" })), 0),
            (allowed(json!({ "denied": false, "evaluationError": "webhook: timeout" })), 24),
            (allowed(json!({ "evaluationError": "webhook: timeout", "reason": "RBAC: x" })), 24),
            (allowed(json!({ "allowed": false, "conditionSetChain": { "a": 1 } })), 26),
            (allowed(json!({ "allowed": false, "conditionSetChain": "x" })), 26),
            (allowed(json!({ "allowed": false, "conditionSetChain": null })), 0),
            (allowed(json!({ "conditionSetChain": [{}], "evaluationError": "x" })), 15),
            (allowed(json!({ "conditionSetChain": [{}], "denied": true })), 0),
        ]
        .map(|(body, code)| {
            let headers: &[&str] = &[];
            ("201 Created", JSON, headers, body, "cannot create pods", code, "")
        }),
    );
}

/// What carries `Audit-Id` is from a Kubernetes API server, and what passes through one is, too.
#[test]
fn what_an_api_server_marks() {
    const HTML: &str = "text/html; charset=utf-8";
    let page = || "<html><title>/debug/pprof/</title></html>".to_owned();
    let at =
        |location: &'static str| -> &'static [&'static str] { Box::leak(Box::new([AUDITED[0], location])) };
    hold([
        ("200 OK", HTML, AUDITED, page(), "get /debug/pprof/", 0, "ok"),
        ("204 No Content", "", AUDITED, String::new(), "get /x", 0, "ok"),
        ("206 Partial Content", "text/plain", AUDITED, "x".into(), "get /logs/a", 0, "ok"),
        (
            "200 OK",
            HTML,
            &[],
            page(),
            "get /debug/pprof/",
            26,
            "a web page, as proxies and portals send it: /debug/pprof/",
        ),
        (
            "301 Moved",
            HTML,
            at("Location: /api/v1/nodes/n1/proxy/"),
            page(),
            "get /x/proxy",
            0,
            "token 301  ok",
        ),
        ("302 Found", HTML, at("Location: pprof/"), page(), "get /debug/pprof", 0, "token 302  ok"),
        ("307 Temporary", HTML, at("Location: ./?a=https://b"), page(), "get /debug/pprof", 0, "ok"),
        ("302 Found", HTML, at("Location: //elsewhere/"), page(), "get /debug/pprof", 26, "a redirect to"),
        (
            "302 Found",
            HTML,
            at("Location: https://elsewhere/"),
            page(),
            "get /debug/pprof",
            26,
            "a redirect to",
        ),
        ("302 Found", HTML, &["Location: /login"], page(), "get /debug/pprof", 26, "a redirect to"),
        ("304 Not Modified", HTML, at("Location: /x"), String::new(), "get /x", 26, "unintelligible"),
        ("404 Not Found", HTML, AUDITED, "<h1>Not here</h1>".into(), "get /x/proxy/y", 25, "Not here"),
        ("405 Not Allowed", HTML, AUDITED, page(), "get /x/proxy/y", 25, "unserved"),
        ("404 Not Found", HTML, &[], page(), "get /x/proxy/y", 26, "unintelligible"),
        ("200 OK", HTML, AUDITED, page(), "list pods", 26, "unintelligible"),
        ("200 OK", "application/xhtml+xml", &[], "<x/>".into(), "get /x", 26, "a web page"),
        ("200 OK", "text/plain", &[], "<!-- x --><html>".into(), "get /x", 26, "a web page"),
        (
            "200 OK",
            "text/plain",
            &[],
            "<script>location='/login'</script>".into(),
            "get /x",
            26,
            "a web page",
        ),
    ]);
}

/// Content types are compared without their case; an absent object is absent, however it is named.
#[test]
fn content_types_and_absent_objects() {
    let pods = || json!({ "kind": "PodList", "items": [] }).to_string();
    let absent = |fields: Value| status(&fields);
    hold([
        ("200 OK", "APPLICATION/JSON", &[][..], pods(), "list pods", 0, "ok"),
        ("200 OK", "application/Json;as=PartialObjectMetadataList", &[], pods(), "list pods", 0, "ok"),
        ("200 OK", "Application/JSON", &[], String::new(), "watch pods", 0, "ok"),
        ("200 OK", "application/json;stream=watch", &[], String::new(), "watch pods", 0, "ok"),
        ("200 OK", "Text/HTML", &[], pods(), "list pods", 26, "a web page"),
        (
            "404 Not Found",
            JSON,
            &[],
            absent(
                json!({ "code": 404, "reason": "NotFound", "message": "podmetrics.metrics.k8s.io \"ns-1/web-0\" not found" }),
            ),
            "get pods/web-0",
            0,
            "does not exist",
        ),
        (
            "404 Not Found",
            JSON,
            &[],
            absent(
                json!({ "code": 404, "reason": "NotFound", "message": "pods \"web-0\" not found", "details": {} }),
            ),
            "get pods/web-0",
            0,
            "does not exist",
        ),
        (
            "404 Not Found",
            JSON,
            &[],
            absent(json!({ "code": 404, "reason": "NotFound", "message": "pods \"a-web-0\" not found" })),
            "get pods/web-0",
            25,
            "unserved",
        ),
        (
            "404 Not Found",
            JSON,
            &[],
            absent(json!({ "code": 404, "details": { "name": "ns-1/a-web-0" } })),
            "get pods/web-0",
            25,
            "unserved",
        ),
    ]);
}

/// As HTTP/1.0 has it: no length, and the end of the connection is the end of the body. Here it ends without TLS'
/// close_notify.
fn ends_abruptly(head_and_body: String) -> Listener {
    tls_listener(Certificate::Good, move |stream, _| {
        use std::io::Write;
        read_request(stream)?;
        stream.write_all(head_and_body.as_bytes())?;
        stream.flush()
    })
}

#[test]
fn answers_without_a_length_that_end_abruptly() {
    let no = refusal(ACCOUNT, "list resource \"pods\" in API group \"\" in the namespace \"ns-1\"");
    for (answer, arguments, code, words) in [
        (
            "HTTP/1.0 503 Service Unavailable\r\n\r\nno backend".to_owned(),
            &["list pods"][..],
            24,
            "status 503 no backend",
        ),
        ("HTTP/1.0 401 Unauthorized\r\n\r\n".to_owned(), &["list pods"], 11, "unauthenticated"),
        (
            "HTTP/1.0 429 Too Many Requests\r\nRetry-After: 1\r\n\r\nlater".to_owned(),
            &["list pods"],
            24,
            "status 429 later",
        ),
        ("HTTP/1.1 500 Oh\r\nConnection: close\r\n\r\noh".to_owned(), &["get /x"], 24, "status 500 oh"),
        (format!("HTTP/1.0 403 Forbidden\r\n\r\n{no}"), &["list pods"], 10, "cannot list"),
        (
            format!("HTTP/1.0 403 Forbidden\r\n\r\n{}", &no[..no.len() - 9]),
            &["list pods"],
            21,
            "closed the connection",
        ),
        ("HTTP/1.0 504 Gateway Timeout\r\n\r\n".to_owned(), &["create pods"], 24, "status 504"),
        (
            "HTTP/1.1 503 No\r\nContent-Length: 50\r\n\r\nno".to_owned(),
            &["list pods"],
            21,
            "closed the connection",
        ),
        (
            "HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nno".to_owned(),
            &["list pods"],
            21,
            "closed the connection",
        ),
        (
            "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{\"kind\":\"PodList\"".to_owned(),
            &["list pods"],
            21,
            "closed the connection",
        ),
    ] {
        let listener = ends_abruptly(answer);
        let arguments = [&["check", "--token-only"], arguments].concat();
        Pod::in_front_of(&listener).runs(&arguments).gives(code, &[words], Stderr::Empty);
    }
    let listener = ends_abruptly("HTTP/1.0 503 Service Unavailable\r\n\r\nno backend".into());
    Pod::in_front_of(&listener).runs(&["get", "/x"]).gives(24, &["no backend"], Stderr::Has("no backend"));
    Pod::in_front_of(&listener).runs(&["whoami"]).gives(24, &["no backend"], Stderr::Empty);
}

/// Words of what stands before the API server: shown, on one line, escaped and short.
#[test]
fn words_of_something_else() {
    let kong = "{\n  \"message\": \"no Route matched\",\n  \"request_id\": \"7\"\n}";
    hold([
        (
            "403 Forbidden",
            "text/plain",
            &[][..],
            "RBAC: access denied".into(),
            "list pods",
            26,
            ": RBAC: access denied\n",
        ),
        (
            "403 Forbidden",
            JSON,
            &[],
            kong.into(),
            "list pods",
            26,
            ": { \"message\": \"no Route matched\", \"request_id\": \"7\" }\n",
        ),
        (
            "403 Forbidden",
            "text/html",
            &[],
            "<html><title>Blocked by\n policy</title>".into(),
            "list pods",
            26,
            "send it: Blocked by policy\n",
        ),
        (
            "403 Forbidden",
            "text/plain",
            &[],
            "\u{1b}[31mno\u{202e}".into(),
            "list pods",
            26,
            ": \\u{1b}[31mno\\u{202e}\n",
        ),
        ("418 Teapot", "text/plain", &[], "x".repeat(300), "list pods", 26, "xx…\n"),
        (
            "400 Bad Request",
            "text/html",
            &[],
            "<html><h1>The plain HTTP request was sent to HTTPS port</h1>".into(),
            "list pods",
            26,
            "use https:// in --server",
        ),
        (
            "400 Bad Request",
            "text/html",
            &[],
            "<p>You're speaking plain HTTP to an SSL-enabled server port.<br />".into(),
            "list pods",
            26,
            "use https:// in --server",
        ),
        (
            "400 Bad Request",
            "text/plain",
            &[],
            String::new(),
            "list pods",
            26,
            "    status 400 an answer without a word\n",
        ),
        (
            "502 Bad Gateway",
            "text/html",
            &[],
            "<html><head><title>502 Bad Gateway</title></head>".into(),
            "list pods",
            24,
            "    status 502 502 Bad Gateway\n",
        ),
        (
            "503 Unavailable",
            "text/plain",
            &[],
            "upstream connect error\n or disconnect".into(),
            "list pods",
            24,
            "    status 503 upstream connect error or disconnect\n",
        ),
    ]);
}
