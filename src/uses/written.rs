//! Uses by a name that is written in a file, of what is removed because the runtime has its own: a command that is started
//! by its path all the same, a library that is opened by a name which the runtime does not have, a file that came with
//! such a library.
//!
//! Only a run would tell for certain. What may be meant counts as meant: better a file too many is kept than one too few.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::AhoCorasick;

use super::words::{is_of_file_name, is_whole};
use super::{Evidence, FindUses, Source, Use, UseKind, Used};
use crate::loader::BOOTSTRAP;
use crate::root::{Location, Root};
use crate::shell;
use crate::tree::path::LAYER_ROOT;
use crate::tree::{Entry, TreePath};

/// How far a path is read back from one of its names, in bytes. One that is longer counts as not written out.
const LONGEST_PATH: usize = 512;

/// How much of a file tells whether it is a text: one without a NUL byte there.
const TELLING: usize = 8 << 10;

/// The variable that says where commands are.
const COMMAND_PATH: &str = "PATH";

/// The variable that says where libraries are (ld.so(8)).
const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";

/// What else changes which libraries are loaded (ld.so(8)).
const LOADER_OPTIONS: [&str; 3] = ["LD_PRELOAD", "--library-path", "--preload"];

/// Something that a file may use by its path or name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sought {
    /// Where it is.
    pub path: TreePath,
    /// What it is.
    pub kind: SoughtKind,
}

/// What is sought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SoughtKind {
    /// A file that is read by its path.
    File,
    /// A command in a directory of `PATH`.
    Command,
    /// A library, or a link to one, on the search path.
    Library {
        /// Whether the loader finds a library of the runtime's by this very name. If so, only a path means the tree's.
        is_provided: bool,
    },
}

/// Finds what files use by a path or name that is written in them; all that is sought is looked for at once.
pub struct WrittenNames<'a> {
    root: Root<'a>,
    sought: Vec<Sought>,
    /// The directories that these are in, each with the numbers of what is there.
    directories: Vec<(TreePath, Vec<usize>)>,
    /// What is looked for, by the number that the automaton has for it.
    names: Vec<Name>,
    automaton: AhoCorasick,
    /// The names by which the loader finds a library in the tree alone.
    own_names: AhoCorasick,
    own: Vec<usize>,
    /// Scripts whose changes to the search path of libraries the processes that were followed have.
    understood: BTreeSet<TreePath>,
}

/// A name, and whose it is.
#[derive(Default)]
struct Name {
    text: String,
    sought: Vec<usize>,
    directories: Vec<usize>,
}

/// What is written in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Written {
    /// One thing.
    One(usize),
    /// Everything in a directory.
    Directory(usize),
    /// Every command.
    Commands,
    /// Every library.
    Libraries,
}

impl<'a> WrittenNames<'a> {
    /// Makes ready to look for these; `None` if there are none.
    pub fn of(root: Root<'a>, sought: BTreeSet<Sought>, mut understood: BTreeSet<TreePath>) -> Option<Self> {
        if sought.is_empty() {
            return None;
        }
        let sought: Vec<Sought> = sought.into_iter().collect();
        let mut directories: BTreeMap<TreePath, Vec<usize>> = BTreeMap::new();
        let words = [COMMAND_PATH, LIBRARY_PATH].into_iter().chain(LOADER_OPTIONS);
        let mut names: BTreeMap<&str, Name> = words.map(|word| (word, Name::default())).collect();
        for (number, Sought { path, kind }) in sought.iter().enumerate() {
            names.entry(path.file_name()).or_default().sought.push(number);
            if matches!(kind, SoughtKind::Library { .. }) {
                continue;
            }
            directories.entry(path.parent()?).or_default().push(number);
        }
        let directories: Vec<(TreePath, Vec<usize>)> = directories.into_iter().collect();
        for (number, (directory, _)) in directories
            .iter()
            .enumerate()
            .filter(|(_, (directory, _))| !directory.is_root())
        {
            names.entry(directory.file_name()).or_default().directories.push(number);
        }
        let names: Vec<Name> = names
            .into_iter()
            .map(|(text, name)| Name {
                text: text.to_owned(),
                ..name
            })
            .collect();
        let is_own = |number: &usize| sought[*number].kind == SoughtKind::Library { is_provided: false };
        let own: Vec<usize> = (0..sought.len()).filter(is_own).collect();
        understood.extend(understood_bootstrap(root));
        Some(Self {
            root,
            own_names: AhoCorasick::new(own.iter().map(|number| sought[*number].path.file_name())).ok()?,
            own,
            understood,
            automaton: AhoCorasick::new(names.iter().map(|name| &name.text)).ok()?,
            sought,
            directories,
            names,
        })
    }

    /// What is meant, each with how it is used and the name that is written.
    fn meant(&self, written: Written) -> Vec<(&TreePath, UseKind, &str)> {
        let all = |is_meant: fn(SoughtKind) -> bool, kind, name| {
            let meant = self.sought.iter().filter(|sought| is_meant(sought.kind));
            meant.map(|sought| (&sought.path, kind, name)).collect()
        };
        match written {
            Written::One(number) => {
                let Sought { path, kind } = &self.sought[number];
                let kind = match kind {
                    SoughtKind::Command => UseKind::Command,
                    SoughtKind::File | SoughtKind::Library { .. } => UseKind::Path,
                };
                vec![(path, kind, path.file_name())]
            }
            Written::Directory(directory) => {
                let (directory, inside) = &self.directories[directory];
                let paths = inside.iter().map(|number| &self.sought[*number].path);
                paths.map(|path| (path, UseKind::Path, directory.file_name())).collect()
            }
            Written::Commands => all(|kind| kind == SoughtKind::Command, UseKind::Command, COMMAND_PATH),
            Written::Libraries => {
                let is_library = |kind| matches!(kind, SoughtKind::Library { .. });
                all(is_library, UseKind::Path, LIBRARY_PATH)
            }
        }
    }

    /// What of them a file with this content may use.
    fn in_content(&self, path: &TreePath, is_script: bool, content: &[u8]) -> BTreeSet<Written> {
        if is_text(content) {
            if !self.automaton.is_match(content) {
                return BTreeSet::new();
            }
            let text = String::from_utf8_lossy(content);
            let mut written = self.in_text(&text);
            if self.changes_search_path(path, is_script, &text) {
                written.insert(Written::Libraries);
            }
            return written;
        }
        let mut written = self.in_pieces(&pieces(content));
        written.extend(self.own_names_in(content));
        written
    }

    /// Whether processes that a text starts may have another search path for libraries than those that were followed. In a
    /// script any word of it counts.
    fn changes_search_path(&self, path: &TreePath, is_script: bool, text: &str) -> bool {
        if self.understood.contains(path) {
            return false;
        }
        let mut words = [LIBRARY_PATH].into_iter().chain(LOADER_OPTIONS);
        if is_script {
            return words.any(|word| text.contains(word));
        }
        memchr::memmem::find_iter(text.as_bytes(), LIBRARY_PATH)
            .any(|at| self.is_set(text, LIBRARY_PATH, at + LIBRARY_PATH.len()))
    }

    /// The names in a program by which only the tree has a library.
    fn own_names_in(&self, content: &[u8]) -> BTreeSet<Written> {
        let found = self.own_names.find_overlapping_iter(content);
        found
            .filter(|found| is_whole(content, found.range(), is_of_file_name))
            .map(|found| Written::One(self.own[found.pattern().as_usize()]))
            .collect()
    }

    fn in_text(&self, text: &str) -> BTreeSet<Written> {
        let found = self.places(text);
        let is_there = |name: &str| {
            let number = self.names.binary_search_by(|known| known.text.as_str().cmp(name));
            number.is_ok_and(|number| found.contains_key(&number))
        };
        let mut written = BTreeSet::new();
        for (number, places) in &found {
            let name = &self.names[*number];
            if name.text == COMMAND_PATH && places.ends.iter().any(|end| self.is_set(text, COMMAND_PATH, *end)) {
                written.insert(Written::Commands);
            }
            for number in &name.directories {
                let (directory, _) = &self.directories[*number];
                let absolute = directory.on_lambda();
                let is_written = |end: &usize| text[..*end].ends_with(&absolute) && ends(&text[*end..]);
                // A directory at the root of the tree has a name as common as `bin`.
                if directory.names().count() > 1 || places.ends.iter().any(is_written) {
                    written.insert(Written::Directory(*number));
                }
            }
            for number in &name.sought {
                let Sought { path, kind } = &self.sought[*number];
                let may_be_found = || path.parent().is_some_and(|directory| is_there(directory.file_name()));
                let is_meant = match kind {
                    SoughtKind::File | SoughtKind::Library { is_provided: false } => true,
                    SoughtKind::Command => places.is_behind_slash || is_there(COMMAND_PATH) || may_be_found(),
                    SoughtKind::Library { is_provided: true } => places.is_behind_slash,
                };
                if is_meant {
                    written.insert(Written::One(*number));
                }
            }
        }
        written
    }

    fn in_pieces(&self, pieces: &[u8]) -> BTreeSet<Written> {
        let found = self.automaton.find_overlapping_iter(pieces);
        let found: BTreeSet<usize> = found.map(|found| found.pattern().as_usize()).collect();
        let mut written = BTreeSet::new();
        for name in found.into_iter().map(|number| &self.names[number]) {
            let directories = name.directories.iter();
            let found = directories.filter(|number| is_written_in(pieces, &self.directories[**number].0));
            written.extend(found.map(|number| Written::Directory(*number)));
            let sought = name.sought.iter();
            let found = sought.filter(|number| is_written_in(pieces, &self.sought[**number].path));
            written.extend(found.map(|number| Written::One(*number)));
        }
        written
    }

    /// Where a text has the names as words, by the number of each; in a path that leads elsewhere they do not count.
    fn places(&self, text: &str) -> BTreeMap<usize, Places> {
        let mut places: BTreeMap<usize, Places> = BTreeMap::new();
        for found in self.automaton.find_overlapping_iter(text) {
            let (start, end) = (found.start(), found.end());
            if !is_word(text, start, end) {
                continue;
            }
            let is_behind_slash = text[..start].ends_with('/');
            if !(is_behind_slash && self.is_elsewhere(text, start, end)) {
                let places = places.entry(found.pattern().as_usize()).or_default();
                places.is_behind_slash |= is_behind_slash;
                places.ends.push(end);
            }
        }
        places
    }

    /// Whether the path that ends in a text at `after` is written out and does not lead into the tree.
    fn is_elsewhere(&self, text: &str, at: usize, after: usize) -> bool {
        let is_of_path = |byte: &u8| is_of_file_name(*byte) || b"+/".contains(byte);
        let before = text[..at].bytes().rev().take(LONGEST_PATH);
        let start = at - before.take_while(is_of_path).count();
        let path = &text[start..after];
        let is_begun = match text[..start].strip_suffix(['"', '\'']) {
            // In quotes, `/bin/x` may be put behind something.
            Some(before) => path.starts_with("/usr/") && (before.is_empty() || before.ends_with(is_before_path)),
            None => start == 0 || text[..start].ends_with(is_before_path),
        };
        is_begun && path.starts_with('/') && !self.leads_into_tree(path)
    }

    fn leads_into_tree(&self, absolute: &str) -> bool {
        matches!(self.root.resolve(absolute), Ok(Location::Tree(_)))
    }

    /// Whether a text, which has a search path's variable before `end`, sets it there to anything but itself and directories
    /// that are not the tree's.
    fn is_set(&self, text: &str, variable: &str, end: usize) -> bool {
        let line = text[end..].lines().next().unwrap_or_default();
        let rest = line.trim_start_matches(|next: char| next.is_whitespace() || "\"']}).+:".contains(next));
        let value = match rest.strip_prefix(['=', ',']) {
            Some(value) => value,
            None if text[..end - variable.len()].trim_end().ends_with("setenv") => line,
            None => return false,
        };
        self.may_have_directory_of_tree(variable, value)
    }

    /// Whether what a search path is set to may have a directory of the tree: one that is written out, or what only a run tells.
    fn may_have_directory_of_tree(&self, variable: &str, value: &str) -> bool {
        let mut left = value;
        let mut is_empty = true;
        while let Some(start) = left.find(|next| !is_between_parts(next)) {
            is_empty = false;
            left = &left[start..];
            let (part, behind) = left.split_at(left.find(is_between_parts).unwrap_or(left.len()));
            left = behind;
            // A function, the name of an argument, or a table of variables.
            let is_no_value = behind.trim_start().starts_with(['(', '=', '[', '{']);
            let is_itself = part.rsplit('.').next() == Some(variable);
            let is_harmless = is_no_value || is_itself || part == "export";
            let is_elsewhere = part.starts_with('/') && !self.leads_into_tree(part);
            if !is_harmless && !is_elsewhere {
                return true;
            }
        }
        is_empty
    }
}

impl FindUses for WrittenNames<'_> {
    fn reads(&self, _: &TreePath, entry: &Entry) -> bool {
        matches!(entry, Entry::File(_))
    }

    fn uses(&self, source: &Source<'_>) -> Vec<Use> {
        let is_script = matches!(source.entry, Entry::File(file) if file.content.text().is_some());
        let written = source
            .content()
            .map(|content| self.in_content(source.path, is_script, content));
        let meant = written.into_iter().flatten().flat_map(|written| self.meant(written));
        meant
            .map(|(path, kind, name)| source.uses(Used::Path(path.clone()), kind, Evidence::of(name)))
            .collect()
    }
}

/// Whether a content is a text, by its beginning.
pub(super) fn is_text(content: &[u8]) -> bool {
    !content[..content.len().min(TELLING)].contains(&0)
}

/// Of a content that is not a text, what stands where a path below /opt begins, each piece with a NUL behind it.
fn pieces(content: &[u8]) -> Vec<u8> {
    let mut pieces = Vec::new();
    for at in memchr::memmem::find_iter(content, LAYER_ROOT) {
        pieces.extend_from_slice(&content[at..content.len().min(at + LONGEST_PATH)]);
        pieces.push(0);
    }
    pieces
}

/// The bootstrap, if its assignments to the search path were understood: the processes that were followed have them.
fn understood_bootstrap(root: Root<'_>) -> Option<TreePath> {
    let path = TreePath::new(BOOTSTRAP)?;
    let before = &root.runtime.environment;
    let mut after = before.clone();
    shell::source(root.tree.text(&path)?, &mut after);
    let variable = "LD_LIBRARY_PATH";
    (before.get(variable) != after.get(variable)).then_some(path)
}

/// Where a text has a name.
#[derive(Default)]
struct Places {
    /// Whether it is behind a `/` anywhere.
    is_behind_slash: bool,
    /// Where the name ends.
    ends: Vec<usize>,
}

/// Whether what stands between two places of a text is not part of a longer name.
fn is_word(text: &str, start: usize, end: usize) -> bool {
    let after = &text[end..];
    let more = after.strip_prefix('.').unwrap_or(after);
    !text[..start].ends_with(is_of_name) && !after.starts_with('-') && !more.starts_with(is_of_name)
}

/// Whether a path ends here: what follows is not a further name, or is one that only a run would tell.
fn ends(after: &str) -> bool {
    let further = after.trim_start_matches(['/', '.']);
    !further.starts_with(|next| is_of_name(next) || next == '-')
}

/// Whether bytes that are not a text hold a path, and not only as the beginning of another one.
fn is_written_in(content: &[u8], path: &TreePath) -> bool {
    let absolute = path.on_lambda();
    memchr::memmem::find_iter(content, &absolute).any(|at| {
        let after = content[at + absolute.len()..].iter().take(LONGEST_PATH);
        let after: String = after.map(|byte| char::from(*byte)).collect();
        ends(&after)
    })
}

fn is_of_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn is_before_path(character: char) -> bool {
    character.is_whitespace() || "=:;(|&<>,!".contains(character)
}

fn is_between_parts(character: char) -> bool {
    character.is_whitespace() || ":;\"'(),{}[]$+=".contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Arch, DEFAULT, Runtime};
    use crate::size::Bytes;
    use crate::tree::{Content, Entry, File, Mode, Tree};

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    /// For each content, which of the files in a small tree it may use.
    fn check(used: &str, is_command: bool, cases: &[(&[u8], bool)]) {
        let mut tree = Tree::default();
        for file in [used, "bin/other", "lib/libz.so"] {
            let file_of = File {
                bytes: Bytes(1),
                mode: Mode::EXECUTABLE,
                content: Content::Data,
            };
            tree.insert(path(file), Entry::File(file_of));
        }
        tree.insert(path("tools"), Entry::Symlink("bin".to_owned()));
        let runtime = Runtime::load(DEFAULT, Arch::X86_64).unwrap();
        let root = Root {
            tree: &tree,
            runtime: &runtime,
        };
        let sought = Sought {
            path: path(used),
            kind: if is_command {
                SoughtKind::Command
            } else {
                SoughtKind::File
            },
        };
        let names = WrittenNames::of(root, BTreeSet::from([sought.clone()]), BTreeSet::new()).unwrap();
        for (content, expected) in cases {
            let written = names.in_content(&path("x"), false, content);
            let meant = written.into_iter().flat_map(|written| names.meant(written));
            let paths: Vec<&TreePath> = meant.map(|(path, ..)| path).collect();
            let shown = String::from_utf8_lossy(content);
            assert_eq!(paths.contains(&&sought.path), *expected, "{shown}");
        }
    }

    #[test]
    fn a_command_is_used_by_its_path_or_where_its_directory_may_come_first() {
        let cases = [
            "/opt/bin/curl -o x y",
            "CURL=/opt/bin/curl\n",
            "'/opt/bin/curl'",
            "/opt/bin//curl",
            "/opt/tools/curl",
            "/opt/bin/../bin/curl",
            "exec bin/curl",
            "cd /opt/bin\n./curl",
            "cd \"$prefix/bin\" && ./curl x",
            "x=\"$(dirname \"$0\")/../bin/curl\"",
            "exec \"$(dirname \"$0\")/curl\"",
            "\"$DIR/curl\" x",
            "\"$prefix\"/bin/curl",
            "${BINDIR:-/opt/bin}/curl",
            "${BINDIR-/usr/bin}/curl",
            "bindir=${exec_prefix}/bin; $bindir/curl",
            "spawn(BASE + '/curl')",
            "paste0(root, \"/bin/curl\")",
            "`pwd`/bin/curl",
            "os.path.join(root, \"bin\", \"curl\")",
            "os.path.join(d, 'curl') for d in ['/opt/bin']",
            "for c in curl openssl; do /opt/bin/$c --version; done",
            "/opt/bin/{curl,openssl}",
            "BIN=/opt/bin/; exec ${BIN}curl x",
            "cd /opt/bin/; ./$1",
            "PATH=/usr/bin:/opt/bin",
            "export PATH=/opt/bin:$PATH",
            "export PATH=/opt/bin/:$PATH",
            "PATH=\"$prefix/bin\":$PATH",
            "PATH=\"$here/bin${PATH:+:$PATH}\"",
            "PATH=$here",
            "here=$(dirname $0); PATH=\"$here:$PATH\" exec curl x",
            "setenv PATH ${PREFIX}/bin:$PATH",
            "$ENV{PATH} = \"$root/bin:$ENV{PATH}\";",
            "os.environ[\"PATH\"] = f\"{root}/bin:\" + os.environ[\"PATH\"]",
            "process.env.PATH = dir + ':' + process.env.PATH",
            "Sys.setenv(PATH = paste(bin, Sys.getenv(\"PATH\"), sep = \":\"))",
            "\u{0}ELF\u{0}/opt/bin/curl\u{0}",
            "\u{0}ELF\u{0}/opt/bin\u{0}",
            "\u{0}ELF\u{0}/opt/bin/%s\u{0}",
        ];
        let yes = cases.map(|text| (text.as_bytes(), true));
        check("bin/curl", true, &yes);
    }

    #[test]
    fn a_command_is_not_used_by_its_name_alone_or_by_that_of_another_directory() {
        let cases = [
            "",
            "curl x",
            "#!/bin/sh\ncurl x | /usr/bin/head\n",
            "/usr/bin/curl",
            "\"/usr/bin/curl\"",
            "CURL=/bin/curl",
            "/opt/bin/curl-config",
            "/opt/bin/other",
            "#!/bin/sh\n\"$prefix/bin/other\"",
            "import pycurl, curl_cffi; libcurl/7.88",
            "#include <curl/curl.h>",
            "PATH=/usr/bin:$PATH; export PATH",
            "PATH=\"/usr/bin:/bin:$PATH\"",
            "Sys.setenv(\"PATH\" = paste(Sys.getenv(\"PATH\"),\":/usr/local/bin\",sep = \"\"))",
            "os.environ['PATH'] += ':/usr/local/bin'",
            "/usr/local/bin/curl",
            "LD_LIBRARY_PATH=$here/lib",
            "JAVA_PATH=$JAVA_HOME/bin:x",
            "echo $PATH",
            "\u{0}ELF\u{0}curl\u{0}PATH\u{0}/usr/bin/curl",
            "\u{0}ELF\u{0}/opt/bin/other\u{0}",
        ];
        let no = cases.map(|text| (text.as_bytes(), false));
        check("bin/curl", true, &no);
    }

    #[test]
    fn a_file_is_used_by_its_name_or_that_of_its_directory() {
        check(
            "lib/modules/legacy.so",
            false,
            &[
                (b"MODULES=/opt/lib/modules", true),
                (b"MODULES=/opt/lib/modules/", true),
                (b"MODULES=$root/lib/modules\n", true),
                (b"module = /opt/lib/modules/legacy.so", true),
                (b"join('modules', name)", true),
                (b"cp legacy.so /tmp", true),
                (b"/opt/lib", false),
                (b"illegacy.so, submodules", false),
                (b"\0\0/opt/lib/modules\0", true),
                (b"\0\0/opt/lib/modules/other.so\0modules\0", false),
            ],
        );
        check(
            "ssl/openssl.cnf",
            false,
            &[
                (b"OPENSSL_CONF=$SSLDIR/openssl.cnf", true),
                (b"/opt/ssl", true),
                (b"$prefix/ssl/", false),
                (b"/opt/ssl/", true),
                (b"/opt/ssl/certs", false),
                (b"import ssl", false),
                (b"/etc/ssl/openssl.cnf", false),
                (b"\"/ssl/openssl.cnf\"", true),
            ],
        );
    }

    /// A text may be made to be slow to look through.
    #[test]
    fn long_words_and_bytes_of_all_kinds_are_looked_through() {
        let long = |unit: &str| unit.repeat(100_000);
        check(
            "bin/curl",
            true,
            &[
                (long("curl").as_bytes(), false),
                (long("bin").as_bytes(), false),
                ((long("/ü") + "/curl").as_bytes(), true),
                ((long("a") + "/usr/bin/curl").as_bytes(), true),
                ((long("ü ") + "/usr/bin/curl").as_bytes(), false),
                (b"\xff\xfe curl \xff/opt/bin/curl", true),
                (b"\xff\xfe curl \xff", false),
            ],
        );
        let around = |before: usize| [&vec![0; before], &b"/opt/bin/curl\0"[..], &vec![0; 1000]].concat();
        for before in [TELLING - 5, TELLING + 5, 3 * TELLING] {
            check("bin/curl", true, &[(&around(before), true)]);
        }
    }
}
