//! Applies rules to paths.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use globset::GlobSet;

use super::anchored::AnchoredRules;
use super::globs::{GLOBS_OF_TEXT, set_of};
use super::unused::{self, Depth, Evidence};
use super::{Anchor, Rule, RuleError, RuleSelection, RuleSet};
use crate::loader::{LoadedTree, ShadowedLibrary, shadowed_libraries};
use crate::root::Root;
use crate::timings::phase;
use crate::tree::{Entry, Tree, TreePath};
use crate::uses::{Use, UseKind};

/// Rules and choices made ready for one tree.
#[derive(Debug, Clone)]
pub struct Matcher {
    levels: Vec<Level>,
    packages: Option<Packages>,
    unused: Option<Unused>,
    rules: Vec<ReadyRule>,
    anchored: Arc<AnchoredRules>,
    shadowed: Arc<Vec<ShadowedLibrary>>,
}

/// The option that drops what a glob matches.
const DROP: &str = "--drop";

/// The globs of one [`RuleSelection`].
#[derive(Debug, Clone)]
struct Level {
    keep: GlobSet,
    drop: GlobSet,
    drop_name: String,
    /// The texts of both, in the order in which they are in the sets, each with where it stands.
    texts: [Vec<(String, String)>; 2],
}

/// Packages of one language, by their directories.
#[derive(Debug, Clone)]
struct Packages {
    name: String,
    selected: BTreeSet<TreePath>,
    others: BTreeSet<TreePath>,
}

/// What recorded runs used, and what they did not.
#[derive(Debug, Clone)]
struct Unused {
    evidence: Evidence,
    paths: BTreeSet<TreePath>,
}

/// A rule made ready for one tree.
#[derive(Debug, Clone)]
struct ReadyRule {
    id: String,
    on: bool,
    category: String,
    breaks: String,
    is_provided: bool,
    anchor: Anchor,
    when_shadowed: Option<GlobSet>,
}

impl Matcher {
    /// Makes rules and choices ready for a tree. Of the choices, those that come later beat those before.
    pub fn new(rules: &RuleSet, choices: &[RuleSelection], loaded: &LoadedTree<'_>) -> Result<Self, RuleError> {
        let _phase = phase("compile rules");
        let root = loaded.root();
        let unused = unused(rules, choices, root)?;
        let (all, on): (Vec<&Rule>, Vec<bool>) = rules.iter().unzip();
        let rules = all.iter().zip(on);
        let rules: Vec<ReadyRule> = rules
            .map(|(rule, on)| ReadyRule::new(rule, on, root))
            .collect::<Result<_, RuleError>>()?;
        let shadowed = shadowed_libraries(loaded);
        let unused_paths = unused.as_ref().map(|unused| &unused.paths);
        let levels = choices.iter().rev().map(Level::of);
        Ok(Self {
            levels: levels.collect::<Result<_, RuleError>>()?,
            packages: packages(choices, root.tree)?,
            anchored: Arc::new(AnchoredRules::new(&all, &shadowed, unused_paths, loaded)?),
            unused,
            rules,
            shadowed: Arc::new(shadowed),
        })
    }

    /// The libraries of the tree that are never loaded, because the runtime's own copies are found first.
    pub fn shadowed(&self) -> &[ShadowedLibrary] {
        &self.shadowed
    }

    /// The rule that removes the path, or the option: `--keep` beats everything, then `--drop`, then the selection of packages,
    /// then the last rule that is on and matches.
    pub fn removed_by(&self, path: &TreePath) -> Option<&str> {
        for level in &self.levels {
            if level.keep.is_match(path.as_str()) {
                return None;
            }
            if level.drop.is_match(path.as_str()) {
                return Some(&level.drop_name);
            }
        }
        if let Some(packages) = &self.packages
            && (packages.others.contains(path)
                || path.splits().any(|(directory, _)| packages.others.contains(directory)))
        {
            return Some(&packages.name);
        }
        Some(&self.matching(path).rfind(|rule| rule.on)?.id)
    }

    /// Whether a use keeps a path although no recording used it. At the depth of files only one does without which what uses
    /// it cannot work, and a link to a directory does not keep what is in it: that was recorded by itself.
    pub fn outweighs_recordings(&self, path: &TreePath, edge: &Use) -> bool {
        let Some(unused) = self.unused.as_ref().filter(|unused| unused.paths.contains(path)) else {
            return true;
        };
        let is_behind_link = edge.kind == UseKind::LinkTarget && edge.to.path() != path;
        !is_behind_link && (edge.kind.is_certain() || unused.evidence.depth == Depth::Component)
    }

    /// Whether a path goes because no recording used it, whatever else matches it.
    pub fn is_unused(&self, path: &TreePath) -> bool {
        let is_unrecorded = self.unused.as_ref().is_some_and(|unused| unused.paths.contains(path));
        is_unrecorded && self.matching(path).any(|rule| rule.on && rule.id == unused::RULE)
    }

    /// Those of some paths that are matched by more than the want of a use in recordings.
    pub fn by_rules_alone<'p>(&self, paths: &'p BTreeSet<TreePath>) -> Cow<'p, BTreeSet<TreePath>> {
        let Some(unused) = &self.unused else {
            return Cow::Borrowed(paths);
        };
        let aside = BTreeSet::from([unused::RULE.to_owned()]);
        let is_matched = |path: &&TreePath| !unused.paths.contains(*path) || self.rule_without(path, &aside).is_some();
        Cow::Owned(paths.iter().filter(is_matched).cloned().collect())
    }

    /// What recorded runs used although a rule would remove it, each path with how it was used.
    pub fn recorded(&self, path: &TreePath, entry: &Entry, rule: &str) -> Option<String> {
        // What the user himself has chosen to remove stays removed.
        self.rule(rule)?;
        let evidence = &self.unused.as_ref()?.evidence;
        evidence.counts(path, entry).then(|| evidence.describe(path)).flatten()
    }

    /// Whether a glob of the user's keeps a path.
    pub fn is_kept(&self, path: &TreePath) -> bool {
        self.levels.iter().any(|level| level.keep.is_match(path.as_str()))
    }

    /// Whether a path that is matched by this name is dropped because a glob of the user's matches it.
    pub fn is_drop(&self, name: &str) -> bool {
        self.levels.iter().any(|level| level.drop_name == name)
    }

    /// The globs to keep or to drop that match no path of the tree, each with where it stands, sorted.
    pub fn unmatched_globs(&self, tree: &Tree) -> Vec<(&str, &str)> {
        let mut unmatched = Vec::new();
        for level in &self.levels {
            for (set, texts) in [&level.keep, &level.drop].into_iter().zip(&level.texts) {
                let mut matched = BTreeSet::new();
                for (path, _) in tree.iter().filter(|_| !texts.is_empty()) {
                    matched.extend(set.matches(path.as_str()).into_iter().map(|glob| glob / GLOBS_OF_TEXT));
                }
                let texts = texts.iter().enumerate();
                let left = texts.filter(|(number, _)| !matched.contains(number));
                unmatched.extend(left.map(|(_, (place, text))| (place.as_str(), text.as_str())));
            }
        }
        unmatched.sort_unstable();
        unmatched
    }

    /// The last rule that is on and matches the path, apart from some.
    pub fn rule_without(&self, path: &TreePath, aside: &BTreeSet<String>) -> Option<&str> {
        let mut matching = self.matching(path);
        Some(&matching.rfind(|rule| rule.on && !aside.contains(&rule.id))?.id)
    }

    /// Every rule that is off and would remove the path.
    pub fn off_but_matching(&self, path: &TreePath) -> impl Iterator<Item = &str> {
        let matching = self.matching(path).filter(|rule| !rule.on);
        matching.map(|rule| rule.id.as_str())
    }

    /// Every rule that matches the path, on or off, in the order in which they apply.
    pub fn all_matching(&self, path: &TreePath) -> impl Iterator<Item = &str> {
        self.matching(path).map(|rule| rule.id.as_str())
    }

    /// What stops working without what a rule takes.
    pub fn breaks(&self, id: &str) -> &str {
        self.rule(id).map_or("", |rule| rule.breaks.as_str())
    }

    /// The kind of files that a rule takes.
    pub fn category(&self, id: &str) -> &str {
        self.rule(id).map_or("", |rule| rule.category.as_str())
    }

    /// Switches a rule on.
    pub fn switch_on(&mut self, id: &str) {
        for rule in self.rules.iter_mut().filter(|rule| rule.id == id) {
            rule.on = true;
        }
    }

    /// The same rules, all of them on.
    #[must_use]
    pub fn with_all_on(&self) -> Self {
        let mut all = self.clone();
        for rule in &mut all.rules {
            rule.on = true;
        }
        all
    }

    /// Drops what globs match as well, unless it is kept, as if the command line said so.
    pub fn drop_also(&mut self, globs: &[String]) -> Result<(), RuleError> {
        let drop_name = DROP.to_owned();
        let texts = globs.iter().map(|glob| (drop_name.clone(), glob.clone())).collect();
        let drop = set_of(globs, DROP)?;
        let keep = GlobSet::empty();
        // Behind all others: what a choice keeps stays.
        self.levels.push(Level {
            keep,
            drop,
            drop_name,
            texts: [Vec::new(), texts],
        });
        Ok(())
    }

    fn rule(&self, id: &str) -> Option<&ReadyRule> {
        self.rules.iter().find(|rule| rule.id == id)
    }

    /// Whether the runtime itself brings what a rule removes.
    pub fn is_provided(&self, id: &str) -> bool {
        self.rule(id).is_some_and(|rule| rule.is_provided)
    }

    /// Whether a rule that is on removes a path because nothing on the runtime can use it, whatever names it.
    pub fn is_of_no_use(&self, path: &TreePath) -> bool {
        self.matching(path).any(|rule| match rule.anchor {
            Anchor::OtherPlatforms => rule.on,
            Anchor::Language(anchor) => rule.on && anchor.is_of_no_use,
            _ => false,
        })
    }

    /// Whether a rule removes shadowed libraries.
    pub fn removes_shadowed(&self, id: &str) -> bool {
        self.rule(id).is_some_and(|rule| rule.anchor == Anchor::Shadowed)
    }

    /// The rules that remove something only because a library is shadowed.
    pub fn about_shadowed(&self) -> BTreeSet<String> {
        let rules = self.rules.iter().filter(|rule| rule.is_about_shadowed());
        rules.map(|rule| rule.id.clone()).collect()
    }

    /// The rules that remove what is not a library itself, only because a library is shadowed.
    pub fn remove_with_shadowed(&self) -> impl Iterator<Item = &str> {
        let rules = self.rules.iter().filter(|rule| rule.is_about_shadowed());
        rules
            .filter(|rule| rule.anchor != Anchor::Shadowed)
            .map(|rule| rule.id.as_str())
    }

    /// Whether one of these rules removes the path because of this library.
    pub fn goes_with(&self, id: &str, path: &TreePath, library: &ShadowedLibrary) -> bool {
        self.rule(id).is_some_and(|rule| {
            let globs = rule.when_shadowed.as_ref();
            globs.is_none_or(|globs| globs.is_match(&library.library.soname))
                && (rule.anchor != Anchor::ShadowedCommand || library.commands.contains(path))
        })
    }

    /// The directories of the packages that were asked for, with those that they need; and what the choice is called.
    pub fn selected_packages(&self) -> impl Iterator<Item = (&TreePath, &str)> {
        self.packages.iter().flat_map(|packages| {
            packages
                .selected
                .iter()
                .map(|package| (package, packages.name.as_str()))
        })
    }

    fn matching(&self, path: &TreePath) -> impl DoubleEndedIterator<Item = &ReadyRule> {
        let numbers = self.anchored.matching(path).iter();
        numbers.map(|number| &self.rules[*number])
    }
}

impl Level {
    fn of(choice: &RuleSelection) -> Result<Self, RuleError> {
        Ok(Self {
            keep: set_of(&choice.keep, &choice.place("keep"))?,
            drop: set_of(&choice.drop, &choice.place("drop"))?,
            drop_name: choice.name("drop"),
            texts: [("keep", &choice.keep), ("drop", &choice.drop)].map(|(key, texts)| {
                let place = choice.place(key);
                texts.iter().map(|text| (place.clone(), text.clone())).collect()
            }),
        })
    }
}

impl ReadyRule {
    fn new(rule: &Rule, on: bool, root: Root<'_>) -> Result<Self, RuleError> {
        let set = |text| set_of(std::slice::from_ref(text), &rule.pack);
        Ok(Self {
            id: rule.id.clone(),
            on,
            category: rule.category.clone(),
            breaks: rule.breaks.clone(),
            is_provided: rule.anchor == Anchor::Provided
                || rule
                    .provided_with
                    .as_ref()
                    .is_some_and(|command| root.has_command(command, &root.runtime.command_path())),
            anchor: rule.anchor,
            when_shadowed: rule.when_shadowed.as_ref().map(set).transpose()?,
        })
    }

    fn is_about_shadowed(&self) -> bool {
        self.when_shadowed.is_some() || matches!(self.anchor, Anchor::Shadowed | Anchor::ShadowedCommand)
    }
}

/// What the recordings of the last choice that has some used, and what of the tree they did not.
fn unused(rules: &RuleSet, choices: &[RuleSelection], root: Root<'_>) -> Result<Option<Unused>, RuleError> {
    let Some(evidence) = choices.iter().rev().find_map(|choice| choice.evidence.clone()) else {
        return Ok(None);
    };
    if !evidence
        .used
        .keys()
        .any(|path| !path.is_root() && root.tree.contains(path))
    {
        return Err(RuleError::NothingUsed);
    }
    let evidence = evidence.with_enumerated(root.tree);
    let paths = unused::unused(root, rules, &evidence)?;
    Ok(Some(Unused { evidence, paths }))
}

fn packages(choices: &[RuleSelection], tree: &Tree) -> Result<Option<Packages>, RuleError> {
    let mut chosen = choices.iter().rev();
    let Some((choice, packages)) = chosen.find_map(|choice| Some((choice, choice.packages.as_ref()?))) else {
        return Ok(None);
    };
    let key = packages.key();
    let [selected, others] = packages.of(tree).map_err(|reason| RuleError::Packages {
        from: choice.place(&key),
        reason,
    })?;
    Ok(Some(Packages {
        name: choice.name(&key),
        selected,
        others,
    }))
}
