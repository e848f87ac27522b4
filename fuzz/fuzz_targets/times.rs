//! `Retry-After` and durations: no number overflows, and no pause is longer than five minutes and half a step.
#![no_main]

use std::time::{Duration, SystemTime};

use kubeknock_fuzz::time::backoff::Backoff;
use kubeknock_fuzz::time::date::{http_date, retry_after};
use kubeknock_fuzz::time::duration::parse_duration;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = http_date(text);
    if let Ok(duration) = parse_duration(text) {
        assert!(duration <= Duration::from_secs(10 * 366 * 86_400));
        let mut backoff = Backoff::new(duration);
        for _ in 0..40 {
            // A float holds ten years with the precision of a microsecond.
            assert!(backoff.next(1.0, None) <= duration + Duration::from_micros(1));
        }
    }
    for now in [SystemTime::UNIX_EPOCH, SystemTime::now()] {
        let asked = retry_after(text, now);
        assert!(Backoff::new(Duration::from_secs(30)).next(1.0, asked) <= Duration::from_millis(300_500));
    }
});
