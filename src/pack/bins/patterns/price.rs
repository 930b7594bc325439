//! The most valuable pattern: a knapsack problem, with the dual values of the linear program as values.

// Densities steer the search and bound it with a margin; they need not be exact.
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "see above"
)]

use std::collections::BTreeMap;

use super::stock::{Pattern, Stock};

/// The value of a full bin. Values are integers, so that sums of them are exact.
pub(super) const ONE: u64 = 1 << 30;

/// The most that one element is taken to be worth, in bins. It is worth at most one in an optimal solution; on the way there,
/// more would only endanger the sums.
const MOST_WORTH: f64 = 2.0;

/// Steps after which a search settles for a pattern that is worth [`ENOUGH`], and for any.
const ENOUGH_STEPS: u64 = 20_000;
const MOST_STEPS: u64 = 400_000;

/// Clearly more than a full bin.
const ENOUGH: u64 = ONE + ONE / 1000;

/// What a step of the search costs, as a multiple of a cell of a table.
const COST_OF_STEP: u64 = 4;

/// A table of so many cells takes less time than most searches.
const FEW_CELLS: u64 = 1_000_000;

/// The most cells of a table that is worth its time if a search has found nothing.
const MOST_CELLS: u64 = 40_000_000;

/// A pattern that was found.
pub(super) struct Priced {
    pub pattern: Pattern,
    pub value: u64,
    /// No pattern is worth more.
    pub at_most: u64,
}

impl Priced {
    /// Whether it is worth more than a full bin, by more than dual values are rounded.
    pub fn is_worth_a_bin(&self) -> bool {
        self.value > ONE + ONE / 10_000_000
    }
}

/// A dual value as an integer between zero and [`MOST_WORTH`].
pub(super) fn scaled(dual: f64) -> u64 {
    (dual.clamp(0.0, MOST_WORTH) * ONE as f64) as u64
}

/// The most valuable pattern that can be found in time. Unless none is worth `worth_bounding`, its value is not bounded more
/// tightly than that costs no time.
pub(super) fn most_valuable(
    stock: &Stock,
    rows: &[usize],
    values: &[u64],
    worth_bounding: impl Fn(u64) -> bool,
    budget: &mut u64,
) -> Priced {
    let cells = Table::cells(stock, rows, 1);
    if cells <= FEW_CELLS {
        return Table::new(stock, rows, values, 1, budget).best();
    }
    let mut priced = by_search(stock, rows, values, budget);
    if priced.at_most > priced.value && !priced.is_worth_a_bin() && cells <= MOST_CELLS {
        priced = Table::new(stock, rows, values, 1, budget).best();
    }
    if priced.at_most > priced.value && worth_bounding(priced.value) {
        let coarse = Table::new(stock, rows, values, cells.div_ceil(FEW_CELLS), budget);
        priced.at_most = priced.at_most.min(coarse.value());
    }
    priced
}

/// The most valuable pattern that a search finds in a limited number of steps.
fn by_search(stock: &Stock, rows: &[usize], values: &[u64], budget: &mut u64) -> Priced {
    let all = rows.iter().copied().zip(values.iter().copied());
    let mut order: Vec<(usize, u64)> = all.filter(|(_, value)| *value > 0).collect();
    let density = |&(row, value): &(usize, u64)| value as f64 / stock.weights[row] as f64;
    order.sort_by(|a, b| density(b).total_cmp(&density(a)).then_with(|| a.0.cmp(&b.0)));
    let mut lightest = vec![u64::MAX; order.len() + 1];
    for at in (0..order.len()).rev() {
        lightest[at] = lightest[at + 1].min(stock.weights[order[at].0]);
    }
    let mut search = Knapsack {
        stock,
        densities: order.iter().map(density).collect(),
        order,
        lightest,
        chosen: Vec::new(),
        best: Vec::new(),
        best_value: 0,
        steps: 0,
        is_cut_short: false,
    };
    search.fill(0, stock.capacity, 0);
    *budget = budget.saturating_sub(search.steps * COST_OF_STEP);
    let mut pattern = search.best;
    pattern.sort_unstable();
    Priced {
        pattern,
        value: search.best_value,
        at_most: if search.is_cut_short {
            u64::MAX
        } else {
            search.best_value
        },
    }
}

/// Branch and bound over how many elements of each weight a bin holds, those of the highest value for their weight first.
struct Knapsack<'a> {
    stock: &'a Stock,
    /// Rows with their values.
    order: Vec<(usize, u64)>,
    densities: Vec<f64>,
    /// The lightest weight from each place in the order on.
    lightest: Vec<u64>,
    chosen: Pattern,
    best: Pattern,
    best_value: u64,
    steps: u64,
    is_cut_short: bool,
}

impl Knapsack<'_> {
    /// Goes no deeper than there are rows, which are a few hundred.
    fn fill(&mut self, from: usize, free: u64, value: u64) {
        if value > self.best_value {
            self.best_value = value;
            self.best.clone_from(&self.chosen);
        }
        for at in from..self.order.len() {
            if free < self.lightest[at] {
                return;
            }
            if self.steps >= MOST_STEPS || self.steps >= ENOUGH_STEPS && self.best_value >= ENOUGH {
                self.is_cut_short = true;
                return;
            }
            self.steps += 1;
            let at_most = (self.densities[at] * free as f64) as u64 + 1;
            if value.saturating_add(at_most) <= self.best_value {
                return;
            }
            let (row, worth) = self.order[at];
            let weight = self.stock.weights[row];
            let most = (free / weight).min(u64::from(self.stock.demand(row)));
            for number in (1..=most).rev() {
                self.chosen.push((row, number as u32));
                self.fill(at + 1, free - number * weight, value + number * worth);
                self.chosen.pop();
            }
        }
    }
}

/// Dynamic programming over all weights of a bin, in units of a weight.
///
/// Weights are rounded down to whole units. What fits into a bin then still fits, so that no pattern is worth more than
/// [`Table::value`]; in units of 1 that value is attained.
struct Table {
    capacity: usize,
    bundles: Vec<Bundle>,
    /// For each bundle, at which free weights it is taken, as bits.
    taken: Vec<Vec<u64>>,
    value: u64,
}

/// Several elements of one weight. Bundles of one, two, four and so on make up every number of them.
struct Bundle {
    row: usize,
    number: u32,
    weight: usize,
    value: u64,
}

impl Table {
    /// The size of a table, at most; huge if the weights are beyond the memory.
    fn cells(stock: &Stock, rows: &[usize], unit: u64) -> u64 {
        let bundles: u64 = rows
            .iter()
            .map(|&row| u64::from(u32::BITS - most_in_a_bin(stock, row).leading_zeros()))
            .sum();
        (stock.capacity / unit + 1).saturating_mul(bundles)
    }

    fn new(stock: &Stock, rows: &[usize], values: &[u64], unit: u64, budget: &mut u64) -> Self {
        *budget = budget.saturating_sub(Self::cells(stock, rows, unit));
        let capacity = (stock.capacity / unit) as usize;
        let bundles = bundles(stock, rows, values, unit);
        let mut best = vec![0_u64; capacity + 1];
        let mut taken = Vec::with_capacity(bundles.len());
        for bundle in &bundles {
            let mut bits = vec![0_u64; capacity / 64 + 1];
            for free in (bundle.weight..=capacity).rev() {
                let with = best[free - bundle.weight] + bundle.value;
                if with > best[free] {
                    best[free] = with;
                    bits[free / 64] |= 1 << (free % 64);
                }
            }
            taken.push(bits);
        }
        Self {
            capacity,
            bundles,
            taken,
            value: best[capacity],
        }
    }

    fn value(&self) -> u64 {
        self.value
    }

    /// The most valuable pattern, in units of 1.
    fn best(self) -> Priced {
        let mut pattern: BTreeMap<usize, u32> = BTreeMap::new();
        let mut free = self.capacity;
        for (bundle, taken) in self.bundles.iter().zip(&self.taken).rev() {
            if taken[free / 64] >> (free % 64) & 1 == 1 {
                *pattern.entry(bundle.row).or_default() += bundle.number;
                free -= bundle.weight;
            }
        }
        Priced {
            pattern: pattern.into_iter().collect(),
            value: self.value,
            at_most: self.value,
        }
    }
}

fn bundles(stock: &Stock, rows: &[usize], values: &[u64], unit: u64) -> Vec<Bundle> {
    let mut bundles = Vec::new();
    for (&row, &value) in rows.iter().zip(values).filter(|(_, value)| **value > 0) {
        let mut left = most_in_a_bin(stock, row);
        let mut size = 1;
        while left > 0 {
            let number = size.min(left);
            bundles.push(Bundle {
                row,
                number,
                weight: (stock.weights[row] * u64::from(number) / unit) as usize,
                value: value * u64::from(number),
            });
            left -= number;
            size *= 2;
        }
    }
    bundles
}

/// How many elements of a row's weight one bin can hold.
fn most_in_a_bin(stock: &Stock, row: usize) -> u32 {
    let fitting = u32::try_from(stock.capacity / stock.weights[row]).unwrap_or(u32::MAX);
    fitting.min(stock.demand(row))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::super::fit::{Element, Size};
    use super::*;

    fn stock(mut weights: Vec<u64>, capacity: u64) -> Stock {
        weights.sort_unstable_by(|a, b| b.cmp(a));
        let element = |weight| Element {
            size: Size::of_item(weight),
            start: 0,
            end: 0,
        };
        let elements: Vec<Element> = weights.into_iter().map(element).collect();
        Stock::of(&elements, capacity).unwrap()
    }

    /// The most valuable pattern's value by trying every number of each weight.
    fn by_trying(stock: &Stock, values: &[(usize, u64)], free: u64) -> u64 {
        let Some((&(row, value), rest)) = values.split_first() else {
            return 0;
        };
        let fitting = (free / stock.weights[row]).min(u64::from(stock.demand(row)));
        (0..=fitting)
            .map(|number| number * value + by_trying(stock, rest, free - number * stock.weights[row]))
            .max()
            .unwrap_or(0)
    }

    fn worth(pattern: &Pattern, rows: &[usize], values: &[u64]) -> u64 {
        let value = |row: usize| values[rows.binary_search(&row).unwrap()];
        pattern
            .iter()
            .map(|&(row, number)| value(row) * u64::from(number))
            .sum()
    }

    proptest! {
        #[test]
        fn every_method_finds_the_most_valuable_pattern(
            weights in vec(1..=60_u64, 1..12),
            duals in vec(0.0..1.0_f64, 12),
            unit in 1..10_u64,
        ) {
            let stock = stock(weights, 100);
            let rows = stock.rows();
            let values: Vec<u64> = rows.iter().map(|&row| scaled(duals[row])).collect();
            let valued: Vec<(usize, u64)> = rows.iter().copied().zip(values.iter().copied()).collect();
            let best = by_trying(&stock, &valued, stock.capacity);
            let mut budget = u64::MAX;
            let by_table = Table::new(&stock, &rows, &values, 1, &mut budget).best();
            for priced in [by_table, by_search(&stock, &rows, &values, &mut budget)] {
                prop_assert_eq!((priced.value, priced.at_most), (best, best));
                prop_assert_eq!(worth(&priced.pattern, &rows, &values), best);
                prop_assert!(stock.weight(&priced.pattern) <= stock.capacity);
                prop_assert!(stock.clone().take(&priced.pattern).is_some());
            }
            // In coarse units the value is a bound.
            prop_assert!(Table::new(&stock, &rows, &values, unit, &mut budget).value() >= best);
        }
    }

    #[test]
    fn a_search_that_is_cut_short_does_not_call_its_pattern_the_best() {
        // Sixty different weights of the same density: the bound of the branches cannot tell them apart.
        let stock = stock((0..60).map(|number| 1_000_003 + 7_919 * number).collect(), 10_000_000);
        let rows = stock.rows();
        let values: Vec<u64> = rows.iter().map(|&row| stock.weights[row] * ONE / 9_999_999).collect();
        let mut budget = u64::MAX;
        let priced = by_search(&stock, &rows, &values, &mut budget);
        assert!(priced.at_most > priced.value);
        assert!(u64::MAX - budget <= MOST_STEPS * COST_OF_STEP);
        let bounded = most_valuable(&stock, &rows, &values, |_| true, &mut budget);
        assert!(bounded.at_most >= priced.value && bounded.at_most < 2 * ONE);
    }

    #[test]
    fn dual_values_out_of_range_are_clamped() {
        assert_eq!(scaled(-1.0), 0);
        assert_eq!(scaled(f64::NAN), 0);
        assert_eq!(scaled(0.5), ONE / 2);
        assert_eq!(scaled(f64::INFINITY), 2 * ONE);
    }
}
