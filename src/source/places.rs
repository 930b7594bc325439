//! Paths that code puts together from the place where it is itself, and directories that it lists when it runs.

use std::cell::Cell;
use std::collections::BTreeMap;

use tree_sitter::{Node, Tree};

use super::{ANYTHING, text_of, walk};

/// Where a path begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// At the file of the code itself.
    File,
    /// At the module that the code knows by this name: a directory if it is one, otherwise its file.
    Module(String),
}

/// What code reads of a place beside the file or directory itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// Nothing.
    Nothing,
    /// The names of what is in the directory.
    Names,
    /// The names of the modules in the directory, which it may load.
    Modules,
    /// The names of the modules in the directory and in those below.
    AllModules,
    /// All modules in it and below it, tests among them.
    AllTests,
    /// Everything below the directory.
    Everything,
}

/// A path, as far as code tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where it begins.
    pub start: Start,
    /// What the path is continued with, to be carried out as a text: `/../data` is beside a file. [`ANYTHING`] stands for what only a
    /// run tells.
    pub rest: String,
    /// What is read of it.
    pub listed: Listed,
    /// What is written.
    pub text: String,
    /// Its line, counted from 1.
    pub line: usize,
}

/// How many expressions deep a path is put together: nobody writes more.
pub(super) const DEEPEST: usize = 20;

/// So many expressions of one file are looked at, however they refer to one another.
const MOST_LOOKED_AT: usize = 1 << 16;

/// Longer paths do not exist (limits.h(0p): PATH_MAX on Linux), in bytes.
const LONGEST_PATH: usize = 4096;

/// Of a variable that gets more values than these, none is known.
const MOST_VALUES: usize = 4;

/// No more of what is written is quoted, in characters.
const LONGEST_QUOTE: usize = 80;

/// What an expression is, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A path from a place.
    Path(Start, String),
    /// A text, with [`ANYTHING`] for what only a run tells.
    Text(String),
}

impl Value {
    /// The value with a text put behind it, as long as it may still be a path.
    pub(super) fn with(self, more: &str) -> Self {
        let longer = |text: String| {
            if text.len() + more.len() <= LONGEST_PATH {
                text + more
            } else {
                text
            }
        };
        match self {
            Self::Path(start, rest) => Self::Path(start, longer(rest)),
            Self::Text(text) => Self::Text(longer(text)),
        }
    }

    /// The directory of a path.
    pub(super) fn directory(self) -> Self {
        self.with("/..")
    }

    /// The value joined with further parts of a path.
    pub(super) fn joined(self, parts: impl IntoIterator<Item = String>) -> Self {
        parts.into_iter().fold(self, |path, part| path.with("/").with(&part))
    }

    /// The value as it stands in a longer text.
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Path(..) => ANYTHING.to_owned(),
        }
    }

    /// What several parts are when they stand behind one another: a path if the first part with a letter is one.
    pub(super) fn concatenated(parts: impl IntoIterator<Item = Option<Self>>) -> Self {
        let empty = Self::Text(String::new());
        parts.into_iter().fold(empty, |before, part| match (before, part) {
            (Self::Text(text), Some(path @ Self::Path(..))) if text.is_empty() => path,
            (before, Some(part)) => before.with(&part.into_text()),
            (before, None) => before.with(ANYTHING),
        })
    }
}

/// The values that variables of a file get, by what is written where they are used.
#[derive(Debug)]
pub(super) struct Variables<'t> {
    values: BTreeMap<&'t str, Vec<Node<'t>>>,
    left: Cell<usize>,
}

impl<'t> Variables<'t> {
    /// Collects the variables of a file. `assignment` gives the variable and the value of a node that is an assignment.
    pub(super) fn of(
        tree: &'t Tree,
        text: &'t str,
        assignment: impl Fn(Node<'t>) -> Option<(Node<'t>, Node<'t>)>,
    ) -> Self {
        let mut values: BTreeMap<&str, Vec<Node<'t>>> = BTreeMap::new();
        walk(tree, |node| {
            if let Some((variable, value)) = assignment(node) {
                values.entry(text_of(variable, text)).or_default().push(value);
            }
            true
        });
        values.retain(|_, values| values.len() <= MOST_VALUES);
        let left = Cell::new(MOST_LOOKED_AT);
        Self { values, left }
    }

    /// How deep the expressions in one may still be looked at; `None` if it is not looked at itself.
    pub(super) fn go_in(&self, depth: usize) -> Option<usize> {
        self.left.set(self.left.get().checked_sub(1)?);
        depth.checked_sub(1)
    }

    /// The values of what is written.
    pub(super) fn get(&self, written: &str) -> &[Node<'t>] {
        self.values.get(written).map_or(&[], Vec::as_slice)
    }
}

impl Place {
    /// A place that a node is, unless nothing but the beginning is known of it.
    pub(super) fn of(value: Value, listed: Listed, node: Node<'_>, text: &str) -> Option<Self> {
        let Value::Path(start, rest) = value else { return None };
        let says_more = rest.contains(char::is_alphanumeric);
        let written = text_of(node, text).split_whitespace().collect::<Vec<_>>().join(" ");
        (listed != Listed::Nothing || says_more).then(|| Self {
            start,
            rest,
            listed,
            text: written.chars().take(LONGEST_QUOTE).collect(),
            line: super::line_of(node),
        })
    }
}
