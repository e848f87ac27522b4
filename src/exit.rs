//! Every exit code of kubeknock: its number, its name and its sentence, once.
//!
//! The tens digit is the class: 0x fine, 1x the answer is no, 2x there is no answer (yet), 3x it
//! could not be asked. Codes are never renumbered.

/// How a run ends. What a permission came to is told in the same words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Every permission is as required.
    Ok,
    /// 403 for the token's identity, or a review that says no.
    Forbidden,
    /// 401 although a token was sent.
    Unauthenticated,
    /// No token arrived, and the anonymous request is refused.
    Anonymous,
    /// A `cannot` permission is granted.
    Excess,
    /// `--forbid-anonymous`, and the anonymous knock got in.
    Exposed,
    /// The server's name does not resolve.
    Unresolved,
    /// Refused, no route, reset, closed without an answer.
    Unreachable,
    /// TLS did not come about.
    Untrusted,
    /// No verdict before the deadline.
    Timeout,
    /// 429 or 5xx.
    Unavailable,
    /// Not refused, but there is no such resource or path.
    Unserved,
    /// An answer that no Kubernetes API server gives.
    Unintelligible,
    /// Bad command line.
    Usage,
    /// The pod lacks what is needed to ask.
    Setup,
    /// A defect of kubeknock itself.
    Internal,
}

/// The classes of codes, by their tens digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// 0x: as wanted.
    Fine,
    /// 1x: the answer is no; it needs a grant.
    No,
    /// 2x: there is no answer (yet); worth a retry.
    NoAnswer,
    /// 3x: it could not be asked; it needs a fixed manifest.
    NotAsked,
}

impl Code {
    /// All codes, in the order of their numbers.
    pub const ALL: [Code; 16] = [
        Code::Ok,
        Code::Forbidden,
        Code::Unauthenticated,
        Code::Anonymous,
        Code::Excess,
        Code::Exposed,
        Code::Unresolved,
        Code::Unreachable,
        Code::Untrusted,
        Code::Timeout,
        Code::Unavailable,
        Code::Unserved,
        Code::Unintelligible,
        Code::Usage,
        Code::Setup,
        Code::Internal,
    ];

    /// The process's exit code.
    pub const fn number(self) -> u8 {
        self.facts().0
    }

    /// The name, as reports print it.
    pub const fn name(self) -> &'static str {
        self.facts().1
    }

    /// When it happens, in one line of help.
    pub const fn sentence(self) -> &'static str {
        self.facts().2
    }

    /// What the code asks of whoever reads it.
    pub const fn class(self) -> Class {
        match self.number() / 10 {
            0 => Class::Fine,
            1 => Class::No,
            2 => Class::NoAnswer,
            _ => Class::NotAsked,
        }
    }

    const fn facts(self) -> (u8, &'static str, &'static str) {
        match self {
            Code::Ok => (0, "ok", "every permission is as required"),
            Code::Forbidden => (10, "forbidden", "the API server refuses it to the token's identity"),
            Code::Unauthenticated => (11, "unauthenticated", "the API server does not accept the token"),
            Code::Anonymous => (12, "anonymous", "no token was sent or seen, and anonymous is refused"),
            Code::Excess => (13, "excess", "a permission that must not be there is granted"),
            Code::Exposed => (14, "exposed", "it is open without a token (--forbid-anonymous)"),
            Code::Unresolved => (20, "unresolved", "the server's name does not resolve"),
            Code::Unreachable => (21, "unreachable", "refused, no route, reset, or closed without an answer"),
            Code::Untrusted => (22, "untrusted", "TLS: unknown CA, expired, wrong name, or no TLS at all"),
            Code::Timeout => (23, "timeout", "no verdict before the deadline"),
            Code::Unavailable => (24, "unavailable", "the API server answers 429 or 5xx"),
            Code::Unserved => (25, "unserved", "not refused, but there is no such resource or path"),
            Code::Unintelligible => (26, "unintelligible", "the answer is none of a Kubernetes API server's"),
            Code::Usage => (30, "usage", "bad command line"),
            Code::Setup => (31, "setup", "no mount, CA bundle, readable token or namespace"),
            Code::Internal => (32, "internal", "a defect of kubeknock itself: please report it"),
        }
    }
}

/// Picks the code of a run from the codes of its permissions, in the order they were given: the
/// first that is not as wanted. With `fail_open` those without an answer (2x) are passed over.
pub fn fold(codes: impl IntoIterator<Item = Code>, fail_open: bool) -> Code {
    codes
        .into_iter()
        .find(|code| match code.class() {
            Class::Fine => false,
            Class::NoAnswer => !fail_open,
            Class::No | Class::NotAsked => true,
        })
        .unwrap_or(Code::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_never_changed() {
        let numbers: Vec<u8> = Code::ALL.iter().map(|code| code.number()).collect();
        assert_eq!(numbers, [0, 10, 11, 12, 13, 14, 20, 21, 22, 23, 24, 25, 26, 30, 31, 32]);
    }

    #[test]
    fn the_first_that_is_not_as_wanted_decides() {
        use Code::{Excess, Forbidden, Ok, Timeout, Unavailable, Usage};
        for (codes, fail_open, expected) in [
            (vec![], false, Ok),
            (vec![Ok, Ok], false, Ok),
            (vec![Ok, Forbidden, Excess], false, Forbidden),
            (vec![Timeout, Forbidden], false, Timeout),
            (vec![Timeout, Forbidden], true, Forbidden),
            (vec![Timeout, Unavailable], true, Ok),
            (vec![Unavailable, Usage], true, Usage),
        ] {
            assert_eq!(fold(codes.clone(), fail_open), expected, "{codes:?} fail_open={fail_open}");
        }
    }
}
