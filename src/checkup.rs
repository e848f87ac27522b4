//! What `doctor` has seen becomes steps: from this process to a permission, each good, broken or left
//! open. Pure but for the files of the mount: nothing here asks the network.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::api::Facts;
use crate::api::certificate::Certificate;
use crate::api::review::{Rule, Rules};
use crate::api::status::{Answer, Meaning};
use crate::cluster::{Cluster, ServiceVariables, Trust};
use crate::exit::{Class, Code};
use crate::explain::{self, Context};
use crate::failure::Failure;
use crate::identity::Bearer;
use crate::mount::{Source, debug};
use crate::recognition::Recognition;
use crate::time::date::time;
use crate::time::duration::span;
use crate::token::Claims;

/// The names of the API server's service, shortest first.
pub const SERVICE_NAMES: [&str; 4] =
    ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"];

/// Clocks may differ by this many seconds; beyond it, certificates and tokens are misjudged.
const TOLERANCE: i64 = 300;

const TOKEN: &str = "token";
const NAMESPACE: &str = "namespace";

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// As it should be.
    Good,
    /// Nothing gets past it, or not for long.
    Broken,
    /// Not needed, not tried, or as it may be.
    Open,
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// In a word.
    pub name: &'static str,
    /// How it went.
    pub mark: Mark,
    /// What was found.
    pub found: Vec<String>,
    /// How long it took, where it took time.
    pub elapsed: Option<Duration>,
    /// What to do about it; nothing where it is good.
    pub advice: Vec<String>,
    /// What it comes to.
    pub code: Code,
}

impl Step {
    fn new(name: &'static str, mark: Mark, found: impl Into<String>) -> Step {
        Step { name, mark, found: vec![found.into()], elapsed: None, advice: Vec::new(), code: Code::Ok }
    }

    /// A good step.
    pub fn good(name: &'static str, found: impl Into<String>) -> Step {
        Step::new(name, Mark::Good, found)
    }

    /// One that stays open.
    pub fn open(name: &'static str, found: impl Into<String>) -> Step {
        Step::new(name, Mark::Open, found)
    }

    /// A broken one.
    pub fn broken(name: &'static str, code: Code, found: impl Into<String>) -> Step {
        Step { code, ..Step::new(name, Mark::Broken, found) }
    }

    fn and(mut self, found: impl IntoIterator<Item = String>) -> Step {
        self.found.extend(found);
        self
    }

    fn took(mut self, elapsed: Duration) -> Step {
        self.elapsed = Some(elapsed);
        self
    }

    /// The same, with what to do.
    pub fn advise(mut self, advice: impl IntoIterator<Item = impl Into<String>>) -> Step {
        self.advice.extend(advice.into_iter().map(Into::into));
        self
    }
}

/// A file of the mount.
#[derive(Clone, Debug)]
struct MountFile {
    /// What it is for.
    what: &'static str,
    /// It lies in the mount, not where an option says.
    inside: bool,
    name: String,
    needed: bool,
    /// Its age, or why it cannot be read.
    state: Result<Duration, io::ErrorKind>,
}

/// A name, and the addresses it has here.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// The name.
    pub name: &'static str,
    /// Addresses; empty if it has none.
    pub addresses: Vec<String>,
}

/// The first request.
#[derive(Clone, Debug)]
pub struct First {
    /// What it got.
    pub result: Result<Answer, Failure>,
    /// `v1.36.2`.
    pub version: Option<String>,
    /// The server's clock less ours, in seconds.
    pub skew: Option<i64>,
    /// From sending to the end of the answer.
    pub elapsed: Duration,
    /// The connection it made.
    pub facts: Facts,
}

/// What the token file holds.
#[derive(Clone, Debug)]
pub enum TokenFile {
    /// Missing or empty.
    Nothing,
    /// Why it cannot be used.
    Unusable(String),
    /// Something that is no JWT.
    Opaque,
    /// A token that speaks of itself.
    Claims(Claims),
}

/// What has been seen. `None`: not asked, or not answered before the deadline.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// As the kubelet injected them.
    pub variables: ServiceVariables,
    /// `--server` was said.
    pub explicit_server: bool,
    /// Where, and what to trust.
    pub cluster: Cluster,
    /// `-n` was said.
    pub explicit_namespace: bool,
    /// The CA bundle's certificates, or why there are none.
    pub bundle: Result<Vec<Certificate>, String>,
    /// The token.
    pub token: TokenFile,
    /// Whether a token goes with requests.
    pub bearer: Bearer,
    /// What the service's names mean here.
    pub names: Vec<Lookup>,
    /// The text of `/etc/resolv.conf`, if there is one.
    pub resolver: Option<String>,
    /// `GET /version` without a token.
    pub first: Option<First>,
    /// The version, told only to the token.
    pub told_version: Option<String>,
    /// Who the deciding identity is.
    pub identity: Option<(Recognition, Duration)>,
    /// What it may do.
    pub rules: Option<(Result<Answer, Failure>, Rules, Duration)>,
    /// Where the rules are from.
    pub namespace: Option<String>,
    /// The connection, as far as it came.
    pub facts: Facts,
    /// The deadline came before the end.
    pub timed_out: Option<Duration>,
    /// Seconds since 1970, by this clock.
    pub now: i64,
}

impl Evidence {
    /// The API server's version, if it has told one.
    pub fn server_version(&self) -> Option<&str> {
        self.first.as_ref().and_then(|first| first.version.as_deref()).or(self.told_version.as_deref())
    }

    /// All steps up to the questions.
    pub fn steps(&self) -> Vec<Step> {
        vec![
            self.environment(),
            self.mount(),
            self.authority(),
            self.token(),
            self.clock(),
            self.names(),
            self.tcp(),
            self.tls(),
            self.version(),
            self.identity(),
            self.rules(),
        ]
    }

    /// Why the first request got no answer.
    pub fn no_contact(&self) -> Option<Failure> {
        match (&self.first, self.timed_out) {
            (Some(first), _) => first.result.as_ref().err().cloned(),
            (None, Some(patience)) => Some(late(patience)),
            (None, None) => None,
        }
    }

    fn no_address(&self) -> Option<Failure> {
        self.no_contact().filter(|_| !self.facts.resolved)
    }

    fn environment(&self) -> Step {
        const NAME: &str = "environment";
        let set = |variable: &Option<String>| variable.clone().filter(|value| !value.is_empty());
        match (set(&self.variables.host), set(&self.variables.port)) {
            (Some(host), Some(port)) => {
                let unused = if self.explicit_server { " (--server is used)" } else { "" };
                Step::good(
                    NAME,
                    format!("KUBERNETES_SERVICE_HOST={host} KUBERNETES_SERVICE_PORT={port}{unused}"),
                )
            }
            _ if self.explicit_server => {
                Step::open(NAME, "no KUBERNETES_SERVICE_HOST and _PORT (--server is used)")
            }
            _ => {
                let found = format!(
                    "no KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT: {} is tried instead",
                    self.cluster.server.host
                );
                match self.no_address() {
                    None => Step::open(NAME, found),
                    Some(failure) => Step::broken(NAME, failure.code(), found)
                        .and([failure.text().to_owned()])
                        .advise([
                            "the kubelet sets them in every container: were they lost on the way (env -i, su, cron)?",
                            "outside of a pod say --server, --certificate-authority and --token-file",
                        ]),
                }
            }
        }
    }

    fn mount(&self) -> Step {
        const NAME: &str = "mount";
        let folder = self.cluster.mount();
        let files = self.mount_files();
        let inside = files.iter().any(|file| file.needed && file.inside && file.what != NAMESPACE);
        let mounted = folder.is_dir();
        if !mounted && inside {
            let of_debug = match self.cluster.source() {
                Source::Denied(_) | Source::Hidden => self.cluster.source().advice().unwrap_or_default(),
                Source::Own | Source::Process(..) | Source::Alone => {
                    format!("in a container of kubectl debug, name a target: {}", debug("restricted", ""))
                }
            };
            return Step::broken(NAME, Code::Setup, format!("no {}", folder.display())).advise([
                "the pod or its service account says automountServiceAccountToken: false: remove it, or project a token".to_owned(),
                of_debug,
                "outside of a pod say --server, --certificate-authority and --token-file".to_owned(),
            ]);
        }
        let shown: Vec<String> =
            files.iter().filter(|file| file.needed || file.state.is_ok()).map(show).collect();
        let lender = self.cluster.source().lender().map(|lender| format!(", {lender}")).unwrap_or_default();
        let found = format!("{}{lender}: {}", folder.display(), shown.join(", "));
        let faulty =
            |wanted: &dyn Fn(&MountFile) -> bool| files.iter().find(|file| file.needed && wanted(file));
        let missing = |file: &MountFile| file.state == Err(io::ErrorKind::NotFound);
        if let Some(file) = faulty(&|file| file.state.is_err() && !missing(file)) {
            return Step::broken(NAME, Code::Setup, found).advise([format!(
                "{} must be readable by the user this runs as: see fsGroup and runAsUser of the pod",
                file.name
            )]);
        }
        // Outside of a pod there is no namespace of its own to know.
        let lacking = |file: &MountFile| missing(file) && (mounted || file.what != NAMESPACE);
        if let Some(file) = faulty(&|file| lacking(file) && file.what != TOKEN) {
            let advice = match file.what {
                NAMESPACE => "say -n NAMESPACE, or project the namespace by the downward API".to_owned(),
                _ => "the cluster's own: kubectl get configmap kube-root-ca.crt -o jsonpath='{.data.ca\\.crt}' (in every namespace)".to_owned(),
            };
            return Step::broken(NAME, Code::Setup, found).advise([advice]);
        }
        if faulty(&lacking).is_some() {
            return Step::broken(NAME, Code::Anonymous, found)
                .advise(["no token to send: project one there (serviceAccountToken), or say --token-file"]);
        }
        if inside { Step::good(NAME, found) } else { Step::open(NAME, found) }
    }

    fn mount_files(&self) -> Vec<MountFile> {
        let mount = self.cluster.mount();
        let file = |what: &'static str, path: PathBuf, needed: bool| MountFile {
            what,
            inside: path.starts_with(mount),
            name: name_in(mount, &path),
            needed,
            state: age(&path),
        };
        let mut files = vec![file(TOKEN, self.cluster.token_path(), self.cluster.server.tls)];
        if let Trust::Bundle(path) = &self.cluster.trust {
            files.push(file("CA bundle", path.clone(), true));
        }
        files.push(file(NAMESPACE, mount.join("namespace"), !self.explicit_namespace));
        files
    }

    fn authority(&self) -> Step {
        const NAME: &str = "CA";
        match (&self.cluster.trust, &self.bundle) {
            (Trust::Plain, _) => Step::open(NAME, "none is needed: plain HTTP"),
            (Trust::Anything, _) => Step::open(NAME, "not looked at: --insecure-skip-tls-verify"),
            (Trust::Bundle(_), Err(why)) => Step::broken(NAME, Code::Setup, why.clone()).advise([
                "the cluster's own: kubectl get configmap kube-root-ca.crt -o jsonpath='{.data.ca\\.crt}'",
            ]),
            (Trust::Bundle(_), Ok(certificates)) => self.authority_in(NAME, certificates),
        }
    }

    fn authority_in(&self, name: &'static str, certificates: &[Certificate]) -> Step {
        let until =
            |certificate: &Certificate| format!("{}, {}", certificate.subject, valid(certificate, self.now));
        let mut found: Vec<String> = certificates.iter().take(2).map(until).collect();
        if let Some(more) = certificates.len().checked_sub(2).filter(|more| *more > 0) {
            found.push(format!("and {more} more"));
        }
        let found = found.join("; ");
        let issuer = self.facts.certificate.as_ref().map_or("nobody", |certificate| &certificate.issuer);
        let namesake = certificates.iter().any(|certificate| certificate.subject == issuer);
        let other = format!("{}{issuer}", if namesake { "another " } else { "" });
        if self.facts.unknown_issuer {
            return Step::broken(name, Code::Untrusted, found)
                .and([format!("it has not signed the server's certificate, which is by {other}")])
                .advise([
                    "another cluster's ca.crt, a CA that was rotated, or something in between that shows its own certificate",
                    "compare with: kubectl get configmap kube-root-ca.crt -o jsonpath='{.data.ca\\.crt}'",
                ]);
        }
        if self.facts.verified {
            return Step::good(name, format!("{found}; vouches for the server's certificate"));
        }
        Step::good(name, found)
    }

    /// The time by the server's clock where that is known: it is the one that judges.
    fn server_time(&self) -> i64 {
        self.now + self.first.as_ref().and_then(|first| first.skew).unwrap_or(0)
    }

    fn accepted(&self) -> bool {
        self.identity.as_ref().is_some_and(|(found, _)| found.code(self.bearer) == Code::Ok)
    }

    fn token(&self) -> Step {
        const NAME: &str = "token";
        let claims = match &self.token {
            _ if !self.cluster.server.tls => return Step::open(NAME, "stays home: plain HTTP"),
            TokenFile::Unusable(why) => {
                return Step::broken(NAME, Code::Setup, why.clone()).advise([
                    "the file has to hold one token and nothing else, readable by the user this runs as",
                ]);
            }
            TokenFile::Nothing => {
                let found =
                    format!("none to send: {} is missing or empty", self.cluster.token_path().display());
                return Step::broken(NAME, Code::Anonymous, found).advise([
                    "automountServiceAccountToken: false, or nothing is projected there: see kubectl get pod -o yaml",
                ]);
            }
            TokenFile::Opaque => return Step::open(NAME, "no JWT, so it says nothing of itself"),
            TokenFile::Claims(claims) => claims,
        };
        let now = self.server_time();
        let subject = claims.subject.as_deref().unwrap_or("nobody");
        let over = claims.expires.is_some_and(|expires| expires <= now);
        let left = match claims.expires {
            None => "without an end".to_owned(),
            Some(expires) if over => format!("expired {} ago", span(now.saturating_sub(expires))),
            Some(expires) => format!("valid for another {}", span(expires.saturating_sub(now))),
        };
        let mut facts = Vec::new();
        if !claims.audiences.is_empty() {
            facts.push(format!("audience {}", claims.audiences.join(", ")));
        }
        if let Some(issuer) = claims.issuer.as_ref().filter(|issuer| !claims.audiences.contains(issuer)) {
            facts.push(format!("issuer {issuer}"));
        }
        if let Some(pod) = &claims.pod {
            let node = claims.node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
            facts.push(format!("pod {pod}{node}{}", self.is_this_pod(pod)));
        }
        let found = format!("{subject}, {left}");
        if over && !self.accepted() {
            return Step::broken(NAME, Code::Unauthenticated, found).and(facts).advise([
                "the kubelet renews mounted tokens at 80 % of their life: this one is a copy, or the pod's volume is stale",
                "mount the service account's token (serviceAccountToken), and read it anew for every request",
            ]);
        }
        Step::good(NAME, found).and(facts)
    }

    fn is_this_pod(&self, pod: &str) -> &'static str {
        match self.variables.hostname.as_deref() {
            None | Some("") => "",
            // A host name has at most 63 characters; a pod's name may have more.
            Some(host) if pod.starts_with(host) && (host.len() == pod.len() || host.len() >= 60) => {
                " (this pod)"
            }
            Some(_) => " (not this one, by the host name)",
        }
    }

    fn clock(&self) -> Step {
        const NAME: &str = "clock";
        let Some(skew) = self.first.as_ref().and_then(|first| first.skew) else {
            return Step::open(NAME, format!("{}; the server has told no time", time(self.now)));
        };
        let side = if skew > 0 { "behind" } else { "ahead of" };
        match skew.abs() {
            0..=1 => Step::good(NAME, "the same as the server's"),
            off @ 2..=TOLERANCE => Step::good(NAME, format!("{} {side} the server's", span(off))),
            off => Step::broken(
                NAME,
                Code::Setup,
                format!("{} {side} the server's: here {}, there {}", span(off), time(self.now), time(self.now + skew)),
            )
            .advise(["certificates and tokens are judged by the clock: mend the node's (chrony, NTP), not the pod's"]),
        }
    }

    fn names(&self) -> Step {
        const NAME: &str = "names";
        let shown = |lookup: &Lookup| {
            let addresses =
                if lookup.addresses.is_empty() { "-".to_owned() } else { lookup.addresses.join(" ") };
            format!("{} {addresses}", lookup.name)
        };
        let any = self.names.iter().any(|lookup| !lookup.addresses.is_empty());
        let mut found = vec![if any {
            self.names.iter().map(shown).collect::<Vec<_>>().join("; ")
        } else {
            format!("no address here for {}", SERVICE_NAMES.join(", "))
        }];
        found.push("kubernetes alone works only in the namespace default, the others everywhere".into());
        found.push(self.resolver_line());
        if let Some(failure) = self.no_address() {
            return Step::broken(NAME, failure.code(), failure.text()).and(found).advise([
                "an address needs no DNS: --server https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT",
                "is the cluster's DNS up (kubectl get pods -n kube-system -l k8s-app=kube-dns), and allowed by NetworkPolicies?",
                "dnsPolicy: Default, or hostNetwork without ClusterFirstWithHostNet, leaves the cluster's names out",
            ]);
        }
        let mark = if any { Mark::Good } else { Mark::Open };
        let mut step = Step { found, ..Step::new(NAME, mark, "") };
        if !any && self.cluster.server.host.parse::<std::net::IpAddr>().is_ok() {
            step.found.insert(1, "that does no harm: the server's address needs no name".into());
        }
        step
    }

    fn resolver_line(&self) -> String {
        let Some(text) = &self.resolver else { return "no /etc/resolv.conf".into() };
        let lines: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|line| ["nameserver", "search", "options"].iter().any(|key| line.starts_with(key)))
            .collect();
        format!("/etc/resolv.conf: {}", if lines.is_empty() { "empty".into() } else { lines.join("; ") })
    }

    fn tcp(&self) -> Step {
        const NAME: &str = "TCP";
        match (self.facts.tcp, self.no_contact()) {
            (Some((address, elapsed)), _) => {
                Step::good(NAME, format!("{address} takes connections")).took(elapsed)
            }
            (None, Some(failure)) if self.facts.resolved => {
                Step::broken(NAME, failure.code(), failure.text()).advise(explain::advice(failure.code()))
            }
            (None, Some(_)) => Step::open(NAME, "not tried: no address"),
            (None, None) => Step::open(NAME, "not tried"),
        }
    }

    fn tls(&self) -> Step {
        const NAME: &str = "TLS";
        if !self.cluster.server.tls {
            return Step::open(NAME, "none: plain HTTP");
        }
        let certificate = self.facts.certificate.as_ref().map(|certificate| {
            let names = if certificate.names.is_empty() {
                "no name".to_owned()
            } else {
                certificate.names.join(", ")
            };
            format!("{} for {names}; {}", certificate.subject, valid(certificate, self.now))
        });
        match (self.facts.tls, self.no_contact()) {
            (Some(elapsed), _) => {
                let doubt = if self.facts.verified { "" } else { ", not verified" };
                Step::good(NAME, format!("{}, {}{doubt}", self.facts.version, self.facts.suite))
                    .and(certificate)
                    .took(elapsed)
            }
            (None, Some(failure)) if self.facts.tcp.is_some() => {
                Step::broken(NAME, failure.code(), failure.text())
                    .and(certificate)
                    .advise(explain::advice(failure.code()))
            }
            (None, _) => Step::open(NAME, "not tried: no connection"),
        }
    }

    fn version(&self) -> Step {
        const NAME: &str = "version";
        let connected = self.facts.tcp.is_some() && (self.facts.tls.is_some() || !self.cluster.server.tls);
        let Some(first) = self.first.as_ref().filter(|_| connected) else {
            return match self.no_contact() {
                Some(failure) if connected => {
                    Step::broken(NAME, failure.code(), failure.text()).advise(explain::advice(failure.code()))
                }
                _ => Step::open(NAME, "not asked"),
            };
        };
        let step = match &first.result {
            Err(failure) => {
                Step::broken(NAME, failure.code(), failure.text()).advise(explain::advice(failure.code()))
            }
            Ok(answer) => match (answer.meaning, &first.version) {
                (Meaning::Granted, Some(version)) => {
                    Step::good(NAME, format!("{version}, told without a token"))
                }
                (Meaning::Granted, None) => {
                    Step::broken(NAME, Code::Unintelligible, "GET /version tells no version")
                        .advise(explain::advice(Code::Unintelligible))
                }
                (Meaning::Unauthenticated | Meaning::Forbidden, _) => {
                    let version =
                        self.told_version.as_ref().map(|version| format!("{version}, told with the token; "));
                    let found = format!(
                        "{}without one {}: anonymous access is off or limited, which is a normal setting",
                        version.unwrap_or_default(),
                        answer.status
                    );
                    Step::open(NAME, found)
                }
                (meaning, _) => {
                    let code = if meaning == Meaning::Unavailable {
                        Code::Unavailable
                    } else {
                        Code::Unintelligible
                    };
                    Step::broken(NAME, code, format!("status {} {}", answer.status, answer.reason).trim_end())
                        .advise(explain::advice(code))
                }
            },
        };
        step.took(first.elapsed)
    }

    fn identity(&self) -> Step {
        const NAME: &str = "identity";
        let Some((recognition, elapsed)) = &self.identity else { return self.unasked(NAME) };
        let code = recognition.code(self.bearer);
        let claims = match &self.token {
            TokenFile::Claims(claims) => Some(claims),
            TokenFile::Nothing | TokenFile::Unusable(_) | TokenFile::Opaque => None,
        };
        let step = match (recognition.name(), &recognition.result) {
            (Some(name), Ok(_)) => {
                let groups =
                    recognition.user.as_ref().map(|user| format!("groups {}", user.groups.join(", ")));
                Step::good(NAME, name).and(groups)
            }
            (_, Ok(answer)) if code == Code::Ok => {
                let subject = claims.and_then(|claims| claims.subject.as_deref()).unwrap_or("somebody");
                Step::good(NAME, format!("{subject}, by the token's own word (status {})", answer.status))
            }
            (_, Ok(answer)) => Step::good(NAME, format!("status {} {}", answer.status, answer.reason)),
            (_, Err(failure)) => Step::good(NAME, failure.text()),
        };
        let step = step.took(*elapsed);
        if code == Code::Ok {
            return step;
        }
        let context = Context {
            cluster: &self.cluster,
            bearer: self.bearer,
            claims,
            subject: recognition.name(),
            now: self.server_time(),
        };
        let advice = explain::request(code, &recognition.result, context);
        Step { mark: Mark::Broken, code, ..step }.advise(advice)
    }

    fn rules(&self) -> Step {
        const NAME: &str = "rules";
        let Some((result, rules, elapsed)) = &self.rules else { return self.unasked(NAME) };
        let namespace = self.namespace.as_deref().unwrap_or_default();
        let step = match result {
            Ok(answer) if answer.meaning == Meaning::Granted => {
                let doubt = if rules.incomplete { " (incomplete, says the server)" } else { "" };
                Step::good(NAME, format!("in {namespace}{doubt}: {}", in_one_line(&rules.list)))
            }
            Ok(answer) => Step::open(NAME, format!("status {} {}", answer.status, answer.reason)),
            Err(failure) => Step::open(NAME, failure.text()),
        };
        step.took(*elapsed)
    }

    fn unasked(&self, name: &'static str) -> Step {
        match self.timed_out {
            Some(patience) if self.no_contact().is_none() => {
                Step::broken(name, Code::Timeout, late(patience).text())
                    .advise(explain::advice(Code::Timeout))
            }
            _ if self.no_contact().is_some() => Step::open(name, "not asked: no connection"),
            _ if self.bundle.is_err() => {
                Step::open(name, "not asked: the token goes only to a server that is verified")
            }
            _ => Step::open(name, "not asked"),
        }
    }
}

fn late(patience: Duration) -> Failure {
    Failure::Timeout(format!("no answer within {patience:?}"))
}

fn name_in(mount: &Path, path: &Path) -> String {
    path.strip_prefix(mount).unwrap_or(path).display().to_string()
}

fn age(path: &Path) -> Result<Duration, io::ErrorKind> {
    // A pipe would wait for its writer.
    if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
        return Err(std::io::ErrorKind::Unsupported);
    }
    let file = File::open(path).map_err(|error| error.kind())?;
    let modified = file.metadata().and_then(|metadata| metadata.modified()).map_err(|error| error.kind())?;
    Ok(modified.elapsed().unwrap_or_default())
}

fn show(file: &MountFile) -> String {
    match &file.state {
        Ok(age) => format!("{} {} old", file.name, span(i64::try_from(age.as_secs()).unwrap_or(i64::MAX))),
        Err(io::ErrorKind::NotFound) => format!("{} missing", file.name),
        Err(kind) => format!("{} {kind}", file.name),
    }
}

fn valid(certificate: &Certificate, now: i64) -> String {
    if certificate.not_after <= now {
        return format!("expired {} ago", span(now - certificate.not_after));
    }
    if certificate.not_before > now {
        return format!("valid only in {}", span(certificate.not_before - now));
    }
    format!("valid for another {}", span(certificate.not_after - now))
}

/// What is granted beyond what every account may do.
fn in_one_line(rules: &[Rule]) -> String {
    /// So many characters are about a line and a half.
    const ROOM: usize = 110;
    let special = |rule: &&Rule| {
        rule.url.is_none() && !(rule.resource.starts_with("selfsubject") && rule.verbs == ["create"])
    };
    let mut text = String::new();
    let mut left = 0;
    for rule in rules.iter().filter(special) {
        let name = rule.name.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
        let shown = format!("{} {}{name}", rule.verbs.join(","), rule.full_resource());
        if left > 0 || text.len() + shown.len() > ROOM {
            left += 1;
            continue;
        }
        let join = if text.is_empty() { "" } else { "; " };
        text.push_str(&format!("{join}{shown}"));
    }
    match (text.is_empty(), left) {
        (true, 0) => "nothing but what every account may".into(),
        (_, 0) => text,
        (_, left) => format!("{text}; and {left} more"),
    }
}

/// The first step that is broken.
pub fn first_broken(steps: &[Step]) -> Option<&Step> {
    steps.iter().find(|step| step.mark == Mark::Broken && step.code.class() != Class::Fine)
}
