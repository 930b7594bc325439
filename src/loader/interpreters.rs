//! Native modules that are linked to an interpreter other than the one that opens them.

use std::collections::BTreeMap;

use super::loaded::LoadedTree;
use super::search::{Resolution, Resolved};
use crate::languages::layout::of_runtime;
use crate::languages::{InterpreterLibrary, LANGUAGES};
use crate::root::Location;
use crate::tree::TreePath;

/// The library of an interpreter to which native modules of the tree are linked, while the runtime has it under no such name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedInterpreter {
    /// The interpreter.
    pub interpreter: InterpreterLibrary,
    /// Whether it is one of the runtime's language, which then opens the modules with its own.
    pub is_of_runtime: bool,
    /// The modules, sorted.
    pub modules: Vec<TreePath>,
}

/// The interpreters' libraries to which native modules are linked, by name, on a runtime that brings a language. Those with which
/// a program of the tree starts are not among them: the tree has that interpreter itself.
pub fn linked_interpreters(loaded: &LoadedTree<'_>) -> BTreeMap<String, LinkedInterpreter> {
    let (root, graph) = (loaded.root(), loaded.graph());
    let mut linked: BTreeMap<String, LinkedInterpreter> = BTreeMap::new();
    if !root.runtime.has_language() {
        return linked;
    }
    let own = of_runtime(&root.runtime.name).map(|(language, ..)| language.name());
    let modules = loaded.processes().native_modules();
    // Modules that cannot be told by name or place are opened as well.
    let is_module = |path: &TreePath| modules.contains(path) || graph.unneeded.binary_search(path).is_ok();
    for (path, needs) in graph.loaded_objects().filter(|(path, _)| is_module(path)) {
        for need in needs {
            let is_of_runtime = matches!(
                &need.resolution,
                Resolution::Found(Resolved {
                    place: Location::Runtime(_),
                    ..
                })
            );
            let mut languages = LANGUAGES.iter();
            let found = languages.find_map(|language| Some((language, language.interpreter_library(&need.soname)?)));
            if let (false, Some((language, interpreter))) = (is_of_runtime, found) {
                let entry = linked.entry(need.soname.clone());
                let entry = entry.or_insert_with(|| LinkedInterpreter {
                    interpreter,
                    is_of_runtime: own == Some(language.name()),
                    modules: Vec::new(),
                });
                entry.modules.push(path.clone());
            }
        }
    }
    if !linked.is_empty() {
        let programs = root.tree.objects().filter(|(_, object)| object.is_program());
        for needed in programs.flat_map(|(_, program)| &program.needed) {
            linked.remove(needed);
        }
    }
    linked
}
