use std::path::PathBuf;

use clap::Args;

use crate::languages::place::Placed;
use crate::plan;
use crate::report;
use crate::scan::scan;

use super::arguments::{Global, PlanOptions};
use super::output::{Failure, Output};
use super::progress::Terminal;

/// Show who needs a file, library or symbol, how the loader finds it or where it looks in vain, and which rule takes it
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A path in the tree, or the name of a library or symbol
    #[arg(value_name = "PATH|SONAME|SYMBOL")]
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
        let (plan, _) = self.planning.plan(
            &self.tree,
            &Placed::default(),
            &scan.tree,
            &runtime,
            &selected,
            plan::Options::default(),
        )?;
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
