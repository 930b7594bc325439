use std::path::PathBuf;

use clap::Args;

use lambdar_prune::plan::Symlinks;
use lambdar_prune::report;
use lambdar_prune::tree::scan::scan;

use super::progress::Terminal;
use super::{Answer, Failure, Format, Global, Planning, Status};

/// Say who needs a file or library, how the loader finds it or where it looks in vain, and which rule takes it
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A path in the tree, or the name of a library
    #[arg(value_name = "PATH|SONAME")]
    what: String,
    /// The folder in which the runtime was built
    #[arg(long, default_value = "/opt", value_name = "TREE")]
    tree: PathBuf,
    #[command(flatten)]
    planning: Planning,
}

impl Arguments {
    pub(super) fn run(&self, global: &Global, progress: &Terminal) -> Result<Answer, Failure> {
        let chosen = self.planning.choosing.chosen(global)?;
        let scan = scan(&self.tree, progress)?;
        let runtime = global.runtime(&scan.tree)?;
        let (plan, _) = self
            .planning
            .plan(&self.tree, &scan.tree, &runtime, &chosen, Symlinks::Keep)?;
        let what = report::inside_tree(&self.what, &self.tree.to_string_lossy());
        let host = self.planning.host();
        let Some(why) = report::why(&what, &scan.tree, &plan, &runtime, &host) else {
            return Err(Failure::No(format!(
                "{} is not in {}, and nothing there asks for it",
                self.what,
                self.tree.display()
            )));
        };
        Ok(Answer {
            text: match global.format {
                Format::Json => report::json(&why),
                Format::Table => report::explained(&why, global.look()),
            },
            status: Status::Fine,
        })
    }
}
