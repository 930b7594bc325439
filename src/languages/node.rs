//! Node: packages in `node_modules`.

use std::collections::BTreeSet;

use super::{Language, LanguageAnchor, Package};
use crate::tree::{Tree, TreePath};

/// Where packages are looked for (Node.js documentation, "Loading from node_modules folders").
const MODULES: &str = "node_modules";
/// What makes a directory a package, with its name (Node.js documentation, "Modules: Packages").
const MANIFEST: &str = "package.json";

/// Node.
#[derive(Debug)]
pub struct Node;

impl Language for Node {
    fn packages(&self, tree: &Tree) -> Vec<Package> {
        let manifests = tree.files().map(|(path, _)| path);
        manifests
            .filter(|path| path.file_name() == MANIFEST)
            .filter_map(|manifest| {
                let directory = manifest.parent()?;
                Some(Package::new("node", name_of(&directory)?, directory, manifest.clone()))
            })
            .collect()
    }

    fn anchors(&self) -> &'static [LanguageAnchor] {
        &[LanguageAnchor {
            name: "node-modules",
            title: "each node_modules",
            directories: |tree| tree.directories_named(&[MODULES]).collect::<BTreeSet<_>>(),
        }]
    }
}

/// The name of the package that is installed in a directory, with its scope; `None` for one inside of a package.
fn name_of(directory: &TreePath) -> Option<String> {
    let above = directory.parent()?;
    if above.file_name() == MODULES {
        return Some(directory.file_name().to_owned());
    }
    let is_scoped = above.file_name().starts_with('@') && above.parent()?.file_name() == MODULES;
    is_scoped.then(|| format!("{}/{}", above.file_name(), directory.file_name()))
}
