use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const AMPLE: usize = 65_535;

fn capacity(weight: u64, items: usize) -> Capacity {
    Capacity { weight, items }
}

/// Items from pairs of group and weight.
fn items(pairs: &[(u32, u64)]) -> Vec<Item> {
    pairs
        .iter()
        .map(|&(group, weight)| Item {
            group: GroupId(group),
            weight,
            reserved: None,
        })
        .collect()
}

/// Items that have a group of their own each.
fn single_items(weights: &[u64]) -> Vec<Item> {
    (0..)
        .zip(weights)
        .map(|(group, &weight)| Item {
            group: GroupId(group),
            weight,
            reserved: None,
        })
        .collect()
}

fn packed(items: &[Item], capacity: Capacity, previous: &[Option<usize>]) -> Packing {
    pack(items, capacity, previous).unwrap_or_else(|error| unreachable!("{error}"))
}

/// The bin of each item.
fn places(packing: &Packing, items: usize) -> Vec<Option<usize>> {
    let mut places = vec![None; items];
    for (bin, items) in packing.bins.iter().enumerate() {
        for &item in items {
            places[item] = Some(bin);
        }
    }
    places
}

/// The fewest bins for elements of weight and number of items, by trying everything.
fn fewest(elements: &[(u128, usize)], capacity: Capacity) -> usize {
    fn place(left: &[(u128, usize)], loads: &mut Vec<(u128, usize)>, capacity: Capacity, best: &mut usize) {
        let Some((&(weight, items), left)) = left.split_first() else {
            *best = loads.len();
            return;
        };
        for bin in 0..=loads.len() {
            if loads.len() >= *best || bin == loads.len() && bin + 1 >= *best {
                return;
            }
            if bin == loads.len() {
                loads.push((0, 0));
            }
            let before = loads[bin];
            let after = (before.0 + weight, before.1 + items);
            if after.0 <= u128::from(capacity.weight) && after.1 <= capacity.items {
                loads[bin] = after;
                place(left, loads, capacity, best);
                loads[bin] = before;
            }
            if before == (0, 0) {
                loads.pop();
                return;
            }
        }
    }
    let mut best = elements.len() + 1;
    place(elements, &mut Vec::new(), capacity, &mut best);
    best
}

/// The number of bins of first-fit decreasing on single items.
fn first_fit_decreasing(items: &[Item], capacity: Capacity) -> usize {
    let mut weights: Vec<u64> = items.iter().map(|item| item.weight).collect();
    weights.sort_unstable_by_key(|&weight| Reverse(weight));
    let mut free: Vec<(u64, usize)> = Vec::new();
    for weight in weights {
        let bin = free.iter_mut().find(|free| weight <= free.0 && free.1 > 0);
        match bin {
            Some(free) => *free = (free.0 - weight, free.1 - 1),
            None => free.push((capacity.weight - weight, capacity.items - 1)),
        }
    }
    free.len()
}

fn elements(items: &[Item]) -> Vec<(u128, usize)> {
    items.iter().map(|item| (u128::from(item.weight), 1)).collect()
}

fn group_totals(items: &[Item]) -> BTreeMap<GroupId, (u128, usize)> {
    let mut totals = BTreeMap::new();
    for item in items {
        let total: &mut (u128, usize) = totals.entry(item.group).or_default();
        *total = (total.0 + u128::from(item.weight), total.1 + 1);
    }
    totals
}

/// An element for each item, in decreasing order.
fn decreasing(items: &[Item]) -> Vec<fit::Element> {
    let mut weights: Vec<u64> = items.iter().map(|item| item.weight).collect();
    weights.sort_unstable_by_key(|&weight| Reverse(weight));
    let element = |weight| fit::Element {
        size: fit::Size::of_item(weight),
        start: 0,
        end: 0,
    };
    weights.into_iter().map(element).collect()
}

fn scale(items: &[Item], capacity: Capacity) -> fit::Scale {
    let capacity = fit::Size {
        weight: capacity.weight,
        items: capacity.items,
    };
    fit::Scale::new(items.iter().map(|item| item.weight), capacity)
}

/// Every element has a bin, and no bin is over capacity.
fn check_placement(
    elements: &[fit::Element],
    capacity: Capacity,
    placement: &fit::Placement,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(placement.bin_of.len(), elements.len());
    let mut loads = vec![(0_u64, 0_usize); placement.bins];
    for (element, &bin) in elements.iter().zip(&placement.bin_of) {
        loads[bin] = (loads[bin].0 + element.size.weight, loads[bin].1 + 1);
    }
    prop_assert!(
        loads
            .iter()
            .all(|load| load.0 <= capacity.weight && load.1 <= capacity.items)
    );
    Ok(())
}

/// The bound L2 as Martello and Toth write it down ("Knapsack Problems", 1990, section 8.3): for every threshold up to half
/// the capacity, the items above its complement, those above half, and what of the others finds no room next to these.
fn bound_l2(items: &[Item], capacity: u64) -> usize {
    let weights = || items.iter().map(|item| item.weight);
    let bound = |threshold: u64| {
        let alone = weights().filter(|&weight| weight > capacity - threshold).count();
        let heavy: Vec<u64> = weights()
            .filter(|&weight| 2 * weight > capacity && weight <= capacity - threshold)
            .collect();
        let light: u64 = weights()
            .filter(|&weight| 2 * weight <= capacity && weight >= threshold)
            .sum();
        let free = heavy.len() as u64 * capacity - heavy.iter().sum::<u64>();
        let more = light.saturating_sub(free).div_ceil(capacity);
        alone + heavy.len() + usize::try_from(more).unwrap()
    };
    (0..=capacity / 2).map(bound).max().unwrap_or(0)
}

/// What holds for every packing, whatever the history.
fn check(items: &[Item], capacity: Capacity, packing: &Packing) -> Result<(), TestCaseError> {
    let mut seen = vec![false; items.len()];
    let mut bins_of_group: BTreeMap<GroupId, BTreeSet<usize>> = BTreeMap::new();
    for (number, bin) in packing.bins.iter().enumerate() {
        prop_assert!(!bin.is_empty());
        prop_assert!(bin.is_sorted_by(|one, other| one < other));
        prop_assert!(bin.len() <= capacity.items);
        let weight: u128 = bin.iter().map(|&item| u128::from(items[item].weight)).sum();
        prop_assert!(weight <= u128::from(capacity.weight));
        for &item in bin {
            prop_assert!(!seen[item]);
            seen[item] = true;
            bins_of_group.entry(items[item].group).or_default().insert(number);
        }
    }
    prop_assert!(seen.iter().all(|&seen| seen));
    prop_assert!(packing.lower_bound <= packing.bins.len());
    prop_assert!(packing.bins.len() <= first_fit_decreasing(items, capacity));
    let total: u128 = items.iter().map(|item| u128::from(item.weight)).sum();
    prop_assert!(packing.lower_bound as u128 >= total.div_ceil(u128::from(capacity.weight.max(1))));
    prop_assert!(packing.lower_bound >= items.len().div_ceil(capacity.items));
    bins_of_group.retain(|_, bins| bins.len() > 1);
    prop_assert_eq!(&packing.split_groups, &bins_of_group.into_keys().collect::<Vec<_>>());
    Ok(())
}

/// Up to `most` items in groups, and a capacity that every one of them is within.
fn instances(most: usize, groups: u32) -> impl Strategy<Value = (Vec<Item>, Capacity)> {
    let weight = prop_oneof![0..=100_u64, 20..=60_u64, 34..=50_u64];
    let limit = prop_oneof![1..=4_usize, 3..=40_usize, Just(AMPLE)];
    (vec((0..groups, weight), 0..=most), 100..=130_u64, limit)
        .prop_map(|(pairs, weight, limit)| (items(&pairs), capacity(weight, limit)))
}

/// A previous bin for each of the items, or none.
fn histories(most: usize) -> impl Strategy<Value = Vec<Option<usize>>> {
    vec(
        proptest::option::of(prop_oneof![0..6_usize, Just(usize::MAX)]),
        0..=most,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn few_items_are_packed_optimally(
        (items, capacity) in instances(10, 6),
        previous in histories(12),
    ) {
        let fewest_bins = fewest(&elements(&items), capacity);
        for previous in [&[][..], &previous] {
            let packing = packed(&items, capacity, previous);
            check(&items, capacity, &packing)?;
            prop_assert_eq!(packing.bins.len(), fewest_bins);
            prop_assert!(packing.is_optimal());
        }
    }

    #[test]
    fn filling_finds_every_packing_of_few_items((items, capacity) in instances(10, 1), bins in 1..5_usize) {
        let elements = decreasing(&items);
        let filled = fill::fill(&elements, scale(&items, capacity), bins, &mut 100_000_000);
        if let Some(placement) = &filled {
            check_placement(&elements, capacity, placement)?;
            prop_assert!(placement.bins <= bins);
        }
        if items.len() <= capacity.items {
            let weights: Vec<_> = self::elements(&items);
            prop_assert_eq!(filled.is_some(), fewest(&weights, capacity) <= bins);
        }
    }

    #[test]
    fn the_linear_program_bounds_and_packs((items, capacity) in instances(10, 1)) {
        let elements = decreasing(&items);
        let fewest = fewest(&self::elements(&items), capacity);
        let known = fewest + 1;
        let mut budget = 100_000_000;
        let rounded = patterns::bound_and_pack(&elements, scale(&items, capacity), 1, known, &mut budget);
        let Some(rounded) = rounded else { return Ok(()) };
        prop_assert!(rounded.bound <= fewest.max(1));
        if let Some(placement) = rounded.placement {
            check_placement(&elements, capacity, &placement)?;
            prop_assert_eq!(placement.bins, fewest);
        }
    }

    #[test]
    fn few_groups_are_split_as_little_as_possible((items, capacity) in instances(10, 6)) {
        let packing = packed(&items, capacity, &[]);
        let totals = group_totals(&items);
        let fewest_splits = (0..1_u32 << 6)
            .filter(|split| {
                let is_split = |group: GroupId| split >> group.0 & 1 == 1;
                let loose = items.iter().filter(|item| is_split(item.group));
                let whole = totals.iter().filter(|(group, _)| !is_split(**group));
                let mut elements: Vec<(u128, usize)> = whole.map(|(_, total)| *total).collect();
                elements.extend(loose.map(|item| (u128::from(item.weight), 1)));
                let fits = |&(weight, items): &(u128, usize)| {
                    weight <= u128::from(capacity.weight) && items <= capacity.items
                };
                elements.iter().all(fits) && fewest(&elements, capacity) <= packing.bins.len()
            })
            .map(|split| split.count_ones() as usize)
            .min();
        prop_assert_eq!(Some(packing.split_groups.len()), fewest_splits);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_packing_is_valid((items, capacity) in instances(80, 20), previous in histories(80)) {
        for previous in [&[][..], &previous] {
            let packing = packed(&items, capacity, previous);
            check(&items, capacity, &packing)?;
        }
    }

    #[test]
    fn a_packing_repeats_itself((items, capacity) in instances(60, 20)) {
        let first = packed(&items, capacity, &[]);
        prop_assert_eq!(&first, &packed(&items, capacity, &[]));
        let second = packed(&items, capacity, &places(&first, items.len()));
        prop_assert_eq!(first, second);
    }

    #[test]
    fn an_adapted_packing_repeats_itself(
        (items, capacity) in instances(40, 10),
        previous in histories(40),
    ) {
        let first = packed(&items, capacity, &previous);
        let second = packed(&items, capacity, &places(&first, items.len()));
        prop_assert_eq!(first, second);
    }

    #[test]
    fn a_weight_that_grows_within_the_slack_moves_nothing(
        (before, capacity) in instances(60, 20),
        changed in 0..60_usize,
        growth in 1..20_u64,
    ) {
        let first = packed(&before, capacity, &[]);
        let Some(bin) = first.bins.iter().find(|bin| bin.contains(&changed)) else {
            return Ok(());
        };
        let load: u64 = bin.iter().map(|&item| before[item].weight).sum();
        let mut after = before.clone();
        after[changed].weight += growth.min(capacity.weight - load);
        let second = packed(&after, capacity, &places(&first, before.len()));
        check(&after, capacity, &second)?;
        if first.bins.len() == first.lower_bound {
            prop_assert_eq!(first.bins, second.bins);
        }
    }

    #[test]
    fn removing_items_moves_no_others_unless_that_saves_a_bin(
        (items, capacity) in instances(30, 8),
        removed in vec(any::<bool>(), 30),
    ) {
        let first = packed(&items, capacity, &[]);
        let places = places(&first, items.len());
        let stays = |&item: &usize| !removed[item];
        let (kept, homes): (Vec<Item>, Vec<Option<usize>>) =
            (0..items.len()).filter(stays).map(|item| (items[item], places[item])).unzip();
        let used: BTreeSet<usize> = homes.iter().copied().flatten().collect();
        let second = packed(&kept, capacity, &homes);
        check(&kept, capacity, &second)?;
        prop_assert!(second.bins.len() <= used.len());
        if second.bins.len() == used.len() {
            let expected = used.iter().map(|&bin| {
                (0..kept.len()).filter(|&item| homes[item] == Some(bin)).collect::<Vec<_>>()
            });
            prop_assert_eq!(second.bins, expected.collect::<Vec<_>>());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn thousands_of_items_are_packed_validly((items, capacity) in instances(4000, 400)) {
        let packing = packed(&items, capacity, &[]);
        check(&items, capacity, &packing)?;
        let least = bound_l2(&items, capacity.weight);
        prop_assert!(packing.lower_bound >= least);
        prop_assert!(packing.bins.len() >= least);
    }
}

#[test]
fn nothing_needs_no_bin() {
    let packing = packed(&[], capacity(0, 0), &[]);
    assert_eq!(packing, Packing::default());
    assert!(packing.is_optimal());
}

#[test]
fn too_large_items_are_named() {
    let capacity = capacity(10, 5);
    let error = pack(&single_items(&[3, 11, 12]), capacity, &[]);
    assert_eq!(
        error,
        Err(TooLarge::Item {
            index: 1,
            weight: 11,
            capacity
        })
    );
    let message = "item 1 of weight 11 exceeds the capacity of a bin, weight 10 and 5 items";
    assert_eq!(error.map_err(|error| error.to_string()), Err(message.to_owned()));
    let none = Capacity { items: 0, ..capacity };
    let error = pack(&single_items(&[3]), none, &[]);
    assert_eq!(
        error,
        Err(TooLarge::Item {
            index: 0,
            weight: 3,
            capacity: none
        })
    );
}

#[test]
fn pairs_that_fill_a_bin_find_each_other() {
    let packing = packed(&single_items(&[4, 4, 4, 6, 6, 6]), capacity(10, AMPLE), &[]);
    assert_eq!(packing.bins, [[0, 3], [1, 4], [2, 5]]);
    assert_eq!((packing.lower_bound, packing.is_optimal()), (3, true));
}

#[test]
fn the_search_beats_both_heuristics() {
    // First fit and best fit decreasing join 44 with 30, then nothing else fits well.
    let weights = [44, 24, 24, 22, 21, 17, 8, 8, 6, 6];
    let packing = packed(&single_items(&weights), capacity(61, AMPLE), &[]);
    assert_eq!(
        packing.bins.len(),
        fewest(&elements(&single_items(&weights)), capacity(61, AMPLE))
    );
    let packing = packed(&single_items(&[34, 33, 33, 26, 26, 24, 24]), capacity(100, AMPLE), &[]);
    assert_eq!((packing.bins.len(), packing.is_optimal()), (2, true));
}

#[test]
fn the_lower_bound_counts_heavy_items() {
    let bound = |weights: &[u64], capacity| {
        bound::lower_bound(
            weights.iter().copied(),
            fit::Size {
                weight: capacity,
                items: AMPLE,
            },
        )
    };
    assert_eq!(bound(&[6, 6, 6], 10), 3);
    assert_eq!(bound(&[5, 5, 5], 10), 2);
    // 7 and 7 leave no room for 4, two of which share a bin.
    assert_eq!(bound(&[7, 7, 4, 4, 4], 10), 4);
    assert_eq!(bound(&[u64::MAX; 3], u64::MAX), 3);
    assert_eq!(bound(&[0, 0], 0), 1);
    assert_eq!(bound(&[], 0), 0);
}

#[test]
fn the_linear_program_proves_more_than_counting() {
    // No three of them share a bin, but in weight they come to less than two.
    let items = single_items(&[4, 4, 4, 4, 3]);
    let capacity = capacity(10, AMPLE);
    let scale = scale(&items, capacity);
    assert_eq!(bound::lower_bound([4, 4, 4, 4, 3].into_iter(), scale.capacity), 2);
    let rounded = patterns::bound_and_pack(&decreasing(&items), scale, 2, 5, &mut 10_000_000);
    let rounded = rounded.map(|rounded| (rounded.bound, rounded.placement.map(|placement| placement.bins)));
    assert_eq!(rounded, Some((3, Some(3))));
}

#[test]
fn without_steps_nothing_is_found() {
    let items = single_items(&[6, 6, 4, 4]);
    let capacity = capacity(10, AMPLE);
    let elements = decreasing(&items);
    assert!(fill::fill(&elements, scale(&items, capacity), 2, &mut 0).is_none());
    let rounded = patterns::bound_and_pack(&elements, scale(&items, capacity), 2, 3, &mut 0);
    assert!(rounded.is_some_and(|rounded| rounded.bound == 2 && rounded.placement.is_none()));
}

#[test]
fn the_number_of_items_limits_a_bin() {
    let packing = packed(&single_items(&[0; 7]), capacity(0, 3), &[]);
    assert_eq!(
        (packing.bins.len(), packing.lower_bound, packing.is_optimal()),
        (3, 3, true)
    );
}

#[test]
fn sums_beyond_64_bits_do_not_overflow() {
    let items = items(&[(0, u64::MAX), (0, u64::MAX), (1, u64::MAX), (1, 0), (1, 1)]);
    let packing = packed(&items, capacity(u64::MAX, usize::MAX), &[]);
    assert_eq!((packing.bins.len(), packing.is_optimal()), (4, true));
    let history = packed(&items, capacity(u64::MAX, usize::MAX), &[Some(0); 5]);
    assert_eq!(history.bins.len(), 4);
}

#[test]
fn only_the_group_that_has_to_be_is_split() {
    // Three groups of 6 into two bins of 10.
    let items = items(&[(0, 3), (0, 3), (1, 2), (1, 2), (1, 2), (2, 3), (2, 3)]);
    let packing = packed(&items, capacity(10, AMPLE), &[]);
    assert_eq!((packing.bins.len(), packing.split_groups.len()), (2, 1));
}

#[test]
fn a_group_above_the_capacity_makes_room_for_others() {
    let items = items(&[(0, 6), (0, 6), (0, 6), (1, 2), (1, 2), (2, 4)]);
    let packing = packed(&items, capacity(10, AMPLE), &[]);
    assert_eq!((packing.bins.len(), packing.split_groups), (3, vec![GroupId(0)]));
}

#[test]
fn bins_are_ordered_by_weight_then_by_item() {
    let packing = packed(&single_items(&[7, 9, 7, 8]), capacity(10, AMPLE), &[]);
    assert_eq!(packing.bins, [[1], [3], [0], [2]]);
}

#[test]
fn a_small_change_of_weight_moves_nothing() {
    let before = items(&[(0, 5), (0, 3), (1, 4), (1, 4), (2, 7)]);
    let first = packed(&before, capacity(10, AMPLE), &[]);
    let homes = places(&first, before.len());
    for changed in 0..before.len() {
        for weight in [before[changed].weight - 1, before[changed].weight + 1] {
            let mut after = before.clone();
            after[changed].weight = weight;
            assert_eq!(packed(&after, capacity(10, AMPLE), &homes).bins, first.bins);
        }
    }
}

#[test]
fn a_new_item_joins_its_group() {
    let items = items(&[(0, 4), (1, 6), (2, 5), (0, 3), (3, 2), (1, 2)]);
    let previous = [Some(1), Some(0), Some(2)];
    let packing = packed(&items, capacity(10, AMPLE), &previous);
    assert_eq!(
        packing.bins,
        [vec![1, 5, 4], vec![0, 3], vec![2]].map(|mut bin| {
            bin.sort_unstable();
            bin
        })
    );
}

#[test]
fn a_new_item_moves_a_smaller_group_rather_than_split_its_own() {
    let items = items(&[(0, 7), (1, 2), (2, 7), (0, 3)]);
    let packing = packed(&items, capacity(10, AMPLE), &[Some(0), Some(0), Some(1)]);
    assert_eq!(packing.bins, [[0, 3], [1, 2]]);
}

#[test]
fn a_group_stays_split_as_before() {
    let items = items(&[(0, 4), (0, 4), (1, 3), (1, 3)]);
    let previous = [Some(0), Some(1), Some(0), Some(1)];
    let packing = packed(&items, capacity(10, AMPLE), &previous);
    assert_eq!(packing.bins, [[0, 2], [1, 3]]);
    assert_eq!(packing.split_groups, [GroupId(0), GroupId(1)]);
}

#[test]
fn history_with_too_many_bins_is_given_up() {
    let items = single_items(&[4, 4, 6, 6]);
    let packing = packed(&items, capacity(10, AMPLE), &[Some(0), Some(1), Some(2), Some(3)]);
    assert_eq!(packing.bins.len(), 2);
    // Only the items of the emptiest bin move.
    let items = single_items(&[5, 6, 7, 2]);
    let packing = packed(&items, capacity(10, AMPLE), &[Some(0), Some(1), Some(2), Some(3)]);
    assert_eq!(packing.bins, [vec![0], vec![1], vec![2, 3]]);
}

#[test]
fn reserved_bins_hold_their_items_alone() {
    let mut items = single_items(&[4, 3, 4, 6, 2]);
    items[1].reserved = Some(7);
    items[4].reserved = Some(2);
    // What was in a bin of the others before stays there.
    for previous in [&[][..], &[Some(0), Some(0), Some(0), Some(1), Some(0)]] {
        let packing = packed(&items, capacity(10, AMPLE), previous);
        assert_eq!(packing.reserved, [2, 7]);
        assert_eq!(packing.bins[..2], [[4], [1]]);
        assert_eq!((packing.bins.len(), packing.lower_bound), (4, 4));
        assert!(packing.bins[2..].iter().flatten().all(|item| [0, 2, 3].contains(item)));
    }
    items[0].reserved = Some(7);
    items[2].reserved = Some(7);
    assert_eq!(pack(&items, capacity(10, AMPLE), &[]), Err(TooLarge::Reserved(7)));
    assert_eq!(pack(&items, capacity(11, 2), &[]), Err(TooLarge::Reserved(7)));
}

#[test]
fn emptied_bins_close_up_and_new_bins_fill_gaps() {
    let capacity = capacity(10, AMPLE);
    let packing = packed(&single_items(&[9, 8]), capacity, &[Some(usize::MAX), Some(3)]);
    assert_eq!(packing.bins, [[1], [0]]);
    let packing = packed(&single_items(&[9, 8, 7]), capacity, &[Some(0), Some(2)]);
    assert_eq!(packing.bins, [[0], [2], [1]]);
}
