//! A namespace for one row, with the tutorial's service account. It creates and watches objects there, and is
//! deleted with everything in it at the end of the row.

use std::fs;
use std::mem;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::kubectl::Ran;
use crate::pod::{Ended, Pod, State, knocker};

/// The time limit for what takes a kubelet a few seconds, on a busy machine.
pub const SOON: Duration = Duration::from_secs(90);
/// The pause between two attempts.
const POLL: Duration = Duration::from_millis(1500);
/// A label of every namespace of this suite, so that leftovers can be found; its value identifies the run.
pub const LABEL: &str = "kubeknock.test/pods";

/// A finalizer of pods whose end must be observed.
const FINALIZER: &str = "kubeknock.test/seen";

pub const ACCOUNT: &str = "k-sa-1";
pub const PAUSE: &str = "registry.k8s.io/pause:3.10";

/// A namespace that is deleted on drop.
pub struct Space<'a> {
    pub cluster: &'a Cluster,
    pub name: String,
}

/// Repeats `look` until it succeeds, and returns its result. Panics after `within`.
#[track_caller]
pub fn eventually<T>(what: &str, within: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match look() {
            Ok(seen) => return seen,
            Err(why) => assert!(start.elapsed() < within, "not within {within:?}: {what}\n{why}"),
        }
        thread::sleep(POLL);
    }
}

/// Repeats `look` for the whole time. Panics if it fails once.
#[track_caller]
pub fn stays(what: &str, during: Duration, mut look: impl FnMut() -> Result<(), String>) {
    let start = Instant::now();
    while start.elapsed() < during {
        if let Err(why) = look() {
            panic!("no longer so after {:?}: {what}\n{why}", start.elapsed());
        }
        thread::sleep(POLL);
    }
}

/// The label of this run's namespaces.
pub fn this_run() -> String {
    format!("{LABEL}={}", std::process::id())
}

/// Turns a condition into a result, with a message if it is false.
pub fn ensure(condition: bool, why: impl Fn() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(why()) }
}

impl<'a> Space<'a> {
    /// A namespace in which pods must be as confined as those of `k8s/`.
    pub fn new(cluster: &'a Cluster, row: &str) -> Self {
        Self::labelled(cluster, row, "restricted")
    }

    /// A namespace for a pod that needs more privileges.
    pub fn privileged(cluster: &'a Cluster, row: &str) -> Self {
        Self::labelled(cluster, row, "privileged")
    }

    fn labelled(cluster: &'a Cluster, row: &str, level: &str) -> Self {
        let space = Space { cluster, name: format!("kubeknock-{row}-{}", std::process::id()) };
        let labels =
            json!({LABEL: std::process::id().to_string(), "pod-security.kubernetes.io/enforce": level});
        space.cluster.kubectl.apply(
            &[],
            &json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space.name, "labels": labels},
            })
            .to_string(),
        );
        space.kubectl(&["create", "serviceaccount", ACCOUNT]);
        space.account_is_there();
        space
    }

    /// Until Kubernetes 1.24 the token of an account is created a moment later, and pods are refused until
    /// then.
    fn account_is_there(&self) {
        eventually("a service account that pods can use", SOON, || {
            let account = self.get("serviceaccount", ACCOUNT);
            ensure(self.cluster.minor >= 24 || account["secrets"].is_array(), || account.to_string())
        });
    }

    /// The namespace that the manifests name. The manifests create it.
    ///
    /// # Panics
    /// If such a namespace exists that is not this suite's, because it would be deleted.
    pub fn of_the_manifests(cluster: &'a Cluster) -> Self {
        let get = ["get", "namespaces", "--field-selector", "metadata.name=ns-1"];
        let found = || cluster.kubectl.json(&get)["items"][0].clone();
        let space = Space { cluster, name: "ns-1".to_owned() };
        if let Some(labels) = found()["metadata"]["labels"].as_object() {
            if !labels.contains_key(LABEL) {
                // Forgotten, so that it is not deleted.
                mem::forget(space);
                panic!("there is a namespace ns-1, and not of this suite");
            }
            space.let_go();
            cluster.kubectl.run(&["delete", "namespace", "ns-1", "--wait=false"]);
            eventually("ns-1 of an earlier run is gone", SOON, || {
                ensure(found().is_null(), || found().to_string())
            });
        }
        space.tutorial();
        space
    }

    /// Removes this suite's finalizer from pods on which a failed row, or a run that was killed, has left it.
    /// Never panics.
    fn let_go(&self) {
        let columns = r#"jsonpath={range .items[*]}{.metadata.name} {.metadata.finalizers}{"\n"}{end}"#;
        for line in self.run(&["get", "pods", "-o", columns]).stdout.lines() {
            if let (Some((pod, _)), true) = (line.split_once(' '), line.contains(FINALIZER)) {
                self.run(&["patch", "pod", pod, "--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#]);
            }
        }
    }

    /// Creates the objects of `k8s/00-tutorial.yaml`, unchanged.
    pub fn tutorial(&self) {
        self.apply_manifest("00-tutorial.yaml");
        self.cluster.kubectl.must(&["label", "namespace", &self.name, "--overwrite", &this_run()]);
        self.account_is_there();
    }

    /// Deletes the binding of `k8s/00-tutorial.yaml`, as its comment says.
    pub fn without_binding(&self) {
        self.kubectl(&["delete", "rolebinding", "pod-lister-binding"]);
    }

    /// The manifest `k8s/FILE`, unchanged except for the names of namespace and image where they differ.
    pub fn manifest(&self, file: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("k8s").join(file);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        text.replace("ns-1", &self.name).replace("kubeknock:0.1.0", &self.cluster.image)
    }

    /// Runs `kubectl` in this namespace. It must succeed.
    #[track_caller]
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.run(arguments).succeeds().stdout
    }

    /// The same for a call that may fail.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.cluster.kubectl.run(&[&["--namespace", &self.name], arguments].concat())
    }

    #[track_caller]
    pub fn apply_manifest(&self, file: &str) {
        // An old API server drops fields that it does not know; kubectl would refuse them.
        let validate = if self.cluster.minor < 26 { "--validate=false" } else { "--validate=true" };
        self.cluster.kubectl.apply(&[validate], &self.manifest(file));
    }

    #[track_caller]
    pub fn apply(&self, object: &Value) {
        self.cluster.kubectl.apply(&["--namespace", &self.name], &object.to_string());
    }

    #[track_caller]
    pub fn get(&self, kind: &str, name: &str) -> Value {
        self.cluster.kubectl.json(&["--namespace", &self.name, "get", kind, name])
    }

    /// Grants the service account a verb on a resource, with the two lines of the tutorial.
    #[track_caller]
    pub fn grant(&self, verb: &str, resource: &str) {
        let role = format!("{verb}-{resource}");
        self.kubectl(&["create", "role", &role, "--verb", verb, "--resource", resource]);
        let account = format!("{}:{ACCOUNT}", self.name);
        self.kubectl(&["create", "rolebinding", &role, "--role", &role, "--serviceaccount", &account]);
    }

    /// Creates a pod like those of `k8s/`, with these arguments.
    pub fn knocker(&self, name: &str, arguments: &[&str]) -> Value {
        knocker(name, &self.cluster.image, arguments)
    }

    #[track_caller]
    pub fn pod(&self, name: &str) -> Pod {
        Pod(self.get("pod", name))
    }

    /// The pods that the selector selects and that are not being deleted, if there are `count` of them.
    ///
    /// # Errors
    /// While there are fewer or more.
    #[track_caller]
    pub fn pods(&self, selector: &str, count: usize) -> Result<Vec<Pod>, String> {
        let mut pods = self.all_pods(selector);
        pods.retain(|pod| pod.0["metadata"]["deletionTimestamp"].is_null());
        ensure(pods.len() == count, || format!("{} pods of {selector}", pods.len()))?;
        Ok(pods)
    }

    /// All pods that the selector selects.
    #[track_caller]
    pub fn all_pods(&self, selector: &str) -> Vec<Pod> {
        let list = self.cluster.kubectl.json(&["--namespace", &self.name, "get", "pods", "-l", selector]);
        list["items"].as_array().expect("a list of pods").iter().cloned().map(Pod).collect()
    }

    /// Checks each of these pods.
    ///
    /// # Errors
    /// While a check fails.
    #[track_caller]
    pub fn each(
        &self,
        selector: &str,
        count: usize,
        is_so: impl Fn(&Pod) -> Result<(), String>,
    ) -> Result<(), String> {
        self.pods(selector, count)?.iter().try_for_each(is_so)
    }

    /// Runs the image once with these arguments, and returns how it ended.
    #[track_caller]
    pub fn once(&self, name: &str, arguments: &[&str]) -> Ended {
        self.apply(&self.knocker(name, arguments));
        self.end_of(name, "kubeknock")
    }

    /// Waits until a container has ended, and returns how.
    #[track_caller]
    pub fn end_of(&self, pod: &str, container: &str) -> Ended {
        eventually(&format!("the end of {container} in {pod}"), SOON, || {
            self.pod(pod).container(container)?.ended()
        })
    }

    /// Waits until a container runs for the first time.
    #[track_caller]
    pub fn running(&self, pod: &str, container: &str) {
        eventually(&format!("{container} in {pod} runs"), SOON, || {
            self.pod(pod).container(container)?.runs_at_first()
        });
    }

    /// Runs the binary of the image in the container `kubeknock` of a running pod.
    #[track_caller]
    pub fn exec(&self, pod: &str, arguments: &[&str]) -> Ran {
        self.run(&[&["exec", pod, "-c", "kubeknock", "--", "/kubeknock"], arguments].concat())
    }

    /// The output of a container. Empty while it has not started.
    pub fn log(&self, pod: &str, container: &str) -> String {
        self.run(&["logs", pod, "-c", container]).stdout
    }

    /// The last JSON object in the output of a pod of [`Space::knocker`].
    #[track_caller]
    pub fn report(&self, pod: &str) -> Value {
        let log = self.log(pod, "kubeknock");
        let mut objects = log.lines().rev().filter_map(|line| serde_json::from_str(line).ok());
        objects.next().unwrap_or_else(|| panic!("no JSON report:\n{log}"))
    }

    /// The exit codes in the output of a container, in order.
    pub fn codes(&self, pod: &str, container: &str) -> Vec<u64> {
        codes(&self.log(pod, container))
    }

    /// Waits until the last code in the output of a container is this one.
    #[track_caller]
    pub fn last_code(&self, pod: &str, container: &str, code: u64, within: Duration) {
        eventually(&format!("{container} in {pod} says ({code})"), within, || {
            let log = self.log(pod, container);
            ensure(codes(&log).last() == Some(&code), || log.clone())
        });
    }

    /// Deletes a pod. SIGTERM must end its container with this code (137 means that the grace period passed)
    /// and without a termination message. An old or busy kubelet may lose how a container of a deleted pod
    /// ended, and says so; then `pod` must create another one.
    #[track_caller]
    pub fn stops(&self, container: &str, code: u64, mut pod: impl FnMut(u32) -> String) {
        for attempt in 0..5 {
            let pod = pod(attempt);
            let delete = || drop(self.kubectl(&["delete", "pod", &pod, "--wait=false"]));
            if let Some(end) = self.end_after(&pod, container, delete) {
                end.is(code, "");
                return;
            }
        }
        panic!("the kubelet lost how {container} ended, five times");
    }

    /// How a container ends once its pod is deleted by `delete`. `None`: the kubelet lost it.
    ///
    /// A finalizer of this suite keeps the pod until its end has been observed. A watch observes it, because an
    /// old kubelet may report it, and a moment later that it cannot find the container.
    #[track_caller]
    pub fn end_after(&self, pod: &str, container: &str, delete: impl FnOnce()) -> Option<Ended> {
        let finalizers = |list: &str| format!(r#"{{"metadata":{{"finalizers":{list}}}}}"#);
        let patch =
            |list: &str| self.kubectl(&["patch", "pod", pod, "--type=merge", "-p", &finalizers(list)]);
        patch(&format!(r#"["{FINALIZER}"]"#));
        let seen = tempfile::NamedTempFile::new().expect("a temporary file");
        let watch = ["--namespace", &self.name, "get", "pod", pod, "--watch", "-o", "json"];
        let mut watcher = self.cluster.kubectl.starts(&watch, seen.reopen().expect("open a temporary file"));
        let states = || {
            let text = fs::read_to_string(seen.path()).expect("read a temporary file");
            // The last line may not be complete yet.
            let pods = serde_json::Deserializer::from_str(&text).into_iter().map_while(Result::ok);
            pods.filter_map(|pod| Pod(pod).container(container).ok()).collect::<Vec<_>>()
        };
        eventually("the watch has begun", SOON, || ensure(!states().is_empty(), String::new));
        delete();
        let ended = eventually(&format!("the end of {container} in {pod}"), SOON, || {
            let states = states();
            let seen = format!("{states:?}");
            let ends = states.into_iter().find_map(|state| match state.state {
                State::Ended(end) => Some(end),
                State::Waiting(_) | State::Running => state.last.filter(|last| last.is_lost),
            });
            ends.ok_or(seen)
        });
        drop(watcher.kill());
        drop(watcher.wait());
        patch("null");
        (!ended.is_lost).then_some(ended)
    }

    /// The messages of the events with this reason.
    pub fn events(&self, reason: &str) -> Vec<String> {
        let list = self.cluster.kubectl.json(&[
            "--namespace",
            &self.name,
            "get",
            "events",
            "--field-selector",
            &format!("reason={reason}"),
        ]);
        let events = list["items"].as_array().expect("a list of events");
        events.iter().filter_map(|event| event["message"].as_str()).map(str::to_owned).collect()
    }
}

impl Drop for Space<'_> {
    fn drop(&mut self) {
        self.let_go();
        // Not awaited here: the group waits for all of them at its end.
        self.cluster.kubectl.run(&["delete", "namespace", &self.name, "--ignore-not-found", "--wait=false"]);
    }
}

/// Checks that an init container runs and the app has not started.
///
/// # Errors
/// While that is not so.
pub fn waits_in_init(pod: &Pod, init: &str, app: &str) -> Result<(), String> {
    pod.container(init)?.runs_at_first()?;
    ensure(matches!(pod.container(app)?.state, State::Waiting(_)) && pod.phase() == "Pending", || {
        pod.summary()
    })
}

/// The codes in parentheses in a text report, or those in JSON lines, in order.
pub fn codes(log: &str) -> Vec<u64> {
    let of = |line: &str| -> Vec<u64> {
        if let Ok(object) = serde_json::from_str::<Value>(line) {
            return object["exitCode"].as_u64().into_iter().collect();
        }
        line.split('(').skip(1).filter_map(|rest| rest.split(')').next()?.parse().ok()).collect()
    };
    log.lines().flat_map(of).collect()
}

#[test]
fn codes_are_found_in_both_kinds_of_report() {
    assert_eq!(codes("list pods  forbidden\nforbidden (10): no\n\nok (0): yes (x)\n"), [10, 0]);
    assert_eq!(codes("{\"exitCode\":21}\n{\"exitCode\":0}\n"), [21, 0]);
}
