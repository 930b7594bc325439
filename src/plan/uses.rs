//! Who uses what rules match: the finders, and where they start.

use std::collections::BTreeSet;

use super::Context;
use super::retain::{Matches, retained_by};
use crate::languages::Asked;
use crate::loader::{Finder, LoadedTree, ShadowedLibrary};
use crate::root::Root;
use crate::rules::Matcher;
use crate::timings::phase;
use crate::tree::{Tree, TreePath};
use crate::uses::{
    Ask, CalledCommands, Companion, Evidence, FindUses, InstalledPackages, Interpreters, LinkTargets, NeededLibraries,
    OpenedLibraries, RelativePaths, ShadowedLibraries, ShellPaths, Sought, SoughtKind, SourceCode, SourceReaders, Use,
    UseKind, Used, User, Uses, WrittenNames, WrittenPaths, uses_of, whole_package,
};

/// Finds the uses of the paths that rules match.
pub(super) fn find_uses(
    loaded: &LoadedTree<'_>,
    context: &Context<'_>,
    matches: &Matches,
    replaced: &BTreeSet<TreePath>,
    at_stake: BTreeSet<TreePath>,
) -> Uses {
    let _phase = phase("find uses");
    let (tree, rules) = (loaded.root().tree, context.rules);
    let packages = InstalledPackages::of(tree);
    let chosen = chosen(rules, &packages);
    let companions = companions(rules, matches);
    let emptied_by = rules.by_rules_alone(&at_stake);
    let readers = SourceReaders::of(tree, Asked::Once);
    let at_stake_by = (&at_stake, &*emptied_by);
    let finders = finders(loaded, &readers, rules, matches, at_stake_by, packages, &companions);
    let ask = |path: &TreePath| uses_of(tree, path, &finders, context.contents);
    let uses = follow(tree, rules, matches, replaced, chosen, &ask);
    drop(finders);
    drop(emptied_by);
    uses.about(at_stake)
}

/// Follows uses from everything that no rule matches, and from what the user chose and recorded runs used. What is replaced is
/// not retained.
pub(super) fn follow(
    tree: &Tree,
    rules: &Matcher,
    matches: &Matches,
    replaced: &BTreeSet<TreePath>,
    mut chosen: Vec<Use>,
    ask: &Ask<'_>,
) -> Uses {
    chosen.extend(recorded(tree, rules, matches));
    let start = tree.iter().map(|(path, _)| path);
    let start = start.filter(|path| !matches.contains_key(*path)).cloned().collect();
    Uses::follow(start, chosen, ask, &|edge| {
        let mut retained = retained_by(tree, rules, matches, edge);
        retained.retain(|path| !replaced.contains(path));
        retained
    })
}

/// One finder for each way in which something can be used. Of the paths that are at stake, the second set has those that rules
/// match which only guess: a recorded run knows which directories are read.
pub(super) fn finders<'a>(
    loaded: &'a LoadedTree<'a>,
    readers: &'a SourceReaders<'a>,
    rules: &'a Matcher,
    matches: &Matches,
    (at_stake, emptied_by): (&'a BTreeSet<TreePath>, &'a BTreeSet<TreePath>),
    packages: InstalledPackages,
    companions: &'a [Companion],
) -> Vec<Box<dyn FindUses + 'a>> {
    let root = loaded.root();
    let names = rules.shadowed().iter().flat_map(ShadowedLibrary::paths);
    let is_removable = |path: &&TreePath| matches.get(*path).is_some_and(|rule| rules.removes_shadowed(rule));
    let removable: BTreeSet<TreePath> = names.filter(is_removable).cloned().collect();
    let settings = packages.settings().cloned().collect();
    let shadowed = ShadowedLibraries::new(loaded, rules.shadowed(), companions, &removable);
    let mut finders: Vec<Box<dyn FindUses + 'a>> = vec![
        Box::new(LinkTargets(root)),
        Box::new(NeededLibraries(loaded)),
        Box::new(Interpreters(root)),
        Box::new(shadowed),
        Box::new(packages),
    ];
    let sought = sought(root, companions, &removable);
    if let Some(opened) = OpenedLibraries::of(&sought) {
        finders.push(Box::new(opened));
    }
    if let Some(written) = WrittenNames::of(root, sought, settings) {
        finders.push(Box::new(written));
    }
    if let Some(written) = WrittenPaths::of(root, at_stake, emptied_by) {
        finders.push(Box::new(written));
    }
    if let Some(written) = ShellPaths::of(root, at_stake, emptied_by) {
        finders.push(Box::new(written));
    }
    if let Some(written) = RelativePaths::of(root.tree, at_stake, emptied_by) {
        finders.push(Box::new(written));
    }
    if !at_stake.is_empty() {
        finders.push(Box::new(SourceCode::of(root.tree, readers, at_stake)));
        if let Some(called) = CalledCommands::of(root, at_stake) {
            finders.push(Box::new(called));
        }
    }
    finders
}

/// What is removed because of shadowed libraries, to be looked for by name in what is kept.
fn sought(root: Root<'_>, companions: &[Companion], removable: &BTreeSet<TreePath>) -> BTreeSet<Sought> {
    let companions = companions.iter().map(|companion| Sought {
        path: companion.path.clone(),
        kind: if companion.is_command {
            SoughtKind::Command
        } else {
            SoughtKind::File
        },
    });
    let finder = Finder::new(root);
    let libraries = removable.iter().map(|path| Sought {
        path: path.clone(),
        kind: SoughtKind::Library {
            is_provided: finder.served_by_runtime(path.file_name()).is_some(),
        },
    });
    companions.chain(libraries).collect()
}

/// The packages that the user selected, and those that these require.
pub(super) fn chosen(rules: &Matcher, packages: &InstalledPackages) -> Vec<Use> {
    let selected = rules.selected_packages().filter_map(|(directory, choice)| {
        let package = packages.at(directory)?;
        Some(Use {
            from: User::Choice(choice.to_owned()),
            to: whole_package(package),
            kind: UseKind::Choice,
            evidence: Evidence::of(&package.name),
        })
    });
    selected.collect()
}

/// What recorded runs used although a rule matches it. A directory is among it that was asked for and holds nothing else
/// that is used.
fn recorded(tree: &Tree, rules: &Matcher, matches: &Matches) -> Vec<Use> {
    let recorded = matches.iter().filter_map(|(path, rule)| {
        Some(Use {
            from: User::Choice("--used".to_owned()),
            to: Used::Path(path.clone()),
            kind: UseKind::Recorded,
            evidence: Evidence::of(rules.recorded(path, tree.get(path)?, rule)?),
        })
    });
    recorded.collect()
}

/// What rules remove together with shadowed libraries, sorted by path. It may go with several.
pub(super) fn companions(rules: &Matcher, matches: &Matches) -> Vec<Companion> {
    let with_shadowed: BTreeSet<&str> = rules.remove_with_shadowed().collect();
    let going = matches.iter().filter(|(_, rule)| with_shadowed.contains(rule.as_str()));
    going
        .flat_map(|(path, rule)| {
            let libraries = rules.shadowed().iter();
            libraries
                .filter(move |library| rules.goes_with(rule, path, library))
                .map(|library| Companion {
                    path: path.clone(),
                    library: library.library.path.clone(),
                    is_command: library.commands.contains(path),
                })
        })
        .collect()
}
