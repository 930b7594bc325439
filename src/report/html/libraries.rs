//! The graph of libraries: which object needs which.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::languages::components::Components;
use crate::loader::{Graph, Resolution};
use crate::root::Location;
use crate::tree::path::escaped;
use crate::tree::{Tree, TreePath};

/// Objects and libraries, and who needs whom.
#[derive(Debug, Default, Serialize)]
pub(super) struct LibraryGraph {
    nodes: Vec<LibraryNode>,
    /// Pairs of indices: the first needs the second.
    edges: Vec<(usize, usize)>,
}

/// An object of the tree, a library of the runtime, or one that is in neither.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct LibraryNode {
    kind: Kind,
    /// The path of its file; the name by which it is needed if it is missing.
    name: String,
    /// The component of the tree that it belongs to; empty if it is not in the tree.
    component: String,
}

/// Where an object is. The order is that of the list: what is missing first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Missing,
    Shadowed,
    Added,
    Tree,
    Runtime,
}

impl LibraryGraph {
    /// What the loader finds for each object of a tree, of which `added` were not there before.
    pub(super) fn new(graph: &Graph, tree: &Tree, added: &BTreeSet<&TreePath>) -> Self {
        let components = Components::of(tree);
        let shadowed: BTreeSet<&TreePath> = graph.shadowed.iter().map(|library| &library.path).collect();
        let of_tree = |path: &TreePath| LibraryNode {
            kind: if shadowed.contains(path) {
                Kind::Shadowed
            } else if added.contains(path) {
                Kind::Added
            } else {
                Kind::Tree
            },
            name: escaped(path.as_str().as_bytes()),
            component: components.name(path).to_owned(),
        };
        let elsewhere = |kind, name: &str| LibraryNode {
            kind,
            name: escaped(name.as_bytes()),
            component: String::new(),
        };
        let mut needs: BTreeMap<LibraryNode, BTreeSet<LibraryNode>> = BTreeMap::new();
        for (path, needed) in &graph.needs {
            let needed = needed.iter().map(|need| match &need.resolution {
                Resolution::Missing(_) => elsewhere(Kind::Missing, &need.soname),
                Resolution::Found(found) => match &found.place {
                    Location::Tree(path) => of_tree(path),
                    Location::Runtime(_) => elsewhere(Kind::Runtime, &found.path),
                },
            });
            needs.entry(of_tree(path)).or_default().extend(needed);
        }
        let nodes: BTreeSet<&LibraryNode> = needs.keys().chain(needs.values().flatten()).collect();
        let numbers: BTreeMap<&LibraryNode, usize> =
            nodes.iter().enumerate().map(|(number, node)| (*node, number)).collect();
        let number = |node: &LibraryNode| numbers.get(node).copied();
        let edges: Vec<(usize, usize)> = needs
            .iter()
            .flat_map(|(user, used)| used.iter().map(move |used| (user, used)))
            .filter_map(|(user, used)| Some((number(user)?, number(used)?)))
            .collect();
        Self {
            edges,
            nodes: {
                let distinct: BTreeSet<LibraryNode> = needs
                    .into_iter()
                    .flat_map(|(user, used)| used.into_iter().chain([user]))
                    .collect();
                distinct.into_iter().collect()
            },
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.edges.is_empty()
    }
}
