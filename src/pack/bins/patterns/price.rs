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

/// Steps after which one search settles for what it has.
const STEPS: u64 = 400_000;

/// The most cells of the table by which patterns are priced if the search does not end.
const MOST_CELLS: usize = 40_000_000;

/// A pattern that was found.
pub(super) struct Priced {
    pub pattern: Pattern,
    pub value: u64,
    /// Whether no pattern is worth more.
    pub is_best: bool,
}

/// A dual value as an integer between zero and [`MOST_WORTH`].
pub(super) fn scaled(dual: f64) -> u64 {
    (dual.clamp(0.0, MOST_WORTH) * ONE as f64) as u64
}

/// The most valuable pattern that a search finds in a limited number of steps.
pub(super) fn most_valuable(stock: &Stock, rows: &[usize], values: &[u64], budget: &mut u64) -> Priced {
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
        steps: STEPS,
    };
    search.fill(0, stock.capacity, 0);
    *budget = budget.saturating_sub((STEPS - search.steps) * 3);
    let mut pattern = search.best;
    pattern.sort_unstable();
    Priced {
        pattern,
        value: search.best_value,
        is_best: search.steps > 0,
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
}

impl Knapsack<'_> {
    /// Goes no deeper than there are rows, of which there are few hundreds.
    fn fill(&mut self, from: usize, free: u64, value: u64) {
        if value > self.best_value {
            self.best_value = value;
            self.best.clone_from(&self.chosen);
        }
        for at in from..self.order.len() {
            if self.steps == 0 || free < self.lightest[at] {
                return;
            }
            self.steps -= 1;
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

/// The most valuable pattern, by a table over all weights; `None` if that would be too large.
pub(super) fn most_valuable_by_table(
    stock: &Stock,
    rows: &[usize],
    values: &[u64],
    budget: &mut u64,
) -> Option<Priced> {
    let capacity = usize::try_from(stock.capacity).ok()?;
    let bundles = bundles(stock, rows, values, capacity)?;
    let cells = bundles
        .len()
        .checked_mul(capacity)
        .filter(|cells| *cells <= MOST_CELLS)?;
    *budget = budget.saturating_sub(cells as u64);
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
    let mut pattern: BTreeMap<usize, u32> = BTreeMap::new();
    let mut free = capacity;
    for (bundle, taken) in bundles.iter().zip(&taken).rev() {
        if taken[free / 64] >> (free % 64) & 1 == 1 {
            *pattern.entry(bundle.row).or_default() += bundle.number;
            free -= bundle.weight;
        }
    }
    Some(Priced {
        pattern: pattern.into_iter().collect(),
        value: best[capacity],
        is_best: true,
    })
}

/// Several elements of one weight.
struct Bundle {
    row: usize,
    number: u32,
    weight: usize,
    value: u64,
}

/// Bundles of one, two, four and so on of each weight, by which every number of them can be had.
fn bundles(stock: &Stock, rows: &[usize], values: &[u64], capacity: usize) -> Option<Vec<Bundle>> {
    let mut bundles = Vec::new();
    for (&row, &value) in rows.iter().zip(values).filter(|(_, value)| **value > 0) {
        let weight = usize::try_from(stock.weights[row]).ok()?;
        let mut left = stock.demand(row).min(u32::try_from(capacity / weight).ok()?);
        let mut size = 1;
        while left > 0 {
            let number = size.min(left);
            bundles.push(Bundle {
                row,
                number,
                weight: weight * number as usize,
                value: value * u64::from(number),
            });
            left -= number;
            size *= 2;
        }
    }
    Some(bundles)
}
