//! The report of `prune`.

use std::path::Path;

use serde::Serialize;

use super::SCHEMA_VERSION;
use super::retained::RetainedPath;
use super::table::{Column, RenderOptions, counted};
use super::text::finding_lines;
use crate::finding::Finding;
use crate::pack::Estimate;
use crate::plan::Plan;
use crate::prune::Done;
use crate::rules::RuleSet;
use crate::size::{Bytes, exact};
use crate::tree::path::escaped;
use crate::tree::{Entry, Totals, Tree};

/// The whole report.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Pruned {
    /// Version of this document's schema.
    pub schema_version: u32,
    /// The tree as it was named.
    pub tree: String,
    /// What was done.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The whole tree, before.
    pub totals: Totals,
    /// What stays of it.
    pub kept: Totals,
    /// What `pack` would make of it; `None` if nothing was planned, or if the tree cannot be packed.
    pub estimate: Option<Estimate>,
    /// What each rule takes, the largest first.
    pub rules: Vec<RemovedByRule>,
    /// Every file and link that goes.
    pub files: Vec<TakenFile>,
    /// What stays although a rule matches it.
    pub spared: Vec<RetainedPath>,
    /// What there is to say about the plan that one may not expect.
    pub findings: Vec<Finding>,
}

/// What was done with the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// Nothing: it was only shown.
    Planned,
    /// What goes was moved.
    Applied {
        /// The directory where it is now.
        trash: String,
    },
    /// What stays was copied.
    Copied {
        /// The directory with the copy.
        to: String,
    },
    /// What had been moved is where it was.
    Undone {
        /// How many paths were moved back; a directory with all below it is one.
        moved: usize,
    },
}

/// What one rule removes.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RemovedByRule {
    /// Its id, or the option that removes in its place.
    pub id: String,
    /// What it is about.
    pub title: String,
    /// Files and links.
    pub files: usize,
    /// Their size, unzipped.
    pub bytes: Bytes,
    /// What stops working without them.
    pub breaks: String,
}

/// One file or link that goes.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TakenFile {
    /// Its path in the tree.
    pub path: String,
    /// The rule that removes it.
    pub rule: String,
    /// Its size.
    pub bytes: Bytes,
}

/// What stands in the place of title and consequences where no rule took a file, but an option.
const ASKED_FOR: &str = "requested by the user";

impl Pruned {
    /// What there is to say of a plan and of what was done with it.
    pub fn new(root: &Path, tree: &Tree, plan: &Plan, rules: &RuleSet, outcome: Outcome) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            tree: root.display().to_string(),
            outcome,
            totals: tree.totals(),
            kept: plan.kept.totals(),
            estimate: None,
            rules: plan
                .dropped_by_rule(tree)
                .into_iter()
                .map(|(id, files, bytes)| {
                    let rule = rules.get(&id);
                    RemovedByRule {
                        files,
                        bytes,
                        title: rule.map_or(ASKED_FOR, |rule| &rule.title).to_owned(),
                        breaks: rule.map_or(ASKED_FOR, |rule| &rule.breaks).to_owned(),
                        id,
                    }
                })
                .collect(),
            files: plan
                .dropped
                .iter()
                .filter_map(|(path, rule)| match tree.get(path) {
                    None | Some(Entry::Directory(_)) => None,
                    Some(entry) => Some(TakenFile {
                        path: path.to_string(),
                        rule: rule.clone(),
                        bytes: entry.unzipped(),
                    }),
                })
                .collect(),
            spared: plan
                .retained
                .iter()
                .filter(|retained| !matches!(tree.get(&retained.path), Some(Entry::Directory(_))))
                .map(RetainedPath::new)
                .collect(),
            findings: plan.findings.clone(),
        }
    }

    /// What there is to say when everything is back.
    pub fn undone(root: &Path, done: &Done) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            tree: root.display().to_string(),
            outcome: Outcome::Undone { moved: done.moved },
            totals: Totals::default(),
            kept: Totals::default(),
            estimate: None,
            rules: Vec::new(),
            files: Vec::new(),
            spared: Vec::new(),
            findings: Vec::new(),
        }
    }
}

/// The report of `prune` as text.
pub fn pruned(pruned: &Pruned, render: RenderOptions) -> String {
    if let Outcome::Undone { moved } = pruned.outcome {
        return format!(
            "{}: everything is restored ({}).\n",
            pruned.tree,
            counted(moved, "move")
        );
    }
    let mut text = String::new();
    if !pruned.rules.is_empty() && !render.quiet {
        text += &rule_table(pruned, render);
    }
    if render.verbose && !pruned.files.is_empty() {
        text += &render.heading("Removed");
        text += &removed_table(pruned, render);
    }
    if !pruned.spared.is_empty() && !render.quiet {
        text += &render.heading("Kept although a rule matches");
        text += &retained_table(pruned, render);
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let findings = finding_lines(&pruned.findings, render);
    if !findings.is_empty() {
        text += &findings;
        text.push('\n');
    }
    text += &render.folded("", &summary(pruned));
    if let Some(estimate) = pruned.estimate.filter(|_| !render.quiet) {
        let size = format!(
            "In layers, with what pack adds and strips: about {} zipped, {} unzipped.",
            estimate.zipped_bytes, estimate.unzipped_bytes
        );
        text += &render.folded("", &size);
    }
    text
}

/// What each rule removes.
fn rule_table(pruned: &Pruned, render: RenderOptions) -> String {
    let rows = pruned.rules.iter().map(|rule| {
        vec![
            rule.id.clone(),
            exact(rule.files as u64),
            rule.bytes.to_string(),
            rule.breaks.clone(),
        ]
    });
    let columns = [
        Column::Left("Rule"),
        Column::Right("Files"),
        Column::Right("Size"),
        Column::Left("Lost without it"),
    ];
    render.table(&columns, rows.collect())
}

/// Every path that is removed.
fn removed_table(pruned: &Pruned, render: RenderOptions) -> String {
    let title = |id: &str| {
        let rule = pruned.rules.iter().find(|rule| rule.id == id);
        rule.map_or_else(String::new, |rule| rule.title.clone())
    };
    let rows = pruned.files.iter().map(|file| {
        vec![
            escaped(file.path.as_bytes()),
            file.bytes.to_string(),
            file.rule.clone(),
            title(&file.rule),
        ]
    });
    let columns = [
        Column::Left("Path"),
        Column::Right("Size"),
        Column::Left("Rule"),
        Column::Left("Reason"),
    ];
    render.table(&columns, rows.collect())
}

/// What stays although a rule matches: with `-v` each path, else those that one thing needs together.
fn retained_table(pruned: &Pruned, render: RenderOptions) -> String {
    let row = |path: String, retained: &RetainedPath| {
        vec![path, retained.rule.clone(), escaped(retained.needed_by.as_bytes())]
    };
    let shown = |retained: &RetainedPath| escaped(retained.path.as_bytes());
    let rows = if render.verbose {
        pruned
            .spared
            .iter()
            .map(|retained| row(shown(retained), retained))
            .collect()
    } else {
        let mut groups: Vec<(&RetainedPath, usize)> = Vec::new();
        for retained in &pruned.spared {
            let same = |(first, _): &&mut (&RetainedPath, usize)| {
                (&first.rule, &first.needed_by) == (&retained.rule, &retained.needed_by)
            };
            match groups.iter_mut().find(same) {
                Some((_, more)) => *more += 1,
                None => groups.push((retained, 0)),
            }
        }
        groups
            .into_iter()
            .map(|(first, more)| match more {
                0 => row(shown(first), first),
                more => row(format!("{} and {more} more", shown(first)), first),
            })
            .collect()
    };
    let columns = [Column::Left("Path"), Column::Left("Rule"), Column::Left("Needed by")];
    render.table(&columns, rows)
}

fn summary(pruned: &Pruned) -> String {
    let files = |totals: Totals| totals.files + totals.symlinks;
    let (all, kept) = (&pruned.totals, &pruned.kept);
    let gone = files(*all) - files(*kept);
    let bytes = Bytes(all.unzipped_bytes.0.saturating_sub(kept.unzipped_bytes.0));
    let (go, stay, end) = match &pruned.outcome {
        Outcome::Planned if gone == 0 => ("would remove", "keep", "There is nothing to remove.".to_owned()),
        Outcome::Planned => (
            "would remove",
            "keep",
            "Nothing was changed: use --apply to prune the tree, or --to DIR to make a pruned copy.".to_owned(),
        ),
        Outcome::Applied { .. } if gone == 0 => ("removed", "kept", "There was nothing to remove.".to_owned()),
        Outcome::Applied { trash } => (
            "removed",
            "kept",
            format!("The removed files are in {trash}; `prune --undo` restores them."),
        ),
        Outcome::Copied { to } => ("left out", "copied", format!("The copy is in {to}.")),
        Outcome::Undone { .. } => ("", "", String::new()),
    };
    format!(
        "{}: {go} {} of {} ({}) and {stay} {} ({}). {end}",
        pruned.tree,
        exact(gone as u64),
        counted(files(*all), "file"),
        bytes,
        exact(files(*kept) as u64),
        kept.unzipped_bytes,
    )
}
