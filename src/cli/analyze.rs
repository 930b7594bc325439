use std::path::PathBuf;

use clap::Args;

use crate::languages::place::Placed;
use crate::plan;
use crate::report;
use crate::scan::{copies, scan};

use super::arguments::{Global, PlanOptions};
use super::output::{Failure, Output};
use super::progress::Terminal;

/// Show what is large in a tree, what can be removed, and which libraries are missing on Lambda
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Directory in which the runtime was built
    #[arg(default_value = "/opt")]
    tree: PathBuf,
    #[command(flatten)]
    planning: PlanOptions,
}

impl Arguments {
    pub(super) fn run(&self, global: &Global, progress: &Terminal) -> Result<Output, Failure> {
        let selected = self.planning.rules.select(global)?;
        let scan = scan(&self.tree, progress)?;
        let runtime = global.runtime_with(&scan.tree, &self.planning.environment)?;
        let (plan, matcher) = self.planning.plan(
            &self.tree,
            &Placed::default(),
            &scan.tree,
            &runtime,
            &selected,
            plan::Options::default(),
        )?;
        let host = self.planning.host();
        let analysis = report::analyze(
            &scan,
            &copies(&self.tree, &scan.tree, |_, file| file.content.object().is_some()),
            &plan,
            &selected.rules,
            &matcher,
            &runtime,
            &host,
        );
        Ok(Output::ok(global.render(&analysis, |options| {
            report::analysis(&analysis, &self.tree.display().to_string(), options)
        })))
    }
}
