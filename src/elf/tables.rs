//! The tables by which the loader binds symbols, with the places in the file where each of their fields is.
//!
//! [`parse`](super::parse) reads values; whoever changes an object needs to know where they are, too. What is not laid out
//! as linkers do it is refused here: a change has to be sure of everything that refers to the bytes it writes.

use std::ops::Range;

use goblin::container::{Container, Ctx};
use goblin::elf::program_header::{PT_DYNAMIC, PT_LOAD};
use goblin::elf::{Dynamic, Elf, ProgramHeader, dynamic};

use super::image::ElfError;

/// The bit of a versym entry that hides the symbol; the rest is the version's index (LSB Core, "Symbol Version Table").
pub(super) const VERSYM_HIDDEN: u16 = 0x8000;

/// The versym index of a symbol without a version.
pub(super) const VER_NDX_GLOBAL: u16 = 1;

/// Libraries that take over what this one defines (Solaris, Linker and Libraries Guide, "Filters").
const DT_AUXILIARY: u64 = 0x7fff_fffd;
const DT_FILTER: u64 = 0x7fff_ffff;

/// `Elf64_Dyn` (gABI, chapter 5, "Dynamic Section").
const DYNAMIC_SIZE: usize = 16;
/// `Elf64_Sym` (gABI, chapter 4, "Symbol Table").
const SYMBOL_SIZE: usize = 24;
/// No object has more version entries than it could have version indices.
const MOST_VERSIONS: usize = 0x8000;

/// `STB_WEAK`: the loader leaves the symbol at zero if nothing defines it.
const STB_WEAK: u8 = 2;
/// `STT_OBJECT`, `STT_COMMON` and `STT_TLS`: data, of which the size and place may matter.
const DATA_TYPES: [u8; 3] = [1, 5, 6];

/// The dynamic symbols of a 64-bit little-endian object, the versions that they ask for, and the names of both.
pub(super) struct Tables<'a> {
    bytes: &'a [u8],
    strings: Range<usize>,
    symbols: usize,
    versym: usize,
    /// Number of symbols in the table.
    pub(super) count: usize,
    /// The first symbol that `DT_GNU_HASH` holds; those before it are found by nobody.
    pub(super) first_hashed: usize,
    /// `DT_VERNEED`, in order.
    pub(super) needs: Vec<Need>,
    /// The offsets in the string table that anything but a symbol or a needed version refers to.
    other_names: Vec<usize>,
}

/// What an object asks of one library.
pub(super) struct Need {
    /// Where the entry (`Elf64_Verneed`) is in the file.
    at: usize,
    /// Offset of the library's name in the string table.
    pub(super) library: usize,
    /// The versions asked of it.
    pub(super) versions: Vec<Version>,
}

/// One needed version (`Elf64_Vernaux`).
#[derive(Clone, Copy)]
pub(super) struct Version {
    /// Where the entry is in the file.
    pub(super) at: usize,
    /// `VER_FLG_WEAK` or nothing.
    pub(super) flags: u16,
    /// The index by which symbols refer to it.
    pub(super) index: u16,
    /// Offset of its name in the string table.
    pub(super) name: usize,
}

/// One dynamic symbol.
#[derive(Clone, Copy)]
pub(super) struct Symbol {
    /// Its number in the table.
    pub(super) number: usize,
    /// Offset of its name in the string table.
    pub(super) name: usize,
    /// Nothing defines it here.
    pub(super) is_undefined: bool,
    /// The object works without it.
    pub(super) is_weak: bool,
    /// It is not a function.
    pub(super) is_data: bool,
    /// `st_value`; an undefined function has one where other objects may take its address from here.
    pub(super) value: u64,
    /// Its entry in the version table.
    pub(super) versym: u16,
}

impl Version {
    /// Where its hash and its name's offset are in the file.
    pub(super) fn fields(&self) -> [usize; 2] {
        [self.at, self.at + 8]
    }
}

fn broken(what: &str) -> ElfError {
    ElfError(what.to_owned())
}

impl<'a> Tables<'a> {
    /// Reads the tables; `None` for an object that asks for no versions.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Option<Self>, ElfError> {
        match Layout::read(bytes)? {
            Some(layout) => layout.tables(),
            None => Ok(None),
        }
    }

    /// Where `st_name` of a symbol is in the file.
    pub(super) fn name_field(&self, symbol: usize) -> usize {
        self.symbols + symbol * SYMBOL_SIZE
    }

    /// Where the version of a symbol is in the file.
    pub(super) fn versym_field(&self, symbol: usize) -> usize {
        self.versym + symbol * 2
    }

    /// Every symbol but the empty first one.
    pub(super) fn symbols(&self) -> impl Iterator<Item = Symbol> {
        (1..self.count).filter_map(|number| {
            let at = self.name_field(number);
            let info = *self.bytes.get(at + 4)?;
            Some(Symbol {
                number,
                name: word(self.bytes, at)?,
                is_undefined: half(self.bytes, at + 6)? == 0,
                is_weak: info >> 4 == STB_WEAK,
                is_data: DATA_TYPES.contains(&(info & 0xf)),
                value: u64::from_le_bytes(*self.bytes.get(at + 8..)?.first_chunk()?),
                versym: half(self.bytes, self.versym_field(number))?,
            })
        })
    }

    /// The string table.
    pub(super) fn strings(&self) -> &'a [u8] {
        self.bytes.get(self.strings.clone()).unwrap_or_default()
    }

    /// Where a string's first byte is in the file.
    pub(super) fn string_field(&self, offset: usize) -> usize {
        self.strings.start + offset
    }

    /// The text at an offset in the string table.
    pub(super) fn text(&self, offset: usize) -> Result<&'a str, ElfError> {
        text_at(self.strings(), offset)
    }

    /// Every reference to the string table, by what it spans there; a string that is referred to twice is there twice.
    pub(super) fn referenced(&self) -> Vec<Range<usize>> {
        let of_needs = self.needs.iter().flat_map(|need| {
            let names = need.versions.iter().map(|version| version.name);
            names.chain([need.library])
        });
        let of_symbols = self.symbols().map(|symbol| symbol.name);
        let starts = of_needs.chain(of_symbols).chain(self.other_names.iter().copied());
        let strings = self.strings();
        let end = |start: usize| {
            let rest = strings.get(start..).unwrap_or_default();
            start.saturating_add(memchr::memchr(0, rest).map_or(rest.len(), |length| length + 1))
        };
        starts.map(|start| start..end(start)).collect()
    }
}

/// The text at an offset in a string table.
fn text_at(strings: &[u8], offset: usize) -> Result<&str, ElfError> {
    let rest = strings.get(offset..).unwrap_or_default();
    let end = memchr::memchr(0, rest).ok_or_else(|| broken("a name is outside its string table"))?;
    std::str::from_utf8(&rest[..end]).map_err(|_| broken("a name is not text"))
}

/// A reference to the name of a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LibraryName<'a> {
    /// Where the offset of the name is in the file.
    pub(super) at: usize,
    /// How many bytes that field has.
    pub(super) width: usize,
    /// The offset in the string table.
    pub(super) offset: usize,
    /// The name.
    pub(super) text: &'a str,
    /// What the name is there for.
    pub(super) usage: NameUse,
}

/// What an object has the name of a library for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NameUse {
    /// It asks for the library, or for versions of it: `DT_NEEDED`, `DT_FILTER`, `DT_AUXILIARY`, `vn_file`.
    Asked,
    /// It is the name of the object itself: `DT_SONAME`.
    Own,
}

/// Every reference to the name of a library in a 64-bit little-endian object.
pub(super) fn library_names(bytes: &[u8]) -> Result<Vec<LibraryName<'_>>, ElfError> {
    match Layout::read(bytes)? {
        Some(layout) => layout.library_names(),
        None => Ok(Vec::new()),
    }
}

/// What the tables are found by.
struct Layout<'a> {
    bytes: &'a [u8],
    segments: Vec<ProgramHeader>,
    dynamic: Dynamic,
}

impl<'a> Layout<'a> {
    /// Reads the headers; `None` for an object without a dynamic section.
    fn read(bytes: &'a [u8]) -> Result<Option<Self>, ElfError> {
        let parsed = |error: goblin::error::Error| ElfError(error.to_string());
        let header = Elf::parse_header(bytes).map_err(parsed)?;
        let context = Ctx::new(
            header.container().map_err(parsed)?,
            header.endianness().map_err(parsed)?,
        );
        if context.container != Container::Big || !context.le.is_little() {
            return Err(broken("it is not a 64-bit little-endian object"));
        }
        let start = usize::try_from(header.e_phoff).map_err(|_| broken("it is cut off"))?;
        let segments = ProgramHeader::parse(bytes, start, usize::from(header.e_phnum), context).map_err(parsed)?;
        let section = segments.iter().filter(|segment| segment.p_type == PT_DYNAMIC);
        let section: Vec<_> = section.cloned().collect();
        let Some(dynamic) = Dynamic::parse(bytes, &section, context).map_err(parsed)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            bytes,
            segments,
            dynamic,
        }))
    }

    fn tables(self) -> Result<Option<Tables<'a>>, ElfError> {
        let Some(verneed) = self.value(dynamic::DT_VERNEED)? else {
            return Ok(None);
        };
        let table = |tag, what| self.value(tag)?.ok_or_else(|| broken(what));
        let strings = self.strings()?;
        let (count, first_hashed) = self.symbol_count()?;
        let symbols = self.at(table(dynamic::DT_SYMTAB, "it has no dynamic symbols")?)?;
        let versym = self.at(table(dynamic::DT_VERSYM, "its symbols have no versions")?)?;
        if symbols.len() / SYMBOL_SIZE < count || versym.len() / 2 < count {
            return Err(broken("its symbol table is cut off"));
        }
        Ok(Some(Tables {
            bytes: self.bytes,
            needs: self.needs(verneed)?,
            other_names: self.other_names()?,
            strings,
            symbols: symbols.start,
            versym: versym.start,
            count,
            first_hashed,
        }))
    }

    /// Where the string table is in the file.
    fn strings(&self) -> Result<Range<usize>, ElfError> {
        let table = |tag, what| self.value(tag)?.ok_or_else(|| broken(what));
        let strings = self.at(table(dynamic::DT_STRTAB, "it has no dynamic string table")?)?;
        let size = usize::try_from(table(dynamic::DT_STRSZ, "its string table has no size")?)
            .ok()
            .filter(|size| *size <= strings.len())
            .ok_or_else(|| broken("its string table is cut off"))?;
        Ok(strings.start..strings.start + size)
    }

    /// The names of libraries in the dynamic section and in the table of needed versions.
    fn library_names(&self) -> Result<Vec<LibraryName<'a>>, ElfError> {
        let strings = self.bytes.get(self.strings()?).unwrap_or_default();
        let name = |at: usize, width: usize, offset: usize, usage: NameUse| {
            let text = text_at(strings, offset)?;
            Ok(LibraryName {
                at,
                width,
                offset,
                text,
                usage,
            })
        };
        let section = self.segments.iter().find(|segment| segment.p_type == PT_DYNAMIC);
        let section = section.ok_or_else(|| broken("it has no dynamic section"))?;
        let start = self.at(section.p_vaddr)?.start;
        if start as u64 != section.p_offset {
            return Err(broken("its dynamic section is elsewhere than its segments say"));
        }
        let mut names = Vec::new();
        for (number, entry) in self.dynamic.dyns.iter().enumerate() {
            let usage = match entry.d_tag {
                dynamic::DT_NEEDED | DT_AUXILIARY | DT_FILTER => NameUse::Asked,
                dynamic::DT_SONAME => NameUse::Own,
                _ => continue,
            };
            let offset = usize::try_from(entry.d_val).map_err(|_| broken("a name is outside its string table"))?;
            names.push(name(start + number * DYNAMIC_SIZE + 8, 8, offset, usage)?);
        }
        if let Some(address) = self.value(dynamic::DT_VERNEED)? {
            for need in self.needs(address)? {
                names.push(name(need.at + 4, 4, need.library, NameUse::Asked)?);
            }
        }
        Ok(names)
    }

    /// The value of a dynamic entry that must not be there twice: of two the loader takes the last.
    fn value(&self, tag: u64) -> Result<Option<u64>, ElfError> {
        let mut values = self.dynamic.dyns.iter().filter(|entry| entry.d_tag == tag);
        let value = values.next().map(|entry| entry.d_val);
        if values.next().is_some() {
            return Err(broken("its dynamic section has an entry twice"));
        }
        Ok(value)
    }

    /// The bytes of the file from an address on, up to the end of its segment.
    fn at(&self, address: u64) -> Result<Range<usize>, ElfError> {
        let mut loads = self.segments.iter().filter(|segment| segment.p_type == PT_LOAD);
        let range = loads.find_map(|segment| {
            let within = address.checked_sub(segment.p_vaddr)?;
            let left = segment.p_filesz.checked_sub(within).filter(|left| *left > 0)?;
            let start = usize::try_from(segment.p_offset.checked_add(within)?).ok()?;
            let end = start.checked_add(usize::try_from(left).ok()?)?;
            (end <= self.bytes.len()).then_some(start..end)
        });
        range.ok_or_else(|| ElfError(format!("nothing is loaded at address {address:#x}")))
    }

    /// How many symbols there are, and which is the first that `DT_GNU_HASH` holds. That table holds defined symbols alone,
    /// after all others; its chains end with the last symbol.
    fn symbol_count(&self) -> Result<(usize, usize), ElfError> {
        let cut_off = || broken("its hash table is cut off");
        let of_hash = match self.value(dynamic::DT_HASH)? {
            Some(address) => Some(word(self.bytes, self.at(address)?.start + 4).ok_or_else(cut_off)?),
            None => None,
        };
        let Some(address) = self.value(dynamic::DT_GNU_HASH)? else {
            let count = of_hash.ok_or_else(|| broken("it has no hash table"))?;
            return Ok((count, count));
        };
        // Number of buckets, first symbol, words of the bloom filter (64 bit each), its shift, buckets, chains.
        let table = self.bytes.get(self.at(address)?).ok_or_else(cut_off)?;
        let header = |number: usize| word(table, number * 4).ok_or_else(cut_off);
        let (buckets, first, bloom) = (header(0)?, header(1)?, header(2)?);
        let place = |start: usize, number: usize| start.checked_add(number.checked_mul(4)?);
        let start = bloom
            .checked_mul(8)
            .and_then(|length| length.checked_add(16))
            .ok_or_else(cut_off)?;
        let chains = place(start, buckets).ok_or_else(cut_off)?;
        let last = table
            .get(start..chains)
            .ok_or_else(cut_off)?
            .chunks_exact(4)
            .filter_map(|bucket| word(bucket, 0))
            .max();
        let mut number = last.unwrap_or(0);
        if number < first {
            // Nothing is defined: linkers then write 1 for the first symbol, however many come before.
            let count = of_hash.unwrap_or(0).max(first).max(self.relocated_symbols()?);
            return Ok((count, count));
        }
        loop {
            let hash = place(chains, number - first).and_then(|at| word(table, at));
            let is_last = hash.ok_or_else(cut_off)? & 1 == 1;
            number += 1;
            if is_last {
                return Ok((of_hash.unwrap_or(number).max(number), first));
            }
        }
    }

    /// One more than the highest symbol that a relocation refers to.
    fn relocated_symbols(&self) -> Result<usize, ElfError> {
        let mut count = 0;
        for (table, size) in [
            (dynamic::DT_RELA, dynamic::DT_RELASZ),
            (dynamic::DT_JMPREL, dynamic::DT_PLTRELSZ),
        ] {
            let (Some(address), Some(size)) = (self.value(table)?, self.value(size)?) else {
                continue;
            };
            let table = self.bytes.get(self.at(address)?).unwrap_or_default();
            let table = usize::try_from(size).ok().and_then(|size| table.get(..size));
            let table = table.ok_or_else(|| broken("its relocations are cut off"))?;
            // Elf64_Rela: offset, info, addend; the symbol is the upper half of info.
            let symbols = table.chunks_exact(24).filter_map(|entry| word(entry, 12));
            count = count.max(symbols.max().map_or(0, |symbol| symbol + 1));
        }
        Ok(count)
    }

    fn needs(&self, address: u64) -> Result<Vec<Need>, ElfError> {
        let cut_off = || broken("its version table is cut off");
        let table = self.at(address)?;
        let half = |at: usize| half(self.bytes, at).filter(|_| at < table.end).ok_or_else(cut_off);
        let word = |at: usize| word(self.bytes, at).filter(|_| at < table.end).ok_or_else(cut_off);
        let mut needs: Vec<Need> = Vec::new();
        let (mut at, mut total) = (table.start, 0);
        loop {
            // Elf64_Verneed: version, count (u16), file, aux, next (u32)
            let count = usize::from(half(at + 2)?);
            let mut need = Need {
                at,
                library: word(at + 4)?,
                versions: Vec::new(),
            };
            let mut auxiliary = at.checked_add(word(at + 8)?).ok_or_else(cut_off)?;
            loop {
                // Elf64_Vernaux: hash (u32), flags, other (u16), name, next (u32)
                need.versions.push(Version {
                    at: auxiliary,
                    flags: half(auxiliary + 4)?,
                    index: half(auxiliary + 6)?,
                    name: word(auxiliary + 8)?,
                });
                total += 1;
                if total > MOST_VERSIONS {
                    return Err(broken("its version table does not end"));
                }
                match word(auxiliary + 12)? {
                    0 => break,
                    next => auxiliary = auxiliary.checked_add(next).ok_or_else(cut_off)?,
                }
            }
            // The loader follows the links, other readers count.
            if need.versions.len() != count {
                return Err(broken("its version table contradicts itself"));
            }
            needs.push(need);
            match word(at + 12)? {
                0 => return Ok(needs),
                next => at = at.checked_add(next).ok_or_else(cut_off)?,
            }
        }
    }

    /// The names of the dynamic section and of the versions that the object defines.
    fn other_names(&self) -> Result<Vec<usize>, ElfError> {
        let tags = [
            dynamic::DT_NEEDED,
            dynamic::DT_SONAME,
            dynamic::DT_RPATH,
            dynamic::DT_RUNPATH,
            DT_AUXILIARY,
            DT_FILTER,
            dynamic::DT_CONFIG,
            dynamic::DT_AUDIT,
            dynamic::DT_DEPAUDIT,
        ];
        let entries = self.dynamic.dyns.iter().filter(|entry| tags.contains(&entry.d_tag));
        let mut names: Vec<usize> = entries.filter_map(|entry| usize::try_from(entry.d_val).ok()).collect();
        let Some(address) = self.value(dynamic::DT_VERDEF)? else {
            return Ok(names);
        };
        let cut_off = || broken("its version table is cut off");
        let mut at = self.at(address)?.start;
        for _ in 0..MOST_VERSIONS {
            // Elf64_Verdef: version, flags, ndx, cnt (u16), hash, aux, next (u32); Elf64_Verdaux: name, next (u32)
            let count = half(self.bytes, at + 6).ok_or_else(cut_off)?;
            let mut auxiliary = word(self.bytes, at + 12)
                .and_then(|aux| at.checked_add(aux))
                .ok_or_else(cut_off)?;
            for _ in 0..count {
                names.push(word(self.bytes, auxiliary).ok_or_else(cut_off)?);
                let next = word(self.bytes, auxiliary + 4).ok_or_else(cut_off)?;
                auxiliary = auxiliary.checked_add(next).ok_or_else(cut_off)?;
            }
            match word(self.bytes, at + 16).ok_or_else(cut_off)? {
                0 => return Ok(names),
                next => at = at.checked_add(next).ok_or_else(cut_off)?,
            }
        }
        Err(broken("its version table does not end"))
    }
}

/// A word of 32 bits, as an offset or a count.
fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let word = u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?);
    usize::try_from(word).ok()
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
