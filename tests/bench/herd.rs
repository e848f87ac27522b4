//! A simulation: 5,000 gates start in the same second and wait ten minutes for a grant that never comes. It
//! runs the back-off of `wait` on a simulated clock and prints how many requests reach the API server each
//! second. `just herd`.

#![allow(clippy::print_stdout, reason = "it is there to be read")]

#[path = "../../src/time/backoff.rs"]
#[allow(dead_code, unused_imports, reason = "only the back-off is simulated")]
mod backoff;

use std::time::Duration;

use backoff::{Backoff, draw};

const GATES: usize = 5000;
const SECONDS: usize = 600;
const MAX_INTERVAL: Duration = Duration::from_secs(30);

fn main() {
    let mut rate = vec![0_u32; SECONDS];
    let mut requests_of = Vec::with_capacity(GATES);
    for _ in 0..GATES {
        let mut backoff = Backoff::new(MAX_INTERVAL);
        let mut clock = Duration::from_secs_f64(draw());
        // The first round makes both knocks, later rounds only the one with the token.
        let (mut requests, mut knocks) = (0, 2);
        while let Some(second) = usize::try_from(clock.as_secs()).ok().and_then(|second| rate.get_mut(second))
        {
            *second += knocks;
            requests += knocks;
            knocks = 1;
            clock += backoff.next(draw(), None);
        }
        requests_of.push(requests);
    }
    requests_of.sort_unstable();
    println!("{GATES} gates, {SECONDS} s, --max-interval {MAX_INTERVAL:?}: requests a second");
    println!("{:>14}  {:>5}  {:>5}", "seconds", "mean", "peak");
    for (from, to) in [(0, 10), (10, 20), (20, 30), (30, 60), (60, 120), (120, 300), (300, 600)] {
        let span = rate.get(from..to).unwrap_or_default();
        let mean = span.iter().sum::<u32>() / u32::try_from(span.len()).unwrap_or(1);
        println!(
            "{:>14}  {mean:>5}  {:>5}",
            format!("{from} to {to}"),
            span.iter().max().copied().unwrap_or(0)
        );
    }
    let at = |share: usize| requests_of.get((GATES - 1) * share / 100).copied().unwrap_or(0);
    println!("requests a gate: median {}, 99th percentile {}, most {}", at(50), at(99), at(100));
}
