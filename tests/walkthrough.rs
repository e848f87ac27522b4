//! The tutorial, end to end: `cargo run --example walkthrough`.
//!
//! A service account asks for the pods of its namespace, is refused, is granted a role, and is allowed; each
//! step runs the built binary, over TLS, against the stand-in cluster. With `KUBEBUILDER_ASSETS` set (see
//! `.ci/kube-assets`) the cluster is a real etcd and kube-apiserver. `KUBEKNOCK_BINARY` names another binary to
//! run, such as the static one.
//!
//! Exits with 0 only if every step gave what the tutorial says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "an example prints, and panics as tests do"
)]

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use tempfile::TempDir;
use testbed::{Cluster, RealCluster, World, rbac_path};

const NAMESPACE: &str = "ns-1";
const ACCOUNT: &str = "k-sa-1";
const USER: &str = "system:serviceaccount:ns-1:k-sa-1";
const PODS: &str = "/api/v1/namespaces/ns-1/pods";

fn main() -> ExitCode {
    let binary = binary();
    let good = if RealCluster::assets().is_some() {
        println!("Starting a real etcd and kube-apiserver …\n");
        walk(&RealCluster::start(), "a real kube-apiserver", &binary)
    } else {
        walk(&Cluster::start(), "a stand-in API server in this process", &binary)
    };
    if good {
        println!("All six steps went as the tutorial says.");
        ExitCode::SUCCESS
    } else {
        println!("NOT as the tutorial says: see the lines marked ✗ above.");
        ExitCode::FAILURE
    }
}

/// The six steps. True if each gave what the tutorial says.
fn walk(world: &impl World, kind: &str, binary: &Path) -> bool {
    world.namespace(NAMESPACE);
    world.service_account(NAMESPACE, ACCOUNT);
    let mut pod = Pod::of(world, binary);
    println!(
        "What may a pod do? Seen from inside one, as service account {ACCOUNT} of namespace {NAMESPACE}.\n"
    );
    println!("  API server  {}, {kind}", world.server());
    println!("  In the pod  KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT, as in every pod");
    println!("  Its mount   {} (token, ca.crt, namespace)", pod.mount.path().display());
    println!("              Each command also gets --service-account-dir with this folder. In a real pod");
    println!("              it lies where kubeknock looks by itself, and the lines run as they are shown.\n");

    step(1, "Is the API server there?", "/version is public: it needs no token, and proves none.");
    pod.runs(&["get", "/version", "--anonymous"], 0, &["\"gitVersion\": \"v1."]);
    changed("nothing. The server is there, and by the ca.crt of the mount it is the right one.");

    step(2, "May anybody list the pods?", "The request, without the token.");
    pod.runs(&["get", PODS, "--anonymous"], 12, &["\"code\":403", "system:anonymous", "cannot list"]);
    changed("200 became 403. A request without a token is system:anonymous.");

    step(3, "May this pod?", "The same request, with the pod's token.");
    pod.runs(&["get", PODS], 10, &["\"code\":403", USER, "cannot list"]);
    changed("the user in the 403. The token is good; the permission is missing.");
    println!("   Both knocks in one command, and what would help:\n");
    pod.runs(
        &["check", "list pods"],
        10,
        &[
            "anonymous 403",
            "token 403",
            "forbidden (10)",
            "kubectl create role ",
            "--serviceaccount=ns-1:k-sa-1",
        ],
    );

    step(4, "Grant it.", "A role, and its binding to the service account:");
    println!("   $ kubectl create role pod-lister --verb=list --resource=pods -n ns-1");
    println!("   $ kubectl create rolebinding pod-lister-binding --role=pod-lister \\");
    println!("       --serviceaccount=ns-1:k-sa-1 -n ns-1\n");
    world.role(NAMESPACE, "pod-lister", &["list"], "", &["pods"]);
    world.role_binding(NAMESPACE, "pod-lister-binding", "pod-lister", NAMESPACE, ACCOUNT);
    changed("the cluster has both objects (made here through the API, as kubectl does).");

    step(5, "And now?", "The same request again, and the same check.");
    pod.runs(&["get", PODS], 0, &["\"kind\":\"PodList\"", "\"items\":"]);
    pod.runs(&["check", "list pods"], 0, &["anonymous 403", "token 200", "ok (0)"]);
    changed("403 became 200, for the token only: the role did it.");

    step(6, "Elsewhere?", "The namespace default: nothing was granted there.");
    pod.runs(&["get", "/api/v1/namespaces/default/pods"], 10, &["\"code\":403", USER, "\\\"default\\\""]);
    pod.runs(&["check", "list pods in default"], 10, &["token 403", "forbidden (10)"]);
    changed("only the namespace: a Role ends where its namespace ends.");

    world.delete(&format!("{}/pod-lister-binding", rbac_path(NAMESPACE, "rolebindings")));
    world.delete(&format!("{}/pod-lister", rbac_path(NAMESPACE, "roles")));
    pod.good
}

fn step(number: u32, title: &str, about: &str) {
    println!("── {number} of 6 ── {title}\n\n   {about}\n");
}

fn changed(what: &str) {
    println!("   Changed: {what}\n");
}

/// A pod of the service account, as kubeknock sees it.
struct Pod<'a> {
    binary: &'a Path,
    mount: TempDir,
    host: String,
    port: String,
    token: String,
    good: bool,
}

impl<'a> Pod<'a> {
    fn of(world: &impl World, binary: &'a Path) -> Self {
        let mount = tempfile::tempdir().expect("a folder for the mount");
        world.mount(mount.path(), NAMESPACE, ACCOUNT);
        let token = std::fs::read_to_string(mount.path().join("token")).expect("a token in the mount");
        let server = world.server();
        let (host, port) = server
            .strip_prefix("https://")
            .and_then(|address| address.rsplit_once(':'))
            .map(|(host, port)| (host.to_owned(), port.to_owned()))
            .expect("https://HOST:PORT");
        Pod { binary, mount, host, port, token, good: true }
    }

    /// Runs one command, shows it, and compares the exit code and the output with the tutorial.
    fn runs(&mut self, arguments: &[&str], code: i32, has: &[&str]) {
        let output = Command::new(self.binary)
            .args(arguments)
            .arg("--service-account-dir")
            .arg(self.mount.path())
            .env_clear()
            .env("KUBERNETES_SERVICE_HOST", &self.host)
            .env("KUBERNETES_SERVICE_PORT", &self.port)
            .output()
            .unwrap_or_else(|error| panic!("run {}: {error}", self.binary.display()));
        let printed =
            [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let shows_token = printed.iter().any(|text| text.contains(&self.token));

        println!("   $ kubeknock {}", typed(arguments));
        for line in printed.iter().flat_map(|text| text.lines()) {
            println!("     {}", line.replace(&self.token, "[the token!]"));
        }
        let got = output.status.code();
        println!(
            "   $ echo $?\n     {}",
            got.map_or_else(|| output.status.to_string(), |code| code.to_string())
        );

        let mut faults = Vec::new();
        if got != Some(code) {
            faults.push(format!("the tutorial says exit code {code}"));
        }
        // Some API servers indent their JSON.
        let plain = |text: &str| text.replace("\": ", "\":");
        let printed = plain(&printed.concat());
        for text in has {
            if !printed.contains(&plain(text)) {
                faults.push(format!("the tutorial says that the output has: {text}"));
            }
        }
        if shows_token {
            faults.push("the token was shown".to_owned());
        }
        for fault in &faults {
            println!("   ✗ {fault}");
        }
        println!();
        self.good &= faults.is_empty();
    }
}

/// The arguments of a command as a person types them.
fn typed(arguments: &[&str]) -> String {
    let quoted = |word: &&str| if word.contains(' ') { format!("{word:?}") } else { (*word).to_owned() };
    arguments.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// The binary of the same build as this example, built if needed: cargo builds no binaries for examples.
fn binary() -> PathBuf {
    if let Some(binary) = env::var_os("KUBEKNOCK_BINARY").filter(|binary| !binary.is_empty()) {
        return std::path::absolute(PathBuf::from(binary)).expect("the path of a binary");
    }
    // TARGET_DIR[/TRIPLE]/PROFILE/examples/walkthrough; only the first of these folders is tagged as a cache.
    let own = env::current_exe().expect("the path of this example");
    let profile_dir = own.parent().and_then(Path::parent).expect("a folder above examples/");
    let above = profile_dir.parent().expect("a target folder");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--bin", "kubeknock", "--manifest-path"]);
    cargo.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    match profile_dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => {}
        Some(profile) => drop(cargo.args(["--profile", profile])),
    }
    if above.join("CACHEDIR.TAG").exists() {
        cargo.arg("--target-dir").arg(above);
    } else {
        cargo.arg("--target-dir").arg(above.parent().expect("a target folder"));
        cargo.arg("--target").arg(above.file_name().expect("a target triple"));
    }
    let status = cargo.status().expect("run cargo");
    assert!(status.success(), "cargo could not build kubeknock: {status}");
    profile_dir.join("kubeknock")
}
