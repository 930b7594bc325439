//! Provenance: what the statement says, whether the same layers come out elsewhere, and what `verify` says if not.

use serde_json::Value;

use crate::support::{Sandbox, output, testdata};

/// A tree with what depends on the machine and on order: a library that is missing, files with the same content, and a link.
fn tree(sandbox: &Sandbox, name: &str, backwards: bool) {
    let mut files: Vec<(String, Vec<u8>)> = (0..40)
        .map(|number| {
            (
                format!("share/data/{number}.txt"),
                format!("{} {}\n", number % 7, "x".repeat(300)).into_bytes(),
            )
        })
        .collect();
    let object = |name: &str| fs_err::read(testdata(name)).unwrap();
    files.push(("bin/tool".to_owned(), object("opt/bin/hello")));
    for library in ["libbundled.so.1", "libdebug.so.1", "libchain.so.1"] {
        files.push((format!("lib/{library}"), object(&format!("opt/lib/{library}"))));
    }
    files.push(("share/doc/tool/manual.txt".to_owned(), b"words\n".to_vec()));
    if backwards {
        files.reverse();
    }
    for (path, content) in files {
        sandbox.file(&format!("{name}/{path}"), content);
    }
    sandbox.mode(&format!("{name}/bin/tool"), 0o755);
    sandbox.link(&format!("{name}/bin/alias"), "tool");
}

fn statement(sandbox: &Sandbox, file: &str) -> Value {
    serde_json::from_slice(&fs_err::read(sandbox.path(file)).unwrap()).unwrap()
}

fn pack(sandbox: &Sandbox, arguments: &[&str]) {
    let host = testdata("host").display().to_string();
    let all = ["pack", "--provenance", "--no-cache", "--library-dir", &host];
    let ran = sandbox.run([&all[..], arguments].concat());
    assert!(ran.status < 2, "{ran:#?}");
}

#[test]
fn the_statement_names_the_zips_and_what_they_were_made_from() {
    let sandbox = Sandbox::new();
    tree(&sandbox, "tree", false);
    sandbox.file("lambdar-prune.toml", "drop = ['share/doc']\n");
    pack(&sandbox, &["tree", "--max", "1MB", "--threads", "1", "--no-dedupe"]);
    let statement = statement(&sandbox, "layers/provenance.intoto.json");
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    let sums = output("sha256sum", &[sandbox.path("layers/layer-1.zip").to_str().unwrap()]).unwrap();
    assert_eq!(statement["subject"][0]["name"], "layer-1.zip");
    assert_eq!(statement["subject"][0]["digest"]["sha256"], sums[..64]);
    let definition = &statement["predicate"]["buildDefinition"];
    let options = &definition["externalParameters"]["options"];
    assert_eq!(options["max"][0], "1MB");
    assert_eq!(options["config"][0], "lambdar-prune.toml");
    assert_eq!(options["no-dedupe"], serde_json::json!([]));
    // What changes nothing in the zips is not said.
    assert_eq!(options["threads"], Value::Null);
    let inputs = definition["resolvedDependencies"].as_array().unwrap();
    let roles: Vec<&str> = inputs
        .iter()
        .map(|input| input["annotations"]["role"].as_str().unwrap())
        .collect();
    assert_eq!(
        roles,
        ["tree", "rules", "runtime", "file", "library", "library"],
        "{inputs:#?}"
    );
    let library = inputs[4]["name"].as_str().unwrap();
    let sum = output("sha256sum", &[library]).unwrap();
    assert_eq!(inputs[4]["digest"]["sha256"], sum[..64]);
    // The digest of the tree is the one that documentation describes.
    let list = "cd \"$1\" && find . -mindepth 1 -printf '%P\\n' | LC_ALL=C sort | while IFS= read -r path; do
        if [ -L \"$path\" ]; then printf '120000 %s %s\\0' \"$(printf %s \"$(readlink \"$path\")\" | sha256sum | cut -c-64)\" \"$path\"
        elif [ -d \"$path\" ]; then printf '040000  %s\\0' \"$path\"
        elif [ -x \"$path\" ]; then printf '100755 %s %s\\0' \"$(sha256sum < \"$path\" | cut -c-64)\" \"$path\"
        else printf '100644 %s %s\\0' \"$(sha256sum < \"$path\" | cut -c-64)\" \"$path\"; fi; done | sha256sum";
    let sum = output("sh", &["-c", list, "sh", sandbox.path("tree").to_str().unwrap()]).unwrap();
    assert_eq!(inputs[0]["digest"]["sha256"], sum[..64]);
}

/// How the run that is compared differs from the first one.
struct Variation {
    what: &'static str,
    umask: Option<u32>,
    variables: &'static [(&'static str, &'static str)],
    directory: &'static str,
    arguments: &'static [&'static str],
    tree: &'static str,
}

const SAME: Variation = Variation {
    what: "nothing",
    umask: None,
    variables: &[],
    directory: "",
    arguments: &[],
    tree: "tree",
};

/// `tests/end-to-end/variations.sh` has the others: another user, another file system.
#[test]
fn layers_come_out_the_same_whatever_is_around() {
    let sandbox = Sandbox::new();
    tree(&sandbox, "tree", false);
    tree(&sandbox, "backwards", true);
    sandbox.folder("else/where");
    pack(&sandbox, &["tree"]);
    for variation in [
        SAME,
        Variation {
            what: "umask",
            umask: Some(0o077),
            ..SAME
        },
        Variation {
            what: "time zone",
            variables: &[("TZ", "Pacific/Kiritimati")],
            ..SAME
        },
        Variation {
            what: "locale",
            variables: &[("LC_ALL", "tr_TR.UTF-8"), ("LANG", "tr_TR.UTF-8")],
            ..SAME
        },
        Variation {
            what: "working directory",
            directory: "else/where",
            tree: "../../tree",
            ..SAME
        },
        Variation {
            what: "order of directory entries",
            tree: "backwards",
            ..SAME
        },
        Variation {
            what: "threads",
            arguments: &["--threads", "1"],
            ..SAME
        },
        Variation {
            what: "date",
            variables: &[("SOURCE_DATE_EPOCH", "1795737600")],
            ..SAME
        },
    ] {
        let layers = sandbox.path("layers").display().to_string();
        let ran = sandbox.run_with(
            [&["verify", &layers, variation.tree], variation.arguments].concat(),
            |command| {
                command
                    .current_dir(sandbox.path(variation.directory))
                    .envs(variation.variables.iter().copied());
                if let Some(umask) = variation.umask {
                    // The shell that sets the umask becomes the program.
                    let program = command.get_program().to_owned();
                    let words: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
                    let mut shell = std::process::Command::new("sh");
                    shell
                        .args(["-c", &format!("umask {umask:03o}; exec \"$@\""), "sh"])
                        .arg(program)
                        .args(words)
                        .current_dir(sandbox.path(""));
                    *command = shell;
                }
            },
        );
        assert_eq!(ran.status, 0, "{}: {ran:#?}", variation.what);
        assert!(
            ran.stdout.contains("1 of 1 layer identical."),
            "{}: {ran:#?}",
            variation.what
        );
    }
}

#[test]
fn verify_says_which_file_differs_and_why() {
    let sandbox = Sandbox::new();
    tree(&sandbox, "tree", false);
    fs_err::create_dir_all(sandbox.path("host")).unwrap();
    for entry in fs_err::read_dir(testdata("host")).unwrap() {
        let entry = entry.unwrap();
        fs_err::copy(entry.path(), sandbox.path("host").join(entry.file_name())).unwrap();
    }
    let ran = sandbox.run([
        "pack",
        "tree",
        "--provenance",
        "--library-dir",
        "host",
        "--enable",
        "docs",
    ]);
    assert!(ran.status < 2, "{ran:#?}");
    let why = |file: &str| {
        let ran = sandbox.run(["verify", "layers", "tree", "--format", "json"]);
        let document = ran.json();
        let files = document["files"].as_array().unwrap().clone();
        let found = files.into_iter().find(|found| found["path"] == file);
        let found = found.unwrap_or_else(|| panic!("{file}: {document:#}"));
        assert_eq!(ran.status, 1, "{document:#}");
        (
            found["what"].as_str().unwrap().to_owned(),
            found["why"].as_str().unwrap().to_owned(),
        )
    };
    let said = |what: &str, why: &str| (what.to_owned(), why.to_owned());
    let data = "share/data/3.txt";
    let original = fs_err::read(sandbox.path("tree").join(data)).unwrap();
    sandbox.file(&format!("tree/{data}"), "other\n");
    assert_eq!(why(data), said("content", "the tree has another content"));
    fs_err::remove_file(sandbox.path("tree").join(data)).unwrap();
    assert_eq!(why(data), said("missing", "it is not in the tree"));
    sandbox.file(&format!("tree/{data}"), original);
    sandbox.file("tree/share/data/new.txt", "new\n");
    assert_eq!(why("share/data/new.txt"), said("new", "it was not in the tree"));
    fs_err::remove_file(sandbox.path("tree/share/data/new.txt")).unwrap();
    sandbox.run(["verify", "layers", "tree"]).expect_status(0);

    // A library of the machine, as after an upgrade.
    let manifest = statement(&sandbox, "layers/layers.json");
    let (path, from) = (
        manifest["added"][0]["path"].as_str().unwrap().to_owned(),
        manifest["added"][0]["from"].as_str().unwrap().to_owned(),
    );
    let mut library = fs_err::read(sandbox.path(&from)).unwrap();
    let at = library
        .windows(4)
        .position(|bytes| bytes == b"GCC:")
        .unwrap_or(library.len() - 1);
    library[at] ^= 1;
    fs_err::write(sandbox.path(&from), library).unwrap();
    let ran = sandbox.run(["verify", "layers", "tree", "--format", "json"]);
    let inputs = ran.json()["inputs"].clone();
    assert_eq!(inputs[0]["role"], "library", "{inputs:#}");
    assert_eq!(inputs[0]["name"], from);
    if ran.status == 1 {
        assert_eq!(why(&path), said("content", &format!("{from} has another content")));
    }

    // Zips that are not the statement's.
    let text = "1 of 1 layer identical.";
    fs_err::remove_dir_all(sandbox.path("host")).unwrap();
    tree(&sandbox, "other", false);
    pack(&sandbox, &["other", "-o", "out"]);
    sandbox.run(["verify", "out"]).expect_status(0);
    let zip = sandbox.path("out/layer-1.zip");
    let mut bytes = fs_err::read(&zip).unwrap();
    bytes[30] ^= 1;
    fs_err::write(zip, bytes).unwrap();
    let ran = sandbox.run(["verify", "out"]).expect_status(1);
    assert!(
        ran.stdout.contains(text) && ran.stdout.contains("differs from the statement"),
        "{ran:#?}"
    );
}

#[test]
fn a_statement_is_read_from_what_holds_it_and_is_not_trusted() {
    let sandbox = Sandbox::new();
    tree(&sandbox, "tree", false);
    pack(&sandbox, &["tree"]);
    let text = fs_err::read_to_string(sandbox.path("layers/provenance.intoto.json")).unwrap();
    let encoded = {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(&text)
    };
    sandbox.file(
        "envelope.json",
        format!(r#"{{"payloadType": "application/vnd.in-toto+json", "payload": "{encoded}", "signatures": []}}"#),
    );
    sandbox.file(
        "bundle.json",
        format!(r#"{{"mediaType": "x", "dsseEnvelope": {{"payload": "{encoded}", "signatures": []}}}}"#),
    );
    for file in ["envelope.json", "bundle.json"] {
        sandbox.run(["verify", file, "tree"]).expect_status(0);
    }
    for (name, broken, expected) in [
        ("none.json", String::new(), "it is not an in-toto statement"),
        ("text.json", "{}".to_owned(), "missing field"),
        (
            "other.json",
            text.replace("Statement/v1", "Statement/v0.1"),
            "statement of type",
        ),
        (
            "option.json",
            text.replace("\"library-dir\"", "\"output\""),
            "has option --output",
        ),
        ("base64.json", r#"{"payload": "!"}"#.to_owned(), "not in base64"),
    ] {
        sandbox.file(name, broken);
        let ran = sandbox.run(["verify", name, "tree"]).expect_status(2);
        assert!(ran.stderr.contains(expected), "{name}: {}", ran.stderr);
    }
    let ran = sandbox.run(["verify", "nowhere"]).expect_status(2);
    assert!(ran.stderr.contains("pack --provenance"), "{}", ran.stderr);
}

#[test]
fn layers_that_keep_to_earlier_ones_are_verified_with_their_manifest() {
    let sandbox = Sandbox::new();
    for (name, seed) in [("a", 1_u64), ("b", 2), ("c", 3), ("d", 4)] {
        // What no compression makes smaller (a linear congruential generator, Knuth's constants).
        let mut state = seed;
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .take(40_000)
        .collect();
        sandbox.file(&format!("tree/share/{name}"), bytes);
    }
    pack(&sandbox, &["tree", "--max", "90kB"]);
    fs_err::remove_file(sandbox.path("tree/share/b")).unwrap();
    pack(&sandbox, &["tree", "--max", "90kB"]);
    let parameters =
        &statement(&sandbox, "layers/provenance.intoto.json")["predicate"]["buildDefinition"]["externalParameters"];
    assert_eq!(parameters["keptToPrevious"], true);
    sandbox.run(["verify"]).expect_status(0);
    fs_err::rename(sandbox.path("layers/layers.json"), sandbox.path("kept.json")).unwrap();
    let ran = sandbox.run(["verify"]).expect_status(2);
    assert!(ran.stderr.contains("layers.json"), "{}", ran.stderr);
}
