//! How long to pause between rounds, so that many pods that started together do not ask together.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// The first step of a back-off.
const FIRST_STEP: Duration = Duration::from_secs(1);

/// The longest `Retry-After` that is obeyed, so that a mistake in a server cannot stop a pod.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);

/// Pauses that double from one second to a longest one, each drawn between half the step and the whole
/// step, so that pods that started together do not ask together.
#[derive(Clone, Debug)]
pub struct Backoff {
    step: Duration,
    longest: Duration,
}

impl Backoff {
    /// Begins at one second; `longest` is `--max-interval`.
    pub fn new(longest: Duration) -> Backoff {
        Backoff { step: FIRST_STEP.min(longest), longest }
    }

    /// Starts again with the first step.
    pub fn reset(&mut self) {
        self.step = FIRST_STEP.min(self.longest);
    }

    /// The next pause. `draw` is even between 0 and 1; `at_least` is what the server asked for.
    pub fn next(&mut self, draw: f64, at_least: Option<Duration>) -> Duration {
        let half = self.step / 2;
        let drawn = half.mul_f64(draw.clamp(0.0, 1.0));
        self.step = (self.step * 2).min(self.longest);
        // Pods that get the same Retry-After must not come back at the same moment.
        half.max(at_least.unwrap_or_default().min(LONGEST_RETRY_AFTER)) + drawn
    }
}

/// The interval, longer or shorter by up to a tenth. `draw` is even between 0 and 1.
pub fn jittered(interval: Duration, draw: f64) -> Duration {
    interval.mul_f64(0.9 + draw.clamp(0.0, 1.0) / 5.0)
}

/// A random number, from the seed of the standard library's hash tables. Not for secrets.
fn random() -> u32 {
    u32::try_from(RandomState::new().build_hasher().finish() >> 32).unwrap_or_default()
}

/// A random number between 0 and 1.
pub fn draw() -> f64 {
    f64::from(random()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let steps = |draw: f64| -> Vec<u128> {
            let mut backoff = Backoff::new(Duration::from_secs(30));
            (0..8).map(|_| backoff.next(draw, None).as_millis()).collect()
        };
        assert_eq!(steps(1.0), [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
        assert_eq!(steps(0.0), [500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
        let mut short = Backoff::new(Duration::from_millis(200));
        assert_eq!(short.next(1.0, None), Duration::from_millis(200));
        short.reset();
        assert_eq!(short.next(1.0, None), Duration::from_millis(200));
    }

    #[test]
    fn what_the_server_asks_for_is_the_least() {
        let mut backoff = Backoff::new(Duration::from_secs(30));
        assert_eq!(backoff.next(0.0, Some(Duration::from_secs(5))), Duration::from_secs(5));
        assert_eq!(backoff.next(1.0, Some(Duration::from_secs(5))), Duration::from_secs(6));
        assert_eq!(backoff.next(1.0, Some(Duration::from_secs(1))), Duration::from_secs(4));
        assert_eq!(backoff.next(0.0, Some(Duration::from_secs(86_400))), LONGEST_RETRY_AFTER);
    }

    #[test]
    fn draws_differ_and_stay_between_0_and_1() {
        let draws: Vec<f64> = (0..100).map(|_| draw()).collect();
        assert!(draws.iter().all(|draw| (0.0..=1.0).contains(draw)));
        assert!(draws.iter().any(|draw| *draw < 0.3) && draws.iter().any(|draw| *draw > 0.7));
        let interval = Duration::from_secs(30);
        assert_eq!(
            (jittered(interval, 0.0), jittered(interval, 1.0)),
            (interval.mul_f64(0.9), interval.mul_f64(1.1))
        );
    }
}
