//! The beginning of an answer, looked at without reading all of it: which object it is.

/// What the beginning of a JSON object shows at its top level.
pub struct Glance {
    /// Its keys, in their order.
    pub keys: Vec<String>,
    /// The value of `kind`.
    pub kind: Option<String>,
    /// The object ends within it.
    pub whole: bool,
}

impl Glance {
    /// Whether it can be the object of this kind, or with this key: the kind may come after a long list.
    pub fn can_be(&self, what: &str) -> bool {
        self.kind.as_deref().map_or(!self.whole, |kind| kind == what)
            || self.keys.iter().any(|key| key == what)
    }

    /// `None` if it does not begin as an object.
    pub fn of(body: &[u8]) -> Option<Glance> {
        let mut rest = body.trim_ascii_start().strip_prefix(b"{")?;
        let mut glance = Glance { keys: Vec::new(), kind: None, whole: false };
        let (mut depth, mut key) = (0_usize, None::<String>);
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            match byte {
                b'"' => {
                    let Some((text, after)) = string(rest) else { return Some(glance) };
                    rest = after;
                    let is_key = rest.trim_ascii_start().starts_with(b":");
                    match (depth, is_key, key.as_deref()) {
                        (0, true, _) => {
                            glance.keys.push(text.clone());
                            key = Some(text);
                        }
                        (0, false, Some("kind")) => glance.kind = Some(text),
                        _ => {}
                    }
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth == 0 => {
                    glance.whole = true;
                    return Some(glance);
                }
                b'}' | b']' => depth -= 1,
                _ => {}
            }
        }
        Some(glance)
    }
}

/// The text up to the closing quote, its escapes left as they are, and what comes after it.
fn string(text: &[u8]) -> Option<(String, &[u8])> {
    let mut escaped = false;
    let end = text.iter().position(|&byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some((String::from_utf8_lossy(text.get(..end)?).into_owned(), text.get(end + 1..)?))
}
