//! Bytes of a file that are written over, as data: what is there before, and what after.

/// A few bytes that change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// Where they begin in the file.
    at: usize,
    /// What is there before.
    before: Vec<u8>,
    /// What is there after, as many bytes.
    after: Vec<u8>,
}

impl Patch {
    /// Where two files of the same length differ.
    pub fn between(before: &[u8], after: &[u8]) -> Vec<Self> {
        /// Blocks are compared first, which are the same but for a few of them.
        const BLOCK: usize = 4096;
        let blocks = before.chunks(BLOCK).zip(after.chunks(BLOCK)).enumerate();
        let changed = blocks.filter(|(_, (old, new))| old != new);
        let bytes = changed.flat_map(|(number, (old, new))| (number * BLOCK..).zip(old.iter().zip(new)));
        let mut patches: Vec<Self> = Vec::new();
        for (at, (old, new)) in bytes.filter(|(_, (old, new))| old != new) {
            match patches.last_mut().filter(|last| last.at + last.before.len() == at) {
                Some(last) => {
                    last.before.push(*old);
                    last.after.push(*new);
                }
                None => patches.push(Self {
                    at,
                    before: vec![*old],
                    after: vec![*new],
                }),
            }
        }
        patches
    }

    /// Writes over the bytes of a file; false, and nothing more is written, if something else is there than before.
    pub fn apply(&self, file: &mut [u8]) -> bool {
        let place = file
            .get_mut(self.at..)
            .and_then(|rest| rest.get_mut(..self.before.len()));
        match place.filter(|place| **place == *self.before) {
            Some(place) => {
                place.copy_from_slice(&self.after);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_make_one_file_of_the_other_and_of_no_third() {
        let (before, after) = (b"libone.so.1 and libtwo.so.2", b"libONE.so.1 and lib2wo.so.2");
        let patches = Patch::between(before, after);
        assert_eq!(patches.len(), 2);
        let mut file = before.to_vec();
        assert!(patches.iter().all(|patch| patch.apply(&mut file)));
        assert_eq!(file, after);
        assert!(!patches[0].apply(&mut file));
        assert!(!patches[1].apply(&mut b"libone".to_vec()));
        assert_eq!(file, after);
        assert!(Patch::between(before, before).is_empty());
        // A change is one patch, wherever it is.
        let before = vec![b'a'; 10_000];
        let mut after = before.clone();
        after[4090..4100].fill(b'b');
        let patches = Patch::between(&before, &after);
        assert_eq!(patches.len(), 1);
        let mut file = before;
        assert!(patches[0].apply(&mut file) && file == after);
    }
}
