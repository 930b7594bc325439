//! The processes of a sandbox, from outside: starting them, hearing of them, counting their memory, ending them.

use std::collections::{BTreeSet, VecDeque};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use super::api::ApiEvent;
use super::cgroup::Cgroup;
use super::log::Log;
use super::memory::{Meter, Views};
use super::sandbox;
use super::sandbox_error::SandboxError;
use super::server::Server;
use super::wire::{Instruction, Notification, Process, pair, receive, send};
use super::{InvokeError, InvokeOptions, Listener, Prepared};
use crate::progress::Progress;
use crate::size::Bytes;

/// How often is asked whether the user has stopped the run.
const TICK: Duration = Duration::from_millis(50);
/// How long the sandbox may take to be there: a moment, but far longer where many builds share the machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it may take to end every process.
const ENDING: Duration = Duration::from_secs(5);
/// How often memory is looked at.
const WATCH: Duration = Duration::from_millis(20);

/// What comes in from all sides.
#[derive(Debug)]
pub(super) enum Message {
    /// By a process of the environment with this number.
    Api(u64, ApiEvent),
    /// From the first process of the sandbox.
    Inside(Notification),
    /// The sandbox has ended.
    Gone,
}

/// The processes of a sandbox, from outside. They end when this is dropped.
pub(super) struct RunningSandbox {
    child: Child,
    socket: Arc<OwnedFd>,
    messages: Receiver<Message>,
    /// What came in while something else was waited for.
    kept: VecDeque<Message>,
    /// The number of the execution environment.
    pub(super) number: u64,
    /// The processes that have been started in it and have not ended.
    pub(super) alive: BTreeSet<Process>,
    server: Arc<OnceLock<Server>>,
    pub(super) log: Arc<Log>,
    log_pipe: Arc<OwnedFd>,
    watch: Arc<MemoryWatch>,
    pub(super) gone: bool,
    /// Whether the processes have ended, a tracer included.
    ended: Arc<AtomicBool>,
}

/// Looks at the memory of a sandbox again and again, and has everything in it ended if it is too much.
struct MemoryWatch {
    meter: OnceLock<Meter>,
    limit: u64,
    peak: AtomicU64,
    over: AtomicBool,
    ended: AtomicBool,
}

impl MemoryWatch {
    /// A watch of a sandbox that has not started; the limit is in bytes.
    fn new(limit: u64) -> Self {
        Self {
            meter: OnceLock::new(),
            limit,
            peak: AtomicU64::new(0),
            over: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        }
    }

    fn look(&self, socket: &OwnedFd) {
        let Some(meter) = self.meter.get() else { return };
        let used = meter.used();
        self.peak.fetch_max(used, Ordering::Relaxed);
        if used > self.limit {
            self.over.store(true, Ordering::Relaxed);
            // A sandbox that is gone holds nothing.
            let _ = send(socket, &Instruction::Kill, &[]);
        }
    }
}

/// Passes on what the first process of the sandbox says. Its first message brings what is needed to serve and to watch.
struct Reception {
    socket: Arc<OwnedFd>,
    sender: Sender<Message>,
    server: Arc<OnceLock<Server>>,
    watch: Arc<MemoryWatch>,
    cgroup: Option<Arc<Cgroup>>,
}

impl Reception {
    fn run(self) {
        while let Ok(Some((notification, descriptors))) = receive::<Notification>(&*self.socket) {
            if notification == Notification::Listening {
                self.set_up(descriptors);
            }
            if self.sender.send(Message::Inside(notification)).is_err() {
                return;
            }
        }
        let _ = self.sender.send(Message::Gone);
    }

    fn set_up(&self, descriptors: Vec<OwnedFd>) {
        let mut descriptors = descriptors.into_iter();
        let (Some(listener), Some(processes), Some(tmp)) = (descriptors.next(), descriptors.next(), descriptors.next())
        else {
            return;
        };
        let segments = descriptors.next();
        let views = Views {
            processes,
            tmp,
            segments,
        };
        let _ = self.watch.meter.set(Meter::new(views, self.cgroup.clone()));
        let sender = self.sender.clone();
        let tell = move |number, event| {
            let _ = sender.send(Message::Api(number, event));
        };
        if let Ok(server) = Server::new(TcpListener::from(listener), tell) {
            let _ = self.server.set(server);
        }
    }
}

fn io(error: std::io::Error) -> InvokeError {
    InvokeError::Sandbox(SandboxError::Io(error))
}

impl RunningSandbox {
    /// Makes the sandbox, and waits until the Runtime API's socket is there.
    pub(super) fn start<'scope>(
        prepared: &'scope Prepared,
        options: &InvokeOptions<'_>,
        listener: &'scope dyn Listener,
        progress: &dyn Progress,
        scope: &'scope Scope<'scope, '_>,
    ) -> Result<Self, InvokeError> {
        let (socket, theirs) = pair().map_err(io)?;
        let (log_pipe, log_end) = std::io::pipe().map_err(io)?;
        let trace_pipe = prepared.pipe().map_err(io)?;
        let child = prepared
            .launcher(trace_pipe.as_ref())
            .map_err(io)?
            .args(sandbox::arguments(&prepared.mounts, prepared.bwrap, prepared.identity))
            .arg("--new-session")
            .args(prepared.own_command("serve"))
            .stdin(Stdio::from(theirs))
            .stdout(log_end.try_clone().map_err(io)?)
            .stderr(log_end)
            // Ctrl-C ends this program, which then ends the sandbox.
            .process_group(0)
            .spawn()
            .map_err(io)?;
        let (sender, messages) = channel();
        let running = Self {
            child,
            socket: Arc::new(socket),
            messages,
            kept: VecDeque::new(),
            number: 0,
            alive: BTreeSet::new(),
            server: Arc::new(OnceLock::new()),
            log: Arc::new(Log::new()),
            log_pipe: Arc::new(log_pipe.into()),
            watch: Arc::new(MemoryWatch::new(options.memory_bytes())),
            gone: false,
            ended: Arc::new(AtomicBool::new(false)),
        };
        if let Some((trace, pipe)) = prepared.trace.as_ref().zip(trace_pipe) {
            let ended = Arc::clone(&running.ended);
            scope.spawn(move || pipe.read_to(trace, &ended));
        }
        let (log, pipe) = (Arc::clone(&running.log), Arc::clone(&running.log_pipe));
        scope.spawn(move || log.read(&pipe, &|bytes| listener.log(bytes)));
        let reception = Reception {
            socket: Arc::clone(&running.socket),
            sender,
            server: Arc::clone(&running.server),
            watch: Arc::clone(&running.watch),
            cgroup: prepared.cgroup.clone(),
        };
        thread::spawn(move || reception.run());
        running.watch_memory();
        running.listening(progress)
    }

    /// Looks how much memory is used, again and again until the sandbox has ended.
    fn watch_memory(&self) {
        let (socket, watch) = (Arc::clone(&self.socket), Arc::clone(&self.watch));
        thread::spawn(move || {
            while !watch.ended.load(Ordering::Relaxed) {
                watch.look(&socket);
                thread::sleep(WATCH);
            }
        });
    }

    /// Waits until the sandbox says that it is there.
    fn listening(mut self, progress: &dyn Progress) -> Result<Self, InvokeError> {
        let deadline = Instant::now() + PATIENCE;
        let reason = loop {
            match self.next(deadline, progress)? {
                Some(Message::Inside(Notification::Listening)) => {
                    self.log.begin();
                    return Ok(self);
                }
                Some(Message::Inside(Notification::Broken(reason))) => break reason,
                Some(Message::Gone) => {
                    let _ = self.child.wait();
                    self.settle();
                    break String::from_utf8_lossy(&self.log.tail()).trim().to_owned();
                }
                Some(_) => {}
                None => break "it does not answer".to_owned(),
            }
        };
        Err(SandboxError::Refused(crate::tree::path::escaped(reason.as_bytes())).into())
    }

    pub(super) fn server(&self) -> Result<&Server, InvokeError> {
        let missing = || SandboxError::Refused("it has no network".to_owned());
        Ok(self.server.get().ok_or_else(missing)?)
    }

    pub(super) fn instruct(&self, instruction: &Instruction) -> Result<(), InvokeError> {
        match send(&*self.socket, instruction, &[]) {
            // The sandbox is gone, which the next message says.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            sent => sent.map_err(io),
        }
    }

    /// The next message; `None` once the deadline has passed.
    pub(super) fn next(&mut self, deadline: Instant, progress: &dyn Progress) -> Result<Option<Message>, InvokeError> {
        if let Some(message) = self.kept.pop_front() {
            return Ok(Some(message));
        }
        loop {
            progress.check()?;
            let left = deadline.saturating_duration_since(Instant::now());
            match self.messages.recv_timeout(left.min(TICK)) {
                // A process of an earlier environment had said it just before it was ended.
                Ok(Message::Api(number, _)) if number != self.number => {}
                Ok(message) => {
                    self.note(&message);
                    return Ok(Some(message));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    self.gone = true;
                    return Ok(Some(Message::Gone));
                }
                Err(RecvTimeoutError::Timeout) if left.is_zero() => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn note(&mut self, message: &Message) {
        match message {
            Message::Gone => self.gone = true,
            Message::Inside(Notification::Exited(process, _)) => {
                self.alive.remove(process);
            }
            Message::Inside(_) | Message::Api(..) => {}
        }
    }

    /// Whether a process of the environment or the whole sandbox has ended since the last message.
    pub(super) fn has_ended(&mut self) -> bool {
        while let Ok(message) = self.messages.try_recv() {
            if !matches!(message, Message::Api(number, _) if number != self.number) {
                self.note(&message);
                self.kept.push_back(message);
            }
        }
        let ended = |message: &Message| matches!(message, Message::Gone | Message::Inside(Notification::Exited(..)));
        let has_ended = self.kept.iter().any(ended);
        if has_ended {
            self.kept.clear();
        }
        has_ended
    }

    /// Waits until this holds; whether it came to be in time.
    pub(super) fn wait_until(
        &mut self,
        deadline: Instant,
        progress: &dyn Progress,
        holds: impl Fn(&Self) -> bool,
    ) -> Result<bool, InvokeError> {
        while !holds(self) && !self.gone {
            if self.next(deadline, progress)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Ends every process, and waits for that; the sandbox is gone if it does not do it.
    pub(super) fn stop(&mut self, progress: &dyn Progress) -> Result<(), InvokeError> {
        if self.instruct(&Instruction::Stop).is_err() {
            self.gone = true;
            return Ok(());
        }
        let deadline = Instant::now() + ENDING;
        while let Some(message) = self.next(deadline, progress)? {
            match message {
                Message::Inside(Notification::Stopped) => {
                    self.alive.clear();
                    return Ok(());
                }
                Message::Gone => break,
                _ => {}
            }
        }
        self.gone = true;
        Ok(())
    }

    /// How much memory has been used at most so far.
    pub(super) fn peak_memory(&self) -> Bytes {
        self.watch.look(&self.socket);
        Bytes(self.watch.peak.load(Ordering::Relaxed))
    }

    /// From now on what is used too much counts for a new runtime.
    pub(super) fn forget_memory(&self) {
        self.watch.over.store(false, Ordering::Relaxed);
    }

    pub(super) fn is_over_memory(&self) -> bool {
        self.watch.over.load(Ordering::Relaxed) || self.watch.meter.get().is_some_and(Meter::has_killed)
    }

    pub(super) fn settle(&self) {
        self.log.settle(&*self.log_pipe);
    }
}

impl Drop for RunningSandbox {
    fn drop(&mut self) {
        // Inside, the end of the socket is the end of all: the first process of the namespace ends, and with it every other.
        let _ = rustix::net::shutdown(&*self.socket, rustix::net::Shutdown::Both);
        self.watch.ended.store(true, Ordering::Relaxed);
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if begun.elapsed() > ENDING {
                let _ = self.child.kill();
                let _ = self.child.wait();
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        self.ended.store(true, Ordering::Release);
    }
}
