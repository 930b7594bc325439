//! Patterns of the shell (POSIX.1-2017, Shell Command Language, section 2.13).

/// A character of a pattern, and whether it is quoted: then it stands for itself.
pub(super) type Character = (char, bool);

/// Whether a pattern matches the whole text. The time is bounded by the product of both lengths.
pub(super) fn matches(pattern: &[Character], text: &[char]) -> bool {
    let (mut at, mut here) = (0, 0);
    // Where the last `*` stands, and how far it reaches so far.
    let mut star: Option<(usize, usize)> = None;
    while here < text.len() {
        match pattern.get(at) {
            Some(('*', false)) => {
                star = Some((at + 1, here));
                at += 1;
                continue;
            }
            Some(_) => {
                if let Some(length) = one(&pattern[at..], text[here]) {
                    at += length;
                    here += 1;
                    continue;
                }
            }
            None => {}
        }
        let Some((after, reached)) = star else { return false };
        star = Some((after, reached + 1));
        (at, here) = (after, reached + 1);
    }
    pattern[at..].iter().all(|character| *character == ('*', false))
}

/// How long the part of a pattern is that stands for one character, if it matches this one.
fn one(pattern: &[Character], character: char) -> Option<usize> {
    match pattern.first()? {
        ('?', false) => Some(1),
        ('[', false) => match bracket(pattern, character) {
            Some((length, true)) => Some(length),
            Some(_) => None,
            None => (character == '[').then_some(1),
        },
        (literal, _) => (*literal == character).then_some(1),
    }
}

/// The length of a bracket expression and whether it matches; `None` if it is not closed.
fn bracket(pattern: &[Character], character: char) -> Option<(usize, bool)> {
    let is_negated = matches!(pattern.get(1), Some(('!' | '^', false)));
    let start = if is_negated { 2 } else { 1 };
    let mut at = start;
    let mut is_member = false;
    loop {
        let (first, is_quoted) = *pattern.get(at)?;
        if first == ']' && !is_quoted && at > start {
            return Some((at + 1, is_member != is_negated));
        }
        if let Some((class, length)) = class(&pattern[at..]) {
            is_member |= class(character);
            at += length;
            continue;
        }
        let range_end = match (pattern.get(at + 1), pattern.get(at + 2)) {
            (Some(('-', false)), Some((end, is_quoted))) if *end != ']' || *is_quoted => Some(*end),
            _ => None,
        };
        is_member |= (first..=range_end.unwrap_or(first)).contains(&character);
        at += if range_end.is_some() { 3 } else { 1 };
    }
}

/// Whether a character is of a class.
type Class = fn(char) -> bool;

/// A class such as `[:alpha:]` at the beginning of a pattern, and its length.
fn class(pattern: &[Character]) -> Option<(Class, usize)> {
    const CLASSES: [(&str, Class); 7] = [
        ("[:alpha:]", |c| c.is_alphabetic()),
        ("[:digit:]", |c| c.is_ascii_digit()),
        ("[:alnum:]", |c| c.is_alphanumeric()),
        ("[:space:]", |c| c.is_whitespace()),
        ("[:upper:]", |c| c.is_uppercase()),
        ("[:lower:]", |c| c.is_lowercase()),
        ("[:punct:]", |c| c.is_ascii_punctuation()),
    ];
    CLASSES.into_iter().find_map(|(name, class)| {
        let is_there = pattern.len() >= name.len() && name.chars().zip(pattern).all(|(c, (other, _))| c == *other);
        is_there.then_some((class, name.len()))
    })
}

/// The text without the part at its end that a pattern matches: the shortest or the longest one.
pub(super) fn without_suffix(pattern: &[Character], text: &[char], is_longest: bool) -> String {
    let mut starts: Vec<usize> = (0..=text.len()).collect();
    if !is_longest {
        starts.reverse();
    }
    let start = starts.into_iter().find(|start| matches(pattern, &text[*start..]));
    text[..start.unwrap_or(text.len())].iter().collect()
}

/// The text without the part at its beginning that a pattern matches: the shortest or the longest one.
pub(super) fn without_prefix(pattern: &[Character], text: &[char], is_longest: bool) -> String {
    let mut ends: Vec<usize> = (0..=text.len()).collect();
    if is_longest {
        ends.reverse();
    }
    let end = ends.into_iter().find(|end| matches(pattern, &text[..*end]));
    text[end.unwrap_or(0)..].iter().collect()
}

/// The text with what a pattern matches replaced: the first match or all of them.
pub(super) fn replaced(pattern: &[Character], text: &[char], with: &str, is_all: bool) -> String {
    let mut result = String::new();
    let mut at = 0;
    let mut is_done = false;
    while at < text.len() {
        let end = (at + 1..=text.len())
            .rev()
            .find(|end| !is_done && matches(pattern, &text[at..*end]));
        if let Some(end) = end {
            result.push_str(with);
            at = end;
            is_done = !is_all;
        } else {
            result.push(text[at]);
            at += 1;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Vec<Character> {
        let mut is_quoted = false;
        let mut pattern = Vec::new();
        for character in text.chars() {
            if character == '\\' {
                is_quoted = true;
            } else {
                pattern.push((character, is_quoted));
                is_quoted = false;
            }
        }
        pattern
    }

    fn text(text: &str) -> Vec<char> {
        text.chars().collect()
    }

    #[test]
    fn patterns_match_as_the_standard_says() {
        for (glob, matching, others) in [
            ("*", "|a|abc", ""),
            ("a*c", "ac|abc|abcc", "|a|abcd"),
            ("?", "a|é", "|ab"),
            ("[a-c]x", "ax|cx", "dx|x"),
            ("[!a-c]", "d|-", "a"),
            ("[]a]", "]|a", "b"),
            ("[a", "[a", "a"),
            ("\\*", "*", "a"),
            ("[[:digit:]]*", "1a|2", "a1"),
            ("*.so.*", "a.so.1|.so.", "a.so"),
        ] {
            for one in matching.split('|') {
                assert!(matches(&pattern(glob), &text(one)), "{glob} {one}");
            }
            for one in others.split('|').filter(|_| !others.is_empty()) {
                assert!(!matches(&pattern(glob), &text(one)), "{glob} {one}");
            }
        }
    }

    #[test]
    fn parts_are_taken_off() {
        let path = text("/opt/lib/a.so.1");
        assert_eq!(without_suffix(&pattern("/*"), &path, false), "/opt/lib");
        assert_eq!(without_suffix(&pattern("/*"), &path, true), "");
        assert_eq!(without_prefix(&pattern("*/"), &path, true), "a.so.1");
        assert_eq!(without_prefix(&pattern("*/"), &path, false), "opt/lib/a.so.1");
        assert_eq!(replaced(&pattern("[.]"), &path, "-", true), "/opt/lib/a-so-1");
        assert_eq!(replaced(&pattern("x"), &path, "-", true), "/opt/lib/a.so.1");
    }

    #[test]
    fn hostile_patterns_take_no_time() {
        let pattern = pattern(&"*a".repeat(1000));
        assert!(!matches(&pattern, &text(&"a".repeat(900))));
    }
}
