//! Uses by a path that a script puts together: from a variable or the output of a command, or from a directory into which it
//! changes.

use std::collections::{BTreeMap, BTreeSet};

use super::paths::whole;
use super::words::is_of_path_in_text;
use super::{Evidence, FindUses, Source, Use, UseKind, Used};
use crate::root::Root;
use crate::runtime::TASK_ROOT;
use crate::shell::{self, NamedWord, Script, Start, Value};
use crate::tree::path::LAYER_ROOT;
use crate::tree::{Entry, TreePath};

/// Finds paths of which a script has the beginning from a variable or a command, `$here/share/x`: they may be from the top of the
/// tree, from the script's own directory, or from one that the script sets a variable to. What a shell script names from a
/// directory into which it changes, `cd /opt/x && ./tool`, is found as well.
pub struct ShellPaths<'a> {
    root: Root<'a>,
    at_stake: &'a BTreeSet<TreePath>,
    emptied_by: &'a BTreeSet<TreePath>,
    environment: BTreeMap<String, Value>,
}

impl<'a> ShellPaths<'a> {
    /// Makes ready to look for paths to these; `None` if there are none. A directory that is named is read as a whole where it
    /// would be empty without `emptied_by`.
    pub fn of(root: Root<'a>, at_stake: &'a BTreeSet<TreePath>, emptied_by: &'a BTreeSet<TreePath>) -> Option<Self> {
        (!at_stake.is_empty()).then(|| Self {
            root,
            at_stake,
            emptied_by,
            environment: shell::known(&root.runtime.environment),
        })
    }

    /// The use of a path and, if that is a directory of which nothing would be left, of everything in it.
    fn uses_of(&self, source: &Source<'_>, path: TreePath, evidence: &Evidence) -> Vec<Use> {
        let inside = whole(self.root.tree, self.emptied_by, &path);
        let paths: BTreeSet<TreePath> = std::iter::once(path).chain(inside).collect();
        let paths = paths.into_iter().filter(|path| self.at_stake.contains(path));
        paths
            .map(|path| source.uses(Used::Path(path), UseKind::Path, evidence.clone()))
            .collect()
    }

    /// What the commands of a shell script name from the directories into which it changes.
    fn in_entered_directories(&self, source: &Source<'_>, script: &str, beginnings: &BTreeSet<String>) -> Vec<Use> {
        let reader = Script::of(script).filter(|_| shell::may_change_directory(script));
        let Some(reader) = reader else { return Vec::new() };
        let path = source.path.on_lambda();
        let named = reader.named(&Start::new(&path, TASK_ROOT, &self.environment), &self.root);
        let mut paths: BTreeMap<TreePath, &str> = BTreeMap::new();
        for NamedWord { directory, word } in &named {
            let directories = candidates(directory, beginnings);
            // A path may be part of an argument: `--file=x`, `open('x')`.
            let words = word.split(|c: char| c.is_whitespace() || "'\"`;&|()<>=,".contains(c));
            for word in words.filter(|word| !word.is_empty()) {
                if word.starts_with('/') {
                    paths.extend(TreePath::normal(word).map(|path| (path, word)));
                    continue;
                }
                let here = directories.iter();
                let here = here.filter_map(|directory| TreePath::normal(&format!("{directory}/{word}")));
                paths.extend(here.map(|path| (path, word)));
            }
        }
        let uses = paths.into_iter().flat_map(|(path, word)| {
            let evidence = Evidence {
                text: word.to_owned(),
                line: line_with(script, word),
            };
            self.uses_of(source, path, &evidence)
        });
        uses.collect()
    }
}

impl FindUses for ShellPaths<'_> {
    fn uses(&self, source: &Source<'_>) -> Vec<Use> {
        let Entry::File(file) = source.entry else {
            return Vec::new();
        };
        let Some(script) = file.content.text().filter(|text| text.starts_with("#!")) else {
            return Vec::new();
        };
        let own = source.path.parent().map(|own| own.on_lambda());
        let beginnings: BTreeSet<String> = own
            .into_iter()
            .chain([LAYER_ROOT.to_owned()])
            .chain(script.lines().flat_map(assigned_directories))
            .collect();
        let mut uses = Vec::new();
        for (number, line) in script.lines().enumerate() {
            for tail in computed_beginnings(line) {
                let evidence = Evidence {
                    text: tail.to_owned(),
                    line: Some(number + 1),
                };
                let paths = beginnings.iter().map(|beginning| format!("{beginning}/{tail}"));
                let paths: BTreeSet<TreePath> = paths.filter_map(|path| TreePath::normal(&path)).collect();
                uses.extend(paths.into_iter().flat_map(|path| self.uses_of(source, path, &evidence)));
            }
        }
        uses.extend(self.in_entered_directories(source, script, &beginnings));
        uses
    }
}

/// The directories that one may be in which a command is carried out: what is not known of it stands for one of the beginnings.
fn candidates(directory: &Value, beginnings: &BTreeSet<String>) -> BTreeSet<String> {
    let mut candidates = BTreeSet::new();
    for alternative in directory.alternatives() {
        if alternative.starts_with('/') {
            candidates.insert(alternative.to_owned());
        }
        if !directory.is_complete {
            candidates.extend(beginnings.iter().map(|beginning| format!("{beginning}/{alternative}")));
        }
    }
    candidates
}

/// The first line of a script in which a word stands that is not in a comment, counted from 1.
fn line_with(script: &str, word: &str) -> Option<usize> {
    let is_code = |line: &str| !line.trim_start().starts_with('#');
    let mut lines = script.lines();
    lines
        .position(|line| is_code(line) && line.contains(word))
        .map(|number| number + 1)
}

/// The directories below the layers' that a line of a script sets variables to, from what is written out of them: that may follow
/// another variable.
fn assigned_directories(line: &str) -> impl Iterator<Item = String> {
    let values = line
        .match_indices('=')
        .map(|(at, _)| line[at + 1..].trim_start_matches(['"', '\'']));
    values.filter_map(|value| {
        let end = value
            .bytes()
            .position(|byte| !is_of_path_in_text(byte) && !b"${}".contains(&byte));
        let value = &value[..end.unwrap_or(value.len())];
        let (before, path) = value.split_at(value.find('/')?);
        let is_absolute = before.is_empty() && path.starts_with(LAYER_ROOT);
        let is_computed = before.starts_with('$');
        let path = path.trim_end_matches('/');
        (is_absolute || is_computed && path.len() > 1).then(|| {
            if is_absolute {
                path.to_owned()
            } else {
                format!("{LAYER_ROOT}{path}")
            }
        })
    })
}

/// What is written out of the paths in a line of a script that begin with a variable or the output of a command.
fn computed_beginnings(line: &str) -> impl Iterator<Item = &str> {
    let is_comment = line.trim_start().starts_with('#');
    let starts = line.match_indices('/').filter(move |_| !is_comment);
    starts.filter_map(|(at, _)| {
        let before = &line[..at];
        let is_of_variable = |c: char| c.is_alphanumeric() || "_:".contains(c);
        let is_behind_variable = before.trim_end_matches(is_of_variable).ends_with('$') && !before.ends_with('$');
        if !is_behind_variable && !before.ends_with(['}', ')', '"', '`']) {
            return None;
        }
        let rest = &line[at + 1..];
        let end = rest
            .bytes()
            .position(|byte| !byte.is_ascii() || !is_of_path_in_text(byte));
        let tail = &rest[..end.unwrap_or(rest.len())];
        (!tail.is_empty()).then_some(tail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_behind_what_is_computed_are_read_from_shell_scripts() {
        let check = |line: &str, expected: &[&str]| {
            assert_eq!(computed_beginnings(line).collect::<Vec<_>>(), expected, "{line}");
        };
        check("source \"$D/include/functions.h\"", &["include/functions.h"]);
        check("cat \"${D}\"/man/man1/x.1 $(pwd)/a", &["man/man1/x.1", "a"]);
        check("cat /opt/include/x; x=a/b; # $D/c", &["c"]);
        check("  # $D/c", &[]);
        check("open \"$FindBin::Bin/../share/x\"", &["../share/x"]);
    }

    #[test]
    fn directories_that_variables_get_are_read() {
        let check = |line: &str, expected: &[&str]| {
            assert_eq!(assigned_directories(line).collect::<Vec<_>>(), expected, "{line}");
        };
        check("INC=/opt/include", &["/opt/include"]);
        check("export A=\"$TOP/share/x/\"; B=${C}/d", &["/opt/share/x", "/opt/d"]);
        check("A=/usr/include; B=$C; C=x/y; test $A = /opt", &[]);
    }
}
