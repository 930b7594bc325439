//! Reads, strips and compresses what a plan keeps. What was compressed in an earlier run comes from the cache.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

use rayon::prelude::*;

use super::PackError;
use super::cache::{Cache, Change, Key, Record};
use super::compress::{Compressed, Deflater};
use super::spool::{ByteRange, Spool, locked};
use super::zip::{EntryKind, ZipEntry, entry_size};
use crate::elf::strip;
use crate::languages::BUILT_IN;
use crate::manifest::Effort;
use crate::plan::{Origin, Plan};
use crate::progress::{Progress, Stage};
use crate::size::Bytes;
use crate::tree::{Entry, File, TreePath};

/// Entries of less than so many bytes are compressed in an instant.
const SMALL: u64 = 256 << 10;

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
        entry_size(&self.entry.name, u64::from(self.entry.compressed))
    }
}

/// What every thread needs to prepare entries.
pub(super) struct Preparation<'a> {
    pub(super) tree: &'a Path,
    pub(super) plan: &'a Plan,
    pub(super) strip: bool,
    pub(super) effort: Effort,
    /// What is compressed at the highest effort whatever the effort of the others.
    pub(super) at_max: &'a BTreeSet<TreePath>,
    pub(super) spool: &'a Spool,
    pub(super) cache: Option<&'a Cache>,
    pub(super) progress: &'a dyn Progress,
}

impl Preparation<'_> {
    /// Every entry, sorted by path.
    pub(super) fn all(&self) -> Result<Vec<Ready>, PackError> {
        let kept = &self.plan.kept;
        let entries = kept
            .iter()
            .filter(|(path, entry)| !matches!(entry, Entry::Directory(_)) || kept.below(path).next().is_none())
            .map(|(path, entry)| {
                let is_at_max = self.at_max.contains(path);
                (path, entry, if is_at_max { Effort::Max } else { self.effort })
            });
        self.prepare(entries.collect())
    }

    /// These entries again at the highest effort, sorted by path.
    pub(super) fn again_at_max(&self, ready: &[&Ready]) -> Result<Vec<Ready>, PackError> {
        let entries = ready
            .iter()
            .filter_map(|ready| Some((&ready.path, self.plan.kept.get(&ready.path)?, Effort::Max)));
        self.prepare(entries.collect())
    }

    /// The largest first, so that no thread is left with a large one at the end. Small ones are taken in the order in which
    /// they lie on disk and in the zips.
    fn prepare(&self, mut entries: Vec<(&TreePath, &Entry, Effort)>) -> Result<Vec<Ready>, PackError> {
        let total = entries.iter().map(|(_, entry, _)| entry.unzipped()).sum::<Bytes>();
        entries.sort_by_key(|(path, ..)| *path);
        let mut numbered: Vec<_> = entries.into_iter().enumerate().collect();
        numbered.sort_by_key(|(_, (_, entry, _))| Reverse(entry.unzipped().0 / SMALL));
        let work = self.progress.start(Stage::Compress, total.0);
        // One for each thread: what they keep from one entry to the next takes long to set up.
        let idle: Mutex<Vec<Deflater>> = Mutex::default();
        let mut ready = numbered
            .into_par_iter()
            .with_max_len(1)
            .map(|(number, (path, entry, effort))| {
                self.progress.check()?;
                let mut deflater = locked(&idle).pop().unwrap_or_default();
                let ready = self.one(path, entry, effort, &mut deflater);
                locked(&idle).push(deflater);
                // What was stopped half-way is of no use.
                self.progress.check()?;
                work.advance(entry.unzipped().0);
                Ok((number, ready?))
            })
            .collect::<Result<Vec<(usize, Ready)>, PackError>>()?;
        ready.sort_by_key(|(number, _)| *number);
        Ok(ready.into_iter().map(|(_, ready)| ready).collect())
    }

    fn one(&self, path: &TreePath, entry: &Entry, effort: Effort, deflater: &mut Deflater) -> Result<Ready, PackError> {
        let name = path.as_str().to_owned();
        let mut bare = |content: Vec<u8>| {
            let (record, bytes) = self.compressed(path, content, Change::None, effort, deflater)?;
            Ok::<_, PackError>((record, self.spool.append(&bytes)?))
        };
        let (name, kind, (record, range)) = match entry {
            Entry::Directory(_) => (name + "/", EntryKind::Directory, bare(Vec::new())?),
            Entry::Symlink(target) => (name, EntryKind::Symlink, bare(target.clone().into_bytes())?),
            Entry::File(file) => {
                let kind = EntryKind::File(file.mode.in_layer());
                (name, kind, self.file(path, file, effort, deflater)?)
            }
        };
        Ok(Ready {
            path: path.clone(),
            entry: ZipEntry {
                name,
                kind,
                method: record.method,
                crc32: record.crc32,
                compressed: length(path, range.length)?,
                uncompressed: record.uncompressed,
            },
            range,
            change: record.change,
        })
    }

    fn file(
        &self,
        path: &TreePath,
        file: &File,
        effort: Effort,
        deflater: &mut Deflater,
    ) -> Result<(Record, ByteRange), PackError> {
        length(path, file.bytes.0)?;
        let content = self.read(path, file)?;
        let strips = self.strip && file.content.object().is_some();
        let key = Key::new(&content, effort, strips);
        if let Some((record, range)) = self.cache.and_then(|cache| cache.get(&key)) {
            let range = if record.is_as_in_tree() {
                self.spool.append(&content)?
            } else {
                range
            };
            return Ok((record, range));
        }
        let (content, change) = if strips {
            stripped(content)
        } else {
            (content, Change::None)
        };
        let (record, bytes) = self.compressed(path, content, change, effort, deflater)?;
        self.progress.check()?;
        let kept: &[u8] = if record.is_as_in_tree() { &[] } else { &bytes };
        // A cache that cannot be written to, on a full disk for instance, is none.
        match self.cache.map(|cache| cache.put(key, record.clone(), kept)) {
            Some(Ok(range)) if !record.is_as_in_tree() => Ok((record, range)),
            _ => Ok((record, self.spool.append(&bytes)?)),
        }
    }

    fn compressed(
        &self,
        path: &TreePath,
        content: Vec<u8>,
        change: Change,
        effort: Effort,
        deflater: &mut Deflater,
    ) -> Result<(Record, Vec<u8>), PackError> {
        let uncompressed = length(path, content.len() as u64)?;
        let Compressed { method, crc32, bytes } =
            deflater.compress(content, effort, &|| self.progress.check().is_err());
        let record = Record {
            method,
            crc32,
            uncompressed,
            change,
        };
        Ok((record, bytes))
    }

    fn read(&self, path: &TreePath, file: &File) -> Result<Vec<u8>, PackError> {
        let disk = match self.plan.origins.get(path) {
            None => self.tree.join(path.as_str()),
            Some(Origin::Tree(other)) => self.tree.join(other.as_str()),
            Some(Origin::Host(path)) => path.clone(),
            Some(Origin::Generated(bytes)) => return Ok(bytes.to_vec()),
        };
        let mut content = fs_err::read(&disk)?;
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
        let changed = BUILT_IN
            .iter()
            .find_map(|language| language.content_in_layer(path, &content, &source));
        Ok(changed.unwrap_or(content))
    }

    /// What this file would add to a zip if it were stripped; `None` for one that would not change.
    pub(super) fn stripped_size(&self, path: &TreePath) -> Option<Bytes> {
        let file = self
            .plan
            .kept
            .file(path)
            .filter(|file| file.content.object().is_some())?;
        let stripped = strip::strip(&self.read(path, file).ok()?).ok()?;
        let compressed = Deflater::default().compress(stripped.bytes, self.effort, &|| false);
        Some(Bytes(entry_size(path.as_str(), compressed.bytes.len() as u64)))
    }
}

/// A length that a zip without ZIP64 can have.
fn length(path: &TreePath, bytes: u64) -> Result<u32, PackError> {
    u32::try_from(bytes).map_err(|_| PackError::Huge(path.clone()))
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
