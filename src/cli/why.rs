use std::path::PathBuf;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use crate::languages::place::Placed;
use crate::loader::LoadedTree;
use crate::plan;
use crate::report;
use crate::root::Root;
use crate::scan::scan;

use super::arguments::{Global, PlanOptions};
use super::complete;
use super::inputs::Source;
use super::output::{Failure, Output};
use super::progress::Terminal;

/// Show who needs a file, library or symbol, how the loader finds it or where it searches for it, and which rule removes it
///
/// Exit status: 0 if it was found, 1 if it is not in the tree and nothing needs it, 2 if something went wrong.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdar-prune why libgfortran.so.5          # who needs it, and every directory that is searched for it
  lambdar-prune why SSL_CTX_new               # who needs a symbol, and who defines it
  lambdar-prune why lib/libcurl.so.4          # whether it is ever loaded, and which rule removes it")]
pub(super) struct Arguments {
    /// Path in the tree, or name of a library or symbol
    #[arg(value_name = "PATH|SONAME|SYMBOL", add = ArgValueCompleter::new(complete::tree_paths))]
    what: String,
    /// Directory in which the runtime was built [default: /opt]
    #[arg(long, value_name = "TREE")]
    tree: Option<PathBuf>,
    #[command(flatten)]
    planning: PlanOptions,
}

impl Arguments {
    pub(super) fn run(&self, global: &Global, progress: &Terminal) -> Result<Output, Failure> {
        let selected = self.planning.rules.select(global)?;
        let project = global.project()?;
        let opened = global.open_tree(self.tree.as_deref(), progress)?;
        let directory = opened.path();
        let _reading = opened.only_reading(progress);
        let scan = scan(directory, progress)?;
        let runtime = global.runtime_with(&scan.tree, &self.planning.environment)?;
        let loaded = LoadedTree::of(Root {
            tree: &scan.tree,
            runtime: &runtime,
        });
        let placed = Placed::default();
        let source = Source {
            directory,
            placed: &placed,
            loaded: &loaded,
        };
        let what = report::inside_tree(&self.what, &directory.to_string_lossy());
        let asked = report::WhySubject::of(&what, &loaded);
        let options = plan::Options {
            explained: asked.paths(),
            ..plan::Options::default()
        };
        let (plan, _) = self.planning.plan(source, &selected, &options, &project)?;
        let host = self.planning.host(&project)?;
        let Some(why) = report::why(&what, asked, &loaded, &plan, &host) else {
            return Err(Failure::No(format!(
                "{} is not a path in {}, and no object there needs or defines a library or symbol of that name",
                self.what,
                opened.name()
            )));
        };
        Ok(Output::ok(
            global.render(&why, |options| report::explained(&why, options)),
        ))
    }
}
