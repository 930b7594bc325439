//! What a Lambda runtime provides: libraries, search paths, links. The data lies in `rules/runtimes/*.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::elf::{Class, Kind, Machine, Object};

/// The runtimes that are built in, by name.
const BUILT_IN: [(&str, &str); 1] = [(
    "provided.al2023",
    include_str!("../../rules/runtimes/provided.al2023.toml"),
)];

/// The runtime that is meant where none is named: the only one of those without a language that AWS still develops.
pub const DEFAULT: &str = "provided.al2023";

/// The processor architectures of Lambda, by the names that AWS gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Arch {
    /// `x86_64`
    #[serde(rename = "x86_64")]
    X86_64,
    /// `arm64`
    #[serde(rename = "arm64")]
    Arm64,
}

impl Arch {
    /// Lambda's architectures.
    pub const ALL: [Self; 2] = [Self::X86_64, Self::Arm64];

    /// The machine of the ELF objects that run on it.
    pub fn machine(self) -> Machine {
        match self {
            Self::X86_64 => Machine::X86_64,
            Self::Arm64 => Machine::Aarch64,
        }
    }

    /// The architecture that most of the objects are for; `None` where no object is for one of Lambda's.
    pub fn of_most<'a>(objects: impl Iterator<Item = &'a Object>) -> Option<Self> {
        let mut counts = [(0_usize, Self::X86_64), (0, Self::Arm64)];
        for object in objects {
            for (count, arch) in &mut counts {
                *count += usize::from(object.machine == arch.machine());
            }
        }
        let [(x86_64, _), (arm64, _)] = counts;
        match (x86_64, arm64) {
            (0, 0) => None,
            _ if arm64 > x86_64 => Some(Self::Arm64),
            _ => Some(Self::X86_64),
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        })
    }
}

impl std::str::FromStr for Arch {
    type Err = RuntimeError;

    fn from_str(name: &str) -> Result<Self, RuntimeError> {
        Self::ALL
            .into_iter()
            .find(|arch| arch.to_string() == name)
            .ok_or_else(|| RuntimeError::UnknownArch(name.to_owned()))
    }
}

/// Why there is no such runtime.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// No runtime of that name is built in.
    #[error("there is no runtime '{name}'; built in are {known}", known = built_in_names().collect::<Vec<_>>().join(", "))]
    Unknown {
        /// The name asked for.
        name: String,
    },
    /// Lambda has no such architecture.
    #[error("'{0}' is no architecture of Lambda: use x86_64 or arm64")]
    UnknownArch(String),
    /// The runtime exists, but not on this architecture.
    #[error("runtime {name} does not exist on {arch}")]
    NotOnArch {
        /// The runtime.
        name: String,
        /// The architecture asked for.
        arch: Arch,
    },
    /// The data does not parse.
    #[error("runtime {name}: {reason}")]
    Data {
        /// The runtime, or the file it came from.
        name: String,
        /// What is wrong, with line and column.
        reason: String,
    },
}

/// One runtime on one architecture.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// The name that AWS gives it, such as `provided.al2023`.
    pub name: String,
    /// What it is, in a line.
    pub title: String,
    /// The architecture.
    pub arch: Arch,
    /// `LD_LIBRARY_PATH` of a function's process, element by element.
    pub library_path: Vec<String>,
    /// Where the loader looks last.
    pub default_directories: Vec<String>,
    /// What `$LIB` stands for in a search path.
    pub lib: String,
    /// The directory in which a function's process starts; relative search paths begin here.
    pub working_directory: String,
    /// The loader's own path.
    pub interpreter: String,
    links: BTreeMap<String, String>,
    libraries: BTreeMap<String, Object>,
    directories: BTreeSet<String>,
}

/// What a runtime has at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeEntry<'a> {
    /// A folder.
    Directory,
    /// A link with its target.
    Link(&'a str),
    /// A library.
    Library(&'a Object),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    name: String,
    title: String,
    library_path: Vec<String>,
    default_directories: Vec<String>,
    lib: String,
    working_directory: String,
    #[serde(default)]
    links: BTreeMap<String, String>,
    #[serde(default)]
    libraries: BTreeMap<String, Vec<String>>,
    arch: BTreeMap<Arch, ArchData>,
    #[serde(rename = "sources")]
    _sources: Vec<Source>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ArchData {
    interpreter: String,
    #[serde(default)]
    libraries: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    #[serde(rename = "what")]
    _what: String,
    #[serde(rename = "where")]
    _where: String,
}

/// The names of the built-in runtimes.
pub fn built_in_names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.into_iter().map(|(name, _)| name)
}

impl Runtime {
    /// A built-in runtime.
    pub fn built_in(name: &str, arch: Arch) -> Result<Self, RuntimeError> {
        let (_, text) = BUILT_IN
            .into_iter()
            .find(|(known, _)| *known == name)
            .ok_or_else(|| RuntimeError::Unknown { name: name.to_owned() })?;
        Self::parse(name, text, arch)
    }

    /// Reads a runtime's data. `origin` names it in errors.
    pub fn parse(origin: &str, text: &str, arch: Arch) -> Result<Self, RuntimeError> {
        let data: Data = toml::from_str(text).map_err(|error| RuntimeError::Data {
            name: origin.to_owned(),
            reason: error.to_string(),
        })?;
        let mut arch_data = data.arch;
        let own = arch_data.remove(&arch).ok_or_else(|| RuntimeError::NotOnArch {
            name: data.name.clone(),
            arch,
        })?;
        let mut runtime = Self {
            name: data.name,
            title: data.title,
            arch,
            library_path: data.library_path,
            default_directories: data.default_directories,
            lib: data.lib,
            working_directory: data.working_directory,
            interpreter: own.interpreter,
            links: data.links,
            libraries: BTreeMap::new(),
            directories: BTreeSet::new(),
        };
        for (directory, sonames) in data.libraries.into_iter().chain(own.libraries) {
            for soname in sonames {
                let library = Object::named(&soname, arch.machine());
                runtime.libraries.insert(format!("{directory}/{soname}"), library);
            }
        }
        let paths = runtime.libraries.keys().chain(runtime.links.keys());
        let mut directories = BTreeSet::new();
        for path in paths {
            let mut rest = path.as_str();
            while let Some((parent, _)) = rest.rsplit_once('/').filter(|(p, _)| !p.is_empty()) {
                directories.insert(parent.to_owned());
                rest = parent;
            }
        }
        runtime.directories = directories;
        Ok(runtime)
    }

    /// What the runtime has at an absolute path, links not followed; `None` where nothing is known to be.
    pub fn entry(&self, path: &str) -> Option<RuntimeEntry<'_>> {
        if let Some(target) = self.links.get(path) {
            return Some(RuntimeEntry::Link(target));
        }
        if let Some(library) = self.libraries.get(path) {
            return Some(RuntimeEntry::Library(library));
        }
        self.directories.contains(path).then_some(RuntimeEntry::Directory)
    }
}

impl Object {
    /// A library of which only the soname is known.
    fn named(soname: &str, machine: Machine) -> Self {
        Self {
            class: Class::Elf64,
            machine,
            kind: Kind::SharedLibrary,
            interpreter: None,
            soname: Some(soname.to_owned()),
            needed: Vec::new(),
            rpath: None,
            runpath: None,
            no_default_libraries: false,
            version_needs: Vec::new(),
            versions: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_runtime_parses_under_its_own_name() {
        for name in built_in_names() {
            for arch in Arch::ALL {
                let runtime = Runtime::built_in(name, arch).unwrap();
                assert_eq!(runtime.name, name);
                assert!(runtime.library_path.contains(&"/opt/lib".to_owned()));
            }
        }
    }

    #[test]
    fn provided_al2023_has_what_the_dumps_show() {
        let x86_64 = Runtime::built_in(DEFAULT, Arch::X86_64).unwrap();
        let arm64 = Runtime::built_in(DEFAULT, Arch::Arm64).unwrap();
        let has = |runtime: &Runtime, name: &str| runtime.entry(&format!("/usr/lib64/{name}")).is_some();
        for name in ["libc.so.6", "libcurl.so.4", "libpcre2-8.so.0", "libstdc++.so.6"] {
            assert!(has(&x86_64, name) && has(&arm64, name), "{name}");
        }
        for name in [
            "libgfortran.so.5",
            "libquadmath.so.0",
            "libgomp.so.1",
            "libtirpc.so.3",
            "libcrypt.so.1",
        ] {
            assert!(!has(&x86_64, name) && !has(&arm64, name), "{name}");
        }
        assert!(has(&x86_64, "libmvec.so.1") && !has(&arm64, "libmvec.so.1"));
        assert_eq!(x86_64.entry("/lib64"), Some(RuntimeEntry::Link("usr/lib64")));
        assert_eq!(x86_64.entry("/usr"), Some(RuntimeEntry::Directory));
    }
}
