//! One round: every permission asked, both knocks, over one connection, or more where that pays, within a deadline.
//!
//! At the deadline, the result is what is known by then.

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
use crate::exit::Code;
use crate::failure::Fault;
use crate::knock::Knock;
use crate::trace::Tracing;
use ask::Named;
use spread::is_many;

/// Rounds of the same spec. The first makes both knocks; later ones only those that decide, and look
/// up only the names that have no resource yet.
pub struct Rounds {
    /// What is asked.
    pub spec: Spec,
    /// How many rounds have been made.
    pub made: u32,
    /// Whether anything was asked: if the token ends too soon, the round has no knock.
    asked: bool,
    /// What an earlier round learned of each permission; nothing where there is no later one.
    memory: Vec<Memory>,
    /// What a connection passes to the next. `None`: there is only one.
    kept: Option<Kept>,
}

/// The longest pause over which a connection is kept. The API server closes a connection that is idle for 90 s. A minute
/// with its jitter is shorter than this.
const LONGEST_IDLE: Duration = Duration::from_secs(75);

/// What later rounds need not ask again.
#[derive(Clone, Debug, Default)]
struct Memory {
    resource: Named,
    anonymous: Option<Knock>,
}

impl Rounds {
    /// A single round, which has not been made yet.
    pub fn one(spec: Spec) -> Rounds {
        // Further connections of it resume the session of the first.
        let kept = is_many(spec.permissions.len()).then(|| Kept::new(false));
        Rounds { made: 0, asked: false, memory: Vec::new(), spec, kept }
    }

    /// Many rounds, of which none has been made yet. They resume their TLS sessions; with `on_one_connection`, they also
    /// keep the connection.
    pub fn many(spec: Spec, on_one_connection: bool) -> Rounds {
        let memory = vec![Memory::default(); spec.permissions.len()];
        Rounds { memory, kept: Some(Kept::new(on_one_connection)), ..Rounds::one(spec) }
    }

    /// Makes a round, in at most `patience`. Faults are found before anything is asked, but for a
    /// namespace that only discovery shows to be needed.
    pub fn next(&mut self, patience: Duration, tracing: Tracing) -> Result<Round, Fault> {
        let first = self.made == 0;
        // A warning about the setup is shown once.
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
            // Of an unserved one: it may be gone, and come back under another name.
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

    /// Before a pause: ends the connection unless it is worth keeping.
    pub fn rest(&self, pause: Duration, answered: bool) {
        if let Some(kept) = &self.kept
            && !is_worth_keeping(pause, answered)
        {
            kept.hang_up();
        }
    }

    /// The anonymous knock is repeated until it is answered, unless it used up the time of the token's.
    fn owes_anonymous(&self) -> bool {
        self.memory
            .iter()
            .filter_map(|memory| memory.anonymous.as_ref())
            .any(|knock| matches!(&knock.result, Err(failure) if failure.code() != Code::Timeout))
    }
}

/// Whether a connection is kept over a pause: a short one, and not after a round without an answer, because another
/// server behind the same address may have one.
fn is_worth_keeping(pause: Duration, answered: bool) -> bool {
    answered && pause <= LONGEST_IDLE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::backoff::jittered;

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
