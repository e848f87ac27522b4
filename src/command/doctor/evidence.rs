//! What doctor has found, before it is judged: files, answers, and how long they took. Steps use nothing else.

use std::io::ErrorKind;
use std::time::Duration;

use crate::api::Facts;
use crate::api::certificate::Certificate;
use crate::api::review::Rules;
use crate::api::status::Answer;
use crate::cluster::{Cluster, ServiceVariables};
use crate::exit::Code;
use crate::failure::{Failure, Fault};
use crate::identity::Bearer;
use crate::recognition::Recognition;
use crate::round::Round;
use crate::token::Claims;

/// The names of the API server's Service, shortest first.
pub const SERVICE_NAMES: [&str; 4] =
    ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"];

/// The purpose of a file in the mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The token.
    Token,
    /// The CA bundle.
    Bundle,
    /// The pod's namespace.
    Namespace,
}

/// A file that the mount has, or that an option names instead.
#[derive(Clone, Debug)]
pub struct MountFile {
    /// What it is for.
    pub purpose: Purpose,
    /// Its name in the mount, or its path where an option names it.
    pub name: String,
    /// Whether it is in the mount.
    pub inside: bool,
    /// Whether a question needs it.
    pub needed: bool,
    /// Its age, or why it cannot be read.
    pub state: Result<Duration, ErrorKind>,
}

/// The service account mount.
#[derive(Clone, Debug)]
pub struct Mount {
    /// Whether it is a folder.
    pub exists: bool,
    /// Its files, in the order of [`Purpose`].
    pub files: Vec<MountFile>,
}

/// A name, and the addresses it resolves to here.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// The name.
    pub name: &'static str,
    /// Addresses; empty if there are none.
    pub addresses: Vec<String>,
}

/// The first request.
#[derive(Clone, Debug)]
pub struct First {
    /// Its result.
    pub result: Result<Answer, Failure>,
    /// `v1.36.2`.
    pub version: Option<String>,
    /// How far the server's clock is ahead of this one, in seconds.
    pub skew: Option<i64>,
    /// From sending to the end of the answer.
    pub elapsed: Duration,
    /// The connection it made.
    pub facts: Facts,
}

/// The content of the token file.
#[derive(Clone, Debug)]
pub enum TokenFile {
    /// Missing or empty.
    Nothing,
    /// Why it cannot be used.
    Unusable(String),
    /// Something that is not a JWT.
    Opaque,
    /// A token with claims.
    Claims(Claims),
}

/// A permission that doctor asks last.
#[derive(Clone, Debug)]
pub struct Question {
    /// As typed, or the tutorial's own.
    pub phrase: String,
    /// Whether a refusal counts as broken.
    pub decides: bool,
}

/// Everything that doctor has found. `None`: not asked, or not answered before the deadline.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// As the kubelet sets them.
    pub variables: ServiceVariables,
    /// Why the variables do not name a server. The well-known name is tried instead.
    pub bad_variables: Option<String>,
    /// `--server` is set.
    pub explicit_server: bool,
    /// Where, and what to trust.
    pub cluster: Cluster,
    /// The service account mount.
    pub mount: Mount,
    /// The CA bundle's certificates, or why there are none.
    pub bundle: Result<Vec<Certificate>, String>,
    /// The token.
    pub token: TokenFile,
    /// Whether a token goes with requests.
    pub bearer: Bearer,
    /// What the Service's names resolve to here.
    pub names: Vec<Lookup>,
    /// The text of `/etc/resolv.conf`, if there is one.
    pub resolver: Option<String>,
    /// `GET /version` without a token.
    pub first: Option<First>,
    /// The version, where only the token gets it.
    pub version_for_token: Option<String>,
    /// Who the deciding identity is.
    pub identity: Option<(Recognition, Duration)>,
    /// What it may do.
    pub rules: Option<(Result<Answer, Failure>, Rules, Duration)>,
    /// Where the rules are from.
    pub namespace: Option<String>,
    /// The questions, whether they are asked or not.
    pub questions: Vec<Question>,
    /// Their round, a finding for each.
    pub round: Option<Result<Round, Fault>>,
    /// The connection, as far as it came.
    pub facts: Facts,
    /// The deadline came before the end.
    pub timed_out: Option<Duration>,
    /// Seconds since 1970, by this clock.
    pub now: i64,
}

impl Evidence {
    /// The API server's version, if it is known.
    pub fn server_version(&self) -> Option<&str> {
        let first = self.first.as_ref().and_then(|first| first.version.as_deref());
        first.or(self.version_for_token.as_deref())
    }

    /// How far the server's clock is ahead of this one, in seconds.
    pub fn skew(&self) -> Option<i64> {
        self.first.as_ref().and_then(|first| first.skew)
    }

    /// The time by the server's clock where that is known: it is the one that judges tokens.
    pub fn server_time(&self) -> i64 {
        self.now.saturating_add(self.skew().unwrap_or(0))
    }

    /// Why the first request got no answer.
    pub fn no_contact(&self) -> Option<Failure> {
        match (&self.first, self.timed_out) {
            (Some(first), _) => first.result.as_ref().err().cloned(),
            (None, Some(patience)) => Some(late(patience)),
            (None, None) => None,
        }
    }

    /// Why the server's name has no address.
    pub fn no_address(&self) -> Option<Failure> {
        self.no_contact().filter(|_| !self.facts.resolved)
    }

    /// Whether the API server accepts the token, whatever that may do.
    pub fn accepts_token(&self) -> bool {
        self.identity.as_ref().is_some_and(|(found, _)| found.code(self.bearer) == Code::Ok)
    }

    /// The token's claims.
    pub fn claims(&self) -> Option<&Claims> {
        match &self.token {
            TokenFile::Claims(claims) => Some(claims),
            TokenFile::Nothing | TokenFile::Unusable(_) | TokenFile::Opaque => None,
        }
    }
}

/// The failure of a deadline that has passed.
pub fn late(patience: Duration) -> Failure {
    Failure::Timeout(format!("no answer within {patience:?}"))
}
