//! Talks to the API server: the only place that knows HTTP and TLS.

pub mod access;
mod answer;
mod buffers;
pub mod certificate;
mod connection;
pub mod discovery;
pub mod facts;
mod glance;
mod idle;
pub mod json;
pub mod refusal;
pub mod review;
pub mod status;
mod stranger;
mod tcp;
pub mod tls;

use std::cell::Cell;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use ureq::http;

use crate::failure::Failure;
use crate::time::date::{http_date, now};
use crate::time::deadline::Deadline;
use crate::token::{Redactor, Token};
use access::Access;
use connection::{Connector, LARGEST_HEAD, NoLookup};
use idle::Idle;

pub use facts::Facts;

/// The most bytes of an answer that are kept in memory.
pub const LARGEST_BODY: usize = 1024 * 1024;

/// A request, which either identity can send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The path on the server, with its query.
    pub path: String,
    /// The `Accept` header.
    pub accept: &'static str,
    /// JSON to POST; `None` is a GET.
    pub post: Option<String>,
}

impl Request {
    /// A GET of JSON.
    pub fn get(path: impl Into<String>) -> Request {
        Request { path: path.into(), accept: "application/json", post: None }
    }

    /// `GET` or `POST`.
    pub fn method(&self) -> &'static str {
        if self.post.is_some() { "POST" } else { "GET" }
    }
}

/// The head of an answer, whose body is not read yet. Neither contains the token, even if the server sent it back.
pub struct Reply {
    head: http::response::Parts,
    body: Body,
    server: String,
    token: Option<Token>,
}

/// A body without the token in it.
struct Body {
    inner: ureq::Body,
    /// Removes the token. `None`: there is no token.
    redactor: Option<Redactor>,
    /// Bytes that have been read and not yet returned.
    ready: Vec<u8>,
    ended: bool,
}

impl Body {
    /// The body of an answer to a request without the token.
    #[cfg(any(test, fuzzing))]
    fn plain(inner: ureq::Body) -> Body {
        Body { inner, redactor: None, ready: Vec::new(), ended: false }
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut inner = self.inner.as_reader();
        let Some(redactor) = &mut self.redactor else { return inner.read(buffer) };
        while self.ready.is_empty() && !self.ended && !buffer.is_empty() {
            let count = inner.read(buffer)?;
            self.ended = count == 0;
            let piece = buffer.get(..count).unwrap_or_default();
            if !self.ended && redactor.lets_pass(piece) {
                return Ok(count);
            }
            self.ready = if self.ended { redactor.end() } else { redactor.pass(piece) };
        }
        let count = self.ready.as_slice().read(buffer)?;
        self.ready.drain(..count);
        Ok(count)
    }
}

impl Reply {
    /// Of bytes, as if a server had sent them; `token` is what must be taken out.
    #[cfg(fuzzing)]
    pub fn of(status: u16, content_type: &str, body: &[u8], token: Option<&Token>) -> Reply {
        let (mut head, ()) = http::Response::new(()).into_parts();
        head.status = http::StatusCode::from_u16(status).unwrap_or_default();
        if let Ok(value) = http::HeaderValue::from_str(content_type) {
            head.headers.insert("content-type", value);
        }
        let mut body = Body::plain(ureq::Body::builder().data(body));
        body.redactor = token.map(Token::redactor);
        Reply { head, body, server: "server".into(), token: token.cloned() }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    /// A header, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// How many seconds the server's clock is ahead of this one, by the `Date` header.
    pub fn skew(&self) -> Option<i64> {
        Some(http_date(self.header("date")?)?.saturating_sub(now()))
    }

    /// The status line's version and status, and every header, as they came.
    pub fn head(&self) -> &http::response::Parts {
        &self.head
    }

    /// Reads more of the body. A broken connection is a [`Failure`].
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        self.body.read(buffer).map_err(|error| failure_of_io(error, &self.server))
    }

    /// What may be in its texts once they are decoded, and has to be taken out.
    pub fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// The body as a stream, for parsers. Failures come out of [`failure_of_io`] again.
    pub fn reader(&mut self) -> impl Read + '_ {
        &mut self.body
    }

    /// Reads up to `limit` bytes of the body into memory, and no more.
    pub fn take(&mut self, limit: usize) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        Read::by_ref(&mut self.body)
            .take(limit)
            .read_to_end(&mut body)
            .map_err(|error| failure_of_io(error, &self.server))?;
        Ok(body)
    }

    /// Reads what is left of the body and forgets it, so that the connection can be used again; past
    /// [`LARGEST_BODY`] the connection is given up instead.
    pub fn drain(mut self) -> Result<(), Failure> {
        let mut buffer = [0; 4096];
        let mut drained = 0;
        while drained < LARGEST_BODY {
            match self.read(&mut buffer)? {
                0 => break,
                count => drained += count,
            }
        }
        Ok(())
    }
}

/// The connection to one API server for one round.
pub struct Client {
    agent: ureq::Agent,
    access: Arc<Access>,
    /// The token, which no answer may show.
    token: Option<Token>,
    /// Whether the connection has answered before, and may have been idle since.
    answered: Cell<bool>,
}

impl Client {
    /// Connects with the first request. Nothing is waited for beyond the deadline. `token` is what no answer may
    /// show, to whomever: a server that saw it once can say it to anybody later.
    pub fn new(access: Arc<Access>, token: Option<&Token>, deadline: Deadline) -> Client {
        let config = ureq::Agent::config_builder()
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent(concat!("kubeknock/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("")
            .max_response_header_size(LARGEST_HEAD)
            .max_idle_age(Duration::from_secs(3600))
            .build();
        let head = 4096 + token.map_or(0, Token::len);
        let answered = Cell::new(access.idle.as_ref().is_some_and(Idle::is_taken));
        let connector = Connector { access: Arc::clone(&access), deadline, head };
        let agent = ureq::Agent::with_parts(config, connector, NoLookup);
        Client { agent, access, token: token.cloned(), answered }
    }

    /// Another connection to the same server, by the same set-up of TLS.
    pub fn another(&self, deadline: Deadline) -> Client {
        Client::new(Arc::clone(&self.access), self.token.as_ref(), deadline)
    }

    /// Whether the connection has answered.
    pub fn has_answered(&self) -> bool {
        self.answered.get()
    }

    /// What is known of the latest connection.
    pub fn facts(&self) -> Facts {
        self.access.facts.get()
    }

    /// Sends the request, with the token or without, and waits for the head of the answer.
    pub fn send(&self, request: &Request, token: Option<&Token>) -> Result<Reply, Failure> {
        let sent = match self.send_once(request, token) {
            // A server may close an idle connection in the moment it is used again. Nothing changes by asking
            // twice: requests are reads and reviews.
            Err(Failure::Closed(_)) if self.answered.replace(false) => self.send_once(request, token),
            sent => sent,
        };
        if sent.is_ok() {
            self.answered.set(true);
        }
        sent
    }

    fn send_once(&self, request: &Request, token: Option<&Token>) -> Result<Reply, Failure> {
        let server = self.access.server.authority();
        let mut builder = http::Request::builder()
            .uri(format!("{}{}", self.access.server, request.path))
            .header("Accept", request.accept);
        if let Some(token) = token {
            builder = builder.header("Authorization", token.authorization());
        }
        let answer = match &request.post {
            None => builder.method("GET").body(()).map(|request| self.agent.run(request)),
            Some(json) => builder
                .method("POST")
                .header("Content-Type", "application/json")
                .body(json.as_str())
                .map(|request| self.agent.run(request)),
        };
        // The request was built from checked parts; if http still finds fault, nothing was sent.
        let answer = answer
            .map_err(|error| Failure::Unintelligible(format!("no HTTP request can say this: {error}")))?;
        let (mut head, inner) = answer.map_err(|error| failure(error, &server))?.into_parts();
        let encoding = head.headers.get("transfer-encoding");
        if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
            let why = format!("{server} answers in a transfer encoding that it was not asked for");
            return Err(Failure::Unintelligible(why));
        }
        if let Some(token) = &self.token {
            for value in head.headers.values_mut() {
                if let Some(shown) = token.taken_out_of(value.as_bytes()) {
                    *value =
                        http::HeaderValue::from_bytes(&shown).unwrap_or(http::HeaderValue::from_static(""));
                }
            }
        }
        let redactor = self.token.as_ref().map(Token::redactor);
        let body = Body { inner, redactor, ready: Vec::new(), ended: false };
        Ok(Reply { head, body, server, token: self.token.clone() })
    }
}

fn failure(error: ureq::Error, server: &str) -> Failure {
    match error {
        ureq::Error::Other(inner) => match inner.downcast::<Failure>() {
            Ok(failure) => *failure,
            Err(other) => Failure::Unintelligible(tls::plain(&other.to_string())),
        },
        ureq::Error::Io(error) => tls::failure(&error, server),
        ureq::Error::Timeout(_) => Failure::Timeout(format!("{server} did not answer in time")),
        other => {
            let why = tls::plain(&other.to_string());
            Failure::Unintelligible(format!("{server} does not speak HTTP as an API server does: {why}"))
        }
    }
}

/// Takes a failure through what only knows I/O errors; [`failure_of_io`] takes it out again.
pub fn io_of_failure(failure: Failure) -> io::Error {
    ureq::Error::Other(Box::new(failure)).into_io()
}

/// What an error from [`Reply::reader`] means.
pub fn failure_of_io(error: io::Error, server: &str) -> Failure {
    failure(ureq::Error::from(error), server)
}
