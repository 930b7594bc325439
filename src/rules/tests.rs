use super::*;
use crate::loader::LoadedTree;
use crate::root::Root;
use crate::runtime::{Arch, DEFAULT, Runtime};
use crate::size::Bytes;
use crate::tree::{Content, Entry, File, Mode, Tree, TreePath};

fn tree(paths: &[&str]) -> Tree {
    let mut tree = Tree::default();
    for path in paths {
        let file = File {
            bytes: Bytes(1),
            mode: Mode::new(0o644),
            // What makes an R package of a directory, should the file have its name.
            content: Content::Text("Package: x\nBuilt: R 4.2.2\n".into()),
        };
        tree.insert(TreePath::new(path).unwrap(), Entry::File(file));
    }
    tree
}

fn command_line(change: impl FnOnce(&mut RuleSelection)) -> Vec<RuleSelection> {
    let mut choices = RuleSelection::default();
    change(&mut choices);
    vec![choices]
}

/// What each path is taken by, `-` for nothing.
fn removing(paths: &[&str], choices: &[RuleSelection]) -> Vec<String> {
    let tree = tree(paths);
    let rules = RuleSet::chosen(choices).unwrap();
    let runtime = Runtime::load(DEFAULT, Arch::X86_64).unwrap();
    let loaded = LoadedTree::of(Root {
        tree: &tree,
        runtime: &runtime,
    });
    let matcher = Matcher::new(&rules, choices, &loaded).unwrap();
    paths
        .iter()
        .map(|path| {
            matcher
                .removed_by(&TreePath::new(path).unwrap())
                .unwrap_or("-")
                .to_owned()
        })
        .collect()
}

/// Paths and what takes them by default.
fn check(expected: &[(&str, &str)]) {
    let paths: Vec<&str> = expected.iter().map(|(path, _)| *path).collect();
    for ((path, expected), rule) in expected.iter().zip(removing(&paths, &[])) {
        assert_eq!(rule, *expected, "{path}");
    }
}

#[test]
fn built_in_rules_explain_themselves() {
    let rules = RuleSet::built_in().unwrap();
    for (rule, on) in rules.iter() {
        assert_eq!(on, rule.default);
        assert!(rule.id.starts_with(&rule.pack), "{} is in pack {}", rule.id, rule.pack);
        for text in [&rule.title, &rule.breaks, &rule.source] {
            assert!(!text.ends_with('.') && text.len() > 3, "{}: {text}", rule.id);
        }
    }
    // Nobody loses license texts, data, time zones or whole packages without asking for it.
    for (rule, on) in rules.iter() {
        let asked_for = ["licenses", "data", "time-zones", "recommended", "aws-sdk", "installers"];
        assert!(!(on && asked_for.contains(&rule.category.as_str())), "{}", rule.id);
    }
}

#[test]
fn former_names_are_understood() {
    for name in ["unix-licences", "licences", "unix-licenses", "licenses"] {
        let mut rules = RuleSet::built_in().unwrap();
        rules.switch(name, true, "--enable").unwrap();
        let (_, on) = rules.iter().find(|(rule, _)| rule.id == "unix-licenses").unwrap();
        assert!(on, "{name}");
    }
}

#[test]
fn unknown_keys_and_names_are_refused() {
    let error = file::rules_of("my.toml", "[pack]\nid='x'\ntitle='x'\n[[rules]]\nidd='x'\n")
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("my.toml:5:1: unknown key 'idd' in rules; did you mean 'id'?"),
        "{error}"
    );
    let mut rules = RuleSet::built_in().unwrap();
    let error = rules.switch("r-tcltc", true, "--enable").unwrap_err().to_string();
    assert!(
        error.starts_with("--enable: there is no rule or category 'r-tcltc'; did you mean 'r-tcltk'?"),
        "{error}"
    );
    assert!(error.contains("`lambdar-prune rules`") && error.len() < 500, "{error}");
    rules.switch("docs", false, "--disable").unwrap();
    for (rule, on) in rules.iter() {
        assert_eq!(on, rule.default && rule.category != "docs", "{}", rule.id);
    }
}

#[test]
fn rules_that_make_no_sense_are_refused_with_their_place() {
    let rule = |change: (&str, &str)| {
        "[[rules]]\nid = 'mine'\ntitle = 't'\ncategory = 'c'\npaths = ['a', 'b']\nbreaks = 'b'\nsource = 's'\n"
            .replace(change.0, change.1)
    };
    let ids = |text: &str| file::rules_of("my.toml", text).map(|rules| rules.len());
    assert_eq!(ids(&rule(("", ""))), Ok(1));
    for (change, expected) in [
        (
            ("'b']", "'a[']"),
            "my.toml:5:15: 'a[' is not a glob for paths in a tree: unclosed character class; missing ']'",
        ),
        (
            ("'b']", "'/b']"),
            "my.toml:5:15: '/b' is not a glob for paths in a tree: it begins with '/'",
        ),
        (("'b']", "'x/../b']"), "no path has the name '..'"),
        (("['a', 'b']", "[]"), "my.toml:2:6: rule 'mine' has no paths"),
        (("'mine'", "'My rule'"), "my.toml:2:6: id 'My rule' cannot be a name"),
        (("'s'", "' '"), "my.toml:2:6: rule 'mine' has an empty source"),
        (("title = 't'\n", ""), "my.toml:1:1: the key 'title' is missing"),
        (
            ("'c'", "'c'\nanchor = 'r-hom'"),
            "my.toml:5:10: 'r-hom' is not a value of this key; did you mean 'r-home'? (known here: ",
        ),
    ] {
        let error = ids(&rule(change)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let mut rules = RuleSet::built_in().unwrap();
    let twice = file::rules_of("my.toml", &rule(("'mine'", "'r-help'"))).unwrap();
    let error = rules.add(twice).unwrap_err().to_string();
    assert_eq!(
        error,
        "my.toml: there is already a rule 'r-help'; give this one another id"
    );
}

/// Files that other tools have deleted, and users then missed.
#[test]
fn known_traps_stay() {
    let table = include_str!("../../testdata/rules/known-traps.txt");
    let rows = table.lines().filter(|line| !line.starts_with('#'));
    let expected: Vec<(&str, &str)> = rows
        .filter_map(|row| row.split_once(' '))
        .map(|(rule, path)| (path.trim_start(), rule))
        .collect();
    assert!(expected.len() > 50);
    check(&expected);
}

#[test]
fn the_last_rule_that_matches_takes() {
    let mine = file::rules_of(
        "my.toml",
        "[[rules]]\nid = 'mine'\ntitle = 'x'\ncategory = 'docs'\npaths = ['share/doc/x']\nbreaks = 'x'\nsource = 'x'\n",
    )
    .unwrap();
    let paths = ["share/doc/x/a", "share/doc/y/a"];
    let with = |change: fn(&mut RuleSelection)| {
        removing(
            &paths,
            &command_line(|choices| {
                choices.rules.clone_from(&mine);
                change(choices);
            }),
        )
    };
    assert_eq!(with(|_| ()), ["mine", "unix-docs"]);
    assert_eq!(with(|choices| choices.disable = vec!["mine".into()]), ["unix-docs"; 2]);
    assert_eq!(with(|choices| choices.disable = vec!["docs".into()]), ["-"; 2]);
    assert_eq!(with(|choices| choices.drop = vec!["share".into()]), ["--drop"; 2]);
    let both = |choices: &mut RuleSelection| {
        choices.drop = vec!["share".into()];
        choices.keep = vec!["**/x".into()];
    };
    assert_eq!(with(both), ["-", "--drop"]);
}

#[test]
fn the_command_line_beats_the_file() {
    let file = || RuleSelection {
        file: Some("lambdar-prune.toml".to_owned()),
        enable: vec!["unix-time-zones".into()],
        disable: vec!["unix-docs".into()],
        keep: vec!["kept/**".into()],
        drop: vec!["dropped/**".into()],
        ..RuleSelection::default()
    };
    let paths = ["kept/a", "dropped/a", "share/doc/a", "share/zoneinfo/Asia/Tokyo"];
    assert_eq!(removing(&paths, &[file()]), ["-", "drop", "-", "unix-time-zones"]);
    let command = RuleSelection {
        enable: vec!["docs".into()],
        disable: vec!["time-zones".into()],
        keep: vec!["dropped".into()],
        drop: vec!["kept".into()],
        ..RuleSelection::default()
    };
    assert_eq!(removing(&paths, &[file(), command]), ["--drop", "-", "unix-docs", "-"]);
    let wrong = RuleSelection {
        enable: vec!["dosc".into()],
        ..file()
    };
    let error = RuleSet::chosen(&[wrong]).unwrap_err().to_string();
    assert!(
        error.starts_with("lambdar-prune.toml: enable: there is no rule or category 'dosc'; did you mean 'docs'?"),
        "{error}"
    );
}

#[test]
fn tests_of_python_modules_are_those_that_pytest_loads() {
    check(&[
        ("python/pkg-1.dist-info/METADATA", "-"),
        ("python/pkg/__init__.py", "-"),
        ("python/pkg/tests/test_x.py", "python-tests"),
        ("python/pkg/sub/tests/data.json", "python-tests"),
        ("python/pkg/conftest.py", "python-tests"),
        ("python/pkg/sub/conftest.py", "python-tests"),
        ("python/conftest.py", "-"),
        ("python/pkg/conftests.py", "-"),
        ("python/tests/__init__.py", "-"),
        ("python/pkg/testing/__init__.py", "-"),
    ]);
}
