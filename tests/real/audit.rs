//! What an auditor sees: the README's table, held to a real API server's audit log.

use std::fs;
use std::path::Path;

use serde_json::Value;
use testbed::audit::{self, Event};
use testbed::{RealCluster, World};

use crate::Pod;

const AGENT: &str = concat!("kubeknock/", env!("CARGO_PKG_VERSION"));

/// One event a request, when it is answered.
const POLICY: &str = r#"{
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "Metadata"}]
}"#;

/// The options of a cluster that writes its audit log into this folder.
pub fn options(folder: &Path) -> [String; 2] {
    let policy = folder.join("policy.json");
    fs::write(&policy, POLICY).unwrap();
    [
        format!("--audit-policy-file={}", policy.display()),
        format!("--audit-log-path={}", folder.join("audit.log").display()),
    ]
}

/// Every request of the binary is in the log as it is in the table, under its own `User-Agent`.
pub fn the_table_is_what_is_logged(cluster: &RealCluster, folder: &Path) {
    cluster.namespace("ns-1");
    cluster.service_account("ns-1", "k-sa-1");
    cluster.role("ns-1", "pod-lister", &["list"], "", &["pods"]);
    cluster.role_binding("ns-1", "pod-lister", "pod-lister", "ns-1", "k-sa-1");
    let pod = Pod::of(cluster, "ns-1", "k-sa-1");
    // The last line may be half written.
    let log = || fs::read_to_string(folder.join("audit.log")).unwrap();
    let events = || -> Vec<Event> {
        let events = log();
        let events = events.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.filter(|event| event["userAgent"] == AGENT).map(|event| Event::of(&event)).collect()
    };
    audit::holds(&pod, true, events);
    assert!(log().contains(AGENT));
}
