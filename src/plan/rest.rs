//! What a plan without recordings keeps and one with them does not: the contents of further layers.

use super::Plan;
use crate::tree::{Entry, Tree, TreePath};
use crate::uses::Uses;

impl Plan {
    /// What this plan keeps and another one of the same tree does not, as a plan of its own: with the other's layers and
    /// these attached, everything is there that this one keeps.
    pub fn without(mut self, other: &Self) -> Self {
        let left = |path: &TreePath| !other.kept.contains(path);
        let mut kept = Tree::default();
        let entries: Vec<(TreePath, Entry)> = self
            .kept
            .iter()
            .filter(|(path, entry)| {
                let is_empty = || self.kept.below(path).next().is_none();
                left(path) && (!matches!(entry, Entry::Directory(_)) || is_empty())
            })
            .map(|(path, entry)| (path.clone(), entry.clone()))
            .collect();
        for (path, entry) in entries {
            for above in path.ancestors() {
                if let Some(entry) = self.kept.get(&above) {
                    kept.insert(above, entry.clone());
                }
            }
            kept.insert(path, entry);
        }
        let stays = |path: &TreePath| kept.contains(path) && left(path);
        self.added.retain(|added| stays(&added.path));
        self.changed.retain(|changed| stays(&changed.path));
        self.origins.retain(|path, _| stays(path));
        self.patches.retain(|path, _| stays(path));
        self.kept = kept;
        self.uses = Uses::default();
        self.dropped.clear();
        self.retained.clear();
        self.findings.clear();
        self.shadowed.clear();
        self
    }
}
