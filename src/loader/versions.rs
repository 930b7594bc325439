//! Symbol versions: whether each library that the loader takes defines what the object asks of it (glibc
//! `elf/dl-version.c`).

use super::graph::{Graph, Need};
use super::search::{Resolution, Resolved};
use crate::root::{Location, Root};
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
    /// The highest version of that family that the runtime has, where no more than that is known of the library.
    pub highest: Option<String>,
    /// Symbols that ask for it; see [`VersionNeed::symbols`](crate::elf::VersionNeed).
    pub symbols: Vec<String>,
    /// How many symbols ask for it.
    pub symbol_count: usize,
    /// How bad it is.
    pub grade: Grade,
}

/// Compares what every object asks for with the library that the loader really takes for it. Weak needs are no problem.
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

fn judge(root: Root<'_>, found: &Resolved, version: &str) -> Option<(Grade, Option<String>)> {
    match root.object(&found.place)?.versions.as_deref() {
        Some([]) => Some((Grade::NoInformation, None)),
        Some(defined) => (!defined.iter().any(|known| known == version)).then_some((Grade::Fatal, None)),
        None if matches!(found.place, Location::Runtime(_)) => {
            let (family, number) = if version == PACKED_RELOCATIONS.0 {
                ("GLIBC", PACKED_RELOCATIONS.1)
            } else {
                version.rsplit_once('_')?
            };
            let highest = root.runtime.highest_versions.get(family)?;
            let newer = numbers(number)? > numbers(highest)?;
            newer.then(|| (Grade::Fatal, Some(format!("{family}_{highest}"))))
        }
        None => None,
    }
}

/// A version's numbers, to be compared one after the other; `None` for a version that is not made of numbers.
fn numbers(version: &str) -> Option<Vec<u32>> {
    version.split('.').map(|number| number.parse().ok()).collect()
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
    fn versions_are_compared_by_number() {
        assert!(numbers("2.9") < numbers("2.35"));
        assert!(numbers("2.34") < numbers("2.34.1"));
        assert_eq!(numbers("PRIVATE"), None);
        if cfg!(target_env = "gnu") {
            assert_eq!(reported("2.99"), [""; 0]);
            // Every program asks for the version that its start code came with.
            assert!(!reported("2.1").is_empty());
        }
    }
}
