use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;

use crate::capture::{capture, name_of};
use crate::report;
use crate::runtime::{Arch, Runtime};

use super::arguments::Global;
use super::clock::today;
use super::complete;
use super::format::is_stdout;
use super::inputs::TreeDirectory;
use super::output::{Failure, Output};
use super::progress::Terminal;

/// List the built-in Lambda runtimes, show one, or capture one from an image
///
/// Exit status: 0, or 2 if something went wrong.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdar-prune runtimes
  lambdar-prune runtimes show python3.13
  lambdar-prune runtimes capture ROOT -o mine.toml && lambdar-prune check --runtime mine.toml")]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the libraries, commands and environment of a runtime
    Show {
        /// Name of a runtime, or a file
        #[arg(value_name = "NAME|FILE", add = ArgValueCompleter::new(complete::runtimes))]
        name: String,
    },
    /// Write a runtime file from the root of an image
    Capture {
        /// Root directory of an unpacked image, or the image: an archive of `docker save`, or an OCI archive or layout
        root: PathBuf,
        /// File to write; - for stdout [default: stdout]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Name of the runtime [default: ID and VERSION_ID of os-release, as in debian-12, else the name of the directory]
        #[arg(long, value_parser = runtime_name)]
        name: Option<String>,
    },
}

impl Arguments {
    pub(super) fn run(&self, global: &Global, progress: &Terminal) -> Result<Output, Failure> {
        let text = match &self.command {
            None => {
                let list = report::RuntimeList::on(today()?)?;
                global.render(&list, |options| report::runtimes(&list, options))
            }
            Some(Command::Show { name }) => {
                let runtime = Runtime::load(name, global.arch.unwrap_or(Arch::X86_64))?;
                global.render(&report::RuntimeReport::of(&runtime), |options| {
                    report::runtime(&runtime, options)
                })
            }
            Some(Command::Capture { root, output, name }) => {
                let opened = TreeDirectory::open(root.clone(), "/", global, progress)?;
                let directory = root.canonicalize().unwrap_or_else(|_| root.clone());
                let own = directory.file_name().map(|name| name.to_string_lossy().into_owned());
                // Of an archive, the name without what says that it is one.
                let own = own.map(|name| match name.split_once(".tar") {
                    Some((name, _)) if opened.is_image() => name.to_owned(),
                    _ => name,
                });
                let name = name.clone().or_else(|| name_of(opened.path())).or(own);
                let name = name.unwrap_or_else(|| "captured".to_owned());
                let text = capture(opened.path(), &name, progress)?;
                match output {
                    None => text,
                    Some(file) if file.to_str().is_some_and(is_stdout) => text,
                    Some(file) => {
                        fs_err::write(file, text).map_err(|error| Failure::Error(error.to_string()))?;
                        String::new()
                    }
                }
            }
        };
        Ok(Output::ok(text))
    }
}

/// A name that tables and files can show in a line.
fn runtime_name(name: &str) -> Result<String, String> {
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        return Err("give a name of one line that is not blank".to_owned());
    }
    Ok(name.to_owned())
}
