//! What a file is, as far as the rest of the program asks: an ELF object, a script, a text that is read, or data.

use crate::elf::{self, Object, Source};
use crate::r::lazyload;

/// Texts longer than this are not kept: no start script or package description comes near it.
pub const TEXT_LIMIT: usize = 1 << 20;

/// How many leading bytes tell whether a whole file has to be read; see [`is_wanted`].
pub const HEAD: usize = 4;

/// Files whose text is kept whatever they begin with, because a decision depends on it:
/// `ldpaths` and `Renviron` hold R's environment (R Installation and Administration, section 2.8 and 8),
/// `DESCRIPTION` the packages that an R package needs (Writing R Extensions, section 1.1.1), `NAMESPACE` its libraries.
/// The database of package base holds the path of `which`, and R's system profile, `Rprofile`, may hold the way round it;
/// see [`lazyload`] and [`crate::r::which`].
const WANTED_NAMES: [&str; 7] = [
    "ldpaths",
    "Renviron",
    "DESCRIPTION",
    "NAMESPACE",
    "bootstrap",
    "Rprofile",
    lazyload::BASE_DATABASE,
];

/// The content of a regular file, reduced to what is asked of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// An ELF executable or shared library.
    Object(Box<Object>),
    /// A file that begins as ELF does and cannot be read as an executable or a shared library; with the reason.
    BrokenObject(String),
    /// A text that is read: a script (it begins with `#!`) or one of the files known by name.
    Text(String),
    /// The functions of R's package base, with the path of `which` that they call, if they call one.
    RBase(Option<String>),
    /// Anything else.
    Data,
}

impl Content {
    /// The ELF object, if it is one.
    pub fn object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The text, if it is one that is kept.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Whether [`inspect`] needs the whole file, judged by its name and its first [`HEAD`] bytes.
pub fn is_wanted(file_name: &str, head: &[u8]) -> bool {
    head.starts_with(elf::MAGIC) || head.starts_with(b"#!") || WANTED_NAMES.contains(&file_name)
}

/// What a file is, by its name and all its bytes.
pub fn inspect(file_name: &str, bytes: &[u8]) -> Content {
    if !is_wanted(file_name, bytes) {
        return Content::Data;
    }
    if bytes.starts_with(elf::MAGIC) {
        return inspect_object(bytes);
    }
    if file_name == lazyload::BASE_DATABASE {
        return Content::RBase(lazyload::which_command(bytes));
    }
    if bytes.len() > TEXT_LIMIT {
        return Content::Data;
    }
    // A stray Latin-1 byte in a comment must not hide a script from every check.
    Content::Text(String::from_utf8_lossy(bytes).into_owned())
}

/// What a file is that begins as ELF does. Of a file on disk no more is read than the loader reads.
pub fn inspect_object(source: &(impl Source + ?Sized)) -> Content {
    match elf::parse(&source) {
        Ok(Some(object)) => Content::Object(Box::new(object)),
        Ok(None) => Content::Data,
        Err(error) => Content::BrokenObject(error.to_string()),
    }
}
