//! Why something could not be asked ([`Fault`]) or was not answered ([`Failure`]).
//!
//! Neither is a "no": a refusal is a value, see `verdict`. Texts name what broke and where, and
//! never hold a token.

use std::fmt;

use crate::exit::Code;

/// A fault on this side, found before anything was asked. One line: what is wrong, where, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The command line is wrong.
    Usage(String),
    /// The pod lacks a mount, a usable CA bundle, a readable token, or a namespace.
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

    /// The message, in one line.
    pub fn text(&self) -> &str {
        match self {
            Fault::Usage(text) | Fault::Setup(text) | Fault::Timeout(text) => text,
        }
    }
}

/// Why a request got no valid answer, by the stage at which it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The name lookup gave no address.
    Unresolved(String),
    /// No TCP connection could be established.
    Unreachable(String),
    /// The server accepts connections and closes them in the TLS handshake: it may be a load balancer.
    ClosedInHandshake(String),
    /// The connection ended before the answer was complete.
    Closed(String),
    /// The TLS handshake failed: the server is not trusted, or does not speak TLS.
    Untrusted(Flaw, String),
    /// The deadline passed first.
    Timeout(String),
    /// The answer is not HTTP, or not from a Kubernetes API server.
    Unintelligible(String),
}

/// What is wrong in the TLS handshake, as far as the remedies differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The server's certificate is not within its validity, by this clock.
    Dates,
    /// A certificate that the server sends between its own and the CA is not good.
    Chain,
    /// The certificate is for another name.
    Name,
    /// No CA of the bundle has signed the certificate.
    Authority,
    /// The server has none of the algorithms that this program offers.
    Offer,
    /// Anything else.
    Other,
}

impl Failure {
    /// The exit code.
    pub fn code(&self) -> Code {
        match self {
            Failure::Unresolved(_) => Code::Unresolved,
            Failure::Unreachable(_) | Failure::ClosedInHandshake(_) | Failure::Closed(_) => Code::Unreachable,
            Failure::Untrusted(..) => Code::Untrusted,
            Failure::Timeout(_) => Code::Timeout,
            Failure::Unintelligible(_) => Code::Unintelligible,
        }
    }

    /// What happened, in one line.
    pub fn text(&self) -> &str {
        match self {
            Failure::Unresolved(text)
            | Failure::Unreachable(text)
            | Failure::ClosedInHandshake(text)
            | Failure::Closed(text)
            | Failure::Untrusted(_, text)
            | Failure::Timeout(text)
            | Failure::Unintelligible(text) => text,
        }
    }

    /// True where the connection itself failed: asking anything else would fail the same way.
    pub fn is_connection(&self) -> bool {
        match self {
            Failure::Unresolved(_)
            | Failure::Unreachable(_)
            | Failure::ClosedInHandshake(_)
            | Failure::Untrusted(..)
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

/// The HTTP library passes it through as an error.
impl std::error::Error for Failure {}
