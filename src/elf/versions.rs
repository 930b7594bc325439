//! Symbol versions: what an object asks of others and what it defines (LSB Core, "Symbol Versioning").

use std::collections::BTreeMap;

use goblin::elf::{Dynamic, dynamic};

use super::image::{ElfError, Image, add, value};
use super::symbols::{Table, VERSYM_VERSION};

/// `VER_FLG_BASE`: the definition names the file itself, not a version.
const VER_FLG_BASE: u16 = 1;
/// `VER_FLG_WEAK`: the loader does not fail where the version is missing.
const VER_FLG_WEAK: u16 = 2;
/// No object has more version entries than it could have symbols; a larger table is a loop.
const MOST_ENTRIES: usize = 65_536;

/// What the names of all version entries have together at most, in bytes; those of the largest libraries have a tenth.
const LONGEST_NAMES: usize = 1 << 20;

/// How many symbols of one version are kept by name: more than a person reads, and far fewer than a large program has.
pub const NAMED: usize = 16;

/// The symbols that ask for one version.
#[derive(Default)]
struct Asking {
    names: Vec<String>,
    count: usize,
}

/// One symbol version that an object asks of a library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionNeed {
    /// The library, as in the object's `DT_NEEDED`.
    pub library: String,
    /// The version, such as `GLIBC_2.34`.
    pub version: String,
    /// The loader does not fail without it.
    pub weak: bool,
    /// Undefined symbols that ask for it, sorted: the first [`NAMED`] of them in the object's table. Empty where only the
    /// version itself is asked for.
    pub symbols: Vec<String>,
    /// How many undefined symbols ask for it.
    pub symbol_count: usize,
    /// Its number in the object's `DT_VERSYM`.
    pub(super) index: u16,
}

/// Reads `DT_VERNEED`, with the symbols of `DT_VERSYM`.
pub(super) fn needs(
    image: &Image<'_>,
    dynamic: &Dynamic,
    symbols: Option<&Table>,
    text: &dyn Fn(u64) -> Result<String, ElfError>,
) -> Result<Vec<VersionNeed>, ElfError> {
    let Some(mut at) = value(dynamic, dynamic::DT_VERNEED) else {
        return Ok(Vec::new());
    };
    let mut symbols = match symbols {
        Some(symbols) => asking(image, symbols),
        None => BTreeMap::new(),
    };
    let mut needs: Vec<VersionNeed> = Vec::new();
    // One library, and the symbols of one index, may be named by many entries: what they add up to is bounded, too.
    let mut left = LONGEST_NAMES;
    loop {
        // Elf64_Verneed: version, count (u16), file, aux, next (u32); the same layout in 32 bit.
        let count = image.u16(add(at, 2)?)?;
        let library = text(u64::from(image.u32(add(at, 4)?)?))?;
        let mut auxiliary = add(at, u64::from(image.u32(add(at, 8)?)?))?;
        for _ in 0..count {
            // Elf64_Vernaux: hash (u32), flags, other (u16), name, next (u32)
            let index = image.u16(add(auxiliary, 6)?)? & VERSYM_VERSION;
            // An index stands for one version of one library.
            let asking = symbols.remove(&index).unwrap_or_default();
            needs.push(VersionNeed {
                library: library.clone(),
                version: text(u64::from(image.u32(add(auxiliary, 8)?)?))?,
                weak: image.u16(add(auxiliary, 4)?)? & VER_FLG_WEAK != 0,
                symbols: asking.names,
                symbol_count: asking.count,
                index,
            });
            let added = needs.last().map_or(0, |need| {
                need.library.len() + need.version.len() + need.symbols.iter().map(String::len).sum::<usize>()
            });
            left = left
                .checked_sub(added)
                .ok_or_else(|| ElfError("the names in its version table do not end".into()))?;
            if needs.len() > MOST_ENTRIES {
                return Err(ElfError("its version table does not end".into()));
            }
            let next = image.u32(add(auxiliary, 12)?)?;
            if next == 0 {
                break;
            }
            auxiliary = add(auxiliary, u64::from(next))?;
        }
        let next = image.u32(add(at, 12)?)?;
        if next == 0 {
            return Ok(needs);
        }
        at = add(at, u64::from(next))?;
        if count == 0 {
            return Err(ElfError("its version table has an empty entry".into()));
        }
    }
}

/// Reads `DT_VERDEF`: the versions defined, by their number in `DT_VERSYM`, without the file's own.
pub(super) fn definitions(
    image: &Image<'_>,
    dynamic: &Dynamic,
    text: &dyn Fn(u64) -> Result<String, ElfError>,
) -> Result<BTreeMap<u16, String>, ElfError> {
    let mut names = BTreeMap::new();
    let Some(mut at) = value(dynamic, dynamic::DT_VERDEF) else {
        return Ok(names);
    };
    for _ in 0..MOST_ENTRIES {
        // Elf64_Verdef: version, flags, ndx, cnt (u16), hash, aux, next (u32); Elf64_Verdaux: name, next (u32)
        let flags = image.u16(add(at, 2)?)?;
        let auxiliary = add(at, u64::from(image.u32(add(at, 12)?)?))?;
        if flags & VER_FLG_BASE == 0 {
            let index = image.u16(add(at, 4)?)? & VERSYM_VERSION;
            names.insert(index, text(u64::from(image.u32(auxiliary)?))?);
        }
        let next = image.u32(add(at, 16)?)?;
        if next == 0 {
            return Ok(names);
        }
        at = add(at, u64::from(next))?;
    }
    Err(ElfError("its version table does not end".into()))
}

/// The undefined symbols by the index of the version they ask for.
fn asking(image: &Image<'_>, table: &Table) -> BTreeMap<u16, Asking> {
    let mut symbols: BTreeMap<u16, Asking> = BTreeMap::new();
    for (version, name) in table.asking(image) {
        let asking = symbols.entry(version).or_default();
        asking.count += 1;
        if asking.names.len() < NAMED {
            asking.names.push(String::from_utf8_lossy(name).into_owned());
        }
    }
    for asking in symbols.values_mut() {
        asking.names.sort_unstable();
    }
    symbols
}
