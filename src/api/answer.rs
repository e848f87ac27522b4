//! An answer of the API server, and what it means for the permission.

/// The user name of requests without credentials (k8s.io/apiserver/pkg/authentication/user).
pub const ANONYMOUS: &str = "system:anonymous";

/// What a request asks for. It decides which answers are valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Objects of a resource.
    List,
    /// One object, by name.
    Object(String),
    /// A watch: decided by its head, if it has no length.
    Watch,
    /// A non-resource URL.
    Path,
    /// A path that serves one document: of this kind, or with this key.
    Document(&'static str),
    /// A SelfSubjectAccessReview.
    Review,
}

impl Shape {
    /// The shape of the answer from a non-resource URL. Some serve one document (k8s.io/apiserver, k8s.io/kube-openapi).
    pub fn of_path(path: &str) -> Shape {
        let mut parts = path.split('?').next().unwrap_or_default().trim_matches('/').split('/');
        let parts = [parts.next(), parts.next(), parts.next(), parts.next()].map(Option::unwrap_or_default);
        Shape::Document(match parts {
            ["version", "", ..] => "gitVersion",
            ["api", "", ..] => "APIVersions",
            ["apis", "", ..] => "APIGroupList",
            ["apis", _, "", _] => "APIGroup",
            ["api", _, "", _] | ["apis", _, _, ""] => "APIResourceList",
            ["openapi", "v2", "", _] => "swagger",
            ["openapi", "v3", "", _] => "paths",
            _ => return Shape::Path,
        })
    }

    /// Whether it is the answer from a non-resource URL.
    pub fn is_path(&self) -> bool {
        matches!(self, Shape::Path | Shape::Document(_))
    }
}

/// What an answer says about the permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Yes.
    Granted,
    /// Yes, and the named object does not exist: authorization came first.
    NotFound,
    /// No: 403, or a review that says no.
    Forbidden,
    /// No, because an authorizer denies it (`status.denied` of a review), which no RBAC grant lifts.
    Denied,
    /// The review itself is refused: says nothing about the permission.
    ReviewForbidden,
    /// A 403 about something else: another user, verb, resource or namespace than this request's, as an impersonating proxy or an
    /// aggregated API server sends it.
    OtherForbidden,
    /// Yes, under conditions that the review cannot decide (KEP-5681).
    Conditional,
    /// 401.
    Unauthenticated,
    /// 404 or 405: not refused, and not there.
    Unserved,
    /// 429 or 5xx.
    Unavailable,
    /// Not the answer of a Kubernetes API server.
    Unintelligible,
}

/// An answer, and what it means. There may be thousands at once: a `Box<str>` is smaller than a `String`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// What it says about the permission.
    pub meaning: Meaning,
    /// The user that the server names, if it names one.
    pub user: Option<Box<str>>,
    /// The server's message, or why it cannot be understood. It may hold any character, so escape it.
    pub reason: Box<str>,
    /// The `Retry-After` header, unparsed.
    pub retry_after: Option<Box<str>>,
    /// For a 401: how many seconds the server's clock is ahead of this one. Nothing else depends on it.
    pub skew: Option<i64>,
}

impl Answer {
    /// Whether the request passed authorization.
    pub fn got_in(&self) -> bool {
        matches!(self.meaning, Meaning::Granted | Meaning::NotFound)
    }

    /// The server's message after a colon, if there is one.
    pub fn said(&self) -> String {
        if self.reason.is_empty() { String::new() } else { format!(": {}", self.reason) }
    }

    /// The status and the words, in one line: `status 503: starting`.
    pub fn line(&self) -> String {
        match &*self.reason {
            "" => format!("status {}", self.status),
            words => format!("status {}: {words}", self.status),
        }
    }
}
