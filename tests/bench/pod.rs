//! A pod of the real cluster, and the commands that run in it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use testbed::{RealCluster, World, kubeconfig};

/// The namespace of the pod.
pub const NAMESPACE: &str = "ns-1";
/// Its service account.
pub const ACCOUNT: &str = "k-sa-1";

/// The files and variables of a pod, and the commands that use them.
pub struct Pod {
    /// The static binary.
    pub binary: PathBuf,
    kubectl: PathBuf,
    server: String,
    mount: TempDir,
    home: TempDir,
}

impl Pod {
    pub fn of(cluster: &RealCluster) -> Self {
        let mount = tempfile::tempdir().expect("a folder for the mount");
        cluster.mount(mount.path(), NAMESPACE, ACCOUNT);
        let binary = env::var_os("KUBEKNOCK_BINARY").expect("KUBEKNOCK_BINARY names the static binary");
        Pod {
            binary: binary.into(),
            kubectl: cluster.kubectl(),
            server: cluster.server(),
            mount,
            home: tempfile::tempdir().expect("a folder for kubectl's cache"),
        }
    }

    pub fn command(&self, program: &Path) -> Command {
        let (host, port) = self.server.trim_start_matches("https://").rsplit_once(':').expect("a port");
        let mut command = Command::new(program);
        command.env_clear().envs([("KUBERNETES_SERVICE_HOST", host), ("KUBERNETES_SERVICE_PORT", port)]);
        command
    }

    /// `kubeknock` with these arguments.
    pub fn runs(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(&self.binary);
        command.args(arguments).arg("--service-account-dir").arg(self.mount.path());
        command
    }

    /// `kubeknock check` of this many permissions, all of them allowed.
    pub fn kubeknock(&self, permissions: usize) -> Command {
        let mut command = self.command(&self.binary);
        command.arg("check").arg("--service-account-dir").arg(self.mount.path());
        command.args((1..=permissions).map(|number| format!("list pods in ns-{number}")));
        command
    }

    /// The two `curl` commands of the tutorial, without a shell.
    pub fn curl(&self) -> Vec<Command> {
        let token = fs::read_to_string(self.mount.path().join("token")).expect("the token");
        let headers = self.home.path().join("headers");
        fs::write(&headers, format!("Authorization: Bearer {}\n", token.trim())).expect("write");
        let url = format!("{}/api/v1/namespaces/{NAMESPACE}/pods", self.server);
        let curl = |more: &[String]| {
            let mut command = self.command(Path::new("curl"));
            command.args(["-s", "-i", "-k"]).args(more).arg(&url);
            command
        };
        let with_token = curl(&["-H".to_owned(), format!("@{}", headers.display())]);
        let both = vec![curl(&[]), with_token];
        for (mut command, status) in both.iter().map(copy).zip([" 403", " 200"]) {
            let answer = command.output().expect("run curl").stdout;
            let answer = String::from_utf8_lossy(&answer).into_owned();
            let line = answer.lines().next().unwrap_or_default();
            assert!(line.contains(status), "curl was answered {line:?}, not {status}");
        }
        both
    }

    /// `kubectl` with a kubeconfig, because the mount is not where kubectl looks for it.
    pub fn kubectl(&self) -> Command {
        let config = kubeconfig(self.mount.path(), &self.server, NAMESPACE);
        let file = self.home.path().join("kubeconfig");
        fs::write(&file, config).expect("write a kubeconfig");
        let mut command = self.command(&self.kubectl);
        command.env("HOME", self.home.path()).env("KUBECONFIG", file).args(["auth", "can-i", "list", "pods"]);
        command
    }

    pub fn instructions(&self, permissions: usize) -> u64 {
        let options = ["--tool=callgrind", "--callgrind-out-file=/dev/null"];
        let mut counted = under("valgrind", &self.kubeknock(permissions), &options, None);
        let output = counted.output().expect("run valgrind");
        let report = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{report}");
        let collected = report.lines().find_map(|line| line.split_once("Collected : ")).expect("a count").1;
        collected.trim().parse().expect("a number")
    }

    pub fn server_version(&self) -> String {
        let mut command = self.command(&self.binary);
        command.args(["get", "/version", "--service-account-dir"]).arg(self.mount.path());
        let answer = command.output().expect("ask for the version").stdout;
        let version: serde_json::Value = serde_json::from_slice(&answer).expect("a version");
        format!("kube-apiserver {}", version["gitVersion"].as_str().expect("gitVersion"))
    }
}

/// A copy of a command, to run separately.
fn copy(command: &Command) -> Command {
    under("env", command, &[], None)
}

/// `command`, run by `tool OPTIONS [FILE]`.
pub fn under(tool: &str, command: &Command, options: &[&str], file: Option<&Path>) -> Command {
    let mut under = Command::new(tool);
    under.args(options).args(file).arg(command.get_program()).args(command.get_args()).env_clear();
    under.env("PATH", env::var_os("PATH").unwrap_or_default());
    under.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    under
}
