//! Where the API server is and who we are there: environment, service account mount, options.
//!
//! Knows files and variables, and sends nothing. Files are read again for every attempt, because the
//! kubelet rotates them.

use std::fmt;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::failure::Fault;
use crate::mount::Source;
use crate::permission;
use crate::time::deadline::Deadline;
use crate::time::reading::{Content, Unread, read};
use crate::token::Token;

/// The full name of the API server's Service: it resolves without a search list.
const SERVICE_NAME: &str = "kubernetes.default.svc.cluster.local";

/// A CA bundle larger than this is not read.
const LARGEST_BUNDLE: usize = 4 * 1024 * 1024;

/// The namespace is not waited for longer than this.
const NAMESPACE_PATIENCE: Duration = Duration::from_millis(50);

/// A namespace name has at most 63 characters.
const LARGEST_NAMESPACE: usize = 1024;

/// The variables the kubelet injects into every container.
#[derive(Clone, Debug, Default)]
pub struct ServiceVariables {
    /// `KUBERNETES_SERVICE_HOST`.
    pub host: Option<String>,
    /// `KUBERNETES_SERVICE_PORT`.
    pub port: Option<String>,
    /// `HOSTNAME`: the pod's name, unless the pod sets another one.
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
    /// `https`; otherwise plain `http`, as `kubectl proxy` serves it.
    pub tls: bool,
    /// A name or an address, IPv6 without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl Server {
    /// Parses `http[s]://HOST[:PORT]`, with IPv6 in brackets. The error says what is wrong with it.
    pub fn parse(url: &str) -> Result<Server, String> {
        let (tls, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err("it must begin with https:// (or http:// for kubectl proxy)".into()),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(
                "it must end after the port: it is the address of the API server, without a path".into()
            );
        }
        if authority.contains('@') {
            return Err("it must not hold user names or passwords: the token identifies the pod".into());
        }
        let (host, port) = split_authority(authority)?;
        let port = match port {
            None if tls => 443,
            None => 80,
            Some(port) => parse_port(port)?,
        };
        Ok(Server { tls, host, port })
    }

    /// From the injected variables; the well-known name if either is unset.
    fn from_variables(variables: &ServiceVariables) -> Result<(Server, Origin), Fault> {
        let (host, port) = match (variables.host.as_deref(), variables.port.as_deref()) {
            (Some(host), Some(port)) if !host.is_empty() => (host, port),
            _ => return Ok((Server { tls: true, host: SERVICE_NAME.into(), port: 443 }, Origin::Default)),
        };
        let fault =
            |variable: &str, value: &str, why: &str| Fault::Setup(format!("{variable} {value:?}: {why}"));
        let host = host_variable(host).map_err(|why| fault(Origin::HOST, host, &why))?;
        let port = port_variable(port).map_err(|why| fault(Origin::PORT, port, &why))?;
        Ok((Server { tls: true, host, port }, Origin::Variables))
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

/// The kubelet sets a name or an address, and nothing else.
fn host_variable(host: &str) -> Result<String, String> {
    if host.trim() != host {
        return Err("it has spaces or line breaks around it; set the name or address alone".into());
    }
    if host.contains("://") {
        return Err("it has a scheme; set the name or address alone, such as 10.96.0.1".into());
    }
    let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if inside.parse::<Ipv6Addr>().is_ok() {
        return Ok(inside.to_owned());
    }
    if inside.matches(':').count() > 1 && !host.starts_with('[') {
        return Err(format!("{host:?} is not an IPv6 address"));
    }
    match split_authority(host)? {
        (host, None) => Ok(host),
        (_, Some(_)) => {
            Err("it has a port; set the name or address alone, and the port in KUBERNETES_SERVICE_PORT"
                .into())
        }
    }
}

/// A number, unless a Service took the variable: links to Services have `tcp://ADDRESS:PORT` in `NAME_PORT`.
fn port_variable(port: &str) -> Result<u16, String> {
    if port.is_empty() {
        return Err(
            "it is empty, and KUBERNETES_SERVICE_HOST is set; set both or neither, the API server's \
                    port is 443 or 6443 in most clusters"
                .into(),
        );
    }
    if ["tcp://", "udp://", "sctp://"].iter().any(|scheme| port.starts_with(scheme)) {
        return Err("a Service named kubernetes-service in this namespace sets it (a service link); set \
                    enableServiceLinks: false in the pod's spec, or rename that Service"
            .into());
    }
    parse_port(port)
}

fn split_authority(authority: &str) -> Result<(String, Option<&str>), String> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or("the [ of the IPv6 address is not closed")?;
        host.parse::<Ipv6Addr>().map_err(|_| format!("{host:?} is not an IPv6 address"))?;
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
    match host_fault(host) {
        None => Ok((host.to_owned(), port)),
        Some(why) => Err(why),
    }
}

/// Why this is neither a DNS name nor an IPv4 address.
fn host_fault(host: &str) -> Option<String> {
    if host.is_empty() {
        return Some("it has no host".into());
    }
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(is_letter)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    // A name whose last label is a number is an address to every resolver (WHATWG URL, "ends in a number").
    let last = name.rsplit('.').next().unwrap_or(name);
    if last.bytes().all(|byte| byte.is_ascii_digit()) && host.parse::<Ipv4Addr>().is_err() {
        return Some(format!("{host:?} is not an IPv4 address"));
    }
    let good = name.len() <= 253 && name.split('.').all(is_label);
    (!good).then(|| format!("{host:?} is not a host name"))
}

fn parse_port(text: &str) -> Result<u16, String> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
        .filter(|&port: &u16| port != 0)
        .ok_or_else(|| format!("the port {text:?} is not between 1 and 65535"))
}

/// What names the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `--server`.
    Option,
    /// The kubelet's variables.
    Variables,
    /// Nothing: it is the well-known name.
    Default,
}

impl Origin {
    /// The variable for the name or address.
    const HOST: &str = "KUBERNETES_SERVICE_HOST";
    /// The variable for the port.
    const PORT: &str = "KUBERNETES_SERVICE_PORT";

    /// Where to correct the server's name.
    pub fn of_host(self) -> &'static str {
        match self {
            Origin::Option => "--server",
            Origin::Variables => Origin::HOST,
            Origin::Default => "the default name",
        }
    }
}

/// How to verify the server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// By the CA bundle in this file.
    Bundle(PathBuf),
    /// Not at all (`--insecure-skip-tls-verify`).
    Anything,
    /// There is no TLS.
    Plain,
}

/// The API server and our identity there, resolved from options, variables and defaults.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Its address.
    pub server: Server,
    /// What names it.
    pub origin: Origin,
    /// How to verify its certificate.
    pub trust: Trust,
    /// The name to verify instead of the server's host.
    pub tls_server_name: Option<String>,
    mount: PathBuf,
    source: Source,
    token_file: Option<PathBuf>,
}

impl Cluster {
    /// Options come before variables, and variables before defaults. Faults are contradictions and bad
    /// addresses; no file is read. Without options, a mount that is not there is looked for (see [`Source::find`]).
    pub fn resolve(place: Where, variables: &ServiceVariables) -> Result<Cluster, Fault> {
        let (server, origin) = match &place.server {
            Some(url) => {
                let server = Server::parse(url);
                (server.map_err(|why| Fault::Usage(format!("--server {url:?}: {why}")))?, Origin::Option)
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
            return Err(Fault::Usage(format!("--server {server} has no TLS: leave out the TLS options")));
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
        let token_file = place.token_file;
        Ok(Cluster { server, origin, trust, tls_server_name, mount, source, token_file })
    }

    /// Reads the token. `None`: there is none to send (the file is missing or empty, or the server has no
    /// TLS). A file that gives nothing until the deadline is a timeout.
    pub fn token(&self, deadline: Deadline) -> Result<Option<Token>, Fault> {
        if !self.server.tls {
            return Ok(None);
        }
        if self.token_file.is_none() {
            self.need_mount()?;
        }
        Token::read(&self.token_path(), deadline)
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

    /// Reads the CA bundle. `None` where none is needed. A file that gives nothing until the deadline is a
    /// timeout.
    pub fn bundle(&self, deadline: Deadline) -> Result<Option<Vec<u8>>, Fault> {
        let Trust::Bundle(path) = &self.trust else { return Ok(None) };
        if path.starts_with(&self.mount) {
            self.need_mount()?;
        }
        let fault = |why: &str| Fault::Setup(format!("CA bundle {}: {why}", path.display()));
        match read(path, LARGEST_BUNDLE, deadline) {
            Ok(Content::Whole(bundle)) => Ok(Some(bundle)),
            Ok(Content::TooLarge) => Err(fault("larger than 4 MiB: this is not a CA bundle")),
            Ok(Content::EmptyPipe) => Err(fault(Content::READ_ONCE)),
            Err(Unread::Broken(error)) => Err(fault(&error.to_string())),
            Err(Unread::TooLate) => {
                Err(Fault::Timeout(format!("CA bundle {}: {}", path.display(), Unread::WHY)))
            }
        }
    }

    /// The pod's own namespace, from the mount.
    pub fn namespace(&self) -> Result<String, Fault> {
        let unknown = |why: String| {
            Fault::Setup(format!("no namespace known: {why}; set it with -n NAMESPACE or \"in NAMESPACE\""))
        };
        let path = self.mount.join("namespace");
        // A namespace comes last, when the time may be over; no pipe has it.
        let content = match read(&path, LARGEST_NAMESPACE, Deadline::after(NAMESPACE_PATIENCE)) {
            Ok(Content::Whole(content)) => content,
            Ok(Content::TooLarge | Content::EmptyPipe) => Vec::new(),
            Err(Unread::Broken(error)) => return Err(unknown(format!("{}: {error}", path.display()))),
            Err(Unread::TooLate) => return Err(unknown(format!("{}: {}", path.display(), Unread::WHY))),
        };
        let text = String::from_utf8(content).unwrap_or_default();
        let name = text.trim();
        match permission::namespace_fault(name) {
            None => Ok(name.to_owned()),
            Some(_) => Err(unknown(format!("{} does not hold a namespace name", path.display()))),
        }
    }

    fn need_mount(&self) -> Result<(), Fault> {
        match fs::metadata(&self.mount) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let why = self.source.advice().unwrap_or_else(|| {
                    "the pod or its service account sets automountServiceAccountToken: false, or this is not a pod (then \
                     set --server, --certificate-authority and --token-file)"
                        .into()
                });
                Err(Fault::Setup(format!("no service account mount at {}: {why}", self.mount.display())))
            }
            _ => Ok(()),
        }
    }
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
            ("https://10.0.0.256", "IPv4"),
            ("https://a..b", "host name"),
        ] {
            let why = Server::parse(url).unwrap_err();
            assert!(why.contains(reason), "{url}: {why}");
        }
    }

    #[test]
    fn injected_variables() {
        let server = |host: Option<&str>, port: Option<&str>| {
            let (host, port) = (host.map(str::to_owned), port.map(str::to_owned));
            Server::from_variables(&ServiceVariables { host, port, hostname: None })
        };
        for (host, port, url) in [
            ("10.96.0.1", "443", "https://10.96.0.1:443"),
            ("fd00::1", "443", "https://[fd00::1]:443"),
            ("[fd00::1]", "6443", "https://[fd00::1]:6443"),
            ("api.example.com", "443", "https://api.example.com:443"),
            ("api.example.com.", "443", "https://api.example.com.:443"),
            ("a_b", "1", "https://a_b:1"),
        ] {
            let (found, origin) = server(Some(host), Some(port)).unwrap();
            assert_eq!((found.to_string(), origin), (url.to_owned(), Origin::Variables));
        }
        for (host, port) in
            [(None, None), (Some("10.96.0.1"), None), (None, Some("443")), (Some(""), Some("443"))]
        {
            let (found, origin) = server(host, port).unwrap();
            assert_eq!(found.to_string(), "https://kubernetes.default.svc.cluster.local:443");
            assert_eq!(origin, Origin::Default);
        }
        let long = "a".repeat(64);
        for (host, port, variable, why) in [
            ("10.0.0.256", "443", "HOST \"10.0.0.256\"", "not an IPv4 address"),
            ("10.0.0", "443", "HOST", "not an IPv4 address"),
            ("10.0.0.1.2", "443", "HOST", "not an IPv4 address"),
            ("010.0.0.1", "443", "HOST", "not an IPv4 address"),
            ("https://10.0.0.1", "443", "HOST \"https://10.0.0.1\"", "scheme"),
            ("tcp://10.0.0.1:443", "443", "HOST", "scheme"),
            ("10.0.0.1:443", "443", "HOST", "KUBERNETES_SERVICE_PORT"),
            ("[fd00::1]:443", "443", "HOST", "KUBERNETES_SERVICE_PORT"),
            ("fd00::zz", "443", "HOST", "IPv6"),
            ("[fd00::1", "443", "HOST", "not closed"),
            ("10.0.0.1 ", "443", "HOST", "spaces"),
            ("10.0.0.1\n", "443", "HOST \"10.0.0.1\\n\"", "line breaks"),
            ("a b", "443", "HOST", "not a host name"),
            ("a..b", "443", "HOST", "not a host name"),
            ("-a", "443", "HOST", "not a host name"),
            (&long, "443", "HOST", "not a host name"),
            ("$(HOST)", "443", "HOST", "not a host name"),
            ("10.0.0.1", "", "PORT \"\"", "empty"),
            ("10.0.0.1", "tcp://10.0.0.5:80", "PORT \"tcp://10.0.0.5:80\"", "enableServiceLinks: false"),
            ("10.0.0.1", "udp://10.0.0.5:80", "PORT", "kubernetes-service"),
            ("10.0.0.1", "https", "PORT", "between 1 and 65535"),
            ("10.0.0.1", "0", "PORT", "between 1 and 65535"),
            ("10.0.0.1", "65536", "PORT", "between 1 and 65535"),
            ("10.0.0.1", "443 ", "PORT", "between 1 and 65535"),
            ("10.0.0.1", "-1", "PORT", "between 1 and 65535"),
        ] {
            let Err(Fault::Setup(text)) = server(Some(host), Some(port)) else { panic!("{host} {port}") };
            assert!(text.starts_with(&format!("KUBERNETES_SERVICE_{variable}")), "{text}");
            assert!(text.contains(why) && text.lines().count() == 1, "{why} is not in {text}");
        }
    }
}
