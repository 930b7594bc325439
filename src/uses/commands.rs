//! Uses of commands by their names in scripts.

use std::collections::BTreeSet;

use super::place::used_at;
use super::{Evidence, FindUses, Source, Use, UseKind, Used};
use crate::root::Root;
use crate::runtime::Runtime;
use crate::shell;
use crate::tree::{Entry, TreePath};

/// Finds the commands that shell scripts call by a name which leads to something that a rule matches.
pub struct CalledCommands<'a> {
    root: Root<'a>,
    /// The directories in which the runtime looks for commands.
    directories: Vec<String>,
    at_stake: BTreeSet<&'a TreePath>,
}

impl<'a> CalledCommands<'a> {
    /// Makes ready to look for calls of these.
    pub fn of(root: Root<'a>, at_stake: &'a BTreeSet<TreePath>) -> Self {
        let directories = root.runtime.command_path();
        Self {
            at_stake: commands_in(&directories, at_stake).collect(),
            root,
            directories,
        }
    }

    /// The path that a name leads to.
    fn place(&self, name: &str) -> Option<String> {
        let mut places = self.directories.iter().map(|directory| format!("{directory}/{name}"));
        places.find(|path| self.root.resolve(path).is_ok())
    }
}

impl FindUses for CalledCommands<'_> {
    fn uses(&self, source: &Source<'_>) -> Vec<Use> {
        let Entry::File(file) = source.entry else {
            return Vec::new();
        };
        let Some(script) = file.content.text().filter(|text| shell::is_for_shell(text)) else {
            return Vec::new();
        };
        if !self.at_stake.iter().any(|path| script.contains(path.file_name())) {
            return Vec::new();
        }
        let called = shell::commands(script).into_iter().filter(|name| !name.contains('/'));
        called
            .filter_map(|name| Some((used_at(self.root, &self.place(&name)?), name)))
            .flat_map(|(used, name)| {
                let evidence = Evidence::of(name);
                used.into_iter()
                    .map(move |used| source.uses(used, UseKind::Command, evidence.clone()))
            })
            .filter(|edge| self.at_stake.contains(edge.to.path()))
            .collect()
    }
}

/// Finds commands whose names stand as words in a script, whatever its language is: what it may call, if not what it does.
pub struct NamedCommands<'a>(Vec<&'a TreePath>);

impl<'a> NamedCommands<'a> {
    /// Makes ready to look for those of the paths that the runtime finds as commands.
    pub fn of(runtime: &Runtime, paths: &'a BTreeSet<TreePath>) -> Self {
        Self(commands_in(&runtime.command_path(), paths).collect())
    }
}

impl FindUses for NamedCommands<'_> {
    fn uses(&self, source: &Source<'_>) -> Vec<Use> {
        let Entry::File(file) = source.entry else {
            return Vec::new();
        };
        let Some(script) = file.content.text().filter(|text| text.starts_with("#!")) else {
            return Vec::new();
        };
        let named = self.0.iter().filter(|path| has_word(script, path.file_name()));
        named
            .map(|path| {
                let evidence = Evidence::of(path.file_name());
                source.uses(Used::Path((*path).clone()), UseKind::Command, evidence)
            })
            .collect()
    }
}

/// The paths that are directly in one of the directories.
fn commands_in<'p>(directories: &[String], paths: &'p BTreeSet<TreePath>) -> impl Iterator<Item = &'p TreePath> {
    paths.iter().filter(|path| {
        let directory = path.parent().map(|directory| directory.on_lambda());
        directory.is_some_and(|directory| directories.contains(&directory))
    })
}

/// Whether a word stands in a text with nothing around it that could be a part of it.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(is_part) && !text[at + word.len()..].starts_with(is_part))
}
