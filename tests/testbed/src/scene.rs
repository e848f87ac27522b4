//! The cluster and the pod that most tests use, and the helpers that compare results.

use std::process::Command;

use serde_json::{Value, json};

use crate::cluster::{Cluster, Seen, TokenSpec, Version};
use crate::pod::{Finished, Pod};
use crate::program::Program;
use crate::world::{World, rbac_path};

/// The service account of the tutorial, as the API server names it.
pub const USER: &str = "system:serviceaccount:ns-1:k-sa-1";

/// The tutorial's cluster with the namespace `ns-1`, and a pod of its service account `k-sa-1`, which has no
/// permission yet.
pub struct Scene<P> {
    /// The stand-in cluster.
    pub cluster: Cluster,
    /// The pod in it.
    pub pod: Pod<P>,
}

impl<P: Program> Scene<P> {
    /// On a cluster with the default settings.
    pub fn new() -> Self {
        Self::on(Cluster::start())
    }

    /// On a cluster of this version.
    pub fn of(version: Version) -> Self {
        Self::on(Cluster::builder().version(version).start())
    }

    /// On this cluster.
    pub fn on(cluster: Cluster) -> Self {
        cluster.namespace("ns-1");
        cluster.service_account("ns-1", "k-sa-1");
        let pod = Pod::of(&cluster, "ns-1", "k-sa-1");
        Scene { cluster, pod }
    }

    /// The same; the pod may `get`, `list` and `watch` the pods of its namespace.
    pub fn with_reader() -> Self {
        let scene = Self::new();
        scene.grant("pod-reader", &["get", "list", "watch"], "", &["pods"]);
        scene
    }

    /// The same with the grant of the tutorial: the pod may list the pods of its namespace.
    pub fn with_lister() -> Self {
        let scene = Self::new();
        scene.grant_list();
        scene
    }

    /// Grants verbs on resources to the pod, in its namespace.
    pub fn grant(&self, name: &str, verbs: &[&str], group: &str, resources: &[&str]) {
        self.cluster.role("ns-1", name, verbs, group, resources);
        self.cluster.role_binding("ns-1", name, name, "ns-1", "k-sa-1");
    }

    /// Revokes the grant of this name.
    pub fn revoke(&self, name: &str) {
        self.cluster.delete(&rbac_path("ns-1", &format!("rolebindings/{name}")));
    }

    /// Grants what the tutorial grants.
    pub fn grant_list(&self) {
        self.grant("pod-lister", &["list"], "", &["pods"]);
    }

    /// Revokes the grant of the tutorial.
    pub fn revoke_list(&self) {
        self.revoke("pod-lister");
    }

    /// Grants rules to the pod, in the whole cluster.
    pub fn grant_everywhere(&self, name: &str, rules: Value) {
        self.cluster.cluster_role(name, rules);
        self.cluster.cluster_role_binding(name, name, "ns-1", "k-sa-1");
    }

    /// The same with another file `name` in the mount.
    pub fn with_file(mut self, name: &str, content: &str) -> Self {
        self.pod = self.pod.with_file(name, content);
        self
    }

    /// The same with another token in the mount.
    pub fn with_token(self, change: impl FnOnce(&mut TokenSpec)) -> Self {
        let token = self.token_with(change);
        self.with_file("token", &token)
    }

    /// A token of the pod's service account, changed by the closure.
    pub fn token_with(&self, change: impl FnOnce(&mut TokenSpec)) -> String {
        let mut spec = TokenSpec {
            namespace: "ns-1".to_owned(),
            service_account: "k-sa-1".to_owned(),
            ..TokenSpec::default()
        };
        change(&mut spec);
        self.cluster.token_with(&spec)
    }

    /// Runs `kubeknock ARGUMENTS` in the pod, to its end.
    pub fn runs(&self, arguments: &[&str]) -> Finished {
        self.pod.runs(arguments)
    }

    /// The command `kubeknock ARGUMENTS` in the pod, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.pod.command(arguments)
    }

    /// The requests since the last call: method, path, and whether the token was sent.
    pub fn asked(&self) -> Vec<String> {
        let asked = self.cluster.requests().iter().map(shown).collect();
        self.cluster.forget();
        asked
    }
}

/// `anonymous GET /version`.
fn shown(seen: &Seen) -> String {
    let who = if seen.authorization.is_some() { "token" } else { "anonymous" };
    format!("{who} {} {}", seen.method, seen.path_and_query)
}

/// The one object on the one line of stdout. `time` is removed (the schema checks it), every `milliseconds`
/// must be a number and becomes 0, and what is different in each run is replaced by its placeholder.
#[track_caller]
pub fn report(finished: &Finished) -> Value {
    assert_eq!(finished.stdout.lines().count(), 1, "one line\n{}", finished.transcript());
    let mut report = serde_json::from_str(&finished.plain(&finished.stdout)).expect("JSON on stdout");
    still(&mut report);
    report.as_object_mut().expect("an object").remove("time");
    report
}

fn still(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                if key == "milliseconds" {
                    assert!(value.is_u64(), "milliseconds: {value}");
                    *value = json!(0);
                }
                still(value);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(still),
        _ => {}
    }
}
