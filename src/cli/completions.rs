use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::output::{Failure, Output};

/// Generate shell completions
///
/// For bash, for example: lambdar-prune completions bash > /etc/bash_completion.d/lambdar-prune
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Arguments {
    pub(super) fn run(&self) -> Output {
        let mut command = super::Arguments::command();
        let name = command.get_name().to_owned();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        text(&script)
    }
}

/// The manual page of the program followed by those of its commands, which `man -l` shows one after the other.
pub(super) fn manual() -> Result<Output, Failure> {
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
    Ok(text(&page))
}

fn text(bytes: &[u8]) -> Output {
    Output::ok(String::from_utf8_lossy(bytes).into_owned())
}
