//! Parsing that ends soon, whatever the text.
//!
//! What tree-sitter does on syntax errors can cost the square of what it has read and more, in time and in memory: it keeps every
//! way of reading that may still turn out best, and at the end of the text it builds each of them. Nothing can stop it there, so
//! texts of too many errors are never let come to their end. How many errors there were, only the parser's log tells, which
//! makes parsing three times slower; so it is only asked for texts that are long enough to need it.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::rc::Rc;

use tree_sitter::{LogType, ParseOptions, ParseState, Parser, Point, Tree};

/// After so many steps of the parser it reports its progress (OP_COUNT_PER_PARSER_CALLBACK_CHECK of its parser.c).
const STEPS_PER_REPORT: usize = 100;

/// The most steps, each of which takes some 140 bytes of memory. Code that people write takes less than one for each byte, and
/// minified code up to 2.
const MOST_STEPS: usize = 1_500_000;

/// The most steps for each byte, beyond those that any text may take: more means many ways of reading the same.
const MOST_STEPS_PER_BYTE: usize = 8;

/// So many steps may be taken whatever the errors in the text: at worst they take 0.2 s and 150 MB.
const UNWATCHED_STEPS: usize = 10_000;

/// The most errors, times the steps taken until then. Time and memory at the end of the text follow this product: the worst
/// texts known then take 0.3 s and 200 MB. Code with one error in each 100 lines is within it up to half a megabyte.
const MOST_ERROR_STEPS: usize = 15_000_000;

/// With what the parser's log begins a message of an error in every way of reading that is left (parser.c, "resume version").
const ERROR_MESSAGE: &str = "resume ";

/// Parses a text in the language of the parser; `None` if that would take too long or too much memory. The same text has the same
/// answer always: nothing here depends on the time.
pub(super) fn parse(parser: &mut Parser, text: &str) -> Option<Tree> {
    let is_long = text.len() > 2 * UNWATCHED_STEPS;
    if !is_long && let Some(tree) = parse_while(parser, text, |steps| steps <= UNWATCHED_STEPS) {
        return Some(tree);
    }
    let errors = Rc::new(Cell::new(0_usize));
    let counted = Rc::clone(&errors);
    parser.set_logger(Some(Box::new(move |kind, message| {
        if kind == LogType::Parse && message.starts_with(ERROR_MESSAGE) {
            counted.set(counted.get() + 1);
        }
    })));
    let most_steps = (UNWATCHED_STEPS + text.len() * MOST_STEPS_PER_BYTE).min(MOST_STEPS);
    let tree = parse_while(parser, text, |steps| {
        steps <= most_steps && errors.get() * steps <= MOST_ERROR_STEPS
    });
    parser.set_logger(None);
    tree
}

/// Parses a text as long as a number of steps is allowed.
fn parse_while(parser: &mut Parser, text: &str, is_allowed: impl Fn(usize) -> bool) -> Option<Tree> {
    let mut steps = 0;
    let mut report = |_: &ParseState| {
        steps += STEPS_PER_REPORT;
        if is_allowed(steps) {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    let mut read = |at: usize, _: Point| text.as_bytes().get(at..).unwrap_or_default();
    let options = ParseOptions::new().progress_callback(&mut report);
    let tree = parser.parse_with_options(&mut read, None, Some(options));
    if tree.is_none() {
        // Otherwise the next text would be read as the rest of this one.
        parser.reset();
    }
    tree
}

#[cfg(test)]
mod tests {
    use tree_sitter::Language;

    use super::*;

    fn parser() -> Parser {
        let mut parser = Parser::new();
        parser
            .set_language(&Language::from(tree_sitter_python::LANGUAGE))
            .unwrap();
        parser
    }

    #[test]
    fn reads_long_code_as_the_parser_does_without_bounds() {
        let block = "def f(x):\n    with open(x) as y, z:\n        return {**x, 'a': [*y]}\n\nprint('a' 'b', file=x)\n";
        let mistaken = "x = (1 +\ndef )\n";
        for text in [block.repeat(2_000), format!("{}{mistaken}{0}", block.repeat(300))] {
            let bounded = parse(&mut parser(), &text).unwrap();
            let plain = parser().parse(&text, None).unwrap();
            assert_eq!(bounded.root_node().to_sexp(), plain.root_node().to_sexp());
        }
    }

    /// Without a bound, this takes 10 s and 4.5 GB.
    #[test]
    fn leaves_unread_what_is_nothing_but_errors() {
        let mut parser = parser();
        let errors = format!("impo{}rt os, c|ypes\n", "/*".repeat(8_000));
        assert!(parse(&mut parser, &errors).is_none());
        // And the next text is not read as its rest.
        let next = parse(&mut parser, "import os\n").unwrap();
        assert_eq!(
            next.root_node().to_sexp(),
            "(module (import_statement name: (dotted_name (identifier))))"
        );
    }

    #[test]
    fn leaves_unread_what_is_too_large_a_tree() {
        assert!(parse(&mut parser(), &"a\n".repeat(1_000_000)).is_none());
    }
}
