//! Compresses one file's content, all at once: layers hold nothing that does not fit into memory.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};

use libdeflater::{CompressionLvl, Compressor};
use serde::{Deserialize, Serialize};

use crate::elf;
use crate::manifest::Effort;

/// How a zip holds a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// As it is.
    Stored,
    /// Deflated (RFC 1951).
    Deflated,
}

/// A content ready for a zip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compressed {
    /// How it is held.
    pub method: Method,
    /// CRC-32 of the content before compression.
    pub crc32: u32,
    /// The bytes as they are in the archive.
    pub bytes: Vec<u8>,
}

// The levels are those where more stopped paying on an R tree of 644 files, 45.5 MB (CPU time and bytes):
// ELF objects     -5 0.41 s 9.37 MB, -9 1.17 s 9.29 MB, -10 2.71 s 9.06 MB, -12 4.66 s 9.05 MB
// .rdb            -5 0.32 s 19.206 MB, -10 0.86 s 19.204 MB
// others          -5 0.05 s 1.839 MB, -10 0.31 s 1.810 MB, -11 0.44 s 1.803 MB, -12 0.60 s 1.802 MB

/// Tells whether a content shrinks at all, and is already within a thousandth of the best for one that hardly does.
const PROBE: i32 = 5;
/// For ELF objects, which always shrink.
const OBJECTS: i32 = 10;
/// For long ones, of which level 10 takes 2.7 % more off in seven times the time: where that saves a layer, they are compressed
/// again. Of 15 libraries of Python packages, 70.4 MB: -6 0.62 s 23.99 MB, -7 0.85 s 23.89 MB, -9 1.62 s 23.85 MB,
/// -10 4.23 s 23.34 MB, -12 7.51 s 23.32 MB.
const LONG_OBJECTS: i32 = 6;
/// The shortest of these, in bytes. No library of R itself is so long, and three fifths of the bytes of a large Python tree are
/// in such.
const LONG_OBJECT: u64 = 10_000_000;
/// For all else that shrinks.
const OTHERS: i32 = 11;
/// What `Effort::Max` tries as well, but with objects that zopfli is tried with.
const HIGHEST: i32 = 12;

// Zopfli finds where blocks should end by trying every place in a piece of fewer than 1,024 symbols, each with new Huffman
// codes: that takes most of its time where blocks are short. Of the contents of up to a million bytes in the same R tree (7.1 MB,
// 2.8 MB deflated) it took 19.2 s with 15 blocks and 5 iterations for each content, and takes 8.4 s with the numbers here, for
// 15.9 kB. Of long ELF objects, R's and others, it takes off next to nothing: 0.3 kB of four in 8 s.

/// What zopfli looks at at once, in bytes (`ZOPFLI_MASTER_BLOCK_SIZE`), and the longest ELF object that it is tried with.
const ZOPFLI_AT_ONCE: usize = 1_000_000;
/// How often it looks for a better way through a block.
const ZOPFLI_ITERATIONS: NonZeroU64 = NonZeroU64::new(3).unwrap();
/// The compressed bytes for which it may begin one more block, and the most blocks of what it looks at at once, its default.
const ZOPFLI_BLOCK: usize = 8000;
const ZOPFLI_BLOCKS: usize = 15;
/// Contents up to this length are one block.
const ZOPFLI_ONE_BLOCK: usize = 4096;

/// Whether so much of a content is left that trying harder pays. What shrinks less is compressed already (R's .rdb, .gz,
/// .png).
pub fn shrinks(length: u64, compressed: u64) -> bool {
    compressed < length - length / 8
}

/// Whether a content is an ELF object that the default effort spends less on.
pub(super) fn is_long_object(is_object: bool, length: u64) -> bool {
    is_object && length >= LONG_OBJECT
}

/// Whether zopfli is tried with a content that shrinks.
pub(super) fn may_zopfli_gain(is_object: bool, length: u64) -> bool {
    !is_object || length <= ZOPFLI_AT_ONCE as u64
}

/// Deflates content after content; it keeps its working memory from one to the next.
#[derive(Default)]
pub struct Deflater {
    compressors: BTreeMap<i32, Compressor>,
    buffer: Vec<u8>,
}

impl Deflater {
    /// The smallest that the effort finds: stored or deflated.
    ///
    /// Zopfli takes minutes for a large content; once `stopped` is set, the smallest found until then is returned, after the
    /// megabyte that zopfli is at.
    pub fn compress(&mut self, content: Vec<u8>, effort: Effort, stopped: &AtomicBool) -> Compressed {
        let crc32 = crc32fast::hash(&content);
        let mut best: Option<Vec<u8>> = None;
        let length = |best: &Option<Vec<u8>>| best.as_ref().map_or(content.len(), Vec::len);
        let is_object = content.starts_with(elf::MAGIC);
        if !is_object || effort == Effort::Fast {
            self.improve(&mut best, PROBE, &content);
        }
        let pays = is_object || shrinks(content.len() as u64, length(&best) as u64);
        let tries_zopfli = effort == Effort::Max && pays && may_zopfli_gain(is_object, content.len() as u64);
        let levels: &[i32] = match effort {
            Effort::Best if is_long_object(is_object, content.len() as u64) => &[LONG_OBJECTS],
            Effort::Best if is_object => &[OBJECTS],
            Effort::Best if pays => &[OTHERS],
            Effort::Fast | Effort::Best => &[],
            Effort::Max if is_object && tries_zopfli => &[OBJECTS],
            Effort::Max if is_object => &[OBJECTS, HIGHEST],
            Effort::Max if pays => &[OTHERS, HIGHEST],
            Effort::Max => &[HIGHEST],
        };
        for level in levels {
            self.improve(&mut best, *level, &content);
        }
        if tries_zopfli {
            let found = length(&best);
            let smaller = zopfli(&content, found, stopped).filter(|bytes| bytes.len() < found);
            best = smaller.or(best);
        }
        match best {
            Some(bytes) => Compressed {
                method: Method::Deflated,
                crc32,
                bytes,
            },
            None => Compressed {
                method: Method::Stored,
                crc32,
                bytes: content,
            },
        }
    }

    /// Replaces the best by what a level gives if that is smaller, and smaller than the content.
    fn improve(&mut self, best: &mut Option<Vec<u8>>, level: i32, content: &[u8]) {
        let limit = best.as_ref().map_or(content.len(), Vec::len).saturating_sub(1);
        if self.buffer.len() < limit {
            self.buffer.resize(limit, 0);
        }
        let compressor = self.compressors.entry(level).or_insert_with(|| {
            // All levels here are in the range that libdeflate documents.
            let level = CompressionLvl::new(level).unwrap_or_else(|_| CompressionLvl::best());
            Compressor::new(level)
        });
        // It fails if the limit does not suffice: then this level is not better.
        if let Ok(length) = compressor.deflate_compress(content, &mut self.buffer[..limit]) {
            *best = Some(self.buffer[..length].to_vec());
        }
    }
}

/// The content deflated by zopfli, of which libdeflate makes `deflated` bytes; `None` if it was stopped.
fn zopfli(content: &[u8], deflated: usize, stopped: &AtomicBool) -> Option<Vec<u8>> {
    let blocks = if content.len() <= ZOPFLI_ONE_BLOCK {
        1
    } else {
        let at_once = deflated / content.len().div_ceil(ZOPFLI_AT_ONCE);
        (at_once / ZOPFLI_BLOCK).clamp(2, ZOPFLI_BLOCKS)
    };
    let options = zopfli::Options {
        iteration_count: ZOPFLI_ITERATIONS,
        maximum_block_splits: u16::try_from(blocks).ok()?,
        ..zopfli::Options::default()
    };
    let mut bytes = Vec::new();
    let source = Stoppable { content, stopped };
    zopfli::compress(options, zopfli::Format::Deflate, source, &mut bytes).ok()?;
    Some(bytes)
}

/// A content that ends in an error once the run is stopped; zopfli reads it piece by piece.
struct Stoppable<'a> {
    content: &'a [u8],
    stopped: &'a AtomicBool,
}

impl Read for Stoppable<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(io::Error::other("stopped"));
        }
        self.content.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Words in a random order: what deflate makes small.
    fn text(length: usize) -> Vec<u8> {
        let mut noise = 1_u64;
        let mut text = Vec::new();
        while text.len() < length {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let word = ["layer", "runtime", "library", "zip", "soname"][(noise >> 60) as usize % 5];
            write!(text, "{word} {} ", noise >> 52).unwrap();
        }
        text.truncate(length);
        text
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in 0_u32.. {
            if bytes.len() >= length {
                break;
            }
            bytes.extend(blake3::hash(&number.to_le_bytes()).as_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    fn inflated(compressed: &Compressed) -> Vec<u8> {
        let mut content = Vec::new();
        match compressed.method {
            Method::Stored => content.clone_from(&compressed.bytes),
            Method::Deflated => {
                let mut reader = flate2::read::DeflateDecoder::new(&compressed.bytes[..]);
                reader.read_to_end(&mut content).unwrap();
            }
        }
        content
    }

    #[test]
    fn more_effort_is_never_larger_and_stored_never_beaten_by_itself() {
        let object = [elf::MAGIC, &text(20_000)].concat();
        let contents = [Vec::new(), b"a".to_vec(), text(50), text(30_000), noise(5_000), object];
        let mut deflater = Deflater::default();
        for content in contents {
            let mut last = content.len();
            for effort in [Effort::Fast, Effort::Best, Effort::Max] {
                let compressed = deflater.compress(content.clone(), effort, &AtomicBool::new(false));
                assert_eq!(inflated(&compressed), content);
                assert_eq!(compressed.crc32, crc32fast::hash(&content));
                assert!(compressed.bytes.len() <= last, "{effort:?}");
                let is_smaller = compressed.bytes.len() < content.len();
                assert_eq!(compressed.method == Method::Deflated, is_smaller);
                last = compressed.bytes.len();
            }
        }
    }

    #[test]
    fn zopfli_beats_libdeflate_and_can_be_stopped() {
        let content = text(30_000);
        let size = |effort, stopped: bool| {
            let compressed = Deflater::default().compress(content.clone(), effort, &AtomicBool::new(stopped));
            assert_eq!(inflated(&compressed), content);
            compressed.bytes.len()
        };
        assert!(size(Effort::Max, false) < size(Effort::Max, true));
        assert!(size(Effort::Max, true) <= size(Effort::Best, false));
    }
}
