//! Components: the parts of a tree that a person thinks in, such as an R package, R itself, `lib` or `bin`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Tree, TreePath};
use crate::r::{self, RHome};
use crate::size::Bytes;

/// The component of what lies in R's home and in no package.
const R_ITSELF: &str = "R";

/// Knows which component each path of a tree belongs to.
#[derive(Debug, Clone, Default)]
pub struct Components {
    // The innermost folder that a path lies in decides.
    folders: BTreeMap<TreePath, String>,
}

/// The size of one component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ComponentSize {
    /// The name: an R package's, `R` for R itself, else that of the top folder or file.
    pub name: String,
    /// Files and links.
    pub files: usize,
    /// Their size, unzipped.
    pub bytes: Bytes,
}

impl Components {
    /// Finds the components of a tree.
    pub fn of(tree: &Tree) -> Self {
        let mut folders = BTreeMap::new();
        for home in RHome::all(tree) {
            folders.insert(home.path, R_ITSELF.to_owned());
        }
        for package in r::packages(tree) {
            folders.insert(package.path, package.name);
        }
        Self { folders }
    }

    /// The component of a path.
    pub fn name<'a>(&'a self, path: &'a TreePath) -> &'a str {
        path.ancestors()
            .find_map(|folder| self.folders.get(&folder))
            .map_or_else(|| path.names().next().unwrap_or_default(), String::as_str)
    }

    /// What a path should share a layer with: an R package is one group, a library is one with its links, and the rest of
    /// a folder is one.
    pub fn group(&self, path: &TreePath) -> String {
        if let Some(folder) = path.ancestors().find(|folder| self.folders.contains_key(folder))
            && self.folders.get(&folder).is_some_and(|name| name != R_ITSELF)
        {
            return folder.to_string();
        }
        let folder = path.parent().unwrap_or_else(TreePath::root);
        match path.file_name().split_once(".so") {
            Some((stem, rest)) if rest.is_empty() || rest.starts_with('.') => format!("{folder}/{stem}.so"),
            _ => folder.to_string(),
        }
    }

    /// The size of each component of a tree, the largest first.
    pub fn sizes(&self, tree: &Tree) -> Vec<ComponentSize> {
        let mut sizes: BTreeMap<&str, (usize, Bytes)> = BTreeMap::new();
        for (path, entry) in tree.iter() {
            if matches!(entry, super::Entry::Directory(_)) {
                continue;
            }
            let (files, bytes) = sizes.entry(self.name(path)).or_default();
            *files += 1;
            *bytes += entry.unzipped();
        }
        let mut sizes: Vec<ComponentSize> = sizes
            .into_iter()
            .map(|(name, (files, bytes))| ComponentSize {
                name: name.to_owned(),
                files,
                bytes,
            })
            .collect();
        sizes.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
        sizes
    }
}
