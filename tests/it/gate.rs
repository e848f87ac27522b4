//! `wait`: the init container gate and the scratch image's entrypoint.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use rustix::process::Signal;
use serde_json::Value;
use testbed::faults::{self, Listener};
use testbed::{
    Cluster, Fault, Running, Stderr, Times, TokenSpec, World, eventually, runner_delay, write_mount,
};

use crate::Pod;

fn tutorial() -> (Cluster, Pod) {
    let cluster = Cluster::start();
    cluster.namespace("ns-1");
    cluster.service_account("ns-1", "k-sa-1");
    let pod = Pod::of(&cluster, "ns-1", "k-sa-1");
    (cluster, pod)
}

fn grant(cluster: &Cluster) {
    cluster.role("ns-1", "pod-lister", &["list"], "", &["pods"]);
    cluster.role_binding("ns-1", "pod-lister-binding", "pod-lister", "ns-1", "k-sa-1");
}

/// A pod in front of a listener that misbehaves.
fn in_front_of(listener: &Listener) -> Pod {
    Pod::at(&listener.server(), "header.claims.signature", &listener.ca_pem(), "ns-1")
}

/// `kubeknock wait OPTIONS -- CMD`: the server and the mount stand before the dashes.
fn gate(pod: &Pod, options: &[&str], command: &[&str]) -> Command {
    let mut gate = pod.command(options);
    gate.arg("--").args(command);
    gate
}

#[test]
fn what_is_granted_costs_one_round_and_no_pause() {
    let (cluster, pod) = tutorial();
    grant(&cluster);
    let knock = pod.runs(&["wait", "list pods", "-o", "json"]);
    let report: Value = serde_json::from_str(&knock.stdout).unwrap();
    assert_eq!(report["rounds"], 1, "{report}");
    knock.gives(0, &["\"outcome\":\"allowed\""], Stderr::Empty);
    assert_eq!(cluster.requests().len(), 2);
    assert_eq!(cluster.connections(), 1);
}

#[test]
fn a_gate_opens_within_a_step_of_the_grant() {
    let (cluster, pod) = tutorial();
    let running = Running::start(&mut pod.command(["wait", "list pods", "--max-interval", "200ms"]));
    running.complains("waiting: list pods in ns-1: forbidden (10)");
    cluster.wait_for_requests(5);
    grant(&cluster);
    let granted = Instant::now();
    let (stdout, stderr) = running.ends_with(0);
    // One step, one round, and what a busy machine adds.
    assert!(granted.elapsed() < Duration::from_secs(2) + runner_delay(), "{:?}", granted.elapsed());
    assert!(stdout.contains("allowed (0)") && stdout.contains(" times"), "{stdout}");
    assert_eq!(stderr, "", "one line when the outcome changes, not every round");
    let anonymous = cluster.requests().iter().filter(|seen| seen.authorization.is_none()).count();
    assert_eq!(anonymous, 1, "the anonymous knock is made in the first round only");
}

#[test]
fn a_gate_waits_for_the_api_server_itself() {
    let (mut cluster, pod) = tutorial();
    grant(&cluster);
    cluster.stop();
    let running = Running::start(&mut pod.command(["wait", "list pods", "--max-interval", "100ms"]));
    running.complains("unreachable (21)");
    cluster.restart();
    running.ends_with(0);
}

/// An overloaded API server may keep the anonymous waiting and nobody else.
#[test]
fn an_anonymous_knock_that_hangs_holds_up_one_round() {
    let (cluster, pod) = tutorial();
    grant(&cluster);
    cluster.fail_if(Times::All, Fault::Hang, |seen| seen.authorization.is_none());
    pod.runs(&["wait", "list pods", "--request-timeout", "300ms", "--max-interval", "100ms"]).gives(
        0,
        &["list pods in ns-1  anonymous timeout  token 200  allowed\n"],
        Stderr::Has("timeout (23)"),
    );
}

#[test]
fn tokens_and_ca_bundles_are_read_anew() {
    let (mut cluster, pod) = tutorial();
    grant(&cluster);
    let spec = TokenSpec {
        namespace: "ns-1".into(),
        service_account: "k-sa-1".into(),
        expires_in: -60,
        ..TokenSpec::default()
    };
    write_mount(pod.mount(), &cluster.token_with(&spec), &cluster.ca_pem(), "ns-1");
    let running = Running::start(&mut pod.command(["wait", "list pods", "--max-interval", "100ms"]));
    running.complains("unauthenticated (11)");
    let old_ca = cluster.ca_pem();
    cluster.rotate_ca();
    write_mount(pod.mount(), &cluster.token("ns-1", "k-sa-1"), &old_ca, "ns-1");
    running.complains("untrusted (22)");
    cluster.mount(pod.mount(), "ns-1", "k-sa-1");
    running.ends_with(0);
}

#[test]
fn at_the_deadline_the_last_whole_round_decides() {
    let (_cluster, pod) = tutorial();
    let arguments = ["wait", "list pods", "--timeout", "700ms", "--max-interval", "100ms"];
    let knock =
        pod.runs(&arguments).gives(10, &["forbidden (10)", "waited 0s, asked "], Stderr::Has("waiting:"));
    assert!(knock.took < Duration::from_millis(800) + runner_delay(), "{:?}", knock.took);
    assert!(knock.took > Duration::from_millis(700), "{:?}", knock.took);
}

#[test]
fn a_silent_server_costs_a_round_and_not_the_wait() {
    let silent = faults::silent();
    let pod = in_front_of(&silent);
    let arguments =
        ["wait", "list pods", "--request-timeout", "200ms", "--max-interval", "100ms", "--timeout", "1s"];
    let knock = pod.runs(&arguments).gives(
        23,
        &["timeout (23)"],
        Stderr::Has("waiting: list pods in ns-1: timeout (23)"),
    );
    assert!(knock.took < Duration::from_millis(1100) + runner_delay(), "{:?}", knock.took);
    assert!(silent.connections() >= 2, "{}", silent.connections());
    // No whole round: the wait is shorter than a round.
    pod.runs(&["wait", "list pods", "--timeout", "300ms"]).gives(23, &["timeout (23)"], Stderr::Empty);
}

#[test]
fn fail_fast_leaves_at_once_on_a_no_and_not_on_an_outage() {
    let (cluster, pod) = tutorial();
    pod.runs(&["wait", "list pods", "--fail-fast"]).gives(10, &["kubectl create role"], Stderr::Empty);
    assert_eq!(cluster.requests().len(), 2);
    cluster.fail(Times::Next(2), Fault::Unavailable);
    let running =
        Running::start(&mut pod.command(["wait", "list pods", "--fail-fast", "--max-interval", "100ms"]));
    running.complains("unavailable (24)");
    running.ends_with(10);
}

#[test]
fn what_cannot_be_asked_ends_it_at_once() {
    let (_cluster, pod) = tutorial();
    pod.without_file("ca.crt").runs(&["wait", "list pods"]).gives(31, &[], Stderr::Has("ca.crt"));
}

#[test]
fn stable_wants_good_rounds_in_a_row_on_new_connections() {
    let (cluster, pod) = tutorial();
    grant(&cluster);
    let knock = pod.runs(&["wait", "list pods", "--stable", "3"]).gives(0, &["asked 3 times"], Stderr::Empty);
    assert_eq!(cluster.connections(), 3);
    assert!(knock.took > Duration::from_secs(2), "a second apart: {:?}", knock.took);
}

#[test]
fn retry_after_is_obeyed() {
    let (cluster, pod) = tutorial();
    grant(&cluster);
    cluster.fail_if(Times::Next(1), Fault::TooManyRequests { retry_after: 2 }, |seen| {
        seen.authorization.is_some()
    });
    let arguments = ["wait", "list pods", "--max-interval", "100ms"];
    let knock = pod.runs(&arguments).gives(0, &["asked 2 times"], Stderr::Has("unavailable (24)"));
    assert!(knock.took > Duration::from_secs(2), "{:?}", knock.took);
}

#[test]
fn names_are_looked_up_once() {
    let (cluster, pod) = tutorial();
    let running =
        Running::start(&mut pod.command(["wait", "list deployments.apps", "--max-interval", "50ms"]));
    cluster.wait_for_requests(6);
    cluster.role("ns-1", "reader", &["list"], "apps", &["deployments"]);
    cluster.role_binding("ns-1", "reader", "reader", "ns-1", "k-sa-1");
    running.ends_with(0);
    let lookups = cluster.requests().iter().filter(|seen| seen.path_and_query == "/apis").count();
    assert_eq!(lookups, 1);
}

#[test]
fn it_becomes_the_command() {
    let (cluster, pod) = tutorial();
    grant(&cluster);
    let script = "echo pid $$; echo $GREETING; exit 7";
    let mut command = gate(&pod, &["wait", "list pods"], &["/bin/sh", "-c", script]);
    let running = Running::start(command.env("GREETING", "hello"));
    let pid = running.pid();
    let (stdout, stderr) = running.ends_with(7);
    assert_eq!(stdout, format!("pid {pid}\nhello\n"), "stdout is the command's");
    assert!(stderr.contains("allowed (0)"), "{stderr}");
}

#[test]
fn the_command_inherits_nothing_of_ours() {
    let (cluster, pod) = tutorial();
    grant(&cluster);
    // What was open before is passed on; ls adds the descriptor it reads the folder with.
    let direct = Running::start(Command::new("/bin/ls").arg("/proc/self/fd")).ends_with(0);
    let mut command = gate(&pod, &["wait", "list pods", "-q"], &["/bin/ls", "/proc/self/fd"]);
    assert_eq!(Running::start(&mut command).ends_with(0), direct);
    let mut command = gate(&pod, &["wait", "list pods", "-q"], &["/bin/cat", "/proc/self/status"]);
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
    let (cluster, pod) = tutorial();
    grant(&cluster);
    let mut command =
        gate(&pod, &["wait", "list pods", "-q"], &["/usr/bin/printf", "%s|", "--help", "--", "-q", "ü"]);
    pod.run(&mut command).gives(0, &["--help|--|-q|ü|"], Stderr::Empty);
}

#[test]
fn a_command_that_cannot_be_started() {
    let (cluster, pod) = tutorial();
    grant(&cluster);
    let plain = pod.mount().join("plain");
    fs::write(&plain, "no program").unwrap();
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o644)).unwrap();
    let mut missing = gate(&pod, &["wait", "list pods"], &["/no/such/program"]);
    pod.run(&mut missing).gives(127, &[], Stderr::Has("/no/such/program"));
    let mut plain = gate(&pod, &["wait", "list pods"], &[plain.to_str().unwrap()]);
    pod.run(&mut plain).gives(126, &[], Stderr::Has("ermission denied"));
    // Not granted: the command is not tried.
    let mut refused = gate(&pod, &["wait", "list secrets", "--fail-fast"], &["/no/such/program"]);
    pod.run(&mut refused).gives(10, &[], Stderr::Has("forbidden (10)"));
}

#[test]
fn usage() {
    let (cluster, pod) = tutorial();
    pod.run(&mut gate(&pod, &["wait", "list pods"], &[])).gives(30, &[], Stderr::Has("a command is missing"));
    pod.run(&mut gate(&pod, &["check", "list pods"], &["app"])).gives(30, &[], Stderr::Has("only wait"));
    for (options, reason) in [
        (&["--stable", "0"][..], "--stable"),
        (&["--stable", "x"], "--stable"),
        (&["--timeout", "5"], "unit"),
        (&["--request-timeout", "0"], "more than 0"),
        (&["--max-interval", "0s"], "more than 0"),
    ] {
        let words = [&["wait", "list pods"], options].concat();
        pod.runs(&words).gives(30, &[], Stderr::Has(reason)).has_no_stdout();
    }
    assert!(cluster.requests().is_empty());
}

/// What a gate is doing when a signal comes, each with the listener that keeps it there.
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
            let pod = in_front_of(&listener).with_file("log", "");
            let log = pod.mount().join("log");
            let log = log.to_str().unwrap();
            let mut running =
                Running::start(&mut pod.command(["wait", "list pods", "--termination-log", log]));
            // Nothing is told from inside a connection; what it did so far has to be seen from here.
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
    let (_cluster, pod) = tutorial();
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut running = Running::start(&mut pod.command(["wait", "list pods"]));
        running.complains("waiting:");
        running.send(signal);
        let (status, took) = running.ends();
        assert_eq!(status.code(), Some(code));
        assert!(took < Duration::from_millis(100) + runner_delay(), "{took:?}");
        assert_eq!(running.ends_with(code), (String::new(), String::new()), "no verdict");
    }
}

#[test]
fn the_termination_message_tells_why_it_did_not_open() {
    let (cluster, pod) = tutorial();
    let pod = pod.with_file("log", "from an earlier run");
    let log = pod.mount().join("log");
    let log = log.to_str().unwrap();
    let arguments =
        ["wait", "list pods", "--timeout", "300ms", "--max-interval", "100ms", "--termination-log", log];
    pod.runs(&arguments).gives(10, &[], Stderr::Any);
    let message = fs::read_to_string(log).unwrap();
    assert!(message.starts_with("forbidden (10)") && message.contains("kubectl create role"), "{message}");
    assert!(message.len() < 1024);
    grant(&cluster);
    fs::write(log, "untouched").unwrap();
    pod.runs(&arguments).gives(0, &[], Stderr::Any);
    assert_eq!(fs::read_to_string(log).unwrap(), "untouched");
}

#[test]
fn a_mesh_that_refuses_the_first_connections_is_waited_out() {
    // Ends the first connections in the handshake, then stays silent: the outcome changes, the wait goes on.
    let closes = faults::closes();
    let pod = in_front_of(&closes);
    let running = Running::start(&mut pod.command(["wait", "list pods", "--max-interval", "50ms"]));
    running.complains("unreachable (21)");
    eventually("more rounds", || closes.connections() > 3);
    running.send(Signal::TERM);
    running.ends_with(143);
    thread::yield_now();
}
