//! Rows: each has a name, a claim, the features it needs, and a result. Several run at once.

use std::env;
use std::io::{Write as _, stderr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::cluster::{Cluster, Need};

/// How many rows run at once. Most of their time is spent waiting for the kubelet.
const AT_ONCE: usize = 6;

/// A claim about pods.
pub struct Row<'a> {
    pub name: String,
    pub needs: Vec<Need>,
    pub run: Box<dyn Fn() + Send + Sync + 'a>,
}

impl<'a> Row<'a> {
    pub fn new(name: &str, needs: &[Need], run: impl Fn() + Send + Sync + 'a) -> Self {
        Row { name: name.to_owned(), needs: needs.to_vec(), run: Box::new(run) }
    }
}

/// The results of the rows of a group.
#[derive(Default)]
pub struct Tally {
    passed: Mutex<usize>,
    failed: Mutex<Vec<String>>,
    left_out: Mutex<usize>,
}

impl Tally {
    /// Runs rows, each in a thread with its name, and returns when all have ended.
    pub fn run(&self, cluster: &Cluster, mut rows: Vec<Row<'_>>) {
        rows.retain(|row| is_wanted(&row.name));
        let queue = Mutex::new(rows.into_iter());
        thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    loop {
                        let next = queue.lock().expect("the queue").next();
                        let Some(row) = next else { return };
                        self.run_one(cluster, &row);
                    }
                });
            }
        });
    }

    fn run_one(&self, cluster: &Cluster, row: &Row<'_>) {
        let missing = row.needs.iter().find_map(|&need| cluster.lacks(need));
        if let Some(missing) = missing {
            if missing.is_due && env::var_os("CI").is_some() {
                self.fails(&row.name);
                say(&format!("FAILED           {}: this cluster should have: {}", row.name, missing.why));
            } else {
                *self.left_out.lock().expect("a count") += 1;
                say(&format!("left out         {}: it needs {}", row.name, missing.why));
            }
            return;
        }
        let start = Instant::now();
        let failed = catch_unwind(AssertUnwindSafe(|| (row.run)())).err();
        let took = start.elapsed().as_secs_f32();
        match failed {
            None => {
                *self.passed.lock().expect("a count") += 1;
                say(&format!("ok      {took:6.1} s  {}", row.name));
            }
            Some(panic) => {
                let why = panic.downcast_ref::<String>().map(String::as_str);
                let why = why.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked");
                self.fails(&row.name);
                say(&format!("FAILED  {took:6.1} s  {}\n{why}\n", row.name));
            }
        }
    }

    fn fails(&self, name: &str) {
        self.failed.lock().expect("the list").push(name.to_owned());
    }

    /// Prints the totals.
    ///
    /// # Panics
    /// If a row failed.
    pub fn sum(&self, group: &str, took: Duration) {
        let (passed, failed) = (*self.passed.lock().expect("a count"), self.failed.lock().expect("the list"));
        let left_out = *self.left_out.lock().expect("a count");
        say(&format!(
            "{group}: {passed} passed, {} failed, {left_out} left out, in {:.0} s",
            failed.len(),
            took.as_secs_f32()
        ));
        assert!(failed.is_empty(), "{group}: failed: {}", failed.join(", "));
        assert!(passed + left_out > 0, "{group}: it has no rows");
    }
}

/// Whether `KUBEKNOCK_ROWS` selects this row.
pub fn is_wanted(name: &str) -> bool {
    env::var("KUBEKNOCK_ROWS").map_or(true, |part| name.contains(&part))
}

/// Prints a line on stderr at once. Not by a macro, because the test harness would hold it back until the end.
pub fn say(line: &str) {
    writeln!(stderr(), "{line}").expect("write to stderr");
}
