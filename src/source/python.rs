//! What Python code refers to.

use std::sync::LazyLock;

use tree_sitter::{Language, Node};

use super::opens::Opens;
use super::{Literal, Opening, children, line_of, parse, text_of, walk};

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
    /// The texts in it, docstrings left out.
    pub literals: Vec<Literal>,
}

/// Functions that import the module of the name that they are given (importlib, and `__import__` of the language itself).
const IMPORTERS: [&str; 3] = ["import_module", "__import__", "find_spec"];

/// Functions that make the names that they are given modules of the package which calls them (SPEC 1, lazy_loader).
const ATTACHERS: [&str; 1] = ["attach"];

/// Functions that join the parts of a path (os.path, pathlib, importlib.resources).
const JOINERS: [&str; 4] = ["join", "joinpath", "Path", "PurePath"];

/// Reads a module. Of code that Python would refuse, what can be understood counts.
pub fn references(text: &str) -> References {
    let language = Language::from(tree_sitter_python::LANGUAGE);
    let mut found = References::default();
    let Some(tree) = parse(&language, text) else {
        return found;
    };
    walk(&tree, |node| {
        match node.kind() {
            "import_statement" | "import_from_statement" => {
                found.imports.extend(imports(node, text));
                return false;
            }
            "block" => return !is_for_type_checkers(node, text),
            "call" => found.read_call(node, text),
            "binary_operator" => found.literals.extend(divided(node, text)),
            "string" => {
                let is_docstring = node
                    .parent()
                    .is_some_and(|parent| parent.kind() == "expression_statement");
                found.literals.extend(literal(node, text).filter(|_| !is_docstring));
            }
            _ => {}
        }
        true
    });
    found
}

/// The libraries that a module opens by name.
pub fn opens(text: &str) -> Vec<Opening> {
    static OPENS: LazyLock<Option<Opens>> = LazyLock::new(|| {
        let query = include_str!("../../rules/source/opens-python.scm");
        Opens::new(
            Language::from(tree_sitter_python::LANGUAGE),
            query,
            &["DLL", "dll", "LoadLibrary", "dlopen", "find_library"],
        )
    });
    OPENS.as_ref().map(|opens| opens.read(text)).unwrap_or_default()
}

impl References {
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
            let parts: Vec<String> = children(arguments)
                .filter_map(|argument| literal(argument, text))
                .map(|literal| literal.text)
                .collect();
            if parts.len() > 1 {
                self.literals.push(Literal {
                    text: parts.join("/"),
                    line,
                });
            }
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

/// Whether a block is run by type checkers alone (Python documentation, `typing.TYPE_CHECKING`).
fn is_for_type_checkers(block: Node<'_>, text: &str) -> bool {
    let Some(parent) = block.parent().filter(|parent| parent.kind() == "if_statement") else {
        return false;
    };
    let condition = parent.child_by_field_name("condition").map(|node| text_of(node, text));
    let is_consequence = parent.child_by_field_name("consequence") == Some(block);
    is_consequence
        && matches!(
            condition,
            Some("TYPE_CHECKING" | "typing.TYPE_CHECKING" | "t.TYPE_CHECKING")
        )
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
        let right = node.child_by_field_name("right").and_then(|right| literal(right, text));
        parts.extend(right.map(|literal| literal.text));
        current = node.child_by_field_name("left");
    }
    parts.reverse();
    (parts.len() > 1).then(|| Literal {
        text: parts.join("/"),
        line: line_of(operator),
    })
}

/// The text of a string in which nothing is computed.
fn literal(node: Node<'_>, text: &str) -> Option<Literal> {
    if node.kind() != "string" || children(node).any(|part| part.kind() == "interpolation") {
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
        references(text)
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
    }

    #[test]
    fn texts_and_joined_paths_are_read() {
        let check = |text: &str, expected: &[&str]| {
            let literals = references(text).literals;
            let texts: Vec<&str> = literals.iter().map(|literal| literal.text.as_str()).collect();
            assert_eq!(texts, expected, "{text}");
        };
        check("\"\"\"doc\"\"\"\nx = 'a/b.txt'\n", &["a/b.txt"]);
        check("os.path.join(here, 'a', \"b.h\")\n", &["a/b.h", "a", "b.h"]);
        check(
            "p = Path(__file__).parent / 'tests' / 'd.csv'\n",
            &["tests/d.csv", "tests", "d.csv"],
        );
        check("x = f'{a}/b.h'\n", &[]);
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
            references(text);
        }
    }
}
