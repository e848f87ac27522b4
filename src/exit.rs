//! Every exit code of kubeknock: its number, its class, its name and its sentence, once.
//!
//! Codes are never renumbered.

/// The classes of codes. The tens digit shows them below 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// 0x: every permission is as required.
    Fine,
    /// 1x: the answer is no; a grant is needed.
    No,
    /// 2x: there is no answer (yet); a retry may help.
    NoAnswer,
    /// 3x: kubeknock could not ask; the manifest must be corrected.
    NotAsked,
    /// Above 100, as shells have it: CMD did not start, or a signal ended the process.
    Ended,
}

/// Makes the enum and everything that has a row for each code, so that no code can be left out of one of them.
macro_rules! codes {
    ($($(#[$when:meta])* $code:ident = $number:literal $class:ident $name:literal $sentence:literal;)*) => {
        /// How a run ends. The outcome of a single permission has the same names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $($(#[$when])* $code,)*
        }

        impl Code {
            /// All codes, in the order of their numbers.
            pub const ALL: &[Code] = &[$(Code::$code),*];

            /// The process's exit code.
            pub const fn number(self) -> u8 {
                match self { $(Code::$code => $number),* }
            }

            /// The name, as reports print it.
            pub const fn name(self) -> &'static str {
                match self { $(Code::$code => $name),* }
            }

            /// When it happens, in one line of help.
            pub const fn sentence(self) -> &'static str {
                match self { $(Code::$code => $sentence),* }
            }

            /// What the code asks of its reader.
            pub const fn class(self) -> Class {
                match self { $(Code::$code => Class::$class),* }
            }
        }
    };
}

codes! {
    /// Every permission is as required.
    Ok = 0 Fine "ok" "every permission is as required";
    /// 403 for the token's identity, or an access review that says no.
    Forbidden = 10 No "forbidden" "the API server refuses the permission to the token's identity";
    /// 401 although a token was sent.
    Unauthenticated = 11 No "unauthenticated" "the API server rejects the token";
    /// The API server got no token, and refuses the anonymous request.
    Anonymous = 12 No "anonymous"
        "no token to send, or the API server did not see it, and the anonymous request is refused";
    /// A `cannot` permission is granted.
    Excess = 13 No "excess" "a permission that must be refused is granted";
    /// `--forbid-anonymous`, and the anonymous knock was allowed.
    Exposed = 14 No "exposed" "the request is allowed without a token (--forbid-anonymous)";
    /// An authorizer grants the permission under conditions (KEP-5681), so it is not a plain yes.
    Conditional = 15 No "conditional" "reserved: granted under conditions";
    /// The API server's name does not resolve.
    Unresolved = 20 NoAnswer "unresolved" "the API server's name does not resolve";
    /// The TCP connection failed, or closed before an answer.
    Unreachable = 21 NoAnswer "unreachable" "connection refused, no route, reset, or closed without an answer";
    /// The TLS handshake failed.
    Untrusted = 22 NoAnswer "untrusted"
        "TLS: unknown CA, expired, wrong name, nothing in common, or no TLS at all";
    /// The deadline came first.
    Timeout = 23 NoAnswer "timeout" "no verdict before the deadline";
    /// 429 or 5xx, or an access review that was not decided.
    Unavailable = 24 NoAnswer "unavailable" "the API server answers 429 or 5xx, or could not decide";
    /// 404 or 405 without a refusal, or a resource name that discovery does not have.
    Unserved = 25 NoAnswer "unserved" "not refused, but the API server has no such resource or path";
    /// An answer that no Kubernetes API server gives.
    Unintelligible = 26 NoAnswer "unintelligible" "the answer is not from a Kubernetes API server";
    /// The command line is wrong.
    Usage = 30 NotAsked "usage" "the command line is wrong";
    /// The pod lacks what is needed to ask.
    Setup = 31 NotAsked "setup" "no mount, usable CA bundle, readable token or permission file, or namespace";
    /// A panic.
    Internal = 32 NotAsked "internal" "a defect in kubeknock: please report it";
    /// `wait -- CMD`: exec failed although CMD exists.
    NotExecutable = 126 Ended "not-executable" "CMD is not executable";
    /// `wait -- CMD`: CMD does not exist.
    NotFound = 127 Ended "not-found" "CMD was not found";
    /// SIGINT.
    Interrupted = 130 Ended "interrupted" "stopped by SIGINT";
    /// SIGTERM.
    Terminated = 143 Ended "terminated" "stopped by SIGTERM";
}

/// Picks the code of a run from the codes of its permissions, in the order they were given: the
/// first that is not as required. With `fail_open` those without an answer (2x) are passed over.
pub fn fold(codes: impl IntoIterator<Item = Code>, fail_open: bool) -> Code {
    codes
        .into_iter()
        .find(|code| match code.class() {
            Class::Fine => false,
            Class::NoAnswer => !fail_open,
            Class::No | Class::NotAsked | Class::Ended => true,
        })
        .unwrap_or(Code::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_never_changed() {
        let numbers: Vec<u8> = Code::ALL.iter().map(|code| code.number()).collect();
        assert_eq!(
            numbers,
            [0, 10, 11, 12, 13, 14, 15, 20, 21, 22, 23, 24, 25, 26, 30, 31, 32, 126, 127, 130, 143]
        );
    }

    #[test]
    fn the_tens_digit_is_the_class() {
        for code in Code::ALL {
            let class = match code.number() / 10 {
                0 => Class::Fine,
                1 => Class::No,
                2 => Class::NoAnswer,
                3 => Class::NotAsked,
                _ => Class::Ended,
            };
            assert_eq!(code.class(), class, "{}", code.name());
        }
    }

    #[test]
    fn the_first_that_is_not_as_required_decides() {
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
