//! The commands, one file or folder each, and what they share.
//!
//! Each `run` stays a function of its own: as parts of `main` they would together take 30 KiB of stack at any command.

pub mod check;
pub mod doctor;
pub mod get;
pub mod grant;
pub mod install;
pub mod monitor;
pub mod rules;
pub mod wait;
pub mod whoami;

use std::time::Duration;

use crate::cluster::Cluster;
use crate::exit::Code;
use crate::explain::Context;
use crate::failure::Fault;
use crate::identity::Bearer;
use crate::report::{self, Format, Report, complain, json, print, print_pieces, termination, text};
use crate::round::Spec;
use crate::text::escape;
use crate::time::date::now;
use crate::trace::Tracing;
use crate::visit::Visit;

/// What `get`, `whoami` and `rules` share.
#[derive(Debug)]
pub struct Common {
    /// The API server to ask.
    pub cluster: Cluster,
    /// Text or JSON.
    pub output: Format,
    /// The deadline of the whole run.
    pub timeout: Duration,
    /// `-v`: each request on stderr.
    pub verbose: bool,
}

impl Common {
    /// Reads the mount and sets up the connection.
    fn visit(&self) -> Result<Visit, Fault> {
        Visit::prepare(&self.cluster, self.timeout, report::tracing(self.verbose), None)
    }
}

/// What a command with phrases asks, and how it reports.
#[derive(Debug)]
pub struct Knocking {
    /// The permissions, and the API server to ask.
    pub spec: Spec,
    /// Where results go.
    pub reporting: Reporting,
}

/// Where results go. No setting here changes an exit code.
#[derive(Clone, Debug)]
pub struct Reporting {
    /// Text or JSON.
    pub output: Format,
    /// Whether to print nothing on stdout.
    pub quiet: bool,
    /// Whether to show each knock on stderr.
    pub verbose: bool,
    /// The file for the verdict.
    pub termination: termination::Target,
}

/// Writes the report in this format, piece by piece.
fn write(report: &Report<'_>, format: Format, color: bool, sink: &mut dyn FnMut(&str)) {
    match format {
        Format::Text => text::write(report, color, sink),
        Format::Json => json::write(report, sink),
    }
}

/// The same as one text, for where that is needed.
fn render(report: &Report<'_>, format: Format) -> String {
    let mut text = String::new();
    write(report, format, false, &mut |piece| text.push_str(piece));
    text
}

impl Reporting {
    /// Prints the report after `begin`.
    fn print(&self, begin: &str, report: &Report<'_>, color: bool) {
        print_pieces(begin, |sink| write(report, self.output, color, sink));
    }

    /// For `-v`.
    pub fn tracing(&self) -> Tracing {
        report::tracing(self.verbose)
    }

    /// Reports how it ended: on stdout, and in the termination message.
    pub fn report(&self, report: &Report<'_>, color: bool) {
        if !self.quiet {
            self.print("", report, color);
        }
        self.termination.write(report.code, &termination::message(report));
    }

    /// Says why it could not be asked.
    pub fn fault(&self, fault: &Fault) -> Code {
        if self.output == Format::Json && !self.quiet {
            print(&json::render_message(fault.code(), fault.text()));
        }
        could_not_ask(fault, &self.termination)
    }

    /// Reports why nothing was asked, as a success.
    pub fn pass(&self, why: &str) -> Code {
        let code = Code::Ok;
        if self.output == Format::Json && !self.quiet {
            print(&json::render_message(code, why));
        }
        complain(&format!("warning: {}", escape(why)));
        code
    }
}

/// Ends a command without permissions: reports a fault, and writes the verdict where this is PID 1.
fn end(result: Result<Code, Fault>, output: Format) -> Code {
    let reporting =
        Reporting { output, quiet: false, verbose: false, termination: termination::Target::Automatic };
    match result {
        Ok(code) => {
            reporting.termination.write(code, &format!("{}\n", report::summary(code)));
            code
        }
        Err(fault) => reporting.fault(&fault),
    }
}

/// Says on stderr, and in the termination message, why it could not be asked.
pub fn could_not_ask(fault: &Fault, termination: &termination::Target) -> Code {
    let code = fault.code();
    complain(fault.text());
    termination.write(code, &format!("{} ({}): {}\n", code.name(), code.number(), fault.text()));
    code
}

/// What explanations of a request that asks no permission draw on.
fn visit_context<'a>(visit: &'a Visit, cluster: &'a Cluster) -> Context<'a> {
    // Over plain HTTP the token is not sent, so that what it claims is not what was refused.
    let claims = visit.claims.as_ref().filter(|_| visit.bearer == Bearer::Token);
    let subject = claims.and_then(|claims| claims.subject.as_deref());
    Context { cluster, bearer: visit.bearer, claims, subject, now: now() }
}
