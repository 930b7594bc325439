//! Links that lead nowhere, out of /opt or in a circle. How bad that is depends on what follows them.

use std::cell::LazyCell;

use super::names::is_there_at_run_time;
use super::programs::started_scripts;
use super::shown;
use crate::finding::{Code, Finding, Severity};
use crate::languages::LANGUAGES;
use crate::root::{Location, Root, Unresolved, link_target};
use crate::tree::content::is_library_name;
use crate::tree::path::escaped;
use crate::tree::{Entry, TreePath};

/// Every link of this kind.
pub fn link_findings(root: Root<'_>) -> Vec<Finding> {
    let started = LazyCell::new(|| started_scripts(root));
    let is_followed = |path: &TreePath| {
        let absolute = path.on_lambda();
        let mut texts = started.iter().filter_map(|script| root.tree.text(script));
        texts.any(|text| names_path(text, &absolute))
    };
    root.tree
        .iter()
        .filter_map(|(path, entry)| {
            let Entry::Symlink(target) = entry else {
                return None;
            };
            let (code, target) = match root.resolve(&link_target(path, target)) {
                Ok(Location::Tree(_)) => return None,
                Err(Unresolved::NotInTree(at)) => (Code::DanglingLink, at),
                Ok(Location::Runtime(at)) => (Code::LinkToRuntime, at),
                Err(Unresolved::NotInRuntime(at)) if is_there_at_run_time(&at) => (Code::LinkToRuntime, at),
                Err(Unresolved::NotInRuntime(at)) => (Code::LinkOutOfOpt, at),
                Err(Unresolved::Loop) => (Code::LinkLoop, String::new()),
            };
            let target = escaped(target.as_bytes());
            let words = [("target", target.as_str()), ("runtime", &root.runtime.name)];
            let finding = Finding::new(code, &words).at(shown(path));
            let finding = finding.because_of(target.clone(), Vec::new(), &words);
            Some(match code {
                Code::LinkToRuntime => finding,
                _ => match severity(path) {
                    Severity::Note if is_followed(path) => finding.with_severity(Severity::Warning),
                    severity => finding.with_severity(severity),
                },
            })
        })
        .collect()
}

/// Whether a text names a path or something below it.
fn names_path(text: &str, absolute: &str) -> bool {
    let goes_on = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let mut found = text.match_indices(absolute);
    found.any(|(at, _)| !text[at + absolute.len()..].starts_with(goes_on))
}

/// How bad it is that nothing can be reached through a link at this path.
///
/// Lambda follows those through which it starts something or looks for modules, and what is at the top of /opt is there to
/// be found by its path. A command on `PATH` or a library may be
/// wanted: a library that an object needs is reported as missing besides. Nothing runs through any other link: licenses,
/// documents, and the interpreter of a virtual environment, of which runtimes have their own; unless what a function is started
/// through names it.
///
/// A module of a language, or a package where its runtime looks, cannot be imported.
fn severity(path: &TreePath) -> Severity {
    let name = path.file_name();
    let above = path.parent().map(|above| above.as_str().to_owned()).unwrap_or_default();
    let is_document = name.contains('.') || name.chars().all(|c| c.is_ascii_uppercase() || matches!(c, '-' | '_'));
    let is_top = above.is_empty() && !is_document;
    if is_top || above == "extensions" {
        Severity::Error
    } else if above == "bin" || is_library_name(name) || LANGUAGES.iter().any(|language| language.is_module(path)) {
        Severity::Warning
    } else {
        Severity::Note
    }
}
