//! Objects that ask for newer symbol versions than the libraries have that Lambda loads for them.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::super::layout::{Altered, Layout};
use super::super::{Context, Reason};
use crate::elf::{self, Lowered, OlderSymbols, Patch, Rebound};
use crate::languages::inspector;
use crate::loader::{Grade, Graph, has_version, version_problems};
use crate::root::Root;
use crate::tree::TreePath;

/// The name under which the manifest has what is changed.
pub(super) const SYMBOL_VERSIONS: &str = "symbol-versions";

/// How many symbols are named, the others are counted.
const NAMED: usize = 5;

/// Lets every object that the loader would refuse for its symbol versions ask for older ones, if there are any of the same
/// meaning. The others stay as they are, for `check` to report.
pub(super) fn lower_versions(layout: &mut Layout, graph: &Graph, context: &Context<'_>) {
    let root = Root {
        tree: &layout.tree,
        runtime: context.runtime,
    };
    let problems = version_problems(root, graph);
    let refused = problems.iter().filter(|problem| problem.grade == Grade::Fatal);
    let refused: BTreeSet<&TreePath> = refused.map(|problem| &problem.object).collect();
    if refused.is_empty() {
        return;
    }
    let symbols = OlderSymbols::built_in(context.runtime.arch.machine());
    let lower = |path: &&TreePath| {
        let before = layout.content(path, context)?;
        let needs = graph.needs.get(*path)?;
        let is_there = |library: &str, version: &str| has_version(root, needs, library, version);
        let Lowered { bytes, rebound } = elf::lower(&before, &symbols, &is_there).ok()?;
        Some(Altered {
            path: (*path).clone(),
            content: inspector().inspect(path.file_name(), &bytes),
            patches: Patch::between(&before, &bytes),
            reason: reason(&rebound, &context.runtime.name),
        })
    };
    let refused: Vec<&TreePath> = refused.into_iter().collect();
    let lowered: Vec<Altered> = refused.par_iter().filter_map(lower).collect();
    for altered in lowered {
        layout.alter(altered, SYMBOL_VERSIONS);
    }
}

fn reason(rebound: &[Rebound], runtime: &str) -> Reason {
    let change = |Rebound {
                      symbol, version, to, ..
                  }: &Rebound| match to {
        Some(older) => format!("{}@{} instead of {symbol}@{version}", older.symbol, older.version),
        None => format!("{symbol} without a version instead of {version}"),
    };
    let mut changes: Vec<String> = rebound.iter().take(NAMED).map(change).collect();
    if rebound.len() > NAMED {
        changes.push(format!("{} more", rebound.len() - NAMED));
    }
    let libraries: BTreeSet<&str> = rebound.iter().map(|rebound| rebound.library.as_str()).collect();
    let libraries = libraries.into_iter().collect::<Vec<_>>().join(" and ");
    Reason {
        what: format!("asks for {}", changes.join(", ")),
        why: format!("{libraries} of {runtime} is older than what it was linked against"),
    }
}
