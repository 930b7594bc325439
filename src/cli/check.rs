use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches, ValueEnum};
use clap_complete::engine::ArgValueCompleter;

use crate::check::{MAX_UNZIPPED, packed_for};
use crate::config::{Config, Project};
use crate::finding::{Code, CodeError};
use crate::gate::{BaselineFile, Level, Setting, Target};
use crate::manifest::UploadRoute;
use crate::report::{self, Checked, Explanations, RenderOptions, html};
use crate::size::Bytes;

use super::arguments::{EnvironmentOption, Global};
use super::complete;
use super::format::{FormatOption, ReportFile, ReportFormat, on_stdout, write_files};
use super::layers::{Bounds, Contents, checked};
use super::output::{Failure, Output, Status, error};
use super::progress::Terminal;

/// The value of `--explain` without a code.
const ALL: &str = "all";

/// Check whether layers will run on Lambda: zips, a directory of zips, or a tree
///
/// Exit status: 0 if they will, 1 if they will not, 2 if something went wrong.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdar-prune check                                   # ./layers, for the runtime that they were packed for
  lambdar-prune check r.zip subsystem.zip --reserve 20MB
  lambdar-prune check --explain missing-library
  lambdar-prune check --deny zip-near-limit -o junit=check.xml -o json=check.json")]
pub(super) struct Arguments {
    /// Zips in the order in which they are attached, directories of zips, trees, or images, as in image.tar:/opt
    /// [default: layers]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Unzipped size to reserve of Lambda's 250 MiB for the function's own code
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true, value_parser = Bytes::parse_or_zero)]
    reserve: Option<Bytes>,
    /// Do not unpack a zip that declares more than this [default: 1048576000, four times Lambda's limit]
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true)]
    max_unzipped: Option<Bytes>,
    /// Explain a kind of finding: its cause, the message of Lambda, and how to fix it; without a code, list all kinds
    #[arg(long, value_name = "CODE", num_args = 0..=1, default_missing_value = ALL, conflicts_with_all = ["paths", "reserve", "max_unzipped", "output", "baseline", "deny", "warn", "allow"], add = ArgValueCompleter::new(complete::codes))]
    explain: Option<String>,
    #[command(flatten)]
    environment: EnvironmentOption,
    #[command(flatten)]
    format: FormatOption<CheckFormat>,
    /// Write the report in another format to a file, or to stdout without a file; can be repeated
    #[arg(short, long, value_name = "FORMAT[=FILE]", add = ArgValueCompleter::new(complete::report_files::<CheckFormat>))]
    output: Vec<ReportFile<CheckFormat>>,
    #[command(flatten)]
    policy: PolicyOptions,
    /// Compare sizes with an earlier build: its layers.json, a zip, a directory of zips, or a tree
    #[arg(long, value_name = "OLD")]
    baseline: Option<PathBuf>,
}

/// The formats of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CheckFormat {
    /// Tables for people
    Table,
    /// One JSON document
    Json,
    /// Annotations for GitHub Actions
    Github,
    /// JUnit XML, for GitLab, Jenkins and others
    Junit,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Markdown, for job summaries
    Markdown,
    /// A page with a map of all files, for a browser
    Html,
}

impl ReportFormat for CheckFormat {
    fn is_lines(&self) -> bool {
        matches!(self, Self::Table | Self::Github)
    }
}

impl CheckFormat {
    fn render(self, checked: &Checked, contents: &Contents, options: RenderOptions) -> String {
        match self {
            Self::Table => report::checked(checked, options),
            Self::Json => report::json(checked),
            Self::Github => report::github(checked),
            Self::Junit => report::junit(checked),
            Self::Sarif => report::sarif(checked),
            Self::Markdown => report::markdown(checked),
            Self::Html => html::checked_page(checked, &contents.inventory, &contents.merged, &contents.graph),
        }
    }
}

/// `--deny`, `--warn` and `--allow` in the order in which they were given.
#[derive(Debug, Clone, Default)]
struct PolicyOptions(Vec<Setting>);

const LEVELS: [(Level, &str, &str, &str); 3] = [
    (
        Level::Deny,
        "deny",
        "CODE|all",
        "Treat findings with this code, or all findings, as errors",
    ),
    (Level::Warn, "warn", "CODE", "Treat findings with this code as warnings"),
    (
        Level::Allow,
        "allow",
        "CODE",
        "Ignore findings with this code; -v and JSON still show them",
    ),
];

impl Args for PolicyOptions {
    fn augment_args(command: clap::Command) -> clap::Command {
        LEVELS.into_iter().fold(command, |command, (level, name, value, help)| {
            command.arg(
                Arg::new(name)
                    .long(name)
                    .value_name(value)
                    .action(ArgAction::Append)
                    .value_parser(move |word: &str| Target::parse(level, word))
                    .add(ArgValueCompleter::new(if level == Level::Deny {
                        complete::codes_or_all
                    } else {
                        complete::codes
                    }))
                    .help(help),
            )
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for PolicyOptions {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut settings: Vec<(usize, Setting)> = Vec::new();
        for (level, name, ..) in LEVELS {
            let targets = matches.get_many::<Target>(name).into_iter().flatten();
            for (index, target) in matches.indices_of(name).into_iter().flatten().zip(targets) {
                let setting = Setting {
                    level,
                    target: target.clone(),
                    reason: None,
                    place: format!("--{name}"),
                };
                settings.push((index, setting));
            }
        }
        settings.sort_by_key(|(index, _)| *index);
        Ok(Self(settings.into_iter().map(|(_, setting)| setting).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Arguments {
    pub(super) fn run(&self, global: &Global, progress: &Terminal) -> Result<Output, Failure> {
        if let Some(code) = &self.explain {
            return self.explanation(code, global);
        }
        let formats = on_stdout(self.format.given(), &self.output, CheckFormat::Table)?;
        let Config {
            mut policy, project, ..
        } = global.config()?;
        let paths = global.layers(&self.paths)?;
        self.validate(&paths)?;
        policy.levels = policy.levels.with(self.policy.0.clone());
        if let Some(path) = &self.baseline {
            policy.baseline = Some(BaselineFile {
                path: path.clone(),
                may_be_absent: false,
            });
        }
        let bounds = Bounds {
            with_files: formats.contains(&CheckFormat::Html)
                || self.output.iter().any(|report| report.format == CheckFormat::Html),
            ..self.bounds(&paths, &project)
        };
        let (checked, contents) = checked(&paths, policy, &bounds, global, progress)?;
        let mut status = Status::yes_or_no(checked.ok);
        if let Err(failure) = write_files(&self.output, |format| {
            format.render(&checked, &contents, global.plain_options())
        }) {
            error(failure.message());
            status = Status::Failed;
        }
        Ok(Output {
            text: rendered(&checked, &contents, formats, global.render_options()),
            status,
        })
    }

    fn bounds(&self, paths: &[PathBuf], project: &Project) -> Bounds {
        let is_via_s3 = |path: &PathBuf| packed_for(path).is_some_and(|packed| packed.via == UploadRoute::S3);
        Bounds {
            reserve: self.reserve.or(project.reserve).unwrap_or_default(),
            max_unzipped: self.max_unzipped.unwrap_or(MAX_UNZIPPED),
            environment: self.environment.clone(),
            with_files: false,
            via: if paths.iter().all(is_via_s3) {
                UploadRoute::S3
            } else {
                UploadRoute::Direct
            },
        }
    }

    /// The explanation of one kind of finding, or of all kinds.
    fn explanation(&self, name: &str, global: &Global) -> Result<Output, Failure> {
        let is_all = name == ALL;
        let codes: Vec<Code> = if is_all {
            Code::all().collect()
        } else {
            let code = name
                .parse()
                .map_err(|error: CodeError| Failure::Error(error.to_string()))?;
            vec![code]
        };
        let explanations = Explanations::new(&codes);
        let text = match self.format.given() {
            Some(CheckFormat::Json) => report::json(&explanations),
            None | Some(CheckFormat::Table) if is_all => report::codes(&explanations, global.render_options()),
            None | Some(CheckFormat::Table) => report::pages(&explanations, global.render_options()),
            Some(_) => {
                return Err(Failure::Error(
                    "--explain has only the formats table and json".to_owned(),
                ));
            }
        };
        Ok(Output::ok(text))
    }

    fn validate(&self, paths: &[PathBuf]) -> Result<(), Failure> {
        if let (true, [default]) = (self.paths.is_empty(), paths)
            && !default.exists()
        {
            return Err(Failure::Error(format!(
                "cannot check {default}: there is no such directory here; create it with `lambdar-prune pack`, or name zips, \
                 a directory of zips, or a tree",
                default = default.display()
            )));
        }
        Ok(())
    }
}

/// A report in each of the formats, one after the other.
fn rendered(checked: &Checked, contents: &Contents, formats: Vec<CheckFormat>, options: RenderOptions) -> String {
    let is_read_by_github = formats.contains(&CheckFormat::Github);
    formats
        .into_iter()
        .map(|format| match format.render(checked, contents, options) {
            text if is_read_by_github && format != CheckFormat::Github => report::without_commands(&text),
            text => text,
        })
        .collect()
}
