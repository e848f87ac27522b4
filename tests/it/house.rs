//! The order of the source: each outside crate has one owner, each system interface one place, each module a
//! layer from which its arrows point down, and no file is too long.

mod graph;

use std::fs;
use std::path::{Path, PathBuf};

use graph::Graph;

/// The layers, from the bottom up. A module may use those of the layers below it, and its own room: the longest
/// entry here that is the module or contains it. Rooms of one layer do not use each other.
const LAYERS: &[&[&str]] = &[
    &["exit", "identity", "noexec", "text", "time"],
    &["failure"],
    &["mount", "permission", "token", "trace"],
    &["cluster"],
    &["api"],
    &["files", "knock"],
    &["visit"],
    &["verdict"],
    &["grant", "recognition"],
    &["rules"],
    &["round"],
    &["remedy"],
    &["explain"],
    &["endpoint", "report"],
    &["command"],
    &[
        "command::check",
        "command::doctor",
        "command::get",
        "command::grant",
        "command::install",
        "command::monitor",
        "command::rules",
        "command::wait",
        "command::whoami",
    ],
    &["cli"],
    &["main"],
];

/// Arrows that point up or sideways, as exceptions. Remove an entry when its arrow is gone.
const UPWARD: &[(&str, &str)] = &[];

/// Sets of modules that use each other in a cycle, as exceptions. Remove an entry when its cycle is gone.
const CYCLES: &[&[&str]] = &[];

/// The most lines of a file without its tests, unless its first comment says why it is `longer than 400 lines`.
const LONGEST: usize = 400;

/// Files that are longer, as exceptions. Remove an entry when its file is not.
const TOO_LONG: &[&str] = &[];

/// The modules of `src/` that may use each of these. A new place is a decision: write it here.
const OWNERS: [(&str, &[&str]); 17] = [
    ("argh", &["cli/"]),
    ("ureq", &["api/"]),
    ("rustls", &["api/"]),
    ("rustls_pemfile", &["api/tls/"]),
    ("serde", &["api/", "files/role.rs"]),
    // The network's JSON is read in api, that of roles in files; tokens and grants contain JSON; reports are JSON.
    ("serde_json", &["api/", "files/role.rs", "token/mod.rs", "grant.rs", "report/", "command/"]),
    ("base64", &["token/mod.rs"]),
    ("httpdate", &["time/date.rs"]),
    ("signal_hook", &["main.rs"]),
    ("dlmalloc", &["main.rs"]),
    ("env", &["main.rs"]),
    ("thread::sleep", &["time/deadline.rs"]),
    ("process::exit", &["main.rs"]),
    ("TcpStream", &["api/tcp.rs", "endpoint/http.rs"]),
    ("TcpListener", &["endpoint/mod.rs"]),
    ("httparse", &["endpoint/http.rs"]),
    ("panic::set_hook", &["main.rs"]),
];

/// The files of `src/` without their `mod tests`, each with its path below `src/`.
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

/// The module of a file below `src/`: `api::wire` for `api/wire.rs`.
fn module(path: &str) -> String {
    path.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::")
}

/// The layer and the room of a module.
fn place(module: &str) -> (usize, &'static str) {
    let is_in = |room: &str| module == room || module.starts_with(&format!("{room}::"));
    LAYERS
        .iter()
        .enumerate()
        .flat_map(|(layer, rooms)| rooms.iter().map(move |&room| (layer, room)))
        .filter(|(_, room)| is_in(room))
        .max_by_key(|(_, room)| room.len())
        .unwrap_or_else(|| panic!("{module} is in no layer: give it one"))
}

/// Whether the arrow points up or sideways.
fn points_up(from: &str, to: &str) -> bool {
    let ((from_layer, from_room), (to_layer, to_room)) = (place(from), place(to));
    from_room != to_room && to_layer >= from_layer
}

/// `cargo test --test it house -- --nocapture` prints the graph.
#[test]
fn arrows_point_down() {
    let sources = sources();
    let graph = Graph::of(sources.iter().map(|(path, code)| (module(path), code.as_str())));
    let upward: Vec<(&str, &str)> = graph.arrows().filter(|(from, to)| points_up(from, to)).collect();
    let cycles = graph.cycles();
    for (module, uses) in graph.modules() {
        let shown = |to: &String| if points_up(module, to) { format!("{to} (up)") } else { to.clone() };
        println!("{module}: {}", uses.iter().map(shown).collect::<Vec<_>>().join(", "));
    }
    println!("files: {}", sources.len());
    println!("arrows: {}", graph.arrows().count());
    println!(
        "cycles: {}{}",
        cycles.len(),
        cycles.iter().map(|set| format!("; {}", set.join(", "))).collect::<String>()
    );
    println!("arrows that point up: {}", upward.len());
    assert_eq!(upward, *UPWARD, "arrows that point up or sideways");
    assert_eq!(cycles, CYCLES, "modules that use each other");
    for room in LAYERS.concat() {
        let is_used = graph.modules().any(|(module, _)| place(module).1 == room);
        assert!(is_used, "there is no {room}: take it off the list");
    }
}

/// The map in the documentation of `main.rs` has each top-level module once, those of a higher layer first.
#[test]
fn the_map_is_whole() {
    let main = sources().into_iter().find(|(path, _)| path == "main.rs").expect("main.rs").1;
    let mapped: Vec<&str> = main
        .lines()
        .filter_map(|line| line.strip_prefix("//! - `")?.split_once("`: "))
        .map(|(name, _)| name)
        .collect();
    let layers = LAYERS.iter().rev().skip(1);
    let mut rest = mapped.as_slice();
    for layer in layers {
        let mut modules: Vec<&str> = layer.iter().copied().filter(|module| !module.contains("::")).collect();
        let (of_layer, below) = rest.split_at(modules.len().min(rest.len()));
        let mut of_layer = of_layer.to_vec();
        modules.sort_unstable();
        of_layer.sort_unstable();
        assert_eq!(of_layer, modules, "the map in src/main.rs, of {mapped:?}");
        rest = below;
    }
    assert!(rest.is_empty(), "the map in src/main.rs has {rest:?} besides");
}

#[test]
fn a_file_is_not_too_long() {
    let says_why = |code: &str| {
        let comment: Vec<&str> = code.lines().map_while(|line| line.strip_prefix("//!")).collect();
        comment.concat().contains("longer than 400 lines")
    };
    let sources = sources();
    let lines = |code: &str| code.lines().count();
    let mut long: Vec<_> =
        sources.iter().filter(|(_, code)| lines(code) > LONGEST && !says_why(code)).collect();
    long.sort_unstable();
    for (path, code) in &long {
        println!("{path}: {} lines", lines(code));
    }
    let paths: Vec<&str> = long.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, TOO_LONG, "files of more than {LONGEST} lines without their tests");
}

/// What a step of doctor needs from outside is in the evidence, so that a table can test the step.
#[test]
fn steps_are_pure() {
    let sources = sources();
    let steps = sources.iter().filter(|(path, _)| path.starts_with("command/doctor/steps/"));
    let mut count = 0;
    for (path, code) in steps {
        count += 1;
        for power in ["fs", "File", "env", "thread", "Instant", "SystemTime", "ToSocketAddrs", "Visit"] {
            assert!(!uses(code, power), "{power} in src/{path}");
        }
        for look in [".is_dir(", ".is_file(", ".exists(", ".metadata(", ".elapsed(", ".send(", "now()"] {
            assert!(!code.contains(look), "{look} in src/{path}");
        }
    }
    assert!(count > 3, "the steps are there");
}

#[test]
fn up_and_sideways_are_found() {
    assert_eq!(["api/wire.rs", "api/mod.rs", "main.rs"].map(module), ["api::wire", "api", "main"]);
    assert_eq!(
        ["api", "api::wire", "command::get"].map(|module| place(module).1),
        ["api", "api", "command::get"]
    );
    for (from, to, up) in [
        ("main", "exit", false),
        ("exit", "main", true),
        ("api::tls", "api::wire", false),
        ("command::get", "command", false),
        ("command", "command::get", true),
        ("command::get", "command::check", true),
    ] {
        assert_eq!(points_up(from, to), up, "{from} to {to}");
    }
}
