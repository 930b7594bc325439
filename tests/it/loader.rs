//! The loader's truth: the same answers as the real ld.so, asked inside a root that holds what Lambda has.
//!
//! The root comes from the tools in the folder `shared` next to the clone; where that is not there, these tests are passed
//! over and say so.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use lambdar_prune::capture::capture;
use lambdar_prune::elf::{Class, Kind};
use lambdar_prune::loader::{Finder, Process, Provided};
use lambdar_prune::progress::Silent;
use lambdar_prune::root::Root;
use lambdar_prune::runtime::{Arch, Runtime};
use lambdar_prune::scan::scan;
use lambdar_prune::tree::{Tree, TreePath};

use goblin::elf::header::{EM_AARCH64, EM_X86_64};

use crate::findings::{library, program};
use crate::support::{Sandbox, output, testdata};

fn shared() -> Option<PathBuf> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let there = shared.join("tools/al2023-root").is_file();
    let runs = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if there && runs("bwrap") && runs("patchelf") {
        return Some(shared);
    }
    #[expect(clippy::print_stderr, reason = "a test that is passed over says so")]
    {
        eprintln!("no ../shared, bwrap or patchelf: nothing is compared with the real loader");
    }
    None
}

/// A root with what Lambda has, and the runtime captured from it.
fn lambda_root(sandbox: &Sandbox, shared: &Path) -> Runtime {
    let root = sandbox.path("root");
    output(
        shared.join("tools/al2023-root").to_str().unwrap(),
        &[root.to_str().unwrap()],
    )
    .unwrap();
    let text = capture(&root, "captured", &Silent).unwrap();
    sandbox.file("captured.toml", text);
    let file = sandbox.path("captured.toml");
    let mut runtime = Runtime::load(file.to_str().unwrap(), Arch::X86_64).unwrap();
    // What $PLATFORM stands for depends on the processor; the loader says it itself.
    let diagnostics = in_lambda(
        sandbox,
        shared,
        &sandbox.path("root/opt"),
        &[runtime.interpreter.as_str(), "--list-diagnostics"],
    );
    if let Some(platform) = diagnostics.lines().find_map(|line| line.strip_prefix("dl_platform=\"")) {
        platform.trim_end_matches('"').clone_into(&mut runtime.platform);
    }
    runtime
}

fn in_lambda(sandbox: &Sandbox, shared: &Path, opt: &Path, command: &[&str]) -> String {
    let run = Command::new(shared.join("tools/in-al2023"))
        .arg(sandbox.path("root"))
        .arg(opt)
        .arg("--")
        .args(command)
        .output()
        .unwrap();
    String::from_utf8(run.stdout).unwrap() + &String::from_utf8(run.stderr).unwrap()
}

/// What a process maps: for each name the path, `None` where it is not found. Or the loader's own words where it gives up.
type Mapped = Result<BTreeMap<String, Option<String>>, String>;

/// What ld.so says of every object of a tree, each taken as a program.
fn real_answers(
    sandbox: &Sandbox,
    shared: &Path,
    opt: &Path,
    tree: &Tree,
    runtime: &Runtime,
) -> BTreeMap<TreePath, Mapped> {
    // An executable is started, a library is handed to the loader; both only to be traced.
    let mut script = String::new();
    for (path, object) in tree.objects() {
        let file = path.on_lambda();
        let loader = if object.kind == Kind::Executable {
            ""
        } else {
            runtime.interpreter.as_str()
        };
        script.push_str(&format!(
            "echo '== {path}'; LD_TRACE_LOADED_OBJECTS=1 {loader} '{file}' 2>&1\n"
        ));
    }
    let said = in_lambda(sandbox, shared, opt, &["/bin/bash", "-c", &script]);
    let mut answers = BTreeMap::new();
    for part in said.split("== ").skip(1) {
        let (path, lines) = part.split_once('\n').unwrap();
        answers.insert(TreePath::new(path).unwrap(), traced(lines));
    }
    answers
}

fn traced(lines: &str) -> Mapped {
    let mut mapped = BTreeMap::new();
    for line in lines.lines() {
        let Some(entry) = line.strip_prefix('\t') else {
            return Err(line.to_owned());
        };
        if entry == "statically linked" {
            continue;
        }
        let (name, place) = entry.split_once(" => ").unwrap_or((entry, entry));
        let strip = |text: &str| text.split(" (0x").next().unwrap().to_owned();
        let place = (place != "not found").then(|| strip(place));
        let name = strip(name);
        // The kernel's own, and the loader, which is there before it looks for anything.
        if name != "linux-vdso.so.1" && !name.contains("ld-linux") {
            mapped.insert(name, place);
        }
    }
    Ok(mapped)
}

/// What the resolver says of one object, in the same form.
fn our_answer(root: Root<'_>, path: &TreePath) -> BTreeMap<String, Option<String>> {
    let process = Process {
        program: Some(path.on_lambda()),
        plugins: Vec::new(),
        plugin_loader: None,
        library_path: root.runtime.environment["LD_LIBRARY_PATH"].clone(),
        preloads: Vec::new(),
        unclear: None,
        called_loader: None,
    };
    let mut mapped = BTreeMap::new();
    let loaded = Finder::new(root).load(&process);
    for object in &loaded {
        for (name, provided) in &object.needs {
            let place = match provided {
                Provided::ByObject(number) => Some(loaded[*number].found.path.clone()),
                Provided::ByLoader(_) => continue,
                Provided::Missing(_) => None,
            };
            mapped.insert((*name).to_owned(), place);
        }
    }
    mapped
}

/// Compares every object of a tree; returns how many libraries were compared.
fn compare(sandbox: &Sandbox, shared: &Path, opt: &Path) -> usize {
    let runtime = lambda_root(sandbox, shared);
    let tree = scan(opt, &Silent).unwrap().tree;
    let root = Root {
        tree: &tree,
        runtime: &runtime,
    };
    let mut compared = 0;
    let mut differences = Vec::new();
    let real_answers = real_answers(sandbox, shared, opt, &tree, &runtime);
    assert_eq!(real_answers.len(), tree.objects().count());
    for (path, real) in real_answers {
        let ours = our_answer(root, &path);
        match real {
            Err(said) => {
                // Where the loader gives up it lists nothing. Then it names the object itself, for one that is not of its
                // kind, a library that is not found here either, or one that is found and has not the version.
                let object = tree.object(&path).unwrap();
                let foreign = object.machine != runtime.arch.machine() || object.class != Class::Elf64;
                let named = ours
                    .iter()
                    .any(|(name, place)| place.is_none() && said.contains(name.as_str()));
                let lacks_version = ours.values().flatten().any(|place| {
                    let Some((_, rest)) = said.split_once(&format!("{place}: version `")) else {
                        return false;
                    };
                    let version = rest.split('\'').next().unwrap();
                    let found = tree.objects().find(|(path, _)| path.on_lambda() == *place);
                    let versions = found.and_then(|(_, object)| object.versions.as_ref());
                    versions.is_some_and(|versions| !versions.iter().any(|has| has == version))
                });
                if !(named || lacks_version || foreign && said.contains(&path.on_lambda())) {
                    differences.push(format!("{path}: the loader says: {said}; here: {ours:?}"));
                }
            }
            Ok(real) => {
                // The loader lists a file once, by the name that asked for it first; here every name is listed.
                // What is needed by a path it lists by that path alone.
                for (name, place) in real.iter().filter(|(name, place)| Some(*name) != place.as_ref()) {
                    if ours.get(name) != Some(place) {
                        differences.push(format!(
                            "{path}: {name}: {place:?} by the loader, {:?} here",
                            ours.get(name)
                        ));
                    }
                }
                let places: BTreeSet<_> = real.values().flatten().collect();
                for (name, place) in &ours {
                    let agreed = match place {
                        Some(place) => places.contains(place),
                        None => real.get(name) == Some(&None),
                    };
                    if !agreed {
                        differences.push(format!("{path}: {name}: {place:?} here, not by the loader: {real:?}"));
                    }
                }
                compared += real.len();
            }
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
    compared
}

#[test]
fn the_reference_tree_is_resolved_as_the_loader_does() {
    let Some(shared) = shared() else { return };
    let sandbox = Sandbox::new();
    sandbox.folder("opt");
    let archive = shared.join("trees/r-opt.tar.xz");
    let opt = sandbox.path("opt");
    output("tar", &["xJf", archive.to_str().unwrap(), "-C", opt.to_str().unwrap()]).unwrap();
    let compared = compare(&sandbox, &shared, &opt);
    assert!(compared > 100, "{compared}");
}

#[test]
fn every_corner_of_the_search_is_resolved_as_the_loader_does() {
    let Some(shared) = shared() else { return };
    let sandbox = Sandbox::new();
    let opt = sandbox.path("opt");
    if output(testdata("loader/make").to_str().unwrap(), &[opt.to_str().unwrap()]).is_none() {
        return;
    }
    let compared = compare(&sandbox, &shared, &opt);
    assert!(compared > 50, "{compared}");
}

/// dlopen: the program really opens its plugin, and the plugin's needs are found by the program's RPATH or not at all.
#[test]
fn plugins_are_resolved_as_the_loader_does() {
    let Some(shared) = shared() else { return };
    let sandbox = Sandbox::new();
    let opt = sandbox.path("opt");
    if output(testdata("loader/make").to_str().unwrap(), &[opt.to_str().unwrap()]).is_none() {
        return;
    }
    let runtime = lambda_root(&sandbox, &shared);
    let tree = scan(&opt, &Silent).unwrap().tree;
    let root = Root {
        tree: &tree,
        runtime: &runtime,
    };
    for (program, works) in [("main", true), ("main-with-runpath", false)] {
        let program = format!("/opt/plugin/{program}");
        let said = in_lambda(&sandbox, &shared, &opt, &[&program]);
        assert_eq!(!said.contains("cannot open shared object file"), works, "{said}");
        let process = Process {
            program: Some(program),
            plugins: vec!["/opt/plugin/plugins/plugin.so".to_owned()],
            plugin_loader: None,
            library_path: runtime.environment["LD_LIBRARY_PATH"].clone(),
            preloads: Vec::new(),
            unclear: None,
            called_loader: None,
        };
        let loaded = Finder::new(root).load(&process);
        let missing = loaded
            .iter()
            .flat_map(|object| &object.needs)
            .any(|(_, provided)| matches!(provided, Provided::Missing(_)));
        assert_eq!(!missing, works, "{loaded:#?}");
    }
}

/// A loader of the tree that a script calls with a program loads it, whatever loader the program itself names (ld.so(8)).
/// Stand-ins for loader and C library: what counts is where they lie and which versions they define.
#[test]
fn a_loader_that_a_script_calls_counts_instead_of_the_programs_own() {
    const LOADER: &str = "lib/ld-linux-x86-64.so.2";
    let sandbox = Sandbox::new();
    sandbox
        .file("l.map", "GLIBC_2.99 { global: l; };\n")
        .file("l.c", "int l(void) { return 0; }\n")
        .file("c.map", "GLIBC_2.99 { global: c; };\n")
        .file("c.c", "int l(void); int c(void) { return l(); }\n")
        .file("p.c", "int c(void); int _start(void) { return c(); }\n")
        .folder("opt/lib")
        .folder("opt/app");
    let at = |path: &str| sandbox.path(path).to_str().unwrap().to_owned();
    let (loader, library) = (at(&format!("opt/{LOADER}")), at("opt/lib/libc.so.6"));
    let versions = |file: &str| format!("-Wl,--version-script={}", at(file));
    let link = |options: &[&str]| output("gcc", &[&["-nostdlib", "-fPIC"], options].concat());
    let soname = "-Wl,-soname,ld-linux-x86-64.so.2";
    let linked = link(&["-shared", soname, &versions("l.map"), "-o", &loader, &at("l.c")])
        .and_then(|_| {
            let options = ["-shared", "-Wl,-soname,libc.so.6", "-o", &library];
            link(&[&options[..], &[&versions("c.map"), &at("c.c"), &loader]].concat())
        })
        .and_then(|_| {
            let nowhere = "-Wl,--dynamic-linker=/nix/store/glibc/lib/ld-linux-x86-64.so.2";
            link(&[
                nowhere,
                "-Wl,--allow-shlib-undefined",
                "-o",
                &at("opt/app/program"),
                &at("p.c"),
                &library,
            ])
        });
    if linked.is_none() || cfg!(not(target_arch = "x86_64")) {
        return;
    }
    let found = |script: &str| -> Vec<String> {
        sandbox
            .file("opt/bootstrap", format!("#!/bin/sh\n{script}\n"))
            .mode("opt/bootstrap", 0o755);
        let findings = sandbox.run(["check", "opt", "--format", "json"]).json();
        let findings = findings["findings"].as_array().unwrap().clone();
        let errors = findings.iter().filter(|finding| finding["severity"] == "error");
        errors
            .map(|finding| finding["code"].as_str().unwrap().to_owned())
            .collect()
    };
    for script in [
        format!("exec /opt/{LOADER} --library-path /opt/lib /opt/app/program"),
        format!(
            "D=$(cd \"$(dirname \"$0\")\" && pwd)\nexec \"$D/{LOADER}\" --argv0 x --library-path \"$D/lib\" \"$D/app/program\" \"$@\""
        ),
        format!("LD_LIBRARY_PATH=/opt/lib exec /opt/{LOADER} /opt/app/program"),
        format!("cd /opt/app\nexec ../{LOADER} --library-path ../lib ./program"),
    ] {
        assert_eq!(found(&script), [""; 0], "{script}");
    }
    // LD_LIBRARY_PATH leads to the runtime's C library first.
    let codes = found(&format!("exec /opt/{LOADER} /opt/app/program"));
    assert!(codes.contains(&"two-c-libraries".to_owned()), "{codes:?}");
    let codes = found("exec /opt/app/program");
    assert!(codes.contains(&"missing-interpreter".to_owned()), "{codes:?}");
}

/// What `libtree` says of the needs of one object: `PATH NAME` for one that is found, with the path where that is in the tree.
fn by_libtree(opt: &Path, file: &str) -> Option<BTreeSet<String>> {
    let options = ["--dev-bind", "/", "/", "--ro-bind", opt.to_str().unwrap(), "/opt"];
    let command = ["--setenv", "LD_LIBRARY_PATH", "/opt/lib", "libtree", "-p", "-v", file];
    // It ends with an error where something is not found.
    let run = Command::new("bwrap").args(options).args(command).output().ok()?;
    let text = String::from_utf8(run.stdout).unwrap();
    let mut above: Vec<String> = Vec::new();
    let mut needs = BTreeSet::new();
    for line in text.lines().filter(|line| !line.contains('┊') && !line.is_empty()) {
        let entry = line.trim_start_matches(['│', '├', '└', '─', ' ', '\u{a0}']);
        let depth = line[..line.len() - entry.len()].chars().count() / 4;
        above.truncate(depth);
        let (name, found) = match entry.strip_suffix(" not found") {
            Some(name) => (name, None),
            None => (entry.split(' ').next().unwrap(), Some(())),
        };
        if let Some(needing) = above.last().filter(|path| path.starts_with("/opt/")) {
            needs.insert(need(needing, found.map(|()| name), name));
        }
        above.push(name.to_owned());
    }
    Some(needs)
}

/// One need of an object of the tree: by its path in the tree, or by its name.
fn need(needing: &str, found: Option<&str>, name: &str) -> String {
    let name = name.rsplit('/').next().unwrap();
    match found {
        Some(path) if path.starts_with("/opt/") => format!("{needing} {path}"),
        Some(_) => format!("{needing} {name}"),
        None => format!("{needing} {name} not found"),
    }
}

/// libtree's own test cases, with libtree itself as the judge. What is not in the tree is of two systems, and is compared by name.
#[test]
fn libtrees_cases_are_resolved_as_libtree_does() {
    let sandbox = Sandbox::new();
    let opt = sandbox.path("opt");
    if output("libtree", &["--version"]).is_none()
        || output(testdata("loader/make").to_str().unwrap(), &[opt.to_str().unwrap()]).is_none()
    {
        return;
    }
    let tree = scan(&opt, &Silent).unwrap().tree;
    let runtime = Runtime::load(lambdar_prune::runtime::DEFAULT, Arch::X86_64).unwrap();
    let finder = Finder::new(Root {
        tree: &tree,
        runtime: &runtime,
    });
    let mut cases = BTreeSet::new();
    for (path, _) in tree.objects().filter(|(path, _)| path.as_str().starts_with("libtree-")) {
        let Some(theirs) = by_libtree(&opt, &path.on_lambda()) else {
            return;
        };
        let process = Process {
            program: Some(path.on_lambda()),
            plugins: Vec::new(),
            plugin_loader: None,
            library_path: "/opt/lib".to_owned(),
            preloads: Vec::new(),
            unclear: None,
            called_loader: None,
        };
        let loaded = finder.load(&process);
        let mut ours = BTreeSet::new();
        for object in loaded.iter().filter(|object| object.found.path.starts_with("/opt/")) {
            for (name, provided) in &object.needs {
                let found = match provided {
                    Provided::ByObject(number) => Some(loaded[*number].found.path.as_str()),
                    Provided::ByLoader(found) => Some(found.path.as_str()),
                    Provided::Missing(_) => None,
                };
                ours.insert(need(&object.found.path, found, name));
            }
        }
        assert_eq!(ours, theirs, "{path}");
        cases.extend(path.names().next().map(ToOwned::to_owned));
    }
    assert_eq!(
        cases.len(),
        if cfg!(target_arch = "x86_64") { 9 } else { 8 },
        "{cases:?}"
    );
}

/// A program has room for a copy of a variable that a library defines: the library has to define it all the same, or ld.so ends
/// with "undefined symbol". And a library without any versions ends a program that asks for one (`elf/dl-lookup.c`,
/// `check_match`). What is right says the program itself.
#[test]
fn copies_of_variables_and_libraries_without_versions_end_a_program_as_the_loader_says() {
    let sandbox = Sandbox::new();
    let at = |path: &str| sandbox.path(path).to_str().unwrap().to_owned();
    sandbox
        .folder("opt/lib")
        .folder("opt/bin")
        .folder("new")
        .file("both.c", "int kept = 1, gone = 2;\n")
        .file("kept.c", "int kept = 1;\n")
        .file("gone.c", "extern int gone; int main(void) { return gone - 2; }\n")
        .file("stays.c", "extern int kept; int main(void) { return kept - 1; }\n")
        .file("v.c", "int v(void) { return 0; }\n")
        .file("v.map", "V1 { global: v; };\n")
        .file("asks.c", "int v(void); int main(void) { return v(); }\n");
    let script = format!("-Wl,--version-script={}", at("v.map"));
    let library = |to: &str, source: &str, soname: &str, more: &[&str]| {
        let soname = format!("-Wl,-soname,{soname}");
        let all = ["-shared", "-fPIC", "-nostdlib", &soname, "-o", &at(to), &at(source)];
        output("gcc", &[&all[..], more].concat())
    };
    let program = |source: &str, library: &str| {
        let to = at(&format!("opt/bin/{source}"));
        output("gcc", &["-o", &to, &at(&format!("{source}.c")), &at(library)])
    };
    let built = library("new/libdata.so.1", "both.c", "libdata.so.1", &[])
        .and_then(|_| library("opt/lib/libdata.so.1", "kept.c", "libdata.so.1", &[]))
        .and_then(|_| library("new/libv.so.1", "v.c", "libv.so.1", &[&script]))
        .and_then(|_| library("opt/lib/libv.so.1", "v.c", "libv.so.1", &[]))
        .and_then(|_| program("gone", "new/libdata.so.1"))
        .and_then(|_| program("stays", "new/libdata.so.1"))
        .and_then(|_| program("asks", "new/libv.so.1"));
    if built.is_none() {
        return;
    }
    let findings = sandbox.run(["check", "opt", "--format", "json"]).json();
    let findings = findings["findings"].as_array().unwrap();
    for name in ["gone", "stays", "asks"] {
        let started = Command::new(at(&format!("opt/bin/{name}")))
            .env("LD_LIBRARY_PATH", at("opt/lib"))
            .output();
        let path = format!("bin/{name}");
        let is_wrong = findings
            .iter()
            .any(|finding| finding["severity"] == "error" && finding["path"] == path.as_str());
        assert_eq!(is_wrong, !started.unwrap().status.success(), "{name}: {findings:#?}");
    }
}

/// Before glibc 2.35 the loader was a file called `ld-VERSION.so`, and its name in programs an absolute link to that.
#[test]
fn a_root_is_captured_in_which_the_loader_is_a_link() {
    let sandbox = Sandbox::new();
    let loader = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"];
    let Some((path, bytes)) = loader.iter().find_map(|path| Some((path, fs_err::read(path).ok()?))) else {
        return;
    };
    sandbox
        .file("root/usr/lib/ld-2.31.so", bytes)
        .link(&format!("root{path}"), "/usr/lib/ld-2.31.so");
    sandbox
        .run(["runtimes", "capture", "root", "-o", "mine.toml"])
        .expect_status(0);
    let captured = fs_err::read_to_string(sandbox.path("mine.toml")).unwrap();
    assert!(
        captured.contains(&format!("\"{path}\" = \"/usr/lib/ld-2.31.so\"")),
        "{captured}"
    );
}

#[test]
fn a_library_that_a_runtime_has_on_one_architecture_alone_is_missing_on_the_other() {
    let sandbox = Sandbox::new();
    let made = library(
        &sandbox,
        "libcrypt.so.1",
        "libcrypt.so.1",
        "int crypt(void) { return 0; }\n",
        &[],
    );
    let link = sandbox.path("libcrypt.so.1");
    let source = "int crypt(void);\nint user(void) { return crypt(); }\n";
    let user = "x86_64/lib/libuser.so";
    if made.is_none() || library(&sandbox, user, "libuser.so", source, &[link.to_str().unwrap()]).is_none() {
        return;
    }
    // The linker of this machine knows one of the two; what is needed is said in the same way for both.
    let bytes = fs_err::read(sandbox.path(user)).unwrap();
    for (tree, machine) in [("x86_64", EM_X86_64), ("arm64", EM_AARCH64)] {
        let mut bytes = bytes.clone();
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        sandbox.file(&format!("{tree}/lib/libuser.so"), bytes);
    }
    // Amazon's images have libcrypt.so.1 beside libcrypt.so.2 on x86_64 (rules/runtimes/language-files.toml).
    for runtime in ["python3.12", "python3.13", "python3.14", "python3.15"] {
        for (arch, status, expected) in [("x86_64", 0, vec![]), ("arm64", 1, vec!["missing-library"])] {
            let ran = sandbox.run(["check", arch, "--runtime", runtime, "--arch", arch, "-f", "json"]);
            let document = ran.expect_status(status).json();
            let findings = document["findings"].as_array().unwrap();
            let errors = findings.iter().filter(|finding| finding["severity"] == "error");
            let codes: Vec<&str> = errors.filter_map(|finding| finding["code"].as_str()).collect();
            assert_eq!(codes, expected, "{runtime} {arch}");
        }
    }
}

#[test]
fn variables_of_the_function_say_where_libraries_are() {
    let sandbox = Sandbox::new();
    let own = "opt/private/libown.so.1";
    let made = library(&sandbox, own, "libown.so.1", "int own(void) { return 0; }\n", &[]);
    let link = sandbox.path(own);
    let source = "int own(void);\nint main(void) { return own(); }\n";
    if made.is_none() || program(&sandbox, "opt/bin/user", source, &[link.to_str().unwrap()]).is_none() {
        return;
    }
    let env = ["--env", "LD_LIBRARY_PATH=/opt/private"];
    for (command, status) in [
        (&["check", "opt"][..], 1),
        (&["analyze", "opt"], 0),
        (&["why", "libown.so.1", "--tree", "opt"], 0),
    ] {
        let without = sandbox.run(command).expect_status(status);
        let with = sandbox.run([command, &env].concat()).expect_status(0);
        // With the variable it is found, and nothing is said of a place where nobody looks.
        assert_ne!(with.stdout, without.stdout, "{command:?}");
    }
    // One that is loaded before all others serves those that need it by its soname (ld.so(8), LD_PRELOAD).
    let preload = "LD_PRELOAD=/opt/private/libown.so.1";
    sandbox.run(["check", "opt", "--env", preload]).expect_status(0);
    // A library that is found where it is does not get a second place.
    for (more, added) in [(&[][..], 1), (&env[..], 0)] {
        let all = [&["pack", "opt", "-o", "layers", "--no-cache", "-f", "json"][..], more].concat();
        let document = sandbox.run(all).json();
        assert_eq!(document["added"].as_array().unwrap().len(), added, "{more:?}");
    }
    sandbox.file("lambdar-prune.toml", "[env]\nLD_LIBRARY_PATH = \"/opt/private\"\n");
    sandbox.run(["check", "opt"]).expect_status(0);
}
