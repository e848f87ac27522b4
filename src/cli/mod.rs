//! The command line: turns argh's structs into an [`Invocation`].

mod arguments;
mod help;
mod options;
mod value;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use argh::FromArgs;

use crate::cluster::{Cluster, ServiceVariables, Where};
use crate::command::{Common, Knocking, Reporting, check, doctor, get, grant, monitor, rules, wait, whoami};
use crate::failure::Fault;
use crate::files;
use crate::permission::{self, Defaults, Namespace, Permission};
use crate::report::{Format, termination};
use crate::round::Spec;
use crate::text::escape;
use arguments::Sorted;
use options::{Command, Phrases, Program};
use value::Value;

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Print this text and exit.
    Print(String),
    /// `check`.
    Check(check::Check),
    /// `wait`.
    Wait(wait::Wait),
    /// `monitor`.
    Monitor(monitor::Monitor),
    /// `grant`.
    Grant(grant::Grant),
    /// `get`.
    Get(get::Get),
    /// `whoami`.
    Whoami(whoami::Whoami),
    /// `rules`.
    Rules(rules::RulesOf),
    /// `doctor`.
    Doctor(doctor::Doctor),
    /// `install`, to this file or folder.
    Install(PathBuf),
}

/// A command line that cannot be run, and how to report that, as far as it can be read.
#[derive(Debug)]
pub struct Refused {
    /// What is wrong.
    pub fault: Fault,
    /// `-o`, `-q` and `--termination-log`.
    pub reporting: Reporting,
}

/// Parses the arguments (without the program's name). Every fault is a usage fault, except a server that the
/// environment variables name incorrectly. `disabled` returns `KUBEKNOCK_DISABLED`.
pub fn parse(
    arguments: Vec<OsString>,
    variables: &ServiceVariables,
    disabled: &dyn Fn() -> Option<String>,
) -> Result<Invocation, Refused> {
    let sorted = arguments::sort(arguments);
    let reporting = reporting(&sorted);
    understand(sorted, variables, disabled).map_err(|fault| Refused { fault, reporting })
}

/// How to report a fault, whatever else is wrong. An option that cannot be read has its default.
fn reporting(sorted: &Sorted) -> Reporting {
    let output = sorted.value("output").and_then(|typed| value::output(typed).ok());
    let log = sorted.value("termination-log").and_then(|typed| value::termination_log(typed).ok());
    Reporting {
        output: output.map_or(Format::Text, |output| output.or(Format::Text)),
        quiet: sorted.has("quiet"),
        verbose: false,
        termination: log.map_or(termination::Target::Automatic, |log| log.or(termination::Target::Automatic)),
    }
}

fn usage<T>(why: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Usage(why.into()))
}

fn understand(
    sorted: Sorted,
    variables: &ServiceVariables,
    disabled: &dyn Fn() -> Option<String>,
) -> Result<Invocation, Fault> {
    if sorted.help {
        return help::render(sorted.command.as_deref()).map(Invocation::Print).map_err(Fault::Usage);
    }
    if let Some(why) = sorted.fault {
        return usage(why);
    }
    if sorted.version {
        return Ok(Invocation::Print(concat!("kubeknock ", env!("CARGO_PKG_VERSION"), "\n").into()));
    }
    let Some(command) = sorted.command else {
        return usage("a command is missing, such as check \"list pods\": see kubeknock --help");
    };
    if sorted.after.is_some() && command != "wait" {
        return usage(format!("{command} takes no command after --: only wait does"));
    }
    let words: Vec<&str> = sorted.words.iter().map(String::as_str).collect();
    // No argument reaches this error: whatever argh would reject was rejected before, in our own words.
    let program = Program::from_args(&["kubeknock"], &words)
        .map_err(|_| Fault::Usage("the arguments cannot be read: see kubeknock --help".into()))?;
    let explicit_server = program.server.is_some();
    let place = Where {
        server: program.server,
        certificate_authority: program.certificate_authority,
        token_file: program.token_file,
        service_account_dir: program.service_account_dir,
        tls_server_name: program.tls_server_name,
        insecure: program.insecure_skip_tls_verify,
    };
    let heeds = matches!(program.command, Command::Wait(_));
    let disabled = if heeds { disabled().filter(|reason| !reason.is_empty()) } else { None };
    let (cluster, bad_variables) = match (Cluster::resolve(place.clone(), variables), &program.command) {
        (Ok(cluster), _) => (cluster, None),
        // `doctor` shows what is wrong with the variables in its steps, and continues with the well-known name; a
        // disabled `wait` asks no server.
        (Err(Fault::Setup(why)), command) if disabled.is_some() || matches!(command, Command::Doctor(_)) => {
            let variables = ServiceVariables { port: None, ..variables.clone() };
            (Cluster::resolve(place, &variables)?, Some(why))
        }
        (Err(fault), _) => return Err(fault),
    };
    let context = Context { cluster, verbose: program.verbose, disabled };
    match program.command {
        Command::Check(arguments) => check(arguments, context).map(Invocation::Check),
        Command::Wait(arguments) => wait(arguments, context, sorted.after).map(Invocation::Wait),
        Command::Monitor(arguments) => monitor(arguments, context).map(Invocation::Monitor),
        Command::Grant(arguments) => grant(arguments, context).map(Invocation::Grant),
        Command::Install(arguments) => install(&arguments).map(Invocation::Install),
        Command::Get(arguments) => get(arguments, context).map(Invocation::Get),
        Command::Whoami(arguments) => whoami(arguments, context).map(Invocation::Whoami),
        Command::Rules(arguments) => rules(arguments, context).map(Invocation::Rules),
        Command::Doctor(arguments) => {
            let variables = variables.clone();
            let surroundings = doctor::Surroundings { variables, bad_variables, explicit_server };
            doctor(arguments, context, surroundings).map(Invocation::Doctor)
        }
    }
}

/// The options of the program itself, evaluated.
struct Context {
    cluster: Cluster,
    verbose: bool,
    /// Why `wait` asks nothing; if set, it also needs no files.
    disabled: Option<String>,
}

impl Context {
    /// The settings of the commands without phrases.
    fn common(self, output: Value<Format>, timeout: Value<Duration>) -> Result<Common, Fault> {
        let Context { cluster, verbose, disabled: _ } = self;
        Ok(Common { cluster, output: output.of("--output")?, timeout: timeout.of("--timeout")?, verbose })
    }

    /// The settings of the commands with phrases. The time of reading files is subtracted from `patience`.
    fn knocking(self, phrases: Phrases, patience: &mut Duration) -> Result<Knocking, Fault> {
        let Context { cluster, verbose, disabled } = self;
        let Phrases { filename, token_only, forbid_anonymous, review, quiet, typed, .. } = phrases;
        let reporting = Reporting {
            output: phrases.output.of("--output")?,
            quiet,
            verbose,
            termination: phrases.termination_log.of("--termination-log")?,
        };
        if phrases.all_namespaces && phrases.namespace.is_some() {
            return usage("--namespace cannot be combined with --all-namespaces: use one of them");
        }
        let defaults = Defaults {
            namespace: match namespace(phrases.namespace)? {
                None if phrases.all_namespaces => Namespace::All,
                None => Namespace::Own,
                Some(name) => Namespace::Named(name),
            },
            subresource: checked("--subresource", phrases.subresource, permission::subresource_fault)?,
        };
        if token_only && forbid_anonymous {
            return usage(
                "--token-only cannot be combined with --forbid-anonymous, which needs the anonymous knock: use one of \
                 them",
            );
        }
        let min_token_life = phrases.min_token_life.map(|life| life.of("--min-token-life")).transpose()?;
        if (token_only || min_token_life.is_some()) && !cluster.server.tls {
            return usage(format!(
                "{} needs an https:// server, found {}: kubeknock never sends the token over plain HTTP",
                if token_only { "--token-only" } else { "--min-token-life" },
                cluster.server
            ));
        }
        let files: &[String] = if disabled.is_some() { &[] } else { &filename };
        let permissions = permissions(&typed, files, &defaults, patience)?;
        if permissions.is_empty() && filename.is_empty() {
            return usage("a permission phrase is missing, such as \"list pods\" or \"get /metrics\"");
        }
        let spec = Spec { cluster, permissions, review, token_only, forbid_anonymous, min_token_life };
        if forbid_anonymous && let Some(permission) = spec.asked_by_review() {
            return usage(format!(
                "--forbid-anonymous cannot be checked for \"{permission}\": it is asked by access review, which \
                 needs a token"
            ));
        }
        Ok(Knocking { spec, reporting })
    }
}

fn check(arguments: options::Check, context: Context) -> Result<check::Check, Fault> {
    let (phrases, (timeout, fail_open)) = arguments.part();
    let mut timeout = timeout.of("--timeout")?;
    Ok(check::Check { knocking: context.knocking(phrases, &mut timeout)?, timeout, fail_open })
}

fn wait(
    arguments: options::Wait,
    context: Context,
    command: Option<Vec<OsString>>,
) -> Result<wait::Wait, Fault> {
    let (phrases, (timeout, request_timeout, max_interval, fail_open, fail_fast, stable)) = arguments.part();
    if command.as_ref().is_some_and(Vec::is_empty) {
        return usage("a command is missing after --");
    }
    let timeout = timeout.of("--timeout")?;
    if fail_open && timeout.is_zero() {
        return usage("--fail-open goes on at the deadline, but --timeout 0 has none: set a --timeout");
    }
    let mut patience = if timeout.is_zero() { Duration::MAX } else { timeout };
    let disabled = context.disabled.clone();
    Ok(wait::Wait {
        knocking: context.knocking(phrases, &mut patience)?,
        timeout: (!timeout.is_zero()).then_some(patience),
        request_timeout: request_timeout.of("--request-timeout")?,
        max_interval: max_interval.of("--max-interval")?,
        fail_open,
        fail_fast,
        stable: stable.of("--stable")?,
        command,
        disabled,
    })
}

fn monitor(arguments: options::Monitor, context: Context) -> Result<monitor::Monitor, Fault> {
    let (phrases, (request_timeout, interval, max_interval, listen, until_lost)) = arguments.part();
    let request_timeout = request_timeout.of("--request-timeout")?;
    let mut patience = request_timeout;
    Ok(monitor::Monitor {
        request_timeout,
        interval: interval.of("--interval")?,
        max_interval: max_interval.of("--max-interval")?,
        listen: listen.map(|listen| listen.of("--listen")).transpose()?,
        until_lost,
        knocking: context.knocking(phrases, &mut patience)?,
    })
}

fn grant(arguments: options::Grant, context: Context) -> Result<grant::Grant, Fault> {
    let (phrases, all, timeout) = arguments.part();
    let mut timeout = timeout.of("--timeout")?;
    let mut knocking = context.knocking(phrases, &mut timeout)?;
    // `grant` shows no anonymous knock, so it makes none. Over plain HTTP there is no other knock.
    knocking.spec.token_only = knocking.spec.cluster.server.tls;
    Ok(grant::Grant { knocking, timeout, all })
}

fn install(arguments: &options::Install) -> Result<PathBuf, Fault> {
    match arguments.dest.as_slice() {
        [dest] if !dest.as_os_str().is_empty() => Ok(dest.clone()),
        [] | [_] => usage("a destination is missing: a file, or an existing folder"),
        [_, other, ..] => {
            let other = escape(&other.to_string_lossy());
            usage(format!("install takes one destination: leave out \"{other}\""))
        }
    }
}

fn get(arguments: options::Get, context: Context) -> Result<get::Get, Fault> {
    let options::Get { include, anonymous, output, timeout, path } = arguments;
    let common = context.common(output, timeout)?;
    let path = match <[String; 1]>::try_from(path) {
        Ok([path]) => path,
        Err(paths) => {
            return match paths.get(1) {
                None => usage("a path is missing, such as /version"),
                Some(other) => usage(format!("get takes one path: leave out \"{}\"", escape(other))),
            };
        }
    };
    let bad = |c: char| {
        !c.is_ascii_graphic() || matches!(c, '#' | '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}')
    };
    if !path.starts_with('/') || path.contains(bad) {
        return usage(format!(
            "\"{}\" is not a path on the API server: it must begin with / and be percent-encoded, such as /version",
            escape(&path)
        ));
    }
    Ok(get::Get { common, path, anonymous, include })
}

fn whoami(arguments: options::Whoami, context: Context) -> Result<whoami::Whoami, Fault> {
    let options::Whoami { output, timeout } = arguments;
    Ok(whoami::Whoami { common: context.common(output, timeout)? })
}

fn rules(arguments: options::Rules, context: Context) -> Result<rules::RulesOf, Fault> {
    let options::Rules { filename, namespace: typed, only, output, timeout, phrases } = arguments;
    let mut common = context.common(output, timeout)?;
    if let (Some(file), false) = (filename.first(), only) {
        return usage(format!("--filename \"{}\": rules takes a file with --only alone", escape(file)));
    }
    if let (Some(word), false) = (phrases.first(), only) {
        return usage(format!("phrases of rules need --only, found \"{}\"", escape(word)));
    }
    let namespace = namespace(typed)?;
    let mut named = || permissions(&phrases, &filename, &defaults(namespace.clone()), &mut common.timeout);
    let only = only.then(&mut named).transpose()?;
    Ok(rules::RulesOf { common, namespace, only })
}

/// The defaults of phrases: `--namespace`, where a phrase names no namespace.
fn defaults(namespace: Option<String>) -> Defaults {
    Defaults { namespace: namespace.map_or(Namespace::Own, Namespace::Named), subresource: None }
}

fn doctor(
    arguments: options::Doctor,
    context: Context,
    surroundings: doctor::Surroundings,
) -> Result<doctor::Doctor, Fault> {
    let options::Doctor { filename, namespace: typed, output, timeout, phrases } = arguments;
    let Common { cluster, output, mut timeout, verbose } = context.common(output, timeout)?;
    let namespace = namespace(typed)?;
    let permissions = permissions(&phrases, &filename, &defaults(namespace.clone()), &mut timeout)?;
    Ok(doctor::Doctor { cluster, surroundings, namespace, permissions, output, timeout, verbose })
}

/// The permissions of the phrases, and then those of the files.
fn permissions(
    typed: &[String],
    files: &[String],
    defaults: &Defaults,
    patience: &mut Duration,
) -> Result<Vec<Permission>, Fault> {
    let mut permissions = match typed {
        [] => Vec::new(),
        typed => permission::parse(typed, defaults).map_err(Fault::Usage)?,
    };
    files::add(&mut permissions, files, defaults, patience)?;
    Ok(permissions)
}

/// `--namespace`, checked.
fn namespace(typed: Option<String>) -> Result<Option<String>, Fault> {
    checked("--namespace", typed, permission::namespace_fault)
}

/// Returns a name if it is valid.
fn checked(
    option: &str,
    typed: Option<String>,
    fault: impl FnOnce(&str) -> Option<(usize, &'static str)>,
) -> Result<Option<String>, Fault> {
    match typed.as_deref().and_then(|name| Some((name, fault(name)?))) {
        Some((name, (_, why))) => usage(format!("{option} \"{}\": {why}", escape(name))),
        None => Ok(typed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argh::{ArgsInfo, FlagInfoKind};

    /// A command with the arguments that it requires.
    fn whole(command: &str) -> Vec<OsString> {
        let needs: &[&str] = match command {
            "check" | "wait" | "monitor" | "grant" => &["list pods"],
            "get" => &["/version"],
            "install" => &["/dest"],
            "whoami" | "rules" | "doctor" => &[],
            other => panic!("what does {other} need?"),
        };
        std::iter::once(&command).chain(needs).map(OsString::from).collect()
    }

    fn parsed(arguments: Vec<OsString>) -> Result<String, String> {
        let parsed = parse(arguments, &ServiceVariables::default(), &|| None);
        parsed.map(|invocation| format!("{invocation:?}")).map_err(|refused| refused.fault.text().to_owned())
    }

    /// Each command with each option that takes a value, and the line of help for that option.
    fn valued() -> Vec<[&'static str; 3]> {
        let program = Program::get_args_info();
        let mut valued = Vec::new();
        for known in &program.commands {
            for flag in known.command.flags.iter().chain(program.flags) {
                if matches!(flag.kind, FlagInfoKind::Option { .. }) {
                    valued.push([known.name, flag.long, flag.description]);
                }
            }
        }
        valued
    }

    /// argh has its own message for a value that it cannot read. Users must never see it.
    #[test]
    fn no_value_is_refused_by_argh() {
        let mut refused = 0;
        for [command, option, _] in valued() {
            for value in ["", "?", "-1", "--", "1.5.5", "\u{1b}[31m"] {
                let arguments = [whole(command), vec![format!("{option}={value}").into()]].concat();
                let Err(why) = parsed(arguments) else { continue };
                refused += 1;
                assert!(why.contains(option), "{command} {option}={value}: {why}");
                assert!(!why.contains("Error parsing") && !why.contains('\u{1b}'), "{why}");
            }
        }
        assert!(refused > 100, "{refused}");
    }

    #[test]
    fn the_defaults_are_those_of_the_help() {
        let mut compared = 0;
        for [command, option, help] in valued() {
            let Some((_, default)) = help.split_once("[default: ") else { continue };
            let default = default.trim_end_matches(']');
            if default != "text" && !default.starts_with(|c: char| c.is_ascii_digit()) {
                continue;
            }
            let explicit = [whole(command), vec![option.into(), default.into()]].concat();
            assert_eq!(parsed(explicit), parsed(whole(command)), "{command} {option}");
            compared += 1;
        }
        assert!(compared > 15, "{compared}");
    }
}
