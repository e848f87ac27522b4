//! Why something could not be asked ([`Fault`]) or was not answered ([`Failure`]).
//!
//! Neither is a "no": a refusal is a value, see `verdict`. Texts name what broke and where, and
//! never hold a token.

use std::fmt;

use crate::exit::Code;

/// A fault on this side, found before anything was asked. One line: what is wrong, where, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The command line.
    Usage(String),
    /// The pod: mount, CA bundle, token file, namespace.
    Setup(String),
    /// A file that could not be read before the deadline.
    Timeout(String),
}

impl Fault {
    /// The exit code.
    pub fn code(&self) -> Code {
        match self {
            Fault::Usage(_) => Code::Usage,
            Fault::Setup(_) => Code::Setup,
            Fault::Timeout(_) => Code::Timeout,
        }
    }

    /// What to print.
    pub fn text(&self) -> &str {
        match self {
            Fault::Usage(text) | Fault::Setup(text) | Fault::Timeout(text) => text,
        }
    }
}

/// Why one request got no answer, by where it broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The name lookup gave no address.
    Unresolved(String),
    /// No TCP connection could be established.
    Unreachable(String),
    /// There was a connection, and it ended before an answer did.
    Closed(String),
    /// TLS: the server could not prove who it is, or does not speak it.
    Untrusted(String),
    /// The deadline passed first.
    Timeout(String),
    /// What came is not HTTP, or not what a Kubernetes API server sends.
    Unintelligible(String),
}

impl Failure {
    /// The exit code.
    pub fn code(&self) -> Code {
        match self {
            Failure::Unresolved(_) => Code::Unresolved,
            Failure::Unreachable(_) | Failure::Closed(_) => Code::Unreachable,
            Failure::Untrusted(_) => Code::Untrusted,
            Failure::Timeout(_) => Code::Timeout,
            Failure::Unintelligible(_) => Code::Unintelligible,
        }
    }

    /// What happened, in one line.
    pub fn text(&self) -> &str {
        match self {
            Failure::Unresolved(text)
            | Failure::Unreachable(text)
            | Failure::Closed(text)
            | Failure::Untrusted(text)
            | Failure::Timeout(text)
            | Failure::Unintelligible(text) => text,
        }
    }

    /// True where the connection itself failed: asking anything else would fail the same way.
    pub fn is_connection(&self) -> bool {
        match self {
            Failure::Unresolved(_)
            | Failure::Unreachable(_)
            | Failure::Untrusted(_)
            | Failure::Timeout(_) => true,
            Failure::Closed(_) | Failure::Unintelligible(_) => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text())
    }
}

/// It passes through the HTTP library as an error, and comes out unchanged.
impl std::error::Error for Failure {}
