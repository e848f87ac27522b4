//! What is known of the latest connection: noted where it happens, read by `doctor`.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::certificate::Certificate;

/// What is known of the latest connection, as far as it came about.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The server's name has been looked up, or needed no lookup.
    pub resolved: bool,
    /// Who took the TCP connection, and after how long.
    pub tcp: Option<(SocketAddr, Duration)>,
    /// How long the whole TLS handshake took.
    pub tls: Option<Duration>,
    /// `TLS 1.3`.
    pub version: &'static str,
    /// `TLS13_AES_128_GCM_SHA256`.
    pub suite: String,
    /// The server's own certificate as it shows it, also where it is not trusted.
    pub der: Vec<u8>,
    /// The same taken apart, which is left until somebody asks.
    pub certificate: Option<Certificate>,
    /// The CA bundle vouches for it.
    pub verified: bool,
    /// No CA of the bundle has signed it.
    pub unknown_issuer: bool,
}

/// Facts that the connection notes and others read.
#[derive(Clone, Debug, Default)]
pub struct SharedFacts(Arc<Mutex<Facts>>);

impl SharedFacts {
    /// Adds to what is known.
    pub fn note(&self, note: impl FnOnce(&mut Facts)) {
        if let Ok(mut facts) = self.0.lock() {
            note(&mut facts);
        }
    }

    /// What is known now.
    pub fn get(&self) -> Facts {
        let facts = self.0.lock().map(|facts| facts.clone()).unwrap_or_default();
        Facts { certificate: Certificate::parse(&facts.der), ..facts }
    }
}
