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
        .file("version/python/lib/python3.13/a/__init__.py", "")
        .file("own/bootstrap", "#!/bin/sh\n")
        .file("own/modules/a/__init__.py", "")
        .file("wrapped/python/a.py", "")
        .file("egg/python/a-1.0-py3.13.egg/a/__init__.py", "")
        .file("egg/python/a-1.0-py3.13.egg/EGG-INFO/PKG-INFO", "Name: a\n")
        .file("wrapped/otel/python/b/__init__.py", "")
        .file(
            "wrapped/otel-handler",
            "#!/bin/sh\nexport PYTHONPATH=/opt/otel/python\n",
        );
    sandbox
        .file("linked/lib/python3.13/site-packages/a.py", "")
        .link("linked/python", "lib/python3.13/site-packages");
    let checked = |tree: &str, runtime: &str| sandbox.run(["check", tree, "--runtime", runtime, "--format", "json"]);
    for (tree, code, expected) in [
        ("wrong", "modules-not-found", Some("error")),
        ("partly", "modules-elsewhere", Some("warning")),
        ("version", "modules-not-found", Some("error")),
        ("egg", "modules-not-found", Some("error")),
        ("linked", "modules-not-found", None),
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

/// The same of Node and Java; `project` is what `npm install` made in a directory of its own.
#[test]
fn packages_and_classes_are_looked_for_where_the_runtime_does() {
    let sandbox = Sandbox::new();
    let checked = |tree: &str, runtime: &str| sandbox.run(["check", tree, "--runtime", runtime, "--format", "json"]);
    sandbox
        .file("nested/nodejs/node_modules/a/package.json", "{}")
        .file("nested/nodejs/node_modules/node_modules/b/package.json", "{}")
        .file("top/b/package.json", "{}")
        .file("own-code/nodejs/package.json", "{}")
        .file("beside/nodejs/package.json", r#"{"name": "x", "version": "1.0.0"}"#)
        .file(
            "beside/nodejs/axios/package.json",
            r#"{"name": "axios", "version": "1.0.0"}"#,
        )
        .file(
            "beside/nodejs/@a/b/package.json",
            r#"{"name": "@a/b", "version": "1.0.0"}"#,
        )
        .file(
            "beside/nodejs/axios/node_modules/c/package.json",
            r#"{"name": "c", "version": "1.0.0"}"#,
        )
        .file("mistyped/nodejs/node_module/a/package.json", r#"{"name": "a"}"#)
        .file("helpers/nodejs/helpers/package.json", r#"{"type": "module"}"#)
        .file(
            "project/nodejs/app/package.json",
            r#"{"name": "app", "version": "1.0.0"}"#,
        )
        .file(
            "project/nodejs/app/node_modules/c/package.json",
            r#"{"name": "c", "version": "1.0.0"}"#,
        );
    for (tree, code, expected) in [
        ("nested", "modules-elsewhere", Some("warning")),
        ("top", "modules-not-found", Some("error")),
        ("own-code", "modules-not-found", None),
        ("beside", "modules-not-found", Some("error")),
        ("mistyped", "modules-not-found", Some("error")),
        ("helpers", "modules-not-found", None),
        ("project", "modules-not-found", Some("error")),
    ] {
        let found = severity(&checked(tree, "nodejs22.x"), code);
        assert_eq!(found.as_deref(), expected, "{tree} {code}");
    }
    let packed = ["pack", "beside", "--place", "-o", "placed", "--runtime", "nodejs22.x"];
    sandbox.run(packed).expect_status(0);
    if let Some(names) = output("unzip", &["-Z1", sandbox.path("placed/layer-1.zip").to_str().unwrap()]) {
        for file in ["nodejs/package.json", "nodejs/node_modules/@a/b/package.json"] {
            assert!(names.lines().any(|name| name == file), "{file} {names}");
        }
        assert!(
            names.contains("nodejs/node_modules/axios/node_modules/c/package.json"),
            "{names}"
        );
    }
    sandbox
        .file("beside-jars/java/lib/a.jar", "")
        .file("beside-jars/java/lib/com/a/A.class", "")
        .file("beside-jars/java/lib/com/a/b/B.class", "")
        .file("no-jar/com/a/A.class", "")
        .file("jar/java/lib/a.jar", "")
        .file("jar/java/lib/com/a/a.properties", "");
    for (tree, code, expected) in [
        ("beside-jars", "modules-elsewhere", Some("warning")),
        ("no-jar", "modules-not-found", Some("error")),
        ("jar", "modules-elsewhere", None),
    ] {
        let found = severity(&checked(tree, "java21"), code);
        assert_eq!(found.as_deref(), expected, "{tree} {code}");
    }
}

/// Makes a shared library that needs another one; false where there is no compiler.
fn library(sandbox: &Sandbox, path: &str, needed: Option<&str>) -> bool {
    sandbox.file("empty.c", "").file(path, "");
    let name = path.rsplit('/').next().unwrap();
    let (to, soname) = (sandbox.path(path), format!("-Wl,-soname,{name}"));
    let mut options = vec![
        "-shared",
        "-nostdlib",
        "-Wl,--no-as-needed",
        &soname,
        "-o",
        to.to_str().unwrap(),
    ];
    let (source, stub) = (
        sandbox.path("empty.c"),
        needed.map(|name| sandbox.path(&format!("stubs/{name}"))),
    );
    options.push(source.to_str().unwrap());
    options.extend(stub.as_ref().map(|stub| stub.to_str().unwrap()));
    output("gcc", &options).is_some()
}

/// Ruby 3.3 of Debian, started with a library of another name, says "linked to incompatible libruby-3.3.so.3.3" of an extension that
/// is linked to this one. An interpreter that the tree has by itself is another matter.
#[test]
fn a_second_interpreter_does_not_come_in_for_extensions() {
    let sandbox = Sandbox::new();
    let stubs = [
        "libruby-3.3.so.3.3",
        "libpython3.12.so.1.0",
        "libpython3.13.so.1.0",
        "libjvm.so",
    ];
    let mut names = stubs.iter();
    if !names.all(|name| library(&sandbox, &format!("stubs/{name}"), None)) {
        return;
    }
    // What is found in the layers, and whether the library came in.
    let packed = |tree: &str, runtime: &str, needed: &str| {
        let out = format!("{tree}.out");
        let arguments = ["pack", tree, "--runtime", runtime, "--library-dir", "stubs", "-o", &out];
        sandbox.run(arguments);
        let manifest = fs_err::read_to_string(sandbox.path(&out).join("layers.json")).unwrap();
        let checked = sandbox.run(["check", &out, "--runtime", runtime, "--format", "json"]);
        (checked, manifest.contains(&format!("lib/{needed}")))
    };
    let gem = "ruby/gems/3.3.0/extensions/x86_64-linux/3.3.0/hello-1.0/hello.so";
    let module = "python/_x.cpython-313-x86_64-linux-gnu.so";
    for (tree, path, needed, runtime, expected) in [
        ("gem", gem, stubs[0], "ruby3.3", Some("error")),
        ("older", module, stubs[1], "python3.13", Some("error")),
        ("same", module, stubs[2], "python3.13", None),
        ("native", "lib/libhello.so", stubs[3], "java21", None),
    ] {
        library(&sandbox, &format!("{tree}/{path}"), Some(needed));
        let (checked, is_added) = packed(tree, runtime, needed);
        assert_eq!(severity(&checked, "wrong-abi").as_deref(), expected, "{checked:#?}");
        assert_eq!(severity(&checked, "missing-library"), None, "{checked:#?}");
        assert!(!is_added, "{tree}");
    }
    library(&sandbox, &format!("own/{gem}"), Some(stubs[0]));
    sandbox
        .file("main.c", "int main(void) { return 0; }")
        .file("own/bin/ruby", "");
    let paths = ["own/bin/ruby", "main.c", "stubs/libruby-3.3.so.3.3"].map(|path| sandbox.path(path));
    let [to, from, stub] = paths.each_ref().map(|path| path.to_str().unwrap());
    assert!(output("gcc", &["-Wl,--no-as-needed", "-o", to, from, stub]).is_some());
    let (checked, is_added) = packed("own", "ruby3.3", stubs[0]);
    assert_eq!(severity(&checked, "wrong-abi"), None, "{checked:#?}");
    assert!(is_added);
}

/// R starts and loads all other packages without what is for windows on a display.
#[test]
fn what_r_has_for_a_display_is_missed_with_a_warning() {
    let sandbox = Sandbox::new();
    if !library(&sandbox, "stubs/libnowhere.so.1", None) {
        return;
    }
    for (tree, object, expected) in [
        ("x11", "modules/R_X11.so", "warning"),
        ("tcltk", "library/tcltk/libs/tcltk.so", "warning"),
        ("internet", "modules/internet.so", "error"),
        ("stats", "library/stats/libs/stats.so", "error"),
    ] {
        sandbox
            .file(&format!("{tree}/R/bin/R"), "#!/bin/sh\n")
            .file(
                &format!("{tree}/R/library/base/DESCRIPTION"),
                "Package: base\nBuilt: R 4.2.2; ; ; unix\n",
            )
            .file(
                &format!("{tree}/R/library/tcltk/DESCRIPTION"),
                "Package: tcltk\nBuilt: R 4.2.2; ; ; unix\n",
            )
            .file(
                &format!("{tree}/R/library/stats/DESCRIPTION"),
                "Package: stats\nBuilt: R 4.2.2; ; ; unix\n",
            );
        library(&sandbox, &format!("{tree}/R/{object}"), Some("libnowhere.so.1"));
        let checked = sandbox.run(["check", tree, "--runtime", "provided.al2023", "--format", "json"]);
        assert_eq!(
            severity(&checked, "missing-library").as_deref(),
            Some(expected),
            "{checked:#?}"
        );
    }
}

/// Code that chooses names the modules for every system, so that naming one is no use of it.
#[test]
fn packages_for_other_platforms_go_as_a_whole() {
    let sandbox = Sandbox::new();
    let program = fs_err::read("/bin/true").unwrap();
    let mut other = program.clone();
    other[18..20].copy_from_slice(if program[18] == 62 { &[183, 0] } else { &[62, 0] });
    let (own, foreign) = if program[18] == 62 {
        ("x64", "arm64")
    } else {
        ("arm64", "x64")
    };
    let modules = "t/nodejs/node_modules";
    let choose = format!("module.exports = require(c ? 'a-linux-{own}' : 'a-linux-{foreign}')");
    sandbox
        .file(&format!("{modules}/a/package.json"), r#"{"name": "a", "main": "i.js"}"#)
        .file(&format!("{modules}/a/i.js"), &choose);
    for (platform, addon) in [(own, &program), (foreign, &other)] {
        let package = format!("{modules}/a-linux-{platform}");
        let manifest = format!(r#"{{"name": "a-linux-{platform}", "main": "a.node"}}"#);
        sandbox
            .file(&format!("{package}/package.json"), &manifest)
            .file(&format!("{package}/a.node"), addon);
    }
    let arguments = ["prune", "t", "--to", "copy", "--runtime", "nodejs22.x"];
    sandbox.run(arguments).expect_status(0);
    let is_left = |package: String| sandbox.path(&format!("copy/nodejs/node_modules/{package}")).exists();
    assert!(is_left(format!("a-linux-{own}/a.node")));
    assert!(!is_left(format!("a-linux-{foreign}")));
}

/// Addons that register themselves when they are loaded say for which Node they are in a `node_module` (node.h).
#[test]
fn addons_say_which_node_they_are_for_in_their_registration() {
    let sandbox = Sandbox::new();
    let code = "struct node_module { int version; unsigned flags; void *dso; const char *file; void *f; void *g; \
                const char *name; void *priv; void *link; };\n\
                void node_module_register(void *); static void init(void) {}\n\
                static struct node_module m = {VERSION, 0, 0, \"../b.cc\", (void *)init, 0, \"b\", 0, 0};\n\
                __attribute__((constructor)) static void enter(void) { node_module_register(&m); }\n";
    sandbox.file("b.c", code);
    for (version, expected) in [("93", Some("error")), ("127", None)] {
        let package = format!("t{version}/nodejs/node_modules/b");
        sandbox.file(&format!("{package}/package.json"), "{}");
        sandbox.file(&format!("{package}/build/Release/b.node"), "");
        let to = sandbox.path(&format!("{package}/build/Release/b.node"));
        let (define, from) = (format!("-DVERSION={version}"), sandbox.path("b.c"));
        let options = ["-O1", "-shared", "-fPIC", "-nostdlib", &define, "-o"];
        let paths = [to.to_str().unwrap(), from.to_str().unwrap()];
        if output("gcc", &[&options[..], &paths].concat()).is_none() {
            return;
        }
        let checked = sandbox.run([
            "check",
            &format!("t{version}"),
            "--runtime",
            "nodejs22.x",
            "--format",
            "json",
        ]);
        assert_eq!(severity(&checked, "wrong-abi").as_deref(), expected, "{version}");
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
        .file("misplaced/a/__init__.py", "")
        .file("misplaced/a/_x.cpython-312-x86_64-linux-gnu.so", "")
        .file("libraries/lib/python3/dist-packages/a/__init__.py", "")
        .file("libraries/lib/x.so", fs_err::read("/bin/true").unwrap())
        .file("own/bootstrap", "#!/bin/sh\n");
    for (tree, runtime, note) in [
        ("tagged", "python3.12", "the runtime is python3.12"),
        ("plain", "nodejs", "the runtime is nodejs"),
        ("both", "provided.al2023", "choose one with --runtime"),
        ("own", "provided.al2023", ""),
        ("misplaced", "python3.12", "the runtime is python3.12"),
        ("libraries", "provided.al2023", ""),
    ] {
        let ran = sandbox.run(["check", tree, "--format", "json"]);
        let found = ran.json()["runtime"].as_str().unwrap().to_owned();
        assert!(found.starts_with(runtime), "{tree}: {found}");
        assert!(ran.stderr.contains(note), "{tree}: {}", ran.stderr);
        assert_eq!(ran.stderr.is_empty(), note.is_empty(), "{tree}: {}", ran.stderr);
    }
}

/// A link that leads nowhere is worth a warning where the function is started through something that names it, or where a module
/// would be.
#[test]
fn links_that_something_follows_are_worth_a_warning() {
    let sandbox = Sandbox::new();
    sandbox
        .file(
            "t/bootstrap",
            "#!/bin/sh\ncat /opt/data/current/x /opt/data/other-one\n",
        )
        .file("t/data/x", "")
        .file("m/python/lib/python3.13/site-packages/a/__init__.py", "");
    let link = |path: &str| std::os::unix::fs::symlink("nowhere", sandbox.path(path)).unwrap();
    link("t/data/current");
    let checked = |tree: &str, runtime: &str| {
        let ran = sandbox.run(["check", tree, "--runtime", runtime, "--format", "json"]);
        severity(&ran, "dangling-link")
    };
    assert_eq!(checked("t", "provided.al2023").as_deref(), Some("warning"));
    fs_err::rename(sandbox.path("t/data/current"), sandbox.path("t/data/other")).unwrap();
    assert_eq!(checked("t", "provided.al2023").as_deref(), Some("note"));
    link("m/python/lib/python3.13/site-packages/a/b.py");
    assert_eq!(checked("m", "python3.13").as_deref(), Some("warning"));
}

/// `--place` and `--symlinks follow-all` pack what a runtime finds, and leave the tree alone.
#[test]
fn modules_are_packed_where_they_belong() {
    let sandbox = Sandbox::new();
    sandbox
        .file("tree/lib/python3.13/site-packages/a/__init__.py", "x = 1\n")
        .file("tree/lib/python3.13/site-packages/b.py", "y = 1\n")
        .file("tree/lib/python3.13/site-packages/google/c/__init__.py", "z = 1\n")
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
        assert_eq!(
            names,
            [
                "python/a/__init__.py",
                "python/b.py",
                "python/google/c/__init__.py",
                "python/link.py"
            ]
        );
    }
    if let Some(names) = names("followed") {
        assert_eq!(names.trim(), "python/c.py");
    }
    assert!(sandbox.path("tree/lib/python3.13/site-packages/b.py").exists());
}

/// `pip download --python-version 3.13` refuses a wheel with the tag cp314-abi3 and takes one with cp38-abi3. No Python on Linux looks
/// for m.pyd.
#[test]
fn modules_for_the_stable_interface_of_a_later_python_and_for_windows_are_told() {
    let sandbox = Sandbox::new();
    sandbox.file("m.c", "void PyInit_m(void) {}");
    for (tree, tag, expected) in [("later", "cp314", Some("error")), ("fine", "cp38", None)] {
        let at = |path: &str| format!("{tree}/python/{path}");
        let record = "p/m.abi3.so,,\np-1.0.dist-info/WHEEL,,\n";
        let wheel = format!("Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}-abi3-manylinux_2_17_x86_64\n");
        sandbox
            .file(&at("p/__init__.py"), "")
            .file(&at("p/m.abi3.so"), "")
            .file(
                &at("p/m.pyd"),
                [&b"MZ"[..], &[0; 58], &[64, 0, 0, 0], b"PE\0\0\x64\x86"].concat(),
            )
            .file(
                &at("p-1.0.dist-info/METADATA"),
                "Metadata-Version: 2.1\nName: p\nVersion: 1.0\n",
            )
            .file(&at("p-1.0.dist-info/RECORD"), record)
            .file(&at("p-1.0.dist-info/WHEEL"), wheel);
        let (to, from) = (sandbox.path(&at("p/m.abi3.so")), sandbox.path("m.c"));
        let options = [
            "-shared",
            "-nostdlib",
            "-fPIC",
            "-o",
            to.to_str().unwrap(),
            from.to_str().unwrap(),
        ];
        if output("gcc", &options).is_none() {
            return;
        }
        let arguments = [
            "check",
            tree,
            "--runtime",
            "python3.13",
            "--arch",
            "x86_64",
            "--format",
            "json",
        ];
        let checked = sandbox.run(arguments);
        assert_eq!(severity(&checked, "wrong-abi").as_deref(), expected, "{checked:#?}");
        assert_eq!(severity(&checked, "foreign-object"), None, "{checked:#?}");
    }
}

/// ld.so says "file too short" of a text, whatever ends it.
#[test]
fn a_text_with_a_line_break_is_no_library_either() {
    let sandbox = Sandbox::new();
    sandbox
        .file("t/lib/libx.so.1", fs_err::read("/bin/true").unwrap())
        .file("t/lib/libx.so", "libx.so.1\n")
        .file("fine/lib/libx.so.1", "")
        .file("fine/lib/libx.so", "/* GNU ld script */\nGROUP ( libx.so.1 )\n");
    for (tree, expected) in [("t", Some("error")), ("fine", None)] {
        let checked = sandbox.run(["check", tree, "--runtime", "python3.13", "--format", "json"]);
        assert_eq!(severity(&checked, "link-as-text").as_deref(), expected, "{checked:#?}");
    }
}

/// Python 3.13 says "bad magic number in 'm'" of a module that only 3.12 has compiled, and looks for the source first.
#[test]
fn byte_code_without_a_source_is_for_one_version() {
    let sandbox = Sandbox::new();
    let compiled = |magic: u16| [&magic.to_le_bytes()[..], b"\r\n", &[0; 12], b"N"].concat();
    sandbox
        .file("older/python/m.pyc", compiled(3531))
        .file("own/python/m.pyc", compiled(3571))
        .file("covered/python/m.pyc", compiled(3531))
        .file("covered/python/m.py", "")
        .file("cached/python/m.py", "")
        .file("cached/python/__pycache__/m.cpython-312.pyc", compiled(3531));
    for (tree, expected) in [
        ("older", Some("error")),
        ("own", None),
        ("covered", None),
        ("cached", None),
    ] {
        let checked = sandbox.run(["check", tree, "--runtime", "python3.13", "--format", "json"]);
        assert_eq!(
            severity(&checked, "wrong-abi").as_deref(),
            expected,
            "{tree} {checked:#?}"
        );
    }
}

#[test]
fn data_of_a_language_is_no_module_of_another() {
    let sandbox = Sandbox::new();
    sandbox.file("t/python/j/__init__.py", "").file("t/python/j/j.jar", "");
    let checked = sandbox.run(["check", "t"]);
    assert!(
        checked.stdout.contains("for python") && !checked.stderr.contains("java"),
        "{checked:#?}"
    );
}
