//! The sidecar's endpoints: probes and metrics over plain HTTP, from the last completed round. A request never
//! causes a knock, and a round never waits for a client.

pub mod board;
mod http;
mod metrics;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use board::{Board, State};
use http::{Answer, Request};

use crate::exit::Code;
use crate::failure::Fault;
use crate::time::deadline::Deadline;

/// Connections that are served at once; more wait in the kernel's queue.
const WORKERS: usize = 8;

/// Bytes of stack for a worker: a request's buffer, and what formats an answer.
const STACK: usize = 128 * 1024;

/// The pause after a connection that could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const INDEX: &str = "kubeknock monitor

/livez                    200 while the monitor runs its rounds
/readyz                   200 when every permission is as required; the report
/readyz?fail-open=true    the same, but no answer (2x) is 200
/metrics                  Prometheus metrics
";

/// Binds `address` and serves `board` from now on; gives the address that is bound (port 0 is any free one). `trace`
/// shows each request, for `-v`.
///
/// # Errors
/// A setup fault where the address cannot be bound, with the reason.
pub fn start(
    address: SocketAddr,
    board: &'static Board,
    trace: Option<fn(&str)>,
) -> Result<SocketAddr, Fault> {
    let fault = |why: &str| Fault::Setup(format!("--listen {address}: {why}"));
    let listener = bind(address).map_err(|error| fault(&reason(&error, address)))?;
    let bound = listener.local_addr().unwrap_or(address);
    let listener = Arc::new(listener);
    for _ in 0..WORKERS {
        let listener = Arc::clone(&listener);
        thread::Builder::new()
            .stack_size(STACK)
            .spawn(move || work(&listener, board, trace))
            .map_err(|error| fault(&format!("cannot start a thread to serve it: {error}")))?;
    }
    Ok(bound)
}

/// `[::]` takes IPv4 connections as well; where the node has no IPv6, `0.0.0.0` stands for it.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address) {
        Err(error)
            if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
                && !matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) =>
        {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port()))
        }
        bound => bound,
    }
}

fn reason(error: &io::Error, address: SocketAddr) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "the address is in use by another process; choose another port".into(),
        io::ErrorKind::PermissionDenied if address.port() < 1024 => {
            "ports below 1024 are not permitted to this user; choose one of 1024 or more".into()
        }
        io::ErrorKind::AddrNotAvailable => "this pod does not have that address; try :PORT".into(),
        _ => error.to_string(),
    }
}

/// Serves one connection after the other. A connection that breaks affects only its client.
fn work(listener: &TcpListener, board: &Board, trace: Option<fn(&str)>) {
    loop {
        let Ok((stream, client)) = listener.accept() else {
            // Out of descriptors or memory: wait until other connections release some.
            Deadline::NEVER.sleep(ACCEPT_PAUSE);
            continue;
        };
        let served = http::serve(&stream, |request| answer(request, &board.read()));
        if let (Some(trace), Ok(line)) = (trace, served) {
            trace(&format!("{client} {line}"));
        }
    }
}

/// The answer to a request. Pure.
fn answer(request: &Request, state: &State) -> Answer {
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return Answer::text(405, "only GET and HEAD\n");
    }
    match request.path.as_str() {
        "/" => Answer::text(200, INDEX),
        "/livez" if state.is_alive() => Answer::text(200, "ok\n"),
        "/livez" => Answer::text(503, "no round has completed for three times what a round may take\n"),
        "/readyz" => ready(request, state),
        "/metrics" => {
            Answer { status: 200, content_type: metrics::CONTENT_TYPE, body: metrics::render(state) }
        }
        _ => Answer::text(404, "not found: try /livez, /readyz or /metrics\n"),
    }
}

fn ready(request: &Request, state: &State) -> Answer {
    let Some(last) = &state.last else {
        return Answer::text(503, "no round has completed yet\n");
    };
    let fail_open = request.query.split('&').any(|pair| pair == "fail-open=true");
    let code = if fail_open { last.fail_open_code } else { last.code };
    let status = if code == Code::Ok { 200 } else { 503 };
    if request.wants_json {
        Answer { status, content_type: "application/json", body: last.json.clone() }
    } else {
        Answer::text(status, last.text.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use board::Snapshot;

    fn request(method: &str, target: &str) -> Request {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Request { method: method.into(), path: path.into(), query: query.into(), wants_json: false }
    }

    #[test]
    fn what_each_path_answers() {
        let board = |code: Option<Code>| {
            let board = Board::new(Duration::from_secs(10));
            if let Some(code) = code {
                let snapshot = Snapshot {
                    text: "report\n".into(),
                    json: "{}\n".into(),
                    code,
                    fail_open_code: crate::exit::fold([code], true),
                    permissions: Vec::new(),
                    expires: None,
                    warn_after: None,
                };
                board.complete(snapshot, Duration::ZERO);
            }
            board.read()
        };
        for (code, target, status) in [
            (None, "/", 200),
            (None, "/livez", 200),
            (None, "/readyz", 503),
            (None, "/readyz?fail-open=true", 503),
            (None, "/metrics", 200),
            (None, "/healthz", 404),
            (None, "/livez/", 404),
            (Some(Code::Ok), "/readyz", 200),
            (Some(Code::Ok), "/readyz?fail-open=true", 200),
            (Some(Code::Forbidden), "/readyz", 503),
            (Some(Code::Forbidden), "/readyz?fail-open=true", 503),
            (Some(Code::Timeout), "/readyz", 503),
            (Some(Code::Timeout), "/readyz?fail-open=true", 200),
            (Some(Code::Timeout), "/readyz?x=1&fail-open=true", 200),
            (Some(Code::Timeout), "/readyz?fail-open=false", 503),
        ] {
            assert_eq!(answer(&request("GET", target), &board(code)).status, status, "{code:?} {target}");
            assert_eq!(answer(&request("HEAD", target), &board(code)).status, status, "{code:?} {target}");
        }
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "get"] {
            assert_eq!(answer(&request(method, "/livez"), &board(None)).status, 405, "{method}");
        }
        let late = Board::new(Duration::ZERO).read();
        assert_eq!(answer(&request("GET", "/livez"), &late).status, 503);
        let json = Request { wants_json: true, ..request("GET", "/readyz") };
        let json = answer(&json, &board(Some(Code::Ok)));
        assert_eq!((json.content_type, json.body.as_str()), ("application/json", "{}\n"));
    }
}
