//! What of a tree is for other systems, where a package has a native file that fits as well.

use std::collections::BTreeSet;

use crate::languages::LANGUAGES;
use crate::loader::LoadedTree;
use crate::platform::alternatives;
use crate::tree::{Content, TreePath};

/// The native files that are one of several, and the whole of each package that is named for a platform and has no other
/// native files: npm installs `@img/sharp-darwin-arm64` beside `@img/sharp-linux-x64`.
pub(super) fn other_platforms(loaded: &LoadedTree<'_>) -> BTreeSet<TreePath> {
    let foreign = loaded.graph().foreign.iter();
    let mut paths: BTreeSet<TreePath> = foreign
        .filter(|(_, foreign)| foreign.is_alternative)
        .map(|(path, _)| path.clone())
        .collect();
    if paths.is_empty() {
        return paths;
    }
    let tree = loaded.root().tree;
    let packages = LANGUAGES.iter().flat_map(|language| language.packages(tree));
    let named: Vec<TreePath> = packages
        .map(|package| package.directory)
        .filter(|directory| alternatives(directory).is_some())
        .collect();
    for directory in named {
        let below: Vec<_> = tree.below(&directory).collect();
        let mut native = below.iter().filter(|(path, _)| {
            let content = tree.file(path).map(|file| &file.content);
            content.is_some_and(|content| content.object().is_some() || matches!(content, Content::Foreign(_)))
        });
        let has_foreign = below.iter().any(|(path, _)| paths.contains(*path));
        if has_foreign && native.all(|(path, _)| paths.contains(*path)) {
            paths.extend(below.iter().map(|(path, _)| (*path).clone()));
            paths.insert(directory);
        }
    }
    paths
}
