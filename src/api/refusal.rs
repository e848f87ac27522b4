//! What a 403 of the API server says: who was refused what. Pure.
//!
//! `pods is forbidden: User "U" cannot list resource "pods" in API group "" in the namespace "ns-1"`, or `… User "U"
//! cannot get path "/metrics"` (k8s.io/apiserver/pkg/endpoints/handlers/responsewriters, `forbiddenMessage`).

/// A refusal, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The user, as the API server knows it.
    pub user: String,
    /// The verb.
    pub verb: String,
    /// A resource with its subresource, and its group; or a path. `None` if it cannot be read.
    pub what: Option<(String, Option<String>)>,
    /// Where. `None` at the cluster scope.
    pub namespace: Option<String>,
    /// What the authorizers say of it, if anything.
    pub reason: String,
}

impl Refusal {
    /// `None` for a message of another form.
    pub fn parse(message: &str) -> Option<Refusal> {
        let (_, rest) = message.split_once("User ")?;
        let (user, rest) = quoted(rest)?;
        let (verb, rest) = rest.strip_prefix(" cannot ")?.split_once(' ')?;
        let mut rest = rest;
        let what = if let Some((path, after)) = rest.strip_prefix("path ").and_then(quoted) {
            rest = after;
            Some((path, None))
        } else {
            rest.strip_prefix("resource ").and_then(quoted).and_then(|(resource, after)| {
                let (group, after) = quoted(after.strip_prefix(" in API group ")?)?;
                rest = after;
                Some((resource, Some(group)))
            })
        };
        let namespace = rest.strip_prefix(" in the namespace ").and_then(quoted).map(|(namespace, after)| {
            rest = after;
            namespace
        });
        rest = rest.strip_prefix(" at the cluster scope").unwrap_or(rest);
        let reason = rest.strip_prefix(": ").unwrap_or_default().to_owned();
        (!user.is_empty()).then(|| Refusal { user, verb: verb.to_owned(), what, namespace, reason })
    }

    /// True if it is the refusal of a self-subject review.
    pub fn is_of_review(&self) -> bool {
        let resource = self.what.as_ref().map(|(resource, _)| resource.as_str());
        self.verb == "create" && resource.is_none_or(|resource| resource.starts_with("selfsubject"))
    }
}

/// A text that Go quoted and the API server escaped for HTML (`%q`, then `&amp;`, `&lt;`, `&gt;`), and what comes after it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('"')?;
    // Nearly always there is nothing to undo.
    if let Some((plain, rest)) = rest.split_once('"').filter(|(plain, _)| !plain.contains(['\\', '&'])) {
        return Some((plain.to_owned(), rest));
    }
    let mut plain = String::new();
    loop {
        let mut characters = rest.chars();
        let (taken, character) = match characters.next()? {
            '"' => break,
            '\\' => {
                let (digits, base) = match characters.next()? {
                    'x' => (2, 16),
                    'u' => (4, 16),
                    'U' => (8, 16),
                    escaped => {
                        let meant = match escaped {
                            'n' => '\n',
                            't' => '\t',
                            'r' => '\r',
                            'a' => '\u{7}',
                            'b' => '\u{8}',
                            'v' => '\u{b}',
                            'f' => '\u{c}',
                            other => other,
                        };
                        plain.push(meant);
                        rest = rest.get(1 + escaped.len_utf8()..)?;
                        continue;
                    }
                };
                let number = u32::from_str_radix(rest.get(2..2 + digits)?, base).ok()?;
                // A byte that is not of UTF-8 has no letter.
                let number = if digits == 2 && number > 0x7f { 0xfffd } else { number };
                (2 + digits, char::from_u32(number)?)
            }
            character => (character.len_utf8(), character),
        };
        plain.push(character);
        rest = rest.get(taken..)?;
    }
    let plain = plain.replace("&lt;", "<").replace("&gt;", ">").replace("&#34;", "\"").replace("&#39;", "'");
    Some((plain.replace("&amp;", "&"), rest.strip_prefix('"')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_as_go_quotes_them() {
        for (quoted, user) in [
            ("system:serviceaccount:ns-1:k-sa-1", "system:serviceaccount:ns-1:k-sa-1"),
            (r"CORP\\jdoe", r"CORP\jdoe"),
            ("R&amp;D-bot", "R&D-bot"),
            ("a&lt;b&gt;", "a<b>"),
            (r#"say \"hi\""#, "say \"hi\""),
            (r"gr\u00fc\u00dfe", "grüße"),
            (r"bell\x07", "bell\u{7}"),
            (r"\a\b\f\n\r\t\v", "\u{7}\u{8}\u{c}\n\r\t\u{b}"),
            (r"caf\xe9", "caf\u{fffd}"),
            (r"\U0001f600", "😀"),
            ("&amp;#34;", "&#34;"),
            (r"O'Hara\\", r"O'Hara\"),
            ("&amp;lt;", "&lt;"),
        ] {
            let message = format!(
                "pods is forbidden: User \"{quoted}\" cannot list resource \"pods\" in API group \"\""
            );
            assert_eq!(
                Refusal::parse(&message).map(|refusal| refusal.user).as_deref(),
                Some(user),
                "{message}"
            );
        }
        for (more, reason) in [
            (" in the namespace \"ns-1\"", ""),
            (" in the namespace \"ns-1\": RBAC: x", "RBAC: x"),
            (" at the cluster scope: denied: by policy", "denied: by policy"),
            (": a\nb", "a\nb"),
        ] {
            let message = format!("User \"x\" cannot list resource \"pods\" in API group \"\"{more}");
            assert_eq!(Refusal::parse(&message).unwrap().reason, reason, "{message}");
        }
        let path = Refusal::parse("forbidden: User \"x\" cannot get path \"/a\": no").unwrap();
        assert_eq!((path.what, path.reason), (Some(("/a".into(), None)), "no".into()));
        for message in [
            "",
            "User",
            "User \"x",
            "User \"\" cannot list x",
            "User \"x\" may not",
            "forbidden: no User \"x\\",
        ] {
            assert_eq!(Refusal::parse(message), None, "{message}");
        }
    }
}
