//! Looks at someone's own rules in a tree: which take nothing, which take what another rule takes, and which would take
//! what something kept needs.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::plan::Plan;
use crate::rules::{Matcher, Rule, RuleSet};
use crate::tree::{Entry, Tree};

/// What can be wrong with a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It matches no file of the tree.
    #[serde(rename = "takes-nothing")]
    MatchesNothing,
    /// It matches files that a rule before it matches as well, and so is named in its place.
    Shadows,
    /// Rules after it match everything that it matches.
    Shadowed,
    /// It would remove files that something kept needs. They stay.
    #[serde(rename = "takes-needed")]
    MatchesNeeded,
}

/// Something that is wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Lint {
    /// The rule.
    pub rule: String,
    /// What is the matter.
    pub kind: Kind,
    /// How many files are concerned.
    pub files: usize,
    /// The first of them.
    pub example: Option<String>,
    /// The rule, file or package that it gets in the way of.
    pub other: Option<String>,
    /// What is the matter, in words.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// How many files two rules have in common, with the first.
type Common<'a> = BTreeMap<(&'a str, &'a str), (usize, String)>;

/// Judges rules by what they do in a tree. `plan` and `matcher` are made from `rules` with these on.
pub fn lint(own: &[Rule], tree: &Tree, rules: &RuleSet, matcher: &Matcher, plan: &Plan) -> Vec<Lint> {
    let on: BTreeSet<&str> = rules
        .iter()
        .filter(|(_, on)| *on)
        .map(|(rule, _)| rule.id.as_str())
        .collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut common: Common<'_> = BTreeMap::new();
    for (path, entry) in tree.iter() {
        if matches!(entry, Entry::Directory(_)) {
            continue;
        }
        let matching: Vec<&str> = matcher.all_matching(path).filter(|id| on.contains(id)).collect();
        for (number, id) in matching.iter().enumerate() {
            *counts.entry(id).or_default() += 1;
            for before in &matching[..number] {
                let (files, _) = common.entry((before, id)).or_insert_with(|| (0, path.to_string()));
                *files += 1;
            }
        }
    }
    let mut lints = Vec::new();
    for rule in own {
        let id = rule.id.as_str();
        let files = counts.get(id).copied().unwrap_or_default();
        if files == 0 {
            lints.push(takes_nothing(rule));
            continue;
        }
        lints.extend(shadows(id, files, &common));
        lints.extend(matches_needed(id, plan));
    }
    lints.sort();
    lints
}

fn takes_nothing(rule: &Rule) -> Lint {
    Lint {
        rule: rule.id.clone(),
        kind: Kind::MatchesNothing,
        files: 0,
        example: None,
        other: None,
        message: "it removes nothing in this tree".to_owned(),
        help: format!(
            "its paths begin at {}: is that what was meant, and is the tree the right one?",
            rule.anchor.describe()
        ),
    }
}

fn shadows(id: &str, files: usize, common: &Common<'_>) -> Vec<Lint> {
    let mut lints = Vec::new();
    for ((before, after), (count, example)) in common {
        let lint = |kind, other: &str, message, help| Lint {
            rule: id.to_owned(),
            kind,
            files: *count,
            example: Some(example.clone()),
            other: Some(other.to_owned()),
            message,
            help,
        };
        if *after == id {
            lints.push(lint(
                Kind::Shadows,
                before,
                format!("{before} matches {count} of its {files} files as well"),
                format!("{id} comes later, so it is named for them; leave them out of one of the two rules"),
            ));
        } else if *before == id && *count == files {
            lints.push(lint(
                Kind::Shadowed,
                after,
                format!("{after} comes later and matches all of its {files} files"),
                format!("{id} will never be named: remove it, or put it after {after}"),
            ));
        }
    }
    lints
}

fn matches_needed(id: &str, plan: &Plan) -> Option<Lint> {
    let mut retained = plan.retained.iter().filter(|retained| retained.rule == id);
    let first = retained.next()?;
    let files = 1 + retained.count();
    Some(Lint {
        rule: id.to_owned(),
        kind: Kind::MatchesNeeded,
        files,
        example: Some(first.path.to_string()),
        other: Some(first.because.from.to_string()),
        message: format!(
            "{files} of the paths that it matches stay, because something kept needs them; {} needs {}",
            first.because.from, first.path
        ),
        help: "list them in `except`, or remove what needs them as well".to_owned(),
    })
}
