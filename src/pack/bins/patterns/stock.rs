//! The elements that are left, counted by weight, and what fills a bin with them.

use std::collections::BTreeMap;

use super::super::exact::{Search, search};
use super::super::fit::{Element, Placement, Scale, Size};

/// The most different weights: the basis of the linear program is a dense matrix of this order.
const MOST_WEIGHTS: usize = 400;

/// If at most this many elements are left, their packing is searched for exactly in so many steps.
const FEW: usize = 60;
const FEW_STEPS: u64 = 300_000;

/// What a step of that search costs, as a multiple of a cell of the basis.
const COST_OF_STEP: u64 = 20;

/// How many elements of each weight a bin holds: rows of the [`Stock`] with their numbers, ascending.
pub(super) type Pattern = Vec<(usize, u32)>;

/// How many elements of each weight are left. A row is one weight; the weights are in decreasing order.
#[derive(Clone, Debug)]
pub(super) struct Stock {
    pub capacity: u64,
    pub weights: Vec<u64>,
    demand: Vec<u32>,
}

impl Stock {
    /// Counts elements in decreasing order. `None` if they are not, if there are none or too many weights,
    /// or if one is zero.
    pub fn of(elements: &[Element], capacity: u64) -> Option<Self> {
        let mut stock = Self {
            capacity,
            weights: Vec::new(),
            demand: Vec::new(),
        };
        for element in elements {
            let weight = element.size.weight;
            match (stock.weights.last(), stock.demand.last_mut()) {
                (Some(&last), Some(demand)) if last == weight => *demand += 1,
                (Some(&last), _) if last < weight => return None,
                _ if weight == 0 || stock.weights.len() == MOST_WEIGHTS => return None,
                _ => {
                    stock.weights.push(weight);
                    stock.demand.push(1);
                }
            }
        }
        (!elements.is_empty()).then_some(stock)
    }

    /// The rows that have any element.
    pub fn rows(&self) -> Vec<usize> {
        (0..self.weights.len()).filter(|&row| self.demand[row] > 0).collect()
    }

    /// How many elements of a row's weight are left.
    pub fn demand(&self, row: usize) -> u32 {
        self.demand[row]
    }

    pub fn is_empty(&self) -> bool {
        self.demand.iter().all(|demand| *demand == 0)
    }

    /// A number of bins that the sum of the weights asks for.
    pub fn least(&self) -> usize {
        let all = self.weights.iter().zip(&self.demand);
        let weight: u128 = all
            .map(|(&weight, &demand)| u128::from(weight) * u128::from(demand))
            .sum();
        usize::try_from(weight.div_ceil(u128::from(self.capacity))).unwrap_or(usize::MAX)
    }

    pub fn weight(&self, pattern: &Pattern) -> u64 {
        pattern
            .iter()
            .map(|&(row, number)| self.weights[row] * u64::from(number))
            .sum()
    }

    /// Fills a bin by a pattern as it is; `None` if too few elements are left for it.
    pub fn take(&mut self, pattern: &Pattern) -> Option<Pattern> {
        if pattern.iter().any(|&(row, number)| number > self.demand[row]) {
            return None;
        }
        for &(row, number) in pattern {
            self.demand[row] -= number;
        }
        Some(pattern.clone())
    }

    /// Fills a bin by a pattern; places without an element of their own weight take the heaviest lighter ones. `None` if
    /// nothing is left for any place.
    pub fn take_lighter(&mut self, pattern: &Pattern) -> Option<Pattern> {
        let mut taken: BTreeMap<usize, u32> = BTreeMap::new();
        for &(first, number) in pattern {
            let mut places = number;
            for row in first..self.demand.len() {
                let now = places.min(self.demand[row]);
                if now > 0 {
                    self.demand[row] -= now;
                    places -= now;
                    *taken.entry(row).or_default() += now;
                }
                if places == 0 {
                    break;
                }
            }
        }
        (!taken.is_empty()).then(|| taken.into_iter().collect())
    }

    /// Searches for a packing of what is left into at most `bins` bins, if that is little.
    pub fn pack_few(&self, bins: usize, scale: Scale, budget: &mut u64) -> Option<Vec<Pattern>> {
        let number: u32 = self.demand.iter().sum();
        if number as usize > FEW || bins == 0 {
            return None;
        }
        let each = self.demand.iter().enumerate();
        let rows: Vec<usize> = each
            .flat_map(|(row, &demand)| std::iter::repeat_n(row, demand as usize))
            .collect();
        let element = |&row: &usize| Element {
            size: Size::of_item(self.weights[row]),
            start: 0,
            end: 0,
        };
        let elements: Vec<Element> = rows.iter().map(element).collect();
        let mut steps = FEW_STEPS;
        let found = search(&elements, scale, bins, &mut steps);
        *budget = budget.saturating_sub((FEW_STEPS - steps) * COST_OF_STEP);
        let Search::Found(placement) = found else { return None };
        let mut patterns: Vec<BTreeMap<usize, u32>> = vec![BTreeMap::new(); placement.bins];
        for (row, bin) in rows.into_iter().zip(placement.bin_of) {
            *patterns[bin].entry(row).or_default() += 1;
        }
        Some(
            patterns
                .into_iter()
                .map(|pattern| pattern.into_iter().collect())
                .collect(),
        )
    }

    /// Gives each element a bin whose pattern has its weight; `None` if the patterns do not hold all of them.
    pub fn place(&self, elements: &[Element], patterns: &[Pattern]) -> Option<Placement> {
        let mut waiting: Vec<Vec<usize>> = vec![Vec::new(); self.weights.len()];
        for (bin, pattern) in patterns.iter().enumerate() {
            for &(row, number) in pattern {
                waiting[row].extend(std::iter::repeat_n(bin, number as usize));
            }
        }
        let bin_of = |element: &Element| {
            let weight = element.size.weight;
            let row = self.weights.binary_search_by(|known| weight.cmp(known)).ok()?;
            waiting[row].pop()
        };
        let bins: Option<Vec<usize>> = elements.iter().map(bin_of).collect();
        bins.map(Placement::from)
    }
}
