//! Role-based access control, decided from the stored roles and bindings as the API server's RBAC
//! authorizer decides it: cluster role bindings first, then the role bindings of the namespace.

use super::storage::Storage;
use serde_json::{Value, json};

/// The API group of roles and bindings.
pub const GROUP: &str = "rbac.authorization.k8s.io";

/// The user that sends a request.
#[derive(Clone, Debug)]
pub struct User {
    /// The name, such as `system:serviceaccount:ns-1:k-sa-1`.
    pub name: String,
    /// The UID of the service account.
    pub uid: Option<String>,
    /// Groups, `system:authenticated` included.
    pub groups: Vec<String>,
    /// Extra facts of authentication, with keys that lack the prefix `authentication.kubernetes.io/`.
    pub extra: Vec<(String, String)>,
}

impl User {
    /// An authenticated user; the name of a service account determines its groups.
    pub fn named(name: &str) -> Self {
        let mut groups = Vec::new();
        if let Some((namespace, _)) =
            name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'))
        {
            groups.push("system:serviceaccounts".to_owned());
            groups.push(format!("system:serviceaccounts:{namespace}"));
        }
        groups.push("system:authenticated".to_owned());
        Self { name: name.to_owned(), uid: None, groups, extra: Vec::new() }
    }

    /// The user of a request without credentials.
    pub fn anonymous() -> Self {
        let groups = vec!["system:unauthenticated".to_owned()];
        Self { name: "system:anonymous".to_owned(), uid: None, groups, extra: Vec::new() }
    }

    /// A user that may do everything.
    pub fn admin() -> Self {
        let groups = vec!["system:masters".to_owned(), "system:authenticated".to_owned()];
        Self { name: "kubernetes-admin".to_owned(), uid: None, groups, extra: Vec::new() }
    }
}

/// What a request asks for.
#[derive(Clone, Debug, Default)]
pub struct Attributes {
    /// `list`, `create`; for paths the method in lower case.
    pub verb: String,
    /// API group, empty for core.
    pub group: String,
    /// API version, which does not matter to permissions.
    pub version: String,
    /// Plural name of the resource.
    pub resource: String,
    /// Subresource; empty for the resource itself.
    pub subresource: String,
    /// Namespace; empty for the cluster scope.
    pub namespace: String,
    /// Object name; empty for any.
    pub name: String,
    /// The path, where the request is not for a resource.
    pub path: Option<String>,
}

impl Attributes {
    /// `pods/log`.
    pub fn full_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }

    /// `User "u" cannot list resource "pods" in API group "" in the namespace "ns-1"`.
    pub fn refusal(&self, user: &User) -> String {
        let Self { verb, group, namespace, .. } = self;
        if let Some(path) = &self.path {
            return format!("User \"{}\" cannot {verb} path \"{path}\"", user.name);
        }
        let place = if namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace \"{namespace}\"")
        };
        let resource = self.full_resource();
        format!(
            "User \"{}\" cannot {verb} resource \"{resource}\" in API group \"{group}\" {place}",
            user.name
        )
    }
}

/// The decision, and the authorizer's reason, which may be empty.
pub struct Decision {
    /// Whether the request is allowed.
    pub allowed: bool,
    /// The reason as an access review shows it.
    pub reason: String,
}

/// Decides one request.
pub fn authorize(storage: &Storage, user: &User, wanted: &Attributes) -> Decision {
    if user.groups.iter().any(|group| group == "system:masters") {
        return Decision { allowed: true, reason: String::new() };
    }
    let mut faults = Vec::new();
    for grant in grants(storage, user, &wanted.namespace) {
        match &grant.rules {
            Err(fault) => faults.push(fault.clone()),
            Ok(rules) if rules.iter().any(|rule| allows(rule, wanted)) => {
                return Decision { allowed: true, reason: format!("RBAC: allowed by {}", grant.describe()) };
            }
            Ok(_) => {}
        }
    }
    let reason = evaluation_error(faults).map(|fault| format!("RBAC: {fault}")).unwrap_or_default();
    Decision { allowed: false, reason }
}

/// All rules that apply to the user in the namespace, and the errors that occurred on the way.
pub fn rules(storage: &Storage, user: &User, namespace: &str) -> (Vec<Value>, Option<String>) {
    let (mut rules, mut faults) = (Vec::new(), Vec::new());
    for grant in grants(storage, user, namespace) {
        match grant.rules {
            Err(fault) => faults.push(fault),
            Ok(more) => rules.extend(more),
        }
    }
    (rules, evaluation_error(faults))
}

/// One binding that applies to the user.
struct Grant<'s> {
    binding: &'s Value,
    subject: &'s Value,
    /// The rules of its role, or the error that there is no such role.
    rules: Result<Vec<Value>, String>,
}

impl Grant<'_> {
    /// `RoleBinding "b/ns-1" of Role "r" to ServiceAccount "sa/ns-1"`.
    fn describe(&self) -> String {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (metadata, role) = (&self.binding["metadata"], &self.binding["roleRef"]);
        let (name, namespace) = (text(&metadata["name"]), text(&metadata["namespace"]));
        let binding = if namespace.is_empty() {
            format!("ClusterRoleBinding \"{name}\"")
        } else {
            format!("RoleBinding \"{name}/{namespace}\"")
        };
        let (kind, mut subject) = (text(&self.subject["kind"]), text(&self.subject["name"]));
        if kind == "ServiceAccount" {
            subject = format!("{subject}/{}", subject_namespace(self.subject, self.binding));
        }
        format!("{binding} of {} \"{}\" to {kind} \"{subject}\"", text(&role["kind"]), text(&role["name"]))
    }
}

fn grants<'s>(storage: &'s Storage, user: &User, namespace: &'s str) -> Vec<Grant<'s>> {
    let everywhere = storage.list(GROUP, "clusterrolebindings", "");
    let here = storage.list(GROUP, "rolebindings", namespace).filter(|_| !namespace.is_empty());
    let bindings = everywhere.chain(here).map(|(_, binding)| binding);
    let applying = bindings.filter_map(|binding| {
        let subjects = binding["subjects"].as_array()?;
        let subject = subjects.iter().find(|subject| is_subject(user, subject, binding))?;
        Some(Grant { binding, subject, rules: role_rules(storage, binding) })
    });
    applying.collect()
}

fn is_subject(user: &User, subject: &Value, binding: &Value) -> bool {
    let name = subject["name"].as_str().unwrap_or_default();
    match subject["kind"].as_str() {
        Some("User") => user.name == name,
        Some("Group") => user.groups.iter().any(|group| group == name),
        Some("ServiceAccount") => {
            let namespace = subject_namespace(subject, binding);
            user.name == format!("system:serviceaccount:{namespace}:{name}")
        }
        _ => false,
    }
}

fn subject_namespace<'s>(subject: &'s Value, binding: &'s Value) -> &'s str {
    let own = subject["namespace"].as_str().filter(|namespace| !namespace.is_empty());
    own.or(binding["metadata"]["namespace"].as_str()).unwrap_or_default()
}

fn role_rules(storage: &Storage, binding: &Value) -> Result<Vec<Value>, String> {
    let name = binding["roleRef"]["name"].as_str().unwrap_or_default();
    let cluster = binding["roleRef"]["kind"] == "ClusterRole";
    let place = binding["metadata"]["namespace"].as_str().filter(|_| !cluster).unwrap_or_default();
    let kind = if cluster { "clusterrole" } else { "role" };
    let role = storage.get(GROUP, &format!("{kind}s"), place, name);
    let role = role.ok_or_else(|| format!("{kind}.{GROUP} \"{name}\" not found"))?;
    Ok(role["rules"].as_array().cloned().unwrap_or_default())
}

/// Errors as Kubernetes joins them: one alone, several in brackets, each once.
fn evaluation_error(faults: Vec<String>) -> Option<String> {
    let mut different: Vec<String> = Vec::new();
    for fault in faults {
        if !different.contains(&fault) {
            different.push(fault);
        }
    }
    match different.as_slice() {
        [] => None,
        [only] => Some(only.clone()),
        several => Some(format!("[{}]", several.join(", "))),
    }
}

fn allows(rule: &Value, wanted: &Attributes) -> bool {
    let has = |field: &str, value: &str| items(rule, field).any(|item| item == "*" || item == value);
    if let Some(path) = &wanted.path {
        let matches = |url: &str| match url.strip_suffix('*') {
            Some(start) => path.starts_with(start),
            None => url == path,
        };
        return has("verbs", &wanted.verb) && items(rule, "nonResourceURLs").any(matches);
    }
    let any_of_subresource = format!("*/{}", wanted.subresource);
    let resource = has("resources", &wanted.full_resource())
        || (!wanted.subresource.is_empty()
            && items(rule, "resources").any(|item| item == any_of_subresource));
    let mut names = items(rule, "resourceNames").peekable();
    let name = names.peek().is_none() || names.any(|name| name == wanted.name);
    has("verbs", &wanted.verb) && has("apiGroups", &wanted.group) && resource && name
}

fn items<'v>(rule: &'v Value, field: &str) -> impl Iterator<Item = &'v str> {
    rule[field].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// The roles and bindings that every cluster starts with, as far as they matter to an ordinary pod.
pub fn install_defaults(storage: &mut Storage, old: bool) {
    let get = |urls: &[&str]| json!({ "verbs": ["get"], "nonResourceURLs": urls });
    let discovery = [
        "/api",
        "/api/*",
        "/apis",
        "/apis/*",
        "/healthz",
        "/livez",
        "/openapi",
        "/openapi/*",
        "/readyz",
        "/version",
        "/version/",
    ];
    let mut discovery = vec![get(&discovery)];
    let mut basic =
        vec![create_rule("authorization.k8s.io", &["selfsubjectaccessreviews", "selfsubjectrulesreviews"])];
    let mut issuer = vec!["/.well-known/openid-configuration", "/openid/v1/jwks"];
    if !old {
        discovery.push(get(&["/.well-known", "/.well-known/*"]));
        basic.push(create_rule("authentication.k8s.io", &["selfsubjectreviews"]));
        issuer.extend(["/.well-known/openid-configuration/", "/openid/v1/jwks/"]);
        issuer.sort_unstable();
    }
    let everything = vec![
        json!({ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }),
        json!({ "verbs": ["*"], "nonResourceURLs": ["*"] }),
    ];
    let public = vec![get(&["/healthz", "/livez", "/readyz", "/version", "/version/"])];
    let authenticated = ["system:authenticated"].as_slice();
    let defaults = [
        ("cluster-admin", everything, ["system:masters"].as_slice()),
        ("system:basic-user", basic, authenticated),
        ("system:discovery", discovery, authenticated),
        ("system:public-info-viewer", public, &["system:authenticated", "system:unauthenticated"]),
        ("system:service-account-issuer-discovery", vec![get(&issuer)], &["system:serviceaccounts"]),
    ];
    for (name, rules, groups) in defaults {
        let subjects: Vec<Value> =
            groups.iter().map(|group| json!({ "kind": "Group", "apiGroup": GROUP, "name": group })).collect();
        let metadata = json!({ "name": name, "labels": { "kubernetes.io/bootstrapping": "rbac-defaults" } });
        let version = format!("{GROUP}/v1");
        let role =
            json!({ "kind": "ClusterRole", "apiVersion": version, "metadata": metadata, "rules": rules });
        let binding = json!({
            "kind": "ClusterRoleBinding", "apiVersion": version, "metadata": metadata, "subjects": subjects,
            "roleRef": { "apiGroup": GROUP, "kind": "ClusterRole", "name": name },
        });
        storage.put(GROUP, "clusterroles", "", role);
        storage.put(GROUP, "clusterrolebindings", "", binding);
    }
}

fn create_rule(group: &str, resources: &[&str]) -> Value {
    json!({ "verbs": ["create"], "apiGroups": [group], "resources": resources })
}
