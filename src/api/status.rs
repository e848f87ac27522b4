//! Determines what an answer of the API server means: status, content type and body become an [`Answer`].
//!
//! The order in the server is authentication (401), priority and fairness (429), authorization
//! (403), routing (404, 405): so only an allowed caller gets a 404.

use std::io::Read;

use serde_json::Value;

pub use super::answer::{ANONYMOUS, Answer, Meaning, Shape};
use super::glance::Glance;
use super::refusal::Refusal;
use super::{LARGEST_BODY, Reply, failure_of_io, json, stranger};
use crate::failure::Failure;
use crate::text::{escape, lossy};
use crate::token::Token;

/// How much of an allowed read is inspected, to see that it is from a Kubernetes API server.
const GLANCE: usize = 1024;

/// How much more where the kind does not come first.
const LONG_GLANCE: usize = 64 * 1024;

/// Reads the answer to the end (a watch, which has no end: only its head) and understands it.
pub fn answer(mut reply: Reply, shape: &Shape) -> Result<Answer, Failure> {
    let allowed_read = reply.status() == 200 && *shape != Shape::Review;
    if allowed_read && *shape == Shape::Watch && reply.header("content-length").is_none() {
        return Ok(answer_from(&reply, shape, &[]));
    }
    let limit = if allowed_read { GLANCE } else { LARGEST_BODY + 1 };
    let (mut body, broken) = take_what_comes(&mut reply, limit);
    match broken {
        Some(Failure::Closed(_)) if is_understood(&reply, &body) => {
            return Ok(answer_from(&reply, shape, &body));
        }
        Some(failure) => return Err(failure),
        None => {}
    }
    // A shorter body was read to its end.
    if allowed_read && body.len() == GLANCE {
        if matches!(shape, Shape::List | Shape::Object(_)) && !shows_its_kind(&body) {
            body.extend(reply.take(LONG_GLANCE)?);
        }
        if is_status(&body) {
            body.extend(reply.take(LARGEST_BODY)?);
        }
    }
    let answer = answer_from(&reply, shape, &body);
    // The end of the body has to be seen for the connection to be used again.
    if body.len() <= LARGEST_BODY {
        reply.drain()?;
    }
    Ok(answer)
}

/// The body up to `limit`, and the failure that ended it, if any.
fn take_what_comes(reply: &mut Reply, limit: usize) -> (Vec<u8>, Option<Failure>) {
    let mut body = Vec::new();
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    let broken = reply.reader().take(limit).read_to_end(&mut body).err();
    (body, broken.map(|error| failure_of_io(error, &reply.server)))
}

/// A body without a length ends with the connection, and some servers end that without TLS' close_notify. Then the
/// status says all, or what came is a whole Status.
pub fn is_understood(reply: &Reply, body: &[u8]) -> bool {
    let has_length = reply.header("content-length").is_some() || reply.header("transfer-encoding").is_some();
    match reply.status() {
        _ if has_length => false,
        401 | 429 | 500..600 => true,
        _ => status_object(body, reply.token()).is_some(),
    }
}

/// Understands an answer by its head and its body, or the beginning of it.
pub fn answer_from(reply: &Reply, shape: &Shape, body: &[u8]) -> Answer {
    let status = reply.status();
    // Each answer of a kube-apiserver carries it (k8s.io/apiserver/pkg/endpoints/filters, `WithAuditInit`).
    let is_kubernetes = reply.header("audit-id").is_some();
    let (meaning, user, reason) = match status {
        300..400 => {
            let location = reply.header("location").unwrap_or_default();
            if shape.is_path() && is_kubernetes && status != 304 && stranger::is_here(location, &reply.server)
            {
                (Meaning::Granted, None, String::new())
            } else {
                let why = match status {
                    304 => "304 Not Modified, which the request did not ask for".to_owned(),
                    _ => format!("a redirect to \"{}\"", shown(location)),
                };
                (Meaning::Unintelligible, None, why)
            }
        }
        200..300 if shape.is_path() && is_kubernetes && !is_status(body) => {
            (Meaning::Granted, None, String::new())
        }
        // The answer of a Service or a node that the API server proxies to.
        404 | 405 if shape.is_path() && is_kubernetes => {
            (Meaning::Unserved, None, words(body, reply.token()))
        }
        _ => understand(shape, status, reply.header("content-type").unwrap_or_default(), body, reply.token()),
    };
    let retry_after = reply.header("retry-after").map(Into::into);
    let skew = if status == 401 { reply.skew() } else { None };
    Answer { status, meaning, user: user.map(Into::into), reason: reason.into(), retry_after, skew }
}

/// What this status, content type and body (or its beginning) mean. Pure. The token is removed from texts.
pub fn understand(
    shape: &Shape,
    status: u16,
    content_type: &str,
    body: &[u8],
    token: Option<&Token>,
) -> (Meaning, Option<String>, String) {
    let page = stranger::is_web_page(content_type, body);
    let strange = |why: String| (Meaning::Unintelligible, None, why);
    if body.len() > LARGEST_BODY {
        return match status {
            429 | 500..600 => (Meaning::Unavailable, None, String::new()),
            _ => strange(format!("an answer of more than {LARGEST_BODY} bytes")),
        };
    }
    match status {
        429 | 500..600 => (Meaning::Unavailable, None, words(body, token)),
        400 if stranger::needs_tls(body) => strange("the port speaks TLS: use https:// in --server".into()),
        _ if page => {
            let title = stranger::title(body).map(|title| format!(": {title}")).unwrap_or_default();
            strange(format!("a web page, from a proxy or portal{title}"))
        }
        200..300 if is_status(body) => inside(shape, content_type, body, token),
        401 => (Meaning::Unauthenticated, None, words(body, token)),
        200..300 if *shape == Shape::Review => review(status, body, token),
        200..300 => match read(shape, status, content_type, body) {
            Ok(()) => (Meaning::Granted, None, String::new()),
            Err(why) => strange(why),
        },
        403 => {
            let Some(object) = status_object(body, token) else {
                let words = words(body, token);
                let said = if words.is_empty() { String::new() } else { format!(": {words}") };
                return strange(format!(
                    "a 403 that is not a Kubernetes Status, so a proxy or mesh before the API server refused it{said}"
                ));
            };
            let words = message(&object);
            let meaning = if *shape == Shape::Review { Meaning::ReviewForbidden } else { Meaning::Forbidden };
            (meaning, user(&words), words)
        }
        404 | 405 => {
            let absent = if let (Shape::Object(name), 404) = (shape, status) {
                status_object(body, token).is_some_and(|object| is_absent(&object, name))
            } else {
                false
            };
            (if absent { Meaning::NotFound } else { Meaning::Unserved }, None, words(body, token))
        }
        _ => strange(match words(body, token) {
            words if words.is_empty() => "an empty answer".into(),
            words => words,
        }),
    }
}

/// What a Status of failure inside a 2xx means: it takes precedence over the head.
fn inside(
    shape: &Shape,
    content_type: &str,
    body: &[u8],
    token: Option<&Token>,
) -> (Meaning, Option<String>, String) {
    let strange = |why: &str| (Meaning::Unintelligible, None, why.to_owned());
    let Some(object) = status_object(body, token) else { return strange("a Status that is broken JSON") };
    if object.get("status").and_then(Value::as_str) == Some("Failure") {
        return match failure_code(&object) {
            Some(code) => understand(shape, code, content_type, body, token),
            None => strange("a Status where an object is expected"),
        };
    }
    match shape {
        Shape::Path => (Meaning::Granted, None, String::new()),
        Shape::Review => strange(NO_REVIEW),
        Shape::List | Shape::Object(_) | Shape::Watch | Shape::Document(_) => {
            strange("a Status where an object is expected")
        }
    }
}

/// The HTTP status that a Status of failure stands for: its `code`, else that of its `reason`
/// (k8s.io/apimachinery/pkg/apis/meta/v1, `StatusReason`).
fn failure_code(object: &Value) -> Option<u16> {
    let code = object.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    code.filter(|code| (400..600).contains(code)).or_else(|| {
        Some(match object.get("reason").and_then(Value::as_str)? {
            "Unauthorized" => 401,
            "Forbidden" => 403,
            "NotFound" => 404,
            "MethodNotAllowed" => 405,
            "TooManyRequests" => 429,
            "InternalError" => 500,
            "ServiceUnavailable" => 503,
            "Timeout" | "ServerTimeout" => 504,
            _ => return None,
        })
    })
}

/// Whether a 404 says that the object of this name is absent. metrics-server names `NAMESPACE/NAME`; some aggregated API
/// servers name it in the message alone.
fn is_absent(object: &Value, name: &str) -> bool {
    let text = |at: &str| object.pointer(at).and_then(Value::as_str);
    let is_it =
        |found: &str| found.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
    if let Some(found) = text("/details/name").filter(|found| !found.is_empty()) {
        return is_it(found);
    }
    let quoted = text("/message").and_then(|message| message.strip_suffix("\" not found"));
    text("/reason") == Some("NotFound")
        && quoted.and_then(|message| message.rsplit('"').next()).is_some_and(is_it)
}

/// Whether an allowed read is what was asked for; else why not.
fn read(shape: &Shape, status: u16, content_type: &str, body: &[u8]) -> Result<(), String> {
    if let Shape::Document(what) = shape {
        // A body that is shorter than the glance was read to its end.
        let is_broken = |glance: &Glance| !glance.whole && body.len() < GLANCE;
        let fits = Glance::of(body).is_some_and(|glance| !is_broken(&glance) && glance.can_be(what));
        let why = || format!("not the document of this path, which has {what}");
        return if fits { Ok(()) } else { Err(why()) };
    }
    if *shape == Shape::Path {
        return Ok(());
    }
    if status != 200 {
        return Err("a status that no read gets".into());
    }
    if !content_type.trim_start().to_ascii_lowercase().starts_with("application/json") {
        return Err(format!("content type \"{}\" where JSON is expected", shown(content_type)));
    }
    // Its events have a type and an object. A body without a length is not read.
    if *shape == Shape::Watch && body.is_empty() {
        return Ok(());
    }
    let Some(Glance { keys, kind, whole }) = Glance::of(body) else {
        return Err("JSON that is not a Kubernetes object".into());
    };
    let has = |key: &str| keys.iter().any(|found| found == key);
    if *shape == Shape::Watch {
        return if has("type") { Ok(()) } else { Err("an object where a watch is expected".into()) };
    }
    if !has("kind") && !has("apiVersion") {
        return Err("JSON that is not a Kubernetes object".into());
    }
    // A body that is shorter than the glance was read to its end.
    if !whole && body.len() < GLANCE {
        return Err("broken JSON".into());
    }
    if keys.iter().filter(|key| *key == "kind").count() > 1 {
        return Err("an object that names its kind twice".into());
    }
    // At the end of the glance the kind may be cut off.
    let cut_off = !whole && keys.last().is_some_and(|key| key == "kind");
    match (shape, kind) {
        (_, None) if has("kind") && !cut_off => Err("an object whose kind is not a text".into()),
        (Shape::List, Some(kind)) if DISCOVERY.contains(&kind.as_str()) => {
            Err(format!("a discovery document ({kind}) where a list is expected"))
        }
        (Shape::List, Some(kind)) if !kind.ends_with("List") => {
            Err(format!("{} where a list is expected", named(&kind)))
        }
        (_, None) if body.len() > GLANCE && !whole => {
            Err("an object that does not show its kind in its beginning".into())
        }
        (Shape::List, None) if whole && !has("items") => Err("JSON that is not a Kubernetes object".into()),
        (Shape::Object(_), Some(kind)) if kind.ends_with("List") => {
            Err(format!("{} where one object is expected", named(&kind)))
        }
        // Keys may be sorted, with data before metadata: beyond the glance it is taken to be there.
        (Shape::Object(_), _) if whole && !has("metadata") => Err("an object without metadata".into()),
        (
            Shape::List | Shape::Object(_) | Shape::Watch | Shape::Path | Shape::Document(_) | Shape::Review,
            _,
        ) => Ok(()),
    }
}

/// An object of this kind, in words. What cannot be a kind, a Go name, may be anything that the server was sent.
fn named(kind: &str) -> String {
    if (1..64).contains(&kind.len()) && kind.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        format!("a {kind}")
    } else {
        "an object of another kind".to_owned()
    }
}

/// Kinds that end as lists do, and list what is served.
const DISCOVERY: [&str; 3] = ["APIResourceList", "APIGroupList", "APIGroupDiscoveryList"];

/// Why an answer is not a review.
const NO_REVIEW: &str = "the answer to an access review is not a SelfSubjectAccessReview";

/// The kind of a Status, as it stands in JSON.
const STATUS: &str = "\"Status\"";

/// Whether it is an object of the kind `Status`, by its beginning.
pub fn is_status(body: &[u8]) -> bool {
    let begin = body.get(..GLANCE + LONG_GLANCE).unwrap_or(body);
    // Hardly any answer has this word, and the others need no parsing.
    if !lossy(begin).contains(STATUS) {
        return false;
    }
    Glance::of(begin).and_then(|glance| glance.kind).is_some_and(|kind| kind == "Status")
}

/// Whether more of an object cannot show another kind.
fn shows_its_kind(body: &[u8]) -> bool {
    Glance::of(body).is_none_or(|glance| glance.whole || glance.kind.is_some())
}

/// `status.allowed` decides, `denied` overrides; neither is a no (kubernetes.io, authorization API).
fn review(status: u16, body: &[u8], token: Option<&Token>) -> (Meaning, Option<String>, String) {
    let strange = |why: &str| (Meaning::Unintelligible, None, why.to_owned());
    if !matches!(status, 200 | 201) {
        return strange("a status that no access review gets");
    }
    let Ok(object) = json::parse(body, token) else {
        return strange("an access review that is broken JSON");
    };
    let kind = object.get("kind").and_then(Value::as_str);
    let status = object.get("status").and_then(Value::as_object);
    let (Some("SelfSubjectAccessReview"), Some(status)) = (kind, status) else {
        return strange(NO_REVIEW);
    };
    let flag = |name: &str| status.get(name).map_or(Some(false), Value::as_bool);
    let text = |name: &str| status.get(name).and_then(Value::as_str).unwrap_or_default();
    let (Some(allowed), Some(denied)) = (flag("allowed"), flag("denied")) else {
        return strange("an access review whose allowed or denied is neither true nor false");
    };
    if !matches!(status.get("evaluationError"), None | Some(Value::Null | Value::String(_))) {
        return strange("an access review whose evaluationError is not a text");
    }
    let conditional = match status.get("conditionSetChain") {
        None | Some(Value::Null) => false,
        Some(Value::Array(conditions)) => !conditions.is_empty(),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            return strange("an access review whose conditionSetChain is not a list");
        }
    };
    if !allowed && !denied && conditional {
        return (Meaning::Conditional, None, cut(text("reason")));
    }
    // An authorizer failed: the request itself would get a 500 (k8s.io/apiserver, `WithAuthorization`).
    if !allowed && !denied && !text("evaluationError").is_empty() {
        return (Meaning::Unavailable, None, cut(text("evaluationError")));
    }
    let reason = [text("reason"), text("evaluationError")].into_iter().filter(|text| !text.is_empty());
    let reason = cut(&reason.collect::<Vec<_>>().join("; "));
    let meaning = match (allowed, denied) {
        (_, true) => Meaning::Denied,
        (true, false) => Meaning::Granted,
        (false, false) => Meaning::Forbidden,
    };
    (meaning, None, reason)
}

/// The body as a Status object, if it is one.
fn status_object(body: &[u8], token: Option<&Token>) -> Option<Value> {
    let object = json::parse(body, token).ok()?;
    (object.get("kind").and_then(Value::as_str) == Some("Status")).then_some(object)
}

/// The server's words: a Status' message, a page's title, or a text body.
fn words(body: &[u8], token: Option<&Token>) -> String {
    match status_object(body, token) {
        Some(object) => message(&object),
        None if stranger::is_web_page("", body) => stranger::title(body).unwrap_or_default(),
        None => stranger::brief(&String::from_utf8_lossy(body)),
    }
}

fn message(status: &Value) -> String {
    cut(status.get("message").and_then(Value::as_str).unwrap_or_default())
}

/// A word of the server's within a sentence of ours.
fn shown(word: &str) -> String {
    stranger::brief(&escape(word))
}

/// The beginning of a server's message, as much as a person reads.
fn cut(words: &str) -> String {
    let end = words.char_indices().nth(1000).map_or(words.len(), |(at, _)| at);
    words.get(..end).unwrap_or_default().to_owned()
}

/// The user that a refusal names.
fn user(message: &str) -> Option<String> {
    Refusal::parse(message).map(|refusal| refusal.user)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORBIDDEN: &str = r#"{"kind":"Status","status":"Failure","message":"pods is forbidden: User \"system:serviceaccount:ns-1:k-sa-1\" cannot list resource \"pods\" in API group \"\" in the namespace \"ns-1\"","reason":"Forbidden","code":403}"#;
    const MISSING: &str = r#"{"kind":"Status","message":"secrets \"db\" not found","reason":"NotFound","details":{"name":"db","kind":"secrets"},"code":404}"#;

    #[test]
    fn answers_of_an_api_server() {
        use Meaning::{
            Denied, Forbidden, Granted, NotFound, ReviewForbidden, Unauthenticated, Unavailable, Unserved,
        };
        let object = || Shape::Object("db".into());
        for (shape, status, content_type, body, meaning) in [
            (Shape::List, 200, "application/json", r#"{"kind":"PodList","apiVersion":"v1"}"#, Granted),
            (Shape::List, 200, "application/json", r#"{"apiVersion":"example.com/v1","items":[]}"#, Granted),
            (Shape::Watch, 200, "application/json", "", Granted),
            (Shape::Path, 200, "text/plain", "ok", Granted),
            (object(), 404, "application/json", MISSING, NotFound),
            (Shape::Object("other".into()), 404, "application/json", MISSING, Unserved),
            (Shape::List, 404, "text/plain", "404 page not found", Unserved),
            (Shape::Path, 405, "text/plain", "Method Not Allowed", Unserved),
            (Shape::List, 403, "application/json", FORBIDDEN, Forbidden),
            (Shape::Review, 403, "application/json", FORBIDDEN, ReviewForbidden),
            (
                Shape::List,
                401,
                "application/json",
                r#"{"kind":"Status","message":"Unauthorized"}"#,
                Unauthenticated,
            ),
            (Shape::List, 429, "text/plain", "Too many requests", Unavailable),
            (Shape::List, 500, "text/html", "<html>", Unavailable),
            (
                Shape::Review,
                201,
                "",
                r#"{"kind":"SelfSubjectAccessReview","status":{"allowed":true}}"#,
                Granted,
            ),
            (
                Shape::Review,
                201,
                "",
                r#"{"kind":"SelfSubjectAccessReview","status":{"allowed":false}}"#,
                Forbidden,
            ),
            (Shape::Review, 201, "", r#"{"kind":"SelfSubjectAccessReview","status":{}}"#, Forbidden),
            (
                Shape::Review,
                201,
                "",
                r#"{"kind":"SelfSubjectAccessReview","status":{"allowed":true,"denied":true}}"#,
                Denied,
            ),
        ] {
            let (found, ..) = understand(&shape, status, content_type, body.as_bytes(), None);
            assert_eq!(found, meaning, "{shape:?} {status} {body}");
        }
    }

    #[test]
    fn answers_of_something_else() {
        for (shape, status, content_type, body) in [
            (Shape::List, 200, "text/html", "<html>login</html>"),
            (Shape::Path, 200, "text/plain", "<!DOCTYPE HTML>"),
            (Shape::List, 200, "application/json", "[]"),
            (Shape::List, 200, "application/json", "{}"),
            (Shape::List, 200, "application/json", r#"{"kind":"Status","status":"Success"}"#),
            (Shape::List, 200, "application/json", "{\n  \"kind\": \"Status\",\n"),
            (Shape::List, 200, "text/plain", r#"{"kind":"PodList"}"#),
            (Shape::List, 403, "application/json", r#"{"kind":"Status","kind":"Status"}"#),
            (Shape::List, 204, "", ""),
            (Shape::Watch, 200, "text/plain", ""),
            (Shape::List, 403, "text/html", "<html>blocked</html>"),
            (Shape::List, 403, "", ""),
            (Shape::List, 403, "application/json", r#"{"error":"no"}"#),
            (Shape::List, 404, "text/html", "<html>"),
            (Shape::List, 418, "", "teapot"),
            (Shape::List, 400, "application/json", r#"{"kind":"Status"}"#),
            (Shape::Review, 201, "", "{"),
            (Shape::Review, 201, "", r#"{"kind":"Pod","status":{"allowed":true}}"#),
            (Shape::Review, 201, "", r#"{"kind":"SelfSubjectAccessReview","status":{"allowed":"true"}}"#),
            (
                Shape::Review,
                201,
                "",
                r#"{"kind":"SelfSubjectAccessReview","status":{"allowed":false,"allowed":true}}"#,
            ),
            (Shape::Review, 201, "", r#"{"kind":"SelfSubjectAccessReview","status":{"allowed":null}}"#),
            (Shape::Review, 201, "", r#"{"kind":"SelfSubjectAccessReview","status":[]}"#),
            (Shape::Review, 201, "", r#"{"kind":"SelfSubjectAccessReview"}"#),
            (Shape::Review, 204, "", ""),
        ] {
            let (found, _, reason) = understand(&shape, status, content_type, body.as_bytes(), None);
            assert_eq!(found, Meaning::Unintelligible, "{shape:?} {status} {body}");
            assert!(!reason.is_empty());
        }
    }

    /// A kind is shown if it can be one: anything else, such as a token written with escapes, is not.
    #[test]
    fn a_kind_that_can_be_none_is_not_shown() {
        let shown = |kind: &str| {
            let body = format!(r#"{{"kind":"{kind}","apiVersion":"v1"}}"#);
            understand(&Shape::List, 200, "application/json", body.as_bytes(), None).2
        };
        assert_eq!(shown("Pod"), "a Pod where a list is expected");
        for kind in ["", r"ey\u004ahbGci", "eyJhbGci.c2ln", r"\u001b[31m", "\u{7}", &"K".repeat(64)] {
            assert_eq!(shown(kind), "an object of another kind where a list is expected", "{kind}");
        }
        let long = understand(&Shape::List, 200, &"x".repeat(30_000), b"{}", None).2;
        assert!(long.len() < 1100, "{}", long.len());
    }

    #[test]
    fn the_user_is_the_servers_word() {
        let (_, user, _) = understand(&Shape::List, 403, "application/json", FORBIDDEN.as_bytes(), None);
        assert_eq!(user.as_deref(), Some("system:serviceaccount:ns-1:k-sa-1"));
        let bare = r#"{"kind":"Status","message":"nope","code":403}"#;
        assert_eq!(
            understand(&Shape::List, 403, "", bare.as_bytes(), None),
            (Meaning::Forbidden, None, "nope".into())
        );
    }
}
