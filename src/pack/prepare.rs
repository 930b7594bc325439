//! Reads, strips and compresses what a plan keeps. What was compressed in an earlier run comes from the cache.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::PackError;
use super::cache::{Cache, Change, Key, Record};
use super::capacity::Known;
use super::compress::{Compressed, Deflater};
use super::leave::unless_stopped;
use super::spool::{ByteRange, Spool, locked};
use super::zip::{EntryKind, ZipEntry, entry_size};
use crate::elf::strip;
use crate::languages::{LANGUAGES, Language, Thoroughness, recompressible};
use crate::manifest::Effort;
use crate::open;
use crate::plan::{Origin, Plan};
use crate::progress::{Progress, Stage};
use crate::size::Bytes;
use crate::tree::{Entry, File, Tree, TreePath};

/// Entries of less than so many bytes are compressed in an instant.
const SMALL: u64 = 256 << 10;

/// From so many bytes on, contents are compressed where a wish to stop does not have to wait for it.
const LONG: usize = 128 << 10;

/// What is done to contents before they are compressed.
enum Treatment {
    AsItIs,
    Strip,
    Recompress(&'static dyn Language, Thoroughness),
}

/// What entries have unzipped, by their paths.
pub(super) type Lengths = BTreeMap<TreePath, Bytes>;

/// Entries that are made ready together: one, or a set that a language recompresses.
struct Unit<'a> {
    entries: &'a [(&'a TreePath, &'a Entry)],
    effort: Effort,
    language: Option<&'static dyn Language>,
}

/// One entry, compressed and waiting in the spool.
#[derive(Debug, Clone)]
pub(super) struct Ready {
    pub(super) path: TreePath,
    pub(super) entry: ZipEntry,
    pub(super) range: ByteRange,
    pub(super) change: Change,
}

impl Ready {
    /// What the entry adds to a zip, headers included.
    pub(super) fn weight(&self) -> u64 {
        entry_size(&self.name(), u64::from(self.entry.compressed))
    }

    /// Its name in a zip: that of a directory ends with `/`.
    pub(super) fn name(&self) -> Cow<'_, str> {
        match self.entry.kind {
            EntryKind::Directory => Cow::Owned(format!("{}/", self.path)),
            EntryKind::File(_) | EntryKind::Symlink => Cow::Borrowed(self.path.as_str()),
        }
    }
}

/// What every thread needs to prepare entries.
pub(super) struct Preparation<'a> {
    pub(super) tree: &'a Path,
    pub(super) plan: &'a Plan,
    pub(super) strip: bool,
    /// Whether what has a compression of its own inside gets a better one.
    pub(super) recompress: bool,
    pub(super) effort: Effort,
    /// What is compressed at the highest effort whatever the effort of the others.
    pub(super) at_max: &'a BTreeSet<TreePath>,
    pub(super) spool: &'a Spool,
    pub(super) cache: Option<&'a Cache>,
    pub(super) progress: &'a dyn Progress,
}

impl Preparation<'_> {
    /// What is kept and becomes an entry of a zip, sorted by path: of directories only empty ones.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&TreePath, &Entry)> {
        let kept = &self.plan.kept;
        kept.iter()
            .filter(|(path, entry)| !matches!(entry, Entry::Directory(_)) || kept.below(path).next().is_none())
    }

    /// Every entry, made ready, sorted by path.
    pub(super) fn all(&self) -> Result<Vec<Ready>, PackError> {
        let kept = &self.plan.kept;
        let effort = |path: &TreePath| {
            let is_at_max = self.at_max.contains(path);
            if is_at_max { Effort::Max } else { self.effort }
        };
        let sets = self.sets();
        let in_sets: BTreeSet<&TreePath> = sets.iter().flat_map(|(_, paths)| paths).collect();
        let alone: Vec<_> = self.entries().filter(|(path, _)| !in_sets.contains(path)).collect();
        let together = sets
            .iter()
            .map(|(_, paths)| paths.iter().filter_map(|path| Some((path, kept.get(path)?))).collect());
        let together: Vec<Vec<_>> = together.collect();
        let units = alone.chunks(1).map(|entries| Unit {
            entries,
            effort: entries.first().map_or(self.effort, |(path, _)| effort(path)),
            language: None,
        });
        let units = units.chain(sets.iter().zip(&together).map(|((language, paths), entries)| Unit {
            entries,
            effort: paths.iter().map(effort).max().unwrap_or(self.effort),
            language: Some(*language),
        }));
        self.prepare(Stage::Compress, units.collect())
    }

    /// What is recompressed, each with its language.
    pub(super) fn sets(&self) -> Vec<(&'static dyn Language, Vec<TreePath>)> {
        if !self.recompress {
            return Vec::new();
        }
        let plan = self.plan;
        let mut sets = recompressible(&plan.kept);
        sets.retain(|(_, paths)| paths.iter().all(|path| !plan.patches.contains_key(path)));
        sets
    }

    /// The least that each entry can have unzipped, if all together have more than `limit`; otherwise `None`.
    ///
    /// Objects are stripped only where that decides, and what is recompressed counts nothing.
    pub(super) fn lengths_beyond(&self, limit: Bytes) -> Result<Option<(Lengths, Known)>, PackError> {
        let entries: Vec<_> = self.entries().collect();
        if entries.iter().map(|(_, entry)| entry.unzipped()).sum::<Bytes>() <= limit {
            return Ok(None);
        }
        let recompressed: BTreeSet<TreePath> = self.sets().into_iter().flat_map(|(_, paths)| paths).collect();
        let lengths = entries.into_par_iter().map(|(path, entry)| {
            self.progress.check()?;
            let bytes = match entry {
                _ if recompressed.contains(path) => Bytes(0),
                Entry::File(file) if self.strips(path, file) => {
                    let file_length = length(path, file.bytes.0)?;
                    let content = self.read(path, file)?;
                    if u64::from(file_length) >= LONG as u64 {
                        unless_stopped(self.progress, move |_| Bytes(stripped(content).0.len() as u64))?
                    } else {
                        Bytes(stripped(content).0.len() as u64)
                    }
                }
                _ => entry.unzipped(),
            };
            Ok((path.clone(), bytes))
        });
        let lengths = lengths.collect::<Result<Lengths, PackError>>()?;
        let sum = lengths.values().copied().sum::<Bytes>();
        let known = if recompressed.is_empty() {
            Known::Unzipped
        } else {
            Known::AtLeast
        };
        Ok((sum > limit).then_some((lengths, known)))
    }

    /// These entries again at the highest effort, sorted by path.
    pub(super) fn again_at_max(&self, ready: &[&Ready]) -> Result<Vec<Ready>, PackError> {
        let entries = ready
            .iter()
            .filter_map(|ready| Some((&ready.path, self.plan.kept.get(&ready.path)?)));
        let entries: Vec<_> = entries.collect();
        let units = entries.chunks(1).map(|entries| Unit {
            entries,
            effort: Effort::Max,
            language: None,
        });
        self.prepare(Stage::SaveLayer, units.collect())
    }

    /// The largest first, so that no thread is left with a large one at the end. Small ones are taken in the order in which
    /// they are on disk and in the zips.
    fn prepare(&self, stage: Stage, mut units: Vec<Unit<'_>>) -> Result<Vec<Ready>, PackError> {
        let total = units.iter().map(Unit::bytes).sum::<Bytes>();
        units.sort_by_key(Unit::path);
        units.sort_by_key(|unit| Reverse(unit.bytes().0 / SMALL));
        let work = self.progress.start(stage, total.0);
        // One for each thread: what they keep from one entry to the next takes long to set up.
        let idle: Mutex<Vec<Deflater>> = Mutex::default();
        let count = units.iter().map(|unit| unit.entries.len()).sum();
        let ready: Mutex<Vec<Ready>> = Mutex::new(Vec::with_capacity(count));
        units.into_par_iter().with_max_len(1).try_for_each(|unit| {
            self.progress.check()?;
            let made = self.unit(&unit, &idle)?;
            locked(&ready).extend(made);
            work.advance(unit.bytes().0);
            Ok::<(), PackError>(())
        })?;
        let mut ready = ready.into_inner().unwrap_or_else(PoisonError::into_inner);
        ready.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(ready)
    }

    fn unit(&self, unit: &Unit<'_>, idle: &Mutex<Vec<Deflater>>) -> Result<Vec<Ready>, PackError> {
        let mut contents = Vec::new();
        let mut treatment = Treatment::AsItIs;
        for (path, entry) in unit.entries {
            contents.push(match entry {
                Entry::Directory(_) => Vec::new(),
                Entry::Symlink(target) => target.clone().into_bytes(),
                Entry::File(file) => {
                    length(path, file.bytes.0)?;
                    if self.strips(path, file) {
                        treatment = Treatment::Strip;
                    }
                    self.read(path, file)?
                }
            });
        }
        if let Some(language) = unit.language {
            let thoroughness = match unit.effort {
                Effort::Max => Thoroughness::Smallest,
                Effort::Best | Effort::Fast => Thoroughness::Quick,
            };
            treatment = Treatment::Recompress(language, thoroughness);
        }
        let keys = match unit.entries.first() {
            // A link's target is compressed in less time than it is looked for.
            Some((_, Entry::File(_))) if self.cache.is_some() => Key::of(&contents, unit.effort, treatment.name()),
            _ => Vec::new(),
        };
        let compressed = match self.cached(&keys, &contents)? {
            Some(compressed) => compressed,
            None => self.made(keys, contents, treatment, unit.effort, idle)?,
        };
        let entries = unit.entries.iter().zip(compressed);
        entries
            .map(|((path, entry), (record, range))| ready(path, entry, record, range))
            .collect()
    }

    /// What the cache has for all of these keys.
    fn cached(&self, keys: &[Key], contents: &[Vec<u8>]) -> Result<Option<Vec<(Record, ByteRange)>>, PackError> {
        let Some(cache) = self.cache.filter(|_| !keys.is_empty()) else {
            return Ok(None);
        };
        let Some(found) = keys.iter().map(|key| cache.get(key)).collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        let mut compressed = Vec::new();
        for ((record, range), content) in found.into_iter().zip(contents) {
            let range = if record.is_as_in_tree() {
                self.spool.append(content)?
            } else {
                range
            };
            compressed.push((record, range));
        }
        Ok(Some(compressed))
    }

    /// Treats and compresses contents, and keeps what comes of them under their keys, if they have any.
    fn made(
        &self,
        keys: Vec<Key>,
        contents: Vec<Vec<u8>>,
        treatment: Treatment,
        effort: Effort,
        idle: &Mutex<Vec<Deflater>>,
    ) -> Result<Vec<(Record, ByteRange)>, PackError> {
        let mut deflater = locked(idle).pop().unwrap_or_default();
        let is_long = contents.iter().map(Vec::len).sum::<usize>() >= LONG;
        let work = move |stopped: &AtomicBool| {
            let made = compressed(contents, treatment, effort, &mut deflater, stopped);
            (made, deflater)
        };
        let (made, deflater) = if is_long {
            unless_stopped(self.progress, work)?
        } else {
            work(&AtomicBool::new(false))
        };
        locked(idle).push(deflater);
        let keys = keys.into_iter().map(Some).chain(std::iter::repeat(None));
        let kept = made.into_iter().zip(keys).map(|((record, bytes), key)| {
            let kept: &[u8] = if record.is_as_in_tree() { &[] } else { &bytes };
            // A cache that cannot be written to, on a full disk for instance, is none.
            match self
                .cache
                .zip(key)
                .map(|(cache, key)| cache.put(key, record.clone(), kept))
            {
                Some(Ok(range)) if !record.is_as_in_tree() => Ok((record, range)),
                _ => Ok((record, self.spool.append(&bytes)?)),
            }
        });
        kept.collect()
    }

    /// Where the content of a file comes from: a path on disk, or bytes that this program made.
    fn origin(&self, path: &TreePath) -> Result<PathBuf, &[u8]> {
        match self.plan.origins.get(path) {
            None => Ok(self.tree.join(path.as_str())),
            Some(Origin::Tree(other)) => Ok(self.tree.join(other.as_str())),
            Some(Origin::Host(path)) => Ok(path.clone()),
            Some(Origin::Generated(bytes)) => Err(bytes),
        }
    }

    /// Reads only these blocks of a file on disk, as they are there, each of which it hands over.
    pub(super) fn read_at(
        &self,
        path: &TreePath,
        file: &File,
        block: usize,
        numbers: &[u64],
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<(), PackError> {
        let disk = match self.origin(path) {
            Ok(disk) => disk,
            Err(bytes) => {
                let blocks = numbers.iter().filter_map(|&number| usize::try_from(number).ok());
                blocks
                    .filter_map(|number| bytes.chunks(block).nth(number))
                    .for_each(take);
                return Ok(());
            }
        };
        let opened = opened(&disk)?;
        if opened.metadata()?.len() != file.bytes.0 {
            return Err(PackError::Changed(disk));
        }
        let mut buffer = vec![0; block];
        for &number in numbers {
            self.progress.check()?;
            let start = number * block as u64;
            let length = file.bytes.0.saturating_sub(start).min(block as u64);
            // At most a block, which is in memory.
            let piece = &mut buffer[..usize::try_from(length).unwrap_or(block)];
            opened.file().read_exact_at(piece, start)?;
            take(piece);
        }
        Ok(())
    }

    /// The content of a file as it goes into the layers, before it is stripped.
    pub(super) fn read(&self, path: &TreePath, file: &File) -> Result<Vec<u8>, PackError> {
        let disk = match self.origin(path) {
            Ok(disk) => disk,
            Err(bytes) => return Ok(bytes.to_vec()),
        };
        let mut content = Vec::new();
        // One byte more than it had tells that it has grown.
        open::read_opened(&opened(&disk)?, file.bytes.0 + 1, &mut content)?;
        let mut patches = self.plan.patches.get(path).into_iter().flatten();
        if content.len() as u64 != file.bytes.0 || !patches.all(|patch| patch.apply(&mut content)) {
            return Err(PackError::Changed(disk));
        }
        let source = |path: &TreePath| {
            let path = match self.plan.origins.get(path) {
                None => path,
                Some(Origin::Tree(other)) => other,
                Some(_) => return None,
            };
            let disk = self.tree.join(path.as_str());
            let modified = fs_err::metadata(&disk).ok()?.modified().ok()?;
            let seconds = modified.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
            let low = u32::try_from(seconds & u64::from(u32::MAX)).ok()?;
            Some((fs_err::read(&disk).ok()?, low))
        };
        let changed = LANGUAGES
            .iter()
            .find_map(|language| language.content_in_layer(path, &content, &source));
        Ok(changed.unwrap_or(content))
    }

    /// Whether a file is one that is stripped.
    pub(super) fn strips(&self, path: &TreePath, file: &File) -> bool {
        self.strip && file.content.object().is_some() && !has_checksum(&self.plan.kept, path)
    }

    /// What this file would add to a zip if it were stripped; `None` for one that would not change.
    pub(super) fn stripped_size(&self, path: &TreePath) -> Option<Bytes> {
        let file = self
            .plan
            .kept
            .file(path)
            .filter(|file| file.content.object().is_some() && !has_checksum(&self.plan.kept, path))?;
        let stripped = strip::strip(&self.read(path, file).ok()?).ok()?;
        let compressed = Deflater::default().compress(stripped.bytes, self.effort, &AtomicBool::new(false));
        Some(Bytes(entry_size(path.as_str(), compressed.bytes.len() as u64)))
    }
}

impl<'a> Unit<'a> {
    fn bytes(&self) -> Bytes {
        self.entries.iter().map(|(_, entry)| entry.unzipped()).sum()
    }

    fn path(&self) -> Option<&'a TreePath> {
        self.entries.first().map(|(path, _)| *path)
    }
}

impl Treatment {
    /// What tells it from others in the cache.
    fn name(&self) -> &'static str {
        match self {
            Self::AsItIs => "as it is",
            Self::Strip => "strip",
            Self::Recompress(_, Thoroughness::Quick) => "recompress",
            Self::Recompress(_, Thoroughness::Smallest) => "recompress, smallest",
        }
    }

    fn carry_out(self, contents: Vec<Vec<u8>>, stopped: &AtomicBool) -> Vec<(Vec<u8>, Change)> {
        let contents = match self {
            Self::Strip => return contents.into_iter().map(stripped).collect(),
            Self::AsItIs => contents,
            Self::Recompress(language, thoroughness) => {
                let stopped = || stopped.load(Ordering::Relaxed);
                match language.recompressed(&contents, thoroughness, &stopped) {
                    None => contents,
                    Some(smaller) => {
                        let before = contents.iter().map(|content| Bytes(content.len() as u64));
                        let change = |before| Change::Recompressed { before };
                        return smaller.into_iter().zip(before.map(change)).collect();
                    }
                }
            }
        };
        contents.into_iter().map(|content| (content, Change::None)).collect()
    }
}

/// Contents as a zip has them.
fn compressed(
    contents: Vec<Vec<u8>>,
    treatment: Treatment,
    effort: Effort,
    deflater: &mut Deflater,
    stopped: &AtomicBool,
) -> Vec<(Record, Vec<u8>)> {
    let treated = treatment.carry_out(contents, stopped).into_iter();
    let compressed = treated.map(|(content, change)| {
        let uncompressed = content.len() as u64;
        let Compressed { method, crc32, bytes } = deflater.compress(content, effort, stopped);
        let record = Record {
            method,
            crc32,
            uncompressed,
            change,
        };
        (record, bytes)
    });
    compressed.collect()
}

fn ready(path: &TreePath, entry: &Entry, record: Record, range: ByteRange) -> Result<Ready, PackError> {
    let kind = match entry {
        Entry::Directory(_) => EntryKind::Directory,
        Entry::Symlink(_) => EntryKind::Symlink,
        Entry::File(file) => EntryKind::File(file.mode.in_layer()),
    };
    Ok(Ready {
        path: path.clone(),
        entry: ZipEntry {
            kind,
            method: record.method,
            crc32: record.crc32,
            compressed: length(path, range.length)?,
            uncompressed: length(path, record.uncompressed)?,
        },
        range,
        change: record.change,
    })
}

/// Opens a file that the scan saw.
fn opened(disk: &Path) -> Result<fs_err::File, PackError> {
    open::content(disk).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::InvalidInput => PackError::Changed(disk.to_owned()),
        _ => error.into(),
    })
}

/// A length that a zip without ZIP64 can have.
fn length(path: &TreePath, bytes: u64) -> Result<u32, PackError> {
    u32::try_from(bytes).map_err(|_| PackError::Huge(path.clone()))
}

/// Whether a checksum is next to a library, against which its bytes are held when it is loaded: `libsoftokn3.chk` of Mozilla's
/// NSS (lib/freebl/shvfy.c), `.libcrypto.so.3.hmac` of distributions that build for FIPS 140 (fipscheck(8)).
fn has_checksum(tree: &Tree, path: &TreePath) -> bool {
    let name = path.file_name();
    let of_nss = name.strip_suffix(".so").map(|stem| format!("{stem}.chk"));
    let names = of_nss.into_iter().chain([format!(".{name}.hmac")]);
    let directory = path.parent().unwrap_or_else(TreePath::root);
    names
        .filter_map(|name| directory.join(&name))
        .any(|path| tree.contains(&path))
}

/// The object without what only debuggers and linkers read, or as it was.
pub(super) fn stripped(content: Vec<u8>) -> (Vec<u8>, Change) {
    match strip::strip(&content) {
        Ok(stripped) => {
            let before = Bytes(content.len() as u64);
            (stripped.bytes, Change::Stripped { before })
        }
        Err(strip::Reason::NothingToRemove) => (content, Change::None),
        Err(reason) => (content, Change::NotStripped(reason.to_string())),
    }
}
