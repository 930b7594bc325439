//! Carries a plan out on disk: moves what goes into a trash directory next to the tree, puts it back, or makes a pruned copy.
//!
//! ```text
//! /opt                         the tree
//! /opt.lambdar-prune-trash/1/  what the first run took: manifest.json, files/… and, once all is there, complete
//! /opt.lambdar-prune-trash/2/  what the next run took
//! ```
//!
//! Nothing is ever deleted or copied on the way to the trash and back, only renamed, and the manifest is on disk before
//! the first rename. So at every moment each file is either in the tree or in the trash, and the manifest says of each
//! where it belongs: a run that was cut short can be finished or undone from there.

mod copy;
mod guard;
mod manifest;
mod moves;
mod trash;

use std::path::PathBuf;

pub use copy::{CopyMethod, copy};
pub use guard::{Protected, checked_tree};
pub use moves::moves;
pub use trash::{Done, State, apply, finish, hold, state, undo};

use crate::progress::Interrupted;

/// Why a tree was not pruned, copied or restored.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// The tree is something that must not be pruned.
    #[error("{path} is {what}; lambdar-prune prunes only a directory in which a runtime was built, such as /opt. Nothing was touched", path = .path.display())]
    Protected {
        /// The directory, links followed.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The tree is not there, or is not a directory.
    #[error("cannot open {path}: {reason}; give the directory that has your files, such as /opt", path = .path.display())]
    Unreachable {
        /// The path as given.
        path: PathBuf,
        /// The system's reason.
        reason: std::io::Error,
    },
    /// A directory in which something has to be moved does not allow it.
    #[error("cannot write to {path}: {reason}; run as a user who may, or make a pruned copy with --to. Nothing was touched", path = .path.display())]
    NotWritable {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        reason: std::io::Error,
    },
    /// Something cannot be renamed into the trash, because it is elsewhere.
    #[error("{path} is on another file system than {trash}, so it cannot be moved there; make a pruned copy with --to. Nothing was touched", path = .path.display(), trash = .trash.display())]
    OtherFileSystem {
        /// What cannot be moved.
        path: PathBuf,
        /// The trash directory.
        trash: PathBuf,
    },
    /// The file system has layers, and does not rename what is in one of the lower ones (overlayfs: EXDEV).
    #[error("the file system does not let {path} be renamed, as is the case in an image that is being built, so nothing was moved; make a pruned copy with --to", path = .0.display())]
    Layered(PathBuf),
    /// Parts of the tree could not be read, so what they need is not known.
    #[error(
        "{count} paths of the tree could not be read, so what they need is not known; the first is {first}. See `lambdar-prune analyze` for all, and correct the permissions or names. Nothing was touched"
    )]
    Unread {
        /// How many.
        count: usize,
        /// The first of them, with the reason.
        first: String,
    },
    /// A file is not what the scan saw.
    #[error("{path} changed meanwhile; let the build finish, then run again. Nothing was touched", path = .0.display())]
    Changed(PathBuf),
    /// Another run is at work on the tree.
    #[error("another lambdar-prune is at work on this tree (it holds {path}); wait for it to end", path = .0.display())]
    Busy(PathBuf),
    /// There is nothing that could be put back.
    #[error("there is nothing to undo: there is no {path}", path = .0.display())]
    NothingToUndo(PathBuf),
    /// Something is in the way of a file to put back.
    #[error("cannot put {path} back: there is something in its place; move that away, then run `prune --undo` again. It was not touched", path = .0.display())]
    InTheWay(PathBuf),
    /// Something of the manifest is neither in the tree nor in the trash.
    #[error("{path} is neither in the tree nor in {trash}: someone has removed it; put it back, or remove it from manifest.json there", path = .path.display(), trash = .trash.display())]
    Lost {
        /// Where it belongs.
        path: PathBuf,
        /// Where it was put.
        trash: PathBuf,
    },
    /// The trash has something in it that does not belong there.
    #[error("{path} is not what lambdar-prune has left there: {reason}; move it away if it is not needed", path = .path.display())]
    Trash {
        /// What.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The directory for a copy cannot be used.
    #[error("cannot copy to {path}: {reason}", path = .path.display())]
    Target {
        /// The directory.
        path: PathBuf,
        /// Why not, and what to do.
        reason: String,
    },
    /// The file system cannot share the content of files in the way that was asked for.
    #[error("cannot copy {path} by {how}: {reason}; use --link copy", path = .path.display())]
    Link {
        /// The file.
        path: PathBuf,
        /// `reflink` or `hard link`.
        how: &'static str,
        /// The system's reason.
        reason: std::io::Error,
    },
    /// Reading or writing failed, before or while something was changed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The user stopped the run while things were being moved.
    #[error(
        "interrupted; {moved} of {total} are moved. `prune --apply` moves the others, `prune --undo` puts everything back"
    )]
    Unfinished {
        /// How many are where they shall be.
        moved: usize,
        /// How many there are.
        total: usize,
    },
    /// The user stopped the run before anything was changed.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

#[cfg(test)]
mod tests;
