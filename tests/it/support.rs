//! The scene that most tests play on, and what they hold against it.

use std::process::Command;

use serde_json::{Value, json};

use crate::cluster::faults::Listener;
use crate::cluster::{Cluster, Seen, TokenSpec, World};
use crate::pod::{Knock, Pod};

/// The service account of the tutorial, as the API server names it.
pub const USER: &str = "system:serviceaccount:ns-1:k-sa-1";

/// A token that no cluster believes, of `ns-1/k-sa-1` and without an end.
const FOREIGN_TOKEN: &str =
    "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6bnMtMTprLXNhLTEifQ.c2lnbmF0dXJl";

/// The tutorial's cluster, with namespace `ns-1`, and a pod of its service account `k-sa-1`, which may do
/// nothing yet.
pub struct Scene {
    pub cluster: Cluster,
    pub pod: Pod,
}

impl Scene {
    pub fn new() -> Self {
        Self::on(Cluster::start())
    }

    pub fn on(cluster: Cluster) -> Self {
        cluster.namespace("ns-1");
        cluster.service_account("ns-1", "k-sa-1");
        let pod = Pod::of(&cluster, "ns-1", "k-sa-1");
        Scene { cluster, pod }
    }

    /// The same where the pod may `get`, `list` and `watch` the pods of its namespace.
    pub fn with_reader() -> Self {
        let scene = Self::new();
        scene.grant("pod-reader", &["get", "list", "watch"], "", &["pods"]);
        scene
    }

    /// Grants it to the pod in its namespace.
    pub fn grant(&self, name: &str, verbs: &[&str], group: &str, resources: &[&str]) {
        self.cluster.role("ns-1", name, verbs, group, resources);
        self.cluster.role_binding("ns-1", name, name, "ns-1", "k-sa-1");
    }

    /// Grants rules to the pod in the whole cluster.
    pub fn grant_everywhere(&self, name: &str, rules: Value) {
        self.cluster.cluster_role(name, rules);
        self.cluster.cluster_role_binding(name, name, "ns-1", "k-sa-1");
    }

    /// The same with another token in the mount.
    pub fn with_token(mut self, change: impl FnOnce(&mut TokenSpec)) -> Self {
        let mut spec = TokenSpec {
            namespace: "ns-1".to_owned(),
            service_account: "k-sa-1".to_owned(),
            ..TokenSpec::default()
        };
        change(&mut spec);
        self.pod = self.pod.with_file("token", &self.cluster.token_with(&spec));
        self
    }

    pub fn runs(&self, arguments: &[&str]) -> Knock {
        self.pod.runs(arguments)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        self.pod.command(arguments)
    }

    /// The requests since the last time: method and path, and whether the token was with it.
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

/// A pod of `ns-1/k-sa-1` whose API server is this listener.
pub fn pod_at(listener: &Listener) -> Pod {
    Pod::at(&listener.server(), FOREIGN_TOKEN, &listener.ca_pem(), "ns-1")
}

/// The one object on the one line of stdout, with every `milliseconds` (which has to be a number) as 0 and
/// without what is different in each run.
#[track_caller]
pub fn report(knock: &Knock) -> Value {
    assert_eq!(knock.stdout.lines().count(), 1, "one line\n{}", knock.story());
    let mut report = serde_json::from_str(&knock.plain(&knock.stdout)).expect("JSON on stdout");
    still(&mut report);
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
