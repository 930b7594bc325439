//! Which paths have to be moved so that of a tree only what is kept stays.

use crate::tree::{Tree, TreePath};

/// The paths of `tree` that are not in `kept` and whose directory is: each goes with all below it.
pub fn moves(tree: &Tree, kept: &Tree) -> Vec<TreePath> {
    tree.iter()
        .map(|(path, _)| path)
        .filter(|path| !kept.contains(path) && path.parent().is_some_and(|directory| kept.contains(&directory)))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Entry;

    #[test]
    fn a_directory_goes_as_one_where_nothing_in_it_stays() {
        let tree = |paths: &[&str]| {
            let mut tree = Tree::default();
            for path in paths {
                tree.insert(TreePath::new(path).unwrap(), Entry::Symlink("x".to_owned()));
            }
            tree
        };
        let whole = tree(&["a/b/x", "a/b/y", "a/c/x", "d", "e/x"]);
        let check = |kept: &[&str], expected: &str| {
            let moves: Vec<String> = moves(&whole, &tree(kept)).iter().map(ToString::to_string).collect();
            assert_eq!(moves.join(" "), expected);
        };
        check(&["a/b/x", "a/b/y", "a/c/x", "d", "e/x"], "");
        check(&["a/b/x", "d"], "a/b/y a/c e");
        check(&["d"], "a e");
        check(&[], "a d e");
    }
}
