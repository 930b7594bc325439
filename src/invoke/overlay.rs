//! Lays layers over one another on disk, as Lambda does it: the later one wins.
//!
//! Names are those that check has read and found plain. Directories come first, then files, and links last, so that no path
//! leads through a link while something is written.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use zip::ZipArchive;

use crate::check::{Input, plain_name, zips_in_order};
use crate::limits;
use crate::progress::{Interrupted, Progress, Stage};
use crate::scan::{ScanError, scan};
use crate::tree::{Entry, Mode, TreePath};

/// Error of laying out layers.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// A zip is not as it was when it was checked.
    #[error("cannot unpack {path}: {reason}", path = .path.display())]
    Zip {
        /// The zip.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A tree cannot be read.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The user stopped the run.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// Where the content of a path comes from.
#[derive(Debug, Clone)]
enum Source {
    /// The entry of so many in one of the zips.
    Zip(usize, usize),
    /// A file on disk.
    Disk(PathBuf),
}

#[derive(Debug, Clone)]
enum Layered {
    Directory(Mode),
    File(Mode, Source),
    Link(String),
}

type Archive = ZipArchive<Cursor<Arc<[u8]>>>;

/// Lays inputs over one another into an empty directory. Owners may do what others may, for on Lambda nobody is the owner.
///
/// Gives the directories that even their owner may not enter now, the outer ones first.
pub(super) fn overlay(inputs: &[Input], to: &Path, progress: &dyn Progress) -> Result<Vec<PathBuf>, OverlayError> {
    let mut layered = BTreeMap::new();
    let mut archives: Vec<(PathBuf, Archive)> = Vec::new();
    for input in inputs {
        let zips = match input {
            Input::Zips(zips) => zips.clone(),
            Input::Directory(path) => zips_in_order(path)?,
            Input::Tree(path) => {
                take_tree(path, progress, &mut layered)?;
                continue;
            }
        };
        for path in zips {
            let archive = open(&path)?;
            archives.push((path, archive));
            let number = archives.len() - 1;
            take_zip(&mut archives[number], number, &mut layered)?;
        }
    }
    drop_below_no_directory(&mut layered);
    write(&layered, &archives, to, progress)
}

fn open(path: &Path) -> Result<Archive, OverlayError> {
    let bytes: Arc<[u8]> = fs_err::read(path)?.into();
    ZipArchive::new(Cursor::new(bytes)).map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, reason: &dyn std::fmt::Display) -> OverlayError {
    OverlayError::Zip {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

fn take_zip(
    (path, archive): &mut (PathBuf, Archive),
    number: usize,
    layered: &mut BTreeMap<TreePath, Layered>,
) -> Result<(), OverlayError> {
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|error| unusable(path, &error))?;
        let (name, is_directory) =
            plain_name(entry.name_raw()).map_err(|what| unusable(path, &format!("a name in it is {what}")))?;
        if name.is_root() {
            continue;
        }
        // Without Unix permissions nobody may read the file.
        let mode = Mode::new(
            entry
                .unix_mode()
                .filter(|_| entry.system() == zip::System::Unix)
                .unwrap_or(0),
        );
        let here = if is_directory || entry.is_dir() {
            Layered::Directory(mode)
        } else if entry.is_symlink() {
            let mut target = Vec::new();
            let read = entry.by_ref().take(LONGEST_TARGET + 1).read_to_end(&mut target);
            read.map_err(|error| unusable(path, &error))?;
            let target = String::from_utf8(target).map_err(|error| unusable(path, &error))?;
            Layered::Link(target)
        } else {
            Layered::File(mode, Source::Zip(number, index))
        };
        put(layered, name, here);
    }
    Ok(())
}

/// `PATH_MAX` (limits.h).
const LONGEST_TARGET: u64 = 4096;

/// A tree is laid out as `pack` would pack it.
fn take_tree(
    root: &Path,
    progress: &dyn Progress,
    layered: &mut BTreeMap<TreePath, Layered>,
) -> Result<(), OverlayError> {
    let scan = scan(root, progress)?;
    for (path, entry) in scan.tree.iter() {
        let here = match entry {
            Entry::Directory(_) => Layered::Directory(Mode::DIRECTORY),
            Entry::File(file) => Layered::File(file.mode.in_layer(), Source::Disk(root.join(path.as_str()))),
            Entry::Symlink(target) => Layered::Link(target.clone()),
        };
        put(layered, path.clone(), here);
    }
    Ok(())
}

/// The later one wins; directories of one name become one.
fn put(layered: &mut BTreeMap<TreePath, Layered>, path: TreePath, here: Layered) {
    for directory in path.ancestors().filter(|directory| !directory.is_root()) {
        layered.entry(directory).or_insert(Layered::Directory(Mode::DIRECTORY));
    }
    match (layered.get(&path), &here) {
        (Some(Layered::File(..) | Layered::Link(_)), Layered::Directory(_)) => {}
        _ => {
            layered.insert(path, here);
        }
    }
}

/// What is below a file or a link has no place. Check calls such layers conflicting.
fn drop_below_no_directory(layered: &mut BTreeMap<TreePath, Layered>) {
    let lost: Vec<TreePath> = layered
        .keys()
        .filter(|path| {
            path.ancestors()
                .filter(|directory| !directory.is_root())
                .any(|directory| !matches!(layered.get(&directory), Some(Layered::Directory(_))))
        })
        .cloned()
        .collect();
    for path in lost {
        layered.remove(&path);
    }
}

fn write(
    layered: &BTreeMap<TreePath, Layered>,
    archives: &[(PathBuf, Archive)],
    to: &Path,
    progress: &dyn Progress,
) -> Result<Vec<PathBuf>, OverlayError> {
    let place = |path: &TreePath| to.join(path.as_str());
    make_directory(to)?;
    for (path, here) in layered {
        if matches!(here, Layered::Directory(_)) {
            make_directory(&place(path))?;
        }
    }
    let files: Vec<(&TreePath, Mode, &Source)> = layered
        .iter()
        .filter_map(|(path, here)| match here {
            Layered::File(mode, from) => Some((path, *mode, from)),
            _ => None,
        })
        .collect();
    let work = progress.start(Stage::Unpack, files.len() as u64);
    files.par_iter().try_for_each_init(
        BTreeMap::<usize, Archive>::new,
        |own, (path, mode, from)| -> Result<(), OverlayError> {
            progress.check()?;
            let to = place(path);
            write_file(from, archives, own, &to)?;
            fs_err::set_permissions(&to, PermissionsExt::from_mode(as_others(*mode)))?;
            work.advance(1);
            Ok(())
        },
    )?;
    for (path, here) in layered {
        if let Layered::Link(target) = here {
            symlink(target, place(path))?;
        }
    }
    let mut closed = Vec::new();
    for (path, here) in layered.iter().rev() {
        if let Layered::Directory(mode) = here
            && mode.bits() & 0o005 != 0o005
        {
            fs_err::set_permissions(place(path), PermissionsExt::from_mode(as_others(*mode)))?;
            closed.push(place(path));
        }
    }
    closed.reverse();
    Ok(closed)
}

/// Writes a file from where it comes from. `own` has the archives that this thread has opened, by their numbers.
fn write_file(
    from: &Source,
    archives: &[(PathBuf, Archive)],
    own: &mut BTreeMap<usize, Archive>,
    to: &Path,
) -> Result<(), OverlayError> {
    match from {
        Source::Disk(file) => {
            fs_err::copy(file, to)?;
        }
        Source::Zip(number, index) => {
            let (zip, archive) = &archives[*number];
            let archive = own.entry(*number).or_insert_with(|| archive.clone());
            let entry = archive.by_index(*index).map_err(|error| unusable(zip, &error))?;
            let mut file = fs_err::File::create(to)?;
            // More than this was found not to be a layer before.
            std::io::copy(&mut entry.take(limits::UNZIPPED_BYTES), &mut file).map_err(|error| unusable(zip, &error))?;
        }
    }
    Ok(())
}

/// Makes a directory that others may enter, whatever this process's umask is.
fn make_directory(path: &Path) -> std::io::Result<()> {
    fs_err::create_dir_all(path)?;
    fs_err::set_permissions(path, PermissionsExt::from_mode(0o755))
}

/// The permissions that others have, for everyone.
fn as_others(mode: Mode) -> u32 {
    (mode.bits() & 0o007) * 0o111
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;
    use crate::progress::Silent;

    fn zip(path: &Path, fill: impl FnOnce(&mut ZipWriter<std::fs::File>)) -> Input {
        let mut zip = ZipWriter::new(fs_err::File::create(path).unwrap().into_parts().0);
        fill(&mut zip);
        zip.finish().unwrap();
        Input::Zips(vec![path.to_owned()])
    }

    fn options(mode: u32) -> SimpleFileOptions {
        SimpleFileOptions::default().unix_permissions(mode)
    }

    fn file(zip: &mut ZipWriter<std::fs::File>, name: &str, mode: u32, text: &str) {
        zip.start_file(name, options(mode)).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn the_later_layer_wins_and_modes_are_those_of_others() {
        let directory = tempfile::tempdir().unwrap();
        let first = zip(&directory.path().join("1.zip"), |zip| {
            file(zip, "bin/run", 0o755, "one");
            file(zip, "lib/secret", 0o600, "one");
            zip.add_symlink("lib/link", "secret", options(0o777)).unwrap();
        });
        let second = zip(&directory.path().join("2.zip"), |zip| {
            zip.add_directory("lib", options(0o755)).unwrap();
            file(zip, "bin/run", 0o744, "two");
            file(zip, "lib/link", 0o644, "a file now");
        });
        let to = directory.path().join("opt");
        overlay(&[first, second], &to, &Silent).unwrap();
        let mode = |path: &str| fs_err::metadata(to.join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(fs_err::read_to_string(to.join("bin/run")).unwrap(), "two");
        assert_eq!(mode("bin/run"), 0o444);
        assert_eq!(mode("lib/secret"), 0);
        assert_eq!(fs_err::read_to_string(to.join("lib/link")).unwrap(), "a file now");
    }

    /// The link is in one layer and the file below it in the other: nothing may be written through it.
    #[test]
    fn nothing_is_written_through_a_link_or_outside() {
        let directory = tempfile::tempdir().unwrap();
        let outside = directory.path().join("outside");
        fs_err::create_dir_all(&outside).unwrap();
        let link = zip(&directory.path().join("1.zip"), |zip| {
            zip.add_symlink("lib", outside.to_str().unwrap(), options(0o777))
                .unwrap();
        });
        let file_below = zip(&directory.path().join("2.zip"), |zip| file(zip, "lib/x", 0o644, "x"));
        for (number, inputs) in [[link.clone(), file_below.clone()], [file_below, link]]
            .iter()
            .enumerate()
        {
            let to = directory.path().join(format!("opt-{number}"));
            overlay(inputs, &to, &Silent).unwrap();
            assert!(to.join("lib").is_symlink());
        }
        assert_eq!(fs_err::read_dir(&outside).unwrap().count(), 0);
        let climbing = zip(&directory.path().join("3.zip"), |zip| file(zip, "../up", 0o644, "x"));
        assert!(overlay(&[climbing], &directory.path().join("opt"), &Silent).is_err());
        assert!(!directory.path().join("up").exists());
    }
}
