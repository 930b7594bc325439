//! Reads zips with another reader than the one that wrote them, and trusts nothing in them.
//!
//! Nothing is extracted to disk, no size that a header announces is believed, and no more is read than Lambda would
//! unpack.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::zip::ZipArchive;
use ::zip::result::ZipError;
use rayon::prelude::*;

use crate::finding::{Code, Finding};
use crate::limits;
use crate::progress::{Interrupted, Progress, Stage, Work};
use crate::size::Bytes;
use crate::tree::path::escaped;
use crate::tree::{Entry, File, Mode, Tree, TreePath, content};

/// Larger files are no zips of layers; they are not read.
const LARGEST_ZIP: u64 = 1 << 30;
/// `PATH_MAX`, and so the longest target of a link (limits.h).
const LONGEST_TARGET: u64 = 4096;
/// The kind of a file in `st_mode` (inode(7)).
const KIND: u32 = 0o170_000;
const LINK: u32 = 0o120_000;
const FOLDER: u32 = 0o040_000;

/// One layer, read.
#[derive(Debug, Clone, Default)]
pub struct Layer {
    /// The zip's file name, or the path of a tree.
    pub file: String,
    /// The zip's length; `None` for a tree.
    pub zip_bytes: Option<Bytes>,
    /// How many entries it has.
    pub entries: usize,
    /// What is wrong with it, taken by itself.
    pub findings: Vec<Finding>,
    /// What it holds.
    pub tree: Tree,
    /// CRC-32 and length of each file, by which equal content is told.
    pub sums: BTreeMap<TreePath, (u32, u64)>,
}

/// Reads zips whole: every entry's content is unpacked in memory, one at a time a thread, and its CRC compared.
pub fn read_zips(paths: &[PathBuf], progress: &dyn Progress) -> Result<Vec<Layer>, Interrupted> {
    let total = paths
        .iter()
        .filter_map(|path| Some(fs_err::metadata(path).ok()?.len()))
        .sum();
    let work = progress.start(Stage::Check, total);
    paths
        .iter()
        .map(|path| {
            progress.check()?;
            read_zip(path, progress, work.as_ref())
        })
        .collect()
}

type Archive = ZipArchive<Cursor<Arc<[u8]>>>;

fn read_zip(path: &Path, progress: &dyn Progress, work: &dyn Work) -> Result<Layer, Interrupted> {
    let file = path
        .file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned();
    let mut layer = Layer {
        file,
        zip_bytes: Some(Bytes(fs_err::metadata(path).map_or(0, |metadata| metadata.len()))),
        entries: 0,
        findings: Vec::new(),
        tree: Tree::default(),
        sums: BTreeMap::new(),
    };
    let archive = match open(path) {
        Ok(archive) => archive,
        Err(reason) => {
            layer.findings.push(Finding::new(
                Code::UnreadableZip,
                &[("reason", &escaped(reason.as_bytes()))],
            ));
            return Ok(layer);
        }
    };
    layer.entries = archive.len();
    if archive.has_duplicate_names() {
        layer.findings.push(Finding::new(Code::DuplicateName, &[]));
    }
    // What all entries together may still unpack to; past Lambda's limit the layer is refused anyway.
    let left = AtomicU64::new(limits::UNZIPPED_BYTES * 2);
    let read: Vec<Result<ReadEntry, Interrupted>> = (0..archive.len())
        .into_par_iter()
        .map_init(
            || archive.clone(),
            |archive, index| {
                progress.check()?;
                let entry = read_entry(archive, index, &left);
                work.advance(entry.compressed);
                Ok(entry)
            },
        )
        .collect();
    for entry in read {
        let entry = entry?;
        layer.findings.extend(entry.findings);
        if let Some((path, value)) = entry.value {
            if let Some(sum) = entry.sum {
                layer.sums.insert(path.clone(), sum);
            }
            layer.tree.insert(path, value);
        }
    }
    Ok(layer)
}

fn open(path: &Path) -> Result<Archive, String> {
    let length = fs_err::metadata(path).map_err(|error| error.to_string())?.len();
    if length > LARGEST_ZIP {
        return Err(format!("it has {length} bytes, which no layer can have"));
    }
    let bytes: Arc<[u8]> = fs_err::read(path).map_err(|error| error.to_string())?.into();
    ZipArchive::new(Cursor::new(bytes)).map_err(|error| error.to_string())
}

#[derive(Default)]
struct ReadEntry {
    value: Option<(TreePath, Entry)>,
    sum: Option<(u32, u64)>,
    findings: Vec<Finding>,
    compressed: u64,
}

fn read_entry(archive: &mut Archive, index: usize, left: &AtomicU64) -> ReadEntry {
    let mut result = ReadEntry::default();
    let raw_name = archive
        .by_index_raw(index)
        .map(|entry| entry.name_raw().to_vec())
        .unwrap_or_default();
    let shown = escaped(&raw_name);
    let mut find = |code, words: &[(&str, &str)]| {
        result.findings.push(Finding::new(code, words).at(shown.clone()));
    };
    let mut entry = match archive.by_index(index) {
        Ok(entry) => entry,
        Err(ZipError::UnsupportedArchive(what)) => {
            find(
                Code::UnsupportedEntry,
                &[("what", &format!("of an unknown kind ({what})"))],
            );
            return result;
        }
        Err(error) => {
            find(
                Code::CorruptEntry,
                &[("reason", &escaped(error.to_string().as_bytes()))],
            );
            return result;
        }
    };
    result.compressed = entry.compressed_size();
    if entry.encrypted() {
        find(Code::UnsupportedEntry, &[("what", "encrypted")]);
        return result;
    }
    let (path, is_folder_name) = match plain_name(&raw_name) {
        Ok(plain) => plain,
        Err(what) => {
            find(Code::BadName, &[("what", what)]);
            return result;
        }
    };
    let mode = entry.unix_mode();
    if entry.system() != ::zip::System::Unix {
        find(Code::NotMadeByUnix, &[]);
    }
    let kind = mode.unwrap_or(0) & KIND;
    let permissions = Mode::new(mode.unwrap_or(0o644));
    if is_folder_name || kind == FOLDER {
        if permissions.bits() & 0o001 == 0 && mode.is_some() {
            find(
                Code::FolderNotSearchable,
                &[("mode", &format!("{:04o}", permissions.bits()))],
            );
        }
        result.value = Some((path, Entry::Directory(permissions)));
        return result;
    }
    let is_link = kind == LINK;
    if !is_link && permissions.bits() & 0o004 == 0 {
        find(
            Code::FileNotReadable,
            &[("mode", &format!("{:04o}", permissions.bits()))],
        );
    }
    let bytes = match read_content(&mut entry, path.file_name(), is_link, left) {
        Ok(read) => read,
        Err(reason) => {
            find(Code::CorruptEntry, &[("reason", &escaped(reason.as_bytes()))]);
            return result;
        }
    };
    if is_link {
        match String::from_utf8(bytes.kept) {
            Ok(target) => result.value = Some((path, Entry::Symlink(target))),
            Err(_) => find(Code::NameNotUtf8, &[]),
        }
        return result;
    }
    result.sum = Some((bytes.crc32, bytes.length));
    result.value = Some((
        path.clone(),
        Entry::File(File {
            bytes: Bytes(bytes.length),
            mode: permissions,
            content: content::inspect(path.file_name(), &bytes.kept),
        }),
    ));
    result
}

/// A name as a path, and whether it is a folder's; or what is wrong with it.
fn plain_name(raw: &[u8]) -> Result<(TreePath, bool), &'static str> {
    let Ok(name) = std::str::from_utf8(raw) else {
        return Err("not UTF-8");
    };
    if name.starts_with('/') {
        return Err("absolute");
    }
    if name.contains('\\') {
        return Err("written with backslashes");
    }
    if name.chars().any(char::is_control) {
        return Err("one with control characters");
    }
    let trimmed = name.strip_suffix('/').unwrap_or(name);
    let trimmed = trimmed.strip_prefix("./").unwrap_or(trimmed);
    TreePath::new(trimmed)
        .map(|path| (path, name.ends_with('/')))
        .ok_or("not a plain path: it is empty, or has .. or empty parts")
}

struct ReadContent {
    /// All bytes where they are wanted, else only the first ones.
    kept: Vec<u8>,
    length: u64,
    crc32: u32,
}

fn read_content(
    entry: &mut impl Read,
    file_name: &str,
    is_link: bool,
    left: &AtomicU64,
) -> Result<ReadContent, String> {
    let mut kept = Vec::new();
    let mut length = 0_u64;
    let mut hash = crc32fast::Hasher::new();
    let mut buffer = vec![0; 1 << 16];
    let mut wanted = true;
    loop {
        let count = match entry.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.to_string()),
        };
        let chunk = &buffer[..count];
        length += count as u64;
        let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(count as u64)
        });
        if taken.is_err() {
            return Err("the zip unpacks to far more than Lambda takes; the rest was not read".to_owned());
        }
        if is_link && length > LONGEST_TARGET {
            return Err("the link's target is longer than a path can be".to_owned());
        }
        hash.update(chunk);
        if wanted {
            kept.extend_from_slice(chunk);
            wanted = is_link || kept.len() < content::HEAD || content::is_wanted(file_name, &kept);
        }
    }
    if !is_link && !content::is_wanted(file_name, &kept) {
        kept.truncate(content::HEAD);
    }
    Ok(ReadContent {
        kept,
        length,
        crc32: hash.finalize(),
    })
}
