//! The form of the runtime files, and the ones that are built in.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::{RuntimeError, parse};
use super::lifecycle::{Lifecycle, State, lifecycles};
use super::source::Source;
use super::symbol_list;
use super::symbol_versions::{self, Packages};
use super::{Arch, DEFAULT, Runtime};
use crate::day::Day;
use crate::elf::{Class, Kind, Machine, Object};
use crate::nearest::suggestion;
use crate::open;
use crate::progress::Silent;
use crate::size::Bytes;
use crate::tree::{Content, Entry, File, Mode, Tree, TreePath};

/// The file systems that Lambda's runtimes stand on.
const BASES: [&str; 4] = [
    include_str!("../../rules/runtimes/al2023.toml"),
    include_str!("../../rules/runtimes/al2-provided.toml"),
    include_str!("../../rules/runtimes/al2-language.toml"),
    include_str!("../../rules/runtimes/al1.toml"),
];

/// The runtimes by AWS's names.
const NAMES: &str = include_str!("../../rules/runtimes/lambda.toml");

/// What they have in their own directories.
const FILES: &str = include_str!("../../rules/runtimes/language-files.toml");

/// A built-in runtime in a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Summary {
    /// The name that AWS gives it.
    pub name: String,
    /// What it is.
    pub title: String,
    /// The file system that it stands on.
    pub base: String,
    /// What AWS does for it on the day asked about.
    pub state: State,
    /// The days on which that changes.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
    /// Where it exists.
    pub archs: Vec<Arch>,
    /// When the base's data was recorded.
    pub recorded: String,
}

/// A runtime file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Data {
    pub(crate) name: String,
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) recorded: String,
    pub(crate) default_directories: Vec<String>,
    #[serde(default)]
    pub(crate) hardware_directories: Vec<String>,
    pub(crate) lib: String,
    pub(crate) working_directory: String,
    pub(crate) environment: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) commands: Folders,
    #[serde(default)]
    pub(crate) links: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) versions: BTreeMap<String, String>,
    /// The releases of the packages that the libraries of a directory come from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) packages: BTreeMap<String, Packages>,
    #[serde(default)]
    pub(crate) libraries: Folders,
    pub(crate) arch: BTreeMap<Arch, ArchData>,
    /// Packages of languages that it has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) installed: Vec<InstalledPackage>,
    #[serde(default)]
    pub(crate) sources: Vec<Source>,
}

/// A package of a language that a runtime has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct InstalledPackage {
    /// The language.
    pub language: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its directory, or that of its metadata.
    pub directory: String,
}

/// Names by the directory that they are in.
pub(crate) type Folders = BTreeMap<String, Vec<String>>;

/// What differs from one architecture to the other.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ArchData {
    pub(crate) interpreter: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) versions: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) libraries: Folders,
    /// Libraries of which more than the name is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) objects: Vec<ObjectData>,
}

/// What the loader reads of one library.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ObjectData {
    pub(crate) path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) soname: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) needed: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rpath: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) runpath: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) no_default_libraries: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) executable: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) versions: Vec<String>,
    /// What it defines; see [`symbol_list`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) symbols: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Names {
    #[serde(rename = "sources")]
    _sources: Vec<Source>,
    runtimes: Vec<NamedRuntime>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedRuntime {
    name: String,
    title: String,
    base: String,
    archs: Option<Vec<Arch>>,
    #[serde(default)]
    packages: BTreeMap<String, Packages>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AllFiles {
    #[serde(rename = "sources")]
    _sources: Vec<Source>,
    runtimes: BTreeMap<String, LanguageFiles>,
}

/// What a language's runtime has in its own directories.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LanguageFiles {
    #[serde(default)]
    libraries: Folders,
    #[serde(default)]
    commands: Folders,
    #[serde(default)]
    installed: Vec<InstalledPackage>,
    /// What one architecture alone has.
    #[serde(default)]
    arch: BTreeMap<Arch, FilesOfArch>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FilesOfArch {
    #[serde(default)]
    libraries: Folders,
    #[serde(default)]
    commands: Folders,
    #[serde(default)]
    installed: Vec<InstalledPackage>,
}

fn names() -> Result<Vec<NamedRuntime>, RuntimeError> {
    Ok(parse::<Names>("rules/runtimes/lambda.toml", NAMES)?.runtimes)
}

/// Whether a runtime of this name is built in.
pub(crate) fn is_built_in(name: &str) -> bool {
    names().is_ok_and(|names| names.iter().any(|known| known.name == name))
}

fn bases() -> impl Iterator<Item = Result<Data, RuntimeError>> {
    BASES.into_iter().map(|text| parse("a built-in base", text))
}

/// The base of a built-in runtime.
pub(crate) fn base(name: &str) -> Result<Data, RuntimeError> {
    for base in bases() {
        let base = base?;
        if base.name == name {
            return Ok(base);
        }
    }
    Err(RuntimeError::Unknown {
        name: name.to_owned(),
        near: String::new(),
    })
}

/// SHA-256 of the data that a runtime is loaded from: of the user's file, or of all that is built in.
pub fn digest(name: &str) -> Result<[u8; 32], RuntimeError> {
    let mut digest = Sha256::new();
    if !is_built_in(name) && Path::new(name).is_file() {
        digest.update(open::named(Path::new(name), &Silent)?);
    } else {
        for text in BASES.into_iter().chain([NAMES, FILES]) {
            digest.update(text);
        }
    }
    Ok(digest.finalize().into())
}

/// Every built-in runtime, in a line each, with its state on a day.
pub fn built_in(day: Day) -> Result<Vec<Summary>, RuntimeError> {
    let lifecycles = lifecycles()?;
    let bases: Vec<Data> = bases().collect::<Result<_, _>>()?;
    names()?
        .into_iter()
        .map(|name| {
            let base = bases.iter().find(|base| base.name == name.base);
            let base = base.ok_or_else(|| RuntimeError::Unknown {
                name: name.base.clone(),
                near: String::new(),
            })?;
            let lifecycle = lifecycles.get(&name.name).cloned().unwrap_or_default();
            Ok(Summary {
                state: lifecycle.state(day),
                lifecycle,
                recorded: base.recorded.clone(),
                archs: name.archs.unwrap_or_else(|| Arch::ALL.to_vec()),
                name: name.name,
                title: name.title,
                base: name.base,
            })
        })
        .collect()
}

pub(crate) fn load_built_in(name: &str, arch: Arch) -> Result<Runtime, RuntimeError> {
    let names = names()?;
    let near = suggestion(name, names.iter().map(|known| known.name.as_str()));
    let known = names.into_iter().find(|known| known.name == name);
    let Some(known) = known else {
        let name = name.to_owned();
        return Err(match lifecycles()?.get(&name) {
            Some(lifecycle) => RuntimeError::Retired {
                name,
                successor: lifecycle.successor.clone().unwrap_or_else(|| DEFAULT.to_owned()),
            },
            None => RuntimeError::Unknown { name, near },
        });
    };
    if known.archs.as_ref().is_some_and(|archs| !archs.contains(&arch)) {
        return Err(RuntimeError::NotOnArch {
            name: name.to_owned(),
            arch,
        });
    }
    let mut data = base(&known.base)?;
    data.name = known.name;
    data.title = known.title;
    data.packages.extend(known.packages);
    let all: AllFiles = parse("rules/runtimes/language-files.toml", FILES)?;
    let mut files = all
        .runtimes
        .into_iter()
        .find(|(of, _)| of == name)
        .map(|(_, files)| files)
        .unwrap_or_default();
    let own = files.arch.remove(&arch).unwrap_or_default();
    for (directory, names) in files.libraries.into_iter().chain(own.libraries) {
        data.libraries.entry(directory).or_default().extend(names);
    }
    for (directory, names) in files.commands.into_iter().chain(own.commands) {
        data.commands.entry(directory).or_default().extend(names);
    }
    data.installed.extend(files.installed.into_iter().chain(own.installed));
    data.installed.sort();
    data.runtime(arch)
}

pub(crate) fn load_file(path: &Path, arch: Arch) -> Result<Runtime, RuntimeError> {
    let text = open::named_text(path, &Silent)?;
    parse::<Data>(&path.display().to_string(), &text)?.runtime(arch)
}

impl Data {
    /// The runtime on one architecture.
    pub(crate) fn runtime(mut self, arch: Arch) -> Result<Runtime, RuntimeError> {
        let own = self.arch.remove(&arch).ok_or_else(|| RuntimeError::NotOnArch {
            name: self.name.clone(),
            arch,
        })?;
        let mut files = Tree::default();
        let mut put = |path: &str, entry: Entry| -> Result<(), RuntimeError> {
            let inside = path.strip_prefix('/').and_then(TreePath::new);
            let inside = inside.ok_or_else(|| RuntimeError::Data {
                name: self.name.clone(),
                reason: format!("'{path}' is not a plain absolute path"),
            })?;
            files.insert(inside, entry);
            Ok(())
        };
        for (directory, names) in &self.commands {
            for name in names {
                put(&format!("{directory}/{name}"), file(Content::Data, true))?;
            }
        }
        let unknown = Packages::new();
        for (directory, names) in self.libraries.iter().chain(&own.libraries) {
            let packages = self.packages.get(directory).unwrap_or(&unknown);
            for name in names {
                let versions = symbol_versions::defined(name, packages)?;
                let library = Object {
                    versions,
                    ..named(name, arch.machine())
                };
                let library = Content::Object(Arc::new(library));
                put(&format!("{directory}/{name}"), file(library, true))?;
            }
        }
        for object in &own.objects {
            let library = object.object(arch).ok_or_else(|| RuntimeError::Data {
                name: self.name.clone(),
                reason: format!("the symbols of {} are damaged; capture it again", object.path),
            })?;
            put(&object.path, file(Content::Object(Arc::new(library)), true))?;
        }
        for (path, target) in &self.links {
            put(path, Entry::Symlink(target.clone()))?;
        }
        Ok(Runtime {
            name: self.name,
            title: self.title,
            arch,
            environment: self.environment,
            default_directories: self.default_directories,
            hardware_directories: self.hardware_directories,
            lib: self.lib,
            platform: arch.machine().to_string(),
            working_directory: self.working_directory,
            interpreter: own.interpreter,
            installed: self.installed,
            highest_versions: self.versions.into_iter().chain(own.versions).collect(),
            files,
        })
    }
}

fn file(content: Content, executable: bool) -> Entry {
    Entry::File(File {
        bytes: Bytes(0),
        mode: Mode::new(if executable { 0o755 } else { 0o644 }),
        content,
    })
}

/// A library of which only the name is known.
fn named(soname: &str, machine: Machine) -> Object {
    Object {
        soname: Some(soname.to_owned()),
        ..Object::bare(Class::Elf64, machine, Kind::SharedLibrary)
    }
}

impl ObjectData {
    /// The object; `None` if its symbols cannot be unpacked.
    fn object(&self, arch: Arch) -> Option<Object> {
        let symbols = match &self.symbols {
            Some(packed) => Some(symbol_list::unpacked(packed)?),
            None => None,
        };
        Some(Object {
            symbols,
            soname: self.soname.clone(),
            needed: self.needed.clone(),
            rpath: self.rpath.clone(),
            runpath: self.runpath.clone(),
            no_default_libraries: self.no_default_libraries,
            kind: if self.executable {
                Kind::Executable
            } else {
                Kind::SharedLibrary
            },
            versions: Some(self.versions.clone()),
            ..named("", arch.machine())
        })
    }
}
