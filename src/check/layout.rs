//! Whether a runtime with a language finds the modules of the layers: they are where it looks, and were built for its version.

use std::collections::{BTreeMap, BTreeSet};

use super::names;
use crate::finding::{Code, Finding, Severity};
use crate::languages::layout::{Layout, ModuleRoot, modules, of_runtime};
use crate::languages::{ForeignModule, LANGUAGES, Language};
use crate::loader::{LoadedTree, linked_interpreters};
use crate::root::Root;
use crate::tree::TreePath;

/// Everything of this kind, on a runtime that brings a language; nothing on any other.
///
/// What is for another system as a whole is said elsewhere.
pub fn layout_findings(loaded: &LoadedTree<'_>) -> Vec<Finding> {
    let (root, graph) = (loaded.root(), loaded.graph());
    let Some((language, layout, version)) = of_runtime(&root.runtime.name) else {
        return Vec::new();
    };
    let (found, elsewhere) = modules(language, layout, version, root);
    let mut findings = misplaced(root, layout, version, found, &elsewhere);
    if !found && elsewhere.is_empty() {
        findings.extend(other_language(root, language, layout));
    }
    let mut modules = language.foreign_modules(root, version);
    modules.retain(|module| !graph.foreign.contains_key(&module.path));
    let known: BTreeSet<TreePath> = modules.iter().map(|module| module.path.clone()).collect();
    let linked = linked_elsewhere(loaded).into_iter();
    modules.extend(linked.filter(|module| !known.contains(&module.path)));
    findings.extend(wrong_abi(root, layout, modules));
    findings
}

/// Native modules that are linked to another interpreter of the runtime's language than that which opens them. It is not found, or there
/// are two in the process, of which the module has the wrong one.
fn linked_elsewhere(loaded: &LoadedTree<'_>) -> Vec<ForeignModule> {
    let reachable = loaded.graph().reachable();
    let interpreters = linked_interpreters(loaded).into_values();
    let wrong = interpreters.filter(|linked| linked.is_of_runtime && !linked.interpreter.is_loaded);
    wrong
        .flat_map(|linked| {
            let module = |path: TreePath| ForeignModule {
                has_fallback: !reachable.contains(&path),
                path,
                built_for: linked.interpreter.title.clone(),
                version: linked.interpreter.version.clone(),
            };
            linked.modules.into_iter().map(module).collect::<Vec<_>>()
        })
        .collect()
}

fn misplaced(root: Root<'_>, layout: &Layout, version: &str, found: bool, elsewhere: &[ModuleRoot]) -> Vec<Finding> {
    let search: Vec<String> = layout.search(version).iter().map(TreePath::on_lambda).collect();
    let home = layout.home(version).map(|home| home.on_lambda()).unwrap_or_default();
    elsewhere
        .iter()
        .map(|misplaced| {
            let place = misplaced.directory.on_lambda();
            let remedy = misplaced.remedy.map_or_else(
                || format!("move them to {home}, or let `lambdar-prune pack --place` do it"),
                ToOwned::to_owned,
            );
            let words = [
                ("language", layout.title.as_str()),
                ("place", &place),
                ("runtime", &root.runtime.name),
                ("search", &search.join(" and ")),
                ("remedy", &remedy),
            ];
            let code = if found {
                Code::ModulesElsewhere
            } else {
                Code::ModulesNotFound
            };
            Finding::new(code, &words).at(misplaced.example.shown())
        })
        .collect()
}

/// Layers that hold modules of another language and nothing else.
fn other_language(root: Root<'_>, language: &dyn Language, layout: &Layout) -> Option<Finding> {
    let others: Vec<(&Layout, TreePath)> = LANGUAGES
        .iter()
        .filter(|other| other.name() != language.name())
        .filter_map(|other| {
            let layout = Layout::of(*other)?;
            let first = other.module_roots(root.tree).into_iter().next()?;
            Some((layout, first.example))
        })
        .collect();
    let [(other, example)] = &others[..] else { return None };
    // With programs, extensions or libraries besides, a layer may be for any language.
    let top = example.names().next()?;
    if root.tree.iter().any(|(path, _)| path.names().next() != Some(top)) {
        return None;
    }
    let words = [
        ("found", other.title.as_str()),
        ("language", &layout.title),
        ("runtime", &root.runtime.name),
    ];
    Some(Finding::new(Code::OtherLanguage, &words).at(example.shown()))
}

/// Native modules that were built for another version, once for each version.
fn wrong_abi(root: Root<'_>, layout: &Layout, modules: Vec<ForeignModule>) -> Vec<Finding> {
    let mut by_version: BTreeMap<(bool, String), Vec<ForeignModule>> = BTreeMap::new();
    for module in modules {
        let key = (module.has_fallback, module.built_for.clone());
        by_version.entry(key).or_default().push(module);
    }
    by_version
        .into_iter()
        .map(|((has_fallback, built_for), modules)| {
            let paths: Vec<&TreePath> = modules.iter().map(|module| &module.path).collect();
            let right = match modules.first().and_then(|module| module.version.as_deref()) {
                Some(version) if layout.runtime(version) != root.runtime.name => {
                    format!("--runtime {}", layout.runtime(version))
                }
                _ => "a runtime of your own that has this interpreter".to_owned(),
            };
            let words = [
                ("files", names(&paths)),
                ("built_for", built_for),
                ("runtime", root.runtime.name.clone()),
                ("right", right),
            ];
            let words = words.each_ref().map(|(name, word)| (*name, word.as_str()));
            let finding = Finding::new(Code::WrongAbi, &words).at(paths[0].shown());
            if has_fallback {
                finding.with_severity(Severity::Warning)
            } else {
                finding
            }
        })
        .collect()
}
