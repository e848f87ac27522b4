//! The self-subject reviews of authorization.k8s.io: what they are asked with.

use serde_json::{Value, json};

use super::Request;

/// What a permission is about, in the API server's terms (authorization.k8s.io/v1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attributes {
    /// Objects of a resource.
    Resource {
        /// The RBAC verb.
        verb: String,
        /// The API group, empty for the core group.
        group: String,
        /// The version, `*` where it does not matter.
        version: String,
        /// The plural.
        resource: String,
        /// The subresource.
        subresource: Option<String>,
        /// A single object.
        name: Option<String>,
        /// The namespace; `None` is the cluster scope, or all namespaces.
        namespace: Option<String>,
    },
    /// A non-resource URL.
    Path {
        /// The HTTP method in lower case.
        verb: String,
        /// The path.
        path: String,
    },
}

impl Attributes {
    /// The SelfSubjectAccessReview that asks it.
    pub fn access_review(&self) -> Request {
        let spec = match self {
            Attributes::Resource { verb, group, version, resource, subresource, name, namespace } => {
                let mut attributes = serde_json::Map::new();
                let mut set = |key: &str, value: &str| {
                    if !value.is_empty() {
                        attributes.insert(key.to_owned(), Value::from(value));
                    }
                };
                set("verb", verb);
                set("group", group);
                set("version", version);
                set("resource", resource);
                set("subresource", subresource.as_deref().unwrap_or_default());
                set("name", name.as_deref().unwrap_or_default());
                set("namespace", namespace.as_deref().unwrap_or_default());
                json!({ "resourceAttributes": attributes })
            }
            Attributes::Path { verb, path } => {
                json!({ "nonResourceAttributes": { "verb": verb, "path": path } })
            }
        };
        let review = json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec });
        Request {
            post: Some(review.to_string()),
            ..Request::get("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
        }
    }
}
