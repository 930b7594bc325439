//! What stays although a rule matches it, as reports have it.

use serde::Serialize;

use crate::plan::Retained;

/// A file that stays although a rule matches it.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RetainedPath {
    /// The path in the tree.
    pub path: String,
    /// The rule that matches.
    pub rule: String,
    /// What uses it.
    pub needed_by: String,
    /// How it is used.
    pub kind: &'static str,
    /// What says so, as it is written in the file that uses it.
    pub evidence: String,
}

impl RetainedPath {
    /// The report on one.
    pub fn new(retained: &Retained) -> Self {
        Self {
            path: retained.path.to_string(),
            rule: retained.rule.clone(),
            needed_by: retained.because.from.to_string(),
            kind: retained.because.kind.name(),
            evidence: retained.because.evidence.to_string(),
        }
    }
}
