//! A proxy on loopback that delays what it passes on, so that a server seems far away.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// A proxy that accepts connections as long as the process lives.
pub struct Proxy {
    /// The address where it listens.
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Proxy {
    /// Starts a proxy for `server` with this round trip. Opening a connection takes one more round trip: data that the
    /// client sends at once arrives as late as if the client had waited for the connection.
    pub fn of(server: SocketAddr, round_trip: Duration) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a connection");
                count.fetch_add(1, Ordering::SeqCst);
                let connected = Instant::now() + round_trip;
                let server = TcpStream::connect(server).expect("connect to the server");
                let twin = |stream: &TcpStream| stream.try_clone().expect("share a stream");
                pass(twin(&client), twin(&server), round_trip / 2, connected);
                pass(server, client, round_trip / 2, connected);
            }
        });
        Proxy { address, connections }
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Passes data on, each piece after the same delay, and then the end of the data.
fn pass(from: TcpStream, to: TcpStream, delay: Duration, connected: Instant) {
    let (sender, pieces) = channel();
    to.set_nodelay(true).expect("set an option");
    thread::spawn(move || drop(take(from, &sender, connected)));
    thread::spawn(move || drop(give(to, &pieces, delay)));
}

fn take(mut from: TcpStream, sender: &Sender<(Instant, Vec<u8>)>, connected: Instant) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = from.read(&mut buffer)?;
        let piece = (Instant::now().max(connected), buffer[..count].to_vec());
        if sender.send(piece).is_err() || count == 0 {
            return Ok(());
        }
    }
}

fn give(mut to: TcpStream, pieces: &Receiver<(Instant, Vec<u8>)>, delay: Duration) -> io::Result<()> {
    for (sent, piece) in pieces {
        thread::sleep((sent + delay).saturating_duration_since(Instant::now()));
        if piece.is_empty() {
            return to.shutdown(Shutdown::Write);
        }
        to.write_all(&piece)?;
    }
    // The other side ended with an error, and not with a normal close.
    to.shutdown(Shutdown::Both)
}
