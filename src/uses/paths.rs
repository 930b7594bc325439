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
use crate::shell;
use crate::tree::path::LAYER_ROOT;
use crate::tree::{Entry, TreePath};

/// Longer paths do not exist (limits.h(0p): PATH_MAX on Linux), in bytes.
const LONGEST_PATH: usize = 4096;

/// What may follow a path in a sentence and is not part of it.
const BEHIND_PATHS: [char; 2] = ['.', '-'];

/// Finds paths below `/opt` that are written in files and lead to something that a rule matches.
pub struct WrittenPaths<'a> {
    root: Root<'a>,
    at_stake: &'a BTreeSet<TreePath>,
    /// Those of them that have spaces and the like in their names, with their absolute paths.
    odd: Vec<(String, &'a TreePath)>,
    finder: memmem::Finder<'static>,
}

impl<'a> WrittenPaths<'a> {
    /// Makes ready to look for paths to these; `None` if there are none.
    pub fn of(root: Root<'a>, at_stake: &'a BTreeSet<TreePath>) -> Option<Self> {
        let absolute = at_stake.iter().map(|path| (path.on_lambda(), path));
        (!at_stake.is_empty()).then(|| Self {
            root,
            at_stake,
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
            for path in meant {
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

/// Finds paths of which a shell script has the beginning from a variable or a command, `$here/share/x`: they may be from the top
/// of the tree or from the script's own directory.
pub struct ShellPaths<'a> {
    at_stake: &'a BTreeSet<TreePath>,
}

impl<'a> ShellPaths<'a> {
    /// Makes ready to look for paths to these; `None` if there are none.
    pub fn of(at_stake: &'a BTreeSet<TreePath>) -> Option<Self> {
        (!at_stake.is_empty()).then_some(Self { at_stake })
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
        if !shell::is_for_shell(script) {
            return Vec::new();
        }
        let mut uses = Vec::new();
        for (number, line) in script.lines().enumerate() {
            for tail in computed_beginnings(line) {
                let from_own = source.path.parent().and_then(|own| own.join(tail));
                let paths = [TreePath::new(tail), from_own].into_iter().flatten();
                uses.extend(paths.filter(|path| self.at_stake.contains(path)).map(|path| {
                    let evidence = Evidence {
                        text: tail.to_owned(),
                        line: Some(number + 1),
                    };
                    source.uses(Used::Path(path), UseKind::Path, evidence)
                }));
            }
        }
        uses
    }
}

/// What is written out of the paths in a line of a shell script that begin with a variable or the output of a command.
fn computed_beginnings(line: &str) -> impl Iterator<Item = &str> {
    let is_comment = line.trim_start().starts_with('#');
    let starts = line.match_indices('/').filter(move |_| !is_comment);
    starts.filter_map(|(at, _)| {
        let before = &line[..at];
        let is_of_variable = |c: char| c.is_alphanumeric() || c == '_';
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
    }
}
