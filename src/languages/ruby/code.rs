//! What Ruby code refers to in a tree: what it requires, and files beside it.

use std::collections::BTreeSet;

use super::{GEMS, LIBRARY, SOURCE, gem_specifications};
use crate::languages::{Reference, SourceReader, absolute, fitting};
use crate::source::ANYTHING;
use crate::source::ruby::{References, Request, references};
use crate::tree::{Entry, File, Tree, TreePath};

/// What may be left out of the name of what is required (Ruby documentation, `Kernel#require`).
const ENDINGS: [&str; 3] = ["", SOURCE, ".so"];
/// A part of the name of the program that runs scripts.
const RUBY: &str = "ruby";
/// Longer names of files are not looked for, in bytes.
const LONGEST_NAME: usize = 200;

/// Reads the Ruby code of one tree.
pub(super) struct Scripts<'a> {
    tree: &'a Tree,
    /// The directories of installed gems.
    gems: Vec<TreePath>,
    /// Directories in which `require` looks.
    load_path: Vec<TreePath>,
}

impl<'a> Scripts<'a> {
    pub(super) fn of(tree: &'a Tree) -> Self {
        let homes: BTreeSet<TreePath> = gem_specifications(tree).map(|(home, _)| home).collect();
        let gems: Vec<TreePath> = homes
            .iter()
            .filter_map(|home| home.join(GEMS))
            .flat_map(|gems| {
                let inside = tree.below(&gems).map(|(path, _)| path);
                let of_gem = inside.filter(|path| path.parent().as_ref() == Some(&gems));
                of_gem.cloned().collect::<Vec<_>>()
            })
            .collect();
        let libraries = gems.iter().filter_map(|gem| gem.join(LIBRARY));
        let own = TreePath::new("ruby/lib").into_iter();
        Self {
            load_path: libraries.chain(own).collect(),
            gems,
            tree,
        }
    }

    fn is_file(&self, path: &TreePath) -> bool {
        matches!(self.tree.get(path), Some(Entry::File(_) | Entry::Symlink(_)))
    }

    /// The first file that a name without its ending may mean in one of several directories.
    fn required(&self, directories: impl Iterator<Item = TreePath>, name: &str) -> Vec<TreePath> {
        let paths = directories.filter_map(|directory| TreePath::normal(&format!("{}/{name}", directory.on_lambda())));
        let paths = paths.flat_map(|path| {
            let named = ENDINGS.map(|ending| path.sibling(&format!("{}{ending}", path.file_name())));
            named.into_iter().flatten()
        });
        paths.filter(|path| self.is_file(path)).take(1).collect()
    }

    /// What a path may mean that is written in code: from its own directory, the one above, or its gem's.
    fn written(&self, code: &TreePath, text: &str) -> Vec<TreePath> {
        if let Some(found) = absolute(self.tree, text) {
            return found;
        }
        let text = text.trim_start_matches([ANYTHING, "/"].concat().as_str());
        let is_beside = text.starts_with("./");
        let text = text.trim_start_matches("./").trim_matches('/');
        if !is_beside && !text.contains(['/', '.']) || text.is_empty() || text.len() > LONGEST_NAME {
            return Vec::new();
        }
        let gem = self.gems.iter().find(|gem| code.below(gem).is_some()).cloned();
        // `File.expand_path("../x", __FILE__)` goes on from the file itself.
        let own = std::iter::once(code.clone()).chain(code.ancestors().take(2));
        let starts: BTreeSet<TreePath> = own.chain(gem).collect();
        let Some(at) = text.find(ANYTHING) else {
            let paths = starts
                .iter()
                .filter_map(|start| TreePath::normal(&format!("{}/{text}", start.on_lambda())));
            let named = paths.flat_map(|path| {
                [
                    Some(path.clone()),
                    path.sibling(&format!("{}{SOURCE}", path.file_name())),
                ]
            });
            return named.flatten().filter(|path| self.tree.contains(path)).collect();
        };
        let Some(slash) = text[..at].rfind('/') else {
            let own = code.parent().into_iter();
            return own.flat_map(|own| fitting(self.tree, &own, text)).collect();
        };
        let directories = starts
            .iter()
            .filter_map(|start| TreePath::normal(&format!("{}/{}", start.on_lambda(), &text[..slash])));
        directories
            .flat_map(|directory| fitting(self.tree, &directory, &text[slash + 1..]))
            .collect()
    }
}

impl SourceReader for Scripts<'_> {
    fn is_source(&self, path: &TreePath, file: &File) -> bool {
        let script = || file.content.text().and_then(|text| text.lines().next());
        path.file_name().strip_suffix(SOURCE).is_some()
            || script().is_some_and(|line| line.starts_with("#!") && line.contains(RUBY))
    }

    fn name_in_code<'p>(&self, path: &'p TreePath) -> Option<&'p str> {
        let name = path.file_name();
        Some(name.strip_suffix(SOURCE).unwrap_or(name))
    }

    fn is_searched(&self, directory: &TreePath) -> bool {
        self.load_path.contains(directory)
    }

    fn references(&self, path: &TreePath, content: &[u8], _: &dyn Fn(&str) -> bool) -> Vec<Reference> {
        let References { requests, literals } = references(&String::from_utf8_lossy(content));
        let required = requests.iter().flat_map(|(request, literal)| {
            let files = match request {
                Request::Relative => self.required(path.parent().into_iter(), &literal.text),
                Request::Feature => self.required(self.load_path.iter().cloned(), &literal.text),
            };
            files.into_iter().map(move |to| (to, true, literal))
        });
        let written = literals.iter().flat_map(|literal| {
            let paths = self.written(path, &literal.text).into_iter();
            paths.map(move |to| (to, false, literal))
        });
        required
            .chain(written)
            .map(|(to, is_import, literal)| Reference::by_literal(to, is_import, literal))
            .collect()
    }
}
