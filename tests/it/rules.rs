//! What `rules` lists, shows and finds wrong.

use serde_json::Value;

use crate::support::Sandbox;

const MINE: &str = "[pack]\nid = 'mine'\ntitle = 'Mine'\n";

fn rule(id: &str, paths: &str) -> String {
    format!(
        "[[rules]]\nid = '{id}'\ntitle = 'x'\ncategory = 'mine'\ndefault = false\npaths = {paths}\nbreaks = 'x'\nsource = 'x'\n"
    )
}

fn tree() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .file("opt/share/doc/x/README", "123")
        .file("opt/share/doc/x/copyright", "1")
        .file("opt/share/man/man1/x.1", "12")
        .file("opt/bin/tool", "#!/opt/lib/interpreter\n")
        .file("opt/lib/interpreter", "x");
    sandbox
}

#[test]
fn rules_are_listed_with_their_state() {
    let sandbox = tree();
    let list = |arguments: &[&str]| {
        let mut all = vec!["rules", "--format", "json"];
        all.extend(arguments);
        sandbox.run(all).expect_status(0).json()
    };
    let state = |list: &Value, id: &str| {
        let rules = list["rules"].as_array().unwrap();
        rules
            .iter()
            .find(|rule| rule["id"] == id)
            .map(|rule| rule["enabled"].as_bool().unwrap())
    };
    let rules = list(&[]);
    assert_eq!(state(&rules, "unix-docs"), Some(true));
    assert_eq!(state(&rules, "r-recommended"), Some(false));
    let switched = list(&["--disable", "docs", "--enable", "r-recommended"]);
    assert_eq!(state(&switched, "unix-docs"), Some(false));
    assert_eq!(state(&switched, "r-recommended"), Some(true));
    sandbox.file("mine.toml", format!("{MINE}{}", rule("my-rule", "['x']")));
    let with_mine = list(&["--rules", "mine.toml"]);
    assert_eq!(state(&with_mine, "my-rule"), Some(false));
    assert_eq!(with_mine["rules"].as_array().unwrap().last().unwrap()["pack"], "mine");
    let text = sandbox.run(["rules", "--disable", "unix-docs"]).expect_status(0).stdout;
    let line = text.lines().find(|line| line.contains("unix-docs")).unwrap();
    assert!(line.contains("off, switched"), "{line}");
}

#[test]
fn a_rule_is_shown_with_what_it_takes() {
    let sandbox = tree();
    let shown = sandbox
        .run(["rules", "show", "unix-docs", "opt", "--format", "json"])
        .expect_status(0)
        .json();
    let rule = &shown["rules"][0];
    assert_eq!(rule["id"], "unix-docs");
    assert_eq!(rule["effect"]["files"], 1);
    assert_eq!(rule["effect"]["bytes"], 3);
    assert_eq!(rule["effect"]["paths"][0], "share/doc/x/README");
    // A rule that is off is shown as if it were on, and said to be off.
    let shown = sandbox
        .run(["rules", "show", "unix-docs", "opt", "--disable", "unix-docs"])
        .expect_status(0);
    assert!(shown.stdout.contains("off; on by default"), "{shown:#?}");
    assert!(shown.stdout.contains("would remove 1 file, 3 B in opt"), "{shown:#?}");
    assert!(
        shown.stdout.contains("reading the documentation on Lambda"),
        "{shown:#?}"
    );
    // A category stands for all its rules.
    let shown = sandbox
        .run(["rules", "show", "docs", "opt", "--format", "json"])
        .expect_status(0)
        .json();
    assert!(shown["rules"].as_array().unwrap().len() > 3);
    let ran = sandbox.run(["rules", "show", "unix-dosc", "opt"]).expect_status(2);
    assert!(ran.stderr.contains("did you mean 'unix-docs'?"), "{ran:#?}");
    let ran = sandbox.run(["rules", "show", "unix-docs", "nowhere"]).expect_status(2);
    assert!(ran.stderr.contains("cannot open nowhere"), "{ran:#?}");
}

#[test]
fn mistakes_in_ones_own_rules_are_found() {
    let sandbox = tree();
    let lints = |text: &str, status: i32| -> Vec<String> {
        sandbox.file("mine.toml", text);
        let linted = sandbox
            .run(["rules", "test", "mine.toml", "opt", "--format", "json"])
            .expect_status(status)
            .json();
        assert_eq!(linted["ok"], status == 0);
        linted["lints"]
            .as_array()
            .unwrap()
            .iter()
            .map(|lint| {
                let text = |name: &str| lint[name].as_str().unwrap_or("-").to_owned();
                format!("{} {} {} {}", text("rule"), text("kind"), lint["files"], text("other"))
            })
            .collect()
    };
    assert_eq!(lints(&rule("fine", "['bin']"), 0), [""; 0]);
    let all = [
        MINE.to_owned(),
        rule("nothing", "['no/such/*']"),
        rule("manual", "['share/man/man1/*.1']"),
        rule("hidden", "['share/doc/*/copyright']"),
        rule("wide", "['share']"),
        rule("needed", "['lib']"),
    ];
    assert_eq!(
        lints(&all.concat(), 1),
        [
            "hidden shadowed 1 wide",
            "manual shadows 1 unix-man",
            "manual shadowed 1 wide",
            "needed takes-needed 1 bin/tool",
            "nothing takes-nothing 0 -",
            "wide shadows 1 unix-docs",
            "wide shadows 1 hidden",
            "wide shadows 1 manual",
            "wide shadows 1 unix-man",
        ]
    );
    let text = sandbox
        .run(["rules", "test", "mine.toml", "opt"])
        .expect_status(1)
        .stdout;
    assert!(text.contains("it removes nothing in this tree"), "{text}");
    assert!(
        text.ends_with("mine.toml: 5 rules checked on opt, 9 problems.\n"),
        "{text}"
    );
    // A configuration can be tested as well.
    assert_eq!(
        lints(&format!("keep = ['share/**']\n{}", rule("wide", "['share']")), 1).len(),
        2
    );
}

#[test]
fn a_file_that_cannot_be_understood_is_an_answer() {
    let sandbox = tree();
    for (text, words) in [
        (
            "[[rules]]\nid = 'x'\ntitel = 'x'\n",
            "mine.toml:3:1: unknown key 'titel' in rules; did you mean 'title'?",
        ),
        (
            "[[rule]]\nid = 'x'\n",
            "mine.toml:1:3: unknown key 'rule'; did you mean 'rules'?",
        ),
        (
            "keep = ['a']\nkepp = []\n",
            "mine.toml:2:1: unknown key 'kepp'; did you mean 'keep'?",
        ),
        ("[[rules]\n", "mine.toml:1:"),
    ] {
        sandbox.file("mine.toml", text);
        let ran = sandbox.run(["rules", "test", "mine.toml", "opt"]).expect_status(1);
        assert!(ran.stderr.contains(words), "{ran:#?}");
        let ran = sandbox.run(["prune", "opt", "--rules", "mine.toml"]).expect_status(2);
        assert!(ran.stderr.contains("mine.toml:"), "{ran:#?}");
    }
    let ran = sandbox.run(["rules", "test", "none.toml", "opt"]).expect_status(2);
    assert!(ran.stderr.contains("none.toml"), "{ran:#?}");
}
