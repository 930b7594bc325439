//! From the text of a script to its syntax tree, within bounds.
//!
//! The parser backtracks: each parenthesis and each `case` that is never closed can double the time that it needs, and so can a
//! substitution in a word. What nests too deep is therefore found among the tokens, before it is parsed.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;
use std::thread;

use brush_parser::ast::Program;
use brush_parser::word::{self, BraceExpressionOrText, WordPieceWithSource};
use brush_parser::{ParserOptions, Token, parse_tokens, uncached_tokenize_str};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Of longer scripts only the beginning is parsed, in bytes.
const LONGEST: usize = 64 << 10;

/// How deep parentheses and `case` nest, and how deep they do with other compound commands. People write three or four.
const DEEPEST_GROUP: usize = 6;
const DEEPEST: usize = 64;

/// How deep substitutions nest in a word, and how many a here-document has, of which the end of each is not known before.
const DEEPEST_WORD: usize = 8;
const MOST_IN_DOCUMENT: usize = 6;

/// The stack of a thread that parses and evaluates, in bytes; of what is not used, none is ever mapped. Only command
/// substitutions that nest through the whole of a script need more than a fraction of it.
const STACK: usize = 256 << 20;

/// How often a script is cut before an error.
const MOST_TRIES: usize = 8;

/// The threads that have such a stack: a thread for each script would cost more than most scripts.
static THREADS: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    let threads = ThreadPoolBuilder::new().stack_size(STACK);
    // As many as the user wants of the others.
    let threads = threads.num_threads(rayon::current_num_threads());
    threads.start_handler(|_| HAS_STACK.set(true)).build().ok()
});

thread_local! {
    static HAS_STACK: Cell<bool> = const { Cell::new(false) };
}

/// Runs something that parses where there is enough stack for it; `None` if that cannot be or it panics. Rayon's parallel
/// iterators in it run on such threads, too.
pub(super) fn with_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    // What a panic leaves behind is dropped with it.
    let guarded = || catch_unwind(AssertUnwindSafe(work)).ok();
    if HAS_STACK.get() {
        return guarded();
    }
    let threads = THREADS.as_ref()?;
    if rayon::current_thread_index().is_none() {
        return threads.install(guarded);
    }
    // A worker of other threads would take up other work while it waits, which may wait in turn, and so on until its stack
    // overflows. A thread of its own only waits.
    thread::scope(|scope| {
        let waiting = thread::Builder::new().spawn_scoped(scope, || threads.install(guarded));
        waiting.ok()?.join().ok()?
    })
}

/// What a script consists of, and whether that is all of it. A shell reads line by line: what follows a syntax error is
/// never run, and neither is what follows `exit`, such as an archive.
pub(super) fn program(text: &str, is_posix: bool) -> Option<(Program, bool)> {
    let options = ParserOptions {
        posix_mode: is_posix,
        ..ParserOptions::default()
    };
    let mut text = text;
    let mut is_whole = true;
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text = &text[..text[..end].rfind('\n').unwrap_or(end)];
        is_whole = false;
    }
    for _ in 0..MOST_TRIES {
        // What cannot be parsed begins in this line; `None` where that is not known.
        let line = match uncached_tokenize_str(text, &options.tokenizer_options()) {
            Ok(tokens) => match check_nesting(&tokens) {
                Nesting::TooDeep => return None,
                Nesting::OpenFrom(line) => Some(line),
                Nesting::Closed => match parse_tokens(&tokens, &options) {
                    Ok(program) => return Some((program, is_whole)),
                    Err(brush_parser::ParseError::ParsingNear(position)) => Some(position.line),
                    Err(_) => None,
                },
            },
            Err(_) => None,
        };
        let lines = text.lines().count();
        // Where the place is not known, such as that of a quote that is never closed, half of the text is left out.
        let kept = match line {
            Some(line) if line <= lines => line.saturating_sub(1),
            _ => lines / 2,
        };
        let end: usize = text.split_inclusive('\n').take(kept).map(str::len).sum();
        text = &text[..end];
        is_whole = false;
    }
    None
}

enum Nesting {
    Closed,
    /// What is opened in this line is never closed.
    OpenFrom(usize),
    TooDeep,
}

/// How tokens nest, which is at most as deep as it is found here.
fn check_nesting(tokens: &[Token]) -> Nesting {
    let mut groups: Vec<(&str, usize)> = Vec::new();
    let mut others = 0_usize;
    let mut before = "\n";
    for token in tokens {
        let is_after_operator = !before.is_empty();
        let line = token.location().start.line;
        match token {
            Token::Operator(operator, _) => {
                match operator.as_str() {
                    "(" => groups.push(("(", line)),
                    // In `case`, it may end a pattern.
                    ")" if groups.last().is_some_and(|(opened, _)| *opened == "(") => {
                        groups.pop();
                    }
                    _ => {}
                }
                before = operator;
            }
            Token::Word(word, _) => {
                match word.as_str() {
                    "case" => groups.push(("case", line)),
                    "esac" if is_after_operator && groups.last().is_some_and(|(opened, _)| *opened == "case") => {
                        groups.pop();
                    }
                    "if" | "while" | "until" | "for" | "select" | "{" | "!" | "coproc" | "[[" => others += 1,
                    "fi" | "done" | "}" if is_after_operator => others = others.saturating_sub(1),
                    "]]" => others = others.saturating_sub(1),
                    _ => {}
                }
                before = "";
            }
        }
        if groups.len() > DEEPEST_GROUP || others > DEEPEST {
            return Nesting::TooDeep;
        }
    }
    match groups.first() {
        // `case` may be a word like others.
        Some((_, line)) if groups.iter().all(|(opened, _)| *opened == "(") => Nesting::OpenFrom(*line),
        _ => Nesting::Closed,
    }
}

/// The pieces of a word; `None` if they nest too deep or cannot be told apart.
pub(super) fn word(text: &str, options: &ParserOptions) -> Option<Vec<WordPieceWithSource>> {
    is_shallow(text).then(|| word::parse(text, options).ok())?
}

/// What the braces of a word stand for; `None` if they stand for nothing or nest too deep.
pub(super) fn brace_expansions(text: &str, options: &ParserOptions) -> Option<Vec<BraceExpressionOrText>> {
    is_shallow(text).then(|| word::parse_brace_expansions(text, options).ok().flatten())?
}

/// Whether parentheses and braces of a word nest no deeper than people write them. Arithmetic ends with two parentheses alone:
/// one of which single ones take the place is open to the end, whatever closes in it.
fn is_shallow(text: &str) -> bool {
    let (mut depth, mut arithmetic) = (0_usize, 0_usize);
    for (at, character) in text.char_indices() {
        match character {
            '$' if text[at..].starts_with("$((") => arithmetic += 1,
            ')' if text[at..].starts_with("))") => arithmetic = arithmetic.saturating_sub(1),
            _ => {}
        }
        match character {
            '{' | '(' => depth += 1,
            '}' | ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth.max(arithmetic) > DEEPEST_WORD {
            return false;
        }
    }
    true
}

/// The pieces of a here-document; `None` if it has more substitutions than can be told apart in little time.
pub(super) fn here_document(text: &str, options: &ParserOptions) -> Option<Vec<WordPieceWithSource>> {
    let opened = text.matches("$(").count() + text.matches("${").count() + text.matches('`').count();
    if opened > MOST_IN_DOCUMENT || !is_shallow(text) {
        return None;
    }
    word::parse_heredoc(text, options).ok()
}
