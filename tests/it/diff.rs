//! What `diff` says of two builds.

use serde_json::Value;

use crate::support::{Sandbox, output, skipped, testdata};

fn packed(sandbox: &Sandbox, folder: &str, further: &[&str]) {
    let opt = testdata("opt").display().to_string();
    let host = testdata("host").display().to_string();
    let mut arguments = vec!["pack", &opt, "--library-dir", &host, "-o", folder];
    arguments.extend(further);
    sandbox.run(arguments).expect_status(0);
}

fn diff(sandbox: &Sandbox, old: &str, new: &str) -> Value {
    sandbox
        .run(["diff", old, new, "--format", "json"])
        .expect_status(0)
        .json()
}

/// Change and path of each file that has changed, sorted.
fn files(diff: &Value) -> Vec<String> {
    let files = diff["files"].as_array().unwrap();
    let mut files: Vec<String> = files
        .iter()
        .map(|file| {
            format!(
                "{} {}",
                file["change"].as_str().unwrap(),
                file["path"].as_str().unwrap()
            )
        })
        .collect();
    files.sort();
    files
}

#[test]
fn a_manifest_and_its_zips_are_the_same_to_the_byte() {
    let sandbox = Sandbox::new();
    packed(&sandbox, "layers", &[]);
    packed(&sandbox, "split", &["--max", "8kB"]);
    let zip = "layers/layer-1.zip";
    for (old, new) in [
        ("layers/layers.json", "layers"),
        ("layers", "layers/layers.json"),
        (zip, "layers/layers.json"),
        ("split/layers.json", "split"),
    ] {
        let diff = diff(&sandbox, old, new);
        assert_eq!(files(&diff), [""; 0], "{old} {new}");
        for empty in ["layers", "components"] {
            assert_eq!(diff[empty], Value::Array(Vec::new()), "{old} {new}");
        }
        assert!(diff["total"].is_null());
        assert!(diff["counts"]["unchanged"].as_u64().unwrap() > 20);
    }
    // The same files in other zips: no file has changed, the zips have.
    let diff = diff(&sandbox, "layers", "split");
    assert_eq!(files(&diff), [""; 0]);
    assert!(diff["layers"].as_array().unwrap().len() > 1);
    let ran = sandbox.run(["diff", "layers/layers.json", "layers"]).expect_status(0);
    assert!(ran.stdout.contains("have the same contents: "), "{ran:#?}");
}

#[test]
fn a_zip_of_someone_else_and_the_tree_that_it_was_made_of_are_the_same() {
    let sandbox = Sandbox::new();
    sandbox
        .file("tree/a/b", "text")
        .link("tree/a/l", "b")
        .folder("tree/empty");
    let tree = sandbox.path("tree").display().to_string();
    let zip = sandbox.path("x.zip").display().to_string();
    let script = format!("cd {tree} && zip -qry {zip} .");
    if output("sh", &["-c", &format!("command -v zip >/dev/null && {script} || true")]).is_none()
        || !sandbox.path("x.zip").exists()
    {
        skipped("zip is not on this machine: other zips are not compared");
        return;
    }
    let same = diff(&sandbox, "tree", "x.zip");
    assert_eq!(files(&same), [""; 0], "{same}");
    sandbox.file("tree/a/b", "TEXT").file("tree/empty/not", "");
    let changed = diff(&sandbox, "x.zip", "tree");
    assert_eq!(files(&changed), ["added empty/not", "changed a/b", "removed empty/"]);
    // What is in no zip has no size in one.
    let file = changed["files"]
        .as_array()
        .unwrap()
        .iter()
        .find(|file| file["path"] == "a/b")
        .unwrap()
        .clone();
    assert!(
        file["after_zipped_bytes"].is_null() && file["before_zipped_bytes"].is_u64(),
        "{file}"
    );
}

#[test]
fn changes_are_told_by_component_and_file_and_add_up() {
    let sandbox = Sandbox::new();
    packed(&sandbox, "old", &["--drop", "share", "--keep", "lib/*.a"]);
    packed(&sandbox, "new", &["--no-strip"]);
    let diff = diff(&sandbox, "old/layers.json", "new");
    let list = files(&diff);
    assert!(list.contains(&"removed lib/libbundled.a".to_owned()), "{list:?}");
    assert!(list.contains(&"grew lib/libdebug.so.1".to_owned()), "{list:?}");
    assert!(list.iter().any(|file| file.starts_with("added share/")), "{list:?}");
    let sum = |key: &str, measure: &str| -> i64 {
        let entries = diff[key].as_array().unwrap().iter();
        entries
            .map(|entry| {
                let size = |side: &str| entry[format!("{side}_{measure}_bytes")].as_i64().unwrap();
                size("after") - size("before")
            })
            .sum()
    };
    let manifest = |folder: &str| -> Value {
        let text = fs_err::read_to_string(sandbox.path(folder).join("layers.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let (old, new) = (manifest("old"), manifest("new"));
    for measure in ["zipped", "unzipped"] {
        let total = |manifest: &Value| manifest["totals"][format!("{measure}_bytes")].as_i64().unwrap();
        let expected = total(&new) - total(&old);
        assert_eq!(sum("layers", measure), expected);
        // One zip each: what is not an entry of it has the same length in both.
        assert_eq!(sum("components", measure), expected, "{measure}");
        assert_eq!(sum("files", measure), expected, "{measure}");
    }
    // The table cuts what is long, and -v does not.
    let short = sandbox.run(["diff", "old", "new"]).expect_status(0).stdout;
    let long = sandbox.run(["diff", "old", "new", "-v"]).expect_status(0).stdout;
    assert!(short.contains("more with -v") || list.len() <= 12, "{short}");
    assert_eq!(
        long.matches("share/").count(),
        list.iter().filter(|file| file.contains("share/")).count()
    );
}

#[test]
fn what_cannot_be_compared_is_refused_with_the_cure() {
    let sandbox = Sandbox::new();
    packed(&sandbox, "layers", &[]);
    let manifest = fs_err::read_to_string(sandbox.path("layers/layers.json")).unwrap();
    let zip = fs_err::read(sandbox.path("layers/layer-1.zip")).unwrap();
    let mut damaged = zip.clone();
    damaged[200] ^= 0xff;
    sandbox
        .file("none.json", "{\"layers\": 1}")
        .file("text", "just text")
        .file("hostile.json", manifest.replacen("\"bin/", "\"../bin/", 1))
        .file("cut.zip", &zip[..zip.len() - 100])
        .file("damaged.zip", damaged)
        .folder("empty");
    for (path, words) in [
        ("nowhere", "cannot read nowhere"),
        ("none.json", "cannot use none.json"),
        ("text", "give layers.json as this program writes it"),
        ("hostile.json", "'../bin/"),
        ("cut.zip", "cannot tell what is in cut.zip"),
        ("damaged.zip", "cannot tell what is in damaged.zip"),
        ("empty", "it is empty; give zips"),
    ] {
        for pair in [[path, "layers"], ["layers", path]] {
            let ran = sandbox.run(["diff"].iter().chain(&pair)).expect_status(2);
            assert!(ran.stderr.contains(words), "{ran:#?}");
            assert_eq!(ran.stdout, "");
        }
    }
}
