//! Facts about the latest connection: recorded where they are found, and read by `doctor`.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::certificate::Certificate;

/// Facts about the latest connection, as far as it got.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Whether the server's name resolves or needs no lookup.
    pub resolved: bool,
    /// The address that accepted the TCP connection, and how long that took.
    pub tcp: Option<(SocketAddr, Duration)>,
    /// How long the whole TLS handshake took.
    pub tls: Option<Duration>,
    /// The TLS version, such as `TLS 1.3`.
    pub version: &'static str,
    /// The cipher suite, such as `TLS13_AES_128_GCM_SHA256`.
    pub suite: String,
    /// The server's own certificate as it is sent, even if it is not trusted.
    pub der: Vec<u8>,
    /// The same certificate, parsed when the facts are read.
    pub certificate: Option<Certificate>,
    /// Whether the CA bundle verifies the certificate.
    pub verified: bool,
    /// Whether no CA in the bundle has signed the certificate.
    pub unknown_issuer: bool,
}

/// Facts that the connection records and others read.
#[derive(Clone, Debug, Default)]
pub struct SharedFacts(Arc<Mutex<Facts>>);

impl SharedFacts {
    /// Changes the facts.
    pub fn note(&self, note: impl FnOnce(&mut Facts)) {
        if let Ok(mut facts) = self.0.lock() {
            note(&mut facts);
        }
    }

    /// A copy of the facts.
    pub fn get(&self) -> Facts {
        let facts = self.0.lock().map(|facts| facts.clone()).unwrap_or_default();
        Facts { certificate: Certificate::parse(&facts.der), ..facts }
    }
}
