//! Dates: as Kubernetes writes them, and as headers of HTTP do; and what this clock shows.

use std::time::{Duration, SystemTime};

/// Now, in seconds since 1970.
pub fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}

/// A time in seconds since 1970 as Kubernetes writes it: `2026-11-23T21:16:29Z`.
pub fn time(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days since 0000-03-01, in cycles of 400 years (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    let days = days + 719_468;
    let (cycle, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, late) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + cycle * 400 + late;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// The same with milliseconds: `2026-11-23T21:16:29.042Z`.
pub fn timestamp(at: SystemTime) -> String {
    let elapsed = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = time(i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX));
    format!("{}.{:03}Z", seconds.trim_end_matches('Z'), elapsed.subsec_millis())
}

/// The inverse of [`time`]: seconds since 1970 of a date and a time of day in UTC.
pub fn seconds(year: i64, month: i64, day: i64, second_of_day: i64) -> i64 {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let day = year * 365 + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (153 * month + 2) / 5
        + day
        - 1;
    (day - 719_468) * 86_400 + second_of_day
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (at, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_468_589, "2026-11-23T21:16:29Z"),
            (4_102_444_800, "2100-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(time(at), text);
            let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
            let second = number(11..13) * 3600 + number(14..16) * 60 + number(17..19);
            assert_eq!(seconds(number(0..4), number(5..7), number(8..10), second), at);
        }
    }

    #[test]
    fn timestamps_have_milliseconds() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_468_589_042);
        assert_eq!(timestamp(at), "2026-11-23T21:16:29.042Z");
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
}
