//! What Ruby code refers to.

use tree_sitter::{Language, Node};

use super::opens::Opens;
use super::{ANYTHING, Literal, Opening, children, line_of, parse, text_of, walk};

/// The method that gives the directory of the code (Ruby documentation, `Kernel#__dir__`).
const OWN_DIRECTORY: &str = "__dir__";

/// How code asks for other code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// From its own directory: `require_relative`.
    Relative,
    /// By the name that a directory of the load path has: `require`, `load`, `autoload`.
    Feature,
}

/// What code refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// What it asks for.
    pub requests: Vec<(Request, Literal)>,
    /// The texts in it. [`ANYTHING`] stands for what only a run tells.
    pub literals: Vec<Literal>,
}

/// Reads Ruby code. Of code that is not understood, the rest counts.
pub fn references(text: &str) -> References {
    let mut found = References::default();
    let Some(tree) = parse(&Language::from(tree_sitter_ruby::LANGUAGE), text) else {
        return found;
    };
    walk(&tree, |node| {
        match node.kind() {
            "call" => found.read_call(node, text),
            "string" => found.literals.extend(literal(node, text)),
            _ => {}
        }
        true
    });
    found
}

impl References {
    fn read_call(&mut self, call: Node<'_>, text: &str) {
        let field = |name: &str| call.child_by_field_name(name).map(|node| text_of(node, text));
        let Some(arguments) = call.child_by_field_name("arguments") else {
            return;
        };
        let literals = || children(arguments).filter_map(|argument| literal(argument, text));
        let request = match (field("receiver"), field("method")) {
            (_, Some("require_relative")) => Request::Relative,
            (_, Some("require" | "load" | "autoload")) => Request::Feature,
            (Some("File" | "Pathname"), Some("join" | "expand_path" | "new")) => {
                let parts: Vec<String> = children(arguments)
                    .map(|part| literal(part, text).map_or_else(|| ANYTHING.to_owned(), |literal| literal.text))
                    .skip_while(|part| part == ANYTHING)
                    .collect();
                let is_beside = children(arguments)
                    .next()
                    .is_some_and(|first| text_of(first, text) == OWN_DIRECTORY);
                if let ([name], true) = (&parts[..], is_beside) {
                    self.literals.push(Literal {
                        text: format!("./{name}"),
                        line: line_of(call),
                    });
                }
                if field("method") == Some("join") && parts.len() > 1 {
                    self.literals.push(Literal {
                        text: parts.join("/"),
                        line: line_of(call),
                    });
                }
                return;
            }
            _ => return,
        };
        self.requests
            .extend(literals().last().map(|literal| (request, literal)));
    }
}

/// The text of a string.
fn literal(node: Node<'_>, text: &str) -> Option<Literal> {
    if node.kind() != "string" {
        return None;
    }
    let parts = children(node).map(|part| match part.kind() {
        "string_content" => text_of(part, text),
        _ if part
            .named_child(0)
            .is_some_and(|own| text_of(own, text) == OWN_DIRECTORY) =>
        {
            "."
        }
        _ => ANYTHING,
    });
    let written: String = parts.collect();
    written.contains(|c: char| c.is_alphanumeric()).then(|| Literal {
        text: written,
        line: line_of(node),
    })
}

/// The libraries that a module opens by name.
pub fn opens(text: &str) -> Vec<Opening> {
    static OPENS: Opens = Opens::new(
        || Language::from(tree_sitter_ruby::LANGUAGE),
        include_str!("../../rules/source/opens-ruby.scm"),
        &["ffi_lib", "dlopen", "dlload", "Handle", "DynamicLibrary"],
    );
    OPENS.read(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_required_and_written_is_read() {
        let requests = |text: &str| -> Vec<String> {
            let requests = references(text).requests.into_iter();
            requests
                .map(|(request, literal)| format!("{request:?} {}", literal.text))
                .collect()
        };
        assert_eq!(
            requests("require 'a/b'\nrequire_relative \"../spec/c\"\n"),
            ["Feature a/b", "Relative ../spec/c"]
        );
        assert_eq!(requests("autoload :X, 'm/x'\n# require 'no'\n"), ["Feature m/x"]);
        assert_eq!(requests("require_relative \"p/#{name}\"\n"), ["Relative p/*"]);
        let texts = |text: &str| -> Vec<String> {
            references(text)
                .literals
                .into_iter()
                .map(|literal| literal.text)
                .collect()
        };
        assert_eq!(
            texts("File.read(File.join(__dir__, 'data', \"#{x}.txt\"))"),
            ["data/*.txt", "data", "*.txt"]
        );
        assert_eq!(texts("File.expand_path('../data/a.md', __FILE__)"), ["../data/a.md"]);
        for text in ["", "\0", "((((", "require", &"[".repeat(100_000)] {
            references(text);
        }
    }
}
