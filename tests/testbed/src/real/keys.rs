//! The keys that a cluster's installer generates: a certificate authority, the API server's certificate, and
//! the key that signs service account tokens.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SigningKey,
};
use serde_json::Value;

use crate::certificates::SERVER_NAMES;

/// A certificate authority and one server certificate from it, all PEM.
pub struct ServerKeys {
    pub ca: String,
    pub certificate: String,
    pub key: String,
}

impl ServerKeys {
    /// Generates them, ECDSA P-256 as in k3s, for [`SERVER_NAMES`].
    pub fn generate() -> Self {
        Self::of(|| KeyPair::generate().expect("a key"))
    }

    /// The same with RSA of 2048 bits, as kubeadm and the API server generate them. It runs openssl, because
    /// ring cannot generate RSA keys.
    pub fn generate_rsa() -> Self {
        Self::of(|| {
            let options = ["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
            let made = Command::new("openssl").args(options).output().expect("run openssl");
            let pem = String::from_utf8(made.stdout).expect("PEM");
            KeyPair::from_pem(&pem).expect("an RSA key")
        })
    }

    fn of(key: impl Fn() -> KeyPair) -> Self {
        let (ca, issuer) = authority("kubernetes", key());
        let key = key();
        let mut server = CertificateParams::new(SERVER_NAMES.map(String::from)).expect("server names");
        server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = server.signed_by(&key, &issuer).expect("a server certificate").pem();
        ServerKeys { ca, certificate, key: key.serialize_pem() }
    }
}

/// The certificate (PEM) of an authority that no server here uses.
pub fn stranger_ca() -> String {
    authority("a stranger", KeyPair::generate().expect("a CA key")).0
}

fn authority(name: &str, key: KeyPair) -> (String, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::new([]).expect("no names");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let certificate = params.self_signed(&key).expect("a CA certificate").pem();
    (certificate, Issuer::new(params, key))
}

/// The key that signs service account tokens: ECDSA P-256, which tokens call `ES256`.
pub struct TokenKey(KeyPair);

impl TokenKey {
    /// Generates it.
    pub fn generate() -> Self {
        TokenKey(KeyPair::generate().expect("a token key"))
    }

    /// The content of `--service-account-signing-key-file`.
    pub fn private_pem(&self) -> String {
        self.0.serialize_pem()
    }

    /// The content of `--service-account-key-file`.
    pub fn public_pem(&self) -> String {
        self.0.public_key_pem()
    }

    /// `token` with its claims changed, signed so that the API server accepts it.
    pub fn resign(&self, token: &str, change: impl FnOnce(&mut Value)) -> String {
        let mut parts = token.split('.');
        let header = parts.next().expect("a header");
        let claims = URL_SAFE_NO_PAD.decode(parts.next().expect("claims")).expect("base64url claims");
        let mut claims = serde_json::from_slice(&claims).expect("JSON claims");
        change(&mut claims);
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let der = self.0.sign(signed.as_bytes()).expect("a signature");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(raw_signature(&der)))
    }
}

/// The two numbers of a P-256 signature, 32 bytes each (RFC 7518, 3.4), from their DER sequence `30 len 02 len
/// R 02 len S`, where each number is as short as possible or has a leading zero.
fn raw_signature(der: &[u8]) -> Vec<u8> {
    let (r, rest) = der_integer(&der[2..]);
    let (s, _) = der_integer(rest);
    let padded = |number: &[u8]| [vec![0; 32 - number.len()], number.to_vec()].concat();
    [padded(r), padded(s)].concat()
}

fn der_integer(der: &[u8]) -> (&[u8], &[u8]) {
    let (number, rest) = der[2..].split_at(usize::from(der[1]));
    (number.strip_prefix(&[0]).unwrap_or(number), rest)
}
