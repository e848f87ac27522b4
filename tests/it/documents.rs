//! The README and the manifests are true: codes, options, JSON fields and the transcript are those of the built
//! binary, and the arguments in the manifests do what the manifests say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};
use testbed::{Cluster, Finished, Program, Running, Stderr, World, schema};

use crate::plugin::Stage;
use crate::{Kubeknock, Scene};

const COMMANDS: &str = "Commands:";
const CODES: &str = "Exit codes:";

// The README.

#[test]
fn the_code_table_is_the_helps() {
    let documented: Vec<[String; 3]> =
        rows(&section("Exit codes")).into_iter().map(|row| row.try_into().expect("three columns")).collect();
    assert_eq!(documented, codes());
}

#[test]
fn the_command_table_is_the_helps() {
    let documented: Vec<String> =
        rows(&section("Commands")).iter().map(|row| row[0].replace('`', "")).collect();
    assert_eq!(documented, commands());
}

/// For each command, the README has every option of its help, with its short form and value, and no others.
#[test]
fn the_option_tables_are_the_helps() {
    let rows = rows(&section("Options"));
    for row in &rows {
        for word in row[1].split(' ').filter(|&word| word != "all") {
            assert!(commands().iter().any(|known| known == word), "{word} is no command: {row:?}");
        }
    }
    for command in commands() {
        let documented: BTreeSet<String> = rows
            .iter()
            .filter(|row| row[1] == "all" || row[1].split(' ').any(|word| word == command))
            .map(|row| row[0].replace('`', ""))
            .collect();
        assert_eq!(documented, options(&command), "options of {command}: README left, help right");
    }
}

/// Every help lists `-h, --help`.
#[test]
fn the_help_is_in_each_help() {
    for help in [bare(&["--help"])].into_iter().chain(commands().iter().map(|command| bare(&[command, "-h"])))
    {
        assert!(help.contains("\n  -h, --help "), "{help}");
    }
}

/// Runs the transcript, line by line, as one session: `kubeknock` is the built binary in a pod of
/// `ns-1/k-sa-1`, `kubectl create` changes the same cluster, and `echo $?` prints the last exit code.
#[test]
fn the_transcript_is_what_runs() {
    let Scene { cluster, pod } = Scene::new();
    let (mut code, mut ran) = (None, 0);
    for (line, shown) in transcript(&section("What it looks like")) {
        let words = shell_words(&line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let printed = match words.as_slice() {
            ["kubeknock", arguments @ ..] => {
                let Finished { stdout, stderr, code: ended, .. } = pod.runs(arguments);
                (code, ran) = (ended, ran + 1);
                stdout + &stderr
            }
            ["echo", "$?"] => format!("{}\n", code.expect("a command before echo")),
            ["kubectl", "create", kind, name, flags @ ..] => kubectl_create(&cluster, kind, name, flags),
            _ => panic!("the transcript cannot be run: {line}"),
        };
        assert_eq!(shown, printed, "$ {line}");
    }
    assert!(ran > 1, "a transcript");
}

/// Runs the session of the plugin with a stand-in kubectl. The output and the exit code of the ephemeral
/// container are those of the built binary.
#[test]
fn the_plugins_transcript_is_what_runs() {
    let scene = Scene::new();
    let (mut code, mut ran) = (None, 0);
    for (line, shown) in transcript(&section("Use it in a pod")) {
        let words = shell_words(&line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let printed = match words.as_slice() {
            ["kubectl", "knock", arguments @ ..] => {
                let command = arguments.iter().skip_while(|&&word| word != "check").copied();
                let inside = scene.pod.runs(&command.collect::<Vec<_>>());
                let end = inside.code.expect("an exit code");
                let stage = Stage::new()
                    .answers("state.1", &format!("{end}|||"))
                    .answers("logs", &(inside.stdout + &inside.stderr));
                let ended = stage.runs(arguments);
                (code, ran) = (ended.code, ran + 1);
                ended.stdout + &ended.stderr
            }
            ["echo", "$?"] => format!("{}\n", code.expect("a command before echo")),
            _ => panic!("the transcript cannot be run: {line}"),
        };
        assert_eq!(shown, printed, "$ {line}");
    }
    assert_eq!((ran, code), (1, Some(10)), "a transcript");
}

#[test]
fn the_json_table_is_what_is_printed() {
    let json = section("JSON");
    let (report, others) = json.split_once("What could not be asked").expect("the tables of JSON");
    let scene = Scene::with_reader();
    let fields = |arguments: &[&str]| {
        let finished = scene.pod.runs(arguments);
        let object: Value =
            serde_json::from_str(&finished.stdout).unwrap_or_else(|_| panic!("{}", finished.transcript()));
        let mut fields = BTreeSet::new();
        flatten("", &object, &mut fields);
        fields
    };
    let documented =
        |text: &str| -> BTreeSet<String> { rows(text).iter().map(|row| row[0].replace('`', "")).collect() };

    let mut printed = fields(&["check", "-o", "json", "list pods", "list secrets"]);
    printed.extend(fields(&["wait", "-o", "json", "list pods"]));
    assert_eq!(documented(report), printed, "README left, printed right");

    for arguments in [&["get", "/readyz"][..], &["whoami"], &["rules"], &["doctor"]] {
        let heading = format!("| `{}` |", arguments[0]);
        let (_, table) = others.split_once(&heading).unwrap_or_else(|| panic!("no table {heading}"));
        let table = table.split("\n\n").next().unwrap_or_default();
        let names = rows(table)
            .into_iter()
            .flat_map(|row| row[0].replace('`', "").split(", ").map(str::to_owned).collect::<Vec<String>>());
        let mut documented: BTreeSet<String> = names.collect();
        documented.extend(["schema", "time", "outcome", "exitCode"].map(str::to_owned));
        let mut printed = fields(&[arguments, &["-o", "json"]].concat());
        if arguments == ["rules"] {
            printed.extend(fields(&["rules", "--only", "-o", "json"]));
        }
        assert_eq!(documented, printed, "{heading} README left, printed right");
    }

    let fault = fields(&["check", "-o", "json", "--certificate-authority", "/no-such-file", "list pods"]);
    assert_eq!(fault, ["schema", "time", "outcome", "exitCode", "message"].map(str::to_owned).into());
}

/// The testbed checks every object that a test sees against this schema.
#[test]
fn the_schema_is_one_and_has_every_code() {
    schema::is_a_schema();
    let published = schema::published();
    let codes = codes().into_iter().map(|[number, name, _]| (number.parse::<u8>().expect("a number"), name));
    let printed = codes.filter(|(number, _)| *number < 100);
    let (numbers, names): (Vec<u8>, Vec<String>) = printed.unzip();
    assert_eq!(published["properties"]["exitCode"]["enum"], json!(numbers));
    assert_eq!(published["$defs"]["outcome"]["enum"], json!(names));
}

/// The check above can fail.
#[test]
fn the_schema_refuses_what_is_not_in_it() {
    let scene = Scene::with_reader();
    let finished = scene.runs(&["check", "-o", "json", "list pods"]);
    let good: Value = serde_json::from_str(&finished.stdout).expect("JSON");
    assert!(schema::accepts(&good), "{good}");
    for (pointer, field, value) in [
        ("", "new", json!(1)),
        ("", "time", json!("2026-11-23T21:16:29Z")),
        ("", "outcome", json!("allowed")),
        ("", "server", Value::Null),
        ("/permissions/0", "new", json!(1)),
        ("/permissions/0", "ok", json!("yes")),
        ("/permissions/0/token", "milliseconds", json!(-1)),
    ] {
        let mut bad = good.clone();
        bad.pointer_mut(pointer).expect("an object")[field] = value;
        assert!(!schema::accepts(&bad), "{bad}");
    }
    for field in ["time", "identity", "serverVersion"] {
        let mut bad = good.clone();
        bad.as_object_mut().expect("an object").remove(field);
        assert!(!schema::accepts(&bad), "without {field}");
    }
}

#[test]
fn the_two_commands_are_there() {
    let readme = readme();
    for line in ["\ncargo run --example walkthrough\n", "\ncargo test\n"] {
        assert!(readme.contains(line), "{line}");
    }
}

// The release.

/// Cargo.toml has the version and the address of the repository; all other places agree with it.
#[test]
fn the_version_and_the_place_are_cargos() {
    let version = env!("CARGO_PKG_VERSION");
    let repository = env!("CARGO_PKG_REPOSITORY");
    let read = |name: &str| fs::read_to_string(top().join(name)).unwrap_or_else(|_| panic!("{name}"));
    let [containerfile, changelog, readme] = ["Containerfile", "CHANGELOG.md", "README.md"].map(read);
    assert!(containerfile.contains(&format!("image.version=\"{version}\"")), "Containerfile: {version}");
    assert!(containerfile.contains(&format!("image.source=\"{repository}\"")), "Containerfile: {repository}");
    assert!(changelog.contains(&format!("\n## [{version}]")), "CHANGELOG.md: a section of {version}");
    for (name, text) in [("README.md", &readme), ("Containerfile", &containerfile)] {
        // `kubeknock:0.1.0`, `kubeknock-0.1.0.oci.tar`, but not `kubeknock-amd64`.
        for (at, _) in text.match_indices("kubeknock") {
            let after = &text[at + "kubeknock".len()..];
            let said =
                after.strip_prefix([':', '-']).filter(|said| said.starts_with(|c: char| c.is_ascii_digit()));
            if let Some(said) = said {
                assert!(
                    said.starts_with(version),
                    "{name}: kubeknock {}",
                    said.lines().next().unwrap_or_default()
                );
            }
        }
    }
    for (name, text) in [("README.md", readme), ("SECURITY.md", read("SECURITY.md"))] {
        for (at, _) in text.match_indices("https://github.com/kubeknock") {
            assert!(text[at..].starts_with(repository), "{name}: {repository}");
        }
    }
}

// The manifests.

#[test]
fn the_manifest_table_is_the_folder() {
    let documented: Vec<String> =
        rows(&section("In a cluster")).iter().map(|row| row[0].replace('`', "")).collect();
    let found: BTreeSet<String> = folder().into_keys().collect();
    assert_eq!(documented.into_iter().collect::<BTreeSet<_>>(), found);
}

#[test]
fn each_manifest_is_explained_and_confined() {
    for (name, text) in manifests() {
        assert!(text.starts_with("# "), "{name} begins with what it is");
        let containers = text.matches(" image: ").count();
        for (line, pods) in [
            ("allowPrivilegeEscalation: false", containers),
            ("readOnlyRootFilesystem: true", containers),
            ("drop: [\"ALL\"]", containers),
            ("requests: {", containers),
            ("limits: {", containers),
            ("runAsNonRoot: true", 1),
            ("runAsUser: 65532", 1),
            ("type: RuntimeDefault", 1),
            ("serviceAccountName: k-sa-1", 1),
        ] {
            let wanted = if containers == 0 { 0 } else { pods };
            assert_eq!(text.matches(line).count(), wanted, "{name}: {line}");
        }
        let version = env!("CARGO_PKG_VERSION");
        for line in text.lines().map(str::trim) {
            for field in ["image: kubeknock:", "reference: kubeknock:"] {
                if let Some(image) = line.strip_prefix(field) {
                    assert!(image.starts_with(&format!("{version} ")), "{name}: kubeknock:{image}");
                }
            }
        }
    }
}

/// With the tutorial's role, every command that a manifest starts exits with 0.
#[test]
fn the_manifests_commands_do_what_they_are_for() {
    let scene = tutorial();
    let folder = tempfile::tempdir().expect("a folder");
    let (mut ran, mut files) = (BTreeSet::new(), 0);
    for (name, text) in manifests() {
        for mut arguments in started(&text) {
            // The place where the ConfigMap is mounted.
            for path in arguments.iter_mut().filter(|word| word.starts_with("/etc/kubeknock/")) {
                let key = path.trim_start_matches("/etc/kubeknock/").to_owned();
                let file = folder.path().join(&key);
                fs::write(&file, data(&text, &key)).expect("write the key's file");
                *path = file.to_str().expect("a path in UTF-8").to_owned();
                files += 1;
            }
            let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
            ran.insert(words[0].to_owned());
            match words.as_slice() {
                ["install", _] => {
                    let copy = folder.path().join("kubeknock");
                    let destination = folder.path().to_str().expect("a path in UTF-8");
                    bare(&["install", destination]);
                    assert!(copy.is_file(), "{name}: install makes DEST/kubeknock");
                }
                ["monitor", ..] => {
                    let line = monitors(&scene, &words);
                    assert!(line.contains("\"outcome\":\"ok\"") || line.ends_with("  ok"), "{name}: {line}");
                }
                [before @ .., "/pause"] => {
                    run(&scene, &[before, &["/bin/true"]].concat()).gives(0, &[], Stderr::Any);
                }
                _ => drop(run(&scene, &words).gives(0, &[], Stderr::Empty)),
            }
        }
    }
    assert_eq!(ran, ["check", "install", "monitor", "wait"].map(str::to_owned).into(), "all were met");
    assert_eq!(files, 1, "a gate with a ConfigMap");
}

/// Liveness ignores an outage and fails on a refusal. Readiness fails on both.
#[test]
fn the_probes_tell_an_outage_from_a_refusal() {
    let probes: Vec<Vec<String>> = started(&manifests()["probes.yaml"])
        .into_iter()
        .filter(|arguments| arguments.first().is_some_and(|word| word == "check"))
        .collect();
    let (live, ready): (Vec<_>, Vec<_>) =
        probes.into_iter().partition(|arguments| arguments.iter().any(|word| word == "--fail-open"));
    let mut scene = Scene::new();
    for (probes, refused, outage) in [(live, 10, 0), (ready, 10, 21)] {
        assert_eq!(probes.len(), 1, "one probe of each kind");
        let words: Vec<&str> = probes[0].iter().map(String::as_str).collect();
        run(&scene, &words).gives(refused, &["forbidden"], Stderr::Empty);
        scene.cluster.stop();
        run(&scene, &words).gives(outage, &[], Stderr::Empty);
        scene.cluster.restart();
    }
}

/// `--timeout` of an exec probe is shorter than its `timeoutSeconds`.
#[test]
fn the_probes_end_before_the_kubelet_ends_them() {
    let mut probes = 0;
    for (name, text) in manifests() {
        let mut own: Option<u32> = None;
        for line in text.lines().map(str::trim) {
            if let Some(command) = line.strip_prefix("command: ") {
                let words: Vec<String> = serde_json::from_str(command).expect("a list as JSON has it");
                let at = words.iter().position(|word| word == "--timeout");
                own = at.map(|at| words[at + 1].trim_end_matches('s').parse().expect("seconds"));
            } else if let Some(seconds) = line.strip_prefix("timeoutSeconds: ") {
                let kubelet: u32 = seconds.parse().expect("seconds");
                let own = own.take().unwrap_or_else(|| panic!("{name}: a probe without --timeout"));
                assert!(own < kubelet, "{name}: {own} s is not below {kubelet} s");
                probes += 1;
            }
        }
    }
    assert_eq!(probes, 3, "liveness, readiness, and readiness from an image volume");
}

/// An outcome that no alert names would be silent.
#[test]
fn the_alerts_are_about_every_outcome() {
    let (_, text) =
        manifests().into_iter().find(|(name, _)| name == "prometheus-rule.yaml").expect("the rules");
    let of_class = |tens: char| -> Vec<String> {
        let of_it = codes().into_iter().filter(|[number, ..]| number.len() == 2 && number.starts_with(tens));
        of_it.map(|[_, name, _]| name).collect()
    };
    for tens in ['1', '2'] {
        let all = format!("{{outcome=~\"{}\"}}", of_class(tens).join("|"));
        assert!(text.contains(&all), "no {all} in prometheus-rule.yaml");
    }
}

/// Rules on exit codes name whole classes: 2x is retried, 1x and 3x are not. A pod restarts in place on the
/// codes with which its monitor exits after a permission is lost, and on no other code.
#[test]
fn the_manifests_act_on_real_codes() {
    let class = |tens: u8| -> Vec<u8> {
        let numbers = codes().into_iter().map(|[number, ..]| number.parse().expect("a number"));
        numbers.filter(|number: &u8| number / 10 == tens).collect()
    };
    let mut rules = Vec::new();
    for (name, text) in manifests() {
        let mut action = "";
        for line in text.lines().map(str::trim) {
            if let Some(found) = line.strip_prefix("- action: ") {
                action = found;
            } else if let Some(values) = line.strip_prefix("values: ") {
                let values: Vec<u8> = serde_json::from_str(values).expect("a list of codes");
                let tens = values[0] / 10;
                let all = if action == "RestartAllContainers" { vec![10, 11] } else { class(tens) };
                assert_eq!(values, all, "{name}: {action}");
                rules.push((name.clone(), action.to_owned(), tens));
            }
        }
    }
    let rule = |file: &str, action: &str, tens| (file.to_owned(), action.to_owned(), tens);
    assert_eq!(
        rules,
        [
            rule("job.yaml", "Ignore", 2),
            rule("job.yaml", "FailJob", 1),
            rule("job.yaml", "FailJob", 3),
            rule("regate.yaml", "RestartAllContainers", 1),
            rule("restart-rules.yaml", "Restart", 2),
        ]
    );
}

/// The codes that restart a regated pod are those with which its monitor exits: refused, and token rejected.
#[test]
fn the_regated_monitor_exits_with_the_codes_of_its_rule() {
    let monitor = started(&manifests()["regate.yaml"]).into_iter().find(|words| words[0] == "monitor");
    let monitor = monitor.expect("a monitor");
    let words: Vec<&str> = monitor.iter().map(String::as_str).collect();
    run(&Scene::new(), &words).gives(10, &["forbidden (10)"], Stderr::Empty);
    let unknown = Scene::new().with_file("token", "no-token-of-this-cluster");
    run(&unknown, &words).gives(11, &["unauthenticated (11)"], Stderr::Empty);
}

// Helpers that read documents and help.

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    fs::read_to_string(top().join("README.md")).expect("README.md")
}

/// The text under a heading of the README.
fn section(title: &str) -> String {
    let readme = readme();
    let (_, rest) = readme.split_once(&format!("\n## {title}\n")).unwrap_or_else(|| panic!("no ## {title}"));
    rest.split("\n## ").next().unwrap_or_default().to_owned()
}

/// The rows of all tables, without their heads.
fn rows(text: &str) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for line in text.lines().filter(|line| line.starts_with('|')) {
        let cells = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        // The line below the head of a table, and the head above it.
        if line.trim_matches(['|', '-', ':', ' ']).is_empty() { drop(rows.pop()) } else { rows.push(cells) }
    }
    assert!(!rows.is_empty(), "a table");
    rows
}

/// The blocks of a session: each command, and the output below it.
fn transcript(text: &str) -> Vec<(String, String)> {
    let mut session: Vec<(String, String)> = Vec::new();
    for block in text.split("```console\n").skip(1) {
        for line in block.split("```").next().unwrap_or_default().lines() {
            match (line.strip_prefix("$ "), session.last_mut()) {
                (Some(command), _) => session.push((command.to_owned(), String::new())),
                (None, Some((_, shown))) => *shown += &format!("{line}\n"),
                (None, None) => panic!("output without a command: {line}"),
            }
        }
    }
    session
}

/// Splits words as a shell does; double quotes are the only quotes it knows.
fn shell_words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (at, part) in line.split('"').enumerate() {
        if at % 2 == 1 {
            words.last_mut().expect("a word").push_str(part);
            continue;
        }
        for (at, piece) in part.split(' ').enumerate() {
            if at > 0 {
                words.push(String::new());
            }
            words.last_mut().expect("a word").push_str(piece);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// `kubectl create role` and `rolebinding`, with the flags that remedies have.
fn kubectl_create(cluster: &Cluster, kind: &str, name: &str, flags: &[&str]) -> String {
    let flag = |wanted: &str| {
        let value = flags.iter().find_map(|flag| flag.strip_prefix(wanted)?.strip_prefix('='));
        value.unwrap_or_else(|| panic!("kubectl create {kind} without {wanted}"))
    };
    let namespace = flag("--namespace");
    match kind {
        "role" => cluster.role(namespace, name, &[flag("--verb")], "", &[flag("--resource")]),
        "rolebinding" => {
            let (of, account) = flag("--serviceaccount").split_once(':').expect("NAMESPACE:NAME");
            cluster.role_binding(namespace, name, flag("--role"), of, account);
        }
        other => panic!("kubectl create {other}"),
    }
    format!("{kind}.rbac.authorization.k8s.io/{name} created\n")
}

/// Paths of an object's fields: `a.b`, `a[].b`. The fields of the two knocks are listed once, as `*`. The
/// contents of headers, bodies and extra facts are not listed.
fn flatten(place: &str, value: &Value, fields: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) if !matches!(place, "headers" | "body" | "*.extra") => {
            for (name, value) in object {
                let field = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
                fields.insert(field.clone());
                let below = match field.as_str() {
                    "permissions[].anonymous" | "permissions[].token" => "permissions[].*",
                    "anonymous" | "token" => "*",
                    _ => &field,
                };
                flatten(below, value, fields);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| flatten(&format!("{place}[]"), value, fields)),
        _ => {}
    }
}

/// The output of `kubeknock ARGUMENTS`, without an environment; the exit code must be 0.
fn bare(arguments: &[&str]) -> String {
    let output = Kubeknock::command(arguments).output().expect("run kubeknock");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("stdout in UTF-8")
}

/// The lines under a heading of a help, up to the next empty line.
fn under(help: &str, heading: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != heading).skip(1);
    lines.take_while(|line| !line.is_empty()).map(|line| line.trim().to_owned()).collect()
}

fn commands() -> Vec<String> {
    let lines = under(&bare(&["--help"]), COMMANDS);
    lines.iter().filter_map(|line| Some(line.split_once(' ')?.0.to_owned())).collect()
}

/// Number, name and sentence.
fn codes() -> Vec<[String; 3]> {
    let lines = under(&bare(&["--help"]), CODES);
    let parts = |line: &String| {
        let (number, rest) = line.split_once(' ').expect("a number");
        let (name, sentence) = rest.trim().split_once(' ').expect("a name");
        [number, name, sentence.trim()].map(str::to_owned)
    };
    lines.iter().map(parts).collect()
}

/// Such as `-n, --namespace NS`, for every option of a command.
fn options(command: &str) -> BTreeSet<String> {
    let help = bare(&[command, "--help"]);
    let mut options = BTreeSet::new();
    for line in help.lines().filter(|line| line.trim_start().starts_with('-')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let long = words.iter().position(|word| word.starts_with("--")).expect("a long form");
        // The name of the value is in capitals, and followed by one space.
        let value =
            words.get(long + 1).filter(|word| word.chars().all(|c| c.is_ascii_uppercase() || c == ':'));
        let value = value.filter(|value| line.contains(&format!("{} {value}", words[long])));
        let value = value.map(|value| format!(" {value}")).unwrap_or_default();
        options.insert(format!("{}{value}", words[..=long].join(" ")));
    }
    options
}

fn manifests() -> BTreeMap<String, String> {
    let yaml = |name: &str| Path::new(name).extension().is_some_and(|extension| extension == "yaml");
    folder().into_iter().filter(|(name, _)| yaml(name)).collect()
}

/// The files of `k8s/` by their names.
fn folder() -> BTreeMap<String, String> {
    let folder = fs::read_dir(top().join("k8s")).expect("k8s/");
    let paths = folder.map(|entry| entry.expect("a file").path());
    let read = |path: PathBuf| {
        let name = path.file_name().expect("a name").to_str().expect("a name in UTF-8").to_owned();
        (name, fs::read_to_string(path).expect("a manifest"))
    };
    paths.map(read).collect()
}

/// The value of this key in a ConfigMap, a text of several lines.
fn data(manifest: &str, key: &str) -> String {
    let (_, text) = manifest.split_once(&format!("\n  {key}: |\n")).unwrap_or_else(|| panic!("no {key}"));
    let lines = text.lines().map_while(|line| line.strip_prefix("    "));
    lines.map(|line| format!("{line}\n")).collect()
}

/// The arguments of every kubeknock that a manifest starts, in a container or by an exec probe.
fn started(manifest: &str) -> Vec<Vec<String>> {
    let mut started = Vec::new();
    for line in manifest.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let list = |text: &str| serde_json::from_str::<Vec<String>>(text).expect("a list as JSON has it");
        if let Some(arguments) = line.strip_prefix("args: ") {
            started.push(list(arguments));
        } else if let Some(command) = line.strip_prefix("command: ") {
            let words = list(command);
            assert!(words[0].ends_with("/kubeknock"), "{line}");
            started.extend((words.len() > 1).then(|| words[1..].to_vec()));
        }
    }
    started
}

/// A scene with the tutorial's role and binding.
fn tutorial() -> Scene {
    let scene = Scene::new();
    scene.grant("pod-lister", &["list"], "", &["pods"]);
    scene
}

/// Runs the arguments of a manifest. `--server` goes first, because after `--` it would be an argument of CMD.
fn run(scene: &Scene, arguments: &[&str]) -> Finished {
    scene.pod.run(&mut at(scene, arguments))
}

fn at(scene: &Scene, arguments: &[&str]) -> Command {
    let mut command = Kubeknock::command(["--server", &scene.cluster.server(), "--service-account-dir"]);
    command.arg(scene.pod.mount()).args(arguments);
    command
}

/// Starts `monitor`, returns the line of its first permission, and ends it as the kubelet does.
fn monitors(scene: &Scene, arguments: &[&str]) -> String {
    let monitor = Running::start(&mut at(scene, arguments));
    let line = monitor.prints("ok");
    monitor.send(Signal::TERM);
    monitor.ends_with(0);
    line
}
