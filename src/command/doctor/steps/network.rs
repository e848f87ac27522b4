//! Steps between the pod and the API server: clock, names, TCP, TLS, and the first answer.

use std::net::IpAddr;

use super::super::evidence::{Evidence, Lookup, SERVICE_NAMES};
use super::super::step::{Advice, Step};
use super::words::validity;
use crate::api::status::Meaning;
use crate::exit::Code;
use crate::explain;
use crate::failure::Failure;
use crate::time::date::time;
use crate::time::duration::span;

/// Up to so many seconds, a difference of clocks is that of the answer's way.
const SAME: i64 = 5;

/// Clocks may differ by this many seconds; beyond it, certificates and tokens are misjudged.
const TOLERANCE: i64 = 300;

/// A step that this failure breaks, with what to do about it.
pub fn failed(name: &'static str, failure: &Failure) -> Step {
    Step::broken(name, failure.code(), failure.text()).advise([but_doctor(explain::advice(failure))])
}

/// The advice, but for that to run doctor.
fn but_doctor(advice: &'static str) -> &'static str {
    advice.split(explain::DOCTOR).next().unwrap_or(advice)
}

/// This clock and the server's.
pub fn clock(seen: &Evidence) -> Step {
    const NAME: &str = "clock";
    let Some(skew) = seen.skew() else {
        return Step::open(NAME, format!("{}; the server's time is unknown", time(seen.now)));
    };
    let off = skew.saturating_abs();
    let difference = format!("{} {} the server's", span(off), if skew > 0 { "behind" } else { "ahead of" });
    if off <= 1 {
        Step::good(NAME, "the same as the server's")
    } else if off <= SAME {
        Step::good(NAME, difference)
    } else if off <= TOLERANCE {
        Step::open(NAME, format!("{difference}: check the time synchronization of both machines"))
    } else {
        let (here, there) = (time(seen.now), time(seen.server_time()));
        Step::broken(NAME, Code::Setup, format!("{difference}: {here} here, {there} there")).advise([Advice::with(
            "correct the node's clock, which its containers share and which judges certificates and tokens",
            "timedatectl",
        )])
    }
}

/// What the names of the API server's Service resolve to, and how.
pub fn names(seen: &Evidence) -> Step {
    const NAME: &str = "names";
    let shown = |lookup: &Lookup| {
        let addresses = if lookup.addresses.is_empty() { "-".to_owned() } else { lookup.addresses.join(" ") };
        format!("{} {addresses}", lookup.name)
    };
    let any = seen.names.iter().any(|lookup| !lookup.addresses.is_empty());
    let mut found = vec![if any {
        seen.names.iter().map(shown).collect::<Vec<_>>().join("; ")
    } else {
        format!("no address for {}", SERVICE_NAMES.join(", "))
    }];
    if !any && is_address(&seen.cluster.server.host) {
        found.push("not needed: the server's address is not a name".into());
    }
    if any && seen.names.first().is_some_and(|lookup| lookup.addresses.is_empty()) {
        found.push("kubernetes resolves only in the namespace default, the longer names everywhere".into());
    }
    found.push(resolver(seen.resolver.as_deref()));
    if let Some(failure) = seen.no_address() {
        return Step::broken(NAME, failure.code(), failure.text()).and(found).advise(unresolved(seen));
    }
    let first = found.remove(0);
    let step = if any { Step::good(NAME, first) } else { Step::open(NAME, first) };
    step.and(found)
}

fn is_address(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok()
}

/// What to do about a server's name that has no address.
fn unresolved(seen: &Evidence) -> Vec<Advice> {
    let host = seen.variables.host.as_deref().filter(|host| !host.is_empty());
    let server = match host {
        Some(host) if is_address(host) => {
            let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
            let port = seen.variables.port.as_deref().unwrap_or("443");
            Advice::with(
                "use the address in KUBERNETES_SERVICE_HOST, which needs no DNS",
                format!("kubeknock doctor --server https://{host}:{port}"),
            )
        }
        Some(host) if !seen.explicit_server => Advice::with(
            format!("{host} in KUBERNETES_SERVICE_HOST needs DNS; --server https://CLUSTER-IP does not"),
            "kubectl get service kubernetes -n default",
        ),
        Some(_) | None => Advice::with(
            "use an address, which needs no DNS: --server https://CLUSTER-IP",
            "kubectl get service kubernetes -n default",
        ),
    };
    vec![
        server,
        Advice::with(
            "check that the cluster's DNS runs, and that NetworkPolicies allow it",
            "kubectl get pods -n kube-system -l k8s-app=kube-dns",
        ),
        "with hostNetwork, set dnsPolicy: ClusterFirstWithHostNet; Default leaves out the cluster's names"
            .into(),
    ]
}

fn resolver(text: Option<&str>) -> String {
    let Some(text) = text else { return "/etc/resolv.conf does not exist".into() };
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| ["nameserver", "search", "options"].iter().any(|key| line.starts_with(key)))
        .collect();
    format!("/etc/resolv.conf: {}", if lines.is_empty() { "empty".into() } else { lines.join("; ") })
}

/// The TCP connection.
pub fn tcp(seen: &Evidence) -> Step {
    const NAME: &str = "TCP";
    match (seen.facts.tcp, seen.no_contact()) {
        (Some((address, elapsed)), _) => {
            Step::good(NAME, format!("{address} accepts connections")).took(elapsed)
        }
        (None, Some(failure)) if seen.facts.resolved => failed(NAME, &failure),
        (None, Some(_)) => Step::open(NAME, "not tried: no address"),
        (None, None) => Step::open(NAME, "not tried"),
    }
}

/// The TLS handshake, and the server's certificate.
pub fn tls(seen: &Evidence) -> Step {
    const NAME: &str = "TLS";
    if !seen.cluster.server.tls {
        return Step::open(NAME, "not used: plain HTTP");
    }
    let certificate = seen.facts.certificate.as_ref().map(|certificate| {
        let names =
            if certificate.names.is_empty() { "no name".to_owned() } else { certificate.names.join(", ") };
        format!("{} for {names}; {}", certificate.subject, validity(certificate, seen.now))
    });
    match (seen.facts.tls, seen.no_contact()) {
        (Some(elapsed), _) => {
            let doubt = if seen.facts.verified { "" } else { ", not verified" };
            Step::good(NAME, format!("{}, {}{doubt}", seen.facts.version, seen.facts.suite))
                .and(certificate)
                .took(elapsed)
        }
        (None, Some(failure)) if seen.facts.tcp.is_some() => failed(NAME, &failure).and(certificate),
        (None, _) => Step::open(NAME, "not tried: no connection"),
    }
}

/// The first answer: `GET /version`.
pub fn version(seen: &Evidence) -> Step {
    const NAME: &str = "version";
    let connected = seen.facts.tcp.is_some() && (seen.facts.tls.is_some() || !seen.cluster.server.tls);
    let Some(first) = seen.first.as_ref().filter(|_| connected) else {
        return match seen.no_contact() {
            Some(failure) if connected => failed(NAME, &failure),
            Some(_) | None => Step::open(NAME, "not asked"),
        };
    };
    let broken = |code, found: &str| {
        let status = first.result.as_ref().ok().map(|answer| answer.status);
        Step::broken(NAME, code, found).advise(explain::advice_on(code, status).map(but_doctor))
    };
    let step = match &first.result {
        Err(failure) => failed(NAME, failure),
        Ok(answer) => {
            let status = answer.line();
            match (answer.meaning, &first.version) {
                (Meaning::Granted, Some(version)) => {
                    Step::good(NAME, format!("{version}, shown without a token"))
                }
                (Meaning::Granted, None) => {
                    broken(Code::Unintelligible, "the answer to GET /version has no version")
                }
                (Meaning::Unauthenticated | Meaning::Forbidden, _) => {
                    let version = seen.version_for_token.as_ref();
                    let found = format!(
                        "{}status {} without a token: anonymous access is off or limited, a normal setting",
                        version.map(|version| format!("{version}, shown to the token; ")).unwrap_or_default(),
                        answer.status
                    );
                    Step::open(NAME, found)
                }
                (Meaning::Unavailable, _) => broken(Code::Unavailable, &status),
                (
                    Meaning::NotFound
                    | Meaning::ReviewForbidden
                    | Meaning::Denied
                    | Meaning::OtherForbidden
                    | Meaning::Conditional
                    | Meaning::Unserved
                    | Meaning::Unintelligible,
                    _,
                ) => broken(Code::Unintelligible, &status),
            }
        }
    };
    step.took(first.elapsed)
}
