//! What an answer of the API server means: status, content type and body become an [`Answer`].
//!
//! The order in the server is authentication (401), priority and fairness (429), authorization
//! (403), routing (404, 405): so only an allowed caller gets a 404.

use serde_json::Value;

use super::glance::Glance;
use super::refusal::Refusal;
use super::{LARGEST_BODY, Reply, json};
use crate::failure::Failure;
use crate::token::Token;

/// The user name of requests without credentials (k8s.io/apiserver/pkg/authentication/user).
pub const ANONYMOUS: &str = "system:anonymous";

/// How much of an allowed read is looked at, to see that a Kubernetes API server spoke.
const GLANCE: usize = 1024;

/// What was shape, as far as it decides what a good answer looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Objects of a resource.
    List,
    /// One object, by name.
    Object(String),
    /// A watch: decided by the head.
    Watch,
    /// A non-resource URL.
    Path,
    /// A SelfSubjectAccessReview.
    Review,
}

/// What the answer says of the permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Yes.
    Granted,
    /// Yes, and the named object does not exist: authorization came first.
    NotFound,
    /// No: 403, or a review that says no.
    Forbidden,
    /// No, because an authorizer denies it (`status.denied` of a review), which no RBAC grant lifts.
    Denied,
    /// The review itself is refused: says nothing about the permission.
    ReviewForbidden,
    /// A 403 about something else: another user, verb or resource than this request's, as an impersonating proxy or an
    /// aggregated API server sends it.
    OtherForbidden,
    /// Yes, under conditions that the review cannot decide (KEP-5681).
    Conditional,
    /// 401.
    Unauthenticated,
    /// 404 or 405: not refused, and not there.
    Unserved,
    /// 429 or 5xx.
    Unavailable,
    /// No Kubernetes API server answers like this.
    Unintelligible,
}

/// An answer, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// What it says.
    pub meaning: Meaning,
    /// Who the server says we are, if it says so.
    pub user: Option<String>,
    /// The server's own words, or why they cannot be understood. May hold anything: escape it.
    pub reason: String,
    /// The `Retry-After` header, as it came.
    pub retry_after: Option<String>,
}

impl Answer {
    /// True where the request got past authorization.
    pub fn got_in(&self) -> bool {
        matches!(self.meaning, Meaning::Granted | Meaning::NotFound)
    }
}

/// Reads the answer to the end (a watch: only its head) and understands it.
pub fn answer(mut reply: Reply, shape: &Shape) -> Result<Answer, Failure> {
    let allowed_read = reply.status() == 200 && *shape != Shape::Review;
    let mut body = match shape {
        Shape::Watch if allowed_read => return Ok(answer_from(&reply, shape, &[])),
        _ if allowed_read => reply.take(GLANCE)?,
        _ => match reply.take(LARGEST_BODY + 1) {
            // A body without a length ends with the connection, and some servers end it without TLS' close_notify. For
            // these the status says all.
            Err(Failure::Closed(_))
                if has_no_length(&reply) && matches!(reply.status(), 401 | 429 | 500..600) =>
            {
                return Ok(answer_from(&reply, shape, &[]));
            }
            body => body?,
        },
    };
    if allowed_read && is_status(&body) {
        body.extend(reply.take(LARGEST_BODY)?);
    }
    let answer = answer_from(&reply, shape, &body);
    // The end of the body has to be seen for the connection to be used again.
    if body.len() <= LARGEST_BODY {
        reply.drain()?;
    }
    Ok(answer)
}

/// Understands an answer by its head and its body, or the beginning of it.
pub fn answer_from(reply: &Reply, shape: &Shape, body: &[u8]) -> Answer {
    let status = reply.status();
    // Each answer of a kube-apiserver carries it (k8s.io/apiserver/pkg/endpoints/filters, `WithAuditInit`).
    let is_kubernetes = reply.header("audit-id").is_some();
    let (meaning, user, reason) = match status {
        300..400 => {
            let location = reply.header("location").unwrap_or_default();
            let here = location.starts_with('/') && !location.starts_with("//")
                || location.strip_prefix("https://").is_some_and(|rest| {
                    rest.split('/').next().is_some_and(|authority| authority == reply.server)
                });
            if *shape == Shape::Path && is_kubernetes && here && status != 304 {
                (Meaning::Granted, None, String::new())
            } else {
                let why = match status {
                    304 => "304 Not Modified, which the request did not ask for".to_owned(),
                    _ => format!("a redirect to \"{}\"", cut(location)),
                };
                (Meaning::Unintelligible, None, why)
            }
        }
        200..300 if *shape == Shape::Path && is_kubernetes && !is_status(body) => {
            (Meaning::Granted, None, String::new())
        }
        _ => understand(shape, status, reply.header("content-type").unwrap_or_default(), body, reply.token()),
    };
    Answer { status, meaning, user, reason, retry_after: reply.header("retry-after").map(str::to_owned) }
}

fn has_no_length(reply: &Reply) -> bool {
    reply.header("content-length").is_none() && reply.header("transfer-encoding").is_none()
}

/// Pure: what this status, content type and body (or its beginning) mean. The token is taken out of words.
pub fn understand(
    shape: &Shape,
    status: u16,
    content_type: &str,
    body: &[u8],
    token: Option<&Token>,
) -> (Meaning, Option<String>, String) {
    let html = is_html(content_type, body);
    let strange = |why: String| (Meaning::Unintelligible, None, why);
    if body.len() > LARGEST_BODY {
        return match status {
            429 | 500..600 => (Meaning::Unavailable, None, String::new()),
            _ => strange(format!("an answer of more than {LARGEST_BODY} bytes")),
        };
    }
    match status {
        429 | 500..600 => (Meaning::Unavailable, None, if html { String::new() } else { words(body, token) }),
        _ if html => strange("a web page, as proxies and portals send it".into()),
        200..300 if is_status(body) && *shape != Shape::Review => {
            let Some(object) = status_object(body, token) else {
                return strange("a Status that is broken JSON".into());
            };
            let code = object.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
            let failed = object.get("status").and_then(Value::as_str) == Some("Failure");
            match code {
                // What failed inside is not what the head says.
                Some(code @ 400..600) if failed => understand(shape, code, content_type, body, token),
                _ if failed || *shape != Shape::Path => {
                    strange("a Status where an object is expected".into())
                }
                _ => (Meaning::Granted, None, String::new()),
            }
        }
        200..300 if *shape == Shape::Review => review(status, body, token),
        200..300 => match read(shape, status, content_type, body) {
            Ok(()) => (Meaning::Granted, None, String::new()),
            Err(why) => strange(why),
        },
        401 => (Meaning::Unauthenticated, None, words(body, token)),
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
            let named =
                |object: &Value| object.pointer("/details/name").and_then(Value::as_str).map(str::to_owned);
            let absent = match shape {
                Shape::Object(name) if status == 404 => {
                    // metrics-server names `NAMESPACE/NAME`.
                    let found = status_object(body, token).and_then(|object| named(&object));
                    found.is_some_and(|found| found.rsplit('/').next() == Some(name))
                }
                _ => false,
            };
            (if absent { Meaning::NotFound } else { Meaning::Unserved }, None, words(body, token))
        }
        _ => strange(match words(body, token) {
            words if words.contains("HTTP request to an HTTPS server") => {
                "the port speaks TLS: use https:// in --server".into()
            }
            words if words.is_empty() => "an answer without a word".into(),
            words => words,
        }),
    }
}

/// Whether an allowed read is what was asked for; else why not.
fn read(shape: &Shape, status: u16, content_type: &str, body: &[u8]) -> Result<(), String> {
    if *shape == Shape::Path {
        return Ok(());
    }
    if status != 200 {
        return Err("a status that no read gets".into());
    }
    if !content_type.trim_start().to_ascii_lowercase().starts_with("application/json") {
        return Err(format!("content type \"{}\" where JSON is expected", cut(content_type)));
    }
    if *shape == Shape::Watch {
        return Ok(());
    }
    let Some(Glance { keys, kind, whole }) = Glance::of(body) else {
        return Err("JSON that is not a Kubernetes object".into());
    };
    let has = |key: &str| keys.iter().any(|found| found == key);
    if !has("kind") && !has("apiVersion") {
        return Err("JSON that is not a Kubernetes object".into());
    }
    match (shape, kind) {
        (Shape::List, Some(kind)) if !kind.ends_with("List") => {
            Err(format!("{} where a list is expected", shown(&kind)))
        }
        (Shape::Object(_), Some(kind)) if kind.ends_with("List") => {
            Err(format!("{} where one object is expected", shown(&kind)))
        }
        // Keys may be sorted, with data before metadata: beyond the glance it is taken to be there.
        (Shape::Object(_), _) if whole && !has("metadata") => Err("an object without metadata".into()),
        _ => Ok(()),
    }
}

/// An object of this kind, in words. What cannot be a kind, a Go name, may be anything that the server was sent.
fn shown(kind: &str) -> String {
    if (1..64).contains(&kind.len()) && kind.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        format!("a {kind}")
    } else {
        "an object of another kind".to_owned()
    }
}

/// Whether it is an object of the kind `Status`.
fn is_status(body: &[u8]) -> bool {
    let begin = body.get(..GLANCE).unwrap_or(body);
    Glance::of(begin).and_then(|glance| glance.kind).is_some_and(|kind| kind == "Status")
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
        return strange("the answer to an access review is not a SelfSubjectAccessReview");
    };
    let flag = |name: &str| status.get(name).map_or(Some(false), Value::as_bool);
    let text = |name: &str| status.get(name).and_then(Value::as_str).unwrap_or_default();
    let (Some(allowed), Some(denied)) = (flag("allowed"), flag("denied")) else {
        return strange("an access review whose allowed or denied is neither true nor false");
    };
    let conditions = status.get("conditionSetChain").and_then(Value::as_array);
    if !allowed && !denied && conditions.is_some_and(|conditions| !conditions.is_empty()) {
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

fn is_html(content_type: &str, body: &[u8]) -> bool {
    let begins = body.trim_ascii_start();
    let begins_with =
        |tag: &[u8]| begins.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag));
    content_type.to_ascii_lowercase().contains("text/html")
        || begins_with(b"<!doctype html")
        || begins_with(b"<html")
}

/// The body as a Status object, if it is one.
fn status_object(body: &[u8], token: Option<&Token>) -> Option<Value> {
    let object = json::parse(body, token).ok()?;
    (object.get("kind").and_then(Value::as_str) == Some("Status")).then_some(object)
}

/// The server's words: a Status' message, or a text body.
fn words(body: &[u8], token: Option<&Token>) -> String {
    match status_object(body, token) {
        Some(object) => message(&object),
        None => cut(&String::from_utf8_lossy(body.trim_ascii())),
    }
}

fn message(status: &Value) -> String {
    cut(status.get("message").and_then(Value::as_str).unwrap_or_default())
}

/// As much of a server's words as anybody reads.
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
