//! Serves the Runtime API on a socket, each connection in a thread of its own.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, BufWriter, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::api::{Api, Happening, Offer, Reaction, malformed};
use super::http::{HttpError, Reply, Request, read_request, write_reply};

/// More connections at a time than any runtime opens.
const MOST_CONNECTIONS: usize = 128;
/// How long the head of a request may take, once its connection is there or its first byte has come.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// How long a body may pause.
const BODY_PATIENCE: Duration = Duration::from_secs(60);

/// The Runtime API of one sandbox.
pub(super) struct Server {
    shared: Arc<Shared>,
}

struct Shared {
    current: Mutex<Current>,
    changed: Condvar,
    connections: AtomicUsize,
    tell: Box<dyn Fn(u64, Happening) + Send + Sync>,
}

/// The bootstrap that is served, and its number: what an earlier one still says does not count.
struct Current {
    api: Api,
    number: u64,
}

impl Shared {
    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Handles a request of the bootstrap with this number; `None` once there is another.
    fn react(&self, request: &Request, number: u64) -> Option<Reply> {
        let mut current = self.current();
        if current.number != number {
            return None;
        }
        let (mut reaction, happening) = current.api.handle(request);
        if let Some(happening) = happening {
            (self.tell)(number, happening);
        }
        loop {
            match reaction {
                Reaction::Reply(reply) => return Some(reply),
                Reaction::Wait => {
                    current = self.changed.wait(current).unwrap_or_else(PoisonError::into_inner);
                    if current.number != number {
                        return None;
                    }
                    reaction = current.api.next();
                }
            }
        }
    }

    fn serve(&self, stream: &TcpStream) -> Result<(), HttpError> {
        let number = self.current().number;
        let patience = Cell::new(Patience::Until(Instant::now() + HEAD_PATIENCE));
        let mut reader = BufReader::new(Patient {
            stream,
            patience: &patience,
        });
        let mut writer = BufWriter::new(stream);
        // Whoever connects says something; after an answer a runtime may be silent for as long as it likes.
        stream.set_write_timeout(Some(BODY_PATIENCE))?;
        loop {
            if reader.fill_buf()?.is_empty() {
                return Ok(());
            }
            patience.set(Patience::Until(Instant::now() + HEAD_PATIENCE));
            let limit = |request: &Request| {
                patience.set(Patience::Pause(BODY_PATIENCE));
                Api::largest_body(request)
            };
            let read = read_request(&mut reader, &mut writer, limit);
            patience.set(Patience::Endless);
            let request = match read {
                Ok(Some(request)) => request,
                Ok(None) => return Ok(()),
                Err(error) => {
                    if matches!(error, HttpError::Malformed) {
                        write_reply(&mut writer, &malformed(), false)?;
                    }
                    return Err(error);
                }
            };
            let Some(reply) = self.react(&request, number) else {
                return Ok(());
            };
            write_reply(&mut writer, &reply, request.keep_alive)?;
            if !request.keep_alive {
                return Ok(());
            }
        }
    }
}

/// How long is waited for what a client sends.
#[derive(Clone, Copy)]
enum Patience {
    Until(Instant),
    Pause(Duration),
    Endless,
}

/// A connection that is given up when what is to come does not come in time.
struct Patient<'a> {
    stream: &'a TcpStream,
    patience: &'a Cell<Patience>,
}

impl Read for Patient<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let timeout = match self.patience.get() {
            Patience::Until(deadline) => Some(deadline.saturating_duration_since(Instant::now())),
            Patience::Pause(pause) => Some(pause),
            Patience::Endless => None,
        };
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(timeout)?;
        (&mut &*self.stream).read(buffer)
    }
}

impl Server {
    /// Serves what comes in on the socket. `tell` hears what a bootstrap does, with the number of that bootstrap, before the
    /// bootstrap hears the answer.
    pub(super) fn new(listener: TcpListener, tell: impl Fn(u64, Happening) + Send + Sync + 'static) -> Self {
        let shared = Arc::new(Shared {
            current: Mutex::new(Current {
                api: Api::new(),
                number: 0,
            }),
            changed: Condvar::new(),
            connections: AtomicUsize::new(0),
            tell: Box::new(tell),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else {
                    // Out of descriptors, most likely: those of other connections will be free again.
                    thread::sleep(Duration::from_millis(10));
                    continue;
                };
                let shared = Arc::clone(&accepting);
                if shared.connections.fetch_add(1, Ordering::Relaxed) >= MOST_CONNECTIONS {
                    shared.connections.fetch_sub(1, Ordering::Relaxed);
                    continue;
                }
                thread::spawn(move || {
                    let _ = shared.serve(&stream);
                    shared.connections.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        Self { shared }
    }

    /// From now on another bootstrap is served; gives its number.
    pub(super) fn renew(&self) -> u64 {
        let mut current = self.shared.current();
        current.api = Api::new();
        current.number += 1;
        let number = current.number;
        drop(current);
        self.shared.changed.notify_all();
        number
    }

    /// Gives the runtime an event.
    pub(super) fn offer(&self, offer: Offer) {
        self.shared.current().api.offer(offer);
        self.shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::super::api::Answer;
    use super::*;
    use std::io::Write;
    use std::sync::mpsc::channel;

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
        let server = Server::new(listener, move |number, happening| {
            sender.send((number, happening)).unwrap();
        });
        let client = thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            for round in ["one", "two"] {
                let next = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n\r\n";
                let reply = exchange(&mut stream, next, round);
                assert!(
                    reply.contains(&format!("Lambda-Runtime-Aws-Request-Id: {round}\r\n")),
                    "{reply}"
                );
                let post = format!(
                    "POST /2018-06-01/runtime/invocation/{round}/response HTTP/1.1\r\nExpect: 100-continue\r\n\
                     Content-Length: 3\r\n\r\n{round}"
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
            assert_eq!(receiver.recv_timeout(wait).unwrap(), (0, Happening::Ready));
            server.offer(Offer {
                id: round.to_owned(),
                deadline_ms: 1,
                arn: String::new(),
                trace_id: String::new(),
                payload: round.as_bytes().to_vec().into(),
            });
            let answer = Happening::Answered(Answer::Response(round.as_bytes().to_vec()));
            assert_eq!(receiver.recv_timeout(wait).unwrap(), (0, answer));
        }
        // What the earlier bootstrap still asks for is not answered any more.
        let mut stream = client.join().unwrap();
        server.renew();
        stream
            .write_all(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n\r\n")
            .unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "");
    }
}
