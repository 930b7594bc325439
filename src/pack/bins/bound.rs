//! How many bins a packing needs at the very least.

use super::fit::Size;

/// Up to how many items for each bin are counted.
const MOST_PARTS: u128 = 16;

/// A number of bins that no packing of single items with these weights can undercut.
///
/// The largest of three bounds: L2 of Martello and Toth, "Knapsack Problems", 1990, section 8.3,
/// one that counts items of similar weight, and the quotient of the numbers of items. Runs in
/// O(n log n).
pub(super) fn lower_bound(weights: impl Iterator<Item = u64>, capacity: Size) -> usize {
    let mut weights: Vec<u64> = weights.collect();
    weights.sort_unstable();
    let by_items = weights.len().div_ceil(capacity.items.max(1));
    by_items
        .max(bound_l2(&weights, capacity.weight))
        .max(bound_by_number(&weights, capacity.weight))
}

/// The dual feasible functions u(k) of Fekete and Schepers, "New classes of fast lower bounds for
/// bin packing problems", Mathematical Programming 91, 2001.
///
/// Items above one third of the capacity count as halves of a bin, those above one quarter as
/// thirds and so on, because no more of them share a bin.
fn bound_by_number(weights: &[u64], capacity: u64) -> usize {
    let whole = u128::from(capacity.max(1));
    let bound = |parts: u128| {
        let rounded = weights.iter().map(|&weight| {
            let stretched = u128::from(weight) * (parts + 1);
            let exact = stretched.is_multiple_of(whole);
            if exact {
                u128::from(weight) * parts
            } else {
                stretched / whole * whole
            }
        });
        rounded.sum::<u128>().div_ceil(whole * parts)
    };
    (2..=MOST_PARTS)
        .map(bound)
        .max()
        .and_then(|bound| usize::try_from(bound).ok())
        .unwrap_or(0)
}

/// L2 of weights in ascending order, none of them above the capacity.
///
/// Two items above half the capacity never share a bin. For every threshold up to half the
/// capacity, L2 therefore counts those heavy items and adds the bins needed for the light items of
/// at least the threshold that find no room next to them. Heavy items which leave less room than
/// the threshold offer none at all. Only thresholds equal to some light weight matter.
fn bound_l2(ascending: &[u64], capacity: u64) -> usize {
    let mut sums = Vec::with_capacity(ascending.len() + 1);
    let mut sum = 0_u128;
    sums.push(sum);
    for &weight in ascending {
        sum += u128::from(weight);
        sums.push(sum);
    }
    let heavy_from = ascending.partition_point(|&weight| weight <= capacity - weight.min(capacity));
    let heavy = ascending.len() - heavy_from;
    let whole = u128::from(capacity.max(1));
    let mut bound = heavy;
    for lightest in 0..heavy_from {
        let threshold = ascending[lightest];
        if lightest > 0 && ascending[lightest - 1] == threshold {
            continue;
        }
        let alone_from = ascending.partition_point(|&weight| weight <= capacity - threshold);
        let shared = (alone_from - heavy_from) as u128 * whole;
        let free = shared.saturating_sub(sums[alone_from] - sums[heavy_from]);
        let overflow = (sums[heavy_from] - sums[lightest]).saturating_sub(free);
        // Never more than one bin for each item, hence the conversion always succeeds.
        let additional = usize::try_from(overflow.div_ceil(whole)).unwrap_or(0);
        bound = bound.max(heavy + additional);
    }
    bound
}
