//! The command line as argh has it: every command and option, and its line of help. Knows no rule between options.

use std::path::PathBuf;
use std::time::Duration;

use argh::{ArgsInfo, FromArgs};

use super::value::{
    Address, Value, count, duration, listen, output, positive_duration, seconds, termination_log, text,
};
use crate::report::{Format, termination};

/// Knock on the Kubernetes API server without and with the pod's token; the exit code says what the
/// pod may do.
#[derive(FromArgs, ArgsInfo, Debug)]
pub struct Program {
    /// API server [default: https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT]
    #[argh(option, arg_name = "URL")]
    pub server: Option<String>,
    /// CA bundle in PEM [default: ca.crt in the mount]
    #[argh(option, arg_name = "FILE")]
    pub certificate_authority: Option<PathBuf>,
    /// bearer token, read again for every attempt [default: token in the mount]
    #[argh(option, arg_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// the mount [default: /var/run/secrets/kubernetes.io/serviceaccount]
    #[argh(option, arg_name = "DIR")]
    pub service_account_dir: Option<PathBuf>,
    /// name to verify instead of the URL's host
    #[argh(option, arg_name = "NAME")]
    pub tls_server_name: Option<String>,
    /// accept any certificate, like curl's -k
    #[argh(switch)]
    pub insecure_skip_tls_verify: bool,
    /// show each knock on stderr, never the token
    #[argh(switch, short = 'v')]
    pub verbose: bool,
    /// print the version
    #[argh(switch)]
    #[expect(dead_code, reason = "seen before argh; it stands here for the help")]
    pub version: bool,
    /// the command, with its own options
    #[argh(subcommand)]
    pub command: Command,
}

/// The commands, in the order of the help.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
pub enum Command {
    Check(Check),
    Wait(Wait),
    Monitor(Monitor),
    Grant(Grant),
    Get(Get),
    Whoami(Whoami),
    Rules(Rules),
    Doctor(Doctor),
    Install(Install),
}

/// What `check`, `wait`, `monitor` and `grant` share; `grant` has no option for some of it.
#[derive(Debug)]
pub struct Phrases {
    /// `--filename`.
    pub filename: Vec<String>,
    /// `--namespace`.
    pub namespace: Option<String>,
    /// `--all-namespaces`.
    pub all_namespaces: bool,
    /// `--subresource`.
    pub subresource: Option<String>,
    /// `--token-only`.
    pub token_only: bool,
    /// `--forbid-anonymous`.
    pub forbid_anonymous: bool,
    /// `--review`.
    pub review: bool,
    /// `--min-token-life`.
    pub min_token_life: Option<Value<Duration>>,
    /// `--output`.
    pub output: Value<Format>,
    /// `--quiet`.
    pub quiet: bool,
    /// `--termination-log`.
    pub termination_log: Value<termination::Target>,
    /// The phrases, as they were typed.
    pub typed: Vec<String>,
}

/// Declares a command that takes phrases: what all of them share, and its own. A type is taken as words: argh knows a
/// switch by the word `bool`.
macro_rules! phrase_command {
    ($(#[$about:meta])* $name:ident { $($(#[$option:meta])* $own:ident: $type:ident $(<$of:ident>)?,)* }) => {
        $(#[$about])*
        pub struct $name {
            /// phrases from a file, one a line, or a role as JSON; - is stdin; repeatable
            #[argh(option, short = 'f', arg_name = "FILE")]
            filename: Vec<String>,
            /// namespace of phrases without "in" [default: the pod's own]
            #[argh(option, short = 'n', arg_name = "NS")]
            namespace: Option<String>,
            /// the same as "in *"
            #[argh(switch, short = 'A')]
            all_namespaces: bool,
            /// subresource of phrases without one
            #[argh(option, arg_name = "NAME")]
            subresource: Option<String>,
            /// do not knock anonymously: for probes
            #[argh(switch)]
            token_only: bool,
            /// fail where a request is allowed without a token (exit 14)
            #[argh(switch)]
            forbid_anonymous: bool,
            /// ask about every permission by access review
            #[argh(switch)]
            review: bool,
            /// fail where the token ends sooner by its own claims (exit 11)
            #[argh(option, arg_name = "DURATION", from_str_fn(positive_duration))]
            min_token_life: Option<Value<Duration>>,
            /// text or json [default: text]
            #[argh(option, short = 'o', arg_name = "FORMAT", from_str_fn(output), default = "text()")]
            output: Value<Format>,
            /// print nothing on stdout
            #[argh(switch, short = 'q')]
            quiet: bool,
            /// file for the verdict, or none [default: as PID 1 /dev/termination-log]
            #[argh(option, arg_name = "FILE", from_str_fn(termination_log), default = "Value::is(termination::Target::Automatic)")]
            termination_log: Value<termination::Target>,
            $($(#[$option])* pub $own: $type $(<$of>)?,)*
            /// permission phrases
            #[argh(positional, arg_name = "PHRASE")]
            phrases: Vec<String>,
        }

        impl $name {
            /// Parts what is shared from what is the command's own.
            pub fn part(self) -> (Phrases, ($($type $(<$of>)?,)*)) {
                let Self {
                    filename, namespace, all_namespaces, subresource, token_only, forbid_anonymous, review,
                    min_token_life, output, quiet, termination_log, phrases: typed, $($own,)*
                } = self;
                let shared = Phrases {
                    filename, namespace, all_namespaces, subresource, token_only, forbid_anonymous, review,
                    min_token_life, output, quiet, termination_log, typed,
                };
                (shared, ($($own,)*))
            }
        }
    };
}

phrase_command! {
    /// Knock once for each permission, print, exit.
    #[derive(FromArgs, ArgsInfo, Debug)]
    #[argh(subcommand, name = "check")]
    Check {
        /// the whole run [default: 10s]
        #[argh(option, arg_name = "DURATION", from_str_fn(positive_duration), default = "seconds(10)")]
        timeout: Value<Duration>,
        /// no answer (2x) is not a failure: for liveness probes
        #[argh(switch)]
        fail_open: bool,
    }
}

phrase_command! {
    /// Knock until every permission is as required, then exit 0 or become CMD.
    #[derive(FromArgs, ArgsInfo, Debug)]
    #[argh(subcommand, name = "wait")]
    Wait {
        /// the whole wait; 0 is forever [default: 5m]
        #[argh(option, arg_name = "DURATION", from_str_fn(duration), default = "seconds(300)")]
        timeout: Value<Duration>,
        /// each round [default: 10s]
        #[argh(option, arg_name = "DURATION", from_str_fn(positive_duration), default = "seconds(10)")]
        request_timeout: Value<Duration>,
        /// longest pause while waiting for an answer or a grant [default: 30s]
        #[argh(option, arg_name = "DURATION", from_str_fn(positive_duration), default = "seconds(30)")]
        max_interval: Value<Duration>,
        /// no answer (2x) is not a failure: go on at the deadline
        #[argh(switch)]
        fail_open: bool,
        /// stop at once on a definite no (1x)
        #[argh(switch)]
        fail_fast: bool,
        /// good rounds in a row, each on a new connection [default: 1]
        #[argh(option, arg_name = "N", from_str_fn(count), default = "Value::is(1)")]
        stable: Value<u32>,
    }
}

phrase_command! {
    /// Keep knocking, print changes, exit 0 on SIGTERM: for a sidecar.
    #[derive(FromArgs, ArgsInfo, Debug)]
    #[argh(subcommand, name = "monitor")]
    Monitor {
        /// each round [default: 10s]
        #[argh(option, arg_name = "DURATION", from_str_fn(positive_duration), default = "seconds(10)")]
        request_timeout: Value<Duration>,
        /// pause between rounds [default: 30s]
        #[argh(option, arg_name = "DURATION", from_str_fn(positive_duration), default = "seconds(30)")]
        interval: Value<Duration>,
        /// longest pause while waiting for an answer [default: 30s]
        #[argh(option, arg_name = "DURATION", from_str_fn(positive_duration), default = "seconds(30)")]
        max_interval: Value<Duration>,
        /// serve probes and metrics over HTTP, such as :8086
        #[argh(option, arg_name = "ADDR:PORT", from_str_fn(listen))]
        listen: Option<Address>,
        /// exit with the code on a definite no (1x)
        #[argh(switch)]
        until_lost: bool,
    }
}

/// Print the RBAC objects that this identity still lacks, as YAML for kubectl apply -f -.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "grant")]
pub struct Grant {
    /// phrases from a file, one a line, or a role as JSON; - is stdin; repeatable
    #[argh(option, short = 'f', arg_name = "FILE")]
    filename: Vec<String>,
    /// namespace of phrases without "in" [default: the pod's own]
    #[argh(option, short = 'n', arg_name = "NS")]
    namespace: Option<String>,
    /// the same as "in *"
    #[argh(switch, short = 'A')]
    all_namespaces: bool,
    /// subresource of phrases without one
    #[argh(option, arg_name = "NAME")]
    subresource: Option<String>,
    /// also what is already granted
    #[argh(switch)]
    all: bool,
    /// the whole run [default: 10s]
    #[argh(option, arg_name = "DURATION", from_str_fn(positive_duration), default = "seconds(10)")]
    timeout: Value<Duration>,
    /// permission phrases
    #[argh(positional, arg_name = "PHRASE")]
    phrases: Vec<String>,
}

impl Grant {
    /// Parts what it shares with the other commands from what is its own.
    pub fn part(self) -> (Phrases, bool, Value<Duration>) {
        let Grant { filename, namespace, all_namespaces, subresource, all, timeout, phrases: typed } = self;
        let shared = Phrases {
            filename,
            namespace,
            all_namespaces,
            subresource,
            token_only: false,
            min_token_life: None,
            forbid_anonymous: false,
            review: false,
            output: text(),
            quiet: false,
            termination_log: Value::is(termination::Target::Automatic),
            typed,
        };
        (shared, all, timeout)
    }
}

/// Copy this binary to DEST (file or folder), so that other images can use it.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "install")]
pub struct Install {
    /// a file, or an existing folder
    #[argh(positional, arg_name = "DEST")]
    pub dest: Vec<PathBuf>,
}

/// Send one request, as curl does: body to stdout.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "get")]
pub struct Get {
    /// print the status line and headers too
    #[argh(switch, short = 'i')]
    pub include: bool,
    /// do not send the token
    #[argh(switch)]
    pub anonymous: bool,
    /// text or json [default: text]
    #[argh(option, short = 'o', arg_name = "FORMAT", from_str_fn(output), default = "text()")]
    pub output: Value<Format>,
    /// the whole run [default: 10s]
    #[argh(option, arg_name = "DURATION", from_str_fn(positive_duration), default = "seconds(10)")]
    pub timeout: Value<Duration>,
    /// path on the API server, such as /version
    #[argh(positional, arg_name = "PATH")]
    pub path: Vec<String>,
}

/// Show which user the API server names, without and with the token, and what the token claims.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "whoami")]
pub struct Whoami {
    /// text or json [default: text]
    #[argh(option, short = 'o', arg_name = "FORMAT", from_str_fn(output), default = "text()")]
    pub output: Value<Format>,
    /// the whole run [default: 10s]
    #[argh(option, arg_name = "DURATION", from_str_fn(positive_duration), default = "seconds(10)")]
    pub timeout: Value<Duration>,
}

/// List what this service account may do in a namespace, as kubectl auth can-i --list does.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "rules")]
pub struct Rules {
    /// phrases from a file, one a line, or a role as JSON; - is stdin; repeatable
    #[argh(option, short = 'f', arg_name = "FILE")]
    pub filename: Vec<String>,
    /// the namespace [default: the pod's own]
    #[argh(option, short = 'n', arg_name = "NS")]
    pub namespace: Option<String>,
    /// list only what goes beyond the phrases and every account's rights (exit 13)
    #[argh(switch)]
    pub only: bool,
    /// text or json [default: text]
    #[argh(option, short = 'o', arg_name = "FORMAT", from_str_fn(output), default = "text()")]
    pub output: Value<Format>,
    /// the whole run [default: 10s]
    #[argh(option, arg_name = "DURATION", from_str_fn(positive_duration), default = "seconds(10)")]
    pub timeout: Value<Duration>,
    /// with --only: what the account may do
    #[argh(positional, arg_name = "PHRASE")]
    pub phrases: Vec<String>,
}

/// Check every step from this process to a permission, and name the first broken one.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "doctor")]
pub struct Doctor {
    /// phrases from a file, one a line, or a role as JSON; - is stdin; repeatable
    #[argh(option, short = 'f', arg_name = "FILE")]
    pub filename: Vec<String>,
    /// namespace of everything asked without "in" [default: the pod's own]
    #[argh(option, short = 'n', arg_name = "NS")]
    pub namespace: Option<String>,
    /// text or json [default: text]
    #[argh(option, short = 'o', arg_name = "FORMAT", from_str_fn(output), default = "text()")]
    pub output: Value<Format>,
    /// the whole run [default: 30s]
    #[argh(option, arg_name = "DURATION", from_str_fn(positive_duration), default = "seconds(30)")]
    pub timeout: Value<Duration>,
    /// permission phrases, asked last; they decide instead of "list pods"
    #[argh(positional, arg_name = "PHRASE")]
    pub phrases: Vec<String>,
}
