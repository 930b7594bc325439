//! Libraries that source code opens by name, as a query for each language finds them (`rules/source/opens-*.scm`).
//!
//! The captures of a query mean:
//!
//! | Capture | Meaning |
//! |---|---|
//! | `@open`, `@names` | a call that opens a library, and where in it the names are; `names` says how they are completed |
//! | `@text`, `@content` | a string, and what is in it; `@computed` where only a run tells |
//! | `@clear`, `@aside` | what the strings in it are values of; what is not one |
//! | `@name`, `@variable`, `@value` | an identifier; one that gets a value, and the value if it can be read |
//! | `@group` | of the libraries that are opened in it, any one will do |
//! | `@guarded`, `@unguarded` | where a failure is handled; where it is handed on all the same |
//! | `@soft`, `@checked` | where a search may find nothing; variables that are tested for it |
//! | `@skipped` | what Linux does not run, or tests alone |

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::OnceLock;

use tree_sitter::{Language, Node, Query, QueryCursor, StreamingIterator};

use super::{line_of, parse, text_of};

/// Opening one library by name: any one of several, if the code tries one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The names, in the order in which they are written.
    pub names: Vec<LibraryName>,
    /// The line of the first, counted from 1.
    pub line: usize,
    /// Whether the code fails without the library, as far as it tells.
    pub is_required: bool,
}

/// How a library is named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LibraryName {
    /// By its file or its absolute path, as for dlopen(3).
    File(String),
    /// As for the linker's option `-l`.
    Link(String),
}

impl LibraryName {
    /// The name as a person would write it.
    pub fn shown(&self) -> String {
        match self {
            Self::File(name) => name.clone(),
            Self::Link(name) => format!("lib{name}.so"),
        }
    }

    /// The file that has to be there, without a version for names as the linker has them.
    pub fn of(text: &str, form: &str) -> Option<Self> {
        const FOREIGN: [&str; 4] = [".dll", ".dylib", ".framework", "\\"];
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_+.-/".contains(c);
        let is_foreign = FOREIGN.iter().any(|part| text.to_ascii_lowercase().contains(part));
        let is_relative = text.contains('/') && !text.starts_with('/');
        if is_foreign || is_relative || text.is_empty() || !text.chars().all(is_plain) {
            return None;
        }
        let is_file = text.strip_suffix(".so").is_some() || text.contains(".so.");
        match form {
            _ if is_file => Some(Self::File(text.to_owned())),
            "link" | "either" if !text.contains('/') => Some(Self::Link(text.to_owned())),
            "whole" if !text.contains('/') => {
                let stem = text.strip_prefix("lib").unwrap_or(text);
                Some(Self::File(format!("lib{stem}.so")))
            }
            _ => None,
        }
    }
}

/// A grammar, and the query that finds what is opened.
pub(super) struct Opens {
    language: fn() -> Language,
    query: &'static str,
    /// Code without any of these words opens nothing.
    words: &'static [&'static str],
    /// Made for the first code that has one of the words, which takes longer than to read it. `None` if the query does not fit
    /// the grammar, which a test rules out.
    compiled: OnceLock<Option<(Language, Query)>>,
}

/// What a query found in one file.
#[derive(Default)]
struct Captures<'t> {
    opens: Vec<(Node<'t>, Node<'t>, String)>,
    texts: BTreeMap<usize, String>,
    computed: BTreeSet<usize>,
    clear: BTreeSet<usize>,
    aside: BTreeSet<usize>,
    names: BTreeSet<usize>,
    /// What each variable gets; `None` for what cannot be read.
    values: BTreeMap<String, BTreeMap<usize, Option<Node<'t>>>>,
    checked: BTreeSet<String>,
    regions: BTreeMap<&'static str, BTreeSet<(usize, usize)>>,
}

/// How many matches may be under way at once, and how many calls are looked at: code that people write has far fewer.
const MOST_MATCHES: u32 = 1 << 16;
const MOST_OPENED: usize = 1000;

/// Captures of which only the place counts.
const REGIONS: [&str; 5] = ["group", "guarded", "unguarded", "soft", "skipped"];

/// What one call opens.
#[derive(Default)]
struct OpeningCall {
    names: Vec<LibraryName>,
    /// Whether a name is not written out.
    is_computed: bool,
    /// Other calls whose results it gets.
    calls: Vec<usize>,
}

impl Opens {
    pub(super) const fn new(language: fn() -> Language, query: &'static str, words: &'static [&'static str]) -> Self {
        Self {
            language,
            query,
            words,
            compiled: OnceLock::new(),
        }
    }

    fn compiled(&self) -> Option<&(Language, Query)> {
        let compile = || {
            let language = (self.language)();
            let query = Query::new(&language, self.query).ok()?;
            Some((language, query))
        };
        self.compiled.get_or_init(compile).as_ref()
    }

    /// What code opens. Of code that is not understood, the rest counts.
    pub(super) fn read(&self, text: &str) -> Vec<Opening> {
        let has = |word: &&&str| memchr::memmem::find(text.as_bytes(), word.as_bytes()).is_some();
        if !self.words.iter().any(|word| has(&word)) {
            return Vec::new();
        }
        let Some((language, query)) = self.compiled() else {
            return Vec::new();
        };
        let Some(tree) = parse(language, text) else {
            return Vec::new();
        };
        captures(query, tree.root_node(), text).openings(text)
    }
}

fn captures<'t>(query: &Query, root: Node<'t>, text: &str) -> Captures<'t> {
    let mut captures = Captures::default();
    let names = query.capture_names();
    let mut cursor = QueryCursor::new();
    cursor.set_match_limit(MOST_MATCHES);
    let mut matches = cursor.matches(query, root, text.as_bytes());
    while let Some(found) = matches.next() {
        let all: Vec<(&str, Node<'t>)> = found
            .captures
            .iter()
            .filter_map(|capture| Some((*names.get(capture.index as usize)?, capture.node)))
            .collect();
        let one = |name: &str| all.iter().find(|(own, _)| *own == name).map(|(_, node)| *node);
        let settings = query.property_settings(found.pattern_index);
        let form = settings.iter().find(|setting| &*setting.key == "names");
        captures.add(&one, form.and_then(|form| form.value.as_deref()), text);
        for (name, node) in &all {
            if let Some(region) = REGIONS.iter().find(|region| *region == name) {
                let places = captures.regions.entry(region).or_default();
                places.insert((node.start_byte(), node.end_byte()));
            }
        }
    }
    captures
}

impl<'t> Captures<'t> {
    /// Takes over what one match of the query captured.
    fn add(&mut self, one: &dyn Fn(&str) -> Option<Node<'t>>, form: Option<&str>, text: &str) {
        if let (Some(open), Some(names), Some(form)) = (one("open"), one("names"), form)
            && self.opens.len() < MOST_OPENED
        {
            self.opens.push((open, names, form.to_owned()));
        }
        if let (Some(string), Some(content)) = (one("text"), one("content")) {
            // A symbol of Ruby is taken for its name.
            let content = text_of(content, text).trim_start_matches(':');
            self.texts.insert(string.id(), content.to_owned());
        }
        let sets = [
            ("computed", &mut self.computed),
            ("clear", &mut self.clear),
            ("aside", &mut self.aside),
            ("name", &mut self.names),
        ];
        for (name, nodes) in sets {
            nodes.extend(one(name).map(|node| node.id()));
        }
        if let Some(variable) = one("variable") {
            let values = self.values.entry(text_of(variable, text).to_owned()).or_default();
            values.insert(variable.id(), one("value"));
        }
        self.checked
            .extend(one("checked").map(|variable| text_of(variable, text).to_owned()));
    }

    fn is_in(&self, region: &str, node: Node<'_>) -> bool {
        self.around(region, node).next().is_some()
    }

    /// The regions of one kind around a node.
    fn around(&self, region: &str, node: Node<'_>) -> impl Iterator<Item = (usize, usize)> {
        let Range { start, end } = node.byte_range();
        let regions = self.regions.get(region).into_iter().flatten().copied();
        regions.filter(move |(from, to)| *from <= start && end <= *to)
    }

    /// What is opened, by groups of alternatives.
    fn openings(&self, text: &str) -> Vec<Opening> {
        let found: Vec<OpeningCall> = self
            .opens
            .iter()
            .map(|(_, names, form)| self.names(*names, form, text))
            .collect();
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (number, group) in self.groups(&found).into_iter().enumerate() {
            groups.entry(group).or_default().push(number);
        }
        let mut openings = Vec::new();
        for members in groups.into_values() {
            let members: Vec<usize> = members
                .into_iter()
                .filter(|number| !self.is_in("skipped", self.opens[*number].0))
                .collect();
            let mut names: Vec<LibraryName> = Vec::new();
            for name in members.iter().flat_map(|number| &found[*number].names) {
                if !names.contains(name) {
                    names.push(name.clone());
                }
            }
            // What only gets the result of a search fails by that.
            let with_names = || members.iter().filter(|number| !found[**number].names.is_empty());
            let Some(first) = with_names().next() else { continue };
            let is_unclear = members.iter().any(|number| found[*number].is_computed);
            openings.push(Opening {
                names,
                line: line_of(self.opens[*first].0),
                is_required: !is_unclear && with_names().any(|number| self.is_required(*number)),
            });
        }
        openings.sort_by_key(|opening| opening.line);
        openings
    }

    /// For each call the number of its group: the first call that it shares a region of alternatives with, or a result.
    fn groups(&self, found: &[OpeningCall]) -> Vec<usize> {
        let mut group: Vec<usize> = (0..found.len()).collect();
        let mut merge = |a: usize, b: usize| {
            let (low, high) = (group[a].min(group[b]), group[a].max(group[b]));
            for number in &mut group {
                if *number == high {
                    *number = low;
                }
            }
        };
        let mut by_region: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for (number, (open, ..)) in self.opens.iter().enumerate() {
            let regions = self.around("group", *open);
            if let Some(widest) = regions.max_by_key(|(start, end)| end - start) {
                let first = *by_region.entry(widest).or_insert(number);
                merge(first, number);
            }
            for call in &found[number].calls {
                merge(number, *call);
            }
        }
        group
    }

    /// Whether a failure of a call is one of the code.
    fn is_required(&self, number: usize) -> bool {
        let (open, _, form) = &self.opens[number];
        let handed_on = self.regions.get("unguarded");
        let is_guarded = self
            .around("guarded", *open)
            .any(|region| !handed_on.is_some_and(|regions| regions.contains(&region)));
        let is_search = form == "link";
        let variables = self.values.iter().filter(|(_, values)| {
            let mut values = values.values().flatten();
            values.any(|value| value.start_byte() <= open.start_byte() && open.end_byte() <= value.end_byte())
        });
        let is_checked = is_search
            && variables
                .into_iter()
                .any(|(variable, _)| self.checked.contains(variable));
        let may_find_nothing = is_search && self.is_in("soft", *open);
        !(is_guarded || is_checked || may_find_nothing)
    }

    /// The names in a part of a call.
    fn names(&self, names: Node<'t>, form: &str, text: &str) -> OpeningCall {
        let mut found = OpeningCall::default();
        let mut resolved: BTreeSet<&str> = BTreeSet::new();
        let mut pending = vec![names];
        let mut unread = Vec::new();
        while let Some(node) = pending.pop() {
            if self.aside.contains(&node.id()) || self.is_in("skipped", node) && !self.is_in("skipped", names) {
                continue;
            }
            let written = self
                .texts
                .get(&node.id())
                .filter(|_| !self.computed.contains(&node.id()));
            let call = self
                .opens
                .iter()
                .position(|(open, own, _)| *open == node && *own != names);
            if let Some(written) = written {
                match LibraryName::of(written, form) {
                    Some(name) => found.names.push(name),
                    None => found.is_computed |= written.contains('/'),
                }
            } else if let Some(call) = call {
                found.calls.push(call);
            } else if self.clear.contains(&node.id()) {
                let inside = (0..node.named_child_count()).rev();
                pending.extend(inside.filter_map(|at| node.named_child(u32::try_from(at).ok()?)));
            } else if let Some(value) = self.value(node, text).filter(|_| resolved.insert(text_of(node, text))) {
                pending.push(value);
            } else {
                unread.push(node);
            }
        }
        // What else such a call is given: modes, an object of the library.
        let is_argument = |node: &Node<'_>| node.parent() == Some(names) && !found.names.is_empty();
        found.is_computed |= !unread.iter().all(is_argument);
        found
    }

    /// The value of an identifier that gets but one.
    fn value(&self, node: Node<'_>, text: &str) -> Option<Node<'t>> {
        if !self.names.contains(&node.id()) {
            return None;
        }
        let values = self.values.get(text_of(node, text))?;
        let [value] = values.values().collect::<Vec<_>>()[..] else {
            return None;
        };
        *value
    }
}

#[cfg(test)]
mod tests {
    use super::super::{javascript, python, r, ruby};
    use super::*;

    #[test]
    fn source_that_is_nested_very_deep_is_left_unread() {
        let nested = |depth: usize| {
            let (open, close) = ("(".repeat(depth), ")".repeat(depth));
            format!("import ctypes\nx = {open}1{close}\nctypes.CDLL('libz.so')\n")
        };
        assert_eq!(python::opens(&nested(100)).len(), 1);
        assert!(python::opens(&nested(100_000)).is_empty());
        assert!(
            python::opens(&format!(
                "import ctypes\nctypes.CDLL('libz.so')\nx = {}",
                "(".repeat(100_000)
            ))
            .is_empty()
        );
        let (open, close) = ("(".repeat(20_000), ")".repeat(20_000));
        assert!(javascript::opens(&format!("process.dlopen(m, '/opt/x.node'); {open}1{close}")).is_empty());
        assert!(
            ruby::opens(&format!(
                "require 'fiddle'\nFiddle.dlopen('libz.so')\nx = {open}1{close}\n"
            ))
            .is_empty()
        );
    }

    /// Each group as `name or name`, with `?` where the code goes on without it.
    fn shown(openings: &[Opening]) -> Vec<String> {
        let show = |opening: &Opening| {
            let names: Vec<String> = opening.names.iter().map(LibraryName::shown).collect();
            format!("{}{}", names.join(" or "), if opening.is_required { "" } else { "?" })
        };
        openings.iter().map(show).collect()
    }

    #[test]
    fn python_opens_libraries_in_many_ways() {
        let check = |text: &str, expected: &[&str]| assert_eq!(shown(&python::opens(text)), expected, "{text}");
        check("from ctypes import CDLL\nz = CDLL('libzbar.so.0')\n", &["libzbar.so.0"]);
        check("z = ctypes.CDLL('liba.so', mode=ctypes.RTLD_GLOBAL)\n", &["liba.so"]);
        check("z = ctypes.CDLL('liba.so', ctypes.RTLD_GLOBAL)\n", &["liba.so"]);
        check(
            "z = ctypes.cdll.LoadLibrary('liba.so')\nw = cdll['libb.so']\n",
            &["liba.so", "libb.so"],
        );
        check("p = ffi.dlopen(\"libpango-1.0.so.0\")\n", &["libpango-1.0.so.0"]);
        check("p = ctypes.util.find_library('magic')\n", &["libmagic.so"]);
        check("NAME = 'liba.so.1'\ndef f():\n    return CDLL(NAME)\n", &["liba.so.1"]);
        check(
            "z = CDLL(find_library('a') or 'liba.so.1')\n",
            &["liba.so.1 or liba.so"],
        );
        check("p = find_library('a')\nz = CDLL(p)\n", &["liba.so"]);
        check("z = CDLL(name)\nw = CDLL(f'lib{x}.so')\nv = CDLL(None)\n", &[]);
        check("z = CDLL(os.path.join(here, 'liba.so'))\n", &[]);
        check("'''\nCDLL('liba.so')\n'''\n# CDLL('liba.so')\n", &[]);
    }

    #[test]
    fn alternatives_in_python_are_one_opening() {
        let check = |text: &str, expected: &[&str]| assert_eq!(shown(&python::opens(text)), expected, "{text}");
        let loops = "for name in ('liba.so.2', 'liba.so.1'):\n    try:\n        z = CDLL(name)\n        break\n    except OSError:\n        pass\n";
        check(loops, &["liba.so.2 or liba.so.1?"]);
        check(
            &format!("{loops}else:\n    raise OSError('no')\n"),
            &["liba.so.2 or liba.so.1"],
        );
        check(
            &format!("{loops}if z is None:\n    raise OSError('no')\n"),
            &["liba.so.2 or liba.so.1"],
        );
        check(
            "try:\n    z = CDLL('liba.so.1')\nexcept OSError:\n    z = None\n",
            &["liba.so.1?"],
        );
        check(
            "try:\n    z = CDLL('liba.so.2')\nexcept OSError:\n    z = CDLL('liba.so.1')\n",
            &["liba.so.2 or liba.so.1"],
        );
        check(
            "try:\n    z = CDLL('a.so')\nexcept OSError as e:\n    raise ImportError('x') from e\n",
            &["a.so"],
        );
        check(
            "try:\n    z = CDLL(path)\nexcept OSError:\n    z = CDLL('liba.so')\n",
            &["liba.so?"],
        );
        check("with suppress(OSError):\n    z = CDLL('liba.so')\n", &["liba.so?"]);
        check(
            "a = _dlopen(ffi, 'liba-0', 'liba.so.0', 'liba.dylib')\n",
            &["libliba-0.so or liba.so.0"],
        );
        check("a = _dlopen(ffi, 'liba.so.0', allow_fail=True)\n", &["liba.so.0?"]);
        check(
            "a = dlopen(ffi, ('cairo',), ('libcairo.so.2', 'libcairo.2.dylib'))\n",
            &["libcairo.so or libcairo.so.2"],
        );
        check("p = find_library('a')\nif p:\n    z = CDLL(p)\n", &["liba.so?"]);
        check(
            "p = find_library('a')\nif not p:\n    raise ImportError('x')\nz = cdll.LoadLibrary(p)\n",
            &["liba.so"],
        );
    }

    #[test]
    fn code_of_other_systems_and_of_tests_opens_nothing() {
        let check = |text: &str, expected: &[&str]| assert_eq!(shown(&python::opens(text)), expected, "{text}");
        check(
            "z = CDLL('a.dll')\nw = CDLL('liba.dylib')\nv = windll.LoadLibrary('a.so')\n",
            &[],
        );
        check(
            "if sys.platform == 'darwin':\n    CDLL('liba.so')\nelse:\n    CDLL('libb.so')\n",
            &["libb.so"],
        );
        check("if sys.platform.startswith('win'):\n    CDLL('liba.so')\n", &[]);
        check(
            "if platform.system() != 'Windows':\n    CDLL('liba.so')\nelse:\n    CDLL('libb.so')\n",
            &["liba.so"],
        );
        check(
            "if sys.platform == 'linux':\n    CDLL('liba.so')\nelse:\n    CDLL('libb.so')\n",
            &["liba.so"],
        );
        check("z = CDLL('a.dll' if os.name == 'nt' else 'liba.so')\n", &["liba.so"]);
        check(
            "z = CDLL('b.so' if sys.platform == 'darwin' else 'liba.so')\n",
            &["liba.so"],
        );
        check("if __name__ == '__main__':\n    CDLL('liba.so')\n", &[]);
        check(
            "def test_it():\n    CDLL('liba.so')\nclass TestA:\n    z = CDLL('liba.so')\n",
            &[],
        );
    }

    #[test]
    fn javascript_opens_libraries() {
        let check = |text: &str, expected: &[&str]| assert_eq!(shown(&javascript::opens(text)), expected, "{text}");
        check("const z = require('koffi').load('liba.so.1');", &["liba.so.1"]);
        check(
            "const z = koffi.load(process.platform === 'win32' ? 'a.dll' : 'liba.so.1');",
            &["liba.so.1"],
        );
        check("const z = ffi.Library('liba', {f: ['int', []]});", &["liba.so"]);
        check(
            "process.dlopen(module, 'liba.so', os.constants.dlopen.RTLD_NOW);",
            &["liba.so"],
        );
        check(
            "try { z = koffi.load('liba.so') } catch (e) { z = null }",
            &["liba.so?"],
        );
        check(
            "try { z = koffi.load('liba.so') } catch (e) { throw new Error('x') }",
            &["liba.so"],
        );
        check(
            "for (const n of ['a.so.2', 'a.so.1']) { try { z = koffi.load(n); break } catch {} }",
            &["a.so.2 or a.so.1?"],
        );
        check(
            "if (process.platform === 'win32') { koffi.load('a.so') } else { koffi.load('b.so') }",
            &["b.so"],
        );
        check(
            "switch (process.platform) { case 'darwin': koffi.load('a.so'); break; default: koffi.load('b.so') }",
            &["b.so"],
        );
        check(
            "koffi.load(name); koffi.load(`lib${x}.so`); koffi.load(path.join(__dirname, 'a.so'))",
            &[],
        );
        check("const n = 'liba.so'; koffi.load(n)", &["liba.so"]);
    }

    #[test]
    fn ruby_and_r_open_libraries() {
        let check = |text: &str, expected: &[&str]| assert_eq!(shown(&ruby::opens(text)), expected, "{text}");
        check(
            "module Z\n  extend FFI::Library\n  ffi_lib 'zbar'\nend\n",
            &["libzbar.so"],
        );
        check("ffi_lib 'libzbar.so.0'\n", &["libzbar.so.0"]);
        check("ffi_lib ['libzbar.so.0', 'zbar']\n", &["libzbar.so.0 or libzbar.so"]);
        check(
            "z = Fiddle.dlopen('liba.so.1')\nw = Fiddle::Handle.new('libb.so')\n",
            &["liba.so.1", "libb.so"],
        );
        check(
            "begin\n  ffi_lib 'a'\nrescue LoadError\n  ffi_lib 'b'\nend\n",
            &["liba.so or libb.so"],
        );
        check("begin\n  ffi_lib 'a'\nrescue LoadError\n  nil\nend\n", &["liba.so?"]);
        check("begin\n  ffi_lib 'a'\nrescue LoadError\n  raise X\nend\n", &["liba.so"]);
        check(
            "%w[a.so.2 a.so.1].each { |n| z = Fiddle.dlopen(n) }\n",
            &["a.so.2 or a.so.1"],
        );
        check("ffi_lib FFI::Library::LIBC\nffi_lib name\nffi_lib \"#{x}.so\"\n", &[]);
        check(
            "if FFI::Platform.windows?\n  ffi_lib 'a'\nelse\n  ffi_lib 'b'\nend\n",
            &["libb.so"],
        );
        let check = |text: &str, expected: &[&str]| assert_eq!(shown(&r::opens(text)), expected, "{text}");
        check("dyn.load(\"/usr/lib/liba.so.1\")\n", &["/usr/lib/liba.so.1"]);
        check("try(dyn.load('liba.so'), silent = TRUE)\n", &["liba.so?"]);
        check(
            "dyn.load(file.path(lib, 'liba.so'))\ndyn.load(paste0('a', .Platform$dynlib.ext))\n",
            &[],
        );
    }

    #[test]
    fn code_of_any_kind_is_looked_through() {
        for text in [
            "",
            "\0CDLL",
            "CDLL(((((",
            &"CDLL('a.so')\n".repeat(1500),
            &format!("CDLL({})", "(".repeat(2000)),
        ] {
            python::opens(text);
        }
        for text in ["koffi.load((((", "dlopen `${"] {
            javascript::opens(text);
        }
        ruby::opens("ffi_lib [[[[");
        r::opens("dyn.load((((");
    }
}
