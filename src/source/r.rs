//! What R code refers to.

use std::sync::LazyLock;

use tree_sitter::{Language, Node, Query, QueryCursor, StreamingIterator};

use super::opens::Opens;
use super::{Literal, Opening, line_of, parse, text_of};

/// One thing that R code refers to, by its path: as much of it as is written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// What the path is relative to.
    pub from: Base,
    /// The path, empty for the base itself.
    pub path: Literal,
}

/// What a path in R code is relative to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// The directory of the package of this name, as for `system.file()`.
    Package(String),
    /// The directory of whichever package has it.
    AnyPackage,
    /// R's own directory, as for `R.home()`.
    Home,
    /// The directory of the code, unless the path is absolute.
    OwnDirectory,
}

/// Reads R code. Of code that is not understood, the rest counts.
pub fn references(text: &str) -> Vec<Reference> {
    static REFERS: LazyLock<Option<Query>> = LazyLock::new(|| {
        let query = include_str!("../../rules/source/refers-r.scm");
        Query::new(&Language::from(tree_sitter_r::LANGUAGE), query).ok()
    });
    let tree = parse(&Language::from(tree_sitter_r::LANGUAGE), text);
    let (Some(query), Some(tree)) = (REFERS.as_ref(), tree) else {
        return Vec::new();
    };
    let names = query.capture_names();
    let mut found = Vec::new();
    let mut cursor = QueryCursor::new();
    let mut matches = cursor.matches(query, tree.root_node(), text.as_bytes());
    while let Some(one) = matches.next() {
        let captured = |name: &str| {
            let mut captures = one.captures.iter();
            let capture = captures.find(|capture| names.get(capture.index as usize) == Some(&name));
            capture.map(|capture| capture.node)
        };
        let settings = query.property_settings(one.pattern_index);
        let kind = settings.iter().find(|setting| &*setting.key == "kind");
        let kind = kind.and_then(|kind| kind.value.as_deref()).unwrap_or_default();
        found.extend(reference(kind, &captured, text));
    }
    found
}

/// What functions that get the name of a topic read of its package (R documentation of `demo`, `vignette` and `example`).
const READ_BY_TOPIC: [(&str, &str); 3] = [("demo", "demo/{topic}.R"), ("vignette", "doc"), ("example", "help")];

/// Whether code may read what belongs to a topic of a package, by the words in it.
pub fn reads_by_topic(content: &[u8]) -> bool {
    let mut functions = READ_BY_TOPIC.iter();
    functions.any(|(function, _)| memchr::memmem::find(content, function.as_bytes()).is_some())
}

/// What one match of the query means.
fn reference<'t>(kind: &str, captured: &dyn Fn(&str) -> Option<Node<'t>>, text: &str) -> Option<Reference> {
    if let Some(path) = captured("path") {
        return Some(Reference {
            from: Base::OwnDirectory,
            path: literal(&[text_of(path, text).to_owned()], path),
        });
    }
    if let Some(package) = captured("package") {
        return Some(Reference {
            from: Base::Package(text_of(package, text).to_owned()),
            path: literal(&[], package),
        });
    }
    let node = captured("arguments")?;
    let arguments = Arguments::of(node, text);
    if kind == "absolute" {
        let is_absolute = arguments.parts.first().is_some_and(|first| first.starts_with('/'));
        return is_absolute.then(|| Reference {
            from: Base::OwnDirectory,
            path: literal(&arguments.parts, node),
        });
    }
    if let Some((_, paths)) = READ_BY_TOPIC.iter().find(|(function, _)| *function == kind) {
        let named = arguments.package.clone();
        let from = named.map_or(Base::AnyPackage, Base::Package);
        let topic = arguments.first.clone()?;
        return Some(Reference {
            from,
            path: literal(&[paths.replace("{topic}", &topic)], node),
        });
    }
    let (from, mut parts) = match (kind, captured("outer")) {
        ("joined", Some(outer)) => {
            let outer = Arguments::of(outer, text);
            let from = outer.package.map_or(Base::Home, Base::Package);
            (from, outer.parts)
        }
        ("package", _) => (Base::Package(arguments.first.clone()?), Vec::new()),
        ("package-file", _) => (Base::Package(arguments.package.clone()?), Vec::new()),
        _ => (Base::Home, Vec::new()),
    };
    if kind != "package" {
        parts.extend(arguments.parts);
    }
    Some(Reference {
        from,
        path: literal(&parts, node),
    })
}

fn literal(parts: &[String], node: Node<'_>) -> Literal {
    Literal {
        text: parts.join("/"),
        line: line_of(node),
    }
}

/// The arguments of a call, as far as they are written out.
#[derive(Default)]
struct Arguments {
    /// The first one: a text or a name.
    first: Option<String>,
    /// The texts without a name, up to one that only a run tells. A call with which the path begins is passed over.
    parts: Vec<String>,
    /// The text of the one that is named `package`.
    package: Option<String>,
}

impl Arguments {
    fn of(arguments: Node<'_>, text: &str) -> Self {
        let mut read = Self::default();
        let mut is_known = true;
        let mut cursor = arguments.walk();
        for (number, argument) in arguments.children_by_field_name("argument", &mut cursor).enumerate() {
            let Some(value) = argument.child_by_field_name("value") else {
                continue;
            };
            let content = value
                .child_by_field_name("content")
                .filter(|_| value.kind() == "string");
            let written = content.map(|content| text_of(content, text).to_owned());
            match argument.child_by_field_name("name").map(|name| text_of(name, text)) {
                Some("package") => read.package = written,
                Some(_) => {}
                None => {
                    if number == 0 {
                        let name = || (value.kind() == "identifier").then(|| text_of(value, text).to_owned());
                        read.first = written.clone().or_else(name);
                    }
                    is_known &= written.is_some() || (number == 0 && value.kind() == "call");
                    read.parts.extend(written.filter(|_| is_known));
                }
            }
        }
        read
    }
}

/// The libraries that a module opens by name.
pub fn opens(text: &str) -> Vec<Opening> {
    static OPENS: Opens = Opens::new(
        || Language::from(tree_sitter_r::LANGUAGE),
        include_str!("../../rules/source/opens-r.scm"),
        &["dyn.load"],
    );
    OPENS.read(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_packages_and_of_r_are_read() {
        let check = |text: &str, expected: &[&str]| {
            let show = |reference: &Reference| match &reference.from {
                Base::Package(name) => Some(format!("{name}:{}", reference.path.text)),
                Base::Home => Some(format!("R:{}", reference.path.text)),
                Base::AnyPackage => Some("any package".to_owned()),
                Base::OwnDirectory => None,
            };
            let found: Vec<String> = references(text).iter().filter_map(show).collect();
            assert_eq!(found, expected, "{text}");
        };
        check("system.file('doc', \"a.csv\", package = 'x')", &["x:doc/a.csv"]);
        check(
            "base::system.file(\"doc\", name, 'b', package = \"x\")",
            &["base:", "x:doc"],
        );
        check("system.file('a')\nsystem.file('a', package = p)", &[]);
        check("R.home('share')", &["R:share"]);
        check(
            "file.path(R.home(\"share\"), 'texmf', name)",
            &["R:share/texmf", "R:share"],
        );
        check(
            "library(MASS)\nrequireNamespace(\"mgcv\")\nlibrary(p, character.only = TRUE)",
            &["MASS:", "mgcv:", "p:"],
        );
        check("stats::sd(x); tools:::f", &["stats:", "tools:"]);
        check("demo('a', package = 'x')", &["x:demo/a.R"]);
        check("utils::vignette(\"v\", package = \"x\")", &["utils:", "x:doc"]);
        check("# library(a)\nx <- \"library(b)\"", &[]);
        check("((((", &[]);
    }

    #[test]
    fn texts_are_paths_from_the_code() {
        let texts: Vec<String> = references("source('lib/a.R'); x <- r\"(b/c)\"")
            .into_iter()
            .filter(|reference| reference.from == Base::OwnDirectory)
            .map(|reference| reference.path.text)
            .collect();
        assert_eq!(texts, ["lib/a.R", "b/c"]);
    }
}
