//! Runs scenarios one after the other on one cluster, and reports each. They are not separate tests: a cluster
//! takes seconds to start, and one in a static would never be dropped.

use std::io::{Write as _, stderr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use super::RealCluster;

/// A scenario and its name.
pub type Case = (&'static str, fn(&RealCluster));

/// Runs each scenario and prints its result.
///
/// # Panics
/// If a scenario panicked, with the names of all that did.
pub fn run(cases: &[Case], cluster: &RealCluster) {
    let fails = |(name, case): &&Case| {
        let start = Instant::now();
        let failed = catch_unwind(AssertUnwindSafe(|| case(cluster))).is_err();
        let mark = if failed { "FAILED" } else { "ok" };
        say(&format!("{mark:6} {:4.1} s  {name}", start.elapsed().as_secs_f32()));
        failed
    };
    let failed: Vec<_> = cases.iter().filter(fails).map(|(name, _)| *name).collect();
    assert!(failed.is_empty(), "{} of {} cases failed: {}", failed.len(), cases.len(), failed.join(", "));
}

/// Prints a line for the person who runs the tests. Not by a macro, because the test harness captures that.
pub fn say(line: &str) {
    writeln!(stderr(), "{line}").expect("write to stderr");
}
