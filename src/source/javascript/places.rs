//! Paths that JavaScript code puts together from its own file, and directories that it lists.

use tree_sitter::{Node, Tree};

use super::{first_argument, literal};
use crate::source::places::{DEEPEST, Listed, Place, Start, Value, Variables};
use crate::source::{ANYTHING, children, text_of, walk};

/// Without one of these words code has no path from its own place (Node.js documentation, "The module scope", "import.meta" and
/// `require.resolve`).
pub(super) const OWN: [&str; 4] = ["__dirname", "__filename", "import.meta", "require.resolve"];

/// Functions that list directories (Node.js documentation, "File system").
pub(super) const LISTERS: [&str; 2] = ["readdir", "opendir"];

/// Functions that give the path that they are given (Node.js documentation, "URL" and "Path").
const SAME: [&str; 8] = [
    "fileURLToPath",
    "pathToFileURL",
    "normalize",
    "realpathSync",
    "String",
    "toString",
    "URL",
    "toNamespacedPath",
];

struct Reader<'t> {
    text: &'t str,
    variables: Variables<'t>,
}

/// The places in a module.
pub(super) fn places(tree: &Tree, text: &str) -> Vec<Place> {
    if !OWN.iter().any(|word| text.contains(word)) {
        return Vec::new();
    }
    let variables = Variables::of(tree, text, |node| {
        let (variable, value) = match node.kind() {
            "variable_declarator" => ("name", "value"),
            "assignment_expression" => ("left", "right"),
            _ => return None,
        };
        Some((node.child_by_field_name(variable)?, node.child_by_field_name(value)?))
    });
    let reader = Reader { text, variables };
    let mut found = Vec::new();
    walk(tree, |node| {
        let place = match node.kind() {
            "call_expression" => reader.listed(node).or_else(|| reader.plain(node)),
            "binary_expression" | "template_string" | "new_expression" => reader.plain(node),
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
        let (name, arguments) = self.parts(call)?;
        if !LISTERS.contains(&name.trim_end_matches("Sync")) {
            return None;
        }
        let directory = self.value(first_argument(arguments)?, DEEPEST)?;
        let listed = if text_of(arguments, self.text).contains("recursive") {
            Listed::Everything
        } else {
            Listed::Names
        };
        Place::of(directory, listed, call, self.text)
    }

    /// The name of what is called, and what it is given.
    fn parts(&self, call: Node<'t>) -> Option<(&'t str, Node<'t>)> {
        let function = call
            .child_by_field_name("function")
            .or_else(|| call.child_by_field_name("constructor"))?;
        let arguments = call.child_by_field_name("arguments")?;
        Some((text_of(function, self.text).rsplit('.').next()?, arguments))
    }

    fn part(&self, node: Node<'t>, depth: usize) -> String {
        let value = self.value(node, depth);
        value.map_or_else(|| ANYTHING.to_owned(), Value::into_text)
    }

    /// Parts of a path, of which some may be in a list.
    fn all_parts(&self, nodes: &[Node<'t>], depth: usize) -> Vec<String> {
        let parts = nodes.iter().flat_map(|node| {
            let list = (node.kind() == "spread_element").then(|| node.named_child(0)).flatten();
            let list = list.map(|list| match self.variables.get(text_of(list, self.text)) {
                [value] => *value,
                _ => list,
            });
            match list.filter(|list| list.kind() == "array") {
                Some(list) => children(list).map(|part| self.part(part, depth)).collect(),
                None => vec![self.part(*node, depth)],
            }
        });
        parts.collect()
    }

    fn value(&self, node: Node<'t>, depth: usize) -> Option<Value> {
        let depth = self.variables.go_in(depth)?;
        let inner = |node: Option<Node<'t>>| self.value(node?, depth);
        let field = |name: &str| node.child_by_field_name(name);
        let written = text_of(node, self.text);
        let own = |rest: &str| Some(Value::Path(Start::File, rest.to_owned()));
        match node.kind() {
            "identifier" | "member_expression" => match written {
                "__filename" | "import.meta.url" | "import.meta.filename" => own(""),
                "__dirname" | "import.meta.dirname" => own("/.."),
                "path.sep" => Some(Value::Text("/".to_owned())),
                _ => self.variable(written, depth),
            },
            "string" => literal(node, self.text).map(|literal| Value::Text(literal.text)),
            "template_string" => Some(Value::concatenated(children(node).map(|part| match part.kind() {
                "string_fragment" => Some(Value::Text(text_of(part, self.text).to_owned())),
                "template_substitution" => inner(part.named_child(0)),
                _ => None,
            }))),
            "parenthesized_expression" | "await_expression" => inner(node.named_child(0)),
            "ternary_expression" => inner(field("consequence")).or_else(|| inner(field("alternative"))),
            "binary_expression" if text_of(field("operator")?, self.text) == "+" => {
                Some(Value::concatenated([inner(field("left")), inner(field("right"))]))
            }
            "call_expression" | "new_expression" => self.called(node, depth),
            _ => None,
        }
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
        let (name, arguments) = self.parts(call)?;
        let function = call.child_by_field_name("function");
        let arguments: Vec<Node<'t>> = children(arguments).filter(|node| node.kind() != "comment").collect();
        let first = arguments.first().map(|first| self.value(*first, depth));
        match (name, &arguments[..]) {
            ("dirname", [_, ..]) => first?.map(Value::directory),
            ("join" | "resolve", [_, more @ ..])
                if function.is_none_or(|function| text_of(function, self.text) != "require.resolve") =>
            {
                Some(first??.joined(self.all_parts(more, depth)))
            }
            ("resolve", [..]) => match first?? {
                Value::Text(name) if !name.contains(ANYTHING) => Some(Value::Path(Start::Module(name), String::new())),
                _ => None,
            },
            // A relative address takes the place of the last name of its base.
            ("URL", [address, base]) => match self.value(*base, depth)? {
                Value::Path(start, rest) if rest.ends_with('/') => {
                    Some(Value::Path(start, rest + &self.part(*address, depth)))
                }
                base => Some(base.directory().joined([self.part(*address, depth)])),
            },
            _ if SAME.contains(&name) => match first {
                Some(first) => first,
                None => self.value(function?.child_by_field_name("object")?, depth),
            },
            _ => None,
        }
        .filter(|value| matches!(value, Value::Path(..)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::references;
    use super::*;

    #[test]
    fn paths_from_the_module_are_read() {
        let check = |text: &str, expected: &[&str]| {
            let found = references(text).places.into_iter().map(|place| {
                let start = match place.start {
                    Start::File => "self".to_owned(),
                    Start::Module(name) => name,
                };
                format!("{start}{} {:?}", place.rest, place.listed)
            });
            assert_eq!(found.collect::<Vec<_>>(), expected, "{text}");
        };
        check("fs.readdirSync(__dirname)", &["self/.. Names"]);
        check("fs.readdir(path.join(__dirname, 'a'), f)", &["self/../a Names"]);
        check(
            "fs.readdirSync(`${__dirname}/a`, {recursive: true})",
            &["self/../a Everything"],
        );
        check(
            "const d = path.dirname(__filename); f(path.join(d, 'a/b.md'))",
            &["self/../a/b.md Nothing"],
        );
        check(
            "const r = path.resolve(__dirname, '..'); f(r + '/a.md')",
            &["self/../../a.md Nothing"],
        );
        check(
            "f(path.join(path.dirname(require.resolve('n/package.json')), 'x'))",
            &["n/package.json/../x Nothing"],
        );
        check("f(new URL('./a.md', import.meta.url))", &["self/.././a.md Nothing"]);
        check(
            "const P = ['a', 'b.md']; f(path.join(__dirname, ...P))",
            &["self/../a/b.md Nothing"],
        );
        check("f(path.join(dir, 'x'), __dirname)", &[]);
    }
}
