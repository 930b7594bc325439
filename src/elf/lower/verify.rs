//! The comparison of an object that asks for older versions with its original, by means of another parser.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use object::read::elf::{Dyn, FileHeader, SectionHeader, SectionTable, Sym, SymbolTable, VersionTable};
use object::{LittleEndian, SymbolIndex, elf};

type Elf = elf::FileHeader64<LittleEndian>;
const ENDIAN: LittleEndian = LittleEndian;

/// What is to be different, and nothing else.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// The symbols whose names are to be found elsewhere, by number.
    pub(super) names: BTreeSet<usize>,
    /// The symbols that are to have another version, by number.
    pub(super) symbols: BTreeMap<usize, ExpectedVersion>,
    /// The new name of a needed version, by its index.
    pub(super) versions: BTreeMap<u16, String>,
    /// What is written over in the string table.
    pub(super) strings: Vec<Range<usize>>,
}

/// The name and the version that a symbol is to have.
#[derive(Debug)]
pub(super) struct ExpectedVersion {
    /// The name of the symbol.
    pub(super) name: String,
    /// The library and the version; `None` for a symbol without one.
    pub(super) version: Option<(String, String)>,
}

/// A difference between an object and its changed copy that must not be, or that is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// One of the two files cannot be read, for a reason in the parser's own words.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// There is no section table, or it says something else than the dynamic section.
    #[error("its sections are not those that the loader reads")]
    Sections,
    /// More bytes differ than were to be changed.
    #[error("other bytes differ")]
    Bytes,
    /// A symbol has another name or version than it is to have.
    #[error("symbol {0} is not what it is to be")]
    Symbol(usize),
    /// A needed or defined version has another name or library than it is to have.
    #[error("version {0} is not what it is to be")]
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

/// Checks that a copy differs from its original in nothing but what was to be changed.
///
/// It finds the tables by the section headers, with another ELF parser than the one that made the change, which finds them
/// by the dynamic section. Every byte but those of the fields that were to be changed is the same, and what is read back,
/// names of symbols, libraries and versions, is what it was, or what it was to become.
pub(super) fn verify(before: &[u8], after: &[u8], expected: &Expected) -> Result<(), VerifyError> {
    let (old, new) = (View::read(before)?, View::read(after)?);
    let mut restored = after.to_vec();
    for place in old.places(expected)? {
        let (Some(new), Some(old)) = (restored.get_mut(place.clone()), before.get(place)) else {
            return Err(VerifyError::Bytes);
        };
        new.copy_from_slice(old);
    }
    if restored != before {
        return Err(VerifyError::Bytes);
    }
    let (old_needs, new_needs) = (old.needed_versions()?, new.needed_versions()?);
    for (index, (library, version, _)) in &old_needs {
        let name = expected.versions.get(index).map_or(*version, |name| name.as_bytes());
        let wanted = (*library, name, elf::hash(name));
        if new_needs.get(index) != Some(&wanted) {
            return Err(VerifyError::Version(*index));
        }
    }
    for number in 1..old.symbols.len() {
        let index = SymbolIndex(number);
        let (name, version) = match expected.symbols.get(&number) {
            Some(changed) => (
                changed.name.as_bytes(),
                changed
                    .version
                    .as_ref()
                    .map(|(library, version)| (library.as_bytes(), version.as_bytes())),
            ),
            None => (old.name(index)?, old.version(index)?),
        };
        if new.name(index)? != name || new.version(index)? != version {
            return Err(VerifyError::Symbol(number));
        }
    }
    if old.dynamic_names()? != new.dynamic_names()? || old.defined_versions()? != new.defined_versions()? {
        return Err(VerifyError::Dynamic);
    }
    Ok(())
}

/// A library, and a version of it.
type LibraryVersion<'data> = (&'data [u8], &'data [u8]);
/// A library, a version that is asked of it, and the hash of that.
type Needed<'data> = (&'data [u8], &'data [u8], u32);

/// A file as the crate `object` sees it.
struct View<'data> {
    data: &'data [u8],
    sections: SectionTable<'data, Elf>,
    symbols: SymbolTable<'data, Elf>,
    versions: VersionTable<'data, Elf>,
}

impl<'data> View<'data> {
    fn read(data: &'data [u8]) -> Result<Self, VerifyError> {
        let header = Elf::parse(data)?;
        header.endian()?;
        let sections = header.sections(ENDIAN, data)?;
        let view = Self {
            data,
            symbols: sections.symbols(ENDIAN, data, elf::SHT_DYNSYM)?,
            versions: sections.versions(ENDIAN, data)?.ok_or(VerifyError::Sections)?,
            sections,
        };
        view.compare_with_dynamic(header)?;
        Ok(view)
    }

    /// Fails where the loader finds its tables elsewhere than the sections say.
    fn compare_with_dynamic(&self, header: &Elf) -> Result<(), VerifyError> {
        let mut addresses = BTreeMap::new();
        for segment in header.program_headers(ENDIAN, self.data)? {
            use object::read::elf::ProgramHeader as _;
            for entry in segment.dynamic(ENDIAN, self.data)?.unwrap_or_default() {
                addresses.insert(entry.tag(ENDIAN), entry.val(ENDIAN));
            }
        }
        let tables = [
            (elf::DT_SYMTAB, self.section(elf::SHT_DYNSYM)?),
            (elf::DT_VERSYM, self.section(elf::SHT_GNU_VERSYM)?),
            (elf::DT_VERNEED, self.section(elf::SHT_GNU_VERNEED)?),
            (elf::DT_STRTAB, self.strings()?),
        ];
        for (tag, section) in tables {
            if addresses.get(&tag) != Some(&section.sh_addr(ENDIAN)) {
                return Err(VerifyError::Sections);
            }
        }
        Ok(())
    }

    fn section(&self, kind: elf::SectionType) -> Result<&'data elf::SectionHeader64<LittleEndian>, VerifyError> {
        let mut sections = self.sections.iter().filter(|section| section.sh_type(ENDIAN) == kind);
        match (sections.next(), sections.next()) {
            (Some(section), None) => Ok(section),
            _ => Err(VerifyError::Sections),
        }
    }

    fn strings(&self) -> Result<&'data elf::SectionHeader64<LittleEndian>, VerifyError> {
        Ok(self.sections.section(self.symbols.string_section())?)
    }

    /// Where the fields lie that are to be changed.
    fn places(&self, expected: &Expected) -> Result<Vec<Range<usize>>, VerifyError> {
        let start = |section: &elf::SectionHeader64<LittleEndian>| {
            usize::try_from(section.sh_offset(ENDIAN)).map_err(|_| VerifyError::Sections)
        };
        let symbols = start(self.section(elf::SHT_DYNSYM)?)?;
        let versym = start(self.section(elf::SHT_GNU_VERSYM)?)?;
        let strings = start(self.strings()?)?;
        let field = |table: usize, number: usize, size: usize, length: usize| {
            let start = number.checked_mul(size).and_then(|within| table.checked_add(within));
            start
                .and_then(|start| Some(start..start.checked_add(length)?))
                .ok_or(VerifyError::Sections)
        };
        let mut places = Vec::new();
        for number in &expected.names {
            places.push(field(symbols, *number, size_of::<elf::Sym64<LittleEndian>>(), 4)?);
        }
        for number in expected.symbols.keys() {
            places.push(field(versym, *number, size_of::<elf::Versym<LittleEndian>>(), 2)?);
        }
        for range in &expected.strings {
            places.push(field(strings, range.start, 1, range.len())?);
        }
        self.each_needed_version(&mut |_, entry, at| {
            if expected.versions.contains_key(&entry.vna_other(ENDIAN).0) {
                places.push(at..at + 4);
                places.push(at + 8..at + 12);
            }
            Ok(())
        })?;
        Ok(places)
    }

    /// Shows every needed version with its library, and where it lies in the file.
    fn each_needed_version(
        &self,
        look: &mut dyn FnMut(&'data [u8], &'data elf::Vernaux<LittleEndian>, usize) -> Result<(), VerifyError>,
    ) -> Result<(), VerifyError> {
        let (mut needs, _) = self
            .sections
            .gnu_verneed(ENDIAN, self.data)?
            .ok_or(VerifyError::Sections)?;
        while let Some((need, mut entries)) = needs.next()? {
            let library = need.file(ENDIAN, self.symbols.strings())?;
            while let Some(entry) = entries.next()? {
                let place = std::ptr::from_ref(entry).addr().checked_sub(self.data.as_ptr().addr());
                look(library, entry, place.ok_or(VerifyError::Sections)?)?;
            }
        }
        Ok(())
    }

    /// Library, name and hash of each needed version, by its index.
    fn needed_versions(&self) -> Result<BTreeMap<u16, Needed<'data>>, VerifyError> {
        let mut versions = BTreeMap::new();
        self.each_needed_version(&mut |library, entry, _| {
            let name = entry.name(ENDIAN, self.symbols.strings())?;
            versions.insert(entry.vna_other(ENDIAN).0, (library, name, entry.vna_hash.get(ENDIAN)));
            Ok(())
        })?;
        Ok(versions)
    }

    fn name(&self, index: SymbolIndex) -> Result<&'data [u8], VerifyError> {
        let symbol = self.symbols.symbol(index)?;
        Ok(symbol.name(ENDIAN, self.symbols.strings())?)
    }

    /// The library and the name of a symbol's version; an empty library for one that is defined here.
    fn version(&self, index: SymbolIndex) -> Result<Option<LibraryVersion<'data>>, VerifyError> {
        let version = self.versions.version_index(ENDIAN, index).index();
        let version = self.versions.version(version)?;
        Ok(version.map(|version| (version.file().unwrap_or_default(), version.name())))
    }

    /// The names in the dynamic section, in order.
    fn dynamic_names(&self) -> Result<Vec<&'data [u8]>, VerifyError> {
        let table = self.sections.dynamic_table(ENDIAN, self.data)?;
        let names = table.iter().filter(object::read::elf::Dynamic::is_string);
        Ok(names.map(|entry| table.string(entry)).collect::<Result<_, _>>()?)
    }

    /// The names of the versions that the object defines, in order.
    fn defined_versions(&self) -> Result<Vec<&'data [u8]>, VerifyError> {
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
