//! Whether a file of the tree may use another one by its path: start a command that the runtime has in front of it on `PATH`,
//! or read what came with a library that is never loaded.
//!
//! Only a run would tell for certain. What may be meant counts as meant: better a file too many is kept than one too few.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use aho_corasick::AhoCorasick;

use crate::root::{Location, Root};
use crate::tree::TreePath;
use crate::tree::path::LAYER_ROOT;

/// How far a path is read back from one of its names, in bytes. One that is longer counts as not written out.
const LONGEST_PATH: usize = 512;

/// How much of a file tells whether it is a text: one without a NUL byte there.
const TELLING: usize = 8 << 10;

/// How much of a file that is no text is read at once, in bytes.
const STEP: u64 = 64 << 10;

/// The variable that says where commands are.
const VARIABLE: &str = "PATH";

/// Something that a file may use by its path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Used {
    /// Where it lies.
    pub(super) path: TreePath,
    /// Whether it is a command in a folder of `PATH`.
    pub(super) is_command: bool,
}

/// Looks for many things at once.
pub(super) struct Mentions<'a> {
    root: Root<'a>,
    used: Vec<Used>,
    /// The folders that these lie in, each with the numbers of what lies there.
    folders: Vec<(TreePath, Vec<usize>)>,
    /// What is looked for, by the number that the automaton has for it.
    names: Vec<Name>,
    automaton: AhoCorasick,
}

/// A name, and whose it is.
#[derive(Default)]
struct Name {
    text: String,
    used: Vec<usize>,
    folders: Vec<usize>,
}

/// What a file may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mention {
    /// One thing.
    One(usize),
    /// Everything in a folder.
    Folder(usize),
    /// Every command.
    Commands,
}

impl<'a> Mentions<'a> {
    /// Makes ready to look for these; `None` if there are none.
    pub(super) fn of(root: Root<'a>, used: BTreeSet<Used>) -> Option<Self> {
        if used.is_empty() {
            return None;
        }
        let used: Vec<Used> = used.into_iter().collect();
        let mut folders: BTreeMap<TreePath, Vec<usize>> = BTreeMap::new();
        let mut names: BTreeMap<&str, Name> = BTreeMap::from([(VARIABLE, Name::default())]);
        for (number, Used { path, .. }) in used.iter().enumerate() {
            names.entry(path.file_name()).or_default().used.push(number);
            folders.entry(path.parent()?).or_default().push(number);
        }
        let folders: Vec<(TreePath, Vec<usize>)> = folders.into_iter().collect();
        for (number, (folder, _)) in folders.iter().enumerate().filter(|(_, (folder, _))| !folder.is_root()) {
            names.entry(folder.file_name()).or_default().folders.push(number);
        }
        let names: Vec<Name> = names
            .into_iter()
            .map(|(text, name)| Name {
                text: text.to_owned(),
                ..name
            })
            .collect();
        Some(Self {
            root,
            automaton: AhoCorasick::new(names.iter().map(|name| &name.text)).ok()?,
            used,
            folders,
            names,
        })
    }

    /// What a mention means.
    pub(super) fn paths(&self, mention: Mention) -> Vec<&TreePath> {
        let numbers = match mention {
            Mention::One(number) => vec![number],
            Mention::Folder(folder) => self.folders[folder].1.clone(),
            Mention::Commands => (0..self.used.len())
                .filter(|number| self.used[*number].is_command)
                .collect(),
        };
        numbers.into_iter().map(|number| &self.used[number].path).collect()
    }

    /// What of them a file with this content may use.
    pub(super) fn in_content(&self, content: impl Read) -> io::Result<BTreeSet<Mention>> {
        Ok(match Relevant::of(content)? {
            Relevant::Text(bytes) => self.in_text(&String::from_utf8_lossy(&bytes)),
            Relevant::Pieces(pieces) => self.in_pieces(&pieces),
        })
    }

    fn in_text(&self, text: &str) -> BTreeSet<Mention> {
        let found = self.places(text);
        let is_there = |name: &str| {
            let number = self.names.binary_search_by(|known| known.text.as_str().cmp(name));
            number.is_ok_and(|number| found.contains_key(&number))
        };
        let mut mentions = BTreeSet::new();
        for (number, places) in &found {
            let name = &self.names[*number];
            if name.text == VARIABLE && places.ends.iter().any(|end| self.is_path_set(text, *end)) {
                mentions.insert(Mention::Commands);
            }
            for number in &name.folders {
                let (folder, _) = &self.folders[*number];
                let absolute = folder.on_lambda();
                let is_written = |end: &usize| text[..*end].ends_with(&absolute) && ends(&text[*end..]);
                // A folder at the root of the tree has a name as common as `bin`.
                if folder.names().count() > 1 || places.ends.iter().any(is_written) {
                    mentions.insert(Mention::Folder(*number));
                }
            }
            for number in &name.used {
                let Used { path, is_command } = &self.used[*number];
                let may_be_found = || path.parent().is_some_and(|folder| is_there(folder.file_name()));
                if !is_command || places.is_behind_slash || is_there(VARIABLE) || may_be_found() {
                    mentions.insert(Mention::One(*number));
                }
            }
        }
        mentions
    }

    fn in_pieces(&self, pieces: &[u8]) -> BTreeSet<Mention> {
        let found = self.automaton.find_overlapping_iter(pieces);
        let found: BTreeSet<usize> = found.map(|found| found.pattern().as_usize()).collect();
        let mut mentions = BTreeSet::new();
        for name in found.into_iter().map(|number| &self.names[number]) {
            let folders = name.folders.iter();
            let written = folders.filter(|number| is_written_in(pieces, &self.folders[**number].0));
            mentions.extend(written.map(|number| Mention::Folder(*number)));
            let used = name.used.iter();
            let written = used.filter(|number| is_written_in(pieces, &self.used[**number].path));
            mentions.extend(written.map(|number| Mention::One(*number)));
        }
        mentions
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
        let is_of_path = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.+-/".contains(byte);
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

    /// Whether a text, which has `PATH` before `end`, sets it there to anything but itself and folders that are not the tree's.
    fn is_path_set(&self, text: &str, end: usize) -> bool {
        let line = text[end..].lines().next().unwrap_or_default();
        let rest = line.trim_start_matches(|next: char| next.is_whitespace() || "\"']}).+:".contains(next));
        let value = match rest.strip_prefix(['=', ',']) {
            Some(value) => value,
            None if text[..end - VARIABLE.len()].trim_end().ends_with("setenv") => line,
            None => return false,
        };
        self.may_have_folder_of_tree(value)
    }

    /// Whether what a search path is set to may have a folder of the tree: one that is written out, or what only a run tells.
    fn may_have_folder_of_tree(&self, value: &str) -> bool {
        let mut left = value;
        let mut is_empty = true;
        while let Some(start) = left.find(|next| !is_between_parts(next)) {
            is_empty = false;
            left = &left[start..];
            let (part, behind) = left.split_at(left.find(is_between_parts).unwrap_or(left.len()));
            left = behind;
            // A function, the name of an argument, or a table of variables.
            let is_no_value = behind.trim_start().starts_with(['(', '=', '[', '{']);
            let is_itself = part.rsplit('.').next() == Some(VARIABLE);
            let is_harmless = is_no_value || is_itself || part == "export";
            let is_elsewhere = part.starts_with('/') && !self.leads_into_tree(part);
            if !is_harmless && !is_elsewhere {
                return true;
            }
        }
        is_empty
    }
}

/// What of a content matters here.
enum Relevant {
    /// All of a text.
    Text(Vec<u8>),
    /// Of anything else what stands where a path below /opt begins, each piece with a NUL behind it.
    Pieces(Vec<u8>),
}

impl Relevant {
    fn of(mut content: impl Read) -> io::Result<Self> {
        let mut bytes = Vec::with_capacity(TELLING);
        (&mut content).take(TELLING as u64).read_to_end(&mut bytes)?;
        if !bytes.contains(&0) {
            content.read_to_end(&mut bytes)?;
            return Ok(Self::Text(bytes));
        }
        let mut pieces = Vec::new();
        loop {
            let before = bytes.len();
            (&mut content).take(STEP).read_to_end(&mut bytes)?;
            let is_all = bytes.len() == before;
            // A piece that may go on is looked at again with what comes next.
            let whole = if is_all {
                bytes.len()
            } else {
                bytes.len().saturating_sub(LONGEST_PATH)
            };
            for at in memchr::memmem::find_iter(&bytes, LAYER_ROOT).take_while(|at| *at < whole) {
                pieces.extend_from_slice(&bytes[at..bytes.len().min(at + LONGEST_PATH)]);
                pieces.push(0);
            }
            if is_all {
                return Ok(Self::Pieces(pieces));
            }
            bytes.drain(..whole);
        }
    }
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

/// Whether a path ends here: what comes is no further name, or one that only a run would tell.
fn ends(after: &str) -> bool {
    let further = after.trim_start_matches(['/', '.']);
    !further.starts_with(|next| is_of_name(next) || next == '-')
}

/// Whether bytes that are no text hold a path, and not only as the beginning of another one.
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
        let used = Used {
            path: path(used),
            is_command,
        };
        let mentions = Mentions::of(root, BTreeSet::from([used.clone()])).unwrap();
        for (content, expected) in cases {
            let found = mentions.in_content(*content).unwrap();
            let paths: Vec<&TreePath> = found.into_iter().flat_map(|mention| mentions.paths(mention)).collect();
            let shown = String::from_utf8_lossy(content);
            assert_eq!(paths.contains(&&used.path), *expected, "{shown}");
        }
    }

    #[test]
    fn a_command_is_used_by_its_path_or_where_its_folder_may_come_first() {
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
    fn a_file_is_used_by_its_name_or_that_of_its_folder() {
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
        let step = usize::try_from(STEP).unwrap() + TELLING;
        for before in (step - 20..step + 20).chain([step - LONGEST_PATH, 3 * step]) {
            check("bin/curl", true, &[(&around(before), true)]);
        }
    }
}
