use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use lambdar_prune::config::Config;
use lambdar_prune::lint::lint;
use lambdar_prune::report::{self, Linted, RuleList, ShownRules};
use lambdar_prune::rules::{RuleError, RuleSelection, RuleSet, read_rules};
use lambdar_prune::toml_file::TomlError;
use lambdar_prune::tree::scan::{Scan, ScanError, scan};

use super::progress::Terminal;
use super::prune::planned;
use super::{Answer, Choosing, Chosen, Failure, Format, Global, Status, complain};

/// Where the tree is looked for where none is given.
const TREE: &str = "/opt";

/// List the rules, show one with what it takes, or test rules of your own
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    choosing: Choosing,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a rule, or all of a category: what it takes in a tree, and what then stops working
    Show {
        /// The name of a rule or a category
        id: String,
        /// The tree [default: /opt, if it is there]
        tree: Option<PathBuf>,
        #[command(flatten)]
        choosing: Choosing,
    },
    /// Look for mistakes in a rule file or a lambdar-prune.toml: rules that take nothing, what others take, or what is needed
    ///
    /// Exit status: 0 if there is none, 1 if there are some, 2 if something went wrong.
    Test {
        /// The file
        file: PathBuf,
        /// The tree
        #[arg(default_value = TREE)]
        tree: PathBuf,
    },
}

impl Arguments {
    pub(super) fn run(&self, global: &Global, progress: &Terminal) -> Result<Answer, Failure> {
        match &self.command {
            None => {
                let list = RuleList::new(&self.choosing.chosen(global)?.rules);
                Ok(fine(match global.format {
                    Format::Json => report::json(&list),
                    Format::Table => report::rule_list(&list, global.look()),
                }))
            }
            Some(Command::Show { id, tree, choosing }) => show(id, tree.as_deref(), choosing, global, progress),
            Some(Command::Test { file, tree }) => test(file, tree, global, progress),
        }
    }
}

fn fine(text: String) -> Answer {
    Answer {
        text,
        status: Status::Fine,
    }
}

/// Shows rules as they would work if they were on.
fn show(
    name: &str,
    tree: Option<&Path>,
    choosing: &Choosing,
    global: &Global,
    progress: &Terminal,
) -> Result<Answer, Failure> {
    let mut chosen = choosing.chosen(global)?;
    let numbers = chosen.rules.named(name, "rules show")?;
    let listed = RuleList::of(&chosen.rules, &numbers);
    let folder = tree.unwrap_or(Path::new(TREE));
    let scanned = match (scan(folder, progress), tree) {
        (Ok(scan), _) => Some(scan),
        (Err(ScanError::Unreachable { .. } | ScanError::Empty(_)), None) => {
            complain(&format!(
                "there is no tree at {TREE}, so what the rule takes is not shown; name one as in `rules show {name} TREE`"
            ));
            None
        }
        (Err(error), _) => return Err(error.into()),
    };
    let mut shown = ShownRules::new(listed, folder);
    if let Some(Scan { tree, .. }) = &scanned {
        chosen.rules.switch(name, true, "rules show")?;
        let (plan, matcher) = planned(global, folder, tree, &chosen)?;
        shown.add_effects(tree, &plan, &matcher);
    }
    Ok(fine(match global.format {
        Format::Json => report::json(&shown),
        Format::Table => report::shown_rules(&shown, global.look()),
    }))
}

/// Judges someone's own rules, all of them on.
fn test(file: &Path, tree: &Path, global: &Global, progress: &Terminal) -> Result<Answer, Failure> {
    let mut own = own_choices(file)?;
    own.enable.extend(own.rules.iter().map(|rule| rule.id.clone()));
    let choices = vec![own];
    let chosen = Chosen {
        rules: RuleSet::chosen(&choices)?,
        choices,
    };
    let scan = scan(tree, progress)?;
    let (plan, matcher) = planned(global, tree, &scan.tree, &chosen)?;
    let own = &chosen.choices[0].rules;
    let lints = lint(own, &scan.tree, &chosen.rules, &matcher, &plan);
    let linted = Linted::new(file, tree, own.len(), lints);
    Ok(Answer {
        text: match global.format {
            Format::Json => report::json(&linted),
            Format::Table => report::linted(&linted, global.look()),
        },
        status: if linted.ok { Status::Fine } else { Status::No },
    })
}

/// What a file says, be it a rule file or a configuration. That it cannot be understood is an answer, too: no.
fn own_choices(file: &Path) -> Result<RuleSelection, Failure> {
    let name = file.display().to_string();
    let text = fs_err::read_to_string(file).map_err(|error| Failure::Error(error.to_string()))?;
    let no = |error: TomlError| Failure::No(error.to_string());
    if Config::is_meant(&name, &text).map_err(no)? {
        return Ok(Config::parse(&name, &text).map_err(no)?.selection);
    }
    match read_rules(file) {
        Ok(rules) => Ok(RuleSelection {
            rules,
            ..RuleSelection::default()
        }),
        Err(RuleError::Toml(error)) => Err(no(error)),
        Err(error) => Err(error.into()),
    }
}
