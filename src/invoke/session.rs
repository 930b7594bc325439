//! One run: a sandbox, a bootstrap in it, and one event after the other, with Lambda's rules for starting anew.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Scope};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::api::{Answer, ErrorBody, Happening, Offer};
use super::data::DATA;
use super::failure::Failure;
use super::log::Log;
use super::memory::{Meter, Views};
use super::sandbox::{self, SandboxError};
use super::server::Server;
use super::wire::{Ended, News, Order, pair, receive, send};
use super::{Event, FUNCTION, Invocation, InvokeError, Listener, Prepared, Wishes};
use crate::progress::Progress;
use crate::size::Bytes;

/// How often is asked whether the user has stopped the run.
const TICK: Duration = Duration::from_millis(50);
/// How long the sandbox may take to be there.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take to end every process.
const ENDING: Duration = Duration::from_secs(5);
/// How often memory is looked at.
const WATCH: Duration = Duration::from_millis(20);

/// What comes in from all sides.
enum Heard {
    /// From the bootstrap with this number.
    Api(u64, Happening),
    Inside(News),
    Gone,
}

/// Why a bootstrap did not come to ask for an event.
enum NotReady {
    NoBootstrap,
    NotStarted { bootstrap: String, errno: i32 },
    Ended(Ended),
    InitError(ErrorBody),
    TimedOut,
    Gone,
}

pub(super) fn run(
    prepared: &Prepared,
    wishes: &Wishes<'_>,
    events: &[Event],
    listener: &dyn Listener,
    progress: &dyn Progress,
) -> Result<Vec<Invocation>, InvokeError> {
    thread::scope(|scope| {
        let mut session = Session {
            prepared,
            wishes,
            listener,
            progress,
            scope,
            sandbox: None,
            running: false,
            peak: Bytes(0),
        };
        events
            .iter()
            .map(|event| {
                let invocation = session.invoke(event)?;
                listener.done(&invocation);
                Ok(invocation)
            })
            .collect()
    })
}

struct Session<'scope, 'env> {
    prepared: &'env Prepared,
    wishes: &'env Wishes<'env>,
    listener: &'env dyn Listener,
    progress: &'env dyn Progress,
    scope: &'scope Scope<'scope, 'env>,
    sandbox: Option<Sandbox>,
    /// Whether a bootstrap has asked for an event and not ended since.
    running: bool,
    peak: Bytes,
}

impl Session<'_, '_> {
    fn invoke(&mut self, event: &Event) -> Result<Invocation, InvokeError> {
        let mut invocation = Invocation {
            request_id: uuid(),
            event: event.name.clone(),
            duration: Duration::ZERO,
            init: None,
            response: None,
            failure: None,
            peak_memory: self.peak,
            log_tail: Vec::new(),
        };
        if event.payload.len() as u64 > DATA.process.largest_event {
            invocation.failure = Some(Failure::event_too_large(event.payload.len()));
            return Ok(invocation);
        }
        if let Some(sandbox) = &mut self.sandbox {
            if sandbox.has_ended() {
                self.running = false;
            }
            sandbox.log.begin();
            if sandbox.gone {
                self.sandbox = None;
            }
        }
        let mut timeout = self.wishes.timeout;
        invocation.failure = self.make_ready(&mut invocation, &mut timeout)?;
        if invocation.failure.is_none() {
            let begun = Instant::now();
            let payload = event.payload.clone();
            let failure = self.serve(&mut invocation, payload, begun, timeout)?;
            invocation.duration = begun.elapsed();
            invocation.failure = failure;
        }
        self.finish(&mut invocation)?;
        Ok(invocation)
    }

    /// Starts a bootstrap where none is running. One that takes longer than Lambda's init phase is started once more, and the
    /// time that it takes then counts for the event.
    fn make_ready(
        &mut self,
        invocation: &mut Invocation,
        timeout: &mut Duration,
    ) -> Result<Option<Failure>, InvokeError> {
        if self.running {
            return Ok(None);
        }
        let id = invocation.request_id.clone();
        let limit = Duration::from_secs(DATA.process.init_seconds);
        let mut started = self.start(limit)?;
        if let Err(NotReady::TimedOut) = started {
            self.stop()?;
            let limit = limit.as_secs_f64() * 1000.0;
            let line = format!("INIT_REPORT Init Duration: {limit:.2} ms Phase: init Status: timeout\n");
            self.listener.log(line.as_bytes());
            started = self.start(*timeout)?;
            if let Ok(init) = started {
                *timeout = timeout.saturating_sub(init);
            }
        }
        Ok(match started {
            Ok(init) => {
                self.running = true;
                invocation.init = Some(init);
                None
            }
            Err(NotReady::NoBootstrap) => Some(Failure::no_bootstrap(&id)),
            Err(NotReady::NotStarted { bootstrap, errno }) => Some(Failure::not_started(&id, &bootstrap, errno)),
            Err(NotReady::Ended(ended)) => Some(Failure::ended(&id, ended, self.over_memory())),
            Err(NotReady::InitError(error)) => {
                self.stop()?;
                Some(Failure::reported(&error))
            }
            Err(NotReady::TimedOut) => Some(Failure::timed_out(&id, self.wishes.timeout)),
            Err(NotReady::Gone) => Some(Failure::sandbox_ended(&id, self.over_memory())),
        })
    }

    /// What the function was given, in MB, if it used more.
    fn over_memory(&self) -> Option<u64> {
        let over = self.sandbox.as_ref().is_some_and(Sandbox::is_over_memory);
        over.then_some(self.wishes.memory_mb)
    }

    /// Starts a bootstrap and waits until it asks for an event.
    fn start(&mut self, limit: Duration) -> Result<Result<Duration, NotReady>, InvokeError> {
        if self.sandbox.is_none() {
            self.sandbox = Some(Sandbox::start(
                self.prepared,
                self.wishes,
                self.listener,
                self.progress,
                self.scope,
            )?);
        }
        let Some(sandbox) = &mut self.sandbox else {
            return Ok(Err(NotReady::Gone));
        };
        let begun = Instant::now();
        sandbox.number = sandbox.server()?.renew();
        sandbox.watch.over.store(false, Ordering::Relaxed);
        sandbox.order(&Order::Start {
            environment: self.wishes.environment(),
        })?;
        loop {
            let Some(heard) = sandbox.hear(begun + limit, self.progress)? else {
                return Ok(Err(NotReady::TimedOut));
            };
            return Ok(match heard {
                Heard::Api(_, Happening::Ready) => Ok(begun.elapsed()),
                Heard::Api(_, Happening::InitError(error)) => Err(NotReady::InitError(error)),
                Heard::Inside(News::NoBootstrap) => Err(NotReady::NoBootstrap),
                Heard::Inside(News::NotStarted { bootstrap, errno }) => Err(NotReady::NotStarted { bootstrap, errno }),
                Heard::Inside(News::Ended(ended)) => Err(NotReady::Ended(ended)),
                Heard::Gone => Err(NotReady::Gone),
                Heard::Api(..) | Heard::Inside(_) => continue,
            });
        }
    }

    /// Offers the event, and waits until the runtime has answered and asks for the next one.
    fn serve(
        &mut self,
        invocation: &mut Invocation,
        payload: Vec<u8>,
        begun: Instant,
        timeout: Duration,
    ) -> Result<Option<Failure>, InvokeError> {
        let id = invocation.request_id.clone();
        let Some(sandbox) = &mut self.sandbox else {
            return Ok(Some(Failure::sandbox_ended(&id, None)));
        };
        let deadline = SystemTime::now() + timeout;
        let deadline_ms = deadline.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        sandbox.server()?.offer(Offer {
            id: id.clone(),
            deadline_ms: u64::try_from(deadline_ms).unwrap_or(u64::MAX),
            arn: format!("arn:aws:lambda:us-east-1:123456789012:function:{FUNCTION}"),
            trace_id: trace_id(),
            payload: payload.into(),
        });
        let mut answered = None;
        loop {
            let Some(heard) = sandbox.hear(begun + timeout, self.progress)? else {
                return Ok(Some(Failure::timed_out(&id, self.wishes.timeout)));
            };
            match heard {
                Heard::Api(_, Happening::Answered(Answer::Response(response))) => {
                    invocation.response = Some(response);
                    answered = Some(None);
                }
                Heard::Api(_, Happening::Answered(Answer::Error(error))) => {
                    answered = Some(Some(Failure::reported(&error)));
                }
                Heard::Api(_, Happening::Ready) => {
                    if let Some(failure) = answered {
                        return Ok(failure);
                    }
                }
                Heard::Inside(News::Ended(ended)) => {
                    self.running = false;
                    return Ok(Some(Failure::ended(&id, ended, self.over_memory())));
                }
                Heard::Gone => {
                    self.running = false;
                    return Ok(Some(Failure::sandbox_ended(&id, self.over_memory())));
                }
                Heard::Api(_, Happening::InitError(_)) | Heard::Inside(_) => {}
            }
        }
    }

    /// Collects what was used and written, and ends a bootstrap that cannot be used again.
    fn finish(&mut self, invocation: &mut Invocation) -> Result<(), InvokeError> {
        let Some(sandbox) = &mut self.sandbox else {
            return Ok(());
        };
        self.peak = self.peak.max(sandbox.peak_memory());
        invocation.peak_memory = self.peak;
        // An error that the runtime reports of an event leaves it running; everything else does not.
        let reported = invocation.failure.as_ref().is_some_and(Failure::is_of_handler);
        if invocation.failure.is_some() && !reported {
            self.stop()?;
        }
        if let Some(sandbox) = &self.sandbox {
            sandbox.settle();
            invocation.log_tail = sandbox.log.tail();
            if sandbox.gone {
                self.sandbox = None;
            }
        }
        Ok(())
    }

    /// Ends every process of the function; what it has in /tmp stays, as on Lambda.
    fn stop(&mut self) -> Result<(), InvokeError> {
        self.running = false;
        let Some(sandbox) = &mut self.sandbox else {
            return Ok(());
        };
        if sandbox.order(&Order::Stop).is_err() {
            sandbox.gone = true;
            return Ok(());
        }
        let deadline = Instant::now() + ENDING;
        while let Some(heard) = sandbox.hear(deadline, self.progress)? {
            match heard {
                Heard::Inside(News::Stopped) => return Ok(()),
                Heard::Gone => break,
                _ => {}
            }
        }
        sandbox.gone = true;
        Ok(())
    }
}

/// The processes of a sandbox, from outside. They end when this is dropped.
struct Sandbox {
    child: Child,
    socket: Arc<OwnedFd>,
    heard: Receiver<Heard>,
    /// What was heard while something else was waited for.
    kept: VecDeque<Heard>,
    /// The bootstrap that is running.
    number: u64,
    server: Arc<OnceLock<Server>>,
    log: Arc<Log>,
    log_pipe: Arc<OwnedFd>,
    watch: Arc<MemoryWatch>,
    gone: bool,
}

/// Looks at the memory of a sandbox again and again, and has everything in it ended where it is too much.
struct MemoryWatch {
    meter: OnceLock<Meter>,
    limit: u64,
    peak: AtomicU64,
    over: AtomicBool,
    ended: AtomicBool,
}

impl MemoryWatch {
    fn look(&self, socket: &OwnedFd) {
        let Some(meter) = self.meter.get() else { return };
        let used = meter.used();
        self.peak.fetch_max(used, Ordering::Relaxed);
        if used > self.limit {
            self.over.store(true, Ordering::Relaxed);
            // A sandbox that is gone holds nothing.
            let _ = send(socket, &Order::Kill, &[]);
        }
    }
}

impl Sandbox {
    /// Makes the sandbox, and waits until the Runtime API's socket is there.
    fn start<'scope>(
        prepared: &Prepared,
        wishes: &Wishes<'_>,
        listener: &'scope dyn Listener,
        progress: &dyn Progress,
        scope: &'scope Scope<'scope, '_>,
    ) -> Result<Self, InvokeError> {
        let io = |error: std::io::Error| InvokeError::Sandbox(SandboxError::Io(error));
        let (socket, theirs) = pair().map_err(io)?;
        let (log_pipe, log_end) = std::io::pipe().map_err(io)?;
        let child = prepared
            .launcher()
            .map_err(io)?
            .args(sandbox::arguments(
                &prepared.mounts,
                prepared.options,
                prepared.identity,
            ))
            .arg("--new-session")
            .args(prepared.own_command("serve"))
            .stdin(Stdio::from(theirs))
            .stdout(log_end.try_clone().map_err(io)?)
            .stderr(log_end)
            // Ctrl-C ends this program, which then ends the sandbox.
            .process_group(0)
            .spawn()
            .map_err(io)?;
        let (sender, heard) = channel();
        let mut sandbox = Self {
            child,
            socket: Arc::new(socket),
            heard,
            kept: VecDeque::new(),
            number: 0,
            server: Arc::new(OnceLock::new()),
            log: Arc::new(Log::new()),
            log_pipe: Arc::new(log_pipe.into()),
            watch: Arc::new(MemoryWatch {
                meter: OnceLock::new(),
                limit: wishes.memory_bytes(),
                peak: AtomicU64::new(0),
                over: AtomicBool::new(false),
                ended: AtomicBool::new(false),
            }),
            gone: false,
        };
        let (log, pipe) = (Arc::clone(&sandbox.log), Arc::clone(&sandbox.log_pipe));
        scope.spawn(move || log.read(&pipe, &|bytes| listener.log(bytes)));
        let (socket, server) = (Arc::clone(&sandbox.socket), Arc::clone(&sandbox.server));
        let (watch, cgroup) = (Arc::clone(&sandbox.watch), prepared.cgroup.clone());
        thread::spawn(move || {
            while let Ok(Some((news, descriptors))) = receive::<News>(&*socket) {
                let mut descriptors = descriptors.into_iter();
                if news == News::Listening
                    && let (Some(listener), Some(processes), Some(tmp)) =
                        (descriptors.next(), descriptors.next(), descriptors.next())
                {
                    let segments = descriptors.next();
                    let views = Views {
                        processes,
                        tmp,
                        segments,
                    };
                    let _ = watch.meter.set(Meter::new(views, cgroup.clone()));
                    let sender = sender.clone();
                    let tell = move |number, happening| {
                        let _ = sender.send(Heard::Api(number, happening));
                    };
                    let _ = server.set(Server::new(TcpListener::from(listener), tell));
                }
                if sender.send(Heard::Inside(news)).is_err() {
                    return;
                }
            }
            let _ = sender.send(Heard::Gone);
        });
        let (socket, watch) = (Arc::clone(&sandbox.socket), Arc::clone(&sandbox.watch));
        thread::spawn(move || {
            while !watch.ended.load(Ordering::Relaxed) {
                watch.look(&socket);
                thread::sleep(WATCH);
            }
        });
        let deadline = Instant::now() + PATIENCE;
        let reason = loop {
            match sandbox.hear(deadline, progress)? {
                Some(Heard::Inside(News::Listening)) => {
                    sandbox.log.begin();
                    return Ok(sandbox);
                }
                Some(Heard::Inside(News::Broken(reason))) => break reason,
                Some(Heard::Gone) => {
                    let _ = sandbox.child.wait();
                    sandbox.settle();
                    break String::from_utf8_lossy(&sandbox.log.tail()).trim().to_owned();
                }
                Some(_) => {}
                None => break "it does not answer".to_owned(),
            }
        };
        Err(SandboxError::Refused(crate::tree::path::escaped(reason.as_bytes())).into())
    }

    fn server(&self) -> Result<&Server, InvokeError> {
        let missing = || SandboxError::Refused("it has no network".to_owned());
        Ok(self.server.get().ok_or_else(missing)?)
    }

    fn order(&self, order: &Order) -> Result<(), InvokeError> {
        match send(&*self.socket, order, &[]) {
            // The sandbox is gone, which is heard next.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            sent => Ok(sent.map_err(SandboxError::Io)?),
        }
    }

    /// What comes next; `None` once the deadline has passed.
    fn hear(&mut self, deadline: Instant, progress: &dyn Progress) -> Result<Option<Heard>, InvokeError> {
        if let Some(heard) = self.kept.pop_front() {
            return Ok(Some(heard));
        }
        self.receive(deadline, progress)
    }

    fn receive(&mut self, deadline: Instant, progress: &dyn Progress) -> Result<Option<Heard>, InvokeError> {
        loop {
            progress.check()?;
            let left = deadline.saturating_duration_since(Instant::now());
            match self.heard.recv_timeout(left.min(TICK)) {
                // An earlier bootstrap had said it just before it was ended.
                Ok(Heard::Api(number, _)) if number != self.number => {}
                Ok(heard) => {
                    self.gone |= matches!(heard, Heard::Gone);
                    return Ok(Some(heard));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    self.gone = true;
                    return Ok(Some(Heard::Gone));
                }
                Err(RecvTimeoutError::Timeout) if left.is_zero() => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Whether the bootstrap or the whole sandbox has ended since it was heard of last.
    fn has_ended(&mut self) -> bool {
        let number = self.number;
        let current = |heard: &Heard| !matches!(heard, Heard::Api(other, _) if *other != number);
        self.kept.extend(self.heard.try_iter().filter(current));
        let ended = |heard: &Heard| matches!(heard, Heard::Gone | Heard::Inside(News::Ended(_)));
        let has_ended = self.kept.iter().any(ended);
        if has_ended {
            self.gone |= self.kept.iter().any(|heard| matches!(heard, Heard::Gone));
            self.kept.clear();
        }
        has_ended
    }

    /// How much memory has been used at most so far.
    fn peak_memory(&self) -> Bytes {
        self.watch.look(&self.socket);
        Bytes(self.watch.peak.load(Ordering::Relaxed))
    }

    fn is_over_memory(&self) -> bool {
        self.watch.over.load(Ordering::Relaxed) || self.watch.meter.get().is_some_and(Meter::has_killed)
    }

    fn settle(&self) {
        self.log.settle(&*self.log_pipe);
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Inside, the end of the socket is the end of all: the first process of the namespace ends, and with it every other.
        let _ = rustix::net::shutdown(&*self.socket, rustix::net::Shutdown::Both);
        self.watch.ended.store(true, Ordering::Relaxed);
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if begun.elapsed() > ENDING {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Sixteen random bytes.
fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    // Without random numbers the time has to do: these are names, and no secrets.
    if rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).is_err() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        bytes = now.as_nanos().to_le_bytes();
    }
    bytes
}

/// A random UUID (RFC 9562, version 4), which is what Lambda's request numbers are.
fn uuid() -> String {
    let mut bytes = random();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = base16ct::lower::encode_string(&bytes);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// A trace header of X-Ray that is not sampled.
fn trace_id() -> String {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let hex = base16ct::lower::encode_string(&random());
    format!("Root=1-{seconds:08x}-{};Parent={};Sampled=0", &hex[..24], &hex[16..])
}
