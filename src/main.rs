//! kubeknock: from argv to an exit code. Only this file sees the process: arguments, environment, signals, panics.
//!
//! The modules, from the command line down to the leaves. A module uses only those below it; `tests/it/house.rs` holds
//! that, and this map.
//!
//! - `cli`: the command line becomes an [`Invocation`], or a usage error
//! - `command`: what each command does, one file or folder each; returns an exit code
//! - `report`: what a run shows: text, JSON, the termination message
//! - `endpoint`: probes and metrics of `monitor --listen`, over plain HTTP
//! - `explain`: what happened, the likely cause, what to type: the lines under an outcome
//! - `remedy`: the kubectl lines that grant a permission
//! - `round`: every permission asked once, and what was found
//! - `rules`: the rules of a namespace, and how complete their list is
//! - `recognition`: which user the API server takes the sender of a request for
//! - `grant`: the RBAC objects that grant permissions
//! - `verdict`: answers become an outcome
//! - `visit`: some requests to the API server, as either identity, within one deadline
//! - `files`: permission files, read once, as permissions
//! - `knock`: the request that asks about one permission, and what one identity got
//! - `api`: HTTP, TLS, discovery, and what an answer of the API server means
//! - `cluster`: where the API server is, and who we are there: variables, mount, options
//! - `mount`: where the service account mount is in a container that has none of its own
//! - `permission`: the phrase, parsed and printed
//! - `token`: the bearer token, which is never shown, and its claims
//! - `trace`: the lines of `-v`, and warnings, as they happen
//! - `failure`: why something could not be asked, or was not answered
//! - `exit`: every exit code: number, name, sentence
//! - `identity`: who knocks, and which knock decides
//! - `noexec`: whether programs can be run from a mount
//! - `text`: text for people: what may be shown, how wide, how a shell reads it
//! - `time`: deadlines, pauses between rounds, durations and dates

mod api;
mod cli;
mod cluster;
mod command;
mod endpoint;
mod exit;
mod explain;
mod failure;
mod files;
mod grant;
mod identity;
mod knock;
mod mount;
mod noexec;
mod permission;
mod recognition;
mod remedy;
mod report;
mod round;
mod rules;
mod text;
mod time;
mod token;
mod trace;
mod verdict;
mod visit;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{env, io, panic, process};

use cli::Invocation;
use cluster::ServiceVariables;
use exit::Code;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// See Cargo.toml.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    panic::set_hook(Box::new(end_as_defect));
    let stops = Arc::new(AtomicBool::new(false));
    end_on_signals(&stops);
    let variable = |name| env::var(name).ok();
    let variables = ServiceVariables {
        host: variable("KUBERNETES_SERVICE_HOST"),
        port: variable("KUBERNETES_SERVICE_PORT"),
        hostname: variable("HOSTNAME"),
    };
    let color = || io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    // Read last: a command that ignores this variable must not pay for it.
    let disabled = || env::var_os("KUBEKNOCK_DISABLED").map(|reason| reason.to_string_lossy().into_owned());
    let code = match cli::parse(arguments, &variables, &disabled) {
        Ok(Invocation::Print(text)) => {
            report::print(&text);
            Code::Ok
        }
        Ok(Invocation::Check(check)) => command::check::run(check, color()),
        Ok(Invocation::Wait(wait)) => command::wait::run(&wait, color()),
        Ok(Invocation::Monitor(monitor)) => {
            stops.store(true, Ordering::Relaxed);
            command::monitor::run(monitor, color())
        }
        Ok(Invocation::Grant(grant)) => command::grant::run(grant),
        Ok(Invocation::Get(get)) => command::get::run(&get),
        Ok(Invocation::Whoami(whoami)) => command::whoami::run(&whoami),
        Ok(Invocation::Rules(rules)) => command::rules::run(&rules),
        Ok(Invocation::Doctor(doctor)) => command::doctor::run(&doctor, color()),
        Ok(Invocation::Install(dest)) => command::install::run(&dest),
        Err(refused) => refused.reporting.fault(&refused.fault),
    };
    ExitCode::from(code.number())
}

/// SIGTERM and SIGINT end the process from the handler itself, whatever it is doing: with 143 and 130, and with 0
/// where `stops` is set, because stopping is how `monitor` succeeds. Without a handler PID 1 would ignore them.
fn end_on_signals(stops: &Arc<AtomicBool>) {
    let always = Arc::new(AtomicBool::new(true));
    for (signal, code) in [(SIGTERM, Code::Terminated), (SIGINT, Code::Interrupted)] {
        // The first whose condition holds ends it. Registering fails for forbidden signals only.
        let _ = flag::register_conditional_shutdown(signal, Code::Ok.number().into(), Arc::clone(stops));
        let _ = flag::register_conditional_shutdown(signal, code.number().into(), Arc::clone(&always));
    }
}

/// A panic, on whatever thread, is a defect of this program: it ends with 32 and says so, and never
/// shows what it held.
#[expect(
    clippy::exit,
    reason = "a panic has to end the process with a code of the table, also on a thread of a name lookup"
)]
fn end_as_defect(info: &panic::PanicHookInfo<'_>) {
    let place = info.location().map(|place| format!("{}:{}", place.file(), place.line())).unwrap_or_default();
    report::complain(&format!(
        "a defect in kubeknock {} at {place}: please report it at {}/issues",
        env!("CARGO_PKG_VERSION"),
        env!("CARGO_PKG_REPOSITORY")
    ));
    process::exit(Code::Internal.number().into());
}
