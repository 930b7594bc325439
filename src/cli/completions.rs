use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use clap_complete::env::{Bash, Elvish, EnvCompleter, Fish, Powershell, Zsh};

use super::output::{Failure, Output};

/// The variable by which a shell asks the program for what a word may become.
pub(super) const VARIABLE: &str = "LAMBDAR_PRUNE_COMPLETE";

/// Generate shell completions
///
/// The script asks lambdar-prune for candidates, so it knows your rules, runtimes and the paths in the tree, and needs no
/// update of its own.
///
/// Exit status: 0, or 2 if something went wrong.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  source <(lambdar-prune completions bash)          # in ~/.bashrc
  source <(lambdar-prune completions zsh)           # in ~/.zshrc, after compinit
  lambdar-prune completions fish | source           # in ~/.config/fish/config.fish")]
pub(super) struct Arguments {
    /// Shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Arguments {
    pub(super) fn run(&self) -> Result<Output, Failure> {
        let shell: &dyn EnvCompleter = match self.shell {
            Shell::Bash => &Bash,
            Shell::Elvish => &Elvish,
            Shell::Fish => &Fish,
            Shell::PowerShell => &Powershell,
            Shell::Zsh => &Zsh,
            other => return Err(Failure::Error(format!("there are no completions for {other}"))),
        };
        let name = env!("CARGO_PKG_NAME");
        let mut script = Vec::new();
        shell
            .write_registration(VARIABLE, name, name, name, &mut script)
            .map_err(|error| Failure::Error(error.to_string()))?;
        Ok(match self.shell {
            Shell::Bash => Output::ok(joining_at_equals(&String::from_utf8_lossy(&script))),
            _ => text(&script),
        })
    }
}

/// Puts words together that readline splits at `=` (bash's `COMP_WORDBREAKS`), for the program expects `--option=value` as one.
/// Readline replaces only what is after the `=`, so that nothing before it may be in what is offered.
const JOIN: &str = r#"    if [[ ${COMP_WORDS[COMP_CWORD]} == "=" ]]; then
        words[COMP_CWORD]="="
    fi
    local joined=() word glue="" before=""
    for word in "${words[@]:0:COMP_CWORD + 1}"; do
        if [[ ${#joined[@]} -gt 0 && ( $word == "=" || -n $glue ) ]]; then
            joined[${#joined[@]} - 1]+=$word
            [[ $word == "=" && -z $glue ]] && before=${joined[${#joined[@]} - 1]}
            [[ $word == "=" ]] && glue=yes || glue=""
        else
            joined+=("$word")
            before=""
        fi
    done
    words=("${joined[@]}")
    _CLAP_COMPLETE_INDEX=$((${#words[@]} - 1))
"#;

/// Where the words are asked about, and where the function ends, in the script of [`Bash`].
const ASKS: &str = "    COMPREPLY=( $( \\\n";
const ENDS: &str = "\n}\nif [[ ";

fn joining_at_equals(script: &str) -> String {
    let removes = "\n    COMPREPLY=(\"${COMPREPLY[@]#\"$before\"}\")";
    script
        .replacen(ASKS, &format!("{JOIN}{ASKS}"), 1)
        .replacen(ENDS, &format!("{removes}{ENDS}"), 1)
}

/// Generate manual pages
///
/// Without a directory all pages are printed one after the other, as `man -l -` shows them.
///
/// Exit status: 0, or 2 if something went wrong.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdar-prune man | man -l -
  lambdar-prune man -o ~/.local/share/man/man1      # lambdar-prune.1, lambdar-prune-pack.1, …")]
pub(super) struct ManArguments {
    /// Existing directory to write one file per command to
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

impl ManArguments {
    pub(super) fn run(&self) -> Result<Output, Failure> {
        let mut command = super::Arguments::command().disable_help_subcommand(true);
        command.build();
        let failure = |error: std::io::Error| Failure::Error(format!("cannot write the manual: {error}"));
        let mut all = vec![command];
        let mut pages = Vec::new();
        while let Some(command) = all.pop() {
            let mut commands: Vec<clap::Command> = command.get_subcommands().cloned().collect();
            commands.reverse();
            all.extend(commands);
            let page = clap_mangen::Man::new(command);
            let mut bytes = Vec::new();
            page.render(&mut bytes).map_err(failure)?;
            pages.push((page.get_filename(), bytes));
        }
        let Some(directory) = &self.output else {
            let bytes: Vec<u8> = pages.into_iter().flat_map(|(_, bytes)| bytes).collect();
            return Ok(text(&bytes));
        };
        for (name, bytes) in pages {
            fs_err::write(directory.join(name), bytes).map_err(failure)?;
        }
        Ok(Output::ok(String::new()))
    }
}

fn text(bytes: &[u8]) -> Output {
    Output::ok(String::from_utf8_lossy(bytes).into_owned())
}
