//! CA bundles and certificates: any bytes give at least one certificate, or an error of one line.
#![no_main]

use kubeknock_fuzz::api::certificate::Certificate;
use kubeknock_fuzz::api::tls::{Setup, Verify, certificates};
use kubeknock_fuzz::api::facts::SharedFacts;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = Certificate::parse(data);
    let _ = certificates(data);
    if let Err(fault) = Setup::new(&Verify::Bundle(data, "ca.crt"), &SharedFacts::default(), false) {
        assert!(fault.text().starts_with("CA bundle ca.crt: ") && fault.text().lines().count() == 1);
    }
});
