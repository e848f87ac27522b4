//! What the stand-in does beyond the recordings: grants that are created and deleted, tokens, faults, restarts,
//! and each misbehaving listener.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testbed::client::{Client, Credential};
use testbed::faults::{self, Certificate, Listener};
use testbed::recordings::AGGREGATED;
use testbed::{Cluster, Fault, Times, TokenSpec, World, rbac_path};

use crate::Scene;

const PODS: &str = "/api/v1/namespaces/ns-1/pods?limit=1";

/// The scene, and the token of its pod.
fn scene() -> (Scene, String) {
    let scene = Scene::new();
    let token = scene.pod.token().unwrap();
    (scene, token)
}

fn get(cluster: &Cluster, token: &str, path: &str) -> u16 {
    ask(cluster, token, path, &[]).0
}

fn ask(cluster: &Cluster, token: &str, path: &str, headers: &[(&str, &str)]) -> (u16, Value) {
    let client = Client::new(&cluster.server(), &cluster.ca_pem(), Credential::Bearer(token.to_owned()));
    let (status, _, body) = client.request("GET", path, headers, &[]).unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body))))
}

#[test]
fn a_grant_comes_and_goes() {
    let (scene, token) = scene();
    assert_eq!(get(&scene.cluster, &token, PODS), 403);
    scene.grant_list();
    assert_eq!(get(&scene.cluster, &token, PODS), 200);
    assert_eq!(get(&scene.cluster, &token, "/api/v1/namespaces/default/pods"), 403);
    assert_eq!(get(&scene.cluster, "", PODS), 403);
    scene.revoke_list();
    assert_eq!(get(&scene.cluster, &token, PODS), 403);
}

#[test]
fn rules_are_as_narrow_as_they_say() {
    let (scene, token) = scene();
    let rules = json!([
        { "verbs": ["get"], "apiGroups": [""], "resources": ["pods/log"] },
        { "verbs": ["get", "list"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["db"] },
        { "verbs": ["get"], "apiGroups": ["*"], "resources": ["*/scale"] },
        { "verbs": ["get"], "nonResourceURLs": ["/metrics", "/openapi/*"] },
    ]);
    scene.grant_everywhere("narrow", rules);
    let cases = [
        ("/api/v1/namespaces/ns-1/pods/web-0/log", 404),
        ("/api/v1/namespaces/ns-1/pods/web-0", 403),
        ("/api/v1/namespaces/ns-1/secrets/db", 404),
        ("/api/v1/namespaces/ns-1/secrets/other", 403),
        ("/api/v1/namespaces/ns-1/secrets", 403),
        ("/api/v1/namespaces/ns-1/secrets?fieldSelector=metadata.name%3Ddb", 200),
        ("/apis/apps/v1/namespaces/ns-1/deployments/web/scale", 400),
        ("/apis/apps/v1/namespaces/ns-1/deployments/web", 403),
        ("/metrics", 200),
        ("/metrics/cadvisor", 403),
        ("/openapi/v2", 404),
    ];
    for (path, status) in cases {
        assert_eq!(get(&scene.cluster, &token, path), status, "{path}");
    }
}

#[test]
fn every_kind_of_missing_has_its_own_answer() {
    let cluster = Cluster::start();
    let cases = [
        ("/api/v1/namespaces/default/pods/x", 404, "pods \"x\" not found"),
        ("/api/v1/namespaces/default/gadgets", 404, "the server could not find the requested resource"),
        ("/api/v1/namespaces/default/nodes", 404, "the server could not find the requested resource"),
        (
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            405,
            "the server does not allow this method on the requested resource",
        ),
    ];
    for (path, status, message) in cases {
        let (code, body) = ask(&cluster, cluster.admin_token(), path, &[]);
        assert_eq!((code, body["message"].as_str()), (status, Some(message)), "{path}");
    }
    for path in ["/apis/nope.example.com/v1/things", "/nope"] {
        assert_eq!(ask(&cluster, cluster.admin_token(), path, &[]), (404, json!("404 page not found\n")));
    }
}

#[test]
fn custom_resources_join_discovery() {
    let cluster = Cluster::start();
    cluster.custom_resource("example.com", "v1", "widgets", "Widget", "Cluster");
    let aggregated = [("accept", AGGREGATED)];
    let admin = cluster.admin_token();
    let (_, all) = ask(&cluster, admin, "/apis", &aggregated);
    assert!(all.to_string().contains("\"singularResource\":\"widget\""), "{all}");
    let (_, list) = ask(&cluster, admin, "/apis/example.com/v1", &[]);
    assert_eq!(list["resources"][0]["namespaced"], false, "{list}");
    cluster.create("/apis/example.com/v1/widgets", json!({ "metadata": { "name": "w" } }));
    assert_eq!(ask(&cluster, admin, "/apis/example.com/v1/widgets/w", &[]).1["kind"], "Widget");
    assert_eq!(get(&cluster, admin, "/apis/example.com/v1/nope"), 404);
}

#[test]
fn it_reads_what_kubectl_writes() {
    let text =
        |number: u8, text: &[u8]| [&[number << 3 | 2, u8::try_from(text.len()).unwrap()], text].concat();
    let about = text(1, &[text(1, b"v1"), text(2, b"Namespace")].concat());
    let raw = text(2, &text(1, &[text(1, b"ns-2"), text(3, b"")].concat()));
    let body = [b"k8s\0", about.as_slice(), &raw].concat();
    let cluster = Cluster::start();
    let admin = Credential::Bearer(cluster.admin_token().to_owned());
    let client = Client::new(&cluster.server(), &cluster.ca_pem(), admin);
    assert_eq!(client.request("POST", "/api/v1/namespaces", &[], &body).unwrap().0, 201);
    assert_eq!(get(&cluster, cluster.admin_token(), "/api/v1/namespaces/ns-2"), 200);
}

#[test]
fn only_valid_tokens_are_accepted() {
    let (scene, token) = scene();
    let with = |change: &dyn Fn(&mut TokenSpec)| get(&scene.cluster, &scene.token_with(change), "/version");
    assert_eq!(with(&|_| {}), 200);
    assert_eq!(with(&|spec| spec.expires_in = -5), 401);
    assert_eq!(with(&|spec| spec.audience = "vault".into()), 401);
    assert_eq!(with(&|spec| spec.issuer = "https://elsewhere".into()), 401);
    scene.cluster.strip_tokens(true);
    let (_, body) = ask(&scene.cluster, &token, PODS, &[]);
    assert!(body["message"].as_str().unwrap().contains("system:anonymous"));
    scene.cluster.heal();
    scene.cluster.delete("/api/v1/namespaces/ns-1/serviceaccounts/k-sa-1");
    assert_eq!(get(&scene.cluster, &token, "/version"), 401);
}

#[test]
fn faults_strike_as_often_as_requested() {
    let (scene, token) = scene();
    scene.cluster.fail(Times::Next(1), Fault::TooManyRequests { retry_after: 7 });
    assert_eq!(
        [401, 429, 403],
        [("bad", PODS), (&token, PODS), (&token, PODS)].map(|(who, path)| get(&scene.cluster, who, path))
    );
    scene
        .cluster
        .fail_if(Times::All, Fault::raw(302, "text/html", "away"), |seen| seen.authorization.is_some());
    assert_eq!([302, 302], [0; 2].map(|_| get(&scene.cluster, &token, PODS)));
    scene.cluster.heal();
    scene.cluster.fail(Times::Next(1), Fault::HangUp);
    let client = Client::new(&scene.cluster.server(), &scene.cluster.ca_pem(), Credential::None);
    assert!(client.request("GET", PODS, &[], &[]).is_err());
    assert_eq!(scene.cluster.wait_for_requests(6).last().unwrap().authorization, None);
    assert_eq!((scene.cluster.connections(), scene.cluster.handshakes()), (6, 6));
    scene.cluster.forget();
    assert_eq!((scene.cluster.requests().len(), scene.cluster.connections()), (0, 0));
}

#[test]
fn it_stops_and_starts_on_the_same_port() {
    let (mut scene, token) = scene();
    scene.cluster.stop();
    assert_eq!(TcpStream::connect(scene.cluster.address()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    scene.grant_list();
    scene.cluster.restart();
    assert_eq!(get(&scene.cluster, &token, PODS), 200);
    let old = scene.cluster.ca_pem();
    scene.cluster.rotate_ca();
    assert_eq!(get(&scene.cluster, &token, PODS), 200);
    assert!(
        Client::new(&scene.cluster.server(), &old, Credential::None).request("GET", PODS, &[], &[]).is_err()
    );
}

#[test]
fn behind_a_proxy_every_request_is_the_proxied_users() {
    let cluster = Cluster::builder().plain_http("system:serviceaccount:ns-1:k-sa-1").start();
    let (status, body) = ask(&cluster, "ignored", PODS, &[]);
    assert_eq!(status, 403);
    assert!(body["message"].as_str().unwrap().contains("system:serviceaccount:ns-1:k-sa-1"));
}

#[test]
fn a_watch_sends_what_exists_and_what_changes_and_stays_open() {
    let cluster = Cluster::builder().plain_http("watcher").start();
    cluster.create(
        &rbac_path("", "clusterroles"),
        json!({
            "metadata": { "name": "w" },
            "rules": [{ "verbs": ["watch"], "apiGroups": [""], "resources": ["configmaps"] }],
        }),
    );
    cluster.create(
        &rbac_path("", "clusterrolebindings"),
        json!({
            "metadata": { "name": "w" }, "subjects": [{ "kind": "User", "name": "watcher" }],
            "roleRef": { "kind": "ClusterRole", "name": "w" },
        }),
    );
    let configmaps = "/api/v1/namespaces/default/configmaps";
    cluster.create(configmaps, json!({ "metadata": { "name": "first" } }));
    let mut stream = TcpStream::connect(cluster.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(format!("GET {configmaps}?watch=1 HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    let mut seen = String::new();
    let mut read_until = |wanted: &str| {
        while !seen.contains(wanted) {
            let mut buffer = [0; 4096];
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "the watch ended: {seen}");
            seen.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        }
    };
    read_until("\"name\":\"first\"");
    cluster.create(configmaps, json!({ "metadata": { "name": "second" } }));
    read_until("\"name\":\"second\"");
    cluster.delete(&format!("{configmaps}/second"));
    read_until("DELETED");
}

#[test]
fn a_mount_rotates_as_a_whole() {
    let (scene, _) = scene();
    let dir = tempfile::tempdir().unwrap();
    let read = || {
        ["token", "ca.crt", "namespace"].map(|name| std::fs::read_to_string(dir.path().join(name)).unwrap())
    };
    scene.cluster.mount(dir.path(), "ns-1", "k-sa-1");
    let [first, ca, namespace] = read();
    assert_eq!((ca, namespace.as_str()), (scene.cluster.ca_pem(), "ns-1"));
    scene.cluster.mount(dir.path(), "ns-1", "k-sa-1");
    let [second, ..] = read();
    assert_ne!(first, second);
    assert_eq!(get(&scene.cluster, &first, "/version"), 200);
    assert_eq!(get(&scene.cluster, &second, "/version"), 200);
}

/// What a client gets from a listener.
fn knock(listener: &Listener) -> Result<(u16, Vec<u8>), String> {
    let client = Client::new(&listener.server(), &listener.ca_pem(), Credential::None);
    client.request("GET", "/version", &[], &[]).map(|(status, _, body)| (status, body))
}

#[test]
fn listeners_that_answer_answer() {
    let cases = [
        (faults::certificate(Certificate::Good), 200),
        (faults::redirects("https://127.0.0.1:1/login"), 302),
        (faults::web_page(), 200),
        (faults::forbidding_web_page(), 403),
    ];
    for (listener, status) in cases {
        assert_eq!(knock(&listener).unwrap().0, status);
        assert_eq!(listener.connections(), 1);
    }
}

#[test]
fn listeners_that_fail_fail_in_their_own_way() {
    let cases = [
        (faults::refuses(), "refused"),
        (faults::plaintext(), "corrupt message"),
        (faults::resets(), "reset"),
        (faults::closes(), "eof"),
        (faults::closes_after_request(), "connection"),
        (faults::not_http(), "invalid HTTP version parsed"),
        (faults::endless_head(), "message head is too large"),
        (faults::certificate(Certificate::UnknownAuthority), "UnknownIssuer"),
        (faults::certificate(Certificate::OtherCluster), "BadSignature"),
        (faults::certificate(Certificate::Expired), "expired"),
        (faults::certificate(Certificate::WrongName), "not valid for name"),
    ];
    for (listener, words) in cases {
        let error = knock(&listener).unwrap_err();
        assert!(error.contains(words), "{words}: {error}");
    }
}

/// Listeners that keep a client waiting do so until they are dropped, and then end at once.
#[test]
fn listeners_that_hang_hang_until_they_are_dropped() {
    let cases = [
        faults::silent(),
        faults::silent_after_tls(),
        faults::stops_after_status_line(),
        faults::drips(Duration::from_millis(10)),
        faults::drips_head(Duration::from_millis(10)),
        faults::endless_body(),
    ];
    for listener in cases {
        let client = Client::new(&listener.server(), &listener.ca_pem(), Credential::None);
        let knocking = std::thread::spawn(move || client.request("GET", "/version", &[], &[]).map(drop));
        std::thread::sleep(Duration::from_millis(100));
        assert!(!knocking.is_finished(), "{:?}", knocking.join());
        drop(listener);
        assert!(knocking.join().unwrap().is_err());
    }
    let listener = faults::never_accepts();
    let begin = Instant::now();
    let error = TcpStream::connect_timeout(&listener.address(), Duration::from_millis(150)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "after {:?}", begin.elapsed());
}
