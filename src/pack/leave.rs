//! Work that may take long and cannot look at a flag, such as a compressor in the middle of a block, and that nobody waits
//! for any more once the user has asked to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::progress::{Interrupted, Progress};

/// How often the wish to stop is looked at.
const INTERVAL: Duration = Duration::from_millis(50);

/// Does work on a thread of its own and waits for it. If the run is stopped meanwhile, the thread is left behind: the flag that
/// the work was given is set, and what it gives is dropped.
pub(super) fn unless_stopped<T: Send + 'static>(
    progress: &dyn Progress,
    work: impl FnOnce(&AtomicBool) -> T + Send + 'static,
) -> Result<T, Interrupted> {
    let stopped = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stopped);
    let (sender, receiver) = channel();
    let worker = thread::spawn(move || {
        // Nobody may be waiting any more.
        let _ = sender.send(work(&flag));
    });
    loop {
        match receiver.recv_timeout(INTERVAL) {
            Ok(done) => return Ok(done),
            Err(RecvTimeoutError::Timeout) => {
                progress
                    .check()
                    .inspect_err(|_| stopped.store(true, Ordering::Relaxed))?;
            }
            Err(RecvTimeoutError::Disconnected) => match worker.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                // It has sent what it gave before it ended.
                Ok(()) => return Err(Interrupted),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::progress::{Silent, Stopped};

    #[test]
    fn work_is_waited_for_until_the_run_is_stopped() {
        let long = |flag: &AtomicBool| {
            let began = Instant::now();
            while !flag.load(Ordering::Relaxed) && began.elapsed() < Duration::from_millis(300) {
                thread::sleep(Duration::from_millis(1));
            }
            began.elapsed()
        };
        assert!(unless_stopped(&Silent, long).unwrap() >= Duration::from_millis(300));
        let began = Instant::now();
        assert!(unless_stopped(&Stopped, |_| thread::sleep(Duration::from_secs(60))).is_err());
        assert!(began.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_panic_of_the_work_is_one_of_its_caller() {
        let panicked = std::panic::catch_unwind(|| unless_stopped(&Silent, |_| -> u8 { panic!("on purpose") }));
        assert!(panicked.is_err());
    }
}
