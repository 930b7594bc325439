//! Layers as `check`, `publish` and `invoke` take them: the runtime that they are for, and the policy of the project.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::check::{Layer, MAX_UNZIPPED, inputs, judge, lifecycle_finding, packed_for, read};
use crate::finding::Finding;
use crate::gate::{BaselineFile, Gate, LicensePolicy, Policy};
use crate::inventory::{Inventory, read_inventory};
use crate::layer_set;
use crate::loader::Graph;
use crate::manifest::{MANIFEST_NAME, Manifest, UploadRoute};
use crate::report::Checked;
use crate::runtime::{Arch, Runtime, RuntimeError};
use crate::sbom::{SbomError, contents};
use crate::size::Bytes;
use crate::tree::Tree;

use super::arguments::{EnvironmentOption, Global};
use super::clock::today;
use super::complete::DEFAULT_TREE;
use super::inputs::TreeDirectory;
use super::output::Failure;
use super::progress::Terminal;

/// The limits that layers are checked against.
#[derive(Debug, Clone)]
pub(super) struct Bounds {
    /// Unzipped bytes that are reserved for the function's own code.
    pub(super) reserve: Bytes,
    /// A zip that declares more unzipped bytes is not unpacked.
    pub(super) max_unzipped: Bytes,
    /// How the layers are uploaded.
    pub(super) via: UploadRoute,
    /// Variables of the function's environment.
    pub(super) environment: EnvironmentOption,
    /// Whether the caller wants to know each file, which costs a copy of every path.
    pub(super) with_files: bool,
}

/// What layers contain and what the loader does with it.
pub(super) struct Contents {
    /// Each file; none unless [`Bounds::with_files`] asks for them.
    pub(super) inventory: Inventory,
    /// All layers laid over one another.
    pub(super) merged: Tree,
    pub(super) graph: Graph,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            reserve: Bytes::default(),
            environment: EnvironmentOption::default(),
            max_unzipped: MAX_UNZIPPED,
            via: UploadRoute::Direct,
            with_files: false,
        }
    }
}

/// Reads the layers of one pack: first completes or undoes a pack that was killed, and reads again if another pack replaces them
/// meanwhile.
pub(super) fn read_settled<T>(
    layers: &[PathBuf],
    global: &Global,
    mut read: impl FnMut() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let directories: Vec<PathBuf> = directories(layers).into_iter().collect();
    layer_set::read_unmixed(&directories, || {
        settle(layers, global)?;
        read()
    })
}

/// The directories that layers are in.
fn directories(layers: &[PathBuf]) -> BTreeSet<PathBuf> {
    let directory = |path: &PathBuf| match path.metadata() {
        Ok(metadata) if metadata.is_dir() => Some(path.clone()),
        Ok(_) => path.parent().map(|parent| Path::new(".").join(parent)),
        // What is not there is for the reader to say.
        Err(_) => None,
    };
    layers.iter().filter_map(directory).collect()
}

/// Brings to its end what a killed pack has begun to put in place where layers are about to be read, and says so.
pub(super) fn settle(layers: &[PathBuf], global: &Global) -> Result<(), Failure> {
    for directory in directories(layers) {
        let shown = directory.display();
        match layer_set::settle(&directory) {
            Ok(None) => {}
            Ok(Some(settled)) => global.warn(&format!(
                "a pack into {shown} was killed while it put its layers in place: {}",
                settled.words()
            )),
            Err(error) => {
                return Err(Failure::Error(format!(
                    "a pack into {shown} was interrupted, so its layers may be of two packs, and they cannot be put right: \
                     {error}; pack again"
                )));
            }
        }
    }
    Ok(())
}

/// Reads the layers at some paths and checks them against the policy of the project.
pub(super) fn checked(
    paths: &[PathBuf],
    policy: Policy,
    bounds: &Bounds,
    global: &Global,
    progress: &Terminal,
) -> Result<(Checked, Contents), Failure> {
    let gate = Gate {
        levels: policy.levels,
        budgets: policy.budgets,
        baseline: match policy.baseline {
            Some(file) => baseline(&file, paths, global, progress)?,
            None => None,
        },
    };
    // Of a directory, check itself says it.
    let files: Vec<PathBuf> = paths.iter().filter(|path| path.is_file()).cloned().collect();
    settle(&files, global)?;
    let opened: Vec<TreeDirectory> = paths
        .iter()
        .map(|path| TreeDirectory::open(path.clone(), DEFAULT_TREE, global, progress))
        .collect::<Result<_, _>>()?;
    let directories: Vec<PathBuf> = opened.iter().map(|opened| opened.path().to_owned()).collect();
    let layers = read(&inputs(&directories)?, bounds.max_unzipped, progress)?;
    let runtime = runtime_of(paths, global, &layers, None)?.with_environment(global.environment(&bounds.environment)?);
    let inventory = if gate.asks_for_sizes() || bounds.with_files {
        Inventory::of_layers(&layers)
    } else {
        Inventory::default()
    };
    let reading = progress.only_reading(opened.iter().flat_map(TreeDirectory::temporary).collect());
    let mut report = judge(layers, &runtime, bounds.reserve);
    drop(reading);
    if bounds.via == UploadRoute::S3 {
        report.findings.retain(|finding| !finding.code.is_about_request());
    }
    report
        .findings
        .extend(license_findings(&policy.licenses, paths, progress)?);
    report.findings.extend(lifecycle_finding(&runtime.name, today()?));
    report.findings.sort();
    let judged = gate.judge(std::mem::take(&mut report.findings), &inventory);
    let contents = Contents {
        inventory,
        merged: std::mem::take(&mut report.merged),
        graph: std::mem::take(&mut report.graph),
    };
    Ok((Checked::new(report, judged, &runtime), contents))
}

/// What a policy says of the licenses in layers. Of layers whose content cannot be told, `check` says so.
pub(super) fn license_findings(
    policy: &LicensePolicy,
    paths: &[PathBuf],
    progress: &Terminal,
) -> Result<Vec<Finding>, Failure> {
    if policy.is_empty() {
        return Ok(Vec::new());
    }
    match contents(paths, progress) {
        Ok(contents) => Ok(policy.judge(&contents.components())),
        Err(SbomError::Broken { .. } | SbomError::Zip { .. }) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// The baseline and its name; `None` if it does not exist yet and need not.
fn baseline(
    file: &BaselineFile,
    paths: &[PathBuf],
    global: &Global,
    progress: &Terminal,
) -> Result<Option<(String, Inventory)>, Failure> {
    let path = &file.path;
    if file.may_be_absent && !path.exists() {
        return Ok(None);
    }
    let real = |path: &Path| path.canonicalize().ok();
    let own = paths.iter().flat_map(|path| [path.clone(), path.join(MANIFEST_NAME)]);
    if real(path).is_some() && own.into_iter().any(|own| real(&own) == real(path)) {
        return Err(Failure::Error(format!(
            "the baseline {} belongs to the layers to be checked, so it would never differ; keep a copy elsewhere",
            path.display()
        )));
    }
    let inventory = read_settled(std::slice::from_ref(path), global, || {
        Ok(read_inventory(path, progress)?)
    })?;
    Ok(Some((path.display().to_string(), inventory)))
}

/// The runtime of the command line, else the one that the layers were packed for, else that of a recording, else that of the
/// configuration, else the default.
pub(super) fn runtime_of(
    paths: &[PathBuf],
    global: &Global,
    layers: &[Layer],
    recorded: Option<&str>,
) -> Result<Runtime, Failure> {
    let packed_for = paths.iter().find_map(|path| packed_for(path));
    let of_objects = Arch::of_most(
        layers
            .iter()
            .flat_map(|layer| layer.tree.objects().map(|(_, object)| object)),
    );
    let name = packed_for.as_ref().map(|packed| packed.runtime.as_str());
    let project = global.project()?;
    let recognized = || {
        let trees: Vec<&Tree> = layers.iter().map(|layer| &layer.tree).collect();
        global.recognized(&trees)
    };
    let name = global.runtime.as_deref().or(name).or(recorded);
    let name = name.or(project.runtime.as_deref());
    let name = name.map_or_else(recognized, ToOwned::to_owned);
    let arch = packed_for.as_ref().map(|packed| packed.arch).or(project.arch);
    let arch = global.arch.or(arch).or(of_objects).unwrap_or(Arch::X86_64);
    Runtime::load(&name, arch).map_err(|error| match error {
        RuntimeError::Unknown { name, .. } if global.runtime.is_none() => Failure::Error(format!(
            "the layers were packed for runtime {name}, which is not built in; give its file with --runtime"
        )),
        error => error.into(),
    })
}

/// The manifests of layers: those in the directories that are named, and those next to zips.
pub(super) fn manifests(layers: &[PathBuf]) -> Vec<Manifest> {
    let mut places: Vec<PathBuf> = layers
        .iter()
        .filter_map(|path| {
            let directory = if path.is_dir() {
                Some(path.as_path())
            } else {
                path.parent()
            };
            Some(directory?.join(MANIFEST_NAME))
        })
        .collect();
    places.dedup();
    places.iter().filter_map(|path| Manifest::read(path).ok()).collect()
}
