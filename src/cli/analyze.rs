use std::path::PathBuf;
use std::sync::OnceLock;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use crate::check::lifecycle_finding;
use crate::finding::any_error;
use crate::languages::place::Placed;
use crate::loader::LoadedTree;
use crate::plan::{self, WhatIf};
use crate::report::{self, html};
use crate::root::Root;
use crate::rules::Matcher;
use crate::scan::{copies, scan};

use super::arguments::{Global, PlanOptions};
use super::clock::today;
use super::complete;
use super::format::{DocumentFormat, FormatOption, ReportFile, on_stdout, write_files};
use super::inputs::{Source, estimated};
use super::output::{Failure, Output, Status};
use super::progress::Terminal;

/// Show what is large in a tree, what can be removed, and which libraries are missing on Lambda
///
/// Exit status: 0 if nothing is wrong, 1 if there are errors or the layers would not fit, 2 if something went wrong.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdar-prune analyze /opt
  lambdar-prune analyze python --runtime python3.13
  lambdar-prune analyze /opt --enable r-recommended -o json=analysis.json")]
pub(super) struct Arguments {
    /// Directory in which the runtime was built, or an image, as in image.tar:/opt [default: /opt]
    tree: Option<PathBuf>,
    #[command(flatten)]
    format: FormatOption<DocumentFormat>,
    /// Write the report in another format to a file, or to stdout without a file; can be repeated
    #[arg(short, long, value_name = "FORMAT[=FILE]", add = ArgValueCompleter::new(complete::report_files::<DocumentFormat>))]
    output: Vec<ReportFile<DocumentFormat>>,
    #[command(flatten)]
    planning: PlanOptions,
}

impl Arguments {
    pub(super) fn run(&self, global: &Global, progress: &Terminal) -> Result<Output, Failure> {
        let formats = on_stdout(self.format.given(), &self.output, DocumentFormat::Table)?;
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
        let options = plan::Options {
            explained: loaded.graph().unneeded.iter().cloned().collect(),
            compared: true,
            ..plan::Options::default()
        };
        let source = Source {
            directory,
            placed: &placed,
            loaded: &loaded,
        };
        let (plan, matcher) = self.planning.plan(source, &selected, &options, &project)?;
        let readers = OnceLock::new();
        let kept_with =
            |each: &[Matcher]| source.kept_with_each(&readers, &matcher, &plan.uses, each, &options, progress);
        let mut analysis = report::analyze(
            &scan,
            &copies(directory, &scan.tree, |_, file| file.content.object().is_some()),
            &loaded,
            &plan,
            &selected.rules,
            &WhatIf::new(&scan.tree, &matcher, &plan.kept, &kept_with),
            &self.planning.host(&project)?,
        );
        let packed = source.deduped(&plan, &matcher, &project)?;
        let (estimate, entries) = estimated(directory, &scan, &packed, &project, progress)?.unzip();
        analysis.estimate = estimate;
        analysis.findings.extend(lifecycle_finding(&runtime.name, today()?));
        analysis.findings.sort();
        let fits = analysis.estimate.is_none_or(|estimate| estimate.fits());
        let name = opened.name();
        let render = |format: &DocumentFormat, options| {
            format.render(
                &analysis,
                || report::analysis(&analysis, &name, &global.again(&name), options),
                || html::analysis_page(&analysis, &scan.tree, &plan, entries.as_deref(), &name),
            )
        };
        write_files(&self.output, |format| render(format, global.plain_options()))?;
        Ok(Output {
            text: formats
                .iter()
                .map(|format| render(format, global.render_options()))
                .collect(),
            status: Status::yes_or_no(fits && !any_error(&analysis.findings)),
        })
    }
}
