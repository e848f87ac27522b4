//! `doctor` on the stand-in, as 1.36 and as 1.20, and against failures of each step.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testbed::faults::{self, Certificate, Listener};
use testbed::{Cluster, Fault, Program, Times, Version, World, runner_delay, write_mount};

use crate::{Kubeknock, Scene};

/// The result of one `doctor`, as text and as JSON.
struct Checkup {
    code: Option<i32>,
    text: String,
    report: Value,
    took: Duration,
}

impl Checkup {
    fn step(&self, name: &str) -> &Value {
        self.report["steps"].as_array().unwrap().iter().find(|step| step["name"] == name).unwrap()
    }
}

/// Runs `doctor` as a pod does, with the kubelet's variables and the mount: once for its text, once for its
/// JSON.
fn doctor(variables: &[(&str, &str)], mount: &Path, options: &[&str]) -> Checkup {
    let run = |format: &str| {
        let start = Instant::now();
        let output = Kubeknock::command(["doctor", "-o", format, "--service-account-dir"])
            .arg(mount)
            .args(options)
            // A name server that does not answer must not take longer than the time that doctor has.
            .env("RES_OPTIONS", "timeout:1 attempts:1")
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let took = start.elapsed();
        let stderr = String::from_utf8(output.stderr).unwrap();
        // The warning about this option is the only output on stderr.
        let warning = "kubeknock: warning: --insecure-skip-tls-verify";
        let warns = options.contains(&"--insecure-skip-tls-verify");
        assert!(if warns { stderr.starts_with(warning) } else { stderr.is_empty() }, "{options:?}: {stderr}");
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), took)
    };
    let (code, text, _) = run("text");
    let (json_code, line, took) = run("json");
    assert_eq!(code, json_code, "{text}\n{line}");
    assert!(text.lines().count() <= 40, "one screen\n{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "one screen\n{text}");
    let token = std::fs::read_to_string(mount.join("token")).unwrap_or_default();
    assert!(token.trim().is_empty() || !(text.contains(token.trim()) || line.contains(token.trim())));
    Checkup { code, text, report: serde_json::from_str(&line).unwrap(), took }
}

/// The same with the variables of a pod whose API server is at this address.
fn in_pod_of(address: SocketAddr, mount: &Path, options: &[&str]) -> Checkup {
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let variables = [
        ("KUBERNETES_SERVICE_HOST", host.as_str()),
        ("KUBERNETES_SERVICE_PORT", port.as_str()),
        ("HOSTNAME", "k-sa-1-pod"),
    ];
    doctor(&variables, mount, options)
}

fn in_pod(scene: &Scene, options: &[&str]) -> Checkup {
    in_pod_of(scene.cluster.address(), scene.pod.mount(), options)
}

#[test]
fn a_healthy_pod_fits_one_screen() {
    for version in [Version::V1_36, Version::V1_20] {
        let scene = Scene::of(version);
        scene.grant_list();
        let checkup = in_pod(&scene, &[]);
        let text = &checkup.text;
        assert_eq!(checkup.code, Some(0), "{text}");
        println!("{text}");
        assert!(!text.contains('✗') && !text.contains('\u{1b}') && !text.contains('→'), "{text}");
        for words in [
            "✓ environment         KUBERNETES_SERVICE_HOST=127.0.0.1",
            "s old, ca.crt ",
            "CN=kubernetes, expires in ",
            "verifies the server's certificate",
            "system:serviceaccount:ns-1:k-sa-1, expires in ",
            "pod k-sa-1-pod on node-1 (this pod)",
            "the same as the server's",
            "accepts connections",
            "TLS 1.3, TLS13_AES",
            "CN=kube-apiserver for 127.0.0.1, ::1, localhost, kubernetes,",
            "shown without a token",
            "in ns-1: list pods",
            "list pods in ns-1: anonymous 403, token 200: ok",
            "– question",
            "list pods in default: anonymous 403, token 403: forbidden",
            "ok (0): nothing is broken on the way to the API server",
        ] {
            assert!(text.contains(words), "no {words:?} in\n{text}");
        }
        assert_eq!(checkup.report["broken"], Value::Null);
        assert_eq!(checkup.step("TLS")["mark"], "good");
        assert_eq!(checkup.step("question")["subject"], "list pods in ns-1");
        assert_eq!(checkup.step("TLS")["subject"], Value::Null);
    }
}

#[test]
fn asks_phrases_last_and_these_decide() {
    let scene = Scene::new();
    let ask = |phrases: &[&str]| in_pod(&scene, phrases);
    let checkup = ask(&["get /version"]);
    assert_eq!(checkup.code, Some(0), "{}", checkup.text);
    assert!(checkup.text.contains("get /version: anonymous 200, token 200: ok"), "{}", checkup.text);
    let checkup = ask(&["get /version", "create deployments.apps"]);
    assert_eq!(checkup.code, Some(10), "{}", checkup.text);
    for words in [
        "the first broken step is \"create deployments.apps in ns-1\"",
        "→ kubectl create role k-sa-1-create-deployments-apps --verb=create --resource=deployments.apps",
    ] {
        assert!(checkup.text.contains(words), "no {words:?} in\n{}", checkup.text);
    }
}

/// Checks which step is the first broken one, the exit code, and a part of the advice.
fn broken(checkup: &Checkup, step: &str, code: i32, word: &str) {
    let Checkup { text, report, .. } = checkup;
    assert_eq!(checkup.code, Some(code), "{text}");
    assert_eq!(report["broken"], step, "{text}");
    assert_eq!(report["exitCode"], code, "{text}");
    let unwrapped = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(unwrapped.contains(word), "no {word:?} in\n{text}");
    let advice = text.lines().filter(|line| line.contains("→ ")).count();
    assert!((1..=3).contains(&advice), "{advice} lines of advice\n{text}");
    for step in report["steps"].as_array().unwrap() {
        assert!(step["advice"].as_array().unwrap().len() <= 3, "{step}");
    }
}

#[test]
fn finds_what_is_missing_in_the_pod() {
    let scene = Scene::with_lister();
    let ask = || in_pod(&scene, &[]);
    let (token, ca) = (scene.cluster.token("ns-1", "k-sa-1"), scene.cluster.ca_pem());
    let file = |name: &str, content: &str| {
        let _ = std::fs::remove_file(scene.pod.mount().join(name));
        std::fs::write(scene.pod.mount().join(name), content).unwrap();
    };
    let without = |name: &str| std::fs::remove_file(scene.pod.mount().join(name)).unwrap();

    let checkup = doctor(&[], scene.pod.mount(), &["--timeout", "8s"]);
    broken(&checkup, "environment", 20, "in a pod, do not start kubeknock by env -i, su or cron");

    let nothing = tempfile::tempdir().unwrap();
    let checkup = doctor(&[], &nothing.path().join("none"), &["--timeout", "8s"]);
    broken(
        &checkup,
        "environment",
        20,
        "outside a pod, set --server, --certificate-authority and --token-file",
    );
    let checkup = in_pod_of(scene.cluster.address(), &nothing.path().join("none"), &[]);
    broken(&checkup, "mount", 31, "kubectl debug POD --image=kubeknock:");
    assert_eq!(checkup.step("TLS")["mark"], "good", "{}", checkup.text);
    assert!(scene.cluster.requests().iter().all(|seen| seen.authorization.is_none()));

    file("token", "\n");
    broken(&ask(), "token", 12, "is missing or empty");
    without("token");
    broken(&ask(), "mount", 12, "token missing");
    file("token", "two words");
    broken(&ask(), "token", 31, "no header can hold");
    file("token", "garbage");
    broken(&ask(), "identity", 11, "not a JWT");
    // The clocks are compared by whole seconds, so that one may seem to be a second late.
    file("token", &scene.token_with(|spec| spec.expires_in = -7230));
    let checkup = ask();
    println!("{}", checkup.text);
    broken(&checkup, "token", 11, "expired 2h0m ago");
    file("token", &scene.token_with(|spec| spec.issuer = "https://another.example.com".into()));
    broken(&ask(), "identity", 11, "issuer https://another.example.com");
    file("token", &token);

    file("ca.crt", "no PEM");
    broken(&ask(), "CA", 31, "no certificate in it");
    without("ca.crt");
    broken(&ask(), "mount", 31, "kube-root-ca.crt");
    file("ca.crt", &Cluster::start().ca_pem());
    let checkup = ask();
    broken(&checkup, "CA", 22, "cannot verify the server's certificate, issued by another CN=kubernetes");
    assert_eq!(checkup.step("TLS")["mark"], "broken");
    file("ca.crt", &ca);
    without("namespace");
    broken(&ask(), "mount", 31, "-n NAMESPACE");
    assert_eq!(in_pod(&scene, &["-n", "ns-1"]).code, Some(0));
}

#[test]
fn finds_what_is_wrong_with_the_answers() {
    let scene = Scene::with_lister();
    let ask = || in_pod(&scene, &["--timeout", "5s"]);

    scene.cluster.fail(Times::All, Fault::Unavailable);
    broken(&ask(), "version", 24, "try again later");
    scene.cluster.heal();
    scene.cluster.strip_tokens(true);
    broken(&ask(), "identity", 12, "removes the Authorization header");
    scene.cluster.heal();

    // Half a minute more, as time passes before the answer is read.
    for (offset, words) in [(7230, "2h0m behind the server's"), (-7230, "2h0m ahead of the server's")] {
        let version = Fault::Raw {
            status: 200,
            content_type: "application/json".into(),
            body: br#"{"gitVersion":"v1.36.2"}"#.to_vec(),
            headers: vec![("Date".into(), http_date(offset))],
        };
        scene.cluster.fail_if(Times::All, version, |seen| seen.path_and_query == "/version");
        broken(&ask(), "clock", 31, words);
        scene.cluster.heal();
    }

    let version = Fault::Raw {
        status: 200,
        content_type: "application/json".into(),
        body: br#"{"gitVersion":"v1.36.2"}"#.to_vec(),
        headers: vec![("Date".into(), http_date(40))],
    };
    scene.cluster.fail_if(Times::All, version, |seen| seen.path_and_query == "/version");
    let checkup = ask();
    assert_eq!((checkup.code, &checkup.step("clock")["mark"]), (Some(0), &json!("open")), "{}", checkup.text);
    assert!(checkup.text.contains("s behind the server's: check the time"), "{}", checkup.text);
    scene.cluster.heal();

    scene.cluster.anonymous_auth(false);
    let checkup = ask();
    assert_eq!(
        (checkup.code, &checkup.step("version")["mark"]),
        (Some(0), &json!("open")),
        "{}",
        checkup.text
    );
    assert!(checkup.text.contains("v1.36.2, shown to the token"), "{}", checkup.text);
    scene.cluster.anonymous_auth(true);

    scene.revoke_list();
    let checkup = ask();
    broken(&checkup, "question", 10, "→ kubectl create rolebinding");
    assert!(checkup.text.contains("nothing beyond what every account may do"), "{}", checkup.text);
}

fn http_date(offset: i64) -> String {
    let output = Command::new("date")
        .args(["-u", "-d", &format!("{offset} seconds"), "+%a, %d %b %Y %H:%M:%S GMT"])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Listeners that are not a Kubernetes API server.
#[test]
fn finds_where_the_way_ends() {
    type World = (&'static str, Listener, &'static str, i32, &'static str);
    let worlds: Vec<World> = vec![
        ("refused", faults::refuses(), "TCP", 21, "connection refused"),
        ("never accepts", faults::never_accepts(), "TCP", 23, "drops packets"),
        ("silent", faults::silent(), "TLS", 23, "no answer within"),
        ("resets", faults::resets(), "TLS", 21, "in the TLS handshake"),
        ("plain text", faults::plaintext(), "TLS", 22, "does not speak TLS"),
        ("expired", faults::certificate(Certificate::Expired), "TLS", 22, "expired"),
        ("wrong name", faults::certificate(Certificate::WrongName), "TLS", 22, "somewhere-else.example.com"),
        ("other CA", faults::certificate(Certificate::OtherCluster), "CA", 22, "by another CN=kubernetes"),
        ("silent after TLS", faults::silent_after_tls(), "version", 23, "no answer within"),
        ("closes", faults::closes_after_request(), "version", 21, "closed the connection"),
        ("no HTTP", faults::not_http(), "version", 26, "HTTP"),
        ("web page", faults::web_page(), "version", 26, "a web page"),
        ("redirect", faults::redirects("https://portal.example.com/"), "version", 26, "redirect"),
    ];
    // No server accepts this token; it only looks like one.
    let token = Scene::new().pod.token().unwrap();
    for (name, listener, step, code, word) in worlds {
        let mount = tempfile::tempdir().unwrap();
        write_mount(mount.path(), &token, &listener.ca_pem(), "ns-1");
        let checkup = in_pod_of(listener.address(), mount.path(), &["--timeout", "1s"]);
        println!("{name}\n{}", checkup.text);
        broken(&checkup, step, code, word);
        assert!(checkup.took < Duration::from_millis(1500) + runner_delay(), "{name}: {:?}", checkup.took);
    }
}

#[test]
fn behind_kubectl_proxy_outside_of_a_pod_and_without_verification() {
    let proxy = Cluster::builder().plain_http("kubernetes-admin").start();
    let mount = tempfile::tempdir().unwrap();
    write_mount(mount.path(), "never-sent", "", "ns-1");
    let checkup = doctor(&[], mount.path(), &["--server", &proxy.server()]);
    assert_eq!(checkup.code, Some(0), "{}", checkup.text);
    for words in ["not sent: plain HTTP", "not used: plain HTTP", "✓ identity", "kubernetes-admin"] {
        assert!(checkup.text.contains(words), "no {words:?} in\n{}", checkup.text);
    }
    assert!(proxy.requests().iter().all(|seen| seen.authorization.is_none()));

    let scene = Scene::with_lister();
    let file = |name: &str| scene.pod.mount().join(name).to_str().unwrap().to_owned();
    let (server, token, ca) = (scene.cluster.server(), file("token"), file("ca.crt"));
    let options = ["--server", &server, "--token-file", &token, "--certificate-authority", &ca];
    let checkup = doctor(&[], &scene.pod.mount().join("none"), &options);
    assert_eq!(checkup.code, Some(0), "{}", checkup.text);
    assert_eq!(checkup.step("mount")["mark"], "open", "{}", checkup.text);
    let checkup = doctor(&[], &scene.pod.mount().join("none"), &[&options[..], &["-n", "ns-1"]].concat());
    assert!(checkup.text.contains("✓ question") && checkup.code == Some(0), "{}", checkup.text);
    let checkup = doctor(
        &[],
        &scene.pod.mount().join("none"),
        &["--server", &server, "--token-file", &file("missing"), "--certificate-authority", &ca],
    );
    broken(&checkup, "mount", 12, "--token-file");

    let options = ["--insecure-skip-tls-verify"];
    let checkup = in_pod(&scene, &options);
    assert_eq!(checkup.code, Some(0), "{}", checkup.text);
    assert!(checkup.text.contains("not verified"), "{}", checkup.text);
}

/// The kubelet's variables, with values that something else has set.
#[test]
fn variables_that_do_not_name_a_server() {
    let scene = Scene::with_lister();
    let links = [("KUBERNETES_SERVICE_HOST", "127.0.0.1"), ("KUBERNETES_SERVICE_PORT", "tcp://10.0.0.5:80")];
    let checkup = doctor(&links, scene.pod.mount(), &["--timeout", "8s"]);
    broken(
        &checkup,
        "environment",
        31,
        "set enableServiceLinks: false in the pod's spec: kubectl get service",
    );
    let checkup = doctor(&links, scene.pod.mount(), &["--server", &scene.cluster.server()]);
    assert_eq!(
        (checkup.code, &checkup.step("environment")["mark"]),
        (Some(0), &json!("open")),
        "{}",
        checkup.text
    );
    assert!(checkup.text.contains("enableServiceLinks: false"), "{}", checkup.text);

    let name = [("KUBERNETES_SERVICE_HOST", "no-such-host.invalid"), ("KUBERNETES_SERVICE_PORT", "443")];
    let checkup = doctor(&name, scene.pod.mount(), &["--timeout", "8s"]);
    broken(&checkup, "names", 20, "no-such-host.invalid in KUBERNETES_SERVICE_HOST needs DNS");
    assert!(checkup.text.contains("kubectl get service kubernetes -n default"), "{}", checkup.text);
}

#[test]
fn without_dns() {
    let scene = Scene::with_lister();
    let checkup = doctor(&[], scene.pod.mount(), &["--server", "https://no-such-host.invalid:6443"]);
    broken(&checkup, "names", 20, "no-such-host.invalid");
    assert_eq!(checkup.step("TCP")["mark"], "open");
}
