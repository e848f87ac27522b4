//! Asks the permissions of one round over several connections at once, each on its own thread.
//!
//! Nothing is decided here: a permission that these connections leave unanswered is asked again on a single connection,
//! and the rules for a single connection apply to it. The caller waits for answers, and never for a thread to end, so a
//! connection that stays silent until the deadline delays nothing.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::finding::Asked;
use super::knocking::knock;
use crate::failure::Failure;
use crate::knock::Knock;
use crate::time::deadline::Deadline;
use crate::visit::Visit;

/// How many permissions are prepared in advance: a round may have thousands, and each prepared request takes memory.
const AHEAD: usize = 64;

/// How long to wait past the deadline: each connection reports the timeout itself, slightly later.
const LAST_WORDS: Duration = Duration::from_millis(30);

/// The HTTP status of an API server that is overloaded.
pub const TOO_MANY_REQUESTS: u16 = 429;

/// A permission to ask, or one that was asked.
pub struct Job {
    /// The index of the permission among all of the run.
    pub index: usize,
    /// The question, and the knocks made so far.
    pub asked: Box<Asked>,
}

/// The permissions and connections when the threads are done.
pub struct Made {
    /// The permissions that have their answers.
    pub done: Vec<Job>,
    /// The permissions that are still to be asked, some of them as one identity only. A permission in neither list was
    /// not asked, or its answer is still outstanding.
    pub begun: Vec<Job>,
    /// The connections that still work.
    pub visits: Vec<Visit>,
}

/// A permission that is being asked.
struct Flight {
    index: usize,
    since: Instant,
    /// Whether a second connection asks it, too, because the first is late.
    doubled: bool,
    /// How many connections ask it now.
    connections: u32,
}

/// The state that the threads share.
struct Work {
    /// The connections that are free; the last one is used first.
    visits: Vec<Visit>,
    /// The permissions that no connection has taken yet, in order.
    to_ask: VecDeque<Job>,
    /// Whether no more permissions will be added to `to_ask`.
    is_all: bool,
    flights: Vec<Flight>,
    done: Vec<Job>,
    begun: Vec<Job>,
    over: bool,
}

#[derive(Clone)]
struct Crew(Arc<(Mutex<Work>, Condvar)>);

/// Asks the permissions at these `places`, in this order, over these connections, until each permission has an answer,
/// no connection works, the API server answers 429, or the deadline has passed. `job` prepares the permission at a
/// place; it is called only as connections become free, to limit memory. Once no other permission is left to ask, one
/// whose answer takes longer than `too_late` is asked over a second connection as well. If fewer than two threads can
/// be started, nothing is asked.
pub fn ask(
    visits: Vec<Visit>,
    places: &[usize],
    job: &dyn Fn(&usize) -> Option<Job>,
    anonymous: bool,
    deadline: Deadline,
    too_late: Duration,
) -> Made {
    let count = visits.len();
    let crew = Crew(Arc::new((
        Mutex::new(Work {
            visits,
            to_ask: VecDeque::with_capacity(AHEAD),
            is_all: false,
            flights: Vec::new(),
            done: Vec::with_capacity(places.len()),
            begun: Vec::new(),
            over: false,
        }),
        Condvar::new(),
    )));
    let mut work = crew.lock();
    let start = |_: &usize| {
        let crew = crew.clone();
        thread::Builder::new().spawn(move || crew.work(anonymous)).is_ok()
    };
    if (0..count).take_while(start).count() > 1 {
        work = crew.wait_for_all(work, places, job, deadline, too_late);
    }
    work.over = true;
    crew.changed().notify_all();
    Made {
        done: mem::take(&mut work.done),
        begun: mem::take(&mut work.begun),
        visits: mem::take(&mut work.visits),
    }
}

impl Crew {
    fn lock(&self) -> MutexGuard<'_, Work> {
        // A panic ends the process, so the lock is never poisoned.
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) -> &Condvar {
        &self.0.1
    }

    fn wait_for_all<'c>(
        &'c self,
        mut work: MutexGuard<'c, Work>,
        places: &[usize],
        job: &dyn Fn(&usize) -> Option<Job>,
        deadline: Deadline,
        too_late: Duration,
    ) -> MutexGuard<'c, Work> {
        let mut jobs = places.iter().filter_map(job);
        let start = Instant::now();
        let patience = deadline.left().unwrap_or(Duration::MAX).saturating_add(LAST_WORDS);
        loop {
            while !work.is_all && work.to_ask.len() < AHEAD {
                match jobs.next() {
                    Some(job) => work.to_ask.push_back(job),
                    None => work.is_all = true,
                }
            }
            let mut wait = patience.saturating_sub(start.elapsed());
            if work.is_over() || wait.is_zero() {
                return work;
            }
            if work.to_ask.is_empty() {
                let late = work.late(too_late, &mut wait);
                work.to_ask.extend(late.iter().filter_map(job));
            }
            if !work.to_ask.is_empty() {
                self.changed().notify_all();
            }
            work = self.changed().wait_timeout(work, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What each thread does: take a free connection and a permission, and ask.
    fn work(self, anonymous: bool) {
        let mut work = self.lock();
        while !work.over {
            let Some((visit, mut job)) = work.take() else {
                work = self.changed().wait(work).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(work);
            let is_new = !visit.client.has_answered();
            let Asked { question, knocks, .. } = &mut *job.asked;
            let broken = knock(&visit, anonymous, question, knocks);
            // A server that closes a new connection without an answer limits the number of connections. This says
            // nothing about the permission, which is asked again on another connection.
            let unwanted =
                is_new && matches!(knocks.iter().next(), Some(Knock { result: Err(Failure::Closed(_)), .. }));
            let too_many = knocks.iter().any(|knock| status(knock) == Some(TOO_MANY_REQUESTS));
            // A permission that the deadline interrupts is not asked again.
            let too_late = visit.is_over();
            let lost = (broken || unwanted || too_many) && !too_late;
            if lost {
                let unanswered = |knock: &mut Knock| status(knock).is_none_or(|of| of == TOO_MANY_REQUESTS);
                knocks.anonymous.take_if(unanswered);
                knocks.token.take_if(unanswered);
            }
            work = self.lock();
            if too_many || too_late {
                work.to_ask.clear();
                work.is_all = true;
            }
            work.settle(job, (!lost).then_some(visit));
            if lost || work.to_ask.len() <= if work.is_all { 0 } else { AHEAD / 2 } {
                self.changed().notify_all();
            }
        }
    }
}

/// The HTTP status of the answer to a knock, if there is one.
fn status(knock: &Knock) -> Option<u16> {
    knock.result.as_ref().ok().map(|answer| answer.status)
}

impl Work {
    /// Whether nothing is being asked, and nothing more can be.
    fn is_over(&self) -> bool {
        self.flights.is_empty() && (self.to_ask.is_empty() || self.visits.is_empty())
    }

    fn take(&mut self) -> Option<(Visit, Job)> {
        if self.visits.is_empty() {
            return None;
        }
        let job = self.to_ask.pop_front()?;
        if let Some(flight) = self.flights.iter_mut().find(|flight| flight.index == job.index) {
            flight.connections += 1;
        } else {
            let since = Instant::now();
            self.flights.push(Flight { index: job.index, since, doubled: false, connections: 1 });
        }
        Some((self.visits.pop()?, job))
    }

    /// The indexes of the permissions whose answers are late. Shortens `wait` to the time until the next one becomes
    /// late.
    fn late(&mut self, too_late: Duration, wait: &mut Duration) -> Vec<usize> {
        let mut late = Vec::new();
        for flight in self.flights.iter_mut().filter(|flight| !flight.doubled) {
            let left = too_late.saturating_sub(flight.since.elapsed());
            if left.is_zero() {
                flight.doubled = true;
                late.push(flight.index);
            } else {
                *wait = left.min(*wait);
            }
        }
        late
    }

    /// Records the result for a permission. `visit` is `None` if the connection failed.
    fn settle(&mut self, mut job: Job, visit: Option<Visit>) {
        let flight = self.flights.iter().position(|flight| flight.index == job.index);
        let answered = visit.is_some();
        self.visits.extend(visit);
        let Some(at) = flight else { return };
        if let Some(flight) = self.flights.get_mut(at) {
            flight.connections -= 1;
            // The other connection may still answer.
            if !answered && flight.connections > 0 {
                flight.doubled = false;
                return;
            }
        }
        self.to_ask.retain(|other| other.index != job.index);
        self.flights.swap_remove(at);
        if answered {
            job.asked.question.request = None;
            job.asked.question.phrase.shrink_to_fit();
            self.done.push(job);
        } else {
            self.begun.push(job);
        }
    }
}
