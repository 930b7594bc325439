//! Modules where the runtime of a language looks for them, and layers that a language finds its way in.

use crate::support::{Ran, Sandbox, output};

fn severity(ran: &Ran, code: &str) -> Option<String> {
    let report = ran.json();
    let mut findings = report["findings"].as_array().unwrap().iter();
    let finding = findings.find(|finding| finding["code"] == code)?;
    Some(finding["severity"].as_str().unwrap().to_owned())
}

/// What is found elsewhere is an error where nothing is found, a warning where something is, and nothing on a runtime that has
/// no language.
#[test]
fn modules_are_looked_for_where_the_runtime_does() {
    let sandbox = Sandbox::new();
    sandbox
        .file("wrong/lib/python3.13/site-packages/a/__init__.py", "")
        .file("partly/python/a.py", "")
        .file("partly/python/python/b/__init__.py", "")
        .file("namespace/python/google/cloud/storage/__init__.py", "")
        .file("vendored/python/setuptools/__init__.py", "")
        .file("vendored/python/setuptools/_vendor/wheel-0.1.dist-info/METADATA", "")
        .file("own/bootstrap", "#!/bin/sh\n")
        .file("own/modules/a/__init__.py", "")
        .file("wrapped/python/a.py", "")
        .file("wrapped/otel/python/b/__init__.py", "")
        .file(
            "wrapped/otel-handler",
            "#!/bin/sh\nexport PYTHONPATH=/opt/otel/python\n",
        );
    let checked = |tree: &str, runtime: &str| sandbox.run(["check", tree, "--runtime", runtime, "--format", "json"]);
    for (tree, code, expected) in [
        ("wrong", "modules-not-found", Some("error")),
        ("partly", "modules-elsewhere", Some("warning")),
        ("namespace", "modules-elsewhere", None),
        ("namespace", "modules-not-found", None),
        ("vendored", "modules-elsewhere", None),
        ("wrapped", "modules-elsewhere", None),
    ] {
        let found = severity(&checked(tree, "python3.13"), code);
        assert_eq!(found.as_deref(), expected, "{tree} {code}");
    }
    for code in ["modules-not-found", "modules-elsewhere"] {
        assert_eq!(severity(&checked("own", "provided.al2023"), code), None);
    }
}

#[test]
fn the_runtime_is_told_from_the_tree() {
    let sandbox = Sandbox::new();
    sandbox
        .file("tagged/python/a.cpython-312-x86_64-linux-gnu.so", "")
        .file("plain/nodejs/node_modules/a/package.json", "{}")
        .file("both/python/a.py", "")
        .file("both/nodejs/node_modules/a/package.json", "{}")
        .file("own/python/a.py", "")
        .file("own/bootstrap", "#!/bin/sh\n");
    for (tree, runtime, note) in [
        ("tagged", "python3.12", "the runtime is python3.12"),
        ("plain", "nodejs", "the runtime is nodejs"),
        ("both", "provided.al2023", "choose one with --runtime"),
        ("own", "provided.al2023", ""),
    ] {
        let ran = sandbox.run(["check", tree, "--format", "json"]);
        let found = ran.json()["runtime"].as_str().unwrap().to_owned();
        assert!(found.starts_with(runtime), "{tree}: {found}");
        assert!(ran.stderr.contains(note), "{tree}: {}", ran.stderr);
        assert_eq!(ran.stderr.is_empty(), note.is_empty(), "{tree}: {}", ran.stderr);
    }
}

/// `--place` and `--symlinks follow-all` pack what a runtime finds, and leave the tree alone.
#[test]
fn modules_are_packed_where_they_belong() {
    let sandbox = Sandbox::new();
    sandbox
        .file("tree/lib/python3.13/site-packages/a/__init__.py", "x = 1\n")
        .file("tree/lib/python3.13/site-packages/b.py", "y = 1\n")
        .file("shared/python/c.py", "z = 1\n");
    std::os::unix::fs::symlink("b.py", sandbox.path("tree/lib/python3.13/site-packages/link.py")).unwrap();
    fs_err::create_dir_all(sandbox.path("build/Layer")).unwrap();
    std::os::unix::fs::symlink("../../shared/python", sandbox.path("build/Layer/python")).unwrap();
    let names = |directory: &str| {
        let zip = sandbox.path(directory).join("layer-1.zip");
        output("unzip", &["-Z1", zip.to_str().unwrap()])
    };
    let pack = |tree: &str, to: &str, option: &[&str]| {
        let arguments = ["pack", tree, "-o", to, "--runtime", "python3.13", "--no-cache"];
        sandbox.run(arguments.iter().chain(option)).expect_status(0);
    };
    pack("tree", "placed", &["--place"]);
    pack("build/Layer", "followed", &["--symlinks", "follow-all"]);
    if let Some(names) = names("placed") {
        let mut names: Vec<&str> = names.lines().collect();
        names.sort_unstable();
        assert_eq!(names, ["python/a/__init__.py", "python/b.py", "python/link.py"]);
    }
    if let Some(names) = names("followed") {
        assert_eq!(names.trim(), "python/c.py");
    }
    assert!(sandbox.path("tree/lib/python3.13/site-packages/b.py").exists());
}
