//! `kubectl knock`: what the plugin asks of kubectl, and its exit code. The kubectl on its PATH is the script
//! beside this file, which writes its arguments to a file and answers from files.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A folder with the answers of that kubectl.
pub struct Stage(TempDir);

pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Stage {
    /// A pod whose only container runs as 65532, and whose ephemeral container exits with 10.
    pub fn new() -> Self {
        let stage = Stage(tempfile::tempdir().unwrap());
        stage
            .answers("default", " app\n")
            .answers("user", "65532  65532/65532  ")
            .answers("debug", "")
            .answers("state.1", "10|||")
            .answers("logs", "forbidden (10): refused\n")
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn answers(self, question: &str, text: &str) -> Self {
        fs::write(self.path().join(question), text).unwrap();
        self
    }

    fn without(self, question: &str) -> Self {
        fs::remove_file(self.path().join(question)).unwrap();
        self
    }

    pub fn runs(&self, arguments: &[&str]) -> Ended {
        let top = Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = format!("{}:{}", top.join("tests/it/plugin").display(), env::var("PATH").unwrap());
        let mut command = Command::new(top.join("k8s/kubectl-knock"));
        command.args(arguments).env_clear().env("PATH", path).env("ANSWERS", self.path());
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap_or_default()
    }

    /// The one call with this verb. The random name of the ephemeral container is replaced by NAME.
    fn call(&self, verb: &str) -> String {
        let calls = self.read("calls");
        let calls: Vec<&str> = calls.lines().filter(|call| call.contains(&format!("[{verb}]"))).collect();
        assert_eq!(calls.len(), 1, "{verb}: {calls:?}");
        let (_, name) = calls[0].rsplit_once("[--container][").unwrap();
        let (name, _) = name.split_once(']').unwrap();
        assert!(name.starts_with("kubeknock-"), "{name}");
        calls[0].replace(name, "NAME")
    }
}

#[test]
fn it_runs_doctor_as_the_targets_user_and_exits_with_its_code() {
    let stage = Stage::new();
    let ended = stage.runs(&["my-app"]);
    assert_eq!(
        (ended.code, ended.stdout.as_str(), ended.stderr.as_str()),
        (Some(10), "forbidden (10): refused\n", "")
    );
    assert_eq!(
        stage.call("debug"),
        "[debug][my-app][--quiet][--image][kubeknock:0.1.0][--profile][restricted][--custom][/dev/stdin]\
         [--target][app][--container][NAME][--][/kubeknock][doctor]"
    );
    assert_eq!(
        stage.read("custom"),
        "{\"securityContext\": {\"runAsUser\": 65532, \"runAsGroup\": 65532}}\n"
    );
    assert_eq!(stage.call("logs"), "[logs][my-app][--container][NAME]");
}

#[test]
fn options_and_command_arrive_untouched() {
    let stage = Stage::new().answers("state.1", "0|||").without("default");
    let image = "registry.example/kubeknock:0.1.0";
    let arguments = ["-n", "ns-1", "pod/my-app", "-c", "web", "--image", image];
    let command = ["check", "list pods", "-n", "other", "cannot get secrets/$HOME"];
    let spelled = ["--namespace=ns-1", "--container=web", &format!("--image={image}"), "my-app", "--"];
    for arguments in [&arguments[..], &spelled] {
        assert_eq!(stage.runs(&[arguments, &command].concat()).code, Some(0));
        assert_eq!(
            stage.call("debug"),
            format!(
                "[--namespace=ns-1][debug][my-app][--quiet][--image][{image}][--profile][restricted][--custom]\
                 [/dev/stdin][--target][web][--container][NAME][--][/kubeknock][check][list pods][-n][other]\
                 [cannot get secrets/$HOME]"
            )
        );
        let calls = stage.read("calls");
        assert!(calls.lines().all(|call| call.starts_with("[--namespace=ns-1]")), "{calls}");
        assert!(calls.contains("@.name=='web'"), "{calls}");
        fs::remove_file(stage.path().join("calls")).unwrap();
    }
}

/// The user that the kubelet reports, that of the container, and that of the pod; each field by itself.
#[test]
fn the_user_is_the_targets() {
    for (answer, custom, profile) in [
        ("1000  /2000  ", "\"runAsUser\": 1000, \"runAsGroup\": 2000", "restricted"),
        (" 1000 3000/  4000", "\"runAsUser\": 1000, \"runAsGroup\": 4000", "restricted"),
        ("  3000/  ", "\"runAsUser\": 3000", "restricted"),
        ("  /  4000", "\"runAsGroup\": 4000", "restricted"),
        ("  /  ", "", "restricted"),
        ("0  /0  ", "\"runAsUser\": 0, \"runAsGroup\": 0", "baseline"),
    ] {
        let stage = Stage::new().answers("user", answer);
        assert_eq!(stage.runs(&["my-app"]).code, Some(10), "{answer:?}");
        assert_eq!(stage.read("custom"), format!("{{\"securityContext\": {{{custom}}}}}\n"), "{answer:?}");
        assert!(stage.call("debug").contains(&format!("[--profile][{profile}]")), "{answer:?}");
    }
}

#[test]
fn the_default_container_is_the_annotated_one() {
    for (answer, target) in [(" app", "app"), ("web app", "web")] {
        let stage = Stage::new().answers("default", answer);
        assert_eq!(stage.runs(&["my-app"]).code, Some(10));
        assert!(stage.call("debug").contains(&format!("[--target][{target}]")), "{answer:?}");
    }
}

#[test]
fn it_waits_for_the_end() {
    let stage = Stage::new()
        .answers("state.1", "|||")
        .answers("state.2", "||PodInitializing|")
        .answers("state.3", "|2026-11-26T00:00:00Z||")
        .answers("state.4", "143|||");
    assert_eq!(stage.runs(&["my-app"]).code, Some(143));
}

#[test]
fn what_kubectl_cannot_do_is_1() {
    for question in ["default", "user", "debug", "logs"] {
        let ended = Stage::new().without(question).runs(&["my-app"]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{question}");
        assert_eq!(ended.stderr, format!("error: no {question}\n"));
    }
    for why in [
        "ErrImagePull|not found",
        "ImagePullBackOff|back-off",
        "InvalidImageName|",
        "ErrImageNeverPull|",
        "CreateContainerConfigError|container has runAsNonRoot and image will run as root",
        "CreateContainerError|",
    ] {
        let stage = Stage::new().answers("state.1", &format!("||{why}"));
        let ended = stage.runs(&["my-app"]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{why}");
        let name = ended.stderr.strip_prefix("kubectl knock: kubeknock-").unwrap_or_else(|| panic!("{why}"));
        assert!(name.ends_with(&format!(" cannot start: {why}\n")), "{name}");
    }
}

#[test]
fn a_wrong_command_line_is_30_and_asks_nothing() {
    for (arguments, why) in [
        (&[][..], "POD is missing"),
        (&["-n", "ns-1"], "POD is missing"),
        (&["my-app", "-n"], "-n needs a value"),
        (&["--image"], "--image needs a value"),
        (&["--wrong", "my-app"], "unknown option --wrong"),
    ] {
        let stage = Stage::new();
        let ended = stage.runs(arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(30), ""), "{arguments:?}");
        assert!(
            ended.stderr.starts_with(&format!("kubectl knock: {why}: kubectl knock POD")),
            "{}",
            ended.stderr
        );
        assert_eq!((ended.stderr.lines().count(), stage.read("calls").as_str()), (1, ""));
    }
}

#[test]
fn it_is_short_and_runs_as_it_is() {
    let plugin = Path::new(env!("CARGO_MANIFEST_DIR")).join("k8s/kubectl-knock");
    let text = fs::read_to_string(&plugin).unwrap();
    assert!(text.starts_with("#!/bin/sh\n") && text.lines().count() <= 60, "{} lines", text.lines().count());
    assert_eq!(fs::metadata(&plugin).unwrap().permissions().mode() & 0o111, 0o111);
    assert!(text.contains(&format!("image=kubeknock:{}", env!("CARGO_PKG_VERSION"))));
}
