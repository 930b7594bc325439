//! An object as another ELF parser sees it, to compare a changed copy with its original.
//!
//! The crate that reads objects here finds the tables by the dynamic section, as the loader does. This one finds them by the
//! section headers, and both have to agree.

use std::collections::BTreeMap;
use std::ops::Range;

use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader, SectionTable, Sym, SymbolTable, VersionTable};
use object::{LittleEndian, SymbolIndex, elf};

type Elf = elf::FileHeader64<LittleEndian>;
type Section = elf::SectionHeader64<LittleEndian>;
pub(super) const ENDIAN: LittleEndian = LittleEndian;

/// A difference between an object and its changed copy that must not be, or that is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// One of the two files cannot be read, for a reason in the parser's own words.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// There is no section table, or it says something else than the dynamic section.
    #[error("its sections are not those that the loader reads")]
    Sections,
    /// More bytes differ than should.
    #[error("other bytes differ")]
    Bytes,
    /// A symbol has another name or version than expected.
    #[error("symbol {0} has an unexpected value")]
    Symbol(usize),
    /// A needed or defined version has another name or library than expected.
    #[error("version {0} has an unexpected value")]
    Version(u16),
    /// A name in the dynamic section differs.
    #[error("the names of the dynamic section differ")]
    Dynamic,
}

impl From<object::read::Error> for VerifyError {
    fn from(error: object::read::Error) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// A library, and a version of it.
pub(super) type LibraryVersion<'data> = (&'data [u8], &'data [u8]);
/// A library, a version that is asked of it, and the hash of that.
pub(super) type Needed<'data> = (&'data [u8], &'data [u8], u32);

/// A reference to a name in the string table.
pub(super) struct Reference<'data> {
    /// The tag in the dynamic section; `None` for a library in the table of needed versions.
    pub(super) tag: Option<elf::DynamicTag>,
    /// The name.
    pub(super) text: &'data [u8],
    /// Where its offset is in the file.
    pub(super) field: Range<usize>,
}

fn start(section: &Section) -> Result<usize, VerifyError> {
    usize::try_from(section.sh_offset(ENDIAN)).map_err(|_| VerifyError::Sections)
}

/// A file as the crate `object` sees it.
pub(super) struct View<'data> {
    data: &'data [u8],
    sections: SectionTable<'data, Elf>,
    symbols: SymbolTable<'data, Elf>,
    /// The versions of symbols; `None` for an object that has none.
    versions: Option<VersionTable<'data, Elf>>,
}

/// Fails if anything differs outside of these places, or one of them is outside of the files.
pub(super) fn only_these_differ(before: &[u8], after: &[u8], mut places: Vec<Range<usize>>) -> Result<(), VerifyError> {
    places.sort_unstable_by_key(|place| place.start);
    let mut same_from = 0;
    for place in places {
        let between = same_from..place.start.max(same_from);
        if place.end > before.len() || before.get(between.clone()) != after.get(between) {
            return Err(VerifyError::Bytes);
        }
        same_from = same_from.max(place.end);
    }
    if before.len() == after.len() && before[same_from..] == after[same_from..] {
        Ok(())
    } else {
        Err(VerifyError::Bytes)
    }
}

impl<'data> View<'data> {
    /// Reads an object with a section table that agrees with its dynamic section.
    pub(super) fn read(data: &'data [u8]) -> Result<Self, VerifyError> {
        let header = Elf::parse(data)?;
        header.endian()?;
        let sections = header.sections(ENDIAN, data)?;
        let view = Self {
            data,
            symbols: sections.symbols(ENDIAN, data, elf::SHT_DYNSYM)?,
            versions: sections.versions(ENDIAN, data)?,
            sections,
        };
        view.compare_with_dynamic(header)?;
        Ok(view)
    }

    /// Fails where the loader finds its tables elsewhere than the sections say.
    fn compare_with_dynamic(&self, header: &Elf) -> Result<(), VerifyError> {
        let mut addresses = BTreeMap::new();
        let mut place = None;
        for segment in header.program_headers(ENDIAN, self.data)? {
            if let Some(entries) = segment.dynamic(ENDIAN, self.data)? {
                place = Some((segment.p_offset(ENDIAN), segment.p_vaddr(ENDIAN)));
                addresses.extend(entries.iter().map(|entry| (entry.tag(ENDIAN), entry.val(ENDIAN))));
            }
        }
        let section = self.section(elf::SHT_DYNAMIC)?;
        if section.map(|section| (section.sh_offset(ENDIAN), section.sh_addr(ENDIAN))) != place {
            return Err(VerifyError::Sections);
        }
        let tables = [
            (elf::DT_SYMTAB, self.section(elf::SHT_DYNSYM)?),
            (elf::DT_VERSYM, self.section(elf::SHT_GNU_VERSYM)?),
            (elf::DT_VERNEED, self.section(elf::SHT_GNU_VERNEED)?),
            (elf::DT_STRTAB, Some(self.strings()?)),
        ];
        for (tag, section) in tables {
            if addresses.get(&tag).copied() != section.map(|section| section.sh_addr(ENDIAN)) {
                return Err(VerifyError::Sections);
            }
        }
        Ok(())
    }

    /// The only section of a kind, if there is one.
    fn section(&self, kind: elf::SectionType) -> Result<Option<&'data Section>, VerifyError> {
        let mut sections = self.sections.iter().filter(|section| section.sh_type(ENDIAN) == kind);
        match (sections.next(), sections.next()) {
            (section, None) => Ok(section),
            _ => Err(VerifyError::Sections),
        }
    }

    fn strings(&self) -> Result<&'data Section, VerifyError> {
        Ok(self.sections.section(self.symbols.string_section())?)
    }

    /// Where the only section of a kind begins in the file.
    pub(super) fn start(&self, kind: elf::SectionType) -> Result<usize, VerifyError> {
        start(self.section(kind)?.ok_or(VerifyError::Sections)?)
    }

    /// Where the dynamic strings begin in the file.
    pub(super) fn strings_start(&self) -> Result<usize, VerifyError> {
        start(self.strings()?)
    }

    /// Number of dynamic symbols, the empty first one included.
    pub(super) fn symbol_count(&self) -> usize {
        self.symbols.len()
    }

    /// Shows every needed version with its library, and where it is in the file.
    pub(super) fn each_needed_version(
        &self,
        look: &mut dyn FnMut(&'data [u8], &'data elf::Vernaux<LittleEndian>, usize) -> Result<(), VerifyError>,
    ) -> Result<(), VerifyError> {
        let Some((mut needs, _)) = self.sections.gnu_verneed(ENDIAN, self.data)? else {
            return Ok(());
        };
        while let Some((need, mut entries)) = needs.next()? {
            let library = need.file(ENDIAN, self.symbols.strings())?;
            while let Some(entry) = entries.next()? {
                look(library, entry, self.place_of(entry)?)?;
            }
        }
        Ok(())
    }

    /// Where a part of the file that was read is in it.
    fn place_of<T>(&self, part: &T) -> Result<usize, VerifyError> {
        let place = std::ptr::from_ref(part).addr().checked_sub(self.data.as_ptr().addr());
        place.ok_or(VerifyError::Sections)
    }

    /// Every reference to the string table in the dynamic section and every library in the table of needed versions, each
    /// with the place of its field in the file.
    pub(super) fn references(&self) -> Result<Vec<Reference<'data>>, VerifyError> {
        let mut references = Vec::new();
        let strings = self.symbols.strings();
        let entries = self.sections.dynamic(ENDIAN, self.data)?;
        for entry in entries.map(|(entries, _)| entries).into_iter().flatten() {
            if entry.tag(ENDIAN) == elf::DT_NULL {
                break;
            }
            if entry.is_string(ENDIAN) {
                let at = self.place_of(&entry.d_val)?;
                references.push(Reference {
                    tag: Some(entry.tag(ENDIAN)),
                    text: entry.string(ENDIAN, strings)?,
                    field: at..at + 8,
                });
            }
        }
        if let Some((mut needs, _)) = self.sections.gnu_verneed(ENDIAN, self.data)? {
            while let Some((need, _)) = needs.next()? {
                let at = self.place_of(&need.vn_file)?;
                references.push(Reference {
                    tag: None,
                    text: need.file(ENDIAN, self.symbols.strings())?,
                    field: at..at + 4,
                });
            }
        }
        Ok(references)
    }

    /// Library, name and hash of each needed version, by its index.
    pub(super) fn needed_versions(&self) -> Result<BTreeMap<u16, Needed<'data>>, VerifyError> {
        let mut versions = BTreeMap::new();
        self.each_needed_version(&mut |library, entry, _| {
            let name = entry.name(ENDIAN, self.symbols.strings())?;
            versions.insert(entry.vna_other(ENDIAN).0, (library, name, entry.vna_hash.get(ENDIAN)));
            Ok(())
        })?;
        Ok(versions)
    }

    pub(super) fn name(&self, index: SymbolIndex) -> Result<&'data [u8], VerifyError> {
        let symbol = self.symbols.symbol(index)?;
        Ok(symbol.name(ENDIAN, self.symbols.strings())?)
    }

    /// The library and the name of a symbol's version; an empty library for one that is defined here.
    pub(super) fn version(&self, index: SymbolIndex) -> Result<Option<LibraryVersion<'data>>, VerifyError> {
        let Some(versions) = &self.versions else {
            return Ok(None);
        };
        let version = versions.version(versions.version_index(ENDIAN, index).index())?;
        Ok(version.map(|version| (version.file().unwrap_or_default(), version.name())))
    }

    /// The names in the dynamic section, in order.
    pub(super) fn dynamic_names(&self) -> Result<Vec<&'data [u8]>, VerifyError> {
        let table = self.sections.dynamic_table(ENDIAN, self.data)?;
        let names = table.iter().filter(object::read::elf::Dynamic::is_string);
        Ok(names.map(|entry| table.string(entry)).collect::<Result<_, _>>()?)
    }

    /// The names of the versions that the object defines, in order.
    pub(super) fn defined_versions(&self) -> Result<Vec<&'data [u8]>, VerifyError> {
        let mut names = Vec::new();
        let Some((mut definitions, _)) = self.sections.gnu_verdef(ENDIAN, self.data)? else {
            return Ok(names);
        };
        while let Some((_, mut entries)) = definitions.next()? {
            while let Some(entry) = entries.next()? {
                names.push(entry.name(ENDIAN, self.symbols.strings())?);
            }
        }
        Ok(names)
    }
}
