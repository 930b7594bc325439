//! The global options, and the options that several commands share.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCompleter;

use crate::runtime::Arch;

use super::complete;

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Global {
    /// Output format
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub(super) format: Format,
    /// When to use color; NO_COLOR and CLICOLOR_FORCE are respected
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub(super) color: ColorChoice,
    /// Print only the result and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// Show complete lists
    #[arg(short, long, global = true)]
    pub(super) verbose: bool,
    /// Print to stderr where the time went: phases with wall and processor time, and bytes per second
    #[arg(long, global = true, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "table", value_name = "FORMAT")]
    pub(super) timings: Option<Format>,
    /// Number of threads; the result does not depend on it [default: the number of processors]
    #[arg(short = 'j', long, global = true, value_name = "N", allow_negative_numbers = true, value_parser = whole_number(1_u16, 1024))]
    pub(super) threads: Option<u16>,
    /// Lambda runtime that the layers are for, by name or as a file [default: provided.al2023]
    #[arg(long, global = true, value_name = "NAME|FILE", add = ArgValueCompleter::new(complete::runtimes))]
    pub(super) runtime: Option<String>,
    /// Architecture, x86_64 or arm64 [default: that of most files in the tree]
    #[arg(long, global = true, value_name = "ARCH", add = ArgValueCompleter::new(complete::archs))]
    pub(super) arch: Option<Arch>,
    /// Configuration of the project [default: lambdar-prune.toml, if it exists]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Tables for people
    Table,
    /// One JSON document
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorChoice {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The options that select what is removed from a tree.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Pruning and imports")]
pub(super) struct RuleOptions {
    /// Enable a rule or a category of rules
    #[arg(long, value_name = "ID", add = ArgValueCompleter::new(complete::rules))]
    pub(super) enable: Vec<String>,
    /// Disable a rule or a category of rules
    #[arg(long, value_name = "ID", add = ArgValueCompleter::new(complete::rules))]
    pub(super) disable: Vec<String>,
    /// Keep matching files, whatever the rules say; relative to the tree, as in 'share/doc/**'
    #[arg(long, value_name = "GLOB", add = ArgValueCompleter::new(complete::tree_paths))]
    pub(super) keep: Vec<String>,
    /// Remove matching files, even without a rule
    #[arg(long, value_name = "GLOB", add = ArgValueCompleter::new(complete::tree_paths))]
    pub(super) drop: Vec<String>,
    /// Keep only these R packages, the packages that they need, and those that R itself needs
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub(super) r_packages: Option<Vec<String>>,
    /// Keep only what recordings of `invoke --record` used, and what that needs; can be repeated
    #[arg(long, value_name = "FILE")]
    pub(super) used: Vec<PathBuf>,
    /// How much of a package to keep if only part of it is used
    #[arg(long, value_enum, default_value_t = UsedDepth::Component, value_name = "DEPTH")]
    pub(super) used_depth: UsedDepth,
    /// Add the rules of a file
    #[arg(long, value_name = "FILE")]
    pub(super) rules: Vec<PathBuf>,
}

/// How much of a package to keep if only part of it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum UsedDepth {
    /// The whole package, and those that it requires
    Component,
    /// Single files
    File,
}

/// Reads a whole number between two bounds, both included. An error says it for people, without the words of a programming
/// language.
pub(super) fn whole_number<T>(least: T, most: T) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: Copy + PartialOrd + std::fmt::Display + std::str::FromStr + Send + Sync + 'static,
{
    move |text| {
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| format!("write a whole number from {least} to {most}"))
    }
}

/// The option that says which environment the function has.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct EnvironmentOption {
    /// Set a variable of the function's environment, such as LD_LIBRARY_PATH or AWS_LAMBDA_EXEC_WRAPPER
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub(super) env: Vec<(String, String)>,
}

/// A variable of an environment, as `NAME=VALUE`.
pub(super) fn variable(text: &str) -> Result<(String, String), String> {
    let found = text
        .split_once('=')
        .filter(|(name, value)| !name.is_empty() && !name.contains('\0') && !value.contains('\0'));
    let (name, value) = found.ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The value of --no-fix for all repairs.
pub(super) const ALL_FIXES: &str = "all";

fn fix_parser() -> PossibleValuesParser {
    let names = crate::plan::fix_names();
    PossibleValuesParser::new(names.into_iter().chain([ALL_FIXES]))
}

/// The options that select what is removed from a tree and what is added to it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Pruning and imports")]
pub(super) struct PlanOptions {
    #[command(flatten)]
    pub(super) rules: RuleOptions,
    #[command(flatten)]
    pub(super) environment: EnvironmentOption,
    /// Look for missing libraries in this directory before those of this machine
    #[arg(long, value_name = "DIR")]
    pub(super) library_dir: Vec<PathBuf>,
    /// Do not add libraries from this machine
    #[arg(long)]
    pub(super) no_import: bool,
    /// Do not repair what would not run on Lambda; with names, skip only these repairs, named as in layers.json
    #[arg(
        long,
        value_name = "ID,...",
        num_args = 0..=1,
        require_equals = true,
        value_delimiter = ',',
        default_missing_value = ALL_FIXES,
        value_parser = fix_parser()
    )]
    pub(super) no_fix: Vec<String>,
}
