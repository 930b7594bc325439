//! Libraries that the runtime has in front of the tree's own: left out where nothing could load them, kept otherwise.

use crate::support::{Sandbox, output};

const LIBRARY: &str = "int curl(void) { return 4; }\n";
const PROGRAM: &str = "int curl(void); void _start(void) { for (;;) curl(); }\n";

/// A tree with a libcurl as packages install it, and a program that needs it. `None` where there is no compiler.
fn tree(wishes: &[&str]) -> Option<Sandbox> {
    let sandbox = Sandbox::new();
    sandbox
        .file("library.c", LIBRARY)
        .file("program.c", PROGRAM)
        .file("versions", "CURL_BUNDLED_4 { global: curl; };\n")
        .folder("opt/bin")
        .folder("opt/lib")
        .link("opt/lib/libcurl.so.4", "libcurl.so.4.8.0")
        .link("opt/lib/libcurl.so", "libcurl.so.4");
    let at = |path: &str| sandbox.path(path).to_str().unwrap().to_owned();
    let library = at("opt/lib/libcurl.so.4.8.0");
    let version = format!("-Wl,--version-script={}", at("versions"));
    let common = ["-nostdlib", "-fPIC", "-Wl,--hash-style=gnu"];
    let soname = "-Wl,-soname=libcurl.so.4";
    let mut shared: Vec<&str> = [&common[..], &["-shared", soname, "-o", &library]].concat();
    let source = at("library.c");
    shared.push(&source);
    if wishes.contains(&"versions") {
        shared.push(&version);
    }
    output("gcc", &shared)?;
    let (program, source) = (at("opt/bin/program"), at("program.c"));
    let mut options: Vec<&str> = [&common[..], &["-o", &program, &source, &library]].concat();
    options.extend(wishes.iter().filter(|option| option.starts_with('-')));
    output("gcc", &options)?;
    Some(sandbox)
}

/// What of libcurl is packed, and what the manifest says of it.
fn packed(sandbox: &Sandbox, arguments: &[&str]) -> (Vec<String>, serde_json::Value) {
    let mut all = vec!["pack", "opt", "--no-import", "--format", "json", "-q"];
    all.extend(arguments);
    let manifest = sandbox.run(all).json();
    let contents = manifest["layers"][0]["contents"].as_array().unwrap();
    let paths = contents.iter().map(|entry| entry["path"].as_str().unwrap().to_owned());
    (paths.filter(|path| path.contains("libcurl")).collect(), manifest)
}

const ALL: [&str; 3] = ["lib/libcurl.so", "lib/libcurl.so.4", "lib/libcurl.so.4.8.0"];

#[test]
fn one_that_is_never_loaded_goes_with_its_names() {
    let Some(sandbox) = tree(&[]) else { return };
    let (paths, manifest) = packed(&sandbox, &[]);
    assert_eq!(paths, [""; 0]);
    assert_eq!(manifest["runtime"], "provided.al2023");
    let shadowed = &manifest["shadowed"][0];
    assert_eq!(shadowed["path"], "lib/libcurl.so.4.8.0");
    assert_eq!(shadowed["by"], "/usr/lib64/libcurl.so.4");
    let dropped = &manifest["dropped"][0];
    assert_eq!((&dropped["rule"], &dropped["files"]), (&"shadowed".into(), &3.into()));
    let copied = packed(&sandbox, &["--symlinks", "follow"]).0;
    assert_eq!(copied, [""; 0]);
    assert_eq!(packed(&sandbox, &["--disable", "shadowed"]).0, ALL);
    // It names a runtime without that library.
    assert_eq!(packed(&sandbox, &["--runtime", "nodejs16.x"]).0, ALL);
    let whole = ["lib/libcurl.so", "lib/libcurl.so.4", "lib/libcurl.so.4.8.0"];
    assert_eq!(packed(&sandbox, &["--keep", "lib/libcurl.so.4.8.0"]).0, whole);
    assert_eq!(packed(&sandbox, &["--keep", "lib/libcurl.so"]).0, whole);
}

#[test]
fn another_runtime_is_told_what_it_lacks() {
    let Some(sandbox) = tree(&[]) else { return };
    packed(&sandbox, &[]);
    let missing = |arguments: &[&str]| {
        let mut all = vec!["check", "--format", "json"];
        all.extend(arguments);
        let findings = sandbox.run(all).json();
        let findings = findings["findings"].as_array().unwrap().clone();
        findings.iter().any(|finding| {
            finding["code"] == "missing-library" && finding["message"].as_str().unwrap().contains("libcurl.so.4")
        })
    };
    assert!(!missing(&[]));
    assert!(missing(&["--runtime", "nodejs16.x"]));
}

#[test]
fn one_that_something_may_load_stays_and_the_plan_says_why() {
    let spared = |sandbox: &Sandbox, by: &str| {
        let plan = sandbox.run(["prune", "opt", "--format", "json"]).json();
        let spared = plan["spared"].as_array().unwrap();
        let named = spared
            .iter()
            .any(|spared| spared["path"] == "lib/libcurl.so.4.8.0" && spared["needed_by"] == by);
        assert!(named, "{by}: {plan:#}");
        assert_eq!(packed(sandbox, &[]).0, ALL);
    };
    // The loader reads RPATH before LD_LIBRARY_PATH: for the program itself the bundled one is the one that is loaded.
    let Some(sandbox) = tree(&["-Wl,--disable-new-dtags,-rpath,/opt/lib"]) else {
        return;
    };
    let plan = sandbox.run(["prune", "opt", "--format", "json"]).json();
    assert_eq!(plan["files"].as_array().unwrap().len(), 0);
    // It does not need it, and would get it by dlopen.
    let without = sandbox.path("opt/bin/program").to_str().unwrap().to_owned();
    let source = sandbox
        .file("none.c", "void _start(void) { for (;;); }\n")
        .path("none.c");
    let arguments = [
        "-nostdlib",
        "-fPIC",
        "-Wl,--disable-new-dtags,-rpath,/opt/lib",
        "-o",
        &without,
        source.to_str().unwrap(),
    ];
    output("gcc", &arguments);
    spared(&sandbox, "bin/program");

    let sandbox = tree(&["-Wl,--enable-new-dtags,-rpath,/opt/lib"]).unwrap();
    assert_eq!(packed(&sandbox, &[]).0, [""; 0]);
    for script in [
        "#!/bin/sh\nLD_LIBRARY_PATH=/opt/lib exec /opt/bin/program\n",
        "#!/bin/sh\nexec /opt/lib/ld.so --library-path /opt/lib /opt/bin/program\n",
        "#!/bin/sh\ncp \"$(dirname \"$0\")/../lib/libcurl.so.4\" /tmp\n",
    ] {
        sandbox.file("opt/bin/script", script);
        spared(&sandbox, "bin/script");
    }
    fs_err::remove_file(sandbox.path("opt/bin/script")).unwrap();
    sandbox.link("opt/plugins/curl.so", "../lib/libcurl.so.4");
    spared(&sandbox, "plugins/curl.so");
}

#[test]
fn one_with_versions_that_the_runtime_lacks_stays() {
    let Some(plain) = tree(&[]) else { return };
    let Some(sandbox) = tree(&["versions"]) else { return };
    fs_err::create_dir_all(sandbox.path("root/lib64")).unwrap();
    for loader in ["lib64/ld-linux-x86-64.so.2", "lib/ld-linux-aarch64.so.1"] {
        if let Ok(bytes) = fs_err::read(std::path::Path::new("/").join(loader)) {
            sandbox.file(&format!("root/{loader}"), bytes);
        }
    }
    fs_err::copy(
        plain.path("opt/lib/libcurl.so.4.8.0"),
        sandbox.path("root/lib64/libcurl.so.4"),
    )
    .unwrap();
    sandbox
        .run([
            "runtimes",
            "capture",
            "root",
            "-o",
            "captured.toml",
            "--name",
            "captured",
        ])
        .expect_status(0);
    let captured = ["--runtime", "captured.toml"];
    assert_eq!(packed(&sandbox, &captured).0, ALL);
    fs_err::copy(
        sandbox.path("opt/lib/libcurl.so.4.8.0"),
        sandbox.path("root/lib64/libcurl.so.4"),
    )
    .unwrap();
    sandbox
        .run([
            "runtimes",
            "capture",
            "root",
            "-o",
            "captured.toml",
            "--name",
            "captured",
        ])
        .expect_status(0);
    assert_eq!(packed(&sandbox, &captured).0, [""; 0]);
}
