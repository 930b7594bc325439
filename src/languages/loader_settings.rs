//! What the shell scripts of a tree tell the loader of the programs that they start: the search path of libraries, preloads, and
//! another loader. Only scripts that may set these are read: the bootstrap, extensions, the wrapper that
//! `AWS_LAMBDA_EXEC_WRAPPER` names, and scripts that start a program in its place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use super::Environment;
use crate::root::{Location, Root};
use crate::runtime::TASK_ROOT;
use crate::shell::{self, Export, FileKind, Files, Run, Script, Start, Started, Value, known};
use crate::tree::TreePath;
use crate::tree::path::LAYER_ROOT;

/// The script that Lambda starts where the runtime is the user's own.
pub const BOOTSTRAP: &str = "bootstrap";

/// The variable that names a script that starts the runtime in its place (AWS Lambda developer guide, "Modifying the runtime
/// environment").
const WRAPPER: &str = "AWS_LAMBDA_EXEC_WRAPPER";
/// Where Lambda looks for extensions (AWS Lambda developer guide, "Lambda Extensions API").
const EXTENSIONS: &str = "extensions";
/// The search path of libraries (ld.so(8)).
const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";
/// Libraries that are loaded before those that a program needs (ld.so(8)).
pub(super) const PRELOAD: &str = "LD_PRELOAD";
/// How the names of loaders begin: those of glibc, its link in a `bin` directory, and musl's.
const LOADERS: [&str; 3] = ["ld-linux", "ld.so", "ld-musl"];

/// How the loader searches for the libraries of a process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LoaderSetting {
    /// The search path, as `LD_LIBRARY_PATH` or the loader's option has it, as far as it is known.
    pub(super) library_path: String,
    /// `LD_PRELOAD`, as far as it is known.
    pub(super) preloads: Vec<String>,
    /// The script that sets the search path in a way that is not understood, if it does.
    pub(super) unclear: Option<String>,
    /// The loader and the program's path, if the loader is called with the program as an argument.
    pub(super) called: Option<CalledLoader>,
}

/// A loader that is called with a program as an argument (ld.so(8)): whatever interpreter the program names, this one loads it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CalledLoader {
    /// The loader's absolute path.
    pub(super) loader: String,
    /// The program's absolute path as it is given to the loader, which takes `$ORIGIN` from it.
    pub(super) program: String,
}

/// How the loader searches in all processes that scripts start.
#[derive(Debug, Clone, Default)]
pub(super) struct LoaderSettings {
    /// The environment of what the bootstrap starts last: the runtime of the function.
    pub(super) environment: Environment,
    /// The script that sets the search path of that in a way that is not understood, if it does.
    pub(super) unclear: Option<String>,
    /// The programs of the tree that are started by their names, and every way in which they are.
    pub(super) programs: BTreeMap<TreePath, BTreeSet<LoaderSetting>>,
    /// What each script did.
    scripts: BTreeMap<String, ScriptRun>,
}

/// What a script did, and on what that depends: where it is started with the same environment and all that it asked for is
/// the same, it does the same again.
#[derive(Debug, Clone)]
struct ScriptRun {
    environment: Arc<BTreeMap<String, Value>>,
    asked: FileQueries,
    place: TreePath,
    run: Arc<Run>,
}

/// What a script asked for, by absolute paths, and the answers.
#[derive(Debug, Clone, Default)]
struct FileQueries {
    kinds: BTreeMap<String, Option<FileKind>>,
    texts: BTreeMap<String, Option<String>>,
    real_paths: BTreeMap<String, Option<String>>,
    names: BTreeMap<String, Option<Vec<String>>>,
}

impl LoaderSettings {
    /// Follows all scripts of a tree. What they did in an earlier state of it is taken over where nothing that they asked for
    /// is different.
    pub(super) fn of(root: Root<'_>, earlier: Option<&Self>) -> Self {
        let scripts = Scripts { root, earlier };
        let first: Arc<BTreeMap<String, Value>> = Arc::new(known(&root.runtime.environment));
        let mut result = Self {
            environment: root.runtime.environment.clone(),
            ..Self::default()
        };
        let mut runs: Vec<(String, ScriptRun)> = Vec::new();
        let wrapper = first.get(WRAPPER).map(|value| value.text.clone());
        let beginning = wrapper.unwrap_or_else(|| format!("{LAYER_ROOT}/{BOOTSTRAP}"));
        let mut followed = BTreeSet::new();
        if let Some(script) = scripts.run(&beginning, &first) {
            result.take_runtime(&script.run, &script.place.on_lambda());
            followed.extend(script.run.read.iter().filter_map(|path| TreePath::from_lambda(path)));
            followed.insert(script.place.clone());
            runs.push((beginning, script));
        }
        let mut inherited = known(&result.environment);
        if let Some(value) = inherited.get_mut(LIBRARY_PATH) {
            value.is_complete = result.unclear.is_none();
        }
        let inherited = Arc::new(inherited);
        let others: Vec<&TreePath> = root
            .tree
            .files()
            .filter(|(path, file)| {
                let is_script = |text: &str| {
                    let may_matter =
                        shell::may_change(text, LIBRARY_PATH) || LOADERS.iter().any(|name| text.contains(name));
                    text.starts_with("#!") && may_matter
                };
                file.mode.is_executable() && !followed.contains(*path) && file.content.text().is_some_and(is_script)
            })
            .map(|(path, _)| path)
            .collect();
        runs.extend(shell::read_all(&others, |path| {
            // Lambda starts extensions itself.
            let is_extension = path.parent().is_some_and(|directory| directory.as_str() == EXTENSIONS);
            let environment = if is_extension { &first } else { &inherited };
            let path = path.on_lambda();
            let script = scripts.run(&path, environment)?;
            Some((path, script))
        }));
        for started in runs.iter().flat_map(|(_, script)| &script.run.started) {
            result.add(root, started);
        }
        result.scripts = runs.into_iter().collect();
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
            let exported = run
                .variables
                .iter()
                .filter(|(_, variable)| variable.export > Export::Never);
            let values = exported.map(|(name, variable)| (name.clone(), variable.value.clone()));
            (values.collect(), run.is_complete)
        };
        let is_clear = is_complete && variables.get(LIBRARY_PATH).is_none_or(|value| value.is_complete);
        self.unclear = (!is_clear).then(|| script.to_owned());
        self.environment = variables.into_iter().map(|(name, value)| (name, value.text)).collect();
    }

    fn add(&mut self, root: Root<'_>, started: &Started) {
        let Some(launched) = launched(started) else {
            return;
        };
        let Ok(Location::Tree(path)) = root.resolve(&launched.program) else {
            return;
        };
        if root.tree.object(&path).is_none() {
            return;
        }
        let inherited = || started.environment.get(LIBRARY_PATH).cloned();
        let value = launched.library_path.or_else(inherited).unwrap_or_default();
        let library_path = with_colons(&value.text);
        let placed = placed(&library_path, &started.directory);
        let is_clear = value.is_complete && started.is_complete && placed.is_some();
        let program = launched.program;
        let setting = LoaderSetting {
            library_path: placed.unwrap_or(library_path),
            preloads: preloads(started.environment.get(PRELOAD).map_or("", |value| &value.text)),
            unclear: (!is_clear).then(|| started.by.clone()),
            called: launched.loader.map(|loader| CalledLoader { loader, program }),
        };
        self.programs.entry(path).or_default().insert(setting);
    }
}

/// A search path with colons alone: semicolons separate, too (ld.so(8)).
pub(super) fn with_colons(library_path: &str) -> String {
    library_path.replace(';', ":")
}

/// The libraries in a list of them, between blanks or colons (ld.so(8)).
pub(super) fn preloads(list: &str) -> Vec<String> {
    let names = list.split([' ', '\t', '\n', ':']).filter(|name| !name.is_empty());
    names.map(ToOwned::to_owned).collect()
}

/// A search path with its relative elements taken from the directory in which the process is started; `None` if that is not
/// known. An empty element is that directory itself.
fn placed(library_path: &str, directory: &Value) -> Option<String> {
    let is_relative = |element: &str| !element.starts_with('/');
    if library_path.is_empty() || !library_path.split(':').any(is_relative) {
        return Some(library_path.to_owned());
    }
    let directory = directory.complete()?.trim_end_matches('/');
    let elements = library_path.split(':').map(|element| match element {
        "" => directory.to_owned(),
        relative if is_relative(relative) => format!("{directory}/{relative}"),
        absolute => absolute.to_owned(),
    });
    Some(elements.collect::<Vec<_>>().join(":"))
}

/// The program that a process becomes.
#[derive(Debug, PartialEq, Eq)]
struct Launched {
    /// By its absolute path.
    program: String,
    /// The loader that is called with it, by its absolute path.
    loader: Option<String>,
    /// The search path that this loader is given.
    library_path: Option<Value>,
}

/// The program of a process: what is started or, if that is a loader, what it is given to load (ld.so(8)).
fn launched(started: &Started) -> Option<Launched> {
    let program = started.program.complete()?;
    let name = program.rsplit('/').next().unwrap_or_default();
    if !LOADERS.iter().any(|loader| name.starts_with(loader)) {
        return Some(Launched {
            program: program.to_owned(),
            loader: None,
            library_path: None,
        });
    }
    let mut library_path = None;
    let mut words = started.arguments.iter();
    while let Some(word) = words.next() {
        match word.text.as_str() {
            "--library-path" => library_path = words.next().cloned(),
            "--preload"
            | "--argv0"
            | "--audit"
            | "--inhibit-rpath"
            | "--glibc-hwcaps-prepend"
            | "--glibc-hwcaps-mask" => {
                words.next();
            }
            // musl's takes "--library-path=PATH", too (ldso/dynlink.c, `__dls3`).
            text if text.starts_with("--library-path=") => {
                let text = text.trim_start_matches("--library-path=").to_owned();
                library_path = Some(Value { text, ..word.clone() });
            }
            "--" => {}
            text if text.starts_with("--") => {}
            _ => {
                return Some(Launched {
                    program: absolute(word, &started.directory)?,
                    loader: Some(absolute(&started.program, &started.directory)?),
                    library_path,
                });
            }
        }
    }
    None
}

/// A path that has a slash, from the working directory if it is relative.
fn absolute(path: &Value, directory: &Value) -> Option<String> {
    let path = path.complete()?;
    match (path.starts_with('/'), path.contains('/')) {
        (true, _) => Some(path.to_owned()),
        (false, true) => Some(format!("{}/{path}", directory.complete()?)),
        (false, false) => None,
    }
}

/// The scripts of a tree, and what they did in an earlier state of it.
struct Scripts<'a> {
    root: Root<'a>,
    earlier: Option<&'a LoaderSettings>,
}

impl Scripts<'_> {
    /// What a script does that is started with this environment; `None` if there is no shell script at the path.
    fn run(&self, path: &str, environment: &Arc<BTreeMap<String, Value>>) -> Option<ScriptRun> {
        let before = self.earlier.and_then(|earlier| earlier.scripts.get(path));
        if let Some(before) = before
            && before.environment == *environment
            && before.asked.holds(self.root)
        {
            return Some(before.clone());
        }
        let files = RecordedFiles {
            root: self.root,
            asked: Mutex::default(),
        };
        let (place, text) = (files.real(path)?, files.text(path)?);
        let run = Script::of(&text)?.run(&Start::new(path, TASK_ROOT, environment), &files);
        Some(ScriptRun {
            environment: Arc::clone(environment),
            asked: files.asked.into_inner().ok()?,
            place: TreePath::from_lambda(&place)?,
            run: Arc::new(run),
        })
    }
}

/// The files that a script on Lambda sees, with a record of what it asked for.
struct RecordedFiles<'a> {
    root: Root<'a>,
    asked: Mutex<FileQueries>,
}

impl RecordedFiles<'_> {
    fn record(&self, record: impl FnOnce(&mut FileQueries)) {
        if let Ok(mut asked) = self.asked.lock() {
            record(&mut asked);
        }
    }
}

impl Files for RecordedFiles<'_> {
    fn kind(&self, path: &str) -> Option<FileKind> {
        let kind = self.root.kind(path);
        self.record(|asked| {
            asked.kinds.insert(path.to_owned(), kind);
        });
        kind
    }

    fn text(&self, path: &str) -> Option<String> {
        let text = self.root.text(path);
        self.record(|asked| {
            asked.texts.insert(path.to_owned(), text.clone());
        });
        text
    }

    fn real(&self, path: &str) -> Option<String> {
        let real = self.root.real(path);
        self.record(|asked| {
            asked.real_paths.insert(path.to_owned(), real.clone());
        });
        real
    }

    fn names(&self, path: &str) -> Option<Vec<String>> {
        let names = self.root.names(path);
        self.record(|asked| {
            asked.names.insert(path.to_owned(), names.clone());
        });
        names
    }
}

impl FileQueries {
    /// Whether the answers are the same in a root.
    fn holds(&self, root: Root<'_>) -> bool {
        self.kinds.iter().all(|(path, known)| root.kind(path) == *known)
            && self.texts.iter().all(|(path, known)| root.text(path) == *known)
            && self.real_paths.iter().all(|(path, known)| root.real(path) == *known)
            && self.names.iter().all(|(path, known)| root.names(path) == *known)
    }
}
