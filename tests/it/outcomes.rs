//! Every exit code of `check` and `get`, as text and as JSON.
//!
//! 32 (internal) needs a panic, and no input causes one; a system that refuses threads does. 126, 127, 130 and
//! 143 are exit codes of `wait`.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use testbed::faults::{self, Certificate};
use testbed::scene::{USER, report};
use testbed::{Cluster, Fault, Program, Stderr, Times, World, runner};

use crate::{Kubeknock, Pod, Scene};

#[test]
fn allowed() {
    let scene = Scene::with_reader();
    scene.runs(&["check", "list pods"]).is(
        0,
        "\
list pods in ns-1  anonymous 403  token 200  ok
ok (0): every permission is as required
",
        "",
    );
    let version = scene.runs(&["get", "/version"]).gives(0, &["\"gitVersion\": \"v1.36.2\""], Stderr::Empty);
    assert!(version.stdout.starts_with("{\n") && version.stdout.ends_with("\n}"), "{}", version.transcript());
}

#[test]
fn forbidden() {
    let scene = Scene::new();
    scene.runs(&["check", "list pods"]).is(
        10,
        "\
list pods in ns-1  anonymous 403  token 403  forbidden
    pods is forbidden: User \"system:serviceaccount:ns-1:k-sa-1\" cannot list resource \"pods\" in API group \"\" in the namespace \"ns-1\"; to grant it, as an admin:
    kubectl create role k-sa-1-list-pods --verb=list --resource=pods --namespace=ns-1
    kubectl create rolebinding k-sa-1-list-pods --role=k-sa-1-list-pods --serviceaccount=ns-1:k-sa-1 --namespace=ns-1
forbidden (10): the token's identity does not have the permission
",
        "",
    );
    scene.runs(&["get", "/metrics"]).is(
        10,
        "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\
         \"message\":\"forbidden: User \\\"system:serviceaccount:ns-1:k-sa-1\\\" cannot get path \\\"/metrics\\\"\",\
         \"reason\":\"Forbidden\",\"details\":{},\"code\":403}\n",
        "kubeknock: forbidden (10): the token's identity does not have the permission: \
         forbidden: User \"system:serviceaccount:ns-1:k-sa-1\" cannot get path \"/metrics\"\n",
    );
}

/// The server says only "Unauthorized"; the explanation comes from the claims of the token.
#[test]
fn unauthenticated() {
    let ten_days = 10 * 86_400 + 3600;
    let scene = Scene::new().with_token(|token| {
        token.audience = "vault".into();
        token.expires_in = ten_days;
    });
    scene.runs(&["check", "list pods"]).is(
        11,
        "\
list pods in ns-1  anonymous 403  token 401  unauthenticated
    MOUNT/token: the token has another audience than the API server
    its claims: audience vault, issuer https://kubernetes.default.svc.cluster.local, expires in 10d
    use the pod's own token (without --token-file), or create one: kubectl create token k-sa-1 -n ns-1
unauthenticated (11): the API server rejects the token
",
        "",
    );
    let scene = scene.with_token(|token| token.expires_in = -(3 * 3600 + 30));
    scene.runs(&["check", "list pods"]).is(
        11,
        "\
list pods in ns-1  anonymous 403  token 401  unauthenticated
    MOUNT/token: the token expired 3h0m ago
    the kubelet did not renew it: check that it is not mounted by subPath and that the kubelet runs, then delete the pod (a Deployment makes a new one)
unauthenticated (11): the API server rejects the token
",
        "",
    );
    scene.runs(&["get", "/version"]).is(
        11,
        "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\
         \"message\":\"Unauthorized\",\"reason\":\"Unauthorized\",\"code\":401}\n",
        "kubeknock: unauthenticated (11): the API server rejects the token: \
         the token expired 3h0m ago\n",
    );
    let Scene { cluster, pod } = Scene::new();
    let pod = pod.with_file("token", "not-a-token-of-any-kind");
    pod.runs(&["check", "list pods"]).is(
        11,
        "\
list pods in ns-1  anonymous 403  token 401  unauthenticated
    MOUNT/token does not hold a service account token (not a JWT)
    name the right file with --token-file, or create a token: kubectl create token NAME -n NAMESPACE
unauthenticated (11): the API server rejects the token
",
        "",
    );
    drop(cluster);
}

/// A valid token is rejected once its account is deleted.
#[test]
fn unauthenticated_when_the_account_is_gone() {
    let scene = Scene::with_reader();
    scene.runs(&["check", "list pods"]).gives(0, &["ok (0)"], Stderr::Empty);
    scene.cluster.delete("/api/v1/namespaces/ns-1/serviceaccounts/k-sa-1");
    scene.runs(&["check", "list pods"]).gives(
        11,
        &["token 401  unauthenticated", "its account or pod is gone"],
        Stderr::Empty,
    );
}

/// The explanation of a refusal mentions the token only if one was sent.
#[test]
fn refused_without_a_token() {
    const ANONYMOUS: &str = "kubeknock: anonymous (12): the API server saw no token, and refuses the anonymous \
                             request: ";
    let scene = Scene::with_reader();
    let complains = |scene: &Scene, arguments: &[&str], why: &str| {
        let finished = scene.runs(arguments).gives(12, &[], Stderr::Any);
        assert_eq!(
            finished.plain(&finished.stderr),
            format!("{ANONYMOUS}{why}\n"),
            "{}",
            finished.transcript()
        );
    };
    let forbidden = "forbidden: User \"system:anonymous\" cannot get path \"/metrics\"";
    complains(
        &scene,
        &["get", "--anonymous", "/metrics"],
        &format!("no token was sent (--anonymous): {forbidden}"),
    );
    scene.cluster.anonymous_auth(false);
    complains(&scene, &["get", "--anonymous", "/version"], "no token was sent (--anonymous): Unauthorized");
    let finished = scene.runs(&["get", "--anonymous", "/version", "-o", "json"]);
    finished.gives(12, &["\"status\":401"], Stderr::Has("no token was sent (--anonymous): Unauthorized\n"));
    let Scene { cluster, pod } = scene;
    let scene = Scene { cluster, pod: pod.without_file("token") };
    complains(
        &scene,
        &["get", "/version"],
        "no token was sent, because MOUNT/token is missing or empty: Unauthorized",
    );
    // The pod's token is not sent, and its claims do not name the proxy's user.
    let scene = Scene::on(Cluster::builder().plain_http("system:anonymous").start());
    complains(
        &scene,
        &["get", "/metrics"],
        &format!("no token was sent, because http://SERVER is plain HTTP: {forbidden}"),
    );
    let finished = scene.runs(&["check", "create pods", "-o", "json"]).gives(10, &[], Stderr::Empty);
    let report = report(&finished);
    assert_eq!(
        (&report["identity"], &report["permissions"][0]["remedy"]),
        (&json!(null), &json!([])),
        "{report}"
    );
}

#[test]
fn anonymous_without_a_token() {
    let Scene { cluster, pod } = Scene::with_reader();
    let pod = pod.without_file("token");
    pod.runs(&["check", "list pods", "get /version"]).is(
        12,
        "\
list pods in ns-1  anonymous 403  token -  anonymous
    no token to send: MOUNT/token is missing or empty
    add a serviceAccountToken source to that volume; if there is none, set automountServiceAccountToken: true; or use --token-file
get /version       anonymous 200  token -  ok
anonymous (12): the API server saw no token, and refuses the anonymous request
",
        "",
    );
    pod.runs(&["check", "get /version"]).gives(0, &["anonymous 200  token -  ok"], Stderr::Empty);
    cluster.anonymous_auth(false);
    pod.runs(&["check", "list pods"]).gives(12, &["anonymous 401  token -  anonymous"], Stderr::Empty);
    pod.runs(&["get", "/version"]).gives(
        12,
        &["\"message\":\"Unauthorized\""],
        Stderr::Has("kubeknock: anonymous (12): "),
    );
}

/// A token was sent, and a proxy on the way removed it.
#[test]
fn anonymous_although_a_token_was_sent() {
    let scene = Scene::with_reader();
    scene.cluster.strip_tokens(true);
    scene.runs(&["check", "list pods"]).is(
        12,
        "\
list pods in ns-1  anonymous 403  token 403  anonymous
    a token was sent, and the API server saw system:anonymous: a proxy or mesh on the way removes the Authorization header
    configure it to pass the header on, or exclude SERVER from it
anonymous (12): the API server saw no token, and refuses the anonymous request
",
        "",
    );
}

#[test]
fn excess() {
    Scene::with_reader().runs(&["check", "cannot list pods"]).is(
        13,
        "\
cannot list pods in ns-1  anonymous 403  token 200  excess
    the permission is granted to system:serviceaccount:ns-1:k-sa-1, directly or through a group: delete the binding, or the rule in its role
    kubectl get rolebindings,clusterrolebindings -A -o wide | grep -E 'ns-1/k-sa-1( |,|$)|system:(serviceaccounts|authenticated)'
    keep the default ones (system:basic-user, system:discovery); what a role grants: kubectl describe clusterrole ROLE
excess (13): a permission that must be refused is granted
",
        "",
    );
}

#[test]
fn exposed() {
    Scene::new().runs(&["check", "--forbid-anonymous", "get /version"]).is(
        14,
        "\
get /version  anonymous 200  token 200  exposed
    the request is allowed without a token: a binding to system:anonymous or system:unauthenticated grants it, or the authorization mode is AlwaysAllow
    delete that binding, but keep system:public-info-viewer, which grants only /healthz, /livez, /readyz and /version
    kubectl get rolebindings,clusterrolebindings -A -o wide | grep -E 'system:(anonymous|unauthenticated)'
exposed (14): the request is allowed without a token (--forbid-anonymous)
",
        "",
    );
}

/// `invalid` is a reserved top-level domain (RFC 6761). The reason is the resolver's, and depends on the
/// system.
#[test]
fn unresolved() {
    let Scene { cluster, pod } = Scene::new();
    let pod = pod.at_server("https://no-such-host.invalid:6443");
    let finished = pod.runs(&["check", "list pods", "list secrets"]).gives(20, &[], Stderr::Empty);
    let lines: Vec<&str> = finished.stdout.lines().collect();
    assert_eq!(lines.len(), 5, "{}", finished.transcript());
    assert_eq!(lines[0], "list pods in ns-1  anonymous unresolved  token -  unresolved");
    assert!(
        lines[1].starts_with("    the name no-such-host.invalid does not resolve: "),
        "{}",
        finished.transcript()
    );
    assert!(
        lines[2].starts_with(
            "    check the spelling of the name, and DNS (/etc/resolv.conf), or use the API server's address"
        ),
        "{}",
        finished.transcript()
    );
    assert_eq!(lines[3], "list secrets       anonymous -           token -  not asked");
    assert_eq!(lines[4], "unresolved (20): the API server's name does not resolve");
    let why =
        "kubeknock: unresolved (20): the API server's name does not resolve: the name no-such-host.invalid";
    pod.runs(&["get", "/version"]).gives(20, &[], Stderr::Has(why));
    assert_eq!(cluster.connections(), 0);
}

#[test]
fn unreachable() {
    const ACCEPTED: &str = "check that the API server runs, and for a mesh, proxy or load balancer on the way; kubeknock doctor checks each step";
    const ADVICE: &str = "check the address, that the API server is up, and that no NetworkPolicy or mesh blocks it; kubeknock doctor checks each step";
    let refused = faults::refuses();
    Pod::in_front_of(&refused).runs(&["check", "list pods", "list secrets"]).is(
        21,
        &format!(
            "\
list pods in ns-1  anonymous unreachable  token -  unreachable
    SERVER: connection refused
    {ADVICE}
list secrets       anonymous -            token -  not asked
unreachable (21): the connection to the API server fails, or closes without an answer
"
        ),
        "",
    );
    Pod::in_front_of(&refused).runs(&["get", "/version"]).is(
        21,
        "",
        "kubeknock: unreachable (21): the connection to the API server fails, or closes without an answer: SERVER: connection refused\n",
    );
    for (listener, why, advice) in [
        (faults::resets(), "SERVER accepts connections and closes them in the TLS handshake: ", ACCEPTED),
        (faults::closes(), "SERVER accepts connections and closes them in the TLS handshake: ", ACCEPTED),
        (faults::closes_after_request(), "SERVER closed the connection without an answer\n", ADVICE),
    ] {
        let finished = Pod::in_front_of(&listener).runs(&["check", "list pods"]).gives(
            21,
            &["  unreachable\n", advice, "\nunreachable (21): "],
            Stderr::Empty,
        );
        assert!(finished.plain(&finished.stdout).contains(why), "{}", finished.transcript());
    }
}

#[test]
fn untrusted() {
    const OTHER_NAME: &str = "its certificate is signed by CN=somebody else, but the bundle has CN=kubernetes (another cluster's ca.crt, or no intermediate sent)";
    const OTHER_CA: &str = "its certificate is signed by a CA with the bundle's name (CN=kubernetes) but another key: another cluster's ca.crt, or an old one";
    const BUNDLE: &str = r"use this cluster's CA bundle (--certificate-authority ca.crt); get it where kubectl works: kubectl get configmap kube-root-ca.crt -o jsonpath='{.data.ca\.crt}' > ca.crt";
    const PORT: &str = "check the address and the port, and for a proxy or mesh on the way; kubeknock doctor checks each step";
    for (listener, why, advice) in [
        (faults::certificate(Certificate::UnknownAuthority), OTHER_NAME, BUNDLE),
        // The CAs of most clusters share one name.
        (faults::certificate(Certificate::OtherCluster), OTHER_CA, BUNDLE),
        (faults::plaintext(), "the port does not speak TLS (plain HTTP, or another protocol)", PORT),
    ] {
        Pod::in_front_of(&listener).runs(&["check", "get /version", "list pods"]).is(
            22,
            &format!(
                "\
get /version  anonymous untrusted  token -  untrusted
    TLS with SERVER: {why}
    {advice}
list pods     anonymous -          token -  not asked
untrusted (22): the TLS handshake with the API server fails
"
            ),
            "",
        );
        Pod::in_front_of(&listener).runs(&["get", "/version"]).is(
            22,
            "",
            &format!(
                "kubeknock: untrusted (22): the TLS handshake with the API server fails: TLS with SERVER: {why}\n"
            ),
        );
    }
    for (certificate, words) in [
        (
            Certificate::Expired,
            &[
                "its certificate expired ",
                "y ago, on 2020-01-01T00:00:00Z; it is ",
                " by this clock\n    renew the API server's certificate, or set",
            ][..],
        ),
        (
            Certificate::WrongName,
            &[
                "its certificate is from a trusted CA, and is not for 127.0.0.1 but for somewhere-else.example.com",
                "somewhere-else.example.com",
                "--tls-server-name",
            ],
        ),
    ] {
        let listener = faults::certificate(certificate);
        Pod::in_front_of(&listener).runs(&["check", "get /version"]).gives(22, words, Stderr::Empty);
    }
    let listener = faults::certificate(Certificate::WrongName);
    Pod::in_front_of(&listener)
        .runs(&["check", "get /version", "--tls-server-name=somewhere-else.example.com"])
        .gives(0, &["token 200  ok"], Stderr::Empty);
}

/// `-k` accepts any certificate, and a warning says what that means.
#[test]
fn every_certificate_is_accepted_without_verification() {
    const WARNING: &str =
        "kubeknock: warning: --insecure-skip-tls-verify: any server that answers gets the token\n";
    for certificate in [
        Certificate::UnknownAuthority,
        Certificate::OtherCluster,
        Certificate::Expired,
        Certificate::WrongName,
    ] {
        let listener = faults::certificate(certificate);
        Pod::in_front_of(&listener).runs(&["check", "get /version", "--insecure-skip-tls-verify"]).is(
            0,
            "\
get /version  anonymous 200  token 200  ok
    it is allowed without a token too, so it says nothing about the token
ok (0): every permission is as required
",
            WARNING,
        );
    }
    let listener = faults::plaintext();
    Pod::in_front_of(&listener).runs(&["check", "get /version", "--insecure-skip-tls-verify"]).gives(
        22,
        &["the port does not speak TLS"],
        Stderr::Has(WARNING),
    );
}

#[test]
fn timeout() {
    let scene = Scene::with_reader();
    scene.cluster.fail_if(Times::All, Fault::Hang, |seen| seen.authorization.is_some());
    scene.runs(&["check", "list pods", "list secrets", "--timeout", "300ms"]).is(
        23,
        "\
list pods in ns-1  anonymous 403  token timeout  timeout
    SERVER did not answer in time
    check for a NetworkPolicy that drops packets and for an overloaded API server, or raise --timeout; kubeknock doctor checks each step
list secrets       anonymous -    token -        not asked
timeout (23): no verdict before the deadline
",
        "",
    );
    // The knock that timed out was made, and is shown.
    scene.runs(&["check", "-v", "list pods", "--timeout", "300ms"]).gives(
        23,
        &[],
        Stderr::Has("token GET /api/v1/namespaces/ns-1/pods?limit=1: timeout: "),
    );
    scene.runs(&["whoami", "--timeout", "300ms"]).gives(
        23,
        &["token      unknown (timeout)\n"],
        Stderr::Empty,
    );
    scene.runs(&["get", "/version", "--timeout", "300ms"]).is(
        23,
        "",
        "kubeknock: timeout (23): no verdict before the deadline: SERVER did not answer in time\n",
    );
}

#[test]
fn unavailable() {
    let scene = Scene::with_reader();
    for (fault, status, words, advice) in [
        (
            Fault::TooManyRequests { retry_after: 3 },
            429,
            "Too many requests, please try again later.",
            "limits requests",
        ),
        (
            Fault::Unavailable,
            503,
            "the request has been made before all known HTTP paths have been installed, please try again",
            "is up but cannot answer yet",
        ),
        (
            Fault::InternalError,
            500,
            "Internal Server Error: \"\": the authorizer is not there",
            "is up but cannot answer yet",
        ),
    ] {
        scene.cluster.fail(Times::All, fault);
        scene.runs(&["check", "list pods"]).is(
            24,
            &format!(
                "\
list pods in ns-1  anonymous {status}  token {status}  unavailable
    status {status}: {words}
    the API server {advice}: try again later, or use kubeknock wait
unavailable (24): the API server cannot answer now (429, 5xx, or an undecided review)
"
            ),
            "",
        );
        let why = format!(
            "kubeknock: unavailable (24): the API server cannot answer now (429, 5xx, or an undecided review): {words}\n"
        );
        let finished =
            scene.runs(&["get", "/version"]).gives(24, &[words.split('"').next().unwrap()], Stderr::Any);
        assert_eq!(finished.stderr, why);
        scene.cluster.heal();
    }
}

#[test]
fn unserved() {
    let scene = Scene::new();
    scene.grant_everywhere("anything", json!([{ "verbs": ["*"], "nonResourceURLs": ["*"] }]));
    scene.grant("all-gadgets", &["*"], "*", &["*"]);
    scene.runs(&["check", "get /no-such-path", "list gadgets"]).is(
        25,
        "\
get /no-such-path  anonymous 403  token 404  unserved
    the API server does not refuse it, but does not serve it: 404 page not found
    list what there is: kubectl api-resources, and for paths kubectl get --raw /
list gadgets       anonymous -    token -    unserved
    the API server has no resource of that name
    install its CustomResourceDefinition, or list what there is: kubectl api-resources
unserved (25): the API server has no such resource or path
",
        "",
    );
    scene.runs(&["get", "/no-such-path"]).is(
        25,
        "404 page not found\n",
        "kubeknock: unserved (25): the API server has no such resource or path: 404 page not found\n",
    );
    // Granted, but the API server does not serve that method: 405.
    scene.runs(&["get", "/apis/authorization.k8s.io/v1/namespaces/ns-1/localsubjectaccessreviews"]).gives(
        25,
        &["the server does not allow this method on the requested resource"],
        Stderr::Has("kubeknock: unserved (25): "),
    );
}

#[test]
fn unintelligible() {
    const ADVICE: &str = "this answer is not from a Kubernetes API server: check the address, and look for a proxy, portal or mesh on the way";
    for (listener, got, why) in [
        (
            faults::redirects("https://login.example.com/"),
            "302",
            "a redirect to \"https://login.example.com/\"",
        ),
        (faults::web_page(), "200", "a web page, from a proxy or portal: Welcome"),
        (faults::forbidding_web_page(), "403", "a web page, from a proxy or portal: 403 Forbidden"),
    ] {
        Pod::in_front_of(&listener).runs(&["check", "list pods"]).is(
            26,
            &format!(
                "\
list pods in ns-1  anonymous {got}  token {got}  unintelligible
    SERVER answers with status {got}: {why}
    {ADVICE}
unintelligible (26): the answer is not from a Kubernetes API server
"
            ),
            "",
        );
        let finished = Pod::in_front_of(&listener).runs(&["get", "/version"]).gives(26, &[], Stderr::Any);
        assert_eq!(
            finished.stderr,
            format!(
                "kubeknock: unintelligible (26): the answer is not from a Kubernetes API server: {why}\n"
            )
        );
    }
    for listener in [faults::not_http(), faults::endless_head()] {
        Pod::in_front_of(&listener).runs(&["check", "list pods"]).gives(
            26,
            &[
                "anonymous unintelligible  token unintelligible",
                "does not speak HTTP as an API server does",
                ADVICE,
            ],
            Stderr::Empty,
        );
    }
}

#[test]
fn usage() {
    let scene = Scene::new();
    scene.runs(&["check", "list pods in"]).is(
        30,
        "",
        "\
kubeknock: \"in\" needs a namespace after it, or * for all namespaces
  list pods in
            ^
",
    );
    scene.runs(&["get", "version"]).is(
        30,
        "",
        "kubeknock: \"version\" is not a path on the API server: it must begin with / and be percent-encoded, such as /version\n",
    );
    assert_eq!(scene.cluster.connections(), 0);
}

#[test]
fn setup() {
    let Scene { cluster, pod } = Scene::new();
    let pod = pod.with_file("ca.crt", "");
    for arguments in [&["check", "list pods"], &["get", "/version"]] {
        pod.runs(arguments).is(31, "", "kubeknock: CA bundle MOUNT/ca.crt: it is empty\n");
    }
    assert_eq!(cluster.connections(), 0);
}

/// 0x: as required.
#[test]
fn json_of_what_is_allowed() {
    let scene = Scene::with_reader();
    let finished = scene.runs(&["check", "list pods", "-o", "json"]).gives(0, &[], Stderr::Empty);
    assert_eq!(
        report(&finished),
        json!({
            "schema": "kubeknock/v1",
            "outcome": "ok",
            "exitCode": 0,
            "message": "ok (0): every permission is as required",
            "server": "https://SERVER",
            "serverVersion": null,
            "identity": { "user": USER, "source": "token" },
            "permissions": [{
                "phrase": "list pods in ns-1",
                "expected": "can",
                "ok": true,
                "outcome": "ok",
                "asked": true,
                "anonymous": {
                    "status": 403,
                    "user": "system:anonymous",
                    "reason": "pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group \"\" in the namespace \"ns-1\"",
                    "milliseconds": 0,
                },
                "token": { "status": 200, "user": null, "reason": "", "milliseconds": 0 },
                "why": [],
                "remedy": [],
            }],
        })
    );
}

/// 1x: who is refused, why, and the commands that grant it.
#[test]
fn json_of_a_no() {
    let scene = Scene::new();
    let finished = scene.runs(&["check", "list pods", "cannot list secrets", "-o=json", "--token-only"]);
    let finished = finished.gives(10, &[], Stderr::Empty);
    let refusal = |what: &str| {
        format!(
            "{what} is forbidden: User \"{USER}\" cannot list resource \"{what}\" in API group \"\" in the namespace \"ns-1\""
        )
    };
    assert_eq!(
        report(&finished),
        json!({
            "schema": "kubeknock/v1",
            "outcome": "forbidden",
            "exitCode": 10,
            "message": "forbidden (10): the token's identity does not have the permission",
            "server": "https://SERVER",
            "serverVersion": null,
            "identity": { "user": USER, "source": "server" },
            "permissions": [
                {
                    "phrase": "list pods in ns-1",
                    "expected": "can",
                    "ok": false,
                    "outcome": "forbidden",
                    "asked": true,
                    "anonymous": null,
                    "token": { "status": 403, "user": USER, "reason": refusal("pods"), "milliseconds": 0 },
                    "why": [refusal("pods")],
                    "remedy": [
                        "kubectl create role k-sa-1-list-pods --verb=list --resource=pods --namespace=ns-1",
                        "kubectl create rolebinding k-sa-1-list-pods --role=k-sa-1-list-pods --serviceaccount=ns-1:k-sa-1 --namespace=ns-1",
                    ],
                },
                {
                    "phrase": "cannot list secrets in ns-1",
                    "expected": "cannot",
                    "ok": true,
                    "outcome": "ok",
                    "asked": true,
                    "anonymous": null,
                    "token": { "status": 403, "user": USER, "reason": refusal("secrets"), "milliseconds": 0 },
                    "why": [],
                    "remedy": [],
                },
            ],
        })
    );
}

/// 2x: a knock without an answer has no status, and a permission that was not asked says so.
#[test]
fn json_of_no_answer() {
    let finished =
        Pod::in_front_of(&faults::refuses()).runs(&["check", "list pods", "list secrets in vault", "-ojson"]);
    let finished = finished.gives(21, &[], Stderr::Empty);
    assert_eq!(
        report(&finished),
        json!({
            "schema": "kubeknock/v1",
            "outcome": "unreachable",
            "exitCode": 21,
            "message": "unreachable (21): the connection to the API server fails, or closes without an answer",
            "server": "https://SERVER",
            "serverVersion": null,
            "identity": { "user": USER, "source": "token" },
            "permissions": [
                {
                    "phrase": "list pods in ns-1",
                    "expected": "can",
                    "ok": false,
                    "outcome": "unreachable",
                    "asked": true,
                    "anonymous": {
                        "status": null, "user": null, "reason": "SERVER: connection refused", "milliseconds": 0,
                    },
                    "token": null,
                    "why": [
                        "SERVER: connection refused",
                        "check the address, that the API server is up, and that no NetworkPolicy or mesh blocks it; kubeknock doctor checks each step",
                    ],
                    "remedy": [],
                },
                {
                    "phrase": "list secrets in vault",
                    "expected": "can",
                    "ok": false,
                    "outcome": "unreachable",
                    "asked": false,
                    "anonymous": null,
                    "token": null,
                    "why": [],
                    "remedy": [],
                },
            ],
        })
    );
}

/// 3x: the same line is on stderr, for people.
#[test]
fn json_of_what_could_not_be_asked() {
    let message = "CA bundle MOUNT/ca.crt: No such file or directory (os error 2)";
    let Scene { cluster: _cluster, pod } = Scene::new();
    let pod = pod.without_file("ca.crt");
    for arguments in [&["check", "list pods", "-ojson"][..], &["get", "/version", "-ojson"]] {
        let finished = pod.runs(arguments).gives(31, &[], Stderr::Any);
        assert_eq!(
            report(&finished),
            json!({ "schema": "kubeknock/v1", "outcome": "setup", "exitCode": 31, "message": message })
        );
        assert_eq!(finished.plain(&finished.stderr), format!("kubeknock: {message}\n"));
    }
    // Also if the command line as a whole cannot be read.
    for arguments in [&["check", "-ojson", "--nope"][..], &["check", "--output=json", "--nope"]] {
        let finished = pod.runs(arguments).gives(30, &[], Stderr::Any);
        let message = "check has no option --nope: see kubeknock check --help";
        assert_eq!(
            report(&finished),
            json!({ "schema": "kubeknock/v1", "outcome": "usage", "exitCode": 30, "message": message })
        );
    }
    pod.runs(&["check", "-ojson", "-q", "--nope"]).gives(30, &[], Stderr::Any).has_no_stdout();
}

#[test]
fn json_of_a_raw_request() {
    let scene = Scene::with_reader();
    let finished = scene.runs(&["get", "/readyz", "-ojson"]).gives(0, &[], Stderr::Empty);
    let mut object = report(&finished);
    let date = object["headers"]["date"].take();
    assert!(date.as_str().is_some_and(|date| date.ends_with(" GMT")), "{date}");
    assert_eq!(
        object,
        json!({
            "schema": "kubeknock/v1",
            "outcome": "ok",
            "exitCode": 0,
            "status": 200,
            "headers": {
                "cache-control": "no-cache, private",
                "content-length": "2",
                "content-type": "text/plain; charset=utf-8",
                "date": null,
                "x-content-type-options": "nosniff",
            },
            "body": "ok",
            "truncated": false,
        })
    );
    let finished = scene.runs(&["get", "/metrics", "-o", "json"]).gives(
        10,
        &[],
        Stderr::Has(
            "kubeknock: forbidden (10): the token's identity does not have the permission: forbidden: User",
        ),
    );
    let object = report(&finished);
    assert_eq!(
        (&object["outcome"], &object["exitCode"], &object["status"]),
        (&json!("forbidden"), &json!(10), &json!(403))
    );
    assert_eq!(object["body"]["reason"], "Forbidden", "JSON is passed on as JSON");
    let finished =
        Pod::in_front_of(&faults::refuses()).runs(&["get", "/version", "-ojson"]).gives(21, &[], Stderr::Any);
    assert_eq!(
        report(&finished),
        json!({ "schema": "kubeknock/v1", "outcome": "unreachable", "exitCode": 21, "body": "", "truncated": false })
    );
}

/// The address of the API server comes from the kubelet's variables. An IPv6 address has no brackets there.
#[test]
fn injected_variables() {
    let cluster = testbed::Cluster::builder().listen("[::1]:0").start();
    let Scene { cluster, pod } = Scene::on(cluster);
    let port = cluster.address().port().to_string();
    let run = |host: &str, port: &str| {
        let mut command = Kubeknock::command(["check", "get /version", "-v", "--service-account-dir"]);
        command.arg(pod.mount());
        pod.run(command.env("KUBERNETES_SERVICE_HOST", host).env("KUBERNETES_SERVICE_PORT", port))
    };
    run("::1", &port).gives(0, &["token 200  ok"], Stderr::Has("token GET /version: 200"));
    run("[::1]", &port).gives(0, &["token 200  ok"], Stderr::Any);
    run("::1", "0").is(
        31,
        "",
        "kubeknock: KUBERNETES_SERVICE_PORT \"0\": the port \"0\" is not between 1 and 65535\n",
    );
    // Options take precedence over variables.
    let mut command = pod.command(["check", "get /version"]);
    pod.run(
        command.env("KUBERNETES_SERVICE_HOST", "no-such-host.invalid").env("KUBERNETES_SERVICE_PORT", "1"),
    )
    .gives(0, &["ok (0)"], Stderr::Empty);
    // Without both, the name that every cluster has is used.
    let mut command =
        Kubeknock::command(["check", "get /version", "-ojson", "--timeout=300ms", "--service-account-dir"]);
    let finished = pod.run(command.arg(pod.mount()).env("KUBERNETES_SERVICE_HOST", "::1"));
    assert!(
        finished.stdout.contains("\"server\":\"https://kubernetes.default.svc.cluster.local:443\""),
        "{}",
        finished.transcript()
    );
}

/// The same without a mount and without variables: only options.
#[test]
fn everything_by_options() {
    let scene = Scene::with_reader();
    let elsewhere = tempfile::tempdir().unwrap();
    let file = |name: &str| elsewhere.path().join(name).display().to_string();
    std::fs::write(file("my-token"), scene.pod.token().unwrap() + "\n").unwrap();
    std::fs::write(file("my-ca"), scene.cluster.ca_pem()).unwrap();
    let pod = Pod::at(&scene.cluster.server(), "", "", "");
    pod.runs(&[
        "--token-file",
        &file("my-token"),
        "check",
        "--certificate-authority",
        &file("my-ca"),
        "list pods in ns-1",
    ])
    .gives(0, &["list pods in ns-1  anonymous 403  token 200  ok"], Stderr::Empty);
}

/// A panic exits with 32. From outside, doctor panics if it may not start a thread.
#[test]
fn internal() {
    let Scene { cluster, pod } = Scene::new();
    let open = |path: &Path| std::fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    // Root may start threads beyond any limit, so the test runs as another user, who must be able to read all
    // files.
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("kubeknock");
    std::fs::copy(Kubeknock::file(), &copy).unwrap();
    [folder.path(), &copy, pod.mount()].into_iter().for_each(open);
    let mut command = Command::new("bash");
    // An emulator has two threads of its own.
    let limit = if runner().is_some() { "2" } else { "0" };
    command.args(["-c", "ulimit -u $0; exec \"$@\"", limit]).args(runner()).arg(&copy).arg("doctor");
    command.args(["--server", &cluster.server(), "--service-account-dir"]).arg(pod.mount()).env_clear();
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        command.uid(65531).gid(65531);
    }
    let finished = pod.run(&mut command);
    let stderr = &finished.stderr;
    assert!(
        stderr.starts_with("kubeknock: a defect in kubeknock ")
            && stderr.ends_with(": please report it at https://github.com/kubeknock/kubeknock/issues\n"),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "no backtrace: {stderr}");
    finished.gives(32, &[], Stderr::Any).has_no_stdout();
    assert!(cluster.requests().is_empty());
}
