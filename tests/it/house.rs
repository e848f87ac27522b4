//! The house's order: each outside crate has one owner, and each power of the process one place.

use std::fs;
use std::path::{Path, PathBuf};

/// What may be named where, below `src/`. A new place is a decision: write it here.
const OWNERS: [(&str, &[&str]); 15] = [
    ("argh", &["cli/"]),
    ("ureq", &["api/"]),
    ("rustls", &["api/"]),
    ("rustls_pemfile", &["api/tls.rs"]),
    ("serde", &["api/"]),
    // The network's JSON is read in api; tokens and remedies have JSON in them; the rest is reports.
    ("serde_json", &["api/", "token.rs", "remedy.rs", "report/", "command/"]),
    ("base64", &["token.rs"]),
    ("httpdate", &["time/date.rs"]),
    ("signal_hook", &["main.rs"]),
    ("dlmalloc", &["main.rs"]),
    ("env", &["main.rs"]),
    ("thread::sleep", &["time/deadline.rs"]),
    ("process::exit", &["main.rs"]),
    ("TcpStream", &["api/connection.rs"]),
    ("panic::set_hook", &["main.rs"]),
];

/// `src/` without what is below `mod tests`, each with its path below `src/`.
fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder of src") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&src, &mut paths);
    let product = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a source file");
        let product = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned();
        (path.strip_prefix(&src).expect("below src").display().to_string(), product)
    };
    paths.into_iter().map(product).collect()
}

/// Whether code (not a comment) uses the name as a path: `name::`, or imports it.
fn uses(code: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code.lines().filter(|line| !line.trim_start().starts_with("//")).any(|line| {
        line.match_indices(name).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            let behind = &line[at + name.len()..];
            let whole = !before.is_some_and(is_word) && !behind.chars().next().is_some_and(is_word);
            whole
                && (behind.starts_with("::") || name.contains("::") || line.trim_start().starts_with("use "))
        })
    })
}

#[test]
fn each_crate_and_power_has_one_owner() {
    let sources = sources();
    assert!(sources.len() > 20, "the sources are there");
    for (name, owners) in OWNERS {
        let users: Vec<&str> =
            sources.iter().filter(|(_, code)| uses(code, name)).map(|(path, _)| path.as_str()).collect();
        assert!(!users.is_empty(), "{name} is used nowhere: take it off the list");
        for user in users {
            assert!(
                owners.iter().any(|owner| user.starts_with(owner)),
                "{name} in src/{user}; it belongs to {owners:?}"
            );
        }
    }
}

#[test]
fn the_search_for_users_finds_them() {
    for (code, name, used) in [
        ("use std::env;", "env", true),
        ("let x = env::var(name);", "env", true),
        ("// env::var", "env", false),
        ("let x = environment::var(name);", "env", false),
        ("let env = 1;", "env", false),
        ("thread::sleep(pause);", "thread::sleep", true),
    ] {
        assert_eq!(uses(code, name), used, "{code}");
    }
}
