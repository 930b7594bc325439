//! The document of `why`: who uses a file or library and how that is known, how the loader finds it, or where it searches without success.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::SCHEMA_VERSION;
use super::table::{Column, ROWS, RenderOptions, long_table};
use crate::elf::Object;
use crate::host::Libraries;
use crate::loader::{
    BOOTSTRAP, Followed, Graph, Loaded, LoadedTree, MissingCause, Provided, Rejection, Resolution, Resolved,
    SearchStep, Start, missing_libraries,
};
use crate::plan::Plan;
use crate::root::{Location, Root, link_target};
use crate::tree::path::{LAYER_ROOT, escaped};
use crate::tree::{Entry, Tree, TreePath};
use crate::uses::{Use, Used};

/// How many uses the document lists at most: of a directory that a whole language stands on there are thousands.
const USES: usize = 1000;

/// Result of `why`.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Why {
    /// Version of this document's schema.
    pub schema_version: u32,
    /// What was asked for.
    pub what: String,
    /// The runtime that the tree was looked at for.
    pub runtime: String,
    /// The file in the tree that it is, links followed; `None` for a name that is not in the tree.
    pub path: Option<String>,
    /// The rule that removes it.
    pub dropped_by: Option<String>,
    /// The rule that would remove it if nothing used it, and the first use that retains it.
    pub spared: Option<RetainedReport>,
    /// Who uses it, or the directory that it is part of, of what is kept: 1,000 uses at most. Each of them retains it.
    pub uses: Vec<UseReport>,
    /// How many uses there are.
    pub uses_count: usize,
    /// Links of the tree that lead to it.
    pub linked_from: Vec<String>,
    /// The runtime's library that is loaded instead of it.
    pub shadowed_by: Option<String>,
    /// How processes come to load it, each chain once.
    pub chains: Vec<Chain>,
    /// Who asks for it and does not get it, each once.
    pub misses: Vec<Miss>,
    /// Where this machine has it, if somebody does not get it.
    pub host_path: Option<String>,
    /// Where the tree has a library of that name, if somebody does not get it.
    pub elsewhere: Vec<String>,
    /// Who needs and who defines it, if it is a symbol.
    pub symbol: Option<SymbolReport>,
    /// Whether it is a program, which is started and not loaded.
    pub is_program: bool,
}

/// A symbol of dynamic linking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SymbolReport {
    /// Objects of the tree that need it, each with the version that it asks for, sorted.
    pub needed_by: Vec<String>,
    /// Objects of the tree and libraries of the runtime that define it, sorted.
    pub defined_by: Vec<String>,
}

/// Use of a file, and how it is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UseReport {
    /// The file, link or package that uses it, or the option by which the user chose it.
    pub from: String,
    /// How it is used.
    pub kind: &'static str,
    /// What is used: the file itself, a link to it, or a directory that it is part of.
    pub to: String,
    /// What is written where it is used.
    pub evidence: String,
    /// The line in which that is, counted from 1, if it is in a text.
    pub line: Option<usize>,
}

/// Why a rule does not remove something.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RetainedReport {
    /// The rule.
    pub rule: String,
    /// What uses it.
    pub needed_by: String,
}

/// From the start of a process to the file, one object after the other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Chain {
    /// The objects; the first is what starts, or a plugin that it opens.
    pub steps: Vec<Step>,
}

/// One object of a chain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Step {
    /// The path by which the loader found it.
    pub path: String,
    /// Where the loader found it; `path` for what starts or is opened by its path.
    pub via: &'static str,
}

/// A library that is not found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Miss {
    /// How the process came to the object that asks for it.
    pub chain: Chain,
    /// Whether the object is never loaded, so that this does not matter: the runtime's own comes first.
    pub never_loaded: bool,
    /// Every directory that was searched, in order.
    pub searched: Vec<SearchedReport>,
}

/// One directory that was searched without success.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SearchedReport {
    /// The directory.
    pub directory: String,
    /// Why it was searched.
    pub via: &'static str,
    /// Why the search went on.
    pub outcome: &'static str,
}

/// The paths of a tree that a path, soname or symbol stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhySubject {
    /// The path itself, if it is one.
    path: Option<TreePath>,
    /// The file that it leads to, or that provides a soname.
    target: Option<TreePath>,
}

impl WhySubject {
    /// Looks for what is meant in a tree.
    pub fn of(what: &str, loaded: &LoadedTree<'_>) -> Self {
        let root = loaded.root();
        let inside = TreePath::from_lambda(what).or_else(|| TreePath::new(what));
        let path = inside.filter(|path| root.tree.contains(path));
        let target = path.as_ref().map(|path| match root.resolve(&path.on_lambda()) {
            Ok(Location::Tree(place)) => place,
            _ => path.clone(),
        });
        Self {
            target: target
                .or_else(|| bundled_as(loaded.graph(), what))
                .or_else(|| library_named(root.tree, what)),
            path,
        }
    }

    /// The path and what it leads to. A plan knows who uses them if it is asked to explain them.
    pub fn paths(&self) -> BTreeSet<TreePath> {
        self.path.iter().chain(&self.target).cloned().collect()
    }
}

/// Explains a path, soname or symbol in a tree. `None` if it is neither in the tree nor asked for by anything.
pub fn why(
    what: &str,
    asked: WhySubject,
    loaded: &LoadedTree<'_>,
    plan: &Plan,
    libraries: &dyn Libraries,
) -> Option<Why> {
    let (root, whole) = (loaded.root(), loaded.graph());
    let Root { tree, runtime } = root;
    let uses = uses(plan, &asked);
    let WhySubject { path: asked, target } = asked;
    let (chains, misses) = chains(loaded, what, target.as_ref());
    let symbol = if target.is_none() && chains.is_empty() && misses.is_empty() {
        Some(symbol(root, what)?)
    } else {
        None
    };
    let shown = asked.as_ref().or(target.as_ref());
    Some(Why {
        schema_version: SCHEMA_VERSION,
        what: what.to_owned(),
        runtime: runtime.name.clone(),
        dropped_by: shown.and_then(|path| plan.dropped.get(path).cloned()),
        spared: shown.and_then(|path| {
            let retained = plan.retained.iter().find(|retained| retained.path == *path)?;
            Some(RetainedReport {
                rule: retained.rule.clone(),
                needed_by: retained.because.from.to_string(),
            })
        }),
        uses_count: uses.len(),
        uses: uses.into_iter().take(USES).collect(),
        linked_from: target
            .as_ref()
            .map(|target| linked_from(root, target))
            .unwrap_or_default(),
        shadowed_by: target.as_ref().and_then(|target| {
            let shadowed = whole.shadowed.iter().find(|shadowed| shadowed.path == *target)?;
            Some(shadowed.by.clone())
        }),
        host_path: misses
            .iter()
            .find(|miss| !miss.never_loaded)
            .and_then(|_| libraries.find(what, runtime.arch))
            .map(|library| library.path.display().to_string()),
        elsewhere: elsewhere(root, whole, what),
        symbol,
        is_program: target
            .as_ref()
            .and_then(|path| tree.object(path))
            .is_some_and(Object::is_program),
        path: target.map(|path| path.to_string()),
        chains,
        misses,
    })
}

/// Who uses what is asked for or, as a whole, a directory that it is part of, each use once.
fn uses(plan: &Plan, asked: &WhySubject) -> Vec<UseReport> {
    let mut found: BTreeSet<UseReport> = BTreeSet::new();
    for path in asked.paths() {
        found.extend(plan.uses.of(&path).map(UseReport::of));
        for directory in path.ancestors() {
            let as_a_whole = plan
                .uses
                .of(&directory)
                .filter(|edge| matches!(edge.to, Used::Directory { .. }));
            found.extend(as_a_whole.map(UseReport::of));
        }
    }
    found.into_iter().collect()
}

/// Where the tree has a library that somebody needs under this name and does not get.
fn elsewhere(root: Root<'_>, graph: &Graph, soname: &str) -> Vec<String> {
    let of_name = missing_libraries(root, graph)
        .into_iter()
        .filter(|missing| missing.soname == soname);
    let places: BTreeSet<TreePath> = of_name
        .flat_map(|missing| match missing.cause {
            MissingCause::Elsewhere(places) => places,
            _ => Vec::new(),
        })
        .collect();
    places.iter().map(ToString::to_string).collect()
}

/// Who needs and who defines a symbol; `None` if nobody does.
fn symbol(root: Root<'_>, name: &str) -> Option<SymbolReport> {
    let (mut needed_by, mut defined_by) = (Vec::new(), Vec::new());
    for (path, object) in root.tree.objects() {
        let Some(symbols) = &object.symbols else { continue };
        for undefined in symbols.undefined.iter().filter(|undefined| *undefined.name == *name) {
            needed_by.push(match &undefined.version {
                Some(version) => format!("{path} ({version})"),
                None => path.to_string(),
            });
        }
        if symbols.has(name) {
            defined_by.push(path.to_string());
        }
    }
    for (path, entry) in root.runtime.entries() {
        if let Entry::File(file) = entry
            && let Some(symbols) = file.content.object().and_then(|object| object.symbols.as_ref())
            && symbols.has(name)
        {
            defined_by.push(path);
        }
    }
    if needed_by.is_empty() && defined_by.is_empty() {
        return None;
    }
    if !root.runtime.records_symbols() && root.runtime.glibc_defines(name) {
        defined_by.push(format!("glibc of {}", root.runtime.name));
    }
    Some(SymbolReport { needed_by, defined_by })
}

/// The file of the tree that provides a name.
fn bundled_as(graph: &Graph, soname: &str) -> Option<TreePath> {
    let needs = graph.loaded_objects().flat_map(|(_, needs)| needs);
    needs
        .filter(|need| need.soname == soname)
        .find_map(|need| match &need.resolution {
            Resolution::Found(Resolved {
                place: Location::Tree(path),
                ..
            }) => Some(path.clone()),
            _ => None,
        })
}

/// The library of the tree that has this name, or is known by it, although nothing may need it.
fn library_named(tree: &Tree, name: &str) -> Option<TreePath> {
    let is_it = |path: &TreePath, object: &Object| object.soname.as_deref() == Some(name) || path.file_name() == name;
    let mut objects = tree.objects();
    objects
        .find(|(path, object)| is_it(path, object))
        .map(|(path, _)| path.clone())
}

fn linked_from(root: Root<'_>, target: &TreePath) -> Vec<String> {
    root.tree
        .iter()
        .filter_map(|(path, entry)| match entry {
            Entry::Symlink(to) if root.resolve(&link_target(path, to)) == Ok(Location::Tree(target.clone())) => {
                Some(path.to_string())
            }
            _ => None,
        })
        .collect()
}

/// The chains that end in what is asked for, and those that end in an object that does not get it: of those by way of the
/// same last two objects the shortest.
fn chains(processes: &LoadedTree<'_>, what: &str, target: Option<&TreePath>) -> (Vec<Chain>, Vec<Miss>) {
    let mut chains: BTreeMap<Vec<String>, Chain> = BTreeMap::new();
    let mut misses: BTreeMap<(String, Vec<SearchedReport>), Miss> = BTreeMap::new();
    for Followed { loaded, start, .. } in processes.followed() {
        for (number, object) in loaded.iter().enumerate() {
            let is_target = match (&object.found.place, target) {
                (Location::Tree(path), Some(target)) => path == target,
                (_, Some(_)) => false,
                (place, None) => place.on_lambda() == what || asked_as(loaded, number, what),
            };
            if is_target && number > 0 && !matches!(start, Start::Shadowed(_)) {
                let chain = chain(loaded, number);
                let end: Vec<String> = chain.steps.iter().rev().take(2).map(|step| step.path.clone()).collect();
                keep_shorter(&mut chains, end, chain, |chain| chain);
            }
            for (soname, provided) in &object.needs {
                let Provided::Missing(searched) = provided else {
                    continue;
                };
                if *soname != what || (number > 0 && matches!(start, Start::Shadowed(_))) {
                    continue;
                }
                let searched: Vec<SearchedReport> = searched.iter().map(SearchedReport::of).collect();
                let miss = Miss {
                    chain: chain(loaded, number),
                    never_loaded: matches!(start, Start::Shadowed(_)),
                    searched,
                };
                let key = (object.found.path.clone(), miss.searched.clone());
                keep_shorter(&mut misses, key, miss, |miss| &miss.chain);
            }
        }
    }
    (chains.into_values().collect(), misses.into_values().collect())
}

fn keep_shorter<K: Ord, V>(kept: &mut BTreeMap<K, V>, key: K, value: V, chain: impl Fn(&V) -> &Chain) {
    match kept.entry(key) {
        Slot::Vacant(slot) => {
            slot.insert(value);
        }
        Slot::Occupied(mut slot) => {
            if chain(&value).steps.len() < chain(slot.get()).steps.len() {
                slot.insert(value);
            }
        }
    }
}

fn asked_as(loaded: &[Loaded<'_>], number: usize, what: &str) -> bool {
    loaded
        .iter()
        .flat_map(|object| &object.needs)
        .any(|(soname, provided)| *soname == what && *provided == Provided::ByObject(number))
}

fn chain(loaded: &[Loaded<'_>], number: usize) -> Chain {
    let mut steps: Vec<Step> = std::iter::successors(Some(number), |number| loaded[*number].requested_by)
        .map(|number| Step {
            path: loaded[number].found.path.clone(),
            via: loaded[number].found.source.name(),
        })
        .collect();
    steps.reverse();
    Chain { steps }
}

impl UseReport {
    fn of(edge: &Use) -> Self {
        Self {
            from: edge.from.to_string(),
            kind: edge.kind.name(),
            to: edge.to.path().to_string(),
            evidence: edge.evidence.text.clone(),
            line: edge.evidence.line,
        }
    }
}

impl SearchedReport {
    fn of(searched: &SearchStep) -> Self {
        Self {
            directory: searched.directory.clone(),
            via: searched.source.name(),
            outcome: match searched.rejection {
                Rejection::NoSuchFile => "no such file",
                Rejection::WrongClass => "32-bit where 64-bit is wanted, or the other way round",
                Rejection::WrongMachine => "for another processor",
                Rejection::NotALibrary => "not a library: the loader gives up here",
            },
        }
    }
}

/// The part of a path on disk that is below a tree, so that paths can be given as the shell completes them.
pub fn inside_tree(what: &str, tree: &str) -> String {
    let trimmed = tree.trim_end_matches('/');
    match what.strip_prefix(trimmed).and_then(|rest| rest.strip_prefix('/')) {
        Some(rest) if !trimmed.is_empty() && trimmed != LAYER_ROOT => rest.to_owned(),
        _ => what.trim_start_matches("./").to_owned(),
    }
}

/// What `why` answers, for people.
pub fn explained(why: &Why, render: RenderOptions) -> String {
    let what = escaped(why.what.as_bytes());
    if let Some(symbol) = &why.symbol {
        return explained_symbol(&what, symbol, render);
    }
    let mut text = match &why.path {
        Some(path) if *path == why.what => format!("{what} is in the tree.\n"),
        Some(path) => format!("{what} is {} in the tree.\n", escaped(path.as_bytes())),
        None => format!("{what} is not in the tree.\n"),
    };
    if let Some(rule) = &why.dropped_by {
        text += &format!("Rule {rule} removes it.\n");
    }
    if let Some(retained) = &why.spared {
        text += &format!(
            "Rule {} would remove it, but {} uses it.\n",
            retained.rule,
            escaped(retained.needed_by.as_bytes())
        );
    }
    if !why.linked_from.is_empty() {
        text += &format!(
            "Links to it: {}.\n",
            why.linked_from
                .iter()
                .map(|link| escaped(link.as_bytes()))
                .collect::<Vec<_>>()
                .join(", ")
        );
    }
    if let Some(by) = &why.shadowed_by {
        text += &format!("It is never loaded: {} of {} comes first.\n", by, why.runtime);
    }
    text += &use_text(why, render);
    text += &chain_text(why, render);
    text += &miss_text(why, render);
    if !why.elsewhere.is_empty() {
        let places: Vec<String> = why.elsewhere.iter().map(|place| escaped(place.as_bytes())).collect();
        text += &format!(
            "The tree has it at {}, where the loader does not look: pack links it into lib/.\n",
            places.join(", ")
        );
    } else if let Some(host) = &why.host_path {
        text += &format!("pack adds it from {host}.\n");
    }
    if why.is_program {
        text += "It is a program: it is started, not loaded.\n";
    } else if why.chains.is_empty() && why.misses.is_empty() && why.uses.is_empty() {
        text += match why.path.as_deref() {
            Some(BOOTSTRAP) => "Lambda starts it.\n",
            _ => "No kept file uses it.\n",
        };
    }
    text
}

/// Who uses it, how, and how that is known.
fn use_text(why: &Why, render: RenderOptions) -> String {
    if why.uses.is_empty() {
        return String::new();
    }
    let row = |edge: &UseReport| {
        let evidence = escaped(edge.evidence.as_bytes());
        vec![
            escaped(edge.from.as_bytes()),
            edge.kind.to_owned(),
            match edge.line {
                Some(line) => format!("line {line}: {evidence}"),
                None => evidence,
            },
        ]
    };
    let columns = [Column::Left("Used by"), Column::Left("Use"), Column::Left("Evidence")];
    let mut text = String::from("\n");
    text += &long_table(render, &columns, why.uses.iter().map(row).collect());
    if why.uses_count > why.uses.len() {
        text += &format!("{} uses in all\n", why.uses_count);
    }
    text
}

/// How processes come to load it.
fn chain_text(why: &Why, render: RenderOptions) -> String {
    let mut text = String::new();
    if !why.chains.is_empty() {
        text += &render.heading("Loaded by");
    }
    let shown = if render.verbose { usize::MAX } else { ROWS };
    for chain in why.chains.iter().take(shown) {
        text += &chain_lines(chain);
    }
    if why.chains.len() > shown {
        text += &format!("{} more with -v\n", why.chains.len() - shown);
    }
    text
}

/// Who asks for it and does not get it.
fn miss_text(why: &Why, render: RenderOptions) -> String {
    let mut text = String::new();
    if !why.misses.is_empty() {
        text += &render.heading("Not found for");
    }
    for miss in &why.misses {
        text += &chain_lines(&miss.chain);
        if miss.never_loaded {
            text += "      which is never loaded: the runtime's own comes first, so that this does not matter\n";
        }
        for searched in &miss.searched {
            text += &format!(
                "      {} ({}): {}\n",
                escaped(searched.directory.as_bytes()),
                searched.via,
                searched.outcome
            );
        }
    }
    text
}

/// What `why` says of a symbol.
fn explained_symbol(what: &str, symbol: &SymbolReport, render: RenderOptions) -> String {
    let mut text = format!("{what} is a symbol.\n");
    for (heading, names) in [("Needed by", &symbol.needed_by), ("Defined by", &symbol.defined_by)] {
        text += &render.heading(heading);
        let shown = if render.verbose { usize::MAX } else { ROWS };
        for name in names.iter().take(shown) {
            text += &format!("  {}\n", escaped(name.as_bytes()));
        }
        if names.len() > shown {
            text += &format!("{} more with -v\n", names.len() - shown);
        }
        if names.is_empty() {
            text += "  nothing\n";
        }
    }
    text
}

fn chain_lines(chain: &Chain) -> String {
    let mut text = String::new();
    for (depth, step) in chain.steps.iter().enumerate() {
        let path = escaped(step.path.as_bytes());
        if depth == 0 {
            text += &format!("  {path}\n");
        } else {
            text += &format!("  {}-> {path} ({})\n", "   ".repeat(depth - 1), step.via);
        }
    }
    text
}
