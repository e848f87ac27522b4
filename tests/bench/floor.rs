//! The floor: what a bare rustls client costs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use testbed::{RealCluster, World};
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::figures::Cost;
use crate::pod::{ACCOUNT, NAMESPACE};

const PODS: &str = "/api/v1/namespaces/ns-1/pods?limit=1";
const ACCEPT: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// A TLS connection.
pub type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A rustls client in this process, ready to connect.
pub struct Floor {
    config: Arc<ClientConfig>,
    server: String,
    requests: [String; 2],
}

impl Floor {
    /// A client of this cluster, with the token of the pod's account.
    pub fn new(cluster: &RealCluster) -> Self {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(cluster.ca_pem().as_bytes()).expect("a CA");
        roots.add(ca).expect("a CA to trust");
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        // A full handshake each time, as in a pod that has just started.
        config.resumption = Resumption::disabled();
        let server = cluster.server().trim_start_matches("https://").to_owned();
        let request = |more: &str| {
            format!(
                "GET {PODS} HTTP/1.1\r\nHost: {server}\r\nAccept: {ACCEPT}\r\nUser-Agent: floor\r\n{more}\r\n"
            )
        };
        let token = cluster.token(NAMESPACE, ACCOUNT);
        let requests = [request(""), request(&format!("Authorization: Bearer {token}\r\n"))];
        Floor { config: Arc::new(config), server, requests }
    }

    /// Connects, sends the request without and with the token, and reads both answers.
    pub fn knock_twice(&self) -> Cost {
        let (start, cpu) = (Instant::now(), cpu());
        let mut stream = self.connect();
        for (request, status) in self.requests.iter().zip(["403", "200"]) {
            ask(&mut stream, request, status);
        }
        Cost { cpu: self::cpu().saturating_sub(cpu), wall: start.elapsed() }
    }

    /// The same client, but it resumes sessions.
    pub fn resuming(&self) -> Floor {
        let mut config = (*self.config).clone();
        config.resumption = Resumption::in_memory_sessions(1);
        let Floor { server, requests, .. } = self;
        Floor { config: Arc::new(config), server: server.clone(), requests: requests.clone() }
    }

    /// An open connection on which one request was answered.
    pub fn idle(&self) -> Stream {
        let mut stream = self.connect();
        self.ask(&mut stream);
        stream
    }

    /// Asks with the token, and reads the answer.
    pub fn ask(&self, stream: &mut Stream) {
        ask(stream, &self.requests[1], "200");
    }

    fn connect(&self) -> Stream {
        let tcp = TcpStream::connect(&self.server).expect("connect");
        tcp.set_nodelay(true).expect("set an option");
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        let tls = ClientConnection::new(Arc::clone(&self.config), name).expect("a TLS client");
        StreamOwned::new(tls, tcp)
    }
}

fn ask(stream: &mut Stream, request: &str, status: &str) {
    stream.write_all(request.as_bytes()).expect("send");
    let answer = read_answer(stream);
    assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
}

/// Reads a response head, and a body of the length in `Content-Length`.
fn read_answer(stream: &mut Stream) -> String {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).expect("an answer");
        answer.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
        if body.len() >= length.parse().expect("a number") {
            return text.into_owned();
        }
    }
}

/// CPU time of this thread.
pub fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().expect("seconds"), time.tv_nsec.try_into().expect("nanoseconds"))
}
