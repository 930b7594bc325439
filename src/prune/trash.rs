//! The trash next to a tree: moving there, and back.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Access, AtFlags, CWD, Mode as RawMode, OFlags, RenameFlags, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

use super::manifest::{self, Directory, Manifest, Taken};
use super::{PruneError, moves};
use crate::lock::{Lock, lock};
use crate::plan::Plan;
use crate::progress::{Progress, Silent, Stage};
use crate::tree::{Entry, Tree, TreePath};

/// What is put behind the tree's name for the name of the trash.
const SUFFIX: &str = ".lambdar-prune-trash";

/// The directory of a run's files, by their paths in the tree.
const FILES: &str = "files";

/// It is there once a run has moved everything.
const COMPLETE: &str = "complete";

/// Behind the number of a run whose manifest is not written yet: nothing has been moved for it.
const UNBORN: &str = ".new";

/// What the trash of a tree says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing was taken out of the tree.
    Whole,
    /// Something was taken out, and all of it is in the trash.
    Pruned(PathBuf),
    /// A run was cut short on the way to the trash or back.
    Unfinished(PathBuf),
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The trash.
    pub trash: PathBuf,
    /// How many paths were moved; a directory with all below it is one.
    pub moved: usize,
}

/// What the trash next to a tree says; `root` has no links in it.
pub fn state(root: &Path) -> Result<State, PruneError> {
    let path = trash_path(root);
    if !exists(&path)? {
        return Ok(State::Whole);
    }
    let runs = runs(&path)?;
    if runs.is_empty() {
        return Ok(State::Whole);
    }
    for run in runs {
        if exists(&run.join(manifest::NAME))? && !exists(&run.join(COMPLETE))? {
            return Ok(State::Unfinished(path));
        }
    }
    Ok(State::Pruned(path))
}

/// Holds a tree for this run alone, from the look at it to the last move. `root` has no links in it.
pub fn hold(root: &Path) -> Result<Lock, PruneError> {
    lock(root)?.ok_or_else(|| PruneError::Busy(root.to_owned()))
}

/// Moves everything that is not kept into the trash. `root` has no links in it, and `tree` is what was scanned there.
pub fn apply(root: &Path, tree: &Tree, plan: &Plan, progress: &dyn Progress) -> Result<Done, PruneError> {
    let path = trash_path(root);
    let parent = path.parent().unwrap_or(root);
    writable(root)?;
    let device = fs_err::symlink_metadata(parent)?.dev();
    let mut paths = Vec::new();
    for moved in moves(tree, &plan.kept) {
        let look = Survey { root, tree, device };
        look.collect(&moved, &path, &mut paths)?;
    }
    if paths.is_empty() {
        return Ok(Done { trash: path, moved: 0 });
    }
    writable(parent)?;
    let directories = directories(root, &paths)?;
    let manifest = Manifest::new(
        paths.iter().map(|path| path.as_str().to_owned()).collect(),
        directories,
        taken(tree, plan, &paths),
    );
    progress.check()?;
    let trash = Trash::create(path)?;
    let run = match trash.begin(&manifest, progress) {
        Ok(run) => run,
        Err(error) => {
            // Nothing was moved. What is left of the beginning does no harm where it cannot be removed.
            let _ = trash.remove_unborn();
            let _ = trash.remove_if_empty();
            return Err(error);
        }
    };
    match carry_out(root, &run, &manifest, progress) {
        Ok(_) => Ok(Done {
            trash: trash.path,
            moved: manifest.moves.len(),
        }),
        Err(error @ PruneError::Unfinished { .. }) => Err(error),
        Err(error) => {
            // What cannot be done as a whole is not done at all. Where going back fails, too, the first reason counts,
            // and the run stays to be undone later.
            if put_back(root, &run, &manifest, &Silent).is_ok() && remove_run(&run).is_ok() {
                let _ = trash.remove_if_empty();
            }
            Err(error)
        }
    }
}

/// Moves what a run that was cut short has left.
pub fn finish(root: &Path, progress: &dyn Progress) -> Result<Done, PruneError> {
    let trash = Trash::open(trash_path(root))?;
    trash.remove_unborn()?;
    let mut moved = 0;
    for run in runs(&trash.path)? {
        if exists(&run.join(manifest::NAME))? && !exists(&run.join(COMPLETE))? {
            let manifest = Manifest::read(&run)?;
            moved += carry_out(root, &run, &manifest, progress)?;
        }
    }
    Ok(Done {
        trash: trash.path,
        moved,
    })
}

/// Puts everything back that is in the trash, what was taken last first, and removes the trash.
pub fn undo(root: &Path, progress: &dyn Progress) -> Result<Done, PruneError> {
    let trash = Trash::open(trash_path(root))?;
    trash.remove_unborn()?;
    let mut moved = 0;
    for run in runs(&trash.path)?.into_iter().rev() {
        if exists(&run.join(manifest::NAME))? {
            let manifest = Manifest::read(&run)?;
            if has_moved(root, &run, &manifest)? {
                moved += put_back(root, &run, &manifest, progress)?;
            }
        }
        remove_run(&run)?;
    }
    trash.remove_if_empty()?;
    Ok(Done {
        trash: trash.path,
        moved,
    })
}

/// Whether a run has taken anything, or all is back and only times are left to be set. One that was cut short before its
/// first move has not, although another run may have taken the same.
fn has_moved(root: &Path, run: &Path, manifest: &Manifest) -> Result<bool, PruneError> {
    let mut is_all_back = true;
    for path in &manifest.moves {
        if exists(&run.join(FILES).join(path))? {
            return Ok(true);
        }
        is_all_back &= exists(&root.join(path))?;
    }
    Ok(is_all_back || exists(&run.join(COMPLETE))?)
}

/// The trash of a tree: `/opt.lambdar-prune-trash` for `/opt`.
fn trash_path(root: &Path) -> PathBuf {
    let mut name: OsString = root.file_name().unwrap_or_default().to_owned();
    name.push(SUFFIX);
    root.with_file_name(name)
}

/// The runs in the trash, oldest first.
fn runs(trash: &Path) -> Result<Vec<PathBuf>, PruneError> {
    let mut runs = Vec::new();
    for entry in fs_err::read_dir(trash)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        if let Ok(number) = name.parse::<u32>()
            && number.to_string() == name
        {
            runs.push((number, trash.join(name)));
        }
    }
    runs.sort();
    Ok(runs.into_iter().map(|(_, path)| path).collect())
}

/// The trash, held by this process alone.
struct Trash {
    path: PathBuf,
    _lock: Lock,
}

impl Trash {
    fn create(path: PathBuf) -> Result<Self, PruneError> {
        match fs_err::create_dir(&path) {
            Ok(()) => sync_directory(path.parent().unwrap_or(&path))?,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
        Self::open(path)
    }

    fn open(path: PathBuf) -> Result<Self, PruneError> {
        match fs_err::symlink_metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(PruneError::NothingToUndo(path)),
            Ok(metadata) if !metadata.is_dir() => {
                return Err(PruneError::Trash {
                    path,
                    reason: "it is not a directory".to_owned(),
                });
            }
            metadata => metadata?,
        };
        match lock(&path)? {
            Some(lock) => Ok(Self { path, _lock: lock }),
            None => Err(PruneError::Busy(path)),
        }
    }

    /// Makes the directory of a new run. When it has its name, its manifest is whole and on disk.
    fn begin(&self, manifest: &Manifest, progress: &dyn Progress) -> Result<PathBuf, PruneError> {
        self.remove_unborn()?;
        let number = match runs(&self.path)?.pop() {
            None => 1,
            Some(last) => 1 + number_of(&last),
        };
        let run = self.path.join(number.to_string());
        let unborn = self.path.join(format!("{number}{UNBORN}"));
        progress.check()?;
        fs_err::create_dir(&unborn)?;
        progress.check()?;
        write_synced(&unborn.join(manifest::NAME), &manifest.to_json()?)?;
        sync_directory(&unborn)?;
        progress.check()?;
        fs_err::rename(&unborn, &run)?;
        sync_directory(&self.path)?;
        Ok(run)
    }

    fn remove_unborn(&self) -> Result<(), PruneError> {
        for entry in fs_err::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(|name| name.ends_with(UNBORN)) {
                fs_err::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    fn remove_if_empty(&self) -> Result<(), PruneError> {
        match fs_err::read_dir(&self.path)?.next() {
            None => Ok(fs_err::remove_dir(&self.path)?),
            Some(entry) => {
                let path = entry?.path();
                if runs(&self.path)?.contains(&path) {
                    return Ok(());
                }
                Err(PruneError::Trash {
                    path,
                    reason: "it is in the trash, and no run put it there".to_owned(),
                })
            }
        }
    }
}

fn number_of(run: &Path) -> u32 {
    run.file_name()
        .and_then(|name| name.to_str())
        .and_then(|name| name.parse().ok())
        .unwrap_or_default()
}

/// Looks at everything that will be moved before anything is.
struct Survey<'a> {
    root: &'a Path,
    tree: &'a Tree,
    device: u64,
}

impl Survey<'_> {
    /// Adds a path that goes, or, where its directory holds something that the scan did not take in, what it took in of it.
    /// Says whether the path goes as a whole.
    fn collect(&self, path: &TreePath, trash: &Path, moves: &mut Vec<TreePath>) -> Result<bool, PruneError> {
        let disk = self.root.join(path.as_str());
        let metadata = match fs_err::symlink_metadata(&disk) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(PruneError::Changed(disk)),
            metadata => metadata?,
        };
        if metadata.dev() != self.device {
            return Err(PruneError::OtherFileSystem {
                path: disk,
                trash: trash.to_owned(),
            });
        }
        let was_directory = matches!(self.tree.get(path), Some(Entry::Directory(_)));
        if metadata.is_dir() != was_directory {
            return Err(PruneError::Changed(disk));
        }
        let mut parts = Vec::new();
        let mut whole = true;
        if was_directory {
            let mut names: Vec<OsString> = Vec::new();
            for entry in fs_err::read_dir(&disk)? {
                names.push(entry?.file_name());
            }
            names.sort();
            for name in names {
                let below = name
                    .to_str()
                    .and_then(|name| path.join(name))
                    .filter(|below| self.tree.contains(below));
                match below {
                    Some(below) => whole &= self.collect(&below, trash, &mut parts)?,
                    None => whole = false,
                }
            }
        }
        if whole {
            moves.push(path.clone());
        } else {
            moves.append(&mut parts);
        }
        Ok(whole)
    }
}

/// The directories whose times a move changes, as they are now; all of them can be written to.
fn directories(root: &Path, moves: &[TreePath]) -> Result<Vec<Directory>, PruneError> {
    let mut paths: BTreeSet<TreePath> = moves.iter().filter_map(TreePath::parent).collect();
    // Moving a directory changes the entry `..` in it.
    for path in moves {
        if fs_err::symlink_metadata(root.join(path.as_str()))?.is_dir() {
            paths.insert(path.clone());
        }
    }
    paths
        .into_iter()
        .map(|path| {
            let disk = root.join(path.as_str());
            writable(&disk)?;
            let metadata = fs_err::symlink_metadata(&disk)?;
            Ok(Directory {
                path: path.as_str().to_owned(),
                seconds: metadata.mtime(),
                nanoseconds: metadata.mtime_nsec(),
            })
        })
        .collect()
}

fn taken(tree: &Tree, plan: &Plan, moves: &[TreePath]) -> Vec<Taken> {
    let moves: BTreeSet<&TreePath> = moves.iter().collect();
    plan.dropped
        .iter()
        .filter(|(path, _)| moves.contains(path) || path.ancestors().any(|directory| moves.contains(&directory)))
        .filter_map(|(path, rule)| match tree.get(path) {
            None | Some(Entry::Directory(_)) => None,
            Some(entry) => Some(Taken {
                path: path.as_str().to_owned(),
                rule: rule.clone(),
                bytes: entry.unzipped().0,
            }),
        })
        .collect()
}

/// Moves what the manifest names and is not in the trash yet, and gives how many that were.
fn carry_out(root: &Path, run: &Path, manifest: &Manifest, progress: &dyn Progress) -> Result<usize, PruneError> {
    let total = manifest.moves.len();
    let work = progress.start(Stage::Move, total as u64);
    let files = run.join(FILES);
    let mut moved = 0;
    for (number, path) in manifest.moves.iter().enumerate() {
        let stopped = |_| PruneError::Unfinished { moved: number, total };
        progress.check().map_err(stopped)?;
        let (from, to) = (root.join(path), files.join(path));
        match (exists(&from)?, exists(&to)?) {
            (false, true) => {}
            (true, false) => {
                progress.check().map_err(stopped)?;
                rename(root, &files, path, Parents::Make)?;
                moved += 1;
            }
            (true, true) => return Err(PruneError::InTheWay(to)),
            (false, false) => {
                return Err(PruneError::Lost {
                    path: from,
                    trash: files,
                });
            }
        }
        work.advance(1);
    }
    progress
        .check()
        .map_err(|_| PruneError::Unfinished { moved: total, total })?;
    write_synced(&run.join(COMPLETE), b"")?;
    sync_directory(run)?;
    Ok(moved)
}

/// Moves what the manifest names from the trash back into the tree, and gives the directories their times again.
fn put_back(root: &Path, run: &Path, manifest: &Manifest, progress: &dyn Progress) -> Result<usize, PruneError> {
    let files = run.join(FILES);
    let mut pending = Vec::new();
    for path in manifest.moves.iter().rev() {
        let (to, from) = (root.join(path), files.join(path));
        match (exists(&to)?, exists(&from)?) {
            (true, false) => {}
            (false, true) => pending.push((path, to)),
            (true, true) => return Err(PruneError::InTheWay(to)),
            (false, false) => return Err(PruneError::Lost { path: to, trash: files }),
        }
    }
    for directory in pending
        .iter()
        .filter_map(|(_, to)| to.parent())
        .collect::<BTreeSet<_>>()
    {
        writable(directory)?;
    }
    progress.check()?;
    // From here on the run counts as unfinished.
    remove_file(&run.join(COMPLETE))?;
    sync_directory(run)?;
    let total = manifest.moves.len();
    let work = progress.start(Stage::Move, total as u64);
    let before = total - pending.len();
    for (number, (path, _)) in pending.iter().enumerate() {
        progress.check().map_err(|_| PruneError::Unfinished {
            moved: total - before - number,
            total,
        })?;
        rename(&files, root, path, Parents::AreThere)?;
        work.advance(1);
    }
    for directory in &manifest.directories {
        progress
            .check()
            .map_err(|_| PruneError::Unfinished { moved: 0, total })?;
        set_time(root, directory)?;
    }
    // The trash may only go when all that was in it is on disk where it belongs.
    for directory in &manifest.directories {
        sync_directory(&root.join(&directory.path))?;
    }
    progress
        .check()
        .map_err(|_| PruneError::Unfinished { moved: 0, total })?;
    Ok(pending.len())
}

/// Removes a run of which nothing is left but its manifest and empty directories.
fn remove_run(run: &Path) -> Result<(), PruneError> {
    remove_empty_directories(&run.join(FILES))?;
    remove_file(&run.join(COMPLETE))?;
    remove_file(&run.join(manifest::NAME))?;
    Ok(fs_err::remove_dir(run)?)
}

fn remove_empty_directories(directory: &Path) -> Result<(), PruneError> {
    let entries = match fs_err::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            return Err(PruneError::Trash {
                path: entry.path(),
                reason: "the manifest does not name it".to_owned(),
            });
        }
        remove_empty_directories(&entry.path())?;
    }
    Ok(fs_err::remove_dir(directory)?)
}

fn remove_file(path: &Path) -> Result<(), PruneError> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Whether something is at a path, be it a link that leads nowhere.
fn exists(path: &Path) -> Result<bool, PruneError> {
    match fs_err::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// Fails where nothing can be put into a directory or taken out of it.
fn writable(directory: &Path) -> Result<(), PruneError> {
    rustix::fs::access(directory, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| PruneError::NotWritable {
        path: directory.to_owned(),
        reason: error.into(),
    })
}

/// Whether the directories above a path are made if they are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parents {
    Make,
    AreThere,
}

/// Moves what is at a path below one directory to the same path below another one, and never replaces anything.
fn rename(from: &Path, to: &Path, path: &str, parents: Parents) -> Result<(), PruneError> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let (source, target) = (from.join(path), to.join(path));
    let from_directory = beneath(from, parent, Parents::AreThere)?;
    let to_directory = beneath(to, parent, parents)?;
    match rustix::fs::renameat_with(&from_directory, name, &to_directory, name, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(PruneError::InTheWay(target)),
        Err(Errno::XDEV) => Err(PruneError::Layered(source)),
        // Some file systems do not know the flag (renameat2(2)).
        Err(Errno::INVAL | Errno::NOSYS) => {
            if exists(&target)? {
                return Err(PruneError::InTheWay(target));
            }
            let renamed = rustix::fs::renameat(&from_directory, name, &to_directory, name);
            renamed.map_err(|error| rename_failed(&source, &target, error))
        }
        Err(error) => Err(rename_failed(&source, &target, error)),
    }
}

fn rename_failed(source: &Path, target: &Path, error: Errno) -> PruneError {
    let text = format!("cannot rename {} to {}: {error}", source.display(), target.display());
    PruneError::Io(std::io::Error::new(std::io::Error::from(error).kind(), text))
}

/// Opens a directory below another one, name by name. No link is followed, so that no path leads out of it, whoever wrote
/// the manifest or changed the tree.
fn beneath(base: &Path, path: &str, parents: Parents) -> Result<OwnedFd, PruneError> {
    let failed = |error: Errno| {
        let text = format!(
            "cannot open {} without following links: {error}",
            base.join(path).display()
        );
        PruneError::Io(std::io::Error::new(std::io::Error::from(error).kind(), text))
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let make = |at: BorrowedFd<'_>, name: &Path| match rustix::fs::mkdirat(at, name, RawMode::from_raw_mode(0o777)) {
        Err(Errno::EXIST) | Ok(()) => Ok(()),
        Err(error) => Err(error),
    };
    let create = parents == Parents::Make;
    if create {
        make(CWD, base).map_err(failed)?;
    }
    let mut directory = rustix::fs::openat(CWD, base, flags, RawMode::empty()).map_err(failed)?;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        if create {
            make(directory.as_fd(), Path::new(name)).map_err(failed)?;
        }
        directory = rustix::fs::openat(&directory, name, flags, RawMode::empty()).map_err(failed)?;
    }
    Ok(directory)
}

/// Gives a directory of the tree the time that it had.
fn set_time(root: &Path, directory: &Directory) -> Result<(), PruneError> {
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: directory.seconds,
            tv_nsec: directory.nanoseconds,
        },
    };
    let (parent, name) = directory.path.rsplit_once('/').unwrap_or(("", &directory.path));
    let parent = beneath(root, parent, Parents::AreThere)?;
    let name = if name.is_empty() { "." } else { name };
    rustix::fs::utimensat(&parent, name, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| {
        let error = std::io::Error::from(error);
        let text = format!(
            "cannot set the time of {}: {error}",
            root.join(&directory.path).display()
        );
        PruneError::Io(std::io::Error::new(error.kind(), text))
    })
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), PruneError> {
    use std::io::Write;
    let mut file = fs_err::File::create(path)?;
    file.write_all(bytes)?;
    Ok(file.sync_all()?)
}

fn sync_directory(path: &Path) -> Result<(), PruneError> {
    Ok(fs_err::File::open(path)?.sync_all()?)
}
