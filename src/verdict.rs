//! Turns answers into a verdict. Pure, and tested with a truth table.

use crate::api::status::{ANONYMOUS, Answer, Meaning};
use crate::exit::{Class, Code};
use crate::failure::Failure;
use crate::identity::{Bearer, Both};
use crate::knock::Knock;
use crate::permission::Expected;

/// The verdict on one permission: the knock that decides, or with `forbid_anonymous` the anonymous one.
pub fn decide(expected: Expected, knocks: &Both<Knock>, bearer: Bearer, forbid_anonymous: bool) -> Code {
    let anonymous = knocks.anonymous.as_ref().map(|knock| &knock.result);
    if forbid_anonymous && matches!(anonymous, Some(Ok(answer)) if answer.got_in()) {
        return Code::Exposed;
    }
    let Some(Knock { result: deciding, .. }) = knocks.deciding(bearer) else {
        return match bearer {
            Bearer::None => Code::Anonymous,
            Bearer::Token | Bearer::Plain => Code::Timeout,
        };
    };
    // Neither of these refuses this permission.
    let says_nothing =
        matches!(deciding, Ok(Answer { meaning: Meaning::ReviewForbidden | Meaning::OtherForbidden, .. }));
    let code = match (expected, deciding_code(deciding, bearer)) {
        (Expected::Cannot, Code::Ok) => Code::Excess,
        (Expected::Cannot, Code::Forbidden) if !says_nothing => Code::Ok,
        (Expected::Can | Expected::Cannot, code) => code,
    };
    // With --forbid-anonymous "not exposed" has to be shown, too.
    if code == Code::Ok && forbid_anonymous {
        return anonymous.and_then(unanswered).unwrap_or(Code::Ok);
    }
    code
}

/// The code of an answer or failure to the request that decides.
pub fn deciding_code(result: &Result<Answer, Failure>, bearer: Bearer) -> Code {
    match bearer {
        Bearer::Token => token_code(result),
        Bearer::None | Bearer::Plain => tokenless_code(result, bearer),
    }
}

/// The code of an answer or failure to a request that carried the token.
pub fn token_code(result: &Result<Answer, Failure>) -> Code {
    match result {
        Err(failure) => failure.code(),
        Ok(answer) => match answer.meaning {
            Meaning::Granted | Meaning::NotFound => Code::Ok,
            Meaning::Forbidden | Meaning::ReviewForbidden if answer.user.as_deref() == Some(ANONYMOUS) => {
                Code::Anonymous
            }
            Meaning::Forbidden | Meaning::Denied | Meaning::ReviewForbidden | Meaning::OtherForbidden => {
                Code::Forbidden
            }
            Meaning::Conditional => Code::Conditional,
            Meaning::Unauthenticated => Code::Unauthenticated,
            Meaning::Unserved => Code::Unserved,
            Meaning::Unavailable => Code::Unavailable,
            Meaning::Unintelligible => Code::Unintelligible,
        },
    }
}

/// The code of an answer or failure to a request without a token, where that one decides.
pub fn tokenless_code(result: &Result<Answer, Failure>, bearer: Bearer) -> Code {
    let Ok(Answer { meaning, user, .. }) = result else { return token_code(result) };
    let user = user.as_deref();
    match meaning {
        // Over kubectl proxy it is the proxy's identity that is refused. A review's own no names no user.
        Meaning::OtherForbidden if bearer == Bearer::Plain => Code::Forbidden,
        Meaning::Forbidden | Meaning::Denied if bearer == Bearer::Plain && user != Some(ANONYMOUS) => {
            Code::Forbidden
        }
        Meaning::ReviewForbidden if bearer == Bearer::Plain && user.is_some_and(|user| user != ANONYMOUS) => {
            Code::Forbidden
        }
        Meaning::Forbidden
        | Meaning::Denied
        | Meaning::ReviewForbidden
        | Meaning::OtherForbidden
        | Meaning::Unauthenticated => Code::Anonymous,
        Meaning::Granted
        | Meaning::NotFound
        | Meaning::Conditional
        | Meaning::Unserved
        | Meaning::Unavailable
        | Meaning::Unintelligible => token_code(result),
    }
}

fn unanswered(result: &Result<Answer, Failure>) -> Option<Code> {
    let code = token_code(result);
    (code.class() == Class::NoAnswer && code != Code::Unserved).then_some(code)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::failure::Flaw;

    fn answer(meaning: Meaning, user: &str) -> Answer {
        let status = 200;
        let user = (!user.is_empty()).then(|| user.into());
        Answer { status, meaning, user, reason: "".into(), retry_after: None, skew: None }
    }

    fn knock(name: &str) -> Option<Knock> {
        let result = match name {
            "-" => return None,
            "2xx" => Ok(answer(Meaning::Granted, "")),
            "absent" => Ok(answer(Meaning::NotFound, "")),
            "403 sa" => Ok(answer(Meaning::Forbidden, "system:serviceaccount:ns-1:k-sa-1")),
            "403 anon" => Ok(answer(Meaning::Forbidden, ANONYMOUS)),
            "no" => Ok(answer(Meaning::Forbidden, "")),
            "denied" => Ok(answer(Meaning::Denied, "")),
            "review 403 sa" => Ok(answer(Meaning::ReviewForbidden, "system:serviceaccount:ns-1:k-sa-1")),
            "other 403" => Ok(answer(Meaning::OtherForbidden, "kube-apiserver")),
            "conditions" => Ok(answer(Meaning::Conditional, "")),
            "review 403 anon" => Ok(answer(Meaning::ReviewForbidden, ANONYMOUS)),
            "401" => Ok(answer(Meaning::Unauthenticated, "")),
            "404" => Ok(answer(Meaning::Unserved, "")),
            "5xx" => Ok(answer(Meaning::Unavailable, "")),
            "html" => Ok(answer(Meaning::Unintelligible, "")),
            "dns" => Err(Failure::Unresolved(String::new())),
            "refused" => Err(Failure::Unreachable(String::new())),
            "closed" => Err(Failure::Closed(String::new())),
            "tls" => Err(Failure::Untrusted(Flaw::Other, String::new())),
            "silent" => Err(Failure::Timeout(String::new())),
            other => panic!("{other}"),
        };
        Some(Knock { result, elapsed: Duration::ZERO })
    }

    fn both(anonymous: &str, token: &str) -> Both<Knock> {
        Both { anonymous: knock(anonymous), token: knock(token) }
    }

    /// Anonymous knock, token knock, code for `can`, code for `cannot`: with a token.
    #[test]
    fn the_token_knock_decides() {
        use Code::{
            Anonymous, Conditional, Excess, Forbidden, Ok, Timeout, Unauthenticated, Unavailable,
            Unintelligible, Unreachable, Unresolved, Unserved, Untrusted,
        };
        for (anonymous, token, can, cannot) in [
            ("403 anon", "2xx", Ok, Excess),
            ("403 anon", "absent", Ok, Excess),
            ("2xx", "2xx", Ok, Excess),
            ("403 anon", "403 sa", Forbidden, Ok),
            ("review 403 anon", "no", Forbidden, Ok),
            ("403 anon", "403 anon", Anonymous, Anonymous),
            ("403 anon", "401", Unauthenticated, Unauthenticated),
            ("2xx", "401", Unauthenticated, Unauthenticated),
            ("401", "2xx", Ok, Excess),
            ("401", "403 sa", Forbidden, Ok),
            ("401", "401", Unauthenticated, Unauthenticated),
            ("403 anon", "404", Unserved, Unserved),
            ("403 anon", "5xx", Unavailable, Unavailable),
            ("5xx", "2xx", Ok, Excess),
            ("403 anon", "html", Unintelligible, Unintelligible),
            ("review 403 anon", "review 403 sa", Forbidden, Forbidden),
            ("review 403 anon", "denied", Forbidden, Ok),
            ("403 anon", "other 403", Forbidden, Forbidden),
            ("403 anon", "conditions", Conditional, Conditional),
            ("other 403", "2xx", Ok, Excess),
            ("403 anon", "review 403 anon", Anonymous, Anonymous),
            ("2xx", "other 403", Forbidden, Forbidden),
            ("2xx", "conditions", Conditional, Conditional),
            ("401", "404", Unserved, Unserved),
            ("html", "2xx", Ok, Excess),
            ("closed", "2xx", Ok, Excess),
            ("closed", "closed", Unreachable, Unreachable),
            ("403 anon", "silent", Timeout, Timeout),
            ("-", "2xx", Ok, Excess),
            ("-", "dns", Unresolved, Unresolved),
            ("-", "refused", Unreachable, Unreachable),
            ("-", "tls", Untrusted, Untrusted),
        ] {
            for (expected, code) in [(Expected::Can, can), (Expected::Cannot, cannot)] {
                let found = decide(expected, &both(anonymous, token), Bearer::Token, false);
                assert_eq!(found, code, "{expected:?} {anonymous} {token}");
            }
        }
    }

    #[test]
    fn without_a_token_the_other_knock_decides() {
        use Code::{
            Anonymous, Conditional, Excess, Forbidden, Ok, Timeout, Unavailable, Unintelligible, Unserved,
            Untrusted,
        };
        for (bearer, anonymous, can, cannot) in [
            (Bearer::None, "2xx", Ok, Excess),
            (Bearer::None, "403 anon", Anonymous, Anonymous),
            (Bearer::None, "401", Anonymous, Anonymous),
            (Bearer::None, "review 403 anon", Anonymous, Anonymous),
            (Bearer::None, "other 403", Anonymous, Anonymous),
            (Bearer::None, "403 sa", Anonymous, Anonymous),
            (Bearer::None, "no", Anonymous, Anonymous),
            (Bearer::None, "conditions", Conditional, Conditional),
            (Bearer::None, "absent", Ok, Excess),
            (Bearer::None, "404", Unserved, Unserved),
            (Bearer::None, "html", Unintelligible, Unintelligible),
            (Bearer::None, "tls", Untrusted, Untrusted),
            (Bearer::None, "silent", Timeout, Timeout),
            (Bearer::None, "5xx", Unavailable, Unavailable),
            (Bearer::None, "-", Anonymous, Anonymous),
            (Bearer::None, "denied", Anonymous, Anonymous),
            (Bearer::Plain, "denied", Forbidden, Ok),
            (Bearer::None, "other 403", Anonymous, Anonymous),
            (Bearer::Plain, "other 403", Forbidden, Forbidden),
            (Bearer::Plain, "2xx", Ok, Excess),
            (Bearer::Plain, "403 sa", Forbidden, Ok),
            (Bearer::Plain, "no", Forbidden, Ok),
            (Bearer::Plain, "403 anon", Anonymous, Anonymous),
            (Bearer::Plain, "review 403 sa", Forbidden, Forbidden),
            (Bearer::Plain, "review 403 anon", Anonymous, Anonymous),
            (Bearer::Plain, "other 403", Forbidden, Forbidden),
            (Bearer::Plain, "401", Anonymous, Anonymous),
            (Bearer::Plain, "conditions", Conditional, Conditional),
            (Bearer::Plain, "absent", Ok, Excess),
            (Bearer::Plain, "404", Unserved, Unserved),
            (Bearer::Plain, "5xx", Unavailable, Unavailable),
            (Bearer::Plain, "-", Timeout, Timeout),
        ] {
            for (expected, code) in [(Expected::Can, can), (Expected::Cannot, cannot)] {
                let found = decide(expected, &both(anonymous, "-"), bearer, false);
                assert_eq!(found, code, "{bearer:?} {anonymous}");
            }
        }
    }

    #[test]
    fn forbid_anonymous() {
        use Code::{Exposed, Forbidden, Ok, Timeout, Unavailable, Unintelligible, Unserved};
        for (anonymous, token, code) in [
            ("2xx", "2xx", Exposed),
            ("absent", "2xx", Exposed),
            ("2xx", "403 sa", Exposed),
            ("403 anon", "2xx", Ok),
            ("401", "2xx", Ok),
            ("403 anon", "403 sa", Forbidden),
            ("5xx", "2xx", Unavailable),
            ("silent", "2xx", Timeout),
            ("5xx", "403 sa", Forbidden),
            ("404", "404", Unserved),
            ("conditions", "2xx", Ok),
            ("other 403", "2xx", Ok),
            ("2xx", "conditions", Exposed),
            ("403 anon", "other 403", Forbidden),
            ("html", "2xx", Unintelligible),
        ] {
            let found = decide(Expected::Can, &both(anonymous, token), Bearer::Token, true);
            assert_eq!(found, code, "{anonymous} {token}");
        }
    }
}
