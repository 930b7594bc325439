//! Which system a native file is for: by what it is, and by what its path says. The words are in `rules/platforms.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::elf::{Class, Object, System};
use crate::runtime::Arch;
use crate::tree::content::{Format, is_library_name};
use crate::tree::{Content, Tree, TreePath};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    words: Vec<Words>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    #[serde(rename = "words")]
    spellings: Vec<String>,
    os: Option<String>,
    arch: Option<String>,
    libc: Option<String>,
    distribution: Option<String>,
    #[serde(rename = "source")]
    _source: String,
}

static WORDS: LazyLock<Result<Data, toml::de::Error>> =
    LazyLock::new(|| toml::from_str(include_str!("../rules/platforms.toml")));

/// What a word of a path says of the platform.
fn word(text: &str) -> Option<&'static Words> {
    let mut words = WORDS.iter().flat_map(|data| &data.words);
    words.find(|words| words.spellings.iter().any(|word| word.eq_ignore_ascii_case(text)))
}

/// A system for which a function's runtime loads nothing, for people; `None` for an object that fits.
///
/// An object that needs musl's C library is judged by whether that is there, not here.
pub fn foreign_system(object: &Object, arch: Arch) -> Option<String> {
    if object.class == Class::Elf32 {
        return Some("a 32-bit system".to_owned());
    }
    match object.system {
        System::Linux => {}
        System::FreeBsd => return Some("FreeBSD".to_owned()),
        System::Other(number) => return Some(format!("a system with the ELF OS/ABI {number}")),
    }
    (object.machine != arch.machine()).then(|| object.machine.to_string())
}

/// The distribution that runtimes are of, as paths name it.
const OWN_DISTRIBUTION: &str = "Amazon Linux";

/// The distribution of Linux that a path names.
fn named_distribution(path: &TreePath) -> Option<&'static str> {
    let mut words = path.names().flat_map(words_of).filter_map(|text| word(&text));
    words.find_map(|words| words.distribution.as_deref())
}

/// The files among alternatives that are for another distribution, where one is for that of the runtimes.
fn of_other_distributions(named: &BTreeMap<TreePath, (Alternatives, &str)>) -> BTreeMap<TreePath, String> {
    let has_own = |place: &Alternatives| {
        let mut named = named.values();
        named.any(|(other, name)| other == place && *name == OWN_DISTRIBUTION)
    };
    let others = named
        .iter()
        .filter(|(_, (place, name))| *name != OWN_DISTRIBUTION && has_own(place));
    others
        .map(|(path, (_, name))| (path.clone(), (*name).to_owned()))
        .collect()
}

/// Whether a soname is that of musl's C library, which no runtime has.
pub fn is_musl(soname: &str) -> bool {
    soname.starts_with("libc.musl-") || soname.starts_with("ld-musl-")
}

/// A directory or file in which a path names a platform first, and the name without the platform: files with the same such
/// place are alternatives of one another.
pub type Alternatives = (String, String);

/// Where a path names a platform: the place that all its alternatives share. `None` for a path that names none.
pub fn alternatives(path: &TreePath) -> Option<Alternatives> {
    let names: Vec<&str> = path.names().collect();
    names.iter().enumerate().find_map(|(at, name)| {
        let words = words_of(name);
        let first = words.iter().position(|text| word(text).is_some())?;
        // A plain directory such as `win` or `arm` says nothing; with a second word, or in a file's name, it does.
        if words.len() == 1 && at + 1 < names.len() && !name.chars().any(|c| c.is_ascii_digit()) {
            return None;
        }
        Some((names[..at].join("/"), words[..first].join("-")))
    })
}

/// What a path says of the platform that a file is for, if that is another one than this.
pub fn named_for_another(path: &TreePath, arch: Arch) -> Option<String> {
    alternatives(path)?;
    let mut said: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for words in path.names().flat_map(words_of).filter_map(|text| word(&text)) {
        for (key, value) in [("os", &words.os), ("arch", &words.arch), ("libc", &words.libc)] {
            if let Some(value) = value {
                said.entry(key).or_default().push(value);
            }
        }
    }
    let own = match arch {
        Arch::X86_64 => "x86_64",
        Arch::Arm64 => "arm64",
    };
    let os = said.get("os").and_then(|all| all.iter().find(|os| **os != "Linux"));
    let libc = said.get("libc").and_then(|all| all.first());
    let processor = said
        .get("arch")
        .filter(|all| !all.contains(&own))
        .and_then(|all| all.first());
    os.or(libc).or(processor).map(|name| (*name).to_owned())
}

/// The words of a name, those with `_` in them first.
fn words_of(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    for part in name.split(['-', '.', '+', '@']).filter(|part| !part.is_empty()) {
        if word(part).is_some() {
            words.push(part.to_owned());
        } else if let Some(rest) = part.strip_suffix("x86_64") {
            words.extend(rest.split('_').filter(|part| !part.is_empty()).map(ToOwned::to_owned));
            words.push("x86_64".to_owned());
        } else {
            words.extend(part.split('_').filter(|part| !part.is_empty()).map(ToOwned::to_owned));
        }
    }
    words
}

/// Whether a file is one that a loader or a language would load as native code, by its name.
fn is_native_name(path: &TreePath) -> bool {
    let name = path.file_name();
    is_library_name(name) || [".node", ".pyd"].iter().any(|ending| name.ends_with(ending))
}

/// What packages choose among where they have not been built: an addon that was built in place is tried first (node-gyp-build).
fn prebuilds_of_build(path: &TreePath) -> Option<Alternatives> {
    let (package, built) = path.as_str().rsplit_once("/build/Release/")?;
    built
        .strip_suffix(".node")
        .map(|_| (format!("{package}/prebuilds"), String::new()))
}

/// The libraries of a tree that are not foreign, without the endings of their names.
fn own_libraries(tree: &Tree, foreign: &BTreeMap<TreePath, String>) -> BTreeSet<TreePath> {
    let objects = tree.objects().map(|(path, _)| path);
    objects
        .filter(|path| !foreign.contains_key(*path) && is_library_name(path.file_name()))
        .filter_map(without_endings)
        .collect()
}

/// The path of a module without anything behind the first dot of its name.
fn without_endings(path: &TreePath) -> Option<TreePath> {
    path.sibling(path.file_name().split('.').next()?)
}

/// A native file that no runtime on this architecture loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// The system that it is for.
    pub system: String,
    /// Whether its path names a platform and something next to it is for the right one, so that the package chooses.
    pub is_alternative: bool,
}

/// Every native file of a tree that is for another system. `missing` gives the libraries that an object needs and that are not
/// there: if that is musl's C library, or if its path says that it is for another system, it is.
pub fn foreign_files<'m>(
    tree: &Tree,
    arch: Arch,
    missing: impl Fn(&TreePath) -> Vec<&'m str>,
) -> BTreeMap<TreePath, Foreign> {
    let mut foreign: BTreeMap<TreePath, String> = BTreeMap::new();
    // Files that nothing loads by their names: they count where they are one of several.
    let mut unnamed: BTreeSet<TreePath> = BTreeSet::new();
    let mut fitting: BTreeSet<Alternatives> = BTreeSet::new();
    let mut distributions: BTreeMap<TreePath, (Alternatives, &str)> = BTreeMap::new();
    for (path, file) in tree.files() {
        let system = match &file.content {
            Content::Foreign(format) => {
                let is_program = file.mode.is_executable() && !path.file_name().contains('.');
                if !is_native_name(path) && !is_program {
                    unnamed.insert(path.clone());
                }
                Some(format.to_string())
            }
            content => match content.object() {
                None => continue,
                Some(object) => {
                    let by_needs = || match &missing(path)[..] {
                        [] => None,
                        missing if missing.iter().any(|soname| is_musl(soname)) => Some("musl".to_owned()),
                        _ => named_for_another(path, arch),
                    };
                    foreign_system(object, arch).or_else(by_needs)
                }
            },
        };
        if let Some(system) = system {
            foreign.insert(path.clone(), system);
            continue;
        }
        fitting.extend(prebuilds_of_build(path));
        if let Some(place) = alternatives(path) {
            let distribution = named_distribution(path);
            distributions.extend(distribution.map(|name| (path.clone(), (place.clone(), name))));
            fitting.insert(place);
        }
    }
    foreign.extend(of_other_distributions(&distributions));
    let own = own_libraries(tree, &foreign);
    // Only Windows looks for this ending.
    let is_beside_own = |path: &TreePath| {
        path.file_name().strip_suffix(".pyd").is_some() && without_endings(path).is_some_and(|path| own.contains(&path))
    };
    foreign
        .into_iter()
        .map(|(path, system)| {
            let is_alternative =
                alternatives(&path).is_some_and(|place| fitting.contains(&place)) || is_beside_own(&path);
            (path, Foreign { system, is_alternative })
        })
        .filter(|(path, foreign)| foreign.is_alternative || !unnamed.contains(path))
        .collect()
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::MachO => "macOS",
            Self::Pe => "Windows",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_platforms_and_alternatives() {
        WORDS.as_ref().unwrap();
        let place = |path: &str| alternatives(&TreePath::new(path).unwrap());
        let same = |a: &str, b: &str| {
            assert!(place(a).is_some(), "{a}");
            assert_eq!(place(a), place(b), "{a} {b}");
        };
        same(
            "p/prebuilds/linux-x64/a.glibc.node",
            "p/prebuilds/darwin-x64+arm64/a.node",
        );
        same(
            "n/@img/sharp-linux-x64/lib/sharp-linux-x64.node",
            "n/@img/sharp-linuxmusl-arm64/lib/x.node",
        );
        same(
            "n/c/libquery_engine-debian-openssl-3.0.x.so.node",
            "n/c/libquery_engine-darwin-arm64.dylib.node",
        );
        same(
            "p/_core.cpython-313-x86_64-linux-gnu.so",
            "p/_core.cpython-313-darwin.so",
        );
        assert_ne!(
            place("n/@img/sharp-linux-x64/a"),
            place("n/@img/sharp-libvips-linux-x64/a")
        );
        for plain in ["lib/libfoo.so.1", "bin/program", "win/lib/x.so", "python/armory/x.so"] {
            assert_eq!(place(plain), None, "{plain}");
        }
        let built = TreePath::new("n/a/build/Release/a.node").unwrap();
        assert_eq!(prebuilds_of_build(&built), place("n/a/prebuilds/darwin-x64/a.node"));
        let other = |path: &str| named_for_another(&TreePath::new(path).unwrap(), Arch::X86_64);
        assert_eq!(other("p/prebuilds/linux-x64/a.node"), None);
        assert_eq!(other("p/prebuilds/linux-x64/a.musl.node").as_deref(), Some("musl"));
        assert_eq!(other("p/prebuilds/darwin-x64/a.node").as_deref(), Some("macOS"));
        assert_eq!(other("p/prebuilds/linux-arm/a.armv7.node").as_deref(), Some("arm"));
        assert_eq!(other("p/prebuilds/android-x64/a.node").as_deref(), Some("Android"));
    }
}
