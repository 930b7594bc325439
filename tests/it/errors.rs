//! What goes wrong is said with its path and with what to do, and leaves nothing half done.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;

use crate::support::{Sandbox, output};

#[test]
fn a_tree_that_is_none_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.file("file", "x").folder("empty");
    for (tree, words) in [
        ("nowhere", "cannot open nowhere: No such file or directory; give"),
        ("file", "file is not a directory"),
        ("empty", "empty is empty"),
    ] {
        for command in ["analyze", "pack"] {
            let ran = sandbox.run([command, tree]).expect_status(2);
            assert!(ran.stderr.contains(words), "{ran:#?}");
            assert_eq!(ran.stdout, "");
        }
    }
    assert!(!sandbox.path("layers").exists());
    let ran = sandbox.run(["check"]).expect_status(2);
    assert!(ran.stderr.contains("cannot check layers"), "{ran:#?}");
}

#[test]
fn wrong_words_are_explained() {
    let sandbox = Sandbox::new();
    sandbox
        .file("opt/x", "x")
        .file("libraries.toml", "library-dir = 'opt/x'\n");
    for (arguments, words) in [
        (&["pack", "opt", "--max", "50M"][..], "50MB (50,000,000 bytes)"),
        (&["pack", "opt", "--max", "0"], "above zero"),
        (&["pack", "opt", "--max", "-1"], "'-1' is not a size"),
        (&["pack", "opt", "--reserve", "18446744073709551616"], "is too large"),
        (
            &["pack", "opt", "--max-layers", "99999"],
            "a whole number from 1 to 65535",
        ),
        (&["pack", "opt", "-j", "x"], "a whole number from 1 to 1024"),
        (&["pack", "opt", "--runtime", "node22"], "did you mean 'nodejs22.x'?"),
        (&["pack", "opt", "--max", "5GiB"], "less than 4GiB"),
        (
            &["pack", "opt", "--disable", "nonsense"],
            "there is no rule or category 'nonsense'",
        ),
        (&["pack", "opt", "--drop", "a[b"], "'a[b' is not a glob"),
        (
            &["pack", "opt", "--runtime", "provided.al3"],
            "there is no runtime 'provided.al3'",
        ),
        (&["pack", "opt", "--arch", "sparc"], "use x86_64 or arm64"),
        (&["pack", "opt", "--drop", "**"], "nothing is left to pack"),
        (&["pack", "opt", "--rules", "none.toml"], "none.toml"),
        (
            &["analyze", "opt", "--library-dir", "none"],
            "cannot look for libraries in none: No such file or directory;",
        ),
        (
            &["why", "x", "--tree", "opt", "--config", "libraries.toml"],
            "opt/x: it is not a directory",
        ),
        (&["pakc"], "pack"),
    ] {
        let ran = sandbox.run(arguments).expect_status(2);
        assert!(ran.stderr.contains(words), "{arguments:?}: {ran:#?}");
    }
    assert!(!sandbox.path("layers/layers.json").exists());
}

#[test]
fn the_output_must_not_lie_inside_the_tree() {
    let sandbox = Sandbox::new();
    sandbox.file("opt/x", "x").link("way", "opt");
    for output in ["opt/layers", "opt", "way/deep/layers"] {
        let ran = sandbox.run(["pack", "opt", "-o", output]).expect_status(2);
        assert!(ran.stderr.contains("is inside the tree"), "{ran:#?}");
    }
    assert_eq!(sandbox.contents("opt").len(), 1);
}

#[test]
fn a_file_that_fits_into_no_zip_stops_the_pack() {
    let sandbox = Sandbox::new();
    let mut state = 1_u32;
    let noise: Vec<u8> = (0..20_000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .collect();
    sandbox.file("opt/large", noise).file("opt/small", "x");
    let ran = sandbox.run(["pack", "opt", "--max", "10kB"]).expect_status(1);
    // 20,000 bytes that do not shrink, two headers with the name, and the end record.
    let expected = 20_000 + 76 + 2 * "large".len() + 22;
    assert_eq!(expected, 20_108);
    assert!(
        ran.stderr.contains("large alone makes a zip of 20,108 bytes"),
        "{ran:#?}"
    );
    assert!(
        ran.stderr.contains("S3") && ran.stderr.contains("Nothing was written"),
        "{ran:#?}"
    );
    assert!(!sandbox.path("layers").exists());
    // Exactly as large as the limit is not too large.
    sandbox
        .run(["pack", "opt", "--max", "20108", "--drop", "small"])
        .expect_status(0);
    assert_eq!(
        fs_err::metadata(sandbox.path("layers/layer-1.zip")).unwrap().len(),
        20_108
    );
}

#[test]
fn sockets_and_fifos_are_left_out_and_never_opened() {
    let sandbox = Sandbox::new();
    sandbox.file("opt/x", "x");
    let _socket = UnixListener::bind(sandbox.path("opt/socket")).unwrap();
    // Opening a FIFO that nobody writes to would never come back.
    output("mkfifo", &[sandbox.path("opt/fifo").to_str().unwrap()]);
    let analysis = sandbox
        .run(["analyze", "opt", "--format", "json"])
        .expect_status(0)
        .json();
    let findings: Vec<_> = analysis["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| (finding["code"].as_str().unwrap(), finding["path"].as_str().unwrap()))
        .collect();
    assert_eq!(findings, [("special-file", "fifo"), ("special-file", "socket")]);
    assert_eq!(analysis["totals"]["files"], 1);
    sandbox.run(["pack", "opt"]).expect_status(0);
}

#[test]
fn names_that_are_not_utf8_stop_the_pack_by_their_escaped_name() {
    let sandbox = Sandbox::new();
    sandbox.file("opt/x", "x");
    let name = std::ffi::OsStr::from_bytes(b"b\xffd\n");
    fs_err::write(sandbox.path("opt").join(name), "x").unwrap();
    let analysis = sandbox
        .run(["analyze", "opt", "--format", "json"])
        .expect_status(1)
        .json();
    assert_eq!(analysis["findings"][0]["code"], "name-not-utf8");
    assert_eq!(analysis["findings"][0]["path"], "b\\xffd\\n");
    let ran = sandbox.run(["pack", "opt"]).expect_status(2);
    assert!(ran.stderr.contains("b\\xffd\\n: its name"), "{ran:#?}");
    assert!(!sandbox.path("layers/layers.json").exists());
}

#[test]
fn what_cannot_be_read_is_named() {
    let sandbox = Sandbox::new();
    sandbox
        .file("opt/secret", "x")
        .mode("opt/secret", 0o000)
        .file("opt/closed/x", "x")
        .mode("opt/closed", 0o000)
        .file("opt/open", "x");
    let analyzed = sandbox.run_as_nobody(&["analyze", "opt", "--format", "json"]);
    let packed = sandbox.run_as_nobody(&["pack", "opt"]);
    sandbox.mode("opt/closed", 0o755);
    let (Some(analyzed), Some(packed)) = (analyzed, packed) else {
        return;
    };
    let analysis = analyzed.expect_status(1).json();
    let codes: Vec<_> = analysis["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| (finding["code"].as_str().unwrap(), finding["path"].as_str().unwrap()))
        .collect();
    assert_eq!(codes, [("unreadable-file", "closed"), ("unreadable-file", "secret")]);
    let packed = packed.expect_status(2);
    assert!(
        packed.stderr.contains("secret: ") && packed.stderr.contains("Permission denied"),
        "{packed:#?}"
    );
}

/// A reader that goes away early is not an error.
#[test]
fn a_closed_pipe_is_fine() {
    let sandbox = Sandbox::new();
    for number in 0..3000 {
        sandbox.file(&format!("opt/{number}/x"), "x");
    }
    let program = env!("CARGO_BIN_EXE_lambdar-prune");
    let script = format!(
        "set -o pipefail; {program} analyze -v {} | head -n 1",
        sandbox.path("opt").display()
    );
    if let Some(first) = output("bash", &["-c", &script]) {
        assert_eq!(first.lines().count(), 1);
    }
}

#[test]
fn an_analysis_that_cannot_be_whole_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.file("opt/x", "x");
    let ran = sandbox.run_with(["analyze", "opt"], |command| {
        command.env("TMPDIR", "/nowhere/at-all");
    });
    assert_eq!(ran.status, 2, "{ran:#?}");
    assert!(ran.stderr.contains("/nowhere/at-all"), "{ran:#?}");
    assert_eq!(ran.stdout, "");
}
