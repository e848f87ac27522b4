//! `grant` applied with kubectl: the same `check` is satisfied, and nothing more is granted.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use testbed::client::{Client, Credential};
use testbed::{RealCluster, Stderr, World, yaml};

use crate::Pod;

const APPS: &str = "apps";
const BATCH: &str = "batch";

/// A phrase, and what it names: the namespace (empty: none), the API group (`-`: a path), the resource or path, the
/// name, the verbs.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static [&'static str]);

#[rustfmt::skip]
const ASKED: &[Row] = &[
    // The account's own namespace.
    ("get,list,watch pods",                       "grant",   "",      "pods",                "",        &["get", "list", "watch"]),
    ("list,watch,get services",                   "grant",   "",      "services",            "",        &["get", "list", "watch"]),
    ("get pods/*/log",                            "grant",   "",      "pods/log",            "",        &["get"]),
    ("create pods/*/exec",                        "grant",   "",      "pods/exec",           "",        &["create"]),
    ("create pods/web/eviction",                  "grant",   "",      "pods/eviction",       "web",     &["create"]),
    ("get,update secrets/db",                     "grant",   "",      "secrets",             "db",      &["get", "update"]),
    ("get,update secrets/ca",                     "grant",   "",      "secrets",             "ca",      &["get", "update"]),
    ("get configmaps/yes",                        "grant",   "",      "configmaps",          "yes",     &["get"]),
    ("get configmaps/1.5",                        "grant",   "",      "configmaps",          "1.5",     &["get"]),
    ("get configmaps/a:b",                        "grant",   "",      "configmaps",          "a:b",     &["get"]),
    ("get configmaps/null",                       "grant",   "",      "configmaps",          "null",    &["get"]),
    ("create,patch deploy",                       "grant",   APPS,    "deployments",         "",        &["create", "patch"]),
    ("patch deployments.apps/web/scale",          "grant",   APPS,    "deployments/scale",   "web",     &["patch"]),
    ("* jobs.batch",                              "grant",   BATCH,   "jobs",                "",        &["*"]),
    ("create serviceaccounts/robot/token",        "grant",   "",      "serviceaccounts/token", "robot", &["create"]),
    ("impersonate serviceaccounts/robot",         "grant",   "",      "serviceaccounts",     "robot",   &["impersonate"]),
    ("bind roles.rbac.authorization.k8s.io/app",  "grant",   "rbac.authorization.k8s.io", "roles", "app", &["bind"]),
    // Another one.
    ("list pods in grant-a",                      "grant-a", "",      "pods",                "",        &["list"]),
    ("delete,deletecollection pods in grant-a",   "grant-a", "",      "pods",                "",        &["delete", "deletecollection"]),
    ("get,list endpoints in grant-a",             "grant-a", "",      "endpoints",           "",        &["get", "list"]),
    ("get,list,watch ingresses.networking.k8s.io in grant-a", "grant-a", "networking.k8s.io", "ingresses", "", &["get", "list", "watch"]),
    ("get leases.coordination.k8s.io/leader in grant-a", "grant-a", "coordination.k8s.io", "leases", "leader", &["get"]),
    ("update leases.coordination.k8s.io/leader in grant-a", "grant-a", "coordination.k8s.io", "leases", "leader", &["update"]),
    ("create leases.coordination.k8s.io in grant-a", "grant-a", "coordination.k8s.io", "leases", "",     &["create"]),
    ("* *.apps in grant-a",                       "grant-a", APPS,    "*",                   "",        &["*"]),
    ("get */*/scale in grant-a",                  "grant-a", "*",     "*/scale",             "",        &["get"]),
    // A third one.
    ("get secrets/tls in grant-b",                "grant-b", "",      "secrets",             "tls",     &["get"]),
    ("create,patch events in grant-b",            "grant-b", "",      "events",              "",        &["create", "patch"]),
    ("list cronjobs.batch in grant-b",            "grant-b", BATCH,   "cronjobs",            "",        &["list"]),
    ("delete configmaps/old in grant-b",          "grant-b", "",      "configmaps",          "old",     &["delete"]),
    // The cluster, and all namespaces.
    ("get,list,watch nodes",                      "",        "",      "nodes",               "",        &["get", "list", "watch"]),
    ("get nodes/*/proxy",                         "",        "",      "nodes/proxy",         "",        &["get"]),
    ("get nodes/n-1",                             "",        "",      "nodes",               "n-1",     &["get"]),
    ("list,watch namespaces",                     "",        "",      "namespaces",          "",        &["list", "watch"]),
    ("get namespaces/grant-b",                    "",        "",      "namespaces",          "grant-b", &["get"]),
    ("list pods in *",                            "",        "",      "pods",                "",        &["list"]),
    ("list configmaps in *",                      "",        "",      "configmaps",          "",        &["list"]),
    ("list storageclasses.storage.k8s.io",        "",        "storage.k8s.io", "storageclasses", "",    &["list"]),
    ("create tokenreviews.authentication.k8s.io", "",        "authentication.k8s.io", "tokenreviews", "", &["create"]),
    ("approve signers/example.com/x",             "",        "certificates.k8s.io", "signers", "example.com/x", &["approve"]),
    ("impersonate users/jane@example.com",        "",        "",      "users",               "jane@example.com", &["impersonate"]),
    // Paths.
    ("get,post /metrics",                         "",        "-",     "/metrics",            "",        &["get", "post"]),
    ("get /logs/*",                               "",        "-",     "/logs/*",             "",        &["get"]),
    ("head /debug/pprof/",                        "",        "-",     "/debug/pprof/",       "",        &["head"]),
];

/// One right: place, group, resource or path, name, verb.
type Right = [String; 5];

fn right(place: &str, group: &str, target: &str, name: &str, verb: &str) -> Right {
    [place, group, target, name, verb].map(str::to_owned)
}

fn texts<'v>(rule: &'v Value, field: &str) -> Vec<&'v str> {
    rule[field].as_array().into_iter().flatten().map(|text| text.as_str().expect("a text")).collect()
}

/// Every right of a rule.
fn rights(place: &str, rule: &Value) -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    for verb in texts(rule, "verbs") {
        for url in texts(rule, "nonResourceURLs") {
            rights.insert(right(place, "-", url, "", verb));
        }
        for group in texts(rule, "apiGroups") {
            for resource in texts(rule, "resources") {
                let names = match texts(rule, "resourceNames") {
                    names if names.is_empty() => vec![""],
                    names => names,
                };
                rights.extend(names.into_iter().map(|name| right(place, group, resource, name, verb)));
            }
        }
    }
    rights
}

/// What the API server itself lists for the pod in a namespace.
fn reviewed(cluster: &RealCluster, pod: &Pod, namespace: &str) -> BTreeSet<Right> {
    let client =
        Client::new(&cluster.server(), &cluster.ca_pem(), Credential::Bearer(pod.token().expect("a token")));
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": { "namespace": namespace },
    });
    let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let headers = [("Content-Type", "application/json")];
    let (status, _, body) =
        client.request("POST", path, &headers, review.to_string().as_bytes()).expect("an answer");
    let review: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!((status, &review["status"]["incomplete"]), (201, &json!(false)), "{review}");
    let lists = [&review["status"]["resourceRules"], &review["status"]["nonResourceRules"]];
    let rules = lists.into_iter().flat_map(|list| list.as_array().into_iter().flatten());
    rules.flat_map(|rule| rights("", rule)).collect()
}

pub fn sixty_permissions_at_once(cluster: &RealCluster) {
    let namespaces = ["grant", "grant-a", "grant-b"];
    for namespace in namespaces {
        cluster.namespace(namespace);
    }
    cluster.service_account("grant", "k-sa-1");
    let pod = Pod::of(cluster, "grant", "k-sa-1");
    let before = namespaces.map(|namespace| reviewed(cluster, &pod, namespace));

    let asked: BTreeSet<Right> = ASKED
        .iter()
        .flat_map(|(_, place, group, target, name, verbs)| {
            verbs.iter().map(|verb| right(place, group, target, name, verb))
        })
        .collect();
    assert_eq!(asked.len(), 60, "permissions");
    let phrases: Vec<&str> = ASKED.iter().map(|row| row.0).collect();
    let finished = pod.runs(&[&["grant"], &phrases[..]].concat());
    let finished =
        finished.gives(10, &["# asked as system:serviceaccount:grant:k-sa-1 at 20"], Stderr::Empty);

    // One role and one binding for each place; their rules are what was asked, no more and no less.
    let documents = yaml::documents(&finished.stdout);
    assert_eq!(documents.len(), 8, "{}", finished.transcript());
    let mut granted = BTreeSet::new();
    for role in documents.iter().filter(|document| document["roleRef"].is_null()) {
        let place = role["metadata"]["namespace"].as_str().unwrap_or_default();
        for rule in role["rules"].as_array().expect("rules") {
            granted.extend(rights(place, rule));
        }
    }
    assert_eq!(granted, asked, "{}", finished.transcript());

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("grant.yaml");
    std::fs::write(&file, &finished.stdout).expect("write the YAML");
    let apply = format!("kubectl apply -f {}", file.display());
    let said = cluster.types(&apply).unwrap_or_else(|why| panic!("{why}\n{}", finished.stdout));
    assert_eq!(said.matches(" created\n").count(), 8, "{said}");
    // The deletion of nothing waits for the authorizer, too.
    cluster.delete("/apis/rbac.authorization.k8s.io/v1/clusterroles/no-such-role");

    pod.runs(&[&["check", "--timeout", "30s"], &phrases[..]].concat()).gives(0, &["ok (0)"], Stderr::Any);
    for (namespace, before) in namespaces.into_iter().zip(before) {
        let after = reviewed(cluster, &pod, namespace);
        let here = asked.iter().filter(|right| right[0].is_empty() || right[0] == namespace);
        let here = here.map(|[_, rest @ ..]| rest.clone());
        let more: BTreeSet<[String; 4]> =
            after.difference(&before).map(|[_, rest @ ..]| rest.clone()).collect();
        assert_eq!(more, here.collect(), "{namespace}");
    }

    // Asked again there is nothing to apply, and kubectl says so.
    let again =
        pod.runs(&[&["grant"], &phrases[..]].concat()).gives(0, &["# nothing is missing\n"], Stderr::Empty);
    std::fs::write(&file, &again.stdout).expect("write the comment");
    let refused = cluster.types(&apply).expect_err("nothing to apply");
    assert!(refused.contains("no objects passed to apply"), "{refused}");
    // All of it is the same again, under the same names.
    let all = pod.runs(&[&["grant", "--all"], &phrases[..]].concat()).gives(0, &[], Stderr::Empty);
    let objects =
        |text: &str| text.lines().skip_while(|line| line.starts_with('#')).collect::<Vec<_>>().join("\n");
    assert_eq!(objects(&all.stdout), objects(&finished.stdout));
}
