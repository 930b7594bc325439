//! Environment variables by which libraries find the data that came in with them.

use std::collections::BTreeMap;

use super::super::import::{COMPANIONS, Variable};
use super::super::layout::Layout;
use crate::finding::{Code, Finding};
use crate::languages::process::Processes;
use crate::languages::{self, VariableFile};
use crate::root::Root;
use crate::runtime::Runtime;
use crate::tree::{GeneratedFile, Mode};

/// Sets variables in the files from which interpreters of the tree read them. Those that nothing can be done about become
/// findings. What the tree sets itself stays as it is.
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
    if unset.is_empty() {
        return;
    }
    let set: Vec<bool> = files.iter().map(|file| set_in(layout, file, &unset)).collect();
    if !set.contains(&true) {
        for variable in unset.values() {
            leave_to_user(layout, variable);
        }
    }
}

/// Reports a variable that the configuration of the function has to set.
fn leave_to_user(layout: &mut Layout, variable: &Variable) {
    let set = (variable.name.to_owned(), variable.value.clone());
    layout.variables.extend([set]);
    let words = [
        ("what", variable.what),
        ("name", variable.name),
        ("value", variable.value.as_str()),
    ];
    let finding = Finding::new(Code::VariableToSet, &words).at(variable.library.shown());
    layout.findings.push(finding);
}

/// Sets variables at the end of a file, or in a new one. What is there and is not a text that is known as a whole stays as it is,
/// and the answer is no.
fn set_in(layout: &mut Layout, file: &VariableFile, variables: &BTreeMap<&str, &Variable>) -> bool {
    let lines: String = variables
        .values()
        .map(|variable| (file.line)(variable.name, &variable.value))
        .collect();
    if let Some(there) = layout.tree.file(&file.path) {
        let bytes = there.bytes.0;
        let Some(text) = there.content.text().filter(|text| text.len() as u64 == bytes) else {
            return false;
        };
        let is_line_open = !text.is_empty() && !text.ends_with('\n');
        let text = format!("{text}{}{lines}", if is_line_open { "\n" } else { "" });
        layout.change(&file.path, COMPANIONS, &text);
        true
    } else if layout.tree.contains(&file.path) {
        false
    } else {
        let generated = GeneratedFile {
            path: file.path.clone(),
            mode: Mode::FILE,
            text: lines,
        };
        let needed_by = variables.values().map(|variable| variable.library.clone()).collect();
        layout.add_generated(&generated, needed_by);
        true
    }
}
