//! `Retry-After`, and behavior over time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use testbed::faults::{self, Certificate, answer};

use super::servers::{JSON, PODS, always, reset};
use super::{DEADLINE, Row, row};

#[allow(clippy::too_many_lines, reason = "a table")]
pub fn rows() -> Vec<Row> {
    const WAIT: &[&str] = &["wait", "list pods"];
    let later = |status: &str, retry_after: &str| {
        format!("HTTP/1.1 {status}\r\nRetry-After: {retry_after}\r\nContent-Length: 0\r\n\r\n")
    };
    vec![
        row("is too busy", 24, || {
            faults::says("HTTP/1.1 429 Later\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")
        }),
        patient("is too busy for no time", later("429 Later", "0")),
        patient("is too busy for less than no time", later("429 Later", "-1")),
        patient("is too busy without end", later("429 Later", "99999999999999999999")),
        patient("is too busy until a day that is over", later("429 Later", "Wed, 21 Oct 2015 07:28:00 GMT")),
        patient("is too busy until a day far away", later("429 Later", "Fri, 31 Dec 9999 23:59:59 GMT")),
        patient("is too busy until no day", later("429 Later", "Mon, 99 Foo 0000 99:99:99 GMT")),
        patient("is too busy for a word", later("429 Later", "a while")),
        patient("is too busy for a fraction", later("429 Later", "0.001")),
        patient("is too busy for two times", later("429 Later", "0\r\nRetry-After: 1")),
        patient("is too busy without a time", "HTTP/1.1 429 Later\r\nContent-Length: 0\r\n\r\n".into()),
        patient("is down", later("503 Starting", "0")),
        row("starts", 0, || {
            faults::counts(|number| match number {
                0 | 1 => "HTTP/1.1 503 Starting\r\nContent-Length: 0\r\n\r\n".into(),
                _ => answer("200 OK", JSON, PODS),
            })
        })
        .asked(&["wait", "list pods", "--timeout=5s"])
        .within(Duration::from_millis(1500)),
        row("starts by resetting", 0, || {
            let count = AtomicUsize::new(0);
            faults::tls_listener(Certificate::Good, move |stream, _| {
                if count.fetch_add(1, Ordering::SeqCst) == 0 {
                    reset(&stream.sock);
                    return Ok(());
                }
                always(stream, &answer("200 OK", JSON, PODS))
            })
        })
        .asked(&["wait", "list pods", "--timeout=5s"])
        .within(Duration::from_millis(1500)),
        row("closes each connection at once", 21, || faults::tcp_listener(|stream, _| drop(stream)))
            .asked(WAIT)
            .within(DEADLINE),
        row("is silent", 23, faults::silent).asked(WAIT),
        row("is silent in each round", 23, faults::silent).asked(&[
            "wait",
            "list pods",
            "--request-timeout=200ms",
        ]),
    ]
}

/// Lets the seventh request within the second pass, which is not the code of the row. A patient client sends
/// three: two knocks, and one after half a second or a second.
fn patient(name: &'static str, says: String) -> Row {
    row(name, 24, move || {
        let says = says.clone();
        faults::counts(move |number| if number < 6 { says.clone() } else { answer("200 OK", JSON, PODS) })
    })
    .asked(&["wait", "list pods"])
    .within(DEADLINE)
}
