//! Carries out a plan: compresses, distributes over the fewest zips, writes them, reads them back, and only then renames
//! them into the output directory.

pub mod bins;
mod cache;
mod capacity;
mod compress;
mod distribute;
mod estimate;
mod last_bytes;
mod leave;
mod manifest;
mod named;
mod output;
mod prepare;
mod previous;
mod spool;
mod write;
mod zip;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub use cache::Directory as CacheDirectory;
pub use capacity::{
    Alternative, CapacityReport, CapacityTotals, Combination, Effect, Limits, PackageSaving, Saving, SizeEntry,
    TooLarge,
};
pub use compress::Method;
pub use estimate::{Estimate, EstimatedEntry, estimate};
pub use manifest::added_files;
pub use named::NamedLayer;
pub use previous::Previous;
pub use zip::{END_SIZE, EntryKind, Timestamp, ZipEntry, ZipWriter, entry_size};

use cache::Cache;
use distribute::Distributor;
use output::{Output, outside};
use prepare::Preparation;
use previous::History;
use spool::Spool;
use write::Writer;

use crate::check::plain_name;
use crate::finding::Finding;
use crate::languages::components::Components;
use crate::layer_set::ReplaceError;
use crate::limits;
use crate::manifest::{Effort, LayerName, LicenseUse, Manifest, ManifestError, Rest, UploadRoute};
use crate::plan::{Plan, WhatIf};
use crate::progress::{Interrupted, Progress};
use crate::rules::RuleError;
use crate::runtime::Runtime;
use crate::scan::{Problem, ProblemKind, Scan};
use crate::size::Bytes;
use crate::tree::path::escaped;
use crate::tree::{Tree, TreePath};

/// Input of [`pack`]: a directory with what was scanned of it and planned for it.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The directory that was scanned; the contents are read from it.
    pub directory: &'a Path,
    /// What is in it.
    pub scan: &'a Scan,
    /// What of that goes into the layers, and what is added.
    pub plan: &'a Plan,
    /// The runtime that the layers are for.
    pub runtime: &'a Runtime,
    /// Finds what else could be left out if the layers exceed their limits; without it the error proposes nothing.
    pub what_if: Option<WhatIf<'a>>,
}

/// Options of [`pack`].
#[derive(Debug, Clone)]
pub struct Options {
    /// Limits on the layers: Lambda's own, or stricter ones.
    pub limits: Limits,
    /// The directory for the zips and the manifest; it is made if it is not there.
    pub output: PathBuf,
    /// The layers with names of their own, which take what their globs match; the first one that matches has it.
    pub layers: Vec<NamedLayer>,
    /// The time of every entry.
    pub timestamp: Timestamp,
    /// Whether debug information and static symbol tables are left out of ELF objects.
    pub strip: bool,
    /// Whether files with a compression of their own inside, such as databases of packages, get a better one there, which their
    /// language reads as well.
    pub recompress: bool,
    /// How hard contents are compressed.
    pub effort: Effort,
    /// The packing to keep to. With one, the layers depend on it, too, and not on the tree and the options alone.
    pub previous: Previous,
    /// Where compressed contents are kept from run to run, if they are. It changes no byte of the layers.
    pub cache: Option<CacheDirectory>,
    /// The further layers that were written with what is left out, for the manifest.
    pub rest: Option<Rest>,
    /// The licenses of what is packed, for the manifest.
    pub licenses: Vec<LicenseUse>,
}

impl Options {
    /// The defaults of the command line for an output directory, but without a cache, and with nothing of an earlier packing.
    pub fn new(output: PathBuf) -> Self {
        Self {
            limits: Limits::DEFAULT,
            output,
            layers: Vec::new(),
            timestamp: Timestamp::EARLIEST,
            strip: true,
            recompress: true,
            effort: Effort::Best,
            previous: Previous::Afresh,
            cache: None,
            rest: None,
            licenses: Vec::new(),
        }
    }

    /// Fails for what cannot be done whatever is in the tree: before a scan, which may take long.
    pub fn check(&self, tree: &Path) -> Result<(), PackError> {
        let max = self.limits.max;
        if max.0 < 1000 || max.0 > limits::ZIP_BYTES {
            return Err(PackError::Max(max));
        }
        // A tree that is not there is for the scan to tell.
        if tree.is_dir() {
            outside(tree, &self.output)?;
        }
        self.previous.check()
    }
}

/// Error of [`pack`]. The output directory then has no new layer.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// It does not keep to the limits.
    #[error(transparent)]
    OverCapacity(Box<CapacityReport>),
    /// A file that no zip without ZIP64 can hold.
    #[error("{0} has 4 GiB or more, which is more than Lambda takes of all files together; leave it out with --drop")]
    Huge(TreePath),
    /// The largest zip that was asked for is larger than a zip without ZIP64 can be, or than nothing at all.
    #[error("--max {0} is out of range: use at least 1kB and less than 4GiB")]
    Max(Bytes),
    /// A name that no zip may have.
    #[error("{path} cannot be packed: its name is {what}; rename it. Nothing was written", path = escaped(.path.as_bytes()))]
    Name {
        /// The path in the tree.
        path: String,
        /// What is wrong with its name.
        what: &'static str,
    },
    /// Something in the tree cannot be packed.
    #[error("{}", describe_problems(.0))]
    Problems(Vec<Problem>),
    /// Everything is dropped, or there was nothing.
    #[error("nothing is left to pack: the rules and --drop remove every file; see `lambdar-prune analyze`")]
    Nothing,
    /// A layer that the project names is too large for a zip.
    #[error(
        "layer {name} does not fit: it has {entries} entries and {bytes} zipped, and a zip may have {} entries and {max}; \
         give some of its paths to another [[layer]], prune more, or raise --max. Its largest files are {}. Nothing was written",
        crate::limits::ZIP_ENTRIES,
        escaped(.largest.join(", ").as_bytes())
    )]
    NamedLayer {
        /// Its name.
        name: LayerName,
        /// The zip's length.
        bytes: Bytes,
        /// How many entries it would have.
        entries: usize,
        /// The largest zip that is allowed.
        max: Bytes,
        /// Its largest files.
        largest: Vec<String>,
    },
    /// A glob of a named layer is not one.
    #[error(transparent)]
    Glob(#[from] RuleError),
    /// The zips would become part of what is packed.
    #[error("the output directory {output} is inside the tree {tree}; choose another one with -o", output = .output.display(), tree = .tree.display())]
    OutputInsideTree {
        /// The output directory.
        output: PathBuf,
        /// The tree.
        tree: PathBuf,
    },
    /// The output directory, or one above it, is something else.
    #[error("{path} is not a directory; choose another one for the layers with -o", path = .0.display())]
    NotADirectory(PathBuf),
    /// Another run packs into the same directory.
    #[error("another lambdar-prune is packing into {path}; wait for it to end, then pack again", path = .0.display())]
    Busy(PathBuf),
    /// Something of someone else has the name of a layer or of the manifest.
    #[error("{path} is in the way: it is {what}; move it, or choose another directory with -o. The layers there are as they were", path = .path.display())]
    InTheWay {
        /// What is in the way.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A file is not what the scan saw.
    #[error("{path} changed while it was packed; let the build finish, then pack again", path = .0.display())]
    Changed(PathBuf),
    /// The manifest to keep to cannot be read.
    #[error("cannot use {path} as the previous packing: {reason}; give a layers.json that pack wrote, or use --previous none", path = .path.display(), reason = .reason.of(.path))]
    Previous {
        /// The manifest.
        path: PathBuf,
        /// Why not.
        reason: ManifestError,
    },
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// What was written does not read back as it should. A bug in this program or a broken disk.
    #[error("{file} does not read back as it was written: {reason}; nothing was kept")]
    Verification {
        /// The zip.
        file: String,
        /// What differs.
        reason: String,
    },
    /// The user stopped the run.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl From<ReplaceError> for PackError {
    fn from(error: ReplaceError) -> Self {
        match error {
            ReplaceError::InTheWay { path, what } => Self::InTheWay { path, what },
            ReplaceError::Io(error) => Self::Io(error),
        }
    }
}

fn describe_problems(problems: &[Problem]) -> String {
    let mut text = String::from("the tree cannot be packed:\n");
    for problem in problems {
        let reason = match &problem.kind {
            ProblemKind::NotUtf8 => {
                "its name, or the target of the link, is not UTF-8, and names in a zip must be; rename it"
            }
            ProblemKind::Unreadable(reason) => reason,
            ProblemKind::Special(kind) => kind,
        };
        text.push_str(&format!("  {}: {reason}\n", problem.path));
    }
    text + "Nothing was written."
}

/// Result of [`pack`].
#[derive(Debug, Clone)]
pub struct Packed {
    /// The manifest that is in the output directory, and beyond it how the layers changed and what there is to say of the plan.
    pub manifest: Manifest,
    /// What [`check`](crate::check) says of the layers.
    pub findings: Vec<Finding>,
    /// Why there was no earlier packing to keep to, where there is one that cannot be read.
    pub previous_note: Option<String>,
    /// Why there was no cache, where one was asked for.
    pub cache_note: Option<String>,
    /// What of the named layers the user may not expect.
    pub layer_notes: Vec<String>,
    /// Which permissions are not as in the tree, beyond those of owners that others now have.
    pub mode_notes: Vec<String>,
}

/// Fails if something of the tree could not be read, or cannot be in a zip.
fn fail_on_problems(scan: &Scan) -> Result<(), PackError> {
    let problems: Vec<Problem> = scan
        .problems
        .iter()
        .filter(|problem| !matches!(problem.kind, ProblemKind::Special(_)))
        .cloned()
        .collect();
    if !problems.is_empty() {
        return Err(PackError::Problems(problems));
    }
    Ok(())
}

/// Packs a planned tree into zips of at most `options.limits.max` bytes and writes them with their manifest.
///
/// The zips are written to a directory of their own next to the target, read back by another reader, and moved into place
/// when all are right; a run that fails or is stopped leaves the output directory as it was.
pub fn pack(input: &Input<'_>, options: &Options, progress: &dyn Progress) -> Result<Packed, PackError> {
    let Input { directory, plan, .. } = *input;
    can_be_packed(directory, input.scan, plan, options)?;
    let output = Output::open(directory, &options.output)?;
    let (history, previous_note) = History::read(&options.previous, &options.output, progress)?;
    let mut cache_note = None;
    let cache = options.cache.as_ref().and_then(|directory| {
        let unusable = |error| cache_note = Some(format!("packed without a cache: {error}"));
        Cache::open(directory).map_err(unusable).ok()
    });
    let at_max = match options.effort {
        Effort::Best => history.at_max(),
        Effort::Fast | Effort::Max => BTreeSet::new(),
    };
    let preparation = Preparation {
        tree: directory,
        plan,
        strip: options.strip,
        recompress: options.recompress,
        effort: options.effort,
        at_max: &at_max,
        spool: &Spool::new(output.staging())?,
        cache: cache.as_ref(),
        progress,
    };
    let packed = carry_out(&preparation, input, options, &history, output);
    if let Some(cache) = cache {
        match packed {
            Err(PackError::Verification { .. }) => cache.distrust(),
            _ => cache.finish(),
        }
    }
    packed.map(|(manifest, findings, layer_notes)| Packed {
        manifest,
        findings,
        layer_notes,
        previous_note,
        cache_note,
        mode_notes: mode_notes(&plan.kept),
    })
}

/// Fails if something of the tree could not be read or cannot be in a zip, or nothing is left of it.
fn can_be_packed(tree: &Path, scan: &Scan, plan: &Plan, options: &Options) -> Result<(), PackError> {
    fail_on_problems(scan)?;
    options.check(tree)?;
    if plan.kept.is_empty() {
        return Err(PackError::Nothing);
    }
    for (path, _) in plan.kept.iter() {
        plain_name(path.as_str().as_bytes()).map_err(|what| PackError::Name {
            path: path.as_str().to_owned(),
            what,
        })?;
    }
    Ok(())
}

fn carry_out(
    preparation: &Preparation<'_>,
    input: &Input<'_>,
    options: &Options,
    history: &History,
    output: Output,
) -> Result<(Manifest, Vec<Finding>, Vec<String>), PackError> {
    let Preparation { progress, .. } = preparation;
    let Input {
        scan, plan, runtime, ..
    } = *input;
    // What tells where a component ends may itself be left out, such as the list of a distribution's files.
    let components = Components::of(&scan.tree);
    let distributor = Distributor {
        preparation,
        what_if: input.what_if,
        components: &components,
        runtime,
        options,
        history,
    };
    distributor.fits_unzipped()?;
    let mut ready = preparation.all()?;
    let mut distribution = distributor.distribute(&mut ready)?;
    let layer_notes = std::mem::take(&mut distribution.layer_notes);
    let packing = &distribution.packing;
    let layer = |bin: &Vec<usize>| bin.iter().map(|index| &ready[*index]).collect();
    let writer = Writer {
        staging: output.staging(),
        options,
        history,
        progress: *progress,
    };
    let names: Vec<LayerName> = packing
        .reserved
        .iter()
        .map(|&number| options.layers[number].name.clone())
        .collect();
    let written = writer.write(&names, packing.bins.iter().map(layer).collect())?;
    let mut findings = written.verify(&plan.kept, runtime, *progress)?;
    findings.extend(plan.findings.iter().cloned());
    findings.sort();
    let layers = written.into_summaries(&components);
    if options.limits.via == UploadRoute::S3 {
        findings.retain(|finding| !finding.code.is_about_request());
    }
    let mut manifest = manifest::manifest(scan, plan, runtime, options, distribution, &ready, layers);
    progress.check()?;
    output.publish(&manifest)?;
    history.compare(&mut manifest);
    manifest.findings.clone_from(&plan.findings);
    Ok((manifest, findings, layer_notes))
}

/// Which files lose setuid or setgid in the layers, and which of them only their owner could read.
fn mode_notes(kept: &Tree) -> Vec<String> {
    const SHOWN: usize = 5;
    const SPECIAL: u32 = 0o6000;
    const READABLE: u32 = 0o004;
    let note = |what: &str, is_changed: &dyn Fn(u32) -> bool| {
        let files = kept.files().filter(|(_, file)| is_changed(file.mode.bits()));
        let paths: Vec<String> = files.map(|(path, _)| escaped(path.as_str().as_bytes())).collect();
        let more = match paths.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let shown = paths
            .iter()
            .take(SHOWN)
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        (!paths.is_empty()).then(|| format!("{what}: {shown}{more}"))
    };
    [
        note("setuid and setgid are not kept in layers", &|bits| bits & SPECIAL != 0),
        note("made readable for all, as Lambda has to read it", &|bits| {
            bits & READABLE == 0
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}
