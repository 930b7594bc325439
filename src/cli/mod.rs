//! The command line: arguments become options, options a call into the library, and its answer is printed here and
//! nowhere else.

mod analyze;
mod bootstrap;
mod check;
mod completions;
mod diff;
mod form;
mod invoke;
mod pack;
mod progress;
mod prune;
mod publish;
mod rules;
mod runtimes;
mod why;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use lambdar_prune::config::{Config, ConfigError};
use lambdar_prune::host::{HostDirectories, Libraries, NoLibraries};
use lambdar_prune::plan::{Plan, PlanError, Symlinks, plan};
use lambdar_prune::progress::Interrupted;
use lambdar_prune::report::RenderOptions;
use lambdar_prune::root::Root;
use lambdar_prune::rules::{Matcher, RuleError, RuleSelection, RuleSet, read_rules};
use lambdar_prune::runtime::{self, Arch, Runtime, RuntimeError};
use lambdar_prune::tree::Tree;
use lambdar_prune::tree::scan::opener;

use form::FormOption;
use progress::Terminal;

/// The answer is yes: 0; it is no: 1; it could not be found: 2; stopped by the user: 130, as a shell has it (128 + SIGINT).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Fine,
    No,
    Failed,
    Interrupted,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(match status {
            Status::Fine => 0,
            Status::No => 1,
            Status::Failed => 2,
            Status::Interrupted => 130,
        })
    }
}

/// Prune a runtime built under /opt, pack it into the fewest AWS Lambda layers, and check that they will run.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

#[derive(Debug, Subcommand)]
enum Command {
    Analyze(analyze::Arguments),
    Pack(pack::Arguments),
    Check(check::Arguments),
    Diff(diff::Arguments),
    Prune(prune::Arguments),
    Bootstrap(bootstrap::Arguments),
    Rules(rules::Arguments),
    Publish(publish::Arguments),
    Invoke(invoke::Arguments),
    Why(why::Arguments),
    Runtimes(runtimes::Arguments),
    #[command(hide = true)]
    Inside(invoke::InsideArguments),
    Completions(completions::Arguments),
    /// Print the manual page, in troff
    Man,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
struct Global {
    /// Which form the answer has
    #[arg(long, global = true, value_enum, default_value_t = Format::Table, value_name = "FORM")]
    format: Format,
    /// When to use colour; NO_COLOR in the environment means never
    #[arg(long, global = true, value_enum, default_value_t = When::Auto, value_name = "WHEN")]
    color: When,
    /// Say nothing but errors and the answer
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Show lists whole
    #[arg(short, long, global = true)]
    verbose: bool,
    /// How many threads to use; all processors unless given. The result is the same with any number
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// The Lambda runtime that the layers are for, by name or as a file [default: provided.al2023]
    #[arg(long, global = true, value_name = "NAME|FILE")]
    runtime: Option<String>,
    /// The architecture, x86_64 or arm64; that of most files in the tree unless given
    #[arg(long, global = true, value_name = "ARCH")]
    arch: Option<Arch>,
    /// The configuration of the project [default: lambdar-prune.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Tables for people
    Table,
    /// One JSON document
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum When {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What decides on what of the tree goes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "What goes and what comes in")]
struct Choosing {
    /// Switch a rule, or a category of rules, on
    #[arg(long, value_name = "ID")]
    enable: Vec<String>,
    /// Switch a rule, or a category of rules, off
    #[arg(long, value_name = "ID")]
    disable: Vec<String>,
    /// Keep what matches, whatever a rule says; relative to the tree, as in 'share/doc/**'
    #[arg(long, value_name = "GLOB")]
    keep: Vec<String>,
    /// Leave out what matches, even without a rule
    #[arg(long, value_name = "GLOB")]
    drop: Vec<String>,
    /// Of R's packages, keep these, what they need, and what R itself needs
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    r_packages: Option<Vec<String>>,
    /// Add the rules of a file
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
}

/// What decides on what of the tree goes and what comes in.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "What goes and what comes in")]
struct Planning {
    #[command(flatten)]
    choosing: Choosing,
    /// Look for missing libraries here before the folders of this machine
    #[arg(long, value_name = "DIR")]
    library_dir: Vec<PathBuf>,
    /// Bring no library in from this machine
    #[arg(long)]
    no_import: bool,
    /// Leave R as it is where it runs a `which` that the runtime lacks
    #[arg(long)]
    no_fix: bool,
}

/// The rules as they were chosen, and the choices that name single paths and packages.
struct Chosen {
    rules: RuleSet,
    choices: Vec<RuleSelection>,
}

impl Choosing {
    /// What the configuration says, and then the command line, which beats it.
    fn chosen(&self, global: &Global) -> Result<Chosen, Failure> {
        let mut own = Vec::new();
        for file in &self.rules {
            own.extend(read_rules(file)?);
        }
        let command_line = RuleSelection {
            file: None,
            rules: own,
            enable: self.enable.clone(),
            disable: self.disable.clone(),
            keep: self.keep.clone(),
            drop: self.drop.clone(),
            r_packages: self.r_packages.clone(),
        };
        let choices = vec![global.config()?.selection, command_line];
        Ok(Chosen {
            rules: RuleSet::chosen(&choices)?,
            choices,
        })
    }
}

impl Planning {
    /// The libraries of this machine, to look at.
    fn host(&self) -> HostDirectories {
        HostDirectories::new(&self.library_dir)
    }

    fn plan(
        &self,
        folder: &Path,
        tree: &Tree,
        runtime: &Runtime,
        chosen: &Chosen,
        symlinks: Symlinks,
    ) -> Result<(Plan, Matcher), PlanError> {
        let matcher = Matcher::new(&chosen.rules, &chosen.choices, Root { tree, runtime })?;
        let host = self.host();
        let libraries: &dyn Libraries = if self.no_import { &NoLibraries } else { &host };
        let mut plan = plan(tree, runtime, &matcher, symlinks, libraries, &opener(folder))?;
        if !self.no_fix {
            plan.repair(runtime);
        }
        Ok((plan, matcher))
    }
}

impl Global {
    fn look(&self) -> RenderOptions {
        let terminal = std::io::stdout().is_terminal();
        let allowed = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        RenderOptions {
            color: match self.color {
                When::Always => true,
                When::Never => false,
                When::Auto => terminal && allowed && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
            },
            width: terminal.then(progress::width),
            verbose: self.verbose,
        }
    }

    /// Says on stderr what may be of interest and is no fault.
    fn note(&self, note: &str) {
        if !self.quiet {
            complain(&format!("note: {note}"));
        }
    }

    /// What the project wants of every run.
    fn config(&self) -> Result<Config, ConfigError> {
        Config::load(self.config.as_deref())
    }

    /// The runtime for a tree: the architecture is the one that most of its objects are for, unless it is given.
    fn runtime(&self, tree: &Tree) -> Result<Runtime, RuntimeError> {
        let of_tree = Arch::of_most(tree.objects().map(|(_, object)| object));
        let arch = self.arch.or(of_tree).unwrap_or(Arch::X86_64);
        Runtime::load(self.runtime.as_deref().unwrap_or(runtime::DEFAULT), arch)
    }
}

/// What a command has to say: the answer for stdout, and whether it is good.
struct Answer {
    text: String,
    status: Status,
}

/// An error with its message for people; one that the user asked for has none.
enum Failure {
    Interrupted,
    /// The user stopped it, and something was changed already.
    Stopped(String),
    /// The answer is no, and nothing was made.
    No(String),
    Error(String),
}

impl From<Interrupted> for Failure {
    fn from(_: Interrupted) -> Self {
        Self::Interrupted
    }
}

/// Errors of the library that only ever mean that the answer could not be found.
macro_rules! failures {
    ($($error:ty),*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::Error(error.to_string())
            }
        })*
    };
}
failures!(ConfigError, PlanError, RuleError, RuntimeError);

/// Parses the arguments, runs the command, prints, and gives the exit status.
pub(crate) fn run() -> ExitCode {
    let arguments = Arguments::parse();
    if let Command::Inside(arguments) = &arguments.command {
        return arguments.run();
    }
    if let Some(threads) = arguments.global.threads {
        // The pool is set up once, here: this cannot fail.
        let _ = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.into())
            .build_global();
    }
    let progress = Terminal::new(arguments.global.quiet);
    let global = &arguments.global;
    let answer = match &arguments.command {
        Command::Analyze(arguments) => arguments.run(global, &progress),
        Command::Pack(arguments) => arguments.run(global, &progress),
        Command::Check(arguments) => arguments.run(global, &progress),
        Command::Diff(arguments) => arguments.run(global, &progress),
        Command::Prune(arguments) => arguments.run(global, &progress),
        Command::Bootstrap(arguments) => arguments.run(global, &progress),
        Command::Rules(arguments) => arguments.run(global, &progress),
        Command::Publish(arguments) => arguments.run(global, &progress),
        Command::Invoke(arguments) => arguments.run(global, &progress),
        Command::Why(arguments) => arguments.run(global, &progress),
        Command::Runtimes(arguments) => arguments.run(global, &progress),
        // It has run already.
        Command::Inside(_) => return Status::Fine.into(),
        Command::Completions(arguments) => Ok(arguments.run()),
        Command::Man => completions::manual(),
    };
    let status = match answer {
        Ok(answer) => match print(&answer.text) {
            Ok(()) => answer.status,
            Err(error) => {
                complain(&format!("cannot print the answer: {error}"));
                Status::Failed
            }
        },
        Err(Failure::Interrupted) => {
            complain("interrupted; nothing was changed");
            Status::Interrupted
        }
        Err(Failure::Stopped(message)) => {
            complain(&message);
            Status::Interrupted
        }
        Err(Failure::No(message)) => {
            complain(&message);
            Status::No
        }
        Err(Failure::Error(message)) => {
            complain(&message);
            Status::Failed
        }
    };
    status.into()
}

/// Prints to stdout. Whoever reads it may stop reading: `lambdar-prune analyze | head` is no error.
fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn complain(message: &str) {
    // Where even stderr is closed, there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "lambdar-prune: {message}");
}
