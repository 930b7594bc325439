//! All processes of a tree at once: what each object needs, what serves it, and what nothing ever loads.

use std::collections::{BTreeMap, BTreeSet};

use crate::platform::{Alternatives, Foreign, alternatives, foreign_files};
use crate::root::Location;
use crate::tree::TreePath;

use super::search::{Finder, Loaded, Provided, Resolution, Resolved};
use crate::languages::process::{Process, Processes};
use crate::timings::phase;

/// What the loader does with a tree.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// For each object what it needs, in the loader's order; for one that is never loaded, as if it were.
    ///
    /// Where processes disagree, the resolution is the one that fails, else that of the first process.
    pub needs: BTreeMap<TreePath, Vec<Need>>,
    /// What objects need and do not find where a script sets the search path in a way that is not understood, with that script.
    pub unclear: BTreeMap<(TreePath, String), String>,
    /// Libraries that no process loads, because one of that name of the runtime is found first.
    pub shadowed: Vec<Shadowed>,
    /// Native files for other systems: no process of the runtime loads them.
    pub foreign: BTreeMap<TreePath, Foreign>,
    /// Libraries that nothing needs by name, sorted. Something may still open them at run time.
    pub unneeded: Vec<TreePath>,
    /// Native modules without which their language works.
    pub optional: BTreeSet<TreePath>,
}

/// One needed library of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The name in `DT_NEEDED`.
    pub soname: String,
    /// What becomes of it.
    pub resolution: Resolution,
}

/// A bundled library that is never loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadowed {
    /// The library in the tree.
    pub path: TreePath,
    /// The name by which it would be needed.
    pub soname: String,
    /// The runtime's library that the loader takes, by its absolute path.
    pub by: String,
}

impl Graph {
    /// The needed names that no process finds, with the objects that need them, sorted.
    pub fn missing(&self) -> BTreeMap<&str, Vec<&TreePath>> {
        let mut missing: BTreeMap<&str, Vec<&TreePath>> = BTreeMap::new();
        for (path, needs) in self.loaded_objects() {
            for need in needs {
                if matches!(need.resolution, Resolution::Missing(_)) {
                    missing.entry(&need.soname).or_default().push(path);
                }
            }
        }
        missing
    }

    /// The objects that something can load: programs, native modules of languages, libraries that are where the loader looks,
    /// and what these need. Others may be opened by a name that nothing here knows: optional plugins, programs of tests.
    pub fn reachable(&self) -> BTreeSet<TreePath> {
        // Every runtime has /opt/lib on its search path; what is only there for tests and as an example is not started.
        let is_searched = |path: &TreePath| path.parent().is_some_and(|above| above.as_str() == "lib");
        let needed = self.needed_files();
        let unneeded: BTreeSet<&TreePath> = self.unneeded.iter().collect();
        let mut pending: Vec<&TreePath> = self
            .needs
            .keys()
            .filter(|path| is_searched(path) || !needed.contains_key(path) && !unneeded.contains(path))
            .filter(|path| !self.optional.contains(*path))
            .filter(|path| !path.names().any(|name| matches!(name, "test" | "tests" | "examples")))
            .collect();
        let mut reachable = BTreeSet::new();
        while let Some(path) = pending.pop() {
            if !reachable.insert(path.clone()) {
                continue;
            }
            for need in self.needs.get(path).into_iter().flatten() {
                if let Resolution::Found(Resolved {
                    place: Location::Tree(file),
                    ..
                }) = &need.resolution
                {
                    pending.push(file);
                }
            }
        }
        reachable
    }

    /// Where packages choose among objects for several systems: those places at which one has all that it needs.
    pub fn working_alternatives(&self) -> BTreeSet<Alternatives> {
        let works = |needs: &Vec<Need>| needs.iter().all(|need| matches!(need.resolution, Resolution::Found(_)));
        self.loaded_objects()
            .filter(|(_, needs)| works(needs))
            .filter_map(|(path, _)| alternatives(path))
            .collect()
    }

    /// The files of the tree that some object needs, with one object that does.
    pub fn needed_files(&self) -> BTreeMap<&TreePath, &TreePath> {
        let mut needed = BTreeMap::new();
        for (path, needs) in self.loaded_objects() {
            for need in needs {
                if let Resolution::Found(Resolved {
                    place: Location::Tree(file),
                    ..
                }) = &need.resolution
                {
                    needed.entry(file).or_insert(path);
                }
            }
        }
        needed
    }

    /// What is needed by objects that some process may load: shadowed ones and those for other systems are not among them.
    pub fn loaded_objects(&self) -> impl Iterator<Item = (&TreePath, &Vec<Need>)> {
        let shadowed: BTreeSet<&TreePath> = self.shadowed.iter().map(|shadowed| &shadowed.path).collect();
        self.needs
            .iter()
            .filter(move |(path, _)| !self.foreign.contains_key(*path) && !shadowed.contains(path))
    }

    /// Adds the first `objects` objects of a process.
    fn add(&mut self, process: &Process, loaded: &[Loaded<'_>], objects: usize) {
        for object in loaded.iter().take(objects) {
            let Location::Tree(path) = &object.found.place else {
                continue;
            };
            let merged = self.needs.entry(path.clone()).or_default();
            for (soname, provided) in &object.needs {
                let known = merged.iter_mut().find(|need| need.soname == *soname);
                if matches!(provided, Provided::Missing(_)) {
                    let key = (path.clone(), (*soname).to_owned());
                    let is_missing = known
                        .as_ref()
                        .is_some_and(|need| matches!(need.resolution, Resolution::Missing(_)));
                    match &process.unclear {
                        Some(script) if !is_missing => {
                            self.unclear.insert(key, script.clone());
                        }
                        Some(_) => {}
                        None => {
                            self.unclear.remove(&key);
                        }
                    }
                }
                let resolution = || match provided {
                    Provided::ByObject(number) => Resolution::Found(loaded[*number].found.clone()),
                    Provided::ByLoader(found) => Resolution::Found(found.clone()),
                    Provided::Missing(searched) => Resolution::Missing(searched.clone()),
                };
                match known {
                    None => merged.push(Need {
                        soname: (*soname).to_owned(),
                        resolution: resolution(),
                    }),
                    Some(known) if matches!(provided, Provided::Missing(_)) => known.resolution = resolution(),
                    Some(_) => {}
                }
            }
        }
    }
}

/// One process that was followed, and why it was.
#[derive(Debug, Clone)]
pub struct Followed<'a> {
    /// The process.
    pub process: Process,
    /// What the loader maps for it.
    pub loaded: Vec<Loaded<'a>>,
    /// Why it was followed.
    pub start: Start,
}

/// Why a process is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// An executable, or an interpreter with one of its native modules.
    Program,
    /// A library that no program reaches; something may open it at run time all the same.
    Alone,
    /// A library that no program reaches and whose name the runtime serves first: it is never loaded, and what it needs does
    /// not matter.
    Shadowed(Shadowed),
}

/// Follows processes and remembers what they reach.
struct Follower<'p, 'a> {
    processes: &'p Processes<'a>,
    finder: Finder<'a>,
    reached: BTreeSet<TreePath>,
    followed: Vec<Followed<'a>>,
}

pub(super) fn follow<'a>(processes: &Processes<'a>) -> Vec<Followed<'a>> {
    let mut follower = Follower {
        processes,
        finder: Finder::new(processes.root()),
        reached: BTreeSet::new(),
        followed: Vec::new(),
    };
    for process in processes.all() {
        follower.follow(process, Start::Program);
    }
    follower.follow_unreached();
    follower.followed
}

impl Follower<'_, '_> {
    fn follow(&mut self, process: Process, start: Start) {
        let loaded = self.finder.load(&process);
        let objects = if matches!(start, Start::Shadowed(_)) {
            1
        } else {
            loaded.len()
        };
        for object in loaded.iter().take(objects) {
            let by_loader = object.needs.iter().filter_map(|(_, provided)| match provided {
                Provided::ByLoader(found) => Some(found),
                _ => None,
            });
            for found in std::iter::once(&object.found).chain(by_loader) {
                if let Location::Tree(path) = &found.place
                    && !self.reached.contains(path)
                {
                    self.reached.insert(path.clone());
                }
            }
        }
        self.followed.push(Followed { process, loaded, start });
    }

    /// Follows the libraries that no program reaches.
    fn follow_unreached(&mut self) {
        let processes = self.processes;
        let plugins = processes.native_modules();
        let objects = processes.root().tree.objects();
        let unreached = objects.filter(|(path, _)| !self.reached.contains(*path));
        let mut alone = Vec::new();
        let mut shadowed = Vec::new();
        for (path, object) in unreached {
            let soname = object.soname.as_deref().unwrap_or(path.file_name());
            match self
                .finder
                .served_by_runtime(soname)
                .filter(|_| !plugins.contains(path))
            {
                None => alone.push((path, soname, object)),
                Some(by) => shadowed.push(Shadowed {
                    path: path.clone(),
                    soname: soname.to_owned(),
                    by,
                }),
            }
        }
        for shadowed in shadowed {
            self.follow(processes.alone(&shadowed.path), Start::Shadowed(shadowed));
        }
        let needed = alone.iter().flat_map(|(_, _, object)| &object.needed);
        let needed: BTreeSet<&str> = needed.map(String::as_str).collect();
        // First those that no other one needs; what is left then needs one another in a circle.
        let (inner, outer): (Vec<_>, Vec<_>) = alone.into_iter().partition(|(_, soname, _)| needed.contains(soname));
        for (path, ..) in outer.into_iter().chain(inner) {
            if !self.reached.contains(path) {
                self.follow(processes.alone(path), Start::Alone);
            }
        }
    }
}

/// Merges what all processes find.
pub(super) fn merged(processes: &Processes<'_>, followed: &[Followed<'_>]) -> Graph {
    let _phase = phase("loader");
    let plugins = processes.native_modules();
    let mut graph = Graph::default();
    for Followed { process, loaded, start } in followed {
        let first = loaded.first().map(|object| &object.found.place);
        match (start, first) {
            (Start::Alone, Some(Location::Tree(path))) if !plugins.contains(path) => graph.unneeded.push(path.clone()),
            (Start::Shadowed(shadowed), _) => {
                graph.add(process, loaded, 1);
                graph.shadowed.push(shadowed.clone());
                continue;
            }
            _ => {}
        }
        graph.add(process, loaded, usize::MAX);
    }
    graph.unneeded.sort();
    let missing = |path: &TreePath| {
        let needs = graph.needs.get(path).into_iter().flatten();
        let missing = needs.filter(|need| matches!(need.resolution, Resolution::Missing(_)));
        missing.map(|need| need.soname.as_str()).collect()
    };
    let root = processes.root();
    graph.foreign = foreign_files(root.tree, root.runtime.arch, missing);
    graph.optional = processes.optional_modules();
    graph
}
