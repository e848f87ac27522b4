//! Time: the deadline of a run, and durations as Kubernetes writes them.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// When a run has to be over. `None`: never.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Option<Instant>);

/// What came next from a worker thread.
#[derive(Debug)]
pub enum Next<E> {
    /// It told something.
    Event(E),
    /// It has ended.
    Finished,
    /// The deadline came first.
    TimedOut,
}

impl Deadline {
    /// So far from now.
    pub fn after(patience: Duration) -> Deadline {
        Deadline(Instant::now().checked_add(patience))
    }

    /// Waits for the worker's next event, but not beyond the deadline. The kernel rounds long socket
    /// timeouts up by seconds; this wait is exact.
    pub fn next<E>(self, worker: &Receiver<E>) -> Next<E> {
        let event = match self.0 {
            None => worker.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(deadline) => worker.recv_timeout(deadline.saturating_duration_since(Instant::now())),
        };
        match event {
            Ok(event) => Next::Event(event),
            Err(RecvTimeoutError::Disconnected) => Next::Finished,
            Err(RecvTimeoutError::Timeout) => Next::TimedOut,
        }
    }
}

/// Parses a duration as Kubernetes (Go) writes it: `800ms`, `2s`, `1m30s`, `1.5h`, `0`. The error says
/// what is wrong with it. No crate reads just this: those that read more take `1 year`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const FORM: &str = "a duration is numbers with units, such as 800ms, 2s or 1m30s";
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut seconds = 0.0_f64;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, behind) = rest.split_at(number_end);
        let unit_end = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, next) = behind.split_at(unit_end);
        let scale = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "" if !number.is_empty() => return Err(format!("{FORM}; {text} has no unit")),
            _ => return Err(FORM.into()),
        };
        if !number.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(FORM.into());
        }
        let number: f64 = number.parse().map_err(|_| FORM.to_owned())?;
        seconds += number * scale;
        rest = next;
    }
    if text.is_empty() {
        return Err(FORM.into());
    }
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|&span| span <= LONGEST)
        .ok_or_else(|| format!("{text} is more than ten years"))
}

/// Longer spans are mistakes, and would not fit the clock.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, milliseconds) in [
            ("0", 0),
            ("0s", 0),
            ("800ms", 800),
            ("2s", 2000),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            ("1h0m1s", 3_601_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in
            ["", "10", "s", "-1s", "+1s", "1 s", "1d", "1e3s", ".5s", "1..5s", "1s2", "999999999h", "∞"]
        {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert!(parse_duration("10").unwrap_err().contains("no unit"));
    }
}
