//! kubeknock: argv to exit code. Nothing else sees the process: arguments, environment, panics.

mod api;
mod checkup;
mod cli;
mod cluster;
mod command;
mod exit;
mod explain;
mod failure;
mod identity;
mod knock;
mod pace;
mod permission;
mod remedy;
mod report;
mod round;
mod token;
mod verdict;
mod visit;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::{env, io, panic, process};

use cli::Invocation;
use cluster::ServiceVariables;
use exit::Code;
use report::termination;

fn main() -> ExitCode {
    panic::set_hook(Box::new(end_as_defect));
    let variable = |name| env::var(name).ok();
    let variables = ServiceVariables {
        host: variable("KUBERNETES_SERVICE_HOST"),
        port: variable("KUBERNETES_SERVICE_PORT"),
        hostname: variable("HOSTNAME"),
    };
    let colour =
        || io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let code = match cli::parse(env::args_os().skip(1).collect(), &variables) {
        Ok(Invocation::Print(text)) => {
            report::print(&text);
            Code::Allowed
        }
        Ok(Invocation::Check(check)) => command::check::run(check, colour()),
        Ok(Invocation::Get(get)) => command::get::run(&get),
        Ok(Invocation::Whoami(whoami)) => command::whoami::run(&whoami),
        Ok(Invocation::Rules(rules)) => command::rules::run(&rules),
        Ok(Invocation::Doctor(doctor)) => command::doctor::run(&doctor, colour()),
        Err(fault) => command::check::could_not_ask(&fault, &termination::Target::Automatic),
    };
    ExitCode::from(code.number())
}

/// A panic, on whatever thread, is a defect of this program: it ends with 32 and says so, and never
/// shows what it held.
#[expect(clippy::exit, reason = "a worker's panic has to end the process, and with a code of the contract")]
fn end_as_defect(info: &panic::PanicHookInfo<'_>) {
    let place = info.location().map(|place| format!("{}:{}", place.file(), place.line())).unwrap_or_default();
    report::complain(&format!(
        "a defect in kubeknock {} at {place}: please report it",
        env!("CARGO_PKG_VERSION")
    ));
    process::exit(Code::Internal.number().into());
}
