//! Explains outcomes: what happened, the likely cause, what to type. At most four lines each.

mod aggregated;
mod granted;
mod refused;
mod unanswered;

use crate::api::discovery::Unresolved;
use crate::api::status::{ANONYMOUS, Answer, Meaning};
use crate::cluster::Cluster;
use crate::exit::Code;
use crate::failure::Failure;
use crate::identity::Bearer;
use crate::remedy;
use crate::round::{Finding, Round, State};
use crate::time::duration::span;
use crate::token::Claims;
use aggregated::Aggregated;
use unanswered::no_answer;
pub use unanswered::{DOCTOR, advice, advice_on};
pub use {aggregated::hint, granted::excess, refused::missing};

/// An explanation has no more lines than this.
const LINES: usize = 4;

/// What explanations use besides the answers.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The API server, and where the token is read from.
    pub cluster: &'a Cluster,
    /// Whether a token is sent, and if not, why.
    pub bearer: Bearer,
    /// What the token claims.
    pub claims: Option<&'a Claims>,
    /// The subject of a grant: the user that the API server names, or else the one that the token claims.
    pub subject: Option<&'a str>,
    /// Seconds since 1970.
    pub now: i64,
}

/// Why a request that asks no permission (`whoami`, `rules`) had this outcome, and what to do.
pub fn request(code: Code, result: &Result<Answer, Failure>, context: Context<'_>) -> Vec<String> {
    let answer = match (code, result) {
        (Code::Ok, _) => return Vec::new(),
        (_, Ok(answer)) => answer,
        (_, Err(failure)) => {
            return [failure.text(), advice(failure)].map(str::to_owned).into();
        }
    };
    match code {
        Code::Unauthenticated => unauthenticated(answer, context),
        Code::Anonymous => anonymous(Some(answer), context),
        Code::Unserved => {
            vec![answer.line(), "check that authorization.k8s.io/v1 is served: kubectl api-versions".into()]
        }
        Code::Forbidden if answer.meaning == Meaning::OtherForbidden => {
            [vec![own_words(answer)], refused::something_else(&answer.reason)].concat()
        }
        Code::Forbidden => {
            let grant = remedy::grant_default("system:basic-user", context.subject);
            [vec![own_words(answer)], grant].concat()
        }
        Code::Ok
        | Code::Excess
        | Code::Exposed
        | Code::Conditional
        | Code::Unresolved
        | Code::Unreachable
        | Code::Untrusted
        | Code::Timeout
        | Code::Unavailable
        | Code::Unintelligible
        | Code::Usage
        | Code::Setup
        | Code::Internal
        | Code::NotExecutable
        | Code::NotFound
        | Code::Interrupted
        | Code::Terminated => [Some(answer.line()), advice_on(code, Some(answer.status)).map(str::to_owned)]
            .into_iter()
            .flatten()
            .collect(),
    }
}

impl<'a> Context<'a> {
    /// The context of a round.
    pub fn of(round: &'a Round, cluster: &'a Cluster, now: i64) -> Context<'a> {
        let Round { bearer, claims, .. } = round;
        Context { cluster, bearer: *bearer, claims: claims.as_ref(), subject: round.subject(), now }
    }

    /// Whether the token has expired, by its own claims and the clock of the server that answers.
    fn has_expired(self, answer: &Answer) -> bool {
        let time = self.now.saturating_add(answer.skew.unwrap_or_default());
        self.claims.and_then(|claims| claims.expires).is_some_and(|end| end <= time)
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

/// Explains an outcome. Empty if it is as required and needs no note.
pub fn explain(finding: &Finding, context: Context<'_>) -> Explanation {
    let mut explanation = Explanation::default();
    if let Some(asked) = finding.asked() {
        explanation.why.extend(asked.question.notes.iter().cloned());
    }
    if !finding.is_own() {
        return explanation;
    }
    if let State::TokenEnds { left, least } = finding.state {
        explanation.why = token_ends(left, least, context);
        return explanation;
    }
    let answer = finding.answer(context.bearer);
    let api = answer.and_then(|answer| Aggregated::of(finding, answer));
    let why = match (finding.code, answer) {
        (Code::Ok, _) => granted::allowed(finding, answer),
        (Code::Forbidden, _) => {
            let (why, remedy) = refused::forbidden(finding, answer, context.bearer, context.subject);
            explanation.remedy = remedy;
            why
        }
        (Code::Unauthenticated, Some(answer)) => match api.filter(|_| !context.has_expired(answer)) {
            Some(api) => api.unauthenticated(),
            None => unauthenticated(answer, context),
        },
        (Code::Anonymous, _) => match api.filter(|_| context.bearer == Bearer::Token) {
            Some(api) => api.anonymous(),
            None => anonymous(answer, context),
        },
        (Code::Excess, _) if context.bearer == Bearer::None => granted::exposed(),
        (Code::Excess, _) => granted::excess(context.subject),
        (Code::Exposed, _) => granted::exposed(),
        (Code::Unserved, _) => unserved(finding, answer),
        (Code::Unavailable, Some(answer)) if api.is_some() => {
            [vec![answer.line()], api.map(Aggregated::unavailable).unwrap_or_default()].concat()
        }
        // A gateway, such as kubectl proxy, does not reach the server after it.
        (Code::Unavailable, Some(answer)) if matches!(answer.status, 502 | 504) => vec![
            answer.line(),
            "a proxy on the way does not reach the API server: check that both are up, or use kubeknock wait".into(),
        ],
        (Code::Unintelligible, Some(answer)) if context.bearer == Bearer::Plain && answer.status == 403 => vec![
            answer.line(),
            "kubectl proxy refuses a path or a host like this: start it with --accept-paths, --reject-paths and \
             --accept-hosts that let it pass"
                .into(),
        ],
        (Code::Conditional, _) => granted::conditional(answer),
        (
            Code::Unauthenticated
            | Code::Unresolved
            | Code::Unreachable
            | Code::Untrusted
            | Code::Timeout
            | Code::Unavailable
            | Code::Unintelligible
            | Code::Usage
            | Code::Setup
            | Code::Internal
            | Code::NotExecutable
            | Code::NotFound
            | Code::Interrupted
            | Code::Terminated,
            _,
        ) => no_answer(finding, answer, &context.cluster.server),
    };
    explanation.why.extend(why);
    explanation.fold()
}

impl Explanation {
    /// For people: the sentences, and the kubectl lines with a word about them.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.why.clone();
        if let (Some(last), false) = (lines.last_mut(), self.remedy.is_empty()) {
            last.push_str("; to grant it, as an admin:");
        }
        lines.extend_from_slice(&self.remedy);
        lines
    }

    /// At most four lines: sentences are joined into one where kubectl lines need the room.
    fn fold(mut self) -> Explanation {
        let room = LINES.saturating_sub(self.remedy.len()).max(1);
        if self.why.len() > room {
            let last = self.why.split_off(room - 1);
            self.why.push(last.join("; "));
        }
        self
    }
}

/// Why a token is not used, although the API server may still accept it.
fn token_ends(left: i64, least: i64, context: Context<'_>) -> Vec<String> {
    let ends = if left > 0 {
        format!("ends in {}", span(left))
    } else {
        format!("expired {} ago", span(left.saturating_neg()))
    };
    let path = context.cluster.token_path();
    vec![
        format!(
            "{}: by its own claims the token {ends}, and --min-token-life requires {}",
            path.display(),
            span(least)
        ),
        "the kubelet renews a mounted token after 80% of its life: wait for that, or raise expirationSeconds of its \
         volume"
            .into(),
    ]
}

/// Why a 401 came although a token was sent.
fn unauthenticated(answer: &Answer, context: Context<'_>) -> Vec<String> {
    let path = context.cluster.token_path();
    let mut why = Vec::new();
    // An API server says no more.
    if !matches!(&*answer.reason, "" | "Unauthorized") {
        why.push(format!("something before the API server may reject it: {}", answer.line()));
    }
    let Some(claims) = context.claims else {
        why.extend([
            format!("{} does not hold a service account token (not a JWT)", path.display()),
            "name the right file with --token-file, or create a token: kubectl create token NAME -n NAMESPACE".into(),
        ]);
        return why;
    };
    let account =
        claims.subject.as_deref().and_then(|subject| subject.strip_prefix("system:serviceaccount:"));
    let advice = match account.and_then(|account| account.split_once(':')) {
        _ if claims.is_a_matter_of_clocks(context.now, answer.skew) => {
            "set the clock that is wrong (NTP), and compare the two: kubeknock doctor".to_owned()
        }
        _ if context.has_expired(answer) => {
            if context.cluster.token_path().parent() == Some(context.cluster.mount()) {
                "the kubelet did not renew it: check that it is not mounted by subPath and that the kubelet runs, then delete the pod (a Deployment makes a new one)"
            } else {
                "a copy is not renewed: use the file that the kubelet mounts, or mount a projected serviceAccountToken"
            }
            .to_owned()
        }
        Some((namespace, name)) if claims.is_for_another() => {
            format!("use the pod's own token (without --token-file), or create one: kubectl create token {name} -n {namespace}")
        }
        Some((namespace, name)) => format!(
            "check that the account exists, and that the token is of this cluster's issuer: kubectl get serviceaccount {name} -n {namespace}; \
             kubectl get --raw /.well-known/openid-configuration"
        ),
        None => "check that the token is of this cluster's issuer: kubectl get --raw /.well-known/openid-configuration".to_owned(),
    };
    let mut causes = claims.explain_rejection(context.now, answer.skew);
    if !why.is_empty() {
        causes.truncate(1);
    }
    if let Some(first) = causes.first_mut() {
        first.insert_str(0, &format!("{}: ", path.display()));
    }
    why.extend(causes);
    why.push(advice);
    why
}

/// The server's message, or the status if there is none.
fn own_words(answer: &Answer) -> String {
    if answer.reason.is_empty() { answer.line() } else { answer.reason.to_string() }
}

/// Why the API server saw no token.
fn anonymous(answer: Option<&Answer>, context: Context<'_>) -> Vec<String> {
    let words = answer.map(Answer::said).unwrap_or_default();
    match context.bearer {
        Bearer::Token => vec![
            format!("a token was sent, and the API server saw {ANONYMOUS}: a proxy or mesh on the way removes the Authorization header"),
            format!("configure it to pass the header on, or exclude {} from it", context.cluster.server.authority()),
        ],
        Bearer::None => vec![
            format!(
                "no token to send: {} is missing or empty",
                context.cluster.token_path().display()
            ),
            "add a serviceAccountToken source to that volume; if there is none, set automountServiceAccountToken: true; or use --token-file"
                .into(),
        ],
        Bearer::Plain if answer.is_some_and(|answer| answer.status == 401) => vec![
            format!("the API server rejects the credentials of the proxy itself (kubectl proxy){words}"),
            "renew the kubeconfig that it runs with, check it, and start the proxy again: kubectl auth whoami; kubectl proxy"
                .into(),
        ],
        Bearer::Plain => vec![
            format!("the token is never sent over plain HTTP, and the proxy that listens there has no credentials of its own{words}"),
            "ask the API server itself with --server https://HOST:PORT, or start kubectl proxy with credentials".into(),
        ],
    }
}

fn unserved(finding: &Finding, answer: Option<&Answer>) -> Vec<String> {
    let words = answer.map(Answer::said).unwrap_or_default();
    match &finding.state {
        State::Unresolved(Unresolved::NoSubresource { resource, nearest }) => vec![
            format!("{resource} has no such subresource; similar names: {nearest}"),
            format!("write it as {resource}/*/{nearest}, or with an object's name for the *"),
        ],
        State::Unresolved(Unresolved::Unknown { nearest, .. }) => unknown(nearest),
        State::Asked(_) if finding.by_review() => vec![
            format!(
                "the API server does not serve access reviews, so it is not known whether this is allowed{words}"
            ),
            "check that authorization.k8s.io/v1 is served: kubectl api-versions".into(),
        ],
        State::Asked(_)
        | State::Unresolved(Unresolved::Failed(_) | Unresolved::Answered(_))
        | State::NotAsked
        | State::NoToken
        | State::TokenEnds { .. }
        | State::Late => vec![
            format!("the API server does not refuse it, but does not serve it{words}"),
            "list what there is: kubectl api-resources, and for paths kubectl get --raw /".into(),
        ],
    }
}

/// A name that discovery does not have.
fn unknown(nearest: &[String]) -> Vec<String> {
    let (similar, advice) = if nearest.is_empty() {
        (String::new(), "install its CustomResourceDefinition, or list what there is: kubectl api-resources")
    } else {
        (
            format!("; similar names: {}", nearest.join(", ")),
            "correct the name, or list what there is: kubectl api-resources",
        )
    };
    vec![format!("the API server has no resource of that name{similar}"), advice.into()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::review::Attributes;
    use crate::api::status::Shape;
    use crate::cluster::{ServiceVariables, Where};
    use crate::failure::Flaw;
    use crate::identity::Both;
    use crate::knock::{Knock, Question};
    use crate::permission::Expected;
    use crate::round::finding::Asked;
    use std::time::Duration;

    const USER: &str = "system:serviceaccount:ns-1:k-sa-1";

    fn answered(meaning: Meaning, status: u16, reason: &str) -> Answer {
        let user = reason.contains("User").then(|| USER.into());
        Answer { status, meaning, user, reason: reason.into(), retry_after: None, skew: None }
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
                    request: None,
                    notes,
                    misspelled: false,
                },
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
    fn every_outcome_is_explained_in_four_lines() {
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
                ["does not serve it: 404 page", "kubectl api-resources"],
            ),
            (
                Code::Unavailable,
                Ok(answered(Unavailable, 503, "starting")),
                ["status 503: starting", "try again later"],
            ),
            (
                Code::Unintelligible,
                Ok(answered(Unintelligible, 200, "a web page")),
                ["a web page", "check the address"],
            ),
            (
                Code::Unresolved,
                failed(Failure::Unresolved),
                ["what broke", "address: kubectl get service kubernetes -n default"],
            ),
            (Code::Unreachable, failed(Failure::Unreachable), ["what broke", "NetworkPolicy"]),
            (
                Code::Untrusted,
                Err(Failure::Untrusted(Flaw::Other, "what broke".into())),
                ["what broke", "check the address and the port"],
            ),
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
        for (claims, words) in
            [(Some(claims(400)), "the kubelet did not renew it: check"), (None, "kubectl create token")]
        {
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

    /// Every explanation there is: of each code, as each bearer, by each meaning and by each failure, of a permission
    /// and of a request.
    fn all() -> Vec<(Code, Bearer, Vec<String>)> {
        use Meaning::{
            Conditional, Forbidden, Granted, NotFound, OtherForbidden, ReviewForbidden, Unauthenticated,
            Unavailable, Unintelligible, Unserved,
        };
        let refusal =
            format!("x is forbidden: User \"{USER}\" cannot list resource \"pods\" in API group \"\"");
        let mut results: Vec<Result<Answer, Failure>> = Vec::new();
        for meaning in [
            Granted,
            NotFound,
            Forbidden,
            ReviewForbidden,
            OtherForbidden,
            Conditional,
            Unauthenticated,
            Unserved,
            Unavailable,
            Unintelligible,
        ] {
            for reason in ["", "words", &refusal, &format!("{refusal}: words")] {
                results.extend([200, 401, 403].map(|status| Ok(answered(meaning, status, reason))));
            }
        }
        let broke = || "what broke".to_owned();
        results.extend(
            [
                Failure::Unresolved(broke()),
                Failure::Unreachable(broke()),
                Failure::Closed(broke()),
                Failure::ClosedInHandshake(broke()),
                Failure::Untrusted(Flaw::Dates, broke()),
                Failure::Untrusted(Flaw::Chain, broke()),
                Failure::Untrusted(Flaw::Name, broke()),
                Failure::Untrusted(Flaw::Authority, broke()),
                Failure::Untrusted(Flaw::Offer, broke()),
                Failure::Untrusted(Flaw::Other, broke()),
                Failure::Timeout(broke()),
                Failure::Unintelligible(broke()),
            ]
            .map(Err),
        );
        let cluster = Cluster::resolve(Where::default(), &ServiceVariables::default()).unwrap();
        let mut found = Vec::new();
        for &code in Code::ALL {
            for bearer in [Bearer::Token, Bearer::None, Bearer::Plain] {
                for result in &results {
                    let claims = (bearer == Bearer::Token).then(|| claims(4600));
                    let context = Context {
                        cluster: &cluster,
                        bearer,
                        claims: claims.as_ref(),
                        subject: Some(USER),
                        now: 1000,
                    };
                    found.push((code, bearer, request(code, result, context)));
                    for group in ["", "metrics.k8s.io"] {
                        let mut finding = finding(code, result.clone());
                        if let State::Asked(asked) = &mut finding.state {
                            asked.question.notes.clear();
                            if let Attributes::Resource { group: of, .. } = &mut asked.question.attributes {
                                *of = group.to_owned();
                            }
                            if bearer != Bearer::Token {
                                asked.knocks.anonymous = asked.knocks.token.take();
                            }
                        }
                        let Explanation { why, remedy } = explain(&finding, context);
                        found.push((code, bearer, [why, remedy].concat()));
                    }
                }
            }
        }
        found
    }

    #[test]
    fn no_explanation_has_debug_output_or_more_than_four_lines() {
        const NAMES: [&str; 4] =
            ["AlwaysAllow", "NetworkPolicy", "automountServiceAccountToken", "serviceAccountToken"];
        let camel = |word: &str| {
            let pairs = word.chars().zip(word.chars().skip(1));
            pairs.into_iter().any(|(a, b)| a.is_ascii_lowercase() && b.is_ascii_uppercase())
        };
        for (code, bearer, lines) in all() {
            assert!(lines.len() <= LINES, "{code:?} {bearer:?}\n{}", lines.join("\n"));
            for word in lines.iter().flat_map(|line| line.split(|c: char| !c.is_alphanumeric())) {
                assert!(!camel(word) || NAMES.contains(&word), "{code:?} {bearer:?}: {word}");
            }
            for line in &lines {
                let ok = !line.is_empty()
                    && !line.contains("  ")
                    && !line.ends_with([' ', ':', '.'])
                    && !line.contains('?');
                assert!(ok, "{code:?} {bearer:?}: {line}");
            }
        }
    }

    /// 11 is a token's: no other bearer gets it.
    #[test]
    fn no_explanation_speaks_of_a_token_that_was_not_sent() {
        for (code, bearer, lines) in all() {
            let text = lines.join("\n");
            let speaks = ["a token was sent", "rejects the token", "JWT", "issuer", "/token: "]
                .iter()
                .any(|words| text.contains(words));
            assert!(
                !speaks || bearer == Bearer::Token || code == Code::Unauthenticated,
                "{code:?} {bearer:?}\n{text}"
            );
            let file = text.contains("automountServiceAccountToken") || text.contains("--token-file");
            assert!(
                !file || bearer != Bearer::Plain || code == Code::Unauthenticated,
                "{code:?} {bearer:?}\n{text}"
            );
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
