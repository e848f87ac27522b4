//! Bad input: one clear line on stderr (for a phrase, the phrase and a caret below it), nothing on stdout, and
//! no request to the server.

use std::ffi::OsString;
use std::fs;
use std::io::{Write as _, pipe, stderr};
use std::os::unix::ffi::OsStringExt;

use testbed::{Cluster, Finished, Program, Stderr, World};

use crate::{Kubeknock, Pod, Scene};

/// Checks that the run printed this one line and sent no request.
#[track_caller]
fn refused(cluster: &Cluster, finished: Finished, code: i32, line: &str) {
    finished.is(code, "", &format!("kubeknock: {line}\n"));
    assert_eq!(cluster.connections(), 0);
}

/// Each phrase, the column of the fault, and the message.
#[test]
fn phrases() {
    const FORM: &str = "a phrase is VERB RESOURCE [in NAMESPACE], such as \"list pods in default\", \"create pods/*/exec\" or \"get /metrics\"";
    const LABEL: &str = "a namespace is a DNS label: at most 63 lower-case letters, digits and -, a letter or digit at both ends";
    const RESOURCE: &str =
        "a resource is RESOURCE, RESOURCE.GROUP or RESOURCE.VERSION.GROUP, such as pods or deployments.apps";
    const SUBRESOURCE: &str =
        "a subresource is lower-case letters, digits, -, _, : and ., such as log, exec or status";
    const PATH: &str = "this character cannot stand in a path (no query: permissions are for the path alone)";
    let too_long = format!("list pods in {}", "n".repeat(64));
    let (no_verb, no_target) =
        (format!("a verb is missing: {FORM}"), format!("a resource or a path is missing: {FORM}"));
    let scene = Scene::new();
    for (phrase, column, why) in [
        ("", 0, no_verb.as_str()),
        ("  ", 0, &no_verb),
        ("cannot", 6, &no_verb),
        ("pods", 4, &no_target),
        ("/metrics", 0, "a path needs a verb before it, such as \"get /metrics\""),
        (
            "List pods",
            0,
            "a verb is lower-case letters, digits, - and :, such as get, list, watch, create or delete",
        ),
        ("list,,get pods", 5, "a verb is missing between the commas"),
        ("list pods in", 10, "\"in\" needs a namespace after it, or * for all namespaces"),
        ("list pods ns-1", 10, "only \"in NAMESPACE\" may follow the resource"),
        ("list pods in ns-1 in ns-2", 18, "the phrase ends before this: put each phrase in its own quotes"),
        ("list pods in Ns-1", 13, LABEL),
        ("list pods in ns_1", 15, LABEL),
        ("list pods in ns.1", 15, LABEL),
        ("list pods in -ns", 13, LABEL),
        ("list pods in ns-", 15, LABEL),
        (&too_long, 76, LABEL),
        ("get pods/", 9, "a name is missing after the /; * is any name"),
        ("get pods/.", 9, "a name is not . or .."),
        ("get pods/..", 9, "a name is not . or .."),
        ("get pods/a%2fb", 10, "this character cannot stand in a name"),
        ("get pods/a?b", 10, "this character cannot stand in a name"),
        ("get pods/a/", 11, SUBRESOURCE),
        ("get pods/a/Log", 11, SUBRESOURCE),
        (
            "get pods/a/log/b/c",
            17,
            "a resource has at most RESOURCE/NAME/SUBRESOURCE, and a subresource at most two parts",
        ),
        ("get pods/a/proxy/b", 17, "the path after proxy is not part of a permission: leave it out"),
        ("get pods..apps", 9, RESOURCE),
        ("get po_ds", 6, RESOURCE),
        ("get /a/../b", 7, "a path has no . or .. segments"),
        ("get /healthz?verbose", 12, PATH),
        ("get /metrics in ns-1", 16, "a path has no namespace"),
        (
            "get /api/v1/namespaces/ns-1/pods",
            4,
            "this is the URL of a resource; as a phrase: \"list pods in ns-1\"",
        ),
        (
            "delete /apis/apps/v1/namespaces/ns-1/deployments/web",
            7,
            "this is the URL of a resource; as a phrase: \"delete deployments.apps/web in ns-1\"",
        ),
    ] {
        // A second phrase, so that a phrase without a space is not joined with others.
        let caret = " ".repeat(column);
        let line = format!("{why}\n  {phrase}\n  {caret}^");
        refused(&scene.cluster, scene.runs(&["check", "get /version", phrase]), 30, &line);
    }
    // Control characters are not passed on to the terminal.
    refused(
        &scene.cluster,
        scene.runs(&["check", "list p\u{1b}[31mods\u{7}"]),
        30,
        "a phrase holds no control characters\n  list p\u{fffd}[31mods\u{fffd}\n        ^",
    );
    // The words of one phrase, shown as they are joined.
    refused(
        &scene.cluster,
        scene.runs(&["check", "list", "pods", "please"]),
        30,
        "only \"in NAMESPACE\" may follow the resource\n  list pods please\n            ^",
    );
}

#[test]
fn options() {
    const LABEL: &str = "a namespace is a DNS label: at most 63 lower-case letters, digits and -, a letter or digit at both ends";
    const DURATION: &str = "a duration is numbers with units, such as 800ms, 2s or 1m30s";
    let scene = Scene::new();
    for (arguments, line) in [
        (&[][..], "a command is missing, such as check \"list pods\": see kubeknock --help"),
        (
            &["chek", "list pods"],
            "\"chek\" is not a command: use one of check, wait, monitor, grant, get, whoami, rules, doctor, install",
        ),
        (&["check"], "a permission phrase is missing, such as \"list pods\" or \"get /metrics\""),
        (&["check", "--nope", "list pods"], "check has no option --nope: see kubeknock check --help"),
        (&["check", "-x", "list pods"], "check has no option -x: see kubeknock check --help"),
        (&["check", "-i", "list pods"], "check has no option -i: it is an option of get"),
        (
            &["get", "--fail-open", "/version"],
            "get has no option --fail-open: it is an option of check, wait",
        ),
        (&["whoami", "now"], "whoami takes no argument: leave out \"now\""),
        (&["check", "list pods", "--", "true"], "check takes no command after --: only wait does"),
        // Contradictions.
        (
            &["check", "list pods", "-n", "ns-1", "-A"],
            "--namespace cannot be combined with --all-namespaces: use one of them",
        ),
        (
            &["check", "list pods", "--token-only", "--forbid-anonymous"],
            "--token-only cannot be combined with --forbid-anonymous, which needs the anonymous knock: use one of them",
        ),
        (
            &["check", "list pods", "--insecure-skip-tls-verify", "--certificate-authority=/ca.crt"],
            "--insecure-skip-tls-verify contradicts --certificate-authority: use one of them",
        ),
        (
            &["check", "create pods", "--forbid-anonymous"],
            "--forbid-anonymous cannot be checked for \"create pods\": it is asked by access review, which needs a token",
        ),
        (&["install"], "a destination is missing: a file, or an existing folder"),
        (&["install", "/a", "/b"], "install takes one destination: leave out \"/b\""),
        (&["get", "/version", "/healthz"], "get takes one path: leave out \"/healthz\""),
        // Given twice.
        (
            &["check", "list pods", "-n", "ns-1", "--namespace=ns-1"],
            "--namespace is given twice: use it once",
        ),
        (&["check", "list pods", "-otext", "--output", "json"], "--output is given twice: use it once"),
        (&["--timeout=1s", "check", "list pods", "--timeout=1s"], "--timeout is given twice: use it once"),
        (
            &["check", "list pods", "--token-file=a", "--token-file=b"],
            "--token-file is given twice: use it once",
        ),
        // Bad values.
        (&["check", "list pods", "-n", "Ns"], &format!("--namespace \"Ns\": {LABEL}")),
        (&["check", "list pods", "-n", ""], &format!("--namespace \"\": {LABEL}")),
        (
            &["check", "get pods", "--subresource=Log"],
            "--subresource \"Log\": a subresource is lower-case letters, digits, -, _, : and ., such as log, exec or status",
        ),
        (&["check", "list pods", "--quiet=maybe"], "--quiet \"maybe\": it must be true or false"),
        (&["check", "list pods", "--timeout=soon"], &format!("--timeout \"soon\": {DURATION}")),
        (&["check", "list pods", "--timeout=10"], &format!("--timeout \"10\": {DURATION}; 10 has no unit")),
        (&["check", "list pods", "--timeout=0s"], "--timeout \"0s\": the duration must be more than 0"),
        (&["check", "list pods", "-o", "yaml"], "--output \"yaml\": it must be text or json"),
        (&["check", "list pods", "--termination-log="], "--termination-log \"\": it must be a file, or none"),
        (
            &["check", "list pods", "--tls-server-name=no name"],
            "--tls-server-name \"no name\": not a name that a certificate can hold",
        ),
        (
            &["wait", "list pods", "--stable=many"],
            "--stable \"many\": the number of rounds must be between 1 and 4294967295",
        ),
        (&["monitor", "list pods", "--interval=0s"], "--interval \"0s\": the duration must be more than 0"),
        (&["get"], "a path is missing, such as /version"),
        (
            &["get", "/a b"],
            "\"/a b\" is not a path on the API server: it must begin with / and be percent-encoded, such as /version",
        ),
        (
            &["get", "/a\r\nHost: other"],
            "\"/a\\r\\nHost: other\" is not a path on the API server: it must begin with / and be percent-encoded, such as /version",
        ),
    ] {
        refused(&scene.cluster, scene.runs(arguments), 30, line);
    }
    let no_value = scene.pod.run(&mut Kubeknock::command(["check", "list pods", "-qn"]));
    refused(&scene.cluster, no_value, 30, "--namespace needs a value: --namespace NS");
}

/// The options that say where to report are followed, wherever they stand and whatever else is wrong.
#[test]
fn a_bad_command_line_is_reported_as_it_says() {
    const WHY: &str = " has no option --nope: see kubeknock ";
    let scene = Scene::new();
    for (arguments, json) in [
        (&["check", "-vo", "json", "--nope", "list pods"][..], true),
        (&["check", "--nope", "list pods", "--output=json"], true),
        (&["check", "--quiet=false", "-ojson", "--nope", "x"], true),
        (&["check", "--quiet=true", "-o", "json", "--nope", "x"], false),
        (&["check", "-qojson", "--nope", "x"], false),
        (&["check", "-o", "yaml", "--nope", "x"], false),
        (&["wait", "--nope", "x", "--", "-o", "json"], false),
    ] {
        let finished = scene.pod.run(&mut Kubeknock::command(arguments));
        let finished = finished.gives(30, &[], Stderr::Has(WHY));
        assert_eq!(finished.stdout.contains("\"exitCode\":30"), json, "{}", finished.transcript());
        assert_eq!(finished.stdout.is_empty(), !json, "{}", finished.transcript());
    }
}

#[test]
fn servers() {
    let scene = Scene::new();
    for (url, why) in [
        ("10.96.0.1:443", "it must begin with https:// (or http:// for kubectl proxy)"),
        ("ftp://10.96.0.1", "it must begin with https:// (or http:// for kubectl proxy)"),
        ("", "it must begin with https:// (or http:// for kubectl proxy)"),
        ("https://", "it has no host"),
        ("https://:443", "it has no host"),
        ("https://h:0", "the port \"0\" is not between 1 and 65535"),
        ("https://h:65536", "the port \"65536\" is not between 1 and 65535"),
        ("https://h:", "the port \"\" is not between 1 and 65535"),
        ("https://h:https", "the port \"https\" is not between 1 and 65535"),
        (
            "https://h/k8s/clusters/c-1",
            "it must end after the port: it is the address of the API server, without a path",
        ),
        (
            "https://h?timeout=1",
            "it must end after the port: it is the address of the API server, without a path",
        ),
        ("https://admin:secret@h", "it must not hold user names or passwords: the token identifies the pod"),
        ("https://fd00::1:6443", "an IPv6 address needs brackets, such as https://[::1]:6443"),
        ("https://[fd00::1", "the [ of the IPv6 address is not closed"),
        ("https://[fd00::zz]:6443", "\"fd00::zz\" is not an IPv6 address"),
        ("https://[::1]6443", "only :PORT may follow the ]"),
        ("https://a b", "\"a b\" is not a host name"),
        ("https://h\u{1b}[31m", "\"h\\u{1b}[31m\" is not a host name"),
    ] {
        let mut command =
            Kubeknock::command(["check", "list pods", "--server", url, "--service-account-dir"]);
        let finished = scene.pod.run(command.arg(scene.pod.mount()));
        refused(&scene.cluster, finished, 30, &format!("--server {url:?}: {why}"));
    }
    for option in ["--certificate-authority=ca.crt", "--insecure-skip-tls-verify", "--tls-server-name=h"] {
        let finished = scene.pod.run(&mut Kubeknock::command([
            "check",
            "list pods",
            "--server=http://127.0.0.1:8001",
            option,
        ]));
        refused(
            &scene.cluster,
            finished,
            30,
            "--server http://127.0.0.1:8001 has no TLS: leave out the TLS options",
        );
    }
}

#[test]
fn arguments_that_are_not_utf8() {
    let scene = Scene::new();
    let bytes = |text: &[u8]| OsString::from_vec(text.to_vec());
    for argument in [bytes(b"list p\xffods"), bytes(b"-n\xff"), bytes(b"--namespace=\xff"), bytes(b"\xff")] {
        let shown = argument.to_string_lossy().into_owned();
        let finished = scene.pod.run(&mut scene.pod.command([OsString::from("check"), argument]));
        refused(&scene.cluster, finished, 30, &format!("the argument \"{shown}\" is not valid UTF-8"));
    }
    // Arguments after `--` are passed on unchanged, where they are allowed at all.
    let mut command =
        Kubeknock::command([OsString::from("check"), "list pods".into(), "--".into(), bytes(b"\xff")]);
    refused(
        &scene.cluster,
        scene.pod.run(&mut command),
        30,
        "check takes no command after --: only wait does",
    );
}

#[test]
fn token_files() {
    const HEADER: &str = "holds bytes that no header can hold (a line break, a space or binary data)";
    let Scene { cluster, pod } = Scene::new();
    let mut pod = pod;
    for (content, why) in [
        ("two\nlines".to_owned(), HEADER),
        ("two words".to_owned(), HEADER),
        ("\u{0}\u{1}\u{7f}".to_owned(), HEADER),
        ("gr\u{fc}n".to_owned(), HEADER),
        ("a".repeat(1024 * 1024), "larger than 64 KiB: this is not a bearer token"),
        ("a".repeat(64 * 1024 + 1), "larger than 64 KiB: this is not a bearer token"),
    ] {
        pod = pod.with_file("token", &content);
        for arguments in [&["check", "list pods"], &["get", "/version"]] {
            refused(&cluster, pod.runs(arguments), 31, &format!("token file MOUNT/token: {why}"));
        }
    }
    fs::write(pod.mount().join("token"), b"\xff\xfe\x00").unwrap();
    refused(
        &cluster,
        pod.runs(&["check", "list pods"]),
        31,
        "token file MOUNT/token: begins with a byte order mark; save it as plain ASCII",
    );
    // Not by its mode: root runs the tests in CI, and root can read every file.
    let pod = folder_in_place_of(pod, "token");
    refused(
        &cluster,
        pod.runs(&["check", "list pods"]),
        31,
        "token file MOUNT/token: Is a directory (os error 21)",
    );
    let file = ["--token-file", "/dev/null/token"];
    refused(
        &cluster,
        pod.runs(&[&["check", "list pods"], &file[..]].concat()),
        31,
        "token file /dev/null/token: Not a directory (os error 20)",
    );
}

/// Tokens of the greatest length, and with the white space that editors leave: they are sent.
#[test]
fn odd_tokens_that_are_sent() {
    let Scene { cluster, pod } = Scene::with_reader();
    let good = pod.token().unwrap();
    let pod = pod.with_file("token", &format!("\n {good} \r\n"));
    pod.runs(&["check", "list pods"]).gives(0, &["token 200  ok"], Stderr::Empty);
    let pod = pod.with_file("token", &"a".repeat(64 * 1024));
    pod.runs(&["check", "list pods"]).gives(11, &["token 401  unauthenticated"], Stderr::Empty);
    assert_eq!(cluster.requests().len(), 4);
}

#[test]
fn bundles() {
    let Scene { cluster, pod } = Scene::new();
    let good = cluster.ca_pem();
    let key = good.replace(" CERTIFICATE-", " PRIVATE KEY-");
    let mut pod = pod;
    for (content, why) in [
        (String::new(), "it is empty"),
        ("garbage\u{0}\n".to_owned(), "no certificate in it (-----BEGIN CERTIFICATE-----)"),
        (key, "it is a private key; keep it secret, and use the file with the CA's certificate"),
        (bad_certificate(), "its one certificate cannot be read: it is damaged"),
        (bad_certificate() + &bad_certificate(), "none of its 2 certificates can be read: they are damaged"),
        ("x".repeat(5 * 1024 * 1024), "larger than 4 MiB: this is not a CA bundle"),
    ] {
        pod = pod.with_file("ca.crt", &content);
        refused(&cluster, pod.runs(&["check", "list pods"]), 31, &format!("CA bundle MOUNT/ca.crt: {why}"));
    }
    fs::write(pod.mount().join("ca.crt"), [0xff, 0xfe, 0x00]).unwrap();
    refused(
        &cluster,
        pod.runs(&["check", "list pods"]),
        31,
        "CA bundle MOUNT/ca.crt: it is UTF-16; save it as UTF-8",
    );
    let pod = folder_in_place_of(pod, "ca.crt");
    refused(
        &cluster,
        pod.runs(&["check", "list pods"]),
        31,
        "CA bundle MOUNT/ca.crt: Is a directory (os error 21)",
    );
    fs::remove_dir(pod.mount().join("ca.crt")).unwrap();
    refused(
        &cluster,
        pod.runs(&["check", "list pods"]),
        31,
        "CA bundle MOUNT/ca.crt: No such file or directory (os error 2)",
    );
    refused(
        &cluster,
        pod.runs(&["check", "list pods", "--certificate-authority=/no/such/ca.crt"]),
        31,
        "CA bundle /no/such/ca.crt: No such file or directory (os error 2)",
    );
}

/// Certificates that cannot be read are ignored if the bundle has others, and a warning says so.
#[test]
fn one_bad_among_good_certificates() {
    let Scene { cluster, pod } = Scene::with_reader();
    let other = Cluster::start().ca_pem();
    let mut pod = pod;
    for bundle in [
        bad_certificate() + &cluster.ca_pem() + &other,
        format!("# from the old cluster\n{other}{}{}", cluster.ca_pem(), bad_certificate()),
    ] {
        pod = pod.with_file("ca.crt", &bundle);
        pod.runs(&["check", "list pods"]).is(
            0,
            "\
list pods in ns-1  anonymous 403  token 200  ok
ok (0): every permission is as required
",
            "kubeknock: warning: CA bundle MOUNT/ca.crt: 1 certificate in it cannot be read and is ignored\n",
        );
    }
    let pod = pod.with_file("ca.crt", &(other + &cluster.ca_pem()));
    pod.runs(&["check", "list pods"]).gives(0, &["ok (0)"], Stderr::Empty);
}

/// PEM around bytes that are not a certificate.
fn bad_certificate() -> String {
    "-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n".to_owned()
}

/// Puts an empty folder of that name into the mount: it exists, and no user can read it as a file.
fn folder_in_place_of(pod: Pod, name: &str) -> Pod {
    let pod = pod.without_file(name);
    fs::create_dir(pod.mount().join(name)).unwrap();
    pod
}

#[test]
fn no_mount() {
    const WHY: &str = "in a pod set automountServiceAccountToken: true, else --token-file";
    let scene = Scene::new();
    let mount = scene.pod.mount().join("nowhere").display().to_string();
    let server = scene.cluster.server();
    for arguments in [
        &["check", "list pods"][..],
        &["check", "get /version", "--token-only"],
        &["check", "list pods", "--insecure-skip-tls-verify"],
        &["get", "/version"],
        &["get", "/version", "--anonymous"],
    ] {
        let arguments = [arguments, &["--server", &server, "--service-account-dir", &mount]].concat();
        let finished = scene.pod.run(&mut Kubeknock::command(&arguments));
        // No warning about the token: there is none that a server could get.
        refused(&scene.cluster, finished, 31, &format!("no service account mount at MOUNT/nowhere: {WHY}"));
    }
    // The default mount, on a machine that is not a pod.
    let default = "/var/run/secrets/kubernetes.io/serviceaccount";
    if std::path::Path::new(default).exists() {
        // Not by a macro, because the test harness captures that.
        writeln!(stderr(), "*** NOT RUN: no_mount at {default}, because this is a pod").unwrap();
        return;
    }
    let finished = scene.pod.run(&mut Kubeknock::command(["check", "list pods"]));
    refused(
        &scene.cluster,
        finished,
        31,
        &format!(
            "no service account mount at {default}: not in a pod: set --server, --certificate-authority and --token-file"
        ),
    );
}

#[test]
fn no_namespace() {
    const SAY: &str = "set -n NAMESPACE or \"in NAMESPACE\"";
    let Scene { cluster, pod } = Scene::new();
    let pod = pod.without_file("namespace");
    refused(
        &cluster,
        pod.runs(&["check", "list pods"]),
        31,
        &format!("no namespace: MOUNT/namespace: No such file or directory (os error 2); {SAY}"),
    );
    let mut pod = pod;
    for content in ["", "\n", "Ns-1", "ns-1/../kube-system", "two\nlines"] {
        pod = pod.with_file("namespace", content);
        refused(
            &cluster,
            pod.runs(&["check", "list pods", "list nodes"]),
            31,
            &format!("no namespace: MOUNT/namespace does not hold a namespace name; {SAY}"),
        );
    }
    let pod = folder_in_place_of(pod, "namespace");
    refused(
        &cluster,
        pod.runs(&["check", "list pods"]),
        31,
        &format!("no namespace: MOUNT/namespace: Is a directory (os error 21); {SAY}"),
    );
    // The namespace is not needed by phrases that name one, or that have none.
    pod.runs(&["check", "list pods in ns-1", "list nodes", "get /version", "list pods in *"]).gives(
        10,
        &["list pods in ns-1"],
        Stderr::Empty,
    );
    pod.runs(&["check", "list pods", "-n", "ns-1"]).gives(10, &["list pods in ns-1"], Stderr::Empty);
}

/// Trailing white space, as every editor leaves it.
#[test]
fn a_namespace_file_is_trimmed() {
    let Scene { cluster: _cluster, pod } = Scene::with_reader();
    let pod = pod.with_file("namespace", "ns-1\r\n");
    pod.runs(&["check", "list pods"]).gives(0, &["list pods in ns-1  "], Stderr::Empty);
}

/// If the reader has gone or the disk is full, the output is lost and the exit code is not.
#[test]
fn output_that_cannot_be_written() {
    let scene = Scene::with_reader();
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    for (arguments, code) in [
        (&["check", "list pods"][..], 0),
        (&["check", "list secrets"], 10),
        (&["check", "list secrets", "-ojson", "-v"], 10),
        (&["check", "list pods in"], 30),
        (&["get", "/apis/apps/v1"], 0),
        (&["get", "-i", "-v", "/metrics"], 10),
        (&["get", "-ojson", "/version"], 0),
        (&["--help"], 0),
        (&["--version"], 0),
    ] {
        let run = |command: &mut std::process::Command| {
            let finished = scene.pod.run(command);
            assert_eq!(finished.code, Some(code), "{}", finished.transcript());
        };
        let gone = || {
            let (reader, writer) = pipe().unwrap();
            drop(reader);
            writer
        };
        run(scene.command(arguments).stdout(gone()));
        run(scene.command(arguments).stdout(full()));
        run(scene.command(arguments).stderr(gone()));
        run(scene.command(arguments).stdout(gone()).stderr(full()));
    }
}
