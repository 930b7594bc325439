use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::config::Project;
use crate::languages::place::Placed;
use crate::loader::LoadedTree;
use crate::pack::Estimate;
use crate::plan;
use crate::prune::{self, CopyMethod, Protected, PruneError, State, checked_tree};
use crate::report::{self, Outcome, Pruned};
use crate::root::Root;
use crate::scan::{ProblemKind, Scan, scan};

use super::arguments::{EnvironmentOption, Global, PlanOptions, RuleOptions};
use super::inputs::{SelectedRules, Source, estimated};
use super::output::{Failure, Output, note};
use super::progress::Terminal;

/// Show what would be removed from a tree and why; apply that, or undo it
///
/// Without --apply, --undo or --to nothing is changed. Libraries that are missing on Lambda are added by pack, not by prune.
///
/// Exit status: 0 if the plan was shown or applied, 2 if something went wrong.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  lambdar-prune prune /opt                    # what would be removed, by which rule; -v lists every file
  lambdar-prune prune /opt --apply            # move it to /opt.lambdar-prune-trash
  lambdar-prune prune /opt --undo             # move everything back
  lambdar-prune prune /opt --to /tmp/small    # leave /opt unchanged and make a pruned copy")]
pub(super) struct Arguments {
    /// Directory in which the runtime was built [default: /opt]
    tree: Option<PathBuf>,
    /// Move what is removed into a trash directory next to the tree; also finishes an interrupted run
    #[arg(long, conflicts_with_all = ["undo", "to"])]
    apply: bool,
    /// Move everything back that --apply has moved
    #[arg(
        long,
        conflicts_with_all = ["to", "enable", "disable", "keep", "drop", "r_packages", "rules"]
    )]
    undo: bool,
    /// Leave the tree unchanged and write a pruned copy to a new directory
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// How --to copies files
    #[arg(long, value_enum, default_value_t = Link::Copy, value_name = "HOW", requires = "to", conflicts_with_all = ["apply", "undo"])]
    link: Link,
    #[command(flatten)]
    rules: RuleOptions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Link {
    /// Copy the content
    Copy,
    /// Share the content until one of the two changes, if the file system supports it
    Reflink,
    /// Make hard links
    Hard,
}

impl Arguments {
    pub(super) fn run(&self, global: &Global, progress: &Terminal) -> Result<Output, Failure> {
        let directory = global.tree(self.tree.as_deref())?;
        let root = checked_tree(&directory, &Protected::of_this_machine())?;
        // What is looked at must be what is moved.
        let _held = if self.apply || self.undo {
            Some(prune::hold(&root)?)
        } else {
            None
        };
        if self.undo {
            let done = changing(&root, || prune::undo(&root, progress))?;
            return Ok(output(global, &Pruned::undone(&directory, &done)));
        }
        let selected = self.rules.select(global)?;
        self.tell_of_unfinished(&root, progress)?;
        let reading = progress.only_reading(Vec::new());
        let scan = scan(&root, progress)?;
        let runtime = global.runtime(&scan.tree)?;
        let loaded = LoadedTree::of(Root {
            tree: &scan.tree,
            runtime: &runtime,
        });
        let (plan, _) = selected.plan(&root, &loaded)?;
        drop(reading);
        let outcome = if self.apply {
            readable(&scan)?;
            let done = changing(&root, || prune::apply(&root, &scan.tree, &plan, progress))?;
            Outcome::Applied {
                trash: done.trash.display().to_string(),
            }
        } else if let Some(to) = &self.to {
            readable(&scan)?;
            prune::copy(&root, &plan.kept, to, self.link.into(), progress)?;
            Outcome::Copied {
                to: to.display().to_string(),
            }
        } else {
            Outcome::Planned
        };
        let estimate = match outcome {
            Outcome::Planned => self.estimate(&global.project()?, &root, &scan, &loaded, &selected, progress)?,
            _ => None,
        };
        let mut pruned = Pruned::new(&directory, &scan.tree, &plan, &selected.rules, outcome);
        pruned.estimate = estimate;
        Ok(output(global, &pruned))
    }

    /// What pack would make of the tree, with what it adds and repairs.
    fn estimate(
        &self,
        project: &Project,
        root: &Path,
        scan: &Scan,
        loaded: &LoadedTree<'_>,
        selected: &SelectedRules,
        progress: &Terminal,
    ) -> Result<Option<Estimate>, Failure> {
        let options = PlanOptions {
            rules: self.rules.clone(),
            environment: EnvironmentOption::default(),
            library_dir: Vec::new(),
            no_import: false,
            no_fix: Vec::new(),
        };
        let source = Source {
            directory: root,
            placed: &Placed::default(),
            loaded,
        };
        let with_links = plan::Options {
            dedupe: true,
            ..plan::Options::default()
        };
        let (plan, _) = options.plan(source, selected, &with_links, project)?;
        Ok(estimated(root, scan, &plan, project, progress)?.map(|(estimate, _)| estimate))
    }

    /// An interrupted run is finished by --apply; otherwise the user is told of it.
    fn tell_of_unfinished(&self, root: &Path, progress: &Terminal) -> Result<(), Failure> {
        let State::Unfinished(trash) = prune::state(root)? else {
            return Ok(());
        };
        if self.apply {
            let done = changing(root, || prune::finish(root, progress))?;
            let paths = if done.moved == 1 { "path" } else { "paths" };
            note(&format!(
                "an earlier --apply was interrupted; moved the remaining {} {paths} to {}",
                done.moved,
                done.trash.display()
            ));
        } else {
            note(&format!(
                "an earlier --apply or --undo was interrupted, so part of the tree is in {}; run `prune --apply` to finish, or \
                 `prune --undo` to move everything back",
                trash.display()
            ));
        }
        Ok(())
    }
}

fn output(global: &Global, pruned: &Pruned) -> Output {
    Output::ok(global.render(pruned, |options| report::pruned(pruned, options)))
}

impl From<Link> for CopyMethod {
    fn from(link: Link) -> Self {
        match link {
            Link::Copy => Self::Copy,
            Link::Reflink => Self::Reflink,
            Link::Hard => Self::HardLink,
        }
    }
}

/// Fails if something in the tree could not be read: it may need what a rule removes.
fn readable(scan: &Scan) -> Result<(), PruneError> {
    let unread: Vec<_> = scan
        .problems
        .iter()
        .filter(|problem| !matches!(problem.kind, ProblemKind::Special(_)))
        .collect();
    match unread.first() {
        None => Ok(()),
        Some(first) => Err(PruneError::Unread {
            count: unread.len(),
            first: match &first.kind {
                ProblemKind::Unreadable(reason) => format!("{}, {reason}", first.path),
                ProblemKind::NotUtf8 => format!("{}, whose name or target is not UTF-8", first.path),
                ProblemKind::Special(kind) => format!("{}, a {kind}", first.path),
            },
        }),
    }
}

/// Does something that changes the tree; if it fails half-way, says how to go on.
fn changing<T>(root: &Path, change: impl FnOnce() -> Result<T, PruneError>) -> Result<T, Failure> {
    change().map_err(|error| match (prune::state(root), Failure::from(error)) {
        (Ok(State::Unfinished(_)), Failure::Error(message)) => Failure::Error(format!(
            "{message}\npart of the tree is in the trash: run `prune --apply` to go on, or `prune --undo` to move it back"
        )),
        (_, failure) => failure,
    })
}
