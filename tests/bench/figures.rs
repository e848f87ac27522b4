//! The measured figures, and how they are printed with their limits.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The cost of one run.
#[derive(Clone, Copy)]
pub struct Cost {
    /// The user and system time of all processes of the run.
    pub cpu: Duration,
    /// From the start of the first process to the end of the last.
    pub wall: Duration,
}

/// The median of each figure.
pub fn median(costs: &[Cost]) -> Cost {
    let middle = |of: fn(&Cost) -> Duration| {
        let mut all: Vec<_> = costs.iter().map(of).collect();
        all.sort_unstable();
        all[all.len() / 2]
    };
    Cost { cpu: middle(|cost| cost.cpu), wall: middle(|cost| cost.wall) }
}

/// On which side of its limit a figure must be.
#[derive(Clone, Copy)]
pub enum Better {
    /// The figure must be at least the limit.
    More,
    /// The figure must be at most the limit.
    Less,
}

/// Prints the heading of the lines that [`held`] prints.
pub fn limits() {
    println!("{:38} {:>9} {:>9} {:>9}", "", "measured", "limit", "goal");
}

/// Prints a measured value with its limit and its goal. Returns false if the value is on the wrong side of the limit.
pub fn held(what: &str, measured: f64, limit: f64, goal: f64, better: Better) -> bool {
    let reaches = |wanted: f64| match better {
        Better::More => measured >= wanted,
        Better::Less => measured <= wanted,
    };
    let verdict = match (reaches(limit), reaches(goal)) {
        (true, true) => "goal met",
        (true, false) => "limit kept",
        (false, _) => "LIMIT EXCEEDED",
    };
    println!("{what:38} {measured:>9.2} {limit:>9} {goal:>9}  {verdict}");
    reaches(limit)
}

pub fn size(file: &Path) -> u64 {
    fs::metadata(file).expect("a program").len()
}

/// The size of a program on the `PATH` and of every library that it loads.
pub fn size_with_libraries(program: &str) -> u64 {
    let script = format!("p=$(command -v {program}); echo $p; ldd $p");
    let output = Command::new("sh").args(["-c", &script]).output().expect("run a shell");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let files = text.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    files.map(|file| size(Path::new(file))).sum()
}

/// CPU and wall time in milliseconds, each with its ratio to `base`.
pub fn beside(cost: Cost, base: Cost) -> String {
    let one = |time: Duration, base: Duration| {
        let (time, base) = (time.as_secs_f64(), base.as_secs_f64());
        format!("{:>8.2} {:>7}", time * 1000.0, format!("{:.2} x", time / base))
    };
    format!("{} {}", one(cost.cpu, base.cpu), one(cost.wall, base.wall))
}

pub fn float(count: u64) -> f64 {
    f64::from(u32::try_from(count).expect("less than 4 billion"))
}

/// A number with commas, such as `1,727,736`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}
