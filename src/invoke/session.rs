//! One run: a sandbox, a runtime and its extensions in it, and one event after the other, with Lambda's rules for starting
//! anew.

use std::thread::{self, Scope};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::api::{ApiEvent, ErrorBody, Response};
use super::data::DATA;
use super::exchange::Invoke;
use super::extensions::ShutdownReason;
use super::failure::Failure;
use super::ids::{trace_id, uuid};
use super::running::{Message, RunningSandbox};
use super::wire::{Exit, Instruction, Notification, Process, StartFailure};
use super::{ACCOUNT, Event, FUNCTION, Invocation, InvokeError, InvokeOptions, Listener, Prepared};
use crate::progress::Progress;
use crate::size::Bytes;
use crate::timings::phase;

/// How many times as long the init phase may last where system calls are traced.
const SLOWER_IF_TRACED: u32 = 5;

/// Why a runtime or an extension did not come to ask for an event.
enum NotReady {
    NoBootstrap,
    NotStarted(StartFailure),
    Exited(Process, Exit),
    InitError(ErrorBody),
    ExtensionError(&'static str, String),
    TimedOut,
    Gone,
}

pub(super) fn run(
    prepared: &Prepared,
    options: &InvokeOptions<'_>,
    events: &[Event],
    listener: &dyn Listener,
    progress: &dyn Progress,
) -> Result<Vec<Invocation>, InvokeError> {
    let _phase = phase("invoke");
    thread::scope(|scope| {
        let mut session = Session {
            prepared,
            options,
            listener,
            progress,
            scope,
            sandbox: None,
            running: false,
            peak: Bytes(0),
        };
        let invocations: Result<Vec<Invocation>, InvokeError> = events
            .iter()
            .map(|event| {
                let invocation = session.invoke(event)?;
                listener.done(&invocation);
                Ok(invocation)
            })
            .collect();
        let invocations = invocations?;
        session.shut_down(ShutdownReason::Spindown)?;
        Ok(invocations)
    })
}

struct Session<'scope, 'env> {
    prepared: &'env Prepared,
    options: &'env InvokeOptions<'env>,
    listener: &'env dyn Listener,
    progress: &'env dyn Progress,
    scope: &'scope Scope<'scope, 'env>,
    sandbox: Option<RunningSandbox>,
    /// Whether a runtime has asked for an event and not ended since.
    running: bool,
    peak: Bytes,
}

impl Session<'_, '_> {
    fn invoke(&mut self, event: &Event) -> Result<Invocation, InvokeError> {
        let mut invocation = Invocation {
            request_id: event.request_id.clone().unwrap_or_else(uuid),
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
        let mut timeout = self.options.timeout;
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

    /// Starts a runtime if none is running. One that takes longer than Lambda's init phase is started once more, and the
    /// time that it takes then counts for the event.
    fn make_ready(
        &mut self,
        invocation: &mut Invocation,
        timeout: &mut Duration,
    ) -> Result<Option<Failure>, InvokeError> {
        if self.running {
            return Ok(None);
        }
        let slower = if self.options.traced { SLOWER_IF_TRACED } else { 1 };
        let limit = Duration::from_secs(DATA.process.init_seconds) * slower;
        let mut started = self.start(limit)?;
        if let Err(NotReady::TimedOut) = started {
            self.stop(ShutdownReason::Timeout)?;
            let limit = limit.as_secs_f64() * 1000.0;
            let line = format!("INIT_REPORT Init Duration: {limit:.2} ms Phase: init Status: timeout\n");
            self.listener.log(line.as_bytes());
            started = self.start(*timeout)?;
            if let Ok(init) = started {
                *timeout = timeout.saturating_sub(init);
            }
        }
        match started {
            Ok(init) => {
                self.running = true;
                invocation.init = Some(init);
                Ok(None)
            }
            Err(not_ready) => Ok(Some(self.failure(&invocation.request_id, not_ready)?)),
        }
    }

    /// What the caller of the function hears of that.
    fn failure(&mut self, id: &str, not_ready: NotReady) -> Result<Failure, InvokeError> {
        Ok(match not_ready {
            NotReady::NoBootstrap => Failure::no_bootstrap(id, &self.options.bootstrap_advice),
            NotReady::NotStarted(failure) => Failure::not_started(id, &failure),
            NotReady::Exited(process, exit) => Failure::exited(id, &process, exit, self.over_memory()),
            NotReady::InitError(error) => {
                self.stop(ShutdownReason::Failure)?;
                Failure::reported(&error)
            }
            NotReady::ExtensionError(kind, message) => Failure::of_request(id, kind, &message),
            NotReady::TimedOut => Failure::timed_out(id, self.options.timeout),
            NotReady::Gone => Failure::sandbox_ended(id, self.over_memory()),
        })
    }

    /// What the function was given, in MB, if it used more.
    fn over_memory(&self) -> Option<u64> {
        let over = self.sandbox.as_ref().is_some_and(RunningSandbox::is_over_memory);
        over.then_some(self.options.memory_mb)
    }

    /// Starts the extensions, then the runtime, and waits until all of them ask for an event.
    fn start(&mut self, limit: Duration) -> Result<Result<Duration, NotReady>, InvokeError> {
        if self.sandbox.is_none() {
            self.sandbox = Some(RunningSandbox::start(
                self.prepared,
                self.options,
                self.listener,
                self.progress,
                self.scope,
            )?);
        }
        let Some(sandbox) = &mut self.sandbox else {
            return Ok(Err(NotReady::Gone));
        };
        let begun = Instant::now();
        let extensions = &self.prepared.extensions;
        let function = json!({
            "functionName": FUNCTION,
            "functionVersion": "$LATEST",
            "handler": self.options.handler,
            "accountId": ACCOUNT,
        });
        sandbox.number = sandbox.server()?.renew(extensions, &function);
        sandbox.forget_memory();
        if let Some(trace) = &self.prepared.trace {
            trace.started_outside(extensions);
        }
        sandbox.alive = extensions.iter().cloned().map(Process::Extension).collect();
        sandbox.instruct(&Instruction::StartExtensions {
            names: extensions.clone(),
            environment: self.options.extension_environment(),
        })?;
        if !extensions.is_empty()
            && let Err(not_ready) = await_event(sandbox, &ApiEvent::Registered, begun + limit, self.progress)?
        {
            return Ok(Err(not_ready));
        }
        sandbox.alive.insert(Process::Runtime);
        sandbox.instruct(&Instruction::StartRuntime {
            environment: self.options.environment(),
        })?;
        let ready = await_event(sandbox, &ApiEvent::Ready, begun + limit, self.progress)?;
        Ok(ready.map(|()| begun.elapsed()))
    }

    /// Sends the event, and waits until the runtime has responded and asks for the next one.
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
        sandbox.server()?.invoke(Invoke {
            id: id.clone(),
            deadline_ms: milliseconds(SystemTime::now() + timeout),
            arn: format!("arn:aws:lambda:us-east-1:{ACCOUNT}:function:{FUNCTION}"),
            trace_id: trace_id(),
            payload: payload.into(),
        });
        let mut responded = None;
        loop {
            let Some(message) = sandbox.next(begun + timeout, self.progress)? else {
                return Ok(Some(Failure::timed_out(&id, self.options.timeout)));
            };
            match message {
                Message::Api(_, ApiEvent::Responded(Response::Payload(response))) => {
                    invocation.response = Some(response);
                    responded = Some(None);
                }
                Message::Api(_, ApiEvent::Responded(Response::Error(error))) => {
                    responded = Some(Some(Failure::reported(&error)));
                }
                Message::Api(_, ApiEvent::Ready) => {
                    if let Some(failure) = responded {
                        return Ok(failure);
                    }
                }
                Message::Api(_, ApiEvent::ExtensionError(kind, message)) => {
                    self.running = false;
                    return Ok(Some(Failure::of_request(&id, kind, &message)));
                }
                Message::Inside(Notification::Exited(process, exit)) => {
                    self.running = false;
                    return Ok(Some(Failure::exited(&id, &process, exit, self.over_memory())));
                }
                Message::Gone => {
                    self.running = false;
                    return Ok(Some(Failure::sandbox_ended(&id, self.over_memory())));
                }
                Message::Api(_, ApiEvent::InitError(_) | ApiEvent::Registered) | Message::Inside(_) => {}
            }
        }
    }

    /// Collects what was used and written, and ends a runtime that cannot be used again.
    fn finish(&mut self, invocation: &mut Invocation) -> Result<(), InvokeError> {
        let Some(sandbox) = &mut self.sandbox else {
            return Ok(());
        };
        self.peak = self.peak.max(sandbox.peak_memory());
        invocation.peak_memory = self.peak;
        // An error that the runtime reports of an event leaves it running; everything else does not.
        if let Some(failure) = &invocation.failure
            && !failure.is_of_handler()
        {
            let reason = if failure.is_timeout() {
                ShutdownReason::Timeout
            } else {
                ShutdownReason::Failure
            };
            self.stop(reason)?;
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
    fn stop(&mut self, reason: ShutdownReason) -> Result<(), InvokeError> {
        self.shut_down(reason)?;
        self.running = false;
        match &mut self.sandbox {
            Some(sandbox) => sandbox.stop(self.progress),
            None => Ok(()),
        }
    }

    /// Gives the runtime and the extensions the time that they have on Lambda to end by themselves. Without extensions there
    /// is none.
    fn shut_down(&mut self, reason: ShutdownReason) -> Result<(), InvokeError> {
        let Some(sandbox) = &mut self.sandbox else {
            return Ok(());
        };
        let (registered, external) = {
            let server = sandbox.server()?;
            (server.registered(), server.has_external())
        };
        if registered == 0 || sandbox.gone {
            return Ok(());
        }
        let phase = &DATA.shutdown;
        let milliseconds_given = if external { phase.external_ms } else { phase.internal_ms };
        let given = Duration::from_millis(milliseconds_given);
        let (begun, deadline_ms) = (Instant::now(), milliseconds(SystemTime::now() + given));
        if sandbox.alive.contains(&Process::Runtime) {
            sandbox.instruct(&Instruction::EndRuntime { force: false })?;
            let deadline = begun + given.mul_f64(phase.runtime_share);
            let ended = |sandbox: &RunningSandbox| !sandbox.alive.contains(&Process::Runtime);
            if !sandbox.wait_until(deadline, self.progress, ended)? {
                sandbox.instruct(&Instruction::EndRuntime { force: true })?;
            }
        }
        let told = sandbox.server()?.shut_down(reason, deadline_ms);
        let told: Vec<Process> = told.into_iter().map(Process::Extension).collect();
        let ended = |sandbox: &RunningSandbox| told.iter().all(|process| !sandbox.alive.contains(process));
        sandbox.wait_until(begun + given, self.progress, ended)?;
        Ok(())
    }
}

/// Waits for this event of the API, or for what keeps it from coming.
fn await_event(
    sandbox: &mut RunningSandbox,
    wanted: &ApiEvent,
    deadline: Instant,
    progress: &dyn Progress,
) -> Result<Result<(), NotReady>, InvokeError> {
    loop {
        let Some(message) = sandbox.next(deadline, progress)? else {
            return Ok(Err(NotReady::TimedOut));
        };
        return Ok(match message {
            Message::Api(_, event) if event == *wanted => Ok(()),
            Message::Api(_, ApiEvent::InitError(error)) => Err(NotReady::InitError(error)),
            Message::Api(_, ApiEvent::ExtensionError(kind, message)) => Err(NotReady::ExtensionError(kind, message)),
            Message::Inside(Notification::NoBootstrap) => Err(NotReady::NoBootstrap),
            Message::Inside(Notification::NotStarted(failure)) => Err(NotReady::NotStarted(failure)),
            Message::Inside(Notification::Exited(process, exit)) => Err(NotReady::Exited(process, exit)),
            Message::Gone => Err(NotReady::Gone),
            Message::Api(..) | Message::Inside(_) => continue,
        });
    }
}

/// Since 1970.
fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    u64::try_from(since).unwrap_or(u64::MAX)
}
