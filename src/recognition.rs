//! Which user the API server sees in the sender of a request: by review, or else from the text of a refusal.

use crate::api::refusal::Refusal;
use crate::api::review::{self, SELF_REVIEWS, User};
use crate::api::status::{self, ANONYMOUS, Answer, Meaning, Shape};
use crate::api::{Reply, Request};
use crate::exit::Code;
use crate::failure::Failure;
use crate::identity::Bearer;
use crate::verdict;

/// A path that no server serves and no sensible role grants: its 403 names who asked.
const NOWHERE: &str = "/kubeknock/who-am-i";

/// What the API server said about one identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognition {
    /// The user, if a SelfSubjectReview was answered.
    pub user: Option<User>,
    /// The last answer, or why there is none.
    pub result: Result<Answer, Failure>,
}

impl Recognition {
    /// The user name in the server's own words.
    pub fn name(&self) -> Option<&str> {
        let words = self.result.as_ref().ok().and_then(|answer| answer.user.as_deref());
        self.user.as_ref().map(|user| user.name.as_str()).or(words)
    }

    /// The outcome for the sender of the token: 0 if the token is accepted, whatever it may do.
    pub fn code(&self, bearer: Bearer) -> Code {
        let got_in = matches!(&self.result, Ok(answer) if answer.got_in());
        match (self.name(), &self.result) {
            _ if bearer == Bearer::None && got_in => Code::Anonymous,
            (_, result) if bearer == Bearer::None => verdict::tokenless_code(result, bearer),
            (Some(ANONYMOUS), Ok(_)) => Code::Anonymous,
            (Some(_), Ok(_)) => Code::Ok,
            // A 404 comes after authorization, and a 403 after authentication.
            (None, Ok(answer))
                if matches!(
                    answer.meaning,
                    Meaning::Unserved | Meaning::Forbidden | Meaning::ReviewForbidden
                ) =>
            {
                Code::Ok
            }
            (_, result) => verdict::deciding_code(result, bearer),
        }
    }
}

/// Whether a refusal is the answer to that request; another one may name another user.
fn is_of_nowhere(refusal: &Refusal) -> bool {
    let path = refusal.what.as_ref().map(|(path, _)| path.as_str());
    refusal.user == ANONYMOUS || refusal.verb == "get" && path.is_none_or(|path| path == NOWHERE)
}

/// Asks: SelfSubjectReview in the version that is served; where none is, something that is surely refused.
pub fn recognize(send: &mut dyn FnMut(&Request) -> Result<Reply, Failure>) -> Recognition {
    for version in SELF_REVIEWS {
        let reviewed = match send(&review::self_review(version))
            .and_then(|reply| review::read(reply, "SelfSubjectReview"))
        {
            Ok(reviewed) => reviewed,
            Err(failure) => return Recognition { user: None, result: Err(failure) },
        };
        if reviewed.answer.meaning != Meaning::Unserved {
            let nameless =
                reviewed.answer.meaning == Meaning::ReviewForbidden && reviewed.answer.user.is_none();
            if nameless {
                break;
            }
            return Recognition { user: User::parse(&reviewed.status), result: Ok(reviewed.answer) };
        }
    }
    let mut result = send(&Request::get(NOWHERE)).and_then(|reply| status::answer(reply, &Shape::Path));
    if let Ok(answer) = &mut result
        && answer.meaning == Meaning::Forbidden
        && Refusal::parse(&answer.reason).is_some_and(|refusal| !is_of_nowhere(&refusal))
    {
        (answer.meaning, answer.user) = (Meaning::OtherForbidden, None);
    }
    Recognition { user: None, result }
}
