//! Where the bytes of an object come from: memory, or a file of which only the parts that matter are read.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

/// Bytes that are read piece by piece.
pub trait Source {
    /// The bytes from an offset on; `None` if they do not all lie in the file.
    fn read(&self, offset: u64, length: usize) -> Option<Cow<'_, [u8]>>;
}

impl Source for [u8] {
    fn read(&self, offset: u64, length: usize) -> Option<Cow<'_, [u8]>> {
        let start = usize::try_from(offset).ok()?;
        self.get(start..start.checked_add(length)?).map(Cow::Borrowed)
    }
}

impl<S: Source + ?Sized> Source for &S {
    fn read(&self, offset: u64, length: usize) -> Option<Cow<'_, [u8]>> {
        (**self).read(offset, length)
    }
}

/// What is read at once: small pieces of one table lie side by side.
const BLOCK: u64 = 16 << 10;

/// An open file, read in blocks that are kept.
pub struct FileSource<'a> {
    file: &'a File,
    length: u64,
    blocks: RefCell<BTreeMap<u64, Rc<[u8]>>>,
}

impl<'a> FileSource<'a> {
    /// A source over a file of this length.
    pub fn new(file: &'a File, length: u64) -> Self {
        Self {
            file,
            length,
            blocks: RefCell::new(BTreeMap::new()),
        }
    }

    fn block(&self, number: u64) -> Option<Rc<[u8]>> {
        if let Some(block) = self.blocks.borrow().get(&number) {
            return Some(Rc::clone(block));
        }
        let start = number.checked_mul(BLOCK)?;
        let length = self.length.checked_sub(start)?.min(BLOCK);
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        self.file.read_exact_at(&mut bytes, start).ok()?;
        let block: Rc<[u8]> = bytes.into();
        self.blocks.borrow_mut().insert(number, Rc::clone(&block));
        Some(block)
    }
}

impl Source for FileSource<'_> {
    fn read(&self, offset: u64, length: usize) -> Option<Cow<'_, [u8]>> {
        let end = offset.checked_add(length as u64)?;
        if end > self.length {
            return None;
        }
        let mut bytes = Vec::with_capacity(length);
        let mut at = offset;
        while at < end {
            let block = self.block(at / BLOCK)?;
            let from = usize::try_from(at % BLOCK).ok()?;
            let until = usize::try_from((end - at / BLOCK * BLOCK).min(block.len() as u64)).ok()?;
            bytes.extend_from_slice(block.get(from..until)?);
            at = (at / BLOCK + 1) * BLOCK;
        }
        Some(Cow::Owned(bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_reads_as_the_memory_does() {
        let bytes: Vec<u8> = (0..50_000_u32)
            .map(|number| number.to_le_bytes()[0] ^ number.to_le_bytes()[1])
            .collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let source = FileSource::new(&file, bytes.len() as u64);
        let end = bytes.len() as u64;
        let starts = [
            0,
            1,
            BLOCK - 1,
            BLOCK,
            BLOCK + 1,
            2 * BLOCK - 3,
            end - 1,
            end,
            end + 1,
            u64::MAX,
        ];
        for start in starts {
            for length in [0, 1, 2, 300, 40_000, 60_000, usize::MAX] {
                if length == usize::MAX && start == 0 {
                    continue;
                }
                assert_eq!(
                    source.read(start, length),
                    bytes.as_slice().read(start, length),
                    "{start} {length}"
                );
            }
        }
    }
}
