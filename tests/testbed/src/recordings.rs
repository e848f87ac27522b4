//! What real kube-apiservers said: the stand-in answers from it, and is held to it.

use serde_json::Value;

/// Exchanges with a kube-apiserver 1.36.2.
pub const V1_36: &str = include_str!("../../recordings/v1.36.2.json");
/// The same with `--anonymous-auth=false`.
pub const V1_36_WITHOUT_ANONYMOUS: &str = include_str!("../../recordings/v1.36.2-anonymous-disabled.json");
/// The same with requests in another user's name, and a group whose API service is down.
pub const V1_36_IMPERSONATION_AND_AGGREGATION: &str =
    include_str!("../../recordings/v1.36.2-impersonation-and-aggregation.json");
/// Exchanges with a kube-apiserver 1.20.2.
pub const V1_20: &str = include_str!("../../recordings/v1.20.2.json");

/// The `Content-Type` of aggregated discovery.
pub const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// All exchanges of a recording.
pub fn exchanges(recording: &str) -> Vec<Value> {
    serde_json::from_str(recording).unwrap()
}
