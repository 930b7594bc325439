//! Uses of commands by their names in shell scripts.

use std::collections::BTreeSet;

use super::place::used_at;
use super::{Evidence, FindUses, Source, Use, UseKind};
use crate::root::Root;
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
        let is_command = |path: &&TreePath| {
            let directory = path.parent().map(|directory| directory.on_lambda());
            directory.is_some_and(|directory| directories.contains(&directory))
        };
        Self {
            at_stake: at_stake.iter().filter(is_command).collect(),
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
