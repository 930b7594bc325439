//! What of a tree no recording used: what the rule `unused` matches.
//!
//! A run knows what rules only guess. Everything that a recorded run found in the layers counts as used, whether it was
//! opened or only asked for, and so do the metadata and the license of each package of which something was used. What that
//! needs in turn, the graph of uses says.

use std::collections::{BTreeMap, BTreeSet};

use globset::GlobSet;

use super::{RuleError, RuleSet, path_globs};
use crate::languages::components::Components;
use crate::languages::{LANGUAGES, Package};
use crate::recording::{PathUse, Recording};
use crate::root::Root;
use crate::tree::{Entry, Tree, TreePath};
use crate::uses::InstalledPackages;

/// The rule.
pub const RULE: &str = "unused";

/// The category of rules that match license texts.
const LICENSES: &str = "licenses";
/// The top directory of what is shared by all packages of a system, licenses among it (Filesystem Hierarchy Standard).
const SHARED: &str = "share";

/// Of how many directories one file each is asked for where a list is gone through. Fewer may each be asked for by name.
const ENUMERATED: usize = 8;

/// How much is used where something of a package was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Depth {
    /// The package with all its files, and the packages that it requires.
    #[default]
    Component,
    /// The files alone, with what describes the package.
    File,
}

/// What recorded runs used of a tree.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The paths, each with the name of the recording that used it first and how.
    pub used: BTreeMap<TreePath, RecordedUse>,
    /// How much of a package that makes used.
    pub depth: Depth,
    /// Whether a file does not count that was only asked for: a replay has to show that nothing depends on it.
    pub without_asked: bool,
    /// Files that were only asked for as one of many: see [`Evidence::with_enumerated`].
    pub enumerated: BTreeSet<TreePath>,
    /// What is used whatever the recordings say.
    pub taken_back: BTreeSet<TreePath>,
}

/// A use that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedUse {
    /// The recording, or what else says that the path is used.
    pub by: String,
    /// How it was used.
    pub uses: BTreeSet<PathUse>,
}

impl Evidence {
    /// Adds what a recording found in the layers.
    pub fn add(&mut self, name: &str, recording: &Recording) {
        for (path, uses) in recording.found_in_layers() {
            self.add_path(name, path, uses);
        }
    }

    /// Adds one path.
    pub fn add_path(&mut self, by: &str, path: TreePath, uses: &BTreeSet<PathUse>) {
        let recorded = self.used.entry(path).or_insert_with(|| RecordedUse {
            by: by.to_owned(),
            uses: BTreeSet::new(),
        });
        recorded.uses.extend(uses);
    }

    /// Whether a run did more with a file of the tree than to ask for it.
    pub fn has_opened(&self, tree: &Tree) -> bool {
        let is_file = |path: &TreePath| matches!(tree.get(path), Some(Entry::File(_) | Entry::Symlink(_)));
        let mut used = self.used.iter();
        used.any(|(path, used)| is_file(path) && used.uses.iter().any(|how| *how != PathUse::Asked))
    }

    /// Whether an entry of the tree counts as used.
    pub fn counts(&self, path: &TreePath, entry: &Entry) -> bool {
        if self.taken_back.contains(path) {
            return true;
        }
        let only_asked = |used: &RecordedUse| used.uses.iter().all(|how| *how == PathUse::Asked);
        let may_miss = self.without_asked || self.enumerated.contains(path);
        let may_go = |used: &RecordedUse| may_miss && matches!(entry, Entry::File(_)) && only_asked(used);
        self.used.get(path).is_some_and(|used| !may_go(used))
    }

    /// This evidence, at the depth of files with those aside that were only asked for while a list of packages' directories was
    /// gone through: a directory was listed, and every directory in it that has a file of that name was asked for it. Whoever
    /// does so looks for what there is, and has no use for what it does not open then.
    pub fn with_enumerated(mut self, tree: &Tree) -> Self {
        if self.depth == Depth::File {
            self.enumerated = enumerated(tree, &self, &Units::of(tree));
        }
        self
    }

    /// What was done with a path, for people: `opened (recording.json)`.
    pub fn describe(&self, path: &TreePath) -> Option<String> {
        if self.taken_back.contains(path) {
            return Some("missed by a replay".to_owned());
        }
        let used = self.used.get(path)?;
        let names: Vec<&str> = used.uses.iter().map(|how| how.name()).collect();
        Some(format!("{} ({})", names.join(", "), used.by))
    }
}

/// The paths of a tree that no recording used.
pub(super) fn unused(root: Root<'_>, rules: &RuleSet, evidence: &Evidence) -> Result<BTreeSet<TreePath>, RuleError> {
    let tree = root.tree;
    let units = Units::of(tree);
    let licenses = license_globs(rules)?;
    let paths = evidence.used.keys().chain(&evidence.taken_back);
    let counts = |path: &TreePath| tree.get(path).is_some_and(|entry| evidence.counts(path, entry));
    let mut used: BTreeSet<&TreePath> = paths.filter(|path| is_there(tree, path) && counts(path)).collect();
    used.extend(listed_entries(tree, evidence, &units));
    let units_used = units.used(&used, evidence.depth);
    let tops: BTreeSet<&str> = used.iter().filter_map(|path| path.names().next()).collect();
    let is_used = |path: &TreePath| {
        if used.contains(path) {
            return true;
        }
        let is_license = || licenses.is_match(path.as_str());
        match units.of_path(path) {
            Some(unit) if !units_used.contains(&unit) => false,
            Some(_) if evidence.depth == Depth::Component => true,
            Some(_) => units.describes(path) || is_license(),
            None => {
                let top = path.names().next().unwrap_or_default();
                is_license() && (top == SHARED || tops.contains(top))
            }
        }
    };
    let paths = tree.iter().map(|(path, _)| path);
    Ok(paths
        .filter(|path| !path.is_root() && !is_used(path))
        .cloned()
        .collect())
}

/// A directory is used by itself only where it is not there for what is in it: see `plan::recorded`.
fn is_there(tree: &Tree, path: &TreePath) -> bool {
    tree.get(path)
        .is_some_and(|entry| !matches!(entry, Entry::Directory(_)))
}

/// What is in directories that were listed: whoever lists data uses the names. Packages are left aside, for their language
/// lists directories to find modules in them.
fn listed_entries<'t>(tree: &'t Tree, evidence: &'t Evidence, units: &'t Units) -> Vec<&'t TreePath> {
    let listed = evidence
        .used
        .iter()
        .filter(|(_, used)| used.uses.contains(&PathUse::Listed));
    let listed: BTreeSet<&TreePath> = listed.map(|(path, _)| path).collect();
    let listed = listed.into_iter().filter(|path| !units.is_searched(path));
    listed
        .flat_map(|directory| {
            let is_entry = |path: &TreePath| path.below(directory).is_some_and(|below| !below.contains('/'));
            let below = tree.below(directory).map(|(path, _)| path);
            below
                .filter(move |path| is_entry(path))
                .filter(|path| is_there(tree, path))
        })
        .collect()
}

/// The files that [`Evidence::with_enumerated`] leaves aside.
fn enumerated(tree: &Tree, evidence: &Evidence, units: &Units) -> BTreeSet<TreePath> {
    let only_asked = |used: &RecordedUse| used.uses.iter().all(|how| *how == PathUse::Asked);
    let asked = evidence
        .used
        .iter()
        .filter(|(path, used)| only_asked(used) && matches!(tree.get(path), Some(Entry::File(_))));
    let asked: BTreeSet<&TreePath> = asked.map(|(path, _)| path).collect();
    let names: BTreeSet<&str> = asked.iter().map(|path| path.file_name()).collect();
    let listed = evidence
        .used
        .iter()
        .filter(|(path, used)| used.uses.contains(&PathUse::Listed) && units.is_searched(path));
    let mut found = BTreeSet::new();
    for (directory, _) in listed {
        // By the name of a file: the directories that have one, and those of which one was used.
        let mut children: BTreeMap<&str, [BTreeSet<&str>; 2]> = BTreeMap::new();
        let mut files: BTreeMap<&str, Vec<&TreePath>> = BTreeMap::new();
        for (path, _) in tree.below(directory) {
            let name = path.file_name();
            let Some((child, _)) = path.below(directory).and_then(|below| below.split_once('/')) else {
                continue;
            };
            if !names.contains(name) {
                continue;
            }
            let [having, used] = children.entry(name).or_default();
            having.insert(child);
            if evidence.used.contains_key(path) {
                used.insert(child);
            }
            if asked.contains(path) {
                files.entry(name).or_default().push(path);
            }
        }
        let all_asked = |name: &&str| {
            let [having, used] = &children[name];
            used.len() >= ENUMERATED && used == having
        };
        let files = files.into_iter().filter(|(name, _)| all_asked(name));
        found.extend(files.flat_map(|(_, paths)| paths).cloned());
    }
    found
}

fn license_globs(rules: &RuleSet) -> Result<GlobSet, RuleError> {
    let rules = rules.iter().filter(|(rule, _)| rule.category == LICENSES);
    let globs: Vec<String> = rules.flat_map(|(rule, _)| rule.paths.clone()).collect();
    path_globs(&globs, LICENSES)
}

/// The parts of a tree that are used as a whole: packages, interpreters, and what is in a directory of modules without a
/// package manager.
struct Units {
    components: Components,
    packages: InstalledPackages,
    module_roots: BTreeSet<TreePath>,
    /// What describes packages: files, and directories with all that is in them.
    metadata: BTreeSet<TreePath>,
}

impl Units {
    fn of(tree: &Tree) -> Self {
        let packages = InstalledPackages::of(tree);
        let roots = LANGUAGES.iter().flat_map(|language| language.module_roots(tree));
        Self {
            components: Components::of(tree),
            module_roots: roots.map(|root| root.directory).collect(),
            metadata: packages.all().flat_map(|package| package.metadata.clone()).collect(),
            packages,
        }
    }

    /// The unit of a path, by its directory, or its only file; `None` for what is on its own.
    fn of_path(&self, path: &TreePath) -> Option<TreePath> {
        if let Some(unit) = self.components.unit(path) {
            return Some(unit.clone());
        }
        let root = path.ancestors().find(|above| self.module_roots.contains(above))?;
        let first = path.below(&root)?.split('/').next()?;
        root.join(first)
    }

    /// Whether a directory is one in which a language looks for modules: one of a unit, or one of units.
    fn is_searched(&self, directory: &TreePath) -> bool {
        let below = directory.join("x");
        self.of_path(directory).is_some() || below.is_some_and(|path| self.of_path(&path).is_some())
    }

    fn describes(&self, path: &TreePath) -> bool {
        self.metadata.contains(path) || path.splits().any(|(above, _)| self.metadata.contains(above))
    }

    /// The units of which something is used; with the packages that these require, if packages are used as a whole.
    fn used(&self, paths: &BTreeSet<&TreePath>, depth: Depth) -> BTreeSet<TreePath> {
        let mut used: BTreeSet<TreePath> = paths.iter().filter_map(|path| self.of_path(path)).collect();
        if depth == Depth::File {
            return used;
        }
        let mut pending: Vec<&Package> = self
            .packages
            .all()
            .filter(|package| used.contains(&package.directory))
            .collect();
        while let Some(package) = pending.pop() {
            for required in self.packages.requirements(package) {
                if used.insert(required.directory.clone()) {
                    pending.push(required);
                }
            }
        }
        used
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::runtime::{Arch, DEFAULT, Runtime};
    use crate::scan::inspect;
    use crate::size::Bytes;
    use crate::tree::{File, Mode};

    #[derive(Deserialize)]
    struct Data {
        files: BTreeMap<String, String>,
        links: BTreeMap<String, String>,
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        title: String,
        depth: String,
        used: BTreeMap<String, PathUse>,
        #[serde(default)]
        without_asked: bool,
        #[serde(default)]
        taken_back: Vec<String>,
        kept: Vec<String>,
    }

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    #[test]
    fn what_recordings_used_is_kept_with_what_belongs_to_it() {
        let data: Data = toml::from_str(include_str!("../../testdata/unused.toml")).unwrap();
        let mut tree = Tree::default();
        for (name, text) in &data.files {
            let file = File {
                bytes: Bytes(text.len() as u64),
                mode: Mode::new(0o644),
                content: inspect(path(name).file_name(), text.as_bytes()),
            };
            tree.insert(path(name), Entry::File(file));
        }
        for (name, target) in &data.links {
            tree.insert(path(name), Entry::Symlink(target.clone()));
        }
        let runtime = Runtime::load(DEFAULT, Arch::X86_64).unwrap();
        let root = Root {
            tree: &tree,
            runtime: &runtime,
        };
        let rules = RuleSet::built_in().unwrap();
        for case in data.cases {
            let mut evidence = Evidence {
                depth: if case.depth == "file" {
                    Depth::File
                } else {
                    Depth::Component
                },
                without_asked: case.without_asked,
                taken_back: case.taken_back.iter().map(|text| path(text)).collect(),
                ..Evidence::default()
            };
            for (name, how) in &case.used {
                evidence.add_path("r.json", path(name), &BTreeSet::from([*how]));
            }
            let evidence = evidence.with_enumerated(&tree);
            let unused = unused(root, &rules, &evidence).unwrap();
            let entries = tree.iter().map(|(path, _)| path).filter(|path| is_there(&tree, path));
            let kept: Vec<String> = entries
                .filter(|path| !unused.contains(*path))
                .map(ToString::to_string)
                .collect();
            assert_eq!(kept, case.kept, "{}", case.title);
        }
    }

    #[test]
    fn what_was_used_in_several_ways_counts_if_one_of_them_does() {
        let mut evidence = Evidence {
            without_asked: true,
            ..Evidence::default()
        };
        let file = Entry::File(File {
            bytes: Bytes(1),
            mode: Mode::new(0o644),
            content: inspect("x", b""),
        });
        let x = path("x");
        evidence.add_path("a.json", x.clone(), &BTreeSet::from([PathUse::Asked]));
        assert!(!evidence.counts(&x, &file));
        evidence.add_path("b.json", x.clone(), &BTreeSet::from([PathUse::Opened]));
        assert!(evidence.counts(&x, &file));
        assert_eq!(evidence.describe(&x).as_deref(), Some("asked for, opened (a.json)"));
        evidence.taken_back.insert(path("y"));
        assert_eq!(evidence.describe(&path("y")).as_deref(), Some("missed by a replay"));
        assert_eq!(evidence.describe(&path("z")), None);
    }
}
