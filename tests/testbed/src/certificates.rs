//! Certificate authorities and server certificates, generated for every run.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use std::sync::Arc;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// The names a kube-apiserver's certificate is valid for.
pub const SERVER_NAMES: [&str; 7] = [
    "127.0.0.1",
    "::1",
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];

/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// A new authority with the name that most clusters give to their CA. No client trusts it yet.
    pub fn new() -> Self {
        Self::named("kubernetes")
    }

    /// A new authority with another name.
    pub fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its certificate as DER.
    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()
    }

    /// Its certificate as PEM, which is the content of a `ca.crt`.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A TLS configuration with a certificate for these names (host names or IP addresses).
    pub fn server(&self, names: &[&str], expired: bool) -> Arc<ServerConfig> {
        self.server_with(names, |params| {
            if expired {
                params.not_before = date_time_ymd(2019, 1, 1);
                params.not_after = date_time_ymd(2020, 1, 1);
            }
        })
    }

    /// The same, with a certificate that the closure has changed.
    pub fn server_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Arc<ServerConfig> {
        let (certificate, key) = self.certify(names, change);
        Arc::new(server_config(vec![certificate], key))
    }

    /// A certificate for the names, changed by the closure, and its key.
    pub fn certify(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        (certificate.der().clone(), key)
    }
}

/// A TLS configuration that shows this chain, in every TLS version that rustls has.
pub fn server_config(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> ServerConfig {
    ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}

/// A chain whose CA has an RSA key of 2048 bits.
pub const RSA_2048: &str = include_str!("certificates/rsa-2048-sha-256.pem");
/// A chain whose CA has an RSA key of 1024 bits, which is too short.
pub const RSA_1024: &str = include_str!("certificates/rsa-1024-sha-256.pem");
/// A chain that is signed with SHA-1, which is broken.
pub const SHA_1: &str = include_str!("certificates/rsa-2048-sha-1.pem");

/// A chain that is signed with ecdsa-with-SHA512, by a key on P-521.
pub const P_521: &str = include_str!("certificates/p-521-sha-512.pem");
/// A chain that is signed with ecdsa-with-SHA512, by a key on P-256.
pub const P_256_SHA_512: &str = include_str!("certificates/p-256-sha-512.pem");
/// A chain that is signed with ecdsa-with-SHA384, by a key on P-384.
pub const P_384: &str = include_str!("certificates/p-384-sha-384.pem");

/// Certificates that rcgen cannot make: a CA, the certificate that it signed for 127.0.0.1, and the key of that
/// certificate, in one PEM text that `certificates/make` wrote.
pub struct Fixture {
    /// The `ca.crt`.
    pub ca_pem: String,
    /// The chain that the server shows.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key of the server.
    pub key: PrivateKeyDer<'static>,
}

impl Fixture {
    /// Reads the PEM text.
    pub fn read(pem: &str) -> Self {
        let certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).skip(1);
        let end = "-----END CERTIFICATE-----\n";
        Self {
            ca_pem: pem.split_inclusive(end).take(1).collect(),
            chain: certificates.collect::<Result<_, _>>().unwrap(),
            key: PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap(),
        }
    }
}
