//! What rounds cost the API server, and what probes cost the node.
//!
//! Measures the API server's CPU time for one request of a bare client: on a new connection, on a new connection that
//! resumes a session, and on a connection that is kept. Also measures the server's memory for an idle connection.
//! Tests, and not this benchmark, check that rounds resume sessions and keep connections. Then compares a probe over
//! HTTP with one that runs a command.

use std::cell::Cell;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use testbed::{RealCluster, Running, eventually};
use wait4::Wait4 as _;

use crate::figures::{Better, float, held, limits};
use crate::floor::{Floor, cpu};
use crate::pod::Pod;

const ROUNDS: u32 = 500;
const CONNECTIONS: u32 = 1000;
const EXECUTIONS: u32 = 100;
const PROBES: u32 = 5000;
const CHECK: [&str; 3] = ["check", "--token-only", "list pods"];
/// Requests per second, and for how many seconds.
const RATE: (u32, u32) = (100, 10);

/// Prints the table of rounds. A limit that is exceeded is only reported, here and in [`probes`]: another process can
/// take the server's CPU caches.
pub fn rounds(cluster: &RealCluster, keys: Keys) {
    let floor = Floor::new(cluster);
    let server = Server::of(cluster);
    let fresh = server.cost(|| drop(floor.idle()));
    let resuming = floor.resuming();
    let resumed = server.cost(|| drop(resuming.idle()));
    let mut stream = floor.idle();
    let kept = server.cost(|| floor.ask(&mut stream));
    println!("A round of `list pods` with the token, in CPU ms of the API server\n");
    for (name, cost) in [("new connection", fresh), ("session resumed", resumed), ("connection kept", kept)] {
        println!("{name:22} {:>8.2} {:>7}", cost * 1000.0, format!("{:.2} x", cost / fresh));
    }
    println!("\nIts CPU time without requests, {:.1} ms a second, is subtracted.", server.idle * 1000.0);
    println!("An idle connection takes {:.1} KiB of its memory.\n", memory_of_a_connection(cluster));
    // An ECDSA signature is so cheap that a handshake costs little more than a request.
    if let Keys::Rsa = keys {
        limits();
        held("server's CPU, resumed to new", resumed / fresh, 0.5, 0.4, Better::Less);
        held("server's CPU, kept to new", kept / fresh, 0.33, 0.25, Better::Less);
        println!();
    }
}

/// Prints the table of probes. The server has no part in it, so one with keys of either kind will do.
pub fn probes(pod: &Pod) {
    let executed =
        (0..EXECUTIONS).map(|_| executed(&mut pod.runs(&CHECK))).sum::<f64>() / f64::from(EXECUTIONS);
    let sidecar = Sidecar::start(pod, &["--interval", "1h"]);
    let (client, before) = (cpu(), cpu_of(sidecar.running.pid()));
    (0..PROBES).for_each(|_| drop(sidecar.get("/readyz")));
    let (client, monitor) =
        (self::cpu().saturating_sub(client).as_secs_f64(), cpu_of(sidecar.running.pid()) - before);
    let requested = (client + monitor) / f64::from(PROBES);
    println!("A probe, in CPU microseconds of client and program\n");
    println!("{:22} {:>8.0}", "check --token-only", executed * 1e6);
    println!(
        "{:22} {:>8.0} {:>7}\n",
        "GET /readyz",
        requested * 1e6,
        format!("1/{:.0}", executed / requested)
    );
    let share = sidecar.busy(RATE);
    limits();
    held("% of a core, 100 probes a second", share * 100.0, 1.0, 0.7, Better::Less);
}

/// The kind of key that the server signs with.
#[derive(Clone, Copy)]
pub enum Keys {
    /// RSA, 2048 bits.
    Rsa,
    /// ECDSA, P-256.
    Ecdsa,
}

/// The CPU seconds of a process so far. `stat` counts in hundredths of a second with every kernel.
fn cpu_of(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("its times");
    let after_name = stat.rsplit(')').next().expect("fields");
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks.map(|ticks| ticks.parse::<f64>().expect("a number") / 100.0).sum()
}

/// Runs a command to its end, and returns its CPU seconds.
fn executed(command: &mut Command) -> f64 {
    let mut child = command.stdout(Stdio::null()).spawn().expect("start it");
    let ended = child.wait4().expect("wait for it");
    assert!(ended.status.success(), "{command:?}: {}", ended.status);
    (ended.rusage.utime + ended.rusage.stime).as_secs_f64()
}

/// The API server's process.
struct Server {
    process: u32,
    /// The CPU seconds that it uses per second when idle.
    idle: f64,
}

impl Server {
    fn of(cluster: &RealCluster) -> Self {
        let process = cluster.apiserver_pid();
        let (start, before) = (Instant::now(), cpu_of(process));
        thread::sleep(Duration::from_secs(5));
        Server { process, idle: (cpu_of(process) - before) / start.elapsed().as_secs_f64() }
    }

    /// The CPU seconds of the server for one round, measured after a warm-up.
    fn cost(&self, mut make: impl FnMut()) -> f64 {
        (0..ROUNDS / 10).for_each(|_| make());
        let (start, before) = (Instant::now(), cpu_of(self.process));
        (0..ROUNDS).for_each(|_| make());
        let idle = self.idle * start.elapsed().as_secs_f64();
        (cpu_of(self.process) - before - idle) / f64::from(ROUNDS)
    }
}

/// The memory of the API server for one idle connection after one request, in KiB. Garbage that Go has not collected
/// yet is left out.
fn memory_of_a_connection(cluster: &RealCluster) -> f64 {
    let floor = Floor::new(cluster);
    let used = || {
        let bytes = Cell::new(0);
        cluster.await_answer("/debug/pprof/heap?gc=1&debug=1", |status, text| {
            let number = |name: &str| -> u64 {
                let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a number of Go's");
                line.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
            };
            bytes.set(number("# HeapAlloc = ") + number("# Stack = "));
            status == 200
        });
        bytes.get()
    };
    let _warm: Vec<_> = (0..CONNECTIONS / 4).map(|_| floor.idle()).collect();
    let before = used();
    let _idle: Vec<_> = (0..CONNECTIONS).map(|_| floor.idle()).collect();
    float(used().saturating_sub(before)) / 1024.0 / f64::from(CONNECTIONS)
}

/// A monitor that serves probes and metrics.
struct Sidecar {
    running: Running,
    address: SocketAddr,
}

impl Sidecar {
    fn start(pod: &Pod, options: &[&str]) -> Self {
        let common = ["monitor", "--token-only", "list pods", "-q", "--listen", "127.0.0.1:0"];
        let running = Running::start(&mut pod.runs(&[&common, options].concat()));
        let line = running.complains("serving probes and metrics on ");
        let address = line.rsplit(' ').next().and_then(|address| address.parse().ok()).expect("an address");
        let sidecar = Sidecar { running, address };
        sidecar.await_round(1);
        assert!(sidecar.get("/readyz").starts_with("HTTP/1.1 200"), "{}", sidecar.get("/readyz"));
        sidecar
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address).expect("connect to the monitor");
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: pod\r\n\r\n").as_bytes()).expect("send");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    fn rounds(&self) -> u32 {
        let page = self.get("/metrics");
        let count = page.lines().find_map(|line| line.strip_prefix("kubeknock_rounds_total "));
        count.and_then(|count| count.parse().ok()).expect("a count")
    }

    fn await_round(&self, number: u32) {
        eventually("the round", || {
            thread::sleep(Duration::from_millis(100));
            self.rounds() >= number
        });
    }

    /// The share of a core that it uses to answer this many probes per second.
    fn busy(&self, (rate, seconds): (u32, u32)) -> f64 {
        let (start, before) = (Instant::now(), cpu_of(self.running.pid()));
        for number in 1..=rate * seconds {
            drop(self.get("/readyz"));
            thread::sleep((Duration::from_secs(1) / rate * number).saturating_sub(start.elapsed()));
        }
        (cpu_of(self.running.pid()) - before) / start.elapsed().as_secs_f64()
    }
}
