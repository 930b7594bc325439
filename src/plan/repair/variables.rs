//! Environment variables by which libraries find the data that came in with them.

use std::collections::BTreeMap;

use super::super::import::{COMPANIONS, Variable};
use super::super::layout::Layout;
use crate::finding::{Code, Finding};
use crate::languages;
use crate::languages::process::Processes;
use crate::root::Root;
use crate::runtime::Runtime;
use crate::tree::{GeneratedFile, Mode};

/// Sets variables in the files from which interpreters of the tree read them. Those that nothing can be done about become
/// findings. What the tree sets itself stays as it is.
// Long: whether a finding or a file is made depends on all that was found before.
pub(super) fn set_variables(layout: &mut Layout, variables: &[Variable], runtime: &Runtime) {
    if variables.is_empty() {
        return;
    }
    let processes = Processes::of(Root {
        tree: &layout.tree,
        runtime,
    });
    let unset = variables.iter().filter(|variable| !processes.sets(variable.name));
    // Several libraries may ask for the same.
    let unset: BTreeMap<&str, &Variable> = unset.map(|variable| (variable.name, variable)).collect();
    let files = languages::variable_files(&layout.tree);
    if files.is_empty() {
        for variable in unset.values() {
            layout
                .variables
                .insert(variable.name.to_owned(), variable.value.clone());
            let words = [
                ("what", variable.what),
                ("name", variable.name),
                ("value", variable.value.as_str()),
            ];
            let finding = Finding::new(Code::VariableToSet, &words).at(variable.library.shown());
            layout.findings.push(finding);
        }
        return;
    }
    if unset.is_empty() {
        return;
    }
    for file in files {
        let lines: String = unset
            .values()
            .map(|variable| (file.line)(variable.name, &variable.value))
            .collect();
        match layout.tree.file(&file.path) {
            Some(there) => {
                let bytes = there.bytes.0;
                let text = there.content.text().filter(|text| text.len() as u64 == bytes);
                if let Some(text) = text {
                    let newline = if text.is_empty() || text.ends_with('\n') {
                        ""
                    } else {
                        "\n"
                    };
                    let text = format!("{text}{newline}{lines}");
                    layout.change(&file.path, COMPANIONS, &text);
                }
            }
            None if !layout.tree.contains(&file.path) => {
                let libraries = unset.values().map(|variable| variable.library.clone());
                let generated = GeneratedFile {
                    path: file.path.clone(),
                    mode: Mode::FILE,
                    text: lines,
                };
                let needed_by = libraries.collect();
                layout.add_generated(&generated, needed_by);
            }
            None => {}
        }
    }
}
