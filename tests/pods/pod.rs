//! A pod as `kubectl get pod -o yaml` shows it, and the pods that rows create.

use serde_json::{Value, json};

/// One pod.
pub struct Pod(pub Value);

/// The status of one of its containers, init containers or ephemeral containers.
#[derive(Debug)]
pub struct Container {
    pub state: State,
    /// How it ended before it was last restarted.
    pub last: Option<Ended>,
    pub restarts: u64,
    pub ready: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub enum State {
    /// It does not run yet, or is about to be restarted. With the kubelet's reason.
    Waiting(String),
    Running,
    Ended(Ended),
}

/// How a container ended.
#[derive(Debug, PartialEq, Eq, Clone)]
pub struct Ended {
    pub code: u64,
    /// The termination message; empty if none was written.
    pub message: String,
    /// The kubelet removed the container before it had reported how it ended, and filled in the rest.
    pub is_lost: bool,
}

impl Pod {
    pub fn name(&self) -> &str {
        self.0["metadata"]["name"].as_str().expect("a name")
    }

    pub fn uid(&self) -> &str {
        self.0["metadata"]["uid"].as_str().expect("a uid")
    }

    pub fn phase(&self) -> &str {
        self.0["status"]["phase"].as_str().unwrap_or("Unknown")
    }

    pub fn is_ready(&self) -> bool {
        self.0["status"]["conditions"].as_array().is_some_and(|conditions| {
            conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
        })
    }

    /// A container, init container or ephemeral container.
    ///
    /// # Errors
    /// While the kubelet has not reported its status.
    pub fn container(&self, name: &str) -> Result<Container, String> {
        let statuses = ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"];
        statuses
            .iter()
            .filter_map(|list| self.0["status"][list].as_array())
            .flatten()
            .find(|status| status["name"] == name)
            .map(Container::of)
            .ok_or_else(|| format!("nothing is known of {name} yet: {}", self.summary()))
    }

    /// The status of all its containers, for messages.
    pub fn summary(&self) -> String {
        format!("{} {}: {}", self.name(), self.phase(), self.0["status"])
    }
}

impl Container {
    fn of(status: &Value) -> Self {
        let ended = |state: &Value| {
            state.get("terminated").map(|end| Ended {
                code: end["exitCode"].as_u64().expect("an exit code"),
                message: end["message"].as_str().unwrap_or_default().to_owned(),
                is_lost: end["reason"] == "ContainerStatusUnknown",
            })
        };
        let state = &status["state"];
        let state = match (ended(state), state.get("running")) {
            (Some(end), _) => State::Ended(end),
            (None, Some(_)) => State::Running,
            (None, None) => {
                State::Waiting(state["waiting"]["reason"].as_str().unwrap_or_default().to_owned())
            }
        };
        Container {
            state,
            last: ended(&status["lastState"]),
            restarts: status["restartCount"].as_u64().unwrap_or_default(),
            ready: status["ready"] == true,
        }
    }

    /// How it ended.
    ///
    /// # Errors
    /// While it has not ended.
    pub fn ended(self) -> Result<Ended, String> {
        match self.state {
            State::Ended(end) => Ok(end),
            State::Waiting(_) | State::Running => Err(format!("it has not ended: {self:?}")),
        }
    }

    /// Checks that it runs, for the first time.
    ///
    /// # Errors
    /// While it does not.
    pub fn runs_at_first(&self) -> Result<(), String> {
        if self.state == State::Running && self.restarts == 0 {
            Ok(())
        } else {
            Err(format!("not running for the first time: {self:?}"))
        }
    }
}

impl Ended {
    /// Checks the code and the termination message: none for 0, otherwise one that begins with the name of the
    /// code and the code. `monitor` writes none, and neither does a process that a signal ended.
    #[track_caller]
    pub fn is(&self, code: u64, name: &str) {
        assert_eq!(self.code, code, "{self:?}");
        if name.is_empty() {
            assert_eq!(self.message, "", "a termination message");
        } else {
            let begins = format!("{name} ({code})");
            assert!(self.message.starts_with(&begins), "no termination message of {begins}: {self:?}");
            assert!(self.message.len() <= 1024, "{} bytes", self.message.len());
        }
    }
}

/// A pod whose only container, `kubeknock`, runs the image with these arguments once, as confined as the pods
/// of `k8s/`, as the service account `k-sa-1`.
pub fn knocker(name: &str, image: &str, arguments: &[&str]) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "serviceAccountName": "k-sa-1",
            "restartPolicy": "Never",
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 65532,
                "runAsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container("kubeknock", image, arguments)],
        },
    })
}

/// The only container of such a pod.
pub fn container(name: &str, image: &str, arguments: &[&str]) -> Value {
    json!({
        "name": name,
        "image": image,
        "args": arguments,
        "resources": {
            "requests": {"cpu": "5m", "memory": "4Mi"},
            "limits": {"cpu": "100m", "memory": "16Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        },
    })
}
