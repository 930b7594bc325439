//! Libraries that are opened by name at run time and that nobody has: no loader asks for them before.
//!
//! A name that is anywhere in the tree counts as there: code that opens it may have found its place by itself.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use globset::{Glob, GlobSet, GlobSetBuilder};
use serde::Deserialize;

use crate::elf::Object;
use crate::languages::openings;
use crate::platform::foreign_system;
use crate::root::Root;
use crate::source::LibraryName;
use crate::tree::{Entry, Tree, TreePath};

/// Directories whose code is not run on Lambda, by their names.
const ASIDE: [&str; 8] = [
    "test",
    "tests",
    "testing",
    "doc",
    "docs",
    "example",
    "examples",
    "benchmarks",
];

/// How auditwheel marks a library that it renames: by so many digits behind a hyphen (auditwheel, repair.py, `copylib`).
const MARK_DIGITS: usize = 8;

/// Libraries that no function can use (`rules/opened.toml`). Empty only if the built-in file were broken, which a test rules
/// out.
static USELESS: LazyLock<GlobSet> = LazyLock::new(|| useless().unwrap_or_default());

fn useless() -> Result<GlobSet, Box<dyn std::error::Error>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Data {
        useless: Vec<Useless>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Useless {
        sonames: Vec<String>,
        #[serde(rename = "source")]
        _source: String,
    }
    let data: Data = toml::from_str(include_str!("../rules/opened.toml"))?;
    let mut builder = GlobSetBuilder::new();
    for soname in data.useless.iter().flat_map(|entry| &entry.sonames) {
        builder.add(Glob::new(soname)?);
    }
    Ok(builder.build()?)
}

/// A library that is opened by name, and that neither the tree nor the runtime has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingOpened<'a> {
    /// What opens it.
    pub by: &'a TreePath,
    /// The names that it tries, in order.
    pub names: Vec<LibraryName>,
    /// The line, counted from 1, if what opens it is a text.
    pub line: Option<usize>,
    /// Whether what opens it fails without it, as far as can be told.
    pub is_required: bool,
}

/// All libraries of this kind, sorted by path and line.
pub fn missing_opened(root: Root<'_>) -> Vec<MissingOpened<'_>> {
    let mut known: Option<Known> = None;
    let mut missing = Vec::new();
    for (by, file) in root.tree.files().filter(|(path, _)| !is_aside(path)) {
        let of_code = openings(by, file).into_owned().into_iter();
        let of_code = of_code.map(|opening| (opening.names, Some(opening.line), opening.is_required));
        let object = file.content.object();
        let own = object.filter(|object| foreign_system(object, root.runtime.arch).is_none());
        let of_object = own.into_iter().flat_map(|object| {
            let is_required = object.is_program();
            opened_by(object).map(move |names| (names, None, is_required))
        });
        for (names, line, is_required) in of_code.chain(of_object) {
            let known = known.get_or_insert_with(|| Known::of(root));
            if !names.iter().any(|name| known.has(name, root)) {
                let is_useless = names.iter().all(|name| USELESS.is_match(name.shown()));
                missing.push(MissingOpened {
                    by,
                    names,
                    line,
                    is_required: is_required && !is_useless,
                });
            }
        }
    }
    missing
}

fn is_aside(path: &TreePath) -> bool {
    path.splits().any(|(directory, _)| {
        let name = directory.rsplit('/').next().unwrap_or_default();
        ASIDE.contains(&name)
    })
}

/// The names that an object may open, those of one library together. Libraries mostly do without what they open: of those in
/// three releases of Debian and in wheels on PyPI, all do.
fn opened_by(object: &Object) -> impl Iterator<Item = Vec<LibraryName>> {
    let mut by_stem: BTreeMap<&str, Vec<LibraryName>> = BTreeMap::new();
    let noted: BTreeSet<&String> = object.dlopen_notes.iter().flat_map(|note| &note.soname).collect();
    for name in object.opened.iter().filter(|name| !noted.contains(name)) {
        let stem = name.split(".so").next().unwrap_or_default();
        by_stem.entry(stem).or_default().push(LibraryName::File(name.clone()));
    }
    by_stem.into_values()
}

/// The names of the libraries in a tree and its runtime.
struct Known<'a> {
    files: BTreeSet<Cow<'a, str>>,
    /// How files begin that auditwheel renamed, up to the mark.
    marked: BTreeSet<&'a str>,
}

impl<'a> Known<'a> {
    fn of(root: Root<'a>) -> Self {
        let files = root.runtime.entries();
        let files = files.filter_map(|(path, _)| Some(Cow::Owned(path.rsplit('/').next()?.to_owned())));
        let files = files.chain(names_in(root.tree).map(Cow::Borrowed));
        Self {
            files: files.filter(|name| name.contains(".so")).collect(),
            marked: names_in(root.tree).filter_map(before_mark).collect(),
        }
    }

    fn has(&self, name: &LibraryName, root: Root<'_>) -> bool {
        match name {
            LibraryName::File(path) if path.contains('/') => root.resolve(path).is_ok(),
            LibraryName::File(name) => {
                let stem = name.split(".so").next().unwrap_or_default();
                self.files.contains(name.as_str()) || self.marked.contains(stem)
            }
            LibraryName::Link(name) => {
                let stem = format!("lib{name}");
                let begin = format!("{stem}.so");
                let first = self.files.range(Cow::Borrowed(begin.as_str())..).next();
                first.is_some_and(|first| first.starts_with(&begin)) || self.marked.contains(stem.as_str())
            }
        }
    }
}

/// The names under which a tree has files, and those of its libraries by themselves.
fn names_in(tree: &Tree) -> impl Iterator<Item = &str> {
    let files = tree.iter().filter(|(_, entry)| !matches!(entry, Entry::Directory(_)));
    let objects = tree.objects().filter_map(|(_, object)| object.soname.as_deref());
    files.map(|(path, _)| path.file_name()).chain(objects)
}

/// What stands before the mark of a renamed library: `libpq` in `libpq-9b38f5e3.so.5.17`.
fn before_mark(name: &str) -> Option<&str> {
    let (stem, _) = name.split_once(".so")?;
    let (before, mark) = stem.rsplit_once('-')?;
    (mark.len() == MARK_DIGITS && mark.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_of_gpus_are_of_no_use() {
        let useless = useless().unwrap();
        assert!(useless.is_match("libcuda.so.1") && !useless.is_match("libcurl.so.4"));
    }

    #[test]
    fn renamed_libraries_of_wheels_are_known_by_their_names() {
        assert_eq!(before_mark("libpq-9b38f5e3.so.5.17"), Some("libpq"));
        assert_eq!(before_mark("libgobject-2.0.so.0"), None);
        assert_eq!(before_mark("libpq.so.5"), None);
    }

    #[test]
    fn directories_of_tests_and_documents_are_aside() {
        let check = |path: &str, expected| assert_eq!(is_aside(&TreePath::new(path).unwrap()), expected, "{path}");
        check("python/a/tests/test_b.py", true);
        check("share/doc/a.py", true);
        check("python/tests.py", false);
        check("python/testing_a/b.py", false);
    }
}
