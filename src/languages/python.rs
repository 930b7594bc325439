//! Python: distributions as pip installs them, and extension modules.

use std::collections::{BTreeMap, BTreeSet};

use super::{Language, LanguageAnchor, Package};
use crate::tree::content::{Keep, KeptFile, TEXT_LIMIT};
use crate::tree::{Tree, TreePath};

/// The file in which a distribution lists its files (Recording installed projects, "The RECORD file").
const RECORD: &str = "RECORD";
/// What makes a directory the metadata of a distribution (Recording installed projects, "The METADATA file").
const METADATA: &str = "METADATA";
/// How the name of such a directory ends.
const METADATA_DIRECTORY: &str = ".dist-info";

/// Python.
#[derive(Debug)]
pub struct Python;

impl Language for Python {
    fn kept_files(&self) -> &'static [KeptFile] {
        &[KeptFile {
            name: RECORD,
            limit: TEXT_LIMIT,
            keep: Keep::Text,
        }]
    }

    fn packages(&self, tree: &Tree) -> Vec<Package> {
        distributions(tree)
    }

    fn native_modules(&self, tree: &Tree) -> BTreeSet<TreePath> {
        let objects = tree.objects().map(|(path, _)| path);
        objects.filter(|path| is_extension_module(path)).cloned().collect()
    }

    fn anchors(&self) -> &'static [LanguageAnchor] {
        &[LanguageAnchor {
            name: "site-packages",
            title: "each folder of installed Python modules",
            directories: module_directories,
        }]
    }
}

/// The directories that modules are installed into: by their names, and those that `pip install --target` wrote to, which
/// hold a distribution's metadata (PEP 376, PEP 427).
fn module_directories(tree: &Tree) -> BTreeSet<TreePath> {
    let targets = tree
        .files()
        .filter(|(path, _)| path.file_name() == METADATA)
        .filter_map(|(path, _)| path.parent())
        .filter(|directory| directory.file_name().ends_with(METADATA_DIRECTORY))
        .filter_map(|directory| directory.parent());
    tree.directories_named(&["site-packages", "dist-packages"])
        .chain(targets)
        .collect()
}

/// A module that Python imports: by the tag in its name (PEP 3149, PEP 384), or by its place.
fn is_extension_module(path: &TreePath) -> bool {
    let name = path.file_name();
    name.strip_suffix(".so").is_some_and(|stem| {
        stem.contains(".cpython-")
            || stem.strip_suffix(".abi3").is_some()
            || path.names().any(|name| name == "lib-dynload")
    })
}

/// Distributions by the directories of their metadata, each with the files that it lists and with the directories in which
/// no other one has files.
fn distributions(tree: &Tree) -> Vec<Package> {
    let mut packages = Vec::new();
    // A directory into which several distributions write belongs to none.
    let mut owners: BTreeMap<TreePath, Option<usize>> = BTreeMap::new();
    for (record, _) in tree.files().filter(|(path, _)| path.file_name() == RECORD) {
        let (Some(metadata), Some(text)) = (record.parent(), tree.text(record)) else {
            continue;
        };
        let (Some(stem), Some(site)) = (metadata.file_name().strip_suffix(METADATA_DIRECTORY), metadata.parent())
        else {
            continue;
        };
        let name = stem.split_once('-').map_or(stem, |(name, _)| name).to_owned();
        let mut package = Package::new("python", name, metadata, record.clone());
        for listed in listed_paths(text) {
            let Some(file) = site.join(&listed).filter(|file| tree.contains(file)) else {
                continue;
            };
            if let Some((top, _)) = listed.split_once('/')
                && let Some(top) = site.join(top)
            {
                let owner = owners.entry(top).or_insert(Some(packages.len()));
                if *owner != Some(packages.len()) {
                    *owner = None;
                }
            }
            package.listed.push(file);
        }
        packages.push(package);
    }
    for (directory, owner) in owners {
        if let Some(package) = owner.and_then(|owner| packages.get_mut(owner))
            && package.directory != directory
        {
            package.owned.push(directory);
        }
    }
    packages
}

/// The paths in a RECORD, which is CSV with the path in the first column. A line that is not CSV is passed over.
fn listed_paths(record: &str) -> Vec<String> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(record.as_bytes());
    let rows = reader.records().filter_map(Result::ok);
    rows.filter_map(|row| row.get(0).map(ToOwned::to_owned))
        .filter(|path| !path.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_a_record_are_read() {
        for (line, path) in [
            ("a/b.py,sha256=x,1", "a/b.py"),
            ("a,,", "a"),
            ("\"a,b \"\"c\"\"\",sha256=x,1", "a,b \"c\""),
        ] {
            assert_eq!(listed_paths(line), [path], "{line}");
        }
        assert_eq!(listed_paths("a,,\r\n\"b\"\n\n,,\nc"), ["a", "b", "c"]);
        assert_eq!(listed_paths("\""), [""; 0]);
    }
}
