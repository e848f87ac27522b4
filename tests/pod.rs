//! Runs the built binary as a pod would, with a cleared environment, and holds what it gave: exit code,
//! stdout and stderr together, and that no token is in either.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::cluster::World;

/// A service account mount: a folder with `token`, `ca.crt` and `namespace`.
pub struct Pod {
    server: String,
    mount: TempDir,
}

impl Pod {
    /// As a pod of that service account stands in front of that cluster.
    pub fn of(world: &impl World, namespace: &str, service_account: &str) -> Self {
        let mount = tempfile::tempdir().expect("a folder for the mount");
        world.mount(mount.path(), namespace, service_account);
        Pod { server: world.server(), mount }
    }

    /// The same with another file `name` in the mount.
    pub fn with_file(self, name: &str, content: &str) -> Self {
        std::fs::write(self.mount().join(name), content).expect("write into the mount");
        self
    }

    /// The same without the file `name` in the mount.
    pub fn without_file(self, name: &str) -> Self {
        std::fs::remove_file(self.mount().join(name)).expect("remove from the mount");
        self
    }

    /// The same, with its API server elsewhere.
    pub fn at_server(mut self, server: &str) -> Self {
        server.clone_into(&mut self.server);
        self
    }

    pub fn mount(&self) -> &Path {
        self.mount.path()
    }

    /// The bearer token, if there is one.
    pub fn token(&self) -> Option<String> {
        let content = std::fs::read_to_string(self.mount().join("token")).ok()?;
        Some(content.trim().to_owned()).filter(|token| !token.is_empty())
    }

    /// Runs `kubeknock ARGUMENTS` with the server and the mount given by options.
    pub fn runs(&self, arguments: &[&str]) -> Knock {
        let mut all: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        all.extend(["--server".into(), self.server.clone().into()]);
        all.extend(["--service-account-dir".into(), self.mount().into()]);
        let start = Instant::now();
        let output = Command::new(env!("CARGO_BIN_EXE_kubeknock"))
            .args(&all)
            .env_clear()
            .output()
            .expect("run kubeknock");
        let took = start.elapsed();
        let knock = Knock {
            line: format!("kubeknock {}", arguments.join(" ")),
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("stdout in UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr in UTF-8"),
            took,
        };
        if let Some(token) = self.token() {
            let shown = [&knock.stdout, &knock.stderr].iter().any(|text| text.contains(&token));
            assert!(!shown, "the token is in the output\n{}", knock.story());
        }
        knock
    }
}

/// One run of the binary, over.
#[derive(Debug)]
pub struct Knock {
    line: String,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

/// What stderr has to be.
#[derive(Clone, Copy, Debug)]
pub enum Stderr {
    Empty,
    Any,
    Has(&'static str),
}

impl Knock {
    /// Panics, with everything there is, unless it ended with `code`, each of `stdout` is in its stdout, and
    /// its stderr is as wanted.
    #[track_caller]
    pub fn gives(self, code: i32, stdout: &[&str], stderr: Stderr) -> Self {
        let mut faults = Vec::new();
        if self.code != Some(code) {
            faults.push(format!("exit code {:?}, wanted {code}", self.code));
        }
        for &text in stdout {
            if !self.stdout.contains(text) {
                faults.push(format!("no {text:?} on stdout"));
            }
        }
        let stderr_fits = match stderr {
            Stderr::Empty => self.stderr.is_empty(),
            Stderr::Any => true,
            Stderr::Has(text) => self.stderr.contains(text),
        };
        if !stderr_fits {
            faults.push(format!("stderr is not {stderr:?}"));
        }
        assert!(faults.is_empty(), "{}\n{}", faults.join("\n"), self.story());
        self
    }

    /// The whole run, to read.
    pub fn story(&self) -> String {
        let Knock { line, code, stdout, stderr, took } = self;
        format!("$ {line}\n--- stdout\n{stdout}--- stderr\n{stderr}--- exit code {code:?} after {took:?}")
    }
}
