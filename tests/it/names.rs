//! Resource names: resolved as kubectl resolves them, on a current server and on one of 1.20.

use serde_json::json;
use testbed::{Fault, Stderr, Times, Version, World, rbac_path};

use crate::Scene;

/// A cluster with a custom resource; the pod may list everything in its namespace.
fn scene(version: Version) -> Scene {
    let scene = Scene::of(version);
    scene.cluster.custom_resource("example.com", "v1", "widgets", "Widget", "Namespaced");
    scene.cluster.custom_resource("example.com", "v1", "planets", "Planet", "Cluster");
    scene.grant("lister", &["list"], "*", &["*"]);
    scene
}

fn discovery(asked: &[String]) -> Vec<&str> {
    let is_discovery =
        |path: &&str| path.starts_with("/api") && !path.contains("/namespaces/") && !path.contains('?');
    asked.iter().filter_map(|line| line.strip_prefix("token GET ")).filter(is_discovery).collect()
}

#[test]
fn names_resolve_as_kubectl_resolves_them() {
    for version in [Version::V1_36, Version::V1_20] {
        let scene = scene(version);
        for (typed, phrase) in [
            ("deployments.apps", "deployments.apps in ns-1"),
            ("deployments.v1.apps", "deployments.apps in ns-1"),
            ("deployments", "deployments.apps in ns-1"),
            ("deployment", "deployments.apps in ns-1"),
            ("Deployment", "deployments.apps in ns-1"),
            ("deploy", "deployments.apps in ns-1"),
            ("deploy.apps", "deployments.apps in ns-1"),
            ("cronjobs", "cronjobs.batch in ns-1"),
            ("ingresses.networking.k8s.io", "ingresses.networking.k8s.io in ns-1"),
            // A prefix of the group is enough.
            ("ingresses.networking", "ingresses.networking.k8s.io in ns-1"),
            ("widgets.example.com", "widgets.example.com in ns-1"),
            ("widgets.v1.example.com", "widgets.example.com in ns-1"),
            ("widget", "widgets.example.com in ns-1"),
            ("cm", "configmaps in ns-1"),
            ("sa", "serviceaccounts in ns-1"),
        ] {
            let row = format!("list {phrase}  anonymous 403  token 200  ok");
            scene.runs(&["check", &format!("list {typed}")]).is(
                0,
                &format!("{row}\nok (0): every permission is as required\n"),
                "",
            );
        }
        scene.runs(&["check", "list planets in ns-1"]).gives(
            10,
            &[
                "list planets.example.com  anonymous 403  token 403  forbidden",
                "planets are cluster-scoped: the namespace ns-1 is ignored",
                "kubectl create clusterrole ns-1-k-sa-1-list-planets-example --verb=list --resource=planets.example.com\n",
            ],
            Stderr::Empty,
        );
    }
}

/// One request for the groups, and one more only if the name may be of the core group.
#[test]
fn at_most_two_discovery_requests_on_a_current_server() {
    let scene = scene(Version::V1_36);
    for (phrases, requests) in [
        (&["list pods", "get secrets/db", "create pods/*/exec", "get /version", "list no"][..], &[][..]),
        (&["list deployments.apps"], &["/apis"]),
        (
            &["list deploy", "list jobs.batch", "list widgets", "create deployments.apps/web/scale"],
            &["/apis"],
        ),
        (&["list gadgets"], &["/apis", "/api"]),
        (&["list gadgets", "list gizmos", "list deploy", "list things.example.com"], &["/apis", "/api"]),
        (&["get pods/web-0/no-such-subresource"], &["/api"]),
    ] {
        scene.runs(&[&["check", "-q", "--token-only"], phrases].concat()).has_no_stdout();
        let connections = scene.cluster.connections();
        let asked = scene.asked();
        assert_eq!(discovery(&asked), requests, "{phrases:?}");
        assert_eq!(connections, 1, "{phrases:?}");
    }
}

/// Servers before 1.27 have one document for each group and version; only those that can have the name are
/// requested.
#[test]
fn only_the_groups_in_question_on_an_old_server() {
    let scene = scene(Version::V1_20);
    for (phrase, requests) in [
        ("list pods", &[][..]),
        ("list deployments.apps", &["/apis", "/apis/apps/v1"]),
        ("list deployments.v1.apps", &["/apis", "/apis/apps/v1"]),
        ("list widgets.example.com", &["/apis", "/apis/example.com/v1"]),
    ] {
        scene.runs(&["check", "--token-only", phrase]).gives(0, &["ok (0)"], Stderr::Empty);
        let asked = scene.asked();
        assert_eq!(discovery(&asked), requests, "{phrase}");
    }
}

/// Without a token, the anonymous request looks the name up, and is refused.
#[test]
fn a_name_cannot_be_looked_up() {
    let scene = scene(Version::V1_36);
    scene.cluster.delete(&rbac_path("", "clusterrolebindings/system:discovery"));
    scene.runs(&["check", "list deployments.apps", "list pods"]).is(
        10,
        "\
list deployments.apps  anonymous -    token -    forbidden
    the API server refuses discovery, which looks the name up: forbidden: User \"system:serviceaccount:ns-1:k-sa-1\" cannot get path \"/apis\"; to grant it, as an admin:
    kubectl create clusterrolebinding ns-1-k-sa-1-discovery --clusterrole=system:discovery --serviceaccount=ns-1:k-sa-1
list pods in ns-1      anonymous 403  token 200  ok
forbidden (10): the token's identity does not have the permission
",
        "",
    );
    scene.runs(&["check", "cannot list deployments.apps"]).gives(10, &[], Stderr::Empty);
    let Scene { cluster, pod } = scene;
    let pod = pod.without_file("token");
    pod.runs(&["check", "list deployments.apps"]).gives(12, &["anonymous"], Stderr::Empty);
    drop(cluster);
}

#[test]
fn unknown_names_are_unserved_and_near_ones_are_offered() {
    for version in [Version::V1_36, Version::V1_20] {
        let scene = scene(version);
        scene.runs(&["check", "list deploymnts", "list podz", "list widgts.example.com", "list zebras"]).is(
            25,
            "\
list deploymnts          anonymous -  token -  unserved
    the API server has no resource of that name; similar names: deployments.apps
    correct the name, or list what there is: kubectl api-resources
list podz                anonymous -  token -  unserved
    the API server has no resource of that name; similar names: pods
    correct the name, or list what there is: kubectl api-resources
list widgts.example.com  anonymous -  token -  unserved
    the API server has no resource of that name; similar names: widgets.example.com
    correct the name, or list what there is: kubectl api-resources
list zebras              anonymous -  token -  unserved
    the API server has no resource of that name
    install its CustomResourceDefinition, or list what there is: kubectl api-resources
unserved (25): the API server has no such resource or path
",
            "",
        );
        // The name is right, and its group or version is wrong.
        for name in ["deployments.batch", "deployments.v9.apps", "pods.example.com"] {
            scene.runs(&["check", &format!("list {name}")]).gives(25, &["unserved"], Stderr::Empty);
        }
        scene.runs(&["check", "get pods/web-0/lgo"]).gives(25, &["token -  unserved"], Stderr::Empty);
    }
}

/// A verb that the server does not serve can be granted, which is of no use; a note says so.
#[test]
fn verbs_that_are_not_served_are_noted() {
    let scene = scene(Version::V1_36);
    scene.grant("everything", &["*"], "*", &["*"]);
    scene.runs(&["check", "delete localsubjectaccessreviews.authorization.k8s.io"]).is(
        0,
        "\
delete localsubjectaccessreviews.authorization.k8s.io in ns-1  anonymous unknown  token yes  ok
    the API server serves no delete on localsubjectaccessreviews
ok (0): every permission is as required
",
        "",
    );
}

/// While the server of one group is down, other names resolve; a name that may be of that group has no answer
/// yet.
#[test]
fn a_group_whose_server_is_down() {
    let scene = scene(Version::V1_20);
    let down = Fault::raw(503, "text/plain; charset=utf-8", "service unavailable\n");
    scene.cluster.fail_if(Times::All, down, |seen| seen.path_and_query == "/apis/example.com/v1");
    scene.runs(&["check", "list deployments.apps"]).gives(0, &["ok (0)"], Stderr::Empty);
    scene.runs(&["check", "list widgets.example.com", "list widgets"]).is(
        24,
        "\
list widgets.example.com  anonymous -  token -  unavailable
    the name may belong to an API group whose server does not answer: example.com
    list the API services that are down: kubectl get apiservices
list widgets              anonymous -  token -  unavailable
    the name may belong to an API group whose server does not answer: example.com
    list the API services that are down: kubectl get apiservices
unavailable (24): the API server cannot answer now (429, 5xx, or an undecided review)
",
        "",
    );
}

/// Discovery that fails leads to the outcome of that failure.
#[test]
fn discovery_goes_wrong() {
    let scene = scene(Version::V1_36);
    for (fault, code, words) in [
        (Fault::Unavailable, 24, "status 503: the request has been made before"),
        (Fault::HangUp, 21, "closed the connection without an answer"),
        (
            Fault::raw(200, "text/html", "<html>Sign in</html>"),
            26,
            "a discovery document that cannot be read",
        ),
        (
            Fault::raw(200, "application/json", "{\"groups\": ["),
            26,
            "a discovery document that cannot be read",
        ),
        (
            Fault::raw(
                200,
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
                "{\"items\": [{",
            ),
            26,
            "a discovery document that cannot be read",
        ),
    ] {
        scene.cluster.fail_if(Times::All, fault, |seen| seen.path_and_query == "/apis");
        let finished = scene.runs(&["check", "list deployments.apps", "list pods"]);
        finished.gives(code, &[words, "list pods in ns-1      anonymous 403  token 200  ok"], Stderr::Empty);
        scene.cluster.heal();
    }
    scene.cluster.fail_if(Times::All, Fault::Hang, |seen| seen.path_and_query == "/apis");
    scene.runs(&["check", "list deployments.apps", "list pods", "--timeout=300ms"]).gives(
        23,
        &[
            "list deployments.apps  anonymous -  token -  timeout",
            "list pods              anonymous -  token -  not asked",
        ],
        Stderr::Empty,
    );
}

/// Only discovery shows that a resource needs a namespace.
#[test]
fn no_namespace_for_a_name_that_needs_one() {
    let Scene { cluster, pod } = scene(Version::V1_36);
    let pod = pod.without_file("namespace");
    pod.runs(&["check", "list deployments.apps"]).is(
        31,
        "",
        "kubeknock: no namespace: MOUNT/namespace: No such file or directory (os error 2); set -n NAMESPACE or \"in NAMESPACE\"\n",
    );
    let asked: Vec<String> = cluster.requests().iter().map(|seen| seen.path_and_query.clone()).collect();
    assert_eq!(asked, ["/apis"]);
    pod.runs(&["check", "list deployments.apps in ns-1"]).gives(0, &["ok (0)"], Stderr::Empty);
    cluster.cluster_role(
        "planets",
        json!([{ "verbs": ["list"], "apiGroups": ["example.com"], "resources": ["planets"] }]),
    );
    cluster.cluster_role_binding("planets", "planets", "ns-1", "k-sa-1");
    pod.runs(&["check", "list planets"]).gives(
        0,
        &["list planets.example.com  anonymous 403  token 200  ok"],
        Stderr::Empty,
    );
}

#[test]
fn five_thousand_custom_resources_cost_one_discovery_request() {
    let scene = Scene::new();
    for number in 0..5000 {
        let (group, plural) = (format!("g{}.example.com", number / 20), format!("things{number}"));
        scene.cluster.custom_resource(&group, "v1", &plural, &format!("Thing{number}"), "Namespaced");
    }
    scene.runs(&["check", "list things4999", "list thing7.g0.example.com", "list deploy"]).gives(
        10,
        &["list things4999.g249.example.com", "list things7.g0.example.com", "list deployments.apps"],
        Stderr::Empty,
    );
    let discovery =
        scene.cluster.requests().iter().filter(|seen| seen.path_and_query.matches('/').count() == 1).count();
    assert_eq!(discovery, 1);
}
