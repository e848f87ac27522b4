//! The program's own modules, as they are, for the fuzz targets: kubeknock has no library. `cargo fuzz` sets
//! `cfg(fuzzing)`, which gives `Reply` a constructor from bytes.

#![allow(dead_code, reason = "the targets use a part of it")]

#[path = "../../src/api/mod.rs"]
pub mod api;
#[path = "../../src/cluster.rs"]
pub mod cluster;
#[path = "../../src/exit.rs"]
pub mod exit;
#[path = "../../src/failure.rs"]
pub mod failure;
#[path = "../../src/files/mod.rs"]
pub mod files;
#[path = "../../src/mount.rs"]
pub mod mount;
#[path = "../../src/text.rs"]
pub mod text;
#[path = "../../src/time/mod.rs"]
pub mod time;
#[path = "../../src/permission/mod.rs"]
pub mod permission;
#[path = "../../src/token/mod.rs"]
pub mod token;

use std::sync::LazyLock;

use token::Token;

/// What no answer may show.
pub const SECRET: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";

/// The same as a token, which is only ever read from a file.
pub static TOKEN: LazyLock<Token> = LazyLock::new(|| {
    let path = std::env::temp_dir().join(format!("kubeknock-fuzz-{}", std::process::id()));
    std::fs::write(&path, SECRET).expect("write a token");
    let token = Token::read(&path, time::deadline::Deadline::NEVER).expect("a token").expect("a token");
    std::fs::remove_file(&path).expect("remove it");
    token
});

/// Takes the first `N` bytes off, to choose by.
pub fn choose<const N: usize>(data: &[u8]) -> Option<([usize; N], &[u8])> {
    let (first, rest) = data.split_first_chunk::<N>()?;
    Some((first.map(usize::from), rest))
}
