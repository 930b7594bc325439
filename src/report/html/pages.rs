//! The pages of the commands.

use std::collections::{BTreeMap, BTreeSet};

use super::files::{PackedEntries, compared, estimated_entries, inventoried, planned};
use super::libraries::LibraryGraph;
use super::{Heading, Meter, Page, Table};
use crate::diff::{Change, Diff};
use crate::finding::{Finding, any_error};
use crate::gate::Allowed;
use crate::inventory::Inventory;
use crate::limits;
use crate::loader::Graph;
use crate::pack::{CapacityReport, Estimate, EstimatedEntry, Packed};
use crate::plan::Plan;
use crate::report::analysis::{Analysis, RuleEffect};
use crate::report::table::RenderOptions;
use crate::report::{Checked, capacity, difference, overview, packed, text};
use crate::size::{Bytes, exact};
use crate::tree::{Tree, TreePath};

/// The page of `analyze`. `entries` are what the layers would contain, if that is known.
pub fn analysis_page(
    analysis: &Analysis,
    tree: &Tree,
    plan: &Plan,
    entries: Option<&[EstimatedEntry]>,
    name: &str,
) -> String {
    let entries = entries.map(estimated_entries);
    let estimate = analysis.estimate.as_ref();
    Page {
        subject: name.to_owned(),
        command: "analyze",
        verdict: capitalized(&overview::state_and_sizes(analysis)),
        is_ok: Some(!any_error(&analysis.findings) && estimate.is_none_or(Estimate::fits)),
        meters: estimate.map_or_else(Vec::new, |estimate| {
            meters(
                (estimate.zipped_bytes, estimate.max_bytes, estimate.layers),
                (estimate.unzipped_bytes, estimate.max_unzipped_bytes),
            )
        }),
        tables: vec![rules(&analysis.rules)],
        findings: analysis.findings.clone(),
        ..of_plan(tree, plan, entries.as_ref())
    }
    .render()
}

/// The page of `pack`.
pub fn packed_page(packed: &Packed, allowed: &[Allowed], tree: &Tree, plan: &Plan, output: &str) -> String {
    let manifest = &packed.manifest;
    let totals = &manifest.totals;
    Page {
        subject: output.to_owned(),
        command: "pack",
        verdict: packed::sum(packed, output),
        is_ok: Some(!any_error(&packed.findings)),
        meters: meters(
            (totals.zipped_bytes, manifest.max_bytes, totals.layers),
            (totals.unzipped_bytes, UNZIPPED),
        ),
        tables: vec![
            Table {
                id: "layers",
                title: "Layers",
                columns: LAYERS.to_vec(),
                rows: manifest
                    .layers
                    .iter()
                    .map(|layer| layer_row(&layer.file, layer.zipped_bytes, layer.unzipped_bytes, layer.entries))
                    .collect(),
            },
            Table {
                id: "added",
                title: "Added from this machine",
                columns: vec![Heading::Text("Path"), Heading::Text("From"), Heading::Text("Needed by")],
                rows: manifest
                    .added
                    .iter()
                    .map(|added| vec![added.path.clone(), added.from.clone(), added.needed_by.join(", ")])
                    .collect(),
            },
            Table {
                id: "removed",
                title: "Removed",
                columns: vec![Heading::Text("Rule"), Heading::Number("Files"), Heading::Number("Size")],
                rows: manifest
                    .dropped
                    .iter()
                    .map(|dropped| {
                        vec![
                            dropped.rule.clone(),
                            exact(dropped.files as u64),
                            dropped.bytes.to_string(),
                        ]
                    })
                    .collect(),
            },
        ],
        findings: packed.findings.clone(),
        allowed: allowed.iter().map(with_reason).collect(),
        ..of_plan(tree, plan, Some(&super::packed_entries(manifest)))
    }
    .render()
}

/// The page of `pack` for a tree that does not fit: what is in the tree, and what would make it fit.
pub fn over_capacity_page(report: &CapacityReport, tree: &Tree, plan: &Plan, name: &str) -> String {
    let lines = capacity::over_capacity(report, RenderOptions::default());
    Page {
        subject: name.to_owned(),
        command: "pack",
        verdict: report.to_string(),
        is_ok: Some(false),
        tables: vec![Table {
            id: "capacity",
            title: "What would make it fit",
            columns: vec![Heading::Text("Size and way")],
            rows: lines
                .lines()
                .filter(|line| !line.trim().is_empty())
                .map(|line| vec![line.to_owned()])
                .collect(),
        }],
        ..of_plan(tree, plan, None)
    }
    .render()
}

/// The page of `check`. `merged` are all layers laid over one another, and `graph` is what the loader does with them.
pub fn checked_page(checked: &Checked, inventory: &Inventory, merged: &Tree, graph: &Graph) -> String {
    let totals = &checked.totals;
    let names: Vec<&str> = checked.layers.iter().map(|layer| layer.file.as_str()).collect();
    let zipped = checked.layers.iter().map(|layer| layer.zipped_bytes).max();
    let mut meters = vec![Meter {
        label: "unzipped".to_owned(),
        used: totals.unzipped_bytes,
        limit: UNZIPPED,
    }];
    if let Some(used) = zipped {
        meters.insert(
            0,
            Meter {
                label: "zipped, the largest layer".to_owned(),
                used,
                limit: Bytes(limits::ZIPPED_BYTES),
            },
        );
    }
    Page {
        subject: names.join(", "),
        command: "check",
        verdict: format!("{}. {} unzipped.", text::verdict(checked), totals.unzipped_bytes),
        is_ok: Some(checked.ok),
        meters,
        files: inventoried(inventory),
        libraries: LibraryGraph::new(graph, merged, &BTreeSet::new()),
        tables: vec![Table {
            id: "layers",
            title: "Layers",
            columns: LAYERS.to_vec(),
            rows: checked
                .layers
                .iter()
                .map(|layer| layer_row(&layer.file, layer.zipped_bytes, layer.unzipped_bytes, layer.entries))
                .collect(),
        }],
        findings: checked.findings.clone(),
        allowed: checked.allowed.iter().map(with_reason).collect(),
    }
    .render()
}

/// The page of `diff`.
pub fn difference_page(diff: &Diff, old: &Inventory, new: &Inventory) -> String {
    let changes: BTreeMap<&str, Change> = diff
        .files
        .iter()
        .map(|file| (file.path.as_str(), file.difference.change))
        .collect();
    let row = |name: &str, change: &crate::diff::Difference| {
        let mut row = vec![name.to_owned()];
        row.extend(difference::change_cells(change));
        row
    };
    let table = |id, title, rows| Table {
        id,
        title,
        columns: vec![
            Heading::Text("Name"),
            Heading::Text("Change"),
            Heading::Number("Before"),
            Heading::Number("After"),
            Heading::Number("Unzipped"),
            Heading::Number("Zipped"),
        ],
        rows,
    };
    Page {
        subject: format!("{} → {}", diff.old, diff.new),
        command: "diff",
        verdict: difference::sum(diff),
        files: compared(old, new, &changes),
        tables: vec![
            table(
                "layers",
                "Layers",
                diff.layers
                    .iter()
                    .map(|layer| row(&layer.file, &layer.difference))
                    .collect(),
            ),
            table(
                "components",
                "Components",
                diff.components
                    .iter()
                    .map(|component| row(&component.name, &component.difference))
                    .collect(),
            ),
        ],
        ..Page::default()
    }
    .render()
}

/// The unzipped size that Lambda accepts: less than its limit.
const UNZIPPED: Bytes = Bytes(limits::UNZIPPED_BYTES - 1);

const LAYERS: [Heading; 4] = [
    Heading::Text("Layer"),
    Heading::Number("Zipped"),
    Heading::Number("Unzipped"),
    Heading::Number("Entries"),
];

fn layer_row(file: &str, zipped: Bytes, unzipped: Bytes, entries: usize) -> Vec<String> {
    vec![
        file.to_owned(),
        zipped.to_string(),
        unzipped.to_string(),
        exact(entries as u64),
    ]
}

/// The map and the graph of a plan.
fn of_plan(tree: &Tree, plan: &Plan, entries: Option<&PackedEntries<'_>>) -> Page {
    let added: BTreeSet<&TreePath> = plan.added.iter().map(|added| &added.path).collect();
    Page {
        files: planned(tree, plan, entries),
        libraries: LibraryGraph::new(&plan.graph, &plan.kept, &added),
        ..Page::default()
    }
}

/// Zipped bytes of so many layers of a maximum size, and unzipped bytes.
fn meters((zipped, max, layers): (Bytes, Bytes, usize), (unzipped, max_unzipped): (Bytes, Bytes)) -> Vec<Meter> {
    let layers = layers.max(1) as u64;
    vec![
        Meter {
            label: if layers == 1 {
                "zipped, in one layer".to_owned()
            } else {
                format!("zipped, in {layers} layers")
            },
            used: zipped,
            limit: Bytes(max.0.saturating_mul(layers)),
        },
        Meter {
            label: "unzipped".to_owned(),
            used: unzipped,
            limit: max_unzipped,
        },
    ]
}

fn rules(rules: &[RuleEffect]) -> Table {
    let mut rules: Vec<&RuleEffect> = rules.iter().filter(|rule| rule.files > 0).collect();
    rules.sort_by(|a, b| {
        b.enabled
            .cmp(&a.enabled)
            .then(b.bytes.cmp(&a.bytes))
            .then_with(|| a.id.cmp(&b.id))
    });
    let rows = rules.into_iter().map(|rule| {
        vec![
            rule.id.clone(),
            if rule.enabled { "on" } else { "off" }.to_owned(),
            exact(rule.files as u64),
            rule.bytes.to_string(),
            rule.breaks.clone(),
        ]
    });
    Table {
        id: "rules",
        title: "Removable",
        columns: vec![
            Heading::Text("Rule"),
            Heading::Text("State"),
            Heading::Number("Files"),
            Heading::Number("Size"),
            Heading::Text("Lost without it"),
        ],
        rows: rows.collect(),
    }
}

/// A sentence with a capital at its beginning.
fn capitalized(text: &str) -> String {
    let mut rest = text.chars();
    let first = rest.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(rest).collect()
}

fn with_reason(allowed: &Allowed) -> (Finding, String) {
    (allowed.finding.clone(), allowed.reason.clone().unwrap_or_default())
}
