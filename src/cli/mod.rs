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
mod completions;
mod diff;
mod format;
mod inputs;
mod invoke;
mod layers;
mod output;
mod pack;
mod progress;
mod prune;
mod publish;
mod rules;
mod runtimes;
mod why;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use arguments::Global;
use output::{Failure, Output, Status, complain, print};
use progress::Terminal;

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
    /// Print the manual page in troff
    Man,
}

/// Parses the arguments, runs the command, prints, and gives the exit status.
pub fn run() -> ExitCode {
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
    let status = match run_command(&arguments) {
        Ok(output) => match print(&output.text) {
            Ok(()) => output.status,
            Err(error) => {
                complain(&format!("cannot write to stdout: {error}"));
                Status::Failed
            }
        },
        Err(failure) => {
            complain(failure.message());
            failure.status()
        }
    };
    status.into()
}

fn run_command(arguments: &Arguments) -> Result<Output, Failure> {
    let global = &arguments.global;
    let progress = Terminal::new(global.quiet);
    match &arguments.command {
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
        // It has run already.
        Command::Inside(_) => Ok(Output::ok(String::new())),
        Command::Completions(command) => Ok(command.run()),
        Command::Man => completions::manual(),
    }
}
