//! Options as the library takes them: how to render, the configuration, the runtime, the rules and the plan for a tree.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use globset::GlobSet;
use serde::Serialize;

use crate::config::{Config, ConfigError, Project, r_packages};
use crate::host::{HostDirectories, Libraries, NoLibraries};
use crate::image::{Extracted, Location};
use crate::languages::layout::{Recognized, recognize};
use crate::languages::place::Placed;
use crate::loader::LoadedTree;
use crate::pack::{Estimate, EstimatedEntry, Limits, NamedLayer, PackError, estimate};
use crate::plan::{self, Fixes, Plan, PlanError, Uses};
use crate::progress::Progress;
use crate::recording::Recording;
use crate::report::{self, RenderOptions};
use crate::rules::unused::{Depth, Evidence};
use crate::rules::{Matcher, RuleError, RuleSelection, RuleSet, read_rules};
use crate::runtime::{self, Arch, Runtime, RuntimeError};
use crate::scan::{Scan, copies_of_moved, reader};
use crate::shell::quoted;
use crate::size::Bytes;
use crate::tree::{Tree, TreePath};
use crate::uses::SourceReaders;

use super::arguments::{
    ALL_FIXES, ColorChoice, EnvironmentOption, Format, Global, PlanOptions, RuleOptions, UsedDepth,
};
use super::complete::DEFAULT_TREE;
use super::output::{Failure, note, warn};
use super::progress::{self, OnlyReading, Terminal};

/// The directory that `pack` writes to if neither the command line nor the configuration names one.
pub(super) const DEFAULT_OUTPUT: &str = "layers";

impl Global {
    /// What the next command about a tree is called with, so that it judges for the same runtime: lambdar-prune.toml tells it
    /// what this one was not told.
    pub(super) fn again(&self, tree: &str) -> String {
        let runtime = self.runtime.iter().map(|name| format!(" --runtime {}", quoted(name)));
        let arch = self.arch.iter().map(|arch| format!(" --arch {arch}"));
        quoted(tree) + &runtime.chain(arch).collect::<String>()
    }

    /// How text for stdout is rendered.
    pub(super) fn render_options(&self) -> RenderOptions {
        let terminal = std::io::stdout().is_terminal();
        RenderOptions {
            color: self.colors(terminal),
            width: terminal.then(progress::width),
            verbose: self.verbose,
            quiet: self.quiet,
        }
    }

    /// How text for a file is rendered.
    pub(super) fn plain_options(&self) -> RenderOptions {
        RenderOptions {
            verbose: self.verbose,
            ..RenderOptions::default()
        }
    }

    /// Whether messages on stderr are in color.
    pub(super) fn colors_stderr(&self) -> bool {
        self.colors(std::io::stderr().is_terminal())
    }

    /// Whether there is color: as `--color` says, else `NO_COLOR`, else `CLICOLOR_FORCE` and `CLICOLOR`
    /// (https://bixense.com/clicolors/), else whether it is a terminal that has color.
    fn colors(&self, terminal: bool) -> bool {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        match self.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if variable("NO_COLOR").is_some() => false,
            ColorChoice::Auto if variable("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
            ColorChoice::Auto => {
                terminal
                    && variable("CLICOLOR").is_none_or(|value| value != "0")
                    && variable("TERM").is_none_or(|term| term != "dumb")
            }
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
    pub(super) fn note(&self, message: &str) {
        if !self.quiet {
            note(message);
        }
    }

    /// Prints a warning to stderr unless `--quiet` is given.
    pub(super) fn warn(&self, message: &str) {
        if !self.quiet {
            warn(message);
        }
    }

    /// The configuration of the project.
    pub(super) fn config(&self) -> Result<Config, ConfigError> {
        Config::load(self.config.as_deref())
    }

    /// The options that the configuration gives once and for all.
    pub(super) fn project(&self) -> Result<Project, ConfigError> {
        Ok(self.config()?.project)
    }

    /// The tree: the one that is named, else that of the configuration, else /opt.
    pub(super) fn tree(&self, named: Option<&Path>) -> Result<PathBuf, ConfigError> {
        Ok(match named {
            Some(tree) => tree.to_owned(),
            None => self.project()?.tree.unwrap_or_else(|| DEFAULT_TREE.into()),
        })
    }

    /// The layers: those that are named, else those in the directory that the configuration says `pack` writes to.
    pub(super) fn layers(&self, named: &[PathBuf]) -> Result<Vec<PathBuf>, ConfigError> {
        Ok(if named.is_empty() {
            vec![self.project()?.output.unwrap_or_else(|| DEFAULT_OUTPUT.into())]
        } else {
            named.to_vec()
        })
    }

    /// As [`Global::tree`], and if that is an image, its directory /opt or the one that is named.
    pub(super) fn open_tree(&self, named: Option<&Path>, progress: &Terminal) -> Result<TreeDirectory, Failure> {
        TreeDirectory::open(self.tree(named)?, DEFAULT_TREE, self, progress)
    }

    /// The runtime for a tree: the architecture is the one that most of its objects are for, unless it is given.
    pub(super) fn runtime(&self, tree: &Tree) -> Result<Runtime, Failure> {
        self.runtime_with(tree, &EnvironmentOption::default())
    }

    /// As [`Global::runtime`], with these variables in the environment of the function.
    pub(super) fn runtime_with(&self, tree: &Tree, variables: &EnvironmentOption) -> Result<Runtime, Failure> {
        let project = self.project()?;
        let of_tree = Arch::of_most(tree.objects().map(|(_, object)| object));
        let arch = self.arch.or(project.arch).or(of_tree).unwrap_or(Arch::X86_64);
        if self.arch.or(project.arch).is_none() && arch == Arch::Arm64 {
            self.note(
                "packed and checked for arm64, as the tree is; functions are x86_64 unless they are told otherwise",
            );
        }
        let runtime = match self.runtime.as_ref().or(project.runtime.as_ref()) {
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

    /// Fails if `--runtime`, or else the configuration, names none that exists, before anything else is read.
    pub(super) fn check_runtime(&self) -> Result<(), Failure> {
        let configured = || self.project().ok()?.runtime;
        let Some(name) = self.runtime.clone().or_else(configured) else {
            return Ok(());
        };
        let archs = self.arch.map_or(Arch::ALL.to_vec(), |arch| vec![arch]);
        let mut loaded = archs.into_iter().map(|arch| Runtime::load(&name, arch));
        let first = loaded.next().map_or(Ok(()), |first| first.map(|_| ()));
        match first {
            Err(RuntimeError::NotOnArch { .. }) if loaded.any(|other| other.is_ok()) => Ok(()),
            result => Ok(result?),
        }
    }
}

/// A tree on disk: a directory, or what was extracted of an image and is removed with this value.
pub(super) struct TreeDirectory {
    /// What the user named.
    named: PathBuf,
    extracted: Option<Extracted>,
}

impl TreeDirectory {
    /// The directory that a path stands for: itself, or of an image the directory that it names, else `default`.
    pub(super) fn open(named: PathBuf, default: &str, global: &Global, progress: &Terminal) -> Result<Self, Failure> {
        let arch = global.arch.or(global.project()?.arch).unwrap_or(Arch::X86_64);
        let location = Location::parse(&named);
        let extracted = location
            .map(|location| location.open(default, arch, progress))
            .transpose()?;
        Ok(Self { named, extracted })
    }

    /// Where the files are.
    pub(super) fn path(&self) -> &Path {
        self.extracted.as_ref().map_or(&self.named, Extracted::path)
    }

    /// What people know it by.
    pub(super) fn name(&self) -> String {
        self.named.display().to_string()
    }

    /// As [`Terminal::only_reading`]; what was extracted is removed when the run ends.
    pub(super) fn only_reading(&self, progress: &Terminal) -> OnlyReading {
        progress.only_reading(self.temporary())
    }

    /// The directory into which it was extracted, if it was.
    pub(super) fn temporary(&self) -> Vec<PathBuf> {
        self.extracted
            .iter()
            .map(|extracted| extracted.path().to_owned())
            .collect()
    }

    pub(super) fn is_image(&self) -> bool {
        self.extracted.is_some()
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
            packages: self.r_packages.clone().map(r_packages),
            evidence: self.evidence()?,
        };
        SelectedRules::new(vec![global.config()?.selection, command_line])
    }

    /// What the recordings used; `None` if there is none.
    fn evidence(&self) -> Result<Option<Evidence>, Failure> {
        let mut evidence = Evidence {
            depth: match self.used_depth {
                UsedDepth::Component => Depth::Component,
                UsedDepth::File => Depth::File,
            },
            ..Evidence::default()
        };
        for (name, recording) in Recording::read_all(&self.used)? {
            evidence.add(&name, &recording);
        }
        Ok((!self.used.is_empty()).then_some(evidence))
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

    /// The same rules, as if there were no recordings.
    pub(super) fn without_recordings(&self) -> Self {
        let mut without = Self {
            rules: self.rules.clone(),
            selections: self.selections.clone(),
        };
        for selection in &mut without.selections {
            selection.evidence = None;
        }
        without
    }

    /// The evidence of recordings, if there is any.
    pub(super) fn evidence(&mut self) -> impl Iterator<Item = &mut Evidence> {
        let selections = self.selections.iter_mut();
        selections.filter_map(|selection| selection.evidence.as_mut())
    }

    /// The plan for a tree as it is: nothing is added.
    pub(super) fn plan(&self, directory: &Path, loaded: &LoadedTree<'_>) -> Result<(Plan, Matcher), PlanError> {
        let placed = Placed::default();
        let source = Source {
            directory,
            placed: &placed,
            loaded,
        };
        self.plan_with(source, &NoLibraries, &plan::Options::default())
    }

    fn plan_with(
        &self,
        source: Source<'_>,
        libraries: &dyn Libraries,
        options: &plan::Options,
    ) -> Result<(Plan, Matcher), PlanError> {
        let matcher = Matcher::new(&self.rules, &self.selections, source.loaded)?;
        let plan = source.with_context(&matcher, libraries, |context| {
            plan::plan(source.loaded, context, options)
        })?;
        Ok((plan, matcher))
    }
}

/// A tree with the directory that its files are in.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) directory: &'a Path,
    pub(super) placed: &'a Placed,
    pub(super) loaded: &'a LoadedTree<'a>,
}

impl<'a> Source<'a> {
    /// Calls a function with what plans are made with.
    fn with_context<T>(
        self,
        rules: &Matcher,
        libraries: &dyn Libraries,
        use_it: impl FnOnce(&plan::Context<'_>) -> T,
    ) -> T {
        let Self {
            directory,
            placed,
            loaded,
        } = self;
        let read = reader(directory);
        use_it(&plan::Context {
            runtime: loaded.root().runtime,
            rules,
            libraries,
            contents: &|path, buffer| read(placed.origin(path), buffer),
            copies: &|tree, wanted| copies_of_moved(directory, tree, |path| placed.origin(path), wanted),
        })
    }

    /// A plan for this tree with links in place of files that have the same content.
    pub(super) fn deduped(self, plan: &Plan, rules: &Matcher, project: &Project) -> Result<Plan, PlanError> {
        let layers = layer_globs(project)?;
        Ok(self.with_context(rules, &NoLibraries, |context| {
            plan.deduped(self.loaded, context, layers)
        }))
    }

    /// The paths that would stay with each of several sets of rules, which add to those of a plan with these uses. Once the user
    /// has interrupted, no file is read any more, and the answer means nothing.
    pub(super) fn kept_with_each(
        self,
        readers: &OnceLock<SourceReaders<'a>>,
        rules: &Matcher,
        known: &Uses,
        each: &[Matcher],
        options: &plan::Options,
        progress: &Terminal,
    ) -> Vec<Option<BTreeSet<TreePath>>> {
        let read = reader(self.directory);
        let context = plan::Context {
            contents: &|path, buffer| {
                progress.check().ok()?;
                read(self.placed.origin(path), buffer)
            },
            ..plan::Context::without_files(self.loaded.root().runtime, rules)
        };
        plan::kept_with_each(self.loaded, readers, &context, options, known, each, &|| {
            progress.check().is_err()
        })
    }
}

impl PlanOptions {
    /// The libraries of this machine, to look at: first those in the directories of the command line, then those in the
    /// directories of the configuration. Fails if one of these is not a directory.
    pub(super) fn host(&self, project: &Project) -> Result<HostDirectories, Failure> {
        let directories = [self.library_dir.clone(), project.library_dir.clone()].concat();
        for directory in &directories {
            let why = match directory.metadata() {
                Ok(metadata) if metadata.is_dir() => continue,
                Ok(_) => "it is not a directory".to_owned(),
                Err(error) => error.to_string(),
            };
            return Err(Failure::Error(format!(
                "cannot look for libraries in {}: {why}; give --library-dir a directory that has them, or omit it",
                directory.display()
            )));
        }
        Ok(HostDirectories::new(&directories))
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
        source: Source<'_>,
        selected: &SelectedRules,
        options: &plan::Options,
        project: &Project,
    ) -> Result<(Plan, Matcher), Failure> {
        let host = self.host(project)?;
        let libraries: &dyn Libraries = if self.no_import { &NoLibraries } else { &host };
        let options = plan::Options {
            fixes: if project.fix == Some(false) {
                Fixes::None
            } else {
                self.fixes()
            },
            layers: layer_globs(project)?,
            ..options.clone()
        };
        let (mut plan, matcher) = selected.plan_with(source, libraries, &options)?;
        plan.relocate(source.placed);
        Ok((plan, matcher))
    }
}

/// What the layers with names of their own match.
fn layer_globs(project: &Project) -> Result<Vec<GlobSet>, RuleError> {
    project.layers.iter().map(NamedLayer::globs).collect()
}

/// What `pack` would make of a plan, with its defaults and the limits of the configuration, as a whole and for each entry;
/// `None` if it cannot be packed.
pub(super) fn estimated(
    directory: &Path,
    scan: &Scan,
    plan: &Plan,
    project: &Project,
    progress: &Terminal,
) -> Result<Option<(Estimate, Vec<EstimatedEntry>)>, Failure> {
    let reserve = project.reserve.unwrap_or_default();
    let limits = Limits {
        max: project.max.unwrap_or(Limits::DEFAULT.max),
        unzipped: Bytes(Limits::DEFAULT.unzipped.0.saturating_sub(reserve.0)),
        ..Limits::DEFAULT
    };
    match estimate(directory, scan, plan, &limits, &project.layers, true, progress) {
        Ok(estimate) => Ok(Some(estimate)),
        Err(PackError::Interrupted(_)) => Err(Failure::Interrupted),
        // What of the tree keeps it from being packed is among the findings.
        Err(
            PackError::Problems(_)
            | PackError::Name { .. }
            | PackError::Huge(_)
            | PackError::Nothing
            | PackError::NamedLayer { .. },
        ) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
