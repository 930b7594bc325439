//! What can be read in a shell script without running it: the variables that it sets and the commands that it calls
//! (POSIX.1-2017, Shell Command Language).

use std::collections::{BTreeMap, BTreeSet};

/// Longer lines are passed over, so that nesting in a hostile script stays shallow.
const LONGEST_LINE: usize = 4096;

/// What a variable holds at most, in bytes, and how many variables there are: a few lines of a hostile script can double a
/// value again and again.
const LONGEST_VALUE: usize = 32 << 10;
const MOST_VARIABLES: usize = 1000;

/// Carries out the assignments of a script: `NAME=value`, `: ${NAME=value}` and these inside `if test -n` or `-z`.
///
/// Other commands are passed over. A condition that is not understood counts as false.
pub fn source(script: &str, environment: &mut BTreeMap<String, String>) {
    // For each `if` that is open: whether its current branch is taken, and whether one was.
    let mut branches: Vec<(bool, bool)> = Vec::new();
    let statements = script
        .lines()
        .filter(|line| line.len() <= LONGEST_LINE && !line.trim_start().starts_with('#'))
        .flat_map(|line| line.split(';'))
        .map(str::trim);
    for statement in statements {
        let word = statement.split_whitespace().next().unwrap_or_default();
        let rest = statement[word.len()..].trim_start();
        let active = branches.iter().all(|(taken, _)| *taken);
        match word {
            "if" => {
                let holds = active && holds(rest, environment);
                branches.push((holds, holds));
            }
            "elif" | "else" => {
                if let Some((_, done)) = branches.pop() {
                    let outside = branches.iter().all(|(taken, _)| *taken);
                    let holds = !done && outside && (word == "else" || holds(rest, environment));
                    branches.push((holds, done || holds));
                }
                if word == "else" && branches.last().is_some_and(|(taken, _)| *taken) {
                    assign(rest, environment);
                }
            }
            "fi" => {
                branches.pop();
            }
            "then" if active => assign(rest, environment),
            _ if active => assign(statement, environment),
            _ => {}
        }
    }
}

fn assign(statement: &str, environment: &mut BTreeMap<String, String>) {
    let statement = statement.strip_prefix("export ").unwrap_or(statement).trim();
    if let Some(expression) = statement.strip_prefix(": ") {
        expand(expression, environment);
        return;
    }
    if let Some((name, value)) = statement.split_once('=')
        && is_name(name)
    {
        let value = expand(value, environment);
        set(name, value, environment);
    }
}

fn set(name: &str, value: String, environment: &mut BTreeMap<String, String>) {
    if environment.len() < MOST_VARIABLES || environment.contains_key(name) {
        environment.insert(name.to_owned(), value);
    }
}

fn holds(condition: &str, environment: &mut BTreeMap<String, String>) -> bool {
    let condition = condition
        .strip_prefix("test ")
        .or_else(|| condition.strip_prefix("[ ").and_then(|c| c.strip_suffix(" ]")))
        .map(str::trim);
    match condition {
        Some(text) if text.starts_with("-n ") => !expand(&text[3..], environment).is_empty(),
        Some(text) if text.starts_with("-z ") => expand(&text[3..], environment).is_empty(),
        _ => false,
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A word with its quotes taken off and its variables put in; `${NAME=value}` and `${NAME:=value}` assign on the way.
fn expand(word: &str, environment: &mut BTreeMap<String, String>) -> String {
    let mut result = String::new();
    let mut rest = word.trim();
    while let Some(character) = rest.chars().next() {
        if result.len() > LONGEST_VALUE {
            break;
        }
        if let Some(inside) = rest.strip_prefix("${") {
            let Some(end) = closing(inside, '{', '}') else {
                break;
            };
            result.push_str(&parameter(&inside[..end], environment));
            rest = &inside[end + 1..];
        } else if character == '$' {
            let name_end = rest[1..]
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .map_or(rest.len(), |at| at + 1);
            if let Some(value) = environment.get(&rest[1..name_end]) {
                result.push_str(value);
            }
            rest = &rest[name_end..];
        } else {
            if character != '"' && character != '\'' {
                result.push(character);
            }
            rest = &rest[character.len_utf8()..];
        }
    }
    result
}

fn closing(text: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 0;
    for (at, character) in text.char_indices() {
        if character == open {
            depth += 1;
        } else if character == close {
            if depth == 0 {
                return Some(at);
            }
            depth -= 1;
        }
    }
    None
}

fn parameter(text: &str, environment: &mut BTreeMap<String, String>) -> String {
    let name_end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    let (name, operation) = text.split_at(name_end);
    let value = environment.get(name).cloned();
    let (colon, operator) = operation
        .strip_prefix(':')
        .map_or((false, operation), |rest| (true, rest));
    let present = value.as_ref().is_some_and(|value| !colon || !value.is_empty());
    let mut characters = operator.chars();
    match (characters.next(), present) {
        (Some('='), false) => {
            let value = expand(characters.as_str(), environment);
            set(name, value.clone(), environment);
            value
        }
        (Some('-'), false) | (Some('+'), true) => expand(characters.as_str(), environment),
        (Some('+'), false) => String::new(),
        _ => value.unwrap_or_default(),
    }
}

/// The program in a script's first line.
pub fn interpreter(script: &str) -> Option<&str> {
    script.strip_prefix("#!")?.lines().next()?.split_whitespace().next()
}

/// Words that open or continue a compound command; a command follows them (POSIX.1-2017, section 2.4).
const RESERVED: [&str; 11] = [
    "if", "then", "else", "elif", "do", "while", "until", "!", "{", "(", "time",
];
/// Words that are no command of the system: the rest of the reserved words, and what every shell has built in.
const BUILT_IN: [&str; 57] = [
    "fi", "done", "esac", "}", ")", "in", ":", ".", "[", "[[", "]]", "alias", "bg", "break", "builtin", "case", "cd",
    "command", "continue", "declare", "echo", "eval", "exec", "exit", "export", "false", "fg", "for", "function",
    "getopts", "hash", "jobs", "kill", "let", "local", "mapfile", "popd", "printf", "pushd", "pwd", "read", "readonly",
    "return", "set", "shift", "shopt", "source", "test", "times", "trap", "true", "type", "typeset", "ulimit", "umask",
    "unset", "wait",
];
/// Built-in commands of which the next word is a command, too.
const PREFIXES: [&str; 4] = ["exec", "command", "builtin", "eval"];

/// The commands of the system that a script calls by a plain name or path, sorted; those that depend on a variable are left
/// out, and so is what the script defines itself.
///
/// Branches are not judged: a command in one that is never taken counts, too.
pub fn commands(script: &str) -> BTreeSet<String> {
    let mut reader = Commands::default();
    reader.read(script, 0);
    let functions = reader.functions;
    reader
        .found
        .into_iter()
        .filter(|name| !functions.contains(name))
        .collect()
}

#[derive(Default)]
struct Commands {
    found: BTreeSet<String>,
    functions: BTreeSet<String>,
}

/// Substitutions nest no deeper in any script that a person wrote.
const DEEPEST: usize = 16;

impl Commands {
    fn read(&mut self, script: &str, depth: usize) {
        if depth > DEEPEST {
            return;
        }
        let mut rest = script;
        let mut expect_command = true;
        // Inside `case`: patterns up to `)` are no commands.
        let mut cases: Vec<bool> = Vec::new();
        let mut heredocs: Vec<String> = Vec::new();
        while let Some(character) = rest.chars().next() {
            match character {
                '\n' => {
                    rest = &rest[1..];
                    for end in heredocs.drain(..) {
                        rest = after_heredoc(rest, &end);
                    }
                    expect_command = true;
                }
                ';' | '&' | '|' => {
                    if rest.starts_with(";;") {
                        if let Some(pattern) = cases.last_mut() {
                            *pattern = true;
                        }
                        rest = &rest[1..];
                    }
                    rest = &rest[1..];
                    expect_command = true;
                }
                '(' | ')' => {
                    if character == ')'
                        && let Some(pattern) = cases.last_mut()
                    {
                        *pattern = false;
                    }
                    rest = &rest[1..];
                    expect_command = true;
                }
                '#' => rest = rest.find('\n').map_or("", |at| &rest[at..]),
                '<' if rest.starts_with("<<") && !rest.starts_with("<<<") => {
                    let (word, after) = self.word(rest[2..].trim_start_matches(['-', ' ']), depth);
                    heredocs.extend(word.filter(|word| !word.is_empty()));
                    rest = after;
                }
                '<' | '>' => {
                    let (_, after) = self.word(rest[1..].trim_start_matches(['>', '&', '<', ' ', '|']), depth);
                    rest = after;
                }
                character if character.is_whitespace() => rest = &rest[character.len_utf8()..],
                _ => {
                    let (word, after) = self.word(rest, depth);
                    let in_pattern = cases.last().copied().unwrap_or(false);
                    // Whatever the word is, it is passed; a character that begins none is skipped.
                    rest = if after.len() < rest.len() {
                        after
                    } else {
                        &rest[character.len_utf8()..]
                    };
                    let Some(word) = word else {
                        expect_command = false;
                        continue;
                    };
                    match word.as_str() {
                        "case" if expect_command => cases.push(true),
                        "esac" if expect_command || in_pattern => {
                            cases.pop();
                        }
                        _ if in_pattern => {}
                        _ if !expect_command => {}
                        _ if rest.trim_start_matches([' ', '\t']).starts_with("()") => {
                            self.functions.insert(word);
                        }
                        reserved if RESERVED.contains(&reserved) || PREFIXES.contains(&reserved) => continue,
                        assignment if assignment.split_once('=').is_some_and(|(name, _)| is_name(name)) => continue,
                        name => {
                            if !BUILT_IN.contains(&name) && is_command_name(name) {
                                self.found.insert(word);
                            }
                        }
                    }
                    expect_command = false;
                }
            }
        }
    }

    /// The word at the start of a text, without its quotes, and what follows it. `None` if the word depends on a variable.
    fn word<'a>(&mut self, text: &'a str, depth: usize) -> (Option<String>, &'a str) {
        let mut word = Some(String::new());
        let push = |word: &mut Option<String>, part: &str| {
            if let Some(word) = word {
                word.push_str(part);
            }
        };
        let mut rest = text;
        let mut quoted = false;
        while let Some(character) = rest.chars().next() {
            let length = character.len_utf8();
            match character {
                '\'' if !quoted => {
                    let end = rest[1..].find('\'').map_or(rest.len(), |at| at + 1);
                    push(&mut word, &rest[1..end]);
                    rest = rest.get(end + 1..).unwrap_or_default();
                }
                '"' => {
                    quoted = !quoted;
                    rest = &rest[1..];
                }
                '\\' => {
                    let next = rest[1..].chars().next().map_or(0, char::len_utf8);
                    push(&mut word, &rest[1..=next]);
                    rest = &rest[1 + next..];
                }
                '`' => {
                    let end = rest[1..].find('`').map_or(rest.len(), |at| at + 1);
                    self.read(&rest[1..end], depth + 1);
                    word = None;
                    rest = rest.get(end + 1..).unwrap_or_default();
                }
                '$' if rest.starts_with("$(") && !rest.starts_with("$((") => {
                    let end = closing(&rest[2..], '(', ')').map_or(rest.len(), |at| at + 2);
                    self.read(&rest[2..end], depth + 1);
                    word = None;
                    rest = rest.get(end + 1..).unwrap_or_default();
                }
                '$' if rest.starts_with("${") => {
                    let end = closing(&rest[2..], '{', '}').map_or(rest.len(), |at| at + 2);
                    word = None;
                    rest = rest.get(end + 1..).unwrap_or_default();
                }
                '$' => {
                    word = None;
                    rest = &rest[1..];
                }
                _ if !quoted && (character.is_whitespace() || ";&|()<>".contains(character)) => break,
                _ => {
                    push(&mut word, &rest[..length]);
                    rest = &rest[length..];
                }
            }
        }
        (word, rest)
    }
}

fn after_heredoc<'a>(text: &'a str, end: &str) -> &'a str {
    let mut rest = text;
    while !rest.is_empty() {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        rest = after;
        if line.trim_start_matches('\t') == end {
            break;
        }
    }
    rest
}

/// A name or path that a file can have on a search path: no patterns, no options.
fn is_command_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/' || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "/._+-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(script: &str, expected: &str) {
        let mut environment = BTreeMap::from([
            ("R_HOME".to_owned(), "/opt/R".to_owned()),
            ("LD_LIBRARY_PATH".to_owned(), "/lib64".to_owned()),
        ]);
        source(script, &mut environment);
        assert_eq!(environment["LD_LIBRARY_PATH"], expected, "{script}");
    }

    #[test]
    fn assignments_and_conditions_are_carried_out() {
        check(
            "LD_LIBRARY_PATH=${R_HOME}/lib:$LD_LIBRARY_PATH\nexport LD_LIBRARY_PATH",
            "/opt/R/lib:/lib64",
        );
        check("export LD_LIBRARY_PATH=\"/a\"", "/a");
        check(": ${X=${R_HOME}/x}\nLD_LIBRARY_PATH=\"${X}\"", "/opt/R/x");
        check("# LD_LIBRARY_PATH=/no\necho LD_LIBRARY_PATH=/no", "/lib64");
        check(
            "if test -n \"${NONE}\"; then LD_LIBRARY_PATH=/a; else LD_LIBRARY_PATH=/b; fi",
            "/b",
        );
        check(
            "if [ -z \"$NONE\" ]; then\n LD_LIBRARY_PATH=/a\nelse\n LD_LIBRARY_PATH=/b\nfi",
            "/a",
        );
        check(
            "if false; then\nif test -z \"\"; then\nLD_LIBRARY_PATH=/a\nfi\nfi",
            "/lib64",
        );
        check("LD_LIBRARY_PATH=/a:${NONE:-/d}:${R_HOME+set}", "/a:/d:set");
    }

    #[test]
    fn commands_are_told_from_everything_else() {
        let called = |script: &str| commands(script).into_iter().collect::<Vec<_>>().join(" ");
        for (script, expected) in [
            ("curl -sS x | grep y && tr -d z", "curl grep tr"),
            (
                "run_arch=`uname -m`\nx=$(basename \"$(dirname /a)\")",
                "basename dirname uname",
            ),
            ("if test -x /usr/bin/env; then /usr/bin/env a; fi", "/usr/bin/env"),
            (
                "usage=\"\nUsage: R [options]\n  -h, --help; perl\n\"\necho \"${usage}\"",
                "",
            ),
            (
                "case \"${x}\" in\n linux*) which a ;;\n perl|python) ;;\n *) sed b ;;\nesac\nfind",
                "find sed which",
            ),
            ("cat <<EOF\nperl\nEOF\nhead", "cat head"),
            ("A=1 B=\"x y\" exec tar x", "tar"),
            ("warn () { logger \"$1\"; }\nwarn a # perl", "logger"),
            ("${R_binary} x; \"$y\" z; for i in perl python; do wc $i; done", "wc"),
            ("x > perl 2>&1 < python", "x"),
            ("while ! mktemp; do sleep 1; done", "mktemp sleep"),
        ] {
            assert_eq!(called(script), expected, "{script}");
        }
    }

    #[test]
    fn hostile_scripts_do_no_harm() {
        for script in [
            "`",
            "\"`\"",
            "$((",
            "<<",
            "<<<",
            "\\",
            "'",
            "a\\",
            ";;;",
            "case in",
            "é",
            "$(".repeat(10_000).as_str(),
        ] {
            commands(script);
        }
        for script in [
            "if",
            "fi fi fi",
            "else",
            "${",
            "A=${",
            "=x",
            "A=$",
            "A=${B=${B=${B",
            "é=ü",
            "if test -n $",
            &format!("A=xxxxxxxx\n{}", "A=$A$A$A\n".repeat(1000)),
        ] {
            let mut environment = BTreeMap::new();
            source(script, &mut environment);
            assert!(environment.values().all(|value| value.len() <= 4 * LONGEST_VALUE));
        }
    }

    #[test]
    fn the_ldpaths_of_r_puts_its_own_lib_first() {
        let script = r#"
: ${JAVA_HOME=}
: ${R_JAVA_LD_LIBRARY_PATH=}
if test -n "/usr/local/lib"; then
: ${R_LD_LIBRARY_PATH=${R_HOME}/lib:/usr/local/lib}
else
: ${R_LD_LIBRARY_PATH=${R_HOME}/lib}
fi
if test -n "${R_JAVA_LD_LIBRARY_PATH}"; then
  R_LD_LIBRARY_PATH="${R_LD_LIBRARY_PATH}:${R_JAVA_LD_LIBRARY_PATH}"
fi
if test -z "${LD_LIBRARY_PATH}"; then
  LD_LIBRARY_PATH="${R_LD_LIBRARY_PATH}"
else
  LD_LIBRARY_PATH="${R_LD_LIBRARY_PATH}:${LD_LIBRARY_PATH}"
fi
export LD_LIBRARY_PATH
"#;
        check(script, "/opt/R/lib:/usr/local/lib:/lib64");
    }
}
