//! Which rules match which paths of a tree: the globs of all rules, each below the directories in which it is anchored.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use globset::{GlobSet, GlobSetBuilder};
use rayon::prelude::*;

use super::globs::{built, glob_of, set_of};
use super::platforms::other_platforms;
use super::provided::provided;
use super::{Anchor, Rule, RuleError};
use crate::loader::{LoadedTree, ShadowedLibrary};
use crate::root::{Location, Root, link_target};
use crate::tree::{Entry, Tree, TreePath};

/// The rules that match each path of a tree, by their numbers in the order in which they apply.
#[derive(Debug)]
pub(super) struct AnchoredRules {
    groups: Vec<Group>,
    /// The group of each rule.
    group_of: Vec<usize>,
    /// The rules for each path of the tree that any matches.
    of_path: HashMap<TreePath, Vec<usize>>,
}

/// All rules with one anchor and one condition: their globs in one set.
#[derive(Debug)]
struct Group {
    directories: BTreeSet<TreePath>,
    among: Option<Among>,
    paths: Globs,
    except: Globs,
}

/// The only paths that rules can match.
#[derive(Debug)]
struct Among {
    paths: BTreeSet<TreePath>,
    /// The directories above them: what matches one of these matches what is below.
    above: HashSet<TreePath>,
}

/// Where the paths of a rule begin, the shadowed libraries that there must be, and what a script must contain.
type Condition<'a> = (Anchor, Option<&'a str>, &'a [String]);

/// A set of globs, each with the number of its rule.
#[derive(Debug)]
struct Globs {
    set: GlobSet,
    rules: Vec<usize>,
}

/// That a glob matches a path or a directory above it. The same rule may do so below several directories where it is
/// anchored; the length of the directory's path tells these apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Hit {
    rule: usize,
    anchor: usize,
    is_exception: bool,
}

impl AnchoredRules {
    /// Compiles the globs of rules and matches them against every path of the tree. `unused` is what no recording used, if
    /// there are recordings.
    pub(super) fn new(
        rules: &[&Rule],
        shadowed: &[ShadowedLibrary],
        unused: Option<&BTreeSet<TreePath>>,
        loaded: &LoadedTree<'_>,
    ) -> Result<Self, RuleError> {
        let tree = loaded.root().tree;
        let mut by_condition: BTreeMap<Condition<'_>, Vec<usize>> = BTreeMap::new();
        for (number, rule) in rules.iter().enumerate() {
            let condition = (rule.anchor, rule.when_shadowed.as_deref(), rule.contains.as_slice());
            by_condition.entry(condition).or_default().push(number);
        }
        let mut group_of = vec![0; rules.len()];
        for (group, number) in by_condition
            .values()
            .enumerate()
            .flat_map(|(group, all)| all.iter().map(move |n| (group, n)))
        {
            group_of[*number] = group;
        }
        let groups = by_condition
            .into_par_iter()
            .map(|(condition, numbers)| Group::of(condition, rules, &numbers, (shadowed, unused), loaded));
        let mut anchored = Self {
            groups: groups.collect::<Result<_, RuleError>>()?,
            group_of,
            of_path: HashMap::new(),
        };
        anchored.match_all(tree);
        Ok(anchored)
    }

    /// The rules that match a path.
    pub(super) fn matching(&self, path: &TreePath) -> &[usize] {
        self.of_path.get(path).map_or(&[], Vec::as_slice)
    }

    fn match_all(&mut self, tree: &Tree) {
        let paths: Vec<&TreePath> = tree.iter().map(|(path, _)| path).collect();
        let own: Vec<Vec<Hit>> = paths.par_iter().map(|path| self.hits(path)).collect();
        // A directory comes before what is below it.
        let mut hits: HashMap<&str, Vec<Hit>> = HashMap::new();
        let mut of_path = HashMap::new();
        for (path, mut own) in paths.into_iter().zip(own) {
            let parent = path.splits().next().and_then(|(parent, _)| hits.get(parent));
            own.extend(parent.into_iter().flatten());
            if own.is_empty() {
                continue;
            }
            own.sort_unstable();
            own.dedup();
            let rules = self.rules_of(path, &own);
            if !rules.is_empty() {
                of_path.insert(path.clone(), rules);
            }
            hits.insert(path.as_str(), own);
        }
        self.of_path = of_path;
    }

    /// The globs that match a path itself.
    fn hits(&self, path: &TreePath) -> Vec<Hit> {
        let mut hits = Vec::new();
        for group in self.groups.iter().filter(|group| group.may_match(path)) {
            for (directory, below) in path
                .splits()
                .filter(|(directory, _)| group.directories.contains(*directory))
            {
                for (globs, is_exception) in [(&group.paths, false), (&group.except, true)] {
                    hits.extend(globs.matching(below).map(|rule| Hit {
                        rule,
                        anchor: directory.len(),
                        is_exception,
                    }));
                }
            }
        }
        hits
    }

    /// The rules of sorted hits of a path: those that match it below a directory in which they do not except it.
    fn rules_of(&self, path: &TreePath, hits: &[Hit]) -> Vec<usize> {
        let is_match = |hit: &&Hit| {
            let exception = Hit {
                is_exception: true,
                ..**hit
            };
            !hit.is_exception
                && hits.binary_search(&exception).is_err()
                && self.groups[self.group_of[hit.rule]].may_match_itself(path)
        };
        let mut rules: Vec<usize> = hits.iter().filter(is_match).map(|hit| hit.rule).collect();
        rules.dedup();
        rules
    }
}

impl Group {
    fn of(
        (anchor, when_shadowed, contains): Condition<'_>,
        rules: &[&Rule],
        numbers: &[usize],
        (shadowed, unused): (&[ShadowedLibrary], Option<&BTreeSet<TreePath>>),
        loaded: &LoadedTree<'_>,
    ) -> Result<Self, RuleError> {
        let root = loaded.root();
        let pack = numbers.first().map_or("", |number| rules[*number].pack.as_str());
        let holds = match when_shadowed {
            Some(text) => all_are_shadowed(&set_of(&[text.to_owned()], pack)?, root.tree, shadowed),
            None => true,
        };
        let among = among(anchor, loaded, shadowed, unused).or_else(|| scripts_with(contains, root));
        Ok(Self {
            directories: if holds {
                directories(anchor, root.tree)
            } else {
                BTreeSet::new()
            },
            among: among.map(Among::of),
            paths: Globs::of(rules, numbers, |rule| &rule.paths)?,
            except: Globs::of(rules, numbers, |rule| &rule.except)?,
        })
    }

    /// Whether a match of this path matters: its own, or that of something below it.
    fn may_match(&self, path: &TreePath) -> bool {
        let among = self.among.as_ref();
        !self.directories.is_empty()
            && among.is_none_or(|among| among.above.contains(path) || among.paths.contains(path))
    }

    fn may_match_itself(&self, path: &TreePath) -> bool {
        self.among.as_ref().is_none_or(|among| among.paths.contains(path))
    }
}

impl Among {
    fn of(paths: BTreeSet<TreePath>) -> Self {
        Self {
            above: paths.iter().flat_map(TreePath::ancestors).collect(),
            paths,
        }
    }
}

impl Globs {
    fn of(rules: &[&Rule], numbers: &[usize], texts: fn(&Rule) -> &Vec<String>) -> Result<Self, RuleError> {
        let mut set = GlobSetBuilder::new();
        let mut owners = Vec::new();
        for number in numbers {
            let rule = rules[*number];
            for text in texts(rule) {
                set.add(glob_of(text, &rule.pack)?);
                owners.push(*number);
            }
        }
        Ok(Self {
            set: built(&set)?,
            rules: owners,
        })
    }

    fn matching(&self, path: &str) -> impl Iterator<Item = usize> {
        let found = if self.rules.is_empty() {
            Vec::new()
        } else {
            self.set.matches(path)
        };
        found.into_iter().map(|glob| self.rules[glob])
    }
}

/// Whether there are libraries of these names and none of them may be loaded: one in a directory of its own may use the same
/// files.
fn all_are_shadowed(names: &GlobSet, tree: &Tree, shadowed: &[ShadowedLibrary]) -> bool {
    let is_shadowed = |path: &TreePath| shadowed.iter().any(|known| known.library.path == *path);
    let mut such = tree
        .objects()
        .filter(|(path, object)| names.is_match(object.soname.as_deref().unwrap_or(path.file_name())))
        .peekable();
    such.peek().is_some() && such.all(|(path, _)| is_shadowed(path))
}

/// Where in the tree the paths of rules begin.
fn directories(anchor: Anchor, tree: &Tree) -> BTreeSet<TreePath> {
    match anchor {
        Anchor::Tree
        | Anchor::Shadowed
        | Anchor::ShadowedCommand
        | Anchor::OtherPlatforms
        | Anchor::Unused
        | Anchor::Provided => BTreeSet::from([TreePath::root()]),
        Anchor::Language(anchor) => (anchor.directories)(tree),
    }
}

/// The only paths that the rules of an anchor can take; `None` for no such limit.
fn among(
    anchor: Anchor,
    loaded: &LoadedTree<'_>,
    shadowed: &[ShadowedLibrary],
    unused: Option<&BTreeSet<TreePath>>,
) -> Option<BTreeSet<TreePath>> {
    match anchor {
        Anchor::Unused => Some(unused.cloned().unwrap_or_default()),
        Anchor::Provided => Some(provided(loaded.root())),
        Anchor::Shadowed => Some(shadowed.iter().flat_map(ShadowedLibrary::paths).cloned().collect()),
        Anchor::ShadowedCommand => Some(shadowed.iter().flat_map(|library| &library.commands).cloned().collect()),
        Anchor::OtherPlatforms => Some(other_platforms(loaded)),
        Anchor::Language(anchor) => anchor.files.map(|files| files(loaded.root())),
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
