use std::path::PathBuf;

use clap::Args;

use lambdar_prune::check::CheckError;
use lambdar_prune::diff::{Diff, compare};
use lambdar_prune::inventory::{InventoryError, read_inventory};
use lambdar_prune::report;

use super::progress::Terminal;
use super::{Answer, Failure, Format, Global, Status};

/// Say what has changed between two builds: what was added, removed, grew or shrank
///
/// Each of the two may be a layers.json, a zip, a folder with zips, or a tree. Exit status: 0, whatever has changed; 2 if
/// something went wrong.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What it was
    old: PathBuf,
    /// What it is
    new: PathBuf,
}

impl From<InventoryError> for Failure {
    fn from(error: InventoryError) -> Self {
        match error {
            InventoryError::Check(CheckError::Interrupted(_)) => Self::Interrupted,
            error => Self::Error(error.to_string()),
        }
    }
}

impl Arguments {
    pub(super) fn run(&self, global: &Global, progress: &Terminal) -> Result<Answer, Failure> {
        let comparison = compare(
            &read_inventory(&self.old, progress)?,
            &read_inventory(&self.new, progress)?,
        );
        let diff = Diff::new(
            self.old.display().to_string(),
            self.new.display().to_string(),
            comparison,
        );
        Ok(Answer {
            text: match global.format {
                Format::Json => report::json(&diff),
                Format::Table => report::difference(&diff, global.look()),
            },
            status: Status::Fine,
        })
    }
}
