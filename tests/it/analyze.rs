//! What `analyze` says of the tree in `testdata/opt`, which has every situation in it; see `testdata/make`.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Sandbox, output, testdata};

fn analysis(arguments: &[&str]) -> Value {
    let sandbox = Sandbox::new();
    let tree = testdata("opt");
    let host = testdata("host");
    let mut all = vec![
        "analyze",
        tree.to_str().unwrap(),
        "--library-dir",
        host.to_str().unwrap(),
        "--format",
        "json",
    ];
    all.extend(arguments);
    let ran = sandbox.run(all);
    let json = ran.json();
    let errors = json["findings"]
        .as_array()
        .unwrap()
        .iter()
        .any(|finding| finding["severity"] == "error");
    assert_eq!(ran.status, i32::from(errors), "{ran:#?}");
    json
}

/// How one need of an object is resolved: what it is, the file, and by which part of the search.
fn resolution(analysis: &Value, object: &str, soname: &str) -> String {
    let object = analysis["objects"]
        .as_array()
        .unwrap()
        .iter()
        .find(|candidate| candidate["path"] == object)
        .unwrap_or_else(|| panic!("{object} is not listed"));
    let need = object["needed"]
        .as_array()
        .unwrap()
        .iter()
        .find(|need| need["soname"] == soname)
        .unwrap_or_else(|| panic!("{object} does not need {soname}"));
    let text = |name: &str| need[name].as_str().unwrap_or("-").to_owned();
    format!("{} {} {}", text("resolution"), text("path"), text("via"))
}

#[test]
fn needed_libraries_are_bundled_provided_or_missing() {
    let analysis = analysis(&[]);
    for (object, soname, expected) in [
        (
            "bin/hello",
            "libbundled.so.1",
            "bundled /opt/lib/libbundled.so.1 LD_LIBRARY_PATH",
        ),
        ("bin/hello", "libc.so.6", "provided /lib64/libc.so.6 LD_LIBRARY_PATH"),
        (
            "lib/libbundled.so.1.2.3",
            "libchain.so.1",
            "bundled /opt/lib/libchain.so.1 LD_LIBRARY_PATH",
        ),
        ("lib/libchain.so.1", "libfar.so.1", "missing - -"),
        // R's own lib comes first, by etc/ldpaths.
        (
            "R/lib/R/bin/exec/R",
            "libR.so",
            "bundled /opt/R/lib/R/lib/libR.so LD_LIBRARY_PATH",
        ),
        (
            "R/lib/R/library/stats/libs/stats.so",
            "libRlapack.so",
            "bundled /opt/R/lib/R/lib/libRlapack.so LD_LIBRARY_PATH",
        ),
        ("R/lib/R/library/tcltk/libs/tcltk.so", "libtcl8.6.so", "missing - -"),
    ] {
        assert_eq!(resolution(&analysis, object, soname), expected, "{object} {soname}");
    }
}

#[test]
fn what_is_missing_is_named_with_who_needs_it_and_where_this_machine_has_it() {
    let analysis = analysis(&[]);
    let missing: Vec<(&str, Vec<&str>, bool)> = analysis["libraries"]["missing"]
        .as_array()
        .unwrap()
        .iter()
        .map(|missing| {
            let host = missing["host_path"].as_str().unwrap_or_default();
            (
                missing["soname"].as_str().unwrap(),
                missing["needed_by"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|path| path.as_str().unwrap())
                    .collect(),
                host.ends_with(&format!("testdata/host/{}", missing["soname"].as_str().unwrap())),
            )
        })
        .collect();
    // Tcl is not asked for: the rule for tcltk takes the only object that needs it. Nor is libnowhere.so.9, which only
    // a library needs that the runtime shadows.
    assert_eq!(
        missing,
        [
            (
                "libfar.so.1",
                vec!["R/lib/R/lib/libRlapack.so", "lib/libchain.so.1"],
                true
            ),
            ("libfarther.so.1", vec!["lib/libfar.so.1"], true),
        ]
    );
    let shadowed = &analysis["libraries"]["shadowed"];
    assert_eq!(shadowed[0]["path"], "lib/libz.so.1");
    assert_eq!(shadowed[0]["by"], "/usr/lib64/libz.so.1");
    assert_eq!(
        analysis["libraries"]["unneeded"],
        serde_json::json!(["lib/plugins/unneeded.so"])
    );
}

#[test]
fn rules_and_components_are_summed_up() {
    let all = analysis(&[]);
    let effect = |analysis: &Value, id: &str| {
        let rules = analysis["rules"].as_array().unwrap();
        let rule = rules.iter().find(|rule| rule["id"] == id).unwrap();
        (rule["enabled"].as_bool().unwrap(), rule["files"].as_u64().unwrap())
    };
    assert_eq!(effect(&all, "r-tcltk"), (true, 3));
    // de and fr go, en and en@quot stay.
    assert_eq!(effect(&all, "r-translations"), (true, 2));
    assert_eq!(effect(&all, "r-help"), (true, 2));
    assert_eq!(effect(&all, "unix-man"), (true, 2));
    let without = analysis(&["--disable", "tcltk"]);
    assert_eq!(effect(&without, "r-tcltk"), (false, 3));
    let component = |name: &str| {
        let components = all["components"].as_array().unwrap();
        components.iter().find(|component| component["name"] == name).unwrap()["files"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(component("translations"), 5);
    assert_eq!(component("tcltk"), 3);
    assert!(component("R") > 0 && component("bin") == 2);
    let files: u64 = all["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["files"].as_u64().unwrap())
        .sum();
    let totals = &all["totals"];
    assert_eq!(
        files,
        totals["files"].as_u64().unwrap() + totals["symlinks"].as_u64().unwrap()
    );
}

/// What is packed runs: with the libraries that were added, and under the system's own loader.
#[test]
fn the_packed_program_runs() {
    let sandbox = Sandbox::new();
    let (tree, host) = (testdata("opt"), testdata("host"));
    let arguments = ["pack", tree.to_str().unwrap(), "--library-dir", host.to_str().unwrap()];
    sandbox.run(arguments).expect_status(0);
    sandbox.run(["check"]).expect_status(0);
    sandbox.folder("opt");
    let zip = sandbox.path("layers/layer-1.zip");
    let opt = sandbox.path("opt");
    if output("unzip", &["-q", zip.to_str().unwrap(), "-d", opt.to_str().unwrap()]).is_none() {
        return;
    }
    for path in [
        "lib/libfar.so.1",
        "lib/libfarther.so.1",
        "R/lib/R/doc/html/R.css",
        "share/doc/hello/copyright",
    ] {
        assert!(opt.join(path).is_file(), "{path}");
    }
    let mut hello = Command::new(opt.join("bin/hello"));
    match hello.env("LD_LIBRARY_PATH", opt.join("lib")).output() {
        Ok(output) if cfg!(target_arch = "x86_64") => assert!(output.status.success(), "{output:?}"),
        _ => {}
    }
    // Without them the same program does not start, and check says so beforehand.
    let arguments = ["pack", tree.to_str().unwrap(), "--no-import", "--format", "json"];
    sandbox.run(arguments).expect_status(1);
    let report = sandbox.run(["check", "--format", "json"]).expect_status(1).json();
    assert_eq!(report["findings"][0]["code"], "missing-library");
    assert!(
        report["findings"][0]["message"]
            .as_str()
            .unwrap()
            .contains("libfar.so.1 is needed by")
    );
}

/// The tables: whole in a pipe, without color.
#[test]
fn tables_are_plain_in_a_pipe() {
    let sandbox = Sandbox::new();
    let tree = testdata("opt");
    let text = sandbox.run(["analyze", tree.to_str().unwrap()]).expect_status(1).stdout;
    assert!(
        text.contains("What is large") && text.contains("Removable") && text.contains("libfar.so.1"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "{text}");
    let colored = sandbox
        .run(["analyze", tree.to_str().unwrap(), "--color", "always"])
        .expect_status(1)
        .stdout;
    assert!(colored.contains('\u{1b}'));
    assert!(
        text.lines().all(|line| line.trim_end() == line),
        "no blanks at the ends of lines"
    );
}

#[test]
fn what_does_not_fit_is_the_verdict() {
    let sandbox = Sandbox::new();
    sandbox
        .file("tree/share/data", "x".repeat(3000))
        .file("lambdar-prune.toml", "reserve = \"262142000B\"\n");
    let ran = sandbox.run(["analyze", "tree"]);
    assert_eq!(ran.status, 1, "{ran:#?}");
    let verdict = ran.stdout.lines().next().unwrap();
    assert!(
        verdict.contains("Does not fit: 3.00 kB unzipped where 1.99 kB are allowed"),
        "{verdict}"
    );
    assert!(!verdict.contains("OK"), "{verdict}");
    assert!(ran.stdout.contains("what would make it fit"), "{ran:#?}");
}

/// What it says before anything is packed, from a sample, beside what packing gives.
#[test]
fn the_estimate_is_near_what_pack_writes() {
    let sandbox = Sandbox::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in [
        "Cargo.lock",
        "CHANGELOG.md",
        "src/plan.rs",
        "src/shell/builtin.rs",
        "src/loader/search.rs",
    ] {
        let content = fs_err::read(root.join(name)).unwrap();
        sandbox.file(&format!("opt/share/{}", name.replace('/', "-")), content);
    }
    // As long as all that, and as it is.
    let noise = (0_u32..4000).flat_map(|number| *blake3::hash(&number.to_le_bytes()).as_bytes());
    sandbox.file("opt/share/noise", noise.collect::<Vec<u8>>());
    let program = fs_err::read("/proc/self/exe").unwrap();
    sandbox.file("opt/bin/program", &program[..]);
    let estimate = sandbox.run(["analyze", "opt", "--format", "json"]).json()["estimate"].clone();
    let packed = sandbox.run(["pack", "opt", "--format", "json"]).json()["totals"].clone();
    let near = |name: &str, percent: f64| {
        let (estimated, is) = (estimate[name].as_f64().unwrap(), packed[name].as_f64().unwrap());
        let off = (estimated / is - 1.0).abs() * 100.0;
        assert!(
            off <= percent,
            "{name}: {estimated} instead of {is}, {off:.1} percent off"
        );
    };
    // What is stripped is known; how well it is compressed is not, the less so the fewer contents there are. Nearly all of this
    // tree is one program of Rust without optimization, which is compressed 10 percent better than other objects.
    near("unzipped_bytes", 0.0);
    near("zipped_bytes", 12.0);
}

#[test]
fn the_next_command_judges_for_the_same_runtime() {
    let sandbox = Sandbox::new();
    sandbox.file("my tree/python/a.py", "");
    let ran = sandbox.run(["analyze", "my tree", "--runtime", "python3.13", "--arch", "arm64"]);
    for command in ["pack", "init"] {
        let line = format!("lambdar-prune {command} 'my tree' --runtime python3.13 --arch arm64");
        assert!(ran.stdout.contains(&line), "{}", ran.stdout);
    }
    let ran = sandbox.run(["analyze", "my tree"]);
    assert!(ran.stdout.contains("lambdar-prune pack 'my tree'  #"), "{}", ran.stdout);
}
