//! What the shell scripts of a tree start, and with which search path of libraries: the bootstrap, extensions, the wrapper that
//! `AWS_LAMBDA_EXEC_WRAPPER` names, and scripts that start a program in its place.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::Environment;
use crate::root::{Location, Root};
use crate::shell::{FileKind, Files, Run, Script, Start, Started, Value};
use crate::tree::{Content, Entry, TreePath};

/// The script that Lambda starts where the runtime is the user's own.
pub const BOOTSTRAP: &str = "bootstrap";

/// Where Lambda starts a function (AWS Lambda developer guide, "Building a custom runtime": `LAMBDA_TASK_ROOT`).
const TASK_ROOT: &str = "/var/task";
/// The variable that names a script that starts the runtime in its place (AWS Lambda developer guide, "Modifying the runtime
/// environment").
const WRAPPER: &str = "AWS_LAMBDA_EXEC_WRAPPER";
/// Where Lambda looks for extensions (AWS Lambda developer guide, "Lambda Extensions API").
const EXTENSIONS: &str = "extensions";
/// The search path of libraries (ld.so(8)).
const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";
/// What a script says that changes the search path of what it starts, or reads a file that may.
const TELLING: [&str; 5] = [LIBRARY_PATH, "env -", "export -n", "source ", ". "];

/// The search path of libraries that a process has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LibraryPath {
    /// As `LD_LIBRARY_PATH` has it, as far as it is known.
    pub(super) text: String,
    /// The script that sets it in a way that is not understood, if it does.
    pub(super) unclear: Option<String>,
}

/// The processes that scripts start.
#[derive(Debug, Clone, Default)]
pub(super) struct StartedProcesses {
    /// The environment of what the bootstrap starts last: the runtime of the function.
    pub(super) environment: Environment,
    /// The script that sets the search path of that in a way that is not understood, if it does.
    pub(super) unclear: Option<String>,
    /// The programs of the tree that are started by their names, and every search path with which they are.
    pub(super) programs: BTreeMap<TreePath, BTreeSet<LibraryPath>>,
}

impl StartedProcesses {
    /// Follows all scripts of a tree.
    pub(super) fn of(root: Root<'_>) -> Self {
        let files = RootFiles(root);
        let first: BTreeMap<String, Value> = root
            .runtime
            .environment
            .iter()
            .map(|(name, value)| (name.clone(), Value::known(value)))
            .collect();
        let mut result = Self {
            environment: root.runtime.environment.clone(),
            ..Self::default()
        };
        let mut runs: Vec<Run> = Vec::new();
        let wrapper = first.get(WRAPPER).map(|value| value.text.clone());
        let beginning = wrapper.unwrap_or_else(|| format!("/opt/{BOOTSTRAP}"));
        let mut followed = BTreeSet::new();
        if let Some((run, path)) = run(root, &files, &beginning, &first) {
            result.take_runtime(&run, &path.on_lambda());
            followed.extend(run.read.iter().filter_map(|path| TreePath::from_lambda(path)));
            followed.insert(path);
            runs.push(run);
        }
        let inherited: BTreeMap<String, Value> = result
            .environment
            .iter()
            .map(|(name, value)| {
                let mut value = Value::known(value);
                value.is_complete = !(name == LIBRARY_PATH && result.unclear.is_some());
                (name.clone(), value)
            })
            .collect();
        let others: Vec<(&TreePath, bool)> = root
            .tree
            .files()
            .filter(|(path, file)| {
                let is_script = |text: &str| text.starts_with("#!") && TELLING.iter().any(|word| text.contains(word));
                file.mode.is_executable() && !followed.contains(*path) && file.content.text().is_some_and(is_script)
            })
            .map(|(path, _)| {
                let is_extension = path.parent().is_some_and(|directory| directory.as_str() == EXTENSIONS);
                (path, is_extension)
            })
            .collect();
        let others: Vec<Run> = others
            .par_iter()
            .filter_map(|(path, is_extension)| {
                // Lambda starts extensions itself.
                let environment = if *is_extension { &first } else { &inherited };
                run(root, &files, &path.on_lambda(), environment).map(|(run, _)| run)
            })
            .collect();
        runs.extend(others);
        for started in runs.iter().flat_map(|run| &run.started) {
            result.add(root, started);
        }
        result
    }

    /// The environment of the runtime is that of what its start script starts last, or what it has itself at the end.
    fn take_runtime(&mut self, run: &Run, script: &str) {
        let last = run
            .started
            .iter()
            .rev()
            .find(|started| started.by == script && started.is_certain);
        let (variables, is_complete): (BTreeMap<String, Value>, bool) = if let Some(started) = last {
            (started.environment.clone(), started.is_complete)
        } else {
            let exported = run.variables.iter().filter(|(_, variable)| variable.is_exported);
            let values = exported.map(|(name, variable)| (name.clone(), variable.value.clone()));
            (values.collect(), run.is_complete)
        };
        let is_clear = is_complete && variables.get(LIBRARY_PATH).is_none_or(|value| value.is_complete);
        self.unclear = (!is_clear).then(|| script.to_owned());
        self.environment = variables.into_iter().map(|(name, value)| (name, value.text)).collect();
    }

    fn add(&mut self, root: Root<'_>, started: &Started) {
        let Some((program, own_path)) = program_of(started) else {
            return;
        };
        let Ok(Location::Tree(path)) = root.resolve(&program) else {
            return;
        };
        if root.tree.object(&path).is_none() {
            return;
        }
        let value = own_path
            .or_else(|| started.environment.get(LIBRARY_PATH).cloned())
            .unwrap_or_default();
        let is_clear = value.is_complete && started.is_complete;
        let library_path = LibraryPath {
            text: with_colons(&value.text),
            unclear: (!is_clear).then(|| started.by.clone()),
        };
        self.programs.entry(path).or_default().insert(library_path);
    }
}

/// A search path with colons alone: semicolons separate, too (ld.so(8)).
pub(super) fn with_colons(library_path: &str) -> String {
    library_path.replace(';', ":")
}

/// The program of a process, and the search path where the loader is started by its name with one (ld.so(8)).
fn program_of(started: &Started) -> Option<(String, Option<Value>)> {
    let program = started.program.complete()?;
    let name = program.rsplit('/').next().unwrap_or_default();
    if !(name.starts_with("ld-linux") || name.starts_with("ld-musl") || name == "ld.so") {
        return Some((program.to_owned(), None));
    }
    let mut own_path = None;
    let mut words = started.arguments.iter();
    while let Some(word) = words.next() {
        match word.text.as_str() {
            "--library-path" => own_path = words.next().cloned(),
            "--preload" | "--argv0" | "--audit" | "--inhibit-rpath" | "--glibc-hwcaps-prepend" => {
                words.next();
            }
            text if text.starts_with("--") => {}
            text if text.starts_with('/') && word.is_complete => return Some((text.to_owned(), own_path)),
            _ => return None,
        }
    }
    None
}

/// What a script of the tree does that is started with this environment; `None` if there is no shell script.
fn run(
    root: Root<'_>,
    files: &RootFiles<'_>,
    path: &str,
    environment: &BTreeMap<String, Value>,
) -> Option<(Run, TreePath)> {
    let Ok(Location::Tree(place)) = root.resolve(path) else {
        return None;
    };
    let script = Script::of(root.tree.text(&place)?)?;
    Some((script.run(&Start::new(path, TASK_ROOT, environment), files), place))
}

/// The files that a script on Lambda sees.
struct RootFiles<'a>(Root<'a>);

impl Files for RootFiles<'_> {
    fn kind(&self, path: &str) -> Option<FileKind> {
        if self.0.directory(path).is_some() {
            return Some(FileKind::Directory);
        }
        match self.0.resolve(path) {
            Ok(Location::Tree(path)) => Some(match self.0.tree.get(&path) {
                Some(Entry::File(file)) => FileKind::File {
                    is_executable: file.mode.is_executable(),
                },
                _ => FileKind::Directory,
            }),
            Ok(Location::Runtime(path)) => Some(FileKind::File {
                is_executable: self
                    .0
                    .runtime
                    .command_path()
                    .iter()
                    .any(|folder| path.starts_with(folder.as_str())),
            }),
            Err(_) => path.starts_with("/opt/").then_some(FileKind::Missing),
        }
    }

    fn text(&self, path: &str) -> Option<String> {
        let Ok(Location::Tree(path)) = self.0.resolve(path) else {
            return None;
        };
        match &self.0.tree.file(&path)?.content {
            Content::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    fn real(&self, path: &str) -> Option<String> {
        self.0.resolve(path).ok().map(|place| place.on_lambda())
    }
}
