//! Symbols: whether each one that an object needs is defined by something in its process (glibc `elf/dl-lookup.c`).

use std::collections::{BTreeMap, BTreeSet};

use crate::elf::{Object, Undefined};
use crate::root::{Location, Root};
use crate::tree::TreePath;

use super::graph::{Followed, Start};
use super::search::{Loaded, Provided};

/// Symbols that an object needs and that nothing in a process defines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UndefinedSymbols {
    /// The object.
    pub object: TreePath,
    /// The program of the process.
    pub program: String,
    /// The symbols, each with its version behind an `@` if it asks for one, sorted.
    pub symbols: Vec<String>,
}

/// Looks up every symbol of every object in its own process. Processes that are not known from their start, and symbols that a
/// library might define of which only the name is known, are left out. Weak symbols are not a problem.
pub fn undefined_symbols(root: Root<'_>, followed: &[Followed<'_>]) -> Vec<UndefinedSymbols> {
    let mut problems: BTreeMap<&TreePath, UndefinedSymbols> = BTreeMap::new();
    let mut judged: BTreeSet<(&TreePath, Vec<&Location>)> = BTreeSet::new();
    for process in followed.iter().filter(|process| process.start == Start::Program) {
        // One that does not get all of its libraries fails before symbols matter.
        let needs = process.loaded.iter().flat_map(|loaded| &loaded.needs);
        if needs
            .into_iter()
            .any(|(_, provided)| matches!(provided, Provided::Missing(_)))
        {
            continue;
        }
        let mut scope: Vec<&Location> = process.loaded.iter().map(|loaded| &loaded.found.place).collect();
        scope.sort_unstable();
        let members = members(root, &process.loaded);
        for loaded in &process.loaded {
            let Location::Tree(path) = &loaded.found.place else {
                continue;
            };
            if problems.contains_key(path) || !judged.insert((path, scope.clone())) {
                continue;
            }
            let symbols = not_defined(root, &process.loaded, &members, loaded);
            if let (false, Some(program)) = (symbols.is_empty(), process.loaded.first()) {
                let problem = UndefinedSymbols {
                    object: path.clone(),
                    program: program.found.place.on_lambda(),
                    symbols: symbols.iter().copied().map(shown).collect(),
                };
                problems.insert(path, problem);
            }
        }
    }
    problems.into_values().collect()
}

fn shown(symbol: &Undefined) -> String {
    match &symbol.version {
        Some(version) => format!("{}@{version}", symbol.name),
        None => symbol.name.to_string(),
    }
}

/// An object that is mapped in a process.
#[derive(Clone, Copy)]
struct Member<'a> {
    object: &'a Object,
    path: &'a str,
}

/// All objects of a process, its loader among them.
fn members<'a>(root: Root<'a>, process: &'a [Loaded<'a>]) -> Vec<Member<'a>> {
    let mapped = process.iter().map(|loaded| Member {
        object: loaded.object,
        path: &loaded.found.path,
    });
    let needs = process.iter().flat_map(|loaded| &loaded.needs);
    let loader = needs.into_iter().find_map(|(_, provided)| match provided {
        Provided::ByLoader(found) => Some(Member {
            object: root.object(&found.place)?,
            path: &found.path,
        }),
        _ => None,
    });
    mapped.chain(loader).collect()
}

/// The strong symbols of an object that nothing of its process defines.
fn not_defined<'a>(
    root: Root<'_>,
    process: &[Loaded<'_>],
    scope: &[Member<'_>],
    loaded: &Loaded<'a>,
) -> Vec<&'a Undefined> {
    let Some(symbols) = &loaded.object.symbols else {
        return Vec::new();
    };
    let strong = symbols.undefined.iter().filter(|symbol| !symbol.weak);
    strong
        .filter(|symbol| {
            let others = |member: &&Member<'_>| !symbol.copied || !std::ptr::eq(member.object, loaded.object);
            !scope.iter().filter(others).any(|member| defines(member.object, symbol))
        })
        .filter(|symbol| {
            let mut unknown = scope.iter().filter(|member| member.object.symbols.is_none());
            !unknown.any(|member| may_define(root, process, loaded, *member, symbol))
        })
        .collect()
}

fn defines(object: &Object, symbol: &Undefined) -> bool {
    object.symbols.as_ref().is_some_and(|symbols| symbols.defines(symbol))
}

/// Whether a library of which the symbols are not known may define one. A reference to a library that defines versions has
/// one of them if the object was linked with that library.
fn may_define(
    root: Root<'_>,
    process: &[Loaded<'_>],
    loaded: &Loaded<'_>,
    library: Member<'_>,
    symbol: &Undefined,
) -> bool {
    let needed_as = loaded.needs.iter().find_map(|(name, provided)| match provided {
        Provided::ByObject(number) if std::ptr::eq(process[*number].object, library.object) => Some(*name),
        Provided::ByLoader(found) if found.path == library.path => Some(*name),
        _ => None,
    });
    if let Some(version) = &symbol.version {
        // The library of that version is another one, whose symbols are known, or this one.
        let of = loaded
            .object
            .version_needs
            .iter()
            .find(|need| *need.version == **version);
        return of.is_none_or(|need| needed_as == Some(need.library.as_str()));
    }
    if root.runtime.is_of_glibc(library.path) {
        return root.runtime.glibc_defines(&symbol.name);
    }
    // Others may define some symbols with versions and some without, as zlib does.
    let name = library.path.rsplit('/').next().unwrap_or_default();
    let defines_versions = root.runtime.defines_versions(name);
    !(defines_versions && needed_as.is_some())
}
