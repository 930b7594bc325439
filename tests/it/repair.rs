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
