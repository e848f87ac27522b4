//! A kubeknock that is still running: its output is read line by line, it gets signals, and its end is awaited.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::schema;

/// Longer than anything here takes, so that a hang makes the test fail.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running child process; killed when it is dropped.
pub struct Running {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Running {
    /// Starts the command.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start kubeknock");
        let stdout = lines(child.stdout.take().expect("its stdout"));
        let stderr = lines(child.stderr.take().expect("its stderr"));
        Running { child, stdout, stderr }
    }

    /// Waits for a line on stderr that contains `text`, and returns it.
    #[track_caller]
    pub fn complains(&self, text: &str) -> String {
        until(&self.stderr, text)
    }

    /// Waits for a line on stdout that contains `text`, and returns it.
    #[track_caller]
    pub fn prints(&self, text: &str) -> String {
        until(&self.stdout, text)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("send a signal");
    }

    /// Waits for the end. Returns the exit status, and how long the end took from now.
    #[track_caller]
    pub fn ends(&mut self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("wait for kubeknock") {
                return (status, start.elapsed());
            }
            assert!(start.elapsed() < PATIENCE, "it does not end");
            thread::yield_now();
        }
    }

    /// True once it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("wait for kubeknock").is_some()
    }

    /// Waits for the end and checks the exit code. Returns the rest of stdout and stderr.
    #[track_caller]
    pub fn ends_with(mut self, code: i32) -> (String, String) {
        let (status, _) = self.ends();
        let rest =
            |lines: &Receiver<String>| lines.iter().fold(String::new(), |text, line| text + &line + "\n");
        let (stdout, stderr) = (rest(&self.stdout), rest(&self.stderr));
        assert_eq!(status.code(), Some(code), "{status}\n--- stdout\n{stdout}--- stderr\n{stderr}");
        (stdout, stderr)
    }

    /// A number of `/proc/PID/status`, such as `VmRSS` in KiB.
    pub fn status(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("its status");
        let line =
            status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).expect("the field");
        line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
    }

    /// Whether it has a handler for the signal. A process that has not reached `exec` yet has none.
    pub fn handles(&self, signal: Signal) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("its status");
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("its handlers");
        let caught = u64::from_str_radix(caught.trim(), 16).expect("a mask");
        caught & (1 << (signal.as_raw() - 1)) != 0
    }

    /// Whether it has a socket open, connected or not.
    pub fn has_socket(&self) -> bool {
        let open = fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("its descriptors");
        // A descriptor may be closed while the list is read.
        open.flatten()
            .filter_map(|link| fs::read_link(link.path()).ok())
            .any(|to| to.to_string_lossy().starts_with("socket:"))
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("its descriptors").count()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

#[track_caller]
fn until(lines: &Receiver<String>, text: &str) -> String {
    let mut seen = String::new();
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) if line.contains(text) => {
                schema::holds(&line);
                return line;
            }
            Ok(line) => seen = seen + &line + "\n",
            Err(error) => panic!("no line with {text:?} ({error}), only\n{seen}"),
        }
    }
}

/// Polls until the condition is true. Panics with `what` if that takes too long.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "never came: {what}");
        thread::yield_now();
    }
}
