//! Paths that Python code puts together from its own file, and directories that it lists.

use tree_sitter::{Language, Node};

use super::literal;
use crate::source::places::{DEEPEST, Listed, Place, Start, Value, Variables};
use crate::source::{ANYTHING, children, parse, text_of, walk};

/// Without one of these words code has no path from its own place (The Python Language Reference, section 5.4.1;
/// importlib.resources; pkg_resources).
pub(super) const OWN: [&str; 6] = [
    "__file__",
    "__path__",
    "files(",
    "contents(",
    "resource_listdir(",
    ".origin",
];

/// Functions and methods that list directories, and what of them (os, pathlib, pkgutil, unittest, importlib.resources,
/// pkg_resources).
pub(super) const LISTERS: [(&str, Listed); 11] = [
    ("listdir", Listed::Names),
    ("scandir", Listed::Names),
    ("iterdir", Listed::Names),
    ("contents", Listed::Names),
    ("resource_listdir", Listed::Names),
    ("iter_modules", Listed::Modules),
    ("walk_packages", Listed::AllModules),
    ("discover", Listed::AllTests),
    ("walk", Listed::Everything),
    ("glob", Listed::Nothing),
    ("rglob", Listed::Nothing),
];

/// Functions that give the path that they are given (os.path, pathlib, os).
const SAME: [&str; 10] = [
    "abspath", "realpath", "normpath", "normcase", "fspath", "str", "Path", "PurePath", "resolve", "absolute",
];

/// How keyword arguments are called that have a directory.
const DIRECTORY_KEYWORDS: [&str; 3] = ["path", "start_dir", "top"];

struct Reader<'t> {
    text: &'t str,
    variables: Variables<'t>,
}

/// The places in a module.
pub(super) fn places(text: &str) -> Vec<Place> {
    if !OWN.iter().any(|word| text.contains(word)) {
        return Vec::new();
    }
    let Some(tree) = parse(&Language::from(tree_sitter_python::LANGUAGE), text) else {
        return Vec::new();
    };
    let variables = Variables::of(&tree, text, |node| {
        let is_assignment = node.kind() == "assignment";
        let sides = || Some((node.child_by_field_name("left")?, node.child_by_field_name("right")?));
        is_assignment.then(sides).flatten()
    });
    let reader = Reader { text, variables };
    let mut found = Vec::new();
    walk(&tree, |node| {
        let place = match node.kind() {
            "call" => reader.listed(node).or_else(|| reader.plain(node)),
            "binary_operator" | "string" | "attribute" | "subscript" => reader.plain(node),
            _ => None,
        };
        let is_path = place.is_some();
        found.extend(place);
        !is_path
    });
    found
}

impl<'t> Reader<'t> {
    fn plain(&self, node: Node<'t>) -> Option<Place> {
        Place::of(self.value(node, DEEPEST)?, Listed::Nothing, node, self.text)
    }

    /// What a call lists.
    fn listed(&self, call: Node<'t>) -> Option<Place> {
        let (name, object, arguments) = self.parts(call)?;
        let (_, listed) = LISTERS.iter().find(|(lister, _)| *lister == name)?;
        let first = arguments.first().copied();
        let place = |value, listed| Place::of(value, listed, call, self.text);
        if matches!(name, "glob" | "rglob") {
            // Of pathlib; what `glob.glob` gets is a path by itself.
            let path = object.and_then(|object| self.path(object));
            let Some(path) = path else {
                return place(self.path(first?)?, Listed::Nothing);
            };
            let pattern = first.map_or_else(|| ANYTHING.to_owned(), |first| self.part(first, DEEPEST));
            let is_any = pattern.chars().all(|c| "*/.".contains(c));
            return match (is_any, name == "rglob" || pattern.contains("**")) {
                (true, true) => place(path, Listed::Everything),
                (true, false) => place(path, Listed::Names),
                (false, _) => {
                    let parts = [(name == "rglob").then(|| "**".to_owned()), Some(pattern)];
                    place(path.joined(parts.into_iter().flatten()), Listed::Nothing)
                }
            };
        }
        let of_package = ["contents", "resource_listdir"].contains(&name);
        let directory = match first {
            None => self.path(object?)?,
            Some(first) if of_package => {
                let further = arguments.get(1).map(|below| self.part(*below, DEEPEST));
                self.package(first, DEEPEST)?.joined(further)
            }
            Some(first) => self.path(first)?,
        };
        place(directory, *listed)
    }

    /// The name of what is called, what it is a method of, and what it is given; of the arguments with keywords, directories alone.
    fn parts(&self, call: Node<'t>) -> Option<(&'t str, Option<Node<'t>>, Vec<Node<'t>>)> {
        let function = call.child_by_field_name("function")?;
        let arguments = call.child_by_field_name("arguments")?;
        let name = text_of(function, self.text).rsplit('.').next()?;
        let arguments = children(arguments).filter_map(|argument| match argument.kind() {
            "keyword_argument" => {
                let keyword = argument.child_by_field_name("name")?;
                let is_directory = DIRECTORY_KEYWORDS.contains(&text_of(keyword, self.text));
                argument.child_by_field_name("value").filter(|_| is_directory)
            }
            "comment" => None,
            _ => Some(argument),
        });
        Some((name.trim(), function.child_by_field_name("object"), arguments.collect()))
    }

    fn path(&self, node: Node<'t>) -> Option<Value> {
        self.value(node, DEEPEST)
            .filter(|value| matches!(value, Value::Path(..)))
    }

    /// A part of a path, or of a text.
    fn part(&self, node: Node<'t>, depth: usize) -> String {
        let value = self.value(node, depth);
        value.map_or_else(|| ANYTHING.to_owned(), Value::into_text)
    }

    /// Parts of a path, of which some may be in a list.
    fn all_parts(&self, nodes: &[Node<'t>], depth: usize) -> Vec<String> {
        let parts = nodes.iter().flat_map(|node| {
            let list = (node.kind() == "list_splat").then(|| node.named_child(0)).flatten();
            let list = list.map(|list| match self.variables.get(text_of(list, self.text)) {
                [value] => *value,
                _ => list,
            });
            match list.filter(|list| matches!(list.kind(), "tuple" | "list")) {
                Some(list) => children(list).map(|part| self.part(part, depth)).collect(),
                None => vec![self.part(*node, depth)],
            }
        });
        parts.collect()
    }

    /// The directory of a package that is named as functions about resources take it.
    fn package(&self, node: Node<'t>, depth: usize) -> Option<Value> {
        let written = text_of(node, self.text);
        if matches!(written, "__package__" | "__name__" | "__spec__.parent") {
            return Some(Value::Path(Start::File, "/..".to_owned()));
        }
        let name = match self.value(node, depth) {
            Some(Value::Text(name)) => name,
            Some(Value::Path(..)) => return None,
            None => written.to_owned(),
        };
        let is_name = name.chars().all(|c| c.is_alphanumeric() || "._".contains(c));
        is_name.then(|| Value::Path(Start::Module(name), String::new()))
    }

    fn value(&self, node: Node<'t>, depth: usize) -> Option<Value> {
        let depth = self.variables.go_in(depth)?;
        let inner = |node: Option<Node<'t>>| self.value(node?, depth);
        let field = |name: &str| node.child_by_field_name(name);
        let written = text_of(node, self.text);
        match node.kind() {
            "identifier" => match written {
                "__file__" => Some(Value::Path(Start::File, String::new())),
                "__path__" => Some(Value::Path(Start::File, "/..".to_owned())),
                _ => self.variable(written, depth),
            },
            "attribute" => self.attribute(node, depth),
            "subscript" => self.subscript(node, depth),
            "string" => match literal(node, self.text) {
                Some(literal) => Some(Value::Text(literal.text)),
                None => Some(Value::concatenated(children(node).filter_map(
                    |part| match part.kind() {
                        "string_content" => Some(Some(Value::Text(text_of(part, self.text).to_owned()))),
                        "interpolation" => Some(inner(part.named_child(0))),
                        _ => None,
                    },
                ))),
            },
            "parenthesized_expression" | "list" | "await" => inner(node.named_child(0)),
            "conditional_expression" => inner(node.named_child(0)).or_else(|| inner(node.named_child(2))),
            "binary_operator" => match text_of(field("operator")?, self.text) {
                "/" => Some(inner(field("left"))?.joined([self.part(field("right")?, depth)])),
                "+" => Some(Value::concatenated([inner(field("left")), inner(field("right"))])),
                "%" => {
                    let values = field("right")?;
                    let first = if values.kind() == "tuple" {
                        values.named_child(0)
                    } else {
                        Some(values)
                    };
                    let Some(Value::Text(format)) = inner(field("left")) else {
                        return None;
                    };
                    let rest = format.strip_prefix("%s")?;
                    let rest = super::without_fields(rest, '%', |c: char| c.is_ascii_alphabetic());
                    Some(inner(first)?.with(&rest))
                }
                _ => None,
            },
            "call" => self.called(node, depth),
            _ => None,
        }
    }

    fn attribute(&self, node: Node<'t>, depth: usize) -> Option<Value> {
        let object = node.child_by_field_name("object")?;
        let written = text_of(object, self.text);
        let module = |rest: &str| Some(Value::Path(Start::Module(written.to_owned()), rest.to_owned()));
        match text_of(node.child_by_field_name("attribute")?, self.text) {
            "parent" => self.value(object, depth).map(Value::directory),
            "__path__" => module(""),
            "__file__" if written == "sys.modules[__name__]" => Some(Value::Path(Start::File, String::new())),
            "__file__" => module("/__init__.py"),
            // Of `importlib.util.find_spec("package")`.
            "origin" => self.found(object, depth).map(|found| found.with("/__init__.py")),
            "sep" => Some(Value::Text("/".to_owned())),
            _ => self.variable(text_of(node, self.text), depth),
        }
    }

    /// `path.parents[1]`, or `__path__[0]`.
    fn subscript(&self, node: Node<'t>, depth: usize) -> Option<Value> {
        let of = node.child_by_field_name("value")?;
        let attribute = of.child_by_field_name("attribute");
        if attribute.is_some_and(|name| text_of(name, self.text) == "parents") {
            let path = self.value(of.child_by_field_name("object")?, depth)?;
            let up: usize = text_of(children(node).nth(1)?, self.text).parse().ok()?;
            return (up < DEEPEST).then(|| path.with(&"/..".repeat(up + 1)));
        }
        let is_path = text_of(of, self.text).ends_with("__path__");
        is_path.then(|| self.value(of, depth)).flatten()
    }

    /// The package that a call asks for by its name.
    fn found(&self, call: Node<'t>, depth: usize) -> Option<Value> {
        let call = Some(call).filter(|call| call.kind() == "call")?;
        let (name, _, arguments) = self.parts(call)?;
        self.package(*arguments.first().filter(|_| name == "find_spec")?, depth)
    }

    /// The first path among the values of a variable, or its only text.
    fn variable(&self, written: &str, depth: usize) -> Option<Value> {
        let nodes = self.variables.get(written);
        let mut values = nodes.iter().filter_map(|node| self.value(*node, depth));
        let first = values.next()?;
        match first {
            Value::Text(_) if nodes.len() > 1 => values.find(|value| matches!(value, Value::Path(..))),
            first => Some(first),
        }
    }

    fn called(&self, call: Node<'t>, depth: usize) -> Option<Value> {
        let (name, object, arguments) = self.parts(call)?;
        let (first, more) = match arguments.split_first() {
            Some((first, more)) => (Some(*first), more),
            None => (None, &[][..]),
        };
        let inner = |node: Option<Node<'t>>| self.value(node?, depth);
        // `os.path.join(a)`, or `path.joinpath(a)`.
        let of_object = || inner(object).filter(|value| matches!(value, Value::Path(..)));
        match name {
            "dirname" => inner(first).map(Value::directory),
            "join" | "Path" | "PurePath" if !more.is_empty() => Some(inner(first)?.joined(self.all_parts(more, depth))),
            "joinpath" => Some(of_object()?.joined(self.all_parts(&arguments, depth))),
            "with_name" => Some(of_object()?.directory().joined([self.part(first?, depth)])),
            "files" => self.package(first?, depth),
            "format" => {
                let Some(Value::Text(format)) = inner(object) else {
                    return None;
                };
                let rest = super::without_fields(format.strip_prefix("{}")?, '{', |c| c == '}');
                Some(inner(first)?.with(&rest))
            }
            _ if SAME.contains(&name) => of_object().or_else(|| inner(first)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_from_the_module_are_read() {
        let check = |text: &str, expected: &[&str]| {
            let found = places(text).into_iter().map(|place| {
                let start = match place.start {
                    Start::File => "self".to_owned(),
                    Start::Module(name) => name,
                };
                format!("{start}{} {:?}", place.rest, place.listed)
            });
            assert_eq!(found.collect::<Vec<_>>(), expected, "{text}");
        };
        check(
            "open(os.path.join(os.path.dirname(__file__), 'a', 'b.h'))",
            &["self/../a/b.h Nothing"],
        );
        check(
            "HERE = Path(__file__).resolve().parent\nx = HERE / 'tests'\n",
            &["self/../tests Nothing"],
        );
        check("os.listdir(os.path.dirname(__file__) + '/d')", &["self/../d Names"]);
        check("for m in pkgutil.iter_modules(__path__): pass", &["self/.. Modules"]);
        check(
            "pkgutil.walk_packages(path=[__path__[0]], prefix='x')",
            &["self/.. AllModules"],
        );
        check("pkgutil.iter_modules(plugins.__path__)", &["plugins Modules"]);
        check("files('a.b').joinpath('c').iterdir()", &["a.b/c Names"]);
        check("files(__package__) / 'c.md'", &["self/../c.md Nothing"]);
        check(
            "Path(__file__).parents[1].glob('t/*.py')",
            &["self/../../t/*.py Nothing"],
        );
        check("Path(__file__).parent.rglob('*')", &["self/.. Everything"]);
        check("Path(__file__).with_name('x.h')", &["self/../x.h Nothing"]);
        check(
            "P = ('a', 'b.h')\nos.path.join(os.path.dirname(__file__), *P)",
            &["self/../a/b.h Nothing"],
        );
        check(
            "f'{os.path.dirname(__file__)}{os.sep}{name}.h'",
            &["self/../*.h Nothing"],
        );
        check("'%s/a/%s' % (os.path.dirname(__file__), x)", &["self/../a/* Nothing"]);
        check("os.listdir(path)\nos.path.join(here, 'a')  # __file__", &[]);
        check("x = os.path.join(__file__, x)\nx = x / x\nopen(x)", &[]);
        check("x = __file__\nx = x\nopen(x + '.md')", &["self.md Nothing"]);
    }
}
