//! What is promised of every run: one connection, the same request twice, and a token that only the API server
//! gets.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use testbed::faults::{self, Certificate, read_request, tcp_listener, tls_listener};
use testbed::{Cluster, Fault, Seen, Stderr, Times, Version, World};

use crate::{Pod, Scene};

#[test]
fn one_connection_and_one_handshake_for_a_run() {
    let scene = Scene::with_reader();
    scene.runs(&["check", "list pods", "create pods/*/exec", "get /version"]).gives(10, &[], Stderr::Empty);
    assert_eq!(scene.cluster.requests().len(), 6);
    assert_eq!((scene.cluster.connections(), scene.cluster.handshakes()), (1, 1));
    scene.cluster.forget();
    // Discovery uses the same connection. So do refusals, errors, and objects of which only a part is read.
    let annotations = serde_json::json!({ "notes": "x".repeat(20_000) });
    let pod = serde_json::json!({ "metadata": { "name": "web-0", "annotations": annotations } });
    scene.cluster.create("/api/v1/namespaces/ns-1/pods", pod);
    let long = Fault::raw(500, "text/plain", &"x".repeat(100_000));
    scene.cluster.fail_if(Times::All, long, |seen| seen.path_and_query == "/metrics");
    scene.runs(&[
        "check",
        "list secrets",
        "list deploy",
        "list gadgets",
        "get /metrics",
        "list pods",
        "get pods/web-0",
        "watch pods",
    ]);
    assert_eq!(scene.cluster.requests().len(), 14);
    assert_eq!((scene.cluster.connections(), scene.cluster.handshakes()), (1, 1));
}

/// A server that is far is asked over several connections: each question once as each identity, first without the
/// token, and what is reported is what one connection would have found.
#[test]
fn further_connections_ask_each_question_once_and_report_the_same() {
    let scene = Scene::with_reader();
    let mut phrases = vec!["watch pods".to_owned()];
    for number in 0..8 {
        phrases.push(format!("list pods in ns-{number}"));
        phrases.push(format!("cannot create pods in ns-{number}"));
        phrases.push(format!("get /path-{number}"));
        phrases.push(format!("list gadgets-{number}"));
    }
    let phrases: Vec<&str> = phrases.iter().map(String::as_str).collect();
    let near = scene.runs(&[&["check"], &phrases[..]].concat());
    scene.cluster.forget();
    scene.cluster.delay(Duration::from_millis(20));
    let far = scene.runs(&[&["check", "-v"], &phrases[..]].concat());
    assert_eq!((far.code, &far.stdout), (near.code, &near.stdout));
    let connections = scene.cluster.connections();
    assert!((2..=9).contains(&connections), "{connections} connections");

    let seen = scene.cluster.requests();
    // Discovery is asked for once, with the token.
    let is_discovery = |seen: &Seen| ["/api", "/apis"].contains(&seen.path_and_query.as_str());
    assert!(seen.iter().filter(|seen| is_discovery(seen)).count() <= 2);
    let mut knocks = BTreeMap::new();
    for seen in seen.iter().filter(|seen| !is_discovery(seen)) {
        let question = (&seen.path_and_query, &seen.body);
        knocks.entry(question).or_insert_with(Vec::new).push((seen.connection, seen.authorization.is_some()));
    }
    assert_eq!(knocks.len(), 25, "watch, list, create, get");
    for ((path, _), knocks) in knocks {
        let connection = knocks[0].0;
        assert_eq!(knocks, [(connection, false), (connection, true)], "{path}");
    }
    let lines: BTreeSet<&str> = far.stderr.lines().map(|line| line.split_once(" (").unwrap().0).collect();
    let reviews = |line: &&str| line.contains("selfsubjectaccessreviews");
    assert_eq!(far.stderr.lines().count(), seen.len(), "a line for each request\n{}", far.transcript());
    assert_eq!(lines.iter().filter(|line| !reviews(line)).count(), seen.len() - 16, "{}", far.transcript());
}

/// So are the many documents of a server without aggregated discovery.
#[test]
fn further_connections_ask_for_each_document_once() {
    let scene = Scene::of(Version::V1_20);
    let phrases = ["list gadgets", "list deploy", "list leases"];
    let near = scene.runs(&[&["check"], &phrases[..]].concat());
    let mut expected = scene.asked();
    scene.cluster.delay(Duration::from_millis(20));
    let far = scene.runs(&[&["check"], &phrases[..]].concat());
    assert_eq!((far.code, &far.stdout, &far.stderr), (near.code, &near.stdout, &near.stderr));
    let connections = scene.cluster.connections();
    assert!((2..=9).contains(&connections), "{connections} connections");
    let mut asked = scene.asked();
    assert!(asked.len() > 20, "{asked:?}");
    asked.sort_unstable();
    expected.sort_unstable();
    assert_eq!(asked, expected);
}

/// The rounds of a gate are asked over as many, and the second resumes sessions of the first.
#[test]
fn rounds_have_further_connections_too() {
    let scene = Scene::with_lister();
    scene.cluster.delay(Duration::from_millis(20));
    let phrases: Vec<String> =
        (0..30).map(|number| format!("cannot list pods in ns-{}", number + 2)).collect();
    let phrases: Vec<&str> = phrases.iter().map(String::as_str).collect();
    scene.runs(&[&["wait", "--stable=2"], &phrases[..]].concat()).gives(0, &[], Stderr::Empty);
    let seen = scene.cluster.requests();
    assert_eq!(seen.len(), 30 * 3, "the anonymous knocks are made once");
    let with_token = seen.iter().filter(|seen| seen.authorization.is_some()).count();
    assert_eq!(with_token, 60);
    let (connections, resumed) = (scene.cluster.connections(), scene.cluster.resumptions());
    assert!((4..=18).contains(&connections), "{connections} connections");
    assert!(resumed >= 3, "{resumed} of {connections} handshakes resumed a session");
}

/// Few permissions are asked over one connection, however far the server is.
#[test]
fn a_gate_has_one_connection() {
    let scene = Scene::with_reader();
    scene.cluster.delay(Duration::from_millis(40));
    let phrases = ["list pods", "get pods/web-0", "get,list,watch secrets", "create pods", "list nodes"];
    scene.runs(&[&["check"], &phrases[..]].concat()).gives(10, &[], Stderr::Empty);
    assert_eq!((scene.cluster.requests().len(), scene.cluster.connections()), (14, 1));
}

/// A server that is too busy for several connections is asked on one from then on, again for what it did not answer.
#[test]
fn too_many_requests_on_one_connection_slow_all() {
    let scene = Scene::with_lister();
    let phrases: Vec<String> =
        (0..40).map(|number| format!("cannot list pods in ns-{}", number + 2)).collect();
    let phrases: Vec<&str> = phrases.iter().map(String::as_str).collect();
    scene.cluster.delay(Duration::from_millis(10));
    let is_busy = |seen: &Seen| seen.path_and_query.contains("/ns-12/") && seen.authorization.is_some();
    scene.cluster.fail_if(Times::Next(1), Fault::TooManyRequests { retry_after: 1 }, is_busy);
    scene.runs(&[&["check"], &phrases[..]].concat()).gives(0, &[], Stderr::Empty);
    let seen = scene.cluster.requests();
    assert_eq!(seen.len(), 81, "all are asked, and one again");
    let mut busy = seen.iter().enumerate().filter(|(_, seen)| is_busy(seen)).map(|(at, _)| at);
    let (busy, again) = (busy.next().unwrap(), busy.next().unwrap());
    // What was being asked is answered: no more than a permission each of nine connections.
    assert!(again - busy <= 18, "{busy} {again}");
    let mut after: Vec<usize> = seen[again..].iter().map(|seen| seen.connection).collect();
    after.dedup();
    assert_eq!(after.len(), 1, "{after:?}");
    assert_ne!(after[0], seen[busy].connection);
}

/// The same method, path, headers and body, except for `Authorization`, which only the second request has.
#[test]
fn both_knocks_send_the_same_request() {
    let scene = Scene::with_reader();
    let token = scene.pod.token().unwrap();
    let phrases = ["list pods", "get pods/web-0", "delete pods/web-0", "get /version", "watch pods"];
    scene.runs(&[&["check"], &phrases[..]].concat());
    let seen = scene.cluster.requests();
    assert_eq!(seen.len(), 2 * phrases.len());
    for pair in seen.chunks(2) {
        let [anonymous, with_token] = pair else { panic!("{pair:?}") };
        assert_eq!(anonymous.authorization, None);
        assert_eq!(with_token.authorization, Some(format!("Bearer {token}")));
        assert_eq!(anonymous.method, with_token.method);
        assert_eq!(anonymous.path_and_query, with_token.path_and_query);
        assert_eq!(anonymous.body, with_token.body);
        let others = with_token.headers.iter().filter(|(name, _)| name != "authorization");
        assert_eq!(anonymous.headers.iter().collect::<Vec<_>>(), others.collect::<Vec<_>>());
        assert!(!anonymous.headers.iter().any(|(_, value)| value.contains(&token)));
        assert_eq!(with_token.header("user-agent"), Some(concat!("kubeknock/", env!("CARGO_PKG_VERSION"))));
        assert_eq!(with_token.header("host"), Some(scene.cluster.address().to_string().as_str()));
        assert_eq!(with_token.header("accept-encoding"), None, "compressed answers would not be read");
        assert!(!with_token.path_and_query.contains(&token));
    }
}

/// Only the metadata of objects is requested, so that no content of a Secret is transferred.
#[test]
fn only_metadata_is_asked_for() {
    let scene = Scene::new();
    scene.runs(&[
        "check",
        "--token-only",
        "-q",
        "list secrets",
        "get secrets/db",
        "list deployments.apps",
        "get deployments.apps/web",
    ]);
    let accepts: Vec<_> = scene
        .cluster
        .requests()
        .iter()
        .filter(|seen| seen.path_and_query.contains("/namespaces/"))
        .map(|seen| seen.header("accept").unwrap().to_owned())
        .collect();
    let list = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
    let object = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
    assert_eq!(accepts, [list, object, list, object]);
}

/// Also if the secret is in an annotation, where `kubectl apply` leaves a copy.
#[test]
fn what_an_allowed_read_returns_is_never_shown() {
    let scene = Scene::new();
    scene.grant("secrets", &["get", "list", "watch"], "", &["secrets"]);
    scene.cluster.create(
        "/api/v1/namespaces/ns-1/secrets",
        serde_json::json!({
            "metadata": { "name": "db", "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "hunter2" } },
            "stringData": { "password": "hunter2" },
        }),
    );
    for format in ["text", "json"] {
        let finished = scene.runs(&["check", "-v", "-o", format, "get,list,watch secrets/db"]).gives(
            0,
            &["ok (0)"],
            Stderr::Any,
        );
        assert!(!finished.transcript().contains("hunter2"), "{}", finished.transcript());
    }
}

/// Every kind of failure, with every option that makes output longer. `Pod::run` checks that no output has the
/// token.
#[test]
fn the_token_is_in_no_output() {
    let listeners = [
        faults::refuses(),
        faults::resets(),
        faults::closes(),
        faults::closes_after_request(),
        faults::plaintext(),
        faults::not_http(),
        faults::endless_head(),
        faults::endless_body(),
        faults::stops_after_status_line(),
        faults::silent(),
        faults::redirects("https://login.example.com/"),
        faults::web_page(),
        faults::forbidding_web_page(),
        faults::certificate(Certificate::UnknownAuthority),
        faults::certificate(Certificate::WrongName),
    ];
    for listener in &listeners {
        let pod = Pod::in_front_of(listener);
        assert!(pod.token().is_some_and(|token| token.len() > 50));
        for format in ["text", "json"] {
            pod.runs(&[
                "check",
                "-v",
                "-o",
                format,
                "--timeout=200ms",
                "list pods",
                "create pods",
                "list deploy",
            ]);
            pod.runs(&["get", "-v", "-i", "-o", format, "--timeout=200ms", "/version"]);
        }
    }
    let scene = Scene::new();
    for format in ["text", "json"] {
        scene.runs(&["check", "-v", "-o", format, "list pods", "create pods", "list deploy", "get /version"]);
        scene.runs(&["get", "-v", "-i", "-o", format, "/api"]);
    }
    let scene = scene.with_token(|token| token.expires_in = -60);
    scene.runs(&["check", "-v", "-ojson", "list pods"]).gives(11, &[], Stderr::Any);
}

/// A server (such as a debugging proxy) that shows what it received: in a message, a user name, a header, a
/// redirect, or discovery.
#[test]
fn the_token_is_not_shown_when_the_server_sends_it_back() {
    let respond = |status: &'static str,
                   content_type: &'static str,
                   header: &'static str,
                   body: &'static str| {
        tls_listener(Certificate::Good, move |stream, _| {
            loop {
                let head = read_request(stream)?;
                let sent = head
                    .lines()
                    .find_map(|line| line.strip_prefix("authorization: Bearer "))
                    .unwrap_or("nothing");
                let (header, body) = (header.replace("TOKEN", sent), body.replace("TOKEN", sent));
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n{header}Content-Length: {length}\r\n\r\n"
                );
                stream.write_all(format!("{head}{body}").as_bytes())?;
                stream.flush()?;
            }
        })
    };
    let refusal = "{\"kind\":\"Status\",\"message\":\"no: Authorization: Bearer TOKEN: User \\\"TOKEN\\\" cannot do this\",\"code\":403}";
    for (listener, code) in [
        (respond("403 Forbidden", "application/json", "", refusal), 10),
        (respond("401 Unauthorized", "text/plain", "", "what is TOKEN?"), 11),
        (respond("503 Service Unavailable", "text/plain", "Retry-After: TOKEN\r\n", "not with TOKEN"), 24),
        (respond("404 Not Found", "text/plain", "", "no TOKEN here"), 25),
        (respond("302 Found", "text/plain", "Location: https://example.com/?t=TOKEN\r\n", "to TOKEN"), 26),
        (respond("418 Teapot", "text/plain", "", "TOKEN and TOKEN"), 26),
        (respond("200 OK", "TOKEN", "X-Sent: TOKEN\r\n", "{\"sent\":\"TOKEN\"}"), 26),
    ] {
        let pod = Pod::in_front_of(&listener);
        for format in ["text", "json"] {
            let arguments = ["check", "-v", "-o", format, "list pods", "list deploy"];
            let finished = pod.runs(&arguments).gives(code, &[], Stderr::Any);
            assert!(!finished.transcript().contains("eyJ"), "{}", finished.transcript());
            for path in ["/sent", "/"] {
                let finished = pod.runs(&["get", "-v", "-i", "-o", format, path]);
                assert!(finished.stdout.contains("(token)"), "{}", finished.transcript());
            }
        }
    }
}

/// Variables that name a proxy are for other clients: the API server is asked directly.
#[test]
fn proxy_variables_are_ignored() {
    let proxied = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&proxied);
    let proxy = tcp_listener(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let address = format!("http://user:password@{}", proxy.address());
    let scene = Scene::with_reader();
    let mut command = scene.pod.command(["check", "list pods"]);
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env(name, &address);
    }
    scene.pod.run(&mut command).gives(0, &["token 200  ok"], Stderr::Empty);
    // Nor with exceptions in NO_PROXY, or with a value that is not a proxy.
    command.env("NO_PROXY", "*").env("no_proxy", "example.com").env("HTTPS_PROXY", "::no url::");
    scene.pod.run(&mut command).gives(0, &["token 200  ok"], Stderr::Empty);
    assert_eq!(proxied.load(Ordering::SeqCst), 0);

    let plain = Scene::on(Cluster::builder().plain_http("kubernetes-admin").start());
    let mut command = plain.pod.command(["check", "list pods"]);
    command.env("http_proxy", &address).env("HTTP_PROXY", &address).env("ALL_PROXY", &address);
    plain.pod.run(&mut command).gives(0, &["ok (0)"], Stderr::Empty);
    for seen in scene.cluster.requests().into_iter().chain(plain.cluster.requests()) {
        assert!(!seen.headers.iter().any(|(name, _)| name.starts_with("proxy")), "{seen:?}");
    }
    assert_eq!(proxied.load(Ordering::SeqCst), 0);
}

#[test]
fn redirects_are_not_followed() {
    let elsewhere = Scene::with_reader();
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "303 See Other",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let location = format!("Location: {}/version", elsewhere.cluster.server());
        let listener = faults::answers(status, "text/plain", &[&location], "");
        let pod = Pod::in_front_of(&listener)
            .with_file("ca.crt", &(listener.ca_pem() + &elsewhere.cluster.ca_pem()));
        pod.runs(&["check", "get /version"]).gives(26, &["a redirect to", "a redirect to"], Stderr::Empty);
        pod.runs(&["get", "/version"]).gives(26, &[], Stderr::Has("a redirect to"));
    }
    assert_eq!(elsewhere.cluster.connections(), 0);
}

/// With `kubectl proxy` the request without a token has the permissions of its user, so that request decides.
#[test]
fn over_plain_http_the_token_is_not_sent() {
    let proxied = "system:serviceaccount:ns-1:k-sa-1";
    let scene = Scene::on(Cluster::builder().plain_http(proxied).start());
    scene.grant("reader", &["list"], "", &["pods"]);
    scene.runs(&["check", "list pods", "cannot list secrets", "list configmaps", "create pods"]).is(
        10,
        "\
list pods in ns-1            anonymous 200  token -  ok
cannot list secrets in ns-1  anonymous 403  token -  forbidden, as required
list configmaps in ns-1      anonymous 403  token -  forbidden
    configmaps is forbidden: User \"system:serviceaccount:ns-1:k-sa-1\" cannot list resource \"configmaps\" in API group \"\" in the namespace \"ns-1\"; to grant it, as an admin:
    kubectl create role k-sa-1-list-configmaps --verb=list --resource=configmaps --namespace=ns-1
    kubectl create rolebinding k-sa-1-list-configmaps --role=k-sa-1-list-configmaps --serviceaccount=ns-1:k-sa-1 --namespace=ns-1
create pods in ns-1          anonymous no   token -  forbidden
    nothing grants it to system:serviceaccount:ns-1:k-sa-1; to grant it, as an admin:
    kubectl create role k-sa-1-create-pods --verb=create --resource=pods --namespace=ns-1
    kubectl create rolebinding k-sa-1-create-pods --role=k-sa-1-create-pods --serviceaccount=ns-1:k-sa-1 --namespace=ns-1
all 2 grants at once, as YAML: kubeknock grant 'list configmaps in ns-1' 'create pods in ns-1'
forbidden (10): the token's identity does not have the permission
",
        "",
    );
    scene.runs(&["get", "/version"]).gives(0, &["gitVersion"], Stderr::Empty);
    assert!(!scene.asked().is_empty());
    scene.runs(&["check", "list pods", "list secrets", "get /version"]);
    assert!(scene.cluster.requests().iter().all(|seen| seen.authorization.is_none()));
    scene.runs(&["check", "--token-only", "list pods"]).gives(
        30,
        &[],
        Stderr::Has("kubeknock never sends the token over plain HTTP"),
    );
    // A mount is not needed either, if no phrase needs its namespace.
    let pod = Pod::at(&scene.cluster.server(), "", "", "").without_file("ca.crt").without_file("token");
    pod.runs(&["check", "list pods in ns-1"]).gives(0, &["ok (0)"], Stderr::Empty);

    // The proxy's user is not the account of the mount, but the refusal is about the permission all the same.
    let other = Scene::on(Cluster::builder().plain_http("jane").start());
    other.runs(&["check", "cannot list secrets"]).gives(0, &["forbidden, as required"], Stderr::Empty);
    other.runs(&["check", "list secrets"]).gives(10, &["--user=jane"], Stderr::Empty);

    let proxy = Cluster::builder().plain_http("system:anonymous").start();
    Scene::on(proxy).runs(&["check", "list pods"]).gives(
        12,
        &["the token is never sent over plain HTTP, and the proxy that listens there has no credentials of its own"],
        Stderr::Empty,
    );
}

/// The token is not sent before the server is verified, and not to a port without TLS.
#[test]
fn the_token_goes_only_to_a_verified_server() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&heard);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let listening = std::thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            let mut stream: TcpStream = stream.unwrap();
            // The listener closes the connection after the first bytes, and has received all of them.
            let mut said = vec![0; 64 * 1024];
            let count = std::io::Read::read(&mut stream, &mut said).unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
            log.lock().unwrap().extend_from_slice(&said[..count]);
        }
    });
    let scene = Scene::new();
    let token = scene.pod.token().unwrap();
    let pod = scene.pod.at_server(&format!("https://{address}"));
    pod.runs(&["check", "--token-only", "list pods"]).gives(22, &["does not speak TLS"], Stderr::Empty);
    pod.runs(&["get", "/version"]).gives(22, &[], Stderr::Any);
    listening.join().unwrap();
    let heard = heard.lock().unwrap();
    assert!(!heard.is_empty() && !heard.windows(20).any(|window| token.as_bytes().starts_with(window)));
    for certificate in [
        Certificate::UnknownAuthority,
        Certificate::OtherCluster,
        Certificate::Expired,
        Certificate::WrongName,
    ] {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let listener = tls_listener(certificate, move |stream, _| {
            read_request(stream)?;
            count.fetch_add(1, Ordering::SeqCst);
            Ok(())
        });
        Pod::in_front_of(&listener).runs(&["check", "--token-only", "list pods"]).gives(
            22,
            &[],
            Stderr::Empty,
        );
        assert_eq!(asked.load(Ordering::SeqCst), 0, "{certificate:?}");
    }
}

/// Each run reads the token again, whatever links lead to it.
#[test]
fn a_rotated_token_is_the_one_that_is_sent() {
    let scene = Scene::with_reader();
    let old = scene.pod.token().unwrap();
    scene.runs(&["check", "--token-only", "list pods"]).gives(0, &[], Stderr::Empty);
    scene.cluster.mount(scene.pod.mount(), "ns-1", "k-sa-1");
    let new = scene.pod.token().unwrap();
    scene.runs(&["check", "--token-only", "list pods"]).gives(0, &[], Stderr::Empty);
    let sent: Vec<_> = scene.cluster.requests().into_iter().map(|seen| seen.authorization.unwrap()).collect();
    assert_eq!(sent, [format!("Bearer {old}"), format!("Bearer {new}")]);
}
