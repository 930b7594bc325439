use std::path::PathBuf;

use clap::Args;

use crate::plan;
use crate::report;
use crate::scan::scan;

use super::arguments::{Global, PlanOptions};
use super::output::{Failure, Output};
use super::progress::Terminal;

/// Explain who needs a file or library, how the loader finds it or where it searches for it, and which rule removes it
///
/// Exit status: 0 if something is known of it, 1 if it is not in the tree and nothing needs it, 2 if something went wrong.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Path in the tree, or soname of a library
    #[arg(value_name = "PATH|SONAME")]
    what: String,
    /// Directory in which the runtime was built
    #[arg(long, default_value = "/opt", value_name = "TREE")]
    tree: PathBuf,
    #[command(flatten)]
    planning: PlanOptions,
}

impl Arguments {
    pub(super) fn run(&self, global: &Global, progress: &Terminal) -> Result<Output, Failure> {
        let selected = self.planning.rules.select(global)?;
        let scan = scan(&self.tree, progress)?;
        let runtime = global.runtime_with(&scan.tree, &self.planning.environment)?;
        let (plan, _) = self
            .planning
            .plan(&self.tree, &scan.tree, &runtime, &selected, plan::Options::default())?;
        let what = report::inside_tree(&self.what, &self.tree.to_string_lossy());
        let host = self.planning.host();
        let Some(why) = report::why(&what, &scan.tree, &plan, &runtime, &host) else {
            return Err(Failure::No(format!(
                "{} is not in {}, and nothing there needs it",
                self.what,
                self.tree.display()
            )));
        };
        Ok(Output::ok(
            global.render(&why, |options| report::explained(&why, options)),
        ))
    }
}
