//! A tree with all processes that it can become, for everyone who asks about the loader.

use std::sync::OnceLock;

use super::graph::{Followed, Graph, follow, merged};
use super::symbols::{UndefinedSymbols, undefined_symbols};
use crate::languages::process::Processes;
use crate::root::Root;

/// A tree with what ld.so does in it. Every process that the tree can become is followed once, here; whoever asks about the
/// loader reads the results.
#[derive(Debug)]
pub struct LoadedTree<'a> {
    processes: Processes<'a>,
    followed: Vec<Followed<'a>>,
    graph: Graph,
    undefined: OnceLock<Vec<UndefinedSymbols>>,
}

impl<'a> LoadedTree<'a> {
    /// Follows the executables, the native modules of interpreters, and then the libraries that none of them reaches, each as
    /// a process of its own. Of these last, one that another one needs is part of that one's process.
    pub fn of(root: Root<'a>) -> Self {
        Self::with(Processes::of(root))
    }

    /// As [`LoadedTree::of`], with the processes of chosen languages.
    pub fn with(processes: Processes<'a>) -> Self {
        let followed = follow(&processes);
        Self {
            graph: merged(&processes, &followed),
            followed,
            processes,
            undefined: OnceLock::new(),
        }
    }

    /// A changed tree, with the processes that it then can become.
    pub fn of_changed<'b>(&self, root: Root<'b>) -> LoadedTree<'b> {
        LoadedTree::with(self.processes.of_changed(root))
    }

    /// The tree and the runtime.
    pub fn root(&self) -> Root<'a> {
        self.processes.root()
    }

    /// What starts in the tree, and with which environment.
    pub fn processes(&self) -> &Processes<'a> {
        &self.processes
    }

    /// Every process, in the order in which they were followed.
    pub fn followed(&self) -> &[Followed<'a>] {
        &self.followed
    }

    /// The symbols that objects need and that nothing in their processes defines, looked up when somebody asks first. Processes
    /// that are not known from their start, and symbols that a library might define of which only the name is known, are left
    /// out. Weak symbols are not a problem.
    pub fn undefined_symbols(&self) -> &[UndefinedSymbols] {
        self.undefined
            .get_or_init(|| undefined_symbols(self.root(), &self.followed))
    }

    /// What all processes find, by object.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// What all processes find, by object, without the processes.
    pub fn into_graph(self) -> Graph {
        self.graph
    }
}

/// What the loader does with a tree, for those who ask nothing about single processes.
pub fn graph(root: Root<'_>) -> Graph {
    LoadedTree::of(root).into_graph()
}
