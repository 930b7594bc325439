//! What must be there besides libraries for programs to start: interpreters, commands, and what languages call by its path.

use std::collections::{BTreeMap, BTreeSet};

use super::{names, shown};
use crate::elf::Priority;
use crate::finding::{Code, Finding, Severity};
use crate::languages::LANGUAGES;
use crate::loader::{Finder, LoadedTree};
use crate::platform::{foreign_system, is_musl};
use crate::root::{Location, Root};
use crate::shell::{self, Shebang};
use crate::tree::path::escaped;
use crate::tree::{Content, File, TreePath};
use crate::uses::{FindUses, Interpreters, NamedCommands, Uses, WrittenPaths, uses_of};

/// What programs of a root lack to be started, besides libraries.
pub fn program_findings(loaded: &LoadedTree<'_>) -> Vec<Finding> {
    let root = loaded.root();
    let mut findings = interpreters(loaded);
    findings.extend(commands(root));
    findings.extend(LANGUAGES.iter().flat_map(|language| language.findings(root)));
    findings.extend(dlopen_notes(loaded));
    findings
}

/// Whether a start of the function comes through this file: the bootstrap, start scripts of languages, and extensions.
fn is_on_start_path(path: &TreePath) -> bool {
    path.as_str() == "bootstrap"
        || LANGUAGES.iter().any(|language| language.is_on_start_path(path))
        || path
            .parent()
            .is_some_and(|directory| directory.as_str() == "extensions")
}

/// Loaders of executables and interpreters of scripts, each reported once with the files that want it.
fn interpreters(loaded: &LoadedTree<'_>) -> Vec<Finding> {
    let root = loaded.root();
    let called = only_called(loaded);
    let mut missing: BTreeMap<(bool, String), Vec<&TreePath>> = BTreeMap::new();
    for (path, file) in root.tree.files() {
        let (wanted, needed_at_start) = match &file.content {
            Content::Object(object) | Content::ObjectFact(object, _) => {
                let is_foreign = foreign_system(object, root.runtime.arch).is_some();
                let interpreter = object
                    .interpreter
                    .as_deref()
                    .filter(|loader| !is_foreign && !is_of_musl(loader) && !called.contains(path));
                (interpreter, true)
            }
            Content::Text(text) if file.mode.is_executable() => {
                (script_interpreter(root, text), is_on_start_path(path))
            }
            _ => (None, false),
        };
        if let Some(wanted) = wanted
            && root.resolve(wanted).is_err()
        {
            missing
                .entry((needed_at_start, wanted.to_owned()))
                .or_default()
                .push(path);
        }
    }
    let started = started_scripts(root);
    missing
        .into_iter()
        .map(|((needed_at_start, wanted), paths)| {
            let code = if needed_at_start {
                Code::MissingInterpreter
            } else {
                Code::ScriptCannotRun
            };
            let is_started = needed_at_start || paths.iter().any(|path| started.contains(*path));
            let finding = Finding::new(
                code,
                &[
                    ("interpreter", &escaped(wanted.as_bytes())),
                    ("files", &names(&paths)),
                    ("runtime", &root.runtime.name),
                    ("cure", &cure(root, &wanted, &paths, needed_at_start)),
                ],
            )
            .at(paths.first().map(|path| shown(path)).unwrap_or_default());
            if is_started && !needed_at_start {
                finding.with_severity(Severity::Warning)
            } else {
                finding
            }
        })
        .collect()
}

/// What to do where an interpreter is missing. Packages for /usr that are laid below /opt often have it, and their programs and
/// scripts look for it in /usr.
fn cure(root: Root<'_>, wanted: &str, by: &[&TreePath], needed_at_start: bool) -> String {
    let runtime = &root.runtime.name;
    let is_loader = by.iter().any(|path| root.tree.object(path).is_some());
    match own_program(root, wanted.rsplit('/').next().unwrap_or(wanted)) {
        Some(own) if is_loader => {
            format!("the tree has it: `patchelf --set-interpreter {own}`, or start it as `{own} PROGRAM`")
        }
        Some(own) => format!("the tree has it: write {own} after #! in the first line, or start it as `{own} SCRIPT`"),
        None if is_loader => {
            format!("build it for the loader of {runtime}, or put its own into the tree and name that with patchelf")
        }
        None if needed_at_start => {
            format!("put the interpreter into the tree, or use one that {runtime} has, such as /bin/sh")
        }
        None => {
            "remove the scripts with --drop, or put the interpreter into the tree if something runs them".to_owned()
        }
    }
}

/// The program of a name in the tree, the outermost of several, as it is called on Lambda.
fn own_program(root: Root<'_>, name: &str) -> Option<String> {
    let is_program = |path: &&TreePath| match root.resolve(&path.on_lambda()) {
        Ok(Location::Tree(file)) => root.tree.file(&file).is_some_and(|file| file.mode.is_executable()),
        _ => false,
    };
    let named = root.tree.iter().map(|(path, _)| path);
    let programs = named.filter(|path| path.file_name() == name).filter(is_program);
    let own = programs.min_by_key(|path| (path.names().count(), *path))?;
    Some(escaped(own.on_lambda().as_bytes()))
}

/// Programs that are started in no other way than by a call of a loader: the one that they name does not matter.
fn only_called<'a>(loaded: &'a LoadedTree<'_>) -> BTreeSet<&'a TreePath> {
    let (mut called, mut others) = (BTreeSet::new(), BTreeSet::new());
    for process in loaded.followed() {
        if let Some(Location::Tree(program)) = process.loaded.first().map(|first| &first.found.place) {
            let is_called = process.process.called_loader.is_some();
            if is_called { &mut called } else { &mut others }.insert(program);
        }
    }
    called.difference(&others).copied().collect()
}

/// Whether a loader is musl's: objects for it are for another system, and are reported as such.
fn is_of_musl(interpreter: &str) -> bool {
    interpreter.rsplit('/').next().is_some_and(is_musl)
}

/// Scripts that a start of the function comes through, and those that such a script may start, and so on.
pub(super) fn started_scripts(root: Root<'_>) -> BTreeSet<TreePath> {
    let is_script = |file: &File| file.content.text().is_some_and(|text| text.starts_with("#!"));
    let scripts = root.tree.files().filter(|(_, file)| is_script(file));
    let scripts: BTreeSet<TreePath> = scripts.map(|(path, _)| path.clone()).collect();
    // A function's variable AWS_LAMBDA_EXEC_WRAPPER names a script at the top.
    let may_start = |path: &&TreePath| is_on_start_path(path) || path.parent().is_some_and(|above| above.is_root());
    let start: BTreeSet<TreePath> = scripts.iter().filter(may_start).cloned().collect();
    let mut finders: Vec<Box<dyn FindUses + '_>> = vec![
        Box::new(Interpreters(root)),
        Box::new(NamedCommands::of(root.runtime, &scripts)),
    ];
    if let Some(written) = WrittenPaths::of(root, &scripts, &scripts) {
        finders.push(Box::new(written));
    }
    // What a scan keeps of a text is all that there is to read.
    let ask = |path: &TreePath| uses_of(root.tree, path, &finders, &|_, _| None);
    let uses = Uses::follow(start.clone(), Vec::new(), &ask, &|edge| vec![edge.to.path().clone()]);
    let reached = uses.reached().map(|(path, _)| path.clone());
    start.into_iter().chain(reached).collect()
}

/// The program that a script is run by; for `/usr/bin/env NAME` the name, if env does not find it.
fn script_interpreter<'a>(root: Root<'_>, text: &'a str) -> Option<&'a str> {
    let Shebang { program, command } = Shebang::of(text)?;
    match command.filter(|_| root.resolve(program).is_ok()) {
        // A bare name leads nowhere, as it does for env.
        Some(name) => (!root.has_command(name, &root.runtime.command_path())).then_some(name),
        None => Some(program),
    }
}

/// Commands that the scripts on the start path call and nobody has.
fn commands(root: Root<'_>) -> Vec<Finding> {
    let path = root.runtime.command_path();
    let mut missing: BTreeMap<String, Vec<&TreePath>> = BTreeMap::new();
    for (script, file) in root.tree.files().filter(|(path, _)| is_on_start_path(path)) {
        let Some(text) = file.content.text().filter(|text| shell::is_for_shell(text)) else {
            continue;
        };
        for name in shell::commands(text) {
            let there = if name.starts_with('/') {
                root.resolve(&name).is_ok()
            } else {
                root.has_command(&name, &path)
            };
            if !there {
                missing.entry(name).or_default().push(script);
            }
        }
    }
    missing
        .into_iter()
        .map(|(name, scripts)| {
            Finding::new(
                Code::MissingCommand,
                &[
                    ("command", &name),
                    ("files", &names(&scripts)),
                    ("runtime", &root.runtime.name),
                ],
            )
            .at(scripts.first().map(|path| shown(path)).unwrap_or_default())
        })
        .collect()
}

/// What objects say that they open at run time, looked for as dlopen would.
fn dlopen_notes(loaded: &LoadedTree<'_>) -> Vec<Finding> {
    let root = loaded.root();
    let finder = Finder::new(root);
    let mut findings = Vec::new();
    let own = root
        .tree
        .objects()
        .filter(|(_, object)| foreign_system(object, root.runtime.arch).is_none());
    for (path, object) in own {
        for note in &object.dlopen_notes {
            let code = match note.priority {
                Priority::Required => Code::MissingDlopenLibrary,
                Priority::Recommended => Code::MissingOptionalLibrary,
                Priority::Suggested => continue,
            };
            let process = loaded.processes().alone(path);
            if note.soname.iter().any(|soname| finder.finds(&process, soname)) {
                continue;
            }
            let finding = Finding::new(
                code,
                &[
                    ("sonames", &escaped(note.soname.join(" or ").as_bytes())),
                    ("feature", &escaped(note.feature.as_bytes())),
                    ("runtime", &root.runtime.name),
                ],
            );
            findings.push(finding.at(shown(path)));
        }
    }
    findings
}
