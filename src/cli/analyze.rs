use std::path::PathBuf;

use clap::Args;

use lambdar_prune::plan::Symlinks;
use lambdar_prune::report;
use lambdar_prune::tree::scan::{ScanError, copies, scan};

use super::progress::Terminal;
use super::{Answer, Failure, Format, Global, Planning, Status};

/// Say what is big in a tree, what may go, and which libraries Lambda lacks
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The folder in which the runtime was built
    #[arg(default_value = "/opt")]
    tree: PathBuf,
    #[command(flatten)]
    planning: Planning,
}

impl From<ScanError> for Failure {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Interrupted(_) => Self::Interrupted,
            error => Self::Error(error.to_string()),
        }
    }
}

impl Arguments {
    pub(super) fn run(&self, global: &Global, progress: &Terminal) -> Result<Answer, Failure> {
        let chosen = self.planning.choosing.chosen(global)?;
        let scan = scan(&self.tree, progress)?;
        let runtime = global.runtime(&scan.tree)?;
        let (plan, matcher) = self
            .planning
            .plan(&self.tree, &scan.tree, &runtime, &chosen, Symlinks::Keep)?;
        let host = self.planning.host();
        let analysis = report::analyze(
            &scan,
            &copies(&self.tree, &scan.tree, |_, file| file.content.object().is_some()),
            &plan,
            &chosen.rules,
            &matcher,
            &runtime,
            &host,
        );
        Ok(Answer {
            text: match global.format {
                Format::Json => report::json(&analysis),
                Format::Table => report::analysis(&analysis, &self.tree.display().to_string(), global.look()),
            },
            status: Status::Fine,
        })
    }
}
