//! What must be there besides libraries for programs to start: interpreters, commands, and what languages call by its path.

use std::collections::{BTreeMap, BTreeSet};

use super::{names, shown};
use crate::elf::Priority;
use crate::finding::{Code, Finding, Severity};
use crate::languages::BUILT_IN;
use crate::loader::{Finder, LoadedTree};
use crate::platform::{foreign_system, is_musl};
use crate::root::Root;
use crate::shell;
use crate::tree::path::escaped;
use crate::tree::{Content, TreePath};

/// What programs of a root lack to be started, besides libraries.
pub fn program_findings(loaded: &LoadedTree<'_>) -> Vec<Finding> {
    let root = loaded.root();
    let mut findings = interpreters(root);
    findings.extend(commands(root));
    findings.extend(BUILT_IN.iter().flat_map(|language| language.findings(root)));
    findings.extend(dlopen_notes(loaded));
    findings
}

/// Whether a start of the function comes through this file: the bootstrap, start scripts of languages, and extensions.
fn is_on_start_path(path: &TreePath) -> bool {
    path.as_str() == "bootstrap"
        || BUILT_IN.iter().any(|language| language.is_on_start_path(path))
        || path.parent().is_some_and(|folder| folder.as_str() == "extensions")
}

/// Loaders of executables and interpreters of scripts, each reported once with the files that want it.
fn interpreters(root: Root<'_>) -> Vec<Finding> {
    let mut missing: BTreeMap<(bool, String), Vec<&TreePath>> = BTreeMap::new();
    for (path, file) in root.tree.files() {
        let (wanted, needed_at_start) = match &file.content {
            Content::Object(object) | Content::ObjectFact(object, _) => {
                let is_foreign = foreign_system(object, root.runtime.arch).is_some();
                let interpreter = object
                    .interpreter
                    .as_deref()
                    .filter(|path| !is_foreign && !is_of_musl(path));
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
            let is_started = needed_at_start || paths.iter().any(|path| started.contains(path));
            let finding = Finding::new(
                code,
                &[
                    ("interpreter", &escaped(wanted.as_bytes())),
                    ("files", &names(&paths)),
                    ("runtime", &root.runtime.name),
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

/// Whether a loader is musl's: objects for it are for another system, and are reported as such.
fn is_of_musl(interpreter: &str) -> bool {
    interpreter.rsplit('/').next().is_some_and(is_musl)
}

/// Scripts that a start of the function comes through, and those that such a script names, by path or as commands in
/// /opt/bin, and so on.
fn started_scripts(root: Root<'_>) -> BTreeSet<&TreePath> {
    let scripts: Vec<(&TreePath, &str)> = root
        .tree
        .files()
        .filter_map(|(path, file)| Some((path, file.content.text()?)))
        .filter(|(_, text)| text.starts_with("#!"))
        .collect();
    let mut started: BTreeSet<&TreePath> = BTreeSet::new();
    let mut pending: Vec<(&TreePath, &str)> = scripts
        .iter()
        .copied()
        .filter(|(path, _)| is_on_start_path(path))
        .collect();
    while let Some((path, text)) = pending.pop() {
        if !started.insert(path) {
            continue;
        }
        let is_named = |other: &TreePath| {
            let is_command = other.parent().is_some_and(|above| above.as_str() == "bin");
            text.contains(&other.on_lambda()) || is_command && has_word(text, other.file_name())
        };
        pending.extend(
            scripts
                .iter()
                .copied()
                .filter(|(other, _)| !started.contains(other) && is_named(other)),
        );
    }
    started
}

/// Whether a word stands in a text with nothing around it that could be a part of it.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(is_part) && !text[at + word.len()..].starts_with(is_part))
}

/// The program that a script is run by; for `/usr/bin/env NAME` the path on which env would look for it.
fn script_interpreter<'a>(root: Root<'_>, text: &'a str) -> Option<&'a str> {
    let interpreter = shell::interpreter(text)?;
    if interpreter.rsplit('/').next() != Some("env") || root.resolve(interpreter).is_err() {
        return Some(interpreter);
    }
    let name = text
        .lines()
        .next()?
        .split_whitespace()
        .find(|word| !word.starts_with("#!") && *word != "env" && !word.starts_with('-') && !word.contains('='))?;
    // Where env finds it, there is nothing to report; else the bare name leads nowhere, as it does for env.
    (!root.has_command(name, &root.runtime.command_path())).then_some(name)
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
