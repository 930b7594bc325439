//! A project's own requirements on its layers: the level of each finding, budgets, and growth against a baseline.
//!
//! `lambdar-prune.toml` and the command line give a [`Policy`]; with the baseline read it is a [`Gate`], which turns the
//! findings of `check` into those that count.

pub mod budget;
pub(crate) mod file;
pub mod levels;
pub mod licenses;

use std::path::PathBuf;

use serde::Serialize;

pub use budget::Budget;
pub use levels::{Allowed, Level, Levels, Setting, Target};
pub use licenses::LicensePolicy;

use crate::diff::{Comparison, ComponentDifference, Difference, compare};
use crate::finding::Finding;
use crate::inventory::Inventory;

/// Requirements on layers as they are configured.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Which findings are errors, which warnings, and which are allowed.
    pub levels: Levels,
    /// How large things may be, and how much they may grow.
    pub budgets: Vec<Budget>,
    /// What sizes are compared with.
    pub baseline: Option<BaselineFile>,
    /// Which licenses are denied.
    pub licenses: LicensePolicy,
}

/// Where the baseline is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaselineFile {
    /// Anything that an inventory can be made of.
    pub path: PathBuf,
    /// Whether there may be none yet, as in the first run of a project.
    pub may_be_absent: bool,
}

/// Requirements on layers, ready to be applied: a [`Policy`] whose baseline was read.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    /// Which findings are errors, which warnings, and which are allowed.
    pub levels: Levels,
    /// The budgets.
    pub budgets: Vec<Budget>,
    /// What sizes are compared with, by its name.
    pub baseline: Option<(String, Inventory)>,
}

/// Findings after the policy was applied.
#[derive(Debug, Clone, Default)]
pub struct Judged {
    /// Those that count, errors first.
    pub findings: Vec<Finding>,
    /// Those that do not.
    pub allowed: Vec<Allowed>,
    /// How the sizes have changed; `None` without a baseline.
    pub growth: Option<Growth>,
}

/// How sizes have changed since the baseline.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Growth {
    /// The baseline, as it was given.
    pub baseline: String,
    /// Everything together; `null` if nothing has changed.
    pub total: Option<Difference>,
    /// The components that have changed, the one that grew most first.
    pub components: Vec<ComponentDifference>,
}

impl Growth {
    fn new(baseline: String, comparison: Comparison) -> Self {
        let mut components = comparison.components;
        components.sort_by_key(|component| std::cmp::Reverse(component.difference.growth()));
        Self {
            baseline,
            total: comparison.total,
            components,
        }
    }
}

impl Gate {
    /// Whether there is a budget or a baseline: only then the inventory is looked at, which costs a copy of every path.
    pub fn asks_for_sizes(&self) -> bool {
        !self.budgets.is_empty() || self.baseline.is_some()
    }

    /// Applies levels and budgets to the findings of `check`.
    pub fn judge(&self, mut findings: Vec<Finding>, inventory: &Inventory) -> Judged {
        let growth = self
            .baseline
            .as_ref()
            .map(|(name, baseline)| Growth::new(name.clone(), compare(baseline, inventory)));
        let baseline = self.baseline.as_ref().map(|(_, inventory)| inventory);
        findings.extend(budget::judge(&self.budgets, inventory, baseline));
        findings.extend(self.levels.unused(&findings));
        let (findings, allowed) = self.levels.apply(findings);
        Judged {
            findings,
            allowed,
            growth,
        }
    }
}
