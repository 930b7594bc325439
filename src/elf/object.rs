//! Reads an executable or shared library as the loader does: by its program headers and dynamic section, never by the
//! section headers, which a stripped file may lack.

use goblin::container::{Container, Ctx};
use goblin::elf::program_header::{PT_DYNAMIC, PT_INTERP, PT_LOAD, PT_NOTE};
use goblin::elf::{Dynamic, Elf, ProgramHeader, dynamic, header};

use super::notes::{self, DlopenNote};
use super::versions::{self, VersionNeed};

/// The first four bytes of every ELF file (ELF gABI, chapter 4, "ELF Identification").
pub const MAGIC: &[u8] = b"\x7fELF";

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

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::X86_64 => f.pad("x86_64"),
            Self::Aarch64 => f.pad("aarch64"),
            Self::Other(number) => f.pad(header::machine_to_str(*number)),
        }
    }
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
    /// Executable or library.
    pub kind: Kind,
    /// `PT_INTERP`: the loader that the kernel starts for it.
    pub interpreter: Option<String>,
    /// `DT_SONAME`
    pub soname: Option<String>,
    /// `DT_NEEDED`, in the order in which the loader takes them.
    pub needed: Vec<String>,
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
    /// CRC-32 of the whole file, by which copies are told; 0 for a library of which only the name is known.
    pub checksum: u32,
    /// What it may open at run time, as it says itself.
    pub dlopen_notes: Vec<DlopenNote>,
}

/// Why an ELF file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a readable ELF object: {0}")]
pub struct ElfError(pub(super) String);

/// Reads an object from a file's bytes. `None` for ELF files which no loader loads: relocatable objects and core files.
///
/// The bytes are not trusted: whatever they are, the answer is a value or an error.
pub fn parse(bytes: &[u8]) -> Result<Option<Object>, ElfError> {
    let broken = |error: goblin::error::Error| ElfError(error.to_string());
    let header = Elf::parse_header(bytes).map_err(broken)?;
    let context = Ctx::new(
        header.container().map_err(broken)?,
        header.endianness().map_err(broken)?,
    );
    if header.e_type != header::ET_EXEC && header.e_type != header::ET_DYN {
        return Ok(None);
    }
    let segments =
        ProgramHeader::parse(bytes, offset(header.e_phoff)?, usize::from(header.e_phnum), context).map_err(broken)?;
    if !segments.iter().any(|segment| segment.p_type == PT_LOAD) {
        return Err(ElfError("it has no loadable segment".into()));
    }
    let image = Image {
        bytes,
        segments: &segments,
        context,
    };
    let interpreter = segments
        .iter()
        .find(|segment| segment.p_type == PT_INTERP)
        .map(|segment| image.text_at_offset(segment.p_offset))
        .transpose()?;
    let mut object = Object {
        class: match context.container {
            Container::Little => Class::Elf32,
            Container::Big => Class::Elf64,
        },
        machine: match header.e_machine {
            header::EM_X86_64 => Machine::X86_64,
            header::EM_AARCH64 => Machine::Aarch64,
            other => Machine::Other(other),
        },
        kind: if header.e_type == header::ET_EXEC || interpreter.is_some() {
            Kind::Executable
        } else {
            Kind::SharedLibrary
        },
        interpreter,
        soname: None,
        needed: Vec::new(),
        rpath: None,
        runpath: None,
        no_default_libraries: false,
        version_needs: Vec::new(),
        versions: Some(Vec::new()),
        checksum: crc32fast::hash(bytes),
        dlopen_notes: notes::dlopen_notes(&image),
    };
    if segments.iter().any(|segment| segment.p_type == PT_DYNAMIC)
        && let Some(dynamic) = Dynamic::parse(bytes, &segments, context).map_err(broken)?
    {
        read_dynamic(&mut object, &image, &dynamic)?;
    }
    Ok(Some(object))
}

fn read_dynamic(object: &mut Object, image: &Image<'_>, dynamic: &Dynamic) -> Result<(), ElfError> {
    let strings = versions::value(dynamic, dynamic::DT_STRTAB);
    let size = versions::value(dynamic, dynamic::DT_STRSZ).unwrap_or(0);
    let text = |index: u64| -> Result<String, ElfError> {
        let table = strings.ok_or_else(|| ElfError("it has no dynamic string table".into()))?;
        if index >= size {
            return Err(ElfError("a name lies outside its string table".into()));
        }
        image.text_at_address(table.saturating_add(index))
    };
    for entry in &dynamic.dyns {
        match entry.d_tag {
            dynamic::DT_NEEDED => object.needed.push(text(entry.d_val)?),
            dynamic::DT_SONAME => object.soname = Some(text(entry.d_val)?),
            dynamic::DT_RPATH => object.rpath = Some(text(entry.d_val)?),
            dynamic::DT_RUNPATH => object.runpath = Some(text(entry.d_val)?),
            dynamic::DT_FLAGS_1 => {
                object.no_default_libraries = entry.d_val & dynamic::DF_1_NODEFLIB != 0;
            }
            _ => {}
        }
    }
    if object.runpath.is_some() {
        object.rpath = None;
    }
    object.version_needs = versions::needs(image, dynamic, &text)?;
    object.versions = Some(versions::definitions(image, dynamic, &text)?);
    Ok(())
}

fn offset(value: u64) -> Result<usize, ElfError> {
    usize::try_from(value).map_err(|_| ElfError("an offset lies outside the file".into()))
}

/// A file as the loader maps it: addresses stand for bytes of the file.
pub(super) struct Image<'a> {
    bytes: &'a [u8],
    segments: &'a [ProgramHeader],
    context: Ctx,
}

impl Image<'_> {
    /// The parts of the file that hold notes.
    pub(super) fn notes(&self) -> impl Iterator<Item = &[u8]> {
        self.segments
            .iter()
            .filter(|segment| segment.p_type == PT_NOTE)
            .filter_map(|segment| {
                let start = usize::try_from(segment.p_offset).ok()?;
                let end = start.checked_add(usize::try_from(segment.p_filesz).ok()?)?;
                self.bytes.get(start..end)
            })
    }

    /// A word in the file's byte order.
    pub(super) fn word(&self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = bytes.get(at..)?.first_chunk::<4>().copied()?;
        Some(if self.context.le.is_little() {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        })
    }

    /// The bytes of the file from an address on, to the end of the segment's part in the file.
    pub(super) fn at(&self, address: u64) -> Result<&[u8], ElfError> {
        self.segments
            .iter()
            .filter(|segment| segment.p_type == PT_LOAD)
            .find_map(|segment| {
                let within = address.checked_sub(segment.p_vaddr)?;
                let left = segment.p_filesz.checked_sub(within).filter(|left| *left > 0)?;
                let start = usize::try_from(segment.p_offset.checked_add(within)?).ok()?;
                let end = start.checked_add(usize::try_from(left).ok()?)?;
                self.bytes.get(start..end)
            })
            .ok_or_else(|| ElfError(format!("nothing is loaded at address {address:#x}")))
    }

    pub(super) fn u16(&self, address: u64) -> Result<u16, ElfError> {
        let bytes = self.array::<2>(address)?;
        Ok(if self.context.le.is_little() {
            u16::from_le_bytes(bytes)
        } else {
            u16::from_be_bytes(bytes)
        })
    }

    pub(super) fn u32(&self, address: u64) -> Result<u32, ElfError> {
        let bytes = self.array::<4>(address)?;
        Ok(if self.context.le.is_little() {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        })
    }

    pub(super) fn is_64_bit(&self) -> bool {
        self.context.container == Container::Big
    }

    fn array<const N: usize>(&self, address: u64) -> Result<[u8; N], ElfError> {
        self.at(address)?
            .first_chunk::<N>()
            .copied()
            .ok_or_else(|| ElfError("a table is cut off".into()))
    }

    fn text_at_address(&self, address: u64) -> Result<String, ElfError> {
        terminated(self.at(address)?)
    }

    fn text_at_offset(&self, at: u64) -> Result<String, ElfError> {
        terminated(
            self.bytes
                .get(offset(at)?..)
                .ok_or_else(|| ElfError("a text lies outside the file".into()))?,
        )
    }
}

/// The text up to its NUL; the loader gives up on names longer than `PATH_MAX`, so a longer one is an error here, too.
fn terminated(bytes: &[u8]) -> Result<String, ElfError> {
    const PATH_MAX: usize = 4096;
    let bounded = &bytes[..bytes.len().min(PATH_MAX * 16)];
    let end = bounded
        .iter()
        .position(|byte| *byte == 0)
        .ok_or_else(|| ElfError("a text has no end".into()))?;
    Ok(String::from_utf8_lossy(&bounded[..end]).into_owned())
}
