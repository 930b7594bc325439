//! What of the things that rules would take something kept needs: libraries, the targets of links, the interpreters of
//! scripts, the packages that R packages load, and the files by which they are loaded.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::mention::{Mention, Mentions, Used};
use super::{NeededBy, Open, Spared};
use crate::languages::{BUILT_IN, Interpreter, Package};
use crate::loader::{BOOTSTRAP, Graph, Idle, Resolution, Resolved, wanted};
use crate::root::{Location, Root, link_target};
use crate::rules::Matcher;
use crate::shell;
use crate::tree::{Entry, TreePath};

/// The answer of [`spare`].
pub(super) struct Needed {
    /// What stays although a rule matches, sorted by path.
    pub(super) spared: Vec<Spared>,
    /// Folders that kept links lead to: they stay even if nothing in them does.
    pub(super) folders: BTreeSet<TreePath>,
    /// What goes with libraries that are never loaded.
    going: Vec<Going>,
}

/// What goes only because a library that is never loaded does, and stays where that stays. It may go with several.
struct Going {
    path: TreePath,
    library: TreePath,
    is_command: bool,
}

/// Takes out of `dropped` whatever something kept needs, and whatever that needs in turn.
pub(super) fn spare(
    root: Root<'_>,
    matcher: &Matcher,
    open: &Open<'_>,
    dropped: &mut BTreeMap<TreePath, String>,
) -> Needed {
    let packages: Vec<Package> = BUILT_IN
        .iter()
        .flat_map(|language| language.packages(root.tree))
        .collect();
    let (graph, idle) = (matcher.graph(), matcher.idle());
    let going = Going::all(matcher, dropped);
    let used = going.iter().map(|going| Used {
        path: going.path.clone(),
        is_command: going.is_command,
    });
    let mut search = Search {
        root,
        matcher,
        open,
        mentions: Mentions::of(root, used.collect()),
        wanted: wanted(root, graph, idle),
        graph,
        interpreters: BUILT_IN
            .iter()
            .flat_map(|language| language.interpreters(root.tree))
            .filter_map(|interpreter| Some((interpreter.start.clone()?, interpreter)))
            .collect(),
        manifests: packages
            .iter()
            .map(|package| (package.manifest.clone(), package))
            .collect(),
        packages: &packages,
        pending: root
            .tree
            .iter()
            .map(|(path, _)| path)
            .filter(|path| !dropped.contains_key(*path))
            .cloned()
            .collect(),
        needed: Needed {
            spared: Vec::new(),
            folders: BTreeSet::new(),
            going,
        },
        dropped,
    };
    for (package, choice) in matcher.selected_packages() {
        let by = NeededBy::Choice(choice.to_owned());
        search.spare_package(package, &by);
    }
    let mut known = BTreeSet::new();
    while !search.pending.is_empty() {
        let pending = std::mem::take(&mut search.pending);
        let mentioned = search.mentioned(&pending);
        for (path, mentioned) in pending.iter().zip(mentioned) {
            search.follow(path);
            for mention in mentioned {
                if known.insert(mention) {
                    search.spare_mentioned(mention, path);
                }
            }
        }
    }
    let mut needed = search.needed;
    needed.spared.sort_by(|a, b| a.path.cmp(&b.path));
    needed
}

/// Goes from what is kept to what that needs until nothing new is found.
struct Search<'a> {
    root: Root<'a>,
    matcher: &'a Matcher,
    open: &'a Open<'a>,
    /// What goes with libraries that are never loaded.
    mentions: Option<Mentions<'a>>,
    graph: &'a Graph,
    /// By what they may be loaded all the same.
    wanted: BTreeMap<TreePath, BTreeSet<TreePath>>,
    /// By the file that starts them, which stands for the whole interpreter.
    interpreters: BTreeMap<TreePath, Interpreter>,
    packages: &'a [Package],
    /// The packages by their manifest, which stands for the whole package.
    manifests: BTreeMap<TreePath, &'a Package>,
    dropped: &'a mut BTreeMap<TreePath, String>,
    pending: Vec<TreePath>,
    needed: Needed,
}

impl Search<'_> {
    fn spare(&mut self, path: &TreePath, by: &NeededBy) {
        if let Some(rule) = self.dropped.remove(path) {
            self.needed.spared.push(Spared {
                path: path.clone(),
                rule,
                needed_by: by.clone(),
            });
            self.pending.push(path.clone());
        }
    }

    /// Spares a folder whose heart a rule takes, with all below it that goes because the folder does. `heart` is the folder
    /// itself, or the file without which it is nothing.
    ///
    /// Every rule that matches the heart is set aside; what the others take of the folder, they take.
    fn spare_whole(&mut self, folder: &TreePath, heart: &TreePath, by: &NeededBy) {
        let Some(taker) = self.dropped.get(heart) else {
            return;
        };
        let mut aside: BTreeSet<String> = self.matcher.all_matching(heart).map(ToOwned::to_owned).collect();
        aside.insert(taker.clone());
        let tree = self.root.tree;
        for path in std::iter::once(folder).chain(tree.below(folder).map(|(path, _)| path)) {
            if !self.dropped.get(path).is_some_and(|taker| aside.contains(taker)) {
                continue;
            }
            match self.matcher.rule_without(path, &aside) {
                Some(rule) => {
                    self.dropped.insert(path.clone(), rule.to_owned());
                }
                None => self.spare(path, by),
            }
        }
    }

    fn spare_package(&mut self, package: &TreePath, by: &NeededBy) {
        if let Some(package) = self.packages.iter().find(|other| other.directory == *package) {
            self.spare_whole(&package.directory, &package.manifest, by);
        }
    }

    /// Spares what a kept path needs.
    fn follow(&mut self, path: &TreePath) {
        let by = NeededBy::Path(path.clone());
        match self.root.tree.get(path) {
            Some(Entry::Symlink(target)) => self.spare_place(&link_target(path, target), &by),
            Some(Entry::File(file)) => {
                let libraries: Vec<String> = self
                    .graph
                    .needs
                    .get(path)
                    .into_iter()
                    .flatten()
                    .filter_map(|need| match &need.resolution {
                        Resolution::Found(Resolved { path, .. }) => Some(path.clone()),
                        Resolution::Missing(_) => None,
                    })
                    .collect();
                for library in libraries {
                    self.spare_place(&library, &by);
                }
                if let Some(interpreter) = file.content.object().and_then(|object| object.interpreter.clone()) {
                    self.spare_place(&interpreter, &by);
                }
                self.follow_idle(path, &by);
                for library in self.wanted.get(path).cloned().unwrap_or_default() {
                    self.spare(&library, &by);
                }
                if let Some(text) = file.content.text() {
                    for library in self.named_in(path, text) {
                        self.spare(&library, &by);
                    }
                    for program in self.interpreters(text) {
                        self.spare_place(&program, &by);
                    }
                }
                if let Some(package) = self.manifests.get(path).copied() {
                    self.follow_package(package);
                }
                if let Some(interpreter) = self.interpreters.get(path).cloned() {
                    for file in &interpreter.loaded {
                        self.spare(file, &by);
                    }
                }
            }
            Some(Entry::Directory(_)) | None => {}
        }
    }

    /// The libraries that are never loaded by what is known of the search path, and that a text may still cause to be.
    fn named_in(&self, path: &TreePath, text: &str) -> Vec<TreePath> {
        let all_are = changes_search_path(text) && !self.is_search_path_known(path, text);
        let is_named = |idle: &&Idle| {
            let library = &idle.library.path;
            all_are
                || idle
                    .links
                    .iter()
                    .chain([library])
                    .any(|name| text.contains(name.file_name()))
        };
        let named = self.matcher.idle().iter().filter(is_named);
        named.map(|idle| idle.library.path.clone()).collect()
    }

    /// Whether the processes that were followed have the search path that this text sets: R's `etc/ldpaths`, and a
    /// bootstrap whose assignments were understood.
    fn is_search_path_known(&self, path: &TreePath, text: &str) -> bool {
        if self
            .interpreters
            .values()
            .any(|interpreter| interpreter.settings.as_ref() == Some(path))
        {
            return true;
        }
        let before = &self.root.runtime.environment;
        let mut after = before.clone();
        shell::source(text, &mut after);
        path.as_str() == BOOTSTRAP && before.get("LD_LIBRARY_PATH") != after.get("LD_LIBRARY_PATH")
    }

    /// Spares the names of a library that stays although it is never loaded, which is of no use without them, and what would
    /// have gone with it.
    fn follow_idle(&mut self, path: &TreePath, by: &NeededBy) {
        let Some(idle) = self.matcher.idle().iter().find(|idle| idle.library.path == *path) else {
            return;
        };
        let is_name = |link: &&TreePath| {
            let taker = self.dropped.get(*link);
            taker.is_some_and(|taker| self.matcher.takes_shadowed(taker))
        };
        let mut spared: Vec<TreePath> = idle.links.iter().filter(is_name).cloned().collect();
        spared.extend(self.needed.going_with(path).cloned());
        for path in spared {
            self.spare(&path, by);
        }
    }

    /// For each path, what goes with libraries that are never loaded and what the file there may use all the same.
    fn mentioned(&self, paths: &[TreePath]) -> Vec<BTreeSet<Mention>> {
        let Some(mentions) = &self.mentions else {
            return vec![BTreeSet::new(); paths.len()];
        };
        let in_file = |path: &TreePath| {
            let file = self.root.tree.file(path)?;
            match (self.open)(path) {
                Some(content) => mentions.in_content(content).ok(),
                None => mentions.in_content(file.content.text()?.as_bytes()).ok(),
            }
        };
        paths.par_iter().map(|path| in_file(path).unwrap_or_default()).collect()
    }

    fn spare_mentioned(&mut self, mention: Mention, by: &TreePath) {
        let mentions = self.mentions.iter();
        let paths: Vec<TreePath> = mentions.flat_map(|mentions| mentions.paths(mention)).cloned().collect();
        for path in paths {
            self.spare(&path, &NeededBy::Path(by.clone()));
        }
    }

    /// The absolute paths of the programs that a script's first line asks for.
    fn interpreters(&self, script: &str) -> Vec<String> {
        let (program, command) = interpreters(script);
        let found = command.and_then(|command| {
            self.root
                .runtime
                .command_path()
                .into_iter()
                .map(|folder| format!("{folder}/{command}"))
                .find(|path| self.root.resolve(path).is_ok())
        });
        program.map(ToOwned::to_owned).into_iter().chain(found).collect()
    }

    /// Spares what an absolute path needs: every link on the way, and what it leads to.
    fn spare_place(&mut self, absolute: &str, by: &NeededBy) {
        let mut links = Vec::new();
        let Ok(Location::Tree(place)) = self.root.walk(absolute, |link| links.push(link)) else {
            return;
        };
        for link in links {
            self.spare(&link, by);
        }
        if let Some(Entry::Directory(_)) = self.root.tree.get(&place) {
            self.spare_whole(&place, &place, by);
            self.needed.folders.insert(place);
        } else {
            self.spare(&place, by);
        }
    }

    fn follow_package(&mut self, package: &Package) {
        let by = NeededBy::Path(package.directory.clone());
        for file in &package.loaded {
            self.spare(file, &by);
        }
        for name in &package.requires {
            let candidates: Vec<&Package> = self
                .packages
                .iter()
                .filter(|other| other.language == package.language && other.name == *name)
                .collect();
            let is_kept = |other: &&Package| !self.dropped.contains_key(&other.manifest);
            if candidates.iter().any(is_kept) {
                continue;
            }
            // R looks through its libraries in order; the one that the package itself lies in is one of them.
            let beside = candidates
                .iter()
                .find(|other| other.directory.parent() == package.directory.parent());
            if let Some(other) = beside.or(candidates.first()) {
                self.spare_package(&other.directory, &by);
            }
        }
    }
}

impl Needed {
    /// What goes with the library at this path.
    fn going_with(&self, library: &TreePath) -> impl Iterator<Item = &TreePath> {
        let going = self.going.iter().filter(move |going| going.library == *library);
        going.map(|going| &going.path)
    }
}

impl Going {
    /// Everything of the kind, sorted by path.
    fn all(matcher: &Matcher, dropped: &BTreeMap<TreePath, String>) -> Vec<Self> {
        let takers: BTreeSet<&str> = matcher.takes_with_shadowed().collect();
        let taken = dropped.iter().filter(|(_, taker)| takers.contains(taker.as_str()));
        let going = taken.flat_map(|(path, taker)| {
            let libraries = matcher
                .idle()
                .iter()
                .filter(move |idle| matcher.goes_with(taker, path, idle));
            libraries.map(|idle| Self {
                path: path.clone(),
                library: idle.library.path.clone(),
                is_command: idle.commands.contains(path),
            })
        });
        going.collect()
    }
}

/// Whether a text may start processes with another search path than its own (ld.so(8): the variables and options that
/// change it).
fn changes_search_path(text: &str) -> bool {
    ["LD_LIBRARY_PATH", "LD_PRELOAD", "--library-path", "--preload"]
        .iter()
        .any(|word| text.contains(word))
}

/// The program in a script's first line and, where that is env(1), the command that env looks for.
fn interpreters(script: &str) -> (Option<&str>, Option<&str>) {
    let Some(program) = shell::interpreter(script) else {
        return (None, None);
    };
    if program.rsplit('/').next() != Some("env") {
        return (Some(program), None);
    }
    let line = script.lines().next().unwrap_or_default();
    let mut words = line.trim_start_matches("#!").split_whitespace().skip(1);
    // env takes the first word that is neither an option nor an assignment.
    let command = words.find(|word| !word.starts_with('-') && !word.contains('='));
    (Some(program), command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_names_the_interpreter() {
        let check = |text: &str, expected: (Option<&str>, Option<&str>)| assert_eq!(interpreters(text), expected);
        check("#!/opt/bin/python3 -I\nx", (Some("/opt/bin/python3"), None));
        check("#! /bin/sh\n", (Some("/bin/sh"), None));
        check("#!/usr/bin/env python3\n", (Some("/usr/bin/env"), Some("python3")));
        check("#!/usr/bin/env -S A=b node --x\n", (Some("/usr/bin/env"), Some("node")));
        check("#!/usr/bin/env\n", (Some("/usr/bin/env"), None));
        check("#!\n", (None, None));
        check("x\n", (None, None));
    }
}
