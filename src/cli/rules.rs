use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;

use crate::config::Config;
use crate::lint::lint;
use crate::loader::LoadedTree;
use crate::open;
use crate::progress::Silent;
use crate::report::{self, Linted, RuleList, ShownRules};
use crate::root::Root;
use crate::rules::{RuleError, RuleSelection, read_rules};
use crate::scan::{Scan, ScanError, scan};
use crate::toml_file::TomlError;

use super::arguments::{Global, RuleOptions};
use super::complete;
use super::inputs::SelectedRules;
use super::output::{Failure, Output, Status};
use super::progress::Terminal;

/// List the rules, show what one removes, or test your own rules
///
/// Exit status: 0, or 2 if something went wrong; `rules test` ends with 1 if it finds mistakes.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdar-prune rules                         # every rule, and whether it is on
  lambdar-prune rules show r-help /opt        # what it removes there, what is lost, how that is known
  lambdar-prune rules test my-rules.toml /opt # do your rules match what you think, and nothing that is needed?")]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    rules: RuleOptions,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show a rule, or all rules of a category: what it removes from a tree, and what is lost without that
    Show {
        /// Rule or category
        #[arg(add = ArgValueCompleter::new(complete::rules))]
        id: String,
        /// Tree [default: /opt, if it exists]
        tree: Option<PathBuf>,
        #[command(flatten)]
        rules: RuleOptions,
    },
    /// Check a rule file or a lambdar-prune.toml for rules that match nothing, match what others match, or match what is needed
    ///
    /// Exit status: 0 if there are no mistakes, 1 if there are some, 2 if something went wrong.
    Test {
        /// Rule file or configuration
        file: PathBuf,
        /// Tree [default: /opt]
        tree: Option<PathBuf>,
    },
}

impl Arguments {
    pub(super) fn run(&self, global: &Global, progress: &Terminal) -> Result<Output, Failure> {
        let _reading = progress.only_reading(Vec::new());
        match &self.command {
            None => {
                let list = RuleList::new(&self.rules.select(global)?.rules);
                Ok(Output::ok(
                    global.render(&list, |options| report::rule_list(&list, options)),
                ))
            }
            Some(Command::Show { id, tree, rules }) => show(id, tree.as_deref(), rules, global, progress),
            Some(Command::Test { file, tree }) => test(file, &global.tree(tree.as_deref())?, global, progress),
        }
    }
}

/// Shows rules as they would work if they were on.
fn show(
    name: &str,
    tree: Option<&Path>,
    rules: &RuleOptions,
    global: &Global,
    progress: &Terminal,
) -> Result<Output, Failure> {
    let mut selected = rules.select(global)?;
    let numbers = selected.rules.named(name, "rules show")?;
    let listed = RuleList::of(&selected.rules, &numbers);
    let directory = &global.tree(tree)?;
    let scanned = match (scan(directory, progress), tree) {
        (Ok(scan), _) => Some(scan),
        (Err(ScanError::Unreachable { .. } | ScanError::Empty(_)), None) => {
            global.note(&format!(
                "there is no tree at {}, so what the rule removes is not shown; name a tree, as in `rules show {name} TREE`",
                directory.display()
            ));
            None
        }
        (Err(error), _) => return Err(error.into()),
    };
    let mut shown = ShownRules::new(listed, directory);
    if let Some(Scan { tree, .. }) = &scanned {
        selected.rules.switch(name, true, "rules show")?;
        let runtime = global.runtime(tree)?;
        let root = Root {
            tree,
            runtime: &runtime,
        };
        let (plan, matcher) = selected.plan(directory, &LoadedTree::of(root))?;
        shown.add_effects(tree, &plan, &matcher);
    }
    Ok(Output::ok(
        global.render(&shown, |options| report::shown_rules(&shown, options)),
    ))
}

/// Checks the user's own rules, all of them enabled.
fn test(file: &Path, tree: &Path, global: &Global, progress: &Terminal) -> Result<Output, Failure> {
    let mut own = own_selection(file)?;
    own.enable.extend(own.rules.iter().map(|rule| rule.id.clone()));
    let selected = SelectedRules::new(vec![own])?;
    let scan = scan(tree, progress)?;
    let runtime = global.runtime(&scan.tree)?;
    let loaded = LoadedTree::of(Root {
        tree: &scan.tree,
        runtime: &runtime,
    });
    let (plan, matcher) = selected.plan(tree, &loaded)?;
    let own = &selected.selections[0].rules;
    let lints = lint(own, &scan.tree, &selected.rules, &matcher, &plan);
    let linted = Linted::new(file, tree, own.len(), lints);
    Ok(Output {
        text: global.render(&linted, |options| report::linted(&linted, options)),
        status: Status::yes_or_no(linted.ok),
    })
}

/// The selection of a rule file or a configuration. A file that cannot be understood has a mistake: the check failed.
fn own_selection(file: &Path) -> Result<RuleSelection, Failure> {
    let name = file.display().to_string();
    let text = open::named_text(file, &Silent).map_err(|error| Failure::Error(error.to_string()))?;
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
