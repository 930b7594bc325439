//! Fills few bins nearly to the brim: bin after bin, with sets of elements that add up to what is free.
//!
//! If the bins hold many elements each and next to nothing may stay free, best fit fails by a few bytes. Among a few dozen
//! elements some subset nearly always adds up to any given number; meeting in the middle finds it (Horowitz and Sahni,
//! "Computing partitions with applications to the knapsack problem", Journal of the ACM 21, 1974).

use super::fit::{Element, Placement, Scale};

/// The bins may be at most this many: each has its own level of the recursion.
const MOST_BINS: usize = 32;

/// Of how many elements all subsets are looked at, in two halves of at most 32.
const POOL: usize = 40;

/// How many pools are tried for one bin.
const POOLS: u64 = 12;

/// How many sets are tried for one bin before another pool.
const SETS: usize = 64;

/// The same if the pool is all that is left.
const ALL_SETS: usize = 4096;

/// The cost of one subset sum, and of one element considered for a pool, as a multiple of looking at one element.
const COST_OF_SUM: usize = 4;
const COST_OF_CHOICE: usize = 16;

/// Looks for a packing of the elements, in decreasing order, into `bins` bins.
///
/// `budget` is the number of steps allowed and is reduced by the steps taken. `None` also if there are many bins, or if the
/// number of items in a bin may matter.
pub(super) fn fill(elements: &[Element], scale: Scale, bins: usize, budget: &mut u64) -> Option<Placement> {
    let capacity = scale.capacity.weight;
    let items: usize = elements.iter().map(|element| element.size.items).sum();
    let weights: Vec<u64> = elements.iter().map(|element| element.size.weight).collect();
    let total = weights.iter().try_fold(0_u64, |sum, weight| sum.checked_add(*weight))?;
    let spare = capacity.checked_mul(bins as u64)?.checked_sub(total)?;
    if bins > MOST_BINS || items > scale.capacity.items {
        return None;
    }
    let mut filling = Filling {
        bin_of: vec![None; elements.len()],
        weights,
        capacity,
        bins,
        budget,
    };
    filling.fill_from(0, spare).then_some(())?;
    let bin_of: Option<Vec<usize>> = filling.bin_of.into_iter().collect();
    bin_of.map(Placement::from)
}

struct Filling<'a> {
    /// In decreasing order.
    weights: Vec<u64>,
    capacity: u64,
    bins: usize,
    bin_of: Vec<Option<usize>>,
    budget: &'a mut u64,
}

/// A sum of weights, and which elements of a half of the pool are in it, as bits.
type Sum = (u64, u32);

impl Filling<'_> {
    /// Fills this bin and those after it; at most `spare` may stay free in all of them. Whether that succeeded; if not, they
    /// are empty as before.
    fn fill_from(&mut self, bin: usize, spare: u64) -> bool {
        let unplaced = (0..self.weights.len()).filter(|&element| self.bin_of[element].is_none());
        let left: Vec<usize> = unplaced.collect();
        let Some((&largest, rest)) = left.split_first() else {
            return true;
        };
        if bin + 1 == self.bins {
            // It fits: what stayed free in the other bins is within what all of them can spare.
            self.put(&left, Some(bin));
            return true;
        }
        let (pools, most) = if rest.len() <= POOL {
            (1, ALL_SETS)
        } else {
            (POOLS, SETS)
        };
        for number in 0..pools {
            if !self.spend((self.weights.len() + rest.len()) * COST_OF_CHOICE) {
                return false;
            }
            let Pool { chosen, others } = choose(rest, bin as u64 * POOLS + number);
            // The others fill the bin as long as half of the pool's weight still fits.
            let half = self.sum(&chosen) / 2;
            let mut free = self.capacity - self.weights[largest];
            let mut fixed = vec![largest];
            for other in others {
                let weight = self.weights[other];
                if weight <= free && free - weight >= half {
                    free -= weight;
                    fixed.push(other);
                }
            }
            for mut set in self.sets(&chosen, free, spare, most) {
                let wasted = free - self.sum(&set);
                set.extend(&fixed);
                self.put(&set, Some(bin));
                if self.fill_from(bin + 1, spare - wasted) {
                    return true;
                }
                self.put(&set, None);
                if !self.spend(self.weights.len()) {
                    return false;
                }
            }
        }
        false
    }

    fn put(&mut self, elements: &[usize], bin: Option<usize>) {
        for &element in elements {
            self.bin_of[element] = bin;
        }
    }

    fn sum(&self, elements: &[usize]) -> u64 {
        elements.iter().map(|&element| self.weights[element]).sum()
    }

    /// Up to `most` sets of elements of the pool that leave at most `spare` of `free`, the fullest first.
    fn sets(&mut self, pool: &[usize], free: u64, spare: u64, most: usize) -> Vec<Vec<usize>> {
        let (one, other) = pool.split_at(pool.len() / 2);
        let (low, high) = (self.sums(one, free), self.sums(other, free));
        if !self.spend((low.len() + high.len()) * COST_OF_SUM) {
            return Vec::new();
        }
        let least = free.saturating_sub(spare);
        let mut found: Vec<(u64, u32, u32)> = Vec::new();
        let mut end = high.len();
        for &(sum, bits) in &low {
            // As the sums of one half rise, those of the other that fit next to them fall.
            while end > 0 && high[end - 1].0 > free - sum {
                end -= 1;
            }
            let fitting = high[..end].iter().rev().take_while(|(more, _)| sum + more >= least);
            let missing = most - found.len();
            found.extend(fitting.take(missing).map(|&(more, others)| (sum + more, bits, others)));
            if found.len() == most {
                break;
            }
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        let set = |(_, bits, others)| members(one, bits).chain(members(other, others)).collect();
        found.into_iter().map(set).collect()
    }

    /// The sums of all subsets that are at most `free`, in increasing order.
    fn sums(&self, elements: &[usize], free: u64) -> Vec<Sum> {
        let mut sums: Vec<Sum> = vec![(0, 0)];
        for (bit, &element) in elements.iter().enumerate() {
            let weight = self.weights[element];
            let fitting = sums.partition_point(|(sum, _)| *sum <= free.saturating_sub(weight));
            let fitting = if weight <= free { fitting } else { 0 };
            let with = sums[..fitting]
                .iter()
                .map(|&(sum, bits)| (sum + weight, bits | 1 << bit));
            sums = merge(&sums, with);
        }
        sums
    }

    fn spend(&mut self, steps: usize) -> bool {
        let enough = *self.budget >= steps as u64;
        *self.budget = self.budget.saturating_sub(steps as u64);
        enough
    }
}

/// The elements of which all subsets are looked at, and the others in decreasing order.
struct Pool {
    chosen: Vec<usize>,
    others: Vec<usize>,
}

/// Chooses a pool of elements in decreasing order. Half of it are the lightest ones, by which a sum is tuned finely; which ones
/// the rest are depends on `number`.
fn choose(elements: &[usize], number: u64) -> Pool {
    if elements.len() <= POOL {
        return Pool {
            chosen: elements.to_vec(),
            others: Vec::new(),
        };
    }
    let (upper, lightest) = elements.split_at(elements.len() - POOL / 2);
    // Odd constants mix the bits of the positions: no order of the input is special, and each number has another choice.
    let factor = 0x9E37_79B9_7F4A_7C15 ^ number.wrapping_mul(0xD1B5_4A32_D192_ED03);
    let mixed = |element: usize| (element as u64 + 1).wrapping_mul(factor) >> 20;
    let mut order = upper.to_vec();
    order.sort_unstable_by_key(|&element| (mixed(element), element));
    let mut others = order.split_off(POOL - POOL / 2);
    others.sort_unstable();
    Pool {
        chosen: lightest.iter().copied().chain(order).collect(),
        others,
    }
}

/// The elements whose bits are set.
fn members(elements: &[usize], bits: u32) -> impl Iterator<Item = usize> {
    let numbered = elements.iter().enumerate();
    numbered
        .filter(move |(bit, _)| bits >> bit & 1 == 1)
        .map(|(_, &element)| element)
}

/// Merges two increasing sequences.
fn merge(without: &[Sum], with: impl ExactSizeIterator<Item = Sum>) -> Vec<Sum> {
    let mut merged = Vec::with_capacity(without.len() + with.len());
    let mut without = without.iter().copied().peekable();
    for sum in with {
        while let Some(before) = without.next_if(|before| *before <= sum) {
            merged.push(before);
        }
        merged.push(sum);
    }
    merged.extend(without);
    merged
}
