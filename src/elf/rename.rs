//! Lets objects ask for libraries by other names, and gives a library another one, without moving a byte.
//!
//! The other name of a library is an end of its own: `ibstdc++.so.6` for `libstdc++.so.6`. A string table that has the one
//! has the other as well, so that no string is written, whatever else shares it; only the offsets of names change:
//!
//! ```text
//! .dynamic        DT_NEEDED, DT_FILTER, DT_AUXILIARY: the libraries that are asked for; DT_SONAME: the object's own name
//! .gnu.version_r  vn_file: the library of which versions are asked
//! ```
//!
//! The loader finds the library of `vn_file` by the names that it was asked for by (glibc, elf/dl-version.c, `find_needed`),
//! so both change together. The base definition in `.gnu.version_d` keeps the old name: nobody asks for it.

use std::collections::BTreeMap;

use object::elf;

use super::image::ElfError;
use super::tables::{NameUse, library_names};
use super::view::{VerifyError, View, only_these_differ};

/// Why the names of an object stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenameError {
    /// It is not laid out as linkers do it.
    #[error(transparent)]
    Object(#[from] ElfError),
    /// It has none of the names.
    #[error("it has none of these names")]
    Nothing,
    /// A new name is not a suffix of the old one.
    #[error("{0} is not a suffix of the name it replaces")]
    NotAnEnd(String),
    /// The result differs from the file in more than it may, and was thrown away.
    #[error("the change could not be verified: {0}")]
    Verification(#[from] VerifyError),
}

/// The longest end of a library's name that is not the name of something else; `None` if every one is.
pub fn private_name(name: &str, is_taken: impl Fn(&str) -> bool) -> Option<&str> {
    let ends = name.char_indices().skip(1).filter_map(|(at, _)| name.get(at..));
    // What is left of a name must be one: with a dot in it, and no hidden file.
    let mut ends = ends.take_while(|end| end.find('.').is_some_and(|dot| dot > 0));
    ends.find(|end| !is_taken(end))
}

/// What libraries are called in an object.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    /// For each library that it asks for by another name than before, that name.
    pub asked: &'a BTreeMap<String, String>,
    /// Its own new name, if it gets one.
    pub own: Option<&'a str>,
}

impl Names<'_> {
    /// The new name in place of another one.
    fn new_name(&self, usage: NameUse, name: &str) -> Option<&str> {
        match usage {
            NameUse::Asked => self.asked.get(name).map(String::as_str),
            NameUse::Own => self.own,
        }
    }
}

/// The bytes of an object with other names of libraries, as long as before, verified by another parser.
///
/// # Errors
///
/// Why the object stays as it is. The bytes are not trusted: no input makes it panic or change what is not to be changed.
pub fn rename_libraries(bytes: &[u8], names: Names<'_>) -> Result<Vec<u8>, RenameError> {
    let mut renamed = bytes.to_vec();
    let mut is_changed = false;
    for name in library_names(bytes)? {
        let Some(new_name) = names.new_name(name.usage, name.text) else {
            continue;
        };
        let Some(before) = name.text.strip_suffix(new_name) else {
            return Err(RenameError::NotAnEnd(new_name.to_owned()));
        };
        let offset = (name.offset + before.len()) as u64;
        let field = renamed.get_mut(name.at..name.at + name.width).unwrap_or_default();
        for (byte, new) in field.iter_mut().zip(offset.to_le_bytes()) {
            *byte = new;
        }
        is_changed = true;
    }
    if !is_changed {
        return Err(RenameError::Nothing);
    }
    verify(bytes, &renamed, names)?;
    Ok(renamed)
}

/// Checks that a copy has other names where it is to have them, and differs in nothing else.
fn verify(before: &[u8], after: &[u8], names: Names<'_>) -> Result<(), VerifyError> {
    let (old, new) = (View::read(before)?, View::read(after)?);
    let (old_names, new_names) = (old.references()?, new.references()?);
    if old_names.len() != new_names.len() {
        return Err(VerifyError::Dynamic);
    }
    let new_library = |library: &[u8]| {
        let name = std::str::from_utf8(library).ok()?;
        names.new_name(NameUse::Asked, name)
    };
    let mut places = Vec::new();
    for (old, new) in old_names.iter().zip(&new_names) {
        let name = match old.tag {
            None | Some(elf::DT_NEEDED | elf::DT_FILTER | elf::DT_AUXILIARY) => new_library(old.text),
            Some(elf::DT_SONAME) => names.own,
            Some(_) => None,
        };
        if new.text != name.map_or(old.text, str::as_bytes) || old.tag != new.tag {
            return Err(VerifyError::Dynamic);
        }
        places.extend(name.map(|_| old.field.clone()));
    }
    only_these_differ(before, after, places)?;
    let renamed = |library| new_library(library).map_or(library, str::as_bytes);
    let (old_needs, new_needs) = (old.needed_versions()?, new.needed_versions()?);
    for (index, (library, version, hash)) in &old_needs {
        if new_needs.get(index) != Some(&(renamed(library), *version, *hash)) {
            return Err(VerifyError::Version(*index));
        }
    }
    for number in 1..old.symbol_count() {
        let index = object::SymbolIndex(number);
        let version = old
            .version(index)?
            .map(|(library, version)| (renamed(library), version));
        if old.name(index)? != new.name(index)? || version != new.version(index)? {
            return Err(VerifyError::Symbol(number));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
