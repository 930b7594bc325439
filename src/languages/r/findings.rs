//! What keeps an R of the tree from starting, apart from libraries.

use std::collections::{BTreeMap, BTreeSet};

use super::{homes, rscript, which};
use crate::finding::{Code, Finding};
use crate::languages::started::BOOTSTRAP;
use crate::root::{Location, Root};
use crate::shell;
use crate::tree::path::escaped;
use crate::tree::{Entry, Tree, TreePath};

/// Everything that keeps R from starting.
pub(super) fn findings(root: Root<'_>) -> Vec<Finding> {
    let mut findings = not_executable(root.tree);
    findings.extend(homes_elsewhere(root));
    findings.extend(missing_which(root));
    findings
}

/// R's start scripts and programs.
pub(super) fn start_files(tree: &Tree) -> BTreeSet<TreePath> {
    let scripts = start_scripts(tree).map(|(path, _)| path.clone());
    let programs = homes(tree).into_iter().filter_map(|home| home.join("bin/exec/R"));
    scripts.chain(programs).collect()
}

fn not_executable(tree: &Tree) -> Vec<Finding> {
    let paths = start_files(tree).into_iter();
    paths
        .filter_map(|path| {
            let mode = tree.file(&path)?.mode;
            let words = [("mode", mode.to_string())];
            let words = words.each_ref().map(|(name, word)| (*name, word.as_str()));
            (!mode.others_may_execute()).then(|| Finding::new(Code::RNotExecutable, &words).at(path.shown()))
        })
        .collect()
}

/// An R that runs a `which` that is not there, and does not know its way round that.
fn missing_which(root: Root<'_>) -> Vec<Finding> {
    which::traps(root)
        .into_iter()
        .map(|trap| {
            let words = [
                ("which", &*escaped(trap.which.as_bytes())),
                ("runtime", &root.runtime.name),
            ];
            Finding::new(Code::RWhichMissing, &words).at(trap.database.shown())
        })
        .collect()
}

/// The scripts by which R is started: they say where it is.
fn start_scripts(tree: &Tree) -> impl Iterator<Item = (&TreePath, &str)> {
    tree.files()
        .filter(|(path, _)| path.file_name() == "R")
        .filter_map(|(path, file)| Some((path, file.content.text()?)))
        .filter(|(_, text)| text.starts_with("#!") && text.contains("R_HOME_DIR="))
}

/// Places where R's directory is named, and R is not there.
fn homes_elsewhere(root: Root<'_>) -> Vec<Finding> {
    let homes: Vec<TreePath> = homes(root.tree);
    let mut named: Vec<(&TreePath, &str, String)> = Vec::new();
    for (path, text) in start_scripts(root.tree) {
        named.extend(assigned(text, &["R_HOME_DIR"], "").map(|(name, value)| (path, name, value)));
    }
    let bootstrap = TreePath::new(BOOTSTRAP);
    let settings = homes
        .iter()
        .flat_map(|home| ["etc/ldpaths", "etc/Renviron"].map(|file| (home.join(file), home.on_lambda())))
        .chain([(bootstrap, String::new())]);
    for (path, home) in settings {
        let entry = path.and_then(|path| root.tree.iter().find(|(known, _)| **known == path));
        if let Some((path, Entry::File(file))) = entry
            && let Some(text) = file.content.text()
        {
            named.extend(assigned(text, &["R_HOME", "RHOME"], &home).map(|(name, value)| (path, name, value)));
        }
    }
    for (path, file) in root.tree.files() {
        if let (rscript::NAME, Some(home)) = (path.file_name(), file.content.fact()) {
            named.push((path, "the path that is compiled in", home.to_owned()));
        }
    }
    let place = match homes.first() {
        Some(home) => format!("R is in {}", escaped(home.on_lambda().as_bytes())),
        None => "there is no R in the layers".to_owned(),
    };
    named
        .into_iter()
        .filter(|(_, _, value)| !is_home(root, &homes, value))
        .map(|(path, what, value)| {
            let value = escaped(value.as_bytes());
            let words = [("what", what), ("value", value.as_str()), ("where", place.as_str())];
            Finding::new(Code::RHomeElsewhere, &words).at(path.shown())
        })
        .collect()
}

/// Of these variables, those that a script sets to an absolute path. `home` is what they have before.
fn assigned<'n>(text: &str, names: &[&'n str], home: &str) -> impl Iterator<Item = (&'n str, String)> {
    let mut environment: BTreeMap<String, String> =
        names.iter().map(|name| ((*name).to_owned(), home.to_owned())).collect();
    shell::source(text, &mut environment);
    let set: Vec<_> = names
        .iter()
        .filter_map(|name| Some((*name, environment.remove(*name)?)))
        // What depends on a command or on variables that are not known here cannot be judged.
        .filter(|(_, value)| value.starts_with('/') && value != home && !value.contains(['`', '$', '(', ' ']))
        .collect();
    set.into_iter()
}

/// Whether R finds itself at a path: its directory, or one whose `bin/R` starts it. R's script tries `lib` and `lib64`.
fn is_home(root: Root<'_>, homes: &[TreePath], value: &str) -> bool {
    let value = value.trim_end_matches('/');
    let other = match value.strip_suffix("/lib/R") {
        Some(prefix) => Some(format!("{prefix}/lib64/R")),
        None => value.strip_suffix("/lib64/R").map(|prefix| format!("{prefix}/lib/R")),
    };
    [Some(value.to_owned()), other].into_iter().flatten().any(|path| {
        let is_home = matches!(root.resolve(&path), Ok(Location::Tree(path)) if homes.contains(&path));
        is_home || matches!(root.resolve(&format!("{path}/bin/R")), Ok(Location::Tree(_)))
    })
}
