//! Packages as package managers install them, what they say of themselves, and a choice of them.

use std::collections::BTreeSet;

use super::LANGUAGES;
use crate::licenses::License;
use crate::tree::{Tree, TreePath};

/// What a package manager has installed in a tree as one unit: an R package, a Python distribution, a Node package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The language that it is for; names are unique in one language alone.
    pub language: &'static str,
    /// Its name.
    pub name: String,
    /// Its directory; if its files are in shared directories, that of its metadata.
    pub directory: TreePath,
    /// The file without which it is not installed.
    pub manifest: TreePath,
    /// Further directories that are its alone.
    pub owned: Vec<TreePath>,
    /// Its files outside of `directory`, if a list names them.
    pub listed: Vec<TreePath>,
    /// The names of packages of its language without which it does not load.
    pub requires: Vec<String>,
    /// Its own files without which it does not load.
    pub loaded: Vec<TreePath>,
    /// Files and directories that say what it is and who may use it: they stay with whatever stays of it.
    pub metadata: Vec<TreePath>,
}

impl Package {
    /// A package whose directory holds all its files.
    pub fn new(language: &'static str, name: String, directory: TreePath, manifest: TreePath) -> Self {
        Self {
            language,
            name,
            directory,
            metadata: vec![manifest.clone()],
            manifest,
            owned: Vec::new(),
            listed: Vec::new(),
            requires: Vec::new(),
            loaded: Vec::new(),
        }
    }
}

/// What a package says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Its name, as it writes it.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// Its license.
    pub license: License,
    /// Where it comes from, as a package URL without the version has it (purl-spec, types).
    pub source: PackageSource,
    /// Bills of materials that it brings, by their paths.
    pub bills: Vec<TreePath>,
}

/// Type, namespace and name of a package URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageSource {
    /// The type, such as `pypi`.
    pub kind: &'static str,
    /// The namespace, if the type has one.
    pub namespace: Option<String>,
    /// The name as packages of the type are compared.
    pub name: String,
}

/// Packages of a language that users name, to keep them with all that they need and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageSelection {
    /// The name of the language in [`LANGUAGES`].
    pub language: &'static str,
    /// The names of the packages.
    pub names: Vec<String>,
}

impl PackageSelection {
    /// What the option is called.
    pub fn key(&self) -> String {
        format!("{}-packages", self.language)
    }

    /// The directories of the language's packages in a tree: those that stay, and the others.
    pub fn of(&self, tree: &Tree) -> Result<[BTreeSet<TreePath>; 2], PackageSelectionError> {
        let language = LANGUAGES.iter().find(|language| language.name() == self.language);
        let all = language.map(|language| language.packages(tree)).unwrap_or_default();
        let selected = language.and_then(|language| language.select(&all, &self.names));
        let selected = selected.unwrap_or(Err(PackageSelectionError::NoPackages))?;
        let directories = all.into_iter().map(|package| package.directory);
        let others = directories.filter(|path| !selected.contains(path)).collect();
        Ok([selected, others])
    }
}

/// Why packages cannot be selected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackageSelectionError {
    /// There is nothing to select from.
    #[error("the tree has no installed R package")]
    NoPackages,
    /// A name that no package has.
    #[error("the tree has no R package '{name}'{near} (it has {known})")]
    Unknown {
        /// The name.
        name: String,
        /// The name that was most likely meant, as part of a sentence.
        near: String,
        /// Every package.
        known: String,
    },
}
