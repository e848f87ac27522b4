//! The identities of a knock, and which knock decides. Knows no request and no answer.

/// The identity that a request is sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Without the token, as anyone who reaches the API server.
    Anonymous,
    /// With the token, as the pod's service account.
    Token,
}

impl Identity {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Identity::Anonymous => "anonymous",
            Identity::Token => "token",
        }
    }
}

/// Whether this process sends a bearer token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearer {
    /// There is a token, and it is sent over TLS.
    Token,
    /// There is no token.
    None,
    /// It talks plain HTTP (`kubectl proxy`), where it never sends one: the proxy has an identity of its own.
    Plain,
}

impl Bearer {
    /// The identity whose knock decides: the token's where there is one to send.
    pub fn deciding(self) -> Identity {
        match self {
            Bearer::Token => Identity::Token,
            Bearer::None | Bearer::Plain => Identity::Anonymous,
        }
    }
}

/// The result of each identity's knock, so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Both<T> {
    /// Without the token; `None`: not sent.
    pub anonymous: Option<T>,
    /// With it; `None`: not sent.
    pub token: Option<T>,
}

impl<T> Default for Both<T> {
    fn default() -> Both<T> {
        Both { anonymous: None, token: None }
    }
}

impl<T> Both<T> {
    /// Sets the result of one identity.
    pub fn set(&mut self, identity: Identity, got: T) {
        match identity {
            Identity::Anonymous => self.anonymous = Some(got),
            Identity::Token => self.token = Some(got),
        }
    }

    /// What the deciding identity got. Where the connection fails under the anonymous knock, which goes
    /// first, there is no other, and its failure is the token's too.
    pub fn deciding(&self, bearer: Bearer) -> Option<&T> {
        match bearer.deciding() {
            Identity::Token => self.token.as_ref().or(self.anonymous.as_ref()),
            Identity::Anonymous => self.anonymous.as_ref(),
        }
    }

    /// The results, in the order in which the requests were sent.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        [&self.anonymous, &self.token].into_iter().flatten()
    }
}
