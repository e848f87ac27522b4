//! `monitor --listen`: probes and metrics over HTTP, and clients that misbehave.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use testbed::{Running, Stderr, eventually};

use crate::Scene;

/// A running sidecar, and the address it serves on.
struct Sidecar {
    running: Running,
    address: SocketAddr,
}

impl Sidecar {
    fn start(scene: &Scene, options: &[&str]) -> Self {
        const COMMON: [&str; 7] =
            ["monitor", "list pods", "--listen", "127.0.0.1:0", "--interval", "20ms", "--max-interval=20ms"];
        let running = Running::start(&mut scene.command(&[&COMMON[..], options].concat()));
        let line = running.complains("serving probes and metrics on ");
        let address = line.rsplit(' ').next().unwrap().parse().expect("the address that is bound");
        Sidecar { running, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("connect to the sidecar");
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Sends these bytes and returns the whole answer.
    fn send(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // The server may close the connection before it has read everything.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The status and the body of a GET.
    fn get(&self, target: &str) -> (u16, String) {
        let answer = self.send(format!("GET {target} HTTP/1.1\r\nHost: pod\r\n\r\n").as_bytes());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer:?}"));
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// The value of a series on the metrics page.
    fn metric(&self, series: &str) -> Option<f64> {
        let (_, page) = self.get("/metrics");
        let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        Some(value.parse().expect("a number"))
    }

    fn stop(self) -> (String, String) {
        self.running.send(Signal::TERM);
        self.running.ends_with(0)
    }
}

#[test]
fn probes_follow_the_permission() {
    let mut scene = Scene::with_lister();
    let sidecar = Sidecar::start(&scene, &["-q"]);
    eventually("ready", || sidecar.get("/readyz").0 == 200);
    assert!(sidecar.get("/readyz").1.contains("token 200  ok\nok (0)"), "{:?}", sidecar.get("/readyz"));
    assert_eq!(sidecar.get("/livez"), (200, "ok\n".to_owned()));
    let index = sidecar.get("/");
    assert!(
        index.0 == 200
            && ["/livez", "/readyz", "?fail-open=true", "/metrics"].iter().all(|path| index.1.contains(path)),
        "{index:?}"
    );
    scene.revoke_list();
    eventually("not ready", || sidecar.get("/readyz").0 == 503);
    assert!(sidecar.get("/readyz").1.contains("kubectl create rolebinding"));
    assert_eq!(sidecar.get("/readyz?fail-open=true").0, 503, "a no decides with fail-open, too");
    scene.cluster.stop();
    eventually("no answer", || sidecar.get("/readyz?fail-open=true").0 == 200);
    assert_eq!((sidecar.get("/readyz").0, sidecar.get("/livez").0), (503, 200));
    scene.cluster.restart();
    scene.grant_list();
    eventually("ready again", || sidecar.get("/readyz").0 == 200);
    let json = sidecar.send(b"GET /readyz HTTP/1.1\r\nAccept: application/json\r\n\r\n");
    let json: Value = serde_json::from_str(json.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!((&json["schema"], &json["exitCode"]), (&"kubeknock/v1".into(), &0.into()));
    assert_eq!(sidecar.stop().0, "", "-q, and nothing for a request");
}

#[test]
fn a_request_causes_no_knock() {
    let scene = Scene::with_lister();
    let running = Running::start(&mut scene.command(&[
        "monitor",
        "list pods",
        "-q",
        "--listen",
        "127.0.0.1:0",
        "--interval",
        "1h",
    ]));
    let line = running.complains("serving probes and metrics on ");
    let sidecar = Sidecar { address: line.rsplit(' ').next().unwrap().parse().unwrap(), running };
    eventually("a round", || sidecar.get("/readyz").0 == 200);
    let asked = scene.cluster.requests().len();
    for _ in 0..50 {
        assert_eq!((sidecar.get("/readyz").0, sidecar.get("/metrics").0), (200, 200));
    }
    assert_eq!(scene.cluster.requests().len(), asked);
}

#[test]
fn metrics_count_and_name_what_happens() {
    let scene = Scene::with_lister();
    let token = scene.pod.token().unwrap();
    let sidecar = Sidecar::start(&scene, &["-q"]);
    eventually("ten rounds", || {
        sidecar.metric("kubeknock_rounds_total").is_some_and(|rounds| rounds >= 10.0)
    });
    assert_eq!(sidecar.metric("kubeknock_permission_ok{phrase=\"list pods\"}"), Some(1.0));
    assert_eq!(
        sidecar.metric("kubeknock_permission_outcome{phrase=\"list pods\",outcome=\"ok\"}"),
        Some(1.0)
    );
    let anonymous = sidecar.metric("kubeknock_requests_total{identity=\"anonymous\",code=\"403\"}");
    assert_eq!(anonymous, Some(1.0), "the anonymous knock is made in the first round only");
    assert!(sidecar.metric("kubeknock_requests_total{identity=\"token\",code=\"200\"}").unwrap() >= 10.0);
    let expiry = sidecar.metric("kubeknock_token_expiry_timestamp_seconds").expect("a bound token expires");
    let last = sidecar.metric("kubeknock_last_round_timestamp_seconds").unwrap();
    assert!(expiry > last, "{expiry} {last}");
    promtool_accepts(&sidecar.get("/metrics").1);
    let changed = sidecar.metric("kubeknock_last_change_timestamp_seconds");
    scene.revoke_list();
    eventually("a loss", || {
        sidecar.metric("kubeknock_permission_outcome{phrase=\"list pods\",outcome=\"forbidden\"}")
            == Some(1.0)
    });
    assert!(sidecar.metric("kubeknock_last_change_timestamp_seconds") > changed);
    assert!(!sidecar.get("/metrics").1.contains(&token) && !sidecar.get("/readyz").1.contains(&token));
    let version = format!("kubeknock_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(sidecar.metric(&version), Some(1.0));
}

/// `promtool check metrics` (Debian's package prometheus) accepts the page. Where promtool is not installed, a
/// line says so; in CI it must be installed.
#[allow(clippy::print_stdout, reason = "a check that is left out says so")]
fn promtool_accepts(page: &str) {
    let started = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = match started {
        Ok(promtool) => promtool,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "promtool: {error}");
            println!("promtool is not installed: the metrics page is not checked with it");
            return;
        }
    };
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let checked = promtool.wait_with_output().unwrap();
    let found = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && found.is_empty(), "{found}\n{page}");
}

#[test]
fn an_address_that_cannot_be_bound() {
    let scene = Scene::with_lister();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    scene.runs(&["monitor", "list pods", "--listen", &address]).gives(
        31,
        &[],
        Stderr::Has(": the address is in use by another process"),
    );
    scene.runs(&["monitor", "list pods", "--listen", "192.0.2.1:8086"]).gives(
        31,
        &[],
        Stderr::Has("--listen 192.0.2.1:8086: this pod does not have that address"),
    );
    for bad in ["8086", "localhost:8086", "127.0.0.1", ":99999", "", "[::1:8086"] {
        scene.runs(&["monitor", "list pods", "--listen", bad]).gives(30, &[], Stderr::Has("--listen"));
    }
}

/// A client sends this and gets an answer that begins with this. An empty answer: the connection is closed
/// without one.
#[test]
fn bad_clients_get_a_line_and_harm_no_one() {
    let scene = Scene::with_lister();
    let sidecar = Sidecar::start(&scene, &["-q"]);
    eventually("ready", || sidecar.get("/readyz").0 == 200);
    let descriptors = sidecar.running.descriptors();
    let long = "x".repeat(1024 * 1024);
    let get = |rest: &str| format!("GET /livez HTTP/1.1\r\n{rest}\r\n").into_bytes();
    let rows: Vec<(&str, Vec<u8>, &str)> = vec![
        ("a probe", get("Host: pod\r\n"), "HTTP/1.1 200 OK\r\n"),
        ("no Host", get(""), "HTTP/1.1 200"),
        ("bare line feeds", b"GET /livez HTTP/1.1\n\n".to_vec(), "HTTP/1.1 200"),
        ("HTTP/1.0", b"GET /livez HTTP/1.0\r\n\r\n".to_vec(), "HTTP/1.1 200"),
        ("HTTP/0.9", b"GET /livez\r\n\r\n".to_vec(), "HTTP/1.1 400"),
        ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), "HTTP/1.1 505"),
        ("HTTP/3.7", b"GET /livez HTTP/3.7\r\n\r\n".to_vec(), "HTTP/1.1 505"),
        ("a TLS hello", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00".to_vec(), "HTTP/1.1 400"),
        ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), "HTTP/1.1 400"),
        ("NUL bytes", vec![0; 100], "HTTP/1.1 400"),
        ("NUL in the path", b"GET /li\0vez HTTP/1.1\r\n\r\n".to_vec(), "HTTP/1.1 400"),
        ("NUL in a header", get("A: \0\r\n"), "HTTP/1.1 400"),
        ("no colon in a header", get("nonsense\r\n"), "HTTP/1.1 400"),
        ("a folded header", get("A: b\r\n c\r\n"), "HTTP/1.1 400"),
        ("a method in lower case", b"get /livez HTTP/1.1\r\n\r\n".to_vec(), "HTTP/1.1 405"),
        (
            "POST with a body",
            b"POST /livez HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc".to_vec(),
            "HTTP/1.1 405",
        ),
        ("POST of 1 MiB", format!("POST / HTTP/1.1\r\n\r\n{long}").into_bytes(), "HTTP/1.1 405"),
        ("PUT", b"PUT /metrics HTTP/1.1\r\n\r\n".to_vec(), "HTTP/1.1 405"),
        ("DELETE", b"DELETE /readyz HTTP/1.1\r\n\r\n".to_vec(), "HTTP/1.1 405"),
        ("CONNECT", b"CONNECT pod:443 HTTP/1.1\r\n\r\n".to_vec(), "HTTP/1.1 405"),
        ("a path that is not there", b"GET /healthz HTTP/1.1\r\n\r\n".to_vec(), "HTTP/1.1 404"),
        ("a path that climbs", b"GET /../../etc/passwd HTTP/1.1\r\n\r\n".to_vec(), "HTTP/1.1 404"),
        ("an absolute URL", b"GET http://evil/livez HTTP/1.1\r\n\r\n".to_vec(), "HTTP/1.1 404"),
        ("a token of its own", get("Authorization: Bearer abc\r\n"), "HTTP/1.1 200"),
        ("65 headers", get(&"A: b\r\n".repeat(65)), "HTTP/1.1 431"),
        ("8 KiB of a header", get(&format!("A: {}\r\n", &long[..8192])), "HTTP/1.1 431"),
        ("1 MiB of headers", get(&"A: bcdefgh\r\n".repeat(100_000)), "HTTP/1.1 431"),
        ("a path of 1 MiB", format!("GET /{long} HTTP/1.1\r\n\r\n").into_bytes(), "HTTP/1.1 431"),
        ("two requests at once", [get(""), get("")].concat(), "HTTP/1.1 200"),
        ("a keep-alive", get("Connection: keep-alive\r\n"), "HTTP/1.1 200"),
        ("an upgrade", get("Connection: Upgrade\r\nUpgrade: websocket\r\n"), "HTTP/1.1 200"),
        ("a chunked body", get("Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n"), "HTTP/1.1 200"),
    ];
    assert!(rows.len() >= 30);
    for (name, bytes, begins) in rows {
        let answer = sidecar.send(&bytes);
        assert!(answer.starts_with(begins), "{name}: {answer:?}");
        assert_eq!(
            answer.matches("Content-Length: ").count(),
            1,
            "{name}: one answer, then the end: {answer:?}"
        );
        assert!(answer.contains("\r\nConnection: close\r\n"), "{name}: {answer:?}");
    }
    let head = sidecar.send(b"HEAD /metrics HTTP/1.1\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head:?}");
    eventually("descriptors are given back", || sidecar.running.descriptors() <= descriptors);
    let (_, complaints) = sidecar.stop();
    assert_eq!(complaints, "", "nothing is logged per request");
}

/// More slow clients than are served at once: rounds continue, and later clients are served.
#[test]
fn slow_clients_delay_no_round_and_are_cut_off() {
    let scene = Scene::with_lister();
    let sidecar = Sidecar::start(&scene, &["-q"]);
    eventually("ready", || sidecar.get("/readyz").0 == 200);
    let descriptors = sidecar.running.descriptors();
    let begun = Instant::now();
    let mut slow: Vec<TcpStream> = (0..8).map(|_| sidecar.connect()).collect();
    for (number, client) in slow.iter_mut().enumerate() {
        match number % 4 {
            // Sends nothing.
            0 => {}
            // Sends half of a request.
            1 => client.write_all(b"GET /livez HT").unwrap(),
            // Closes its side, and waits.
            2 => {
                client.write_all(b"GET /li").unwrap();
                client.shutdown(Shutdown::Write).unwrap();
            }
            // Sends headers without an end.
            _ => client.write_all(b"GET /livez HTTP/1.1\r\nA: b\r\n").unwrap(),
        }
    }
    let rounds = scene.cluster.requests().len();
    eventually("rounds go on", || scene.cluster.requests().len() > rounds + 20);
    // Silent clients are disconnected after 5 s, and the waiting client is served.
    assert_eq!(sidecar.get("/livez").0, 200);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    drop(slow);
    eventually("descriptors are given back", || sidecar.running.descriptors() <= descriptors);
}

#[test]
fn a_thousand_connections_at_once() {
    let scene = Scene::with_lister();
    let sidecar = Sidecar::start(&scene, &["-q"]);
    eventually("ready", || sidecar.get("/readyz").0 == 200);
    let descriptors = sidecar.running.descriptors();
    let crowd: Vec<TcpStream> = (0..1000)
        .filter_map(|_| TcpStream::connect_timeout(&sidecar.address, Duration::from_millis(3)).ok())
        .collect();
    assert!(crowd.len() > 8, "they are there");
    assert!(sidecar.running.descriptors() <= descriptors + 16, "8 are served at once");
    let rounds = scene.cluster.requests().len();
    eventually("rounds go on", || scene.cluster.requests().len() > rounds + 20);
    drop(crowd);
    eventually("later clients are served", || sidecar.get("/readyz").0 == 200);
    for _ in 0..1000 {
        assert_eq!(sidecar.get("/metrics").0, 200);
    }
    eventually("descriptors are given back", || sidecar.running.descriptors() <= descriptors);
    let limit = if std::env::var_os("KUBEKNOCK_BINARY").is_some() { 8 * 1024 } else { 24 * 1024 };
    let peak = sidecar.running.status("VmHWM");
    println!("{peak} KiB at most");
    assert!(peak < limit || testbed::memory_is_the_runners(), "{peak} KiB");
    sidecar.stop();
}

#[test]
fn many_requests_take_no_more_than_a_hundred() {
    let scene = Scene::with_lister();
    let sidecar = Sidecar::start(&scene, &["-q"]);
    eventually("ready", || sidecar.get("/readyz").0 == 200);
    let ask = |count: usize| {
        for number in 0..count {
            let path = ["/readyz", "/livez", "/metrics", "/"][number % 4];
            assert_eq!(sidecar.get(path).0, 200);
        }
        sidecar.running.status("RssAnon")
    };
    let (early, descriptors) = (ask(100), sidecar.running.descriptors());
    let count = if testbed::is_released() { 10_000 } else { 2000 };
    let late = ask(count);
    println!("{early} KiB after 100 requests, {late} KiB after {count}");
    eventually("descriptors are given back", || sidecar.running.descriptors() <= descriptors);
    let more = if testbed::is_released() { 64 } else { 512 };
    assert!(late <= early + more || testbed::memory_is_the_runners(), "{early} KiB, then {late} KiB");
    assert_eq!(sidecar.stop(), (String::new(), String::new()));
}
