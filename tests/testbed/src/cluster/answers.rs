//! Bodies and headers of a kube-apiserver's answers. Knows the wire format, but not who asks or why.

use hyper::body::Bytes;
use serde_json::{Map, Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc::UnboundedReceiver;

/// The content type of an answer that is not JSON.
pub const TEXT: &str = "text/plain; charset=utf-8";

/// One whole answer.
pub struct Answer {
    /// The HTTP status code.
    pub status: u16,
    /// The `Content-Type`.
    pub content_type: String,
    /// Further headers, `Content-Type` and framing excluded.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub payload: Payload,
}

/// The body of an answer.
pub enum Payload {
    /// Known at once. Above 2048 bytes it is sent chunked, as Go's server does.
    Whole(Vec<u8>),
    /// Frames as they come, until the sender is dropped, as in a watch.
    Stream(UnboundedReceiver<Bytes>),
}

impl Answer {
    /// A JSON document, written as the API server writes it: on one line, with `& < >` escaped.
    pub fn json(status: u16, document: &Value) -> Self {
        Self::raw(status, "application/json", to_line(document))
    }

    /// A plain text.
    pub fn text(status: u16, text: &str) -> Self {
        Self::raw(status, TEXT, text.as_bytes().to_vec()).header("X-Content-Type-Options", "nosniff")
    }

    /// Any bytes.
    pub fn raw(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        Self {
            status,
            content_type: content_type.to_owned(),
            headers: vec![("Cache-Control".to_owned(), "no-cache, private".to_owned())],
            payload: Payload::Whole(body),
        }
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The body, if it is known.
    pub fn body(&self) -> &[u8] {
        match &self.payload {
            Payload::Whole(body) => body,
            Payload::Stream(_) => &[],
        }
    }
}

/// A `Status` of failure. `details` is left out where the API server leaves it out.
pub fn failure(code: u16, reason: &str, message: &str, details: Option<Value>) -> Answer {
    let mut document = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    if let Some(details) = details {
        document["details"] = details;
    }
    Answer::json(code, &document)
}

/// 401. The API server never gives the reason.
pub fn unauthorized() -> Answer {
    failure(401, "Unauthorized", "Unauthorized", None)
}

/// 400.
pub fn bad_request(message: &str) -> Answer {
    failure(400, "BadRequest", message, None)
}

/// 404 for a group or path that no server serves.
pub fn page_not_found() -> Answer {
    Answer::text(404, "404 page not found\n")
}

/// 404 for a resource that a served group does not have.
pub fn no_such_resource() -> Answer {
    failure(404, "NotFound", "the server could not find the requested resource", Some(json!({})))
}

/// 405 for a resource that exists, but not with this method.
pub fn method_not_allowed() -> Answer {
    let message = "the server does not allow this method on the requested resource";
    failure(405, "MethodNotAllowed", message, Some(json!({})))
}

/// 404 for an object.
pub fn not_found(group: &str, resource: &str, name: &str) -> Answer {
    let message = format!("{} \"{name}\" not found", group_resource(group, resource));
    failure(404, "NotFound", &message, Some(details(group, resource, name)))
}

/// 409 for an object that exists already.
pub fn already_exists(group: &str, resource: &str, name: &str) -> Answer {
    let message = format!("{} \"{name}\" already exists", group_resource(group, resource));
    failure(409, "AlreadyExists", &message, Some(details(group, resource, name)))
}

/// 422 for an object that lacks a required field.
pub fn invalid(group: &str, kind: &str, name: &str, cause: &str) -> Answer {
    let message = format!("{} \"{name}\" is invalid: {cause}", group_resource(group, kind));
    failure(422, "Invalid", &message, Some(details(group, kind, name)))
}

/// 406.
pub fn not_acceptable() -> Answer {
    let message = "only the following media types are accepted: application/json";
    failure(406, "NotAcceptable", message, None)
}

/// 429 as priority and fairness gives it.
pub fn too_many_requests(retry_after: u32) -> Answer {
    Answer::text(429, "Too many requests, please try again later.\n")
        .header("Retry-After", &retry_after.to_string())
}

/// 503 of a server that has not installed all its paths yet.
pub fn starting() -> Answer {
    let message =
        "the request has been made before all known HTTP paths have been installed, please try again";
    failure(503, "ServiceUnavailable", message, Some(json!({ "retryAfterSeconds": 5 })))
        .header("Retry-After", "5")
}

/// 500 because an authorizer failed.
pub fn authorizer_failed() -> Answer {
    Answer::text(500, "Internal Server Error: \"\": the authorizer is not there\n")
}

/// 200 for a deletion.
pub fn deleted(group: &str, resource: &str, name: &str, uid: &Value) -> Answer {
    let mut details = details(group, resource, name);
    details["uid"] = uid.clone();
    let document = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
    });
    Answer::json(200, &document)
}

/// The `details` of a Status. Empty fields are left out.
pub fn details(group: &str, resource: &str, name: &str) -> Value {
    let parts = [("name", name), ("group", group), ("kind", resource)];
    let parts = parts.into_iter().filter(|(_, value)| !value.is_empty());
    Value::Object(parts.map(|(key, value)| (key.to_owned(), value.into())).collect())
}

/// `deployments.apps`, or `pods` in the core group.
pub fn group_resource(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

/// Only the metadata of an object.
pub fn metadata_only(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"],
    })
}

/// One document on one line, keys in the API server's order at the top, `& < >` escaped as Go does.
pub fn to_line(document: &Value) -> Vec<u8> {
    const FIRST: [&str; 6] = ["kind", "apiVersion", "groupVersion", "metadata", "spec", "status"];
    const LAST: [&str; 3] = ["reason", "details", "code"];
    let text = match document {
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort_by_key(|key| {
                let first = FIRST.iter().position(|known| known == key);
                let last = LAST.iter().position(|known| known == key);
                first.unwrap_or(FIRST.len() + last.map_or(0, |place| place + 1))
            });
            let fields = keys.iter().map(|key| format!("{}:{}", json!(key), fields[key.as_str()]));
            format!("{{{}}}\n", fields.collect::<Vec<_>>().join(","))
        }
        other => format!("{other}\n"),
    };
    let escaped = text.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e");
    escaped.into_bytes()
}

/// Seconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// Seconds since 1970 as `2026-11-23T21:16:27Z`.
pub fn timestamp(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days are counted from 1 March of the year 0, in eras of 400 years, so that leap days come last.
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The `metadata` of an object that is never stored. Old servers wrote an explicit null.
pub fn fleeting_metadata(old: bool) -> Value {
    let mut metadata = Map::new();
    if old {
        metadata.insert("creationTimestamp".to_owned(), Value::Null);
    }
    Value::Object(metadata)
}
