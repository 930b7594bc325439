//! Tar archives as they come: plain or compressed, each entry bounded.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use tar::{Archive, EntryType};

use crate::progress::Progress;

/// What may stand between the contents of two entries: padding, and the long names and attributes of the next.
const BETWEEN: u64 = 4 << 20;

/// How many entries all layers have at most.
pub(super) const ENTRIES: usize = 4_000_000;

/// How many bytes one layer unpacks to at most: many times what fits into an image that Lambda accepts, which is 10 GB
/// (AWS Lambda developer guide, "Lambda quotas").
const LAYER_BYTES: u64 = 64 << 30;

/// The entry of one file of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// Its path, without `/` or `./` before it or `/` after it.
    pub(super) path: Vec<u8>,
    pub(super) mode: u32,
    pub(super) kind: HeaderKind,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HeaderKind {
    Directory,
    /// With its length.
    File(u64),
    Symlink(Vec<u8>),
    /// To another path of the image, in the form of [`Header::path`].
    HardLink(Vec<u8>),
    Fifo,
    /// A device: it cannot be made without privileges and is left out.
    Device,
}

/// Whether a file begins with a tar header (POSIX.1-2024, pax, "ustar Interchange Format"), compressed or not.
pub(super) fn is_tar(path: &Path) -> io::Result<bool> {
    let mut header = [0; 512];
    let file = crate::open::regular(&path.canonicalize()?)?;
    if decompressed(file)?.read_exact(&mut header).is_err() {
        return Ok(false);
    }
    Ok(&header[257..262] == b"ustar")
}

/// What a stream is after gzip or zstd, by its first bytes (RFC 1952, 2.3.1; RFC 8878, 3.1.1).
pub(super) fn decompressed<'a>(stream: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut stream = BufReader::with_capacity(1 << 16, stream);
    Ok(match compression(&mut stream)? {
        None => Box::new(stream),
        Some(Compression::Gzip) => Box::new(flate2::bufread::MultiGzDecoder::new(stream)),
        Some(Compression::Zstd) => Box::new(ruzstd::decoding::StreamingDecoder::new(stream).map_err(io::Error::other)?),
    })
}

/// As [`decompressed`]; `None` if there is no compression.
pub(super) fn compressed<'a>(stream: impl Read + 'a) -> io::Result<Option<Box<dyn Read + 'a>>> {
    let mut stream = BufReader::with_capacity(1 << 16, stream);
    Ok(match compression(&mut stream)? {
        None => None,
        Some(_) => Some(decompressed(stream)?),
    })
}

#[derive(Debug, Clone, Copy)]
enum Compression {
    Gzip,
    Zstd,
}

fn compression(stream: &mut impl BufRead) -> io::Result<Option<Compression>> {
    let start = stream.fill_buf()?;
    Ok(if start.starts_with(&[0x1f, 0x8b]) {
        Some(Compression::Gzip)
    } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Some(Compression::Zstd)
    } else {
        None
    })
}

/// Calls `each` with number and header of every entry that is a file of a layer and with its content, which it may read or leave.
pub(super) fn read_entries(
    stream: impl Read,
    progress: &dyn Progress,
    mut each: impl FnMut(usize, Header, &mut dyn Read) -> io::Result<()>,
) -> io::Result<()> {
    let left = Rc::new(Cell::new(BETWEEN));
    let bounded = Bounded {
        stream: decompressed(stream)?.take(LAYER_BYTES),
        left: Rc::clone(&left),
    };
    let mut archive = Archive::new(bounded);
    let mut number = 0;
    for entry in archive.entries()? {
        progress.check().map_err(io::Error::other)?;
        let mut entry = entry?;
        if number >= ENTRIES {
            return Err(io::Error::other("it has too many entries"));
        }
        // The content has the length that its header says; names and attributes have not been bounded by anything else.
        left.set(u64::MAX);
        if let Some(header) = header(&mut entry)? {
            each(number, header, &mut entry)?;
            number += 1;
        }
        io::copy(&mut entry, &mut io::sink())?;
        left.set(BETWEEN);
    }
    Ok(())
}

/// Ends with an error where more is read than expected.
struct Bounded<R> {
    stream: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        let left = self.left.get().checked_sub(count as u64);
        self.left
            .set(left.ok_or_else(|| io::Error::other("the name or the attributes of an entry are too long"))?);
        Ok(count)
    }
}

/// `None` for what is not a file: global attributes, and kinds that no image has.
fn header<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<Option<Header>> {
    let kind = match entry.header().entry_type() {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => HeaderKind::File(entry.size()),
        EntryType::Directory => HeaderKind::Directory,
        EntryType::Symlink => HeaderKind::Symlink(entry.link_name_bytes().unwrap_or_default().into_owned()),
        EntryType::Link => HeaderKind::HardLink(plain(&entry.link_name_bytes().unwrap_or_default())?),
        EntryType::Fifo => HeaderKind::Fifo,
        EntryType::Char | EntryType::Block => HeaderKind::Device,
        _ => return Ok(None),
    };
    // Old archives mark directories by their names alone.
    let name = entry.path_bytes().into_owned();
    let kind = match kind {
        HeaderKind::File(_) if name.ends_with(b"/") => HeaderKind::Directory,
        kind => kind,
    };
    Ok(Some(Header {
        path: plain(&name)?,
        mode: entry.header().mode()?,
        kind,
    }))
}

/// A path of the image without empty and `.` components; an error if it leads upwards or cannot be the name of a file.
pub(super) fn plain(path: &[u8]) -> io::Result<Vec<u8>> {
    let components: Vec<&[u8]> = path
        .split(|byte| *byte == b'/')
        .filter(|component| !component.is_empty() && *component != b".")
        .collect();
    if components.contains(&&b".."[..]) || path.contains(&0) {
        let shown = crate::tree::path::escaped(path);
        return Err(io::Error::other(format!("'{shown}' is not a path in an image")));
    }
    Ok(components.join(&b'/'))
}
