//! What scenarios need of a cluster, so that they run on the stand-in and on a real one.

use std::path::Path;

use serde_json::{Value, json};

use crate::mount::write_mount;

/// A cluster, real or not, as scenarios see it.
pub trait World {
    /// The URL, such as `https://127.0.0.1:PORT`.
    fn server(&self) -> String;
    /// The CA bundle that verifies the server.
    fn ca_pem(&self) -> String;
    /// A token of the service account (which must exist), valid for an hour.
    fn token(&self, namespace: &str, service_account: &str) -> String;
    /// POSTs the object to the collection `path` as cluster admin.
    ///
    /// # Panics
    /// Unless the answer is 201, or 409 because the object exists already.
    fn create(&self, path: &str, object: Value);
    /// DELETEs `path` as cluster admin.
    ///
    /// # Panics
    /// Unless the answer is 200 (202 where the deletion takes a while), or 404 because the object is gone
    /// already.
    fn delete(&self, path: &str);

    /// Creates a namespace.
    fn namespace(&self, name: &str) {
        self.create("/api/v1/namespaces", json!({ "metadata": { "name": name } }));
    }

    /// Creates a service account.
    fn service_account(&self, namespace: &str, name: &str) {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        self.create(&path, json!({ "metadata": { "name": name } }));
    }

    /// Creates a role with one rule.
    fn role(&self, namespace: &str, name: &str, verbs: &[&str], api_group: &str, resources: &[&str]) {
        let rule = json!({ "verbs": verbs, "apiGroups": [api_group], "resources": resources });
        self.role_with_rules(namespace, name, json!([rule]));
    }

    /// Creates a role with any rules.
    fn role_with_rules(&self, namespace: &str, name: &str, rules: Value) {
        let role = json!({ "metadata": { "name": name }, "rules": rules });
        self.create(&rbac_path(namespace, "roles"), role);
    }

    /// Binds a role to a service account.
    fn role_binding(&self, namespace: &str, name: &str, role: &str, account_namespace: &str, account: &str) {
        let binding = binding(name, "Role", role, account_namespace, account);
        self.create(&rbac_path(namespace, "rolebindings"), binding);
    }

    /// Creates a cluster role.
    fn cluster_role(&self, name: &str, rules: Value) {
        let role = json!({ "metadata": { "name": name }, "rules": rules });
        self.create(&rbac_path("", "clusterroles"), role);
    }

    /// Binds a cluster role to a service account, in the whole cluster.
    fn cluster_role_binding(&self, name: &str, role: &str, account_namespace: &str, account: &str) {
        let binding = binding(name, "ClusterRole", role, account_namespace, account);
        self.create(&rbac_path("", "clusterrolebindings"), binding);
    }

    /// Creates a role or a binding from its whole object, as `kubectl apply` does if there is none yet.
    fn apply(&self, object: Value) {
        let text =
            |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        assert_eq!(text("/apiVersion"), "rbac.authorization.k8s.io/v1", "{object}");
        let resource = text("/kind").to_lowercase() + "s";
        self.create(&rbac_path(&text("/metadata/namespace"), &resource), object);
    }

    /// Writes `token`, `ca.crt` and `namespace` into `dir` as the kubelet does. A second call rotates them.
    fn mount(&self, dir: &Path, namespace: &str, service_account: &str) {
        write_mount(dir, &self.token(namespace, service_account), &self.ca_pem(), namespace);
    }
}

/// The path where roles and bindings are created and deleted. An empty namespace means the cluster scope.
pub fn rbac_path(namespace: &str, resource: &str) -> String {
    let place = if namespace.is_empty() { String::new() } else { format!("namespaces/{namespace}/") };
    format!("/apis/rbac.authorization.k8s.io/v1/{place}{resource}")
}

fn binding(name: &str, role_kind: &str, role: &str, account_namespace: &str, account: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role },
        "subjects": [{ "kind": "ServiceAccount", "name": account, "namespace": account_namespace }],
    })
}
