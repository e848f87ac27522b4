//! TLS: verifies servers by a CA bundle, and turns TLS errors into sentences.

mod bundle;
mod explain;
mod trust;

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, KeyProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::SigningKey;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme, SupportedCipherSuite};

use super::certificate::Certificate;
use super::facts::SharedFacts;
use crate::failure::Fault;
use bundle::Bundle;
use trust::{Judgement, Trust};

pub use explain::{failure, plain, reason};

/// The cipher suites of ring, cheapest first: AES-128 is secure, and a server that follows the client's order chooses
/// it.
const SUITES: [SupportedCipherSuite; 9] = [
    ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
    ring::cipher_suite::TLS13_AES_256_GCM_SHA384,
    ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ring::cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ring::cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ring::cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// How to verify the server's certificate.
pub enum Verify<'a> {
    /// By a CA bundle: its PEM text, and its name for messages.
    Bundle(&'a [u8], &'a str),
    /// Without verification.
    Nothing,
}

/// A TLS configuration, and how many certificates of the bundle were skipped.
pub struct Setup {
    /// The configuration for every connection.
    pub config: Arc<ClientConfig>,
    /// How many certificates of a usable bundle were skipped because they cannot be read.
    pub skipped: usize,
}

impl Setup {
    /// Builds the TLS configuration, which records in `facts` what the server shows. `resumes`: whether a later
    /// connection may resume the session of an earlier one. A bundle without a usable certificate is a setup fault.
    pub fn new(verify: &Verify<'_>, facts: &SharedFacts, resumes: bool) -> Result<Setup, Fault> {
        let provider = Arc::new(CryptoProvider {
            cipher_suites: SUITES.to_vec(),
            key_provider: &NoKeys,
            ..ring::default_provider()
        });
        let broken = |error: rustls::Error| {
            Fault::Setup(format!("TLS cannot be set up: {}", plain(&error.to_string())))
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(broken)?;
        let (trust, skipped) = match verify {
            Verify::Nothing => (None, 0),
            Verify::Bundle(pem, name) => {
                let bundle = Bundle::read(pem, name)?;
                let skipped = bundle.skipped;
                (Some(Trust::new(bundle)), skipped)
            }
        };
        let witness = Arc::new(Witness { trust, provider, facts: SharedFacts::clone(facts) });
        let mut config = builder.dangerous().with_custom_certificate_verifier(witness).with_no_client_auth();
        if !resumes {
            // With a single connection, a stored session is never used.
            config.resumption = Resumption::disabled();
        }
        Ok(Setup { config: Arc::new(config), skipped })
    }
}

/// The certificates of a CA bundle that can be read.
pub fn certificates(pem: &[u8]) -> Vec<Certificate> {
    let bundle = Bundle::read(pem, "").map(|bundle| bundle.certificates).unwrap_or_default();
    bundle.into_iter().map(|(_, certificate)| certificate).collect()
}

/// Client certificates are not supported, so the code that signs with their keys is not linked, which saves 39 kB.
#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        Err(rustls::Error::General("client certificates are not used".into()))
    }
}

/// Records the certificate that the server shows in a full handshake (a resumed one shows none), and verifies it. With
/// `--insecure-skip-tls-verify` it accepts any certificate, but still requires that the server holds its key.
#[derive(Debug)]
struct Witness {
    trust: Option<Trust>,
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
        let Judgement { verdict, unknown_issuer } = match &self.trust {
            Some(trust) => trust.judge(end_entity, intermediates, server_name, now, &self.provider),
            None => Judgement { verdict: Ok(()), unknown_issuer: false },
        };
        self.facts.note(|facts| {
            facts.der = end_entity.to_vec();
            facts.verified = self.trust.is_some() && verdict.is_ok();
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
