//! What a server may do to one of several connections. The server is far enough away that further connections pay off:
//! see `round/spread.rs`.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use testbed::certificates::{Authority, SERVER_NAMES};
use testbed::faults::{self, Hold, Listener, TlsStream, answer, read_request, shake_hands};
use tokio_rustls::rustls::ServerConfig;

use super::servers::{JSON, PODS, reset};
use super::{DEADLINE, Row, row};

/// The time from a request to its answer.
const AWAY: Duration = Duration::from_millis(8);

/// A check of twenty permissions.
const CHECK: &[&str] = &[
    "check",
    "list pods in a",
    "list pods in b",
    "list pods in c",
    "list pods in d",
    "list pods in e",
    "list pods in f",
    "list pods in g",
    "list pods in h",
    "list pods in i",
    "list pods in j",
    "list pods in k",
    "list pods in l",
    "list pods in m",
    "list pods in n",
    "list pods in o",
    "list pods in p",
    "list pods in q",
    "list pods in r",
    "list pods in s",
    "list pods in t",
];

/// The time that a single connection takes, plus the wait for a late answer with a timeout of one second, plus some
/// room.
const SOON: Duration = Duration::from_millis(900);

pub fn rows() -> Vec<Row> {
    // Each row says what the server does to one connection, by its number; it serves the others normally.
    vec![
        odd("is far", 0, |_, _, _, _| None),
        odd("is silent on its second connection", 0, |number, _, _, hold| {
            (number == 1).then(|| hold.until_dropped())
        }),
        odd("is silent on all connections but the first", 0, |number, _, _, hold| {
            (number > 0).then(|| hold.until_dropped())
        }),
        after_tls("is silent on its second connection, after the handshake", 0, |number, _, hold| {
            (number == 1).then(|| hold.until_dropped())
        }),
        asked("is silent on its first connection once there are others", 0, |number, asked, hold| {
            (number == 0 && asked > 1).then(|| hold.until_dropped())
        }),
        asked("is silent on its second connection, after an answer", 0, |number, asked, hold| {
            (number == 1 && asked > 0).then(|| hold.until_dropped())
        }),
        odd("resets its second connection", 0, |number, stream, _, _| (number == 1).then(|| reset(stream))),
        odd("resets all connections but the first", 0, |number, stream, _, _| {
            (number > 0).then(|| reset(stream))
        }),
        odd("allows two connections, and closes the others", 0, |number, _, _, _| (number > 1).then_some(())),
        odd("allows two connections, and is silent on the others", 0, |number, _, _, hold| {
            (number > 1).then(|| hold.until_dropped())
        }),
        after_tls("allows two connections, and closes the others after the handshake", 0, |number, _, _| {
            (number > 1).then_some(())
        }),
        asked("allows two connections, and closes the others when it is asked", 0, |number, _, _| {
            (number > 1).then_some(())
        }),
        asked("closes its first connection once there are others", 0, |number, asked, _| {
            (number == 0 && asked > 1).then_some(())
        }),
        asked("closes each connection after six answers", 0, |_, asked, _| (asked == 6).then_some(())),
        odd("has the certificate of somebody else on its second connection", 0, |number, stream, _, _| {
            (number == 1).then(|| untrusted(stream))
        }),
        odd(
            "has the certificate of somebody else on all but its first connection",
            0,
            |number, stream, _, _| (number > 0).then(|| untrusted(stream)),
        ),
        asked("is slow on its second connection", 0, |number, _, hold| {
            if number == 1 {
                hold.pause(Duration::from_millis(100));
            }
            None
        }),
        asked("answers far too late on its second connection", 0, |number, _, hold| {
            if number == 1 {
                hold.pause(Duration::from_millis(2500));
            }
            None
        }),
        says("is too busy for its second connection", 0, |number, _| number == 1),
        says("is too busy for all connections but the first", 0, |number, _| number > 0),
        says("is too busy after some answers", 24, |_, total| total > 9),
        // No connection works any more.
        total("ends every connection after ten answers", 21, |total, stream, _| {
            (total >= 10).then(|| reset(&stream.sock))
        }),
        total("ends every connection once its answers are late", 21, |total, stream, hold| {
            (total >= 22).then(|| {
                // Late is a quarter of the second; the connection that is tried last ends at once.
                if total < 31 {
                    hold.pause(Duration::from_millis(320));
                }
                reset(&stream.sock);
            })
        }),
        total("is silent on every connection after ten answers", 23, |total, _, hold| {
            (total >= 10).then(|| hold.until_dropped())
        })
        .within(DEADLINE),
    ]
}

/// A row whose server calls `odd` for each new connection, and serves the connection normally if that returns `None`.
fn odd(
    name: &'static str,
    code: i32,
    odd: impl Fn(usize, &TcpStream, &Arc<ServerConfig>, &Hold) -> Option<()> + Clone + Send + Sync + 'static,
) -> Row {
    far(name, code, move || {
        let odd = odd.clone();
        faults::numbered(move |number, stream, config, hold| {
            if odd(number, &stream, config, hold).is_some() {
                return Ok(());
            }
            serve(&mut shake_hands(stream, config)?, hold, |_, _| None)
        })
    })
}

/// The same, but the server calls `odd` after the handshake.
fn after_tls(
    name: &'static str,
    code: i32,
    odd: impl Fn(usize, &TlsStream, &Hold) -> Option<()> + Clone + Send + Sync + 'static,
) -> Row {
    far(name, code, move || {
        let odd = odd.clone();
        faults::numbered(move |number, stream, config, hold| {
            let mut stream = shake_hands(stream, config)?;
            if odd(number, &stream, hold).is_some() {
                return Ok(());
            }
            serve(&mut stream, hold, |_, _| None)
        })
    })
}

/// The same, but the server calls `odd` for each request, with the number of requests that it has answered on this
/// connection.
fn asked(
    name: &'static str,
    code: i32,
    odd: impl Fn(usize, usize, &Hold) -> Option<()> + Clone + Send + Sync + 'static,
) -> Row {
    far(name, code, move || {
        let odd = odd.clone();
        faults::numbered(move |number, stream, config, hold| {
            serve(&mut shake_hands(stream, config)?, hold, |_, asked| odd(number, asked, hold))
        })
    })
}

/// The same, with the number of earlier requests on all connections.
fn total(
    name: &'static str,
    code: i32,
    odd: impl Fn(usize, &TlsStream, &Hold) -> Option<()> + Clone + Send + Sync + 'static,
) -> Row {
    far(name, code, move || {
        let (odd, total) = (odd.clone(), AtomicUsize::new(0));
        faults::numbered(move |_, stream, config, hold| {
            serve(&mut shake_hands(stream, config)?, hold, |stream, _| {
                odd(total.fetch_add(1, Ordering::SeqCst), stream, hold)
            })
        })
    })
}

/// A row whose server answers 429 if `busy` is true for the number of the connection and the number of earlier
/// requests.
fn says(
    name: &'static str,
    code: i32,
    busy: impl Fn(usize, usize) -> bool + Clone + Send + Sync + 'static,
) -> Row {
    far(name, code, move || {
        let (busy, total) = (busy.clone(), AtomicUsize::new(0));
        faults::numbered(move |number, stream, config, hold| {
            let mut stream = shake_hands(stream, config)?;
            loop {
                read_request(&mut stream)?;
                hold.pause(AWAY);
                let good = !busy(number, total.fetch_add(1, Ordering::SeqCst));
                let later = "HTTP/1.1 429 Later\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
                let says = if good { answer("200 OK", JSON, PODS) } else { later.to_owned() };
                stream.write_all(says.as_bytes())?;
                stream.flush()?;
            }
        })
    })
}

fn far(name: &'static str, code: i32, server: impl Fn() -> Listener + Send + Sync + 'static) -> Row {
    row(name, code, server).asked(CHECK).within(SOON)
}

/// Answers requests until `odd` returns something.
fn serve(
    stream: &mut TlsStream,
    hold: &Hold,
    odd: impl Fn(&TlsStream, usize) -> Option<()>,
) -> io::Result<()> {
    for asked in 0.. {
        read_request(stream)?;
        if odd(stream, asked).is_some() {
            break;
        }
        hold.pause(AWAY);
        stream.write_all(answer("200 OK", JSON, PODS).as_bytes())?;
        stream.flush()?;
    }
    Ok(())
}

/// Shows a certificate that the client cannot trust.
fn untrusted(stream: &TcpStream) {
    let config = Authority::named("somebody else").server(&SERVER_NAMES, false);
    // The client ends this handshake with an error, which does not matter here.
    drop(stream.try_clone().and_then(|stream| shake_hands(stream, &config)));
}
