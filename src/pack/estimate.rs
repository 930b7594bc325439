//! What packing would give, without writing it.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use super::bins;
use super::distribute::{groups_of, items};
use super::named::{Assignment, NamedLayer};
use super::prepare::{Preparation, Ready};
use super::spool::Spool;
use super::zip::END_SIZE;
use super::{Limits, PackError, fail_on_problems};
use crate::languages::components::Components;
use crate::manifest::Effort;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::scan::Scan;
use crate::size::Bytes;
use crate::tree::TreePath;

/// What `pack` would make of a plan.
///
/// Unzipped sizes are those that it would have. Zipped ones are of the fast effort, and so up to two percent larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Estimate {
    /// How many layers there would be.
    pub layers: usize,
    /// The zips together.
    pub zipped_bytes: Bytes,
    /// What they unzip to.
    pub unzipped_bytes: Bytes,
    /// The maximum size of a zip.
    pub max_bytes: Bytes,
    /// The maximum number of layers.
    pub max_layers: usize,
    /// The maximum size of all layers together, unzipped.
    pub max_unzipped_bytes: Bytes,
}

impl Estimate {
    /// Whether the layers would keep to the limits.
    pub fn fits(&self) -> bool {
        self.layers <= self.max_layers && self.unzipped_bytes <= self.max_unzipped_bytes
    }
}

/// One entry of the layers that `pack` would make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EstimatedEntry {
    /// Its path.
    pub path: TreePath,
    /// What it would add to a zip, headers included.
    pub zipped_bytes: Bytes,
    /// What it would count unzipped.
    pub unzipped_bytes: Bytes,
}

/// Strips and compresses what the plan keeps, and counts: all together, and each entry, sorted by path.
pub fn estimate(
    tree: &Path,
    scan: &Scan,
    plan: &Plan,
    limits: &Limits,
    layers: &[NamedLayer],
    strip: bool,
    progress: &dyn Progress,
) -> Result<(Estimate, Vec<EstimatedEntry>), PackError> {
    fail_on_problems(scan)?;
    let preparation = Preparation {
        tree,
        plan,
        strip,
        recompress: true,
        effort: Effort::Fast,
        at_max: &BTreeSet::new(),
        spool: &Spool::new(&std::env::temp_dir())?,
        cache: None,
        progress,
    };
    let ready = preparation.all()?;
    let components = Components::of(&scan.tree);
    let assignment = Assignment::new(&ready, layers)?;
    let weights: Vec<u64> = ready.iter().map(Ready::weight).collect();
    let items = items(&groups_of(&ready, &components), &weights, &assignment);
    let weight: u64 = items.iter().map(|item| item.weight).sum();
    let capacity = limits.capacity();
    // A file or a named layer may be too large for any zip: then as many as its size asks for, which does not fit either.
    let layers = match bins::pack(&items, capacity, &[]) {
        Ok(packing) => packing.bins.len(),
        Err(_) => usize::try_from(weight.div_ceil(capacity.weight.max(1)))
            .unwrap_or(usize::MAX)
            .max(limits.layers + 1),
    };
    let entries: Vec<EstimatedEntry> = ready
        .iter()
        .map(|ready| EstimatedEntry {
            path: ready.path.clone(),
            zipped_bytes: Bytes(ready.weight()),
            unzipped_bytes: Bytes(u64::from(ready.entry.uncompressed)),
        })
        .collect();
    let estimate = Estimate {
        layers,
        zipped_bytes: Bytes(weight + END_SIZE * layers as u64),
        unzipped_bytes: entries.iter().map(|entry| entry.unzipped_bytes).sum(),
        max_bytes: limits.max,
        max_layers: limits.layers,
        max_unzipped_bytes: limits.unzipped,
    };
    Ok((estimate, entries))
}
