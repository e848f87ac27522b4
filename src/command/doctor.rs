//! `doctor`: everything between this process and a permission, step by step, the first broken step named.
//!
//! Looks at the files and asks the network; what it saw becomes steps in `checkup`.

use std::net::ToSocketAddrs;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use std::{fs, thread};

use serde_json::{Map, Value, json};

use super::{end, now, rules};
use crate::api::certificate::Certificate;
use crate::api::status::{self, Answer, Shape};
use crate::api::{Reply, Request, tls};
use crate::checkup::{Evidence, First, Lookup, Mark, SERVICE_NAMES, Step, TokenFile, first_broken};
use crate::cluster::{Cluster, ServiceVariables, Trust};
use crate::exit::Code;
use crate::explain::{Context, explain};
use crate::failure::{Failure, Fault};
use crate::identity::{Bearer, Identity};
use crate::permission::{Expected, Namespace, Objects, Permission, ResourceName, Target};
use crate::recognition::recognise;
use crate::report::{Format, json, print, text, tracing};
use crate::round::{self, Round, Rounds, Spec};
use crate::text::{escape, wrap};
use crate::time::date::http_date;
use crate::time::deadline::Deadline;
use crate::token::Token;
use crate::trace::Tracing;
use crate::visit::Visit;

/// Name lookups are not waited for longer than this.
const LOOKUP: Duration = Duration::from_secs(2);

/// What is around the process, beside files.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The kubelet's variables.
    pub variables: ServiceVariables,
    /// `--server` was said.
    pub explicit_server: bool,
}

/// What `doctor` was asked to do.
#[derive(Debug)]
pub struct Doctor {
    /// Whom to ask.
    pub cluster: Cluster,
    /// What is around the process.
    pub surroundings: Surroundings,
    /// `-n`.
    pub namespace: Option<String>,
    /// PHRASE arguments.
    pub permissions: Vec<Permission>,
    /// How to show it.
    pub output: Format,
    /// The whole run.
    pub timeout: Duration,
    /// Each request on stderr.
    pub verbose: bool,
}

/// Runs it. `colour`: stdout is a terminal that wants it.
pub fn run(doctor: &Doctor, colour: bool) -> Code {
    let start = Instant::now();
    let tracing = tracing(doctor.verbose);
    let names = look_up_names();
    let evidence = examine(doctor, &names, tracing);
    let mut steps = evidence.steps();
    let left = doctor.timeout.saturating_sub(start.elapsed());
    steps.extend(questions(doctor, &evidence, left, tracing));
    let code = first_broken(&steps).map_or(Code::Ok, |step| step.code);
    print(&match doctor.output {
        Format::Text => show(&doctor.cluster, &steps, colour),
        Format::Json => render(&doctor.cluster, evidence.server_version(), &steps),
    });
    end(Ok(code), doctor.output)
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
        explicit_server: doctor.surroundings.explicit_server,
        cluster: cluster.clone(),
        explicit_namespace: doctor.namespace.is_some(),
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
        told_version: None,
        identity: None,
        rules: None,
        namespace: namespace.clone(),
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

/// The connection. Where the CA bundle cannot be used, any certificate is taken, so that the rest of the
/// way can be seen, and the token stays home.
fn visit(
    doctor: &Doctor,
    pem: Result<Option<Vec<u8>>, String>,
    token: Option<Token>,
    deadline: Deadline,
    tracing: Tracing,
) -> (Result<Visit, Fault>, Bundle) {
    let open =
        |cluster: &Cluster, pem: Option<&[u8]>, token| Visit::of(cluster, pem, token, deadline, tracing);
    let why = match pem {
        Ok(pem) => match open(&doctor.cluster, pem.as_deref(), token) {
            Ok(visit) => return (Ok(visit), Ok(tls::certificates(pem.as_deref().unwrap_or_default()))),
            Err(fault) => fault.text().to_owned(),
        },
        Err(why) => why,
    };
    let mut unverified = doctor.cluster.clone();
    unverified.trust = Trust::Anything;
    (open(&unverified, None, None), Err(why))
}

/// As far as it gets in time. `withheld`: nothing but the version, because nobody knows who answers.
fn ask(visit: &Visit, namespace: Option<&str>, withheld: bool, evidence: &mut Evidence) {
    let start = Instant::now();
    let sent = visit.send(&Request::get("/version"), Identity::Anonymous);
    let skew = sent.as_ref().ok().and_then(|reply| Some(http_date(reply.header("date")?)? - now()));
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
        let told = visit.ask(&Request::get("/version"), identity, read_version);
        evidence.told_version = told.ok().and_then(|(_, version)| version);
    }
    let start = Instant::now();
    let found = recognise(&mut |request| visit.send(request, identity));
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

/// `gitVersion`, where it is told.
fn read_version(mut reply: Reply) -> Result<(Answer, Option<String>), Failure> {
    /// Real ones have some 400 bytes.
    const LARGEST: usize = 64 * 1024;
    if reply.status() != 200 {
        return Ok((status::answer(reply, &Shape::Path)?, None));
    }
    let body = reply.take(LARGEST)?;
    let answer = status::answer_from(&reply, &Shape::Path, &body);
    let object = crate::api::json::parse(&body, reply.token()).unwrap_or_default();
    reply.drain()?;
    Ok((answer, object.get("gitVersion").and_then(Value::as_str).map(str::to_owned)))
}

/// Each name on a thread of its own: a lookup cannot be given up.
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

fn list_pods(namespace: &str) -> Permission {
    let objects = Objects {
        resource: ResourceName { name: "pods".into(), qualifier: None },
        name: None,
        subresource: None,
        namespace: Namespace::Named(namespace.into()),
    };
    Permission { expected: Expected::Can, verb: "list".into(), target: Target::Objects(objects) }
}

/// The tutorial's own questions, list pods here and in `default`, then the phrases; both knocks each.
/// Where there are phrases, these decide; and a refusal in `default` is as it should be.
fn questions(doctor: &Doctor, evidence: &Evidence, left: Duration, tracing: Tracing) -> Vec<Step> {
    const NAME: &str = "question";
    let asked = !doctor.permissions.is_empty();
    let mut namespaces: Vec<&str> = evidence.namespace.as_deref().into_iter().collect();
    if !namespaces.contains(&"default") {
        namespaces.push("default");
    }
    let own = evidence.namespace.as_deref();
    let decides = |index: usize| match namespaces.get(index) {
        Some(namespace) => !asked && own == Some(namespace),
        None => true,
    };
    let permissions: Vec<Permission> =
        namespaces.iter().map(|name| list_pods(name)).chain(doctor.permissions.clone()).collect();
    let unasked = |why: &str| -> Vec<Step> {
        permissions.iter().map(|phrase| Step::open(NAME, format!("{phrase}: not asked{why}"))).collect()
    };
    if evidence.no_contact().is_some() {
        return unasked(": no connection");
    }
    if evidence.bundle.is_err() || left.is_zero() {
        return unasked("");
    }
    let spec = Spec {
        cluster: doctor.cluster.clone(),
        permissions: permissions.clone(),
        review: false,
        token_only: false,
        forbid_anonymous: false,
    };
    // What is wrong with bundle and skipped certificates has been told before.
    let tracing = Tracing { warnings: false, ..tracing };
    let round = match Rounds::new(spec).next(left, tracing) {
        Ok(round) => round,
        Err(fault) => return vec![Step::broken(NAME, fault.code(), fault.text())],
    };
    round
        .findings
        .iter()
        .enumerate()
        .map(|(index, finding)| question(NAME, finding, decides(index), &round, doctor))
        .collect()
}

fn question(
    name: &'static str,
    finding: &round::Finding,
    decides: bool,
    round: &Round,
    doctor: &Doctor,
) -> Step {
    let context = Context::of(round, &doctor.cluster, now());
    let explanation = explain(finding, context);
    let [phrase, anonymous, token] = text::row(finding);
    let found = if finding.was_asked() {
        format!("{phrase}: {anonymous}, {token}: {}", finding.code.name())
    } else {
        format!("{phrase}: not asked")
    };
    let knocks = finding.asked().into_iter().flat_map(|asked| asked.knocks.iter());
    let elapsed = finding.was_asked().then(|| knocks.map(|knock| knock.elapsed).sum());
    let step = match finding.code {
        Code::Ok => Step::good(name, found),
        // Refused and nothing depends on it.
        Code::Forbidden if !decides => Step::open(name, found),
        code => Step::broken(name, code, found),
    };
    Step { elapsed, ..step }.advise(explanation.why).advise(explanation.remedy)
}

/// One screen: 100 columns.
fn show(cluster: &Cluster, steps: &[Step], colour: bool) -> String {
    /// Mark, name and milliseconds stand in front of what was found.
    const INDENT: usize = 22;
    const WIDTH: usize = 100 - INDENT;
    let broken = first_broken(steps);
    let mut lines = vec![format!("from this process to {}", cluster.server)];
    for step in steps {
        let sign = match step.mark {
            Mark::Good => text::paint("✓", Code::Ok, colour),
            Mark::Broken => text::paint("✗", Code::Forbidden, colour),
            Mark::Open => "–".to_owned(),
        };
        let elapsed = step.elapsed.map(|elapsed| format!("{} ms", elapsed.as_millis())).unwrap_or_default();
        let mut head = format!("{sign} {:11}{elapsed:>7}  ", step.name);
        for found in step.found.iter().flat_map(|found| wrap(&escape(found), WIDTH)) {
            lines.push(head + &found);
            head = " ".repeat(INDENT);
        }
        if broken.is_some_and(|broken| std::ptr::eq(broken, step)) {
            lines.extend(step.advice.iter().map(|advice| format!("    → {}", escape(advice))));
        }
    }
    lines.push(match broken {
        None => text::paint("ok (0): nothing is broken on the way", Code::Ok, colour),
        Some(step) => text::paint(
            &format!(
                "{} ({}): the first broken step is {}",
                step.code.name(),
                step.code.number(),
                title(step)
            ),
            step.code,
            colour,
        ),
    });
    lines.join("\n") + "\n"
}

/// The step's name; of a question what was asked.
fn title(step: &Step) -> String {
    match step.found.first().and_then(|found| found.split_once(": ")) {
        Some((phrase, _)) if step.name == "question" => format!("\"{}\"", escape(phrase)),
        _ => step.name.to_owned(),
    }
}

fn render(cluster: &Cluster, server_version: Option<&str>, steps: &[Step]) -> String {
    let broken = first_broken(steps);
    let mut object = json::object(broken.map_or(Code::Ok, |step| step.code));
    let message = broken.map_or("nothing is broken on the way".to_owned(), |step| {
        format!("the first broken step is {}", title(step))
    });
    object.insert("message".into(), message.into());
    object.insert("server".into(), cluster.server.to_string().into());
    object.insert("serverVersion".into(), server_version.map_or(Value::Null, Value::from));
    object.insert("broken".into(), broken.map_or(Value::Null, |step| step.name.into()));
    object.insert("steps".into(), steps.iter().map(step_json).collect());
    json::line(object)
}

fn step_json(step: &Step) -> Value {
    let mark = match step.mark {
        Mark::Good => "good",
        Mark::Broken => "broken",
        Mark::Open => "open",
    };
    let milliseconds = step.elapsed.map(|elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
    let object: Map<String, Value> = [
        ("name", json!(step.name)),
        ("mark", json!(mark)),
        ("outcome", json!(step.code.name())),
        ("found", json!(step.found)),
        ("milliseconds", json!(milliseconds)),
        ("advice", json!(step.advice)),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    Value::Object(object)
}
