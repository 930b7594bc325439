//! Compressed contents on their way into zips: on disk, so that memory holds only those that are being worked on.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// A nameless file that contents are appended to from all threads; it is gone with the process.
pub(super) struct Spool {
    file: Mutex<(std::fs::File, u64)>,
}

/// Where in the spool a content lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    start: u64,
    length: u64,
}

/// Reads contents back.
pub(super) struct SpoolReader {
    file: std::fs::File,
}

impl Spool {
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            file: Mutex::new((tempfile::tempfile_in(folder)?, 0)),
        })
    }

    pub(super) fn append(&self, bytes: &[u8]) -> io::Result<Stretch> {
        let mut guard = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, end) = &mut *guard;
        file.write_all(bytes)?;
        let stretch = Stretch {
            start: *end,
            length: bytes.len() as u64,
        };
        *end += stretch.length;
        Ok(stretch)
    }

    /// A reader; nothing may be appended while it is used, for they share one position.
    pub(super) fn reader(&self) -> io::Result<SpoolReader> {
        let guard = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(SpoolReader {
            file: guard.0.try_clone()?,
        })
    }
}

impl SpoolReader {
    pub(super) fn stretch(&mut self, stretch: Stretch) -> io::Result<io::Take<&mut std::fs::File>> {
        self.file.seek(SeekFrom::Start(stretch.start))?;
        Ok((&mut self.file).take(stretch.length))
    }
}
