//! Which requests ask for a permission, and how several permissions lead to one exit code.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::scene::{USER, report};
use testbed::{Cluster, Fault, Stderr, Times, World, rbac_path};

use crate::Scene;

/// All six steps of the tutorial, with its answers.
#[test]
fn tutorial() {
    let scene = Scene::new();
    // 1. and 2. Without a token, only /version is allowed.
    scene.runs(&["get", "--anonymous", "/version"]).gives(0, &["\"gitVersion\""], Stderr::Empty);
    scene.runs(&["get", "--anonymous", "/api/v1/namespaces/ns-1/pods"]).gives(
        12,
        &["User \\\"system:anonymous\\\" cannot list resource \\\"pods\\\""],
        Stderr::Has("kubeknock: anonymous (12): "),
    );
    // 3. With the token: authenticated, but without permission.
    scene.runs(&["get", "/api/v1/namespaces/ns-1/pods"]).gives(10, &[USER], Stderr::Any);
    let refused = scene.runs(&["check", "list", "pods"]).gives(10, &[USER], Stderr::Empty);
    // 4. The remedy grants it.
    assert_eq!(
        refused.stdout.lines().skip(2).take(2).collect::<Vec<_>>(),
        [
            "    kubectl create role k-sa-1-list-pods --verb=list --resource=pods --namespace=ns-1",
            "    kubectl create rolebinding k-sa-1-list-pods --role=k-sa-1-list-pods --serviceaccount=ns-1:k-sa-1 --namespace=ns-1",
        ]
    );
    scene.cluster.role("ns-1", "pod-lister", &["list"], "", &["pods"]);
    scene.cluster.role_binding("ns-1", "pod-lister-binding", "pod-lister", "ns-1", "k-sa-1");
    // 5. The same request again.
    scene.runs(&["check", "list", "pods"]).is(
        0,
        "\
list pods in ns-1  anonymous 403  token 200  ok
ok (0): every permission is as required
",
        "",
    );
    scene.runs(&["get", "/api/v1/namespaces/ns-1/pods"]).gives(0, &["\"kind\":\"PodList\""], Stderr::Empty);
    // 6. Nothing was granted in other namespaces.
    scene.runs(&["check", "list", "pods", "-n", "default"]).gives(
        10,
        &["list pods in default  anonymous 403  token 403  forbidden", "in the namespace \"default\""],
        Stderr::Empty,
    );
    // A grant can be revoked.
    scene.cluster.delete(&rbac_path("ns-1", "rolebindings/pod-lister-binding"));
    scene.runs(&["check", "list", "pods"]).gives(10, &[], Stderr::Empty);
}

#[test]
fn several_permissions_and_what_they_come_to() {
    Scene::with_reader()
        .runs(&[
            "check",
            "get,list,watch pods",
            "get pods/web-1",
            "get /version",
            "list nodes in ns-1",
            "cannot list secrets",
            "can delete pods/web-1 in default",
        ])
        .is(
            10,
            "\
get pods in ns-1              anonymous unknown  token yes  ok
list pods in ns-1             anonymous 403      token 200  ok
watch pods in ns-1            anonymous 403      token 200  ok
get pods/web-1 in ns-1        anonymous 403      token 404  ok
    it does not exist; authorization comes first, and allows it
get /version                  anonymous 200      token 200  ok
    it is allowed without a token too, so it says nothing about the token
list nodes                    anonymous 403      token 403  forbidden
    nodes are cluster-scoped: the namespace ns-1 is ignored
    nodes is forbidden: User \"system:serviceaccount:ns-1:k-sa-1\" cannot list resource \"nodes\" in API group \"\" at the cluster scope; to grant it, as an admin:
    kubectl create clusterrole ns-1-k-sa-1-list-nodes --verb=list --resource=nodes
    kubectl create clusterrolebinding ns-1-k-sa-1-list-nodes --clusterrole=ns-1-k-sa-1-list-nodes --serviceaccount=ns-1:k-sa-1
cannot list secrets in ns-1   anonymous 403      token 403  forbidden, as required
delete pods/web-1 in default  anonymous unknown  token no   forbidden
    nothing grants it to system:serviceaccount:ns-1:k-sa-1; to grant it, as an admin:
    kubectl create role ns-1-k-sa-1-delete-pods-web-1 --verb=delete --resource=pods --resource-name=web-1 --namespace=default
    kubectl create rolebinding ns-1-k-sa-1-delete-pods-web-1 --role=ns-1-k-sa-1-delete-pods-web-1 --serviceaccount=ns-1:k-sa-1 --namespace=default
all 2 grants at once, as YAML: kubeknock grant 'list nodes' 'delete pods/web-1 in default'
forbidden (10): the token's identity does not have the permission
",
            "",
        );
}

/// The first in the order given decides, not the worst, and not the first that was asked.
#[test]
fn the_first_that_is_not_as_required_decides() {
    let scene = Scene::with_reader();
    for (phrases, code) in [
        (&["list pods", "cannot list pods", "list secrets"][..], 13),
        (&["list pods", "list secrets", "cannot list pods"], 10),
        (&["list gadgets", "list secrets"], 25),
        (&["list secrets", "list gadgets"], 10),
        // Watches are asked last, but count in their place.
        (&["cannot watch pods", "list secrets"], 13),
        (&["list pods", "cannot list secrets", "get /version"], 0),
    ] {
        let arguments = [&["check"], phrases].concat();
        scene.runs(&arguments).gives(code, &[], Stderr::Empty);
    }
}

/// In rules, `pods/log` is a subresource. In a phrase, as in kubectl, `log` is an object's name there.
#[test]
fn a_subresource_in_the_place_of_a_name_is_noted() {
    let scene = Scene::with_reader();
    scene.runs(&["check", "get pods/log", "get pods/web-0"]).is(
        0,
        "\
get pods/log in ns-1    anonymous 403  token 404  ok
    log is taken for an object's name; the subresource is pods/*/log
    it does not exist; authorization comes first, and allows it
get pods/web-0 in ns-1  anonymous 403  token 404  ok
    it does not exist; authorization comes first, and allows it
ok (0): every permission is as required
",
        "",
    );
    scene.runs(&["check", "create", "pods/exec"]).gives(
        10,
        &["    exec is taken for an object's name; the subresource is pods/*/exec\n    nothing grants it to "],
        Stderr::Empty,
    );
}

#[test]
fn what_was_not_asked_says_so() {
    let scene = Scene::with_reader();
    scene.cluster.fail_if(Times::All, Fault::Hang, |seen| seen.path_and_query.contains("/secrets"));
    let phrases = ["list pods", "watch pods", "list secrets", "list configmaps"];
    scene.runs(&[&["check", "--timeout=1s"], &phrases[..]].concat()).is(
        23,
        "\
list pods in ns-1     anonymous 403      token 200  ok
watch pods            anonymous -        token -    not asked
list secrets in ns-1  anonymous timeout  token -    timeout
    SERVER did not answer in time
    check for a NetworkPolicy that drops packets and for an overloaded API server, or raise --timeout; kubeknock doctor checks each step
list configmaps       anonymous -        token -    not asked
timeout (23): no verdict before the deadline
",
        "",
    );
}

/// If a connection ends in the middle, a new one is opened for the remaining requests.
#[test]
fn a_broken_connection_is_opened_again() {
    let scene = Scene::with_reader();
    scene.cluster.fail(Times::Next(1), Fault::HangUp);
    scene.runs(&["check", "list pods", "cannot list secrets"]).is(
        0,
        "\
list pods in ns-1            anonymous unreachable  token 200  ok
cannot list secrets in ns-1  anonymous 403          token 403  forbidden, as required
ok (0): every permission is as required
",
        "",
    );
    assert_eq!(scene.cluster.connections(), 2);
    scene.cluster.forget();
    scene.cluster.close_connections(true);
    scene.runs(&["check", "list pods", "cannot list secrets"]).gives(0, &[], Stderr::Empty);
    assert_eq!(scene.cluster.connections(), 4, "one a request, where the server wants it so");
}

/// `cannot` requires a refusal, and no other answer is one.
#[test]
fn cannot_is_satisfied_only_by_a_refusal() {
    let scene = Scene::with_reader();
    let phrase = "cannot list secrets";
    scene.runs(&["check", phrase]).gives(
        0,
        &["cannot list secrets in ns-1  anonymous 403  token 403  forbidden, as required"],
        Stderr::Empty,
    );
    scene.runs(&["check", "cannot", "delete", "pods"]).gives(
        0,
        &["token no  forbidden, as required"],
        Stderr::Empty,
    );
    scene.runs(&["check", "cannot list gadgets"]).gives(25, &["unserved"], Stderr::Empty);
    scene.cluster.fail(Times::Next(2), Fault::Unavailable);
    scene.runs(&["check", phrase]).gives(24, &["unavailable"], Stderr::Empty);
    scene.cluster.strip_tokens(true);
    scene.runs(&["check", phrase]).gives(12, &["anonymous"], Stderr::Empty);
    scene.cluster.heal();
    let scene = scene.with_token(|token| token.expires_in = -60);
    scene.runs(&["check", phrase]).gives(11, &["unauthenticated"], Stderr::Empty);
}

#[test]
fn a_refused_review_says_nothing_of_the_permission() {
    let scene = Scene::with_reader();
    scene.cluster.delete(&rbac_path("", "clusterrolebindings/system:basic-user"));
    for phrase in ["create pods", "cannot create pods"] {
        scene.runs(&["check", phrase]).is(
            10,
            &format!(
                "\
{phrase} in ns-1  anonymous unknown  token unknown  forbidden
    selfsubjectaccessreviews.authorization.k8s.io is forbidden: User \"system:serviceaccount:ns-1:k-sa-1\" cannot create resource \"selfsubjectaccessreviews\" in API group \"authorization.k8s.io\" at the cluster scope; to grant it, as an admin:
    kubectl create clusterrolebinding ns-1-k-sa-1-basic-user --clusterrole=system:basic-user --serviceaccount=ns-1:k-sa-1
forbidden (10): the token's identity does not have the permission
"
            ),
            "",
        );
    }
}

#[test]
fn fail_open_passes_over_what_has_no_answer() {
    let scene = Scene::with_reader();
    scene.cluster.fail_if(Times::All, Fault::Unavailable, |seen| seen.path_and_query.contains("/configmaps"));
    scene.runs(&["check", "--fail-open", "list configmaps", "list pods"]).is(
        0,
        "\
list configmaps in ns-1  anonymous 503  token 503  unavailable
    status 503: the request has been made before all known HTTP paths have been installed, please try again
    the API server is up but cannot answer yet: try again later, or use kubeknock wait
list pods in ns-1        anonymous 403  token 200  ok
ok (0): --fail-open ignores 1 permission without an answer
",
        "",
    );
    // A no still decides, wherever it stands; so does a setup error.
    scene.runs(&["check", "--fail-open", "list configmaps", "list secrets"]).gives(
        10,
        &["\nforbidden (10): "],
        Stderr::Empty,
    );
    scene.runs(&["check", "--fail-open", "list pods in"]).gives(30, &[], Stderr::Any);
    let finished =
        scene.runs(&["check", "--fail-open", "list gadgets", "-ojson"]).gives(0, &[], Stderr::Empty);
    let object = report(&finished);
    assert_eq!(
        (&object["outcome"], &object["permissions"][0]["outcome"]),
        (&json!("ok"), &json!("unserved"))
    );
    assert_eq!(object["message"], "ok (0): --fail-open ignores 1 permission without an answer");
    let Scene { mut cluster, pod } = scene;
    cluster.stop();
    pod.runs(&["check", "--fail-open", "list pods", "list secrets"]).gives(
        0,
        &["unreachable\n", "\nok (0): --fail-open ignores 2 permissions without an answer\n"],
        Stderr::Empty,
    );
}

#[test]
fn forbid_anonymous() {
    let scene = Scene::with_reader();
    scene.runs(&["check", "--forbid-anonymous", "list pods"]).gives(
        0,
        &["anonymous 403  token 200  ok"],
        Stderr::Empty,
    );
    // A request that is allowed without a token is a failure, whether the permission is required or not.
    for phrase in ["get /version", "cannot get /version"] {
        scene.runs(&["check", "--forbid-anonymous", phrase]).gives(14, &["exposed"], Stderr::Empty);
    }
    // The anonymous knock must be refused: without an answer to it, nothing is known.
    scene
        .cluster
        .fail_if(Times::All, Fault::raw(503, "text/plain", "not now"), |seen| seen.authorization.is_none());
    scene.runs(&["check", "--forbid-anonymous", "list pods"]).gives(
        24,
        &["anonymous 503  token 200  unavailable"],
        Stderr::Empty,
    );
    scene.runs(&["check", "list pods"]).gives(0, &["anonymous 503  token 200  ok"], Stderr::Empty);
    scene.cluster.heal();
    scene.cluster.anonymous_auth(false);
    scene.runs(&["check", "--forbid-anonymous", "get /version"]).gives(
        0,
        &["anonymous 401  token 200  ok"],
        Stderr::Empty,
    );
    // An access review cannot show it, because it needs a token.
    scene.asked();
    for arguments in [&["create pods"][..], &["get pods"], &["list pods", "--review"]] {
        scene.runs(&[&["check", "--forbid-anonymous"], arguments].concat()).gives(
            30,
            &[],
            Stderr::Has("it is asked by access review, which needs a token"),
        );
    }
    assert!(scene.asked().is_empty());
}

#[test]
fn token_only_makes_no_anonymous_knock() {
    let scene = Scene::with_reader();
    scene.runs(&["check", "--token-only", "list pods", "create pods"]).is(
        10,
        "\
list pods in ns-1    anonymous -  token 200  ok
create pods in ns-1  anonymous -  token no   forbidden
    nothing grants it to system:serviceaccount:ns-1:k-sa-1; to grant it, as an admin:
    kubectl create role k-sa-1-create-pods --verb=create --resource=pods --namespace=ns-1
    kubectl create rolebinding k-sa-1-create-pods --role=k-sa-1-create-pods --serviceaccount=ns-1:k-sa-1 --namespace=ns-1
forbidden (10): the token's identity does not have the permission
",
        "",
    );
    assert_eq!(
        scene.asked(),
        [
            "token GET /api/v1/namespaces/ns-1/pods?limit=1",
            "token POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        ]
    );
    // Without a token there is no knock at all, not even for what everyone may do.
    let Scene { cluster, pod } = scene;
    cluster.forget();
    let pod = pod.with_file("token", " \n");
    pod.runs(&["check", "--token-only", "get /version"]).is(
        12,
        "\
get /version  anonymous -  token -  anonymous
    no token to send: MOUNT/token is missing or empty
    add a serviceAccountToken source to that volume; if there is none, set automountServiceAccountToken: true; or use --token-file
anonymous (12): the API server saw no token, and refuses the anonymous request
",
        "",
    );
    assert_eq!(cluster.connections(), 0);
}

#[test]
fn review_asks_everything_by_access_review() {
    let scene = Scene::with_reader();
    scene.runs(&["check", "--review", "list pods", "get /version", "get secrets/db in vault"]).is(
        10,
        "\
list pods in ns-1        anonymous unknown  token yes  ok
get /version             anonymous unknown  token yes  ok
get secrets/db in vault  anonymous unknown  token no   forbidden
    nothing grants it to system:serviceaccount:ns-1:k-sa-1; to grant it, as an admin:
    kubectl create role ns-1-k-sa-1-get-secrets-db --verb=get --resource=secrets --resource-name=db --namespace=vault
    kubectl create rolebinding ns-1-k-sa-1-get-secrets-db --role=ns-1-k-sa-1-get-secrets-db --serviceaccount=ns-1:k-sa-1 --namespace=vault
forbidden (10): the token's identity does not have the permission
",
        "",
    );
    let seen = scene.cluster.requests();
    assert_eq!(seen.len(), 6);
    let specs: Vec<Value> = seen
        .iter()
        .filter(|seen| seen.authorization.is_some())
        .map(|seen| {
            let path = ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews");
            assert_eq!((seen.method.as_str(), seen.path_and_query.as_str()), path);
            let body: Value = serde_json::from_slice(&seen.body).unwrap();
            assert_eq!(body["apiVersion"], "authorization.k8s.io/v1");
            assert_eq!(body["kind"], "SelfSubjectAccessReview");
            body["spec"].clone()
        })
        .collect();
    assert_eq!(
        specs,
        [
            json!({ "resourceAttributes": { "verb": "list", "resource": "pods", "version": "v1", "namespace": "ns-1" } }),
            json!({ "nonResourceAttributes": { "verb": "get", "path": "/version" } }),
            json!({ "resourceAttributes": {
                "verb": "get", "resource": "secrets", "version": "v1", "namespace": "vault", "name": "db",
            } }),
        ]
    );
}

/// One harmless read is asked by that request itself. Everything else is asked by access review, and changes
/// nothing.
#[test]
fn what_is_asked_by_which_request() {
    const REVIEW: &str = "token POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let scene = Scene::new();
    for (arguments, request) in [
        (&["list pods"][..], "token GET /api/v1/namespaces/ns-1/pods?limit=1"),
        (&["list pods in vault"], "token GET /api/v1/namespaces/vault/pods?limit=1"),
        (&["list pods", "-nvault"], "token GET /api/v1/namespaces/vault/pods?limit=1"),
        // The phrase takes precedence over the option.
        (&["list pods in ns-1", "-n", "vault"], "token GET /api/v1/namespaces/ns-1/pods?limit=1"),
        (&["list pods in *"], "token GET /api/v1/pods?limit=1"),
        (&["list pods", "-A"], "token GET /api/v1/pods?limit=1"),
        (&["list pods in ns-1", "--all-namespaces"], "token GET /api/v1/namespaces/ns-1/pods?limit=1"),
        (&["watch pods"], "token GET /api/v1/namespaces/ns-1/pods?watch=true"),
        (
            &["list secrets/db"],
            "token GET /api/v1/namespaces/ns-1/secrets?limit=1&fieldSelector=metadata.name%3Ddb",
        ),
        (
            &["watch secrets/db"],
            "token GET /api/v1/namespaces/ns-1/secrets?watch=true&fieldSelector=metadata.name%3Ddb",
        ),
        (&["get secrets/db"], "token GET /api/v1/namespaces/ns-1/secrets/db"),
        (&["get nodes/node-1"], "token GET /api/v1/nodes/node-1"),
        (&["get no/node-1"], "token GET /api/v1/nodes/node-1"),
        (&["list Pod"], "token GET /api/v1/namespaces/ns-1/pods?limit=1"),
        (&["list", "po"], "token GET /api/v1/namespaces/ns-1/pods?limit=1"),
        // In the URL of a request, Namespace objects stand beside other cluster-scoped objects.
        (&["get namespaces/vault"], "token GET /api/v1/namespaces/vault"),
        (&["get /healthz/ping"], "token GET /healthz/ping"),
        (&["get pods"], REVIEW),
        (&["get pods/*"], REVIEW),
        (&["get pods/web-0", "-A"], REVIEW),
        (&["get pods/web-0/log"], REVIEW),
        (&["get pods/web-0", "--subresource=log"], REVIEW),
        (&["list pods/*/log"], REVIEW),
        (&["create pods"], REVIEW),
        (&["delete pods/web-0"], REVIEW),
        (&["deletecollection pods"], REVIEW),
        (&["impersonate users/jane"], REVIEW),
        (&["* *"], REVIEW),
        (&["post /logs"], REVIEW),
        (&["get /api/*"], REVIEW),
    ] {
        scene.runs(&[&["check", "--token-only", "-q"], arguments].concat()).has_no_stdout();
        assert_eq!(scene.asked(), [request], "{arguments:?}");
    }
}

#[test]
fn subresources() {
    let scene = Scene::new();
    scene.grant("logs", &["get"], "", &["pods/log"]);
    scene.runs(&["check", "get pods/web-0/log", "get pods/*/log", "create pods/*/exec"]).is(
        10,
        "\
get pods/web-0/log in ns-1  anonymous unknown  token yes  ok
get pods/*/log in ns-1      anonymous unknown  token yes  ok
create pods/*/exec in ns-1  anonymous unknown  token no   forbidden
    nothing grants it to system:serviceaccount:ns-1:k-sa-1; to grant it, as an admin:
    kubectl create role k-sa-1-create-pods-exec --verb=create --resource=pods/exec --namespace=ns-1
    kubectl create rolebinding k-sa-1-create-pods-exec --role=k-sa-1-create-pods-exec --serviceaccount=ns-1:k-sa-1 --namespace=ns-1
forbidden (10): the token's identity does not have the permission
",
        "",
    );
    // The option applies to phrases without a subresource.
    scene
        .runs(&["check", "--subresource", "log", "get pods", "get pods/web-0", "cannot get pods/web-0/exec"])
        .is(
            0,
            "\
get pods/*/log in ns-1              anonymous unknown  token yes  ok
get pods/web-0/log in ns-1          anonymous unknown  token yes  ok
cannot get pods/web-0/exec in ns-1  anonymous unknown  token no   forbidden, as required
ok (0): every permission is as required
",
            "",
        );
}

#[test]
fn all_namespaces() {
    let scene = Scene::with_reader();
    for arguments in [&["list pods in *"][..], &["list pods", "-A"], &["list", "pods", "--all-namespaces"]] {
        scene.runs(&[&["check"], arguments].concat()).is(
            10,
            "\
list pods in *  anonymous 403  token 403  forbidden
    pods is forbidden: User \"system:serviceaccount:ns-1:k-sa-1\" cannot list resource \"pods\" in API group \"\" at the cluster scope; to grant it, as an admin:
    kubectl create clusterrole ns-1-k-sa-1-list-pods --verb=list --resource=pods
    kubectl create clusterrolebinding ns-1-k-sa-1-list-pods --clusterrole=ns-1-k-sa-1-list-pods --serviceaccount=ns-1:k-sa-1
forbidden (10): the token's identity does not have the permission
",
            "",
        );
    }
}

/// Typed as for kubectl: without quotes, and with options anywhere.
#[test]
fn words_without_spaces_are_one_phrase() {
    let scene = Scene::with_reader();
    for arguments in [
        &["check", "list", "pods"][..],
        &["check", "list", "pods", "-n", "ns-1"],
        &["check", "-nns-1", "list", "pods"],
        &["check", "list", "--namespace=ns-1", "pods"],
        &["check", "list", "pods", "in", "ns-1"],
        &["check", "can", "list", "pods"],
        &["-v=false", "check", "list", "pods", "--token-only=false"],
    ] {
        let screen = "\
list pods in ns-1  anonymous 403  token 200  ok
ok (0): every permission is as required
";
        scene.runs(arguments).is(0, screen, "");
    }
    scene.runs(&["check", "cannot", "list", "pods"]).gives(13, &[], Stderr::Empty);
    // If one argument has a space, each argument is a phrase.
    scene.runs(&["check", "list pods", "pods"]).gives(
        30,
        &[],
        Stderr::Has("a resource or a path is missing"),
    );
}

/// An allowed watch ends the connection, so watches are asked last. The head of their answer decides.
#[test]
fn watches_are_asked_last() {
    let scene = Scene::with_reader();
    let begin = std::time::Instant::now();
    scene.runs(&["check", "watch pods", "list pods", "watch configmaps", "get pods/web-0"]).gives(
        10,
        &[
            "watch pods in ns-1        anonymous 403  token 200  ok\nlist pods in ns-1         anonymous 403  token 200  ok\n",
            "watch configmaps in ns-1  anonymous 403  token 403  forbidden",
        ],
        Stderr::Empty,
    );
    assert!(begin.elapsed() < Duration::from_secs(5), "a watch must not be read to its end");
    // One connection for everything up to the allowed watch, one for what comes after it.
    assert_eq!(scene.cluster.connections(), 2);
    assert_eq!(
        scene.asked(),
        [
            "anonymous GET /api/v1/namespaces/ns-1/pods?limit=1",
            "token GET /api/v1/namespaces/ns-1/pods?limit=1",
            "anonymous GET /api/v1/namespaces/ns-1/pods/web-0",
            "token GET /api/v1/namespaces/ns-1/pods/web-0",
            "anonymous GET /api/v1/namespaces/ns-1/pods?watch=true",
            "token GET /api/v1/namespaces/ns-1/pods?watch=true",
            "anonymous GET /api/v1/namespaces/ns-1/configmaps?watch=true",
            "token GET /api/v1/namespaces/ns-1/configmaps?watch=true",
        ]
    );
}

#[test]
fn a_named_object_that_is_absent_is_allowed() {
    let scene = Scene::with_reader();
    scene.runs(&["check", "get pods/no-such-pod"]).is(
        0,
        "\
get pods/no-such-pod in ns-1  anonymous 403  token 404  ok
    it does not exist; authorization comes first, and allows it
ok (0): every permission is as required
",
        "",
    );
    scene.cluster.create("/api/v1/namespaces/ns-1/pods", json!({ "metadata": { "name": "web-0" } }));
    scene.runs(&["check", "get pods/web-0"]).gives(0, &["token 200  ok\nok (0)"], Stderr::Empty);
    scene.runs(&["check", "cannot get pods/no-such-pod"]).gives(13, &["token 404  excess"], Stderr::Empty);
    // A rule for one name is valid for that name, and for lists of it.
    let rule = json!([{ "verbs": ["get", "list"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["db"] }]);
    scene.cluster.role_with_rules("ns-1", "db-reader", rule);
    scene.cluster.role_binding("ns-1", "db-reader", "db-reader", "ns-1", "k-sa-1");
    scene
        .runs(&["check", "get,list secrets/db", "cannot get,list secrets/other", "cannot list secrets"])
        .gives(0, &["get secrets/db in ns-1             anonymous 403  token 404  ok"], Stderr::Empty);
}

#[test]
fn a_namespace_for_what_has_none_is_ignored_and_said() {
    let scene = Scene::new();
    scene.grant_everywhere(
        "node-lister",
        json!([{ "verbs": ["list"], "apiGroups": [""], "resources": ["nodes"] }]),
    );
    for arguments in [&["list nodes in vault"][..], &["list nodes", "-n", "vault"]] {
        scene.runs(&[&["check"], arguments].concat()).is(
            0,
            "\
list nodes  anonymous 403  token 200  ok
    nodes are cluster-scoped: the namespace vault is ignored
ok (0): every permission is as required
",
            "",
        );
    }
    // Here the pod's own namespace is the default, so there is nothing to note, and its file is not needed.
    let Scene { cluster, pod } = scene;
    let pod = pod.without_file("namespace");
    pod.runs(&["check", "list nodes"]).gives(
        0,
        &["list nodes  anonymous 403  token 200  ok\nok (0)"],
        Stderr::Empty,
    );
    drop(cluster);
}

/// A binding to a role that does not exist: the API server says so after its refusal.
#[test]
fn a_missing_role_is_shown() {
    const REASON: &str = "RBAC: role.rbac.authorization.k8s.io \"no-such-role\" not found (a binding names a role that does not exist: create the role, or correct the binding)";
    let scene = Scene::new();
    scene.cluster.role_binding("ns-1", "dangling", "no-such-role", "ns-1", "k-sa-1");
    scene.runs(&["check", "list pods"]).gives(
        10,
        &[&format!("in the namespace \"ns-1\": {REASON}; to grant it, as an admin:\n")],
        Stderr::Empty,
    );
    scene.runs(&["check", "create pods"]).gives(
        10,
        &[&format!("token no  forbidden\n    {REASON}; to grant it, as an admin:\n")],
        Stderr::Empty,
    );
}

/// The remedy of a refusal does grant the permission: one role and one binding.
#[test]
fn remedies_grant() {
    let scene = Scene::new();
    scene.cluster.namespace("vault");
    for phrase in [
        "list pods",
        "watch pods in default",
        "get secrets/db",
        "create pods/*/exec",
        "patch deployments.apps/web/scale",
        "delete configmaps in *",
        "list nodes",
        "get /metrics",
        "get namespaces/vault",
    ] {
        let finished = scene.runs(&["check", phrase, "-ojson"]).gives(10, &[], Stderr::Empty);
        let object = report(&finished);
        let lines: Vec<&str> = object["permissions"][0]["remedy"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| line.as_str().unwrap())
            .collect();
        assert_eq!(lines.len(), 2, "{phrase}: {lines:?}");
        for line in lines {
            kubectl(&scene.cluster, line);
        }
        scene.runs(&["check", phrase]).gives(0, &["ok (0)"], Stderr::Empty);
    }
}

/// `kubectl create role|clusterrole|rolebinding|clusterrolebinding`, with the options that remedies use.
fn kubectl(cluster: &Cluster, line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let ["kubectl", "create", what, name, flags @ ..] = words.as_slice() else { panic!("{line}") };
    let flag = |wanted: &str| {
        flags.iter().find_map(|flag| flag.strip_prefix(wanted)?.strip_prefix('=')).unwrap_or_default()
    };
    let namespace = flag("--namespace");
    if what.ends_with("binding") {
        let (account_namespace, account) = flag("--serviceaccount").split_once(':').expect(line);
        match *what {
            "rolebinding" => {
                cluster.role_binding(namespace, name, flag("--role"), account_namespace, account);
            }
            _ => {
                cluster.cluster_role_binding(name, flag("--clusterrole"), account_namespace, account);
            }
        }
        return;
    }
    let mut rule = json!({ "verbs": [flag("--verb")] });
    if flag("--non-resource-url").is_empty() {
        let (resource, subresource) = flag("--resource").split_once('/').unwrap_or((flag("--resource"), ""));
        let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
        let slash = if subresource.is_empty() { "" } else { "/" };
        rule["apiGroups"] = json!([group]);
        rule["resources"] = json!([format!("{resource}{slash}{subresource}")]);
        if !flag("--resource-name").is_empty() {
            rule["resourceNames"] = json!([flag("--resource-name")]);
        }
    } else {
        rule["nonResourceURLs"] = json!([flag("--non-resource-url")]);
    }
    match *what {
        "role" => cluster.role_with_rules(namespace, name, json!([rule])),
        _ => cluster.cluster_role(name, json!([rule])),
    }
}

/// `-q` and `-v` show less and more, and change nothing else.
#[test]
fn quiet_and_verbose() {
    let scene = Scene::new();
    scene.runs(&["check", "-q", "list pods"]).is(10, "", "");
    scene.runs(&["check", "-q", "list pods", "-ojson"]).is(10, "", "");
    scene.runs(&["check", "-qv", "list pods", "get /version"]).is(
        10,
        "",
        "\
kubeknock: anonymous GET /api/v1/namespaces/ns-1/pods?limit=1: 403 (N ms)
kubeknock: token GET /api/v1/namespaces/ns-1/pods?limit=1: 403 (N ms)
kubeknock: anonymous GET /version: 200 (N ms)
kubeknock: token GET /version: 200 (N ms)
",
    );
    scene.runs(&["-v", "get", "/version"]).gives(
        0,
        &["gitVersion"],
        Stderr::Has("kubeknock: token GET /version: 200 ("),
    );
    let pod = scene.pod.at_server("https://127.0.0.1:1");
    pod.runs(&["check", "-qv", "list pods"]).gives(
        21,
        &[],
        Stderr::Has("kubeknock: anonymous GET /api/v1/namespaces/ns-1/pods?limit=1: unreachable: 127.0.0.1:1: connection refused ("),
    );
}
