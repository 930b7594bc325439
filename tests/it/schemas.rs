//! What the program prints as JSON is what the schemas in the repository say.

use serde_json::Value;

use crate::support::{Sandbox, testdata};

fn schema(name: &str) -> Value {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("schemas/{name}.json"));
    serde_json::from_str(&fs_err::read_to_string(file).unwrap()).unwrap()
}

/// The first thing about a document that its schema does not allow.
pub(crate) fn error(name: &str, document: &Value) -> Option<String> {
    let validator = jsonschema::validator_for(&schema(name)).unwrap();
    let error = validator.iter_errors(document).next();
    error.map(|error| format!("{name}: {error} at {}", error.instance_path()))
}

/// The document keeps to the schema, and would not if a field were more or less.
fn check(name: &str, document: &Value) {
    assert_eq!(error(name, document), None);
    let Value::Object(fields) = document else {
        return;
    };
    let mut more = document.clone();
    more["more"] = Value::from(1);
    assert!(error(name, &more).is_some(), "{name} takes any field");
    let mut optional = Vec::new();
    for field in fields.keys() {
        let mut less = fields.clone();
        less.remove(field);
        if error(name, &Value::Object(less)).is_none() {
            optional.push(field.as_str());
        }
    }
    assert!(!optional.contains(&"schema_version"), "{name}");
    // What may be null may be left out, as far as a reader is concerned; nothing else.
    optional.retain(|field| !fields[*field].is_null());
    let expected: &[&str] = match name {
        "check" => &["growth"],
        "diff" => &["total"],
        // Only where there is something to say.
        "layers" => &["findings"],
        _ => &[],
    };
    assert!(
        optional.iter().all(|field| expected.contains(field)),
        "{name}: {optional:?}"
    );
}

#[test]
fn every_document_keeps_to_its_schema() {
    let sandbox = Sandbox::new();
    let opt = testdata("opt").display().to_string();
    let host = testdata("host").display().to_string();
    sandbox.file("broken.zip", "this is none").file(
        "lambdar-prune.toml",
        "[check]\nallow = ['unreadable-zip']\n\
         [[budget]]\nmax-zipped = '1B'\n\
         [[budget]]\nlayer = '*'\nmax-growth = { percent = 0, bytes = '1B' }\n",
    );
    sandbox.file("old/a/b", "x").link("old/l", "a/b").file("new/a/b", "xyz");
    sandbox.file(
        "mine.toml",
        "[[rules]]\nid = 'mine'\ntitle = 't'\ncategory = 'caches'\npaths = ['share/**']\nbreaks = 'b'\nsource = 's'\n",
    );
    sandbox
        .run(["pack", &opt, "--library-dir", &host, "-o", "layers"])
        .expect_status(0);
    sandbox
        .run(["pack", &opt, "--library-dir", &host, "-o", "lean", "--drop", "R"])
        .expect_status(0);
    sandbox
        .run(["pack", &opt, "--no-import", "--provenance", "-o", "made"])
        .expect_status(1);
    for (name, arguments) in [
        ("analyze", &["analyze", &opt, "--library-dir", &host][..]),
        ("layers", &["pack", &opt, "--library-dir", &host, "-o", "again"]),
        ("layers", &["pack", &opt, "--no-import", "--no-strip", "-o", "bare"]),
        (
            "capacity",
            &["pack", &opt, "--no-import", "--max-unzipped", "2kB", "-o", "none"],
        ),
        ("explain", &["check", "--explain"]),
        ("explain", &["check", "--explain", "zip64"]),
        ("check", &["check"]),
        ("check", &["check", "--baseline", "lean"]),
        ("check", &["check", "broken.zip"]),
        ("check", &["check", &opt]),
        ("diff", &["diff", "lean", "layers/layers.json"]),
        ("diff", &["diff", "old", "new"]),
        ("diff", &["diff", "layers", "layers"]),
        ("prune", &["prune", &opt]),
        ("prune", &["prune", &opt, "--to", "copy"]),
        ("bootstrap", &["bootstrap", "copy", "--force"]),
        (
            "publish",
            &["publish", "--name", "r", "--dry-run", "--config", "/dev/null"],
        ),
        ("publish", &["publish", "--name", "r", "--dry-run"]),
        ("rules", &["rules"]),
        ("rules-show", &["rules", "show", "docs"]),
        ("rules-show", &["rules", "show", "r-help", &opt]),
        ("rules-test", &["rules", "test", "mine.toml", &opt]),
        ("runtimes", &["runtimes"]),
        ("runtimes-show", &["runtimes", "show", "python3.13"]),
        ("sbom", &["sbom", "layers"]),
        ("verify", &["verify", "made", &opt]),
        ("why", &["why", "libfar.so.1", "--tree", &opt]),
        ("why", &["why", "libbundled.so.1", "--tree", &opt]),
    ] {
        let mut all = arguments.to_vec();
        all.extend(["--format", "json"]);
        let ran = sandbox.run(all);
        assert!(ran.status < 2, "{arguments:?}: {ran:#?}");
        check(name, &ran.json());
    }
    // A refusal with nothing to report is a document, too.
    sandbox.file("mistaken.toml", "x = 1\n");
    for arguments in [
        &["why", "nothing.so", "--tree", &opt][..],
        &["rules", "test", "mistaken.toml", &opt],
    ] {
        let ran = sandbox.run([arguments, &["-f", "json"]].concat()).expect_status(1);
        let refusal = ran.json();
        check("refusal", &refusal);
        assert!(ran.stderr.contains(refusal["message"].as_str().unwrap()), "{ran:#?}");
    }
    let ran = sandbox.run(["why", "nothing.so", "--tree", &opt]).expect_status(1);
    assert_eq!(ran.stdout, "");
    let manifest = fs_err::read_to_string(sandbox.path("layers/layers.json")).unwrap();
    check("layers", &serde_json::from_str(&manifest).unwrap());
}
