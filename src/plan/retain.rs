//! What of the matched files is removed, and what stays because something kept uses it.

use std::collections::{BTreeMap, BTreeSet};

use crate::rules::Matcher;
use crate::tree::{Entry, Tree, TreePath};
use crate::uses::{Use, UseKind, Used, Uses};

/// The paths that rules match, each with the last rule that does.
pub(super) type Matches = BTreeMap<TreePath, String>;

/// Something that stays although a rule matches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retained {
    /// The path.
    pub path: TreePath,
    /// The rule that would have removed it.
    pub rule: String,
    /// The use because of which it stays.
    pub because: Use,
}

/// What becomes of the paths that rules match.
#[derive(Debug, Default)]
pub(super) struct Retention {
    /// What is removed, with the rule that removes it. Directories that hold something kept are among it.
    pub(super) removed: Matches,
    /// What stays because it is used, sorted by path.
    pub(super) retained: Vec<Retained>,
    /// Directories that are used themselves: they stay even if nothing in them does.
    directories: BTreeSet<TreePath>,
}

/// Decides by the uses which of the matched paths stay.
pub(super) fn retain(tree: &Tree, rules: &Matcher, matches: &Matches, uses: &Uses) -> Retention {
    let mut removed = matches.clone();
    let mut known = BTreeSet::new();
    let mut directories = BTreeSet::new();
    for edge in uses.all() {
        let Used::Directory { path, marker } = &edge.to else {
            continue;
        };
        if path == marker {
            directories.insert(path.clone());
        }
        if !known.insert(&edge.to) {
            continue;
        }
        for (path, rule) in rules_set_aside(tree, rules, matches, &edge.to) {
            if let Some(rule) = rule {
                removed.insert(path.clone(), rule.to_owned());
            }
        }
    }
    let retained: Vec<Retained> = uses
        .reached()
        .filter_map(|(path, because)| {
            Some(Retained {
                path: path.clone(),
                rule: removed.remove(path)?,
                because: because.clone(),
            })
        })
        .collect();
    let is_directory = |retained: &&Retained| matches!(tree.get(&retained.path), Some(Entry::Directory(_)));
    directories.extend(
        retained
            .iter()
            .filter(is_directory)
            .map(|retained| retained.path.clone()),
    );
    Retention {
        removed,
        retained,
        directories,
    }
}

/// The matched paths that stay because of a use. An import of what the runtime brings itself keeps nothing, and of what is for
/// another system nothing but a choice of the user's does: code names the modules for every system, and loads one.
pub(super) fn retained_by(tree: &Tree, rules: &Matcher, matches: &Matches, edge: &Use) -> Vec<TreePath> {
    let mut paths: Vec<TreePath> = match &edge.to {
        Used::Path(path) => vec![path.clone()],
        used @ Used::Directory { .. } => {
            let paths = rules_set_aside(tree, rules, matches, used).into_iter();
            let left = paths.filter(|(_, rule)| rule.is_none());
            left.map(|(path, _)| path.clone()).collect()
        }
    };
    paths.retain(|path| rules.outweighs_recordings(path, edge));
    if !matches!(edge.kind, UseKind::Choice | UseKind::Recorded) {
        paths.retain(|path| !rules.is_of_no_use(path));
    }
    if edge.kind == UseKind::Import {
        paths.retain(|path| !matches.get(path).is_some_and(|rule| rules.is_provided(rule)));
    }
    paths
}

/// The matched paths of a directory that is used as a whole, each with the rule that removes it all the same.
///
/// A package without its marker is nothing, so that every rule that matches the marker is set aside; what the others
/// remove of the directory, they remove.
fn rules_set_aside<'a>(
    tree: &'a Tree,
    rules: &'a Matcher,
    matches: &'a Matches,
    used: &'a Used,
) -> Vec<(&'a TreePath, Option<&'a str>)> {
    let Used::Directory {
        path: directory,
        marker,
    } = used
    else {
        return Vec::new();
    };
    let Some(rule) = matches.get(marker) else {
        return Vec::new();
    };
    let mut aside: BTreeSet<String> = rules.all_matching(marker).map(ToOwned::to_owned).collect();
    aside.insert(rule.clone());
    let below = tree.below(directory).map(|(path, _)| path);
    std::iter::once(directory)
        .chain(below)
        .filter(|path| matches.get(*path).is_some_and(|rule| aside.contains(rule)))
        .map(|path| (path, rules.rule_without(path, &aside)))
        .collect()
}

impl Retention {
    /// What is removed of what is not in `kept`: a directory of which something stays is not removed.
    pub(super) fn without(&self, kept: &Tree) -> Matches {
        let mut removed = self.removed.clone();
        removed.retain(|path, _| !kept.contains(path));
        removed
    }

    /// The tree without what is removed. A directory goes with the last thing in it; one that was empty before stays, and
    /// so does one that is used itself.
    pub(super) fn kept(&self, tree: &Tree) -> Tree {
        if self.removed.is_empty() {
            return tree.clone();
        }
        let mut kept = Vec::new();
        let mut holding = BTreeSet::new();
        for (path, entry) in tree.iter() {
            let stays = self.directories.contains(path)
                || !self.removed.contains_key(path)
                    && match entry {
                        Entry::Directory(_) => tree.below(path).next().is_none(),
                        _ => true,
                    };
            if stays {
                // If one is known, so are those above it.
                for directory in path.ancestors() {
                    if !holding.insert(directory) {
                        break;
                    }
                }
                kept.push((path.clone(), entry.clone()));
            }
        }
        kept.extend(holding.into_iter().filter_map(|directory| {
            let entry = tree.get(&directory)?.clone();
            Some((directory, entry))
        }));
        kept.into_iter().collect()
    }
}
