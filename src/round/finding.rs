//! The specification of a round, and its findings.

use std::time::{Duration, SystemTime};

use crate::api::discovery::Unresolved;
use crate::api::status::{Answer, Meaning, Shape};
use crate::cluster::Cluster;
use crate::exit::{Code, fold};
use crate::identity::{Bearer, Both};
use crate::knock::{Knock, Question, needs_review};
use crate::permission::{Expected, Permission};
use crate::time::date::retry_after;
use crate::token::Claims;

/// What to ask, and how.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The API server to ask.
    pub cluster: Cluster,
    /// In the order given.
    pub permissions: Vec<Permission>,
    /// `--review`.
    pub review: bool,
    /// `--token-only`.
    pub token_only: bool,
    /// `--forbid-anonymous`.
    pub forbid_anonymous: bool,
    /// `--min-token-life`.
    pub min_token_life: Option<Duration>,
}

impl Spec {
    /// The first permission whose anonymous knock would be an access review. Only an authenticated user may
    /// ask for one, so it cannot show what `--forbid-anonymous` is about.
    pub fn asked_by_review(&self) -> Option<&Permission> {
        self.permissions.iter().find(|permission| self.review || needs_review(permission))
    }
}

/// One permission, and its outcome.
#[derive(Clone, Debug)]
pub struct Finding {
    /// In full, with group and namespace; as typed where its name was not resolved.
    pub phrase: String,
    /// Required, or required to be refused.
    pub expected: Expected,
    /// The outcome.
    pub code: Code,
    /// Whether it was asked, and if not, why.
    pub state: State,
}

/// Whether a permission was asked, and if not, why.
#[derive(Clone, Debug)]
pub enum State {
    /// It was not asked: the connection failed before its turn, and that failure stands for it.
    NotAsked,
    /// It was not asked: there is no token, and `--token-only` leaves nothing else to ask with.
    NoToken,
    /// Not asked, because the token ends too soon by its own claims.
    TokenEnds {
        /// The seconds until its end; 0 or less: it has ended.
        left: i64,
        /// `--min-token-life`, in seconds.
        least: i64,
    },
    /// The deadline came when it was its turn.
    Late,
    /// Its name is not the name of a resource.
    Unresolved(Unresolved),
    /// It was asked.
    Asked(Box<Asked>),
}

/// A question, and what it got.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The question, with every name resolved; once it is a finding's, without its phrase, which that has, and its request.
    pub question: Question,
    /// The result of each identity's knock.
    pub knocks: Both<Knock>,
}

impl Finding {
    /// The question and its knocks, if it was asked.
    pub fn asked(&self) -> Option<&Asked> {
        match &self.state {
            State::Asked(asked) => Some(asked),
            State::NotAsked
            | State::NoToken
            | State::TokenEnds { .. }
            | State::Late
            | State::Unresolved(_) => None,
        }
    }

    /// True if the outcome is this permission's own, and not another's failure that stands for it.
    pub fn is_own(&self) -> bool {
        match self.state {
            State::NotAsked => false,
            State::NoToken
            | State::TokenEnds { .. }
            | State::Late
            | State::Unresolved(_)
            | State::Asked(_) => true,
        }
    }

    /// True if it was its turn to be asked.
    pub fn was_asked(&self) -> bool {
        match self.state {
            State::NotAsked | State::NoToken | State::TokenEnds { .. } => false,
            State::Late | State::Unresolved(_) | State::Asked(_) => true,
        }
    }

    /// True if it is answered by an access review, so that a plain "no" has no HTTP status of its own.
    pub fn by_review(&self) -> bool {
        self.asked().is_some_and(|asked| asked.question.shape == Shape::Review)
    }

    /// The answer that decides, if there is one.
    pub fn answer(&self, bearer: Bearer) -> Option<&Answer> {
        match &self.state {
            State::Asked(asked) => asked.knocks.deciding(bearer)?.result.as_ref().ok(),
            State::Unresolved(Unresolved::Answered(answer)) => Some(answer.as_ref()),
            State::NotAsked
            | State::NoToken
            | State::TokenEnds { .. }
            | State::Late
            | State::Unresolved(_) => None,
        }
    }
}

/// The result of a round.
#[derive(Clone, Debug)]
pub struct Round {
    /// One for each permission, in the order given.
    pub findings: Vec<Finding>,
    /// Whether a token is sent.
    pub bearer: Bearer,
    /// What the token claims.
    pub claims: Option<Claims>,
    /// Whether the deadline passed before the end.
    pub timed_out: bool,
}

impl Round {
    /// The code of the run: that of the first permission that is not as required. With `fail_open`, those without an
    /// answer (2x) do not count.
    pub fn code(&self, fail_open: bool) -> Code {
        fold(self.findings.iter().map(|finding| finding.code), fail_open)
    }

    /// The longest `Retry-After` of the answers that decide.
    pub fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        let answers = self.findings.iter().filter_map(|finding| finding.answer(self.bearer));
        answers.filter_map(|answer| retry_after(answer.retry_after.as_deref()?, now)).max()
    }

    /// The user of the knocks that decide, as the API server names it.
    pub fn user(&self) -> Option<&str> {
        let answers = self.findings.iter().filter_map(|finding| finding.answer(self.bearer));
        // A refusal of something else may name another user.
        answers
            .filter(|answer| answer.meaning != Meaning::OtherForbidden)
            .find_map(|answer| answer.user.as_deref())
    }

    /// The subject of a grant: the user that the API server names, or else the one that the token claims, if it was sent.
    pub fn subject(&self) -> Option<&str> {
        let sent = self.claims.as_ref().filter(|_| self.bearer == Bearer::Token);
        self.user().or_else(|| sent?.subject.as_deref())
    }
}
