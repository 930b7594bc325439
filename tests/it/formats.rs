//! The formats of `check` as the program writes them, completions and manual pages.

use crate::github::command;
use crate::support::Sandbox;

#[test]
fn github_finds_no_command_in_the_other_forms_on_stdout() {
    let sandbox = Sandbox::new();
    sandbox.link("opt/link", "\n::error::pwned");
    let forms = [
        "check",
        "opt",
        "--runtime",
        "python3.13",
        "--format",
        "table",
        "--output",
        "github",
        "--output",
        "json",
    ];
    let ran = sandbox.run(forms);
    let mut stopped: Option<String> = None;
    let mut commands = Vec::new();
    for line in ran.stdout.lines() {
        match (command(line), &stopped) {
            (Some((name, _, word)), None) if name == "stop-commands" => stopped = Some(word),
            (Some((name, ..)), None) => commands.push(name),
            (Some((name, ..)), Some(word)) if name == *word => stopped = None,
            _ => {}
        }
    }
    assert_eq!(stopped, None, "{ran:#?}");
    assert_eq!(commands.len(), 1, "{ran:#?}");
    // With the table alone there is nobody to be stopped.
    assert!(!sandbox.run(["check", "opt"]).stdout.contains("stop-commands"));
}

#[test]
fn several_forms_in_one_run() {
    let sandbox = Sandbox::new();
    sandbox.link("opt/link", "nowhere");
    let ran = sandbox.run_with(
        [
            "check",
            "opt",
            "--format",
            "table",
            "--output",
            "json=out/new/report.json",
            "--output",
            "junit=j.xml",
            "-o",
            "sarif=s.sarif",
            "--output=markdown=m.md",
            "-o",
            "github",
            "-o",
            "table=t.txt",
        ],
        |command| {
            command.env("COLUMNS", "20");
        },
    );
    assert!(
        ran.stdout.contains("dangling-link") && ran.stdout.contains("\n::"),
        "{ran:#?}"
    );
    let read = |name: &str| fs_err::read_to_string(sandbox.path(name)).unwrap();
    let alone = |form: &str| sandbox.run(["check", "opt", "--format", form]);
    for (form, file) in [
        ("json", "out/new/report.json"),
        ("junit", "j.xml"),
        ("sarif", "s.sarif"),
        ("markdown", "m.md"),
        ("table", "t.txt"),
    ] {
        let alone = alone(form);
        assert_eq!(read(file), alone.stdout, "{form}");
        assert_eq!(alone.status, ran.status);
    }
    // A form on stdout takes the table's place, unless the table is asked for.
    let json = sandbox.run(["check", "opt", "-o", "json=-"]);
    assert_eq!(json.stdout, alone("json").stdout);
    let file = sandbox.run(["check", "opt", "-o", "json=x.json"]);
    assert_eq!(file.stdout, alone("table").stdout);
    for (output, words) in [
        ("yaml=x", "'yaml' is not a format"),
        ("json=", "the file after '=' is missing"),
        (
            "x.json",
            "'x.json' is not a format; use one of table, json, github, junit, sarif, markdown",
        ),
    ] {
        let ran = sandbox.run(["check", "opt", "--output", output]).expect_status(2);
        assert!(ran.stderr.contains(words), "{ran:#?}");
    }
    let twice = sandbox
        .run(["check", "opt", "-o", "json=x", "-o", "sarif=x"])
        .expect_status(2);
    assert!(twice.stderr.contains("x is named twice"), "{twice:#?}");
    // A file that cannot be written is an error, and the answer is still there.
    let ran = sandbox.run(["check", "opt", "-o", "json=/dev/null/x"]).expect_status(2);
    assert_eq!(ran.stdout, alone("table").stdout);
    assert!(ran.stderr.contains("/dev/null"), "{ran:#?}");
    // Other commands have the forms that they had.
    sandbox.run(["analyze", "opt", "--format", "sarif"]).expect_status(2);
}

#[test]
fn shells_and_man_are_served() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = sandbox.run(["completions", shell]).expect_status(0).stdout;
        for word in ["analyze", "check", "baseline", "completions"] {
            assert!(script.contains(word), "{shell} {word}");
        }
    }
    let manual = sandbox.run(["man"]).expect_status(0).stdout;
    assert!(
        manual.starts_with(".ie") && manual.contains(".TH lambdar-prune 1"),
        "{manual:.200}"
    );
    assert!(manual.contains("\\-\\-baseline"));
    sandbox.file("page.1", &manual);
    sandbox.file("complete.bash", sandbox.run(["completions", "bash"]).stdout);
    let script = sandbox.path("complete.bash").display().to_string();
    let complete = "source \"$1\"; COMP_WORDS=(lambdar-prune che); COMP_CWORD=1; \
                    \"$(complete -p lambdar-prune | sed 's/.*-F \\([^ ]*\\).*/\\1/')\" lambdar-prune che lambdar-prune; \
                    echo \"${COMPREPLY[@]}\"";
    if let Some(words) = crate::support::output("bash", &["-c", complete, "bash", &script]) {
        assert_eq!(words.trim(), "check");
    }
}
