//! Dynamic symbols: what an object defines for others, and what it takes from them (ELF gABI, "Symbol Table"; glibc
//! `elf/dl-lookup.c`).

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher};
use std::hint::black_box;
use std::sync::Arc;

use foldhash::quality::FixedState;
use goblin::elf::{Dynamic, dynamic};

use super::buffer::Buffer;
use super::image::{ElfError, Image, value};
use super::symbol_count::{MOST_SYMBOLS, count};

/// The bit of a versym entry that hides a version from those who do not ask for it.
const VERSYM_HIDDEN: u16 = 0x8000;
/// The rest of a versym entry: the version's index.
pub(super) const VERSYM_VERSION: u16 = 0x7fff;
/// `SHN_ABS`
const ABSOLUTE: u16 = 0xfff1;
/// `STB_GLOBAL`, `STB_WEAK`, `STB_GNU_UNIQUE`
const BINDINGS: [u8; 3] = [1, 2, 10];
const WEAK: u8 = 2;
/// `STT_TLS`
const THREAD_LOCAL: u8 = 6;
/// `STT_NOTYPE`, `STT_OBJECT`, `STT_FUNC`, `STT_COMMON`, `STT_TLS`, `STT_GNU_IFUNC`
const TYPES: [u8; 6] = [0, 1, 2, 5, 6, 10];
/// `STV_INTERNAL`, `STV_HIDDEN`
const INVISIBLE: [u8; 2] = [1, 2];
/// The largest table of names that is read, in bytes.
const LONGEST_NAMES: u64 = 64 << 20;

/// Is told of a symbol that an object defines: its name, its version, and whether it is hidden from those who do not ask for
/// that version.
pub type Tell<'a> = dyn FnMut(&str, Option<&str>, bool) + 'a;

/// The dynamic symbols of one object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Symbols {
    /// What it takes from others, sorted.
    pub undefined: Vec<Undefined>,
    /// What it defines, sorted; see [`Symbols::defines`].
    defined: Vec<Definition>,
}

/// A symbol that another object has to define.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Undefined {
    /// Its name.
    pub name: Box<str>,
    /// The version that is asked for, such as `GLIBC_2.34`.
    pub version: Option<Arc<str>>,
    /// The loader goes on without it.
    pub weak: bool,
    /// The object has room for a copy of it, which counts as its definition for everyone but itself (`R_X86_64_COPY`).
    pub copied: bool,
    /// By which its definition is looked for; see [`Definition`].
    wanted: Definition,
}

impl Undefined {
    /// A symbol of this name and, if it asks for one, version.
    pub fn new(name: &str, version: Option<&str>) -> Self {
        Self {
            name: name.into(),
            version: version.map(Into::into),
            weak: false,
            copied: false,
            wanted: Definition {
                name: hash(name.as_bytes()),
                version: Version::of(version),
            },
        }
    }
}

/// A definition, by the hashes of its names: a tree has a million of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Definition {
    name: u64,
    version: Version,
}

/// The hash of a version without its last bit, zero for none; that bit is set if only those get the symbol who ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Version(u64);

impl Version {
    fn of(name: Option<&str>) -> Self {
        Self(name.map_or(0, |name| (hash(name.as_bytes()) & !1).max(2)))
    }

    fn hidden(self) -> Self {
        Self(self.0 | 1)
    }

    /// The version as a symbol with this entry in `DT_VERSYM` defines it.
    fn defined(self, index: u16) -> Self {
        // The first two indices are those of local symbols and of such without a version.
        let has_version = index & VERSYM_VERSION > 1;
        let version = if has_version { self } else { Self::default() };
        if index & VERSYM_HIDDEN != 0 {
            version.hidden()
        } else {
            version
        }
    }

    fn is_hidden(self) -> bool {
        self.0 & 1 == 1
    }

    fn is_none(self) -> bool {
        self.0 < 2
    }

    fn is(self, other: Self) -> bool {
        self.0 & !1 == other.0 & !1
    }
}

fn hash(text: &[u8]) -> u64 {
    const STATE: FixedState = FixedState::with_seed(0);
    let mut hasher = STATE.build_hasher();
    hasher.write(text);
    hasher.finish()
}

impl Symbols {
    /// The symbols of a library of which only the definitions are known, one per line.
    pub fn from_lines(lines: &str) -> Self {
        let mut symbols = Self::default();
        for line in lines.lines() {
            let (name, version, hidden) = match line.split_once('@') {
                None => (line, None, false),
                Some((name, version)) => match version.strip_prefix('@') {
                    Some(default) => (name, Some(default), false),
                    None => (name, Some(version), true),
                },
            };
            let version = Version::of(version);
            symbols.defined.push(Definition {
                name: hash(name.as_bytes()),
                version: if hidden { version.hidden() } else { version },
            });
        }
        symbols.sort();
        symbols
    }

    fn sort(&mut self) {
        self.defined.sort_unstable();
        self.defined.dedup();
        self.undefined.sort_unstable();
        self.undefined.dedup();
    }

    /// Whether it defines a symbol of that name, in whatever version.
    pub fn has(&self, name: &str) -> bool {
        !self.named(hash(name.as_bytes())).is_empty()
    }

    fn named(&self, name: u64) -> &[Definition] {
        let start = self.defined.partition_point(|definition| definition.name < name);
        let length = self.defined[start..].partition_point(|definition| definition.name == name);
        &self.defined[start..start + length]
    }

    /// Whether the loader takes the symbol from this object (`elf/dl-lookup.c`, `check_match`).
    pub fn defines(&self, wanted: &Undefined) -> bool {
        let found = self.named(wanted.wanted.name);
        let version = wanted.wanted.version;
        let mut found_versions = found.iter().map(|definition| definition.version);
        if version.is_none() {
            // Any version but a hidden one; of several the oldest, which is not told apart here.
            found_versions.any(|own| !own.is_hidden() || found.len() == 1)
        } else {
            found_versions.any(|own| own.is(version) || own.is_none() && !own.is_hidden())
        }
    }

    /// How many bytes it takes in memory, about.
    pub fn bytes(&self) -> usize {
        let names = self.undefined.iter();
        let names: usize = names
            .map(|symbol| symbol.name.len() + symbol.version.as_ref().map_or(0, |version| version.len()))
            .sum();
        names + self.undefined.len() * size_of::<Undefined>() + self.defined.len() * size_of::<Definition>()
    }
}

/// `DT_SYMTAB`, with `DT_VERSYM` beside it and the names in `DT_STRTAB`.
pub(super) struct Table {
    layout: Layout,
    /// The symbols, one after the other.
    entries: Buffer,
    /// The index of the version of each; empty without versions.
    versions: Buffer,
    names: Buffer,
}

impl Table {
    /// Reads both; `None` for an object without dynamic symbols.
    pub(super) fn read(image: &Image<'_>, dynamic: &Dynamic) -> Result<Option<Self>, ElfError> {
        let tables = (value(dynamic, dynamic::DT_SYMTAB), value(dynamic, dynamic::DT_STRTAB));
        let (Some(table), Some(strings)) = tables else {
            return Ok(None);
        };
        let count = count(image, dynamic)?;
        if count > MOST_SYMBOLS {
            return Err(ElfError("it has more symbols than any library".into()));
        }
        if count == 0 {
            return Ok(None);
        }
        let layout = if image.is_64_bit() { ELF64 } else { ELF32 };
        let versions = match value(dynamic, dynamic::DT_VERSYM) {
            Some(versym) => image.large_table(versym, count, 2)?,
            None => Buffer::default(),
        };
        let length = value(dynamic, dynamic::DT_STRSZ).unwrap_or(0).min(LONGEST_NAMES);
        Ok(Some(Self {
            names: image.large_table(strings, length, 1)?,
            entries: image.large_table(table, count, layout.size)?,
            layout,
            versions,
        }))
    }

    /// The undefined symbols that ask for a version: its index, and the name.
    pub(super) fn asking<'t>(&'t self, image: &'t Image<'_>) -> impl Iterator<Item = (u16, &'t [u8])> + 't {
        let entries = self.entries.chunks_exact(self.layout.size);
        let versions = self.versions.chunks_exact(2);
        versions.zip(entries).skip(1).filter_map(move |(version, entry)| {
            let version = image.half(version, 0)? & VERSYM_VERSION;
            let is_asking = version > 1 && image.half(entry, self.layout.section) == Some(0);
            let name = || name(&self.names, image.word(entry, 0)? as usize);
            is_asking.then(|| (version, name().unwrap_or_default()))
        })
    }

    /// Looks at the names of the symbols from this number on, which are used soon.
    fn touch_names(&self, image: &Image<'_>, number: usize) {
        let entries = self.entries.chunks_exact(self.layout.size).skip(number).take(TOUCHED);
        let bytes = entries.filter_map(|entry| self.names.get(image.word(entry, 0)? as usize));
        black_box(bytes.fold(0, |sum, byte| sum ^ byte));
    }
}

/// How many names are asked of memory at once: they are in no order, and each alone would have to be waited for.
const TOUCHED: usize = 32;

/// Reads the symbols; `versions` are the names by their index in `DT_VERSYM`, `copy` is the type of relocation that copies a
/// variable, where those are to be read.
// Long: one loop, in which every symbol is looked at once.
pub(super) fn read(
    image: &Image<'_>,
    dynamic: &Dynamic,
    table: &Table,
    versions: &BTreeMap<u16, &str>,
    copy: Option<u32>,
    mut tell: Option<&mut Tell<'_>>,
) -> Result<Symbols, ElfError> {
    let mut symbols = Symbols::default();
    let versions: BTreeMap<u16, (Arc<str>, Version)> = versions
        .iter()
        .map(|(index, name)| (*index, ((*name).into(), Version::of(Some(name)))))
        .collect();
    // Most symbols of an object have one version.
    let mut last = (0, None);
    let (layout, names, copied) = (&table.layout, &table.names, copied(image, dynamic, copy)?);
    for (number, entry) in table.entries.chunks_exact(layout.size).enumerate().skip(1) {
        if number % TOUCHED == 1 {
            table.touch_names(image, number);
        }
        let (binding, kind) = (entry[layout.info] >> 4, entry[layout.info] & 0xf);
        if !BINDINGS.contains(&binding) || !TYPES.contains(&kind) {
            continue;
        }
        let start = image.word(entry, 0).unwrap_or_default();
        let Some(name) = name(names, start as usize) else {
            continue;
        };
        let index = image.half(&table.versions, number * 2).unwrap_or_default();
        if last.0 != index & VERSYM_VERSION {
            last = (index & VERSYM_VERSION, versions.get(&(index & VERSYM_VERSION)));
        }
        let (version, version_hash) = last.1.map(|(version, hash)| (version, *hash)).unzip();
        let section = image.half(entry, layout.section).unwrap_or_default();
        let is_copied = copied.contains(&number);
        let mut symbol = Definition {
            name: hash(name),
            version: version_hash.unwrap_or_default(),
        };
        if section == 0 || is_copied {
            let Ok(name) = std::str::from_utf8(name) else { continue };
            symbols.undefined.push(Undefined {
                name: name.into(),
                version: version.cloned(),
                weak: binding == WEAK,
                copied: is_copied,
                wanted: symbol,
            });
        }
        let has_value = entry[layout.value.clone()].iter().any(|byte| *byte != 0);
        let counts = has_value || section != 0 && (section == ABSOLUTE || kind == THREAD_LOCAL);
        if counts && !INVISIBLE.contains(&(entry[layout.info + 1] & 0x3)) {
            symbol.version = symbol.version.defined(index);
            symbols.defined.push(symbol);
            if let (Some(tell), Ok(name)) = (&mut tell, std::str::from_utf8(name)) {
                tell(name, version.map(|version| &**version), symbol.version.is_hidden());
            }
        }
    }
    symbols.sort();
    Ok(symbols)
}

/// The numbers of the symbols that a program has copied into itself when it starts, by relocations of this type in `DT_RELA`.
fn copied(image: &Image<'_>, dynamic: &Dynamic, copy: Option<u32>) -> Result<BTreeSet<usize>, ElfError> {
    /// Elf64_Rela: offset, info and addend (u64 each); the info holds the type (u32) and the symbol (u32).
    const RELOCATION: usize = 24;
    let table = (value(dynamic, dynamic::DT_RELA), value(dynamic, dynamic::DT_RELASZ));
    let (Some(_), (Some(table), Some(length))) = (copy, table) else {
        return Ok(BTreeSet::new());
    };
    let entries = image.table(table, length / RELOCATION as u64, RELOCATION)?;
    let symbol_of = |entry: &[u8]| {
        let is_copy = image.word(entry, 8) == copy;
        is_copy.then(|| image.word(entry, 12).map(|symbol| symbol as usize))?
    };
    Ok(entries.chunks_exact(RELOCATION).filter_map(symbol_of).collect())
}

/// The name that begins in a string table; `None` for an empty one.
fn name(names: &[u8], start: usize) -> Option<&[u8]> {
    let rest = names.get(start..)?;
    let name = &rest[..memchr::memchr(0, rest)?];
    (!name.is_empty()).then_some(name)
}

/// Elf64_Sym: name (u32), info, other (u8), shndx (u16), value, size (u64).
const ELF64: Layout = Layout {
    size: 24,
    info: 4,
    section: 6,
    value: 8..16,
};

/// Elf32_Sym: name, value, size (u32), info, other (u8), shndx (u16).
const ELF32: Layout = Layout {
    size: 16,
    info: 12,
    section: 14,
    value: 4..8,
};

/// Where the fields of a symbol are, in bytes.
struct Layout {
    size: usize,
    info: usize,
    section: usize,
    value: std::ops::Range<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_fits_as_the_loader_says() {
        let library = Symbols::from_lines("plain\nnew@@V2\nnew@V1\nold@V1\n");
        for (name, version, expected) in [
            ("plain", None, true),
            // A library without versions for the symbol serves every version.
            ("plain", Some("V9"), true),
            ("new", Some("V1"), true),
            ("new", Some("V2"), true),
            ("new", Some("V3"), false),
            ("new", None, true),
            ("old", Some("V1"), true),
            ("gone", None, false),
        ] {
            let wanted = Undefined::new(name, version);
            assert_eq!(library.defines(&wanted), expected, "{name} {version:?}");
        }
        assert!(library.has("old") && !library.has("gone"));
    }
}
