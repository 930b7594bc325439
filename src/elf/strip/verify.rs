//! The comparison of a stripped file with its original, by means of another parser.

use std::mem::offset_of;

use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader, SectionTable};
use object::{Endianness, ReadRef, elf};
use thiserror::Error;

/// A difference between a file and its stripped copy that must not be. Indices are positions in the
/// tables of the original, but for [`VerifyError::Section`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// One of the two files cannot be read, for a reason in the parser's own words.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// The ELF header differs in a field that does not describe the section table.
    #[error("the ELF header differs")]
    Header,
    /// The program header table differs.
    #[error("the program header table differs")]
    ProgramHeaders,
    /// The bytes of a segment differ.
    #[error("segment {0} differs")]
    Segment(usize),
    /// The entries of the dynamic section differ.
    #[error("the dynamic section differs")]
    Dynamic,
    /// A loaded section is missing, has another index, or differs.
    #[error("loaded section {0} is lost")]
    Lost(usize),
    /// A section of the stripped file is not one of the original, or refers to another than it did.
    #[error("section {0} of the stripped file is not as in the original")]
    Section(usize),
    /// Segments or sections overlap so much that comparing them would take very long.
    #[error("segments or sections overlap too often")]
    Overlap,
}

impl From<object::read::Error> for VerifyError {
    fn from(error: object::read::Error) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// Checks that a stripped file loads as the original does.
///
/// It reads both with another ELF parser than [`strip`](super::strip) does, so that a mistake in one
/// shows. Both have the same ELF header (but for `e_shoff`, `e_shnum` and `e_shstrndx`), program header
/// table, bytes in each segment and dynamic entries. Each loaded section is still there, with the same
/// index, name, properties, place and contents. Each other section of the stripped file is one of the
/// original, in the same order. Where a section refers to another one it still does, or to none if that
/// one was removed.
///
/// # Errors
///
/// The first difference found, or what kept the comparison from being made.
pub fn verify(before: &[u8], after: &[u8]) -> Result<(), VerifyError> {
    if before.get(offset_of!(elf::Ident, class)) == Some(&elf::ELFCLASS32.0) {
        compare::<elf::FileHeader32<Endianness>>(before, after)
    } else {
        compare::<elf::FileHeader64<Endianness>>(before, after)
    }
}

fn compare<Elf: FileHeader<Endian = Endianness>>(before: &[u8], after: &[u8]) -> Result<(), VerifyError> {
    let (old, new) = (View::<Elf>::read(before)?, View::<Elf>::read(after)?);
    let mut restored = after.to_vec();
    // elf(5): e_shoff; e_shnum and e_shstrndx.
    for field in if Elf::is_type_64_sized() {
        [40..48, 60..64]
    } else {
        [32..36, 48..52]
    } {
        if let (Some(new), Some(old)) = (restored.get_mut(field.clone()), before.get(field)) {
            new.copy_from_slice(old);
        }
    }
    let same = |offset, size, stripped: &[u8]| {
        let original = before.read_bytes_at(offset, size);
        original.is_ok() && original == stripped.read_bytes_at(offset, size)
    };

    if !same(0, size_of::<Elf>() as u64, &restored) {
        return Err(VerifyError::Header);
    }
    let table_offset = old.header.e_phoff(old.endian).into();
    if old.segments.len() != new.segments.len() || !same(table_offset, size_of_val(old.segments) as u64, after) {
        return Err(VerifyError::ProgramHeaders);
    }
    // A byte is in a handful of segments and one section; in a hostile file it could be in thousands.
    let mut budget = (before.len() as u64).saturating_add(1024).saturating_mul(8);
    for (index, segment) in old.segments.iter().enumerate() {
        let (offset, size) = segment.file_range(old.endian);
        spend(&mut budget, size)?;
        let is_load = segment.p_type(old.endian) == elf::PT_LOAD;
        if size > 0 && !same(offset, size, if is_load { &restored } else { after }) {
            return Err(VerifyError::Segment(index));
        }
    }
    if old.dynamic_entries()? != new.dynamic_entries()? {
        return Err(VerifyError::Dynamic);
    }
    compare_sections(&old, &new, &mut budget)
}

fn compare_sections<Elf: FileHeader<Endian = Endianness>>(
    old: &View<Elf>,
    new: &View<Elf>,
    budget: &mut u64,
) -> Result<(), VerifyError> {
    let names = usize::from(new.header.e_shstrndx(new.endian).0);
    let mut new_indices = vec![0; old.sections.len()];
    let mut pairs = Vec::with_capacity(new.sections.len());
    let mut candidates = old.sections.iter().zip(&mut new_indices).enumerate().skip(1);
    for (index, section) in new.sections.iter().enumerate().skip(1) {
        if index == names || section.sh_type(new.endian) == elf::SHT_NULL {
            continue;
        }
        let identity = new.identity(section, budget)?;
        loop {
            let candidate = candidates.next().ok_or(VerifyError::Section(index))?;
            let (old_index, (origin, new_index)) = candidate;
            let matches = old.identity(origin, budget)? == identity;
            if old.is_loaded(origin) && !(matches && old_index == index) {
                return Err(VerifyError::Lost(old_index));
            }
            if matches {
                *new_index = u32::try_from(index).unwrap_or(0);
                pairs.push((origin, section, index));
                break;
            }
        }
    }
    if let Some((index, _)) = candidates.find(|(_, (section, _))| old.is_loaded(section)) {
        return Err(VerifyError::Lost(index));
    }
    for (origin, section, index) in pairs {
        let follow = |reference: u32| {
            let reference = usize::try_from(reference).ok();
            reference.and_then(|index| new_indices.get(index)).copied().unwrap_or(0)
        };
        let is_relocation = matches!(origin.sh_type(old.endian), elf::SHT_REL | elf::SHT_RELA);
        let mut info = origin.sh_info(old.endian);
        if origin.has_info_link(old.endian) || is_relocation {
            info = follow(info);
        }
        let link = follow(origin.sh_link(old.endian));
        if (section.sh_link(new.endian), section.sh_info(new.endian)) != (link, info) {
            return Err(VerifyError::Section(index));
        }
    }
    Ok(())
}

/// Takes the cost of a comparison from what may still be compared.
fn spend(budget: &mut u64, size: u64) -> Result<(), VerifyError> {
    *budget = budget.checked_sub(size).ok_or(VerifyError::Overlap)?;
    Ok(())
}

/// A file as the crate `object` sees it.
struct View<'data, Elf: FileHeader> {
    data: &'data [u8],
    endian: Endianness,
    header: &'data Elf,
    segments: &'data [Elf::ProgramHeader],
    sections: SectionTable<'data, Elf>,
}

impl<'data, Elf: FileHeader<Endian = Endianness>> View<'data, Elf> {
    fn read(data: &'data [u8]) -> Result<Self, VerifyError> {
        let header = Elf::parse(data)?;
        let endian = header.endian()?;
        let segments = header.program_headers(endian, data)?;
        let sections = header.sections(endian, data)?;
        Ok(Self {
            data,
            endian,
            header,
            segments,
            sections,
        })
    }

    fn dynamic_entries(&self) -> Result<Vec<(i64, u64)>, VerifyError> {
        for segment in self.segments {
            if let Some(entries) = segment.dynamic(self.endian, self.data)? {
                let entry = |entry: &Elf::Dyn| (entry.tag(self.endian).0, entry.val(self.endian));
                return Ok(entries.iter().map(entry).collect());
            }
        }
        Ok(Vec::new())
    }

    fn is_loaded(&self, section: &Elf::SectionHeader) -> bool {
        section.sh_type(self.endian) != elf::SHT_NULL && section.sh_flags(self.endian).contains(elf::SHF_ALLOC)
    }

    /// What must not change about a section. Its place may, if it is not loaded.
    fn identity(
        &self,
        section: &Elf::SectionHeader,
        budget: &mut u64,
    ) -> Result<impl PartialEq + use<'data, Elf>, VerifyError> {
        let endian = self.endian;
        let fields = [
            section.sh_addr(endian),
            section.sh_size(endian),
            section.sh_addralign(endian),
            section.sh_entsize(endian),
        ];
        let place = self.is_loaded(section).then_some(section.sh_offset(endian).into());
        let name = self.sections.section_name(endian, section)?;
        let contents = section.data(endian, self.data)?;
        spend(budget, name.len().saturating_add(contents.len()) as u64)?;
        let fields = fields.map(Into::<u64>::into);
        let kind = (section.sh_type(endian), section.sh_flags(endian));
        Ok((kind, fields, place, name, contents))
    }
}
