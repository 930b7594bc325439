//! Whether a file of the tree may use another one by its path: start a command that the runtime has in front of it on `PATH`,
//! or read what came with a library that is never loaded.
//!
//! Only a run would tell for certain. What may be meant counts as meant: better a file too many is kept than one too few.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use aho_corasick::AhoCorasick;

use crate::root::{Place, Root};
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
    /// The names that are looked for: of the things themselves, of their folders, and of the variable.
    names: BTreeMap<String, usize>,
    automaton: AhoCorasick,
}

impl<'a> Mentions<'a> {
    /// Makes ready to look for these; `None` if there are none.
    pub(super) fn of(root: Root<'a>, used: BTreeSet<Used>) -> Option<Self> {
        let names = used.iter().flat_map(|used| {
            let folder = used.path.parent().map(|folder| folder.file_name().to_owned());
            folder.into_iter().chain([used.path.file_name().to_owned()])
        });
        let names: BTreeSet<String> = names
            .filter(|name| !name.is_empty())
            .chain([VARIABLE.to_owned()])
            .collect();
        let automaton = AhoCorasick::new(&names).ok()?;
        (!used.is_empty()).then(|| Self {
            root,
            used: used.into_iter().collect(),
            names: names.into_iter().zip(0..).collect(),
            automaton,
        })
    }

    /// Which of them a file with this content may use.
    pub(super) fn in_content(&self, content: impl Read) -> io::Result<Vec<TreePath>> {
        let used = match Relevant::of(content)? {
            Relevant::Text(bytes) => self.in_text(&String::from_utf8_lossy(&bytes)),
            Relevant::Pieces(pieces) if pieces.is_empty() => Vec::new(),
            Relevant::Pieces(pieces) => {
                let used = self.used.iter();
                used.filter(|used| is_written_in(&pieces, &used.path)).collect()
            }
        };
        Ok(used.into_iter().map(|used| used.path.clone()).collect())
    }

    fn in_text(&self, text: &str) -> Vec<&Used> {
        let mut there = vec![false; self.names.len()];
        for found in self.automaton.find_overlapping_iter(text) {
            there[found.pattern().as_usize()] = true;
        }
        let is_there = |name: &str| self.names.get(name).is_some_and(|number| there[*number]);
        let sets_path = is_there(VARIABLE) && self.sets_path(text);
        let may_use = |Used { path, is_command }: &&Used| {
            let name = path.file_name();
            let folder = path.parent().unwrap_or_else(TreePath::root);
            let has_name = is_there(name);
            let has_folder = is_there(folder.file_name());
            has_folder && self.is_folder_written(text, &folder)
                || if *is_command {
                    sets_path || has_name && self.may_start(text, name, folder.file_name())
                } else {
                    has_name && self.is_named(text, name)
                        || has_folder && folder.names().count() > 1 && self.is_named(text, folder.file_name())
                }
        };
        self.used.iter().filter(may_use).collect()
    }

    /// Whether a text has a name other than in a path that leads elsewhere.
    fn is_named(&self, text: &str, name: &str) -> bool {
        self.places(text, name).any(|place| place != Named::Elsewhere)
    }

    /// Whether a text has a command's name behind a `/`, or alone and something that may put its folder before it.
    fn may_start(&self, text: &str, name: &str, folder: &str) -> bool {
        let mut is_alone = false;
        for place in self.places(text, name) {
            match place {
                Named::Path(_) => return true,
                Named::Alone => is_alone = true,
                Named::Elsewhere => {}
            }
        }
        is_alone && (words(text, VARIABLE).next().is_some() || self.is_named(text, folder))
    }

    /// Whether a text has a folder's path and not only as the beginning of another one.
    fn is_folder_written(&self, text: &str, folder: &TreePath) -> bool {
        self.places(text, folder.file_name()).any(|place| match place {
            Named::Path(after) => text[..after].ends_with(&folder.on_lambda()) && ends(&text[after..]),
            Named::Alone | Named::Elsewhere => false,
        })
    }

    /// The places where a text has a name as a word.
    fn places(&self, text: &str, name: &str) -> impl Iterator<Item = Named> {
        words(text, name).map(|at| {
            let after = at + name.len();
            match text[..at].ends_with('/') {
                false => Named::Alone,
                true if self.is_elsewhere(text, at, after) => Named::Elsewhere,
                true => Named::Path(after),
            }
        })
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
        matches!(self.root.resolve(absolute), Ok(Place::Tree(_)))
    }

    /// Whether a line of a text sets `PATH` to anything but itself and folders that are not the tree's.
    fn sets_path(&self, text: &str) -> bool {
        words(text, VARIABLE).any(|at| {
            let line = text[at + VARIABLE.len()..].lines().next().unwrap_or_default();
            let rest = line.trim_start_matches(|next: char| next.is_whitespace() || "\"']}).+:".contains(next));
            let value = match rest.strip_prefix(['=', ',']) {
                Some(value) => value,
                None if text[..at].trim_end().ends_with("setenv") => line,
                None => return false,
            };
            self.may_have_folder_of_tree(value)
        })
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

/// How a name stands in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    /// Not behind a `/`.
    Alone,
    /// At the end of a path that may be one of the tree's; where the path ends.
    Path(usize),
    /// At the end of a path of the runtime's.
    Elsewhere,
}

/// Where a text has a name that is not part of a longer one.
fn words(text: &str, name: &str) -> impl Iterator<Item = usize> {
    let is_whole = move |at: &usize| {
        let after = &text[*at + name.len()..];
        let more = after.strip_prefix('.').unwrap_or(after);
        !text[..*at].ends_with(is_of_name) && !after.starts_with('-') && !more.starts_with(is_of_name)
    };
    text.match_indices(name).map(|(at, _)| at).filter(is_whole)
}

/// Whether a path ends here: what comes is no further name, or one that only a run would tell.
fn ends(after: &str) -> bool {
    let further = after.trim_start_matches(['/', '.']);
    !further.starts_with(|next| is_of_name(next) || next == '-')
}

/// Whether bytes that are no text hold the path of a file, or of its folder and not of something else in that.
fn is_written_in(content: &[u8], path: &TreePath) -> bool {
    let (folder, name) = (path.parent().unwrap_or_else(TreePath::root), path.file_name());
    let absolute = folder.on_lambda();
    memchr::memmem::find_iter(content, &absolute).any(|at| {
        let after = &content[at + absolute.len()..];
        let after: String = after.iter().take(LONGEST_PATH).map(|byte| char::from(*byte)).collect();
        let below = after.strip_prefix('/').and_then(|below| below.strip_prefix(name));
        !folder.is_root() && ends(&after) || below.is_some_and(ends)
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
            let shown = String::from_utf8_lossy(content);
            assert_eq!(found == [used.path.clone()], *expected, "{shown}");
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
