//! Explains a refused permission, and offers a grant unless something else than RBAC refuses it.

use crate::api::discovery::Unresolved;
use crate::api::refusal::Refusal;
use crate::api::review::Attributes;
use crate::api::status::{Answer, Meaning};
use crate::exit::Code;
use crate::identity::Bearer;
use crate::remedy;
use crate::round::{Finding, State};

/// What a grant of this permission must contain. `None` if it is not refused, or if no grant can change that.
pub fn missing(finding: &Finding, bearer: Bearer) -> Option<&Attributes> {
    let asked =
        finding.asked().filter(|asked| finding.code == Code::Forbidden && !asked.question.misspelled)?;
    let answer = finding.answer(bearer)?;
    let says_nothing = matches!(answer.meaning, Meaning::ReviewForbidden | Meaning::OtherForbidden);
    (!says_nothing && beyond_rbac(answer, finding).is_none()).then_some(&asked.question.attributes)
}

/// The reason, and the kubectl lines that would grant it to `subject`.
pub fn forbidden(
    finding: &Finding,
    answer: Option<&Answer>,
    bearer: Bearer,
    subject: Option<&str>,
) -> (Vec<String>, Vec<String>) {
    let words = answer.map(|answer| &*answer.reason).unwrap_or_default();
    let user = subject.unwrap_or("this identity");
    if let State::Unresolved(Unresolved::Answered(answer)) = &finding.state {
        let why = format!("the API server refuses discovery, which looks the name up: {}", answer.reason);
        return (vec![why], remedy::grant_default("system:discovery", subject));
    }
    let mut reason = if words.is_empty() { format!("nothing grants it to {user}") } else { words.to_owned() };
    let meaning = answer.map(|answer| answer.meaning);
    if meaning == Some(Meaning::ReviewForbidden) {
        return (vec![reason], remedy::grant_default("system:basic-user", subject));
    }
    let other = (meaning == Some(Meaning::OtherForbidden)).then(|| something_else(words));
    let beyond = answer.and_then(|answer| beyond_rbac(answer, finding));
    if let Some(why) = other.or(beyond) {
        return ([vec![reason], why].concat(), Vec::new());
    }
    if reason.contains("RBAC: ") && reason.contains("\" not found") {
        reason.push_str(
            " (a binding names a role that does not exist: create the role, or correct the binding)",
        );
    }
    let grant = match (missing(finding, bearer), subject) {
        (Some(attributes), Some(subject)) => remedy::grant(attributes, subject),
        (Some(_) | None, _) => Vec::new(),
    };
    (vec![reason], grant)
}

/// Explains a refusal that is not about the permission.
pub fn something_else(words: &str) -> Vec<String> {
    let refusal = Refusal::parse(words);
    let user = refusal.as_ref().map_or("another user", |refusal| &refusal.user);
    if refusal.as_ref().is_some_and(|refusal| refusal.verb.starts_with("impersonate")) {
        return vec![
            format!(
                "this refuses {user} something else: a proxy on the way asks as another user, and may not"
            ),
            "ask the API server itself with --server, or correct the proxy's permissions".into(),
        ];
    }
    vec![
        format!("this refuses {user} something else, and says nothing about this permission"),
        "check for a proxy, or an aggregated API server that asks in its own name: kubectl get apiservices"
            .into(),
    ]
}

/// Why no RBAC grant helps. `None`: one may help.
fn beyond_rbac(answer: &Answer, finding: &Finding) -> Option<Vec<String>> {
    // OpenShift's token scopes, Azure RBAC for AKS, GKE's IAM.
    const THEIRS: [&str; 3] = [
        "prevent this action",
        "does not have access to the resource in Azure",
        "requires one of [\"container.",
    ];
    // The messages of authorizers without an opinion on a user: ABAC, and Azure's for service accounts.
    const NO_OPINION: [&str; 3] = ["RBAC: ", "No policy matched", "Azure does not have opinion"];
    if answer.meaning == Meaning::Denied || THEIRS.iter().any(|words| answer.reason.contains(words)) {
        return Some(vec![
            "an authorizer denies it that RBAC cannot override: change that authorizer's policy".into(),
        ]);
    }
    // A review says whether it is denied; the refusal of a request does not.
    let reason = Refusal::parse(&answer.reason).filter(|_| !finding.by_review())?.reason;
    let is_rbac = |line: &str| line.is_empty() || NO_OPINION.iter().any(|words| line.starts_with(words));
    (!reason.lines().all(is_rbac)).then(|| {
        vec!["an authorizer beside RBAC gives this reason: change its policy; --review shows whether a grant helps".into()]
    })
}
