//! A tree of files as plain data: what is where, how large it is and what it is.
//!
//! A [`Tree`] may come from a directory on disk ([`crate::scan`]) or from the entries of zips; nothing in it says which, so that
//! every question about a tree has one answer for both.

pub mod content;
mod generated;
pub mod path;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use serde::Serialize;

pub use content::Content;
pub use generated::GeneratedFile;
pub use path::TreePath;

use crate::elf::Object;
use crate::size::Bytes;

/// What one path of a tree is.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A directory.
    Directory(Mode),
    /// A regular file.
    File(File),
    /// A symbolic link, with its target as it is written in the link.
    Symlink(String),
}

/// A regular file.
#[derive(Debug, Clone, PartialEq)]
pub struct File {
    /// Its length.
    pub bytes: Bytes,
    /// Its permissions.
    pub mode: Mode,
    /// What it is, as far as its content matters to the rest of the program.
    pub content: Content,
}

/// Permission bits as chmod(2) has them, `0o7777` at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(u16);

impl Mode {
    /// What a directory has in a layer.
    pub const DIRECTORY: Self = Self(0o755);
    /// What a program or script has in a layer.
    pub const EXECUTABLE: Self = Self(0o755);
    /// What any other file has in a layer.
    pub const FILE: Self = Self(0o644);

    /// The permission bits of a mode, the file's type left out.
    pub fn new(bits: u32) -> Self {
        // The mask leaves twelve bits, which fit.
        #[allow(clippy::cast_possible_truncation)]
        Self((bits & 0o7777) as u16)
    }

    /// The bits.
    pub fn bits(self) -> u32 {
        u32::from(self.0)
    }

    /// Whether anyone may execute the file.
    pub fn is_executable(self) -> bool {
        self.0 & 0o111 != 0
    }

    /// Whether others may execute the file: on Lambda nobody is the owner of /opt.
    pub fn others_may_execute(self) -> bool {
        self.0 & 0o001 != 0
    }

    /// What a file has in a layer: 0755 if anyone may execute it, else 0644.
    ///
    /// On Lambda nobody is the owner of /opt, so what counts is what others may do; AWS's documentation asks for
    /// 644 for files and 755 for directories and executables.
    pub fn in_layer(self) -> Self {
        if self.is_executable() {
            Self::EXECUTABLE
        } else {
            Self::FILE
        }
    }
}

/// Four octal digits, as chmod(1) reads them.
impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:04o}", self.0))
    }
}

impl Entry {
    /// How much this entry counts towards Lambda's unzipped limit: a file its length, a link the length of its target,
    /// a directory nothing.
    ///
    /// AWS documents no rule; this is how the sum of a zip's entries comes out, and the sizes in AWS's error messages
    /// are not multiples of a disk block.
    pub fn unzipped(&self) -> Bytes {
        match self {
            Self::Directory(_) => Bytes(0),
            Self::File(file) => file.bytes,
            Self::Symlink(target) => Bytes(target.len() as u64),
        }
    }
}

/// Files, directories and links by their path. Every entry's parent directories are entries, too, up to the root, which is not.
///
/// Clones share the entries until one of them changes: the steps of a plan hold one tree each, and most change nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tree {
    entries: Arc<BTreeMap<TreePath, Entry>>,
}

impl FromIterator<(TreePath, Entry)> for Tree {
    /// As [`Tree::insert`] of one entry after the other, in about half the memory: a map that is made at once has full nodes.
    fn from_iter<I: IntoIterator<Item = (TreePath, Entry)>>(entries: I) -> Self {
        let mut tree = Self {
            entries: Arc::new(entries.into_iter().collect()),
        };
        let mut missing: BTreeSet<TreePath> = BTreeSet::new();
        let mut last = None;
        for path in tree.entries.keys() {
            let parent = path.splits().next().map(|(parent, _)| parent);
            if parent != last {
                last = parent;
                let above = path.ancestors().take_while(|directory| !tree.contains(directory));
                missing.extend(above);
            }
        }
        for directory in missing {
            tree.insert(directory, Entry::Directory(Mode::DIRECTORY));
        }
        tree
    }
}

impl IntoIterator for Tree {
    type Item = (TreePath, Entry);
    type IntoIter = std::collections::btree_map::IntoIter<TreePath, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        Arc::unwrap_or_clone(self.entries).into_iter()
    }
}

/// How many entries of each kind a tree has, and their size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Totals {
    /// Regular files.
    pub files: usize,
    /// Directories, the root not counted.
    pub directories: usize,
    /// Symbolic links.
    pub symlinks: usize,
    /// The sum of [`Entry::unzipped`].
    pub unzipped_bytes: Bytes,
}

impl Tree {
    /// Puts an entry at a path, with the directories above it where they are not there yet, and returns what it replaces.
    pub fn insert(&mut self, path: TreePath, entry: Entry) -> Option<Entry> {
        let missing = |(directory, _): &(&str, &str)| !directory.is_empty() && !self.entries.contains_key(*directory);
        let missing = path.splits().take_while(missing).count();
        let entries = Arc::make_mut(&mut self.entries);
        for directory in path.ancestors().take(missing) {
            entries.insert(directory, Entry::Directory(Mode::DIRECTORY));
        }
        entries.insert(path, entry)
    }

    /// The entry at a path, links not followed; `None` for the root and for what is not there.
    pub fn get(&self, path: &TreePath) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// The entry at a path that is written as in [`TreePath::as_str`], links not followed.
    pub fn at(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// Whether something is at the path; the root always is.
    pub fn contains(&self, path: &TreePath) -> bool {
        path.is_root() || self.entries.contains_key(path)
    }

    /// The file at the path, if there is one.
    pub fn file(&self, path: &TreePath) -> Option<&File> {
        match self.get(path) {
            Some(Entry::File(file)) => Some(file),
            _ => None,
        }
    }

    /// The text of a file whose content is kept as text; see [`content::Inspector::inspect`].
    pub fn text(&self, path: &TreePath) -> Option<&str> {
        self.file(path).and_then(|file| file.content.text())
    }

    /// The ELF object at the path, if there is one.
    pub fn object(&self, path: &TreePath) -> Option<&Object> {
        self.file(path).and_then(|file| file.content.object())
    }

    /// All entries, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, &Entry)> {
        self.entries.iter()
    }

    /// All regular files, sorted by path.
    pub fn files(&self) -> impl Iterator<Item = (&TreePath, &File)> {
        self.iter().filter_map(|(path, entry)| match entry {
            Entry::File(file) => Some((path, file)),
            _ => None,
        })
    }

    /// All ELF objects, sorted by path.
    pub fn objects(&self) -> impl Iterator<Item = (&TreePath, &Object)> {
        self.files()
            .filter_map(|(path, file)| Some((path, file.content.object()?)))
    }

    /// The directories that have one of these names, sorted by path.
    pub fn directories_named<'a>(&'a self, names: &'a [&str]) -> impl Iterator<Item = TreePath> + 'a {
        self.iter()
            .filter(|(path, entry)| matches!(entry, Entry::Directory(_)) && names.contains(&path.file_name()))
            .map(|(path, _)| path.clone())
    }

    /// The entries whose paths begin with a text, sorted by path.
    pub fn beginning_with<'a>(&'a self, begin: &'a str) -> impl Iterator<Item = (&'a TreePath, &'a Entry)> {
        let run = self.entries.range::<str, _>((Bound::Included(begin), Bound::Unbounded));
        run.take_while(move |(path, _)| path.as_str().starts_with(begin))
    }

    /// The entries below a directory, the directory itself not among them.
    pub fn below<'a>(&'a self, directory: &'a TreePath) -> impl Iterator<Item = (&'a TreePath, &'a Entry)> {
        // Sorted as text, `a-b` is between `a` and `a/b`: the run from `a/` on is what is below `a`.
        let start = if directory.is_root() {
            Bound::Unbounded
        } else {
            Bound::Excluded(directory.clone())
        };
        self.entries
            .range((start, Bound::Unbounded))
            .skip_while(move |(path, _)| {
                path.below(directory).is_none() && path.as_str().starts_with(directory.as_str())
            })
            .take_while(move |(path, _)| path.below(directory).is_some())
    }

    /// Counts and sizes over all entries.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for entry in self.entries.values() {
            match entry {
                Entry::Directory(_) => totals.directories += 1,
                Entry::File(_) => totals.files += 1,
                Entry::Symlink(_) => totals.symlinks += 1,
            }
            totals.unzipped_bytes += entry.unzipped();
        }
        totals
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    #[test]
    fn below_gives_exactly_what_lies_in_a_directory() {
        let mut tree = Tree::default();
        for text in ["a/x", "a/y/z", "a-b/x", "a.c", "ab", "b"] {
            tree.insert(path(text), Entry::Symlink("t".into()));
        }
        let below =
            |directory: TreePath| -> Vec<String> { tree.below(&directory).map(|(path, _)| path.to_string()).collect() };
        assert_eq!(below(path("a")), ["a/x", "a/y", "a/y/z"]);
        assert_eq!(below(path("a/y")), ["a/y/z"]);
        assert_eq!(below(path("b")), [""; 0]);
        assert_eq!(below(TreePath::root()).len(), 9);
    }

    #[test]
    fn parents_are_entries_too() {
        let mut tree = Tree::default();
        tree.insert(path("a/b/c"), Entry::Symlink("xyz".into()));
        let totals = tree.totals();
        assert_eq!((totals.directories, totals.symlinks), (2, 1));
        assert_eq!(totals.unzipped_bytes, Bytes(3));
    }

    #[test]
    fn a_tree_made_at_once_is_that_made_one_by_one() {
        let link = |target: &str| Entry::Symlink(target.into());
        let entries = [
            (path("b/c/d"), link("1")),
            (path("b/c/e"), link("2")),
            (path("a"), link("3")),
            (path("b/c"), Entry::Directory(Mode::new(0o700))),
            (path("b/c/d"), link("4")),
            (path("b/f/g"), link("5")),
        ];
        let mut one_by_one = Tree::default();
        for (path, entry) in entries.clone() {
            one_by_one.insert(path, entry);
        }
        assert_eq!(entries.into_iter().collect::<Tree>(), one_by_one);
    }
}
