//! The last bytes: where a little less would save a layer, contents are compressed once more at the highest effort.

use super::PackError;
use super::bins::Packing;
use super::cache::Change;
use super::compress::{Method, is_long_object, may_zopfli_gain, shrinks};
use super::prepare::{Preparation, Ready};
use crate::manifest::Recompressed;
use crate::size::Bytes;

/// The part of a compressed content that the highest effort is expected to take off at most. On trees of R and Python it takes
/// 2.8 % off long ELF objects, 0.7 % off shorter ones, and 1 % off other contents that zopfli is tried with.
const EXPECTED: u64 = 30;

/// Of how many pieces, by their length, what can be compressed again is worked on one at a time.
const ROUNDS: u64 = 8;

/// What a byte takes of one processor, in nanoseconds: of long ELF objects, libdeflate's level 6 took 9, and all of its levels at
/// the highest effort 170; of other contents that shrink, its level 10 took 61, and zopfli 1,190 of those that it is tried
/// with. The first pass is reckoned short, as some contents hardly shrink.
const FIRST_PASS: u64 = 60;
const FIRST_PASS_LONG: u64 = 9;
const AGAIN: u64 = 1200;
const AGAIN_LONG: u64 = 170;
/// What is waited for whatever the first pass took, in nanoseconds of one processor.
const ALWAYS: u64 = 2_000_000_000;

/// Finds a packing for weights.
pub(super) type Pack<'a> = &'a dyn Fn(&[u64]) -> Result<Packing, PackError>;

/// Makes entries fit that are larger than a zip may be by so little that it can be made good.
pub(super) fn fit_alone(
    preparation: &Preparation<'_>,
    ready: &mut [Ready],
    capacity: u64,
) -> Result<Vec<Recompressed>, PackError> {
    let least = |ready: &Ready| ready.weight() - expected_gain(preparation, ready);
    let hopeful = |ready: &Ready| ready.weight() > capacity && least(ready) <= capacity;
    let chosen: Vec<usize> = (0..ready.len()).filter(|&index| hopeful(&ready[index])).collect();
    let chosen = affordable(preparation, ready, &chosen);
    recompress(preparation, ready, &chosen)
}

/// Compresses entries again, the largest first and no more than it takes, if that leads to fewer layers. If it does not,
/// everything stays as it was. Nothing is begun unless what can be taken off in as much time as the first pass took may suffice.
pub(super) fn save_a_layer(
    preparation: &Preparation<'_>,
    ready: &mut Vec<Ready>,
    packing: Packing,
    pack: Pack<'_>,
) -> Result<(Packing, Vec<Recompressed>), PackError> {
    let mut candidates: Vec<usize> = (0..ready.len())
        .filter(|&index| {
            expected_gain(preparation, &ready[index]) > 0 && !preparation.at_max.contains(&ready[index].path)
        })
        .collect();
    candidates.sort_by_key(|&index| (std::cmp::Reverse(ready[index].entry.compressed), index));
    let candidates = affordable(preparation, ready, &candidates);
    if packing.bins.len() < 2 || candidates.is_empty() {
        return Ok((packing, Vec::new()));
    }
    let lengths: Vec<u64> = ready.iter().map(|ready| ready.entry.compressed.into()).collect();
    let piece = candidates.iter().map(|&index| lengths[index]).sum::<u64>() / ROUNDS;
    let mut smaller = ready.clone();
    let mut recompressed = Vec::new();
    let mut left = candidates.as_slice();
    while !left.is_empty() {
        let mut hoped: Vec<u64> = smaller.iter().map(Ready::weight).collect();
        for &index in left {
            hoped[index] -= expected_gain(preparation, &smaller[index]);
        }
        if pack(&hoped)?.bins.len() >= packing.bins.len() {
            break;
        }
        let mut length = 0;
        let is_more = |index: &usize| {
            length += lengths[*index];
            length >= piece
        };
        let count = left.iter().position(is_more).map_or(left.len(), |last| last + 1);
        let (now, later) = left.split_at(count);
        left = later;
        recompressed.extend(recompress(preparation, &mut smaller, now)?);
        let weights: Vec<u64> = smaller.iter().map(Ready::weight).collect();
        let found = pack(&weights)?;
        if found.bins.len() < packing.bins.len() {
            *ready = smaller;
            return Ok((found, recompressed));
        }
    }
    Ok((packing, Vec::new()))
}

/// Of these entries, in their order, those that take no longer at the highest effort than all entries took before.
///
/// Both are reckoned from lengths: what is in the layers does not depend on the speed of a machine.
fn affordable(preparation: &Preparation<'_>, ready: &[Ready], indices: &[usize]) -> Vec<usize> {
    let time = |ready: &Ready, [of_long, of_others]: [u64; 2]| {
        let length = u64::from(ready.entry.uncompressed);
        length
            * if is_long(preparation, ready) {
                of_long
            } else {
                of_others
            }
    };
    let first_pass = ready.iter().map(|ready| time(ready, [FIRST_PASS_LONG, FIRST_PASS]));
    let mut left = first_pass.sum::<u64>().max(ALWAYS);
    let mut affordable = Vec::new();
    for &index in indices {
        let time = time(&ready[index], [AGAIN_LONG, AGAIN]);
        if time <= left {
            left -= time;
            affordable.push(index);
        }
    }
    affordable
}

/// Whether it is an ELF object that the first pass spent less on.
fn is_long(preparation: &Preparation<'_>, ready: &Ready) -> bool {
    is_long_object(is_object(preparation, ready), ready.entry.uncompressed.into())
}

fn is_object(preparation: &Preparation<'_>, ready: &Ready) -> bool {
    let file = preparation.plan.kept.file(&ready.path);
    file.is_some_and(|file| file.content.object().is_some())
}

/// What the highest effort may take off an entry.
fn expected_gain(preparation: &Preparation<'_>, ready: &Ready) -> u64 {
    let entry = &ready.entry;
    // Sets of files are recompressed together, and not one of them alone.
    if matches!(ready.change, Change::Recompressed { .. }) || entry.method != Method::Deflated {
        return 0;
    }
    let length = entry.uncompressed.into();
    let is_object = is_object(preparation, ready);
    let may_gain = is_long_object(is_object, length) || may_zopfli_gain(is_object, length);
    if may_gain && shrinks(length, entry.compressed.into()) {
        u64::from(entry.compressed) / EXPECTED
    } else {
        0
    }
}

fn recompress(
    preparation: &Preparation<'_>,
    ready: &mut [Ready],
    indices: &[usize],
) -> Result<Vec<Recompressed>, PackError> {
    let mut indices = indices.to_vec();
    // The results are sorted by path, as the entries are.
    indices.sort_unstable();
    let chosen: Vec<&Ready> = indices.iter().map(|&index| &ready[index]).collect();
    let again = preparation.again_at_max(&chosen)?;
    let mut recompressed = Vec::new();
    for (index, again) in indices.into_iter().zip(again) {
        let before = std::mem::replace(&mut ready[index], again);
        recompressed.push(Recompressed {
            path: before.path.to_string(),
            before_bytes: Bytes(before.entry.compressed.into()),
            after_bytes: Bytes(ready[index].entry.compressed.into()),
        });
    }
    Ok(recompressed)
}
