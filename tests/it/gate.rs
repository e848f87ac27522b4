//! `wait`: the gate in an init container, and the entry point of a scratch image.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use rustix::process::Signal;
use serde_json::{Value, json};
use testbed::faults::{self, Listener};
use testbed::{Fault, Program, Running, Stderr, Times, World, eventually, runner_delay, write_mount};

use crate::hostile::servers::refusal;
use crate::{Kubeknock, Pod, Scene};

/// `kubeknock wait OPTIONS -- CMD`: the options for server and mount stand before the dashes.
fn gate(scene: &Scene, options: &[&str], command: &[&str]) -> Command {
    let mut gate = scene.command(options);
    gate.arg("--").args(command);
    gate
}

#[test]
fn what_is_granted_costs_one_round_and_no_pause() {
    let scene = Scene::with_lister();
    let finished = scene.runs(&["wait", "list pods", "-o", "json"]);
    let report: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(report["rounds"], 1, "{report}");
    finished.gives(0, &["\"outcome\":\"ok\""], Stderr::Empty);
    assert_eq!(scene.cluster.requests().len(), 2);
    assert_eq!(scene.cluster.connections(), 1);
}

#[test]
fn a_gate_opens_within_a_step_of_the_grant() {
    let scene = Scene::new();
    let running = Running::start(&mut scene.command(&["wait", "list pods", "--max-interval", "200ms"]));
    running.complains("waiting: list pods in ns-1: forbidden (10)");
    scene.cluster.wait_for_requests(5);
    scene.grant_list();
    let granted = Instant::now();
    let (stdout, stderr) = running.ends_with(0);
    // One step, one round, and the delay of a busy machine.
    assert!(granted.elapsed() < Duration::from_secs(2) + runner_delay(), "{:?}", granted.elapsed());
    assert!(stdout.contains("ok (0)") && stdout.contains(" times"), "{stdout}");
    assert_eq!(stderr, "", "one line when the outcome changes, not every round");
    let anonymous = scene.cluster.requests().iter().filter(|seen| seen.authorization.is_none()).count();
    assert_eq!(anonymous, 1, "the anonymous knock is made in the first round only");
}

#[test]
fn a_gate_waits_for_the_api_server_itself() {
    let mut scene = Scene::with_lister();
    scene.cluster.stop();
    let running = Running::start(&mut scene.command(&["wait", "list pods", "--max-interval", "100ms"]));
    running.complains("unreachable (21)");
    scene.cluster.restart();
    running.ends_with(0);
}

/// An overloaded API server may delay anonymous requests only.
#[test]
fn an_anonymous_knock_that_hangs_holds_up_one_round() {
    let scene = Scene::with_lister();
    scene.cluster.fail_if(Times::All, Fault::Hang, |seen| seen.authorization.is_none());
    scene.runs(&["wait", "list pods", "--request-timeout", "300ms", "--max-interval", "100ms"]).gives(
        0,
        &["list pods in ns-1  anonymous timeout  token 200  ok\n"],
        Stderr::Has("timeout (23)"),
    );
}

#[test]
fn tokens_and_ca_bundles_are_read_again() {
    let mut scene = Scene::with_lister();
    let expired = scene.token_with(|spec| spec.expires_in = -60);
    write_mount(scene.pod.mount(), &expired, &scene.cluster.ca_pem(), "ns-1");
    let running = Running::start(&mut scene.command(&["wait", "list pods", "--max-interval", "100ms"]));
    running.complains("unauthenticated (11)");
    let old_ca = scene.cluster.ca_pem();
    scene.cluster.rotate_ca();
    write_mount(scene.pod.mount(), &scene.cluster.token("ns-1", "k-sa-1"), &old_ca, "ns-1");
    running.complains("untrusted (22)");
    scene.cluster.mount(scene.pod.mount(), "ns-1", "k-sa-1");
    running.ends_with(0);
}

#[test]
fn at_the_deadline_the_last_whole_round_decides() {
    let scene = Scene::new();
    let arguments = ["wait", "list pods", "--timeout", "700ms", "--max-interval", "100ms"];
    let finished =
        scene.runs(&arguments).gives(10, &["forbidden (10)", "waited 0s, asked "], Stderr::Has("waiting:"));
    assert!(finished.took < Duration::from_millis(800) + runner_delay(), "{:?}", finished.took);
    assert!(finished.took > Duration::from_millis(700), "{:?}", finished.took);
}

#[test]
fn a_silent_server_costs_a_round_and_not_the_wait() {
    let silent = faults::silent();
    let pod = Pod::in_front_of(&silent);
    let arguments =
        ["wait", "list pods", "--request-timeout", "200ms", "--max-interval", "100ms", "--timeout", "1s"];
    let finished = pod.runs(&arguments).gives(
        23,
        &["timeout (23)"],
        Stderr::Has("waiting: list pods in ns-1: timeout (23)"),
    );
    assert!(finished.took < Duration::from_millis(1100) + runner_delay(), "{:?}", finished.took);
    assert!(silent.connections() >= 2, "{}", silent.connections());
    // The wait ends before a round is complete.
    pod.runs(&["wait", "list pods", "--timeout", "300ms"]).gives(23, &["timeout (23)"], Stderr::Empty);
}

#[test]
fn fail_fast_leaves_at_once_on_a_no_and_not_on_an_outage() {
    let scene = Scene::new();
    scene.runs(&["wait", "list pods", "--fail-fast"]).gives(10, &["kubectl create role"], Stderr::Empty);
    assert_eq!(scene.cluster.requests().len(), 2);
    let start = || {
        let arguments = ["wait", "list pods", "--fail-fast", "--max-interval", "100ms"];
        Running::start(&mut scene.command(&arguments))
    };
    scene.cluster.fail(Times::Next(2), Fault::Unavailable);
    let running = start();
    running.complains("unavailable (24)");
    running.ends_with(10);
    // A no after an outage may be of an API server that has just started: it is asked once more.
    scene.grant_list();
    let refusal = refusal("system:serviceaccount:ns-1:k-sa-1");
    scene.cluster.fail(Times::Next(2), Fault::Unavailable);
    let seen = AtomicUsize::new(0);
    let third = move |_: &testbed::Seen| seen.fetch_add(1, Ordering::Relaxed) == 2;
    scene.cluster.fail_if(Times::Next(1), Fault::raw(403, "application/json", &refusal), third);
    let running = start();
    running.complains("unavailable (24)");
    running.complains("forbidden (10)");
    running.ends_with(0);
}

/// Without an answer until the deadline, the gate opens anyway, with a warning.
#[test]
fn fail_open_goes_on_at_the_deadline_without_an_answer() {
    let mut scene = Scene::with_lister();
    scene.cluster.fail(Times::All, Fault::Unavailable);
    let arguments = ["wait", "list pods", "--fail-open", "--timeout", "700ms", "--max-interval", "100ms"];
    let warning = "warning: going on without an answer (--fail-open): list pods in ns-1: unavailable (24): ";
    let ignored = "ok (0): --fail-open ignores 1 permission without an answer\n";
    let finished = scene.runs(&arguments).gives(0, &[ignored], Stderr::Has(warning));
    assert!(finished.took > Duration::from_millis(700), "it asks until the deadline: {:?}", finished.took);
    scene.pod.run(&mut gate(&scene, &arguments, &["/bin/echo", "started"])).gives(
        0,
        &["started\n"],
        Stderr::Has(warning),
    );
    let finished = scene.runs(&[&arguments[..], &["-o", "json"]].concat());
    let report: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(
        (&report["exitCode"], &report["permissions"][0]["outcome"]),
        (&json!(0), &json!("unavailable")),
        "{report}"
    );
    scene.cluster.stop();
    scene.runs(&arguments).gives(
        0,
        &["unreachable", ignored],
        Stderr::Has("(--fail-open): list pods in ns-1: unreachable"),
    );
}

/// A deadline before the end of the first round is no answer, too.
#[test]
fn fail_open_goes_on_where_no_round_is_completed() {
    let silent = faults::silent();
    let pod = Pod::in_front_of(&silent);
    let arguments = ["wait", "list pods", "--fail-open", "--timeout", "300ms"];
    pod.runs(&arguments).gives(
        0,
        &["timeout", "ok (0): --fail-open"],
        Stderr::Has("going on without an answer"),
    );
}

/// A definite no still decides, at any place among the phrases, and an answer in time changes nothing.
#[test]
fn fail_open_does_not_pass_over_a_no() {
    let scene = Scene::with_lister();
    let pods = |seen: &testbed::Seen| seen.path_and_query.contains("/pods");
    scene.cluster.fail_if(Times::All, Fault::Unavailable, pods);
    let arguments = ["wait", "list pods", "list secrets", "--max-interval", "100ms", "--timeout", "700ms"];
    let with = |options: &[&'static str]| scene.runs(&[&arguments[..], options].concat());
    with(&[]).gives(24, &["unavailable (24)"], Stderr::Has("waiting:"));
    with(&["--fail-open"]).gives(10, &["forbidden (10)"], Stderr::Has("waiting:"));
    let finished = with(&["--fail-open", "--fail-fast"]).gives(10, &["forbidden (10)"], Stderr::Empty);
    assert!(finished.took < Duration::from_millis(700) + runner_delay(), "{:?}", finished.took);
    scene.cluster.heal();
    scene.runs(&["wait", "list pods", "--fail-open"]).gives(0, &["ok (0): every"], Stderr::Empty);
    scene.pod.without_file("ca.crt").runs(&["wait", "list pods", "--fail-open"]).gives(
        31,
        &[],
        Stderr::Has("ca.crt"),
    );
}

/// `KUBEKNOCK_DISABLED` starts at once: mount, server and permissions do not matter.
#[test]
fn a_gate_that_is_disabled_opens_at_once() {
    const WARNING: &str = "kubeknock: warning: KUBEKNOCK_DISABLED is set, so nothing is asked: ";
    let scene = Scene::new();
    let run = |mut command: Command, reason: &str| scene.pod.run(command.env("KUBEKNOCK_DISABLED", reason));
    let waits = || scene.command(&["wait", "list pods"]);
    run(waits(), "incident 42").is(0, "", &format!("{WARNING}incident 42\n"));
    run(waits(), "a\u{1b}[31mb\nc").is(0, "", &format!("{WARNING}a\\u{{1b}}[31mb\\nc\n"));
    run(scene.command(&["wait", "list pods", "-q"]), " ").is(0, "", &format!("{WARNING} \n"));
    let app = || gate(&scene, &["wait", "list pods", "-o", "json"], &["/bin/echo", "started"]);
    run(app(), "why").is(0, "started\n", &format!("{WARNING}why\n"));
    let finished = run(scene.command(&["wait", "list pods", "-o", "json"]), "why");
    let report: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!((&report["outcome"], &report["exitCode"]), (&json!("ok"), &json!(0)), "{report}");
    assert!(report["message"].as_str().unwrap().ends_with(": why"), "{report}");
    run(gate(&scene, &["wait", "list pods"], &["/no/such/program"]), "why").gives(
        127,
        &[],
        Stderr::Has(WARNING),
    );
    // It does not matter what the pod lacks.
    let mut bare = Kubeknock::command(["wait", "list pods"]);
    bare.env("KUBERNETES_SERVICE_HOST", "no host").env("KUBERNETES_SERVICE_PORT", "443");
    run(bare, "why").is(0, "", &format!("{WARNING}why\n"));
    run(scene.command(&["wait", "-f", "/no/such/file"]), "why").is(0, "", &format!("{WARNING}why\n"));
    let mut odd = scene.command(&["wait", "list pods"]);
    let reason = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff");
    scene.pod.run(odd.env("KUBEKNOCK_DISABLED", reason)).gives(0, &[], Stderr::Has(WARNING));
    assert!(scene.cluster.requests().is_empty());
}

/// A wrong command line is still an error; an empty reason does not count; only `wait` uses it.
#[test]
fn what_is_not_disabled() {
    let scene = Scene::new();
    let run = |arguments: &[&str], reason: &str| {
        scene.pod.run(scene.command(arguments).env("KUBEKNOCK_DISABLED", reason))
    };
    for arguments in [&["wait"][..], &["wait", "list"], &["wait", "list pods", "--stable", "0"]] {
        run(arguments, "why").gives(30, &[], Stderr::Any).has_no_stdout();
    }
    scene.pod.run(gate(&scene, &["wait", "list pods"], &[]).env("KUBEKNOCK_DISABLED", "why")).gives(
        30,
        &[],
        Stderr::Has("a command is missing"),
    );
    run(&["wait", "list pods", "--fail-fast"], "").gives(10, &["forbidden"], Stderr::Empty);
    run(&["check", "list pods"], "why").gives(10, &["forbidden"], Stderr::Empty);
    run(&["monitor", "list pods", "--until-lost"], "why").gives(10, &["forbidden"], Stderr::Empty);
    run(&["get", "/api/v1/pods"], "why").gives(10, &[], Stderr::Any);
    run(&["doctor"], "why").gives(10, &["list pods"], Stderr::Any);
}

#[test]
fn what_cannot_be_asked_ends_it_at_once() {
    let scene = Scene::new();
    scene.pod.without_file("ca.crt").runs(&["wait", "list pods"]).gives(31, &[], Stderr::Has("ca.crt"));
}

#[test]
fn stable_wants_good_rounds_in_a_row_on_new_connections() {
    let scene = Scene::with_lister();
    let finished =
        scene.runs(&["wait", "list pods", "--stable", "3"]).gives(0, &["asked 3 times"], Stderr::Empty);
    assert_eq!(scene.cluster.connections(), 3);
    assert!(finished.took > Duration::from_secs(2), "a second apart: {:?}", finished.took);
}

/// A token file that cannot be read in time breaks the row of good rounds.
#[test]
fn stable_begins_again_after_a_file_that_is_not_read_in_time() {
    let scene = Scene::with_lister();
    let files = tempfile::tempdir().unwrap();
    let (token, pipe, real) =
        (files.path().join("token"), files.path().join("pipe"), files.path().join("real"));
    fs::copy(scene.pod.mount().join("token"), &token).unwrap();
    fs::copy(&token, &real).unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut command = scene.command(&["wait", "list pods", "--stable", "2", "--request-timeout", "300ms"]);
    let running = Running::start(command.arg("--token-file").arg(&token));
    eventually("a first good round", || scene.cluster.requests().len() == 2);
    fs::rename(&pipe, &token).unwrap();
    running.complains("not read in time");
    fs::rename(&real, &token).unwrap();
    running.ends_with(0);
    // The anonymous knock is made in the first round only.
    assert_eq!(scene.cluster.requests().len(), 4);
}

/// Good rounds that are too few when the time is over do not open the gate.
#[test]
fn stable_is_not_met_at_the_deadline() {
    let scene = Scene::with_lister();
    for timeout in ["500ms", "1500ms"] {
        let arguments = ["wait", "list pods", "--stable", "3", "--timeout", timeout];
        scene.runs(&arguments).gives(23, &["token 200  ok", "timeout (23)"], Stderr::Empty);
    }
}

#[test]
fn retry_after_is_obeyed() {
    let scene = Scene::with_lister();
    scene.cluster.fail_if(Times::Next(1), Fault::TooManyRequests { retry_after: 2 }, |seen| {
        seen.authorization.is_some()
    });
    let arguments = ["wait", "list pods", "--max-interval", "100ms"];
    let finished = scene.runs(&arguments).gives(0, &["asked 2 times"], Stderr::Has("unavailable (24)"));
    assert!(finished.took > Duration::from_secs(2), "{:?}", finished.took);
}

#[test]
fn names_are_looked_up_once() {
    let scene = Scene::new();
    let running =
        Running::start(&mut scene.command(&["wait", "list deployments.apps", "--max-interval", "50ms"]));
    scene.cluster.wait_for_requests(6);
    scene.grant("reader", &["list"], "apps", &["deployments"]);
    running.ends_with(0);
    let lookups = scene.cluster.requests().iter().filter(|seen| seen.path_and_query == "/apis").count();
    assert_eq!(lookups, 1);
}

#[test]
fn it_becomes_the_command() {
    let scene = Scene::with_lister();
    let script = "echo pid $$; echo $GREETING; exit 7";
    let mut command = gate(&scene, &["wait", "list pods"], &["/bin/sh", "-c", script]);
    let running = Running::start(command.env("GREETING", "hello"));
    let pid = running.pid();
    let (stdout, stderr) = running.ends_with(7);
    assert_eq!(stdout, format!("pid {pid}\nhello\n"), "stdout is the command's");
    assert!(stderr.contains("ok (0)"), "{stderr}");
}

#[test]
fn the_command_inherits_nothing_of_ours() {
    let scene = Scene::with_lister();
    // Descriptors that were open before are inherited; `ls` adds the one with which it reads the folder.
    let direct = Running::start(Command::new("/bin/ls").arg("/proc/self/fd")).ends_with(0);
    let mut command = gate(&scene, &["wait", "list pods", "-q"], &["/bin/ls", "/proc/self/fd"]);
    assert_eq!(Running::start(&mut command).ends_with(0), direct);
    let mut command = gate(&scene, &["wait", "list pods", "-q"], &["/bin/cat", "/proc/self/status"]);
    let (status, _) = Running::start(&mut command).ends_with(0);
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    };
    assert_eq!(mask("SigCgt:"), 0, "no handler");
    assert_eq!(mask("SigIgn:") & (1 << (13 - 1)), 0, "SIGPIPE is not ignored");
    assert_eq!(mask("SigBlk:"), 0, "nothing is blocked");
}

#[test]
fn arguments_of_the_command_are_untouched() {
    let scene = Scene::with_lister();
    let mut command =
        gate(&scene, &["wait", "list pods", "-q"], &["/usr/bin/printf", "%s|", "--help", "--", "-q", "ü"]);
    scene.pod.run(&mut command).gives(0, &["--help|--|-q|ü|"], Stderr::Empty);
}

#[test]
fn a_command_that_cannot_be_started() {
    let scene = Scene::with_lister();
    let plain = scene.pod.mount().join("plain");
    fs::write(&plain, "no program").unwrap();
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o644)).unwrap();
    let mut missing = gate(&scene, &["wait", "list pods"], &["/no/such/program"]);
    scene.pod.run(&mut missing).gives(127, &[], Stderr::Has("/no/such/program"));
    let mut plain = gate(&scene, &["wait", "list pods"], &[plain.to_str().unwrap()]);
    scene.pod.run(&mut plain).gives(126, &[], Stderr::Has("ermission denied"));
    // Without the grant, the command is not tried.
    let mut refused = gate(&scene, &["wait", "list secrets", "--fail-fast"], &["/no/such/program"]);
    scene.pod.run(&mut refused).gives(10, &[], Stderr::Has("forbidden (10)"));
}

#[test]
fn usage() {
    let scene = Scene::new();
    scene.pod.run(&mut gate(&scene, &["wait", "list pods"], &[])).gives(
        30,
        &[],
        Stderr::Has("a command is missing"),
    );
    scene.pod.run(&mut gate(&scene, &["check", "list pods"], &["app"])).gives(
        30,
        &[],
        Stderr::Has("check takes no command after --: only wait does"),
    );
    for (options, reason) in [
        (&["--stable", "0"][..], "--stable"),
        (&["--stable", "x"], "--stable"),
        (&["--timeout", "5"], "unit"),
        (&["--request-timeout", "0"], "more than 0"),
        (&["--max-interval", "0s"], "more than 0"),
        (&["--fail-open", "--timeout", "0"], "--timeout 0 has none"),
    ] {
        let words = [&["wait", "list pods"], options].concat();
        scene.runs(&words).gives(30, &[], Stderr::Has(reason)).has_no_stdout();
    }
    assert!(scene.cluster.requests().is_empty());
}

/// What a gate is doing when a signal arrives, each with the listener that keeps it there.
fn busy_places() -> Vec<(&'static str, Listener)> {
    vec![
        ("connecting", faults::never_accepts()),
        ("in the handshake", faults::silent()),
        ("waiting for an answer", faults::silent_after_tls()),
        ("reading a body that never ends", faults::endless_body()),
    ]
}

#[test]
fn signals_end_it_at_once() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        for (place, listener) in busy_places() {
            let pod = Pod::in_front_of(&listener).with_file("log", "");
            let log = pod.mount().join("log");
            let log = log.to_str().unwrap();
            let mut running =
                Running::start(&mut pod.command(["wait", "list pods", "--termination-log", log]));
            // The state of a connection is not visible from outside, but a handler and an open socket are.
            eventually(place, || running.handles(signal) && running.has_socket());
            running.send(signal);
            let (status, took) = running.ends();
            assert_eq!(status.code(), Some(code), "{place}");
            assert!(took < Duration::from_millis(100) + runner_delay(), "{place}: {took:?}");
            assert_eq!(fs::read_to_string(log).unwrap(), "", "{place}: no termination message");
        }
    }
}

#[test]
fn a_signal_ends_a_pause() {
    let scene = Scene::new();
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut running = Running::start(&mut scene.command(&["wait", "list pods"]));
        running.complains("waiting:");
        running.send(signal);
        let (status, took) = running.ends();
        assert_eq!(status.code(), Some(code));
        assert!(took < Duration::from_millis(100) + runner_delay(), "{took:?}");
        assert_eq!(running.ends_with(code), (String::new(), String::new()), "no verdict");
    }
}

#[test]
fn the_termination_message_says_why_it_did_not_open() {
    let scene = Scene::new().with_file("log", "from an earlier run");
    let log = scene.pod.mount().join("log");
    let log = log.to_str().unwrap();
    let arguments =
        ["wait", "list pods", "--timeout", "300ms", "--max-interval", "100ms", "--termination-log", log];
    scene.runs(&arguments).gives(10, &[], Stderr::Any);
    let message = fs::read_to_string(log).unwrap();
    assert!(message.starts_with("forbidden (10)") && message.contains("kubectl create role"), "{message}");
    assert!(message.len() < 1024);
    scene.grant_list();
    fs::write(log, "untouched").unwrap();
    scene.runs(&arguments).gives(0, &[], Stderr::Any);
    assert_eq!(fs::read_to_string(log).unwrap(), "untouched");
}

#[test]
fn a_mesh_that_refuses_the_first_connections_is_waited_out() {
    // Ends the first connections in the handshake, and then stays silent: the outcome changes, and the wait
    // continues.
    let closes = faults::closes();
    let pod = Pod::in_front_of(&closes);
    let running = Running::start(&mut pod.command(["wait", "list pods", "--max-interval", "50ms"]));
    running.complains("unreachable (21)");
    eventually("more rounds", || closes.connections() > 3);
    running.send(Signal::TERM);
    running.ends_with(143);
    thread::yield_now();
}
