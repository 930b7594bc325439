//! Which paths rules match, before anybody asks who uses them.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::retain::Matches;
use crate::elf::Object;
use crate::languages::code_files;
use crate::rules::Matcher;
use crate::timings::phase;
use crate::tree::{Entry, File, Tree, TreePath};

/// The paths that rules match, and whether the tree is a layer of which all is shadowed.
///
/// Rules about shadowed libraries do not apply where they would remove all programs. Libraries alone are there for something that
/// needs them. Other rules do not apply either where they would leave nothing but documents, unless the user names what goes.
pub(super) fn matched_paths(tree: &Tree, rules: &Matcher, commands: &[(TreePath, TreePath)]) -> (Matches, bool) {
    let mut matches = match_rules(tree, rules);
    let about_shadowed = rules.about_shadowed();
    let is_shadowed_layer = removes_all_programs(tree, &about_shadowed, &matches);
    if is_shadowed_layer {
        matches = matches_without(rules, &matches, &about_shadowed);
    }
    let has_shadowed = matches.values().any(|rule| about_shadowed.contains(rule));
    let (decided, by_rules): (Matches, Matches) = matches
        .clone()
        .into_iter()
        .partition(|(path, rule)| rules.is_drop(rule) || rules.is_unused(path));
    if !has_shadowed && leaves_documents_alone(tree, &by_rules) {
        matches = decided;
    }
    (with_commands(rules, commands, matches), is_shadowed_layer)
}

/// The paths that rules and options match, each with the one that decides.
fn match_rules(tree: &Tree, rules: &Matcher) -> Matches {
    let _phase = phase("match rules");
    let paths: Vec<&TreePath> = tree.iter().map(|(path, _)| path).collect();
    paths
        .into_par_iter()
        .filter_map(|path| Some((path.clone(), rules.removed_by(path)?.to_owned())))
        .collect()
}

/// The matches with the commands of packages that go: a link in `.bin` or a script that a package manager wrote is not a use of
/// the package, and goes with it, unless the user keeps it.
fn with_commands(rules: &Matcher, commands: &[(TreePath, TreePath)], mut matches: Matches) -> Matches {
    for (command, part) in commands {
        let rule = matches.get(part).cloned();
        if let Some(rule) = rule.filter(|_| !rules.is_kept(command)) {
            matches.entry(command.clone()).or_insert(rule);
        }
    }
    matches
}

/// Whether something is removed and nothing is left but what is there to be read by people.
fn leaves_documents_alone(tree: &Tree, matches: &Matches) -> bool {
    let mut left = tree.iter().filter(|(path, entry)| {
        let is_directory = matches!(entry, Entry::Directory(_));
        !is_directory && !matches.contains_key(*path)
    });
    !matches.is_empty() && left.all(|(path, _)| is_document(path))
}

/// Whether rules about shadowed libraries would remove a program and leave nothing that runs: whoever packs it with its data
/// means it.
fn removes_all_programs(tree: &Tree, about_shadowed: &BTreeSet<String>, matches: &Matches) -> bool {
    let mut code = tree.files().filter(|(path, file)| is_code(path, file));
    let mut removes_program = false;
    let all_are_matched = code.all(|(path, file)| {
        let rule = matches.get(path);
        let is_program = file.content.object().is_some_and(Object::is_program);
        removes_program |= is_program && rule.is_some_and(|rule| about_shadowed.contains(rule));
        rule.is_some()
    });
    all_are_matched && removes_program
}

/// How the names of documents begin, in small letters (GNU Coding Standards, section 7.3 "Making Releases"; REUSE 3.3 for
/// licenses), and directories that hold nothing else.
const DOCUMENTS: [&str; 10] = [
    "license",
    "licence",
    "copying",
    "copyright",
    "notice",
    "readme",
    "authors",
    "changelog",
    "changes",
    "news",
];

const DOCUMENT_DIRECTORIES: [&str; 4] = ["doc", "docs", "licenses", "man"];

/// Whether a file is there to be read by people, by its name.
fn is_document(path: &TreePath) -> bool {
    let name = path.file_name().to_ascii_lowercase();
    DOCUMENTS.iter().any(|begin| name.starts_with(begin))
        || path.names().any(|name| DOCUMENT_DIRECTORIES.contains(&name))
}

/// Whether something can be run or loaded.
fn is_code(path: &TreePath, file: &File) -> bool {
    file.content.object().is_some() || file.mode.is_executable() || code_files::is_code(path)
}

/// The matches as if some rules were off.
fn matches_without(rules: &Matcher, matches: &Matches, aside: &BTreeSet<String>) -> Matches {
    let left = matches.iter().filter_map(|(path, rule)| {
        let rule = if aside.contains(rule) {
            rules.rule_without(path, aside)?
        } else {
            rule
        };
        Some((path.clone(), rule.to_owned()))
    });
    left.collect()
}
