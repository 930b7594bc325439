//! The names of libraries in an object that calls dlopen(3): it may open them.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use goblin::elf::program_header::PT_LOAD;
use goblin::elf::section_header::{SHF_ALLOC, SHF_EXECINSTR, SHT_PROGBITS};
use goblin::elf::{Header, SectionHeader};
use scroll::Pread;

use super::image::Image;
use super::symbols::Symbols;

/// The functions that open libraries (dlopen(3)).
const OPENERS: [&str; 2] = ["dlopen", "dlmopen"];
/// Names are shorter (limits.h(0p), NAME_MAX), in bytes.
const LONGEST_NAME: usize = 255;
/// No program that people write names more.
const MOST_NAMES: usize = 64;

/// The strings of an object that are names of libraries as a whole, such as `libidn2.so.0`, but for those that the loader has
/// read of it; empty if it takes no function from others that opens libraries.
pub(super) fn opened(image: &Image<'_>, header: &Header, symbols: &Symbols, read: &BTreeSet<&str>) -> BTreeSet<String> {
    let mut undefined = symbols.undefined.iter();
    if !undefined.any(|symbol| OPENERS.contains(&&*symbol.name)) {
        return BTreeSet::new();
    }
    let mut names = BTreeSet::new();
    for (offset, length) in data(image, header) {
        // What is left of the piece before, for a name that goes over the end of one.
        let mut held: Vec<u8> = vec![0];
        // What the source lacks for now is asked for all the same, so that it can get all of it at once.
        let _ = image.source.visit(offset, length, &mut |piece| {
            held.extend_from_slice(piece);
            names.extend(names_in(&held).into_iter().map(ToOwned::to_owned));
            let last = memchr::memrchr(0, &held).unwrap_or(0);
            held.drain(..last.max(held.len().saturating_sub(LONGEST_NAME)));
            if names.len() > MOST_NAMES {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
    }
    names.retain(|name| !read.contains(name.as_str()));
    names
}

/// Where an object has its data, as offsets and lengths in the file: the sections that say so or, if it has no section table
/// that makes sense, all that is loaded. Of a large library that is a small part: the rest is code. Nowhere, if the source lacks
/// the table for now.
fn data(image: &Image<'_>, header: &Header) -> Vec<(u64, u64)> {
    let Some(table) = section_table(image, header) else {
        return Vec::new();
    };
    let starts = (0..table.len()).step_by(SectionHeader::size(image.context));
    // Not SectionHeader::parse, which takes a table at offset 0 for none.
    let sections: Vec<SectionHeader> = starts
        .filter_map(|start| table.pread_with(start, image.context).ok())
        .collect();
    let is_data = |section: &&SectionHeader| {
        section.sh_type == SHT_PROGBITS
            && section.sh_flags & u64::from(SHF_ALLOC) != 0
            && section.sh_flags & u64::from(SHF_EXECINSTR) == 0
    };
    let data: Vec<(u64, u64)> = sections
        .iter()
        .filter(is_data)
        .map(|section| (section.sh_offset, section.sh_size))
        .collect();
    // A table that names one place again and again is not a linker's.
    let length = data.iter().fold(0, |sum: u64, (_, length)| sum.saturating_add(*length));
    if !data.is_empty() && length <= image.source.length() {
        return data;
    }
    let loaded = image.segments.iter().filter(|segment| segment.p_type == PT_LOAD);
    loaded.map(|segment| (segment.p_offset, segment.p_filesz)).collect()
}

/// The section table, empty where the object has none; `None` if it is in the file, and the source does not have it.
fn section_table(image: &Image<'_>, header: &Header) -> Option<Vec<u8>> {
    let length = SectionHeader::size(image.context) * usize::from(header.e_shnum);
    let end = header.e_shoff.checked_add(length as u64);
    if end.is_none_or(|end| end > image.source.length()) {
        return Some(Vec::new());
    }
    image.source.read(header.e_shoff, length)
}

/// The texts that are the whole name of a library, such as `libsoftokn3.so`.
pub fn names_in(bytes: &[u8]) -> BTreeSet<&str> {
    let starts = memchr::memmem::find_iter(bytes, b"\0lib");
    starts
        .filter_map(|at| {
            let rest = &bytes[at + 1..bytes.len().min(at + LONGEST_NAME)];
            let name = std::str::from_utf8(&rest[..memchr::memchr(0, rest)?]).ok()?;
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
            let (_, version) = name.split_once(".so")?;
            let is_name = name.chars().all(is_plain) && (version.is_empty() || version.starts_with('.'));
            is_name.then_some(name)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_names_of_libraries_are_found() {
        let bytes = b"\0libsoftokn3.so\0x libno.so\0libx.so.1.2\0libsource.c\0lib/y.so\0libz.sorry\0";
        assert_eq!(names_in(bytes), BTreeSet::from(["libsoftokn3.so", "libx.so.1.2"]));
    }
}
