//! Uses of libraries: what the loader takes for each object, and what keeps a shadowed library from being useless.

use std::collections::{BTreeMap, BTreeSet};

use super::place::used_at;
use super::{Evidence, FindUses, Source, Use, UseKind, Used};
use crate::loader::{
    Graph, LoadedTree, Need, Resolution, Resolved, ShadowedLibrary, openers_of_shadowed, users_of_shadowed_symbols,
    version_problems,
};
use crate::root::{Location, Root};
use crate::tree::{Tree, TreePath};

/// Finds the libraries that the loader takes for what an object needs (`DT_NEEDED`).
pub struct NeededLibraries<'a>(pub &'a LoadedTree<'a>);

impl FindUses for NeededLibraries<'_> {
    fn uses(&self, source: &Source<'_>) -> Vec<Use> {
        let Self(loaded) = self;
        let needs = loaded.graph().needs.get(source.path).into_iter().flatten();
        let found = needs.filter_map(|need| match &need.resolution {
            Resolution::Found(Resolved { path, source, .. }) => Some((need, path, source)),
            Resolution::Missing(_) => None,
        });
        found
            .flat_map(|(need, path, how)| {
                let evidence = Evidence::of(format!("{} ({})", need.soname, how.name()));
                let used = used_at(loaded.root(), path).into_iter();
                used.map(move |used| source.uses(used, UseKind::Needed, evidence.clone()))
            })
            .collect()
    }
}

/// What of a tree a rule may remove because a library is shadowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Companion {
    /// What is removed together with the library.
    pub path: TreePath,
    /// The shadowed library.
    pub library: TreePath,
    /// Whether it is a command in a directory of `PATH`.
    pub is_command: bool,
}

/// Finds what shadowed libraries are used for all the same: objects that may open them or need one of their symbol
/// versions, and objects for which the loader would take something else without them. A shadowed library that is kept uses its
/// own names and companions.
pub struct ShadowedLibraries<'a> {
    companions: &'a [Companion],
    /// The names of a shadowed library that are removed only because it is shadowed.
    names: BTreeMap<&'a TreePath, Vec<&'a TreePath>>,
    by_object: BTreeMap<TreePath, BTreeSet<(TreePath, UseKind, Evidence)>>,
}

impl<'a> ShadowedLibraries<'a> {
    /// Asks the loader about every object. `removable` are the libraries and names that rules remove for being shadowed.
    pub fn new(
        loaded: &LoadedTree<'_>,
        shadowed: &'a [ShadowedLibrary],
        companions: &'a [Companion],
        removable: &BTreeSet<TreePath>,
    ) -> Self {
        let mut by_object: BTreeMap<TreePath, BTreeSet<(TreePath, UseKind, Evidence)>> = BTreeMap::new();
        let mut add = |object: &TreePath, library: &ShadowedLibrary, kind| {
            let evidence = Evidence::of(&library.library.soname);
            let uses = by_object.entry(object.clone()).or_default();
            uses.insert((library.library.path.clone(), kind, evidence));
        };
        for (object, library) in openers_of_shadowed(loaded, shadowed) {
            add(&object, library, UseKind::Opened);
        }
        for (object, library) in version_users(loaded, shadowed) {
            add(&object, library, UseKind::SymbolVersion);
        }
        for (object, library) in users_of_shadowed_symbols(loaded, shadowed) {
            add(&object, library, UseKind::SymbolVersion);
        }
        for (object, library) in resolved_differently(loaded, shadowed, removable) {
            add(&object, library, UseKind::Needed);
        }
        Self {
            companions,
            names: shadowed
                .iter()
                .map(|library| {
                    let removable = library.links.iter().filter(|link| removable.contains(*link));
                    (&library.library.path, removable.collect())
                })
                .collect(),
            by_object,
        }
    }
}

impl FindUses for ShadowedLibraries<'_> {
    fn uses(&self, source: &Source<'_>) -> Vec<Use> {
        let mut uses = Vec::new();
        let names = self.names.get(source.path).into_iter().flatten().copied();
        let companions = self
            .companions
            .iter()
            .filter(|companion| companion.library == *source.path);
        for path in names.chain(companions.map(|companion| &companion.path)) {
            let evidence = Evidence::of(source.path.file_name());
            uses.push(source.uses(Used::Path(path.clone()), UseKind::Companion, evidence));
        }
        for (library, kind, evidence) in self.by_object.get(source.path).into_iter().flatten() {
            uses.push(source.uses(Used::Path(library.clone()), *kind, evidence.clone()));
        }
        uses
    }
}

/// The objects that ask for a symbol version which a shadowed library defines and the library that is loaded lacks.
fn version_users<'a>(loaded: &LoadedTree<'_>, shadowed: &'a [ShadowedLibrary]) -> Vec<(TreePath, &'a ShadowedLibrary)> {
    if shadowed.is_empty() {
        return Vec::new();
    }
    let mut users = Vec::new();
    let root = loaded.root();
    for problem in version_problems(root, loaded.graph()) {
        let defines = |library: &&ShadowedLibrary| {
            let object = root.tree.object(&library.library.path);
            library.library.soname == problem.library
                && object
                    .and_then(|object| object.versions.as_ref())
                    .is_some_and(|defined| defined.contains(&problem.version))
        };
        users.extend(
            shadowed
                .iter()
                .filter(defines)
                .map(|library| (problem.object.clone(), library)),
        );
    }
    users
}

/// The objects for which the loader finds something else once the shadowed libraries are removed. As nothing loads these,
/// there should be none; should there be one all the same, it uses the library of the name in question.
fn resolved_differently<'a>(
    loaded: &LoadedTree<'_>,
    shadowed: &'a [ShadowedLibrary],
    removable: &BTreeSet<TreePath>,
) -> Vec<(TreePath, &'a ShadowedLibrary)> {
    if removable.is_empty() {
        return Vec::new();
    }
    let root = loaded.root();
    let mut without = Tree::default();
    for (path, entry) in root.tree.iter().filter(|(path, _)| !removable.contains(*path)) {
        without.insert(path.clone(), entry.clone());
    }
    let after = loaded.of_changed(Root {
        tree: &without,
        runtime: root.runtime,
    });
    let mut users = Vec::new();
    for (object, need) in differences(loaded.graph(), after.graph(), &BTreeMap::new()) {
        let is_of_name = |library: &&ShadowedLibrary| {
            let is_name = |soname: &str| library.paths().any(|path| path.file_name() == soname);
            need.is_none_or(|need| library.library.soname == need.soname || is_name(&need.soname))
        };
        let of_name: Vec<_> = shadowed.iter().filter(is_of_name).collect();
        let all = of_name.is_empty().then_some(shadowed).into_iter().flatten();
        users.extend(of_name.into_iter().chain(all).map(|library| (object.clone(), library)));
    }
    users
}

/// The objects that are there after a change and for which the loader finds something else than before, or nothing where
/// it found something; with the need that differs, if there are as many as before. Some files may have become `links`: to
/// be led to the target of one is not a difference.
pub(crate) fn differences<'g>(
    before: &Graph,
    after: &'g Graph,
    links: &BTreeMap<TreePath, TreePath>,
) -> Vec<(&'g TreePath, Option<&'g Need>)> {
    let mut different = Vec::new();
    for (object, needs) in &after.needs {
        match before.needs.get(object).filter(|before| before.len() == needs.len()) {
            None => different.push((object, None)),
            Some(before) => {
                let pairs = before.iter().zip(needs);
                let differing = pairs.filter(|(before, after)| !is_same(before, after, links));
                different.extend(differing.map(|(_, need)| (object, Some(need))));
            }
        }
    }
    different
}

fn is_same(before: &Need, after: &Need, links: &BTreeMap<TreePath, TreePath>) -> bool {
    let target = |place: &Location| match place {
        Location::Tree(path) => Location::Tree(links.get(path).unwrap_or(path).clone()),
        Location::Runtime(_) => place.clone(),
    };
    before.soname == after.soname
        && match (&before.resolution, &after.resolution) {
            (Resolution::Found(before), Resolution::Found(after)) => {
                target(&before.place) == after.place && before.path == after.path && before.source == after.source
            }
            (Resolution::Missing(_), Resolution::Missing(_)) => true,
            _ => false,
        }
}
