//! Uses by absolute path: the targets of links, and what the kernel starts a program or script through.

use super::{Evidence, FindUses, Source, Use, UseKind, Used};
use crate::root::{Location, Root, link_target};
use crate::shell;
use crate::tree::Entry;

/// What an absolute path uses in the tree: every link on the way, and what it leads to; nothing if it leads elsewhere.
pub(crate) fn used_at(root: Root<'_>, absolute: &str) -> Vec<Used> {
    let mut used = Vec::new();
    let Ok(Location::Tree(place)) = root.walk(absolute, |link| used.push(Used::Path(link))) else {
        return Vec::new();
    };
    used.push(match root.tree.get(&place) {
        Some(Entry::Directory(_)) => Used::Directory {
            marker: place.clone(),
            path: place,
        },
        _ => Used::Path(place),
    });
    used
}

/// Finds what symbolic links lead to.
pub struct LinkTargets<'a>(pub Root<'a>);

impl FindUses for LinkTargets<'_> {
    fn uses(&self, source: &Source<'_>) -> Vec<Use> {
        let Entry::Symlink(target) = source.entry else {
            return Vec::new();
        };
        let used = used_at(self.0, &link_target(source.path, target));
        used.into_iter()
            .map(|used| source.uses(used, UseKind::LinkTarget, Evidence::of(target)))
            .collect()
    }
}

/// Finds the loaders of programs and the interpreters of scripts.
pub struct Interpreters<'a>(pub Root<'a>);

impl FindUses for Interpreters<'_> {
    fn uses(&self, source: &Source<'_>) -> Vec<Use> {
        let Entry::File(file) = source.entry else {
            return Vec::new();
        };
        let object = file.content.object().and_then(|object| object.interpreter.clone());
        let script = file.content.text().into_iter();
        let paths = object.into_iter().chain(script.flat_map(|text| self.of_script(text)));
        paths
            .flat_map(|path| {
                let used = used_at(self.0, &path).into_iter();
                used.map(move |used| source.uses(used, UseKind::Interpreter, Evidence::of(&path)))
            })
            .collect()
    }
}

impl Interpreters<'_> {
    /// The absolute paths of the programs that a script's first line asks for.
    fn of_script(&self, script: &str) -> Vec<String> {
        let (program, command) = interpreters(script);
        let found = command.and_then(|command| {
            let directories = self.0.runtime.command_path().into_iter();
            directories
                .map(|directory| format!("{directory}/{command}"))
                .find(|path| self.0.resolve(path).is_ok())
        });
        program.map(ToOwned::to_owned).into_iter().chain(found).collect()
    }
}

/// The program in a script's first line and, if that is env(1), the command that env looks for.
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
