//! Reads an executable or shared library as the loader does: by its program headers and dynamic section, never by the
//! section headers, which a stripped file may lack.

use std::cell::Cell;
use std::collections::BTreeSet;

use goblin::container::{Container, Ctx};
use goblin::elf::program_header::{PT_DYNAMIC, PT_INTERP, PT_LOAD};
use goblin::elf::reloc::{R_AARCH64_COPY, R_X86_64_COPY};
use goblin::elf::{Dynamic, Elf, Header, ProgramHeader, dynamic, header};

use super::directories;
use super::image::{ElfError, Image, value};
use super::notes::{self, DlopenNote, PackageNote};
use super::opened::opened;
use super::source::Source;
use super::symbols::{self, Symbols, Table, Tell};
use super::versions::{self, VersionNeed};

/// The first four bytes of every ELF file (ELF gABI, chapter 4, "ELF Identification").
pub const MAGIC: &[u8] = b"\x7fELF";

/// A dynamic section has some dozens of entries of 16 bytes; tools such as patchelf leave room for more.
const LONGEST_DYNAMIC: u64 = 1 << 20;
/// Place of the first byte of `e_ident` that means nothing (gABI, "ELF Identification").
const EI_PAD: usize = 9;
/// How many versions of GNU's ABI glibc knows (`libc-abis`, `LIBC_ABI_MAX`).
const GNU_ABI_VERSIONS: u8 = 4;
/// Names of libraries that this one filters (gABI, "Dynamic Section"; Solaris' numbers, which GNU took over).
const DT_AUXILIARY: u64 = 0x7fff_fffd;
const DT_FILTER: u64 = 0x7fff_ffff;
/// No object needs so many libraries.
const MOST_NEEDED: usize = 4096;

/// 32-bit or 64-bit; the loader passes over candidates of the other class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// `ELFCLASS32`
    Elf32,
    /// `ELFCLASS64`
    Elf64,
}

/// The processor that the object is for (`e_machine`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Machine {
    /// `EM_X86_64`
    X86_64,
    /// `EM_AARCH64`
    Aarch64,
    /// Any other number: Lambda has none of them.
    Other(u16),
}

impl From<u16> for Machine {
    fn from(e_machine: u16) -> Self {
        match e_machine {
            header::EM_X86_64 => Self::X86_64,
            header::EM_AARCH64 => Self::Aarch64,
            other => Self::Other(other),
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::X86_64 => f.pad("x86_64"),
            Self::Aarch64 => f.pad("aarch64"),
            Self::Other(number) => f.pad(header::machine_to_str(*number)),
        }
    }
}

/// The system whose loader understands the object (`EI_OSABI`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// `ELFOSABI_NONE` or `ELFOSABI_GNU`
    Linux,
    /// `ELFOSABI_FREEBSD`
    FreeBsd,
    /// Any other number.
    Other(u8),
}

/// Whether a process can start with the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Fixed address, or position-independent with an interpreter: the kernel starts it.
    Executable,
    /// Everything else that the loader can map.
    SharedLibrary,
}

/// What the loader reads of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// 32 or 64 bit.
    pub class: Class,
    /// The processor.
    pub machine: Machine,
    /// The system.
    pub system: System,
    /// Executable or library.
    pub kind: Kind,
    /// `PT_INTERP`: the loader that the kernel starts for it.
    pub interpreter: Option<String>,
    /// `DT_SONAME`
    pub soname: Option<String>,
    /// `DT_NEEDED`, in the order in which the loader takes them.
    pub needed: Vec<String>,
    /// `DT_FILTER`: libraries that are loaded as needed ones are.
    pub filters: Vec<String>,
    /// `DT_AUXILIARY`: libraries that are loaded if they are there.
    pub auxiliaries: Vec<String>,
    /// Whether `e_ident` and `e_version` are such that the loader accepts them: little-endian, of System V's or GNU's ABI.
    pub is_ident_valid: bool,
    /// Whether the loader maps it for another object: neither at a fixed address nor marked as a program (`DF_1_PIE`).
    pub is_mappable: bool,
    /// `DT_RPATH` as written; `None` where `DT_RUNPATH` is there, for the loader then ignores it (ld.so(8)).
    pub rpath: Option<String>,
    /// `DT_RUNPATH` as written.
    pub runpath: Option<String>,
    /// `DF_1_NODEFLIB`: the default directories are not searched for what this object needs.
    pub no_default_libraries: bool,
    /// The symbol versions that it asks of others.
    pub version_needs: Vec<VersionNeed>,
    /// The symbol versions that it defines itself, sorted; `None` for a library of which only the name is known.
    pub versions: Option<Vec<String>>,
    /// Its dynamic symbols; `None` for a library of which they are not known.
    pub symbols: Option<Symbols>,
    /// The default directories that are built into a loader; empty for all other objects.
    pub system_directories: Vec<String>,
    /// What it may open at run time, as it says itself.
    pub dlopen_notes: Vec<DlopenNote>,
    /// The package that it was built for, if it says so.
    pub package: Option<PackageNote>,
    /// Names of libraries that are written in it, if it calls dlopen(3).
    pub opened: BTreeSet<String>,
}

impl Object {
    /// Whether it is there to be started: libraries that can also be started, such as glibc's `libc.so.6`, have a `DT_SONAME`.
    pub fn is_program(&self) -> bool {
        self.kind == Kind::Executable && self.soname.is_none()
    }

    /// An object of which nothing else is known.
    pub fn bare(class: Class, machine: Machine, kind: Kind) -> Self {
        Self {
            class,
            machine,
            system: System::Linux,
            kind,
            interpreter: None,
            soname: None,
            needed: Vec::new(),
            filters: Vec::new(),
            auxiliaries: Vec::new(),
            is_ident_valid: true,
            is_mappable: true,
            rpath: None,
            runpath: None,
            no_default_libraries: false,
            version_needs: Vec::new(),
            versions: None,
            symbols: None,
            system_directories: Vec::new(),
            dlopen_notes: Vec::new(),
            package: None,
            opened: BTreeSet::new(),
        }
    }

    /// How long all its names are together, in bytes.
    pub fn names_bytes(&self) -> usize {
        let mut bytes = self.needed.iter().map(String::len).sum::<usize>();
        for need in &self.version_needs {
            bytes += need.library.len() + need.version.len() + need.symbols.iter().map(String::len).sum::<usize>();
        }
        for texts in [&self.interpreter, &self.soname, &self.rpath, &self.runpath] {
            bytes += texts.as_ref().map_or(0, String::len);
        }
        for note in &self.dlopen_notes {
            bytes += note.feature.len() + note.soname.iter().map(String::len).sum::<usize>();
        }
        bytes += self.package.as_ref().map_or(0, PackageNote::bytes);
        bytes += self.opened.iter().map(String::len).sum::<usize>();
        bytes += self.symbols.as_ref().map_or(0, Symbols::bytes);
        bytes += self
            .filters
            .iter()
            .chain(&self.auxiliaries)
            .map(String::len)
            .sum::<usize>();
        bytes + self.versions.iter().flatten().map(String::len).sum::<usize>()
    }
}

/// How much of an object is read. What is not read is as in [`Object::bare`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// By which the loader finds libraries: the header and the names in the dynamic section.
    Libraries,
    /// Also symbols and their versions.
    Symbols,
    /// Also notes, and the names of libraries that it may open at run time.
    All,
}

/// Reads an object. `None` for ELF files which no loader loads: relocatable objects and core files.
///
/// The bytes are not trusted: whatever they are, the result is a value or an error.
pub fn parse(source: &dyn Source) -> Result<Option<Object>, ElfError> {
    parse_in(source, Detail::All, None)
}

/// As [`parse`], and tells of every symbol that it defines.
pub fn parse_with_symbols(source: &dyn Source, tell: &mut Tell<'_>) -> Result<Option<Object>, ElfError> {
    parse_in(source, Detail::All, Some(tell))
}

/// As [`parse`], no further than in this detail.
pub fn parse_in(source: &dyn Source, detail: Detail, tell: Option<&mut Tell<'_>>) -> Result<Option<Object>, ElfError> {
    let broken = |error: goblin::error::Error| ElfError(error.to_string());
    let outside = || ElfError("it is cut off".into());
    // The longer header of the two; a file that is shorter than that has no segment after it.
    let start = source.read(0, header::header64::SIZEOF_EHDR).ok_or_else(outside)?;
    let header = Elf::parse_header(&start).map_err(broken)?;
    let context = Ctx::new(
        header.container().map_err(broken)?,
        header.endianness().map_err(broken)?,
    );
    if header.e_type != header::ET_EXEC && header.e_type != header::ET_DYN {
        return Ok(None);
    }
    let segments = segments(source, &header, context)?;
    if !segments.iter().any(|segment| segment.p_type == PT_LOAD) {
        return Err(ElfError("it has no loadable segment".into()));
    }
    let image = Image {
        source,
        segments: &segments,
        context,
    };
    let interpreter = segments
        .iter()
        .find(|segment| segment.p_type == PT_INTERP)
        .map(|segment| image.terminated(segment.p_offset, segment.p_filesz))
        .transpose()?;
    let class = match context.container {
        Container::Little => Class::Elf32,
        Container::Big => Class::Elf64,
    };
    let kind = if header.e_type == header::ET_EXEC || interpreter.is_some() {
        Kind::Executable
    } else {
        Kind::SharedLibrary
    };
    let mut object = Object {
        system: system(&header),
        interpreter,
        is_ident_valid: context.le.is_little()
            && is_ident_valid(&start)
            && header.e_version == u32::from(header::EV_CURRENT),
        is_mappable: header.e_type == header::ET_DYN && usize::from(header.e_phentsize) == ProgramHeader::size(context),
        ..Object::bare(class, Machine::from(header.e_machine), kind)
    };
    if detail >= Detail::Symbols {
        object.versions = Some(Vec::new());
        object.symbols = Some(Symbols::default());
    }
    if let Some(dynamic) = dynamic_section(&image)? {
        read_dynamic(&mut object, &image, &dynamic, tell)?;
    }
    if detail >= Detail::All {
        read_the_rest(&mut object, &image, &header);
    }
    object.system_directories = directories::of_loader(object.soname.as_deref(), source);
    Ok(Some(object))
}

/// Reads what the loader does not ask for.
fn read_the_rest(object: &mut Object, image: &Image<'_>, header: &Header) {
    let notes = notes::notes(image);
    object.dlopen_notes = notes.dlopen;
    object.package = notes.package;
    object.opened = opened_by(object, image, header);
}

/// The system that the header names. glibc takes 0, which is System V, as its own.
fn system(header: &Header) -> System {
    match header.e_ident[header::EI_OSABI] {
        header::ELFOSABI_NONE | header::ELFOSABI_LINUX => System::Linux,
        header::ELFOSABI_FREEBSD => System::FreeBsd,
        other => System::Other(other),
    }
}

/// The names of libraries that it may open at run time, which are those that no other part of it names.
fn opened_by(object: &Object, image: &Image<'_>, header: &Header) -> BTreeSet<String> {
    let versions = object.version_needs.iter().map(|need| need.library.as_str());
    let needed = object.needed.iter().chain(&object.soname).map(String::as_str);
    let read = needed.chain(versions).collect();
    let symbols = object.symbols.as_ref();
    symbols
        .map(|symbols| opened(image, header, symbols, &read))
        .unwrap_or_default()
}

fn segments(source: &dyn Source, header: &Header, context: Ctx) -> Result<Vec<ProgramHeader>, ElfError> {
    let count = usize::from(header.e_phnum);
    let table = source
        .read(header.e_phoff, count * ProgramHeader::size(context))
        .ok_or_else(|| ElfError("it is cut off".into()))?;
    ProgramHeader::parse(&table, 0, count, context).map_err(|error| ElfError(error.to_string()))
}

/// The dynamic section, by its segment; `None` for a static executable.
fn dynamic_section(image: &Image<'_>) -> Result<Option<Dynamic>, ElfError> {
    let Some(segment) = image.segments.iter().find(|segment| segment.p_type == PT_DYNAMIC) else {
        return Ok(None);
    };
    if segment.p_filesz > LONGEST_DYNAMIC {
        return Err(ElfError(
            "its dynamic section is longer than any linker makes it".into(),
        ));
    }
    let length = usize::try_from(segment.p_filesz).unwrap_or(usize::MAX);
    let bytes = image.source.read(segment.p_offset, length);
    let bytes = bytes.ok_or_else(|| ElfError("it is cut off".into()))?;
    let alone = ProgramHeader {
        p_offset: 0,
        ..segment.clone()
    };
    Dynamic::parse(&bytes, &[alone], image.context).map_err(|error| ElfError(error.to_string()))
}

/// Whether a file that begins as ELF does is the memory of a process that crashed.
pub fn is_core(source: &dyn Source) -> bool {
    // e_type follows the 16 bytes of e_ident, of which the sixth is the byte order.
    let Some(start) = source.read(0, 18) else { return false };
    let kind = [start[16], start[17]];
    let kind = if start[5] == header::ELFDATA2MSB {
        u16::from_be_bytes(kind)
    } else {
        u16::from_le_bytes(kind)
    };
    kind == header::ET_CORE
}

/// Whether glibc's loader accepts what the first bytes of a little-endian object say (elf/dl-load.c, `open_verify`).
fn is_ident_valid(ident: &[u8]) -> bool {
    let is_abi_known = match (ident[header::EI_OSABI], ident[header::EI_ABIVERSION]) {
        (header::ELFOSABI_SYSV, version) => version == 0,
        (header::ELFOSABI_GNU, version) => version < GNU_ABI_VERSIONS,
        _ => false,
    };
    let is_current = ident[header::EI_VERSION] == header::EV_CURRENT;
    is_abi_known && is_current && ident[EI_PAD..header::SIZEOF_IDENT].iter().all(|byte| *byte == 0)
}

/// The type of relocation by which it copies variables of libraries: only programs have room for them.
fn copy_relocation(object: &Object, image: &Image<'_>) -> Option<u32> {
    match (object.kind, object.machine) {
        (Kind::Executable, Machine::X86_64) if image.is_64_bit() => Some(R_X86_64_COPY),
        (Kind::Executable, Machine::Aarch64) => Some(R_AARCH64_COPY),
        _ => None,
    }
}

fn read_dynamic(
    object: &mut Object,
    image: &Image<'_>,
    dynamic: &Dynamic,
    tell: Option<&mut Tell<'_>>,
) -> Result<(), ElfError> {
    let strings = value(dynamic, dynamic::DT_STRTAB);
    let size = value(dynamic, dynamic::DT_STRSZ).unwrap_or(0);
    // Names may be used several times, but all that are read cannot be longer than the file many times over.
    let left = Cell::new(image.source.length().saturating_mul(4));
    let text = |index: u64| -> Result<String, ElfError> {
        let table = strings.ok_or_else(|| ElfError("it has no dynamic string table".into()))?;
        if index >= size {
            return Err(ElfError("a name is outside its string table".into()));
        }
        let text = image.text(table.saturating_add(index))?;
        let rest = left.get().checked_sub(text.len() as u64);
        left.set(rest.ok_or_else(|| ElfError("its names are longer than the file".into()))?);
        Ok(text)
    };
    for entry in &dynamic.dyns {
        match entry.d_tag {
            dynamic::DT_NEEDED if object.needed.len() == MOST_NEEDED => {
                return Err(ElfError(format!("it needs more than {MOST_NEEDED} libraries")));
            }
            dynamic::DT_NEEDED => object.needed.push(text(entry.d_val)?),
            dynamic::DT_SONAME => object.soname = Some(text(entry.d_val)?),
            dynamic::DT_RPATH => object.rpath = Some(text(entry.d_val)?),
            dynamic::DT_RUNPATH => object.runpath = Some(text(entry.d_val)?),
            DT_FILTER => object.filters.push(text(entry.d_val)?),
            DT_AUXILIARY => object.auxiliaries.push(text(entry.d_val)?),
            dynamic::DT_FLAGS_1 => {
                object.no_default_libraries = entry.d_val & dynamic::DF_1_NODEFLIB != 0;
                object.is_mappable &= entry.d_val & dynamic::DF_1_PIE == 0;
            }
            _ => {}
        }
    }
    if object.runpath.is_some() {
        object.rpath = None;
    }
    if object.symbols.is_some() {
        read_symbols(object, image, dynamic, &text, tell)?;
    }
    Ok(())
}

/// Reads symbols and their versions.
fn read_symbols(
    object: &mut Object,
    image: &Image<'_>,
    dynamic: &Dynamic,
    text: &dyn Fn(u64) -> Result<String, ElfError>,
    tell: Option<&mut Tell<'_>>,
) -> Result<(), ElfError> {
    let table = Table::read(image, dynamic)?;
    object.version_needs = versions::needs(image, dynamic, table.as_ref(), text)?;
    let defined = versions::definitions(image, dynamic, text)?;
    let asked = object
        .version_needs
        .iter()
        .map(|need| (need.index, need.version.as_str()));
    let names = defined.iter().map(|(index, name)| (*index, name.as_str()));
    let copy = copy_relocation(object, image);
    let versions = asked.chain(names).collect();
    if let Some(table) = &table {
        object.symbols = Some(symbols::read(image, dynamic, table, &versions, copy, tell)?);
    }
    let mut versions: Vec<String> = defined.into_values().collect();
    versions.sort_unstable();
    versions.dedup();
    object.versions = Some(versions);
    Ok(())
}
