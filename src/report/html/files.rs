//! What becomes of each file: the rows of the map.

use std::collections::BTreeMap;

use crate::diff::Change;
use crate::inventory::{Inventory, Sizes};
use crate::languages::components::Components;
use crate::manifest::Manifest;
use crate::pack::EstimatedEntry;
use crate::plan::Plan;
use crate::size::Bytes;
use crate::tree::path::escaped;
use crate::tree::{Entry, Tree, TreePath};

/// A file, link or empty directory on the map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MapFile {
    pub(super) path: String,
    pub(super) component: String,
    /// The layer that it is in; empty if that is not known.
    pub(super) layer: String,
    pub(super) state: State,
    pub(super) before: Option<Sizes>,
    pub(super) after: Option<Sizes>,
}

/// What becomes of a file. The order is that of the legend.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// It stays as it is.
    Kept,
    /// It is in the layers with another content.
    Changed,
    /// It is in the layers and not in the tree.
    Added,
    /// A rule removes it.
    Removed(String),
    /// It differs from what it is compared with.
    Differs(Change),
    /// It is the same as in what it is compared with.
    Same,
}

/// The content of layers by path: the layer, empty before there is one, and the sizes.
pub type PackedEntries<'a> = BTreeMap<&'a str, (&'a str, Sizes)>;

/// What layers contain, as their manifest says.
pub fn packed_entries(manifest: &Manifest) -> PackedEntries<'_> {
    let entries = manifest.layers.iter().flat_map(|layer| {
        layer.contents.iter().map(|entry| {
            let sizes = Sizes {
                zipped: Some(entry.zipped_bytes),
                unzipped: entry.unzipped_bytes,
            };
            (entry.path.trim_end_matches('/'), (layer.file.as_str(), sizes))
        })
    });
    entries.collect()
}

/// What layers would contain.
pub(super) fn estimated_entries(entries: &[EstimatedEntry]) -> PackedEntries<'_> {
    let entries = entries.iter().map(|entry| {
        let sizes = Sizes {
            zipped: Some(entry.zipped_bytes),
            unzipped: entry.unzipped_bytes,
        };
        (entry.path.as_str(), ("", sizes))
    });
    entries.collect()
}

/// Each file of a tree, and what a plan adds to it. `packed` is what goes into the layers; if that is not known, what is kept
/// has the size that it has in the tree.
pub(super) fn planned(tree: &Tree, plan: &Plan, packed: Option<&PackedEntries<'_>>) -> Vec<MapFile> {
    let components = Components::of(tree);
    let after = |path: &TreePath| {
        if let Some(packed) = packed {
            return packed.get(path.as_str()).copied();
        }
        let unzipped = plan.kept.get(path)?.unzipped();
        Some(("", Sizes { zipped: None, unzipped }))
    };
    let file = |path: &TreePath, state: State, before: Option<Bytes>| {
        let after = after(path);
        MapFile {
            path: escaped(path.as_str().as_bytes()),
            component: components.name(path).to_owned(),
            layer: after.map_or("", |(layer, _)| layer).to_owned(),
            state,
            before: before.map(|unzipped| Sizes { zipped: None, unzipped }),
            after: after.map(|(_, sizes)| sizes),
        }
    };
    let is_leaf =
        |path: &TreePath, entry: &Entry| !matches!(entry, Entry::Directory(_)) || tree.below(path).next().is_none();
    let of_tree = tree
        .iter()
        .filter(|(path, entry)| is_leaf(path, entry))
        .map(|(path, entry)| {
            let before = entry.unzipped();
            let state = match (plan.dropped.get(path), after(path)) {
                (Some(rule), _) => State::Removed(rule.clone()),
                (None, Some((_, sizes))) if sizes.unzipped != before => State::Changed,
                _ => State::Kept,
            };
            file(path, state, Some(before))
        });
    let added = plan.added.iter().filter(|added| !tree.contains(&added.path));
    of_tree
        .chain(added.map(|added| file(&added.path, State::Added, None)))
        .collect()
}

/// Each file of layers or a tree.
pub(super) fn inventoried(inventory: &Inventory) -> Vec<MapFile> {
    let files = inventory.items.iter().map(|((layer, path), item)| MapFile {
        path: escaped(path.as_bytes()),
        component: item.component.clone(),
        layer: layer.clone().unwrap_or_default(),
        state: State::Kept,
        before: None,
        after: Some(item.sizes),
    });
    files.collect()
}

/// Each file of two builds, with what `changes` says of its path.
pub(super) fn compared(old: &Inventory, new: &Inventory, changes: &BTreeMap<&str, Change>) -> Vec<MapFile> {
    let mut files: BTreeMap<&str, MapFile> = BTreeMap::new();
    for (inventory, is_new) in [(old, false), (new, true)] {
        for ((layer, path), item) in &inventory.items {
            let file = files.entry(path).or_insert_with(|| MapFile {
                path: escaped(path.as_bytes()),
                component: String::new(),
                layer: String::new(),
                state: changes
                    .get(path.as_str())
                    .map_or(State::Same, |change| State::Differs(*change)),
                before: None,
                after: None,
            });
            file.component.clone_from(&item.component);
            file.layer = layer.clone().unwrap_or_default();
            let side = if is_new { &mut file.after } else { &mut file.before };
            *side = Some(side.iter().copied().chain([item.sizes]).sum());
        }
    }
    files.into_values().collect()
}
