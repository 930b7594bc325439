//! Files that this program writes.

use super::content::Inspector;
use super::{Entry, File, Mode, TreePath};
use crate::size::Bytes;

/// A file that this program writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedFile {
    /// Its path in the tree or the layers.
    pub path: TreePath,
    /// Its permissions.
    pub mode: Mode,
    /// What is in it.
    pub text: String,
}

impl GeneratedFile {
    /// The file as an entry of a tree.
    pub fn entry(&self, inspector: &Inspector) -> Entry {
        Entry::File(File {
            bytes: Bytes(self.text.len() as u64),
            mode: self.mode,
            content: inspector.inspect(self.path.file_name(), self.text.as_bytes()),
        })
    }
}
