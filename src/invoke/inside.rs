//! The part of the program that runs inside of the sandbox: its first process, which opens the Runtime API's socket and hands
//! it out, starts the bootstrap and the extensions, collects the dead, and ends everything. The kernel protects the first process
//! of a namespace from the signals of all others in it (pid_namespaces(7)).

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use rustix::process::{WaitId, WaitIdOptions, WaitOptions, WaitStatus, wait, waitid};

use super::confine::confine;
use super::data::DATA;
use super::wire::{Exit, Instruction, Notification, Process, StartFailure, receive, send};
use crate::runtime::TASK_ROOT;

/// Where extensions are; each file is one.
pub(super) const EXTENSIONS: &str = "/opt/extensions";
/// How long processes may take to end once they are killed.
const ENDING: Duration = Duration::from_secs(5);
/// How long is waited before it is looked again for children where there are none.
const IDLE: Duration = Duration::from_millis(5);

/// Carries out what comes over standard input, until it is closed. With `switch_user` this is root of the machine, which
/// becomes the function's user first.
pub fn inside(switch_user: bool) -> std::io::Result<()> {
    let socket = Arc::new(std::io::stdin().as_fd().try_clone_to_owned()?);
    let inside = Arc::new(Inside {
        socket: Arc::clone(&socket),
        processes: Mutex::new(BTreeMap::new()),
    });
    if let Err(error) = confine(switch_user).and_then(|()| hand_out(&socket)) {
        inside.tell(&Notification::Broken(error.to_string()));
        return Err(error);
    }
    let collecting = Arc::clone(&inside);
    thread::spawn(move || collecting.collect());
    while let Some((command, _)) = receive::<Instruction>(&*socket)? {
        match command {
            Instruction::StartExtensions { names, environment } => {
                stop();
                for name in names {
                    let program = format!("{EXTENSIONS}/{name}");
                    inside.start(Process::Extension(name), &program, "/", &environment);
                }
            }
            Instruction::StartRuntime { environment } => inside.start_runtime(&environment),
            Instruction::EndRuntime { force } => {
                inside.end_runtime(if force { Signal::SIGKILL } else { Signal::SIGTERM });
            }
            Instruction::Kill => kill_all(),
            Instruction::Stop => {
                stop();
                inside.tell(&Notification::Stopped);
            }
        }
    }
    Ok(())
}

/// Runs a command where the function would run, as the first process of the sandbox; gives its exit status.
pub fn shell(switch_user: bool, command: &[String]) -> std::io::Result<i32> {
    confine(switch_user)?;
    let [program, arguments @ ..] = command else {
        return Err(std::io::Error::other("no command"));
    };
    let own = Command::new(program).args(arguments).spawn()?.id();
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get().unsigned_abs() == own => {
                let signal = status.terminating_signal().map(|signal| 128 + signal);
                return Ok(status.exit_status().or(signal).unwrap_or(1));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Opens what is used from outside, and sends it there.
fn hand_out(socket: &OwnedFd) -> std::io::Result<()> {
    let listener = TcpListener::bind(&DATA.process.api)?;
    let processes = fs_err::File::open("/proc")?;
    let tmp = fs_err::File::open("/tmp")?;
    let segments = fs_err::File::open("/proc/sysvipc/shm").ok();
    let mut descriptors = vec![listener.as_fd(), processes.as_fd(), tmp.as_fd()];
    descriptors.extend(segments.as_ref().map(AsFd::as_fd));
    send(socket, &Notification::Listening, &descriptors)
}

struct Inside {
    socket: Arc<OwnedFd>,
    /// The processes that were started and have not ended. It is held while one is started, and while the dead are collected:
    /// a program that cannot be started is collected by whoever tried.
    processes: Mutex<BTreeMap<i32, Process>>,
}

impl Inside {
    /// Where nobody listens any more, the sandbox is about to end.
    fn tell(&self, notification: &Notification) {
        let _ = send(&*self.socket, notification, &[]);
    }

    fn processes(&self) -> MutexGuard<'_, BTreeMap<i32, Process>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Collects every process that ends, those too whose parents have ended before.
    fn collect(&self) {
        loop {
            let waiting = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            if waitid(WaitId::All, waiting).is_err() {
                thread::sleep(IDLE);
                continue;
            }
            let mut processes = self.processes();
            if let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG)
                && let Some(process) = processes.remove(&pid.as_raw_nonzero().get())
            {
                self.tell(&Notification::Exited(process, exit(status)));
            }
        }
    }

    /// Starts the first bootstrap that is there.
    fn start_runtime(&self, environment: &[(String, String)]) {
        let found = DATA.process.bootstraps.iter().find(|path| {
            let path = Path::new(path);
            path.exists() && !path.is_dir()
        });
        match found {
            Some(bootstrap) => self.start(Process::Runtime, bootstrap, TASK_ROOT, environment),
            None => self.tell(&Notification::NoBootstrap),
        }
    }

    /// Starts a program in a process group of its own. Both of its outputs are the log, in the order in which it writes them.
    fn start(&self, process: Process, program: &str, directory: &str, environment: &[(String, String)]) {
        let log = || std::io::stderr().as_fd().try_clone_to_owned().map(Stdio::from);
        let mut processes = self.processes();
        let child = log().and_then(|out| {
            Command::new(program)
                .env_clear()
                .envs(environment.iter().map(|(name, value)| (name, value)))
                .current_dir(directory)
                .stdin(Stdio::null())
                .stdout(out)
                .stderr(log()?)
                .process_group(0)
                .spawn()
        });
        match child {
            Err(error) => self.tell(&Notification::NotStarted(StartFailure {
                process,
                program: program.to_owned(),
                errno: error.raw_os_error().unwrap_or(0),
            })),
            Ok(child) => {
                processes.insert(child.id().cast_signed(), process);
            }
        }
    }

    /// Sends the runtime's process group a signal.
    fn end_runtime(&self, signal: Signal) {
        let processes = self.processes();
        let mut runtimes = processes.iter().filter(|(_, process)| **process == Process::Runtime);
        if let Some((pid, _)) = runtimes.next() {
            let _ = killpg(nix::unistd::Pid::from_raw(*pid), signal);
        }
    }
}

fn exit(status: WaitStatus) -> Exit {
    Exit {
        status: status.exit_status(),
        signal: status.terminating_signal(),
    }
}

/// Ends every process but this one, and waits until they are gone.
fn stop() {
    let begun = Instant::now();
    loop {
        kill_all();
        if !others() || begun.elapsed() > ENDING {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Ends every process that this one sees, but for itself (kill(2), -1).
fn kill_all() {
    let _ = kill(nix::unistd::Pid::from_raw(-1), Signal::SIGKILL);
}

/// Whether there is a process but this one (proc(5)).
fn others() -> bool {
    let Ok(entries) = fs_err::read_dir("/proc") else {
        return false;
    };
    let mut numbers = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers.any(|pid| pid != 1)
}
