//! Serves the Runtime API and the Extensions API on a socket, with hyper, in a thread of its own.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::api::{Api, ApiEvent};
use super::exchange::{Invoke, Reaction, Reply, Request, TooLarge, Waiter};
use super::extensions::ShutdownReason;

/// More connections at a time than any function opens.
const MOST_CONNECTIONS: usize = 128;
/// The most headers of a request.
const MOST_HEADERS: usize = 64;
/// The longest request line with all headers.
const LONGEST_HEAD: usize = 64 << 10;
/// How long the head of a request may take, from the connection or its first byte on.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// How long a body may pause.
const BODY_PATIENCE: Duration = Duration::from_secs(60);
/// A body that is too large is read up to this and thrown away, so that the client gets to read the response.
const LARGEST_THROWN_AWAY: u64 = 256 << 20;
/// Bodies larger than this are read one at a time, so that what is held at once stays bounded.
const SMALL_BODY: u64 = 64 << 10;

/// The APIs of one sandbox. The connections are closed when this is dropped.
pub(super) struct Server {
    shared: Arc<Shared>,
    _open: oneshot::Sender<Infallible>,
}

struct Shared {
    current: Mutex<Current>,
    /// Counts what may be of interest for a client that waits.
    changed: watch::Sender<u64>,
    large_body: Semaphore,
    tell: Box<dyn Fn(u64, ApiEvent) + Send + Sync>,
}

/// The execution environment that is served, and its number: what processes of an earlier one still say does not count.
struct Current {
    api: Api,
    number: u64,
}

/// The connection is given up: its client is gone, too slow, or of an earlier execution environment.
#[derive(Debug, thiserror::Error)]
#[error("the connection is given up")]
struct GivenUp;

impl Shared {
    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The API, as long as this is the environment that it serves.
    fn of(&self, number: u64) -> Result<MutexGuard<'_, Current>, GivenUp> {
        Some(self.current())
            .filter(|current| current.number == number)
            .ok_or(GivenUp)
    }

    /// Reads a request to its end, and waits for the response where there is none yet.
    async fn respond(&self, request: hyper::Request<Incoming>, number: u64) -> Result<Reply, GivenUp> {
        let (head, body) = request.into_parts();
        let mut request = Request {
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            headers: fields(&head.headers),
            trailers: Vec::new(),
            body: Ok(Vec::new()),
        };
        let limit = self.of(number)?.api.largest_body(&request);
        let turn = if limit > SMALL_BODY {
            Some(self.large_body.acquire().await.map_err(|_| GivenUp)?)
        } else {
            None
        };
        (request.body, request.trailers) = read(body, limit).await?;
        drop(turn);
        let mut changes = self.changed.subscribe();
        let waiter = match self.handle(&request, number)? {
            Reaction::Reply(reply) => return Ok(reply),
            Reaction::Wait(waiter) => waiter,
        };
        loop {
            if let Reaction::Reply(reply) = self.poll(&waiter, number)? {
                return Ok(reply);
            }
            changes.changed().await.map_err(|_| GivenUp)?;
        }
    }

    fn handle(&self, request: &Request, number: u64) -> Result<Reaction, GivenUp> {
        let (reaction, event) = self.of(number)?.api.handle(request);
        if let Some(event) = event {
            (self.tell)(number, event);
        }
        Ok(reaction)
    }

    fn poll(&self, waiter: &Waiter, number: u64) -> Result<Reaction, GivenUp> {
        Ok(self.of(number)?.api.poll(waiter))
    }

    /// Changes the API, and lets everybody who waits look again.
    fn change<T>(&self, change: impl FnOnce(&mut Current) -> T) -> T {
        let changed = change(&mut self.current());
        self.changed.send_modify(|count| *count += 1);
        changed
    }
}

/// Headers or trailers; bytes that are not UTF-8 are replaced.
fn fields(map: &HeaderMap) -> Vec<(String, String)> {
    map.iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

type Body = (Result<Vec<u8>, TooLarge>, Vec<(String, String)>);

/// Reads a body, and what follows it.
async fn read(mut body: Incoming, limit: u64) -> Result<Body, GivenUp> {
    let (mut bytes, mut length, mut trailers) = (Vec::new(), 0_u64, Vec::new());
    while let Some(frame) = timeout(BODY_PATIENCE, body.frame()).await.map_err(|_| GivenUp)? {
        match frame.map_err(|_| GivenUp)?.into_data() {
            Ok(data) => {
                length += data.len() as u64;
                if length > LARGEST_THROWN_AWAY {
                    return Err(GivenUp);
                }
                if length > limit {
                    bytes = Vec::new();
                } else {
                    bytes.extend_from_slice(&data);
                }
            }
            Err(frame) => trailers.extend(frame.trailers_ref().map(fields).unwrap_or_default()),
        }
    }
    Ok((if length > limit { Err(TooLarge) } else { Ok(bytes) }, trailers))
}

fn rendered(reply: Reply) -> Result<hyper::Response<Full<Bytes>>, hyper::http::Error> {
    let mut response = hyper::Response::builder()
        .status(reply.status)
        .header(CONTENT_TYPE, "application/json");
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Full::new(reply.body.into()))
}

/// What a connection is waiting for.
#[derive(Debug, Clone, Copy)]
enum Phase {
    /// The rest of a request's head, since then.
    Head(Instant),
    /// A request is being read or answered.
    Request,
    /// Nothing: after a response a client may be silent for as long as it likes.
    Idle,
}

/// A connection that notes when a request begins.
struct Watched {
    stream: TcpStream,
    phase: Arc<Mutex<Phase>>,
}

fn lock(phase: &Mutex<Phase>) -> MutexGuard<'_, Phase> {
    phase.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let mut phase = lock(&self.phase);
        if buffer.filled().len() > before && matches!(*phase, Phase::Idle) {
            *phase = Phase::Head(Instant::now());
        }
        drop(phase);
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Ends once the head of a request has taken too long.
async fn overdue(phase: &Mutex<Phase>, patience: Duration) {
    loop {
        let now = Instant::now();
        let current = *lock(phase);
        match current {
            Phase::Head(since) if since + patience <= now => return,
            Phase::Head(since) => sleep_until(since + patience).await,
            Phase::Request | Phase::Idle => sleep(patience).await,
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>, patience: Duration) {
    let number = shared.current().number;
    // Whoever connects says something.
    let phase = Arc::new(Mutex::new(Phase::Head(Instant::now())));
    let io = TokioIo::new(Watched {
        stream,
        phase: Arc::clone(&phase),
    });
    let in_service = Arc::clone(&phase);
    let service = service_fn(move |request| {
        let (shared, phase) = (Arc::clone(&shared), Arc::clone(&in_service));
        async move {
            *lock(&phase) = Phase::Request;
            let reply = shared.respond(request, number).await?;
            *lock(&phase) = Phase::Idle;
            rendered(reply).map_err(|_| GivenUp)
        }
    });
    let connection = http1::Builder::new()
        // As the service writes them: there are clients that tell names in another case apart.
        .title_case_headers(true)
        .max_headers(MOST_HEADERS)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(io, service);
    first(connection, overdue(&phase, patience)).await;
}

/// Waits until the first of two has ended.
async fn first(one: impl Future, other: impl Future) {
    let (mut one, mut other) = (Box::pin(one), Box::pin(other));
    std::future::poll_fn(|context| {
        if one.as_mut().poll(context).is_ready() || other.as_mut().poll(context).is_ready() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

async fn accept(listener: tokio::net::TcpListener, shared: Arc<Shared>, patience: Duration) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: those of other connections will be free again.
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                serve(stream, shared, patience).await;
                drop(place);
            });
        }
    }
}

impl Server {
    /// Serves what comes in on the socket. `tell` hears what a runtime or an extension does, with the number of its
    /// environment, before the client gets the response.
    pub(super) fn new(listener: TcpListener, tell: impl Fn(u64, ApiEvent) + Send + Sync + 'static) -> io::Result<Self> {
        Self::with_patience(listener, tell, HEAD_PATIENCE)
    }

    fn with_patience(
        listener: TcpListener,
        tell: impl Fn(u64, ApiEvent) + Send + Sync + 'static,
        patience: Duration,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            current: Mutex::new(Current {
                api: Api::new(&[], Value::Null),
                number: 0,
            }),
            changed: watch::Sender::new(0),
            large_body: Semaphore::new(1),
            tell: Box::new(tell),
        });
        let (open, closed) = oneshot::channel();
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            runtime.block_on(async {
                if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                    first(accept(listener, serving, patience), closed).await;
                }
            });
        });
        Ok(Self { shared, _open: open })
    }

    /// From now on another execution environment is served, with these extensions; gives its number.
    pub(super) fn renew(&self, extensions: &[String], function: &Value) -> u64 {
        self.shared.change(|current| {
            current.api = Api::new(extensions, function.clone());
            current.number += 1;
            current.number
        })
    }

    /// Gives the runtime an event.
    pub(super) fn invoke(&self, invoke: Invoke) {
        self.shared.change(|current| current.api.invoke(invoke));
    }

    /// Tells the extensions that all ends; gives the names of those that want to know.
    pub(super) fn shut_down(&self, reason: ShutdownReason, deadline_ms: u64) -> Vec<String> {
        self.shared.change(|current| current.api.shut_down(reason, deadline_ms))
    }

    /// How many extensions have registered.
    pub(super) fn registered(&self) -> usize {
        self.shared.current().api.extensions().registered()
    }

    /// Whether there are extensions that are processes of their own.
    pub(super) fn has_external(&self) -> bool {
        self.shared.current().api.extensions().has_external()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::sync::mpsc::channel;

    use super::super::api::Response;
    use super::*;

    fn exchange(stream: &mut TcpStream, text: &str, end: &str) -> String {
        stream.write_all(text.as_bytes()).unwrap();
        let mut read = Vec::new();
        let mut buffer = [0; 1024];
        while !String::from_utf8_lossy(&read).ends_with(end) {
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&read));
            read.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8(read).unwrap()
    }

    /// One connection is used for everything, as a compiled runtime does it.
    #[test]
    fn a_runtime_is_served_over_one_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, receiver) = channel();
        let tell = move |number, event| sender.send((number, event)).unwrap();
        let server = Server::new(listener, tell).unwrap();
        let client = thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            for round in ["one", "two"] {
                let next = "GET http://x/2018-06-01/runtime/invocation/next?a=b HTTP/1.1\r\n\r\n";
                let reply = exchange(&mut stream, next, round);
                assert!(
                    reply.contains(&format!("Lambda-Runtime-Aws-Request-Id: {round}\r\n")),
                    "{reply}"
                );
                let post = format!(
                    "POST /2018-06-01/runtime/invocation/{round}/response HTTP/1.1\r\nExpect: 100-continue\r\n\
                     Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n1;x=y\r\n{}\r\n0\r\n\r\n",
                    &round[..2],
                    &round[2..]
                );
                let reply = exchange(&mut stream, &post, "\"OK\"}\n");
                assert!(
                    reply.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\n"),
                    "{reply}"
                );
            }
            stream
        });
        for round in ["one", "two"] {
            let wait = Duration::from_secs(20);
            assert_eq!(receiver.recv_timeout(wait).unwrap(), (0, ApiEvent::Ready));
            server.invoke(Invoke {
                id: round.to_owned(),
                deadline_ms: 1,
                arn: String::new(),
                trace_id: String::new(),
                payload: round.as_bytes().to_vec().into(),
            });
            let response = ApiEvent::Responded(Response::Payload(round.as_bytes().to_vec()));
            assert_eq!(receiver.recv_timeout(wait).unwrap(), (0, response));
        }
        // What the earlier environment still asks for is not answered any more.
        let mut stream = client.join().unwrap();
        server.renew(&[], &Value::Null);
        stream
            .write_all(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n\r\n")
            .unwrap();
        let mut rest = String::new();
        let _ = stream.read_to_string(&mut rest);
        assert_eq!(rest, "");
    }

    fn quick() -> (Server, std::net::SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::with_patience(listener, |_, _| (), Duration::from_millis(300)).unwrap();
        (server, address)
    }

    #[test]
    fn connections_that_say_nothing_whole_are_closed() {
        let (_server, address) = quick();
        let mut silent: Vec<TcpStream> = (0..MOST_CONNECTIONS)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        silent[0].write_all(b"GET /2018-06-01/ping HTTP/1.1\r\n").unwrap();
        for stream in &mut silent {
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            // A connection that is reset is closed, too.
            assert_eq!(stream.read(&mut [0; 64]).unwrap_or(0), 0);
        }
        let mut stream = TcpStream::connect(address).unwrap();
        let ping = "GET /2018-06-01/ping HTTP/1.1\r\n\r\n";
        assert!(exchange(&mut stream, ping, "pong").starts_with("HTTP/1.1 200 OK\r\n"));
        // Silence after a response is fine.
        thread::sleep(Duration::from_millis(800));
        exchange(&mut stream, ping, "pong");
        stream.write_all(b"GET /2018").unwrap();
        assert_eq!(stream.read(&mut [0; 64]).unwrap_or(0), 0);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let (_server, address) = quick();
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(2 * LONGEST_HEAD));
        for text in [
            "nonsense\r\n\r\n",
            "POST /x HTTP/1.1\r\nContent-Length: -5\r\n\r\nab",
            "POST /x HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
            &long,
        ] {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            // The server may have closed the connection before all is written.
            let _ = stream.write_all(text.as_bytes());
            let mut reply = Vec::new();
            let _ = stream.read_to_end(&mut reply);
            let reply = String::from_utf8_lossy(&reply);
            assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 4"), "{reply}");
        }
    }
}
