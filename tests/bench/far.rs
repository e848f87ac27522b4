//! The cost of many permissions, near the server and far from it: `just far`.
//!
//! Runs against a real kube-apiserver, through a proxy that delays data and new connections alike. For each round trip
//! it measures one `check` of many permissions: its wall time, and the CPU time of client and server. A check of one
//! permission stands next to `kubectl auth can-i`. Then it measures the peak memory. `KUBEKNOCK_BEFORE` names an older
//! binary to compare with, run by run. Exits with 1 if a limit on memory is exceeded; a time over its limit is only
//! reported, because the machine may be busy.
//!
//! To measure only some round trips, give them as arguments in milliseconds: `just far 20`.
//!
//! Needs what the other benchmark needs: `KUBEBUILDER_ASSETS`, `KUBEKNOCK_BINARY`, and GNU time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "it is there to be read, and panics as tests do"
)]

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;
use testbed::far::Proxy;
use testbed::real::keys::ServerKeys;
use testbed::{RealCluster, World, kubeconfig};
use wait4::Wait4 as _;

const NAMESPACE: &str = "ns-1";
const ACCOUNT: &str = "k-sa-1";

const COUNTS: [usize; 4] = [1, 10, 100, 1000];
const ROUND_TRIPS: [u64; 4] = [0, 2, 20, 100];

/// How long to repeat the runs of a cell in the table; there is at least one run.
const PATIENCE: Duration = Duration::from_secs(4);
const RUNS: usize = 15;

/// The number of permissions, the round trip in milliseconds, and the limit and the goal in seconds.
const LIMITS: [(usize, u64, f64, f64); 2] = [(100, 20, 0.9, 0.6), (1000, 20, 6.0, 4.0)];

/// The number of permissions, the resource to list, which is allowed or refused, and the limit in MiB.
const MEMORY: [(usize, &str, f64); 4] = [
    (1000, "pods", 4.0),
    (1000, "secrets", 4.0),
    (10_000, "pods", 16.0),
    // The report explains each of them.
    (10_000, "secrets", 16.0),
];

fn main() -> ExitCode {
    let cluster = RealCluster::start_as(ServerKeys::generate_rsa(), &[]);
    cluster.namespace(NAMESPACE);
    cluster.service_account(NAMESPACE, ACCOUNT);
    let rule = json!([{ "verbs": ["list"], "apiGroups": [""], "resources": ["pods"] }]);
    cluster.cluster_role("pod-lister", rule);
    cluster.cluster_role_binding("pod-lister", "pod-lister", NAMESPACE, ACCOUNT);
    let bench = Bench::of(&cluster);

    println!(
        "Permissions in one check, both knocks: medians of up to {RUNS} runs in {PATIENCE:?}, RSA 2048\n"
    );
    println!(
        "{:>6} {:>6}  {:24} {:>10} {:>12} {:>12}",
        "ms", "count", "", "wall ms", "client CPU", "server CPU"
    );
    let mut times = Vec::new();
    let wanted: Vec<u64> = env::args().filter_map(|argument| argument.parse().ok()).collect();
    for round_trip in ROUND_TRIPS.into_iter().filter(|of| wanted.is_empty() || wanted.contains(of)) {
        let server = bench.far(round_trip);
        for count in COUNTS {
            let mut ways = vec![Way::new("kubeknock", bench.kubeknock(server, count))];
            if let Some(before) = env::var_os("KUBEKNOCK_BEFORE") {
                ways.push(Way::new(
                    "kubeknock, before",
                    bench.check(Path::new(&before), server, count, "pods"),
                ));
            }
            if count == 1 {
                ways.push(Way::new("kubectl auth can-i", bench.kubectl(server)));
            }
            bench.run(&mut ways);
            for way in &ways {
                let Cost { wall, client, server } = way.median();
                let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
                println!(
                    "{round_trip:>6} {count:>6}  {:24} {:>10.1} {:>12.1} {:>12.1}",
                    way.name,
                    milliseconds(wall),
                    milliseconds(client),
                    milliseconds(server)
                );
            }
            times.push((count, round_trip, ways[0].median().wall.as_secs_f64()));
        }
        println!();
    }

    println!("{:38} {:>9} {:>9} {:>9}", "", "measured", "limit", "goal");
    for (count, round_trip, limit, goal) in LIMITS {
        let of = |&&(of, at, _): &&(usize, u64, f64)| (of, at) == (count, round_trip);
        let Some(&(.., measured)) = times.iter().find(of) else { continue };
        let verdict = match (measured <= limit, measured <= goal) {
            (true, true) => "goal met",
            (true, false) => "limit kept",
            (false, _) => "LIMIT EXCEEDED",
        };
        let what = format!("{count} permissions at {round_trip} ms, seconds");
        println!("{what:38} {measured:>9.2} {limit:>9} {goal:>9}  {verdict}");
    }
    let kept = MEMORY.map(|(count, resource, limit)| {
        let measured = bench.peak(count, resource);
        let verdict = if measured <= limit { "limit kept" } else { "LIMIT EXCEEDED" };
        let what = format!("peak memory of {count} {resource}, MiB");
        println!("{what:38} {measured:>9.2} {limit:>9} {:>9}  {verdict}", "");
        measured <= limit
    });
    println!();
    if kept.iter().all(|&kept| kept) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The cost of one run.
#[derive(Clone, Copy)]
struct Cost {
    wall: Duration,
    /// User and system time of the command.
    client: Duration,
    /// The same for the API server, minus what it uses when idle.
    server: Duration,
}

/// One way to ask.
struct Way {
    name: &'static str,
    command: Command,
    costs: Vec<Cost>,
}

impl Way {
    fn new(name: &'static str, command: Command) -> Self {
        Way { name, command, costs: Vec::new() }
    }

    fn median(&self) -> Cost {
        let middle = |of: fn(&Cost) -> Duration| {
            let mut all: Vec<_> = self.costs.iter().map(of).collect();
            all.sort_unstable();
            all[all.len() / 2]
        };
        Cost {
            wall: middle(|cost| cost.wall),
            client: middle(|cost| cost.client),
            server: middle(|cost| cost.server),
        }
    }
}

/// The mount, the programs, and the server's process.
struct Bench {
    binary: PathBuf,
    kubectl: PathBuf,
    server: SocketAddr,
    process: u32,
    /// The CPU seconds that the server uses per second when idle.
    idle: f64,
    mount: TempDir,
    home: TempDir,
}

impl Bench {
    fn of(cluster: &RealCluster) -> Self {
        let mount = tempfile::tempdir().expect("a folder for the mount");
        cluster.mount(mount.path(), NAMESPACE, ACCOUNT);
        let server = cluster.server().trim_start_matches("https://").parse().expect("an address");
        let process = cluster.apiserver_pid();
        let (before, pause) = (cpu_of(process), Duration::from_secs(5));
        thread::sleep(pause);
        let idle = cpu_of(process).saturating_sub(before).as_secs_f64() / pause.as_secs_f64();
        Bench {
            binary: env::var_os("KUBEKNOCK_BINARY").expect("KUBEKNOCK_BINARY names the static binary").into(),
            kubectl: cluster.kubectl(),
            server,
            process,
            idle,
            mount,
            home: tempfile::tempdir().expect("a folder for kubectl's cache"),
        }
    }

    /// The address of the server at this distance.
    fn far(&self, milliseconds: u64) -> SocketAddr {
        match milliseconds {
            0 => self.server,
            _ => Proxy::of(self.server, Duration::from_millis(milliseconds)).address,
        }
    }

    fn kubeknock(&self, server: SocketAddr, permissions: usize) -> Command {
        self.check(&self.binary, server, permissions, "pods")
    }

    /// A check of this many permissions to list a resource, each in a namespace of its own.
    fn check(&self, binary: &Path, server: SocketAddr, permissions: usize, resource: &str) -> Command {
        let mut command = Command::new(binary);
        command.env_clear().args(["check", "--timeout=10m", "--server"]).arg(format!("https://{server}"));
        command.arg("--service-account-dir").arg(self.mount.path());
        command.args((1..=permissions).map(|number| format!("list {resource} in ns-{number}")));
        command
    }

    fn kubectl(&self, server: SocketAddr) -> Command {
        let config = kubeconfig(self.mount.path(), &format!("https://{server}"), NAMESPACE);
        let file = self.home.path().join(format!("kubeconfig-{}", server.port()));
        fs::write(&file, config).expect("write a kubeconfig");
        let mut command = Command::new(&self.kubectl);
        command.env_clear().env("HOME", self.home.path()).env("KUBECONFIG", file);
        command.args(["auth", "can-i", "list", "pods"]);
        command
    }

    /// Runs the ways in turn, each as often as there is time for it.
    fn run(&self, ways: &mut [Way]) {
        let start = Instant::now();
        let patience = PATIENCE * u32::try_from(ways.len()).expect("a few");
        for turn in 0..RUNS {
            if turn > 0 && start.elapsed() > patience {
                break;
            }
            for way in ways.iter_mut() {
                let cost = self.run_once(&mut way.command);
                way.costs.push(cost);
            }
        }
    }

    fn run_once(&self, command: &mut Command) -> Cost {
        let (start, before) = (Instant::now(), cpu_of(self.process));
        let mut child = command.stdout(Stdio::null()).spawn().expect("start it");
        let ended = child.wait4().expect("wait for it");
        let wall = start.elapsed();
        assert!(ended.status.success(), "{}: {}", command.get_program().display(), ended.status);
        // The kernel counts the CPU time of another process in steps of 10 ms, and the server still works after an
        // answer.
        thread::sleep(Duration::from_millis(30));
        let idle = start.elapsed().mul_f64(self.idle);
        let server = cpu_of(self.process).saturating_sub(before + idle);
        Cost { wall, client: ended.rusage.utime + ended.rusage.stime, server }
    }

    /// The peak memory of a check in MiB, measured by GNU time, which takes little itself: the median of five runs.
    fn peak(&self, permissions: usize, resource: &str) -> f64 {
        let check = self.check(&self.binary, self.server, permissions, resource);
        let mut peaks: Vec<u32> = (0..5)
            .map(|_| {
                let report = tempfile::NamedTempFile::new().expect("a file");
                let mut timed = Command::new("time");
                timed.args(["--quiet", "-f", "%M", "-o"]).arg(report.path());
                timed.arg(check.get_program()).args(check.get_args());
                let ended = timed.stdout(Stdio::null()).status().expect("run GNU time");
                let wanted = if resource == "pods" { 0 } else { 10 };
                assert_eq!(ended.code(), Some(wanted), "of {permissions} {resource}");
                fs::read_to_string(report.path()).expect("what time says").trim().parse().expect("KiB")
            })
            .collect();
        peaks.sort_unstable();
        f64::from(peaks[peaks.len() / 2]) / 1024.0
    }
}

/// User and system time of a process so far: fields 14 and 15 of its `stat`, in hundredths of a second.
fn cpu_of(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("the server's stat");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    let ticks = |field: usize| fields[field].parse::<u64>().expect("a number");
    Duration::from_millis(10 * (ticks(11) + ticks(12)))
}
