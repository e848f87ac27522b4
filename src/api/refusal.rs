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
}

impl Refusal {
    /// `None` for a message of another form.
    pub fn parse(message: &str) -> Option<Refusal> {
        let (_, rest) = message.split_once("User ")?;
        let (user, rest) = quoted(rest)?;
        let (verb, rest) = rest.strip_prefix(" cannot ")?.split_once(' ')?;
        let what = if let Some(rest) = rest.strip_prefix("path ") {
            quoted(rest).map(|(path, _)| (path, None))
        } else {
            rest.strip_prefix("resource ").and_then(quoted).and_then(|(resource, rest)| {
                let (group, _) = quoted(rest.strip_prefix(" in API group ")?)?;
                Some((resource, Some(group)))
            })
        };
        (!user.is_empty()).then(|| Refusal { user, verb: verb.to_owned(), what })
    }
}

/// A text that Go quoted and the API server escaped for HTML (`%q`, then `&amp;`, `&lt;`, `&gt;`), and what comes after it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('"')?;
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
                            other => other,
                        };
                        plain.push(meant);
                        rest = rest.get(1 + escaped.len_utf8()..)?;
                        continue;
                    }
                };
                let number = u32::from_str_radix(rest.get(2..2 + digits)?, base).ok()?;
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
