use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Answer, Failure, Status};

/// Print what a shell needs to complete this program's words
///
/// For bash, for example: lambdar-prune completions bash > /etc/bash_completion.d/lambdar-prune
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Arguments {
    pub(super) fn run(&self) -> Answer {
        let mut command = super::Arguments::command();
        let name = command.get_name().to_owned();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        fine(&script)
    }
}

/// The manual page: the program's, and behind it those of its commands, which `man -l` shows one after the other.
pub(super) fn manual() -> Result<Answer, Failure> {
    let mut command = super::Arguments::command();
    command.build();
    let mut page = Vec::new();
    let mut all = vec![command];
    while let Some(command) = all.pop() {
        let mut commands: Vec<clap::Command> = command
            .get_subcommands()
            .filter(|command| command.get_name() != "help")
            .cloned()
            .collect();
        commands.reverse();
        all.extend(commands);
        clap_mangen::Man::new(command)
            .render(&mut page)
            .map_err(|error| Failure::Error(error.to_string()))?;
    }
    Ok(fine(&page))
}

fn fine(text: &[u8]) -> Answer {
    Answer {
        text: String::from_utf8_lossy(text).into_owned(),
        status: Status::Fine,
    }
}
