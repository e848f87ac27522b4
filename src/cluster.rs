//! Where the API server is and who we are there: environment, service account mount, flags.
//!
//! Knows files and variables; speaks to nobody. What is read here is read anew for every attempt,
//! because the kubelet rotates it.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

use crate::failure::Fault;
use crate::mount::Source;
use crate::permission;
use crate::token::Token;

/// The name of the API server's service in full: needs no search list.
const SERVICE_NAME: &str = "kubernetes.default.svc.cluster.local";

/// A CA bundle larger than this is not read.
const LARGEST_BUNDLE: usize = 4 * 1024 * 1024;

/// A namespace has 63 letters at most.
const LARGEST_NAMESPACE: usize = 1024;

/// The variables the kubelet injects into every container.
#[derive(Clone, Debug, Default)]
pub struct ServiceVariables {
    /// `KUBERNETES_SERVICE_HOST`.
    pub host: Option<String>,
    /// `KUBERNETES_SERVICE_PORT`.
    pub port: Option<String>,
    /// `HOSTNAME`: in a pod its name, unless the pod says otherwise.
    pub hostname: Option<String>,
}

/// The *where* options, as typed.
#[derive(Clone, Debug, Default)]
pub struct Where {
    /// `--server`.
    pub server: Option<String>,
    /// `--certificate-authority`.
    pub certificate_authority: Option<PathBuf>,
    /// `--token-file`.
    pub token_file: Option<PathBuf>,
    /// `--service-account-dir`.
    pub service_account_dir: Option<PathBuf>,
    /// `--tls-server-name`.
    pub tls_server_name: Option<String>,
    /// `--insecure-skip-tls-verify`.
    pub insecure: bool,
}

/// The API server's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `https`; otherwise plain `http`, as `kubectl proxy` speaks it.
    pub tls: bool,
    /// A name or an address, IPv6 without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl Server {
    /// Parses `http[s]://HOST[:PORT]`, IPv6 bracketed. The error says what is wrong with it.
    pub fn parse(url: &str) -> Result<Server, String> {
        let (tls, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err("it must begin with https:// (or http:// for kubectl proxy)".into()),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err("it must end with the port: the API server itself is meant, no path on it".into());
        }
        if authority.contains('@') {
            return Err("user names and passwords in it are not used: the token identifies the pod".into());
        }
        let (host, port) = split_authority(authority)?;
        let port = match port {
            None if tls => 443,
            None => 80,
            Some(port) => parse_port(port)?,
        };
        Ok(Server { tls, host, port })
    }

    /// From the injected variables; the well-known name if either is unset (or empty).
    fn from_variables(variables: &ServiceVariables) -> Result<Server, Fault> {
        let set = |variable: &Option<String>| variable.clone().filter(|value| !value.is_empty());
        let (Some(host), Some(port)) = (set(&variables.host), set(&variables.port)) else {
            return Ok(Server { tls: true, host: SERVICE_NAME.into(), port: 443 });
        };
        let bracketed = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host };
        Server::parse(&format!("https://{bracketed}:{port}")).map_err(|why| {
            Fault::Setup(format!("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT name no server: {why}"))
        })
    }

    /// `host:port` as it stands in a URL.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

fn split_authority(authority: &str) -> Result<(String, Option<&str>), String> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or("the [ of the IPv6 address is not closed")?;
        host.parse::<Ipv6Addr>().map_err(|_| format!("{host:?} is no IPv6 address"))?;
        return match port.strip_prefix(':') {
            Some(port) => Ok((host.to_owned(), Some(port))),
            None if port.is_empty() => Ok((host.to_owned(), None)),
            None => Err("only :PORT may follow the ]".into()),
        };
    }
    if authority.matches(':').count() > 1 {
        return Err("an IPv6 address needs brackets, such as https://[::1]:6443".into());
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    if host.is_empty() {
        return Err("it names no host".into());
    }
    if !host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')) {
        return Err(format!("{host:?} is no host name"));
    }
    Ok((host.to_owned(), port))
}

fn parse_port(text: &str) -> Result<u16, String> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
        .filter(|&port: &u16| port != 0)
        .ok_or_else(|| format!("the port {text:?} is not between 1 and 65535"))
}

/// How the server's certificate is to be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// By the CA bundle in this file.
    Bundle(PathBuf),
    /// Not at all (`--insecure-skip-tls-verify`).
    Anything,
    /// There is no TLS.
    Plain,
}

/// The API server and our identity there, resolved from everything that may say so.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Its address.
    pub server: Server,
    /// How to judge its certificate.
    pub trust: Trust,
    /// The name to verify instead of the server's host.
    pub tls_server_name: Option<String>,
    mount: PathBuf,
    source: Source,
    token_file: Option<PathBuf>,
}

impl Cluster {
    /// Resolves flags before variables before defaults. Faults are contradictions and bad URLs;
    /// no file is read. Without options, a mount that is not there is looked for (see [`Source::find`]).
    pub fn resolve(place: Where, variables: &ServiceVariables) -> Result<Cluster, Fault> {
        let server = match &place.server {
            Some(url) => {
                Server::parse(url).map_err(|why| Fault::Usage(format!("--server {url:?}: {why}")))?
            }
            None => Server::from_variables(variables)?,
        };
        if place.insecure && place.certificate_authority.is_some() {
            return Err(Fault::Usage(
                "--insecure-skip-tls-verify contradicts --certificate-authority: use one of them".into(),
            ));
        }
        if !server.tls
            && (place.insecure || place.certificate_authority.is_some() || place.tls_server_name.is_some())
        {
            return Err(Fault::Usage(format!("--server {server} has no TLS: leave the TLS options away")));
        }
        let is_said = place.service_account_dir.is_some()
            || place.token_file.is_some()
            || place.certificate_authority.is_some();
        let in_pod = variables.host.as_ref().is_some_and(|host| !host.is_empty());
        let source = if is_said { Source::Own } else { Source::find(in_pod) };
        let mount = place.service_account_dir.unwrap_or_else(|| source.path().to_owned());
        let trust = match place.certificate_authority {
            _ if !server.tls => Trust::Plain,
            _ if place.insecure => Trust::Anything,
            Some(file) => Trust::Bundle(file),
            None => Trust::Bundle(mount.join("ca.crt")),
        };
        let tls_server_name = place.tls_server_name;
        Ok(Cluster { server, trust, tls_server_name, mount, source, token_file: place.token_file })
    }

    /// The token, read anew. `None`: there is none to send (file missing or empty, or plain HTTP,
    /// over which it stays home).
    pub fn token(&self) -> Result<Option<Token>, Fault> {
        if !self.server.tls {
            return Ok(None);
        }
        if self.token_file.is_none() {
            self.need_mount()?;
        }
        Token::read(&self.token_path())
    }

    /// The service account mount.
    pub fn mount(&self) -> &Path {
        &self.mount
    }

    /// Whose mount that is, or why there is none.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Where the token is read from.
    pub fn token_path(&self) -> PathBuf {
        self.token_file.clone().unwrap_or_else(|| self.mount.join("token"))
    }

    /// The CA bundle as PEM, read anew. `None` where none is needed.
    pub fn bundle(&self) -> Result<Option<Vec<u8>>, Fault> {
        let Trust::Bundle(path) = &self.trust else { return Ok(None) };
        if path.starts_with(&self.mount) {
            self.need_mount()?;
        }
        let fault = |why: String| Fault::Setup(format!("CA bundle {}: {why}", path.display()));
        match read(path, LARGEST_BUNDLE) {
            Ok(Some(bundle)) => Ok(Some(bundle)),
            Ok(None) => Err(fault("more than 4 MiB are no CA bundle".into())),
            Err(error) => Err(fault(error.to_string())),
        }
    }

    /// The pod's own namespace, from the mount.
    pub fn namespace(&self) -> Result<String, Fault> {
        let unknown = |why: String| {
            Fault::Setup(format!("no namespace known: {why}; say it with -n NAMESPACE or \"in NAMESPACE\""))
        };
        let path = self.mount.join("namespace");
        let content = read(&path, LARGEST_NAMESPACE)
            .map_err(|error| unknown(format!("{}: {error}", path.display())))?;
        let text = content.and_then(|content| String::from_utf8(content).ok()).unwrap_or_default();
        let name = text.trim();
        match permission::namespace_fault(name) {
            None => Ok(name.to_owned()),
            Some(_) => Err(unknown(format!("{} holds no namespace name", path.display()))),
        }
    }

    fn need_mount(&self) -> Result<(), Fault> {
        match fs::metadata(&self.mount) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let why = self.source.advice().unwrap_or_else(|| {
                    "the pod or its service account says automountServiceAccountToken: false, or this is no pod (then \
                     say --server, --certificate-authority and --token-file)"
                        .into()
                });
                Err(Fault::Setup(format!("no service account mount at {}: {why}", self.mount.display())))
            }
            _ => Ok(()),
        }
    }
}

/// Reads a whole file, of which no more than `limit` bytes and one are held. `None`: it is larger, whatever
/// its size is said to be.
fn read(path: &Path, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut content = Vec::with_capacity(2048);
    let most = u64::try_from(limit + 1).unwrap_or(u64::MAX);
    File::open(path)?.take(most).read_to_end(&mut content)?;
    Ok((content.len() <= limit).then_some(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_urls() {
        for (url, shown) in [
            ("https://10.0.0.1", "https://10.0.0.1:443"),
            ("https://10.0.0.1:6443/", "https://10.0.0.1:6443"),
            ("http://127.0.0.1:8001", "http://127.0.0.1:8001"),
            ("http://localhost", "http://localhost:80"),
            ("https://[fd00::1]:6443", "https://[fd00::1]:6443"),
            ("https://[::1]", "https://[::1]:443"),
        ] {
            assert_eq!(Server::parse(url).unwrap().to_string(), shown);
        }
        for (url, reason) in [
            ("10.0.0.1:6443", "https://"),
            ("HTTPS://h", "https://"),
            ("", "https://"),
            ("https://", "host"),
            ("https://:443", "host"),
            ("https://h:0", "port"),
            ("https://h:65536", "port"),
            ("https://h:+1", "port"),
            ("https://h:", "port"),
            ("https://h/k8s/clusters/c-1", "path"),
            ("https://h?x=1", "path"),
            ("https://user:pw@h", "user names"),
            ("https://fd00::1", "brackets"),
            ("https://[fd00::1", "closed"),
            ("https://[fd00::zz]", "IPv6"),
            ("https://[::1]x", "PORT"),
            ("https://h st", "host name"),
        ] {
            let why = Server::parse(url).unwrap_err();
            assert!(why.contains(reason), "{url}: {why}");
        }
    }

    #[test]
    fn injected_variables() {
        let server = |host: &str, port: &str| {
            Server::from_variables(&ServiceVariables {
                host: Some(host.into()),
                port: Some(port.into()),
                hostname: None,
            })
        };
        assert_eq!(server("10.96.0.1", "443").unwrap().to_string(), "https://10.96.0.1:443");
        assert_eq!(server("fd00::1", "443").unwrap().to_string(), "https://[fd00::1]:443");
        assert_eq!(
            server("", "443").unwrap().to_string(),
            "https://kubernetes.default.svc.cluster.local:443"
        );
        let none = Server::from_variables(&ServiceVariables::default()).unwrap();
        assert_eq!(none.to_string(), "https://kubernetes.default.svc.cluster.local:443");
        assert!(matches!(server("10.96.0.1", "tcp://10.96.0.1:443"), Err(Fault::Setup(_))));
    }
}
