//! The cost of a check, compared with what it replaces: `just bench`.
//!
//! Side by side in one run, against a real kube-apiserver: one complete check (two knocks), the two curl calls
//! of the tutorial, `kubectl auth can-i`, and as the lower bound a bare rustls client that sends the same two
//! requests from a process that is already running. Then the instructions of a check (callgrind), and how they
//! grow with the number of permissions. Exits with 1 if a limit on a count (memory, instructions) is exceeded;
//! a time above its limit is only reported, because the machine may be busy.
//!
//! Needs `KUBEBUILDER_ASSETS` (see `.ci/kube-assets`), `KUBEKNOCK_BINARY` (the static binary), and curl,
//! valgrind, GNU time and ldd on the machine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "it is there to be read, and panics as tests do"
)]

use std::env;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use tempfile::TempDir;
use testbed::real::keys::ServerKeys;
use testbed::{RealCluster, World};
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use wait4::Wait4 as _;

const RUNS: usize = 50;
const TURN: usize = 10;

const NAMESPACE: &str = "ns-1";
const ACCOUNT: &str = "k-sa-1";
const PODS: &str = "/api/v1/namespaces/ns-1/pods?limit=1";
const ACCEPT: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

fn main() -> ExitCode {
    println!(
        "Medians of {RUNS} runs in turns of {TURN}, after {TURN} to warm up; ratios to the first line.\n"
    );
    let rsa = against("RSA 2048, as kubeadm makes its keys", ServerKeys::generate_rsa());
    let ecdsa = against("ECDSA P-256, as k3s makes its keys", ServerKeys::generate());
    if rsa && ecdsa { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints the tables for a server with these keys. False: a limit is exceeded.
fn against(keys: &str, server_keys: ServerKeys) -> bool {
    let cluster = RealCluster::start_as(server_keys, &[]);
    cluster.namespace(NAMESPACE);
    cluster.service_account(NAMESPACE, ACCOUNT);
    let rule = json!([{ "verbs": ["list"], "apiGroups": [""], "resources": ["pods"] }]);
    cluster.cluster_role("pod-lister", rule);
    cluster.cluster_role_binding("pod-lister", "pod-lister", NAMESPACE, ACCOUNT);
    let pod = Pod::of(&cluster);

    let mut rows = [
        Row::new("kubeknock check", vec![pod.kubeknock(1)]),
        Row::new("curl, twice", pod.curl()),
        Row::new("kubectl auth can-i", vec![pod.kubectl()]),
        Row { what: What::Floor(Floor::new(&cluster)), ..Row::new("rustls, warm process", Vec::new()) },
    ];
    run_in_turns(&mut rows);
    println!("One check, `list pods`, allowed; {}, {keys}\n", pod.server_version());
    println!("{:22} {:>16} {:>16}", "", "CPU ms", "wall ms");
    let [ours, curl, kubectl, floor] = rows.each_ref().map(Row::cost);
    for (row, cost) in rows.iter().zip([ours, curl, kubectl, floor]) {
        println!("{:22} {}", row.name, beside(cost, ours));
    }
    println!();
    let bytes = [size(&pod.binary), size_with_libraries("curl"), size(&cluster.kubectl())];
    let peaks: Vec<u64> = rows[..bytes.len()].iter().map(Row::peak).collect();
    for ((row, peak), bytes) in rows.iter().zip(&peaks).zip(bytes) {
        println!("{:22} {:>10} KiB {:>16} bytes on disk", row.name, grouped(*peak), grouped(bytes));
    }

    let counts = [1, 10, 100];
    let mut growth = counts.map(|count| Row::new("", vec![pod.kubeknock(count)]));
    run_in_turns(&mut growth);
    let instructions = counts.map(|count| pod.instructions(count));
    println!("\nPermissions in one run\n");
    println!("{:22} {:>16} {:>16} {:>16}", "", "CPU ms", "wall ms", "instructions");
    let costs = growth.each_ref().map(Row::cost);
    for ((count, cost), counted) in counts.iter().zip(costs).zip(instructions) {
        println!("{count:22} {} {:>16}", beside(cost, costs[0]), grouped(counted));
    }

    println!("\n{:38} {:>9} {:>9} {:>9}", "", "measured", "limit", "goal");
    let ratio = |one: Duration, other: Duration| one.as_secs_f64() / other.as_secs_f64();
    let million = float(instructions[0]) / 1e6;
    held("CPU, curl's to ours", ratio(curl.cpu, ours.cpu), 10.0, 12.0, Better::More);
    held("CPU, kubectl's to ours", ratio(kubectl.cpu, ours.cpu), 25.0, 35.0, Better::More);
    held("wall, ours to the floor's", ratio(ours.wall, floor.wall), 1.35, 1.25, Better::Less);
    held("CPU, 100 permissions to one", ratio(costs[2].cpu, costs[0].cpu), 30.0, 25.0, Better::Less);
    let counted = [
        held("peak memory, MiB", float(peaks[0]) / 1024.0, 2.0, 1.9, Better::Less),
        held("instructions, million", million, 3.2, 2.5, Better::Less),
    ];
    println!();
    counted.iter().all(|&kept| kept)
}

/// A few runs of each in turn, so that other load on the machine affects all of them.
fn run_in_turns(rows: &mut [Row]) {
    for _ in 0..=RUNS / TURN {
        for row in rows.iter_mut() {
            row.costs.extend((0..TURN).map(|_| row.what.run()));
        }
    }
    for row in rows {
        row.costs.drain(..TURN);
    }
}

/// The cost of one run.
#[derive(Clone, Copy)]
struct Cost {
    /// User and system time of all its processes.
    cpu: Duration,
    /// From the start of the first process to the end of the last.
    wall: Duration,
}

/// One way to ask.
struct Row {
    name: &'static str,
    what: What,
    costs: Vec<Cost>,
}

enum What {
    /// Commands that run one after the other; each must exit with 0.
    Commands(Vec<Command>),
    Floor(Floor),
}

impl What {
    fn run(&mut self) -> Cost {
        let commands = match self {
            What::Floor(floor) => return floor.knock_twice(),
            What::Commands(commands) => commands,
        };
        let start = Instant::now();
        let mut cpu = Duration::ZERO;
        for command in commands {
            let mut child = command.stdout(Stdio::null()).spawn().expect("start it");
            let ended = child.wait4().expect("wait for it");
            assert!(ended.status.success(), "{command:?}: {}", ended.status);
            cpu += ended.rusage.utime + ended.rusage.stime;
        }
        Cost { cpu, wall: start.elapsed() }
    }
}

impl Row {
    fn new(name: &'static str, commands: Vec<Command>) -> Self {
        Row { name, what: What::Commands(commands), costs: Vec::new() }
    }

    fn cost(&self) -> Cost {
        median(&self.costs)
    }

    /// The largest resident set of its processes, in KiB: the median of nine runs. Measured by GNU time, which
    /// needs little memory itself: the peak of a child includes the memory of its parent at the fork.
    fn peak(&self) -> u64 {
        let What::Commands(commands) = &self.what else { panic!("a warm process has no peak of its own") };
        let mut peaks: Vec<u64> =
            (0..9).map(|_| commands.iter().map(peak).max().expect("a command")).collect();
        peaks.sort_unstable();
        peaks[peaks.len() / 2]
    }
}

fn peak(command: &Command) -> u64 {
    let (timed, report) = (["-f", "%M", "-o"], tempfile::NamedTempFile::new().expect("a file"));
    let mut under = under("time", command, &timed, Some(report.path()));
    assert!(under.stdout(Stdio::null()).status().expect("run GNU time").success());
    fs::read_to_string(report.path()).expect("what time says").trim().parse().expect("KiB")
}

/// `command`, run by `tool OPTIONS [FILE]`.
fn under(tool: &str, command: &Command, options: &[&str], file: Option<&Path>) -> Command {
    let mut under = Command::new(tool);
    under.args(options).args(file).arg(command.get_program()).args(command.get_args()).env_clear();
    under.env("PATH", env::var_os("PATH").unwrap_or_default());
    under.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    under
}

/// The files and variables of a pod, and the commands that use them.
struct Pod {
    binary: PathBuf,
    kubectl: PathBuf,
    server: String,
    mount: TempDir,
    home: TempDir,
}

impl Pod {
    fn of(cluster: &RealCluster) -> Self {
        let mount = tempfile::tempdir().expect("a folder for the mount");
        cluster.mount(mount.path(), NAMESPACE, ACCOUNT);
        let binary = env::var_os("KUBEKNOCK_BINARY").expect("KUBEKNOCK_BINARY names the static binary");
        Pod {
            binary: binary.into(),
            kubectl: cluster.kubectl(),
            server: cluster.server(),
            mount,
            home: tempfile::tempdir().expect("a folder for kubectl's cache"),
        }
    }

    fn command(&self, program: &Path) -> Command {
        let (host, port) = self.server.trim_start_matches("https://").rsplit_once(':').expect("a port");
        let mut command = Command::new(program);
        command.env_clear().envs([("KUBERNETES_SERVICE_HOST", host), ("KUBERNETES_SERVICE_PORT", port)]);
        command
    }

    /// `kubeknock check` of this many permissions, all of them allowed.
    fn kubeknock(&self, permissions: usize) -> Command {
        let mut command = self.command(&self.binary);
        command.arg("check").arg("--service-account-dir").arg(self.mount.path());
        command.args((1..=permissions).map(|number| format!("list pods in ns-{number}")));
        command
    }

    /// The two lines of the tutorial, without a shell.
    fn curl(&self) -> Vec<Command> {
        let token = fs::read_to_string(self.mount.path().join("token")).expect("the token");
        let headers = self.home.path().join("headers");
        fs::write(&headers, format!("Authorization: Bearer {}\n", token.trim())).expect("write");
        let url = format!("{}/api/v1/namespaces/{NAMESPACE}/pods", self.server);
        let curl = |more: &[String]| {
            let mut command = self.command(Path::new("curl"));
            command.args(["-s", "-i", "-k"]).args(more).arg(&url);
            command
        };
        let with_token = curl(&["-H".to_owned(), format!("@{}", headers.display())]);
        let both = vec![curl(&[]), with_token];
        for (mut command, status) in both.iter().map(copy).zip([" 403", " 200"]) {
            let answer = command.output().expect("run curl").stdout;
            let answer = String::from_utf8_lossy(&answer).into_owned();
            let line = answer.lines().next().unwrap_or_default();
            assert!(line.contains(status), "curl was answered {line:?}, not {status}");
        }
        both
    }

    /// With a kubeconfig, because the mount is not where kubectl looks for it.
    fn kubectl(&self) -> Command {
        let mount = self.mount.path();
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "pod",
            "contexts": [{"name": "pod", "context": {"cluster": "real", "user": "pod", "namespace": NAMESPACE}}],
            "clusters": [{"name": "real", "cluster": {
                "server": self.server, "certificate-authority": mount.join("ca.crt"),
            }}],
            "users": [{"name": "pod", "user": {"tokenFile": mount.join("token")}}],
        });
        let file = self.home.path().join("kubeconfig");
        fs::write(&file, config.to_string()).expect("write a kubeconfig");
        let mut command = self.command(&self.kubectl);
        command.env("HOME", self.home.path()).env("KUBECONFIG", file).args(["auth", "can-i", "list", "pods"]);
        command
    }

    fn instructions(&self, permissions: usize) -> u64 {
        let options = ["--tool=callgrind", "--callgrind-out-file=/dev/null"];
        let mut counted = under("valgrind", &self.kubeknock(permissions), &options, None);
        let output = counted.output().expect("run valgrind");
        let report = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{report}");
        let collected = report.lines().find_map(|line| line.split_once("Collected : ")).expect("a count").1;
        collected.trim().parse().expect("a number")
    }

    fn server_version(&self) -> String {
        let mut command = self.command(&self.binary);
        command.args(["get", "/version", "--service-account-dir"]).arg(self.mount.path());
        let answer = command.output().expect("ask for the version").stdout;
        let version: serde_json::Value = serde_json::from_slice(&answer).expect("a version");
        format!("kube-apiserver {}", version["gitVersion"].as_str().expect("gitVersion"))
    }
}

/// A copy of a command, to run separately.
fn copy(command: &Command) -> Command {
    under("env", command, &[], None)
}

/// A rustls client in this process, already set up.
struct Floor {
    config: Arc<ClientConfig>,
    server: String,
    requests: [String; 2],
}

impl Floor {
    fn new(cluster: &RealCluster) -> Self {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(cluster.ca_pem().as_bytes()).expect("a CA");
        roots.add(ca).expect("a CA to trust");
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        // A full handshake each time, which a pod that has just started needs.
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
    fn knock_twice(&self) -> Cost {
        let (start, cpu) = (Instant::now(), cpu());
        let tcp = TcpStream::connect(&self.server).expect("connect");
        tcp.set_nodelay(true).expect("set an option");
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        let tls = ClientConnection::new(Arc::clone(&self.config), name).expect("a TLS client");
        let mut stream = StreamOwned::new(tls, tcp);
        for (request, status) in self.requests.iter().zip(["403", "200"]) {
            stream.write_all(request.as_bytes()).expect("send");
            let answer = read_answer(&mut stream);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        }
        Cost { cpu: self::cpu().saturating_sub(cpu), wall: start.elapsed() }
    }
}

/// Reads a head, and as many bytes as its `Content-Length` says.
fn read_answer(stream: &mut StreamOwned<ClientConnection, TcpStream>) -> String {
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

/// The CPU time of this thread.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().expect("seconds"), time.tv_nsec.try_into().expect("nanoseconds"))
}

fn median(costs: &[Cost]) -> Cost {
    let middle = |of: fn(&Cost) -> Duration| {
        let mut all: Vec<_> = costs.iter().map(of).collect();
        all.sort_unstable();
        all[all.len() / 2]
    };
    Cost { cpu: middle(|cost| cost.cpu), wall: middle(|cost| cost.wall) }
}

#[derive(Clone, Copy)]
enum Better {
    More,
    Less,
}

/// Prints one measured value with its limit and its goal. False: the limit is exceeded.
fn held(what: &str, measured: f64, limit: f64, goal: f64, better: Better) -> bool {
    let reaches = |wanted: f64| match better {
        Better::More => measured >= wanted,
        Better::Less => measured <= wanted,
    };
    let verdict = match (reaches(limit), reaches(goal)) {
        (true, true) => "goal met",
        (true, false) => "limit kept",
        (false, _) => "LIMIT EXCEEDED",
    };
    println!("{what:38} {measured:>9.2} {limit:>9} {goal:>9}  {verdict}");
    reaches(limit)
}

fn size(file: &Path) -> u64 {
    fs::metadata(file).expect("a program").len()
}

/// The size of a program on the `PATH` and of every library that it loads.
fn size_with_libraries(program: &str) -> u64 {
    let script = format!("p=$(command -v {program}); echo $p; ldd $p");
    let output = Command::new("sh").args(["-c", &script]).output().expect("run a shell");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let files = text.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    files.map(|file| size(Path::new(file))).sum()
}

/// CPU and wall time in milliseconds, each with its ratio to that of another way.
fn beside(cost: Cost, base: Cost) -> String {
    let one = |time: Duration, base: Duration| {
        let (time, base) = (time.as_secs_f64(), base.as_secs_f64());
        format!("{:>8.2} {:>7}", time * 1000.0, format!("{:.2} x", time / base))
    };
    format!("{} {}", one(cost.cpu, base.cpu), one(cost.wall, base.wall))
}

fn float(count: u64) -> f64 {
    f64::from(u32::try_from(count).expect("less than 4 billion"))
}

/// `1,727,736`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}
