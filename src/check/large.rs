//! Objects in a zip that are too large to be held in memory: they are unpacked again and again, and each time the parts are
//! kept that the loader's tables turn out to lie in.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::elf::{LONGEST_READ, Source};
use crate::tree::{Content, content};

/// What is kept at once, in bytes.
const BLOCK: usize = 64 << 10;
/// What is kept of one object in all: its first bytes are held already.
const MOST_BLOCKS: usize = (32 << 20) / BLOCK;
/// How often an object is unpacked; a real one has its tables in two or three places.
const MOST_PASSES: usize = 10;

/// An object of which the beginning and some blocks are known.
struct Sparse {
    start: Vec<u8>,
    length: u64,
    blocks: BTreeMap<u64, Vec<u8>>,
    missing: RefCell<BTreeSet<u64>>,
}

impl Sparse {
    fn take(&mut self, at: u64, piece: &[u8]) {
        let mut done = 0;
        while done < piece.len() {
            let place = at + done as u64;
            let (number, inside) = (place / BLOCK as u64, (place % BLOCK as u64) as usize);
            let count = (BLOCK - inside).min(piece.len() - done);
            if let Some(block) = self.blocks.get_mut(&number)
                && block.len() == inside
            {
                block.extend_from_slice(&piece[done..done + count]);
            }
            done += count;
        }
    }
}

impl Source for Sparse {
    fn fill(&self, offset: u64, buffer: &mut [u8]) -> Option<()> {
        if self.start.as_slice().fill(offset, buffer).is_some() {
            return Some(());
        }
        let end = offset.checked_add(buffer.len() as u64)?;
        if end > self.length || buffer.len() > LONGEST_READ {
            return None;
        }
        let mut complete = true;
        let mut place = offset;
        while place < end {
            let (number, inside) = (place / BLOCK as u64, (place % BLOCK as u64) as usize);
            let count = usize::try_from(end - place).map_or(BLOCK - inside, |rest| rest.min(BLOCK - inside));
            let to = usize::try_from(place - offset).ok()?;
            match self
                .blocks
                .get(&number)
                .and_then(|block| block.get(inside..inside + count))
            {
                Some(piece) => buffer.get_mut(to..to + count)?.copy_from_slice(piece),
                None => {
                    self.missing.borrow_mut().insert(number);
                    complete = false;
                }
            }
            place += count as u64;
        }
        complete.then_some(())
    }

    fn length(&self) -> u64 {
        self.length
    }

    fn read(&self, offset: u64, length: usize) -> Option<Vec<u8>> {
        if length > MOST_BLOCKS * BLOCK || offset.checked_add(length as u64)? > self.length {
            return None;
        }
        let mut bytes = vec![0; length];
        self.fill(offset, &mut bytes)?;
        Some(bytes)
    }
}

/// What an object is of which only the beginning is in memory. `unpack` hands the whole content over, piece by piece.
pub(super) fn inspect(
    file_name: &str,
    start: Vec<u8>,
    length: u64,
    mut unpack: impl FnMut(&mut dyn FnMut(&[u8])) -> Result<(), String>,
) -> Content {
    let mut object = Sparse {
        start,
        length,
        blocks: BTreeMap::new(),
        missing: RefCell::new(BTreeSet::new()),
    };
    for _ in 0..MOST_PASSES {
        let found = content::inspect_object(file_name, &object);
        let missing = object.missing.take();
        if missing.is_empty() {
            return found;
        }
        if object.blocks.len() + missing.len() > MOST_BLOCKS {
            break;
        }
        for number in missing {
            object.blocks.insert(number, Vec::new());
        }
        let mut at = 0;
        let unpacked = unpack(&mut |piece| {
            object.take(at, piece);
            at += piece.len() as u64;
        });
        if let Err(reason) = unpacked {
            return Content::BrokenObject(reason);
        }
    }
    Content::BrokenObject("its tables are larger than those of any real object".to_owned())
}
