use std::path::PathBuf;

use clap::Args;

use crate::bootstrap::{find, write};
use crate::check::program_findings;
use crate::languages::{Bootstrap, inspector};
use crate::loader::LoadedTree;
use crate::report::{self, Bootstrapped};
use crate::root::Root;
use crate::scan::scan;

use super::arguments::Global;
use super::output::{Failure, Output};
use super::progress::Terminal;

/// Write a bootstrap into a tree with R, which makes it a Lambda runtime
///
/// The handler test.handler means test.r or test.R in the function's package. If that script defines a function named
/// handler, the script runs once, and the function is called with each event; its value is the response. If not, the script
/// runs for each event: its output is the response, and the event is on its standard input and in the file that
/// LAMBDA_EVENT_FILE names.
///
/// Exit status: 0 if the files were written, 2 if something went wrong.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdar-prune bootstrap /opt                # /opt/bootstrap and /opt/lambdar
  lambdar-prune pack /opt --with-bootstrap    # the same in the layers, without changing the tree")]
pub(super) struct Arguments {
    /// Directory in which R was built [default: /opt]
    tree: Option<PathBuf>,
    /// Home directory of the R to start if the tree has several, such as R/lib/R or /opt/R/lib/R
    #[arg(long, value_name = "DIR")]
    r_home: Option<String>,
    /// Overwrite existing files
    #[arg(long)]
    force: bool,
}

impl Arguments {
    pub(super) fn run(&self, global: &Global, progress: &Terminal) -> Result<Output, Failure> {
        let directory = global.tree(self.tree.as_deref())?;
        let mut tree = scan(&directory, progress)?.tree;
        let runtime = global.runtime(&tree)?;
        let Bootstrap { home, files } = find(&tree, self.r_home.as_deref())?;
        let written = write(&directory, &files, self.force)?;
        for file in &files {
            tree.insert(file.path.clone(), file.entry(inspector()));
        }
        let loaded = LoadedTree::of(Root {
            tree: &tree,
            runtime: &runtime,
        });
        let is_ours = |path: &str| files.iter().any(|file| file.path.as_str() == path);
        let findings = program_findings(&loaded)
            .into_iter()
            .filter(|finding| finding.path.as_deref().is_some_and(is_ours))
            .collect();
        let bootstrapped = Bootstrapped::new(&home, &files, &written, findings);
        Ok(Output::ok(global.render(&bootstrapped, |options| {
            report::bootstrapped(&bootstrapped, &directory.display().to_string(), options)
        })))
    }
}
