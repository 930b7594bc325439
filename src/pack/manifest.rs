//! Makes the manifest of what was packed.

use super::Options;
use super::cache::Change;
use super::distribute::Distribution;
use super::prepare::Ready;
use crate::manifest::{
    AddedFile, ChangedFile, Dropped, LayerSummary, Manifest, NotLinked, SCHEMA_VERSION, ShadowedFile, Totals,
    UntouchedFile,
};
use crate::plan::Plan;
use crate::runtime::Runtime;
use crate::scan::Scan;
use crate::size::Bytes;
use crate::tree::Entry;

pub(super) fn manifest(
    scan: &Scan,
    plan: &Plan,
    runtime: &Runtime,
    options: &Options,
    distribution: Distribution,
    ready: &[Ready],
    layers: Vec<LayerSummary>,
) -> Manifest {
    Manifest {
        schema_version: SCHEMA_VERSION,
        runtime: runtime.name.clone(),
        arch: runtime.arch,
        max_bytes: options.limits.max,
        via: options.limits.via,
        effort: options.effort,
        totals: Totals {
            layers: layers.len(),
            lower_bound: distribution.packing.lower_bound,
            optimal: distribution.packing.is_optimal(),
            layers_at_limit: distribution.layers_at_limit,
            zipped_bytes: layers.iter().map(|layer| layer.zipped_bytes).sum(),
            unzipped_bytes: layers.iter().map(|layer| layer.unzipped_bytes).sum(),
        },
        layers,
        dropped: plan
            .dropped_by_rule(&scan.tree)
            .into_iter()
            .map(|(rule, files, bytes)| Dropped {
                paths: dropped_paths(plan, scan, &rule),
                rule,
                files,
                bytes,
            })
            .collect(),
        rest: options.rest.clone(),
        shadowed: plan
            .shadowed
            .iter()
            .filter(|library| plan.dropped.contains_key(&library.path))
            .map(|library| ShadowedFile {
                path: library.path.to_string(),
                soname: library.soname.clone(),
                by: library.by.clone(),
            })
            .collect(),
        added: added_files(plan),
        variables: plan.variables.clone(),
        licenses: options.licenses.clone(),
        changed: changed(plan, ready),
        not_stripped: not_stripped(ready),
        not_linked: not_linked(plan),
        recompressed: distribution.recompressed,
        removed_layers: Vec::new(),
        proof: None,
        findings: Vec::new(),
    }
}

/// The paths that a rule removed, as the manifest has them.
fn dropped_paths(plan: &Plan, scan: &Scan, rule: &str) -> Vec<String> {
    let removed = plan.dropped.iter().filter(|(_, by)| *by == rule);
    removed
        .map(|(path, _)| match scan.tree.get(path) {
            Some(Entry::Directory(_)) => format!("{path}/"),
            _ => path.to_string(),
        })
        .collect()
}

/// What the plan changed, and what was stripped or recompressed, sorted by path.
fn changed(plan: &Plan, ready: &[Ready]) -> Vec<ChangedFile> {
    let planned = plan.changed.iter().map(|changed| ChangedFile {
        path: changed.path.to_string(),
        by: changed.by.to_owned(),
        before_bytes: changed.before,
        after_bytes: changed.after,
        what: changed.reason.as_ref().map(|reason| reason.what.clone()),
        why: changed.reason.as_ref().map(|reason| reason.why.clone()),
    });
    let treated = ready.iter().filter_map(|ready| {
        let (by, before) = match ready.change {
            Change::Stripped { before } => ("strip", before),
            Change::Recompressed { before } => ("recompress", before),
            Change::None | Change::NotStripped(_) => return None,
        };
        Some(ChangedFile {
            path: ready.path.to_string(),
            by: by.to_owned(),
            before_bytes: before,
            after_bytes: Bytes(u64::from(ready.entry.uncompressed)),
            what: None,
            why: None,
        })
    });
    let mut changed: Vec<_> = planned.chain(treated).collect();
    changed.sort_by(|a, b| a.path.cmp(&b.path));
    changed
}

/// What the plan adds to the tree.
pub fn added_files(plan: &Plan) -> Vec<AddedFile> {
    plan.added
        .iter()
        .map(|added| AddedFile {
            path: added.path.to_string(),
            from: added.from.to_string(),
            soname: added.soname.clone(),
            needed_by: added.needed_by.iter().map(ToString::to_string).collect(),
            package: added.package.clone(),
        })
        .collect()
}

/// The files with the same content that are there more than once.
fn not_linked(plan: &Plan) -> Vec<NotLinked> {
    let unlinked = plan.unlinked.iter().map(|files| NotLinked {
        paths: files.paths.iter().map(ToString::to_string).collect(),
        bytes: files.bytes,
        reason: files.reason.to_owned(),
    });
    unlinked.collect()
}

/// The objects that could not be stripped, each with the reason.
fn not_stripped(ready: &[Ready]) -> Vec<UntouchedFile> {
    ready
        .iter()
        .filter_map(|ready| match &ready.change {
            Change::NotStripped(reason) => Some(UntouchedFile {
                path: ready.path.to_string(),
                reason: reason.clone(),
            }),
            _ => None,
        })
        .collect()
}
