//! An object's bytes as the loader maps them: by address, through the program headers.

use goblin::container::{Container, Ctx};
use goblin::elf::Dynamic;
use goblin::elf::ProgramHeader;
use goblin::elf::program_header::{PT_LOAD, PT_NOTE};

use super::buffer::Buffer;
use super::source::Source;

/// Why an ELF file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a readable ELF object: {0}")]
pub struct ElfError(pub(super) String);

/// A file as the loader maps it: addresses stand for bytes of the file.
pub(super) struct Image<'a> {
    pub(super) source: &'a dyn Source,
    pub(super) segments: &'a [ProgramHeader],
    pub(super) context: Ctx,
}

impl Image<'_> {
    /// The offset in the file of an address, and how many bytes of its segment follow there.
    fn offset(&self, address: u64) -> Result<(u64, u64), ElfError> {
        self.segments
            .iter()
            .filter(|segment| segment.p_type == PT_LOAD)
            .find_map(|segment| {
                let within = address.checked_sub(segment.p_vaddr)?;
                let left = segment.p_filesz.checked_sub(within).filter(|left| *left > 0)?;
                Some((segment.p_offset.checked_add(within)?, left))
            })
            .ok_or_else(|| ElfError(format!("nothing is loaded at address {address:#x}")))
    }

    pub(super) fn u16(&self, address: u64) -> Result<u16, ElfError> {
        let bytes = self.array::<2>(address)?;
        Ok(self.half(&bytes, 0).unwrap_or_default())
    }

    pub(super) fn u32(&self, address: u64) -> Result<u32, ElfError> {
        let bytes = self.array::<4>(address)?;
        Ok(self.word(&bytes, 0).unwrap_or_default())
    }

    pub(super) fn is_64_bit(&self) -> bool {
        self.context.container == Container::Big
    }

    /// The parts of the file that hold notes; larger ones than any linker makes, and more, are passed over.
    pub(super) fn notes(&self) -> impl Iterator<Item = Vec<u8>> {
        const LARGEST: u64 = 1 << 20;
        const MOST: usize = 32;
        self.segments
            .iter()
            .filter(|segment| segment.p_type == PT_NOTE && segment.p_filesz <= LARGEST)
            .take(MOST)
            .filter_map(|segment| {
                self.source
                    .read(segment.p_offset, usize::try_from(segment.p_filesz).ok()?)
            })
    }

    /// A word in the file's byte order.
    pub(super) fn word(&self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = bytes.get(at..)?.first_chunk::<4>().copied()?;
        Some(if self.context.le.is_little() {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        })
    }

    /// Half a word in the file's byte order.
    pub(super) fn half(&self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = bytes.get(at..)?.first_chunk::<2>().copied()?;
        Some(if self.context.le.is_little() {
            u16::from_le_bytes(bytes)
        } else {
            u16::from_be_bytes(bytes)
        })
    }

    /// A table of so many entries of so many bytes.
    pub(super) fn table(&self, address: u64, entries: u64, size: usize) -> Result<Vec<u8>, ElfError> {
        let (offset, left) = self.offset(address)?;
        entries
            .checked_mul(size as u64)
            .filter(|length| *length <= left)
            .and_then(|length| self.source.read(offset, usize::try_from(length).ok()?))
            .ok_or_else(|| ElfError("a table is cut off".into()))
    }

    /// As [`Image::table`], for one that may be large and is not kept.
    pub(super) fn large_table(&self, address: u64, entries: u64, size: usize) -> Result<Buffer, ElfError> {
        let (offset, left) = self.offset(address)?;
        entries
            .checked_mul(size as u64)
            .filter(|length| *length <= left)
            .and_then(|length| {
                let length = usize::try_from(length).ok()?;
                Buffer::filled(|bytes| self.source.read_into(offset, length, bytes))
            })
            .ok_or_else(|| ElfError("a table is cut off".into()))
    }

    fn array<const N: usize>(&self, address: u64) -> Result<[u8; N], ElfError> {
        let (offset, left) = self.offset(address)?;
        let mut bytes = [0; N];
        let filled = if left >= N as u64 {
            self.source.fill(offset, &mut bytes)
        } else {
            None
        };
        filled
            .map(|()| bytes)
            .ok_or_else(|| ElfError("a table is cut off".into()))
    }

    pub(super) fn text(&self, address: u64) -> Result<String, ElfError> {
        let (offset, left) = self.offset(address)?;
        self.terminated(offset, left)
    }

    /// The text up to its NUL, which must come within `left` bytes. A path that is longer than any search path is an error.
    pub(super) fn terminated(&self, offset: u64, left: u64) -> Result<String, ElfError> {
        const LONGEST: u64 = 64 << 10;
        let bytes = self
            .source
            .terminated(offset, left.min(LONGEST))
            .ok_or_else(|| ElfError("a text has no end".into()))?;
        Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }
}

/// The value of the first dynamic entry with the tag.
pub(super) fn value(dynamic: &Dynamic, tag: u64) -> Option<u64> {
    dynamic
        .dyns
        .iter()
        .find(|entry| entry.d_tag == tag)
        .map(|entry| entry.d_val)
}

pub(super) fn add(address: u64, offset: u64) -> Result<u64, ElfError> {
    address
        .checked_add(offset)
        .ok_or_else(|| ElfError("an address overflows".into()))
}
