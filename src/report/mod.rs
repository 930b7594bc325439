//! The reports of the commands: plain data that serializes to the documented JSON, and tables of the same data.

mod analysis;
mod bootstrap;
mod capacity;
mod difference;
mod explain;
mod foreign;
mod github;
pub mod html;
mod invocation;
mod junit;
mod location;
mod markdown;
mod materials;
mod overview;
mod packed;
mod prune;
mod publication;
mod replay;
mod retained;
mod rules;
mod runtimes;
mod sarif;
#[cfg(test)]
mod schema;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod timings;
mod verified;
mod why;

pub use analysis::{RuleEffect, analyze};
pub use bootstrap::{Bootstrapped, bootstrapped};
pub use capacity::over_capacity;
pub use difference::difference;
pub use explain::{Explanations, codes, pages};
pub use foreign::{ForeignText, visible};
pub use github::{github, without_commands};
pub use invocation::{Invoked, invocation, invoke_end, invoke_notes, stand_in_note};
pub use junit::junit;
pub use markdown::markdown;
pub use materials::{Materials, materials};
pub use overview::analysis;
pub use packed::packed;
pub use prune::{Outcome, Pruned, pruned};
pub use publication::{arns, failure, publication};
pub use replay::{Replayed, ReplayedEvent, ReplayedRecording, left_out_lines, replayed};
pub use rules::{Linted, RuleList, ShownRules, linted, rule_list, shown_rules};
pub use runtimes::{RuntimeList, RuntimeReport, runtime, runtimes};
pub use sarif::sarif;
pub use table::{RenderOptions, folded};
pub use text::{checked, finding_lines};
pub use timings::timings;
pub use verified::{Verified, VerifiedLayer, verified};
pub use why::{WhySubject, explained, inside_tree, why};

use serde::Serialize;

use crate::check::{LayerSize, Report};
use crate::finding::{Finding, any_error};
use crate::gate::{Allowed, Growth, Judged};
use crate::size::Bytes;

/// The version of the JSON documents; it rises when a field changes its meaning.
pub const SCHEMA_VERSION: u32 = 1;

/// Report of `check`.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Checked {
    /// Version of this document's schema.
    pub schema_version: u32,
    /// Whether there is no error.
    pub ok: bool,
    /// The runtime that the layers were judged for.
    pub runtime: String,
    /// The architecture that they were judged for.
    pub arch: crate::runtime::Arch,
    /// What was found and counts, errors first.
    pub findings: Vec<Finding>,
    /// What was found and is allowed.
    pub allowed: Vec<Allowed>,
    /// How the sizes have changed; `null` without a baseline.
    pub growth: Option<Growth>,
    /// The layers; none for a tree.
    pub layers: Vec<LayerSize>,
    /// Sums.
    pub totals: CheckTotals,
}

/// Sums over everything that was checked.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CheckTotals {
    /// How many zips there are.
    pub layers: usize,
    /// Their lengths.
    pub zipped_bytes: Bytes,
    /// The size of all entries, unzipped: what counts towards Lambda's limit.
    pub unzipped_bytes: Bytes,
}

impl Checked {
    /// Makes the report from the result of `check` and the findings that count.
    pub fn new(report: Report, judged: Judged, runtime: &crate::runtime::Runtime) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            ok: !any_error(&judged.findings),
            runtime: runtime.name.clone(),
            arch: runtime.arch,
            totals: CheckTotals {
                layers: report.layers.len(),
                zipped_bytes: report.layers.iter().map(|layer| layer.zipped_bytes).sum(),
                unzipped_bytes: report.unzipped_bytes,
            },
            findings: judged.findings,
            allowed: judged.allowed,
            growth: judged.growth,
            layers: report.layers,
        }
    }
}

/// What a command says that ends with 1 and has no report: that nothing was made or found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Refusal {
    /// Version of this document's schema.
    pub schema_version: u32,
    /// False.
    pub ok: bool,
    /// Why, for people.
    pub message: String,
}

impl Refusal {
    /// A refusal for this reason.
    pub fn new(message: &str) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            ok: false,
            message: message.to_owned(),
        }
    }
}

/// A document as it is printed with `--format json`.
pub fn json(document: &impl Serialize) -> String {
    // The documents hold numbers, texts and lists alone: this cannot fail.
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    text
}
