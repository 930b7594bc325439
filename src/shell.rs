//! What can be read in a shell script without running it: the variables that it sets and the commands that it calls
//! (POSIX.1-2017, Shell Command Language).

use std::collections::BTreeMap;

/// Longer lines are passed over, so that nesting in a hostile script stays shallow.
const LONGEST_LINE: usize = 4096;

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
        if let Some(inside) = rest.strip_prefix("${") {
            let Some(end) = closing_brace(inside) else {
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

fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
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
            environment.insert(name.to_owned(), value.clone());
            value
        }
        (Some('-'), false) | (Some('+'), true) => expand(characters.as_str(), environment),
        (Some('+'), false) => String::new(),
        _ => value.unwrap_or_default(),
    }
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
    fn hostile_scripts_do_no_harm() {
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
        ] {
            source(script, &mut BTreeMap::new());
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
