//! One connection to the API server, with TLS if the server uses it, as a transport for ureq.
//!
//! ureq's own connector does not show which address was tried, and cannot override the server name; this one does both.
//! A connection keeps to the deadline. An idle connection can be kept for the next round.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ProtocolVersion};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{self, Buffers as _, ConnectionDetails, NextTimeout, Transport};

use super::access::Access;
use super::buffers::Buffers;
use super::facts::Facts;
use super::tcp::{self, Socket};
use super::tls;
use crate::failure::Failure;
use crate::time::deadline::Deadline;

/// The largest response head that is read, in bytes; a normal one has a few hundred.
pub const LARGEST_HEAD: usize = 24 * 1024;

/// The longest wait for the first answer on a connection from an earlier round, at most a quarter of the time left: if
/// that connection is dead, there must be time for a new one.
const FIRST_ANSWER: Duration = Duration::from_secs(1);

/// Opens connections to one API server.
pub struct Connector {
    /// How to reach the server.
    pub access: Arc<Access>,
    /// The deadline of the whole run.
    pub deadline: Deadline,
    /// The largest request head, in bytes: the output buffer must hold it.
    pub head: usize,
}

/// Looks up no names: that happens when a connection is opened and not for every request, see [`tcp::addresses`].
#[derive(Debug)]
pub struct NoLookup;

impl Resolver for NoLookup {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(self.empty())
    }
}

impl Connector {
    fn tcp(&self) -> Result<Socket, Failure> {
        let Access { server, facts, .. } = &*self.access;
        let found = tcp::addresses(server, self.deadline);
        facts.note(|facts| *facts = Facts { resolved: found.is_ok(), ..Facts::default() });
        let start = Instant::now();
        let stream = tcp::connect(&found?, self.deadline).unwrap_or_else(|| {
            Err(Failure::Unresolved(format!("the name {} has no address", server.host)))
        })?;
        let peer = stream.peer_addr().ok();
        facts.note(|facts| facts.tcp = peer.map(|peer| (peer, start.elapsed())));
        Socket::new(stream, self.deadline).map_err(|error| tls::failure(&error, &server.authority()))
    }

    fn open(&self) -> Result<Connection, Failure> {
        if let Some(kept) = self.kept() {
            return Ok(kept);
        }
        let mut socket = self.tcp()?;
        let Access { server, tls, facts, .. } = &*self.access;
        let tls = match tls {
            None => None,
            Some((config, name)) => {
                let start = Instant::now();
                let session = shake_hands(config, name, &mut socket)
                    .map_err(|error| handshake_failure(&error, &server.authority()))?;
                facts.note(|facts| {
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
        Ok(self.connection(socket, tls, None))
    }

    fn connection(
        &self,
        socket: Socket,
        tls: Option<Box<ClientConnection>>,
        unproven: Option<Deadline>,
    ) -> Connection {
        let buffers = Buffers::new(self.head, LARGEST_HEAD);
        Connection { socket, tls, access: Arc::clone(&self.access), buffers, is_idle: false, unproven }
    }

    /// The connection from the last round, unless the server has closed it.
    fn kept(&self) -> Option<Connection> {
        let (socket, tls) = self.access.idle.as_ref()?.take()?;
        let patience = self.deadline.left().map_or(FIRST_ANSWER, |left| FIRST_ANSWER.min(left / 4));
        let mut connection = self.connection(socket, Some(tls), Some(self.deadline));
        let is_good = connection.socket.wait_until(Deadline::after(patience)).is_ok() && connection.is_open();
        is_good.then_some(connection)
    }
}

/// Makes the TLS handshake except for the client's last message, which is sent together with the first request, in one
/// packet.
fn shake_hands(
    config: &Arc<ClientConfig>,
    name: &ServerName<'static>,
    socket: &mut Socket,
) -> io::Result<Box<ClientConnection>> {
    let session = ClientConnection::new(Arc::clone(config), name.clone()).map_err(io::Error::other)?;
    let mut session = Box::new(session);
    while session.is_handshaking() {
        flush(&mut session, socket)?;
        match session.read_tls(socket) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => drop(read?),
        }
        if let Err(fault) = session.process_new_packets() {
            // The alert gives the server the reason. If it cannot be sent, the failure stays the same.
            let _ = session.write_tls(socket);
            return Err(io::Error::new(io::ErrorKind::InvalidData, fault));
        }
    }
    Ok(session)
}

/// Sends the bytes, together with other pending output in one packet if they fit.
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

/// Reports a connection that is closed during the handshake as unreachable: something other than the API server, such
/// as a load balancer, accepted it.
fn handshake_failure(error: &io::Error, server: &str) -> Failure {
    match tls::failure(error, server) {
        Failure::Closed(_) => Failure::ClosedInHandshake(format!(
            "{server} accepts connections and closes them in the TLS handshake: {}",
            tls::reason(error)
        )),
        other => other,
    }
}

/// Wraps a failure in an error of ureq; `super::failure` unwraps it.
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
        self.open().map(Some).map_err(carry)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Connector")
    }
}

/// An open connection.
pub struct Connection {
    socket: Socket,
    /// Boxed: a kilobyte that is moved from hand to hand.
    tls: Option<Box<ClientConnection>>,
    access: Arc<Access>,
    buffers: Buffers,
    /// Whether every request was answered.
    is_idle: bool,
    /// On a connection from an earlier round: the deadline to set once the server answers in this round.
    unproven: Option<Deadline>,
}

impl Connection {
    /// A failure on a connection from an earlier round says nothing about the server: the connection is closed, and
    /// [`super::Client::send`] opens a new one.
    fn carry(&self, error: &io::Error) -> ureq::Error {
        if self.unproven.is_none() {
            return carry(tls::failure(error, &self.access.server.authority()));
        }
        if let (io::ErrorKind::TimedOut, Some(idle)) = (error.kind(), &self.access.idle) {
            // The network drops idle connections, or the server is slow. The next kept connection would cost the same
            // wait, so keep none.
            idle.close();
        }
        carry(Failure::Closed(error.to_string()))
    }

    /// Whether the server has neither closed the connection nor sent data that was not requested. Session tickets do
    /// not count as data.
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
                    // A server may send tickets faster than they are read, so this loop ends at the deadline.
                    if spoke || self.socket.deadline.is_over() {
                        return Ok(false);
                    }
                }
            }
        }
    }
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn transport::Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        self.is_idle = false;
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
            // A read into an empty buffer returns 0, which would look like the end of the connection.
            let why = format!("{} sends a head without an end", self.access.server.authority());
            return Err(carry(Failure::Unintelligible(why)));
        }
        let read = match &mut self.tls {
            Some(tls) => rustls::Stream::new(&mut **tls, &mut self.socket).read(input),
            None => self.socket.read(input),
        };
        let amount = read.map_err(|error| self.carry(&error))?;
        if let Some(deadline) = self.unproven.take() {
            self.socket.wait_until(deadline)?;
        }
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.is_idle = self.socket.stream.set_nonblocking(true).is_ok()
            && self.is_quiet().unwrap_or(false)
            && self.socket.stream.set_nonblocking(false).is_ok();
        self.is_idle
    }

    fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.is_idle
            && let Some(idle) = &self.access.idle
            && let Some(tls) = self.tls.take()
            && let Ok(socket) = self.socket.again()
        {
            idle.put((socket, tls));
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Connection")
    }
}
