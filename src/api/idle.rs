//! Where an open connection waits between two rounds of one process.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rustls::ClientConnection;

use super::tcp::Socket;

/// Where a connection waits for the next round.
pub struct Idle(Mutex<Place>);

struct Place {
    connection: Option<(Socket, ClientConnection)>,
    keeps: bool,
}

impl Idle {
    /// An empty place. `keeps`: whether a connection may wait there.
    pub fn new(keeps: bool) -> Idle {
        Idle(Mutex::new(Place { connection: None, keeps }))
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a connection waits.
    pub fn is_taken(&self) -> bool {
        self.place().connection.is_some()
    }

    /// Takes the connection that waits.
    pub fn take(&self) -> Option<(Socket, ClientConnection)> {
        self.place().connection.take()
    }

    /// Leaves a connection for the next round.
    pub fn put(&self, connection: (Socket, ClientConnection)) {
        let mut place = self.place();
        if place.keeps {
            place.connection = Some(connection);
        }
    }

    /// Closes the connection that waits.
    pub fn hang_up(&self) {
        self.place().connection = None;
    }

    /// Lets no connection wait there any more.
    pub fn close(&self) {
        self.place().keeps = false;
    }
}
