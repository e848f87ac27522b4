//! `kubectl auth can-i` and `kubeknock check`, side by side, for one service account and one table of
//! permissions: granted, not granted, and nonexistent.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use testbed::{RealCluster, World};

use crate::Pod;

/// The expected result of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    /// kubectl: yes. kubeknock: exit 0.
    Yes,
    /// kubectl: no. kubeknock: exit 10.
    No,
    /// kubectl warns, or answers for a resource that the server does not serve. kubeknock: exit 25.
    Absent,
}
use Expected::{Absent, No, Yes};

/// kubeknock's phrase, the arguments of `kubectl auth can-i`, and the expected result. The namespace is `can-i`
/// if none is given.
#[rustfmt::skip]
const TABLE: &[(&str, &str, Expected)] = &[
    // The core group, in the service account's namespace.
    ("get pods",                         "get pods",                                      Yes),
    ("list pods",                        "list pods",                                     Yes),
    ("watch pods",                       "watch pods",                                    Yes),
    ("list pod",                         "list pod",                                      Yes),
    ("list po",                          "list po",                                       Yes),
    ("get pods/web-1",                   "get pods/web-1",                                Yes),
    ("create pods",                      "create pods",                                   No),
    ("delete pods",                      "delete pods",                                   No),
    ("delete pods/web-1",                "delete pods/web-1",                             No),
    ("deletecollection pods",            "deletecollection pods",                         No),
    ("create events",                    "create events",                                 Yes),
    ("list events",                      "list events",                                   No),
    ("list services",                    "list services",                                 Yes),
    ("patch svc/web",                    "patch svc/web",                                 Yes),
    ("deletecollection services",        "deletecollection services",                     Yes),
    ("list endpoints",                   "list endpoints",                                No),
    // Named objects only.
    ("get secrets/db",                   "get secrets/db",                                Yes),
    ("list secrets/db",                  "list secrets/db",                               Yes),
    ("watch secrets/db",                 "watch secrets/db",                              Yes),
    ("delete secrets/db",                "delete secrets/db",                             Yes),
    ("update secrets/db",                "update secrets/db",                             No),
    ("get secrets/other",                "get secrets/other",                             No),
    ("get secrets",                      "get secrets",                                   No),
    ("list secrets",                     "list secrets",                                  No),
    // Subresources.
    ("get pods/*/log",                   "get pods --subresource=log",                    Yes),
    ("get pods/web-1/log",               "get pods/web-1 --subresource=log",              Yes),
    ("create pods/*/exec",               "create pods --subresource=exec",                Yes),
    ("create pods/*/attach",             "create pods --subresource=attach",              No),
    ("create pods/web-1/eviction",       "create pods/web-1 --subresource=eviction",      No),
    ("create serviceaccounts/robot/token", "create serviceaccounts/robot --subresource=token", Yes),
    ("create serviceaccounts/k-sa-1/token", "create serviceaccounts/k-sa-1 --subresource=token", No),
    // Other groups.
    ("list deployments.apps",            "list deployments.apps",                         Yes),
    ("get deployments.v1.apps",          "get deployments.v1.apps",                       Yes),
    ("get deployments.apps/web",         "get deployments.apps/web",                      Yes),
    ("create deployments.apps",          "create deployments.apps",                       Yes),
    ("delete deployments.apps",          "delete deployments.apps",                       No),
    ("patch deployments.apps/web/scale", "patch deployments.apps/web --subresource=scale", Yes),
    ("patch deployments.apps/*/status",  "patch deployments.apps --subresource=status",   No),
    ("list statefulsets.apps",           "list statefulsets.apps",                        No),
    ("create jobs.batch",                "create jobs.batch",                             Yes),
    ("watch jobs.batch",                 "watch jobs.batch",                              Yes),
    ("list cronjobs.batch",              "list cronjobs.batch",                           No),
    ("list roles.rbac.authorization.k8s.io", "list roles.rbac.authorization.k8s.io",      No),
    // A custom resource.
    ("list widgets.example.com",         "list widgets.example.com",                      Yes),
    ("get widgets.v1.example.com",       "get widgets.v1.example.com",                    Yes),
    ("get widgets.example.com/blue",     "get widgets.example.com/blue",                  Yes),
    ("delete widgets.example.com/blue",  "delete widgets.example.com/blue",               No),
    ("update widgets.example.com/*/status", "update widgets.example.com --subresource=status", Yes),
    ("list widgets.example.com in *",    "list widgets.example.com -A",                   No),
    // Other namespaces, and all of them.
    ("list pods in can-i-guest",         "list pods -n can-i-guest",                      Yes),
    ("watch pods in can-i-guest",        "watch pods -n can-i-guest",                     No),
    ("list pods in default",             "list pods -n default",                          No),
    ("list pods in no-such-namespace",   "list pods -n no-such-namespace",                No),
    ("list pods in *",                   "list pods --all-namespaces",                    No),
    ("list configmaps in *",             "list configmaps --all-namespaces",              Yes),
    ("list cm in default",               "list cm -n default",                            Yes),
    ("list configmaps in no-such-namespace", "list configmaps -n no-such-namespace",      Yes),
    ("create configmaps in *",           "create configmaps -A",                          No),
    // Cluster-scoped.
    ("list nodes",                       "list nodes",                                    Yes),
    ("get nodes/node-1",                 "get nodes/node-1",                              No),
    ("get nodes/*/proxy",                "get nodes --subresource=proxy",                 Yes),
    ("list namespaces",                  "list namespaces",                               Yes),
    ("create namespaces",                "create namespaces",                             No),
    ("list persistentvolumes",           "list persistentvolumes",                        No),
    ("get pv/disk-1",                    "get pv/disk-1",                                 Yes),
    ("list storageclasses.storage.k8s.io", "list storageclasses.storage.k8s.io",          Yes),
    ("list customresourcedefinitions.apiextensions.k8s.io",
     "list customresourcedefinitions.apiextensions.k8s.io",                               No),
    ("create selfsubjectaccessreviews.authorization.k8s.io",
     "create selfsubjectaccessreviews.authorization.k8s.io",                              Yes),
    // A Namespace object is inside itself: a Role in that namespace applies to it.
    ("get namespaces/can-i",             "get namespaces/can-i",                          Yes),
    ("get namespaces/can-i-guest",       "get namespaces/can-i-guest -n can-i-guest",     No),
    // Verbs beyond reading and writing.
    ("impersonate serviceaccounts/robot", "impersonate serviceaccounts/robot",            Yes),
    ("impersonate serviceaccounts",      "impersonate serviceaccounts",                   No),
    ("bind roles.rbac.authorization.k8s.io/app", "bind roles.rbac.authorization.k8s.io/app", Yes),
    ("bind roles.rbac.authorization.k8s.io/other", "bind roles.rbac.authorization.k8s.io/other", No),
    ("escalate clusterroles.rbac.authorization.k8s.io", "escalate clusterroles.rbac.authorization.k8s.io", No),
    ("use podsecuritypolicies.policy/restricted", "use podsecuritypolicies.policy/restricted", Yes),
    ("use podsecuritypolicies.policy/privileged", "use podsecuritypolicies.policy/privileged", No),
    // Paths.
    ("get /version",                     "get /version",                                  Yes),
    ("get /healthz",                     "get /healthz",                                  Yes),
    ("get /apis/apps",                   "get /apis/apps",                                Yes),
    ("get /metrics",                     "get /metrics",                                  Yes),
    ("post /metrics",                    "post /metrics",                                 No),
    ("get /logs",                        "get /logs",                                     No),
    ("get /livez/ping",                  "get /livez/ping",                               No),
    // What does not exist, with a grant and without.
    ("list gadgets",                     "list gadgets",                                  Absent),
    ("delete gizmos",                    "delete gizmos",                                 Absent),
    ("list gadgets.example.com",         "list gadgets.example.com",                      Absent),
    ("list widgets.v9.example.com",      "list widgets.v9.example.com",                   Absent),
    ("list widgets.nowhere.example",     "list widgets.nowhere.example",                  Absent),
    ("get /no-such-path",                "get /no-such-path",                             Absent),
    ("get /no-such/path",                "get /no-such/path",                             Absent),
    ("get /no-such-path-either",         "get /no-such-path-either",                      No),
];

/// Grants what the table expects, asks both programs for every row, and reports all differences.
pub fn agrees_with_kubectl(cluster: &RealCluster) {
    grant(cluster);
    let pod = Pod::of(cluster, "can-i", "k-sa-1");
    let home = tempfile::tempdir().expect("a home for kubectl");
    let mut disagreements = String::new();
    for &(phrase, arguments, expected) in TABLE {
        let (answer, serves) = kubectl(cluster, &pod, home.path(), arguments);
        let kubectl_agrees = match expected {
            Yes => answer == "yes" && serves,
            No => answer == "no" && serves,
            Absent => answer == "yes" || !serves,
        };
        if !kubectl_agrees {
            let _ = writeln!(
                disagreements,
                "kubectl auth can-i {arguments}: {answer}, serves: {serves}, not {expected:?}"
            );
        }
        let code = match expected {
            Yes => 0,
            No => 10,
            Absent => 25,
        };
        let mut knocks = vec![pod.runs(&["check", phrase])];
        // Only a request shows that a path does not exist.
        if !(expected == Absent && phrase.contains(" /")) {
            knocks.push(pod.runs(&["check", "--review", phrase]));
        }
        for finished in knocks.iter().filter(|finished| finished.code != Some(code)) {
            let _ = writeln!(disagreements, "kubectl: {answer}; wanted {code}\n{}", finished.transcript());
        }
    }
    let granted = TABLE.iter().filter(|(_, _, expected)| *expected == Yes).map(|(phrase, _, _)| *phrase);
    let all_at_once = pod.runs(&[&["check"], &granted.collect::<Vec<_>>()[..]].concat());
    if all_at_once.code != Some(0) {
        let _ = writeln!(disagreements, "not all of what is granted:\n{}", all_at_once.transcript());
    }
    assert!(disagreements.is_empty(), "{disagreements}");
}

/// kubectl's answer, and whether it found the resource on the server.
fn kubectl(cluster: &RealCluster, pod: &Pod, home: &Path, arguments: &str) -> (String, bool) {
    let output = Command::new(cluster.kubectl())
        .args(["--server", &cluster.server(), "--token", &pod.token().expect("a token")])
        .arg("--certificate-authority")
        .arg(pod.mount().join("ca.crt"))
        .args(["--namespace=can-i", "auth", "can-i"])
        .args(arguments.split(' '))
        .env_clear()
        .env("HOME", home)
        .output()
        .expect("run kubectl");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    // kubectl prints `no - REASON` if the authorizer gives one.
    let answer = stdout.split_whitespace().next().unwrap_or_default();
    assert!(matches!(answer, "yes" | "no"), "kubectl auth can-i {arguments}: {stdout}{stderr}");
    (answer.to_owned(), !stderr.contains("doesn't have a resource type"))
}

fn grant(cluster: &RealCluster) {
    for namespace in ["can-i", "can-i-guest", "default"] {
        cluster.namespace(namespace);
    }
    cluster.service_account("can-i", "k-sa-1");
    cluster.custom_resource(
        "example.com",
        &json!({"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wg"]}),
    );
    cluster.role_with_rules(
        "can-i",
        "app",
        json!([
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
            {"apiGroups": [""], "resources": ["pods/exec", "events"], "verbs": ["create"]},
            {"apiGroups": [""], "resources": ["services"], "verbs": ["*"]},
            {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["db"],
             "verbs": ["get", "list", "watch", "delete"]},
            {"apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": ["robot"],
             "verbs": ["create"]},
            {"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": ["robot"],
             "verbs": ["impersonate"]},
            {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]},
            {"apiGroups": [""], "resources": ["gadgets"], "verbs": ["list"]},
            {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list", "create", "patch"]},
            {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get", "patch"]},
            {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["*"]},
            {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "resourceNames": ["app"],
             "verbs": ["bind"]},
            {"apiGroups": ["example.com"], "resources": ["widgets", "gadgets"], "verbs": ["get", "list"]},
            {"apiGroups": ["example.com"], "resources": ["widgets/status"], "verbs": ["update"]},
        ]),
    );
    cluster.role_binding("can-i", "app", "app", "can-i", "k-sa-1");
    cluster.role("can-i-guest", "guest", &["list"], "", &["pods"]);
    cluster.role_binding("can-i-guest", "guest", "guest", "can-i", "k-sa-1");
    cluster.cluster_role(
        "can-i",
        json!([
            {"apiGroups": [""], "resources": ["nodes", "namespaces", "configmaps"], "verbs": ["list"]},
            {"apiGroups": [""], "resources": ["nodes/proxy", "persistentvolumes"], "verbs": ["get"]},
            {"apiGroups": ["storage.k8s.io"], "resources": ["storageclasses"], "verbs": ["list"]},
            {"apiGroups": ["policy"], "resources": ["podsecuritypolicies"], "resourceNames": ["restricted"],
             "verbs": ["use"]},
            {"nonResourceURLs": ["/metrics", "/no-such-path", "/no-such/*"], "verbs": ["get"]},
        ]),
    );
    cluster.cluster_role_binding("can-i", "can-i", "can-i", "k-sa-1");
}
