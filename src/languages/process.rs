//! The processes that a tree can become: what starts, what it loads as plugins, and with which environment.

use std::collections::{BTreeMap, BTreeSet};

use crate::elf::Kind;
use crate::languages::r::RHome;
use crate::root::Root;
use crate::shell;
use crate::tree::TreePath;

/// The script that Lambda starts where the runtime is the user's own.
pub const BOOTSTRAP: &str = "bootstrap";

/// One process, as far as the loader is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The program by its absolute path on Lambda. It may be a library: then it is looked at on its own. `None` stands for
    /// a program of the runtime's of which nothing is known.
    pub program: Option<String>,
    /// What the program loads with dlopen, by absolute paths.
    pub plugins: Vec<String>,
    /// The library that calls dlopen, by its absolute path; the program itself if it is `None`.
    pub plugin_loader: Option<String>,
    /// `LD_LIBRARY_PATH` as the process has it.
    pub library_path: String,
}

/// Knows what starts in a tree, and with which environment.
#[derive(Debug)]
pub struct Processes<'a> {
    root: Root<'a>,
    environment: BTreeMap<String, String>,
    homes: Vec<RHome>,
}

impl<'a> Processes<'a> {
    /// Looks through a tree for R and for a bootstrap that sets variables.
    pub fn of(root: Root<'a>) -> Self {
        let mut environment = root.runtime.environment.clone();
        if let Some(script) = TreePath::new(BOOTSTRAP).and_then(|path| root.tree.text(&path)) {
            shell::source(script, &mut environment);
        }
        Self {
            root,
            environment,
            homes: RHome::all(root.tree),
        }
    }

    /// The processes that start from executables of the tree, and R with each of its plugins.
    pub fn all(&self) -> Vec<Process> {
        let tree = self.root.tree;
        let mut processes = Vec::new();
        for home in &self.homes {
            let program = home.path.join("bin/exec/R").filter(|path| tree.object(path).is_some());
            for plugin in home.plugins(tree) {
                processes.push(Process {
                    program: program.as_ref().map(TreePath::on_lambda),
                    plugins: vec![plugin.on_lambda()],
                    plugin_loader: home.path.join("lib/libR.so").map(|path| path.on_lambda()),
                    library_path: self.library_path(Some(home)),
                });
            }
        }
        for (path, object) in tree.objects() {
            if object.kind == Kind::Executable && object.soname.is_none() {
                processes.push(self.alone(path));
            }
        }
        processes
    }

    /// A process that consists of one object and what it needs.
    pub fn alone(&self, path: &TreePath) -> Process {
        Process {
            program: Some(path.on_lambda()),
            plugins: Vec::new(),
            plugin_loader: None,
            library_path: self.library_path(self.homes.iter().find(|home| home.runs(path))),
        }
    }

    /// The objects that something opens by their place in the tree, though nothing needs them by name: R's plugins, and
    /// Python's extension modules.
    pub fn plugins(&self) -> BTreeSet<TreePath> {
        let tree = self.root.tree;
        let mut plugins: BTreeSet<TreePath> = self.homes.iter().flat_map(|home| home.plugins(tree)).collect();
        plugins.extend(
            tree.objects()
                .map(|(path, _)| path)
                .filter(|path| is_python_extension(path))
                .cloned(),
        );
        plugins
    }

    fn library_path(&self, home: Option<&RHome>) -> String {
        let of_home = home.map(|home| home.environment(&self.environment));
        let environment = of_home.as_ref().unwrap_or(&self.environment);
        environment.get("LD_LIBRARY_PATH").cloned().unwrap_or_default()
    }
}

/// A module that Python imports: by the tag in its name (PEP 3149, PEP 384), or by its place.
fn is_python_extension(path: &TreePath) -> bool {
    let name = path.file_name();
    name.strip_suffix(".so").is_some_and(|stem| {
        stem.contains(".cpython-")
            || stem.strip_suffix(".abi3").is_some()
            || path.names().any(|name| name == "lib-dynload")
    })
}
