//! Where the bytes of an object come from: memory, or a file of which only the parts that matter are read.

use std::cell::RefCell;
use std::fs::File;
use std::ops::ControlFlow;

use rustix::io::{Errno, pread};

use super::buffer::Buffer;

/// The most that is read at once, in bytes: several times the symbol table of the largest library.
const LONGEST_READ: usize = 64 << 20;

/// Bytes that are read piece by piece.
pub trait Source {
    /// Shows `length` bytes from an offset on, piece by piece, until `look` breaks off; `None` if the file ends before.
    fn visit(&self, offset: u64, length: u64, look: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Option<()>;

    /// How many bytes there are.
    fn length(&self) -> u64;

    /// Fills a buffer with the bytes from an offset on; `None` if they are not all in the file.
    fn fill(&self, offset: u64, buffer: &mut [u8]) -> Option<()> {
        let mut left = &mut *buffer;
        self.visit(offset, left.len() as u64, &mut |piece| {
            let (now, later) = std::mem::take(&mut left).split_at_mut(piece.len());
            now.copy_from_slice(piece);
            left = later;
            ControlFlow::Continue(())
        })
    }

    /// The bytes from an offset on; `None` if they are not all in the file, or are more than any table has.
    fn read(&self, offset: u64, length: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read_into(offset, length, &mut bytes).map(|()| bytes)
    }

    /// As [`Source::read`], appended to a buffer.
    fn read_into(&self, offset: u64, length: usize, bytes: &mut Vec<u8>) -> Option<()> {
        if length > LONGEST_READ || offset.checked_add(length as u64)? > self.length() {
            return None;
        }
        bytes.reserve_exact(length);
        self.visit(offset, length as u64, &mut |piece| {
            bytes.extend_from_slice(piece);
            ControlFlow::Continue(())
        })
    }

    /// The bytes before the first NUL, which must come within `length` bytes; `None` if it does not.
    fn terminated(&self, offset: u64, length: u64) -> Option<Vec<u8>> {
        // Most are short: what follows them need not be read.
        const STEP: u64 = 4 << 10;
        let mut bytes = Vec::new();
        let mut left = length.min(self.length().saturating_sub(offset));
        let mut ended = false;
        while left > 0 && !ended {
            let at = offset.checked_add(bytes.len() as u64)?;
            self.visit(at, left.min(STEP), &mut |piece| {
                let end = memchr::memchr(0, piece);
                bytes.extend_from_slice(&piece[..end.unwrap_or(piece.len())]);
                ended = end.is_some();
                if ended {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })?;
            left = left.saturating_sub(STEP);
        }
        ended.then_some(bytes)
    }
}

impl Source for [u8] {
    fn visit(&self, offset: u64, length: u64, look: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Option<()> {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(length).ok()?)?;
        let _ = look(self.get(start..end)?);
        Some(())
    }

    fn length(&self) -> u64 {
        self.len() as u64
    }
}

impl<S: Source + ?Sized> Source for &S {
    fn visit(&self, offset: u64, length: u64, look: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Option<()> {
        (**self).visit(offset, length, look)
    }

    fn length(&self) -> u64 {
        (**self).length()
    }

    fn read_into(&self, offset: u64, length: usize, bytes: &mut Vec<u8>) -> Option<()> {
        (**self).read_into(offset, length, bytes)
    }
}

/// What is read at once of small pieces, which are side by side, in bytes.
const BLOCK: u64 = 8 << 10;

/// What is longer is read once, in larger pieces, and not kept, in bytes.
const LONGEST_KEPT: u64 = 4 * BLOCK;
const PIECE: u64 = 256 << 10;

/// An open file, of which the blocks with small pieces are kept.
pub struct FileSource<'a> {
    file: &'a File,
    length: u64,
    /// By number, the last one asked for at the end: of most files only two or three are read.
    blocks: RefCell<Vec<(u64, Vec<u8>)>>,
}

impl<'a> FileSource<'a> {
    /// A source over a file of this length.
    pub fn new(file: &'a File, length: u64) -> Self {
        Self {
            file,
            length,
            blocks: RefCell::new(Vec::new()),
        }
    }

    /// Appends so many bytes to a buffer; `None` if the file ends before.
    fn append(&self, start: u64, length: usize, bytes: &mut Vec<u8>) -> Option<()> {
        let before = bytes.len();
        bytes.reserve_exact(length);
        bytes.resize(before + length, 0);
        let mut left = &mut bytes[before..];
        while !left.is_empty() {
            let at = start.checked_add((length - left.len()) as u64)?;
            match pread(self.file, &mut *left, at) {
                Ok(0) => return None,
                Ok(count) => left = &mut left[count..],
                Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        }
        Some(())
    }

    fn read_block(&self, number: u64) -> Option<Vec<u8>> {
        let start = number.checked_mul(BLOCK)?;
        let length = self.length.checked_sub(start)?.min(BLOCK);
        let mut bytes = Vec::new();
        self.append(start, usize::try_from(length).ok()?, &mut bytes)?;
        Some(bytes)
    }

    /// Shows many bytes.
    fn visit_pieces(&self, offset: u64, end: u64, look: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Option<()> {
        let mut at = offset;
        while at < end {
            let length = (end - at).min(PIECE);
            let piece = Buffer::filled(|bytes| self.append(at, usize::try_from(length).ok()?, bytes))?;
            if look(&piece).is_break() {
                break;
            }
            at += length;
        }
        Some(())
    }
}

impl Source for FileSource<'_> {
    fn visit(&self, offset: u64, length: u64, look: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Option<()> {
        let end = offset.checked_add(length)?;
        if length > LONGEST_KEPT {
            return self.visit_pieces(offset, end, look);
        }
        let mut blocks = self.blocks.borrow_mut();
        let mut at = offset;
        while at < end {
            let number = at / BLOCK;
            match blocks.iter().rposition(|(known, _)| *known == number) {
                Some(place) if place + 1 == blocks.len() => {}
                Some(place) => {
                    let block = blocks.remove(place);
                    blocks.push(block);
                }
                None => blocks.push((number, self.read_block(number)?)),
            }
            let (_, block) = blocks.last()?;
            let rest = block.get(usize::try_from(at % BLOCK).ok()?..)?;
            let wanted = usize::try_from(end - at).unwrap_or(usize::MAX);
            let piece = &rest[..rest.len().min(wanted)];
            if piece.is_empty() {
                return None;
            }
            if look(piece).is_break() {
                break;
            }
            at += piece.len() as u64;
        }
        Some(())
    }

    fn length(&self) -> u64 {
        self.length
    }

    fn read_into(&self, offset: u64, length: usize, bytes: &mut Vec<u8>) -> Option<()> {
        if length > LONGEST_READ || offset.checked_add(length as u64)? > self.length {
            return None;
        }
        if length as u64 > LONGEST_KEPT {
            return self.append(offset, length, bytes);
        }
        bytes.reserve_exact(length);
        self.visit(offset, length as u64, &mut |piece| {
            bytes.extend_from_slice(piece);
            ControlFlow::Continue(())
        })
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
                assert_eq!(
                    source.read(start, length),
                    bytes.as_slice().read(start, length),
                    "{start} {length}"
                );
                assert_eq!(
                    source.terminated(start, length as u64),
                    bytes.as_slice().terminated(start, length as u64),
                    "{start} {length}"
                );
            }
        }
    }
}
