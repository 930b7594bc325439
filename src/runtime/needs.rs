//! What the runtime's own libraries and programs may load, where only their names are known (`rules/runtimes/needs.toml`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use globset::{Glob, GlobMatcher};
use serde::Deserialize;

use super::source::Source;

const TEXT: &str = include_str!("../../rules/runtimes/needs.toml");

/// Names of libraries.
pub type Sonames = BTreeSet<String>;

#[derive(Default)]
struct Needs {
    libraries: BTreeMap<String, Sonames>,
    /// Libraries whose names have a version in them that goes up, by globs.
    families: Vec<(GlobMatcher, Sonames)>,
    programs: Vec<(GlobMatcher, Sonames)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    #[serde(rename = "sources")]
    _sources: Vec<Source>,
    programs: Vec<Program>,
    libraries: Vec<Library>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Program {
    runtimes: Vec<String>,
    loads: Sonames,
    #[serde(rename = "source")]
    _source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Library {
    sonames: Vec<String>,
    needs: Sonames,
}

/// Empty only if the built-in file were broken, which a test rules out.
static NEEDS: LazyLock<Needs> = LazyLock::new(|| {
    let Ok(data) = toml::from_str::<Data>(TEXT) else {
        return Needs::default();
    };
    let mut needs = Needs::default();
    for library in data.libraries {
        for name in library.sonames {
            if !name.contains('*') {
                needs.libraries.insert(name, library.needs.clone());
            } else if let Ok(glob) = Glob::new(&name) {
                needs.families.push((glob.compile_matcher(), library.needs.clone()));
            }
        }
    }
    for program in data.programs {
        let globs = program.runtimes.iter().filter_map(|glob| Glob::new(glob).ok());
        needs
            .programs
            .extend(globs.map(|glob| (glob.compile_matcher(), program.loads.clone())));
    }
    needs
});

/// What a library may need beyond glibc; `None` for one of which that is not known.
pub fn of_library(soname: &str) -> Option<&'static Sonames> {
    static NOTHING: Sonames = Sonames::new();
    if super::glibc::is_library(soname) {
        return Some(&NOTHING);
    }
    let family = || NEEDS.families.iter().find(|(glob, _)| glob.is_match(soname));
    let known = NEEDS.libraries.get(soname);
    known.or_else(|| family().map(|(_, needs)| needs))
}

/// What the programs of a runtime and their standard modules may load beyond glibc; `None` where that is not known.
pub fn of_programs(runtime: &str) -> Option<&'static Sonames> {
    let mut programs = NEEDS.programs.iter();
    programs
        .find(|(glob, _)| glob.is_match(runtime))
        .map(|(_, loads)| loads)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Arch, DEFAULT, Runtime, built_in, recorded};

    #[test]
    fn the_data_can_be_read_and_names_each_library_once() {
        let data: Data = toml::from_str(TEXT).unwrap();
        let names: Vec<&String> = data.libraries.iter().flat_map(|library| &library.sonames).collect();
        assert_eq!(names.len(), NEEDS.libraries.len() + NEEDS.families.len());
        for name in names.iter().filter(|name| name.contains('*')) {
            let glob = Glob::new(name).unwrap().compile_matcher();
            let covered = NEEDS.libraries.keys().find(|soname| glob.is_match(soname));
            assert_eq!(covered, None, "{name}");
        }
        assert!(of_library("libcurl.so.4").unwrap().contains("libcrypto.so.3"));
        assert!(of_library("libdnf.so.2").unwrap().contains("libstdc++.so.6"));
        assert!(of_library("libc.so.6").unwrap().is_empty());
        assert!(of_library("libown.so.1").is_none());
        assert!(of_programs("nodejs22.x").unwrap().contains("libstdc++.so.6"));
        assert!(!of_programs("python3.13").unwrap().contains("libstdc++.so.6"));
        assert!(of_programs("mine").is_none());
    }

    #[test]
    fn versioned_libraries_of_every_language_runtime_are_known() {
        for summary in built_in(recorded().unwrap()).unwrap() {
            let runtime = Runtime::load(&summary.name, Arch::X86_64).unwrap();
            let paths: Vec<_> = runtime.entries().map(|(path, _)| path.clone()).collect();
            let own = paths.iter().filter_map(|path| path.strip_prefix("/var/lang/lib/"));
            let own = own.filter_map(|name| Some((name.split_once(".so.")?.0, name)));
            // Of the names of one library, the loader asks for one.
            let mut known: BTreeMap<&str, bool> = BTreeMap::new();
            for (stem, name) in own {
                *known.entry(stem).or_default() |= of_library(name).is_some();
            }
            let unknown: Vec<_> = known.iter().filter(|(_, is_known)| !**is_known).collect();
            assert!(unknown.is_empty(), "{}: {unknown:?}", summary.name);
        }
    }

    #[test]
    fn of_what_the_default_runtime_has_nearly_all_is_known() {
        let runtime = Runtime::load(DEFAULT, Arch::X86_64).unwrap();
        let names = runtime.entries().filter(|(path, _)| path.starts_with("/usr/lib64/"));
        let names: Vec<String> = names
            .map(|(path, _)| path.rsplit('/').next().unwrap().to_owned())
            .collect();
        let unknown: Vec<&String> = names.iter().filter(|name| of_library(name).is_none()).collect();
        assert!(unknown.len() * 20 < names.len(), "{unknown:?}");
        for summary in built_in(recorded().unwrap()).unwrap() {
            let is_known = of_programs(&summary.name).is_some();
            assert_eq!(is_known, !summary.name.starts_with("provided"), "{}", summary.name);
        }
    }
}
