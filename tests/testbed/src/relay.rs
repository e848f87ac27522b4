//! A relay before a server that hangs up once an answer is there, as a load balancer with a short timeout does: a kept
//! connection never lasts until the next round. Counts bytes, and knows nothing about TLS.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::faults::{Listener, tcp_listener};

/// An answer is whole when the server has been quiet for so long.
const QUIET: Duration = Duration::from_millis(4);

/// A relay, until it is dropped.
pub struct Relay {
    listener: Listener,
    sent: Arc<Mutex<Vec<usize>>>,
}

impl Relay {
    /// Before the server at `https://HOST:PORT`.
    pub fn before(server: &str) -> Self {
        let server = server.trim_start_matches("https://").to_owned();
        let sent: Arc<Mutex<Vec<usize>>> = Arc::default();
        let counts = Arc::clone(&sent);
        let listener = tcp_listener(move |client, _| {
            if let Ok(count) = pass_on(&client, &server) {
                counts.lock().unwrap().push(count);
            }
        });
        Relay { listener, sent }
    }

    /// Where it listens, as a server's URL.
    pub fn server(&self) -> String {
        self.listener.server()
    }

    /// Of each connection that is over, in turn: how many bytes the server sent.
    pub fn sent(&self) -> Vec<usize> {
        self.sent.lock().unwrap().clone()
    }
}

fn pass_on(client: &TcpStream, server: &str) -> io::Result<usize> {
    let server = &TcpStream::connect(server)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    server.set_read_timeout(Some(QUIET))?;
    // The hello, then the end of the handshake with the request.
    let asked = &AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(move || {
            copy(client, server, |_| {
                asked.fetch_add(1, Ordering::SeqCst);
            });
            server.shutdown(Shutdown::Both)
        });
        let (mut answered, mut sent) = (0, 0);
        loop {
            copy(server, client, |count| {
                answered = asked.load(Ordering::SeqCst);
                sent += count;
            });
            if answered >= 2 && answered == asked.load(Ordering::SeqCst)
                || matches!(server.peek(&mut [0]), Ok(0))
            {
                break;
            }
        }
        client.shutdown(Shutdown::Both)?;
        Ok(sent)
    })
}

/// Until there is no more, or not in time.
fn copy(mut from: &TcpStream, mut to: &TcpStream, mut each: impl FnMut(usize)) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        each(count);
        if to.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}
