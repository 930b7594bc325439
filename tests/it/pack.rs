//! What `pack` puts into layers, and how it leaves the output folder.

use std::collections::BTreeSet;

use crate::findings::library;
use crate::support::{Ran, Sandbox, output};

/// The names in all zips of a folder, by the crate that `check` reads with.
fn packed_names(sandbox: &Sandbox, folder: &str) -> BTreeSet<String> {
    sandbox
        .contents(folder)
        .into_iter()
        .filter(|(name, _)| name.starts_with("layer-"))
        .flat_map(|(_, bytes)| {
            let archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
            let names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
            names
        })
        .collect()
}

#[test]
fn rules_and_overrides_decide_what_is_packed() {
    let sandbox = Sandbox::new();
    sandbox
        .file("opt/share/man/man1/x.1", "x")
        .file("opt/share/doc/x/README", "x")
        .file("opt/share/doc/x/copyright", "x")
        .file("opt/include/x.h", "x")
        .file("opt/lib/libx.a", "x")
        .file("opt/lib/libx.la", "x")
        .file("opt/lib/plugins/libx.la", "x")
        .file("opt/lib/data", "x")
        .folder("opt/var");
    let pack = |arguments: &[&str]| -> Vec<String> {
        let mut all = vec!["pack", "opt"];
        all.extend(arguments);
        sandbox.run(all).expect_status(0);
        packed_names(&sandbox, "layers").into_iter().collect()
    };
    assert_eq!(
        pack(&[]),
        ["lib/data", "lib/plugins/libx.la", "share/doc/x/copyright", "var/"]
    );
    assert_eq!(
        pack(&["--disable", "development", "--drop", "lib/*", "--keep", "lib/data"]),
        ["include/x.h", "lib/data", "share/doc/x/copyright", "var/"]
    );
    assert_eq!(
        pack(&["--keep", "share/**"]),
        [
            "lib/data",
            "lib/plugins/libx.la",
            "share/doc/x/README",
            "share/doc/x/copyright",
            "share/man/man1/x.1",
            "var/"
        ]
    );
    // The tree itself is as it was.
    assert!(sandbox.path("opt/share/man/man1/x.1").exists());
}

#[test]
fn a_kept_link_keeps_its_target() {
    let sandbox = Sandbox::new();
    sandbox
        .file("opt/include/version.h", "x")
        .file("opt/include/other.h", "x")
        .link("opt/etc/version", "../lib/current")
        .link("opt/lib/current", "/opt/include/version.h")
        .link("opt/include/again.h", "version.h");
    sandbox.run(["pack", "opt"]).expect_status(0);
    let names: Vec<String> = packed_names(&sandbox, "layers").into_iter().collect();
    assert_eq!(names, ["etc/version", "include/version.h", "lib/current"]);
}

#[test]
fn links_are_kept_or_followed() {
    let sandbox = Sandbox::new();
    sandbox
        .file("opt/lib/libx.so.1.2", "content")
        .link("opt/lib/libx.so.1", "libx.so.1.2")
        .link("opt/lib/libx.so", "/opt/lib/libx.so.1")
        .link("opt/lib64", "lib");
    sandbox.run(["pack", "opt"]).expect_status(0);
    let names: Vec<String> = packed_names(&sandbox, "layers").into_iter().collect();
    assert_eq!(names, ["lib/libx.so", "lib/libx.so.1", "lib/libx.so.1.2", "lib64"]);
    let manifest = sandbox
        .run(["pack", "opt", "--symlinks", "follow", "--format", "json"])
        .expect_status(0)
        .json();
    assert_eq!(manifest["totals"]["unzipped_bytes"], 6 * "content".len());
    let names = packed_names(&sandbox, "layers");
    assert!(names.contains("lib64/libx.so.1") && names.len() == 6, "{names:?}");
    // A link into its own folder would never end.
    sandbox.link("opt/lib/again", "..");
    let ran = sandbox.run(["pack", "opt", "--symlinks", "follow"]).expect_status(2);
    assert!(ran.stderr.contains("lib/again"), "{ran:#?}");
}

/// Fewer layers than before leave no old ones behind; files that are not the program's own stay.
#[test]
fn an_output_folder_holds_one_run() {
    let sandbox = Sandbox::new();
    for number in 0..20_u8 {
        sandbox.file(&format!("opt/{number}"), [number; 500]);
    }
    sandbox
        .file("layers/mine.zip", "mine")
        .file("layers/layer-x.zip", "mine");
    let names = |ran: Ran| {
        ran.expect_status(0);
        let names: Vec<String> = sandbox.contents("layers").into_iter().map(|(name, _)| name).collect();
        names.join(" ")
    };
    let max = "1000";
    let several = names(sandbox.run(["pack", "opt", "--max", max, "-q"]));
    assert!(several.contains("layer-1.zip layer-2.zip"), "{several}");
    assert_eq!(
        names(sandbox.run(["pack", "opt"])),
        "layer-1.zip layer-x.zip layers.json mine.zip"
    );
}

/// A run that is stopped leaves the folder as it was.
#[test]
fn an_interrupted_run_leaves_nothing() {
    let sandbox = Sandbox::new();
    for number in 0..40_u32 {
        let content: Vec<u8> = (0..400_000_u32)
            .flat_map(|i| (i.wrapping_mul(number) >> 3).to_le_bytes())
            .collect();
        sandbox.file(&format!("opt/{number}"), content);
    }
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_lambdar-prune"))
        .args(["pack", "opt", "--threads", "1", "--no-cache"])
        .current_dir(sandbox.path(""))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while !sandbox.path("layers").exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let pid = child.id().to_string();
    crate::support::output("kill", &["-INT", &pid]);
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert!(!sandbox.path("layers").exists());
}

#[test]
fn more_layers_than_lambda_takes_are_written_and_called_wrong() {
    let sandbox = Sandbox::new();
    for number in 0..7_u8 {
        sandbox.file(&format!("opt/{number}"), [number; 10]);
    }
    let mut noise = 9_u64;
    for number in 0..7_u8 {
        let content: Vec<u8> = (0..900)
            .map(|_| {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                noise.to_be_bytes()[0]
            })
            .collect();
        sandbox.file(&format!("opt/noise{number}"), content);
    }
    let ran = sandbox
        .run(["pack", "opt", "--max", "1500", "--max-layers", "7", "--format", "json"])
        .expect_status(1);
    assert_eq!(ran.json()["totals"]["layers"], 7);
    let checked = sandbox.run(["check", "--format", "json"]).expect_status(1).json();
    assert_eq!(checked["ok"], false);
    assert_eq!(checked["findings"][0]["code"], "too-many-layers");
}

/// Bytes that do not shrink.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let next = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..length).map(next).collect()
}

#[test]
fn what_does_not_fit_is_not_written_and_the_answer_says_what_would_help() {
    let sandbox = Sandbox::new();
    sandbox
        .file("opt/lib/data", noise(1, 5_000))
        .file("opt/share/zoneinfo/Europe/Berlin", noise(2, 5_000))
        .file("opt/share/other", noise(3, 5_000));
    sandbox.run(["pack", "opt"]).expect_status(0);
    let before = sandbox.contents("layers");
    let refused = |arguments: &[&str]| {
        let mut all = vec!["pack", "opt", "--format", "json"];
        all.extend(arguments);
        let ran = sandbox.run(all).expect_status(1);
        assert!(ran.stderr.contains("Nothing was written"), "{ran:#?}");
        assert_eq!(sandbox.contents("layers"), before);
        ran.json()
    };
    let answer = refused(&["--max", "6000", "--max-layers", "2"]);
    assert_eq!(answer["ok"], false);
    assert_eq!(answer["totals"]["layers"], 3);
    assert_eq!(answer["reasons"][0], "3 layers are needed, more than the 2 allowed");
    let ways: Vec<&str> = answer["ways"]
        .as_array()
        .unwrap()
        .iter()
        .map(|way| way["option"].as_str().unwrap())
        .collect();
    assert_eq!(ways, ["--max 52428799", "--via s3"]);
    let rule = &answer["rules_off"][0];
    assert_eq!(
        (&rule["id"], &rule["fits"], &rule["files"]),
        (&"unix-time-zones".into(), &true.into(), &1.into())
    );
    assert_eq!(answer["components"][0]["name"], "share");
    // Each way that is named does help.
    for way in ways.into_iter().chain(["--enable unix-time-zones --max 6000"]) {
        let mut arguments = vec!["pack", "opt", "-o", "other", "--max-layers", "2"];
        arguments.extend(way.split(' '));
        sandbox.run(arguments).expect_status(0);
    }
    // One byte less than all of it, for itself or for the function.
    for limit in [&["--max-unzipped", "14999"][..], &["--reserve", "262129000"]] {
        let answer = refused(limit);
        assert_eq!(
            answer["reasons"][0],
            "15,000 bytes unzipped are more than the 14,999 allowed"
        );
        assert_eq!(answer["ways"].as_array().unwrap().len(), 0);
    }
    sandbox
        .run(["pack", "opt", "--reserve", "262128999", "-o", "other"])
        .expect_status(0);
    sandbox.run(["pack", "opt", "--reserve", "262143999"]).expect_status(2);
    let shown = sandbox.run(["pack", "opt", "--max", "4000"]).expect_status(1);
    assert!(shown.stdout.contains("share/other alone makes a zip of"), "{shown:#?}");
    assert!(shown.stdout.contains("--via s3: 1 layer"), "{shown:#?}");
}

#[test]
fn a_bucket_takes_what_no_request_does() {
    let sandbox = Sandbox::new();
    sandbox.file("opt/large", noise(1, 52_500_000));
    let refused = sandbox.run(["pack", "opt"]).expect_status(1);
    assert!(refused.stdout.contains("--via s3: 1 layer"), "{refused:#?}");
    let packed = sandbox
        .run(["pack", "opt", "--via", "s3", "--format", "json"])
        .expect_status(0)
        .json();
    assert_eq!(packed["via"], "s3");
    assert_eq!(packed["totals"]["layers"], 1);
    // The manifest says how it gets there; of the zip alone nothing is known.
    sandbox.run(["check"]).expect_status(0);
    let alone = sandbox.run(["check", "layers/layer-1.zip"]).expect_status(1);
    assert!(alone.stdout.contains("zip-too-large"), "{alone:#?}");
}

#[test]
fn distributions_of_python_and_packages_of_node_are_kept_together_and_named() {
    let sandbox = Sandbox::new();
    for (name, seed) in [("one", 1), ("two", 2), ("three", 3)] {
        sandbox
            .file(&format!("opt/python/{name}/code.py"), noise(seed, 2_000))
            .file(&format!("opt/python/{name}.libs/data"), noise(seed + 10, 2_000))
            .file(
                &format!("opt/python/{name}-1.0.dist-info/RECORD"),
                format!("{name}/code.py,,\n{name}.libs/data,,\n{name}-1.0.dist-info/METADATA,,\n{name}-1.0.dist-info/RECORD,,\n"),
            )
            .file(&format!("opt/python/{name}-1.0.dist-info/METADATA"), "Name: x\n");
    }
    sandbox
        .file("opt/nodejs/node_modules/@scope/package/package.json", "{}")
        .file("opt/nodejs/node_modules/@scope/package/index.js", noise(20, 4_000));
    let manifest = sandbox
        .run(["pack", "opt", "--max", "5500", "--format", "json"])
        .expect_status(0)
        .json();
    let layers = manifest["layers"].as_array().unwrap();
    let components: BTreeSet<String> = layers.iter().map(|layer| layer["components"].to_string()).collect();
    let expected = ["[\"@scope/package\"]", "[\"one\"]", "[\"three\"]", "[\"two\"]"];
    assert_eq!(components, expected.map(str::to_owned).into());
    let analysis = sandbox.run(["analyze", "opt", "--format", "json"]).json();
    let names: BTreeSet<&str> = analysis["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|component| component["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["@scope/package", "one", "three", "two"].into());
}

/// What a Python of the runtime's version would compile at each cold start is compiled on request, and what is not Python is
/// passed over.
#[test]
fn modules_are_compiled_on_request() {
    let version = output("python3", &["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]);
    let Some(version) = version else { return };
    let version = version.trim();
    let s = Sandbox::new();
    s.file("t/python/pkg/__init__.py", "")
        .file("t/python/pkg/a.py", "x = 1\n")
        .file("t/python/pkg/template.py", "{{ name }} = 1 1\n");
    let runtime = format!("python{version}");
    let ran = s.run([
        "pack",
        "t",
        "--runtime",
        &runtime,
        "--compile",
        "--no-cache",
        "-o",
        "out",
    ]);
    if !ran.stderr.contains("compiled 2 modules") {
        // There is no runtime of this version, or no interpreter where it would be.
        assert!(ran.status != 0, "{ran:?}");
        return;
    }
    let names = packed_names(&s, "out");
    let tag = version.replace('.', "");
    let has = |module: &str| {
        names
            .iter()
            .any(|name| name.contains(&format!("__pycache__/{module}.cpython-{tag}.pyc")))
    };
    assert!(has("__init__") && has("a") && !has("template"), "{names:?}");
    s.run([
        "pack",
        "t",
        "--runtime",
        "nodejs22.x",
        "--compile",
        "--no-cache",
        "-o",
        "none",
    ])
    .expect_status(2);
}

#[test]
fn a_library_stays_as_it_is_next_to_its_checksum() {
    let sandbox = Sandbox::new();
    for name in ["libone", "libtwo", "libthree"] {
        let source = format!("int {name}(void) {{ return 0; }}\n");
        if library(&sandbox, &format!("opt/lib/{name}.so"), name, &source, &[]).is_none() {
            return;
        }
    }
    sandbox
        .file("opt/lib/libone.chk", "checksum")
        .file("opt/lib/.libtwo.so.hmac", "checksum");
    let document = sandbox.run(["pack", "opt", "-f", "json"]).expect_status(0).json();
    let changed = document["changed"].as_array().unwrap();
    let paths: Vec<&str> = changed.iter().filter_map(|file| file["path"].as_str()).collect();
    assert_eq!(paths, ["lib/libthree.so"]);
}

/// A wheel may bring a library that its modules do not load.
#[test]
fn what_does_not_fit_fits_without_a_library_that_nothing_loads() {
    let s = Sandbox::new();
    let mut state = 1u64;
    let noise = std::iter::repeat_with(|| {
        // Knuth, MMIX: its high bytes do not compress.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    });
    s.file("noise", noise.take(300_000).collect::<Vec<u8>>())
        .file(
            "x.s",
            ".data\n.globl x\nx: .incbin \"noise\"\n.section .note.GNU-stack\n",
        )
        .file("t/python/pkg/__init__.py", "")
        .file("t/python/pkg-1.0.dist-info/METADATA", "Name: pkg\nVersion: 1.0\n")
        .file(
            "t/python/pkg-1.0.dist-info/RECORD",
            "pkg/__init__.py,,\npkg/libbig.so.1,,\n",
        );
    let at = |path: &str| s.path(path).display().to_string();
    let (to, from, include) = (at("t/python/pkg/libbig.so.1"), at("x.s"), format!("-Wa,-I{}", at(".")));
    let options = [
        "-shared",
        "-nostdlib",
        "-Wl,-soname,libbig.so.1",
        &include,
        "-o",
        &to,
        &from,
    ];
    if output("gcc", &options).is_none() {
        return;
    }
    let ran = s.run([
        "pack",
        "t",
        "--runtime",
        "python3.13",
        "--max",
        "100KB",
        "--max-layers",
        "1",
        "--no-cache",
        "-o",
        "out",
    ]);
    let shown = format!("{ran:?}");
    assert!(shown.contains("--drop 'python/pkg/libbig.so.1'"), "{shown}");
}
