//! Runs that are recorded, packed as evidence and replayed. Needs what `invoke` needs, and strace.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::invoke::possible;
use crate::schemas;
use crate::support::{Sandbox, output};

/// Answers each event with what the shell command in it prints.
const BOOTSTRAP: &str = r#"#!/opt/bin/shell
API="http://${AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime"
while true; do
    curl -sS -D /tmp/headers -o /tmp/event "$API/invocation/next"
    id=$(grep -Fi Lambda-Runtime-Aws-Request-Id /tmp/headers | tr -d '[:space:]' | cut -d: -f2)
    command=$(tr -d '"' </tmp/event)
    (eval "$command") >/tmp/answer 2>/dev/null
    curl -sS -o /dev/null "$API/invocation/$id/response" --data-binary @/tmp/answer
done
"#;

/// A tree with data, a script with an interpreter of the tree, links, and packages of Python with and without a list of their
/// files; `None` where nothing can be recorded.
fn tree() -> Option<Sandbox> {
    if !possible() || output("strace", &["-V"]).is_none() {
        return None;
    }
    let sandbox = Sandbox::new();
    sandbox
        .file("opt/bootstrap", BOOTSTRAP)
        .mode("opt/bootstrap", 0o755)
        .link("opt/bin/shell", "/bin/sh")
        .file("opt/bin/tool", "#!/opt/bin/shell\ncat data/inner/a\n")
        .mode("opt/bin/tool", 0o755)
        .link("opt/d", "data")
        .file("opt/data/inner/a", "a\n")
        .file("opt/data/b", "b\n")
        .file("opt/lists/x", "x\n")
        .file("opt/lists/y", "y\n")
        .file("opt/python/used/__init__.py", "used\n")
        .file("opt/python/used/more.py", "more\n")
        .file("opt/python/used/LICENSE", "MIT\n")
        .file("opt/python/used/run.sh", "#!/bin/sh\nexec \"$TOP/tools/$1\"\n")
        .file("opt/tools/one", "one\n")
        .file("opt/python/used-1.dist-info/METADATA", "Name: used\nVersion: 1\nRequires-Dist: needed\n")
        .file("opt/python/used-1.dist-info/RECORD", "used/__init__.py,,\nused/more.py,,\nused/LICENSE,,\nused-1.dist-info/METADATA,,\nused-1.dist-info/RECORD,,\n")
        .file("opt/python/needed/__init__.py", "needed\n")
        .file("opt/python/needed-1.dist-info/METADATA", "Name: needed\nVersion: 1\n")
        .file("opt/python/needed-1.dist-info/RECORD", "needed/__init__.py,,\nneeded-1.dist-info/METADATA,,\nneeded-1.dist-info/RECORD,,\n")
        .file("opt/python/other/__init__.py", "other\n")
        .file("opt/python/other-1.dist-info/METADATA", "Name: other\nVersion: 1\n")
        .file("opt/python/other-1.dist-info/RECORD", "other/__init__.py,,\nother-1.dist-info/METADATA,,\nother-1.dist-info/RECORD,,\n");
    Some(sandbox)
}

/// Records the commands as events on the tree.
fn record(sandbox: &Sandbox, file: &str, commands: &[&str]) -> BTreeMap<String, (bool, String)> {
    let mut arguments = vec![
        "invoke",
        "opt",
        "--runtime",
        "provided.al2023",
        "--handler",
        "a.b",
        "--record",
        file,
    ];
    let events: Vec<String> = commands.iter().map(|command| format!("\"{command}\"")).collect();
    for event in &events {
        arguments.extend(["--event", event]);
    }
    sandbox.run(arguments).expect_status(0);
    let document: Value = serde_json::from_slice(&fs_err::read(sandbox.path(file)).unwrap()).unwrap();
    assert_eq!(schemas::error("recording", &document), None);
    assert_eq!(document["events"].as_array().unwrap().len(), commands.len());
    let paths = document["paths"].as_array().unwrap().iter().map(|path| {
        let uses: Vec<&str> = path["uses"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let name = path["path"].as_str().unwrap().to_owned();
        (name, (path["found"].as_bool().unwrap(), uses.join(" ")))
    });
    paths.collect()
}

fn pack<'a>(sandbox: &Sandbox, more: &[&'a str]) -> Vec<String> {
    let fixed = [
        "pack",
        "opt",
        "--runtime",
        "provided.al2023",
        "--no-cache",
        "--used",
        "r.json",
        "-o",
        "layers",
    ];
    let arguments: Vec<&'a str> = fixed.into_iter().chain(more.iter().copied()).collect();
    let manifest = sandbox
        .run([&arguments[..], &["--format", "json"]].concat())
        .expect_status(0)
        .json();
    assert_eq!(schemas::error("layers", &manifest), None);
    let contents = manifest["layers"][0]["contents"].as_array().unwrap();
    contents
        .iter()
        .map(|entry| entry["path"].as_str().unwrap().to_owned())
        .collect()
}

const COMMAND: &str =
    "cd /opt; bin/tool; cat python/used/__init__.py; test -e d/none; ls lists; cd data; test -d inner";

#[test]
fn everything_that_processes_use_is_recorded() {
    let Some(sandbox) = tree() else { return };
    let paths = record(
        &sandbox,
        "r.json",
        &[
            COMMAND,
            "cd /opt/data/inner; test -e ../../lists/z; cat /proc/self/root/opt/data/b",
        ],
    );
    for (path, found, uses) in [
        ("/opt/bootstrap", true, "executed"),
        ("/opt/bin/shell", true, "followed"),
        ("/opt/bin/tool", true, "executed"),
        ("/opt/data/inner/a", true, "opened"),
        ("/opt/data/b", true, "opened"),
        ("/opt/python/used/__init__.py", true, "opened"),
        ("/opt/d", true, "followed"),
        ("/opt/data/none", false, "asked"),
        ("/opt/lists/z", false, "asked"),
        ("/opt/lists", true, "listed"),
        ("/opt/data/inner", true, "asked"),
    ] {
        let recorded = paths.get(path).unwrap_or_else(|| panic!("{path}: {paths:#?}"));
        assert_eq!(recorded.0, found, "{path}");
        assert!(recorded.1.contains(uses), "{path}: {}", recorded.1);
    }
    for path in [
        "/opt/python/other/__init__.py",
        "/opt/lists/x",
        "/opt/python/used/more.py",
    ] {
        assert_eq!(paths.get(path), None);
    }
}

#[test]
fn what_no_recording_used_goes_into_further_layers_and_is_named_where_it_is_missed() {
    let Some(sandbox) = tree() else { return };
    record(&sandbox, "r.json", &[COMMAND]);
    let whole = pack(&sandbox, &[]);
    for path in ["python/used/more.py", "python/needed/__init__.py", "lists/x"] {
        assert!(whole.contains(&path.to_owned()), "{path}: {whole:?}");
    }
    assert!(
        !whole.iter().any(|path| path.contains("other") || path == "data/b"),
        "{whole:?}"
    );
    // A directory that a script may read, and no run did.
    assert!(!whole.contains(&"tools/one".to_owned()), "{whole:?}");
    let files = pack(&sandbox, &["--used-depth", "file", "--rest", "rest"]);
    let expected = [
        "bin/shell",
        "bin/tool",
        "bootstrap",
        "d",
        "data/inner/a",
        "lists/x",
        "lists/y",
        "python/used-1.dist-info/METADATA",
        "python/used-1.dist-info/RECORD",
        "python/used/LICENSE",
        "python/used/__init__.py",
    ];
    assert_eq!(files, expected);
    let replay = |recording: &str, layers: &[&str], status| {
        let arguments = [&["invoke"], layers, &["--replay", recording, "--format", "json"]].concat();
        let document = sandbox.run(arguments).expect_status(status).json();
        assert_eq!(schemas::error("replay", &document), None);
        document
    };
    replay("r.json", &["layers"], 0);
    // What no recording used is missed, and then it is named.
    record(&sandbox, "more.json", &["cat /opt/data/b"]);
    let missed = replay("more.json", &["layers"], 1);
    let expected = serde_json::json!([{"path": "/opt/data/b", "rule": "unused", "layer": "rest/layer-1.zip"}]);
    assert_eq!(missed["left_out"], expected);
    let difference = missed["recordings"][0]["events"][0]["difference"].as_str().unwrap();
    assert!(difference.contains("\n-b\n"), "{difference}");
    replay("more.json", &["layers", "rest"], 0);
    let ran = sandbox.run(["invoke", "layers", "--handler", "a.b", "--event", "\"cat /opt/data/b\""]);
    assert!(
        ran.stderr
            .contains("/opt/data/b by rule unused; it is in rest/layer-1.zip"),
        "{ran:#?}"
    );
    // What a process says that fails is known although nobody reads it.
    for (command, is_named) in [
        ("ls /opt/python; cat other", true),
        ("ls /opt/python; echo other", false),
    ] {
        let event = format!("\"{command}\"");
        let ran = sandbox.run(["invoke", "layers", "--handler", "a.b", "--event", &event]);
        let named = "/opt/python/other by rule unused; it is in rest/layer-1.zip";
        assert_eq!(ran.stderr.contains(named), is_named, "{ran:#?}");
    }
    let why = sandbox
        .run(["why", "--tree", "opt", "--used", "r.json", "data/b"])
        .expect_status(0);
    assert!(why.stdout.contains("unused"), "{why:#?}");
    assert!(pack(&sandbox, &["--keep", "data/b"]).contains(&"data/b".to_owned()));
    assert!(pack(&sandbox, &["--disable", "unused"]).contains(&"python/other/__init__.py".to_owned()));
}

/// Python asks for no module that is not in the lists of directories, and what it starts may keep silent about that.
#[test]
fn modules_that_processes_of_python_miss_in_silence_are_named() {
    let version = output("python3", &["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]);
    let Some(version) = version.filter(|_| tree().is_some()) else {
        return;
    };
    let runtime = format!("python{}", version.trim());
    let sandbox = Sandbox::new();
    let child = "import sys\nsys.path.append('/opt/python')\ntry:\n    __import__(sys.argv[1])\n    print('there')\nexcept ImportError:\n    \
                 print('not there')\n";
    sandbox
        .file("opt/python/one.py", "")
        .file("opt/python/two.py", "")
        .file("opt/child.py", child)
        .file("task/app.py", "import subprocess, sys\ndef handler(event, context):\n    return subprocess.run([sys.executable, '/opt/child.py', event], capture_output=True, text=True).stdout\n");
    let invoke = |layers: &str, event: &str, more: &[&str]| {
        let fixed = [
            "invoke",
            layers,
            "--runtime",
            &runtime,
            "--handler",
            "app.handler",
            "--task",
            "task",
        ];
        sandbox.run([&fixed[..], &["--event", event], more].concat())
    };
    let recorded = invoke("opt", "\"one\"", &["--record", "r.json"]);
    if recorded.status == 2 {
        return;
    }
    let packed = [
        "pack",
        "opt",
        "--runtime",
        &runtime,
        "--used",
        "r.json",
        "--used-depth",
        "file",
        "--rest",
        "rest",
    ];
    sandbox
        .run([&packed[..], &["-o", "layers", "--no-cache"]].concat())
        .expect_status(0);
    let ran = invoke("layers", "\"two\"", &[]);
    assert_eq!(ran.stdout, "\"not there\\n\"\n");
    let named = "/opt/python/two.py by rule unused; it is in rest/layer-1.zip";
    assert!(ran.stderr.contains(named), "{ran:#?}");
    let ran = invoke("layers", "\"one\"", &[]);
    assert!(!ran.stderr.contains("by rule unused"), "{ran:#?}");
}

#[test]
fn a_proof_takes_back_what_a_replay_missed() {
    let Some(sandbox) = tree() else { return };
    // Packages are listed by their language to find modules, so that a listed name does not count by itself.
    record(&sandbox, "r.json", &["ls /opt/python/used"]);
    let files = ["--used-depth", "file"];
    assert!(!pack(&sandbox, &files).contains(&"python/used/more.py".to_owned()));
    let arguments = [
        "pack",
        "opt",
        "--runtime",
        "provided.al2023",
        "--used",
        "r.json",
        "-o",
        "layers",
        "--prove",
    ];
    let manifest = sandbox
        .run([&arguments[..], &files, &["--format", "json"]].concat())
        .expect_status(0)
        .json();
    assert_eq!(schemas::error("layers", &manifest), None);
    assert_eq!(manifest["proof"]["ok"], true);
    assert_eq!(manifest["proof"]["rounds"], 2);
    let taken_back = manifest["proof"]["taken_back"].as_array().unwrap();
    assert!(
        taken_back.contains(&Value::from("python/used/more.py")),
        "{taken_back:?}"
    );
    // And the file next to the layers says so, too.
    let written = fs_err::read(sandbox.path("layers/layers.json")).unwrap();
    let written: Value = serde_json::from_slice(&written).unwrap();
    assert_eq!(written["proof"], manifest["proof"]);
    sandbox.run(["check", "layers"]).expect_status(0);
    // What differs each time is never equal, and that is said.
    record(
        &sandbox,
        "r.json",
        &["cat /proc/sys/kernel/random/uuid; cat /opt/data/b"],
    );
    let failed = sandbox.run(arguments).expect_status(1);
    assert!(
        failed.stderr.contains("answered differently") && failed.stdout.contains("Not proven"),
        "{failed:#?}"
    );
}

/// What is left may be a document alone, or a file that was only asked for.
#[test]
fn little_use_leaves_little() {
    let Some(sandbox) = tree() else { return };
    sandbox.file("opt/share/doc/readme.txt", "read\n");
    // The bootstrap is the function's own.
    sandbox
        .file("task/bootstrap", BOOTSTRAP.replace("/opt/bin/shell", "/bin/sh"))
        .mode("task/bootstrap", 0o755);
    let fixed = ["--runtime", "provided.al2023"];
    for (command, left) in [
        ("cat /opt/share/doc/readme.txt", "share/doc/readme.txt"),
        ("test -f /opt/data/b && echo there", "data/b"),
    ] {
        let event = format!("\"{command}\"");
        let invoke = [
            "invoke",
            "opt",
            "--handler",
            "a.b",
            "--task",
            "task",
            "--event",
            &event,
            "--record",
            "r.json",
        ];
        fs_err::remove_file(sandbox.path("opt/bootstrap")).ok();
        sandbox.run([&invoke[..], &fixed].concat()).expect_status(0);
        for more in [&[][..], &["--prove"]] {
            assert_eq!(
                pack(&sandbox, &[&["--used-depth", "file"], more].concat()),
                [left],
                "{command} {more:?}"
            );
        }
    }
}

#[test]
fn recordings_are_not_trusted() {
    let sandbox = Sandbox::new();
    sandbox
        .file("opt/lib/x", "x")
        .file("none.json", "{}")
        .link("link.json", "none.json");
    for file in ["none.json", "link.json", "missing.json", "/dev/zero", "opt"] {
        let ran = sandbox.run(["pack", "opt", "--used", file]).expect_status(2);
        assert!(ran.stderr.contains("recording"), "{file}: {ran:#?}");
    }
    let empty = r#"{"schema_version": 1, "runtime": "x", "arch": "x86_64", "handler": "", "task": null, "environment": [],
        "timeout_seconds": 1e300, "memory_mb": 0, "events": [], "paths": []}"#;
    sandbox.file("empty.json", empty);
    let ran = sandbox.run(["pack", "opt", "--used", "empty.json"]).expect_status(2);
    assert!(ran.stderr.contains("used nothing of the tree"), "{ran:#?}");
    sandbox.run(["pack", "opt", "--rest", "rest"]).expect_status(2);
}
