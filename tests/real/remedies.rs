//! Every remedy, typed as it is printed: the check says no, kubectl runs its lines, the same check says
//! yes.

use std::fmt::Write as _;

use serde_json::{Value, json};
use testbed::{RealCluster, World};

use crate::Pod;

/// What is asked, each by a service account of its own.
const PHRASES: &[&str] = &[
    "list pods",
    "watch pods",
    "get pods",
    "get pods/web-0",
    "create pods",
    "delete pods/web-0",
    "deletecollection pods",
    "* pods",
    // Subresources.
    "get pods/*/log",
    "get pods/web-0/log",
    "create pods/*/exec",
    "create pods/web-0/eviction",
    "get pods/*/*",
    "create serviceaccounts/robot/token",
    // Named objects.
    "get secrets/db",
    "list secrets/db",
    "watch secrets/db",
    "update configmaps/app.settings",
    // Other groups.
    "list deploy",
    "patch deployments.apps/web/scale",
    "update deployments.apps/*/status",
    "create jobs.batch",
    "list cronjobs",
    "list events.events.k8s.io",
    "list ing",
    "* *.apps",
    // Cluster-scoped.
    "list nodes",
    "get nodes/node-1",
    "get nodes/*/proxy",
    "list namespaces",
    "get namespaces/remedies",
    "get namespaces/no-such-namespace",
    "delete namespaces/no-such-namespace",
    "list pv",
    "list storageclasses.storage.k8s.io",
    "create tokenreviews.authentication.k8s.io",
    // A custom resource.
    "list gears.remedies.example.com",
    "get gear/blue",
    "update gears/blue/status",
    // All namespaces, and another one.
    "list pods in *",
    "create configmaps in *",
    "list pods in default",
    "get secrets/db in remedies-guest",
    // Paths.
    "get /metrics",
    "post /metrics",
    "get /logs/*",
    "get /a'quote",
    // Everything.
    "get *",
    "get *.",
    "list pods.*",
    "get */*/scale",
    "* *",
    "* * in *",
    // Verbs that stand in rules only.
    "impersonate users",
    "impersonate users/jane@example.com",
    "impersonate groups/system:nodes",
    "impersonate serviceaccounts/robot",
    "impersonate uids/1234",
    "impersonate userextras/*/scopes",
    "bind roles.rbac.authorization.k8s.io/app",
    "bind clusterroles.rbac.authorization.k8s.io/admin",
    "escalate roles.rbac.authorization.k8s.io",
    "use podsecuritypolicies.policy/restricted",
    "approve signers",
    "sign signers/example.com",
    "bind pods",
    // Names with slashes, of signers of any group.
    "approve signers/kubernetes.io/kube-apiserver-client",
    "sign signers/example.com/*",
    "attest signers/*",
    "approve signers.cert-manager.io/issuers.cert-manager.io/ns-1.ca",
    "approve signers.cert-manager.io/clusterissuers.cert-manager.io/*",
    "sign signers.v1.certificates.k8s.io/a/b",
    "* signers.cert-manager.io/a/b",
    // What no server lists.
    "get nodes/*/metrics",
    "update deployments.apps/*/finalizers",
    "get gears.remedies.example.com/*/api",
    "get gears/*/vnc/screenshot",
    "impersonate:user-info users/jane",
    "impersonate:serviceaccount serviceaccounts/robot",
    "impersonate-on:user-info:list pods",
    "get pods.custom.metrics.k8s.io/*/http_requests",
    "get nodes.custom.metrics.k8s.io/*/cpu",
    "list queue_messages.external.metrics.k8s.io",
];

/// Says every remedy that does not hold at once.
pub fn remedies_hold(cluster: &RealCluster) {
    for namespace in ["remedies", "remedies-guest", "default"] {
        cluster.namespace(namespace);
    }
    cluster.custom_resource(
        "remedies.example.com",
        &json!({"plural": "gears", "singular": "gear", "kind": "Gear"}),
    );
    let mut failures = String::new();
    for (number, phrase) in PHRASES.iter().enumerate() {
        try_remedy(cluster, "remedies", &format!("sa-{number}"), phrase, &mut failures);
    }
    // Accounts of the same name (`default` is in every namespace) do not get into each other's way.
    for namespace in ["remedies", "remedies-guest"] {
        for phrase in [
            "list nodes",
            "list pods in default",
            "list ingresses.extensions",
            "list ingresses.networking.k8s.io",
        ] {
            try_remedy(cluster, namespace, "twin", phrase, &mut failures);
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

fn try_remedy(cluster: &RealCluster, namespace: &str, account: &str, phrase: &str, failures: &mut String) {
    cluster.service_account(namespace, account);
    let pod = Pod::of(cluster, namespace, account);
    let finished = pod.runs(&["check", "-ojson", phrase]);
    let report: Value = serde_json::from_str(&finished.stdout).unwrap_or_default();
    let lines: Vec<&str> = report["permissions"][0]["remedy"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if finished.code != Some(10) || lines.len() != 2 {
        let _ = writeln!(failures, "{phrase}: not refused with a remedy of two lines\n{}", finished.story());
        return;
    }
    for line in &lines {
        if let Err(why) = cluster.types(line) {
            let _ = writeln!(failures, "{phrase}\n  $ {line}\n  {why}");
        }
    }
    // The deletion of nothing waits for the authorizer, too.
    cluster.delete("/apis/rbac.authorization.k8s.io/v1/clusterroles/no-such-role");
    let finished = pod.runs(&["check", "--review", phrase]);
    if finished.code != Some(0) {
        let _ = writeln!(
            failures,
            "{phrase}: still not granted by\n  {}\n{}",
            lines.join("\n  "),
            finished.story()
        );
    }
    // Asked by its own request: what is granted may still not be there.
    let finished = pod.runs(&["check", phrase]);
    if !matches!(finished.code, Some(0 | 25)) {
        let _ = writeln!(
            failures,
            "{phrase}: still refused after\n  {}\n{}",
            lines.join("\n  "),
            finished.story()
        );
    }
}
