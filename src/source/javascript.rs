//! What JavaScript code refers to.

use tree_sitter::{Language, Node};

use super::opens::Opens;
use super::{Literal, Opening, children, line_of, parse, text_of, walk};

/// What a module refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// What it asks `require` or `import` for.
    pub requests: Vec<Literal>,
    /// Paths relative to the directory of the module.
    pub paths: Vec<Literal>,
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
            "string" => found.paths.extend(relative(node, text)),
            "template_string" => found.paths.extend(below_directory(node, text)),
            _ => {}
        }
        true
    });
    found
}

/// The libraries that a module opens by name.
pub fn opens(text: &str) -> Vec<Opening> {
    static OPENS: Opens = Opens::new(
        || Language::from(tree_sitter_javascript::LANGUAGE),
        include_str!("../../rules/source/opens-javascript.scm"),
        &["koffi", "dlopen", "Library"],
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
        let first = arguments.named_child(0);
        if matches!(
            function,
            "require" | "import" | "require.resolve" | "import.meta.resolve"
        ) {
            self.requests.extend(first.and_then(|first| literal(first, text)));
            return;
        }
        let is_joiner = function.rsplit('.').next().is_some_and(|name| JOINERS.contains(&name));
        if is_joiner && first.is_some_and(|first| DIRECTORIES.contains(&text_of(first, text))) {
            let parts: Option<Vec<String>> = children(arguments)
                .skip(1)
                .map(|part| literal(part, text).map(|literal| literal.text))
                .collect();
            self.paths.extend(parts.map(|parts| Literal {
                text: parts.join("/"),
                line: line_of(call),
            }));
        }
    }
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

/// A string that is a path from the module's directory: by its beginning, behind `__dirname +`, or in `new URL(…,
/// import.meta.url)`.
fn relative(node: Node<'_>, text: &str) -> Option<Literal> {
    let literal = literal(node, text)?;
    if literal.text.starts_with("./") || literal.text.starts_with("../") {
        return Some(literal);
    }
    let parent = node.parent()?;
    let left = parent.child_by_field_name("left").map(|left| text_of(left, text));
    let is_behind = parent.kind() == "binary_expression" && left.is_some_and(|left| DIRECTORIES.contains(&left));
    let is_url = parent.kind() == "arguments" && text_of(parent, text).contains("import.meta.url");
    if !is_behind && !is_url {
        return None;
    }
    Some(Literal {
        text: literal.text.trim_start_matches('/').to_owned(),
        ..literal
    })
}

/// What stands behind the directory in `${__dirname}/x`.
fn below_directory(template: Node<'_>, text: &str) -> Option<Literal> {
    let written = text_of(template, text).trim_matches('`');
    let path = DIRECTORIES
        .iter()
        .find_map(|directory| written.strip_prefix("${")?.strip_prefix(directory)?.strip_prefix("}/"))?;
    (!path.contains("${")).then(|| Literal {
        text: path.to_owned(),
        line: line_of(template),
    })
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
        check("!function(){return function(){var t=require('min')}}()", &["min"]);
    }

    #[test]
    fn paths_beside_the_module_are_read() {
        let check = |text: &str, expected: &[&str]| {
            let paths = references(text).paths;
            let texts: Vec<&str> = paths.iter().map(|literal| literal.text.as_str()).collect();
            assert_eq!(texts, expected, "{text}");
        };
        check("fs.readFileSync(path.join(__dirname, 'docs', 'a.md'))", &["docs/a.md"]);
        check("fs.readFileSync(__dirname + '/b.md')", &["b.md"]);
        check("fs.readFileSync(`${__dirname}/c.md`)", &["c.md"]);
        check("new URL('d.md', import.meta.url)", &["d.md"]);
        check("load('./e.md', 'f.md')", &["./e.md"]);
        check("path.join(dir, 'x')", &[]);
    }

    #[test]
    fn source_that_is_no_javascript_is_looked_through() {
        for text in ["", "\0", "((((", "import", &"{".repeat(100_000), "`${"] {
            references(text);
        }
    }
}
