//! Steps inside the pod: its variables, its mount, and what the files of the mount hold.

use std::io::ErrorKind;

use super::super::evidence::{Evidence, MountFile, Purpose, TokenFile};
use super::super::step::{Advice, Step};
use super::words::{OWN_CA, validity};
use crate::api::certificate::Certificate;
use crate::cluster::Trust;
use crate::exit::Code;
use crate::mount::{Source, debug};
use crate::time::duration::span;
use crate::token::Claims;

/// API servers accept tokens whose times are off by this many seconds (go-jose's `DefaultLeeway`).
const LEEWAY: i64 = 60;

const OUTSIDE: &str = "outside a pod, set --server, --certificate-authority and --token-file";

/// The kubelet's variables, which name the server.
pub fn environment(seen: &Evidence) -> Step {
    const NAME: &str = "environment";
    const LINKS: &str =
        "a Service named kubernetes-service sets it: set enableServiceLinks: false in the pod's spec";
    let set = |variable: &Option<String>| variable.clone().filter(|value| !value.is_empty());
    let (host, port) = (set(&seen.variables.host), set(&seen.variables.port));
    let unused = if seen.explicit_server { " (--server is used)" } else { "" };
    let is_link = port.as_ref().is_some_and(|port| port.contains("://"));
    if let Some(why) = &seen.bad_variables {
        let advice = if is_link {
            Advice::with(LINKS, "kubectl get service kubernetes-service")
        } else {
            Advice::with(
                "the kubelet sets both in every container: remove what replaces them",
                "kubectl get pod POD -o yaml",
            )
        };
        let found = format!(
            "KUBERNETES_SERVICE_HOST={} KUBERNETES_SERVICE_PORT={}",
            host.unwrap_or_default(),
            port.unwrap_or_default()
        );
        return Step::broken(NAME, Code::Setup, found).and([why.clone()]).advise([advice]);
    }
    match (host, port) {
        (Some(host), Some(port)) => {
            let found = format!("KUBERNETES_SERVICE_HOST={host} KUBERNETES_SERVICE_PORT={port}{unused}");
            if is_link {
                return Step::open(NAME, found).and([LINKS.to_owned()]);
            }
            Step::good(NAME, found)
        }
        (host, port) => {
            let missing = match (host, port) {
                (Some(_), _) => "KUBERNETES_SERVICE_PORT is not set",
                (None, Some(_)) => "KUBERNETES_SERVICE_HOST is not set",
                (None, None) => "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set",
            };
            if seen.explicit_server {
                return Step::open(NAME, format!("{missing}{unused}"));
            }
            let found = format!("{missing}: {} is tried instead", seen.cluster.server.host);
            match seen.no_address() {
                None => Step::open(NAME, found),
                Some(failure) => Step::broken(NAME, failure.code(), found).advise([
                    "in a pod, do not start kubeknock by env -i, su or cron: they drop the kubelet's variables",
                    OUTSIDE,
                ]),
            }
        }
    }
}

/// The service account mount and its files.
pub fn mount(seen: &Evidence) -> Step {
    const NAME: &str = "mount";
    let folder = seen.cluster.mount().display();
    let (mounted, files) = (seen.mount.exists, &seen.mount.files);
    let inside = files.iter().any(|file| file.needed && file.inside && file.purpose != Purpose::Namespace);
    if !mounted && inside {
        return Step::broken(NAME, Code::Setup, format!("{folder} does not exist")).advise([
            project(),
            of_target(seen.cluster.source()),
            OUTSIDE.into(),
        ]);
    }
    let shown: Vec<String> =
        files.iter().filter(|file| file.needed || file.state.is_ok()).map(show).collect();
    let lender = seen.cluster.source().lender().map(|lender| format!(", {lender}")).unwrap_or_default();
    let found = format!("{folder}{lender}: {}", shown.join(", "));
    let faulty =
        |is_fault: &dyn Fn(&MountFile) -> bool| files.iter().find(|file| file.needed && is_fault(file));
    let missing = |file: &MountFile| file.state == Err(ErrorKind::NotFound);
    if let Some(file) = faulty(&|file| file.state.is_err() && !missing(file)) {
        return Step::broken(NAME, Code::Setup, found).advise([format!(
            "make {} readable by the user of this process: set fsGroup or runAsUser in the pod's securityContext",
            file.name
        )]);
    }
    // Outside a pod there is no own namespace.
    let lacking = |file: &MountFile| missing(file) && (mounted || file.purpose != Purpose::Namespace);
    let lacks = |purpose: Purpose| faulty(&|file| lacking(file) && file.purpose == purpose).is_some();
    if lacks(Purpose::Bundle) {
        return Step::broken(NAME, Code::Setup, found).advise([own_ca()]);
    }
    if lacks(Purpose::Namespace) {
        return Step::broken(NAME, Code::Setup, found)
            .advise(["set -n NAMESPACE, or project the namespace through the downward API"]);
    }
    if lacks(Purpose::Token) {
        return Step::broken(NAME, Code::Anonymous, found).advise([
            "there is no token to send: project one there (serviceAccountToken), or set --token-file",
        ]);
    }
    if inside { Step::good(NAME, found) } else { Step::open(NAME, found) }
}

/// An ephemeral container has no mount of its own: it reads that of the container whose processes it sees.
fn of_target(source: &Source) -> Advice {
    let own = || ("in an ephemeral container, name a target".to_owned(), debug("restricted", ""));
    let (why, command) = match source {
        Source::Denied(_) | Source::Hidden => source.remedy().unwrap_or_else(own),
        Source::Own | Source::Process(..) | Source::Alone => own(),
    };
    Advice::with(why, command)
}

/// The step about the mount says why.
fn is_in_no_mount(seen: &Evidence, purpose: Purpose) -> bool {
    !seen.mount.exists && seen.mount.files.iter().any(|file| file.inside && file.purpose == purpose)
}

fn project() -> Advice {
    Advice::with(
        "remove automountServiceAccountToken: false from the pod and its service account, or project a token",
        "kubectl get pod POD -o yaml",
    )
}

fn own_ca() -> Advice {
    Advice::with("use the cluster's own bundle, which is in every namespace", OWN_CA)
}

fn show(file: &MountFile) -> String {
    match &file.state {
        Ok(age) => format!("{} {} old", file.name, span(i64::try_from(age.as_secs()).unwrap_or(i64::MAX))),
        Err(ErrorKind::NotFound) => format!("{} missing", file.name),
        Err(kind) => format!("{} {kind}", file.name),
    }
}

/// The CA bundle, and whether the server's certificate can be verified with it.
pub fn authority(seen: &Evidence) -> Step {
    const NAME: &str = "CA";
    match (&seen.cluster.trust, &seen.bundle) {
        (Trust::Plain, _) => Step::open(NAME, "not needed: plain HTTP"),
        (Trust::Anything, _) => Step::open(NAME, "not read: --insecure-skip-tls-verify"),
        (Trust::Bundle(_), Err(_)) if is_in_no_mount(seen, Purpose::Bundle) => {
            Step::broken(NAME, Code::Setup, "not read: the mount does not exist").advise([own_ca()])
        }
        (Trust::Bundle(_), Err(why)) => Step::broken(NAME, Code::Setup, why.clone()).advise([own_ca()]),
        (Trust::Bundle(_), Ok(certificates)) => authority_in(NAME, certificates, seen),
    }
}

fn authority_in(name: &'static str, certificates: &[Certificate], seen: &Evidence) -> Step {
    let until =
        |certificate: &Certificate| format!("{}, {}", certificate.subject, validity(certificate, seen.now));
    let mut found: Vec<String> = certificates.iter().take(2).map(until).collect();
    if let Some(more) = certificates.len().checked_sub(2).filter(|more| *more > 0) {
        found.push(format!("and {more} more"));
    }
    let found = found.join("; ");
    if seen.facts.unknown_issuer {
        let issuer = match &seen.facts.certificate {
            None => "an unknown CA".to_owned(),
            Some(server) if certificates.iter().any(|ca| ca.subject == server.issuer) => {
                format!("another {}", server.issuer)
            }
            Some(server) => server.issuer.clone(),
        };
        return Step::broken(name, Code::Untrusted, found)
            .and([format!("cannot verify the server's certificate, issued by {issuer}")])
            .advise([
                Advice::with("compare it with the cluster's own: it may be another cluster's, or rotated since", OWN_CA),
                "if a proxy on the way shows a certificate of its own, exclude the API server's address from it".into(),
            ]);
    }
    if seen.facts.verified {
        return Step::good(name, format!("{found}; verifies the server's certificate"));
    }
    Step::good(name, found)
}

/// The token, by its own claims.
pub fn token(seen: &Evidence) -> Step {
    const NAME: &str = "token";
    match &seen.token {
        _ if !seen.cluster.server.tls => Step::open(NAME, "not sent: plain HTTP"),
        TokenFile::Unusable(_) if is_in_no_mount(seen, Purpose::Token) => {
            Step::broken(NAME, Code::Setup, "not read: the mount does not exist").advise([project()])
        }
        TokenFile::Unusable(why) => Step::broken(NAME, Code::Setup, why.clone()).advise([
            "write one token and nothing else to the file, and make it readable by the user of this process",
        ]),
        TokenFile::Nothing => {
            let found = format!("none to send: {} is missing or empty", seen.cluster.token_path().display());
            Step::broken(NAME, Code::Anonymous, found).advise([project()])
        }
        TokenFile::Opaque => Step::open(NAME, "not a JWT, so it has no claims to read"),
        TokenFile::Claims(claims) => claimed(NAME, claims, seen),
    }
}

fn claimed(name: &'static str, claims: &Claims, seen: &Evidence) -> Step {
    let now = seen.server_time();
    let is_over = |time: i64| claims.expires.is_some_and(|expires| expires <= time);
    let begins = claims.not_before.max(claims.issued);
    let is_early = |time: i64| begins.is_some_and(|begins| begins > time.saturating_add(LEEWAY));
    let (over, early) = (is_over(now), is_early(now));
    // Worth a word where this clock would judge otherwise.
    let judge =
        if (over, early) == (is_over(seen.now), is_early(seen.now)) { "" } else { " by the server's clock" };
    let valid = match (claims.expires, begins) {
        (Some(expires), _) if over => format!("expired {} ago{judge}", span(now.saturating_sub(expires))),
        (_, Some(begins)) if early => {
            format!("not valid for another {}{judge}", span(begins.saturating_sub(now)))
        }
        (None, _) => "does not expire".to_owned(),
        (Some(expires), _) => format!("expires in {}{judge}", span(expires.saturating_sub(now))),
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
        facts.push(format!("pod {pod}{node}{}", is_this_pod(pod, seen.variables.hostname.as_deref())));
    }
    let found = format!("{}, {valid}", claims.subject.as_deref().unwrap_or("no subject"));
    if !(over || early) || seen.accepts_token() {
        return Step::good(name, found).and(facts);
    }
    let step = Step::broken(name, Code::Unauthenticated, found).and(facts);
    if early {
        return step.advise([Advice::with(
            "correct the clocks of the node and of the API server's machine: check time synchronization",
            "timedatectl",
        )]);
    }
    let account = claims.subject.as_deref().and_then(|name| name.strip_prefix("system:serviceaccount:"));
    step.advise([
        "read the mounted file again for every request: the kubelet renews it before it expires",
        "if the file is a copy, mount a projected serviceAccountToken instead",
    ])
    .advise(account.and_then(|account| account.split_once(':')).map(|(namespace, account)| {
        Advice::with("make a token by hand", format!("kubectl create token {account} -n {namespace}"))
    }))
}

fn is_this_pod(pod: &str, hostname: Option<&str>) -> &'static str {
    match hostname {
        None | Some("") => "",
        // A host name has at most 63 characters; a pod's name may have more.
        Some(host) if pod.starts_with(host) && (host.len() == pod.len() || host.len() >= 60) => " (this pod)",
        Some(_) => " (another pod, by this host name)",
    }
}
