//! The rules of a namespace: asks for them, and says how far the list can be relied on. Prints nothing.

pub mod only;

use crate::api::review::{self, Reviewed, Rules};
use crate::api::status::Answer;
use crate::failure::Failure;
use crate::visit::Visit;

/// Asks for the rules of a namespace as the identity that decides. No answer, no rules.
pub fn list(visit: &Visit, namespace: &str) -> (Result<Answer, Failure>, Rules) {
    let read = |reply| review::read(reply, "SelfSubjectRulesReview");
    match visit.ask(&review::rules_review(namespace), visit.bearer.deciding(), read) {
        Ok(Reviewed { answer, status }) => (Ok(answer), Rules::parse(&status)),
        Err(failure) => (Err(failure), Rules::default()),
    }
}

/// Why the list may be incomplete, in words.
pub fn doubt(rules: &Rules) -> Option<String> {
    let error = if rules.error.is_empty() { String::new() } else { format!(": {}", rules.error) };
    if rules.incomplete {
        return Some(format!(
            "the API server says that this list is incomplete (an authorizer such as a webhook or Node cannot list its \
             rules){error}: ask about a permission that is not listed with kubeknock check"
        ));
    }
    (!rules.error.is_empty())
        .then(|| format!("some rules cannot be read, so this list may be incomplete{error}"))
}
