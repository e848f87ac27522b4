//! `doctor`: everything between this process and a permission, step by step; names the first broken step.
//!
//! Reads the files and asks the network. The result is the evidence; the steps judge it, and the view shows them.

mod evidence;
mod step;
mod steps;
mod view;

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use self::evidence::{
    Evidence, First, Lookup, Mount, MountFile, Purpose, Question, SERVICE_NAMES, TokenFile,
};
use super::end;
use crate::api::certificate::Certificate;
use crate::api::status::{self, Answer, Shape};
use crate::api::{Reply, Request, tls};
use crate::cluster::{Cluster, ServiceVariables, Trust};
use crate::exit::Code;
use crate::failure::{Failure, Fault};
use crate::identity::{Bearer, Identity};
use crate::permission::{Expected, Namespace, Objects, Permission, ResourceName, Target};
use crate::recognition::recognize;
use crate::report::{Format, print, tracing};
use crate::round::{Rounds, Spec};
use crate::rules;
use crate::time::date::now;
use crate::time::deadline::Deadline;
use crate::token::Token;
use crate::trace::Tracing;
use crate::visit::Visit;

/// Name lookups take no longer than this.
const LOOKUP: Duration = Duration::from_secs(2);

/// The environment of the process, apart from files.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The kubelet's variables.
    pub variables: ServiceVariables,
    /// Why they do not name a server.
    pub bad_variables: Option<String>,
    /// `--server` is set.
    pub explicit_server: bool,
}

/// The settings of `doctor`.
#[derive(Debug)]
pub struct Doctor {
    /// The API server to ask.
    pub cluster: Cluster,
    /// What is around the process.
    pub surroundings: Surroundings,
    /// `-n`.
    pub namespace: Option<String>,
    /// PHRASE arguments.
    pub permissions: Vec<Permission>,
    /// Text or JSON.
    pub output: Format,
    /// The deadline of the whole run.
    pub timeout: Duration,
    /// Whether to show each request on stderr.
    pub verbose: bool,
}

/// Runs it. `color`: stdout is a terminal that shows it.
#[inline(never)]
pub fn run(doctor: &Doctor, color: bool) -> Code {
    let seen = look(doctor, tracing(doctor.verbose));
    let steps = steps::all(&seen);
    let code = step::first_broken(&steps).map_or(Code::Ok, |step| step.code);
    let server = &doctor.cluster.server;
    print(&match doctor.output {
        Format::Text => view::text(server, &steps, color),
        Format::Json => view::json(server, seen.server_version(), &steps),
    });
    end(Ok(code), doctor.output)
}

/// Collects the evidence, in this order: files, version, identity, rules, permissions.
fn look(doctor: &Doctor, tracing: Tracing) -> Evidence {
    let start = Instant::now();
    let mut seen = examine(doctor, &look_up_names(), tracing);
    let permissions = permissions(doctor, &mut seen);
    let left = doctor.timeout.saturating_sub(start.elapsed());
    if seen.no_contact().is_none() && seen.bundle.is_ok() && !left.is_zero() {
        let cluster = doctor.cluster.clone();
        let spec = Spec {
            cluster,
            permissions,
            review: false,
            token_only: false,
            forbid_anonymous: false,
            min_token_life: None,
        };
        // Warnings about the bundle and skipped certificates have been shown before.
        let tracing = Tracing { warnings: false, ..tracing };
        seen.round = Some(Rounds::one(spec).next(left, tracing));
    }
    seen
}

/// Looks at the files, then asks: version, identity, rules.
fn examine(doctor: &Doctor, names: &Receiver<Lookup>, tracing: Tracing) -> Evidence {
    let start = Instant::now();
    let cluster = &doctor.cluster;
    let in_words = |fault: Fault| fault.text().to_owned();
    let deadline = Deadline::after(doctor.timeout);
    // A file that nothing is in yet leaves time for the rest of the way.
    let files = Deadline::after(doctor.timeout / 4);
    let pem = cluster.bundle(files).map_err(in_words);
    let token = cluster.token(files).map_err(in_words);
    let namespace = doctor.namespace.clone().or_else(|| cluster.namespace().ok());
    let (visit, bundle) = visit(doctor, pem, token.clone().unwrap_or_default(), deadline, tracing);
    let mut evidence = Evidence {
        variables: doctor.surroundings.variables.clone(),
        bad_variables: doctor.surroundings.bad_variables.clone(),
        explicit_server: doctor.surroundings.explicit_server,
        cluster: cluster.clone(),
        mount: mount(cluster, doctor.namespace.is_none()),
        bundle,
        bearer: Bearer::None,
        token: match token {
            Err(why) => TokenFile::Unusable(why),
            Ok(None) => TokenFile::Nothing,
            Ok(Some(token)) => token.claims().map_or(TokenFile::Opaque, TokenFile::Claims),
        },
        names: Vec::new(),
        resolver: fs::read_to_string("/etc/resolv.conf").ok(),
        first: None,
        version_for_token: None,
        identity: None,
        rules: None,
        namespace: namespace.clone(),
        questions: Vec::new(),
        round: None,
        facts: crate::api::Facts::default(),
        timed_out: None,
        now: now(),
    };
    if let Ok(visit) = visit {
        evidence.bearer = visit.bearer;
        let withheld = evidence.bundle.is_err();
        ask(&visit, namespace.as_deref(), withheld, &mut evidence);
        evidence.timed_out = visit.is_over().then_some(doctor.timeout);
        evidence.facts =
            evidence.first.as_ref().map_or_else(|| visit.client.facts(), |first| first.facts.clone());
    }
    evidence.names = collect(names, LOOKUP.min(doctor.timeout / 4).saturating_sub(start.elapsed()));
    evidence
}

type Bundle = Result<Vec<Certificate>, String>;

/// The connection. Without a usable CA bundle any certificate will do, so that the rest of the way can be seen, and the
/// token is not sent.
fn visit(
    doctor: &Doctor,
    pem: Result<Option<Vec<u8>>, String>,
    token: Option<Token>,
    deadline: Deadline,
    tracing: Tracing,
) -> (Result<Visit, Fault>, Bundle) {
    let open = |cluster: &Cluster, pem: Option<&[u8]>, token, tracing| {
        Visit::of(cluster, pem, token, deadline, tracing)
    };
    let why = match pem {
        Ok(pem) => match open(&doctor.cluster, pem.as_deref(), token, tracing) {
            Ok(visit) => return (Ok(visit), Ok(tls::certificates(pem.as_deref().unwrap_or_default()))),
            Err(fault) => fault.text().to_owned(),
        },
        Err(why) => why,
    };
    let mut unverified = doctor.cluster.clone();
    unverified.trust = Trust::Anything;
    // The step about the bundle says so; no option was typed to warn about.
    let silent = Tracing { warnings: false, ..tracing };
    (open(&unverified, None, None, silent), Err(why))
}

/// Asks as far as it gets in time. `withheld`: nothing but the version, because the server is not verified.
fn ask(visit: &Visit, namespace: Option<&str>, withheld: bool, evidence: &mut Evidence) {
    let start = Instant::now();
    let sent = visit.send(&Request::get("/version"), Identity::Anonymous);
    let skew = sent.as_ref().ok().and_then(Reply::skew);
    let (result, version) = match sent.and_then(read_version) {
        Ok((answer, version)) => (Ok(answer), version),
        Err(failure) => (Err(failure), None),
    };
    let broken = result.as_ref().is_err_and(Failure::is_connection);
    let closed = matches!(&result, Ok(answer) if !answer.got_in());
    if visit.is_over() {
        return;
    }
    let facts = visit.client.facts();
    evidence.first = Some(First { result, version, skew, elapsed: start.elapsed(), facts });
    if broken || withheld {
        return;
    }
    let identity = visit.bearer.deciding();
    if closed && identity == Identity::Token {
        let answered = visit.ask(&Request::get("/version"), identity, read_version);
        evidence.version_for_token = answered.ok().and_then(|(_, version)| version);
    }
    let start = Instant::now();
    let found = recognize(&mut |request| visit.send(request, identity));
    if visit.is_over() {
        return;
    }
    evidence.identity = Some((found, start.elapsed()));
    if let Some(namespace) = namespace {
        let start = Instant::now();
        let (result, rules) = rules::list(visit, namespace);
        if visit.is_over() {
            return;
        }
        evidence.rules = Some((result, rules, start.elapsed()));
    }
}

/// `gitVersion`, where it is in the answer.
fn read_version(mut reply: Reply) -> Result<(Answer, Option<String>), Failure> {
    /// Real ones have some 400 bytes.
    const LARGEST: usize = 64 * 1024;
    if reply.status() != 200 {
        return Ok((status::answer(reply, &Shape::Path)?, None));
    }
    let body = reply.take(LARGEST)?;
    let answer = status::answer_from(&reply, &Shape::of_path("/version"), &body);
    let object = crate::api::json::parse(&body, reply.token()).unwrap_or_default();
    reply.drain()?;
    Ok((answer, object.get("gitVersion").and_then(Value::as_str).map(str::to_owned)))
}

/// Each name on a thread of its own: a lookup cannot be ended.
fn look_up_names() -> Receiver<Lookup> {
    let (found, lookups) = channel();
    for name in SERVICE_NAMES {
        let found = found.clone();
        thread::spawn(move || {
            let mut addresses: Vec<String> = (name, 443)
                .to_socket_addrs()
                .into_iter()
                .flatten()
                .map(|address| address.ip().to_string())
                .collect();
            addresses.dedup();
            // The receiver may have given up.
            let _ = found.send(Lookup { name, addresses });
        });
    }
    lookups
}

fn collect(lookups: &Receiver<Lookup>, patience: Duration) -> Vec<Lookup> {
    let deadline = Deadline::after(patience);
    let mut found: Vec<Lookup> = Vec::new();
    while let Some(lookup) = deadline.receive(lookups) {
        found.push(lookup);
    }
    let of = |name| found.iter().find(|lookup| lookup.name == name).cloned();
    SERVICE_NAMES.into_iter().map(|name| of(name).unwrap_or(Lookup { name, addresses: Vec::new() })).collect()
}

/// The files that are read: those of the mount, or those that options name instead.
fn mount(cluster: &Cluster, needs_namespace: bool) -> Mount {
    let folder = cluster.mount();
    let file = |purpose: Purpose, path: PathBuf, needed: bool| MountFile {
        purpose,
        name: path.strip_prefix(folder).unwrap_or(&path).display().to_string(),
        inside: path.starts_with(folder),
        needed,
        state: age(&path),
    };
    let mut files = vec![file(Purpose::Token, cluster.token_path(), cluster.server.tls)];
    if let Trust::Bundle(path) = &cluster.trust {
        files.push(file(Purpose::Bundle, path.clone(), true));
    }
    files.push(file(Purpose::Namespace, folder.join("namespace"), needs_namespace));
    Mount { exists: folder.is_dir(), files }
}

fn age(path: &Path) -> Result<Duration, ErrorKind> {
    // Opening a pipe would wait for its writer.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
        return Err(ErrorKind::Unsupported);
    }
    let file = File::open(path).map_err(|error| error.kind())?;
    let modified = file.metadata().and_then(|metadata| metadata.modified()).map_err(|error| error.kind())?;
    Ok(modified.elapsed().unwrap_or_default())
}

/// The tutorial's own permissions, list pods here and in `default`, then the phrases; notes them as questions. Where
/// there are phrases, these decide; and a refusal in `default` is as it should be.
fn permissions(doctor: &Doctor, seen: &mut Evidence) -> Vec<Permission> {
    let own = seen.namespace.as_deref();
    let mut namespaces: Vec<&str> = own.into_iter().collect();
    if !namespaces.contains(&"default") {
        namespaces.push("default");
    }
    let alone = doctor.permissions.is_empty();
    let tutorial = namespaces.iter().map(|&name| (list_pods(name), alone && own == Some(name)));
    let phrases = doctor.permissions.iter().map(|permission| (permission.clone(), true));
    let (permissions, questions) = tutorial
        .chain(phrases)
        .map(|(permission, decides)| {
            let question = Question { phrase: permission.to_string(), decides };
            (permission, question)
        })
        .unzip();
    seen.questions = questions;
    permissions
}

fn list_pods(namespace: &str) -> Permission {
    let objects = Objects {
        resource: ResourceName { name: "pods".into(), qualifier: None },
        name: None,
        subresource: None,
        namespace: Namespace::Named(namespace.into()),
    };
    Permission {
        expected: Expected::Can,
        verb: "list".into(),
        target: Target::Objects(objects),
        exact: false,
    }
}
