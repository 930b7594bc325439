//! Compressed contents on their way into zips: on disk, so that memory holds only those that are being worked on.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A file that contents are appended to from all threads.
pub(super) struct Spool {
    file: Arc<File>,
    end: Mutex<u64>,
    /// For errors, as the file has no name.
    directory: PathBuf,
}

/// The bytes of one content in a file.
#[derive(Debug, Clone)]
pub(super) struct ByteRange {
    pub(super) file: Arc<File>,
    pub(super) start: u64,
    pub(super) length: u64,
}

impl Spool {
    /// A nameless file in a directory; it is gone with the process.
    pub(super) fn new(directory: &Path) -> io::Result<Self> {
        let file = tempfile::tempfile_in(directory).map_err(|error| {
            let text = format!(
                "cannot write to {}: {error}; make room there, or set TMPDIR",
                directory.display()
            );
            io::Error::new(error.kind(), text)
        })?;
        Ok(Self::over(file, directory))
    }

    /// An empty file that was opened for reading and writing.
    pub(super) fn over(file: File, directory: &Path) -> Self {
        Self {
            file: Arc::new(file),
            end: Mutex::new(0),
            directory: directory.to_owned(),
        }
    }

    pub(super) fn append(&self, bytes: &[u8]) -> io::Result<ByteRange> {
        let mut end = locked(&self.end);
        self.file.write_all_at(bytes, *end).map_err(|error| {
            let message = format!("cannot write to {}: {error}", self.directory.display());
            io::Error::new(error.kind(), message)
        })?;
        let range = ByteRange {
            file: Arc::clone(&self.file),
            start: *end,
            length: bytes.len() as u64,
        };
        *end += range.length;
        Ok(range)
    }
}

impl Read for ByteRange {
    /// Reads on from where the last reading ended; clones read each for themselves.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = usize::try_from(self.length).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = self.file.read_at(&mut buffer[..length], self.start)?;
        self.start += count as u64;
        self.length -= count as u64;
        Ok(count)
    }
}

/// What a mutex guards, also where another thread has panicked: what is in it is whole at any time.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
