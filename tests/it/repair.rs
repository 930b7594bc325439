//! What pack repairs of what does not work on Lambda as it is.

use serde_json::Value;

use crate::support::{Sandbox, output, testdata};

/// A tree with objects of `testdata/newer`, all of which ask for more than provided.al2023 has.
fn tree(objects: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    for name in objects {
        let content = fs_err::read(testdata("newer").join(name)).unwrap();
        sandbox.file(&format!("opt/lib/{name}"), content);
    }
    sandbox
}

fn changed_by<'a>(document: &'a Value, by: &str) -> Vec<&'a Value> {
    let changed = document["changed"].as_array().unwrap().iter();
    changed.filter(|changed| changed["by"] == by).collect()
}

fn helps(document: &Value, path: &str) -> Vec<String> {
    let findings = document["findings"].as_array().unwrap().iter();
    let findings = findings.filter(|finding| finding["code"] == "symbol-version-missing" && finding["path"] == path);
    findings
        .map(|finding| finding["help"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn objects_ask_for_versions_that_the_runtime_has() {
    let sandbox = tree(&["libmath.so.1", "libparse.so.1"]);
    let before = sandbox.contents("opt/lib");
    let packed = sandbox
        .run(["pack", "opt", "--no-strip", "--format", "json"])
        .expect_status(0)
        .json();
    let changed = changed_by(&packed, "symbol-versions");
    let paths: Vec<&str> = changed
        .iter()
        .map(|changed| changed["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, ["lib/libmath.so.1", "lib/libparse.so.1"]);
    assert_eq!(
        changed[0]["what"],
        "asks for hypot@GLIBC_2.2.5 instead of hypot@GLIBC_2.35"
    );
    assert_eq!(
        changed[0]["why"],
        "libm.so.6 of provided.al2023 is older than what it was linked against"
    );
    assert_eq!(changed[0]["before_bytes"], changed[0]["after_bytes"]);
    let checked = sandbox.run(["check", "--format", "json"]).expect_status(0).json();
    assert!(helps(&checked, "lib/libmath.so.1").is_empty());
    // The tree is as it was, and so is a second set of layers.
    assert_eq!(sandbox.contents("opt/lib"), before);
    let first = sandbox.contents("layers");
    sandbox
        .run(["pack", "opt", "--no-strip", "--threads", "1", "--previous", "none"])
        .expect_status(0);
    assert_eq!(sandbox.contents("layers")[0], first[0]);
    // What readelf reads in the layers.
    let zip = sandbox.path("layers/layer-1.zip").display().to_string();
    let to = sandbox.path("unzipped").display().to_string();
    if output("unzip", &["-q", &zip, "-d", &to]).is_some()
        && let Some(symbols) = output("readelf", &["-W", "--dyn-syms", &format!("{to}/lib/libparse.so.1")])
    {
        for symbol in [
            "fmod@GLIBC_2.2.5",
            "strtol@GLIBC_2.2.5",
            "strtol_l@GLIBC_2.3",
            "memcmp@GLIBC_2.2.5",
        ] {
            assert!(symbols.contains(&format!(" {symbol} ")), "{symbol}: {symbols}");
        }
        assert!(symbols.contains(" __isoc99_sscanf@GLIBC_2.7 "), "{symbols}");
    }
}

#[test]
fn a_repair_can_be_switched_off() {
    let sandbox = tree(&["libmath.so.1"]);
    for option in [
        "--no-fix",
        "--no-fix=symbol-versions",
        "--no-fix=r-which,symbol-versions",
    ] {
        let packed = sandbox
            .run(["pack", "opt", option, "--format", "json"])
            .expect_status(1)
            .json();
        assert!(changed_by(&packed, "symbol-versions").is_empty(), "{option}");
    }
    sandbox.run(["pack", "opt", "--no-fix=r-which"]).expect_status(0);
    let unknown = sandbox.run(["pack", "opt", "--no-fix=symbol-version"]).expect_status(2);
    assert!(unknown.stderr.contains("symbol-versions"), "{unknown:?}");
}

#[test]
fn check_says_what_pack_repairs_and_what_is_in_the_way() {
    let sandbox = tree(&["libblocked.so.1", "libmath.so.1"]);
    let checked = sandbox
        .run(["check", "opt", "--format", "json"])
        .expect_status(1)
        .json();
    let [help] = helps(&checked, "lib/libmath.so.1").try_into().unwrap();
    assert!(
        help.starts_with("`lambdar-prune pack` repairs it: it lets it ask for hypot@GLIBC_2.2.5;"),
        "{help}"
    );
    for help in helps(&checked, "lib/libblocked.so.1") {
        assert!(help.contains("there is no repair for"), "{help}");
        assert!(
            help.contains("strlcpy@GLIBC_2.38: no older release has such a function"),
            "{help}"
        );
        assert!(help.contains("cospi@GLIBC_2.41"), "{help}");
    }
    // The object in whose way something stands stays as it is, and keeps the layers from running.
    let packed = sandbox.run(["pack", "opt", "--format", "json"]).expect_status(1).json();
    assert_eq!(changed_by(&packed, "symbol-versions").len(), 1);
    assert_eq!(helps(&packed, "lib/libblocked.so.1").len(), 3);
}

#[test]
fn prune_repairs_nothing() {
    let sandbox = tree(&["libmath.so.1"]);
    let before = sandbox.contents("opt/lib");
    sandbox.run(["prune", "opt", "--apply"]).expect_status(0);
    assert_eq!(sandbox.contents("opt/lib"), before);
}

/// The sandbox with a library of a machine that is called `soname`, and a program in the tree that needs it.
fn needs(soname: &str) -> Sandbox {
    let renamed = |file: &str| {
        // As long as the name that stands there.
        let content = fs_err::read(testdata(file)).unwrap();
        let (from, to) = ("libfar.so.1\0".as_bytes(), format!("{soname}\0"));
        assert_eq!(from.len(), to.len());
        let mut content = content;
        let places: Vec<usize> = (0..content.len() - from.len())
            .filter(|at| content[*at..].starts_with(from))
            .collect();
        for at in places {
            content[at..at + from.len()].copy_from_slice(to.as_bytes());
        }
        content
    };
    let sandbox = Sandbox::new();
    sandbox
        .file("opt/lib/libchain.so.1", renamed("opt/lib/libchain.so.1"))
        .file(&format!("machine/usr/lib/{soname}"), renamed("host/libfar.so.1.0"))
        .file(
            "machine/usr/lib/libfarther.so.1",
            fs_err::read(testdata("host/libfarther.so.1")).unwrap(),
        );
    sandbox
}

fn has_finding(document: &Value, code: &str) -> bool {
    document["findings"]
        .as_array()
        .unwrap()
        .iter()
        .any(|finding| finding["code"] == code)
}

#[test]
fn what_a_library_opens_by_path_comes_with_it() {
    let sandbox = needs("libproj.so.");
    let arguments = ["pack", "opt", "--library-dir", "machine/usr/lib", "--format", "json"];
    // It lies nowhere on this machine.
    let packed = sandbox.run(arguments).expect_status(0).json();
    assert!(has_finding(&packed, "companion-missing"), "{packed}");
    // It lies next to the library: it comes in, and what is left is to say where.
    sandbox.file("machine/usr/share/proj/proj.db", "database");
    sandbox.file("machine/usr/share/other/other.db", "database");
    let packed = sandbox.run(arguments).expect_status(0).json();
    let added: Vec<&str> = packed["added"]
        .as_array()
        .unwrap()
        .iter()
        .map(|added| added["path"].as_str().unwrap())
        .collect();
    assert_eq!(added, ["lib/libfarther.so.1", "lib/libproj.so.", "share/proj/proj.db"]);
    assert!(has_finding(&packed, "variable-to-set") && !has_finding(&packed, "companion-missing"));
    let checked = sandbox.run(["check", "--format", "json"]).expect_status(0).json();
    assert!(!has_finding(&checked, "companion-missing"));
    let without = [arguments.as_slice(), &["--no-fix=companions"]].concat();
    let packed = sandbox.run(without).expect_status(0).json();
    assert!(has_finding(&packed, "companion-missing"));
    // The bootstrap says where it is.
    sandbox.file(
        "opt/bootstrap",
        "#!/bin/sh\nexport PROJ_DATA=/opt/share/proj PROJ_LIB=/opt/share/proj\nexec /opt/bin/a\n",
    );
    sandbox.mode("opt/bootstrap", 0o755);
    let packed = sandbox.run(arguments).json();
    assert!(!has_finding(&packed, "variable-to-set"), "{packed}");
    // The tree has its own.
    sandbox.file("opt/share/proj/proj.db", "its own");
    let packed = sandbox.run(arguments).json();
    let added = packed["added"].as_array().unwrap();
    assert!(added.iter().all(|added| added["path"] != "share/proj/proj.db"));
}
