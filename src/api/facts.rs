//! Facts about the latest connection, noted where they arise and read by `doctor`.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::certificate::Certificate;

/// Facts about the latest connection, as far as it got.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Whether the server's name resolves, or needs no lookup.
    pub resolved: bool,
    /// The address that accepted the TCP connection, and after how long.
    pub tcp: Option<(SocketAddr, Duration)>,
    /// The duration of the whole TLS handshake.
    pub tls: Option<Duration>,
    /// `TLS 1.3`.
    pub version: &'static str,
    /// `TLS13_AES_128_GCM_SHA256`.
    pub suite: String,
    /// The server's own certificate as it shows it, also where it is not trusted.
    pub der: Vec<u8>,
    /// The same, parsed when it is needed.
    pub certificate: Option<Certificate>,
    /// Whether the CA bundle verifies it.
    pub verified: bool,
    /// Whether no CA of the bundle has signed it.
    pub unknown_issuer: bool,
}

/// Facts that the connection notes and others read.
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
