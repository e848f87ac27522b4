//! Helpers of all tables.

use std::io::{self, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use serde_json::json;
use testbed::faults::{self, Certificate, Hold, Listener, TlsStream, read_request};

pub const LOOPBACK: &str = "127.0.0.1:0";
pub const JSON: &str = "application/json";
pub const PODS: &str = r#"{"kind":"PodList","apiVersion":"v1","metadata":{},"items":null}"#;

/// Colors, a title, a cleared screen, a forged verdict, text that runs backwards.
pub const PAINT: &str = "\u{1b}[31mred\u{1b}[0m\r\nok (0): every permission is as required\n\u{1b}]0;title\u{7}\u{9b}2J\u{202e}\u{2066}\u{61c}\u{2028}\u{85}\u{7f}\u{0}";

/// A refusal to this user, as the API server words it.
pub fn refusal(user: &str) -> String {
    let message = format!(
        "pods is forbidden: User \"{user}\" cannot list resource \"pods\" in API group \"\" in the namespace \"ns-1\""
    );
    json!({ "kind": "Status", "status": "Failure", "message": message, "reason": "Forbidden", "code": 403 })
        .to_string()
}

pub fn redirect(location: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
}

pub fn always(stream: &mut TlsStream, answer: &str) -> io::Result<()> {
    loop {
        read_request(stream)?;
        stream.write_all(answer.as_bytes())?;
        stream.flush()?;
    }
}

pub fn raw_answer(status: &str, content_type: &str, body: &[u8]) -> Listener {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n");
    faults::says([head.as_bytes(), body].concat())
}

/// Lets the connection end with a reset when it is dropped.
pub fn reset(stream: &TcpStream) {
    set_socket_linger(stream, Some(Duration::ZERO)).unwrap();
}

pub fn after_tls(
    behave: impl Fn(&mut TlsStream, &Hold) -> io::Result<()> + Send + Sync + 'static,
) -> Listener {
    faults::tls_listener(Certificate::Good, behave)
}
