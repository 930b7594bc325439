//! Gives libraries other names in the objects that need them, without moving a byte.

use std::collections::BTreeSet;

use goblin::container::Ctx;
use goblin::elf::program_header::{PT_DYNAMIC, PT_LOAD};
use goblin::elf::{Dynamic, Elf, ProgramHeader, dynamic};

use super::image::ElfError;
use super::object::{Object, parse};

/// The name that a library gets: as long as its own, and one that nothing else has.
pub fn hidden_name(name: &str) -> String {
    let mut hidden = String::from("~");
    hidden.extend(name.chars().skip(1));
    hidden
}

/// Changes the names of libraries, wherever an object asks for them and where it bears one itself, to their [`hidden_name`].
///
/// Only the first byte of each name is written over: names of the dynamic section may share their ends, never their
/// beginnings. The result is read again, and has to be what it was but for these names.
pub fn hide_libraries(bytes: &[u8], names: &BTreeSet<String>) -> Result<Vec<u8>, ElfError> {
    let failed = |what: &str| ElfError(what.to_owned());
    let before = parse(&bytes)?.ok_or_else(|| failed("it is not a program or library"))?;
    let strings = Strings::find(bytes)?;
    let mut renamed = bytes.to_vec();
    for at in strings.names {
        let offset = strings
            .offset
            .checked_add(at)
            .filter(|offset| *offset > 0)
            .ok_or_else(|| failed("a name is outside its string table"))?;
        let text = bytes.get(offset..).unwrap_or_default();
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        let Ok(name) = std::str::from_utf8(&text[..end]) else {
            continue;
        };
        if !names.contains(name) {
            continue;
        }
        if !name.starts_with(|first: char| first.is_ascii()) || bytes[offset - 1] != 0 {
            return Err(failed("a library's name is the end of another name"));
        }
        renamed[offset] = b'~';
    }
    let after = parse(&renamed.as_slice())?.ok_or_else(|| failed("it is not a program or library"))?;
    if after == expected(before, names) {
        Ok(renamed)
    } else {
        Err(failed("it cannot be told where a library's name is used"))
    }
}

/// The object as it is to be.
fn expected(mut object: Object, names: &BTreeSet<String>) -> Object {
    let hide = |name: &mut String| {
        if names.contains(name.as_str()) {
            *name = hidden_name(name);
        }
    };
    object.needed.iter_mut().for_each(hide);
    object.soname.iter_mut().for_each(hide);
    for need in &mut object.version_needs {
        hide(&mut need.library);
    }
    object
}

/// Where the dynamic strings begin in the file, and where in them the names of libraries do.
struct Strings {
    offset: usize,
    names: Vec<usize>,
}

impl Strings {
    fn find(bytes: &[u8]) -> Result<Self, ElfError> {
        let broken = |error: goblin::error::Error| ElfError(error.to_string());
        let outside = || ElfError("it is cut off".to_owned());
        let header = Elf::parse_header(bytes).map_err(broken)?;
        let context = Ctx::new(
            header.container().map_err(broken)?,
            header.endianness().map_err(broken)?,
        );
        let start = usize::try_from(header.e_phoff).map_err(|_| outside())?;
        let segments = ProgramHeader::parse(bytes, start, usize::from(header.e_phnum), context).map_err(broken)?;
        let section = segments.iter().filter(|segment| segment.p_type == PT_DYNAMIC);
        let Some(dynamic) = Dynamic::parse(bytes, &section.cloned().collect::<Vec<_>>(), context).map_err(broken)?
        else {
            return Ok(Self {
                offset: 0,
                names: Vec::new(),
            });
        };
        let value = |tag| {
            dynamic
                .dyns
                .iter()
                .find(|entry| entry.d_tag == tag)
                .map(|entry| entry.d_val)
        };
        let address = value(dynamic::DT_STRTAB).ok_or_else(outside)?;
        let offset = segments
            .iter()
            .filter(|segment| segment.p_type == PT_LOAD)
            .find_map(|segment| {
                let within = address.checked_sub(segment.p_vaddr)?;
                (within < segment.p_filesz).then(|| segment.p_offset.checked_add(within))?
            })
            .and_then(|offset| usize::try_from(offset).ok())
            .ok_or_else(outside)?;
        let names = dynamic
            .dyns
            .iter()
            .filter(|entry| entry.d_tag == dynamic::DT_NEEDED || entry.d_tag == dynamic::DT_SONAME)
            .filter_map(|entry| usize::try_from(entry.d_val).ok())
            .collect();
        Ok(Self { offset, names })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn testdata(path: &str) -> Vec<u8> {
        fs_err::read(
            std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("testdata")
                .join(path),
        )
        .unwrap()
    }

    #[test]
    fn names_change_where_they_are_asked_for_and_borne() {
        let bytes = testdata("host/libfar.so.1.0");
        let object = parse(&bytes.as_slice()).unwrap().unwrap();
        assert_eq!(object.soname.as_deref(), Some("libfar.so.1"));
        assert!(object.needed.contains(&"libfarther.so.1".to_owned()), "{object:?}");
        let names = BTreeSet::from(["libfar.so.1".to_owned(), "libfarther.so.1".to_owned()]);
        let hidden = hide_libraries(&bytes, &names).unwrap();
        assert_eq!(hidden.len(), bytes.len());
        let object = parse(&hidden.as_slice()).unwrap().unwrap();
        assert_eq!(object.soname.as_deref(), Some("~ibfar.so.1"));
        assert!(object.needed.contains(&"~ibfarther.so.1".to_owned()), "{object:?}");
        assert!(object.needed.contains(&"libc.so.6".to_owned()), "{object:?}");
        let differing = bytes.iter().zip(&hidden).filter(|(before, after)| before != after);
        assert_eq!(differing.count(), 2);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let names = BTreeSet::from(["libc.so.6".to_owned()]);
        assert!(hide_libraries(b"#!/bin/sh\n", &names).is_err());
        let bytes = testdata("host/libfar.so.1.0");
        for length in 0..bytes.len() {
            let _ = hide_libraries(&bytes[..length], &names);
        }
    }
}
