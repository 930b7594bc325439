//! Writes files of an image to a directory that nobody else can write to.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::Permissions;
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

impl ExtractError {
    /// An error that is not about one layer: the first stands for all.
    fn of_all(error: io::Error) -> Self {
        Self { layer: 0, error }
    }
}

/// Writes the nodes into an empty directory.
///
/// Each path consists of plain names, and each directory on the way is made here before anything is put into it; links are made
/// last. So nothing is written through a link.
pub(super) fn extract(
    blobs: &Blobs,
    layers: &[String],
    nodes: &BTreeMap<Vec<u8>, Node>,
    into: &Path,
    progress: &dyn Progress,
) -> Result<(), ExtractError> {
    let files = make_directories(nodes, into).map_err(ExtractError::of_all)?;
    for (layer, mut wanted) in files {
        let written = blobs.read_contents(&layers[layer], progress, |entry, _, content| {
            wanted.remove(&entry).map_or(Ok(()), |file| file.write(content))
        });
        written.map_err(|error| ExtractError { layer, error })?;
    }
    make_links(nodes, into).map_err(ExtractError::of_all)
}

/// The files of an image, by the layer and the entry of its archive that has their contents.
type Files = BTreeMap<usize, BTreeMap<usize, ExtractedFile>>;

/// A file that is written, with its hard links.
#[derive(Default)]
struct ExtractedFile {
    mode: u32,
    paths: Vec<PathBuf>,
}

impl ExtractedFile {
    fn write(self, content: &mut dyn io::Read) -> io::Result<()> {
        let mut paths = self.paths.into_iter();
        let Some(first) = paths.next() else { return Ok(()) };
        let mut file = fs_err::File::create_new(&first)?;
        io::copy(content, &mut file)?;
        file.file().set_permissions(Permissions::from_mode(self.mode))?;
        // Hard links of the image are hard links here.
        paths.try_for_each(|path| fs_err::hard_link(&first, path))
    }
}

fn place(into: &Path, path: &[u8]) -> PathBuf {
    into.join(OsStr::from_bytes(path))
}

/// Makes all directories, and gives the files that are to be written into them. Fails if these are too much.
fn make_directories(nodes: &BTreeMap<Vec<u8>, Node>, into: &Path) -> io::Result<Files> {
    let mut files = Files::default();
    let mut left = BYTES;
    for (path, node) in nodes {
        match &node.kind {
            NodeKind::Directory => fs_err::create_dir(place(into, path))?,
            NodeKind::File { layer, entry, length } => {
                let file = files.entry(*layer).or_default().entry(*entry).or_default();
                if file.paths.is_empty() {
                    file.mode = node.mode | OWNER_OF_FILE;
                    left = left
                        .checked_sub(*length)
                        .ok_or_else(|| io::Error::other("it has more than 16 GiB of files"))?;
                }
                file.paths.push(place(into, path));
            }
            NodeKind::Symlink(_) | NodeKind::Fifo => {}
        }
    }
    Ok(files)
}

/// Makes links and named pipes, and gives directories their modes: what is in a directory before the directory itself.
fn make_links(nodes: &BTreeMap<Vec<u8>, Node>, into: &Path) -> io::Result<()> {
    for (path, node) in nodes.iter().rev() {
        let path = place(into, path);
        match &node.kind {
            NodeKind::Symlink(target) => fs_err::os::unix::fs::symlink(OsStr::from_bytes(target), path)?,
            NodeKind::Fifo => {
                let mode = Mode::from_raw_mode(node.mode & 0o777);
                rustix::fs::mknodat(CWD, path, FileType::Fifo, mode, 0)?;
            }
            NodeKind::Directory => {
                fs_err::set_permissions(path, Permissions::from_mode(node.mode | OWNER_OF_DIRECTORY))?;
            }
            NodeKind::File { .. } => {}
        }
    }
    Ok(())
}
