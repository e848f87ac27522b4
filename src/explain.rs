//! What happened, the likely cause, what to type: at most three lines for each outcome.

use crate::api::discovery::Unresolved;
use crate::api::refusal::Refusal;
use crate::api::status::{ANONYMOUS, Answer, Meaning};
use crate::cluster::Cluster;
use crate::exit::Code;
use crate::failure::Failure;
use crate::identity::Bearer;
use crate::knock::Knock;
use crate::remedy;
use crate::round::{Finding, Round, State};
use crate::text::quote;
use crate::token::Claims;

/// An explanation has no more lines than this.
const LINES: usize = 3;

/// What the explanations draw on, beside what was answered.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The API server, and where the token is read from.
    pub cluster: &'a Cluster,
    /// Whether a token is sent.
    pub bearer: Bearer,
    /// What the token claims.
    pub claims: Option<&'a Claims>,
    /// The user to grant to: as the API server names it, else as the token claims.
    pub subject: Option<&'a str>,
    /// Seconds since 1970.
    pub now: i64,
}

/// Why a request that asks no permission (`whoami`, `rules`) came to this, and what to do.
pub fn request(code: Code, result: &Result<Answer, Failure>, context: Context<'_>) -> Vec<String> {
    let words = result.as_ref().map_or_else(Failure::text, |answer| &answer.reason);
    let mut why = match (code, result) {
        (Code::Ok, _) => return Vec::new(),
        (Code::Unauthenticated, _) => unauthenticated(context),
        (Code::Anonymous, _) => anonymous(words, context),
        (Code::Forbidden, _) | (_, Err(_)) => vec![words.to_owned()],
        (_, Ok(answer)) => vec![status(answer)],
    };
    if code == Code::Forbidden {
        why.extend(remedy::grant_reviews());
    }
    why.extend(advice(code).map(str::to_owned));
    why
}

impl<'a> Context<'a> {
    /// Of a round.
    pub fn of(round: &'a Round, cluster: &'a Cluster, now: i64) -> Context<'a> {
        let Round { bearer, claims, .. } = round;
        Context { cluster, bearer: *bearer, claims: claims.as_ref(), subject: round.subject(), now }
    }
}

/// An explanation: sentences, and the lines to type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// Why.
    pub why: Vec<String>,
    /// kubectl lines that grant it.
    pub remedy: Vec<String>,
}

/// Explains an outcome; nothing where it is as required and there is nothing to know.
pub fn explain(finding: &Finding, context: Context<'_>) -> Explanation {
    let mut explanation = Explanation::default();
    if let Some(asked) = finding.asked() {
        explanation.why.extend(asked.question.notes.iter().cloned());
    }
    if !finding.is_own() {
        return explanation;
    }
    let answer = finding.answer(context.bearer);
    let (why, remedy) = match finding.code {
        Code::Ok => (allowed(finding, answer), Vec::new()),
        Code::Forbidden => forbidden(finding, answer, context),
        Code::Unauthenticated => (unauthenticated(context), Vec::new()),
        Code::Anonymous => {
            let words = answer.map(|answer| answer.reason.as_str()).unwrap_or_default();
            (anonymous(words, context), Vec::new())
        }
        Code::Excess => (excess(context.subject), Vec::new()),
        Code::Exposed => (
            vec![
                format!("the request is allowed without a token: a binding to {ANONYMOUS} or system:unauthenticated grants it, or the authorization mode is AlwaysAllow"),
                "kubectl get rolebindings,clusterrolebindings -A -o wide | grep -E 'system:(anonymous|unauthenticated)'".into(),
            ],
            Vec::new(),
        ),
        Code::Unserved => (unserved(finding, answer), Vec::new()),
        code => (no_answer(code, finding, answer), Vec::new()),
    };
    explanation.why.extend(why);
    explanation.remedy = remedy;
    explanation.fold()
}

impl Explanation {
    /// At most three lines: sentences are joined into one where kubectl lines need the room.
    fn fold(mut self) -> Explanation {
        let room = LINES.saturating_sub(self.remedy.len()).max(1);
        if self.why.len() > room {
            let last = self.why.split_off(room - 1);
            self.why.push(last.join("; "));
        }
        self
    }
}

fn allowed(finding: &Finding, answer: Option<&Answer>) -> Vec<String> {
    if answer.is_some_and(|answer| answer.meaning == Meaning::NotFound) {
        return vec!["it does not exist; authorization comes first, and allows it".into()];
    }
    let open = |knock: &Knock| knock.result.as_ref().is_ok_and(Answer::got_in);
    let knocks = finding.asked().map(|asked| &asked.knocks);
    if knocks.is_some_and(|knocks| knocks.token.is_some() && knocks.anonymous.as_ref().is_some_and(open)) {
        return vec!["it is allowed without a token too, so it says nothing about the token".into()];
    }
    Vec::new()
}

fn forbidden(finding: &Finding, answer: Option<&Answer>, context: Context<'_>) -> (Vec<String>, Vec<String>) {
    let reason = answer.map(|answer| answer.reason.as_str()).unwrap_or_default();
    let user = context.subject.unwrap_or("this identity");
    let mut why = if reason.is_empty() { format!("nothing grants it to {user}") } else { reason.to_owned() };
    if reason.contains("RBAC: ") && reason.contains("\" not found") {
        why.push_str(
            " (a binding names a role that does not exist: create the role, or correct the binding)",
        );
    }
    let reason = vec![why];
    if let State::Unresolved(Unresolved::Answered(answer)) = &finding.state {
        let why = format!("the API server refuses discovery, which looks the name up: {}", answer.reason);
        return (
            vec![why],
            vec!["kubectl create clusterrolebinding system:discovery --clusterrole=system:discovery --group=system:authenticated".into()],
        );
    }
    if answer.is_some_and(|answer| answer.meaning == Meaning::ReviewForbidden) {
        return (reason, remedy::grant_reviews());
    }
    if answer.is_some_and(|answer| answer.meaning == Meaning::OtherForbidden) {
        let refused = Refusal::parse(answer.map_or("", |answer| &answer.reason)).map(|refusal| refusal.user);
        return (
            vec![
                reason.concat(),
                format!(
                    "this refuses {} something else, and says nothing about {user}: check for a proxy or an aggregated API \
                     server that asks in its own name",
                    refused.as_deref().unwrap_or("another user")
                ),
            ],
            Vec::new(),
        );
    }
    if answer.is_some_and(|answer| answer.denied || is_beyond_rbac(&answer.reason)) {
        return (
            vec![
                reason.concat(),
                "an authorizer denies it that RBAC cannot override: change that authorizer's policy".into(),
            ],
            Vec::new(),
        );
    }
    let grant = match (finding.asked(), context.subject) {
        (Some(asked), Some(subject)) if !asked.question.misspelled => {
            remedy::grant(&asked.question.attributes, subject)
        }
        _ => Vec::new(),
    };
    (reason, grant)
}

/// Reasons of authorizers whose refusal no RBAC binding lifts.
fn is_beyond_rbac(reason: &str) -> bool {
    // OpenShift's token scopes, Azure RBAC for AKS, GKE's IAM.
    const THEIRS: [&str; 3] = [
        "prevent this action",
        "does not have access to the resource in Azure",
        "requires one of [\"container.",
    ];
    THEIRS.iter().any(|words| reason.contains(words))
}

/// Why a permission that must be refused is granted.
fn excess(subject: Option<&str>) -> Vec<String> {
    let user = subject.unwrap_or("this identity");
    // In the wide columns a service account is NAMESPACE/NAME.
    let name = user
        .strip_prefix("system:serviceaccount:")
        .map_or_else(|| user.to_owned(), |name| name.replace(':', "/"));
    let groups = "system:(serviceaccounts|authenticated)";
    let pattern = if subject.is_some() { format!("{name}|{groups}") } else { groups.to_owned() };
    vec![
        format!(
            "it is granted to {user}, directly or through one of its groups: find the binding, and delete it or its rule"
        ),
        format!("kubectl get rolebindings,clusterrolebindings -A -o wide | grep -E {}", quote(&pattern)),
    ]
}

/// Why a 401 came although a token was sent.
fn unauthenticated(context: Context<'_>) -> Vec<String> {
    let path = context.cluster.token_path();
    let Some(claims) = context.claims else {
        return vec![
            format!("{} does not hold a service account token (not a JWT)", path.display()),
            "name the right file with --token-file, or create a token: kubectl create token NAME -n NAMESPACE".into(),
        ];
    };
    let account =
        claims.subject.as_deref().and_then(|subject| subject.strip_prefix("system:serviceaccount:"));
    let advice = match (claims.expires, account.and_then(|account| account.split_once(':'))) {
        (Some(end), _) if end <= context.now => {
            "the file itself is old, a copy or a volume that the kubelet no longer updates: mount a projected serviceAccountToken".to_owned()
        }
        _ if claims.issued.is_some_and(|issued| issued > context.now + 60) => {
            "compare this clock with the API server's: kubeknock doctor".to_owned()
        }
        (_, Some((namespace, name))) => format!(
            "check that the account exists, and that the token is of this cluster's issuer: kubectl get serviceaccount {name} -n {namespace}; \
             kubectl get --raw /.well-known/openid-configuration"
        ),
        _ => "check that the token is of this cluster's issuer: kubectl get --raw /.well-known/openid-configuration".to_owned(),
    };
    vec![format!("{}: {}", path.display(), claims.explain_rejection(context.now)), advice]
}

/// `words`: the server's own.
fn anonymous(words: &str, context: Context<'_>) -> Vec<String> {
    match context.bearer {
        Bearer::Token => vec![
            format!("a token was sent, and the API server saw {ANONYMOUS}: a proxy or mesh on the way removes the Authorization header"),
            "configure it to pass the header on, or to leave the API server's address out"
                .into(),
        ],
        Bearer::None => vec![
            format!(
                "no token to send: {} is missing or empty",
                context.cluster.token_path().display()
            ),
            "set automountServiceAccountToken: true on the pod or its service account, project a serviceAccountToken, or use --token-file"
                .into(),
        ],
        Bearer::Plain => vec![
            format!("the token is never sent over plain HTTP, and the proxy that listens there has no credentials of its own: {words}"),
            "ask the API server itself with --server https://HOST:PORT, or start kubectl proxy with credentials".into(),
        ],
    }
}

fn unserved(finding: &Finding, answer: Option<&Answer>) -> Vec<String> {
    match &finding.state {
        State::Unresolved(Unresolved::NoSubresource { resource, nearest }) => vec![
            format!("{resource} has no such subresource; close to it: {nearest}"),
            format!("write it as {resource}/*/{nearest}, or with an object's name for the *"),
        ],
        State::Unresolved(Unresolved::Unknown { nearest, .. }) => {
            let (near, advice) = if nearest.is_empty() {
                (
                    String::new(),
                    "install its CustomResourceDefinition, or list what there is: kubectl api-resources",
                )
            } else {
                (
                    format!("; similar names: {}", nearest.join(", ")),
                    "correct the name, or list what there is: kubectl api-resources",
                )
            };
            vec![format!("the API server has no resource of that name{near}"), advice.into()]
        }
        _ => vec![
            format!(
                "the API server does not refuse it, and does not have it: {}",
                answer.map(|answer| answer.reason.as_str()).unwrap_or_default()
            ),
            "list what there is: kubectl api-resources, and for paths kubectl get --raw /".into(),
        ],
    }
}

fn no_answer(code: Code, finding: &Finding, answer: Option<&Answer>) -> Vec<String> {
    let failures = finding
        .asked()
        .into_iter()
        .flat_map(|asked| asked.knocks.iter())
        .filter_map(|knock| knock.result.as_ref().err());
    // With --forbid-anonymous it may be the other knock's.
    let failure = failures.rev().find(|failure| failure.code() == code);
    let mut why: Vec<String> = match (&finding.state, failure, answer) {
        (State::Unresolved(Unresolved::Failed(failure)), ..) | (_, Some(failure), _) => {
            vec![failure.text().to_owned()]
        }
        (_, _, Some(answer)) => {
            vec![status(answer)]
        }
        (State::Unresolved(Unresolved::Unknown { silent, .. }), ..) => {
            return vec![
                format!(
                    "the name may belong to an API group whose server does not answer: {}",
                    silent.join(", ")
                ),
                "list the API services that are down: kubectl get apiservices".into(),
            ];
        }
        _ => Vec::new(),
    };
    why.extend(advice(code).map(str::to_owned));
    why
}

/// The status and the server's words, in one line.
fn status(answer: &Answer) -> String {
    format!("status {} {}", answer.status, answer.reason).trim_end().to_owned()
}

/// What to do when there is no answer.
pub fn advice(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::Unresolved => {
            "use the address in KUBERNETES_SERVICE_HOST, which needs no DNS, or check the container's /etc/resolv.conf and the cluster's DNS"
        }
        Code::Unreachable => {
            "check the address, that the API server is up, and that no NetworkPolicy or mesh blocks it: kubeknock doctor"
        }
        Code::Untrusted => {
            "check the port, the CA bundle (--certificate-authority), the name in the certificate (--tls-server-name) and the clock: kubeknock doctor"
        }
        Code::Timeout => {
            "check for a NetworkPolicy that drops packets and for an overloaded API server, or raise --timeout"
        }
        Code::Unavailable => {
            "the API server is up and cannot answer yet: try again later, or use kubeknock wait"
        }
        Code::Unintelligible => {
            "this is not a Kubernetes API server's answer: check --server, and for a proxy, portal or mesh on the way"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Request;
    use crate::api::review::Attributes;
    use crate::api::status::Shape;
    use crate::cluster::{ServiceVariables, Where};
    use crate::identity::Both;
    use crate::knock::{Knock, Question};
    use crate::permission::Expected;
    use crate::round::finding::Asked;
    use std::time::Duration;

    const USER: &str = "system:serviceaccount:ns-1:k-sa-1";

    fn answered(meaning: Meaning, status: u16, reason: &str) -> Answer {
        let user = reason.contains("User").then(|| USER.to_owned());
        Answer { status, meaning, user, reason: reason.into(), denied: false, retry_after: None }
    }

    fn finding(code: Code, token: Result<Answer, Failure>) -> Finding {
        let attributes = Attributes::Resource {
            verb: "list".into(),
            group: String::new(),
            version: "v1".into(),
            resource: "pods".into(),
            subresource: None,
            name: None,
            namespace: Some("ns-1".into()),
        };
        let notes =
            vec!["nodes are cluster-scoped: the namespace x is ignored".into(), "serves no list".into()];
        Finding {
            phrase: "list pods".into(),
            expected: Expected::Can,
            code,
            state: State::Asked(Box::new(Asked {
                question: Question {
                    phrase: "list pods in ns-1".into(),
                    attributes,
                    shape: Shape::List,
                    request: Request::get("/x"),
                    notes,
                    misspelled: false,
                },
                resource: None,
                knocks: Both {
                    anonymous: None,
                    token: Some(Knock { result: token, elapsed: Duration::ZERO }),
                },
            })),
        }
    }

    fn explained(finding: &Finding, bearer: Bearer, claims: Option<Claims>) -> Vec<String> {
        let variables = ServiceVariables::default();
        let cluster = Cluster::resolve(Where::default(), &variables).unwrap();
        let round = Round { findings: Vec::new(), bearer, claims, timed_out: false };
        let explanation = explain(finding, Context::of(&round, &cluster, 1000));
        explanation.why.into_iter().chain(explanation.remedy).collect()
    }

    fn claims(expires: i64) -> Claims {
        Claims { subject: Some(USER.into()), expires: Some(expires), ..Claims::default() }
    }

    /// Outcome, what the token knock got, and what the explanation has to hold: what happened, and what to
    /// type or to look at.
    #[test]
    fn every_outcome_is_explained_in_three_lines() {
        use Meaning::{
            Forbidden, Granted, ReviewForbidden, Unauthenticated, Unavailable, Unintelligible, Unserved,
        };
        let refusal = format!("pods is forbidden: User \"{USER}\" cannot list resource \"pods\"");
        let dangling = format!("{refusal}: RBAC: role.rbac.authorization.k8s.io \"r\" not found");
        let failed = |kind: fn(String) -> Failure| Err(kind("what broke".into()));
        let table: Vec<(Code, Result<Answer, Failure>, [&str; 2])> = vec![
            (
                Code::Forbidden,
                Ok(answered(Forbidden, 403, &refusal)),
                ["cannot list", "kubectl create rolebinding"],
            ),
            (
                Code::Forbidden,
                Ok(answered(Forbidden, 403, &dangling)),
                ["a binding names a role", "kubectl create role "],
            ),
            (
                Code::Forbidden,
                Ok(answered(Forbidden, 201, "")),
                ["nothing grants it to system:", "kubectl create role "],
            ),
            (
                Code::Forbidden,
                Ok(answered(ReviewForbidden, 403, &refusal)),
                ["cannot list", "system:basic-user"],
            ),
            (
                Code::Unauthenticated,
                Ok(answered(Unauthenticated, 401, "Unauthorized")),
                ["not expired", "kubectl get serviceaccount k-sa-1 -n ns-1"],
            ),
            (
                Code::Anonymous,
                Ok(answered(Forbidden, 403, &refusal)),
                ["removes the Authorization header", "configure it to pass the header on"],
            ),
            (
                Code::Excess,
                Ok(answered(Granted, 200, "")),
                ["is granted to system:", "kubectl get rolebindings"],
            ),
            (
                Code::Exposed,
                Ok(answered(Granted, 200, "")),
                ["allowed without a token", "kubectl get rolebindings"],
            ),
            (
                Code::Unserved,
                Ok(answered(Unserved, 404, "404 page not found")),
                ["does not have it: 404 page", "kubectl api-resources"],
            ),
            (
                Code::Unavailable,
                Ok(answered(Unavailable, 503, "starting")),
                ["status 503 starting", "try again later"],
            ),
            (
                Code::Unintelligible,
                Ok(answered(Unintelligible, 200, "a web page")),
                ["a web page", "--server"],
            ),
            (Code::Unresolved, failed(Failure::Unresolved), ["what broke", "KUBERNETES_SERVICE_HOST"]),
            (Code::Unreachable, failed(Failure::Unreachable), ["what broke", "NetworkPolicy"]),
            (Code::Untrusted, failed(Failure::Untrusted), ["what broke", "--tls-server-name"]),
            (Code::Timeout, failed(Failure::Timeout), ["what broke", "--timeout"]),
        ];
        for (code, result, words) in table {
            let lines = explained(&finding(code, result), Bearer::Token, Some(claims(4600)));
            let text = lines.join("\n");
            assert!((2..=LINES).contains(&lines.len()), "{code:?}\n{text}");
            assert!(words.iter().all(|words| text.contains(words)), "{code:?}: no {words:?} in\n{text}");
        }
    }

    #[test]
    fn a_token_that_is_not_taken_and_one_that_is_not_there() {
        let rejected =
            || finding(Code::Unauthenticated, Ok(answered(Meaning::Unauthenticated, 401, "Unauthorized")));
        for (claims, words) in [
            (Some(claims(400)), "a volume that the kubelet no longer updates"),
            (None, "kubectl create token"),
        ] {
            let text = explained(&rejected(), Bearer::Token, claims).join("\n");
            assert!(text.contains(words) && text.lines().count() <= LINES, "{text}");
        }
        for (bearer, words) in
            [(Bearer::None, "automountServiceAccountToken"), (Bearer::Plain, "kubectl proxy")]
        {
            let refused = finding(Code::Anonymous, Ok(answered(Meaning::Forbidden, 403, "no")));
            let text = explained(&refused, bearer, None).join("\n");
            assert!(text.contains(words) && text.lines().count() <= LINES, "{text}");
        }
    }

    #[test]
    fn names_that_mean_nothing() {
        let unknown = |nearest: &[&str], silent: &[&str], code| Finding {
            state: State::Unresolved(Unresolved::Unknown {
                nearest: nearest.iter().map(ToString::to_string).collect(),
                silent: silent.iter().map(ToString::to_string).collect(),
            }),
            ..finding(code, failed())
        };
        for (finding, words) in [
            (unknown(&["pods"], &[], Code::Unserved), "similar names: pods"),
            (unknown(&[], &[], Code::Unserved), "kubectl api-resources"),
            (unknown(&[], &["metrics.k8s.io"], Code::Unavailable), "kubectl get apiservices"),
        ] {
            let text = explained(&finding, Bearer::Token, None).join("\n");
            assert!(text.contains(words) && text.lines().count() == 2, "{text}");
        }
    }

    fn failed() -> Result<Answer, Failure> {
        Err(Failure::Timeout("what broke".into()))
    }
}
