//! Listeners that misbehave: below TLS, in TLS, or in HTTP in ways that an HTTP library cannot. Each is one
//! function, and stops when its [`Listener`] is dropped. Another one over TLS takes one call of
//! [`tls_listener`].

use crate::certificates::{Authority, SERVER_NAMES};
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio_rustls::rustls::crypto::cipher::{OutboundChunks, OutboundPlainMessage};
use tokio_rustls::rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use tokio_rustls::rustls::{
    ConnectionTrafficSecrets, ContentType, ProtocolVersion, ServerConfig, ServerConnection, StreamOwned,
};

/// The address of most listeners; the port is any free one.
const LOOPBACK: &str = "127.0.0.1:0";

/// TLS on the server's side, after the handshake.
pub type TlsStream = StreamOwned<ServerConnection, TcpStream>;

/// The certificate that a listener shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// A valid one, like a kube-apiserver's.
    Good,
    /// Signed by a CA whose name is not that in [`Listener::ca_pem`].
    UnknownAuthority,
    /// Signed by another CA of the same name, such as another cluster's CA, or this cluster's before it was
    /// rotated.
    OtherCluster,
    /// Expired in 2020.
    Expired,
    /// For a host of another name.
    WrongName,
}

/// A running listener; it stops when it is dropped.
pub struct Listener {
    address: SocketAddr,
    ca_pem: String,
    connections: Arc<AtomicUsize>,
    hold: Arc<Hold>,
    accepting: Option<JoinHandle<()>>,
    /// Resources that only have to stay open.
    kept: Box<dyn Send + Sync>,
}

impl Listener {
    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `https://127.0.0.1:PORT`.
    pub fn server(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The CA bundle that a client gets, whether it fits the certificate or not.
    pub fn ca_pem(&self) -> String {
        self.ca_pem.clone()
    }

    /// Keeps another listener running for as long as this one.
    pub fn beside(mut self, other: Listener) -> Self {
        self.kept = Box::new(other);
        self
    }

    /// How many connections it accepted.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.hold.release();
        if let Some(accepting) = self.accepting.take() {
            // One more connection wakes the thread, which then sees that it has to end.
            drop(TcpStream::connect(self.address));
            drop(accepting.join());
        }
    }
}

/// Keeps the threads of a listener waiting, and ends them all when the listener is dropped.
#[derive(Default)]
pub struct Hold {
    over: Mutex<bool>,
    changed: Condvar,
    streams: Mutex<HashMap<usize, TcpStream>>,
}

impl Hold {
    /// Waits until the listener is dropped.
    pub fn until_dropped(&self) {
        let over = self.over.lock().unwrap();
        drop(self.changed.wait_while(over, |over| !*over).unwrap());
    }

    /// Waits. True if the listener was dropped in the meantime.
    pub fn pause(&self, pause: Duration) -> bool {
        let over = self.over.lock().unwrap();
        *self.changed.wait_timeout_while(over, pause, |over| !*over).unwrap().0
    }

    fn is_over(&self) -> bool {
        *self.over.lock().unwrap()
    }

    fn release(&self) {
        *self.over.lock().unwrap() = true;
        self.changed.notify_all();
        for stream in self.streams.lock().unwrap().values() {
            // The connection may have ended by itself.
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

/// A ServerHello of version `3.minor` that chooses this cipher suite, without extensions.
pub const fn server_hello(minor: u8, suite: [u8; 2]) -> [u8; 47] {
    let mut hello = [7; 47];
    let head = [0x16, 3, minor, 0, 42, 2, 0, 0, 38, 3, minor];
    let mut at = 0;
    while at < head.len() {
        hello[at] = head[at];
        at += 1;
    }
    [hello[43], hello[44], hello[45], hello[46]] = [0, suite[0], suite[1], 0];
    hello
}

/// Passes every connection, each in its own thread, to the closure.
pub fn tcp_listener(behave: impl Fn(TcpStream, &Hold) + Send + Sync + 'static) -> Listener {
    listener(LOOPBACK, String::new(), move |stream, hold| {
        behave(stream, hold);
        Ok(())
    })
}

/// The same, after the TLS handshake. An error in the closure ends the connection.
pub fn tls_listener(
    certificate: Certificate,
    behave: impl Fn(&mut TlsStream, &Hold) -> io::Result<()> + Send + Sync + 'static,
) -> Listener {
    let authority = Authority::new();
    let config = match certificate {
        Certificate::Good => authority.server(&SERVER_NAMES, false),
        Certificate::UnknownAuthority => Authority::named("somebody else").server(&SERVER_NAMES, false),
        Certificate::OtherCluster => Authority::new().server(&SERVER_NAMES, false),
        Certificate::Expired => authority.server(&SERVER_NAMES, true),
        Certificate::WrongName => authority.server(&["somewhere-else.example.com"], false),
    };
    tls_listener_with(LOOPBACK, authority.pem(), config, behave)
}

/// The same at this address, with any TLS configuration, for a client that gets this CA bundle.
pub fn tls_listener_with(
    address: &str,
    ca_pem: &str,
    config: Arc<ServerConfig>,
    behave: impl Fn(&mut TlsStream, &Hold) -> io::Result<()> + Send + Sync + 'static,
) -> Listener {
    listener(address, ca_pem.to_owned(), move |stream, hold| behave(&mut shake_hands(stream, &config)?, hold))
}

/// The TLS handshake, on the server's side.
///
/// # Errors
/// When it fails.
pub fn shake_hands(mut stream: TcpStream, config: &Arc<ServerConfig>) -> io::Result<TlsStream> {
    let mut tls = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(tls, stream))
}

/// Hands every connection with its number, from 0, to the closure, and the set-up of TLS with a good certificate.
pub fn numbered(
    behave: impl Fn(usize, TcpStream, &Arc<ServerConfig>, &Hold) -> io::Result<()> + Send + Sync + 'static,
) -> Listener {
    let (authority, count) = (Authority::new(), AtomicUsize::new(0));
    let config = authority.server(&SERVER_NAMES, false);
    listener(LOOPBACK, authority.pem().to_owned(), move |stream, hold| {
        behave(count.fetch_add(1, Ordering::SeqCst), stream, &config, hold)
    })
}

/// Never accepts a connection: the queue of the listener is full, and connecting hangs.
pub fn never_accepts() -> Listener {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        socket.listen(1).unwrap().into_std().unwrap()
    });
    let address = listener.local_addr().unwrap();
    let mut kept = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        kept.push(stream);
        assert!(kept.len() < 5000, "the queue of a listener that never accepts does not fill up");
    }
    idle(address, Box::new((listener, kept)))
}

/// Accepts connections and never sends a byte.
pub fn silent() -> Listener {
    tcp_listener(|_stream, hold| hold.until_dropped())
}

/// Resets the connection after the first bytes of the client.
pub fn resets() -> Listener {
    // Closing a socket with unread bytes sends a reset instead of an end.
    tcp_listener(|stream, _| drop(stream.peek(&mut [0])))
}

/// Accepts, reads what the client sends, and closes the connection properly.
pub fn closes() -> Listener {
    tcp_listener(|mut stream, _| drop(stream.read(&mut [0; 4096])))
}

/// A port on which no process listens: connecting is refused.
pub fn refuses() -> Listener {
    // The port stays bound, so that no other process gets it, but it is not listening.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    idle(socket.local_addr().unwrap(), Box::new(socket))
}

/// Plain HTTP where TLS is expected.
pub fn plaintext() -> Listener {
    tcp_listener(|mut stream, _| {
        drop(stream.read(&mut [0; 4096]));
        let body = "Client sent an HTTP request to an HTTPS server.\n";
        let head = format!("HTTP/1.0 400 Bad Request\r\nContent-Length: {}\r\n\r\n", body.len());
        drop(stream.write_all(format!("{head}{body}").as_bytes()));
    })
}

/// TLS, then nothing.
pub fn silent_after_tls() -> Listener {
    tls_listener(Certificate::Good, |_, hold| {
        hold.until_dropped();
        Ok(())
    })
}

/// TLS, then the connection closes with the request unanswered.
pub fn closes_after_request() -> Listener {
    tls_listener(Certificate::Good, |stream, _| read_request(stream).map(drop))
}

/// TLS, then a status line and no more.
pub fn stops_after_status_line() -> Listener {
    tls_listener(Certificate::Good, |stream, hold| {
        read_request(stream)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
        stream.flush()?;
        hold.until_dropped();
        Ok(())
    })
}

/// TLS, then an answer whose body never ends: one byte now, and one after each pause.
pub fn drips(pause: Duration) -> Listener {
    tls_listener(Certificate::Good, move |stream, hold| {
        read_request(stream)?;
        let answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{";
        stream.write_all(answer)?;
        loop {
            stream.write_all(b" ")?;
            stream.flush()?;
            if hold.pause(pause) {
                return Ok(());
            }
        }
    })
}

/// TLS, then the head of an answer byte by byte, one after each pause.
pub fn drips_head(pause: Duration) -> Listener {
    tls_listener(Certificate::Good, move |stream, hold| {
        read_request(stream)?;
        for byte in b"HTTP/1.1 200 OK\r\nX-Long: ".iter().chain(std::iter::repeat(&b'x')) {
            stream.write_all(&[*byte])?;
            stream.flush()?;
            if hold.pause(pause) {
                break;
            }
        }
        Ok(())
    })
}

/// TLS, then a chunked body without an end, sent as fast as the client reads.
pub fn endless_body() -> Listener {
    tls_listener(Certificate::Good, |stream, _| {
        read_request(stream)?;
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes())?;
        let chunk = format!("{:x}\r\n{}\r\n", 16384, " ".repeat(16384));
        loop {
            stream.write_all(chunk.as_bytes())?;
        }
    })
}

/// TLS, then headers without an end, sent as fast as the client reads.
pub fn endless_head() -> Listener {
    tls_listener(Certificate::Good, |stream, _| {
        read_request(stream)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
        loop {
            stream.write_all(b"X-More: and more\r\n")?;
        }
    })
}

/// TLS, then something that is not HTTP.
pub fn not_http() -> Listener {
    tls_listener(Certificate::Good, |stream, _| {
        read_request(stream)?;
        stream.write_all(b"220 mail.example.com ESMTP ready\r\n")
    })
}

/// A valid answer, under a certificate that may be invalid.
pub fn certificate(certificate: Certificate) -> Listener {
    let body = "{\n  \"major\": \"1\",\n  \"minor\": \"36\",\n  \"gitVersion\": \"v1.36.2\"\n}";
    tls_listener(certificate, move |stream, _| respond(stream, "200 OK", "application/json", &[], body))
}

/// Redirects every request.
pub fn redirects(location: &str) -> Listener {
    let header = format!("Location: {location}");
    answers("302 Found", "text/html", &[&header], "<a href=\"/login\">Found</a>.\n")
}

/// A web page with status 200, as a captive portal or a mesh sends it.
pub fn web_page() -> Listener {
    answers("200 OK", "text/html; charset=utf-8", &[], "<!DOCTYPE html><title>Welcome</title>\n")
}

/// A web page with status 403, which is not a Status.
pub fn forbidding_web_page() -> Listener {
    answers("403 Forbidden", "text/html", &[], "<html><h1>403 Forbidden</h1><hr>nginx</html>\n")
}

/// The same answer to every request, over TLS with a good certificate.
pub fn answers(status: &str, content_type: &str, headers: &[&str], body: &str) -> Listener {
    let (status, content_type, body) = (status.to_owned(), content_type.to_owned(), body.to_owned());
    let headers: Vec<String> = headers.iter().map(|&header| header.to_owned()).collect();
    tls_listener(Certificate::Good, move |stream, _| respond(stream, &status, &content_type, &headers, &body))
}

/// Answers all requests of a connection in the same way.
fn respond(
    stream: &mut TlsStream,
    status: &str,
    content_type: &str,
    headers: &[String],
    body: &str,
) -> io::Result<()> {
    let more = headers.iter().fold(String::new(), |more, header| more + header + "\r\n");
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n{more}\r\n"
    );
    loop {
        read_request(stream)?;
        stream.write_all(format!("{head}{body}").as_bytes())?;
        stream.flush()?;
    }
}

/// TLS, then these bytes after every request, and nothing else.
pub fn says(bytes: impl Into<Vec<u8>>) -> Listener {
    let bytes = bytes.into();
    tls_listener(Certificate::Good, move |stream, _| {
        loop {
            read_request(stream)?;
            stream.write_all(&bytes)?;
            stream.flush()?;
        }
    })
}

/// TLS, then these bytes, and the end of the connection.
pub fn says_and_closes(bytes: impl Into<Vec<u8>>) -> Listener {
    let bytes = bytes.into();
    tls_listener(Certificate::Good, move |stream, _| {
        read_request(stream)?;
        stream.write_all(&bytes)?;
        stream.conn.send_close_notify();
        stream.flush()
    })
}

/// TLS, then these bytes, and then the piece again and again for as long as the client reads.
pub fn floods(begin: impl Into<Vec<u8>>, piece: impl AsRef<[u8]>) -> Listener {
    let (begin, piece) = (begin.into(), piece.as_ref());
    // In large writes, so that the flood is faster than any deadline.
    let piece = piece.repeat(16384 / piece.len() + 1);
    tls_listener(Certificate::Good, move |stream, _| {
        read_request(stream)?;
        stream.write_all(&begin)?;
        loop {
            stream.write_all(&piece)?;
        }
    })
}

/// TLS, then one answer, and after it session tickets for as long as the client reads. One record holds many
/// tickets, so they cost the client more than the server.
pub fn floods_with_tickets_after(answer: impl Into<Vec<u8>>) -> Listener {
    // Type, length, lifetime, age, then an empty nonce, a ticket of one byte, and no extensions.
    const TICKET: [u8; 18] = [4, 0, 0, 14, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 1, 7, 0, 0];
    let (answer, authority) = (answer.into(), Authority::new());
    let mut config = ServerConfig::clone(&authority.server(&SERVER_NAMES, false));
    config.enable_secret_extraction = true;
    config.send_tls13_tickets = 0;
    let config = Arc::new(config);
    let another = Arc::clone(&config);
    let tickets = TICKET.repeat(16384 / TICKET.len());
    tls_listener_with(LOOPBACK, authority.pem(), config, move |stream, _| {
        read_request(stream)?;
        stream.write_all(&answer)?;
        stream.flush()?;
        let idle = ServerConnection::new(Arc::clone(&another)).map_err(io::Error::other)?;
        let secrets = std::mem::replace(&mut stream.conn, idle)
            .dangerous_extract_secrets()
            .map_err(io::Error::other)?;
        let (first, ConnectionTrafficSecrets::Aes128Gcm { key, iv }) = secrets.tx else {
            return Err(io::Error::other("another cipher suite"));
        };
        let suite = TLS13_AES_128_GCM_SHA256.tls13().ok_or(ErrorKind::Unsupported)?;
        let mut encrypter = suite.aead_alg.encrypter(key, iv);
        for number in first.. {
            let message = OutboundPlainMessage {
                typ: ContentType::Handshake,
                version: ProtocolVersion::TLSv1_3,
                payload: OutboundChunks::Single(&tickets),
            };
            let record = encrypter.encrypt(message, number).map_err(io::Error::other)?;
            stream.sock.write_all(&record.encode())?;
        }
        Ok(())
    })
}

/// TLS, then the closure's answer to the bearer token of each request, if it has one.
pub fn echoes(answer: impl Fn(Option<&str>) -> String + Send + Sync + 'static) -> Listener {
    tls_listener(Certificate::Good, move |stream, _| {
        loop {
            let head = read_request(stream)?;
            let token = head.lines().find_map(|line| line.strip_prefix("authorization: Bearer "));
            stream.write_all(answer(token).as_bytes())?;
            stream.flush()?;
        }
    })
}

/// TLS, then the closure's answer to the number of each request. The first request is 0.
pub fn counts(answer: impl Fn(usize) -> String + Send + Sync + 'static) -> Listener {
    let count = AtomicUsize::new(0);
    tls_listener(Certificate::Good, move |stream, _| {
        loop {
            read_request(stream)?;
            stream.write_all(answer(count.fetch_add(1, Ordering::SeqCst)).as_bytes())?;
            stream.flush()?;
        }
    })
}

/// Without TLS: reads the first bytes of the client, sends these bytes, and nothing else.
pub fn says_in_the_clear(bytes: &'static [u8]) -> Listener {
    tcp_listener(move |mut stream, hold| {
        drop(stream.read(&mut [0; 4096]));
        drop(stream.write_all(bytes));
        hold.until_dropped();
    })
}

/// A complete answer with this body.
pub fn answer(status: &str, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// Reads one request with its body, and returns its head.
///
/// # Errors
/// When the connection ends before the request does.
pub fn read_request(stream: &mut impl Read) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<u64>().ok())?
    });
    io::copy(&mut stream.take(length.unwrap_or(0)), &mut io::sink())?;
    Ok(head)
}

fn listener(
    address: &str,
    ca_pem: String,
    behave: impl Fn(TcpStream, &Hold) -> io::Result<()> + Send + Sync + 'static,
) -> Listener {
    let socket = TcpListener::bind(address).unwrap();
    let address = socket.local_addr().unwrap();
    let (hold, connections) = (Arc::new(Hold::default()), Arc::new(AtomicUsize::new(0)));
    let ca_pem = if ca_pem.is_empty() { Authority::new().pem().to_owned() } else { ca_pem };
    let (behave, waiting, count) = (Arc::new(behave), Arc::clone(&hold), Arc::clone(&connections));
    let accepting = std::thread::spawn(move || {
        for stream in socket.incoming() {
            let Ok(stream) = stream else { continue };
            if waiting.is_over() {
                break;
            }
            let number = count.fetch_add(1, Ordering::SeqCst);
            drop(stream.set_nodelay(true));
            let (behave, waiting) = (Arc::clone(&behave), Arc::clone(&waiting));
            if let Ok(twin) = stream.try_clone() {
                waiting.streams.lock().unwrap().insert(number, twin);
            }
            std::thread::spawn(move || {
                // The client reports how the connection ended.
                drop(behave(stream, &waiting));
                waiting.streams.lock().unwrap().remove(&number);
            });
        }
    });
    Listener { address, ca_pem, connections, hold, accepting: Some(accepting), kept: Box::new(()) }
}

/// A listener that does nothing except keep its sockets open.
fn idle(address: SocketAddr, kept: Box<dyn Send + Sync>) -> Listener {
    let (connections, hold, ca_pem) = (Arc::default(), Arc::default(), Authority::new().pem().to_owned());
    Listener { address, ca_pem, connections, hold, accepting: None, kept }
}
