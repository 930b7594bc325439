//! The zip format as Lambda is known to take it (PKWARE APPNOTE.TXT 6.3.10): stored or deflated entries, made by Unix,
//! version 2.0, no data descriptors, no ZIP64, no extra fields, no comments.
//!
//! With that, the length of an archive is known before a byte of it is written; see [`entry_size`].

use std::io::{self, BufReader, Read, Write};

use time::OffsetDateTime;

use super::compress::Method;
use crate::tree::Mode;

/// The end of central directory record (APPNOTE 4.3.16), without a comment.
pub const END_SIZE: u64 = 22;
/// A local file header (4.3.7) and a central directory header (4.3.12), without name and extra fields.
const HEADERS_SIZE: u64 = 30 + 46;

/// Version 2.0 of the specification: directories and deflate (4.4.3.2); the upper byte says Unix (4.4.2.2).
const VERSION_NEEDED: u16 = 20;
const MADE_BY: u16 = (3 << 8) | VERSION_NEEDED;
/// General purpose bit 11: the name is UTF-8 (4.4.4).
const NAME_IS_UTF8: u16 = 1 << 11;
/// The MS-DOS attribute of a directory, in the lower half of the external attributes.
const DOS_DIRECTORY: u32 = 0x10;

/// The kinds of a file in `st_mode` (inode(7)), which the external attributes hold in their upper half.
const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const LINK: u32 = 0o120_000;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file with its permissions.
    File(Mode),
    /// A directory; its name in the archive ends with `/`.
    Directory,
    /// A symbolic link; its content is the target.
    Symlink,
}

/// One entry, all but its name and content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZipEntry {
    /// What it is.
    pub kind: EntryKind,
    /// How the content is stored.
    pub method: Method,
    /// CRC-32 of the content before compression.
    pub crc32: u32,
    /// Length in the archive, in bytes.
    pub compressed: u32,
    /// Length before compression, in bytes.
    pub uncompressed: u32,
}

/// How many bytes an entry adds to an archive, headers included.
pub fn entry_size(name: &str, compressed: u64) -> u64 {
    HEADERS_SIZE + 2 * name.len() as u64 + compressed
}

/// A point in time as zip has it: MS-DOS date and time, in steps of two seconds from 1980 to 2107 (APPNOTE 4.4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp {
    date: u16,
    time: u16,
}

impl Timestamp {
    /// The earliest there is: 1980-01-01 00:00:00. Every entry has it unless the user says otherwise.
    pub const EARLIEST: Self = Self {
        date: (1 << 5) | 1,
        time: 0,
    };

    /// The time of so many seconds since 1970 in UTC, moved into zip's range if it is outside.
    ///
    /// This is how to read `SOURCE_DATE_EPOCH` (reproducible-builds.org, "SOURCE_DATE_EPOCH specification").
    pub fn from_unix(seconds: i64) -> Self {
        let Ok(moment) = OffsetDateTime::from_unix_timestamp(seconds) else {
            return Self::EARLIEST;
        };
        match u16::try_from(moment.year() - 1980) {
            Err(_) => Self::EARLIEST,
            Ok(128..) => Self {
                date: (127 << 9) | (12 << 5) | 31,
                time: (23 << 11) | (59 << 5) | (58 / 2),
            },
            Ok(year) => Self {
                date: (year << 9) | (u16::from(u8::from(moment.month())) << 5) | u16::from(moment.day()),
                time: (u16::from(moment.hour()) << 11)
                    | (u16::from(moment.minute()) << 5)
                    | (u16::from(moment.second()) / 2),
            },
        }
    }
}

/// What is copied at once, in bytes.
const BUFFER: usize = 128 << 10;

/// Writes an archive entry by entry.
pub struct ZipWriter<W> {
    out: W,
    timestamp: Timestamp,
    central: Vec<u8>,
    offset: u64,
    entries: usize,
}

impl<W: Write> ZipWriter<W> {
    /// An archive without entries. Every entry gets the same time.
    pub fn new(out: W, timestamp: Timestamp) -> Self {
        Self {
            out,
            timestamp,
            central: Vec::new(),
            offset: 0,
            entries: 0,
        }
    }

    /// Adds an entry. The name of a directory ends with `/`; `content` gives the bytes as they are to be in the archive, exactly
    /// `entry.compressed` of them.
    pub fn add(&mut self, name: &str, entry: &ZipEntry, content: &mut dyn Read) -> io::Result<()> {
        let offset = u32::try_from(self.offset).map_err(|_| too_large("the archive"))?;
        let mut common = Vec::with_capacity(26);
        let flags = if name.is_ascii() { 0 } else { NAME_IS_UTF8 };
        let method: u16 = match entry.method {
            Method::Stored => 0,
            Method::Deflated => 8,
        };
        let name_length = u16::try_from(name.len()).map_err(|_| too_large("a name"))?;
        for value in [VERSION_NEEDED, flags, method, self.timestamp.time, self.timestamp.date] {
            common.extend(value.to_le_bytes());
        }
        for value in [entry.crc32, entry.compressed, entry.uncompressed] {
            common.extend(value.to_le_bytes());
        }
        common.extend(name_length.to_le_bytes());
        common.extend([0, 0]); // no extra field

        self.out.write_all(b"PK\x03\x04")?;
        self.out.write_all(&common)?;
        self.out.write_all(name.as_bytes())?;
        let buffer = usize::try_from(entry.compressed).map_or(BUFFER, |length| length.min(BUFFER));
        let copied = io::copy(&mut BufReader::with_capacity(buffer, content), &mut self.out)?;
        if copied != u64::from(entry.compressed) {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("{name}: {copied} bytes of content instead of {}", entry.compressed),
            ));
        }

        let (kind, dos) = match entry.kind {
            EntryKind::File(mode) => (REGULAR | mode.bits(), 0),
            EntryKind::Directory => (DIRECTORY | Mode::DIRECTORY.bits(), DOS_DIRECTORY),
            EntryKind::Symlink => (LINK | 0o777, 0),
        };
        self.central.extend(b"PK\x01\x02");
        self.central.extend(MADE_BY.to_le_bytes());
        self.central.extend(&common);
        self.central.extend([0; 6]); // no comment, first disk, no internal attributes
        self.central.extend((kind << 16 | dos).to_le_bytes());
        self.central.extend(offset.to_le_bytes());
        self.central.extend(name.as_bytes());
        self.offset += 30 + name.len() as u64 + u64::from(entry.compressed);
        self.entries += 1;
        Ok(())
    }

    /// Writes the central directory and gives back what was written to, with the archive's length in bytes.
    pub fn finish(mut self) -> io::Result<(W, u64)> {
        let entries = u16::try_from(self.entries).map_err(|_| too_large("the number of entries"))?;
        let size = u32::try_from(self.central.len()).map_err(|_| too_large("the directory"))?;
        let start = u32::try_from(self.offset).map_err(|_| too_large("the archive"))?;
        self.out.write_all(&self.central)?;
        self.out.write_all(b"PK\x05\x06")?;
        self.out.write_all(&[0; 4])?; // one disk
        for value in [entries, entries] {
            self.out.write_all(&value.to_le_bytes())?;
        }
        for value in [size, start] {
            self.out.write_all(&value.to_le_bytes())?;
        }
        self.out.write_all(&[0; 2])?; // no comment
        self.out.flush()?;
        Ok((self.out, self.offset + u64::from(size) + END_SIZE))
    }
}

fn too_large(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("{what} is too large for a zip without ZIP64"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(timestamp: Timestamp) -> (u16, u16, u16, u16, u16, u16) {
        let Timestamp { date, time } = timestamp;
        (
            1980 + (date >> 9),
            date >> 5 & 15,
            date & 31,
            time >> 11,
            time >> 5 & 63,
            (time & 31) * 2,
        )
    }

    #[test]
    fn unix_times_become_zip_times() {
        // The expected values are those of `date -u -d @SECONDS`.
        for (seconds, expected) in [
            (315_532_800, (1980, 1, 1, 0, 0, 0)),
            (0, (1980, 1, 1, 0, 0, 0)),
            (-5, (1980, 1, 1, 0, 0, 0)),
            (1_700_000_000, (2023, 11, 14, 22, 13, 20)),
            (1_709_208_001, (2024, 2, 29, 12, 0, 0)),
            (i64::MAX, (1980, 1, 1, 0, 0, 0)),
            (9_999_999_999, (2107, 12, 31, 23, 59, 58)),
        ] {
            assert_eq!(fields(Timestamp::from_unix(seconds)), expected, "{seconds}");
        }
        assert_eq!(fields(Timestamp::EARLIEST), (1980, 1, 1, 0, 0, 0));
    }

    #[test]
    fn content_of_another_length_than_announced_is_an_error() {
        let entry = ZipEntry {
            kind: EntryKind::File(Mode::new(0o644)),
            method: Method::Stored,
            crc32: 0,
            compressed: 3,
            uncompressed: 3,
        };
        let mut writer = ZipWriter::new(Vec::new(), Timestamp::EARLIEST);
        assert!(writer.add("a", &entry, &mut &b"ab"[..]).is_err());
    }
}
