//! Finds the components of what is in layers.

use std::collections::{BTreeMap, BTreeSet};

use super::bundled::bundled;
use super::embedded::EmbeddedVersion;
use super::{Component, Hash, Kind, Origin, native, url};
use crate::elf::Object;
use crate::host::HostPackage;
use crate::languages::{Interpreter, LANGUAGES, Language, Package};
use crate::licenses::{self, License};
use crate::manifest::{AddedFile, ChangedFile};
use crate::tree::{Tree, TreePath};

/// What is in layers, and what is known of how it came there.
#[derive(Clone, Copy)]
pub struct Described<'a> {
    /// What is in the layers.
    pub tree: &'a Tree,
    /// What describes it: the tree that was packed, from which metadata may have been removed, or the same.
    pub source: &'a Tree,
    /// Gives the text of a file of `source`.
    pub text: &'a dyn Fn(&TreePath) -> Option<String>,
    /// SHA-256 of the files of `tree`, as far as they are known.
    pub hashes: &'a BTreeMap<TreePath, Hash>,
    /// The versions that native libraries of `tree` hold as text, as far as these were looked for.
    pub embedded: &'a BTreeMap<TreePath, EmbeddedVersion>,
    /// What was added to the tree.
    pub added: &'a [AddedFile],
    /// What was changed in it.
    pub changed: &'a [ChangedFile],
}

/// Finds the components, sorted by kind, name and path.
pub fn collect(described: Described<'_>) -> Vec<Component> {
    let collector = Collector::of(described);
    let mut components = collector.installed();
    let mut libraries = collector.libraries(&mut components);
    components.append(&mut libraries);
    components.sort_by(|a, b| (a.kind, &a.name, &a.path, &a.id).cmp(&(b.kind, &b.name, &b.path, &b.id)));
    components
}

/// What is installed as one, by the language that knows it.
enum Installed {
    Interpreter(&'static dyn Language, Interpreter),
    Package(&'static dyn Language, Package),
}

impl Installed {
    fn directory(&self) -> &TreePath {
        match self {
            Self::Interpreter(_, interpreter) => &interpreter.directory,
            Self::Package(_, package) => &package.directory,
        }
    }
}

struct Collector<'a> {
    described: Described<'a>,
    installed: Vec<Installed>,
    /// The files of each.
    files: Vec<BTreeMap<TreePath, Option<Hash>>>,
    /// To which of them each file belongs.
    owners: BTreeMap<TreePath, usize>,
    /// What was changed in each file.
    changed: BTreeMap<&'a str, Vec<String>>,
}

impl<'a> Collector<'a> {
    fn of(described: Described<'a>) -> Self {
        let mut installed = Vec::new();
        for language in LANGUAGES {
            let interpreters = language.interpreters(described.source).into_iter();
            installed.extend(interpreters.map(|interpreter| Installed::Interpreter(*language, interpreter)));
            let packages = language.packages(described.source).into_iter();
            installed.extend(packages.map(|package| Installed::Package(*language, package)));
        }
        let mut directories: BTreeMap<&TreePath, usize> = BTreeMap::new();
        let mut listed: BTreeMap<&TreePath, usize> = BTreeMap::new();
        for (number, installed) in installed.iter().enumerate() {
            directories.insert(installed.directory(), number);
            if let Installed::Package(_, package) = installed {
                directories.extend(package.owned.iter().map(|directory| (directory, number)));
                listed.extend(package.listed.iter().map(|file| (file, number)));
            }
        }
        let mut files = vec![BTreeMap::new(); installed.len()];
        let mut owners = BTreeMap::new();
        for (path, _) in described.tree.files() {
            let of_directory = || path.ancestors().find_map(|above| directories.get(&above));
            if let Some(&owner) = listed.get(path).or_else(of_directory) {
                owners.insert(path.clone(), owner);
                files[owner].insert(path.clone(), described.hashes.get(path).copied());
            }
        }
        let mut changed: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for change in described.changed {
            let what = match &change.what {
                Some(what) => format!("{}: {what}", change.by),
                None => change.by.clone(),
            };
            changed.entry(&change.path).or_default().push(what);
        }
        Self {
            described,
            installed,
            files,
            owners,
            changed,
        }
    }

    fn text(&self, path: &TreePath) -> Option<String> {
        let kept = self.described.source.text(path).map(ToOwned::to_owned);
        kept.or_else(|| (self.described.text)(path))
    }

    /// Interpreters and packages of which something is in the layers, and what is built into them.
    fn installed(&self) -> Vec<Component> {
        let mut components = Vec::new();
        let mut ids: BTreeMap<(&str, &str), String> = BTreeMap::new();
        for (installed, files) in self.installed.iter().zip(&self.files) {
            if !files.is_empty() {
                let component = self.component(installed, files);
                if let Installed::Package(language, package) = installed {
                    ids.insert((language.name(), &package.name), component.id.clone());
                }
                components.push((installed, component));
            }
        }
        let mut all = Vec::new();
        for (installed, mut component) in components {
            if let Installed::Package(language, package) = installed {
                let required = package
                    .requires
                    .iter()
                    .filter_map(|name| ids.get(&(language.name(), name.as_str())));
                component.requires.extend(required.cloned());
                let bundled = self.bundled(*language, package, &component);
                component
                    .requires
                    .extend(bundled.iter().map(|bundled| bundled.id.clone()));
                all.extend(bundled);
            }
            all.push(component);
        }
        all
    }

    fn component(&self, installed: &Installed, files: &BTreeMap<TreePath, Option<Hash>>) -> Component {
        let text = |path: &TreePath| self.text(path);
        let directory = installed.directory().clone();
        let (kind, name, version, license, purl) = match installed {
            Installed::Interpreter(language, interpreter) => {
                let (version, license) = language.about_interpreter(interpreter, &text);
                let purl = version
                    .as_ref()
                    .and_then(|version| url::generic(&interpreter.name.to_lowercase(), version));
                (Kind::Interpreter, interpreter.name.clone(), version, license, purl)
            }
            Installed::Package(language, package) => match language.metadata(package, &text) {
                Some(metadata) => {
                    let purl = url::of_package(&metadata.source, metadata.version.as_deref());
                    (Kind::Package, metadata.name, metadata.version, metadata.license, purl)
                }
                None => (Kind::Package, package.name.clone(), None, License::default(), None),
            },
        };
        Component {
            kind,
            id: id(purl.as_deref(), &name, &directory),
            name,
            version,
            version_from: None,
            license,
            purl,
            changed: self.changes(files.keys()),
            path: directory,
            files: files.clone(),
            origin: Origin::Tree,
            requires: BTreeSet::new(),
        }
    }

    /// What was changed in files, each kind of change once.
    fn changes<'p>(&self, files: impl Iterator<Item = &'p TreePath>) -> Vec<String> {
        let changes = files.filter_map(|path| self.changed.get(path.as_str())).flatten();
        let changes: BTreeSet<&String> = changes.collect();
        changes.into_iter().cloned().collect()
    }

    fn bundled(&self, language: &dyn Language, package: &Package, component: &Component) -> Vec<Component> {
        let text = |path: &TreePath| self.text(path);
        let bills = language
            .metadata(package, &text)
            .map(|metadata| metadata.bills)
            .unwrap_or_default();
        let mut components = Vec::new();
        for bill in bills {
            let Some(listed) = self.text(&bill) else { continue };
            for part in bundled(&listed) {
                components.push(Component {
                    kind: Kind::Bundled,
                    id: id(part.purl.as_deref(), &part.name, &bill),
                    name: part.name,
                    version: part.version,
                    version_from: None,
                    license: part.license,
                    purl: part.purl,
                    path: component.path.clone(),
                    files: BTreeMap::new(),
                    origin: Origin::Bill(bill.clone()),
                    changed: Vec::new(),
                    requires: BTreeSet::new(),
                });
            }
        }
        components.sort_by(|a, b| a.id.cmp(&b.id));
        components.dedup_by(|a, b| a.id == b.id);
        components
    }

    /// Native libraries in files of their own. What holds one requires it, and one that a bill describes takes its place.
    fn libraries(&self, installed: &mut Vec<Component>) -> Vec<Component> {
        let text = |path: &TreePath| self.text(path);
        let pkg_config = native::versions_of_pkg_config(self.described.source, &text);
        let is_bundled = |component: &&Component| component.kind == Kind::Bundled;
        let bundled: Vec<Component> = installed.iter().filter(is_bundled).cloned().collect();
        let mut replaced = BTreeSet::new();
        let mut libraries = Vec::new();
        for (path, object) in native::libraries(self.described.tree) {
            let holder = self.owners.get(path).map(|owner| self.installed[*owner].directory());
            let file = LibraryFile::new(path, object, self.described);
            let is_it = |component: &&Component| Some(&component.path) == holder && component.name == file.stem();
            let described = bundled.iter().find(is_it);
            let library = self.library(&file, described, &pkg_config);
            let holds = |component: &Component| {
                matches!(component.kind, Kind::Package | Kind::Interpreter) && Some(&component.path) == holder
            };
            for component in installed.iter_mut().filter(|component| holds(component)) {
                component.requires.insert(library.id.clone());
            }
            replaced.extend(described.map(|described| described.id.clone()));
            libraries.push(library);
        }
        installed.retain(|component| !replaced.contains(&component.id));
        for component in installed {
            component.requires.retain(|id| !replaced.contains(id));
        }
        libraries
    }

    /// The component of a library, with what is known of it from the machine that it came from or from a bill, and what is
    /// missing from pkg-config, its own content and its soname.
    fn library(
        &self,
        file: &LibraryFile<'_>,
        described: Option<&Component>,
        pkg_config: &BTreeMap<String, String>,
    ) -> Component {
        let path = file.path;
        let mut library = Component {
            kind: Kind::Library,
            id: String::new(),
            name: path.file_name().to_owned(),
            version: None,
            version_from: None,
            license: License::default(),
            purl: None,
            path: path.clone(),
            files: BTreeMap::from([(path.clone(), self.described.hashes.get(path).copied())]),
            origin: Origin::Tree,
            changed: self.changes(std::iter::once(path)),
            requires: BTreeSet::new(),
        };
        if let Some(added) = file.on_host() {
            of_host(&mut library, added);
        } else if let Some(described) = described {
            of_bill(&mut library, described);
        }
        if library.version.is_none() {
            self.version_of(&mut library, file, pkg_config);
        }
        if library.license.expression.is_none() {
            let expression = licenses::of_library(&native::without_hashes(file.soname()));
            library.license.expression = expression.map(ToOwned::to_owned);
        }
        library.id = id(library.purl.as_deref(), &library.name, path);
        library
    }

    /// Takes the version of a library from what says most of it: pkg-config, the library's own note, then its text.
    fn version_of(&self, library: &mut Component, file: &LibraryFile<'_>, pkg_config: &BTreeMap<String, String>) {
        if let Some(version) = pkg_config.get(file.stem()) {
            library.version = Some(version.clone());
            library.version_from = Some("pkg-config");
            library.purl = url::generic(file.stem(), version);
        } else if let Some(package) = file.object.package.as_ref().and_then(HostPackage::noted) {
            library.purl = url::of_host(&package);
            library.version = Some(package.version);
            library.version_from = Some("note of its package");
        } else if let Some(found) = self.described.embedded.get(&library.path) {
            library.version = Some(found.version.clone());
            library.version_from = Some(found.from);
            library.purl = url::generic(&found.project, &found.version);
        }
    }
}

/// A native library in a file of its own.
struct LibraryFile<'a> {
    path: &'a TreePath,
    object: &'a Object,
    /// How it was added, if it was.
    added: Option<&'a AddedFile>,
    /// The file of the tree that it is a copy of, if it was added under another name.
    copied: Option<TreePath>,
}

impl<'a> LibraryFile<'a> {
    fn new(path: &'a TreePath, object: &'a Object, described: Described<'a>) -> Self {
        let added = described.added.iter().find(|added| added.path == path.as_str());
        let copied = added.and_then(|added| TreePath::new(&added.from));
        Self {
            path,
            object,
            added,
            // A path of the machine may be relative, too.
            copied: copied.filter(|from| described.source.contains(from)),
        }
    }

    /// The name that says what it is: a copy is what it is a copy of.
    fn original_name(&self) -> &str {
        self.copied.as_ref().unwrap_or(self.path).file_name()
    }

    fn stem(&self) -> &str {
        native::stem(self.original_name())
    }

    /// The soname of the original.
    fn soname(&self) -> &str {
        match &self.copied {
            Some(_) => self.original_name(),
            None => self.object.soname.as_deref().unwrap_or(self.original_name()),
        }
    }

    /// How it was added from the machine that builds, if it was.
    fn on_host(&self) -> Option<&'a AddedFile> {
        self.added.filter(|_| self.copied.is_none())
    }
}

/// What is known of a library that was added from a machine.
fn of_host(library: &mut Component, added: &AddedFile) {
    if let Some(package) = &added.package {
        library.version = Some(package.version.clone());
        library.version_from = Some("package");
        library.purl = url::of_host(package);
        library.license = package.license.as_deref().map(License::declared).unwrap_or_default();
    }
    library.origin = Origin::Host {
        path: added.from.clone(),
        package: added.package.clone(),
    };
}

/// What a bill of materials says of a library.
fn of_bill(library: &mut Component, described: &Component) {
    library.version.clone_from(&described.version);
    library.version_from = Some("bill of materials");
    library.purl.clone_from(&described.purl);
    library.license = described.license.clone();
    library.origin = described.origin.clone();
}

/// What tells a component from all others: a package can be there twice, at two places.
fn id(purl: Option<&str>, name: &str, path: &TreePath) -> String {
    format!("{}#{path}", purl.unwrap_or(name))
}
