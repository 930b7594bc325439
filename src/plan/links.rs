//! Links as copies of what they lead to, for those who unpack layers where links do not survive.

use std::collections::BTreeMap;

use super::{Origin, PlanError};
use crate::root::{Location, Root, link_target};
use crate::tree::{Entry, Tree, TreePath};

/// The tree with every link replaced by a copy of what it leads to, and where the contents of the copies come from.
pub(super) fn follow_links(root: Root<'_>) -> Result<(Tree, BTreeMap<TreePath, Origin>), PlanError> {
    let mut copied = Tree::default();
    let mut origins = BTreeMap::new();
    for (path, entry) in root.tree.iter() {
        copy(root, path, path, entry, &mut Vec::new(), &mut |to, from, entry| {
            if to != from && matches!(entry, Entry::File(_)) {
                origins.insert(to.clone(), Origin::Tree(from.clone()));
            }
            copied.insert(to.clone(), entry.clone());
        })?;
    }
    Ok((copied, origins))
}

/// Puts the entry at `from` to `to`: itself, or, for a link, what it leads to with all that is below.
/// `open` are the directories that are being copied already: a link into one of them would never end.
fn copy(
    root: Root<'_>,
    to: &TreePath,
    from: &TreePath,
    entry: &Entry,
    open: &mut Vec<TreePath>,
    put: &mut dyn FnMut(&TreePath, &TreePath, &Entry),
) -> Result<(), PlanError> {
    let Entry::Symlink(target) = entry else {
        put(to, from, entry);
        return Ok(());
    };
    let refuse = |reason| PlanError::Link {
        path: from.clone(),
        target: target.clone(),
        reason,
    };
    let Ok(Location::Tree(place)) = root.resolve(&link_target(from, target)) else {
        return Err(refuse("it is not in the tree"));
    };
    if open.iter().chain([from]).any(|inside| inside.below(&place).is_some()) {
        return Err(refuse("the link is inside it"));
    }
    if let Some(entry) = root.tree.get(&place) {
        put(to, &place, entry);
    }
    open.push(place.clone());
    for (below, entry) in root.tree.below(&place) {
        if let Some(to) = below.below(&place).and_then(|below| to.join(below)) {
            copy(root, &to, below, entry, open, put)?;
        }
    }
    open.pop();
    Ok(())
}
