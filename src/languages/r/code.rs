//! What R code refers to in a tree: packages, files of packages and of R itself, and files next to it. The code of installed
//! packages is compressed, and is not read.

use super::{R, homes};
use crate::languages::{Language, Package, Reference, SourceReader, absolute, with_all};
use crate::source::r::{Base, reads_by_topic, references};
use crate::tree::{File, Tree, TreePath};

/// How files of R code end.
pub(super) const ENDINGS: &[&str] = &[".R", ".r"];
/// A part of the name of the program that runs scripts.
pub(super) const INTERPRETER: &str = "Rscript";

/// Reads the R code of one tree.
pub(super) struct Scripts<'a> {
    tree: &'a Tree,
    packages: Vec<Package>,
    homes: Vec<TreePath>,
}

impl<'a> Scripts<'a> {
    pub(super) fn of(tree: &'a Tree) -> Self {
        Self {
            tree,
            packages: R.packages(tree),
            homes: homes(tree),
        }
    }

    /// Where paths relative to a base may begin.
    fn starts(&self, code: &TreePath, base: &Base) -> Vec<TreePath> {
        match base {
            Base::Package(name) => {
                let packages = self.packages.iter().filter(|package| package.name == *name);
                packages.map(|package| package.directory.clone()).collect()
            }
            Base::AnyPackage => self.packages.iter().map(|package| package.directory.clone()).collect(),
            Base::Home => self.homes.clone(),
            Base::OwnDirectory => code.parent().into_iter().collect(),
        }
    }

    /// A path, and all that is there if it is a directory: which of it is read, only a run tells.
    fn at(&self, path: TreePath) -> Vec<TreePath> {
        if self.tree.contains(&path) {
            with_all(self.tree, path)
        } else {
            Vec::new()
        }
    }
}

impl SourceReader for Scripts<'_> {
    fn is_source(&self, path: &TreePath, file: &File) -> bool {
        let script = || file.content.text().and_then(|text| text.lines().next());
        ENDINGS.iter().any(|ending| path.file_name().ends_with(ending))
            || script().is_some_and(|line| line.starts_with("#!") && line.contains(INTERPRETER))
    }

    fn name_in_code<'p>(&self, path: &'p TreePath) -> Option<&'p str> {
        Some(path.file_name())
    }

    fn may_list(&self, content: &[u8]) -> bool {
        reads_by_topic(content)
    }

    fn references(&self, path: &TreePath, content: &[u8], _is_wanted: &dyn Fn(&str) -> bool) -> Vec<Reference> {
        let mut found = Vec::new();
        for reference in references(&String::from_utf8_lossy(content)) {
            let written = reference.path.text.trim_start_matches("./");
            let (to, is_import): (Vec<TreePath>, bool) = match (&reference.from, written.is_empty()) {
                // Everything of R itself would be everything.
                (Base::Home | Base::AnyPackage | Base::OwnDirectory, true) => continue,
                (Base::Package(_), true) => (self.starts(path, &reference.from), true),
                (Base::OwnDirectory, _) if !written.contains(['/', '.']) => continue,
                (from, false) => {
                    let below_bases = || {
                        let paths = self.starts(path, from).into_iter();
                        paths.filter_map(|start| start.join(written)).collect()
                    };
                    let paths = absolute(self.tree, written).unwrap_or_else(below_bases).into_iter();
                    (paths.flat_map(|path| self.at(path)).collect(), false)
                }
            };
            let text = match &reference.from {
                Base::Package(name) if is_import => format!("library({name})"),
                Base::Package(name) => format!("system.file(\"{written}\", package = \"{name}\")"),
                Base::AnyPackage => reference.path.text.clone(),
                Base::Home => format!("R.home(\"{written}\")"),
                Base::OwnDirectory => written.to_owned(),
            };
            found.extend(to.into_iter().map(|to| Reference {
                to,
                is_import,
                text: text.clone(),
                line: Some(reference.path.line),
            }));
        }
        found
    }
}
