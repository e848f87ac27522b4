//! The network side of the stand-in: connections, TLS, HTTP/1.1. Knows nothing about Kubernetes.

use super::Seen;
use super::answers::{Answer, Payload};
use super::route::{Outcome, State, knock};
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::io;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{HandshakeKind, ServerConfig};

/// What the network side and the test share.
pub struct Shared {
    /// The state that answers depend on.
    pub state: Mutex<State>,
    /// Requests in the order they came.
    pub seen: Mutex<Vec<Seen>>,
    /// Notified at each request.
    pub arrival: Condvar,
    /// How answers are sent.
    pub manner: Mutex<Manner>,
    /// Connections accepted.
    pub connections: AtomicUsize,
    /// TLS handshakes completed.
    pub handshakes: AtomicUsize,
    /// Those of them that resumed a session.
    pub resumptions: AtomicUsize,
    /// What serves each connection.
    pub talks: Mutex<Vec<AbortHandle>>,
}

impl Shared {
    /// The state, locked. It stays usable after a test has panicked.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// How answers are sent, whatever they hold.
#[derive(Clone, Copy, Default)]
pub struct Manner {
    /// Whether with `Connection: close`.
    pub close: bool,
    /// The pause before each answer.
    pub delay: Duration,
}

/// A server in its own thread, until it is dropped.
pub struct Running {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts serving on the listener.
pub fn serve(listener: TcpListener, tls: Option<Arc<ServerConfig>>, shared: Arc<Shared>) -> Running {
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            listener.set_nonblocking(true).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            tokio::spawn(accept(listener, tls.map(TlsAcceptor::from), shared));
            drop(stopped.await);
        });
        // Dropping the runtime closes the listener and every connection.
    });
    Running { stop: Some(stop), thread: Some(thread) }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

async fn accept(listener: tokio::net::TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    for connection in 1.. {
        let Ok((stream, _)) = listener.accept().await else { continue };
        drop(stream.set_nodelay(true));
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let (tls, of_all, shared) = (tls.clone(), Arc::clone(&shared), Arc::clone(&shared));
        let talk = tokio::spawn(async move {
            match tls {
                None => talk(stream, connection, shared).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        if stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
                            shared.resumptions.fetch_add(1, Ordering::SeqCst);
                        }
                        shared.handshakes.fetch_add(1, Ordering::SeqCst);
                        talk(stream, connection, shared).await;
                    }
                }
            }
        });
        of_all.talks.lock().unwrap().push(talk.abort_handle());
    }
}

/// Answers requests on one connection until it ends.
async fn talk<S>(stream: S, connection: usize, shared: Arc<Shared>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let service = service_fn(|request| handle(request, connection, Arc::clone(&shared)));
    // A client that disconnects in the middle is not an error of the server.
    drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

async fn handle(
    request: Request<Incoming>,
    connection: usize,
    shared: Arc<Shared>,
) -> io::Result<Response<Reply>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers: Vec<(String, String)> =
        head.headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect();
    let authorization =
        headers.iter().find(|(name, _)| name == "authorization").map(|(_, value)| value.clone());
    let seen = Seen {
        method: head.method.to_string(),
        path_and_query: head.uri.path_and_query().map_or_else(|| head.uri.to_string(), ToString::to_string),
        authorization,
        headers,
        connection,
        body: body.to_vec(),
    };
    shared.seen.lock().unwrap().push(seen.clone());
    shared.arrival.notify_all();
    let Manner { close, delay } = *shared.manner.lock().unwrap();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let outcome = knock(&mut shared.state(), &seen);
    match outcome {
        Outcome::Answer(answer) => Ok(response(answer, close)),
        Outcome::Hang => std::future::pending().await,
        Outcome::HangUp => Err(io::Error::other("hanging up, as the fault says")),
    }
}

fn response(answer: Answer, close: bool) -> Response<Reply> {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    if !answer.content_type.is_empty() {
        response = response.header("Content-Type", answer.content_type);
    }
    if close {
        response = response.header("Connection", "close");
    }
    response.body(Reply(answer.payload)).unwrap()
}

/// A body that hyper can send.
struct Reply(Payload);

impl Body for Reply {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut self.0 {
            Payload::Whole(body) if body.is_empty() => Poll::Ready(None),
            Payload::Whole(body) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(body).into())))),
            Payload::Stream(frames) => {
                frames.poll_recv(context).map(|frame| frame.map(|data| Ok(Frame::data(data))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Payload::Whole(body) if body.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            // Go's server sets a length for what fits into its buffer, and sends the rest chunked.
            Payload::Whole(body) if body.len() <= 2048 => {
                SizeHint::with_exact(u64::try_from(body.len()).unwrap())
            }
            _ => SizeHint::default(),
        }
    }
}
