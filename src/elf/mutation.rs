//! Changed bytes of objects, for the tests that no change makes a reader panic or lets a wrong result pass.

use proptest::prelude::*;
use proptest::sample::Index;

/// A few bytes to write over, and where to cut the object off, if at all.
#[derive(Debug)]
pub(super) struct Mutation {
    bytes: Vec<(Index, u8)>,
    length: Option<Index>,
}

/// Any mutation.
pub(super) fn mutations() -> impl Strategy<Value = Mutation> {
    let bytes = prop::collection::vec((any::<Index>(), any::<u8>()), 1..6);
    let length = prop::option::weighted(0.1, any::<Index>());
    (bytes, length).prop_map(|(bytes, length)| Mutation { bytes, length })
}

impl Mutation {
    /// The object with the change.
    pub(super) fn of(self, mut object: Vec<u8>) -> Vec<u8> {
        for (place, byte) in self.bytes {
            let place = place.index(object.len());
            if let Some(changed) = object.get_mut(place) {
                *changed = byte;
            }
        }
        if let Some(length) = self.length {
            object.truncate(length.index(object.len()));
        }
        object
    }
}
