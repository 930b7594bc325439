//! `pack --provenance`: gathers what layers are made from, and which options decided it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, CommandFactory, FromArgMatches};

use crate::config;
use crate::manifest::{LayerChange, MANIFEST_NAME, Manifest, file_hash};
use crate::plan::Plan;
use crate::provenance::{Input, PROVENANCE_NAME, Parameters, Role, Statement, library_digests, tree_digest};
use crate::rules;
use crate::runtime;

use super::arguments::Global;
use super::clock::source_date_epoch;
use super::format::is_stdout;
use super::output::Failure;
use super::pack_job::PackJob;

/// The command whose options are recorded.
const COMMAND: &str = "pack";

/// Options that change nothing in the zips, or that are recorded in another way. All others are recorded.
const NOT_RECORDED: [&str; 18] = [
    "tree",
    "output",
    "report",
    "format",
    "sbom",
    "provenance",
    "previous",
    "rest",
    "cache",
    "cache_size",
    "no_cache",
    "color",
    "quiet",
    "verbose",
    "timings",
    "threads",
    "help",
    "version",
];

/// The options of the command line that decide what is in the zips, by their long names, with their values as they were given.
#[derive(Debug, Clone, Default)]
pub(super) struct GivenOptions(BTreeMap<String, Vec<String>>);

/// Where the statement is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StatementFile {
    /// In the directory of the layers, under its usual name.
    NextToLayers,
    /// In this file.
    At(PathBuf),
}

impl StatementFile {
    /// The usual name alone stands for the one next to the layers.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("the file after '=' is missing".to_owned()),
            PROVENANCE_NAME => Ok(Self::NextToLayers),
            file if is_stdout(file) => Err("stdout has the report: name a file".to_owned()),
            file => Ok(Self::At(file.into())),
        }
    }

    /// Its path, for layers in this directory.
    pub(super) fn path(&self, output: &Path) -> PathBuf {
        match self {
            Self::NextToLayers => output.join(PROVENANCE_NAME),
            Self::At(file) => file.clone(),
        }
    }
}

/// When entries count as made.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum SourceDate {
    /// As the environment variable says.
    #[default]
    Environment,
    /// As the layers that are compared with have it.
    Fixed(Option<i64>),
}

impl SourceDate {
    /// Seconds since 1970; `None` for the earliest date that a zip can have.
    pub(super) fn seconds(self) -> Result<Option<i64>, Failure> {
        match self {
            Self::Environment => source_date_epoch(),
            Self::Fixed(seconds) => Ok(seconds),
        }
    }
}

/// The options of `pack` that are recorded.
fn recorded_options() -> Vec<Arg> {
    let mut command = super::Arguments::command();
    command.build();
    let options = command
        .find_subcommand(COMMAND)
        .into_iter()
        .flat_map(clap::Command::get_arguments);
    let is_recorded = |option: &&Arg| !NOT_RECORDED.contains(&option.get_id().as_str());
    options.filter(is_recorded).cloned().collect()
}

/// The command line of `pack` for what was recorded. Fails for an option that would not have been.
pub(super) fn command_line(parameters: &Parameters, tree: &Path) -> Result<Vec<std::ffi::OsString>, Failure> {
    let options = recorded_options();
    let mut words = vec![env!("CARGO_PKG_NAME").into(), COMMAND.into()];
    for (name, values) in &parameters.options {
        let option = options.iter().find(|option| option.get_long() == Some(name.as_str()));
        let option = option.ok_or_else(|| {
            Failure::Error(format!(
                "the statement has option --{name}, which this version of pack does not have; use the version that wrote it"
            ))
        })?;
        if option.get_action().takes_values() {
            words.extend(values.iter().map(|value| format!("--{name}={value}").into()));
        } else {
            words.push(format!("--{name}").into());
        }
    }
    words.extend(["--".into(), tree.into()]);
    Ok(words)
}

impl Args for GivenOptions {
    fn augment_args(command: clap::Command) -> clap::Command {
        command
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        command
    }
}

impl FromArgMatches for GivenOptions {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = recorded_options().into_iter().filter_map(|option| {
            let id = option.get_id().as_str();
            if matches.value_source(id) != Some(ValueSource::CommandLine) {
                return None;
            }
            let values = matches.get_raw(id).filter(|_| option.get_action().takes_values());
            let values = values.into_iter().flatten();
            let values = values.map(|value| value.to_string_lossy().into_owned()).collect();
            Some((option.get_long()?.to_owned(), values))
        });
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Layers that were packed, and from what.
pub(super) struct BuiltLayers<'a> {
    /// The tree as the user named it.
    pub(super) tree: &'a str,
    /// How they were packed.
    pub(super) job: &'a PackJob<'a>,
    pub(super) plan: &'a Plan,
    pub(super) manifest: &'a Manifest,
    pub(super) source_date: Option<i64>,
    pub(super) given: &'a GivenOptions,
}

impl BuiltLayers<'_> {
    /// Writes the statement.
    pub(super) fn write(&self, file: &StatementFile) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::Error(format!("cannot write the provenance: {error}"));
        let (_, manifest) = file_hash(&self.job.options.output.join(MANIFEST_NAME)).map_err(failed)?;
        let statement = Statement::new(self.manifest, self.parameters(), self.inputs()?, &manifest);
        fs_err::write(file.path(&self.job.options.output), statement.to_json()).map_err(failed)
    }

    fn parameters(&self) -> Parameters {
        let mut options = self.given.0.clone();
        // The configuration counts although no option names it.
        if let Some(file) = configuration(self.job.global) {
            options
                .entry("config".to_owned())
                .or_insert_with(|| vec![file.display().to_string()]);
        }
        Parameters {
            tree: self.tree.to_owned(),
            options,
            source_date_epoch: self.source_date,
            kept_to_previous: self
                .manifest
                .layers
                .iter()
                .any(|layer| matches!(layer.change, Some(LayerChange::Changed | LayerChange::Unchanged))),
        }
    }

    fn inputs(&self) -> Result<Vec<Input>, Failure> {
        let PackJob {
            directory,
            scan,
            placed,
            loaded,
            planning,
            project,
            global,
            progress,
            ..
        } = self.job;
        let runtime = loaded.root().runtime;
        let unreadable =
            |error: std::io::Error| Failure::Error(format!("cannot tell what the layers were made from: {error}"));
        let input = |role, name: &str, digest| Input {
            role,
            name: name.to_owned(),
            uri: None,
            digest,
        };
        let origin = |path| placed.origin(path);
        let tree = tree_digest(directory, &scan.tree, origin, *progress)?;
        let tree =
            tree.ok_or_else(|| unreadable(std::io::Error::other("a file of the tree cannot be read any more")))?;
        let tool = std::env::current_exe()
            .and_then(|path| file_hash(&path))
            .map_err(unreadable)?
            .1;
        let named_runtime = global.runtime.as_ref().or(project.runtime.as_ref());
        let data = runtime::digest(named_runtime.unwrap_or(&runtime.name))?;
        let mut inputs = vec![
            input(Role::Tree, self.tree, tree),
            input(Role::Rules, "built-in rules", rules::digest()),
            input(Role::Runtime, &runtime.name, data),
            input(Role::Tool, env!("CARGO_PKG_NAME"), tool),
        ];
        let files = configuration(global).into_iter();
        let files = files
            .chain(planning.rules.rules.clone())
            .chain(planning.rules.used.clone());
        // What can be read only once is gone, and cannot be compared.
        for file in files.filter(|file| file.is_file()) {
            let path = file.canonicalize().map_err(unreadable)?;
            let (_, digest) = file_hash(&path).map_err(unreadable)?;
            inputs.push(input(Role::File, &file.display().to_string(), digest));
        }
        inputs.extend(library_digests(&self.plan.added).map_err(unreadable)?);
        Ok(inputs)
    }
}

/// The configuration that is used, if there is one.
fn configuration(global: &Global) -> Option<PathBuf> {
    let default = || Some(PathBuf::from(config::DEFAULT_NAME)).filter(|path| path.is_file());
    global.config.clone().or_else(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A misspelled name would let an option be recorded that means nothing elsewhere, such as where the layers were written.
    #[test]
    fn options_that_are_not_recorded_exist() {
        let mut command = super::super::Arguments::command();
        command.build();
        let pack = command.find_subcommand(COMMAND).unwrap();
        let ids: Vec<&str> = pack.get_arguments().map(|option| option.get_id().as_str()).collect();
        for name in NOT_RECORDED {
            assert!(ids.contains(&name) || name == "version", "{name}");
        }
        assert!(recorded_options().iter().all(|option| option.get_long().is_some()));
    }
}
