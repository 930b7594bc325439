//! The output directory: one run at a time, which makes its layers in a directory of unfinished work.

use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::PackError;
use crate::layer_set::{replace, settle_locked};
use crate::lock::{Lock, lock};
use crate::manifest::Manifest;
use crate::manifest::directory::UNFINISHED;

/// An output directory that this run alone writes to.
pub(super) struct Output {
    path: PathBuf,
    /// The directories that were made for it, the deepest first.
    made: Vec<PathBuf>,
    staging: Option<TempDir>,
    _lock: Lock,
}

impl Output {
    /// Makes the directory if it is not there, locks it, ends what a killed run has left, and begins unfinished work.
    pub(super) fn open(tree: &Path, path: &Path) -> Result<Self, PackError> {
        outside(tree, path)?;
        let made: Vec<PathBuf> = std::path::absolute(path)?
            .ancestors()
            .take_while(|directory| directory.symlink_metadata().is_err())
            .map(Path::to_owned)
            .collect();
        let opened = Self::begin(path);
        match opened {
            Ok((staging, lock)) => Ok(Self {
                path: path.to_owned(),
                made,
                staging: Some(staging),
                _lock: lock,
            }),
            Err(error) => {
                remove_empty(&made);
                Err(error)
            }
        }
    }

    fn begin(path: &Path) -> Result<(TempDir, Lock), PackError> {
        fs_err::create_dir_all(path)?;
        let lock = lock(path)?.ok_or_else(|| PackError::Busy(path.to_owned()))?;
        settle_locked(path)?;
        let staging = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(path);
        let staging = staging.map_err(|error| {
            let message = format!("cannot write to {}: {error}", path.display());
            io::Error::new(error.kind(), message)
        })?;
        Ok((staging, lock))
    }

    /// The directory for unfinished work.
    pub(super) fn staging(&self) -> &Path {
        self.staging.as_ref().map_or(&self.path, TempDir::path)
    }

    /// Puts finished layers and their manifest in the place of an earlier set. If that fails, the earlier set is whole.
    pub(super) fn publish(mut self, manifest: &Manifest) -> Result<(), PackError> {
        let (result, is_done) = replace(self.staging(), &self.path, manifest);
        if !is_done {
            self.keep_staging();
        }
        if result.is_ok() {
            self.made.clear();
        }
        Ok(result?)
    }

    fn keep_staging(&mut self) {
        if let Some(staging) = self.staging.take() {
            let _ = staging.keep();
        }
        self.made.clear();
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // A file that cannot be removed is left for the next run.
        if let Some(staging) = self.staging.take() {
            let _ = staging.close();
        }
        remove_empty(&self.made);
    }
}

/// Fails where the layers would become part of the tree, or where there can be no directory for them.
pub(super) fn outside(tree: &Path, output: &Path) -> Result<(), PackError> {
    let tree = fs_err::canonicalize(tree)?;
    let absolute = std::path::absolute(output)?;
    let mut there = output.ancestors().filter(|path| path.symlink_metadata().is_ok());
    if let Some(path) = there.next().filter(|path| !path.is_dir()) {
        return Err(PackError::NotADirectory(path.to_owned()));
    }
    let existing = absolute
        .ancestors()
        .find_map(|directory| directory.canonicalize().ok())
        .unwrap_or_else(|| absolute.clone());
    if existing.starts_with(&tree) {
        return Err(PackError::OutputInsideTree {
            output: output.to_owned(),
            tree,
        });
    }
    Ok(())
}

fn remove_empty(directories: &[PathBuf]) {
    for directory in directories {
        if fs_err::remove_dir(directory).is_err() {
            return;
        }
    }
}
