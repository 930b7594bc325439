//! What others wrote, such as a function's log, made fit for a terminal: it cannot move the cursor, change titles or the
//! clipboard, or turn text around. What it wants to look like, it does.

use crate::tree::path::escaped;

const ESCAPE: u8 = 0x1b;
/// The longest sequence that sets colors; a longer one is none.
const LONGEST: usize = 64;

/// Text that comes in parts.
#[derive(Debug, Default)]
pub struct ForeignText {
    /// The end of the last part, if it was in the middle of a character or a sequence.
    begun: Vec<u8>,
}

impl ForeignText {
    /// What can be shown of it with one part more.
    pub fn part(&mut self, bytes: &[u8]) -> String {
        let mut text = std::mem::take(&mut self.begun);
        text.extend(bytes);
        self.begun = text.split_off(text.len() - unfinished(&text));
        visible(&text)
    }

    /// What is left to be shown of it.
    pub fn end(&mut self) -> String {
        visible(&std::mem::take(&mut self.begun))
    }
}

/// Text with its control characters escaped, but for tabs, line ends, and sequences that set colors and weight (ECMA-48,
/// "SGR").
pub fn visible(text: &[u8]) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest
        .iter()
        .position(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | &ESCAPE))
    {
        shown += &escaped(&rest[..at]);
        let length = if rest[at] == ESCAPE {
            rendition(&rest[at..])
        } else {
            Some(1)
        };
        let (plain, after) = rest[at..].split_at(length.unwrap_or(1));
        match length {
            Some(_) => shown.extend(plain.iter().map(|byte| char::from(*byte))),
            None => shown += &escaped(plain),
        }
        rest = after;
    }
    shown + &escaped(rest)
}

/// How long the sequence is that begins here and selects how text looks; `None` if it is another one.
fn rendition(text: &[u8]) -> Option<usize> {
    let parameters = text.strip_prefix(&[ESCAPE, b'['])?;
    let length = parameters.iter().take_while(|byte| is_parameter(**byte)).count();
    (parameters.get(length) == Some(&b'm') && length < LONGEST).then_some(length + 3)
}

fn is_parameter(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b';' | b':')
}

/// How many bytes at the end are the beginning of a character or of a sequence.
fn unfinished(text: &[u8]) -> usize {
    let last = &text[text.len().saturating_sub(LONGEST)..];
    if let Some(at) = last.iter().rposition(|byte| *byte == ESCAPE) {
        let sequence = &last[at + 1..];
        let is_begun = match sequence.split_first() {
            None => true,
            Some((first, parameters)) => *first == b'[' && parameters.iter().all(|byte| is_parameter(*byte)),
        };
        if is_begun {
            return last.len() - at;
        }
    }
    // A character has at most four bytes; the first says how many (RFC 3629).
    let first = last.iter().rposition(|byte| byte & 0xc0 != 0x80).unwrap_or(last.len());
    let begun = last.len() - first;
    let whole = match last.get(first) {
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        _ => 0,
    };
    if begun < whole { begun } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_text_and_colors_alone() {
        for (text, shown) in [
            (&b"a\tb\r\n"[..], "a\tb\r\n"),
            (b"\x1b[1;38:2:1:2:3mred\x1b[m", "\u{1b}[1;38:2:1:2:3mred\u{1b}[m"),
            (b"\x1b[2Jx", "\\u{1b}[2Jx"),
            (b"\x1b]0;title\x07", "\\u{1b}]0;title\\u{7}"),
            (b"\x1b[?25lm", "\\u{1b}[?25lm"),
            ("é \u{9b}2J \u{202e}".as_bytes(), "é \\u{9b}2J \\u{202e}"),
            (b"\xff\x9b", "\\xff\\x9b"),
        ] {
            assert_eq!(visible(text), shown);
            let mut foreign = ForeignText::default();
            let parts: String = text.iter().map(|byte| foreign.part(&[*byte])).collect();
            assert_eq!(parts + &foreign.end(), shown, "byte by byte");
        }
    }

    #[test]
    fn nothing_is_held_back_for_long() {
        let mut foreign = ForeignText::default();
        assert_eq!(foreign.part(b"ok \x1b["), "ok ");
        let digits = [b'1'; 100];
        assert!(foreign.part(&digits).starts_with("\\u{1b}[111"));
        assert_eq!(foreign.part("é".as_bytes()), "é");
        assert_eq!(foreign.part(&[0xc3]), "");
        assert_eq!(foreign.end(), "\\xc3");
    }
}
