//! Strips executables and shared objects without moving a single byte that is loaded.
//!
//! GNU strip lays a file out anew, and breaks libraries that patchelf has rewritten (every `*.libs/`
//! of a Python wheel). This module only takes away, so the image the loader maps cannot change:
//!
//! ```text
//! before   | header, segments ............ | debug info | symbols | names | section table |
//! after    | the same bytes .............. | kept sections | names | smaller section table |
//! ```
//!
//! * **What goes**: debug information, the static symbol table and its strings, relocations that only
//!   a linker reads, and compiler identification; see [`strip`] for the list.
//! * **What stays**: every `SHF_ALLOC` section, at the same place; and each other section that is not
//!   known to be useless at run time. Notes and `.gnu_debuglink` are read by debuggers and package
//!   tools, and some programs carry their payload in a section of their own (`pydata` in those made
//!   by `PyInstaller`, `.rackprog` in those made by Racket), which GNU strip keeps too.
//! * **Three fields of the ELF header change**, although a segment usually covers them: `e_shoff`,
//!   `e_shnum` and `e_shstrndx`. They say where the section table is, which neither kernel nor dynamic
//!   loader reads. Every other byte of every segment is the same, and [`verify()`] checks that it is.
//! * **Section indices of loaded sections do not change**: symbols in `.dynsym` name their section by
//!   index (`st_shndx`), debuggers and linkers use it, and it is in loaded bytes. Where a removed
//!   section comes before a loaded one, an empty `SHT_NULL` header takes its place.
//! * **Removed bytes that are before the end of the last segment** cannot be cut off (patchelf appends
//!   segments behind the debug information). They become zeros, which cost nothing in an archive.
//! * **Pages**: a segment is mapped in whole pages, so the bytes behind its end in the file (now zeros,
//!   other sections or, behind the end of the file, the zeros that `mmap` gives) can be seen in memory
//!   up to the end of the page. No address below `p_memsz` reads them: the loader clears the part
//!   between `p_filesz` and `p_memsz`. GNU strip changes these bytes likewise.
//!
//! A file that is not understood completely is refused, with a [`Reason`]. What cannot be seen from
//! the bytes of one file is left to the caller: a digest of the whole file kept elsewhere (OpenSSL's
//! `fipsmodule.cnf`, `.libgcrypt.so.20.hmac`) no longer matches after a change.
//!
//! Sources: System V gABI, chapters 4 (ELF header, Sections) and 5 (Program Loading); elf(5); mmap(2).

use std::ops::Range;
use std::slice::from_ref;

use goblin::container::Ctx;
use goblin::elf::section_header::{SHF_ALLOC, SHF_INFO_LINK};
use goblin::elf::section_header::{SHN_LORESERVE, SHN_XINDEX};
use goblin::elf::section_header::{
    SHT_NOBITS, SHT_NOTE, SHT_NULL, SHT_REL, SHT_RELA, SHT_STRTAB, SHT_SYMTAB, SHT_SYMTAB_SHNDX,
};
use goblin::elf::{Elf, Header, ProgramHeader, SectionHeader, header, program_header};
use scroll::Pwrite;
use thiserror::Error;

#[cfg(test)]
mod tests;
mod verify;

pub use verify::{VerifyError, verify};

/// A stripped file, which has passed [`verify()`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stripped {
    /// The new contents of the file.
    pub bytes: Vec<u8>,
    /// How many bytes had to stay where they were and became zero. With these alone a file does not
    /// shrink (it may even grow by a little), but what it takes in a compressed archive does.
    pub zeroed: usize,
}

/// Why a file is left as it was.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Reason {
    /// The file does not begin with the ELF magic number.
    #[error("not an ELF file")]
    NotElf,
    /// An object file or kernel module: its symbols and relocations are what it is for.
    #[error("a relocatable object, which needs its symbols")]
    Relocatable,
    /// There is nothing to remove, or the result would not be smaller.
    #[error("nothing to remove")]
    NothingToRemove,
    /// The file contradicts itself or is cut off.
    #[error("malformed ELF file: {what}")]
    Malformed {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The file may be sound, but removing something from it is not known to be safe.
    #[error("not stripped: {what}")]
    Unsupported {
        /// What stands in the way.
        what: &'static str,
    },
    /// The result differs from the file in more than it may, and was thrown away.
    #[error("stripping would have changed what is loaded: {0}")]
    Verification(#[from] VerifyError),
}

const fn malformed(what: &'static str) -> Reason {
    Reason::Malformed { what }
}

fn unreadable(_: goblin::error::Error) -> Reason {
    malformed("its headers")
}

const fn unsupported(what: &'static str) -> Reason {
    Reason::Unsupported { what }
}

/// Removes from an executable or shared object what only debuggers and linkers read.
///
/// Removed, unless `SHF_ALLOC` says that they are loaded: `SHT_SYMTAB` with its strings, `SHT_REL` and
/// `SHT_RELA`, and the sections called `.debug_*`, `.zdebug_*`, `.stab*`, `.gdb_index`,
/// `.gnu_debugdata`, `.gnu_debugaltlink`, `.gnu.lto_*`, `.gnu.debuglto_*` and `.comment`.
///
/// # Errors
///
/// The [`Reason`] why the file has to stay as it is, which for most files in a tree is not a fault: not
/// ELF, or nothing to remove. The input may be anything: no input makes it panic, or take much more
/// time and memory than its size calls for.
pub fn strip(input: &[u8]) -> Result<Stripped, Reason> {
    let object = Object::parse(input)?;
    let mut occupied = object.image()?;
    let image_end = occupied.iter().map(|range| range.end).max().unwrap_or(0);
    let mut dead = vec![object.section_table.clone()];
    let mut fates = Vec::with_capacity(object.sections.len());
    for (index, section) in object.sections.iter().enumerate() {
        let fate = object.fate(index, section, image_end)?;
        let ranges = if fate == Fate::Stays { &mut occupied } else { &mut dead };
        ranges.push(object.contents(section)?);
        fates.push(fate);
    }
    if !fates.contains(&Fate::Goes) {
        return Err(Reason::NothingToRemove);
    }

    let (occupied, dead) = (union(occupied), union(dead));
    // A self-extracting program has its payload behind the object, where no section describes it.
    let behind = Range {
        start: image_end,
        end: input.len(),
    };
    let unclaimed = difference(&[behind], &dead);
    if unclaimed.into_iter().any(|range| count_nonzero(input.get(range)) > 0) {
        return Err(unsupported(
            "data that no section describes, as in a self-extracting program",
        ));
    }

    let mut bytes = input.get(..image_end).unwrap_or(input).to_vec();
    let mut zeroed = 0_usize;
    for range in difference(&dead, &occupied) {
        let range = range.start.min(image_end)..range.end.min(image_end);
        zeroed = zeroed.saturating_add(count_nonzero(bytes.get(range.clone())));
        bytes.get_mut(range).unwrap_or_default().fill(0);
    }
    let image = Range {
        start: 0,
        end: image_end,
    };
    let gap = difference(&[image], &occupied)
        .into_iter()
        .filter(|free| difference(from_ref(free), &dead) != from_ref(free))
        .filter(|free| count_nonzero(bytes.get(free.clone())) == 0)
        .max_by_key(Range::len)
        .unwrap_or_default();
    let saved = input.len().saturating_sub(image_end).saturating_add(zeroed);
    let mut output = Output { bytes, gap, saved };
    object.write_sections(&fates, &mut output)?;
    verify(input, &output.bytes)?;
    Ok(Stripped {
        bytes: output.bytes,
        zeroed,
    })
}

/// What becomes of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Its contents stay where they are in the file.
    Stays,
    /// It is not loaded, but kept: its contents are copied to where there is room.
    Moves,
    /// It goes, with its contents if no segment has them as well.
    Goes,
    /// It goes without loss: an empty header, or the table of names, of which a new one is made.
    Expires,
}

/// An executable or shared object of which all tables are within the file.
struct Object<'data> {
    bytes: &'data [u8],
    context: Ctx,
    header: Header,
    segments: Vec<ProgramHeader>,
    segment_table: Range<usize>,
    sections: Vec<SectionHeader>,
    section_table: Range<usize>,
    section_names: &'data [u8],
}

impl<'data> Object<'data> {
    fn parse(bytes: &'data [u8]) -> Result<Self, Reason> {
        if !bytes.starts_with(header::ELFMAG) {
            return Err(Reason::NotElf);
        }
        let (header, context) = Elf::parse_header(bytes)
            .and_then(|header| Ok((header, Ctx::new(header.container()?, header.endianness()?))))
            .map_err(unreadable)?;
        accept(&header)?;
        let sizes = [
            Header::size(context),
            ProgramHeader::size(context),
            SectionHeader::size(context),
        ];
        let [header_size, segment_size, section_size] = sizes;
        if [header.e_ehsize, header.e_phentsize, header.e_shentsize].map(usize::from) != sizes {
            return Err(malformed("the sizes of its headers"));
        }

        let segment_table = table(bytes, header.e_phoff, header.e_phnum, segment_size)
            .filter(|table| table.start >= header_size)
            .ok_or(malformed("the place of the program header table"))?;
        let segments =
            ProgramHeader::parse(bytes, segment_table.start, header.e_phnum.into(), context).map_err(unreadable)?;
        if !segments.iter().any(|segment| segment.p_type == program_header::PT_LOAD) {
            return Err(unsupported("nothing in it is loaded"));
        }
        let section_table = table(bytes, header.e_shoff, header.e_shnum, section_size)
            .ok_or(malformed("the section table reaches beyond the end of the file"))?;
        let sections =
            SectionHeader::parse(bytes, section_table.start, header.e_shnum.into(), context).map_err(unreadable)?;
        if sections.first().is_none_or(|section| section.sh_type != SHT_NULL) {
            return Err(malformed("a first section header that is not empty"));
        }
        // Separate debug files have the headers of the loaded sections without the contents.
        let has_image =
            |section: &SectionHeader| is_loaded(section) && !matches!(section.sh_type, SHT_NOBITS | SHT_NOTE);
        if !sections.iter().any(has_image) {
            return Err(unsupported("a separate file with debug information"));
        }
        let section_names = sections
            .get(usize::from(header.e_shstrndx))
            .filter(|section| section.sh_type == SHT_STRTAB)
            .and_then(|section| bytes.get(in_file(bytes, section.sh_offset, section.sh_size)?))
            .ok_or(malformed("the names of the sections"))?;
        Ok(Self {
            bytes,
            context,
            header,
            segments,
            segment_table,
            sections,
            section_table,
            section_names,
        })
    }

    /// The headers, all segments, and the loaded sections, which are in segments unless they are empty
    /// or the file is odd.
    fn image(&self) -> Result<Vec<Range<usize>>, Reason> {
        let mut ranges = vec![0..Header::size(self.context), self.segment_table.clone()];
        for segment in self.segments.iter().filter(|segment| segment.p_filesz > 0) {
            let range = in_file(self.bytes, segment.p_offset, segment.p_filesz);
            ranges.push(range.ok_or(malformed("a segment reaches beyond the end of the file"))?);
        }
        for section in self.sections.iter().filter(|section| is_loaded(section)) {
            ranges.push(self.contents(section)?);
        }
        Ok(ranges)
    }

    /// Where the contents of a section are in the file.
    fn contents(&self, section: &SectionHeader) -> Result<Range<usize>, Reason> {
        if matches!(section.sh_type, SHT_NULL | SHT_NOBITS) {
            return Ok(0..0);
        }
        in_file(self.bytes, section.sh_offset, section.sh_size)
            .ok_or(malformed("a section reaches beyond the end of the file"))
    }

    /// The name of a section, with what follows it in the table of names. Thousands of headers can
    /// point into one endless name, so only those who need its end should look for it.
    fn name(&self, section: &SectionHeader) -> Result<&'data [u8], Reason> {
        self.section_names
            .get(section.sh_name..)
            .ok_or(malformed("a section without a name"))
    }

    fn fate(&self, index: usize, section: &SectionHeader, image_end: usize) -> Result<Fate, Reason> {
        Ok(if is_loaded(section) {
            Fate::Stays
        } else if section.sh_type == SHT_NULL || index == usize::from(self.header.e_shstrndx) {
            Fate::Expires
        } else if is_removable(self.name(section)?, section.sh_type) {
            Fate::Goes
        } else if self.contents(section)?.end <= image_end {
            Fate::Stays
        } else {
            Fate::Moves
        })
    }

    /// Completes the image with the sections that move, new names and a new section table.
    fn write_sections(&self, fates: &[Fate], output: &mut Output) -> Result<(), Reason> {
        let last_loaded = self.sections.iter().rposition(is_loaded);
        let new_indices = new_indices(fates, last_loaded);
        let renumber = |section: &SectionHeader, reference: u32| {
            let index = usize::try_from(reference).ok().and_then(|index| new_indices.get(index));
            match index.ok_or(malformed("a section refers to one that does not exist"))? {
                Some(index) => Ok(*index),
                // The relocations of a static executable may refer to .symtab, which they do not use.
                None if reference == 0 || is_loaded(section) => Ok(0),
                None => Err(unsupported("a section of unknown use refers to one that would go")),
            }
        };

        let mut names = vec![0];
        let mut sections = Vec::with_capacity(self.sections.len());
        for (index, (section, fate)) in self.sections.iter().zip(fates).enumerate() {
            if matches!(fate, Fate::Goes | Fate::Expires) {
                if Some(index) <= last_loaded {
                    sections.push(SectionHeader::default());
                }
                continue;
            }
            let mut section = section.clone();
            let name = self.name(&section)?;
            let end = name.iter().position(|byte| *byte == 0);
            let name = end
                .and_then(|end| name.get(..=end))
                .ok_or(malformed("an endless section name"))?;
            section.sh_name = names.len();
            names.extend_from_slice(name);
            if names.len() > self.bytes.len() {
                return Err(malformed("section names longer than the file"));
            }
            section.sh_link = renumber(&section, section.sh_link)?;
            if has_info_link(&section) {
                section.sh_info = renumber(&section, section.sh_info)?;
            }
            if *fate == Fate::Moves {
                let contents = self.bytes.get(self.contents(&section)?).unwrap_or_default();
                section.sh_offset = output.place(section.sh_addralign, contents)? as u64;
            }
            sections.push(section);
        }
        let sh_name = names.len();
        names.extend_from_slice(b".shstrtab\0");
        sections.push(SectionHeader {
            sh_name,
            sh_type: SHT_STRTAB,
            sh_offset: output.place(1, &names)? as u64,
            sh_size: names.len() as u64,
            sh_addralign: 1,
            ..SectionHeader::default()
        });
        self.write_table(sections, output)
    }

    /// Writes the section table and the header that refers to it. The last section holds the names of all.
    fn write_table(&self, sections: Vec<SectionHeader>, output: &mut Output) -> Result<(), Reason> {
        let count = u16::try_from(sections.len()).ok();
        let count = count.filter(|count| u32::from(*count) < SHN_LORESERVE);
        let count = count.ok_or(unsupported("too many sections"))?;
        let size = SectionHeader::size(self.context);
        let mut table = vec![0; size.saturating_mul(sections.len())];
        for (section, place) in sections.into_iter().zip(table.chunks_exact_mut(size)) {
            place.pwrite_with(section, 0, self.context).map_err(unreadable)?;
        }
        let header = Header {
            e_shoff: output.place(8, &table)? as u64,
            e_shnum: count,
            e_shstrndx: count.saturating_sub(1),
            ..self.header
        };
        output
            .bytes
            .pwrite_with(header, 0, self.context.le)
            .map_err(unreadable)?;
        Ok(())
    }
}

/// The index of each section in the new table; `None` for one that goes. Up to the last loaded one, sections that go leave
/// an empty header behind.
fn new_indices(fates: &[Fate], last_loaded: Option<usize>) -> Vec<Option<u32>> {
    let mut new_indices = Vec::with_capacity(fates.len());
    let mut count = 0_u32;
    for (index, fate) in fates.iter().enumerate() {
        let kept = matches!(fate, Fate::Stays | Fate::Moves);
        new_indices.push(kept.then_some(count));
        count = count.saturating_add(u32::from(kept || Some(index) <= last_loaded));
    }
    new_indices
}

/// Fails for a file that its header shows to be nothing that can be stripped.
fn accept(header: &Header) -> Result<(), Reason> {
    match header.e_type {
        header::ET_EXEC | header::ET_DYN => {}
        header::ET_REL => return Err(Reason::Relocatable),
        _ => return Err(unsupported("neither an executable nor a shared object")),
    }
    // GPU code and Guile's compiled modules are ELF too, and their readers want the section table.
    if !matches!(
        header.e_ident[header::EI_OSABI],
        header::ELFOSABI_SYSV | header::ELFOSABI_GNU
    ) {
        return Err(unsupported("not made for Linux"));
    }
    if header.e_shoff == 0 && header.e_shnum == 0 {
        return Err(Reason::NothingToRemove);
    }
    // gABI, "ELF Header": numbers that do not fit are in the first section header.
    let names_index = u32::from(header.e_shstrndx);
    if header.e_shnum == 0 || header.e_phnum == u16::MAX || names_index == SHN_XINDEX {
        return Err(unsupported("extended numbering of sections or segments"));
    }
    Ok(())
}

/// A stripped file in the making.
struct Output {
    bytes: Vec<u8>,
    /// The longest range between segments that has been cleared. What fits goes there, so that a file
    /// of which the end cannot be cut off does not grow.
    gap: Range<usize>,
    /// How many bytes (other than zero, within the image) have been taken away.
    saved: usize,
}

impl Output {
    /// Writes `contents` where there is room and returns the place, if that leaves something saved.
    fn place(&mut self, alignment: u64, contents: &[u8]) -> Result<usize, Reason> {
        // The gABI aligns addresses, not offsets, so a file cannot demand gigabytes of padding.
        let alignment = usize::try_from(alignment.clamp(1, 4096)).unwrap_or(1);
        let end = self.bytes.len();
        let mut start = self.gap.start.next_multiple_of(alignment);
        let fits = start.saturating_add(contents.len()) <= self.gap.end && !contents.is_empty();
        if !fits {
            start = end.next_multiple_of(alignment);
        }
        let cost = if fits {
            count_nonzero(Some(contents))
        } else {
            start.saturating_sub(end).saturating_add(contents.len())
        };
        let saved = self.saved.checked_sub(cost).filter(|saved| *saved > 0);
        self.saved = saved.ok_or(Reason::NothingToRemove)?;
        if !fits {
            self.bytes.resize(start, 0);
            self.bytes.extend_from_slice(contents);
        } else if let Some((_, rest)) = self.bytes.split_at_mut_checked(start) {
            rest.iter_mut().zip(contents).for_each(|(place, byte)| *place = *byte);
            self.gap.start = start.saturating_add(contents.len());
        }
        Ok(start)
    }
}

fn is_loaded(section: &SectionHeader) -> bool {
    section.sh_type != SHT_NULL && section.sh_flags & u64::from(SHF_ALLOC) != 0
}

/// Whether `sh_info` is a section index. In `.dynsym` and the version tables it is another number.
fn has_info_link(section: &SectionHeader) -> bool {
    section.sh_flags & u64::from(SHF_INFO_LINK) != 0 || matches!(section.sh_type, SHT_REL | SHT_RELA)
}

/// Whether a section that is not loaded serves debuggers and linkers only, going by its type and by
/// what its name (which other names may follow) begins with.
fn is_removable(name: &[u8], section_type: u32) -> bool {
    const NAMES: [&[u8]; 14] = [
        b".debug_",
        b".zdebug_",
        b".debug\0",
        b".line\0",
        b".stab\0",
        b".stab.",
        b".stabstr\0",
        b".strtab\0",
        b".comment\0",
        b".gdb_index\0",
        b".gnu_debugdata\0",
        b".gnu_debugaltlink\0",
        b".gnu.lto_",
        b".gnu.debuglto_",
    ];
    matches!(section_type, SHT_SYMTAB | SHT_SYMTAB_SHNDX | SHT_REL | SHT_RELA)
        || NAMES.iter().any(|start| name.starts_with(start))
}

fn in_file(bytes: &[u8], offset: u64, size: u64) -> Option<Range<usize>> {
    let end = usize::try_from(offset.checked_add(size)?).ok()?;
    (end <= bytes.len()).then_some(usize::try_from(offset).ok()?..end)
}

fn table(bytes: &[u8], offset: u64, count: u16, entry_size: usize) -> Option<Range<usize>> {
    let size = u64::from(count).checked_mul(entry_size as u64)?;
    in_file(bytes, offset, size)
}

fn count_nonzero(bytes: Option<&[u8]>) -> usize {
    bytes.unwrap_or_default().iter().filter(|byte| **byte != 0).count()
}

/// The same bytes as `ranges`, in ascending order and without overlap.
fn union(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_unstable_by_key(|range| range.start);
    let mut joined: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match joined.last_mut().filter(|last| last.end >= range.start) {
            Some(last) => last.end = last.end.max(range.end),
            None => joined.push(range),
        }
    }
    joined
}

/// The bytes of `ranges` that are in none of `holes`. Both have to be as [`union`] returns them.
fn difference(ranges: &[Range<usize>], holes: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut rest = Vec::new();
    for range in ranges {
        let mut start = range.start;
        let first = holes.partition_point(|hole| hole.end <= start);
        for hole in holes.iter().skip(first).take_while(|hole| hole.start < range.end) {
            rest.push(start..hole.start);
            start = hole.end;
        }
        rest.push(start..range.end);
    }
    rest.retain(|range| !range.is_empty());
    rest
}
