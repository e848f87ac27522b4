//! What an API server's audit log has of each request, and the table of the README that says so.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::pod::Pod;
use crate::program::Program;
use crate::running::{Running, eventually};
use crate::scene::USER;

/// A request, as far as the table has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    /// As the API server names it.
    pub user: String,
    /// Of RBAC.
    pub verb: String,
    /// `deployments.apps`, or a path.
    pub what: String,
    /// `allow` or `forbid`.
    pub decision: String,
}

impl Event {
    /// Of an event of the audit log (audit.k8s.io/v1).
    pub fn of(event: &Value) -> Event {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let what = match (text("/objectRef/resource"), text("/objectRef/apiGroup")) {
            ("", _) => text("/requestURI").to_owned(),
            (resource, "") => resource.to_owned(),
            (resource, group) => format!("{resource}.{group}"),
        };
        Event {
            user: text("/user/username").to_owned(),
            verb: text("/verb").to_owned(),
            what,
            decision: text("/annotations/authorization.k8s.io~1decision").to_owned(),
        }
    }
}

/// A row: a command, one of its requests, and how often.
struct Row {
    command: String,
    event: Event,
    often: String,
}

impl Row {
    /// Whether so many are as the row says; a server before 1.27 is `old`.
    fn allows(&self, count: usize, old: bool) -> bool {
        match self.often.as_str() {
            "once" | "first round" => count == 1,
            "twice" => count == 2,
            "each round" => count > 2,
            "once, before 1.27" => count == usize::from(old),
            "once, from 1.28" => count == usize::from(!old),
            other => panic!("how often is {other}?"),
        }
    }
}

/// The rows of the README.
fn table() -> Vec<Row> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = fs::read_to_string(readme).expect("the README");
    let (_, section) = readme.split_once("\n## What an auditor sees\n").expect("the section");
    let lines = section.lines().skip_while(|line| !line.starts_with("| ---")).skip(1);
    let mut command = String::new();
    let mut rows = Vec::new();
    for line in lines.take_while(|line| line.starts_with('|')) {
        let cells: Vec<String> = line.split('|').map(|cell| cell.trim().replace('`', "")).collect();
        let [_, of, user, verb, what, decision, often, _] = cells.as_slice() else { panic!("{line}") };
        if !of.is_empty() {
            command.clone_from(of);
        }
        let user = if user == "the account" { USER.to_owned() } else { user.clone() };
        let event = Event { user, verb: verb.clone(), what: what.clone(), decision: decision.clone() };
        rows.push(Row { command: command.clone(), event, often: often.clone() });
    }
    rows
}

/// Runs each command of the table in the pod (of `ns-1/k-sa-1`, which may list the pods there), and holds its rows to
/// `log`: all that the server has seen of kubeknock so far.
///
/// # Panics
/// When a request is not in the table, or is not made as often as it says.
pub fn holds<P: Program>(pod: &Pod<P>, old: bool, log: impl Fn() -> Vec<Event>) {
    let table = table();
    let mut commands: Vec<&str> = table.iter().map(|row| row.command.as_str()).collect();
    commands.dedup();
    assert!(commands.len() > 8, "{commands:?}");
    for command in commands {
        let begin = log().len();
        let since = || log().split_off(begin);
        let rows: Vec<&Row> = table.iter().filter(|row| row.command == command).collect();
        // The log may be written a moment after the answer.
        let is_so = || {
            let events = since();
            let counted = |row: &&&Row| events.iter().filter(|event| **event == row.event).count();
            rows.iter().all(|row| row.allows(counted(&row), old))
        };
        run(pod, command, is_so);
        let shown = |events: &[Event]| events.iter().map(|event| format!("{event:?}\n")).collect::<String>();
        assert!(awaited(is_so), "{command}: not as in the table\n{}", shown(&since()));
        let strange: Vec<Event> =
            since().into_iter().filter(|event| rows.iter().all(|row| row.event != *event)).collect();
        assert!(strange.is_empty(), "{command}: not in the table\n{}", shown(&strange));
    }
}

/// Whether it becomes so in a moment.
fn awaited(is_so: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while !is_so() {
        if start.elapsed() > Duration::from_secs(5) {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}

/// Runs the command to its end; one without an end until its rows are there.
fn run<P: Program>(pod: &Pod<P>, command: &str, is_so: impl Fn() -> bool) {
    let mut words: Vec<&str> = Vec::new();
    for (index, part) in command.split('"').enumerate() {
        if index % 2 == 1 { words.push(part) } else { words.extend(part.split_whitespace()) }
    }
    match words[0] {
        "wait" => words.extend(["--timeout", "2s", "--max-interval", "100ms"]),
        "monitor" => {
            words.extend(["--interval", "100ms"]);
            let running = Running::start(&mut pod.command(&words));
            eventually("the rounds of the table", is_so);
            running.send(Signal::TERM);
            running.ends_with(0);
            return;
        }
        _ => {}
    }
    pod.runs(&words);
}
