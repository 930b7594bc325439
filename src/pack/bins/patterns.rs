//! The bound of Gilmore and Gomory, and packings found by rounding what attains it.
//!
//! Elements of equal weight are interchangeable, so a packing is a multiset of patterns: how many elements of each weight a bin
//! holds. Without integrality, the fewest bins are the value of a linear program over all patterns, solved by column generation
//! (Gilmore and Gomory, "A linear programming approach to the cutting-stock problem", Operations Research 9, 1961). Rounded up,
//! that value is nearly always the fewest bins. A packing into that number is looked for by diving: patterns are taken as often
//! as the solution has them in whole numbers, then the one with the largest fraction, and the program is solved again for what
//! is left.
//!
//! The simplex method runs in floating point, but every bound is computed from its dual values in integers, so rounding errors
//! cannot make a bound wrong.

mod dive;
mod price;
mod simplex;
mod stock;

use super::fit::{Element, Placement, Scale};
use dive::Dive;
use price::{ONE, most_valuable};
use simplex::{Simplex, best_substitution};
use stock::{Pattern, Stock};

/// The most elements: their values add up within 64 bits, and within 52 where a number is rounded.
const MOST_ELEMENTS: usize = 1 << 20;

/// How much more than a full bin a pattern must be worth to enter the basis.
const TOLERANCE: f64 = 1e-6;

/// A first solution this close to the least number of bins is good enough to be rounded to it.
const SLACK: f64 = 0.01;

/// How many dives start from the first solution, and from the optimal one, each with another first choice.
const FIRST_DIVES: usize = 3;
const MOST_DIVES: usize = 100;

/// What [`bound_and_pack`] found.
pub(super) struct Rounded {
    /// A number of bins that no packing can undercut.
    pub bound: usize,
    /// A packing into fewer bins than was known.
    pub placement: Option<Placement>,
}

/// Bounds the number of bins from below and looks for a packing into fewer than `known` bins. `elements` are in decreasing
/// order, and no packing has fewer than `least` bins.
///
/// `budget` is the number of steps allowed and is reduced by the steps taken. `None` if there are too many elements or
/// different weights, or if the number of items in a bin may matter.
pub(super) fn bound_and_pack(
    elements: &[Element],
    scale: Scale,
    least: usize,
    known: usize,
    budget: &mut u64,
) -> Option<Rounded> {
    let items: usize = elements.iter().map(|element| element.size.items).sum();
    if items > scale.capacity.items || elements.len() > MOST_ELEMENTS {
        return None;
    }
    let stock = Stock::of(elements, scale.capacity.weight)?;
    // What remains for dives if the first solutions take long.
    let reserve = *budget / 3;
    let mut columns = Vec::new();
    let mut dive = Dive::new(scale, least, known);
    #[expect(clippy::cast_precision_loss, reason = "a number of bins is far below 2^52")]
    let close = least as f64 + SLACK;
    let root = stock.relax(&mut columns, close, reserve, budget);
    dive.from(&stock, &root, FIRST_DIVES, &mut columns, budget);
    if !dive.is_proven() {
        let root = stock.relax(&mut columns, 0.0, reserve, budget);
        dive.from(&stock, &root, MOST_DIVES, &mut columns, budget);
    }
    let (bound, patterns) = dive.finish();
    Some(Rounded {
        bound,
        placement: patterns.and_then(|patterns| stock.place(elements, &patterns)),
    })
}

/// A solution of the linear program.
#[derive(Debug)]
struct Relaxed {
    /// A number of bins that no packing undercuts, zero if none was found.
    bound: usize,
    /// The number of bins of the solution.
    value: f64,
    /// Patterns with how often each is used, the most often used first.
    used: Vec<(Pattern, f64)>,
}

impl Stock {
    /// Solves the linear program until its value is at most `enough`, it is optimal, or only `reserve` is left of the budget.
    ///
    /// Patterns that were found for it are in `columns`, and new ones are added.
    fn relax(&self, columns: &mut Vec<Pattern>, enough: f64, reserve: u64, budget: &mut u64) -> Relaxed {
        let rows = self.rows();
        let mut simplex = Simplex::new(self, &rows);
        let mut bound = 0;
        let mut value = f64::INFINITY;
        while *budget > reserve {
            *budget = budget.saturating_sub((rows.len() * rows.len() + columns.len() * 4) as u64 + 1);
            let duals = simplex.duals();
            value = simplex.value(&duals);
            if value <= enough {
                break;
            }
            let substitution = best_substitution(&duals);
            // A column that is known is cheaper to find than a new one.
            let gains = columns.iter().map(|column| simplex.gain(column, &duals)).enumerate();
            let known = gains
                .max_by(|a, b| a.1.total_cmp(&b.1))
                .filter(|(_, gain)| *gain > TOLERANCE);
            let has_entered = match (substitution, known) {
                (Some((row, gain)), known) if known.is_none_or(|(_, other)| other <= gain) => {
                    simplex.enter_substitution(row)
                }
                (_, Some((number, _))) => simplex.enter(columns[number].clone()),
                _ => match self.price(&rows, &duals, &mut bound, budget) {
                    Some(pattern) => {
                        columns.push(pattern.clone());
                        simplex.enter(pattern)
                    }
                    None => false,
                },
            };
            if !has_entered {
                break;
            }
        }
        let mut used = simplex.solution();
        used.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        Relaxed { bound, value, used }
    }

    /// A pattern that improves the solution, and a bound by the dual values. `None` if there is no such pattern, or if the
    /// bound cannot rise any more: the value of the solution rounds up to it.
    fn price(&self, rows: &[usize], duals: &[f64], bound: &mut usize, budget: &mut u64) -> Option<Pattern> {
        let values: Vec<u64> = duals.iter().copied().map(price::scaled).collect();
        let worth = rows.iter().zip(&values);
        let total: u128 = worth
            .map(|(&row, &value)| u128::from(value) * u128::from(self.demand(row)))
            .sum();
        // Values divided by that of the best pattern are dual feasible: no bin holds more than 1.
        let by_duals = |best: u64| usize::try_from(total.div_ceil(u128::from(best.max(1)))).unwrap_or(0);
        let priced = most_valuable(self, rows, &values, |value| by_duals(value) > *bound, budget);
        *bound = (*bound).max(by_duals(priced.at_most));
        let is_settled = total <= u128::from(ONE) * *bound as u128;
        (!is_settled && priced.is_worth_a_bin()).then_some(priced.pattern)
    }
}
