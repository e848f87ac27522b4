//! A fault in a phrase, shown with a caret under it.

/// What is wrong, and at which byte of the phrase.
#[derive(Debug)]
pub struct PhraseFault {
    /// The byte.
    pub at: usize,
    /// The reason.
    pub why: String,
}

impl PhraseFault {
    /// The reason, the phrase, and the caret, a line each.
    pub fn show(&self, phrase: &str) -> String {
        let shown = |text: &str| {
            text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect::<String>()
        };
        let before = phrase.get(..self.at).unwrap_or(phrase);
        format!("{}\n  {}\n  {}^", self.why, shown(phrase), " ".repeat(before.chars().count()))
    }
}

/// A fault at this byte.
pub fn fault<T>(at: usize, why: impl Into<String>) -> Result<T, PhraseFault> {
    Err(PhraseFault { at, why: why.into() })
}

/// A word of the phrase and the byte it begins at.
#[derive(Clone, Copy)]
pub struct Word<'a> {
    /// The byte.
    pub at: usize,
    /// The word.
    pub text: &'a str,
}

impl Word<'_> {
    /// The byte offset of `part`, which is a slice of this word's text after `skipped` bytes.
    pub fn inside(&self, skipped: usize) -> usize {
        self.at + skipped
    }
}
