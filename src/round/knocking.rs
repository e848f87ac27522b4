//! Asks one permission over one connection, as each identity that has not asked it yet. Knows nothing of other
//! permissions.

use std::time::Instant;

use crate::api::refusal::Refusal;
use crate::api::review::is_of;
use crate::api::status::{ANONYMOUS, Answer, Meaning};
use crate::failure::Failure;
use crate::identity::{Bearer, Both, Identity};
use crate::knock::{Knock, Question};
use crate::visit::Visit;

/// Makes the knocks that are required and not made yet. Returns true if the connection itself failed.
pub fn knock(visit: &Visit, anonymous: bool, question: &Question, knocks: &mut Both<Knock>) -> bool {
    let identities = [
        (anonymous && knocks.anonymous.is_none()).then_some(Identity::Anonymous),
        (visit.bearer == Bearer::Token && knocks.token.is_none()).then_some(Identity::Token),
    ];
    let Some(request) = &question.request else { return false };
    for identity in identities.into_iter().flatten() {
        let start = Instant::now();
        let sent = visit.send(request, identity);
        let mut knock = Knock::finish(sent, &question.shape, start);
        knock.result = visit.in_time(knock.result).map(|answer| concern(visit, question, answer));
        let broken = knock.result.as_ref().is_err_and(Failure::is_connection);
        knocks.set(identity, knock);
        if broken {
            return true;
        }
    }
    false
}

/// Marks a refusal that is about something else, because it says nothing about this permission.
fn concern(visit: &Visit, question: &Question, answer: Answer) -> Answer {
    let subject = visit.claims.as_ref().and_then(|claims| claims.subject.as_deref());
    let is_about = |refusal: &Refusal| match answer.meaning {
        Meaning::Forbidden => question.attributes.is_refused_by(refusal, subject),
        Meaning::ReviewForbidden => refusal.is_of_review() && is_of(subject, refusal),
        Meaning::Granted
        | Meaning::Denied
        | Meaning::NotFound
        | Meaning::OtherForbidden
        | Meaning::Conditional
        | Meaning::Unauthenticated
        | Meaning::Unserved
        | Meaning::Unavailable
        | Meaning::Unintelligible => true,
    };
    let refusal = Refusal::parse(&answer.reason).filter(|refusal| refusal.user != ANONYMOUS);
    if refusal.is_some_and(|refusal| !is_about(&refusal)) {
        return Answer { meaning: Meaning::OtherForbidden, ..answer };
    }
    answer
}
