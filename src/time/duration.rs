//! Durations as Kubernetes writes them: `1m30s` of options, `3h5m` of ages. Pure.

use std::time::Duration;

/// The longest duration. Longer ones are mistakes, and would overflow the clock.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 86_400);

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

/// A span of seconds as Kubernetes writes ages: `45s`, `12m`, `3h5m`, `9d`, `2y`.
pub fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{minutes}m"),
        7200..172_800 => format!("{hours}h{}m", minutes % 60),
        172_800..63_072_000 => format!("{days}d"),
        _ => format!("{}y", days / 365),
    }
}

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
    fn spans_read_like_ages() {
        for (seconds, text) in
            [(-5, "0s"), (119, "119s"), (120, "2m"), (7260, "2h1m"), (172_800, "2d"), (63_072_000, "2y")]
        {
            assert_eq!(span(seconds), text);
        }
    }
}
