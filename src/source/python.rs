//! What Python code refers to.

mod places;
mod statements;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use tree_sitter::{Language, Node, Parser};

use super::opens::Opens;
use super::{ANYTHING, LONGEST, Literal, Opening, Place, children, line_of, parse_with, text_of, walk};
use statements::{Statement, run_statements};

/// One import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// How many dots it begins with: 0 for an absolute import.
    pub level: usize,
    /// The module, with dots between its names; empty in `from . import x`.
    pub module: String,
    /// The names behind `import`, which may be modules.
    pub names: Vec<String>,
    /// Its line, counted from 1.
    pub line: usize,
}

/// What a module refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// Its imports, those for type checkers left out.
    pub imports: Vec<Import>,
    /// The texts in it that may be paths: with a slash, or a dot before a letter or digit; in a module that imports others by
    /// computed names, single names as well. Docstrings are none. [`ANYTHING`] stands for what only a run tells, and what
    /// begins with `./` is beside the module.
    pub literals: Vec<Literal>,
    /// The paths that it puts together from its own place, and the directories that it lists.
    pub places: Vec<Place>,
}

/// What was read of one module, whatever of it was wanted.
#[derive(Debug, Default)]
pub struct ReadModule {
    /// What the statements refer to, by their first lines.
    statements: HashMap<usize, References>,
    places: Option<Vec<Place>>,
}

/// Functions that import the module of the name that they are given (importlib, runpy, pkgutil, and `__import__` of the language
/// itself).
const IMPORTERS: [&str; 5] = ["import_module", "__import__", "find_spec", "run_module", "resolve_name"];

/// Functions that make the names that they are given modules of the package which calls them (SPEC 1, lazy_loader).
const ATTACHERS: [&str; 1] = ["attach"];

/// Functions that join the parts of a path (os.path, pathlib, importlib.resources).
const JOINERS: [&str; 4] = ["join", "joinpath", "Path", "PurePath"];

/// Words without which a statement imports nothing and joins no path.
const TELLING: [&str; 7] = [
    "import",
    "find_spec",
    "attach",
    "join",
    "Path",
    "run_module",
    "resolve_name",
];

/// Reads a module. Only statements for which `is_wanted` holds are looked into. Of code that Python would refuse, what can be
/// understood counts. What `read` has of the same module is not read again, and what is read it has then.
pub fn references(text: &str, is_wanted: &dyn Fn(&str) -> bool, read: Option<&mut ReadModule>) -> References {
    let mut found = References::default();
    let mut parser = Parser::new();
    let language = Language::from(tree_sitter_python::LANGUAGE);
    if text.len() > LONGEST || parser.set_language(&language).is_err() {
        return found;
    }
    let imports_by_name = IMPORTERS.iter().any(|word| text.contains(word));
    let may_refer = |statement: &Statement<'_>| {
        let has_word = || TELLING.iter().any(|word| statement.text.contains(word));
        let may_name = || imports_by_name && statement.text.contains(['"', '\'']);
        !statement.is_string && (statement.has_path || has_word() || may_name()) && is_wanted(statement.text)
    };
    let statements = run_statements(text).filter(may_refer);
    let Some(read) = read else {
        for statement in statements {
            found.read_statement(&statement, &mut parser, imports_by_name);
        }
        found.places = places::places(text);
        return found;
    };
    for statement in statements {
        let known = read.statements.entry(statement.line).or_insert_with(|| {
            let mut own = References::default();
            own.read_statement(&statement, &mut parser, imports_by_name);
            own
        });
        found.imports.extend_from_slice(&known.imports);
        found.literals.extend_from_slice(&known.literals);
    }
    let places = read.places.get_or_insert_with(|| places::places(text));
    found.places.extend_from_slice(places);
    found
}

/// Whether a module may list a directory that it finds from its own place, by the words in it.
pub fn may_list(content: &[u8]) -> bool {
    static LISTERS: LazyLock<Option<AhoCorasick>> =
        LazyLock::new(|| AhoCorasick::new(places::LISTERS.map(|(name, _)| name)).ok());
    let has = |word: &str| memchr::memmem::find(content, word.as_bytes()).is_some();
    LISTERS.as_ref().is_some_and(|listers| listers.is_match(content)) && places::OWN.iter().any(|word| has(word))
}

/// A statement as one that stands alone: heads of compound statements get a block, and those that go on with one begin one.
fn alone<'t>(statement: &Statement<'t>) -> Cow<'t, str> {
    let text = statement.text;
    let without = ["else", "try", "finally", "except"].iter().find_map(|word| {
        let block = text.strip_prefix(word)?.trim_start().strip_prefix(':')?;
        Some(block.trim_start())
    });
    let instead = [("elif ", "if "), ("except ", "with "), ("except* ", "with "), ("@", "")];
    let mut alone = match (
        without,
        instead
            .iter()
            .find_map(|(old, new)| Some((text.strip_prefix(old)?, new))),
    ) {
        (Some(block), _) => Cow::Borrowed(block),
        (None, Some((rest, new))) => Cow::Owned(format!("{new}{rest}")),
        (None, None) => Cow::Borrowed(text),
    };
    if statement.is_head && !alone.is_empty() {
        alone.to_mut().push_str(" pass");
    }
    alone
}

/// The libraries that a module opens by name.
pub fn opens(text: &str) -> Vec<Opening> {
    static OPENS: Opens = Opens::new(
        || Language::from(tree_sitter_python::LANGUAGE),
        include_str!("../../rules/source/opens-python.scm"),
        &["DLL", "dll", "LoadLibrary", "dlopen", "find_library", "load_library"],
    );
    OPENS.read(text)
}

impl References {
    fn read_statement(&mut self, statement: &Statement<'_>, parser: &mut Parser, imports_by_name: bool) {
        let text = alone(statement);
        let Some(tree) = parse_with(parser, &text) else {
            return;
        };
        let mut found = Self::default();
        walk(&tree, |node| {
            match node.kind() {
                "import_statement" | "import_from_statement" => {
                    found.imports.extend(imports(node, &text));
                    return false;
                }
                "call" => found.read_call(node, &text),
                "binary_operator" => {
                    found.literals.extend(divided(node, &text));
                    found.literals.extend(computed(node, &text));
                }
                "string" if has_interpolation(node) => found.literals.extend(computed(node, &text)),
                // A pattern of paths in directories that have other names is none of paths beside the module.
                "string" => found
                    .literals
                    .extend(literal(node, &text).filter(|literal| !literal.text.starts_with("*/"))),
                _ => {}
            }
            true
        });
        let before = statement.line - 1;
        for import in &mut found.imports {
            import.line += before;
        }
        for literal in &mut found.literals {
            literal.line += before;
        }
        found
            .literals
            .retain(|literal| may_be_path(&literal.text) || imports_by_name && may_be_name(&literal.text));
        self.imports.append(&mut found.imports);
        self.literals.append(&mut found.literals);
    }

    fn read_call(&mut self, call: Node<'_>, text: &str) {
        let function = call.child_by_field_name("function").map(|node| text_of(node, text));
        let name = function
            .and_then(|function| function.rsplit('.').next())
            .unwrap_or_default();
        let Some(arguments) = call.child_by_field_name("arguments") else {
            return;
        };
        let line = line_of(call);
        if IMPORTERS.contains(&name) {
            let first = arguments.named_child(0).and_then(|first| literal(first, text));
            self.imports.extend(first.map(|Literal { text, .. }| {
                // What follows a colon is an object in the module (`pkgutil.resolve_name`).
                let text = text.split(':').next().unwrap_or_default();
                let module = text.trim_start_matches('.').to_owned();
                Import {
                    level: text.len() - module.len(),
                    module,
                    names: Vec::new(),
                    line,
                }
            }));
        } else if ATTACHERS.contains(&name) {
            self.imports.push(Import {
                level: 1,
                module: String::new(),
                names: strings_in(arguments, text),
                line,
            });
        } else if JOINERS.contains(&name) {
            self.literals.extend(joined(children(arguments), line, text));
        } else if name == "format" {
            self.literals.extend(computed(call, text));
        }
    }
}

/// The imports of one statement.
fn imports(statement: Node<'_>, text: &str) -> Vec<Import> {
    let mut cursor = statement.walk();
    let names: Vec<String> = statement
        .children_by_field_name("name", &mut cursor)
        .filter_map(|name| match name.kind() {
            "aliased_import" => name.child_by_field_name("name"),
            _ => Some(name),
        })
        .map(|name| text_of(name, text).replace(char::is_whitespace, ""))
        .collect();
    let line = line_of(statement);
    let Some(module) = statement.child_by_field_name("module_name") else {
        let each = names.into_iter().map(|module| Import {
            level: 0,
            module,
            names: Vec::new(),
            line,
        });
        return each.collect();
    };
    let written = text_of(module, text).replace(char::is_whitespace, "");
    let module = written.trim_start_matches('.').to_owned();
    vec![Import {
        level: written.len() - module.len(),
        module,
        names,
        line,
    }]
}

/// Whether a text has a slash, or a dot before what may be an extension.
fn may_be_path(text: &str) -> bool {
    let mut behind_dots = text.split('.').skip(1);
    text.contains('/') || behind_dots.any(|rest| rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// Whether a text may be the name of a module.
fn may_be_name(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// The literals of `directory / "a" / "b"`, joined.
fn divided(operator: Node<'_>, text: &str) -> Option<Literal> {
    let is_division = |node: Node<'_>| {
        let sign = node.child_by_field_name("operator");
        node.kind() == "binary_operator" && sign.is_some_and(|sign| text_of(sign, text) == "/")
    };
    if !is_division(operator) || operator.parent().is_some_and(is_division) {
        return None;
    }
    let mut parts = Vec::new();
    let mut current = Some(operator);
    while let Some(node) = current.filter(|node| is_division(*node)) {
        parts.extend(node.child_by_field_name("right"));
        current = node.child_by_field_name("left");
    }
    parts.extend(current);
    joined(parts.into_iter().rev(), line_of(operator), text)
}

/// The variable that has the path of the module (The Python Language Reference, section 5.4.1).
const OWN_PATH: &str = "__file__";

/// The parts of a path, joined. What comes before the first that is written out is where the path begins, which only a run
/// tells, if it is not beside the module; nothing if but one part is left, for that is a text by itself.
fn joined<'t>(parts: impl Iterator<Item = Node<'t>>, line: usize, text: &str) -> Option<Literal> {
    let mut is_beside = false;
    let mut written: Vec<String> = Vec::new();
    for part in parts {
        let pattern = pattern(part, text);
        if !written.is_empty() || pattern != ANYTHING {
            written.push(pattern);
        } else {
            is_beside |= text_of(part, text).contains(OWN_PATH);
        }
    }
    if let ([name], true) = (&mut written[..], is_beside) {
        name.insert_str(0, "./");
    }
    let is_path = written.len() > 1 || is_beside && !written.is_empty();
    is_path.then(|| Literal {
        text: written.join("/"),
        line,
    })
}

/// A text of which some is computed, if it is not a part of a longer one.
fn computed(node: Node<'_>, text: &str) -> Option<Literal> {
    let pattern = pattern(node, text);
    if !pattern.contains(|c: char| c.is_alphanumeric()) || !pattern.contains(ANYTHING) {
        return None;
    }
    let is_part = node.parent().is_some_and(|parent| {
        let operator = parent.child_by_field_name("operator").map(|sign| text_of(sign, text));
        parent.kind() == "binary_operator" && matches!(operator, Some("+" | "%"))
    });
    (!is_part).then(|| Literal {
        text: pattern,
        line: line_of(node),
    })
}

/// How many operators deep a text is put together from others: nobody writes more.
const DEEPEST: usize = 20;

/// A text with [`ANYTHING`] for what is computed in it.
fn pattern(node: Node<'_>, text: &str) -> String {
    pattern_at(node, text, DEEPEST)
}

fn pattern_at(node: Node<'_>, text: &str, depth: usize) -> String {
    let anything = || ANYTHING.to_owned();
    let field = |name: &str| node.child_by_field_name(name);
    let inner = |node: Option<Node<'_>>| match (node, depth.checked_sub(1)) {
        (Some(node), Some(depth)) => pattern_at(node, text, depth),
        _ => anything(),
    };
    let written = match node.kind() {
        "string" => children(node)
            .map(|part| match part.kind() {
                "string_content" => text_of(part, text),
                "interpolation" => ANYTHING,
                _ => "",
            })
            .collect(),
        "parenthesized_expression" => inner(node.named_child(0)),
        "binary_operator" => match field("operator").map(|sign| text_of(sign, text)) {
            Some("+") => inner(field("left")) + &inner(field("right")),
            Some("%") => without_fields(&inner(field("left")), '%', |c: char| c.is_ascii_alphabetic()),
            _ => anything(),
        },
        "call" => {
            let function = field("function").filter(|function| function.kind() == "attribute");
            let formats = |function: &Node<'_>| {
                let name = function.child_by_field_name("attribute");
                name.is_some_and(|name| text_of(name, text) == "format")
            };
            match function.filter(formats) {
                Some(function) => without_fields(&inner(function.child_by_field_name("object")), '{', |c| c == '}'),
                None => anything(),
            }
        }
        _ => anything(),
    };
    let twice = ANYTHING.repeat(2);
    if written.contains(&twice) && node.kind() != "string" {
        written.replace(&twice, ANYTHING)
    } else {
        written
    }
}

/// A format with [`ANYTHING`] for its fields, which go from one character to the first that ends them.
fn without_fields(format: &str, begin: char, ends: impl Fn(char) -> bool) -> String {
    let mut parts = format.split(begin);
    let mut written = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        written.push_str(ANYTHING);
        written.push_str(part.find(&ends).and_then(|at| part.get(at + 1..)).unwrap_or_default());
    }
    written
}

fn has_interpolation(string: Node<'_>) -> bool {
    children(string).any(|part| part.kind() == "interpolation")
}

/// The text of a string in which nothing is computed.
fn literal(node: Node<'_>, text: &str) -> Option<Literal> {
    if node.kind() != "string" || has_interpolation(node) {
        return None;
    }
    let content = children(node).filter(|part| part.kind() == "string_content");
    Some(Literal {
        text: content.map(|part| text_of(part, text)).collect(),
        line: line_of(node),
    })
}

fn strings_in(arguments: Node<'_>, text: &str) -> Vec<String> {
    let mut strings = Vec::new();
    let mut pending: Vec<Node<'_>> = children(arguments).collect();
    while let Some(node) = pending.pop() {
        match literal(node, text) {
            Some(literal) => strings.push(literal.text),
            None => pending.extend(children(node)),
        }
    }
    strings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imported(text: &str) -> Vec<String> {
        references(text, &|_| true, None)
            .imports
            .into_iter()
            .map(|import| {
                format!(
                    "{}{} {}",
                    ".".repeat(import.level),
                    import.module,
                    import.names.join(",")
                )
            })
            .collect()
    }

    /// What ast.parse() of Python sees in the same code.
    #[test]
    fn imports_are_read_wherever_they_stand() {
        let check = |text: &str, expected: &[&str]| assert_eq!(imported(text), expected, "{text}");
        check("import a.b, c as d\n", &["a.b ", "c "]);
        check("from .tests import x as y, z\n", &[".tests x,z"]);
        check("from .. import (\n    a,\n    b,\n)\n", &[".. a,b"]);
        check("from a import *\n", &["a "]);
        check(
            "def f():\n    try:\n        from ..a.b import c\n    except ImportError: import d\n",
            &["..a.b c", "d "],
        );
        check(
            "if TYPE_CHECKING:\n    from .t import a\nelse:\n    from .u import b\n",
            &[".u b"],
        );
        check("if typing.TYPE_CHECKING:\n    import a\nimport b\n", &["b "]);
        check("# import a\n'''\nimport b\n'''\nx = 'import c'\n", &[]);
        check("importlib.import_module('.tests', __package__)\n", &[".tests "]);
        check("m = __import__('a.b')\nf(import_module(name))\n", &["a.b "]);
        check("lazy.attach(__name__, submodules=['tests', 'x'])\n", &[". x,tests"]);
        check("import a; from . import b\n", &["a ", ". b"]);
        check(
            "if x: import a\nelif y: import b\nelse: import c\n",
            &["a ", "b ", "c "],
        );
        check("with a as b, \\\n    c: from . import d\n", &[". d"]);
        check(
            "@import_module('a').b\nclass C(__import__('d').E):\n    import f\n",
            &["a ", "d ", "f "],
        );
    }

    #[test]
    fn texts_and_joined_paths_are_read() {
        let check = |text: &str, expected: &[&str]| {
            let literals = references(text, &|_| true, None).literals;
            let texts: Vec<&str> = literals.iter().map(|literal| literal.text.as_str()).collect();
            assert_eq!(texts, expected, "{text}");
        };
        check("\"\"\"doc\"\"\"\nx = 'a/b.txt'\n", &["a/b.txt"]);
        check("os.path.join(here, 'a', \"b.h\")\n", &["a/b.h", "b.h"]);
        check(
            "p = Path(__file__).parent / 'tests' / 'd.csv'\n",
            &["tests/d.csv", "d.csv"],
        );
        check("x = f'{a}/b.h'\n", &["*/b.h"]);
        check(
            "if x:\n    'a doc/string'\n    y = {\n        'k': 'a.b',\n    }\n",
            &["a.b"],
        );
        check("match x:\n    case 'a/b':\n        z('c/d')\n", &["a/b", "c/d"]);
        check(
            "def f(a='b/c', *, d: 'e.f' = 1): return 'g/h'\n",
            &["b/c", "e.f", "g/h"],
        );
        check("except_ = lambda x: 'a/b'\nelse_ = 'c/d'\n", &["a/b", "c/d"]);
        check("x = here + '/a/b.h'\n", &["*/a/b.h", "/a/b.h"]);
        check("os.path.join(here, 'a', name + '.h')\n", &["a/*.h", "*.h", ".h"]);
        check("Path(here) / f'k_{n}.cu'\n", &["k_*.cu"]);
        check("'%s/x.cu' % name\n", &["*/x.cu", "%s/x.cu"]);
        check("'a/{}.cu'.format(name)\n", &["a/*.cu", "a/{}.cu"]);
        check("x = a + b\ny = f'{a}'\n", &[]);
        check("os.path.join(os.path.dirname(__file__), 'a')\n", &["./a"]);
        check("os.path.join(here, 'a')\n", &[]);
        check("NAMES = ['a', 'b c', '1']\nimport_module('.' + name)\n", &["a"]);
    }

    #[test]
    fn source_that_is_no_python_is_looked_through() {
        for text in [
            "",
            "\0",
            "((((",
            "import",
            "from . import",
            &"(".repeat(100_000),
            &"if x:\n".repeat(2000),
        ] {
            references(text, &|_| true, None);
        }
    }

    #[test]
    fn what_was_read_before_is_told_as_if_it_were_read_again() {
        let text = "import a\nif x: from .b import c; import b2\nHERE = os.path.dirname(__file__)\ny = os.path.join(HERE, 'd', 'e')\n";
        let mut read = ReadModule::default();
        for wanted in ["a", "b", "d", "a", "none", ""] {
            let is_wanted = |statement: &str| statement.contains(wanted);
            let afresh = references(text, &is_wanted, None);
            assert_eq!(references(text, &is_wanted, Some(&mut read)), afresh, "{wanted}");
            assert_eq!(afresh.imports.is_empty(), ["d", "none"].contains(&wanted), "{wanted}");
        }
    }
}
