//! The zip format as others write it (PKWARE APPNOTE.TXT 6.3.10), read without trust: the directory first, then each
//! entry where it is. It shares nothing with the code that writes zips.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use flate2::{Decompress, FlushDecompress, Status};

use crate::open;

/// Signatures (APPNOTE 4.3.7, 4.3.12, 4.3.14, 4.3.15, 4.3.16).
const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";
const ZIP64_END: &[u8] = b"PK\x06\x06";
const ZIP64_LOCATOR: &[u8] = b"PK\x06\x07";
const END: &[u8] = b"PK\x05\x06";

/// The lengths of these records without their variable parts.
const LOCAL_LENGTH: usize = 30;
const CENTRAL_LENGTH: usize = 46;
const ZIP64_END_LENGTH: usize = 56;
const ZIP64_LOCATOR_LENGTH: usize = 20;
const END_LENGTH: usize = 22;

/// The extra field with the values that do not fit into 32 bits (4.5.3).
const ZIP64_EXTRA: u16 = 1;
/// The extra field with another name for the entry (4.6.9): its version, the CRC-32 of the name that it replaces, the name.
const UNICODE_PATH_EXTRA: u16 = 0x7075;
/// General purpose bits (4.4.4): the content is encrypted; lengths and checksum are behind it; it is a patch; it is encrypted
/// strongly; names are UTF-8; the directory is encrypted.
const ENCRYPTED: u16 = 1;
const DESCRIPTOR: u16 = 1 << 3;
const PATCH: u16 = 1 << 5;
const STRONG: u16 = 1 << 6;
const NAME_IS_UTF8: u16 = 1 << 11;
const MASKED: u16 = 1 << 13;
/// How hard the content was deflated; of other methods, nothing.
const DEFLATE_OPTIONS: u16 = 3 << 1;
/// The signature that may stand before a descriptor (4.3.9.3).
const DESCRIPTOR_SIGNATURE: &[u8] = b"PK\x07\x08";
/// The upper byte of "version made by" for Unix and for macOS, whose attributes hold a mode (4.4.2.2).
const UNIX: u16 = 3;
const MACOS: u16 = 19;

/// The longest directory that is read, in bytes, and the most entries: several times what the largest layer can have.
const LONGEST_DIRECTORY: u64 = 16 << 20;
const MOST_ENTRIES: u64 = 1 << 17;
/// How much is read, and how much is unpacked, at once.
const STEP: usize = 64 << 10;

/// How the content of an entry is stored (4.4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Stored,
    Deflated,
    Other(u16),
}

/// One entry, as the directory describes it.
#[derive(Debug, Clone)]
pub(super) struct Header {
    name: Range<usize>,
    made_by: u16,
    needed: u16,
    flags: u16,
    method: u16,
    pub(super) crc32: u32,
    pub(super) compressed: u64,
    pub(super) uncompressed: u64,
    attributes: u32,
    extra: Range<usize>,
    disk: u16,
    pub(super) offset: u64,
    /// Whether some of this stands in a ZIP64 field.
    pub(super) zip64: bool,
}

impl Header {
    /// The mode of the file, its type included, if a system wrote it that has modes.
    pub(super) fn mode(&self) -> Option<u32> {
        matches!(self.made_by >> 8, UNIX | MACOS).then_some(self.attributes >> 16)
    }

    /// The version of the format that made it and the one that it needs, times ten.
    pub(super) fn versions(&self) -> (u16, u16) {
        (self.made_by & 0xff, self.needed & 0xff)
    }

    /// What the entry adds to the zip, its headers included and its extra fields not.
    pub(super) fn zipped_bytes(&self) -> u64 {
        let headers = LOCAL_LENGTH + CENTRAL_LENGTH + 2 * self.name.len();
        self.compressed.saturating_add(headers as u64)
    }

    /// What readers do not support about the entry, by its flags.
    pub(super) fn unsupported(&self) -> Option<&'static str> {
        if self.flags & (ENCRYPTED | STRONG | MASKED) != 0 {
            Some("encrypted")
        } else if self.flags & PATCH != 0 {
            Some("a patch of another file")
        } else {
            None
        }
    }

    /// Whether the directory says that it is in another part of a multi-part archive.
    pub(super) fn is_on_other_disk(&self) -> bool {
        self.disk != 0 && !(self.zip64 && self.disk == u16::MAX)
    }

    pub(super) fn has_descriptor(&self) -> bool {
        self.flags & DESCRIPTOR != 0
    }

    pub(super) fn method(&self) -> Method {
        match self.method {
            0 => Method::Stored,
            8 => Method::Deflated,
            other => Method::Other(other),
        }
    }
}

/// Error of [`Archive::open`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoArchive {
    /// The file is not a zip, or its central directory cannot be read.
    Unreadable(String),
    /// It begins as a zip and has no end.
    Truncated(String),
}

/// An open zip.
#[derive(Debug)]
pub(super) struct Archive {
    file: File,
    directory: Vec<u8>,
    pub(super) directory_start: u64,
    /// Its entries, in the directory's order.
    pub(super) entries: Vec<Header>,
    /// How many bytes are before and after the archive.
    pub(super) before: u64,
    pub(super) after: u64,
    /// The length of its comment.
    pub(super) comment: u64,
    /// Whether it ends with a ZIP64 record.
    pub(super) zip64: bool,
    /// Why other readers may find another directory, or none.
    pub(super) ambiguous: Option<&'static str>,
}

/// Where an entry is in the file.
pub(super) struct Located {
    /// Its content.
    pub(super) content: Range<u64>,
    /// Where it ends, its descriptor included.
    pub(super) end: u64,
    /// In what its own header differs from the directory, so that readers may see another file.
    pub(super) difference: Option<&'static str>,
    /// In what it differs where that changes nothing for this entry.
    pub(super) harmless: Option<&'static str>,
    /// What is wrong with its extra fields or its descriptor.
    pub(super) broken: Option<&'static str>,
    /// The extra fields of its own header.
    pub(super) extra: Vec<u8>,
}

/// The end record, and what it says of the directory.
struct EndRecord {
    at: u64,
    entries: u64,
    size: u64,
    offset: u64,
    comment: u64,
    after: u64,
    zip64: bool,
    /// Where the end record itself begins.
    record_at: u64,
    /// Whether it counts other entries on this disk than in all, or is not on the first disk.
    is_multi_part: bool,
    /// Where the ZIP64 locator says that the ZIP64 record is.
    located: Option<u64>,
}

fn unreadable<T>(reason: impl Into<String>) -> Result<T, NoArchive> {
    Err(NoArchive::Unreadable(reason.into()))
}

impl Archive {
    /// Opens a zip and reads its directory.
    pub(super) fn open(path: &Path) -> Result<Self, NoArchive> {
        let failed = |error: std::io::Error| NoArchive::Unreadable(error.to_string());
        let file = open::content(path).map_err(|error| NoArchive::Unreadable(open::reason(&error, path)))?;
        let file = file.into_file();
        let length = file.metadata().map_err(failed)?.len();
        let end = end_record(&file, length)?;
        if end.entries > MOST_ENTRIES || end.size > LONGEST_DIRECTORY {
            return unreadable(format!("it declares {} entries, more than any layer has", end.entries));
        }
        let mut directory = vec![0; usize::try_from(end.size).unwrap_or_default()];
        // The directory ends where the end record begins; in an archive that is behind other bytes its offset is too small.
        let start = end.at.checked_sub(end.size).filter(|start| *start >= end.offset);
        let Some(mut start) = start else {
            return unreadable("its central directory is not inside the file");
        };
        let mut before = start - end.offset;
        file.read_exact_at(&mut directory, start).map_err(failed)?;
        if before > 0 && !directory.starts_with(CENTRAL) && end.entries > 0 {
            // Something else is between the directory and the end record.
            (start, before) = (end.offset, 0);
            file.read_exact_at(&mut directory, start).map_err(failed)?;
        }
        let ambiguous = if end.is_multi_part {
            Some("its end record counts other entries on this disk than in all")
        } else if start + end.size != end.at {
            Some("there are bytes between its central directory and its end record")
        } else if end
            .located
            .is_some_and(|located| located != end.at && located + before != end.at)
        {
            Some("its ZIP64 locator points elsewhere")
        } else if has_other_end(&file, start + end.size, end.record_at, length).map_err(failed)? {
            Some("it has a second end record")
        } else {
            None
        };
        let entries = headers(&directory, end.entries, before)?;
        Ok(Self {
            file,
            directory,
            directory_start: start,
            entries,
            before,
            after: end.after,
            comment: end.comment,
            zip64: end.zip64,
            ambiguous,
        })
    }

    /// The name of an entry, as it is written.
    pub(super) fn name(&self, header: &Header) -> &[u8] {
        self.directory.get(header.name.clone()).unwrap_or_default()
    }

    /// Another name that an extra field gives the entry, in the directory or in its own header.
    pub(super) fn other_name(&self, header: &Header, local_extra: &[u8]) -> Option<Vec<u8>> {
        let name = self.name(header);
        let extra = self.directory.get(header.extra.clone()).unwrap_or_default();
        [extra, local_extra].into_iter().find_map(|extra| {
            let field = field_of(extra, UNICODE_PATH_EXTRA)?;
            let other = field.get(5..)?;
            (other != name).then(|| other.to_vec())
        })
    }

    /// Where an entry is in the file, and in what its own header differs from the directory.
    pub(super) fn locate(&self, header: &Header) -> Result<Located, String> {
        let outside = || "it is outside the zip".to_owned();
        let mut local = [0; LOCAL_LENGTH];
        self.file
            .read_exact_at(&mut local, header.offset)
            .map_err(|_| outside())?;
        if !local.starts_with(LOCAL) {
            return Err("there is no entry where the directory says".to_owned());
        }
        let (name_length, extra_length) = (u16_at(&local, 26), u16_at(&local, 28));
        let start = header.offset + LOCAL_LENGTH as u64 + u64::from(name_length) + u64::from(extra_length);
        let end = start.checked_add(header.compressed).ok_or_else(outside)?;
        if end > self.directory_start {
            return Err(outside());
        }
        let mut own_name = vec![0; usize::from(name_length)];
        self.file
            .read_exact_at(&mut own_name, header.offset + LOCAL_LENGTH as u64)
            .map_err(|_| outside())?;
        let mut extra = vec![0; usize::from(extra_length)];
        self.file
            .read_exact_at(&mut extra, start - u64::from(extra_length))
            .map_err(|_| outside())?;
        let descriptor = if header.has_descriptor() {
            self.descriptor(header, end)
        } else {
            Some(0)
        };
        let directory_extra = self.directory.get(header.extra.clone()).unwrap_or_default();
        let broken = match descriptor {
            None => Some("its data descriptor is missing or wrong"),
            Some(_) if !is_well_formed(directory_extra) || !is_well_formed(&extra) => {
                Some("its extra fields are broken")
            }
            Some(_) => None,
        };
        let (difference, harmless) = self.difference(header, &local, &own_name, &extra);
        Ok(Located {
            content: start..end,
            end: end + descriptor.unwrap_or_default(),
            difference,
            harmless,
            broken,
            extra,
        })
    }

    /// In what an entry's own header differs from the directory, and whether that changes what readers see.
    fn difference(
        &self,
        header: &Header,
        local: &[u8; LOCAL_LENGTH],
        own_name: &[u8],
        extra: &[u8],
    ) -> (Option<&'static str>, Option<&'static str>) {
        let name = self.name(header);
        let flags = u16_at(local, 6);
        let differing = flags ^ header.flags;
        // Lengths and checksum that are behind the content are zero here, and those of ZIP64 stand in its extra field.
        let mut large = field_of(extra, ZIP64_EXTRA).unwrap_or_default();
        let later = flags & DESCRIPTOR != 0;
        let mut length = |at: usize| {
            let own = u32_at(local, at);
            if own != u32::MAX {
                return u64::from(own);
            }
            match large.split_first_chunk::<8>() {
                Some((first, rest)) => {
                    large = rest;
                    u64::from_le_bytes(*first)
                }
                None => u64::from(own),
            }
        };
        let uncompressed = length(22);
        let compressed = length(18);
        let crc32 = u32_at(local, 14);
        let differs = |own: u64, value: u64| own != value && !(later && own == 0);
        let free = match header.method() {
            Method::Deflated => DEFLATE_OPTIONS,
            _ => 0,
        };
        let difference = if own_name != name {
            Some("its name")
        } else if u16_at(local, 8) != header.method {
            Some("how it is compressed")
        } else if differing & (ENCRYPTED | STRONG | MASKED) != 0 {
            Some("whether it is encrypted")
        } else if differing & DESCRIPTOR != 0 {
            Some("whether its lengths follow it")
        } else if differing & PATCH != 0 {
            Some("whether it is a patch")
        } else if differing & NAME_IS_UTF8 != 0 && !name.is_ascii() {
            Some("whether its name is UTF-8")
        } else if differing & !(NAME_IS_UTF8 | free) != 0 {
            Some("its flags")
        } else if differs(u64::from(crc32), u64::from(header.crc32)) {
            Some("its checksum")
        } else if differs(compressed, header.compressed) || differs(uncompressed, header.uncompressed) {
            Some("its length")
        } else {
            None
        };
        let harmless = (differing & NAME_IS_UTF8 != 0).then_some("whether its name is UTF-8");
        (difference, harmless)
    }

    /// The length of the descriptor behind a content (4.3.9); `None` if there is none that is right.
    fn descriptor(&self, header: &Header, at: u64) -> Option<u64> {
        let mut bytes = [0; 24];
        let length = usize::try_from(self.directory_start.saturating_sub(at)).map_or(24, |left| left.min(24));
        self.file.read_exact_at(&mut bytes[..length], at).ok()?;
        let short = [header.crc32.to_le_bytes()].concat();
        let small = |value: u64| u32::try_from(value).ok().map(u32::to_le_bytes);
        let mut forms: Vec<Vec<u8>> = Vec::new();
        if let (Some(compressed), Some(uncompressed)) = (small(header.compressed), small(header.uncompressed)) {
            forms.push([&short[..], &compressed, &uncompressed].concat());
        }
        forms.push(
            [
                &short[..],
                &header.compressed.to_le_bytes(),
                &header.uncompressed.to_le_bytes(),
            ]
            .concat(),
        );
        let signed: Vec<Vec<u8>> = forms.iter().map(|form| [DESCRIPTOR_SIGNATURE, form].concat()).collect();
        let found = signed
            .iter()
            .chain(&forms)
            .find(|form| bytes[..length].starts_with(form))?;
        Some(found.len() as u64)
    }
}

/// Whether another end record, with a directory where it says, is behind the directory.
fn has_other_end(file: &File, from: u64, own: u64, length: u64) -> std::io::Result<bool> {
    let from = from.max(length.saturating_sub((END_LENGTH + usize::from(u16::MAX)) as u64));
    let mut tail = vec![0; usize::try_from(length.saturating_sub(from)).unwrap_or_default()];
    file.read_exact_at(&mut tail, from)?;
    let places = memchr::memmem::find_iter(&tail, END).filter(|at| from + *at as u64 != own);
    for at in places {
        let Some(record) = tail.get(at..at + END_LENGTH) else {
            continue;
        };
        let (size, offset) = (u64::from(u32_at(record, 12)), u64::from(u32_at(record, 16)));
        let directory = (from + at as u64).checked_sub(size);
        let mut start = [0; 4];
        let is_directory = [Some(offset), directory]
            .into_iter()
            .flatten()
            .any(|place| file.read_exact_at(&mut start, place).is_ok() && start == *CENTRAL);
        if is_directory || u16_at(record, 10) == 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Finds the end record: the last one whose comment reaches the end of the file, else the last one at all.
fn end_record(file: &File, length: u64) -> Result<EndRecord, NoArchive> {
    let failed = |error: std::io::Error| NoArchive::Unreadable(error.to_string());
    let tail_length = length.min((END_LENGTH + usize::from(u16::MAX)) as u64);
    let tail_start = length - tail_length;
    let mut tail = vec![0; usize::try_from(tail_length).unwrap_or_default()];
    file.read_exact_at(&mut tail, tail_start).map_err(failed)?;
    let mut found = None;
    let last = tail.len().checked_sub(END_LENGTH);
    for at in (0..=last.unwrap_or_default()).rev() {
        let Some(record) = tail.get(at..at + END_LENGTH).filter(|record| record.starts_with(END)) else {
            continue;
        };
        let end = at + END_LENGTH + usize::from(u16_at(record, 20));
        if end == tail.len() {
            found = Some((at, end));
            break;
        }
        if end < tail.len() && found.is_none() {
            found = Some((at, end));
        }
    }
    let Some((at, end)) = found else {
        let mut start = [0; 4];
        let is_zip = file.read_exact_at(&mut start, 0).is_ok() && start == LOCAL;
        return if is_zip {
            Err(NoArchive::Truncated("it has no end record".to_owned()))
        } else if length == 0 {
            unreadable("the file is empty")
        } else {
            unreadable("it is not a zip file")
        };
    };
    let record = &tail[at..at + END_LENGTH];
    if u16_at(record, 4) != 0 && u16_at(record, 4) != u16::MAX {
        return unreadable("it is one part of a multi-part archive");
    }
    let mut result = EndRecord {
        at: tail_start + at as u64,
        entries: u64::from(u16_at(record, 10)),
        size: u64::from(u32_at(record, 12)),
        offset: u64::from(u32_at(record, 16)),
        comment: u64::from(u16_at(record, 20)),
        after: (tail.len() - end) as u64,
        zip64: false,
        record_at: tail_start + at as u64,
        is_multi_part: u16_at(record, 8) != u16_at(record, 10) || !matches!(u16_at(record, 6), 0 | u16::MAX),
        located: None,
    };
    if let Some((at, record, located)) = zip64_end(file, result.at)? {
        result.located = Some(located);
        result.at = at;
        result.entries = u64_at(&record, 32);
        result.size = u64_at(&record, 40);
        result.offset = u64_at(&record, 48);
        result.zip64 = true;
    }
    Ok(result)
}

/// The ZIP64 end record, if its locator is before the end record, and where it is.
fn zip64_end(file: &File, end: u64) -> Result<Option<(u64, [u8; ZIP64_END_LENGTH], u64)>, NoArchive> {
    let mut locator = [0; ZIP64_LOCATOR_LENGTH];
    let Some(locator_at) = end.checked_sub(ZIP64_LOCATOR_LENGTH as u64) else {
        return Ok(None);
    };
    if file.read_exact_at(&mut locator, locator_at).is_err() || !locator.starts_with(ZIP64_LOCATOR) {
        return Ok(None);
    }
    // Behind other bytes the record is not where the locator says, but right before it.
    let places = [
        Some(u64_at(&locator, 8)),
        locator_at.checked_sub(ZIP64_END_LENGTH as u64),
    ];
    let mut record = [0; ZIP64_END_LENGTH];
    let place = places
        .into_iter()
        .flatten()
        .find(|place| file.read_exact_at(&mut record, *place).is_ok() && record.starts_with(ZIP64_END));
    match place {
        Some(place) => Ok(Some((place, record, u64_at(&locator, 8)))),
        None => unreadable("its ZIP64 record is not where it should be"),
    }
}

fn headers(directory: &[u8], count: u64, before: u64) -> Result<Vec<Header>, NoArchive> {
    let mut entries = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
    let mut at = 0;
    for _ in 0..count {
        let header = header(directory, &mut at, before);
        match header {
            Some(header) => entries.push(header),
            None => {
                return unreadable(format!(
                    "its central directory declares {count} entries, and ends after {}",
                    entries.len()
                ));
            }
        }
    }
    if directory.get(at..).is_some_and(|rest| rest.starts_with(CENTRAL)) {
        return unreadable(format!("its central directory declares {count} entries, and has more"));
    }
    Ok(entries)
}

fn header(directory: &[u8], at: &mut usize, before: u64) -> Option<Header> {
    let fixed = directory.get(*at..*at + CENTRAL_LENGTH)?;
    if !fixed.starts_with(CENTRAL) {
        return None;
    }
    let name = *at + CENTRAL_LENGTH..*at + CENTRAL_LENGTH + usize::from(u16_at(fixed, 28));
    let extra_range = name.end..name.end + usize::from(u16_at(fixed, 30));
    *at = extra_range.end + usize::from(u16_at(fixed, 32));
    let extra = directory.get(extra_range.clone())?;
    directory.get(..*at)?;
    let mut large = field_of(extra, ZIP64_EXTRA).unwrap_or_default();
    let mut zip64 = false;
    let mut value = |at: usize| {
        let short = u32_at(fixed, at);
        if short != u32::MAX {
            return Some(u64::from(short));
        }
        zip64 = true;
        let (first, rest) = large.split_first_chunk::<8>()?;
        large = rest;
        Some(u64::from_le_bytes(*first))
    };
    // This is the order of the values in a ZIP64 field.
    let uncompressed = value(24)?;
    let compressed = value(20)?;
    let offset = value(42)?.checked_add(before)?;
    Some(Header {
        name,
        made_by: u16_at(fixed, 4),
        needed: u16_at(fixed, 6),
        flags: u16_at(fixed, 8),
        method: u16_at(fixed, 10),
        crc32: u32_at(fixed, 16),
        compressed,
        uncompressed,
        attributes: u32_at(fixed, 38),
        extra: extra_range,
        disk: u16_at(fixed, 34),
        offset,
        zip64,
    })
}

/// The content of the first extra field of a kind (4.5.1).
fn field_of(mut extra: &[u8], kind: u16) -> Option<&[u8]> {
    while let Some((head, rest)) = extra.split_first_chunk::<4>() {
        let (content, after) = rest.split_at_checked(usize::from(u16_at(head, 2)))?;
        if u16_at(head, 0) == kind {
            return Some(content);
        }
        extra = after;
    }
    None
}

/// Whether extra fields end where they say.
fn is_well_formed(mut extra: &[u8]) -> bool {
    while let Some((head, rest)) = extra.split_first_chunk::<4>() {
        let Some((_, after)) = rest.split_at_checked(usize::from(u16_at(head, 2))) else {
            return false;
        };
        extra = after;
    }
    extra.is_empty()
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |bytes| u16::from_le_bytes(*bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Unpacks one entry after the other with the same memory.
pub(super) struct Unpacker {
    inflate: Decompress,
    input: Vec<u8>,
    output: Vec<u8>,
}

/// Whether to go on.
pub(super) enum Flow {
    Continue,
    Stop,
}

impl Unpacker {
    pub(super) fn new() -> Self {
        Self {
            inflate: Decompress::new(false),
            input: vec![0; STEP],
            output: vec![0; 2 * STEP],
        }
    }

    /// Hands the unpacked content on piece by piece. No more than the entry's announced length is unpacked: what would be
    /// longer, or ends before that, is an error.
    pub(super) fn unpack(
        &mut self,
        archive: &Archive,
        header: &Header,
        content: Range<u64>,
        sink: &mut dyn FnMut(&[u8]) -> Flow,
    ) -> Result<(), String> {
        let mut left = header.uncompressed;
        let stored = header.method() == Method::Stored;
        if stored && header.compressed != header.uncompressed {
            return Err("it is stored, and has another length than announced".to_owned());
        }
        self.inflate.reset(false);
        let mut place = content.start;
        let mut ended = false;
        while place < content.end && !ended {
            let length = usize::try_from(content.end - place).map_or(STEP, |rest| rest.min(STEP));
            let input = &mut self.input[..length];
            archive
                .file
                .read_exact_at(input, place)
                .map_err(|error| error.to_string())?;
            place += length as u64;
            if stored {
                left = left.saturating_sub(length as u64);
                if let Flow::Stop = sink(input) {
                    return Ok(());
                }
                continue;
            }
            let (ends, rest) = inflate(&mut self.inflate, input, &mut self.output, &mut left, sink)?;
            let Some(rest) = rest else { return Ok(()) };
            ended = ends;
            if ended && (rest > 0 || place < content.end) {
                return Err("its compressed content ends before its length is reached".to_owned());
            }
        }
        if !stored && !ended {
            return Err("its compressed content breaks off".to_owned());
        }
        if left > 0 {
            return Err(format!("it unpacks to {left} bytes less than the zip declares"));
        }
        Ok(())
    }
}

/// Inflates one piece of a content and hands on what comes of it. Gives whether the content ends in the piece, and how many
/// bytes of it are left over; `None` if the sink wants no more.
fn inflate(
    state: &mut Decompress,
    mut input: &[u8],
    buffer: &mut [u8],
    left: &mut u64,
    sink: &mut dyn FnMut(&[u8]) -> Flow,
) -> Result<(bool, Option<usize>), String> {
    loop {
        let (before_in, before_out) = (state.total_in(), state.total_out());
        let status = state
            .decompress(input, buffer, FlushDecompress::None)
            .map_err(|error| error.to_string())?;
        let read = usize::try_from(state.total_in() - before_in).unwrap_or(input.len());
        let unpacked = state.total_out() - before_out;
        input = input.get(read..).unwrap_or_default();
        *left = left
            .checked_sub(unpacked)
            .ok_or("it unpacks to more than the zip declares")?;
        let output = &buffer[..usize::try_from(unpacked).unwrap_or_default()];
        if !output.is_empty()
            && let Flow::Stop = sink(output)
        {
            return Ok((false, None));
        }
        let ended = matches!(status, Status::StreamEnd);
        if ended || (input.is_empty() && output.len() < buffer.len()) {
            return Ok((ended, Some(input.len())));
        }
        if read == 0 && output.is_empty() {
            return Err("it cannot be unpacked any further".to_owned());
        }
    }
}
