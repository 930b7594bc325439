//! Libraries that are on the search path and are never loaded, because the runtime's own copy is found first.

use std::collections::{BTreeMap, BTreeSet};

use crate::root::{Location, Root, link_target};
use crate::tree::{Entry, TreePath};

use super::graph::{Shadowed, Start};
use super::loaded::LoadedTree;
use super::search::Finder;

/// A shadowed library on the search path, with what is of use only together with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShadowedLibrary {
    /// The library, and what is loaded in its place.
    pub library: Shadowed,
    /// Links next to it, or elsewhere on the search path, that lead to it: `libz.so`, `libz.so.1`.
    pub links: Vec<TreePath>,
    /// Programs that need it, and links to these, if the runtime's own command of that name is found first on `PATH`.
    pub commands: Vec<TreePath>,
}

impl ShadowedLibrary {
    /// The library and its links.
    pub fn paths(&self) -> impl Iterator<Item = &TreePath> {
        std::iter::once(&self.library.path).chain(&self.links)
    }
}

/// The shadowed libraries that are on the runtime's search path, sorted by path.
///
/// One in a directory of its own is not among them: whoever put it there has a way to it that cannot be seen here, such as a
/// path in a configuration. Nor does a link elsewhere count as one of its names.
pub fn shadowed_libraries(loaded: &LoadedTree<'_>) -> Vec<ShadowedLibrary> {
    let (root, graph) = (loaded.root(), loaded.graph());
    let runtime = root.runtime;
    let library_path = runtime.environment.get("LD_LIBRARY_PATH");
    let searched = library_path.iter().flat_map(|list| list.split(':'));
    let searched: BTreeSet<TreePath> = searched
        .chain(runtime.default_directories.iter().map(String::as_str))
        .filter_map(|directory| match root.directory(directory)? {
            Location::Tree(directory) => Some(directory),
            Location::Runtime(_) => None,
        })
        .collect();
    let is_searched = |path: &TreePath| path.parent().is_some_and(|directory| searched.contains(&directory));
    let mut shadowed: BTreeMap<TreePath, ShadowedLibrary> = graph
        .shadowed
        .iter()
        .filter(|library| is_searched(&library.path))
        .map(|library| {
            let shadowed = ShadowedLibrary {
                library: library.clone(),
                links: Vec::new(),
                commands: Vec::new(),
            };
            (library.path.clone(), shadowed)
        })
        .collect();
    if shadowed.is_empty() {
        return Vec::new();
    }
    for (path, entry) in root.tree.iter() {
        if let Entry::Symlink(target) = entry
            && is_searched(path)
            && path.file_name().contains(".so")
            && let Ok(Location::Tree(place)) = root.resolve(&link_target(path, target))
            && let Some(library) = shadowed.get_mut(&place)
        {
            library.links.push(path.clone());
        }
    }
    let mut shadowed: Vec<ShadowedLibrary> = shadowed.into_values().collect();
    for (command, program) in hidden_commands(root) {
        for need in graph.needs.get(&program).into_iter().flatten() {
            for library in shadowed
                .iter_mut()
                .filter(|shadowed| shadowed.library.soname == need.soname)
            {
                library.commands.push(command.clone());
            }
        }
    }
    shadowed
}

/// What is in a directory of `PATH` and is not what its name starts, because the runtime has a command of that name in a
/// directory before; with the file that it is or leads to.
fn hidden_commands(root: Root<'_>) -> Vec<(TreePath, TreePath)> {
    let mut hidden = Vec::new();
    let mut before: Vec<Location> = Vec::new();
    for directory in root.runtime.command_path() {
        let Some(directory) = root.directory(&directory) else {
            continue;
        };
        if let Location::Tree(searched) = &directory {
            let is_hidden = |name: &str| {
                let mut found = before.iter().filter_map(|directory| root.entry_in(directory, name));
                matches!(found.next(), Some(Location::Runtime(_)))
            };
            for (path, entry) in root.tree.below(searched) {
                if path.parent().as_ref() == Some(searched)
                    && !matches!(entry, Entry::Directory(_))
                    && is_hidden(path.file_name())
                    && let Ok(Location::Tree(program)) = root.resolve(&path.on_lambda())
                {
                    hidden.push((path.clone(), program));
                }
            }
        }
        before.push(directory);
    }
    hidden
}

/// The objects that would get a shadowed library if they opened it by its name: dlopen(3) searches the caller's `DT_RPATH`
/// before anything else.
pub fn openers_of_shadowed<'s>(
    loaded: &LoadedTree<'_>,
    shadowed: &'s [ShadowedLibrary],
) -> Vec<(TreePath, &'s ShadowedLibrary)> {
    let mut openers = Vec::new();
    if shadowed.is_empty() {
        return openers;
    }
    let names: BTreeSet<&str> = shadowed.iter().map(|library| library.library.soname.as_str()).collect();
    let by_path: BTreeMap<&TreePath, &ShadowedLibrary> = shadowed
        .iter()
        .map(|library| (&library.library.path, library))
        .collect();
    let finder = Finder::new(loaded.root());
    for followed in loaded.followed() {
        let Some(Location::Tree(program)) = followed.loaded.first().map(|object| &object.found.place) else {
            continue;
        };
        if matches!(followed.start, Start::Shadowed(_)) {
            continue;
        }
        finder.opens(&followed.process, &names, &mut |object, place| {
            if let Location::Tree(library) = place
                && let Some(library) = by_path.get(library)
            {
                let opener = match &object.place {
                    Location::Tree(path) => path,
                    Location::Runtime(_) => program,
                };
                openers.push((opener.clone(), *library));
            }
        });
    }
    openers
}

/// The objects that need a symbol which a shadowed library defines and nothing that is loaded with them does.
pub fn users_of_shadowed_symbols<'s>(
    loaded: &LoadedTree<'_>,
    shadowed: &'s [ShadowedLibrary],
) -> Vec<(TreePath, &'s ShadowedLibrary)> {
    let mut users = Vec::new();
    if shadowed.is_empty() {
        return users;
    }
    for problem in loaded.undefined_symbols() {
        let names = problem
            .symbols
            .iter()
            .map(|symbol| symbol.split('@').next().unwrap_or_default());
        let names: BTreeSet<&str> = names.collect();
        for library in shadowed {
            let object = loaded.root().tree.object(&library.library.path);
            let symbols = object.and_then(|object| object.symbols.as_ref());
            if symbols.is_some_and(|symbols| names.iter().any(|name| symbols.has(name))) {
                users.push((problem.object.clone(), library));
            }
        }
    }
    users
}
