//! `grant`: what it prints grants exactly what is missing.

use serde_json::{Value, json};
use testbed::{Cluster, Fault, Finished, Stderr, Times, World, yaml};

use crate::Scene;

/// The output without its first line, which has the time.
fn body(finished: &Finished) -> &str {
    let (first, rest) = finished.stdout.split_once('\n').unwrap_or_default();
    let said = first.strip_prefix("# asked as system:serviceaccount:ns-1:k-sa-1 at ");
    let (at, server) =
        said.and_then(|said| said.split_once(" of ")).unwrap_or_else(|| panic!("{}", finished.transcript()));
    assert_eq!((at.len(), &at[10..11], &at[19..]), (20, "T", "Z"), "{first}");
    assert_eq!(finished.plain(server), "https://SERVER", "{first}");
    rest
}

/// The rules of the roles in the output, by kind and namespace.
fn rules(finished: &Finished) -> Vec<(String, Value)> {
    let documents = yaml::documents(&finished.stdout).into_iter();
    let of_role = |role: Value| {
        let place = role["metadata"]["namespace"].as_str();
        let kind = role["kind"].as_str().expect("a kind");
        (place.map_or(kind.to_owned(), |place| format!("{kind} {place}")), role["rules"].clone())
    };
    documents.filter(|document| document["roleRef"].is_null()).map(of_role).collect()
}

fn apply(cluster: &Cluster, finished: &Finished) {
    for document in yaml::documents(&finished.stdout) {
        cluster.apply(document);
    }
}

#[test]
fn a_role_and_its_binding() {
    let scene = Scene::new();
    let finished = scene.runs(&["grant", "list", "pods"]).gives(10, &[], Stderr::Empty);
    assert_eq!(
        body(&finished),
        "\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: \"k-sa-1-28c28f20\"
  namespace: \"ns-1\"
rules:
- apiGroups: [\"\"]
  resources: [\"pods\"]
  verbs: [\"list\"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: \"k-sa-1-28c28f20\"
  namespace: \"ns-1\"
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: \"k-sa-1-28c28f20\"
subjects:
- kind: ServiceAccount
  name: \"k-sa-1\"
  namespace: \"ns-1\"
"
    );
    apply(&scene.cluster, &finished);
    scene.runs(&["check", "-q", "list", "pods"]).gives(0, &[], Stderr::Empty);
    let finished = scene.runs(&["grant", "list", "pods"]).gives(0, &[], Stderr::Empty);
    assert_eq!(body(&finished), "# nothing is missing\n");
}

/// One role for each namespace and one for the rest. Rules are combined only if that grants nothing more.
#[test]
fn rules_are_put_together() {
    let scene = Scene::new();
    scene.cluster.namespace("prod");
    let asked = [
        "get,list pods",
        "list,get services",
        "watch pods in prod",
        "get pods/*/log",
        "get secrets/db",
        "get secrets/ca",
        "get configmaps/db",
        "list pods in *",
        "get nodes/n1",
        "get /metrics",
        "get /logs/*",
        "list deployments.apps",
        "delete namespaces/old",
        "* *.batch",
        "list pods",
    ];
    let finished = scene.runs(&[&["grant"], &asked[..]].concat()).gives(10, &[], Stderr::Any);
    let expected = [
        (
            "Role ns-1",
            json!([
                { "apiGroups": [""], "resources": ["pods", "services"], "verbs": ["get", "list"] },
                { "apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"] },
                { "apiGroups": [""], "resourceNames": ["ca", "db"], "resources": ["secrets"], "verbs": ["get"] },
                { "apiGroups": [""], "resourceNames": ["db"], "resources": ["configmaps"], "verbs": ["get"] },
                { "apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["list"] },
                { "apiGroups": ["batch"], "resources": ["*"], "verbs": ["*"] },
            ]),
        ),
        ("Role prod", json!([{ "apiGroups": [""], "resources": ["pods"], "verbs": ["watch"] }])),
        (
            "ClusterRole",
            json!([
                { "apiGroups": [""], "resources": ["pods"], "verbs": ["list"] },
                { "apiGroups": [""], "resourceNames": ["n1"], "resources": ["nodes"], "verbs": ["get"] },
                { "nonResourceURLs": ["/logs/*", "/metrics"], "verbs": ["get"] },
                { "apiGroups": [""], "resourceNames": ["old"], "resources": ["namespaces"], "verbs": ["delete"] },
            ]),
        ),
    ];
    let mut found = rules(&finished);
    // The output has the places in the order in which they are first asked about, and watches are asked about last.
    // This test expects ns-1 first.
    found.sort_by_key(|(place, _)| !place.ends_with("ns-1"));
    assert_eq!(found, expected.map(|(place, rules)| (place.to_owned(), rules)), "{}", finished.transcript());

    // The same permissions in another order give the same roles.
    let names = |finished: &Finished| {
        let mut names: Vec<_> = yaml::documents(&finished.stdout);
        names.sort_by_key(|document| document["kind"].to_string() + &document["metadata"].to_string());
        names.iter().map(|document| document["metadata"].clone()).collect::<Vec<_>>()
    };
    let turned: Vec<&str> = asked.iter().rev().copied().collect();
    assert_eq!(names(&finished), names(&scene.runs(&[&["grant"], &turned[..]].concat())));

    apply(&scene.cluster, &finished);
    scene.runs(&[&["check", "-q", "--review"], &asked[..]].concat()).gives(0, &[], Stderr::Empty);
    scene
        .runs(&[
            "check",
            "-q",
            "cannot list secrets",
            "cannot get configmaps/ca",
            "cannot get services in prod",
            "cannot delete pods",
            "cannot get /healthz/etcd",
        ])
        .gives(0, &[], Stderr::Empty);
}

/// A second grant contains only what is missing now, and applying it does not remove the first one.
#[test]
fn one_grant_after_another() {
    let scene = Scene::new();
    apply(&scene.cluster, &scene.runs(&["grant", "list pods"]));
    let finished = scene.runs(&["grant", "list pods", "list secrets"]).gives(10, &[], Stderr::Empty);
    assert_eq!(
        rules(&finished),
        [(
            "Role ns-1".to_owned(),
            json!([{ "apiGroups": [""], "resources": ["secrets"], "verbs": ["list"] }])
        )]
    );
    apply(&scene.cluster, &finished);
    scene.runs(&["check", "-q", "list pods", "list secrets"]).gives(0, &[], Stderr::Empty);
    // `--all` prints every grant, for a role that is kept in a repository.
    let finished = scene.runs(&["grant", "--all", "list pods", "list secrets"]).gives(0, &[], Stderr::Empty);
    assert_eq!(
        rules(&finished),
        [(
            "Role ns-1".to_owned(),
            json!([{ "apiGroups": [""], "resources": ["pods", "secrets"], "verbs": ["list"] }])
        )]
    );
}

/// Names that YAML reads as another type unless they are quoted.
#[test]
fn what_needs_quotes_has_them() {
    let scene = Scene::new();
    let names =
        ["yes", "No", "null", "1.5", "0x1F", "1e3", "~", "a:b", "2026-11-26", "{a}", "-", "\"x\"", "'"];
    for name in names {
        let phrase = format!("get configmaps/{name}");
        let finished = scene.runs(&["grant", &phrase]).gives(10, &[], Stderr::Empty);
        assert_eq!(rules(&finished)[0].1[0]["resourceNames"], json!([name]), "{}", finished.transcript());
        // The name is quoted even if only YAML 1.1 reads it as another type.
        let quoted = finished.stdout.contains(&format!("resourceNames: [{}]", json!(name)));
        assert!(quoted, "{}", finished.transcript());
    }
}

/// The subject is the user that the API server names.
#[test]
fn to_another_user_than_a_service_account() {
    let scene = Scene::on(Cluster::builder().plain_http("jane o'hara: #1").start());
    let finished = scene.runs(&["grant", "list pods", "get /metrics"]).gives(10, &[], Stderr::Any);
    let bindings: Vec<Value> = yaml::documents(&finished.stdout);
    assert_eq!(bindings.len(), 4, "{}", finished.transcript());
    for binding in bindings.iter().filter(|document| !document["roleRef"].is_null()) {
        let subject =
            json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane o'hara: #1" });
        assert_eq!(binding["subjects"], json!([subject]));
        assert!(binding["metadata"]["name"].as_str().expect("a name").starts_with("grant-"), "{binding}");
    }
    apply(&scene.cluster, &finished);
    scene.runs(&["check", "-q", "list pods", "get /metrics"]).gives(0, &[], Stderr::Empty);
}

#[test]
fn what_must_be_refused_is_not_granted() {
    let scene = Scene::with_reader();
    let finished = scene.runs(&["grant", "list secrets", "cannot list pods", "cannot list services"]).gives(
        10,
        &[],
        Stderr::Has(
            "kubeknock: cannot list pods in ns-1: excess\nkubeknock:     the permission is granted to ",
        ),
    );
    let secrets = json!([{ "apiGroups": [""], "resources": ["secrets"], "verbs": ["list"] }]);
    assert_eq!(rules(&finished), [("Role ns-1".to_owned(), secrets)]);
    scene.runs(&["grant", "cannot list pods", "list secrets"]).gives(
        13,
        &["secrets"],
        Stderr::Has("excess (13)"),
    );
    scene
        .runs(&["grant", "--all", "cannot list pods"])
        .gives(13, &[], Stderr::Has("excess (13)"))
        .has_no_stdout();
}

/// Undecided permissions are named on stderr; missing grants are still printed.
#[test]
fn half_an_answer() {
    let scene = Scene::new();
    scene.cluster.fail_if(Times::All, Fault::Unavailable, |seen| seen.path_and_query.contains("/secrets"));
    for (arguments, code) in [
        (["grant", "list secrets", "list pods"], 24),
        (["grant", "list pods", "list secrets"], 10),
        (["grant", "list gizmos", "list pods"], 25),
    ] {
        let finished = scene.runs(&arguments).gives(code, &["resources: [\"pods\"]\n"], Stderr::Any);
        assert_eq!(rules(&finished).len(), 1, "{}", finished.transcript());
        assert!(finished.stderr.contains(": unavailable\n") || finished.stderr.contains(": unserved\n"));
    }
    scene.runs(&["grant", "lst pods"]).gives(10, &[], Stderr::Has("close to it: list")).has_no_stdout();
    // A refusal that no RBAC object lifts.
    let denied = json!({
        "kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
        "status": { "allowed": false, "denied": true, "reason": "no pods on Fridays" },
    });
    scene.cluster.fail(Times::All, Fault::raw(201, "application/json", &denied.to_string()));
    let finished = scene.runs(&["grant", "create pods"]).gives(
        10,
        &[],
        Stderr::Has("an authorizer denies it that RBAC cannot override"),
    );
    finished.has_no_stdout();
    scene.cluster.heal();
    scene.cluster.delete("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/system:basic-user");
    let finished = scene.runs(&["grant", "create pods"]);
    finished.gives(10, &[], Stderr::Has("--clusterrole=system:basic-user")).has_no_stdout();
}

#[test]
fn no_answer_is_no_grant() {
    let mut scene = Scene::new();
    scene.cluster.stop();
    scene
        .runs(&["grant", "list pods", "list secrets"])
        .gives(21, &[], Stderr::Has("list secrets: not asked"))
        .has_no_stdout();
    scene.cluster.rotate_ca();
    scene.runs(&["grant", "list pods"]).gives(22, &[], Stderr::Has("untrusted (22)")).has_no_stdout();
    let scene = Scene::new();
    let other = scene.with_file("token", "not-a-token-of-any-kind");
    other.runs(&["grant", "list pods"]).gives(11, &[], Stderr::Has("unauthenticated (11)")).has_no_stdout();
    let Scene { cluster, pod } = other;
    let pod = pod.without_file("token");
    pod.runs(&["grant", "get /version"]).gives(12, &[], Stderr::Has("no token to send")).has_no_stdout();
    drop(cluster);
    pod.runs(&["grant"]).gives(30, &[], Stderr::Has("a permission phrase is missing")).has_no_stdout();
    pod.runs(&["grant", "-o", "json", "list pods"]).gives(30, &[], Stderr::Has("grant has no option -o"));
}

/// Only an account that may read a namespace can see that it does not exist.
#[test]
fn a_namespace_that_is_not_there() {
    let scene = Scene::new();
    let asked = ["grant", "list pods in default", "list pods in gone", "list pods"];
    let finished = scene.runs(&asked).gives(10, &[], Stderr::Empty);
    let unknown = "# this user cannot see whether the namespace default exists\n\
                   # this user cannot see whether the namespace gone exists\n";
    assert!(body(&finished).starts_with(&format!("{unknown}apiVersion")), "{}", finished.transcript());
    scene.grant_everywhere(
        "namespace-reader",
        json!([{ "apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"] }]),
    );
    let advice = "the namespace gone does not exist: create it first: kubectl create namespace gone";
    let finished = scene.runs(&asked).gives(10, &[], Stderr::Any);
    assert_eq!(finished.stderr, format!("kubeknock: warning: {advice}\n"));
    assert!(body(&finished).starts_with(&format!("# {advice}\napiVersion")), "{}", finished.transcript());
    assert_eq!(rules(&finished).len(), 3, "{}", finished.transcript());
}

/// The requests are those of a check with the token alone, and one more for each other namespace in which something is
/// missing.
#[test]
fn what_it_asks() {
    let scene = Scene::with_lister();
    scene.asked();
    scene.runs(&["grant", "list pods", "get /version"]).gives(0, &[], Stderr::Empty);
    assert_eq!(scene.asked(), ["token GET /api/v1/namespaces/ns-1/pods?limit=1", "token GET /version"]);
    scene.runs(&["grant", "list pods in default", "list secrets"]).gives(10, &[], Stderr::Empty);
    assert_eq!(
        scene.asked(),
        [
            "token GET /api/v1/namespaces/default/pods?limit=1",
            "token GET /api/v1/namespaces/ns-1/secrets?limit=1",
            "token GET /api/v1/namespaces/default",
        ]
    );
}

/// `check` shows a single command that prints all grants, if there is more than one.
#[test]
fn check_shows_the_line() {
    let scene = Scene::with_lister();
    let finished =
        scene.runs(&["check", "list pods", "list secrets", "get /metrics", "cannot list services"]);
    let line = finished.stdout.lines().rev().nth(1).expect("a line").to_owned();
    assert_eq!(line, "all 2 grants at once, as YAML: kubeknock grant 'list secrets in ns-1' 'get /metrics'");
    let words: Vec<&str> = line.split('\'').skip(1).step_by(2).collect();
    apply(&scene.cluster, &scene.runs(&[&["grant"], &words[..]].concat()).gives(10, &[], Stderr::Empty));
    scene.runs(&["check", "list pods", "list secrets", "get /metrics"]).gives(0, &[], Stderr::Empty);
    let finished = scene.runs(&["check", "create pods", "lst pods"]).gives(10, &[], Stderr::Empty);
    assert!(!finished.stdout.contains("kubeknock grant"), "{}", finished.transcript());
}
