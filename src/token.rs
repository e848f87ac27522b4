//! The bearer token: loaded, checked, sent, never shown; and what it claims about itself.
//!
//! Claims are read without verifying the signature: they explain an answer, they decide nothing.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::failure::Fault;
use crate::time::duration::span;

/// A token longer than this is no token; bound service account tokens have about 1 KiB.
const LONGEST: usize = 64 * 1024;

/// A shorter token is no secret but a word, such as a user's name, and may stand in any answer.
const SHORTEST_SECRET: usize = 16;

/// A bearer token. Its text leaves this type only towards a request header.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Arc<str>);

impl Token {
    /// Reads the file anew and trims it. `None` where it is missing or empty: there is no token to
    /// send. A file that is there and cannot be used is a setup fault.
    pub fn read(path: &Path) -> Result<Option<Token>, Fault> {
        let fault = |why: &str| Fault::Setup(format!("token file {}: {why}", path.display()));
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(fault(&format!("{error}; it must be readable by this user (see fsGroup)")));
            }
        };
        let mut bytes = Vec::with_capacity(2048);
        let limit = u64::try_from(LONGEST + 1).unwrap_or(u64::MAX);
        file.take(limit).read_to_end(&mut bytes).map_err(|error| fault(&error.to_string()))?;
        if bytes.len() > LONGEST {
            return Err(fault("larger than 64 KiB: this is not a bearer token"));
        }
        let text = bytes.trim_ascii();
        if text.is_empty() {
            return Ok(None);
        }
        if !text.iter().all(u8::is_ascii_graphic) {
            return Err(fault(
                "holds bytes that cannot stand in a header (a line break, a space or binary data)",
            ));
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

    /// What takes this token out of a server's words.
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

    /// What is left of these bytes without the token; `None` where it is not in them.
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

    /// What the token says of itself, if it is a JWT.
    pub fn claims(&self) -> Option<Claims> {
        Claims::parse(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(redacted)")
    }
}

/// Takes a token out of a stream of bytes, wherever the pieces are cut: a server that shows what it was
/// sent must not get it shown. Only the token as it is: not in another encoding, not a part of it.
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
            let Some(behind) = from.strip_prefix(self.token.0.as_bytes()) else {
                self.held = from.to_vec();
                return shown;
            };
            shown.extend_from_slice(Self::MARK);
            rest = behind;
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
    /// `exp`.
    pub expires: Option<i64>,
    /// `kubernetes.io.warnafter`: when the kubelet should have renewed it.
    pub warn_after: Option<i64>,
    /// `kubernetes.io.pod.name`.
    pub pod: Option<String>,
    /// `kubernetes.io.node.name`.
    pub node: Option<String>,
}

impl Claims {
    /// Reads the middle part of `header.claims.signature`. `None` if it is no JWT.
    pub fn parse(token: &str) -> Option<Claims> {
        let mut parts = token.split('.');
        let (_header, claims, _signature) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let json = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
        let json: Value = serde_json::from_slice(&json).ok()?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let kubernetes = json.get("kubernetes.io").unwrap_or(&Value::Null);
        let bound = |kind: &str| kubernetes.pointer(&format!("/{kind}/name")).and_then(text);
        Some(Claims {
            issuer: json.get("iss").and_then(text),
            audiences: match json.get("aud") {
                Some(Value::Array(list)) => list.iter().filter_map(text).collect(),
                Some(Value::String(one)) => vec![one.clone()],
                _ => Vec::new(),
            },
            subject: json.get("sub").and_then(text),
            issued: json.get("iat").and_then(Value::as_i64),
            expires: json.get("exp").and_then(Value::as_i64),
            warn_after: kubernetes.get("warnafter").and_then(Value::as_i64),
            pod: bound("pod"),
            node: bound("node"),
        })
    }

    /// Why a server would answer 401 to this token, most likely cause first; `now` in seconds
    /// since 1970.
    pub fn explain_rejection(&self, now: i64) -> String {
        if let Some(expired) = self.expires.filter(|&expires| expires <= now) {
            return format!(
                "the token expired {} ago; the kubelet renews only mounted tokens",
                span(now.saturating_sub(expired))
            );
        }
        if let Some(issued) = self.issued.filter(|&issued| issued > now + 60) {
            return format!(
                "the token is issued {} in the future: check the clocks",
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
            Token::read(&path)
        };
        assert_eq!(Token::read(&folder.path().join("missing")), Ok(None));
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
    fn what_is_no_jwt_has_no_claims() {
        for text in ["", "abc", "a.b", "a.b.c.d", "a.!!.c", &jwt("not json")] {
            assert_eq!(Claims::parse(text), None, "{text}");
        }
        assert_eq!(Claims::parse(&jwt("[]")), Some(Claims::default()));
    }

    #[test]
    fn a_rejection_is_explained_from_the_claims() {
        let claims = |json: &str| Claims::parse(&jwt(json)).unwrap();
        let expired = claims(r#"{"exp":1000}"#).explain_rejection(1000 + 7500);
        assert!(expired.contains("expired 2h5m ago"), "{expired}");
        let never = claims(r#"{"exp":-9223372036854775808}"#).explain_rejection(1000);
        assert!(never.contains("expired 292"), "{never}");
        let early = claims(r#"{"exp":99999,"iat":9000}"#).explain_rejection(1000);
        assert!(early.contains("in the future"), "{early}");
        let audience = claims(r#"{"exp":4600,"aud":"vault","iss":"https://other"}"#).explain_rejection(1000);
        assert!(
            audience.contains("audience vault") && audience.contains("issuer https://other"),
            "{audience}"
        );
    }
}
