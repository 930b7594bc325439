//! What a function is started through: bootstrap and extensions, and whether they and other programs they can start.

use std::collections::BTreeSet;

use super::programs::started_scripts;
use super::{names, shown};
use crate::finding::{Code, Finding, Severity};
use crate::languages;
use crate::root::{Location, Root};
use crate::size::exact;
use crate::tree::{Content, Entry, File, TreePath};

/// What Lambda starts in the layers of a runtime without a language.
const BOOTSTRAP: &str = "bootstrap";
/// What Lambda starts in addition to it.
const EXTENSIONS: &str = "extensions";

/// Everything of this kind that is wrong.
pub(super) fn start_findings(root: Root<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut judged = BTreeSet::new();
    if !root.runtime.has_language() {
        match root.resolve("/opt/bootstrap") {
            Ok(Location::Tree(path)) if root.tree.file(&path).is_some() => {
                judged.insert(path);
            }
            // A link that leads nowhere is reported as one.
            _ if is_link(root) => {}
            _ => findings.extend(no_bootstrap(root)),
        }
    }
    judged.extend(extensions(root));
    for path in &judged {
        if let Some(file) = root.tree.file(path) {
            findings.extend(started(file).into_iter().map(|finding| finding.at(shown(path))));
        }
    }
    for language in languages::LANGUAGES {
        judged.extend(language.start_files(root.tree));
    }
    findings.extend(other_programs(root, &judged));
    findings
}

fn is_link(root: Root<'_>) -> bool {
    TreePath::new(BOOTSTRAP).is_some_and(|path| matches!(root.tree.get(&path), Some(Entry::Symlink(_))))
}

/// A bootstrap that is one directory too deep, or none at all.
fn no_bootstrap(root: Root<'_>) -> Vec<Finding> {
    let too_deep: Vec<_> = root
        .tree
        .files()
        .filter(|(path, file)| {
            let can_start = matches!(&file.content, Content::Text(text) if text.starts_with("#!"))
                || file.content.object().is_some();
            path.names().count() == 2 && path.file_name() == BOOTSTRAP && can_start
        })
        .map(|(path, _)| {
            let directory = path.parent().map(|directory| shown(&directory)).unwrap_or_default();
            Finding::new(Code::BootstrapTooDeep, &[("folder", &directory)]).at(shown(path))
        })
        .collect();
    if too_deep.is_empty() {
        vec![Finding::new(Code::BootstrapMissing, &[("runtime", &root.runtime.name)])]
    } else {
        too_deep
    }
}

/// Lambda starts every file in this directory.
fn extensions(root: Root<'_>) -> Vec<TreePath> {
    root.tree
        .files()
        .map(|(path, _)| path)
        .filter(|path| path.parent().is_some_and(|directory| directory.as_str() == EXTENSIONS))
        .cloned()
        .collect()
}

/// What keeps the kernel from starting a file.
fn started(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !file.mode.others_may_execute() {
        findings.push(Finding::new(
            Code::BootstrapNotExecutable,
            &[("mode", &file.mode.to_string())],
        ));
    }
    let text = match &file.content {
        Content::Object(_) | Content::ObjectFact(..) | Content::BrokenObject(_) => return findings,
        Content::Text(text) => text,
        _ => "",
    };
    if text.starts_with("#!") {
        let line = text.split('\n').position(|line| line.ends_with('\r'));
        if let Some(line) = line {
            findings.push(Finding::new(
                Code::BootstrapWithCrlf,
                &[("line", &(line + 1).to_string())],
            ));
        }
        return findings;
    }
    let what = if file.bytes.0 == 0 {
        "is empty"
    } else if text.starts_with('\u{feff}') {
        "begins with a byte order mark"
    } else if text.trim_start().starts_with("#!") {
        "has blanks or empty lines before its #!"
    } else {
        "does not begin with #! or as an ELF program"
    };
    findings.push(Finding::new(Code::BootstrapNotRunnable, &[("what", what)]));
    findings
}

/// Programs that are not executable, and scripts whose interpreter has a carriage return in its name.
fn other_programs(root: Root<'_>, judged: &BTreeSet<TreePath>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (mut closed, mut broken): (Vec<&TreePath>, Vec<&TreePath>) = (Vec::new(), Vec::new());
    for (path, file) in root.tree.files().filter(|(path, _)| !judged.contains(*path)) {
        match &file.content {
            Content::Object(object) | Content::ObjectFact(object, _)
                if object.is_program() && !file.mode.others_may_execute() =>
            {
                closed.push(path);
            }
            Content::Text(text) if file.mode.is_executable() && begins_with_crlf(text) => broken.push(path),
            _ => {}
        }
    }
    let started = if broken.is_empty() {
        BTreeSet::new()
    } else {
        started_scripts(root)
    };
    findings.extend(broken.into_iter().map(|path| {
        let finding = Finding::new(Code::ScriptWithCrlf, &[]).at(shown(path));
        let is_command = path.parent().is_some_and(|above| above.as_str() == "bin");
        if is_command || started.contains(path) {
            finding
        } else {
            finding.with_severity(Severity::Note)
        }
    }));
    if let Some(first) = closed.first().and_then(|path| root.tree.file(path)) {
        let (count, mode, paths) = (exact(closed.len() as u64), first.mode.to_string(), names(&closed));
        let words = [("count", count.as_str()), ("mode", &mode), ("files", &paths)];
        findings.push(Finding::new(Code::ProgramNotExecutable, &words).at(shown(closed[0])));
    }
    findings
}

/// Whether the line of a script that names its interpreter ends as on Windows.
fn begins_with_crlf(script: &str) -> bool {
    script.starts_with("#!") && script.split('\n').next().is_some_and(|line| line.ends_with('\r'))
}
