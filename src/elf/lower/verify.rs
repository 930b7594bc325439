//! The comparison of an object that asks for older versions with its original, by means of another parser.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use object::{LittleEndian, SymbolIndex, elf};

use super::super::view::{ENDIAN, VerifyError, View, only_these_differ};

/// What must be different, and nothing else.
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

/// Checks that a copy differs from its original in nothing but what was to be changed.
///
/// It finds the tables by the section headers, with another ELF parser than the one that made the change, which finds them
/// by the dynamic section. Every byte but those of the fields that were to be changed is the same, and what is read back,
/// names of symbols, libraries and versions, is what it was, or what it was to become.
pub(super) fn verify(before: &[u8], after: &[u8], expected: &Expected) -> Result<(), VerifyError> {
    let (old, new) = (View::read(before)?, View::read(after)?);
    only_these_differ(before, after, places(&old, expected)?)?;
    let (old_needs, new_needs) = (old.needed_versions()?, new.needed_versions()?);
    for (index, (library, version, _)) in &old_needs {
        let name = expected.versions.get(index).map_or(*version, |name| name.as_bytes());
        let wanted = (*library, name, elf::hash(name));
        if new_needs.get(index) != Some(&wanted) {
            return Err(VerifyError::Version(*index));
        }
    }
    for number in 1..old.symbol_count() {
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

/// Where the fields are that are to be changed.
fn places(view: &View<'_>, expected: &Expected) -> Result<Vec<Range<usize>>, VerifyError> {
    let symbols = view.start(elf::SHT_DYNSYM)?;
    let versym = view.start(elf::SHT_GNU_VERSYM)?;
    let strings = view.strings_start()?;
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
    view.each_needed_version(&mut |_, entry, at| {
        if expected.versions.contains_key(&entry.vna_other(ENDIAN).0) {
            places.push(at..at + 4);
            places.push(at + 8..at + 12);
        }
        Ok(())
    })?;
    Ok(places)
}
