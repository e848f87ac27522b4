//! One round: asks every permission, with both knocks, within a deadline, over one connection or several if that pays
//! off.
//!
//! When the deadline passes, the result is what is known by then.

mod ask;
mod crew;
pub mod finding;
mod knocking;
mod several;
mod spread;

use std::time::Duration;

pub use ask::resources;
pub use finding::{Finding, Round, Spec, State};

use crate::api::access::Kept;
use crate::exit::{Class, Code};
use crate::failure::Fault;
use crate::knock::Knock;
use crate::trace::Tracing;
use ask::Named;
use spread::is_many;

/// The rounds of one spec. The first makes both knocks. Later rounds make only the knocks that decide, and look up only
/// the names that are not resolved yet.
pub struct Rounds {
    /// What to ask.
    pub spec: Spec,
    /// How many rounds have been made.
    pub made: u32,
    /// Whether any round has asked anything: a round makes no knock if its token ends too soon.
    asked: bool,
    /// Whether the last round got no answer.
    outage: bool,
    /// What earlier rounds have learned about each permission; empty for a single round.
    memory: Vec<Memory>,
    /// What one connection passes to the next; `None` if there is only one.
    kept: Option<Kept>,
}

/// The longest pause over which a connection is kept. The API server closes a connection after 90 s without a request.
/// An interval of one minute, with its jitter, stays below this limit.
const LONGEST_IDLE: Duration = Duration::from_secs(75);

/// What later rounds do not need to ask again.
#[derive(Clone, Debug, Default)]
struct Memory {
    resource: Named,
    anonymous: Option<Knock>,
}

impl Rounds {
    /// A single round, not made yet.
    pub fn one(spec: Spec) -> Rounds {
        // The further connections of the round resume the TLS session of the first.
        let kept = is_many(spec.permissions.len()).then(|| Kept::new(false));
        Rounds { made: 0, asked: false, outage: false, memory: Vec::new(), spec, kept }
    }

    /// Many rounds, none of them made yet. They resume their TLS sessions; with `on_one_connection`, they also keep the
    /// connection.
    pub fn many(spec: Spec, on_one_connection: bool) -> Rounds {
        let memory = vec![Memory::default(); spec.permissions.len()];
        Rounds { memory, kept: Some(Kept::new(on_one_connection)), ..Rounds::one(spec) }
    }

    /// Makes a round within `patience`. All faults are found before anything is asked, except a missing namespace that
    /// only discovery shows to be needed.
    pub fn next(&mut self, patience: Duration, tracing: Tracing) -> Result<Round, Fault> {
        let first = self.made == 0;
        // Show a warning about the setup only once.
        let tracing = Tracing { warnings: tracing.warnings && first, ..tracing };
        let known: Vec<_> = self.memory.iter().map(|memory| memory.resource.clone()).collect();
        let owed = !self.asked || self.owes_anonymous();
        let (mut round, names) = ask::round(&self.spec, &known, self.kept.as_mut(), patience, owed, tracing)?;
        self.made = self.made.saturating_add(1);
        self.asked |= round.findings.iter().any(Finding::was_asked);
        for memory in &mut self.memory {
            memory.resource = None;
        }
        for ((finding, name), memory) in round.findings.iter_mut().zip(names).zip(&mut self.memory) {
            let State::Asked(asked) = &mut finding.state else { continue };
            // Look up the name of an unserved resource again: it may be gone, and come back under another name.
            if finding.code != Code::Unserved {
                memory.resource = name;
            }
            match &asked.knocks.anonymous {
                Some(knock) => memory.anonymous = Some(knock.clone()),
                None => asked.knocks.anonymous.clone_from(&memory.anonymous),
            }
        }
        Ok(round)
    }

    /// Whether to ask again before a round's code is believed: it is a no right after an outage. An API server that has
    /// just started answers requests before it has read the roles and accounts, and refuses everybody.
    pub fn doubts(&mut self, code: Code) -> bool {
        let before = std::mem::replace(&mut self.outage, code.class() == Class::NoAnswer);
        before && code.class() == Class::No
    }

    /// Ends the connection before a pause, unless it is worth keeping.
    pub fn rest(&self, pause: Duration, answered: bool) {
        if let Some(kept) = &self.kept
            && !is_worth_keeping(pause, answered)
        {
            kept.hang_up();
        }
    }

    /// Whether to make the anonymous knock again. It is repeated until it is answered, but not after a timeout, because
    /// another one would again leave no time for the token's knock.
    fn owes_anonymous(&self) -> bool {
        self.memory
            .iter()
            .filter_map(|memory| memory.anonymous.as_ref())
            .any(|knock| matches!(&knock.result, Err(failure) if failure.code() != Code::Timeout))
    }
}

/// Whether to keep a connection over a pause. The pause must be short, and the last round must have been answered: if
/// it was not, a new connection may reach another server at the same address, which does answer.
fn is_worth_keeping(pause: Duration, answered: bool) -> bool {
    answered && pause <= LONGEST_IDLE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Cluster, ServiceVariables, Where};
    use crate::time::backoff::jittered;

    #[test]
    fn a_no_after_an_outage_is_doubted_once() {
        let place = Where { server: Some("https://10.96.0.1".into()), ..Where::default() };
        let cluster = Cluster::resolve(place, &ServiceVariables::default()).unwrap();
        let spec = Spec {
            cluster,
            permissions: Vec::new(),
            review: false,
            token_only: false,
            forbid_anonymous: false,
            min_token_life: None,
        };
        let mut rounds = Rounds::one(spec);
        for (code, doubted) in [
            (Code::Forbidden, false),
            (Code::Unreachable, false),
            (Code::Timeout, false),
            (Code::Unauthenticated, true),
            (Code::Forbidden, false),
            (Code::Ok, false),
            (Code::Forbidden, false),
            (Code::Unavailable, false),
            (Code::Ok, false),
            (Code::Forbidden, false),
        ] {
            assert_eq!(rounds.doubts(code), doubted, "{code:?}");
        }
    }

    #[test]
    fn a_connection_is_kept_over_a_minute_and_its_jitter() {
        let minute = Duration::from_secs(60);
        for (pause, answered, kept) in [
            (Duration::ZERO, true, true),
            (jittered(minute, 1.0), true, true),
            (jittered(minute * 2, 0.0), true, false),
            (Duration::from_secs(3600), true, false),
            (Duration::ZERO, false, false),
            (minute, false, false),
        ] {
            assert_eq!(is_worth_keeping(pause, answered), kept, "{pause:?} {answered}");
        }
    }
}
