//! What else could be left out: rules that are off, and packages that could be dropped, each with what would really go. A rule
//! proposes; what something kept uses stays whatever it says, so that the decision is made anew for each.

use std::collections::{BTreeMap, BTreeSet};

use crate::languages::components::Components;
use crate::root::link_target;
use crate::rules::Matcher;
use crate::tree::{Entry, Tree, TreePath};

/// The paths that stay with each of several sets of rules; see [`kept_with_each`](super::kept_with_each).
pub type KeptWith<'a> = dyn Fn(&[Matcher]) -> Vec<Option<BTreeSet<TreePath>>> + 'a;

/// How many packages are proposed at most.
const PACKAGES: usize = 8;
/// How many options are combined at most.
const COMBINED: usize = 4;

/// Something that could be asked for in addition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A rule that is off.
    Enable {
        /// Its id.
        id: String,
        /// The kind of files.
        category: String,
        /// What stops working without what it takes.
        breaks: String,
    },
    /// A package.
    Drop {
        /// Its name.
        component: String,
        /// Globs for its files.
        globs: Vec<String>,
    },
}

impl Change {
    /// The options of the command line that ask for it.
    pub fn options(&self) -> Vec<String> {
        match self {
            Self::Enable { id, .. } => vec![format!("--enable {id}")],
            Self::Drop { globs, .. } => globs.iter().map(|glob| format!("--drop '{glob}'")).collect(),
        }
    }
}

/// What would go if a change were made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gain {
    /// The change.
    pub change: Change,
    /// The paths that are kept now and would not be.
    pub paths: BTreeSet<TreePath>,
}

/// Answers for one plan.
#[derive(Clone, Copy)]
pub struct WhatIf<'a> {
    tree: &'a Tree,
    rules: &'a Matcher,
    kept: &'a Tree,
    kept_with: &'a KeptWith<'a>,
    unneeded: &'a [TreePath],
}

impl<'a> WhatIf<'a> {
    /// `kept` is what the plan for a tree keeps with `rules`.
    pub fn new(tree: &'a Tree, rules: &'a Matcher, kept: &'a Tree, kept_with: &'a KeptWith<'a>) -> Self {
        Self {
            tree,
            rules,
            kept,
            kept_with,
            unneeded: &[],
        }
    }

    /// The same with libraries that nothing is known to load, which can be dropped by themselves.
    #[must_use]
    pub fn with_unneeded(self, unneeded: &'a [TreePath]) -> Self {
        Self { unneeded, ..self }
    }

    /// Every rule that is off and matches something that is kept, with what it would really take, sorted by id.
    pub fn rules(&self) -> Vec<Gain> {
        let mut matching: BTreeSet<String> = BTreeSet::new();
        for (path, entry) in self.kept.iter() {
            if !matches!(entry, Entry::Directory(_)) {
                matching.extend(self.rules.off_but_matching(path).map(ToOwned::to_owned));
            }
        }
        let changes = matching.into_iter().map(|id| Change::Enable {
            category: self.rules.category(&id).to_owned(),
            breaks: self.rules.breaks(&id).to_owned(),
            id,
        });
        self.gains(&changes.collect::<Vec<_>>())
    }

    /// The packages that are largest and that nothing else needs, and libraries in packages that nothing is known to load, each with
    /// what would go with it. `size` says what a path counts.
    pub fn packages(&self, components: &Components, size: &dyn Fn(&TreePath) -> u64) -> Vec<Gain> {
        let mut sizes: BTreeMap<&str, u64> = BTreeMap::new();
        for (path, entry) in self.kept.iter() {
            if !matches!(entry, Entry::Directory(_)) && components.is_in_package(path) {
                *sizes.entry(components.name(path)).or_default() += size(path);
            }
        }
        let mut largest: Vec<(&str, u64)> = sizes.into_iter().filter(|(_, size)| *size > 0).collect();
        largest.sort_by_key(|(name, size)| (std::cmp::Reverse(*size), *name));
        largest.truncate(PACKAGES);
        let changes = largest.into_iter().filter_map(|(component, _)| {
            let directories = components.directories(component);
            let globs: Vec<String> = directories.map(|path| globset::escape(path.as_str())).collect();
            (!globs.is_empty()).then(|| Change::Drop {
                component: component.to_owned(),
                globs,
            })
        });
        let mut libraries: Vec<(&TreePath, u64)> = self
            .unneeded
            .iter()
            .filter(|path| components.is_in_package(path) && self.kept.contains(path))
            .map(|path| (path, size(path)))
            .filter(|(_, size)| *size > 0)
            .collect();
        libraries.sort_by_key(|(path, size)| (std::cmp::Reverse(*size), *path));
        libraries.truncate(PACKAGES);
        let libraries = libraries.into_iter().map(|(path, _)| Change::Drop {
            component: path.to_string(),
            globs: vec![globset::escape(path.as_str())],
        });
        let changes: Vec<Change> = changes.chain(libraries).collect();
        self.gains(&changes)
    }

    /// The first of these changes, one more each time, with what goes then, until `suffices` says that it is enough. `None` if all
    /// that are tried do not suffice.
    pub fn combination(
        &self,
        changes: &[&Change],
        suffices: &dyn Fn(&BTreeSet<TreePath>) -> bool,
    ) -> Option<(usize, BTreeSet<TreePath>)> {
        let counts = 2..=changes.len().min(COMBINED);
        let going = self.going(&counts.clone().map(|count| &changes[..count]).collect::<Vec<_>>());
        counts.zip(going).find_map(|(count, going)| {
            let going = going?;
            suffices(&going).then_some((count, going))
        })
    }

    fn gains(&self, changes: &[Change]) -> Vec<Gain> {
        let each: Vec<[&Change; 1]> = changes.iter().map(|change| [change]).collect();
        let going = self.going(&each.iter().map(<[&Change; 1]>::as_slice).collect::<Vec<_>>());
        let gains = changes.iter().zip(going).filter_map(|(change, paths)| {
            let paths = paths.filter(|paths| !paths.is_empty())?;
            let change = change.clone();
            Some(Gain { change, paths })
        });
        gains.collect()
    }

    /// What is kept now and is not with each of several lists of changes.
    fn going(&self, lists: &[&[&Change]]) -> Vec<Option<BTreeSet<TreePath>>> {
        let rules: Option<Vec<Matcher>> = lists.iter().map(|changes| self.changed(changes)).collect();
        let Some(rules) = rules.filter(|rules| !rules.is_empty()) else {
            return vec![None; lists.len()];
        };
        let stays = (self.kept_with)(&rules).into_iter();
        stays.map(|stays| Some(self.without(&stays?))).collect()
    }

    /// The rules with changes.
    fn changed(&self, changes: &[&Change]) -> Option<Matcher> {
        let mut rules = self.rules.clone();
        for change in changes {
            match change {
                Change::Enable { id, .. } => rules.switch_on(id),
                Change::Drop { globs, .. } => rules.drop_also(globs).ok()?,
            }
        }
        Some(rules)
    }

    /// What goes where nothing but these paths stays.
    fn without(&self, stays: &BTreeSet<TreePath>) -> BTreeSet<TreePath> {
        let files = self
            .kept
            .iter()
            .filter(|(_, entry)| !matches!(entry, Entry::Directory(_)));
        let mut going: BTreeSet<TreePath> = files
            .map(|(path, _)| path)
            .filter(|path| self.tree.contains(path) && !stays.contains(*path))
            .cloned()
            .collect();
        // A file with the same content, of which only this one is left.
        for (path, entry) in self.kept.iter().filter(|(path, _)| stays.contains(*path)) {
            if let (Entry::Symlink(target), Some(Entry::File(_))) = (entry, self.tree.get(path)) {
                TreePath::normal(&link_target(path, target)).inspect(|file| {
                    going.remove(file);
                });
            }
        }
        going
    }
}
