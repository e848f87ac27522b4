//! A namespace of a row's own with the tutorial's service account: what is made in it, what is seen in it, and
//! that it goes with the row.

use std::fs;
use std::mem;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::kubectl::Ran;
use crate::pod::{Ended, Pod, State, knocker};

/// For what takes a kubelet a few seconds, on a machine that is busy.
pub const SOON: Duration = Duration::from_secs(90);
/// Between two looks.
const POLL: Duration = Duration::from_millis(1500);
/// On every namespace of this suite, so that one left behind is known; its value is the run's.
pub const LABEL: &str = "kubeknock.test/pods";

/// On a pod whose end has to be seen.
const FINALIZER: &str = "kubeknock.test/seen";

pub const ACCOUNT: &str = "k-sa-1";
pub const PAUSE: &str = "registry.k8s.io/pause:3.10";

/// A namespace; removed on drop.
pub struct Space<'a> {
    pub cluster: &'a Cluster,
    pub name: String,
}

/// Looks until it is so, and gives what was seen then.
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

/// Holds what is so to stay so.
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

/// True, or why not.
pub fn so(is_so: bool, story: impl Fn() -> String) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(story()) }
}

impl<'a> Space<'a> {
    /// A namespace in which pods are as confined as those of `k8s/`.
    pub fn new(cluster: &'a Cluster, row: &str) -> Self {
        Self::labelled(cluster, row, "restricted")
    }

    /// One for a pod that takes more than that.
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

    /// Until 1.24 its token is made a moment later, and pods are refused until then.
    fn account_is_there(&self) {
        eventually("a service account that pods can use", SOON, || {
            let account = self.get("serviceaccount", ACCOUNT);
            so(self.cluster.minor >= 24 || account["secrets"].is_array(), || account.to_string())
        });
    }

    /// The namespace that the manifests name, for them to make.
    ///
    /// # Panics
    /// Where there is such a namespace that is not this suite's: it would be removed.
    pub fn of_the_manifests(cluster: &'a Cluster) -> Self {
        let get = ["get", "namespaces", "--field-selector", "metadata.name=ns-1"];
        let found = || cluster.kubectl.json(&get)["items"][0].clone();
        let space = Space { cluster, name: "ns-1".to_owned() };
        if let Some(labels) = found()["metadata"]["labels"].as_object() {
            if !labels.contains_key(LABEL) {
                // Not to be removed.
                mem::forget(space);
                panic!("there is a namespace ns-1, and not of this suite");
            }
            space.let_go();
            cluster.kubectl.run(&["delete", "namespace", "ns-1", "--wait=false"]);
            eventually("ns-1 of an earlier run is gone", SOON, || {
                so(found().is_null(), || found().to_string())
            });
        }
        space.tutorial();
        space
    }

    /// Takes this suite's finalizer from pods that a failed row, or a run that was killed, has left it on. Never panics.
    fn let_go(&self) {
        let columns = r#"jsonpath={range .items[*]}{.metadata.name} {.metadata.finalizers}{"\n"}{end}"#;
        for line in self.run(&["get", "pods", "-o", columns]).stdout.lines() {
            if let (Some((pod, _)), true) = (line.split_once(' '), line.contains(FINALIZER)) {
                self.run(&["patch", "pod", pod, "--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#]);
            }
        }
    }

    /// The objects of `k8s/00-tutorial.yaml`, as they are.
    pub fn tutorial(&self) {
        self.apply_manifest("00-tutorial.yaml");
        self.cluster.kubectl.must(&["label", "namespace", &self.name, "--overwrite", &this_run()]);
        self.account_is_there();
    }

    /// Takes the binding of `k8s/00-tutorial.yaml` away, as it says.
    pub fn without_binding(&self) {
        self.kubectl(&["delete", "rolebinding", "pod-lister-binding"]);
    }

    /// The manifest `k8s/FILE` as it is, but for the names of namespace and image where they are other ones.
    pub fn manifest(&self, file: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("k8s").join(file);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        text.replace("ns-1", &self.name).replace("kubeknock:0.1.0", &self.cluster.image)
    }

    /// `kubectl` in this namespace, for what has to succeed.
    #[track_caller]
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.run(arguments).succeeds().stdout
    }

    /// The same for what may fail.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.cluster.kubectl.run(&[&["--namespace", &self.name], arguments].concat())
    }

    #[track_caller]
    pub fn apply_manifest(&self, file: &str) {
        // Fields that an old API server does not know are left out by it; kubectl would refuse them.
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

    /// Grants the service account a verb on a resource, by the two lines of the tutorial.
    #[track_caller]
    pub fn grant(&self, verb: &str, resource: &str) {
        let role = format!("{verb}-{resource}");
        self.kubectl(&["create", "role", &role, "--verb", verb, "--resource", resource]);
        let account = format!("{}:{ACCOUNT}", self.name);
        self.kubectl(&["create", "rolebinding", &role, "--role", &role, "--serviceaccount", &account]);
    }

    /// A pod like those of `k8s/`, with these arguments.
    pub fn knocker(&self, name: &str, arguments: &[&str]) -> Value {
        knocker(name, &self.cluster.image, arguments)
    }

    #[track_caller]
    pub fn pod(&self, name: &str) -> Pod {
        Pod(self.get("pod", name))
    }

    /// The pods that the selector selects and that are not about to go, if there are as many.
    ///
    /// # Errors
    /// While there are fewer or more.
    #[track_caller]
    pub fn pods(&self, selector: &str, count: usize) -> Result<Vec<Pod>, String> {
        let mut pods = self.all_pods(selector);
        pods.retain(|pod| pod.0["metadata"]["deletionTimestamp"].is_null());
        so(pods.len() == count, || format!("{} pods of {selector}", pods.len()))?;
        Ok(pods)
    }

    /// All pods that the selector selects.
    #[track_caller]
    pub fn all_pods(&self, selector: &str) -> Vec<Pod> {
        let list = self.cluster.kubectl.json(&["--namespace", &self.name, "get", "pods", "-l", selector]);
        list["items"].as_array().expect("a list of pods").iter().cloned().map(Pod).collect()
    }

    /// Each of these pods is so.
    ///
    /// # Errors
    /// While one is not.
    #[track_caller]
    pub fn each(
        &self,
        selector: &str,
        count: usize,
        is_so: impl Fn(&Pod) -> Result<(), String>,
    ) -> Result<(), String> {
        self.pods(selector, count)?.iter().try_for_each(is_so)
    }

    /// Runs the image once with these arguments, and gives how it ended.
    #[track_caller]
    pub fn once(&self, name: &str, arguments: &[&str]) -> Ended {
        self.apply(&self.knocker(name, arguments));
        self.end_of(name, "kubeknock")
    }

    /// Waits until a container has ended, and gives how.
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

    /// What a container has printed. Empty while it has not started.
    pub fn log(&self, pod: &str, container: &str) -> String {
        self.run(&["logs", pod, "-c", container]).stdout
    }

    /// The last JSON object among what a pod of [`Space::knocker`] has printed.
    #[track_caller]
    pub fn report(&self, pod: &str) -> Value {
        let log = self.log(pod, "kubeknock");
        let mut objects = log.lines().rev().filter_map(|line| serde_json::from_str(line).ok());
        objects.next().unwrap_or_else(|| panic!("no JSON report:\n{log}"))
    }

    /// The codes that a container has printed, in order.
    pub fn codes(&self, pod: &str, container: &str) -> Vec<u64> {
        codes(&self.log(pod, container))
    }

    /// Waits until the last code that a container has printed is this one.
    #[track_caller]
    pub fn last_code(&self, pod: &str, container: &str, code: u64, within: Duration) {
        eventually(&format!("{container} in {pod} says ({code})"), within, || {
            let log = self.log(pod, container);
            so(codes(&log).last() == Some(&code), || log.clone())
        });
    }

    /// Deletes a pod, which ends its container by SIGTERM with this code (at the end of its grace it would be 137) and
    /// without a termination message. An old and busy kubelet may lose how a container of a deleted pod ended, and says
    /// so: then `pod` has to give another one.
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

    /// How a container ends once its pod is deleted by `delete`. `None` if the kubelet lost it.
    ///
    /// A finalizer of this suite keeps the pod until its end was seen. A watch sees it, because an old kubelet may say
    /// it, and a moment later that it cannot find the container.
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
            // The last one may not be whole yet.
            let pods = serde_json::Deserializer::from_str(&text).into_iter().map_while(Result::ok);
            pods.filter_map(|pod| Pod(pod).container(container).ok()).collect::<Vec<_>>()
        };
        eventually("the watch has begun", SOON, || so(!states().is_empty(), String::new));
        delete();
        let ended = eventually(&format!("the end of {container} in {pod}"), SOON, || {
            let states = states();
            let story = format!("{states:?}");
            let ends = states.into_iter().find_map(|state| match state.state {
                State::Ended(end) => Some(end),
                State::Waiting(_) | State::Running => state.last.filter(|last| last.is_lost),
            });
            ends.ok_or(story)
        });
        drop(watcher.kill());
        drop(watcher.wait());
        patch("null");
        (!ended.is_lost).then_some(ended)
    }

    /// Texts of the events with this reason.
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
        // Not awaited: the group waits for all of them at its end.
        self.cluster.kubectl.run(&["delete", "namespace", &self.name, "--ignore-not-found", "--wait=false"]);
    }
}

/// Waits in an init container, and the app has not started.
///
/// # Errors
/// While it is not so.
pub fn waits_in_init(pod: &Pod, init: &str, app: &str) -> Result<(), String> {
    pod.container(init)?.runs_at_first()?;
    so(matches!(pod.container(app)?.state, State::Waiting(_)) && pod.phase() == "Pending", || pod.story())
}

/// The codes in parentheses of a report, or of JSON lines, in order.
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
