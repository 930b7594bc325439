//! What a run has taken, as it is in the trash.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::PruneError;

/// Version of this document's schema.
const VERSION: u32 = 1;

/// The file's name.
pub(super) const NAME: &str = "manifest.json";

/// What one run takes out of a tree, written before it begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) schema_version: u32,
    /// What is moved, in this order: relative to the tree and, under `files`, to the trash.
    pub(super) moves: Vec<String>,
    /// The directories in which something is moved, and those that are, as they were before.
    #[serde(rename = "folders")]
    pub(super) directories: Vec<Directory>,
    /// Every file and link that goes, with the rule that removes it: for people.
    pub(super) files: Vec<Taken>,
}

/// A directory as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Directory {
    /// Relative to the tree, `""` for the tree itself.
    pub(super) path: String,
    /// When it was last changed, in seconds since 1970.
    pub(super) seconds: i64,
    /// And the rest, in nanoseconds.
    pub(super) nanoseconds: i64,
}

/// A file or link and the rule that removes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Taken {
    pub(super) path: String,
    pub(super) rule: String,
    pub(super) bytes: u64,
}

impl Manifest {
    pub(super) fn new(moves: Vec<String>, directories: Vec<Directory>, files: Vec<Taken>) -> Self {
        Self {
            schema_version: VERSION,
            moves,
            directories,
            files,
        }
    }

    pub(super) fn to_json(&self) -> Result<Vec<u8>, PruneError> {
        let mut text = serde_json::to_vec_pretty(self).map_err(std::io::Error::from)?;
        text.push(b'\n');
        Ok(text)
    }

    /// The manifest in a directory of the trash. Its paths are plain: whoever wrote it, it cannot lead out of the tree.
    pub(super) fn read(directory: &Path) -> Result<Self, PruneError> {
        let path = directory.join(NAME);
        let broken = |reason: String| PruneError::Trash {
            path: path.clone(),
            reason,
        };
        let bytes = crate::open::read_regular(&path)?;
        let manifest: Self = serde_json::from_slice(&bytes).map_err(|error| broken(error.to_string()))?;
        if manifest.schema_version != VERSION {
            return Err(broken(format!(
                "it has version {}, and this program knows {VERSION}",
                manifest.schema_version
            )));
        }
        let plain = |path: &str| crate::tree::TreePath::new(path).is_some();
        let directories = manifest.directories.iter().map(|directory| &directory.path);
        match manifest
            .moves
            .iter()
            .chain(directories.filter(|path| !path.is_empty()))
            .find(|path| !plain(path))
        {
            Some(path) => Err(broken(format!("'{}' is not a path in a tree", path.escape_debug()))),
            None => Ok(manifest),
        }
    }
}
