//! The steps from this process to a permission, in their order. Each is a pure function of the evidence: no step reads
//! a file, asks the network, or looks at a clock.

mod account;
mod network;
mod pod;
mod words;

use super::evidence::Evidence;
use super::step::Step;

/// All steps.
pub fn all(seen: &Evidence) -> Vec<Step> {
    let mut steps = vec![
        pod::environment(seen),
        pod::mount(seen),
        pod::authority(seen),
        pod::token(seen),
        network::clock(seen),
        network::names(seen),
        network::tcp(seen),
        network::tls(seen),
        network::version(seen),
        account::identity(seen),
        account::rules(seen),
    ];
    steps.extend(account::questions(seen));
    steps
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::time::Duration;

    use super::super::evidence::{
        First, Lookup, Mount, MountFile, Purpose, Question, SERVICE_NAMES, TokenFile,
    };
    use super::super::step::Advice;
    use super::super::step::Mark::{self, Broken, Good, Open};
    use super::*;
    use crate::api::Facts;
    use crate::api::certificate::Certificate;
    use crate::api::review::{Rule, Rules, User};
    use crate::api::status::{ANONYMOUS, Answer, Meaning};
    use crate::cluster::{Cluster, Server, ServiceVariables, Trust, Where};
    use crate::exit::Code;
    use crate::failure::{Failure, Fault, Flaw};
    use crate::identity::Bearer;
    use crate::permission::Expected;
    use crate::recognition::Recognition;
    use crate::round::{Finding, Round, State};
    use crate::token::Claims;

    const NOW: i64 = 1_000_000;
    const HOUR: i64 = 3600;
    const USER: &str = "system:serviceaccount:ns-1:k-sa-1";

    fn answer(meaning: Meaning, status: u16) -> Answer {
        Answer { status, meaning, user: None, reason: "some reason".into(), retry_after: None, skew: None }
    }

    fn claims() -> Claims {
        Claims {
            issuer: Some("https://issuer".into()),
            audiences: vec!["https://audience".into()],
            subject: Some(USER.into()),
            issued: Some(NOW - HOUR),
            expires: Some(NOW + HOUR),
            pod: Some("pod-1".into()),
            node: Some("node-1".into()),
            ..Claims::default()
        }
    }

    fn certificate(subject: &str, issuer: &str) -> Certificate {
        let names = vec!["kubernetes".into()];
        let (not_before, not_after) = (NOW - HOUR, NOW + 48 * HOUR);
        let mut certificate = Certificate { not_before, not_after, names, ..Certificate::default() };
        (certificate.subject, certificate.issuer) = (subject.into(), issuer.into());
        certificate
    }

    fn file(purpose: Purpose, name: &str) -> MountFile {
        MountFile {
            purpose,
            name: name.into(),
            inside: true,
            needed: true,
            state: Ok(Duration::from_secs(90)),
        }
    }

    fn finding(expected: Expected, code: Code, state: State) -> Finding {
        Finding { phrase: "list pods in ns-1".into(), expected, code, state }
    }

    fn round(finding: Finding) -> Round {
        let claims = Some(claims());
        Round { findings: vec![finding], bearer: Bearer::Token, claims, timed_out: false }
    }

    /// Evidence of a healthy pod.
    fn healthy() -> Evidence {
        let variables = ServiceVariables {
            host: Some("10.96.0.1".into()),
            port: Some("443".into()),
            hostname: Some("pod-1".into()),
        };
        let place = Where { service_account_dir: Some("/mount".into()), ..Where::default() };
        let facts = Facts {
            resolved: true,
            tcp: Some(([10, 96, 0, 1], 443).into()).map(|address| (address, Duration::ZERO)),
            tls: Some(Duration::ZERO),
            version: "TLS 1.3",
            suite: "SUITE".into(),
            certificate: Some(certificate("CN=kube-apiserver", "CN=kubernetes")),
            verified: true,
            ..Facts::default()
        };
        let user = User { name: USER.into(), groups: vec!["group-1".into()], ..User::default() };
        let rule = Rule { resource: "pods".into(), verbs: vec!["list".into()], ..Rule::default() };
        Evidence {
            cluster: Cluster::resolve(place, &variables).unwrap(),
            variables,
            bad_variables: None,
            explicit_server: false,
            mount: Mount {
                exists: true,
                files: vec![
                    file(Purpose::Token, "token"),
                    file(Purpose::Bundle, "ca.crt"),
                    file(Purpose::Namespace, "namespace"),
                ],
            },
            bundle: Ok(vec![certificate("CN=kubernetes", "CN=kubernetes")]),
            token: TokenFile::Claims(claims()),
            bearer: Bearer::Token,
            names: SERVICE_NAMES.map(|name| Lookup { name, addresses: vec!["10.96.0.1".into()] }).to_vec(),
            resolver: Some("nameserver 10.96.0.10\nsearch ns-1.svc".into()),
            first: Some(First {
                result: Ok(answer(Meaning::Granted, 200)),
                version: Some("v1.36.2".into()),
                skew: Some(0),
                elapsed: Duration::ZERO,
                facts: facts.clone(),
            }),
            version_for_token: None,
            identity: Some((
                Recognition { user: Some(user), result: Ok(answer(Meaning::Granted, 201)) },
                Duration::ZERO,
            )),
            rules: Some((
                Ok(answer(Meaning::Granted, 201)),
                Rules { list: vec![rule], ..Rules::default() },
                Duration::ZERO,
            )),
            namespace: Some("ns-1".into()),
            questions: vec![Question { phrase: "list pods in ns-1".into(), decides: true }],
            round: Some(Ok(round(finding(Expected::Can, Code::Ok, State::Late)))),
            facts,
            timed_out: None,
            now: NOW,
        }
    }

    fn first(seen: &mut Evidence) -> &mut First {
        seen.first.as_mut().unwrap()
    }

    fn with_claims(seen: &mut Evidence, change: impl FnOnce(&mut Claims)) {
        let mut claims = claims();
        change(&mut claims);
        seen.token = TokenFile::Claims(claims);
    }

    fn with_state(seen: &mut Evidence, index: usize, error: ErrorKind) {
        seen.mount.files[index].state = Err(error);
    }

    fn with_server(seen: &mut Evidence, url: &str) {
        seen.cluster.server = Server::parse(url).unwrap();
    }

    fn plain(seen: &mut Evidence) {
        with_server(seen, "http://127.0.0.1:8001");
        seen.cluster.trust = Trust::Plain;
        seen.bearer = Bearer::Plain;
    }

    /// The connection fails with this failure.
    fn fails(seen: &mut Evidence, failure: Failure, facts: Facts) {
        first(seen).result = Err(failure);
        first(seen).version = None;
        first(seen).skew = None;
        seen.facts = facts;
        (seen.identity, seen.rules, seen.round) = (None, None, None);
    }

    fn no_address(seen: &mut Evidence) {
        seen.names.iter_mut().for_each(|lookup| lookup.addresses.clear());
        fails(seen, Failure::Unresolved("NAME does not resolve".into()), Facts::default());
    }

    fn rejected(seen: &mut Evidence) {
        let result = Ok(Answer { skew: seen.skew(), ..answer(Meaning::Unauthenticated, 401) });
        seen.identity = Some((Recognition { user: None, result }, Duration::ZERO));
    }

    fn recognized(seen: &mut Evidence, name: Option<&str>, meaning: Meaning, status: u16) {
        let result = Ok(Answer { user: name.map(Into::into), ..answer(meaning, status) });
        seen.identity = Some((Recognition { user: None, result }, Duration::ZERO));
    }

    fn unset(seen: &mut Evidence) {
        (seen.variables.host, seen.variables.port) = (None, None);
        with_server(seen, "https://kubernetes.default.svc.cluster.local");
    }

    fn skewed(seen: &mut Evidence, skew: i64) {
        first(seen).skew = Some(skew);
    }

    fn answered(seen: &mut Evidence, meaning: Meaning, status: u16) {
        first(seen).result = Ok(answer(meaning, status));
        first(seen).version = None;
    }

    fn late(seen: &mut Evidence) {
        seen.timed_out = Some(Duration::from_secs(3));
        (seen.identity, seen.rules, seen.round) = (None, None, None);
    }

    fn withheld(seen: &mut Evidence) {
        seen.bundle = Err("CA bundle /mount/ca.crt: broken".into());
        (seen.identity, seen.rules, seen.round) = (None, None, None);
    }

    type Row = (&'static str, fn(&mut Evidence), Mark, Code, &'static str);

    /// The name of the step, a change to the healthy evidence, and the expected result.
    const TABLE: &[Row] = &[
        ("environment", |_| {}, Good, Code::Ok, "HOST=10.96.0.1 KUBERNETES_SERVICE_PORT=443"),
        ("environment", |e| e.explicit_server = true, Good, Code::Ok, "PORT=443 (--server is used)"),
        (
            "environment",
            |e| {
                unset(e);
                e.explicit_server = true;
            },
            Open,
            Code::Ok,
            "are not set (--server is used)",
        ),
        (
            "environment",
            unset,
            Open,
            Code::Ok,
            "are not set: kubernetes.default.svc.cluster.local is tried instead",
        ),
        ("environment", |e| e.variables.port = Some(String::new()), Open, Code::Ok, "PORT is not set: "),
        ("environment", |e| e.variables.host = None, Open, Code::Ok, "HOST is not set: "),
        (
            "environment",
            |e| {
                unset(e);
                no_address(e);
            },
            Broken,
            Code::Unresolved,
            "env -i",
        ),
        (
            "environment",
            |e| {
                e.explicit_server = true;
                e.variables.port = Some("tcp://10.0.0.5:80".into());
            },
            Open,
            Code::Ok,
            "enableServiceLinks: false",
        ),
        (
            "environment",
            |e| {
                e.variables.port = Some("tcp://10.0.0.5:80".into());
                e.bad_variables = Some("not a port".into());
            },
            Broken,
            Code::Setup,
            "kubectl get service kubernetes-service",
        ),
        (
            "environment",
            |e| {
                e.variables.host = Some("https://10.0.0.5".into());
                e.bad_variables = Some("has a scheme".into());
            },
            Broken,
            Code::Setup,
            "remove what replaces them",
        ),
        ("mount", |_| {}, Good, Code::Ok, "/mount: token 90s old, ca.crt 90s old, namespace 90s old"),
        ("mount", |e| e.mount.exists = false, Broken, Code::Setup, "--target=CONTAINER"),
        (
            "mount",
            |e| with_state(e, 0, ErrorKind::PermissionDenied),
            Broken,
            Code::Setup,
            "make token readable",
        ),
        ("mount", |e| with_state(e, 0, ErrorKind::NotFound), Broken, Code::Anonymous, "serviceAccountToken"),
        ("mount", |e| with_state(e, 1, ErrorKind::NotFound), Broken, Code::Setup, "kube-root-ca.crt"),
        ("mount", |e| with_state(e, 2, ErrorKind::NotFound), Broken, Code::Setup, "-n NAMESPACE"),
        (
            "mount",
            |e| {
                with_state(e, 2, ErrorKind::NotFound);
                e.mount.files[2].needed = false;
            },
            Good,
            Code::Ok,
            "ca.crt 90s old",
        ),
        (
            "mount",
            |e| {
                e.mount.exists = false;
                with_state(e, 2, ErrorKind::NotFound);
                e.mount.files.iter_mut().for_each(|file| file.inside = false);
            },
            Open,
            Code::Ok,
            "namespace missing",
        ),
        ("CA", |_| {}, Good, Code::Ok, "CN=kubernetes, expires in 2d; verifies the server's certificate"),
        ("CA", |e| e.facts.verified = false, Good, Code::Ok, "CN=kubernetes, expires in 2d"),
        ("CA", |e| e.bundle.as_mut().unwrap()[0].not_after = NOW - HOUR, Good, Code::Ok, "expired 60m ago"),
        (
            "CA",
            |e| e.bundle.as_mut().unwrap()[0].not_before = NOW + HOUR,
            Good,
            Code::Ok,
            "not valid for another 60m",
        ),
        ("CA", |e| e.bundle = Ok(vec![certificate("CN=a", "CN=a"); 3]), Good, Code::Ok, "and 1 more"),
        ("CA", withheld, Broken, Code::Setup, "kube-root-ca.crt"),
        ("CA", |e| e.facts.unknown_issuer = true, Broken, Code::Untrusted, "issued by another CN=kubernetes"),
        (
            "CA",
            |e| {
                e.facts.unknown_issuer = true;
                e.bundle = Ok(vec![certificate("CN=a", "CN=a")]);
            },
            Broken,
            Code::Untrusted,
            "issued by CN=kubernetes",
        ),
        (
            "CA",
            |e| {
                e.facts.unknown_issuer = true;
                e.facts.certificate = None;
            },
            Broken,
            Code::Untrusted,
            "by an unknown CA",
        ),
        ("CA", |e| e.cluster.trust = Trust::Anything, Open, Code::Ok, "--insecure-skip-tls-verify"),
        (
            "CA",
            |e| {
                e.mount.exists = false;
                withheld(e);
            },
            Broken,
            Code::Setup,
            "not read: the mount does not exist",
        ),
        ("CA", plain, Open, Code::Ok, "plain HTTP"),
        ("token", |_| {}, Good, Code::Ok, "k-sa-1, expires in 60m"),
        ("token", |_| {}, Good, Code::Ok, "audience https://audience"),
        ("token", |_| {}, Good, Code::Ok, "issuer https://issuer"),
        ("token", |_| {}, Good, Code::Ok, "pod pod-1 on node-1 (this pod)"),
        (
            "token",
            |e| e.variables.hostname = Some("pod-2".into()),
            Good,
            Code::Ok,
            "(another pod, by this host name)",
        ),
        ("token", |e| with_claims(e, |claims| claims.expires = None), Good, Code::Ok, "does not expire"),
        (
            "token",
            |e| {
                with_claims(e, |claims| claims.expires = Some(NOW - 1));
                rejected(e);
            },
            Broken,
            Code::Unauthenticated,
            "expired 1s ago",
        ),
        (
            "token",
            |e| {
                with_claims(e, |claims| claims.expires = Some(NOW - 1));
                rejected(e);
            },
            Broken,
            Code::Unauthenticated,
            "kubectl create token k-sa-1 -n ns-1",
        ),
        (
            "token",
            |e| with_claims(e, |claims| claims.expires = Some(NOW - 1)),
            Good,
            Code::Ok,
            "expired 1s ago",
        ),
        (
            "token",
            |e| {
                with_claims(e, |claims| claims.expires = Some(NOW + 10));
                skewed(e, 30);
                rejected(e);
            },
            Broken,
            Code::Unauthenticated,
            "expired 20s ago by the server's clock",
        ),
        (
            "token",
            |e| {
                with_claims(e, |claims| claims.expires = Some(NOW - 10));
                skewed(e, -30);
                rejected(e);
            },
            Good,
            Code::Ok,
            "expires in 20s by the server's clock",
        ),
        (
            "token",
            |e| {
                with_claims(e, |claims| claims.issued = Some(NOW + 61));
                rejected(e);
            },
            Broken,
            Code::Unauthenticated,
            "not valid for another 61s",
        ),
        (
            "token",
            |e| {
                with_claims(e, |claims| claims.issued = Some(NOW + 60));
                rejected(e);
            },
            Good,
            Code::Ok,
            "expires in 60m",
        ),
        (
            "token",
            |e| {
                with_claims(e, |claims| claims.issued = Some(NOW));
                skewed(e, -2 * HOUR);
                rejected(e);
            },
            Broken,
            Code::Unauthenticated,
            "not valid for another 2h0m by the server's clock",
        ),
        (
            "token",
            |e| {
                with_claims(e, |claims| claims.not_before = Some(NOW + HOUR));
                rejected(e);
            },
            Broken,
            Code::Unauthenticated,
            "not valid for another 60m",
        ),
        ("token", |e| e.token = TokenFile::Opaque, Open, Code::Ok, "not a JWT"),
        (
            "token",
            |e| e.token = TokenFile::Nothing,
            Broken,
            Code::Anonymous,
            "/mount/token is missing or empty",
        ),
        ("token", |e| e.token = TokenFile::Unusable("two words".into()), Broken, Code::Setup, "two words"),
        (
            "token",
            |e| {
                e.mount.exists = false;
                e.token = TokenFile::Unusable("no mount".into());
            },
            Broken,
            Code::Setup,
            "not read: the mount does not exist",
        ),
        ("token", plain, Open, Code::Ok, "not sent: plain HTTP"),
        ("clock", |_| {}, Good, Code::Ok, "the same as the server's"),
        ("clock", |e| skewed(e, -1), Good, Code::Ok, "the same as the server's"),
        ("clock", |e| skewed(e, 5), Good, Code::Ok, "5s behind the server's"),
        (
            "clock",
            |e| skewed(e, 31),
            Open,
            Code::Ok,
            "31s behind the server's: check the time synchronization",
        ),
        ("clock", |e| skewed(e, -300), Open, Code::Ok, "5m ahead of the server's"),
        ("clock", |e| skewed(e, 301), Broken, Code::Setup, "1970-01-12T13:51:41Z there"),
        ("clock", |e| skewed(e, -2 * HOUR), Broken, Code::Setup, "2h0m ahead of the server's"),
        ("clock", |e| skewed(e, i64::MAX), Broken, Code::Setup, "behind the server's"),
        ("clock", |e| first(e).skew = None, Open, Code::Ok, "the server's time is unknown"),
        ("names", |_| {}, Good, Code::Ok, "kubernetes.default.svc 10.96.0.1"),
        ("names", |_| {}, Good, Code::Ok, "nameserver 10.96.0.10; search ns-1.svc"),
        ("names", |e| e.names[0].addresses.clear(), Good, Code::Ok, "kubernetes -; "),
        (
            "names",
            |e| e.names.iter_mut().for_each(|lookup| lookup.addresses.clear()),
            Open,
            Code::Ok,
            "not needed",
        ),
        ("names", |e| e.resolver = None, Good, Code::Ok, "/etc/resolv.conf does not exist"),
        ("names", |e| e.resolver = Some("# nothing".into()), Good, Code::Ok, "/etc/resolv.conf: empty"),
        (
            "names",
            |e| {
                with_server(e, "https://api.example.com");
                no_address(e);
                e.explicit_server = true;
            },
            Broken,
            Code::Unresolved,
            "kubeknock doctor --server https://10.96.0.1:443",
        ),
        (
            "names",
            |e| {
                with_server(e, "https://api.example.com");
                no_address(e);
                e.explicit_server = true;
                e.variables.host = Some("fd00::1".into());
            },
            Broken,
            Code::Unresolved,
            "--server https://[fd00::1]:443",
        ),
        (
            "names",
            |e| {
                e.variables.host = Some("api.example.com".into());
                with_server(e, "https://api.example.com");
                no_address(e);
            },
            Broken,
            Code::Unresolved,
            "api.example.com in KUBERNETES_SERVICE_HOST needs DNS",
        ),
        (
            "names",
            |e| {
                unset(e);
                no_address(e);
            },
            Broken,
            Code::Unresolved,
            "kubectl get service kubernetes -n default",
        ),
        ("TCP", |_| {}, Good, Code::Ok, "10.96.0.1:443 accepts connections"),
        (
            "TCP",
            |e| {
                fails(
                    e,
                    Failure::Unreachable("connection refused".into()),
                    Facts { resolved: true, ..Facts::default() },
                );
            },
            Broken,
            Code::Unreachable,
            "connection refused",
        ),
        ("TCP", no_address, Open, Code::Ok, "not tried: no address"),
        (
            "TCP",
            |e| {
                e.facts = Facts::default();
                e.first = None;
            },
            Open,
            Code::Ok,
            "not tried",
        ),
        ("TLS", |_| {}, Good, Code::Ok, "CN=kube-apiserver for kubernetes; expires in 2d"),
        ("TLS", |e| e.facts.certificate.as_mut().unwrap().names.clear(), Good, Code::Ok, "for no name"),
        ("TLS", |e| e.facts.verified = false, Good, Code::Ok, "TLS 1.3, SUITE, not verified"),
        (
            "TLS",
            |e| {
                let facts = Facts { tls: None, ..e.facts.clone() };
                fails(e, Failure::Untrusted(Flaw::Dates, "expired".into()), facts);
            },
            Broken,
            Code::Untrusted,
            "CN=kube-apiserver",
        ),
        ("TLS", no_address, Open, Code::Ok, "not tried: no connection"),
        ("TLS", plain, Open, Code::Ok, "plain HTTP"),
        ("version", |_| {}, Good, Code::Ok, "v1.36.2, shown without a token"),
        (
            "version",
            |e| {
                plain(e);
                e.facts.tls = None;
            },
            Good,
            Code::Ok,
            "v1.36.2",
        ),
        ("version", |e| first(e).version = None, Broken, Code::Unintelligible, "has no version"),
        (
            "version",
            |e| answered(e, Meaning::Unauthenticated, 401),
            Open,
            Code::Ok,
            "status 401 without a token: anonymous access is off",
        ),
        (
            "version",
            |e| {
                answered(e, Meaning::Forbidden, 403);
                e.version_for_token = Some("v1.30.0".into());
            },
            Open,
            Code::Ok,
            "v1.30.0, shown to the token; status 403",
        ),
        (
            "version",
            |e| answered(e, Meaning::Unavailable, 503),
            Broken,
            Code::Unavailable,
            "status 503: some reason",
        ),
        (
            "version",
            |e| answered(e, Meaning::Unserved, 404),
            Broken,
            Code::Unintelligible,
            "status 404: some reason",
        ),
        (
            "version",
            |e| {
                let facts = e.facts.clone();
                fails(e, Failure::Closed("closed".into()), facts);
            },
            Broken,
            Code::Unreachable,
            "closed",
        ),
        (
            "version",
            |e| {
                late(e);
                e.first = None;
            },
            Broken,
            Code::Timeout,
            "no answer within 3s",
        ),
        ("version", no_address, Open, Code::Ok, "not asked"),
        ("identity", |_| {}, Good, Code::Ok, "groups group-1"),
        ("identity", |e| recognized(e, Some(USER), Meaning::Forbidden, 403), Good, Code::Ok, USER),
        (
            "identity",
            |e| recognized(e, None, Meaning::Unserved, 404),
            Good,
            Code::Ok,
            "k-sa-1, as the token claims (status 404)",
        ),
        (
            "identity",
            |e| {
                e.token = TokenFile::Opaque;
                recognized(e, None, Meaning::Unserved, 404);
            },
            Good,
            Code::Ok,
            "an unnamed user",
        ),
        ("identity", rejected, Broken, Code::Unauthenticated, "status 401: some reason"),
        (
            "identity",
            |e| recognized(e, Some(ANONYMOUS), Meaning::Forbidden, 403),
            Broken,
            Code::Anonymous,
            ANONYMOUS,
        ),
        (
            "identity",
            |e| recognized(e, None, Meaning::Unavailable, 503),
            Broken,
            Code::Unavailable,
            "status 503",
        ),
        (
            "identity",
            |e| {
                e.identity.as_mut().unwrap().0 =
                    Recognition { user: None, result: Err(Failure::Closed("closed".into())) }
            },
            Broken,
            Code::Unreachable,
            "closed",
        ),
        ("identity", late, Broken, Code::Timeout, "no answer within 3s"),
        ("identity", no_address, Open, Code::Ok, "not asked: no connection"),
        ("identity", withheld, Open, Code::Ok, "sent only to a verified server"),
        ("identity", |e| e.identity = None, Open, Code::Ok, "not asked"),
        ("rules", |_| {}, Good, Code::Ok, "in ns-1: list pods"),
        (
            "rules",
            |e| e.rules.as_mut().unwrap().1.incomplete = true,
            Good,
            Code::Ok,
            "(incomplete, by the server's own word)",
        ),
        (
            "rules",
            |e| e.rules.as_mut().unwrap().1.list.clear(),
            Good,
            Code::Ok,
            "nothing beyond what every account may do",
        ),
        (
            "rules",
            |e| {
                let list = &mut e.rules.as_mut().unwrap().1.list;
                *list = vec![list[0].clone(); 99];
            },
            Good,
            Code::Ok,
            "more",
        ),
        (
            "rules",
            |e| e.rules.as_mut().unwrap().0 = Ok(answer(Meaning::Forbidden, 403)),
            Open,
            Code::Ok,
            "status 403: some reason",
        ),
        (
            "rules",
            |e| e.rules.as_mut().unwrap().0 = Err(Failure::Closed("closed".into())),
            Open,
            Code::Ok,
            "closed",
        ),
        ("rules", late, Broken, Code::Timeout, "no answer within 3s"),
        ("rules", withheld, Open, Code::Ok, "sent only to a verified server"),
        ("question", |_| {}, Good, Code::Ok, "list pods in ns-1: anonymous -, token -: ok"),
        (
            "question",
            |e| e.round = Some(Ok(round(finding(Expected::Cannot, Code::Ok, State::Late)))),
            Good,
            Code::Ok,
            "forbidden, as required",
        ),
        (
            "question",
            |e| e.round = Some(Ok(round(finding(Expected::Can, Code::Forbidden, State::Late)))),
            Broken,
            Code::Forbidden,
            "forbidden",
        ),
        (
            "question",
            |e| {
                e.round = Some(Ok(round(finding(Expected::Can, Code::Forbidden, State::Late))));
                e.questions[0].decides = false;
            },
            Open,
            Code::Ok,
            "forbidden",
        ),
        (
            "question",
            |e| {
                e.round = Some(Ok(round(finding(Expected::Can, Code::Timeout, State::Late))));
                e.questions[0].decides = false;
            },
            Broken,
            Code::Timeout,
            "timeout",
        ),
        (
            "question",
            |e| e.round = Some(Ok(round(finding(Expected::Can, Code::Timeout, State::NotAsked)))),
            Broken,
            Code::Timeout,
            "list pods in ns-1: not asked",
        ),
        (
            "question",
            |e| e.round = Some(Err(Fault::Setup("no namespace".into()))),
            Broken,
            Code::Setup,
            "no namespace",
        ),
        ("question", no_address, Open, Code::Ok, "list pods in ns-1: not asked: no connection"),
        ("question", withheld, Open, Code::Ok, "list pods in ns-1: not asked"),
    ];

    #[test]
    fn each_step_is_what_the_evidence_makes_of_it() {
        for (index, &(name, change, mark, code, words)) in TABLE.iter().enumerate() {
            let mut seen = healthy();
            change(&mut seen);
            let steps = all(&seen);
            let step = steps.iter().find(|step| step.name == name).unwrap();
            let advice: Vec<String> = step.advice.iter().map(Advice::line).collect();
            let text = [step.found.join("\n"), advice.join("\n")].join("\n");
            let row = format!("row {index}, {name}, {words:?}: {:?} {:?}\n{text}", step.mark, step.code);
            assert_eq!((step.mark, step.code), (mark, code), "{row}");
            assert!(text.contains(words), "{row}");
            let is_fault = matches!(seen.round, Some(Err(_)));
            assert_eq!(step.subject.is_some(), name == "question" && !is_fault, "{row}");
            if name != "question" {
                assert_eq!(step.advice.is_empty(), step.mark != Broken, "{row}");
            }
            assert!(step.advice.len() <= 3, "{row}");
        }
        println!("{} rows", TABLE.len());
    }

    /// In the order of the way, and all good where everything is as it should be.
    #[test]
    fn a_healthy_way() {
        let steps = all(&healthy());
        let names: Vec<&str> = steps.iter().map(|step| step.name).collect();
        let way = [
            "environment",
            "mount",
            "CA",
            "token",
            "clock",
            "names",
            "TCP",
            "TLS",
            "version",
            "identity",
            "rules",
            "question",
        ];
        assert_eq!(names, way);
        assert!(steps.iter().all(|step| step.mark == Good), "{steps:?}");
        let covered = |name: &str, mark: Mark| TABLE.iter().any(|row| row.0 == name && row.2 == mark);
        for name in way {
            assert!([Good, Broken, Open].into_iter().all(|mark| covered(name, mark)), "{name} lacks a mark");
        }
    }
}
