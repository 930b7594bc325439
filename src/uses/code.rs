//! Uses by source code: imports, and paths relative to a module.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::AhoCorasick;

use super::words::{is_of_identifier, is_whole};
use super::{Evidence, FindUses, Source, Use, UseKind, Used, User};
use crate::languages::{Asked, LANGUAGES, Package, Reference, SourceReader};
use crate::tree::{Entry, Tree, TreePath};

/// Finds what source code refers to. Only files that have a name of something at stake in them are parsed; what is among
/// that itself always is.
pub struct SourceCode<'a> {
    tree: &'a Tree,
    at_stake: &'a BTreeSet<TreePath>,
    readers: Vec<Reader<'a>>,
    /// Packages by the directories that are theirs alone.
    packages: BTreeMap<TreePath, Package>,
}

struct Reader<'a> {
    reader: &'a (dyn SourceReader + 'a),
    names: AhoCorasick,
}

/// The readers of all languages of which a tree has source code.
pub struct SourceReaders<'a>(Vec<Box<dyn SourceReader + 'a>>);

impl<'a> SourceReaders<'a> {
    /// Makes ready to read source code.
    pub fn of(tree: &'a Tree, asked: Asked) -> Self {
        let readers = LANGUAGES
            .iter()
            .filter_map(|language| language.source_reader(tree, asked));
        let readers = readers.filter(|reader| tree.files().any(|(path, file)| reader.is_source(path, file)));
        Self(readers.collect())
    }
}

impl<'a> SourceCode<'a> {
    /// Makes ready to look for uses of what is at stake.
    pub fn of(tree: &'a Tree, readers: &'a SourceReaders<'a>, at_stake: &'a BTreeSet<TreePath>) -> Self {
        let outermost: BTreeSet<&TreePath> = at_stake.iter().map(|path| outermost(path, at_stake)).collect();
        let packages = LANGUAGES.iter().flat_map(|language| language.packages(tree));
        let of_directories = packages.flat_map(|package| {
            let directories: Vec<TreePath> = package.owned.iter().chain([&package.directory]).cloned().collect();
            directories
                .into_iter()
                .map(move |directory| (directory, package.clone()))
        });
        Self {
            tree,
            at_stake,
            readers: readers
                .0
                .iter()
                .map(AsRef::as_ref)
                .filter_map(|reader| {
                    let is_found = |path: &&TreePath| path.parent().is_some_and(|above| reader.is_searched(&above));
                    let found = at_stake.iter().filter(is_found);
                    let names = outermost.iter().copied().chain(found);
                    let names = names.flat_map(|path| names_in_code(reader, path));
                    let names: BTreeSet<&str> = names.collect();
                    Some(Reader {
                        names: AhoCorasick::new(names).ok()?,
                        reader,
                    })
                })
                .collect(),
            packages: of_directories.collect(),
        }
    }

    /// What a reference uses: a whole package, if it is one of which all is at stake.
    fn used(&self, reference: &Reference) -> Used {
        let mut above = std::iter::once(reference.to.clone()).chain(reference.to.ancestors());
        let package = above.find_map(|directory| self.packages.get(&directory));
        match package.filter(|package| reference.is_import && self.at_stake.contains(&package.manifest)) {
            Some(package) => super::whole_package(package),
            None => Used::Path(reference.to.clone()),
        }
    }

    /// What is in a directory that is at stake as a whole and to which code has the path: which of it is read, only a run
    /// tells.
    fn inside(&self, reference: &Reference) -> Vec<TreePath> {
        let is_directory = matches!(self.tree.get(&reference.to), Some(Entry::Directory(_)));
        if reference.is_import || !is_directory || !self.at_stake.contains(&reference.to) {
            return Vec::new();
        }
        let below = self.tree.below(&reference.to).map(|(path, _)| path);
        below.filter(|path| self.at_stake.contains(*path)).cloned().collect()
    }
}

/// How code names a path: by its name or that of the directory for which it stands or, where it is not a module, by what all
/// files of its kind end with.
fn names_in_code<'p>(reader: &dyn SourceReader, path: &'p TreePath) -> impl Iterator<Item = &'p str> {
    let name = reader.name_in_code(path);
    let is_whole = name.is_some_and(|name| name == path.file_name());
    let dots = [path.file_name().find('.'), path.file_name().rfind('.')];
    let endings = dots.into_iter().flatten().filter(move |at| is_whole && *at > 0);
    let above = path.splits().next().filter(|_| reader.stands_for_directory(path));
    let directory = above.and_then(|(above, _)| above.rsplit('/').next());
    name.into_iter()
        .chain(endings.map(|at| &path.file_name()[at..]))
        .chain(directory.filter(|name| !name.is_empty()))
}

/// The outermost directory above a path that is at stake as a whole, or the path itself: code outside of it has to name it.
fn outermost<'p>(path: &'p TreePath, at_stake: &'p BTreeSet<TreePath>) -> &'p TreePath {
    let directories = path.splits().filter_map(|(directory, _)| at_stake.get(directory));
    directories.last().unwrap_or(path)
}

impl FindUses for SourceCode<'_> {
    fn reads(&self, path: &TreePath, entry: &Entry) -> bool {
        let Entry::File(file) = entry else { return false };
        self.readers.iter().any(|reader| reader.reader.is_source(path, file))
    }

    fn uses(&self, source: &Source<'_>) -> Vec<Use> {
        let (Entry::File(file), Some(content)) = (source.entry, source.content()) else {
            return Vec::new();
        };
        let is_at_stake = self.at_stake.contains(source.path);
        let readers = self
            .readers
            .iter()
            .filter(|reader| reader.reader.is_source(source.path, file));
        let reader = readers
            .into_iter()
            .find(|reader| is_at_stake || has_word(content, &reader.names) || reader.reader.may_list(content));
        let Some(reader) = reader else { return Vec::new() };
        let mut uses = Vec::new();
        // Code outside of what is at stake names it; code within need not.
        let is_wanted = |part: &str| is_at_stake || has_word(part.as_bytes(), &reader.names);
        for reference in reader.reader.references(source.path, content, &is_wanted) {
            let to = self.used(&reference);
            if matches!(&to, Used::Path(path) if !self.at_stake.contains(path)) {
                continue;
            }
            let inside = self.inside(&reference).into_iter().map(Used::Path);
            uses.extend(std::iter::once(to).chain(inside).map(|to| Use {
                from: User::Path(source.path.clone()),
                to,
                kind: if reference.is_import {
                    UseKind::Import
                } else {
                    UseKind::Path
                },
                evidence: Evidence {
                    text: reference.text.clone(),
                    line: reference.line,
                },
            }));
        }
        uses
    }
}

/// Whether a content has one of the names, and not only as a part of a longer one.
fn has_word(content: &[u8], names: &AhoCorasick) -> bool {
    names
        .find_overlapping_iter(content)
        .any(|found| is_whole(content, found.range(), is_of_identifier))
}
