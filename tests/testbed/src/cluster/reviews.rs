//! The self-subject reviews: what the caller may do, and who the caller is.

use super::answers::{Answer, bad_request, fleeting_metadata, invalid, now, timestamp};
use super::rbac::{Attributes, User, authorize, rules};
use super::storage::Storage;
use serde_json::{Map, Value, json};

/// Answers a POST to one of the reviews.
pub fn review(storage: &Storage, user: &User, kind: &str, old: bool, agent: &str, body: &[u8]) -> Answer {
    let asked: Value = match serde_json::from_slice(body) {
        Ok(asked) => asked,
        Err(error) => return bad_request(&format!("couldn't get version/kind; json parse error: {error}")),
    };
    let group = if kind == "SelfSubjectReview" { "authentication.k8s.io" } else { "authorization.k8s.io" };
    let asked_kind = asked["kind"].as_str().unwrap_or(kind);
    if asked_kind != kind {
        let scheme = if old { "k8s.io/kubernetes/pkg/api" } else { "pkg/api" };
        return bad_request(&format!(
            "{asked_kind} in version \"v1\" cannot be handled as a {kind}: no kind \"{asked_kind}\" is registered \
             for version \"{group}/v1\" in scheme \"{scheme}/legacyscheme/scheme.go:30\""
        ));
    }
    let mut metadata = fleeting_metadata(old);
    let (spec, status) = match kind {
        "SelfSubjectAccessReview" => {
            let spec = &asked["spec"];
            if spec["resourceAttributes"].is_object() == spec["nonResourceAttributes"].is_object() {
                let cause = "spec.resourceAttributes: Invalid value: null: exactly one of \
                             nonResourceAttributes or resourceAttributes must be specified";
                return invalid(group, kind, "", cause);
            }
            metadata["managedFields"] = json!([managed(agent, group, spec)]);
            (Some(spec.clone()), access(storage, user, spec))
        }
        "SelfSubjectRulesReview" => {
            let namespace = asked["spec"]["namespace"].as_str().unwrap_or_default();
            if namespace.is_empty() {
                return bad_request("no namespace on request");
            }
            (Some(json!({})), all_rules(storage, user, namespace))
        }
        _ => {
            metadata["creationTimestamp"] = json!(timestamp(now()));
            (None, json!({ "userInfo": user_info(user) }))
        }
    };
    let mut document =
        json!({ "kind": kind, "apiVersion": format!("{group}/v1"), "metadata": metadata, "status": status });
    if let Some(spec) = spec {
        document["spec"] = spec;
    }
    Answer::json(201, &document)
}

fn access(storage: &Storage, user: &User, spec: &Value) -> Value {
    let resource = &spec["resourceAttributes"];
    let path = spec["nonResourceAttributes"]["path"].as_str().map(str::to_owned);
    let verb = if path.is_some() { &spec["nonResourceAttributes"]["verb"] } else { &resource["verb"] };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let wanted = Attributes {
        verb: text(verb),
        group: text(&resource["group"]),
        version: text(&resource["version"]),
        resource: text(&resource["resource"]),
        subresource: text(&resource["subresource"]),
        namespace: text(&resource["namespace"]),
        name: text(&resource["name"]),
        path,
    };
    let decision = authorize(storage, user, &wanted);
    let mut status = json!({ "allowed": decision.allowed });
    if !decision.reason.is_empty() {
        status["reason"] = json!(decision.reason);
    }
    status
}

fn all_rules(storage: &Storage, user: &User, namespace: &str) -> Value {
    let (rules, fault) = rules(storage, user, namespace);
    let (paths, resources): (Vec<Value>, Vec<Value>) =
        rules.into_iter().partition(|rule| rule["nonResourceURLs"].is_array());
    let mut status = json!({ "resourceRules": resources, "nonResourceRules": paths, "incomplete": false });
    if let Some(fault) = fault {
        status["evaluationError"] = json!(fault);
    }
    status
}

fn user_info(user: &User) -> Value {
    let extra = user.extra.iter();
    let extra: Map<String, Value> =
        extra.map(|(key, value)| (format!("authentication.kubernetes.io/{key}"), json!([value]))).collect();
    let mut info = json!({ "username": user.name, "groups": user.groups });
    if let Some(uid) = &user.uid {
        info["uid"] = json!(uid);
    }
    if !extra.is_empty() {
        info["extra"] = Value::Object(extra);
    }
    info
}

/// The `managedFields` entry that an access review gets, as anything that is created.
fn managed(agent: &str, group: &str, spec: &Value) -> Value {
    let fields = spec.as_object().into_iter().flatten().map(|(attributes, values)| {
        let names =
            values.as_object().into_iter().flatten().map(|(name, _)| (format!("f:{name}"), json!({})));
        let names: Map<String, Value> = names.chain([(".".to_owned(), json!({}))]).collect();
        (format!("f:{attributes}"), Value::Object(names))
    });
    let fields: Map<String, Value> = fields.collect();
    let manager = agent.split('/').next().filter(|name| !name.is_empty()).unwrap_or("unknown");
    json!({
        "manager": manager, "operation": "Update", "apiVersion": format!("{group}/v1"),
        "time": timestamp(now()), "fieldsType": "FieldsV1", "fieldsV1": { "f:spec": fields },
    })
}
