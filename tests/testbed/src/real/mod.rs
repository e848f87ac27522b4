//! A real cluster without nodes: etcd and kube-apiserver from the folder that `KUBEBUILDER_ASSETS` names, with
//! RBAC, on loopback. It is a [`World`] like the stand-in cluster, so a scenario runs on both. Knows nothing
//! about kubeknock.

mod cases;
pub mod keys;
mod process;

pub use cases::{Case, run, say};

use std::cell::Cell;
use std::env;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Client, Credential};
use crate::cluster::ISSUER;
use crate::world::World;
use keys::{ServerKeys, TokenKey};
use process::Process;

/// The longest time to wait for anything here.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

const ADMIN_TOKEN: &str = "the-admin-of-this-test";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// The namespace of the Role that [`RealCluster::settle`] watches.
const SETTLE_NAMESPACE: &str = "kube-system";

/// A running API server and its etcd. When this is dropped, both end and their folder is removed.
pub struct RealCluster {
    apiserver: Option<Process>,
    etcd: Option<Process>,
    admin: Client,
    token_key: TokenKey,
    ca: String,
    port: u16,
    etcd_port: u16,
    options: Vec<String>,
    settled: Cell<u32>,
    assets: PathBuf,
    folder: TempDir,
}

impl RealCluster {
    /// The folder with `etcd`, `kube-apiserver` and `kubectl`, if `KUBEBUILDER_ASSETS` names one.
    pub fn assets() -> Option<PathBuf> {
        env::var_os("KUBEBUILDER_ASSETS").filter(|folder| !folder.is_empty()).map(PathBuf::from)
    }

    /// A cluster with the default settings. Returns when `/readyz` is 200.
    ///
    /// # Panics
    /// Without [`RealCluster::assets`], or if it is not ready in time (with the last lines of the servers'
    /// logs).
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same, with more options for kube-apiserver, such as `--anonymous-auth=false`.
    pub fn start_with(options: &[&str]) -> Self {
        Self::start_as(ServerKeys::generate(), options)
    }

    /// The same, with these keys and options.
    pub fn start_as(keys: ServerKeys, options: &[&str]) -> Self {
        let assets = Self::assets().expect("KUBEBUILDER_ASSETS names a folder");
        let folder =
            tempfile::Builder::new().prefix("kubeknock-real-").tempdir().expect("a temporary folder");
        let token_key = TokenKey::generate();
        for (name, content) in [
            ("server.crt", keys.certificate),
            ("server.key", keys.key),
            ("tokens.key", token_key.private_pem()),
            ("tokens.pub", token_key.public_pem()),
            ("admins.csv", format!("{ADMIN_TOKEN},admin,admin,system:masters\n")),
        ] {
            fs::write(folder.path().join(name), content).expect("write a key");
        }
        let mut cluster = RealCluster {
            apiserver: None,
            etcd: None,
            admin: admin(0, &keys.ca),
            token_key,
            ca: keys.ca,
            port: 0,
            etcd_port: 0,
            options: options.iter().map(|&option| option.to_owned()).collect(),
            settled: Cell::new(0),
            assets,
            folder,
        };
        on_a_free_port("etcd", |port| cluster.start_etcd(port));
        on_a_free_port("kube-apiserver", |port| cluster.start_apiserver(port));
        cluster.prepare_to_settle();
        cluster
    }

    /// Stops the API server: connections are refused.
    pub fn stop_apiserver(&mut self) {
        self.apiserver = None;
    }

    /// Starts the API server again, on the same port and the same data; ready when this returns.
    pub fn restart_apiserver(&mut self) {
        self.stop_apiserver();
        self.start_apiserver(self.port)
            .unwrap_or_else(|log| panic!("kube-apiserver did not restart:\n{log}"));
    }

    /// Kills etcd. Returns when the API server's `/readyz` is 500.
    pub fn stop_etcd(&mut self) {
        self.etcd = None;
        self.await_answer("/readyz", |status, _| status == 500);
    }

    /// Freezes the API server: the kernel accepts connections, and no answer comes.
    pub fn freeze_apiserver(&self) {
        self.apiserver.as_ref().expect("the API server runs").freeze();
    }

    /// The process id of the API server.
    pub fn apiserver_pid(&self) -> u32 {
        self.apiserver.as_ref().expect("the API server runs").id()
    }

    /// Lets a frozen API server continue.
    pub fn thaw_apiserver(&self) {
        self.apiserver.as_ref().expect("the API server runs").thaw();
    }

    /// Freezes etcd: the API server answers only what it can answer without etcd.
    pub fn freeze_etcd(&self) {
        self.etcd.as_ref().expect("etcd runs").freeze();
    }

    /// The kubectl in the assets folder.
    pub fn kubectl(&self) -> PathBuf {
        self.assets.join("kubectl")
    }

    /// Runs a line in a shell in which `kubectl` is the administrator's.
    ///
    /// # Errors
    /// The stderr of the line, if it failed.
    pub fn types(&self, line: &str) -> Result<String, String> {
        let config = self.folder.path().join("kubeconfig");
        let content = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "admin",
            "contexts": [{"name": "admin", "context": {"cluster": "real", "user": "admin"}}],
            "clusters": [{"name": "real", "cluster": {
                "server": self.server(),
                "certificate-authority-data": STANDARD.encode(&self.ca),
            }}],
            "users": [{"name": "admin", "user": {"token": ADMIN_TOKEN}}],
        });
        fs::write(&config, content.to_string()).expect("write a kubeconfig");
        let output = Command::new("/bin/sh")
            .args(["-c", line])
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", self.assets.display()))
            .env("HOME", self.folder.path())
            .env("KUBECONFIG", config)
            .output()
            .expect("run a shell");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// A token for `audiences` (none: the API server itself) that is valid for `seconds` (the server requires
    /// at least 600), by `TokenRequest`.
    pub fn token_for(
        &self,
        namespace: &str,
        service_account: &str,
        seconds: u32,
        audiences: &[&str],
    ) -> String {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token");
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": audiences, "expirationSeconds": seconds},
        });
        let (status, answer) = self.ask("POST", &path, &request);
        assert_eq!(status, 201, "POST {path}: {answer}");
        answer["status"]["token"].as_str().expect("status.token").to_owned()
    }

    /// A token that expired an hour ago.
    pub fn expired_token(&self, namespace: &str, service_account: &str) -> String {
        self.token_key.resign(&self.token(namespace, service_account), |claims| {
            for claim in ["iat", "nbf", "exp"] {
                let time = claims[claim].as_i64().expect("a time");
                claims[claim] = json!(time - 2 * 3600);
            }
        })
    }

    /// A token of a service account that was created for this and deleted. Returns when the API server knows
    /// that the account is gone.
    pub fn orphan_token(&self, namespace: &str, service_account: &str) -> String {
        self.service_account(namespace, service_account);
        // The API server's token cache keeps an accepted token for 10 s, so each token is used once.
        let mut tokens: Vec<_> = (0..50).map(|_| self.token(namespace, service_account)).collect();
        self.delete(&format!("/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}"));
        while let (Some(token), false) = (tokens.pop(), tokens.is_empty()) {
            let as_the_orphan = Client::new(&self.server(), &self.ca, Credential::Bearer(token));
            if status(&as_the_orphan, "/api") == Some(401) {
                break;
            }
            thread::sleep(POLL);
        }
        tokens.pop().expect("a token that was not shown yet")
    }

    /// Asks for `path` as the administrator until `is_it` accepts status and body.
    ///
    /// # Panics
    /// If that takes more than a minute.
    pub fn await_answer(&self, path: &str, is_it: impl Fn(u16, &str) -> bool) {
        let start = Instant::now();
        loop {
            let (status, body) = self.ask_for_text("GET", path, &Value::Null);
            if is_it(status, &body) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "GET {path} stays {status}: {body}");
            thread::sleep(POLL);
        }
    }

    /// Creates a namespaced custom resource with a status subresource and these `names` (as in the spec of the
    /// definition). Returns when the API server serves it.
    pub fn custom_resource(&self, group: &str, names: &Value) {
        let plural = names["plural"].as_str().expect("a plural");
        self.create(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            json!({
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": format!("{plural}.{group}")},
                "spec": {
                    "group": group,
                    "scope": "Namespaced",
                    "names": names,
                    "versions": [{
                        "name": "v1",
                        "served": true,
                        "storage": true,
                        "schema": {"openAPIV3Schema": {"type": "object"}},
                        "subresources": {"status": {}},
                    }],
                },
            }),
        );
        self.await_answer("/apis", |status, body| status == 200 && body.contains(&format!("\"{group}\"")));
        self.await_answer(&format!("/apis/{group}/v1"), |status, body| {
            status == 200 && body.contains(&format!("{plural}/status"))
        });
        self.await_answer(&format!("/apis/{group}/v1/{plural}"), |status, _| status == 200);
    }

    fn start_etcd(&mut self, port: u16) -> Result<(), String> {
        let client = format!("http://127.0.0.1:{port}");
        let etcd = Process::start(
            &self.assets.join("etcd"),
            &[
                "--name=only".to_owned(),
                format!("--data-dir={}", self.path("etcd")),
                format!("--listen-client-urls={client}"),
                format!("--advertise-client-urls={client}"),
                // A single member has no peers; the kernel chooses this port.
                "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
            ],
            self.folder.path().join("etcd.log"),
        );
        self.etcd_port = port;
        await_ready(self.etcd.insert(etcd), || TcpStream::connect(("127.0.0.1", port)).is_ok())
    }

    fn start_apiserver(&mut self, port: u16) -> Result<(), String> {
        let mut arguments = vec![
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={port}"),
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            format!("--tls-cert-file={}", self.path("server.crt")),
            format!("--tls-private-key-file={}", self.path("server.key")),
            format!("--token-auth-file={}", self.path("admins.csv")),
            format!("--service-account-issuer={ISSUER}"),
            format!("--service-account-signing-key-file={}", self.path("tokens.key")),
            format!("--service-account-key-file={}", self.path("tokens.pub")),
            "--authorization-mode=RBAC".to_owned(),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            // There are no nodes, so pods need no token Secret, and the Service `kubernetes` needs no
            // endpoints.
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
        ];
        arguments.extend(self.options.iter().cloned());
        let log = self.folder.path().join("kube-apiserver.log");
        let apiserver = Process::start(&self.assets.join("kube-apiserver"), &arguments, log);
        self.port = port;
        self.admin = admin(port, &self.ca);
        let admin = &self.admin;
        await_ready(self.apiserver.insert(apiserver), || {
            TcpStream::connect(("127.0.0.1", port)).is_ok() && status(admin, "/readyz") == Some(200)
        })
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("a temporary folder in UTF-8").to_owned()
    }

    fn ask(&self, method: &str, path: &str, object: &Value) -> (u16, Value) {
        let (status, body) = self.ask_for_text(method, path, object);
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    fn ask_for_text(&self, method: &str, path: &str, object: &Value) -> (u16, String) {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let body = if object.is_null() { String::new() } else { object.to_string() };
        let reply = self.admin.request(method, path, &[("Content-Type", kind)], body.as_bytes());
        let (status, _, body) = reply.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    /// The roles and bindings that [`RealCluster::settle`] changes.
    fn prepare_to_settle(&self) {
        self.namespace(SETTLE_NAMESPACE);
        for (scope, prefix) in
            [(format!("{RBAC}/namespaces/{SETTLE_NAMESPACE}"), ""), (RBAC.to_owned(), "Cluster")]
        {
            let lower = prefix.to_lowercase();
            let object = |kind: &str, more: Value| {
                let mut object = json!({
                    "apiVersion": "rbac.authorization.k8s.io/v1",
                    "kind": format!("{prefix}{kind}"),
                    "metadata": {"name": "settle"},
                });
                object
                    .as_object_mut()
                    .expect("an object")
                    .append(&mut more.as_object().expect("more").clone());
                object
            };
            let role = object("Role", json!({"rules": []}));
            let binding = object(
                "RoleBinding",
                json!({"roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": format!("{prefix}Role"),
                    "name": "settle",
                }}),
            );
            for (plural, object) in [("roles", role), ("rolebindings", binding)] {
                let path = format!("{scope}/{lower}{plural}");
                let (status, answer) = self.ask("POST", &path, &object);
                assert_eq!(status, 201, "POST {path}: {answer}");
            }
        }
    }

    /// Returns when the authorizer knows every role and binding that has been written so far.
    ///
    /// The authorizer follows etcd with one watch each for roles, bindings, cluster roles and cluster bindings,
    /// in order. So the last change in each of them grants a permission, which is asked for until it is
    /// allowed.
    fn settle(&self) {
        let mark = format!("mark-{}", self.settled.replace(self.settled.get() + 1));
        let rules = json!({"rules": [
            {"apiGroups": [""], "resources": ["marks"], "resourceNames": [mark], "verbs": ["get"]},
        ]});
        let subjects = json!({"subjects": [
            {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": mark},
        ]});
        for (scope, prefix, namespace) in [
            (format!("{RBAC}/namespaces/{SETTLE_NAMESPACE}"), "", SETTLE_NAMESPACE),
            (RBAC.to_owned(), "cluster", ""),
        ] {
            for (plural, change) in [("roles", &rules), ("rolebindings", &subjects)] {
                let path = format!("{scope}/{prefix}{plural}/settle");
                let (status, answer) = self.ask("PATCH", &path, change);
                assert_eq!(status, 200, "PATCH {path}: {answer}");
            }
            let review = json!({
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "spec": {"user": mark, "resourceAttributes":
                    {"namespace": namespace, "verb": "get", "resource": "marks", "name": mark}},
            });
            let start = Instant::now();
            while self.ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", &review).1["status"]
                ["allowed"]
                != json!(true)
            {
                assert!(start.elapsed() < PATIENCE, "the authorizer does not follow");
                thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

impl World for RealCluster {
    fn server(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    fn ca_pem(&self) -> String {
        self.ca.clone()
    }

    fn token(&self, namespace: &str, service_account: &str) -> String {
        self.token_for(namespace, service_account, 3600, &[])
    }

    /// Returns when a role or binding is in force.
    fn create(&self, path: &str, object: Value) {
        let (status, answer) = self.ask("POST", path, &object);
        assert!(matches!(status, 201 | 409), "POST {path}: {status}: {answer}");
        if path.starts_with(RBAC) {
            self.settle();
        }
    }

    /// Returns when a role or binding is no longer in force.
    fn delete(&self, path: &str) {
        let (status, answer) = self.ask("DELETE", path, &Value::Null);
        assert!(matches!(status, 200 | 202 | 404), "DELETE {path}: {status}: {answer}");
        if path.starts_with(RBAC) {
            self.settle();
        }
    }
}

fn admin(port: u16, ca: &str) -> Client {
    Client::new(&format!("https://127.0.0.1:{port}"), ca, Credential::Bearer(ADMIN_TOKEN.to_owned()))
}

/// The status of a GET. `None`: no answer.
fn status(client: &Client, path: &str) -> Option<u16> {
    client.request("GET", path, &[], b"").ok().map(|(status, _, _)| status)
}

/// Starts a server on a free port; on another one if a different process took the port first.
fn on_a_free_port(name: &str, mut start: impl FnMut(u16) -> Result<(), String>) {
    let mut log = String::new();
    for _ in 0..3 {
        let free =
            TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        match start(free.port()) {
            Ok(()) => return,
            Err(ended) => log = ended,
        }
        if !log.contains("address already in use") {
            break;
        }
    }
    panic!("{name} did not start:\n{log}");
}

/// Polls until `is_ready`. The error is the server's log: the server ended, or the time is up.
fn await_ready(server: &mut Process, is_ready: impl Fn() -> bool) -> Result<(), String> {
    let start = Instant::now();
    loop {
        // Checked first: after the server has ended, another process may answer on its port.
        if let Some(log) = server.has_ended() {
            return Err(log);
        }
        if is_ready() {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            return Err(format!("not ready after {PATIENCE:?}:\n{}", server.log()));
        }
        thread::sleep(POLL);
    }
}
