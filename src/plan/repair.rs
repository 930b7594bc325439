//! What a plan does about what does not work on Lambda as it is, and the bootstrap that it adds.

use super::{Layout, Options, PlanError};
use crate::bootstrap;
use crate::languages;
use crate::root::Root;
use crate::runtime::Runtime;

/// The layout with what the options ask for. What languages can do nothing about is left as it is, for `check` to report.
pub(super) fn repair(layout: &Layout, runtime: &Runtime, options: &Options) -> Result<Layout, PlanError> {
    let mut repaired = layout.clone();
    if options.repair {
        let root = Root {
            tree: &layout.tree,
            runtime,
        };
        for repair in languages::repairs(root) {
            for file in &repair.added {
                if !repaired.tree.contains(&file.path) {
                    repaired.add_generated(file, vec![repair.needed_by.clone()]);
                }
            }
            repaired.change(&repair.path, repair.by, &repair.text);
        }
    }
    if let Some(wanted) = &options.bootstrap {
        for file in bootstrap::missing_files(&repaired.tree, wanted.home.as_deref())? {
            repaired.add_generated(&file, Vec::new());
        }
    }
    Ok(repaired)
}
