//! What a file is, as far as the rest of the program asks: an ELF object, a script, a text that is read, or data.

use std::sync::Arc;

use crate::elf::{self, Detail, Object, Source};
use crate::source::{LONGEST, Opening};

/// How much of a text known by name is read: no start script or package description comes near it.
pub const TEXT_LIMIT: usize = 1 << 20;

/// How much of any other script is read: its first line counts, and no start script is longer.
const SCRIPT_LIMIT: usize = 64 << 10;

/// No link has a longer target.
const LINK_LIMIT: usize = 512;

/// How many leading bytes tell how much of a file has to be read; see [`Inspector::wanted`].
pub const HEAD: usize = 4;

/// Before and after the kind of key, as in `-----BEGIN RSA PRIVATE KEY-----` (RFC 7468, section 10 and 11).
const PEM_BEGIN: &[u8] = b"-----BEGIN ";
const PEM_PRIVATE: &[u8] = b"PRIVATE KEY-----";

/// The start script of a runtime without a language, which is read whole (AWS Lambda developer guide, "Building a custom
/// runtime").
const START_SCRIPT: &str = "bootstrap";

/// A file of which more is kept than its kind, because a decision depends on it.
#[derive(Debug, Clone, Copy)]
pub struct KeptFile {
    /// The name of the file; with a `*` in front, how it ends.
    pub name: &'static str,
    /// How many bytes of it are read at most, if it is not an object.
    pub limit: usize,
    /// What is kept of it.
    pub keep: Keep,
}

/// Finds a fact in the first bytes of a file.
pub type FindFact = fn(&[u8]) -> Option<String>;

/// What is kept of a file.
#[derive(Debug, Clone, Copy)]
pub enum Keep {
    /// Its text.
    Text,
    /// What a function finds in its first bytes.
    Fact(FindFact),
    /// What a function finds in an ELF object, besides the object itself.
    ObjectFact(fn(&dyn Source) -> Option<String>),
}

/// Source code in one language, as far as a scan looks at it.
#[derive(Debug, Clone, Copy)]
pub struct CodeKind {
    /// How its files end.
    pub endings: &'static [&'static str],
    /// A part of the name of the program that runs its scripts.
    pub interpreter: &'static str,
    /// Reads the libraries that code opens by name.
    pub opens: fn(&str) -> Vec<Opening>,
}

impl CodeKind {
    /// Whether a script is in this language, by its first line.
    pub fn runs(&self, script: &str) -> bool {
        let first = script.lines().next().unwrap_or_default();
        first.starts_with("#!") && first.contains(self.interpreter)
    }
}

/// A format of programs and libraries that Linux does not load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Mach-O, of macOS.
    MachO,
    /// Portable Executable, of Windows.
    Pe,
}

/// The content of a regular file, reduced to what is asked of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// An ELF executable or shared library.
    Object(Arc<Object>),
    /// A file that begins as ELF does and cannot be read as an executable or a shared library; with the reason.
    BrokenObject(String),
    /// A text that is read: a script (it begins with `#!`) or one of the files known by name.
    Text(Arc<str>),
    /// Data of which one fact is kept, for a language to understand.
    Fact(String),
    /// An ELF object of which a fact is kept besides what every object has.
    ObjectFact(Arc<Object>, String),
    /// Source code that opens libraries by name.
    Code(Box<[Opening]>),
    /// A program or library of another system, by its format.
    Foreign(Format),
    /// The target of a link, as a text where a library, a program or code should be: some programs unpack and copy links so.
    LinkText(String),
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
            Self::Object(object) | Self::ObjectFact(object, _) => Some(object),
            _ => None,
        }
    }

    /// The fact that is kept of it, if one is.
    pub fn fact(&self) -> Option<&str> {
        match self {
            Self::Fact(fact) | Self::ObjectFact(_, fact) => Some(fact),
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

/// Tells what files are, by their names and their bytes.
#[derive(Debug, Clone, Default)]
pub struct Inspector {
    kept: Vec<KeptFile>,
    code: Vec<CodeKind>,
}

impl Inspector {
    /// An inspector that keeps more than the kind of these files.
    pub fn new(kept: impl IntoIterator<Item = KeptFile>) -> Self {
        Self {
            kept: kept.into_iter().collect(),
            code: Vec::new(),
        }
    }

    /// The same inspector, which also looks into source code of these kinds.
    pub fn with_code(mut self, code: impl IntoIterator<Item = CodeKind>) -> Self {
        self.code.extend(code);
        self
    }

    fn code(&self, file_name: &str) -> Option<&CodeKind> {
        let is_of = |kind: &&CodeKind| kind.endings.iter().any(|ending| file_name.ends_with(ending));
        self.code.iter().find(is_of)
    }

    fn kept(&self, file_name: &str) -> impl Iterator<Item = &KeptFile> {
        self.kept.iter().filter(move |kept| match kept.name.strip_prefix('*') {
            Some(ending) => file_name.ends_with(ending),
            None => file_name == kept.name,
        })
    }

    fn fact_finder(&self, file_name: &str) -> Option<(usize, FindFact)> {
        self.kept(file_name).find_map(|kept| match kept.keep {
            Keep::Fact(find) => Some((kept.limit, find)),
            _ => None,
        })
    }

    /// How much of a text known by its name is read; `None` for any other file.
    fn text_limit(&self, file_name: &str) -> Option<usize> {
        if file_name == START_SCRIPT {
            return Some(TEXT_LIMIT);
        }
        let mut kept = self.kept(file_name);
        kept.find_map(|kept| matches!(kept.keep, Keep::Text).then_some(kept.limit))
    }

    /// How much of the beginning of a file [`Inspector::inspect`] needs, judged by its name and its first [`HEAD`] bytes;
    /// `None` for all of it, as far as an ELF object is read.
    pub fn wanted(&self, file_name: &str, head: &[u8]) -> Option<usize> {
        if head.starts_with(elf::MAGIC) {
            return None;
        }
        let known = self.fact_finder(file_name).map(|(limit, _)| limit);
        Some(match known.or_else(|| self.text_limit(file_name)) {
            Some(limit) => limit,
            None if may_hold_key(file_name, head) => TEXT_LIMIT,
            None if head.starts_with(b"#!") || may_be_sourced(file_name) => SCRIPT_LIMIT,
            None if may_be_link(file_name) => LINK_LIMIT,
            None if self.code(file_name).is_some() => LONGEST,
            None => HEAD,
        })
    }

    /// What a file is, by its name and its bytes, of which no more are needed than [`Inspector::wanted`] says.
    pub fn inspect(&self, file_name: &str, bytes: &[u8]) -> Content {
        let Some(limit) = self.wanted(file_name, bytes) else {
            return self.inspect_object(file_name, bytes);
        };
        let bytes = &bytes[..bytes.len().min(limit)];
        if let Some((_, find)) = self.fact_finder(file_name) {
            return find(bytes).map_or(Content::Data, Content::Fact);
        }
        if may_hold_key(file_name, bytes) {
            return if holds_key(bytes) {
                Content::PrivateKey
            } else {
                Content::Data
            };
        }
        if let Some(format) = format(file_name, bytes) {
            return Content::Foreign(format);
        }
        let is_read = self.text_limit(file_name).is_some()
            || bytes.starts_with(b"#!")
            || (may_be_sourced(file_name) && assigns(bytes));
        if !is_read {
            if let Some(code) = self.code(file_name) {
                let opened = (code.opens)(&String::from_utf8_lossy(bytes));
                if !opened.is_empty() {
                    return Content::Code(opened.into());
                }
                let link = Some(bytes).filter(|bytes| bytes.len() < LINK_LIMIT);
                return link.and_then(link_text).map_or(Content::Data, Content::LinkText);
            }
            let link = Some(bytes).filter(|bytes| may_be_link(file_name) && bytes.len() < LINK_LIMIT);
            // Editors end texts with a line break; no text is a library all the same.
            let link = link.map(|text| {
                if is_library_name(file_name) {
                    text.trim_ascii_end()
                } else {
                    text
                }
            });
            return link.and_then(link_text).map_or(Content::Data, Content::LinkText);
        }
        // Of a text that is longer, only whole lines count.
        let whole = if bytes.len() == limit {
            bytes.iter().rposition(|byte| *byte == b'\n').unwrap_or(limit)
        } else {
            bytes.len()
        };
        // A stray Latin-1 byte in a comment must not hide a script from every check.
        Content::Text(String::from_utf8_lossy(&bytes[..whole]).into())
    }

    /// What a file is that begins as ELF does. Of a file on disk no more is read than the loader reads.
    pub fn inspect_object(&self, file_name: &str, source: &(impl Source + ?Sized)) -> Content {
        self.inspect_object_in(file_name, source, Detail::All)
    }

    /// As [`Inspector::inspect_object`], no further than in this detail.
    pub fn inspect_object_in(&self, file_name: &str, source: &(impl Source + ?Sized), detail: Detail) -> Content {
        match elf::parse_in(&source, detail, None) {
            Ok(Some(object)) => {
                let object = Arc::new(object);
                let fact = self.kept(file_name).find_map(|kept| match kept.keep {
                    Keep::ObjectFact(find) => find(&source),
                    _ => None,
                });
                match fact {
                    Some(fact) => Content::ObjectFact(object, fact),
                    None => Content::Object(object),
                }
            }
            Ok(None) if elf::is_core(&source) => Content::CoreDump,
            Ok(None) => Content::Data,
            Err(error) => Content::BrokenObject(error.to_string()),
        }
    }
}

/// Whether shell scripts may read a file of this name with `.` or `source`: it ends as such files do, or has no ending and does
/// not shout as `LICENSE` and `METADATA` do.
fn may_be_sourced(file_name: &str) -> bool {
    match file_name.rsplit_once('.') {
        Some((_, ending)) => ["sh", "bash", "env", "rc", "profile", "inc", "conf"].contains(&ending),
        None => file_name.starts_with(|c: char| c.is_ascii_lowercase()),
    }
}

/// Whether some line of a text may set a variable.
fn assigns(bytes: &[u8]) -> bool {
    !bytes.contains(&0) && bytes.contains(&b'=')
}

/// The format of a program or library of another system.
fn format(file_name: &str, head: &[u8]) -> Option<Format> {
    // The magic numbers of Mach-O, of 32 and 64 bits in both byte orders, and of files for several processors
    // (mach-o/loader.h, mach-o/fat.h); the last one is that of Java's class files as well.
    match head.get(..4)? {
        [0xce | 0xcf, 0xfa, 0xed, 0xfe] | [0xfe, 0xed, 0xfa, 0xce | 0xcf] => Some(Format::MachO),
        [0xca, 0xfe, 0xba, 0xbe] if file_name.strip_suffix(".class").is_none() => Some(Format::MachO),
        [b'M', b'Z', ..] => Some(Format::Pe),
        _ => None,
    }
}

/// Whether a file should be a library or a program, by its name, so that a short text in it may be the target of a link.
fn may_be_link(file_name: &str) -> bool {
    is_library_name(file_name) || !file_name.contains('.')
}

/// Whether a file is a shared library by its name, with or without a version.
pub fn is_library_name(file_name: &str) -> bool {
    file_name.strip_suffix(".so").is_some() || file_name.contains(".so.")
}

/// The text that is the whole of a file, if it can be the target of a link to a file.
fn link_text(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let is_plain = text.chars().all(|c| c.is_ascii_graphic());
    let last = text.rsplit('/').next()?;
    let is_target = text.contains('/') || text.contains(".so");
    (is_plain && is_target && !matches!(last, "" | "." | "..")).then(|| text.to_owned())
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
            assert_eq!(Inspector::default().inspect(name, text.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn long_scripts_are_cut_after_a_line() {
        let script = format!("#!/bin/sh\n{}", "true\n".repeat(SCRIPT_LIMIT));
        let Content::Text(text) = Inspector::default().inspect("x", script.as_bytes()) else {
            panic!("no text");
        };
        assert!(text.len() <= SCRIPT_LIMIT && text.ends_with("\ntrue"));
    }
}
