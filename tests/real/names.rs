//! Resource names, resolved by kubeknock and by `kubectl get`, side by side: the path that each requests.

use std::fmt::Write as _;

use serde_json::{Value, json};
use testbed::{RealCluster, Stderr, World};

use crate::Pod;
use crate::outcomes::newcomer;

const NAMESPACE: &str = "names";

/// Names that both programs must resolve to the same path, or not at all.
#[rustfmt::skip]
const SPELLINGS: &[&str] = &[
    // The core group: plural, singular, kind, short.
    "pods", "pod", "po", "Pod", "PODS", "services", "svc", "Service", "configmaps", "cm", "ConfigMap",
    "secrets", "Secret", "serviceaccounts", "sa", "endpoints", "ep", "Endpoints", "events", "ev", "Event",
    "namespaces", "ns", "nodes", "no", "persistentvolumes", "pv", "pvc", "PersistentVolumeClaim",
    "replicationcontrollers", "rc", "resourcequotas", "quota", "limitranges", "limits", "podtemplates",
    "componentstatuses", "cs",
    // Other groups, named or not.
    "deployments", "deployment", "deploy", "Deployment", "deployments.apps", "deploy.apps", "Deployment.apps",
    "statefulsets", "sts", "daemonsets", "ds", "replicasets", "rs", "rs.apps", "controllerrevisions",
    "jobs", "job", "jobs.batch", "cronjobs", "cj", "cronjob.batch", "CronJob",
    "horizontalpodautoscalers", "hpa", "hpa.autoscaling", "netpol", "networkpolicies", "pdb", "psp",
    "podsecuritypolicies.policy", "sc", "storageclasses", "storageclasses.storage.k8s.io", "csinodes",
    "volumeattachments", "roles", "role", "Role", "clusterroles", "rolebindings", "roles.rbac.authorization.k8s.io",
    "csr", "CertificateSigningRequest", "leases", "pc", "runtimeclasses", "apiservices", "flowschemas",
    "endpointslices", "mutatingwebhookconfigurations", "crd", "crds", "customresourcedefinitions",
    // With a version.
    "deployments.v1.apps", "deployment.v1.apps", "deploy.v1.apps", "jobs.v1.batch", "cronjobs.v1beta1.batch",
    "hpa.v1.autoscaling", "horizontalpodautoscalers.v2beta2.autoscaling",
    "ingresses.v1.networking.k8s.io", "ingresses.v1beta1.networking.k8s.io", "ingresses.v1beta1.extensions",
    // In more than one group.
    "ingresses", "ing", "Ingress", "ingresses.extensions", "ingresses.networking.k8s.io", "ing.networking.k8s.io",
    "ing.extensions", "events.events.k8s.io", "ev.events.k8s.io",
    // By a prefix of a group.
    "deployments.app", "deploy.app", "ingresses.networking", "ing.networking", "storageclasses.storage",
    "roles.rbac", "crd.apiextensions", "events.events", "leases.coordination", "csr.certificates",
    // Custom resources: one whose kind is not its singular, and two of the same name in two groups.
    "widgets", "widget", "Widget", "wdg", "widgets.names.example.com", "wdg.names.example.com",
    "widgets.v1.names.example.com", "widgets.v1beta1.names.example.com", "widgets.names", "wdg.names",
    "cogs", "cog", "cog.names.example.com",
    "gizmos", "gizmo", "gz", "gizmos.b.example.com", "gizmos.b.example", "gz.b.example.com", "gz.b",
    "Gizmo.b.example.com",
    // A custom resource whose name is the short name of another resource.
    "deploys.b.example.com",
    // What is not served, or does not exist.
    "gadgets", "gadgets.names.example.com", "widgets.v9.names.example.com", "widgets.nowhere.example",
    "pods.apps", "po.apps", "deployments.core", "deployments.v1", "deployments.v9.apps",
    "deployments.v1beta1.apps", "deployments.v1.app", "jobs.v1beta1.batch", "deploymentz", "secretz",
    "cronjobs.v1.batch", "ingresses.v1.extensions", "pods.v1",
];

/// Where kubeknock resolves more, on purpose: kubectl ignores the version of a short name, and accepts a kind
/// only if it is also the singular.
const BEYOND: &[(&str, &str)] = &[
    ("hpa.v2beta2.autoscaling", "/apis/autoscaling/v2beta2/namespaces/names/horizontalpodautoscalers"),
    ("CogWheel", "/apis/names.example.com/v1/namespaces/names/cogs"),
    ("cogwheel.names.example.com", "/apis/names.example.com/v1/namespaces/names/cogs"),
];

/// Both request the same path, or neither knows the name.
pub fn resolved_as_kubectl_does(cluster: &RealCluster) {
    let pod = set_up(cluster);
    let home = tempfile::tempdir().expect("a home for kubectl");
    let mut disagreements = String::new();
    let mut known = 0;
    for name in SPELLINGS {
        let theirs = kubectl(cluster, home.path().to_str().expect("UTF-8"), name);
        let (ours, transcript) = kubeknock(&pod, name);
        known += usize::from(theirs.is_some());
        if ours != theirs {
            let _ = writeln!(disagreements, "{name}: kubectl {theirs:?}, kubeknock {ours:?}\n{transcript}");
        }
    }
    for (name, path) in BEYOND {
        let (ours, transcript) = kubeknock(&pod, name);
        if ours.as_deref() != Some(path) {
            let _ = writeln!(disagreements, "{name}: {ours:?}\n{transcript}");
        }
    }
    assert!(disagreements.is_empty(), "{disagreements}");
    assert!(known >= 100 && SPELLINGS.len() - known >= 10, "{known} of {} are known", SPELLINGS.len());
    half_down(cluster, &pod);
}

/// The server of one API is down: other names resolve, and a name that may be of that API is not reported as
/// unknown.
fn half_down(cluster: &RealCluster, pod: &Pod) {
    const APISERVICES: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
    cluster.create(
        APISERVICES,
        json!({
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": "v1alpha1.down.example.com"},
            "spec": {
                "group": "down.example.com", "version": "v1alpha1",
                "groupPriorityMinimum": 20000, "versionPriority": 10,
                "service": {"namespace": NAMESPACE, "name": "down"}, "insecureSkipTLSVerify": true,
            },
        }),
    );
    cluster.await_answer("/apis", |status, body| status == 200 && body.contains("down.example.com"));
    cluster.await_answer("/apis/down.example.com/v1alpha1", |status, _| status == 503);
    for (phrase, code, words) in [
        ("list deploy", 10, "deployments.apps"),
        ("list wdg", 10, "widgets.names.example.com"),
        ("list gadgets", 24, "down.example.com"),
        ("list gadgets.down.example.com", 24, "down.example.com"),
        ("list gadgets.names.example.com", 25, "has no resource of that name"),
    ] {
        pod.runs(&["check", phrase]).gives(code, &[words], Stderr::Empty);
    }
    cluster.delete(&format!("{APISERVICES}/v1alpha1.down.example.com"));
    cluster.await_answer("/apis", |status, body| status == 200 && !body.contains("down.example.com"));
}

/// The path of the list that `kubectl get NAME` requests. `None`: it does not know the resource.
fn kubectl(cluster: &RealCluster, home: &str, name: &str) -> Option<String> {
    let line = format!("HOME={home} kubectl get {name} --namespace={NAMESPACE} -v=6 2>&1 || true");
    let log = cluster.types(&line).expect("kubectl get");
    if log.contains("the server doesn't have a resource type") {
        return None;
    }
    let server = cluster.server();
    let list =
        log.lines().rfind(|line| line.contains("limit=500")).unwrap_or_else(|| panic!("{line}: {log}"));
    let (_, path) = list.split_once(&server).unwrap_or_else(|| panic!("{line}: {list}"));
    path.split('?').next().map(str::to_owned)
}

/// The same of kubeknock, with the whole run.
fn kubeknock(pod: &Pod, name: &str) -> (Option<String>, String) {
    let finished = pod.runs(&["check", "-v", &format!("list {name}")]);
    if finished.code == Some(25) {
        return (None, finished.transcript());
    }
    let line = finished.stderr.lines().rfind(|line| line.contains("limit=1"));
    let path = line.and_then(|line| line.split_once("GET ")?.1.split('?').next());
    (Some(path.unwrap_or("no list").to_owned()), finished.transcript())
}

fn set_up(cluster: &RealCluster) -> Pod {
    let pod = newcomer(cluster, NAMESPACE);
    let names = |plural: &str, singular: &str, kind: &str, short: &[&str]| json!({"plural": plural, "singular": singular, "kind": kind, "shortNames": short});
    for (group, versions, names) in [
        ("names.example.com", &["v1", "v1beta1"][..], names("widgets", "widget", "Widget", &["wdg"])),
        ("names.example.com", &["v1"], names("cogs", "cog", "CogWheel", &[])),
        ("a.example.com", &["v1"], names("gizmos", "gizmo", "Gizmo", &["gz"])),
        ("b.example.com", &["v1"], names("gizmos", "gizmo", "Gizmo", &["gz"])),
        ("b.example.com", &["v1"], names("deploys", "deploying", "Deploying", &[])),
    ] {
        let plural = names["plural"].as_str().expect("a plural").to_owned();
        let versions: Vec<Value> = versions
            .iter()
            .enumerate()
            .map(|(index, version)| {
                json!({
                    "name": version, "served": true, "storage": index == 0,
                    "schema": {"openAPIV3Schema": {"type": "object"}},
                })
            })
            .collect();
        cluster.create(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            json!({
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": format!("{plural}.{group}")},
                "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": versions},
            }),
        );
        cluster.await_answer(&format!("/apis/{group}/v1/{plural}"), |status, _| status == 200);
        cluster.await_answer(&format!("/apis/{group}/v1"), |status, body| {
            status == 200 && body.contains(&plural)
        });
        cluster.await_answer("/apis", |status, body| status == 200 && body.contains(&format!("\"{group}\"")));
    }
    pod
}
