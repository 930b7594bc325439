//! `--format` and `--output` of commands whose reports have more formats than the others' output.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, FromArgMatches, ValueEnum};
use serde::Serialize;

use crate::manifest::MANIFEST_NAME;
use crate::nearest::suggestion;
use crate::report;

use super::arguments::Format;
use super::output::Failure;

/// The name of the option; it replaces the global one.
const FORMAT: &str = "format";

/// The requested format, one of `F`, which has at least `table` and `json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FormatOption<F> {
    /// `None` unless the option was given.
    given: Option<F>,
}

impl<F: ValueEnum> FormatOption<F> {
    /// The format that was asked for, if one was.
    pub(super) fn given(&self) -> Option<F> {
        self.given.clone()
    }
}

impl<F: ValueEnum> Args for FormatOption<F> {
    fn augment_args(command: clap::Command) -> clap::Command {
        let formats = F::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        // The value has the type of the global option, because clap hands it on to that; the format is read from the text.
        let parser =
            PossibleValuesParser::new(formats).map(|text| Format::from_str(&text, false).unwrap_or(Format::Table));
        command.arg(
            Arg::new(FORMAT)
                .short('f')
                .long(FORMAT)
                .value_name("FORMAT")
                .default_value("table")
                .value_parser(parser)
                .help("Output format"),
        )
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl<F: ValueEnum> FromArgMatches for FormatOption<F> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let is_given = matches.value_source(FORMAT) == Some(ValueSource::CommandLine);
        let text = matches.get_raw(FORMAT).and_then(Iterator::last);
        Ok(Self {
            given: text
                .filter(|_| is_given)
                .and_then(|text| F::from_str(&text.to_string_lossy(), false).ok()),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The formats of a report, and which of them may share stdout.
pub(super) trait ReportFormat: ValueEnum + PartialEq {
    /// Whether it is for people or a log, line by line, so that another such format may stand before or after it.
    fn is_lines(&self) -> bool;
}

/// A format, and the file that the report is written to; stdout if there is none.
#[derive(Debug, Clone)]
pub(super) struct ReportFile<F> {
    pub(super) format: F,
    pub(super) file: Option<PathBuf>,
}

impl<F: ValueEnum> FromStr for ReportFile<F> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (format, file) = match text.split_once('=') {
            Some((_, "")) => return Err("the file after '=' is missing".to_owned()),
            Some((format, file)) if is_stdout(file) => (format, None),
            Some((format, file)) => (format, Some(PathBuf::from(file))),
            None => (text, None),
        };
        let formats = F::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        let known: Vec<String> = formats.map(|format| format.get_name().to_owned()).collect();
        let format = F::from_str(format, false).map_err(|_| {
            let near = suggestion(format, known.iter().map(String::as_str));
            let json = known.iter().find(|format| *format == "json");
            let example = json.or(known.first()).map_or("", String::as_str);
            format!(
                "'{format}' is not a format{near} (use one of {}, as in {example}=FILE)",
                known.join(", ")
            )
        })?;
        Ok(Self { format, file })
    }
}

/// Whether a name stands for stdout.
pub(super) fn is_stdout(name: &str) -> bool {
    ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].contains(&name)
}

/// Fails if two documents would go to one file, or one to where there can be no file: into a directory that does not exist, or
/// in the place of a directory. `made` is a directory that the command makes, with files of its own that end with `.zip`, and
/// [`MANIFEST_NAME`].
pub(super) fn check_files<'f>(files: impl IntoIterator<Item = &'f Path>, made: Option<&Path>) -> Result<(), Failure> {
    let real = |directory: &Path| {
        directory
            .canonicalize()
            .or_else(|_| std::path::absolute(directory))
            .ok()
    };
    let made = made.and_then(real);
    let mut seen = BTreeSet::new();
    for file in files {
        let refuse = |why: String| Err(Failure::Error(format!("cannot write {}: {why}", file.display())));
        let directory = match file.parent() {
            Some(directory) if !directory.as_os_str().is_empty() => directory,
            _ => Path::new("."),
        };
        let is_made = made.is_some() && real(directory) == made;
        if !is_made && !directory.exists() {
            return refuse(format!(
                "there is no directory {}; create it first",
                directory.display()
            ));
        }
        if !is_made && !directory.is_dir() {
            return refuse(format!(
                "{} is not a directory; choose another place",
                directory.display()
            ));
        }
        if file.is_dir() {
            return refuse("it is a directory; add the name of a file".to_owned());
        }
        let name = file.file_name().unwrap_or_default();
        let is_zip = Path::new(name).extension().is_some_and(|extension| extension == "zip");
        if is_made && (is_zip || name == MANIFEST_NAME) {
            return refuse("that name belongs to the layers; choose another one".to_owned());
        }
        if !seen.insert((real(directory), name)) {
            return Err(Failure::Error(format!(
                "two documents cannot be written to one file: {} is named twice",
                file.display()
            )));
        }
    }
    Ok(())
}

/// As [`stdout_formats`], for a command that writes no other files.
pub(super) fn on_stdout<F: ReportFormat>(
    format: Option<F>,
    files: &[ReportFile<F>],
    table: F,
) -> Result<Vec<F>, Failure> {
    check_files(files.iter().filter_map(|report| report.file.as_deref()), None)?;
    stdout_formats(format, files, table)
}

/// The formats that go to stdout, in order: that of `--format`, then those of `files` without a file; a table if there is none.
/// Fails if stdout would have to hold two documents.
pub(super) fn stdout_formats<F: ReportFormat>(
    format: Option<F>,
    files: &[ReportFile<F>],
    table: F,
) -> Result<Vec<F>, Failure> {
    let mut formats: Vec<F> = format.into_iter().collect();
    formats.extend(
        files
            .iter()
            .filter(|report| report.file.is_none())
            .map(|report| report.format.clone()),
    );
    if formats.is_empty() {
        formats.push(table);
    }
    if formats.len() > 1 && !formats.iter().all(F::is_lines) {
        return Err(Failure::Error(
            "two documents cannot be written to stdout; write one of them to a file, as in --output json=FILE"
                .to_owned(),
        ));
    }
    Ok(formats)
}

/// Writes each report that goes to a file.
pub(super) fn write_files<F: ReportFormat>(
    files: &[ReportFile<F>],
    render: impl Fn(&F) -> String,
) -> Result<(), Failure> {
    for report in files {
        if let Some(file) = &report.file {
            fs_err::write(file, render(&report.format))
                .map_err(|error| Failure::Error(format!("cannot write the report: {error}")))?;
        }
    }
    Ok(())
}

/// The formats of the reports of most commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum DocumentFormat {
    /// Tables for people
    Table,
    /// One JSON document
    Json,
    /// A page with a map of all files, for a browser
    Html,
}

impl ReportFormat for DocumentFormat {
    fn is_lines(&self) -> bool {
        *self == Self::Table
    }
}

impl DocumentFormat {
    /// A document in this format, or the tables that `table` or the page that `page` makes.
    pub(super) fn render(
        self,
        document: &impl Serialize,
        table: impl FnOnce() -> String,
        page: impl FnOnce() -> String,
    ) -> String {
        match self {
            Self::Table => table(),
            Self::Json => report::json(document),
            Self::Html => page(),
        }
    }
}
