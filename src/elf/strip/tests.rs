//! Small images of all classes and byte orders, made with `object`'s writer; and, where a C compiler
//! is at hand, programs and libraries that have to work afterwards.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::too_many_lines
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use object::elf::{self, SectionFlags, SectionType};
use object::write::elf as write;
use object::{Endianness, Object as _, ObjectSection as _};
use proptest::prelude::*;

use super::*;

// ---- small images ----------------------------------------------------------------------------------

const KINDS: [(bool, Endianness); 4] = [
    (true, Endianness::Little),
    (true, Endianness::Big),
    (false, Endianness::Little),
    (false, Endianness::Big),
];
const LOADED: SectionFlags = elf::SHF_ALLOC;
const UNLOADED: SectionFlags = SectionFlags(0);

#[derive(Clone)]
struct Part {
    name: &'static str,
    kind: SectionType,
    flags: SectionFlags,
    contents: Vec<u8>,
    link: &'static str,
    info: u32,
    align: u64,
}

fn part(name: &'static str, kind: SectionType, flags: SectionFlags) -> Part {
    // Whole entries of any table, and no symbol with a name.
    let mut contents = vec![0; 384];
    if !matches!(kind, elf::SHT_SYMTAB | elf::SHT_DYNSYM) {
        let text = name.as_bytes().iter().copied().cycle();
        contents
            .iter_mut()
            .zip(text)
            .take(383)
            .for_each(|(place, byte)| *place = byte);
    }
    Part {
        name,
        kind,
        flags,
        contents,
        link: "",
        info: 0,
        align: 8,
    }
}

fn loaded(name: &'static str) -> Part {
    part(name, elf::SHT_PROGBITS, LOADED)
}

fn unloaded(name: &'static str) -> Part {
    part(name, elf::SHT_PROGBITS, UNLOADED)
}

impl Part {
    fn link(self, link: &'static str) -> Self {
        Self { link, ..self }
    }

    fn info(self, info: u32) -> Self {
        Self { info, ..self }
    }
}

#[derive(Clone)]
struct Image {
    is_64: bool,
    endian: Endianness,
    parts: Vec<Part>,
    /// The section table and the names come before this part.
    table: usize,
}

impl Image {
    fn new((is_64, endian): (bool, Endianness), parts: Vec<Part>) -> Self {
        Self {
            is_64,
            endian,
            table: parts.len(),
            parts,
        }
    }

    /// The parts of each segment: each run of loaded parts is one.
    fn segments(&self) -> Vec<Vec<usize>> {
        let mut runs: Vec<Vec<usize>> = vec![Vec::new()];
        for (index, part) in self.parts.iter().enumerate() {
            match (part.flags.contains(LOADED), part.kind) {
                (true, elf::SHT_NOBITS) => {}
                (true, _) => runs.last_mut().unwrap().push(index),
                (false, _) => runs.push(Vec::new()),
            }
        }
        runs.retain(|run| !run.is_empty());
        runs
    }

    /// The headers belong to the first segment.
    fn build(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = write::Writer::new(self.endian, self.is_64, &mut bytes);
        writer.reserve_null_section_index();
        let mut names = Vec::new();
        for part in &self.parts {
            names.push(writer.add_section_name(part.name.as_bytes()));
            writer.reserve_section_index();
        }
        writer.reserve_shstrtab_section_index();
        let segments = self.segments();
        writer.reserve_file_header();
        writer.reserve_program_headers(u32::try_from(segments.len()).unwrap());
        let offsets = self.reserve_parts(&mut writer);
        let header = write::FileHeader {
            os_abi: elf::ELFOSABI_SYSV,
            abi_version: 0,
            e_type: elf::ET_DYN,
            e_machine: elf::EM_X86_64,
            e_entry: 0,
            e_flags: elf::FileFlags(0),
        };
        writer.write_file_header(&header).unwrap();
        self.write_segments(&mut writer, &segments, &offsets);
        for (at, part) in self.parts.iter().enumerate() {
            if at == self.table {
                self.write_table(&mut writer, &names, &offsets);
            }
            writer.write_align(8);
            if part.kind != elf::SHT_NOBITS {
                writer.write(&part.contents);
            }
        }
        if self.table == self.parts.len() {
            self.write_table(&mut writer, &names, &offsets);
        }
        bytes
    }

    /// Reserves all parts and the table, and gives the offset of each part.
    fn reserve_parts(&self, writer: &mut write::Writer) -> Vec<u64> {
        let mut offsets = Vec::new();
        let reserve_table = |writer: &mut write::Writer| {
            writer.reserve_shstrtab().unwrap();
            writer.reserve_section_headers();
        };
        for (at, part) in self.parts.iter().enumerate() {
            if at == self.table {
                reserve_table(writer);
            }
            let is_in_file = part.kind != elf::SHT_NOBITS;
            let size = if is_in_file { part.contents.len() } else { 0 };
            offsets.push(writer.reserve(size as u64, 8));
        }
        if self.table == self.parts.len() {
            reserve_table(writer);
        }
        offsets
    }

    fn write_segments(&self, writer: &mut write::Writer, segments: &[Vec<usize>], offsets: &[u64]) {
        writer.write_align_program_headers();
        for (number, run) in segments.iter().enumerate() {
            let start = if number == 0 { 0 } else { offsets[run[0]] };
            let last = *run.last().unwrap();
            let size = offsets[last] + self.parts[last].contents.len() as u64 - start;
            writer.write_program_header(&write::ProgramHeader {
                p_type: elf::PT_LOAD,
                p_flags: elf::PF_R,
                p_offset: start,
                p_vaddr: start,
                p_paddr: start,
                p_filesz: size,
                p_memsz: size,
                p_align: 0x1000,
            });
        }
    }

    fn write_table(&self, writer: &mut write::Writer, names: &[object::write::StringId], offsets: &[u64]) {
        let index = |name: &str| self.parts.iter().position(|part| part.name == name);
        writer.write_shstrtab();
        writer.write_null_section_header();
        for ((part, name), &offset) in self.parts.iter().zip(names).zip(offsets) {
            let sh_name = writer.section_name_offset(Some(*name));
            let link = index(part.link).map_or(0, |index| index + 1);
            let is_loaded = part.flags.contains(LOADED);
            writer.write_section_header(&write::SectionHeader {
                sh_name,
                sh_type: part.kind,
                sh_flags: part.flags,
                sh_addr: if is_loaded { offset } else { 0 },
                sh_offset: offset,
                sh_size: part.contents.len() as u64,
                sh_link: u32::try_from(link).unwrap(),
                sh_info: part.info,
                sh_addralign: part.align,
                sh_entsize: 0,
            });
        }
        writer.write_shstrtab_section_header();
    }
}

/// What a usual shared object has, and a program's own payload.
fn usual_parts() -> Vec<Part> {
    vec![
        part(".dynsym", elf::SHT_DYNSYM, LOADED).link(".dynstr").info(1),
        part(".dynstr", elf::SHT_STRTAB, LOADED),
        part(".rela.plt", elf::SHT_RELA, LOADED | elf::SHF_INFO_LINK)
            .link(".dynsym")
            .info(4),
        loaded(".text"),
        loaded(".data"),
        part(".bss", elf::SHT_NOBITS, LOADED | elf::SHF_WRITE),
        unloaded(".comment"),
        part(".note.dlopen", elf::SHT_NOTE, UNLOADED),
        part(".rela.text", elf::SHT_RELA, UNLOADED).link(".symtab").info(4),
        unloaded(".debug_info"),
        unloaded("pydata"),
        unloaded(".gnu_debuglink"),
        part(".symtab", elf::SHT_SYMTAB, UNLOADED).link(".strtab").info(1),
        part(".strtab", elf::SHT_STRTAB, UNLOADED),
    ]
}

fn names(bytes: &[u8]) -> Vec<String> {
    let file = object::File::parse(bytes).unwrap();
    file.sections()
        .map(|section| section.name().unwrap().to_owned())
        .collect()
}

fn contents<'data>(bytes: &'data [u8], name: &str) -> &'data [u8] {
    let file = object::File::parse(bytes).unwrap();
    file.section_by_name(name).unwrap().data().unwrap()
}

fn header_of(bytes: &[u8], name: &str) -> SectionHeader {
    let object = Object::parse(bytes).unwrap();
    let wanted = |section: &&SectionHeader| {
        object.name(section).unwrap().split(|byte| *byte == 0).next() == Some(name.as_bytes())
    };
    object.sections.iter().find(wanted).unwrap().clone()
}

fn position(bytes: &[u8], name: &str) -> u32 {
    u32::try_from(names(bytes).iter().position(|other| other == name).unwrap() + 1).unwrap()
}

fn image_end(bytes: &[u8]) -> usize {
    let image = Object::parse(bytes).unwrap().image().unwrap();
    image.iter().map(|range| range.end).max().unwrap()
}

/// Strips, and checks what holds for all stripped files.
fn stripped(bytes: &[u8]) -> Stripped {
    let stripped = strip(bytes).unwrap();
    assert_eq!(verify(bytes, &stripped.bytes), Ok(()));
    assert!(stripped.bytes.len() < bytes.len() + stripped.zeroed);
    assert_eq!(strip(&stripped.bytes), Err(Reason::NothingToRemove));
    stripped
}

#[test]
fn removes_what_only_debuggers_and_linkers_read() {
    for kind in KINDS {
        let before = Image::new(kind, usual_parts()).build();
        let after = stripped(&before);
        assert_eq!(after.zeroed, 0);
        assert_eq!(
            names(&after.bytes),
            [
                ".dynsym",
                ".dynstr",
                ".rela.plt",
                ".text",
                ".data",
                ".bss",
                ".note.dlopen",
                "pydata",
                ".gnu_debuglink",
                ".shstrtab"
            ]
        );
        for name in [".note.dlopen", "pydata", ".gnu_debuglink", ".text"] {
            assert_eq!(contents(&before, name), contents(&after.bytes, name), "{name}");
        }
        assert!(after.bytes.len() < before.len() - 5 * 384);
        // Numbers that are not a section index stay, and the others too as no loaded section moves.
        assert_eq!(header_of(&after.bytes, ".dynsym").sh_info, 1);
        assert_eq!(header_of(&after.bytes, ".rela.plt").sh_info, 4);
    }
}

#[test]
fn loaded_sections_keep_their_index_behind_removed_ones() {
    for kind in KINDS {
        let parts = vec![
            unloaded(".debug_info"),
            loaded(".text").link(".late"),
            unloaded("kept"),
            unloaded(".comment"),
            part(".late", elf::SHT_STRTAB, LOADED),
            unloaded(".debug_line"),
            part("kept too", elf::SHT_NOTE, UNLOADED),
        ];
        let before = Image::new(kind, parts).build();
        let after = stripped(&before).bytes;
        assert_eq!(
            names(&after),
            ["", ".text", "kept", "", ".late", "kept too", ".shstrtab"]
        );
        assert_eq!(header_of(&after, ".text").sh_link, 5);
    }
}

#[test]
fn what_lies_between_segments_becomes_zero() {
    for kind in KINDS {
        let mut debug = unloaded(".debug_info");
        debug.contents = vec![0x55; 5000];
        let parts = vec![
            loaded(".text"),
            debug,
            part(".note.here", elf::SHT_NOTE, UNLOADED),
            part(".symtab", elf::SHT_SYMTAB, UNLOADED),
            loaded(".appended"),
        ];
        // As patchelf writes it, with the section table between the segments ...
        let mut image = Image::new(kind, parts);
        image.table = 4;
        let before = image.build();
        let after = stripped(&before);
        assert_eq!(after.bytes.len(), before.len());
        assert!(after.zeroed > 5000);
        assert!(!after.bytes.windows(2).any(|pair| pair == [0x55; 2]));
        let (old, new) = (header_of(&before, ".note.here"), header_of(&after.bytes, ".note.here"));
        assert_eq!(old.sh_offset, new.sh_offset);
        assert_eq!(
            names(&after.bytes),
            [".text", "", ".note.here", "", ".appended", ".shstrtab"]
        );
        // ... and with the table at the end, of which a smaller one takes the place.
        image.table = 5;
        let before = image.build();
        assert!(stripped(&before).bytes.len() < before.len());
        // What no section describes is left alone, and nothing is placed upon it.
        let mut before = image.build();
        patch_section(&mut before, ".debug_info", |section| {
            (section.sh_offset, section.sh_size) = (section.sh_offset + 2500, 2500);
        });
        let unknown = contents(&image.build(), ".debug_info")[..2500].to_vec();
        let after = stripped(&before).bytes;
        assert!(after.windows(2500).any(|window| window == unknown));
    }
}

#[test]
fn what_a_segment_covers_stays() {
    for kind in KINDS {
        let mut image = Image::new(kind, usual_parts());
        image.parts.insert(3, unloaded(".debug_gone"));
        let mut bytes = image.build();
        // The first segment now ends with the file: nothing is dead, so nothing can be saved.
        let size = bytes.len() as u64;
        patch_segment(&mut bytes, 0, |segment| segment.p_filesz = size);
        assert_eq!(strip(&bytes), Err(Reason::NothingToRemove));
        // A section table within a segment stays as a copy that nobody reads.
        let mut image = Image::new(kind, usual_parts());
        image.table = 2;
        let before = image.build();
        let object = Object::parse(&before).unwrap();
        let after = stripped(&before).bytes;
        assert_eq!(
            before[object.section_table.clone()],
            after[object.section_table.clone()]
        );
    }
}

#[test]
fn loaded_sections_outside_all_segments_stay() {
    for kind in KINDS {
        let mut before = Image::new(kind, usual_parts()).build();
        patch_section(&mut before, "pydata", |section| section.sh_flags = 2);
        let after = stripped(&before);
        assert!(after.zeroed > 300);
        let (old, new) = (header_of(&before, "pydata"), header_of(&after.bytes, "pydata"));
        assert_eq!(old.sh_offset, new.sh_offset);
        assert_eq!(position(&before, "pydata"), position(&after.bytes, "pydata"));

        // Linkers leave empty sections a little behind the last segment.
        let mut before = Image::new(kind, usual_parts()).build();
        patch_section(&mut before, "pydata", |section| {
            (section.sh_flags, section.sh_size) = (2, 0);
        });
        let unclaimed = matches!(strip(&before), Err(Reason::Unsupported { .. }));
        assert!(unclaimed);
        let mut parts = usual_parts();
        parts[10].contents.clear();
        let mut before = Image::new(kind, parts).build();
        patch_section(&mut before, "pydata", |section| section.sh_flags = 2);
        assert!(stripped(&before).bytes.len() < before.len());
    }
}

#[test]
fn references_follow() {
    for kind in KINDS {
        let mut parts = usual_parts();
        parts.insert(0, loaded(".rela.static").link(".symtab"));
        parts.push(unloaded("first").link("second"));
        let mut second = unloaded("second").link("first");
        second.flags = elf::SHF_INFO_LINK;
        second.info = u32::try_from(parts.iter().position(|part| part.name == "pydata").unwrap()).unwrap() + 1;
        parts.push(second);
        let before = Image::new(kind, parts).build();
        let after = stripped(&before).bytes;
        assert_eq!(header_of(&after, "first").sh_link, position(&after, "second"));
        assert_eq!(header_of(&after, "second").sh_link, position(&after, "first"));
        assert_eq!(header_of(&after, "second").sh_info, position(&after, "pydata"));
        assert_eq!(header_of(&after, ".rela.static").sh_link, 0);

        let mut parts = usual_parts();
        parts.push(unloaded("needs symbols").link(".symtab"));
        let reason = strip(&Image::new(kind, parts).build()).unwrap_err();
        assert!(matches!(reason, Reason::Unsupported { .. }), "{reason}");
    }
}

fn patch_header(bytes: &mut [u8], change: impl FnOnce(&mut Header)) {
    let mut header = Elf::parse_header(bytes).unwrap();
    let endian = header.endianness().unwrap();
    change(&mut header);
    bytes.pwrite_with(header, 0, endian).unwrap();
}

fn patch_segment(bytes: &mut [u8], index: usize, change: impl FnOnce(&mut ProgramHeader)) {
    let object = Object::parse(bytes).unwrap();
    let (context, mut segment) = (object.context, object.segments[index].clone());
    let offset = object.segment_table.start + index * ProgramHeader::size(context);
    change(&mut segment);
    bytes.pwrite_with(segment, offset, context).unwrap();
}

fn patch_section(bytes: &mut [u8], name: &str, change: impl FnOnce(&mut SectionHeader)) {
    let index = position(bytes, name) as usize;
    let object = Object::parse(bytes).unwrap();
    let (context, mut section) = (object.context, object.sections[index].clone());
    let offset = object.section_table.start + index * SectionHeader::size(context);
    change(&mut section);
    bytes.pwrite_with(section, offset, context).unwrap();
}

#[test]
fn refuses_what_is_not_understood() {
    const MALFORMED: Reason = malformed("");
    const UNSUPPORTED: Reason = unsupported("");
    type Change = fn(&mut Vec<u8>);
    let cases: &[(&str, Change, Reason)] = &[
        ("empty", |bytes| bytes.clear(), Reason::NotElf),
        (
            "script",
            |bytes| bytes.splice(..4, *b"#!/b").for_each(drop),
            Reason::NotElf,
        ),
        ("magic only", |bytes| bytes.truncate(4), MALFORMED),
        ("half a header", |bytes| bytes.truncate(40), MALFORMED),
        ("class", |bytes| bytes[4] = 3, MALFORMED),
        ("byte order", |bytes| bytes[5] = 0, MALFORMED),
        ("GPU code", |bytes| bytes[7] = 64, UNSUPPORTED),
        (
            "object",
            |bytes| patch_header(bytes, |header| header.e_type = header::ET_REL),
            Reason::Relocatable,
        ),
        (
            "core",
            |bytes| patch_header(bytes, |header| header.e_type = header::ET_CORE),
            UNSUPPORTED,
        ),
        (
            "header size",
            |bytes| patch_header(bytes, |header| header.e_ehsize += 8),
            MALFORMED,
        ),
        (
            "section size",
            |bytes| patch_header(bytes, |header| header.e_shentsize += 8),
            MALFORMED,
        ),
        (
            "segment size",
            |bytes| patch_header(bytes, |header| header.e_phentsize = 0),
            MALFORMED,
        ),
        (
            "many sections",
            |bytes| patch_header(bytes, |header| header.e_shnum = 0),
            UNSUPPORTED,
        ),
        (
            "many segments",
            |bytes| patch_header(bytes, |header| header.e_phnum = 0xffff),
            UNSUPPORTED,
        ),
        (
            "far names",
            |bytes| patch_header(bytes, |header| header.e_shstrndx = 0xffff),
            UNSUPPORTED,
        ),
        (
            "no names",
            |bytes| patch_header(bytes, |header| header.e_shstrndx = 0),
            MALFORMED,
        ),
        (
            "wrong names",
            |bytes| patch_header(bytes, |header| header.e_shstrndx = 4),
            MALFORMED,
        ),
        (
            "no segments",
            |bytes| patch_header(bytes, |header| header.e_phnum = 0),
            UNSUPPORTED,
        ),
        (
            "overlapping",
            |bytes| patch_header(bytes, |header| header.e_phoff = 8),
            MALFORMED,
        ),
        (
            "far segments",
            |bytes| patch_header(bytes, |header| header.e_phoff = 1 << 31),
            MALFORMED,
        ),
        (
            "far sections",
            |bytes| patch_header(bytes, |header| header.e_shoff = 1 << 31),
            MALFORMED,
        ),
        ("cut off", |bytes| bytes.truncate(bytes.len() - 1), MALFORMED),
        (
            "segment past the end",
            |bytes| patch_segment(bytes, 0, |it| it.p_filesz = 1 << 20),
            MALFORMED,
        ),
        (
            "segment far away",
            |bytes| patch_segment(bytes, 0, |it| it.p_offset = 0xffff_fff0),
            MALFORMED,
        ),
        (
            "nothing loaded",
            |bytes| patch_segment(bytes, 0, |it| it.p_type = 6),
            UNSUPPORTED,
        ),
        (
            "section past the end",
            |bytes| patch_section(bytes, ".debug_info", |it| it.sh_size = 1 << 20),
            MALFORMED,
        ),
        (
            "nameless",
            |bytes| patch_section(bytes, ".comment", |it| it.sh_name = 1 << 20),
            MALFORMED,
        ),
        (
            "bad link",
            |bytes| patch_section(bytes, ".text", |it| it.sh_link = 99),
            MALFORMED,
        ),
        (
            "bad info",
            |bytes| patch_section(bytes, ".rela.plt", |it| it.sh_info = 99),
            MALFORMED,
        ),
        ("payload", |bytes| bytes.extend_from_slice(b"PK\x03\x04"), UNSUPPORTED),
        (
            "stripped entirely",
            |bytes| patch_header(bytes, |header| (header.e_shoff, header.e_shnum) = (0, 0)),
            Reason::NothingToRemove,
        ),
    ];
    for kind in KINDS {
        for (name, change, expected) in cases {
            let mut bytes = Image::new(kind, usual_parts()).build();
            change(&mut bytes);
            let reason = strip(&bytes).expect_err(name);
            let same = std::mem::discriminant(&reason) == std::mem::discriminant(expected);
            assert!(same, "{name}: {reason}");
        }
        let mut padded = Image::new(kind, usual_parts()).build();
        padded.resize(padded.len() + 100, 0);
        assert_eq!(stripped(&padded).zeroed, 0);
    }
}

#[test]
fn refuses_to_touch_what_the_patched_fields_overlap() {
    // A section, or a segment that is not PT_LOAD, that has the ELF header as its contents.
    for kind in KINDS {
        let mut bytes = Image::new(kind, usual_parts()).build();
        patch_section(&mut bytes, ".data", |section| section.sh_offset = 0);
        assert!(matches!(strip(&bytes), Err(Reason::Verification(VerifyError::Lost(5)))));

        let mut image = Image::new(kind, usual_parts());
        image.parts.push(loaded(".appended"));
        let mut bytes = image.build();
        patch_segment(&mut bytes, 1, |segment| {
            (segment.p_type, segment.p_offset) = (program_header::PT_NOTE, 0);
        });
        assert_eq!(strip(&bytes), Err(Reason::Verification(VerifyError::Segment(1))));
    }
}

#[test]
fn a_change_of_any_loaded_byte_is_noticed() {
    for kind in KINDS {
        let before = Image::new(kind, usual_parts()).build();
        let after = stripped(&before).bytes;
        let image_end = image_end(&before);
        let mut unnoticed = BTreeSet::new();
        for at in 0..after.len() {
            let mut tampered = after.clone();
            tampered[at] ^= 0x41;
            if verify(&before, &tampered).is_ok() {
                unnoticed.insert(at);
            }
        }
        // Behind the image, those are the padding, the first (empty) header, and that of the names.
        assert!(unnoticed.iter().all(|at| *at >= image_end), "{unnoticed:?}");
        assert!(unnoticed.len() < 200, "{unnoticed:?}");
        let mut lost = after.clone();
        patch_section(&mut lost, ".bss", |section| section.sh_type = SHT_NULL);
        assert!(matches!(verify(&before, &lost), Err(VerifyError::Lost(6))));
        let mut lost = Image::new(kind, usual_parts()[..5].to_vec()).build();
        let before_last = lost.clone();
        patch_section(&mut lost, ".data", |section| section.sh_type = SHT_NULL);
        assert_eq!(verify(&before_last, &lost), Err(VerifyError::Lost(5)));
        for at in 0..after.len() {
            let _ = verify(&before, &after[..at]);
            let _ = verify(&before[..at.min(before.len())], &after);
        }
        assert!(verify(&before, &before).is_ok());
    }
}

#[test]
fn hostile_tables_take_no_time() {
    let begin = Instant::now();
    for kind in KINDS {
        // 60,000 sections that all claim the same megabyte, then under one endless name each.
        let mut big = unloaded("big");
        big.contents = vec![b'x'; 1 << 20];
        let symbols = part(".symtab", elf::SHT_SYMTAB, UNLOADED);
        let mut image = Image::new(kind, vec![loaded(".text"), big, symbols]);
        let base = image.build();
        for (removed, named) in [(false, false), (true, false), (false, true), (true, true)] {
            let object = Object::parse(&base).unwrap();
            let mut bytes = base.clone();
            bytes[object.section_table.clone()].fill(0);
            let mut sections = object.sections.clone();
            let mut filler = sections[if removed { 3 } else { 2 }].clone();
            (filler.sh_offset, filler.sh_size) = (sections[2].sh_offset, sections[2].sh_size);
            sections.extend(std::iter::repeat_n(filler, 60_000));
            if named {
                // The names are the megabyte.
                bytes[object.contents(&sections[4]).unwrap()].fill(0);
                let (offset, size) = (sections[2].sh_offset, sections[2].sh_size);
                bytes[usize::try_from(offset + size).unwrap() - 1] = 0;
                (sections[4].sh_offset, sections[4].sh_size) = (offset, size);
                for section in &mut sections {
                    section.sh_name = 1;
                }
            }
            let mut at = bytes.len();
            let (context, offset) = (object.context, at as u64);
            bytes.resize(at + sections.len() * SectionHeader::size(context), 0);
            let count = u16::try_from(sections.len()).unwrap();
            for section in sections {
                bytes.gwrite_with(section, &mut at, context).unwrap();
            }
            patch_header(&mut bytes, |header| {
                (header.e_shoff, header.e_shnum) = (offset, count);
            });
            let expected = match (removed, named) {
                (false, false) => Err(Reason::NothingToRemove),
                (false, true) => Err(malformed("section names longer than the file")),
                (true, _) => Ok(()),
            };
            assert_eq!(strip(&bytes).map(drop), expected);
            assert_eq!(verify(&bytes, &bytes), Err(VerifyError::Overlap));
        }
        // Alignments beyond reason do not blow the file up.
        image.parts[1].contents.truncate(100);
        image.parts[1].align = 1 << 31;
        image.parts[2].contents.resize(10_000, 1);
        assert!(stripped(&image.build()).bytes.len() < 8192);
    }
    assert!(begin.elapsed() < Duration::from_mins(1), "{:?}", begin.elapsed());
}

// ---- properties ------------------------------------------------------------------------------------

fn ranges() -> impl Strategy<Value = Vec<Range<usize>>> {
    prop::collection::vec(
        (0_usize..60, 0_usize..20).prop_map(|(start, size)| start..start + size),
        0..8,
    )
}

fn set(ranges: &[Range<usize>]) -> BTreeSet<usize> {
    ranges.iter().cloned().flatten().collect()
}

/// Images to damage, the compiled ones among them if there is a compiler.
fn samples() -> &'static [Vec<u8>] {
    static SAMPLES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    SAMPLES.get_or_init(|| {
        let mut between = Image::new(KINDS[0], usual_parts());
        between.parts.push(loaded(".appended"));
        let mut samples: Vec<_> = KINDS
            .iter()
            .map(|kind| Image::new(*kind, usual_parts()).build())
            .collect();
        samples.push(between.build());
        if let Some(workshop) = Workshop::new() {
            samples.extend(workshop.compile(LIBRARY, &["-g", "-shared", "-fPIC", "-nostdlib"]));
            samples.extend(workshop.compile(PROGRAM, &["-g"]));
        }
        samples
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn ranges_are_sets(left in ranges(), right in ranges()) {
        let (all, holes) = (union(left.clone()), union(right.clone()));
        prop_assert_eq!(set(&all), set(&left));
        prop_assert!(all.windows(2).all(|pair| pair[0].end < pair[1].start));
        let rest = difference(&all, &holes);
        prop_assert!(rest.windows(2).all(|pair| pair[0].end <= pair[1].start));
        prop_assert!(rest.iter().all(|range| !range.is_empty()));
        prop_assert_eq!(set(&rest), &set(&left) - &set(&right));
    }

    #[test]
    fn damage_does_no_harm(
        sample in any::<prop::sample::Index>(),
        changes in prop::collection::vec((0..3_u8, any::<prop::sample::Index>(), value()), 1..5),
        length in prop::option::weighted(0.1, any::<prop::sample::Index>()),
    ) {
        let sample = sample.get(samples());
        let object = Object::parse(sample).unwrap();
        let mut bytes = sample.clone();
        for (place, at, value) in changes {
            // Nearly every byte that matters is in one of the three tables.
            let range = match place {
                0 => 0..Header::size(object.context),
                1 => object.segment_table.clone(),
                _ => object.section_table.clone(),
            };
            let at = range.start + at.index(range.len());
            let end = bytes.len().min(at + value.len());
            let fits = end - at;
            bytes[at..end].copy_from_slice(&value[..fits]);
        }
        if let Some(length) = length {
            bytes.truncate(length.index(bytes.len() + 1));
        }
        if let Ok(stripped) = strip(&bytes) {
            prop_assert_eq!(verify(&bytes, &stripped.bytes), Ok(()));
            prop_assert!(stripped.bytes.len() < bytes.len() + stripped.zeroed);
            prop_assert_eq!(strip(&stripped.bytes), Err(Reason::NothingToRemove));
        }
        let _ = verify(sample, &bytes);
        let _ = verify(&bytes, sample);
    }
}

/// Bytes that are likely to be taken for a number at or beyond some limit.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<u8>().prop_map(|byte| vec![byte]),
        any::<u16>().prop_map(|number| number.to_le_bytes().to_vec()),
        (0_u32..0x4000).prop_map(|number| number.to_le_bytes().to_vec()),
        Just(vec![0xff; 8]),
        Just(vec![0; 8]),
        Just((u64::MAX - 0x1000).to_le_bytes().to_vec()),
        Just((1_u64 << 31).to_be_bytes().to_vec()),
    ]
}

// ---- compiled programs -----------------------------------------------------------------------------

const PROGRAM: &str = r#"
#include <stdio.h>
#include <stdlib.h>
static int numbers[1000];
static const char *words[] = {"one", "two", "three"};
__thread int per_thread = 7;
int main(int argc, char **argv) {
    for (int i = 0; i < 1000; i++) numbers[i] += i;
    char *copy = malloc(100);
    snprintf(copy, 100, "%s %d %d", words[argc], numbers[999], per_thread);
    puts(copy);
    return 3;
}
"#;

const LIBRARY: &str = r"
static int state[500];
int counter(void) { return 41 + ++state[7]; }
";

/// Loads a library with dlopen and calls it.
const LOADER: &str = r#"
#include <dlfcn.h>
#include <stdio.h>
int main(int argc, char **argv) {
    void *library = dlopen(argv[1], RTLD_NOW);
    if (!library) { puts(dlerror()); return 1; }
    int (*counter)(void) = (int (*)(void)) dlsym(library, "counter");
    printf("%d\n", counter());
    return 0;
}
"#;

/// Sections that the compiler makes only if asked.
const SECTIONS: &str = r#"
__asm__(".pushsection .note.dlopen,\"a\",@note\n"
        ".balign 4\n.long 4,4,0x407c0c0a\n.asciz \"FDO\"\n.long 1\n.popsection\n"
        ".pushsection .note.unloaded,\"\",@note\n"
        ".balign 4\n.long 4,4,1\n.asciz \"FDO\"\n.long 2\n.popsection\n");
"#;

struct Workshop {
    directory: tempfile::TempDir,
}

impl Workshop {
    /// None where there is no C compiler.
    fn new() -> Option<Self> {
        let works = Command::new("cc")
            .arg("--version")
            .output()
            .is_ok_and(|it| it.status.success());
        works.then(|| Self {
            directory: tempfile::tempdir().unwrap(),
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// None if the compiler or the C library lacks an option, such as static linking.
    fn compile(&self, source: &str, options: &[&str]) -> Option<Vec<u8>> {
        fs_err::write(self.path("source.c"), source).unwrap();
        let mut command = Command::new("cc");
        command
            .arg("source.c")
            .args(options)
            .args(["-o", "built"])
            .current_dir(self.directory.path());
        let built = command.output().unwrap().status.success();
        built.then(|| fs_err::read(self.path("built")).unwrap())
    }

    /// Runs a tool on a copy of the file and returns what it made of it.
    fn rewrite(&self, bytes: &[u8], tool: &str, arguments: &[&str]) -> Option<Vec<u8>> {
        self.write("rewritten", bytes);
        let mut command = Command::new(tool);
        command
            .args(arguments)
            .arg("rewritten")
            .current_dir(self.directory.path());
        let done = command.output().is_ok_and(|output| output.status.success());
        done.then(|| fs_err::read(self.path("rewritten")).unwrap())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(name);
        fs_err::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    }

    /// Output and exit status of a program.
    fn run(&self, name: &str, program: &[u8], argument: &Path) -> (String, Option<i32>) {
        let path = self.write(name, program);
        // Another test may be forking while the file is open for writing.
        let output = loop {
            match Command::new(&path).arg(argument).output() {
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {}
                output => break output.unwrap(),
            }
        };
        (String::from_utf8(output.stdout).unwrap(), output.status.code())
    }
}

#[test]
fn stripped_programs_run() {
    let Some(workshop) = Workshop::new() else {
        return;
    };
    let variants: [&[&str]; 10] = [
        &["-g"],
        &["-g", "-no-pie"],
        &["-g", "-static"],
        &["-g", "-static-pie"],
        &["-g", "-gz", "-Wl,--build-id"],
        &["-g", "-Wl,-z,pack-relative-relocs"],
        &["-g", "-Wl,--emit-relocs"],
        &["-g", "-Wl,-z,noseparate-code", "-Wl,-z,norelro"],
        &["-g", "-flto", "-ffat-lto-objects", "-Wl,-z,max-page-size=0x200000"],
        &["-g", "-m32"],
    ];
    for options in variants {
        let Some(before) = workshop.compile(PROGRAM, options) else {
            continue;
        };
        let after = stripped(&before).bytes;
        let expected = ("three 999 7\n".to_owned(), Some(3));
        assert_eq!(
            workshop.run("before", &before, Path::new("argument")),
            expected,
            "{options:?}"
        );
        assert_eq!(
            workshop.run("after", &after, Path::new("argument")),
            expected,
            "{options:?}"
        );
        let (object, end) = (Object::parse(&after).unwrap(), image_end(&before));
        assert!(object.section_table.start >= end, "{options:?}");
        let left = names(&after);
        assert!(
            !left.iter().any(|name| name.starts_with(".debug") || name == ".symtab"),
            "{left:?}"
        );
        let of = |bytes: &[u8]| {
            object::File::parse(bytes)
                .unwrap()
                .build_id()
                .unwrap()
                .map(<[u8]>::to_vec)
        };
        assert_eq!(of(&before), of(&after));
        let has_relr = |names: &[String]| names.iter().any(|name| name == ".relr.dyn");
        assert_eq!(has_relr(&names(&before)), has_relr(&left));
    }
}

#[test]
fn stripped_libraries_load() {
    let Some(workshop) = Workshop::new() else {
        return;
    };
    let Some(loader) = workshop.compile(LOADER, &["-ldl"]) else {
        return;
    };
    let Some(library) = workshop.compile(LIBRARY, &["-g", "-shared", "-fPIC"]) else {
        return;
    };
    let call = |bytes: &[u8]| {
        let library = workshop.write("library.so", bytes);
        workshop.run("loader", &loader, &library)
    };
    let works = ("42\n".to_owned(), Some(0));
    assert_eq!(call(&library), works);
    assert_eq!(call(&stripped(&library).bytes), works);

    // patchelf appends segments behind the debug information, and can still do so afterwards.
    let long = "/a/very/long/path".repeat(300);
    if let Some(patched) = workshop.rewrite(&library, "patchelf", &["--set-rpath", &long]) {
        assert_eq!(call(&patched), works);
        let after = stripped(&patched);
        assert!(
            after.zeroed > 1000 && after.bytes.len() <= patched.len(),
            "{}",
            after.zeroed
        );
        assert_eq!(call(&after.bytes), works);
        let again = workshop
            .rewrite(&after.bytes, "patchelf", &["--set-soname", &long])
            .unwrap();
        assert_eq!(call(&again), works);
        if let Ok(stripped) = strip(&again) {
            assert_eq!(call(&stripped.bytes), works);
        }
    }
    let before = stripped(&library).bytes;
    if let Some(patched) = workshop.rewrite(&before, "patchelf", &["--set-rpath", &long]) {
        assert_eq!(call(&patched), works);
    }
}

#[test]
fn added_sections_stay() {
    let Some(workshop) = Workshop::new() else {
        return;
    };
    let source = format!("{SECTIONS}{LIBRARY}");
    let Some(library) = workshop.compile(&source, &["-g", "-shared", "-fPIC", "-Wl,--build-id"]) else {
        return;
    };
    workshop.write("payload", &[b'p'; 5000]);
    let debug = workshop.rewrite(&library, "objcopy", &["--only-keep-debug"]);
    workshop.write("debug", debug.as_deref().unwrap_or(b"debug"));
    let arguments = ["--add-gnu-debuglink=debug", "--add-section", "pydata=payload"];
    let Some(library) = workshop.rewrite(&library, "objcopy", &arguments) else {
        return;
    };
    let after = stripped(&library).bytes;
    for name in [
        ".note.dlopen",
        ".note.unloaded",
        ".note.gnu.build-id",
        ".gnu_debuglink",
        "pydata",
    ] {
        assert_eq!(contents(&library, name), contents(&after, name), "{name}");
    }
    let link = |bytes: &[u8]| {
        let link = object::File::parse(bytes).unwrap().gnu_debuglink().unwrap();
        link.map(|(name, sum)| (name.to_vec(), sum))
    };
    assert!(link(&after).is_some());
    assert_eq!(link(&library), link(&after));
    let reason = strip(&debug.unwrap()).unwrap_err();
    assert!(matches!(reason, Reason::Unsupported { .. }), "{reason}");
}

#[test]
fn relocatable_objects_and_archives_stay() {
    let Some(workshop) = Workshop::new() else {
        return;
    };
    if let Some(object) = workshop.compile(LIBRARY, &["-g", "-c"]) {
        assert_eq!(strip(&object), Err(Reason::Relocatable));
    }
    assert_eq!(strip(b"!<arch>\n"), Err(Reason::NotElf));
}
