//! The index of a lazy-load database, `PACKAGE.rdx`: R's serialized list of which bytes of the database hold which variable
//! (R Internals, sections 1.8 and 1.20; lazyload.R, `makeLazyLoadDB`).
//!
//! It is read far enough to know where the numbers are that say so, and rewritten by writing over them.

use std::ops::Range;

/// Binary serialization in XDR, and a newline.
const XDR: &[u8] = b"X\n";
/// The versions of the format that are known. The third has the native encoding behind its header.
const VERSIONS: [u32; 2] = [2, 3];
/// An index has lists of pairs of numbers, with names: no deeper than this.
const DEEPEST: usize = 8;

// Types, in the low byte of an item's flags (serialize.c and Rinternals.h).
const SYMBOL: u32 = 1;
const PAIRLIST: u32 = 2;
const CHARACTERS: u32 = 9;
const LOGICALS: u32 = 10;
const INTEGERS: u32 = 13;
const STRINGS: u32 = 16;
const LIST: u32 = 19;
const NULL: u32 = 254;
const REFERENCE: u32 = 255;
const HAS_ATTRIBUTES: u32 = 1 << 9;
const HAS_TAG: u32 = 1 << 10;

/// The bytes of a database that hold one chunk.
pub(super) type Chunk = Range<usize>;

/// An index that is understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Index {
    serialized: Vec<u8>,
    /// Where the pairs of numbers are, offset and length of a chunk, each with what it says.
    keys: Vec<(usize, Chunk)>,
    /// Where the item is that says how chunks are compressed, and what it says.
    compression: (usize, u32),
}

impl Index {
    /// Reads a serialized index; `None` for what is not one, or has more in it than is known here.
    pub(super) fn parse(serialized: Vec<u8>) -> Option<Self> {
        let mut reader = Reader {
            bytes: &serialized,
            at: 0,
        };
        reader.header()?;
        let flags = reader.number()?;
        if flags & 0xff != LIST || reader.number()? != 3 {
            return None;
        }
        let mut keys = Vec::new();
        for _ in ["variables", "references"] {
            reader.keys(&mut keys)?;
        }
        let at = reader.at;
        let flags = reader.number()?;
        let one = reader.number()?;
        if !matches!(flags, LOGICALS | INTEGERS) || one != 1 {
            return None;
        }
        let compression = reader.number()?;
        let names = reader.rest_names()?;
        let is_whole = reader.at == serialized.len();
        (is_whole && names == ["variables", "references", "compressed"]).then_some(Self {
            serialized,
            keys,
            compression: (at, compression),
        })
    }

    /// How the chunks are compressed: 1 by zlib, 2 by bzip2, 3 by LZMA2, the latter two with exceptions (serialize.c,
    /// `R_decompress1` to `R_decompress3`).
    pub(super) fn compression(&self) -> u32 {
        self.compression.1
    }

    /// The chunks, each once, in the order in which they are in the database; `None` if they overlap or if there is one outside
    /// of `length` bytes.
    pub(super) fn chunks(&self, length: usize) -> Option<Vec<Chunk>> {
        let mut chunks: Vec<Chunk> = self.keys.iter().map(|(_, chunk)| chunk.clone()).collect();
        chunks.sort_by_key(|chunk| (chunk.start, chunk.end));
        chunks.dedup();
        let is_apart = chunks.windows(2).all(|pair| pair[0].end <= pair[1].start);
        let is_inside = chunks.last().is_none_or(|last| last.end <= length);
        (is_apart && is_inside).then_some(chunks)
    }

    /// The index of the same variables in a database whose chunks are elsewhere and compressed otherwise; `None` if `moved`
    /// does not know where one is.
    pub(super) fn rewritten(&self, compression: u32, moved: &dyn Fn(&Chunk) -> Option<Chunk>) -> Option<Vec<u8>> {
        let mut serialized = self.serialized.clone();
        let mut write = |at: usize, number: u32| serialized[at..at + 4].copy_from_slice(&number.to_be_bytes());
        for (at, chunk) in &self.keys {
            let to = moved(chunk)?;
            write(*at, i32::try_from(to.start).ok()?.cast_unsigned());
            write(at + 4, i32::try_from(to.len()).ok()?.cast_unsigned());
        }
        // Old versions say TRUE instead of 1.
        write(self.compression.0, INTEGERS);
        write(self.compression.0 + 8, compression);
        Some(serialized)
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(*self.take(4)?.first_chunk()?))
    }

    fn length(&mut self) -> Option<usize> {
        let length = usize::try_from(self.number()?).ok()?;
        // Each item of a vector has some bytes.
        (length <= self.bytes.len() - self.at).then_some(length)
    }

    /// Format and version, and the version of the R that wrote it.
    fn header(&mut self) -> Option<()> {
        if self.take(XDR.len())? != XDR {
            return None;
        }
        let version = self.number()?;
        self.take(8)?;
        if version == 3 {
            let length = self.length()?;
            self.take(length)?;
        }
        VERSIONS.contains(&version).then_some(())
    }

    /// A list of pairs of numbers, with names.
    fn keys(&mut self, keys: &mut Vec<(usize, Chunk)>) -> Option<()> {
        let flags = self.number()?;
        if flags & 0xff != LIST {
            return None;
        }
        for _ in 0..self.length()? {
            if (self.number()?, self.number()?) != (INTEGERS, 2) {
                return None;
            }
            let at = self.at;
            let start = usize::try_from(self.number()?.cast_signed()).ok()?;
            let length = usize::try_from(self.number()?.cast_signed()).ok()?;
            keys.push((at, start..start.checked_add(length)?));
        }
        if flags & HAS_ATTRIBUTES != 0 {
            self.skip(DEEPEST)?;
        }
        Some(())
    }

    /// The attributes of the whole list: its names, and nothing else.
    fn rest_names(&mut self) -> Option<Vec<&'a str>> {
        if self.number()? != PAIRLIST | HAS_TAG {
            return None;
        }
        self.skip(DEEPEST)?;
        if (self.number()?, self.number()?) != (STRINGS, 3) {
            return None;
        }
        let mut names = Vec::new();
        for _ in 0..3 {
            names.push(self.characters()?);
        }
        (self.number()? == NULL).then_some(names)
    }

    fn characters(&mut self) -> Option<&'a str> {
        if self.number()? & 0xff != CHARACTERS {
            return None;
        }
        let length = self.length()?;
        std::str::from_utf8(self.take(length)?).ok()
    }

    /// Goes behind an item of the types that names are made of.
    fn skip(&mut self, deepest: usize) -> Option<()> {
        let deepest = deepest.checked_sub(1)?;
        loop {
            let flags = self.number()?;
            match flags & 0xff {
                NULL | REFERENCE => {}
                SYMBOL => self.skip(deepest)?,
                CHARACTERS => {
                    // NA has the length -1.
                    let length = self.number()?;
                    if length != u32::MAX {
                        self.take(usize::try_from(length).ok()?)?;
                    }
                }
                LOGICALS | INTEGERS => {
                    let bytes = self.length()?.checked_mul(4)?;
                    self.take(bytes)?;
                }
                STRINGS => {
                    for _ in 0..self.length()? {
                        self.skip(deepest)?;
                    }
                }
                PAIRLIST => {
                    if flags & HAS_ATTRIBUTES != 0 {
                        self.skip(deepest)?;
                    }
                    if flags & HAS_TAG != 0 {
                        self.skip(deepest)?;
                    }
                    self.skip(deepest)?;
                    // The rest of the list follows as an item of its own.
                    continue;
                }
                _ => return None,
            }
            return Some(());
        }
    }
}
