use std::path::PathBuf;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use crate::diff::{Diff, compare};
use crate::inventory::read_inventory;
use crate::report::{self, html};

use super::arguments::Global;
use super::complete;
use super::complete::DEFAULT_TREE;
use super::format::{DocumentFormat, FormatOption, ReportFile, on_stdout, write_files};
use super::inputs::TreeDirectory;
use super::layers::read_settled;
use super::output::{Failure, Output};
use super::progress::Terminal;

/// Show what has changed between two builds: what was added, removed, grew or shrank
///
/// Each of the two can be a layers.json, a zip, a directory of zips, a tree, or an image.
///
/// Exit status: 0, even if they differ; 2 if something went wrong.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdar-prune diff layers-old layers
  lambdar-prune diff layers-baseline.json layers -o json=diff.json")]
pub(super) struct Arguments {
    /// The old build
    old: PathBuf,
    /// The new build
    new: PathBuf,
    #[command(flatten)]
    format: FormatOption<DocumentFormat>,
    /// Write the report in another format to a file, or to stdout without a file; can be repeated
    #[arg(short, long, value_name = "FORMAT[=FILE]", add = ArgValueCompleter::new(complete::report_files::<DocumentFormat>))]
    output: Vec<ReportFile<DocumentFormat>>,
}

impl Arguments {
    pub(super) fn run(&self, global: &Global, progress: &Terminal) -> Result<Output, Failure> {
        let formats = on_stdout(self.format.given(), &self.output, DocumentFormat::Table)?;
        let read = |path: &PathBuf| {
            read_settled(std::slice::from_ref(path), global, || {
                let opened = TreeDirectory::open(path.clone(), DEFAULT_TREE, global, progress)?;
                Ok(read_inventory(opened.path(), progress)?)
            })
        };
        let (old, new) = (read(&self.old)?, read(&self.new)?);
        let comparison = compare(&old, &new);
        let diff = Diff::new(
            self.old.display().to_string(),
            self.new.display().to_string(),
            comparison,
        );
        let render = |format: &DocumentFormat, options| {
            format.render(
                &diff,
                || report::difference(&diff, options),
                || html::difference_page(&diff, &old, &new),
            )
        };
        write_files(&self.output, |format| render(format, global.plain_options()))?;
        Ok(Output::ok(
            formats
                .iter()
                .map(|format| render(format, global.render_options()))
                .collect(),
        ))
    }
}
