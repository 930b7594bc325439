//! What pack repairs of what does not work on Lambda as it is.

use std::io::Read;

use serde_json::Value;

use crate::findings::{library, program};
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
fn check_says_that_weak_symbols_can_do_without_their_version() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "libc.map",
        "GLIBC_2.2.5 { global: abs; };\nGLIBC_2.38 { global: strlcpy; } GLIBC_2.2.5;\n",
    );
    let script = format!("-Wl,--version-script,{}", sandbox.path("libc.map").display());
    let stub = "int abs(void) { return 0; }\nint strlcpy(void) { return 0; }\n";
    let made = library(
        &sandbox,
        "stub/libc.so.6",
        "libc.so.6",
        stub,
        &["-fno-builtin", &script],
    );
    let link = sandbox.path("stub/libc.so.6").display().to_string();
    let user = "int abs(void);\nint strlcpy(void) __attribute__((weak));\n\
                int user(void) { return strlcpy ? strlcpy() : abs(); }\n";
    let options = ["-fno-builtin", link.as_str()];
    // The versions are those of x86_64.
    let is_here = cfg!(target_arch = "x86_64") && made.is_some();
    if !is_here || library(&sandbox, "opt/lib/libuser.so.1", "libuser.so.1", user, &options).is_none() {
        return;
    }
    let checked = sandbox.run(["check", "opt", "-f", "json"]).expect_status(1).json();
    let [help] = helps(&checked, "lib/libuser.so.1").try_into().unwrap();
    assert!(
        help.contains("`lambdar-prune pack` repairs it") && help.contains("strlcpy without a version"),
        "{help}"
    );
    sandbox.run(["pack", "opt"]).expect_status(0);
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
fn variables_are_added_to_what_an_interpreter_reads_already() {
    let sandbox = needs("libproj.so.");
    let arguments = ["pack", "opt", "--library-dir", "machine/usr/lib", "--format", "json"];
    sandbox
        .file("machine/usr/share/proj/proj.db", "database")
        .file("opt/R/library/base/DESCRIPTION", "Package: base\nVersion: 4.2.2\n")
        .file(
            "opt/R/bin/R",
            "#!/bin/sh\nR_HOME_DIR=/opt/R\nexec ${R_HOME_DIR}/bin/exec/R\n",
        )
        .mode("opt/R/bin/R", 0o755);
    let written = |there: &[u8]| {
        sandbox.file("opt/R/etc/Renviron.site", there);
        let packed = sandbox.run(arguments).json();
        let zip = fs_err::File::open(sandbox.path("layers/layer-1.zip")).unwrap();
        let mut archive = zip::ZipArchive::new(zip).unwrap();
        let mut text = Vec::new();
        archive
            .by_name("R/etc/Renviron.site")
            .unwrap()
            .read_to_end(&mut text)
            .unwrap();
        (text, has_finding(&packed, "variable-to-set"))
    };
    let (text, is_left) = written(b"A=1");
    assert!(!is_left);
    let lines = "A=1\nPROJ_DATA=${PROJ_DATA-/opt/share/proj}\nPROJ_LIB=${PROJ_LIB-/opt/share/proj}\n";
    assert_eq!(String::from_utf8(text).unwrap(), lines);
    // Not text that this program could write again: it stays, and whoever deploys has to set the variable.
    let latin = b"# caf\xe9\nA=1\n";
    let (text, is_left) = written(latin);
    assert!(is_left && text == latin);
}

#[test]
fn what_a_library_opens_by_path_comes_with_it() {
    let sandbox = needs("libproj.so.");
    let arguments = ["pack", "opt", "--library-dir", "machine/usr/lib", "--format", "json"];
    // It is nowhere on this machine.
    let packed = sandbox.run(arguments).expect_status(0).json();
    assert!(has_finding(&packed, "companion-missing"), "{packed}");
    // It is next to the library: it comes in, and what is left is to say where.
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

/// A sandbox in which `old/libver.so.1` has version V1 alone and `new/libver.so.1` V2 as well, and the file of a runtime with
/// the old one, in whose `lib64` another library may need it. `None` without a compiler.
fn with_old_and_new(others: &str) -> Option<Sandbox> {
    let s = Sandbox::new();
    s.file("one.map", "V1 { global: one; };\n");
    s.file("two.map", "V1 { global: one; };\nV2 { global: two; } V1;\n");
    for (directory, map, value) in [("old", "one.map", 1), ("new", "two.map", 11)] {
        let source = format!(
            "int one(void) {{ return {value}; }}\nint two(void) {{ return {}; }}\n",
            value + 1
        );
        let script = format!("-Wl,--version-script,{}", s.path(map).display());
        library(
            &s,
            &format!("{directory}/libver.so.1"),
            "libver.so.1",
            &source,
            &[&script],
        )?;
    }
    let runtime = format!(
        r#"
name = "old"
title = "A runtime with an old library"
default_directories = ["/lib64"]
lib = "lib64"
working_directory = "/var/task"
environment = {{ LD_LIBRARY_PATH = "/lib64:/opt/lib", PATH = "/bin:/opt/bin" }}
[arch.x86_64]
interpreter = "/lib64/ld-linux-x86-64.so.2"
[[arch.x86_64.objects]]
path = "/lib64/libver.so.1"
soname = "libver.so.1"
needed = ["libc.so.6"]
versions = ["V1"]
[[arch.x86_64.objects]]
path = "/lib64/ld-linux-x86-64.so.2"
soname = "ld-linux-x86-64.so.2"
[[arch.x86_64.objects]]
path = "/lib64/libc.so.6"
soname = "libc.so.6"
versions = ["GLIBC_2.2.5"]
{others}"#
    );
    s.file("old.toml", runtime);
    Some(s)
}

/// A program of the tree that returns the value of an expression, linked with the new library.
fn linked(s: &Sandbox, name: &str, expression: &str, more: &[&str]) -> Option<String> {
    let source = format!(
        "int one(void), two(void), provided(void);\nint main(void) {{ __asm__(\"syscall\" :: \"a\"(60), \"D\"({expression})); return 0; }}\n"
    );
    let new = s.path("new/libver.so.1");
    program(
        s,
        &format!("opt/bin/{name}"),
        &source,
        &[&[new.to_str().unwrap()], more].concat(),
    )
}

/// Packs the tree, and unpacks it next to it.
fn packed_for_old(s: &Sandbox, status: i32) -> Option<Value> {
    let arguments = [
        "pack",
        "opt",
        "--runtime",
        "old.toml",
        "--library-dir",
        "new",
        "--format",
        "json",
    ];
    let packed = s.run(arguments).expect_status(status).json();
    let zip = s.path("layers/layer-1.zip").display().to_string();
    output("unzip", &["-qo", &zip, "-d", &s.path("unzipped").display().to_string()])?;
    Some(packed)
}

/// What the loader of this machine makes of a packed program, the runtime's libraries before those of the layers.
fn status_of(s: &Sandbox, name: &str) -> Option<i32> {
    let mut command = std::process::Command::new(s.path(&format!("unzipped/bin/{name}")));
    let path = format!("{}:{}", s.path("old").display(), s.path("unzipped/lib").display());
    command.env("LD_LIBRARY_PATH", path).status().unwrap().code()
}

#[test]
fn a_newer_library_comes_in_under_a_name_of_its_own() {
    let Some(s) = with_old_and_new("") else { return };
    let programs = [linked(&s, "newer", "two()", &[]), linked(&s, "older", "one()", &[])];
    if programs.iter().any(Option::is_none) {
        return;
    }
    let tree = s.contents("opt/bin");
    let checked = s.run(["check", "opt", "--runtime", "old.toml", "--format", "json"]);
    let [help] = helps(&checked.expect_status(1).json(), "bin/newer").try_into().unwrap();
    assert!(help.contains("--library-dir has a libver.so.1 with V2"), "{help}");
    let analyzed = s.run(["analyze", "opt", "--runtime", "old.toml", "--library-dir", "new"]);
    assert!(
        analyzed.stdout.contains("newer libver.so.1 (as ibver.so.1)"),
        "{analyzed:#?}"
    );
    let Some(packed) = packed_for_old(&s, 0) else { return };
    // Both ask for it, so that nothing that one of them loads brings the other one in.
    let changed = changed_by(&packed, "newer-libraries");
    let paths: Vec<&Value> = changed.iter().map(|changed| &changed["path"]).collect();
    assert_eq!(paths, ["bin/newer", "bin/older"]);
    assert_eq!(changed[0]["what"], "asks for ibver.so.1 instead of libver.so.1");
    assert_eq!(changed[0]["why"], "libver.so.1 of old has no V2");
    assert_eq!(packed["added"][0]["path"], "lib/ibver.so.1");
    assert_eq!(packed["added"][0]["soname"], "ibver.so.1");
    s.run(["check", "--runtime", "old.toml"]).expect_status(0);
    assert_eq!((status_of(&s, "newer"), status_of(&s, "older")), (Some(12), Some(11)));
    assert_eq!(s.contents("opt/bin"), tree, "the tree is as it was");
    // Without the repair the loader refuses it.
    let without = [
        "pack",
        "opt",
        "--runtime",
        "old.toml",
        "--library-dir",
        "new",
        "--no-fix=newer-libraries",
    ];
    s.run(without).expect_status(1);
}

#[test]
fn the_trees_own_copy_is_taken_first_and_not_twice() {
    let Some(s) = with_old_and_new("") else { return };
    if linked(&s, "newer", "two()", &[]).is_none() {
        return;
    }
    s.file(
        "opt/lib/libver.so.1.2.3",
        fs_err::read(s.path("new/libver.so.1")).unwrap(),
    );
    s.link("opt/lib/libver.so.1", "libver.so.1.2.3");
    let analyzed = s.run(["analyze", "opt", "--runtime", "old.toml", "-v"]);
    assert!(
        analyzed.stdout.contains("newer libver.so.1 (as ibver.so.1)"),
        "{analyzed:#?}"
    );
    let Some(packed) = packed_for_old(&s, 0) else { return };
    assert_eq!(packed["added"][0]["from"], "lib/libver.so.1.2.3");
    let packed = s.path("unzipped/lib/ibver.so.1");
    assert_eq!(
        fs_err::read_link(packed).unwrap().to_str(),
        Some("../lib/libver.so.1.2.3")
    );
    assert_eq!(status_of(&s, "newer"), Some(12));
}

#[test]
fn no_process_gets_two_copies() {
    let others = r#"
[[arch.x86_64.objects]]
path = "/lib64/libprovided.so.1"
soname = "libprovided.so.1"
needed = ["libver.so.1"]
"#;
    let Some(s) = with_old_and_new(others) else { return };
    let (old, provided) = (s.path("old/libver.so.1"), s.path("old/libprovided.so.1"));
    let source = "int one(void);\nint provided(void) { return one(); }\n";
    let name = "old/libprovided.so.1";
    let programs = [
        library(&s, name, "libprovided.so.1", source, &[old.to_str().unwrap()]),
        linked(&s, "both", "two() + provided()", &[provided.to_str().unwrap()]),
        linked(&s, "newer", "two()", &[]),
        linked(&s, "older", "one() + provided()", &[provided.to_str().unwrap()]),
    ];
    if programs.iter().any(Option::is_none) {
        return;
    }
    let Some(packed) = packed_for_old(&s, 1) else { return };
    let changed = changed_by(&packed, "newer-libraries");
    let paths: Vec<&Value> = changed.iter().map(|changed| &changed["path"]).collect();
    assert_eq!(paths, ["bin/newer"]);
    assert!(has_finding(&packed, "library-too-old"));
    let [help] = helps(&packed, "bin/both").try_into().unwrap();
    let reason = "there is no repair: /lib64/libprovided.so.1, which the same process loads, needs the runtime's own";
    assert!(help.contains(reason), "{help}");
    assert_eq!((status_of(&s, "newer"), status_of(&s, "older")), (Some(12), Some(2)));
}

#[test]
fn what_is_not_known_to_do_without_it_binds_a_library() {
    let others = "[arch.x86_64.libraries]\n\"/lib64\" = [\"libprovided.so.1\"]\n";
    let Some(s) = with_old_and_new("") else { return };
    let text = fs_err::read_to_string(s.path("old.toml")).unwrap();
    s.file(
        "old.toml",
        text.replace(
            "[[arch.x86_64.objects]]\npath = \"/lib64/libver",
            &format!("{others}[[arch.x86_64.objects]]\npath = \"/lib64/libver"),
        ),
    );
    let provided = s.path("old/libprovided.so.1");
    let programs = [
        library(
            &s,
            "old/libprovided.so.1",
            "libprovided.so.1",
            "int provided(void) { return 1; }\n",
            &[],
        ),
        linked(&s, "both", "two() + provided()", &[provided.to_str().unwrap()]),
    ];
    if programs.iter().any(Option::is_none) {
        return;
    }
    let Some(packed) = packed_for_old(&s, 1) else { return };
    let [help] = helps(&packed, "bin/both").try_into().unwrap();
    assert!(
        help.contains("it is not known what /lib64/libprovided.so.1 needs"),
        "{help}"
    );
}

/// What no program of the tree reaches is opened by the program of a managed runtime, which loads libraries of its own.
#[test]
fn what_a_managed_runtime_opens_shares_the_process_of_its_program() {
    let s = Sandbox::new();
    let versions = s.file("map", "ZLIB_9.9 { global: nine; };\n").path("map");
    let script = format!("-Wl,--version-script={}", versions.display());
    let alone = library(
        &s,
        "new/libz.so.1",
        "libz.so.1",
        "int nine(void) { return 9; }\n",
        &[&script],
    )
    .and_then(|_| {
        let source = "int nine(void);\nint alone(void) { return nine(); }\n";
        let new = s.path("new/libz.so.1");
        library(
            &s,
            "opt/lib/libalone.so",
            "libalone.so",
            source,
            &[new.to_str().unwrap()],
        )
    });
    if alone.is_none() {
        return;
    }
    let pack = |runtime: &str, status| {
        let arguments = [
            "pack",
            "opt",
            "--library-dir",
            "new",
            "--format",
            "json",
            "--runtime",
            runtime,
        ];
        s.run(arguments).expect_status(status).json()
    };
    // Python's program loads the runtime's zlib.
    let packed = pack("python3.13", 1);
    let [help] = helps(&packed, "lib/libalone.so").try_into().unwrap();
    assert!(help.contains("there is no repair"), "{help}");
    assert!(changed_by(&packed, "newer-libraries").is_empty());
    // Where there is no such program, nothing is in the way.
    let packed = pack("provided.al2023", 0);
    let changed = changed_by(&packed, "newer-libraries");
    let paths: Vec<&Value> = changed.iter().map(|changed| &changed["path"]).collect();
    assert_eq!(paths, ["lib/libalone.so"]);
}
