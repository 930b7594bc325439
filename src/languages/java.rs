//! Java: archives on the class path, and libraries that classes open by name.

use std::collections::BTreeSet;
use std::io::{Cursor, Read};

use super::layout::ModuleRoot;
use super::{InterpreterLibrary, Language};
use crate::tree::{Tree, TreePath};

/// How the names of an archive and of a class end.
const ARCHIVE: &str = ".jar";
const CLASS: &str = ".class";

/// What Lambda has for Java in a layer.
const HOME: &str = "java";

/// What every class begins with (The Java Virtual Machine Specification, section 4.1).
const MAGIC: [u8; 4] = [0xca, 0xfe, 0xba, 0xbe];
/// What a class refers to that opens libraries: a method of `System` and `Runtime`, and classes of JNA, JNR and Java itself.
const OPENERS: [&str; 5] = [
    "loadLibrary",
    "com/sun/jna/Native",
    "com/sun/jna/NativeLibrary",
    "jnr/ffi/LibraryLoader",
    "java/lang/foreign/SymbolLookup",
];
/// Of larger classes and archives no more is read, in bytes.
const LARGEST_CLASS: u64 = 4 << 20;
const MOST_READ: u64 = 512 << 20;

/// Java.
#[derive(Debug)]
pub struct Java;

impl Language for Java {
    fn name(&self) -> &'static str {
        "java"
    }

    fn module_roots(&self, tree: &Tree) -> Vec<ModuleRoot> {
        let files = tree.files().map(|(path, _)| path);
        let archives = files.filter(|path| path.file_name().ends_with(ARCHIVE));
        let mut roots = ModuleRoot::certain(archives.filter_map(|path| Some((path.parent()?, path.clone()))));
        let known: BTreeSet<TreePath> = roots.iter().map(|root| root.directory.clone()).collect();
        roots.extend(
            classes(tree)
                .into_iter()
                .filter(|root| !known.contains(&root.directory)),
        );
        roots
    }

    /// What `java` loads to start, from a directory of its own (OpenJDK, `LoadJavaVM` in java_md.c).
    fn interpreter_library(&self, soname: &str) -> Option<InterpreterLibrary> {
        (soname == "libjvm.so").then(|| InterpreterLibrary {
            title: "a Java virtual machine".to_owned(),
            version: None,
            is_loaded: true,
        })
    }

    fn is_compiled(&self, path: &TreePath) -> bool {
        [ARCHIVE, CLASS].iter().any(|ending| path.file_name().ends_with(ending))
    }

    fn opened_by_compiled(&self, content: &[u8]) -> Vec<String> {
        if content.starts_with(&MAGIC) {
            return opened_by_class(content);
        }
        let Ok(mut archive) = zip::ZipArchive::new(Cursor::new(content)) else {
            return Vec::new();
        };
        let mut names = BTreeSet::new();
        let mut left = MOST_READ;
        for number in 0..archive.len() {
            let Ok(entry) = archive.by_index(number) else { continue };
            if !entry.name().is_ok_and(|name| name.ends_with(CLASS)) {
                continue;
            }
            let mut class = Vec::new();
            if entry.take(LARGEST_CLASS.min(left)).read_to_end(&mut class).is_ok() {
                names.extend(opened_by_class(&class));
            }
            left = left.saturating_sub(class.len() as u64);
        }
        names.into_iter().collect()
    }
}

/// Directories of classes that are in no archive where archives belong, or at the top in a package with the name of a domain: the
/// outermost ones.
fn classes(tree: &Tree) -> Vec<ModuleRoot> {
    const TOPS: [&str; 6] = [HOME, "com", "org", "net", "io", "edu"];
    let files = tree.files().map(|(path, _)| path);
    let classes = files
        .filter(|path| path.file_name().ends_with(CLASS) && path.names().next().is_some_and(|top| TOPS.contains(&top)));
    let mut roots = ModuleRoot::certain(classes.filter_map(|path| Some((path.parent()?, path.clone()))));
    let all: BTreeSet<TreePath> = roots.iter().map(|root| root.directory.clone()).collect();
    roots.retain(|root| !root.directory.ancestors().any(|above| all.contains(&above)));
    for root in &mut roots {
        root.remedy =
            Some("pack the classes into a .jar file in java/lib: the class path has nothing but java/lib/*.jar");
    }
    roots
}

/// The files of the libraries that a class may open: of each text that it has, if it refers to something that opens libraries,
/// what `System.mapLibraryName` makes of it.
fn opened_by_class(class: &[u8]) -> Vec<String> {
    let constants = texts(class).unwrap_or_default();
    if !constants.iter().any(|text| OPENERS.contains(text)) {
        return Vec::new();
    }
    let is_name =
        |text: &&&str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.+".contains(c));
    let names = constants.iter().filter(is_name);
    names
        .flat_map(|name| [(*name).to_owned(), format!("lib{name}.so")])
        .collect()
}

/// The texts in the constant pool of a class (The Java Virtual Machine Specification, section 4.4).
fn texts(class: &[u8]) -> Option<Vec<&str>> {
    let half = |at: usize| Some(usize::from(u16::from_be_bytes([*class.get(at)?, *class.get(at + 1)?])));
    let (mut at, mut left) = (10, half(8)?);
    let mut texts = Vec::new();
    while left > 1 {
        let (bytes, entries) = match class.get(at)? {
            1 => {
                let length = half(at + 1)?;
                let text = class.get(at + 3..at + 3 + length)?;
                texts.extend(std::str::from_utf8(text).ok());
                (3 + length, 1)
            }
            3 | 4 | 9 | 10 | 11 | 12 | 17 | 18 => (5, 1),
            5 | 6 => (9, 2),
            7 | 8 | 16 | 19 | 20 => (3, 1),
            15 => (4, 1),
            _ => return None,
        };
        at += bytes;
        left = left.saturating_sub(entries);
    }
    Some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A class as far as it is read: a constant pool with these texts and a number between them.
    fn class(texts: &[&str]) -> Vec<u8> {
        let mut bytes = [&MAGIC[..], &[0, 0, 0, 52]].concat();
        bytes.extend(u16::try_from(texts.len() + 3).unwrap().to_be_bytes());
        bytes.extend([5, 0, 0, 0, 0, 0, 0, 0, 1]);
        for text in texts {
            bytes.push(1);
            bytes.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        bytes
    }

    #[test]
    fn names_of_libraries_are_read_from_classes() {
        let opened = Java.opened_by_compiled(&class(&["loadLibrary", "z"]));
        assert!(opened.contains(&"libz.so".to_owned()), "{opened:?}");
        assert!(Java.opened_by_compiled(&class(&["load", "z"])).is_empty());
        for content in [&b""[..], &MAGIC, b"PK\x03\x04", &class(&["loadLibrary", "z"])[..20]] {
            assert!(Java.opened_by_compiled(content).is_empty());
        }
    }
}
