//! Bills of materials: what commands write, and whether the validators of the two standards take it.

use serde_json::Value;

use crate::support::{Sandbox, output, testdata};

/// A tree with a package of each language and a native library.
fn tree(sandbox: &Sandbox) {
    let mut library = fs_err::read(testdata("host/libfar.so.1")).unwrap();
    // As what is compiled in.
    library.extend(b"\x001.2.3\0");
    sandbox
        .file("tree/lib/libown.so.1.2.3", &library)
        .file("tree/python/six.py", "x = 1\n")
        .file("tree/python/six-1.16.0.dist-info/RECORD", "six.py,,\nsix-1.16.0.dist-info/METADATA,,\nsix-1.16.0.dist-info/sboms/a.cdx.json,,\n")
        .file("tree/python/six-1.16.0.dist-info/METADATA", "Name: six\nVersion: 1.16.0\nLicense: MIT\n")
        .file(
            "tree/python/six-1.16.0.dist-info/sboms/a.cdx.json",
            r#"{"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": [{"type": "library", "name": "libffi", "version": "3.4.4", "purl": "pkg:rpm/almalinux/libffi@3.4.4"}]}"#,
        )
        .file("tree/nodejs/node_modules/@s/b/package.json", r#"{"name": "@s/b", "version": "1.0.0", "license": "ISC"}"#)
        .file(
            "tree/ruby/gems/3.4.0/specifications/rake-13.0.0.gemspec",
            "Gem::Specification.new do |s|\n  s.name = \"rake\".freeze\n  s.version = \"13.0.0\"\n  s.licenses = [\"MIT\".freeze]\nend\n",
        )
        .file("tree/ruby/gems/3.4.0/gems/rake-13.0.0/lib/rake.rb", "x = 1\n")
        .file("tree/R/library/a/DESCRIPTION", "Package: a\nVersion: 2.0-1\nLicense: GPL (>= 2)\nBuilt: R 4.2.2\n")
        .file("tree/R/library/a/Meta/package.rds", "x");
}

/// What a bill of packed layers lists: purl and license.
const EXPECTED: [(&str, &str); 6] = [
    ("pkg:cran/a@2.0-1", "GPL-2.0-or-later"),
    ("pkg:gem/rake@13.0.0", "MIT"),
    ("pkg:generic/libown@1.2.3", ""),
    ("pkg:npm/%40s/b@1.0.0", "ISC"),
    ("pkg:pypi/six@1.16.0", "MIT"),
    ("pkg:rpm/almalinux/libffi@3.4.4", ""),
];

fn listed(bill: &Value) -> Vec<(String, String)> {
    let components = bill["components"].as_array().unwrap();
    let mut listed: Vec<(String, String)> = components
        .iter()
        .map(|component| {
            let license = component["licenses"][0]["expression"].as_str().unwrap_or_default();
            (
                component["purl"].as_str().unwrap_or_default().to_owned(),
                license.to_owned(),
            )
        })
        .collect();
    listed.sort();
    listed
}

#[test]
fn layers_and_trees_have_their_bill() {
    let sandbox = Sandbox::new();
    tree(&sandbox);
    let run = |arguments: &[&str]| {
        sandbox.run_with(arguments, |command| {
            command.env("SOURCE_DATE_EPOCH", "1795737600");
        })
    };
    let pack = [
        "pack",
        "tree",
        "--no-cache",
        "--no-strip",
        "--runtime",
        "provided.al2023",
    ];
    let packed = run(&[&pack[..], &["--sbom", "cyclonedx", "--sbom", "spdx=other.spdx.json"]].concat());
    assert!(packed.status < 2, "{packed:#?}");
    let read = |name: &str| -> Value { serde_json::from_slice(&fs_err::read(sandbox.path(name)).unwrap()).unwrap() };
    let bill = read("layers/sbom.cdx.json");
    let expected: Vec<(String, String)> = EXPECTED
        .iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect();
    assert_eq!(listed(&bill), expected);
    assert_eq!(bill["metadata"]["timestamp"], "2026-11-27T00:00:00Z");
    let spdx = read("other.spdx.json");
    assert_eq!(
        spdx["packages"].as_array().unwrap().len(),
        EXPECTED.len() + 2,
        "the layers and the zip are packages, too"
    );

    // The zips alone tell the same of what is in them, and the tree does.
    let of_zips = run(&["sbom", "layers", "--format", "cyclonedx"])
        .expect_status(0)
        .json();
    assert_eq!(listed(&of_zips), expected);
    let of_tree = run(&["sbom", "tree", "--format", "cyclonedx"]).expect_status(0).json();
    assert_eq!(listed(&of_tree), expected);
    let hash = |bill: &Value| {
        let components = bill["components"].as_array().unwrap();
        let six = components.iter().find(|component| component["name"] == "six").unwrap();
        six["hashes"][0]["content"].clone()
    };
    assert_eq!(hash(&of_zips), hash(&bill));
    // layers.json has the licenses, too.
    let licenses = read("layers/layers.json")["licenses"].clone();
    let of = |expression: &str| {
        let licenses = licenses.as_array().unwrap();
        let found = licenses.iter().find(|license| license["expression"] == expression);
        found.unwrap_or_else(|| panic!("{expression}: {licenses:?}"))["components"].clone()
    };
    assert_eq!(of("GPL-2.0-or-later"), serde_json::json!(["a 2.0-1"]));
    assert_eq!(of("MIT"), serde_json::json!(["rake 13.0.0", "six 1.16.0"]));
    let table = run(&["pack", "tree", "-o", "again", "-v"]).stdout;
    assert!(
        table.contains("Licenses") && table.contains("rake 13.0.0, six 1.16.0"),
        "{table}"
    );

    let table = run(&["sbom", "layers"]).expect_status(0).stdout;
    assert!(
        table.contains("GPL-2.0-or-later") && table.contains("libown.so.1.2.3"),
        "{table}"
    );

    // Again, elsewhere and with other threads: the same bytes.
    let again = run(&[
        &pack[..],
        &[
            "-o",
            "once-more",
            "--threads",
            "1",
            "--sbom",
            "cyclonedx",
            "--sbom",
            "spdx",
        ],
    ]
    .concat());
    assert!(again.status < 2, "{again:#?}");
    let bytes = |name: &str| fs_err::read(sandbox.path(name)).unwrap();
    assert!(bytes("layers/sbom.cdx.json") == bytes("once-more/sbom.cdx.json"));
    assert!(bytes("other.spdx.json") == bytes("once-more/sbom.spdx.json"));
    valid(&sandbox, &["layers/sbom.cdx.json", "other.spdx.json"]);
}

/// What the validators of both standards say; needs a Python that has them, named by `LAMBDAR_PRUNE_PYTHON`.
fn valid(sandbox: &Sandbox, files: &[&str]) {
    let Ok(python) = std::env::var("LAMBDAR_PRUNE_PYTHON") else {
        #[expect(clippy::print_stderr, reason = "a test that is passed over says so")]
        {
            eprintln!("LAMBDAR_PRUNE_PYTHON names no Python with validators: bills are not validated");
        }
        return;
    };
    let program = r"
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
cyclonedx, spdx = sys.argv[1:]
print(JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(cyclonedx).read()))
print([message.validation_message for message in validate_full_spdx_document(parse_file(spdx))])
";
    let paths: Vec<String> = files
        .iter()
        .map(|file| sandbox.path(file).display().to_string())
        .collect();
    let said = output(&python, &["-c", program, &paths[0], &paths[1]]).unwrap();
    assert_eq!(said, "None\n[]\n");
}

#[test]
fn what_is_in_a_broken_zip_is_not_listed() {
    let sandbox = Sandbox::new();
    sandbox.file("a.zip", "this is none");
    let ran = sandbox.run(["sbom", "a.zip"]).expect_status(2);
    assert!(ran.stderr.contains("cannot tell what is in a.zip"), "{}", ran.stderr);
}
