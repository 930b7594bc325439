//! Packages of languages that the runtime itself has: an image with R, and layers with what is not in it.

use std::collections::{BTreeMap, BTreeSet};

use crate::languages::{BUILT_IN, Language, Package};
use crate::root::Root;
use crate::tree::{Tree, TreePath};

/// The files of packages that the runtime has in a version that is not older and that whatever in the tree requires them accepts.
///
/// A package of an interpreter in the tree is that interpreter's, and one that is there in several versions is left alone: without
/// one of them another would be found.
pub(super) fn provided(root: Root<'_>) -> BTreeSet<TreePath> {
    let mut paths = BTreeSet::new();
    if root.runtime.installed.is_empty() {
        return paths;
    }
    for language in BUILT_IN {
        let interpreters = language.interpreters(root.tree);
        let packages = language.packages(root.tree);
        let required = requirements(*language, &packages, root.tree);
        let mut by_name: BTreeMap<&str, Vec<&Package>> = BTreeMap::new();
        for package in &packages {
            by_name.entry(&package.name).or_default().push(package);
        }
        let of_tree = by_name.values().filter_map(|packages| match packages[..] {
            [package] => Some(package),
            _ => None,
        });
        for package in of_tree {
            let is_of_interpreter = interpreters
                .iter()
                .any(|interpreter| package.directory.below(&interpreter.directory).is_some());
            if !is_of_interpreter && is_provided(*language, package, &required, root) {
                paths.extend(files(package, root.tree));
            }
        }
    }
    paths
}

/// What packages of the tree require of others, by the names of these.
fn requirements(language: &dyn Language, packages: &[Package], tree: &Tree) -> BTreeMap<String, Vec<String>> {
    let mut required: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, requirement) in packages.iter().flat_map(|package| language.requirements(package, tree)) {
        required.entry(compared(&name)).or_default().push(requirement);
    }
    required
}

fn is_provided(
    language: &dyn Language,
    package: &Package,
    required: &BTreeMap<String, Vec<String>>,
    root: Root<'_>,
) -> bool {
    let text = |path: &TreePath| root.tree.text(path).map(ToOwned::to_owned);
    let own = language.metadata(package, &text).and_then(|metadata| metadata.version);
    let Some(own) = own else { return false };
    let name = compared(&package.name);
    let required = required.get(&name).map_or(&[][..], Vec::as_slice);
    root.runtime.installed.iter().any(|installed| {
        let is_it = installed.language == language.name() && compared(&installed.name) == name;
        // What is the same meets whatever it met.
        is_it
            && (installed.version == own
                || language.is_not_older(&installed.version, &own)
                    && required
                        .iter()
                        .all(|requirement| language.satisfies(requirement, &installed.version)))
    })
}

/// A name as it is compared: Python's distributions are one whatever stands between the words of their names (PEP 503), and no
/// other language has names that differ in that alone.
fn compared(name: &str) -> String {
    name.to_lowercase().replace(['_', '.'], "-")
}

/// Everything of a package.
fn files<'a>(package: &'a Package, tree: &'a Tree) -> impl Iterator<Item = TreePath> + 'a {
    let directories = std::iter::once(&package.directory).chain(&package.owned);
    let below = directories.flat_map(|directory| {
        let below = tree.below(directory).map(|(path, _)| path.clone());
        std::iter::once(directory.clone()).chain(below)
    });
    below.chain(package.listed.iter().cloned())
}
