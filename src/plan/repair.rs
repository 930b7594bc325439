//! What a plan does about what does not work on Lambda as it is, and the bootstrap that it adds.

mod newer;
mod variables;
mod versions;

use super::import::{COMPANIONS, Imported, LICENSES};
use super::{Context, Layout, Options, PlanError};
use crate::bootstrap;
use crate::languages;
use crate::root::Root;
use crate::timings::phase;

use newer::NEWER_LIBRARIES;
use variables::set_variables;
use versions::{SYMBOL_VERSIONS, lower_versions};

pub(super) use newer::bring_newer;

/// The names of all repairs, as the manifest has them, sorted.
pub fn fix_names() -> Vec<&'static str> {
    let mut names = vec![COMPANIONS, LICENSES, NEWER_LIBRARIES, SYMBOL_VERSIONS];
    names.extend(languages::fix_names());
    names.sort_unstable();
    names
}

/// The layout with what the options ask for. What nothing can be done about is left as it is, for `check` to report.
pub(super) fn repair(imported: &Imported, context: &Context<'_>, options: &Options) -> Result<Layout, PlanError> {
    let _phase = phase("repair");
    let mut repaired = imported.layout.clone();
    let root = Root {
        tree: &imported.layout.tree,
        runtime: context.runtime,
    };
    for repair in languages::repairs(root) {
        if !options.fixes.has(repair.by) {
            continue;
        }
        for file in &repair.added {
            if !repaired.tree.contains(&file.path) {
                repaired.add_generated(file, vec![repair.needed_by.clone()]);
            }
        }
        repaired.change(&repair.path, repair.by, &repair.text);
    }
    if options.fixes.has(SYMBOL_VERSIONS) {
        lower_versions(&mut repaired, &imported.graph, context);
    }
    set_variables(&mut repaired, &imported.variables, context.runtime);
    if let Some(wanted) = &options.bootstrap {
        for file in bootstrap::missing_files(&repaired.tree, wanted.home.as_deref())? {
            repaired.add_generated(&file, Vec::new());
        }
    }
    Ok(repaired)
}
