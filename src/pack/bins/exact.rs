//! A search that finds a packing into a given number of bins or proves that there is none.

use super::fit::{Element, FreeSpace, Placement, Scale, Size};

/// The search decides on this many of the largest elements, the others follow by best fit.
///
/// Also limits the depth of the recursion.
const CORE: usize = 256;

/// What filling up one bin with one element costs, as a multiple of looking at one element.
const COST_OF_PLACING: u64 = 16;

/// What the search found out.
pub(super) enum Search {
    /// A packing into at most as many bins as asked for.
    Found(Placement),
    /// No such packing exists.
    Impossible,
    /// The budget is spent, or the small elements did not fit.
    Undecided,
}

/// Looks for a packing of the elements, in decreasing order, into at most `bins` bins.
///
/// Fills one bin after the other, each starting with the largest element left, as in Korf, "A New
/// Algorithm for Optimal Bin Packing", AAAI 2002. `budget` is the number of steps allowed and is
/// reduced by the steps taken; steps are counted instead of time to keep the result deterministic.
pub(super) fn search(elements: &[Element], scale: Scale, bins: usize, budget: &mut u64) -> Search {
    let (core, rest) = elements.split_at(elements.len().min(CORE));
    let mut completion = Completion {
        core,
        rest,
        scale,
        bins,
        budget,
        bin_of: vec![None; core.len()],
        free: Vec::new(),
        placed: Vec::new(),
        rest_bins: Vec::new(),
        rest_failed: false,
    };
    match completion.open_bin() {
        Verdict::Done => {
            let core_bins = completion.bin_of.into_iter().flatten();
            Search::Found(core_bins.chain(completion.rest_bins).collect::<Vec<_>>().into())
        }
        Verdict::DeadEnd if !completion.rest_failed => Search::Impossible,
        Verdict::DeadEnd | Verdict::OutOfBudget => Search::Undecided,
    }
}

enum Verdict {
    Done,
    DeadEnd,
    OutOfBudget,
}

struct Completion<'a> {
    core: &'a [Element],
    rest: &'a [Element],
    scale: Scale,
    bins: usize,
    budget: &'a mut u64,
    bin_of: Vec<Option<usize>>,
    /// The free space of all bins opened so far; the last one is being filled.
    free: Vec<Size>,
    /// The elements of the core placed so far, bin after bin.
    placed: Vec<usize>,
    rest_bins: Vec<usize>,
    rest_failed: bool,
}

impl Completion<'_> {
    /// Opens a bin for the largest element left, or finishes when none is left.
    fn open_bin(&mut self) -> Verdict {
        if !self.spend(self.core.len() as u64) {
            return Verdict::OutOfBudget;
        }
        let Some(largest) = self.bin_of.iter().position(Option::is_none) else {
            return self.place_rest();
        };
        if !self.remainder_may_fit() {
            return Verdict::DeadEnd;
        }
        self.free.push(self.scale.capacity);
        self.put(largest);
        let first = self.placed.len() - 1;
        let verdict = self.fill_bin(first, largest + 1);
        if matches!(verdict, Verdict::DeadEnd) {
            self.take_back(largest);
            self.free.pop();
        }
        verdict
    }

    /// Tries all worthwhile ways to fill up the last bin with elements from `from` on.
    ///
    /// The bin's elements are those placed from `first` on.
    fn fill_bin(&mut self, first: usize, mut from: usize) -> Verdict {
        let free = self.free[self.free.len() - 1];
        let mut had_room = false;
        loop {
            let left = from..self.core.len();
            let looked_at = left.len() as u64;
            let mut fitting = left.filter(|&one| self.bin_of[one].is_none() && self.core[one].size.fits(free));
            let Some(next) = fitting.next() else {
                if !self.spend(looked_at) {
                    return Verdict::OutOfBudget;
                }
                break;
            };
            if !self.spend((next - from + 1) as u64) {
                return Verdict::OutOfBudget;
            }
            had_room = true;
            self.put(next);
            match self.fill_bin(first, next + 1) {
                Verdict::DeadEnd => self.take_back(next),
                verdict => return verdict,
            }
            // Elements of the same size are interchangeable: without the first, none of them.
            from = next + 1;
            while self.core.get(from).is_some_and(|one| one.size == self.core[next].size) {
                from += 1;
            }
        }
        // A bin with room for one more element is never better than the same bin with it.
        if had_room || self.is_dominated(first, free) {
            Verdict::DeadEnd
        } else {
            self.open_bin()
        }
    }

    /// Whether the last bin could as well hold one more element, or a larger one instead of one
    /// of its own. Every packing with the bin as it is has then a counterpart with the other one,
    /// which is tried separately. The bin's largest element stays in any case.
    fn is_dominated(&self, first: usize, free: Size) -> bool {
        let left = self.core.iter().zip(&self.bin_of).filter(|(_, bin)| bin.is_none());
        let mut sizes = left.map(|(element, _)| element.size);
        sizes.any(|size| {
            size.fits(free)
                || self.placed[first + 1..].iter().any(|&placed| {
                    let own = self.core[placed].size;
                    own != size && own.fits(size) && size.fits(free.plus(own))
                })
        })
    }

    /// Whether the total of the elements left is within the total of the bins left.
    fn remainder_may_fit(&self) -> bool {
        let bins = (self.bins - self.free.len()) as u128;
        let left = self.core.iter().zip(&self.bin_of).filter(|(_, bin)| bin.is_none());
        let (weight, items) = left.fold((0_u128, 0_u128), |(weight, items), (element, _)| {
            (
                weight + u128::from(element.size.weight),
                items + element.size.items as u128,
            )
        });
        weight <= bins.saturating_mul(u128::from(self.scale.capacity.weight))
            && items <= bins.saturating_mul(self.scale.capacity.items as u128)
    }

    fn place_rest(&mut self) -> Verdict {
        if !self.spend(self.rest.len() as u64 * COST_OF_PLACING) {
            return Verdict::OutOfBudget;
        }
        let mut free = FreeSpace::new(self.scale, self.bins, self.free.clone());
        let placed: Option<_> = self.rest.iter().map(|one| free.take_best(one.size)).collect();
        if let Some(bins) = placed {
            self.rest_bins = bins;
            Verdict::Done
        } else {
            self.rest_failed = true;
            Verdict::DeadEnd
        }
    }

    fn put(&mut self, element: usize) {
        let bin = self.free.len() - 1;
        self.free[bin] = self.free[bin].minus(self.core[element].size);
        self.bin_of[element] = Some(bin);
        self.placed.push(element);
    }

    fn take_back(&mut self, element: usize) {
        let bin = self.free.len() - 1;
        self.free[bin] = self.free[bin].plus(self.core[element].size);
        self.bin_of[element] = None;
        self.placed.pop();
    }

    fn spend(&mut self, steps: u64) -> bool {
        let enough = *self.budget >= steps;
        *self.budget = self.budget.saturating_sub(steps);
        enough
    }
}
