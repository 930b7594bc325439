//! Options as the library takes them: how to render, the configuration, the runtime, the rules and the plan for a tree.

use std::io::IsTerminal;
use std::path::Path;

use serde::Serialize;

use crate::config::{Config, ConfigError};
use crate::host::{HostDirectories, Libraries, NoLibraries};
use crate::languages::layout::{Recognized, recognize};
use crate::languages::place::Placed;
use crate::plan::{self, Fixes, Plan, PlanError};
use crate::report::{self, RenderOptions};
use crate::root::Root;
use crate::rules::{Matcher, RuleSelection, RuleSet, read_rules};
use crate::runtime::{self, Arch, Runtime};
use crate::scan::{copies_of_moved, opener};
use crate::tree::Tree;

use super::arguments::{ALL_FIXES, ColorChoice, EnvironmentOption, Format, Global, PlanOptions, RuleOptions};
use super::output::{Failure, complain};
use super::progress;

impl Global {
    /// How text for stdout is rendered.
    pub(super) fn render_options(&self) -> RenderOptions {
        let terminal = std::io::stdout().is_terminal();
        let allowed = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        RenderOptions {
            color: match self.color {
                ColorChoice::Always => true,
                ColorChoice::Never => false,
                ColorChoice::Auto => terminal && allowed && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
            },
            width: terminal.then(progress::width),
            verbose: self.verbose,
        }
    }

    /// A document in the format of `--format`: JSON, or the tables that `table` makes.
    pub(super) fn render(&self, document: &impl Serialize, table: impl FnOnce(RenderOptions) -> String) -> String {
        match self.format {
            Format::Json => report::json(document),
            Format::Table => table(self.render_options()),
        }
    }

    /// Prints a note to stderr unless `--quiet` is given.
    pub(super) fn note(&self, note: &str) {
        if !self.quiet {
            complain(&format!("note: {note}"));
        }
    }

    /// The configuration of the project.
    pub(super) fn config(&self) -> Result<Config, ConfigError> {
        Config::load(self.config.as_deref())
    }

    /// The runtime for a tree: the architecture is the one that most of its objects are for, unless it is given.
    pub(super) fn runtime(&self, tree: &Tree) -> Result<Runtime, Failure> {
        self.runtime_with(tree, &EnvironmentOption::default())
    }

    /// As [`Global::runtime`], with these variables in the environment of the function.
    pub(super) fn runtime_with(&self, tree: &Tree, variables: &EnvironmentOption) -> Result<Runtime, Failure> {
        let of_tree = Arch::of_most(tree.objects().map(|(_, object)| object));
        let arch = self.arch.or(of_tree).unwrap_or(Arch::X86_64);
        if self.arch.is_none() && arch == Arch::Arm64 {
            self.note(
                "packed and checked for arm64, as the tree is; functions are x86_64 unless they are told otherwise",
            );
        }
        let runtime = match &self.runtime {
            Some(name) => Runtime::load(name, arch)?,
            None => Runtime::load(&self.recognized(std::slice::from_ref(&tree)), arch)?,
        };
        Ok(runtime.with_environment(self.environment(variables)?))
    }

    /// The name of the runtime that trees are for, as far as their content tells; said in a note.
    pub(super) fn recognized(&self, trees: &[&Tree]) -> String {
        let mut found = trees.iter().filter_map(|tree| recognize(tree));
        match (found.next(), found.next()) {
            (Some(Recognized::Runtime { name, because }), None) => {
                self.note(&format!(
                    "the runtime is {name}: {because}; choose another one with --runtime"
                ));
                name
            }
            (Some(Recognized::Several(names)), None) => {
                self.note(&format!(
                    "the runtime is {}; the tree may be for {}: choose one with --runtime",
                    runtime::DEFAULT,
                    names.join(" or ")
                ));
                runtime::DEFAULT.to_owned()
            }
            _ => runtime::DEFAULT.to_owned(),
        }
    }

    /// The variables of the configuration, and then those of the command line.
    pub(super) fn environment(&self, variables: &EnvironmentOption) -> Result<Vec<(String, String)>, ConfigError> {
        let configured = self.config()?.environment.into_iter();
        Ok(configured.chain(variables.env.clone()).collect())
    }
}

/// The rules, each on or off, and the selections that name single paths and packages.
pub(super) struct SelectedRules {
    pub(super) rules: RuleSet,
    pub(super) selections: Vec<RuleSelection>,
}

impl RuleOptions {
    /// The selection of the configuration, and then that of the command line, which overrides it.
    pub(super) fn select(&self, global: &Global) -> Result<SelectedRules, Failure> {
        let mut own = Vec::new();
        for file in &self.rules {
            own.extend(read_rules(file)?);
        }
        let command_line = RuleSelection {
            file: None,
            rules: own,
            enable: self.enable.clone(),
            disable: self.disable.clone(),
            keep: self.keep.clone(),
            drop: self.drop.clone(),
            r_packages: self.r_packages.clone(),
        };
        SelectedRules::new(vec![global.config()?.selection, command_line])
    }
}

impl SelectedRules {
    /// The built-in rules with selections applied; a later one overrides an earlier one.
    pub(super) fn new(selections: Vec<RuleSelection>) -> Result<Self, Failure> {
        Ok(Self {
            rules: RuleSet::chosen(&selections)?,
            selections,
        })
    }

    /// The plan for a tree as it is: nothing is added.
    pub(super) fn plan(&self, global: &Global, directory: &Path, tree: &Tree) -> Result<(Plan, Matcher), Failure> {
        let runtime = &global.runtime(tree)?;
        let (options, placed) = (plan::Options::default(), Placed::default());
        Ok(self.plan_with(directory, &placed, Root { tree, runtime }, &NoLibraries, &options)?)
    }

    fn plan_with(
        &self,
        directory: &Path,
        placed: &Placed,
        root: Root<'_>,
        libraries: &dyn Libraries,
        options: &plan::Options,
    ) -> Result<(Plan, Matcher), PlanError> {
        let matcher = Matcher::new(&self.rules, &self.selections, root)?;
        let open = opener(directory);
        let context = plan::Context {
            runtime: root.runtime,
            rules: &matcher,
            libraries,
            contents: &|path| open(placed.origin(path)),
            copies: &|tree, wanted| copies_of_moved(directory, tree, |path| placed.origin(path), wanted),
        };
        let plan = plan::plan(root.tree, &context, options)?;
        Ok((plan, matcher))
    }
}

impl PlanOptions {
    /// The libraries of this machine, to look at.
    pub(super) fn host(&self) -> HostDirectories {
        HostDirectories::new(&self.library_dir)
    }

    fn fixes(&self) -> Fixes {
        if self.no_fix.iter().any(|name| name == ALL_FIXES) {
            Fixes::None
        } else {
            Fixes::AllBut(self.no_fix.iter().cloned().collect())
        }
    }

    /// The plan for a tree, with what is added and repaired.
    pub(super) fn plan(
        &self,
        directory: &Path,
        placed: &Placed,
        tree: &Tree,
        runtime: &Runtime,
        selected: &SelectedRules,
        options: plan::Options,
    ) -> Result<(Plan, Matcher), PlanError> {
        let host = self.host();
        let libraries: &dyn Libraries = if self.no_import { &NoLibraries } else { &host };
        let options = plan::Options {
            fixes: self.fixes(),
            ..options
        };
        let (mut plan, matcher) = selected.plan_with(directory, placed, Root { tree, runtime }, libraries, &options)?;
        plan.relocate(placed);
        Ok((plan, matcher))
    }
}
