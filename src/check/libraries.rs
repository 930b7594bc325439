//! What keeps a process from starting once its program is there: libraries, symbol versions, symbols.

use super::{names, shown};
use std::collections::BTreeSet;

use crate::elf::{Kind, OlderSymbols, outlook};
use crate::finding::{Code, Finding, Severity};
use crate::loader::{
    Grade, Graph, MissingCause, VersionProblem, c_libraries, follow_all, has_version, loose_versions,
    missing_libraries, undefined_symbols, version_problems,
};
use crate::platform::alternatives;
use crate::root::{Location, Root};
use crate::runtime::{family, numbers};
use crate::tree::path::escaped;
use crate::tree::{Content, TreePath};

/// Everything of this kind that is wrong.
pub(super) fn library_findings(root: Root<'_>, graph: &Graph) -> Vec<Finding> {
    let mut findings = missing_library_findings(root, graph);
    findings.extend(process_findings(root));
    findings.extend(version_findings(root, graph));
    findings
}

/// Needed libraries that the loader will not find.
fn missing_library_findings(root: Root<'_>, graph: &Graph) -> Vec<Finding> {
    let reachable = graph.reachable();
    let working = graph.working_alternatives();
    let is_replaced = |path: &&TreePath| alternatives(path).is_some_and(|place| working.contains(&place));
    missing_libraries(root, graph)
        .into_iter()
        .map(|missing| {
            let mut needed_by: Vec<&TreePath> = missing.needed_by.iter().collect();
            // Those that matter most are named first.
            needed_by.sort_by_key(|path| (is_replaced(path), !reachable.contains(*path)));
            let severity = if needed_by.iter().all(is_replaced) {
                Severity::Note
            } else if needed_by.iter().any(|path| reachable.contains(*path)) {
                Severity::Error
            } else {
                Severity::Warning
            };
            let (soname, needed_by_names) = (escaped(missing.soname.as_bytes()), names(&needed_by));
            let words = [
                ("soname", soname.as_str()),
                ("needed_by", &needed_by_names),
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
            match missing.cause {
                MissingCause::Unclear { .. } => finding,
                _ => finding.with_severity(severity),
            }
        })
        .collect()
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
        None => "is no file",
    }
}

/// Processes that start and then end: symbols, loose versions and two C libraries.
fn process_findings(root: Root<'_>) -> Vec<Finding> {
    let followed = follow_all(root);
    let undefined = undefined_symbols(root, &followed).into_iter().map(|problem| {
        let symbols = some_of(&problem.symbols, problem.symbols.len());
        let first = problem.symbols.first().cloned().unwrap_or_default();
        let name = escaped(first.split('@').next().unwrap_or_default().as_bytes());
        let words = [("symbols", symbols.as_str()), ("symbol", &name)];
        Finding::new(Code::UndefinedSymbol, &words)
            .at(shown(&problem.object))
            .because_of(problem.symbols.join("\0"), Vec::new(), &words)
    });
    let loose = loose_versions(&followed).into_iter().map(|problem| {
        let (version, library) = (escaped(problem.version.as_bytes()), escaped(problem.library.as_bytes()));
        Finding::new(
            Code::VersionWithoutLibrary,
            &[("version", &version), ("library", &library)],
        )
        .at(shown(&problem.object))
    });
    let two = c_libraries(root, &followed).into_iter().map(|problem| {
        let (loader, library) = (escaped(problem.loader.as_bytes()), escaped(problem.library.as_bytes()));
        Finding::new(Code::TwoCLibraries, &[("loader", &loader), ("library", &library)]).at(shown(&problem.program))
    });
    undefined.chain(loose).chain(two).collect()
}

fn version_findings(root: Root<'_>, graph: &Graph) -> Vec<Finding> {
    let older = OlderSymbols::built_in(root.runtime.arch.machine());
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
                ("cure", &version_cure(root, graph, &older, &problem)),
            ];
            let (family, number) = family(&problem.version);
            let rank = number.and_then(numbers).unwrap_or_default();
            Finding::new(code, &words).at(shown(&problem.object)).because_of(
                format!("{}\0{family}", problem.found),
                rank,
                &words,
            )
        })
        .collect()
}

/// What can be done about a version that is not there: whether pack does it, or what stands in its way.
fn version_cure(root: Root<'_>, graph: &Graph, symbols: &OlderSymbols, problem: &VersionProblem) -> String {
    const SHOWN: usize = 3;
    let rebuild = "build it on a system no newer than the runtime";
    let (Some(object), Some(needs)) = (root.tree.object(&problem.object), graph.needs.get(&problem.object)) else {
        return rebuild.to_owned();
    };
    let shown = |names: Vec<String>| {
        let more = names.len().saturating_sub(SHOWN);
        let mut text = names.into_iter().take(SHOWN).collect::<Vec<_>>().join("; ");
        if more > 0 {
            text += &format!("; {more} more");
        }
        escaped(text.as_bytes())
    };
    match outlook(object, symbols, &|library, version| {
        has_version(root, needs, library, version)
    }) {
        Ok(older) => {
            let names = older
                .iter()
                .map(|(_, older)| format!("{}@{}", older.symbol, older.version));
            let names: BTreeSet<String> = names.collect();
            format!(
                "`lambdar-prune pack` repairs it: it lets it ask for {}",
                shown(names.into_iter().collect())
            )
        }
        Err(blocked) => {
            let reasons = blocked.iter().map(ToString::to_string).collect();
            format!("{rebuild}; there is no repair for {}", shown(reasons))
        }
    }
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
