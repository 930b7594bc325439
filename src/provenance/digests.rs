//! Digests of what layers are made from.

use std::path::Path;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::{Hash, Input, Role};
use crate::manifest::file_hash;
use crate::plan::{Added, Origin};
use crate::progress::{Interrupted, Progress};
use crate::sbom;
use crate::scan::reader;
use crate::tree::{Entry, Tree, TreePath};

/// SHA-256 of a tree: of a list with an entry for each path, sorted by the bytes of the paths. An entry has the mode as Git writes
/// it (100644, 100755, 120000 or 040000), a space, the SHA-256 of the file's content or the link's target or nothing, a space, the
/// path, and a zero byte. `origin` says where in the directory a file is.
///
/// Neither owners nor times count, nor permissions that layers do not have: they change nothing in the zips. `None` if a file
/// cannot be read.
pub fn tree_digest<'a>(
    directory: &Path,
    tree: &'a Tree,
    origin: impl Fn(&'a TreePath) -> &'a TreePath,
    progress: &dyn Progress,
) -> Result<Option<Hash>, Interrupted> {
    let mut entries: Vec<(&TreePath, &Entry)> = tree.iter().map(|(path, entry)| (origin(path), entry)).collect();
    entries.sort_by_key(|(path, _)| path.as_str());
    let read = reader(directory);
    let lines = entries
        .par_iter()
        .map_init(Vec::new, |buffer, (path, entry)| {
            progress.check()?;
            let (mode, digest) = match entry {
                Entry::Directory(_) => ("040000", String::new()),
                Entry::Symlink(target) => ("120000", hexadecimal(target.as_bytes())),
                Entry::File(file) => {
                    if read(path, buffer).is_none() {
                        return Ok(None);
                    }
                    let mode = if file.mode.is_executable() { "100755" } else { "100644" };
                    (mode, hexadecimal(buffer))
                }
            };
            Ok(Some(format!("{mode} {digest} {}\0", path.as_str())))
        })
        .collect::<Result<Vec<Option<String>>, Interrupted>>()?;
    let list: Option<String> = lines.into_iter().collect();
    Ok(list.map(|list| Sha256::digest(list).into()))
}

/// The files of the machine that were added to a tree, with their SHA-256 and the package URLs of their packages.
pub fn library_digests(added: &[Added]) -> std::io::Result<Vec<Input>> {
    let of_machine = added.iter().filter_map(|file| match &file.from {
        Origin::Host(path) => Some((file, path)),
        _ => None,
    });
    of_machine
        .map(|(file, path)| {
            Ok(Input {
                role: Role::Library,
                name: file.from.to_string(),
                uri: file.package.as_ref().and_then(sbom::purl_of_host),
                // A library is often found by a link.
                digest: file_hash(&path.canonicalize()?)?.1,
            })
        })
        .collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(&Sha256::digest(bytes))
}
