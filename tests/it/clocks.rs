//! A 401 because two clocks differ: the `Date` of the answer shows the difference.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use testbed::Stderr;
use testbed::faults::{self, Listener};

use crate::Pod;

const HOUR: i64 = 3600;
const REJECTED: &str = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}"#;
const CLOCK: &str = "set the clock that is wrong (NTP), and compare the two: kubeknock doctor";
const OLD: &str = "the kubelet did not renew it: check";
const ACCOUNT: &str = "kubectl get serviceaccount k-sa-1 -n ns-1";

/// The time of this clock, plus this many seconds.
fn clock(off: i64) -> SystemTime {
    let (now, by) = (SystemTime::now(), Duration::from_secs(off.unsigned_abs()));
    if off < 0 { now - by } else { now + by }
}

fn seconds(off: i64) -> u64 {
    clock(off).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// A pod whose token begins and ends this many seconds from now, and a server that rejects it.
fn pod(listener: &Listener, from: i64, until: i64) -> Pod {
    let claims = json!({
        "sub": "system:serviceaccount:ns-1:k-sa-1",
        "nbf": seconds(from), "iat": seconds(from.min(0)), "exp": seconds(until),
    });
    let token = format!("eyJhbGciOiJSUzI1NiJ9.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(claims.to_string()));
    Pod::at(&listener.server(), &token, &listener.ca_pem(), "ns-1")
}

/// A server that answers 401 with this header.
fn rejecting(date: &str) -> Listener {
    faults::answers("401 Unauthorized", "application/json", &[date], REJECTED)
}

fn date(off: i64) -> String {
    format!("Date: {}", httpdate::fmt_http_date(clock(off)))
}

/// The columns: the `Date`, when the token begins and ends, and words of the explanation, with the advice last.
#[test]
fn a_401_is_explained_by_the_servers_clock() {
    for (date, from, until, words) in [
        (
            date(-35),
            50,
            HOUR,
            ["not valid for another 8", "s: the API server's clock is 3", "s behind this one", CLOCK],
        ),
        (
            date(-2 * HOUR - 30),
            -5,
            HOUR,
            ["not valid for another ", "clock is 2h0m", " behind this one", CLOCK],
        ),
        (
            date(2 * HOUR + 30),
            -5,
            600,
            ["the token expired 110m ago; ", "clock is 2h0m", " ahead of this one", CLOCK],
        ),
        (
            date(-2 * HOUR - 30),
            -3 * HOUR,
            -600,
            ["the token is not expired", "clock is 2h0m", " behind this one", ACCOUNT],
        ),
        (
            date(HOUR + 30),
            -3 * HOUR,
            -600,
            ["the token expired 70m ago; ", "clock is 60m", " ahead of this one", OLD],
        ),
        // The explanation says nothing about clocks.
        (date(0), -HOUR, -600, ["the token expired 10m ago\n", "", "", OLD]),
        (
            date(0),
            -5,
            HOUR,
            ["the token is not expired: wrong audience", "its claims: ", "expires in ", ACCOUNT],
        ),
        ("Date: soon".into(), -HOUR, -600, ["the token expired 10m ago\n", "", "", OLD]),
        ("X-Date: none".into(), 90, HOUR, ["not valid for another ", ": check the clocks", "", CLOCK]),
    ] {
        let server = rejecting(&date);
        let pod = pod(&server, from, until);
        let finished = pod.runs(&["check", "list pods"]);
        let finished = finished.gives(11, &words, Stderr::Empty);
        let is_about_clocks = words.iter().any(|word| word.contains("clock"));
        assert_eq!(finished.stdout.contains("clock"), is_about_clocks, "{date}\n{}", finished.transcript());
    }
}

/// Every command that explains a 401 compares the clocks.
#[test]
fn every_command_explains_it() {
    let server = rejecting(&date(2 * HOUR + 30));
    let pod = pod(&server, -5, 600);
    let words = "the token expired 110m ago; the API server's clock is 2h0m ahead of this one";
    for arguments in [
        &["check", "--review", "list pods"][..],
        &["wait", "list pods", "--fail-fast"],
        &["monitor", "list pods", "--until-lost"],
        &["whoami"],
    ] {
        pod.runs(arguments).gives(11, &[words], Stderr::Any);
    }
    pod.runs(&["rules"]).gives(11, &[], Stderr::Has(words));
    pod.runs(&["get", "/version"]).gives(11, &[], Stderr::Has(words));
    pod.runs(&["doctor"]).gives(11, &["by the server's clock"], Stderr::Any);
}
