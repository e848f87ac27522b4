//! Recognizes common mistakes in token files, so that a 401 is not blamed on the cluster. Pure.

/// What is wrong with the form of the token, without quoting any part of it. `text` is trimmed.
pub fn fault(text: &[u8]) -> Option<&'static str> {
    let starts = |prefix: &str| {
        text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    Some(match text {
        _ if text.starts_with(b"\xef\xbb\xbf")
            || text.starts_with(b"\xff\xfe")
            || text.starts_with(b"\xfe\xff") =>
        {
            "begins with a byte order mark; save it as plain ASCII"
        }
        [b'"' | b'\'' | b'`', ..] | [.., b'"' | b'\'' | b'`'] => {
            "the token is in quotes; remove them, the file must hold the token alone"
        }
        _ if starts("bearer ") || starts("bearer:") || starts("bearer\t") => {
            "\"Bearer\" is in front of the token; remove it, the file must hold the token alone"
        }
        _ if starts("authorization:") => {
            "holds a header; remove \"Authorization: Bearer\", the file must hold the token alone"
        }
        _ if starts("token:") || starts("token=") => {
            "\"token\" is in front of the token; remove it, the file must hold the token alone"
        }
        [b'{' | b'[', ..] => {
            "holds JSON; the file must hold the token alone, as kubectl create token NAME prints it"
        }
        _ if starts("-----BEGIN ") => "holds PEM (a certificate or a key), which is not a token",
        _ if starts("apiVersion:") || starts("kind:") => {
            "holds YAML; the file must hold the token alone, as kubectl create token NAME prints it"
        }
        [b'<', ..] | [b'$', b'{' | b'(', ..] => "holds a placeholder that nothing has replaced",
        // "eyJ", the start of every JWT, in base64.
        _ if text.starts_with(b"ZXlK") => {
            "holds the token in base64, as a Secret's data does; decode it once (base64 -d)"
        }
        [.., b'\\', b'n' | b'r'] => "ends with a line break written as a backslash and a letter; remove both",
        _ => return None,
    })
}

/// The same for a text with spaces or line breaks, which a token in an HTTP header cannot contain.
pub fn fault_of_pieces(text: &[u8]) -> Option<&'static str> {
    let broken = || {
        let mut pieces = text.split(u8::is_ascii_whitespace).filter(|piece| !piece.is_empty());
        let second = pieces.nth(1).filter(|_| text.starts_with(b"eyJ"))?;
        Some(if second.starts_with(b"eyJ") {
            "holds more than one token; keep one"
        } else {
            "the token is broken into lines; write it on one line"
        })
    };
    fault(text).or_else(broken)
}

/// The token without quotes and prefixes, as far as they can be recognized.
pub fn inside(text: &str) -> &str {
    let text = text.trim_matches(['"', '\'', '`']);
    let text = text.strip_suffix("\\n").unwrap_or(text);
    ["Bearer:", "bearer:", "token=", "token:"]
        .iter()
        .find_map(|prefix| text.strip_prefix(prefix))
        .unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln";

    #[test]
    fn each_wrong_form_has_its_words() {
        for (text, words) in [
            (format!("\"{JWT}\""), "in quotes"),
            (format!("'{JWT}'"), "in quotes"),
            (format!("`{JWT}`"), "in quotes"),
            (format!("\"{JWT}"), "in quotes"),
            (format!("{JWT}'"), "in quotes"),
            (format!("Bearer {JWT}"), "\"Bearer\""),
            (format!("bearer {JWT}"), "\"Bearer\""),
            (format!("BEARER\t{JWT}"), "\"Bearer\""),
            (format!("Bearer:{JWT}"), "\"Bearer\""),
            (format!("Authorization: Bearer {JWT}"), "header"),
            (format!("token: {JWT}"), "\"token\""),
            (format!("token={JWT}"), "\"token\""),
            (format!("{{\"token\":\"{JWT}\"}}"), "JSON"),
            (format!("[\"{JWT}\"]"), "JSON"),
            ("-----BEGIN CERTIFICATE-----".into(), "PEM"),
            ("apiVersion: v1\nkind: Config".into(), "YAML"),
            ("kind: Secret".into(), "YAML"),
            ("${TOKEN}".into(), "placeholder"),
            ("$(cat /token)".into(), "placeholder"),
            ("<token>".into(), "placeholder"),
            ("ZXlKaGJHY2lPaUpTVXpJMU5pSjku".into(), "base64"),
            (format!("{JWT}\\n"), "backslash"),
            (format!("{JWT}\\r"), "backslash"),
            (format!("{}\n{}", &JWT[..20], &JWT[20..]), "into lines"),
            (format!("{}\r\n{}", &JWT[..9], &JWT[9..]), "into lines"),
            (format!("{JWT}\n{JWT}"), "more than one"),
            (format!("\u{feff}{JWT}"), "byte order mark"),
        ] {
            let found = fault_of_pieces(text.as_bytes()).unwrap_or_default();
            assert!(found.contains(words), "{text}: {found}");
            assert!(!found.contains("eyJ"), "{found}");
        }
        for text in [
            JWT,
            "abc",
            "k8s-aws-v1.aHR0cHM6Ly9zdHM",
            "ya29.a0AfH6SM",
            "sha256~abc-DEF_1",
            "abcdef.0123456789abcdef",
        ] {
            assert_eq!(fault_of_pieces(text.as_bytes()), None, "{text}");
        }
        assert!(fault(&[0xff, 0xfe, b'e', 0]).is_some());
    }
}
