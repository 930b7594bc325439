//! Packing of weighted items into as few bins as possible, keeping groups of items together.
//!
//! Bin packing is NP-hard. [`pack`] compares fast heuristics with a lower bound, and only if they
//! do not meet, searches on with a fixed number of steps. The result depends on the arguments
//! alone: not on time, threads or random hashing.

mod bound;
mod exact;
mod fill;
mod fit;
mod groups;
mod history;
#[cfg(test)]
mod instances;
mod patterns;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use groups::{Plan, Problem};
use history::History;

/// Identifies the items that should share a bin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);

/// Something that goes into exactly one bin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// The group to keep together with.
    pub group: GroupId,
    /// In the same unit as [`Capacity::weight`], for example bytes. May be zero.
    pub weight: u64,
    /// The number of the bin that it has to be in. Such a bin is for these items alone.
    pub reserved: Option<usize>,
}

/// What one bin holds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Limit on the total weight of the items.
    pub weight: u64,
    /// Limit on the number of items, such as the entries of a zip archive without zip64 (`limits::ZIP_ENTRIES`).
    pub items: usize,
}

/// The result of [`pack`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packing {
    /// The indices of the items in each bin, ascending. No bin is empty.
    pub bins: Vec<Vec<usize>>,
    /// The numbers of the reserved bins, ascending; they are the first of `bins`.
    pub reserved: Vec<usize>,
    /// A number of bins below which no packing exists.
    ///
    /// The largest of the bound L2 on the weights (Martello and Toth, "Knapsack Problems", 1990,
    /// section 8.3), the bounds u(2) to u(16) (Fekete and Schepers, "New classes of fast lower
    /// bounds for bin packing problems", 2001), and the number of items divided by
    /// [`Capacity::items`]. Where these do not settle it, also that of the linear program of
    /// Gilmore and Gomory (1961), and what an exhaustive search has ruled out.
    pub lower_bound: usize,
    /// The groups with items in more than one bin, ascending.
    pub split_groups: Vec<GroupId>,
}

impl Packing {
    /// Whether fewer bins are proven to be impossible.
    pub fn is_optimal(&self) -> bool {
        self.bins.len() <= self.lower_bound
    }
}

/// There is no packing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// An item does not even fit into a bin of its own.
    #[error(
        "item {index} of weight {weight} exceeds the capacity of a bin, weight {} and {} items",
        .capacity.weight,
        .capacity.items
    )]
    Item {
        /// The first such item.
        index: usize,
        /// Its weight.
        weight: u64,
        /// The capacity it exceeds.
        capacity: Capacity,
    },
    /// The items of a reserved bin do not fit into it.
    #[error("the items of reserved bin {0} exceed the capacity")]
    Reserved(usize),
}

/// Packs all items into bins of equal capacity.
///
/// The objectives, each one more important than the next:
///
/// 1. as few bins as possible, and never more than first-fit decreasing on the items needs;
/// 2. as few groups as possible spread over several bins, not counting groups that are spread
///    exactly as before;
/// 3. as few items as possible moved to another bin.
///
/// `previous` has the bin of each item in an earlier packing, or `None` for a new item. It may be
/// shorter than `items`, the remaining items are then new. Bins keep their previous numbers as far
/// as these stay free of gaps; bins without any item left are removed and the others close up.
///
/// Without any previous bin, bins are ordered by descending weight, then by their lowest item.
///
/// Items that have a reserved bin are in it, whatever the objectives; `previous` numbers the other bins alone.
///
/// # Errors
///
/// Fails if a single item exceeds the capacity, or the items of a reserved bin together.
pub fn pack(items: &[Item], capacity: Capacity, previous: &[Option<usize>]) -> Result<Packing, TooLarge> {
    let mut reserved: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut others = Vec::new();
    for (index, item) in items.iter().enumerate() {
        match item.reserved {
            Some(bin) => reserved.entry(bin).or_default().push(index),
            None => others.push(index),
        }
    }
    if reserved.is_empty() {
        return pack_others(items, capacity, previous);
    }
    for (&bin, inside) in &reserved {
        let weight: u128 = inside.iter().map(|&item| u128::from(items[item].weight)).sum();
        if weight > u128::from(capacity.weight) || inside.len() > capacity.items {
            return Err(TooLarge::Reserved(bin));
        }
    }
    let of_others: Vec<Item> = others.iter().map(|&index| items[index]).collect();
    let homes: Vec<Option<usize>> = others
        .iter()
        .map(|&index| previous.get(index).copied().flatten())
        .collect();
    let packing = pack_others(&of_others, capacity, &homes)?;
    let more = packing
        .bins
        .into_iter()
        .map(|bin| bin.into_iter().map(|at| others[at]).collect());
    let numbers = reserved.keys().copied().collect();
    Ok(Packing {
        lower_bound: reserved.len() + packing.lower_bound,
        bins: reserved.into_values().chain(more).collect(),
        reserved: numbers,
        split_groups: packing.split_groups,
    })
}

/// Packs items without a reserved bin.
fn pack_others(items: &[Item], capacity: Capacity, previous: &[Option<usize>]) -> Result<Packing, TooLarge> {
    let is_too_large = |item: &Item| item.weight > capacity.weight || capacity.items == 0;
    if let Some(index) = items.iter().position(is_too_large) {
        return Err(TooLarge::Item {
            index,
            weight: items[index].weight,
            capacity,
        });
    }
    let problem = Problem::new(items, capacity);
    let (plan, bins, lower_bound) = if let Some(history) = History::new(previous, items.len()) {
        let (plan, lower_bound) = history.pack(&problem);
        let bins = history.arrange(&plan);
        (plan, bins, lower_bound)
    } else {
        let (plan, _, lower_bound) = problem.pack();
        let bins = by_descending_weight(items, &plan);
        (plan, bins, lower_bound)
    };
    Ok(Packing {
        bins,
        reserved: Vec::new(),
        lower_bound,
        split_groups: problem.split_groups(&plan).map(|group| group.id).collect(),
    })
}

fn by_descending_weight(items: &[Item], plan: &Plan) -> Vec<Vec<usize>> {
    let mut bins: Vec<Vec<usize>> = plan.contents().into_values().collect();
    bins.sort_by_cached_key(|bin| {
        let weight: u128 = bin.iter().map(|&item| u128::from(items[item].weight)).sum();
        (Reverse(weight), bin.first().copied())
    });
    bins
}
