//! Interpreters in a tree: their files, the environment of their processes, and the native modules that belong to them or do not.

use super::Environment;
use crate::shell;
use crate::tree::{Tree, TreePath};

/// An interpreter that is in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// Its name as a component: that of the language.
    pub name: String,
    /// The directory that holds it and its standard library.
    pub directory: TreePath,
    /// The file that starts it. Where that is kept, so is what the interpreter opens to start.
    pub start: Option<TreePath>,
    /// Its program, if that is an ELF object of the tree.
    pub program: Option<TreePath>,
    /// The library that opens native modules; the program itself if it is `None`.
    pub module_loader: Option<TreePath>,
    /// Directories whose objects run with its environment.
    pub object_directories: Vec<TreePath>,
    /// Variables that its processes have whatever they inherit.
    pub variables: Vec<(&'static str, String)>,
    /// The shell script that it sources when it starts, which may set more of them.
    pub settings: Option<TreePath>,
    /// The native modules that its processes alone open.
    pub own_native_modules: Vec<TreePath>,
    /// The files that it opens to start.
    pub loaded: Vec<TreePath>,
}

impl Interpreter {
    /// The environment of its processes.
    pub fn environment(&self, tree: &Tree, inherited: &Environment) -> Environment {
        let mut environment = inherited.clone();
        for (name, value) in &self.variables {
            environment.insert((*name).to_owned(), value.clone());
        }
        if let Some(script) = self.settings.as_ref().and_then(|path| tree.text(path)) {
            shell::source(script, &mut environment);
        }
        environment
    }

    /// Whether an object runs with this environment.
    pub fn runs(&self, object: &TreePath) -> bool {
        let mut directories = self.object_directories.iter();
        directories.any(|directory| object.below(directory).is_some())
    }
}

/// An interpreter in a library. What is linked to one works in the processes of that one alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterpreterLibrary {
    /// What it is, for people.
    pub title: String,
    /// The version of the language, as runtimes have it in their names.
    pub version: Option<String>,
    /// Whether every process of the language's runtimes has loaded a library of this name, wherever it is.
    pub is_loaded: bool,
}

/// A native module that was built for another version of its language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignModule {
    /// The module.
    pub path: TreePath,
    /// What it was built for, for people.
    pub built_for: String,
    /// That as a version of the language, as runtimes have it in their names.
    pub version: Option<String>,
    /// Whether something that the runtime does load can take its place.
    pub has_fallback: bool,
}
