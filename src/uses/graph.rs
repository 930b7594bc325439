//! The graph itself: follows uses from what is kept, and answers who uses a path.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::{PoisonError, RwLock};

use rayon::prelude::*;

use super::{FindUses, Source, Use};
use crate::tree::{Tree, TreePath};

/// Reads a file of the tree into a buffer in place of what is there; `None` if that fails.
pub type Contents<'a> = dyn Fn(&TreePath, &mut Vec<u8>) -> Option<()> + Sync + 'a;

/// What a path uses, as finders say that know the tree.
pub type Ask<'a> = dyn Fn(&TreePath) -> Vec<Use> + Sync + 'a;

/// What everything that is kept uses.
#[derive(Debug, Clone, Default)]
pub struct Uses {
    edges: Vec<Use>,
    /// The edges that lead to a path, by the path that they name.
    to: BTreeMap<TreePath, Vec<usize>>,
    /// For each path that was reached and not a start, the edge by which it was reached first.
    first: BTreeMap<TreePath, usize>,
    /// The edges that the finders found at a path, where they found any.
    by: BTreeMap<TreePath, Range<usize>>,
    /// What the finders looked for.
    about: BTreeSet<TreePath>,
}

impl Uses {
    /// Follows uses from the paths in `kept`, and from those that the user chose, until nothing new is reached.
    ///
    /// `reached` says which of the paths that are not in `kept` an edge leads to. Each path is asked about once, those of one
    /// distance from the start in parallel and in order of their paths, so that the result is always the same.
    pub fn follow(
        kept: BTreeSet<TreePath>,
        chosen: Vec<Use>,
        ask: &Ask<'_>,
        reached: &dyn Fn(&Use) -> Vec<TreePath>,
    ) -> Self {
        let mut uses = Self::default();
        let mut pending: Vec<TreePath> = kept.iter().cloned().collect();
        let mut seen = kept;
        uses.add(chosen, &mut seen, &mut pending, reached);
        while !pending.is_empty() {
            let asked = std::mem::take(&mut pending);
            let found: Vec<Vec<Use>> = asked.par_iter().map(ask).collect();
            for (path, edges) in asked.into_iter().zip(found) {
                let first = uses.edges.len();
                if !edges.is_empty() {
                    uses.by.insert(path, first..first + edges.len());
                }
                uses.add(edges, &mut seen, &mut pending, reached);
            }
        }
        uses
    }

    fn add(
        &mut self,
        edges: Vec<Use>,
        seen: &mut BTreeSet<TreePath>,
        pending: &mut Vec<TreePath>,
        reached: &dyn Fn(&Use) -> Vec<TreePath>,
    ) {
        for edge in edges {
            let number = self.edges.len();
            for path in reached(&edge) {
                if seen.insert(path.clone()) {
                    self.first.insert(path.clone(), number);
                    pending.push(path);
                }
            }
            self.to.entry(edge.to.path().clone()).or_default().push(number);
            self.edges.push(edge);
        }
    }

    /// Notes the paths whose uses the finders looked for.
    #[must_use]
    pub fn about(mut self, sought: BTreeSet<TreePath>) -> Self {
        self.about = sought;
        self
    }

    /// Whether the finders looked for all uses of these paths.
    pub fn are_about(&self, paths: &BTreeSet<TreePath>) -> bool {
        paths.is_subset(&self.about)
    }

    /// What the finders found at a path that was reached, or from which they started.
    pub fn by(&self, path: &TreePath) -> &[Use] {
        let range = self.by.get(path).cloned();
        range.and_then(|range| self.edges.get(range)).unwrap_or_default()
    }

    /// Every edge, in the order in which they were found.
    pub fn all(&self) -> &[Use] {
        &self.edges
    }

    /// The edges that lead to a path itself.
    pub fn of<'a>(&'a self, path: &TreePath) -> impl Iterator<Item = &'a Use> {
        let numbers = self.to.get(path).into_iter().flatten();
        numbers.filter_map(|number| self.edges.get(*number))
    }

    /// The paths that only uses lead to, each with the first edge that did, sorted by path.
    pub fn reached(&self) -> impl Iterator<Item = (&TreePath, &Use)> {
        let first = self.first.iter();
        first.filter_map(|(path, number)| Some((path, self.edges.get(*number)?)))
    }
}

/// What finders say of the paths of a tree, asked once for each path.
pub struct CachedUses<'a> {
    tree: &'a Tree,
    finders: &'a [Box<dyn FindUses + 'a>],
    contents: &'a Contents<'a>,
    known: RwLock<HashMap<TreePath, Vec<Use>>>,
}

impl<'a> CachedUses<'a> {
    /// Nothing is asked yet.
    pub fn new(tree: &'a Tree, finders: &'a [Box<dyn FindUses + 'a>], contents: &'a Contents<'a>) -> Self {
        Self {
            tree,
            finders,
            contents,
            known: RwLock::default(),
        }
    }

    /// What all finders say of one path.
    pub fn uses(&self, path: &TreePath) -> Vec<Use> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(uses) = known.get(path) {
            return uses.clone();
        }
        drop(known);
        let uses = uses_of(self.tree, path, self.finders, self.contents);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(path.clone(), uses.clone());
        uses
    }
}

/// What all finders say of one path.
pub fn uses_of(tree: &Tree, path: &TreePath, finders: &[Box<dyn FindUses + '_>], contents: &Contents<'_>) -> Vec<Use> {
    thread_local! {
        /// The content of one file after the other: a new buffer for each would take longer than most are looked through.
        static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    let Some(entry) = tree.get(path) else { return Vec::new() };
    let is_wanted = finders.iter().any(|finder| finder.reads(path, entry));
    // Taken and not borrowed: a finder that works in parallel may be asked about another path on this thread meanwhile.
    let mut buffer = BUFFER.take();
    let content = is_wanted.then(|| contents(path, &mut buffer)).flatten();
    let source = Source {
        path,
        entry,
        content: content.map(|()| buffer.as_slice()),
    };
    let uses = finders.iter().flat_map(|finder| finder.uses(&source)).collect();
    BUFFER.set(buffer);
    uses
}

#[cfg(test)]
mod tests {
    use super::super::{Evidence, UseKind, Used};
    use super::*;
    use crate::shell;
    use crate::tree::{Entry, Mode};

    /// `a-b-c` uses `b-c`, which uses `c`.
    struct Chain;

    impl FindUses for Chain {
        fn uses(&self, source: &Source<'_>) -> Vec<Use> {
            let next = source
                .path
                .as_str()
                .split_once('-')
                .and_then(|(_, rest)| TreePath::new(rest));
            next.into_iter()
                .map(|next| source.uses(Used::Path(next), UseKind::Path, Evidence::of("x")))
                .collect()
        }
    }

    #[test]
    fn uses_are_followed_from_what_is_kept_alone() {
        let path = |text: &str| TreePath::new(text).unwrap();
        let mut tree = Tree::default();
        for name in ["a-b-c", "b-c", "c", "d-e", "e"] {
            tree.insert(path(name), Entry::Directory(Mode::DIRECTORY));
        }
        let finders: [Box<dyn FindUses>; 1] = [Box::new(Chain)];
        let start = BTreeSet::from([path("a-b-c")]);
        let ask = |path: &TreePath| uses_of(&tree, path, &finders, &|_, _| None);
        let uses = Uses::follow(start, Vec::new(), &ask, &|edge| vec![edge.to.path().clone()]);
        let reached: Vec<String> = uses
            .reached()
            .map(|(path, by)| format!("{path} by {}", by.from))
            .collect();
        assert_eq!(reached, ["b-c by a-b-c", "c by b-c"]);
        assert_eq!(uses.of(&path("c")).count(), 1);
        assert_eq!(uses.of(&path("e")).count(), 0);
    }

    /// Reads each file, and reads it as a script.
    struct Calls;

    impl FindUses for Calls {
        fn reads(&self, _: &TreePath, _: &Entry) -> bool {
            true
        }

        fn uses(&self, source: &Source<'_>) -> Vec<Use> {
            let content = source.content.and_then(|content| std::str::from_utf8(content).ok());
            let called = shell::commands(content.unwrap_or_default());
            assert_eq!(called.iter().collect::<Vec<_>>(), [source.path.file_name()]);
            Vec::new()
        }
    }

    #[test]
    fn scripts_are_read_while_other_threads_read_others() {
        let paths: BTreeSet<TreePath> = (0..500)
            .filter_map(|number| TreePath::new(&format!("c{number}")))
            .collect();
        let mut tree = Tree::default();
        for path in &paths {
            tree.insert(path.clone(), Entry::Directory(Mode::DIRECTORY));
        }
        let content = |path: &TreePath, buffer: &mut Vec<u8>| {
            *buffer = format!("#!/bin/sh\n{path} x\n").into_bytes();
            Some(())
        };
        let finders: [Box<dyn FindUses>; 1] = [Box::new(Calls)];
        let ask = |path: &TreePath| uses_of(&tree, path, &finders, &content);
        let uses = Uses::follow(paths.clone(), Vec::new(), &ask, &|_| Vec::new());
        assert_eq!(uses.all().len(), 0);
        // Asked from anywhere else, too.
        let asked = CachedUses::new(&tree, &finders, &content);
        paths.par_iter().for_each(|path| assert_eq!(asked.uses(path), []));
    }
}
