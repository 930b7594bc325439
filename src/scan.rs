//! Reads a directory on disk into a [`Tree`].

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use walkdir::{DirEntry, WalkDir};

use crate::elf::{Detail, FileSource};
use crate::languages::inspector;
use crate::open;
use crate::progress::{Interrupted, Progress, Stage};
use crate::size::Bytes;
use crate::tree::path::escaped;
use crate::tree::{Content, Entry, File, Mode, Tree, TreePath, content};

/// How many entries are listed before they are looked at together. What is listed of each takes more memory than what is kept of
/// it.
const BATCH: usize = 4096;

/// A tree and what could not be taken into it.
#[derive(Debug)]
pub struct Scan {
    /// Everything that could be read.
    pub tree: Tree,
    /// Everything that could not, sorted by path.
    pub problems: Vec<Problem>,
}

/// Something in the directory that is not in the [`Tree`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The path inside the tree, escaped by [`escaped`] where it cannot be shown as it is.
    pub path: String,
    /// Why it is not in the tree.
    pub kind: ProblemKind,
}

/// Why something is not in the tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProblemKind {
    /// Its name, or a link's target, is not UTF-8.
    NotUtf8,
    /// It could not be read; with the system's reason.
    Unreadable(String),
    /// A socket, FIFO or device: it is never opened. With the name of its kind.
    Special(&'static str),
}

/// Why a directory cannot be scanned at all.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// There is nothing at the path, or it cannot be looked at.
    #[error("cannot open {path}: {reason}; give the directory that has your files, such as /opt", path = path.display())]
    Unreachable {
        /// The path as given.
        path: PathBuf,
        /// The system's reason.
        reason: std::io::Error,
    },
    /// The path is a file or something else.
    #[error("{path} is not a directory; give the directory that has your files, such as /opt", path = .0.display())]
    NotADirectory(PathBuf),
    /// The directory has nothing in it.
    #[error("{path} is empty; give the directory that has your files, such as /opt", path = .0.display())]
    Empty(PathBuf),
    /// The user stopped the run.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// Reads the directory: every path, mode and link, and of the files whose content matters the content.
///
/// Nothing is changed, links are not followed, and sockets, FIFOs and devices are never opened. What cannot be read is
/// listed and does not stop the scan.
pub fn scan(root: &Path, progress: &dyn Progress) -> Result<Scan, ScanError> {
    walk(root, false, &[], Detail::All, progress)
}

/// As [`scan`], with ELF objects in less detail, for those who ask the loader alone.
pub fn scan_in(root: &Path, detail: Detail, progress: &dyn Progress) -> Result<Scan, ScanError> {
    walk(root, false, &[], detail, progress)
}

/// As [`scan`], without the directories at these paths below the root, and what is in them. Nothing of that is looked at: in
/// the root of a running system reading may never end there.
pub fn scan_without(root: &Path, left_out: &[&str], progress: &dyn Progress) -> Result<Scan, ScanError> {
    walk(root, false, left_out, Detail::All, progress)
}

/// As [`scan`], but with everything that links lead to in the place of the links, wherever that is on this machine. A link
/// that leads nowhere stays a link; one into a directory above itself is a problem.
pub fn scan_following_links(root: &Path, progress: &dyn Progress) -> Result<Scan, ScanError> {
    walk(root, true, &[], Detail::All, progress)
}

fn walk(
    root: &Path,
    follow: bool,
    left_out: &[&str],
    detail: Detail,
    progress: &dyn Progress,
) -> Result<Scan, ScanError> {
    let unreachable = |reason| ScanError::Unreachable {
        path: root.to_owned(),
        reason,
    };
    let canonical = root.canonicalize().map_err(unreachable)?;
    if !canonical.is_dir() {
        return Err(ScanError::NotADirectory(root.to_owned()));
    }
    let work = progress.start(Stage::Scan, 0);
    let left_out: Vec<PathBuf> = left_out.iter().map(|path| canonical.join(path)).collect();
    let is_wanted = |entry: &DirEntry| !left_out.iter().any(|path| entry.path() == path);
    let mut walked = WalkDir::new(&canonical)
        .min_depth(1)
        .follow_links(follow)
        .into_iter()
        .filter_entry(is_wanted)
        .map(|entry| progress.check().map(|()| entry));
    let mut entries: Vec<(TreePath, Entry)> = Vec::new();
    let mut problems = Vec::new();
    loop {
        let batch = walked.by_ref().take(BATCH).collect::<Result<Vec<_>, Interrupted>>()?;
        if batch.is_empty() {
            break;
        }
        let seen = batch.into_par_iter().map(|entry| {
            progress.check()?;
            work.advance(1);
            Ok(entry.map_or_else(
                |error| unfollowed(&canonical, &error),
                |entry| look(&canonical, &entry, detail),
            ))
        });
        for seen in seen.collect::<Result<Vec<_>, Interrupted>>()? {
            match seen {
                Ok(seen) => entries.push(seen),
                Err(problem) => problems.push(problem),
            }
        }
    }
    if entries.is_empty() && problems.is_empty() {
        return Err(ScanError::Empty(root.to_owned()));
    }
    problems.sort();
    let tree = entries.into_iter().collect();
    Ok(Scan { tree, problems })
}

/// What a file is, by its name and its bytes: what [`scan`] finds in a file on disk.
pub fn inspect(file_name: &str, bytes: &[u8]) -> Content {
    inspector().inspect(file_name, bytes)
}

/// Reads files of a directory by their path in the tree, each into a buffer in place of what is there; `None` for what cannot
/// be read.
pub fn reader(root: &Path) -> impl Fn(&TreePath, &mut Vec<u8>) -> Option<()> + Sync {
    |path, buffer| {
        let file = open::content(&root.join(path.as_str())).ok()?;
        open::read_opened(&file, u64::MAX, buffer).ok()
    }
}

/// Files of which there are several with the same content: each group sorted, the groups by their first path. Of the files
/// that are wanted, only those of one length are read.
pub fn copies(root: &Path, tree: &Tree, wanted: impl Fn(&TreePath, &File) -> bool) -> Vec<Vec<TreePath>> {
    copies_of_moved(root, tree, |path| path, wanted)
}

/// As [`copies`], for a tree whose files are elsewhere in the directory: `origin` says where.
pub fn copies_of_moved<'a>(
    root: &Path,
    tree: &'a Tree,
    origin: impl Fn(&'a TreePath) -> &'a TreePath + Sync,
    wanted: impl Fn(&TreePath, &File) -> bool,
) -> Vec<Vec<TreePath>> {
    let mut lengths: BTreeMap<Bytes, Vec<&TreePath>> = BTreeMap::new();
    for (path, file) in tree.files().filter(|(path, file)| wanted(path, file)) {
        lengths.entry(file.bytes).or_default().push(path);
    }
    let candidates: Vec<&TreePath> = lengths
        .into_values()
        .filter(|paths| paths.len() > 1)
        .flatten()
        .collect();
    let hashed: Vec<([u8; 32], &TreePath)> = candidates
        .into_par_iter()
        .filter_map(|path| {
            // What cannot be read any more is not a copy of anything.
            let file = open::content(&root.join(origin(path).as_str())).ok()?;
            let mut hash = blake3::Hasher::new();
            hash.update_reader(file).ok()?;
            Some((hash.finalize().into(), path))
        })
        .collect();
    let mut contents: BTreeMap<[u8; 32], Vec<TreePath>> = BTreeMap::new();
    for (hash, path) in hashed {
        contents.entry(hash).or_default().push(path.clone());
    }
    let mut copies: Vec<_> = contents.into_values().filter(|paths| paths.len() > 1).collect();
    copies.sort();
    copies
}

fn look(root: &Path, entry: &DirEntry, detail: Detail) -> Result<(TreePath, Entry), Problem> {
    let problem = |kind| Problem {
        path: shown(root, entry.path()),
        kind,
    };
    let path = entry
        .path()
        .strip_prefix(root)
        .ok()
        .and_then(Path::to_str)
        .and_then(TreePath::new)
        .ok_or_else(|| problem(ProblemKind::NotUtf8))?;
    let unreadable = |reason: String| problem(ProblemKind::Unreadable(reason));
    let metadata = entry.metadata().map_err(|e| unreadable(e.to_string()))?;
    let mode = Mode::new(metadata.permissions().mode());
    let kind = metadata.file_type();
    let looked = if kind.is_dir() {
        Entry::Directory(mode)
    } else if kind.is_symlink() {
        let target = fs_err::read_link(entry.path()).map_err(|e| unreadable(e.to_string()))?;
        let target = target
            .into_os_string()
            .into_string()
            .map_err(|_| problem(ProblemKind::NotUtf8))?;
        Entry::Symlink(target)
    } else if kind.is_file() {
        let bytes = Bytes(metadata.len());
        let content =
            read_content(path.file_name(), entry.path(), bytes.0, detail).map_err(|e| unreadable(e.to_string()))?;
        Entry::File(File { bytes, mode, content })
    } else {
        let name = if kind.is_socket() {
            "socket"
        } else if kind.is_fifo() {
            "FIFO"
        } else {
            "device"
        };
        return Err(problem(ProblemKind::Special(name)));
    };
    Ok((path, looked))
}

/// A link that leads nowhere, as itself; or why there is nothing at a path.
fn unfollowed(root: &Path, error: &walkdir::Error) -> Result<(TreePath, Entry), Problem> {
    let is_gone = error
        .io_error()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound);
    let link = error.path().filter(|_| is_gone).and_then(|path| {
        let target = fs_err::read_link(path).ok()?.into_os_string().into_string().ok()?;
        let path = TreePath::new(path.strip_prefix(root).ok()?.to_str()?)?;
        Some((path, Entry::Symlink(target)))
    });
    link.ok_or_else(|| walk_problem(root, error))
}

fn walk_problem(root: &Path, error: &walkdir::Error) -> Problem {
    Problem {
        path: error.path().map_or_else(|| ".".to_owned(), |path| shown(root, path)),
        kind: ProblemKind::Unreadable(error.io_error().map_or_else(|| error.to_string(), ToString::to_string)),
    }
}

fn shown(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    if below.as_os_str().is_empty() {
        ".".to_owned()
    } else {
        escaped(below.as_os_str().as_bytes())
    }
}

fn read_content(file_name: &str, disk: &Path, length: u64, detail: Detail) -> std::io::Result<Content> {
    let opened = open::content(disk)?;
    let file = opened.file();
    let mut bytes = Vec::with_capacity(content::HEAD);
    file.take(content::HEAD as u64).read_to_end(&mut bytes)?;
    let inspector = inspector();
    match inspector.wanted(file_name, &bytes) {
        None => Ok(inspector.inspect_object_in(file_name, &FileSource::new(file, length), detail)),
        Some(wanted) => {
            let rest = wanted.saturating_sub(bytes.len());
            file.take(rest as u64).read_to_end(&mut bytes)?;
            Ok(inspector.inspect(file_name, &bytes))
        }
    }
}
