//! What a shell script on Lambda sees of files.

use super::{Location, Root};
use crate::shell::{FileKind, Files};
use crate::tree::{Entry, TreePath};

impl Files for Root<'_> {
    fn kind(&self, path: &str) -> Option<FileKind> {
        if self.directory(path).is_some() {
            return Some(FileKind::Directory);
        }
        match self.resolve(path) {
            Ok(Location::Tree(path)) => Some(match self.tree.get(&path) {
                Some(Entry::File(file)) => FileKind::File {
                    is_executable: file.mode.is_executable(),
                },
                _ => FileKind::Directory,
            }),
            Ok(Location::Runtime(path)) => Some(FileKind::File {
                is_executable: self
                    .runtime
                    .command_path()
                    .iter()
                    .any(|directory| path.starts_with(directory.as_str())),
            }),
            Err(_) => path.starts_with("/opt/").then_some(FileKind::Missing),
        }
    }

    fn text(&self, path: &str) -> Option<String> {
        match self.resolve(path) {
            Ok(Location::Tree(path)) => self.tree.text(&path).map(ToOwned::to_owned),
            _ => None,
        }
    }

    fn real(&self, path: &str) -> Option<String> {
        self.resolve(path).ok().map(|place| place.on_lambda())
    }

    fn names(&self, path: &str) -> Option<Vec<String>> {
        match self.directory(path) {
            Some(Location::Tree(directory)) => {
                let below = self.tree.below(&directory);
                let own = below.filter(|(path, _)| path.parent().unwrap_or_else(TreePath::root) == directory);
                Some(own.map(|(path, _)| path.file_name().to_owned()).collect())
            }
            Some(Location::Runtime(_)) => None,
            None => path.starts_with("/opt/").then(Vec::new),
        }
    }
}
