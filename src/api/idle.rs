//! Keeps an open connection between two rounds of one process.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rustls::ClientConnection;

use super::tcp::Socket;

/// The place of a connection between two rounds.
pub struct Idle(Mutex<Place>);

struct Place {
    connection: Option<(Socket, Box<ClientConnection>)>,
    keeps: bool,
}

impl Idle {
    /// An empty place. `keeps`: whether it may keep a connection.
    pub fn new(keeps: bool) -> Idle {
        Idle(Mutex::new(Place { connection: None, keeps }))
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a connection is kept.
    pub fn is_taken(&self) -> bool {
        self.place().connection.is_some()
    }

    /// Takes out the kept connection.
    pub fn take(&self) -> Option<(Socket, Box<ClientConnection>)> {
        self.place().connection.take()
    }

    /// Keeps a connection for the next round, if that is allowed.
    pub fn put(&self, connection: (Socket, Box<ClientConnection>)) {
        let mut place = self.place();
        if place.keeps {
            place.connection = Some(connection);
        }
    }

    /// Closes the kept connection.
    pub fn hang_up(&self) {
        self.place().connection = None;
    }

    /// Stops keeping connections.
    pub fn close(&self) {
        self.place().keeps = false;
    }
}
