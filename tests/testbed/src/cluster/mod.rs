//! The stand-in cluster: an API server inside the test's own process, with real TLS, real HTTP and RBAC
//! decided from real objects. It answers as recorded kube-apiservers do (the test `stand_in` holds it to that),
//! and goes wrong on request.

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

/// Which kube-apiserver the stand-in stands in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 1.36.2: aggregated discovery, `SelfSubjectReview`.
    V1_36,
    /// 1.20.2: neither.
    V1_20,
}

/// A request as the server saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `GET`.
    pub method: String,
    /// `/api/v1/pods?limit=1`.
    pub path_and_query: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// All headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// On which connection since the (re)start, counted from 1.
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

/// What the well-behaved server does wrong when it is told to.
#[derive(Clone, Debug)]
pub enum Fault {
    /// 429 as text, after authentication.
    TooManyRequests {
        /// Seconds.
        retry_after: u32,
    },
    /// 503 Status with `Retry-After: 5`, after authentication.
    Unavailable,
    /// 500 as text, after authentication: the authorizer failed.
    InternalError,
    /// Anything, in front of the API server.
    Raw {
        /// HTTP status code.
        status: u16,
        /// `Content-Type`; none if empty.
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
    /// An answer as a proxy in front of the API server would give it.
    pub fn raw(status: u16, content_type: &str, body: &str) -> Self {
        let (content_type, body) = (content_type.to_owned(), body.as_bytes().to_vec());
        Self::Raw { status, content_type, body, headers: Vec::new() }
    }

    /// Whether it strikes before the API server looks at the credentials.
    fn is_in_front(&self) -> bool {
        matches!(self, Self::Raw { .. } | Self::Hang | Self::HangUp)
    }
}

/// How many requests a fault strikes.
#[derive(Clone, Copy, Debug)]
pub enum Times {
    /// The next so many.
    Next(usize),
    /// All until [`Cluster::heal`].
    All,
}

/// A cluster about to be started.
#[derive(Clone, Debug)]
pub struct Builder {
    version: Version,
    anonymous: bool,
    proxied_user: Option<String>,
    listen: String,
}

impl Builder {
    /// Another server version than 1.36.
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

    /// Plain `http://`, as behind `kubectl proxy`: every request comes as this user (`kubernetes-admin` may
    /// do everything).
    #[must_use]
    pub fn plain_http(mut self, user: &str) -> Self {
        self.proxied_user = Some(user.to_owned());
        self
    }

    /// Another address than `127.0.0.1:0`, such as `[::1]:0`; port 0 is any free one.
    #[must_use]
    pub fn listen(mut self, address: &str) -> Self {
        address.clone_into(&mut self.listen);
        self
    }

    /// Starts it.
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
    /// Starts a cluster as most are: 1.36, TLS, anonymous requests let in.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// A cluster to be set up otherwise.
    pub fn builder() -> Builder {
        Builder {
            version: Version::V1_36,
            anonymous: true,
            proxied_user: None,
            listen: "127.0.0.1:0".to_owned(),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests in the order they came, since the start or [`Cluster::forget`].
    pub fn requests(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Waits until there were so many requests and gives them.
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

    /// What the audit log would have of the requests with this `User-Agent`.
    pub fn audited(&self, agent: &str) -> Vec<Event> {
        let is_it = |seen: &Seen| seen.header("user-agent") == Some(agent);
        assert!(self.requests().iter().all(is_it), "another User-Agent than {agent}");
        self.shared.state().audited.clone()
    }

    /// Forgets requests and counters.
    pub fn forget(&self) {
        self.shared.seen.lock().unwrap().clear();
        self.shared.state().audited.clear();
        self.shared.connections.store(0, Ordering::SeqCst);
        self.shared.handshakes.store(0, Ordering::SeqCst);
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many TLS handshakes were completed.
    pub fn handshakes(&self) -> usize {
        self.shared.handshakes.load(Ordering::SeqCst)
    }

    /// A token as specified, good or bad.
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

    /// Does something wrong with the next requests, or all.
    pub fn fail(&self, times: Times, fault: Fault) {
        self.fail_if(times, fault, |_| true);
    }

    /// Does something wrong with those of the next requests that the test picks.
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

    /// How long each answer is held back.
    pub fn delay(&self, delay: Duration) {
        self.shared.manner.lock().unwrap().delay = delay;
    }

    /// Whether requests without a token are `system:anonymous` or a 401.
    pub fn anonymous_auth(&self, on: bool) {
        self.shared.state().anonymous = on;
    }

    /// Whether tokens are lost on the way, so that everybody is `system:anonymous`.
    pub fn strip_tokens(&self, on: bool) {
        self.shared.state().strip_token = on;
    }

    /// Closes the listener and every connection. Objects and tokens stay.
    pub fn stop(&mut self) {
        self.running = None;
    }

    /// Stops, and starts again on the same port.
    ///
    /// # Panics
    /// If the port cannot be listened on any more.
    pub fn restart(&mut self) {
        self.stop();
        let listener = TcpListener::bind(self.address).unwrap();
        self.serve(listener);
    }

    /// Restarts with a new CA: who trusts only the old one cannot connect any more.
    pub fn rotate_ca(&mut self) {
        self.authority = Authority::new();
        self.restart();
    }

    fn serve(&mut self, listener: TcpListener) {
        let tls = self.built.proxied_user.is_none().then(|| self.authority.server(&SERVER_NAMES, false));
        self.running = Some(server::serve(listener, tls, Arc::clone(&self.shared)));
    }

    /// Asks the API server as cluster admin without the network: not counted, not seen, spared by faults,
    /// and possible while it is stopped.
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
