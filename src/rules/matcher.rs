//! Applies rules to paths.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use rayon::prelude::*;

use super::{Anchor, Rule, RuleError, RuleSelection, RuleSet};
use crate::languages::{Language, r};
use crate::loader::{Graph, ShadowedLibrary, graph, shadowed_libraries};
use crate::root::{Location, Root, link_target};
use crate::tree::{Entry, Tree, TreePath};

/// Rules and choices made ready for one tree.
#[derive(Debug, Clone)]
pub struct Matcher {
    levels: Vec<Level>,
    packages: Option<Packages>,
    rules: Vec<Ready>,
    anchored: Arc<Vec<Anchored>>,
    graph: Arc<Graph>,
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

/// R packages, by their folders.
#[derive(Debug, Clone)]
struct Packages {
    name: String,
    selected: BTreeSet<TreePath>,
    others: BTreeSet<TreePath>,
}

#[derive(Debug, Clone)]
struct Ready {
    id: String,
    on: bool,
    category: String,
    breaks: String,
    is_provided: bool,
    anchor: Anchor,
    when_shadowed: Option<GlobSet>,
}

/// All rules with one anchor and one condition: their globs in one set, each with the number of its rule.
#[derive(Debug)]
struct Anchored {
    folders: BTreeSet<TreePath>,
    /// The only paths that these rules can take; `None` for no such limit.
    among: Option<BTreeSet<TreePath>>,
    paths: Globs,
    except: Globs,
}

/// Where the paths of a rule begin, the shadowed libraries that there must be, and what a script must contain.
type Condition<'a> = (Anchor, Option<&'a str>, &'a [String]);

#[derive(Debug)]
struct Globs {
    set: GlobSet,
    rules: Vec<usize>,
}

impl Matcher {
    /// Compiles the globs and finds the places in the tree where they are anchored. Of the choices, those that come later
    /// beat those before.
    pub fn new(rules: &RuleSet, choices: &[RuleSelection], root: Root<'_>) -> Result<Self, RuleError> {
        let tree = root.tree;
        let mut by_condition: BTreeMap<Condition<'_>, Vec<usize>> = BTreeMap::new();
        let all: Vec<_> = rules.iter().collect();
        for (number, (rule, _)) in all.iter().enumerate() {
            let condition = (rule.anchor, rule.when_shadowed.as_deref(), rule.contains.as_slice());
            by_condition.entry(condition).or_default().push(number);
        }
        let rules: Vec<Ready> = all
            .iter()
            .map(|(rule, on)| Ready::new(rule, *on, root))
            .collect::<Result<_, RuleError>>()?;
        let graph = graph(root);
        let shadowed = shadowed_libraries(root, &graph);
        let anchored = by_condition
            .into_par_iter()
            .map(|((anchor, _, contains), numbers)| {
                let globs = |texts: fn(&Rule) -> &Vec<String>| {
                    let mut set = GlobSetBuilder::new();
                    let mut owners = Vec::new();
                    for number in &numbers {
                        let (rule, _) = all[*number];
                        for text in texts(rule) {
                            for glob in globs_of(text, &rule.pack)? {
                                set.add(glob);
                                owners.push(*number);
                            }
                        }
                    }
                    Ok::<_, RuleError>(Globs {
                        set: built(&set)?,
                        rules: owners,
                    })
                };
                let holds = numbers
                    .iter()
                    .any(|number| rules[*number].condition_holds(tree, &shadowed));
                Ok(Anchored {
                    folders: if holds { folders(anchor, tree) } else { BTreeSet::new() },
                    among: among(anchor, root, &shadowed, &graph).or_else(|| scripts_with(contains, root)),
                    paths: globs(|rule| &rule.paths)?,
                    except: globs(|rule| &rule.except)?,
                })
            })
            .collect::<Result<_, RuleError>>()?;
        let levels = choices
            .iter()
            .rev()
            .map(|choice| {
                Ok(Level {
                    keep: set_of(&choice.keep, &choice.place("keep"))?,
                    drop: set_of(&choice.drop, &choice.place("drop"))?,
                    drop_name: choice.name("drop"),
                    texts: [("keep", &choice.keep), ("drop", &choice.drop)].map(|(key, texts)| {
                        let place = choice.place(key);
                        texts.iter().map(|text| (place.clone(), text.clone())).collect()
                    }),
                })
            })
            .collect::<Result<_, RuleError>>()?;
        Ok(Self {
            levels,
            packages: packages(choices, tree)?,
            rules,
            anchored: Arc::new(anchored),
            graph: Arc::new(graph),
            shadowed: Arc::new(shadowed),
        })
    }

    /// What the loader does with the whole tree.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The libraries of the tree that are never loaded, because the runtime's own copies are found first.
    pub fn shadowed(&self) -> &[ShadowedLibrary] {
        &self.shadowed
    }

    /// The rule that removes the path, or the option: `--keep` beats everything, then `--drop`, then the selection of R packages, then the last rule
    /// that is on and matches.
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
            && (packages.others.contains(path) || path.splits().any(|(folder, _)| packages.others.contains(folder)))
        {
            return Some(&packages.name);
        }
        let last = self.matching(path).into_iter().rfind(|number| self.rules[*number].on)?;
        Some(&self.rules[last].id)
    }

    /// Whether a glob of the user's keeps a path.
    pub fn is_kept(&self, path: &TreePath) -> bool {
        self.levels.iter().any(|level| level.keep.is_match(path.as_str()))
    }

    /// Whether a path that is matched by this name is to be dropped because a glob of the user's says so.
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
        let on = |number: &usize| self.rules[*number].on && !aside.contains(&self.rules[*number].id);
        let last = self.matching(path).into_iter().rfind(on)?;
        Some(&self.rules[last].id)
    }

    /// Every rule that is off and would take the path.
    pub fn off_but_matching(&self, path: &TreePath) -> impl Iterator<Item = &str> {
        self.matching(path)
            .into_iter()
            .map(|number| &self.rules[number])
            .filter(|rule| !rule.on)
            .map(|rule| rule.id.as_str())
    }

    /// Every rule that matches the path, on or off, in the order in which they apply.
    pub fn all_matching(&self, path: &TreePath) -> impl Iterator<Item = &str> {
        self.matching(path)
            .into_iter()
            .map(|number| self.rules[number].id.as_str())
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

    /// Drops what globs match as well, unless it is to be kept, as if the command line said so.
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

    fn rule(&self, id: &str) -> Option<&Ready> {
        self.rules.iter().find(|rule| rule.id == id)
    }

    /// Whether the runtime itself brings what a rule removes.
    pub fn is_provided(&self, id: &str) -> bool {
        self.rule(id).is_some_and(|rule| rule.is_provided)
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

    /// The folders of the R packages that were asked for, with those that they need; and what the choice is called.
    pub fn selected_packages(&self) -> impl Iterator<Item = (&TreePath, &str)> {
        self.packages.iter().flat_map(|packages| {
            packages
                .selected
                .iter()
                .map(|package| (package, packages.name.as_str()))
        })
    }

    fn matching(&self, path: &TreePath) -> BTreeSet<usize> {
        let mut matching = BTreeSet::new();
        for anchored in self.anchored.iter() {
            if anchored.folders.is_empty() || anchored.among.as_ref().is_some_and(|among| !among.contains(path)) {
                continue;
            }
            for (_, below) in path.splits().filter(|(folder, _)| anchored.folders.contains(*folder)) {
                let taken = anchored.paths.matching(below);
                if !taken.is_empty() {
                    let excepted = anchored.except.matching(below);
                    matching.extend(taken.difference(&excepted));
                }
            }
        }
        matching
    }
}

impl Ready {
    fn new(rule: &Rule, on: bool, root: Root<'_>) -> Result<Self, RuleError> {
        let set = |text| set_of(std::slice::from_ref(text), &rule.pack);
        Ok(Self {
            id: rule.id.clone(),
            on,
            category: rule.category.clone(),
            breaks: rule.breaks.clone(),
            is_provided: rule
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

    /// Whether there are such libraries and none of them may be loaded: one in a folder of its own may use the same files.
    fn condition_holds(&self, tree: &Tree, shadowed: &[ShadowedLibrary]) -> bool {
        let Some(globs) = &self.when_shadowed else { return true };
        let is_shadowed = |path: &TreePath| shadowed.iter().any(|known| known.library.path == *path);
        let mut such = tree
            .objects()
            .filter(|(path, object)| globs.is_match(object.soname.as_deref().unwrap_or(path.file_name())))
            .peekable();
        such.peek().is_some() && such.all(|(path, _)| is_shadowed(path))
    }
}

impl Globs {
    fn matching(&self, path: &str) -> BTreeSet<usize> {
        self.set
            .matches(path)
            .into_iter()
            .map(|glob| self.rules[glob])
            .collect()
    }
}

/// Where in the tree the paths of rules begin.
fn folders(anchor: Anchor, tree: &Tree) -> BTreeSet<TreePath> {
    match anchor {
        Anchor::Tree | Anchor::Shadowed | Anchor::ShadowedCommand | Anchor::OtherPlatforms => {
            BTreeSet::from([TreePath::root()])
        }
        Anchor::Language(anchor) => (anchor.directories)(tree),
    }
}

/// The only paths that the rules of an anchor can take; `None` for no such limit.
fn among(anchor: Anchor, root: Root<'_>, shadowed: &[ShadowedLibrary], graph: &Graph) -> Option<BTreeSet<TreePath>> {
    match anchor {
        Anchor::Shadowed => Some(shadowed.iter().flat_map(ShadowedLibrary::paths).cloned().collect()),
        Anchor::ShadowedCommand => Some(shadowed.iter().flat_map(|library| &library.commands).cloned().collect()),
        Anchor::OtherPlatforms => {
            let foreign = graph.foreign.iter().filter(|(_, foreign)| foreign.is_alternative);
            Some(foreign.map(|(path, _)| path.clone()).collect())
        }
        Anchor::Language(anchor) => anchor.files.map(|files| files(root)),
        Anchor::Tree => None,
    }
}

/// The scripts that have one of these texts, and the links to such scripts; `None` if no text is asked for.
fn scripts_with(contains: &[String], root: Root<'_>) -> Option<BTreeSet<TreePath>> {
    if contains.is_empty() {
        return None;
    }
    let has_one = |path: &TreePath| {
        let text = root.tree.text(path);
        text.is_some_and(|text| contains.iter().any(|wanted| text.contains(wanted)))
    };
    let scripts = root.tree.iter().filter(|(path, entry)| match entry {
        Entry::File(_) => has_one(path),
        Entry::Symlink(target) => {
            matches!(root.resolve(&link_target(path, target)), Ok(Location::Tree(script)) if has_one(&script))
        }
        Entry::Directory(_) => false,
    });
    Some(scripts.map(|(path, _)| path.clone()).collect())
}

fn packages(choices: &[RuleSelection], tree: &Tree) -> Result<Option<Packages>, RuleError> {
    let key = "r-packages";
    let Some((choice, names)) = choices
        .iter()
        .rev()
        .find_map(|choice| Some((choice, choice.r_packages.as_ref()?)))
    else {
        return Ok(None);
    };
    let all = r::R.packages(tree);
    let selected = r::select(&all, names).map_err(|reason| RuleError::Packages {
        from: choice.place(key),
        reason,
    })?;
    let others = all
        .into_iter()
        .map(|package| package.directory)
        .filter(|path| !selected.contains(path))
        .collect();
    Ok(Some(Packages {
        name: choice.name(key),
        selected,
        others,
    }))
}

/// Why a text is no glob that could match a path; `None` if it is one.
pub(super) fn glob_error(text: &str) -> Option<String> {
    let name_error = text.split('/').find_map(|name| match name {
        "" => Some("it begins with '/' or has an empty name; paths are relative".to_owned()),
        "." | ".." => Some(format!("no path has the name '{name}'; paths are relative and plain")),
        _ => None,
    });
    match text.trim_end_matches('/') {
        "" => Some("it is empty".to_owned()),
        trimmed if trimmed.len() == text.len() => name_error.or_else(|| built_glob(text).err()),
        trimmed => glob_error(trimmed),
    }
}

fn built_glob(text: &str) -> Result<Glob, String> {
    GlobBuilder::new(text)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map_err(|error| error.kind().to_string())
}

/// How many globs a set has for each text.
const GLOBS_OF_TEXT: usize = 2;

/// A glob stands for what it matches and, if that is a directory, for all that lies below.
fn globs_of(text: &str, from: &str) -> Result<[Glob; GLOBS_OF_TEXT], RuleError> {
    let error = |reason| RuleError::Glob {
        from: from.to_owned(),
        glob: text.to_owned(),
        reason,
    };
    if let Some(reason) = glob_error(text) {
        return Err(error(reason));
    }
    let text = text.trim_end_matches('/');
    Ok([
        built_glob(text).map_err(error)?,
        built_glob(&format!("{text}/**")).map_err(error)?,
    ])
}

/// What globs for paths match. `from` is the option or file that has them.
pub(crate) fn set_of(texts: &[String], from: &str) -> Result<GlobSet, RuleError> {
    let mut builder = GlobSetBuilder::new();
    for text in texts {
        for glob in globs_of(text, from)? {
            builder.add(glob);
        }
    }
    built(&builder)
}

fn built(builder: &GlobSetBuilder) -> Result<GlobSet, RuleError> {
    builder.build().map_err(|error| RuleError::Glob {
        from: "all globs together".to_owned(),
        glob: error.glob().unwrap_or_default().to_owned(),
        reason: error.kind().to_string(),
    })
}
