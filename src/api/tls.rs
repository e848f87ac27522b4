//! TLS: a CA bundle becomes trust, and a TLS fault becomes a sentence.

use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, KeyProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::SigningKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, InvalidMessage, RootCertStore, SignatureScheme,
    SupportedCipherSuite,
};

use super::certificate::Certificate;
use super::facts::SharedFacts;
use crate::failure::{Failure, Fault};
use crate::time::duration::span;

/// AES-GCM only: TLS 1.3 asks every server for it (RFC 8446, 9.1), HTTP/2 does so with TLS 1.2 (RFC 9113,
/// 9.2.2), and Go's refuses to start without. ChaCha20-Poly1305 would take 45 kB.
const SUITES: [SupportedCipherSuite; 6] = [
    ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
    ring::cipher_suite::TLS13_AES_256_GCM_SHA384,
    ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ring::cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ring::cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
];

/// How to judge the server's certificate.
pub enum Verify<'a> {
    /// By a CA bundle: its PEM text, and its name for messages.
    Bundle(&'a [u8], &'a str),
    /// Not at all.
    Nothing,
}

/// A TLS set-up, and how many certificates of the bundle could not be used.
pub struct Setup {
    /// For every connection.
    pub config: Arc<ClientConfig>,
    /// Certificates that were skipped beside good ones.
    pub skipped: usize,
}

impl Setup {
    /// Builds the TLS set-up, which notes in `facts` what the server shows. A bundle without one good
    /// certificate is a setup fault.
    pub fn new(verify: &Verify<'_>, facts: &SharedFacts) -> Result<Setup, Fault> {
        let provider = Arc::new(CryptoProvider {
            cipher_suites: SUITES.to_vec(),
            key_provider: &NoKeys,
            ..ring::default_provider()
        });
        let broken = |error: rustls::Error| Fault::Setup(format!("TLS cannot be set up: {error}"));
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(broken)?;
        let (roots, skipped) = match verify {
            Verify::Nothing => (None, 0),
            Verify::Bundle(pem, name) => {
                let (roots, skipped) = roots(pem, name)?;
                (Some(roots), skipped)
            }
        };
        let witness = Arc::new(Witness { roots, provider, facts: SharedFacts::clone(facts) });
        let mut config = builder.dangerous().with_custom_certificate_verifier(witness).with_no_client_auth();
        // One connection a round: a session ticket would never be used.
        config.resumption = Resumption::disabled();
        Ok(Setup { config: Arc::new(config), skipped })
    }
}

fn roots(pem: &[u8], name: &str) -> Result<(RootCertStore, usize), Fault> {
    let mut roots = RootCertStore::empty();
    let mut skipped = 0;
    let mut rest = pem;
    for certificate in rustls_pemfile::certs(&mut rest) {
        if !certificate.is_ok_and(|certificate| roots.add(certificate).is_ok()) {
            skipped += 1;
        }
    }
    if roots.is_empty() {
        let found = match skipped {
            0 => "no certificate in it (-----BEGIN CERTIFICATE-----)".to_owned(),
            count => format!("none of its {count} certificates can be read"),
        };
        return Err(Fault::Setup(format!("CA bundle {name}: {found}")));
    }
    Ok((roots, skipped))
}

/// The certificates of a CA bundle that can be read.
pub fn certificates(pem: &[u8]) -> Vec<Certificate> {
    let mut rest = pem;
    rustls_pemfile::certs(&mut rest)
        .filter_map(|certificate| Certificate::parse(&certificate.ok()?))
        .collect()
}

/// What an I/O error on the connection to `server` means, TLS faults included.
pub fn failure(error: &io::Error, server: &str) -> Failure {
    if let Some(fault) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return Failure::Untrusted(format!("TLS with {server}: {}", explain(fault)));
    }
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            Failure::Timeout(format!("{server} did not answer in time"))
        }
        io::ErrorKind::UnexpectedEof => {
            Failure::Closed(format!("{server} closed the connection without an answer"))
        }
        _ => Failure::Closed(format!("the connection to {server} broke: {error}")),
    }
}

fn explain(fault: &rustls::Error) -> String {
    let ago = |time: UnixTime, limit: UnixTime| {
        let seconds = time.as_secs().abs_diff(limit.as_secs());
        span(i64::try_from(seconds).unwrap_or(i64::MAX))
    };
    match fault {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            // CAs of most clusters share the name "kubernetes": then it is the signature that does not fit.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "its certificate is not signed by a CA of the bundle: another cluster's ca.crt, or the CA was rotated".into()
            }
            CertificateError::ExpiredContext { time, not_after } => {
                format!("its certificate expired {} ago (or this clock is wrong)", ago(*time, *not_after))
            }
            CertificateError::NotValidYetContext { time, not_before } => {
                format!("its certificate begins to be valid in {} (or this clock is wrong)", ago(*time, *not_before))
            }
            CertificateError::NotValidForNameContext { expected, presented } => {
                // rustls shows them as `DnsName("x")` and `IpAddress(x)`.
                let bare = |name: &String| {
                    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
                    inner.unwrap_or(name).trim_matches('"').to_owned()
                };
                let names: Vec<String> = presented.iter().map(bare).collect();
                let names = if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") };
                format!("its certificate is not for {} but for {names}; see --tls-server-name", expected.to_str())
            }
            other => format!("its certificate is not good: {other}"),
        },
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the port does not speak TLS (plain HTTP, or another protocol)".into()
        }
        rustls::Error::PeerIncompatible(why) => format!("no common version or cipher suite: {why:?}"),
        other => other.to_string(),
    }
}

/// There are no client certificates, so the code that signs with their keys stays out (39 kB).
#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        Err(rustls::Error::General("client certificates are not used".into()))
    }
}

/// Notes the certificate that the server shows and has it verified, as rustls' own verifier does. Without
/// roots (`--insecure-skip-tls-verify`) it takes any, yet holds the peer to owning its key.
#[derive(Debug)]
struct Witness {
    roots: Option<RootCertStore>,
    provider: Arc<CryptoProvider>,
    facts: SharedFacts,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict = self.roots.as_ref().map_or(Ok(()), |roots| {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)?;
            verify_server_name(&certificate, server_name)
        });
        let unknown_issuer = matches!(
            verdict,
            Err(rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature
            ))
        );
        self.facts.note(|facts| {
            facts.certificate = Certificate::parse(end_entity);
            facts.verified = self.roots.is_some() && verdict.is_ok();
            facts.unknown_issuer = unknown_issuer;
        });
        verdict.map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
