//! Servers that misbehave: one table of what a server can do to a client, the code each has to give, and how
//! long it may take. Every run is also held to what is promised of all: no hang, no defect, no token in what is
//! said, nothing on stdout that paints a terminal, and little memory.
//!
//! `KUBEKNOCK_BINARY=FILE` runs the table against another binary, such as the static one that is released.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, io};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyUsagePurpose, date_time_ymd};
use rustix::net::sockopt::set_socket_linger;
use serde_json::{Value, json};
use testbed::certificates::{Authority, Fixture, RSA_1024, RSA_2048, SERVER_NAMES, SHA_1, server_config};
use testbed::faults::{self, Certificate, Hold, Listener, TlsStream, answer, read_request};
use testbed::{memory_is_the_runners, runner, runner_delay};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::crypto::ring::cipher_suite::{
    TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
};
use tokio_rustls::rustls::crypto::ring::{default_provider, sign::any_supported_type};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, SupportedCipherSuite};

use crate::Pod;

const LOOPBACK: &str = "127.0.0.1:0";
const JSON: &str = "application/json";
const PODS: &str = r#"{"kind":"PodList","apiVersion":"v1","metadata":{},"items":null}"#;

/// What a run may take whose answer is there. Most take a tenth of it.
const PROMPT: Duration = Duration::from_millis(500);

/// What a run may take that waits until its `--timeout` of one second.
const DEADLINE: Duration = Duration::from_millis(1100);

/// Peak memory above that of `--version`, in KiB. A debug build is ten times as large as the one that is
/// released, and its code counts as it is touched; so it is what is held beside the code that is bounded.
const ROOM: u64 = 8 * 1024;

/// Peak memory of the binary that `KUBEKNOCK_BINARY` names, all together, in KiB.
const ALL_ROOM: u64 = 8 * 1024;

/// A misbehaviour.
struct Row {
    name: &'static str,
    /// What is asked; the server, the mount and mostly the timeout are added.
    arguments: &'static [&'static str],
    code: i32,
    within: Duration,
    server: Box<dyn Fn() -> Listener + Send + Sync>,
}

/// A run is to give `code` at once, or at its deadline if that is 23.
fn row(name: &'static str, code: i32, server: impl Fn() -> Listener + Send + Sync + 'static) -> Row {
    let within = if code == 23 { DEADLINE } else { PROMPT };
    Row { name, arguments: &["check", "list pods"], code, within, server: Box::new(server) }
}

impl Row {
    fn asked(mut self, arguments: &'static [&'static str]) -> Self {
        self.arguments = arguments;
        self
    }

    fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }
}

fn rows() -> Vec<Row> {
    [tcp(), tls(), http(), content(), reviews(), discovery(), echoes(), time()]
        .into_iter()
        .flatten()
        .collect()
}

fn tcp() -> Vec<Row> {
    vec![
        row("refuses", 21, faults::refuses),
        row("never accepts", 23, faults::never_accepts),
        row("is silent", 23, faults::silent),
        row("resets as it accepts", 21, || faults::tcp_listener(|stream, _| reset(&stream))),
        row("resets when the client has spoken", 21, faults::resets),
        row("closes as it accepts", 21, || faults::tcp_listener(|stream, _| drop(stream))),
        row("closes when the client has spoken", 21, faults::closes),
        row("resets after the handshake", 21, || {
            after_tls(|stream, _| {
                reset(&stream.sock);
                Ok(())
            })
        }),
        row("resets after the request", 21, || resets_after("")),
        row("resets in the status line", 21, || resets_after("HTTP/1.1 20")),
        row("resets in the headers", 21, || resets_after("HTTP/1.1 200 OK\r\nContent-Ty")),
        row("resets in the body", 21, || {
            resets_after(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{\"ki",
            )
        }),
        row("closes after the handshake", 21, || after_tls(|_, _| Ok(()))),
        row("closes after the request", 21, faults::closes_after_request),
        row("ends the TCP stream without the end of TLS", 21, || {
            after_tls(|stream, hold| {
                read_request(stream)?;
                stream.sock.shutdown(Shutdown::Write)?;
                hold.until_dropped();
                Ok(())
            })
        }),
        row("ends its half before the handshake", 21, || {
            faults::tcp_listener(|stream, hold| {
                drop(stream.shutdown(Shutdown::Write));
                hold.until_dropped();
            })
        }),
        row("drips its part of the handshake", 23, || {
            faults::tcp_listener(|mut stream, hold| {
                // A record of 16 KiB, a byte at a time.
                let bytes = [0x16, 3, 3, 0x40, 0, 2, 0, 0x3f, 0xfc].into_iter().chain(std::iter::repeat(3));
                for byte in bytes {
                    if stream.write_all(&[byte]).is_err() || hold.pause(Duration::from_millis(20)) {
                        break;
                    }
                }
            })
        }),
        row("is silent after the handshake", 23, faults::silent_after_tls),
        row("stops after the status line", 23, faults::stops_after_status_line),
        row("drips its head", 23, || faults::drips_head(Duration::from_millis(20))),
        row("drips its body", 23, || faults::drips(Duration::from_millis(20))),
        row("drips a chunk size", 23, || {
            drips(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
                b"0",
            )
        }),
        row("drips chunks", 23, || {
            drips(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
                b"1\r\n \r\n",
            )
        }),
        row("never reads", 23, || {
            after_tls(|_, hold| {
                hold.until_dropped();
                Ok(())
            })
        })
        .asked(&["check", "create pods"]),
    ]
}

#[allow(clippy::too_many_lines, reason = "a table")]
fn tls() -> Vec<Row> {
    vec![
        row("has the certificate of somebody else", 22, || {
            faults::certificate(Certificate::UnknownAuthority)
        }),
        row("has the certificate of another cluster", 22, || faults::certificate(Certificate::OtherCluster)),
        row("has an expired certificate", 22, || faults::certificate(Certificate::Expired)),
        row("has the certificate of another host", 22, || faults::certificate(Certificate::WrongName)),
        row("has a certificate that is not valid yet", 22, || {
            certified(&SERVER_NAMES, |params| {
                params.not_before = date_time_ymd(2100, 1, 1);
                params.not_after = date_time_ymd(2101, 1, 1);
            })
        }),
        row("has a certificate for another address", 22, || certified(&["10.96.0.1"], |_| ())),
        row("has a certificate for its address as a name", 22, || {
            certified(&[], |params| {
                params.subject_alt_names = vec![rcgen::SanType::DnsName("127.0.0.1".try_into().unwrap())];
            })
        }),
        row("has a certificate for every name", 22, || certified(&["*", "*.svc.cluster.local"], |_| ())),
        row("has a certificate for its name alone, as the common name", 22, || {
            certified(&[], |params| params.distinguished_name.push(DnType::CommonName, "127.0.0.1"))
        }),
        row("is at an IPv6 address that its certificate is for", 0, || certified_at("[::1]:0", &["::1"])),
        row("is at an IPv6 address that its certificate is not for", 22, || {
            certified_at("[::1]:0", &["fd00::1", "127.0.0.1"])
        }),
        row("has a client's certificate", 22, || {
            certified(&SERVER_NAMES, |params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            })
        }),
        row("has a server's certificate", 0, || {
            certified(&SERVER_NAMES, |params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
                params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            })
        }),
        row("has a certificate with a critical extension that nobody knows", 22, || {
            certified(&SERVER_NAMES, |params| {
                let mut extension =
                    rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0]);
                extension.set_criticality(true);
                params.custom_extensions.push(extension);
            })
        }),
        row("has the certificate of a CA as its own", 22, || {
            let authority = Authority::new();
            let (certificate, key) = authority.certify(&SERVER_NAMES, |params| {
                params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            });
            good_at(LOOPBACK, authority.pem(), server_config(vec![certificate], key))
        }),
        row("has a key that its certificate is not for", 22, || {
            let authority = Authority::new();
            let (certificate, _) = authority.certify(&SERVER_NAMES, |_| ());
            let (_, key) = authority.certify(&SERVER_NAMES, |_| ());
            good_at(LOOPBACK, authority.pem(), shows(vec![certificate], &key))
        }),
        row("has no certificate", 22, || {
            let authority = Authority::new();
            let (_, key) = authority.certify(&SERVER_NAMES, |_| ());
            good_at(LOOPBACK, authority.pem(), shows(Vec::new(), &key))
        }),
        row("has a certificate that is none", 22, || {
            let authority = Authority::new();
            let (_, key) = authority.certify(&SERVER_NAMES, |_| ());
            good_at(LOOPBACK, authority.pem(), shows(vec![vec![0x30; 500].into()], &key))
        }),
        row("has a certificate signed by an RSA key of 2048 bits", 0, || fixture(RSA_2048)),
        row("has a certificate signed by an RSA key of 1024 bits", 22, || fixture(RSA_1024)),
        row("has a certificate signed with SHA-1", 22, || fixture(SHA_1)),
        row("has a chain of 1 MiB", 22, || {
            let authority = Authority::new();
            let (certificate, key) = authority.certify(&SERVER_NAMES, |_| ());
            let count = 1024 * 1024 / certificate.len() + 1;
            good_at(LOOPBACK, authority.pem(), server_config(vec![certificate; count], key))
        }),
        row("has a chain of a hundred certificates", 0, || {
            let authority = Authority::new();
            let (certificate, key) = authority.certify(&SERVER_NAMES, |_| ());
            good_at(LOOPBACK, authority.pem(), server_config(vec![certificate; 100], key))
        }),
        row("asks for a client certificate", 0, || client_certificate(false)),
        row("demands a client certificate", 22, || client_certificate(true)),
        row("speaks HTTP in the clear", 22, faults::plaintext),
        row("speaks SSH", 22, || {
            faults::tcp_listener(|mut stream, hold| {
                drop(stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n"));
                hold.until_dropped();
            })
        }),
        row("speaks TLS 1.0 only", 22, || faults::says_in_the_clear(SERVER_HELLO_1_0)),
        row("speaks TLS 1.1 only", 22, || faults::says_in_the_clear(SERVER_HELLO_1_1)),
        row("speaks SSL 3 only", 22, || faults::says_in_the_clear(SERVER_HELLO_SSL_3)),
        row("has ChaCha20-Poly1305 only", 22, || {
            good_with_suites(&[TLS13_CHACHA20_POLY1305_SHA256, TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256])
        }),
        row("has AES-256-GCM only", 0, || good_with_suites(&[TLS13_AES_256_GCM_SHA384])),
        row("has AES-128-GCM of TLS 1.2 only", 0, || {
            good_with_suites(&[TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256])
        }),
        row("has AES-256-GCM of TLS 1.2 only", 0, || {
            good_with_suites(&[TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384])
        }),
        row("says that it speaks no common version", 22, || faults::says_in_the_clear(PROTOCOL_VERSION)),
        row("alerts at once", 22, || {
            faults::tcp_listener(|mut stream, hold| {
                drop(stream.write_all(HANDSHAKE_FAILURE));
                hold.until_dropped();
            })
        }),
        row("ends TLS before it began, and not the connection", 23, || {
            faults::says_in_the_clear(CLOSE_NOTIFY)
        }),
        row("warns for ever", 22, || {
            faults::tcp_listener(|mut stream, _| {
                // user_canceled, a warning.
                let flood = [0x15, 3, 3, 0, 2, 1, 90].repeat(1000);
                while stream.write_all(&flood).is_ok() {}
            })
        }),
        row("says a TLS record that is too long", 22, || {
            faults::says_in_the_clear(&[0x16, 3, 3, 0xff, 0xff, 2, 0, 0])
        }),
        row("says a handshake message of 16 MiB", 22, || {
            faults::tcp_listener(|mut stream, _| {
                drop(stream.read(&mut [0; 4096]));
                let mut record = [0x16, 3, 3, 0x40, 0].to_vec();
                record.extend([2, 0xff, 0xff, 0xff]);
                record.resize(5 + 0x4000, 0);
                let _ = stream.write_all(&record);
                let mut more = [0x16, 3, 3, 0x40, 0].to_vec();
                more.resize(5 + 0x4000, 0);
                while stream.write_all(&more).is_ok() {}
            })
        }),
        row("would rather speak HTTP/2", 0, || {
            let authority = Authority::new();
            let (certificate, key) = authority.certify(&SERVER_NAMES, |_| ());
            let mut config = server_config(vec![certificate], key);
            config.alpn_protocols = vec![b"h2".to_vec()];
            good_at(LOOPBACK, authority.pem(), config)
        })
        .within(PROMPT),
        row("breaks its records after the handshake", 22, || {
            after_tls(|stream, hold| {
                read_request(stream)?;
                stream.sock.write_all(&[&[0x17, 3, 3, 1, 0][..], &[7; 256]].concat())?;
                hold.until_dropped();
                Ok(())
            })
        }),
        row("speaks in the clear after the handshake", 22, || {
            after_tls(|stream, hold| {
                read_request(stream)?;
                stream.sock.write_all(answer("200 OK", JSON, PODS).as_bytes())?;
                hold.until_dropped();
                Ok(())
            })
        }),
        row("changes its keys for ever", 22, || {
            after_tls(|stream, _| {
                read_request(stream)?;
                loop {
                    stream.conn.refresh_traffic_keys().map_err(io::Error::other)?;
                    stream.flush()?;
                }
            })
        }),
    ]
}

#[allow(clippy::too_many_lines, reason = "a table")]
fn http() -> Vec<Row> {
    let json = |more: &str, body: &str| {
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{more}\r\n{body}")
    };
    let chunked = move |chunks: &str| json("Transfer-Encoding: chunked\r\n", chunks);
    let sized = move |more: &str| json(&format!("{more}Content-Length: {}\r\n", PODS.len()), PODS);
    let gib = |status: &str, begin: &str| {
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: 1073741824\r\n\r\n{begin}"
        )
    };
    let whole = format!("{:x}\r\n{PODS}\r\n", PODS.len());
    let say = |name, code, bytes: String| row(name, code, move || faults::says(bytes.clone()));
    let flood = |name, code, begin: String, piece: &'static str| {
        row(name, code, move || faults::floods(begin.clone(), piece))
    };
    vec![
        // What is as it should be, however odd.
        say("answers well", 0, sized("")),
        say("answers well in chunks", 0, chunked(&format!("{whole}0\r\n\r\n"))),
        say(
            "answers with chunk extensions and trailers",
            0,
            chunked(&format!("{:x};a=b\r\n{PODS}\r\n0\r\nX-A: b\r\n\r\n", PODS.len())),
        ),
        say("closes the connection after each answer", 0, sized("Connection: close\r\n")),
        row("answers as HTTP/1.0, until the connection closes", 0, || {
            faults::says_and_closes(format!("HTTP/1.0 200 OK\r\nContent-Type: {JSON}\r\n\r\n{PODS}"))
        }),
        row("closes idle connections unsaid", 0, || {
            faults::tls_listener(Certificate::Good, |stream, _| {
                read_request(stream)?;
                stream.write_all(answer("200 OK", JSON, PODS).as_bytes())?;
                stream.flush()
            })
        }),
        say("says 100 Continue first", 0, format!("HTTP/1.1 100 Continue\r\n\r\n{}", sized(""))),
        say(
            "says 103 Early Hints first",
            0,
            format!("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n{}", sized("")),
        ),
        say("ends its lines with a bare LF", 0, sized("").replace("\r\n", "\n")),
        say("says its length twice, the same", 0, sized(&format!("Content-Length: {}\r\n", PODS.len()))),
        say("says a header of 20 KiB", 0, sized(&format!("X-Long: {}\r\n", "x".repeat(20 * 1024)))),
        // Too much.
        flood("says 1 GiB, and it begins well", 0, gib("200 OK", r#"{"kind":"PodList","#), " "),
        flood("says 1 GiB of nothing", 26, gib("200 OK", ""), " "),
        flood("refuses in 1 GiB", 26, gib("403 Forbidden", r#"{"kind":"Status","message":""#), "x"),
        flood("is sorry in 1 GiB", 24, gib("503 Service Unavailable", ""), "x"),
        flood("rejects in 1 GiB", 26, gib("401 Unauthorized", ""), "x"),
        flood("says headers without an end", 26, "HTTP/1.1 200 OK\r\n".into(), "X-More: and more\r\n"),
        flood("says one header without an end", 26, "HTTP/1.1 200 OK\r\nX-Long: ".into(), "x"),
        flood("says a status line without an end", 26, "HTTP/1.1 200 ".into(), "OK"),
        flood("says a name of a header without an end", 26, "HTTP/1.1 200 OK\r\n".into(), "X"),
        flood("says empty lines without an end", 26, String::new(), "\r\n"),
        flood("says small chunks without an end", 26, chunked(""), "10\r\n                \r\n")
            .within(DEADLINE),
        flood("says a chunk size without an end", 26, chunked(""), "0"),
        flood("says a chunk extension without an end", 26, chunked("1;"), "x"),
        flood("says a trailer without an end", 26, chunked(&format!("{whole}0\r\nX-Long: ")), "x"),
        flood("says trailers without an end", 23, chunked(&format!("{whole}0\r\n")), "X: y\r\n"),
        flood("says 100 Continue for ever", 23, String::new(), "HTTP/1.1 100 Continue\r\n\r\n"),
        flood("says 103 Early Hints for ever", 23, String::new(), "HTTP/1.1 103 Early Hints\r\n\r\n"),
        say("says a thousand headers", 26, sized(&"X: y\r\n".repeat(1000))),
        // Too little.
        say("says less than it said it would", 23, json("Content-Length: 1000\r\n", PODS)),
        row("says less than it said it would, and closes", 21, move || {
            faults::says_and_closes(json("Content-Length: 1000\r\n", PODS))
        }),
        row("ends in the middle of a chunk", 21, move || {
            faults::says_and_closes(chunked("fff\r\n{\"kind\":\"PodList\""))
        }),
        row("ends before the last chunk", 21, move || {
            faults::says_and_closes(chunked(&format!("{:x}\r\n{PODS}\r\n", PODS.len())))
        }),
        row("ends in the middle of the head", 21, || {
            faults::says_and_closes("HTTP/1.1 200 OK\r\nContent-Le")
        }),
        // Lengths that are none.
        say("says a length below zero", 26, json("Content-Length: -1\r\n", PODS)),
        say("says a length that is a word", 26, json("Content-Length: short\r\n", PODS)),
        say("says a length with a sign", 26, json(&format!("Content-Length: +{}\r\n", PODS.len()), PODS)),
        say("says a length of more than 64 bits", 26, json("Content-Length: 99999999999999999999\r\n", PODS)),
        say("says an empty length", 26, json("Content-Length:\r\n", PODS)),
        say(
            "says two lengths",
            26,
            json(&format!("Content-Length: {}\r\nContent-Length: 5\r\n", PODS.len()), PODS),
        ),
        say(
            "says two lengths, the short one first",
            26,
            json(&format!("Content-Length: 5\r\nContent-Length: {}\r\n", PODS.len()), PODS),
        ),
        say("says a list of lengths", 26, json("Content-Length: 5, 6\r\n", PODS)),
        say("says a chunk size that is none", 26, chunked("zz\r\n")),
        say("says a chunk size below zero", 26, chunked("-1\r\n")),
        say("says a chunk size of more than 64 bits", 26, chunked("fffffffffffffffff\r\n")),
        say("says a chunk of all that there can be", 23, chunked("ffffffffffffffff\r\n")),
        say("says more in a chunk than its size", 26, chunked(&format!("5\r\n{PODS}\r\n0\r\n\r\n"))),
        say("says no chunk size", 26, chunked("\r\n")),
        say("says a transfer encoding that nobody knows", 26, json("Transfer-Encoding: shuffled\r\n", PODS)),
        say("says a content encoding that nobody asked for", 26, {
            let body = "\u{1f}\u{8b}\u{8}\0\0\0\0\0";
            json(&format!("Content-Encoding: gzip\r\nContent-Length: {}\r\n", body.len()), body)
        }),
        // Statuses.
        say("says nothing with 204", 26, "HTTP/1.1 204 No Content\r\n\r\n".into()),
        say("says 204 with a body", 26, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello".into()),
        say("says 205", 26, "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n".into()),
        say("says 206", 26, sized("").replace("200 OK", "206 Partial Content")),
        say("says 304", 26, "HTTP/1.1 304 Not Modified\r\n\r\n".into()),
        say(
            "says 101 unasked",
            26,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n".into(),
        ),
        say("says status 99", 26, sized("").replace("200 OK", "99 OK")),
        say("says status 000", 26, sized("").replace("200 OK", "000 OK")),
        say("says status 999", 26, sized("").replace("200 OK", "999 OK")),
        say("says status 2000", 26, sized("").replace("200 OK", "2000 OK")),
        say("says no status", 26, sized("").replace("200 OK", "")),
        say("says a status that is a word", 26, sized("").replace("200 OK", "OK 200")),
        // Protocols.
        row("speaks HTTP/0.9", 26, || faults::says_and_closes(PODS)),
        say("speaks HTTP/2 with 1's words", 26, sized("").replace("HTTP/1.1", "HTTP/2")),
        say("speaks HTTP/2.0", 26, sized("").replace("HTTP/1.1", "HTTP/2.0")),
        say("speaks HTTP/9.9", 26, sized("").replace("HTTP/1.1", "HTTP/9.9")),
        say(
            "speaks HTTP/2",
            26,
            "\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\x04\0\x10\0\0\0\x06\0\0\x40\0".into(),
        ),
        say("says the HTTP/2 preface", 26, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into()),
        say("speaks SMTP", 26, "220 mail.example.com ESMTP ready\r\n".into()),
        say("says NULs", 26, "\0\0\0\0\r\n\r\n".into()),
        say("asks instead of answering", 26, "GET / HTTP/1.1\r\nHost: you\r\n\r\n".into()),
        // Headers.
        say("says a NUL in a header", 26, sized("X-Bad: a\0b\r\n")),
        say("says a NUL in a header's name", 26, sized("X-B\0d: a\r\n")),
        say("says a space before the colon", 26, sized("X-Bad : a\r\n")),
        say("says a header without a colon", 26, sized("nothing\r\n")),
        say("says a header without a name", 26, sized(": a\r\n")),
        say("says a header over two lines", 26, sized("X-Long: a\r\n b\r\n")),
        say("says an escape in a header", 26, sized("X-Bad: \u{1b}[31m\r\n")),
        say("says a bare CR in a header", 26, sized("X-Bad: a\rb\r\n")),
        // Elsewhere.
        say("redirects to itself", 26, redirect("/api/v1/namespaces/ns-1/pods?limit=1")),
        row("redirects to itself by its whole address, where a good answer is", 26, || {
            faults::counts(|number| match number {
                0 | 1 => redirect("/again"),
                _ => answer("200 OK", JSON, PODS),
            })
        }),
        row("redirects to another host of the same CA, where a good answer is", 26, || {
            let authority = Authority::new();
            let good = faults::tls_listener_with(
                LOOPBACK,
                authority.pem(),
                authority.server(&SERVER_NAMES, false),
                |stream, _| always(stream, &answer("200 OK", JSON, PODS)),
            );
            let away = redirect(&format!("{}/api", good.server()));
            let config = authority.server(&SERVER_NAMES, false);
            faults::tls_listener_with(LOOPBACK, authority.pem(), config, move |stream, _| {
                always(stream, &away)
            })
            .beside(good)
        }),
        row("redirects to http, where a good answer is", 26, || {
            let good = faults::tcp_listener(|mut stream, _| {
                while read_request(&mut stream).is_ok() {
                    drop(stream.write_all(answer("200 OK", JSON, PODS).as_bytes()));
                }
            });
            let away = redirect(&format!("http://{}/", good.address()));
            faults::says(away).beside(good)
        }),
        say("redirects to a file", 26, redirect("file:///etc/passwd")),
        say("redirects nowhere", 26, redirect("")),
        say("redirects without an end of the head", 23, "HTTP/1.1 302 Found\r\nLocation: /again\r\n".into()),
        // More than was asked for.
        say("says junk behind its answer", 0, sized("") + "and more"),
        row("answers the token knock before it came", 10, || {
            // The first connection is for nobody; what it says behind its answer is no answer to another knock.
            faults::counts(|number| match number {
                0 => {
                    answer("403 Forbidden", JSON, &refusal("system:anonymous"))
                        + &answer("200 OK", JSON, PODS)
                }
                _ => answer("403 Forbidden", JSON, &refusal("system:serviceaccount:ns-1:k-sa-1")),
            })
        }),
    ]
}

#[allow(clippy::too_many_lines, reason = "a table")]
fn content() -> Vec<Row> {
    let with = |name, code, status: &'static str, content_type: &'static str, body: String| {
        row(name, code, move || faults::answers(status, content_type, &[], &body))
    };
    let good = |name, code, body: String| with(name, code, "200 OK", JSON, body);
    let no = |name, code, body: String| with(name, code, "403 Forbidden", JSON, body);
    let status = |more: &str| {
        let message = refusal("jane");
        format!("{},{more}}}", message.strip_suffix('}').unwrap())
    };
    vec![
        no("refuses as it should", 10, refusal("jane")),
        with("says a web page", 26, "200 OK", "text/html", "<!doctype html><title>Welcome</title>".into()),
        with("forbids with a web page", 26, "403 Forbidden", "text/html", "<html>403</html>".into()),
        with("is not found with a web page", 26, "404 Not Found", "text/html", "<html>404</html>".into()),
        with("is sorry with a web page", 24, "502 Bad Gateway", "text/html", "<html>502</html>".into()),
        no("forbids with nothing", 26, String::new()),
        with("rejects with nothing", 11, "401 Unauthorized", "", String::new()),
        no(
            "refuses nobody by name",
            10,
            json!({ "kind": "Status", "message": "no", "code": 403 }).to_string(),
        ),
        no("refuses without a message", 10, json!({ "kind": "Status" }).to_string()),
        no(
            "refuses with a message that is a number",
            10,
            json!({ "kind": "Status", "message": 7 }).to_string(),
        ),
        no(
            "refuses with a message that is an object",
            10,
            json!({ "kind": "Status", "message": { "a": 1 } }).to_string(),
        ),
        no("paints the terminal", 10, json!({ "kind": "Status", "message": PAINT }).to_string()),
        no("paints the terminal as a user", 10, refusal(PAINT)),
        with("paints the terminal in text", 24, "503 Service Unavailable", "text/plain", PAINT.into()),
        with(
            "paints the terminal with a status that nobody knows",
            26,
            "418 Teapot",
            "text/plain",
            PAINT.into(),
        ),
        row("refuses in 64 MiB", 26, || {
            faults::floods(
                "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: 67108864\r\n\r\n{\"kind\":\"Status\",\"message\":\"",
                "x",
            )
        }),
        no("refuses in just under 1 MiB", 10, refusal(&"x".repeat(1024 * 1024 - 500))),
        no("is no UTF-8", 26, String::new())
            .bytes(b"{\"kind\":\"Status\",\"message\":\"\xff\xfe\"}", "403 Forbidden"),
        no("has half a surrogate", 26, r#"{"kind":"Status","message":"\ud800"}"#.into()),
        no(
            "is nested 100,000 deep",
            26,
            status(&format!("\"a\":{}{}", "[".repeat(100_000), "]".repeat(100_000))),
        ),
        no("is nested 100,000 deep and does not end", 26, status(&format!("\"a\":{}", "[".repeat(100_000)))),
        no(
            "is nested 100,000 deep in objects",
            26,
            status(&format!("\"a\":{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000))),
        ),
        no("is 300,000 empty lists", 26, status(&format!("\"a\":[{}[]]", "[],".repeat(300_000)))),
        no("is 100,000 small objects", 26, status(&format!("\"a\":[{}{{}}]", "{\"\":0},".repeat(100_000)))),
        no(
            "is 60,000 keys",
            26,
            status(&format!(
                "\"a\":{{{}\"\":0}}",
                (0..60_000).map(|n| format!("\"k{n}\":0,")).collect::<String>()
            )),
        ),
        no("is one key of 900 KiB", 10, status(&format!("\"{}\":0", "k".repeat(900 * 1024)))),
        no("is numbers without an end", 26, status(&format!("\"a\":{}", "9".repeat(900 * 1024)))),
        no("says its kind twice", 26, r#"{"kind":"Pod","kind":"Status","message":"no"}"#.into()),
        no("says its message twice", 26, r#"{"kind":"Status","message":"no","message":"yes"}"#.into()),
        no("begins with a byte order mark", 26, format!("\u{feff}{}", refusal("jane"))),
        no("says two objects", 26, refusal("jane") + &refusal("jane")),
        no("is in a list", 26, format!("[{}]", refusal("jane"))),
        no("is of the wrong kind", 26, refusal("jane").replace("\"Status\"", "\"Pod\"")),
        no("is of a kind that is a list", 26, refusal("jane").replace("\"Status\"", "[\"Status\"]")),
        good("begins a good answer with a byte order mark", 26, format!("\u{feff}{PODS}")),
        good("says null", 26, "null".into()),
        good("says a word", 26, "\"kind\"".into()),
        good("says a Status for success", 26, r#"{"kind":"Status","status":"Success"}"#.into()),
        good(
            "says a Status with spaces for success",
            26,
            "{\n  \"kind\": \"Status\",\n  \"status\": \"Success\"}".into(),
        ),
        with("says text", 26, "200 OK", "text/plain", PODS.into()),
        with("says JSON without saying so", 26, "200 OK", "", PODS.into()),
        with("misses an object of that name", 0, "404 Not Found", JSON, missing("web-0"))
            .asked(&["check", "get pods/web-0"]),
        with("misses another object", 25, "404 Not Found", JSON, missing("web-1"))
            .asked(&["check", "get pods/web-0"]),
        with(
            "misses two objects",
            25,
            "404 Not Found",
            JSON,
            r#"{"kind":"Status","details":{"name":"web-1","name":"web-0"}}"#.into(),
        )
        .asked(&["check", "get pods/web-0"]),
        with("misses something 100,000 deep", 25, "404 Not Found", JSON, {
            let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
            format!("{},\"a\":{deep}}}", missing("web-0").strip_suffix('}').unwrap())
        })
        .asked(&["check", "get pods/web-0"]),
        with("answers a watch with text", 26, "200 OK", "text/plain", String::new())
            .asked(&["check", "watch pods"]),
        row("answers a watch and floods it", 0, || {
            faults::floods(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
                "1\r\n \r\n",
            )
        })
        .asked(&["check", "watch pods"]),
        no(
            "says 100,000 small objects that are passed on",
            26,
            format!("[{}{{}}]", "{\"\":0},".repeat(100_000)),
        )
        .asked(&["get", "-ojson", "/x"]),
        good("says 1 MiB of small lists that is passed on", 0, format!("[{}[]]", "[],".repeat(340_000)))
            .asked(&["get", "-ojson", "/x"]),
        row("floods what is passed on", 23, faults::endless_body).asked(&["get", "/api/v1/pods"]),
        with("refuses what is passed on, and paints", 10, "403 Forbidden", JSON, refusal(PAINT))
            .asked(&["get", "/x"]),
    ]
}

fn reviews() -> Vec<Row> {
    let says = |name, code, body: String| {
        row(name, code, move || faults::answers("201 Created", JSON, &[], &body))
            .asked(&["check", "create pods"])
    };
    let status = |status: Value| json!({ "kind": "SelfSubjectAccessReview", "status": status }).to_string();
    vec![
        says("allows", 0, status(json!({ "allowed": true }))),
        says("allows in a string", 26, status(json!({ "allowed": "true" }))),
        says("allows in a number", 26, status(json!({ "allowed": 1 }))),
        says("allows in null", 26, status(json!({ "allowed": null }))),
        says("allows in a list", 26, status(json!({ "allowed": [true] }))),
        says("allows and denies", 10, status(json!({ "allowed": true, "denied": true }))),
        says("denies in a string", 26, status(json!({ "allowed": true, "denied": "no" }))),
        says("says nothing", 10, status(json!({}))),
        says("has no status", 26, json!({ "kind": "SelfSubjectAccessReview" }).to_string()),
        says("has a status that is a list", 26, status(json!([]))),
        says("has a status that is true", 26, status(json!(true))),
        says(
            "allows twice",
            26,
            r#"{"kind":"SelfSubjectAccessReview","status":{"allowed":false,"allowed":true}}"#.into(),
        ),
        says(
            "has a status twice",
            26,
            r#"{"kind":"SelfSubjectAccessReview","status":{"allowed":false},"status":{"allowed":true}}"#
                .into(),
        ),
        says(
            "is a kind twice",
            26,
            r#"{"kind":"Pod","kind":"SelfSubjectAccessReview","status":{"allowed":true}}"#.into(),
        ),
        says(
            "allows another kind",
            26,
            json!({ "kind": "SubjectAccessReview", "status": { "allowed": true } }).to_string(),
        ),
        says("begins with a byte order mark", 26, format!("\u{feff}{}", status(json!({ "allowed": true })))),
        says("says who asks among 100,000 objects", 26, {
            let many = format!("[{}{{}}]", "{\"\":0},".repeat(100_000));
            format!(r#"{{"kind":"SelfSubjectReview","spec":{many},"status":{{"userInfo":{{"username":"jane"}}}}}}"#)
        })
        .asked(&["whoami"]),
        says("says rules without an end", 26, {
            let rule = r#"{"verbs":["get"],"apiGroups":[""],"resources":["pods"]},"#.repeat(16_000);
            format!(r#"{{"kind":"SelfSubjectRulesReview","status":{{"resourceRules":[{rule}{{}}],"nonResourceRules":[],"incomplete":false}}}}"#)
        })
        .asked(&["rules"]),
        says("is broken off", 26, status(json!({ "allowed": true })).replace("}}", "}")),
        says("says more behind it", 26, status(json!({ "allowed": true })) + "x"),
        says("allows 100,000 deep", 26, {
            let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
            format!(r#"{{"kind":"SelfSubjectAccessReview","spec":{deep},"status":{{"allowed":true}}}}"#)
        }),
        says("allows among 100,000 objects", 26, {
            let many = format!("[{}{{}}]", "{\"\":0},".repeat(100_000));
            format!(r#"{{"kind":"SelfSubjectAccessReview","spec":{many},"status":{{"allowed":true}}}}"#)
        }),
        says("gives a reason that paints", 10, status(json!({ "allowed": false, "reason": PAINT }))),
        says(
            "gives a reason of just under 1 MiB",
            10,
            status(json!({ "allowed": false, "reason": "x".repeat(1024 * 1024 - 500) })),
        ),
        says("gives a reason that is a list", 10, status(json!({ "allowed": false, "reason": ["no"] }))),
        row("allows with 200", 0, || {
            faults::answers(
                "200 OK",
                JSON,
                &[],
                r#"{"kind":"SelfSubjectAccessReview","status":{"allowed":true}}"#,
            )
        })
        .asked(&["check", "create pods"]),
        row("allows with 202", 26, || {
            faults::answers(
                "202 Accepted",
                JSON,
                &[],
                r#"{"kind":"SelfSubjectAccessReview","status":{"allowed":true}}"#,
            )
        })
        .asked(&["check", "create pods"]),
    ]
}

/// To `list deploy`, for which discovery has to be asked.
#[allow(clippy::too_many_lines, reason = "a table")]
fn discovery() -> Vec<Row> {
    const ASKED: &[&str] = &["check", "list deploy"];
    const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let says = |name, code, body: String| {
        row(name, code, move || faults::answers("200 OK", AGGREGATED, &[], &body)).asked(ASKED)
    };
    let older = |name, code, body: String| {
        row(name, code, move || faults::answers("200 OK", JSON, &[], &body)).asked(ASKED)
    };
    let flood = |name, code, content_type: &'static str, begin: &'static str, piece: &'static str| {
        row(name, code, move || {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: 1073741824\r\n\r\n"
            );
            faults::floods(head + begin, piece)
        })
        .asked(ASKED)
    };
    let with = |name, code, status: &'static str, content_type: &'static str, body: &'static str| {
        row(name, code, move || faults::answers(status, content_type, &[], body)).asked(ASKED)
    };
    let groups = |resources: &str| {
        format!(
            r#"{{"kind":"APIGroupDiscoveryList","items":[{{"metadata":{{"name":"apps"}},"versions":[{{"version":"v1","resources":[{resources}]}}]}}]}}"#
        )
    };
    vec![
        with("discovers a web page", 26, "200 OK", "text/html", "<html>groups</html>"),
        with("forbids discovery with a web page", 26, "403 Forbidden", "text/html", "<html>403</html>"),
        with("forbids discovery with nothing", 26, "403 Forbidden", JSON, ""),
        with("does not serve discovery", 25, "404 Not Found", "text/plain", "404 page not found"),
        with("is too busy for discovery", 24, "429 Too Many Requests", "text/plain", "later"),
        say_discovery("redirects discovery", 26, redirect("/apis2")),
        says("discovers nothing", 26, String::new()),
        says("discovers null", 26, "null".into()),
        says("discovers a list", 26, "[]".into()),
        says("discovers an empty object", 25, "{}".into()),
        says("discovers null items", 25, r#"{"items":null}"#.into()),
        says("discovers items that are a word", 26, r#"{"items":"x"}"#.into()),
        says("discovers items that are numbers", 26, r#"{"items":[1]}"#.into()),
        says("discovers a version that is a number", 26, groups("").replace("\"v1\"", "1")),
        says("discovers a resource that is a number", 25, groups("7")),
        says("discovers a resource without a name", 25, groups("{}")),
        says("is broken off in discovery", 26, groups("").replace("]}]}", "")),
        says("says more behind discovery", 26, groups("") + "x"),
        says("begins discovery with a byte order mark", 26, format!("\u{feff}{}", groups(""))),
        says("discovers 100,000 deep", 26, groups(&"[".repeat(100_000))),
        says("discovers 100,000 deep where nobody looks", 26, {
            format!(r#"{{"x":{}{},"items":[]}}"#, "[".repeat(100_000), "]".repeat(100_000))
        }),
        row("discovers what is no UTF-8", 26, || {
            raw_answer("200 OK", AGGREGATED, b"{\"items\":[{\"metadata\":{\"name\":\"\xff\"}}]}")
        })
        .asked(ASKED),
        says("discovers a thousand stale groups", 24, {
            let stale: Vec<String> = (0..1000)
                .map(|n| format!(r#"{{"metadata":{{"name":"g{n}"}},"versions":[{{"freshness":"Stale"}}]}}"#))
                .collect();
            format!(r#"{{"items":[{}]}}"#, stale.join(","))
        }),
        says(
            "discovers a name for a shell",
            25,
            groups(
                r#"{"resource":"x;reboot","singularResource":"deployment","shortNames":["deploy"],"scope":"Namespaced","verbs":["list"]}"#,
            ),
        ),
        says(
            "discovers a name that paints",
            25,
            groups(&json!({ "resource": PAINT, "shortNames": ["deplo"] }).to_string()),
        ),
        flood("discovers brackets without an end", 26, AGGREGATED, "{\"x\":", "["),
        flood("discovers a string without an end", 26, AGGREGATED, "{\"x\":\"", "x"),
        flood("discovers a key without an end", 26, AGGREGATED, "{\"", "x"),
        flood("discovers a number without an end", 26, AGGREGATED, "{\"x\":", "1"),
        flood("discovers spaces without an end", 26, AGGREGATED, "", " "),
        flood(
            "discovers metadata without an end",
            26,
            AGGREGATED,
            r#"{"items":[{"metadata":{"name":"a","x":["#,
            "{\"\":0},",
        ),
        flood(
            "discovers one resource without an end",
            26,
            AGGREGATED,
            r#"{"items":[{"metadata":{"name":"a"},"versions":[{"version":"v1","resources":[{"x":["#,
            "{\"\":0},",
        ),
        flood(
            "discovers the same resource without an end",
            23,
            AGGREGATED,
            r#"{"items":[{"metadata":{"name":"a"},"versions":[{"version":"v1","resources":["#,
            r#"{"resource":"pods","verbs":["list"]},"#,
        ),
        flood(
            "discovers stale groups without an end",
            23,
            AGGREGATED,
            r#"{"items":["#,
            r#"{"metadata":{"name":"a"},"versions":[{"freshness":"Stale"}]},"#,
        ),
        flood(
            "discovers older groups without an end",
            26,
            JSON,
            r#"{"kind":"APIGroupList","groups":["#,
            r#"{"name":"a"},"#,
        ),
        older("discovers older groups of no kind", 26, r#"{"groups":[]}"#.into()),
        older(
            "discovers 100,000 older groups",
            26,
            format!(r#"{{"kind":"APIGroupList","groups":[{}{{}}]}}"#, "{\"a\":0},".repeat(100_000)),
        ),
        older(
            "discovers an older group whose name is a path",
            25,
            r#"{"kind":"APIGroupList","groups":[{"name":"../../x","versions":[{"version":"v1"}]}]}"#.into(),
        ),
        older(
            "discovers an older group whose name breaks lines",
            25,
            r#"{"kind":"APIGroupList","groups":[{"name":"a\r\nX: y","versions":[{"version":"v1"}]}]}"#.into(),
        ),
        older(
            "discovers an older group that is a word",
            25,
            r#"{"kind":"APIGroupList","groups":["apps"]}"#.into(),
        ),
        older("discovers groups that are a word", 25, r#"{"kind":"APIGroupList","groups":"apps"}"#.into()),
    ]
}

/// Servers that say the token back to whom it came from.
#[allow(clippy::too_many_lines, reason = "a table")]
fn echoes() -> Vec<Row> {
    let echo = |name, code, answer: fn(&str) -> String| {
        row(name, code, move || faults::echoes(move |token| answer(token.unwrap_or("nobody")))).asked(&[
            "check",
            "-v",
            "list pods",
        ])
    };
    vec![
        echo("echoes the token in a message", 10, |token| answer("403 Forbidden", JSON, &refusal(token))),
        echo("echoes the token in a message, in escapes", 10, |token| {
            answer("403 Forbidden", JSON, &refusal("NAME").replace("NAME", &escaped(token)))
        }),
        echo("echoes the token in text", 24, |token| answer("503 Later", "text/plain", token)),
        echo("echoes the token over and over", 24, |token| answer("503 Later", "text/plain", &token.repeat(100))),
        echo("echoes the token a byte behind its like", 24, |token| {
            answer("503 Later", "text/plain", &format!("{}{token}", &token[..5]))
        }),
        echo("echoes the token in a location", 26, redirect),
        echo("echoes the token as the content type", 26, |token| answer("200 OK", token, PODS)),
        echo("echoes the token as a status line", 26, |token| format!("{token}\r\n\r\n")),
        echo("echoes the token as the version", 26, |token| answer("200 OK", JSON, PODS).replace("HTTP/1.1", token)),
        echo("echoes the token as the status", 26, |token| answer(token, JSON, PODS)),
        echo("echoes the token as a reason", 24, |token| answer(&format!("503 {token}"), JSON, "")),
        echo("echoes the token as a length", 26, |token| format!("HTTP/1.1 200 OK\r\nContent-Length: {token}\r\n\r\n")),
        echo("echoes the token as a transfer encoding", 26, |token| {
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {token}\r\n\r\n")
        }),
        echo("echoes the token as a chunk size", 26, |token| {
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{token}\r\n")
        }),
        echo("echoes the token as a header", 26, |token| format!("HTTP/1.1 200 OK\r\n{token}\r\n\r\n")),
        echo("echoes the token as the time to wait", 24, |token| {
            format!("HTTP/1.1 429 Later\r\nRetry-After: {token}\r\nContent-Length: 0\r\n\r\n")
        }),
        echo("echoes the token in JSON", 10, |token| answer("403 Forbidden", JSON, &refusal("NAME").replace("NAME", &escaped(token))))
            .asked(&["check", "-ojson", "list pods"]),
        echo("echoes the token as the reason of a review", 10, |token| {
            let review = json!({ "kind": "SelfSubjectAccessReview", "status": { "allowed": false, "reason": "NAME" } });
            answer("201 Created", JSON, &review.to_string().replace("NAME", &escaped(token)))
        })
        .asked(&["check", "create pods"]),
        echo("echoes the token as a group that is stale", 25, |token| {
            let body = format!(
                r#"{{"items":[{{"metadata":{{"name":"{}"}},"versions":[{{"freshness":"Stale"}}]}}]}}"#,
                escaped(token)
            );
            answer("200 OK", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", &body)
        })
        .asked(&["check", "list deploy"]),
        echo("echoes the token as what discovery cannot be", 26, |token| {
            let body = format!(r#"{{"items":"{}"}}"#, escaped(token));
            answer("200 OK", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", &body)
        })
        .asked(&["check", "list deploy"]),
        echo("echoes the token as the user of a review", 0, |token| {
            let review = json!({ "kind": "SelfSubjectReview", "status": { "userInfo": { "username": "NAME", "groups": ["NAME"], "extra": { "NAME": ["NAME"] } } } });
            answer("201 Created", JSON, &review.to_string().replace("NAME", &escaped(token)))
        })
        .asked(&["whoami"]),
        echo("echoes the token as the user of a review, in JSON", 0, |token| {
            let review = json!({ "kind": "SelfSubjectReview", "status": { "userInfo": { "username": "NAME", "groups": ["NAME"], "extra": { "NAME": ["NAME"] } } } });
            answer("201 Created", JSON, &review.to_string().replace("NAME", &escaped(token)))
        })
        .asked(&["whoami", "-ojson"]),
        echo("echoes the token as a rule", 0, |token| {
            let rule = json!({ "verbs": ["NAME"], "apiGroups": ["NAME"], "resources": ["NAME"], "resourceNames": ["NAME"] });
            let status = json!({ "resourceRules": [rule], "nonResourceRules": [], "incomplete": true, "evaluationError": "NAME" });
            let review = json!({ "kind": "SelfSubjectRulesReview", "status": status });
            answer("201 Created", JSON, &review.to_string().replace("NAME", &escaped(token)))
        })
        .asked(&["rules"]),
        echo("echoes the token as a version", 26, |token| {
            answer("200 OK", JSON, &r#"{"gitVersion":"NAME"}"#.replace("NAME", &escaped(token)))
        })
        .asked(&["doctor"]),
        row("says a date beyond all numbers", 26, || {
            faults::says("HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 9223372036854775807 9223372036854775807:49:37 GMT\r\nContent-Length: 0\r\n\r\n")
        })
        .asked(&["doctor"]),
        row("says the token of earlier to nobody", 24, || {
            let seen = Mutex::new(None);
            faults::echoes(move |token| {
                let mut seen = seen.lock().unwrap();
                match (token, seen.as_deref()) {
                    (Some(token), _) => {
                        *seen = Some(token.to_owned());
                        answer("503 Later", "text/plain", "later")
                    }
                    (None, Some(earlier)) => answer("503 Later", "text/plain", earlier),
                    (None, None) => answer("403 Forbidden", JSON, &refusal("system:anonymous")),
                }
            })
        })
        .asked(&["wait", "--forbid-anonymous", "-ojson", "list pods", "--timeout=1500ms"])
        .within(Duration::from_millis(1600)),
        echo("echoes the token into what is passed on", 0, |token| answer("200 OK", "text/plain", token))
            .asked(&["get", "-i", "/x"]),
        echo("echoes the token into headers that are passed on", 0, |token| {
            format!("HTTP/1.1 200 {token}\r\n{token}: a\r\nX-A: {token}\r\nContent-Length: 0\r\n\r\n")
        })
        .asked(&["get", "-i", "/x"]),
        echo("echoes the token into JSON that is passed on", 10, |token| {
            answer("403 Forbidden", JSON, &refusal("NAME").replace("NAME", &escaped(token)))
        })
        .asked(&["get", "-ojson", "/x"]),
    ]
}

#[allow(clippy::too_many_lines, reason = "a table")]
fn time() -> Vec<Row> {
    const WAIT: &[&str] = &["wait", "list pods"];
    let later = |status: &str, retry_after: &str| {
        format!("HTTP/1.1 {status}\r\nRetry-After: {retry_after}\r\nContent-Length: 0\r\n\r\n")
    };
    vec![
        row("is too busy", 24, || {
            faults::says("HTTP/1.1 429 Later\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")
        }),
        patient("is too busy for no time", later("429 Later", "0")),
        patient("is too busy for less than no time", later("429 Later", "-1")),
        patient("is too busy for ever", later("429 Later", "99999999999999999999")),
        patient("is too busy until a day that is over", later("429 Later", "Wed, 21 Oct 2015 07:28:00 GMT")),
        patient("is too busy until a day far away", later("429 Later", "Fri, 31 Dec 9999 23:59:59 GMT")),
        patient("is too busy until no day", later("429 Later", "Mon, 99 Foo 0000 99:99:99 GMT")),
        patient("is too busy for a word", later("429 Later", "a while")),
        patient("is too busy for a fraction", later("429 Later", "0.001")),
        patient("is too busy for two times", later("429 Later", "0\r\nRetry-After: 1")),
        patient("is too busy without a time", "HTTP/1.1 429 Later\r\nContent-Length: 0\r\n\r\n".into()),
        patient("is down", later("503 Starting", "0")),
        row("starts", 0, || {
            faults::counts(|number| match number {
                0 | 1 => "HTTP/1.1 503 Starting\r\nContent-Length: 0\r\n\r\n".into(),
                _ => answer("200 OK", JSON, PODS),
            })
        })
        .asked(&["wait", "list pods", "--timeout=5s"])
        .within(Duration::from_millis(1500)),
        row("starts by resetting", 0, || {
            let count = AtomicUsize::new(0);
            faults::tls_listener(Certificate::Good, move |stream, _| {
                if count.fetch_add(1, Ordering::SeqCst) == 0 {
                    reset(&stream.sock);
                    return Ok(());
                }
                always(stream, &answer("200 OK", JSON, PODS))
            })
        })
        .asked(&["wait", "list pods", "--timeout=5s"])
        .within(Duration::from_millis(1500)),
        row("closes each connection at once, for ever", 21, || {
            faults::tcp_listener(|stream, _| drop(stream))
        })
        .asked(WAIT)
        .within(DEADLINE),
        row("is silent, for ever", 23, faults::silent).asked(WAIT),
        row("is silent in each round", 23, faults::silent).asked(&[
            "wait",
            "list pods",
            "--request-timeout=200ms",
        ]),
    ]
}

/// As JSON may write it: every letter by its number.
fn escaped(token: &str) -> String {
    token.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect()
}

/// A server that is asked more than six times within the second lets in, which is not the code it should
/// be. Two knocks, and one after half a second or a second, are what it should be asked.
fn patient(name: &'static str, says: String) -> Row {
    row(name, 24, move || {
        let says = says.clone();
        faults::counts(move |number| if number < 6 { says.clone() } else { answer("200 OK", JSON, PODS) })
    })
    .asked(&["wait", "list pods"])
    .within(DEADLINE)
}

/// Colours, a title, a cleared screen, a forged verdict, text that runs backwards.
const PAINT: &str = "\u{1b}[31mred\u{1b}[0m\r\nallowed (0): every permission is as wanted\n\u{1b}]0;title\u{7}\u{9b}2J\u{202e}\u{2066}\u{61c}\u{2028}\u{85}\u{7f}\u{0}";

const SERVER_HELLO_1_0: &[u8] = &server_hello(1);
const SERVER_HELLO_1_1: &[u8] = &server_hello(2);
const SERVER_HELLO_SSL_3: &[u8] = &server_hello(0);
const PROTOCOL_VERSION: &[u8] = &[0x15, 3, 1, 0, 2, 2, 70];
const HANDSHAKE_FAILURE: &[u8] = &[0x15, 3, 3, 0, 2, 2, 40];
const CLOSE_NOTIFY: &[u8] = &[0x15, 3, 3, 0, 2, 1, 0];

/// A ServerHello of version `3.minor`, with TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA and without extensions.
const fn server_hello(minor: u8) -> [u8; 47] {
    let mut hello = [7; 47];
    let head = [0x16, 3, minor, 0, 42, 2, 0, 0, 38, 3, minor];
    let mut at = 0;
    while at < head.len() {
        hello[at] = head[at];
        at += 1;
    }
    [hello[43], hello[44], hello[45], hello[46]] = [0, 0xc0, 0x14, 0];
    hello
}

/// A refusal to this user, as the API server words it.
fn refusal(user: &str) -> String {
    let message = format!(
        "pods is forbidden: User \"{user}\" cannot list resource \"pods\" in API group \"\" in the namespace \"ns-1\""
    );
    json!({ "kind": "Status", "status": "Failure", "message": message, "reason": "Forbidden", "code": 403 })
        .to_string()
}

fn missing(name: &str) -> String {
    let details = json!({ "name": name, "kind": "pods" });
    json!({ "kind": "Status", "message": "not found", "reason": "NotFound", "details": details, "code": 404 })
        .to_string()
}

fn redirect(location: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
}

fn always(stream: &mut TlsStream, answer: &str) -> io::Result<()> {
    loop {
        read_request(stream)?;
        stream.write_all(answer.as_bytes())?;
        stream.flush()?;
    }
}

fn say_discovery(name: &'static str, code: i32, bytes: String) -> Row {
    row(name, code, move || faults::says(bytes.clone())).asked(&["check", "list deploy"])
}

fn raw_answer(status: &str, content_type: &str, body: &[u8]) -> Listener {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n");
    faults::says([head.as_bytes(), body].concat())
}

impl Row {
    /// The same with a body that is no text.
    fn bytes(mut self, body: &'static [u8], status: &'static str) -> Self {
        self.server = Box::new(move || raw_answer(status, JSON, body));
        self
    }
}

/// Lets the connection end with a reset, when it is dropped.
fn reset(stream: &TcpStream) {
    set_socket_linger(stream, Some(Duration::ZERO)).unwrap();
}

fn after_tls(behave: impl Fn(&mut TlsStream, &Hold) -> io::Result<()> + Send + Sync + 'static) -> Listener {
    faults::tls_listener(Certificate::Good, behave)
}

fn resets_after(text: &'static str) -> Listener {
    after_tls(move |stream, _| {
        read_request(stream)?;
        stream.write_all(text.as_bytes())?;
        stream.flush()?;
        reset(&stream.sock);
        Ok(())
    })
}

fn drips(begin: &'static str, piece: &'static [u8]) -> Listener {
    after_tls(move |stream, hold| {
        read_request(stream)?;
        stream.write_all(begin.as_bytes())?;
        loop {
            stream.write_all(piece)?;
            stream.flush()?;
            if hold.pause(Duration::from_millis(20)) {
                return Ok(());
            }
        }
    })
}

/// Shows any chain with any key.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesServerCert for Shows {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn shows(chain: Vec<CertificateDer<'static>>, key: &PrivateKeyDer<'static>) -> ServerConfig {
    let certified = CertifiedKey::new(chain, any_supported_type(key).unwrap());
    ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Shows(Arc::new(certified))))
}

/// A good answer under these cipher suites, where there is one in common.
fn good_with_suites(suites: &[SupportedCipherSuite]) -> Listener {
    let authority = Authority::new();
    let (certificate, key) = authority.certify(&SERVER_NAMES, |_| ());
    let provider = CryptoProvider { cipher_suites: suites.to_vec(), ..default_provider() };
    let versions: Vec<_> = suites.iter().map(SupportedCipherSuite::version).collect();
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    good_at(LOOPBACK, authority.pem(), config)
}

/// A good answer under this set-up of TLS.
fn good_at(address: &str, ca_pem: &str, config: ServerConfig) -> Listener {
    faults::tls_listener_with(address, ca_pem, Arc::new(config), |stream, _| {
        always(stream, &answer("200 OK", JSON, PODS))
    })
}

fn certified(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Listener {
    let authority = Authority::new();
    let (certificate, key) = authority.certify(names, change);
    good_at(LOOPBACK, authority.pem(), shows(vec![certificate], &key))
}

fn certified_at(address: &str, names: &[&str]) -> Listener {
    let authority = Authority::new();
    let (certificate, key) = authority.certify(names, |_| ());
    good_at(address, authority.pem(), server_config(vec![certificate], key))
}

fn fixture(pem: &str) -> Listener {
    let Fixture { ca_pem, chain, key } = Fixture::read(pem);
    good_at(LOOPBACK, &ca_pem, server_config(chain, key))
}

/// Asks for a client certificate, as every API server does; or ends the connection without one.
fn client_certificate(demanded: bool) -> Listener {
    let authority = Authority::new();
    let (certificate, key) = authority.certify(&SERVER_NAMES, |_| ());
    let mut roots = RootCertStore::empty();
    roots.add(Authority::named("clients").der()).unwrap();
    let provider = Arc::new(default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let verifier = if demanded { verifier } else { verifier.allow_unauthenticated() };
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![certificate], key)
        .unwrap();
    good_at(LOOPBACK, authority.pem(), config)
}

/// A run that is over.
struct Ran {
    code: Option<i32>,
    took: Duration,
    /// Peak resident memory in KiB.
    peak: u64,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// Runs it to its end. What it says is held back until it blocks on saying it, so that its peak memory is
/// read when all is done: afterwards nothing tells it any more (what `wait4` tells is at least the memory of
/// whoever started it).
fn run(pod: &Pod, arguments: &[&str]) -> Ran {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    let full = [b'#'; 4096];
    let mut filled = 0;
    while let Ok(count) = (&theirs).write(&full) {
        filled += count;
    }
    theirs.set_nonblocking(false).unwrap();
    let mut command = pod.command(arguments);
    let start = Instant::now();
    let mut child =
        command.stdin(Stdio::null()).stdout(OwnedFd::from(theirs)).stderr(Stdio::piped()).spawn().unwrap();
    // It holds the other end of stdout, too.
    drop(command);
    let mut stderr = child.stderr.take().unwrap();
    let stderr = thread::spawn(move || {
        let mut text = Vec::new();
        stderr.read_to_end(&mut text).map(|_| text).unwrap()
    });
    let mut peak = 0;
    let mut stdout = None;
    let status = loop {
        peak = peak.max(peak_memory(&child));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        // Read no sooner than its memory was seen: with room in the pipe it may end before the next look.
        if stdout.is_none() && peak > 0 && speaks(&child) {
            let mut ours = ours.try_clone().unwrap();
            stdout = Some(thread::spawn(move || read(&mut ours, filled)));
        }
        if start.elapsed() > Duration::from_secs(10) {
            child.kill().unwrap();
        }
        thread::sleep(Duration::from_millis(2));
    };
    let took = start.elapsed();
    let stdout = stdout.map_or_else(|| read(&mut ours, filled), |reader| reader.join().unwrap());
    Ran { code: status.code(), took, peak, stdout, stderr: stderr.join().unwrap() }
}

/// What came behind the filling, up to 1 MiB of it.
fn read(from: &mut UnixStream, filled: usize) -> Vec<u8> {
    let mut text = Vec::new();
    io::copy(&mut from.take(u64::try_from(filled).unwrap()), &mut io::sink()).unwrap();
    from.take(1024 * 1024).read_to_end(&mut text).unwrap();
    io::copy(from, &mut io::sink()).unwrap();
    text
}

/// `VmHWM` in KiB; 0 if it has ended.
fn peak_memory(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    // For a moment after it was started it still has the memory, and the name, of whoever started it.
    let runner = runner();
    let name = runner.as_ref().and_then(|path| Path::new(path).file_name()?.to_str()).unwrap_or("kubeknock");
    // The kernel keeps 15 bytes of it.
    if !status.starts_with(&format!("Name:\t{}", &name[..name.len().min(15)])) {
        return 0;
    }
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// True while it writes to stdout (or if that is not to be known).
fn speaks(child: &Child) -> bool {
    // The number of `write` on x86-64, and on aarch64.
    let writes = |call: &str| call.starts_with("1 0x1 ") || call.starts_with("64 0x1 ");
    fs::read_to_string(format!("/proc/{}/syscall", child.id())).map_or(true, |call| writes(&call))
}

impl Ran {
    /// Everything that is not as the row has it, and not as is promised of every run.
    fn faults(&self, row: &Row, token: &str, limit: Option<u64>) -> Vec<String> {
        let mut faults = Vec::new();
        let mut fault = |is: bool, what: String| {
            if is {
                faults.push(what);
            }
        };
        let (stdout, stderr) = (String::from_utf8_lossy(&self.stdout), String::from_utf8_lossy(&self.stderr));
        fault(self.code != Some(row.code), format!("exit code {:?}, wanted {}", self.code, row.code));
        if let Some(limit) = limit {
            fault(self.peak > limit, format!("{} KiB at its peak, {limit} are too many", self.peak));
        }
        fault(self.peak == 0, "no peak memory was read".into());
        // A large part of the token is the token.
        let said = |text: &str| (0..token.len() - 24).any(|at| text.contains(&token[at..at + 24]));
        for (name, text) in [("stdout", &stdout), ("stderr", &stderr)] {
            fault(said(text), format!("the token is on {name}"));
            fault(text.contains("defect") || text.contains("panicked"), format!("a defect on {name}"));
            // `get` passes on what it got.
            let raw = name == "stdout" && row.arguments.first() == Some(&"get");
            let paints = |c: char| c != '\n' && (c.is_control() || REORDERS.contains(&c));
            fault(!raw && text.contains(paints), format!("control characters on {name}"));
            fault(text.len() > 16 * 1024 && !raw, format!("{} bytes on {name}", text.len()));
        }
        if !faults.is_empty() {
            let cut = |text: &str| text.chars().take(2000).collect::<String>();
            faults.push(format!("--- stdout\n{}--- stderr\n{}---", cut(&stdout), cut(&stderr)));
        }
        faults
    }

    fn is_late(&self, row: &Row) -> bool {
        let too_slow = self.took > row.within + runner_delay() || (self.code == Some(23) && row.code != 23);
        too_slow || (row.code == 23 && self.took < Duration::from_secs(1))
    }
}

const REORDERS: [char; 14] = [
    '\u{61c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}',
    '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}', '\u{2028}', '\u{2029}',
];

/// One run of a row, against a server of its own.
fn attempt(row: &Row) -> (Ran, String) {
    let listener = (row.server)();
    let pod = Pod::in_front_of(&listener);
    let mut arguments = row.arguments.to_vec();
    if !arguments.iter().any(|argument| argument.starts_with("--timeout")) {
        arguments.push("--timeout=1s");
    }
    (run(&pod, &arguments), pod.token().unwrap())
}

#[test]
fn no_misbehaviour_does_harm() {
    let rows = rows();
    assert!(rows.len() >= 80, "{} rows", rows.len());
    let base = match std::env::var_os("KUBEKNOCK_BINARY").filter(|path| !path.is_empty()) {
        Some(_) => 0,
        None => run(&Pod::at("https://127.0.0.1", "-", "-", "-"), &["--version"]).peak,
    };
    let measured = base > 0 || std::env::var_os("KUBEKNOCK_BINARY").is_some();
    assert!(measured, "the memory of --version was not seen");
    let limit = if base == 0 { ALL_ROOM } else { base + ROOM };
    let limit = (!memory_is_the_runners()).then_some(limit);
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let (ran, token) = attempt(row);
                    results.lock().unwrap().push((row, ran, token));
                }
            });
        }
    });
    let mut failed = Vec::new();
    for (row, mut ran, token) in results.into_inner().unwrap() {
        // A machine that is busy may be late once; who does not keep a deadline is late each time.
        for _ in 0..2 {
            if ran.is_late(row) {
                ran = attempt(row).0;
            }
        }
        let mut faults = ran.faults(row, &token, limit);
        if ran.is_late(row) {
            faults.push(format!("took {:?}, and has {:?}", ran.took, row.within));
        }
        println!(
            "{:>4} {:>6} ms {:>6} KiB  {}",
            ran.code.unwrap_or(-1),
            ran.took.as_millis(),
            ran.peak,
            row.name
        );
        if !faults.is_empty() {
            failed.push(format!("a server that {}: {}", row.name, faults.join("; ")));
        }
    }
    println!("{} rows; --version takes {base} KiB (0: not asked)", rows.len());
    assert!(failed.is_empty(), "{} rows failed:\n{}", failed.len(), failed.join("\n"));
}
