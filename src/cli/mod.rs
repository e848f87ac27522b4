//! The command line: argh's typed text becomes an [`Invocation`], what is meant.

mod arguments;
mod help;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use argh::{ArgsInfo, FromArgs};

use crate::cluster::{Cluster, ServiceVariables, Where};
use crate::command::{Knocking, Reporting, check, doctor, get, monitor, rules, wait, whoami};
use crate::failure::Fault;
use crate::permission::{self, Defaults, Namespace};
use crate::report::{Format, termination};
use crate::round::Spec;
use crate::time::duration::parse_duration;

/// What is to be done.
#[derive(Debug)]
pub enum Invocation {
    /// Print this and be done.
    Print(String),
    /// `check`.
    Check(check::Check),
    /// `wait`.
    Wait(wait::Wait),
    /// `monitor`.
    Monitor(monitor::Monitor),
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

/// Knock on the Kubernetes API server without and with the pod's token; the exit code says what the
/// pod may do.
#[derive(FromArgs, ArgsInfo, Debug)]
struct Program {
    /// API server (https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT)
    #[argh(option, arg_name = "URL")]
    server: Option<String>,
    /// CA bundle in PEM (ca.crt of the service account mount)
    #[argh(option, arg_name = "FILE")]
    certificate_authority: Option<PathBuf>,
    /// bearer token, read anew for every attempt (token of the mount)
    #[argh(option, arg_name = "FILE")]
    token_file: Option<PathBuf>,
    /// the mount (/var/run/secrets/kubernetes.io/serviceaccount)
    #[argh(option, arg_name = "DIR")]
    service_account_dir: Option<PathBuf>,
    /// name to verify instead of the URL's host
    #[argh(option, arg_name = "NAME")]
    tls_server_name: Option<String>,
    /// take any certificate, like curl's -k
    #[argh(switch)]
    insecure_skip_tls_verify: bool,
    /// each knock on stderr, never the token
    #[argh(switch, short = 'v')]
    verbose: bool,
    /// print the version
    #[argh(switch)]
    #[expect(dead_code, reason = "seen before argh; it stands here for the help")]
    version: bool,
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
enum Command {
    Check(CheckArguments),
    Wait(WaitArguments),
    Monitor(MonitorArguments),
    Get(GetArguments),
    Whoami(WhoamiArguments),
    Rules(RulesArguments),
    Doctor(DoctorArguments),
    Install(InstallArguments),
}

/// Declares the arguments of a command that takes phrases: what all of them share, and its own.
macro_rules! phrase_command {
    ($(#[$about:meta])* $name:ident { $($own:tt)* }) => {
        $(#[$about])*
        struct $name {
            /// namespace of phrases without "in" (the pod's own)
            #[argh(option, short = 'n', arg_name = "NS")]
            namespace: Option<String>,
            /// the same as "in *"
            #[argh(switch, short = 'A')]
            all_namespaces: bool,
            /// subresource of phrases without one
            #[argh(option, arg_name = "NAME")]
            subresource: Option<String>,
            /// no anonymous knock: for probes
            #[argh(switch)]
            token_only: bool,
            /// getting in without a token is a fault (14)
            #[argh(switch)]
            forbid_anonymous: bool,
            /// ask every permission by access review
            #[argh(switch)]
            review: bool,
            /// text or json (text)
            #[argh(option, short = 'o', arg_name = "FORMAT", from_str_fn(output))]
            output: Option<Format>,
            /// nothing on stdout
            #[argh(switch, short = 'q')]
            quiet: bool,
            /// file for the verdict, or none (/dev/termination-log as PID 1)
            #[argh(option, arg_name = "FILE", from_str_fn(termination_log))]
            termination_log: Option<termination::Target>,
            $($own)*
            /// permission phrases
            #[argh(positional, arg_name = "PHRASE")]
            phrases: Vec<String>,
        }

        impl $name {
            /// Resolves what all commands with phrases share.
            fn knocking(&mut self, cluster: Cluster, verbose: bool) -> Result<Knocking, Fault> {
                let phrases = Phrases {
                    namespace: self.namespace.take(),
                    all_namespaces: self.all_namespaces,
                    subresource: self.subresource.take(),
                    token_only: self.token_only,
                    forbid_anonymous: self.forbid_anonymous,
                    review: self.review,
                    typed: std::mem::take(&mut self.phrases),
                };
                let reporting = Reporting {
                    output: self.output.unwrap_or(Format::Text),
                    quiet: self.quiet,
                    verbose,
                    termination: self.termination_log.take().unwrap_or(termination::Target::Automatic),
                };
                Ok(Knocking { spec: phrases.spec(cluster)?, reporting })
            }
        }
    };
}

phrase_command! {
    /// Knock once for each permission, print, exit.
    #[derive(FromArgs, ArgsInfo, Debug)]
    #[argh(subcommand, name = "check")]
    CheckArguments {
        /// the whole run (10s)
        #[argh(option, arg_name = "DURATION", from_str_fn(positive_duration))]
        timeout: Option<Duration>,
        /// no answer (2x) is no failure: for liveness probes
        #[argh(switch)]
        fail_open: bool,
    }
}

phrase_command! {
    /// Knock until every permission is as required, then exit 0, or become CMD (wait PHRASE… -- CMD ARG…).
    #[derive(FromArgs, ArgsInfo, Debug)]
    #[argh(subcommand, name = "wait")]
    WaitArguments {
        /// the whole wait; 0 is for ever (5m)
        #[argh(option, arg_name = "DURATION", from_str_fn(parse_duration))]
        timeout: Option<Duration>,
        /// each round (10s)
        #[argh(option, arg_name = "DURATION", from_str_fn(positive_duration))]
        request_timeout: Option<Duration>,
        /// longest pause while waiting for an answer or a grant (30s)
        #[argh(option, arg_name = "DURATION", from_str_fn(positive_duration))]
        max_interval: Option<Duration>,
        /// leave at once on a definite no (1x)
        #[argh(switch)]
        fail_fast: bool,
        /// good rounds in a row, each on a new connection (1)
        #[argh(option, arg_name = "N")]
        stable: Option<u32>,
    }
}

phrase_command! {
    /// Keep knocking, print what changes, end well on SIGTERM: for a sidecar.
    #[derive(FromArgs, ArgsInfo, Debug)]
    #[argh(subcommand, name = "monitor")]
    MonitorArguments {
        /// each round (10s)
        #[argh(option, arg_name = "DURATION", from_str_fn(positive_duration))]
        request_timeout: Option<Duration>,
        /// pause between rounds (30s)
        #[argh(option, arg_name = "DURATION", from_str_fn(positive_duration))]
        interval: Option<Duration>,
        /// longest pause while waiting for an answer (30s)
        #[argh(option, arg_name = "DURATION", from_str_fn(positive_duration))]
        max_interval: Option<Duration>,
        /// exit with the code on a definite no (1x)
        #[argh(switch)]
        until_lost: bool,
    }
}

/// Copy this binary to DEST (file or folder), so that images without it can use it.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "install")]
struct InstallArguments {
    /// a file, or an existing folder
    #[argh(positional, arg_name = "DEST")]
    dest: Vec<PathBuf>,
}

/// The raw request, like curl -i without curl: body to stdout.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "get")]
struct GetArguments {
    /// status line and headers too
    #[argh(switch, short = 'i')]
    include: bool,
    /// without the token
    #[argh(switch)]
    anonymous: bool,
    /// text or json (text)
    #[argh(option, short = 'o', arg_name = "FORMAT", from_str_fn(output))]
    output: Option<Format>,
    /// the whole run (10s)
    #[argh(option, arg_name = "DURATION", from_str_fn(positive_duration))]
    timeout: Option<Duration>,
    /// path on the API server, such as /version
    #[argh(positional, arg_name = "PATH")]
    path: Vec<String>,
}

/// Who the API server takes us for, without and with the token; what the token claims.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "whoami")]
struct WhoamiArguments {
    /// text or json (text)
    #[argh(option, short = 'o', arg_name = "FORMAT", from_str_fn(output))]
    output: Option<Format>,
    /// the whole run (10s)
    #[argh(option, arg_name = "DURATION", from_str_fn(positive_duration))]
    timeout: Option<Duration>,
}

/// What this service account may do in a namespace, as kubectl auth can-i --list prints it.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "rules")]
struct RulesArguments {
    /// where (the pod's own namespace)
    #[argh(option, short = 'n', arg_name = "NS")]
    namespace: Option<String>,
    /// text or json (text)
    #[argh(option, short = 'o', arg_name = "FORMAT", from_str_fn(output))]
    output: Option<Format>,
    /// the whole run (10s)
    #[argh(option, arg_name = "DURATION", from_str_fn(positive_duration))]
    timeout: Option<Duration>,
}

/// Every step from this process to a permission; the first broken one is named.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "doctor")]
struct DoctorArguments {
    /// namespace of all that is asked without "in" (the pod's own)
    #[argh(option, short = 'n', arg_name = "NS")]
    namespace: Option<String>,
    /// text or json (text)
    #[argh(option, short = 'o', arg_name = "FORMAT", from_str_fn(output))]
    output: Option<Format>,
    /// the whole run (30s)
    #[argh(option, arg_name = "DURATION", from_str_fn(positive_duration))]
    timeout: Option<Duration>,
    /// permission phrases, if any; they are asked last, and then decide instead of "list pods"
    #[argh(positional, arg_name = "PHRASE")]
    phrases: Vec<String>,
}

const TIMEOUT: Duration = Duration::from_secs(10);
const WAIT_TIMEOUT: Duration = Duration::from_secs(300);
const INTERVAL: Duration = Duration::from_secs(30);

fn output(text: &str) -> Result<Format, String> {
    match text {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        _ => Err("it is text or json".into()),
    }
}

fn positive_duration(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("it must be more than 0".into()),
        duration => Ok(duration),
    }
}

fn termination_log(text: &str) -> Result<termination::Target, String> {
    match text {
        "" => Err("it is a file, or none".into()),
        "none" => Ok(termination::Target::None),
        path => Ok(termination::Target::File(path.into())),
    }
}

/// Reads the arguments (without the program's name). Every fault is a usage fault, but for a server
/// that the variables name badly.
pub fn parse(arguments: Vec<OsString>, variables: &ServiceVariables) -> Result<Invocation, Fault> {
    let sorted = arguments::sort(arguments).map_err(Fault::Usage)?;
    if sorted.help {
        return help::render(sorted.command.as_deref()).map(Invocation::Print).map_err(Fault::Usage);
    }
    if sorted.version {
        return Ok(Invocation::Print(concat!("kubeknock ", env!("CARGO_PKG_VERSION"), "\n").into()));
    }
    if sorted.command.is_none() {
        return Err(Fault::Usage(
            "a command is missing, such as check \"list pods\"; see kubeknock --help".into(),
        ));
    }
    let words: Vec<&str> = sorted.words.iter().map(String::as_str).collect();
    if sorted.behind.is_some() && sorted.command.as_deref() != Some("wait") {
        return Err(Fault::Usage("only wait takes a command behind --".into()));
    }
    let program =
        Program::from_args(&["kubeknock"], &words).map_err(|exit| Fault::Usage(one_line(&exit.output)))?;
    let explicit_server = program.server.is_some();
    let cluster = Cluster::resolve(
        Where {
            server: program.server,
            certificate_authority: program.certificate_authority,
            token_file: program.token_file,
            service_account_dir: program.service_account_dir,
            tls_server_name: program.tls_server_name,
            insecure: program.insecure_skip_tls_verify,
        },
        variables,
    )?;
    let verbose = program.verbose;
    let surroundings = doctor::Surroundings { variables: variables.clone(), explicit_server };
    match program.command {
        Command::Check(arguments) => arguments.resolve(cluster, verbose).map(Invocation::Check),
        Command::Wait(arguments) => arguments.resolve(cluster, verbose, sorted.behind).map(Invocation::Wait),
        Command::Monitor(arguments) => arguments.resolve(cluster, verbose).map(Invocation::Monitor),
        Command::Install(arguments) => arguments.resolve().map(Invocation::Install),
        Command::Get(arguments) => arguments.resolve(cluster, verbose).map(Invocation::Get),
        Command::Whoami(arguments) => Ok(Invocation::Whoami(arguments.resolve(cluster, verbose))),
        Command::Rules(arguments) => arguments.resolve(cluster, verbose).map(Invocation::Rules),
        Command::Doctor(arguments) => {
            arguments.resolve(cluster, surroundings, verbose).map(Invocation::Doctor)
        }
    }
}

/// How a fault is to be told, as far as a command line says that cannot be read as a whole.
pub fn telling_of(arguments: &[OsString]) -> Reporting {
    let words: Vec<&str> =
        arguments.iter().map_while(|word| word.to_str().filter(|&word| word != "--")).collect();
    let value = |long: &str, short: &str| {
        words.iter().enumerate().find_map(|(at, word)| {
            let rest = match word.strip_prefix(long) {
                Some(rest) if rest.is_empty() || rest.starts_with('=') => rest,
                _ => word.strip_prefix(short).filter(|_| !short.is_empty())?,
            };
            let inline = rest.strip_prefix('=').unwrap_or(rest);
            if inline.is_empty() { words.get(at + 1).copied() } else { Some(inline) }
        })
    };
    let termination = value("--termination-log", "").and_then(|value| termination_log(value).ok());
    Reporting {
        output: value("--output", "-o").and_then(|value| output(value).ok()).unwrap_or(Format::Text),
        quiet: words.iter().any(|word| matches!(*word, "-q" | "--quiet")),
        verbose: false,
        termination: termination.unwrap_or(termination::Target::Automatic),
    }
}

/// What argh says is wrong, without its hints.
fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    crate::text::escape(&lines.join(" "))
}

/// Phrases and the options that complete them, checked against each other.
struct Phrases {
    namespace: Option<String>,
    all_namespaces: bool,
    subresource: Option<String>,
    token_only: bool,
    forbid_anonymous: bool,
    review: bool,
    typed: Vec<String>,
}

impl Phrases {
    fn spec(self, cluster: Cluster) -> Result<Spec, Fault> {
        let usage = |why: &str| Err(Fault::Usage(why.to_owned()));
        let namespace = match (self.namespace, self.all_namespaces) {
            (Some(_), true) => return usage("--namespace contradicts --all-namespaces: use one of them"),
            (None, true) => Namespace::All,
            (None, false) => Namespace::Own,
            (Some(name), false) => match permission::namespace_fault(&name) {
                Some((_, why)) => return usage(&format!("--namespace {name:?}: {why}")),
                None => Namespace::Named(name),
            },
        };
        if let Some((name, (_, why))) =
            self.subresource.as_deref().and_then(|name| Some((name, permission::subresource_fault(name)?)))
        {
            return usage(&format!("--subresource {name:?}: {why}"));
        }
        if self.token_only && self.forbid_anonymous {
            return usage(
                "--token-only contradicts --forbid-anonymous: the anonymous knock is what the latter is about",
            );
        }
        if self.token_only && !cluster.server.tls {
            return usage("--token-only needs https: over plain HTTP the token stays home");
        }
        if self.typed.is_empty() {
            return usage("a permission phrase is missing, such as \"list pods\" or \"get /metrics\"");
        }
        let defaults = Defaults { namespace, subresource: self.subresource };
        let spec = Spec {
            cluster,
            permissions: permission::parse(&self.typed, &defaults).map_err(Fault::Usage)?,
            review: self.review,
            token_only: self.token_only,
            forbid_anonymous: self.forbid_anonymous,
        };
        if self.forbid_anonymous
            && let Some(permission) = spec.asked_by_review()
        {
            return usage(&format!(
                "--forbid-anonymous cannot be shown for \"{permission}\": it is asked by access review, which \
                 nobody may ask without a token"
            ));
        }
        Ok(spec)
    }
}

impl CheckArguments {
    fn resolve(mut self, cluster: Cluster, verbose: bool) -> Result<check::Check, Fault> {
        Ok(check::Check {
            knocking: self.knocking(cluster, verbose)?,
            timeout: self.timeout.unwrap_or(TIMEOUT),
            fail_open: self.fail_open,
        })
    }
}

impl WaitArguments {
    fn resolve(
        mut self,
        cluster: Cluster,
        verbose: bool,
        command: Option<Vec<OsString>>,
    ) -> Result<wait::Wait, Fault> {
        if command.as_ref().is_some_and(Vec::is_empty) {
            return Err(Fault::Usage("a command is missing behind --".into()));
        }
        if self.stable == Some(0) {
            return Err(Fault::Usage("--stable: it must be 1 or more".into()));
        }
        let timeout = self.timeout.unwrap_or(WAIT_TIMEOUT);
        Ok(wait::Wait {
            knocking: self.knocking(cluster, verbose)?,
            timeout: (!timeout.is_zero()).then_some(timeout),
            request_timeout: self.request_timeout.unwrap_or(TIMEOUT),
            max_interval: self.max_interval.unwrap_or(INTERVAL),
            fail_fast: self.fail_fast,
            stable: self.stable.unwrap_or(1),
            command,
        })
    }
}

impl MonitorArguments {
    fn resolve(mut self, cluster: Cluster, verbose: bool) -> Result<monitor::Monitor, Fault> {
        Ok(monitor::Monitor {
            knocking: self.knocking(cluster, verbose)?,
            request_timeout: self.request_timeout.unwrap_or(TIMEOUT),
            interval: self.interval.unwrap_or(INTERVAL),
            max_interval: self.max_interval.unwrap_or(INTERVAL),
            until_lost: self.until_lost,
        })
    }
}

impl InstallArguments {
    fn resolve(self) -> Result<PathBuf, Fault> {
        match <[PathBuf; 1]>::try_from(self.dest) {
            Ok([dest]) if !dest.as_os_str().is_empty() => Ok(dest),
            _ => Err(Fault::Usage("install takes one destination, a file or an existing folder".into())),
        }
    }
}

impl GetArguments {
    fn resolve(self, cluster: Cluster, verbose: bool) -> Result<get::Get, Fault> {
        let path = match <[String; 1]>::try_from(self.path) {
            Ok([path]) => path,
            Err(paths) if paths.is_empty() => {
                return Err(Fault::Usage("a path is missing, such as /version".into()));
            }
            Err(_) => return Err(Fault::Usage("get takes one path".into())),
        };
        let bad = |c: char| {
            !c.is_ascii_graphic() || matches!(c, '#' | '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}')
        };
        if !path.starts_with('/') || path.contains(bad) {
            let shown = crate::text::escape(&path);
            return Err(Fault::Usage(format!(
                "{shown:?} is no path on the API server: it begins with / and is percent-encoded, such as /version"
            )));
        }
        Ok(get::Get {
            cluster,
            path,
            anonymous: self.anonymous,
            include: self.include,
            output: self.output.unwrap_or(Format::Text),
            timeout: self.timeout.unwrap_or(TIMEOUT),
            verbose,
        })
    }
}

impl WhoamiArguments {
    fn resolve(self, cluster: Cluster, verbose: bool) -> whoami::Whoami {
        whoami::Whoami {
            cluster,
            output: self.output.unwrap_or(Format::Text),
            timeout: self.timeout.unwrap_or(TIMEOUT),
            verbose,
        }
    }
}

impl RulesArguments {
    fn resolve(self, cluster: Cluster, verbose: bool) -> Result<rules::RulesOf, Fault> {
        Ok(rules::RulesOf {
            cluster,
            namespace: self.namespace.map(namespace).transpose()?,
            output: self.output.unwrap_or(Format::Text),
            timeout: self.timeout.unwrap_or(TIMEOUT),
            verbose,
        })
    }
}

impl DoctorArguments {
    fn resolve(
        self,
        cluster: Cluster,
        surroundings: doctor::Surroundings,
        verbose: bool,
    ) -> Result<doctor::Doctor, Fault> {
        let namespace = self.namespace.map(namespace).transpose()?;
        let own = namespace.clone().map_or(Namespace::Own, Namespace::Named);
        let permissions = match self.phrases.as_slice() {
            [] => Vec::new(),
            phrases => permission::parse(phrases, &Defaults { namespace: own, subresource: None })
                .map_err(Fault::Usage)?,
        };
        Ok(doctor::Doctor {
            cluster,
            surroundings,
            namespace,
            permissions,
            output: self.output.unwrap_or(Format::Text),
            timeout: self.timeout.unwrap_or(Duration::from_secs(30)),
            verbose,
        })
    }
}

/// `--namespace`, checked.
fn namespace(name: String) -> Result<String, Fault> {
    match permission::namespace_fault(&name) {
        Some((_, why)) => Err(Fault::Usage(format!("--namespace {name:?}: {why}"))),
        None => Ok(name),
    }
}
