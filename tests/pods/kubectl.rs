//! kubectl as a child process: its arguments, and its output. Knows nothing about pods or kubeknock.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than any call takes, so that a call that hangs fails.
const PATIENCE: Duration = Duration::from_secs(120);

/// The kubectl that `KUBECTL` names, or else the one on the PATH. `KUBECONFIG` names the cluster.
#[derive(Clone)]
pub struct Kubectl {
    program: OsString,
}

/// The result of one call.
pub struct Ran {
    call: String,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Kubectl {
    pub fn from_environment() -> Self {
        let program = env::var_os("KUBECTL").filter(|program| !program.is_empty());
        Kubectl { program: program.unwrap_or_else(|| "kubectl".into()) }
    }

    /// Runs it, and returns the result, whether it succeeded or not.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, "")
    }

    /// The same, with `input` on stdin.
    #[track_caller]
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Ran {
        let call = format!("kubectl {}", arguments.join(" "));
        runs(Command::new(&self.program).args(arguments), call, input)
    }

    /// Runs `kubectl knock` from the clone, with this kubectl.
    #[track_caller]
    pub fn knock(&self, arguments: &[&str]) -> Ran {
        let folder = tempfile::tempdir().expect("a folder");
        if Path::new(&self.program).is_absolute() {
            symlink(&self.program, folder.path().join("kubectl")).expect("a link to kubectl");
        }
        let path = env::var("PATH").expect("PATH in UTF-8");
        let mut plugin = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("k8s/kubectl-knock"));
        plugin.args(arguments).env("PATH", format!("{}:{path}", folder.path().display()));
        runs(&mut plugin, format!("kubectl knock {}", arguments.join(" ")), "")
    }

    /// Runs a call that must succeed, and returns its stdout.
    #[track_caller]
    pub fn must(&self, arguments: &[&str]) -> String {
        self.run(arguments).succeeds().stdout
    }

    /// Creates or changes the objects of `text`, YAML or JSON.
    #[track_caller]
    pub fn apply(&self, options: &[&str], text: &str) -> String {
        self.run_with(&[&["apply", "-f", "-"], options].concat(), text).succeeds().stdout
    }

    /// Runs a call that prints JSON, and parses it.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let stdout = self.must(&[arguments, &["-o", "json"]].concat());
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error} in {stdout}"))
    }

    /// Starts a call that keeps running, with its stdout in `output`.
    pub fn starts(&self, arguments: &[&str], output: File) -> Child {
        let mut command = Command::new(&self.program);
        command.args(arguments).stdin(Stdio::null()).stdout(output).stderr(Stdio::null());
        command.spawn().expect("start kubectl")
    }
}

impl Ran {
    /// The whole call, for a failed assertion.
    pub fn transcript(&self) -> String {
        let code = self.code.map_or_else(|| "a signal".to_owned(), |code| code.to_string());
        format!("{}\nended with {code}\n--- stdout\n{}--- stderr\n{}", self.call, self.stdout, self.stderr)
    }

    #[track_caller]
    pub fn succeeds(self) -> Self {
        self.ends_with(0)
    }

    /// With `kubectl exec` this is the exit code of the command that was executed.
    #[track_caller]
    pub fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.transcript());
        self
    }

    /// Its stdout, parsed as one JSON object.
    #[track_caller]
    pub fn object(&self) -> Value {
        serde_json::from_str(self.stdout.trim())
            .unwrap_or_else(|error| panic!("{error}: {}", self.transcript()))
    }
}

/// Runs it to its end.
#[track_caller]
fn runs(command: &mut Command, call: String, input: &str) -> Ran {
    // Files, because a pipe that is full would block the child until it is read.
    let file = |content: &str| {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(content.as_bytes()).expect("write a temporary file");
        file.rewind().expect("rewind a temporary file");
        file
    };
    let (stdout, stderr) = (file(""), file(""));
    let share = |file: &File| Stdio::from(file.try_clone().expect("share a file"));
    let mut child = command
        .stdin(file(input))
        .stdout(share(&stdout))
        .stderr(share(&stderr))
        .spawn()
        .unwrap_or_else(|error| panic!("start {call}: {error}"));
    let code = ends(&mut child, &call);
    let text = |mut file: File| {
        let mut bytes = Vec::new();
        file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("read a temporary file");
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Ran { call, code, stdout: text(stdout), stderr: text(stderr) }
}

#[track_caller]
fn ends(child: &mut Child, call: &str) -> Option<i32> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("wait for kubectl") {
            return status.code();
        }
        if start.elapsed() > PATIENCE {
            drop(child.kill());
            drop(child.wait());
            panic!("{call} does not end");
        }
        thread::sleep(Duration::from_millis(20));
    }
}
