//! Checks packed entries against Lambda's limits on layers, and finds options that keep to them. No I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::bins::{self, Capacity, Item, Packing};
use super::zip::END_SIZE;
use crate::limits;
use crate::manifest::UploadRoute;
use crate::plan::{Change, Gain};
use crate::runtime::{Arch, Runtime};
use crate::size::{Bytes, exact};
use crate::tree::TreePath;
use crate::tree::path::escaped;

/// Version of the schema of [`CapacityReport`].
const SCHEMA_VERSION: u32 = 1;

/// How many files the report lists, the largest first.
const FILES: usize = 20;

/// The option with which only the unzipped size is limited.
const THROUGH_S3: &str = "--via s3";

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
    /// The rules that are off, each with what it would take.
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

/// Report on layers that exceed the limits, with options that would make them fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CapacityReport {
    /// Version of this document's schema.
    pub schema_version: u32,
    /// Always false: nothing was written.
    pub ok: bool,
    /// The runtime that the layers were to be for.
    pub runtime: String,
    /// The architecture that they were to be for.
    pub arch: Arch,
    /// The largest zip that was allowed.
    pub max_bytes: Bytes,
    /// How many layers were allowed.
    pub max_layers: usize,
    /// What was allowed unzipped.
    pub max_unzipped_bytes: Bytes,
    /// How the layers were to get to AWS.
    pub via: UploadRoute,
    /// What it comes to.
    pub totals: CapacityTotals,
    /// Each limit that is exceeded, in words.
    pub reasons: Vec<String>,
    /// Files that do not fit into a zip even alone.
    pub too_large: Vec<TooLarge>,
    /// What would make it fit, the least first.
    pub ways: Vec<Alternative>,
    /// Rules that are off and would take something of it, the one that saves most first.
    pub rules_off: Vec<Saving>,
    /// Packages without which it would be less, the one that saves most first. Only those that nothing else needs.
    pub drops: Vec<PackageSaving>,
    /// Several of these together that make it fit, if one alone does not.
    pub combination: Option<Combination>,
    /// What there is, the largest first.
    pub components: Vec<SizeEntry>,
    /// The largest files.
    pub files: Vec<SizeEntry>,
}

impl std::error::Error for CapacityReport {}

impl fmt::Display for CapacityReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it does not fit: {}.", escaped(self.reasons.join("; ").as_bytes()))?;
        if !self.ways.is_empty() {
            let ways: Vec<&str> = self.ways.iter().map(|way| way.option.as_str()).collect();
            write!(f, " It would with {}", ways.join(" or "))?;
            let bucket = self.ways.iter().any(|way| way.option == THROUGH_S3);
            f.write_str(if bucket { ", as S3 has no limit on a zip." } else { "." })?;
        }
        f.write_str(" Nothing was written")
    }
}

/// Sizes of everything that was to be packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CapacityTotals {
    /// The fewest layers that were found; `None` where a file is too large for any.
    pub layers: Option<usize>,
    /// Fewer layers than this are impossible.
    pub lower_bound: Option<usize>,
    /// All entries, compressed, with their headers; `None` where nothing was compressed, because it is too much unzipped.
    pub zipped_bytes: Option<Bytes>,
    /// All entries, unzipped; if nothing was compressed, they may be more.
    pub unzipped_bytes: Bytes,
}

/// A file that does not fit into a zip of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TooLarge {
    /// The file.
    pub path: String,
    /// How long a zip with nothing else would be.
    pub zipped_bytes: Bytes,
    /// How long it would be if the file were stripped, where it was not and that would help.
    pub stripped_bytes: Option<Bytes>,
    /// Rules that are off and would take it.
    pub rules: Vec<String>,
}

/// A command-line option with which all limits are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Alternative {
    /// The option, as it is to be added to the command line.
    pub option: String,
    /// How many layers it comes to.
    pub layers: usize,
}

/// What a disabled rule would save.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Saving {
    /// Its id.
    pub id: String,
    /// The kind of files.
    pub category: String,
    /// What would be left.
    #[serde(flatten)]
    pub effect: Effect,
    /// What stops working without them.
    pub breaks: String,
}

/// What leaving a package out would save.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PackageSaving {
    /// Its name.
    pub component: String,
    /// The options, as they are to be added to the command line.
    pub options: Vec<String>,
    /// What would be left.
    #[serde(flatten)]
    pub effect: Effect,
}

/// Options that make it fit together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Combination {
    /// The options, as they are to be added to the command line.
    pub options: Vec<String>,
    /// What would be left.
    #[serde(flatten)]
    pub effect: Effect,
}

/// What goes with a change, after all that something kept needs has stayed, and what is left then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Effect {
    /// Files and links that go.
    pub files: usize,
    /// What they add to the zips; `None` where nothing was compressed.
    pub zipped_bytes: Option<Bytes>,
    /// What they are unzipped.
    pub unzipped_bytes: Bytes,
    /// Whether all limits would be kept without them; `None` where that depends on how small the rest can be compressed.
    pub fits: Option<bool>,
    /// How many bytes unzipped would still be too much.
    pub too_much_unzipped_bytes: Bytes,
    /// How many layers there would be; `None` where a file is too large for any, and where nothing was compressed.
    pub layers: Option<usize>,
}

/// The sizes of a component or of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SizeEntry {
    /// Its name or path.
    pub name: String,
    /// Files and links.
    pub files: usize,
    /// What it adds to the zips; `None` where nothing was compressed.
    pub zipped_bytes: Option<Bytes>,
    /// What it is unzipped.
    pub unzipped_bytes: Bytes,
}

/// Why `packing`, which is `None` where a file is too large or nothing was compressed, does not keep to the limits; `None` if it
/// does.
// Long: the document is put together field by field.
pub(super) fn over_capacity(
    candidates: &[Candidate<'_>],
    known: Known,
    packing: Option<&Packing>,
    limits: &Limits,
    proposals: &Proposals<'_>,
    runtime: &Runtime,
) -> Option<CapacityReport> {
    let all: Vec<&Candidate<'_>> = candidates.iter().collect();
    let unzipped: Bytes = unzipped(&all);
    let over = |candidate: &&Candidate<'_>| known == Known::Exact && candidate.item.weight > limits.capacity().weight;
    let over: Vec<&Candidate<'_>> = candidates.iter().filter(over).collect();
    let reasons = reasons(&over, packing, unzipped, known, limits);
    if reasons.is_empty() {
        return None;
    }
    let judge = Judge {
        candidates,
        known,
        limits,
    };
    let (rules, packages) = ((proposals.rules)(), (proposals.packages)());
    let taking = |path: &TreePath| -> Vec<String> {
        let taking = rules.iter().filter(|gain| gain.paths.contains(path));
        taking.filter_map(rule_of).map(|(id, ..)| id).collect()
    };
    Some(CapacityReport {
        schema_version: SCHEMA_VERSION,
        ok: false,
        runtime: runtime.name.clone(),
        arch: runtime.arch,
        max_bytes: limits.max,
        max_layers: limits.layers,
        max_unzipped_bytes: limits.unzipped,
        via: limits.via,
        totals: CapacityTotals {
            layers: packing.map(|packing| packing.bins.len()),
            lower_bound: packing.map(|packing| packing.lower_bound),
            zipped_bytes: judge.zipped(&all),
            unzipped_bytes: unzipped,
        },
        reasons,
        too_large: over
            .into_iter()
            .map(|candidate| TooLarge {
                path: candidate.path.to_string(),
                zipped_bytes: Bytes(candidate.item.weight + END_SIZE),
                stripped_bytes: candidate.stripped.map(|stripped| Bytes(stripped.0 + END_SIZE)),
                rules: taking(candidate.path),
            })
            .collect(),
        ways: if known == Known::Exact {
            ways(&all, limits)
        } else {
            Vec::new()
        },
        rules_off: judge.savings(&rules),
        drops: judge.drops(&packages),
        combination: judge.combination(&rules, &packages, proposals.combination),
        components: judge.parts(|candidate| candidate.component, usize::MAX),
        files: judge.parts(|candidate| candidate.path.as_str(), FILES),
    })
}

/// Id, category and what breaks of a rule that is proposed.
fn rule_of(gain: &Gain) -> Option<(String, String, String)> {
    match &gain.change {
        Change::Enable { id, category, breaks } => Some((id.clone(), category.clone(), breaks.clone())),
        Change::Drop { .. } => None,
    }
}

/// Says what is left without some of the entries.
struct Judge<'a> {
    candidates: &'a [Candidate<'a>],
    known: Known,
    limits: &'a Limits,
}

impl Judge<'_> {
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
        let all: Vec<&Candidate<'_>> = self.candidates.iter().collect();
        match effect.zipped_bytes {
            Some(zipped) if unzipped(&all) <= self.limits.unzipped => zipped.0,
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

/// Larger zips: as large as a request can carry, and as large as they can be in a bucket.
fn ways(candidates: &[&Candidate<'_>], limits: &Limits) -> Vec<Alternative> {
    if limits.via == UploadRoute::S3 {
        return Vec::new();
    }
    let larger = [
        (limits::ZIPPED_BYTES, format!("--max {}", limits::ZIPPED_BYTES)),
        (limits::ZIP_BYTES, THROUGH_S3.to_owned()),
    ];
    larger
        .into_iter()
        .filter(|(max, _)| *max > limits.max.0)
        .filter_map(|(max, option)| {
            let layers = fitting(candidates, limits, Bytes(max))?;
            Some(Alternative { option, layers })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::bins::GroupId;
    use super::*;
    use crate::runtime::DEFAULT;

    fn answer(sizes: &[(&str, u64, u64, &'static str)], limits: Limits) -> (Option<CapacityReport>, Option<usize>) {
        let paths: Vec<TreePath> = sizes.iter().map(|(path, ..)| TreePath::new(path).unwrap()).collect();
        let candidates: Vec<Candidate<'_>> = sizes
            .iter()
            .zip(&paths)
            .map(|((_, zipped, unzipped, _), path)| Candidate {
                path,
                component: path.names().next().unwrap_or_default(),
                item: Item {
                    group: GroupId(0),
                    weight: *zipped,
                    reserved: None,
                },
                unzipped: Bytes(*unzipped),
                stripped: None,
            })
            .collect();
        let items: Vec<Item> = candidates.iter().map(|candidate| candidate.item).collect();
        let packing = bins::pack(&items, limits.capacity(), &[]).ok();
        let runtime = Runtime::load(DEFAULT, Arch::X86_64).unwrap();
        let layers = packing.as_ref().map_or(0, |packing| packing.bins.len());
        let rules = || {
            let mut taken: BTreeMap<&str, BTreeSet<TreePath>> = BTreeMap::new();
            for ((.., rules), path) in sizes.iter().zip(&paths) {
                for rule in rules.split_whitespace() {
                    taken.entry(rule).or_default().insert(path.clone());
                }
            }
            let gain = |(id, paths): (&str, BTreeSet<TreePath>)| Gain {
                change: Change::Enable {
                    id: id.to_owned(),
                    category: String::new(),
                    breaks: id.to_owned(),
                },
                paths,
            };
            taken.into_iter().map(gain).collect::<Vec<_>>()
        };
        let packages = || {
            let gain = |path: &TreePath| Gain {
                change: Change::Drop {
                    component: path.to_string(),
                    globs: vec![path.to_string()],
                },
                paths: BTreeSet::from([path.clone()]),
            };
            paths.iter().map(gain).collect::<Vec<_>>()
        };
        let combination = |changes: &[&Change], suffices: &dyn Fn(&BTreeSet<TreePath>) -> bool| {
            (2..=changes.len()).find_map(|count| {
                let gains: Vec<Gain> = rules().into_iter().chain(packages()).collect();
                let is_in = |gain: &&Gain| changes[..count].contains(&&gain.change);
                let going = gains.iter().filter(is_in).flat_map(|gain| gain.paths.clone()).collect();
                suffices(&going).then_some((count, going))
            })
        };
        let proposals = Proposals {
            rules: &rules,
            packages: &packages,
            combination: &combination,
        };
        (
            over_capacity(
                &candidates,
                Known::Exact,
                packing.as_ref(),
                &limits,
                &proposals,
                &runtime,
            ),
            layers_at_limit(&candidates, layers, &limits),
        )
    }

    #[test]
    fn what_keeps_to_the_limits_is_not_reported() {
        let limits = Limits::DEFAULT;
        assert_eq!(answer(&[("a/x", 40_000_000, 262_143_999, "")], limits).0, None);
        let (over_capacity, _) = answer(&[("a/x", 40_000_000, 262_144_000, "unix-man")], limits);
        let over_capacity = over_capacity.unwrap();
        assert_eq!(
            over_capacity.reasons,
            ["262,144,000 bytes unzipped are more than the 262,143,999 allowed"]
        );
        // Larger zips are no help; leaving it out is.
        assert_eq!(over_capacity.ways, []);
        assert!(over_capacity.rules_off[0].effect.fits == Some(true) && over_capacity.rules_off[0].id == "unix-man");
    }

    #[test]
    fn too_many_layers_and_what_would_help() {
        let forty = |name| (name, 40_000_000, 40_000_000, "");
        let large: Vec<_> = ["a/1", "a/2", "b/1", "b/2", "c/1"].map(forty).to_vec();
        assert_eq!(answer(&large, Limits::DEFAULT).0, None);
        let limits = Limits {
            layers: 4,
            ..Limits::DEFAULT
        };
        let over_capacity = answer(&large, limits).0.unwrap();
        assert_eq!(over_capacity.reasons, ["5 layers are needed, more than the 4 allowed"]);
        let ways: Vec<_> = over_capacity
            .ways
            .iter()
            .map(|way| (way.option.as_str(), way.layers))
            .collect();
        assert_eq!(ways, [("--via s3", 1)]);
        assert_eq!(over_capacity.components[0].name, "a");
        assert_eq!(over_capacity.components[0].zipped_bytes, Some(Bytes(80_000_000)));
        let mut with_rules = large;
        with_rules[4].3 = "r-recommended unix-man";
        with_rules.push(("c/2", 10, 10, "unix-licenses"));
        let over_capacity = answer(&with_rules, limits).0.unwrap();
        let disabled: Vec<_> = over_capacity
            .rules_off
            .iter()
            .map(|rule| (rule.id.as_str(), rule.effect.fits == Some(true)))
            .collect();
        assert_eq!(
            disabled,
            [("r-recommended", true), ("unix-man", true), ("unix-licenses", false)]
        );
    }

    #[test]
    fn what_saves_most_comes_first_with_how_much_is_still_too_much() {
        let limits = Limits {
            unzipped: Bytes(100),
            ..Limits::DEFAULT
        };
        let sizes = [
            ("a", 10, 40, "small"),
            ("b", 5, 60, "large"),
            ("c", 1, 150, ""),
            ("d", 90, 10, "small"),
        ];
        let report = answer(&sizes, limits).0.unwrap();
        let rules = report.rules_off.iter();
        let rules: Vec<_> = rules
            .map(|rule| {
                (
                    rule.id.as_str(),
                    rule.effect.fits,
                    rule.effect.too_much_unzipped_bytes.0,
                )
            })
            .collect();
        assert_eq!(rules, [("large", Some(false), 100), ("small", Some(false), 110)]);
        let drops: Vec<_> = report.drops.iter().map(|drop| drop.component.as_str()).collect();
        assert_eq!(drops, ["c", "b", "a", "d"]);
        let combination = report.combination.unwrap();
        assert_eq!(combination.options, ["--enable large", "--enable small", "--drop 'c'"]);
        assert_eq!(combination.effect.fits, Some(true));
    }

    #[test]
    fn a_file_that_is_too_large_alone() {
        let over_capacity = answer(
            &[("large", 51_000_000, 60_000_000, ""), ("small", 7, 7, "")],
            Limits::DEFAULT,
        );
        let over_capacity = over_capacity.0.unwrap();
        assert_eq!(
            over_capacity.reasons,
            ["large alone makes a zip of 51,000,022 bytes, more than the 50,000,000 allowed"]
        );
        let ways: Vec<_> = over_capacity.ways.iter().map(|way| way.option.as_str()).collect();
        assert_eq!(ways, ["--max 52428799", "--via s3"]);
        assert_eq!(over_capacity.totals.layers, None);
    }

    #[test]
    fn mebibytes_are_proposed_where_they_save_a_layer() {
        let candidates = |zipped| [("a", zipped, 1, ""), ("b", 26_000_000, 1, "")];
        assert_eq!(answer(&candidates(26_000_000), Limits::DEFAULT).1, Some(1));
        assert_eq!(answer(&candidates(24_000_000 - 22), Limits::DEFAULT).1, None);
        assert_eq!(answer(&candidates(27_000_000), Limits::DEFAULT).1, None);
        let s3 = Limits {
            via: UploadRoute::S3,
            ..Limits::DEFAULT
        };
        assert_eq!(answer(&candidates(26_000_000), s3).1, None);
    }
}
