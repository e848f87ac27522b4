//! Setups from the field: variables, files and certificates that look right and are not, or the other way round.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, SanType};
use testbed::certificates::{Authority, Fixture, P_256_SHA_512, P_384, P_521, SERVER_NAMES, server_config};
use testbed::faults::{self, Listener, answer, server_hello};

use testbed::{Program, Stderr, World, runner_delay};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::crypto::ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, version::TLS12};

use crate::{Kubeknock, Pod, Scene};

const VERSION: &str = r#"{"major":"1","minor":"34","gitVersion":"v1.34.0"}"#;

/// A good answer to `get /version` with this set-up of TLS.
fn serves(ca_pem: &str, config: ServerConfig) -> Listener {
    let answer = answer("200 OK", "application/json", VERSION);
    faults::tls_listener_with("127.0.0.1:0", ca_pem, Arc::new(config), move |stream, _| {
        use std::io::Write;
        while faults::read_request(stream).is_ok() {
            stream.write_all(answer.as_bytes())?;
        }
        Ok(())
    })
}

/// A certificate without a CA, changed by the closure.
fn self_signed(
    change: impl FnOnce(&mut CertificateParams),
) -> (String, CertificateDer<'static>, PrivateKeyDer<'static>) {
    let names: Vec<String> = SERVER_NAMES.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let made = params.self_signed(&key).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    (made.pem(), made.der().clone(), key)
}

const CHECK: &[&str] = &["check", "get /version"];

/// What the kubelet or a Service put into the variables, the variable that is named, and what is said.
#[test]
fn variables_that_name_no_server() {
    let scene = Scene::new();
    for (host, port, line) in [
        (
            "10.0.0.256",
            "443",
            "KUBERNETES_SERVICE_HOST \"10.0.0.256\": \"10.0.0.256\" is not an IPv4 address",
        ),
        ("10.0.0", "443", "KUBERNETES_SERVICE_HOST \"10.0.0\": \"10.0.0\" is not an IPv4 address"),
        (
            "https://10.0.0.1",
            "443",
            "KUBERNETES_SERVICE_HOST \"https://10.0.0.1\": it has a scheme; set the name or address alone, such as 10.96.0.1",
        ),
        (
            "10.0.0.1:6443",
            "443",
            "KUBERNETES_SERVICE_HOST \"10.0.0.1:6443\": it has a port; set the name or address alone, and the port in KUBERNETES_SERVICE_PORT",
        ),
        (
            "10.0.0.1\n",
            "443",
            "KUBERNETES_SERVICE_HOST \"10.0.0.1\\n\": it has spaces or line breaks around it; set the name or address alone",
        ),
        (
            "fd00::1%eth0",
            "443",
            "KUBERNETES_SERVICE_HOST \"fd00::1%eth0\": \"fd00::1%eth0\" is not an IPv6 address",
        ),
        (
            "::ffff:10.0.0.256",
            "443",
            "KUBERNETES_SERVICE_HOST \"::ffff:10.0.0.256\": \"::ffff:10.0.0.256\" is not an IPv6 address",
        ),
        ("api server", "443", "KUBERNETES_SERVICE_HOST \"api server\": \"api server\" is not a host name"),
        (
            "10.0.0.1",
            "tcp://10.0.0.5:80",
            "KUBERNETES_SERVICE_PORT \"tcp://10.0.0.5:80\": a Service named kubernetes-service in this namespace sets it (a service link); set enableServiceLinks: false in the pod's spec, or rename that Service",
        ),
        (
            "10.0.0.1",
            "",
            "KUBERNETES_SERVICE_PORT \"\": it is empty, and KUBERNETES_SERVICE_HOST is set; set both or neither, the API server's port is 443 or 6443 in most clusters",
        ),
        (
            "10.0.0.1",
            "https",
            "KUBERNETES_SERVICE_PORT \"https\": the port \"https\" is not between 1 and 65535",
        ),
    ] {
        for command in [
            &["check", "list pods"][..],
            &["wait", "list pods"],
            &["get", "/version"],
            &["whoami"],
            &["rules"],
        ] {
            let mut command = Kubeknock::command(command);
            command.arg("--service-account-dir").arg(scene.pod.mount());
            command.env("KUBERNETES_SERVICE_HOST", host).env("KUBERNETES_SERVICE_PORT", port);
            scene.pod.run(&mut command).is(31, "", &format!("kubeknock: {line}\n"));
        }
    }
    assert_eq!(scene.cluster.connections(), 0);
    // The same mistake on the command line is a usage error.
    let mut command = Kubeknock::command(["check", "list pods", "--server=https://10.0.0.256"]);
    scene.pod.run(&mut command).gives(
        30,
        &[],
        Stderr::Has("--server \"https://10.0.0.256\": \"10.0.0.256\" is not an IPv4 address"),
    );
}

/// A pipe in a folder of its own.
fn pipe() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let path = path.display().to_string();
    (folder, path)
}

#[test]
fn a_pipe_that_nothing_writes_to_ends_at_the_deadline() {
    let scene = Scene::with_reader();
    let (_folder, pipe) = pipe();
    for option in ["--token-file", "--certificate-authority"] {
        let what = if option == "--token-file" { "token file" } else { "CA bundle" };
        for command in [
            &["check", "list pods"][..],
            &["wait", "list pods"],
            &["get", "/version"],
            &["whoami"],
            &["rules"],
        ] {
            let arguments = [command, &["--timeout=1s", option, &pipe]].concat();
            let mut finished = scene.runs(&arguments);
            // Once more where the machine was busy.
            if finished.took > Duration::from_millis(1100) + runner_delay() {
                finished = scene.runs(&arguments);
            }
            let took = finished.took;
            assert!(
                took >= Duration::from_secs(1) && took <= Duration::from_millis(1100) + runner_delay(),
                "{took:?}"
            );
            finished.is(
                23,
                "",
                &format!("kubeknock: {what} {pipe}: not read in time: it is a pipe or a device that nothing writes to; name a file\n"),
            );
        }
        let start = Instant::now();
        scene.runs(&["doctor", "--timeout=2s", option, &pipe]).gives(31, &["not read in time"], Stderr::Any);
        assert!(start.elapsed() < Duration::from_millis(2100) + runner_delay() * 2, "{:?}", start.elapsed());
    }
}

const ONCE: &str =
    "an empty pipe: a pipe can be read only once, and files are read again for each attempt; name a file";

#[test]
fn a_pipe_can_be_read_once() {
    let scene = Scene::new();
    let (_folder, pipe) = pipe();
    let token = scene.pod.token().unwrap();
    let write = |text: &str| {
        let (pipe, text) = (pipe.clone(), text.to_owned());
        thread::spawn(move || fs::write(pipe, text).unwrap())
    };
    let writer = write(&token);
    scene.runs(&["check", "list pods", "--token-file", &pipe]).gives(
        10,
        &["token 403  forbidden"],
        Stderr::Empty,
    );
    writer.join().unwrap();
    for (option, what) in [("--token-file", "token file"), ("--certificate-authority", "CA bundle")] {
        let writer = write("");
        let finished = scene.runs(&["check", "list pods", option, &pipe]);
        writer.join().unwrap();
        finished.is(31, "", &format!("kubeknock: {what} {pipe}: {ONCE}\n"));
    }
    // `wait --token-file <(…)`: the shell's pipe is open for good, and empty after the first round.
    let mut command = scene.command(&[
        "wait",
        "list pods",
        "--max-interval=100ms",
        "--timeout=20s",
        "--token-file=/dev/stdin",
    ]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), token.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(31), "{stderr}");
    assert!(stderr.ends_with(&format!("token file /dev/stdin: {ONCE}\n")), "{stderr}");
}

/// Trust as client-go's: a certificate that is itself in the bundle needs no CA.
#[test]
fn certificates_that_are_in_the_bundle_themselves() {
    let other = Authority::named("other");
    for ca in [IsCa::NoCa, IsCa::ExplicitNoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let (pem, der, key) = self_signed(|params| params.is_ca = ca);
        for bundle in [pem.clone(), format!("{}{pem}", other.pem()), format!("{pem}{}", other.pem())] {
            let listener = serves(&bundle, server_config(vec![der.clone()], key.clone_key()));
            Pod::in_front_of(&listener).runs(CHECK).gives(0, &["token 200  ok"], Stderr::Empty);
        }
        let listener = serves(other.pem(), server_config(vec![der], key));
        Pod::in_front_of(&listener).runs(CHECK).gives(22, &["TLS with 127.0.0.1:"], Stderr::Empty);
    }
    // The leaf alone, whose CA is elsewhere.
    let (leaf, key) = Authority::new().certify(&SERVER_NAMES, |_| ());
    let pem = pem_of(&leaf);
    let listener = serves(&pem, server_config(vec![leaf], key));
    Pod::in_front_of(&listener).runs(CHECK).gives(0, &["token 200  ok"], Stderr::Empty);
    // It is not taken for another server's, nor after its time.
    let (pem, der, key) = self_signed(|params| {
        params.subject_alt_names = vec![SanType::DnsName("elsewhere".try_into().unwrap())];
    });
    let listener = serves(&pem, server_config(vec![der], key));
    Pod::in_front_of(&listener).runs(CHECK).gives(
        22,
        &["is not for 127.0.0.1 but for elsewhere"],
        Stderr::Empty,
    );
    let (pem, der, key) = self_signed(|params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let listener = serves(&pem, server_config(vec![der], key));
    Pod::in_front_of(&listener).runs(CHECK).gives(22, &["its certificate expired"], Stderr::Empty);
}

fn pem_of(der: &CertificateDer<'_>) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

/// What is wrong with trust is said by its cause.
#[test]
fn chains_that_do_not_lead_to_the_bundle() {
    let (root, stranger) = (Authority::new(), Authority::named("other"));
    let (leaf, key) = root.certify(&SERVER_NAMES, |_| ());
    let listener = serves(stranger.pem(), server_config(vec![leaf.clone()], key.clone_key()));
    Pod::in_front_of(&listener).runs(CHECK).gives(
        22,
        &["its certificate is not signed by a CA of the bundle: CN=kubernetes has signed it, and the bundle has CN=other (another cluster's ca.crt, or the server does not send its intermediate certificate)"],
        Stderr::Empty,
    );
    let listener = serves(Authority::new().pem(), server_config(vec![leaf], key));
    Pod::in_front_of(&listener).runs(CHECK).gives(
        22,
        &["another CA of the name CN=kubernetes has signed it (another cluster's ca.crt, or the CA was rotated)"],
        Stderr::Empty,
    );
    let (_, der, key) = self_signed(|_| ());
    let listener = serves(stranger.pem(), server_config(vec![der], key));
    Pod::in_front_of(&listener).runs(CHECK).gives(
        22,
        &["its certificate is self-signed (CN=kube-apiserver) and not in the CA bundle"],
        Stderr::Empty,
    );
    let (leaf, key) = root.certify(&[], |params| {
        params.subject_alt_names = vec![SanType::DnsName("127.0.0.1".try_into().unwrap())];
    });
    let listener = serves(root.pem(), server_config(vec![leaf], key));
    Pod::in_front_of(&listener).runs(CHECK).gives(
        22,
        &["its certificate has the address 127.0.0.1 as a DNS name, which does not count: it must be an IP address in its subjectAltName (IP:127.0.0.1)"],
        Stderr::Empty,
    );
}

const OFFER: &str = "kubeknock offers TLS 1.2 and 1.3 with AES-GCM and ChaCha20-Poly1305";

/// Cryptography that this program has, and has not.
#[test]
fn algorithms() {
    let fixture = |pem: &str| {
        let Fixture { ca_pem, chain, key } = Fixture::read(pem);
        serves(&ca_pem, server_config(chain, key))
    };
    Pod::in_front_of(&fixture(P_384)).runs(CHECK).gives(0, &["token 200  ok"], Stderr::Empty);
    for (pem, words) in [
        (P_521, "is signed with ecdsa-with-SHA512, which cannot be verified here"),
        (P_256_SHA_512, "is signed with ecdsa-with-SHA512"),
    ] {
        Pod::in_front_of(&fixture(pem)).runs(CHECK).gives(22, &[words, OFFER], Stderr::Empty);
    }
    let authority = Authority::new();
    let (leaf, key) = authority.certify(&SERVER_NAMES, |_| ());
    let suites = vec![TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256];
    let provider = CryptoProvider { cipher_suites: suites, ..default_provider() };
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf], key)
        .unwrap();
    let listener = serves(authority.pem(), config);
    Pod::in_front_of(&listener).runs(CHECK).gives(0, &["token 200  ok"], Stderr::Empty);
    // What a server says in the clear, as OpenSSL's and Go's do where nothing fits.
    for (bytes, words) in [
        (&[0x15, 3, 3, 0, 2, 2, 40][..], "P-521, or AES-CBC or static RSA only"),
        (&[0x15, 3, 3, 0, 2, 2, 71], "nothing fits (alert 71)"),
        (&[0x15, 3, 1, 0, 2, 2, 70], "it may speak only TLS 1.1 or older"),
        (SERVER_HELLO_1_1, "it speaks only TLS 1.1 or older"),
        (SERVER_HELLO_CBC, "AES-CBC or static RSA; "),
    ] {
        let listener = faults::says_in_the_clear(bytes);
        Pod::in_front_of(&listener).runs(CHECK).gives(22, &[words, OFFER], Stderr::Empty);
    }
}

/// ServerHellos with TLS_RSA_WITH_AES_128_CBC_SHA and no extensions.
const SERVER_HELLO_1_1: &[u8] = &server_hello(2, [0, 0x2f]);
const SERVER_HELLO_CBC: &[u8] = &server_hello(3, [0, 0x2f]);

/// Two files in one, without a line break between them: none is lost.
#[test]
fn bundles_that_are_glued() {
    let scene = Scene::with_reader();
    let (other, good) = (Authority::named("other"), scene.cluster.ca_pem());
    let mut pod = scene.pod;
    for bundle in [
        format!("{}{good}", other.pem().trim_end()),
        format!("{}{}", good.trim_end(), other.pem()),
        format!("{}{}{}", other.pem().trim_end(), good.trim_end(), other.pem()),
        format!("{}{good}", other.pem().trim_end()).replace('\n', "\r\n"),
    ] {
        pod = pod.with_file("ca.crt", &bundle);
        pod.runs(&["check", "list pods"]).gives(0, &["token 200  ok"], Stderr::Empty);
    }
    // What a mark hides is said.
    pod = pod.with_file("ca.crt", &format!("\u{feff}{}{good}", other.pem()));
    pod.runs(&["check", "list pods"]).gives(
        0,
        &["token 200  ok"],
        Stderr::Has("1 certificate in it cannot be read"),
    );
}

/// Each is named for what it is.
#[test]
fn bundles_that_are_something_else() {
    use base64::Engine;
    let Scene { cluster, pod } = Scene::new();
    let pem = cluster.ca_pem().replace("\r\n", "\n");
    let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let der = Authority::new().der();
    let mut pod = pod;
    for (content, words) in [
        (base64(pem.as_bytes()), "it is base64 of a PEM file"),
        (base64(&der), "it is base64 without the lines -----BEGIN CERTIFICATE-----"),
        (pem.replace("CERTIFICATE", "PKCS7"), "it is PKCS#7"),
        (pem.replace("CERTIFICATE", "TRUSTED CERTIFICATE"), "it is OpenSSL's TRUSTED CERTIFICATE"),
        (format!("  {}", pem.replace('\n', "\n  ")), "its lines are indented"),
        (pem.replace('\n', "\\n"), "its line breaks are written as \\n"),
        (pem.replace('\n', " "), "its line breaks are missing"),
        (format!("\u{feff}{pem}"), "it begins with a byte order mark"),
        (pem.replace("CERTIFICATE", "PRIVATE KEY"), "it is a private key"),
    ] {
        pod = pod.with_file("ca.crt", &content);
        let finished = pod.runs(&["check", "list pods"]).gives(31, &[], Stderr::Has("CA bundle "));
        let start = "kubeknock: CA bundle MOUNT/ca.crt: no certificate in it (-----BEGIN CERTIFICATE-----): ";
        let stderr = finished.plain(&finished.stderr);
        assert!(stderr.starts_with(&format!("{start}{words}")), "{stderr}");
    }
    fs::write(pod.mount().join("ca.crt"), &der).unwrap();
    pod.runs(&["check", "list pods"]).gives(
        31,
        &[],
        Stderr::Has("it is a certificate in binary form (DER); convert it with: openssl x509"),
    );
    assert_eq!(cluster.connections(), 0);
}

/// A 401 whose cause is in the file, and a file that cannot be sent for what is in it.
#[test]
fn tokens_that_are_written_wrong() {
    let Scene { cluster: _cluster, pod } = Scene::with_reader();
    let good = pod.token().unwrap();
    let mut pod = pod;
    for (content, code, words) in [
        (format!("\"{good}\""), 11, "the token is in quotes"),
        (format!("'{good}'\n"), 11, "the token is in quotes"),
        (format!("{good}\\n"), 11, "ends with a line break written as a backslash"),
        (format!("token={good}"), 11, "\"token\" is in front of the token"),
        ("ZXlKaGJHY2lPaUpTVXpJMU5pSjkuZXlK".to_owned(), 11, "holds the token in base64"),
        ("${TOKEN}".to_owned(), 11, "holds a placeholder"),
        (format!("Bearer {good}"), 31, "\"Bearer\" is in front of the token"),
        (format!("Authorization: Bearer {good}"), 31, "holds a header"),
        (format!("{{\"token\": \"{good}\"}}"), 31, "holds JSON"),
        (format!("{}\n{}", &good[..60], &good[60..]), 31, "the token is broken into lines"),
        (format!("\u{feff}{good}"), 31, "begins with a byte order mark"),
    ] {
        pod = pod.with_file("token", &content);
        let finished = pod.runs(&["check", "list pods"]).gives(code, &[], Stderr::Any);
        let said = format!("{}{}", finished.stdout, finished.stderr);
        assert!(said.contains(words), "no {words:?}\n{}", finished.story());
        // Nor is what is inside shown.
        assert!(!said.contains(&good[..40]), "{}", finished.story());
    }
}
