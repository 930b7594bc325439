//! Runs a handler on layers as Lambda would, before anything is uploaded.
//!
//! ```text
//! layers, task ─layers→ /opt, /var/task ┐
//! runtime ─root→ everything else        ┴─sandbox→ inside: bootstrap ⇄ 127.0.0.1:9001
//!                                                                      │ the same socket, held outside
//! events ─────────────────────────────────────→ session ⇄ server ⇄ api ┘
//! ```
//!
//! [`prepare`] lays everything out in a private folder. [`Prepared::run`] makes a sandbox with bubblewrap in which this program
//! runs once more ([`inside()`]): that opens the Runtime API's socket in the sandbox's own network and hands it out, so that
//! all decisions are taken out here, where the function cannot reach.

mod api;
mod cgroup;
mod confine;
mod data;
mod failure;
mod http;
mod inside;
mod launch;
mod layers;
mod log;
mod memory;
mod root;
mod sandbox;
mod server;
mod session;
mod wire;

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

pub use failure::{Failure, explaining};
pub use inside::{inside, shell};
pub use launch::launch;
pub use layers::LayError;
pub use sandbox::SandboxError;

use crate::check::Input;
use crate::finding::{Code, Finding};
use crate::host::Libraries;
use crate::limits;
use crate::progress::{Interrupted, Progress};
use crate::runtime::{Arch, Runtime};
use crate::size::{Bytes, exact};
use cgroup::Cgroup;
use data::DATA;
use launch::Identity;
use root::ThisMachine;
use sandbox::{Mounts, Options, Own};

/// The name that the function has.
const FUNCTION: &str = "function";

/// Processes and threads of the sandbox itself: bubblewrap's, and those of this program in it.
const OWN_TASKS: u64 = 8;

/// Why nothing was invoked.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// The layers cannot be laid out.
    #[error(transparent)]
    Lay(#[from] LayError),
    /// There is no sandbox.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// This machine cannot run what the layers hold.
    #[error("the layers are for {layers}, and this machine is {machine}: run this on a machine of that architecture")]
    OtherArch {
        /// What the layers are for.
        layers: Arch,
        /// What this machine is.
        machine: &'static str,
    },
    /// This machine has no C library of the kind that the runtime has.
    #[error(
        "this machine has no libc.so.6, so that no root can be made from its files: unpack an image of the runtime and give \
         its folder with --rootfs"
    )]
    NoLibc,
    /// The root given is none.
    #[error("{path} is no root of an unpacked image: there is no {loader} in it", path = .path.display())]
    NoRoot {
        /// The folder.
        path: PathBuf,
        /// The loader that should be there.
        loader: String,
    },
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The user stopped the run.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// What the user asks for.
pub struct Wishes<'a> {
    /// The layers, in the order in which they are attached.
    pub layers: Vec<Input>,
    /// The function's own code, nothing if there is none.
    pub task: Vec<Input>,
    /// The runtime that they are to run on.
    pub runtime: &'a Runtime,
    /// The root of an unpacked image of that runtime; it is made from this machine's files without one.
    pub rootfs: Option<PathBuf>,
    /// `_HANDLER`
    pub handler: String,
    /// Variables that beat the others.
    pub environment: Vec<(String, String)>,
    /// How long an event may take.
    pub timeout: Duration,
    /// How much memory the function has, in Lambda's MB, which are 1,048,576 bytes.
    pub memory_mb: u64,
}

impl Wishes<'_> {
    fn memory_bytes(&self) -> u64 {
        self.memory_mb.saturating_mul(1 << 20)
    }

    /// The whole environment of the bootstrap.
    fn environment(&self) -> Vec<(String, String)> {
        let mut environment = self.runtime.environment.clone();
        for (name, value) in &DATA.environment {
            let value = value
                .replace("{handler}", &self.handler)
                .replace("{memory}", &self.memory_mb.to_string())
                .replace("{name}", FUNCTION);
            environment.insert(name.clone(), value);
        }
        environment.extend(self.environment.iter().cloned());
        environment.into_iter().collect()
    }
}

/// What came in with an event.
#[derive(Debug, Clone)]
pub struct Event {
    /// Where it comes from, as the user wrote it.
    pub name: String,
    /// What is sent.
    pub payload: Vec<u8>,
}

/// What has become of one event.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The number under which the runtime got it.
    pub request_id: String,
    /// Where the event came from.
    pub event: String,
    /// From when it was offered until the runtime asked for the next one.
    pub duration: Duration,
    /// How long the bootstrap took to ask for its first event, where it was started for this one.
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

/// Hears what happens while it happens.
pub trait Listener: Sync {
    /// The function has written something.
    fn log(&self, bytes: &[u8]);
    /// An event is done with.
    fn done(&self, invocation: &Invocation);
}

/// Everything laid out in a private folder, which is removed when this is dropped.
pub struct Prepared {
    mounts: Mounts,
    options: Options,
    identity: Identity,
    cgroup: Option<Arc<Cgroup>>,
    /// What the runtime has and the root has not.
    pub missing: Vec<String>,
    /// The version of glibc in a root that is made from this machine's files, as far as it is known.
    pub glibc: Option<String>,
    _area: Area,
}

/// A private folder.
struct Area {
    folder: TempDir,
    /// Folders in it that have to be opened before it can be removed.
    closed: Vec<PathBuf>,
}

impl Drop for Area {
    fn drop(&mut self) {
        for folder in &self.closed {
            // What cannot be opened stays behind, in the machine's folder for temporary files.
            let _ = fs_err::set_permissions(folder, PermissionsExt::from_mode(0o700));
        }
    }
}

/// Of what check found, that which keeps AWS from making layers of the zips at all.
pub fn hindering(findings: &[Finding]) -> Vec<&Finding> {
    findings.iter().filter(|finding| layers::hinders(finding)).collect()
}

/// The finding that the layers and the function's code are too large together, if they are.
pub fn too_large(all: Bytes) -> Option<Finding> {
    let words = [("bytes", exact(all.0)), ("limit", exact(limits::UNZIPPED_BYTES))];
    let words = words.each_ref().map(|(name, word)| (*name, word.as_str()));
    (all.0 >= limits::UNZIPPED_BYTES).then(|| Finding::new(Code::UnzippedTooLarge, &words))
}

/// Lays out the layers, the task and the root.
pub fn prepare(
    wishes: &Wishes<'_>,
    libraries: &dyn Libraries,
    progress: &dyn Progress,
) -> Result<Prepared, InvokeError> {
    let options = Options::ask()?;
    let identity = Identity::detect()?;
    let machine = std::env::consts::ARCH;
    if wishes.runtime.arch.machine().to_string() != machine {
        return Err(InvokeError::OtherArch {
            layers: wishes.runtime.arch,
            machine,
        });
    }
    let folder = tempfile::Builder::new().prefix("lambdar-prune-").tempdir()?;
    if identity != Identity::Namespace {
        // The function is another user here.
        fs_err::set_permissions(folder.path(), PermissionsExt::from_mode(0o711))?;
    }
    let mut area = Area {
        folder,
        closed: Vec::new(),
    };
    let place = |name: &str| area.folder.path().join(name);
    let (opt, task) = (place("opt"), place("task"));
    let mut missing = Vec::new();
    let mut glibc = None;
    let mut bounds = Vec::new();
    let root = if let Some(root) = &wishes.rootfs {
        checked_root(root, wishes.runtime)?;
        fs_err::canonicalize(root)?
    } else {
        let runtime = wishes.runtime;
        let mut plan = root::plan(runtime, &ThisMachine { libraries, runtime });
        if plan.glibc.is_none() {
            return Err(InvokeError::NoLibc);
        }
        let root = place("root");
        bounds = root::write(&mut plan, &root)?;
        progress.check()?;
        (missing, glibc) = (plan.missing, plan.glibc);
        root
    };
    // What is bound into the root comes after the root itself.
    bounds.splice(0..0, sandbox::bounds(&root)?);
    let mut closed = layers::lay(&wishes.layers, &opt, progress)?;
    closed.extend(layers::lay(&wishes.task, &task, progress)?);
    area.closed = closed;
    let mut own = Own::find()?;
    if identity == Identity::Nobody {
        own = own.copied_to(&place("own"))?;
    }
    Ok(Prepared {
        mounts: Mounts {
            root: bounds,
            opt,
            task,
            own,
            shared_proc: sandbox::shared_proc()?,
        },
        options,
        identity,
        cgroup: Cgroup::create(
            wishes.memory_bytes().saturating_add(DATA.process.tmp_bytes),
            DATA.process.processes.saturating_add(OWN_TASKS),
        )
        .map(Arc::new),
        missing,
        glibc,
        _area: area,
    })
}

/// A root without the runtime's loader is something else.
fn checked_root(root: &Path, runtime: &Runtime) -> Result<(), InvokeError> {
    let loader = runtime.interpreter.trim_start_matches('/');
    // /lib64 may be a link with an absolute target, which leads out of the folder here.
    let found = [loader.to_owned(), format!("usr/{loader}")];
    if found.iter().any(|path| root.join(path).symlink_metadata().is_ok()) {
        Ok(())
    } else {
        Err(InvokeError::NoRoot {
            path: root.to_owned(),
            loader: runtime.interpreter.clone(),
        })
    }
}

impl Prepared {
    /// Sends the events one after the other. What happens is told to `listener` meanwhile.
    pub fn run(
        &self,
        wishes: &Wishes<'_>,
        events: &[Event],
        listener: &dyn Listener,
        progress: &dyn Progress,
    ) -> Result<Vec<Invocation>, InvokeError> {
        session::run(self, wishes, events, listener, progress)
    }

    /// Opens a shell where the function would run, without the Runtime API.
    pub fn shell(&self, wishes: &Wishes<'_>) -> Result<ExitStatus, InvokeError> {
        let mut arguments = sandbox::arguments(&self.mounts, self.options, self.identity);
        let mut environment = wishes.environment();
        environment.extend(std::env::var("TERM").map(|term| ("TERM".to_owned(), term)));
        environment.push(("PS1".to_owned(), "lambda:\\w$ ".to_owned()));
        for (name, value) in environment {
            arguments.extend(["--setenv".into(), name.into(), value.into()]);
        }
        arguments.extend(self.own_command("shell"));
        arguments.push("/bin/sh".into());
        let status = self
            .launcher()
            .and_then(|mut launcher| launcher.args(arguments).status());
        Ok(status.map_err(SandboxError::Io)?)
    }

    /// Where the memory is counted that no process has mapped; `None` if no control group can be had here.
    pub fn memory_counted_by(&self) -> Option<&'static str> {
        self.cgroup.as_ref().map(|cgroup| cgroup.name())
    }

    /// What starts the sandbox; the arguments of bubblewrap are to follow.
    fn launcher(&self) -> std::io::Result<std::process::Command> {
        let groups = self.cgroup.as_ref().map(|cgroup| cgroup.folders()).unwrap_or_default();
        launch::command(&groups, self.identity)
    }

    /// This program as the first process of the sandbox.
    fn own_command(&self, part: &str) -> Vec<OsString> {
        let mut command: Vec<OsString> = self.mounts.own.command.iter().map(Into::into).collect();
        command.extend(["inside".into(), part.into()]);
        if self.identity == Identity::Switch {
            command.push("--switch-user".into());
        }
        command
    }
}
