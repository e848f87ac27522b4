//! Runs the built binary as a pod does, with an empty environment, and checks its exit code, stdout and stderr
//! together, and that neither output shows a token.

use std::ffi::OsStr;
use std::marker::PhantomData;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::faults::Listener;
use crate::mount::write_mount;
use crate::program::Program;
use crate::schema;
use crate::screen;
use crate::world::World;

/// A token that no cluster accepts, of `ns-1/k-sa-1`, without an expiry time.
const FOREIGN_TOKEN: &str =
    "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6bnMtMTprLXNhLTEifQ.c2lnbmF0dXJl";

/// A service account mount (a folder with `token`, `ca.crt` and `namespace`), an API server, and the program
/// that runs with them.
pub struct Pod<P> {
    server: String,
    mount: TempDir,
    program: PhantomData<P>,
}

impl<P: Program> Pod<P> {
    /// A pod of this service account in this cluster.
    pub fn of(world: &impl World, namespace: &str, service_account: &str) -> Self {
        let mount = tempfile::tempdir().expect("a folder for the mount");
        world.mount(mount.path(), namespace, service_account);
        Pod { server: world.server(), mount, program: PhantomData }
    }

    /// A pod with these three files, whose API server is at this URL.
    pub fn at(server: &str, token: &str, ca_pem: &str, namespace: &str) -> Self {
        let mount = tempfile::tempdir().expect("a folder for the mount");
        write_mount(mount.path(), token, ca_pem, namespace);
        Pod { server: server.to_owned(), mount, program: PhantomData }
    }

    /// A pod of `ns-1/k-sa-1` whose API server is this listener.
    pub fn in_front_of(listener: &Listener) -> Self {
        Self::at(&listener.server(), FOREIGN_TOKEN, &listener.ca_pem(), "ns-1")
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

    /// The same, with its API server at another URL.
    pub fn at_server(mut self, server: &str) -> Self {
        server.clone_into(&mut self.server);
        self
    }

    /// The folder of the mount.
    pub fn mount(&self) -> &Path {
        self.mount.path()
    }

    /// The bearer token, if there is one.
    pub fn token(&self) -> Option<String> {
        let content = std::fs::read_to_string(self.mount().join("token")).ok()?;
        Some(content.trim().to_owned()).filter(|token| !token.is_empty())
    }

    /// `kubeknock ARGUMENTS` with the server and the mount given by options, and no environment.
    pub fn command(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = P::command(arguments);
        command.args(["--server", &self.server]).arg("--service-account-dir").arg(self.mount());
        command
    }

    /// Runs `kubeknock ARGUMENTS` with the server and the mount given by options.
    pub fn runs(&self, arguments: &[&str]) -> Finished {
        self.run(&mut self.command(arguments))
    }

    /// Runs a command to its end. Panics if the output shows the token.
    pub fn run(&self, command: &mut Command) -> Finished {
        let start = Instant::now();
        let output = command.output().expect("run kubeknock");
        self.ended(command, output, start.elapsed())
    }

    /// The result of a command. Panics if the output shows the token.
    pub fn ended(&self, command: &Command, output: Output, took: Duration) -> Finished {
        let words: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
        let program = Path::new(command.get_program()).file_name().unwrap_or_default();
        let authority = self.server.rsplit('/').next().unwrap_or_default();
        let finished = Finished {
            line: format!("{} {}", program.display(), words.join(" ")),
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("stdout in UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr in UTF-8"),
            took,
            places: vec![(authority.to_owned(), "SERVER"), (self.mount().display().to_string(), "MOUNT")],
        };
        schema::holds(&finished.stdout);
        screen::fits(&finished.line, &finished.plain(&finished.stdout));
        screen::fits(&finished.line, &finished.plain(&finished.stderr));
        if let Some(token) = self.token() {
            let shown = [&finished.stdout, &finished.stderr].iter().any(|text| text.contains(&token));
            assert!(!shown, "the token is in the output\n{}", finished.transcript());
        }
        finished
    }
}

/// One run of the binary that has ended.
#[derive(Debug)]
pub struct Finished {
    line: String,
    /// Its exit code. `None`: a signal ended it.
    pub code: Option<i32>,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
    /// How long it ran.
    pub took: Duration,
    /// Texts that are different in each run, and their placeholders in [`Finished::is`].
    places: Vec<(String, &'static str)>,
}

/// What stderr must be.
#[derive(Clone, Copy, Debug)]
pub enum Stderr {
    /// Nothing.
    Empty,
    /// Anything.
    Any,
    /// A text that contains this.
    Has(&'static str),
}

impl Finished {
    /// Panics, and prints the whole run, unless its exit code is `code`, its stdout contains each text of
    /// `stdout`, and its stderr is as given.
    #[track_caller]
    pub fn gives(self, code: i32, stdout: &[&str], stderr: Stderr) -> Self {
        let mut faults = Vec::new();
        if self.code != Some(code) {
            faults.push(format!("exit code {:?}, expected {code}", self.code));
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
        assert!(faults.is_empty(), "{}\n{}", faults.join("\n"), self.transcript());
        self
    }

    /// Panics, and prints the whole run, unless its exit code is `code` and its output is exactly this, where
    /// `SERVER` stands for the server's host and port, `MOUNT` for the service account mount, and `N ms` for
    /// any number of milliseconds.
    #[track_caller]
    pub fn is(self, code: i32, stdout: &str, stderr: &str) -> Self {
        let (stdout_now, stderr_now) = (self.plain(&self.stdout), self.plain(&self.stderr));
        let same = self.code == Some(code) && stdout_now == stdout && stderr_now == stderr;
        assert!(
            same,
            "expected\n--- stdout\n{stdout}--- stderr\n{stderr}--- exit code {code}\n\nbut\n{}",
            Finished { stdout: stdout_now, stderr: stderr_now, ..self }.transcript()
        );
        self
    }

    /// Panics unless stdout is empty.
    #[track_caller]
    pub fn has_no_stdout(self) -> Self {
        assert!(self.stdout.is_empty(), "{}", self.transcript());
        self
    }

    /// Replaces what is different in each run by its placeholder.
    pub fn plain(&self, text: &str) -> String {
        let places = self.places.iter().filter(|(place, _)| !place.is_empty());
        let text = places.fold(text.to_owned(), |text, (place, name)| text.replace(place, name));
        let mut plain = String::new();
        for part in text.split_inclusive(" ms)") {
            match part.strip_suffix(" ms)").and_then(|rest| rest.rsplit_once('(')) {
                Some((before, digits)) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                    plain.push_str(before);
                    plain.push_str("(N ms)");
                }
                _ => plain.push_str(part),
            }
        }
        plain
    }

    /// The whole run: command line, stdout, stderr, exit code and duration.
    pub fn transcript(&self) -> String {
        let Finished { line, code, stdout, stderr, took, .. } = self;
        format!("$ {line}\n--- stdout\n{stdout}--- stderr\n{stderr}--- exit code {code:?} after {took:?}")
    }
}
