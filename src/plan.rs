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

mod dedupe;
mod import;
mod layout;
mod links;
mod notes;
mod repair;
mod rest;
mod retain;
mod what_if;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use globset::GlobSet;
use rayon::prelude::*;

use crate::bootstrap::{self, BootstrapError};
use crate::elf::{Object, Patch};
use crate::finding::Finding;
use crate::host::{HostPackage, Libraries, NoLibraries};
use crate::languages::code_files;
use crate::languages::place::Placed;
use crate::loader::{Finder, Graph, LoadedTree, Shadowed, ShadowedLibrary};
use crate::root::Root;
use crate::rules::{Matcher, RuleError};
use crate::runtime::Runtime;
use crate::size::Bytes;
use crate::timings::phase;
use crate::tree::{Content, Entry, File, Mode, Tree, TreePath};
use crate::uses::{
    Ask, CachedUses, CalledCommands, Companion, FindUses, InstalledPackages, Interpreters, LinkTargets,
    NeededLibraries, OpenedLibraries, RelativePaths, ShadowedLibraries, ShellPaths, Sought, SoughtKind, SourceCode,
    WrittenNames, WrittenPaths, uses_of, whole_package,
};

use dedupe::{Deduped, dedupe};
use import::{Owners, PrivateCopies, add_packages, import, owners};
use layout::Layout;
use notes::{notes, shadowed_layer};
use repair::{bring_newer, repair};
use retain::{Matches, Retention, retain, retained_by};

pub use crate::uses::{Contents, Evidence, Use, UseKind, Used, User, Uses};
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

/// A bootstrap that is to be added.
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

/// The paths that would stay with each of several sets of rules, which are those of [`Plan::kept`] without what comes in; `None`
/// where there would be no plan.
///
/// The rules in the context are those that the others add to, and `known` are the uses that the plan for them found. If they
/// tell all ([`Options::compared`]), no file is looked into again, otherwise each is once for all sets. Nothing is found out any
/// more as soon as `is_stopped` says so.
pub fn kept_with_each(
    loaded: &LoadedTree<'_>,
    context: &Context<'_>,
    options: &Options,
    known: &Uses,
    each: &[Matcher],
    is_stopped: &(dyn Fn() -> bool + Sync),
) -> Vec<Option<BTreeSet<TreePath>>> {
    let _phase = phase("compare plans");
    let tree = loaded.root().tree;
    let commands = InstalledPackages::commands(tree, context.runtime);
    let of_rules = |rules| matched_paths(tree, rules, &commands).0;
    let all: Vec<(&Matcher, Matches)> = each.par_iter().map(|rules| (rules, of_rules(rules))).collect();
    let base = of_rules(context.rules);
    let matched = all.iter().map(|(_, matches)| matches).chain([&base]);
    let at_stake: BTreeSet<TreePath> = matched.flat_map(BTreeMap::keys).cloned().collect();
    let packages = InstalledPackages::of(tree);
    let chosen = chosen(context.rules, &packages);
    let replaced = replaced_by_bootstrap(tree, options);
    let kept = |ask: &Ask<'_>| {
        let kept = all.par_iter().map(|(rules, matches)| {
            if is_stopped() {
                return None;
            }
            let uses = follow(tree, rules, matches, &replaced, chosen.clone(), ask);
            let retention = retain(tree, rules, matches, &uses);
            let layout = Layout::of(tree, &retention, context.runtime, options.symlinks).ok()?;
            Some(layout.tree.iter().map(|(path, _)| path.clone()).collect())
        });
        kept.collect()
    };
    // Whatever stays with more rules stays with fewer, too, and was asked.
    let adds = |matches: &Matches| base.keys().all(|path| matches.contains_key(path));
    if known.are_about(&at_stake) && all.iter().all(|(_, matches)| adds(matches)) {
        return kept(&|path| known.by(path).to_vec());
    }
    let companions = companions(context.rules, &base);
    let emptied_by = context.rules.by_rules_alone(&at_stake);
    let finders = finders(
        loaded,
        context.rules,
        &base,
        (&at_stake, &emptied_by),
        packages,
        &companions,
    );
    let asked = CachedUses::new(tree, &finders, context.contents);
    kept(&|path| asked.uses(path))
}

/// The paths that rules match, and whether the tree is a layer of which all is shadowed.
///
/// Rules about shadowed libraries do not apply where they would remove all programs. Libraries alone are there for something that
/// needs them. Other rules do not apply either where they would leave nothing but documents, unless the user names what goes.
fn matched_paths(tree: &Tree, rules: &Matcher, commands: &[(TreePath, TreePath)]) -> (Matches, bool) {
    let mut matches = match_rules(tree, rules);
    let about_shadowed = rules.about_shadowed();
    let is_shadowed_layer = removes_all_programs(tree, &about_shadowed, &matches);
    if is_shadowed_layer {
        matches = matches_without(rules, &matches, &about_shadowed);
    }
    let has_shadowed = matches.values().any(|rule| about_shadowed.contains(rule));
    let (decided, by_rules): (Matches, Matches) = matches
        .clone()
        .into_iter()
        .partition(|(path, rule)| rules.is_drop(rule) || rules.is_unused(path));
    if !has_shadowed && leaves_documents_alone(tree, &by_rules) {
        matches = decided;
    }
    (with_commands(rules, commands, matches), is_shadowed_layer)
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

/// The paths that rules and options match, each with the one that decides.
fn match_rules(tree: &Tree, rules: &Matcher) -> Matches {
    let _phase = phase("match rules");
    let paths: Vec<&TreePath> = tree.iter().map(|(path, _)| path).collect();
    paths
        .into_par_iter()
        .filter_map(|path| Some((path.clone(), rules.removed_by(path)?.to_owned())))
        .collect()
}

/// The matches with the commands of packages that go: a link in `.bin` or a script that a package manager wrote is not a use of
/// the package, and goes with it, unless the user keeps it.
fn with_commands(rules: &Matcher, commands: &[(TreePath, TreePath)], mut matches: Matches) -> Matches {
    for (command, part) in commands {
        let rule = matches.get(part).cloned();
        if let Some(rule) = rule.filter(|_| !rules.is_kept(command)) {
            matches.entry(command.clone()).or_insert(rule);
        }
    }
    matches
}

/// Whether something is removed and nothing is left but what is there to be read by people.
fn leaves_documents_alone(tree: &Tree, matches: &Matches) -> bool {
    let mut left = tree.iter().filter(|(path, entry)| {
        let is_directory = matches!(entry, Entry::Directory(_));
        !is_directory && !matches.contains_key(*path)
    });
    !matches.is_empty() && left.all(|(path, _)| is_document(path))
}

/// Whether rules about shadowed libraries would remove a program and leave nothing that runs: whoever packs it with its data
/// means it.
fn removes_all_programs(tree: &Tree, about_shadowed: &BTreeSet<String>, matches: &Matches) -> bool {
    let mut code = tree.files().filter(|(path, file)| is_code(path, file));
    let mut removes_program = false;
    let all_are_matched = code.all(|(path, file)| {
        let rule = matches.get(path);
        let is_program = file.content.object().is_some_and(Object::is_program);
        removes_program |= is_program && rule.is_some_and(|rule| about_shadowed.contains(rule));
        rule.is_some()
    });
    all_are_matched && removes_program
}

/// How the names of documents begin, in small letters, and directories that hold nothing else.
const DOCUMENTS: [&str; 10] = [
    "license",
    "licence",
    "copying",
    "copyright",
    "notice",
    "readme",
    "authors",
    "changelog",
    "changes",
    "news",
];
const DOCUMENT_DIRECTORIES: [&str; 4] = ["doc", "docs", "licenses", "man"];

/// Whether a file is there to be read by people, by its name.
fn is_document(path: &TreePath) -> bool {
    let name = path.file_name().to_ascii_lowercase();
    DOCUMENTS.iter().any(|begin| name.starts_with(begin))
        || path.names().any(|name| DOCUMENT_DIRECTORIES.contains(&name))
}

/// Whether something can be run or loaded.
fn is_code(path: &TreePath, file: &File) -> bool {
    file.content.object().is_some() || file.mode.is_executable() || code_files::is_code(path)
}

/// The matches as if some rules were off.
fn matches_without(rules: &Matcher, matches: &Matches, aside: &BTreeSet<String>) -> Matches {
    let left = matches.iter().filter_map(|(path, rule)| {
        let rule = if aside.contains(rule) {
            rules.rule_without(path, aside)?
        } else {
            rule
        };
        Some((path.clone(), rule.to_owned()))
    });
    left.collect()
}

/// Files that the requested bootstrap overwrites: whoever uses one of them gets the new one.
fn replaced_by_bootstrap(tree: &Tree, options: &Options) -> BTreeSet<TreePath> {
    let wanted = options.bootstrap.as_ref();
    let found = wanted.and_then(|wanted| bootstrap::find(tree, wanted.home.as_deref()).ok());
    let files = found.into_iter().flat_map(|bootstrap| bootstrap.files);
    files.map(|file| file.path).collect()
}

/// Finds the uses of the paths that rules match.
fn find_uses(
    loaded: &LoadedTree<'_>,
    context: &Context<'_>,
    matches: &Matches,
    replaced: &BTreeSet<TreePath>,
    at_stake: BTreeSet<TreePath>,
) -> Uses {
    let _phase = phase("find uses");
    let (tree, rules) = (loaded.root().tree, context.rules);
    let packages = InstalledPackages::of(tree);
    let chosen = chosen(rules, &packages);
    let companions = companions(rules, matches);
    let emptied_by = rules.by_rules_alone(&at_stake);
    let finders = finders(loaded, rules, matches, (&at_stake, &emptied_by), packages, &companions);
    let ask = |path: &TreePath| uses_of(tree, path, &finders, context.contents);
    let uses = follow(tree, rules, matches, replaced, chosen, &ask);
    drop(finders);
    drop(emptied_by);
    uses.about(at_stake)
}

/// Follows uses from everything that no rule matches, and from what the user chose and recorded runs used. What is replaced is
/// not retained.
fn follow(
    tree: &Tree,
    rules: &Matcher,
    matches: &Matches,
    replaced: &BTreeSet<TreePath>,
    mut chosen: Vec<Use>,
    ask: &Ask<'_>,
) -> Uses {
    chosen.extend(recorded(tree, rules, matches));
    let start = tree.iter().map(|(path, _)| path);
    let start = start.filter(|path| !matches.contains_key(*path)).cloned().collect();
    Uses::follow(start, chosen, ask, &|edge| {
        let mut retained = retained_by(tree, rules, matches, edge);
        retained.retain(|path| !replaced.contains(path));
        retained
    })
}

/// One finder for each way in which something can be used. Of the paths that are at stake, the second set has those that rules
/// match which only guess: a recorded run knows which directories are read.
fn finders<'a>(
    loaded: &'a LoadedTree<'a>,
    rules: &'a Matcher,
    matches: &Matches,
    (at_stake, emptied_by): (&'a BTreeSet<TreePath>, &'a BTreeSet<TreePath>),
    packages: InstalledPackages,
    companions: &'a [Companion],
) -> Vec<Box<dyn FindUses + 'a>> {
    let root = loaded.root();
    let names = rules.shadowed().iter().flat_map(ShadowedLibrary::paths);
    let is_removable = |path: &&TreePath| matches.get(*path).is_some_and(|rule| rules.removes_shadowed(rule));
    let removable: BTreeSet<TreePath> = names.filter(is_removable).cloned().collect();
    let settings = packages.settings().cloned().collect();
    let shadowed = ShadowedLibraries::new(loaded, rules.shadowed(), companions, &removable);
    let mut finders: Vec<Box<dyn FindUses + 'a>> = vec![
        Box::new(LinkTargets(root)),
        Box::new(NeededLibraries(loaded)),
        Box::new(Interpreters(root)),
        Box::new(shadowed),
        Box::new(packages),
    ];
    let sought = sought(root, companions, &removable);
    if let Some(opened) = OpenedLibraries::of(&sought) {
        finders.push(Box::new(opened));
    }
    if let Some(written) = WrittenNames::of(root, sought, settings) {
        finders.push(Box::new(written));
    }
    if let Some(written) = WrittenPaths::of(root, at_stake, emptied_by) {
        finders.push(Box::new(written));
    }
    if let Some(written) = ShellPaths::of(root.tree, at_stake, emptied_by) {
        finders.push(Box::new(written));
    }
    if let Some(written) = RelativePaths::of(root.tree, at_stake, emptied_by) {
        finders.push(Box::new(written));
    }
    if !at_stake.is_empty() {
        finders.push(Box::new(SourceCode::of(root.tree, at_stake)));
        if let Some(called) = CalledCommands::of(root, at_stake) {
            finders.push(Box::new(called));
        }
    }
    finders
}

/// What is removed because of shadowed libraries, to be looked for by name in what is kept.
fn sought(root: Root<'_>, companions: &[Companion], removable: &BTreeSet<TreePath>) -> BTreeSet<Sought> {
    let companions = companions.iter().map(|companion| Sought {
        path: companion.path.clone(),
        kind: if companion.is_command {
            SoughtKind::Command
        } else {
            SoughtKind::File
        },
    });
    let finder = Finder::new(root);
    let libraries = removable.iter().map(|path| Sought {
        path: path.clone(),
        kind: SoughtKind::Library {
            is_provided: finder.served_by_runtime(path.file_name()).is_some(),
        },
    });
    companions.chain(libraries).collect()
}

/// The packages that the user selected, and those that these require.
fn chosen(rules: &Matcher, packages: &InstalledPackages) -> Vec<Use> {
    let selected = rules.selected_packages().filter_map(|(directory, choice)| {
        let package = packages.at(directory)?;
        Some(Use {
            from: User::Choice(choice.to_owned()),
            to: whole_package(package),
            kind: UseKind::Choice,
            evidence: Evidence::of(&package.name),
        })
    });
    selected.collect()
}

/// What recorded runs used although a rule matches it. A directory is among it that was asked for and holds nothing else
/// that is used.
fn recorded(tree: &Tree, rules: &Matcher, matches: &Matches) -> Vec<Use> {
    let recorded = matches.iter().filter_map(|(path, rule)| {
        Some(Use {
            from: User::Choice("--used".to_owned()),
            to: Used::Path(path.clone()),
            kind: UseKind::Recorded,
            evidence: Evidence::of(rules.recorded(path, tree.get(path)?, rule)?),
        })
    });
    recorded.collect()
}

/// What rules remove together with shadowed libraries, sorted by path. It may go with several.
fn companions(rules: &Matcher, matches: &Matches) -> Vec<Companion> {
    let with_shadowed: BTreeSet<&str> = rules.remove_with_shadowed().collect();
    let going = matches.iter().filter(|(_, rule)| with_shadowed.contains(rule.as_str()));
    going
        .flat_map(|(path, rule)| {
            let libraries = rules.shadowed().iter();
            libraries
                .filter(move |library| rules.goes_with(rule, path, library))
                .map(|library| Companion {
                    path: path.clone(),
                    library: library.library.path.clone(),
                    is_command: library.commands.contains(path),
                })
        })
        .collect()
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
