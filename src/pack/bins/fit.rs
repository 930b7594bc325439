//! Sizes, and the two classic heuristics: best fit and first fit.

use std::cmp::Reverse;
use std::collections::BTreeSet;

/// How many bins best fit inspects for one element before it opens another one.
///
/// Only matters when the second dimension rules out the fullest bins; keeps the time bounded.
const PROBES: usize = 64;

/// How many tree nodes first fit visits for one element before it gives up; see [`PROBES`].
const VISITS: usize = 1024;

/// What an element takes up, or what a bin has free: weight and number of items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub weight: u64,
    pub items: usize,
}

impl Size {
    pub const ZERO: Self = Self { weight: 0, items: 0 };

    pub fn of_item(weight: u64) -> Self {
        Self { weight, items: 1 }
    }

    pub fn fits(self, free: Self) -> bool {
        self.weight <= free.weight && self.items <= free.items
    }

    pub fn plus(self, other: Self) -> Self {
        Self {
            weight: self.weight.saturating_add(other.weight),
            items: self.items.saturating_add(other.items),
        }
    }

    pub fn minus(self, other: Self) -> Self {
        Self {
            weight: self.weight.saturating_sub(other.weight),
            items: self.items.saturating_sub(other.items),
        }
    }
}

/// The size of a bin, and how to compare sizes of two dimensions with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub capacity: Size,
    items_are_scarcer: bool,
}

impl Scale {
    pub fn new(weights: impl Iterator<Item = u64>, capacity: Size) -> Self {
        let mut weight = 0_u128;
        let mut items = 0_u128;
        for one in weights {
            weight += u128::from(one);
            items += 1;
        }
        let by_weight = weight.saturating_mul(capacity.items as u128);
        let by_items = items.saturating_mul(u128::from(capacity.weight));
        Self {
            capacity,
            items_are_scarcer: by_items > by_weight,
        }
    }

    /// The part of a bin that this size takes up in its larger dimension, as a multiple of
    /// 1 / (capacity in weight * capacity in items).
    pub fn share(&self, size: Size) -> u128 {
        let by_weight = u128::from(size.weight) * self.capacity.items as u128;
        by_weight.max(size.items as u128 * u128::from(self.capacity.weight))
    }

    /// The size in the dimension which the input as a whole exhausts first.
    fn scarce(&self, size: Size) -> u64 {
        if self.items_are_scarcer {
            size.items as u64
        } else {
            size.weight
        }
    }
}

/// Something to be placed in one bin: the items at these positions of the problem's members.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element {
    pub size: Size,
    pub start: usize,
    pub end: usize,
}

/// Orders elements from large to small; for single items that is by descending weight.
pub(super) fn sort_decreasing(elements: &mut [Element], scale: &Scale) {
    elements.sort_unstable_by_key(|element| {
        let size = element.size;
        (Reverse((scale.share(size), size.weight, size.items)), element.start)
    });
}

/// The bin of each element, and the number of bins.
pub(super) struct Placement {
    pub bin_of: Vec<usize>,
    pub bins: usize,
}

impl From<Vec<usize>> for Placement {
    fn from(bin_of: Vec<usize>) -> Self {
        let bins = bin_of.iter().max().map_or(0, |last| last + 1);
        Self { bin_of, bins }
    }
}

/// The better one of best fit and first fit for elements in decreasing order.
///
/// First fit is left out when best fit already needs no more bins than `enough`.
pub(super) fn fit_decreasing(elements: &[Element], scale: Scale, enough: usize) -> Placement {
    let mut free = FreeSpace::new(scale, elements.len(), Vec::new());
    // One bin for each element is always allowed, so that nothing is left out here.
    let best = Placement::from(
        elements
            .iter()
            .filter_map(|one| free.take_best(one.size))
            .collect::<Vec<_>>(),
    );
    if best.bins <= enough {
        return best;
    }
    first_fit(elements, scale.capacity, best.bins - 1).map_or(best, Placement::from)
}

/// The free space of bins, for best fit.
pub(super) struct FreeSpace {
    scale: Scale,
    limit: usize,
    free: Vec<Size>,
    /// Bins that can take at least one more item, by their free space in the scarce dimension.
    by_space: BTreeSet<(u64, usize)>,
}

impl FreeSpace {
    /// Bins with this free space, to which others are added until there are `limit`.
    pub fn new(scale: Scale, limit: usize, free: Vec<Size>) -> Self {
        let usable = free.iter().enumerate().filter(|(_, free)| free.items > 0);
        let by_space = usable.map(|(bin, &free)| (scale.scarce(free), bin)).collect();
        Self {
            scale,
            limit,
            free,
            by_space,
        }
    }

    /// Takes the space in the fullest bin that has enough, or else in a new bin.
    pub fn take_best(&mut self, size: Size) -> Option<usize> {
        let from = (self.scale.scarce(size), 0);
        let mut fuller = self.by_space.range(from..).take(PROBES).map(|&(_, bin)| bin);
        let bin = match fuller.find(|&bin| size.fits(self.free[bin])) {
            Some(bin) => bin,
            None if self.free.len() < self.limit => {
                self.free.push(self.scale.capacity);
                self.free.len() - 1
            }
            None => return None,
        };
        self.take(bin, size).then_some(bin)
    }

    /// Takes the space in this bin, if it has enough.
    pub fn take(&mut self, bin: usize, size: Size) -> bool {
        let before = self.free[bin];
        if !size.fits(before) {
            return false;
        }
        let after = before.minus(size);
        self.free[bin] = after;
        self.by_space.remove(&(self.scale.scarce(before), bin));
        if after.items > 0 {
            self.by_space.insert((self.scale.scarce(after), bin));
        }
        true
    }
}

/// Places each element in the first bin with enough space; nothing when `limit` bins do not do.
fn first_fit(elements: &[Element], capacity: Size, limit: usize) -> Option<Vec<usize>> {
    // A binary tree over the bins in heap order. Each node holds the maximum of its leaves.
    let leaves = limit.next_power_of_two();
    let mut tree = vec![Size::ZERO; 2 * leaves];
    tree[leaves..leaves + limit].fill(capacity);
    for node in (1..leaves).rev() {
        tree[node] = larger(tree[2 * node], tree[2 * node + 1]);
    }
    let place = |element: &Element| {
        let mut node = first_leaf(&tree, 1, element.size, &mut VISITS.clone())?;
        let bin = node - leaves;
        let free = tree[node].minus(element.size);
        // A bin without room for another item has no use for its weight. With this, the way down
        // to a single item's bin never has to turn back.
        tree[node] = if free.items == 0 { Size::ZERO } else { free };
        while node > 1 {
            node /= 2;
            tree[node] = larger(tree[2 * node], tree[2 * node + 1]);
        }
        Some(bin)
    };
    elements.iter().map(place).collect()
}

fn first_leaf(tree: &[Size], node: usize, size: Size, visits: &mut usize) -> Option<usize> {
    *visits = visits.checked_sub(1)?;
    if !size.fits(tree[node]) {
        None
    } else if node >= tree.len() / 2 {
        Some(node)
    } else {
        first_leaf(tree, 2 * node, size, visits).or_else(|| first_leaf(tree, 2 * node + 1, size, visits))
    }
}

fn larger(one: Size, other: Size) -> Size {
    Size {
        weight: one.weight.max(other.weight),
        items: one.items.max(other.items),
    }
}
