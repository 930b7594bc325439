//! Lays out what the sandbox is made of, in a private directory.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;

use tempfile::TempDir;

use super::cgroup::Cgroup;
use super::current_exe::CurrentExe;
use super::data::DATA;
use super::inside::EXTENSIONS;
use super::interpreter::{self, Interpreter};
use super::launch::{self, Identity};
use super::options::InvokeOptions;
use super::overlay::{OverlayError, overlay};
use super::root::{self, ThisMachine};
use super::sandbox::{self, Bwrap, Mount, Mounts};
use super::sandbox_error::SandboxError;
use super::trace::{Pipe, Strace, Trace};
use super::{Event, Invocation, Listener, session};
use crate::host::Libraries;
use crate::languages::{ManagedRuntime, managed_runtime};
use crate::progress::{Interrupted, Progress};
use crate::recording::RecordedPath;
use crate::runtime::{Arch, Runtime};

/// Processes and threads of the sandbox itself: bubblewrap's, and those of this program in it.
const OWN_TASKS: u64 = 8;

/// Error of `invoke`: nothing was invoked.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// The layers cannot be laid out.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
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
         its directory with --rootfs"
    )]
    NoLibc,
    /// The root given is not one.
    #[error("{path} is not the root of an unpacked image: there is no {loader} in it", path = .path.display())]
    NoRoot {
        /// The directory.
        path: PathBuf,
        /// The loader that should be there.
        loader: String,
    },
    /// The runtime's language is not here.
    #[error(
        "{runtime} starts handlers with its own interpreter, and this machine has none of that version: {how_to_get}, or \
         unpack an image of the runtime and give its directory with --rootfs"
    )]
    NoInterpreter {
        /// The runtime.
        runtime: String,
        /// How to get an interpreter.
        how_to_get: String,
    },
    /// There is nothing here that starts handlers of the runtime.
    #[error(
        "{0} starts handlers with its own bootstrap, which this machine does not have: unpack an image of the runtime and \
         give its directory with --rootfs"
    )]
    NoClient(String),
    /// A function that asks for ever new names.
    #[error(
        "the function asked for more than {} paths, which no recording holds",
        crate::recording::MOST_PATHS
    )]
    TooManyPaths,
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The user stopped the run.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// Everything laid out in a private directory, which is removed when this is dropped.
pub struct Prepared {
    pub(super) mounts: Mounts,
    pub(super) bwrap: Bwrap,
    pub(super) identity: Identity,
    pub(super) cgroup: Option<Arc<Cgroup>>,
    /// The file names of the extensions.
    pub(super) extensions: Vec<String>,
    /// What the function uses, if that is noted.
    pub(super) trace: Option<Trace>,
    strace: Option<Strace>,
    /// What the runtime has and the root has not.
    pub missing: Vec<String>,
    /// The version of glibc in a root that is made from this machine's files, as far as it is known.
    pub glibc: Option<String>,
    /// The interpreter of this machine that stands in for the runtime's own.
    pub stand_in: Option<StandIn>,
    area: Area,
}

/// A private directory.
struct Area {
    directory: TempDir,
    /// Directories in it that have to be opened before it can be removed.
    closed: Vec<PathBuf>,
}

impl Area {
    fn create(identity: Identity) -> std::io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("lambdar-prune-").tempdir()?;
        if identity != Identity::Namespace {
            // The function is another user here.
            fs_err::set_permissions(directory.path(), PermissionsExt::from_mode(0o711))?;
        }
        Ok(Self {
            directory,
            closed: Vec::new(),
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        for directory in &self.closed {
            // What cannot be opened stays behind, in the machine's directory for temporary files.
            let _ = fs_err::set_permissions(directory, PermissionsExt::from_mode(0o700));
        }
    }
}

/// The root file system of the sandbox.
struct RootFileSystem {
    mounts: Vec<(String, Mount)>,
    missing: Vec<String>,
    glibc: Option<String>,
    stand_in: Option<StandIn>,
}

/// What stands in for a runtime's own interpreter.
#[derive(Debug, Clone)]
pub struct StandIn {
    /// The runtime.
    pub name: String,
    /// The interpreter's program on this machine.
    pub program: PathBuf,
    /// What the runtime has besides.
    pub lacks: Option<&'static str>,
}

/// Whether it can be noted here which files a function uses.
pub fn can_trace() -> bool {
    Strace::ask().is_ok()
}

/// Lays out the layers, the task and the root.
pub fn prepare(
    options: &InvokeOptions<'_>,
    libraries: &dyn Libraries,
    progress: &dyn Progress,
) -> Result<Prepared, InvokeError> {
    let bwrap = Bwrap::ask()?;
    let strace = options.traced.then(Strace::ask).transpose()?;
    let identity = Identity::detect()?;
    let machine = std::env::consts::ARCH;
    if options.runtime.arch.machine().to_string() != machine {
        return Err(InvokeError::OtherArch {
            layers: options.runtime.arch,
            machine,
        });
    }
    let mut area = Area::create(identity)?;
    let root = match &options.rootfs {
        Some(root) => given_root(root, options.runtime)?,
        None => made_root(options, libraries, &area.path("root"))?,
    };
    progress.check()?;
    let (opt, task) = (area.path("opt"), area.path("task"));
    area.closed = overlay(&options.layers, &opt, progress)?;
    area.closed.extend(overlay(&options.task, &task, progress)?);
    let extensions = extensions(&opt)?;
    let mut own = CurrentExe::find()?;
    if identity == Identity::Nobody {
        own = own.copied_to(&area.path("own"))?;
    }
    let memory = options.memory_bytes().saturating_add(DATA.process.tmp_bytes);
    let processes = DATA.process.processes.saturating_add(OWN_TASKS);
    let mounts = Mounts {
        root: root.mounts,
        opt,
        task,
        own,
        shared_proc: sandbox::shared_proc()?,
    };
    Ok(Prepared {
        trace: strace.map(|strace| Trace::of(&mounts, strace)),
        strace,
        mounts,
        bwrap,
        identity,
        cgroup: Cgroup::create(memory, processes).map(Arc::new),
        extensions,
        missing: root.missing,
        glibc: root.glibc,
        stand_in: root.stand_in,
        area,
    })
}

/// The root of an unpacked image. One without the runtime's loader is something else.
fn given_root(root: &Path, runtime: &Runtime) -> Result<RootFileSystem, InvokeError> {
    let loader = runtime.interpreter.trim_start_matches('/');
    // /lib64 may be a link with an absolute target, which leads out of the directory here.
    let found = [loader.to_owned(), format!("usr/{loader}")];
    if !found.iter().any(|path| root.join(path).symlink_metadata().is_ok()) {
        return Err(InvokeError::NoRoot {
            path: root.to_owned(),
            loader: runtime.interpreter.clone(),
        });
    }
    Ok(RootFileSystem {
        mounts: sandbox::mounts_of(&fs_err::canonicalize(root)?)?,
        missing: Vec::new(),
        glibc: None,
        stand_in: None,
    })
}

/// What starts handlers where the runtime does that itself: an interpreter of this machine. `None` where layers bring their
/// own bootstrap.
fn interpreter_of(runtime: &Runtime) -> Result<Option<(ManagedRuntime, Interpreter)>, InvokeError> {
    let Some(managed) = managed_runtime(&runtime.name) else {
        return if runtime.has_language() {
            Err(InvokeError::NoClient(runtime.name.clone()))
        } else {
            Ok(None)
        };
    };
    match interpreter::find(&managed) {
        Some(interpreter) => Ok(Some((managed, interpreter))),
        None => Err(InvokeError::NoInterpreter {
            runtime: runtime.name.clone(),
            how_to_get: managed.how_to_get,
        }),
    }
}

/// A root with what the runtime has, from this machine's files.
fn made_root(options: &InvokeOptions<'_>, libraries: &dyn Libraries, to: &Path) -> Result<RootFileSystem, InvokeError> {
    let runtime = options.runtime;
    let mut language = interpreter_of(runtime)?;
    if let Some((managed, _)) = language.as_mut().filter(|_| !options.traced) {
        managed.module_if_traced = None;
    }
    let stand_in = language.as_ref().map(|(managed, interpreter)| StandIn {
        name: runtime.name.clone(),
        program: interpreter.program.clone(),
        lacks: managed.lacks,
    });
    let mut plan = root::plan(runtime, language.as_ref(), &ThisMachine { libraries, runtime });
    if plan.glibc.is_none() {
        return Err(InvokeError::NoLibc);
    }
    let inner = root::write(&mut plan, to)?;
    // What is bound into the root comes after the root itself.
    let mut mounts = sandbox::mounts_of(to)?;
    mounts.extend(inner);
    Ok(RootFileSystem {
        mounts,
        missing: plan.missing,
        glibc: plan.glibc,
        stand_in,
    })
}

/// The names of what is started besides the runtime: whatever is in the directory and is not one.
fn extensions(opt: &Path) -> std::io::Result<Vec<String>> {
    let directory = opt.join(EXTENSIONS.trim_start_matches("/opt/"));
    // A link to a directory is followed in the sandbox, where it means something else.
    if !directory.symlink_metadata().is_ok_and(|about| about.is_dir()) {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs_err::read_dir(directory)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir()
            && let Ok(name) = entry.file_name().into_string()
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

impl Prepared {
    /// Sends the events one after the other. `listener` hears what happens meanwhile.
    pub fn run(
        &self,
        options: &InvokeOptions<'_>,
        events: &[Event],
        listener: &dyn Listener,
        progress: &dyn Progress,
    ) -> Result<Vec<Invocation>, InvokeError> {
        session::run(self, options, events, listener, progress)
    }

    /// Opens a shell where the function would run, without the Runtime API.
    pub fn shell(&self, options: &InvokeOptions<'_>) -> Result<ExitStatus, InvokeError> {
        let mut arguments = sandbox::arguments(&self.mounts, self.bwrap, self.identity);
        let mut environment = options.environment();
        environment.extend(std::env::var("TERM").map(|term| ("TERM".to_owned(), term)));
        environment.push(("PS1".to_owned(), "lambda:\\w$ ".to_owned()));
        for (name, value) in environment {
            arguments.extend(["--setenv".into(), name.into(), value.into()]);
        }
        arguments.extend(self.own_command("shell"));
        arguments.push("/bin/sh".into());
        let status = self
            .launcher(None)
            .and_then(|mut launcher| launcher.args(arguments).status());
        Ok(status.map_err(SandboxError::Io)?)
    }

    /// What counts the memory that no process has mapped; `None` if no control group can be made here.
    pub fn memory_counted_by(&self) -> Option<&'static str> {
        self.cgroup.as_ref().map(|cgroup| cgroup.name())
    }

    /// What the function has used so far below /opt and /var/task, sorted by path.
    pub fn used_paths(&self) -> Result<Vec<RecordedPath>, InvokeError> {
        let Some(trace) = &self.trace else {
            return Ok(Vec::new());
        };
        trace.paths().ok_or(InvokeError::TooManyPaths)
    }

    /// The end of what processes of the function that failed have written to standard error so far, also where another one read
    /// it and said nothing.
    pub fn said_by_failed(&self) -> String {
        self.trace.as_ref().map(Trace::said_by_failed).unwrap_or_default()
    }

    /// A pipe for what the tracer of one sandbox prints, if there is one.
    pub(super) fn pipe(&self) -> std::io::Result<Option<Pipe>> {
        self.strace
            .map(|_| Pipe::create(self.area.path(&super::ids::uuid())))
            .transpose()
    }

    /// What starts the sandbox; the arguments of bubblewrap are to follow.
    pub(super) fn launcher(&self, pipe: Option<&Pipe>) -> std::io::Result<Command> {
        let groups = self
            .cgroup
            .as_ref()
            .map(|cgroup| cgroup.directories())
            .unwrap_or_default();
        let trace = self.strace.zip(pipe);
        let trace = trace
            .map(|(strace, pipe)| strace.arguments(pipe.path()))
            .unwrap_or_default();
        launch::command(&groups, self.identity, &trace)
    }

    /// This program as the first process of the sandbox.
    pub(super) fn own_command(&self, step: &str) -> Vec<OsString> {
        let mut command: Vec<OsString> = self.mounts.own.command.iter().map(Into::into).collect();
        command.extend(["inside".into(), step.into()]);
        if self.identity == Identity::Switch {
            command.push("--switch-user".into());
        }
        command
    }
}
