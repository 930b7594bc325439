//! Uses of commands by their names: in shell scripts by what they call, in other code and in programs that start others
//! wherever such a name is written. Only a run would tell whether it is started.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::AhoCorasick;

use super::paths::line_of;
use super::place::used_at;
use super::words::{is_of_file_name, is_of_name_in_text, is_whole};
use super::{Evidence, FindUses, Source, Use, UseKind, Used};
use crate::elf::Object;
use crate::languages::LANGUAGES;
use crate::root::Root;
use crate::runtime::Runtime;
use crate::shell;
use crate::tree::{Entry, File, TreePath};

/// Finds the commands that a file calls by a name which leads to something that a rule matches.
pub struct CalledCommands<'a> {
    root: Root<'a>,
    /// The directories in which the runtime looks for commands.
    directories: Vec<String>,
    at_stake: Vec<&'a TreePath>,
    /// The names of what is at stake, in the same order.
    names: AhoCorasick,
}

impl<'a> CalledCommands<'a> {
    /// Makes ready to look for calls of these; `None` if there are none.
    pub fn of(root: Root<'a>, at_stake: &'a BTreeSet<TreePath>) -> Option<Self> {
        let directories = root.runtime.command_path();
        let at_stake: Vec<&TreePath> = commands_in(&directories, at_stake).collect();
        let names = AhoCorasick::new(at_stake.iter().map(|path| path.file_name())).ok()?;
        (!at_stake.is_empty()).then_some(Self {
            root,
            directories,
            at_stake,
            names,
        })
    }

    /// The path that a name leads to.
    fn place(&self, name: &str) -> Option<String> {
        let mut places = self.directories.iter().map(|directory| format!("{directory}/{name}"));
        places.find(|path| self.root.resolve(path).is_ok())
    }
}

impl CalledCommands<'_> {
    /// What a name leads to, if that is at stake.
    fn called(&self, source: &Source<'_>, name: &str, line: Option<usize>) -> Vec<Use> {
        let used = self.place(name).map(|path| used_at(self.root, &path));
        let evidence = Evidence {
            text: name.to_owned(),
            line,
        };
        used.into_iter()
            .flatten()
            .map(|used| source.uses(used, UseKind::Command, evidence.clone()))
            .filter(|edge| self.at_stake.contains(&edge.to.path()))
            .collect()
    }

    /// The commands whose names a file has in it as words, each with the first place of it that counts.
    fn named(&self, content: &[u8], counts: impl Fn(usize) -> bool) -> BTreeMap<&str, usize> {
        let mut named = BTreeMap::new();
        for found in self.names.find_overlapping_iter(content) {
            if !is_whole(content, found.range(), is_of_file_name) || !counts(found.start()) {
                continue;
            }
            if let Some(path) = self.at_stake.get(found.pattern().as_usize()) {
                named.entry(path.file_name()).or_insert(found.start());
            }
        }
        named
    }
}

/// Whether a place of a text is in a line that is a comment as a whole, in the languages that have `#`, `//` or `/*` for it.
fn is_in_comment(text: &[u8], at: usize) -> bool {
    let start = memchr::memrchr(b'\n', &text[..at]).map_or(0, |end| end + 1);
    let line = text[start..at].trim_ascii_start();
    [b"#".as_slice(), b"//", b"/*", b"*"]
        .iter()
        .any(|sign| line.starts_with(sign))
}

/// Whether a name in a shell script is the end of a path that begins with what only a run tells: `$bin/x`, `$(f)/bin/x`.
fn is_behind_variable(script: &[u8], at: usize) -> bool {
    let is_of_path = |byte: &u8| is_of_file_name(*byte) || *byte == b'/';
    let start = script[..at].iter().rposition(|byte| !is_of_path(byte));
    let path = &script[start.map_or(0, |start| start + 1)..at];
    let before = start.and_then(|start| script.get(start));
    path.contains(&b'/')
        && before.is_some_and(|byte| b"$})\"`".contains(byte))
        && (!path.starts_with(b"/") || before != Some(&b'$'))
}

/// Whether a program can start others: by the functions of the C library that do, or because it has all that it calls within
/// itself.
fn starts_others(object: &Object) -> bool {
    const STARTERS: [&str; 3] = ["system", "popen", "posix_spawn"];
    let is_starter = |name: &str| STARTERS.contains(&name) || name.starts_with("exec") || name == "posix_spawnp";
    let symbols = object.symbols.iter().flat_map(|symbols| &symbols.undefined);
    object.needed.is_empty() || symbols.into_iter().any(|symbol| is_starter(&symbol.name))
}

impl FindUses for CalledCommands<'_> {
    fn reads(&self, path: &TreePath, entry: &Entry) -> bool {
        let Entry::File(file) = entry else { return false };
        is_code(path, file) || file.content.object().is_some_and(starts_others)
    }

    fn uses(&self, source: &Source<'_>) -> Vec<Use> {
        let (Entry::File(file), Some(content)) = (source.entry, source.content()) else {
            return Vec::new();
        };
        if let Some(script) = file.content.text().filter(|text| shell::is_for_shell(text)) {
            if !self.at_stake.iter().any(|path| script.contains(path.file_name())) {
                return Vec::new();
            }
            let called = shell::commands(script).into_iter().filter(|name| !name.contains('/'));
            let called = called.flat_map(|name| self.called(source, &name, None));
            let computed = self.named(content, |at| {
                !is_in_comment(content, at) && is_behind_variable(content, at)
            });
            let computed = computed.into_iter();
            let computed = computed.flat_map(|(name, at)| self.called(source, name, Some(line_of(content, at))));
            return called.chain(computed).collect();
        }
        let is_program = file.content.object().is_some_and(starts_others);
        if !is_program && !is_code(source.path, file) {
            return Vec::new();
        }
        let named = self.named(content, |at| is_program || !is_in_comment(content, at));
        let named = named.into_iter();
        named
            .flat_map(|(name, at)| self.called(source, name, (!is_program).then(|| line_of(content, at))))
            .collect()
    }
}

/// Whether a file is source code or a script.
fn is_code(path: &TreePath, file: &File) -> bool {
    let kinds = LANGUAGES.iter().filter_map(|language| language.code());
    let is_script = file.content.text().is_some_and(|text| text.starts_with("#!"));
    is_script
        || kinds
            .flat_map(|kind| kind.endings)
            .any(|ending| path.file_name().ends_with(ending))
}

/// Finds commands whose names stand as words in a script, whatever its language is: what it may call, if not what it does.
pub struct NamedCommands<'a>(Vec<&'a TreePath>);

impl<'a> NamedCommands<'a> {
    /// Makes ready to look for those of the paths that the runtime finds as commands.
    pub fn of(runtime: &Runtime, paths: &'a BTreeSet<TreePath>) -> Self {
        Self(commands_in(&runtime.command_path(), paths).collect())
    }
}

impl FindUses for NamedCommands<'_> {
    fn uses(&self, source: &Source<'_>) -> Vec<Use> {
        let Entry::File(file) = source.entry else {
            return Vec::new();
        };
        let Some(script) = file.content.text().filter(|text| text.starts_with("#!")) else {
            return Vec::new();
        };
        let named = self.0.iter().filter(|path| has_word(script, path.file_name()));
        named
            .map(|path| {
                let evidence = Evidence::of(path.file_name());
                source.uses(Used::Path((*path).clone()), UseKind::Command, evidence)
            })
            .collect()
    }
}

/// The paths that are directly in one of the directories.
fn commands_in<'p>(directories: &[String], paths: &'p BTreeSet<TreePath>) -> impl Iterator<Item = &'p TreePath> {
    paths.iter().filter(|path| {
        let directory = path.parent().map(|directory| directory.on_lambda());
        directory.is_some_and(|directory| directories.contains(&directory))
    })
}

/// Whether a word stands in a text with nothing around it that could be a part of it.
fn has_word(text: &str, word: &str) -> bool {
    let mut found = memchr::memmem::find_iter(text.as_bytes(), word);
    found.any(|at| is_whole(text.as_bytes(), at..at + word.len(), is_of_name_in_text))
}
