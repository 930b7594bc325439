//! Shell scripts, read without running them: what they set, what they start with which environment, and the commands that
//! they call. The parser is brush's, the evaluation follows POSIX.1-2017 (Shell Command Language) and bash's manual.

mod builtin;
mod commands;
#[cfg(test)]
mod differential;
mod expand;
mod parse;
mod pattern;
mod program;
mod quote;
mod run;
mod simple;
mod state;
mod survey;
mod test;
mod value;

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

pub use quote::quoted;
pub use value::{Export, Value, Variable};

use commands::Commands;
use run::Shell;

/// The shells whose scripts are read, and whether one is a POSIX shell without bash's extensions. Lambda's `sh` is bash in
/// POSIX mode.
const SHELLS: [(&str, bool); 6] = [
    ("sh", true),
    ("dash", true),
    ("ash", true),
    ("bash", false),
    ("ksh", false),
    ("zsh", false),
];

/// What a script can see of files.
pub trait Files: Sync {
    /// What is at an absolute path, with links followed; `None` if that is not known.
    fn kind(&self, path: &str) -> Option<FileKind>;
    /// The text of the file at an absolute path, if it is known.
    fn text(&self, path: &str) -> Option<String>;
    /// The absolute path with all links followed, as `readlink -f` prints it; `None` if that is not known.
    fn real(&self, path: &str) -> Option<String>;
    /// The names in the directory at an absolute path, sorted, with links followed; none where nothing is there, and `None` if
    /// that is not known.
    fn names(&self, path: &str) -> Option<Vec<String>>;
}

/// What may be at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Nothing.
    Missing,
    /// A regular file.
    File {
        /// Whether it can be executed.
        is_executable: bool,
    },
    /// A directory.
    Directory,
}

/// Files of which nothing is known.
struct NoFiles;

impl Files for NoFiles {
    fn kind(&self, _: &str) -> Option<FileKind> {
        None
    }

    fn text(&self, _: &str) -> Option<String> {
        None
    }

    fn real(&self, _: &str) -> Option<String> {
        None
    }

    fn names(&self, _: &str) -> Option<Vec<String>> {
        None
    }
}

/// How a script is started.
#[derive(Debug, Clone)]
pub struct Start<'a> {
    /// Its path, which is `$0`.
    pub path: &'a str,
    /// Its arguments.
    pub arguments: &'a [Value],
    /// The directory it is started in.
    pub directory: Value,
    /// Its environment.
    pub environment: &'a BTreeMap<String, Value>,
    /// How many scripts deep it is.
    depth: usize,
}

/// A process that a script starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// The program: by its absolute path where a file is known there, else as the script has it.
    pub program: Value,
    /// What follows the program.
    pub arguments: Vec<Value>,
    /// The environment.
    pub environment: BTreeMap<String, Value>,
    /// The directory it is started in.
    pub directory: Value,
    /// Whether the script starts it in any case, as far as conditions are known.
    pub is_certain: bool,
    /// Whether nothing that could not be read may have changed the environment.
    pub is_complete: bool,
    /// The script that starts it.
    pub by: String,
}

/// A word of a command, which may name a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedWord {
    /// The directory in which the command is carried out: where it depends on conditions, it has several alternatives.
    pub directory: Value,
    /// The word, as far as it is known.
    pub word: String,
}

/// What a script does.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// The variables at its end.
    pub variables: BTreeMap<String, Variable>,
    /// What it starts, itself and by other scripts, in order.
    pub started: Vec<Started>,
    /// The other scripts that it reads or starts, by absolute paths.
    pub read: BTreeSet<String>,
    /// Whether nothing that could not be read may have changed variables.
    pub is_complete: bool,
}

/// The text of a shell script.
#[derive(Debug, Clone, Copy)]
pub struct Script<'a> {
    text: &'a str,
    is_posix: bool,
}

impl<'a> Script<'a> {
    /// A script that a shell runs, by its first line; a text without one is read by the shell that sources it.
    pub fn of(text: &'a str) -> Option<Self> {
        let is_posix = match Shebang::of(text) {
            Some(Shebang { program, command }) => {
                let name = command.unwrap_or(program).rsplit('/').next().unwrap_or_default();
                SHELLS.iter().find(|(shell, _)| *shell == name)?.1
            }
            None => false,
        };
        Some(Self { text, is_posix })
    }

    /// Carries the script out without running anything.
    pub fn run(&self, start: &Start<'_>, files: &dyn Files) -> Run {
        let run = parse::with_stack(|| {
            let mut shell = Shell::new(start, self.is_posix, files);
            shell.text(self.text);
            Run {
                variables: shell.state.variables,
                started: shell.started,
                read: shell.read,
                is_complete: !shell.state.is_clouded,
            }
        });
        run.unwrap_or_default()
    }

    /// The words of all commands that the script may carry out if it is started so, whatever its conditions, its arguments and the
    /// variables that nobody sets are. Of commands that change the directory the words are left out.
    pub fn named(&self, start: &Start<'_>, files: &dyn Files) -> BTreeSet<NamedWord> {
        let named = parse::with_stack(|| {
            let start = Start {
                arguments: &[Value::unknown()],
                ..start.clone()
            };
            let mut shell = Shell::new(&start, self.is_posix, files);
            shell.follow_all_ways(self.text, BTreeSet::new());
            shell.survey.map(|survey| survey.named).unwrap_or_default()
        });
        named.unwrap_or_default()
    }
}

impl<'a> Start<'a> {
    /// The start of a script with this path and environment in this directory, without arguments.
    pub fn new(path: &'a str, directory: &str, environment: &'a BTreeMap<String, Value>) -> Self {
        Self {
            path,
            arguments: &[],
            directory: Value::known(directory),
            environment,
            depth: 0,
        }
    }
}

/// Reads many scripts, in parallel: what `read` makes of each item, in their order.
pub fn read_all<I: Sync, T: Send>(items: &[I], read: impl Fn(&I) -> Option<T> + Sync) -> Vec<T> {
    let all = parse::with_stack(|| items.par_iter().filter_map(&read).collect());
    all.unwrap_or_default()
}

/// Whether a script may change a variable of what it starts, or read a file that may, by its words alone.
pub fn may_change(script: &str, variable: &str) -> bool {
    let mut lines = script.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.any(|line| {
        let changes = [variable, "env -", "export -n"].iter().any(|word| line.contains(word));
        changes || calls(line, ".") || calls(line, "source")
    })
}

/// Whether a script may change its directory, by its words alone.
pub fn may_change_directory(script: &str) -> bool {
    let changes =
        |line: &str| calls(line, "cd") || calls(line, "pushd") || line.contains("chdir") || line.contains(" -C");
    script.lines().any(changes)
}

/// Whether a command may be called in a line: it is a word there.
fn calls(line: &str, command: &str) -> bool {
    line.match_indices(command).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let is_begun = before.is_none_or(|c| c.is_whitespace() || ";&|(){}!`'\"\\".contains(c));
        is_begun && line[at + command.len()..].starts_with(char::is_whitespace)
    })
}

/// Carries out the assignments of a script of which only the text is known. Variables that depend on commands are left out; of
/// a search path (`PATH`, `LD_LIBRARY_PATH`), what is known of it counts.
pub fn source(script: &str, environment: &mut BTreeMap<String, String>) {
    let known = known(environment);
    let script = Script {
        text: script,
        is_posix: false,
    };
    let run = script.run(&Start::new("", "/", &known), &NoFiles);
    for (name, variable) in run.variables {
        if variable.value.is_complete || name.ends_with("PATH") {
            environment.insert(name, variable.value.text);
        } else {
            environment.remove(&name);
        }
    }
}

/// An environment of which every value is known.
pub fn known(environment: &BTreeMap<String, String>) -> BTreeMap<String, Value> {
    let values = environment.iter();
    values
        .map(|(name, value)| (name.clone(), Value::known(value)))
        .collect()
}

fn is_shell(name: &str) -> bool {
    SHELLS.iter().any(|(shell, _)| *shell == name)
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The words of an expression that are names of variables.
fn names_in(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| is_name(word))
}

/// What the first line of a script asks the kernel to start (execve(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shebang<'a> {
    /// The program.
    pub program: &'a str,
    /// The command that the program looks for and starts, if it is env(1).
    pub command: Option<&'a str>,
}

impl<'a> Shebang<'a> {
    /// Reads the first line of a script; `None` if it names no program.
    pub fn of(script: &'a str) -> Option<Self> {
        let mut words = script.strip_prefix("#!")?.lines().next()?.split_whitespace();
        let program = words.next()?;
        let is_env = program.rsplit('/').next() == Some("env");
        // env takes the first word that is neither an option nor an assignment.
        let mut command = words.filter(|word| is_env && !word.starts_with('-') && !word.contains('='));
        Some(Self {
            program,
            command: command.next(),
        })
    }
}

/// Whether a script is one for a shell, whose commands can be read off.
pub fn is_for_shell(script: &str) -> bool {
    let line = script.lines().next().unwrap_or_default().trim_start_matches("#!");
    let mut names = line.split_whitespace().filter_map(|word| word.rsplit('/').next());
    let program = match names.next() {
        Some("env") => names.find(|name| !name.starts_with('-') && !name.contains('=')),
        program => program,
    };
    program.is_none_or(|program| program.ends_with("sh") || program == "busybox")
}

/// The commands of the system that a script calls by a plain name or path, sorted; those that depend on a variable are left
/// out, and so is what the script defines itself.
///
/// Branches are not judged: a command in one that is never taken counts, too. A script for another interpreter calls none.
pub fn commands(script: &str) -> BTreeSet<String> {
    if Script::of(script).is_none() {
        return BTreeSet::new();
    }
    let found = parse::with_stack(|| {
        let mut reader = Commands::default();
        reader.text(script);
        (reader.found, reader.functions)
    });
    let (mut found, functions) = found.unwrap_or_default();
    found.retain(|name| !functions.contains(name));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(script: &str, expected: &str) {
        let mut environment = BTreeMap::from([
            ("APP_HOME".to_owned(), "/opt/app".to_owned()),
            ("LD_LIBRARY_PATH".to_owned(), "/lib64".to_owned()),
        ]);
        source(script, &mut environment);
        assert_eq!(environment["LD_LIBRARY_PATH"], expected, "{script}");
    }

    #[test]
    fn the_first_line_names_the_interpreter() {
        let check = |text, program, command| assert_eq!(Shebang::of(text), Some(Shebang { program, command }));
        check("#!/opt/bin/python3 -I\nx", "/opt/bin/python3", None);
        check("#! /bin/sh\n", "/bin/sh", None);
        check("#!/usr/bin/env python3\n", "/usr/bin/env", Some("python3"));
        check("#!/usr/bin/env -S A=b node --x\n", "/usr/bin/env", Some("node"));
        check("#!/usr/bin/env\n", "/usr/bin/env", None);
        assert_eq!(Shebang::of("#!\n"), None);
        assert_eq!(Shebang::of("x\n"), None);
    }

    #[test]
    fn assignments_and_conditions_are_carried_out() {
        check(
            "LD_LIBRARY_PATH=${APP_HOME}/lib:$LD_LIBRARY_PATH\nexport LD_LIBRARY_PATH",
            "/opt/app/lib:/lib64",
        );
        check("export LD_LIBRARY_PATH=\"/a\"", "/a");
        check(": ${X=${APP_HOME}/x}\nLD_LIBRARY_PATH=\"${X}\"", "/opt/app/x");
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
        check("LD_LIBRARY_PATH=/a:${NONE:-/d}:${APP_HOME+set}", "/a:/d:set");
        check(
            "LIBS=(/a /b)\nLD_LIBRARY_PATH=$(IFS=:; echo \"${LIBS[*]}\"):${LIBS[*]}",
            "/a:/b:/a /b",
        );
        check("IFS=:\nset -- /a /b\nLD_LIBRARY_PATH=\"$*\"", "/a:/b");
        check(
            "pushd /a >/dev/null\nLD_LIBRARY_PATH=$PWD\npopd >/dev/null\nLD_LIBRARY_PATH+=:$PWD",
            "/a:/",
        );
    }

    /// A few files below /opt.
    struct SomeFiles;

    const SOME_FILES: [(&str, &str); 4] = [
        ("/opt/etc/10-a.sh", "A=1\n"),
        ("/opt/etc/20-b.sh", "LD_LIBRARY_PATH=/opt/b:$LD_LIBRARY_PATH\n"),
        ("/opt/etc/.hidden.sh", "LD_LIBRARY_PATH=/hidden\n"),
        ("/opt/etc/notes", "LD_LIBRARY_PATH=/notes\n"),
    ];

    impl Files for SomeFiles {
        fn kind(&self, path: &str) -> Option<FileKind> {
            let is_directory = ["/opt", "/opt/etc"].contains(&path);
            Some(match self.text(path) {
                Some(_) => FileKind::File { is_executable: false },
                None if is_directory => FileKind::Directory,
                None => FileKind::Missing,
            })
        }

        fn text(&self, path: &str) -> Option<String> {
            let found = SOME_FILES.iter().find(|(known, _)| *known == path);
            found.map(|(_, text)| (*text).to_owned())
        }

        fn real(&self, path: &str) -> Option<String> {
            Some(path.to_owned())
        }

        fn names(&self, path: &str) -> Option<Vec<String>> {
            let below = |known: &str| Some(known.strip_prefix(path)?.strip_prefix('/')?.to_owned());
            match path {
                "/opt" => Some(vec!["etc".to_owned()]),
                "/usr" => None,
                _ => Some(SOME_FILES.iter().filter_map(|(known, _)| below(known)).collect()),
            }
        }
    }

    fn check_with_files(script: &str, expected: Option<&str>) {
        let environment = BTreeMap::from([("LD_LIBRARY_PATH".to_owned(), Value::known("/lib64"))]);
        let script_of = Script::of(script).unwrap();
        let run = script_of.run(&Start::new("/opt/bootstrap", "/opt", &environment), &SomeFiles);
        let value = run.variables["LD_LIBRARY_PATH"].value.clone();
        let known = value.complete().filter(|_| run.is_complete);
        assert_eq!(known, expected, "{script}");
    }

    #[test]
    fn patterns_of_paths_become_the_files_that_are_there() {
        for (script, expected) in [
            ("for f in /opt/etc/*.sh; do . $f; done", Some("/opt/b:/lib64")),
            ("for f in etc/2*; do . ./$f; done", Some("/opt/b:/lib64")),
            ("cd etc && for f in [12]0-?.sh; do . ./$f; done", Some("/opt/b:/lib64")),
            (
                "for f in /opt/*/*.sh; do [ -r \"$f\" ] && . \"$f\"; done",
                Some("/opt/b:/lib64"),
            ),
            (
                "for f in \"/opt/etc/*.sh\"; do LD_LIBRARY_PATH=$f; done",
                Some("/opt/etc/*.sh"),
            ),
            (
                "for f in /opt/none/*.sh; do LD_LIBRARY_PATH=$f; done",
                Some("/opt/none/*.sh"),
            ),
            (
                "shopt -s nullglob; for f in /opt/none/*; do LD_LIBRARY_PATH=$f; done",
                Some("/lib64"),
            ),
            (
                "set -f; for f in /opt/etc/*; do LD_LIBRARY_PATH=$f; done",
                Some("/opt/etc/*"),
            ),
            (
                "for f in /opt/etc/n*; do LD_LIBRARY_PATH=$f; done",
                Some("/opt/etc/notes"),
            ),
            (
                "for f in /opt/etc/*/x; do LD_LIBRARY_PATH=$f; done",
                Some("/opt/etc/*/x"),
            ),
            // What the runtime has there is not known.
            ("for f in /usr/*.sh; do LD_LIBRARY_PATH=$f; done", None),
        ] {
            check_with_files(script, expected);
        }
    }

    #[test]
    fn what_a_shell_reads_from_its_input_is_carried_out() {
        for (script, expected) in [
            (". /dev/stdin <<E\nLD_LIBRARY_PATH=/a\nE", Some("/a")),
            (
                "export LD_LIBRARY_PATH=$(</opt/etc/notes)",
                Some("LD_LIBRARY_PATH=/notes"),
            ),
            ("export LD_LIBRARY_PATH=$(</proc/self/x)", None),
        ] {
            check_with_files(script, expected);
        }
        let environment = BTreeMap::new();
        let script = Script::of("bash <<'E'\nexport A=$((1 + 1))\nexec /opt/bin/x\nE").unwrap();
        let run = script.run(&Start::new("/opt/bootstrap", "/opt", &environment), &SomeFiles);
        let started = run.started.iter().find(|started| started.program.text == "/opt/bin/x");
        assert_eq!(started.unwrap().environment["A"], Value::known("2"));
    }

    #[test]
    fn numbers_count_and_braces_of_declarations_make_several() {
        check("n=1; ((n++)); ((n += 2)); LD_LIBRARY_PATH=/a$n", "/a4");
        check(
            "for ((i = 2; i < 4; i++)); do LD_LIBRARY_PATH+=:/$i; done",
            "/lib64:/2:/3",
        );
        check("export LD_LIBRARY_PATH=/opt/lib{3,2}", "/opt/lib2");
        check("LD_LIBRARY_PATH=/opt/lib{3,2}", "/opt/lib{3,2}");
        check("unset ${!LD_*}; LD_LIBRARY_PATH+=x", "x");
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
            ("#!/usr/bin/env python3\nimport os\n", ""),
            ("#!/usr/bin/python3 -I\nfrom a import b\n", ""),
            (
                "#!/bin/sh\n'''exec' python3 \"$0\" \"$@\"\n' '''\nimport os\n",
                "python3",
            ),
            ("#!/usr/bin/env bash\nwc a\nexit 0\nimport os\n", "wc"),
            ("exec 3>&1\nwc a", "wc"),
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
            assert!(environment.values().all(|value| value.len() <= 32 << 10));
        }
    }

    #[test]
    fn words_in_comments_and_sentences_change_nothing() {
        for (script, expected) in [
            ("LD_LIBRARY_PATH=/opt/lib x", true),
            ("\texport LD_LIBRARY_PATH", true),
            ("env -i x", true),
            ("export -n A", true),
            (". /opt/settings", true),
            ("if a; then .\t/opt/settings; fi", true),
            ("(. ./x)", true),
            ("{ source x; }", true),
            ("a&&. x", true),
            ("# LD_LIBRARY_PATH is set elsewhere. Really.", false),
            ("  # . /opt/settings", false),
            ("echo Done. Now go on", false),
            ("ls .", false),
            ("cat resource x", false),
            ("cd ../.. && ls", false),
        ] {
            assert_eq!(may_change(script, "LD_LIBRARY_PATH"), expected, "{script}");
        }
    }

    #[test]
    fn what_nests_takes_neither_time_nor_stack() {
        for (open, close) in [
            ("$(", ")"),
            ("( ", ")"),
            ("{ ", "; }"),
            ("if a; then ", "; fi"),
            ("while a; do ", "; done"),
            ("case a in b) ", ";; esac"),
            ("A=\"${B:-", "}\""),
            ("! ", ""),
            ("for i in x; do ", "; done"),
            ("cat <<E\n$((", "))\nE\n"),
            ("[[ ( ", " ) ]]"),
            ("y=$((1+2) z *) ", "))"),
            ("echo {1..2,", "}"),
        ] {
            for depth in [5, 60, 5000] {
                let script = format!("{}x{}", open.repeat(depth), close.repeat(depth));
                commands(&script);
                source(&script, &mut BTreeMap::new());
                source(&open.repeat(depth), &mut BTreeMap::new());
            }
        }
        source(&format!("echo {{1..{}2,x", "{".repeat(2000)), &mut BTreeMap::new());
    }

    #[test]
    fn defaults_of_defaults_come_first() {
        let script = r#"
: ${JAVA_HOME=}
: ${APP_JAVA_LD_LIBRARY_PATH=}
if test -n "/usr/local/lib"; then
: ${APP_LD_LIBRARY_PATH=${APP_HOME}/lib:/usr/local/lib}
else
: ${APP_LD_LIBRARY_PATH=${APP_HOME}/lib}
fi
if test -n "${APP_JAVA_LD_LIBRARY_PATH}"; then
  APP_LD_LIBRARY_PATH="${APP_LD_LIBRARY_PATH}:${APP_JAVA_LD_LIBRARY_PATH}"
fi
if test -z "${LD_LIBRARY_PATH}"; then
  LD_LIBRARY_PATH="${APP_LD_LIBRARY_PATH}"
else
  LD_LIBRARY_PATH="${APP_LD_LIBRARY_PATH}:${LD_LIBRARY_PATH}"
fi
export LD_LIBRARY_PATH
"#;
        check(script, "/opt/app/lib:/usr/local/lib:/lib64");
    }
}
