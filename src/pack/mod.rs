//! Carries out a plan: compresses, distributes over the fewest zips, writes, reads back, and only then puts the zips
//! where they belong.

pub mod bins;
mod compress;
mod fit;
mod manifest;
mod spool;
mod zip;

use std::collections::BTreeMap;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

pub use compress::Method;
pub use fit::{Limits, Misfit, MisfitTotals, Part, Saving, TooLarge, Via, Way};
pub use manifest::{
    AddedFile, ChangedFile, Dropped, LayerSummary, MANIFEST_NAME, Manifest, PackedEntry, ShadowedFile, Totals,
    UntouchedFile,
};
pub use zip::{END_SIZE, EntryKind, Timestamp, ZipEntry, ZipWriter, entry_size};

use bins::{GroupId, Item, Packing};
use fit::Piece;
use spool::{Spool, Stretch};

use crate::check::{self, Layer};
use crate::elf::strip;
use crate::finding::{Code, Finding};
use crate::limits;
use crate::plan::{Origin, Plan};
use crate::progress::{Interrupted, Progress, Stage};
use crate::rules::Matcher;
use crate::runtime::Runtime;
use crate::size::Bytes;
use crate::tree::component::Components;
use crate::tree::scan::{Problem, ProblemKind, Scan};
use crate::tree::{Entry, File, TreePath};

/// What a user asks of the packing.
#[derive(Debug, Clone)]
pub struct Options {
    /// What has to be kept to.
    pub limits: Limits,
    /// The folder for the zips and the manifest; it is made if it is not there.
    pub output: PathBuf,
    /// The time of every entry.
    pub timestamp: Timestamp,
    /// Whether debug information and static symbol tables are left out of ELF objects.
    pub strip: bool,
}

/// Why nothing was packed. The output folder then has no new layer.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// It does not keep to the limits.
    #[error(transparent)]
    Misfit(Box<Misfit>),
    /// A file that no zip without ZIP64 can hold.
    #[error("{0} has 4 GiB or more, which is more than Lambda takes of all files together; leave it out with --drop")]
    Huge(TreePath),
    /// The largest zip that was asked for is larger than a zip without ZIP64 can be, or than nothing at all.
    #[error("--max {0} is out of range: use at least 1kB and less than 4GiB")]
    Max(Bytes),
    /// Something in the tree cannot be packed.
    #[error("{}", describe_problems(.0))]
    Problems(Vec<Problem>),
    /// Everything is dropped, or there was nothing.
    #[error("nothing is left to pack: the rules and --drop take every file; see `lambdar-prune analyze`")]
    Nothing,
    /// The zips would become part of what is packed.
    #[error("the output folder {output} lies inside the tree {tree}; choose another one with -o", output = .output.display(), tree = .tree.display())]
    OutputInsideTree {
        /// The output folder.
        output: PathBuf,
        /// The tree.
        tree: PathBuf,
    },
    /// A file is not what the scan saw.
    #[error("{path} changed while it was packed; let the build finish, then pack again", path = .0.display())]
    Changed(PathBuf),
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

/// What was packed.
#[derive(Debug, Clone)]
pub struct Packed {
    /// What lies in the output folder now.
    pub manifest: Manifest,
    /// What [`check`] says of the layers.
    pub findings: Vec<Finding>,
}

/// One entry, compressed and waiting in the spool.
struct Ready {
    path: TreePath,
    entry: ZipEntry,
    stretch: Stretch,
    change: Change,
}

/// How the content of an entry differs from that of its origin.
enum Change {
    /// Not at all.
    None,
    /// It was stripped; its length before.
    Stripped { before: Bytes },
    /// It was to be stripped and was left as it is, for a reason.
    NotStripped(String),
}

/// Packs a planned tree into zips of at most `options.max` bytes and writes them with their manifest.
///
/// The zips are written to a folder of their own beside the target, read back by another reader, and moved into place
/// when all are right; a run that fails or is stopped leaves the output folder as it was.
pub fn pack(
    tree: &Path,
    scan: &Scan,
    plan: &Plan,
    matcher: &Matcher,
    runtime: &Runtime,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Packed, PackError> {
    let hindrances: Vec<Problem> = scan
        .problems
        .iter()
        .filter(|problem| !matches!(problem.kind, ProblemKind::Special(_)))
        .cloned()
        .collect();
    if !hindrances.is_empty() {
        return Err(PackError::Problems(hindrances));
    }
    let max = options.limits.max;
    if max.0 < 1000 || max.0 > limits::ZIP_BYTES {
        return Err(PackError::Max(max));
    }
    if plan.kept.is_empty() {
        return Err(PackError::Nothing);
    }
    let staging = staging(tree, &options.output)?;
    let spool = Spool::new(staging.path())?;
    let preparation = Preparation {
        tree,
        plan,
        strip: options.strip,
        spool: &spool,
    };
    let ready = preparation.all(progress)?;
    // What tells where a component ends may itself be left out, such as the list of a distribution's files.
    let components = Components::of(&scan.tree);
    let (packing, layers_at_limit) = distribute(&preparation, matcher, &components, runtime, &ready, &options.limits)?;
    let total = packing
        .bins
        .iter()
        .flatten()
        .map(|index| u64::from(ready[*index].entry.compressed))
        .sum();
    let work = progress.start(Stage::Write, total);
    let mut layers = Vec::new();
    for (number, bin) in packing.bins.iter().enumerate() {
        let file = format!("layer-{}.zip", number + 1);
        let entries: Vec<&Ready> = bin.iter().map(|index| &ready[*index]).collect();
        layers.push(write_layer(
            &staging.path().join(&file),
            file,
            &entries,
            &spool,
            &components,
            options,
            &mut |bytes| {
                work.advance(bytes);
                progress.check()
            },
        )?);
    }
    drop(work);
    let mut findings = verify(staging.path(), &layers, &ready, runtime, progress)?;
    if options.limits.via == Via::S3 {
        // The limit on what a request can carry does not hold for a bucket.
        findings.retain(|finding| !matches!(finding.code, Code::ZipTooLarge | Code::ZipNearLimit));
    }
    let mut manifest = manifest::manifest(scan, plan, runtime, options, &packing, &ready, layers);
    manifest.totals.layers_at_limit = layers_at_limit;
    let text = manifest.to_json();
    fs_err::write(staging.path().join(MANIFEST_NAME), text)?;
    progress.check()?;
    publish(staging.path(), &options.output, &manifest)?;
    Ok(Packed { manifest, findings })
}

/// A folder for unfinished work beside the target, so that finished files can be renamed into it.
fn staging(tree: &Path, output: &Path) -> Result<tempfile::TempDir, PackError> {
    let tree = fs_err::canonicalize(tree)?;
    let absolute = std::path::absolute(output)?;
    let existing = absolute
        .ancestors()
        .find_map(|folder| folder.canonicalize().ok())
        .unwrap_or_else(|| absolute.clone());
    if existing.starts_with(&tree) {
        return Err(PackError::OutputInsideTree {
            output: output.to_owned(),
            tree,
        });
    }
    fs_err::create_dir_all(output)?;
    let staging = tempfile::Builder::new().prefix(".lambdar-prune-").tempdir_in(output);
    staging.map_err(|error| {
        PackError::Io(std::io::Error::new(
            error.kind(),
            format!("cannot write to {}: {error}", output.display()),
        ))
    })
}

/// What every thread needs to prepare entries.
struct Preparation<'a> {
    tree: &'a Path,
    plan: &'a Plan,
    strip: bool,
    spool: &'a Spool,
}

impl Preparation<'_> {
    /// Reads and compresses every entry, the largest first, so that no thread is left with a large one at the end.
    fn all(&self, progress: &dyn Progress) -> Result<Vec<Ready>, PackError> {
        let kept = &self.plan.kept;
        let mut entries: Vec<(&TreePath, &Entry)> = kept
            .iter()
            .filter(|(path, entry)| !matches!(entry, Entry::Directory(_)) || kept.below(path).next().is_none())
            .collect();
        entries.sort_by(|a, b| b.1.unzipped().cmp(&a.1.unzipped()).then_with(|| a.0.cmp(b.0)));
        let work = progress.start(Stage::Compress, kept.totals().unzipped_bytes.0);
        let mut ready = entries
            .into_par_iter()
            .with_max_len(1)
            .map_init(compress::Deflater::default, |deflater, (path, entry)| {
                progress.check()?;
                let ready = self.one(path, entry, deflater);
                work.advance(entry.unzipped().0);
                ready
            })
            .collect::<Result<Vec<Ready>, PackError>>()?;
        ready.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(ready)
    }

    fn one(&self, path: &TreePath, entry: &Entry, deflater: &mut compress::Deflater) -> Result<Ready, PackError> {
        let name = path.as_str().to_owned();
        let mut change = Change::None;
        let (name, kind, content) = match entry {
            Entry::Directory(_) => (name + "/", EntryKind::Directory, Vec::new()),
            Entry::Symlink(target) => (name, EntryKind::Symlink, target.clone().into_bytes()),
            Entry::File(file) => {
                let mut content = self.read(path, file)?;
                if self.strip && file.content.object().is_some() {
                    (content, change) = stripped(content);
                }
                (name, EntryKind::File(file.mode.in_layer()), content)
            }
        };
        let too_large = |length: usize| u32::try_from(length).map_err(|_| PackError::Huge(path.clone()));
        let uncompressed = too_large(content.len())?;
        let compressed = deflater.compress(content);
        Ok(Ready {
            path: path.clone(),
            entry: ZipEntry {
                name,
                kind,
                method: compressed.method,
                crc32: compressed.crc32,
                compressed: too_large(compressed.bytes.len())?,
                uncompressed,
            },
            stretch: self.spool.append(&compressed.bytes)?,
            change,
        })
    }

    fn read(&self, path: &TreePath, file: &File) -> Result<Vec<u8>, PackError> {
        let disk = match self.plan.origins.get(path) {
            None => self.tree.join(path.as_str()),
            Some(Origin::Tree(other)) => self.tree.join(other.as_str()),
            Some(Origin::Host(path)) => path.clone(),
            Some(Origin::Made(bytes)) => return Ok(bytes.to_vec()),
        };
        let content = fs_err::read(&disk)?;
        if content.len() as u64 != file.bytes.0 {
            return Err(PackError::Changed(disk));
        }
        Ok(content)
    }

    /// What this file would add to a zip if it were stripped; `None` for one that would not change.
    fn stripped_size(&self, path: &TreePath) -> Option<Bytes> {
        let file = self
            .plan
            .kept
            .file(path)
            .filter(|file| file.content.object().is_some())?;
        let stripped = strip::strip(&self.read(path, file).ok()?).ok()?;
        let compressed = compress::Deflater::default().compress(stripped.bytes);
        Some(Bytes(entry_size(path.as_str(), compressed.bytes.len() as u64)))
    }
}

/// The object without what only debuggers and linkers read, or as it was.
fn stripped(content: Vec<u8>) -> (Vec<u8>, Change) {
    match strip::strip(&content) {
        Ok(stripped) => {
            let before = Bytes(content.len() as u64);
            (stripped.bytes, Change::Stripped { before })
        }
        Err(strip::Reason::NothingToRemove) => (content, Change::None),
        Err(reason) => (content, Change::NotStripped(reason.to_string())),
    }
}

/// Decides which entry goes into which zip, if they keep to the limits; and tells how many zips there would be at the
/// largest size that a request can carry, where that is fewer.
fn distribute(
    preparation: &Preparation<'_>,
    matcher: &Matcher,
    components: &Components,
    runtime: &Runtime,
    ready: &[Ready],
    limits: &Limits,
) -> Result<(Packing, Option<usize>), PackError> {
    let mut groups: BTreeMap<String, GroupId> = BTreeMap::new();
    let pieces: Vec<Piece<'_>> = ready
        .iter()
        .map(|Ready { path, entry, .. }| {
            let next = GroupId(u32::try_from(groups.len()).unwrap_or(u32::MAX));
            let weight = entry_size(&entry.name, u64::from(entry.compressed));
            let is_too_large = weight > limits.capacity().weight;
            Piece {
                path,
                component: components.name(path),
                item: Item {
                    group: *groups.entry(components.group(path)).or_insert(next),
                    weight,
                },
                unzipped: Bytes(u64::from(entry.uncompressed)),
                off: matcher.off_but_matching(path).collect(),
                stripped: if is_too_large && !preparation.strip {
                    preparation.stripped_size(path)
                } else {
                    None
                },
            }
        })
        .collect();
    let items: Vec<Item> = pieces.iter().map(|piece| piece.item).collect();
    let packing = bins::pack(&items, limits.capacity(), &[]).ok();
    let breaks = |id: &str| matcher.breaks(id).to_owned();
    match (
        fit::misfit(&pieces, packing.as_ref(), limits, &breaks, runtime),
        packing,
    ) {
        (Some(misfit), _) => Err(PackError::Misfit(Box::new(misfit))),
        (None, Some(packing)) => {
            let at_limit = fit::layers_at_limit(&pieces, packing.bins.len(), limits);
            Ok((packing, at_limit))
        }
        // What is too large for any zip makes a misfit.
        (None, None) => Err(PackError::Verification {
            file: "the packing".to_owned(),
            reason: "it has no zips".to_owned(),
        }),
    }
}

/// Writes one zip and makes sure that it is as long as was reckoned.
fn write_layer(
    at: &Path,
    file: String,
    entries: &[&Ready],
    spool: &Spool,
    components: &Components,
    options: &Options,
    advance: &mut dyn FnMut(u64) -> Result<(), Interrupted>,
) -> Result<LayerSummary, PackError> {
    let out = Hashing {
        out: BufWriter::with_capacity(1 << 20, fs_err::File::create(at)?),
        hash: Sha256::new(),
    };
    let mut writer = ZipWriter::new(out, options.timestamp);
    let mut reader = spool.reader()?;
    let mut predicted = END_SIZE;
    for ready in entries {
        writer.add(&ready.entry, &mut reader.stretch(ready.stretch)?)?;
        predicted += entry_size(&ready.entry.name, u64::from(ready.entry.compressed));
        advance(u64::from(ready.entry.compressed))?;
    }
    let (out, _) = writer.finish()?;
    let hash: [u8; 32] = out.hash.finalize().into();
    let written = out.out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    written.sync_all()?;
    let length = written.metadata()?.len();
    if length != predicted || length > options.limits.max.0 {
        return Err(PackError::Verification {
            file,
            reason: format!("it has {length} bytes, {predicted} were reckoned"),
        });
    }
    let contents = entries
        .iter()
        .map(|Ready { path, entry, .. }| PackedEntry {
            path: entry.name.clone(),
            component: components.name(path).to_owned(),
            zipped_bytes: Bytes(entry_size(&entry.name, u64::from(entry.compressed))),
            unzipped_bytes: Bytes(u64::from(entry.uncompressed)),
            crc32: format!("{:08x}", entry.crc32),
        })
        .collect();
    Ok(LayerSummary::new(file, Bytes(length), &hash, contents))
}

/// Hashes what is written on its way to the file.
struct Hashing<W> {
    out: W,
    hash: Sha256,
}

impl<W: std::io::Write> std::io::Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// Reads the zips back, compares what is in them with what was to be, and gives what check has to say.
fn verify(
    staging: &Path,
    layers: &[LayerSummary],
    ready: &[Ready],
    runtime: &Runtime,
    progress: &dyn Progress,
) -> Result<Vec<Finding>, PackError> {
    let files: Vec<PathBuf> = layers.iter().map(|layer| staging.join(&layer.file)).collect();
    let read: Vec<Layer> = check::read_zips(&files, check::MAX_UNZIPPED, progress)?;
    for layer in &read {
        let broken = layer
            .findings
            .iter()
            .find(|finding| !matches!(finding.code, Code::ZipTooLarge | Code::ZipNearLimit));
        if let Some(finding) = broken {
            return Err(PackError::Verification {
                file: layer.file.clone(),
                reason: format!("{}: {}", finding.path.as_deref().unwrap_or("the zip"), finding.message),
            });
        }
    }
    let wrong = |path: &TreePath, what: &str| PackError::Verification {
        file: "a layer".to_owned(),
        reason: format!("{path} {what}"),
    };
    let mut sums = BTreeMap::new();
    for layer in &read {
        for (path, sum) in &layer.sums {
            if sums.insert(path.clone(), *sum).is_some() {
                return Err(wrong(path, "is there twice"));
            }
        }
    }
    let report = check::judge(read, runtime, Bytes(0));
    for Ready { path, entry, .. } in ready {
        let there = match (report.merged.get(path), entry.kind) {
            (Some(Entry::Directory(_)), EntryKind::Directory) | (Some(Entry::Symlink(_)), EntryKind::Symlink) => true,
            (Some(Entry::File(file)), EntryKind::File(mode)) => {
                file.mode == mode && sums.remove(path) == Some((entry.crc32, u64::from(entry.uncompressed)))
            }
            _ => false,
        };
        if !there {
            return Err(wrong(path, "is missing or differs"));
        }
    }
    match sums.keys().next() {
        Some(path) => Err(wrong(path, "was not planned")),
        None => Ok(report.findings),
    }
}

/// Moves the finished files into the output folder. What an earlier run left there goes first, so that no moment shows
/// zips of two runs under one manifest.
fn publish(staging: &Path, output: &Path, manifest: &Manifest) -> Result<(), PackError> {
    let old_manifest = output.join(MANIFEST_NAME);
    if old_manifest.exists() {
        fs_err::remove_file(&old_manifest)?;
    }
    for entry in fs_err::read_dir(output)? {
        let path = entry?.path();
        if path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(is_layer_name)
        {
            fs_err::remove_file(path)?;
        }
    }
    for layer in &manifest.layers {
        fs_err::rename(staging.join(&layer.file), output.join(&layer.file))?;
    }
    fs_err::rename(staging.join(MANIFEST_NAME), old_manifest)?;
    Ok(())
}

/// Whether a file in the output folder is one that this program writes there.
fn is_layer_name(name: &str) -> bool {
    name.strip_prefix("layer-")
        .and_then(|rest| rest.strip_suffix(".zip"))
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}
