//! Compresses one file's content, all at once: layers hold nothing that does not fit into memory.

use libdeflater::{CompressionLvl, Compressor};

/// How a zip holds a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// The bytes as they lie in the archive.
    pub bytes: Vec<u8>,
}

/// The fastest level that tells whether a content shrinks at all.
const PROBE: i32 = 1;
/// The level that is tried on what does: libdeflate's strongest.
const STRONGEST: i32 = 12;

/// Deflates content after content; it keeps its working memory from one to the next.
pub struct Deflater {
    probe: Compressor,
    strongest: Compressor,
}

impl Default for Deflater {
    fn default() -> Self {
        let at = |level| CompressionLvl::new(level).map(Compressor::new);
        // Both levels are in the range that libdeflate documents.
        let compressor = |level| at(level).unwrap_or_else(|_| Compressor::new(CompressionLvl::best()));
        Self {
            probe: compressor(PROBE),
            strongest: compressor(STRONGEST),
        }
    }
}

impl Deflater {
    /// The smaller of stored and deflated.
    ///
    /// What hardly shrinks at the fastest level is compressed already (R's .rdb, .gz, .png): the strongest level would take
    /// long and win next to nothing.
    pub fn compress(&mut self, content: Vec<u8>) -> Compressed {
        let crc32 = crc32fast::hash(&content);
        let quick = deflate(&mut self.probe, &content);
        let shrinks = quick.len() < content.len() - content.len() / 32;
        let best = if shrinks {
            deflate(&mut self.strongest, &content)
        } else {
            quick
        };
        if best.len() < content.len() {
            Compressed {
                method: Method::Deflated,
                crc32,
                bytes: best,
            }
        } else {
            Compressed {
                method: Method::Stored,
                crc32,
                bytes: content,
            }
        }
    }
}

/// The content deflated; as long as the content itself where deflating does not make it smaller.
fn deflate(compressor: &mut Compressor, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; content.len()];
    match compressor.deflate_compress(content, &mut bytes) {
        Ok(length) => bytes.truncate(length),
        // It does not fit: stored is no larger.
        Err(_) => bytes.truncate(content.len()),
    }
    bytes.shrink_to_fit();
    bytes
}
