//! A pruned copy of a tree.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

use super::PruneError;
use crate::progress::{Progress, Stage};
use crate::tree::{Entry, Tree};

/// How the content of a file gets into the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CopyMethod {
    /// It is written again.
    #[default]
    Copy,
    /// Both files share it until one is changed; the file system has to be able to (ioctl_ficlone(2)).
    Reflink,
    /// Both names are the same file: a change to one is a change to both.
    HardLink,
}

/// Copies what is kept of the tree at `root` to a new directory, with modes, times and links.
///
/// The copy is made next to its place and gets its name when it is whole.
pub fn copy(root: &Path, kept: &Tree, to: &Path, how: CopyMethod, progress: &dyn Progress) -> Result<(), PruneError> {
    let (directory, to) = place(root, to)?;
    let staging = tempfile::Builder::new()
        .prefix(".lambdar-prune-")
        .tempdir_in(&directory)
        .map_err(|error| PruneError::Target {
            path: to.clone(),
            reason: error.to_string(),
        })?;
    let copy = staging.path();
    for (path, entry) in kept.iter() {
        progress.check()?;
        let target = copy.join(path.as_str());
        match entry {
            Entry::Directory(_) => fs_err::create_dir(&target)?,
            Entry::Symlink(link) => {
                symlink(link, &target).map_err(|error| PruneError::Target {
                    path: target.clone(),
                    reason: error.to_string(),
                })?;
                same_times(&root.join(path.as_str()), &target)?;
            }
            Entry::File(_) => {}
        }
    }
    let files: Vec<_> = kept.files().collect();
    let work = progress.start(Stage::Copy, kept.totals().unzipped_bytes.0);
    files.into_par_iter().try_for_each(|(path, file)| {
        progress.check()?;
        let (source, target) = (root.join(path.as_str()), copy.join(path.as_str()));
        copy_file(&source, &target, how)?;
        work.advance(file.bytes.0);
        Ok::<_, PruneError>(())
    })?;
    drop(work);
    // From the deepest up: what is put into a directory changes its time, and its mode may forbid it.
    let directories = kept
        .iter()
        .filter(|(_, entry)| matches!(entry, Entry::Directory(_)))
        .map(|(path, _)| path.as_str());
    let directories: Vec<&str> = std::iter::once("").chain(directories).collect();
    for path in directories.into_iter().rev() {
        let (source, target) = (root.join(path), copy.join(path));
        let mode = fs_err::symlink_metadata(&source)?.permissions().mode();
        fs_err::set_permissions(&target, std::fs::Permissions::from_mode(mode & 0o7777))?;
        same_times(&source, &target)?;
    }
    progress.check()?;
    fs_err::rename(staging.path(), &to)?;
    // The directory is no longer there under its temporary name, so there is nothing to remove.
    let _ = staging.keep();
    Ok(())
}

/// The directory in which the copy is made, and the copy's own path, both absolute.
fn place(root: &Path, to: &Path) -> Result<(PathBuf, PathBuf), PruneError> {
    let refused = |reason: &str| PruneError::Target {
        path: to.to_owned(),
        reason: reason.to_owned(),
    };
    let absolute = std::path::absolute(to)?;
    let (Some(directory), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Err(refused("it has no name of its own; give a new directory"));
    };
    let directory = directory.canonicalize().map_err(|error| {
        refused(&format!(
            "{}: {error}; create that directory first",
            directory.display()
        ))
    })?;
    let target = directory.join(name);
    match fs_err::read_dir(&target) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(refused("there is something in it; give a new or an empty directory"));
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(_) => return Err(refused("it is not a directory; give a new or an empty one")),
    }
    if target.starts_with(root) {
        return Err(refused("it is inside the tree; give a directory elsewhere"));
    }
    if root.starts_with(&target) {
        return Err(refused("the tree is inside it; give a directory elsewhere"));
    }
    Ok((directory, target))
}

fn copy_file(source: &Path, target: &Path, how: CopyMethod) -> Result<(), PruneError> {
    match how {
        CopyMethod::Copy => {
            fs_err::copy(source, target)?;
        }
        CopyMethod::HardLink => {
            return std::fs::hard_link(source, target).map_err(|reason| PruneError::Link {
                path: source.to_owned(),
                how: "hard link",
                reason,
            });
        }
        CopyMethod::Reflink => {
            let from = fs_err::File::open(source)?;
            let to = fs_err::File::create(target)?;
            rustix::fs::ioctl_ficlone(to.file(), from.file()).map_err(|error| PruneError::Link {
                path: source.to_owned(),
                how: "reflink",
                reason: error.into(),
            })?;
            fs_err::set_permissions(target, fs_err::symlink_metadata(source)?.permissions())?;
        }
    }
    same_times(source, target)
}

fn same_times(source: &Path, target: &Path) -> Result<(), PruneError> {
    let metadata = fs_err::symlink_metadata(source)?;
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: metadata.atime(),
            tv_nsec: metadata.atime_nsec(),
        },
        last_modification: Timespec {
            tv_sec: metadata.mtime(),
            tv_nsec: metadata.mtime_nsec(),
        },
    };
    rustix::fs::utimensat(CWD, target, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| {
        let error = std::io::Error::from(error);
        let text = format!("cannot set the time of {}: {error}", target.display());
        PruneError::Io(std::io::Error::new(error.kind(), text))
    })
}
