//! What source code refers to, read with tree-sitter and without running it: imports, and texts that may be paths.
//!
//! Pure functions from a text to plain data. What the references mean in a tree, the languages know.

mod bounded;
pub mod javascript;
mod opens;
mod places;
pub mod python;
pub mod r;
pub mod ruby;

use tree_sitter::{Language, Node, Parser, Tree};

pub use opens::{LibraryName, Opening};
pub use places::{Listed, Place, Start};

/// Longer source is not read: what is written by people is shorter, and generated code refers to little, in bytes.
pub const LONGEST: usize = 4 << 20;

/// Source that is nested deeper is not read, nor such with more tokens in a row that are no expressions: a query looks at all that
/// is above a node and at the tokens after it. Python itself refuses 200 parentheses in one another (MAXLEVEL in its tokenizer).
const DEEPEST: usize = 5_000;

/// What stands in a text for a part that only a run tells, as in a pattern of a shell.
pub const ANYTHING: &str = "*";

/// A text in source code that may be a path or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    /// The text; the parts of a path that the code joins are joined by `/`.
    pub text: String,
    /// Its line, counted from 1.
    pub line: usize,
}

fn parse(language: &Language, text: &str) -> Option<Tree> {
    if text.len() > LONGEST {
        return None;
    }
    let mut parser = Parser::new();
    parser.set_language(language).ok()?;
    parse_with(&mut parser, text)
}

/// Parses a text in the language of the parser, if it can be read in bounded time.
fn parse_with(parser: &mut Parser, text: &str) -> Option<Tree> {
    bounded::parse(parser, text).filter(|tree| !is_unreadable(tree))
}

fn is_unreadable(tree: &Tree) -> bool {
    let mut cursor = tree.walk();
    let (mut depth, mut tokens) = (0, 0);
    loop {
        tokens = if cursor.node().is_named() { 0 } else { tokens + 1 };
        if depth > DEEPEST || tokens > DEEPEST {
            return true;
        }
        if cursor.goto_first_child() {
            depth += 1;
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return false;
            }
            depth -= 1;
        }
    }
}

/// Visits every node before what is in it; `visit` says whether to go into a node. However deep source is nested, this does
/// not recurse.
fn walk<'t>(tree: &'t Tree, mut visit: impl FnMut(Node<'t>) -> bool) {
    let mut cursor = tree.walk();
    loop {
        let goes_in = visit(cursor.node());
        if goes_in && cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return;
            }
        }
    }
}

/// The named nodes directly in a node.
fn children(node: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    // By their numbers, each would be counted off from the first.
    let children: Vec<Node<'_>> = node.named_children(&mut node.walk()).collect();
    children.into_iter()
}

fn text_of<'t>(node: Node<'_>, text: &'t str) -> &'t str {
    text.get(node.byte_range()).unwrap_or_default()
}

fn line_of(node: Node<'_>) -> usize {
    node.start_position().row + 1
}
