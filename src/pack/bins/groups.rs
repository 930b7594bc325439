//! Packing without a history: fewest bins first, then fewest split groups.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;

use super::bound::lower_bound;
use super::exact::{Search, search};
use super::fill::fill;
use super::fit::{Element, FreeSpace, Placement, Scale, Size, fit_decreasing, sort_decreasing};
use super::patterns::bound_and_pack;
use super::{Capacity, GroupId, Item};

/// Steps of exact search for cutting all groups above the capacity into pieces.
const PIECES_BUDGET: u64 = 1_000_000;

/// Steps for the fewest bins without regard to groups, by each of the methods: a first exact search, filling the bins to the
/// brim, rounding the linear program, and a last exact search. A million steps take a few milliseconds.
const FIRST_SEARCH_BUDGET: u64 = 500_000;
const FILL_BUDGET: u64 = 100_000_000;
const PATTERNS_BUDGET: u64 = 1_000_000_000;
const LAST_SEARCH_BUDGET: u64 = 4_500_000;

/// Steps of exact search for keeping groups whole, in total and for one choice of groups.
const GROUPS_BUDGET: u64 = 5_000_000;
const ONE_CHOICE_BUDGET: u64 = 1_000_000;

/// How many elements may be placed in total while looking for the groups best split.
const MOST_PLACED: usize = 600_000;

/// How many groups are tried as the only one to be split.
const SINGLES: usize = 16;

/// Of how many groups all combinations are tried.
const COMBINED: usize = 6;

/// The bin of each item.
pub(super) struct Plan {
    pub bin_of: Vec<usize>,
}

impl Plan {
    /// The items of each bin that has any, ascending.
    pub fn contents(&self) -> BTreeMap<usize, Vec<usize>> {
        let mut contents: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (item, &bin) in self.bin_of.iter().enumerate() {
            contents.entry(bin).or_default().push(item);
        }
        contents
    }
}

/// The items of one group.
pub(super) struct Group {
    pub id: GroupId,
    /// Where its items are in [`Problem::members`].
    range: Range<usize>,
    /// One element, unless the group is above the capacity.
    pieces: Vec<Element>,
}

impl Group {
    /// Whether the group is above the capacity and has to be split in any case.
    pub fn is_oversized(&self) -> bool {
        self.pieces.len() > 1
    }
}

/// The input, grouped.
pub(super) struct Problem<'a> {
    items: &'a [Item],
    pub scale: Scale,
    pub lower_bound: usize,
    /// All items, group after group.
    members: Vec<usize>,
    /// In ascending order of their identifiers.
    pub groups: Vec<Group>,
}

impl<'a> Problem<'a> {
    /// Every item has to be within the capacity.
    pub fn new(items: &'a [Item], capacity: Capacity) -> Self {
        let capacity = Size {
            weight: capacity.weight,
            items: capacity.items,
        };
        let weights = || items.iter().map(|item| item.weight);
        let mut members: Vec<usize> = (0..items.len()).collect();
        members.sort_by_key(|&item| items[item].group);
        let mut problem = Self {
            items,
            scale: Scale::new(weights(), capacity),
            lower_bound: lower_bound(weights(), capacity),
            members,
            groups: Vec::new(),
        };
        let mut budget = PIECES_BUDGET;
        let mut start = 0;
        while start < items.len() {
            let id = items[problem.members[start]].group;
            let same = problem.members[start..].partition_point(|&item| items[item].group == id);
            let range = start..start + same;
            let pieces = problem.cut_into_pieces(range.clone(), &mut budget);
            problem.groups.push(Group { id, range, pieces });
            start += same;
        }
        problem
    }

    pub fn size_of(&self, item: usize) -> Size {
        Size::of_item(self.items[item].weight)
    }

    pub fn members(&self, group: &Group) -> &[usize] {
        &self.members[group.range.clone()]
    }

    /// The size of these items together; nothing if that is beyond 64 bits.
    pub fn size_of_all(&self, items: &[usize]) -> Option<Size> {
        let mut weights = items.iter().map(|&item| self.items[item].weight);
        let weight = weights.try_fold(0_u64, u64::checked_add)?;
        Some(Size {
            weight,
            items: items.len(),
        })
    }

    /// How much of a bin these items take up together, to compare with others.
    pub fn share_of(&self, items: &[usize]) -> u128 {
        self.size_of_all(items).map_or(u128::MAX, |size| self.scale.share(size))
    }

    /// The whole group if possible, otherwise as few pieces as possible, each contiguous in
    /// `members` afterwards.
    fn cut_into_pieces(&mut self, range: Range<usize>, budget: &mut u64) -> Vec<Element> {
        let whole = self.size_of_all(&self.members[range.clone()]);
        if let Some(size) = whole.filter(|size| size.fits(self.scale.capacity)) {
            return vec![Element {
                size,
                start: range.start,
                end: range.end,
            }];
        }
        let weights = self.members[range.clone()].iter().map(|&item| self.items[item].weight);
        let least = lower_bound(weights, self.scale.capacity);
        let mut grains: Vec<Element> = self.grains(range.clone()).collect();
        sort_decreasing(&mut grains, &self.scale);
        let (fit, _) = fewest_bins(&grains, self.scale, least, budget);
        let mut placed: Vec<(usize, usize)> = grains
            .iter()
            .zip(fit.bin_of)
            .map(|(grain, piece)| (piece, self.members[grain.start]))
            .collect();
        placed.sort_unstable();
        let mut pieces: Vec<Element> = Vec::with_capacity(fit.bins);
        for (position, (piece, item)) in range.zip(placed) {
            self.members[position] = item;
            let size = self.size_of(item);
            match pieces.get_mut(piece) {
                Some(element) => {
                    element.size = element.size.plus(size);
                    element.end = position + 1;
                }
                None => pieces.push(Element {
                    size,
                    start: position,
                    end: position + 1,
                }),
            }
        }
        pieces
    }

    /// An element for each single member.
    fn grains(&self, range: Range<usize>) -> impl Iterator<Item = Element> {
        range.map(|start| Element {
            size: self.size_of(self.members[start]),
            start,
            end: start + 1,
        })
    }

    fn plan(&self, elements: &[Element], bin_of: &[usize]) -> Plan {
        let mut plan = Plan {
            bin_of: vec![0; self.items.len()],
        };
        for (element, &bin) in elements.iter().zip(bin_of) {
            for &item in &self.members[element.start..element.end] {
                plan.bin_of[item] = bin;
            }
        }
        plan
    }

    /// The groups that a plan spreads over several bins.
    pub fn split_groups(&self, plan: &Plan) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(|group| {
            let mut bins = self.members(group).iter().map(|&item| plan.bin_of[item]);
            let first = bins.next();
            bins.any(|bin| Some(bin) != first)
        })
    }

    /// A packing without regard to earlier ones, its number of bins, and a number that no packing undercuts.
    pub fn pack(&self) -> (Plan, usize, usize) {
        let mut pieces: Vec<Element> = self.groups.iter().flat_map(|group| group.pieces.clone()).collect();
        sort_decreasing(&mut pieces, &self.scale);
        let whole = fit_decreasing(&pieces, self.scale, self.lower_bound);
        let whole_plan = self.plan(&pieces, &whole.bin_of);
        if whole.bins <= self.lower_bound {
            return (whole_plan, whole.bins, self.lower_bound);
        }
        if let Some(plan) = self.split_few(&pieces, self.lower_bound) {
            return (plan, self.lower_bound, self.lower_bound);
        }
        let mut grains: Vec<Element> = self.grains(0..self.members.len()).collect();
        sort_decreasing(&mut grains, &self.scale);
        let (loose, bound) = fewest_bins_by_all_methods(&grains, self.scale, self.lower_bound);
        let bins = loose.bins.min(whole.bins);
        let mut plans = Vec::new();
        if whole.bins == bins {
            plans.push(whole_plan);
        }
        if loose.bins == bins {
            plans.push(self.plan(&grains, &loose.bin_of));
        }
        if bins > self.lower_bound {
            plans.extend(self.split_few(&pieces, bins));
        }
        let fewest_splits = plans.into_iter().min_by_key(|plan| self.split_groups(plan).count());
        // At least one of the two plans has this number of bins.
        let plan = fewest_splits.unwrap_or_else(|| self.plan(&grains, &loose.bin_of));
        (plan, bins, bound)
    }

    /// A packing into the given number of bins that splits as few groups as it can find.
    ///
    /// `pieces` are the elements with no group split needlessly, in decreasing order.
    fn split_few(&self, pieces: &[Element], bins: usize) -> Option<Plan> {
        let mut budget = GROUPS_BUDGET;
        if let Some(plan) = self.search(pieces, bins, &mut budget) {
            return Some(plan);
        }
        let mut best: Option<(usize, Plan)> = None;
        let keep_better = |best: &mut Option<(usize, Plan)>, plan: Option<Plan>| {
            let Some(plan) = plan else { return };
            let splits = self.split_groups(&plan).count();
            if best.as_ref().is_none_or(|(least, _)| splits < *least) {
                *best = Some((splits, plan));
            }
        };
        let mut placed = 0;
        for loose in self.choices() {
            let splits = loose.iter().filter(|&&loose| loose).count();
            let is_settled = |best: &Option<(usize, Plan)>| best.as_ref().is_some_and(|(least, _)| *least <= splits);
            if is_settled(&best) || placed > MOST_PLACED {
                break;
            }
            placed += self.items.len();
            let mut blocks: Vec<Element> = self
                .select(&loose, false)
                .flat_map(|group| group.pieces.clone())
                .collect();
            let grains: Vec<Element> = self
                .select(&loose, true)
                .flat_map(|group| self.grains(group.range.clone()))
                .collect();
            sort_decreasing(&mut blocks, &self.scale);
            keep_better(&mut best, self.pour(&blocks, grains.clone(), bins));
            if !is_settled(&best) && !grains.is_empty() {
                blocks.extend(grains);
                sort_decreasing(&mut blocks, &self.scale);
                keep_better(&mut best, self.search(&blocks, bins, &mut budget));
            }
        }
        best.map(|(_, plan)| plan)
    }

    /// The groups whose mark is the wanted one.
    fn select(&self, loose: &[bool], wanted: bool) -> impl Iterator<Item = &Group> {
        self.groups
            .iter()
            .zip(loose)
            .filter(move |(_, loose)| **loose == wanted)
            .map(|(group, _)| group)
    }

    /// Places the blocks by best fit, and fills the gaps with the grains and with the items of
    /// blocks that did not fit.
    fn pour(&self, blocks: &[Element], mut grains: Vec<Element>, bins: usize) -> Option<Plan> {
        let mut free = FreeSpace::new(self.scale, bins, Vec::new());
        let mut elements = Vec::with_capacity(blocks.len() + grains.len());
        let mut bin_of = Vec::with_capacity(blocks.len() + grains.len());
        for &block in blocks {
            if let Some(bin) = free.take_best(block.size) {
                elements.push(block);
                bin_of.push(bin);
            } else {
                grains.extend(self.grains(block.start..block.end));
            }
        }
        sort_decreasing(&mut grains, &self.scale);
        for grain in grains {
            bin_of.push(free.take_best(grain.size)?);
            elements.push(grain);
        }
        Some(self.plan(&elements, &bin_of))
    }

    fn search(&self, elements: &[Element], bins: usize, budget: &mut u64) -> Option<Plan> {
        let allowed = ONE_CHOICE_BUDGET.min(*budget);
        let mut left = allowed;
        let result = search(elements, self.scale, bins, &mut left);
        *budget -= allowed - left;
        match result {
            Search::Found(fit) => Some(self.plan(elements, &fit.bin_of)),
            Search::Impossible | Search::Undecided => None,
        }
    }

    /// Which groups to split, as one mark for each group, by ascending number of marks.
    ///
    /// Oversized groups are always marked. Preferred are groups with much weight in small items,
    /// which fill gaps best.
    fn choices(&self) -> impl Iterator<Item = Vec<bool>> {
        let oversized: Vec<bool> = self.groups.iter().map(Group::is_oversized).collect();
        let mut ranking: Vec<usize> = (0..self.groups.len())
            .filter(|&group| !oversized[group] && self.groups[group].range.len() > 1)
            .collect();
        ranking.sort_by_cached_key(|&group| {
            let Group { range, pieces, .. } = &self.groups[group];
            let sizes = self.members[range.clone()].iter().map(|&item| self.size_of(item));
            let largest = sizes.max_by_key(|size| size.weight).unwrap_or(Size::ZERO);
            let total = pieces.iter().fold(Size::ZERO, |sum, piece| sum.plus(piece.size));
            Reverse(self.scale.share(total.minus(largest)))
        });
        let combined = ranking.len().min(COMBINED);
        let pick = |bits: usize| (0..combined).filter(move |one| bits >> one & 1 == 1);
        let mut choices: Vec<Vec<usize>> = (0..1_usize << combined)
            .map(|bits| pick(bits).map(|one| ranking[one]).collect())
            .collect();
        choices.extend(ranking.iter().take(SINGLES).skip(combined).map(|&group| vec![group]));
        let mut many = combined;
        while many < ranking.len() {
            many = (many * 2).min(ranking.len());
            choices.push(ranking[..many].to_vec());
        }
        choices.sort_by_key(Vec::len);
        choices.into_iter().map(move |choice| {
            let mut loose = oversized.clone();
            for group in choice {
                loose[group] = true;
            }
            loose
        })
    }
}

/// The fewest bins for elements in decreasing order, and a number of bins that no packing undercuts, by exact search alone.
fn fewest_bins(elements: &[Element], scale: Scale, lower_bound: usize, budget: &mut u64) -> (Placement, usize) {
    let first = fit_decreasing(elements, scale, lower_bound);
    search_below(first, elements, scale, lower_bound, budget)
}

/// The same by every method, each where the one before does not settle it.
fn fewest_bins_by_all_methods(elements: &[Element], scale: Scale, lower_bound: usize) -> (Placement, usize) {
    let (mut best, mut bound) = fewest_bins(elements, scale, lower_bound, &mut FIRST_SEARCH_BUDGET.clone());
    if best.bins <= bound {
        return (best, bound);
    }
    if let Some(full) = fill(elements, scale, bound, &mut FILL_BUDGET.clone()) {
        return (full, bound);
    }
    if let Some(rounded) = bound_and_pack(elements, scale, bound, best.bins, &mut PATTERNS_BUDGET.clone()) {
        best = rounded.placement.unwrap_or(best);
        bound = rounded.bound;
    }
    search_below(best, elements, scale, bound, &mut LAST_SEARCH_BUDGET.clone())
}

/// Searches for packings into fewer bins than the best has, down to the bound.
fn search_below(
    mut best: Placement,
    elements: &[Element],
    scale: Scale,
    bound: usize,
    budget: &mut u64,
) -> (Placement, usize) {
    while best.bins > bound {
        match search(elements, scale, best.bins - 1, budget) {
            Search::Found(better) => best = better,
            Search::Impossible => {
                let fewest = best.bins;
                return (best, fewest);
            }
            Search::Undecided => break,
        }
    }
    (best, bound)
}
