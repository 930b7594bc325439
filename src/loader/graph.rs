//! All processes of a tree at once: what each object needs, what serves it, and what nothing ever loads.

use std::collections::{BTreeMap, BTreeSet};

use crate::elf::Kind;
use crate::root::{Place, Root};
use crate::tree::TreePath;

use super::process::Processes;
use super::search::{Answer, Found, Loaded, load};

/// What the loader does with a tree.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// For each object what it needs, in the loader's order; for one that is never loaded, as if it were.
    ///
    /// Where processes disagree, the answer is the one that fails, else that of the first process.
    pub needs: BTreeMap<TreePath, Vec<Need>>,
    /// Libraries that no process loads, because the runtime has one of that name in front of them.
    pub shadowed: Vec<Shadowed>,
    /// Libraries that nothing needs by name. Something may still open them at run time.
    pub unneeded: Vec<TreePath>,
}

/// One needed library of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The name in `DT_NEEDED`.
    pub soname: String,
    /// What becomes of it.
    pub answer: Answer,
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
                if matches!(need.answer, Answer::Missing(_)) {
                    missing.entry(&need.soname).or_default().push(path);
                }
            }
        }
        missing
    }

    /// The files of the tree that some object needs, with one object that does.
    pub fn needed_files(&self) -> BTreeMap<&TreePath, &TreePath> {
        let mut needed = BTreeMap::new();
        for (path, needs) in self.loaded_objects() {
            for need in needs {
                if let Answer::Found(Found {
                    place: Place::Tree(file),
                    ..
                }) = &need.answer
                {
                    needed.entry(file).or_insert(path);
                }
            }
        }
        needed
    }

    /// What is needed by objects that some process may load: the shadowed ones are not among them.
    pub fn loaded_objects(&self) -> impl Iterator<Item = (&TreePath, &Vec<Need>)> {
        self.needs
            .iter()
            .filter(|(path, _)| !self.shadowed.iter().any(|shadowed| shadowed.path == **path))
    }

    fn add(&mut self, loaded: &[Loaded]) {
        for object in loaded {
            let Place::Tree(path) = &object.found.place else {
                continue;
            };
            let merged = self.needs.entry(path.clone()).or_default();
            for (soname, answer, _) in &object.needs {
                match merged.iter_mut().find(|need| need.soname == *soname) {
                    None => merged.push(Need {
                        soname: soname.clone(),
                        answer: answer.clone(),
                    }),
                    Some(known) => {
                        if matches!(answer, Answer::Missing(_)) {
                            known.answer = answer.clone();
                        }
                    }
                }
            }
        }
    }
}

/// Follows every process that the tree can become.
///
/// First the executables and R's plugins. A library that none of them reaches is shadowed if the runtime serves its name
/// first; what it needs then does not matter. Any other may be opened at run time by something that nobody can see from
/// here, so it is followed as a process of its own.
pub fn graph(root: Root<'_>) -> Graph {
    let processes = Processes::of(root);
    let plugins = processes.plugins();
    let mut graph = Graph::default();
    for process in processes.all() {
        graph.add(&load(root, &process));
    }
    let alone: Vec<(&TreePath, &str)> = root
        .tree
        .objects()
        .filter(|(path, object)| {
            (object.kind == Kind::SharedLibrary || object.soname.is_some()) && !graph.needs.contains_key(path)
        })
        .map(|(path, object)| {
            let name = object.soname.as_deref().unwrap_or(path.file_name());
            (path, name)
        })
        .collect();
    let mut needed_alone = BTreeSet::new();
    let mut candidates = Vec::new();
    for (path, soname) in alone {
        let loaded = load(root, &processes.alone(path));
        let by = served_by_runtime(root, soname).filter(|_| !plugins.contains(path));
        if let Some(by) = by {
            graph.shadowed.push(Shadowed {
                path: path.clone(),
                soname: soname.to_owned(),
                by,
            });
            graph.add(loaded.get(..1).unwrap_or_default());
            continue;
        }
        for object in loaded.iter().skip(1) {
            if let Place::Tree(needed) = &object.found.place {
                needed_alone.insert(needed.clone());
            }
        }
        graph.add(&loaded);
        if !plugins.contains(path) {
            candidates.push(path);
        }
    }
    graph.unneeded = candidates
        .into_iter()
        .filter(|path| !needed_alone.contains(*path))
        .cloned()
        .collect();
    graph
}

/// The runtime's library that an ordinary process gets when it asks for the name.
fn served_by_runtime(root: Root<'_>, soname: &str) -> Option<String> {
    let library_path = root.runtime.library_path();
    library_path
        .iter()
        .chain(&root.runtime.default_directories)
        .find_map(|directory| root.resolve(&format!("{directory}/{soname}")).ok())
        .and_then(|place| match place {
            Place::Runtime(path) => Some(path),
            Place::Tree(_) => None,
        })
}
