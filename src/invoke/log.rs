//! What a function writes: passed on as it comes, its end kept.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How much is kept to look for reasons in. Lambda itself keeps 4 KB (API reference, Invoke, `LogResult`).
const KEPT: usize = 64 << 10;
/// How long is waited for what a function has written before it asked for the next event.
const PATIENCE: Duration = Duration::from_secs(1);

/// The log of one sandbox.
pub(super) struct Log {
    kept: Mutex<Vec<u8>>,
    busy: AtomicBool,
    passed_on: AtomicBool,
}

impl Log {
    pub(super) fn new() -> Self {
        Self {
            kept: Mutex::new(Vec::new()),
            busy: AtomicBool::new(false),
            passed_on: AtomicBool::new(false),
        }
    }

    /// Reads to the end, and never stops reading: whoever writes there must not have to wait.
    pub(super) fn read(&self, from: &OwnedFd, pass_on: &dyn Fn(&[u8])) {
        let Ok(mut from) = from.try_clone().map(std::fs::File::from) else {
            return;
        };
        let mut buffer = vec![0; 64 << 10];
        loop {
            self.busy.store(false, Ordering::SeqCst);
            let read = from.read(&mut buffer);
            self.busy.store(true, Ordering::SeqCst);
            match read {
                Ok(0) => break,
                Ok(count) => {
                    let bytes = &buffer[..count];
                    let mut kept = self.kept();
                    kept.extend_from_slice(bytes);
                    let over = kept.len().saturating_sub(KEPT);
                    kept.drain(..over);
                    drop(kept);
                    if self.passed_on.load(Ordering::SeqCst) {
                        pass_on(bytes);
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.busy.store(false, Ordering::SeqCst);
    }

    fn kept(&self) -> MutexGuard<'_, Vec<u8>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until what was written so far has been read.
    pub(super) fn settle(&self, from: impl AsFd) {
        let begun = Instant::now();
        let mut still = 0;
        while still < 2 && begun.elapsed() < PATIENCE {
            let empty = rustix::io::ioctl_fionread(&from).is_ok_and(|waiting| waiting == 0);
            still = if empty && !self.busy.load(Ordering::SeqCst) {
                still + 1
            } else {
                0
            };
            thread::sleep(Duration::from_micros(300));
        }
    }

    /// From now on what comes is the function's; what came before is given back.
    pub(super) fn begin(&self) -> Vec<u8> {
        self.passed_on.store(true, Ordering::SeqCst);
        std::mem::take(&mut *self.kept())
    }

    /// The end of what was written.
    pub(super) fn tail(&self) -> Vec<u8> {
        self.kept().clone()
    }
}
