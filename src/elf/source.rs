//! Where the bytes of an object come from: memory, or a file of which only the parts that matter are read.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// The most that is read at once, in bytes: several times the symbol table of the largest library.
pub const LONGEST_READ: usize = 64 << 20;

/// Bytes that are read piece by piece.
pub trait Source {
    /// Fills a buffer with the bytes from an offset on; `None` if they do not all lie in the file.
    fn fill(&self, offset: u64, buffer: &mut [u8]) -> Option<()>;

    /// How many bytes there are.
    fn length(&self) -> u64;

    /// The bytes from an offset on; `None` if they do not all lie in the file, or are more than any table has.
    fn read(&self, offset: u64, length: usize) -> Option<Vec<u8>> {
        if length > LONGEST_READ || offset.checked_add(length as u64)? > self.length() {
            return None;
        }
        let mut bytes = vec![0; length];
        self.fill(offset, &mut bytes)?;
        Some(bytes)
    }
}

impl Source for [u8] {
    fn fill(&self, offset: u64, buffer: &mut [u8]) -> Option<()> {
        let start = usize::try_from(offset).ok()?;
        let bytes = self.get(start..start.checked_add(buffer.len())?)?;
        buffer.copy_from_slice(bytes);
        Some(())
    }

    fn length(&self) -> u64 {
        self.len() as u64
    }
}

impl<S: Source + ?Sized> Source for &S {
    fn fill(&self, offset: u64, buffer: &mut [u8]) -> Option<()> {
        (**self).fill(offset, buffer)
    }

    fn length(&self) -> u64 {
        (**self).length()
    }
}

/// What is read at once: small pieces of one table lie side by side.
const BLOCK: u64 = 16 << 10;

/// An open file, read in blocks that are kept.
pub struct FileSource<'a> {
    file: &'a File,
    length: u64,
    blocks: RefCell<BTreeMap<u64, Vec<u8>>>,
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

    fn read_block(&self, number: u64) -> Option<Vec<u8>> {
        let start = number.checked_mul(BLOCK)?;
        let length = self.length.checked_sub(start)?.min(BLOCK);
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        self.file.read_exact_at(&mut bytes, start).ok()?;
        Some(bytes)
    }
}

impl Source for FileSource<'_> {
    fn fill(&self, offset: u64, buffer: &mut [u8]) -> Option<()> {
        let mut blocks = self.blocks.borrow_mut();
        let mut done = 0;
        while done < buffer.len() {
            let at = offset.checked_add(done as u64)?;
            let block = match blocks.entry(at / BLOCK) {
                Entry::Occupied(slot) => slot.into_mut(),
                Entry::Vacant(slot) => slot.insert(self.read_block(at / BLOCK)?),
            };
            let rest = block.get(usize::try_from(at % BLOCK).ok()?..)?;
            let count = rest.len().min(buffer.len() - done);
            if count == 0 {
                return None;
            }
            buffer.get_mut(done..done + count)?.copy_from_slice(rest.get(..count)?);
            done += count;
        }
        Some(())
    }

    fn length(&self) -> u64 {
        self.length
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
