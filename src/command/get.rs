//! `get`: the raw request. The body is streamed to stdout; the code is that of the answer.

use std::io::{self, Write};
use std::sync::mpsc::{self, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::{could_not_ask, now, warn};
use crate::api::status::{self, Answer, Asked, Meaning};
use crate::api::{Client, LARGEST_BODY, Reply, Request};
use crate::cli::Output;
use crate::cluster::Cluster;
use crate::exit::Code;
use crate::failure::{Failure, Fault};
use crate::knock::Identity;
use crate::pace::{Deadline, Next};
use crate::report::{complain, escape, json, print, summary, termination, trace};
use crate::round::Trace;
use crate::token::Token;
use crate::verdict::{self, Bearer};

/// What `get` was asked to do.
#[derive(Debug)]
pub struct Get {
    /// Whom to ask.
    pub cluster: Cluster,
    /// Path and query.
    pub path: String,
    /// Without the token.
    pub anonymous: bool,
    /// Status line and headers too.
    pub include: bool,
    /// JSON wraps everything.
    pub output: Output,
    /// The whole run.
    pub timeout: Duration,
    /// The request on stderr.
    pub verbose: bool,
}

/// What the worker tells.
enum Event {
    Head(Head),
    Chunk(Vec<u8>),
    /// The code, and why where it is not 0.
    End(Result<Answer, Failure>),
}

struct Head {
    version: String,
    status: u16,
    reason: &'static str,
    headers: Vec<(String, Vec<u8>)>,
}

/// Runs it.
pub fn run(get: &Get) -> Code {
    match start(get) {
        Ok(code) => code,
        Err(fault) => {
            if get.output == Output::Json {
                print(&json::render_fault(&fault));
            }
            could_not_ask(&fault, &termination::Target::None)
        }
    }
}

fn start(get: &Get) -> Result<Code, Fault> {
    let deadline = Deadline::after(get.timeout);
    warn(&get.cluster);
    let bundle = get.cluster.bundle()?;
    let token = if get.anonymous { None } else { get.cluster.token()? };
    let bearer = match &token {
        _ if !get.cluster.server.tls => Bearer::Plain,
        Some(_) => Bearer::Token,
        None => Bearer::None,
    };
    let claims = token.as_ref().and_then(Token::claims);
    let longest_token = token.as_ref().map_or(0, Token::len);
    let (client, warning) = Client::new(&get.cluster, bundle.as_deref(), longest_token, get.timeout)?;
    let mut trace = trace(get.verbose);
    if let Some(warning) = warning {
        trace(Trace::Warning(warning));
    }
    // Bounded, so that a slow reader of stdout slows the server down instead of filling memory.
    let (events, received) = mpsc::sync_channel(2);
    let request = Request { accept: "application/json, */*", ..Request::get(get.path.clone()) };
    let identity = if token.is_some() { Identity::Token } else { Identity::Anonymous };
    let start = Instant::now();
    thread::spawn(move || ask(&client, &request, token.as_ref(), &events));
    let mut page = Page::new(get);
    let result = loop {
        match deadline.next(&received) {
            Next::Event(Event::Head(head)) => page.head(head),
            Next::Event(Event::Chunk(chunk)) => page.chunk(&chunk),
            Next::Event(Event::End(result)) => break result,
            Next::TimedOut | Next::Finished => {
                break Err(Failure::Timeout(format!("no whole answer within {:?}", get.timeout)));
            }
        }
    };
    trace(Trace::Request {
        identity,
        line: format!("GET {}", get.path),
        result: result.as_ref().map(|answer| answer.status).map_err(Clone::clone),
        elapsed: start.elapsed(),
    });
    let code = match bearer {
        Bearer::Token => verdict::token_code(&result),
        _ => verdict::tokenless_code(&result, bearer),
    };
    page.end(code);
    if code != Code::Allowed {
        let why = match &result {
            Err(failure) => failure.text().to_owned(),
            Ok(Answer { meaning: Meaning::Rejected, .. }) => claims.map_or_else(
                || "what was sent is no service account token (no JWT)".to_owned(),
                |claims| claims.explain_rejection(now()),
            ),
            Ok(answer) => answer.reason.clone(),
        };
        complain(&format!("{}: {}", summary(code), escape(&why)));
    }
    Ok(code)
}

fn ask(client: &Client, request: &Request, token: Option<&Token>, events: &SyncSender<Event>) {
    let result = client.send(request, token).and_then(|reply| stream(reply, events));
    // If nobody listens, the deadline has spoken.
    let _ = events.send(Event::End(result));
}

/// Passes the answer on piece by piece; its beginning is kept to understand it.
fn stream(mut reply: Reply, events: &SyncSender<Event>) -> Result<Answer, Failure> {
    let head = reply.head();
    let _ = events.send(Event::Head(Head {
        version: format!("{:?}", head.version),
        status: head.status.as_u16(),
        reason: head.status.canonical_reason().unwrap_or_default(),
        headers: head
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
            .collect(),
    }));
    let status = reply.status();
    // A good body is only glanced at; of others the message is wanted.
    let keep = if status < 300 { 1024 } else { LARGEST_BODY };
    let mut kept = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = reply.read(&mut buffer)?;
        let chunk = buffer.get(..count).unwrap_or_default();
        if chunk.is_empty() {
            break;
        }
        let room = keep - kept.len();
        kept.extend_from_slice(chunk.get(..room).unwrap_or(chunk));
        if events.send(Event::Chunk(chunk.to_vec())).is_err() {
            break;
        }
    }
    Ok(status::answer_from(&reply, &Asked::Path, &kept))
}

/// Where the answer goes.
struct Page<'g> {
    get: &'g Get,
    object: Map<String, Value>,
    body: Vec<u8>,
    cut: bool,
    /// False once stdout is closed or full: the verdict is still wanted.
    open: bool,
}

impl<'g> Page<'g> {
    fn new(get: &'g Get) -> Page<'g> {
        Page { get, object: Map::new(), body: Vec::new(), cut: false, open: true }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.open = self.open && io::stdout().lock().write_all(bytes).is_ok();
    }

    fn head(&mut self, head: Head) {
        if self.get.output == Output::Json {
            let header =
                |(name, value): (String, Vec<u8>)| (name, Value::from(String::from_utf8_lossy(&value)));
            self.object.insert("status".into(), head.status.into());
            self.object
                .insert("headers".into(), Value::Object(head.headers.into_iter().map(header).collect()));
        } else if self.get.include {
            self.write(format!("{} {} {}\r\n", head.version, head.status, head.reason).as_bytes());
            for (name, value) in &head.headers {
                self.write(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
            }
            self.write(b"\r\n");
        }
    }

    fn chunk(&mut self, chunk: &[u8]) {
        if self.get.output == Output::Text {
            return self.write(chunk);
        }
        let room = LARGEST_BODY - self.body.len();
        self.cut |= chunk.len() > room;
        self.body.extend_from_slice(chunk.get(..room).unwrap_or(chunk));
    }

    fn end(&mut self, code: Code) {
        if self.get.output == Output::Text {
            let _ = io::stdout().lock().flush();
            return;
        }
        let mut object = json::object(code);
        object.append(&mut self.object);
        let body = serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&self.body)));
        object.insert("body".into(), body);
        object.insert("truncated".into(), self.cut.into());
        print(&json::line(object));
    }
}
