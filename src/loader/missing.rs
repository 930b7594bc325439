//! Why a needed library is not found: it is nowhere, it is where nobody looks, or something else has its name.

use std::collections::{BTreeMap, BTreeSet};

use crate::elf::Object;
use crate::root::{Location, Root};
use crate::tree::{Entry, TreePath};

use super::graph::Graph;
use super::search::{Rejection, Resolution, SearchSource, SearchStep};

/// A library that is needed and not found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingLibrary {
    /// The name in `DT_NEEDED`.
    pub soname: String,
    /// The objects that need it and do not get it for this cause, sorted.
    pub needed_by: Vec<TreePath>,
    /// Why they do not get it.
    pub cause: MissingCause,
}

/// Why a needed library is not found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum MissingCause {
    /// Neither the tree nor the runtime has it.
    Nowhere,
    /// The tree has it at these places, where the loader does not look.
    Elsewhere(Vec<TreePath>),
    /// The loader finds this file first, which is not a library, and gives up.
    InTheWay(String),
    /// Where the loader looks is not clear.
    Unclear {
        /// The script that sets the search path in a way that is not understood.
        script: String,
        /// Where the tree has the library.
        places: Vec<TreePath>,
    },
}

/// The libraries that are needed and not found, by name, each with its cause.
pub fn missing_libraries(root: Root<'_>, graph: &Graph) -> Vec<MissingLibrary> {
    let mut by_cause: BTreeMap<(&str, MissingCause), BTreeSet<&TreePath>> = BTreeMap::new();
    let mut bundled: Option<BTreeMap<String, BTreeSet<TreePath>>> = None;
    for (path, needs) in graph.loaded_objects() {
        for need in needs {
            let Resolution::Missing(steps) = &need.resolution else {
                continue;
            };
            let bundled = bundled.get_or_insert_with(|| by_name(root));
            let places = elsewhere(root, root.tree.object(path), bundled.get(&need.soname));
            let unclear = graph.unclear.get(&(path.clone(), need.soname.clone()));
            let cause = match (unclear, in_the_way(&need.soname, steps)) {
                (Some(script), _) => MissingCause::Unclear {
                    script: script.clone(),
                    places,
                },
                (None, Some(place)) => MissingCause::InTheWay(place),
                (None, None) if places.is_empty() => MissingCause::Nowhere,
                (None, None) => MissingCause::Elsewhere(places),
            };
            by_cause.entry((&need.soname, cause)).or_default().insert(path);
        }
    }
    by_cause
        .into_iter()
        .map(|((soname, cause), needed_by)| MissingLibrary {
            soname: soname.to_owned(),
            needed_by: needed_by.into_iter().cloned().collect(),
            cause,
        })
        .collect()
}

/// The file at which the search ends.
fn in_the_way(soname: &str, steps: &[SearchStep]) -> Option<String> {
    let last = steps.iter().find(|step| step.rejection == Rejection::NotALibrary)?;
    Some(match last.source {
        SearchSource::Direct => last.directory.clone(),
        _ => format!("{}/{soname}", last.directory.trim_end_matches('/')),
    })
}

/// The objects of the tree that could be needed under a name: that of the file, of a link to it, or its soname.
fn by_name(root: Root<'_>) -> BTreeMap<String, BTreeSet<TreePath>> {
    let mut names: BTreeMap<String, BTreeSet<TreePath>> = BTreeMap::new();
    for (path, entry) in root.tree.iter() {
        let object = match entry {
            Entry::Directory(_) => continue,
            Entry::File(file) => file.content.object(),
            Entry::Symlink(_) if path.file_name().contains(".so") => match root.resolve(&path.on_lambda()) {
                Ok(Location::Tree(place)) => root.tree.object(&place),
                _ => None,
            },
            Entry::Symlink(_) => None,
        };
        let Some(object) = object.filter(|object| object.is_mappable) else {
            continue;
        };
        names
            .entry(path.file_name().to_owned())
            .or_default()
            .insert(path.clone());
        if let (Some(soname), Entry::File(_)) = (&object.soname, entry) {
            names.entry(soname.clone()).or_default().insert(path.clone());
        }
    }
    names
}

/// Of these, those that the object could load.
fn elsewhere(root: Root<'_>, needing: Option<&Object>, places: Option<&BTreeSet<TreePath>>) -> Vec<TreePath> {
    let fits = |path: &&TreePath| match (needing, root.resolve(&path.on_lambda())) {
        (Some(needing), Ok(place)) => root
            .object(&place)
            .is_some_and(|object| (object.machine, object.class) == (needing.machine, needing.class)),
        _ => false,
    };
    places.into_iter().flatten().filter(fits).cloned().collect()
}
