//! What `why` and `runtimes` say, and what keeps programs from starting besides libraries.

use std::process::Command;

use crate::support::{Sandbox, testdata};

fn why(arguments: &[&str]) -> String {
    let sandbox = Sandbox::new();
    let (tree, host) = (testdata("opt"), testdata("host"));
    let mut all = vec![
        "why",
        "--tree",
        tree.to_str().unwrap(),
        "--library-dir",
        host.to_str().unwrap(),
    ];
    all.extend(arguments);
    sandbox.run(all).expect_status(0).stdout
}

#[test]
fn chains_lead_from_a_program_to_the_file() {
    let text = why(&["lib/libchain.so.1"]);
    let chain = "  /opt/bin/hello\n  -> /opt/lib/libbundled.so.1 (LD_LIBRARY_PATH)\n     -> /opt/lib/libchain.so.1 (LD_LIBRARY_PATH)\n";
    assert!(text.contains(chain), "{text}");
    // By its name it is the same library, and by a path on disk, too.
    assert!(why(&["libchain.so.1"]).contains(chain));
    let on_disk = testdata("opt/lib/libchain.so.1");
    assert!(why(&[on_disk.to_str().unwrap()]).contains(chain));
    let text = why(&["lib/libbundled.so"]);
    assert!(text.contains("is lib/libbundled.so.1.2.3 in the tree"), "{text}");
    assert!(
        text.contains("Links to it: lib/libbundled.so, lib/libbundled.so.1, lib/libbundled.so.1.2."),
        "{text}"
    );
}

#[test]
fn a_miss_shows_where_was_searched() {
    let text = why(&["libfar.so.1"]);
    assert!(text.contains("libfar.so.1 is not in the tree."), "{text}");
    for line in [
        "/lib64 (LD_LIBRARY_PATH): no such file",
        "/opt/lib (LD_LIBRARY_PATH): no such file",
        "/usr/lib64 (default): no such file",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(
        text.contains("pack adds it from") && text.contains("testdata/host/libfar.so.1"),
        "{text}"
    );
    let text = why(&["libnowhere.so.9"]);
    assert!(
        text.contains("never loaded") && !text.contains("pack adds it"),
        "{text}"
    );
    let text = why(&["lib/libz.so.1"]);
    assert!(
        text.contains("It is never loaded: /usr/lib64/libz.so.1 of provided.al2023 comes first."),
        "{text}"
    );
}

#[test]
fn rules_are_named_and_nonsense_is_refused() {
    assert!(why(&["share/man/man1/hello.1"]).contains("Rule unix-man removes it."));
    let sandbox = Sandbox::new();
    let tree = testdata("opt");
    let ran = sandbox
        .run(["why", "nonsense", "--tree", tree.to_str().unwrap()])
        .expect_status(1);
    assert!(ran.stderr.contains("nonsense is not a path in"), "{ran:#?}");
    let json = sandbox
        .run([
            "why",
            "libfar.so.1",
            "--tree",
            tree.to_str().unwrap(),
            "--format",
            "json",
        ])
        .expect_status(0)
        .json();
    assert!(json["misses"][0]["searched"].as_array().unwrap().len() > 5);
    assert_eq!(json["misses"][0]["searched"][0]["via"], "LD_LIBRARY_PATH");
}

#[test]
fn runtimes_are_listed_shown_and_captured() {
    let sandbox = Sandbox::new();
    let list = sandbox.run(["runtimes"]).expect_status(0).stdout;
    for name in [
        "provided.al2023",
        "provided.al2",
        "python3.14",
        "nodejs24.x",
        "ruby3.4",
        "java25",
        "dotnet10",
    ] {
        assert!(list.contains(name), "{name}");
    }
    let shown = sandbox.run(["runtimes", "show", "python3.12"]).expect_status(0).stdout;
    assert!(
        shown.contains("/var/lang/lib/libpython3.12.so.1.0") && shown.contains("up to GLIBC_2.34"),
        "{shown}"
    );
    sandbox.run(["runtimes", "show", "cobol"]).expect_status(2);
    // A root in miniature: a loader that is none, and a library of the test tree.
    let library = fs_err::read(testdata("host/libfar.so.1")).unwrap();
    sandbox
        .file("root/lib64/ld-linux-x86-64.so.2", b"\0/lib64/\0/usr/lib64/\0")
        .file("root/lib64/libfar.so.1", &library)
        .file("root/usr/bin/tool", "#!/bin/sh\n")
        .mode("root/usr/bin/tool", 0o755);
    let ran = sandbox.run(["runtimes", "capture", "root"]).expect_status(2);
    assert!(ran.stderr.contains("has no loader"), "{ran:#?}");
    // The loader must be an ELF object: any will do.
    sandbox.file("root/lib64/ld-linux-x86-64.so.2", &library);
    sandbox
        .run(["runtimes", "capture", "root", "-o", "mine.toml"])
        .expect_status(0);
    let shown = sandbox
        .run(["runtimes", "show", "mine.toml", "--format", "json"])
        .expect_status(0)
        .json();
    assert_eq!(shown["name"], "root");
    let files: Vec<&str> = shown["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file.as_str().unwrap())
        .collect();
    assert_eq!(
        files,
        ["/lib64/ld-linux-x86-64.so.2", "/lib64/libfar.so.1", "/usr/bin/tool"]
    );
    // With that runtime libfar is provided, and what libfar itself needs is what is missing.
    let tree = testdata("opt");
    let arguments = [
        "analyze",
        tree.to_str().unwrap(),
        "--runtime",
        "mine.toml",
        "--format",
        "json",
    ];
    let analysis = sandbox.run(arguments).expect_status(1).json();
    let missing: Vec<&str> = analysis["libraries"]["missing"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["soname"].as_str().unwrap())
        .collect();
    assert!(
        !missing.contains(&"libfar.so.1") && missing.contains(&"libc.so.6"),
        "{missing:?}"
    );
    // Layers that were packed for it are not judged by another one unasked.
    let arguments = ["pack", tree.to_str().unwrap(), "--runtime", "mine.toml", "--no-import"];
    sandbox.run(arguments).expect_status(1);
    let ran = sandbox.run(["check"]).expect_status(2);
    assert!(ran.stderr.contains("give its file with --runtime"), "{ran:#?}");
}

/// Each use of a path with its user, kind, evidence and line, as `why` gives them.
fn uses(sandbox: &Sandbox, what: &str) -> Vec<String> {
    let document = sandbox.run(["why", what, "--tree", "opt", "--format", "json"]).json();
    let uses = document["uses"].as_array().unwrap();
    assert_eq!(document["uses_count"], uses.len());
    let text = |edge: &serde_json::Value, name: &str| edge[name].as_str().unwrap().to_owned();
    uses.iter()
        .map(|edge| {
            let words = ["from", "kind", "evidence"].map(|name| text(edge, name));
            format!("{} {}", words.join(" "), edge["line"])
        })
        .collect()
}

#[test]
fn every_use_is_told_with_how_it_is_known() {
    let sandbox = Sandbox::new();
    for (path, text) in [
        ("opt/bootstrap", "#!/opt/bin/dash\nexec helper\n"),
        ("opt/bin/helper", "#!/bin/sh\n\ncat /opt/share/doc/list\n"),
        ("opt/bin/dash", "a shell"),
        ("opt/bin/other", "#!/bin/sh\ncat /opt/share/doc/list # and once more\n"),
    ] {
        sandbox.file(path, text).mode(path, 0o755);
    }
    sandbox
        .file("opt/share/doc/list", "a list")
        .link("opt/share/list", "doc/list");
    // No rule matches these, and who uses them is told all the same.
    assert_eq!(
        uses(&sandbox, "bin/dash"),
        [
            "bootstrap interpreter /opt/bin/dash null",
            "bootstrap path /opt/bin/dash 1"
        ]
    );
    assert_eq!(uses(&sandbox, "bin/helper"), ["bootstrap command helper null"]);
    // A rule matches this one, and each of its uses retains it.
    assert_eq!(
        uses(&sandbox, "share/doc/list"),
        [
            "bin/helper path /opt/share/doc/list 3",
            "bin/other path /opt/share/doc/list 2",
            "share/list link doc/list null"
        ]
    );
    let text = sandbox.run(["why", "share/doc/list", "--tree", "opt"]).stdout;
    assert!(
        text.contains("Rule unix-docs would remove it, but bin/helper uses it."),
        "{text}"
    );
    assert!(text.contains("line 3: /opt/share/doc/list"), "{text}");
    assert!(
        sandbox
            .run(["why", "bin/other", "--tree", "opt"])
            .stdout
            .contains("No kept file uses it.")
    );
}

#[test]
fn a_script_that_a_start_comes_through_needs_its_interpreter() {
    let severity = |bootstrap: &str| {
        let sandbox = Sandbox::new();
        for (path, text) in [
            ("opt/bootstrap", bootstrap),
            ("opt/bin/tool", "#!/usr/bin/perl\n"),
            ("opt/bin/between", "#!/bin/sh\nexec tool\n"),
            ("opt/libexec/script", "#!/usr/bin/perl\n"),
        ] {
            sandbox.file(path, text).mode(path, 0o755);
        }
        let report = sandbox.run(["check", "opt", "--format", "json"]).json();
        let findings = report["findings"].as_array().unwrap().clone();
        let mut found = findings.iter().filter(|finding| finding["code"] == "script-cannot-run");
        found.next().unwrap()["severity"].as_str().unwrap().to_owned()
    };
    assert_eq!(severity("#!/bin/sh\n"), "note");
    assert_eq!(severity("#!/bin/sh\nexec mytool tool-1\n"), "note");
    assert_eq!(severity("#!/bin/sh\ntool\n"), "warning");
    assert_eq!(severity("#!/bin/sh\nexec between\n"), "warning");
    assert_eq!(severity("#!/bin/sh\ntimeout 5 /opt/libexec/script\n"), "warning");
}

/// The codes and paths that a check of a tree finds.
fn found(sandbox: &Sandbox) -> Vec<String> {
    let report = sandbox.run(["check", "opt", "--format", "json"]).json();
    let findings = report["findings"].as_array().unwrap();
    findings
        .iter()
        .filter(|finding| finding["code"] != "bootstrap-missing")
        .map(|finding| {
            format!(
                "{} {}",
                finding["code"].as_str().unwrap(),
                finding["path"].as_str().unwrap_or("-")
            )
        })
        .collect()
}

#[test]
fn interpreters_and_commands_must_be_there() {
    let sandbox = Sandbox::new();
    for (path, text) in [
        ("opt/bootstrap", "#!/bin/sh\ncurl -s x | jq .y\nlogger z # which\n"),
        ("opt/bin/fine", "#!/usr/bin/env bash\n"),
        ("opt/bin/own", "#!/opt/bin/tool\n"),
        ("opt/bin/tool", "tool"),
        ("opt/bin/perly", "#!/usr/bin/perl\n"),
        ("opt/bin/pythonic", "#!/usr/bin/env python3\n"),
        ("opt/extensions/one", "#!/usr/bin/python3\n"),
    ] {
        sandbox.file(path, text).mode(path, 0o755);
    }
    sandbox.file("opt/share/example.pl", "#!/usr/bin/perl\n");
    assert_eq!(
        found(&sandbox),
        [
            "missing-interpreter extensions/one",
            "missing-command bootstrap",
            "missing-command bootstrap",
            "script-cannot-run bin/perly",
            "script-cannot-run bin/pythonic"
        ]
    );
    // On the runtime that has the interpreter there is no finding.
    let report = sandbox
        .run(["check", "opt", "--runtime", "python3.12", "--format", "json"])
        .json();
    assert!(!report.to_string().contains("bin/pythonic"), "{report}");
}

#[test]
fn the_trees_own_interpreter_is_named() {
    let sandbox = Sandbox::new();
    sandbox
        .file("opt/lib/perl5/bin/perl", "x")
        .mode("opt/lib/perl5/bin/perl", 0o755);
    sandbox.file("opt/bin/perl5.36", "x").mode("opt/bin/perl5.36", 0o755);
    sandbox.link("opt/bin/perl", "perl5.36");
    sandbox.file("opt/share/doc/perl", "a text");
    sandbox
        .file("opt/bin/tool", "#!/usr/bin/perl\n")
        .mode("opt/bin/tool", 0o755);
    sandbox
        .file("opt/bin/other", "#!/usr/bin/tclsh\n")
        .mode("opt/bin/other", 0o755);
    let said = sandbox.run(["check", "opt"]).stdout.replace("\n ", "");
    assert!(said.contains("write /opt/bin/perl after #!"), "{said}");
    assert!(
        said.contains("/usr/bin/tclsh") && !said.contains("/opt/bin/tclsh"),
        "{said}"
    );
}

#[test]
fn links_to_one_place_are_told_once() {
    let sandbox = Sandbox::new();
    for name in ["a.ttf", "b.ttf", "c.ttf"] {
        sandbox.link(&format!("opt/share/fonts/{name}"), format!("/opt/share/type1/{name}"));
    }
    sandbox.link("opt/share/one.txt", "/opt/share/two.txt");
    let said = sandbox.run(["check", "opt"]).stdout;
    assert_eq!(said.matches("[dangling-link]").count(), 2, "{said}");
    assert!(
        said.contains("3 files are links to /opt/share/type1, which does not exist"),
        "{said}"
    );
    let listed = found(&sandbox);
    let links = listed.iter().filter(|finding| finding.starts_with("dangling-link"));
    assert_eq!(links.count(), 4, "{listed:?}");
}

/// Objects that a compiler makes here: a note of what is opened at run time, and a bootstrap that sets the search path.
#[test]
fn compiled_objects_tell_what_they_open() {
    let sandbox = Sandbox::new();
    let note = |name: &str, priority: &str, soname: &str| {
        let json = format!(
            "[{{\\\"soname\\\":[\\\"{soname}\\\"],\\\"feature\\\":\\\"zip\\\",\\\"priority\\\":\\\"{priority}\\\"}}]"
        );
        sandbox.file(
            &format!("{name}.c"),
            format!(
                "__asm__(\".pushsection .note.dlopen, \\\"a\\\", %note\\n.balign 4\\n.long 2f-1f\\n.long 4f-3f\\n.long 0x407c0c0a\\n\"\n\
                 \"1: .asciz \\\"FDO\\\"\\n2: .balign 4\\n3: .asciz \\\"{}\\\"\\n4: .balign 4\\n.popsection\");\n",
                json.replace('\\', "\\\\\\")
            ),
        );
        let library = sandbox.path(&format!("opt/lib/{name}.so"));
        let source = sandbox.path(&format!("{name}.c"));
        Command::new("cc")
            .args(["-shared", "-nostdlib", "-o"])
            .arg(library)
            .arg(source)
            .output()
            .map(|output| assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)))
    };
    sandbox.folder("opt/lib");
    if note("must", "required", "libgone.so.1").is_err() || !cfg!(target_arch = "x86_64") {
        return;
    }
    note("may", "recommended", "libgone.so.2").unwrap();
    note("might", "suggested", "libgone.so.3").unwrap();
    note("has", "required", "libz.so.1").unwrap();
    assert_eq!(
        found(&sandbox),
        [
            "missing-dlopen-library lib/must.so",
            "missing-optional-library lib/may.so"
        ]
    );
}

/// A bootstrap that exports LD_LIBRARY_PATH lets programs find libraries where Lambda's own setting does not.
#[test]
fn a_bootstrap_may_set_the_search_path() {
    let sandbox = Sandbox::new();
    let copy = |from: &str, to: &str| {
        sandbox.file(to, fs_err::read(testdata(from)).unwrap()).mode(to, 0o755);
    };
    copy("opt/bin/hello", "opt/bin/hello");
    for (from, to) in [
        ("opt/lib/libbundled.so.1.2.3", "libbundled.so.1"),
        ("opt/lib/libchain.so.1", "libchain.so.1"),
        ("opt/lib/libdebug.so.1", "libdebug.so.1"),
        ("host/libfar.so.1", "libfar.so.1"),
        ("host/libfarther.so.1", "libfarther.so.1"),
    ] {
        copy(from, &format!("opt/private/{to}"));
    }
    let missing = |sandbox: &Sandbox| {
        found(sandbox)
            .iter()
            .filter(|found| found.starts_with("missing-library") || found.starts_with("library-elsewhere"))
            .count()
    };
    assert!(missing(&sandbox) > 0);
    sandbox.file(
        "opt/bootstrap",
        "#!/bin/sh\nexport LD_LIBRARY_PATH=/opt/private:$LD_LIBRARY_PATH\nexec /opt/bin/hello\n",
    );
    sandbox.mode("opt/bootstrap", 0o755);
    assert_eq!(missing(&sandbox), 0);
}
