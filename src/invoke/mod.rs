//! Runs a handler on layers as Lambda would, before anything is uploaded.
//!
//! ```text
//! layers, task ─overlay→ /opt, /var/task ┐
//! runtime ─root→ everything else         ┴─sandbox→ inside: extensions, bootstrap ⇄ 127.0.0.1:9001
//!                                                                                   │ the same socket, held outside
//! events ─────────────────────────────────→ session ⇄ running sandbox ⇄ server ⇄ api ┘
//! ```
//!
//! [`prepare()`] lays everything out in a private directory. [`Prepared::run`] starts bubblewrap through a step of its own
//! ([`launch()`]), and this program runs once more as the first process of the sandbox ([`inside()`]): that gives up what it
//! may do ([`confine`]), opens the Runtime API's socket in the sandbox's own network and hands it out, so that all decisions
//! are taken out here, where the function cannot reach.

mod api;
mod cgroup;
mod confine;
mod current_exe;
mod data;
mod exchange;
mod extensions;
mod failure;
mod ids;
mod inside;
mod interpreter;
mod launch;
mod log;
mod memory;
mod options;
mod overlay;
mod prepare;
mod root;
mod running;
mod sandbox;
mod sandbox_error;
mod server;
mod session;
mod trace;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

use crate::languages::ManagedRuntime;

pub use failure::{Failure, TIMED_OUT, explaining};
pub use inside::{inside, shell};
pub use launch::launch;
pub use options::InvokeOptions;
pub use overlay::OverlayError;
pub use prepare::{InvokeError, Prepared, StandIn, can_trace, prepare};

use crate::finding::{Code, Finding};
use crate::limits;
use crate::recording::{Payload, RecordedError, RecordedEvent};
use crate::size::{Bytes, exact};

/// The name that the function has.
const FUNCTION: &str = "function";
/// The number of the account that it is in.
const ACCOUNT: &str = "123456789012";

/// An event to be sent.
#[derive(Debug, Clone)]
pub struct Event {
    /// Where it comes from, as the user wrote it.
    pub name: String,
    /// What is sent.
    pub payload: Vec<u8>,
    /// The number under which the runtime gets it; a random one if it is `None`.
    pub request_id: Option<String>,
}

/// Result of one event.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The number under which the runtime got it.
    pub request_id: String,
    /// Where the event came from.
    pub event: String,
    /// From when it was sent until the runtime and the extensions asked for the next one.
    pub duration: Duration,
    /// How long the bootstrap took to ask for its first event, if it was started for this one.
    pub init: Option<Duration>,
    /// What the runtime responded.
    pub response: Option<Vec<u8>>,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// How much memory has been used at most since the start.
    pub peak_memory: Bytes,
    /// The end of what was written while it lasted.
    pub log_tail: Vec<u8>,
}

impl Invocation {
    /// The event with what became of it, for a recording.
    pub fn recorded(&self, event: &Event) -> RecordedEvent {
        RecordedEvent {
            name: event.name.clone(),
            request_id: self.request_id.clone(),
            payload: Payload::of(&event.payload),
            response: self.response.as_deref().map(Payload::of),
            error: self.failure.as_ref().map(|failure| RecordedError {
                error_type: failure.error_type.clone(),
                error_message: failure.error_message.clone(),
                stack_trace: failure.stack_trace.clone(),
            }),
        }
    }
}

impl Invocation {
    /// What was said of a failure and written meanwhile.
    pub fn words(&self) -> String {
        let message = self.failure.as_ref().map(|failure| failure.error_message.as_str());
        let response = self.response.as_deref().map(String::from_utf8_lossy);
        let log = String::from_utf8_lossy(&self.log_tail);
        [message.unwrap_or_default(), &response.unwrap_or_default(), &log].join("\n")
    }
}

/// Hears what happens while it happens.
pub trait Listener: Sync {
    /// The function has written something.
    fn log(&self, bytes: &[u8]);
    /// An event is done with.
    fn done(&self, invocation: &Invocation);
}

/// The findings of `check` with which AWS would not make layers of the zips at all.
pub fn blocking(findings: &[Finding]) -> Vec<&Finding> {
    findings
        .iter()
        .filter(|finding| finding.code.prevents_unpacking())
        .collect()
}

/// The finding that the layers and the function's code are too large together, if they are.
pub fn too_large(all: Bytes) -> Option<Finding> {
    let values = [("bytes", exact(all.0)), ("limit", exact(limits::UNZIPPED_BYTES))];
    let values = values.each_ref().map(|(name, value)| (*name, value.as_str()));
    (all.0 >= limits::UNZIPPED_BYTES).then(|| Finding::new(Code::UnzippedTooLarge, &values))
}

/// The program of the interpreter of this machine that has a runtime's version, if there is one.
pub fn interpreter_of(runtime: &ManagedRuntime) -> Option<PathBuf> {
    interpreter::find(runtime).map(|found| found.program)
}
