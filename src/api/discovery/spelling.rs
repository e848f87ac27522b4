//! How similar two words are.

/// How many letters differ: changed, left out, added, or two neighbors in the wrong order (the optimal string
/// alignment distance).
pub fn distance(from: &str, to: &str) -> usize {
    let (from, to) = (from.as_bytes(), to.as_bytes());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    let mut last = None;
    for (line, &letter) in from.iter().enumerate() {
        let mut next = vec![line + 1];
        let mut previous = None;
        for (at, &other) in to.iter().enumerate() {
            let of = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX / 2);
            let mut cost = (of(&row, at) + usize::from(letter != other))
                .min(of(&row, at + 1) + 1)
                .min(of(&next, at) + 1);
            if last == Some(other) && previous == Some(letter) && at > 0 {
                cost = cost.min(of(&before, at - 1) + 1);
            }
            next.push(cost);
            previous = Some(other);
        }
        before = row;
        row = next;
        last = Some(letter);
    }
    row.last().copied().unwrap_or(0)
}

/// The nearest of these words, if one is near enough to be what was meant: one letter of three may differ.
pub fn nearest<'w>(word: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let near = words.into_iter().map(|other| (distance(word, other), other));
    near.filter(|(distance, _)| *distance <= word.len() / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_that_differ() {
        for (from, to, letters) in [
            ("", "", 0),
            ("", "log", 3),
            ("log", "", 3),
            ("log", "log", 0),
            ("lgo", "log", 1),
            ("lst", "list", 1),
            ("lists", "list", 1),
            ("lost", "list", 1),
            ("sclae", "scale", 1),
            ("kitten", "sitting", 3),
            ("abcd", "badc", 2),
        ] {
            assert_eq!(distance(from, to), letters, "{from} {to}");
        }
    }
}
