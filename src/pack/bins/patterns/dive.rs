//! Packings by rounding solutions of the linear program.

use std::mem;

use super::super::fit::Scale;
use super::{Pattern, Relaxed, Stock, TOLERANCE};

/// A solution this close to the number of bins aimed at is good enough. The simplex method perturbs the demands by less.
const SLACK: f64 = 0.0002;

/// The state of the search for packings.
pub(super) struct Dive {
    scale: Scale,
    /// No packing has fewer bins.
    bound: usize,
    /// A packing into `bins` bins, unless these are those known before.
    best: Option<Vec<Pattern>>,
    bins: usize,
}

impl Dive {
    /// A search for a packing into fewer than `known` bins; no packing has fewer than `least`.
    pub fn new(scale: Scale, least: usize, known: usize) -> Self {
        Self {
            scale,
            bound: least,
            best: None,
            bins: known,
        }
    }

    /// Whether fewer bins are known to be impossible.
    pub fn is_proven(&self) -> bool {
        self.bins <= self.bound
    }

    /// The bound, and the best packing if it has fewer bins than were known before.
    pub fn finish(self) -> (usize, Option<Vec<Pattern>>) {
        (self.bound, self.best)
    }

    /// Dives from one solution, up to `times` times, each with another first choice.
    pub fn from(&mut self, stock: &Stock, root: &Relaxed, times: usize, columns: &mut Vec<Pattern>, budget: &mut u64) {
        self.bound = self.bound.max(root.bound);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the cast saturates"
        )]
        let attainable = (root.value - SLACK).ceil() as usize;
        for choice in 0..times {
            if self.is_proven() || *budget == 0 {
                break;
            }
            let target = attainable.clamp(self.bound, self.bins - 1);
            if let Some(patterns) = self.once(stock.clone(), root, target, choice, columns, budget) {
                self.bins = patterns.len();
                self.best = Some(patterns);
            }
        }
    }

    /// A packing into fewer bins than the best has, if possible into `target` bins. `choice` is the number of patterns that are
    /// skipped when a fraction is rounded up for the first time.
    fn once(
        &self,
        mut left: Stock,
        root: &Relaxed,
        target: usize,
        choice: usize,
        columns: &mut Vec<Pattern>,
        budget: &mut u64,
    ) -> Option<Vec<Pattern>> {
        let mut bins: Vec<Pattern> = Vec::new();
        let mut skipped = choice;
        let mut relaxed = None;
        loop {
            let solution = relaxed.as_ref().unwrap_or(root);
            let whole = whole_patterns(&mut left, solution);
            if whole.is_empty() {
                bins.push(round_up(&mut left, solution, mem::take(&mut skipped))?);
            } else {
                bins.extend(whole);
            }
            if left.is_empty() {
                return (bins.len() < self.bins).then_some(bins);
            }
            if bins.len() + left.least() >= self.bins {
                return None;
            }
            let bins_left = target.saturating_sub(bins.len());
            if let Some(rest) = left.pack_few(bins_left, self.scale, budget) {
                bins.extend(rest);
                return Some(bins);
            }
            #[expect(clippy::cast_precision_loss, reason = "a number of bins is far below 2^52")]
            let enough = bins_left as f64 + SLACK;
            let next = left.relax(columns, enough, 0, budget);
            if *budget == 0 || bins.len() + next.bound >= self.bins {
                return None;
            }
            relaxed = Some(next);
        }
    }
}

/// Takes each pattern as often as the solution has it in whole numbers.
fn whole_patterns(left: &mut Stock, relaxed: &Relaxed) -> Vec<Pattern> {
    let mut taken = Vec::new();
    for (pattern, times) in &relaxed.used {
        let mut times = times + TOLERANCE;
        // Ends at the latest when nothing is left for the pattern, whatever the number of times is.
        while times >= 1.0
            && let Some(bin) = left.take(pattern)
        {
            taken.push(bin);
            times -= 1.0;
        }
    }
    taken
}

/// Takes the pattern with the largest fraction once, and of equal ones the fullest; some are skipped.
fn round_up(left: &mut Stock, relaxed: &Relaxed, skipped: usize) -> Option<Pattern> {
    let mut ranked: Vec<&(Pattern, f64)> = relaxed.used.iter().filter(|(_, times)| *times > TOLERANCE).collect();
    ranked.sort_by(|a, b| {
        b.1.total_cmp(&a.1)
            .then_with(|| left.weight(&b.0).cmp(&left.weight(&a.0)))
    });
    let (pattern, _) = ranked.get(skipped.min(ranked.len().checked_sub(1)?))?;
    left.take_lighter(pattern)
}
