//! Native files: for which system they are, files that only look like objects, and links that became texts.

use std::collections::{BTreeMap, BTreeSet};

use super::names;
use crate::finding::{Code, Finding, Severity};
use crate::languages::LANGUAGES;
use crate::loader::Graph;
use crate::platform::alternatives;
use crate::root::{Root, link_target};
use crate::size::exact;
use crate::tree::path::escaped;
use crate::tree::{Content, TreePath};

/// Everything of this kind.
pub fn native_findings(root: Root<'_>, graph: &Graph) -> Vec<Finding> {
    let mut findings = foreign(root, graph);
    for (path, file) in root.tree.files() {
        let finding = match &file.content {
            Content::BrokenObject(_) if is_separate_debug_file(path) => continue,
            Content::BrokenObject(reason) => {
                Finding::new(Code::UnreadableObject, &[("reason", &escaped(reason.as_bytes()))])
            }
            Content::LinkText(target) if leads_somewhere(root, path, target) => {
                let finding = Finding::new(Code::LinkAsText, &[("target", &escaped(target.as_bytes()))]);
                // Functions start nothing by the links that package managers make for people.
                if LANGUAGES.iter().any(|language| language.is_command_link(path)) {
                    finding.with_severity(Severity::Note)
                } else {
                    finding
                }
            }
            _ => continue,
        };
        findings.push(finding.at(path.shown()));
    }
    findings
}

/// Files for other systems: each one that would be loaded, and once for each package those among which it chooses.
fn foreign(root: Root<'_>, graph: &Graph) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut choices: BTreeMap<_, (Vec<&TreePath>, BTreeSet<&str>)> = BTreeMap::new();
    for (path, foreign) in &graph.foreign {
        if foreign.is_alternative {
            let (paths, systems) = choices.entry(alternatives(path)).or_default();
            paths.push(path);
            systems.insert(&foreign.system);
            continue;
        }
        let machine = root.tree.object(path).map(|object| object.machine);
        let finding = match machine {
            Some(machine) if machine != root.runtime.arch.machine() => Finding::new(
                Code::WrongMachine,
                &[
                    ("machine", &machine.to_string()),
                    ("arch", &root.runtime.arch.to_string()),
                ],
            ),
            _ => Finding::new(Code::ForeignObject, &[("system", &foreign.system)]),
        };
        findings.push(finding.at(path.shown()));
    }
    findings.extend(choices.into_values().map(|(paths, systems)| {
        let systems: Vec<&str> = systems.into_iter().collect();
        let words = [
            ("count", exact(paths.len() as u64)),
            ("systems", systems.join(", ")),
            ("files", names(&paths)),
        ];
        let words = words.each_ref().map(|(name, word)| (*name, word.as_str()));
        Finding::new(Code::OtherPlatforms, &words).at(paths[0].shown())
    }));
    findings
}

/// Whether a file holds the debug sections that were cut off another one (GDB manual, "Debugging Information in Separate
/// Files"): it has the headers of an object and nothing to load.
fn is_separate_debug_file(path: &TreePath) -> bool {
    [".debug", ".dbg"]
        .iter()
        .any(|ending| path.file_name().ends_with(ending))
        || path.names().any(|name| name == ".build-id" || name == ".debug")
}

/// Whether a text would be the target of a link from this path: to something in the tree or, for a library, to anything.
fn leads_somewhere(root: Root<'_>, path: &TreePath, target: &str) -> bool {
    root.resolve(&link_target(path, target)).is_ok()
}
