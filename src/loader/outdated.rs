//! Libraries of the runtime that are too old for objects of the tree, and which objects would have to load another copy in
//! their place so that no process gets two.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::graph::{Followed, Graph, Start};
use super::loaded::LoadedTree;
use super::search::Provided;
use super::versions::{Grade, version_problems};
use crate::elf::{Class, Object, private_name};
use crate::root::{Location, Root};
use crate::runtime::{Arch, needs};
use crate::tree::path::escaped;
use crate::tree::{Tree, TreePath};

/// What the runtime's copy of a library lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outdated {
    /// Symbol versions that are asked of it.
    pub versions: BTreeSet<String>,
    /// Symbols that objects need which load it, and that nothing in their processes defines. A newer copy may define them.
    pub symbols: BTreeSet<String>,
    /// The objects that fail for it.
    pub failing: BTreeSet<TreePath>,
}

impl Outdated {
    /// Whether a library has what is lacked, and every version that is asked of it.
    pub fn is_met_by(&self, object: &Object, asked: &BTreeSet<String>) -> bool {
        let defined = object.versions.as_deref().unwrap_or_default();
        let symbols = object.symbols.as_ref();
        let has_symbol = || symbols.is_some_and(|symbols| self.symbols.iter().any(|name| symbols.has(name)));
        let versions = &mut asked.iter().chain(&self.versions);
        versions.all(|version| defined.contains(version)) && (self.symbols.is_empty() || has_symbol())
    }

    /// The first library of a tree that can be loaded in place of the runtime's.
    pub fn newer_in<'t>(
        &self,
        tree: &'t Tree,
        arch: Arch,
        soname: &str,
        asked: &BTreeSet<String>,
    ) -> Option<(&'t TreePath, &'t Object)> {
        tree.objects().find(|(path, object)| {
            let is_named = object.soname.as_deref().unwrap_or(path.file_name()) == soname;
            let fits = object.machine == arch.machine() && object.class == Class::Elf64 && object.is_mappable;
            is_named && fits && self.is_met_by(object, asked)
        })
    }

    /// What is lacked, for people: a few versions or symbols.
    pub fn shown(&self) -> String {
        const SHOWN: usize = 3;
        let names = if self.versions.is_empty() {
            &self.symbols
        } else {
            &self.versions
        };
        let shown = names.iter().take(SHOWN).map(|name| escaped(name.as_bytes()));
        let mut text = shown.collect::<Vec<_>>().join(", ");
        if names.len() > SHOWN {
            text += &format!(", {} more", names.len() - SHOWN);
        }
        text
    }
}

/// The private name of a library in a tree: one that neither the tree nor the runtime has anything of.
pub fn free_name<'n>(root: Root<'_>, soname: &'n str) -> Option<&'n str> {
    private_name(soname, |name| {
        let is_name = |path: &str| path.rsplit('/').next() == Some(name);
        let is_soname = |(_, object): (&TreePath, &Object)| object.soname.as_deref() == Some(name);
        root.tree.iter().any(|(path, _)| is_name(path.as_str()))
            || root.tree.objects().any(is_soname)
            || root.runtime.entries().any(|(path, _)| is_name(&path))
    })
}

/// The libraries of the runtime that are too old for some object, by their names. Those of glibc are not among them: they
/// fit one another and their loader alone.
pub fn outdated(loaded: &LoadedTree<'_>, graph: &Graph) -> BTreeMap<String, Outdated> {
    let root = loaded.root();
    let mut outdated: BTreeMap<String, Outdated> = BTreeMap::new();
    let is_replaceable = |path: &str| TreePath::from_lambda(path).is_none() && !root.runtime.is_of_glibc(path);
    for problem in version_problems(root, graph) {
        if problem.grade == Grade::Fatal && is_replaceable(&problem.found) {
            let library = outdated.entry(problem.library).or_default();
            library.versions.insert(problem.version);
            library.failing.insert(problem.object);
        }
    }
    let undefined: BTreeMap<&TreePath, &Vec<String>> = loaded
        .undefined_symbols()
        .iter()
        .map(|problem| (&problem.object, &problem.symbols))
        .collect();
    if undefined.is_empty() {
        return outdated;
    }
    let programs = loaded.followed().iter();
    for process in programs.filter(|process| process.start == Start::Program) {
        for object in &process.loaded {
            let Location::Tree(path) = &object.found.place else {
                continue;
            };
            let Some(symbols) = undefined.get(path) else { continue };
            for (soname, provided) in &object.needs {
                let Provided::ByObject(number) = provided else { continue };
                let library = &process.loaded[*number];
                let is_known = library.object.symbols.is_some();
                if is_known && is_replaceable(&library.found.place.on_lambda()) {
                    let names = symbols
                        .iter()
                        .filter_map(|symbol| asked_of(object.object, soname, symbol));
                    let names: BTreeSet<String> = names.map(ToOwned::to_owned).collect();
                    if !names.is_empty() {
                        let library = outdated.entry((*soname).to_owned()).or_default();
                        library.symbols.extend(names);
                        library.failing.insert(path.clone());
                    }
                }
            }
        }
    }
    outdated
}

/// The name of a symbol, such as `read@VERSION`, if an object may ask a library for it: one with a version is asked of the
/// library of that version alone.
fn asked_of<'s>(object: &Object, soname: &str, symbol: &'s str) -> Option<&'s str> {
    match symbol.split_once('@') {
        None => Some(symbol),
        Some((name, version)) => {
            let mut needs = object.version_needs.iter();
            let is_asked = needs.any(|need| need.library == soname && need.version == version);
            is_asked.then_some(name)
        }
    }
}

/// Why a library of the runtime cannot be replaced in the processes that need another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// A library of the runtime in one of these processes needs it, too.
    Needed {
        /// That library, by its path.
        by: String,
        /// The library that is needed.
        soname: String,
    },
    /// It is not known what a library of the runtime in one of these processes needs.
    Unknown {
        /// That library, by its path.
        library: String,
    },
    /// The runtime's own program loads it, or may.
    Program {
        /// The library that is needed.
        soname: String,
    },
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let two = |soname: &str| format!("and no process may have two copies of {}", escaped(soname.as_bytes()));
        match self {
            Self::Needed { by, soname } => {
                write!(
                    f,
                    "{}, which the same process loads, needs the runtime's own, {}",
                    escaped(by.as_bytes()),
                    two(soname)
                )
            }
            Self::Unknown { library } => write!(
                f,
                "it is not known what {} needs, which the same process loads",
                escaped(library.as_bytes())
            ),
            Self::Program { soname } => write!(f, "the runtime's own program loads it, {}", two(soname)),
        }
    }
}

/// What to do about libraries that are too old.
#[derive(Debug, Default)]
pub struct Moves {
    /// For each object that is to load other copies, the names of these libraries.
    pub objects: BTreeMap<TreePath, BTreeSet<String>>,
    /// Where the runtime's copy has to stay although an object fails for it.
    pub bound: Vec<BoundProcesses>,
}

/// Processes in which the runtime's copy of a library has to stay.
#[derive(Debug)]
pub struct BoundProcesses {
    /// The library.
    pub soname: String,
    /// Why it has to stay.
    pub bound: Bound,
    /// The objects of the tree in these processes.
    pub objects: BTreeSet<TreePath>,
}

/// Which objects of the tree get libraries of the runtime, process by process. Processes of the same program count as one:
/// an interpreter may load any of its native modules.
#[derive(Debug)]
pub struct ProvidedUses<'a> {
    root: Root<'a>,
    groups: Vec<Group>,
}

/// Processes of one program.
#[derive(Debug, Default)]
struct Group {
    /// Every object of the tree in them.
    objects: BTreeSet<TreePath>,
    /// The objects of the tree, by the name of the runtime's library that they need and get.
    users: BTreeMap<String, BTreeSet<TreePath>>,
    /// What each library of the runtime is known to need, by its path; `None` where that is not recorded.
    provided: BTreeMap<String, Option<BTreeSet<String>>>,
    /// Whether the program is, or may be, one of the runtime's.
    is_of_runtime: bool,
}

impl<'a> ProvidedUses<'a> {
    /// Looks at every process but those of libraries that are never loaded.
    pub fn of(root: Root<'a>, followed: &[Followed<'_>]) -> Self {
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        for process in followed {
            if matches!(process.start, Start::Shadowed(_)) {
                continue;
            }
            let program = process.process.program.clone().unwrap_or_default();
            let group = groups.entry(program).or_default();
            let in_tree = process.process.program.as_deref();
            let in_tree = in_tree.is_some_and(|program| matches!(root.resolve(program), Ok(Location::Tree(_))));
            // A library that no program of the tree reaches is opened by the language of the runtime, if it has one.
            group.is_of_runtime |= !in_tree || process.start == Start::Alone && root.runtime.has_language();
            for object in &process.loaded {
                let got = object.needs.iter().filter_map(|(soname, provided)| match provided {
                    Provided::ByObject(number) => Some((*soname, &process.loaded[*number].found.place)),
                    _ => None,
                });
                match &object.found.place {
                    Location::Tree(path) => {
                        group.objects.insert(path.clone());
                        for (soname, place) in got {
                            if matches!(place, Location::Runtime(_)) {
                                let users = group.users.entry(soname.to_owned()).or_default();
                                users.insert(path.clone());
                            }
                        }
                    }
                    Location::Runtime(path) => {
                        let is_recorded = object.object.symbols.is_some() || !object.object.needed.is_empty();
                        let needs = is_recorded.then(|| got.map(|(soname, _)| soname.to_owned()).collect());
                        group.provided.insert(path.clone(), needs);
                    }
                }
            }
        }
        Self {
            root,
            groups: groups.into_values().collect(),
        }
    }

    /// Which objects of the tree have to load other copies of these libraries, so that those that fail do, and no process
    /// gets two copies of one: all that get the runtime's; where some process has to keep that, those whose processes have to
    /// do with a failing object and none with such a process.
    ///
    /// `moved` are objects that load other copies already.
    pub fn moves(
        &self,
        libraries: &BTreeSet<String>,
        failing: &BTreeSet<TreePath>,
        moved: &BTreeSet<TreePath>,
    ) -> Moves {
        let uses_any = |group: &&Group| group.users.keys().any(|soname| libraries.contains(soname));
        let groups: Vec<&Group> = self.groups.iter().filter(uses_any).collect();
        let mut result = Moves::default();
        let is_bound = |group: &&Group| self.bound(group, libraries).is_some();
        let sets = if groups.iter().any(is_bound) {
            connected(groups, libraries, failing, moved)
        } else {
            vec![groups]
        };
        for groups in sets {
            match groups.iter().find_map(|group| self.bound(group, libraries)) {
                Some((soname, bound)) => result.bound.push(BoundProcesses {
                    soname,
                    bound,
                    objects: groups.iter().flat_map(|group| group.objects.clone()).collect(),
                }),
                None => {
                    for (soname, object) in groups.iter().flat_map(|group| group.users_of(libraries)) {
                        let libraries = result.objects.entry(object.clone()).or_default();
                        libraries.insert(soname.clone());
                    }
                }
            }
        }
        result
    }

    /// The first of these libraries of which the processes of a group need the runtime's copy, even if the tree's objects
    /// load others.
    fn bound(&self, group: &Group, libraries: &BTreeSet<String>) -> Option<(String, Bound)> {
        let used = libraries.iter().find(|soname| group.users.contains_key(*soname))?;
        if group.is_of_runtime {
            let Some(loads) = needs::of_programs(&self.root.runtime.name) else {
                let library = "the runtime's program".to_owned();
                return Some((used.clone(), Bound::Unknown { library }));
            };
            let mut used = libraries.iter().filter(|soname| group.users.contains_key(*soname));
            if let Some(soname) = used.find(|soname| loads.contains(*soname)) {
                let bound = Bound::Program { soname: soname.clone() };
                return Some((soname.clone(), bound));
            }
        }
        // The runtime's libraries that are loaded still: what objects of the tree need, and what these need.
        let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        let left = group.users.keys().filter(|soname| !libraries.contains(*soname));
        let mut pending: Vec<String> = left.cloned().collect();
        let by_name: BTreeMap<String, &String> = group.provided.keys().map(|path| (name(path), path)).collect();
        let mut seen = BTreeSet::new();
        while let Some(soname) = pending.pop() {
            if !seen.insert(soname.clone()) {
                continue;
            }
            let path = by_name.get(&soname).copied();
            let by = path.cloned().unwrap_or_else(|| soname.clone());
            let recorded = path.and_then(|path| group.provided.get(path)?.as_ref());
            let Some(needs) = recorded.or_else(|| needs::of_library(&soname)) else {
                return Some((used.clone(), Bound::Unknown { library: by }));
            };
            if let Some(needed) = needs.iter().find(|needed| libraries.contains(*needed)) {
                let soname = needed.clone();
                return Some((soname.clone(), Bound::Needed { by, soname }));
            }
            pending.extend(needs.iter().cloned());
        }
        None
    }
}

impl Group {
    /// The objects of the tree that need one of these libraries, each with the name.
    fn users_of<'g>(&'g self, libraries: &'g BTreeSet<String>) -> impl Iterator<Item = (&'g String, &'g TreePath)> {
        let users = self.users.iter().filter(|(soname, _)| libraries.contains(*soname));
        users.flat_map(|(soname, objects)| objects.iter().map(move |object| (soname, object)))
    }
}

/// The groups in sets, of which no two share an object that loads, or is to load, another copy of a library; those alone in
/// which an object fails.
fn connected<'g>(
    mut groups: Vec<&'g Group>,
    libraries: &BTreeSet<String>,
    failing: &BTreeSet<TreePath>,
    moved: &BTreeSet<TreePath>,
) -> Vec<Vec<&'g Group>> {
    let mut sets = Vec::new();
    while let Some(first) = groups.pop() {
        let mut set = vec![first];
        let mut shared: BTreeSet<&TreePath> = BTreeSet::new();
        let mut next = 0;
        while let Some(group) = set.get(next) {
            shared.extend(group.users_of(libraries).map(|(_, object)| object));
            shared.extend(group.objects.intersection(moved));
            next += 1;
            if next == set.len() {
                let is_joined = |group: &&Group| shared.iter().any(|object| group.objects.contains(*object));
                let (joining, others) = groups.into_iter().partition(is_joined);
                groups = others;
                set.extend::<Vec<_>>(joining);
            }
        }
        if set.iter().any(|group| !group.objects.is_disjoint(failing)) {
            sets.push(set);
        }
    }
    sets
}
