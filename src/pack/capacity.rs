//! Checks packed entries against Lambda's limits on layers, and finds options that keep to them. No I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::bins::{self, Capacity, Item, Packing};
use super::zip::END_SIZE;
use crate::limits;
use crate::manifest::UploadRoute;
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

/// Queries on the rules that are disabled, used only if the limits are exceeded.
pub(super) struct DisabledRules<'a> {
    /// Those that would take a path.
    pub(super) taking: &'a dyn Fn(&TreePath) -> Vec<&'a str>,
    /// What stops working without what one takes.
    pub(super) breaks: &'a dyn Fn(&str) -> String,
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
    /// All entries, compressed, with their headers.
    pub zipped_bytes: Bytes,
    /// All entries, unzipped.
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
    /// Files and links. Some may stay, because something needs them.
    pub files: usize,
    /// What they add to the zips.
    pub zipped_bytes: Bytes,
    /// What they are unzipped.
    pub unzipped_bytes: Bytes,
    /// Whether all limits would be kept without them.
    pub fits: bool,
    /// What stops working without them.
    pub breaks: String,
}

/// The sizes of a component or of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SizeEntry {
    /// Its name or path.
    pub name: String,
    /// Files and links.
    pub files: usize,
    /// What it adds to the zips.
    pub zipped_bytes: Bytes,
    /// What it is unzipped.
    pub unzipped_bytes: Bytes,
}

/// Why `packing`, which is `None` where a file is too large, does not keep to the limits; `None` if it does.
pub(super) fn over_capacity(
    candidates: &[Candidate<'_>],
    packing: Option<&Packing>,
    limits: &Limits,
    disabled: &DisabledRules<'_>,
    runtime: &Runtime,
) -> Option<CapacityReport> {
    let all: Vec<&Candidate<'_>> = candidates.iter().collect();
    let unzipped: Bytes = unzipped(&all);
    let too_large = too_large(candidates, limits, disabled);
    let reasons = reasons(&too_large, packing, unzipped, limits);
    if reasons.is_empty() {
        return None;
    }
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
            zipped_bytes: candidates.iter().map(|candidate| Bytes(candidate.item.weight)).sum(),
            unzipped_bytes: unzipped,
        },
        reasons,
        too_large,
        ways: ways(&all, limits),
        rules_off: savings(candidates, limits, disabled),
        components: parts(candidates, |candidate| candidate.component, usize::MAX),
        files: parts(candidates, |candidate| candidate.path.as_str(), FILES),
    })
}

/// Each limit that is exceeded, as a sentence.
fn reasons(too_large: &[TooLarge], packing: Option<&Packing>, unzipped: Bytes, limits: &Limits) -> Vec<String> {
    let mut reasons = Vec::new();
    for file in too_large {
        reasons.push(format!(
            "{} alone makes a zip of {} bytes, more than the {} allowed",
            file.path,
            exact(file.zipped_bytes.0),
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
            "{} bytes unzipped are more than the {} allowed",
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

fn too_large(candidates: &[Candidate<'_>], limits: &Limits, disabled: &DisabledRules<'_>) -> Vec<TooLarge> {
    candidates
        .iter()
        .filter(|candidate| candidate.item.weight > limits.capacity().weight)
        .map(|candidate| TooLarge {
            path: candidate.path.to_string(),
            zipped_bytes: Bytes(candidate.item.weight + END_SIZE),
            stripped_bytes: candidate.stripped.map(|stripped| Bytes(stripped.0 + END_SIZE)),
            rules: (disabled.taking)(candidate.path)
                .into_iter()
                .map(ToOwned::to_owned)
                .collect(),
        })
        .collect()
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

fn savings(candidates: &[Candidate<'_>], limits: &Limits, disabled: &DisabledRules<'_>) -> Vec<Saving> {
    let takers: Vec<Vec<&str>> = candidates
        .iter()
        .map(|candidate| (disabled.taking)(candidate.path))
        .collect();
    let ids: BTreeSet<&str> = takers.iter().flatten().copied().collect();
    let mut savings: Vec<Saving> = ids
        .into_iter()
        .map(|id| {
            let (mut taken, mut left) = (Vec::new(), Vec::new());
            for (candidate, takers) in candidates.iter().zip(&takers) {
                let side = if takers.contains(&id) { &mut taken } else { &mut left };
                side.push(candidate);
            }
            Saving {
                id: id.to_owned(),
                files: taken.len(),
                zipped_bytes: taken.iter().map(|candidate| Bytes(candidate.item.weight)).sum(),
                unzipped_bytes: unzipped(&taken),
                fits: fitting(&left, limits, limits.max).is_some(),
                breaks: (disabled.breaks)(id),
            }
        })
        .collect();
    savings.sort_by(|a, b| b.zipped_bytes.cmp(&a.zipped_bytes).then_with(|| a.id.cmp(&b.id)));
    savings
}

/// The sizes by name, the largest first.
fn parts<'a>(
    candidates: &'a [Candidate<'a>],
    name: impl Fn(&'a Candidate<'a>) -> &'a str,
    most: usize,
) -> Vec<SizeEntry> {
    let mut sums: BTreeMap<&str, (usize, Bytes, Bytes)> = BTreeMap::new();
    for candidate in candidates {
        let (files, zipped, unzipped) = sums.entry(name(candidate)).or_default();
        *files += 1;
        *zipped += Bytes(candidate.item.weight);
        *unzipped += candidate.unzipped;
    }
    let mut parts: Vec<SizeEntry> = sums
        .into_iter()
        .map(|(name, (files, zipped_bytes, unzipped_bytes))| SizeEntry {
            name: name.to_owned(),
            files,
            zipped_bytes,
            unzipped_bytes,
        })
        .collect();
    parts.sort_by(|a, b| b.zipped_bytes.cmp(&a.zipped_bytes).then_with(|| a.name.cmp(&b.name)));
    parts.truncate(most);
    parts
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
                },
                unzipped: Bytes(*unzipped),
                stripped: None,
            })
            .collect();
        let items: Vec<Item> = candidates.iter().map(|candidate| candidate.item).collect();
        let packing = bins::pack(&items, limits.capacity(), &[]).ok();
        let runtime = Runtime::load(DEFAULT, Arch::X86_64).unwrap();
        let layers = packing.as_ref().map_or(0, |packing| packing.bins.len());
        let disabled = DisabledRules {
            taking: &|path| {
                let of = |(name, ..): &&(&str, u64, u64, &'static str)| *name == path.as_str();
                let rules = sizes.iter().find(of).map_or("", |(.., rules)| *rules);
                rules.split_whitespace().collect()
            },
            breaks: &str::to_owned,
        };
        (
            over_capacity(&candidates, packing.as_ref(), &limits, &disabled, &runtime),
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
        assert!(over_capacity.rules_off[0].fits && over_capacity.rules_off[0].id == "unix-man");
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
        assert_eq!(over_capacity.components[0].zipped_bytes, Bytes(80_000_000));
        let mut with_rules = large;
        with_rules[4].3 = "r-recommended unix-man";
        with_rules.push(("c/2", 10, 10, "unix-licenses"));
        let over_capacity = answer(&with_rules, limits).0.unwrap();
        let disabled: Vec<_> = over_capacity
            .rules_off
            .iter()
            .map(|rule| (rule.id.as_str(), rule.fits))
            .collect();
        assert_eq!(
            disabled,
            [("r-recommended", true), ("unix-man", true), ("unix-licenses", false)]
        );
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
