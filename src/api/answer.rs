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
    /// A watch: decided by the head.
    Watch,
    /// A non-resource URL.
    Path,
    /// A SelfSubjectAccessReview.
    Review,
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
    /// A 403 about something else: another user, verb or resource than this request's, as an impersonating proxy or an
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

/// An answer, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// What it says about the permission.
    pub meaning: Meaning,
    /// The user that the server names, if it names one.
    pub user: Option<String>,
    /// The server's message, or why it cannot be understood. It may hold any character, so escape it.
    pub reason: String,
    /// The `Retry-After` header, unparsed.
    pub retry_after: Option<String>,
}

impl Answer {
    /// Whether the request passed authorization.
    pub fn got_in(&self) -> bool {
        matches!(self.meaning, Meaning::Granted | Meaning::NotFound)
    }

    /// The status and the words, in one line: `status 503: starting`.
    pub fn line(&self) -> String {
        match self.reason.as_str() {
            "" => format!("status {}", self.status),
            words => format!("status {}: {words}", self.status),
        }
    }
}
