//! Python: distributions as pip installs them, and extension modules.

mod code;

use std::collections::{BTreeMap, BTreeSet};

use super::{Language, LanguageAnchor, ManagedRuntime, Package, SourceReader};
use crate::root::Root;
use crate::tree::content::{Keep, KeptFile, TEXT_LIMIT};
use crate::tree::{Tree, TreePath};

use code::Modules;

/// The file in which a distribution lists its files (Recording installed projects, "The RECORD file").
const RECORD: &str = "RECORD";
/// What makes a directory the metadata of a distribution (Recording installed projects, "The METADATA file").
const METADATA: &str = "METADATA";
/// Where installers put the scripts of distributions (sysconfig, path `scripts`).
const COMMANDS: &str = "bin";
/// How the name of such a directory ends.
const METADATA_DIRECTORY: &str = ".dist-info";

const fn text(name: &'static str) -> KeptFile {
    KeptFile {
        name,
        limit: TEXT_LIMIT,
        keep: Keep::Text,
    }
}

/// Prints what [`ManagedRuntime::report`] asks for.
const REPORT: &str = "import json, os, sys; print(json.dumps({'version': '%d.%d' % sys.version_info[:2], 'program': \
                      os.path.realpath(sys.executable), 'library': os.path.dirname(os.__file__)}))";

/// Python.
#[derive(Debug)]
pub struct Python;

impl Language for Python {
    fn managed_runtime(&self, name: &str) -> Option<ManagedRuntime> {
        let version = name
            .strip_prefix("python")
            .filter(|version| version.starts_with("3."))?;
        Some(ManagedRuntime {
            version: version.to_owned(),
            programs: vec![format!("python{version}"), "python3".to_owned(), "python".to_owned()],
            report: &["-I", "-c", REPORT],
            left_out: &["site-packages", "dist-packages", "test"],
            library: Some(format!("lib/python{version}")),
            client: ("client.py", include_str!("../../rules/clients/client.py")),
            variables: Vec::new(),
            how_to_get: format!(
                "install it, for instance with `pyenv install {version}` or `uv python install {version}`"
            ),
            lacks: Some("boto3 and botocore"),
        })
    }

    fn kept_files(&self) -> &'static [KeptFile] {
        const KEPT: &[KeptFile] = &[text(RECORD), text(METADATA)];
        KEPT
    }

    fn packages(&self, tree: &Tree) -> Vec<Package> {
        distributions(tree)
    }

    fn source_reader<'a>(&self, tree: &'a Tree) -> Option<Box<dyn SourceReader + 'a>> {
        Some(Box::new(Modules::of(tree)))
    }

    fn commands(&self, root: Root<'_>) -> Vec<(TreePath, TreePath)> {
        let mut commands = Vec::new();
        for package in distributions(root.tree) {
            let is_command =
                |path: &&TreePath| path.parent().is_some_and(|directory| directory.file_name() == COMMANDS);
            let listed = package.listed.iter().filter(is_command);
            commands.extend(listed.map(|command| (command.clone(), package.manifest.clone())));
        }
        commands
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
    let names: BTreeMap<String, String> = packages
        .iter()
        .map(|package| (normalized(&package.name), package.name.clone()))
        .collect();
    for package in &mut packages {
        let metadata = package.directory.join(METADATA);
        let requires = metadata
            .and_then(|path| tree.text(&path))
            .map(requirements)
            .unwrap_or_default();
        package.requires = requires.iter().filter_map(|name| names.get(name).cloned()).collect();
    }
    packages
}

/// The normalized names of the distributions that one requires, those of extras left out (Core metadata specifications,
/// "Requires-Dist"; PEP 508). Of other conditions nothing is known, so that they count as true.
fn requirements(metadata: &str) -> Vec<String> {
    let headers = metadata.lines().take_while(|line| !line.trim().is_empty());
    let required = headers.filter_map(|line| line.strip_prefix("Requires-Dist:"));
    let unconditional = required.filter(|requirement| {
        let condition = requirement.split_once(';').map_or("", |(_, condition)| condition);
        !condition
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| word == "extra")
    });
    unconditional
        .map(|requirement| {
            let requirement = requirement.trim();
            let end = requirement.find(|c: char| !c.is_alphanumeric() && !"-_.".contains(c));
            normalized(&requirement[..end.unwrap_or(requirement.len())])
        })
        .collect()
}

/// A distribution's name as it is compared (PEP 503).
fn normalized(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.map(str::to_lowercase).collect::<Vec<_>>().join("-")
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
    fn requirements_are_read_but_for_those_of_extras() {
        let metadata = "Metadata-Version: 2.1\nName: x\nRequires-Dist: Python_Dateutil>=2.8\n\
                        Requires-Dist: six (>=1.5) ; python_version < \"3\"\n\
                        Requires-Dist: pytest ; extra == 'test'\nRequires-Dist: zope.interface[x]\n\n\
                        Requires-Dist: text\n";
        assert_eq!(requirements(metadata), ["python-dateutil", "six", "zope-interface"]);
    }

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
