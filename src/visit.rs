//! A visit: some requests to the API server, as either identity, within a deadline.
//!
//! The connection keeps the deadline. The result is what is known by then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::api::access::{Access, Kept};
use crate::api::{Client, Reply, Request};
use crate::cluster::{Cluster, Trust};
use crate::failure::{Failure, Fault};
use crate::identity::{Bearer, Identity};
use crate::time::deadline::Deadline;
use crate::token::{Claims, Token};
use crate::trace::{Trace, Tracing};

/// Everything that is known before the first request.
pub struct Visit {
    /// The connection.
    pub client: Client,
    /// Whether a token goes with requests.
    pub bearer: Bearer,
    /// The claims of the token.
    pub claims: Option<Claims>,
    token: Option<Token>,
    deadline: Deadline,
    tracing: Tracing,
}

impl Visit {
    /// Reads the mount and sets up the connection; the whole visit is over after `patience`. `kept`: what an earlier
    /// visit left is used again, and something is left to a later one.
    pub fn prepare(
        cluster: &Cluster,
        patience: Duration,
        tracing: Tracing,
        kept: Option<&mut Kept>,
    ) -> Result<Visit, Fault> {
        let deadline = Deadline::after(patience);
        let bundle = cluster.bundle(deadline)?;
        let token = cluster.token(deadline)?;
        let access = match kept {
            None => Access::new(cluster, bundle.as_deref(), None),
            Some(kept) => kept.access(cluster, bundle),
        };
        Visit::by(cluster, access, token, deadline, tracing)
    }

    /// The same with what has been read before.
    pub fn of(
        cluster: &Cluster,
        bundle: Option<&[u8]>,
        token: Option<Token>,
        deadline: Deadline,
        tracing: Tracing,
    ) -> Result<Visit, Fault> {
        Visit::by(cluster, Access::new(cluster, bundle, None), token, deadline, tracing)
    }

    fn by(
        cluster: &Cluster,
        access: Result<Arc<Access>, Fault>,
        token: Option<Token>,
        deadline: Deadline,
        tracing: Tracing,
    ) -> Result<Visit, Fault> {
        let bearer = match &token {
            _ if !cluster.server.tls => Bearer::Plain,
            Some(_) => Bearer::Token,
            None => Bearer::None,
        };
        if cluster.trust == Trust::Anything {
            let what = if bearer == Bearer::Token { "gets the token" } else { "is believed" };
            tracing.warn(format!("--insecure-skip-tls-verify: any server that answers {what}"));
        }
        let claims = token.as_ref().and_then(Token::claims);
        let access = access?;
        if let Some(warning) = &access.warning {
            tracing.warn(warning.clone());
        }
        let client = Client::new(access, token.as_ref(), deadline);
        if let Some(lender) = cluster.source().lender() {
            tracing
                .warn(format!("this container has no mount: using {lender}: {}", cluster.mount().display()));
        }
        Ok(Visit { client, bearer, claims, token, deadline, tracing })
    }

    /// The same on another connection, which is made with its first request.
    pub fn another(&self) -> Visit {
        Visit {
            client: self.client.another(self.deadline),
            claims: self.claims.clone(),
            token: self.token.clone(),
            ..*self
        }
    }

    /// The identities that can ask here: without the token, and with it where there is one.
    pub fn identities(&self) -> Vec<Identity> {
        match self.bearer {
            Bearer::Token => vec![Identity::Anonymous, Identity::Token],
            Bearer::None | Bearer::Plain => vec![Identity::Anonymous],
        }
    }

    /// When it has to be over.
    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Whether the deadline has come: what arrives now is too late.
    pub fn is_over(&self) -> bool {
        self.deadline.is_over()
    }

    /// Sends a request and waits for the head of the answer.
    pub fn send(&self, request: &Request, identity: Identity) -> Result<Reply, Failure> {
        let token = match identity {
            Identity::Anonymous => None,
            Identity::Token => self.token.as_ref(),
        };
        let start = Instant::now();
        let sent = self.client.send(request, token);
        if self.tracing.requests {
            (self.tracing.tell)(&Trace::Request {
                identity,
                line: format!("{} {}", request.method(), request.path),
                result: sent.as_ref().map(Reply::status).map_err(Clone::clone),
                elapsed: start.elapsed(),
            });
        }
        sent
    }

    /// The same, and reads the answer. What comes too late is a timeout.
    pub fn ask<T>(
        &self,
        request: &Request,
        identity: Identity,
        read: impl FnOnce(Reply) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.in_time(self.send(request, identity).and_then(read))
    }

    /// What was read in time; else a timeout, in the connection's words where it was the one to wait.
    pub fn in_time<T>(&self, result: Result<T, Failure>) -> Result<T, Failure> {
        match result {
            Err(Failure::Timeout(_)) => result,
            _ if self.is_over() => Err(self.too_late()),
            _ => result,
        }
    }

    /// Why there is no result when the deadline has come.
    pub fn too_late(&self) -> Failure {
        Failure::Timeout(format!("no whole answer within {:?}", self.deadline.patience()))
    }
}
