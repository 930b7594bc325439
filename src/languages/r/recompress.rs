//! Lazy-load databases, recompressed: what a package has as zlib streams, which no zip makes smaller, becomes LZMA2 streams,
//! which R reads as well.
//!
//! A chunk of a database is the length of what was serialized (u32, big endian) and, if its index says compression 3, one byte
//! for the kind and the content: `0` as it is, `2` by bzip2, `Z` as a raw LZMA2 stream, which R decodes with the dictionary of
//! preset 6 (serialize.c, `R_compress3`, `R_decompress3` and `init_filters`).

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::{MultiGzDecoder, ZlibDecoder};
use libdeflater::{CompressionLvl, Compressor};
use liblzma::stream::{Action, Filters, LzmaOptions, Status, Stream};
use lzma_rust2::Lzma2Reader;

use super::index::{Chunk, Index};
use crate::languages::Thoroughness;
use crate::tree::{Tree, TreePath};

/// How the names of a database and of its index end.
const DATABASE: &str = ".rdb";
const INDEX: &str = ".rdx";

/// The dictionary with which R decodes: that of preset 6 (xz(1)). A stream may ask for no larger one.
const DICTIONARY: u32 = 8 << 20;
/// The smallest dictionary there is.
const SMALLEST_DICTIONARY: u32 = 4096;
/// Of an R tree's 10,064 chunks, 114 MB serialized and 17.5 MB in zlib streams, every eighth: preset 1 0.802 in 0.30 s, 2 0.779
/// in 0.34 s, 3 0.769 in 0.38 s, 4 0.761 in 1.2 s, 6 0.708 in 2.4 s, 9e 0.703 in 3.4 s. Without position bits, 3 has 0.766 and 9e
/// 0.696.
const QUICK: u32 = 3;
/// `LZMA_PRESET_EXTREME | 9`
const SMALLEST: u32 = 9 | 1 << 31;
/// What R serializes is not aligned to what LZMA2 could make use of.
const POSITION_BITS: u32 = 0;

/// The longest chunk that is held in memory, serialized; and the longest index.
const LONGEST_CHUNK: u64 = 512 << 20;
const LONGEST_INDEX: u64 = 64 << 20;

const ZLIB: u32 = 1;
const LZMA2: u32 = 3;
pub(super) const STORED_KIND: u8 = b'0';
pub(super) const LZMA2_KIND: u8 = b'Z';
/// The length of what was serialized, before each chunk.
const LENGTH: usize = 4;

/// Every database of a tree that has an index next to it: the two files.
pub(super) fn databases(tree: &Tree) -> Vec<Vec<TreePath>> {
    let databases = tree.files().filter_map(|(database, _)| {
        let stem = database.as_str().strip_suffix(DATABASE)?;
        let index = TreePath::new(&format!("{stem}{INDEX}"))?;
        tree.file(&index)?;
        Some(vec![database.clone(), index])
    });
    databases.collect()
}

/// A database and its index, smaller; `None` if they are not understood, or would not be smaller.
pub(super) fn recompressed(
    database: &[u8],
    index: &[u8],
    thoroughness: Thoroughness,
    stopped: &dyn Fn() -> bool,
) -> Option<[Vec<u8>; 2]> {
    let index = Index::parse(plain(index)?)?;
    let is_again = index.compression() == LZMA2;
    if !is_again && index.compression() != ZLIB || is_again && thoroughness == Thoroughness::Quick {
        return None;
    }
    let mut smaller = Vec::with_capacity(database.len());
    let mut moved: BTreeMap<usize, Chunk> = BTreeMap::new();
    for chunk in index.chunks(database.len())? {
        if stopped() {
            return None;
        }
        let before = &database[chunk.clone()];
        let content = unpacked(before, index.compression())?;
        let start = smaller.len();
        smaller.extend(u32::try_from(content.len()).ok()?.to_be_bytes());
        let packed = packed(&content, thoroughness);
        if is_again && before.len() <= smaller.len() - start + packed.len() {
            smaller.truncate(start);
            smaller.extend(before);
        } else {
            smaller.extend(packed);
        }
        // Decoded by another library than the one that encoded it.
        if unpacked(&smaller[start..], LZMA2)? != content {
            return None;
        }
        moved.insert(chunk.start, start..smaller.len());
    }
    let rewritten = index.rewritten(LZMA2, &|chunk| moved.get(&chunk.start).cloned())?;
    let index = gzip(&rewritten)?;
    let is_right = plain(&index)? == rewritten && Index::parse(rewritten)?.chunks(smaller.len()).is_some();
    (is_right && smaller.len() < database.len()).then_some([smaller, index])
}

/// What [`recompressed`] makes of a chunk in thousandths of its length as a zlib stream, by the binary logarithm of the length of
/// what was serialized, from 2^7 on: LZMA2 gains by what is far apart, of which short chunks have nothing.
///
/// The sums over 32,000 chunks of R's own packages and of 60 others in Debian 13, without help pages; of either set alone, the
/// sums of all lengths are within two percent. Chunks from 2^18 on are mostly data, and differ.
const THOUSANDTHS: [u64; 12] = [990, 977, 965, 956, 931, 899, 871, 840, 816, 790, 742, 520];
const SHORTEST_LOGARITHM: u32 = 7;

/// About how long a database is after [`recompressed`], by the lengths of its chunks; `None` if it would stay as it is.
pub(super) fn recompressed_length(database: &[u8], index: &[u8]) -> Option<u64> {
    let index = Index::parse(plain(index)?)?;
    if index.compression() != ZLIB {
        return None;
    }
    let mut length = 0;
    for chunk in index.chunks(database.len())? {
        let chunk = &database[chunk];
        let serialized = u32::from_be_bytes(*chunk.first_chunk::<LENGTH>()?);
        let class = serialized.checked_ilog2().unwrap_or(0).checked_sub(SHORTEST_LOGARITHM);
        let last = THOUSANDTHS.len() - 1;
        let thousandths = class.map_or(1000, |class| THOUSANDTHS[last.min(class as usize)]);
        length += chunk.len() as u64 * thousandths;
    }
    Some(length / 1000)
}

/// What was serialized into a chunk; `None` if that cannot be told.
pub(super) fn unpacked(chunk: &[u8], compression: u32) -> Option<Vec<u8>> {
    let (length, packed) = chunk.split_first_chunk::<LENGTH>()?;
    let length = u64::from(u32::from_be_bytes(*length));
    if length > LONGEST_CHUNK {
        return None;
    }
    let (content, used) = match (compression, packed.split_first()?) {
        (ZLIB, _) => {
            let mut decoder = ZlibDecoder::new(packed);
            (read(&mut decoder, length)?, decoder.total_in())
        }
        (LZMA2, (&STORED_KIND, content)) => (content.to_vec(), packed.len() as u64),
        (LZMA2, (&LZMA2_KIND, mut stream)) => {
            let content = read(&mut Lzma2Reader::new(&mut stream, dictionary(length), None), length)?;
            (content, (packed.len() - stream.len()) as u64)
        }
        _ => return None,
    };
    (content.len() as u64 == length && used == packed.len() as u64).then_some(content)
}

/// All that a decoder gives, if that is at most `length` bytes.
fn read(decoder: &mut dyn Read, length: u64) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    decoder.take(length + 1).read_to_end(&mut content).ok()?;
    (content.len() as u64 <= length).then_some(content)
}

/// A chunk's kind and content, the shortest of those that are tried.
fn packed(content: &[u8], thoroughness: Thoroughness) -> Vec<u8> {
    // Of numbers that hardly shrink, the highest preset makes more than a low one.
    let presets: &[u32] = match thoroughness {
        Thoroughness::Quick => &[QUICK],
        Thoroughness::Smallest => &[SMALLEST, QUICK],
    };
    let mut shortest = [&[STORED_KIND], content].concat();
    for &preset in presets {
        if let Some(packed) = compressed(content, preset)
            && packed.len() < shortest.len()
        {
            shortest = packed;
        }
    }
    shortest
}

/// A chunk's kind and content as an LZMA2 stream; `None` if that is longer than the content.
fn compressed(content: &[u8], preset: u32) -> Option<Vec<u8>> {
    let mut options = LzmaOptions::new_preset(preset).ok()?;
    options.dict_size(dictionary(content.len() as u64));
    options.position_bits(POSITION_BITS);
    let mut encoder = Stream::new_raw_encoder(Filters::new().lzma2(&options)).ok()?;
    let mut packed = Vec::with_capacity(content.len() + 1);
    packed.push(LZMA2_KIND);
    // It ends early where there is no room left: then nothing is gained.
    let status = encoder.process_vec(content, &mut packed, Action::Finish).ok()?;
    (status == Status::StreamEnd).then_some(packed)
}

/// The dictionary that suffices for a content: nothing refers to what is before it.
pub(super) fn dictionary(length: u64) -> u32 {
    u32::try_from(length.next_power_of_two()).map_or(DICTIONARY, |length| length.clamp(SMALLEST_DICTIONARY, DICTIONARY))
}

/// A serialized index, whether it is compressed by gzip or not at all.
fn plain(index: &[u8]) -> Option<Vec<u8>> {
    if index.starts_with(&[0x1f, 0x8b]) {
        read(&mut MultiGzDecoder::new(index), LONGEST_INDEX)
    } else {
        Some(index.to_vec())
    }
}

fn gzip(content: &[u8]) -> Option<Vec<u8>> {
    let mut compressor = Compressor::new(CompressionLvl::best());
    let mut bytes = vec![0; compressor.gzip_compress_bound(content.len())];
    let length = compressor.gzip_compress(content, &mut bytes).ok()?;
    bytes.truncate(length);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    // Written by R; see make.R next to them.
    const ZLIB: [&[u8]; 2] = [
        include_bytes!("../../../testdata/r/zlib.rdb"),
        include_bytes!("../../../testdata/r/zlib.rdx"),
    ];
    const TRUE: [&[u8]; 2] = [ZLIB[0], include_bytes!("../../../testdata/r/true.rdx")];
    const LZMA: [&[u8]; 2] = [
        include_bytes!("../../../testdata/r/lzma.rdb"),
        include_bytes!("../../../testdata/r/lzma.rdx"),
    ];

    fn contents([database, index]: [&[u8]; 2]) -> Vec<Vec<u8>> {
        let index = Index::parse(plain(index).unwrap()).unwrap();
        let chunks = index.chunks(database.len()).unwrap();
        let unpacked = |chunk: Chunk| super::unpacked(&database[chunk], index.compression()).unwrap();
        chunks.into_iter().map(unpacked).collect()
    }

    fn quick([database, index]: [&[u8]; 2]) -> Option<[Vec<u8>; 2]> {
        recompressed(database, index, Thoroughness::Quick, &|| false)
    }

    #[test]
    fn what_r_unserializes_is_the_same_as_in_what_r_wrote() {
        let expected = contents(ZLIB);
        assert_eq!(expected, contents(LZMA));
        for before in [ZLIB, TRUE] {
            let smaller = quick(before).unwrap();
            let smaller = smaller.each_ref().map(Vec::as_slice);
            assert_eq!(contents(smaller), expected);
            assert!(smaller[0].len() < before[0].len());
            let [index, of_r] = [smaller[1], LZMA[1]].map(|index| Index::parse(plain(index).unwrap()).unwrap());
            assert_eq!(index.compression(), of_r.compression());
            // Offsets and lengths apart, it is the index that R writes for such a database.
            let zero = |index: &Index| index.rewritten(0, &|_| Some(0..0)).unwrap();
            assert_eq!(zero(&index), zero(&of_r));
        }
    }

    #[test]
    fn what_has_the_better_compression_stays_unless_there_is_time() {
        assert_eq!(quick(LZMA), None);
        let [smaller, _] = recompressed(LZMA[0], LZMA[1], Thoroughness::Smallest, &|| false).unwrap();
        assert!(smaller.len() < LZMA[0].len());
        assert_eq!(recompressed(ZLIB[0], ZLIB[1], Thoroughness::Quick, &|| true), None);
    }

    #[test]
    fn what_does_not_shrink_is_stored() {
        let noise: Vec<u8> = (0_u32..64)
            .flat_map(|number| *blake3::hash(&number.to_le_bytes()).as_bytes())
            .collect();
        let packed = packed(&noise, Thoroughness::Quick);
        assert_eq!(packed[0], STORED_KIND);
        let length = u32::try_from(noise.len()).unwrap().to_be_bytes();
        let chunk = [&length[..], &packed].concat();
        assert_eq!(unpacked(&chunk, LZMA2).unwrap(), noise);
    }

    #[test]
    fn more_effort_makes_no_chunk_longer() {
        // Numbers about as R's `rnorm` gives them, of which preset 9e makes more than preset 3.
        let uniform = |bytes: &[u8]| bytes.iter().fold(0.0, |sum, byte| (sum + f64::from(*byte)) / 256.0);
        let numbers = (0_u32..20_000).flat_map(|number| {
            let mut random = [0; 96];
            blake3::Hasher::new()
                .update(&number.to_le_bytes())
                .finalize_xof()
                .fill(&mut random);
            let sum: f64 = random.chunks(8).map(uniform).sum();
            (sum - 6.0).to_be_bytes()
        });
        let numbers: Vec<u8> = numbers.collect();
        let [quick, smallest] = [Thoroughness::Quick, Thoroughness::Smallest].map(|much| packed(&numbers, much).len());
        assert!(smallest <= quick, "{smallest} {quick}");
    }

    #[test]
    fn what_is_not_whole_is_left_alone() {
        let [database, index] = ZLIB;
        assert_eq!(quick([&database[..database.len() - 1], index]), None);
        assert_eq!(quick([database, &index[..index.len() - 9]]), None);
        assert_eq!(quick([index, database]), None);
        let plain = plain(index).unwrap();
        assert!(quick([database, &plain]).is_some());
        for at in 0..plain.len() {
            let mut broken = plain.clone();
            broken[at] ^= 0x41;
            // It may be understood, as where only the name of a variable is another one.
            let _ = quick([database, &broken]);
            assert_eq!(quick([database, &plain[..at]]), None);
        }
        // Two variables in one chunk have one chunk afterwards; those in a half of one are not understood.
        let half = Index::parse(plain).unwrap();
        let cut = half
            .rewritten(1, &|chunk| Some(chunk.start..chunk.end - chunk.len() / 2))
            .unwrap();
        assert_eq!(quick([database, &cut]), None);
    }

    #[test]
    fn a_chunk_that_says_another_length_than_it_has_is_not_read() {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&vec![7; 1 << 20]).unwrap();
        let stream = encoder.finish().unwrap();
        for length in [0, 1 << 10, (1 << 20) + 1, u32::MAX] {
            assert_eq!(
                unpacked(&[&length.to_be_bytes()[..], &stream].concat(), super::ZLIB),
                None
            );
        }
        assert!(unpacked(&[&(1_u32 << 20).to_be_bytes()[..], &stream].concat(), super::ZLIB).is_some());
    }
}
