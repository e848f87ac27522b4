//! The TLS handshake: certificates, versions, cipher suites, records.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyUsagePurpose, date_time_ymd};
use testbed::certificates::{Authority, Fixture, RSA_1024, RSA_2048, SERVER_NAMES, SHA_1, server_config};
use testbed::faults::{self, Certificate, Listener, answer, read_request, server_hello};
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

use super::servers::{JSON, LOOPBACK, PODS, after_tls, always};
use super::{PROMPT, Row, row};

#[allow(clippy::too_many_lines, reason = "a table")]
pub fn rows() -> Vec<Row> {
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
        row("has a certificate with an unknown critical extension", 22, || {
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
        row("has ChaCha20-Poly1305 only", 0, || {
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
        row("warns without end", 22, || {
            faults::tcp_listener(|mut stream, _| {
                // The alert user_canceled, which is a warning.
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
        row("changes its keys without end", 22, || {
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

/// TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA.
const CBC: [u8; 2] = [0xc0, 0x14];

const SERVER_HELLO_1_0: &[u8] = &server_hello(1, CBC);
const SERVER_HELLO_1_1: &[u8] = &server_hello(2, CBC);
const SERVER_HELLO_SSL_3: &[u8] = &server_hello(0, CBC);
const PROTOCOL_VERSION: &[u8] = &[0x15, 3, 1, 0, 2, 2, 70];
const HANDSHAKE_FAILURE: &[u8] = &[0x15, 3, 3, 0, 2, 2, 40];
const CLOSE_NOTIFY: &[u8] = &[0x15, 3, 3, 0, 2, 1, 0];

/// Shows any chain, with any key.
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

/// A valid answer with these cipher suites, if the client has one of them.
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

/// A valid answer with this TLS configuration.
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

/// Asks for a client certificate, as every API server does; or requires one, and ends the connection without
/// it.
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
