//! One request to one answer, in the API server's order: authentication, faults, authorization, routing.

use super::answers::{
    Answer, Payload, already_exists, authorizer_failed, bad_request, deleted, details, failure,
    group_resource, invalid, metadata_only, method_not_allowed, no_such_resource, not_acceptable, not_found,
    page_not_found, starting, to_line, too_many_requests, unauthorized,
};
use super::discovery::{Discovery, Resource};
use super::protobuf;
use super::rbac::{Attributes, User, authorize};
use super::request::{Accepted, Query, attributes};
use super::reviews::review;
use super::storage::{self, Storage};
use super::token::{TokenSpec, Tokens, random};
use super::{Fault, Seen};
use crate::audit::Event;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hyper::body::Bytes;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

/// Everything an answer depends on.
pub struct State {
    /// 1.20, not 1.36.
    pub old: bool,
    /// The objects.
    pub storage: Storage,
    /// The tokens that were issued.
    pub tokens: Tokens,
    /// What is served.
    pub discovery: Discovery,
    /// A bearer token of `system:masters`.
    pub admin_token: String,
    /// As whom every request comes, behind `kubectl proxy`.
    pub proxied_user: Option<String>,
    /// Whether a request without credentials is anonymous; a 401 otherwise.
    pub anonymous: bool,
    /// Whether credentials are lost on the way.
    pub strip_token: bool,
    /// What goes wrong next.
    pub faults: Vec<Rule>,
    /// What was decided about whom.
    pub audited: Vec<Event>,
    /// `127.0.0.1:PORT`.
    pub address: String,
}

/// A fault that waits for its requests.
pub struct Rule {
    /// How many are left; `None` is all.
    pub left: Option<usize>,
    /// What goes wrong.
    pub fault: Fault,
    /// With which requests.
    pub applies: Box<dyn Fn(&Seen) -> bool + Send>,
}

/// What becomes of a request.
pub enum Outcome {
    /// It is answered.
    Answer(Answer),
    /// It is never answered.
    Hang,
    /// The connection is closed instead.
    HangUp,
}

/// Handles a request that came over the network.
pub fn knock(state: &mut State, seen: &Seen) -> Outcome {
    if let Some(fault) = take_fault(state, seen, true) {
        return outcome_of(fault);
    }
    let Some(user) = authenticate(state, seen) else {
        return Outcome::Answer(unauthorized());
    };
    if let Some(fault) = take_fault(state, seen, false) {
        return outcome_of(fault);
    }
    Outcome::Answer(match impersonated(state, user, seen) {
        Ok(user) => serve(state, &user, seen),
        Err(refused) => refused,
    })
}

/// The user in whose name the request is (`Impersonate-User`), or that it must not be. 1.20 knows the verb
/// `impersonate`; 1.36 takes that, too, and asks for more where it is not granted (constrained impersonation).
fn impersonated(state: &State, user: User, seen: &Seen) -> Result<User, Answer> {
    let Some(name) = seen.header("impersonate-user") else { return Ok(user) };
    let (path, query) = seen.path_and_query.split_once('?').unwrap_or((&seen.path_and_query, ""));
    let asked = attributes(&seen.method, path, &Query::new(query));
    let on = Attributes { verb: format!("impersonate-on:user-info:{}", asked.verb), ..asked };
    let whole = Attributes {
        verb: "impersonate".to_owned(),
        resource: "users".to_owned(),
        name: name.to_owned(),
        ..Attributes::default()
    };
    let info = Attributes {
        verb: "impersonate:user-info".to_owned(),
        group: "authentication.k8s.io".to_owned(),
        ..whole.clone()
    };
    let is_allowed = |wanted: &Attributes| authorize(&state.storage, &user, wanted).allowed;
    if is_allowed(&whole) {
        return Ok(User::named(name));
    }
    let wanted = if state.old { vec![whole] } else { vec![on, info] };
    match wanted.iter().find(|wanted| !is_allowed(wanted)) {
        Some(refused) => Err(forbidden(&user, refused, "")),
        None => Ok(User::named(name)),
    }
}

/// Authorizes and routes the request of a user.
pub fn serve(state: &mut State, user: &User, seen: &Seen) -> Answer {
    let (path, query) = seen.path_and_query.split_once('?').unwrap_or((&seen.path_and_query, ""));
    let query = Query::new(query);
    let wanted = attributes(&seen.method, path, &query);
    let decision = authorize(&state.storage, user, &wanted);
    state.audited.push(Event {
        user: user.name.clone(),
        verb: wanted.verb.clone(),
        what: wanted.path.clone().unwrap_or_else(|| group_resource(&wanted.group, &wanted.resource)),
        decision: if decision.allowed { "allow" } else { "forbid" }.to_owned(),
    });
    if !decision.allowed {
        return forbidden(user, &wanted, &decision.reason);
    }
    match &wanted.path {
        Some(path) => serve_path(state, seen, path),
        None => match protobuf::to_json(&seen.body) {
            Some(body) => {
                let seen = Seen { body, ..seen.clone() };
                serve_resource(state, user, &seen, &wanted, &query, path)
            }
            None => serve_resource(state, user, seen, &wanted, &query, path),
        },
    }
}

fn take_fault(state: &mut State, seen: &Seen, in_front: bool) -> Option<Fault> {
    let mut rules = state.faults.iter_mut();
    let rule = rules
        .find(|rule| rule.fault.is_in_front() == in_front && rule.left != Some(0) && (rule.applies)(seen))?;
    rule.left = rule.left.map(|left| left - 1);
    Some(rule.fault.clone())
}

fn outcome_of(fault: Fault) -> Outcome {
    Outcome::Answer(match fault {
        Fault::TooManyRequests { retry_after } => too_many_requests(retry_after),
        Fault::Unavailable => starting(),
        Fault::InternalError => authorizer_failed(),
        Fault::Raw { status, content_type, body, headers } => {
            let answer = Answer::raw(status, &content_type, body);
            headers.iter().fold(answer, |answer, (name, value)| answer.header(name, value))
        }
        Fault::Hang => return Outcome::Hang,
        Fault::HangUp => return Outcome::HangUp,
    })
}

/// `None` is a 401. No token at all, or an empty one, is anonymous.
fn authenticate(state: &State, seen: &Seen) -> Option<User> {
    if let Some(name) = &state.proxied_user {
        return Some(if *name == User::admin().name { User::admin() } else { User::named(name) });
    }
    let authorization = seen.authorization.as_deref().filter(|_| !state.strip_token).unwrap_or_default();
    let (scheme, token) = authorization.split_once(' ').unwrap_or_default();
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return state.anonymous.then(User::anonymous);
    }
    if token == state.admin_token {
        return Some(User::admin());
    }
    state.tokens.user(&state.storage, token)
}

fn forbidden(user: &User, wanted: &Attributes, reason: &str) -> Answer {
    let Attributes { group, resource, name, .. } = wanted;
    let mut what = group_resource(group, resource);
    if !name.is_empty() {
        what = format!("{what} \"{name}\"");
    }
    let is = if what.is_empty() { "forbidden" } else { " is forbidden" };
    let mut message = format!("{what}{is}: {}", wanted.refusal(user));
    if !reason.is_empty() {
        message = format!("{message}: {reason}");
    }
    failure(403, "Forbidden", &message, Some(details(group, resource, name)))
        .header("X-Content-Type-Options", "nosniff")
}

fn serve_path(state: &State, seen: &Seen, path: &str) -> Answer {
    let accepted = Accepted::of(seen);
    let served = match path {
        "/version" | "/version/" => {
            Some(Answer::raw(200, "application/json", state.discovery.version().as_bytes().to_vec()))
        }
        "/healthz" | "/livez" | "/readyz" | "/healthz/ping" | "/livez/ping" | "/readyz/ping" => {
            Some(Answer::text(200, "ok"))
        }
        "/metrics" => {
            let metrics = "# HELP apiserver_storage_objects [STABLE] Number of stored objects.\n";
            let content_type = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
            Some(Answer::raw(200, content_type, metrics.as_bytes().to_vec()))
        }
        "/" => {
            let paths = ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/metrics", "/readyz", "/version"];
            Some(Answer::json(200, &json!({ "paths": paths })))
        }
        _ if accepted == Accepted::Nothing => Some(not_acceptable()),
        _ => {
            let aggregated = accepted == Accepted::Aggregated;
            state.discovery.answer(&state.storage, path, aggregated, &state.address)
        }
    };
    match served {
        Some(_) if !["GET", "HEAD"].contains(&seen.method.as_str()) => method_not_allowed(),
        Some(answer) => answer,
        None => page_not_found(),
    }
}

fn serve_resource(
    state: &mut State,
    user: &User,
    seen: &Seen,
    wanted: &Attributes,
    query: &Query,
    path: &str,
) -> Answer {
    let Attributes { group, version, resource, subresource, namespace, name, verb, .. } = wanted;
    let Some(known) = state.discovery.resource(&state.storage, group, version, resource) else {
        return state.discovery.absent(&state.storage, group, version);
    };
    let Some(verbs) = known.verbs(subresource) else {
        return no_such_resource();
    };
    // A namespace itself is asked for with its own name as the namespace.
    let namespace = if resource == "namespaces" { "" } else { namespace.as_str() };
    let named = path.trim_end_matches('/').rsplit('/').next() == Some(name.as_str());
    if namespace.is_empty() == known.namespaced() {
        // Objects of all namespaces can be listed and watched together, nothing else.
        return match verb.as_str() {
            "list" | "watch" if known.namespaced() => read_many(state, seen, &known, "", wanted, query),
            "create" if known.namespaced() && !named => method_not_allowed(),
            _ => no_such_resource(),
        };
    }
    let on_one = !subresource.is_empty() || named;
    if !verbs.contains(&verb.as_str()) || (verb == "create" && on_one && subresource.is_empty()) {
        return method_not_allowed();
    }
    let agent = seen.header("user-agent").unwrap_or_default();
    match (verb.as_str(), subresource.as_str(), resource.as_str()) {
        ("create", "", "selfsubjectaccessreviews" | "selfsubjectrulesreviews" | "selfsubjectreviews") => {
            review(&state.storage, user, known.kind(), state.old, agent, &seen.body)
        }
        ("create", "token", "serviceaccounts") => create_token(state, namespace, name, &seen.body),
        ("create", "", _) => create(state, &known, namespace, query, &seen.body),
        ("list" | "watch", _, _) => read_many(state, seen, &known, namespace, wanted, query),
        ("deletecollection", _, _) => delete_many(state, &known, namespace),
        ("get", "" | "status", _) => read_one(state, seen, &known, namespace, name),
        ("get", "log", "pods") => match state.storage.get("", "pods", namespace, name) {
            Some(_) => Answer::raw(200, "text/plain", b"a line of the log\n".to_vec()),
            None => not_found("", "pods", name),
        },
        ("update" | "patch", "" | "status", _) => change(state, &known, namespace, name, verb, &seen.body),
        ("delete", "", _) => match state.storage.remove(group, resource, namespace, name) {
            Some(object) => deleted(group, resource, name, &object["metadata"]["uid"]),
            None => not_found(group, resource, name),
        },
        _ => bad_request("the stand-in cluster has no such subresource"),
    }
}

fn read_one(state: &State, seen: &Seen, known: &Resource, namespace: &str, name: &str) -> Answer {
    let accepted = Accepted::of(seen);
    match state.storage.get(&known.group, &known.name, namespace, name) {
        _ if accepted == Accepted::Nothing => not_acceptable(),
        None => not_found(&known.group, &known.name, name),
        Some(object) if accepted == Accepted::Metadata => Answer::json(200, &metadata_only(object)),
        Some(object) => Answer::json(200, &versioned(object, known)),
    }
}

fn read_many(
    state: &State,
    seen: &Seen,
    known: &Resource,
    namespace: &str,
    wanted: &Attributes,
    query: &Query,
) -> Answer {
    let accepted = Accepted::of(seen);
    let partial = match accepted {
        Accepted::Nothing => return not_acceptable(),
        Accepted::MetadataList => true,
        Accepted::Metadata => wanted.verb == "watch",
        _ => false,
    };
    let selection = Selection { namespace: namespace.to_owned(), name: query.selected_name() };
    if wanted.verb == "watch" {
        return watch(state, known.clone(), selection, partial, query);
    }
    let after = query.get("continue").and_then(continue_after);
    let objects = state.storage.list(&known.group, &known.name, namespace);
    let objects: Vec<(&str, &Value)> = objects
        .filter(|((place, name), _)| selection.has(place, name))
        .filter(|((_, name), _)| after.as_deref().is_none_or(|after| name.as_str() > after))
        .map(|((_, name), object)| (name.as_str(), object))
        .collect();
    let mut metadata = json!({ "resourceVersion": state.storage.version() });
    let limit = query.get("limit").and_then(|limit| limit.parse::<usize>().ok()).filter(|limit| *limit > 0);
    let limit = limit.filter(|_| query.get("resourceVersion") != Some("0"));
    let shown = objects.len().min(limit.unwrap_or(usize::MAX));
    if let Some((last, _)) = objects[..shown].last().filter(|_| shown < objects.len()) {
        let version: u64 = state.storage.version().parse().unwrap();
        let start = format!("{{\"v\":\"meta.k8s.io/v1\",\"rv\":{version},\"start\":\"{last}\\u0000\"}}");
        metadata["continue"] = json!(URL_SAFE_NO_PAD.encode(start));
        if selection.name.is_none() {
            metadata["remainingItemCount"] = json!(objects.len() - shown);
        }
    }
    let items = objects[..shown].iter().map(|(_, object)| match partial {
        true => metadata_only(object),
        false if known.custom => versioned(object, known),
        false => without_kind(object),
    });
    let items: Vec<Value> = items.collect();
    let (kind, api_version) = if partial {
        ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned())
    } else {
        (format!("{}List", known.kind()), known.api_version())
    };
    // An empty list of metadata is null, any other is empty: as recorded.
    let items = if partial && items.is_empty() { Value::Null } else { json!(items) };
    let list = json!({ "kind": kind, "apiVersion": api_version, "metadata": metadata, "items": items });
    Answer::json(200, &list)
}

/// What a list or a watch is narrowed down to.
struct Selection {
    namespace: String,
    name: Option<String>,
}

impl Selection {
    fn has(&self, namespace: &str, name: &str) -> bool {
        let place = self.namespace.is_empty() || self.namespace == namespace;
        place && self.name.as_deref().is_none_or(|wanted| wanted == name)
    }
}

/// Tells what is there, unless the client has listed it already, then what changes, until the client goes,
/// the server stops or `timeoutSeconds` are over.
fn watch(state: &State, known: Resource, selection: Selection, partial: bool, query: &Query) -> Answer {
    let (frames, payload) = mpsc::unbounded_channel();
    let line = move |what: &str, object: &Value, known: &Resource| {
        let object = if partial { metadata_only(object) } else { versioned(object, known) };
        Bytes::from(to_line(&json!({ "type": what, "object": object })))
    };
    if query.get("resourceVersion").is_none_or(|version| version == "0") {
        for ((place, name), object) in state.storage.list(&known.group, &known.name, &selection.namespace) {
            if selection.has(place, name) {
                drop(frames.send(line("ADDED", object, &known)));
            }
        }
    }
    let mut events = state.storage.watch();
    let seconds = query.get("timeoutSeconds").and_then(|seconds| seconds.parse().ok()).unwrap_or(3600);
    tokio::spawn(tokio::time::timeout(Duration::from_secs(seconds), async move {
        loop {
            match events.recv().await {
                Err(RecvError::Closed) => break,
                Err(RecvError::Lagged(_)) => {}
                Ok(storage::Event { what, kind, key, object }) => {
                    let ours = kind.0 == known.group && kind.1 == known.name;
                    let ours = ours && selection.has(&key.0, &key.1);
                    if ours && frames.send(line(what, &object, &known)).is_err() {
                        break;
                    }
                }
            }
        }
    }));
    Answer { payload: Payload::Stream(payload), ..Answer::json(200, &Value::Null) }
}

fn create(state: &mut State, known: &Resource, namespace: &str, query: &Query, body: &[u8]) -> Answer {
    let Resource { group, name: resource, .. } = known;
    let mut object = match parse(known, body) {
        Ok(object) => object,
        Err(answer) => return answer,
    };
    if !namespace.is_empty() && state.storage.get("", "namespaces", "", namespace).is_none() {
        return not_found("", "namespaces", namespace);
    }
    let name = object["metadata"]["name"].as_str().map(str::to_owned);
    let generated = object["metadata"]["generateName"].as_str().map(|start| {
        let suffix: String = random(5).iter().map(|byte| char::from(b'a' + byte % 26)).collect();
        format!("{start}{suffix}")
    });
    let Some(name) = name.or(generated) else {
        let cause = "metadata.name: Required value: name or generateName is required";
        return invalid(group, known.kind(), "", cause);
    };
    if state.storage.get(group, resource, namespace, &name).is_some() {
        return already_exists(group, resource, &name);
    }
    object["metadata"]["name"] = json!(name);
    if resource == "namespaces" {
        object["status"] = json!({ "phase": "Active" });
    }
    if query.get("dryRun").is_some() {
        return Answer::json(201, &object);
    }
    Answer::json(201, &state.storage.put(group, resource, namespace, object))
}

/// A POST body as it is stored, or why it is refused.
fn parse(known: &Resource, body: &[u8]) -> Result<Value, Answer> {
    let fault = |error: &str| bad_request(&format!("couldn't get version/kind; json parse error: {error}"));
    let object: Value = serde_json::from_slice(body).map_err(|error| fault(&error.to_string()))?;
    if !object.is_object() {
        return Err(fault("not an object"));
    }
    if object["kind"].as_str().is_some_and(|kind| kind != known.kind()) {
        let message = format!("the object provided is unrecognized (must be of type {})", known.kind());
        return Err(bad_request(&message));
    }
    let mut object = versioned(&object, known);
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    // The text of a Secret is stored as bytes.
    let texts = object.as_object_mut().and_then(|fields| fields.remove("stringData"));
    for (key, text) in texts.as_ref().and_then(Value::as_object).into_iter().flatten() {
        object["data"][key] = json!(STANDARD.encode(text.as_str().unwrap_or_default()));
    }
    Ok(object)
}

fn change(
    state: &mut State,
    known: &Resource,
    namespace: &str,
    name: &str,
    verb: &str,
    body: &[u8],
) -> Answer {
    let old = state.storage.get(&known.group, &known.name, namespace, name).cloned();
    let Some(old) = old else {
        return not_found(&known.group, &known.name, name);
    };
    let Ok(change) = serde_json::from_slice::<Value>(body) else {
        return bad_request("the body is no JSON");
    };
    let mut object = if verb == "patch" { merged(old, &change) } else { change };
    if !object["metadata"].is_object() {
        return bad_request("not an object with metadata");
    }
    object["metadata"]["name"] = json!(name);
    let object = versioned(&object, known);
    Answer::json(200, &state.storage.put(&known.group, &known.name, namespace, object))
}

/// A JSON merge patch (RFC 7386); other kinds of patch are taken for one.
fn merged(mut old: Value, patch: &Value) -> Value {
    let Value::Object(fields) = patch else {
        return patch.clone();
    };
    if !old.is_object() {
        old = json!({});
    }
    for (key, value) in fields {
        if value.is_null() {
            old.as_object_mut().unwrap().remove(key);
        } else {
            old[key] = merged(old[key].take(), value);
        }
    }
    old
}

fn delete_many(state: &mut State, known: &Resource, namespace: &str) -> Answer {
    let keys = state.storage.list(&known.group, &known.name, namespace).map(|(key, _)| key.clone());
    for (place, name) in keys.collect::<Vec<_>>() {
        state.storage.remove(&known.group, &known.name, &place, &name);
    }
    let metadata = json!({ "resourceVersion": state.storage.version() });
    let kind = format!("{}List", known.kind());
    Answer::json(
        200,
        &json!({ "kind": kind, "apiVersion": known.api_version(), "metadata": metadata, "items": [] }),
    )
}

/// A `TokenRequest`: `kubectl create token`.
fn create_token(state: &mut State, namespace: &str, name: &str, body: &[u8]) -> Answer {
    if state.storage.get("", "serviceaccounts", namespace, name).is_none() {
        return not_found("", "serviceaccounts", name);
    }
    let mut request: Value = serde_json::from_slice(body).unwrap_or_default();
    let (asked, default) = (&request["spec"], TokenSpec::default());
    let bound = &asked["boundObjectRef"];
    let spec = TokenSpec {
        namespace: namespace.to_owned(),
        service_account: name.to_owned(),
        expires_in: asked["expirationSeconds"].as_i64().unwrap_or(3600),
        audience: asked["audiences"][0].as_str().unwrap_or(&default.audience).to_owned(),
        pod: bound["name"].as_str().filter(|_| bound["kind"] == "Pod").map(str::to_owned),
        ..default
    };
    let token = state.tokens.issue(&state.storage, &spec);
    let expires = super::answers::timestamp(super::answers::now() + spec.expires_in);
    request["kind"] = json!("TokenRequest");
    request["apiVersion"] = json!("authentication.k8s.io/v1");
    request["metadata"] = json!({ "name": name, "namespace": namespace });
    request["status"] = json!({ "token": token, "expirationTimestamp": expires });
    Answer::json(201, &request)
}

/// The object under the version it was asked for in.
fn versioned(object: &Value, known: &Resource) -> Value {
    let mut object = object.clone();
    object["kind"] = json!(known.kind());
    object["apiVersion"] = json!(known.api_version());
    object
}

/// The object as an item of a list that says the kind once for all.
fn without_kind(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|field, _| field != "kind" && field != "apiVersion");
    }
    object
}

/// The name after which the next page of a list begins.
fn continue_after(token: &str) -> Option<String> {
    let start: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    start["start"].as_str().map(|start| start.trim_end_matches('\0').to_owned())
}
