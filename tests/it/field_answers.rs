//! Answers from the field: what real API servers, aggregated ones and things on the way said, and was misread.

use serde_json::{Value, json};
use testbed::Stderr;
use testbed::faults::{self, Certificate, Listener, read_request, tls_listener};
use testbed::scene::report;

use crate::{Pod, Scene};

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

fn status_of(fields: &Value) -> String {
    let mut object = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure" });
    for (key, value) in fields.as_object().unwrap() {
        object[key] = value.clone();
    }
    object.to_string()
}

fn refusal(user: &str, cannot: &str) -> String {
    let message = format!("x is forbidden: User \"{user}\" cannot {cannot}");
    status_of(&json!({ "reason": "Forbidden", "code": 403, "message": message }))
}

fn review(fields: &Value) -> String {
    json!({ "kind": "SelfSubjectAccessReview", "status": fields }).to_string()
}

/// What failed inside a 2xx is what the Status says, with a code or with a reason alone, also of a review.
#[test]
fn a_status_of_failure_inside_a_good_answer() {
    let inside = |reason: &str| status_of(&json!({ "reason": reason, "message": "no" }));
    let long = status_of(
        &json!({ "code": 403, "message": "x".repeat(900), "details": { "name": "y".repeat(900) } }),
    );
    // Keys in their order, as some servers have them: the kind comes after two pages of details.
    let late = status_of(&json!({ "code": 403, "details": { "name": "y".repeat(2000) } }));
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
        ("200 OK", JSON, &[], inside("Forbidden"), "watch pods", 10, "forbidden"),
        ("200 OK", JSON, &[], inside("ServiceUnavailable"), "watch pods", 24, "unavailable"),
        ("200 OK", JSON, &[], long, "list pods", 10, "forbidden"),
        ("200 OK", JSON, &[], late, "list pods", 10, "forbidden"),
        (
            "200 OK",
            JSON,
            &[],
            status_of(&json!({ "code": 404, "details": { "name": "web-0" } })),
            "get pods/web-0",
            0,
            "it does not exist",
        ),
        ("201 Created", JSON, &[], status_of(&json!({ "code": 401 })), "create pods", 11, "unauthenticated"),
        ("201 Created", JSON, &[], status_of(&json!({ "code": 503 })), "create pods", 24, "unavailable"),
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
            status_of(&json!({ "status": "Success" })),
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
/// Paths that serve one document have to serve that; what a real server says is said so by its `Audit-Id`.
#[test]
fn documents_that_do_not_fit() {
    let foo = || json!({ "kind": "Foo", "apiVersion": "v1" }).to_string();
    let paths = [
        ("get /version", "gitVersion", json!({ "major": "1", "minor": "36", "gitVersion": "v1.36.2" })),
        ("get /api", "APIVersions", json!({ "kind": "APIVersions", "versions": ["v1"] })),
        ("get /api/v1", "APIResourceList", json!({ "kind": "APIResourceList", "resources": [] })),
        ("get /apis", "APIGroupList", json!({ "kind": "APIGroupList", "groups": [] })),
        ("get /apis/", "APIGroupList", json!({ "groups": ["x".repeat(2000)], "kind": "APIGroupList" })),
        ("get /apis/apps", "APIGroup", json!({ "kind": "APIGroup", "name": "apps" })),
        ("get /apis/apps/v1", "APIResourceList", json!({ "kind": "APIResourceList", "resources": [] })),
        ("get /openapi/v2", "swagger", json!({ "swagger": "2.0", "paths": { "x": "y".repeat(2000) } })),
        ("get /openapi/v3", "paths", json!({ "paths": { "x": "y".repeat(2000) } })),
    ];
    for (phrase, what, good) in paths {
        let words: &str =
            Box::leak(format!("not the document of this path, which has {what}").into_boxed_str());
        let bad = [foo(), "{}".into(), "[]".into(), "ok".into(), String::new(), "{\"kind\":\"Foo\",".into()];
        hold(bad.map(|body| -> Case { ("200 OK", JSON, &[], body, phrase, 26, words) }));
        let other = format!("{{\"kind\":\"APIVersionsList\",\"items\":[\"{}\"]}}", "x".repeat(2000));
        hold([
            ("200 OK", JSON, &[][..], other, phrase, 26, words),
            ("200 OK", JSON, &[], good.to_string(), phrase, 0, "ok (0)"),
            ("200 OK", "text/plain", &[], good.to_string(), phrase, 0, "ok (0)"),
            ("200 OK", JSON, AUDITED, foo(), phrase, 0, "ok (0)"),
        ]);
    }
    // What they serve below, and any other path, may be anything.
    for phrase in [
        "get /version/x",
        "get /openapi/v3/api/v1",
        "get /openapi",
        "get /healthz",
        "get /metrics",
        "get /foo",
    ] {
        hold([("200 OK", JSON, &[][..], foo(), phrase, 0, "ok (0)")]);
    }
    let listener = faults::answers("200 OK", JSON, &[], &foo());
    let pod = Pod::in_front_of(&listener);
    pod.runs(&["get", "/version"]).gives(26, &["Foo"], Stderr::Has("which has gitVersion"));
    pod.runs(&["get", "/version?timeout=1s"]).gives(26, &["Foo"], Stderr::Has("which has gitVersion"));
    pod.runs(&["doctor"]).gives(26, &["which has gitVersion"], Stderr::Any);
}

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
            (list, "{\"kind\":\"PodList\",\"items\":[".to_owned(), 26),
        (list, json!({ "apiVersion": "v1", "items": ["x".repeat(2000)], "kind": "PodList" }).to_string(), 0),
        (list, json!({ "apiVersion": "v1", "items": ["x".repeat(99_000)], "kind": "Foo" }).to_string(), 26),
        (object, "{\"kind\":\"Pod\",\"metadata\":{".to_owned(), 26),
        ("watch pods", json!({ "kind": "PodList", "items": [] }).to_string(), 26),
        ("watch pods", "[]".to_owned(), 26),
        ("watch pods", json!({ "type": "ADDED", "object": {} }).to_string(), 0),
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
    let absent = |fields: Value| status_of(&fields);
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
            "    status 400 an empty answer\n",
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

/// Answers each request by its head.
fn by_request(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Listener {
    tls_listener(Certificate::Good, move |stream, _| {
        use std::io::Write;
        loop {
            let head = read_request(stream)?;
            stream.write_all(answer(&head).as_bytes())?;
            stream.flush()?;
        }
    })
}

/// A refusal of somebody else, or of something else, satisfies no `cannot`, and offers no grant.
#[test]
fn refusals_that_are_not_about_the_permission() {
    const PODS: &str = "list resource \"pods\" in API group \"\" in the namespace \"ns-1\"";
    let reviews = |verb: &str| {
        format!(
            "{verb} resource \"selfsubjectaccessreviews\" in API group \"authorization.k8s.io\" at the cluster scope"
        )
    };
    for (phrase, user, cannot) in [
        ("list pods", "kube-apiserver", PODS),
        ("list pods", "system:serviceaccount:ns-1:k-sa-2", PODS),
        ("list pods", "system:serviceaccount:ns-2:k-sa-1", PODS),
        ("list pods", "system:node:n1", PODS),
        (
            "list pods",
            "system:serviceaccount:proxy:impersonator",
            "impersonate resource \"serviceaccounts\" in API group \"\"",
        ),
        ("list pods", ACCOUNT, "impersonate resource \"users\" in API group \"\" at the cluster scope"),
        // Constrained impersonation, as recorded from 1.36.
        (
            "list pods",
            ACCOUNT,
            "impersonate-on:user-info:list resource \"pods\" in API group \"\" in the namespace \"ns-1\"",
        ),
        (
            "list pods",
            ACCOUNT,
            "list resource \"pods\" in API group \"metrics.k8s.io\" in the namespace \"ns-1\"",
        ),
        ("list pods", ACCOUNT, "list resource \"pods/log\" in API group \"\" in the namespace \"ns-1\""),
        ("list pods", ACCOUNT, "get path \"/api/v1/namespaces/ns-1/pods\""),
        ("list pods", ACCOUNT, "list resource \"pods\" in API group \"\" in the namespace \"ns-2\""),
        (
            "get pods/web-0",
            ACCOUNT,
            "get resource \"pods\" in API group \"\" in the namespace \"kube-system\"",
        ),
        ("list pods", "u-7x2jk", "get resource \"clusters\" in API group \"management.cattle.io\""),
        ("get pods/web-0", ACCOUNT, PODS),
        ("watch pods", ACCOUNT, PODS),
        ("get /metrics", ACCOUNT, "get path \"/logs\""),
        ("get /metrics", ACCOUNT, "get resource \"nodes/metrics\" in API group \"\" at the cluster scope"),
        ("get /metrics", "kube-apiserver", "get path \"/metrics\""),
        ("create pods", "kube-apiserver", &reviews("create")),
        ("create pods", ACCOUNT, &reviews("impersonate-on:user-info:create")),
        ("create pods", ACCOUNT, "impersonate resource \"serviceaccounts\" in API group \"\""),
    ] {
        let listener = faults::answers("403 Forbidden", JSON, &[], &refusal(user, cannot));
        let pod = Pod::in_front_of(&listener);
        for phrase in [phrase.to_owned(), format!("cannot {phrase}")] {
            let words = format!("    this refuses {user} something else");
            let finished = pod.runs(&["check", "--token-only", &phrase]).gives(10, &[&words], Stderr::Empty);
            assert!(!finished.stdout.contains("kubectl create"), "{}", finished.story());
            let report = report(&pod.runs(&["check", "--token-only", "-ojson", &phrase]));
            assert_eq!(report["identity"], json!({ "user": ACCOUNT, "source": "token" }), "{phrase} {user}");
        }
    }
    // Who is refused something else is not who the rest is granted to.
    let listener = by_request(|head| {
        if head.contains("/pods") {
            faults::answer("403 Forbidden", JSON, &refusal("kube-apiserver", PODS))
        } else {
            faults::answer("201 Created", JSON, &review(&json!({ "allowed": false })))
        }
    });
    Pod::in_front_of(&listener).runs(&["check", "--token-only", "list pods", "create pods"]).gives(
        10,
        &["--role=k-sa-1-create-pods --serviceaccount=ns-1:k-sa-1"],
        Stderr::Empty,
    );
    // Nor is who is refused there who we are.
    let listener = faults::answers(
        "403 Forbidden",
        JSON,
        &[],
        &refusal(
            "system:serviceaccount:proxy:impersonator",
            "impersonate resource \"users\" in API group \"\"",
        ),
    );
    for command in [&["whoami"][..], &["rules"]] {
        let finished = Pod::in_front_of(&listener).runs(command);
        assert_eq!(finished.code, Some(10), "{}", finished.story());
        assert!(!finished.stdout.contains("kubectl create"), "{}", finished.story());
        assert!(!finished.stdout.contains("token      system:serviceaccount:proxy"), "{}", finished.story());
    }
    // Without a token, 12: that it was not sent is what is wrong.
    let listener = faults::answers("403 Forbidden", JSON, &[], &refusal("kube-apiserver", PODS));
    let pod = Pod::in_front_of(&listener).without_file("token");
    for phrase in ["list pods", "cannot list pods"] {
        pod.runs(&["check", phrase]).gives(12, &["no token to send"], Stderr::Empty);
    }
}

/// The user comes into a command as the API server knows it, whatever escapes the message has; or in none.
#[test]
fn users_in_commands() {
    for (quoted, flag) in [
        (r"CORP\\jdoe", Some(r"--user='CORP\jdoe'")),
        ("R&amp;D-bot", Some("--user='R&D-bot'")),
        ("a&lt;b&gt;c", Some("--user='a<b>c'")),
        ("&amp;amp;", Some("--user='&amp;'")),
        (r#"the \"boss\""#, Some("--user='the \"boss\"'")),
        ("o'hara", Some(r"--user='o'\''hara'")),
        (r"gr\u00fcn", Some("--user='grün'")),
        ("https://issuer#jane", Some("--user='https://issuer#jane'")),
        ("system:serviceaccount:a:b", Some("--serviceaccount=a:b")),
        (r"line\nbreak", None),
        (r"bell\a", None),
        (r"esc\x1b[31m", None),
        (r"latin\xe9", None),
        (r"back\u202ewards", None),
    ] {
        let body = refusal(quoted, "list resource \"pods\" in API group \"\" in the namespace \"ns-1\"");
        let listener = faults::answers("403 Forbidden", JSON, &[], &body);
        // Of an opaque token the API server's word for its user is all there is.
        let pod = Pod::in_front_of(&listener).with_file("token", "0123456789abcdefghij");
        let finished =
            pod.runs(&["check", "--token-only", "list pods"]).gives(10, flag.as_slice(), Stderr::Empty);
        assert_eq!(finished.stdout.contains("kubectl create"), flag.is_some(), "{}", finished.story());
        pod.runs(&["check", "--token-only", "cannot list pods"]).gives(0, &[], Stderr::Empty);
    }
}

/// No kubectl line where none can help.
#[test]
fn refusals_that_no_grant_lifts() {
    const BEYOND: &str = "change that authorizer's policy";
    const BESIDE: &str = "an authorizer beside RBAC gives this reason";
    const GRANT: &str = "kubectl create rolebinding";
    let because = |reason: &str| {
        refusal(
            ACCOUNT,
            &format!("list resource \"pods\" in API group \"\" in the namespace \"ns-1\"{reason}"),
        )
    };
    for (reason, words) in [
        (": scopes [user:info] prevent this action", BEYOND),
        (
            ": User does not have access to the resource in Azure. Update role assignment to allow access.",
            BEYOND,
        ),
        (": requires one of [\"container.pods.list\"] permission(s).", BEYOND),
        (": denied by policy", BESIDE),
        (": RBAC: role.rbac.authorization.k8s.io \"r\" not found\ndenied by webhook", BESIDE),
        ("", GRANT),
        (": RBAC: [role \"a\" not found, role \"b\" not found]", GRANT),
        (": No policy matched.", GRANT),
        (": Azure does not have opinion for this user.", GRANT),
        (": RBAC: role \"r\" not found\nAzure does not have opinion for this user.", GRANT),
    ] {
        let listener = faults::answers("403 Forbidden", JSON, &[], &because(reason));
        let pod = Pod::in_front_of(&listener);
        let finished = pod.runs(&["check", "--token-only", "list pods"]).gives(10, &[words], Stderr::Empty);
        assert_eq!(finished.stdout.contains("kubectl create"), words == GRANT, "{}", finished.story());
        // It is refused all the same.
        pod.runs(&["check", "--token-only", "cannot list pods"]).gives(0, &[], Stderr::Empty);
    }
    for (answer, words) in [
        (json!({ "allowed": false, "denied": true, "reason": "no pods on Fridays" }), BEYOND),
        (json!({ "denied": true }), BEYOND),
        (json!({ "allowed": true, "denied": true }), BEYOND),
        (json!({ "allowed": false, "reason": "scopes [user:info] prevent this action" }), BEYOND),
        // It denies nothing, so a grant helps.
        (json!({ "allowed": false, "denied": false, "reason": "not in my list" }), GRANT),
        (json!({ "allowed": false }), GRANT),
    ] {
        let listener = faults::answers("201 Created", JSON, &[], &review(&answer));
        let finished = Pod::in_front_of(&listener).runs(&["check", "--token-only", "create pods"]).gives(
            10,
            &[words],
            Stderr::Empty,
        );
        assert_eq!(finished.stdout.contains("kubectl create"), words == GRANT, "{}", finished.story());
    }
    // Default roles are bound to who asks: some providers refuse to bind every authenticated user.
    let body = refusal(
        ACCOUNT,
        "create resource \"selfsubjectaccessreviews\" in API group \"authorization.k8s.io\" at the cluster scope",
    );
    let listener = faults::answers("403 Forbidden", JSON, &[], &body);
    let finished = Pod::in_front_of(&listener).runs(&["check", "--token-only", "create pods"]).gives(
        10,
        &["--clusterrole=system:basic-user --serviceaccount=ns-1:k-sa-1\n"],
        Stderr::Empty,
    );
    assert!(!finished.stdout.contains("system:authenticated"), "{}", finished.story());
    // Conditions are no plain yes, and no no.
    let conditional = review(&json!({ "conditionSetChain": [{}], "reason": "on weekdays" }));
    let listener = faults::answers("201 Created", JSON, &[], &conditional);
    for phrase in ["create pods", "cannot create pods"] {
        Pod::in_front_of(&listener).runs(&["check", "--token-only", phrase]).gives(
            15,
            &["grants it under conditions, which only the request itself is held to: on weekdays"],
            Stderr::Empty,
        );
    }
}

/// An aggregated API server speaks for itself: the kube-apiserver took the token when the name was looked up.
#[test]
fn aggregated_api_servers() {
    const SERVICE: &str = "kubectl get apiservices v1beta1.metrics.k8s.io";
    let discovery = r#"{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","items":[
        {"metadata":{"name":"metrics.k8s.io"},"versions":[{"version":"v1beta1","freshness":"Current","resources":[
            {"resource":"pods","responseKind":{"group":"","version":"","kind":"PodMetrics"},"scope":"Namespaced",
            "singularResource":"pod","verbs":["get","list"]}]}]}]}"#;
    let anonymous = refusal(
        "system:anonymous",
        "list resource \"pods\" in API group \"metrics.k8s.io\" in the namespace \"ns-1\"",
    );
    let own = refusal("kube-apiserver", "list resource \"nodes\" in API group \"metrics.k8s.io\"");
    for (status, content_type, body, code, words, not) in [
        (
            "401 Unauthorized",
            JSON,
            status_of(&json!({ "code": 401, "message": "Unauthorized" })),
            11,
            "the server of API group metrics.k8s.io rejects what the kube-apiserver accepted",
            "kubectl get serviceaccount",
        ),
        (
            "403 Forbidden",
            JSON,
            anonymous,
            12,
            "extension-apiserver-authentication",
            "removes the Authorization header",
        ),
        (
            "403 Forbidden",
            JSON,
            own,
            10,
            "this refuses kube-apiserver something else",
            "--user=kube-apiserver",
        ),
        (
            "503 Service Unavailable",
            "text/plain",
            "service unavailable\n".into(),
            24,
            "status 503 service unavailable",
            "kubeknock wait",
        ),
        (
            "500 Oh",
            "text/plain",
            "dial tcp: timeout".into(),
            24,
            "status 500 dial tcp: timeout",
            "kubeknock wait",
        ),
        ("429 Later", "text/plain", "later".into(), 24, "status 429 later", "kubeknock wait"),
    ] {
        let listener = by_request(move |head| {
            if head.starts_with("GET /apis ") {
                const AGGREGATED: &str =
                    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
                faults::answer("200 OK", AGGREGATED, discovery)
            } else {
                faults::answer(status, content_type, &body)
            }
        });
        let words = if code == 10 { vec![words] } else { vec![words, SERVICE] };
        let finished = Pod::in_front_of(&listener)
            .runs(&["check", "--token-only", "list pods.metrics.k8s.io"])
            .gives(code, &words, Stderr::Empty);
        assert!(!finished.stdout.contains(not), "{}", finished.story());
        assert!(finished.stdout.lines().count() <= 5, "{}", finished.story());
    }
}

/// `get` knows no group, but what is in the path.
#[test]
fn paths_of_aggregated_api_servers() {
    const HINT: &str = "; if an aggregated server answers for metrics.k8s.io, see whether it is up and trusts the \
                        kube-apiserver: kubectl get apiservices v1beta1.metrics.k8s.io\n";
    let unauthorized = status_of(&json!({ "code": 401, "message": "Unauthorized" }));
    for (status, content_type, body, code) in [
        ("401 Unauthorized", JSON, unauthorized.as_str(), 11),
        ("503 Service Unavailable", "text/plain", "service unavailable\n", 24),
    ] {
        let listener = faults::answers(status, content_type, &[], body);
        let pod = Pod::in_front_of(&listener);
        for path in ["/apis/metrics.k8s.io/v1beta1/pods", "/apis/metrics.k8s.io/v1beta1?timeout=3s"] {
            pod.runs(&["get", path]).gives(code, &[], Stderr::Has(HINT));
        }
        for path in ["/apis/apps/v1/deployments", "/api/v1/pods", "/apis", "/apis/metrics.k8s.io", "/healthz"]
        {
            let finished = pod.runs(&["get", path]).gives(code, &[], Stderr::Any);
            assert!(!finished.stderr.contains("aggregated"), "{}", finished.story());
        }
    }
}

/// kubectl proxy has an identity and filters of its own.
#[test]
fn what_kubectl_proxy_says() {
    let proxy = |status: &'static str, content_type: &'static str, body: String| {
        faults::tcp_listener(move |mut stream, _| {
            use std::io::Write;
            while read_request(&mut stream).is_ok() {
                drop(stream.write_all(faults::answer(status, content_type, &body).as_bytes()));
            }
        })
    };
    let unauthorized = || status_of(&json!({ "code": 401, "message": "Unauthorized" }));
    for (status, content_type, body, code, words) in [
        ("401 Unauthorized", JSON, unauthorized(), 12, "rejects the credentials of the proxy itself"),
        ("403 Forbidden", "text/plain", "Forbidden".to_owned(), 26, "--accept-hosts"),
        ("403 Forbidden", "text/plain", "<h3>Unauthorized</h3>".to_owned(), 26, "--accept-paths"),
        (
            "403 Forbidden",
            JSON,
            refusal("jane", "list resource \"pods\" in API group \"\" in the namespace \"ns-1\""),
            10,
            "--user=jane",
        ),
        (
            "403 Forbidden",
            JSON,
            refusal("jane", "impersonate resource \"users\" in API group \"\""),
            10,
            "this refuses jane something else",
        ),
    ] {
        let listener = proxy(status, content_type, body);
        let pod = Pod::in_front_of(&listener).at_server(&format!("http://{}", listener.address()));
        let finished = pod.runs(&["check", "list pods"]).gives(code, &[words], Stderr::Empty);
        assert!(!finished.stdout.contains("--token-file"), "{}", finished.story());
    }
    for (status, content_type, body, code, words) in [
        ("401 Unauthorized", JSON, unauthorized(), 12, "rejects the credentials of the proxy itself"),
        (
            "502 Bad Gateway",
            "text/plain",
            "dial tcp 10.0.0.1:443: connect: connection refused".to_owned(),
            24,
            "dial tcp 10.0.0.1:443: connect: connection refused",
        ),
    ] {
        let listener = proxy(status, content_type, body);
        let pod = Pod::in_front_of(&listener).at_server(&format!("http://{}", listener.address()));
        pod.runs(&["get", "/version"]).gives(code, &[], Stderr::Has(words));
        let finished = pod.runs(&["check", "list pods"]).gives(code, &[words], Stderr::Empty);
        assert!(!finished.stdout.contains("the API server is up"), "{}", finished.story());
    }
}

/// What is not known is not said to be allowed, and what a name lacks is named.
#[test]
fn what_is_not_served() {
    hold([
        (
            "404 Not Found",
            "text/plain",
            &[][..],
            "404 page not found".into(),
            "create pods",
            25,
            "the API server does not serve access reviews, so it is not known whether this is allowed: 404 page not found",
        ),
        (
            "404 Not Found",
            "text/plain",
            &[],
            "404 page not found".into(),
            "list pods",
            25,
            "does not refuse it, but does not serve it",
        ),
        // A gateway's 401 is not the API server's.
        (
            "401 Unauthorized",
            JSON,
            &[],
            "{\"message\":\"No API key found in request\"}".into(),
            "list pods",
            11,
            "something before the API server may reject it: status 401 {\"message\":\"No API key found in request\"}",
        ),
    ]);
    let listener = faults::answers("404 Not Found", "text/plain", &[], "404 page not found");
    Pod::in_front_of(&listener).runs(&["rules"]).gives(
        25,
        &[],
        Stderr::Has("check that authorization.k8s.io/v1 is served: kubectl api-versions"),
    );
    let scene = Scene::new();
    for (phrase, words) in [
        ("get pods/*/lgo", "pods has no such subresource; similar names: log\n"),
        ("get pods/web-0/lgo", "pods has no such subresource; similar names: log\n"),
        (
            "patch deployments.apps/*/scael",
            "deployments.apps has no such subresource; similar names: scale\n",
        ),
        ("list widgets", "has no resource of that name"),
    ] {
        scene.runs(&["check", phrase]).gives(25, &[words], Stderr::Empty);
    }
    // A name with regular expression in it stays a name.
    let listener = faults::answers("200 OK", JSON, &[], "{\"kind\":\"PodList\",\"items\":[]}");
    let pod = Pod::in_front_of(&listener).without_file("token");
    pod.runs(&["check", "cannot list pods"]).gives(
        13,
        &["grep -E 'system:(anonymous|unauthenticated)'"],
        Stderr::Empty,
    );
}
