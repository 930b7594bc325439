//! The reports of `rules`, `rules show` and `rules test`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::SCHEMA_VERSION;
use super::retained::RetainedPath;
use super::table::{Column, RenderOptions, counted};
use super::text::finding_lines;
use crate::finding::Finding;
use crate::lint::Lint;
use crate::plan::{Plan, Retained};
use crate::rules::{Anchor, Matcher, Rule, RuleSet};
use crate::size::{Bytes, exact};
use crate::tree::path::escaped;
use crate::tree::{Entry, Tree, TreePath};

/// Report of `rules`.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RuleList {
    /// Version of this document's schema.
    pub schema_version: u32,
    /// The rules in the order in which they apply.
    pub rules: Vec<ListedRule>,
}

/// One rule.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ListedRule {
    /// Its name.
    pub id: String,
    /// What it removes, in a line.
    pub title: String,
    /// The kind of files.
    pub category: String,
    /// The pack or file that it comes from.
    pub pack: String,
    /// Whether it is on.
    pub enabled: bool,
    /// Whether it is on unless switched off.
    pub default: bool,
    /// Where its paths begin.
    pub anchor: Anchor,
    /// A glob for sonames: it does nothing unless the tree has such libraries and the copies of the runtime are found first.
    pub when_shadowed: Option<String>,
    /// Texts: only scripts that have one of them are removed.
    pub contains: Vec<String>,
    /// A command: a runtime that has it provides what the rule removes, so imports do not keep it.
    pub provided_with: Option<String>,
    /// Globs of what it removes.
    pub paths: Vec<String>,
    /// Globs of what it leaves.
    pub except: Vec<String>,
    /// What stops working.
    pub breaks: String,
    /// Where the knowledge comes from.
    pub source: String,
}

impl ListedRule {
    fn new(rule: &Rule, enabled: bool) -> Self {
        Self {
            id: rule.id.clone(),
            title: rule.title.clone(),
            category: rule.category.clone(),
            pack: rule.pack.clone(),
            enabled,
            default: rule.default,
            anchor: rule.anchor,
            when_shadowed: rule.when_shadowed.clone(),
            contains: rule.contains.clone(),
            provided_with: rule.provided_with.clone(),
            paths: rule.paths.clone(),
            except: rule.except.clone(),
            breaks: rule.breaks.clone(),
            source: rule.source.clone(),
        }
    }
}

impl RuleList {
    /// All rules.
    pub fn new(rules: &RuleSet) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            rules: rules.iter().map(|(rule, on)| ListedRule::new(rule, on)).collect(),
        }
    }

    /// The rules of these numbers.
    pub fn of(rules: &RuleSet, numbers: &[usize]) -> Self {
        let mut list = Self::new(rules);
        let mut number = 0;
        list.rules.retain(|_| {
            number += 1;
            numbers.contains(&(number - 1))
        });
        list
    }
}

/// The report of `rules` as text.
pub fn rule_list(list: &RuleList, render: RenderOptions) -> String {
    let rows = list.rules.iter().map(|rule| {
        let state = match (rule.enabled, rule.enabled == rule.default) {
            (true, true) => "on",
            (true, false) => "on, switched",
            (false, true) => "off",
            (false, false) => "off, switched",
        };
        vec![
            rule.id.clone(),
            rule.category.clone(),
            state.to_owned(),
            rule.title.clone(),
        ]
    });
    let columns = [
        Column::Left("Rule"),
        Column::Left("Category"),
        Column::Left("State"),
        Column::Left("Removes"),
    ];
    let on = list.rules.iter().filter(|rule| rule.enabled).count();
    render.table(&columns, rows.collect())
        + "\n"
        + &render.folded(
            "",
            &format!(
                "{} rules, {on} of them enabled. --enable and --disable take a rule or a category; `rules show RULE` shows more.",
                list.rules.len()
            ),
        )
}

/// Report of `rules show`.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ShownRules {
    /// Version of this document's schema.
    pub schema_version: u32,
    /// The tree as it was named.
    pub tree: String,
    /// The rules.
    pub rules: Vec<ShownRule>,
    /// What there is to say about the plan that one may not expect.
    pub findings: Vec<Finding>,
}

/// One rule and what it does in the tree.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ShownRule {
    /// The rule.
    #[serde(flatten)]
    pub rule: ListedRule,
    /// What it does; nothing where there is no tree.
    pub effect: Option<Effect>,
}

/// What one rule removes where it is on.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Effect {
    /// Files and links that it removes.
    pub files: usize,
    /// Their size, unzipped.
    pub bytes: Bytes,
    /// Their paths.
    pub paths: Vec<String>,
    /// Files that it matches and that stay, because something uses them.
    pub needed: usize,
    /// Which these are, and what uses them.
    pub retained: Vec<RetainedPath>,
    /// Files that it matches and that another rule or option decides on.
    pub decided_by_others: usize,
}

impl ShownRules {
    /// Rules, so far without what they do.
    pub fn new(list: RuleList, tree: &Path) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            tree: tree.display().to_string(),
            findings: Vec::new(),
            rules: list
                .rules
                .into_iter()
                .map(|rule| ShownRule { rule, effect: None })
                .collect(),
        }
    }

    /// Adds what they do in a tree, by a plan that was made with them on.
    pub fn add_effects(&mut self, tree: &Tree, plan: &Plan, matcher: &Matcher) {
        let retained: BTreeMap<&TreePath, &Retained> = plan
            .retained
            .iter()
            .map(|retained| (&retained.path, retained))
            .collect();
        self.findings.clone_from(&plan.findings);
        for shown in &mut self.rules {
            let id = shown.rule.id.as_str();
            let mut effect = Effect::default();
            for (path, entry) in tree.iter() {
                if matches!(entry, Entry::Directory(_)) || !matcher.all_matching(path).any(|matching| matching == id) {
                    continue;
                }
                if plan.dropped.get(path).is_some_and(|rule| rule == id) {
                    effect.files += 1;
                    effect.bytes += entry.unzipped();
                    effect.paths.push(path.to_string());
                } else if let Some(retained) = retained.get(path).filter(|retained| retained.rule == id) {
                    effect.needed += 1;
                    effect.retained.push(RetainedPath::new(retained));
                } else {
                    effect.decided_by_others += 1;
                }
            }
            shown.effect = Some(effect);
        }
    }
}

/// What is known of a rule, line by line: a label and a text.
fn rule_lines(rule: &ListedRule, effect: Option<&Effect>, tree: &str) -> Vec<(&'static str, String)> {
    let state = if rule.enabled { "on" } else { "off" };
    let default = if rule.default { "on" } else { "off" };
    let mut lines = vec![
        ("removes", rule.title.clone()),
        (
            "state",
            format!(
                "{state}; {default} by default, category {}, from {}",
                rule.category, rule.pack
            ),
        ),
        ("breaks", rule.breaks.clone()),
        (
            "paths",
            format!("{}, below {}", rule.paths.join(" "), rule.anchor.describe()),
        ),
    ];
    if let Some(library) = &rule.when_shadowed {
        lines.push((
            "only if",
            format!("the tree has a {library}, and the copies of the runtime are found first"),
        ));
    }
    if !rule.contains.is_empty() {
        lines.push(("only", format!("scripts that contain {}", rule.contains.join(" or "))));
    }
    if let Some(command) = &rule.provided_with {
        lines.push((
            "imports",
            format!("keep what it matches, unless the runtime has {command} and so brings the same"),
        ));
    }
    if !rule.except.is_empty() {
        lines.push(("except", rule.except.join(" ")));
    }
    lines.push(("source", rule.source.clone()));
    if let Some(effect) = effect {
        lines.extend(effect_lines(effect, rule.enabled, tree));
    }
    lines
}

/// What a rule does to a tree, line by line as well.
fn effect_lines(effect: &Effect, is_enabled: bool, tree: &str) -> Vec<(&'static str, String)> {
    let removes = if is_enabled { "removes" } else { "would remove" };
    let files = counted(effect.files, "file");
    let mut lines = vec![("effect", format!("{removes} {files}, {} in {tree}", effect.bytes))];
    if effect.needed > 0 {
        let files = counted(effect.needed, "file");
        lines.push(("leaves", format!("{files} that something kept uses")));
    }
    if effect.decided_by_others > 0 {
        let files = counted(effect.decided_by_others, "file");
        lines.push(("leaves", format!("{files} to other rules, --keep or --drop")));
    }
    lines
}

/// The report of `rules show` as text.
pub fn shown_rules(shown: &ShownRules, render: RenderOptions) -> String {
    /// How many paths are shown without `-v`.
    const PATHS: usize = 8;
    let mut texts = Vec::new();
    for ShownRule { rule, effect } in &shown.rules {
        let mut text = render.title(&rule.id);
        for (name, value) in rule_lines(rule, effect.as_ref(), &shown.tree) {
            text += &render.folded(&format!("  {name:<11}"), &value);
        }
        if let Some(effect) = effect {
            let hidden = if render.verbose {
                0
            } else {
                effect.paths.len().saturating_sub(PATHS)
            };
            for path in &effect.paths[..effect.paths.len() - hidden] {
                text += &format!("    {}\n", escaped(path.as_bytes()));
            }
            if hidden > 0 {
                text += &format!("    {} more with -v\n", exact(hidden as u64));
            }
            text += &retained_lines(&effect.retained, if render.verbose { usize::MAX } else { PATHS });
        }
        texts.push(text);
    }
    texts.push(finding_lines(&shown.findings, render));
    texts.retain(|text| !text.is_empty());
    texts.join("\n")
}

/// What a rule leaves because something uses it, each with the use.
fn retained_lines(retained: &[RetainedPath], most: usize) -> String {
    let mut text = String::new();
    if !retained.is_empty() {
        text += "  leaves, because something kept uses it:\n";
    }
    for path in retained.iter().take(most) {
        let [path, by, evidence] = [&path.path, &path.needed_by, &path.evidence].map(|text| escaped(text.as_bytes()));
        text += &format!("    {path}: {by} ({evidence})\n");
    }
    if retained.len() > most {
        text += &format!("    {} more with -v\n", exact((retained.len() - most) as u64));
    }
    text
}

/// Report of `rules test`.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Linted {
    /// Version of this document's schema.
    pub schema_version: u32,
    /// Whether nothing is the matter.
    pub ok: bool,
    /// The file.
    pub file: String,
    /// The tree as it was named.
    pub tree: String,
    /// How many rules the file has.
    pub rules: usize,
    /// What is the matter.
    pub lints: Vec<Lint>,
}

impl Linted {
    /// Makes the report from what was found.
    pub fn new(file: &Path, tree: &Path, rules: usize, lints: Vec<Lint>) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            ok: lints.is_empty(),
            file: file.display().to_string(),
            tree: tree.display().to_string(),
            rules,
            lints,
        }
    }
}

/// The report of `rules test` as text.
pub fn linted(linted: &Linted, render: RenderOptions) -> String {
    let mut text = String::new();
    for lint in &linted.lints {
        text += &render.title(&lint.rule);
        text += &render.folded("  ", &lint.message);
        if let Some(example) = &lint.example {
            text += &render.folded("  first: ", &escaped(example.as_bytes()));
        }
        text += &render.folded("  help: ", &lint.help);
    }
    text + &format!(
        "{}: {} checked on {}, {}.\n",
        linted.file,
        counted(linted.rules, "rule"),
        linted.tree,
        match linted.lints.len() {
            0 => "no problems".to_owned(),
            number => counted(number, "problem"),
        },
    )
}
