//! The command line: arguments become options, options a call into the library, and its result is printed here and nowhere
//! else.
//!
//! [`arguments`] has what the user may write, [`inputs`] and [`layers`] make from it what the library takes, [`output`] has
//! what a command gives back, and each command has a file of its own.

mod analyze;
mod arguments;
mod bootstrap;
mod check;
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

use clap::Parser;

use arguments::{Arguments, Command};
use output::{Failure, Output, Status, complain, print};
use progress::Terminal;

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
