//! Dynamic symbols: what an object defines for others, and what it takes from them (ELF gABI, "Symbol Table"; glibc
//! `elf/dl-lookup.c`).

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use goblin::elf::{Dynamic, dynamic};

use super::image::{ElfError, Image, value};
use super::symbol_count::{MOST_SYMBOLS, count};
use super::versions::VERSYM_VERSION;

/// The bit of a versym entry that hides a version from those who do not ask for it.
const VERSYM_HIDDEN: u16 = 0x8000;
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
    pub version: Option<Box<str>>,
    /// The loader goes on without it.
    pub weak: bool,
    /// The object has room for a copy of it, which counts as its definition for everyone but itself (`R_X86_64_COPY`).
    pub copied: bool,
}

/// A definition, without the names: a tree has a million of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Definition {
    name: u64,
    /// Zero for none.
    version: u64,
    hidden: bool,
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish().max(1)
}

impl Symbols {
    /// Adds a definition; `hidden` if only those get it who ask for its version.
    fn define(&mut self, name: &str, version: Option<&str>, hidden: bool) {
        self.defined.push(Definition {
            name: hash(name),
            version: version.map_or(0, hash),
            hidden,
        });
    }

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
            symbols.define(name, version, hidden);
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
        !self.named(hash(name)).is_empty()
    }

    fn named(&self, name: u64) -> &[Definition] {
        let start = self.defined.partition_point(|definition| definition.name < name);
        let length = self.defined[start..].partition_point(|definition| definition.name == name);
        &self.defined[start..start + length]
    }

    /// Whether the loader takes the symbol from this object (`elf/dl-lookup.c`, `check_match`).
    pub fn defines(&self, wanted: &Undefined) -> bool {
        let found = self.named(hash(&wanted.name));
        match &wanted.version {
            Some(version) => {
                let version = hash(version);
                found
                    .iter()
                    .any(|definition| definition.version == version || definition.version == 0 && !definition.hidden)
            }
            // Any version but a hidden one; of several the oldest, which is not told apart here.
            None => found.iter().any(|definition| !definition.hidden || found.len() == 1),
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

/// Reads `DT_SYMTAB`; `versions` are the names by their index in `DT_VERSYM`, `copy` is the type of relocation that copies a
/// variable, where those are to be read.
pub(super) fn read(
    image: &Image<'_>,
    dynamic: &Dynamic,
    versions: &BTreeMap<u16, &str>,
    copy: Option<u32>,
    tell: &mut dyn FnMut(&str, Option<&str>, bool),
) -> Result<Symbols, ElfError> {
    let mut symbols = Symbols::default();
    let (Some(table), Some(strings)) = (value(dynamic, dynamic::DT_SYMTAB), value(dynamic, dynamic::DT_STRTAB)) else {
        return Ok(symbols);
    };
    let count = count(image, dynamic)?;
    if count > MOST_SYMBOLS {
        return Err(ElfError("it has more symbols than any library".into()));
    }
    if count == 0 {
        return Ok(symbols);
    }
    let length = value(dynamic, dynamic::DT_STRSZ).unwrap_or(0).min(LONGEST_NAMES);
    let names = image.table(strings, length, 1)?;
    let layout = if image.is_64_bit() { ELF64 } else { ELF32 };
    let entries = image.table(table, count, layout.size)?;
    let indices = match value(dynamic, dynamic::DT_VERSYM) {
        Some(versym) => image.table(versym, count, 2)?,
        None => Vec::new(),
    };
    let copied = copied(image, dynamic, copy)?;
    for (number, entry) in entries.chunks_exact(layout.size).enumerate().skip(1) {
        let (binding, kind) = (entry[layout.info] >> 4, entry[layout.info] & 0xf);
        let visibility = entry[layout.info + 1] & 0x3;
        if !BINDINGS.contains(&binding) || !TYPES.contains(&kind) {
            continue;
        }
        let start = image.word(entry, 0).unwrap_or_default() as usize;
        let Some(name) = name(&names, start) else { continue };
        let index = image.half(&indices, number * 2).unwrap_or_default();
        let version = versions.get(&(index & VERSYM_VERSION)).copied();
        let section = image.half(entry, layout.section).unwrap_or_default();
        let is_copied = copied.contains(&number);
        if section == 0 || is_copied {
            symbols.undefined.push(Undefined {
                name: name.into(),
                version: version.map(Into::into),
                weak: binding == WEAK,
                copied: is_copied,
            });
        }
        let has_value = entry[layout.value.clone()].iter().any(|byte| *byte != 0);
        let counts = has_value || section != 0 && (section == ABSOLUTE || kind == THREAD_LOCAL);
        if counts && !INVISIBLE.contains(&visibility) {
            // The first two indices are those of local symbols and of such without a version.
            let hidden = index & VERSYM_HIDDEN != 0;
            symbols.define(name, version.filter(|_| index & VERSYM_VERSION > 1), hidden);
            tell(name, version, hidden);
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

/// The name that begins in a string table; `None` for an empty one and one that is not UTF-8.
fn name(names: &[u8], start: usize) -> Option<&str> {
    let rest = names.get(start..)?;
    let name = std::str::from_utf8(&rest[..memchr::memchr(0, rest)?]).ok()?;
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

    fn wanted(name: &str, version: Option<&str>) -> Undefined {
        Undefined {
            name: name.into(),
            version: version.map(Into::into),
            weak: false,
            copied: false,
        }
    }

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
            assert_eq!(library.defines(&wanted(name, version)), expected, "{name} {version:?}");
        }
        assert!(library.has("old") && !library.has("gone"));
    }
}
