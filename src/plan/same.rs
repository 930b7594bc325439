//! Whether the loader does the same as before with what is still there.

use std::collections::BTreeMap;

use crate::loader::{Graph, Need, Resolution};
use crate::root::Location;
use crate::tree::TreePath;

/// The first object that is there after a change and for which the loader finds something else than before, or nothing
/// where it found something.
pub(super) fn first_difference(before: &Graph, after: &Graph) -> Option<TreePath> {
    first_difference_but_for(before, after, &BTreeMap::new())
}

/// As [`first_difference`], where some files have become links: to be led to the target of one is no difference.
pub(super) fn first_difference_but_for(
    before: &Graph,
    after: &Graph,
    links: &BTreeMap<TreePath, TreePath>,
) -> Option<TreePath> {
    let differs = |(path, needs): (&TreePath, &Vec<Need>)| {
        let same = before.needs.get(path).is_some_and(|before| {
            before.len() == needs.len()
                && before
                    .iter()
                    .zip(needs)
                    .all(|(before, after)| same(before, after, links))
        });
        (!same).then(|| path.clone())
    };
    after.needs.iter().find_map(differs)
}

fn same(before: &Need, after: &Need, links: &BTreeMap<TreePath, TreePath>) -> bool {
    let target = |place: &Location| match place {
        Location::Tree(path) => Location::Tree(links.get(path).unwrap_or(path).clone()),
        Location::Runtime(_) => place.clone(),
    };
    before.soname == after.soname
        && match (&before.resolution, &after.resolution) {
            (Resolution::Found(before), Resolution::Found(after)) => {
                target(&before.place) == after.place && before.path == after.path && before.source == after.source
            }
            (Resolution::Missing(_), Resolution::Missing(_)) => true,
            _ => false,
        }
}
