//! Writes files of an image to a directory that nobody else can write to.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode};

use super::blobs::Blobs;
use super::layers::{Node, NodeKind};
use crate::progress::Progress;

/// How many bytes are written at most: many times what fits into layers.
const BYTES: u64 = 16 << 30;

/// What its owner may always do, so that the files can be read and removed.
const OWNER_OF_DIRECTORY: u32 = 0o700;
const OWNER_OF_FILE: u32 = 0o400;

/// An error and the number of the layer in which it is.
pub(super) struct ExtractError {
    pub(super) layer: usize,
    pub(super) error: io::Error,
}

/// Writes the nodes into an empty directory.
///
/// Each path consists of plain names, and each directory on the way is made here before anything is put into it; links are made
/// last. So nothing is written through a link.
// Long: directories, files and links in this order are what keeps a link from being written through.
pub(super) fn extract(
    blobs: &Blobs,
    layers: &[String],
    nodes: &BTreeMap<Vec<u8>, Node>,
    into: &Path,
    progress: &dyn Progress,
) -> Result<(), ExtractError> {
    let here = |error| ExtractError { layer: 0, error };
    let at = |path: &[u8]| into.join(OsStr::from_bytes(path));
    let mut files: BTreeMap<usize, BTreeMap<usize, Vec<PathBuf>>> = BTreeMap::new();
    let mut modes: BTreeMap<PathBuf, u32> = BTreeMap::new();
    let mut left = BYTES;
    for (path, node) in nodes {
        match &node.kind {
            NodeKind::Directory => fs_err::create_dir(at(path)).map_err(here)?,
            NodeKind::File { layer, entry, length } => {
                let paths = files.entry(*layer).or_default().entry(*entry).or_default();
                if paths.is_empty() {
                    left = left
                        .checked_sub(*length)
                        .ok_or_else(|| here(io::Error::other("it has more than 16 GiB of files")))?;
                }
                paths.push(at(path));
                modes.insert(at(path), node.mode | OWNER_OF_FILE);
            }
            NodeKind::Symlink(_) | NodeKind::Fifo => {}
        }
    }
    for (layer, mut wanted) in files {
        let written = blobs.read_contents(&layers[layer], progress, |entry, _, content| {
            let Some(paths) = wanted.remove(&entry) else {
                return Ok(());
            };
            let mut paths = paths.into_iter();
            let Some(first) = paths.next() else { return Ok(()) };
            let mut file = fs_err::File::create_new(&first)?;
            io::copy(content, &mut file)?;
            if let Some(mode) = modes.get(&first) {
                file.file().set_permissions(std::fs::Permissions::from_mode(*mode))?;
            }
            // Hard links of the image are hard links here.
            paths.try_for_each(|path| fs_err::hard_link(&first, path))
        });
        written.map_err(|error| ExtractError { layer, error })?;
    }
    for (path, node) in nodes.iter().rev() {
        match &node.kind {
            NodeKind::Symlink(target) => {
                fs_err::os::unix::fs::symlink(OsStr::from_bytes(target), at(path)).map_err(here)?;
            }
            NodeKind::Fifo => {
                let mode = Mode::from_raw_mode(node.mode & 0o777);
                rustix::fs::mknodat(CWD, at(path), FileType::Fifo, mode, 0).map_err(|error| here(error.into()))?;
            }
            NodeKind::Directory => {
                let mode = std::fs::Permissions::from_mode(node.mode | OWNER_OF_DIRECTORY);
                fs_err::set_permissions(at(path), mode).map_err(here)?;
            }
            NodeKind::File { .. } => {}
        }
    }
    Ok(())
}
