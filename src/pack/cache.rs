//! Keeps what was compressed from run to run, by the hash of the content before.
//!
//! A run appends what it compresses to one file of its own. When it ends, the file gets an index and a name, and from then
//! on nobody writes to it: runs at the same time need no locks. The oldest files go when all together exceed the limit;
//! a run that needs contents of many files gathers them in its own.
//!
//! ```text
//! contents one after the other | index | length of the index | hash of the index | magic
//! ```
//!
//! Nothing in the directory is trusted. An index that does not match its hash is not read, and a content that does not match
//! its own is compressed again; the zips are read back whole in any case.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::compress::Method;
use super::spool::{ByteRange, Spool, locked};
use crate::manifest::Effort;
use crate::open;
use crate::size::Bytes;

/// What the bytes of a compressed content depend on besides the content and the options. Whoever changes how contents are
/// stripped or compressed without a new version of the program raises the number; a test compares the libraries' versions.
const MADE_BY: &str = concat!(
    "4, lambdar-prune ",
    env!("CARGO_PKG_VERSION"),
    ", libdeflate-sys 1.26.1, zopfli 0.8.4, liblzma-sys 0.4.9"
);

/// The end of every file; the number is that of the form.
const MAGIC: &[u8; 16] = b"lambdar-prune 1\n";
/// Length of the index, its hash, and the magic bytes.
const FOOTER: usize = 8 + 32 + MAGIC.len();
/// The longest index that is read, in bytes: that of some million entries.
const LONGEST_INDEX: u64 = 256 << 20;

const SUFFIX: &str = ".contents";
const UNFINISHED: &str = ".unfinished-";
/// After so long an unfinished file is that of a run that was killed.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// From so many files on what a run uses is gathered into one, in the run's own file and in all.
const MANY_USED: usize = 16;
/// How many files are kept at most.
const MOST_FILES: usize = 256;

/// Where compressed contents are kept, and how many bytes of them.
#[derive(Debug, Clone)]
pub struct Directory {
    /// The directory; it is made if it is not there.
    pub path: PathBuf,
    /// How large the files in it may be together.
    pub limit: Bytes,
}

/// Stands for a content and how it is to be compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Key([u8; 32]);

impl Key {
    /// The keys of contents as they are in the tree, which are treated together before they are compressed.
    pub(super) fn of(contents: &[Vec<u8>], effort: Effort, treatment: &str) -> Vec<Self> {
        let mut hasher = blake3::Hasher::new();
        // Hashes, and nothing of any other length: no part can be taken for a piece of another.
        for part in [MADE_BY, treatment] {
            hasher.update(blake3::hash(part.as_bytes()).as_bytes());
        }
        for content in contents {
            hasher.update(blake3::hash(content).as_bytes());
        }
        let keys = (0_u64..).zip(contents).map(|(number, _)| {
            let mut hasher = hasher.clone();
            hasher.update(&[effort as u8]);
            hasher.update(&number.to_le_bytes());
            Self(hasher.finalize().into())
        });
        keys.collect()
    }
}

/// How the content of an entry differs from that of its origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Change {
    /// Not at all.
    None,
    /// It was stripped; its length before.
    Stripped { before: Bytes },
    /// What it has compressed inside has a better compression; its length before.
    Recompressed { before: Bytes },
    /// It was to be stripped and was left as it is, for a reason.
    NotStripped(String),
}

/// What is kept of a content besides its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) method: Method,
    pub(super) crc32: u32,
    /// Length before compression, as it is in the layer.
    pub(super) uncompressed: u64,
    pub(super) change: Change,
}

impl Record {
    /// Whether the bytes in a zip are those in the tree: then only that is kept, and not the bytes.
    pub(super) fn is_as_in_tree(&self) -> bool {
        let is_changed = matches!(self.change, Change::Stripped { .. } | Change::Recompressed { .. });
        self.method == Method::Stored && !is_changed
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    key: Key,
    record: Record,
    start: u64,
    length: u64,
    hash: [u8; 32],
}

/// An open cache.
pub(super) struct Cache {
    directory: Directory,
    kept: Vec<KeptFile>,
    index: HashMap<Key, (usize, Line)>,
    own: NamedTempFile,
    spool: Spool,
    /// What the run put into its own file.
    added: Mutex<Vec<Line>>,
    /// What it took from the others.
    taken: Mutex<Vec<Key>>,
}

struct KeptFile {
    path: PathBuf,
    file: Arc<File>,
    is_used: AtomicBool,
    is_broken: AtomicBool,
}

impl Cache {
    /// Reads the indices of a cache; fails where nothing can be written.
    pub(super) fn open(directory: &Directory) -> io::Result<Self> {
        fs_err::create_dir_all(&directory.path)?;
        let own = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempfile_in(&directory.path)?;
        let spool = Spool::over(own.reopen()?, &directory.path);
        let mut kept = Vec::new();
        let mut index = HashMap::new();
        for path in listed(&directory.path)?.into_iter().map(|listed| listed.path) {
            let Some((file, lines)) = open_own(&path).and_then(|file| {
                let lines = read_index(&file)?;
                Some((file, lines))
            }) else {
                // It is broken, of another version or of another user, or another run has just removed it.
                let _ = fs_err::remove_file(&path);
                continue;
            };
            index.extend(lines.into_iter().map(|line| (line.key, (kept.len(), line))));
            kept.push(KeptFile {
                path,
                file: Arc::new(file),
                is_used: AtomicBool::new(false),
                is_broken: AtomicBool::new(false),
            });
        }
        Ok(Self {
            directory: directory.clone(),
            kept,
            index,
            own,
            spool,
            added: Mutex::default(),
            taken: Mutex::default(),
        })
    }

    /// What is kept for a key, with the place of the bytes, which are as they were when they were put there.
    pub(super) fn get(&self, key: &Key) -> Option<(Record, ByteRange)> {
        let (number, line) = self.index.get(key)?;
        let kept = &self.kept[*number];
        let range = line.range(&kept.file);
        if range.bytes().is_none_or(|bytes| blake3::hash(&bytes) != line.hash) {
            kept.is_broken.store(true, Ordering::Relaxed);
            return None;
        }
        kept.is_used.store(true, Ordering::Relaxed);
        locked(&self.taken).push(*key);
        Some((line.record.clone(), range))
    }

    /// Keeps bytes for a key.
    pub(super) fn put(&self, key: Key, record: Record, bytes: &[u8]) -> io::Result<ByteRange> {
        let range = self.spool.append(bytes)?;
        locked(&self.added).push(Line {
            key,
            record,
            start: range.start,
            length: range.length,
            hash: blake3::hash(bytes).into(),
        });
        Ok(range)
    }

    /// Gives the run's file its index and its name, and removes what is broken or too old for the limit.
    ///
    /// A cache that cannot be written is none: failures are not told.
    pub(super) fn finish(self) {
        let _ = self.try_finish();
    }

    /// Removes everything that this run used: what came of it is wrong.
    pub(super) fn distrust(self) {
        for kept in self.kept.iter().filter(|kept| kept.is_used.load(Ordering::Relaxed)) {
            let _ = fs_err::remove_file(&kept.path);
        }
    }

    fn try_finish(self) -> io::Result<()> {
        let Self {
            directory,
            kept,
            index,
            own,
            spool,
            added,
            taken,
        } = self;
        let used = |kept: &&KeptFile| kept.is_used.load(Ordering::Relaxed);
        let is_broken = kept.iter().any(|kept| kept.is_broken.load(Ordering::Relaxed));
        let gathers = is_broken || kept.iter().filter(used).count() > MANY_USED;
        let mut written = added.into_inner().unwrap_or_else(PoisonError::into_inner);
        if gathers {
            for key in taken.into_inner().unwrap_or_else(PoisonError::into_inner) {
                if let Some((number, line)) = index.get(&key)
                    && let Some(bytes) = line.range(&kept[*number].file).bytes()
                {
                    let start = spool.append(&bytes)?.start;
                    written.push(Line { start, ..line.clone() });
                }
            }
        }
        if !written.is_empty() {
            // By key: which thread came first is of no interest.
            written.sort_by_key(|line| (line.key.0, line.start));
            written.dedup_by_key(|line| line.key);
            append_index(&spool, &written)?;
            let (_, unfinished) = own.keep().map_err(|error| error.error)?;
            let name = unfinished.file_name().unwrap_or_default().to_string_lossy();
            let name = format!("{}{SUFFIX}", name.trim_start_matches(UNFINISHED));
            fs_err::rename(&unfinished, directory.path.join(name))?;
        }
        for kept in &kept {
            let is_gathered = gathers && used(&kept);
            if is_gathered || kept.is_broken.load(Ordering::Relaxed) {
                let _ = fs_err::remove_file(&kept.path);
            } else if used(&kept) {
                // The time of the last use.
                let _ = kept.file.set_modified(SystemTime::now());
            }
        }
        evict(&directory)
    }
}

impl Line {
    fn range(&self, file: &Arc<File>) -> ByteRange {
        ByteRange {
            file: Arc::clone(file),
            start: self.start,
            length: self.length,
        }
    }
}

impl ByteRange {
    /// All the bytes; `None` if they are not there.
    fn bytes(&self) -> Option<Vec<u8>> {
        let end = self.start.checked_add(self.length)?;
        if end > self.file.metadata().ok()?.len() {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(self.length).ok()?];
        self.file.read_exact_at(&mut bytes, self.start).ok()?;
        Some(bytes)
    }
}

fn append_index(spool: &Spool, lines: &[Line]) -> io::Result<()> {
    let index = postcard::to_stdvec(lines).map_err(io::Error::other)?;
    let mut footer = (index.len() as u64).to_le_bytes().to_vec();
    footer.extend(blake3::hash(&index).as_bytes());
    footer.extend(MAGIC);
    spool.append(&index)?;
    spool.append(&footer)?;
    Ok(())
}

/// Opens a finished file, if nobody but this user can have written it: its contents reach the layers.
fn open_own(path: &Path) -> Option<File> {
    let file = open::regular(path).ok()?.into_parts().0;
    let metadata = file.metadata().ok()?;
    let is_own = metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o022 == 0;
    is_own.then_some(file)
}

/// The index of a finished file; `None` if it is not as it was written.
fn read_index(file: &File) -> Option<Vec<Line>> {
    let end = file.metadata().ok()?.len();
    let footer_start = end.checked_sub(FOOTER as u64)?;
    let mut footer = [0; FOOTER];
    file.read_exact_at(&mut footer, footer_start).ok()?;
    let (length, rest) = footer.split_first_chunk::<8>()?;
    let (hash, magic) = rest.split_first_chunk::<32>()?;
    let length = u64::from_le_bytes(*length);
    let start = footer_start.checked_sub(length)?;
    if magic != MAGIC || length > LONGEST_INDEX {
        return None;
    }
    let mut index = vec![0; usize::try_from(length).ok()?];
    file.read_exact_at(&mut index, start).ok()?;
    if blake3::hash(&index) != *hash {
        return None;
    }
    postcard::from_bytes(&index).ok()
}

struct Listed {
    path: PathBuf,
    length: u64,
    last_use: SystemTime,
}

/// The finished files of a cache, the one used longest ago first, so that of two with the same key the newer counts.
fn listed(directory: &Path) -> io::Result<Vec<Listed>> {
    let mut files = Vec::new();
    for entry in fs_err::read_dir(directory)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // Another run may remove files at any time.
        let Ok(metadata) = entry.metadata() else { continue };
        let last_use = metadata.modified()?;
        if name.ends_with(SUFFIX) {
            files.push(Listed {
                path: entry.path(),
                length: metadata.len(),
                last_use,
            });
        } else if name.starts_with(UNFINISHED) && last_use.elapsed().is_ok_and(|age| age > ABANDONED) {
            let _ = fs_err::remove_file(entry.path());
        }
    }
    files.sort_by(|a, b| (a.last_use, &a.path).cmp(&(b.last_use, &b.path)));
    Ok(files)
}

/// Removes the files that were used longest ago until the others keep the limits.
fn evict(directory: &Directory) -> io::Result<()> {
    let files = listed(&directory.path)?;
    let mut left: u64 = files.iter().map(|file| file.length).sum();
    let mut count = files.len();
    for file in files {
        if left <= directory.limit.0 && count <= MOST_FILES {
            break;
        }
        let _ = fs_err::remove_file(&file.path);
        left -= file.length;
        count -= 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sandbox {
        temporary: tempfile::TempDir,
        limit: u64,
    }

    impl Sandbox {
        fn new() -> Self {
            Self {
                temporary: tempfile::tempdir().unwrap(),
                limit: 1_000_000,
            }
        }

        fn open(&self) -> Cache {
            let directory = Directory {
                path: self.temporary.path().join("cache"),
                limit: Bytes(self.limit),
            };
            Cache::open(&directory).unwrap()
        }

        fn files(&self) -> Vec<Listed> {
            listed(&self.temporary.path().join("cache")).unwrap()
        }

        fn keep(&self, contents: &[&[u8]]) {
            let cache = self.open();
            for content in contents {
                assert_eq!(put(&cache, content).bytes().unwrap(), *content);
            }
            cache.finish();
        }

        fn kept(&self, content: &[u8]) -> Option<Vec<u8>> {
            let (record, range) = self.open().get(&key(content))?;
            assert_eq!(record, record_of(content));
            range.bytes()
        }
    }

    fn key(content: &[u8]) -> Key {
        Key::of(&[content.to_vec()], Effort::Best, "strip")[0]
    }

    fn record_of(content: &[u8]) -> Record {
        Record {
            method: Method::Deflated,
            crc32: crc32fast::hash(content),
            uncompressed: 7,
            change: Change::NotStripped("a reason".to_owned()),
        }
    }

    fn put(cache: &Cache, content: &[u8]) -> ByteRange {
        cache.put(key(content), record_of(content), content).unwrap()
    }

    #[test]
    fn what_is_kept_comes_back_and_nothing_else() {
        let sandbox = Sandbox::new();
        sandbox.keep(&[b"one", b"", b"two"]);
        sandbox.keep(&[b"three"]);
        for content in ["one", "", "two", "three"] {
            assert_eq!(sandbox.kept(content.as_bytes()).as_deref(), Some(content.as_bytes()));
        }
        assert_eq!(sandbox.kept(b"four"), None);
        let cache = sandbox.open();
        assert!(
            cache
                .get(&Key::of(&[b"one".to_vec()], Effort::Max, "strip")[0])
                .is_none()
        );
        assert!(
            cache
                .get(&Key::of(&[b"one".to_vec()], Effort::Best, "as it is")[0])
                .is_none()
        );
        // A run without anything new leaves no file.
        cache.finish();
        assert_eq!(sandbox.files().len(), 2);
    }

    #[test]
    fn every_flipped_byte_is_noticed() {
        let sandbox = Sandbox::new();
        sandbox.keep(&[b"content"]);
        let path = sandbox.files()[0].path.clone();
        let bytes = fs_err::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 0x20;
            fs_err::write(&path, &broken).unwrap();
            assert_eq!(sandbox.kept(b"content"), None, "byte {at}");
            fs_err::write(&path, &broken[..at]).unwrap();
            assert_eq!(sandbox.kept(b"content"), None, "cut at {at}");
        }
        // It is dropped, and made anew.
        fs_err::write(&path, &bytes[1..]).unwrap();
        let cache = sandbox.open();
        assert!(cache.get(&key(b"content")).is_none());
        put(&cache, b"content");
        cache.finish();
        assert!(!path.exists());
        assert_eq!(sandbox.kept(b"content").as_deref(), Some(&b"content"[..]));
    }

    #[test]
    fn the_limit_takes_what_was_used_longest_ago() {
        let mut sandbox = Sandbox::new();
        sandbox.limit = 3_000;
        for (age, content) in [(30, [1_u8; 1000]), (20, [2; 1000])] {
            sandbox.keep(&[&content]);
            let newest = sandbox.files().pop().unwrap();
            let file = fs_err::File::open(newest.path).unwrap();
            file.file()
                .set_modified(SystemTime::now() - Duration::from_secs(age))
                .unwrap();
        }
        // The older one is used again, so that the other goes.
        let cache = sandbox.open();
        assert!(cache.get(&key(&[1; 1000])).is_some());
        put(&cache, &[3; 1000]);
        cache.finish();
        let kept = |byte: u8| sandbox.kept(&[byte; 1000]).is_some();
        assert_eq!([kept(1), kept(2), kept(3)], [true, false, true]);
        // More than the limit in one run is not kept at all.
        sandbox.keep(&[&[4; 4000]]);
        assert_eq!(sandbox.kept(&[4; 4000]), None);
    }

    #[test]
    fn many_small_files_become_one() {
        let sandbox = Sandbox::new();
        let contents: Vec<[u8; 4]> = (0..).take(MANY_USED + 1).map(u32::to_le_bytes).collect();
        for content in &contents {
            sandbox.keep(&[content]);
        }
        assert_eq!(sandbox.files().len(), contents.len());
        let cache = sandbox.open();
        assert!(contents.iter().all(|content| cache.get(&key(content)).is_some()));
        cache.finish();
        assert_eq!(sandbox.files().len(), 1);
        assert!(contents.iter().all(|content| sandbox.kept(content).is_some()));
    }

    #[test]
    fn runs_at_the_same_time_do_not_meet() {
        let sandbox = Sandbox::new();
        sandbox.keep(&[b"before"]);
        let (one, other) = (sandbox.open(), sandbox.open());
        let (_, range) = one.get(&key(b"before")).unwrap();
        put(&one, b"same");
        put(&other, b"same");
        assert!(other.get(&key(b"before")).is_some());
        // What the other throws away can still be read by who has it open.
        other.distrust();
        assert_eq!(range.bytes().as_deref(), Some(&b"before"[..]));
        one.finish();
        assert_eq!(sandbox.kept(b"same").as_deref(), Some(&b"same"[..]));
        assert_eq!(sandbox.kept(b"before"), None);
    }

    /// Another version of a compressor gives other bytes for the same content.
    #[test]
    fn the_key_names_the_compressors_that_are_built_in() {
        let lock: toml::Table = toml::from_str(include_str!("../../Cargo.lock")).unwrap();
        for package in ["libdeflate-sys", "zopfli", "liblzma-sys"] {
            let is_meant = |entry: &&toml::Value| entry["name"].as_str() == Some(package);
            let entry = lock["package"].as_array().unwrap().iter().find(is_meant).unwrap();
            let named = format!("{package} {}", entry["version"].as_str().unwrap());
            assert!(MADE_BY.contains(&named), "{MADE_BY} does not name {named}");
        }
    }
}
