//! Uses that the package managers of languages know: a package uses the files without which it does not load and the
//! packages that it requires, an interpreter what it opens to start.

use std::collections::BTreeMap;

use super::{Evidence, FindUses, Source, Use, UseKind, Used, User};
use crate::languages::{Interpreter, LANGUAGES, Package};
use crate::root::Root;
use crate::runtime::Runtime;
use crate::tree::{Tree, TreePath};

/// A package as a whole.
pub fn whole_package(package: &Package) -> Used {
    Used::Directory {
        path: package.directory.clone(),
        marker: package.manifest.clone(),
    }
}

/// Finds what packages and interpreters load.
pub struct InstalledPackages {
    packages: Vec<Package>,
    /// The packages by their manifests, which stand for the whole package.
    by_manifest: BTreeMap<TreePath, usize>,
    /// The interpreters by the files that start them.
    interpreters: BTreeMap<TreePath, Interpreter>,
}

impl InstalledPackages {
    /// Finds the interpreters and packages of a tree.
    pub fn of(tree: &Tree) -> Self {
        let packages: Vec<Package> = LANGUAGES.iter().flat_map(|language| language.packages(tree)).collect();
        let numbered = packages.iter().enumerate();
        let interpreters = LANGUAGES.iter().flat_map(|language| language.interpreters(tree));
        Self {
            by_manifest: numbered
                .map(|(number, package)| (package.manifest.clone(), number))
                .collect(),
            packages,
            interpreters: interpreters
                .filter_map(|interpreter| Some((interpreter.start.clone()?, interpreter)))
                .collect(),
        }
    }

    /// The package at a directory.
    pub fn at(&self, directory: &TreePath) -> Option<&Package> {
        self.packages.iter().find(|package| package.directory == *directory)
    }

    /// Every package.
    pub fn all(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter()
    }

    /// The packages that one requires, as far as they are installed.
    pub fn requirements(&self, package: &Package) -> Vec<&Package> {
        let names = package.requires.iter();
        names.filter_map(|name| self.required(name, package)).collect()
    }

    /// The scripts that interpreters source when they start.
    pub fn settings(&self) -> impl Iterator<Item = &TreePath> {
        self.interpreters
            .values()
            .filter_map(|interpreter| interpreter.settings.as_ref())
    }

    /// The commands that package managers made, each with the file of the package that it goes with.
    pub fn commands(tree: &Tree, runtime: &Runtime) -> Vec<(TreePath, TreePath)> {
        let root = Root { tree, runtime };
        LANGUAGES.iter().flat_map(|language| language.commands(root)).collect()
    }

    /// The package that another one gets by this name: the nearest one, in its own directory, next to it or next to one that
    /// it is in; else the first.
    fn required(&self, name: &str, by: &Package) -> Option<&Package> {
        let is_it = |package: &&Package| package.language == by.language && package.name == name;
        let nearness = |package: &&Package| {
            let library = package.directory.ancestors().nth(name.matches('/').count())?;
            let above = library.parent().unwrap_or_else(TreePath::root);
            by.directory.below(&above).map(|_| library.names().count())
        };
        let candidates = || self.packages.iter().filter(is_it);
        let near = candidates().filter(|package| nearness(package).is_some());
        near.max_by_key(nearness).or_else(|| candidates().next())
    }

    fn of_package(&self, package: &Package) -> Vec<Use> {
        let edge = |to, kind, text: &str| Use {
            from: User::Path(package.directory.clone()),
            to,
            kind,
            evidence: Evidence::of(text),
        };
        let own = package.owned.iter().chain(&package.listed).map(|path| Used::Directory {
            path: path.clone(),
            marker: package.manifest.clone(),
        });
        let mut uses: Vec<Use> = own
            .map(|own| edge(own, UseKind::Companion, package.manifest.file_name()))
            .collect();
        let loaded = package.loaded.iter();
        uses.extend(loaded.map(|file| edge(Used::Path(file.clone()), UseKind::Import, &package.name)));
        for name in &package.requires {
            let required = self.required(name, package);
            let text = format!("requires {name}");
            uses.extend(required.map(|required| edge(whole_package(required), UseKind::Import, &text)));
        }
        uses
    }
}

impl FindUses for InstalledPackages {
    fn uses(&self, source: &Source<'_>) -> Vec<Use> {
        let package = self
            .by_manifest
            .get(source.path)
            .and_then(|number| self.packages.get(*number));
        if let Some(package) = package {
            return self.of_package(package);
        }
        let interpreter = self.interpreters.get(source.path);
        let loaded = interpreter.into_iter().flat_map(|interpreter| {
            let evidence = format!("{} opens it to start", interpreter.name);
            interpreter.loaded.iter().map(move |file| (file, evidence.clone()))
        });
        loaded
            .map(|(file, evidence)| source.uses(Used::Path(file.clone()), UseKind::Import, Evidence::of(evidence)))
            .collect()
    }
}
