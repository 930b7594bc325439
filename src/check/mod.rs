//! Would Lambda run it? Reads layers or a tree and says what is wrong with them.

mod programs;
mod read;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use programs::program_findings;
pub use read::{Layer, read_zips};

use crate::finding::{Code, Finding};
use crate::limits;
use crate::loader::{Grade, Graph, graph, version_problems};
use crate::pack::{MANIFEST_NAME, Manifest};
use crate::progress::{Interrupted, Progress};
use crate::root::{Place, Root, Unresolved, link_target};
use crate::runtime::{Arch, Runtime};
use crate::size::{Bytes, exact};
use crate::tree::path::escaped;
use crate::tree::scan::{Problem, ProblemKind, ScanError, scan};
use crate::tree::{Content, Entry, Tree, TreePath};

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// There is nothing to check at a path.
    #[error("cannot check {path}: {reason}; give zips, a folder with zips, or a tree", path = .path.display())]
    Unreachable {
        /// The path as given.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The tree cannot be scanned.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A file could not be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The user stopped the run.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// What is to be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Zips, in the order in which they are attached.
    Zips(Vec<PathBuf>),
    /// A tree as it lies on disk.
    Tree(PathBuf),
}

/// The answer.
#[derive(Debug, Clone)]
pub struct Report {
    /// The layers in order, empty for a tree.
    pub layers: Vec<LayerSize>,
    /// Everything that was found, errors first, then by layer and path.
    pub findings: Vec<Finding>,
    /// All layers laid over one another, as Lambda does it: the later one wins.
    pub merged: Tree,
    /// What the loader does with that.
    pub graph: Graph,
}

/// The size of one layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerSize {
    /// The zip's file name.
    pub file: String,
    /// Its length.
    pub zipped_bytes: Bytes,
    /// The sum of its entries' lengths.
    pub unzipped_bytes: Bytes,
    /// How many entries it has.
    pub entries: usize,
}

/// Finds out what the paths on the command line stand for.
///
/// A folder with a manifest or with zips stands for these zips, in the manifest's order, else by number; any other folder
/// is a tree.
pub fn inputs(paths: &[PathBuf]) -> Result<Vec<Input>, CheckError> {
    let mut zips = Vec::new();
    let mut inputs = Vec::new();
    for path in paths {
        let unreachable = |reason: String| CheckError::Unreachable {
            path: path.clone(),
            reason,
        };
        let metadata = path.metadata().map_err(|error| unreachable(error.to_string()))?;
        if metadata.is_file() {
            zips.push(path.clone());
        } else if metadata.is_dir() {
            match zips_in(path)? {
                found if found.is_empty() => inputs.push(Input::Tree(path.clone())),
                found => zips.extend(found),
            }
        } else {
            return Err(unreachable("it is neither a file nor a folder".to_owned()));
        }
    }
    if !zips.is_empty() {
        inputs.insert(0, Input::Zips(zips));
    }
    Ok(inputs)
}

fn zips_in(folder: &Path) -> Result<Vec<PathBuf>, CheckError> {
    let mut zips: Vec<PathBuf> = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "zip") && path.is_file() {
            zips.push(path);
        }
    }
    let listed = listed_layers(folder);
    zips.sort_by_key(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let position = listed.iter().position(|listed| *listed == name);
        (position.unwrap_or(usize::MAX), number_in(&name), name)
    });
    // What the manifest lists and is not there is found missing when it is opened.
    for name in listed {
        let path = folder.join(&name);
        if !zips.contains(&path) {
            zips.push(path);
        }
    }
    Ok(zips)
}

/// The layers that the folder's manifest lists; none if there is no manifest that can be read.
fn listed_layers(folder: &Path) -> Vec<String> {
    let manifest = Manifest::read(&folder.join(MANIFEST_NAME));
    manifest.map_or_else(
        |_| Vec::new(),
        |manifest| manifest.layers.into_iter().map(|layer| layer.file).collect(),
    )
}

/// The runtime and architecture that the folder's manifest names.
pub fn packed_for(folder: &Path) -> Option<(String, Arch)> {
    let manifest = Manifest::read(&folder.join(MANIFEST_NAME)).ok()?;
    Some((manifest.runtime, manifest.arch))
}

/// The first number in a name, so that layer-10 comes after layer-9.
fn number_in(name: &str) -> u64 {
    let digits: String = name
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().unwrap_or(u64::MAX)
}

/// Reads inputs as layers: each zip is one, a tree is one without a zip.
pub fn read(inputs: &[Input], progress: &dyn Progress) -> Result<Vec<Layer>, CheckError> {
    let mut layers = Vec::new();
    for input in inputs {
        match input {
            Input::Zips(zips) => layers.extend(read_zips(zips, progress)?),
            Input::Tree(path) => {
                let scan = scan(path, progress)?;
                layers.push(Layer {
                    file: path.display().to_string(),
                    zip_bytes: None,
                    entries: scan.tree.iter().count(),
                    findings: scan_findings(&scan.problems),
                    sums: BTreeMap::new(),
                    tree: scan.tree,
                });
            }
        }
    }
    Ok(layers)
}

/// What could not be read of a tree, as findings.
pub fn scan_findings(problems: &[Problem]) -> Vec<Finding> {
    problems
        .iter()
        .map(|problem| {
            match &problem.kind {
                ProblemKind::NotUtf8 => Finding::new(Code::NameNotUtf8, &[]),
                ProblemKind::Unreadable(reason) => Finding::new(Code::UnreadableFile, &[("reason", reason)]),
                ProblemKind::Special(kind) => Finding::new(Code::SpecialFile, &[("kind", kind)]),
            }
            .at(problem.path.clone())
        })
        .collect()
}

/// Judges layers that are attached in this order.
pub fn judge(layers: Vec<Layer>, runtime: &Runtime) -> Report {
    let mut findings = Vec::new();
    let mut sizes = Vec::new();
    let mut unzipped = Bytes(0);
    let mut merged = Tree::default();
    // Which layer an entry of `merged` is from, by its number, and the sum of its content.
    let mut origins: BTreeMap<TreePath, (usize, Option<(u32, u64)>)> = BTreeMap::new();
    let mut files: Vec<String> = Vec::new();
    let alone = layers.len() == 1;
    for layer in layers {
        let size = layer.tree.totals().unzipped_bytes;
        unzipped += size;
        let name = layer.zip_bytes.map(|_| layer.file.as_str());
        if let Some(bytes) = layer.zip_bytes {
            findings.extend(zip_size(bytes).map(|finding| finding.in_layer(name)));
            sizes.push(LayerSize {
                file: layer.file.clone(),
                zipped_bytes: bytes,
                unzipped_bytes: size,
                entries: layer.entries,
            });
        }
        findings.extend(layer.findings.into_iter().map(|finding| finding.in_layer(name)));
        if alone {
            merged = layer.tree;
            break;
        }
        for (path, entry) in layer.tree {
            let sum = layer.sums.get(&path).copied();
            let known = origins.get(&path);
            if let Some((other, other_sum)) = known
                && !same(merged.get(&path), &entry, *other_sum, sum)
            {
                findings.push(
                    Finding::new(Code::ConflictingPath, &[("other", &files[*other])])
                        .at(shown(&path))
                        .in_layer(name),
                );
            }
            if known.is_none() || !matches!(entry, Entry::Directory(_)) {
                origins.insert(path.clone(), (files.len(), sum));
                merged.insert(path, entry);
            }
        }
        files.push(layer.file);
    }
    if sizes.len() > limits::LAYERS {
        findings.push(Finding::new(
            Code::TooManyLayers,
            &[("count", &sizes.len().to_string())],
        ));
    }
    if unzipped.0 >= limits::UNZIPPED_BYTES {
        findings.push(Finding::new(
            Code::UnzippedTooLarge,
            &[("bytes", &exact(unzipped.0)), ("limit", &exact(limits::UNZIPPED_BYTES))],
        ));
    }
    let graph = graph(Root { tree: &merged, runtime });
    findings.extend(link_findings(Root { tree: &merged, runtime }));
    findings.extend(object_findings(&merged, runtime));
    findings.extend(loader_findings(Root { tree: &merged, runtime }, &graph));
    findings.sort();
    Report {
        layers: sizes,
        findings,
        merged,
        graph,
    }
}

fn zip_size(bytes: Bytes) -> Option<Finding> {
    let code = if bytes.0 > limits::ZIPPED_BYTES {
        Code::ZipTooLarge
    } else if bytes.0 > limits::ZIPPED_BYTES_NEAR {
        Code::ZipNearLimit
    } else {
        return None;
    };
    Some(Finding::new(code, &[("bytes", &exact(bytes.0))]))
}

/// Whether two layers hold the same thing at a path.
fn same(a: Option<&Entry>, b: &Entry, a_sum: Option<(u32, u64)>, b_sum: Option<(u32, u64)>) -> bool {
    match (a, b) {
        (Some(Entry::Directory(_)), Entry::Directory(_)) => true,
        (Some(Entry::Symlink(a)), Entry::Symlink(b)) => a == b,
        (Some(Entry::File(_)), Entry::File(_)) => a_sum.is_some() && a_sum == b_sum,
        _ => false,
    }
}

/// Links that lead nowhere, out of /opt or in a circle.
pub fn link_findings(root: Root<'_>) -> Vec<Finding> {
    root.tree
        .iter()
        .filter_map(|(path, entry)| {
            let Entry::Symlink(target) = entry else {
                return None;
            };
            let (code, target) = match root.resolve(&link_target(path, target)) {
                Ok(Place::Tree(_)) => return None,
                Err(Unresolved::NotInTree(at)) => (Code::DanglingLink, at),
                Ok(Place::Runtime(at)) | Err(Unresolved::NotInRuntime(at)) => (Code::LinkOutOfOpt, at),
                Err(Unresolved::Loop) => (Code::LinkLoop, String::new()),
            };
            let target = escaped(target.as_bytes());
            Some(Finding::new(code, &[("target", &target)]).at(shown(path)))
        })
        .collect()
}

/// Objects for another processor, and files that only look like objects.
pub fn object_findings(tree: &Tree, runtime: &Runtime) -> Vec<Finding> {
    tree.files()
        .filter_map(|(path, file)| {
            let finding = match &file.content {
                Content::Object(object) if object.machine != runtime.arch.machine() => Finding::new(
                    Code::WrongMachine,
                    &[
                        ("machine", &object.machine.to_string()),
                        ("arch", &runtime.arch.to_string()),
                    ],
                ),
                Content::BrokenObject(reason) => {
                    Finding::new(Code::UnreadableObject, &[("reason", &escaped(reason.as_bytes()))])
                }
                _ => return None,
            };
            Some(finding.at(shown(path)))
        })
        .collect()
}

/// Needed libraries that the loader will not find.
fn missing_libraries(graph: &Graph, runtime: &Runtime) -> Vec<Finding> {
    graph
        .missing()
        .into_iter()
        .map(|(soname, needed_by)| {
            let path = needed_by.first().map(|path| shown(path)).unwrap_or_default();
            Finding::new(
                Code::MissingLibrary,
                &[
                    ("soname", &escaped(soname.as_bytes())),
                    ("needed_by", &names(&needed_by)),
                    ("runtime", &runtime.name),
                ],
            )
            .at(path)
        })
        .collect()
}

/// Everything that keeps programs from starting: libraries, symbol versions, interpreters and commands.
pub fn loader_findings(root: Root<'_>, graph: &Graph) -> Vec<Finding> {
    let mut findings = missing_libraries(graph, root.runtime);
    findings.extend(version_findings(root, graph));
    findings.extend(program_findings(root));
    findings
}

fn version_findings(root: Root<'_>, graph: &Graph) -> Vec<Finding> {
    version_problems(root, graph)
        .into_iter()
        .map(|problem| {
            let code = match problem.grade {
                Grade::Fatal => Code::SymbolVersionMissing,
                Grade::NoInformation => Code::NoVersionInformation,
            };
            let defines = problem.highest.as_deref().map_or_else(
                || "does not define it".to_owned(),
                |highest| format!("has {highest} at most"),
            );
            let symbols = if problem.symbols.is_empty() {
                "no symbol by name".to_owned()
            } else {
                some_of(&problem.symbols, problem.symbol_count)
            };

            Finding::new(
                code,
                &[
                    ("version", &escaped(problem.version.as_bytes())),
                    ("library", &escaped(problem.library.as_bytes())),
                    ("found", &escaped(problem.found.as_bytes())),
                    ("defines", &defines),
                    ("symbols", &symbols),
                ],
            )
            .at(shown(&problem.object))
        })
        .collect()
}

/// A few names, the others by their number.
fn some_of(names: &[String], count: usize) -> String {
    const SHOWN: usize = 5;
    let mut text: Vec<String> = names.iter().take(SHOWN).map(|name| escaped(name.as_bytes())).collect();
    if count > text.len() {
        text.push(format!("{} more", count - text.len()));
    }
    text.join(", ")
}

/// A few paths by name, the others by their number.
pub fn names(paths: &[&TreePath]) -> String {
    const SHOWN: usize = 3;
    let mut text: Vec<String> = paths.iter().take(SHOWN).map(|path| shown(path)).collect();
    if paths.len() > SHOWN {
        text.push(format!("{} more", paths.len() - SHOWN));
    }
    text.join(", ")
}

fn shown(path: &TreePath) -> String {
    escaped(path.to_string().as_bytes())
}
