//! Native libraries in files of their own: which files are such, and which version they are of.

use std::collections::{BTreeMap, BTreeSet};

use crate::elf::{Kind, Object};
use crate::languages::LANGUAGES;
use crate::tree::{Tree, TreePath};

/// How the names of pkg-config's files end (pkg-config(1)).
const PKG_CONFIG: &str = ".pc";

/// The libraries of a tree: shared objects named as such that no language loads as its own modules.
pub(super) fn libraries(tree: &Tree) -> Vec<(&TreePath, &Object)> {
    let mut modules: BTreeSet<TreePath> = BTreeSet::new();
    for language in LANGUAGES {
        modules.extend(language.native_modules(tree));
        let interpreters = language.interpreters(tree).into_iter();
        modules.extend(interpreters.flat_map(|interpreter| interpreter.own_native_modules));
    }
    let is_library = |path: &TreePath, object: &Object| {
        let name = path.file_name();
        let is_named = name.starts_with("lib") || object.soname.is_some();
        object.kind == Kind::SharedLibrary && is_named && name.contains(".so") && !modules.contains(path)
    };
    tree.objects()
        .filter(|(path, object)| is_library(path, object))
        .collect()
}

/// Whether a file has the name of a library, whatever it is.
pub(super) fn is_library_name(file_name: &str) -> bool {
    file_name.starts_with("lib") && file_name.contains(".so")
}

/// What a library is called without its version and the hashes that repairing tools put in: `libgomp` of
/// `libgomp-e985bcbb.so.1.0.0` (auditwheel, repair.py).
pub(super) fn stem(file_name: &str) -> &str {
    let mut stem = file_name.split(".so").next().unwrap_or(file_name);
    while let Some((name, hash)) = stem.rsplit_once('-') {
        if hash.len() != 8 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            break;
        }
        stem = name;
    }
    stem
}

/// A file name without those hashes.
pub(super) fn without_hashes(file_name: &str) -> String {
    let version = file_name.find(".so").map_or("", |at| &file_name[at..]);
    format!("{}{version}", stem(file_name))
}

/// The version in a file name such as `libz.so.1.2.13`. One number alone is that of the ABI, and says nothing.
pub(super) fn version_in_name(file_name: &str) -> Option<&str> {
    let (_, version) = file_name.split_once(".so.")?;
    let mut parts = version.split('.');
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let count = parts.clone().count();
    (count >= 3 && parts.all(is_number)).then_some(version)
}

/// Versions by the name of a library, as pkg-config has them in `*.pc` files: `-lz` in the field Libs is libz (pc(5)).
pub(super) fn versions_of_pkg_config(
    tree: &Tree,
    text: &dyn Fn(&TreePath) -> Option<String>,
) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    for (path, _) in tree.files().filter(|(path, _)| is_pkg_config(path)) {
        let Some(text) = text(path) else { continue };
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let Some(version) = field("Version").map(str::trim).filter(|version| !version.contains('$')) else {
            continue;
        };
        let own = path.file_name().trim_end_matches(PKG_CONFIG);
        let mut linked = field("Libs").unwrap_or_default().split_whitespace();
        // Others follow the package's own library.
        let linked = linked.find_map(|word| word.strip_prefix("-l"));
        for name in [Some(own), linked].into_iter().flatten() {
            let name = if name.starts_with("lib") {
                name.to_owned()
            } else {
                format!("lib{name}")
            };
            versions.entry(name).or_insert_with(|| version.to_owned());
        }
    }
    versions
}

/// Whether a file is one of pkg-config's.
pub(super) fn is_pkg_config(path: &TreePath) -> bool {
    path.file_name().ends_with(PKG_CONFIG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_library_and_version() {
        for (name, expected, version) in [
            ("libz.so.1.2.13", "libz", Some("1.2.13")),
            ("libgomp-e985bcbb.so.1.0.0", "libgomp", Some("1.0.0")),
            ("libgfortran-040039e1-0352e75f.so.5.0.0", "libgfortran", Some("5.0.0")),
            (
                "libopenblas64_p-r0-0cf96a72.3.23.dev.so",
                "libopenblas64_p-r0-0cf96a72.3.23.dev",
                None,
            ),
            ("libgfortran.so.5", "libgfortran", None),
            ("libstdc++.so.6", "libstdc++", None),
            ("libx.so.1.a.2", "libx", None),
            ("libx.so", "libx", None),
        ] {
            assert_eq!((stem(name), version_in_name(name)), (expected, version), "{name}");
        }
        assert_eq!(without_hashes("libgomp-e985bcbb.so.1.0.0"), "libgomp.so.1.0.0");
        assert_eq!(without_hashes("libz.so"), "libz.so");
    }
}
