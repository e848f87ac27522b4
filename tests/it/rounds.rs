//! What one round passes to the next in the same process: the TLS session, and the connection. This saves the API
//! server handshakes, and never changes a verdict.

use std::time::Duration;

use rustix::process::Signal;
use testbed::{Cluster, Fault, Running, Stderr, Times, Tls, World, eventually, runner_delay, write_mount};

use crate::Scene;

const QUICK: [&str; 4] = ["--interval", "20ms", "--max-interval", "20ms"];

fn monitor(scene: &Scene, options: &[&str]) -> Running {
    Running::start(&mut scene.command(&[&["monitor", "list pods"], &QUICK[..], options].concat()))
}

fn ends(running: Running) -> (String, String) {
    running.send(Signal::TERM);
    running.ends_with(0)
}

/// The number of connections, of TLS handshakes, and of handshakes that resumed a session.
fn made(cluster: &Cluster) -> (usize, usize, usize) {
    (cluster.connections(), cluster.handshakes(), cluster.resumptions())
}

fn lister(tls: Tls) -> Scene {
    let scene = Scene::on(Cluster::builder().tls(tls).start());
    scene.grant_list();
    scene
}

/// Writes the mount with another CA bundle, as the kubelet renews it.
fn trust(scene: &Scene, ca_pem: &str) {
    write_mount(scene.pod.mount(), &scene.pod.token().unwrap(), ca_pem, "ns-1");
}

const EVERY_TLS: [Tls; 3] = [Tls::Any, Tls::V1_2WithIds, Tls::V1_2WithTickets];

#[test]
fn rounds_keep_their_connection_over_a_short_pause() {
    for tls in EVERY_TLS {
        let scene = lister(tls);
        let running = monitor(&scene, &[]);
        running.prints("ok (0)");
        scene.cluster.wait_for_requests(20);
        assert_eq!(ends(running), (String::new(), String::new()));
        assert_eq!(made(&scene.cluster), (1, 1, 0), "{tls:?}");
    }
    let scene = Scene::new();
    let waiting = Running::start(&mut scene.command(&["wait", "list pods", "--max-interval", "20ms"]));
    scene.cluster.wait_for_requests(10);
    scene.grant_list();
    waiting.ends_with(0);
    assert_eq!(made(&scene.cluster), (1, 1, 0));
}

#[test]
fn a_new_connection_resumes_the_session() {
    for tls in EVERY_TLS {
        let scene = lister(tls);
        scene.cluster.close_connections(true);
        let running = monitor(&scene, &[]);
        running.prints("ok (0)");
        scene.cluster.wait_for_requests(20);
        ends(running);
        let (connections, handshakes, resumptions) = made(&scene.cluster);
        assert!(connections >= 20 && handshakes - resumptions == 1, "{tls:?}: {:?}", made(&scene.cluster));
    }
}

#[test]
fn stable_rounds_are_on_new_connections_that_resume_the_session() {
    let scene = Scene::with_lister();
    scene.runs(&["wait", "list pods", "--stable", "3"]).gives(0, &["asked 3 times"], Stderr::Empty);
    assert_eq!(made(&scene.cluster), (3, 3, 2));
}

/// A session that no later round can use is not stored, so that a single round does not cost more.
#[test]
fn a_single_round_stores_no_session() {
    let scene = Scene::with_lister();
    scene.cluster.close_connections(true);
    scene.runs(&["check", "list pods"]).gives(0, &[], Stderr::Empty);
    assert_eq!(made(&scene.cluster), (2, 2, 0));
}

#[test]
fn a_watch_costs_the_connection_and_not_the_session() {
    let scene = Scene::with_reader();
    let mut command = scene.command(&[&["monitor", "watch pods", "--token-only"], &QUICK[..]].concat());
    let running = Running::start(&mut command);
    running.prints("ok (0)");
    let requests = scene.cluster.wait_for_requests(5);
    assert!(requests.iter().zip(1..).all(|(seen, round)| seen.connection == round), "{requests:?}");
    assert_eq!(ends(running), (String::new(), String::new()));
    assert_eq!(scene.cluster.handshakes() - scene.cluster.resumptions(), 1);
}

/// The next round no longer trusts the old server, neither on the old connection nor with the old session.
#[test]
fn a_changed_ca_bundle_ends_connection_and_session() {
    let other = Cluster::start().ca_pem();
    for close in [false, true] {
        let scene = Scene::with_lister();
        scene.cluster.close_connections(close);
        let running = monitor(&scene, &[]);
        running.prints("ok (0)");
        scene.cluster.wait_for_requests(5);
        trust(&scene, &other);
        running.prints("untrusted (22)");
        scene.cluster.forget();
        trust(&scene, &scene.cluster.ca_pem());
        running.prints("ok (0)");
        scene.cluster.wait_for_requests(5);
        assert_eq!(scene.cluster.handshakes() - scene.cluster.resumptions(), 1, "one whole handshake");
        // Adding a second certificate to the good one also changes the bundle.
        scene.cluster.forget();
        trust(&scene, &(scene.cluster.ca_pem() + &other));
        eventually("a whole handshake", || scene.cluster.handshakes() > scene.cluster.resumptions());
        assert_eq!(ends(running), (String::new(), String::new()), "close: {close}");
    }
    let scene = Scene::new();
    let waiting = Running::start(&mut scene.command(&["wait", "list pods", "--max-interval", "20ms"]));
    scene.cluster.wait_for_requests(5);
    trust(&scene, &other);
    waiting.complains("untrusted (22)");
    waiting.send(Signal::TERM);
    waiting.ends_with(143);
}

/// The new certificate is from the same CA, but the server does not know the old sessions.
#[test]
fn a_server_that_restarts_with_another_key_is_met_by_a_whole_handshake() {
    let mut scene = Scene::with_lister();
    let running = monitor(&scene, &[]);
    running.prints("ok (0)");
    scene.cluster.stop();
    running.prints("unreachable (21)");
    scene.cluster.restart();
    running.prints("ok (0)");
    scene.cluster.forget();
    scene.cluster.wait_for_requests(5);
    ends(running);
    assert_eq!(made(&scene.cluster), (0, 0, 0), "and that one is kept");
}

/// How a connection can die between two rounds: each case costs one new connection, and prints nothing.
#[test]
fn a_kept_connection_that_is_dead_costs_one_silent_reconnect() {
    dies("closed", true, Cluster::hang_up);
    dies("closed when it is used", true, |cluster| {
        cluster.fail_if(Times::All, Fault::HangUp, |seen| seen.connection == 1);
    });
    // If the network drops idle connections, or the server is slow, a kept connection costs each round a wait, so no
    // more are kept.
    dies("forgotten on the way", false, |cluster| {
        cluster.fail_if(Times::All, Fault::Hang, |seen| seen.connection == 1);
    });
}

/// `kept`: whether the new connection is kept.
fn dies(death: &str, kept: bool, kill: impl FnOnce(&Cluster)) {
    let scene = Scene::with_lister();
    let running = monitor(&scene, &["--request-timeout", "2s"]);
    running.prints("ok (0)");
    scene.cluster.wait_for_requests(5);
    kill(&scene.cluster);
    eventually("a second connection", || scene.cluster.connections() == 2);
    let seen = scene.cluster.request_count();
    let requests = scene.cluster.wait_for_requests(seen + 10);
    assert_eq!(ends(running), (String::new(), String::new()), "{death}: nothing is lost, nothing is said");
    assert_eq!(scene.cluster.handshakes() - scene.cluster.resumptions(), 1, "{death}");
    let last = requests.last().unwrap().connection;
    assert!(if kept { last == 2 } else { last > 5 }, "{death}: connection {last}");
}

#[test]
fn a_round_that_is_not_answered_ends_the_connection_and_not_the_session() {
    for (fault, says) in [
        (Fault::TooManyRequests { retry_after: 0 }, "unavailable (24)"),
        (Fault::Unavailable, "unavailable (24)"),
        (Fault::InternalError, "unavailable (24)"),
        (Fault::raw(200, "text/html", "<html>"), "unintelligible (26)"),
    ] {
        let retry_after_5_s = matches!(fault, Fault::Unavailable);
        let scene = Scene::with_lister();
        let running = monitor(&scene, &[]);
        running.prints("ok (0)");
        scene.cluster.fail_if(Times::Next(1), fault, |seen| seen.authorization.is_some());
        running.prints(says);
        if !retry_after_5_s {
            running.prints("ok (0)");
            assert_eq!(made(&scene.cluster), (2, 2, 1), "{says}");
        }
        ends(running);
    }
}

/// A request on a kept connection has the deadline of the new round.
#[test]
fn a_kept_connection_keeps_the_deadline() {
    let scene = Scene::with_lister();
    let running = monitor(&scene, &["--request-timeout", "400ms", "-v"]);
    running.prints("ok (0)");
    scene.cluster.fail(Times::All, Fault::Hang);
    running.prints("timeout (23)");
    scene.cluster.heal();
    running.prints("ok (0)");
    let (_, complaints) = ends(running);
    let slow = complaints.lines().filter(|line| line.contains("timeout")).all(|line| {
        let milliseconds: u64 = line.rsplit('(').next().unwrap().trim_end_matches(" ms)").parse().unwrap();
        milliseconds < 500 + u64::try_from(runner_delay().as_millis()).unwrap()
    });
    assert!(slow, "{complaints}");
}

/// The new token may also be longer: a buffer of the size that the earlier requests needed would not hold it.
#[test]
fn a_renewed_token_goes_over_the_kept_connection() {
    let scene = Scene::with_lister();
    let running = monitor(&scene, &[]);
    running.prints("ok (0)");
    for length in [1, 8000] {
        let token = scene.token_with(|spec| spec.pod = Some("x".repeat(length)));
        write_mount(scene.pod.mount(), &token, &scene.cluster.ca_pem(), "ns-1");
        let sent = format!("Bearer {token}");
        eventually("the new token", || {
            scene.cluster.requests().last().is_some_and(|seen| seen.authorization.as_ref() == Some(&sent))
        });
    }
    assert_eq!(ends(running), (String::new(), String::new()));
    assert_eq!(made(&scene.cluster), (1, 1, 0));
}

#[test]
fn no_connection_is_kept_over_a_long_pause() {
    for (interval, kept) in [("60s", true), ("1h", false)] {
        let scene = Scene::with_lister();
        let mut running =
            Running::start(&mut scene.command(&["monitor", "list pods", "-q", "--interval", interval]));
        scene.cluster.wait_for_requests(2);
        if kept {
            // After this time, the monitor is in its pause.
            std::thread::sleep(Duration::from_millis(100));
        } else {
            eventually("no socket", || !running.has_socket());
        }
        assert_eq!(running.has_socket(), kept, "{interval}");
        running.send(Signal::TERM);
        let (status, took) = running.ends();
        assert_eq!(status.code(), Some(0));
        assert!(took < Duration::from_millis(100) + runner_delay(), "{took:?}");
    }
}
