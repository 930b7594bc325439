//! Libraries of which the runtime's own copy is found first: left out where nothing could load them, kept otherwise.

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

/// Puts a program into the tree that nothing needs to be there for.
fn put_program(sandbox: &Sandbox, path: &str, options: &[&str]) {
    let source = sandbox
        .file("none.c", "void _start(void) { for (;;); }\n")
        .path("none.c");
    let program = sandbox.path(path);
    let common = [
        "-nostdlib",
        "-fPIC",
        "-o",
        program.to_str().unwrap(),
        source.to_str().unwrap(),
    ];
    output("gcc", &[options, &common].concat());
}

/// What has to do with curl is packed, and what the manifest says of it.
fn packed(sandbox: &Sandbox, arguments: &[&str]) -> (Vec<String>, serde_json::Value) {
    let mut all = vec!["pack", "opt", "--no-import", "--format", "json", "-q"];
    all.extend(arguments);
    let manifest = sandbox.run(all).json();
    let contents = manifest["layers"][0]["contents"].as_array().unwrap();
    let paths = contents.iter().map(|entry| entry["path"].as_str().unwrap().to_owned());
    (paths.filter(|path| path.contains("curl")).collect(), manifest)
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
            .any(|spared| spared["path"].as_str().unwrap().starts_with("lib/libcurl.so") && spared["needed_by"] == by);
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
    put_program(
        &sandbox,
        "opt/bin/program",
        &["-Wl,--disable-new-dtags,-rpath,/opt/lib"],
    );
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
    sandbox.link("opt/plugins/web.so", "../lib/libcurl.so.4");
    spared(&sandbox, "plugins/web.so");
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
    let packed_where_the_runtime_has_that_of = |other: &Sandbox| {
        let there = sandbox.path("root/lib64/libcurl.so.4");
        fs_err::copy(other.path("opt/lib/libcurl.so.4.8.0"), there).unwrap();
        let capture = [
            "runtimes",
            "capture",
            "root",
            "-o",
            "captured.toml",
            "--name",
            "captured",
        ];
        sandbox.run(capture).expect_status(0);
        packed(&sandbox, &["--runtime", "captured.toml"]).0
    };
    assert_eq!(packed_where_the_runtime_has_that_of(&plain), ALL);
    assert_eq!(packed_where_the_runtime_has_that_of(&sandbox), [""; 0]);
}

#[test]
fn a_command_of_such_a_library_goes_with_it() {
    let Some(sandbox) = tree(&[]) else { return };
    let copy = |name: &str| {
        let to = sandbox.path("opt/bin").join(name);
        fs_err::copy(sandbox.path("opt/bin/program"), to).unwrap();
    };
    copy("curl");
    let (paths, manifest) = packed(&sandbox, &[]);
    assert_eq!(paths, [""; 0]);
    let of = |dropped: &&serde_json::Value| dropped["rule"] == "shadowed-commands";
    let dropped = manifest["dropped"].as_array().unwrap().iter().find(of).unwrap();
    assert_eq!(dropped["files"], 1);

    // It stays where its library does.
    let with_it = [&["bin/curl"], &ALL[..]].concat();
    for arguments in [
        ["--keep", "lib/libcurl.so.4.8.0"],
        ["--keep", "lib/libcurl.so"],
        ["--disable", "shadowed"],
        // It has a curl, and another libcurl.
        ["--runtime", "nodejs16.x"],
    ] {
        assert_eq!(packed(&sandbox, &arguments).0, with_it, "{arguments:?}");
    }
    let plan = ["prune", "opt", "--format", "json", "--keep", "lib/libcurl.so.4.8.0"];
    let plan = sandbox.run(plan).json();
    let of = |spared: &&serde_json::Value| spared["path"] == "bin/curl";
    let spared = plan["spared"].as_array().unwrap().iter().find(of).unwrap();
    assert_eq!(spared["needed_by"], "lib/libcurl.so.4.8.0");

    // And where something starts it by its path.
    for script in [
        "#!/bin/sh\nexec /opt/bin/curl x\n",
        "#!/opt/bin/curl\n",
        "#!/bin/sh\nPATH=/opt/bin:$PATH\ncurl x\n",
        "#!/bin/sh\n\"$(dirname \"$0\")/../bin/curl\" x\n",
        // It is not a script, and is read all the same.
        "import os\nos.execv('/opt/bin/curl', ['curl'])\n",
    ] {
        sandbox.file("opt/script", script);
        assert_eq!(packed(&sandbox, &[]).0, ["bin/curl"], "{script}");
    }
    sandbox.file("opt/script", "#!/bin/sh\ncurl x && /usr/bin/curl y\n");
    assert_eq!(packed(&sandbox, &[]).0, [""; 0]);
    sandbox.link("opt/bin/fetch-curl", "curl");
    assert_eq!(packed(&sandbox, &[]).0, ["bin/curl", "bin/fetch-curl"]);
    fs_err::remove_file(sandbox.path("opt/bin/fetch-curl")).unwrap();

    // The runtime has the first of these, and no library installs it; it does not have the other.
    copy("date");
    copy("xmllint");
    put_program(&sandbox, "opt/bin/curl", &[]);
    let (paths, manifest) = packed(&sandbox, &[]);
    assert_eq!(paths, ["bin/curl"], "it does not need the library");
    let contents = manifest["layers"][0]["contents"].to_string();
    assert!(contents.contains("bin/date") && contents.contains("bin/xmllint"));
}

/// The files of a library that is loaded are its own, whichever copy of another one is found first.
#[test]
fn the_files_of_openssl_go_only_where_no_openssl_of_the_tree_is_loaded() {
    let Some(sandbox) = tree(&[]) else { return };
    let library = |path: &str, soname: &str| {
        let (to, source) = (sandbox.path(path), sandbox.path("library.c"));
        fs_err::create_dir_all(to.parent().unwrap()).unwrap();
        let soname = format!("-Wl,-soname={soname}");
        let options = ["-nostdlib", "-fPIC", "-shared", &soname, "-o"];
        output(
            "gcc",
            &[&options[..], &[to.to_str().unwrap(), source.to_str().unwrap()]].concat(),
        );
    };
    library("opt/lib/libcrypto.so.3", "libcrypto.so.3");
    let files = [
        "lib/ossl-modules/legacy.so",
        "ssl/openssl.cnf",
        "lib/engines-render/data",
        "ssl/misc/ours",
    ];
    for file in files {
        sandbox.file(&format!("opt/{file}"), "x\n");
    }
    let kept = || {
        let manifest = packed(&sandbox, &[]).1;
        let contents = manifest["layers"][0]["contents"].to_string();
        files.map(|file| contents.contains(&format!("\"{file}\"")))
    };
    assert_eq!(kept(), [false, false, true, true]);
    // What a configuration that stays names stays, too.
    sandbox
        .file("opt/ssl/openssl.cnf", "module = /opt/lib/ossl-modules/legacy.so\n")
        .file("opt/bootstrap", "#!/bin/sh\nexport OPENSSL_CONF=/opt/ssl/openssl.cnf\n");
    assert_eq!(kept(), [true; 4]);
    fs_err::remove_file(sandbox.path("opt/bootstrap")).unwrap();
    assert_eq!(kept(), [false, false, true, true]);
    for (path, soname) in [
        ("opt/vendor/libcrypto.so.3", "libcrypto.so.3"),
        ("opt/lib/libcrypto.so.1.1", "libcrypto.so.1.1"),
    ] {
        library(path, soname);
        assert_eq!(kept(), [true; 4], "{path}");
        fs_err::remove_file(sandbox.path(path)).unwrap();
    }
}

#[test]
fn a_rule_can_ask_for_such_a_library() {
    let Some(sandbox) = tree(&[]) else { return };
    sandbox.file("opt/etc/curl/curlrc", "silent\n").file(
        "rules.toml",
        "[[rules]]\nid = \"curlrc\"\ntitle = \"Settings of curl\"\ncategory = \"own\"\npaths = [\"etc/curl\"]\n\
         when-shadowed = \"libcurl.so.*\"\nbreaks = \"nothing\"\nsource = \"curl(1)\"\n",
    );
    let kept = |arguments: &[&str]| {
        let all = [&["--rules", "rules.toml"], arguments].concat();
        packed(&sandbox, &all).0.contains(&"etc/curl/curlrc".to_owned())
    };
    assert!(!kept(&[]));
    assert!(kept(&["--runtime", "nodejs16.x"]));
    assert!(kept(&["--keep", "lib/libcurl.so.4.8.0"]));
    for script in [
        "#!/bin/sh\ncat /opt/etc/curl/curlrc\n",
        "#!/bin/sh\nHOME=$here/etc/curl x\n",
    ] {
        sandbox.file("opt/script", script);
        assert!(kept(&[]), "{script}");
    }
    let shown = sandbox.run(["rules", "show", "curlrc", "--rules", "rules.toml"]).stdout;
    assert!(shown.contains("libcurl.so.*"), "{shown}");
}
