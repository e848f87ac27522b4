//! Explains a granted permission, also one that must be refused.

use crate::api::status::{ANONYMOUS, Answer, Meaning};
use crate::knock::Knock;
use crate::round::Finding;
use crate::text::quote;

/// Notes about a granted permission.
pub fn allowed(finding: &Finding, answer: Option<&Answer>) -> Vec<String> {
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

/// Why a request without a token is allowed.
pub fn exposed() -> Vec<String> {
    vec![
        format!(
            "the request is allowed without a token: a binding to {ANONYMOUS} or system:unauthenticated grants it, or the \
             authorization mode is AlwaysAllow"
        ),
        "delete that binding, but keep system:public-info-viewer, which grants only /healthz, /livez, /readyz and /version".into(),
        "kubectl get rolebindings,clusterrolebindings -A -o wide | grep -E 'system:(anonymous|unauthenticated)'".into(),
    ]
}

/// A grant that no review can decide.
pub fn conditional(answer: Option<&Answer>) -> Vec<String> {
    let words = answer.map(Answer::said).unwrap_or_default();
    vec![
        format!("an authorizer grants it under conditions, which only the request itself is held to{words}"),
        "read the conditions in that authorizer's policy, or grant it without any".into(),
    ]
}

/// Why a permission that must be refused is granted.
pub fn excess(subject: Option<&str>) -> Vec<String> {
    let user = subject.unwrap_or("this identity");
    // In the wide columns a service account is NAMESPACE/NAME.
    let name = user
        .strip_prefix("system:serviceaccount:")
        .map_or_else(|| user.to_owned(), |name| name.replace(':', "/"));
    let groups = "system:(serviceaccounts|authenticated)";
    let pattern =
        if subject.is_some() { format!("{}( |,|$)|{groups}", literal(&name)) } else { groups.to_owned() };
    vec![
        format!(
            "the permission is granted to {user}, directly or through a group: delete the binding, or the rule in its role"
        ),
        format!("kubectl get rolebindings,clusterrolebindings -A -o wide | grep -E {}", quote(&pattern)),
        "keep the default ones (system:basic-user, system:discovery); what a role grants: kubectl describe clusterrole ROLE".into(),
    ]
}

/// A name as a pattern of `grep -E`.
fn literal(name: &str) -> String {
    let mut pattern = String::new();
    for c in name.chars() {
        if ".[]{}()\\*+?^$|".contains(c) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}
