//! The processes that a tree can become: what starts, what it loads as plugins, and with which environment.

use std::collections::BTreeSet;

use crate::elf::Kind;
use crate::r::RHome;
use crate::root::Root;
use crate::tree::{Tree, TreePath};

/// One process, as far as the loader is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The program by its absolute path on Lambda. It may be a library: then it is looked at on its own.
    pub program: Option<String>,
    /// What the program loads with dlopen, by absolute paths.
    pub plugins: Vec<String>,
    /// The library that calls dlopen, by its absolute path; the program itself if it is `None`.
    pub plugin_loader: Option<String>,
    /// `LD_LIBRARY_PATH`, element by element.
    pub library_path: Vec<String>,
}

/// The processes that start from executables of the tree, R's packages among them, and the objects that are part of one.
///
/// Libraries that no process reaches are the caller's to judge.
pub fn processes(root: Root<'_>, homes: &[RHome]) -> Vec<Process> {
    let mut processes = Vec::new();
    let mut plugins = BTreeSet::new();
    for home in homes {
        for plugin in home.plugins(root.tree) {
            plugins.insert(plugin.clone());
            processes.push(home_process(home, root, Some(&plugin)));
        }
    }
    for (path, object) in root.tree.objects() {
        if object.kind == Kind::Executable && object.soname.is_none() {
            processes.push(standing_alone(root, homes, path));
        }
    }
    processes
}

/// A process that consists of one object and what it needs.
pub(super) fn standing_alone(root: Root<'_>, homes: &[RHome], path: &TreePath) -> Process {
    let home = homes.iter().find(|home| home.runs(path));
    Process {
        program: Some(path.on_lambda()),
        plugins: Vec::new(),
        plugin_loader: None,
        library_path: home.map_or_else(
            || root.runtime.library_path.clone(),
            |home| home.library_path(&root.runtime.library_path),
        ),
    }
}

fn home_process(home: &RHome, root: Root<'_>, plugin: Option<&TreePath>) -> Process {
    Process {
        program: executable(home, root.tree).map(|path| path.on_lambda()),
        plugins: plugin.map(TreePath::on_lambda).into_iter().collect(),
        plugin_loader: home.path.join("lib/libR.so").map(|path| path.on_lambda()),
        library_path: home.library_path(&root.runtime.library_path),
    }
}

fn executable(home: &RHome, tree: &Tree) -> Option<TreePath> {
    home.path.join("bin/exec/R").filter(|path| tree.object(path).is_some())
}
