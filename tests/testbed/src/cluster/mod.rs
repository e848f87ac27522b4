//! The stand-in cluster: an API server inside the test's own process, with real TLS, real HTTP, and RBAC
//! decided from stored objects. It answers as recorded kube-apiservers do (the test `stand_in` compares them),
//! and fails on request.

mod answers;
mod discovery;
mod protobuf;
mod rbac;
mod request;
mod reviews;
mod route;
mod server;
mod storage;
mod token;

pub use discovery::custom_resource_definition;
pub use token::{ISSUER, TokenSpec};

use crate::audit::Event;
use crate::certificates::{Authority, SERVER_NAMES};
use crate::world::World;
use discovery::Discovery;
use rbac::User;
use route::{Rule, State};
use serde_json::{Value, json};
use server::{Manner, Running, Shared};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use storage::Storage;
use token::{Tokens, hex};
use tokio_rustls::rustls::crypto::ring::Ticketer;
use tokio_rustls::rustls::server::NoServerSessionStorage;
use tokio_rustls::rustls::{ServerConfig, version};

/// The kube-apiserver version that the stand-in imitates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 1.36.2, with aggregated discovery and `SelfSubjectReview`.
    V1_36,
    /// 1.20.2, which has neither.
    V1_20,
}

/// A request as the server received it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The method, such as `GET`.
    pub method: String,
    /// The path and query, such as `/api/v1/pods?limit=1`.
    pub path_and_query: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// All headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The number of its connection since the (re)start, counted from 1.
    pub connection: usize,
    /// The body.
    pub body: Vec<u8>,
}

impl Seen {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A failure that a test asks the server for.
#[derive(Clone, Debug)]
pub enum Fault {
    /// 429 with a text body, after authentication.
    TooManyRequests {
        /// The `Retry-After` header, in seconds.
        retry_after: u32,
    },
    /// 503 Status with `Retry-After: 5`, after authentication.
    Unavailable,
    /// 500 with a text body, after authentication, as when the authorizer fails.
    InternalError,
    /// Any answer, given before the request reaches the API server.
    Raw {
        /// HTTP status code.
        status: u16,
        /// `Content-Type`; an empty string is none.
        content_type: String,
        /// Body.
        body: Vec<u8>,
        /// Further headers.
        headers: Vec<(String, String)>,
    },
    /// The request is never answered.
    Hang,
    /// The connection is closed without an answer.
    HangUp,
}

impl Fault {
    /// An answer as a proxy before the API server gives it.
    pub fn raw(status: u16, content_type: &str, body: &str) -> Self {
        let (content_type, body) = (content_type.to_owned(), body.as_bytes().to_vec());
        Self::Raw { status, content_type, body, headers: Vec::new() }
    }

    /// Whether it happens before the API server looks at the credentials.
    fn is_in_front(&self) -> bool {
        matches!(self, Self::Raw { .. } | Self::Hang | Self::HangUp)
    }
}

/// How many requests a fault affects.
#[derive(Clone, Copy, Debug)]
pub enum Times {
    /// This many of the next requests.
    Next(usize),
    /// All requests until [`Cluster::heal`].
    All,
}

/// A cluster that is not started yet.
#[derive(Clone, Debug)]
pub struct Builder {
    version: Version,
    anonymous: bool,
    proxied_user: Option<String>,
    listen: String,
    tls: Tls,
}

/// Which TLS a server speaks, and how its sessions are resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Whatever there is, by tickets.
    Any,
    /// 1.2 alone, by session ids.
    V1_2WithIds,
    /// 1.2 alone, by tickets.
    V1_2WithTickets,
}

impl Builder {
    /// Sets the TLS version and how sessions resume; the default is any.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// Sets the server version; the default is 1.36.
    #[must_use]
    pub fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// Whether requests without a token are served as `system:anonymous` (the default) or get a 401.
    #[must_use]
    pub fn anonymous_auth(mut self, on: bool) -> Self {
        self.anonymous = on;
        self
    }

    /// Serves plain `http://`, as `kubectl proxy` does: every request comes as this user (`kubernetes-admin`
    /// may do everything).
    #[must_use]
    pub fn plain_http(mut self, user: &str) -> Self {
        self.proxied_user = Some(user.to_owned());
        self
    }

    /// Sets the address, such as `[::1]:0`; the default is `127.0.0.1:0`. Port 0 is any free port.
    #[must_use]
    pub fn listen(mut self, address: &str) -> Self {
        address.clone_into(&mut self.listen);
        self
    }

    /// Starts the cluster.
    ///
    /// # Panics
    /// If the address cannot be listened on.
    pub fn start(self) -> Cluster {
        let listener = TcpListener::bind(&self.listen).unwrap();
        let address = listener.local_addr().unwrap();
        let old = self.version == Version::V1_20;
        let mut storage = Storage::new();
        rbac::install_defaults(&mut storage, old);
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            let namespace = json!({
                "kind": "Namespace", "apiVersion": "v1", "metadata": { "name": name },
                "status": { "phase": "Active" },
            });
            storage.put("", "namespaces", "", namespace);
        }
        let state = State {
            old,
            storage,
            tokens: Tokens::default(),
            discovery: Discovery::new(old),
            admin_token: hex(16),
            proxied_user: self.proxied_user.clone(),
            anonymous: self.anonymous,
            strip_token: false,
            faults: Vec::new(),
            audited: Vec::new(),
            address: address.to_string(),
        };
        let admin_token = state.admin_token.clone();
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            seen: Mutex::default(),
            arrival: Condvar::new(),
            manner: Mutex::new(Manner::default()),
            connections: AtomicUsize::new(0),
            handshakes: AtomicUsize::new(0),
            resumptions: AtomicUsize::new(0),
            talks: Mutex::default(),
        });
        let (authority, running) = (Authority::new(), None);
        let mut cluster = Cluster { built: self, authority, address, admin_token, shared, running };
        cluster.serve(listener);
        cluster
    }
}

/// The stand-in cluster. It stops when it is dropped.
pub struct Cluster {
    built: Builder,
    authority: Authority,
    address: SocketAddr,
    admin_token: String,
    shared: Arc<Shared>,
    running: Option<Running>,
}

impl Cluster {
    /// Starts a cluster with the defaults: 1.36, TLS, anonymous requests allowed.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// A cluster with other settings.
    pub fn builder() -> Builder {
        Builder {
            version: Version::V1_36,
            anonymous: true,
            proxied_user: None,
            listen: "127.0.0.1:0".to_owned(),
            tls: Tls::Any,
        }
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests in the order they came, since the start or [`Cluster::forget`].
    pub fn requests(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The number of requests.
    pub fn request_count(&self) -> usize {
        self.shared.seen.lock().unwrap().len()
    }

    /// Waits until there are this many requests, and returns them.
    ///
    /// # Panics
    /// If they do not come within 20 seconds.
    pub fn wait_for_requests(&self, count: usize) -> Vec<Seen> {
        let (limit, begin) = (Duration::from_secs(20), Instant::now());
        let seen = self.shared.seen.lock().unwrap();
        let seen = self.shared.arrival.wait_timeout_while(seen, limit, |seen| seen.len() < count).unwrap().0;
        assert!(seen.len() >= count, "{} requests of {count} within {:?}", seen.len(), begin.elapsed());
        seen.clone()
    }

    /// What an audit log records of the requests with this `User-Agent`.
    pub fn audited(&self, agent: &str) -> Vec<Event> {
        let is_it = |seen: &Seen| seen.header("user-agent") == Some(agent);
        assert!(self.requests().iter().all(is_it), "another User-Agent than {agent}");
        self.shared.state().audited.clone()
    }

    /// Forgets all requests, and sets the counters to 0.
    pub fn forget(&self) {
        self.shared.seen.lock().unwrap().clear();
        self.shared.state().audited.clear();
        self.shared.connections.store(0, Ordering::SeqCst);
        self.shared.handshakes.store(0, Ordering::SeqCst);
        self.shared.resumptions.store(0, Ordering::SeqCst);
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many TLS handshakes were completed.
    pub fn handshakes(&self) -> usize {
        self.shared.handshakes.load(Ordering::SeqCst)
    }

    /// How many handshakes resumed a session.
    pub fn resumptions(&self) -> usize {
        self.shared.resumptions.load(Ordering::SeqCst)
    }

    /// A token as specified, valid or not.
    ///
    /// # Panics
    /// If there is no such service account.
    pub fn token_with(&self, spec: &TokenSpec) -> String {
        let mut state = self.shared.state();
        let State { tokens, storage, .. } = &mut *state;
        tokens.issue(storage, spec)
    }

    /// A bearer token of the group `system:masters`, for kubectl.
    pub fn admin_token(&self) -> &str {
        &self.admin_token
    }

    /// Creates a `CustomResourceDefinition`: `scope` is `Namespaced` or `Cluster`.
    pub fn custom_resource(&self, group: &str, version: &str, plural: &str, kind: &str, scope: &str) {
        let definition = custom_resource_definition(group, version, plural, kind, scope);
        self.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition);
    }

    /// Lets the next requests, or all, fail in this way.
    pub fn fail(&self, times: Times, fault: Fault) {
        self.fail_if(times, fault, |_| true);
    }

    /// Lets requests that the test selects fail in this way.
    pub fn fail_if(&self, times: Times, fault: Fault, applies: impl Fn(&Seen) -> bool + Send + 'static) {
        let left = match times {
            Times::Next(count) => Some(count),
            Times::All => None,
        };
        self.shared.state().faults.push(Rule { left, fault, applies: Box::new(applies) });
    }

    /// Ends all faults, `Connection: close` and the delay.
    pub fn heal(&self) {
        self.shared.state().faults.clear();
        self.shared.state().strip_token = false;
        *self.shared.manner.lock().unwrap() = Manner::default();
    }

    /// Whether each answer says `Connection: close`.
    pub fn close_connections(&self, on: bool) {
        self.shared.manner.lock().unwrap().close = on;
    }

    /// How long each answer is delayed.
    pub fn delay(&self, delay: Duration) {
        self.shared.manner.lock().unwrap().delay = delay;
    }

    /// Whether requests without a token are served as `system:anonymous` or get a 401.
    pub fn anonymous_auth(&self, on: bool) {
        self.shared.state().anonymous = on;
    }

    /// Whether tokens are lost on the way, so that every request comes as `system:anonymous`.
    pub fn strip_tokens(&self, on: bool) {
        self.shared.state().strip_token = on;
    }

    /// Closes every connection, and serves new ones.
    pub fn hang_up(&self) {
        for talk in self.shared.talks.lock().unwrap().drain(..) {
            talk.abort();
        }
    }

    /// Closes the listener and every connection. Objects and tokens stay.
    pub fn stop(&mut self) {
        self.running = None;
    }

    /// Stops, and starts again on the same port.
    ///
    /// # Panics
    /// If the port cannot be used any more.
    pub fn restart(&mut self) {
        self.stop();
        let listener = TcpListener::bind(self.address).unwrap();
        self.serve(listener);
    }

    /// Restarts with a new CA: a client that trusts only the old one cannot connect any more.
    pub fn rotate_ca(&mut self) {
        self.authority = Authority::new();
        self.restart();
    }

    fn serve(&mut self, listener: TcpListener) {
        let tls = self.built.proxied_user.is_none().then(|| self.tls());
        self.running = Some(server::serve(listener, tls, Arc::clone(&self.shared)));
    }

    /// The TLS settings, with a new key and without earlier sessions.
    fn tls(&self) -> Arc<ServerConfig> {
        let config = self.authority.server(&SERVER_NAMES, false);
        match self.built.tls {
            Tls::Any => config,
            tls @ (Tls::V1_2WithIds | Tls::V1_2WithTickets) => {
                let mut old = ServerConfig::builder_with_provider(Arc::clone(config.crypto_provider()))
                    .with_protocol_versions(&[&version::TLS12])
                    .unwrap()
                    .with_no_client_auth()
                    .with_cert_resolver(Arc::clone(&config.cert_resolver));
                if tls == Tls::V1_2WithTickets {
                    old.session_storage = Arc::new(NoServerSessionStorage {});
                    old.ticketer = Ticketer::new().unwrap();
                }
                Arc::new(old)
            }
        }
    }

    /// Sends a request as the cluster administrator without the network: it is not counted, faults do not
    /// affect it, and it works while the server is stopped.
    fn ask(&self, method: &str, path: &str, body: &[u8]) -> (u16, String) {
        let request = Seen {
            method: method.to_owned(),
            path_and_query: path.to_owned(),
            authorization: None,
            headers: Vec::new(),
            connection: 0,
            body: body.to_vec(),
        };
        let answer = route::serve(&mut self.shared.state(), &User::admin(), &request);
        (answer.status, String::from_utf8_lossy(answer.body()).into_owned())
    }
}

impl World for Cluster {
    fn server(&self) -> String {
        let scheme = if self.built.proxied_user.is_some() { "http" } else { "https" };
        format!("{scheme}://{}", self.address)
    }

    fn ca_pem(&self) -> String {
        self.authority.pem().to_owned()
    }

    fn token(&self, namespace: &str, service_account: &str) -> String {
        self.token_with(&TokenSpec {
            namespace: namespace.to_owned(),
            service_account: service_account.to_owned(),
            pod: Some(format!("{service_account}-pod")),
            ..TokenSpec::default()
        })
    }

    fn create(&self, path: &str, object: Value) {
        let (status, body) = self.ask("POST", path, object.to_string().as_bytes());
        assert!([201, 409].contains(&status), "POST {path}: {status} {body}");
    }

    fn delete(&self, path: &str) {
        let (status, body) = self.ask("DELETE", path, &[]);
        assert!([200, 404].contains(&status), "DELETE {path}: {status} {body}");
    }
}
