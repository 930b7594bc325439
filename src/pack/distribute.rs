//! Decides which entry goes into which zip.

use std::collections::BTreeMap;

use super::bins::{self, Capacity, GroupId, Item, Packing};
use super::capacity::{self, Candidate, Known, Proposals};
use super::named::Assignment;
use super::prepare::{Preparation, Ready};
use super::previous::History;
use super::zip::entry_size;
use super::{Options, PackError, last_bytes};
use crate::languages::components::Components;
use crate::manifest::{Effort, Recompressed};
use crate::plan::WhatIf;
use crate::runtime::Runtime;
use crate::size::Bytes;
use crate::timings::phase;
use crate::tree::TreePath;

/// Which entry goes into which zip.
pub(super) struct Distribution {
    pub(super) packing: Packing,
    /// What was compressed once more for it, sorted by path.
    pub(super) recompressed: Vec<Recompressed>,
    /// What of the named layers the user may not expect.
    pub(super) layer_notes: Vec<String>,
    /// How many zips there would be at the largest size that a request can carry, where that is fewer.
    pub(super) layers_at_limit: Option<usize>,
}

/// What the distribution of entries over zips depends on.
pub(super) struct Distributor<'a> {
    pub(super) preparation: &'a Preparation<'a>,
    pub(super) what_if: Option<WhatIf<'a>>,
    pub(super) components: &'a Components,
    pub(super) runtime: &'a Runtime,
    pub(super) options: &'a Options,
    pub(super) history: &'a History,
}

impl Distributor<'_> {
    /// Fails if the layers are too large unzipped whatever the contents can be compressed to: before they are.
    pub(super) fn fits_unzipped(&self) -> Result<(), PackError> {
        let unzipped = self.options.limits.unzipped;
        let Some((lengths, known)) = self.preparation.lengths_beyond(unzipped)? else {
            return Ok(());
        };
        let candidates: Vec<Candidate<'_>> = lengths
            .iter()
            .map(|(path, bytes)| Candidate {
                path,
                component: self.components.name(path),
                item: Item {
                    group: GroupId(0),
                    weight: entry_size(path.as_str(), bytes.0),
                    reserved: None,
                },
                unzipped: *bytes,
                stripped: None,
            })
            .collect();
        let size = |path: &TreePath| lengths.get(path).map_or(0, |bytes| bytes.0);
        self.within_limits(&candidates, known, None, &size)
    }

    /// Finds the fewest zips for entries, and fails if they exceed the limits. If it saves a layer, entries are compressed again.
    pub(super) fn distribute(&self, ready: &mut Vec<Ready>) -> Result<Distribution, PackError> {
        let _phase = phase("distribute");
        let limits = &self.options.limits;
        let capacity = limits.capacity();
        let mut recompressed = self.history.recompressed(ready);
        if self.preparation.effort == Effort::Best {
            recompressed.extend(last_bytes::fit_alone(self.preparation, ready, capacity.weight)?);
        }
        let paths: Vec<&TreePath> = ready.iter().map(|ready| &ready.path).collect();
        let groups = groups_of(paths.iter().copied(), self.components);
        let assignment = Assignment::new(&paths, &self.options.layers)?;
        let mut packing = None;
        if ready.iter().all(|ready| ready.weight() <= capacity.weight) {
            assignment.check(ready, &self.options.layers, capacity, limits.max)?;
            let (found, more) = self.fewest_zips(ready, &groups, &assignment, capacity)?;
            packing = Some(found);
            recompressed.extend(more);
        }
        recompressed.sort_by(|a, b| a.path.cmp(&b.path));
        let candidates = self.candidates(ready, &groups, &assignment, capacity);
        let size = |path: &TreePath| {
            let at = ready.binary_search_by(|ready| ready.path.cmp(path));
            at.map_or(0, |at| ready[at].weight())
        };
        self.within_limits(&candidates, Known::Exact, packing.as_ref(), &size)?;
        // What is too large for any zip exceeds the limits.
        let packing = packing.ok_or_else(|| wrong_packing("it has no zips".to_owned()))?;
        every_entry_once(ready, &packing)?;
        Ok(Distribution {
            layers_at_limit: capacity::layers_at_limit(&candidates, packing.bins.len(), limits),
            packing,
            recompressed,
            layer_notes: assignment.notes,
        })
    }

    /// Packs entries of which each fits into a zip, and tells which of them were compressed again to save a layer.
    fn fewest_zips(
        &self,
        ready: &mut Vec<Ready>,
        groups: &[GroupId],
        assignment: &Assignment,
        capacity: Capacity,
    ) -> Result<(Packing, Vec<Recompressed>), PackError> {
        let previous = self.history.layers_of(ready);
        let pack = |weights: &[u64]| {
            // No item is too large, and no named layer, so that this cannot fail.
            bins::pack(&items(groups, weights, assignment), capacity, &previous)
                .map_err(|error| wrong_packing(error.to_string()))
        };
        let weights: Vec<u64> = ready.iter().map(Ready::weight).collect();
        let packing = pack(&weights)?;
        match self.preparation.effort {
            Effort::Best => last_bytes::save_a_layer(self.preparation, ready, packing, &pack),
            Effort::Fast | Effort::Max => Ok((packing, Vec::new())),
        }
    }

    /// Fails with what would make entries fit if they exceed the limits. `size` gives the bytes that leaving out a path saves.
    fn within_limits(
        &self,
        candidates: &[Candidate<'_>],
        known: Known,
        packing: Option<&Packing>,
        size: &dyn Fn(&TreePath) -> u64,
    ) -> Result<(), PackError> {
        let proposals = Proposals {
            rules: &|| self.what_if.map_or_else(Vec::new, |what_if| what_if.rules()),
            packages: &|| {
                let packages = |what_if: WhatIf<'_>| what_if.packages(self.components, size);
                self.what_if.map_or_else(Vec::new, packages)
            },
            combination: &|changes, suffices| self.what_if?.combination(changes, suffices),
        };
        let limits = &self.options.limits;
        match capacity::over_capacity(candidates, known, packing, limits, &proposals, self.runtime) {
            Some(report) => Err(PackError::OverCapacity(Box::new(report))),
            None => Ok(()),
        }
    }

    /// The entries with what their distribution over zips depends on.
    fn candidates<'r>(
        &'r self,
        ready: &'r [Ready],
        groups: &[GroupId],
        assignment: &Assignment,
        capacity: Capacity,
    ) -> Vec<Candidate<'r>> {
        let weights: Vec<u64> = ready.iter().map(Ready::weight).collect();
        let stripped = |ready: &Ready| {
            let is_too_large = ready.weight() > capacity.weight && !self.preparation.strip;
            is_too_large
                .then(|| self.preparation.stripped_size(&ready.path))
                .flatten()
        };
        ready
            .iter()
            .zip(items(groups, &weights, assignment))
            .map(|(ready, item)| Candidate {
                path: &ready.path,
                component: self.components.name(&ready.path),
                item,
                unzipped: Bytes(u64::from(ready.entry.uncompressed)),
                stripped: stripped(ready),
            })
            .collect()
    }
}

/// Error of a packing that cannot be: a bug in this program.
fn wrong_packing(reason: String) -> PackError {
    PackError::Verification {
        file: "the packing".to_owned(),
        reason,
    }
}

/// Fails if a packing leaves an entry out or has it twice.
fn every_entry_once(ready: &[Ready], packing: &Packing) -> Result<(), PackError> {
    let mut times = vec![0_usize; ready.len()];
    for index in packing.bins.iter().flatten() {
        times[*index] += 1;
    }
    match times.iter().zip(ready).find(|(times, _)| **times != 1) {
        None => Ok(()),
        Some((times, Ready { path, .. })) => Err(wrong_packing(format!("it has {path} {times} times"))),
    }
}

/// The entries as items of these weights.
pub(super) fn items(groups: &[GroupId], weights: &[u64], assignment: &Assignment) -> Vec<Item> {
    let reserved = assignment.layer_of.iter();
    let both = groups.iter().zip(weights).zip(reserved);
    both.map(|((&group, &weight), &reserved)| Item {
        group,
        weight,
        reserved,
    })
    .collect()
}

/// The group of each entry: what belongs together should share a zip.
pub(super) fn groups_of<'a>(paths: impl Iterator<Item = &'a TreePath>, components: &Components) -> Vec<GroupId> {
    let mut groups: BTreeMap<String, GroupId> = BTreeMap::new();
    paths
        .map(|path| {
            let next = GroupId(u32::try_from(groups.len()).unwrap_or(u32::MAX));
            *groups.entry(components.group(path)).or_insert(next)
        })
        .collect()
}
