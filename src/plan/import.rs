//! Libraries of this machine that come in because neither the tree nor the runtime has them.

use std::collections::BTreeSet;

use super::{Added, Context, Fixes, Layout, Origin};
use crate::companions::{Lonely, lonely_libraries};
use crate::loader::{Graph, graph};
use crate::root::Root;
use crate::tree::{Content, Entry, File, Mode, TreePath};

/// Where libraries from the machine that builds are put: `/opt/lib` is on every runtime's `LD_LIBRARY_PATH`.
const ADDED_TO: &str = "lib";

/// A layout with all that could be imported.
pub(super) struct Imported {
    /// The layout.
    pub(super) layout: Layout,
    /// What the loader does with it.
    pub(super) graph: Graph,
    /// What has to be set for libraries to find the data that came in with them.
    pub(super) variables: Vec<Variable>,
}

/// An environment variable by which a library finds its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    /// Its name.
    pub(super) name: &'static str,
    /// Its value.
    pub(super) value: String,
    /// The library.
    pub(super) library: TreePath,
    /// What is found by it.
    pub(super) what: &'static str,
}

/// The name under which the manifest has what comes in with libraries and is set for them.
pub(super) const COMPANIONS: &str = "companions";

/// Adds the libraries that are missing and that this machine has, and what they need in turn.
pub(super) fn import(layout: &Layout, context: &Context<'_>, fixes: &Fixes) -> Imported {
    let (runtime, libraries) = (context.runtime, context.libraries);
    let mut imported = layout.clone();
    let mut variables = Vec::new();
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
            // Modules among the data may need libraries of their own.
            if fixes.has(COMPANIONS) && add_companions(&mut imported, &graph, context, &mut variables) {
                continue;
            }
            return Imported {
                layout: imported,
                graph,
                variables,
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

/// Adds what libraries open by path and what lies next to them on this machine. False if there is nothing to add.
fn add_companions(layout: &mut Layout, graph: &Graph, context: &Context<'_>, variables: &mut Vec<Variable>) -> bool {
    let root = Root {
        tree: &layout.tree,
        runtime: context.runtime,
    };
    let mut found = Vec::new();
    for Lonely {
        library,
        soname,
        companion,
    } in lonely_libraries(root, graph)
    {
        let on_host = match layout.origins.get(library) {
            Some(Origin::Host(path)) => Some(path.clone()),
            _ => context
                .libraries
                .find(soname, context.runtime.arch)
                .map(|library| library.path),
        };
        let Some(on_host) = on_host else { continue };
        let data = companion
            .places()
            .flat_map(|place| context.libraries.data(&on_host, place));
        found.push((library.clone(), companion, data.collect::<Vec<_>>()));
    }
    let mut is_changed = false;
    for (library, companion, data) in found {
        let is_whole = data.iter().any(|file| file.place.ends_with(companion.marker()));
        for file in data.into_iter().filter(|_| is_whole) {
            let Some(path) = TreePath::new(&file.place).filter(|path| !layout.tree.contains(path)) else {
                continue;
            };
            is_changed = true;
            let added = Added {
                path,
                from: Origin::Host(file.path),
                soname: None,
                needed_by: vec![library.clone()],
                bytes: file.entry.unzipped(),
            };
            layout.add(file.entry, added);
        }
        if is_whole {
            variables.extend(companion.variables.iter().filter_map(|(name, below)| {
                Some(Variable {
                    name,
                    value: TreePath::new(below)?.on_lambda(),
                    library: library.clone(),
                    what: &companion.name,
                })
            }));
        }
    }
    is_changed
}
