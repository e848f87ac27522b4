//! The cost of a check, compared with what it replaces: `just bench`.
//!
//! Side by side in one run, against a real kube-apiserver: one complete check (two knocks), the two curl calls
//! of the tutorial, `kubectl auth can-i`, and as the lower bound a bare rustls client that sends the same two
//! requests from a process that is already running. Then the instructions of a check (callgrind), and how they
//! grow with the number of permissions. Then rounds and probes, see [`rounds`]. Exits with 1 if a limit on a count
//! (memory, instructions) is exceeded; a time above its limit is only reported, because the machine may be busy.
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

mod figures;
mod floor;
mod pod;
mod rounds;

use std::fs;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use testbed::real::keys::ServerKeys;
use testbed::{RealCluster, World};
use wait4::Wait4 as _;

use figures::{Better, Cost, beside, float, grouped, held, limits, median, size, size_with_libraries};
use floor::Floor;
use pod::{ACCOUNT, NAMESPACE, Pod, under};
use rounds::Keys;

const RUNS: usize = 50;
const TURN: usize = 10;

fn main() -> ExitCode {
    println!(
        "Medians of {RUNS} runs in turns of {TURN}, after {TURN} to warm up; ratios to the first line.\n"
    );
    let rsa = against("RSA 2048, as kubeadm makes its keys", Keys::Rsa);
    let ecdsa = against("ECDSA P-256, as k3s makes its keys", Keys::Ecdsa);
    if rsa && ecdsa { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints the tables for a server with these keys. False: a limit is exceeded.
fn against(name: &str, keys: Keys) -> bool {
    let server_keys = match keys {
        Keys::Rsa => ServerKeys::generate_rsa(),
        Keys::Ecdsa => ServerKeys::generate(),
    };
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
    println!("One check, `list pods`, allowed; {}, {name}\n", pod.server_version());
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

    println!();
    limits();
    let ratio = |one: Duration, other: Duration| one.as_secs_f64() / other.as_secs_f64();
    let million = float(instructions[0]) / 1e6;
    held("CPU, curl's to ours", ratio(curl.cpu, ours.cpu), 10.0, 12.0, Better::More);
    held("CPU, kubectl's to ours", ratio(kubectl.cpu, ours.cpu), 25.0, 35.0, Better::More);
    held("wall, ours to the floor's", ratio(ours.wall, floor.wall), 1.35, 1.25, Better::Less);
    held("CPU, 100 permissions to one", ratio(costs[2].cpu, costs[0].cpu), 30.0, 25.0, Better::Less);
    let counted = [
        held("peak memory, MiB", float(peaks[0]) / 1024.0, 1.6, 1.5, Better::Less),
        held("instructions, million", million, 3.2, 2.5, Better::Less),
    ];
    println!();
    rounds::rounds(&cluster, keys);
    if let Keys::Rsa = keys {
        rounds::probes(&pod);
        println!();
    }
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
