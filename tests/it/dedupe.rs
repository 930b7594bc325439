//! Files with the same content become links, and nothing reads anything else than before.

use proptest::prelude::*;

use crate::support::{Sandbox, output};

/// Unpacks the layers, and compares every file of the tree with what is at its path then.
fn unpacked(sandbox: &Sandbox, arguments: &[&str]) -> Option<Vec<(String, String)>> {
    let mut all = vec!["pack", "opt", "--format", "json", "-q"];
    all.extend(arguments);
    let manifest = sandbox.run(all).json();
    let zip = sandbox.path("layers/layer-1.zip");
    let to = tempfile::tempdir().unwrap();
    output(
        "unzip",
        &["-q", zip.to_str().unwrap(), "-d", to.path().to_str().unwrap()],
    )?;
    for entry in walkdir::WalkDir::new(sandbox.path("opt")) {
        let entry = entry.unwrap();
        let below = entry.path().strip_prefix(sandbox.path("opt")).unwrap();
        if entry.file_type().is_file() {
            let there = to.path().join(below);
            assert_eq!(
                fs_err::read(entry.path()).unwrap(),
                fs_err::read(&there).unwrap(),
                "{}",
                below.display()
            );
            assert_eq!(
                there.metadata().unwrap().permissions(),
                entry.metadata().unwrap().permissions(),
                "{}",
                below.display()
            );
        }
    }
    let changed = manifest["changed"].as_array().unwrap().iter();
    Some(
        changed
            .filter(|file| file["by"] == "dedupe")
            .map(|file| {
                let path = file["path"].as_str().unwrap();
                let target = fs_err::read_link(to.path().join(path)).unwrap();
                (path.to_owned(), target.to_str().unwrap().to_owned())
            })
            .collect(),
    )
}

#[test]
fn only_what_nothing_can_tell_apart_becomes_a_link() {
    let content = "the same content ".repeat(100);
    let script = format!("#!/bin/sh\n{content}");
    let sandbox = Sandbox::new();
    sandbox
        .file("opt/data/a.bin", &content)
        .file("opt/data/longer.bin", &content)
        .file("opt/data/executable.bin", &content)
        .mode("opt/data/executable.bin", 0o755)
        .file("opt/data/deeper/a.bin", &content)
        .file("opt/data/code.py", &content)
        .file("opt/data/code.js", &content)
        .file("opt/data/other.js", &content)
        .file("opt/data/short", "short")
        .file("opt/data/short-too", "short")
        .file("opt/bin/one", &script)
        .file("opt/bin/two", &script)
        .file("opt/data/different", content.to_uppercase());
    fs_err::hard_link(sandbox.path("opt/data/a.bin"), sandbox.path("opt/data/hard.bin")).unwrap();
    let Some(links) = unpacked(&sandbox, &[]) else { return };
    let link = |path: &str, target: &str| (path.to_owned(), target.to_owned());
    let expected = [
        link("data/deeper/a.bin", "../a.bin"),
        link("data/hard.bin", "a.bin"),
        link("data/longer.bin", "a.bin"),
    ];
    assert_eq!(links, expected);
    assert_eq!(unpacked(&sandbox, &["--no-dedupe"]).unwrap(), []);
    assert_eq!(unpacked(&sandbox, &["--symlinks", "follow"]).unwrap(), []);
}

/// An R package is copied from one library to another as a whole.
#[test]
fn what_stays_more_than_once_is_told_with_the_reason() {
    let content = "the same content ".repeat(2000);
    let sandbox = Sandbox::new();
    for package in ["one", "two"] {
        sandbox
            .file(
                &format!("opt/R/library/{package}/DESCRIPTION"),
                format!("Package: {package}\nBuilt: R 4.2.2; ; 2023-01-01; unix\n"),
            )
            .file(&format!("opt/R/library/{package}/extdata/data.bin"), &content)
            .file(&format!("opt/R/library/{package}/extdata/same.bin"), &content);
    }
    sandbox.file("opt/share/code.js", content.to_lowercase() + "1");
    sandbox.file("opt/lib/code.js", content.to_lowercase() + "1");
    sandbox.file("opt/share/two.bin", content.to_uppercase());
    sandbox
        .file("opt/lib/two.bin", content.to_uppercase())
        .mode("opt/lib/two.bin", 0o600);
    let manifest = sandbox.run(["pack", "opt", "--format", "json", "-q"]).json();
    let told = manifest["not_linked"].as_array().unwrap().iter().map(|files| {
        let paths = files["paths"]
            .as_array()
            .unwrap()
            .iter()
            .map(|path| path.as_str().unwrap());
        (paths.collect::<Vec<_>>().join(" "), files["reason"].as_str().unwrap())
    });
    let told: Vec<_> = told.collect();
    let of = |path: &str| {
        let found = told.iter().find(|(paths, _)| paths.split(' ').any(|told| told == path));
        found.map_or(("", ""), |(paths, reason)| (paths.as_str(), *reason))
    };
    let (paths, reason) = of("R/library/one/extdata/data.bin");
    assert_eq!(paths, "R/library/one/extdata/data.bin R/library/two/extdata/data.bin");
    assert!(reason.contains("package"), "{reason}");
    assert!(of("lib/code.js").1.contains("own path"), "{told:?}");
    // Only the owner could read it; in a layer all can.
    assert_eq!(of("lib/two.bin"), ("", ""));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_path_reads_as_before(files in prop::collection::btree_map("[ab]/[a-d]{1,2}(\\.py|\\.so|\\.so\\.1)?", (0_usize..4, any::<bool>()), 1..12)) {
        let sandbox = Sandbox::new();
        for (path, (content, executable)) in &files {
            let text = ["", "x", "yy", "zzz"][*content].repeat(400);
            let path = format!("opt/{path}");
            sandbox.file(&path, text).mode(&path, if *executable { 0o755 } else { 0o644 });
        }
        unpacked(&sandbox, &[]);
    }
}
