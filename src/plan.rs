//! The plan: what of a tree is kept, removed, changed and added, each with its reason. Pure; analyze shows it, pack carries
//! it out.
//!
//! [`plan`] goes through its phases in this order, and each only looks at the results of those before it:
//!
//! 1. match the rules: which paths could go;
//! 2. find the uses: what everything that stays uses, directly or not;
//! 3. retain what is used, and lay out what is left;
//! 4. import libraries that neither the tree nor the runtime has, and newer copies of those that are too old there;
//! 5. repair what does not work on Lambda as it is, and add the bootstrap;
//! 6. dedupe: files with the same content become links to one of them.

mod compare;
mod dedupe;
mod import;
mod layout;
mod links;
mod matching;
mod notes;
mod repair;
mod rest;
mod retain;
mod uses;
mod what_if;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use globset::GlobSet;

use crate::bootstrap::{self, BootstrapError};
use crate::elf::Patch;
use crate::finding::Finding;
use crate::host::{HostPackage, Libraries, NoLibraries};
use crate::languages::place::Placed;
use crate::loader::{Graph, LoadedTree, Shadowed, ShadowedLibrary};
use crate::rules::{Matcher, RuleError};
use crate::runtime::Runtime;
use crate::size::Bytes;
use crate::timings::phase;
use crate::tree::{Content, Entry, File, Mode, Tree, TreePath};
use crate::uses::InstalledPackages;

use dedupe::{Deduped, dedupe};
use import::{Owners, PrivateCopies, add_packages, import, owners};
use layout::Layout;
use matching::matched_paths;
use notes::{notes, shadowed_layer};
use repair::{bring_newer, repair};
use retain::{Retention, retain};
use uses::find_uses;

pub use crate::uses::{Contents, Evidence, Use, UseKind, Used, User, Uses};
pub use compare::kept_with_each;
pub use dedupe::Unlinked;
pub use repair::fix_names;
pub use retain::Retained;
pub use what_if::{Change, Gain, KeptWith, WhatIf};

/// What becomes of a tree.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What goes into the layers: what is kept of the tree, and what is added.
    pub kept: Tree,
    /// What the loader does with it.
    pub graph: Graph,
    /// Who uses what, as far as something kept does.
    pub uses: Uses,
    /// What is removed, with the rule that removes it.
    pub dropped: BTreeMap<TreePath, String>,
    /// What a rule matches and something kept uses, sorted by path.
    pub retained: Vec<Retained>,
    /// What there is to say about it that its author may not expect, and what is left to do for what was added.
    pub findings: Vec<Finding>,
    /// Libraries that no process loads, because the runtime's own copies are found first, sorted by path. Those that are
    /// removed for that reason are among `dropped` as well.
    pub shadowed: Vec<Shadowed>,
    /// What comes in that the tree does not have, sorted by path.
    pub added: Vec<Added>,
    /// What stays with another content than it has in the tree, sorted by path.
    pub changed: Vec<Changed>,
    /// Where the content of a path comes from, where that is not the same path of the tree.
    pub origins: BTreeMap<TreePath, Origin>,
    /// Environment variables that the function has to set for what was added to be found, with their values.
    pub variables: BTreeMap<String, String>,
    /// The bytes of a content that are written over on its way into the layers.
    pub patches: BTreeMap<TreePath, Vec<Patch>>,
    /// Files with the same content that are not links to one of them, sorted by path.
    pub unlinked: Vec<Unlinked>,
}

/// A file that is brought in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// Its path in the layers.
    pub path: TreePath,
    /// Where it comes from.
    pub from: Origin,
    /// The name by which it is needed, if it is a library.
    pub soname: Option<String>,
    /// The library of the runtime that is too old for the tree, if this is a newer copy of it under a name of its own.
    pub copy_of: Option<String>,
    /// What needs it.
    pub needed_by: Vec<TreePath>,
    /// Its length.
    pub bytes: Bytes,
    /// The package of the machine that it comes from, if one owns it.
    pub package: Option<HostPackage>,
}

impl Added {
    /// What people know it by, if it is a library: of a newer copy, the name that both have, before its own.
    pub fn known_as(&self) -> Option<String> {
        let soname = self.soname.as_ref()?;
        Some(match &self.copy_of {
            Some(outdated) => format!("newer {outdated} (as {soname})"),
            None => soname.clone(),
        })
    }
}

/// A file of the tree that is something else in the layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The file.
    pub path: TreePath,
    /// What changed it, by the name that the manifest has for it.
    pub by: &'static str,
    /// Its length in the tree.
    pub before: Bytes,
    /// Its length in the layers.
    pub after: Bytes,
    /// What was done, if its name does not say it all.
    pub reason: Option<Reason>,
}

/// What was done to a file, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// What is different now: follows upon the path.
    pub what: String,
    /// Why it has to be.
    pub why: String,
}

/// Where the content of a path comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Another path of the tree.
    Tree(TreePath),
    /// A file of the machine that builds.
    Host(PathBuf),
    /// This program: these bytes.
    Generated(Arc<[u8]>),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tree(path) => path.fmt(f),
            Self::Host(path) => path.display().fmt(f),
            Self::Generated(_) => f.pad("lambdar-prune"),
        }
    }
}

/// What a plan may do beyond removing files.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What to do with symbolic links.
    pub symlinks: Symlinks,
    /// What to repair of what does not work on Lambda as it is.
    pub fixes: Fixes,
    /// Whether to add a bootstrap.
    pub bootstrap: Option<AddBootstrap>,
    /// Whether files with the same content become links; links that are followed stay copies.
    pub dedupe: bool,
    /// Paths whose uses are found as well although no rule matches them, to be shown.
    pub explained: BTreeSet<TreePath>,
    /// Whether the uses of what rules that are off match are found as well, for [`kept_with_each`].
    pub compared: bool,
    /// The paths of layers with names of their own, of which the first one that matches has a file. A function may have one
    /// layer without the other, so that no link leads from one into another.
    pub layers: Vec<GlobSet>,
}

/// Which repairs are made, by the names that the manifest has for them ([`fix_names`]).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Fixes {
    /// None.
    #[default]
    None,
    /// All but these.
    AllBut(BTreeSet<String>),
}

impl Fixes {
    /// All that there are.
    pub fn all() -> Self {
        Self::AllBut(BTreeSet::new())
    }

    /// Whether a repair is made.
    pub fn has(&self, name: &str) -> bool {
        matches!(self, Self::AllBut(without) if !without.contains(name))
    }
}

/// A bootstrap to add.
#[derive(Debug, Clone, Default)]
pub struct AddBootstrap {
    /// The directory of the interpreter, if the user names it.
    pub home: Option<String>,
}

/// What to do with symbolic links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Symlinks {
    /// They stay links.
    #[default]
    Keep,
    /// Each becomes a copy of what it leads to.
    Follow,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The rules cannot be used.
    #[error(transparent)]
    Rules(#[from] RuleError),
    /// There is no bootstrap for what the tree has.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// A link that cannot be replaced by a copy.
    #[error(
        "the link {path} leads to {target}, which cannot be copied: {reason}; remove it, or keep links with --symlinks keep"
    )]
    Link {
        /// The link.
        path: TreePath,
        /// Its target.
        target: String,
        /// Why not.
        reason: &'static str,
    },
}

/// What a plan is made with, besides the tree: data of the runtime and rules, and ways to read files of the tree and of this
/// machine.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The runtime that the layers are for.
    pub runtime: &'a Runtime,
    /// The rules as they apply to the tree.
    pub rules: &'a Matcher,
    /// The libraries that may be imported.
    pub libraries: &'a dyn Libraries,
    /// Reads files of the tree.
    pub contents: &'a Contents<'a>,
    /// Groups files of the tree that have the same content.
    pub copies: &'a Copies<'a>,
}

impl<'a> Context<'a> {
    /// A context without access to files: contents that a scan did not keep are not read, and nothing is imported.
    pub fn without_files(runtime: &'a Runtime, rules: &'a Matcher) -> Self {
        Self {
            runtime,
            rules,
            libraries: &NoLibraries,
            contents: &|_, _| None,
            copies: &|_, _| Vec::new(),
        }
    }
}

/// Groups the paths of a tree that have the same content, of the files that the second argument accepts.
pub type Copies<'a> = dyn Fn(&Tree, &dyn Fn(&TreePath, &File) -> bool) -> Vec<Vec<TreePath>> + Sync + 'a;

/// What a plan decides before anything comes in.
struct Decided {
    is_shadowed_layer: bool,
    uses: Uses,
    retention: Retention,
    layout: Layout,
}

/// Matches the rules, finds the uses, and lays out what is left.
fn decide(loaded: &LoadedTree<'_>, context: &Context<'_>, options: &Options) -> Result<Decided, PlanError> {
    let tree = loaded.root().tree;
    let commands = InstalledPackages::commands(tree, context.runtime);
    let (matches, is_shadowed_layer) = matched_paths(tree, context.rules, &commands);
    let replaced = replaced_by_bootstrap(tree, options);
    let mut at_stake: BTreeSet<TreePath> = matches.keys().chain(&options.explained).cloned().collect();
    if options.compared {
        let rules = context.rules.with_all_on();
        at_stake.extend(matched_paths(tree, &rules, &commands).0.into_keys());
    }
    let uses = find_uses(loaded, context, &matches, &replaced, at_stake);
    let retention = retain(tree, context.rules, &matches, &uses);
    let layout = Layout::of(tree, &retention, context.runtime, options.symlinks)?;
    Ok(Decided {
        is_shadowed_layer,
        uses,
        retention,
        layout,
    })
}

/// Decides what becomes of a tree.
pub fn plan(loaded: &LoadedTree<'_>, context: &Context<'_>, options: &Options) -> Result<Plan, PlanError> {
    let _phase = phase("plan");
    let tree = loaded.root().tree;
    let Decided {
        is_shadowed_layer,
        uses,
        retention,
        layout: kept,
    } = decide(loaded, context, options)?;
    let imported = import(&kept, loaded, context, &options.fixes, &PrivateCopies::new());
    let added = imported.layout.added.clone();
    // A package manager takes as long as all that is done here.
    let (mut imported, owners) = thread::scope(|scope| {
        let owners = scope.spawn(|| owners(&added, context.libraries, Owners::new()));
        let imported = bring_newer(imported, loaded, context, options);
        (imported, owners.join().unwrap_or_default())
    });
    add_packages(&mut imported.layout, owners, context.libraries, &options.fixes);
    let repaired = repair(&imported, context, options)?;
    let Deduped { changed, unlinked } = dedupe(&repaired, &imported.graph, loaded, context, options);
    let (layout, graph) = changed.unwrap_or((repaired, imported.graph));
    let removed = retention.without(&kept.tree);
    let mut findings = notes(tree, context.rules, &retention);
    findings.extend(layout.findings);
    if let Some(library) = graph.shadowed.first().filter(|_| is_shadowed_layer) {
        findings.push(shadowed_layer(&library.path, context.runtime));
    }
    Ok(Plan {
        findings,
        shadowed: shadowed(&graph, context.rules, &removed),
        kept: layout.tree,
        added: layout.added,
        changed: layout.changed,
        origins: layout.origins,
        variables: layout.variables,
        patches: layout.patches,
        unlinked,
        dropped: removed,
        retained: retention.retained,
        graph,
        uses,
    })
}

/// Files that the requested bootstrap overwrites: whoever uses one of them gets the new one.
fn replaced_by_bootstrap(tree: &Tree, options: &Options) -> BTreeSet<TreePath> {
    let wanted = options.bootstrap.as_ref();
    let found = wanted.and_then(|wanted| bootstrap::find(tree, wanted.home.as_deref()).ok());
    let files = found.into_iter().flat_map(|bootstrap| bootstrap.files);
    files.map(|file| file.path).collect()
}

/// The shadowed libraries that are kept, and those that are removed for that reason, sorted by path.
fn shadowed(graph: &Graph, rules: &Matcher, removed: &BTreeMap<TreePath, String>) -> Vec<Shadowed> {
    let is_removed = |library: &&ShadowedLibrary| {
        let rule = removed.get(&library.library.path);
        rule.is_some_and(|rule| rules.removes_shadowed(rule))
    };
    let gone = rules.shadowed().iter().filter(is_removed);
    let gone = gone.map(|library| library.library.clone());
    let mut shadowed: Vec<Shadowed> = graph.shadowed.iter().cloned().chain(gone).collect();
    shadowed.sort_by(|a, b| a.path.cmp(&b.path));
    shadowed
}

impl Plan {
    /// This plan with links in place of files that have the same content, as [`plan`] makes it with [`Options::dedupe`].
    pub fn deduped(&self, loaded: &LoadedTree<'_>, context: &Context<'_>, layers: Vec<GlobSet>) -> Self {
        let options = Options {
            dedupe: true,
            layers,
            ..Options::default()
        };
        let layout = Layout {
            tree: self.kept.clone(),
            added: self.added.clone(),
            changed: self.changed.clone(),
            origins: self.origins.clone(),
            findings: self.findings.clone(),
            variables: self.variables.clone(),
            patches: self.patches.clone(),
        };
        let Deduped { changed, unlinked } = dedupe(&layout, &self.graph, loaded, context, &options);
        let mut plan = Self {
            unlinked,
            ..self.clone()
        };
        if let Some((layout, graph)) = changed {
            plan.shadowed = shadowed(&graph, context.rules, &self.dropped);
            plan.kept = layout.tree;
            plan.changed = layout.changed;
            plan.graph = graph;
        }
        plan
    }

    /// The libraries that no object needs and nothing else uses. A link to one is not a use: links are there for others.
    pub fn unneeded_libraries(&self) -> impl Iterator<Item = &TreePath> {
        let is_use = |edge: &Use| !matches!(edge.kind, UseKind::LinkTarget | UseKind::Companion);
        let unneeded = self.graph.unneeded.iter();
        unneeded.filter(move |path| !self.uses.of(path).any(is_use))
    }

    /// Puts a file that this program made at a path, in place of one that may be there.
    pub fn add_generated(&mut self, path: TreePath, bytes: Vec<u8>) {
        let file = File {
            bytes: Bytes(bytes.len() as u64),
            mode: Mode::FILE,
            content: Content::Data,
        };
        self.kept.insert(path.clone(), Entry::File(file));
        self.origins.insert(path, Origin::Generated(bytes.into()));
    }

    /// Says where the contents are in a directory in which files are elsewhere than in the tree that was planned for.
    pub fn relocate(&mut self, placed: &Placed) {
        for (path, _) in self.kept.files() {
            let here = match self.origins.get(path) {
                None => path,
                Some(Origin::Tree(other)) => other,
                Some(_) => continue,
            };
            let origin = match (placed.texts.get(here), placed.origins.get(here)) {
                (Some(text), _) => Origin::Generated(text.as_bytes().into()),
                (None, Some(moved)) => Origin::Tree(moved.clone()),
                (None, None) => continue,
            };
            self.origins.insert(path.clone(), origin);
        }
    }

    /// The files and links that each rule removes, with their unzipped size, the largest first.
    pub fn dropped_by_rule(&self, tree: &Tree) -> Vec<(String, usize, Bytes)> {
        let mut sums: BTreeMap<&str, (usize, Bytes)> = BTreeMap::new();
        for (path, rule) in &self.dropped {
            match tree.get(path) {
                None | Some(Entry::Directory(_)) => {}
                Some(entry) => {
                    let (files, bytes) = sums.entry(rule).or_default();
                    *files += 1;
                    *bytes += entry.unzipped();
                }
            }
        }
        let mut sums: Vec<_> = sums
            .into_iter()
            .map(|(rule, (files, bytes))| (rule.to_owned(), files, bytes))
            .collect();
        sums.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| a.0.cmp(&b.0)));
        sums
    }
}
