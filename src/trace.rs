//! What a run shows of itself while it runs: the requests of `-v`, and warnings. Knows no output stream.

use std::time::Duration;

use crate::failure::Failure;
use crate::identity::Identity;

/// What `-v` shows of a visit while it runs.
#[derive(Debug)]
pub enum Trace {
    /// A request and what it got.
    Request {
        /// The identity that sent it.
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

/// What is shown of a visit while it runs, and by which function.
#[derive(Clone, Copy)]
pub struct Tracing {
    /// Warnings about the setup.
    pub warnings: bool,
    /// `-v`: each request, at once.
    pub requests: bool,
    /// Shows it.
    pub tell: &'static (dyn Fn(&Trace) + Sync),
}

impl Tracing {
    /// Shows a warning about the setup.
    pub fn warn(self, text: String) {
        if self.warnings {
            (self.tell)(&Trace::Warning(text));
        }
    }
}
