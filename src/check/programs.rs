//! What must be there besides libraries for programs to start: interpreters, commands, and what languages call by its path.

use std::collections::BTreeMap;

use super::{names, shown};
use crate::elf::Priority;
use crate::finding::{Code, Finding};
use crate::languages::BUILT_IN;
use crate::loader::{Finder, Processes};
use crate::root::Root;
use crate::shell;
use crate::tree::path::escaped;
use crate::tree::{Content, TreePath};

/// What programs of a root lack to be started, besides libraries.
pub fn program_findings(root: Root<'_>) -> Vec<Finding> {
    let mut findings = interpreters(root);
    findings.extend(commands(root));
    findings.extend(BUILT_IN.iter().flat_map(|language| language.findings(root)));
    findings.extend(dlopen_notes(root));
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
            Content::Object(object) | Content::ObjectFact(object, _) => (object.interpreter.as_deref(), true),
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
    missing
        .into_iter()
        .map(|((needed_at_start, wanted), paths)| {
            let code = if needed_at_start {
                Code::MissingInterpreter
            } else {
                Code::ScriptCannotRun
            };

            Finding::new(
                code,
                &[
                    ("interpreter", &escaped(wanted.as_bytes())),
                    ("files", &names(&paths)),
                    ("runtime", &root.runtime.name),
                ],
            )
            .at(paths.first().map(|path| shown(path)).unwrap_or_default())
        })
        .collect()
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
        let Some(text) = file.content.text() else { continue };
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
fn dlopen_notes(root: Root<'_>) -> Vec<Finding> {
    let processes = Processes::of(root);
    let finder = Finder::new(root);
    let mut findings = Vec::new();
    for (path, object) in root.tree.objects() {
        for note in &object.dlopen_notes {
            let code = match note.priority {
                Priority::Required => Code::MissingDlopenLibrary,
                Priority::Recommended => Code::MissingOptionalLibrary,
                Priority::Suggested => continue,
            };
            let process = processes.alone(path);
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
