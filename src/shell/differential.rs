//! Holds the evaluation of scripts against real shells: scripts are made from a grammar, run by bash and sh, and the
//! environment of what they start is compared.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::{Duration, Instant};

use super::commands::Commands;
use super::run::Shell;
use super::{NoFiles, Script, Start, Value, parse};

/// How many scripts are compared per shell; more with this variable.
const SCRIPTS: u64 = 150;
const MORE: &str = "LAMBDAR_PRUNE_SCRIPTS";
/// A directory whose shell scripts are mutated, too.
const SEEDS: &str = "LAMBDAR_PRUNE_SEEDS";
/// No script takes longer, however it is written.
const LONGEST: Duration = Duration::from_secs(5);

fn scripts() -> u64 {
    let count = std::env::var(MORE).ok().and_then(|count| count.parse().ok());
    count.unwrap_or(SCRIPTS)
}

/// The variables that scripts set.
const NAMES: [&str; 4] = ["A", "B", "C", "LIBS"];
/// Where `env` and the like are.
const PATH: &str = "/usr/bin:/bin";

/// Makes scripts, the same for the same seed.
struct Maker {
    seed: u64,
    is_bash: bool,
    functions: usize,
}

impl Maker {
    fn number(&mut self, below: usize) -> usize {
        // SplitMix64 (Steele, Lea and Flood, 2014).
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % below as u64).unwrap()
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.number(of.len())]
    }

    fn name(&mut self) -> &'static str {
        self.one(&NAMES)
    }

    fn word(&mut self, depth: usize) -> String {
        let name = self.name();
        let literal = self.one(&["/opt/lib", "a", "b:c", "/x/y.so", "", "-n", "3"]);
        let inner = if depth > 0 {
            self.word(depth - 1)
        } else {
            literal.to_owned()
        };
        let posix = 17;
        match self.number(if self.is_bash { posix + 6 } else { posix }) {
            0 => format!("\"${name}\""),
            1 => format!("${{{name}}}"),
            2 => format!("\"${{{name}:-{inner}}}\""),
            3 => format!("\"${{{name}:+:${name}}}\""),
            4 => format!("${{{name}%/*}}"),
            5 => format!("\"${{{name}##*/}}\""),
            6 => format!("${{{name}#*:}}"),
            7 => format!("'${name} x'"),
            8 => format!("\"x y\"{literal}"),
            9 => format!("$(echo {inner})"),
            10 => format!("`dirname /q/{literal}`"),
            11 => format!("\"{literal}:${name}\""),
            12 => format!("{literal}\\ \\$z"),
            13 => format!("\"$(printf '%s-' a {inner})\""),
            14 => format!("${{{name}=dflt}}"),
            15 => format!("\"\\\"${{{name}%%:*}}\\\\\""),
            16 => format!("\"$((${{#{name}}} + 2))\""),
            17 => format!("\"${{{name}/a/b}}\""),
            18 => format!("\"${{{name}//[.:]/_}}\""),
            19 => format!("\"${{{name}:1:3}}\""),
            20 => format!("$'t\\tq'\"${name}\""),
            21 => format!("\"${{{name}^^}}\""),
            _ => format!("\"${{!{name}}}\"{literal}"),
        }
    }

    fn condition(&mut self) -> String {
        let (name, other) = (self.name(), self.name());
        let posix = 9;
        match self.number(if self.is_bash { posix + 4 } else { posix }) {
            0 => format!("[ -n \"${name}\" ]"),
            1 => format!("[ -z \"${name}\" ]"),
            2 => format!("test \"${name}\" = \"${other}\""),
            3 => format!("[ \"${name}\" != a ]"),
            4 => "true".to_owned(),
            5 => format!("! [ -n \"${{{name}+set}}\" ]"),
            6 => "false".to_owned(),
            7 => format!("[ ${{#{name}}} -gt 3 ]"),
            8 => format!("[ -n \"${name}\" ] && [ -n \"${other}\" ]"),
            9 => format!("[[ ${name} == *lib* ]]"),
            10 => format!("[[ -n ${name} || ${other} != a ]]"),
            11 => format!("[[ -v {name} ]]"),
            _ => format!("(( ${{#{name}}} < 4 ))"),
        }
    }

    // Long: a table of statements.
    fn statement(&mut self, depth: usize) -> String {
        let (name, other) = (self.name(), self.name());
        let word = self.word(1);
        let simple = 14;
        let (compound, bash) = (12, 6);
        let choices = if depth == 0 {
            simple
        } else {
            simple + compound + if self.is_bash { bash } else { 0 }
        };
        match self.number(choices) {
            0 | 1 => format!("{name}={word}"),
            2 | 3 => format!(
                "export {name}=\"{}\" {other}=1",
                self.one(&["/opt/lib", "$A:/x", "${B:-q}", "${C%/*}"])
            ),
            4 => format!("export {name}"),
            5 => format!("unset {name}"),
            6 => format!(": ${{{name}:={}}}", self.one(&["d", "\"e f\"", "$A"])),
            7 => format!("{name}={word} true"),
            8 => format!("# {name}=no\n{name}=a\\\nb"),
            9 => format!("cat <<EOF >/dev/null\n{name}=no $A\nEOF"),
            10 => format!("echo \"export {name}=no\" >/dev/null"),
            11 => "set -a".to_owned(),
            12 => "set +a".to_owned(),
            13 => format!("eval \"{name}='{}'\"", self.one(&["ev", "$A", "x;y"])),
            14 | 15 => {
                let (condition, then) = (self.condition(), self.statement(depth - 1));
                let (elif, last) = (self.condition(), self.statement(depth - 1));
                format!("if {condition}; then\n{then}\nelif {elif}\nthen\n{last}\nelse {name}=else\nfi")
            }
            16 => format!("{} && {}", self.condition(), self.statement(0)),
            17 => format!("{} || {{ {}\n}}", self.condition(), self.statement(depth - 1)),
            18 => format!(
                "case {word} in\n a|b*) {name}=1 ;;\n */*) {}\n ;;\n '') ;;\n *) {other}=rest;;\nesac",
                self.statement(depth - 1)
            ),
            19 => format!("for {name} in p {word} q; do\n{}\ndone", self.statement(depth - 1)),
            20 => format!("( {}\n)", self.statement(depth - 1)),
            21 => {
                self.functions += 1;
                let number = self.functions;
                let body = self.statement(depth - 1);
                format!("f{number}() {{\n{body}\n{name}=\"$1:$#\"\nreturn 0\n}}\nf{number} {word} z")
            }
            22 => format!(
                "while {}; do {}\nbreak\ndone",
                self.condition(),
                self.statement(depth - 1)
            ),
            23 => format!("set -- {word} \"$A\"\n{name}=\"$# $1\""),
            24 => format!("{name}={word}; {other}=\"${name}\"; export {other}"),
            25 => format!("for {name} in 1 2 3; do [ ${name} = 2 ] && continue; {other}=\"${{{other}}}${name}\"; done"),
            26 => format!("{name}+={word}"),
            27 => format!("declare -x {name}={word}"),
            28 => format!("export -n {name}"),
            29 => format!("g() {{ local {name}=inner; {other}=${name}; }}; g"),
            30 => format!("list=({word} x \"y z\"); {name}=\"${{list[@]}}\"; {other}=${{#list}}"),
            _ => format!("read -r {name} {other} <<< {word}"),
        }
    }

    fn script(&mut self) -> String {
        let count = 2 + self.number(6);
        let mut script: String = (0..count).map(|_| self.statement(2) + "\n").collect();
        let (name, other) = (self.name(), self.name());
        script.push_str(&match self.number(6) {
            0 => format!("{name}=last exec /usr/bin/printenv -0"),
            1 => format!("exec env -u {name} {other}=\"x$A\" /usr/bin/printenv -0"),
            2 => format!("exec env -i {name}=\"$B\" /usr/bin/printenv -0"),
            3 => format!("{name}=\"$A:p\" /usr/bin/printenv -0"),
            4 => "exec nice -n 1 /usr/bin/printenv -0".to_owned(),
            _ => "exec /usr/bin/printenv -0".to_owned(),
        });
        script
    }
}

fn real(shell: &str, script: &str) -> Option<BTreeMap<String, String>> {
    let start = [("PATH", PATH), ("A", "/opt/first"), ("LIBS", "/lib64:/usr/lib64")];
    let output = Command::new(shell)
        .args(["-c", script])
        .env_clear()
        .envs(start)
        .current_dir("/")
        .output()
        .ok()?;
    // A script that a shell gives up on starts nothing.
    let text = String::from_utf8(output.stdout).ok()?;
    let lines = text.split('\0').filter_map(|line| line.split_once('='));
    let environment = lines.filter(|(name, _)| NAMES.contains(name));
    Some(
        environment
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    )
}

fn ours(script: &str, is_posix: bool) -> Option<BTreeMap<String, Value>> {
    let start = [("PATH", PATH), ("A", "/opt/first"), ("LIBS", "/lib64:/usr/lib64")];
    let environment: BTreeMap<String, Value> = start
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Value::known(value)))
        .collect();
    let run = Script { text: script, is_posix }.run(&Start::new("x", "/", &environment), &NoFiles);
    let started = run
        .started
        .into_iter()
        .find(|started| started.program.text.ends_with("/printenv"))?;
    let is_complete = started.is_complete && started.is_certain;
    let environment = started.environment.into_iter();
    let environment = environment.filter(|(name, _)| NAMES.contains(&name.as_str()));
    Some(
        environment
            .map(|(name, value)| {
                let is_complete = value.is_complete && is_complete;
                (name, Value { is_complete, ..value })
            })
            .collect(),
    )
}

#[test]
fn scripts_do_what_real_shells_make_of_them() {
    for (shell, is_bash) in [("bash", true), ("sh", false)] {
        let (mut compared, mut incomplete) = (0, 0);
        let mut different = Vec::new();
        for seed in 0..scripts() {
            let script = Maker {
                seed: seed << 20,
                is_bash,
                functions: 0,
            }
            .script();
            let Some(real) = real(shell, &script).filter(|real| !real.is_empty()) else {
                continue;
            };
            let Some(ours) = ours(&script, !is_bash) else {
                different.push(format!(
                    "{shell} {seed}: nothing is started, and really {real:?}
{script}
"
                ));
                continue;
            };
            compared += 1;
            if ours.values().any(|value| !value.is_complete) {
                incomplete += 1;
                continue;
            }
            let ours: BTreeMap<String, String> = ours.into_iter().map(|(name, value)| (name, value.text)).collect();
            if ours != real {
                different.push(format!("{shell} {seed}: {ours:?}, and really {real:?}\n{script}\n"));
            }
        }
        let all = different.len();
        different.truncate(10);
        assert!(
            different.is_empty(),
            "{all} of {compared} differ:\n{}",
            different.join("\n")
        );
        assert!(
            incomplete * 4 <= compared,
            "{shell}: {incomplete} of {compared} scripts are not known as a whole"
        );
    }
}

/// Where a condition of a script looks; nothing is known of files here, so that both branches are followed.
const PLACE: &str = "PLACE";

/// What of a script's environment is known for certain and wrong, whatever its conditions on files come to.
fn falsely_certain(shell: &str, script: &str) -> Vec<String> {
    let Some(ours) = ours(&script.replace(PLACE, "/"), shell != "bash") else {
        return Vec::new();
    };
    let mut wrong = Vec::new();
    for place in ["/", "/nonexistent"] {
        let script = script.replace(PLACE, place);
        let Some(real) = real(shell, &script).filter(|real| !real.is_empty()) else {
            continue;
        };
        for name in NAMES {
            let is_right = match (ours.get(name), real.get(name)) {
                (Some(known), real) if known.is_complete => real == Some(&known.text),
                (Some(_), _) | (None, None) => true,
                (None, Some(_)) => false,
            };
            if !is_right {
                let (ours, real) = (ours.get(name), real.get(name));
                wrong.push(format!("{shell}: {name} is {ours:?}, and really {real:?}\n{script}\n"));
            }
        }
    }
    wrong
}

#[test]
fn what_depends_on_unknown_conditions_is_not_certain() {
    for script in [
        "LIST=(a b)\nif [ -e PLACE ]; then LIST=(c); fi\nexport A=\"${LIST[0]}\"",
        "if [ -e PLACE ]; then LIST=(c); fi\nexport A=\"x${LIST[0]}\"",
        "if [ -e PLACE ]; then :; else LIST=(c); fi\nexport A=\"x${LIST[*]}\"",
        "if [ -e PLACE ]; then f() { A=1; }; else f() { A=2; }; fi\nf\nexport A",
        "if [ -e PLACE ]; then f() { A=1; }; fi\nf 2>/dev/null\nexport A",
        "f() { A=1; }\nif [ -e PLACE ]; then unset -f f; fi\nf 2>/dev/null\nexport A",
        "dirname() { echo mine; }\nif [ -e PLACE ]; then unset -f dirname; fi\nexport A=$(dirname /x/y)",
        "if [ -e PLACE ]; then export B; fi\nB=1",
        "if [ -e PLACE ]; then :; else export B; fi\nB=1",
        "B=1\nif [ -e PLACE ]; then export B; fi\nB=2",
        "export B=1\nif [ -e PLACE ]; then unset B; fi\nB=2",
        "if [ -e PLACE ]; then B=1; fi\n[[ -v B ]] && A=set\nexport A",
        "if [ -e PLACE ]; then set -a; fi\nB=1",
        "if [ -e PLACE ]; then export -n A; fi\nA=2",
        "if [ -e PLACE ]; then B=1; else export B; fi\nB=2",
    ] {
        let script = format!("{script}\nexec /usr/bin/printenv -0");
        let wrong = falsely_certain("bash", &script);
        assert!(wrong.is_empty(), "{}", wrong.concat());
    }
    for (shell, is_bash) in [("bash", true), ("sh", false)] {
        for seed in 0..scripts() {
            let mut maker = Maker {
                seed: (seed << 20) + 11,
                is_bash,
                functions: 0,
            };
            let (before, then, otherwise) = (maker.statement(1), maker.statement(1), maker.statement(1));
            let script = format!(
                "{before}\nif [ -e PLACE ]; then\n{then}\nelse\n{otherwise}\nfi\n{}",
                maker.script()
            );
            // What is not a name there ends a command, and an unknown value may be anything.
            if script.contains("${!") {
                continue;
            }
            let wrong = falsely_certain(shell, &script);
            assert!(wrong.is_empty(), "{seed}: {}", wrong.concat());
        }
    }
}

/// Scripts in which `unset` finds a variable, an array, a function or two of them under the name.
#[test]
fn unset_takes_the_function_only_where_no_variable_is() {
    for script in [
        "f=(a); unset f",
        "f=a; unset f",
        "f=; unset f",
        "unset f",
        "export f; unset f",
        "unset -v f",
        "f=(a b); unset 'f[0]'",
        "f=(a); unset -f f",
        "f=(a); unset f f",
        "unset A B; export B; export -n B; B=1; f",
    ] {
        let script = format!("f() {{ A=called; }}\n{script}\nf 2>/dev/null\nexport A\nexec /usr/bin/printenv -0");
        let known = ours(&script, false).unwrap();
        let known: BTreeMap<String, String> = known.into_iter().map(|(name, value)| (name, value.text)).collect();
        assert_eq!(Some(known), real("bash", &script), "{script}");
    }
}

/// What mutations put into a script: whatever opens, closes, quotes or expands.
const PIECES: [&str; 40] = [
    "(",
    ")",
    "((",
    "))",
    "$(",
    "${",
    "}",
    "`",
    "\"",
    "'",
    "$'",
    "\\",
    "\n",
    ";",
    ";;",
    ";&",
    "&",
    "&&",
    "||",
    "|",
    "<<E\n",
    "<<-'E'\n",
    "<<<",
    "<(",
    ">",
    "if ",
    "then ",
    "fi\n",
    "case x in a) ",
    "esac\n",
    "while :; do ",
    "done\n",
    "{ ",
    "[[ ",
    "]]",
    "f() ",
    "=",
    "$",
    "\0",
    "\u{e9}",
];

/// A script with a few places changed.
fn mutated(maker: &mut Maker, script: &str) -> String {
    let mut characters: Vec<char> = script.chars().collect();
    for _ in 0..=maker.number(6) {
        let at = maker.number(characters.len() + 1);
        let end = (at + maker.number(40)).min(characters.len());
        match maker.number(5) {
            0 => drop(characters.drain(at..end)),
            1 => characters.truncate(at),
            2 => {
                let piece: Vec<char> = PIECES[maker.number(PIECES.len())].chars().collect();
                let count = 1 + maker.number(3) * maker.number(30);
                let pieces = piece.iter().copied().cycle().take(piece.len() * count);
                drop(characters.splice(at..at, pieces.collect::<Vec<char>>()));
            }
            3 => {
                let copied = characters[at..end].repeat(1 + maker.number(3));
                let to = maker.number(characters.len() + 1);
                drop(characters.splice(to..to, copied));
            }
            _ => {
                let piece = PIECES[maker.number(PIECES.len())].chars();
                drop(characters.splice(at..end, piece.collect::<Vec<char>>()));
            }
        }
    }
    characters.into_iter().collect()
}

fn seeds() -> Vec<String> {
    let mut seeds = vec![include_str!("../../rules/bootstrap/bootstrap").to_owned()];
    if let Some(directory) = std::env::var_os(SEEDS) {
        let mut paths: Vec<_> = fs_err::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        let texts = paths.into_iter().filter_map(|path| fs_err::read_to_string(path).ok());
        seeds.extend(texts.filter(|text| text.starts_with("#!") && text.len() < 100_000 && Script::of(text).is_some()));
    }
    seeds
}

#[test]
fn mutated_scripts_take_little_time_and_never_panic() {
    let seeds = seeds();
    let mut slowest = (Duration::ZERO, String::new());
    for seed in 0..scripts() {
        let is_bash = seed % 2 == 0;
        let mut maker = Maker {
            seed: (seed << 20) + 7,
            is_bash,
            functions: 0,
        };
        let script = match maker.number(3) {
            0 => seeds[maker.number(seeds.len())].clone(),
            _ => maker.script(),
        };
        let script = mutated(&mut maker, &script);
        let start = Instant::now();
        let run = parse::with_stack(|| {
            Commands::default().text(&script);
            let environment = BTreeMap::from([("A".to_owned(), Value::known("/opt/first"))]);
            let start = Start::new("x", "/", &environment);
            Shell::new(&start, !is_bash, &NoFiles).text(&script);
            Shell::new(&start, !is_bash, &NoFiles).follow_all_ways(&script, BTreeSet::new());
        });
        assert!(run.is_some(), "panic:\n{script}");
        slowest = slowest.max((start.elapsed(), script));
    }
    assert!(slowest.0 < LONGEST, "{:?}:\n{}", slowest.0, slowest.1);
}
