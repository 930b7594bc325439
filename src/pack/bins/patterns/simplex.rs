//! The simplex method for the linear program over patterns, with a dense inverse of the basis.

// The numbers of elements and the demands are far below 2^52, and nothing that is proven depends on their rounding.
#![expect(clippy::cast_precision_loss, reason = "see above")]

use super::stock::{Pattern, Stock};

/// Less than this counts as nothing.
const NOTHING: f64 = 1e-9;

/// By which part demands are raised at most, each by another, which keeps the method from standing still.
const PERTURBATION: f64 = 1e-7;

/// A basis of the linear program: for each weight the elements in all patterns are at least as many as are asked for.
pub(super) struct Simplex {
    order: usize,
    /// The row here of each row of the stock.
    row_of: Vec<Option<usize>>,
    /// The inverse of the basis, row after row.
    inverse: Vec<f64>,
    basis: Vec<Column>,
    /// How often each column of the basis is used.
    uses: Vec<f64>,
    demand: Vec<f64>,
}

#[derive(Clone, Debug)]
enum Column {
    /// Costs a bin.
    Pattern(Pattern),
    /// A place for a weight that holds the next lighter one; costs nothing.
    Substitution,
}

impl Simplex {
    /// Begins with patterns of one weight each.
    pub fn new(stock: &Stock, rows: &[usize]) -> Self {
        let order = rows.len();
        let mut simplex = Self {
            order,
            row_of: vec![None; stock.weights.len()],
            inverse: vec![0.0; order * order],
            basis: Vec::with_capacity(order),
            uses: Vec::with_capacity(order),
            demand: Vec::with_capacity(order),
        };
        for (at, &row) in rows.iter().enumerate() {
            simplex.row_of[row] = Some(at);
            let demand = stock.demand(row);
            let fitting = u32::try_from(stock.capacity / stock.weights[row]).unwrap_or(u32::MAX);
            let number = fitting.min(demand);
            simplex.inverse[at * order + at] = 1.0 / f64::from(number);
            simplex.basis.push(Column::Pattern(vec![(row, number)]));
            let mixed = (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
            let share = mixed as f64 / f64::from(u32::MAX);
            let demand = f64::from(demand) * (1.0 + PERTURBATION * share);
            simplex.demand.push(demand);
            simplex.uses.push(demand / f64::from(number));
        }
        simplex
    }

    /// What one more element of each weight costs, in bins.
    pub fn duals(&self) -> Vec<f64> {
        let mut duals = vec![0.0; self.order];
        for (column, row) in self.basis.iter().zip(self.inverse.chunks_exact(self.order)) {
            if let Column::Pattern(_) = column {
                for (dual, entry) in duals.iter_mut().zip(row) {
                    *dual += entry;
                }
            }
        }
        duals
    }

    /// The number of bins that the solution has.
    pub fn value(&self, duals: &[f64]) -> f64 {
        duals.iter().zip(&self.demand).map(|(dual, demand)| dual * demand).sum()
    }

    /// How much more than a bin a pattern is worth; less than nothing if it has a weight that is not asked for.
    pub fn gain(&self, pattern: &Pattern, duals: &[f64]) -> f64 {
        let worth = |&(row, number): &(usize, u32)| self.row_of[row].map(|at| duals[at] * f64::from(number));
        let worth: Option<f64> = pattern.iter().map(worth).sum();
        worth.map_or(-1.0, |worth| worth - 1.0)
    }

    /// Lets places for this weight hold the next lighter one. With these columns the dual values never rise as weights fall,
    /// which spares most of the steps (J. M. Valério de Carvalho, "Using extra dual cuts to accelerate column generation",
    /// INFORMS Journal on Computing 17, 2005).
    ///
    /// `false` where the method cannot go on.
    pub fn enter_substitution(&mut self, row: usize) -> bool {
        let lighter = (row + 1 < self.order).then_some((row + 1, 1.0));
        let entries: Vec<(usize, f64)> = std::iter::once((row, -1.0)).chain(lighter).collect();
        self.pivot(&entries, Column::Substitution)
    }

    /// Lets a pattern into the basis; `false` where the method cannot go on.
    pub fn enter(&mut self, pattern: Pattern) -> bool {
        let entry = |&(row, number): &(usize, u32)| Some((self.row_of[row]?, f64::from(number)));
        let entries: Vec<(usize, f64)> = pattern.iter().filter_map(entry).collect();
        self.pivot(&entries, Column::Pattern(pattern))
    }

    fn pivot(&mut self, entries: &[(usize, f64)], column: Column) -> bool {
        let rows = self.inverse.chunks_exact(self.order);
        let step = |row: &[f64]| entries.iter().map(|&(at, entry)| row[at] * entry).sum();
        let steps: Vec<f64> = rows.map(step).collect();
        let Some((leaving, ratio)) = self.leaving(&steps) else {
            return false;
        };
        let (before, rest) = self.inverse.split_at_mut(leaving * self.order);
        let (own, after) = rest.split_at_mut(self.order);
        for entry in own.iter_mut() {
            *entry /= steps[leaving];
        }
        let others = before
            .chunks_exact_mut(self.order)
            .chain(after.chunks_exact_mut(self.order));
        let other_steps = steps.iter().enumerate().filter(|(row, _)| *row != leaving);
        for (other, (_, &step)) in others.zip(other_steps) {
            if step.abs() > 0.0 {
                for (entry, own) in other.iter_mut().zip(&*own) {
                    *entry -= step * own;
                }
            }
        }
        for (uses, step) in self.uses.iter_mut().zip(&steps) {
            *uses -= step * ratio;
        }
        self.uses[leaving] = ratio;
        self.basis[leaving] = column;
        true
    }

    /// The column that is used up first, and how far the new one can go until then.
    fn leaving(&self, steps: &[f64]) -> Option<(usize, f64)> {
        let mut leaving: Option<(usize, f64)> = None;
        for (row, &step) in steps.iter().enumerate().filter(|(_, step)| **step > NOTHING) {
            let ratio = self.uses[row].max(0.0) / step;
            let is_first = leaving
                .is_none_or(|(best, least)| ratio < least - NOTHING || ratio <= least + NOTHING && step > steps[best]);
            if is_first {
                leaving = Some((row, ratio));
            }
        }
        leaving
    }

    /// The patterns of the basis with how often each is used.
    pub fn solution(self) -> Vec<(Pattern, f64)> {
        let used = self.basis.into_iter().zip(self.uses);
        used.filter_map(|(column, uses)| match column {
            Column::Pattern(pattern) if uses > NOTHING => Some((pattern, uses)),
            _ => None,
        })
        .collect()
    }
}

/// The weight whose place is worth the most more to the next lighter one than to itself, and how much more. The last one's
/// may stay empty.
pub(super) fn best_substitution(duals: &[f64]) -> Option<(usize, f64)> {
    let next = duals.iter().skip(1).copied().chain([0.0]);
    let gains = duals.iter().zip(next).map(|(own, next)| next - own).enumerate();
    gains
        .filter(|(_, gain)| *gain > NOTHING)
        .max_by(|a, b| a.1.total_cmp(&b.1))
}
