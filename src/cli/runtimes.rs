use std::path::PathBuf;

use clap::{Args, Subcommand};

use lambdar_prune::report;
use lambdar_prune::runtime::{Arch, CaptureError, Runtime, built_in, capture};
use lambdar_prune::tree::scan::ScanError;

use super::progress::Terminal;
use super::{Answer, Failure, Format, Global, Status};

/// List the Lambda runtimes that are built in, show one, or make one from an unpacked image
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what a runtime has
    Show {
        /// The runtime's name, or a file
        #[arg(value_name = "NAME|FILE")]
        name: String,
    },
    /// Make a runtime file from the root of an unpacked image
    Capture {
        /// The folder that is / in the image
        root: PathBuf,
        /// The file to write; stdout unless given
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// The name of the runtime; that of the folder unless given
        #[arg(long)]
        name: Option<String>,
    },
}

impl From<CaptureError> for Failure {
    fn from(error: CaptureError) -> Self {
        match error {
            CaptureError::Scan(ScanError::Interrupted(_)) => Self::Interrupted,
            error => Self::Error(error.to_string()),
        }
    }
}

impl Arguments {
    pub(super) fn run(&self, global: &Global, progress: &Terminal) -> Result<Answer, Failure> {
        let text = match &self.command {
            None => {
                let list = report::RuntimeList::new(built_in()?);
                match global.format {
                    Format::Json => report::json(&list),
                    Format::Table => report::runtimes(&list, global.look()),
                }
            }
            Some(Command::Show { name }) => {
                let runtime = Runtime::load(name, global.arch.unwrap_or(Arch::X86_64))?;
                match global.format {
                    Format::Json => report::json(&report::RuntimeReport::of(&runtime)),
                    Format::Table => report::runtime(&runtime, global.look()),
                }
            }
            Some(Command::Capture { root, output, name }) => {
                let folder = root.canonicalize().unwrap_or_else(|_| root.clone());
                let of_folder = folder.file_name().map(|name| name.to_string_lossy().into_owned());
                let name = name.clone().or(of_folder).unwrap_or_else(|| "captured".to_owned());
                let text = capture(root, &name, progress)?;
                match output {
                    None => text,
                    Some(file) => {
                        fs_err::write(file, text).map_err(|error| Failure::Error(error.to_string()))?;
                        String::new()
                    }
                }
            }
        };
        Ok(Answer {
            text,
            status: Status::Fine,
        })
    }
}
