//! What strace(1) prints about system calls, with `-f -y -xx`: every text is in hexadecimal escapes, so that no name can look
//! like something else.
//!
//! ```text
//! 28 openat(AT_FDCWD<\x2f\x74>, "\x61", O_RDONLY) = 3<\x2f\x74\x2f\x61>
//! 28 clone(child_stack=NULL, flags=SIGCHLD <unfinished ...>
//! 29 access("\x62", F_OK) = -1 ENOENT (No such file or directory)
//! 28 <... clone resumed>) = 29
//! 28 write(2</dev/pts/0>, "\x68"..., 2) = 2
//!  | 00000  68 69                                             hi               |
//! 29 +++ exited with 0 +++
//! ```
//!
//! What cannot be read is passed over: other versions may print more, and a call that is not understood is a path less.

use std::collections::BTreeMap;

/// One line of the output, unfinished calls put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// A system call. It may have been cut short by the end of the process.
    Call(Call),
    /// A call that makes a process has begun and not returned: from now on there may be a process more.
    Forking(u32),
    /// The thread has ended, with an exit status other than 0 or by a signal that is not for ending it from outside.
    Exited {
        /// The thread.
        thread: u32,
        /// Whether it ended so by itself that it failed.
        failed: bool,
    },
    /// A part of what the call on the line before has written to standard error.
    Written(Vec<u8>),
}

/// A system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// The thread that made it.
    pub(super) thread: u32,
    /// Its name.
    pub(super) name: String,
    /// Its arguments, as far as they are told from one another.
    pub(super) arguments: Vec<Argument>,
    /// What it returned; `None` if it did not, or failed.
    pub(super) returned: Option<i64>,
    /// The path behind the descriptor that it returned.
    pub(super) opened: Option<String>,
}

/// An argument of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Argument {
    /// A file descriptor, `None` for `AT_FDCWD`, with the path behind it.
    Descriptor(Option<i32>, String),
    /// A text that is whole. Texts that are cut are contents and no paths.
    Text(String),
    /// Anything else, as it is printed.
    Other(String),
}

/// Calls that make a process or thread.
const FORKS: [&str; 4] = ["clone", "clone3", "fork", "vfork"];

/// The most that is kept of calls that have not returned: there are never more than threads in the sandbox.
const MOST_UNFINISHED: usize = 4096;

impl Call {
    /// Whether it makes a process or thread.
    pub(super) fn is_fork(&self) -> bool {
        FORKS.contains(&self.name.as_str())
    }

    /// Whether one of its flags contains this.
    pub(super) fn has_flag(&self, flag: &str) -> bool {
        self.arguments
            .iter()
            .any(|argument| matches!(argument, Argument::Other(text) if text.contains(flag)))
    }
}

/// Puts lines together.
#[derive(Debug, Default)]
pub(super) struct Reader {
    unfinished: BTreeMap<u32, String>,
}

impl Reader {
    /// Reads one line; `None` for one that says nothing of a call yet, or nothing at all.
    pub(super) fn line(&mut self, line: &str) -> Option<Line> {
        if let Some(dump) = line.strip_prefix(" | ") {
            return dumped(dump).map(Line::Written);
        }
        let (thread, rest) = line.trim_end().split_once(' ')?;
        let thread: u32 = thread.parse().ok()?;
        let rest = rest.trim_start();
        if let Some(begun) = rest.strip_suffix("<unfinished ...>") {
            let forks = FORKS
                .iter()
                .any(|name| begun.strip_prefix(name).is_some_and(|rest| rest.starts_with('(')));
            if self.unfinished.len() < MOST_UNFINISHED {
                self.unfinished.insert(thread, begun.trim_end().to_owned());
            }
            return forks.then_some(Line::Forking(thread));
        }
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let (_, end) = resumed.split_once(" resumed>")?;
            let text = self.unfinished.remove(&thread)? + end;
            return call(thread, &text).map(Line::Call);
        }
        if rest.starts_with("+++ exited") || rest.starts_with("+++ killed") {
            return Some(
                match self.unfinished.remove(&thread).and_then(|text| call(thread, &text)) {
                    Some(cut) if !cut.is_fork() => Line::Call(cut),
                    _ => Line::Exited {
                        thread,
                        failed: has_failed(rest),
                    },
                },
            );
        }
        call(thread, rest).map(Line::Call)
    }
}

/// Reads `00010  20 32 33 0a …  | 23.…|`: two groups of eight bytes each.
fn dumped(line: &str) -> Option<Vec<u8>> {
    /// The width of both groups: a digit pair and a space for each byte, and the spaces before, between and after them.
    const GROUPS: usize = 50;
    let (_, rest) = line.split_once(' ')?;
    let digits = rest.get(..GROUPS.min(rest.len()))?.split_ascii_whitespace();
    digits.map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}

/// Whether `+++ exited with 1 +++` or `+++ killed by SIGSEGV +++` says that a process failed. What is killed from outside does
/// not: so ends every function.
fn has_failed(line: &str) -> bool {
    let is_ended = |signal: &str| line.contains(&format!("killed by {signal} "));
    !line.contains("exited with 0 ") && !is_ended("SIGKILL") && !is_ended("SIGTERM")
}

/// Reads `name(argument, …) = result`.
fn call(thread: u32, text: &str) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return None;
    }
    let mut arguments = Vec::new();
    let mut scan = Scan { rest };
    while let Some(argument) = scan.argument() {
        arguments.push(argument);
    }
    let result = scan.rest.trim_start_matches(')').trim_start();
    let result = result.strip_prefix('=').map(str::trim_start).unwrap_or_default();
    let digits = result.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    // `= 5 /* 31234 in strace's PID NS */`: the first number is that of the sandbox, the lines have the second.
    let translated = result
        .split_once("/* ")
        .and_then(|(_, comment)| comment.split_once(" in strace"));
    let number = translated.map_or(digits, |(number, _)| number);
    let returned: Option<i64> = number.parse().ok();
    let opened = returned.and_then(|_| result.strip_prefix(digits)).and_then(annotation);
    Some(Call {
        thread,
        name: name.to_owned(),
        arguments,
        returned,
        opened: opened.map(|(path, _)| path),
    })
}

/// Goes through arguments.
struct Scan<'a> {
    rest: &'a str,
}

impl Scan<'_> {
    /// The next argument, `None` at the end.
    fn argument(&mut self) -> Option<Argument> {
        self.rest = self.rest.trim_start_matches([',', ' ']);
        match self.rest.bytes().next()? {
            b')' => None,
            b'"' => Some(self.text()),
            _ => Some(self.other()),
        }
    }

    /// A text. One that is cut or not UTF-8 is not a path that can be in a layer.
    fn text(&mut self) -> Argument {
        let inside = self.rest.get(1..).unwrap_or_default();
        let (text, rest) = inside.split_once('"').unwrap_or((inside, ""));
        self.rest = rest.trim_start_matches('.');
        let whole = (!rest.starts_with("...")).then(|| unescaped(text)).flatten();
        whole.map_or(Argument::Other(String::new()), Argument::Text)
    }

    /// A number, flags, a structure, a list, or a descriptor: up to the comma or bracket after it.
    fn other(&mut self) -> Argument {
        let mut depth = 0_usize;
        let mut in_text = false;
        let end = self
            .rest
            .char_indices()
            .find(|(_, c)| {
                match c {
                    '"' => in_text = !in_text,
                    _ if in_text => {}
                    ',' | ')' if depth == 0 => return true,
                    '(' | '[' | '{' | '<' => depth += 1,
                    ')' | ']' | '}' | '>' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                false
            })
            .map_or(self.rest.len(), |(at, _)| at);
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        let number_end = text.find('<').unwrap_or(text.len());
        let (number, behind) = text.split_at(number_end);
        if let Some((path, _)) = annotation(behind) {
            if number == "AT_FDCWD" {
                return Argument::Descriptor(None, path);
            }
            if let Ok(number) = number.parse() {
                return Argument::Descriptor(Some(number), path);
            }
        }
        Argument::Other(text.trim().to_owned())
    }
}

/// The path in `<path>` at the start of a text, and what follows. A deleted directory has still the path that it had.
fn annotation(text: &str) -> Option<(String, &str)> {
    let (path, rest) = text.strip_prefix('<')?.split_once('>')?;
    let path = unescaped(path)?;
    let path = path.strip_suffix(" (deleted)").unwrap_or(&path);
    path.starts_with('/').then(|| (path.to_owned(), rest))
}

/// The text behind `\x2f…`; `None` if it is not UTF-8.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len() / 4);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let hex = rest.strip_prefix("\\x").and_then(|digits| digits.get(..2));
        if let Some(byte) = hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = rest.get(4..)?;
        } else {
            bytes.extend(first.to_string().into_bytes());
            rest = rest.get(first.len_utf8()..)?;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Vec<Line> {
        let mut reader = Reader::default();
        lines.iter().filter_map(|line| reader.line(line)).collect()
    }

    fn one(line: &str) -> Call {
        match read(&[line]).as_slice() {
            [Line::Call(call)] => call.clone(),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn arguments_and_results_are_told_apart() {
        let opened =
            one(r#"28 openat(AT_FDCWD<\x2f\x74>, "\x61\x2c\x29", O_RDONLY|O_CLOEXEC) = 3<\x2f\x74\x2f\x61\x2c\x29>"#);
        assert_eq!(
            opened.arguments,
            [
                Argument::Descriptor(None, "/t".to_owned()),
                Argument::Text("a,)".to_owned()),
                Argument::Other("O_RDONLY|O_CLOEXEC".to_owned()),
            ]
        );
        assert_eq!((opened.returned, opened.opened.as_deref()), (Some(3), Some("/t/a,)")));
        let failed = one(r#"28 access("\x62", F_OK) = -1 ENOENT (No such file or directory)"#);
        assert_eq!((failed.returned, failed.arguments.len()), (None, 2));
        let asked = one(
            r#"28 newfstatat(3<\x2f\x61>(deleted), "\x63", {st_mode=S_IFCHR|0620, st_rdev=makedev(0x88, 0)}, AT_SYMLINK_NOFOLLOW) = 0"#,
        );
        assert_eq!(
            asked.arguments[..2],
            [
                Argument::Descriptor(Some(3), "/a".to_owned()),
                Argument::Text("c".to_owned())
            ]
        );
        assert!(asked.has_flag("NOFOLLOW"));
        let started = one(r#"28 execve("\x2f\x62", ["\x2f\x62", "\x2d"], 0x7ffe /* 12 vars */) = 0"#);
        assert_eq!(started.arguments[0], Argument::Text("/b".to_owned()));
        assert!(matches!(&started.arguments[1], Argument::Other(list) if list.starts_with('[')));
        let read = one(r#"28 readlink("\x61", "\x75"..., 4096) = 7"#);
        assert_eq!(read.arguments[0], Argument::Text("a".to_owned()));
        assert!(
            !read.arguments[1..]
                .iter()
                .any(|argument| matches!(argument, Argument::Text(_)))
        );
    }

    #[test]
    fn what_is_unfinished_is_put_together() {
        let lines = read(&[
            "28 clone(child_stack=NULL, flags=SIGCHLD <unfinished ...>",
            r#"29 stat("\x61",  <unfinished ...>"#,
            "28 <... clone resumed>, child_tidptr=0x1) = 29",
            "29 +++ killed by SIGKILL +++",
            "29 +++ exited with 0 +++",
        ]);
        let inside = one("28 vfork() = 5 /* 31234 in strace's PID NS */");
        assert_eq!(inside.returned, Some(31234));
        let [
            Line::Forking(28),
            Line::Call(forked),
            Line::Call(cut),
            Line::Exited {
                thread: 29,
                failed: false,
            },
        ] = lines.as_slice()
        else {
            panic!("{lines:?}");
        };
        assert_eq!((forked.name.as_str(), forked.returned), ("clone", Some(29)));
        assert_eq!(
            (cut.returned, &cut.arguments[0]),
            (None, &Argument::Text("a".to_owned()))
        );
    }

    #[test]
    fn what_is_written_to_standard_error_is_read_from_its_dump() {
        let lines = read(&[
            r#"28 write(2<\x2f\x64>, "\x2f"..., 19) = 19"#,
            " | 00000  4e 6f 20 6d 6f 64 75 6c  65 20 6e 61 6d 65 64 20  No module named  |",
            " | 00010  27 34 32                                          '42              |",
            "28 +++ exited with 1 +++",
            "29 +++ killed by SIGSEGV (core dumped) +++",
            "30 +++ killed by SIGKILL +++",
        ]);
        let written: Vec<u8> = lines
            .iter()
            .filter_map(|line| match line {
                Line::Written(bytes) => Some(bytes.clone()),
                _ => None,
            })
            .flatten()
            .collect();
        assert_eq!(String::from_utf8(written).unwrap(), "No module named '42");
        let failed = lines
            .iter()
            .filter(|line| matches!(line, Line::Exited { failed: true, .. }));
        assert_eq!(failed.count(), 2);
    }

    #[test]
    fn nothing_that_is_printed_leads_to_a_panic() {
        for line in [
            " | ",
            " | 0",
            " | 00000  é",
            " | 00000  zz",
            "",
            " ",
            "x",
            "1",
            "1 ",
            "1 (",
            "1 a(",
            "1 a(\"",
            "1 a(\"\\x",
            "1 a(<",
            "1 a(3<",
            "1 a(3<\\xzz>",
            "1 a()=",
            "1 <... a resumed>) = 0",
            "1 +++",
            "99999999999 a()",
            "1 a(\"\\xff\") = 0",
            "1 é(\"é\") = é",
            "1 a([{(<) = 1<",
        ] {
            read(&[line]);
        }
    }
}
