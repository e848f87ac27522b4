//! `--min-token-life`: the token's own claims decide before anything is asked.

use serde_json::json;
use testbed::scene::{USER, report};
use testbed::{Cluster, Running, Stderr, World, write_mount};

use crate::Scene;

const TOO_SOON: &str = "unauthenticated (11): the token ends too soon (--min-token-life)";

/// A scene whose pod may list pods, and whose token ends in this many seconds.
fn ending(seconds: i64) -> Scene {
    Scene::with_lister().with_token(|spec| spec.expires_in = seconds)
}

#[test]
fn a_token_that_ends_too_soon_asks_nothing() {
    let scene = ending(600);
    let finished = scene.runs(&["check", "list pods", "cannot list secrets", "--min-token-life", "20m"]);
    let mount = scene.pod.mount().display();
    for left in ["9m", "10m"] {
        let why = format!(
            "    {mount}/token: by its own claims the token ends in {left}, and --min-token-life requires 20m\n"
        );
        if finished.stdout.contains(&why) {
            let rows = ["anonymous -  token -  unauthenticated\n", "raise expirationSeconds of its volume\n"];
            return finished
                .gives(11, &[&rows[..], &[TOO_SOON]].concat(), Stderr::Empty)
                .asked_nothing(&scene);
        }
    }
    panic!("{}", finished.transcript());
}

trait AskedNothing {
    fn asked_nothing(&self, scene: &Scene);
}

impl AskedNothing for testbed::Finished {
    #[track_caller]
    fn asked_nothing(&self, scene: &Scene) {
        assert_eq!(scene.cluster.connections(), 0, "{}", self.transcript());
    }
}

/// The columns: the life of the token in seconds, the required life, the exit code, and the number of requests.
#[test]
fn the_claims_decide() {
    for (expires_in, least, code, requests) in [
        (3600, "30m", 0, 2),
        (3600, "2h", 11, 0),
        (600, "10m1s", 11, 0),
        (600, "500ms", 0, 2),
        // The token has expired. Without the option, the API server rejects it.
        (-60, "1s", 11, 0),
        (-60, "500ms", 11, 0),
    ] {
        let scene = ending(expires_in);
        let finished = scene.runs(&["check", "list pods", "--min-token-life", least]);
        finished.gives(code, &[], Stderr::Empty);
        assert_eq!(scene.cluster.requests().len(), requests, "{expires_in} {least}");
    }
    ending(-60).runs(&["check", "list pods", "--min-token-life", "1s"]).gives(
        11,
        &["expired"],
        Stderr::Empty,
    );
}

/// Without claims there is nothing to check: the API server decides, and without a token the anonymous knock does.
#[test]
fn what_claims_no_end_is_not_judged() {
    let least = ["--min-token-life", "1h"];
    let opaque = Scene::with_lister().with_file("token", "opaque-token-of-a-webhook");
    opaque.runs(&[&["check", "list pods"][..], &least].concat()).gives(11, &["token 401"], Stderr::Empty);
    let endless =
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6bnMtMTprLXNhLTEifQ.c2lnbmF0dXJl";
    let endless = Scene::with_lister().with_file("token", endless);
    endless.runs(&[&["check", "list pods"][..], &least].concat()).gives(11, &["token 401"], Stderr::Empty);
    let none = Scene::with_lister().with_file("token", "");
    none.runs(&[&["check", "list pods"][..], &least].concat()).gives(12, &["anonymous 403"], Stderr::Empty);
    none.runs(&[&["check", "--token-only", "list pods"][..], &least].concat()).gives(12, &[], Stderr::Empty);
}

#[test]
fn it_is_the_same_for_programs() {
    let scene = ending(-60);
    let finished = scene.runs(&["check", "list pods", "--min-token-life", "1h", "-o", "json"]);
    let report = report(&finished);
    assert_eq!(report["message"], TOO_SOON);
    assert_eq!(report["identity"], json!({ "user": USER, "source": "token" }));
    let row = &report["permissions"][0];
    assert_eq!(
        (&row["outcome"], &row["asked"], &row["anonymous"], &row["token"], &row["ok"]),
        (&json!("unauthenticated"), &json!(false), &json!(null), &json!(null), &json!(false))
    );
}

/// The kubelet may renew the token: a gate waits for that, and makes both knocks in the first round that asks.
#[test]
fn a_gate_waits_for_the_kubelet() {
    let scene = ending(60);
    let arguments = ["wait", "list pods", "--min-token-life", "10m", "--max-interval", "100ms"];
    let running = Running::start(&mut scene.command(&arguments));
    running.complains(&format!("waiting: list pods: {TOO_SOON}"));
    assert_eq!(scene.cluster.connections(), 0);
    let renewed = scene.token_with(|spec| spec.expires_in = 3600);
    write_mount(scene.pod.mount(), &renewed, &scene.cluster.ca_pem(), "ns-1");
    let (stdout, _) = running.ends_with(0);
    assert!(stdout.contains("anonymous 403  token 200  ok"), "{stdout}");
    assert_eq!(scene.cluster.requests().len(), 2);

    ending(60).runs(&[&arguments[..], &["--fail-fast"]].concat()).gives(11, &[TOO_SOON], Stderr::Empty);
    // This is a definite refusal, which --fail-open does not ignore.
    ending(60).runs(&[&arguments[..], &["--fail-open", "--timeout", "300ms"]].concat()).gives(
        11,
        &["unauthenticated"],
        Stderr::Has("waiting:"),
    );
}

#[test]
fn a_monitor_shows_it_and_its_end() {
    let scene = ending(60);
    let arguments = ["monitor", "list pods", "--min-token-life", "10m", "--interval", "100ms"];
    scene.runs(&[&arguments[..], &["--until-lost"]].concat()).gives(11, &[TOO_SOON], Stderr::Empty);
    let running = Running::start(&mut scene.command(&arguments));
    running.prints(TOO_SOON);
    let renewed = scene.token_with(|spec| spec.expires_in = 3600);
    write_mount(scene.pod.mount(), &renewed, &scene.cluster.ca_pem(), "ns-1");
    running.prints("ok (0)");
}

#[test]
fn usage() {
    let scene = Scene::new();
    for least in ["0", "0s", "5", "soon", "-1h"] {
        let option = format!("--min-token-life={least}");
        scene.runs(&["check", "list pods", &option]).gives(30, &[], Stderr::Has("--min-token-life"));
    }
    let proxy = Scene::on(Cluster::builder().plain_http("kubernetes-admin").start());
    proxy.runs(&["check", "list pods", "--min-token-life", "1h"]).gives(
        30,
        &[],
        Stderr::Has("--min-token-life needs an https:// server"),
    );
    scene.runs(&["get", "/version", "--min-token-life", "1h"]).gives(
        30,
        &[],
        Stderr::Has("--min-token-life"),
    );
    assert!(scene.cluster.requests().is_empty());
}
