//! What a file is, as far as the rest of the program asks: an ELF object, a script, a text that is read, or data.

use crate::elf::{self, Object, Source};
use crate::languages::r::{lazyload, rscript};

/// How much of a text known by name is read: no start script or package description comes near it.
pub const TEXT_LIMIT: usize = 1 << 20;

/// How much of any other script is read: its first line counts, and no start script is longer.
const SCRIPT_LIMIT: usize = 64 << 10;

/// The database of package base has less than a fifth of this.
const DATABASE_LIMIT: usize = 8 << 20;

/// How many leading bytes tell how much of a file has to be read; see [`wanted`].
pub const HEAD: usize = 4;

/// Before and after the kind of key, as in `-----BEGIN RSA PRIVATE KEY-----` (RFC 7468, section 10 and 11).
const PEM_BEGIN: &[u8] = b"-----BEGIN ";
const PEM_PRIVATE: &[u8] = b"PRIVATE KEY-----";

/// Files whose text is kept whatever they begin with, because a decision depends on it:
/// `ldpaths` and `Renviron` hold R's environment (R Installation and Administration, section 2.8 and 8),
/// `DESCRIPTION` the packages that an R package needs (Writing R Extensions, section 1.1.1), `NAMESPACE` its libraries.
/// The database of package base holds the path of `which`, and R's system profile, `Rprofile`, may hold the way round it;
/// see [`lazyload`] and [`crate::languages::r::which`]. Start scripts are read whole. `RECORD` lists the files of a Python
/// distribution.
const WANTED_NAMES: [&str; 9] = [
    "ldpaths",
    "Renviron",
    "DESCRIPTION",
    "NAMESPACE",
    "bootstrap",
    "R",
    "RECORD",
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
    /// R's program for scripts, with the folder of R that is compiled into it, if one is.
    Rscript(Box<Object>, Option<String>),
    /// The memory of a process that crashed.
    CoreDump,
    /// A private key, alone or among certificates.
    PrivateKey,
    /// Anything else.
    Data,
}

impl Content {
    /// The ELF object, if it is one.
    pub fn object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) | Self::Rscript(object, _) => Some(object),
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

/// How much of the beginning of a file [`inspect`] needs, judged by its name and its first [`HEAD`] bytes; `None` for all of
/// it, as far as an ELF object is read.
pub fn wanted(file_name: &str, head: &[u8]) -> Option<usize> {
    if head.starts_with(elf::MAGIC) {
        None
    } else if file_name == lazyload::BASE_DATABASE {
        Some(DATABASE_LIMIT)
    } else if WANTED_NAMES.contains(&file_name) || may_hold_key(file_name, head) {
        Some(TEXT_LIMIT)
    } else if head.starts_with(b"#!") {
        Some(SCRIPT_LIMIT)
    } else {
        Some(HEAD)
    }
}

/// What a file is, by its name and its bytes, of which no more are needed than [`wanted`] says.
pub fn inspect(file_name: &str, bytes: &[u8]) -> Content {
    let Some(limit) = wanted(file_name, bytes) else {
        return inspect_object(file_name, bytes);
    };
    let bytes = &bytes[..bytes.len().min(limit)];
    if file_name == lazyload::BASE_DATABASE {
        return Content::RBase(lazyload::which_command(bytes));
    }
    if may_hold_key(file_name, bytes) {
        return if holds_key(bytes) {
            Content::PrivateKey
        } else {
            Content::Data
        };
    }
    if !WANTED_NAMES.contains(&file_name) && !bytes.starts_with(b"#!") {
        return Content::Data;
    }
    // Of a text that is longer, only whole lines count.
    let whole = if bytes.len() == limit {
        bytes.iter().rposition(|byte| *byte == b'\n').unwrap_or(limit)
    } else {
        bytes.len()
    };
    // A stray Latin-1 byte in a comment must not hide a script from every check.
    Content::Text(String::from_utf8_lossy(&bytes[..whole]).into_owned())
}

/// What a file is that begins as ELF does. Of a file on disk no more is read than the loader reads.
pub fn inspect_object(file_name: &str, source: &(impl Source + ?Sized)) -> Content {
    match elf::parse(&source) {
        Ok(Some(object)) if file_name == rscript::NAME => Content::Rscript(Box::new(object), rscript::home(&source)),
        Ok(Some(object)) => Content::Object(Box::new(object)),
        Ok(None) if elf::is_core(&source) => Content::CoreDump,
        Ok(None) => Content::Data,
        Err(error) => Content::BrokenObject(error.to_string()),
    }
}

/// Whether a private key may be in a file: it begins as a PEM text does, or its name says so.
fn may_hold_key(file_name: &str, head: &[u8]) -> bool {
    let begins = PEM_BEGIN.starts_with(&head[..head.len().min(HEAD)]) && head.len() >= HEAD;
    begins || [".pem", ".key"].iter().any(|ending| file_name.ends_with(ending))
}

/// Whether a line announces a private key.
fn holds_key(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n')
        .any(|line| line.starts_with(PEM_BEGIN) && line.trim_ascii_end().ends_with(PEM_PRIVATE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_from_certificates() {
        let certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        let key = "-----BEGIN RSA PRIVATE KEY-----\r\nMIIB\r\n-----END RSA PRIVATE KEY-----\r\n";
        for (name, text, expected) in [
            ("id_rsa", key.to_owned(), Content::PrivateKey),
            ("bundle.pem", format!("{certificate}{key}"), Content::PrivateKey),
            ("bundle.pem", format!("Subject: x\n{key}"), Content::PrivateKey),
            ("cacert.pem", certificate.repeat(100), Content::Data),
            ("notes", format!("how to make one:\n{key}"), Content::Data),
            ("a.key", "PRIVATE KEY-----".to_owned(), Content::Data),
        ] {
            assert_eq!(inspect(name, text.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn long_scripts_are_cut_after_a_line() {
        let script = format!("#!/bin/sh\n{}", "true\n".repeat(SCRIPT_LIMIT));
        let Content::Text(text) = inspect("x", script.as_bytes()) else {
            panic!("no text");
        };
        assert!(text.len() <= SCRIPT_LIMIT && text.ends_with("\ntrue"));
    }
}
