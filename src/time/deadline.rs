//! Deadlines. The only place that sleeps.

use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

/// The time at which a run must end.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    /// `None`: never.
    at: Option<Instant>,
    patience: Duration,
}

impl Deadline {
    /// Never.
    pub const NEVER: Deadline = Deadline { at: None, patience: Duration::MAX };

    /// This long from now.
    pub fn after(patience: Duration) -> Deadline {
        Deadline { at: Instant::now().checked_add(patience), patience }
    }

    /// How long it was from the start, for messages.
    pub fn patience(self) -> Duration {
        self.patience
    }

    /// How long there is until then; `None`: there is no deadline.
    pub fn left(self) -> Option<Duration> {
        self.at.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Whether it has passed.
    pub fn is_over(self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// Waits for what another thread sends. `None`: nothing more comes, or not before the deadline.
    pub fn receive<T>(self, channel: &Receiver<T>) -> Option<T> {
        match self.left() {
            None => channel.recv().ok(),
            Some(left) => channel.recv_timeout(left).ok(),
        }
    }

    /// Sleeps, but not beyond the deadline. False: the deadline came first.
    pub fn sleep(self, pause: Duration) -> bool {
        match self.left() {
            Some(left) if left <= pause => {
                thread::sleep(left);
                false
            }
            _ => {
                thread::sleep(pause);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn what_is_sent_is_received_until_the_deadline() {
        let (sender, receiver) = channel();
        let thread = thread::spawn(move || (0..100).for_each(|number| sender.send(number).unwrap()));
        for expected in 0..100 {
            assert_eq!(Deadline::NEVER.receive(&receiver), Some(expected));
        }
        thread.join().unwrap();
        assert_eq!(Deadline::NEVER.receive(&receiver), None, "nothing more comes");

        let (sender, receiver) = channel::<()>();
        assert_eq!(Deadline::after(Duration::from_millis(5)).receive(&receiver), None, "not in time");
        drop(sender);
    }
}
