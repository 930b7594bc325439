//! Libraries that code opens by name: what pack adds, what check says.

use serde_json::Value;

use crate::findings::library;
use crate::support::Sandbox;

const PACK: [&str; 8] = [
    "pack",
    "opt",
    "--runtime",
    "python3.13",
    "--library-dir",
    "machine",
    "--format",
    "json",
];

/// A machine with a library that needs another one, and a tree whose only module has this text.
fn with(module: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    library(
        &sandbox,
        "machine/libfar.so.1",
        "libfar.so.1",
        "int far(void) { return 1; }\n",
        &[],
    )
    .unwrap();
    let far = sandbox.path("machine/libfar.so.1");
    let source = "int far(void);\nint near(void) { return far(); }\n";
    library(
        &sandbox,
        "machine/libnear.so.2",
        "libnear.so.2",
        source,
        &[far.to_str().unwrap()],
    )
    .unwrap();
    sandbox.file("opt/python/m.py", module);
    sandbox
}

fn added(document: &Value) -> Vec<&str> {
    let added = document["added"].as_array().into_iter().flatten();
    added.map(|added| added["path"].as_str().unwrap()).collect()
}

fn severities(document: &Value) -> Vec<&str> {
    let findings = document["findings"].as_array().into_iter().flatten();
    let opened = findings.filter(|finding| finding["code"] == "opened-library-missing");
    opened.map(|finding| finding["severity"].as_str().unwrap()).collect()
}

#[test]
fn what_code_opens_by_name_comes_in_with_what_it_needs() {
    for module in [
        "import ctypes\nn = ctypes.CDLL('libnear.so.2')\n",
        "from ctypes.util import find_library\nn = find_library('near')\n",
        "try:\n    n = CDLL('libnear.so.3')\nexcept OSError:\n    n = CDLL('libnear.so.2')\n",
    ] {
        let sandbox = with(module);
        let packed = sandbox.run(PACK).expect_status(0).json();
        assert_eq!(added(&packed), ["lib/libfar.so.1", "lib/libnear.so.2"], "{module}");
        assert!(severities(&packed).is_empty(), "{packed}");
        let alone = [PACK.as_slice(), &["--no-import"]].concat();
        let packed = sandbox.run(alone).expect_status(0).json();
        assert_eq!(
            (added(&packed).len(), severities(&packed)),
            (0, vec!["warning"]),
            "{module}"
        );
    }
}

#[test]
fn what_code_can_do_without_is_left_out_and_noted() {
    let sandbox = with("try:\n    n = CDLL('libnear.so.2')\nexcept OSError:\n    n = None\n");
    let packed = sandbox.run(PACK).expect_status(0).json();
    assert_eq!((added(&packed).len(), severities(&packed)), (0, vec!["note"]));
}

/// What check says of a library in a zip that opens another, has 50 MB in this section and so many sections of data behind it:
/// that it cannot be read, and that the other is missing.
fn large(section: &str, sections: usize) -> (usize, usize) {
    let sandbox = Sandbox::new();
    let data = (0..sections).map(|number| {
        format!("__asm__(\".pushsection .own{number}, \\\"aw\\\"\\n.fill 70000,1,0x90\\n.popsection\");\n")
    });
    let source = data.collect::<String>()
        + &format!(
            "__asm__(\".pushsection {section}\\n.fill 50000000,1,0x90\\n.popsection\");\n\
         void *dlopen(const char *, int);\nvoid *far(void) {{ return dlopen(\"libfar.so.1\", 1); }}\n"
        );
    let options = ["-nostdlib", "-Wl,-z,undefs"];
    library(&sandbox, "opt/lib/liblarge.so", "liblarge.so", &source, &options).unwrap();
    sandbox.run(["pack", "opt", "--no-strip", "--effort", "fast"]);
    let document = sandbox.run(["check", "--format", "json"]).json();
    let findings = document["findings"].as_array().unwrap();
    let about = |code: &str| findings.iter().filter(|finding| finding["code"] == code).count();
    (about("unreadable-object"), about("opened-library-missing"))
}

#[test]
fn of_an_object_that_is_larger_than_what_is_held_of_a_zip_the_data_are_read_as_far_as_they_can_be() {
    assert_eq!(large(".text", 0), (0, 1));
    assert_eq!(large(".text", 24), (0, 1));
    assert_eq!(large(".rodata", 0), (0, 0));
}
