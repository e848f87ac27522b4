//! The bearer token: read, checked, sent, never shown; and what it claims about itself.
//!
//! Claims are read without verifying the signature: they explain an answer and decide nothing.

pub mod form;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::failure::Fault;
use crate::time::deadline::Deadline;
use crate::time::duration::span;
use crate::time::reading::{Content, Unread, read};

/// Longer is not a token; bound service account tokens have about 1 KiB.
const LONGEST: usize = 64 * 1024;

/// A shorter token is a word, such as a user's name, and may be in any answer.
const SHORTEST_SECRET: usize = 16;

/// A bearer token. Its text leaves this type only for a request header.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Arc<str>);

impl Token {
    /// Reads the file and trims it. `None` where it is missing or empty: there is no token to send. A file
    /// that is there and cannot be used is a setup fault; one that gives nothing until the deadline, a timeout.
    pub fn read(path: &Path, deadline: Deadline) -> Result<Option<Token>, Fault> {
        let fault = |why: &str| Fault::Setup(format!("token file {}: {why}", path.display()));
        let bytes = match read(path, LONGEST, deadline) {
            Ok(Content::Whole(bytes)) => bytes,
            Ok(Content::TooLarge) => return Err(fault("larger than 64 KiB: this is not a bearer token")),
            Ok(Content::EmptyPipe) => return Err(fault(Content::READ_ONCE)),
            Err(Unread::Broken(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(Unread::Broken(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(fault(&format!("{error}; it must be readable by this user (see fsGroup)")));
            }
            Err(Unread::Broken(error)) => return Err(fault(&error.to_string())),
            Err(Unread::TooLate) => {
                return Err(Fault::Timeout(format!("token file {}: {}", path.display(), Unread::WHY)));
            }
        };
        let text = bytes.trim_ascii();
        if text.is_empty() {
            return Ok(None);
        }
        if !text.iter().all(u8::is_ascii_graphic) {
            let why = form::fault_of_pieces(text)
                .unwrap_or("holds bytes that no header can hold (a line break, a space or binary data)");
            return Err(fault(why));
        }
        Ok(std::str::from_utf8(text).ok().map(|text| Token(text.into())))
    }

    /// The value of the `Authorization` header. The only way out for the secret.
    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// The length in bytes, for buffers.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes this token out of a server's words.
    pub fn redactor(&self) -> Redactor {
        Redactor { token: self.clone(), held: Vec::new() }
    }

    /// A text without the token in it.
    pub fn hidden_in<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.taken_out_of(text.as_bytes()) {
            None => Cow::Borrowed(text),
            // What is taken out is ASCII, and so is what stands for it.
            Some(shown) => Cow::Owned(String::from_utf8(shown).unwrap_or_default()),
        }
    }

    /// These bytes without the token; `None` where it is not in them.
    pub fn taken_out_of(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        // Most texts are shorter than a token.
        if bytes.len() < self.len() || self.place_in(bytes).is_none() {
            return None;
        }
        let mut redactor = self.redactor();
        Some([redactor.pass(bytes), redactor.end()].concat())
    }

    /// Where the token begins in these bytes: whole, or as far as they go.
    fn place_in(&self, bytes: &[u8]) -> Option<usize> {
        let secret = self.0.as_bytes();
        if secret.len() < SHORTEST_SECRET {
            return None;
        }
        let first = secret.first()?;
        let begins = |&at: &usize| {
            bytes.get(at..).is_some_and(|tail| tail.starts_with(secret) || secret.starts_with(tail))
        };
        bytes.iter().enumerate().filter(|&(_, byte)| byte == first).map(|(at, _)| at).find(begins)
    }

    /// What the token claims, if it is a JWT.
    pub fn claims(&self) -> Option<Claims> {
        Claims::parse(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(redacted)")
    }
}

/// Takes a token out of a stream of bytes, wherever the pieces are cut: a server can echo what it was sent, and that
/// must not be shown. Only the token as it is: not in another encoding, not a part of it.
pub struct Redactor {
    token: Token,
    /// The end of what was passed, which may be the beginning of the token.
    held: Vec<u8>,
}

impl Redactor {
    /// What stands for the token.
    const MARK: &[u8] = b"(token)";

    /// Whether this piece can be shown as it is: it is the usual case, and costs no copy.
    pub fn lets_pass(&self, piece: &[u8]) -> bool {
        self.held.is_empty() && self.token.place_in(piece).is_none()
    }

    /// Gives what can be shown by now.
    pub fn pass(&mut self, piece: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(piece);
        let mut shown = Vec::with_capacity(self.held.len());
        let mut rest = self.held.as_slice();
        while let Some((before, from)) = self.token.place_in(rest).and_then(|at| rest.split_at_checked(at)) {
            shown.extend_from_slice(before);
            let Some(after) = from.strip_prefix(self.token.0.as_bytes()) else {
                self.held = from.to_vec();
                return shown;
            };
            shown.extend_from_slice(Self::MARK);
            rest = after;
        }
        shown.extend_from_slice(rest);
        self.held.clear();
        shown
    }

    /// Gives what is left when nothing more comes.
    pub fn end(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Redactor(redacted)")
    }
}

/// The claims of a service account token (RFC 7519, and `kubernetes.io` of bound tokens). Times are
/// seconds since 1970. Unverified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// `iss`.
    pub issuer: Option<String>,
    /// `aud`, a list or a single one.
    pub audiences: Vec<String>,
    /// `sub`: `system:serviceaccount:NAMESPACE:NAME`.
    pub subject: Option<String>,
    /// `iat`.
    pub issued: Option<i64>,
    /// `nbf`.
    pub not_before: Option<i64>,
    /// `exp`.
    pub expires: Option<i64>,
    /// `kubernetes.io.warnafter`: when the kubelet should have renewed it.
    pub warn_after: Option<i64>,
    /// `kubernetes.io.pod.name`.
    pub pod: Option<String>,
    /// `kubernetes.io.node.name`.
    pub node: Option<String>,
    /// Not a claim: how the token is written wrong, such as in quotes.
    pub fault: Option<&'static str>,
}

/// API servers accept times that are off by this many seconds (go-jose's `DefaultLeeway`).
const LEEWAY: i64 = 60;

/// A difference of clocks below this many seconds is the network's.
const SAME_TIME: i64 = 5;

/// How far off a clock is, beyond what the network may take.
fn off(skew: Option<i64>) -> i64 {
    skew.filter(|skew| skew.saturating_abs() > SAME_TIME).unwrap_or_default()
}

impl Claims {
    /// Reads the middle part of `header.claims.signature`. `None` if it is not a JWT, unless it is written
    /// wrong in a way that can be named.
    pub fn parse(token: &str) -> Option<Claims> {
        let Some(fault) = form::fault(token.as_bytes()) else { return Claims::parse_jwt(token) };
        let claims = Claims::parse_jwt(form::inside(token)).unwrap_or_default();
        Some(Claims { fault: Some(fault), ..claims })
    }

    fn parse_jwt(token: &str) -> Option<Claims> {
        let mut parts = token.split('.');
        let (_header, claims, _signature) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let json = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
        let json: Value = serde_json::from_slice(&json).ok()?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        // A NumericDate may have a fraction (RFC 7519, 2).
        let time =
            |value: &Value| value.as_i64().or_else(|| value.to_string().split_once('.')?.0.parse().ok());
        let kubernetes = json.get("kubernetes.io").unwrap_or(&Value::Null);
        let bound = |kind: &str| kubernetes.get(kind)?.get("name").and_then(text);
        Some(Claims {
            issuer: json.get("iss").and_then(text),
            audiences: match json.get("aud") {
                Some(Value::Array(list)) => list.iter().filter_map(text).collect(),
                Some(Value::String(one)) => vec![one.clone()],
                _ => Vec::new(),
            },
            subject: json.get("sub").and_then(text),
            issued: json.get("iat").and_then(time),
            not_before: json.get("nbf").and_then(time),
            expires: json.get("exp").and_then(time),
            warn_after: kubernetes.get("warnafter").and_then(time),
            pod: bound("pod"),
            node: bound("node"),
            fault: None,
        })
    }

    /// In how many seconds the token ends, where that is sooner than in `least`. A token that claims no end has none.
    pub fn ends_within(&self, least: i64, now: i64) -> Option<i64> {
        let left = self.expires?.saturating_sub(now);
        (left < least).then_some(left)
    }

    /// Whether a 401 is likely the clocks': the token is not valid yet, or has expired by the server's clock only.
    pub fn is_a_matter_of_clocks(&self, now: i64, skew: Option<i64>) -> bool {
        let time = now.saturating_add(off(skew));
        let has_expired = |time: i64| self.expires.is_some_and(|expires| expires <= time);
        let begins = self.not_before.max(self.issued);
        let is_early = begins.is_some_and(|begins| begins > time.saturating_add(LEEWAY));
        self.fault.is_none() && if has_expired(time) { !has_expired(now) } else { is_early }
    }

    /// Why a server answers 401 to this token, most likely cause first; `now` in seconds since 1970. A server judges
    /// by its own clock: `skew` is how many seconds it is ahead of this one, where that is known.
    pub fn explain_rejection(&self, now: i64, skew: Option<i64>) -> String {
        if let Some(fault) = self.fault {
            return fault.to_owned();
        }
        let skew = off(skew);
        let clocks = match skew {
            0 => "check the clocks".to_owned(),
            1.. => format!("the API server's clock is {} ahead of this one", span(skew)),
            _ => format!("the API server's clock is {} behind this one", span(skew.saturating_neg())),
        };
        let now = now.saturating_add(skew);
        if let Some(expired) = self.expires.filter(|&expires| expires <= now) {
            let why = if skew == 0 { "the kubelet renews only mounted tokens" } else { &clocks };
            return format!("the token expired {} ago; {why}", span(now.saturating_sub(expired)));
        }
        if let Some(begins) = self.not_before.filter(|&begins| begins > now.saturating_add(LEEWAY)) {
            return format!(
                "the token is not valid for another {}: {clocks}",
                span(begins.saturating_sub(now))
            );
        }
        if let Some(issued) = self.issued.filter(|&issued| issued > now.saturating_add(LEEWAY)) {
            return format!(
                "the token is issued {} in the future: {clocks}",
                span(issued.saturating_sub(now))
            );
        }
        let mut facts = Vec::new();
        if !self.audiences.is_empty() {
            facts.push(format!("audience {}", self.audiences.join(", ")));
        }
        if let Some(issuer) = &self.issuer {
            facts.push(format!("issuer {issuer}"));
        }
        if let Some(subject) = &self.subject {
            facts.push(format!("subject {subject}"));
        }
        if let Some(expires) = self.expires {
            facts.push(format!("valid for another {}", span(expires.saturating_sub(now))));
        }
        let begins = self.not_before.max(self.issued).filter(|&begins| begins > now);
        if let Some(begins) = begins {
            facts.push(format!("valid in {}: {clocks}", span(begins.saturating_sub(now))));
        } else if skew != 0 {
            facts.push(clocks);
        }
        format!(
            "the token is not expired ({}): wrong audience, another cluster's issuer, or its account or pod is gone",
            facts.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> String {
        format!("eyJhbGciOiJSUzI1NiJ9.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    /// Its end, the least it must have left at 1000, and how much it has where that is too little.
    #[test]
    fn a_token_that_ends_too_soon() {
        for (expires, least, left) in [
            (None, i64::MAX, None),
            (Some(4600), 3600, None),
            (Some(4600), 3601, Some(3600)),
            (Some(1001), 1, None),
            (Some(1000), 1, Some(0)),
            (Some(940), 1, Some(-60)),
            (Some(i64::MIN), 1, Some(i64::MIN)),
            (Some(i64::MAX), i64::MAX, Some(i64::MAX - 1000)),
        ] {
            let claims = Claims { expires, ..Claims::default() };
            assert_eq!(claims.ends_within(least, 1000), left, "{expires:?} {least}");
        }
    }

    #[test]
    fn the_secret_is_not_in_debug() {
        let token = Token("hunter2.hunter2.hunter2".into());
        assert!(!format!("{token:?} {:?}", Some(&token)).contains("hunter2"));
    }

    #[test]
    fn files_are_read_trimmed_and_checked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let read = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            Token::read(&path, Deadline::NEVER)
        };
        assert_eq!(Token::read(&folder.path().join("missing"), Deadline::NEVER), Ok(None));
        assert_eq!(read(b""), Ok(None));
        assert_eq!(read(b" \n\t\n"), Ok(None));
        assert_eq!(read(b" abc.def \n"), Ok(Some(Token("abc.def".into()))));
        assert_eq!(read(&vec![b'a'; 64 * 1024]).unwrap().unwrap().len(), 64 * 1024);
        for bad in [&b"two\nlines"[..], b"two words", b"\x00\x01\x02", b"caf\xc3\xa9", &vec![b'a'; 1 << 20]] {
            let Err(Fault::Setup(text)) = read(bad) else { panic!("{bad:?} was accepted") };
            assert!(text.contains("token file") && text.lines().count() == 1, "{text}");
        }
    }

    #[test]
    fn it_is_taken_out_wherever_it_is_cut() {
        let redacted = |secret: &str, pieces: &mut dyn Iterator<Item = &[u8]>| {
            let mut redactor = Token(secret.into()).redactor();
            let mut shown: Vec<u8> = pieces.flat_map(|piece| redactor.pass(piece)).collect();
            shown.extend(redactor.end());
            String::from_utf8(shown).unwrap()
        };
        let secret = "ababab.ababac.ababad";
        for (text, shown) in [
            (secret.to_owned(), "(token)"),
            (format!("Bearer {secret}, {secret}{secret}."), "Bearer (token), (token)(token)."),
            (format!("abab{secret}abab"), "abab(token)abab"),
            ("ababab.ababac.ababa".to_owned(), "ababab.ababac.ababa"),
            (String::new(), ""),
        ] {
            for size in 1..=text.len() + 1 {
                assert_eq!(redacted(secret, &mut text.as_bytes().chunks(size)), shown, "in pieces of {size}");
            }
        }
        assert_eq!(redacted("admin", &mut [&b"User \"admin\""[..]].into_iter()), "User \"admin\"");
        assert!(!format!("{:?}", Token(secret.into()).redactor()).contains("abab"));
        // What cannot be the token is shown at once.
        assert_eq!(Token(secret.into()).redactor().pass(b"a line\n"), b"a line\n");
    }

    #[test]
    fn claims_of_a_bound_token() {
        let token = jwt(
            r#"{"iss":"https://kubernetes.default.svc","aud":["a","b"],"sub":"system:serviceaccount:ns-1:k-sa-1","iat":100,"exp":3707,
            "kubernetes.io":{"namespace":"ns-1","pod":{"name":"web-0","uid":"1"},"node":{"name":"node-1"},"warnafter":3600}}"#,
        );
        let claims = Claims::parse(&token).unwrap();
        assert_eq!(claims.audiences, ["a", "b"]);
        assert_eq!(claims.subject.as_deref(), Some("system:serviceaccount:ns-1:k-sa-1"));
        assert_eq!((claims.issued, claims.expires, claims.warn_after), (Some(100), Some(3707), Some(3600)));
        assert_eq!((claims.pod.as_deref(), claims.node.as_deref()), (Some("web-0"), Some("node-1")));
    }

    #[test]
    fn what_is_not_a_jwt_has_no_claims() {
        for text in ["", "abc", "a.b", "a.b.c.d", "a.!!.c", &jwt("not json")] {
            assert_eq!(Claims::parse(text), None, "{text}");
        }
        assert_eq!(Claims::parse(&jwt("[]")), Some(Claims::default()));
    }

    #[test]
    fn a_rejection_is_explained_from_the_claims() {
        let claims = |json: &str| Claims::parse(&jwt(json)).unwrap();
        let expired = claims(r#"{"exp":1000}"#).explain_rejection(1000 + 7500, None);
        assert!(expired.contains("expired 2h5m ago"), "{expired}");
        let never = claims(r#"{"exp":-9223372036854775808}"#).explain_rejection(1000, None);
        assert!(never.contains("expired 292"), "{never}");
        let early = claims(r#"{"exp":99999,"iat":9000}"#).explain_rejection(1000, None);
        assert!(early.contains("in the future"), "{early}");
        let audience =
            claims(r#"{"exp":4600,"aud":"vault","iss":"https://other"}"#).explain_rejection(1000, None);
        assert!(
            audience.contains("audience vault") && audience.contains("issuer https://other"),
            "{audience}"
        );
    }

    /// Claims, this clock, how far the server's is ahead, and the words.
    #[test]
    fn a_rejection_is_explained_from_the_clocks() {
        for (json, now, skew, words) in [
            (r#"{"nbf":1300,"exp":9999}"#, 1000, None, "not valid for another 5m: check the clocks"),
            (r#"{"nbf":1300.5,"exp":9999}"#, 1000, None, "not valid for another 5m"),
            (r#"{"nbf":1030,"exp":9999}"#, 1000, None, "valid in 30s: check the clocks"),
            (r#"{"iat":1030,"exp":9999}"#, 1000, None, "valid in 30s: check the clocks"),
            (r#"{"iat":1061,"exp":9999}"#, 1000, None, "issued 61s in the future: check the clocks"),
            (r#"{"exp":2000}"#, 1000, Some(7200), "expired 103m ago; the API server's clock is 2h0m ahead"),
            (r#"{"exp":2000}"#, 1000, Some(-7200), "the API server's clock is 2h0m behind this one"),
            (
                r#"{"nbf":1000,"exp":9999}"#,
                1010,
                Some(-7200),
                "not valid for another 119m: the API server's clock is 2h0m behind",
            ),
            (
                r#"{"iat":1000,"exp":9999}"#,
                1010,
                Some(-7200),
                "in the future: the API server's clock is 2h0m behind",
            ),
            (
                r#"{"iat":1000,"exp":9999}"#,
                1010,
                Some(-30),
                "valid in 20s: the API server's clock is 30s behind",
            ),
            (
                r#"{"exp":1020}"#,
                1000,
                Some(30),
                "expired 10s ago; the API server's clock is 30s ahead of this one",
            ),
            (
                r#"{"nbf":1040,"exp":9999}"#,
                1000,
                Some(-30),
                "not valid for another 70s: the API server's clock is 30s behind",
            ),
            (r#"{"exp":2000}"#, 1000, Some(2), "not expired (valid for another 16m)"),
            (r#"{"exp":2000}"#, 1000, Some(i64::MIN), "behind this one"),
            (r#"{"exp":-5}"#, i64::MAX, Some(i64::MAX), "expired"),
        ] {
            let text = Claims::parse(&jwt(json)).unwrap().explain_rejection(now, skew);
            assert!(text.contains(words), "{json}: no {words:?} in {text:?}");
        }
    }

    /// The claims, this clock, how far the server's is ahead, and whether the clocks are likely to blame.
    #[test]
    fn a_rejection_by_the_clocks() {
        for (json, now, skew, is_it) in [
            (r#"{"exp":2000}"#, 1000, None, false),
            (r#"{"exp":2000}"#, 1000, Some(999), false),
            (r#"{"exp":2000}"#, 1000, Some(1000), true),
            (r#"{"exp":1003}"#, 1000, Some(4), false),
            (r#"{"exp":900}"#, 1000, None, false),
            (r#"{"exp":900}"#, 1000, Some(7200), false),
            (r#"{"exp":900}"#, 1000, Some(-7200), false),
            (r#"{"exp":9999,"nbf":1040}"#, 1000, None, false),
            (r#"{"exp":9999,"nbf":1040}"#, 1000, Some(-30), true),
            (r#"{"exp":9999,"nbf":1030}"#, 1000, Some(-30), false),
            (r#"{"exp":9999,"iat":1061}"#, 1000, None, true),
            (r#"{"exp":9999,"iat":1061}"#, 1000, Some(30), false),
            (r#"{"exp":9999,"iat":1000}"#, 1000, Some(-7200), true),
            (r#"{"exp":-5}"#, i64::MAX, Some(i64::MAX), false),
        ] {
            let claims = Claims::parse(&jwt(json)).unwrap();
            assert_eq!(claims.is_a_matter_of_clocks(now, skew), is_it, "{json} {now} {skew:?}");
        }
        let quoted = Claims::parse(&format!("\"{}\"", jwt(r#"{"exp":2000}"#))).unwrap();
        assert!(!quoted.is_a_matter_of_clocks(1000, Some(7200)), "the quotes are to blame");
    }

    #[test]
    fn a_rejection_is_explained_from_the_file() {
        let good = jwt(r#"{"exp":9999,"sub":"system:serviceaccount:ns-1:k-sa-1"}"#);
        for (text, words) in [
            (format!("\"{good}\""), "in quotes"),
            (format!("'{good}'"), "in quotes"),
            (format!("{good}\\n"), "backslash"),
            (format!("token={good}"), "in front of the token"),
        ] {
            let claims = Claims::parse(&text).unwrap();
            assert!(claims.explain_rejection(1000, None).contains(words), "{text}");
            assert_eq!(claims.subject.as_deref(), Some("system:serviceaccount:ns-1:k-sa-1"), "{text}");
        }
        for text in ["ZXlKaGJHY2lPaUpTVXpJMU5pSjku", "${TOKEN}", "\"abc\""] {
            assert!(Claims::parse(text).unwrap().fault.is_some(), "{text}");
        }
    }
}
