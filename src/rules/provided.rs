//! Packages of languages that the runtime itself has: an image with R, and layers with what is not in it.

use std::collections::{BTreeMap, BTreeSet};

use crate::languages::{LANGUAGES, Language, Package};
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
    for language in LANGUAGES {
        let interpreters = language.interpreters(root.tree);
        let packages = language.packages(root.tree);
        let mut by_name: BTreeMap<&str, Vec<&Package>> = BTreeMap::new();
        for package in &packages {
            by_name.entry(&package.name).or_default().push(package);
        }
        let of_tree = by_name.values().filter_map(|packages| match packages[..] {
            [package] => Some(package),
            _ => None,
        });
        let candidates = of_tree.filter_map(|package| {
            let is_of_interpreter = interpreters
                .iter()
                .any(|interpreter| package.directory.below(&interpreter.directory).is_some());
            let versions = (!is_of_interpreter).then(|| not_older(*language, package, root))??;
            Some((compared(&package.name), (package, versions)))
        });
        let requirements = requirements(*language, &packages, root.tree);
        for (package, _) in accepted(*language, candidates.collect(), &requirements).into_values() {
            paths.extend(files(package, root.tree));
        }
    }
    paths
}

/// Versions of a package: of the runtime's copies that are not older than the tree's, and whether one of them is the same.
struct Versions {
    installed: Vec<String>,
    is_same: bool,
}

/// What one package of the tree requires of another, by their names.
struct Requirement {
    by: String,
    of: String,
    accepts: String,
}

fn requirements(language: &dyn Language, packages: &[Package], tree: &Tree) -> Vec<Requirement> {
    let of_package = |package: &Package| {
        let by = compared(&package.name);
        let required = language.requirements(package, tree).into_iter();
        required
            .map(|(name, accepts)| Requirement {
                by: by.clone(),
                of: compared(&name),
                accepts,
            })
            .collect::<Vec<_>>()
    };
    packages.iter().flat_map(of_package).collect()
}

/// The candidates that can go together. One has to be accepted by whatever stays and requires it, unless it is the same; and what
/// it requires must not stay, unless it is the same: the runtime's version would get the tree's. One that stays and is newer than the
/// runtime's is taken to serve if it requires nothing itself.
fn accepted<'a>(
    language: &dyn Language,
    mut candidates: BTreeMap<String, (&'a Package, Versions)>,
    requirements: &[Requirement],
) -> BTreeMap<String, (&'a Package, Versions)> {
    let requiring: BTreeSet<&str> = requirements.iter().map(|requirement| requirement.by.as_str()).collect();
    let newer = candidates.iter().filter(|(_, (_, versions))| !versions.is_same);
    let newer: BTreeSet<String> = newer.map(|(name, _)| name.clone()).collect();
    loop {
        let going: BTreeSet<String> = candidates.keys().cloned().collect();
        candidates.retain(|name, (_, versions)| {
            versions.is_same
                || requirements.iter().all(|requirement| {
                    let refuses = requirement.of == *name
                        && !going.contains(&requirement.by)
                        && !versions
                            .installed
                            .iter()
                            .any(|version| language.satisfies(&requirement.accepts, version));
                    let would_get = requirement.by == *name
                        && !going.contains(&requirement.of)
                        && (requiring.contains(requirement.of.as_str()) || newer.contains(&requirement.of));
                    !refuses && !would_get
                })
        });
        if candidates.len() == going.len() {
            return candidates;
        }
    }
}

/// The runtime's versions of a package that are not older than the tree's; `None` if there are none.
fn not_older(language: &dyn Language, package: &Package, root: Root<'_>) -> Option<Versions> {
    let text = |path: &TreePath| root.tree.text(path).map(ToOwned::to_owned);
    let own = language.metadata(package, &text)?.version?;
    let name = compared(&package.name);
    let all = root.runtime.installed.iter();
    let of_it = all.filter(|installed| installed.language == language.name() && compared(&installed.name) == name);
    let installed: Vec<String> = of_it
        .map(|installed| installed.version.clone())
        .filter(|version| *version == own || language.is_not_older(version, &own))
        .collect();
    (!installed.is_empty()).then(|| Versions {
        is_same: installed.contains(&own),
        installed,
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
