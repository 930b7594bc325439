//! Whether the loader does the same as before with what is still there.

use crate::loader::{Answer, Graph, Need};
use crate::tree::TreePath;

/// The first object that is there after a change and for which the loader finds something else than before, or nothing
/// where it found something.
pub(super) fn first_difference(before: &Graph, after: &Graph) -> Option<TreePath> {
    let differs = |(path, needs): (&TreePath, &Vec<Need>)| {
        let same = before.needs.get(path).is_some_and(|before| {
            before.len() == needs.len() && before.iter().zip(needs).all(|(before, after)| same(before, after))
        });
        (!same).then(|| path.clone())
    };
    after.needs.iter().find_map(differs)
}

fn same(before: &Need, after: &Need) -> bool {
    before.soname == after.soname
        && match (&before.answer, &after.answer) {
            (Answer::Found(before), Answer::Found(after)) => before == after,
            (Answer::Missing(_), Answer::Missing(_)) => true,
            _ => false,
        }
}
