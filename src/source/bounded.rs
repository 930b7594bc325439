//! Parsing that ends soon, whatever the text.
//!
//! What tree-sitter does on syntax errors can cost the square of what it has read and more, in time and in memory: it keeps every
//! way of reading that may still turn out best, and at the end of the text it builds each of them. Nothing can stop it there, so
//! texts of too many errors are never let come to their end. Nor are those that open ever more without closing any of it, which
//! takes several times the memory of others. How many errors there were and how much is open, only the parser's log tells,
//! which makes parsing three times slower; so it is only asked for texts that are long enough to need it.

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

/// How much may be on the parser's stack, each of which takes up to 450 bytes of memory. In minified code of 600 kB there are
/// 4,400, as what other ways of reading had put there is counted.
const MOST_OPEN: usize = 100_000;

/// With what the parser's log begins a message of an error in every way of reading that is left (parser.c, "resume version").
const ERROR_MESSAGE: &str = "resume ";
/// With what it begins messages of a token that goes onto the stack, and of a rule that takes the place of so many of its
/// parts there ("shift state:5", "reduce sym:call, child_count:2").
const SHIFT_MESSAGE: &str = "shift state";
const REDUCE_MESSAGE: &str = "reduce ";

/// Parses a text in the language of the parser; `None` if that would take too long or too much memory. The same text has the same
/// answer always: nothing here depends on the time.
pub(super) fn parse(parser: &mut Parser, text: &str) -> Option<Tree> {
    let is_long = text.len() > 2 * UNWATCHED_STEPS;
    if !is_long && let Some(tree) = parse_while(parser, text, |steps| steps <= UNWATCHED_STEPS) {
        return Some(tree);
    }
    let watched = Rc::new(Watched::default());
    let log = Rc::clone(&watched);
    parser.set_logger(Some(Box::new(move |kind, message| {
        if kind == LogType::Parse {
            log.note(message);
        }
    })));
    let most_steps = (UNWATCHED_STEPS + text.len() * MOST_STEPS_PER_BYTE).min(MOST_STEPS);
    let tree = parse_while(parser, text, |steps| {
        steps <= most_steps && watched.errors.get() * steps <= MOST_ERROR_STEPS && watched.open.get() <= MOST_OPEN
    });
    parser.set_logger(None);
    tree
}

/// What the parser's log has told.
#[derive(Debug, Default)]
struct Watched {
    /// How many errors there were.
    errors: Cell<usize>,
    /// About how much is on the stack: of several ways of reading, what each has put there and taken from it is counted.
    open: Cell<usize>,
}

impl Watched {
    fn note(&self, message: &str) {
        let open = self.open.get();
        if message.starts_with(SHIFT_MESSAGE) {
            self.open.set(open + 1);
        } else if message.starts_with(REDUCE_MESSAGE) {
            let parts = message.rsplit(':').next().and_then(|count| count.parse().ok());
            self.open.set((open + 1).saturating_sub(parts.unwrap_or(0)));
        } else if message.starts_with(ERROR_MESSAGE) {
            self.errors.set(self.errors.get() + 1);
        }
    }
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

    /// Without a bound, these take 370 and 650 MB.
    #[test]
    fn leaves_unread_what_opens_and_never_closes() {
        for opener in ["(", "f'{"] {
            assert!(parse(&mut parser(), &opener.repeat(MOST_OPEN + 10_000)).is_none());
        }
        // What closes each is read, however much of it there is.
        assert!(parse(&mut parser(), &"(f'{x}')\n".repeat(20_000)).is_some());
    }

    #[test]
    fn leaves_unread_what_is_too_large_a_tree() {
        assert!(parse(&mut parser(), &"a\n".repeat(1_000_000)).is_none());
    }
}
