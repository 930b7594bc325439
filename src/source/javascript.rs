//! What JavaScript code refers to.

mod places;

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use tree_sitter::{Language, Node};

use super::opens::Opens;
use super::{ANYTHING, Literal, Opening, Place, children, line_of, parse, text_of, walk};

/// What a module refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// What it asks `require` or `import` for. [`ANYTHING`] stands for what only a run tells.
    pub requests: Vec<Literal>,
    /// Paths relative to the directory of the module, and absolute ones that it puts together, with the same sign.
    pub paths: Vec<Literal>,
    /// The paths that it puts together from its own place, and the directories that it lists.
    pub places: Vec<Place>,
}

/// What stands for the directory of the module itself (Node.js documentation, "The module scope" and "import.meta").
const DIRECTORIES: [&str; 2] = ["__dirname", "import.meta.dirname"];

/// Functions that join the parts of a path (Node.js documentation, "Path").
const JOINERS: [&str; 2] = ["join", "resolve"];

/// Reads a module. Of code that is not understood, the rest counts.
pub fn references(text: &str) -> References {
    let language = Language::from(tree_sitter_javascript::LANGUAGE);
    let mut found = References::default();
    let Some(tree) = parse(&language, text) else {
        return found;
    };
    walk(&tree, |node| {
        match node.kind() {
            "import_statement" | "export_statement" => {
                let source = node.child_by_field_name("source");
                found.requests.extend(source.and_then(|source| literal(source, text)));
            }
            "call_expression" => found.read_call(node, text),
            "string" | "template_string" | "binary_expression" => found.paths.extend(relative(node, text)),
            _ => {}
        }
        true
    });
    found.places = places::places(&tree, text);
    found
}

/// Whether a module may list a directory that it finds from its own place, by the words in it.
pub fn may_list(content: &[u8]) -> bool {
    let has = |word: &&str| memchr::memmem::find(content, word.as_bytes()).is_some();
    places::LISTERS.iter().any(has) && places::OWN.iter().any(has)
}

/// Whether [`references`] could find something that is wanted: a look at the strings that may be requests or paths, which takes
/// a small part of the time. What is computed may be wanted.
pub fn may_refer(text: &str, is_wanted: &dyn Fn(&str) -> bool) -> bool {
    static STARTS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| AhoCorasick::new(STARTS_OF_REFERENCES).ok());
    let from_directory = OWN_PLACE.iter().any(|written| text.contains(written));
    let Some(starts) = STARTS.as_ref().filter(|_| !from_directory) else {
        return is_wanted(text);
    };
    starts.find_iter(text).any(|start| {
        let is_quoted = text.as_bytes()[start.start()..]
            .first()
            .is_some_and(|first| QUOTES.contains(first));
        let at = if is_quoted { start.start() } else { start.end() };
        let rest = if is_quoted {
            &text[at..]
        } else {
            after_head(&text[at..])
        };
        string_at(rest).is_some_and(|(string, rest)| {
            let is_computed = string.contains("${") || rest.trim_start().starts_with('+');
            is_computed || is_wanted(string)
        })
    })
}

/// How what [`references`] reads begins: calls and statements that ask for a module, and strings that are relative paths.
const STARTS_OF_REFERENCES: [&str; 9] = [
    "require", "import", "from", "'./", "\"./", "`./", "'../", "\"../", "`../",
];

/// What stands for the place of the module itself, and where layers are: paths begin with these that are put together.
const OWN_PLACE: [&str; 7] = [
    "require.resolve",
    "__dirname",
    "__filename",
    "import.meta.dirname",
    "import.meta.filename",
    "import.meta.url",
    "/opt",
];

const QUOTES: [u8; 3] = *b"'\"`";

/// What follows the parenthesis, spaces and comments before an argument.
fn after_head(text: &str) -> &str {
    let mut rest = text.strip_prefix(".resolve").unwrap_or(text);
    loop {
        let next = rest.trim_start();
        rest = match next.strip_prefix("/*").and_then(|comment| comment.split_once("*/")) {
            Some((_, after)) => after,
            None => next.strip_prefix('(').unwrap_or(next),
        };
        if rest.len() == next.len() {
            return rest;
        }
    }
}

/// The string at the beginning of a text, and what follows it.
fn string_at(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(char::is_ascii)?;
    let is_quote = u8::try_from(quote).is_ok_and(|quote| QUOTES.contains(&quote));
    text[1..].split_once(quote).filter(|_| is_quote)
}

/// The libraries that a module opens by name.
pub fn opens(text: &str) -> Vec<Opening> {
    static OPENS: Opens = Opens::new(
        || Language::from(tree_sitter_javascript::LANGUAGE),
        include_str!("../../rules/source/opens-javascript.scm"),
        &["koffi", "dlopen", ".Library(", "DynamicLibrary"],
    );
    OPENS.read(text)
}

impl References {
    fn read_call(&mut self, call: Node<'_>, text: &str) {
        let (Some(function), Some(arguments)) = (
            call.child_by_field_name("function"),
            call.child_by_field_name("arguments"),
        ) else {
            return;
        };
        let function = text_of(function, text);
        let first = first_argument(arguments);
        if matches!(
            function,
            "require" | "import" | "require.resolve" | "import.meta.resolve"
        ) {
            let request = first.map(|first| Literal {
                text: pattern(first, text),
                line: line_of(first),
            });
            let is_written = |request: &Literal| request.text.contains(|c: char| c.is_alphanumeric());
            self.requests.extend(request.filter(is_written));
            return;
        }
        if let Some(path) = joined(call, text) {
            self.paths.push(Literal {
                text: path,
                line: line_of(call),
            });
        }
    }
}

/// The first argument of a call, which bundlers are told about in a comment before it.
fn first_argument(arguments: Node<'_>) -> Option<Node<'_>> {
    children(arguments).find(|node| node.kind() != "comment")
}

/// The text of a string in which nothing is computed.
fn literal(node: Node<'_>, text: &str) -> Option<Literal> {
    let is_plain = match node.kind() {
        "string" => true,
        "template_string" => children(node).all(|part| part.kind() != "template_substitution"),
        _ => false,
    };
    let content = text_of(node, text);
    let inside = content.get(1..content.len().saturating_sub(1))?;
    (is_plain && !inside.contains('\\')).then(|| Literal {
        text: inside.to_owned(),
        line: line_of(node),
    })
}

/// A text that is a path from the module's directory: by its beginning, or in `new URL(…, import.meta.url)`. Nothing for a part
/// of a longer one.
fn relative(node: Node<'_>, text: &str) -> Option<Literal> {
    let written = pattern(node, text);
    let is_relative = written.starts_with("./") || written.starts_with("../");
    if !is_relative && node.kind() == "binary_expression" || !written.contains(|c: char| c.is_alphanumeric()) {
        return None;
    }
    // Asked last, for a node is found from the root on.
    let parent = node.parent()?;
    let is_part = ["binary_expression", "import_statement", "export_statement"].contains(&parent.kind());
    let is_url = || parent.kind() == "arguments" && text_of(parent, text).contains("import.meta.url");
    (!is_part && (is_relative || is_url())).then(|| Literal {
        text: written,
        line: line_of(node),
    })
}

/// How many operators and calls deep a text is put together from others: nobody writes more.
const DEEPEST: usize = 20;

/// A text with [`ANYTHING`] for what is computed in it, and `.` for the directory of the module.
fn pattern(node: Node<'_>, text: &str) -> String {
    pattern_at(node, text, DEEPEST)
}

fn pattern_at(node: Node<'_>, text: &str, depth: usize) -> String {
    let anything = || ANYTHING.to_owned();
    let Some(depth) = depth.checked_sub(1) else {
        return anything();
    };
    let written = text_of(node, text);
    if DIRECTORIES.contains(&written) {
        return ".".to_owned();
    }
    let field = |name: &str| node.child_by_field_name(name);
    let inner = |node: Option<Node<'_>>| node.map_or_else(anything, |node| pattern_at(node, text, depth));
    match node.kind() {
        "template_string" => children(node)
            .map(|part| match part.kind() {
                "string_fragment" => text_of(part, text).to_owned(),
                "template_substitution" => inner(part.named_child(0)),
                _ => anything(),
            })
            .collect(),
        "parenthesized_expression" => inner(node.named_child(0)),
        "binary_expression" if field("operator").is_some_and(|sign| text_of(sign, text) == "+") => {
            inner(field("left")) + &inner(field("right"))
        }
        "call_expression" => joined_at(node, text, depth).unwrap_or_else(anything),
        _ => literal(node, text).map_or_else(anything, |literal| literal.text),
    }
}

/// The path that a call joins to the directory of the module or to an absolute path.
fn joined(call: Node<'_>, text: &str) -> Option<String> {
    joined_at(call, text, DEEPEST)
}

fn joined_at(call: Node<'_>, text: &str, depth: usize) -> Option<String> {
    let function = text_of(call.child_by_field_name("function")?, text);
    let arguments = call.child_by_field_name("arguments")?;
    let is_joiner = function.rsplit('.').next().is_some_and(|name| JOINERS.contains(&name));
    let first = first_argument(arguments).filter(|_| is_joiner)?;
    let is_absolute = literal(first, text).is_some_and(|first| first.text.starts_with('/'));
    if !is_absolute && !DIRECTORIES.contains(&text_of(first, text)) {
        return None;
    }
    let parts = children(arguments).filter(|part| part.kind() != "comment");
    let parts: Vec<String> = parts.map(|part| pattern_at(part, text, depth)).collect();
    let joined = parts.join("/");
    joined.contains(|c: char| c.is_alphanumeric()).then_some(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_wherever_they_stand() {
        let check = |text: &str, expected: &[&str]| {
            let requests = references(text).requests;
            let texts: Vec<&str> = requests.iter().map(|literal| literal.text.as_str()).collect();
            assert_eq!(texts, expected, "{text}");
        };
        check("const a = require('./test/policy');", &["./test/policy"]);
        check("import x, {y} from \"a/b\"; import 'c';", &["a/b", "c"]);
        check("export * from './d'; export { e };", &["./d"]);
        check("const m = await import(`./lazy.mjs`);", &["./lazy.mjs"]);
        check("if (x) { module.exports = require.resolve('x/y') }", &["x/y"]);
        check("// require('a')\n/* import 'b' */ 'require(\"c\")'", &[]);
        check("require(name); import(`./${x}`)", &[]);
        check(
            "require('./test/' + name); import(`./l/${x}.js`)",
            &["./test/*", "./l/*.js"],
        );
        check("require(path.join(__dirname, 'a', 'b'))", &["./a/b"]);
        check("import(/* webpackChunkName: 'x' */ 'y')", &["y"]);
        check("!function(){return function(){var t=require('min')}}()", &["min"]);
    }

    #[test]
    fn paths_beside_the_module_are_read() {
        let check = |text: &str, expected: &[&str]| {
            let paths = references(text).paths;
            let texts: Vec<&str> = paths.iter().map(|literal| literal.text.as_str()).collect();
            assert_eq!(texts, expected, "{text}");
        };
        check(
            "fs.readFileSync(path.join(__dirname, 'docs', 'a.md'))",
            &["./docs/a.md"],
        );
        check("fs.readFileSync(__dirname + '/b.md')", &["./b.md"]);
        check("fs.readFileSync(`${__dirname}/c.md`)", &["./c.md"]);
        check("new URL('d.md', import.meta.url)", &["d.md"]);
        check("load('./e.md', 'f.md')", &["./e.md"]);
        check("path.join(dir, 'x')", &[]);
        check("path.join('/opt', 'lib', name + '.so')", &["/opt/lib/*.so"]);
        check(
            "e('./min/x'); f(`${__dirname}/a/${n}.md`, __dirname + '/b/' + n)",
            &["./min/x", "./a/*.md", "./b/*"],
        );
    }

    #[test]
    fn a_look_finds_whatever_is_read() {
        for text in [
            "const a = require('./test/policy');",
            "import x, {y} from \"test\"; import 'c';",
            "export*from'./test';export { e };",
            "const m = await import(`./test.mjs`);",
            "import ( /* webpackChunkName: 'x' */\n 'test' )",
            "if (x) { module.exports = require.resolve('test/y') }",
            "require('./l/' + name)",
            "import(`a/${x}.js`)",
            "fs.readFileSync(path.join(__dirname, 'test', 'a.md'))",
            "new URL('test', import.meta.url)",
            "load('./test.md', 'f.md')",
        ] {
            let found = references(text);
            assert_ne!(found, References::default(), "{text}");
            assert!(may_refer(text, &|part| part.contains("test")), "{text}");
        }
        for text in [
            "test('x', () => require('y'))",
            "Array.from(test); from 'test",
            "import a from 'b'; 'test'",
            "require(test)",
        ] {
            assert!(!may_refer(text, &|part| part.contains("test")), "{text}");
        }
    }

    #[test]
    fn source_that_is_no_javascript_is_looked_through() {
        for text in [
            "",
            "\0",
            "((((",
            "import",
            "require('",
            "from\u{e4}",
            &"{".repeat(100_000),
            "`${",
        ] {
            may_refer(text, &|_| true);
            references(text);
        }
    }
}
