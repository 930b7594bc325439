//! What keeps a process from starting once its program is there: libraries, symbol versions, symbols.

use super::{NAMED, names, shown};
use std::collections::{BTreeMap, BTreeSet};

use crate::elf::{Kind, Object, OlderSymbols, rebind_plan};
use crate::finding::{Code, Finding, Severity};
use crate::languages::components::Components;
use crate::loader::{
    BoundProcesses, Grade, Graph, LoadedTree, MissingCause, MissingLibrary, Outdated, ProvidedUses, VersionProblem,
    c_libraries, free_name, has_version, linked_interpreters, loose_versions, missing_libraries, outdated,
    version_problems,
};
use crate::platform::alternatives;
use crate::root::{Location, Root};
use crate::runtime::{family, numbers};
use crate::tree::path::escaped;
use crate::tree::{Content, TreePath};

/// Everything of this kind that is wrong.
pub(super) fn library_findings(loaded: &LoadedTree<'_>) -> Vec<Finding> {
    let (root, graph) = (loaded.root(), loaded.graph());
    let mut findings = missing_library_findings(loaded);
    let cures = Remedies::of(loaded);
    findings.extend(process_findings(loaded, &cures));
    findings.extend(version_findings(root, graph, &cures));
    findings
}

/// Needed libraries that the loader will not find.
fn missing_library_findings(loaded: &LoadedTree<'_>) -> Vec<Finding> {
    let (root, graph) = (loaded.root(), loaded.graph());
    let reachable = graph.reachable();
    let working = graph.working_alternatives();
    let packages = Components::of(root.tree);
    // What a package starts by itself may get its search path from it.
    let is_started_by_package =
        |path: &&TreePath| packages.is_in_package(path) && root.tree.object(path).is_some_and(Object::is_program);
    let is_replaced = |path: &&TreePath| alternatives(path).is_some_and(|place| working.contains(&place));
    missing_by_name(loaded)
        .into_iter()
        .map(|missing| {
            let mut needed_by: Vec<&TreePath> = missing.needed_by.iter().collect();
            // Those that matter most are named first.
            needed_by.sort_by_key(|path| (is_replaced(path), !reachable.contains(*path)));
            let severity = if needed_by.iter().all(is_replaced) {
                Severity::Note
            } else if matches!(missing.cause, MissingCause::Elsewhere(_)) && needed_by.iter().all(is_started_by_package)
            {
                Severity::Warning
            } else if needed_by.iter().any(|path| reachable.contains(*path)) {
                Severity::Error
            } else {
                Severity::Warning
            };
            let words = [
                ("soname", &*escaped(missing.soname.as_bytes())),
                ("needed_by", &names(&needed_by)),
                ("runtime", &root.runtime.name),
            ];
            let finding = match &missing.cause {
                MissingCause::Nowhere => Finding::new(Code::MissingLibrary, &words),
                MissingCause::Elsewhere(places) => {
                    let places = names(&places.iter().collect::<Vec<_>>());
                    Finding::new(Code::LibraryElsewhere, &[&words[..], &[("places", &places)]].concat())
                }
                MissingCause::Unclear { script, .. } => {
                    let script = escaped(script.as_bytes());
                    let words = [&words[..], &[("script", &script)]].concat();
                    Finding::new(Code::LibraryPathUnclear, &words)
                }
                MissingCause::InTheWay(place) => {
                    let (place, what) = (escaped(place.as_bytes()), what_is_at(root, place));
                    let words = [&words[..], &[("place", &place), ("what", what)]].concat();
                    Finding::new(Code::FileInTheWay, &words)
                }
            };
            let finding = finding.at(needed_by.first().map(|path| shown(path)).unwrap_or_default());
            let finding = if needed_by.len() > NAMED {
                finding.about(needed_by.iter().map(|path| shown(path)).collect())
            } else {
                finding
            };
            match missing.cause {
                MissingCause::Unclear { .. } => finding,
                _ => finding.with_severity(severity),
            }
        })
        .collect()
}

/// The libraries that are missing, without those of interpreters that modules of the runtime's language alone miss: of these modules it
/// is said for which interpreter they were built.
fn missing_by_name(loaded: &LoadedTree<'_>) -> Vec<MissingLibrary> {
    let interpreters = linked_interpreters(loaded);
    let mut missing = missing_libraries(loaded.root(), loaded.graph());
    missing.retain(|missing| {
        let linked = interpreters.get(&missing.soname).filter(|linked| linked.is_of_runtime);
        !linked.is_some_and(|linked| missing.needed_by.iter().all(|path| linked.modules.contains(path)))
    });
    missing
}

/// What a file is that has the name of a library, after "which".
fn what_is_at(root: Root<'_>, path: &str) -> &'static str {
    let file = match root.resolve(path) {
        Ok(Location::Tree(place)) => root.tree.file(&place),
        _ => None,
    };
    match file {
        Some(file) if file.bytes.0 == 0 => "is empty",
        Some(file) => match &file.content {
            Content::Object(object) | Content::ObjectFact(object, _) if object.kind == Kind::Executable => {
                "is a program"
            }
            Content::Object(_) | Content::ObjectFact(..) => "is an object of another kind",
            Content::BrokenObject(_) => "is a damaged object",
            _ => "is no ELF file",
        },
        None => "is not a file",
    }
}

/// Processes that start and then end: symbols, loose versions and two C libraries.
fn process_findings(loaded: &LoadedTree<'_>, cures: &Remedies<'_>) -> Vec<Finding> {
    let (root, followed) = (loaded.root(), loaded.followed());
    let undefined = loaded.undefined_symbols().iter().map(|problem| {
        let symbols = some_of(&problem.symbols, problem.symbols.len());
        let first = problem.symbols.first().cloned().unwrap_or_default();
        let name = escaped(first.split('@').next().unwrap_or_default().as_bytes());
        let cure = cures.of_symbols(&problem.object).unwrap_or_default();
        let words = [("symbols", symbols.as_str()), ("symbol", &name), ("cure", &cure)];
        Finding::new(Code::UndefinedSymbol, &words)
            .at(shown(&problem.object))
            .because_of(problem.symbols.join("\0"), Vec::new(), &words)
    });
    let loose = loose_versions(followed).into_iter().map(|problem| {
        let (version, library) = (escaped(problem.version.as_bytes()), escaped(problem.library.as_bytes()));
        Finding::new(
            Code::VersionWithoutLibrary,
            &[("version", &version), ("library", &library)],
        )
        .at(shown(&problem.object))
    });
    let two = c_libraries(root, followed).into_iter().map(|problem| {
        let (ld_so, library) = (escaped(problem.loader.as_bytes()), escaped(problem.library.as_bytes()));
        Finding::new(Code::TwoCLibraries, &[("loader", &ld_so), ("library", &library)]).at(shown(&problem.program))
    });
    undefined.chain(loose).chain(two).collect()
}

fn version_findings(root: Root<'_>, graph: &Graph, cures: &Remedies<'_>) -> Vec<Finding> {
    let reachable = graph.reachable();
    version_problems(root, graph)
        .into_iter()
        .map(|problem| {
            let code = match problem.grade {
                Grade::Fatal => Code::SymbolVersionMissing,
                Grade::NoInformation => Code::NoVersionInformation,
                Grade::NotChecked => Code::SymbolVersionNotChecked,
            };
            let defines = match problem.highest.as_deref() {
                Some(highest) if is_newer(&problem.version, highest) => format!("has {highest} at most"),
                _ => "does not define it".to_owned(),
            };
            let symbols = if problem.symbols.is_empty() {
                "no symbol by name".to_owned()
            } else {
                some_of(&problem.symbols, problem.symbol_count)
            };
            let words = [
                ("version", &*escaped(problem.version.as_bytes())),
                ("library", &escaped(problem.library.as_bytes())),
                ("found", &escaped(problem.found.as_bytes())),
                ("defines", &defines),
                ("symbols", &symbols),
                ("runtime", &root.runtime.name),
                ("cure", &cures.of_version(&problem)),
            ];
            let (family, number) = family(&problem.version);
            let rank = number.and_then(numbers).unwrap_or_default();
            let is_reachable = reachable.contains(&problem.object);
            let key = format!("{}\0{family}\0{is_reachable}", problem.found);
            let finding = Finding::new(code, &words)
                .at(shown(&problem.object))
                .because_of(key, rank, &words);
            if is_reachable || finding.severity != Severity::Error {
                finding
            } else {
                finding.with_severity(Severity::Warning)
            }
        })
        .collect()
}

/// What can be done about libraries that are too old for what needs them.
struct Remedies<'a> {
    root: Root<'a>,
    graph: &'a Graph,
    /// Older symbols of glibc of the same meaning.
    older: OlderSymbols,
    /// What other libraries of the runtime lack.
    lacking: BTreeMap<String, Outdated>,
    /// Where a newer copy of these cannot come in.
    bound: Vec<BoundProcesses>,
}

impl<'a> Remedies<'a> {
    fn of(loaded: &'a LoadedTree<'a>) -> Self {
        let (root, graph, followed) = (loaded.root(), loaded.graph(), loaded.followed());
        let lacking = outdated(loaded, graph);
        let bound = if lacking.is_empty() {
            Vec::new()
        } else {
            let libraries = lacking.keys().cloned().collect();
            let failing = lacking.values().flat_map(|library| library.failing.clone()).collect();
            let uses = ProvidedUses::of(root, followed);
            uses.moves(&libraries, &failing, &BTreeSet::new()).bound
        };
        Self {
            root,
            graph,
            older: OlderSymbols::built_in(root.runtime.arch.machine()),
            lacking,
            bound,
        }
    }

    /// Where to build instead.
    fn rebuild(&self) -> String {
        let image = self.root.runtime.image();
        let image = image.map_or_else(String::new, |image| format!(", such as the image {image}"));
        format!("build it on a system no newer than the runtime{image}")
    }

    /// For a version that is not there: whether pack repairs it, and how, or what stands in its way.
    fn of_version(&self, problem: &VersionProblem) -> String {
        if let Some(lacking) = self.lacking.get(&problem.library) {
            return self.of_library(&problem.library, lacking, &problem.object);
        }
        let root = self.root;
        let (Some(object), Some(needs)) = (root.tree.object(&problem.object), self.graph.needs.get(&problem.object))
        else {
            return self.rebuild();
        };
        let is_there = |library: &str, version: &str| has_version(root, needs, library, version);
        match rebind_plan(object, &self.older, &is_there) {
            Ok(older) => {
                let names = older.iter().map(|(symbol, older)| match older {
                    Some(older) => format!("{}@{}", older.symbol, older.version),
                    None => format!("{symbol} without a version"),
                });
                let names: BTreeSet<String> = names.collect();
                let names = a_few(names.into_iter().collect());
                format!("`lambdar-prune pack` repairs it: it lets it ask for {names}")
            }
            Err(blocked) => {
                let reasons = a_few(blocked.iter().map(ToString::to_string).collect());
                format!("{}; there is no repair for {reasons}", self.rebuild())
            }
        }
    }

    /// For symbols that nothing defines: what to do if the runtime's copy of a library is too old for them.
    fn of_symbols(&self, object: &TreePath) -> Option<String> {
        let mut lacking = self
            .lacking
            .iter()
            .filter(|(_, lacking)| lacking.failing.contains(object));
        let (soname, lacking) =
            lacking.find(|(soname, lacking)| !lacking.versions.is_empty() || self.newer(soname, lacking).is_some())?;
        Some(format!("{}; ", self.of_library(soname, lacking, object)))
    }

    fn newer(&self, soname: &str, lacking: &Outdated) -> Option<&TreePath> {
        let arch = self.root.runtime.arch;
        let found = lacking.newer_in(self.root.tree, arch, soname, &BTreeSet::new());
        found.map(|(path, _)| path)
    }

    fn of_library(&self, soname: &str, lacking: &Outdated, object: &TreePath) -> String {
        let mut bound = self.bound.iter();
        if let Some(bound) = bound.find(|bound| bound.soname == soname && bound.objects.contains(object)) {
            return format!("{}; there is no repair: {}", self.rebuild(), bound.bound);
        }
        let name = free_name(self.root, soname).unwrap_or(soname);
        let (soname, name) = (escaped(soname.as_bytes()), escaped(name.as_bytes()));
        match self.newer(&soname, lacking) {
            Some(path) => format!(
                "`lambdar-prune pack` repairs it: it lets it load {} under the name {name}",
                shown(path)
            ),
            None => format!(
                "`lambdar-prune pack` repairs it where this machine or --library-dir has a {soname} with {}: it adds it under the name {name}; else {}",
                lacking.shown(),
                self.rebuild()
            ),
        }
    }
}

/// The first of several texts, and the number of the others.
fn a_few(texts: Vec<String>) -> String {
    const SHOWN: usize = 3;
    let more = texts.len().saturating_sub(SHOWN);
    let mut text = texts.into_iter().take(SHOWN).collect::<Vec<_>>().join("; ");
    if more > 0 {
        text += &format!("; {more} more");
    }
    escaped(text.as_bytes())
}

/// Whether a version comes after another one of its family.
fn is_newer(version: &str, other: &str) -> bool {
    let number = |version| family(version).1.and_then(numbers);
    number(version) > number(other)
}

/// A few names, the others by their number.
fn some_of(names: &[String], count: usize) -> String {
    const SHOWN: usize = 5;
    let mut text: Vec<String> = names.iter().take(SHOWN).map(|name| escaped(name.as_bytes())).collect();
    if count > text.len() {
        text.push(format!("{} more", count - text.len()));
    }
    text.join(", ")
}
