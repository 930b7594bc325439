//! Packing with a history: as few moved items as possible at no cost in bins or split groups.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::fit::{FreeSpace, Size};
use super::groups::{Group, Plan, Problem};

/// How many times the number of dissolved bins is raised; it doubles each time.
const ROUNDS: u32 = 3;

/// How many bins of a group are inspected before one of its items is placed elsewhere.
const MOST_HOMES: usize = 64;

/// Where the items were in the previous packing.
pub(super) struct History {
    /// The numbers of the previous bins that still have items, ascending.
    numbers: Vec<usize>,
    /// For each item the position of its previous bin in `numbers`.
    home: Vec<Option<usize>>,
}

/// How good a plan is, less is better: bins, needlessly split groups, moved items.
type Cost = (usize, usize, usize);

impl History {
    /// Nothing when no item has been packed before.
    pub fn new(previous: &[Option<usize>], items: usize) -> Option<Self> {
        let mut numbers: Vec<usize> = previous.iter().take(items).copied().flatten().collect();
        numbers.sort_unstable();
        numbers.dedup();
        let position = |number: usize| numbers.binary_search(&number).ok();
        let home = (0..items).map(|item| previous.get(item).copied().flatten().and_then(position));
        let home = home.collect();
        (!numbers.is_empty()).then_some(Self { numbers, home })
    }

    /// A packing, and a number of bins that no packing undercuts.
    ///
    /// In the plan, bins below `numbers.len()` are the previous ones, the others are new.
    pub fn pack(&self, problem: &Problem) -> (Plan, usize) {
        let bins = self.numbers.len();
        if bins <= problem.lower_bound
            && let Some(plan) = self.adapt(problem, problem.lower_bound, 0, true)
            && self.cost(problem, &plan).1 == 0
        {
            return (plan, problem.lower_bound);
        }
        let (fresh, fresh_bins, lower_bound) = problem.pack();
        let mut best: Option<(Cost, Plan)> = None;
        let dissolved = (0..ROUNDS).map(|round| bins.saturating_sub(fresh_bins) + (1 << round) / 2);
        'rounds: for dissolved in dissolved.take_while(|&dissolved| dissolved < bins) {
            for crowd in [true, false] {
                if best.as_ref().is_some_and(|(cost, _)| cost.1 == 0) {
                    break 'rounds;
                }
                if let Some(plan) = self.adapt(problem, fresh_bins, dissolved, crowd) {
                    let cost = self.cost(problem, &plan);
                    if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                        best = Some((cost, plan));
                    }
                }
            }
        }
        let renamed = self.rename(&fresh);
        let fresh_cost = self.cost(problem, &renamed);
        let plan = best
            .filter(|(cost, _)| *cost <= fresh_cost)
            .map_or(renamed, |(_, plan)| plan);
        (plan, lower_bound)
    }

    /// Groups split exactly as before do not count as split needlessly.
    fn cost(&self, problem: &Problem, plan: &Plan) -> Cost {
        let mut used = plan.bin_of.clone();
        used.sort_unstable();
        used.dedup();
        let has_moved = |item: usize| self.home[item].is_some_and(|home| home != plan.bin_of[item]);
        let is_as_before = |group: &&Group| {
            let members = problem.members(group);
            self.was_split(members) && !members.iter().any(|&item| has_moved(item))
        };
        let splits = problem.split_groups(plan).filter(|group| !is_as_before(group)).count();
        (
            used.len(),
            splits,
            (0..self.home.len()).filter(|&item| has_moved(item)).count(),
        )
    }

    fn was_split(&self, members: &[usize]) -> bool {
        let mut homes = members.iter().filter_map(|&item| self.home[item]);
        let first = homes.next();
        homes.any(|home| Some(home) != first)
    }

    /// Leaves items where they were as far as possible, and places all others in the gaps and in
    /// new bins. Nothing when that takes more than `limit` bins.
    ///
    /// The emptiest `dissolved` bins are given up. With `crowd`, new items join their group even
    /// if that drives a smaller group out of its bin.
    fn adapt(&self, problem: &Problem, limit: usize, dissolved: usize, crowd: bool) -> Option<Plan> {
        let mut free = vec![problem.scale.capacity; self.numbers.len()];
        for &bin in self.emptiest(problem).iter().take(dissolved) {
            free[bin] = Size::ZERO;
        }
        let kept: Vec<bool> = free.iter().map(|free| free.items > 0).collect();
        let is_kept = |bin: &usize| kept[*bin];
        let mut parties: Vec<(usize, Vec<usize>)> = Vec::new();
        for group in &problem.groups {
            let members = problem.members(group);
            if group.is_oversized() || self.was_split(members) {
                let homes = members.iter().map(|&item| (self.home[item], vec![item]));
                parties.extend(homes.filter_map(|(home, item)| Some((home.filter(is_kept)?, item))));
            } else if let Some(home) = members.iter().find_map(|&item| self.home[item]).filter(is_kept) {
                let joins = |item: &usize| crowd || self.home[*item].is_some();
                parties.push((home, members.iter().copied().filter(joins).collect()));
            }
        }
        // In a bin whose load has grown too large, the small ones have to go.
        let share = |(_, items): &(usize, Vec<usize>)| Reverse(problem.share_of(items));
        parties.sort_by_cached_key(share);
        let mut place = vec![None; self.home.len()];
        for (home, items) in parties {
            let size = problem.size_of_all(&items);
            if let Some(size) = size.filter(|size| size.fits(free[home])) {
                free[home] = free[home].minus(size);
                for item in items {
                    place[item] = Some(home);
                }
            }
        }
        let mut free = FreeSpace::new(problem.scale, limit + dissolved, free);
        settle(problem, &mut place, &mut free)?;
        Some(Plan {
            bin_of: place.into_iter().collect::<Option<_>>()?,
        })
    }

    /// The previous bins by ascending weight, later ones first.
    fn emptiest(&self, problem: &Problem) -> Vec<usize> {
        let mut weights = vec![0_u128; self.numbers.len()];
        for (item, home) in self.home.iter().enumerate() {
            if let Some(bin) = *home {
                weights[bin] += u128::from(problem.size_of(item).weight);
            }
        }
        let mut bins: Vec<usize> = (0..weights.len()).collect();
        bins.sort_by_key(|&bin| (weights[bin], Reverse(bin)));
        bins
    }

    /// The plan with its bins named after the previous bins they share most items with.
    fn rename(&self, plan: &Plan) -> Plan {
        let mut shared: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for (&home, &bin) in self.home.iter().zip(&plan.bin_of) {
            if let Some(home) = home {
                *shared.entry((home, bin)).or_default() += 1;
            }
        }
        let mut pairs: Vec<_> = shared.into_iter().collect();
        pairs.sort_by_key(|&(pair, items)| (Reverse(items), pair));
        let mut name = BTreeMap::new();
        let mut taken = vec![false; self.numbers.len()];
        for ((home, bin), _) in pairs {
            if !taken[home] && !name.contains_key(&bin) {
                taken[home] = true;
                name.insert(bin, home);
            }
        }
        let rename = |&bin: &usize| name.get(&bin).copied().unwrap_or(self.numbers.len() + bin);
        Plan {
            bin_of: plan.bin_of.iter().map(rename).collect(),
        }
    }

    /// The bins of a plan in the order of their previous numbers. New bins take the lowest free
    /// numbers, so that the others keep theirs if possible.
    pub fn arrange(&self, plan: &Plan) -> Vec<Vec<usize>> {
        let contents = plan.contents();
        let known = |bin: usize| self.numbers.get(bin).copied();
        let used: BTreeSet<usize> = contents.keys().filter_map(|&bin| known(bin)).collect();
        let mut unused = (0..).filter(|number| !used.contains(number));
        let numbered = contents
            .into_iter()
            .map(|(bin, items)| (known(bin).or_else(|| unused.next()), items));
        numbered.collect::<BTreeMap<_, _>>().into_values().collect()
    }
}

/// Gives all items without a place one: with the others of their group, or else where they fit
/// best, and together if possible.
fn settle(problem: &Problem, place: &mut [Option<usize>], free: &mut FreeSpace) -> Option<()> {
    let mut parties: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
    for group in &problem.groups {
        let members = problem.members(group);
        let homeless = members.iter().copied().filter(|&item| place[item].is_none());
        let homeless: Vec<usize> = homeless.collect();
        if !homeless.is_empty() {
            parties.push((homes_of(members, place), homeless));
        }
    }
    parties.sort_by_cached_key(|(_, items)| Reverse(problem.share_of(items)));
    parties.retain(|(homes, items)| {
        let bin = problem.size_of_all(items).and_then(|size| match homes[..] {
            [] => free.take_best(size),
            _ => homes.iter().copied().find(|&bin| free.take(bin, size)),
        });
        for &item in items {
            place[item] = bin;
        }
        bin.is_none()
    });
    for (mut homes, mut items) in parties {
        items.sort_by_key(|&item| Reverse(problem.size_of(item).weight));
        for item in items {
            let size = problem.size_of(item);
            let home = homes.iter().copied().find(|&bin| free.take(bin, size));
            let bin = home.or_else(|| free.take_best(size))?;
            if home.is_none() && homes.len() < MOST_HOMES {
                homes.push(bin);
            }
            place[item] = Some(bin);
        }
    }
    Some(())
}

/// The bins that hold most of these items, in descending order.
fn homes_of(members: &[usize], place: &[Option<usize>]) -> Vec<usize> {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for bin in members.iter().filter_map(|&item| place[item]) {
        *counts.entry(bin).or_default() += 1;
    }
    let mut bins: Vec<(usize, usize)> = counts.into_iter().collect();
    bins.sort_by_key(|&(bin, items)| (Reverse(items), bin));
    bins.into_iter().map(|(bin, _)| bin).take(MOST_HOMES).collect()
}
