//! The cluster that `KUBECONFIG` names: its version, its features, and what this suite may do to it.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::kubectl::Kubectl;
use crate::pod::{container, knocker};
use crate::space::{SOON, ensure, eventually, this_run};

/// A cluster, and the image under test.
pub struct Cluster {
    pub kubectl: Kubectl,
    /// The image, as a pod names it.
    pub image: String,
    /// The server's version, such as `v1.36.2`.
    pub version: String,
    /// The minor version, such as 36.
    pub minor: u32,
    kubectl_minor: u32,
    nodes: Value,
    control: Option<PathBuf>,
}

/// What a row needs beyond Kubernetes 1.20.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// Init containers with `restartPolicy: Always`.
    Sidecars,
    /// `podFailurePolicy` of a Job.
    FailurePolicy,
    /// `restartPolicyRules` of a container.
    RestartRules,
    /// Their action `RestartAllContainers`.
    RestartAllContainers,
    /// A volume that is an image.
    ImageVolumes,
    /// Ephemeral containers, and the profiles of `kubectl debug`.
    Debug,
    /// What the plugin `kubectl knock` needs of kubectl.
    Knock,
    /// Enforcement of the namespace label `pod-security.kubernetes.io/enforce`.
    PodSecurity,
    /// `hostUsers: false`.
    UserNamespaces,
    /// Services have IPv6 addresses.
    Ipv6,
    /// A program that stops and starts parts of the cluster: `KUBEKNOCK_NODE`.
    Control,
}

/// Why a row is left out.
pub struct Missing {
    pub why: String,
    /// Whether the cluster's version should have the feature.
    pub is_due: bool,
}

impl Cluster {
    /// Asks the server for its version.
    pub fn look(image: String) -> Self {
        let kubectl = Kubectl::from_environment();
        let versions = kubectl.json(&["version"]);
        // Some providers add a plus sign, as in `34+`.
        let minor = |side: &str| -> u32 {
            let minor = versions[side]["minor"].as_str().unwrap_or_else(|| panic!("no {side} in {versions}"));
            minor.trim_end_matches('+').parse().expect("a number")
        };
        let control = env::var_os("KUBEKNOCK_NODE").filter(|path| !path.is_empty());
        Cluster {
            image,
            version: versions["serverVersion"]["gitVersion"].as_str().expect("a version").to_owned(),
            minor: minor("serverVersion"),
            kubectl_minor: minor("clientVersion"),
            nodes: kubectl.json(&["get", "nodes"]),
            control: control.map(PathBuf::from),
            kubectl,
        }
    }

    /// The cluster and the image, in one line.
    pub fn introduction(&self) -> String {
        let info = &self.nodes["items"][0]["status"]["nodeInfo"];
        let of = |field: &str| info[field].as_str().unwrap_or("?").to_owned();
        format!(
            "Kubernetes {}, kubelet {}, {}, Linux {}, kubectl 1.{}, image {}",
            self.version,
            of("kubeletVersion"),
            of("containerRuntimeVersion"),
            of("kernelVersion"),
            self.kubectl_minor,
            self.image
        )
    }

    /// Whether the cluster has the feature.
    pub fn has(&self, need: Need) -> bool {
        self.lacks(need).is_none()
    }

    /// The missing feature. `None`: the cluster has it.
    pub fn lacks(&self, need: Need) -> Option<Missing> {
        let since = match need {
            Need::Sidecars => Some(29),
            Need::FailurePolicy => Some(26),
            Need::RestartRules | Need::ImageVolumes => Some(35),
            Need::RestartAllContainers => Some(36),
            Need::Debug | Need::Knock | Need::PodSecurity => Some(25),
            Need::UserNamespaces | Need::Ipv6 | Need::Control => None,
        };
        let why = self.ask(need, since.unwrap_or_default()).err()?;
        Some(Missing { why, is_due: since.is_some_and(|since| self.minor >= since) })
    }

    fn ask(&self, need: Need, since: u32) -> Result<(), String> {
        ensure(self.minor >= since, || format!("Kubernetes 1.{since} or later"))?;
        match need {
            Need::Sidecars => {
                let mut pod = self.pod();
                pod["spec"]["initContainers"] = json!([container("first", &self.image, &[])]);
                pod["spec"]["initContainers"][0]["restartPolicy"] = "Always".into();
                self.keeps(&pod, "/spec/initContainers/0/restartPolicy")
            }
            Need::FailurePolicy => {
                let rule = json!({
                    "action": "FailJob",
                    "onExitCodes": {"containerName": "kubeknock", "operator": "In", "values": [10]},
                });
                let template = json!({"spec": self.pod()["spec"]});
                let spec = json!({"template": template, "podFailurePolicy": {"rules": [rule]}});
                let job = json!({
                    "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "asked"}, "spec": spec,
                });
                self.keeps(&job, "/spec/podFailurePolicy/rules/0")
            }
            Need::RestartRules | Need::RestartAllContainers => {
                let mut pod = self.pod();
                let action = if need == Need::RestartRules { "Restart" } else { "RestartAllContainers" };
                let rule = json!({"action": action, "exitCodes": {"operator": "In", "values": [21]}});
                pod["spec"]["containers"][0]["restartPolicy"] = "Never".into();
                pod["spec"]["containers"][0]["restartPolicyRules"] = json!([rule]);
                self.keeps(&pod, "/spec/containers/0/restartPolicyRules/0")
            }
            Need::ImageVolumes => {
                let mut pod = self.pod();
                pod["spec"]["volumes"] = json!([{"name": "image", "image": {"reference": self.image}}]);
                self.keeps(&pod, "/spec/volumes/0/image/reference")
            }
            Need::Debug => {
                ensure(self.kubectl_minor >= 30, || "kubectl 1.30 or later, for its profiles".to_owned())
            }
            Need::Knock => {
                ensure(self.kubectl_minor >= 31, || "kubectl 1.31 or later, for --custom".to_owned())
            }
            Need::PodSecurity => Ok(()),
            Need::UserNamespaces => {
                let handlers = self.nodes["items"][0]["status"]["runtimeHandlers"].as_array();
                let able = |handler: &Value| handler["features"]["userNamespaces"] == true;
                let able = handlers.is_some_and(|handlers| handlers.iter().any(able));
                ensure(able, || "a runtime that the node says can do it".to_owned())
            }
            Need::Ipv6 => {
                let service = self.kubectl.json(&["--namespace=default", "get", "service", "kubernetes"]);
                let addresses = &service["spec"]["clusterIP"];
                ensure(addresses.as_str().is_some_and(|address| address.contains(':')), || {
                    format!("an API server with an IPv6 address; it is at {addresses}")
                })
            }
            Need::Control => ensure(self.control.is_some(), || {
                "KUBEKNOCK_NODE, a program that stops and starts the API server (.ci/node)".to_owned()
            }),
        }
    }

    /// A pod that any API server accepts, to test features with.
    fn pod(&self) -> Value {
        let mut pod = knocker("asked", &self.image, &["check", "get /version"]);
        pod["spec"]["serviceAccountName"] = "default".into();
        pod
    }

    /// Whether the API server keeps a field: one that it does not know, or that is disabled, is dropped or
    /// refused.
    fn keeps(&self, object: &Value, field: &str) -> Result<(), String> {
        assert!(object.pointer(field).is_some(), "{field} is not in {object}");
        let options =
            ["create", "--dry-run=server", "--validate=false", "--namespace=default", "-o=json", "-f", "-"];
        let ran = self.kubectl.run_with(&options, &object.to_string());
        ensure(ran.code == Some(0), || format!("accepted; the API server said: {}", ran.stderr.trim()))?;
        ensure(ran.object().pointer(field).is_some(), || format!("{field} kept; the API server left it out"))
    }

    /// Runs `KUBEKNOCK_NODE` with these arguments.
    #[track_caller]
    pub fn control(&self, arguments: &[&str]) {
        let program = self.control.as_ref().expect("a row that needs control");
        let output = Command::new(program).args(arguments).output().expect("start the node's program");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} {arguments:?}: {stderr}", program.display());
    }

    /// The peak memory of the cgroup of a pod's only container, in bytes. `None` unless the pod runs on this
    /// machine and the kernel counts it.
    pub fn peak_memory(&self, uid: &str) -> Option<u64> {
        self.control.as_ref()?;
        let uids = [uid.to_owned(), uid.replace('-', "_")];
        let processes = fs::read_dir("/proc").ok()?.flatten();
        let peak = |process: PathBuf| {
            let program = fs::read(process.join("cmdline")).ok()?;
            let groups = fs::read_to_string(process.join("cgroup")).ok()?;
            if !program.starts_with(b"/kubeknock\0") || !uids.iter().any(|uid| groups.contains(uid)) {
                return None;
            }
            groups.lines().find_map(|line| {
                let mut parts = line.splitn(3, ':').skip(1);
                let (controller, group) = (parts.next()?, parts.next()?.trim_start_matches('/'));
                let file = match controller {
                    "memory" => format!("/sys/fs/cgroup/memory/{group}/memory.max_usage_in_bytes"),
                    "" => format!("/sys/fs/cgroup/{group}/memory.peak"),
                    _ => return None,
                };
                fs::read_to_string(file).ok()?.trim().parse().ok()
            })
        };
        processes.map(|process| process.path()).find_map(peak)
    }

    /// Waits until every namespace of this run has been deleted.
    pub fn is_left_as_it_was(&self) {
        eventually("all namespaces of this run are gone", SOON * 2, || {
            let left = self.kubectl.json(&["get", "namespaces", "-l", &this_run()]);
            ensure(left["items"].as_array().is_some_and(Vec::is_empty), || left.to_string())
        });
    }
}
