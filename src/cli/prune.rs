use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use lambdar_prune::host::NoLibraries;
use lambdar_prune::plan::{Plan, Symlinks, plan};
use lambdar_prune::prune::{self, How, Protected, PruneError, State, checked_tree};
use lambdar_prune::report::{self, Outcome, Pruned};
use lambdar_prune::root::Root;
use lambdar_prune::rules::Matcher;
use lambdar_prune::tree::Tree;
use lambdar_prune::tree::scan::{ProblemKind, Scan, opener, scan};

use super::progress::Terminal;
use super::{Answer, Choosing, Chosen, Failure, Format, Global, Status, complain};

/// Show what of a tree would go and why, and carry it out or undo it
///
/// Without --apply, --undo or --to nothing is changed. Libraries that Lambda lacks are brought in by pack, not here.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The folder in which the runtime was built
    #[arg(default_value = "/opt")]
    tree: PathBuf,
    /// Move what goes into a trash folder beside the tree; also finishes a run that was cut short
    #[arg(long, conflicts_with_all = ["undo", "to"])]
    apply: bool,
    /// Put everything back that --apply has moved
    #[arg(
        long,
        conflicts_with_all = ["to", "enable", "disable", "keep", "drop", "r_packages", "rules"]
    )]
    undo: bool,
    /// Leave the tree as it is and make a pruned copy in a new folder
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// How the content of files gets into the copy
    #[arg(long, value_enum, default_value_t = Link::Copy, value_name = "HOW", requires = "to")]
    link: Link,
    #[command(flatten)]
    choosing: Choosing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Link {
    /// It is written again
    Copy,
    /// Both share it until one changes, where the file system can do that
    Reflink,
    /// Both are the same file
    Hard,
}

impl From<PruneError> for Failure {
    fn from(error: PruneError) -> Self {
        match error {
            PruneError::Interrupted(_) => Self::Interrupted,
            PruneError::Unfinished { .. } => Self::Stopped(error.to_string()),
            error => Self::Error(error.to_string()),
        }
    }
}

impl Arguments {
    pub(super) fn run(&self, global: &Global, progress: &Terminal) -> Result<Answer, Failure> {
        let root = checked_tree(&self.tree, &Protected::of_this_machine())?;
        if self.undo {
            let done = changing(&root, || prune::undo(&root, progress))?;
            return Ok(answer(global, &Pruned::undone(&self.tree, &done)));
        }
        let chosen = self.choosing.chosen(global)?;
        self.tell_of_unfinished(&root, progress)?;
        let scan = scan(&root, progress)?;
        let (plan, _) = planned(global, &root, &scan.tree, &chosen)?;
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
        let pruned = Pruned::new(&self.tree, &scan.tree, &plan, &chosen.rules, outcome);
        Ok(answer(global, &pruned))
    }

    /// A run that was cut short is finished by --apply; otherwise the user is told of it.
    fn tell_of_unfinished(&self, root: &Path, progress: &Terminal) -> Result<(), Failure> {
        let State::Unfinished(trash) = prune::state(root)? else {
            return Ok(());
        };
        if self.apply {
            let done = changing(root, || prune::finish(root, progress))?;
            complain(&format!(
                "an earlier --apply was cut short; moved what it had left, {} paths, to {}",
                done.moved,
                done.trash.display()
            ));
        } else {
            complain(&format!(
                "an earlier --apply or --undo was cut short, so part of the tree lies in {}; `prune --apply` finishes, \
                 `prune --undo` puts everything back",
                trash.display()
            ));
        }
        Ok(())
    }
}

fn answer(global: &Global, pruned: &Pruned) -> Answer {
    Answer {
        text: match global.format {
            Format::Json => report::json(pruned),
            Format::Table => report::pruned(pruned, global.look()),
        },
        status: Status::Fine,
    }
}

impl From<Link> for How {
    fn from(link: Link) -> Self {
        match link {
            Link::Copy => Self::Copy,
            Link::Reflink => Self::Reflink,
            Link::Hard => Self::HardLink,
        }
    }
}

/// The plan for what lies in the tree; nothing is brought in.
pub(super) fn planned(
    global: &Global,
    folder: &Path,
    tree: &Tree,
    chosen: &Chosen,
) -> Result<(Plan, Matcher), Failure> {
    let runtime = global.runtime(tree)?;
    let matcher = Matcher::new(
        &chosen.rules,
        &chosen.choices,
        Root {
            tree,
            runtime: &runtime,
        },
    )?;
    let plan = plan(tree, &runtime, &matcher, Symlinks::Keep, &NoLibraries, &opener(folder))?;
    Ok((plan, matcher))
}

/// Fails where something of the tree could not be read: it may need what a rule takes.
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

/// Does something that changes the tree; where it fails half-way, says how to go on.
fn changing<T>(root: &Path, change: impl FnOnce() -> Result<T, PruneError>) -> Result<T, Failure> {
    change().map_err(|error| match (prune::state(root), Failure::from(error)) {
        (Ok(State::Unfinished(_)), Failure::Error(message)) => Failure::Error(format!(
            "{message}\nsome of the tree is in the trash: `prune --apply` goes on from here, `prune --undo` puts it back"
        )),
        (_, failure) => failure,
    })
}
