//! Where the runtimes of each language look for modules, and for which runtime a tree is. The data is in
//! `rules/layout.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Deserialize;

use super::{LANGUAGES, Language};
use crate::languages::loader_settings::BOOTSTRAP;
use crate::root::{Location, Root};
use crate::runtime::{self, State};
use crate::tree::{Content, Entry, Tree, TreePath};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    language: Vec<Layout>,
}

/// Where the runtimes of one language look.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    /// The language, by the name that its module has.
    name: String,
    /// The language, for people.
    pub title: String,
    prefix: String,
    suffix: String,
    search: Vec<String>,
    home: String,
    /// The versions of the interface to native modules, by the versions of the runtimes, where they have one of their own.
    #[serde(default)]
    abi: BTreeMap<String, String>,
    /// The magic numbers of compiled code, by the versions of the runtimes, where it is bound to one.
    #[serde(default)]
    byte_code: BTreeMap<String, u16>,
    #[serde(rename = "source")]
    _source: String,
}

static LAYOUTS: LazyLock<Result<Data, toml::de::Error>> =
    LazyLock::new(|| toml::from_str(include_str!("../../rules/layout.toml")));

impl Layout {
    /// Where the runtimes of a language look; `None` for one that no runtime brings.
    pub fn of(language: &dyn Language) -> Option<&'static Self> {
        Self::all().find(|layout| layout.name == language.name())
    }

    fn all() -> impl Iterator<Item = &'static Self> {
        LAYOUTS.iter().flat_map(|data| &data.language)
    }

    /// The version in the name of a runtime of this language, such as `3.13` in `python3.13`.
    pub fn version<'n>(&self, runtime: &'n str) -> Option<&'n str> {
        let version = runtime.strip_prefix(&self.prefix)?.strip_suffix(&self.suffix)?;
        version.starts_with(|c: char| c.is_ascii_digit()).then_some(version)
    }

    /// The directories in which a runtime of this version looks.
    pub fn search(&self, version: &str) -> Vec<TreePath> {
        let at = |path: &String| TreePath::new(&path.replace("{version}", version));
        self.search.iter().filter_map(at).collect()
    }

    /// Where modules belong for a runtime of this version.
    pub fn home(&self, version: &str) -> Option<TreePath> {
        TreePath::new(&self.home.replace("{version}", version))
    }

    /// The version of the interface to native modules that a version of the language has; `None` where nothing is known.
    pub fn abi(&self, version: &str) -> Option<&str> {
        self.abi.get(version).map(String::as_str)
    }

    /// The magic number of code that a version of the language has compiled; `None` where nothing is known.
    pub fn byte_code(&self, version: &str) -> Option<u16> {
        self.byte_code.get(version).copied()
    }

    /// The version of the language whose compiled code has this magic number.
    pub fn version_of_byte_code(&self, magic: u16) -> Option<&str> {
        let mut known = self.byte_code.iter();
        known
            .find(|(_, known)| **known == magic)
            .map(|(version, _)| version.as_str())
    }

    /// The version of the language that has this version of the interface to native modules.
    pub fn version_of_abi(&self, abi: &str) -> Option<String> {
        let mut known = self.abi.iter();
        known
            .find(|(_, known)| *known == abi)
            .map(|(version, _)| version.clone())
    }

    /// The name of the runtime of this version.
    pub fn runtime(&self, version: &str) -> String {
        format!("{}{version}{}", self.prefix, self.suffix)
    }
}

/// The language that a runtime brings, with its layout and version.
pub fn of_runtime(name: &str) -> Option<(&'static dyn Language, &'static Layout, &str)> {
    LANGUAGES.iter().find_map(|language| {
        let layout = Layout::of(*language)?;
        Some((*language, layout, layout.version(name)?))
    })
}

/// A directory from which a runtime would load modules, if it looked there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModuleRoot {
    /// The directory.
    pub directory: TreePath,
    /// Whether its name, or what is in it, says that it is meant to be searched. If not, it may be a part of a package that
    /// is found from a directory above.
    pub is_certain: bool,
    /// Something that is in it.
    pub example: TreePath,
    /// What to do about it where no runtime would find it in another directory either, in the imperative.
    pub remedy: Option<&'static str>,
}

impl ModuleRoot {
    /// Directories that are certain to be meant, sorted, each with the first example that is given for it.
    pub fn certain(found: impl IntoIterator<Item = (TreePath, TreePath)>) -> Vec<Self> {
        let mut roots: BTreeMap<TreePath, TreePath> = BTreeMap::new();
        for (directory, example) in found {
            roots.entry(directory).or_insert(example);
        }
        roots
            .into_iter()
            .map(|(directory, example)| Self {
                directory,
                is_certain: true,
                example,
                remedy: None,
            })
            .collect()
    }
}

/// Whether a runtime finds anything of its language, and the directories of modules in which it does not look.
pub fn modules(language: &dyn Language, layout: &Layout, version: &str, root: Root<'_>) -> (bool, Vec<ModuleRoot>) {
    let tree = root.tree;
    let mut search = layout.search(version);
    // Where it looks may be a link.
    let led_to = search
        .iter()
        .filter_map(|place| match root.resolve(&place.on_lambda()) {
            Ok(Location::Tree(there)) => Some(there),
            _ => None,
        });
    search.extend(led_to.collect::<Vec<_>>());
    let is_found = |root: &ModuleRoot| {
        search.contains(&root.directory)
            || !root.is_certain && search.iter().any(|place| root.directory.below(place).is_some())
    };
    let (found, elsewhere): (Vec<_>, Vec<_>) = language.module_roots(tree).into_iter().partition(is_found);
    let others: Vec<TreePath> = LANGUAGES
        .iter()
        .filter(|other| other.name() != language.name())
        .flat_map(|other| other.packages(tree))
        .map(|package| package.directory)
        .collect();
    let certain: Vec<TreePath> = elsewhere
        .iter()
        .filter(|root| root.is_certain)
        .map(|root| root.directory.clone())
        .collect();
    let is_own = |root: &ModuleRoot| {
        // A part of a package, of this language or of another one, is that package's own matter.
        let is_part = |of: &TreePath| root.directory.below(of).is_some();
        let mut around = found.iter().map(|found| &found.directory).chain(&certain);
        let inside = !root.is_certain && around.any(is_part);
        !inside && !others.iter().any(is_part) && !is_named(&root.directory, tree)
    };
    (!found.is_empty(), elsewhere.into_iter().filter(is_own).collect())
}

/// Whether a script or a link of the tree names a directory or something in it: what sets up a search path of its own, or
/// starts what is there, knows where it is.
fn is_named(directory: &TreePath, tree: &Tree) -> bool {
    if directory.is_root() {
        return false;
    }
    let path = directory.on_lambda();
    tree.iter().any(|(other, entry)| match entry {
        Entry::File(file) => {
            matches!(&file.content, Content::Text(text) if text.starts_with("#!") && text.contains(&path))
                && other.below(directory).is_none()
        }
        Entry::Symlink(_) | Entry::Directory(_) => false,
    })
}

/// The runtime that a tree is for, as far as its content tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recognized {
    /// It is for this runtime.
    Runtime {
        /// The runtime's name.
        name: String,
        /// What of the tree says so.
        because: String,
    },
    /// It may be for any of these runtimes.
    Several(Vec<String>),
}

/// Recognizes the runtime that a tree is for: it has modules where a language's runtimes look, and no bootstrap of its own.
/// Where nothing tells the version, it is the newest that was supported when the runtimes' data were recorded. `None` if the tree
/// has no such modules.
pub fn recognize(tree: &Tree) -> Option<Recognized> {
    if tree.at(BOOTSTRAP).is_some() {
        return None;
    }
    let known = runtime::built_in(runtime::recorded().ok()?).ok()?;
    let found: Vec<Recognized> = LANGUAGES
        .iter()
        .filter_map(|language| recognize_by(*language, &known, tree))
        .collect();
    match found.len() {
        0 | 1 => found.into_iter().next(),
        _ => {
            let names = found.into_iter().flat_map(|recognized| match recognized {
                Recognized::Runtime { name, .. } => vec![name],
                Recognized::Several(names) => names,
            });
            Some(Recognized::Several(names.collect()))
        }
    }
}

/// The runtime of one language that a tree is for.
fn recognize_by(language: &dyn Language, known: &[runtime::Summary], tree: &Tree) -> Option<Recognized> {
    let layout = Layout::of(language)?;
    let roots = roots_of_its_own(language, layout, known, tree);
    if roots.is_empty() {
        return None;
    }
    let mut all: Vec<(Vec<u32>, &str, bool)> = known
        .iter()
        .filter_map(|summary| Some((layout.version(&summary.name)?, summary.state == State::Supported)))
        .map(|(version, supported)| (numbers(version), version, supported))
        .collect();
    all.sort();
    let is_root = |directory: &TreePath| roots.iter().any(|root| root.directory == *directory);
    let (_, newest, _) = all.iter().rfind(|(.., supported)| *supported)?;
    // Directories that are searched whatever the version is.
    let common: BTreeSet<TreePath> = all
        .iter()
        .map(|(_, version, _)| layout.search(version).into_iter().collect::<BTreeSet<_>>())
        .reduce(|a, b| a.intersection(&b).cloned().collect())?;
    let mut versions: BTreeSet<String> = language.versions(tree);
    for (_, version, _) in &all {
        let mut own = layout.search(version).into_iter().filter(|path| !common.contains(path));
        if own.any(|path| is_root(&path)) {
            versions.insert((*version).to_owned());
        }
    }
    let is_searched = |directory: &&TreePath| {
        common.iter().any(|common| directory.below(common).is_some())
            || all
                .iter()
                .any(|(_, version, _)| layout.search(version).contains(*directory))
    };
    // Modules in a wrong place are for a runtime of their language all the same, unless there are programs or libraries besides.
    let is_plain = |root: &&ModuleRoot| root.is_certain || root.directory.is_root() && !versions.is_empty();
    let misplaced = || roots.iter().filter(is_plain).find(|_| !has_others(tree, &roots));
    let place = roots.iter().map(|root| &root.directory).find(is_searched);
    let place = place.or_else(|| Some(&misplaced()?.directory))?;
    let shown = if place.is_root() {
        "the top of the tree".to_owned()
    } else {
        format!("{place}/")
    };
    versions.retain(|version| all.iter().any(|(_, known, _)| known == version));
    Some(match versions.iter().collect::<Vec<_>>()[..] {
        [] => Recognized::Runtime {
            name: layout.runtime(newest),
            because: format!(
                "{shown} has modules of {}, and nothing in the tree tells the version",
                layout.title
            ),
        },
        [version] => Recognized::Runtime {
            name: layout.runtime(version),
            because: format!("{shown} has modules for {} {version}", layout.title),
        },
        _ => Recognized::Several(versions.iter().map(|version| layout.runtime(version)).collect()),
    })
}

/// The directories of modules that are not among the modules of another language: there they are that one's data.
fn roots_of_its_own(
    language: &dyn Language,
    layout: &Layout,
    known: &[runtime::Summary],
    tree: &Tree,
) -> Vec<ModuleRoot> {
    let others = Layout::all().filter(|other| other.name != layout.name);
    let others: BTreeSet<TreePath> = others
        .flat_map(|other| all_versions(other, known).flat_map(|version| other.search(version)))
        .collect();
    let mut roots = language.module_roots(tree);
    roots.retain(|root| !others.iter().any(|place| root.directory.below(place).is_some()));
    roots
}

/// The versions of a language that runtimes have.
fn all_versions<'k>(layout: &'static Layout, known: &'k [runtime::Summary]) -> impl Iterator<Item = &'k str> {
    known.iter().filter_map(|summary| layout.version(&summary.name))
}

/// Whether a tree has programs and libraries of its own, as one for a runtime without a language has.
fn has_others(tree: &Tree, roots: &[ModuleRoot]) -> bool {
    let is_of_system = |path: &TreePath| {
        path.parent()
            .is_some_and(|above| ["bin", "lib"].contains(&above.as_str()))
    };
    let is_module = |path: &TreePath| roots.iter().any(|root| path.below(&root.directory).is_some());
    tree.objects().any(|(path, _)| is_of_system(path) || !is_module(path))
}

/// The numbers of a version, for sorting.
fn numbers(version: &str) -> Vec<u32> {
    version
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_runtime_with_a_language_that_has_a_room_has_its_layout() {
        LAYOUTS.as_ref().unwrap();
        for layout in Layout::all() {
            assert!(
                LANGUAGES.iter().any(|language| language.name() == layout.name),
                "{}",
                layout.name
            );
        }
        let (_, layout, version) = of_runtime("nodejs22.x").unwrap();
        assert_eq!((layout.title.as_str(), version), ("Node", "22"));
        let search: Vec<String> = layout.search(version).iter().map(ToString::to_string).collect();
        assert_eq!(search, ["nodejs/node22/node_modules", "nodejs/node_modules"]);
        assert_eq!(layout.runtime(version), "nodejs22.x");
        assert!(of_runtime("provided.al2023").is_none());
        assert!(of_runtime("java8.al2").is_some());
    }
}
