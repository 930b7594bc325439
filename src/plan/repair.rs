//! What a plan does about traps that Lambda has for the tree as it is.

use super::Plan;
use crate::languages;
use crate::root::Root;
use crate::runtime::Runtime;

impl Plan {
    /// Carries out what languages know to do about what does not work on the runtime. What they can do nothing about is left
    /// as it is, for `check` to report.
    pub fn repair(&mut self, runtime: &Runtime) {
        let root = Root {
            tree: &self.kept,
            runtime,
        };
        for repair in languages::repairs(root) {
            for file in &repair.added {
                if !self.kept.contains(&file.path) {
                    self.add(file, vec![repair.needed_by.clone()]);
                }
            }
            self.change(&repair.path, repair.by, &repair.text);
        }
    }
}
