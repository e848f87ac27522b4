//! The termination message: the verdict where `kubectl describe pod` shows it. Here `--termination-log` sets
//! the file; a process that is PID 1 writes it by default, which needs a PID namespace to test.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use testbed::{Fault, Finished, Stderr, Times};

use crate::Scene;

/// A termination log as the kubelet creates it: an empty file that exists before the container.
struct Log {
    folder: TempDir,
}

impl Log {
    fn new() -> Self {
        let log = Log { folder: tempfile::tempdir().unwrap() };
        fs::write(log.path(), "").unwrap();
        log
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("termination-log")
    }

    /// Runs it with this log, which contains `before`, and returns the content of the log.
    fn after(&self, scene: &Scene, before: &str, arguments: &[&str]) -> (Finished, String) {
        fs::write(self.path(), before).unwrap();
        let path = self.path().display().to_string();
        let finished = scene.runs(&[arguments, &["--termination-log", &path]].concat());
        let message = fs::read_to_string(self.path()).unwrap();
        assert!(message.len() < 1024, "{} bytes: {message}", message.len());
        (finished, message)
    }
}

#[test]
fn it_is_the_verdict_in_short() {
    let (scene, log) = (Scene::with_reader(), Log::new());
    let arguments = ["check", "list pods", "list secrets", "get /version"];
    let (finished, message) = log.after(&scene, "", &arguments);
    finished.gives(10, &["list secrets in ns-1"], Stderr::Empty);
    assert_eq!(
        message,
        "\
forbidden (10): the token's identity does not have the permission
list secrets in ns-1: forbidden
  secrets is forbidden: User \"system:serviceaccount:ns-1:k-sa-1\" cannot list resource \"secrets\" in API group \"\" in the namespace \"ns-1\"; to grant it, as an admin:
  kubectl create role k-sa-1-list-secrets --verb=list --resource=secrets --namespace=ns-1
  kubectl create rolebinding k-sa-1-list-secrets --role=k-sa-1-list-secrets --serviceaccount=ns-1:k-sa-1 --namespace=ns-1
"
    );
    // The message does not depend on what is printed.
    for quiet in [&["-q"][..], &["-o", "json"], &["-v"]] {
        let (finished, other) = log.after(&scene, "old", &[&arguments[..], quiet].concat());
        assert_eq!((finished.code, &other), (Some(10), &message), "{}", finished.transcript());
    }
}

#[test]
fn it_is_never_written_on_success() {
    let (scene, log) = (Scene::with_reader(), Log::new());
    for arguments in [
        &["check", "list pods"][..],
        &["check", "cannot list secrets"],
        &["check", "--fail-open", "list gadgets"],
    ] {
        let (finished, message) = log.after(&scene, "old", arguments);
        assert_eq!((finished.code, message.as_str()), (Some(0), "old"), "{}", finished.transcript());
    }
}

#[test]
fn it_is_written_for_every_class_of_codes() {
    let (scene, log) = (Scene::with_reader(), Log::new());
    scene.cluster.fail(Times::All, Fault::Unavailable);
    let (finished, message) = log.after(&scene, "", &["check", "list pods"]);
    finished.gives(24, &[], Stderr::Empty);
    assert_eq!(
        message,
        "\
unavailable (24): the API server cannot answer now (429, 5xx, or an undecided review)
list pods in ns-1: unavailable
  status 503: the request has been made before all known HTTP paths have been installed, please try again
  the API server is up but cannot answer yet: try again later, or use kubeknock wait
"
    );
    scene.cluster.heal();
    let Scene { cluster, pod } = scene;
    let scene = Scene { cluster, pod: pod.without_file("namespace") };
    let (finished, message) = log.after(&scene, "", &["check", "list pods"]);
    assert_eq!(finished.code, Some(31), "{}", finished.transcript());
    let why = "no namespace: MOUNT/namespace: No such file or directory (os error 2); set -n NAMESPACE or \"in NAMESPACE\"";
    assert_eq!(finished.plain(&message), format!("setup (31): {why}\n"));
}

#[test]
fn it_names_the_missing_token() {
    let (Scene { cluster, pod }, log) = (Scene::new(), Log::new());
    let scene = Scene { cluster, pod: pod.without_file("token") };
    let (finished, message) = log.after(&scene, "", &["check", "--token-only", "list pods"]);
    assert_eq!(
        finished.plain(&message),
        "\
anonymous (12): the API server saw no token, and refuses the anonymous request
list pods: anonymous
  no token to send: MOUNT/token is missing or empty
  add a serviceAccountToken source to that volume; if there is none, set automountServiceAccountToken: true; or use --token-file
"
    );
    finished.gives(12, &[], Stderr::Empty);
}

/// The beginning says what happened, so the end is cut off.
#[test]
fn a_long_one_is_cut() {
    let (scene, log) = (Scene::new(), Log::new());
    let phrases: Vec<String> = (0..20).map(|number| format!("list secrets/s-{number}")).collect();
    let phrases: Vec<&str> = phrases.iter().map(String::as_str).collect();
    let (finished, message) = log.after(&scene, "", &[&["check"], &phrases[..]].concat());
    assert_eq!((finished.code, message.len()), (Some(10), 1023), "{}", finished.transcript());
    assert!(
        message.starts_with(
            "forbidden (10): the token's identity does not have the permission\nlist secrets/s-0"
        )
    );
}

/// In place: the file is a mount point, which can be neither created nor replaced. The old content is removed.
#[test]
fn it_is_written_in_place() {
    let (scene, log) = (Scene::new(), Log::new());
    let identity = |path: &Path| (fs::metadata(path).unwrap().ino(), fs::metadata(path).unwrap().mode());
    let before = identity(&log.path());
    let (_, message) = log.after(&scene, &"old ".repeat(300), &["check", "list pods"]);
    assert!(message.starts_with("forbidden (10)") && !message.contains("old "), "{message}");
    assert_eq!(identity(&log.path()), before);
    assert_eq!(fs::read_dir(log.folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

/// If it cannot be written, it is not created, no error is printed, and the exit code is the same.
#[test]
fn failing_to_write_changes_nothing() {
    let (scene, log) = (Scene::new(), Log::new());
    let screen = scene.runs(&["check", "list pods"]).gives(10, &[], Stderr::Empty).stdout;
    let missing = log.folder.path().join("missing").display().to_string();
    let folder = log.folder.path().display().to_string();
    for file in ["none", "/dev/full", "/dev/null/x", &missing, &folder] {
        scene.runs(&["check", "list pods", "--termination-log", file]).is(10, &screen, "");
    }
    assert!(!Path::new(&missing).exists());
    assert!(!Path::new("none").exists());
}

/// A command line that cannot be read still names the termination log.
#[test]
fn a_bad_command_line_is_reported_there_too() {
    let (scene, log) = (Scene::new(), Log::new());
    let path = log.path().display().to_string();
    for option in [vec!["--termination-log", &path], vec![&*format!("--termination-log={path}")]] {
        fs::write(log.path(), "").unwrap();
        scene.runs(&[&["check", "list pods", "--nope"], &option[..]].concat()).gives(30, &[], Stderr::Any);
        let message = fs::read_to_string(log.path()).unwrap();
        assert_eq!(message, "usage (30): check has no option --nope: see kubeknock check --help\n");
    }
}
