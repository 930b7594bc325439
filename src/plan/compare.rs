//! What would stay with other rules.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use rayon::prelude::*;

use super::layout::Layout;
use super::matching::matched_paths;
use super::retain::{Matches, retain};
use super::uses::{chosen, companions, finders, follow};
use super::{Context, Options, replaced_by_bootstrap};
use crate::languages::Asked;
use crate::loader::LoadedTree;
use crate::rules::Matcher;
use crate::timings::phase;
use crate::tree::TreePath;
use crate::uses::{Ask, CachedUses, InstalledPackages, SourceReaders, Uses};

/// The paths that would stay with each of several sets of rules, which are those of [`Plan::kept`](super::Plan::kept) without what comes in; `None`
/// where there would be no plan.
///
/// The rules in the context are those that the others add to, and `known` are the uses that the plan for them found. If they
/// tell all ([`Options::compared`]), no file is looked into again, otherwise each is once for all sets; what `readers` have read of
/// source code for other sets is not read again. Nothing is found out any more as soon as `is_stopped` says so.
pub fn kept_with_each<'t>(
    loaded: &LoadedTree<'t>,
    readers: &OnceLock<SourceReaders<'t>>,
    context: &Context<'_>,
    options: &Options,
    known: &Uses,
    each: &[Matcher],
    is_stopped: &(dyn Fn() -> bool + Sync),
) -> Vec<Option<BTreeSet<TreePath>>> {
    let _phase = phase("compare plans");
    let tree = loaded.root().tree;
    let commands = InstalledPackages::commands(tree, context.runtime);
    let of_rules = |rules| matched_paths(tree, rules, &commands).0;
    let all: Vec<(&Matcher, Matches)> = each.par_iter().map(|rules| (rules, of_rules(rules))).collect();
    let base = of_rules(context.rules);
    let matched = all.iter().map(|(_, matches)| matches).chain([&base]);
    let at_stake: BTreeSet<TreePath> = matched.flat_map(BTreeMap::keys).cloned().collect();
    let packages = InstalledPackages::of(tree);
    let chosen = chosen(context.rules, &packages);
    let replaced = replaced_by_bootstrap(tree, options);
    let kept_with = |(rules, matches): &(&Matcher, Matches), ask: &Ask<'_>| {
        if is_stopped() {
            return None;
        }
        let uses = follow(tree, rules, matches, &replaced, chosen.clone(), ask);
        let retention = retain(tree, rules, matches, &uses);
        let layout = Layout::of(tree, &retention, context.runtime, options.symlinks).ok()?;
        Some(layout.tree.iter().map(|(path, _)| path.clone()).collect())
    };
    // Whatever stays with more rules stays with fewer, too, and was asked.
    let adds = |matches: &Matches| base.keys().all(|path| matches.contains_key(path));
    if known.are_about(&at_stake) && all.iter().all(|(_, matches)| adds(matches)) {
        let ask = |path: &TreePath| known.by(path).to_vec();
        return all.par_iter().map(|rules| kept_with(rules, &ask)).collect();
    }
    let companions = companions(context.rules, &base);
    let emptied_by = context.rules.by_rules_alone(&at_stake);
    let readers = readers.get_or_init(|| SourceReaders::of(tree, Asked::Again));
    let finders = finders(
        loaded,
        readers,
        context.rules,
        &base,
        (&at_stake, &emptied_by),
        packages,
        &companions,
    );
    let asked = CachedUses::new(tree, &finders, context.contents);
    let ask = |path: &TreePath| asked.uses(path);
    // The first ones one after the other, each in parallel by itself: what one asked is known to the next. What two of them
    // leave out are different things as a rule, so that hardly anything is left to be asked by several of the others at once.
    let (first, others) = all.split_at(all.len().min(2));
    let mut kept: Vec<Option<BTreeSet<TreePath>>> = first.iter().map(|rules| kept_with(rules, &ask)).collect();
    kept.par_extend(others.par_iter().map(|rules| kept_with(rules, &ask)));
    kept
}
