//! Cuts Python code into its statements, so that only those that may refer to something have to be parsed: of most code, few.
//!
//! What ends a statement is a matter of brackets, strings, comments and line ends alone (The Python Language Reference,
//! section 2.1, "Line structure").

/// A logical line of code: a simple statement, several with `;` between them, or the head of a compound one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Statement<'t> {
    /// From its first character to its last one.
    pub(super) text: &'t str,
    /// Its first line, counted from 1.
    pub(super) line: usize,
    /// How far it is indented, in bytes.
    indentation: usize,
    /// Whether it has a string that may be a path, or the parts of one.
    pub(super) has_path: bool,
    /// Whether it is one string and nothing else, as docstrings are.
    pub(super) is_string: bool,
    /// Whether a block may follow it.
    pub(super) is_head: bool,
}

/// Conditions under which code is for type checkers alone (Python documentation, `typing.TYPE_CHECKING`).
const FOR_TYPE_CHECKERS: [&str; 3] = ["TYPE_CHECKING", "typing.TYPE_CHECKING", "t.TYPE_CHECKING"];

/// The statements of a module, without those for type checkers alone.
pub(super) fn run_statements(text: &str) -> impl Iterator<Item = Statement<'_>> {
    let mut skipped_below: Option<usize> = None;
    Statements { text, at: 0, line: 1 }.filter(move |statement| {
        if skipped_below.is_some_and(|indentation| statement.indentation > indentation) {
            return false;
        }
        skipped_below = None;
        let condition = statement.text.strip_prefix("if").and_then(|rest| rest.split_once(':'));
        let is_skipped = condition.is_some_and(|(condition, _)| FOR_TYPE_CHECKERS.contains(&condition.trim()));
        if is_skipped {
            skipped_below = Some(statement.indentation);
        }
        !is_skipped
    })
}

struct Statements<'t> {
    text: &'t str,
    at: usize,
    /// The line at `at`, counted from 1.
    line: usize,
}

impl<'t> Iterator for Statements<'t> {
    type Item = Statement<'t>;

    fn next(&mut self) -> Option<Statement<'t>> {
        let bytes = self.text.as_bytes();
        let mut line_start = self.at;
        // Blank lines, and those with nothing but a comment.
        loop {
            match bytes.get(self.at)? {
                b'\n' => {
                    self.at += 1;
                    self.line += 1;
                    line_start = self.at;
                }
                b' ' | b'\t' | b'\r' | 0x0c => self.at += 1,
                b'#' => self.at = end_of_line(bytes, self.at),
                _ => break,
            }
        }
        let (start, line) = (self.at, self.line);
        let mut scanned = Scanned::default();
        let mut end = start;
        while let Some(&byte) = bytes.get(self.at) {
            match byte {
                b'\n' if scanned.depth == 0 => break,
                b'#' => {
                    self.at = end_of_line(bytes, self.at);
                    continue;
                }
                b'\\' => self.at += 1,
                b'"' | b'\'' => {
                    let string = end_of_string(bytes, self.at);
                    self.line += newlines(&bytes[self.at..string]);
                    scanned.add_string(&bytes[self.at..string], is_prefix(&bytes[start..self.at]));
                    self.at = string;
                    end = string;
                    continue;
                }
                _ => scanned.add(byte),
            }
            self.line += newlines(bytes.get(self.at..=self.at).unwrap_or_default());
            self.at += 1;
            if !byte.is_ascii_whitespace() {
                end = self.at.min(bytes.len());
            }
        }
        Some(Statement {
            // Cut at ASCII characters; what is behind a backslash may be another one.
            text: self.text.get(start..end).unwrap_or_default(),
            line,
            indentation: start - line_start,
            has_path: scanned.has_path || scanned.strings > 0 && scanned.has_slash,
            is_string: scanned.strings == 1 && !scanned.has_code,
            is_head: scanned.last == b':',
        })
    }
}

/// What was seen of a statement.
#[derive(Default)]
struct Scanned {
    depth: usize,
    last: u8,
    strings: usize,
    has_path: bool,
    has_slash: bool,
    /// Whether there is something beside strings and what says how they are to be read.
    has_code: bool,
}

impl Scanned {
    fn add(&mut self, byte: u8) {
        match byte {
            b'(' | b'[' | b'{' => self.depth += 1,
            b')' | b']' | b'}' => self.depth = self.depth.saturating_sub(1),
            b'/' => self.has_slash = true,
            _ => {}
        }
        if !byte.is_ascii_whitespace() {
            self.last = byte;
            self.has_code = true;
        }
    }

    fn add_string(&mut self, string: &[u8], is_first: bool) {
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80;
        let has_extension = || {
            let mut pairs = string.windows(2);
            pairs.any(|pair| pair[0] == b'.' && is_name(&pair[1]))
        };
        self.has_path |= string.contains(&b'/') || has_extension();
        self.has_code &= !is_first;
        self.strings += 1;
        self.last = b'"';
    }
}

/// Whether there is nothing before a string but its prefix.
fn is_prefix(before: &[u8]) -> bool {
    before.len() <= 2 && before.iter().all(|byte| b"rRuUbBfF".contains(byte))
}

fn newlines(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', bytes).count()
}

fn end_of_line(bytes: &[u8], at: usize) -> usize {
    memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |length| at + length)
}

/// The end of the string that begins with the quote at `at`: behind its last quote, or where the line ends before that.
fn end_of_string(bytes: &[u8], at: usize) -> usize {
    let quote = bytes[at];
    let is_long = bytes[at..].starts_with(&[quote; 3]);
    let mut end = at + if is_long { 3 } else { 1 };
    while let Some(length) = memchr::memchr3(quote, b'\\', b'\n', bytes.get(end..).unwrap_or_default()) {
        end += length;
        match bytes[end] {
            // In a raw string, too, it keeps the next character from ending it.
            b'\\' => end += 2,
            b'\n' if is_long => end += 1,
            b'\n' => return end,
            _ if !is_long => return end + 1,
            _ if bytes[end..].starts_with(&[quote; 3]) => return end + 3,
            _ => end += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(usize, &str)> {
        run_statements(text)
            .map(|statement| (statement.line, statement.text))
            .collect()
    }

    /// What tokenize.generate_tokens() of Python ends with NEWLINE in the same code.
    #[test]
    fn statements_end_where_python_says() {
        for (text, expected) in [
            ("a = 1\n\nb\n", vec![(1, "a = 1"), (3, "b")]),
            ("# x\n  a # y\nb", vec![(2, "a"), (3, "b")]),
            ("f(1,\n  2)\nb\n", vec![(1, "f(1,\n  2)"), (3, "b")]),
            ("a = \\\n  b\nc\n", vec![(1, "a = \\\n  b"), (3, "c")]),
            ("x = '''a\n(\n'''\nc\n", vec![(1, "x = '''a\n(\n'''"), (4, "c")]),
            (
                "x = '(' + \"[\" + r'\\'\nc'\n",
                vec![(1, "x = '(' + \"[\" + r'\\'"), (2, "c'")],
            ),
            ("x = [ # (\n 1]\nc\n", vec![(1, "x = [ # (\n 1]"), (3, "c")]),
            ("x = '\\''\r\nc\r\n", vec![(1, "x = '\\''"), (2, "c")]),
        ] {
            assert_eq!(texts(text), expected, "{text}");
        }
    }

    #[test]
    fn what_type_checkers_read_is_left_out() {
        let text = "if TYPE_CHECKING:\n    a\n    if x:\n        b\nelse:\n    c\nif typing.TYPE_CHECKING: d\ne\n";
        let left: Vec<&str> = run_statements(text).map(|statement| statement.text).collect();
        assert_eq!(left, ["else:", "c", "e"]);
    }

    #[test]
    fn strings_that_may_be_paths_are_seen() {
        for (text, expected) in [
            ("'a/b'", true),
            ("x = 'a.csv'", true),
            ("p / 'a'", true),
            ("raise E('It is wrong.')", false),
            ("x = a.b / c", false),
            ("x = '.' + \"...\"", false),
        ] {
            let statement = run_statements(text).next().unwrap();
            assert_eq!(statement.has_path, expected, "{text}");
        }
        for (text, expected) in [
            ("r'''a'''", true),
            ("'a'  # b", true),
            ("'a' 'b'", false),
            ("x = 'a'", false),
            ("'a'.b", false),
        ] {
            assert_eq!(run_statements(text).next().unwrap().is_string, expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_python_ends() {
        for text in [
            "",
            "'",
            "'''",
            "\\",
            "x = '\\",
            "((((\n",
            "\\é",
            "#",
            "'\\é'",
            "\u{feff}import a",
            "r",
        ] {
            texts(text);
        }
    }
}
