//! Checks layers, or a tree, for everything that keeps them from running on Lambda.

mod archive;
mod large;
mod layout;
mod libraries;
mod lifecycle;
mod links;
mod names;
mod native;
mod opened;
mod programs;
mod read;
mod set;
mod start;

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, BuildHasherDefault};
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use layout::layout_findings;
pub use lifecycle::lifecycle_finding;
pub use links::link_findings;
pub use native::native_findings;
pub use programs::program_findings;
use read::distinct_names;
pub use read::{InZip, Layer, MAX_UNZIPPED, plain_name, read_zips};
pub(crate) use set::zips_in_order;

use crate::companions::{MissingCompanion, missing_companions};
use crate::finding::{Code, Finding, Severity};
use crate::limits;
use crate::loader::{Graph, LoadedTree};
use crate::manifest::{MANIFEST_NAME, Outline, UploadRoute};
use crate::progress::{Interrupted, Progress};
use crate::root::{Location, Root, link_target};
use crate::runtime::{Arch, Runtime};
use crate::scan::{Problem, ProblemKind, ScanError, scan};
use crate::size::{Bytes, exact};
use crate::timings::phase;
use crate::tree::path::escaped;
use crate::tree::{Entry, Mode, Tree, TreePath};

/// Error of [`inputs`] and [`read()`].
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// There is nothing to check at a path.
    #[error("cannot read {path}: {reason}", path = .path.display())]
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

/// Input of `check`: zips, or a tree on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Zips, in the order in which they are attached.
    Zips(Vec<PathBuf>),
    /// A directory with layers, held against its manifest.
    Directory(PathBuf),
    /// A tree on disk.
    Tree(PathBuf),
}

/// Result of `check`.
#[derive(Debug, Clone)]
pub struct Report {
    /// The layers in order, empty for a tree.
    pub layers: Vec<LayerSize>,
    /// What all zips and trees have unzipped: what counts towards Lambda's limit.
    pub unzipped_bytes: Bytes,
    /// Everything that was found, errors first, then by layer and path.
    pub findings: Vec<Finding>,
    /// All layers laid over one another, as Lambda does it: the later one wins.
    pub merged: Tree,
    /// What the loader does with that.
    pub graph: Graph,
}

/// The size of one layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
/// A directory with a manifest or with zips stands for these zips, in the manifest's order, else by number; any other directory
/// is a tree.
pub fn inputs(paths: &[PathBuf]) -> Result<Vec<Input>, CheckError> {
    let mut layers = Vec::new();
    let mut trees = Vec::new();
    for path in paths {
        let unreachable = |reason: String| CheckError::Unreachable {
            path: path.clone(),
            reason,
        };
        let metadata = path.metadata().map_err(|error| unreachable(reason_of(&error)))?;
        if metadata.is_file() && path.file_name().is_some_and(|name| name == MANIFEST_NAME) {
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            return Err(unreachable(format!(
                "it is the list of the layers; give its directory, {}",
                directory.unwrap_or(Path::new(".")).display()
            )));
        } else if metadata.is_file() {
            match layers.last_mut() {
                Some(Input::Zips(zips)) => zips.push(path.clone()),
                _ => layers.push(Input::Zips(vec![path.clone()])),
            }
        } else if !metadata.is_dir() {
            return Err(unreachable(
                "it is neither a file nor a directory; give zips, a directory of zips, or a tree".to_owned(),
            ));
        } else if set::is_set(path)? {
            layers.push(Input::Directory(path.clone()));
        } else {
            trees.push(Input::Tree(path.clone()));
        }
    }
    layers.extend(trees);
    Ok(layers)
}

/// Why there is nothing at a path, and what to give instead.
fn reason_of(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            "there is no such file or directory; give zips, a directory of zips, or a tree".to_owned()
        }
        _ => error.to_string(),
    }
}

/// What layers were packed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedFor {
    /// The runtime's name.
    pub runtime: String,
    /// The architecture.
    pub arch: Arch,
    /// How they are to get to AWS.
    pub via: UploadRoute,
}

/// What the directory's manifest says that it was packed for.
pub fn packed_for(directory: &Path) -> Option<PackedFor> {
    let outline = Outline::read(&directory.join(MANIFEST_NAME)).ok()?;
    Some(PackedFor {
        runtime: outline.runtime,
        arch: outline.arch,
        via: outline.via,
    })
}

/// Reads inputs as layers: each zip is one, a tree is one without a zip, with the permissions that pack gives it. A zip that
/// declares more than `max_unzipped` is not unpacked.
pub fn read(inputs: &[Input], max_unzipped: Bytes, progress: &dyn Progress) -> Result<Vec<Layer>, CheckError> {
    let mut layers = Vec::new();
    let mut paths = Vec::new();
    for input in inputs {
        match input {
            Input::Zips(zips) => {
                layers.extend(read_zips(zips, max_unzipped, progress)?);
                paths.extend(zips.iter().cloned());
            }
            Input::Directory(path) => {
                let read = set::read(path, max_unzipped, progress)?;
                let zips = read.iter().filter(|layer| layer.zip_bytes.is_some());
                paths.extend(zips.map(|layer| path.join(&layer.file)));
                layers.extend(read);
            }
            Input::Tree(path) => {
                let scan = scan(path, progress).map_err(|error| match error {
                    ScanError::Empty(path) => CheckError::Unreachable {
                        path,
                        reason: "it is empty; give zips, a directory of zips, or a tree".to_owned(),
                    },
                    error => error.into(),
                })?;
                layers.push(Layer {
                    file: path.display().to_string(),
                    zip_bytes: None,
                    entries: scan.tree.iter().count(),
                    unzipped_bytes: scan.tree.totals().unzipped_bytes,
                    findings: scan_findings(&scan.problems)
                        .into_iter()
                        .chain(tree_names(&scan.tree))
                        .collect(),
                    in_zip: BTreeMap::new(),
                    tree: as_packed(scan.tree),
                });
            }
        }
    }
    let names = distinct_names(&paths);
    let of_zips = layers.iter_mut().filter(|layer| layer.zip_bytes.is_some());
    for (layer, name) in of_zips.zip(names) {
        layer.file = name;
    }
    Ok(layers)
}

/// Names that no zip may have. All that is in a directory with such a name has one, too, and is not told.
pub fn tree_names(tree: &Tree) -> impl Iterator<Item = Finding> {
    let mut told: Option<&TreePath> = None;
    tree.iter().filter_map(move |(path, _)| {
        if told.is_some_and(|directory| path.below(directory).is_some()) {
            return None;
        }
        let what = plain_name(path.as_str().as_bytes()).err()?;
        told = Some(path);
        Some(Finding::new(Code::BadName, &[("what", what)]).at(shown(path)))
    })
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

/// A tree with the permissions that its files have in a layer.
fn as_packed(tree: Tree) -> Tree {
    let packed = tree.into_iter().map(|(path, mut entry)| {
        match &mut entry {
            Entry::File(file) => file.mode = file.mode.in_layer(),
            Entry::Directory(mode) => *mode = Mode::DIRECTORY,
            Entry::Symlink(_) => {}
        }
        (path, entry)
    });
    packed.collect()
}

/// Judges layers that are attached in this order. `reserve` is how much of Lambda's limit to leave for the function's code.
pub fn judge(layers: Vec<Layer>, runtime: &Runtime, reserve: Bytes) -> Report {
    let _phase = phase("judge");
    let Merged {
        sizes,
        unzipped,
        tree: merged,
        origins,
        mut findings,
    } = merge(layers);
    if sizes.len() > limits::LAYERS {
        let count = sizes.len().to_string();
        findings.push(Finding::new(Code::TooManyLayers, &[("count", &count)]));
    }
    findings.extend(unzipped_size(unzipped, reserve));
    let root = Root { tree: &merged, runtime };
    let loaded = LoadedTree::of(root);
    let mut together = Vec::new();
    // Of a zip that is not unpacked, nothing is known but that.
    if !findings.iter().any(|finding| finding.code.prevents_unpacking()) {
        together.extend(tree_findings(&loaded));
        together.extend(links_between(root, &origins));
        together.extend(start::start_findings(root));
    }
    together.extend(covered_paths(&merged));
    together.extend(names_differ_in_case(&merged));
    findings.extend(together.into_iter().map(|finding| {
        let layer = finding.path.as_deref().and_then(|path| origins.layer_of(path));
        finding.in_layer(layer)
    }));
    findings.sort();
    let graph = loaded.into_graph();
    Report {
        layers: sizes,
        unzipped_bytes: unzipped,
        findings: limited(findings),
        merged,
        graph,
    }
}

/// Layers laid over one another.
#[derive(Default)]
struct Merged {
    sizes: Vec<LayerSize>,
    unzipped: Bytes,
    tree: Tree,
    origins: Origins,
    /// What is wrong with single layers, and where two have something else at one path.
    findings: Vec<Finding>,
}

/// Lays layers over one another: of two at one path the later one counts, as on Lambda.
fn merge(layers: Vec<Layer>) -> Merged {
    let mut all = Merged::default();
    for layer in layers {
        all.unzipped += layer.unzipped_bytes;
        let name = layer.zip_bytes.map(|_| layer.file.as_str());
        if let Some(size) = layer.size() {
            all.findings
                .extend(zip_size(size.zipped_bytes).map(|finding| finding.in_layer(name)));
            all.sizes.push(size);
        }
        let alone = layer.findings.into_iter().chain(names::name_findings(&layer.tree));
        all.findings.extend(alone.map(|finding| finding.in_layer(name)));
        all.origins.files.push(name.map(ToOwned::to_owned));
        let mut paths = Vec::with_capacity(layer.in_zip.len());
        for (path, entry) in layer.tree {
            let crc32 = layer.in_zip.get(&path).and_then(|known| known.crc32);
            if let Some(there) = all.tree.get(&path)
                && let Some((other, other_crc32)) = all.origins.last(&path)
                && !same(there, &entry, other_crc32, crc32)
            {
                let other = escaped(all.origins.files[other].as_deref().unwrap_or("the tree").as_bytes());
                let words = [
                    ("other", other.as_str()),
                    ("how", "with different content; this layer comes later and wins"),
                ];
                all.findings.push(
                    Finding::new(Code::ConflictingPath, &words)
                        .at(shown(&path))
                        .in_layer(name)
                        .with_severity(conflict_severity(&path, &entry)),
                );
            }
            paths.push((path.clone(), crc32));
            if !matches!(entry, Entry::Directory(_)) || all.tree.get(&path).is_none() {
                all.tree.insert(path, entry);
            }
        }
        all.origins.paths.push(paths);
    }
    all
}

/// How bad it is that layers have different things at a path. The later one wins, which is what its author may want; of a
/// library or program, or where one has a directory, less is certain. What then fails is found for itself.
fn conflict_severity(path: &TreePath, entry: &Entry) -> Severity {
    let is_code = match entry {
        Entry::File(file) => file.content.object().is_some() || file.mode.is_executable(),
        Entry::Symlink(_) => path.file_name().contains(".so"),
        Entry::Directory(_) => true,
    };
    if is_code { Severity::Warning } else { Severity::Note }
}

/// Which layers have a path.
#[derive(Default)]
struct Origins {
    /// The zip of each layer; `None` for a tree.
    files: Vec<Option<String>>,
    /// What each layer has, sorted by path, with the checksums of files that could be read.
    paths: Vec<Vec<(TreePath, Option<u32>)>>,
}

impl Origins {
    /// The zip of the layer from which a path comes in the end; `None` for a tree.
    fn layer_of(&self, path: &str) -> Option<&str> {
        let (number, _) = self.last(&TreePath::new(path)?)?;
        self.files[number].as_deref()
    }

    /// The number of the last layer that has a path, and the checksum there.
    fn last(&self, path: &TreePath) -> Option<(usize, Option<u32>)> {
        let (number, at) = (0..self.paths.len())
            .rev()
            .find_map(|number| Some((number, self.position(number, path)?)))?;
        Some((number, self.paths[number][at].1))
    }

    /// Where a layer has a path among its own.
    fn position(&self, layer: usize, path: &TreePath) -> Option<usize> {
        self.paths[layer].binary_search_by(|(other, _)| other.cmp(path)).ok()
    }

    /// Whether a layer has a path.
    fn has(&self, layer: usize, path: &TreePath) -> bool {
        self.position(layer, path).is_some()
    }
}

/// Of each kind of findings no more than a person or a pipeline can use.
fn limited(findings: Vec<Finding>) -> Vec<Finding> {
    const MOST: usize = 1000;
    let mut counts: BTreeMap<Code, usize> = BTreeMap::new();
    let mut kept = Vec::new();
    for finding in findings {
        let count = counts.entry(finding.code).or_default();
        *count += 1;
        if *count <= MOST {
            kept.push(finding);
        }
    }
    for (code, count) in counts.into_iter().filter(|(_, count)| *count > MOST) {
        let words = [("count", exact((count - MOST) as u64)), ("code", code.to_string())];
        kept.push(Finding::of(Code::MoreFindings, &words));
    }
    kept
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

fn unzipped_size(bytes: Bytes, reserve: Bytes) -> Option<Finding> {
    let shown = exact(bytes.0);
    // The sum must be smaller than the limit.
    match (limits::UNZIPPED_BYTES - 1).checked_sub(bytes.0) {
        None => {
            let words = [("bytes", shown.as_str()), ("limit", &exact(limits::UNZIPPED_BYTES))];
            Some(Finding::new(Code::UnzippedTooLarge, &words))
        }
        Some(left) if left < reserve.0 => {
            let words = [
                ("bytes", shown.as_str()),
                ("left", &exact(left)),
                ("reserve", &exact(reserve.0)),
            ];
            Some(Finding::new(Code::ReserveNotLeft, &words))
        }
        Some(_) => None,
    }
}

/// Whether two layers hold the same thing at a path.
fn same(a: &Entry, b: &Entry, a_crc32: Option<u32>, b_crc32: Option<u32>) -> bool {
    match (a, b) {
        (Entry::Directory(_), Entry::Directory(_)) => true,
        (Entry::Symlink(a), Entry::Symlink(b)) => a == b,
        (Entry::File(a), Entry::File(b)) => a_crc32.is_some() && (a_crc32, a.bytes) == (b_crc32, b.bytes),
        _ => false,
    }
}

/// Paths below what is a file or a link: whether they can be unpacked depends on the order.
fn covered_paths(tree: &Tree) -> Vec<Finding> {
    tree.iter()
        .filter_map(|(path, _)| {
            let (parent, _) = path.splits().next()?;
            let what = match tree.at(parent)? {
                Entry::Directory(_) => return None,
                Entry::File(_) => "a file",
                Entry::Symlink(_) => "a link",
            };
            let how = format!("where {} is {what}", escaped(parent.as_bytes()));
            let words = [("other", "the layers"), ("how", how.as_str())];
            let finding = Finding::new(Code::ConflictingPath, &words).at(shown(path));
            // Which of the two is there depends on the order in which they are unpacked, and the other one is lost.
            Some(finding.with_severity(Severity::Error))
        })
        .collect()
}

/// Links of one layer that lead into another, once for each pair of layers.
fn links_between(root: Root<'_>, origins: &Origins) -> Vec<Finding> {
    let mut between: BTreeMap<(usize, usize), (usize, &TreePath, String)> = BTreeMap::new();
    if origins.files.len() < 2 {
        return Vec::new();
    }
    for (path, entry) in root.tree.iter() {
        let Entry::Symlink(target) = entry else { continue };
        let mut way = Vec::new();
        let Ok(Location::Tree(place)) = root.walk(&link_target(path, target), |link| way.push(link)) else {
            continue;
        };
        way.push(place);
        for layer in (0..origins.files.len()).filter(|layer| origins.has(*layer, path)) {
            let foreign = way.iter().find(|step| !step.is_root() && !origins.has(layer, step));
            if let Some(step) = foreign
                && let Some((other, _)) = origins.last(step)
            {
                let pair = between.entry((layer, other)).or_insert_with(|| (0, path, shown(step)));
                pair.0 += 1;
            }
        }
    }
    between
        .into_iter()
        .map(|((_, other), (count, path, target))| {
            let other = escaped(origins.files[other].as_deref().unwrap_or("the tree").as_bytes());
            let words = [("count", exact(count as u64)), ("other", other), ("target", target)];
            Finding::of(Code::LinkNeedsLayer, &words).at(shown(path))
        })
        .collect()
}

/// Names in one directory that differ in nothing but case.
fn names_differ_in_case(tree: &Tree) -> Option<Finding> {
    fn key(path: &TreePath) -> (&str, String) {
        let name = path.file_name();
        let directory = &path.as_str()[..path.as_str().len() - name.len()];
        (directory, name.to_lowercase())
    }
    // Names in small letters would take as much memory as the tree: only those are made and kept of which the hashes are equal.
    let hash = |path: &TreePath| BuildHasherDefault::<DefaultHasher>::default().hash_one(key(path));
    let mut hashes: Vec<u64> = tree.iter().map(|(path, _)| hash(path)).collect();
    hashes.sort_unstable();
    let repeated = hashes.windows(2).filter(|pair| pair[0] == pair[1]);
    let repeated: BTreeSet<u64> = repeated.map(|pair| pair[0]).collect();
    if repeated.is_empty() {
        return None;
    }
    let mut groups: BTreeMap<(&str, String), Vec<&TreePath>> = BTreeMap::new();
    for (path, _) in tree.iter().filter(|(path, _)| repeated.contains(&hash(path))) {
        groups.entry(key(path)).or_default().push(path);
    }
    let alike: Vec<_> = groups.into_values().filter(|paths| paths.len() > 1).collect();
    let first = alike.first()?;
    let words = [("count", exact(alike.len() as u64)), ("example", names(first))];
    Some(Finding::of(Code::NamesDifferInCase, &words).at(shown(first[0])))
}

/// What is wrong with a tree itself, however it gets to Lambda. What [`judge`] finds beyond that is about layers: what is in
/// which one, names that a zip or an unpacker cannot have, leftovers, and a start script's permissions.
pub fn tree_findings(loaded: &LoadedTree<'_>) -> Vec<Finding> {
    let mut findings = link_findings(loaded.root());
    findings.extend(native_findings(loaded.root(), loaded.graph()));
    findings.extend(layout_findings(loaded));
    findings.extend(loader_findings(loaded));
    findings
}

/// Everything that keeps programs from starting: libraries, symbol versions, interpreters and commands.
fn loader_findings(loaded: &LoadedTree<'_>) -> Vec<Finding> {
    let mut findings = libraries::library_findings(loaded);
    findings.extend(program_findings(loaded));
    findings.extend(opened::opened_findings(loaded.root()));
    findings.extend(companion_findings(loaded.root(), loaded.graph()));
    findings
}

/// Libraries that open files which are not there.
fn companion_findings(root: Root<'_>, graph: &Graph) -> Vec<Finding> {
    let missing = missing_companions(root, graph).into_iter();
    missing
        .filter(|missing| !missing.companion.is_optional())
        .map(|MissingCompanion { library, companion, .. }| {
            let variables: Vec<&str> = companion.variables.keys().map(String::as_str).collect();
            let words = [
                ("what", companion.name.as_str()),
                ("marker", companion.marker()),
                ("variables", &variables.join(" or ")),
                ("package", &companion.package),
                ("runtime", &root.runtime.name),
            ];
            Finding::new(Code::CompanionMissing, &words).at(shown(library))
        })
        .collect()
}

/// How many paths a message names.
const NAMED: usize = 3;

/// A few paths by name, the others by their number.
pub fn names(paths: &[&TreePath]) -> String {
    let mut text: Vec<String> = paths.iter().take(NAMED).map(|path| shown(path)).collect();
    if paths.len() > NAMED {
        text.push(format!("{} more", paths.len() - NAMED));
    }
    text.join(", ")
}

fn shown(path: &TreePath) -> String {
    path.shown()
}
