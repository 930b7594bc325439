//! Libraries of this machine that come in because neither the tree nor the runtime has them.

use std::collections::BTreeSet;

use super::{Added, Layout, Origin};
use crate::host::Libraries;
use crate::loader::{Graph, graph};
use crate::root::Root;
use crate::runtime::Runtime;
use crate::tree::{Content, Entry, File, Mode, TreePath};

/// Where libraries from the machine that builds are put: `/opt/lib` is on every runtime's `LD_LIBRARY_PATH`.
const ADDED_TO: &str = "lib";

/// A layout with all that could be imported.
pub(super) struct Imported {
    /// The layout.
    pub(super) layout: Layout,
    /// What the loader does with it.
    pub(super) graph: Graph,
}

/// Adds the libraries that are missing and that this machine has, and what they need in turn.
pub(super) fn import(layout: &Layout, runtime: &Runtime, libraries: &dyn Libraries) -> Imported {
    let mut imported = layout.clone();
    let mut tried = BTreeSet::new();
    loop {
        let graph = graph(Root {
            tree: &imported.tree,
            runtime,
        });
        let mut found = Vec::new();
        for (soname, needed_by) in graph.missing() {
            let Some(path) = TreePath::new(ADDED_TO).and_then(|lib| lib.join(soname)) else {
                continue;
            };
            if imported.tree.contains(&path) || !tried.insert(soname.to_owned()) {
                continue;
            }
            if let Some(library) = libraries.find(soname, runtime.arch) {
                let needed_by = needed_by.into_iter().cloned().collect();
                found.push((path, library, soname.to_owned(), needed_by));
            }
        }
        if found.is_empty() {
            return Imported {
                layout: imported,
                graph,
            };
        }
        for (path, library, soname, needed_by) in found {
            let entry = Entry::File(File {
                bytes: library.bytes,
                mode: Mode::DIRECTORY,
                content: Content::Object(Box::new(library.object)),
            });
            imported.add(
                entry,
                Added {
                    path,
                    from: Origin::Host(library.path),
                    soname: Some(soname),
                    needed_by,
                    bytes: library.bytes,
                },
            );
        }
    }
}
