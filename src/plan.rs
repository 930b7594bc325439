//! The plan: what of a tree is kept, dropped and added, each with its reason. Pure; analyze shows it, pack carries it out.

mod dedupe;
mod mention;
mod needs;
mod repair;
mod same;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rayon::prelude::*;

use crate::host::Libraries;
use crate::languages::inspector;
use crate::loader::{Graph, Idle, Shadowed, graph};
use crate::root::{Location, Root, link_target};
use crate::rules::{Matcher, RuleError};
use crate::runtime::Runtime;
use crate::size::Bytes;
use crate::tree::{Entry, File, GeneratedFile, Mode, Tree, TreePath};

pub use dedupe::{dedupe, may_be_shared};
use needs::Needed;

/// Where libraries from the machine that builds are put: `/opt/lib` is on every runtime's `LD_LIBRARY_PATH`.
const ADDED_TO: &str = "lib";

/// What becomes of a tree.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What goes into the layers: what is kept of the tree, and what is added.
    pub kept: Tree,
    /// What the loader does with it.
    pub graph: Graph,
    /// What goes, with the rule that takes it.
    pub dropped: BTreeMap<TreePath, String>,
    /// What a rule would have taken and something kept needs.
    pub spared: Vec<Spared>,
    /// Libraries that no process loads, because the runtime has its own in front of them, sorted by path. Those that are left
    /// out for that reason are among `dropped` as well.
    pub shadowed: Vec<Shadowed>,
    /// What comes in that the tree does not have, sorted by path.
    pub added: Vec<Added>,
    /// What stays with another content than it has in the tree, sorted by path.
    pub changed: Vec<Changed>,
    /// Where the content of a path comes from, where that is not the same path of the tree.
    pub origins: BTreeMap<TreePath, Origin>,
}

/// Something that stays although a rule matches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spared {
    /// The path.
    pub path: TreePath,
    /// The rule that would have taken it.
    pub rule: String,
    /// What needs it.
    pub needed_by: NeededBy,
}

/// Why something is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NeededBy {
    /// This file, link or R package does not work without it.
    Path(TreePath),
    /// It was asked for, by the option or key of this name.
    Choice(String),
}

impl fmt::Display for NeededBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.fmt(f),
            Self::Choice(name) => f.pad(name),
        }
    }
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
    /// What needs it.
    pub needed_by: Vec<TreePath>,
    /// Its length.
    pub bytes: Bytes,
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
}

/// Where the content of a path comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Another path of the tree.
    Tree(TreePath),
    /// A file of the machine that builds.
    Host(PathBuf),
    /// This program: these bytes.
    Made(Arc<[u8]>),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tree(path) => path.fmt(f),
            Self::Host(path) => path.display().fmt(f),
            Self::Made(_) => f.pad("lambdar-prune"),
        }
    }
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

/// Opens a file of the tree, `None` where it cannot be read.
pub type Open<'a> = dyn Fn(&TreePath) -> Option<Box<dyn std::io::Read>> + Sync + 'a;

/// Decides what becomes of a tree. `open` is asked for files that may call by its path what is to go.
pub fn plan(
    tree: &Tree,
    runtime: &Runtime,
    matcher: &Matcher,
    symlinks: Symlinks,
    libraries: &dyn Libraries,
    open: &Open<'_>,
) -> Result<Plan, PlanError> {
    let paths: Vec<&TreePath> = tree.iter().map(|(path, _)| path).collect();
    let mut by_rules: BTreeMap<TreePath, String> = paths
        .into_par_iter()
        .filter_map(|path| Some((path.clone(), matcher.taken_by(path)?.to_owned())))
        .collect();
    let root = Root { tree, runtime };
    let mut loaded_after_all = Vec::new();
    let (mut dropped, mut needed, mut kept) = loop {
        let mut dropped = by_rules.clone();
        let needed = needs::spare(root, matcher, open, &mut dropped);
        let (kept, loaded) = leave_out(root, matcher, &dropped, &needed);
        if loaded.is_empty() {
            break (dropped, needed, kept);
        }
        // What they need stays as well: the search begins again.
        for Spared { path, .. } in &loaded {
            by_rules.remove(path);
        }
        loaded_after_all.extend(loaded);
    };
    needed.spared.extend(loaded_after_all);
    needed.spared.sort_by(|a, b| a.path.cmp(&b.path));
    dropped.retain(|path, _| !kept.contains(path));
    let mut origins = BTreeMap::new();
    if symlinks == Symlinks::Follow {
        kept = follow_links(Root { tree: &kept, runtime }, &mut origins)?;
    }
    let (added, graph) = bring_in(&mut kept, runtime, libraries);
    for file in &added {
        origins.insert(file.path.clone(), file.from.clone());
    }
    let is_left_out = |idle: &&Idle| {
        let taker = dropped.get(&idle.library.path);
        taker.is_some_and(|taker| matcher.takes_shadowed(taker))
    };
    let left_out = matcher
        .idle()
        .iter()
        .filter(is_left_out)
        .map(|idle| idle.library.clone());
    let mut shadowed: Vec<Shadowed> = graph.shadowed.iter().cloned().chain(left_out).collect();
    shadowed.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Plan {
        kept,
        graph,
        dropped,
        spared: needed.spared,
        shadowed,
        added,
        changed: Vec::new(),
        origins,
    })
}

impl Plan {
    /// Brings a file of this program in, where nothing is.
    pub fn add(&mut self, file: &GeneratedFile, needed_by: Vec<TreePath>) {
        let from = Origin::Made(file.text.as_bytes().into());
        self.kept.insert(file.path.clone(), file.entry(inspector()));
        self.origins.insert(file.path.clone(), from.clone());
        self.added.push(Added {
            path: file.path.clone(),
            from,
            soname: None,
            needed_by,
            bytes: Bytes(file.text.len() as u64),
        });
        self.added.sort_by(|a, b| a.path.cmp(&b.path));
    }

    /// Puts another text into a file that is kept; `by` is what the manifest says of who changed it.
    pub fn change(&mut self, path: &TreePath, by: &'static str, text: &str) {
        let Some(file) = self.kept.file(path) else { return };
        let before = file.bytes;
        let made = GeneratedFile {
            path: path.clone(),
            mode: file.mode,
            text: text.to_owned(),
        };
        self.kept.insert(path.clone(), made.entry(inspector()));
        self.origins.insert(path.clone(), Origin::Made(text.as_bytes().into()));
        self.changed.push(Changed {
            path: path.clone(),
            by,
            before,
            after: Bytes(text.len() as u64),
        });
        self.changed.sort_by(|a, b| a.path.cmp(&b.path));
    }

    /// The files and links that each rule takes, with their unzipped size, the largest first.
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

/// The tree without what is dropped, and the libraries that must not be dropped.
///
/// Leaving out a library that is never loaded must not change what any other object loads. Should it do so all the same,
/// the library has to stay, with its names.
fn leave_out(
    root: Root<'_>,
    matcher: &Matcher,
    dropped: &BTreeMap<TreePath, String>,
    needed: &Needed,
) -> (Tree, Vec<Spared>) {
    let (folders, idle) = (&needed.folders, matcher.idle());
    let kept = without(root.tree, dropped, folders);
    // What else is dropped is somebody's wish.
    let takers: BTreeMap<TreePath, String> = idle
        .iter()
        .flat_map(Idle::paths)
        .filter_map(|path| Some((path.clone(), dropped.get(path)?.clone())))
        .filter(|(_, taker)| matcher.takes_shadowed(taker))
        .collect();
    if takers.is_empty() {
        return (kept, Vec::new());
    }
    let answers = |tree: &Tree| {
        graph(Root {
            tree,
            runtime: root.runtime,
        })
    };
    let mut with = dropped.clone();
    with.retain(|path, _| !takers.contains_key(path));
    let before = answers(&without(root.tree, &with, folders));
    if same::first_difference(&before, &answers(&kept)).is_none() {
        return (kept, Vec::new());
    }
    let mut spared = Vec::new();
    for idle in idle {
        let taken = || idle.paths().filter_map(|path| takers.get_key_value(path));
        let mut fewer = with.clone();
        fewer.extend(taken().map(|(path, taker)| (path.clone(), taker.clone())));
        match same::first_difference(&before, &answers(&without(root.tree, &fewer, folders))) {
            None => with = fewer,
            Some(by) => spared.extend(taken().map(|(path, taker)| Spared {
                path: path.clone(),
                rule: taker.clone(),
                needed_by: NeededBy::Path(by.clone()),
            })),
        }
    }
    (kept, spared)
}

/// The tree without what is dropped. A folder goes with the last thing in it; one that was empty before stays, and so does
/// one that a link leads to.
fn without(tree: &Tree, dropped: &BTreeMap<TreePath, String>, folders: &BTreeSet<TreePath>) -> Tree {
    let mut kept = Tree::default();
    let mut holding = BTreeSet::new();
    for (path, entry) in tree.iter() {
        let stays = folders.contains(path)
            || !dropped.contains_key(path)
                && match entry {
                    Entry::Directory(_) => tree.below(path).next().is_none(),
                    _ => true,
                };
        if stays {
            // Where one is known, so are those above it.
            for folder in path.ancestors() {
                if !holding.insert(folder) {
                    break;
                }
            }
            kept.insert(path.clone(), entry.clone());
        }
    }
    for folder in holding {
        if let Some(entry) = tree.get(&folder) {
            kept.insert(folder, entry.clone());
        }
    }
    kept
}

/// Replaces every link by a copy of what it leads to.
fn follow_links(root: Root<'_>, origins: &mut BTreeMap<TreePath, Origin>) -> Result<Tree, PlanError> {
    let mut copied = Tree::default();
    for (path, entry) in root.tree.iter() {
        copy(root, path, path, entry, &mut Vec::new(), &mut |to, from, entry| {
            if to != from && matches!(entry, Entry::File(_)) {
                origins.insert(to.clone(), Origin::Tree(from.clone()));
            }
            copied.insert(to.clone(), entry.clone());
        })?;
    }
    Ok(copied)
}

/// Puts the entry at `from` to `to`: itself, or, for a link, what it leads to with all that lies below.
/// `open` are the folders that are being copied already: a link into one of them would never end.
fn copy(
    root: Root<'_>,
    to: &TreePath,
    from: &TreePath,
    entry: &Entry,
    open: &mut Vec<TreePath>,
    put: &mut dyn FnMut(&TreePath, &TreePath, &Entry),
) -> Result<(), PlanError> {
    let Entry::Symlink(target) = entry else {
        put(to, from, entry);
        return Ok(());
    };
    let refuse = |reason| PlanError::Link {
        path: from.clone(),
        target: target.clone(),
        reason,
    };
    let Ok(Location::Tree(place)) = root.resolve(&link_target(from, target)) else {
        return Err(refuse("it is not in the tree"));
    };
    if open.iter().chain([from]).any(|inside| inside.below(&place).is_some()) {
        return Err(refuse("the link lies inside it"));
    }
    if let Some(entry) = root.tree.get(&place) {
        put(to, &place, entry);
    }
    open.push(place.clone());
    for (below, entry) in root.tree.below(&place) {
        if let Some(to) = below.below(&place).and_then(|below| to.join(below)) {
            copy(root, &to, below, entry, open, put)?;
        }
    }
    open.pop();
    Ok(())
}

/// Adds the libraries that are missing and that this machine has, and what they need in turn.
fn bring_in(kept: &mut Tree, runtime: &Runtime, libraries: &dyn Libraries) -> (Vec<Added>, Graph) {
    let mut added: Vec<Added> = Vec::new();
    let mut tried = BTreeSet::new();
    loop {
        let graph = graph(Root { tree: kept, runtime });
        let mut found = Vec::new();
        for (soname, needed_by) in graph.missing() {
            let Some(path) = TreePath::new(ADDED_TO).and_then(|lib| lib.join(soname)) else {
                continue;
            };
            if kept.contains(&path) || !tried.insert(soname.to_owned()) {
                continue;
            }
            if let Some(library) = libraries.find(soname, runtime.arch) {
                found.push((
                    path,
                    library,
                    soname.to_owned(),
                    needed_by.into_iter().cloned().collect(),
                ));
            }
        }
        if found.is_empty() {
            added.sort_by(|a, b| a.path.cmp(&b.path));
            return (added, graph);
        }
        for (path, library, soname, needed_by) in found {
            kept.insert(
                path.clone(),
                Entry::File(File {
                    bytes: library.bytes,
                    mode: Mode::DIRECTORY,
                    content: crate::tree::Content::Object(Box::new(library.object)),
                }),
            );
            added.push(Added {
                path,
                from: Origin::Host(library.path),
                soname: Some(soname),
                needed_by,
                bytes: library.bytes,
            });
        }
    }
}
