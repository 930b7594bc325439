//! Objects in a zip that are too large to be held in memory: they are unpacked again and again, and each time the parts are
//! kept that the loader's tables turn out to be in.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use crate::elf::{Detail, Source};
use crate::languages::inspector;
use crate::tree::Content;

/// What is kept at once, in bytes.
const BLOCK: u64 = 64 << 10;
/// How many blocks are kept of one object, 32 MiB in all: its first bytes are held already.
const MOST_BLOCKS: usize = 512;
/// How often an object is unpacked; a real one has its tables in two or three places.
const MOST_PASSES: usize = 10;

/// An ELF object of which only the first bytes and some blocks are in memory.
struct PartialObject {
    start: Vec<u8>,
    length: u64,
    blocks: BTreeMap<u64, Vec<u8>>,
    missing: RefCell<BTreeSet<u64>>,
}

impl PartialObject {
    fn take(&mut self, at: u64, piece: &[u8]) {
        let mut done = 0;
        while done < piece.len() {
            let place = at + done as u64;
            let inside = inside(place);
            let count = usize::try_from(BLOCK)
                .map_or(0, |block| block - inside)
                .min(piece.len() - done);
            if let Some(block) = self.blocks.get_mut(&(place / BLOCK))
                && block.len() == inside
            {
                block.extend_from_slice(&piece[done..done + count]);
            }
            done += count;
        }
    }
}

impl Source for PartialObject {
    fn visit(&self, offset: u64, length: u64, look: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Option<()> {
        let end = offset.checked_add(length).filter(|end| *end <= self.length)?;
        let mut place = offset;
        while place < end {
            let rest = usize::try_from(end - place).unwrap_or(usize::MAX);
            let known = match usize::try_from(place).ok().and_then(|place| self.start.get(place..)) {
                Some(start) if !start.is_empty() => Some(start),
                _ => self
                    .blocks
                    .get(&(place / BLOCK))
                    .and_then(|block| block.get(inside(place)..)),
            };
            let Some(piece) = known.filter(|piece| !piece.is_empty()) else {
                // All that is missing of it is unpacked together.
                self.missing
                    .borrow_mut()
                    .extend((place / BLOCK..=(end - 1) / BLOCK).take(MOST_BLOCKS + 1));
                return None;
            };
            let piece = &piece[..piece.len().min(rest)];
            if look(piece).is_break() {
                break;
            }
            place += piece.len() as u64;
        }
        Some(())
    }

    fn length(&self) -> u64 {
        self.length
    }
}

/// Where a place is in its block.
#[allow(clippy::cast_possible_truncation)] // A block is far smaller than the address space.
fn inside(place: u64) -> usize {
    (place % BLOCK) as usize
}

/// What an object is of which only the beginning is in memory. `unpack` hands the whole content over, piece by piece.
pub(super) fn inspect(
    file_name: &str,
    start: Vec<u8>,
    length: u64,
    mut unpack: impl FnMut(&mut dyn FnMut(&[u8])) -> Result<(), String>,
) -> Content {
    let mut object = PartialObject {
        start,
        length,
        blocks: BTreeMap::new(),
        missing: RefCell::new(BTreeSet::new()),
    };
    // The names in its data are worth a look, and no more than that.
    for detail in [Detail::All, Detail::Symbols] {
        for _ in 0..MOST_PASSES {
            let found = inspector().inspect_object_in(file_name, &object, detail);
            let missing = object.missing.take();
            if missing.is_empty() {
                return found;
            }
            if object.blocks.len() + missing.len() > MOST_BLOCKS {
                break;
            }
            for number in missing {
                object.blocks.entry(number).or_default();
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
    }
    Content::BrokenObject("its tables are larger than those of any real object".to_owned())
}
