//! One TCP connection, with TLS on it where the server has TLS, as ureq's transport.
//!
//! ureq's own connector hides which address was tried and has no server-name override; here both
//! are known. The connection keeps the deadline, in short waits: the kernel rounds long socket timeouts up
//! by seconds.

use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ProtocolVersion};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{self, Buffers, ConnectionDetails, LazyBuffers, NextTimeout, Transport};

use super::facts::{Facts, SharedFacts};
use super::tls;
use crate::cluster::Server;
use crate::failure::Failure;
use crate::time::deadline::Deadline;

/// The largest response head that is read, in bytes; real ones have a few hundred.
pub const LARGEST_HEAD: usize = 32 * 1024;

/// Opens connections to the one API server.
pub struct Connector {
    /// The address of the server.
    pub server: Server,
    /// TLS, and the name to verify; `None` over plain HTTP.
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// The deadline of the whole run.
    pub deadline: Deadline,
    /// The longest request head, in bytes: it must fit the output buffer.
    pub head: usize,
    /// Where the connection notes its facts.
    pub facts: SharedFacts,
}

/// Names are looked up when a connection is made, not for every request: see [`Connector::addresses`].
#[derive(Debug)]
pub struct NoLookup;

impl Resolver for NoLookup {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(self.empty())
    }
}

impl Connector {
    fn addresses(&self) -> Result<Vec<SocketAddr>, Failure> {
        if let Ok(address) = self.server.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, self.server.port)]);
        }
        let host = &self.server.host;
        let Some(found) = look_up(host, self.server.port, self.deadline) else {
            return Err(Failure::Timeout(format!("the name {host} was not resolved in time")));
        };
        match found {
            Ok(addresses) => Ok(addresses),
            Err(error) => {
                let why = error.to_string();
                let why = why.strip_prefix("failed to lookup address information: ").unwrap_or(&why);
                Err(Failure::Unresolved(format!("the name {host} does not resolve: {why}")))
            }
        }
    }

    fn tcp(&self) -> Result<TcpStream, Failure> {
        self.facts.note(|facts| *facts = Facts::default());
        let addresses = self.addresses()?;
        self.facts.note(|facts| facts.resolved = true);
        let start = Instant::now();
        let stream = connect(&addresses, self.deadline).unwrap_or_else(|| {
            Err(Failure::Unresolved(format!("the name {} has no address", self.server.host)))
        })?;
        let peer = stream.peer_addr().ok();
        self.facts.note(|facts| facts.tcp = peer.map(|peer| (peer, start.elapsed())));
        Ok(stream)
    }

    fn open(&self) -> Result<Connection, ureq::Error> {
        let mut socket = Socket::new(self.tcp().map_err(carry)?, self.deadline)?;
        let server = self.server.authority();
        let tls = match &self.tls {
            None => None,
            Some((config, name)) => {
                let mut session = ClientConnection::new(Arc::clone(config), name.clone())
                    .map_err(|error| carry(tls::failure(&io::Error::other(error), &server)))?;
                let start = Instant::now();
                shake_hands(&mut session, &mut socket)
                    .map_err(|error| carry(handshake_failure(&error, &server)))?;
                self.facts.note(|facts| {
                    facts.tls = Some(start.elapsed());
                    facts.version = match session.protocol_version() {
                        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
                        _ => "TLS 1.2",
                    };
                    facts.suite = session
                        .negotiated_cipher_suite()
                        .and_then(|suite| suite.suite().as_str().map(str::to_owned))
                        .unwrap_or_default();
                });
                Some(session)
            }
        };
        Ok(Connection { socket, tls, server, buffers: LazyBuffers::new(LARGEST_HEAD, self.head) })
    }
}

/// Looks a name up. `None`: not before the deadline. It runs on a thread of its own, because a lookup cannot be
/// cancelled; if no thread can be started, it runs in place.
fn look_up(host: &str, port: u16, deadline: Deadline) -> Option<io::Result<Vec<SocketAddr>>> {
    let addresses = move |host: &str| (host, port).to_socket_addrs().map(Iterator::collect);
    let (found, lookups) = channel();
    let name = host.to_owned();
    match thread::Builder::new().spawn(move || drop(found.send(addresses(&name)))) {
        Ok(_) => deadline.receive(&lookups),
        Err(_) => Some(addresses(host)),
    }
}

/// Tries one address after the other, until one takes the connection; each gets an even share of the time
/// that is left. The failure is the last one's. `None`: there is no address.
fn connect(addresses: &[SocketAddr], deadline: Deadline) -> Option<Result<TcpStream, Failure>> {
    let mut tried = None;
    for (address, to_come) in addresses.iter().zip((1..=addresses.len()).rev()) {
        let left = deadline.left().unwrap_or(Duration::MAX);
        // A timeout of zero would be an error.
        let share = (left / u32::try_from(to_come).unwrap_or(u32::MAX)).max(Duration::from_millis(1));
        let failure = match TcpStream::connect_timeout(address, share) {
            Ok(stream) => return Some(Ok(stream)),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                Failure::Timeout(format!("{address} did not accept the connection within {share:.0?}"))
            }
            Err(error) => Failure::Unreachable(format!("{address}: {}", tls::reason(&error))),
        };
        tried = Some(Err(failure));
    }
    tried
}

/// A TCP connection that waits for its peer until the deadline, and no longer.
struct Socket {
    stream: TcpStream,
    deadline: Deadline,
}

/// The longest wait in one go: the kernel rounds one of this length up by 10 ms at most.
const ONE_WAIT: Duration = Duration::from_millis(250);

impl Socket {
    fn new(stream: TcpStream, deadline: Deadline) -> io::Result<Socket> {
        // Without it a second small write would wait for the first one's acknowledgement.
        stream.set_nodelay(true)?;
        let socket = Socket { stream, deadline };
        socket.wait_at_most(ONE_WAIT)?;
        Ok(socket)
    }

    fn wait_at_most(&self, wait: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(wait))?;
        self.stream.set_write_timeout(Some(wait))
    }

    /// Repeats the attempt until it is done or the deadline has passed.
    fn within<T>(&self, attempt: &mut dyn FnMut(&TcpStream) -> io::Result<T>) -> io::Result<T> {
        loop {
            match self.deadline.left() {
                Some(Duration::ZERO) => return Err(io::ErrorKind::TimedOut.into()),
                Some(left) if left < ONE_WAIT => self.wait_at_most(left)?,
                _ => {}
            }
            match attempt(&self.stream) {
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                done => return done,
            }
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.within(&mut |mut stream| stream.read(buffer))
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.within(&mut |mut stream| stream.write(bytes))
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.within(&mut |mut stream| stream.write_vectored(pieces))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The TLS handshake except for our last message, which is sent with the first request, in one packet.
fn shake_hands(session: &mut ClientConnection, socket: &mut Socket) -> io::Result<()> {
    while session.is_handshaking() {
        flush(session, socket)?;
        match session.read_tls(socket) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => drop(read?),
        }
        if let Err(fault) = session.process_new_packets() {
            // The alert gives the server the reason. Failing to send it changes nothing.
            let _ = session.write_tls(socket);
            return Err(io::Error::new(io::ErrorKind::InvalidData, fault));
        }
    }
    Ok(())
}

/// Sends the bytes, in one packet with other pending output where it fits.
fn send(session: &mut ClientConnection, socket: &mut Socket, mut output: &[u8]) -> io::Result<()> {
    while !output.is_empty() {
        let taken = session.writer().write(output)?;
        output = output.get(taken..).unwrap_or_default();
        flush(session, socket)?;
    }
    Ok(())
}

fn flush(session: &mut ClientConnection, socket: &mut Socket) -> io::Result<()> {
    while session.wants_write() {
        session.write_tls(socket)?;
    }
    Ok(())
}

/// A connection that ends during the handshake is unreachable: something else accepted it.
fn handshake_failure(error: &io::Error, server: &str) -> Failure {
    match tls::failure(error, server) {
        Failure::Closed(_) => Failure::Unreachable(format!(
            "{server} accepts connections and closes them in the TLS handshake: {}",
            tls::reason(error)
        )),
        other => other,
    }
}

/// Wraps a failure for ureq; `super::failure` unwraps it.
fn carry(failure: Failure) -> ureq::Error {
    ureq::Error::Other(Box::new(failure))
}

impl transport::Connector for Connector {
    type Out = Connection;

    fn connect(
        &self,
        _: &ConnectionDetails<'_>,
        _chained: Option<()>,
    ) -> Result<Option<Connection>, ureq::Error> {
        self.open().map(Some)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Connector({})", self.server)
    }
}

/// An open connection.
pub struct Connection {
    socket: Socket,
    tls: Option<ClientConnection>,
    server: String,
    buffers: LazyBuffers,
}

impl Connection {
    fn carry(&self, error: &io::Error) -> ureq::Error {
        carry(tls::failure(error, &self.server))
    }

    /// Whether the peer has neither closed the connection nor sent data that was not requested. Session tickets do not
    /// count.
    fn is_quiet(&mut self) -> io::Result<bool> {
        let Some(tls) = &mut self.tls else {
            return match self.socket.stream.peek(&mut [0]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
                Err(error) => Err(error),
                Ok(_) => Ok(false),
            };
        };
        loop {
            match tls.read_tls(&mut &self.socket.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
                Ok(0) => return Ok(false),
                Ok(_) => {
                    let state = tls.process_new_packets().map_err(io::Error::other)?;
                    let spoke = state.peer_has_closed() || state.plaintext_bytes_to_read() > 0;
                    // A peer may send tickets faster than they are read.
                    if spoke || self.socket.deadline.is_over() {
                        return Ok(false);
                    }
                }
            }
        }
    }
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        let output = self.buffers.output();
        let output = output.get(..amount).unwrap_or(output);
        let written = match &mut self.tls {
            Some(tls) => send(tls, &mut self.socket, output),
            None => self.socket.write_all(output),
        };
        written.map_err(|error| self.carry(&error))
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        let input = self.buffers.input_append_buf();
        if input.is_empty() {
            // Reading nothing would look like the end of the connection.
            let why = format!("{} sends a head without an end", self.server);
            return Err(carry(Failure::Unintelligible(why)));
        }
        let read = match &mut self.tls {
            Some(tls) => rustls::Stream::new(tls, &mut self.socket).read(input),
            None => self.socket.read(input),
        };
        let amount = read.map_err(|error| self.carry(&error))?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.socket.stream.set_nonblocking(true).is_ok()
            && self.is_quiet().unwrap_or(false)
            && self.socket.stream.set_nonblocking(false).is_ok()
    }

    fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Connection({})", self.server)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use rustix::net::{AddressFamily, SocketType, bind, listen, socket};

    use super::*;
    use crate::exit::Code;

    #[test]
    fn the_last_address_gets_all_the_time_that_is_left() {
        // Nothing listens any more at one; at the other, nothing accepts and the queue is full.
        let at_loopback = || SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let closed = TcpListener::bind(at_loopback()).unwrap().local_addr().unwrap();
        let full = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&full, &at_loopback()).unwrap();
        listen(&full, 0).unwrap();
        let full = TcpListener::from(full);
        let silent = full.local_addr().unwrap();
        let mut queue = Vec::new();
        while let Ok(waiting) = TcpStream::connect_timeout(&silent, Duration::from_millis(50)) {
            queue.push(waiting);
        }
        for (addresses, code, least) in
            [([closed, silent], Code::Timeout, 400), ([silent, closed], Code::Unreachable, 200)]
        {
            let start = Instant::now();
            let failure = connect(&addresses, Deadline::after(Duration::from_millis(400))).unwrap();
            assert_eq!(failure.unwrap_err().code(), code);
            assert!(start.elapsed() >= Duration::from_millis(least), "{:?}", start.elapsed());
        }
        let good = TcpListener::bind(at_loopback()).unwrap();
        assert!(connect(&[closed, good.local_addr().unwrap()], Deadline::NEVER).unwrap().is_ok());
        assert!(connect(&[], Deadline::NEVER).is_none());
    }
}
