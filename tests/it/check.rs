//! What `check` says of zips that others made, and of trees.

use std::io::Write;

use serde_json::Value;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::findings::library;
use crate::support::{Sandbox, testdata};

/// The codes that a check of some paths finds.
fn codes(sandbox: &Sandbox, paths: &[&str]) -> Vec<String> {
    // A runtime with a language asks for no bootstrap.
    let mut arguments = vec!["check", "--runtime", "python3.13", "--format", "json"];
    arguments.extend(paths);
    let ran = sandbox.run(arguments);
    let report = ran.json();
    let findings = report["findings"].as_array().unwrap();
    let error = findings.iter().any(|finding| finding["severity"] == "error");
    assert_eq!(ran.status, i32::from(error), "{ran:#?}");
    assert_eq!(report["ok"], !error);
    for finding in findings {
        assert!(
            finding["help"].as_str().is_some_and(|help| !help.is_empty()),
            "{finding}"
        );
    }
    findings
        .iter()
        .map(|finding| {
            let text = |name: &str| finding[name].as_str().unwrap_or("-").to_owned();
            format!("{} {} {}", text("code"), text("layer"), text("path"))
        })
        .collect()
}

fn zip(sandbox: &Sandbox, name: &str, fill: impl FnOnce(&mut ZipWriter<std::io::Cursor<Vec<u8>>>)) {
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    fill(&mut writer);
    sandbox.file(name, writer.finish().unwrap().into_inner());
}

fn options(mode: u32) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .unix_permissions(mode)
}

#[test]
fn zips_of_others_are_judged() {
    let sandbox = Sandbox::new();
    zip(&sandbox, "good.zip", |zip| {
        zip.start_file("lib/data", options(0o644)).unwrap();
        zip.write_all(b"data").unwrap();
        zip.add_symlink("lib/link", "data", options(0o777)).unwrap();
    });
    assert_eq!(codes(&sandbox, &["good.zip"]), [""; 0]);
    zip(&sandbox, "modes.zip", |zip| {
        zip.add_directory("closed", options(0o700)).unwrap();
        zip.start_file("closed/secret", options(0o600)).unwrap();
    });
    assert_eq!(
        codes(&sandbox, &["modes.zip"]),
        [
            "file-not-readable modes.zip closed/secret",
            "folder-not-searchable modes.zip closed/"
        ]
    );
    zip(&sandbox, "links.zip", |zip| {
        zip.add_symlink("out", "/usr/local/lib/x", options(0o777)).unwrap();
        zip.add_symlink("up", "../../usr/bin/env", options(0o777)).unwrap();
        zip.add_symlink("nowhere", "lib/nothing", options(0o777)).unwrap();
        zip.add_symlink("a", "b", options(0o777)).unwrap();
        zip.add_symlink("b", "a", options(0o777)).unwrap();
    });
    assert_eq!(
        codes(&sandbox, &["links.zip"]),
        [
            "dangling-link links.zip nowhere",
            "link-out-of-opt links.zip out",
            "link-loop links.zip a",
            "link-loop links.zip b",
            "link-to-runtime links.zip up",
        ]
    );
    zip(&sandbox, "names.zip", |zip| {
        for name in ["../up", "back\\slash", "escape\u{1b}[2J"] {
            zip.start_file(name, options(0o644)).unwrap();
        }
    });
    assert_eq!(
        codes(&sandbox, &["names.zip"]),
        [
            "bad-name names.zip ../up",
            "bad-name names.zip back\\slash",
            "bad-name names.zip escape\\u{1b}[2J"
        ]
    );
}

#[test]
fn damage_is_found() {
    let sandbox = Sandbox::new();
    zip(&sandbox, "good.zip", |zip| {
        zip.start_file("data", options(0o644).compression_method(CompressionMethod::Stored))
            .unwrap();
        zip.write_all(b"0123456789").unwrap();
    });
    let mut bytes = fs_err::read(sandbox.path("good.zip")).unwrap();
    let at = bytes.windows(10).position(|window| window == b"0123456789").unwrap();
    bytes[at + 3] ^= 1;
    sandbox.file("flipped.zip", &bytes);
    assert_eq!(
        codes(&sandbox, &["flipped.zip"]),
        ["checksum-mismatch flipped.zip data"]
    );
    sandbox.file("short.zip", &bytes[..bytes.len() / 2]);
    assert_eq!(codes(&sandbox, &["short.zip"]), ["truncated-zip short.zip -"]);
    sandbox.file("no.zip", "this is not a zip");
    assert_eq!(codes(&sandbox, &["no.zip"]), ["unreadable-zip no.zip -"]);
}

/// A link may lead into another layer; a path may be in two if it is the same in both.
#[test]
fn layers_are_judged_together() {
    let sandbox = Sandbox::new();
    let with = |name: &str, content: &[u8], link: Option<&str>| {
        zip(&sandbox, name, |zip| {
            zip.start_file("shared", options(0o644)).unwrap();
            zip.write_all(content).unwrap();
            if let Some(target) = link {
                zip.add_symlink("link", target, options(0o777)).unwrap();
            }
            zip.start_file(format!("only-{}", &name[..1]), options(0o644)).unwrap();
        });
    };
    with("1.zip", b"same", Some("only-2"));
    with("2.zip", b"same", None);
    with("3.zip", b"else", None);
    assert_eq!(codes(&sandbox, &["1.zip", "2.zip"]), ["link-needs-layer 1.zip link"]);
    assert_eq!(codes(&sandbox, &["1.zip"]), ["dangling-link 1.zip link"]);
    assert_eq!(
        codes(&sandbox, &["1.zip", "2.zip", "3.zip"]),
        ["conflicting-path 3.zip shared", "link-needs-layer 1.zip link"]
    );
}

#[test]
fn sizes_are_judged_by_lambdas_limits() {
    let sandbox = Sandbox::new();
    let sized = |name: &str, bytes: u64| {
        // One stored entry of zeroes: 22 + 76 bytes and the name twice around it.
        zip(&sandbox, name, |zip| {
            let stored = options(0o644).compression_method(CompressionMethod::Stored);
            zip.start_file("x", stored).unwrap();
            let length = usize::try_from(bytes - 22 - 76 - 2).unwrap();
            zip.write_all(&vec![0; length]).unwrap();
        });
        assert_eq!(fs_err::metadata(sandbox.path(name)).unwrap().len(), bytes);
    };
    sized("fits.zip", 52_428_000);
    assert_eq!(codes(&sandbox, &["fits.zip"]), [""; 0]);
    sized("near.zip", 52_428_799);
    assert_eq!(codes(&sandbox, &["near.zip"]), ["zip-near-limit near.zip -"]);
    sized("over.zip", 52_428_800);
    assert_eq!(codes(&sandbox, &["over.zip"]), ["zip-too-large over.zip -"]);
    // AWS counts every layer, whether or not its paths are in another one, too.
    let five = ["fits.zip"; 5];
    assert_eq!(codes(&sandbox, &five), [""; 0]);
    zip(&sandbox, "rest.zip", |zip| {
        zip.start_file("y", options(0o644)).unwrap();
        zip.write_all(&vec![0; 262_144_000 - 5 * (52_428_000 - 100)]).unwrap();
    });
    let mut six = five.to_vec();
    six.push("rest.zip");
    assert_eq!(codes(&sandbox, &six), ["unzipped-too-large - -", "too-many-layers - -"]);
}

#[test]
fn missing_libraries_are_found_over_all_layers() {
    let sandbox = Sandbox::new();
    let tree = testdata("opt");
    let tree = tree.to_str().unwrap();
    let codes = codes(&sandbox, &[tree]);
    assert!(
        codes.iter().any(|code| code.starts_with("missing-library")),
        "{codes:?}"
    );
    let report: Value = sandbox.run(["check", tree, "--format", "json"]).json();
    assert!(report["layers"].as_array().unwrap().is_empty());
}

/// A message names three files; a program that reads the document gets them all.
#[test]
fn the_document_has_every_file_that_needs_a_missing_library() {
    let sandbox = Sandbox::new();
    let gone = library(
        &sandbox,
        "gone/libgone.so.1",
        "libgone.so.1",
        "int g(void) { return 0; }\n",
        &[],
    );
    if gone.is_none() {
        return;
    }
    let link = sandbox.path("gone/libgone.so.1");
    let source = "int g(void);\nint f(void) { return g(); }\n";
    let names: Vec<String> = (1..=5).map(|number| format!("lib/libh{number}.so")).collect();
    for name in &names {
        library(
            &sandbox,
            &format!("opt/{name}"),
            "libh.so",
            source,
            &[link.to_str().unwrap()],
        )
        .unwrap();
    }
    let checked = sandbox
        .run(["check", "opt", "--format", "json"])
        .expect_status(1)
        .json();
    let findings = checked["findings"].as_array().unwrap().iter();
    let missing: Vec<_> = findings
        .filter(|finding| finding["code"] == "missing-library")
        .collect();
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0]["files"], serde_json::json!(names));
    assert!(missing[0]["message"].as_str().unwrap().contains("2 more"));
}
