//! Times and spans as Kubernetes writes them. Pure.

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
    fn spans_read_like_ages() {
        for (seconds, text) in
            [(-5, "0s"), (119, "119s"), (120, "2m"), (7260, "2h1m"), (172_800, "2d"), (63_072_000, "2y")]
        {
            assert_eq!(span(seconds), text);
        }
    }
}
