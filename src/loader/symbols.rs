//! Symbols: whether each one that an object needs is defined by something in its process (glibc `elf/dl-lookup.c`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use crate::elf::{Object, Undefined};
use crate::root::{Location, Root};
use crate::tree::TreePath;

use super::graph::{Followed, Start};
use super::search::{Loaded, Provided, Resolved};

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

/// Looks up every symbol of every object in its own process: what [`LoadedTree::undefined_symbols`] keeps.
///
/// [`LoadedTree::undefined_symbols`]: super::LoadedTree::undefined_symbols
pub(super) fn undefined_symbols(root: Root<'_>, followed: &[Followed<'_>]) -> Vec<UndefinedSymbols> {
    let mut problems: BTreeMap<&TreePath, UndefinedSymbols> = BTreeMap::new();
    let mut check = SymbolCheck::new(root);
    for process in followed.iter().filter(|process| process.start == Start::Program) {
        let (first, found) = (process.loaded.first(), check.undefined(&process.loaded));
        for (path, symbols) in found {
            if let (Some(program), false) = (first, problems.contains_key(path)) {
                let problem = UndefinedSymbols {
                    object: path.clone(),
                    program: program.found.place.on_lambda(),
                    symbols,
                };
                problems.insert(path, problem);
            }
        }
    }
    problems.into_values().collect()
}

/// Looks up the symbols of one process after the other, and remembers which objects lack none.
#[derive(Debug)]
pub struct SymbolCheck<'a> {
    root: Root<'a>,
    numbers: HashMap<Location, usize>,
    /// By the number of an object, the objects of processes in which it lacks no symbol: it lacks none in a process that has
    /// these and others.
    satisfied: HashMap<usize, Vec<Rc<BTreeSet<usize>>>>,
}

impl<'a> SymbolCheck<'a> {
    /// How many processes are remembered of one object.
    const MOST: usize = 4;

    /// A check that has not seen any process yet.
    pub fn new(root: Root<'a>) -> Self {
        Self {
            root,
            numbers: HashMap::new(),
            satisfied: HashMap::new(),
        }
    }

    /// The objects of the tree in a process that need symbols which nothing in it defines, each with these symbols.
    pub fn undefined<'p>(&mut self, process: &'p [Loaded<'_>]) -> Vec<(&'p TreePath, Vec<String>)> {
        // One that does not get all of its libraries fails before symbols matter.
        let mut provided = process.iter().flat_map(|loaded| &loaded.needs);
        if provided.any(|(_, provided)| matches!(provided, Provided::Missing(_))) {
            return Vec::new();
        }
        let mut scope: BTreeSet<usize> = process.iter().map(|loaded| self.number(&loaded.found.place)).collect();
        scope.extend(loader(process).map(|found| self.number(&found.place)));
        let scope = Rc::new(scope);
        let members = members(self.root, process);
        let mut problems = Vec::new();
        for loaded in process {
            let Location::Tree(path) = &loaded.found.place else {
                continue;
            };
            let number = self.number(&loaded.found.place);
            let known = self.satisfied.entry(number).or_default();
            if known.iter().any(|known| known.is_subset(&scope)) {
                continue;
            }
            let symbols = not_defined(self.root, process, &members, loaded);
            if !symbols.is_empty() {
                problems.push((path, symbols.into_iter().map(shown).collect()));
            } else if known.len() < Self::MOST {
                known.push(Rc::clone(&scope));
            }
        }
        problems
    }

    fn number(&mut self, place: &Location) -> usize {
        if let Some(number) = self.numbers.get(place) {
            return *number;
        }
        let number = self.numbers.len();
        self.numbers.insert(place.clone(), number);
        number
    }
}

/// The loader of a process, if one of its objects needs it.
fn loader<'p>(process: &'p [Loaded<'_>]) -> Option<&'p Resolved> {
    let mut needs = process.iter().flat_map(|loaded| &loaded.needs);
    needs.find_map(|(_, provided)| match provided {
        Provided::ByLoader(found) => Some(found),
        _ => None,
    })
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
    let loader = loader(process).and_then(|found| {
        Some(Member {
            object: root.object(&found.place)?,
            path: &found.path,
        })
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
    // Most symbols of one version are defined by one library.
    let mut likely: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    strong
        .filter(|symbol| {
            let is_definition = |member: &Member<'_>| {
                let is_other = !symbol.copied || !std::ptr::eq(member.object, loaded.object);
                is_other && defines(member.object, symbol)
            };
            let version = symbol.version.as_deref();
            let known = likely.get(&version).and_then(|number| scope.get(*number));
            if known.is_some_and(is_definition) {
                return false;
            }
            let found = scope.iter().position(is_definition);
            likely.extend(found.map(|number| (version, number)));
            found.is_none()
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
