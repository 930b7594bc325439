use std::path::PathBuf;

use clap::Args;

use lambdar_prune::bootstrap::{BootstrapError, files, home, write};
use lambdar_prune::check::program_findings;
use lambdar_prune::report::{self, Bootstrapped};
use lambdar_prune::root::Root;
use lambdar_prune::tree::scan::scan;

use super::progress::Terminal;
use super::{Answer, Failure, Format, Global, Status};

/// Write a bootstrap into a tree with R, which makes a Lambda runtime of it
///
/// The handler test.handler means test.r or test.R in the function's package. If that script defines a function named
/// handler, it is run once, and the function is called with each event; its value is the response. If it does not, the
/// script is run for each event: what it prints is the response, and the event is on its standard input and in the file
/// that LAMBDA_EVENT_FILE names.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The folder in which R was built
    #[arg(default_value = "/opt")]
    tree: PathBuf,
    /// The folder of the R to start, where the tree has several: R/lib/R or /opt/R/lib/R
    #[arg(long, value_name = "DIR")]
    r_home: Option<String>,
    /// Write over files that are there already
    #[arg(long)]
    force: bool,
}

impl From<BootstrapError> for Failure {
    fn from(error: BootstrapError) -> Self {
        Self::Error(error.to_string())
    }
}

impl Arguments {
    pub(super) fn run(&self, global: &Global, progress: &Terminal) -> Result<Answer, Failure> {
        let mut tree = scan(&self.tree, progress)?.tree;
        let runtime = global.runtime(&tree)?;
        let home = home(&tree, self.r_home.as_deref())?;
        let files = files(&home);
        let written = write(&self.tree, &files, self.force)?;
        for file in &files {
            tree.insert(file.path.clone(), file.entry());
        }
        let root = Root {
            tree: &tree,
            runtime: &runtime,
        };
        let is_ours = |path: &str| files.iter().any(|file| file.path.as_str() == path);
        let findings = program_findings(root)
            .into_iter()
            .filter(|finding| finding.path.as_deref().is_some_and(is_ours))
            .collect();
        let answer = Bootstrapped::new(&home, &files, &written, findings);
        Ok(Answer {
            text: match global.format {
                Format::Json => report::json(&answer),
                Format::Table => report::bootstrapped(&answer, &self.tree.display().to_string(), global.look()),
            },
            status: Status::Fine,
        })
    }
}
