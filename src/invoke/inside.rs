//! The part of the program that runs inside of the sandbox: its first process, which opens the Runtime API's socket and hands
//! it out, starts the bootstrap, collects the dead, and ends everything. The kernel protects the first process of a
//! namespace from the signals of all others in it (pid_namespaces(7)).

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use rustix::process::{WaitId, WaitIdOptions, WaitOptions, WaitStatus, wait, waitid};

use super::confine::confine;
use super::data::DATA;
use super::wire::{Ended, News, Order, receive, send};

/// How long processes may take to end once they are killed.
const ENDING: Duration = Duration::from_secs(5);
/// How long is waited before it is looked again for children where there are none.
const IDLE: Duration = Duration::from_millis(5);

/// Serves the orders that come over standard input, until it is closed. With `switch_user` this is root of the machine, which
/// becomes the function's user first.
pub fn inside(switch_user: bool) -> std::io::Result<()> {
    let socket = Arc::new(std::io::stdin().as_fd().try_clone_to_owned()?);
    let inside = Arc::new(Inside {
        socket: Arc::clone(&socket),
        bootstraps: Mutex::new(BTreeSet::new()),
    });
    if let Err(error) = confine(switch_user).and_then(|()| hand_out(&socket)) {
        inside.tell(&News::Broken(error.to_string()));
        return Err(error);
    }
    let collecting = Arc::clone(&inside);
    thread::spawn(move || collecting.collect());
    while let Some((order, _)) = receive::<Order>(&*socket)? {
        match order {
            Order::Start { environment } => {
                stop();
                inside.start(environment);
            }
            Order::Kill => kill_all(),
            Order::Stop => {
                stop();
                inside.tell(&News::Stopped);
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
    send(socket, &News::Listening, &descriptors)
}

struct Inside {
    socket: Arc<OwnedFd>,
    /// The bootstraps that have not ended. It is held while one is started, and while the dead are collected: a program that
    /// cannot be started is collected by whoever tried.
    bootstraps: Mutex<BTreeSet<i32>>,
}

impl Inside {
    /// Where nobody listens any more, the sandbox is about to end.
    fn tell(&self, news: &News) {
        let _ = send(&*self.socket, news, &[]);
    }

    fn bootstraps(&self) -> MutexGuard<'_, BTreeSet<i32>> {
        self.bootstraps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Collects every process that ends, those too whose parents have ended before.
    fn collect(&self) {
        loop {
            let waiting = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            if waitid(WaitId::All, waiting).is_err() {
                thread::sleep(IDLE);
                continue;
            }
            let mut bootstraps = self.bootstraps();
            if let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG)
                && bootstraps.remove(&pid.as_raw_nonzero().get())
            {
                self.tell(&News::Ended(ended(status)));
            }
        }
    }

    /// Starts the first bootstrap that is there.
    fn start(&self, environment: Vec<(String, String)>) {
        let found = DATA.process.bootstraps.iter().find(|path| {
            let path = Path::new(path);
            path.exists() && !path.is_dir()
        });
        let Some(bootstrap) = found else {
            self.tell(&News::NoBootstrap);
            return;
        };
        // Both of its outputs are the log, in the order in which it writes them.
        let log = || std::io::stderr().as_fd().try_clone_to_owned().map(Stdio::from);
        let mut bootstraps = self.bootstraps();
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
            Err(error) => self.tell(&News::NotStarted {
                bootstrap: bootstrap.clone(),
                errno: error.raw_os_error().unwrap_or(0),
            }),
            Ok(child) => {
                self.tell(&News::Started);
                bootstraps.insert(child.id().cast_signed());
            }
        }
    }
}

fn ended(status: WaitStatus) -> Ended {
    Ended {
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
