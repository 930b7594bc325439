//! Where words begin and end in contents: which characters can be part of a longer one.

use std::ops::Range;

/// Part of an identifier of a programming language.
pub(super) fn is_of_identifier(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Part of a file's name in a program, whose other bytes are not text.
pub(super) fn is_of_file_name(byte: u8) -> bool {
    is_of_identifier(byte) || b".-".contains(&byte)
}

/// Part of a file's name in a text: letters of every script are.
pub(super) fn is_of_name_in_text(byte: u8) -> bool {
    is_of_file_name(byte) || !byte.is_ascii()
}

/// Part of a path in a text.
pub(super) fn is_of_path_in_text(byte: u8) -> bool {
    is_of_name_in_text(byte) || b"/+@~".contains(&byte)
}

/// Whether what is at a place of a content is a whole word, and not a part of one that such bytes make longer.
pub(super) fn is_whole(content: &[u8], at: Range<usize>, is_part: impl Fn(u8) -> bool) -> bool {
    let before = at.start.checked_sub(1).and_then(|before| content.get(before));
    !before.is_some_and(|byte| is_part(*byte)) && !content.get(at.end).is_some_and(|byte| is_part(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_end_where_nothing_goes_on() {
        let content = "a sox, sox-fmt ./sox ésox sox".as_bytes();
        let at: Vec<usize> = memchr::memmem::find_iter(content, "sox").collect();
        let whole = |is_part: fn(u8) -> bool| {
            let found = at.iter().map(|at| is_whole(content, *at..at + 3, is_part));
            found.collect::<Vec<_>>()
        };
        assert_eq!(whole(is_of_file_name), [true, false, true, true, true]);
        assert_eq!(whole(is_of_name_in_text), [true, false, true, false, true]);
        assert_eq!(whole(is_of_path_in_text), [true, false, false, false, true]);
    }
}
