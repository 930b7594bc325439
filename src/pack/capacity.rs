//! Checks packed entries against Lambda's limits on layers, and finds options that keep to them. No I/O.

mod report;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub use report::{
    Alternative, CapacityReport, CapacityTotals, Combination, Effect, PackageSaving, Saving, SizeEntry, TooLarge,
};
use report::{SCHEMA_VERSION, THROUGH_S3};

use super::bins::{self, Capacity, Item, Packing};
use super::zip::END_SIZE;
use crate::limits;
use crate::manifest::UploadRoute;
use crate::plan::{Change, Gain};
use crate::runtime::Runtime;
use crate::size::{Bytes, exact};
use crate::tree::TreePath;

/// How many files the report lists, the largest first.
const FILES: usize = 20;

/// Limits on the layers: Lambda's own, or stricter ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest zip.
    pub max: Bytes,
    /// The most layers.
    pub layers: usize,
    /// The most that all layers together may have unzipped.
    pub unzipped: Bytes,
    /// How the layers get to AWS.
    pub via: UploadRoute,
}

impl Limits {
    /// Zips of 50 MB at most, in the request, and otherwise what Lambda allows.
    pub const DEFAULT: Self = Self {
        max: Bytes(50_000_000),
        layers: limits::LAYERS,
        unzipped: Bytes(limits::UNZIPPED_BYTES - 1),
        via: UploadRoute::Direct,
    };

    pub(super) fn capacity(&self) -> Capacity {
        capacity(self.max)
    }
}

fn capacity(max: Bytes) -> Capacity {
    Capacity {
        weight: max.0.saturating_sub(END_SIZE),
        items: limits::ZIP_ENTRIES,
    }
}

/// One entry with its exact sizes.
#[derive(Debug, Clone)]
pub(super) struct Candidate<'a> {
    pub(super) path: &'a TreePath,
    pub(super) component: &'a str,
    /// What it adds to a zip, and what it should share one with.
    pub(super) item: Item,
    pub(super) unzipped: Bytes,
    /// What it would add to a zip if it were stripped, where it is not and that would help.
    pub(super) stripped: Option<Bytes>,
}

/// What could be left out in addition, asked only if the limits are exceeded.
pub(super) struct Proposals<'a> {
    /// The rules that are off, each with what it would remove.
    pub(super) rules: &'a dyn Fn() -> Vec<Gain>,
    /// The packages that could be dropped, each with what would go.
    pub(super) packages: &'a dyn Fn() -> Vec<Gain>,
    /// How many of these changes it takes, one after the other, until what goes is enough; and what goes.
    pub(super) combination: &'a Combine<'a>,
}

/// See [`WhatIf::combination`](crate::plan::WhatIf::combination).
pub(super) type Combine<'a> =
    dyn Fn(&[&Change], &dyn Fn(&BTreeSet<TreePath>) -> bool) -> Option<(usize, BTreeSet<TreePath>)> + 'a;

/// What is known of the sizes of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// All of them, to the byte.
    Exact,
    /// What they have unzipped, and in a zip the most that they have then.
    Unzipped,
    /// As before, but some have more unzipped.
    AtLeast,
}

/// Report on layers that exceed the limits; `None` if `packing` keeps to them. A packing is `None` if a file is too large for any
/// zip, or if nothing was compressed.
pub(super) fn over_capacity(
    candidates: &[Candidate<'_>],
    known: Known,
    packing: Option<&Packing>,
    limits: &Limits,
    proposals: &Proposals<'_>,
    runtime: &Runtime,
) -> Option<CapacityReport> {
    let judge = Judge {
        candidates,
        known,
        limits,
    };
    let too_large = judge.too_large_alone();
    let totals = judge.totals(packing);
    let reasons = reasons(&too_large, packing, totals.unzipped_bytes, known, limits);
    if reasons.is_empty() {
        return None;
    }
    let (rules, packages) = ((proposals.rules)(), (proposals.packages)());
    Some(CapacityReport {
        schema_version: SCHEMA_VERSION,
        ok: false,
        runtime: runtime.name.clone(),
        arch: runtime.arch,
        max_bytes: limits.max,
        max_layers: limits.layers,
        max_unzipped_bytes: limits.unzipped,
        via: limits.via,
        totals,
        reasons,
        too_large: too_large
            .into_iter()
            .map(|candidate| too_large_with(candidate, &rules))
            .collect(),
        ways: judge.alternatives(),
        rules_off: judge.savings(&rules),
        drops: judge.drops(&packages),
        combination: judge.combination(&rules, &packages, proposals.combination),
        components: judge.parts(|candidate| candidate.component, usize::MAX),
        files: judge.parts(|candidate| candidate.path.as_str(), FILES),
    })
}

/// A file that does not fit into a zip alone, with the rules that would remove it.
fn too_large_with(candidate: &Candidate<'_>, rules: &[Gain]) -> TooLarge {
    let removing = rules.iter().filter(|gain| gain.paths.contains(candidate.path));
    TooLarge {
        path: candidate.path.to_string(),
        zipped_bytes: Bytes(candidate.item.weight + END_SIZE),
        stripped_bytes: candidate.stripped.map(|stripped| Bytes(stripped.0 + END_SIZE)),
        rules: removing.filter_map(rule_of).map(|(id, ..)| id).collect(),
    }
}

/// Id, category and what breaks of a rule that is proposed.
fn rule_of(gain: &Gain) -> Option<(String, String, String)> {
    match &gain.change {
        Change::Enable { id, category, breaks } => Some((id.clone(), category.clone(), breaks.clone())),
        Change::Drop { .. } => None,
    }
}

/// Compares entries, all or some of them, with the limits.
struct Judge<'a> {
    candidates: &'a [Candidate<'a>],
    known: Known,
    limits: &'a Limits,
}

impl<'a> Judge<'a> {
    fn all(&self) -> Vec<&'a Candidate<'a>> {
        self.candidates.iter().collect()
    }

    /// The files that do not fit into a zip even alone.
    fn too_large_alone(&self) -> Vec<&'a Candidate<'a>> {
        let capacity = self.limits.capacity().weight;
        let mut too_large = self.all();
        too_large.retain(|candidate| self.known == Known::Exact && candidate.item.weight > capacity);
        too_large
    }

    fn totals(&self, packing: Option<&Packing>) -> CapacityTotals {
        CapacityTotals {
            layers: packing.map(|packing| packing.bins.len()),
            lower_bound: packing.map(|packing| packing.lower_bound),
            zipped_bytes: self.zipped(&self.all()),
            unzipped_bytes: unzipped(&self.all()),
        }
    }

    /// Larger zips that keep to all limits: as large as a request can carry, and as large as they can be in a bucket.
    fn alternatives(&self) -> Vec<Alternative> {
        if self.known != Known::Exact || self.limits.via == UploadRoute::S3 {
            return Vec::new();
        }
        let larger = [
            (limits::ZIPPED_BYTES, format!("--max {}", limits::ZIPPED_BYTES)),
            (limits::ZIP_BYTES, THROUGH_S3.to_owned()),
        ];
        larger
            .into_iter()
            .filter(|(max, _)| *max > self.limits.max.0)
            .filter_map(|(max, option)| {
                let layers = fitting(&self.all(), self.limits, Bytes(max))?;
                Some(Alternative { option, layers })
            })
            .collect()
    }

    fn zipped(&self, candidates: &[&Candidate<'_>]) -> Option<Bytes> {
        let zipped = candidates.iter().map(|candidate| Bytes(candidate.item.weight)).sum();
        (self.known == Known::Exact).then_some(zipped)
    }

    fn effect(&self, paths: &BTreeSet<TreePath>) -> Effect {
        let (gone, left): (Vec<&Candidate<'_>>, Vec<_>) = self
            .candidates
            .iter()
            .partition(|candidate| paths.contains(candidate.path));
        let too_much = unzipped(&left).0.saturating_sub(self.limits.unzipped.0);
        // Where nothing was compressed, these are the most that there can be.
        let layers = needed(&left, self.limits.max);
        let fits = too_much == 0 && layers.is_some_and(|layers| layers <= self.limits.layers);
        let is_certain = self.known == Known::Exact || fits || too_much > 0;
        Effect {
            files: gone.len(),
            zipped_bytes: self.zipped(&gone),
            unzipped_bytes: unzipped(&gone),
            fits: is_certain.then_some(fits),
            too_much_unzipped_bytes: Bytes(too_much),
            layers: layers.filter(|_| self.known == Known::Exact),
        }
    }

    /// What counts: what a change takes of that of which there is too much.
    fn gain(&self, effect: &Effect) -> u64 {
        match effect.zipped_bytes {
            Some(zipped) if unzipped(&self.all()) <= self.limits.unzipped => zipped.0,
            _ => effect.unzipped_bytes.0,
        }
    }

    fn savings(&self, rules: &[Gain]) -> Vec<Saving> {
        let saving = |gain: &Gain| {
            let (id, category, breaks) = rule_of(gain)?;
            Some(Saving {
                id,
                category,
                effect: self.effect(&gain.paths),
                breaks,
            })
        };
        let mut savings: Vec<Saving> = rules.iter().filter_map(saving).collect();
        savings.sort_by(|a, b| {
            let gains = self.gain(&b.effect).cmp(&self.gain(&a.effect));
            gains.then_with(|| a.id.cmp(&b.id))
        });
        savings
    }

    fn drops(&self, packages: &[Gain]) -> Vec<PackageSaving> {
        let drop = |gain: &Gain| match &gain.change {
            Change::Drop { component, .. } => Some(PackageSaving {
                component: component.clone(),
                options: gain.change.options(),
                effect: self.effect(&gain.paths),
            }),
            Change::Enable { .. } => None,
        };
        let mut drops: Vec<PackageSaving> = packages.iter().filter_map(drop).collect();
        drops.sort_by(|a, b| {
            let gains = self.gain(&b.effect).cmp(&self.gain(&a.effect));
            gains.then_with(|| a.component.cmp(&b.component))
        });
        drops
    }

    /// The fewest of the changes that save most, rules before packages, that make it fit together; `None` if one alone does.
    fn combination(&self, rules: &[Gain], packages: &[Gain], combine: &Combine<'_>) -> Option<Combination> {
        let fits = |paths: &BTreeSet<TreePath>| self.effect(paths).fits == Some(true);
        if rules.iter().chain(packages).any(|gain| fits(&gain.paths)) {
            return None;
        }
        let sorted = |gains: &'_ [Gain]| {
            let mut numbers: Vec<usize> = (0..gains.len()).collect();
            numbers.sort_by_key(|&number| (std::cmp::Reverse(self.gain(&self.effect(&gains[number].paths))), number));
            numbers
        };
        let changes = |gains: &'_ [Gain]| {
            sorted(gains)
                .into_iter()
                .map(|number| gains[number].change.clone())
                .collect()
        };
        let rules: Vec<Change> = changes(rules);
        let packages: Vec<Change> = changes(packages);
        let lists: [Vec<&Change>; 2] = [rules.iter().chain(&packages).collect(), packages.iter().collect()];
        lists.into_iter().find_map(|changes| {
            let (count, paths) = combine(&changes, &fits)?;
            Some(Combination {
                options: changes[..count].iter().flat_map(|change| change.options()).collect(),
                effect: self.effect(&paths),
            })
        })
    }

    /// The sizes by name, the largest first.
    fn parts<'c>(&'c self, name: impl Fn(&'c Candidate<'c>) -> &'c str, most: usize) -> Vec<SizeEntry> {
        let mut sums: BTreeMap<&str, Vec<&Candidate<'_>>> = BTreeMap::new();
        for candidate in self.candidates {
            sums.entry(name(candidate)).or_default().push(candidate);
        }
        let mut parts: Vec<SizeEntry> = sums
            .into_iter()
            .map(|(name, candidates)| SizeEntry {
                name: name.to_owned(),
                files: candidates.len(),
                zipped_bytes: self.zipped(&candidates),
                unzipped_bytes: unzipped(&candidates),
            })
            .collect();
        let size = |part: &SizeEntry| part.zipped_bytes.unwrap_or(part.unzipped_bytes);
        parts.sort_by(|a, b| size(b).cmp(&size(a)).then_with(|| a.name.cmp(&b.name)));
        parts.truncate(most);
        parts
    }
}

/// Each limit that is exceeded, as a sentence.
fn reasons(
    too_large: &[&Candidate<'_>],
    packing: Option<&Packing>,
    unzipped: Bytes,
    known: Known,
    limits: &Limits,
) -> Vec<String> {
    let mut reasons = Vec::new();
    for file in too_large {
        reasons.push(format!(
            "{} alone makes a zip of {} bytes, more than the {} allowed",
            file.path,
            exact(file.item.weight + END_SIZE),
            exact(limits.max.0)
        ));
    }
    if let Some(packing) = packing
        && packing.bins.len() > limits.layers
    {
        reasons.push(format!(
            "{} layers are needed, more than the {} allowed",
            if packing.is_optimal() {
                packing.bins.len().to_string()
            } else {
                format!("{} to {}", packing.lower_bound, packing.bins.len())
            },
            limits.layers
        ));
    }
    if unzipped > limits.unzipped {
        reasons.push(format!(
            "{}{} bytes unzipped are more than the {} allowed",
            if known == Known::AtLeast { "at least " } else { "" },
            exact(unzipped.0),
            exact(limits.unzipped.0)
        ));
    }
    reasons
}

/// How many layers there would be with the largest zips that a request can carry, where that is fewer than `layers`.
pub(super) fn layers_at_limit(candidates: &[Candidate<'_>], layers: usize, limits: &Limits) -> Option<usize> {
    let most = Bytes(limits::ZIPPED_BYTES);
    if layers < 2 || limits.via == UploadRoute::S3 || limits.max >= most {
        return None;
    }
    let all: Vec<&Candidate<'_>> = candidates.iter().collect();
    needed(&all, most).filter(|needed| *needed < layers)
}

/// The number of zips of at most `max` bytes that candidates need, as far as is found; `None` where one is too large.
fn needed(candidates: &[&Candidate<'_>], max: Bytes) -> Option<usize> {
    let items: Vec<Item> = candidates.iter().map(|candidate| candidate.item).collect();
    let packing = bins::pack(&items, capacity(max), &[]).ok()?;
    Some(packing.bins.len())
}

fn unzipped(candidates: &[&Candidate<'_>]) -> Bytes {
    candidates.iter().map(|candidate| candidate.unzipped).sum()
}

/// The number of layers, where all limits are kept with zips of at most `max` bytes.
fn fitting(candidates: &[&Candidate<'_>], limits: &Limits, max: Bytes) -> Option<usize> {
    let fits = unzipped(candidates) <= limits.unzipped;
    needed(candidates, max).filter(|layers| fits && *layers <= limits.layers)
}
