//! A visit: some requests to the API server, as either identity, within a deadline.
//!
//! A worker thread asks; the calling thread keeps the deadline, because a blocked read cannot. What the
//! worker has told by then is what there is.

use std::thread;
use std::time::{Duration, Instant};

use crate::api::{Client, Reply, Request};
use crate::cluster::{Cluster, Trust};
use crate::failure::{Failure, Fault};
use crate::knock::Identity;
use crate::pace::{Deadline, Next, Post, letter_box};
use crate::token::{Claims, Token};
use crate::verdict::Bearer;

/// What `-v` shows of a visit while it runs.
#[derive(Debug)]
pub enum Trace {
    /// A request and what it got.
    Request {
        /// As whom.
        identity: Identity,
        /// `GET` or `POST`, and the path.
        line: String,
        /// The status, or why there is none.
        result: Result<u16, Failure>,
        /// How long the head of the answer took.
        elapsed: Duration,
    },
    /// A warning about the setup.
    Warning(String),
}

/// What is told of a visit while it runs, and by whom.
#[derive(Clone, Copy, Debug)]
pub struct Tracing {
    /// Warnings about the setup.
    pub warnings: bool,
    /// `-v`: each request, at once.
    pub requests: bool,
    /// Tells it.
    pub tell: fn(&Trace),
}

impl Tracing {
    fn warn(self, text: String) {
        if self.warnings {
            (self.tell)(&Trace::Warning(text));
        }
    }
}

/// Everything that is known before the first request.
pub struct Visit {
    /// The connection.
    pub client: Client,
    /// Whether a token goes with requests.
    pub bearer: Bearer,
    /// What the token says of itself.
    pub claims: Option<Claims>,
    token: Option<Token>,
    deadline: Deadline,
    tracing: Tracing,
}

/// What the worker tells.
enum Event<N> {
    Trace(Trace),
    News(N),
}

/// The worker's side: sends requests and tells news.
pub struct Caller<N> {
    client: Client,
    token: Option<Token>,
    events: Post<Event<N>>,
    traces: bool,
}

impl Visit {
    /// Reads the mount and sets up the connection; the whole visit is over after `patience`.
    pub fn prepare(cluster: &Cluster, patience: Duration, tracing: Tracing) -> Result<Visit, Fault> {
        let bundle = cluster.bundle()?;
        Visit::of(cluster, bundle.as_deref(), cluster.token()?, patience, tracing)
    }

    /// The same with what has been read before.
    pub fn of(
        cluster: &Cluster,
        bundle: Option<&[u8]>,
        token: Option<Token>,
        patience: Duration,
        tracing: Tracing,
    ) -> Result<Visit, Fault> {
        let deadline = Deadline::after(patience);
        let bearer = match &token {
            _ if !cluster.server.tls => Bearer::Plain,
            Some(_) => Bearer::Token,
            None => Bearer::None,
        };
        if cluster.trust == Trust::Anything {
            let what = if bearer == Bearer::Token { "gets the token" } else { "is believed" };
            tracing.warn(format!("--insecure-skip-tls-verify: whoever answers {what}"));
        }
        let claims = token.as_ref().and_then(Token::claims);
        let (client, warning) = Client::new(cluster, bundle, token.as_ref(), patience)?;
        if let Some(warning) = warning {
            tracing.warn(warning);
        }
        Ok(Visit { client, bearer, claims, token, deadline, tracing })
    }

    /// Runs `errand` on a worker thread and hands on what it tells, until it has ended (true) or the deadline
    /// has come (false).
    pub fn run<N: Send + 'static>(
        &self,
        errand: impl FnOnce(&Caller<N>) + Send + 'static,
        mut news: impl FnMut(N),
    ) -> bool {
        let (events, received) = letter_box();
        let Tracing { requests: traces, tell, .. } = self.tracing;
        let caller = Caller { client: self.client.clone(), token: self.token.clone(), events, traces };
        thread::spawn(move || errand(&caller));
        loop {
            match received.next(self.deadline) {
                Next::Event(Event::Trace(seen)) => tell(&seen),
                Next::Event(Event::News(told)) => news(told),
                Next::Finished => return true,
                Next::TimedOut => {
                    self.client.interrupt();
                    return false;
                }
            }
        }
    }
}

impl<N> Caller<N> {
    /// The identities that can ask here: without the token, and with it where there is one.
    pub fn identities(&self) -> Vec<Identity> {
        let token = self.token.is_some().then_some(Identity::Token);
        [Some(Identity::Anonymous), token].into_iter().flatten().collect()
    }

    /// The identity whose answer decides.
    pub fn deciding(&self) -> Identity {
        if self.token.is_some() { Identity::Token } else { Identity::Anonymous }
    }

    /// Sends a request and waits for the head of the answer.
    pub fn send(&self, request: &Request, identity: Identity) -> Result<Reply, Failure> {
        let token = match identity {
            Identity::Anonymous => None,
            Identity::Token => self.token.as_ref(),
        };
        let start = Instant::now();
        let sent = self.client.send(request, token);
        if self.traces {
            // If nobody listens any more, the deadline has spoken.
            self.events.send(Event::Trace(Trace::Request {
                identity,
                line: format!("{} {}", request.method(), request.path),
                result: sent.as_ref().map(Reply::status).map_err(Clone::clone),
                elapsed: start.elapsed(),
            }));
        }
        sent
    }

    /// Tells the calling thread. False: nobody listens any more, the deadline has spoken.
    pub fn tell(&self, news: N) -> bool {
        self.events.send(Event::News(news))
    }

    /// The same, for news that can wait until there is more, or until the end.
    pub fn mention(&self, news: N) -> bool {
        self.events.leave(Event::News(news))
    }
}
