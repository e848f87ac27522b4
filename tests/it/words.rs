//! Words that the style of CONTRIBUTING.md leaves out, because they read as translated.

use std::fs;
use std::path::{Path, PathBuf};

const WORDS: [&str; 12] = [
    "told",
    "tells",
    "whoever",
    "whom",
    "stays home",
    "anew",
    "for ever",
    "nobody",
    "as wanted",
    "gone around",
    "ends well",
    "is none of",
];

/// The places that must not have them: what users read, and what readers of the source read.
const PLACES: [&str; 16] = [
    "src",
    "tests",
    "fuzz/fuzz_targets",
    "fuzz/src",
    "k8s",
    ".ci",
    ".cargo",
    ".github",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "Cargo.toml",
    "Containerfile",
    "deny.toml",
    "justfile",
];

/// Not our text: this list of words, and the words of recorded servers.
const EXCEPT: [&str; 2] = ["tests/it/words.rs", "tests/recordings"];

fn files(path: &Path, found: &mut Vec<PathBuf>) {
    if !path.is_dir() {
        found.push(path.to_owned());
        return;
    }
    for entry in fs::read_dir(path).expect("a folder") {
        files(&entry.expect("an entry").path(), found);
    }
}

/// The listed words that a text has, as whole words, also in an identifier (`as_wanted`), and where a line breaks
/// between two of them.
fn of(text: &str) -> Vec<&'static str> {
    let text = text.to_lowercase();
    let words: Vec<&str> =
        text.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|word| !word.is_empty()).collect();
    let line = format!(" {} ", words.join(" "));
    WORDS.into_iter().filter(|word| line.contains(&format!(" {word} "))).collect()
}

#[test]
fn words_that_are_ruled_out() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for place in PLACES {
        files(&top.join(place), &mut found);
    }
    found.sort();
    assert!(found.len() > 150, "{} files", found.len());
    let mut with_words = Vec::new();
    for path in found {
        let name = path.strip_prefix(top).expect("below the top").display().to_string();
        if EXCEPT.iter().any(|except| name.starts_with(except)) {
            continue;
        }
        let words = of(&fs::read_to_string(&path).expect("text"));
        if !words.is_empty() {
            with_words.push(format!("{name}: {}", words.join(", ")));
        }
    }
    assert!(with_words.is_empty(), "words that the style leaves out:\n{}", with_words.join("\n"));
}

#[test]
fn the_words_are_found() {
    for (text, found) in [
        ("/// Nobody is told.", &["told", "nobody"][..]),
        ("// it is read\n// anew, for\n    // ever", &["anew", "for ever"]),
        ("let as_wanted = told_it;", &["told", "as wanted"]),
        ("the toldest retells whomsoever anewly", &[]),
        ("\"as wanted\"", &["as wanted"]),
    ] {
        assert_eq!(of(text), found, "{text}");
    }
}
