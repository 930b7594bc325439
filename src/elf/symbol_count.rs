//! How many dynamic symbols an object has, which no field says where there is no `DT_HASH`.

use goblin::elf::{Dynamic, dynamic};

use super::image::{ElfError, Image, add, value};

/// No library has more dynamic symbols; those of Chromium and LLVM have a tenth of it.
pub(super) const MOST_SYMBOLS: u64 = 1 << 20;

/// How many dynamic symbols there are, as far as they matter. `DT_HASH` says it; in `DT_GNU_HASH` the chain of the last bucket
/// ends with the last one.
pub(super) fn count(image: &Image<'_>, dynamic: &Dynamic) -> Result<u64, ElfError> {
    if let Some(hash) = value(dynamic, dynamic::DT_HASH) {
        return Ok(u64::from(image.u32(add(hash, 4)?)?));
    }
    let Some(hash) = value(dynamic, dynamic::DT_GNU_HASH) else {
        return Ok(0);
    };
    // nbuckets, symoffset, bloom_size, bloom_shift (u32), bloom (words), buckets, chain (u32)
    let buckets = u64::from(image.u32(hash)?);
    let first = u64::from(image.u32(add(hash, 4)?)?);
    let bloom = u64::from(image.u32(add(hash, 8)?)?) * if image.is_64_bit() { 8 } else { 4 };
    if buckets > MOST_SYMBOLS {
        return Err(ElfError("its hash table is larger than any library's".into()));
    }
    let start = add(hash, 16 + bloom)?;
    let table = image.table(start, buckets, 4)?;
    let heads = table.chunks_exact(4).filter_map(|entry| image.word(entry, 0));
    let last = u64::from(heads.max().unwrap_or(0));
    if last < first {
        // One that defines nothing has an empty table, which says nothing of how many symbols it takes from others.
        return Ok(first.max(relocated(image, dynamic)?));
    }
    let chain = add(start, buckets * 4)?;
    for number in last..MOST_SYMBOLS {
        if image.u32(add(chain, (number - first) * 4)?)? & 1 == 1 {
            return Ok(number + 1);
        }
    }
    Err(ElfError("its hash table does not end".into()))
}

/// The number after the last symbol that a relocation names.
fn relocated(image: &Image<'_>, dynamic: &Dynamic) -> Result<u64, ElfError> {
    // Elf64_Rela: offset, info, addend (u64); the symbol is the upper half of info, which comes last in a little-endian file.
    const SIZE: u64 = 24;
    let mut end = 0;
    if !image.is_64_bit() {
        return Ok(end);
    }
    for (table, length) in [
        (dynamic::DT_RELA, dynamic::DT_RELASZ),
        (dynamic::DT_JMPREL, dynamic::DT_PLTRELSZ),
    ] {
        let (Some(table), Some(length)) = (value(dynamic, table), value(dynamic, length)) else {
            continue;
        };
        let entries = image.table(table, length / SIZE, 24)?;
        for entry in entries.chunks_exact(24) {
            end = end.max(u64::from(image.word(entry, 12).unwrap_or_default()) + 1);
        }
    }
    Ok(end.min(MOST_SYMBOLS))
}
