//! Child processes that end with the test: stopped on drop (also while a panic unwinds), and by a guard if the
//! test process itself is killed. Knows nothing about Kubernetes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running server, its output in a log file.
pub struct Process {
    child: Child,
    guard: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program` with `arguments`, no input, an empty environment, and its output in `log`.
    pub fn start(program: &Path, arguments: &[String], log: PathBuf) -> Self {
        let output = File::create(&log).expect("create a log file");
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("share the log file"))
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("start {}: {error}", program.display()));
        Process { guard: guard(child.id()), child, log }
    }

    /// The end of its log, if it has ended by itself.
    pub fn has_ended(&mut self) -> Option<String> {
        self.child.try_wait().expect("ask for a child's state")?;
        Some(self.log())
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The last lines of its log.
    pub fn log(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let lines: Vec<_> = String::from_utf8_lossy(&log).lines().map(str::to_owned).collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Pauses the process (SIGSTOP): its sockets stay open, and no answer comes.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it continue (SIGCONT).
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let script = format!("kill -{name} {}", self.child.id());
        let status = Command::new("/bin/sh").args(["-c", &script]).status().expect("run a shell");
        assert!(status.success(), "{script}");
    }
}

impl Drop for Process {
    /// Sends SIGKILL. The guard ends first, because the process id is valid only until `wait`.
    fn drop(&mut self) {
        for child in [&mut self.guard, &mut self.child] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A shell that kills `process` when its input ends, that is, when this process has ended.
fn guard(process: u32) -> Child {
    Command::new("/bin/sh")
        .args(["-c", &format!("trap '' HUP INT TERM; read -r _; kill -KILL {process}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("start a guard")
}
