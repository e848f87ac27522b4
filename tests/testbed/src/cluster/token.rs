//! Service account tokens: what they hold, and which of them the cluster accepts.

use super::answers::now;
use super::rbac::User;
use super::storage::Storage;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// The issuer of the cluster's tokens, and the one audience it accepts.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// What a token is to hold.
#[derive(Clone, Debug)]
pub struct TokenSpec {
    /// Namespace of the service account.
    pub namespace: String,
    /// Name of the service account.
    pub service_account: String,
    /// Seconds from now until it expires; negative for one that has expired.
    pub expires_in: i64,
    /// Its audience; the cluster accepts only [`ISSUER`].
    pub audience: String,
    /// Its issuer; the cluster accepts only [`ISSUER`].
    pub issuer: String,
    /// The pod it is bound to. If that pod is in the cluster, the token becomes invalid with it.
    pub pod: Option<String>,
}

impl Default for TokenSpec {
    /// A valid token of `default/default` for one hour, not bound to a pod.
    fn default() -> Self {
        Self {
            namespace: "default".to_owned(),
            service_account: "default".to_owned(),
            expires_in: 3607,
            audience: ISSUER.to_owned(),
            issuer: ISSUER.to_owned(),
            pod: None,
        }
    }
}

/// The tokens that the cluster has issued, with their claims.
#[derive(Default)]
pub struct Tokens {
    issued: HashMap<String, Value>,
}

impl Tokens {
    /// Issues a token.
    ///
    /// # Panics
    /// If there is no such service account: the real API server issues no token for it either.
    pub fn issue(&mut self, storage: &Storage, spec: &TokenSpec) -> String {
        let TokenSpec { namespace, service_account, .. } = spec;
        let account = storage.get("", "serviceaccounts", namespace, service_account);
        let account = account.unwrap_or_else(|| {
            panic!("no service account {namespace}/{service_account}: create it before asking for its token")
        });
        let issued_at = now().min(now() + spec.expires_in - 1);
        let mut claims = json!({
            "aud": [spec.audience],
            "exp": now() + spec.expires_in,
            "iat": issued_at,
            "nbf": issued_at,
            "iss": spec.issuer,
            "jti": uid(),
            "sub": format!("system:serviceaccount:{namespace}:{service_account}"),
            "kubernetes.io": {
                "namespace": namespace,
                "serviceaccount": { "name": service_account, "uid": account["metadata"]["uid"] },
                "warnafter": issued_at + 3607,
            },
        });
        if let Some(pod) = &spec.pod {
            let known = storage.get("", "pods", namespace, pod).map(|pod| pod["metadata"]["uid"].clone());
            let bound = known.is_some();
            let pod_uid = known.unwrap_or_else(|| uid().into());
            claims["kubernetes.io"]["pod"] = json!({ "name": pod, "uid": pod_uid });
            claims["kubernetes.io"]["node"] = json!({ "name": "node-1", "uid": uid() });
            claims["bound"] = json!(bound);
        }
        let bound = claims.as_object_mut().unwrap().remove("bound");
        let header = json!({ "alg": "RS256", "kid": "kFwLYvG0JlxXp3cM4zBf2mQ8dHhRk6sTn1uVaEo7yWg" });
        let parts = [header.to_string().into_bytes(), claims.to_string().into_bytes(), random(256)];
        let token = parts.map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
        claims["bound"] = bound.unwrap_or_default();
        self.issued.insert(token.clone(), claims);
        token
    }

    /// The user that a token identifies. `None` is a 401.
    pub fn user(&self, storage: &Storage, token: &str) -> Option<User> {
        let claims = self.issued.get(token)?;
        let fresh = claims["nbf"].as_i64()? <= now() && now() < claims["exp"].as_i64()?;
        if !fresh || claims["iss"] != ISSUER || claims["aud"] != json!([ISSUER]) {
            return None;
        }
        let kubernetes = &claims["kubernetes.io"];
        let namespace = kubernetes["namespace"].as_str()?;
        let account = &kubernetes["serviceaccount"];
        if !is_there(storage, "serviceaccounts", namespace, account) {
            return None;
        }
        let pod = &kubernetes["pod"];
        if claims["bound"] == true && !is_there(storage, "pods", namespace, pod) {
            return None;
        }
        let mut user = User::named(claims["sub"].as_str()?);
        user.uid = account["uid"].as_str().map(str::to_owned);
        user.extra = vec![("credential-id".to_owned(), format!("JTI={}", claims["jti"].as_str()?))];
        if !pod.is_null() {
            let node = &kubernetes["node"];
            let facts =
                [("node", "name", node), ("node", "uid", node), ("pod", "name", pod), ("pod", "uid", pod)];
            let facts = facts.map(|(of, what, object)| {
                (format!("{of}-{what}"), object[what].as_str().unwrap_or_default().to_owned())
            });
            user.extra.extend(facts);
        }
        Some(user)
    }
}

fn is_there(storage: &Storage, resource: &str, namespace: &str, claimed: &Value) -> bool {
    let name = claimed["name"].as_str().unwrap_or_default();
    let object = storage.get("", resource, namespace, name);
    object.is_some_and(|object| object["metadata"]["uid"] == claimed["uid"])
}

/// This many bytes, different in every run. They only have to look random; they are not secret.
pub fn random(count: usize) -> Vec<u8> {
    let words = (0..count.div_ceil(8)).map(|number| RandomState::new().hash_one(number));
    words.flat_map(u64::to_ne_bytes).take(count).collect()
}

/// This many random bytes, in hexadecimal.
pub fn hex(count: usize) -> String {
    random(count).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// A random UUID.
pub fn uid() -> String {
    let hex = hex(16);
    format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}
