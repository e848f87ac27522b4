//! A small HTTPS client that sets up clusters and asks them questions. It opens one connection for each request
//! and blocks the caller.

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use std::fmt::Display;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The credential that a request is sent with.
#[derive(Clone)]
pub enum Credential {
    /// None.
    None,
    /// `Authorization: Bearer …`. An empty token is sent as it is.
    Bearer(String),
    /// A client certificate and its key, in PEM.
    Certificate {
        /// The certificate, followed by those between it and the CA.
        certificate: String,
        /// The private key.
        key: String,
    },
}

/// An answer: status code, headers, body.
pub type Reply = (u16, Vec<(String, String)>, Vec<u8>);

/// A client of one server.
pub struct Client {
    authority: String,
    tls: Option<TlsConnector>,
    token: Option<String>,
}

impl Client {
    /// A client of `https://HOST:PORT` (or `http://`) that trusts the CA.
    ///
    /// # Panics
    /// If the PEM texts cannot be read.
    pub fn new(server: &str, ca_pem: &str, credential: Credential) -> Self {
        let (scheme, authority) = server.split_once("://").unwrap();
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let (config, token) = match credential {
            Credential::None => (config.with_no_client_auth(), None),
            Credential::Bearer(token) => (config.with_no_client_auth(), Some(token)),
            Credential::Certificate { certificate, key } => {
                let chain = CertificateDer::pem_slice_iter(certificate.as_bytes());
                let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                (config.with_client_auth_cert(chain, key).unwrap(), None)
            }
        };
        let tls = (scheme == "https").then(|| TlsConnector::from(Arc::new(config)));
        Self { authority: authority.trim_end_matches('/').to_owned(), tls, token }
    }

    /// Sends one request and reads the whole answer. A watch has no end, so do not ask for one.
    ///
    /// # Errors
    /// When the connection, TLS or HTTP fails, with the reason.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Reply, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(words)?;
        runtime.block_on(self.exchange(method, path, headers, body))
    }

    async fn exchange(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Reply, String> {
        let mut request = Request::builder().method(method).uri(path).header("Host", &self.authority);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body))).map_err(words)?;
        let stream = TcpStream::connect(&self.authority).await.map_err(words)?;
        match &self.tls {
            None => speak(stream, request).await,
            Some(tls) => {
                let host = self.authority.rsplit_once(':').map_or(self.authority.as_str(), |(host, _)| host);
                let host = host.trim_matches(['[', ']']).to_owned();
                let name = ServerName::try_from(host).map_err(words)?;
                speak(tls.connect(name, stream).await.map_err(words)?, request).await
            }
        }
    }
}

async fn speak<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Reply, String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(words)?;
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await.map_err(words)?.into_parts();
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers =
        head.headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect();
    let body = body.collect().await.map_err(words)?.to_bytes();
    Ok((head.status.as_u16(), headers, body.to_vec()))
}

fn words(error: impl Display) -> String {
    error.to_string()
}
