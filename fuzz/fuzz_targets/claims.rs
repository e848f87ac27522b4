//! Token claims: whatever a token says of itself can be told.
#![no_main]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kubeknock_fuzz::time::date::time;
use kubeknock_fuzz::time::date::http_date;
use kubeknock_fuzz::token::Claims;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = (Claims::parse(text), http_date(text));
    }
    // The same as the claims of a token that is one.
    if let Some(claims) = Claims::parse(&format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(data))) {
        for now in [0, 1_795_468_589, 1 << 40] {
            assert!(!claims.explain_rejection(now, Some(now)).is_empty());
        }
        for at in [claims.issued, claims.expires, claims.warn_after].into_iter().flatten() {
            assert!(time(at).ends_with('Z'));
        }
    }
});
