//! Sends several requests at once, each on its own connection, if the server is far away. Does not interpret the
//! answers.

use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::spread::{further, too_late};
use crate::api::{Reply, Request};
use crate::failure::Failure;
use crate::identity::Identity;
use crate::visit::Visit;

type Answer = Result<Reply, Failure>;

/// The results of the threads, each at the index of its request.
type Slots = Vec<Option<(Visit, Answer)>>;

/// Sends requests as one identity, over one connection or several.
pub struct Several<'v> {
    visit: &'v Visit,
    identity: Identity,
    /// The connections that were opened besides the first.
    pub further: Vec<Visit>,
    /// The time of the first answer, once it was measured.
    round_trip: Option<Duration>,
}

impl Several<'_> {
    /// Starts with this connection alone, and opens others when they pay off.
    pub fn new(visit: &Visit, identity: Identity) -> Several<'_> {
        Several { visit, identity, further: Vec::new(), round_trip: None }
    }

    /// Sends the first of these requests, and at the same time as many of the others as pay off. Returns their answers,
    /// in order. What another connection does not answer in time is an error, which says nothing about the server.
    pub fn send(&mut self, requests: &[Request]) -> Vec<Answer> {
        let Some((first, others)) = requests.split_first() else { return Vec::new() };
        let start = Instant::now();
        let round_trip = self.round_trip.unwrap_or_default();
        let count = further(round_trip, others.len(), 1);
        self.further.resize_with(self.further.len().max(count), || self.visit.another());
        let shared = Arc::new((Mutex::new(Slots::new()), Condvar::new()));
        let started = others.iter().take(count).enumerate().take_while(|(at, request)| {
            let Some(visit) = self.further.pop() else { return false };
            let (shared, request, identity, at) =
                (Arc::clone(&shared), Request::clone(request), self.identity, *at);
            lock(&shared.0).push(None);
            let work = move || {
                let answer = visit.send(&request, identity);
                if let Some(slot) = lock(&shared.0).get_mut(at) {
                    *slot = Some((visit, answer));
                }
                shared.1.notify_all();
            };
            thread::Builder::new().spawn(work).is_ok()
        });
        let started = started.count();
        let mut answers = vec![self.visit.send(first, self.identity)];
        if !others.is_empty() {
            self.round_trip.get_or_insert_with(|| start.elapsed());
        }
        let left = self.visit.deadline().left().unwrap_or(Duration::MAX);
        let patience = too_late(round_trip, left);
        let mut slots = lock(&shared.0);
        while slots.iter().take(started).any(Option::is_none) {
            let wait = patience.saturating_sub(start.elapsed());
            if wait.is_zero() {
                break;
            }
            slots = shared.1.wait_timeout(slots, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        let slots = mem::take(&mut *slots);
        for slot in slots.into_iter().take(started) {
            answers.push(match slot {
                Some((visit, Ok(reply))) => {
                    self.further.push(visit);
                    Ok(reply)
                }
                Some((_, Err(failure))) => Err(failure),
                None => Err(self.visit.too_late()),
            });
        }
        answers
    }
}

fn lock(slots: &Mutex<Slots>) -> MutexGuard<'_, Slots> {
    // A panic ends the process, so the lock is never poisoned.
    slots.lock().unwrap_or_else(PoisonError::into_inner)
}
