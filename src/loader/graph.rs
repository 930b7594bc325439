//! All processes of a tree at once: what each object needs, what serves it, and what nothing ever loads.

use std::collections::{BTreeMap, BTreeSet};

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

/// One process that was followed, and why it was.
#[derive(Debug, Clone)]
pub struct Followed {
    /// What the loader maps for it.
    pub loaded: Vec<Loaded>,
    /// Why it was followed.
    pub start: Start,
}

/// Why a process is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// An executable, or R with one of its plugins.
    Program,
    /// A library that no program reaches; something may open it at run time all the same.
    Alone,
    /// A library that no program reaches and whose name the runtime serves first: it is never loaded, and what it needs does
    /// not matter.
    Shadowed(Shadowed),
}

/// Follows every process that the tree can become: the executables and R's plugins, then each library that none of them
/// reaches as a process of its own.
pub fn follow_all(root: Root<'_>) -> Vec<Followed> {
    let processes = Processes::of(root);
    let plugins = processes.plugins();
    let mut reached = BTreeSet::new();
    let mut followed: Vec<Followed> = processes
        .all()
        .iter()
        .map(|process| Followed {
            loaded: load(root, process),
            start: Start::Program,
        })
        .collect();
    for object in followed.iter().flat_map(|followed| &followed.loaded) {
        if let Place::Tree(path) = &object.found.place {
            reached.insert(path.clone());
        }
    }
    for (path, object) in root.tree.objects() {
        if reached.contains(path) {
            continue;
        }
        let soname = object.soname.as_deref().unwrap_or(path.file_name());
        let by = served_by_runtime(root, soname).filter(|_| !plugins.contains(path));
        followed.push(Followed {
            loaded: load(root, &processes.alone(path)),
            start: by.map_or(Start::Alone, |by| {
                Start::Shadowed(Shadowed {
                    path: path.clone(),
                    soname: soname.to_owned(),
                    by,
                })
            }),
        });
    }
    followed
}

/// Merges what all processes find.
pub fn graph(root: Root<'_>) -> Graph {
    let plugins = Processes::of(root).plugins();
    let mut graph = Graph::default();
    let mut needed = BTreeSet::new();
    let mut alone = Vec::new();
    for Followed { loaded, start } in follow_all(root) {
        let places = || {
            loaded.iter().filter_map(|object| match &object.found.place {
                Place::Tree(path) => Some(path.clone()),
                Place::Runtime(_) => None,
            })
        };
        match start {
            Start::Program => graph.add(&loaded),
            Start::Alone => {
                needed.extend(places().skip(1));
                alone.extend(places().take(1).filter(|path| !plugins.contains(path)));
                graph.add(&loaded);
            }
            Start::Shadowed(shadowed) => {
                graph.add(loaded.get(..1).unwrap_or_default());
                graph.shadowed.push(shadowed);
            }
        }
    }
    graph.unneeded = alone.into_iter().filter(|path| !needed.contains(path)).collect();
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
