//! What Python modules refer to in a tree: the modules that they import, and files next to them.

use std::collections::BTreeSet;

use super::module_directories;
use crate::languages::{Reference, SourceReader};
use crate::source::python::{Import, References, references};
use crate::tree::{Entry, File, Tree, TreePath};

/// How files of modules end (importlib.machinery).
const MODULES: [&str; 3] = [".py", ".so", ".pyc"];
/// The file that is run when a package is imported.
const PACKAGE: &str = "__init__";

/// Reads the Python modules of one tree.
pub(super) struct Modules<'a> {
    tree: &'a Tree,
    /// Directories in which absolute imports are looked for.
    roots: BTreeSet<TreePath>,
}

impl<'a> Modules<'a> {
    pub(super) fn of(tree: &'a Tree) -> Self {
        let mut roots = module_directories(tree);
        // The standard library is above the directory for what is installed.
        let above: Vec<TreePath> = roots.iter().filter_map(TreePath::parent).collect();
        roots.extend(above);
        Self { tree, roots }
    }

    /// The files that are run when the module of this name in a directory is imported.
    fn module(&self, directory: &TreePath, name: &str) -> Vec<TreePath> {
        let Some(path) = directory.join(name) else {
            return Vec::new();
        };
        let inside = path.join(PACKAGE);
        let stems = [Some(path), inside].into_iter().flatten();
        stems.flat_map(|stem| self.with_stem(&stem)).collect()
    }

    /// The files of modules that have this path, but for what comes behind a dot.
    fn with_stem(&self, stem: &TreePath) -> Vec<TreePath> {
        let begin = format!("{}.", stem.as_str());
        let found = self.tree.beginning_with(&begin).map(|(path, _)| path);
        found
            .filter(|path| MODULES.iter().any(|ending| path.as_str().ends_with(ending)))
            .filter(|path| !path.as_str()[begin.len()..].contains('/'))
            .cloned()
            .collect()
    }

    /// The files that an import runs, from the outermost package inwards, as seen from a directory.
    fn imported(&self, directory: &TreePath, import: &Import) -> Vec<TreePath> {
        let mut files = Vec::new();
        let mut here = directory.clone();
        for name in import.module.split('.').filter(|name| !name.is_empty()) {
            files.extend(self.module(&here, name));
            match here.join(name) {
                Some(inner) => here = inner,
                None => return files,
            }
        }
        for name in &import.names {
            files.extend(self.module(&here, name));
        }
        files
    }

    /// The directories that an import may start from.
    fn starts(&self, module: &TreePath, import: &Import) -> Vec<TreePath> {
        if import.level > 0 {
            return module.ancestors().nth(import.level - 1).into_iter().collect();
        }
        // A script's own directory is searched first; what else is, only a run tells.
        module.parent().into_iter().chain(self.roots.iter().cloned()).collect()
    }

    /// What a path may mean that is written in a module: from its own directory, or from its package's.
    fn written(&self, module: &TreePath, text: &str) -> Vec<TreePath> {
        let text = text.trim_start_matches("./").trim_end_matches('/');
        let is_path = text.contains('/') || text.contains('.');
        if !is_path || text.len() > 200 {
            return Vec::new();
        }
        let package = self.roots.iter().filter_map(|root| {
            let below = module.below(root)?;
            root.join(below.split('/').next()?)
        });
        let starts: BTreeSet<TreePath> = module.parent().into_iter().chain(package).collect();
        let paths = starts.iter().filter_map(|start| start.join(text));
        paths.filter(|path| self.tree.contains(path)).collect()
    }
}

impl SourceReader for Modules<'_> {
    fn is_source(&self, path: &TreePath, file: &File) -> bool {
        let script = || file.content.text().and_then(|text| text.lines().next());
        path.file_name().strip_suffix(".py").is_some()
            || script().is_some_and(|line| line.starts_with("#!") && line.contains("python"))
    }

    fn name_in_code<'p>(&self, path: &'p TreePath) -> Option<&'p str> {
        let name = path.file_name();
        if matches!(self.tree.get(path), Some(Entry::Directory(_))) {
            return (name != "__pycache__").then_some(name);
        }
        match name.split_once('.') {
            Some((stem, _)) if MODULES.iter().any(|ending| name.ends_with(ending)) => Some(stem),
            _ => Some(name),
        }
    }

    fn references(&self, path: &TreePath, text: &str, is_wanted: &dyn Fn(&str) -> bool) -> Vec<Reference> {
        let References { imports, literals } = references(text, is_wanted);
        let imported = imports.iter().flat_map(|import| {
            let starts = self.starts(path, import).into_iter();
            let files: BTreeSet<TreePath> = starts.flat_map(|start| self.imported(&start, import)).collect();
            let dots = ".".repeat(import.level);
            let names = import.names.join(", ");
            let written = match (import.level, import.names.is_empty()) {
                (0, true) => format!("import {}", import.module),
                _ => format!("from {dots}{} import {names}", import.module),
            };
            files.into_iter().map(move |to| Reference {
                to,
                is_import: true,
                text: written.clone(),
                line: import.line,
            })
        });
        let written = literals.iter().flat_map(|literal| {
            let paths = self.written(path, &literal.text).into_iter();
            paths.map(|to| Reference {
                to,
                is_import: false,
                text: literal.text.clone(),
                line: literal.line,
            })
        });
        imported.chain(written).collect()
    }
}
