//! HTTP/1.1 for a few small answers: a request is read within bounds, an answer is written, the connection is closed.
//! Knows nothing of what is served.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// The largest request that is read, in bytes: line and headers. Probes and scrapes have a few hundred.
const LARGEST_REQUEST: usize = 8 * 1024;

/// The most headers of a request.
const MOST_HEADERS: usize = 64;

/// How long one connection may take, from its acceptance to its end.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much of a body that was not asked for is read before the connection is closed, in bytes, so that the client
/// reads the answer before it sees a reset.
const LARGEST_LEFTOVER: usize = 64 * 1024;

/// A request, as far as it decides the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method, such as `GET`; a client may send any word.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query, without its `?`; empty where there is none.
    pub query: String,
    /// The `Accept` header names `application/json`.
    pub wants_json: bool,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The `Content-Type` header.
    pub content_type: &'static str,
    /// The body, which a `HEAD` leaves out.
    pub body: String,
}

impl Answer {
    /// Plain text.
    pub fn text(status: u16, body: impl Into<String>) -> Answer {
        Answer { status, content_type: "text/plain; charset=utf-8", body: body.into() }
    }
}

/// Serves one connection: reads a request, has it answered, and closes. What goes wrong on the way ends the
/// connection and nothing else. Gives the request line and the status, for `-v`.
pub fn serve(stream: &TcpStream, answer: impl FnOnce(&Request) -> Answer) -> io::Result<String> {
    let deadline = Instant::now() + PATIENCE;
    let read = read(stream, deadline)?;
    let (line, body, answer) = match read {
        Ok(request) => {
            let answer = answer(&request);
            (format!("{} {}", request.method, request.path), request.method != "HEAD", answer)
        }
        Err(answer) => ("a request that cannot be read".to_owned(), true, answer),
    };
    write(stream, &answer, body, deadline)?;
    finish(stream, deadline);
    Ok(format!("{line}: {}", answer.status))
}

/// The time that is left, or an error if none is.
fn left(deadline: Instant) -> io::Result<Duration> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
        left => Ok(left),
    }
}

/// Reads up to the end of the headers. The inner error is what to answer instead.
fn read(mut stream: &TcpStream, deadline: Instant) -> io::Result<Result<Request, Answer>> {
    let mut buffer = [0; LARGEST_REQUEST];
    let mut filled = 0;
    loop {
        let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) else {
            return Ok(Err(Answer::text(431, "the request is larger than 8 KiB\n")));
        };
        stream.set_read_timeout(Some(left(deadline)?))?;
        let count = stream.read(free)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        filled += count;
        if let Some(done) = parse(buffer.get(..filled).unwrap_or_default()) {
            return Ok(done);
        }
    }
}

/// Pure: the request in these bytes, or what to answer instead; `None` while its end is missing.
fn parse(bytes: &[u8]) -> Option<Result<Request, Answer>> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Partial) => None,
        Ok(httparse::Status::Complete(_)) => {
            let target = request.path.unwrap_or_default();
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let json = |header: &httparse::Header<'_>| {
                header.name.eq_ignore_ascii_case("accept")
                    && String::from_utf8_lossy(header.value).to_ascii_lowercase().contains("application/json")
            };
            Some(Ok(Request {
                method: request.method.unwrap_or_default().to_owned(),
                path: path.to_owned(),
                query: query.to_owned(),
                wants_json: request.headers.iter().any(json),
            }))
        }
        Err(httparse::Error::TooManyHeaders) => {
            Some(Err(Answer::text(431, "the request has more than 64 headers\n")))
        }
        Err(httparse::Error::Version) => Some(Err(Answer::text(505, "this port speaks HTTP/1.1\n"))),
        Err(_) => Some(Err(Answer::text(400, "this is not an HTTP/1.1 request\n"))),
    }
}

fn write(mut stream: &TcpStream, answer: &Answer, with_body: bool, deadline: Instant) -> io::Result<()> {
    let Answer { status, content_type, body } = answer;
    let mut text = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Connection: close\r\n",
        reason(*status),
        body.len()
    );
    if *status == 405 {
        text.push_str("Allow: GET, HEAD\r\n");
    }
    text.push_str("\r\n");
    if with_body {
        text.push_str(body);
    }
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        stream.set_write_timeout(Some(left(deadline)?))?;
        let count = stream.write(rest)?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        rest = rest.get(count..).unwrap_or_default();
    }
    Ok(())
}

/// Closes: our side first, then what the client still sends is read, within bounds.
fn finish(mut stream: &TcpStream, deadline: Instant) {
    let mut leftover = [0; 1024];
    let mut drained = 0;
    if stream.shutdown(Shutdown::Write).is_err() {
        return;
    }
    while drained < LARGEST_LEFTOVER {
        let Ok(left) = left(deadline) else { return };
        if stream.set_read_timeout(Some(left.min(Duration::from_millis(500)))).is_err() {
            return;
        }
        match stream.read(&mut leftover) {
            Ok(0) | Err(_) => return,
            Ok(count) => drained += count,
        }
    }
}

/// The reason phrase of the few statuses that are used here (RFC 9110, 15).
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let request = |method: &str, path: &str, query: &str, wants_json| {
            Some(Ok(Request { method: method.into(), path: path.into(), query: query.into(), wants_json }))
        };
        for (text, parsed) in [
            ("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", request("GET", "/livez", "", false)),
            (
                "GET /readyz?fail-open=true HTTP/1.0\r\n\r\n",
                request("GET", "/readyz", "fail-open=true", false),
            ),
            (
                "HEAD /readyz HTTP/1.1\r\naccept: text/html, Application/JSON\r\n\r\n",
                request("HEAD", "/readyz", "", true),
            ),
            ("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n", request("GET", "/a", "", false)),
            ("GET /livez HTTP/1.1\r\nHost: x\r\n", None),
            ("", None),
        ] {
            assert_eq!(parse(text.as_bytes()), parsed, "{text}");
        }
        for (bytes, status) in [
            (&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], 505),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
            (b"GET /\0 HTTP/1.1\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nA\0: b\r\n\r\n", 400),
            (format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(65)).as_bytes(), 431),
        ] {
            assert_eq!(parse(bytes).unwrap().unwrap_err().status, status, "{bytes:?}");
        }
    }
}
