//! Programs that a script starts: the few that start another one, those of which the output is known, and all others, which are only
//! noted as started.

use std::collections::BTreeMap;

use super::run::Shell;
use super::value::Value;

/// Programs that start the rest of their words as a command, with how many words of their own come before it and the
/// options that take another word (coreutils' and util-linux' manuals).
const STARTERS: [(&str, usize, &[&str]); 6] = [
    ("nohup", 0, &[]),
    ("setsid", 0, &[]),
    ("nice", 0, &["-n", "--adjustment"]),
    ("stdbuf", 0, &["-i", "-o", "-e"]),
    ("timeout", 1, &["-k", "-s", "--kill-after", "--signal"]),
    ("chrt", 1, &[]),
];

impl Shell<'_> {
    /// A program: the few that start another one, those that print what can be known, and all others.
    pub(super) fn external(&mut self, words: &[Value], environment: BTreeMap<String, Value>) {
        let Some((program, arguments)) = words.split_first() else {
            return;
        };
        let name = program.text.rsplit('/').next().unwrap_or_default();
        if program.is_complete && name == "env" {
            self.env(arguments, environment);
            return;
        }
        if let Some((_, own, options)) = STARTERS
            .iter()
            .find(|(starter, ..)| program.is_complete && *starter == name)
        {
            let mut rest = arguments;
            while let Some((option, after)) = rest.split_first()
                && option.text.starts_with('-')
            {
                let taken = usize::from(options.contains(&option.text.as_str()));
                rest = after.get(taken..).unwrap_or_default();
            }
            let rest = rest.get(*own..).unwrap_or_default();
            self.nested(|shell| shell.external(rest, environment));
            return;
        }
        if program.is_complete && self.printed(name, arguments) {
            return;
        }
        self.start(words, environment);
    }

    /// `env` (coreutils' manual): the environment that it makes, and what it starts with it.
    fn env(&mut self, arguments: &[Value], environment: BTreeMap<String, Value>) {
        let mut environment = environment;
        let directory = self.state.directory.clone();
        let mut words: Vec<Value> = arguments.to_vec();
        let mut is_unknown = false;
        let mut at = 0;
        while let Some(word) = words.get(at).cloned() {
            let text = word.text.as_str();
            let next = words.get(at + 1).map(|word| word.text.clone()).unwrap_or_default();
            let mut taken = 1;
            match text {
                "-" | "-i" | "--ignore-environment" => environment.clear(),
                "-u" | "--unset" => {
                    environment.remove(&next);
                    taken = 2;
                }
                "-C" | "--chdir" => {
                    self.change_directory(&[Value::known(next)]);
                    taken = 2;
                }
                "-S" | "--split-string" => {
                    let split: Vec<Value> = next.split_whitespace().map(Value::known).collect();
                    words.splice(at..(at + 2).min(words.len()), split);
                    continue;
                }
                "--" | "-v" | "-0" | "--null" | "--debug" => {}
                _ if text.starts_with("--unset=") => {
                    environment.remove(&text["--unset=".len()..]);
                }
                _ if text.starts_with("-u") && word.is_complete => {
                    environment.remove(&text[2..]);
                }
                _ if text.starts_with("--chdir=") => {
                    self.change_directory(&[Value::known(&text["--chdir=".len()..])]);
                }
                _ if text.starts_with('-') => {}
                // It may be any number of assignments.
                "" if !word.is_complete => is_unknown = true,
                _ => match text.split_once('=') {
                    Some((name, value)) => {
                        let value = Value {
                            text: value.to_owned(),
                            is_complete: word.is_complete,
                        };
                        environment.insert(name.to_owned(), value);
                    }
                    None => break,
                },
            }
            at += taken;
        }
        let rest = words.get(at..).unwrap_or_default().to_vec();
        if rest.is_empty() {
            self.print(&Value::unknown());
        } else {
            self.note(&rest);
            self.with_cloud(is_unknown, |shell| shell.external(&rest, environment));
        }
        self.state.directory = directory;
    }

    /// Carries out something for which more may have changed than is known, if it may.
    fn with_cloud(&mut self, is_clouded: bool, work: impl FnOnce(&mut Self)) {
        let before = self.state.is_clouded;
        self.state.is_clouded |= is_clouded;
        self.nested(work);
        self.state.is_clouded = before;
    }

    /// Programs that print something about paths. Whether it was one that is known.
    fn printed(&mut self, name: &str, arguments: &[Value]) -> bool {
        let words: Vec<&Value> = arguments.iter().filter(|word| !word.text.starts_with('-')).collect();
        let has_options = words.len() < arguments.len();
        let first = words.first().map_or_else(Value::unknown, |word| (*word).clone());
        let value = match name {
            "dirname" if words.len() == 1 => first.complete().map(|path| Value::known(parent(path))),
            "basename" if !has_options => first.complete().and_then(|path| {
                let suffix = words.get(1).map_or(Some(""), |suffix| suffix.complete())?;
                Some(Value::known(last_name(path, suffix)))
            }),
            "readlink" | "realpath" if name == "realpath" || has_options => {
                let path = self.absolute(&first);
                path.map(|path| self.files.real(&path).map_or_else(Value::unknown, Value::known))
            }
            "cat" if words.is_empty() => self.input.take(),
            "cat" if words.len() == 1 => self.content(&first).map(|mut content| {
                content.text.truncate(content.text.trim_end_matches('\n').len());
                content
            }),
            "uname" if arguments.is_empty() || matches!(arguments, [one] if one.text == "-s") => {
                Some(Value::known("Linux"))
            }
            "which" => {
                self.locate(arguments);
                return true;
            }
            _ => return false,
        };
        if let Some(value) = value {
            self.print_line(&value);
        } else {
            self.print(&Value::unknown());
            self.state.status = None;
        }
        true
    }
}

/// What `dirname` prints.
fn parent(path: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    match trimmed.rfind('/') {
        _ if trimmed.is_empty() && !path.is_empty() => "/".to_owned(),
        None => ".".to_owned(),
        Some(end) => match trimmed[..end].trim_end_matches('/') {
            "" => "/".to_owned(),
            parent => parent.to_owned(),
        },
    }
}

/// What `basename` prints.
fn last_name<'a>(path: &'a str, suffix: &str) -> &'a str {
    let trimmed = path.trim_end_matches('/');
    let name = match trimmed.rsplit('/').next() {
        Some("") | None if path.starts_with('/') => "/",
        Some(name) => name,
        None => "",
    };
    match name.strip_suffix(suffix) {
        Some(stem) if !stem.is_empty() => stem,
        _ => name,
    }
}
