//! Permission files (`-f`): their permissions come after those of the arguments, and a fault names its line.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;
use testbed::{Finished, Running, Stderr, World, eventually, memory_is_the_runners, runner_delay};

use crate::Scene;

/// A folder with permission files.
struct Files(TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Files {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        Files(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}

/// Runs a command with this text as stdin.
fn piped(scene: &Scene, command: &mut Command, text: &str) -> Finished {
    let start = Instant::now();
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    scene.pod.ended(command, output, start.elapsed())
}

#[test]
fn files_come_after_the_arguments_in_order() {
    let scene = Scene::with_lister();
    let files = Files::new(&[
        ("app", "\u{feff}# what the app does\r\nlist pods in ns-1\r\n\r\n  get /version # of any server\r\n"),
        ("not", "cannot list secrets\ncannot list pods in default"),
    ]);
    let (app, not) = (files.path("app"), files.path("not"));
    scene.runs(&["check", "-f", &app, "cannot list nodes", &format!("--filename={not}")]).is(
        0,
        "cannot list nodes            anonymous 403  token 403  forbidden, as required\n\
         list pods in ns-1            anonymous 403  token 200  ok\n\
         get /version                 anonymous 200  token 200  ok\n    \
             it is allowed without a token too, so it says nothing about the token\n\
         cannot list secrets in ns-1  anonymous 403  token 403  forbidden, as required\n\
         cannot list pods in default  anonymous 403  token 403  forbidden, as required\n\
         ok (0): every permission is as required\n",
        "",
    );
    // Options also apply to the phrases in files, but what a phrase says itself takes precedence.
    scene.runs(&["check", "-n", "default", "-qf", &app]).is(0, "", "");
    let finished = scene.runs(&["check", "-n", "default", "-f", &not, "--token-only"]);
    finished.gives(0, &["cannot list secrets in default "], Stderr::Empty);
    // Files work without phrases as arguments. The first permission that is not as required decides.
    scene.runs(&["check", "-f", &not, "-f", &app, "-n", "ns-1"]).gives(0, &["ok (0)"], Stderr::Empty);
    let forbidden = Files::new(&[("f", "list pods\nlist secrets\ncannot list pods\n")]);
    scene.runs(&["check", "-f", &forbidden.path("f")]).gives(10, &["forbidden (10)"], Stderr::Empty);
}

#[test]
fn stdin_is_a_file_and_is_read_before_cmd() {
    let scene = Scene::with_lister();
    let mut check = scene.command(&["check", "-f", "-"]);
    piped(&scene, &mut check, "list pods\ncannot list secrets\n").gives(
        0,
        &["list pods in ns-1 ", "cannot list secrets in ns-1 "],
        Stderr::Empty,
    );
    let mut wait = scene.command(&["wait", "-q", "-f", "-"]);
    let finished = piped(&scene, wait.args(["--", "/bin/cat"]), "list pods\n");
    finished.is(0, "", "");
}

#[test]
fn each_command_with_phrases_takes_files() {
    let scene = Scene::with_lister();
    let files = Files::new(&[("f", "list pods\n"), ("excess", "cannot list pods\n")]);
    let (good, excess) = (files.path("f"), files.path("excess"));
    scene.runs(&["wait", "-f", &good]).gives(0, &["list pods in ns-1 "], Stderr::Empty);
    scene.runs(&["wait", "-f", &excess, "--fail-fast"]).gives(13, &["excess (13)"], Stderr::Empty);
    scene.runs(&["monitor", "-f", &excess, "--until-lost"]).gives(13, &["excess (13)"], Stderr::Empty);
    scene.runs(&["doctor", "-f", &good]).gives(0, &["list pods in ns-1"], Stderr::Any);
    scene.runs(&["doctor", "-f", &excess]).gives(13, &["cannot list pods in ns-1"], Stderr::Any);
}

/// A file is read once, like the arguments: a later round does not read it again.
#[test]
fn a_file_is_read_once() {
    let scene = Scene::with_lister();
    let files = Files::new(&[("f", "list pods\n")]);
    let path = files.path("f");
    let monitor = Running::start(&mut scene.command(&["monitor", "-f", &path, "--interval", "50ms"]));
    monitor.prints("ok (0)");
    fs::write(&path, "no phrase").unwrap();
    scene.cluster.wait_for_requests(6);
    monitor.send(Signal::TERM);
    let (stdout, stderr) = monitor.ends_with(0);
    assert_eq!((stdout.as_str(), stderr.as_str()), ("", ""));
}

#[test]
fn a_fault_names_the_file_and_the_line() {
    const NOTHING: &str = "it holds no permission; write phrases such as \"list pods\", one a line";
    let scene = Scene::new();
    let large = "# ".repeat(512 * 1024 + 1);
    for (content, line) in [
        (
            "list pods\n\n  list pods in Ns # of the app\n",
            ", line 3: a namespace is a DNS label: at most 63 lower-case letters, digits and -, a letter or digit at both ends\n    \
             list pods in Ns \n                 ^",
        ),
        (
            "List pods",
            ", line 1: a verb is lower-case letters, digits, - and :, such as get, list, watch, create or delete\n  List pods\n  ^",
        ),
        (
            "list p\u{1b}[31mods\n",
            ", line 1: a phrase holds no control characters\n  list p\u{fffd}[31mods\n        ^",
        ),
        ("", &format!(": {NOTHING}")),
        ("\n# list pods\n", &format!(": {NOTHING}")),
        (&large, ": larger than 1 MiB, the limit of all files together"),
        (
            "# what the app does\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\n",
            ": this is YAML; give it as JSON: kubectl create -f FILE --dry-run=client -o json",
        ),
    ] {
        let files = Files::new(&[("f", content)]);
        for arguments in [&["check", "get /version"][..], &["wait"], &["doctor"]] {
            let path = files.path("f");
            let finished = scene.runs(&[arguments, &["-f", &path]].concat());
            finished.is(30, "", &format!("kubeknock: --filename \"{path}\"{line}\n"));
        }
    }
    let files = Files::new(&[("f", "list pods\n")]);
    fs::write(files.0.path().join("f"), b"list pods\nlist p\xffds\n").unwrap();
    let path = files.path("f");
    let line = format!("kubeknock: --filename \"{path}\", line 2: the text is not valid UTF-8\n");
    scene.runs(&["check", "-f", &path]).is(30, "", &line);
    fs::write(files.0.path().join("f"), b"\xff\xfel\0i\0s\0t\0").unwrap();
    let line = format!("kubeknock: --filename \"{path}\": the text is UTF-16: save it as UTF-8\n");
    scene.runs(&["check", "-f", &path]).is(30, "", &line);
    // Arguments and files together have too many permissions.
    fs::write(files.0.path().join("f"), "get,list pods\n".repeat(5000)).unwrap();
    let line =
        format!("kubeknock: --filename \"{path}\", line 5000: these are more than 10000 permissions\n");
    scene.runs(&["check", "get /version", "-f", &path]).is(30, "", &line);
    // The files together are too large.
    let half = "#".repeat(600 * 1024) + "\nlist pods";
    let files = Files::new(&[("a", &half), ("b", &half)]);
    let (a, b) = (files.path("a"), files.path("b"));
    let line = format!("kubeknock: --filename \"{b}\": larger than 1 MiB, the limit of all files together\n");
    scene.runs(&["check", "-f", &a, "-f", &b]).is(30, "", &line);
    // The options for reports apply to these errors, too.
    let finished = scene.runs(&["check", "-ojson", "-f", "-", "-f", "-"]);
    finished.gives(
        30,
        &["\"exitCode\":30", "--filename"],
        Stderr::Has("--filename - is given twice: stdin can be read only once"),
    );
    assert_eq!(scene.cluster.connections(), 0);
}

/// A file that is not mounted is a setup fault.
#[test]
fn a_file_that_cannot_be_read() {
    let scene = Scene::new();
    let files = Files::new(&[("f", "list pods")]);
    let folder = files.0.path().display().to_string();
    for (path, why) in [
        (files.path("missing"), "No such file or directory (os error 2)"),
        (files.path("f/below"), "Not a directory (os error 20)"),
        (folder, "Is a directory (os error 21)"),
    ] {
        let line = format!(
            "kubeknock: --filename \"{path}\": {why}; name a file that is there, such as a key of a mounted ConfigMap\n"
        );
        scene.runs(&["check", "list pods", "-f", &path]).is(31, "", &line);
        scene.runs(&["wait", "-f", &path]).is(31, "", &line);
    }
    assert_eq!(scene.cluster.connections(), 0);
}

/// The deadline includes the time of reading files.
#[test]
fn a_pipe_that_nothing_writes_to() {
    const WHY: &str = "not read in time: it is a pipe or a device that nothing writes to; name a file";
    let scene = Scene::new();
    let files = Files::new(&[]);
    let path = files.path("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    for arguments in [
        &["check", "--timeout=200ms"][..],
        &["wait", "--timeout=200ms"],
        &["monitor", "--request-timeout=200ms"],
        &["doctor", "--timeout=200ms"],
    ] {
        let finished = scene.runs(&[arguments, &["-f", &path]].concat());
        let took = finished.took;
        finished.is(23, "", &format!("kubeknock: --filename \"{path}\": {WHY}\n"));
        assert!(took < Duration::from_millis(300) + runner_delay(), "{took:?}");
    }
    let mut silent = scene.command(&["check", "-f", "-", "--timeout=200ms"]);
    let start = Instant::now();
    let output = {
        let child = silent.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        let open = child.stdin.take();
        let output = child.wait_with_output().unwrap();
        drop(open);
        output
    };
    let finished = scene.pod.ended(&silent, output, start.elapsed());
    finished.is(23, "", &format!("kubeknock: --filename \"-\": {WHY}\n"));
    assert_eq!(scene.cluster.connections(), 0);
}

/// As `kubectl get role pod-lister -n ns-1 -o json` prints it.
const POD_LISTER: &str = r#"{
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {
        "creationTimestamp": "2026-11-26T04:00:00Z",
        "name": "pod-lister",
        "namespace": "ns-1",
        "resourceVersion": "261",
        "uid": "5e1d5c0d-7d0c-4f7e-a0a4-6f1f2b9c7d10"
    },
    "rules": [
        {
            "apiGroups": [
                ""
            ],
            "resources": [
                "pods"
            ],
            "verbs": [
                "get",
                "list"
            ]
        }
    ]
}
"#;

/// A Role is asked about in its own namespace, whatever the options say. The exit code is 0 once all of it is granted.
#[test]
fn a_role_is_asked_as_its_permissions() {
    let scene = Scene::new();
    let files = Files::new(&[("role.json", POD_LISTER)]);
    let path = files.path("role.json");
    scene.runs(&["check", "-f", &path, "-n", "default"]).is(
        10,
        "get pods in ns-1   anonymous unknown  token no   forbidden\n    \
             nothing grants it to system:serviceaccount:ns-1:k-sa-1; to grant it, as an admin:\n    \
             kubectl create role k-sa-1-get-pods --verb=get --resource=pods --namespace=ns-1\n    \
             kubectl create rolebinding k-sa-1-get-pods --role=k-sa-1-get-pods --serviceaccount=ns-1:k-sa-1 --namespace=ns-1\n\
         list pods in ns-1  anonymous 403      token 403  forbidden\n    \
             pods is forbidden: User \"system:serviceaccount:ns-1:k-sa-1\" cannot list resource \"pods\" in API group \"\" in the namespace \"ns-1\"; to grant it, as an admin:\n    \
             kubectl create role k-sa-1-list-pods --verb=list --resource=pods --namespace=ns-1\n    \
             kubectl create rolebinding k-sa-1-list-pods --role=k-sa-1-list-pods --serviceaccount=ns-1:k-sa-1 --namespace=ns-1\n\
         all 2 grants at once, as YAML: kubeknock grant 'get pods in ns-1' 'list pods in ns-1'
forbidden (10): the token's identity does not have the permission\n",
        "",
    );
    scene.grant("pod-lister", &["get", "list"], "", &["pods"]);
    scene.runs(&["wait", "-f", &path, "-A"]).gives(0, &["ok (0)"], Stderr::Empty);
    piped(&scene, &mut scene.command(&["check", "-f", "-"]), POD_LISTER).gives(0, &["ok (0)"], Stderr::Empty);
}

/// A ClusterRole is asked about in the namespace that applies to phrases without one; for cluster-scoped resources the
/// namespace does not matter.
#[test]
fn a_cluster_role_is_asked_where_phrases_are() {
    const ROLE: &str = r#"{"kind":"ClusterRole","apiVersion":"rbac.authorization.k8s.io/v1","rules":[
        {"apiGroups":[""],"resources":["configmaps","nodes"],"verbs":["list"]},
        {"apiGroups":["apps"],"resources":["deployments/scale"],"resourceNames":["web"],"verbs":["patch"]},
        {"nonResourceURLs":["/openapi","/logs/*"],"verbs":["get"]}
    ]}"#;
    let scene = Scene::new();
    let files = Files::new(&[("role.json", ROLE)]);
    let path = files.path("role.json");
    for (options, place) in [(&[][..], "ns-1"), (&["-n", "default"], "default"), (&["-A"], "*")] {
        let finished = scene.runs(&[&["check", "--token-only", "-f", &path], options].concat());
        let asked: Vec<String> = finished
            .stdout
            .lines()
            .filter_map(|line| Some(line.split_once("  anonymous -")?.0.trim_end().to_owned()))
            .collect();
        assert_eq!(
            asked,
            [
                &format!("list configmaps in {place}"),
                "list nodes",
                &format!("patch deployments.apps/web/scale in {place}"),
                "get /openapi",
                "get /logs/*",
            ],
            "{}",
            finished.transcript()
        );
        finished.gives(10, &[], Stderr::Empty);
    }
    // A ClusterRoleBinding grants it in every namespace, including paths that are not served, such as /openapi.
    let rules: serde_json::Value = serde_json::from_str(ROLE).unwrap();
    scene.grant_everywhere("r", rules["rules"].clone());
    scene.runs(&["check", "-A", "-f", &path]).gives(0, &["ok (0)"], Stderr::Empty);
}

/// For each rule: what is granted, and what is asked. A resource that is not served is asked by review, which the
/// output shows.
#[test]
fn a_rule_is_meant_to_the_letter() {
    let rule = |groups: &[&str], resources: &[&str], verbs: &[&str]| serde_json::json!({ "apiGroups": groups, "resources": resources, "verbs": verbs });
    let whole =
        |rule: &serde_json::Value| serde_json::json!({ "kind": "ClusterRole", "rules": [rule] }).to_string();
    let everything = rule(&["*"], &["*"], &["*"]);
    for (asked, granted, code, shown) in [
        (&everything, everything.clone(), 0, "* * in ns-1  anonymous unknown  token yes  ok\n"),
        (&everything, rule(&["", "apps"], &["*"], &["*"]), 10, "* * in ns-1 "),
        (&everything, rule(&["*"], &["*"], &["get", "list"]), 10, "* * in ns-1 "),
        (&rule(&[""], &["*"], &["get"]), rule(&[""], &["*"], &["get"]), 0, "get *. in ns-1 "),
        (&rule(&[""], &["*"], &["get"]), rule(&["apps"], &["*"], &["get"]), 10, "get *. in ns-1 "),
        (&rule(&["*"], &["pods"], &["list"]), rule(&["*"], &["pods"], &["list"]), 0, "list pods.* in ns-1 "),
        (&rule(&["*"], &["pods"], &["list"]), rule(&[""], &["pods"], &["list"]), 10, "\"apiGroups\":[\"*\"]"),
        (
            &rule(&["*"], &["*/scale"], &["get"]),
            rule(&["*"], &["*/scale"], &["get"]),
            0,
            "get */*/scale in ns-1 ",
        ),
        (
            &rule(&["*"], &["*/scale"], &["get"]),
            rule(&["apps"], &["*/scale"], &["get"]),
            10,
            "get */*/scale in ",
        ),
        (&rule(&[""], &["pods/*"], &["get"]), rule(&[""], &["pods/*"], &["get"]), 0, "get pods/*/* in ns-1 "),
        // In RBAC, the singular is not the name of a resource.
        (&rule(&[""], &["pod"], &["list"]), rule(&[""], &["pods"], &["list"]), 10, "list pod in ns-1 "),
        (
            &rule(&[""], &["pod"], &["list"]),
            rule(&[""], &["pod"], &["list"]),
            0,
            "    the API server serves no pod: only rules may know it\n",
        ),
        (
            &rule(&["extensions"], &["ingresses"], &["watch"]),
            everything.clone(),
            0,
            "watch ingresses.extensions in ",
        ),
        (
            &rule(&["apps"], &["deployments/sclae"], &["get"]),
            everything.clone(),
            0,
            "lists no subresource sclae of deployments.apps: only rules may know it",
        ),
        (&rule(&[""], &["bindings"], &["list"]), everything.clone(), 0, "serves no list on bindings\n"),
        (
            &rule(&[""], &["componentstatuses"], &["watch"]),
            everything.clone(),
            10,
            "serves no watch on componentst",
        ),
        (
            &rule(&["apps"], &["deployments"], &["impersonate"]),
            everything.clone(),
            0,
            "impersonate deployments.apps",
        ),
        (&rule(&[""], &["pods"], &["Get"]), everything.clone(), 0, "close to it: get"),
    ] {
        let scene = Scene::new();
        scene.cluster.role_with_rules("ns-1", "r", serde_json::json!([granted]));
        scene.cluster.role_binding("ns-1", "r", "r", "ns-1", "k-sa-1");
        let files = Files::new(&[("role.json", &whole(asked))]);
        scene.runs(&["check", "-f", &files.path("role.json")]).gives(code, &[shown], Stderr::Empty);
    }
}

#[test]
fn a_fault_of_a_role_names_the_line() {
    let scene = Scene::new();
    for (from, to, line) in [
        ("\"list\"\n", "\"list\",\n", ", line 22, column 13: this is not JSON: trailing comma"),
        (
            "\"verbs\"",
            "\"verb\"",
            ", line 23: rules[0]: a rule has verbs, apiGroups, resources, resourceNames and nonResourceURLs, and no other field",
        ),
        (
            "\"kind\": \"Role\"",
            "\"kind\": \"RoleBinding\", \"roleRef\": {\"kind\": \"Role\", \"name\": \"pod-lister\"}",
            ", line 25: RoleBinding pod-lister is not a role: give the role that it names: kubectl get role pod-lister -n ns-1 -o json",
        ),
        (
            "\"kind\": \"Role\"",
            "\"kind\": \"Pod\"",
            ", line 25: kind \"Pod\": a file holds a Role, a ClusterRole, or a list of them",
        ),
    ] {
        let content = POD_LISTER.replacen(from, to, 1);
        let files = Files::new(&[("role.json", &content)]);
        let path = files.path("role.json");
        let line = format!("kubeknock: --filename \"{path}\"{line}\n");
        scene.runs(&["check", "-f", &path]).is(30, "", &line);
    }
    assert_eq!(scene.cluster.connections(), 0);
}

/// A file with the most permissions takes only a part of the 16 MiB of a container.
#[test]
fn the_most_phrases_take_little_memory() {
    let scene = Scene::new();
    let phrases = |count: usize| -> String {
        (0..count).map(|at| format!("get secrets/app-{at} in namespace-{at}\n")).collect()
    };
    let files = Files::new(&[("one", &phrases(1)), ("most", &phrases(9_999))]);
    // The file is in memory while a thread waits for stdin.
    let peak = |name: &str| {
        let mut command = scene.command(&["check", "-f", &files.path(name), "-f", "-"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let proc = format!("/proc/{}", child.id());
        eventually("it waits for stdin", || fs::read_dir(format!("{proc}/task")).unwrap().count() == 2);
        let status = fs::read_to_string(format!("{proc}/status")).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    let (one, most) = (peak("one"), peak("most"));
    println!("one phrase: {one} KiB, the most: {most} KiB");
    assert!(most < one + 6 * 1024 || memory_is_the_runners(), "{one} KiB, then {most} KiB");
}
