use std::path::PathBuf;

use clap::Args;

use crate::diff::{Diff, compare};
use crate::inventory::read_inventory;
use crate::report;

use super::arguments::Global;
use super::output::{Failure, Output};
use super::progress::Terminal;

/// Show what has changed between two builds: what was added, removed, grew or shrank
///
/// Each of the two can be a layers.json, a zip, a directory of zips, or a tree.
///
/// Exit status: 0, whatever has changed; 2 if something went wrong.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The old build
    old: PathBuf,
    /// The new build
    new: PathBuf,
}

impl Arguments {
    pub(super) fn run(&self, global: &Global, progress: &Terminal) -> Result<Output, Failure> {
        let comparison = compare(
            &read_inventory(&self.old, progress)?,
            &read_inventory(&self.new, progress)?,
        );
        let diff = Diff::new(
            self.old.display().to_string(),
            self.new.display().to_string(),
            comparison,
        );
        Ok(Output::ok(
            global.render(&diff, |options| report::difference(&diff, options)),
        ))
    }
}
