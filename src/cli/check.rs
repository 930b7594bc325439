use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches, ValueEnum};

use crate::check::{MAX_UNZIPPED, packed_for};
use crate::finding::{Code, CodeError};
use crate::gate::{BaselineFile, Level, Setting, Target};
use crate::manifest::UploadRoute;
use crate::report::{self, Checked, Explanations, RenderOptions};
use crate::size::Bytes;

use super::arguments::{EnvironmentOption, Global};
use super::format::FormatOption;
use super::layers::{Bounds, checked};
use super::output::{Failure, Output, Status, complain};
use super::progress::Terminal;

/// The directory that `pack` writes to by default.
const DEFAULT: &str = "layers";

/// The value of `--explain` without a code.
const ALL: &str = "all";

/// Check whether layers will run on Lambda: zips, a directory of zips, or a tree
///
/// Exit status: 0 if they will, 1 if they will not, 2 if something went wrong.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Zips in the order in which they are attached, directories of zips, or trees
    #[arg(default_value = DEFAULT, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Unzipped size to reserve of Lambda's 250 MiB for the function's own code
    #[arg(long, value_name = "SIZE")]
    reserve: Option<Bytes>,
    /// Do not unpack a zip that announces more than this [default: 1048576000, four times Lambda's limit]
    #[arg(long, value_name = "SIZE")]
    max_unzipped: Option<Bytes>,
    /// Explain a kind of finding: its cause, the message of Lambda, and how to fix it; without a code, list all kinds
    #[arg(long, value_name = "CODE", num_args = 0..=1, default_missing_value = ALL, conflicts_with_all = ["paths", "reserve", "max_unzipped"])]
    explain: Option<String>,
    #[command(flatten)]
    environment: EnvironmentOption,
    #[command(flatten)]
    format: FormatOption<Form>,
    /// Write the report in another format to a file, or to stdout without a file; can be repeated
    #[arg(short, long, value_name = "FORMAT[=FILE]")]
    output: Vec<ReportFile>,
    #[command(flatten)]
    policy: PolicyOptions,
    /// Compare sizes with an earlier build: its layers.json, a zip, a directory of zips, or a tree
    #[arg(long, value_name = "OLD")]
    baseline: Option<PathBuf>,
}

/// The formats of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
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
}

impl Form {
    fn render(self, checked: &Checked, options: RenderOptions) -> String {
        match self {
            Self::Table => report::checked(checked, options),
            Self::Json => report::json(checked),
            Self::Github => report::github(checked),
            Self::Junit => report::junit(checked),
            Self::Sarif => report::sarif(checked),
            Self::Markdown => report::markdown(checked),
        }
    }
}

/// A format, and the file that the report is written to; stdout if there is none.
#[derive(Debug, Clone)]
struct ReportFile {
    form: Form,
    file: Option<PathBuf>,
}

impl FromStr for ReportFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (form, file) = match text.split_once('=') {
            Some((_, "")) => return Err("the file after '=' is missing".to_owned()),
            Some((form, "-")) => (form, None),
            Some((form, file)) => (form, Some(PathBuf::from(file))),
            None => (text, None),
        };
        let forms = Form::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        let known: Vec<String> = forms.map(|form| form.get_name().to_owned()).collect();
        let form = Form::from_str(form, false).map_err(|_| {
            format!(
                "'{form}' is not a format; use one of {}, as in json=FILE",
                known.join(", ")
            )
        })?;
        Ok(Self { form, file })
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
        self.validate()?;
        let mut policy = global.config()?.policy;
        policy.levels = policy.levels.with(self.policy.0.clone());
        if let Some(path) = &self.baseline {
            policy.baseline = Some(BaselineFile {
                path: path.clone(),
                may_be_absent: false,
            });
        }
        let checked = checked(&self.paths, policy, &self.bounds(), global, progress)?;
        let mut status = Status::yes_or_no(checked.ok);
        for ReportFile { form, file } in &self.output {
            let Some(file) = file else { continue };
            let options = RenderOptions {
                verbose: global.verbose,
                ..RenderOptions::default()
            };
            if let Err(error) = write(file, &form.render(&checked, options)) {
                complain(&error.to_string());
                status = Status::Failed;
            }
        }
        Ok(Output {
            text: self.on_stdout(&checked, global.render_options()),
            status,
        })
    }

    fn bounds(&self) -> Bounds {
        let is_via_s3 = |path: &PathBuf| packed_for(path).is_some_and(|packed| packed.via == UploadRoute::S3);
        Bounds {
            reserve: self.reserve.unwrap_or_default(),
            max_unzipped: self.max_unzipped.unwrap_or(MAX_UNZIPPED),
            environment: self.environment.clone(),
            via: if self.paths.iter().all(is_via_s3) {
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
            let code = name.parse().map_err(|error: CodeError| {
                Failure::Error(format!("{error}; run `lambdar-prune check --explain` to list all"))
            })?;
            vec![code]
        };
        let explanations = Explanations::new(&codes);
        let text = match self.format.given() {
            Some(Form::Json) => report::json(&explanations),
            None | Some(Form::Table) if is_all => report::codes(&explanations, global.render_options()),
            None | Some(Form::Table) => report::pages(&explanations, global.render_options()),
            Some(_) => {
                return Err(Failure::Error(
                    "--explain has only the formats table and json".to_owned(),
                ));
            }
        };
        Ok(Output::ok(text))
    }

    fn validate(&self) -> Result<(), Failure> {
        if self.paths == [Path::new(DEFAULT)] && !Path::new(DEFAULT).exists() {
            return Err(Failure::Error(format!(
                "cannot check {DEFAULT}: there is no such directory here; create it with `lambdar-prune pack`, or name zips, \
                 a directory of zips, or a tree"
            )));
        }
        let mut files: Vec<&PathBuf> = self.output.iter().filter_map(|output| output.file.as_ref()).collect();
        files.sort();
        match files.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(Failure::Error(format!(
                "two reports cannot be written to one file: {} is named twice",
                pair[0].display()
            ))),
            None => Ok(()),
        }
    }

    /// The report for stdout: in the format of `--format`, by default a table unless `--output` has a format for stdout, and
    /// then in those of `--output`.
    fn on_stdout(&self, checked: &Checked, options: RenderOptions) -> String {
        let mut forms: Vec<Form> = self.format.given().into_iter().collect();
        let further = self.output.iter().filter(|output| output.file.is_none());
        forms.extend(further.map(|output| output.form));
        if forms.is_empty() {
            forms.push(Form::Table);
        }
        let is_read_by_github = forms.contains(&Form::Github);
        forms
            .into_iter()
            .map(|form| match form.render(checked, options) {
                text if is_read_by_github && form != Form::Github => report::without_commands(&text),
                text => text,
            })
            .collect()
    }
}

fn write(file: &Path, text: &str) -> std::io::Result<()> {
    if let Some(directory) = file.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        fs_err::create_dir_all(directory)?;
    }
    fs_err::write(file, text)
}
