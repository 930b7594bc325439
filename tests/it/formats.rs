//! The formats of `check` as the program writes them, completions and manual pages.

use std::path::Path;
use std::process::{Command, Stdio};

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
    sandbox.link("opt/link", "nowhere").folder("out/new");
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
            "'x.json' is not a format; did you mean 'json'? (use one of table, json, github, junit, sarif, markdown",
        ),
    ] {
        let ran = sandbox.run(["check", "opt", "--output", output]).expect_status(2);
        assert!(ran.stderr.contains(words), "{ran:#?}");
    }
    let twice = sandbox
        .run(["check", "opt", "-o", "json=x", "-o", "sarif=./x"])
        .expect_status(2);
    assert!(twice.stderr.contains("x is named twice"), "{twice:#?}");
    // A file that cannot be written is an error, and the answer is still there.
    let ran = sandbox.run(["check", "opt", "-o", "json=/dev/full"]).expect_status(2);
    assert_eq!(ran.stdout, alone("table").stdout);
    assert!(ran.stderr.contains("cannot write the report"), "{ran:#?}");
    // Where there can be no file, nothing is begun.
    for (place, words) in [
        ("json=/dev/null/x", "/dev/null is not a directory"),
        ("json=none/x", "there is no directory none"),
        ("json=opt", "cannot write opt: it is a directory"),
    ] {
        let ran = sandbox.run(["check", "opt", "-o", place]).expect_status(2);
        assert_eq!(ran.stdout, "");
        assert!(ran.stderr.contains(words), "{ran:#?}");
    }
    // Other commands have the forms that they had.
    sandbox.run(["analyze", "opt", "--format", "sarif"]).expect_status(2);
}

#[test]
fn documents_of_pack_do_not_overwrite_one_another() {
    let sandbox = Sandbox::new();
    sandbox.file("opt/lib/x", "x").file("taken", "x");
    for (options, words) in [
        (&["--sbom", "spdx=-"][..], "stdout has the report"),
        (&["--provenance=-"], "stdout has the report"),
        (&["--sbom", "spdx=s", "--provenance=./s"], "./s is named twice"),
        (&["--sbom", "spdx=s", "--sbom", "cyclonedx=s"], "s is named twice"),
        (&["--report", "json=layers/layers.json"], "belongs to the layers"),
        (&["--sbom", "spdx=layers/layer-1.zip"], "belongs to the layers"),
        (&["--sbom", "spdx=none/s"], "there is no directory none"),
        (&["-o", "taken"], "taken is not a directory"),
        (&["-o", "taken/layers"], "taken is not a directory"),
    ] {
        let ran = sandbox.run([&["pack", "opt"], options].concat()).expect_status(2);
        assert!(ran.stderr.contains(words), "{options:?}: {ran:#?}");
        assert!(!sandbox.path("layers").exists(), "{options:?}");
    }
    // What goes next to the layers may go there before they are.
    sandbox
        .run(["pack", "opt", "--report", "json=layers/report.json", "--sbom", "spdx"])
        .expect_status(0);
    assert!(sandbox.path("layers/report.json").exists());
}

#[test]
fn commands_for_layers_read_those_that_the_configuration_names() {
    let sandbox = Sandbox::new();
    sandbox.file("project/opt/python/m.py", "x = 1\n").file(
        "project/lambdar-prune.toml",
        "tree = 'opt'\noutput = 'dist'\nruntime = 'python3.13'\n",
    );
    let with = |words: &[&str]| sandbox.run([words, &["--config", "project/lambdar-prune.toml"]].concat());
    with(&["pack", "--provenance"]).expect_status(0);
    for command in [
        &["check"][..],
        &["sbom"],
        &["verify"],
        &["publish", "--name", "x", "--dry-run"],
    ] {
        with(command).expect_status(0);
    }
    // A runtime in it that does not exist is told as one on the command line is.
    sandbox.file("project/lambdar-prune.toml", "runtime = 'python313'\n");
    let ran = with(&["check", "project/opt"]).expect_status(2);
    assert!(ran.stderr.contains("did you mean 'python3.13'?"), "{ran:#?}");
}

/// What a shell offers behind some words, once it has read the script that the program gives it; `None` without that shell.
fn completed(sandbox: &Sandbox, shell: &str, script: &str, words: &[&str]) -> Option<Vec<String>> {
    let program = Path::new(env!("CARGO_BIN_EXE_lambdar-prune"));
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(shell);
    command
        .current_dir(sandbox.path(""))
        .env("PATH", format!("{}:{path}", program.parent().unwrap().display()))
        .env("HOME", sandbox.path(""))
        .stdin(Stdio::null());
    match shell {
        "bash" => command.args(["--norc", "-c", script, "bash"]).args(words),
        "fish" => command.args(["--no-config", "-c", script]).arg(words.join(" ")),
        _ => command.args(["-f", "-c", script, "zsh"]).args(words),
    };
    let Ok(output) = command.output() else {
        crate::support::output(shell, &["--version"]);
        return None;
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let first = |line: &str| line.split(['\t', ':']).next().unwrap_or_default().trim().to_owned();
    Some(text.lines().map(first).filter(|word| !word.is_empty()).collect())
}

#[test]
fn shells_complete_to_the_last_word() {
    let sandbox = Sandbox::new();
    sandbox
        .file("tree/lib/libx.so.1", "x")
        .file("my tree/shared/x", "x")
        .file("lambdar-prune.toml", "tree = 'tree'\n");
    let bash = "source <(lambdar-prune completions bash); COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
                fn=$(complete -p lambdar-prune | sed 's/.*-F \\([^ ]*\\).*/\\1/'); \
                \"$fn\" lambdar-prune \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"; \
                printf '%s\\n' \"${COMPREPLY[@]}\"";
    let fish = "lambdar-prune completions fish | source; complete -C \"$argv\"";
    // What zsh's own function asks the program, without a terminal to complete in.
    let zsh = "_CLAP_COMPLETE_INDEX=$(($# - 1)) LAMBDAR_PRUNE_COMPLETE=zsh lambdar-prune -- \"$@\"";
    for (words, expected) in [
        (vec!["lambdar-prune", "che"], "check"),
        (vec!["lambdar-prune", "pack", "--eff"], "--effort"),
        (vec!["lambdar-prune", "pack", "--effort", "b"], "best"),
        (vec!["lambdar-prune", "check", "--format", "sar"], "sarif"),
        (vec!["lambdar-prune", "pack", "--disable", "r-tcl"], "r-tcltk"),
        (
            vec!["lambdar-prune", "check", "--explain", "missing-lib"],
            "missing-library",
        ),
        (vec!["lambdar-prune", "check", "--runtime", "python3.13"], "python3.13"),
        (vec!["lambdar-prune", "rules", "sh"], "show"),
        (vec!["lambdar-prune", "why", "lib/libx"], "lib/libx.so.1"),
        (vec!["lambdar-prune", "check", "--arch", "arm"], "arm64"),
        (vec!["lambdar-prune", "check", "-o", "sar"], "sarif"),
        (vec!["lambdar-prune", "pack", "--sbom", "sp"], "spdx"),
        (
            vec!["lambdar-prune", "pack", "my\\ tree", "--keep", "shared"],
            "shared/",
        ),
        (vec!["lambdar-prune", "why", "--tree", "'my tree'", "shared"], "shared/"),
    ] {
        for (shell, script) in [("bash", bash), ("fish", fish), ("zsh", zsh)] {
            if let Some(offered) = completed(&sandbox, shell, script, &words) {
                assert!(offered.contains(&expected.to_owned()), "{shell} {words:?}: {offered:?}");
            }
        }
    }
    // As readline has them: split at `=`, of which only what follows is replaced.
    for (words, expected) in [
        (
            vec!["lambdar-prune", "check", "--runtime", "=", "python3.13"],
            "python3.13",
        ),
        (vec!["lambdar-prune", "pack", "--effort", "="], "best"),
        (vec!["lambdar-prune", "pack", "--no-fix", "=", "comp"], "companions"),
        (
            vec!["lambdar-prune", "check", "-o", "json", "=", "lambd"],
            "lambdar-prune.toml",
        ),
        (
            vec!["lambdar-prune", "check", "--runtime", "=", "python3.13", "--for"],
            "--format",
        ),
    ] {
        if let Some(offered) = completed(&sandbox, "bash", bash, &words) {
            assert!(offered.contains(&expected.to_owned()), "{words:?}: {offered:?}");
        }
    }
    let nothing = completed(&sandbox, "bash", bash, &["lambdar-prune", "check", "--eff"]);
    assert_eq!(nothing.unwrap_or_default(), [""; 0]);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        sandbox.run(["completions", shell]).expect_status(0);
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let sandbox = Sandbox::new();
    let manual = sandbox.run(["man"]).expect_status(0).stdout;
    assert!(
        manual.starts_with(".ie") && manual.contains(".TH lambdar-prune 1"),
        "{manual:.200}"
    );
    assert!(manual.contains("\\-\\-baseline"));
    assert!(!manual.contains("prune\\-inside"), "hidden commands are nowhere");
    sandbox.folder("man");
    sandbox.run(["man", "-o", "man"]).expect_status(0);
    for page in ["lambdar-prune.1", "lambdar-prune-pack.1", "lambdar-prune-rules-show.1"] {
        assert!(sandbox.path("man").join(page).exists(), "{page}");
    }
}

/// The phases of a run are on stderr, whatever is on stdout.
#[test]
fn timings_are_told_of_every_command() {
    let sandbox = Sandbox::new();
    sandbox.file("opt/share/data", "x".repeat(5_000));
    for (arguments, phases) in [
        (
            &["pack", "opt"][..],
            &["scan", "plan", "compress", "distribute", "write zips", "judge"][..],
        ),
        (&["check"], &["read zips", "judge"]),
        (&["analyze", "opt"], &["scan", "plan"]),
        (&["rules"], &[]),
        (&["check", "nowhere"], &[]),
    ] {
        let timed = sandbox.run([arguments, &["--timings=json"]].concat());
        // Every run but the first finds the layers as they are to be.
        sandbox.run(arguments);
        let timed_again = sandbox.run([arguments, &["--timings=json"]].concat());
        let plain = sandbox.run(arguments);
        assert_eq!(
            (timed_again.status, &timed_again.stdout),
            (plain.status, &plain.stdout),
            "{arguments:?}"
        );
        let start = timed.stderr.find("{\n").unwrap();
        let document: serde_json::Value = serde_json::from_str(&timed.stderr[start..]).unwrap();
        let listed = document["phases"].as_array().unwrap();
        for phase in phases {
            assert!(
                listed.iter().any(|row| row["phase"] == *phase),
                "{arguments:?}: {document}"
            );
        }
        let outer = listed.iter().filter(|row| row["depth"] == 0);
        let sum: u64 = outer.map(|row| row["wall_microseconds"].as_u64().unwrap()).sum();
        assert!(sum <= document["wall_microseconds"].as_u64().unwrap(), "{document}");
        let table = sandbox.run([arguments, &["--timings"]].concat()).stderr;
        assert!(table.contains("Per second") && table.contains("total"), "{table}");
    }
    let timed = sandbox.run(["pack", "opt", "--timings=json", "--no-cache", "-o", "other"]);
    let start = timed.stderr.find("{\n").unwrap();
    let document: serde_json::Value = serde_json::from_str(&timed.stderr[start..]).unwrap();
    let phases = document["phases"].as_array().unwrap().iter();
    let compress: Vec<_> = phases
        .filter(|row| row["phase"] == "compress" && row["depth"] == 0)
        .collect();
    assert_eq!(compress[0]["bytes"], 5_000);
}
