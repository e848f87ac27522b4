//! Time: deadlines, pauses between rounds, and durations as Kubernetes writes them. The only place that
//! sleeps.

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// When a run has to be over. `None`: never.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// Never.
    pub const NEVER: Deadline = Deadline(None);

    /// So far from now.
    pub fn after(patience: Duration) -> Deadline {
        Deadline(Instant::now().checked_add(patience))
    }

    /// How long there is until then; `None`: for ever.
    pub fn left(self) -> Option<Duration> {
        self.0.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Whether it has come.
    pub fn is_over(self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// Sleeps, but not beyond the deadline. False: the deadline came first.
    pub fn sleep(self, pause: Duration) -> bool {
        match self.left() {
            Some(left) if left <= pause => {
                thread::sleep(left);
                false
            }
            _ => {
                thread::sleep(pause);
                true
            }
        }
    }
}

/// A slot that threads drop what they found into; all of them gone, nothing more comes.
#[derive(Debug)]
pub struct Post<E>(Arc<Sender<E>>);

/// The end of whoever waits for them, and keeps the deadline. (A channel of the standard library does the
/// same in six times the code.)
#[derive(Debug)]
pub struct LetterBox<E>(Arc<Shared<E>>);

#[derive(Debug)]
struct Sender<E>(Arc<Shared<E>>);

#[derive(Debug)]
struct Shared<E> {
    letters: Mutex<Letters<E>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Letters<E> {
    waiting: VecDeque<E>,
    senders_gone: bool,
}

/// A letter box, and its slot.
pub fn letter_box<E>() -> (Post<E>, LetterBox<E>) {
    let letters = Letters { waiting: VecDeque::new(), senders_gone: false };
    let shared = Arc::new(Shared { letters: Mutex::new(letters), changed: Condvar::new() });
    (Post(Arc::new(Sender(Arc::clone(&shared)))), LetterBox(shared))
}

impl<E> Shared<E> {
    fn lock(&self) -> MutexGuard<'_, Letters<E>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E> Post<E> {
    /// Hands something over, whether or not anybody still waits for it.
    pub fn send(&self, event: E) {
        let Sender(shared) = self.0.as_ref();
        shared.lock().waiting.push_back(event);
        shared.changed.notify_all();
    }
}

impl<E> Clone for Post<E> {
    fn clone(&self) -> Post<E> {
        Post(Arc::clone(&self.0))
    }
}

impl<E> LetterBox<E> {
    /// Waits for the next thing. `None`: nothing more comes, or not before the deadline.
    pub fn next(&self, deadline: Deadline) -> Option<E> {
        let mut letters = self.0.lock();
        loop {
            if let Some(event) = letters.waiting.pop_front() {
                return Some(event);
            }
            if letters.senders_gone {
                return None;
            }
            letters = match deadline.left() {
                None => self.0.changed.wait(letters).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return None,
                Some(left) => {
                    let waited = self.0.changed.wait_timeout(letters, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl<E> Drop for Sender<E> {
    fn drop(&mut self) {
        self.0.lock().senders_gone = true;
        self.0.changed.notify_all();
    }
}

/// The first step of a back-off.
const FIRST_STEP: Duration = Duration::from_secs(1);

/// A server that asks for more than this is obeyed up to it: no typing mistake there may freeze a pod.
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

    /// Begins anew.
    pub fn reset(&mut self) {
        self.step = FIRST_STEP.min(self.longest);
    }

    /// The next pause. `draw` is even between 0 and 1; `at_least` is what the server asked for.
    pub fn next(&mut self, draw: f64, at_least: Option<Duration>) -> Duration {
        let half = self.step / 2;
        let drawn = half.mul_f64(draw.clamp(0.0, 1.0));
        self.step = (self.step * 2).min(self.longest);
        // Who is told the same time shall not come back at the same moment.
        half.max(at_least.unwrap_or_default().min(LONGEST_RETRY_AFTER)) + drawn
    }
}

/// The interval, longer or shorter by up to a tenth. `draw` is even between 0 and 1.
pub fn jittered(interval: Duration, draw: f64) -> Duration {
    interval.mul_f64(0.9 + draw.clamp(0.0, 1.0) / 5.0)
}

/// Any number, from the seed the standard library takes for its hash tables. Not for secrets.
pub fn random() -> u32 {
    u32::try_from(RandomState::new().build_hasher().finish() >> 32).unwrap_or_default()
}

/// Any number between 0 and 1.
pub fn draw() -> f64 {
    f64::from(random()) / f64::from(u32::MAX)
}

/// Understands `Retry-After`: seconds, or a date. `None` where it is neither, or past.
pub fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    if header.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are still "very long".
        return (!header.is_empty())
            .then(|| Duration::from_secs(header.parse().unwrap_or(u64::from(u32::MAX))));
    }
    httpdate::parse_http_date(header).ok()?.duration_since(now).ok()
}

/// The `Date` of an HTTP answer, in seconds since 1970.
pub fn http_date(header: &str) -> Option<i64> {
    let date = httpdate::parse_http_date(header).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(date.as_secs()).ok()
}

/// Parses a duration as Kubernetes (Go) writes it: `800ms`, `2s`, `1m30s`, `1.5h`, `0`. The error says
/// what is wrong with it. No crate reads just this: those that read more take `1 year`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const FORM: &str = "a duration is numbers with units, such as 800ms, 2s or 1m30s";
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, behind) = rest.split_at(number_end);
        let unit_end = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, next) = behind.split_at(unit_end);
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "" if !number.is_empty() => return Err(format!("{FORM}; {text} has no unit")),
            _ => return Err(FORM.into()),
        };
        let span = scaled(number, milliseconds).ok_or(FORM)?;
        sum = sum
            .checked_add(span)
            .filter(|&sum| sum <= LONGEST)
            .ok_or_else(|| format!("{text} is more than ten years"))?;
        rest = next;
    }
    if text.is_empty() { Err(FORM.into()) } else { Ok(sum) }
}

/// `NUMBER[.FRACTION]` times a unit, exact to the microsecond. `None`: no such number.
fn scaled(number: &str, milliseconds: u64) -> Option<Duration> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    // Nine digits are more than any clock has; further ones are below it.
    let fraction = format!("{fraction:0<9}").get(..9)?.parse::<u64>().ok()?;
    let whole = whole.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(milliseconds);
    let part = u128::from(fraction) * u128::from(milliseconds) / 1_000_000;
    Duration::from_millis(whole).checked_add(Duration::from_micros(u64::try_from(part).ok()?))
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
        assert!(parse_duration("999999999h").unwrap_err().contains("ten years"));
    }

    #[test]
    fn a_letter_box_keeps_order_and_deadline() {
        let (post, letters) = letter_box();
        let sender = thread::spawn(move || (0..100).for_each(|number| post.send(number)));
        for expected in 0..100 {
            assert_eq!(letters.next(Deadline::NEVER), Some(expected));
        }
        sender.join().unwrap();
        assert_eq!(letters.next(Deadline::NEVER), None, "nothing more comes");

        let (post, letters) = letter_box::<()>();
        assert_eq!(letters.next(Deadline::after(Duration::from_millis(5))), None, "not in time");
        drop(letters);
        post.send(());
    }

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
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Mon, 23 Nov 2026 22:00:00 GMT").unwrap();
        for (header, seconds) in [
            ("5", Some(5)),
            (" 32 ", Some(32)),
            ("0", Some(0)),
            ("99999999999999999999", Some(u64::from(u32::MAX))),
            ("Mon, 23 Nov 2026 22:00:07 GMT", Some(7)),
            ("Mon, 23 Nov 2026 21:59:59 GMT", None),
            ("-1", None),
            ("", None),
            ("soon", None),
            ("1.5", None),
        ] {
            assert_eq!(retry_after(header, now), seconds.map(Duration::from_secs), "{header:?}");
        }
    }

    #[test]
    fn dates_of_answers() {
        // The two older forms of RFC 9110 are dates, too.
        for text in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(http_date(text), Some(784_111_777), "{text}");
        }
        for text in [
            "",
            "now",
            "Sun, 06 Nov 1994 9999999999999999:49:37 GMT",
            "Sun, 06 Nov 9223372036854775807 08:49:37 GMT",
        ] {
            assert_eq!(http_date(text), None);
        }
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
