//! The processes that a tree can become: what starts, what it loads as native modules, and with which environment.

use std::collections::BTreeSet;

use super::loader_settings::{LoaderSetting, LoaderSettings, PRELOAD, preloads, with_colons};
use super::{Environment, Interpreter, LANGUAGES, Language};
use crate::elf::Object;
use crate::root::Root;
use crate::tree::{Tree, TreePath};

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
    /// The libraries that are loaded before those that the program needs: `LD_PRELOAD`, as far as it is known.
    pub preloads: Vec<String>,
    /// The script that sets `LD_LIBRARY_PATH` in a way that is not understood, if one does.
    pub unclear: Option<String>,
    /// The loader that is called with the program as an argument, by its absolute path; `None` where the program is started
    /// itself, so that its interpreter loads it.
    pub called_loader: Option<String>,
}

impl Process {
    /// The loader that loads its program: the one that is called with it, else the one that it names.
    pub fn loader<'p>(&'p self, program: &'p Object) -> Option<&'p String> {
        self.called_loader.as_ref().or(program.interpreter.as_ref())
    }
}

/// Knows what starts in a tree, and with which environment.
#[derive(Debug)]
pub struct Processes<'a> {
    root: Root<'a>,
    languages: &'static [&'static dyn Language],
    loader_settings: LoaderSettings,
    /// The interpreters, each with the environment of its processes.
    interpreters: Vec<(Interpreter, Environment)>,
    native_modules: BTreeSet<TreePath>,
}

impl<'a> Processes<'a> {
    /// Looks through a tree for interpreters, and for scripts that set variables.
    pub fn of(root: Root<'a>) -> Self {
        Self::with(root, LANGUAGES)
    }

    /// As [`Processes::of`], for these languages alone.
    pub fn with(root: Root<'a>, languages: &'static [&'static dyn Language]) -> Self {
        Self::new(root, languages, None)
    }

    /// The processes of a changed tree. What scripts did is taken over where nothing that they asked for is different.
    pub fn of_changed<'b>(&self, root: Root<'b>) -> Processes<'b> {
        Processes::new(root, self.languages, Some(self))
    }

    fn new(root: Root<'a>, languages: &'static [&'static dyn Language], earlier: Option<&Processes<'_>>) -> Self {
        let in_tree = |language: &&dyn Language| language.interpreters(root.tree);
        let loader_settings = LoaderSettings::of(root, earlier.map(|earlier| &earlier.loader_settings));
        let interpreters: Vec<(Interpreter, Environment)> = languages
            .iter()
            .flat_map(in_tree)
            .map(|interpreter| {
                let known = earlier.and_then(|earlier| earlier.environment(&interpreter, root.tree, &loader_settings));
                let environment =
                    known.unwrap_or_else(|| interpreter.environment(root.tree, &loader_settings.environment));
                (interpreter, environment)
            })
            .collect();
        let of_languages = languages.iter().flat_map(|language| language.native_modules(root.tree));
        let of_interpreters = interpreters
            .iter()
            .flat_map(|(interpreter, _)| interpreter.own_native_modules.iter().cloned());
        Self {
            root,
            languages,
            native_modules: of_languages.chain(of_interpreters).collect(),
            loader_settings,
            interpreters,
        }
    }

    /// The environment of an interpreter's processes, if it is the same in another tree, with these settings.
    fn environment(&self, interpreter: &Interpreter, tree: &Tree, loader: &LoaderSettings) -> Option<Environment> {
        let settings = |tree: &Tree| {
            let script = interpreter.settings.as_ref()?;
            tree.text(script).map(ToOwned::to_owned)
        };
        let is_same = |(known, _): &&(Interpreter, Environment)| {
            known.variables == interpreter.variables && known.settings == interpreter.settings
        };
        let (_, environment) = self.interpreters.iter().find(is_same)?;
        let all_is_same =
            self.loader_settings.environment == loader.environment && settings(self.root.tree) == settings(tree);
        all_is_same.then(|| environment.clone())
    }

    /// Whether the bootstrap or an interpreter sets a variable for its processes.
    pub fn sets(&self, variable: &str) -> bool {
        let of_interpreters = self.interpreters.iter().map(|(_, environment)| environment);
        std::iter::once(&self.loader_settings.environment)
            .chain(of_interpreters)
            .any(|environment| environment.contains_key(variable))
    }

    /// The tree and the runtime.
    pub fn root(&self) -> Root<'a> {
        self.root
    }

    /// The processes that start from executables of the tree, and each interpreter with each of its native modules: one for
    /// each search path with which scripts start them.
    pub fn all(&self) -> Vec<Process> {
        let mut processes = Vec::new();
        for (interpreter, environment) in &self.interpreters {
            let settings = self.settings(interpreter.program.as_ref(), environment);
            let program = interpreter.program.as_ref().map(TreePath::on_lambda);
            for module in &interpreter.own_native_modules {
                processes.extend(settings.iter().map(|setting| Process {
                    plugins: vec![module.on_lambda()],
                    plugin_loader: interpreter.module_loader.as_ref().map(TreePath::on_lambda),
                    ..process(program.clone(), setting.clone())
                }));
            }
        }
        for (path, object) in self.root.tree.objects() {
            if object.is_program() {
                processes.extend(self.started(path));
            }
        }
        processes
    }

    /// A process that consists of one object and what it needs.
    pub fn alone(&self, path: &TreePath) -> Process {
        process(Some(path.on_lambda()), self.inherited(self.environment_of(path)))
    }

    fn started(&self, program: &TreePath) -> Vec<Process> {
        let settings = self.settings(Some(program), self.environment_of(program));
        let path = program.on_lambda();
        settings
            .into_iter()
            .map(|setting| process(Some(path.clone()), setting))
            .collect()
    }

    /// The objects that a language opens by their place in the tree, though nothing needs them by name.
    pub fn native_modules(&self) -> &BTreeSet<TreePath> {
        &self.native_modules
    }

    /// Those of them without which their language works.
    pub fn optional_modules(&self) -> BTreeSet<TreePath> {
        let languages = self.languages.iter();
        languages
            .flat_map(|language| language.optional_modules(self.root.tree))
            .collect()
    }

    /// The environment in which an object runs: that of its interpreter, else that of the runtime.
    fn environment_of(&self, object: &TreePath) -> &Environment {
        let mut interpreters = self.interpreters.iter();
        let own = interpreters.find(|(interpreter, _)| interpreter.runs(object));
        own.map_or(&self.loader_settings.environment, |(_, environment)| environment)
    }

    /// The ways in which scripts start a program; if none does, what it inherits in this environment.
    fn settings(&self, program: Option<&TreePath>, environment: &Environment) -> Vec<LoaderSetting> {
        match program.and_then(|program| self.loader_settings.programs.get(program)) {
            Some(settings) => settings.iter().cloned().collect(),
            None => vec![self.inherited(environment)],
        }
    }

    fn inherited(&self, environment: &Environment) -> LoaderSetting {
        let library_path = environment.get("LD_LIBRARY_PATH");
        LoaderSetting {
            library_path: library_path.map(|path| with_colons(path)).unwrap_or_default(),
            preloads: preloads(environment.get(PRELOAD).map_or("", String::as_str)),
            unclear: self.loader_settings.unclear.clone(),
            called: None,
        }
    }
}

/// A program that is started in one way, without plugins.
fn process(program: Option<String>, setting: LoaderSetting) -> Process {
    let (called_loader, program) = match setting.called {
        Some(called) => (Some(called.loader), Some(called.program)),
        None => (None, program),
    };
    Process {
        program,
        plugins: Vec::new(),
        plugin_loader: None,
        library_path: setting.library_path,
        preloads: setting.preloads,
        unclear: setting.unclear,
        called_loader,
    }
}
