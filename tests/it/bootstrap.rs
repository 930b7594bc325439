//! What makes R run on Lambda: the bootstrap, written or packed, and the way round the `which` that Lambda lacks.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::support::{Sandbox, output};

/// A tree with the files by which an R is known, which runs this `which`.
fn with_r(which: &str) -> Sandbox {
    let mut function = b"\0\x04\0\x09".to_vec();
    function.extend(u32::try_from(which.len()).unwrap().to_be_bytes());
    function.extend(which.as_bytes());
    let mut database = u32::try_from(function.len()).unwrap().to_be_bytes().to_vec();
    let mut encoder = ZlibEncoder::new(&mut database, Compression::best());
    encoder.write_all(&function).unwrap();
    encoder.finish().unwrap();
    let sandbox = Sandbox::new();
    sandbox
        .file("opt/R/bin/R", "#!/bin/sh\n")
        .mode("opt/R/bin/R", 0o755)
        .file("opt/R/library/base/DESCRIPTION", "Package: base\nBuilt: R 4.2.2\n")
        .file("opt/R/library/base/R/Rprofile", "T <- TRUE\n")
        .file("opt/R/library/base/R/base.rdb", database);
    sandbox
}

fn codes(findings: &serde_json::Value) -> Vec<&str> {
    findings
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["code"].as_str().unwrap())
        .collect()
}

fn unpack(sandbox: &Sandbox, folder: &str) {
    for (name, bytes) in sandbox.contents(folder) {
        if name.starts_with("layer-") {
            let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
            archive.extract(sandbox.path(&format!("{folder}-unpacked"))).unwrap();
        }
    }
}

const FILES: [&str; 3] = ["bootstrap", "lambdar/runtime.R", "lambdar/script.R"];

#[test]
fn it_is_written_once_and_never_over_another_file() {
    let sandbox = with_r("/bin/sh");
    let ran = sandbox.run(["bootstrap", "opt"]).expect_status(0);
    assert_eq!(ran.stdout.matches(" written").count(), 3, "{ran:?}");
    let mode = |path: &str| fs_err::metadata(sandbox.path(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(FILES.map(|file| mode(&format!("opt/{file}"))), [0o755, 0o644, 0o644]);
    let read = |path: &str| fs_err::read_to_string(sandbox.path(path)).unwrap();
    assert!(read("opt/bootstrap").contains("R='/opt/R/bin/R'"));
    let ran = sandbox.run(["bootstrap", "opt"]).expect_status(0);
    assert_eq!(ran.stdout.matches("was there already").count(), 3, "{ran:?}");

    // A file that somebody has changed stops it before it writes the one that is missing.
    sandbox.file("opt/lambdar/script.R", "mine");
    fs_err::remove_file(sandbox.path("opt/bootstrap")).unwrap();
    let ran = sandbox.run(["bootstrap", "opt"]).expect_status(2);
    assert!(ran.stderr.contains("opt/lambdar/script.R is there already"), "{ran:?}");
    assert!(ran.stderr.contains("--force"), "{ran:?}");
    assert!(!sandbox.path("opt/bootstrap").exists());
    // With --force it is written over, and a link is replaced, not written through.
    sandbox.file("outside", "keep").link("opt/bootstrap", "../outside");
    let json = sandbox
        .run(["bootstrap", "opt", "--force", "--format", "json"])
        .expect_status(0)
        .json();
    assert_eq!(json["r_home"], "R");
    let written: Vec<bool> = json["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["written"] == true)
        .collect();
    assert_eq!(written, [true, false, true]);
    assert_eq!(read("outside"), "keep");
    assert_ne!(read("opt/lambdar/script.R"), "mine");
}

#[test]
fn it_says_what_it_needs() {
    let sandbox = with_r("/bin/sh");
    sandbox
        .file("python/bin/python3", "x")
        .file("two/a/bin/R", "x")
        .file("two/b/bin/R", "x");
    for home in ["a", "b"] {
        sandbox.file(&format!("two/{home}/library/base/DESCRIPTION"), "Package: base\n");
    }
    for (arguments, expected) in [
        (vec!["bootstrap", "python"], "there is no R in the tree"),
        (vec!["bootstrap", "nowhere"], "cannot open nowhere"),
        (
            vec!["bootstrap", "two"],
            "the tree has several Rs, in a, b; choose one with --r-home",
        ),
        (
            vec!["bootstrap", "opt", "--r-home", "r"],
            "there is no R in r of the tree; it has one in R",
        ),
        (vec!["pack", "python", "--with-bootstrap"], "there is no R in the tree"),
        (vec!["pack", "two", "--with-bootstrap"], "choose one with --r-home"),
    ] {
        let ran = sandbox.run(&arguments).expect_status(2);
        assert!(ran.stderr.contains(expected), "{ran:?}");
    }
    assert!(!sandbox.path("layers/layer-1.zip").exists());
    sandbox
        .run(["bootstrap", "two", "--r-home", "/opt/b/"])
        .expect_status(0);
    let text = fs_err::read_to_string(sandbox.path("two/bootstrap")).unwrap();
    assert!(text.contains("R='/opt/b/bin/R'"), "{text}");
    // A runtime without what the start script calls.
    let json = sandbox
        .run(["bootstrap", "opt", "--runtime", "nodejs16.x", "--format", "json"])
        .json();
    assert_eq!(codes(&json["findings"]), ["missing-command"]);
    assert!(
        json["findings"][0]["message"]
            .as_str()
            .unwrap()
            .contains("may run curl"),
        "{json}"
    );
}

#[test]
fn it_is_packed_without_being_written_into_the_tree() {
    let sandbox = with_r("/bin/sh");
    let json = sandbox
        .run(["pack", "opt", "--with-bootstrap", "--format", "json"])
        .expect_status(0)
        .json();
    let added: Vec<_> = json["added"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| (&file["path"], &file["from"]))
        .collect();
    let expected = FILES.map(|file| (serde_json::json!(file), serde_json::json!("lambdar-prune")));
    assert_eq!(
        added,
        expected.iter().map(|(path, from)| (path, from)).collect::<Vec<_>>()
    );
    assert!(!sandbox.path("opt/bootstrap").exists());
    // The same layers as from a tree into which it was written.
    sandbox.run(["bootstrap", "opt"]).expect_status(0);
    sandbox.run(["pack", "opt", "-o", "written"]).expect_status(0);
    sandbox
        .run(["pack", "opt", "-o", "both", "--with-bootstrap"])
        .expect_status(0);
    let zip = |folder: &str| fs_err::read(sandbox.path(&format!("{folder}/layer-1.zip"))).unwrap();
    assert!(zip("layers") == zip("written") && zip("layers") == zip("both"));
    // A bootstrap of the tree's own is neither replaced nor packed in silence.
    sandbox
        .file("opt/bootstrap", "#!/bin/sh\necho mine\n")
        .mode("opt/bootstrap", 0o755);
    let ran = sandbox
        .run(["pack", "opt", "-o", "own", "--with-bootstrap"])
        .expect_status(2);
    assert!(ran.stderr.contains("the tree has a bootstrap of its own"), "{ran:?}");
    assert!(ran.stderr.contains("--drop bootstrap"), "{ran:?}");
    sandbox
        .run(["pack", "opt", "-o", "own", "--with-bootstrap", "--drop", "bootstrap"])
        .expect_status(0);
    assert!(zip("layers") == zip("own"));
}

#[test]
fn r_gets_a_which_where_the_runtime_has_none() {
    let sandbox = with_r("/usr/bin/which");
    let profile =
        |folder: &str| fs_err::read_to_string(sandbox.path(&format!("{folder}/R/library/base/R/Rprofile"))).unwrap();
    let analysis = sandbox.run(["analyze", "opt", "--format", "json"]).json();
    assert_eq!(codes(&analysis["findings"]), ["r-which-repaired"]);
    let without = sandbox.run(["analyze", "opt", "--no-fix", "--format", "json"]).json();
    assert_eq!(codes(&without["findings"]), ["r-which-missing"]);
    let checked = sandbox
        .run(["check", "opt", "--format", "json"])
        .expect_status(1)
        .json();
    assert_eq!(codes(&checked["findings"]), ["r-which-missing", "bootstrap-missing"]);

    let packed = sandbox.run(["pack", "opt", "--format", "json"]).expect_status(0).json();
    assert_eq!(packed["added"].as_array().unwrap().len(), 1);
    assert_eq!(packed["added"][0]["path"], "bin/which");
    assert_eq!(packed["added"][0]["needed_by"][0], "R/library/base/R/base.rdb");
    assert_eq!(packed["changed"].as_array().unwrap().len(), 1);
    assert_eq!(packed["changed"][0]["by"], "r-which");
    assert_eq!(packed["changed"][0]["before_bytes"], 10);
    assert_eq!(profile("opt"), "T <- TRUE\n");
    unpack(&sandbox, "layers");
    assert!(profile("layers-unpacked").starts_with("T <- TRUE\n\n## lambdar-prune: "));
    // check knows the repair by what is there: zips, the unpacked tree, and no longer without the script.
    sandbox.run(["check"]).expect_status(0);
    sandbox.run(["check", "layers-unpacked"]).expect_status(0);
    // What is repaired is not repaired again.
    let again = sandbox
        .run(["pack", "layers-unpacked", "-o", "again", "--format", "json"])
        .expect_status(0)
        .json();
    assert_eq!(
        (&again["added"], &again["changed"]),
        (&serde_json::json!([]), &serde_json::json!([]))
    );
    sandbox.mode("layers-unpacked/bin/which", 0o644);
    sandbox.run(["check", "layers-unpacked"]).expect_status(1);
    fs_err::remove_file(sandbox.path("layers-unpacked/bin/which")).unwrap();
    sandbox.run(["check", "layers-unpacked"]).expect_status(1);

    sandbox.run(["pack", "opt", "-o", "bare", "--no-fix"]).expect_status(1);
    // AL1 has a `which`, and nothing is repaired for it.
    let al1 = sandbox
        .run(["pack", "opt", "-o", "al1", "--runtime", "provided", "--format", "json"])
        .expect_status(0);
    assert_eq!(al1.json()["added"], serde_json::json!([]));
    // A tree's own `which` is used, not replaced.
    sandbox
        .file("opt/bin/which", "#!/bin/sh\n")
        .mode("opt/bin/which", 0o755);
    let own = sandbox
        .run(["pack", "opt", "-o", "own", "--format", "json"])
        .expect_status(0)
        .json();
    assert_eq!(own["added"], serde_json::json!([]));
    assert_eq!(own["changed"][0]["by"], "r-which");
}

#[test]
fn the_which_that_is_brought_in_finds_what_a_path_has() {
    let sandbox = with_r("/usr/bin/which");
    sandbox.run(["pack", "opt"]).expect_status(0);
    unpack(&sandbox, "layers");
    // A program, one with the name of a built-in command, one of a reserved word, and two files that are none.
    for name in ["prog", "echo", "if", "a b", "plain"] {
        sandbox
            .file(&format!("path/{name}"), "#!/bin/sh\n")
            .mode(&format!("path/{name}"), 0o755);
    }
    sandbox.mode("path/plain", 0o644).folder("path/folder");
    let script = sandbox.path("layers-unpacked/bin/which").display().to_string();
    let folder = sandbox.path("path").display().to_string();
    let Some(said) = output(
        "sh",
        &[
            "-c",
            "PATH=$1 \"$2\" prog echo if 'a b' plain folder none \"$1/prog\"; echo $?; PATH=$1 \"$2\" -- prog; echo $?",
            "sh",
            &folder,
            &script,
        ],
    ) else {
        return;
    };
    let expected =
        format!("{folder}/prog\n{folder}/echo\n{folder}/if\n{folder}/a b\n{folder}/prog\n1\n{folder}/prog\n0\n");
    assert_eq!(said, expected);
}
