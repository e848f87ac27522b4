//! Time: `--timeout` bounds the whole run, whatever the network does.

use std::process::Command;
use std::thread;
use std::time::Duration;

use testbed::faults::{self, Certificate, Listener};
use testbed::{Finished, Stderr, runner_delay};

use crate::{Pod, Scene};

/// How far over the deadline a run may be.
const GRACE: Duration = Duration::from_millis(100);

/// Everything that keeps a client waiting, below TLS, in it, and above.
fn listeners() -> Vec<(&'static str, Listener)> {
    let pause = Duration::from_secs(1);
    vec![
        ("never accepts", faults::never_accepts()),
        ("is silent", faults::silent()),
        ("is silent after TLS", faults::silent_after_tls()),
        ("stops after the status line", faults::stops_after_status_line()),
        ("sends a byte of its head a second", faults::drips_head(pause)),
        ("sends a byte of its body a second", faults::drips(pause)),
    ]
}

/// Runs it, and again where only the clock was wrong: a machine that is busy with something else may be late
/// once, a program that does not keep its deadline is late each time.
#[track_caller]
fn times_out(name: &str, pod: &Pod, make: impl Fn() -> Command, timeout: Duration) {
    let mut late = Vec::new();
    for _ in 0..3 {
        let finished = pod.run(&mut make());
        let Finished { code, took, .. } = &finished;
        assert_eq!(*code, Some(23), "{name}\n{}", finished.story());
        assert!(*took >= timeout, "{name}\n{}", finished.story());
        if *took <= timeout + GRACE + runner_delay() {
            return;
        }
        late.push(finished.story());
    }
    panic!("{name}: late each time\n{}", late.join("\n"));
}

#[test]
fn one_second() {
    let listeners = listeners();
    thread::scope(|scope| {
        for (name, listener) in &listeners {
            for what in
                [&["check", "list pods", "get /version"][..], &["check", "list deploy"], &["get", "/version"]]
            {
                scope.spawn(move || {
                    let pod = Pod::in_front_of(listener);
                    let name = format!("{what:?} where the server {name}");
                    let make = || pod.command([what, &["--timeout", "1s"]].concat());
                    times_out(&name, &pod, make, Duration::from_secs(1));
                });
            }
        }
    });
}

/// A body without an end takes no time to be refused: no more than 1 MiB of it is read. `get` passes it
/// on for as long as it may.
#[test]
fn an_endless_body() {
    let listener = faults::endless_body();
    let pod = Pod::in_front_of(&listener);
    let finished = pod.runs(&["check", "--timeout", "1s", "list pods"]);
    assert_eq!(finished.code, Some(26), "{}", finished.story());
    times_out("get", &pod, || pod.command(["get", "--timeout", "1s", "/version"]), Duration::from_secs(1));
}

/// Before a connection is used again, what came meanwhile is looked at, and that has an end, too.
#[test]
fn endless_session_tickets_between_two_requests() {
    let listener = faults::floods_with_tickets_after(faults::answer(
        "200 OK",
        "application/json",
        "{\"kind\":\"PodList\"}",
    ));
    let pod = Pod::in_front_of(&listener);
    let make = || pod.command(["check", "--timeout", "1s", "list pods"]);
    times_out("tickets", &pod, make, Duration::from_secs(1));
}

/// Both at once, beside the other tests: they only wait.
#[test]
fn ten_and_thirty_seconds() {
    let listener = faults::silent();
    let (listener, pod) = (&listener, Pod::in_front_of(&listener));
    let pod = &pod;
    thread::scope(|scope| {
        for seconds in [10, 30] {
            scope.spawn(move || {
                let timeout = format!("{seconds}s");
                let make = || pod.command(["check", "list pods", "--timeout", &timeout]);
                times_out(&timeout, pod, make, Duration::from_secs(seconds));
            });
        }
    });
    assert!(listener.connections() >= 2);
}

/// The whole run counts, not each request: a server that is slow with each of many is not waited for.
#[test]
fn many_slow_answers() {
    let scene = Scene::with_reader();
    scene.cluster.delay(Duration::from_millis(150));
    let phrases = [
        "list pods",
        "get /version",
        "cannot list secrets",
        "list configmaps",
        "list services",
        "list events",
    ];
    let make = || scene.pod.command([&["check", "--timeout=1s"], &phrases[..]].concat());
    times_out("slow", &scene.pod, make, Duration::from_secs(1));
    let finished = scene.runs(&[&["check", "--timeout=1s"], &phrases[..]].concat());
    // How wide the columns are depends on which knock was the late one.
    let first: Vec<&str> = finished.stdout.lines().next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(first.join(" "), "list pods in ns-1 anonymous 403 token 200 ok", "{}", finished.story());
    assert!(
        finished.stdout.contains("  timeout\n") && finished.stdout.contains("  not asked\n"),
        "{}",
        finished.story()
    );
}

/// Ten seconds where nothing is said, as most that start it kill it after some time of their own.
#[test]
fn the_default_is_in_the_help() {
    let finished = Pod::in_front_of(&faults::refuses()).runs(&["check", "--help"]);
    assert!(finished.stdout.contains("the whole run [default: 10s]"), "{}", finished.story());
}

#[test]
fn whoami_rules_and_grant_keep_their_deadline() {
    for (name, listener, code) in [
        ("silent", faults::silent(), 23),
        ("never accepts", faults::never_accepts(), 23),
        ("silent after TLS", faults::silent_after_tls(), 23),
        ("drips", faults::drips(Duration::from_millis(100)), 23),
        ("drips head", faults::drips_head(Duration::from_millis(100)), 23),
        ("endless body", faults::endless_body(), 26),
        ("web page", faults::web_page(), 26),
        ("refuses", faults::refuses(), 21),
        ("other cluster", faults::certificate(Certificate::OtherCluster), 22),
    ] {
        let pod = Pod::in_front_of(&listener);
        for command in [&["whoami"][..], &["rules"], &["rules", "--only"], &["grant", "list pods in default"]]
        {
            let finished = pod.runs(&[command, &["--timeout", "1s"]].concat()).gives(code, &[], Stderr::Any);
            assert!(
                finished.took < Duration::from_millis(1500) + runner_delay(),
                "{name}: {}",
                finished.story()
            );
        }
    }
}
