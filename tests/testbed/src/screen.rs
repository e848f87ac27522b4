//! Checks that what `check` prints fits a screen.

/// The most characters of a line of our own words. A server's words and commands to type may be longer.
const WIDTH: usize = 160;

/// The places that are different in each run, at the length that they have in a pod.
const PLACES: [(&str, &str); 2] =
    [("SERVER", "10.96.0.1:443"), ("MOUNT", "/var/run/secrets/kubernetes.io/serviceaccount")];

/// A part of each line that quotes a server, and of each line that a person copies.
const QUOTES: [&str; 10] = [
    "kubectl ",
    "kubeknock grant ",
    "openssl ",
    " User \"",
    "status ",
    "RBAC: ",
    " is not for ",
    "does not serve it: ",
    "xxxxxxxx",
    "\\u{",
];

/// Panics if a line of `text`, which the command `line` printed with [`PLACES`] in it, is too wide.
#[track_caller]
pub fn fits(line: &str, text: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let json = words.iter().any(|word| word.contains("json"));
    let verbose =
        words.iter().any(|word| word.starts_with('-') && !word.starts_with("--") && word.contains('v'));
    if !words.contains(&"check") || json || verbose {
        return;
    }
    for shown in text.lines().filter(|line| !QUOTES.iter().any(|quote| line.contains(quote))) {
        let shown = PLACES.iter().fold(shown.to_owned(), |shown, (place, name)| shown.replace(place, name));
        let width = shown.chars().count();
        assert!(width <= WIDTH, "{width} characters in one line\n$ {line}\n{shown}");
    }
}
