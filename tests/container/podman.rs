//! A pod of one container, run by podman: the image, and what the kubelet provides around it. The token must be
//! nowhere in the output, in podman's logs, or in what podman stores about the container.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use testbed::{Finished, RealCluster, Running, World, eventually, write_mount_with};

use crate::Pod;

pub const ACCOUNT: &str = "k-sa-1";
/// The path at which the kubelet mounts it.
pub const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const TERMINATION_LOG: &str = "/dev/termination-log";

/// The options of every container: the `securityContext` of the manifests, their memory limit, no name server,
/// no hosts file, and the API server on loopback. Podman ends it after two minutes, even if the test is gone.
const CONFINED: &[&str] = &[
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--memory=16m",
    "--memory-swap=16m",
    "--network=host",
    "--dns=none",
    "--no-hosts",
    "--passwd=false",
    "--ulimit=nofile=1024:1024",
    "--ulimit=nproc=1024:1024",
    "--pull=never",
    "--log-driver=k8s-file",
    "--timeout=120",
];

/// The user that runs the container.
#[derive(Clone, Copy, Debug)]
pub struct User {
    /// `runAsUser` and `runAsGroup`. `None`: the image's own user.
    pub asked: Option<&'static str>,
    pub uid: u32,
    pub gid: u32,
    pub token: TokenFile,
}

/// The owner, group and mode of the token file.
#[derive(Clone, Copy, Debug)]
pub struct TokenFile {
    pub uid: u32,
    pub gid: u32,
    pub mode: u32,
}

/// The image's own user, and a token that every user may read. The kubelet writes the token like that if no
/// container of the pod has a `runAsUser`.
pub const OWN_USER: User =
    User { asked: None, uid: 65532, gid: 65532, token: TokenFile { uid: 0, gid: 0, mode: 0o644 } };

/// A user from a range, as `OpenShift` assigns them, who owns the token. The kubelet writes the token like that
/// if all containers of the pod have the same `runAsUser`.
pub const OTHER_USER: User = User {
    asked: Some("1000650000:0"),
    uid: 1_000_650_000,
    gid: 0,
    token: TokenFile { uid: 1_000_650_000, gid: 0, mode: 0o600 },
};

/// A pod of one container. Each run is a new container.
pub struct Container {
    pod: Pod,
    namespace: String,
    user: User,
    options: Vec<String>,
    folder: TempDir,
}

impl Container {
    /// A pod of the service account [`ACCOUNT`] in `namespace`.
    pub fn of(cluster: &RealCluster, namespace: &str, user: User) -> Self {
        let container = Container {
            pod: Pod::of(cluster, namespace, ACCOUNT),
            namespace: namespace.to_owned(),
            user,
            options: Vec::new(),
            folder: tempfile::tempdir().expect("a folder for the termination log"),
        };
        // The kubelet mounts a tmpfs with this mode.
        allow(container.pod.mount(), 0o1777);
        container.rotate(&container.pod.token().expect("a token"), &cluster.ca_pem());
        fs::write(container.log(), "").expect("make the termination log");
        allow(&container.log(), 0o666);
        let volumes =
            [(container.pod.mount().to_owned(), MOUNT, "ro"), (container.log(), TERMINATION_LOG, "rw")];
        let container = volumes.iter().fold(container, |it, (from, to, mode)| it.with_volume(from, to, mode));
        variables(&cluster.server())
            .iter()
            .fold(container, |it, variable| it.with(&format!("--env={variable}")))
    }

    /// The same with one more option for `podman run`.
    pub fn with(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    /// The same, with a folder or file of this machine mounted at `to`; `mode` is `ro` or `rw`.
    pub fn with_volume(self, from: &Path, to: &str, mode: &str) -> Self {
        self.with(&format!("--volume={}:{to}:{mode}", from.display()))
    }

    /// The same without the variables that name the API server's address.
    pub fn without_variables(mut self) -> Self {
        self.options.retain(|option| !option.starts_with("--env="));
        self
    }

    /// Writes another token and CA bundle into the mount, as the kubelet does: first the modes, then the new
    /// link.
    pub fn rotate(&self, token: &str, ca_pem: &str) {
        let TokenFile { uid, gid, mode } = self.user.token;
        write_mount_with(self.pod.mount(), token, ca_pem, &self.namespace, |folder| {
            allow(folder, 0o755);
            for name in ["ca.crt", "namespace"] {
                allow(&folder.join(name), 0o644);
            }
            allow(&folder.join("token"), mode);
            chown(folder.join("token"), Some(uid), Some(gid)).expect("give the token to somebody (as root)");
        });
    }

    /// Runs `kubeknock ARGUMENTS` as the only process of a container, to its end.
    #[track_caller]
    pub fn runs(&self, arguments: &[&str]) -> Finished {
        let one = One::new();
        let finished = self.pod.run(&mut self.command(&one, arguments));
        let logs = one.ended_by_itself(finished.code, &finished.transcript());
        assert_eq!(
            logs,
            (finished.stdout.clone(), finished.stderr.clone()),
            "podman's logs\n{}",
            finished.transcript()
        );
        finished
    }

    /// Starts it, and returns while it runs.
    #[track_caller]
    pub fn starts(&self, arguments: &[&str]) -> Inside<'_> {
        let one = One::new();
        let mut running = Running::start(&mut self.command(&one, arguments));
        let mut pid = 0;
        eventually("a running container", || {
            pid = one.inspected().and_then(|it| it["State"]["Pid"].as_u64()).unwrap_or_default();
            pid != 0 || running.has_ended()
        });
        if pid == 0 {
            let (stdout, stderr) = running.ends_with(0);
            panic!("it has ended: {stdout}{stderr}");
        }
        Inside { running, one, pid, container: self }
    }

    /// The content of the termination log, which must be the file that was mounted there.
    pub fn termination_message(&self) -> String {
        let metadata = fs::metadata(self.log()).expect("the termination log");
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o666, "the mode of the termination log");
        let message = fs::read_to_string(self.log()).expect("the termination log");
        assert_no_token(&message, "the termination log");
        message
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("termination-log")
    }

    fn command(&self, one: &One, arguments: &[&str]) -> Command {
        let mut command = podman(["run", "--name", &one.0]);
        command.args(CONFINED).args(&self.options);
        if let Some(user) = self.user.asked {
            command.args(["--user", user]);
        }
        command.arg(env::var_os("KUBEKNOCK_IMAGE").expect("KUBEKNOCK_IMAGE names the image"));
        command.args(arguments);
        command
    }
}

/// A running container.
pub struct Inside<'a> {
    running: Running,
    one: One,
    pid: u64,
    container: &'a Container,
}

impl Inside<'_> {
    /// Waits for a line on stderr that contains `text`.
    #[track_caller]
    pub fn complains(&self, text: &str) {
        self.running.complains(text);
    }

    /// Waits for a line on stdout that contains `text`.
    #[track_caller]
    pub fn prints(&self, text: &str) {
        self.running.prints(text);
    }

    /// A file of its first process, seen from this machine: `/proc/PID/NAME`.
    pub fn process(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.pid.to_string()).join(name)
    }

    /// A line of `/proc/PID/status`, with single spaces.
    pub fn status(&self, field: &str) -> String {
        let status = fs::read_to_string(self.process("status")).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {field} in\n{status}"))
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// A number of its memory cgroup, by its name in version 1 or version 2 of cgroups.
    pub fn memory(&self, v1: &str, v2: &str) -> u64 {
        let cgroups = fs::read_to_string(self.process("cgroup")).expect("its cgroups");
        let path = |controller: &str| {
            cgroups.lines().find_map(|line| {
                let (_, rest) = line.split_once(':')?;
                let (controllers, path) = rest.split_once(':')?;
                controllers.split(',').any(|it| it == controller).then(|| path.trim_start_matches('/'))
            })
        };
        let file = match path("memory") {
            Some(path) => Path::new("/sys/fs/cgroup/memory").join(path).join(v1),
            None => Path::new("/sys/fs/cgroup").join(path("").expect("a cgroup")).join(v2),
        };
        let number = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        number.trim().parse().unwrap_or_else(|_| panic!("{} is {number:?}", file.display()))
    }

    /// Runs `/kubeknock ARGUMENTS` in the container beside its first process, as an exec probe does.
    pub fn executes(&self, arguments: &[&str]) -> Finished {
        let finished = self.container.pod.run(podman(["exec", &self.one.0, "/kubeknock"]).args(arguments));
        assert_no_token(&finished.transcript(), "the exec");
        finished
    }

    /// `podman kill`: sends one signal to PID 1. Returns how long the container then took to end with this
    /// code.
    #[track_caller]
    pub fn killed(self, signal: &str, code: i32) -> Duration {
        self.ended_by(&["kill", "--signal", signal], code)
    }

    /// `podman stop`, as the kubelet ends a container: SIGTERM, and SIGKILL after 30 seconds.
    #[track_caller]
    pub fn stopped(self, code: i32) -> Duration {
        self.ended_by(&["stop", "--time", "30"], code)
    }

    /// Waits until it ends by itself, with this code.
    #[track_caller]
    pub fn ends(self, code: i32) {
        let (stdout, stderr) = self.running.ends_with(code);
        self.one.ended_by_itself(Some(code), &(stdout + &stderr));
    }

    #[track_caller]
    fn ended_by(self, words: &[&str], code: i32) -> Duration {
        let start = Instant::now();
        output_of(podman(words).arg(&self.one.0));
        self.ends(code);
        start.elapsed()
    }
}

/// The name of one container, which is removed on drop.
struct One(String);

impl One {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        One(format!("kubeknock-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst)))
    }

    /// What podman stores about it. `None`: there is no such container.
    fn inspected(&self) -> Option<Value> {
        let output = podman(["container", "inspect", &self.0]).output().expect("run podman");
        serde_json::from_slice::<Value>(&output.stdout).ok()?.get_mut(0).map(Value::take)
    }

    /// Checks that it ran and ended, and that the exit code is the program's own (podman's codes 125 to 127
    /// leave no such container). Nothing that is left of it may contain a token. Returns its stdout and stderr
    /// from podman's logs.
    #[track_caller]
    fn ended_by_itself(&self, code: Option<i32>, transcript: &str) -> (String, String) {
        let known = self.inspected().unwrap_or_else(|| panic!("there is no container\n{transcript}"));
        let wanted = json!({"Status": "exited", "OOMKilled": false, "Error": "", "ExitCode": code});
        for (field, value) in wanted.as_object().expect("an object") {
            let state = &known["State"];
            assert_eq!(&state[field], value, "{field} of the container: {state}\n{transcript}");
        }
        let (stdout, stderr) = output_of(&mut podman(["logs", &self.0]));
        for text in [transcript, &stdout, &stderr, &known.to_string()] {
            assert_no_token(text, "the container's output, logs, or what podman knows of it");
        }
        (stdout, stderr)
    }
}

impl Drop for One {
    fn drop(&mut self) {
        // The container may not exist.
        drop(podman(["rm", "--force", "--time=0", "--ignore", &self.0]).output());
    }
}

/// `podman WORDS`, with the global options of `PODMAN`.
fn podman(words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let line =
        env::var("PODMAN").ok().filter(|line| !line.trim().is_empty()).unwrap_or_else(|| "podman".into());
    let mut given = line.split_whitespace();
    let mut command = Command::new(given.next().expect("a word"));
    command.args(given).args(words);
    command
}

/// The output of a command that must succeed.
#[track_caller]
fn output_of(command: &mut Command) -> (String, String) {
    let output = command.output().expect("run podman");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{stdout}{stderr}", output.status);
    (stdout, stderr)
}

/// Every service account token is a JWT, and begins with the base64 form of `{"`.
#[track_caller]
fn assert_no_token(text: &str, place: &str) {
    assert!(!text.contains("eyJ"), "a token in {place}:\n{text}");
}

/// The variables that the kubelet sets for the Service `kubernetes`.
fn variables(server: &str) -> [String; 8] {
    let (host, port) = server
        .strip_prefix("https://")
        .and_then(|authority| authority.rsplit_once(':'))
        .expect("https://HOST:PORT");
    [
        format!("KUBERNETES_SERVICE_HOST={host}"),
        format!("KUBERNETES_SERVICE_PORT={port}"),
        format!("KUBERNETES_SERVICE_PORT_HTTPS={port}"),
        format!("KUBERNETES_PORT=tcp://{host}:{port}"),
        format!("KUBERNETES_PORT_{port}_TCP=tcp://{host}:{port}"),
        format!("KUBERNETES_PORT_{port}_TCP_PROTO=tcp"),
        format!("KUBERNETES_PORT_{port}_TCP_PORT={port}"),
        format!("KUBERNETES_PORT_{port}_TCP_ADDR={host}"),
    ]
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("set a mode");
}
