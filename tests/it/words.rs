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

/// Where they may not be: what a user reads, and what a reader of the source does.
const PLACES: [&str; 4] = ["src", "README.md", "k8s", ".ci"];

/// Files that have some of them all the same. One that has none comes off this list.
const STILL: &[&str] = &[];

fn files(path: &Path, found: &mut Vec<PathBuf>) {
    if !path.is_dir() {
        found.push(path.to_owned());
        return;
    }
    for entry in fs::read_dir(path).expect("a folder") {
        files(&entry.expect("an entry").path(), found);
    }
}

/// The words that are in a text, as whole words, also where a line or a comment breaks between two of them.
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
    assert!(found.len() > 60, "the files are there");
    let mut still = Vec::new();
    for path in found {
        let text = fs::read_to_string(&path).expect("text");
        let words = of(&text);
        let path = path.strip_prefix(top).expect("below the top").display().to_string();
        if !words.is_empty() {
            println!("{path}: {}", words.join(", "));
            still.push(path);
        }
    }
    assert_eq!(still, STILL, "files with words that are ruled out");
}

#[test]
fn the_words_are_found() {
    for (text, found) in [
        ("/// Nobody is told.", &["told", "nobody"][..]),
        ("// it is read\n// anew, for\n    // ever", &["anew", "for ever"]),
        ("the toldest retells whomsoever anewly", &[]),
        ("\"as wanted\"", &["as wanted"]),
    ] {
        assert_eq!(of(text), found, "{text}");
    }
}
