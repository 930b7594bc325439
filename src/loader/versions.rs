//! Symbol versions: whether each library that the loader takes defines what the object asks of it (glibc
//! `elf/dl-version.c`).

use std::collections::{BTreeMap, BTreeSet};

use super::graph::{Followed, Graph, Need, Start};
use super::search::{Resolution, Resolved};
use crate::root::{Location, Root};
use crate::runtime::{family, numbers};
use crate::tree::TreePath;

/// The version by which an object says that it has packed relative relocations; the loader that can read them, glibc 2.36
/// and newer, defines it.
const PACKED_RELOCATIONS: (&str, &str) = ("GLIBC_ABI_DT_RELR", "2.36");

/// How bad a missing version is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// The loader fails: "version `GLIBC_2.35' not found".
    Fatal,
    /// The library defines no versions at all: the loader only says "no version information available".
    NoInformation,
    /// What the runtime's library defines is not known.
    NotChecked,
}

/// A version that an object asks for and does not get.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VersionProblem {
    /// The object.
    pub object: TreePath,
    /// The library, as the object names it.
    pub library: String,
    /// The library that the loader takes, by the path where it finds it.
    pub found: String,
    /// The version.
    pub version: String,
    /// The highest version of that family that the library or the runtime has, if there is one.
    pub highest: Option<String>,
    /// Symbols that ask for it; see [`VersionNeed::symbols`](crate::elf::VersionNeed).
    pub symbols: Vec<String>,
    /// How many symbols ask for it.
    pub symbol_count: usize,
    /// How bad it is.
    pub grade: Grade,
}

/// Compares what every object asks for with the library that the loader really takes for it. Weak needs are not a problem.
pub fn version_problems(root: Root<'_>, graph: &Graph) -> Vec<VersionProblem> {
    let mut problems = Vec::new();
    for (path, needs) in graph.loaded_objects() {
        let Some(object) = root.tree.object(path) else { continue };
        for asked in object.version_needs.iter().filter(|asked| !asked.weak) {
            let found = needs.iter().find_map(|need| match &need.resolution {
                Resolution::Found(found) if need.soname == asked.library => Some(found),
                _ => None,
            });
            let Some(found) = found else { continue };
            if let Some((grade, highest)) = judge(root, found, &asked.version) {
                problems.push(VersionProblem {
                    object: path.clone(),
                    library: asked.library.clone(),
                    found: found.path.clone(),
                    version: asked.version.clone(),
                    highest,
                    symbols: asked.symbols.clone(),
                    symbol_count: asked.symbol_count,
                    grade,
                });
            }
        }
    }
    problems.sort();
    problems
}

/// Whether the library that an object gets for a name has a version. What is not known to be missing is there.
pub fn has_version(root: Root<'_>, needs: &[Need], library: &str, version: &str) -> bool {
    let found = needs.iter().find_map(|need| match &need.resolution {
        Resolution::Found(found) if need.soname == library => Some(found),
        _ => None,
    });
    found.is_none_or(|found| judge(root, found, version).is_none())
}

/// A version that an object asks of a library which no object of its process needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LooseVersion {
    /// The object.
    pub object: TreePath,
    /// The library, as the object names it.
    pub library: String,
    /// The first of the versions.
    pub version: String,
}

/// The versions for which the loader does not find the library among those of the process, and ends with an assertion
/// (`elf/dl-version.c`, `_dl_check_map_versions`).
pub fn loose_versions(followed: &[Followed<'_>]) -> Vec<LooseVersion> {
    let mut problems = BTreeMap::new();
    for process in followed.iter().filter(|process| process.start == Start::Program) {
        // The names under which the loader knows what is mapped.
        let mut names: BTreeSet<&str> = BTreeSet::new();
        for loaded in &process.loaded {
            names.extend(loaded.object.soname.as_deref());
            names.extend(loaded.needs.iter().map(|(name, _)| *name));
        }
        for loaded in &process.loaded {
            let Location::Tree(path) = &loaded.found.place else {
                continue;
            };
            let loose = loaded.object.version_needs.iter();
            let loose = loose.filter(|need| !names.contains(need.library.as_str()) && !is_loader(&need.library));
            for need in loose {
                problems
                    .entry((path, &need.library))
                    .or_insert_with(|| need.version.clone());
            }
        }
    }
    problems
        .into_iter()
        .map(|((object, library), version)| LooseVersion {
            object: object.clone(),
            library: library.clone(),
            version,
        })
        .collect()
}

/// Whether a name is the loader's, which is part of every process.
fn is_loader(name: &str) -> bool {
    name.starts_with("ld-linux") || name.starts_with("ld-musl")
}

/// A process in which the loader is of another build than the C library.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TwoCLibraries {
    /// The program.
    pub program: TreePath,
    /// Its loader, by its path.
    pub loader: String,
    /// The C library that it gets, by its path.
    pub library: String,
}

/// Processes of which either the loader or `libc.so.6` comes from the tree, and the other from the runtime.
pub fn c_libraries(root: Root<'_>, followed: &[Followed<'_>]) -> Vec<TwoCLibraries> {
    let mut problems = BTreeSet::new();
    for process in followed.iter().filter(|process| process.start == Start::Program) {
        let Some(Location::Tree(program)) = process.loaded.first().map(|first| &first.found.place) else {
            continue;
        };
        let library = process.loaded.iter().find(|loaded| {
            let is_needed = process.loaded.iter().flat_map(|loaded| &loaded.needs);
            loaded.found.path.ends_with("/libc.so.6") && is_needed.into_iter().any(|(name, _)| *name == "libc.so.6")
        });
        let loader = process.process.loader(process.loaded[0].object);
        let loader = root.resolve(loader.unwrap_or(&root.runtime.interpreter));
        if let (Some(library), Ok(loader)) = (library, loader)
            && matches!(loader, Location::Tree(_)) != matches!(library.found.place, Location::Tree(_))
        {
            problems.insert(TwoCLibraries {
                program: program.clone(),
                loader: loader.on_lambda(),
                library: library.found.path.clone(),
            });
        }
    }
    problems.into_iter().collect()
}

fn judge(root: Root<'_>, found: &Resolved, version: &str) -> Option<(Grade, Option<String>)> {
    let library = root.object(&found.place)?;
    match library.versions.as_deref() {
        // Where symbols have no versions at all, not even those that it asks of others, looking one up in it ends with an
        // assertion (`elf/dl-lookup.c`, `check_match`).
        Some([]) if library.version_needs.is_empty() && matches!(found.place, Location::Tree(_)) => {
            Some((Grade::Fatal, None))
        }
        Some([]) => Some((Grade::NoInformation, None)),
        Some(defined) if defined.iter().any(|known| known == version) => None,
        Some(defined) => Some((Grade::Fatal, highest_of_family(defined, version))),
        None if matches!(found.place, Location::Runtime(_)) => judge_by_family(&root.runtime.highest_versions, version),
        None => None,
    }
}

/// The newest of the versions that belongs to the same family as the one asked for.
fn highest_of_family(defined: &[String], version: &str) -> Option<String> {
    let asked = family(version).0;
    let of_family = defined.iter().filter(|known| family(known).0 == asked);
    of_family
        .filter_map(|known| Some((numbers(family(known).1?)?, known)))
        .max()
        .map(|(_, known)| known.clone())
}

/// What can be said where only the highest version of some families is known.
fn judge_by_family(highest: &BTreeMap<String, String>, version: &str) -> Option<(Grade, Option<String>)> {
    let (family, number) = if version == PACKED_RELOCATIONS.0 {
        ("GLIBC", Some(PACKED_RELOCATIONS.1))
    } else {
        family(version)
    };
    match (highest.get(family), number.and_then(numbers)) {
        (Some(known), Some(asked)) => {
            let newer = asked > numbers(known)?;
            newer.then(|| (Grade::Fatal, Some(format!("{family}_{known}"))))
        }
        // A version outside of the numbering, such as CXXABI_FLOAT128, is as old as its family.
        _ if highest.keys().any(|known| version.starts_with(&format!("{known}_"))) => None,
        _ => Some((Grade::NotChecked, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::languages::inspector;
    use crate::loader::graph;
    use crate::runtime::{Arch, Runtime};
    use crate::tree::{Entry, File, Mode, Tree};

    /// The reported versions of this test program, taken for a tree, on a runtime whose glibc is as old as `highest`.
    fn reported(highest: &str) -> Vec<String> {
        let bytes = fs_err::read(std::env::current_exe().unwrap()).unwrap();
        let mut tree = Tree::default();
        tree.insert(
            TreePath::new("bin/test").unwrap(),
            Entry::File(File {
                bytes: crate::size::Bytes(bytes.len() as u64),
                mode: Mode::new(0o755),
                content: inspector().inspect("test", &bytes),
            }),
        );
        let arch = if cfg!(target_arch = "x86_64") {
            Arch::X86_64
        } else {
            Arch::Arm64
        };
        let mut runtime = Runtime::load(crate::runtime::DEFAULT, arch).unwrap();
        runtime.highest_versions.insert("GLIBC".to_owned(), highest.to_owned());
        let root = Root {
            tree: &tree,
            runtime: &runtime,
        };
        let problems = version_problems(root, &graph(root));
        problems.into_iter().map(|problem| problem.version).collect()
    }

    #[test]
    fn families_that_are_not_known_are_not_checked() {
        let highest = BTreeMap::from([("CXXABI".to_owned(), "1.3.13".to_owned())]);
        let grade = |version| judge_by_family(&highest, version).map(|(grade, _)| grade);
        assert_eq!(grade("CXXABI_1.3.15"), Some(Grade::Fatal));
        assert_eq!(grade("CXXABI_1.3.9"), None);
        assert_eq!(grade("CXXABI_FLOAT128"), None);
        assert_eq!(grade("ZLIB_1.2.9"), Some(Grade::NotChecked));
    }

    #[test]
    fn versions_are_compared_by_number() {
        if cfg!(target_env = "gnu") {
            assert_eq!(reported("2.99"), [""; 0]);
            // Every program asks for the version that its start code came with.
            assert!(!reported("2.1").is_empty());
        }
    }
}
