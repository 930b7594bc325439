//! What `prune` shows, moves, copies and refuses.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{Sandbox, output};

/// What goes, by path, with the rule.
fn goes(plan: &Value) -> Vec<String> {
    plan["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| format!("{} {}", file["path"].as_str().unwrap(), file["rule"].as_str().unwrap()))
        .collect()
}

/// What stays although a rule matches it, with what needs it.
fn spared(plan: &Value) -> Vec<String> {
    plan["spared"]
        .as_array()
        .unwrap()
        .iter()
        .map(|spared| {
            let text = |name: &str| spared[name].as_str().unwrap().to_owned();
            format!("{} {} {}", text("path"), text("rule"), text("needed_by"))
        })
        .collect()
}

fn plan(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    let mut all = vec!["prune", "opt", "--format", "json"];
    all.extend(arguments);
    sandbox.run(all).expect_status(0).json()
}

/// An R with packages `(name, what DESCRIPTION says)`.
fn r_tree(packages: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("opt/R/bin/R", "#!/bin/sh\n").file("opt/R/etc/ldpaths", "");
    for (name, description) in packages {
        let file = |below: &str| format!("opt/R/library/{name}/{below}");
        sandbox
            .file(
                &file("DESCRIPTION"),
                format!("Package: {name}\n{description}\nBuilt: R 4.2.2\n"),
            )
            .file(&file("NAMESPACE"), format!("useDynLib({name})\n"))
            .file(&file("Meta/package.rds"), "x")
            .file(&file(&format!("R/{name}.rdb")), "x")
            .file(&file(&format!("libs/{name}.so")), "x")
            .file(&file("libs/optional.so"), "x")
            .file(&file("help/AnIndex"), "x")
            .file(&file("LICENSE"), "x");
    }
    sandbox
}

#[test]
fn the_plan_is_shown_and_nothing_is_changed() {
    let sandbox = Sandbox::new();
    sandbox
        .file("opt/share/man/man1/x.1", "12345")
        .file("opt/include/x.h", "123")
        .file("opt/lib/data", "1");
    let shown = sandbox.run(["prune", "opt"]).expect_status(0);
    let lines: Vec<&str> = shown.stdout.lines().collect();
    assert!(
        lines[2].trim_start().starts_with("unix-man") && lines[2].contains("5 B"),
        "{shown:#?}"
    );
    assert!(lines[3].trim_start().starts_with("unix-headers"), "{shown:#?}");
    assert!(
        shown.stdout.contains(
            "opt: would remove 2 of 3 files (8 B) and keep 1 (1 B). \
             Nothing was changed: use --apply to prune the tree, or --to DIR to make a pruned copy.\n"
        ),
        "{shown:#?}"
    );
    assert!(!shown.stdout.contains("share/man/man1/x.1"));
    let verbose = sandbox.run(["prune", "opt", "-v"]).expect_status(0);
    let line = verbose
        .stdout
        .lines()
        .find(|line| line.contains("share/man/man1/x.1"))
        .unwrap();
    assert!(
        line.contains("unix-man") && line.contains("Manual pages"),
        "{verbose:#?}"
    );
    let plan = plan(&sandbox, &["--drop", "lib/data"]);
    assert_eq!(
        goes(&plan),
        [
            "include/x.h unix-headers",
            "lib/data --drop",
            "share/man/man1/x.1 unix-man"
        ]
    );
    assert_eq!(plan["outcome"], "planned");
    assert_eq!(sandbox.contents("opt/lib").len(), 1);
}

#[test]
fn what_is_needed_stays_and_the_answer_says_why() {
    let sandbox = Sandbox::new();
    sandbox
        .file("opt/bin/tool", "#!/opt/include/interpreter.h\n")
        .file("opt/bin/other", "#!/usr/bin/env language\n")
        .link("opt/bin/language", "../include/language.h")
        .file("opt/include/interpreter.h", "x")
        .file("opt/include/language.h", "x")
        .file("opt/include/x.h", "x")
        // A link to a directory keeps the directory, not what a rule removes of it.
        .link("opt/etc/man", "../share/man/man1")
        .file("opt/share/man/man1/x.1", "x")
        .link("opt/lib64", "lib")
        .file("opt/lib/x.a", "x")
        .link("opt/etc/empty", "../share/pkgconfig")
        .file("opt/share/pkgconfig/libx.a", "x");
    let plan = plan(&sandbox, &["--disable", "unix-pkgconfig"]);
    assert_eq!(
        goes(&plan),
        [
            "include/x.h unix-headers",
            "lib/x.a unix-static-libraries",
            "share/man/man1/x.1 unix-man",
            "share/pkgconfig/libx.a unix-static-libraries"
        ]
    );
    assert_eq!(
        spared(&plan),
        [
            "include/interpreter.h unix-headers bin/tool",
            "include/language.h unix-headers bin/language",
        ]
    );
    // The folders that links lead to are there, be they empty.
    sandbox
        .run(["prune", "opt", "--disable", "unix-pkgconfig", "--to", "copy"])
        .expect_status(0);
    for link in ["copy/lib64", "copy/etc/empty", "copy/etc/man"] {
        assert!(sandbox.path(link).is_dir(), "{link}");
    }
}

#[test]
fn a_package_keeps_what_it_loads_and_what_it_imports() {
    let sandbox = r_tree(&[
        ("base", ""),
        ("lattice", "Imports: grid (>= 1.0)"),
        ("grid", ""),
        ("nlme", "Depends: R (>= 3.5), lattice"),
        ("tcltk", ""),
    ]);
    sandbox.file(
        "rules.toml",
        "[[rules]]\nid = 'greedy'\ntitle = 'x'\ncategory = 'mine'\nanchor = 'r-home'\n\
         paths = ['library/{grid,lattice}', 'library/*/{R,Meta,libs}', 'etc']\npack-except = false\n\
         breaks = 'x'\nsource = 'x'\n",
    );
    let plan = plan(&sandbox, &["--rules", "rules.toml"]);
    let spared = spared(&plan);
    for expected in [
        "R/library/nlme/libs/nlme.so greedy R/library/nlme",
        "R/library/nlme/R/nlme.rdb greedy R/library/nlme",
        "R/library/nlme/Meta/package.rds greedy R/library/nlme",
        "R/library/lattice/DESCRIPTION greedy R/library/nlme",
        "R/library/grid/DESCRIPTION greedy R/library/lattice",
        "R/library/grid/LICENSE greedy R/library/lattice",
        "R/etc/ldpaths greedy R/bin/R",
    ] {
        assert!(spared.iter().any(|line| line == expected), "{expected}: {spared:#?}");
    }
    let goes = goes(&plan);
    for expected in [
        // What other rules take of a package that came back, they take.
        "R/library/grid/help/AnIndex r-help",
        // It is registered nowhere: the package opens it or does not, but loads without it.
        "R/library/nlme/libs/optional.so greedy",
        "R/library/tcltk/DESCRIPTION r-tcltk",
        "R/library/nlme/help/AnIndex r-help",
    ] {
        assert!(goes.iter().any(|line| line == expected), "{expected}: {goes:#?}");
    }
}

#[test]
fn r_packages_are_selected_with_all_that_they_need() {
    let sandbox = r_tree(&[
        ("base", ""),
        ("compiler", ""),
        ("stats", "Imports: utils"),
        ("utils", ""),
        ("jsonlite", "Depends: methods"),
        ("methods", ""),
        ("tcltk", "Imports: boot"),
        ("boot", ""),
        ("mgcv", ""),
    ]);
    let packages = |arguments: &[&str]| {
        let plan = plan(&sandbox, arguments);
        let gone: BTreeSet<String> = goes(&plan)
            .iter()
            .filter(|line| line.contains("/DESCRIPTION "))
            .map(|line| line.split('/').nth(2).unwrap().to_owned())
            .collect();
        gone.into_iter().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(packages(&[]), "tcltk");
    assert_eq!(packages(&["--r-packages", "jsonlite,stats"]), "boot mgcv tcltk");
    // What is asked for by name beats a rule that would remove it, but not the rules for its parts.
    assert_eq!(packages(&["--r-packages", "tcltk"]), "jsonlite mgcv");
    assert_eq!(packages(&["--enable", "r-recommended"]), "boot mgcv tcltk");
    assert_eq!(
        packages(&["--enable", "r-recommended", "--r-packages", "tcltk,mgcv"]),
        "jsonlite"
    );
    let plan = plan(&sandbox, &["--r-packages", "tcltk"]);
    assert!(
        spared(&plan).contains(&"R/library/tcltk/DESCRIPTION r-tcltk --r-packages".to_owned()),
        "{plan:#}"
    );
    assert!(goes(&plan).contains(&"R/library/mgcv/LICENSE --r-packages".to_owned()));
    assert!(goes(&plan).contains(&"R/library/tcltk/help/AnIndex r-help".to_owned()));
    let ran = sandbox
        .run(["prune", "opt", "--r-packages", "jsonlit"])
        .expect_status(2);
    assert!(
        ran.stderr
            .contains("--r-packages: the tree has no R package 'jsonlit'; did you mean 'jsonlite'?"),
        "{ran:#?}"
    );
    sandbox.file("lambdar-prune.toml", "r-packages = ['stats']\n");
    assert_eq!(packages(&[]), "boot jsonlite mgcv tcltk");
    assert_eq!(packages(&["--r-packages", "jsonlite"]), "boot mgcv tcltk");
}

#[test]
fn apply_and_undo_leave_the_tree_as_it_was() {
    let sandbox = Sandbox::new();
    sandbox
        .file("opt/include/x.h", "header")
        .file("opt/lib/data", "1")
        .link("way", "opt");
    let listing = || {
        output(
            "find",
            &[sandbox.path("opt").to_str().unwrap(), "-printf", "%P %y %m %s %T@ %l\n"],
        )
    };
    let before = listing();
    // By another name of the tree: the trash is next to the tree itself.
    let applied = sandbox.run(["prune", "way", "--apply"]).expect_status(0);
    assert!(
        applied.stdout.contains("removed 1 of 2 files (6 B) and kept 1 (1 B)."),
        "{applied:#?}"
    );
    assert!(!sandbox.path("opt/include").exists());
    assert_eq!(
        fs_err::read(sandbox.path("opt.lambdar-prune-trash/1/files/include/x.h")).unwrap(),
        b"header"
    );
    let again = sandbox.run(["prune", "opt", "--apply"]).expect_status(0);
    assert!(again.stdout.ends_with("There was nothing to remove.\n"), "{again:#?}");
    let undone = sandbox
        .run(["prune", "opt", "--undo", "--format", "json"])
        .expect_status(0)
        .json();
    assert_eq!((&undone["outcome"], &undone["moved"]), (&"undone".into(), &1.into()));
    assert_eq!(listing(), before);
    let ran = sandbox.run(["prune", "opt", "--undo"]).expect_status(2);
    assert!(ran.stderr.contains("nothing to undo"), "{ran:#?}");
}

#[test]
fn a_run_that_was_cut_short_is_told_of_and_finished() {
    let sandbox = Sandbox::new();
    sandbox
        .file("opt/include/x.h", "x")
        .file("opt/lib/x.a", "x")
        .file("opt/lib/data", "x");
    sandbox.run(["prune", "opt", "--apply"]).expect_status(0);
    // As it is when the run is killed between two moves.
    fs_err::remove_file(sandbox.path("opt.lambdar-prune-trash/1/complete")).unwrap();
    fs_err::rename(
        sandbox.path("opt.lambdar-prune-trash/1/files/lib/x.a"),
        sandbox.path("opt/lib/x.a"),
    )
    .unwrap();
    let shown = sandbox.run(["prune", "opt"]).expect_status(0);
    assert!(shown.stderr.contains("interrupted"), "{shown:#?}");
    let applied = sandbox.run(["prune", "opt", "--apply"]).expect_status(0);
    assert!(applied.stderr.contains("moved the remaining 1 path to"), "{applied:#?}");
    assert!(!sandbox.path("opt/lib/x.a").exists());
    let shown = sandbox.run(["prune", "opt"]).expect_status(0);
    assert_eq!(shown.stderr, "");
    sandbox.run(["prune", "opt", "--undo"]).expect_status(0);
    assert!(sandbox.path("opt/include/x.h").exists() && sandbox.path("opt/lib/x.a").exists());
}

#[test]
fn what_must_not_be_pruned_is_refused() {
    let sandbox = Sandbox::new();
    sandbox
        .file("home/work/opt/include/x.h", "x")
        .link("root", "/")
        .link("mine", "home");
    let home = sandbox.path("home");
    let run = |arguments: &[&str]| {
        sandbox.run_with(arguments, |command| {
            command.env("HOME", &home);
        })
    };
    for (tree, words) in [
        ("/", "the root of the file system"),
        ("root", "the root of the file system"),
        ("home", "a home directory"),
        ("mine", "a home directory"),
        (".", "a directory with your home directory in it"),
        ("/usr", "a directory of the system"),
        ("/root/../etc", "a directory of the system"),
    ] {
        for action in [&["--apply"][..], &["--undo"], &[], &["--to", "copy"]] {
            let mut arguments = vec!["prune", tree];
            arguments.extend(action);
            let ran = run(&arguments).expect_status(2);
            assert!(
                ran.stderr.contains(words) && ran.stderr.contains("Nothing was touched"),
                "{ran:#?}"
            );
            assert_eq!(ran.stdout, "");
        }
    }
    run(&["prune", "home/work/opt", "--apply"]).expect_status(0);
    let ran = run(&["prune", "nowhere", "--apply"]).expect_status(2);
    assert!(ran.stderr.contains("cannot open nowhere"), "{ran:#?}");
}

#[test]
fn a_tree_that_cannot_be_written_to_is_not_touched() {
    for closed in ["opt", "opt/lib", "opt/include"] {
        let sandbox = Sandbox::new();
        sandbox
            .file("opt/include/x.h", "x")
            .file("opt/lib/x.a", "x")
            .file("opt/lib/data", "x")
            .mode("opt", 0o777)
            .mode("opt/lib", 0o777)
            .mode("opt/include", 0o777)
            .mode(closed, 0o555);
        let Some(ran) = sandbox.run_as_nobody(&["prune", "opt", "--apply"]) else {
            return;
        };
        let ran = ran.expect_status(2);
        assert!(
            ran.stderr.contains("cannot write to") && ran.stderr.contains("Nothing was touched"),
            "{ran:#?}"
        );
        assert!(sandbox.path("opt/include/x.h").exists() && sandbox.path("opt/lib/x.a").exists());
        assert!(!sandbox.path("opt.lambdar-prune-trash").exists());
    }
}

#[test]
fn wrong_flags_are_explained() {
    let sandbox = Sandbox::new();
    sandbox.file("opt/include/x.h", "x");
    for (arguments, words) in [
        (&["--apply", "--undo"][..], "cannot be used with"),
        (&["--apply", "--to", "x"], "cannot be used with"),
        (&["--undo", "--drop", "x"], "cannot be used with"),
        (&["--link", "hard"], "--to <DIR>"),
        (&["--to", "opt/x"], "is inside the tree"),
        (&["--to", "opt"], "something in it"),
        (&["--keep", "/x"], "'/x' is not a glob for paths in a tree"),
        (&["--r-packages", "stats"], "no installed R package"),
        (&["--config", "none.toml"], "none.toml"),
    ] {
        let mut all = vec!["prune", "opt"];
        all.extend(arguments);
        let ran = sandbox.run(all).expect_status(2);
        assert!(ran.stderr.contains(words), "{arguments:?}: {ran:#?}");
    }
    assert!(sandbox.path("opt/include/x.h").exists());
}

#[test]
fn a_project_has_its_own_rules() {
    let sandbox = Sandbox::new();
    sandbox
        .file("opt/include/x.h", "x")
        .file("opt/data/large", "x")
        .file("opt/data/small", "x")
        .file(
            "lambdar-prune.toml",
            "disable = ['development']\nkeep = ['data/small']\n[[rules]]\nid = 'mine'\ntitle = 'Our data'\n\
             category = 'data'\npaths = ['data']\nbreaks = 'x'\nsource = 'we'\n",
        );
    for command in ["prune", "analyze", "pack"] {
        let ran = sandbox
            .run([command, "opt", "--format", "json"])
            .expect_status(0)
            .json();
        let text = ran.to_string();
        assert!(text.contains("mine"), "{command}: {text}");
    }
    assert_eq!(goes(&plan(&sandbox, &[])), ["data/large mine"]);
    assert_eq!(
        goes(&plan(&sandbox, &["--enable", "unix-headers", "--disable", "mine"])),
        ["include/x.h unix-headers"]
    );
    sandbox.file("other.toml", "enabel = ['x']\n");
    let ran = sandbox.run(["prune", "opt", "--config", "other.toml"]).expect_status(2);
    assert!(
        ran.stderr
            .contains("other.toml:1:1: unknown key 'enabel'; did you mean 'enable'?"),
        "{ran:#?}"
    );
}
