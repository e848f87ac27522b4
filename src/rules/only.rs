//! Finds rights beyond the named permissions, and beyond the rights that every account has. Pure.

use crate::api::discovery::{self, Wanted};
use crate::api::review::{Attributes, Rule};
use crate::grant::place;
use crate::permission::ResourceName;

/// The rights of every service account, from Kubernetes 1.20 to 1.36: the rules of `system:basic-user`,
/// `system:discovery` and `system:public-info-viewer`, which are bound to `system:authenticated`, and of
/// `system:service-account-issuer-discovery`, which is bound to `system:serviceaccounts` (Kubernetes,
/// plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go). The verb is `create` for resources and `get` for paths.
const RESOURCES: [(&str, &str); 3] = [
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
    ("authentication.k8s.io", "selfsubjectreviews"),
];
const PATHS: [&str; 15] = [
    "/.well-known",
    "/.well-known/*",
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/openapi",
    "/openapi/*",
    "/openid/v1/jwks",
    "/openid/v1/jwks/",
    "/readyz",
    "/version",
    "/version/",
];

/// Adds the rights in this namespace beyond the named permissions, each as a phrase.
pub fn add_excess(phrases: &mut Vec<String>, rules: &[Rule], named: &[Attributes], namespace: &str) {
    for rule in rules {
        let mut verbs = String::new();
        for verb in &rule.verbs {
            let allows = |named: &Attributes| {
                place(named).is_none_or(|place| place == namespace) && covers(named, rule, verb)
            };
            if !is_everyones(rule, verb) && !named.iter().any(allows) {
                if !verbs.is_empty() {
                    verbs.push(',');
                }
                verbs.push_str(verb);
            }
        }
        if !verbs.is_empty() {
            let phrase = phrase(verbs, rule, namespace);
            if !phrases.contains(&phrase) {
                phrases.push(phrase);
            }
        }
    }
}

fn is_everyones(rule: &Rule, verb: &str) -> bool {
    match &rule.url {
        Some(url) => verb == "get" && PATHS.iter().any(|path| covers_path(path, url)),
        None => verb == "create" && RESOURCES.contains(&(rule.group.as_str(), rule.resource.as_str())),
    }
}

/// Whether a grant of the named permission covers the whole rule. The API server makes the same check when a user
/// creates a role and must not grant more than their own rights (Kubernetes,
/// k8s.io/component-helpers/auth/rbac/validation, `ruleCovers`).
fn covers(named: &Attributes, rule: &Rule, verb: &str) -> bool {
    let all_or = |named: &str, found: &str| named == "*" || named == found;
    match (named, &rule.url) {
        (Attributes::Path { verb: known, path }, Some(url)) => all_or(known, verb) && covers_path(path, url),
        (Attributes::Resource { verb: known, group, resource, subresource, name, .. }, None) => {
            let (found, tail) = rule.parts();
            // `*` covers every resource with its subresources, `*/scale` covers that subresource of every resource, and
            // `pods/*` covers only a rule with the same text.
            let every = resource == "*" && (subresource.is_none() || subresource.as_deref() == tail);
            all_or(known, verb)
                && all_or(group, &rule.group)
                && (every || (resource == found && subresource.as_deref() == tail))
                && (name.is_none() || *name == rule.name)
        }
        (Attributes::Path { .. }, None) | (Attributes::Resource { .. }, Some(_)) => false,
    }
}

fn covers_path(named: &str, found: &str) -> bool {
    named == found || (named.ends_with('*') && found.starts_with(named.trim_end_matches('*')))
}

/// The phrase of a rule, such as `get,list secrets/db in ns-1`.
fn phrase(verbs: String, rule: &Rule, namespace: &str) -> String {
    let mut phrase = verbs;
    phrase.push(' ');
    if let Some(url) = &rule.url {
        phrase.push_str(url);
        return phrase;
    }
    let (resource, tail) = rule.parts();
    phrase.push_str(resource);
    match (rule.group.as_str(), resource) {
        ("*", "*") | ("", _) if resource != "*" || rule.group == "*" => {}
        (group, _) => {
            phrase.push('.');
            phrase.push_str(group);
        }
    }
    for part in [rule.name.as_deref().or(tail.map(|_| "*")), tail].into_iter().flatten() {
        phrase.push('/');
        phrase.push_str(part);
    }
    // RBAC takes the name of a Namespace object as its namespace, so a binding in that namespace may grant the right.
    let is_everywhere = rule.group.is_empty() && resource != "namespaces" && is_cluster_scoped(resource);
    if !is_everywhere {
        phrase.push_str(" in ");
        phrase.push_str(namespace);
    }
    phrase
}

/// Whether this is a resource of the core group that is known to be cluster-scoped.
fn is_cluster_scoped(plural: &str) -> bool {
    let resource = ResourceName { name: plural.to_owned(), qualifier: None };
    let wanted = Wanted { verb: "get".into(), resource, subresource: None, exact: false };
    discovery::known(&wanted).is_some_and(|resource| !resource.namespaced)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::review::Rules;

    /// Parses `VERB GROUP RESOURCE[/SUBRESOURCE] NAME NAMESPACE`, where `-` means none, or `VERB /PATH`.
    fn named(text: &str) -> Attributes {
        let some = |text: &str| (text != "-").then(|| text.to_owned());
        match text.split(' ').collect::<Vec<_>>().as_slice() {
            [verb, path] => Attributes::Path { verb: (*verb).into(), path: (*path).into() },
            [verb, group, target, name, namespace] => {
                let (resource, subresource) = target.split_once('/').unwrap_or((target, "-"));
                Attributes::Resource {
                    verb: (*verb).into(),
                    group: some(group).unwrap_or_default(),
                    version: "*".into(),
                    resource: resource.into(),
                    subresource: some(subresource),
                    name: some(name),
                    namespace: some(namespace),
                }
            }
            _ => panic!("{text}"),
        }
    }

    fn found(resources: &Value, paths: &Value) -> Vec<Rule> {
        Rules::parse(&json!({ "resourceRules": resources, "nonResourceRules": paths })).list
    }

    /// A list with a single rule for resources.
    fn one(verbs: &Value, group: &str, resources: &Value, names: &Value) -> Value {
        json!([{ "verbs": verbs, "apiGroups": [group], "resources": resources, "resourceNames": names }])
    }

    fn pods(verbs: &Value) -> Value {
        one(verbs, "", &json!(["pods"]), &json!([]))
    }

    /// A row: the named permissions, the rules for resources and for paths in `ns-1`, and the rights beyond them.
    type Row<'r> = (&'r [&'r str], Value, Value, &'r [&'r str]);

    fn hold(rows: &[Row<'_>]) {
        for (names, resources, paths, excess) in rows {
            let names: Vec<Attributes> = names.iter().map(|text| named(text)).collect();
            let mut beyond = Vec::new();
            add_excess(&mut beyond, &found(resources, paths), &names, "ns-1");
            beyond.sort();
            assert_eq!(beyond, *excess, "{names:?}: {resources} {paths}");
        }
    }

    #[test]
    fn what_goes_beyond() {
        hold(&[
            // Nothing listed, and exactly what is named.
            (&[][..], json!([]), json!([]), &[][..]),
            (&["list - pods - ns-1"], pods(&json!(["list"])), json!([]), &[]),
            (&["list - pods - -"], pods(&json!(["list"])), json!([]), &[]),
            (&["list - pods - ns-1", "get - secrets db ns-1"], json!([]), json!([]), &[]),
            // Another namespace, verb, resource, group.
            (&["list - pods - ns-2"], pods(&json!(["list"])), json!([]), &["list pods in ns-1"]),
            (
                &["list - pods - ns-1"],
                pods(&json!(["list", "get", "watch"])),
                json!([]),
                &["get,watch pods in ns-1"],
            ),
            (&["list - services - ns-1"], pods(&json!(["list"])), json!([]), &["list pods in ns-1"]),
            (
                &["list apps deployments - ns-1"],
                one(&json!(["list"]), "extensions", &json!(["deployments"]), &json!([])),
                json!([]),
                &["list deployments.extensions in ns-1"],
            ),
            // Several permissions that together cover a rule, and the same for a rule with one part more.
            (&["get - pods - ns-1", "list - pods - ns-1"], pods(&json!(["get", "list"])), json!([]), &[]),
            (
                &["get - pods - ns-1", "list - pods - ns-1", "get - services - ns-1"],
                one(&json!(["get", "list"]), "", &json!(["pods", "services"]), &json!([])),
                json!([]),
                &["list services in ns-1"],
            ),
            // A wildcard in the rule against a narrow phrase, and the other way around.
            (&["list - pods - ns-1"], pods(&json!(["*"])), json!([]), &["* pods in ns-1"]),
            (&["* - pods - ns-1"], pods(&json!(["*"])), json!([]), &[]),
            (&["* - pods - ns-1"], pods(&json!(["get", "x"])), json!([]), &[]),
            (
                &["list - pods - ns-1"],
                one(&json!(["list"]), "", &json!(["*"]), &json!([])),
                json!([]),
                &["list *. in ns-1"],
            ),
            (
                &["list - pods - ns-1"],
                one(&json!(["list"]), "*", &json!(["pods"]), &json!([])),
                json!([]),
                &["list pods.* in ns-1"],
            ),
            (
                &["* apps * - ns-1"],
                one(&json!(["*"]), "*", &json!(["*"]), &json!([])),
                json!([]),
                &["* * in ns-1"],
            ),
            (&["* * * - -"], one(&json!(["*"]), "*", &json!(["*"]), &json!([])), json!([]), &[]),
            (
                &["* apps * - ns-1"],
                one(&json!(["get"]), "apps", &json!(["x", "x/y"]), &json!([])),
                json!([]),
                &[],
            ),
            (
                &["* apps * - ns-1"],
                one(&json!(["get"]), "batch", &json!(["*"]), &json!([])),
                json!([]),
                &["get *.batch in ns-1"],
            ),
        ]);
    }

    #[test]
    fn names_subresources_and_paths() {
        hold(&[
            // Names.
            (
                &["get - secrets db ns-1"],
                one(&json!(["get"]), "", &json!(["secrets"]), &json!(["db", "ca"])),
                json!([]),
                &["get secrets/ca in ns-1"],
            ),
            (
                &["get - secrets db ns-1"],
                one(&json!(["get"]), "", &json!(["secrets"]), &json!([])),
                json!([]),
                &["get secrets in ns-1"],
            ),
            (
                &["get - secrets - ns-1"],
                one(&json!(["get"]), "", &json!(["secrets"]), &json!(["db"])),
                json!([]),
                &[],
            ),
            (
                &["get - namespaces ns-2 ns-2"],
                one(&json!(["get"]), "", &json!(["namespaces"]), &json!(["ns-2"])),
                json!([]),
                &[],
            ),
            // Subresources.
            (
                &["get - pods - ns-1"],
                one(&json!(["get"]), "", &json!(["pods/log"]), &json!([])),
                json!([]),
                &["get pods/*/log in ns-1"],
            ),
            (
                &["get - pods/log - ns-1"],
                one(&json!(["get"]), "", &json!(["pods"]), &json!([])),
                json!([]),
                &["get pods in ns-1"],
            ),
            (
                &["get - pods/log web ns-1"],
                one(&json!(["get"]), "", &json!(["pods/log"]), &json!(["web"])),
                json!([]),
                &[],
            ),
            (
                &["get apps */scale - ns-1"],
                one(&json!(["get"]), "apps", &json!(["x/scale"]), &json!([])),
                json!([]),
                &[],
            ),
            (
                &["get apps */scale - ns-1"],
                one(&json!(["get"]), "apps", &json!(["*/scale"]), &json!([])),
                json!([]),
                &[],
            ),
            (
                &["get apps */scale - ns-1"],
                one(&json!(["get"]), "apps", &json!(["*"]), &json!([])),
                json!([]),
                &["get *.apps in ns-1"],
            ),
            (
                &["get - pods/* - ns-1"],
                one(&json!(["get"]), "", &json!(["pods/log"]), &json!([])),
                json!([]),
                &["get pods/*/log in ns-1"],
            ),
            (
                &["get - pods/log - ns-1"],
                one(&json!(["get"]), "", &json!(["pods/log"]), &json!(["web"])),
                json!([]),
                &[],
            ),
            // Paths.
            (
                &["get /metrics"],
                json!([]),
                json!([{ "verbs": ["get", "post"], "nonResourceURLs": ["/metrics", "/logs/*"] }]),
                &["get /logs/*", "post /logs/*", "post /metrics"],
            ),
            (
                &["get /logs/*", "get /metrics*"],
                json!([]),
                json!([{ "verbs": ["get"], "nonResourceURLs": ["/logs/x", "/logs/*", "/metrics", "/metrics/slis"] }]),
                &[],
            ),
            (
                &["get /logs/x"],
                json!([]),
                json!([{ "verbs": ["get"], "nonResourceURLs": ["/logs/*"] }]),
                &["get /logs/*"],
            ),
            (&["* *"], json!([]), json!([{ "verbs": ["*"], "nonResourceURLs": ["*"] }]), &[]),
            (
                &["list - pods - -"],
                json!([]),
                json!([{ "verbs": ["*"], "nonResourceURLs": ["*"] }]),
                &["* *"],
            ),
            // The rights of every account are not excess; anything beyond them is.
            (
                &[],
                one(
                    &json!(["create", "list"]),
                    "authorization.k8s.io",
                    &json!(["selfsubjectaccessreviews"]),
                    &json!([]),
                ),
                json!([{ "verbs": ["get", "post"], "nonResourceURLs": ["/api/v1"] }]),
                &["list selfsubjectaccessreviews.authorization.k8s.io in ns-1", "post /api/v1"],
            ),
        ]);
    }

    /// What API servers listed for an account without a binding of its own: the oldest supported version, and the
    /// newest that was recorded.
    #[test]
    fn what_every_account_has() {
        let mut lists = 0;
        for recording in [
            include_str!("../../tests/recordings/v1.20.2.json"),
            include_str!("../../tests/recordings/v1.36.2.json"),
        ] {
            let exchanges: Value = serde_json::from_str(recording).unwrap();
            let bodies = texts(&exchanges);
            let reviews = bodies.iter().filter_map(|body| serde_json::from_str::<Value>(body).ok());
            for review in reviews.filter(|review| review["kind"] == "SelfSubjectRulesReview") {
                let rules = Rules::parse(&review["status"]).list;
                let mut beyond = Vec::new();
                add_excess(&mut beyond, &rules, &[], "ns-1");
                if !review["status"].to_string().contains("deployments") {
                    assert!(beyond.is_empty(), "{beyond:?}");
                    assert!(rules.len() > 10, "{review}");
                    lists += 1;
                    continue;
                }
                beyond.sort();
                assert_eq!(
                    beyond,
                    [
                        "get,list,watch configmaps in ns-1",
                        "get,list,watch pods in ns-1",
                        "get,list,watch secrets in ns-1",
                        "list gadgets in ns-1",
                        "list selfsubjectaccessreviews.authorization.k8s.io in ns-1",
                        "list widgets.example.com in ns-1",
                        "list,create deployments.apps in ns-1",
                    ]
                );
            }
        }
        assert_eq!(lists, 2);
    }

    /// Every string in a document.
    fn texts(value: &Value) -> Vec<String> {
        match value {
            Value::String(text) => vec![text.clone()],
            Value::Array(items) => items.iter().flat_map(texts).collect(),
            Value::Object(fields) => fields.values().flat_map(texts).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
        }
    }
}
