//! HTTP: lengths, chunks, statuses, protocols, headers, redirects.

use std::io::Write;

use testbed::Program;
use testbed::certificates::{Authority, SERVER_NAMES};
use testbed::faults::{self, Certificate, Listener, answer, read_request};

use super::servers::{JSON, LOOPBACK, PODS, always, redirect, refusal};
use super::{DEADLINE, Row, row};
use crate::Kubeknock;

/// One answer, and the end of the connection without the close_notify of TLS.
fn abrupt(answer: &str) -> Listener {
    let answer = answer.to_owned();
    faults::tls_listener(Certificate::Good, move |stream, _| {
        read_request(stream)?;
        stream.write_all(answer.as_bytes())?;
        stream.flush()
    })
}

#[allow(clippy::too_many_lines, reason = "a table")]
pub fn rows() -> Vec<Row> {
    // A binary of 32 bits cannot read such a number, as no binary can one of more than 64 bits.
    let all = if Kubeknock::has_64_bits() { 23 } else { 26 };
    let json = |more: &str, body: &str| {
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{more}\r\n{body}")
    };
    let chunked = move |chunks: &str| json("Transfer-Encoding: chunked\r\n", chunks);
    let sized = move |more: &str| json(&format!("{more}Content-Length: {}\r\n", PODS.len()), PODS);
    let gib = |status: &str, begin: &str| {
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: 1073741824\r\n\r\n{begin}"
        )
    };
    let whole = format!("{:x}\r\n{PODS}\r\n", PODS.len());
    let say = |name, code, bytes: String| row(name, code, move || faults::says(bytes.clone()));
    let flood = |name, code, begin: String, piece: &'static str| {
        row(name, code, move || faults::floods(begin.clone(), piece))
    };
    vec![
        // Unusual, but valid.
        say("answers well", 0, sized("")),
        say("answers well in chunks", 0, chunked(&format!("{whole}0\r\n\r\n"))),
        say(
            "answers with chunk extensions and trailers",
            0,
            chunked(&format!("{:x};a=b\r\n{PODS}\r\n0\r\nX-A: b\r\n\r\n", PODS.len())),
        ),
        say("closes the connection after each answer", 0, sized("Connection: close\r\n")),
        row("answers as HTTP/1.0, until the connection closes", 0, || {
            faults::says_and_closes(format!("HTTP/1.0 200 OK\r\nContent-Type: {JSON}\r\n\r\n{PODS}"))
        }),
        row("closes idle connections unsaid", 0, || {
            faults::tls_listener(Certificate::Good, |stream, _| {
                read_request(stream)?;
                stream.write_all(answer("200 OK", JSON, PODS).as_bytes())?;
                stream.flush()
            })
        }),
        say("says 100 Continue first", 0, format!("HTTP/1.1 100 Continue\r\n\r\n{}", sized(""))),
        say(
            "says 103 Early Hints first",
            0,
            format!("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n{}", sized("")),
        ),
        say("ends its lines with a bare LF", 0, sized("").replace("\r\n", "\n")),
        say("says its length twice, the same", 0, sized(&format!("Content-Length: {}\r\n", PODS.len()))),
        say("says a header of 20 KiB", 0, sized(&format!("X-Long: {}\r\n", "x".repeat(20 * 1024)))),
        // Too much.
        flood("says 1 GiB, and it begins well", 0, gib("200 OK", r#"{"kind":"PodList","#), " "),
        flood("says 1 GiB of nothing", 26, gib("200 OK", ""), " "),
        flood("refuses in 1 GiB", 26, gib("403 Forbidden", r#"{"kind":"Status","message":""#), "x"),
        flood("is sorry in 1 GiB", 24, gib("503 Service Unavailable", ""), "x"),
        flood("rejects in 1 GiB", 26, gib("401 Unauthorized", ""), "x"),
        flood("says headers without an end", 26, "HTTP/1.1 200 OK\r\n".into(), "X-More: and more\r\n"),
        flood("says one header without an end", 26, "HTTP/1.1 200 OK\r\nX-Long: ".into(), "x"),
        flood("says a status line without an end", 26, "HTTP/1.1 200 ".into(), "OK"),
        flood("says a name of a header without an end", 26, "HTTP/1.1 200 OK\r\n".into(), "X"),
        flood("says empty lines without an end", 26, String::new(), "\r\n"),
        flood("says small chunks without an end", 26, chunked(""), "10\r\n                \r\n")
            .within(DEADLINE),
        flood("says a chunk size without an end", 26, chunked(""), "0"),
        flood("says a chunk extension without an end", 26, chunked("1;"), "x"),
        flood("says a trailer without an end", 26, chunked(&format!("{whole}0\r\nX-Long: ")), "x"),
        flood("says trailers without an end", 23, chunked(&format!("{whole}0\r\n")), "X: y\r\n"),
        flood("says 100 Continue without end", 23, String::new(), "HTTP/1.1 100 Continue\r\n\r\n"),
        flood("says 103 Early Hints without end", 23, String::new(), "HTTP/1.1 103 Early Hints\r\n\r\n"),
        say("says a thousand headers", 26, sized(&"X: y\r\n".repeat(1000))),
        // Too little.
        say("says less than it said it would", 23, json("Content-Length: 1000\r\n", PODS)),
        row("says less than it said it would, and closes", 21, move || {
            faults::says_and_closes(json("Content-Length: 1000\r\n", PODS))
        }),
        row("ends in the middle of a chunk", 21, move || {
            faults::says_and_closes(chunked("fff\r\n{\"kind\":\"PodList\""))
        }),
        row("ends before the last chunk", 21, move || {
            faults::says_and_closes(chunked(&format!("{:x}\r\n{PODS}\r\n", PODS.len())))
        }),
        row("ends in the middle of the head", 21, || {
            faults::says_and_closes("HTTP/1.1 200 OK\r\nContent-Le")
        }),
        row("is sorry until the connection breaks", 24, || abrupt("HTTP/1.0 503 Later\r\n\r\nlater")),
        row("rejects until the connection breaks", 11, || abrupt("HTTP/1.0 401 No\r\n\r\n")),
        row("refuses until the connection breaks", 10, || {
            abrupt(&format!("HTTP/1.0 403 Forbidden\r\n\r\n{}", refusal("system:serviceaccount:ns-1:k-sa-1")))
        }),
        row("refuses in part until the connection breaks", 21, || {
            abrupt("HTTP/1.0 403 Forbidden\r\n\r\n{\"kind\":\"Status\"")
        }),
        row("is sorry in less than it said it would, and breaks", 21, || {
            abrupt("HTTP/1.1 503 Later\r\nContent-Length: 1000\r\n\r\nlater")
        }),
        // Invalid lengths.
        say("says a length below zero", 26, json("Content-Length: -1\r\n", PODS)),
        say("says a length that is a word", 26, json("Content-Length: short\r\n", PODS)),
        say("says a length with a sign", 26, json(&format!("Content-Length: +{}\r\n", PODS.len()), PODS)),
        say("says a length of more than 64 bits", 26, json("Content-Length: 99999999999999999999\r\n", PODS)),
        say("says an empty length", 26, json("Content-Length:\r\n", PODS)),
        say(
            "says two lengths",
            26,
            json(&format!("Content-Length: {}\r\nContent-Length: 5\r\n", PODS.len()), PODS),
        ),
        say(
            "says two lengths, the short one first",
            26,
            json(&format!("Content-Length: 5\r\nContent-Length: {}\r\n", PODS.len()), PODS),
        ),
        say("says a list of lengths", 26, json("Content-Length: 5, 6\r\n", PODS)),
        say("says a chunk size that is none", 26, chunked("zz\r\n")),
        say("says a chunk size below zero", 26, chunked("-1\r\n")),
        say("says a chunk size of more than 64 bits", 26, chunked("fffffffffffffffff\r\n")),
        say("says a chunk of all that 32 bits can say", 23, chunked("ffffffff\r\n")),
        say("says a chunk of all that 64 bits can say", all, chunked("ffffffffffffffff\r\n")),
        say("says more in a chunk than its size", 26, chunked(&format!("5\r\n{PODS}\r\n0\r\n\r\n"))),
        say("says no chunk size", 26, chunked("\r\n")),
        say("says an unknown transfer encoding", 26, json("Transfer-Encoding: shuffled\r\n", PODS)),
        say("says a content encoding that was not asked for", 26, {
            let body = "\u{1f}\u{8b}\u{8}\0\0\0\0\0";
            json(&format!("Content-Encoding: gzip\r\nContent-Length: {}\r\n", body.len()), body)
        }),
        // Statuses.
        say("says nothing with 204", 26, "HTTP/1.1 204 No Content\r\n\r\n".into()),
        say("says 204 with a body", 26, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello".into()),
        say("says 205", 26, "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n".into()),
        say("says 206", 26, sized("").replace("200 OK", "206 Partial Content")),
        say("says 304", 26, "HTTP/1.1 304 Not Modified\r\n\r\n".into()),
        say(
            "says 101 unasked",
            26,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n".into(),
        ),
        say("says status 99", 26, sized("").replace("200 OK", "99 OK")),
        say("says status 000", 26, sized("").replace("200 OK", "000 OK")),
        say("says status 999", 26, sized("").replace("200 OK", "999 OK")),
        say("says status 2000", 26, sized("").replace("200 OK", "2000 OK")),
        say("says no status", 26, sized("").replace("200 OK", "")),
        say("says a status that is a word", 26, sized("").replace("200 OK", "OK 200")),
        // Protocols.
        row("speaks HTTP/0.9", 26, || faults::says_and_closes(PODS)),
        say("speaks HTTP/2 with 1's words", 26, sized("").replace("HTTP/1.1", "HTTP/2")),
        say("speaks HTTP/2.0", 26, sized("").replace("HTTP/1.1", "HTTP/2.0")),
        say("speaks HTTP/9.9", 26, sized("").replace("HTTP/1.1", "HTTP/9.9")),
        say(
            "speaks HTTP/2",
            26,
            "\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\x04\0\x10\0\0\0\x06\0\0\x40\0".into(),
        ),
        say("says the HTTP/2 preface", 26, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into()),
        say("speaks SMTP", 26, "220 mail.example.com ESMTP ready\r\n".into()),
        say("says NULs", 26, "\0\0\0\0\r\n\r\n".into()),
        say("asks instead of answering", 26, "GET / HTTP/1.1\r\nHost: you\r\n\r\n".into()),
        // Headers.
        say("says a NUL in a header", 26, sized("X-Bad: a\0b\r\n")),
        say("says a NUL in a header's name", 26, sized("X-B\0d: a\r\n")),
        say("says a space before the colon", 26, sized("X-Bad : a\r\n")),
        say("says a header without a colon", 26, sized("nothing\r\n")),
        say("says a header without a name", 26, sized(": a\r\n")),
        say("says a header over two lines", 26, sized("X-Long: a\r\n b\r\n")),
        say("says an escape in a header", 26, sized("X-Bad: \u{1b}[31m\r\n")),
        say("says a bare CR in a header", 26, sized("X-Bad: a\rb\r\n")),
        // Redirects.
        say("redirects to itself", 26, redirect("/api/v1/namespaces/ns-1/pods?limit=1")),
        row("redirects to itself by its whole address, where a good answer is", 26, || {
            faults::counts(|number| match number {
                0 | 1 => redirect("/again"),
                _ => answer("200 OK", JSON, PODS),
            })
        }),
        row("redirects to another host of the same CA, where a good answer is", 26, || {
            let authority = Authority::new();
            let good = faults::tls_listener_with(
                LOOPBACK,
                authority.pem(),
                authority.server(&SERVER_NAMES, false),
                |stream, _| always(stream, &answer("200 OK", JSON, PODS)),
            );
            let away = redirect(&format!("{}/api", good.server()));
            let config = authority.server(&SERVER_NAMES, false);
            faults::tls_listener_with(LOOPBACK, authority.pem(), config, move |stream, _| {
                always(stream, &away)
            })
            .beside(good)
        }),
        row("redirects to http, where a good answer is", 26, || {
            let good = faults::tcp_listener(|mut stream, _| {
                while read_request(&mut stream).is_ok() {
                    drop(stream.write_all(answer("200 OK", JSON, PODS).as_bytes()));
                }
            });
            let away = redirect(&format!("http://{}/", good.address()));
            faults::says(away).beside(good)
        }),
        say("redirects to a file", 26, redirect("file:///etc/passwd")),
        say("redirects nowhere", 26, redirect("")),
        say("redirects without an end of the head", 23, "HTTP/1.1 302 Found\r\nLocation: /again\r\n".into()),
        // More than was asked for.
        say("says junk behind its answer", 0, sized("") + "and more"),
        row("answers the token knock before it came", 10, || {
            // The first connection is anonymous. Bytes after its answer are not an answer to the other knock.
            faults::counts(|number| match number {
                0 => {
                    answer("403 Forbidden", JSON, &refusal("system:anonymous"))
                        + &answer("200 OK", JSON, PODS)
                }
                _ => answer("403 Forbidden", JSON, &refusal("system:serviceaccount:ns-1:k-sa-1")),
            })
        }),
    ]
}
