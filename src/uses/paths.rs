//! Uses by an absolute path that is written in a file, be it a text or a program.
//!
//! A path may go on where only a run would tell how: `/opt/share/$name`, `/opt/plugins/*.so`, `"/opt/data/" + name`. Then
//! everything counts as meant that the written part is the beginning of, in that one directory.

use std::collections::BTreeSet;

use memchr::memmem;

use super::words::{is_of_name_in_text, is_of_path_in_text};
use super::written::is_text;
use super::{Evidence, FindUses, Source, Use, UseKind, Used};
use crate::root::{Location, Root};
use crate::tree::path::LAYER_ROOT;
use crate::tree::{Entry, Tree, TreePath};

/// Longer paths do not exist (limits.h(0p): PATH_MAX on Linux), in bytes.
const LONGEST_PATH: usize = 4096;

/// What may follow a path in a sentence and is not part of it.
const BEHIND_PATHS: [char; 2] = ['.', '-'];

/// Finds paths below `/opt` that are written in files and lead to something that a rule matches.
pub struct WrittenPaths<'a> {
    root: Root<'a>,
    at_stake: &'a BTreeSet<TreePath>,
    emptied_by: &'a BTreeSet<TreePath>,
    /// Those of them that have spaces and the like in their names, with their absolute paths.
    odd: Vec<(String, &'a TreePath)>,
    finder: memmem::Finder<'static>,
}

impl<'a> WrittenPaths<'a> {
    /// Makes ready to look for paths to these; `None` if there are none. A directory that is named is read as a whole where it
    /// would be empty without `emptied_by`.
    pub fn of(root: Root<'a>, at_stake: &'a BTreeSet<TreePath>, emptied_by: &'a BTreeSet<TreePath>) -> Option<Self> {
        let absolute = at_stake.iter().map(|path| (path.on_lambda(), path));
        (!at_stake.is_empty()).then(|| Self {
            root,
            at_stake,
            emptied_by,
            odd: absolute
                .filter(|(absolute, _)| !absolute.bytes().all(is_of_path_in_text))
                .collect(),
            finder: memmem::Finder::new(LAYER_ROOT).into_owned(),
        })
    }

    /// What is written from a place of a content on, where [`LAYER_ROOT`] stands: the paths that it means.
    fn meant(&self, content: &[u8], at: usize) -> Option<(String, Vec<TreePath>)> {
        let rest = &content[at..content.len().min(at + LONGEST_PATH)];
        let end = rest
            .iter()
            .position(|byte| !is_of_path_in_text(*byte))
            .unwrap_or(rest.len());
        let written = std::str::from_utf8(&rest[..end]).ok()?;
        let below = &written[LAYER_ROOT.len()..];
        if !below.is_empty() && !below.starts_with('/') {
            return None;
        }
        let goes_on = written.ends_with('/') || rest.get(end).is_some_and(|next| b"$*?%{[\\".contains(next));
        let plain = written.trim_end_matches(BEHIND_PATHS);
        let mut meant = [written, plain].into_iter().find_map(|path| self.lead_to(path));
        let odd = self
            .odd
            .iter()
            .filter(|(absolute, _)| rest.starts_with(absolute.as_bytes()));
        let odd: Vec<TreePath> = odd.map(|(_, path)| (*path).clone()).collect();
        if !odd.is_empty() {
            return Some((written.to_owned(), odd));
        }
        if meant.is_none() && goes_on {
            meant = Some(self.beginning_with(written));
        } else if written.ends_with('/') {
            meant.get_or_insert_default().extend(self.beginning_with(written));
        }
        meant.map(|meant| (written.to_owned(), meant))
    }

    /// Everything in a directory of which nothing would be left.
    fn whole(&self, directory: &TreePath) -> Vec<TreePath> {
        whole(self.root.tree, self.emptied_by, directory)
    }

    /// What an absolute path leads to, and the links on the way; `None` if it leads nowhere.
    fn lead_to(&self, absolute: &str) -> Option<Vec<TreePath>> {
        let mut passed = Vec::new();
        let Ok(Location::Tree(place)) = self.root.walk(absolute, |link| passed.push(link)) else {
            return None;
        };
        passed.push(place);
        Some(passed)
    }

    /// What is in the directory of a path and has a name that begins as written.
    fn beginning_with(&self, written: &str) -> Vec<TreePath> {
        let Some((directory, begin)) = written.rsplit_once('/') else {
            return Vec::new();
        };
        // Everything at the top would be everything.
        let Ok(Location::Tree(directory)) = self.root.resolve(directory) else {
            return Vec::new();
        };
        if directory.is_root() {
            return Vec::new();
        }
        let inside = self.root.tree.below(&directory).map(|(path, _)| path);
        inside
            .filter(|path| {
                let name = path.below(&directory).unwrap_or_default();
                name.starts_with(begin) && !name.contains('/')
            })
            .cloned()
            .collect()
    }
}

impl FindUses for WrittenPaths<'_> {
    fn reads(&self, _: &TreePath, entry: &Entry) -> bool {
        matches!(entry, Entry::File(_))
    }

    fn uses(&self, source: &Source<'_>) -> Vec<Use> {
        let Some(content) = source.content() else {
            return Vec::new();
        };
        let is_text = is_text(content);
        let mut uses = Vec::new();
        let mut known = BTreeSet::new();
        for at in self.finder.find_iter(content) {
            // In a text, `/usr/local/opt` and `-I/opt` are something else; in a program strings may stand side by side.
            let is_begun = at == 0 || !is_of_name_in_text(content[at - 1]);
            if is_text && !is_begun {
                continue;
            }
            let Some((written, meant)) = self.meant(content, at) else {
                continue;
            };
            // What sets a variable or a search path to a directory does not read it yet.
            let is_set = at > 0 && b"=:".contains(&content[at - 1]);
            let inside = meant.iter().filter(|_| is_text && !is_set);
            let inside: Vec<TreePath> = inside.flat_map(|path| self.whole(path)).collect();
            for path in meant.into_iter().chain(inside) {
                if self.at_stake.contains(&path) && known.insert(path.clone()) {
                    let evidence = Evidence {
                        text: written.clone(),
                        line: is_text.then(|| line_of(content, at)),
                    };
                    uses.push(source.uses(Used::Path(path), UseKind::Path, evidence));
                }
            }
        }
        uses
    }
}

/// Everything in a directory of which nothing would be left without some paths; nothing for the top of the tree.
fn whole(tree: &Tree, emptied_by: &BTreeSet<TreePath>, directory: &TreePath) -> Vec<TreePath> {
    if directory.is_root() || !matches!(tree.get(directory), Some(Entry::Directory(_))) {
        return Vec::new();
    }
    let is_left = |(path, entry): (&TreePath, &Entry)| {
        let is_directory = matches!(entry, Entry::Directory(_));
        !is_directory && !emptied_by.contains(path)
    };
    if tree.below(directory).any(is_left) {
        return Vec::new();
    }
    tree.below(directory).map(|(path, _)| path.clone()).collect()
}

/// Finds paths of which a script has the beginning from a variable or a command, `$here/share/x`: they may be from the top of the
/// tree, from the script's own directory, or from one that the script sets a variable to. Files that it names from a directory
/// into which it changes, `cd /opt/x && ./tool`, are found as well.
pub struct ShellPaths<'a> {
    tree: &'a Tree,
    at_stake: &'a BTreeSet<TreePath>,
    emptied_by: &'a BTreeSet<TreePath>,
}

impl<'a> ShellPaths<'a> {
    /// Makes ready to look for paths to these; `None` if there are none. A directory that is named is read as a whole where it
    /// would be empty without `emptied_by`.
    pub fn of(tree: &'a Tree, at_stake: &'a BTreeSet<TreePath>, emptied_by: &'a BTreeSet<TreePath>) -> Option<Self> {
        (!at_stake.is_empty()).then_some(Self {
            tree,
            at_stake,
            emptied_by,
        })
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
                let paths = beginnings.iter().map(|beginning| format!("{beginning}/{tail}"));
                let paths = paths.filter_map(|path| TreePath::normal(&path));
                let paths: BTreeSet<TreePath> = paths
                    .flat_map(|path| {
                        let inside = whole(self.tree, self.emptied_by, &path);
                        std::iter::once(path).chain(inside)
                    })
                    .collect();
                uses.extend(
                    paths
                        .into_iter()
                        .filter(|path| self.at_stake.contains(path))
                        .map(|path| {
                            let evidence = Evidence {
                                text: tail.to_owned(),
                                line: Some(number + 1),
                            };
                            source.uses(Used::Path(path), UseKind::Path, evidence)
                        }),
                );
            }
        }
        uses.extend(self.in_entered_directories(source, script, &beginnings));
        uses
    }
}

/// From how many directories of one script files are looked for; people write a few.
const MOST_ENTERED: usize = 32;

impl ShellPaths<'_> {
    /// The files that a script may name from directories into which it changes. From which of these it does is not known.
    fn in_entered_directories(&self, source: &Source<'_>, script: &str, beginnings: &BTreeSet<String>) -> Vec<Use> {
        let entered: BTreeSet<TreePath> = script
            .lines()
            .flat_map(|line| entered(line).flat_map(move |target| written_directories(line, target)))
            .flat_map(|(is_absolute, written)| {
                if is_absolute {
                    return vec![written.to_owned()];
                }
                let beginnings = beginnings.iter();
                beginnings.map(|beginning| format!("{beginning}/{written}")).collect()
            })
            .filter_map(|path| TreePath::normal(&path))
            .take(MOST_ENTERED)
            .collect();
        if entered.is_empty() {
            return Vec::new();
        }
        let is_comment = |line: &str| line.trim_start().starts_with('#');
        let lines = script.lines().enumerate().filter(|(_, line)| !is_comment(line));
        let words = lines.flat_map(|(number, line)| {
            let code = line.split_once(" #").map_or(line, |(code, _)| code);
            let words = code.split(|c: char| c.is_whitespace() || "'\"`;&|()<>=".contains(c));
            words.map(move |word| (number, word.strip_prefix("./").unwrap_or(word)))
        });
        let is_relative = |word: &str| !word.is_empty() && !word.starts_with(['/', '$', '-', '#', '~']);
        words
            .filter(|(_, word)| is_relative(word))
            .flat_map(|(number, word)| {
                let paths = entered
                    .iter()
                    .filter_map(move |directory| TreePath::normal(&format!("{}/{word}", directory.on_lambda())));
                let files = paths.filter(|path| self.at_stake.contains(path) && self.tree.file(path).is_some());
                files.map(move |path| {
                    let evidence = Evidence {
                        text: word.to_owned(),
                        line: Some(number + 1),
                    };
                    source.uses(Used::Path(path), UseKind::Path, evidence)
                })
            })
            .collect()
    }
}

/// The directories into which a line of a script changes, as they are written, without quotes.
fn entered(line: &str) -> impl Iterator<Item = &str> {
    let commands = line.split([';', '&', '|', '{', '(']).map(str::trim);
    commands.filter_map(|command| {
        let (mut name, mut target) = command.split_once(char::is_whitespace)?;
        while matches!(
            name,
            "if" | "elif" | "then" | "else" | "while" | "until" | "do" | "!" | "builtin" | "command"
        ) {
            (name, target) = target.trim_start().split_once(char::is_whitespace)?;
        }
        let target = target.trim_matches(|c: char| c.is_whitespace() || "'\"".contains(c));
        (matches!(name, "cd" | "pushd") && !target.is_empty() && target != "-").then_some(target)
    })
}

/// The directories that the target of a change of directory may stand for, each with whether it is absolute: of what is computed
/// what is written out behind it, if anything.
fn written_directories<'a>(line: &'a str, target: &'a str) -> Vec<(bool, &'a str)> {
    if target.contains(['$', '`']) {
        let tails = computed_beginnings(line).chain([""]);
        return tails.map(|tail| (false, tail)).collect();
    }
    vec![(target.starts_with('/'), target)]
}

/// How files of settings end, which name others by paths from their own directory. Manifests of packages are read by their languages.
const SETTINGS: [&str; 9] = [
    ".json",
    ".toml",
    ".yaml",
    ".yml",
    ".ini",
    ".cfg",
    ".conf",
    ".xml",
    ".properties",
];
const MANIFESTS: [&str; 8] = [
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "composer.json",
    "bower.json",
    "pyproject.toml",
    "setup.cfg",
    "tox.ini",
];

/// Finds paths in settings that begin with `./` or `../` and lead to something that a rule matches.
pub struct RelativePaths<'a> {
    tree: &'a Tree,
    at_stake: &'a BTreeSet<TreePath>,
    emptied_by: &'a BTreeSet<TreePath>,
}

impl<'a> RelativePaths<'a> {
    /// Makes ready to look for paths to these; `None` if there are none. A directory that is named is read as a whole where it
    /// would be empty without `emptied_by`.
    pub fn of(tree: &'a Tree, at_stake: &'a BTreeSet<TreePath>, emptied_by: &'a BTreeSet<TreePath>) -> Option<Self> {
        (!at_stake.is_empty()).then_some(Self {
            tree,
            at_stake,
            emptied_by,
        })
    }
}

impl FindUses for RelativePaths<'_> {
    fn reads(&self, path: &TreePath, entry: &Entry) -> bool {
        let name = path.file_name();
        let is_settings = SETTINGS.iter().any(|ending| name.ends_with(ending)) && !MANIFESTS.contains(&name);
        is_settings && matches!(entry, Entry::File(_))
    }

    fn uses(&self, source: &Source<'_>) -> Vec<Use> {
        let own = source.path.parent().filter(|_| self.reads(source.path, source.entry));
        let (Some(own), Some(content)) = (own, source.content()) else {
            return Vec::new();
        };
        let mut uses = Vec::new();
        for at in memmem::find_iter(content, "./") {
            let start = if at > 0 && content[at - 1] == b'.' { at - 1 } else { at };
            if start > 0 && is_of_path_in_text(content[start - 1]) {
                continue;
            }
            let rest = &content[start..content.len().min(start + LONGEST_PATH)];
            let end = rest.iter().position(|byte| !is_of_path_in_text(*byte));
            let Ok(written) = std::str::from_utf8(&rest[..end.unwrap_or(rest.len())]) else {
                continue;
            };
            let Some(path) = TreePath::normal(&format!("{}/{written}", own.on_lambda())) else {
                continue;
            };
            let inside = whole(self.tree, self.emptied_by, &path);
            let paths = std::iter::once(path).chain(inside);
            let paths: BTreeSet<TreePath> = paths.filter(|path| self.at_stake.contains(path)).collect();
            uses.extend(paths.into_iter().map(|path| {
                let evidence = Evidence {
                    text: written.to_owned(),
                    line: Some(line_of(content, start)),
                };
                source.uses(Used::Path(path), UseKind::Path, evidence)
            }));
        }
        uses
    }
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

/// The line that a place of a text is in, counted from 1.
pub(super) fn line_of(text: &[u8], at: usize) -> usize {
    1 + memchr::memchr_iter(b'\n', &text[..at]).count()
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
    fn directories_into_which_scripts_change_are_found() {
        let check = |line: &str, expected: &[(bool, &str)]| {
            let found: Vec<_> = entered(line)
                .flat_map(|target| written_directories(line, target))
                .collect();
            assert_eq!(found, expected, "{line}");
        };
        check("cd /opt/x && ./tool", &[(true, "/opt/x")]);
        check("  (cd 'a b'; make)", &[(false, "a b")]);
        check("if cd x; then pushd y; fi", &[(false, "x"), (false, "y")]);
        check("cd \"$HERE/x\"", &[(false, "x"), (false, "")]);
        check("cd \"$(dirname \"$0\")\" || exit", &[(false, "")]);
        check("cd \"$(dirname \"$0\")/../x\"", &[(false, "../x"), (false, "")]);
        check("cd -; echo cd /opt", &[]);
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
