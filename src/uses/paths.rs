//! Uses by an absolute path that is written in a file, be it a text or a program.
//!
//! A path may go on where only a run would tell how: `/opt/share/$name`, `/opt/plugins/*.so`, `"/opt/data/" + name`. Then
//! everything counts as meant that the written part is the beginning of, in that one directory.

use std::collections::BTreeSet;

use memchr::memmem;

use super::words::{is_of_name_in_text, is_of_path_in_text};
use super::written::is_text;
use super::{Evidence, FindUses, Source, Use, UseKind, Used};
use crate::root::{Location, Root};
use crate::tree::path::LAYER_ROOT;
use crate::tree::{Entry, Tree, TreePath};

/// Longer paths do not exist (limits.h(0p): PATH_MAX on Linux), in bytes.
const LONGEST_PATH: usize = 4096;

/// What may follow a path in a sentence and is not part of it.
const BEHIND_PATHS: [char; 2] = ['.', '-'];

/// Finds paths below `/opt` that are written in files and lead to something that a rule matches.
pub struct WrittenPaths<'a> {
    root: Root<'a>,
    at_stake: &'a BTreeSet<TreePath>,
    emptied_by: &'a BTreeSet<TreePath>,
    /// Those of them that have spaces and the like in their names, with their absolute paths.
    odd: Vec<(String, &'a TreePath)>,
    finder: memmem::Finder<'static>,
}

impl<'a> WrittenPaths<'a> {
    /// Makes ready to look for paths to these; `None` if there are none. A directory that is named is read as a whole where it
    /// would be empty without `emptied_by`.
    pub fn of(root: Root<'a>, at_stake: &'a BTreeSet<TreePath>, emptied_by: &'a BTreeSet<TreePath>) -> Option<Self> {
        let absolute = at_stake.iter().map(|path| (path.on_lambda(), path));
        (!at_stake.is_empty()).then(|| Self {
            root,
            at_stake,
            emptied_by,
            odd: absolute
                .filter(|(absolute, _)| !absolute.bytes().all(is_of_path_in_text))
                .collect(),
            finder: memmem::Finder::new(LAYER_ROOT).into_owned(),
        })
    }

    /// What is written from a place of a content on, where [`LAYER_ROOT`] stands: the paths that it means.
    fn meant(&self, content: &[u8], at: usize) -> Option<(String, Vec<TreePath>)> {
        let rest = &content[at..content.len().min(at + LONGEST_PATH)];
        let end = rest
            .iter()
            .position(|byte| !is_of_path_in_text(*byte))
            .unwrap_or(rest.len());
        let written = std::str::from_utf8(&rest[..end]).ok()?;
        let below = &written[LAYER_ROOT.len()..];
        if !below.is_empty() && !below.starts_with('/') {
            return None;
        }
        let goes_on = written.ends_with('/') || rest.get(end).is_some_and(|next| b"$*?%{[\\".contains(next));
        let plain = written.trim_end_matches(BEHIND_PATHS);
        let mut meant = [written, plain].into_iter().find_map(|path| self.lead_to(path));
        let odd = self
            .odd
            .iter()
            .filter(|(absolute, _)| rest.starts_with(absolute.as_bytes()));
        let odd: Vec<TreePath> = odd.map(|(_, path)| (*path).clone()).collect();
        if !odd.is_empty() {
            return Some((written.to_owned(), odd));
        }
        if meant.is_none() && goes_on {
            meant = Some(self.beginning_with(written));
        } else if written.ends_with('/') {
            meant.get_or_insert_default().extend(self.beginning_with(written));
        }
        meant.map(|meant| (written.to_owned(), meant))
    }

    /// Everything in a directory of which nothing would be left.
    fn whole(&self, directory: &TreePath) -> Vec<TreePath> {
        whole(self.root.tree, self.emptied_by, directory)
    }

    /// What an absolute path leads to, and the links on the way; `None` if it leads nowhere.
    fn lead_to(&self, absolute: &str) -> Option<Vec<TreePath>> {
        let mut passed = Vec::new();
        let Ok(Location::Tree(place)) = self.root.walk(absolute, |link| passed.push(link)) else {
            return None;
        };
        passed.push(place);
        Some(passed)
    }

    /// What is in the directory of a path and has a name that begins as written.
    fn beginning_with(&self, written: &str) -> Vec<TreePath> {
        let Some((directory, begin)) = written.rsplit_once('/') else {
            return Vec::new();
        };
        // Everything at the top would be everything.
        let Ok(Location::Tree(directory)) = self.root.resolve(directory) else {
            return Vec::new();
        };
        if directory.is_root() {
            return Vec::new();
        }
        let inside = self.root.tree.below(&directory).map(|(path, _)| path);
        inside
            .filter(|path| {
                let name = path.below(&directory).unwrap_or_default();
                name.starts_with(begin) && !name.contains('/')
            })
            .cloned()
            .collect()
    }
}

impl FindUses for WrittenPaths<'_> {
    fn reads(&self, _: &TreePath, entry: &Entry) -> bool {
        matches!(entry, Entry::File(_))
    }

    fn uses(&self, source: &Source<'_>) -> Vec<Use> {
        let Some(content) = source.content() else {
            return Vec::new();
        };
        let is_text = is_text(content);
        let mut uses = Vec::new();
        let mut known = BTreeSet::new();
        for at in self.finder.find_iter(content) {
            // In a text, `/usr/local/opt` and `-I/opt` are something else; in a program strings may stand side by side.
            let is_begun = at == 0 || !is_of_name_in_text(content[at - 1]);
            if is_text && !is_begun {
                continue;
            }
            let Some((written, meant)) = self.meant(content, at) else {
                continue;
            };
            // What sets a variable or a search path to a directory does not read it yet.
            let is_set = at > 0 && b"=:".contains(&content[at - 1]);
            let inside = meant.iter().filter(|_| is_text && !is_set);
            let inside: Vec<TreePath> = inside.flat_map(|path| self.whole(path)).collect();
            for path in meant.into_iter().chain(inside) {
                if self.at_stake.contains(&path) && known.insert(path.clone()) {
                    let evidence = Evidence {
                        text: written.clone(),
                        line: is_text.then(|| line_of(content, at)),
                    };
                    uses.push(source.uses(Used::Path(path), UseKind::Path, evidence));
                }
            }
        }
        uses
    }
}

/// Everything in a directory of which nothing would be left without some paths; nothing for the top of the tree.
pub(super) fn whole(tree: &Tree, emptied_by: &BTreeSet<TreePath>, directory: &TreePath) -> Vec<TreePath> {
    if directory.is_root() || !matches!(tree.get(directory), Some(Entry::Directory(_))) {
        return Vec::new();
    }
    let is_left = |(path, entry): (&TreePath, &Entry)| {
        let is_directory = matches!(entry, Entry::Directory(_));
        !is_directory && !emptied_by.contains(path)
    };
    if tree.below(directory).any(is_left) {
        return Vec::new();
    }
    tree.below(directory).map(|(path, _)| path.clone()).collect()
}

/// How files of settings end, which name others by paths from their own directory. Manifests of packages are read by their languages.
const SETTINGS: [&str; 9] = [
    ".json",
    ".toml",
    ".yaml",
    ".yml",
    ".ini",
    ".cfg",
    ".conf",
    ".xml",
    ".properties",
];
const MANIFESTS: [&str; 8] = [
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "composer.json",
    "bower.json",
    "pyproject.toml",
    "setup.cfg",
    "tox.ini",
];

/// Finds paths in settings that begin with `./` or `../` and lead to something that a rule matches.
pub struct RelativePaths<'a> {
    tree: &'a Tree,
    at_stake: &'a BTreeSet<TreePath>,
    emptied_by: &'a BTreeSet<TreePath>,
}

impl<'a> RelativePaths<'a> {
    /// Makes ready to look for paths to these; `None` if there are none. A directory that is named is read as a whole where it
    /// would be empty without `emptied_by`.
    pub fn of(tree: &'a Tree, at_stake: &'a BTreeSet<TreePath>, emptied_by: &'a BTreeSet<TreePath>) -> Option<Self> {
        (!at_stake.is_empty()).then_some(Self {
            tree,
            at_stake,
            emptied_by,
        })
    }
}

impl FindUses for RelativePaths<'_> {
    fn reads(&self, path: &TreePath, entry: &Entry) -> bool {
        let name = path.file_name();
        let is_settings = SETTINGS.iter().any(|ending| name.ends_with(ending)) && !MANIFESTS.contains(&name);
        is_settings && matches!(entry, Entry::File(_))
    }

    fn uses(&self, source: &Source<'_>) -> Vec<Use> {
        let own = source.path.parent().filter(|_| self.reads(source.path, source.entry));
        let (Some(own), Some(content)) = (own, source.content()) else {
            return Vec::new();
        };
        let mut uses = Vec::new();
        for at in memmem::find_iter(content, "./") {
            let start = if at > 0 && content[at - 1] == b'.' { at - 1 } else { at };
            if start > 0 && is_of_path_in_text(content[start - 1]) {
                continue;
            }
            let rest = &content[start..content.len().min(start + LONGEST_PATH)];
            let end = rest.iter().position(|byte| !is_of_path_in_text(*byte));
            let Ok(written) = std::str::from_utf8(&rest[..end.unwrap_or(rest.len())]) else {
                continue;
            };
            let Some(path) = TreePath::normal(&format!("{}/{written}", own.on_lambda())) else {
                continue;
            };
            let inside = whole(self.tree, self.emptied_by, &path);
            let paths = std::iter::once(path).chain(inside);
            let paths: BTreeSet<TreePath> = paths.filter(|path| self.at_stake.contains(path)).collect();
            uses.extend(paths.into_iter().map(|path| {
                let evidence = Evidence {
                    text: written.to_owned(),
                    line: Some(line_of(content, start)),
                };
                source.uses(Used::Path(path), UseKind::Path, evidence)
            }));
        }
        uses
    }
}

/// The line that a place of a text is in, counted from 1.
pub(super) fn line_of(text: &[u8], at: usize) -> usize {
    1 + memchr::memchr_iter(b'\n', &text[..at]).count()
}
