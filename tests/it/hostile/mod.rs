//! Servers that misbehave: one table a file, each row with the exit code that it must lead to and the time it
//! may take. Every run must also keep what is promised of all runs: no hang, no panic, no token in the output,
//! no control characters on the terminal, and little memory.
//!
//! `KUBEKNOCK_BINARY=FILE` runs the tables against another binary, such as the static one that is released.

mod connections;
mod content;
mod discovery;
mod echoes;
mod http;
mod reviews;
mod run;
pub mod servers;
mod tcp;
mod time;
mod tls;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use testbed::faults::Listener;
use testbed::{memory_is_the_runners, runner_delay};

use crate::Pod;
use run::{Ran, run};

/// The time limit of a run that gets an answer. Most take a tenth of it.
const PROMPT: Duration = Duration::from_millis(500);

/// The time limit of a run that waits until its `--timeout` of one second.
const DEADLINE: Duration = Duration::from_millis(1100);

/// The limit of peak memory above that of `--version`, in KiB. A debug build is ten times as large as a
/// release, and its code counts as it is touched, so only what a run adds is limited.
const ROOM: u64 = 8 * 1024;

/// The limit of peak memory of the binary that `KUBEKNOCK_BINARY` names, in KiB.
const ALL_ROOM: u64 = 8 * 1024;

/// One way to misbehave.
struct Row {
    name: &'static str,
    /// The arguments, to which the server, the mount and in most rows the timeout are added.
    arguments: &'static [&'static str],
    code: i32,
    within: Duration,
    server: Box<dyn Fn() -> Listener + Send + Sync>,
}

/// A run must exit with `code` at once, or at its deadline if that is 23.
fn row(name: &'static str, code: i32, server: impl Fn() -> Listener + Send + Sync + 'static) -> Row {
    let within = if code == 23 { DEADLINE } else { PROMPT };
    Row { name, arguments: &["check", "list pods"], code, within, server: Box::new(server) }
}

impl Row {
    fn asked(mut self, arguments: &'static [&'static str]) -> Self {
        self.arguments = arguments;
        self
    }

    fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }
}

fn rows() -> Vec<Row> {
    [
        tcp::rows(),
        tls::rows(),
        http::rows(),
        content::rows(),
        reviews::rows(),
        discovery::rows(),
        echoes::rows(),
        time::rows(),
        connections::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl Ran {
    /// Everything that does not match the row, or breaks what is promised of every run.
    fn faults(&self, row: &Row, token: &str, limit: Option<u64>) -> Vec<String> {
        let mut faults = Vec::new();
        let mut fault = |is: bool, what: String| {
            if is {
                faults.push(what);
            }
        };
        let (stdout, stderr) = (String::from_utf8_lossy(&self.stdout), String::from_utf8_lossy(&self.stderr));
        fault(self.code != Some(row.code), format!("exit code {:?}, expected {}", self.code, row.code));
        if let Some(limit) = limit {
            fault(self.peak > limit, format!("{} KiB at its peak, {limit} are too many", self.peak));
        }
        fault(self.peak == 0, "no peak memory was read".into());
        // A long part of the token counts as the token.
        let said = |text: &str| (0..token.len() - 24).any(|at| text.contains(&token[at..at + 24]));
        for (name, text) in [("stdout", &stdout), ("stderr", &stderr)] {
            fault(said(text), format!("the token is on {name}"));
            fault(text.contains("defect") || text.contains("panicked"), format!("a defect on {name}"));
            // `get` passes the answer on.
            let raw = name == "stdout" && row.arguments.first() == Some(&"get");
            let paints = |c: char| c != '\n' && (c.is_control() || REORDERS.contains(&c));
            fault(!raw && text.contains(paints), format!("control characters on {name}"));
            fault(text.len() > 16 * 1024 && !raw, format!("{} bytes on {name}", text.len()));
        }
        if !faults.is_empty() {
            let cut = |text: &str| text.chars().take(2000).collect::<String>();
            faults.push(format!("--- stdout\n{}--- stderr\n{}---", cut(&stdout), cut(&stderr)));
        }
        faults
    }

    fn is_late(&self, row: &Row) -> bool {
        let too_slow = self.took > row.within + runner_delay() || (self.code == Some(23) && row.code != 23);
        too_slow || (row.code == 23 && self.took < Duration::from_secs(1))
    }
}

const REORDERS: [char; 14] = [
    '\u{61c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}',
    '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}', '\u{2028}', '\u{2029}',
];

/// One run of a row, against a server of its own.
fn attempt(row: &Row) -> (Ran, String) {
    let listener = (row.server)();
    let pod = Pod::in_front_of(&listener);
    let mut arguments = row.arguments.to_vec();
    if !arguments.iter().any(|argument| argument.starts_with("--timeout")) {
        arguments.push("--timeout=1s");
    }
    (run(&pod, &arguments), pod.token().unwrap())
}

#[test]
fn no_misbehaviour_does_harm() {
    let rows = rows();
    assert!(rows.len() >= 376, "{} rows", rows.len());
    let base = match std::env::var_os("KUBEKNOCK_BINARY").filter(|path| !path.is_empty()) {
        Some(_) => 0,
        None => run(&Pod::at("https://127.0.0.1", "-", "-", "-"), &["--version"]).peak,
    };
    let measured = base > 0 || std::env::var_os("KUBEKNOCK_BINARY").is_some();
    assert!(measured, "the memory of --version was not seen");
    let limit = if base == 0 { ALL_ROOM } else { base + ROOM };
    let limit = (!memory_is_the_runners()).then_some(limit);
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let (ran, token) = attempt(row);
                    results.lock().unwrap().push((row, ran, token));
                }
            });
        }
    });
    let mut failed = Vec::new();
    for (row, mut ran, token) in results.into_inner().unwrap() {
        // A busy machine may be late once; a program that misses its deadline is late each time.
        for _ in 0..2 {
            if ran.is_late(row) {
                ran = attempt(row).0;
            }
        }
        let mut faults = ran.faults(row, &token, limit);
        if ran.is_late(row) {
            faults.push(format!("took {:?}, and has {:?}", ran.took, row.within));
        }
        println!(
            "{:>4} {:>6} ms {:>6} KiB  {}",
            ran.code.unwrap_or(-1),
            ran.took.as_millis(),
            ran.peak,
            row.name
        );
        if !faults.is_empty() {
            failed.push(format!("a server that {}: {}", row.name, faults.join("; ")));
        }
    }
    println!("{} rows; --version takes {base} KiB (0: not asked)", rows.len());
    assert!(failed.is_empty(), "{} rows failed:\n{}", failed.len(), failed.join("\n"));
}
