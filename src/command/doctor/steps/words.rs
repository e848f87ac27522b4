//! Words that several steps share.

use crate::api::certificate::Certificate;
use crate::time::duration::span;

/// Prints the cluster's CA bundle, which is in every namespace.
pub const OWN_CA: &str = r"kubectl get configmap kube-root-ca.crt -o jsonpath='{.data.ca\.crt}'";

/// When a certificate is valid.
pub fn validity(certificate: &Certificate, now: i64) -> String {
    if certificate.not_after <= now {
        return format!("expired {} ago", span(now.saturating_sub(certificate.not_after)));
    }
    if certificate.not_before > now {
        return format!("not valid for another {}", span(certificate.not_before.saturating_sub(now)));
    }
    format!("expires in {}", span(certificate.not_after.saturating_sub(now)))
}
