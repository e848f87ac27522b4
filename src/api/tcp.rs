//! TCP: resolves a name to addresses, connects to one of them, and never waits past the deadline.
//!
//! A long wait is made of short ones, because the kernel rounds long socket timeouts up by seconds.

use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use super::tls;
use crate::cluster::Server;
use crate::failure::Failure;
use crate::time::deadline::Deadline;

/// Resolves the addresses of the server.
pub fn addresses(server: &Server, deadline: Deadline) -> Result<Vec<SocketAddr>, Failure> {
    let host = &server.host;
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, server.port)]);
    }
    let Some(found) = look_up(host, server.port, deadline) else {
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

/// Resolves a name; `None` if the deadline passes first. The lookup runs on its own thread because it cannot be
/// canceled; if no thread can be started, it runs on this one.
fn look_up(host: &str, port: u16, deadline: Deadline) -> Option<io::Result<Vec<SocketAddr>>> {
    let addresses = move |host: &str| (host, port).to_socket_addrs().map(Iterator::collect);
    let (found, lookups) = channel();
    let name = host.to_owned();
    match thread::Builder::new().spawn(move || drop(found.send(addresses(&name)))) {
        Ok(_) => deadline.receive(&lookups),
        Err(_) => Some(addresses(host)),
    }
}

/// Tries the addresses one after the other until one accepts the connection; each gets an even share of the time left.
/// Returns the failure of the last address; `None` if there is no address.
pub fn connect(addresses: &[SocketAddr], deadline: Deadline) -> Option<Result<TcpStream, Failure>> {
    let mut tried = None;
    for (address, to_come) in addresses.iter().zip((1..=addresses.len()).rev()) {
        let left = deadline.left().unwrap_or(Duration::MAX);
        // A timeout of zero is an error.
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

/// A TCP connection that waits for its peer until the deadline and no longer.
pub struct Socket {
    /// The connection.
    pub stream: TcpStream,
    /// The deadline of the whole run.
    pub deadline: Deadline,
}

/// The longest single wait: the kernel rounds a wait of this length up by at most 10 ms.
const ONE_WAIT: Duration = Duration::from_millis(250);

impl Socket {
    /// A socket for a connection.
    pub fn new(stream: TcpStream, deadline: Deadline) -> io::Result<Socket> {
        // Without this option, a second small write waits until the first is acknowledged.
        stream.set_nodelay(true)?;
        let mut socket = Socket { stream, deadline };
        socket.wait_until(deadline)?;
        Ok(socket)
    }

    /// Sets another deadline.
    pub fn wait_until(&mut self, deadline: Deadline) -> io::Result<()> {
        self.deadline = deadline;
        self.wait_at_most(ONE_WAIT)
    }

    /// A second handle for the same connection.
    pub fn again(&self) -> io::Result<Socket> {
        Ok(Socket { stream: self.stream.try_clone()?, deadline: self.deadline })
    }

    fn wait_at_most(&self, wait: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(wait))?;
        self.stream.set_write_timeout(Some(wait))
    }

    /// Repeats the attempt until it succeeds or fails, or the deadline has passed.
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

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::time::Instant;

    use rustix::net::{AddressFamily, SocketType, bind, listen, socket};

    use super::*;
    use crate::exit::Code;

    #[test]
    fn the_last_address_gets_all_the_time_that_is_left() {
        // Nothing listens on the first address; on the second, nothing accepts and the queue is full.
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
