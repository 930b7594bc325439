//! One run at a time in a directory.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

/// How often a lock is tried, and how long the pause after each try is: half a second in all. A process that is just being
/// started by the one that held the lock has a copy of it until it runs (fork(2), flock(2)).
const TRIES: usize = 25;
const PAUSE: Duration = Duration::from_millis(20);

/// A directory that is locked by this process, until it is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

/// Locks a directory; `None` if another process holds it. A file system that knows no locks gives one that locks nothing.
pub(crate) fn lock(directory: &Path) -> std::io::Result<Option<Lock>> {
    let file = fs_err::File::open(directory)?.into_parts().0;
    for _ in 0..TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            // NFS locks no directory that is open for reading alone: such a lock holds nobody off.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(Some(Lock(file))),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_locked_once() {
        let directory = tempfile::tempdir().unwrap();
        let first = lock(directory.path()).unwrap();
        assert!(first.is_some());
        assert!(lock(directory.path()).unwrap().is_none());
        drop(first);
        assert!(lock(directory.path()).unwrap().is_some());
    }
}
