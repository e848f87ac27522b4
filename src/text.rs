//! Text for people: which characters to show, how wide, and how to quote for a shell. Pure.

use std::borrow::Cow;

/// Bytes as text, with U+FFFD for bytes that are not UTF-8. Valid UTF-8 is converted at once, because `from_utf8_lossy`
/// alone works byte by byte.
pub fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// Escapes control characters, and characters that reorder text or break lines, so that text from a server cannot
/// control the terminal or forge lines.
pub fn escape(text: &str) -> String {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let reorders = |c| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || reorders(c) {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Breaks text into lines of at most `width` characters, at spaces where possible.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut letters: Vec<char> = word.chars().collect();
        while !letters.is_empty() {
            let Some(line) = lines.last_mut() else { break };
            let used = line.chars().count();
            let gap = usize::from(used > 0);
            let room = width.saturating_sub(used + gap);
            if letters.len() > room && used > 0 {
                lines.push(String::new());
                continue;
            }
            if gap > 0 {
                line.push(' ');
            }
            line.extend(letters.drain(..letters.len().min(room.max(1))));
        }
    }
    lines
}

/// Quotes a word for a shell if that is necessary.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=,+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_broken_at_spaces_if_they_can_be() {
        assert_eq!(wrap("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrap("a abcdefghij b", 4), ["a", "abcd", "efgh", "ij b"]);
        assert_eq!(wrap("", 4), [""]);
    }

    #[test]
    fn a_servers_words_cannot_paint_the_terminal() {
        assert_eq!(escape("a\u{1b}[31mb\nc\u{202e}\u{9b}\0"), "a\\u{1b}[31mb\\nc\\u{202e}\\u{9b}\\u{0}");
        assert_eq!(escape("grüße ✓ \"x\""), "grüße ✓ \"x\"");
    }
}
