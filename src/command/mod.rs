//! The commands: one file each.

pub mod check;
pub mod doctor;
pub mod get;
pub mod rules;
pub mod whoami;

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in seconds since 1970.
fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}
