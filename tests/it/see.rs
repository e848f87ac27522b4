//! `whoami`, `rules` and `doctor` on the stand-in, as 1.36 and as 1.20, and in broken worlds.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use testbed::faults::{self, Certificate, Listener};
use testbed::{
    Cluster, Fault, ISSUER, Program, Stderr, Times, TokenSpec, Version, World, program, runner_delay,
    write_mount,
};

use crate::{Kubeknock, Pod};

fn ready(version: Version) -> (Cluster, Pod) {
    let cluster = Cluster::builder().version(version).start();
    cluster.namespace("ns-1");
    cluster.service_account("ns-1", "k-sa-1");
    let pod = Pod::of(&cluster, "ns-1", "k-sa-1");
    (cluster, pod)
}

const USER: &str = "system:serviceaccount:ns-1:k-sa-1";

fn report(stdout: &str) -> Value {
    serde_json::from_str(stdout).unwrap()
}

#[test]
fn whoami_tells_everything_that_1_36_knows() {
    let (_cluster, pod) = ready(Version::V1_36);
    let told = [
        "anonymous  system:anonymous",
        "token      system:serviceaccount:ns-1:k-sa-1",
        "groups        system:serviceaccounts, system:serviceaccounts:ns-1, system:authenticated",
        "pod-name      k-sa-1-pod",
        "node-name     node-1",
        "credential-id JTI=",
        "issuer        https://kubernetes.default.svc.cluster.local",
        "expires       in 60m",
        "warn after    in 60m",
        "allowed (0)",
    ];
    pod.runs(&["whoami"]).gives(0, &told, Stderr::Empty);
    let knock = pod.runs(&["whoami", "-ojson"]).gives(0, &[], Stderr::Empty);
    let report = report(&knock.stdout);
    assert_eq!(report["schema"], "kubeknock/v1");
    assert_eq!(report["identity"], json!({ "user": USER, "source": "server" }));
    assert_eq!((&report["token"]["confirmed"], &report["token"]["source"]), (&json!(true), &json!("review")));
    assert_eq!(report["token"]["extra"]["authentication.kubernetes.io/pod-name"], json!(["k-sa-1-pod"]));
    assert_eq!(report["anonymous"]["status"], 403);
    assert_eq!(report["claims"]["pod"], "k-sa-1-pod");
}

#[test]
fn whoami_falls_back_to_the_words_of_a_refusal_on_1_20() {
    let (_cluster, pod) = ready(Version::V1_20);
    let told = [
        "token      system:serviceaccount:ns-1:k-sa-1",
        "source        the words of a refusal",
        "allowed (0)",
    ];
    pod.runs(&["whoami"]).gives(0, &told, Stderr::Empty);
    let knock = pod.runs(&["whoami", "-ojson"]).gives(0, &[], Stderr::Empty);
    assert_eq!(report(&knock.stdout)["token"]["user"], USER);
    let token = &report(&knock.stdout)["token"];
    assert_eq!((&token["confirmed"], &token["source"]), (&json!(true), &json!("refusal")));
}

#[test]
fn whoami_marks_the_claims_unconfirmed_where_nothing_is_refused_on_1_20() {
    let (cluster, pod) = ready(Version::V1_20);
    cluster.cluster_role_binding("admin", "cluster-admin", "ns-1", "k-sa-1");
    pod.runs(&["whoami"]).gives(
        0,
        &[USER, "the token's own word, unconfirmed", "allowed (0)"],
        Stderr::Empty,
    );
    let knock = pod.runs(&["whoami", "-ojson"]).gives(0, &[], Stderr::Empty);
    assert_eq!(report(&knock.stdout)["identity"], json!({ "user": USER, "source": "token" }));
    assert_eq!(report(&knock.stdout)["token"]["confirmed"], false);
}

#[test]
fn whoami_without_a_good_token() {
    let (mut cluster, pod) = ready(Version::V1_36);
    let spec = TokenSpec {
        namespace: "ns-1".into(),
        service_account: "k-sa-1".into(),
        expires_in: -60,
        ..TokenSpec::default()
    };
    let pod = pod.with_file("token", &cluster.token_with(&spec));
    pod.runs(&["whoami"]).gives(
        11,
        &["not accepted (401)", "expired 60s ago", "unauthenticated (11)"],
        Stderr::Empty,
    );
    let pod = pod.with_file("token", "");
    pod.runs(&["whoami"]).gives(12, &["system:anonymous", "anonymous (12)", "automount"], Stderr::Empty);
    cluster.anonymous_auth(false);
    pod.runs(&["whoami"]).gives(12, &["anonymous (12)"], Stderr::Empty);
    cluster.anonymous_auth(true);
    cluster.strip_tokens(true);
    let pod = Pod::of(&cluster, "ns-1", "k-sa-1");
    pod.runs(&["whoami"]).gives(12, &["takes the Authorization header off"], Stderr::Empty);
    cluster.stop();
    pod.runs(&["whoami", "-ojson"]).gives(21, &["\"exitCode\":21"], Stderr::Empty);
    pod.runs(&["whoami"]).gives(21, &["unreachable (21)", "expires"], Stderr::Empty);
    pod.runs(&["rules"]).gives(21, &[], Stderr::Has("unreachable (21)"));
}

#[test]
fn whoami_behind_kubectl_proxy() {
    let cluster = Cluster::builder().plain_http("jane").start();
    cluster.namespace("ns-1");
    cluster.service_account("ns-1", "k-sa-1");
    let pod = Pod::of(&cluster, "ns-1", "k-sa-1");
    pod.runs(&["whoami"]).gives(0, &["proxy      jane"], Stderr::Empty);
}

#[test]
fn rules_as_kubectl_lists_them() {
    for version in [Version::V1_36, Version::V1_20] {
        let (cluster, pod) = ready(version);
        cluster.role("ns-1", "pods", &["get", "list"], "", &["pods"]);
        cluster.role_binding("ns-1", "pods", "pods", "ns-1", "k-sa-1");
        let knock = pod.runs(&["rules"]).gives(0, &[], Stderr::Empty);
        let lines: Vec<&str> = knock.stdout.lines().collect();
        assert!(lines[0].starts_with("Resources  "), "{}", knock.story());
        let pods: Vec<&str> =
            lines.iter().find(|line| line.starts_with("pods ")).unwrap().split("   ").collect();
        assert_eq!((pods[0], *pods.last().unwrap()), ("pods", "[get list]"), "{}", knock.story());
        assert!(!pod.runs(&["rules", "-n", "default"]).stdout.contains("pods"));
        let knock = pod.runs(&["rules", "-o", "json"]).gives(0, &[], Stderr::Empty);
        let report = report(&knock.stdout);
        let pods = json!({ "group": "", "resource": "pods", "resourceNames": [], "nonResourceURLs": [], "verbs": ["get", "list"] });
        assert!(report["rules"].as_array().unwrap().contains(&pods), "{report}");
        assert_eq!((&report["namespace"], &report["incomplete"]), (&json!("ns-1"), &json!(false)));
        cluster.role_binding("ns-1", "dangling", "no-such-role", "ns-1", "k-sa-1");
        pod.runs(&["rules"]).gives(0, &["[get list]"], Stderr::Has("the list may lack some"));
    }
}

#[test]
fn rules_refused() {
    let (cluster, pod) = ready(Version::V1_36);
    cluster.delete("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/system:basic-user");
    pod.runs(&["rules"]).gives(10, &[], Stderr::Has("--clusterrole=system:basic-user"));
    let pod = pod.without_file("token");
    pod.runs(&["rules"]).gives(12, &[], Stderr::Has("anonymous (12)"));
    pod.without_file("namespace").runs(&["rules"]).gives(31, &[], Stderr::Has("-n NAMESPACE"));
}

#[test]
fn whoami_and_rules_keep_their_deadline() {
    let (_cluster, mut pod) = ready(Version::V1_36);
    for (name, listener, code) in [
        ("silent", faults::silent(), 23),
        ("never accepts", faults::never_accepts(), 23),
        ("silent after TLS", faults::silent_after_tls(), 23),
        ("drips", faults::drips(Duration::from_millis(100)), 23),
        ("drips head", faults::drips_head(Duration::from_millis(100)), 23),
        ("endless body", faults::endless_body(), 26),
        ("web page", faults::web_page(), 26),
        ("refuses", faults::refuses(), 21),
        ("other cluster", faults::certificate(Certificate::OtherCluster), 22),
    ] {
        pod = pod.with_file("ca.crt", &listener.ca_pem()).at_server(&listener.server());
        for command in ["whoami", "rules"] {
            let knock = pod.runs(&[command, "--timeout", "1s"]).gives(code, &[], Stderr::Any);
            assert!(knock.took < Duration::from_millis(1500) + runner_delay(), "{name}: {}", knock.story());
        }
    }
}

/// A pod whose own account may list its pods, as the tutorial leaves it.
fn healthy(version: Version) -> (Cluster, TempDir) {
    let (cluster, _) = ready(version);
    cluster.role("ns-1", "pod-lister", &["list"], "", &["pods"]);
    cluster.role_binding("ns-1", "pod-lister-binding", "pod-lister", "ns-1", "k-sa-1");
    let mount = tempfile::tempdir().unwrap();
    cluster.mount(mount.path(), "ns-1", "k-sa-1");
    (cluster, mount)
}

/// What `doctor` said.
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

/// Runs `doctor` as a pod does, with the kubelet's variables and no options but the mount's place: once for
/// its text, once for its JSON.
fn doctor(variables: &[(&str, &str)], mount: &Path, options: &[&str]) -> Checkup {
    let run = |format: &str| {
        let start = Instant::now();
        let output = program(Kubeknock::file())
            .args(["doctor", "-o", format, "--service-account-dir"])
            .arg(mount)
            .args(options)
            .env_clear()
            // A machine's name server that answers nothing is given up within the time that doctor has.
            .env("RES_OPTIONS", "timeout:1 attempts:1")
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), start.elapsed())
    };
    let (code, text, _) = run("text");
    let (json_code, line, took) = run("json");
    assert_eq!(code, json_code, "{text}\n{line}");
    let token = std::fs::read_to_string(mount.join("token")).unwrap_or_default();
    assert!(token.trim().is_empty() || !(text.contains(token.trim()) || line.contains(token.trim())));
    Checkup { code, text, report: serde_json::from_str(&line).unwrap(), took }
}

fn in_pod_of(address: std::net::SocketAddr, mount: &Path, options: &[&str]) -> Checkup {
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let variables = [
        ("KUBERNETES_SERVICE_HOST", host.as_str()),
        ("KUBERNETES_SERVICE_PORT", port.as_str()),
        ("HOSTNAME", "k-sa-1-pod"),
    ];
    doctor(&variables, mount, options)
}

#[test]
fn doctor_in_a_healthy_pod_fits_one_screen() {
    for version in [Version::V1_36, Version::V1_20] {
        let (cluster, mount) = healthy(version);
        let checkup = in_pod_of(cluster.address(), mount.path(), &[]);
        let text = &checkup.text;
        assert_eq!(checkup.code, Some(0), "{text}");
        println!("{text}");
        assert!(text.lines().count() <= 40, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert!(!text.contains('✗') && !text.contains('\u{1b}') && !text.contains('→'), "{text}");
        for told in [
            "✓ environment         KUBERNETES_SERVICE_HOST=127.0.0.1",
            "s old, ca.crt ",
            "CN=kubernetes, valid for another",
            "vouches for the server's certificate",
            "system:serviceaccount:ns-1:k-sa-1, valid for another",
            "pod k-sa-1-pod on node-1 (this pod)",
            "the same as the server's",
            "kubernetes alone works only in the namespace default",
            "takes connections",
            "TLS 1.3, TLS13_AES",
            "CN=kube-apiserver for 127.0.0.1, ::1, localhost, kubernetes,",
            "told without a token",
            "in ns-1: list pods",
            "list pods in ns-1: anonymous 403, token 200: allowed",
            "– question",
            "list pods in default: anonymous 403, token 403: forbidden",
            "allowed (0): nothing is broken",
        ] {
            assert!(text.contains(told), "no {told:?} in\n{text}");
        }
        assert_eq!(checkup.report["broken"], Value::Null);
        assert_eq!(checkup.step("TLS")["mark"], "good");
    }
}

#[test]
fn doctor_asks_phrases_last_and_these_decide() {
    let (cluster, mount) = healthy(Version::V1_36);
    cluster.delete("/apis/rbac.authorization.k8s.io/v1/namespaces/ns-1/rolebindings/pod-lister-binding");
    let ask = |phrases: &[&str]| in_pod_of(cluster.address(), mount.path(), phrases);
    let checkup = ask(&["get /version"]);
    assert_eq!(checkup.code, Some(0), "{}", checkup.text);
    assert!(checkup.text.contains("get /version: anonymous 200, token 200: allowed"), "{}", checkup.text);
    let checkup = ask(&["get /version", "create deployments.apps"]);
    assert_eq!(checkup.code, Some(10), "{}", checkup.text);
    for told in [
        "the first broken step is \"create deployments.apps in ns-1\"",
        "→ kubectl create role k-sa-1-create-deployments-apps --verb=create --resource=deployments.apps",
    ] {
        assert!(checkup.text.contains(told), "no {told:?} in\n{}", checkup.text);
    }
}

/// Which step is the first broken one, with which code, and a word of what to do.
fn broken(checkup: &Checkup, step: &str, code: i32, word: &str) {
    let Checkup { text, report, .. } = checkup;
    assert_eq!(checkup.code, Some(code), "{text}");
    assert_eq!(report["broken"], step, "{text}");
    assert_eq!(report["exitCode"], code, "{text}");
    assert!(text.contains(word), "no {word:?} in\n{text}");
    let advice = text.lines().filter(|line| line.contains("→ ")).count();
    assert!((1..=3).contains(&advice), "{advice} lines of advice\n{text}");
    for step in report["steps"].as_array().unwrap() {
        assert!(step["advice"].as_array().unwrap().len() <= 3, "{step}");
    }
}

#[test]
fn doctor_finds_what_is_missing_in_the_pod() {
    let (cluster, mount) = healthy(Version::V1_36);
    let ask = || in_pod_of(cluster.address(), mount.path(), &[]);
    let (token, ca) = (cluster.token("ns-1", "k-sa-1"), cluster.ca_pem());
    let file = |name: &str, content: &str| {
        let _ = std::fs::remove_file(mount.path().join(name));
        std::fs::write(mount.path().join(name), content).unwrap();
    };
    let without = |name: &str| std::fs::remove_file(mount.path().join(name)).unwrap();

    let checkup = doctor(&[], mount.path(), &["--timeout", "8s"]);
    broken(&checkup, "environment", 20, "were they lost on the way");

    let nothing = tempfile::tempdir().unwrap();
    let checkup = in_pod_of(cluster.address(), &nothing.path().join("none"), &[]);
    broken(&checkup, "mount", 31, "automountServiceAccountToken");
    assert_eq!(checkup.step("TLS")["mark"], "good", "{}", checkup.text);
    assert!(cluster.requests().iter().all(|seen| seen.authorization.is_none()));

    file("token", "\n");
    broken(&ask(), "token", 12, "is missing or empty");
    without("token");
    broken(&ask(), "mount", 12, "token missing");
    file("token", "two words");
    broken(&ask(), "token", 31, "cannot stand in a header");
    file("token", "garbage");
    broken(&ask(), "identity", 11, "no JWT");
    let spec = |expires_in: i64, issuer: &str| {
        cluster.token_with(&TokenSpec {
            namespace: "ns-1".into(),
            service_account: "k-sa-1".into(),
            expires_in,
            issuer: issuer.into(),
            ..TokenSpec::default()
        })
    };
    file("token", &spec(-7200, ISSUER));
    broken(&ask(), "token", 11, "expired 2h0m ago");
    file("token", &spec(3600, "https://another.example.com"));
    broken(&ask(), "identity", 11, "issuer https://another.example.com");
    file("token", &token);

    file("ca.crt", "no PEM");
    broken(&ask(), "CA", 31, "no certificate in it");
    without("ca.crt");
    broken(&ask(), "mount", 31, "kube-root-ca.crt");
    file("ca.crt", &Cluster::start().ca_pem());
    let checkup = ask();
    broken(&checkup, "CA", 22, "it has not signed the server's certificate");
    assert_eq!(checkup.step("TLS")["mark"], "broken");
    file("ca.crt", &ca);
    without("namespace");
    broken(&ask(), "mount", 31, "-n NAMESPACE");
    assert_eq!(in_pod_of(cluster.address(), mount.path(), &["-n", "ns-1"]).code, Some(0));
}

#[test]
fn doctor_finds_what_is_wrong_with_the_answers() {
    let (cluster, mount) = healthy(Version::V1_36);
    let ask = || in_pod_of(cluster.address(), mount.path(), &["--timeout", "5s"]);

    cluster.fail(Times::All, Fault::Unavailable);
    broken(&ask(), "version", 24, "asking again later");
    cluster.heal();
    cluster.strip_tokens(true);
    broken(&ask(), "identity", 12, "takes the Authorization header off");
    cluster.heal();

    for (hours, told) in [(2, "2h0m behind the server's"), (-2, "2h0m ahead of the server's")] {
        let version = Fault::Raw {
            status: 200,
            content_type: "application/json".into(),
            body: br#"{"gitVersion":"v1.36.2"}"#.to_vec(),
            headers: vec![("Date".into(), http_date(hours * 3600))],
        };
        cluster.fail_if(Times::All, version, |seen| seen.path_and_query == "/version");
        broken(&ask(), "clock", 31, told);
        cluster.heal();
    }

    cluster.anonymous_auth(false);
    let checkup = ask();
    assert_eq!(
        (checkup.code, &checkup.step("version")["mark"]),
        (Some(0), &json!("open")),
        "{}",
        checkup.text
    );
    assert!(checkup.text.contains("v1.36.2, told with the token"), "{}", checkup.text);
    cluster.anonymous_auth(true);

    cluster.delete("/apis/rbac.authorization.k8s.io/v1/namespaces/ns-1/rolebindings/pod-lister-binding");
    let checkup = ask();
    broken(&checkup, "question", 10, "→ kubectl create rolebinding");
    assert!(checkup.text.contains("nothing but what every account may"), "{}", checkup.text);
}

fn http_date(offset: i64) -> String {
    let output = Command::new("date")
        .args(["-u", "-d", &format!("{offset} seconds"), "+%a, %d %b %Y %H:%M:%S GMT"])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Worlds where no Kubernetes API server answers.
#[test]
fn doctor_finds_where_the_way_ends() {
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
    for (name, listener, step, code, word) in worlds {
        let mount = tempfile::tempdir().unwrap();
        write_mount(mount.path(), &a_token(), &listener.ca_pem(), "ns-1");
        let checkup = in_pod_of(listener.address(), mount.path(), &["--timeout", "1s"]);
        println!("{name}\n{}", checkup.text);
        broken(&checkup, step, code, word);
        assert!(checkup.took < Duration::from_millis(1500) + runner_delay(), "{name}: {:?}", checkup.took);
    }
}

#[test]
fn doctor_behind_kubectl_proxy_outside_of_a_pod_and_without_verification() {
    let proxy = Cluster::builder().plain_http("kubernetes-admin").start();
    let mount = tempfile::tempdir().unwrap();
    write_mount(mount.path(), "never-sent", "", "ns-1");
    let checkup = doctor(&[], mount.path(), &["--server", &proxy.server()]);
    assert_eq!(checkup.code, Some(0), "{}", checkup.text);
    for told in ["stays home: plain HTTP", "none: plain HTTP", "✓ identity", "kubernetes-admin"] {
        assert!(checkup.text.contains(told), "no {told:?} in\n{}", checkup.text);
    }
    assert!(proxy.requests().iter().all(|seen| seen.authorization.is_none()));

    let (cluster, mount) = healthy(Version::V1_36);
    let file = |name: &str| mount.path().join(name).to_str().unwrap().to_owned();
    let (server, token, ca) = (cluster.server(), file("token"), file("ca.crt"));
    let options = ["--server", &server, "--token-file", &token, "--certificate-authority", &ca];
    let checkup = doctor(&[], &mount.path().join("none"), &options);
    assert_eq!(checkup.code, Some(0), "{}", checkup.text);
    assert_eq!(checkup.step("mount")["mark"], "open", "{}", checkup.text);
    let checkup = doctor(&[], &mount.path().join("none"), &[&options[..], &["-n", "ns-1"]].concat());
    assert!(checkup.text.contains("✓ question") && checkup.code == Some(0), "{}", checkup.text);
    let checkup = doctor(
        &[],
        &mount.path().join("none"),
        &["--server", &server, "--token-file", &file("missing"), "--certificate-authority", &ca],
    );
    broken(&checkup, "mount", 12, "--token-file");

    let options = ["--insecure-skip-tls-verify"];
    let checkup = in_pod_of(cluster.address(), mount.path(), &options);
    assert_eq!(checkup.code, Some(0), "{}", checkup.text);
    assert!(checkup.text.contains("not verified"), "{}", checkup.text);
}

#[test]
fn doctor_without_dns() {
    let (_cluster, mount) = healthy(Version::V1_36);
    let checkup = doctor(&[], mount.path(), &["--server", "https://no-such-host.invalid:6443"]);
    broken(&checkup, "names", 20, "no-such-host.invalid");
    assert_eq!(checkup.step("TCP")["mark"], "open");
}

/// A token that no server believes, and that looks like one.
fn a_token() -> String {
    let (cluster, pod) = ready(Version::V1_36);
    drop(cluster);
    pod.token().unwrap()
}

#[test]
fn five_thousand_custom_resources_cost_one_discovery_request() {
    let (cluster, pod) = ready(Version::V1_36);
    for number in 0..5000 {
        let (group, plural) = (format!("g{}.example.com", number / 20), format!("things{number}"));
        cluster.custom_resource(&group, "v1", &plural, &format!("Thing{number}"), "Namespaced");
    }
    pod.runs(&["check", "list things4999", "list thing7.g0.example.com", "list deploy"]).gives(
        10,
        &["list things4999.g249.example.com", "list things7.g0.example.com", "list deployments.apps"],
        Stderr::Empty,
    );
    let discovery =
        cluster.requests().iter().filter(|seen| seen.path_and_query.matches('/').count() == 1).count();
    assert_eq!(discovery, 1);
}
