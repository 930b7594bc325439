//! The part of the program that runs inside of the sandbox: it opens the Runtime API's socket and hands it out, starts the
//! bootstrap, watches its memory, and ends it.

use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use rustix::process::{Resource, Rlimit, setrlimit};

use super::data::DATA;
use super::wire::{Ended, News, Order, receive, send};

/// How often memory is looked at.
const WATCH: Duration = Duration::from_millis(20);
/// How long processes may take to end once they are killed.
const ENDING: Duration = Duration::from_secs(5);

/// Serves the orders that come over standard input, until it is closed. `memory` is the limit in bytes.
pub fn inside(memory: u64) -> std::io::Result<()> {
    let socket = Arc::new(std::io::stdin().as_fd().try_clone_to_owned()?);
    let inside = Arc::new(Inside {
        socket: Arc::clone(&socket),
        memory,
        peak: AtomicU64::new(0),
        running: Mutex::new(0),
        over_memory: AtomicBool::new(false),
    });
    let listener = match prepare() {
        Ok(listener) => listener,
        Err(error) => {
            inside.tell(&News::Broken(error.to_string()));
            return Err(error);
        }
    };
    send(&*socket, &News::Listening, Some(listener.as_fd()))?;
    drop(listener);
    let watching = Arc::clone(&inside);
    thread::spawn(move || {
        loop {
            watching.watch();
            thread::sleep(WATCH);
        }
    });
    while let Some((order, _)) = receive::<Order>(&*socket)? {
        match order {
            Order::Start { environment } => {
                inside.stop();
                start(&inside, environment);
            }
            Order::Stop => {
                inside.stop();
                inside.tell(&News::Stopped);
            }
            Order::Memory => {
                inside.watch();
                inside.tell(&News::Memory(inside.peak.load(Ordering::Relaxed)));
            }
        }
    }
    Ok(())
}

/// Opens the socket and sets what the bootstrap inherits.
fn prepare() -> std::io::Result<TcpListener> {
    let process = &DATA.process;
    let limit = |current: u64| Rlimit {
        current: Some(current),
        maximum: Some(current),
    };
    setrlimit(Resource::Nofile, limit(process.open_files))?;
    setrlimit(Resource::Core, limit(0))?;
    // The limit may be lower than Lambda's already, and cannot be raised then.
    let _ = setrlimit(
        Resource::Stack,
        Rlimit {
            current: Some(process.stack_bytes),
            maximum: rustix::process::getrlimit(Resource::Stack).maximum,
        },
    );
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    TcpListener::bind(&process.api)
}

struct Inside {
    socket: Arc<OwnedFd>,
    memory: u64,
    peak: AtomicU64,
    /// How many bootstraps have not been waited for.
    running: Mutex<usize>,
    over_memory: AtomicBool,
}

impl Inside {
    /// Where nobody listens any more, the sandbox is about to end.
    fn tell(&self, news: &News) {
        let _ = send(&*self.socket, news, None);
    }

    fn running(&self) -> MutexGuard<'_, usize> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds up the memory of all processes, and ends them where it is too much.
    fn watch(&self) {
        let used: u64 = processes().into_iter().map(memory_of).sum();
        self.peak.fetch_max(used, Ordering::Relaxed);
        if used > self.memory {
            self.over_memory.store(true, Ordering::Relaxed);
            kill_all();
        }
    }

    /// Ends every process but this one and the first, and waits until they are gone.
    fn stop(&self) {
        let begun = Instant::now();
        loop {
            kill_all();
            if *self.running() == 0 && processes().is_empty() || begun.elapsed() > ENDING {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Starts the first bootstrap that is there.
fn start(inside: &Arc<Inside>, environment: Vec<(String, String)>) {
    let found = DATA.process.bootstraps.iter().find(|path| {
        let path = Path::new(path);
        path.exists() && !path.is_dir()
    });
    let Some(bootstrap) = found else {
        inside.tell(&News::NoBootstrap);
        return;
    };
    // Both of its outputs are the log, in the order in which it writes them.
    let log = || std::io::stderr().as_fd().try_clone_to_owned().map(Stdio::from);
    let child = log().and_then(|out| {
        Command::new(bootstrap)
            .env_clear()
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(log()?)
            .spawn()
    });
    match child {
        Err(error) => inside.tell(&News::NotStarted {
            bootstrap: bootstrap.clone(),
            errno: error.raw_os_error().unwrap_or(0),
        }),
        Ok(mut child) => {
            inside.over_memory.store(false, Ordering::Relaxed);
            *inside.running() += 1;
            inside.tell(&News::Started);
            let inside = Arc::clone(inside);
            thread::spawn(move || {
                let status = child.wait().ok();
                inside.tell(&News::Ended(Ended {
                    status: status.and_then(|status| status.code()),
                    signal: status.and_then(|status| status.signal()),
                    over_memory: inside.over_memory.load(Ordering::Relaxed),
                }));
                *inside.running() -= 1;
            });
        }
    }
}

/// Ends every process that this one sees, but for itself and the first, which collects the dead (kill(2), -1).
fn kill_all() {
    let _ = kill(nix::unistd::Pid::from_raw(-1), Signal::SIGKILL);
}

/// The processes of the sandbox but for this one and the first (proc(5)).
fn processes() -> Vec<u32> {
    let own = std::process::id();
    let Ok(entries) = fs_err::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != 1 && *pid != own)
        .collect()
}

/// The memory of a process in bytes, what it shares with others divided among them; 0 if it is gone.
fn memory_of(pid: u32) -> u64 {
    let Ok(text) = fs_err::read_to_string(format!("/proc/{pid}/smaps_rollup")) else {
        return 0;
    };
    let kilobytes = text.lines().find_map(|line| {
        let value = line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?;
        value.parse::<u64>().ok()
    });
    kilobytes.unwrap_or(0) * 1024
}
