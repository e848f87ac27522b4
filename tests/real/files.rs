//! `-f` with roles as kubectl prints them: an account that is bound to a role has all of its permissions, and one that
//! is not does not.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Instant;

use serde_json::{Value, json};
use testbed::real;
use testbed::{Finished, RealCluster, Stderr, World};

use crate::Pod;

/// Each default ClusterRole of the server: 0 for an account that is bound to it, in all namespaces.
pub fn default_roles_hold(cluster: &RealCluster) {
    let roles = cluster.types("kubectl get clusterroles -o json").expect("the roles");
    let roles: Value = serde_json::from_str(&roles).expect("JSON");
    let roles = roles["items"].as_array().expect("a list");
    cluster.namespace("files");
    cluster.service_account("files", "stranger");
    let stranger = Pod::of(cluster, "files", "stranger");
    let defaults =
        |role: &&Value| role["metadata"]["labels"]["kubernetes.io/bootstrapping"] == "rbac-defaults";
    let (mut held, mut refused, mut asked) = (0, 0, 0);
    let mut faults = Vec::new();
    for (at, role) in roles.iter().filter(defaults).enumerate() {
        let name = role["metadata"]["name"].as_str().expect("a name");
        let account = format!("account-{at}");
        cluster.service_account("files", &account);
        cluster.cluster_role_binding(&account, name, "files", &account);
        let bound = check(&Pod::of(cluster, "files", &account), &["-A"], &role.to_string());
        // The controller that fills aggregated roles does not run here.
        let is_empty = role["rules"].as_array().is_none_or(Vec::is_empty);
        let code = if is_empty { 30 } else { 0 };
        if bound.code != Some(code) {
            faults.push(format!("{name}, {code} expected\n{}", bound.story()));
        }
        let without = check(&stranger, &["-A"], &role.to_string());
        // Some roles are bound to every account.
        let granted = [
            "system:basic-user",
            "system:discovery",
            "system:public-info-viewer",
            "system:service-account-issuer-discovery",
        ];
        let code = if is_empty {
            30
        } else if granted.contains(&name) {
            0
        } else {
            10
        };
        if without.code != Some(code) {
            faults.push(format!("{name}, {code} expected of a stranger\n{}", without.story()));
        }
        held += usize::from(!is_empty);
        refused += usize::from(code == 10);
        asked += bound.stdout.lines().filter(|line| line.contains("  anonymous -  token ")).count();
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    real::say(&format!("{held} roles with {asked} permissions hold, {refused} are refused to a stranger"));
    assert!(held > 50 && refused > 50 && asked > 1000, "{held} held, {refused} refused, {asked} asked");
}

/// All but one rule is not all, `*` is more than everything that is served, and a role is about its namespace.
pub fn roles_are_asked_to_the_letter(cluster: &RealCluster) {
    cluster.namespace("letter");
    let rule = |groups: &[&str], resources: &[&str], verbs: &[&str]| json!({ "apiGroups": groups, "resources": resources, "verbs": verbs });
    let core = rule(&[""], &["pods", "pods/log", "configmaps"], &["get", "list", "watch"]);
    let apps = rule(&["apps", "extensions"], &["deployments", "deployments/scale"], &["get", "patch"]);
    let named = json!({ "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["db", "a:b"], "verbs": ["get", "list", "watch", "update", "create"] });
    let all = rule(&["*"], &["*"], &["*"]);
    let whole = json!([core, apps, named]);
    for (at, (granted, asked, code, shown)) in [
        (whole.clone(), whole.clone(), 0, "watch secrets/db in letter "),
        (json!([core, named]), whole.clone(), 10, "get deployments.extensions in letter "),
        (json!([core, apps]), whole.clone(), 10, "create secrets/a:b in letter "),
        (json!([all]), whole, 0, "patch deployments.extensions/*/scale in letter "),
        (json!([all]), json!([all]), 0, "* * in letter "),
        (json!([rule(&["", "apps"], &["*"], &["*"])]), json!([all]), 10, "* * in letter "),
        (json!([rule(&[""], &["*"], &["*"])]), json!([rule(&[""], &["*"], &["*"])]), 0, "* *. in letter "),
        (
            json!([rule(&["apps"], &["*"], &["*"])]),
            json!([rule(&[""], &["*"], &["*"])]),
            10,
            "* *. in letter ",
        ),
        (
            json!([rule(&["*"], &["pods"], &["get"])]),
            json!([rule(&["*"], &["pods"], &["get"])]),
            0,
            "get pods.* in ",
        ),
        (
            json!([rule(&[""], &["pods"], &["get"])]),
            json!([rule(&["*"], &["pods"], &["get"])]),
            10,
            "get pods.* in ",
        ),
        (
            json!([rule(&["*"], &["*/scale"], &["get"])]),
            json!([rule(&["*"], &["*/scale"], &["get"])]),
            0,
            "*/*/scale",
        ),
        (
            json!([rule(&["*"], &["*/scale"], &["get"])]),
            json!([rule(&["apps"], &["*"], &["get"])]),
            10,
            "*.apps in",
        ),
        (
            json!([rule(&[""], &["pods"], &["list"])]),
            json!([rule(&[""], &["pod"], &["list"])]),
            10,
            "list pod in ",
        ),
        (
            json!([rule(&[""], &["pod"], &["list"])]),
            json!([rule(&[""], &["pod"], &["list"])]),
            0,
            "serves no pod:",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let account = format!("account-{at}");
        cluster.service_account("letter", &account);
        cluster.role_with_rules("letter", &account, granted);
        cluster.role_binding("letter", &account, &account, "letter", &account);
        let pod = Pod::of(cluster, "letter", &account);
        cluster.role_with_rules("letter", &format!("asked-{at}"), asked);
        // As kubectl prints it.
        let printed =
            cluster.types(&format!("kubectl get role asked-{at} -n letter -o json")).expect("the role");
        check(&pod, &["-n", "default"], &printed).gives(code, &[shown], Stderr::Empty);
    }
}

/// What is said to type for a role in YAML is what makes the JSON that is read, of several roles, too.
pub fn yaml_becomes_json(cluster: &RealCluster) {
    const YAML: &str = "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: a, namespace: yaml}\n\
                        rules: [{apiGroups: [''], resources: [pods], verbs: [list]}]\n---\n\
                        apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: b}\n\
                        rules: [{nonResourceURLs: [/metrics], verbs: [get]}]\n";
    cluster.namespace("yaml");
    cluster.service_account("yaml", "k-sa-1");
    let pod = Pod::of(cluster, "yaml", "k-sa-1");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("roles.yaml").display().to_string();
    std::fs::write(&file, YAML).expect("write it");
    let refused = pod.runs(&["check", "-f", &file]);
    let (_, line) = refused.stderr.trim_end().split_once("give it as JSON: ").expect("a line to type");
    let json = cluster.types(&line.replace("FILE", &file)).expect("JSON");
    refused.gives(30, &[], Stderr::Has("this is YAML"));
    check(&pod, &[], &json).gives(10, &["list pods in yaml  ", "get /metrics  "], Stderr::Empty);
    // A namespace that is not there is no fault of the file.
    let list = cluster.types("kubectl get roles,clusterroles -A -o json").expect("a list");
    let many = check(&pod, &[], &list);
    many.gives(10, &["forbidden (10)"], Stderr::Empty);
    let bindings = cluster.types("kubectl get clusterrolebinding cluster-admin -o json").expect("a binding");
    check(&pod, &[], &bindings).gives(30, &[], Stderr::Has("kubectl get clusterrole cluster-admin -o json"));
}

fn check(pod: &Pod, options: &[&str], content: &str) -> Finished {
    let mut command = pod.command(["check", "--token-only", "--timeout=2m", "-f", "-"]);
    let start = Instant::now();
    let piped = command.args(options).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect("run kubeknock");
    child.stdin.take().expect("stdin").write_all(content.as_bytes()).expect("it reads stdin");
    let output = child.wait_with_output().expect("its end");
    pod.ended(&command, output, start.elapsed())
}
