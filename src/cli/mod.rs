//! The command line: arguments become options, options a call into the library, and its result is printed here and nowhere
//! else.
//!
//! Each command has a file of its own. [`arguments`] has the options that they share, [`inputs`] and [`layers`] turn options
//! into what the library takes, and [`output`] has what a command gives back.

mod analyze;
mod arguments;
mod bootstrap;
mod check;
mod clock;
mod compile;
mod complete;
mod completions;
mod diff;
mod format;
mod function;
mod init;
mod inputs;
mod invoke;
mod layers;
mod output;
mod pack;
mod pack_job;
mod progress;
mod prove;
mod provenance;
mod prune;
mod publish;
mod replay;
mod rules;
mod runtimes;
mod sbom;
mod verify;
mod why;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::env::CompleteEnv;

use arguments::{Format, Global};
use output::{Failure, Output, Status, error, print, tell};
use progress::Terminal;

use crate::{report, timings};

/// Prune a runtime built under /opt, pack it into the fewest AWS Lambda layers, and check that they will run.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    propagate_version = true,
    after_help = concat!("Start with: lambdar-prune analyze TREE\nDocumentation: ", env!("CARGO_PKG_REPOSITORY")),
    after_long_help = concat!(
        "\
Examples:
  lambdar-prune analyze /opt                  # what is large, what can be removed, what is missing
  lambdar-prune pack /opt && lambdar-prune check
  lambdar-prune invoke --handler app.handler --task my-function --event '{}'

Exit status:
  0    success
  1    the check failed: findings of severity error, or something does not fit
  2    wrong arguments, or something could not be read or written
  130  stopped with Ctrl-C; nothing half-written is left

Environment variables:
  NO_COLOR, CLICOLOR_FORCE  never or always use color, unless --color is given
  SOURCE_DATE_EPOCH         date of the entries of a zip, in seconds since 1970 [default: 1980-01-01]
  XDG_CACHE_HOME            parent of the cache directory of pack [default: ~/.cache]

Documentation: ",
        env!("CARGO_PKG_REPOSITORY")
    )
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

#[derive(Debug, Subcommand)]
enum Command {
    Analyze(analyze::Arguments),
    Pack(Box<pack::Arguments>),
    Check(check::Arguments),
    Diff(diff::Arguments),
    Prune(prune::Arguments),
    Bootstrap(bootstrap::Arguments),
    Rules(rules::Arguments),
    Publish(publish::Arguments),
    Invoke(invoke::Arguments),
    Why(why::Arguments),
    Runtimes(runtimes::Arguments),
    Sbom(sbom::Arguments),
    Verify(verify::Arguments),
    Init(init::Arguments),
    Completions(completions::Arguments),
    Man(completions::ManArguments),
}

/// The word by which `invoke` starts this program inside of its sandbox. It is not for people, so clap does not know it.
const INSIDE: &str = "inside";

/// Parses the arguments, runs the command, prints, and gives the exit status.
pub fn run() -> ExitCode {
    let directory = std::env::current_dir().ok();
    let completer = CompleteEnv::with_factory(Arguments::command).var(completions::VARIABLE);
    match completer.try_complete(std::env::args_os(), directory.as_deref()) {
        Ok(false) => {}
        Ok(true) => return Status::Ok.into(),
        Err(_) => return Status::Failed.into(),
    }
    if std::env::args_os().nth(1).is_some_and(|word| word == INSIDE) {
        return invoke::InsideArguments::parse_from(std::env::args_os().skip(1)).run();
    }
    let arguments = Arguments::parse();
    output::set_color(arguments.global.colors_stderr());
    if let Some(threads) = arguments.global.threads {
        // The pool is set up once, here: this cannot fail.
        let _ = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.into())
            .build_global();
    }
    if arguments.global.timings.is_some() {
        timings::record();
    }
    let result = arguments.validate().and_then(|()| arguments.run());
    let result = result.or_else(|failure| failed(&failure, arguments.global.format));
    let status = result.map_or_else(
        |status| status,
        |output| match print(&output.text) {
            Ok(()) => output.status,
            Err(reason) => {
                error(&format!("cannot write to stdout: {reason}"));
                Status::Failed
            }
        },
    );
    tell_timings(&arguments.global);
    status.into()
}

/// Tells why a command has no output. For a program that asked for a document, the answer no is one.
fn failed(failure: &Failure, format: Format) -> Result<Output, Status> {
    error(failure.message());
    match failure {
        Failure::No(message) if format == Format::Json => Ok(Output {
            text: report::json(&report::Refusal::new(message)),
            status: failure.status(),
        }),
        _ => Err(failure.status()),
    }
}

/// With `--timings`, where the time of the run went.
fn tell_timings(global: &Global) {
    let Some((format, timings)) = global.timings.zip(timings::take()) else {
        return;
    };
    let text = match format {
        Format::Table => report::timings(&timings, global.plain_options()),
        Format::Json => report::json(&timings),
    };
    tell(text.trim_end());
}

impl Arguments {
    /// Refuses global options that the command would ignore, and a runtime that does not exist, before anything is read.
    fn validate(&self) -> Result<(), Failure> {
        let global = &self.global;
        let given = [
            ("--runtime", global.runtime.is_some()),
            ("--arch", global.arch.is_some()),
            ("--config", global.config.is_some()),
            ("--format", global.format != Format::Table),
        ];
        let ignored: &[&str] = match &self.command {
            Command::Diff(_) => &["--runtime", "--arch", "--config"],
            Command::Runtimes(_) => &["--runtime", "--config"],
            Command::Sbom(_) | Command::Verify(_) => &["--runtime", "--arch"],
            Command::Init(_) => &["--config", "--format"],
            Command::Completions(_) | Command::Man(_) => &["--runtime", "--arch", "--config", "--format"],
            _ => &[],
        };
        match given
            .into_iter()
            .find(|(option, is_given)| *is_given && ignored.contains(option))
        {
            Some((option, _)) => Err(Failure::Error(format!("this command does not use {option}: omit it"))),
            None => global.check_runtime(),
        }
    }

    fn run(&self) -> Result<Output, Failure> {
        let global = &self.global;
        let progress = Terminal::new(global.quiet);
        match &self.command {
            Command::Analyze(command) => command.run(global, &progress),
            Command::Pack(command) => command.run(global, &progress),
            Command::Check(command) => command.run(global, &progress),
            Command::Diff(command) => command.run(global, &progress),
            Command::Prune(command) => command.run(global, &progress),
            Command::Bootstrap(command) => command.run(global, &progress),
            Command::Rules(command) => command.run(global, &progress),
            Command::Publish(command) => command.run(global, &progress),
            Command::Invoke(command) => command.run(global, &progress),
            Command::Why(command) => command.run(global, &progress),
            Command::Runtimes(command) => command.run(global, &progress),
            Command::Sbom(command) => command.run(global, &progress),
            Command::Verify(command) => command.run(global, &progress),
            Command::Init(command) => command.run(global, &progress),
            Command::Completions(command) => command.run(),
            Command::Man(command) => command.run(),
        }
    }
}
