//! Reads zips with another reader than the one that wrote them, and trusts nothing in them.
//!
//! Nothing is extracted to disk, no size that a header declares is believed, no entry is unpacked beyond what it
//! declares, and a zip that declares too much is not unpacked at all. What is held in memory is bounded by constants,
//! not by the zip.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::LayerSize;
use super::archive::{Archive, Flow, Header, Located, Method, NoArchive, Unpacker};
use super::large;
use crate::finding::{Code, Finding, Severity};
use crate::languages::inspector;
use crate::limits;
use crate::progress::{Interrupted, Progress, Stage, Work};
use crate::size::{Bytes, exact};
use crate::tree::path::{escaped, turns_text};
use crate::tree::{Content, Entry, File, Mode, Tree, TreePath, content};

/// `PATH_MAX`, and so the longest name and the longest target of a link (limits.h).
const LONGEST_PATH: usize = 4096;
/// `NAME_MAX`, and so the longest part of a name (limits.h).
const LONGEST_PART: usize = 255;
/// Deeper directories than any tree has.
const DEEPEST: usize = 128;
/// How much of one file is held in memory to be looked at.
const HELD: usize = 8 << 20;
/// How much is of an object, one at a time; of a longer one only the parts that matter are.
const HELD_ALONE: usize = 64 << 20;
/// How much of all files may be looked at together before it is taken into the tree.
const BATCH: u64 = 16 << 20;
/// How many files that is at most: what was found out about each of them waits until all are looked at.
const MOST_IN_BATCH: usize = 4096;
/// How much of texts, names in objects and targets of links is kept of one zip, and how much its directories may add to its
/// names, in bytes. A real layer comes to a tenth.
const KEPT: u64 = 32 << 20;
/// The version of the format that Lambda is known to take, times ten, and one that it has been seen to refuse at times.
const PLAIN_VERSION: u16 = 20;
const REFUSED_VERSION: u16 = 45;
/// The newest version of the format that there is, times ten (APPNOTE 4.4.3.2).
const NEWEST_VERSION: u16 = 63;
/// The kind of a file in `st_mode` (inode(7)).
const KIND: u32 = 0o170_000;
const LINK: u32 = 0o120_000;
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
/// FIFOs, devices for characters and for blocks, and sockets.
const SPECIAL: [u32; 4] = [0o010_000, 0o020_000, 0o060_000, 0o140_000];
/// setuid and setgid.
const SETUID: u32 = 0o6000;

/// A zip that declares more unzipped bytes than this is not unpacked unless the user says so.
pub const MAX_UNZIPPED: Bytes = Bytes(4 * limits::UNZIPPED_BYTES);

/// One layer, read.
#[derive(Debug, Clone, Default)]
pub struct Layer {
    /// The zip's file name, with directories if zips have the same; or the path of a tree.
    pub file: String,
    /// The zip's length; `None` for a tree.
    pub zip_bytes: Option<Bytes>,
    /// What its entries announce to unzip to, which is what AWS counts; for a tree what it has.
    pub unzipped_bytes: Bytes,
    /// How many entries it has.
    pub entries: usize,
    /// What is wrong with it, taken by itself.
    pub findings: Vec<Finding>,
    /// What it holds.
    pub tree: Tree,
    /// What is known of its entries beyond what they are.
    pub in_zip: BTreeMap<TreePath, InZip>,
}

/// What an entry is in a zip; of a file of a tree its checksum, if someone asked for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InZip {
    /// CRC-32 of a file that could be read, by which equal content of equal length is told.
    pub crc32: Option<u32>,
    /// What it adds to the zip, headers included and extra fields not.
    pub zipped: Option<Bytes>,
}

impl Layer {
    /// The sizes of a zip; a tree has none.
    pub fn size(&self) -> Option<LayerSize> {
        Some(LayerSize {
            file: self.file.clone(),
            zipped_bytes: self.zip_bytes?,
            unzipped_bytes: self.unzipped_bytes,
            entries: self.entries,
        })
    }

    /// CRC-32 of a file's content, if it is known.
    pub fn crc32(&self, path: &TreePath) -> Option<u32> {
        self.in_zip.get(path)?.crc32
    }
}

/// Reads zips whole: every entry's content is unpacked in memory, piece by piece, and its CRC compared.
pub fn read_zips(paths: &[PathBuf], max_unzipped: Bytes, progress: &dyn Progress) -> Result<Vec<Layer>, Interrupted> {
    let total = paths
        .iter()
        .filter_map(|path| Some(fs_err::metadata(path).ok()?.len()))
        .sum();
    let work = progress.start(Stage::Check, total);
    paths
        .iter()
        .map(|path| {
            progress.check()?;
            read_zip(path, max_unzipped, progress, work.as_ref())
        })
        .collect()
}

/// What each zip is called: by its file name, and if several have the same, by as many of its directories as tell them apart.
pub(super) fn distinct_names(paths: &[PathBuf]) -> Vec<String> {
    let last = |path: &Path, count: usize| {
        let names: Vec<_> = path.components().collect();
        let tail: PathBuf = names[names.len().saturating_sub(count)..].iter().collect();
        tail.to_string_lossy().into_owned()
    };
    let mut names: Vec<String> = Vec::with_capacity(paths.len());
    for path in paths {
        let most = path.components().count().max(1);
        let is_distinct = |name: &str, count: usize| {
            let same = paths.iter().filter(|other| last(other, count) == name);
            same.count() == 1
        };
        let mut shortest = (1..=most).map(|count| (last(path, count), count));
        let name = shortest.clone().find(|(name, count)| is_distinct(name, *count));
        let name = name
            .or_else(|| shortest.next_back())
            .map_or_else(String::new, |(name, _)| name);
        // A zip that is given twice is told by its number.
        let earlier = names
            .iter()
            .filter(|known| **known == name || known.starts_with(&format!("{name} (")))
            .count();
        names.push(if earlier > 0 {
            format!("{name} ({})", earlier + 1)
        } else {
            name
        });
    }
    names
}

fn read_zip(path: &Path, max_unzipped: Bytes, progress: &dyn Progress, work: &dyn Work) -> Result<Layer, Interrupted> {
    let file = path
        .file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned();
    let mut layer = Layer {
        file,
        zip_bytes: Some(Bytes(fs_err::metadata(path).map_or(0, |metadata| metadata.len()))),
        unzipped_bytes: Bytes(0),
        entries: 0,
        findings: Vec::new(),
        tree: Tree::default(),
        in_zip: BTreeMap::new(),
    };
    let archive = match Archive::open(path) {
        Ok(archive) => archive,
        Err(error) => {
            let (code, reason) = match error {
                NoArchive::Unreadable(reason) => (Code::UnreadableZip, reason),
                NoArchive::Truncated(reason) => (Code::TruncatedZip, reason),
            };
            let reason = escaped(reason.as_bytes());
            layer.findings.push(Finding::new(code, &[("reason", &reason)]));
            return Ok(layer);
        }
    };
    layer.entries = archive.entries.len();
    layer.unzipped_bytes = archive.entries.iter().map(|header| Bytes(header.uncompressed)).sum();
    layer.findings = archive_findings(&archive);
    if layer.unzipped_bytes > max_unzipped {
        let words = [
            ("bytes", exact(layer.unzipped_bytes.0)),
            ("limit", exact(max_unzipped.0)),
        ];
        layer.findings.push(Finding::of(Code::UnpacksTooFar, &words));
        return Ok(layer);
    }
    read_entries(&archive, &mut layer, progress, work)?;
    Ok(layer)
}

/// Reads all entries into the layer, a batch at a time.
fn read_entries(
    archive: &Archive,
    layer: &mut Layer,
    progress: &dyn Progress,
    work: &dyn Work,
) -> Result<(), Interrupted> {
    let reader = Reader {
        archive,
        progress,
        large: Mutex::new(()),
    };
    let mut occupied: Vec<(Range<u64>, usize)> = Vec::with_capacity(archive.entries.len());
    let mut duplicates: BTreeMap<TreePath, usize> = BTreeMap::new();
    let mut keeping = Keeping::default();
    for batch in batches(&archive.entries) {
        let read: Vec<Result<ReadEntry, Interrupted>> = batch
            .clone()
            .into_par_iter()
            .map_init(Unpacker::new, |unpacker, index| {
                progress.check()?;
                let header = &archive.entries[index];
                let entry = reader.read_entry(header, unpacker);
                work.advance(header.compressed);
                progress.check()?;
                Ok(entry)
            })
            .collect();
        for (index, entry) in batch.zip(read) {
            let mut entry = entry?;
            layer.findings.append(&mut entry.findings);
            if let Some(place) = entry.place {
                occupied.push((place, index));
            }
            let Some((path, value)) = entry.value else { continue };
            if layer.in_zip.contains_key(&path) {
                *duplicates.entry(path.clone()).or_insert(1) += 1;
            }
            match keeping.keep(&path, value, &layer.tree) {
                Ok(value) => {
                    let known = layer.in_zip.entry(path.clone()).or_default();
                    known.zipped = Some(entry.zipped);
                    known.crc32 = entry.crc32.or(known.crc32);
                    layer.tree.insert(path, value);
                }
                Err(finding) => layer.findings.push(finding),
            }
        }
    }
    layer.findings.extend(gap(archive, &occupied));
    layer.findings.extend(overlaps(archive, occupied));
    layer.findings.extend(duplicates.into_iter().map(|(path, count)| {
        Finding::new(Code::DuplicateName, &[("count", &count.to_string())]).at(escaped(path.as_str().as_bytes()))
    }));
    Ok(())
}

/// Runs of entries of which no more is looked at together than memory has room for.
fn batches(entries: &[Header]) -> Vec<Range<usize>> {
    let mut batches = Vec::new();
    let mut start = 0;
    let mut held = 0;
    for (index, header) in entries.iter().enumerate() {
        // Of a large file little is kept once it was looked at.
        held += header.uncompressed.min(content::TEXT_LIMIT as u64);
        if held > BATCH || index + 1 - start == MOST_IN_BATCH {
            batches.push(start..index + 1);
            start = index + 1;
            held = 0;
        }
    }
    batches.push(start..entries.len());
    batches
}

/// What can be said of a zip by its directory.
fn archive_findings(archive: &Archive) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |code, words: &[(&str, &str)]| findings.push(Finding::new(code, words));
    if archive.entries.is_empty() {
        find(Code::EmptyZip, &[]);
    }
    for (bytes, place) in [(archive.before, "before"), (archive.after, "behind")] {
        if bytes > 0 {
            find(Code::DataOutsideZip, &[("bytes", &exact(bytes)), ("place", place)]);
        }
    }
    if let Some(reason) = archive.ambiguous {
        find(Code::AmbiguousZip, &[("reason", reason)]);
    }
    if archive.comment > 0 {
        find(Code::ZipComment, &[("bytes", &exact(archive.comment))]);
    }
    let shown = |header: &Header| escaped(archive.name(header));
    let large = archive.entries.iter().find(|header| header.zip64);
    if archive.zip64 || large.is_some() {
        let what = large.map_or_else(
            || "its end of central directory record".to_owned(),
            |header| format!("the entry {}", shown(header)),
        );
        find(Code::Zip64, &[("what", &what)]);
    }
    let version = |number: u16| format!("{}.{}", number / 10, number % 10);
    let some = |wanted: &dyn Fn(&Header) -> bool| {
        let mut found = archive.entries.iter().filter(|header| wanted(header));
        let first = found.next()?;
        Some((exact(1 + found.count() as u64), shown(first)))
    };
    let highest = |of: &dyn Fn(&Header) -> u16| archive.entries.iter().map(of).max().unwrap_or_default();
    let needed = highest(&|header| header.versions().1);
    if let Some((count, _)) = some(&|header| header.versions().1 > PLAIN_VERSION) {
        find(
            Code::NewerZipVersion,
            &[("count", &count), ("version", &version(needed))],
        );
    }
    let made_by = highest(&|header| header.versions().0);
    if made_by >= REFUSED_VERSION {
        find(Code::MadeByNewerVersion, &[("version", &version(made_by))]);
    }
    if let Some((count, example)) = some(&Header::has_descriptor) {
        find(Code::DataDescriptor, &[("count", &count), ("example", &example)]);
    }
    if let Some((count, example)) = some(&|header| header.mode().is_none()) {
        find(Code::NotMadeByUnix, &[("count", &count), ("example", &example)]);
    }
    findings
}

/// Bytes between entries, or between the last one and the directory. Where an entry could not be found, nothing is said.
fn gap(archive: &Archive, occupied: &[(Range<u64>, usize)]) -> Option<Finding> {
    if occupied.len() != archive.entries.len() {
        return None;
    }
    let mut places: Vec<&Range<u64>> = occupied.iter().map(|(place, _)| place).collect();
    places.sort_by_key(|place| place.start);
    let mut end = archive.before;
    let mut bytes = 0;
    for place in places {
        bytes += place.start.saturating_sub(end);
        end = end.max(place.end);
    }
    bytes += archive.directory_start.saturating_sub(end);
    (bytes > 0).then(|| Finding::new(Code::GapInZip, &[("bytes", &exact(bytes))]))
}

/// Entries that begin before another one ends.
fn overlaps(archive: &Archive, mut occupied: Vec<(Range<u64>, usize)>) -> Vec<Finding> {
    occupied.sort_by_key(|(place, index)| (place.start, place.end, *index));
    let mut findings = Vec::new();
    let mut last: Option<(u64, usize)> = None;
    for (place, index) in occupied {
        if let Some((end, other)) = last
            && place.start < end
        {
            let other = escaped(archive.name(&archive.entries[other]));
            findings.push(
                Finding::new(Code::OverlappingEntries, &[("other", &other)])
                    .at(escaped(archive.name(&archive.entries[index]))),
            );
        }
        if last.is_none_or(|(end, _)| place.end > end) {
            last = Some((place.end, index));
        }
    }
    findings
}

/// What is kept of a zip so far.
#[derive(Default)]
struct Keeping {
    content: u64,
    directories: u64,
}

impl Keeping {
    /// The entry as it goes into the tree. What would be more than a real layer has is reduced to what is needed least, or
    /// refused.
    fn keep(&mut self, path: &TreePath, entry: Entry, tree: &Tree) -> Result<Entry, Finding> {
        let directories = path.splits().map(|(directory, _)| directory);
        let new = directories.take_while(|directory| !directory.is_empty() && tree.at(directory).is_none());
        self.directories += new.map(|directory| directory.len() as u64).sum::<u64>();
        self.content += weight(&entry);
        let shown = escaped(path.as_str().as_bytes());
        if self.directories > KEPT {
            return Err(Finding::new(Code::BadName, &[("what", "nested more deeply than any layer")]).at(shown));
        }
        if self.content <= KEPT {
            return Ok(entry);
        }
        match entry {
            Entry::File(File { bytes, mode, content }) => Ok(Entry::File(File {
                bytes,
                mode,
                content: match content {
                    Content::Text(text) => Content::Text(text.lines().next().unwrap_or_default().into()),
                    Content::Object(_) | Content::ObjectFact(..) => {
                        Content::BrokenObject("the zip has more names of libraries and symbols than any layer".into())
                    }
                    other => other,
                },
            })),
            Entry::Symlink(_) => {
                let reason = "the zip has more links than any layer";
                Err(Finding::new(Code::CorruptEntry, &[("reason", reason)]).at(shown))
            }
            directory @ Entry::Directory(_) => Ok(directory),
        }
    }
}

/// How many bytes an entry keeps in memory, about.
fn weight(entry: &Entry) -> u64 {
    let bytes = match entry {
        Entry::Directory(_) => 0,
        Entry::Symlink(target) => target.len(),
        Entry::File(file) => match &file.content {
            Content::Text(text) => text.len(),
            Content::Object(object) | Content::ObjectFact(object, _) => object.names_bytes(),
            _ => 0,
        },
    };
    bytes as u64
}

struct Reader<'a> {
    archive: &'a Archive,
    progress: &'a dyn Progress,
    /// Held by the one thread that looks at a large object.
    large: Mutex<()>,
}

#[derive(Default)]
struct ReadEntry {
    value: Option<(TreePath, Entry)>,
    /// Of a file whose content is what its header says.
    crc32: Option<u32>,
    findings: Vec<Finding>,
    /// Where it is in the zip, its header included.
    place: Option<Range<u64>>,
    /// What it adds to the zip, headers included.
    zipped: Bytes,
}

impl ReadEntry {
    fn find(&mut self, shown: &str, code: Code, words: &[(&str, &str)]) {
        self.findings.push(Finding::new(code, words).at(shown));
    }
}

impl Reader<'_> {
    fn read_entry(&self, header: &Header, unpacker: &mut Unpacker) -> ReadEntry {
        let mut result = ReadEntry::default();
        let name = self.archive.name(header);
        result.zipped = Bytes(header.zipped_bytes());
        let shown = escaped(&name[..name.len().min(LONGEST_PATH)]);
        let located = match self.archive.locate(header) {
            Ok(located) => located,
            Err(reason) => {
                result.find(&shown, Code::CorruptEntry, &[("reason", &reason)]);
                return result;
            }
        };
        self.header_findings(header, &located, &shown, &mut result);
        let content = located.content;
        result.place = Some(header.offset..located.end);
        let unsupported = match (header.unsupported(), header.method()) {
            (Some(what), _) => Some(what.to_owned()),
            (None, Method::Other(number)) => Some(format!("compressed with {}", method_name(number))),
            (None, _) => None,
        };
        if let Some(what) = unsupported {
            result.find(&shown, Code::UnsupportedEntry, &[("what", &what)]);
            return result;
        }
        let (path, is_directory_name) = match plain_name(name) {
            Ok(plain) => plain,
            Err(what) => {
                result.find(&shown, Code::BadName, &[("what", what)]);
                return result;
            }
        };
        self.read_content(
            header,
            content,
            (path, is_directory_name),
            &shown,
            unpacker,
            &mut result,
        );
        result
    }

    /// Reads what an entry with a proper name holds: a directory, a link or a file.
    fn read_content(
        &self,
        header: &Header,
        content: Range<u64>,
        (path, is_directory_name): (TreePath, bool),
        shown: &str,
        unpacker: &mut Unpacker,
        result: &mut ReadEntry,
    ) {
        let mode = header.mode();
        let permissions = Mode::new(mode.unwrap_or(0o644));
        let octal = format!("{:04o}", permissions.bits());
        let kind = mode.unwrap_or(0) & KIND;
        if is_directory_name || kind == DIRECTORY {
            if !is_directory_name {
                let reason = "its mode is that of a directory, and its name that of a file, as it does not end with /";
                result.find(shown, Code::BrokenHeader, &[("reason", reason)]);
            }
            self.read_directory(header, content, path, shown, unpacker, result);
            return;
        }
        if kind == LINK {
            match self.target(header, content, unpacker) {
                Ok(target) => result.value = Some((path, Entry::Symlink(target))),
                Err(finding) => result.findings.push(finding.at(shown)),
            }
            return;
        }
        if kind != 0 && kind != REGULAR {
            result.find(shown, Code::SpecialFile, &[("kind", "device, FIFO or socket")]);
            if let Some(reason) = not_special(kind, header) {
                result.find(shown, Code::BrokenHeader, &[("reason", reason)]);
            }
            return;
        }
        if permissions.bits() & 0o004 == 0 {
            result.find(shown, Code::FileNotReadable, &[("mode", &octal)]);
        }
        if permissions.bits() & SETUID != 0 {
            result.find(shown, Code::SetuidFile, &[("mode", &octal)]);
        }
        let content = match self.content(header, content, path.file_name(), unpacker) {
            Ok(content) => {
                result.crc32 = Some(header.crc32);
                content
            }
            Err(finding) => {
                result.findings.push(finding.at(shown));
                Content::Data
            }
        };
        let file = File {
            bytes: Bytes(header.uncompressed),
            mode: permissions,
            content,
        };
        result.value = Some((path, Entry::File(file)));
    }

    /// Reads an entry that is a directory by its name or its mode.
    fn read_directory(
        &self,
        header: &Header,
        content: Range<u64>,
        path: TreePath,
        shown: &str,
        unpacker: &mut Unpacker,
        result: &mut ReadEntry,
    ) {
        if header.uncompressed > 0 {
            result.find(
                shown,
                Code::DirectoryWithContent,
                &[("bytes", &exact(header.uncompressed))],
            );
        } else if let Err(finding) = self.unpack(header, content, unpacker, &mut |_| {}) {
            result.findings.push(finding.at(shown));
        }
        let mode = header.mode().map(Mode::new);
        let permissions = mode.unwrap_or(Mode::FILE).bits();
        let what = match permissions & 0o005 {
            0o005 => None,
            0o001 => Some("list"),
            _ => Some("enter"),
        };
        if let (Some(what), Some(mode)) = (what, mode) {
            let octal = mode.to_string();
            result.find(shown, Code::FolderNotSearchable, &[("mode", &octal), ("what", what)]);
        }
        result.value = (!path.is_root()).then_some((path, Entry::Directory(mode.unwrap_or(Mode::DIRECTORY))));
    }

    /// What an entry's headers say that readers take differently, or not at all.
    fn header_findings(&self, header: &Header, located: &Located, shown: &str, result: &mut ReadEntry) {
        if let Some(what) = located.difference {
            result.find(shown, Code::HeaderMismatch, &[("what", what)]);
        } else if let Some(what) = located.harmless {
            let mut finding = Finding::new(Code::HeaderMismatch, &[("what", what)]).at(shown);
            finding.severity = Severity::Warning;
            result.findings.push(finding);
        }
        if let Some(reason) = located.broken {
            result.find(shown, Code::BrokenHeader, &[("reason", reason)]);
        }
        let version = header.versions().1;
        if version > NEWEST_VERSION {
            let reason = format!(
                "it asks for version {}.{} of the zip format",
                version / 10,
                version % 10
            );
            result.find(shown, Code::BrokenHeader, &[("reason", &reason)]);
        }
        if header.is_on_other_disk() {
            let reason = "it is on another disk of a multi-part archive";
            result.find(shown, Code::BrokenHeader, &[("reason", reason)]);
        }
        if let Some(other) = self.archive.other_name(header, &located.extra) {
            result.find(shown, Code::SecondName, &[("name", &escaped(&other))]);
        }
        if String::from_utf8_lossy(self.archive.name(header))
            .chars()
            .any(turns_text)
        {
            result.find(shown, Code::MisleadingName, &[]);
        }
    }

    /// What a link leads to.
    fn target(&self, header: &Header, content: Range<u64>, unpacker: &mut Unpacker) -> Result<String, Finding> {
        let corrupt = |reason: &str| Finding::new(Code::CorruptEntry, &[("reason", reason)]);
        if header.uncompressed > LONGEST_PATH as u64 {
            return Err(corrupt("the link's target is longer than a path can be"));
        }
        let mut target = Vec::new();
        self.unpack(header, content, unpacker, &mut |piece| target.extend_from_slice(piece))?;
        if target.is_empty() || target.contains(&0) {
            return Err(corrupt("the link's target is not a path"));
        }
        String::from_utf8(target).map_err(|_| Finding::new(Code::NameNotUtf8, &[]))
    }

    /// What a file is.
    fn content(
        &self,
        header: &Header,
        place: Range<u64>,
        file_name: &str,
        unpacker: &mut Unpacker,
    ) -> Result<Content, Finding> {
        let mut held = Vec::new();
        let mut wanted = content::HEAD;
        let mut alone = None;
        self.unpack(header, place.clone(), unpacker, &mut |piece| {
            let mut piece = piece;
            while held.len() < wanted && !piece.is_empty() {
                let (taken, rest) = piece.split_at(piece.len().min(wanted - held.len()));
                held.extend_from_slice(taken);
                piece = rest;
                if held.len() == content::HEAD {
                    wanted = match inspector().wanted(file_name, &held) {
                        None if (HELD as u64..=HELD_ALONE as u64).contains(&header.uncompressed) => {
                            alone = Some(self.large.lock().unwrap_or_else(PoisonError::into_inner));
                            HELD_ALONE
                        }
                        wanted => wanted.unwrap_or(HELD).min(HELD),
                    };
                }
            }
        })?;
        let is_whole = held.len() as u64 == header.uncompressed;
        if is_whole || inspector().wanted(file_name, &held).is_some() {
            return Ok(inspector().inspect(file_name, &held));
        }
        drop(alone);
        let _alone = self.large.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(large::inspect(file_name, held, header.uncompressed, |sink| {
            unpacker.unpack(self.archive, header, place.clone(), &mut |piece| {
                sink(piece);
                self.flow()
            })
        }))
    }

    /// Unpacks an entry whole and compares its checksum.
    fn unpack(
        &self,
        header: &Header,
        content: Range<u64>,
        unpacker: &mut Unpacker,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Finding> {
        let mut hash = crc32fast::Hasher::new();
        let done = unpacker.unpack(self.archive, header, content, &mut |piece| {
            hash.update(piece);
            sink(piece);
            self.flow()
        });
        if let Err(reason) = done {
            let reason = escaped(reason.as_bytes());
            return Err(Finding::new(Code::CorruptEntry, &[("reason", &reason)]));
        }
        let found = hash.finalize();
        if found != header.crc32 {
            let words = [format!("{found:08x}"), format!("{:08x}", header.crc32)];
            return Err(Finding::new(
                Code::ChecksumMismatch,
                &[("found", &words[0]), ("announced", &words[1])],
            ));
        }
        Ok(())
    }

    /// Stops where the user wants to stop: whoever began the entry notices it right after it.
    fn flow(&self) -> Flow {
        match self.progress.check() {
            Ok(()) => Flow::Continue,
            Err(Interrupted) => Flow::Stop,
        }
    }
}

/// The methods of compression by their number (APPNOTE 4.4.5), as far as programs in use write them.
fn method_name(number: u16) -> String {
    match number {
        1 => "shrink".to_owned(),
        6 => "implode".to_owned(),
        9 => "deflate64".to_owned(),
        12 => "bzip2".to_owned(),
        14 => "LZMA".to_owned(),
        20 | 93 => "Zstandard".to_owned(),
        95 => "XZ".to_owned(),
        98 => "PPMd".to_owned(),
        99 => "AES encryption".to_owned(),
        other => format!("the unknown method {other}"),
    }
}

/// A name as a path, and whether it is a directory's; or what is wrong with it. `./` is the root.
pub fn plain_name(raw: &[u8]) -> Result<(TreePath, bool), &'static str> {
    if raw.len() > LONGEST_PATH {
        return Err("longer than a path can be");
    }
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
    if name.split('/').any(|part| part.len() > LONGEST_PART) {
        return Err("one with a part of over 255 bytes");
    }
    if name.split('/').count() > DEEPEST {
        return Err("nested more deeply than any layer");
    }
    if matches!(name, "." | "./") {
        return Ok((TreePath::root(), true));
    }
    let trimmed = name.strip_suffix('/').unwrap_or(name);
    let trimmed = trimmed.strip_prefix("./").unwrap_or(trimmed);
    TreePath::new(trimmed)
        .map(|path| (path, name.ends_with('/')))
        .ok_or("not a plain path: it is empty, or has .. or empty parts")
}

/// Why an entry is not a special file, although its kind is not that of a file, directory or link: readers make different things of it.
fn not_special(kind: u32, header: &Header) -> Option<&'static str> {
    if !SPECIAL.contains(&kind) {
        return Some("its mode is that of no kind of file");
    }
    let has_content = header.uncompressed > 0;
    has_content.then_some("its mode is that of a device, FIFO or socket, and it has content as a file has")
}
