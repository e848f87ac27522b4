//! Answers become a verdict: pure, and held by a truth table.

use crate::api::status::{ANONYMOUS, Answer, Meaning};
use crate::exit::{Class, Code};
use crate::failure::Failure;
use crate::permission::Expected;

/// What one knock got.
pub type Outcome = Result<Answer, Failure>;

/// Whether a token goes with the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearer {
    /// There is one, and it is sent over TLS.
    Token,
    /// There is none.
    None,
    /// Over plain HTTP (`kubectl proxy`) it stays home; the proxy has an identity of its own.
    Plain,
}

/// The verdict on one permission. The token knock decides; the anonymous one decides where there is
/// no token, and with `forbid_anonymous`. `None` for a knock: it was not made.
pub fn decide(
    expected: Expected,
    anonymous: Option<&Outcome>,
    token: Option<&Outcome>,
    bearer: Bearer,
    forbid_anonymous: bool,
) -> Code {
    if forbid_anonymous && matches!(anonymous, Some(Ok(answer)) if answer.got_in()) {
        return Code::Exposed;
    }
    let deciding = match bearer {
        // Where the connection itself fails, the first knock's failure is the token's too.
        Bearer::Token => token.or(anonymous.filter(|outcome| outcome.is_err())).map(token_code),
        Bearer::None | Bearer::Plain => anonymous.map(|outcome| tokenless_code(outcome, bearer)),
    };
    // No knock that could decide: without a token that is what --token-only comes to.
    let Some(granted) = deciding else {
        return if bearer == Bearer::None { Code::Anonymous } else { Code::Timeout };
    };
    let review_refused =
        matches!(token.or(anonymous), Some(Ok(answer)) if answer.meaning == Meaning::ReviewForbidden);
    let wanted = match (expected, granted) {
        (Expected::Cannot, Code::Allowed) => Code::Excess,
        (Expected::Cannot, Code::Forbidden) if !review_refused => Code::Allowed,
        (_, code) => code,
    };
    // With --forbid-anonymous "not exposed" has to be shown, too.
    match (wanted, anonymous) {
        (Code::Allowed, Some(outcome)) if forbid_anonymous => unanswered(outcome).unwrap_or(Code::Allowed),
        _ => wanted,
    }
}

/// The code of an answer or failure to the request that decides.
pub fn deciding_code(outcome: &Outcome, bearer: Bearer) -> Code {
    match bearer {
        Bearer::Token => token_code(outcome),
        Bearer::None | Bearer::Plain => tokenless_code(outcome, bearer),
    }
}

/// The code of an answer or failure to a request that carried the token.
pub fn token_code(outcome: &Outcome) -> Code {
    match outcome {
        Err(failure) => failure.code(),
        Ok(answer) => match answer.meaning {
            Meaning::Granted | Meaning::NotFound => Code::Allowed,
            Meaning::Forbidden | Meaning::ReviewForbidden if answer.user.as_deref() == Some(ANONYMOUS) => {
                Code::Anonymous
            }
            Meaning::Forbidden | Meaning::ReviewForbidden => Code::Forbidden,
            Meaning::Unauthenticated => Code::Unauthenticated,
            Meaning::Unserved => Code::Unserved,
            Meaning::Unavailable => Code::Unavailable,
            Meaning::Unintelligible => Code::Unintelligible,
        },
    }
}

/// The code of an answer or failure to a request without a token, where that one decides.
pub fn tokenless_code(outcome: &Outcome, bearer: Bearer) -> Code {
    match outcome {
        Ok(Answer { meaning: Meaning::Forbidden | Meaning::ReviewForbidden, user: Some(user), .. })
            if bearer == Bearer::Plain && user != ANONYMOUS =>
        {
            Code::Forbidden
        }
        // A review's own no names nobody; over kubectl proxy it is the proxy's identity that is refused.
        Ok(Answer { meaning: Meaning::Forbidden, user: None, .. }) if bearer == Bearer::Plain => {
            Code::Forbidden
        }
        Ok(Answer {
            meaning: Meaning::Forbidden | Meaning::ReviewForbidden | Meaning::Unauthenticated,
            ..
        }) => Code::Anonymous,
        other => token_code(other),
    }
}

fn unanswered(outcome: &Outcome) -> Option<Code> {
    let code = token_code(outcome);
    (code.class() == Class::NoAnswer && code != Code::Unserved).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(meaning: Meaning, user: &str) -> Answer {
        let status = 200;
        let user = (!user.is_empty()).then(|| user.to_owned());
        Answer { status, meaning, user, reason: String::new(), retry_after: None }
    }

    fn outcome(name: &str) -> Option<Outcome> {
        Some(match name {
            "-" => return None,
            "2xx" => Ok(answer(Meaning::Granted, "")),
            "absent" => Ok(answer(Meaning::NotFound, "")),
            "403 sa" => Ok(answer(Meaning::Forbidden, "system:serviceaccount:ns-1:k-sa-1")),
            "403 anon" => Ok(answer(Meaning::Forbidden, ANONYMOUS)),
            "no" => Ok(answer(Meaning::Forbidden, "")),
            "review 403 sa" => Ok(answer(Meaning::ReviewForbidden, "system:serviceaccount:ns-1:k-sa-1")),
            "review 403 anon" => Ok(answer(Meaning::ReviewForbidden, ANONYMOUS)),
            "401" => Ok(answer(Meaning::Unauthenticated, "")),
            "404" => Ok(answer(Meaning::Unserved, "")),
            "5xx" => Ok(answer(Meaning::Unavailable, "")),
            "html" => Ok(answer(Meaning::Unintelligible, "")),
            "dns" => Err(Failure::Unresolved(String::new())),
            "refused" => Err(Failure::Unreachable(String::new())),
            "closed" => Err(Failure::Closed(String::new())),
            "tls" => Err(Failure::Untrusted(String::new())),
            "silent" => Err(Failure::Timeout(String::new())),
            other => panic!("{other}"),
        })
    }

    /// Anonymous knock, token knock, code for `can`, code for `cannot`: with a token.
    #[test]
    fn the_token_knock_decides() {
        use Code::{
            Allowed, Anonymous, Excess, Forbidden, Timeout, Unauthenticated, Unavailable, Unintelligible,
            Unreachable, Unresolved, Unserved, Untrusted,
        };
        for (anonymous, token, can, cannot) in [
            ("403 anon", "2xx", Allowed, Excess),
            ("403 anon", "absent", Allowed, Excess),
            ("2xx", "2xx", Allowed, Excess),
            ("403 anon", "403 sa", Forbidden, Allowed),
            ("review 403 anon", "no", Forbidden, Allowed),
            ("403 anon", "403 anon", Anonymous, Anonymous),
            ("403 anon", "401", Unauthenticated, Unauthenticated),
            ("2xx", "401", Unauthenticated, Unauthenticated),
            ("401", "2xx", Allowed, Excess),
            ("401", "403 sa", Forbidden, Allowed),
            ("401", "401", Unauthenticated, Unauthenticated),
            ("403 anon", "404", Unserved, Unserved),
            ("403 anon", "5xx", Unavailable, Unavailable),
            ("5xx", "2xx", Allowed, Excess),
            ("403 anon", "html", Unintelligible, Unintelligible),
            ("review 403 anon", "review 403 sa", Forbidden, Forbidden),
            ("closed", "2xx", Allowed, Excess),
            ("closed", "closed", Unreachable, Unreachable),
            ("403 anon", "silent", Timeout, Timeout),
            ("-", "2xx", Allowed, Excess),
            ("-", "dns", Unresolved, Unresolved),
            ("-", "refused", Unreachable, Unreachable),
            ("-", "tls", Untrusted, Untrusted),
        ] {
            for (expected, code) in [(Expected::Can, can), (Expected::Cannot, cannot)] {
                let (anonymous, token) = (outcome(anonymous), outcome(token));
                let found = decide(expected, anonymous.as_ref(), token.as_ref(), Bearer::Token, false);
                assert_eq!(found, code, "{expected:?} {anonymous:?} {token:?}");
            }
        }
    }

    #[test]
    fn without_a_token_the_other_knock_decides() {
        use Code::{Allowed, Anonymous, Excess, Forbidden, Unavailable, Unserved};
        for (bearer, anonymous, can, cannot) in [
            (Bearer::None, "2xx", Allowed, Excess),
            (Bearer::None, "403 anon", Anonymous, Anonymous),
            (Bearer::None, "401", Anonymous, Anonymous),
            (Bearer::None, "review 403 anon", Anonymous, Anonymous),
            (Bearer::None, "5xx", Unavailable, Unavailable),
            (Bearer::None, "-", Anonymous, Anonymous),
            (Bearer::Plain, "2xx", Allowed, Excess),
            (Bearer::Plain, "403 sa", Forbidden, Allowed),
            (Bearer::Plain, "no", Forbidden, Allowed),
            (Bearer::Plain, "403 anon", Anonymous, Anonymous),
            (Bearer::Plain, "review 403 sa", Forbidden, Forbidden),
            (Bearer::Plain, "404", Unserved, Unserved),
        ] {
            for (expected, code) in [(Expected::Can, can), (Expected::Cannot, cannot)] {
                let anonymous = outcome(anonymous);
                assert_eq!(
                    decide(expected, anonymous.as_ref(), None, bearer, false),
                    code,
                    "{bearer:?} {anonymous:?}"
                );
            }
        }
    }

    #[test]
    fn forbid_anonymous() {
        use Code::{Allowed, Exposed, Forbidden, Timeout, Unavailable, Unserved};
        for (anonymous, token, code) in [
            ("2xx", "2xx", Exposed),
            ("absent", "2xx", Exposed),
            ("2xx", "403 sa", Exposed),
            ("403 anon", "2xx", Allowed),
            ("401", "2xx", Allowed),
            ("403 anon", "403 sa", Forbidden),
            ("5xx", "2xx", Unavailable),
            ("silent", "2xx", Timeout),
            ("5xx", "403 sa", Forbidden),
            ("404", "404", Unserved),
        ] {
            let (anonymous, token) = (outcome(anonymous), outcome(token));
            let found = decide(Expected::Can, anonymous.as_ref(), token.as_ref(), Bearer::Token, true);
            assert_eq!(found, code, "{anonymous:?} {token:?}");
        }
    }
}
