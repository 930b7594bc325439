//! What a path leads to in a tree that code puts together, of which parts may not be known.

use globset::{GlobBuilder, GlobSet};

use crate::tree::{Tree, TreePath};

/// What is below a directory and fits a pattern in which `*` stands for what is not known of a name, and `**` goes down into
/// directories. One that has directories and no letter fits nothing.
pub(super) fn fitting(tree: &Tree, directory: &TreePath, pattern: &str) -> Vec<TreePath> {
    if pattern.contains('/') && !pattern.contains(char::is_alphanumeric) {
        return Vec::new();
    }
    let pattern = pattern.split('*').map(globset::escape).collect::<Vec<_>>().join("*");
    let glob = GlobBuilder::new(&pattern).literal_separator(true).build();
    // Unlike a matcher of one glob, a set does not panic on one that is too long.
    let Ok(pattern) = glob.and_then(|glob| GlobSet::builder().add(glob).build()) else {
        return Vec::new();
    };
    let below = tree.below(directory).map(|(path, _)| path);
    below
        .filter(|path| path.below(directory).is_some_and(|name| pattern.is_match(name)))
        .cloned()
        .collect()
}

/// What a path leads to that is continued with a text, in which `*` stands for what is not known of it.
pub(super) fn continued(tree: &Tree, start: &TreePath, rest: &str) -> Vec<TreePath> {
    let written = format!("{}{}", start.on_lambda(), rest.replace('?', "*"));
    if !written.contains('*') {
        let path = TreePath::normal(&written);
        return path.filter(|path| tree.contains(path)).into_iter().collect();
    }
    let known = written.split('*').next().unwrap_or_default();
    let (directory, _) = known.rsplit_once('/').unwrap_or_default();
    let pattern = written[directory.len()..].trim_start_matches('/');
    let directory = TreePath::normal(directory).filter(|_| !pattern.contains("/../"));
    directory.map_or_else(Vec::new, |directory| fitting(tree, &directory, pattern))
}

/// What is in a directory, but not below.
pub(super) fn names_in(tree: &Tree, directory: &TreePath) -> Vec<TreePath> {
    let below = tree.below(directory).map(|(path, _)| path);
    below
        .filter(|path| path.below(directory).is_some_and(|name| !name.contains('/')))
        .cloned()
        .collect()
}

/// A path, and what is in it.
pub(super) fn with_names(tree: &Tree, path: TreePath) -> Vec<TreePath> {
    let names = names_in(tree, &path);
    std::iter::once(path).chain(names).collect()
}

/// A path, and everything below.
pub(super) fn with_all(tree: &Tree, path: TreePath) -> Vec<TreePath> {
    let below: Vec<TreePath> = tree.below(&path).map(|(path, _)| path.clone()).collect();
    std::iter::once(path).chain(below).collect()
}

/// What an absolute path means that code puts together, with `*` for what is not known of it; `None` for one that is not below
/// /opt, or is /opt itself.
pub(super) fn absolute(tree: &Tree, written: &str) -> Option<Vec<TreePath>> {
    let (path, pattern) = match written.find('*') {
        Some(at) => written.split_at(written[..at].rfind('/')?),
        None => (written, ""),
    };
    let path = TreePath::normal(path).filter(|path| !path.is_root())?;
    Some(match pattern.strip_prefix('/') {
        Some(pattern) => fitting(tree, &path, pattern),
        None => tree.contains(&path).then_some(path).into_iter().collect(),
    })
}
