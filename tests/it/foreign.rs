//! The same tree, zipped by other programs: check says of each what is true, and nothing else.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::{Sandbox, output, testdata};

fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.unwrap();
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        let kind = entry.file_type();
        if kind.is_dir() {
            fs_err::create_dir_all(target).unwrap();
        } else if kind.is_symlink() {
            // Programs that follow links find only what is next to them, not what is at /opt.
            let to = fs_err::read_link(entry.path()).unwrap();
            let to = to.strip_prefix("/opt/bin").unwrap_or(&to);
            symlink(to, target).unwrap();
        } else {
            fs_err::copy(entry.path(), target).unwrap();
        }
    }
}

/// What is found, each with its severity and path.
fn found(sandbox: &Sandbox, path: &str) -> BTreeSet<String> {
    let report = sandbox.run(["check", path, "--format", "json"]).json();
    let findings = report["findings"].as_array().unwrap();
    findings
        .iter()
        .map(|finding| {
            let text = |name: &str| finding[name].as_str().unwrap_or("-");
            format!("{} {} {}", text("severity"), text("code"), text("path"))
        })
        .collect()
}

#[test]
fn zips_of_other_programs_have_no_false_errors() {
    let sandbox = Sandbox::new();
    copy(&testdata("opt"), &sandbox.path("opt"));
    sandbox.file("opt/größe", "ü");
    let of_tree = found(&sandbox, "opt");
    assert!(of_tree.iter().any(|finding| finding.contains("missing-library")));
    let python = "import os, sys, zipfile\n\
        with zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as z:\n\
        \x20for folder, folders, files in os.walk('.'):\n\
        \x20 for name in folders + files: z.write(os.path.join(folder, name))\n";
    for (name, command, more) in [
        ("info", "zip -qry ../info.zip .", &[][..]),
        ("followed", "zip -qr ../followed.zip *", &[]),
        (
            "seven",
            "7zz a -tzip -bso0 -snl ../seven.zip .",
            &["note made-by-newer-version -"],
        ),
        ("python", &format!("python3 -c \"{python}\" ../python.zip"), &[]),
        // A jar has no permissions: what has to be executed cannot be, which is true.
        (
            "jar",
            "jar cMf ../jar.zip .",
            &[
                "error bootstrap-not-executable bootstrap",
                "error r-not-executable R/lib/R/bin/R",
                "error r-not-executable R/lib/R/bin/exec/R",
                "warning not-made-by-unix -",
                "warning program-not-executable bin/hello",
                "note data-descriptor -",
            ],
        ),
    ] {
        let program = command.split(' ').next().unwrap();
        if output(program, &["--help"]).is_none() {
            continue;
        }
        let script = format!("cd '{}' && {command}", sandbox.path("opt").display());
        output("bash", &["-c", &script]);
        let mut expected = of_tree.clone();
        expected.extend(more.iter().map(ToString::to_string));
        assert_eq!(found(&sandbox, &format!("{name}.zip")), expected, "{name}");
    }
}
