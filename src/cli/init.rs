use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use clap::{Args, ValueEnum};

use crate::config::DEFAULT_NAME;
use crate::host::NoLibraries;
use crate::loader::LoadedTree;
use crate::plan::{Context, Options, WhatIf, kept_with_each, plan};
use crate::report::{self, RuleEffect};
use crate::root::Root;
use crate::rules::{Matcher, RuleSet};
use crate::scan::{reader, scan};
use crate::size::Bytes;

use super::arguments::Global;
use super::output::{Failure, Output};
use super::progress::Terminal;

/// Write a commented lambdar-prune.toml for a tree, and a pipeline that packs and checks it
///
/// Exit status: 0 if the files were written, 2 if something went wrong.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdar-prune init /opt
  lambdar-prune init python --runtime python3.13 --ci github")]
pub(super) struct Arguments {
    /// Directory in which the runtime was built [default: /opt]
    tree: Option<PathBuf>,
    /// Write a pipeline, too
    #[arg(long, value_enum, value_name = "KIND")]
    ci: Option<Pipeline>,
    /// Overwrite existing files
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Pipeline {
    /// .github/workflows/layers.yml
    Github,
    /// .gitlab-ci.yml
    Gitlab,
    /// Makefile
    Make,
}

impl Pipeline {
    fn file(self) -> (&'static str, &'static str) {
        match self {
            Self::Github => (
                ".github/workflows/layers.yml",
                include_str!("../../rules/init/github.yml"),
            ),
            Self::Gitlab => (".gitlab-ci.yml", include_str!("../../rules/init/gitlab.yml")),
            Self::Make => ("Makefile", include_str!("../../rules/init/Makefile")),
        }
    }
}

impl Arguments {
    pub(super) fn run(&self, global: &Global, progress: &Terminal) -> Result<Output, Failure> {
        let pipeline = self.ci.map(Pipeline::file);
        let names = [Some(DEFAULT_NAME), pipeline.map(|(name, _)| name)];
        let existing = names.into_iter().flatten().find(|name| Path::new(name).exists());
        if let Some(name) = existing.filter(|_| !self.force) {
            return Err(Failure::Error(format!(
                "{name} already exists; use --force to overwrite it"
            )));
        }
        let configuration = self.configuration(global, progress)?;
        let failure = |error: std::io::Error| Failure::Error(error.to_string());
        fs_err::write(DEFAULT_NAME, configuration).map_err(failure)?;
        let mut text = format!("Wrote {DEFAULT_NAME}. Review it, then run `lambdar-prune pack`.\n");
        if let Some((name, content)) = pipeline {
            if let Some(directory) = Path::new(name).parent() {
                fs_err::create_dir_all(directory).map_err(failure)?;
            }
            fs_err::write(name, content).map_err(failure)?;
            text += &format!("Wrote {name}. Replace its words in capitals.\n");
        }
        Ok(Output::ok(report::folded(&text, global.render_options().width)))
    }

    /// The configuration for the tree as it is now: every key, those that are defaults as comments.
    fn configuration(&self, global: &Global, progress: &Terminal) -> Result<String, Failure> {
        let opened = global.open_tree(self.tree.as_deref(), progress)?;
        let scanned = scan(opened.path(), progress)?;
        let runtime = global.runtime(&scanned.tree)?;
        let rules = RuleSet::built_in()?;
        let (tree, runtime) = (&scanned.tree, &runtime);
        let loaded = LoadedTree::of(Root { tree, runtime });
        let matcher = Matcher::new(&rules, &[], &loaded)?;
        let context = Context {
            contents: &reader(opened.path()),
            ..Context::without_files(runtime, &matcher)
        };
        let options = Options {
            compared: true,
            ..Options::default()
        };
        let plan = plan(&loaded, &context, &options)?;
        let readers = OnceLock::new();
        let kept_with =
            |each: &[Matcher]| kept_with_each(&loaded, &readers, &context, &options, &plan.uses, each, &|| false);
        let what_if = WhatIf::new(tree, &matcher, &plan.kept, &kept_with);
        let analysis = report::analyze(&scanned, &[], &loaded, &plan, &rules, &what_if, &NoLibraries);
        let off = analysis.rules.iter().filter(|rule| !rule.enabled && rule.files > 0);
        let on = analysis.rules.iter().filter(|rule| rule.enabled && rule.files > 0);
        Ok(format!(
            "# Configuration of lambdar-prune. Options of the command line override it; paths are relative to this file.\n\
             \n\
             tree = {tree}\n\
             runtime = {name}\n\
             arch = \"{arch}\"\n\
             # output = \"layers\"\n\
             # max = \"50MB\"                  # maximum size of a zip\n\
             # reserve = \"0\"                 # unzipped size to reserve for the function's own code\n\
             # library-dir = [\"libs\"]         # where to look first for libraries that are missing on Lambda\n\
             # fix = false                   # leave the tree's files unchanged where they would not work on Lambda\n\
             \n\
             # Rules that are off and would remove something here:\n\
             {off}\
             enable = []\n\
             \n\
             # Rules that are on and remove something here:\n\
             {on}\
             disable = []\n\
             \n\
             # keep = [\"share/doc/**\"]        # files to keep, whatever the rules say\n\
             # drop = [\"share/examples\"]      # files to remove without a rule\n\
             \n\
             # [check]\n\
             # deny = [\"zip-near-limit\"]      # findings to treat as errors; `lambdar-prune check --explain` lists all\n\
             # allow = [\"bootstrap-missing\"]\n\
             \n\
             # [env]                         # environment of the function, for invoke\n\
             # TZ = \"UTC\"\n",
            tree = quoted(&opened.name()),
            name = quoted(&runtime.name),
            arch = runtime.arch,
            off = lines(off),
            on = lines(on),
        ))
    }
}

/// A comment for each rule: its name, what it saves, and what is lost.
fn lines<'a>(rules: impl Iterator<Item = &'a RuleEffect>) -> String {
    let mut rules: Vec<&RuleEffect> = rules.collect();
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.bytes));
    let width = rules.iter().map(|rule| rule.id.len()).max().unwrap_or_default();
    rules.iter().fold(String::new(), |text, rule| {
        let RuleEffect { id, breaks, bytes, .. } = rule;
        text + &format!("#   {id:width$}  {bytes:>7}  lost: {breaks}\n", bytes = Bytes(bytes.0))
    })
}

/// A string of TOML.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
