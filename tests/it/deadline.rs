//! `--timeout` limits the whole run, whatever the network does.

use std::process::Command;
use std::thread;
use std::time::Duration;

use testbed::faults::{self, Certificate, Listener};
use testbed::{Finished, Stderr, runner_delay};

use crate::{Pod, Scene};

/// How far past the deadline a run may end.
const GRACE: Duration = Duration::from_millis(100);

/// Listeners that keep a client waiting, below TLS, in TLS, and above.
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

/// Runs it, and once more if only the time was wrong: on a busy machine a run may be late once, but a program
/// that misses its deadline is late each time.
#[track_caller]
fn times_out(name: &str, pod: &Pod, make: impl Fn() -> Command, timeout: Duration) {
    let mut late = Vec::new();
    for _ in 0..3 {
        let finished = pod.run(&mut make());
        let Finished { code, took, .. } = &finished;
        assert_eq!(*code, Some(23), "{name}\n{}", finished.transcript());
        assert!(*took >= timeout, "{name}\n{}", finished.transcript());
        if *took <= timeout + GRACE + runner_delay() {
            return;
        }
        late.push(finished.transcript());
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

/// An endless body is refused quickly, because at most 1 MiB of it is read. `get` passes it on until the
/// deadline.
#[test]
fn an_endless_body() {
    let listener = faults::endless_body();
    let pod = Pod::in_front_of(&listener);
    let finished = pod.runs(&["check", "--timeout", "1s", "list pods"]);
    assert_eq!(finished.code, Some(26), "{}", finished.transcript());
    times_out("get", &pod, || pod.command(["get", "--timeout", "1s", "/version"]), Duration::from_secs(1));
}

/// Before a connection is used again, the data that has arrived in the meantime is read, within a limit.
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

/// Both at once, and beside other tests, because they only wait.
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

/// The deadline is for the whole run, not for each request: many slow answers do not extend it.
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
    // The width of the columns depends on which knock was late.
    let first: Vec<&str> = finished.stdout.lines().next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(first.join(" "), "list pods in ns-1 anonymous 403 token 200 ok", "{}", finished.transcript());
    assert!(
        finished.stdout.contains("  timeout\n") && finished.stdout.contains("  not asked\n"),
        "{}",
        finished.transcript()
    );
}

/// The default is ten seconds, because whatever starts the program usually has a timeout of its own.
#[test]
fn the_default_is_in_the_help() {
    let finished = Pod::in_front_of(&faults::refuses()).runs(&["check", "--help"]);
    assert!(finished.stdout.contains("the whole run [default: 10s]"), "{}", finished.transcript());
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
                finished.transcript()
            );
        }
    }
}
