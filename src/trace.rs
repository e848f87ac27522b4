//! What a run shows while it runs: the requests of `-v`, and warnings. Knows no output stream.

use std::time::Duration;

use crate::failure::Failure;
use crate::identity::Identity;

/// One line that is shown during a visit.
#[derive(Debug)]
pub enum Trace {
    /// A request and its result.
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

/// What is shown during a visit, and by which function.
#[derive(Clone, Copy)]
pub struct Tracing {
    /// Warnings about the setup.
    pub warnings: bool,
    /// `-v`: each request, at once.
    pub requests: bool,
    /// The function that shows it.
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
