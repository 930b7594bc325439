//! The processes that a tree can become: what starts, what it loads as native modules, and with which environment.

use std::collections::BTreeSet;

use super::started::{LibraryPath, StartedProcesses, with_colons};
use super::{BUILT_IN, Environment, Interpreter, Language};
use crate::elf::Kind;
use crate::root::Root;
use crate::tree::TreePath;

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
    /// `LD_LIBRARY_PATH` as the process has it, as far as it is known.
    pub library_path: String,
    /// The script that sets `LD_LIBRARY_PATH` in a way that is not understood, if one does.
    pub unclear: Option<String>,
}

/// Knows what starts in a tree, and with which environment.
#[derive(Debug)]
pub struct Processes<'a> {
    root: Root<'a>,
    started: StartedProcesses,
    interpreters: Vec<Interpreter>,
    native_modules: BTreeSet<TreePath>,
}

impl<'a> Processes<'a> {
    /// Looks through a tree for interpreters and for a bootstrap that sets variables.
    pub fn of(root: Root<'a>) -> Self {
        Self::with(root, BUILT_IN)
    }

    /// As [`Processes::of`], for these languages alone.
    pub fn with(root: Root<'a>, languages: &[&dyn Language]) -> Self {
        let in_tree = |language: &&dyn Language| language.interpreters(root.tree);
        let interpreters: Vec<Interpreter> = languages.iter().flat_map(in_tree).collect();
        let native_modules = languages
            .iter()
            .flat_map(|language| language.native_modules(root.tree))
            .chain(
                interpreters
                    .iter()
                    .flat_map(|interpreter| interpreter.native_modules.clone()),
            )
            .collect();
        Self {
            root,
            started: StartedProcesses::of(root),
            interpreters,
            native_modules,
        }
    }

    /// Whether the bootstrap or an interpreter sets a variable for its processes.
    pub fn sets(&self, variable: &str) -> bool {
        let has = |environment: &Environment| environment.contains_key(variable);
        has(&self.started.environment)
            || self
                .interpreters
                .iter()
                .any(|interpreter| has(&interpreter.environment(self.root.tree, &self.started.environment)))
    }

    /// The tree and the runtime.
    pub fn root(&self) -> Root<'a> {
        self.root
    }

    /// The processes that start from executables of the tree, and each interpreter with each of its native modules: one for
    /// each search path with which scripts start them.
    pub fn all(&self) -> Vec<Process> {
        let mut processes = Vec::new();
        for interpreter in &self.interpreters {
            let paths = self.library_paths(interpreter.program.as_ref(), Some(interpreter));
            for module in &interpreter.native_modules {
                processes.extend(paths.iter().map(|path| Process {
                    program: interpreter.program.as_ref().map(TreePath::on_lambda),
                    plugins: vec![module.on_lambda()],
                    plugin_loader: interpreter.module_loader.as_ref().map(TreePath::on_lambda),
                    library_path: path.text.clone(),
                    unclear: path.unclear.clone(),
                }));
            }
        }
        for (path, object) in self.root.tree.objects() {
            if object.kind == Kind::Executable && object.soname.is_none() {
                processes.extend(self.started(path));
            }
        }
        processes
    }

    /// A process that consists of one object and what it needs.
    pub fn alone(&self, path: &TreePath) -> Process {
        let interpreter = self.interpreters.iter().find(|interpreter| interpreter.runs(path));
        alone(path, self.inherited(interpreter))
    }

    fn started(&self, program: &TreePath) -> Vec<Process> {
        let interpreter = self.interpreters.iter().find(|interpreter| interpreter.runs(program));
        let paths = self.library_paths(Some(program), interpreter);
        paths.into_iter().map(|path| alone(program, path)).collect()
    }

    /// The objects that a language opens by their place in the tree, though nothing needs them by name.
    pub fn native_modules(&self) -> &BTreeSet<TreePath> {
        &self.native_modules
    }

    /// The search paths with which scripts start a program; if none does, what it inherits from the runtime.
    fn library_paths(&self, program: Option<&TreePath>, interpreter: Option<&Interpreter>) -> Vec<LibraryPath> {
        match program.and_then(|program| self.started.programs.get(program)) {
            Some(paths) => paths.iter().cloned().collect(),
            None => vec![self.inherited(interpreter)],
        }
    }

    fn inherited(&self, interpreter: Option<&Interpreter>) -> LibraryPath {
        let inherited = &self.started.environment;
        let changed = interpreter.map(|interpreter| interpreter.environment(self.root.tree, inherited));
        let environment = changed.as_ref().unwrap_or(inherited);
        LibraryPath {
            text: environment
                .get("LD_LIBRARY_PATH")
                .map(|path| with_colons(path))
                .unwrap_or_default(),
            unclear: self.started.unclear.clone(),
        }
    }
}

fn alone(path: &TreePath, library_path: LibraryPath) -> Process {
    Process {
        program: Some(path.on_lambda()),
        plugins: Vec::new(),
        plugin_loader: None,
        library_path: library_path.text,
        unclear: library_path.unclear,
    }
}
