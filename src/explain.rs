//! What happened, the likely cause, what to type: at most three lines for every outcome.

use crate::api::discovery::Unresolved;
use crate::api::status::{ANONYMOUS, Answer, Meaning};
use crate::cluster::Cluster;
use crate::exit::Code;
use crate::failure::Failure;
use crate::remedy;
use crate::round::{Finding, Round, deciding_answer};
use crate::token::Claims;
use crate::verdict::Bearer;

/// What the explanations draw on, beside the finding.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Whose round.
    pub round: &'a Round,
    /// Where.
    pub cluster: &'a Cluster,
    /// Seconds since 1970.
    pub now: i64,
}

impl<'a> Context<'a> {
    fn place(self) -> Place<'a> {
        Place { cluster: self.cluster, claims: self.round.claims.as_ref(), now: self.now }
    }
}

/// What there is to know of the caller, where no permission was asked.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Where.
    pub cluster: &'a Cluster,
    /// What the token says of itself.
    pub claims: Option<&'a Claims>,
    /// Seconds since 1970.
    pub now: i64,
}

/// Why a request that asks no permission (`whoami`, `rules`) came to this, and what to do.
pub fn outcome(
    code: Code,
    outcome: &Result<Answer, Failure>,
    bearer: Bearer,
    place: Place<'_>,
) -> Vec<String> {
    let words = outcome.as_ref().map_or_else(Failure::text, |answer| &answer.reason);
    let mut why = match (code, outcome) {
        (Code::Allowed, _) => return Vec::new(),
        (Code::Unauthenticated, _) => vec![unauthenticated(place)],
        (Code::Anonymous, _) => vec![anonymous(words, bearer, place.cluster)],
        (Code::Forbidden, _) | (_, Err(_)) => vec![words.to_owned()],
        (_, Ok(answer)) => vec![format!("status {} {words}", answer.status).trim_end().to_owned()],
    };
    if code == Code::Forbidden {
        why.extend(remedy::grant_reviews());
    }
    why.extend(advice(code).map(str::to_owned));
    why
}

/// An explanation: sentences, and the lines to type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// Why.
    pub why: Vec<String>,
    /// kubectl lines that mend it.
    pub remedy: Vec<String>,
}

/// Explains what a finding came to; nothing where it is as wanted and there is nothing to know.
pub fn explain(finding: &Finding, context: Context<'_>) -> Explanation {
    let mut explanation = Explanation::default();
    if let Some(question) = &finding.question {
        explanation.why.extend(question.notes.iter().cloned());
    }
    if !finding.asked && finding.code != Code::Anonymous {
        return explanation;
    }
    let answer = deciding_answer(finding, context.round.bearer);
    let (why, remedy) = match finding.code {
        Code::Allowed => (allowed(finding, answer), Vec::new()),
        Code::Forbidden => forbidden(finding, answer, context),
        Code::Unauthenticated => (vec![unauthenticated(context.place())], Vec::new()),
        Code::Anonymous => {
            let words = answer.map(|answer| answer.reason.as_str()).unwrap_or_default();
            (vec![anonymous(words, context.round.bearer, context.cluster)], Vec::new())
        }
        Code::Excess => {
            let whom = context.round.subject().unwrap_or("the token's identity");
            (
                vec![format!(
                    "it is granted to {whom}; look for the binding: kubectl get rolebindings,clusterrolebindings -A -o wide"
                )],
                Vec::new(),
            )
        }
        Code::Exposed => (
            vec![format!(
                "anybody may: look for a binding to {ANONYMOUS} or system:unauthenticated, or an authorization mode AlwaysAllow"
            )],
            Vec::new(),
        ),
        Code::Unserved => (unserved(finding, answer), Vec::new()),
        code => (no_answer(code, finding, answer), Vec::new()),
    };
    explanation.why.extend(why);
    explanation.remedy = remedy;
    explanation
}

fn allowed(finding: &Finding, answer: Option<&Answer>) -> Vec<String> {
    if answer.is_some_and(|answer| answer.meaning == Meaning::Absent) {
        return vec!["it does not exist; authorization comes first, and that is given".into()];
    }
    let open = matches!(&finding.anonymous, Some(knock) if knock.result.as_ref().is_ok_and(Answer::got_in));
    if open && finding.token.is_some() {
        return vec!["it is open to everybody, and says nothing of the token".into()];
    }
    Vec::new()
}

fn forbidden(finding: &Finding, answer: Option<&Answer>, context: Context<'_>) -> (Vec<String>, Vec<String>) {
    let reason: Vec<String> =
        answer.map(|answer| answer.reason.clone()).into_iter().filter(|reason| !reason.is_empty()).collect();
    if let Some(Unresolved::Answered(answer)) = &finding.unresolved {
        let why = format!("the name cannot be looked up: {}", answer.reason);
        return (
            vec![why],
            vec!["kubectl create clusterrolebinding system:discovery --clusterrole=system:discovery --group=system:authenticated".into()],
        );
    }
    if answer.is_some_and(|answer| answer.meaning == Meaning::ReviewRefused) {
        return (reason, remedy::grant_reviews());
    }
    let grant = match (&finding.question, context.round.subject()) {
        (Some(question), Some(subject)) => remedy::grant(&question.attributes, subject),
        _ => Vec::new(),
    };
    (reason, grant)
}

/// Why a 401 came although a token was sent.
fn unauthenticated(place: Place<'_>) -> String {
    let path = place.cluster.token_path();
    match place.claims {
        Some(claims) => format!("{}: {}", path.display(), claims.explain_rejection(place.now)),
        None => format!("{}: what it holds is no service account token (no JWT)", path.display()),
    }
}

/// `words`: the server's own.
fn anonymous(words: &str, bearer: Bearer, cluster: &Cluster) -> String {
    match bearer {
        Bearer::Token => format!(
            "a token was sent and the API server saw {ANONYMOUS}: something on the way takes the Authorization header off"
        ),
        Bearer::None => format!(
            "no token to send: {} is missing or empty (automountServiceAccountToken: false, or no token projected there)",
            cluster.token_path().display()
        ),
        Bearer::Plain => format!(
            "over plain HTTP the token stays home, and whoever listens there has no identity of its own: {words}"
        ),
    }
}

fn unserved(finding: &Finding, answer: Option<&Answer>) -> Vec<String> {
    match &finding.unresolved {
        Some(Unresolved::Unknown { nearest, .. }) if nearest.is_empty() => {
            vec!["the API server serves no resource of that name: see kubectl api-resources".into()]
        }
        Some(Unresolved::Unknown { nearest, .. }) => {
            vec![format!(
                "the API server serves no resource of that name; close to it: {}",
                nearest.join(", ")
            )]
        }
        _ => vec![format!(
            "it is not refused, but it is not there: {}",
            answer.map(|answer| answer.reason.as_str()).unwrap_or_default()
        )],
    }
}

fn no_answer(code: Code, finding: &Finding, answer: Option<&Answer>) -> Vec<String> {
    let failures = [&finding.token, &finding.anonymous].into_iter().flatten();
    let failure =
        failures.filter_map(|knock| knock.result.as_ref().err()).find(|failure| failure.code() == code);
    let mut why: Vec<String> = match (&finding.unresolved, failure, answer) {
        (Some(Unresolved::Failed(failure)), ..) | (_, Some(failure), _) => vec![failure.text().to_owned()],
        (Some(Unresolved::Answered(answer)), ..) | (_, _, Some(answer)) => {
            vec![format!("status {} {}", answer.status, answer.reason).trim_end().to_owned()]
        }
        (Some(Unresolved::Unknown { silent, .. }), ..) => {
            vec![format!(
                "the name may be of an API group whose server does not answer: {}",
                silent.join(", ")
            )]
        }
        _ => Vec::new(),
    };
    why.extend(advice(code).map(str::to_owned));
    why
}

/// What to look at when there is no answer.
pub fn advice(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::Unresolved => {
            "the address in KUBERNETES_SERVICE_HOST needs no name: do the variables reach this container? else look at its resolv.conf"
        }
        Code::Unreachable => {
            "is it the right address, is the API server up, does a NetworkPolicy or a mesh stand between?"
        }
        Code::Untrusted => {
            "is it the API server's own port, its own ca.crt, a name of its certificate (--tls-server-name), the right time?"
        }
        Code::Timeout => {
            "nothing answered in time: a NetworkPolicy that drops packets, an overloaded API server, or too short a --timeout"
        }
        Code::Unavailable => "the API server is there and cannot answer yet; asking again later is right",
        Code::Unintelligible => {
            "something else answers at this address: a proxy, a portal, a mesh; check --server"
        }
        _ => return None,
    })
}
