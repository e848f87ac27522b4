//! What the endpoints show: the last completed round, noted by the monitor and read by clients. Neither waits for
//! the other longer than it takes to copy a few texts.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::exit::Code;
use crate::identity::Identity;

/// The result of a round, ready to be shown.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The text report.
    pub text: String,
    /// The JSON report.
    pub json: String,
    /// The verdict.
    pub code: Code,
    /// The verdict if no answer (2x) is not a failure.
    pub fail_open_code: Code,
    /// Each permission as it was typed, and its outcome.
    pub permissions: Vec<(String, Code)>,
    /// When the token expires by its own claims, in seconds since 1970.
    pub expires: Option<i64>,
    /// When the kubelet should have renewed it, in seconds since 1970.
    pub warn_after: Option<i64>,
}

/// Requests of one kind.
#[derive(Clone, Copy, Debug)]
pub struct Requests {
    /// The identity that sent them.
    pub identity: Identity,
    /// The HTTP status, or the code of the failure.
    pub result: Result<u16, Code>,
    /// How many there were.
    pub count: u64,
}

/// The state of the monitor at one moment.
#[derive(Clone, Debug)]
pub struct State {
    /// The last completed round; `None` before the first.
    pub last: Option<Snapshot>,
    /// Completed rounds.
    pub rounds: u64,
    /// How long all of them took together.
    pub spent: Duration,
    /// When the last one completed.
    pub completed: SystemTime,
    /// When the outcomes last changed.
    pub changed: SystemTime,
    /// What was sent, by kind: there are few.
    pub requests: Vec<Requests>,
    /// When the last round completed, or the monitor started, by a monotonic clock.
    alive: Instant,
    /// How long a round may take, its pause included.
    round_may_take: Duration,
}

impl State {
    /// True while the monitor runs its rounds: one has completed within three times what a round may take.
    pub fn is_alive(&self) -> bool {
        self.alive.elapsed() < self.round_may_take.saturating_mul(3)
    }
}

/// The state that the monitor writes and the endpoints read.
#[derive(Debug)]
pub struct Board(Mutex<State>);

impl Board {
    /// Before the first round, which may take so long.
    pub fn new(round_may_take: Duration) -> Board {
        let now = SystemTime::now();
        Board(Mutex::new(State {
            last: None,
            rounds: 0,
            spent: Duration::ZERO,
            completed: now,
            changed: now,
            requests: Vec::new(),
            alive: Instant::now(),
            round_may_take,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a completed round, and how long it took.
    pub fn complete(&self, snapshot: Snapshot, took: Duration) {
        let now = SystemTime::now();
        let mut state = self.lock();
        let changed = state.last.as_ref().is_none_or(|last| last.permissions != snapshot.permissions);
        if changed {
            state.changed = now;
        }
        state.last = Some(snapshot);
        state.rounds += 1;
        state.spent += took;
        state.completed = now;
        state.alive = Instant::now();
    }

    /// Notes how long the next round may take, with the pause before it.
    pub fn expect_within(&self, round_may_take: Duration) {
        self.lock().round_may_take = round_may_take;
    }

    /// Counts a request by its HTTP status, or the code of its failure.
    pub fn count(&self, identity: Identity, result: Result<u16, Code>) {
        let mut state = self.lock();
        let same = |counted: &&mut Requests| counted.identity == identity && counted.result == result;
        match state.requests.iter_mut().find(same) {
            Some(counted) => counted.count += 1,
            None => state.requests.push(Requests { identity, result, count: 1 }),
        }
    }

    /// A copy of the state.
    pub fn read(&self) -> State {
        self.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(code: Code) -> Snapshot {
        Snapshot {
            text: String::new(),
            json: String::new(),
            code,
            fail_open_code: code,
            permissions: vec![("list pods".into(), code)],
            expires: None,
            warn_after: None,
        }
    }

    #[test]
    fn a_change_is_dated_and_a_repetition_is_not() {
        let board = Board::new(Duration::from_secs(10));
        board.complete(snapshot(Code::Ok), Duration::from_millis(5));
        let first = board.read();
        board.complete(snapshot(Code::Ok), Duration::from_millis(5));
        let second = board.read();
        board.complete(snapshot(Code::Forbidden), Duration::from_millis(5));
        let third = board.read();
        assert_eq!((first.changed, second.rounds), (second.changed, 2));
        assert!(second.completed >= first.completed && third.changed == third.completed);
        assert_eq!(third.spent, Duration::from_millis(15));
    }

    #[test]
    fn it_is_alive_for_three_times_what_a_round_may_take() {
        let board = Board::new(Duration::from_secs(1000));
        assert!(board.read().is_alive(), "before the first round, too");
        board.expect_within(Duration::ZERO);
        assert!(!board.read().is_alive());
    }
}
