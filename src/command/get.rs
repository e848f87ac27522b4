//! `get`: the raw request. The body is streamed to stdout; the code is that of the answer.

use std::io::{self, Write};

use serde_json::{Map, Value};

use super::{Common, end};
use crate::api;
use crate::api::status::{self, Answer, Meaning, Shape};
use crate::api::{LARGEST_BODY, Reply, Request};
use crate::exit::Code;
use crate::explain;
use crate::failure::{Failure, Fault};
use crate::identity::Bearer;
use crate::report::{Format, complain, json, print, summary, tracing};
use crate::text::escape;
use crate::time::date::now;
use crate::time::deadline::Deadline;
use crate::token::{Claims, Token};
use crate::verdict;
use crate::visit::Visit;

/// The settings of `get`.
#[derive(Debug)]
pub struct Get {
    /// Which API server, and how to show its answer.
    pub common: Common,
    /// Path and query.
    pub path: String,
    /// Whether to leave out the token.
    pub anonymous: bool,
    /// Whether to print the status line and headers too.
    pub include: bool,
}

/// Runs it.
#[inline(never)]
pub fn run(get: &Get) -> Code {
    end(ask(get), get.common.output)
}

fn ask(get: &Get) -> Result<Code, Fault> {
    let Common { cluster, timeout, verbose, .. } = &get.common;
    let deadline = Deadline::after(*timeout);
    let bundle = cluster.bundle(deadline)?;
    let token = if get.anonymous { None } else { cluster.token(deadline)? };
    let mut page = Page::new(get, token.clone());
    let visit = Visit::of(cluster, bundle.as_deref(), token, deadline, tracing(*verbose))?;
    let Visit { bearer, ref claims, .. } = visit;
    let request = Request { accept: "application/json, */*", ..Request::get(get.path.clone()) };
    let result = visit.ask(&request, visit.bearer.deciding(), |reply| stream(reply, &mut page));
    let code = verdict::deciding_code(&result, bearer);
    page.end(code);
    if code != Code::Ok {
        complain(&format!("{}: {}", summary(code), escape(&why(get, &result, bearer, claims.as_ref()))));
    }
    Ok(code)
}

/// Why the answer is not a success. Mentions a token only if one was sent.
fn why(get: &Get, result: &Result<Answer, Failure>, bearer: Bearer, claims: Option<&Claims>) -> String {
    let answer = match result {
        Err(failure) => return failure.text().to_owned(),
        Ok(answer) => answer,
    };
    let words = &answer.reason;
    let aggregated = || explain::hint(&get.path).unwrap_or_default();
    let path = get.common.cluster.token_path();
    let path = path.display();
    match (answer.meaning, bearer) {
        (Meaning::Unauthenticated, Bearer::Token) => {
            let why = match claims {
                Some(claims) => claims.explain_rejection(now(), answer.skew).join("; "),
                None => format!("{path} does not hold a service account token (not a JWT)"),
            };
            why + &aggregated()
        }
        (Meaning::Unavailable, _) => format!("{words}{}", aggregated()),
        (Meaning::Unauthenticated | Meaning::Forbidden, Bearer::None) if get.anonymous => {
            format!("no token was sent (--anonymous): {words}")
        }
        (Meaning::Unauthenticated | Meaning::Forbidden, Bearer::None) => {
            format!("no token was sent, because {path} is missing or empty: {words}")
        }
        (Meaning::Unauthenticated, Bearer::Plain) => {
            format!("the API server rejects the credentials of the proxy itself (kubectl proxy): {words}")
        }
        (Meaning::Forbidden, Bearer::Plain) => {
            format!("no token was sent, because {} is plain HTTP: {words}", get.common.cluster.server)
        }
        (Meaning::Forbidden, Bearer::Token)
        | (
            Meaning::Granted
            | Meaning::NotFound
            | Meaning::ReviewForbidden
            | Meaning::Denied
            | Meaning::OtherForbidden
            | Meaning::Conditional
            | Meaning::Unserved
            | Meaning::Unintelligible,
            Bearer::Token | Bearer::None | Bearer::Plain,
        ) => words.to_string(),
    }
}

/// Passes the answer on piece by piece; its beginning is kept to understand it.
fn stream(mut reply: Reply, page: &mut Page<'_>) -> Result<Answer, Failure> {
    page.head(&reply);
    let status = reply.status();
    // Of a good body the beginning is enough; the others have a message in them.
    let mut keep = if status < 300 { 1024 } else { LARGEST_BODY };
    let mut kept = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = match reply.read(&mut buffer) {
            Err(Failure::Closed(_)) if status::is_understood(&reply, &kept) => 0,
            read => read?,
        };
        let chunk = buffer.get(..count).unwrap_or_default();
        if chunk.is_empty() {
            break;
        }
        let room = keep - kept.len();
        kept.extend_from_slice(chunk.get(..room).unwrap_or(chunk));
        // A Status of failure inside a good answer has a message, too.
        if keep < LARGEST_BODY && status::is_status(&kept) {
            keep = LARGEST_BODY;
            kept.extend_from_slice(chunk.get(room..).unwrap_or_default());
        }
        page.chunk(chunk);
    }
    Ok(status::answer_from(&reply, &Shape::of_path(&page.get.path), &kept))
}

/// Where the answer goes.
struct Page<'g> {
    get: &'g Get,
    /// What no answer may show.
    token: Option<Token>,
    object: Map<String, Value>,
    body: Vec<u8>,
    cut: bool,
    /// False after stdout is closed or full. That does not end the run, whose result is the exit code.
    open: bool,
}

impl<'g> Page<'g> {
    fn new(get: &'g Get, token: Option<Token>) -> Page<'g> {
        Page { get, token, object: Map::new(), body: Vec::new(), cut: false, open: true }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.open = self.open && io::stdout().lock().write_all(bytes).is_ok();
    }

    fn head(&mut self, reply: &Reply) {
        let head = reply.head();
        if self.get.common.output == Format::Json {
            let mut headers = Map::new();
            for (name, value) in &head.headers {
                headers.insert(name.to_string(), Value::from(String::from_utf8_lossy(value.as_bytes())));
            }
            self.object.insert("status".into(), reply.status().into());
            self.object.insert("headers".into(), Value::Object(headers));
        } else if self.get.include {
            let reason = head.status.canonical_reason().unwrap_or_default();
            self.write(format!("{:?} {} {reason}\r\n", head.version, reply.status()).as_bytes());
            for (name, value) in &head.headers {
                self.write(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
            }
            self.write(b"\r\n");
        }
    }

    fn chunk(&mut self, chunk: &[u8]) {
        if self.get.common.output == Format::Text {
            return self.write(chunk);
        }
        let room = LARGEST_BODY - self.body.len();
        self.cut |= chunk.len() > room;
        self.body.extend_from_slice(chunk.get(..room).unwrap_or(chunk));
    }

    fn end(&mut self, code: Code) {
        if self.get.common.output == Format::Text {
            let _ = io::stdout().lock().flush();
            return;
        }
        let mut object = json::object(code);
        object.append(&mut self.object);
        let body = api::json::parse(&self.body, self.token.as_ref())
            .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&self.body)));
        object.insert("body".into(), body);
        object.insert("truncated".into(), self.cut.into());
        print(&json::line(object));
    }
}
