//! Packing again: what stays as it was, what comes from the cache, and how hard it is tried.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

use serde_json::Value;

use crate::support::{Sandbox, testdata};

/// Bytes that do not shrink.
fn noise(seed: u32, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0_u32.. {
        if bytes.len() >= length {
            break;
        }
        bytes.extend(blake3::hash(&[seed.to_le_bytes(), number.to_le_bytes()].concat()).as_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Lines in which zopfli finds more than libdeflate does.
fn text(seed: u32, length: usize) -> Vec<u8> {
    let words = ["layer", "runtime", "library", "zip", "soname"];
    let bytes = noise(seed, length);
    let lines = bytes.chunks(3).map(|chunk| {
        let word = words[usize::from(chunk[0]) % words.len()];
        format!("{word} {}\n", chunk.iter().map(|byte| u32::from(*byte)).sum::<u32>())
    });
    let mut text = lines.collect::<String>().into_bytes();
    text.truncate(length);
    text
}

/// Six folders of noise, of which three fit into a layer.
fn six_parts(sandbox: &Sandbox) {
    for part in 0..6 {
        for file in 0..4 {
            sandbox.file(&format!("opt/part{part}/{file}"), noise(part * 10 + file, 2_000));
        }
    }
}

const MAX: &str = "29000";

fn pack(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    let mut all = vec!["pack", "opt", "--format", "json"];
    all.extend(arguments);
    if !arguments.contains(&"--max") {
        all.extend(["--max", MAX]);
    }
    sandbox.run(all).expect_status(0).json()
}

fn changes(manifest: &Value) -> Vec<&str> {
    let layers = manifest["layers"].as_array().unwrap();
    layers.iter().map(|layer| layer["change"].as_str().unwrap()).collect()
}

fn zips(sandbox: &Sandbox, folder: &str) -> BTreeMap<String, Vec<u8>> {
    let contents = sandbox.contents(folder).into_iter();
    contents.filter(|(name, _)| name.starts_with("layer-")).collect()
}

#[test]
fn a_changed_file_changes_only_its_layer() {
    let sandbox = Sandbox::new();
    six_parts(&sandbox);
    let first = pack(&sandbox, &[]);
    assert_eq!(changes(&first), ["new", "new"]);
    let before = zips(&sandbox, "layers");
    assert_eq!(changes(&pack(&sandbox, &[])), ["unchanged", "unchanged"]);
    assert_eq!(zips(&sandbox, "layers"), before);

    // Larger, but the layer has room for it.
    sandbox.file("opt/part3/2", noise(99, 2_300));
    let second = pack(&sandbox, &[]);
    let after = zips(&sandbox, "layers");
    let changed: Vec<&String> = before.keys().filter(|name| before[*name] != after[*name]).collect();
    assert_eq!(changed.len(), 1);
    for layer in second["layers"].as_array().unwrap() {
        let is_changed = layer["file"] == changed[0].as_str();
        assert_eq!(layer["change"], if is_changed { "changed" } else { "unchanged" });
        let has_file = layer["contents"]
            .as_array()
            .unwrap()
            .iter()
            .any(|entry| entry["path"] == "part3/2");
        assert_eq!(has_file, is_changed);
    }
    let shown = sandbox.run(["pack", "opt", "--max", MAX]).expect_status(0).stdout;
    assert!(shown.contains("unchanged") && !shown.contains(" changed"), "{shown}");

    // The same history named, from another folder; none at all; and fewer layers than before.
    assert_eq!(
        changes(&pack(&sandbox, &["-o", "other", "--previous", "layers/layers.json"])),
        ["unchanged"; 2]
    );
    assert_eq!(zips(&sandbox, "other"), after);
    assert_eq!(changes(&pack(&sandbox, &["--previous", "none"])), ["new", "new"]);
    let one = pack(&sandbox, &["--max", "1MB"]);
    assert_eq!(
        (changes(&one), &one["removed_layers"]),
        (vec!["changed"], &serde_json::json!(["layer-2.zip"]))
    );
}

/// One that was packed before is not written again, and one that is no longer what was packed is.
#[test]
fn an_unchanged_layer_is_the_same_file() {
    let sandbox = Sandbox::new();
    six_parts(&sandbox);
    pack(&sandbox, &[]);
    let before = zips(&sandbox, "layers");
    let inode = |name: &str| fs_err::metadata(sandbox.path("layers").join(name)).unwrap().ino();
    let names = ["layer-1.zip", "layer-2.zip"];
    let inodes = names.map(inode);
    pack(&sandbox, &[]);
    assert_eq!(names.map(inode), inodes);

    let mut damaged = before[names[0]].clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    sandbox.file("layers/layer-1.zip", &damaged);
    fs_err::remove_file(sandbox.path("layers/layer-2.zip")).unwrap();
    assert_eq!(changes(&pack(&sandbox, &[])), ["unchanged", "unchanged"]);
    assert_eq!(zips(&sandbox, "layers"), before);

    // A link leads to who knows what tomorrow.
    fs_err::rename(sandbox.path("layers/layer-1.zip"), sandbox.path("elsewhere.zip")).unwrap();
    sandbox.link("layers/layer-1.zip", "../elsewhere.zip");
    pack(&sandbox, &[]);
    assert!(!sandbox.path("layers/layer-1.zip").is_symlink());
    assert_eq!(zips(&sandbox, "layers"), before);

    // What the manifest says of it counts, too: it may be of somebody who never read it back.
    let manifest = fs_err::read_to_string(sandbox.path("layers/layers.json")).unwrap();
    let sha256 = serde_json::from_str::<Value>(&manifest).unwrap()["layers"][0]["sha256"].clone();
    sandbox.file(
        "layers/layers.json",
        manifest.replace(sha256.as_str().unwrap(), &"0".repeat(64)),
    );
    let first = inode(names[0]);
    pack(&sandbox, &[]);
    assert_eq!(zips(&sandbox, "layers"), before);
    assert_ne!(inode(names[0]), first);
}

#[test]
fn a_manifest_that_cannot_be_read_is_an_error_only_if_it_was_named() {
    let sandbox = Sandbox::new();
    six_parts(&sandbox);
    let version = r#"{"schema_version": 99, "runtime": "x", "arch": "x86_64", "layers": []}"#;
    let elsewhere = r#"{"schema_version": 1, "runtime": "x", "arch": "x86_64",
        "layers": [{"file": "../../x.zip", "sha256": "", "code_sha256": ""}]}"#;
    let twice = r#"{"schema_version": 1, "runtime": "x", "arch": "x86_64", "layers": [
        {"file": "layer-1.zip", "sha256": "", "code_sha256": ""},
        {"file": "layer-1.zip", "sha256": "", "code_sha256": ""}]}"#;
    for broken in ["", "{", "[]", "null", "\u{0}", version, elsewhere, twice] {
        sandbox.file("layers/layers.json", broken).file("broken.json", broken);
        let ran = sandbox.run(["pack", "opt", "--max", MAX]).expect_status(0);
        assert!(ran.stderr.contains("note: layers/layers.json is ignored"), "{ran:#?}");
        let ran = sandbox.run(["pack", "opt", "--max", MAX, "--previous", "broken.json"]);
        assert!(ran.expect_status(2).stderr.contains("--previous none"));
    }
    sandbox
        .run(["pack", "opt", "--previous", "not-there.json"])
        .expect_status(2);
    // One of another tree, and one without the contents, are no hindrance.
    let foreign = r#"{"schema_version": 1, "runtime": "x", "arch": "arm64", "layers": [
        {"file": "layer-1.zip", "sha256": "", "code_sha256": "", "contents": [
            {"path": "part1/1", "component": "", "zipped_bytes": 1, "unzipped_bytes": 1, "crc32": ""},
            {"path": "", "component": "", "zipped_bytes": 1, "unzipped_bytes": 1, "crc32": ""}]},
        {"file": "layer-2.zip", "sha256": "", "code_sha256": ""}]}"#;
    sandbox.file("foreign.json", foreign);
    assert_eq!(pack(&sandbox, &["--previous", "foreign.json"])["totals"]["layers"], 2);
}

/// Whatever happens to the cache, the bytes are the same.
#[test]
fn a_cache_changes_no_byte() {
    let sandbox = Sandbox::new();
    six_parts(&sandbox);
    sandbox.file("opt/text", text(1, 20_000));
    pack(&sandbox, &["--no-cache", "-o", "without", "--max", "1MB"]);
    assert!(!sandbox.path(".cache").exists());
    let expected = sandbox.contents("without");
    let again = |arguments: &[&str]| {
        let all = [&["--previous", "none", "--max", "1MB"], arguments].concat();
        pack(&sandbox, &all);
        assert_eq!(sandbox.contents("layers"), expected, "{arguments:?}");
    };
    let files = || sandbox.contents(".cache/lambdar-prune");
    again(&[]);
    again(&[]);
    let kept = files();
    assert_eq!(kept.len(), 1);
    // One flipped byte in each of many places, and rubbish.
    for at in (0..kept[0].1.len()).step_by(kept[0].1.len() / 7) {
        let mut broken = kept[0].1.clone();
        broken[at] ^= 1;
        sandbox.file(&format!(".cache/lambdar-prune/{}", kept[0].0), broken);
        again(&[]);
        for (name, _) in files() {
            fs_err::remove_file(sandbox.path(&format!(".cache/lambdar-prune/{name}"))).unwrap();
        }
    }
    sandbox.file(".cache/lambdar-prune/x.contents", "rubbish");
    again(&[]);
    assert!(!sandbox.path(".cache/lambdar-prune/x.contents").exists());
    // Another folder, and one that holds less than a run gives.
    again(&["--cache", "mine", "--cache-size", "1kB"]);
    assert_eq!(sandbox.contents("mine"), []);
    again(&["--cache", "mine"]);
    assert_eq!(sandbox.contents("mine").len(), 1);
}

#[test]
fn two_runs_at_once_share_a_cache() {
    let sandbox = Sandbox::new();
    six_parts(&sandbox);
    std::thread::scope(|scope| {
        for run in 0..4 {
            let sandbox = &sandbox;
            scope.spawn(move || pack(sandbox, &["-o", &format!("layers{run}")]));
        }
    });
    for run in 1..4 {
        assert_eq!(sandbox.contents("layers0"), sandbox.contents(&format!("layers{run}")));
    }
}

#[test]
fn a_cache_that_cannot_be_is_none() {
    let sandbox = Sandbox::new();
    sandbox.file("opt/x", "x").file("file", "");
    let homeless = |arguments: &[&str]| {
        sandbox.run_with([&["pack", "opt"], arguments].concat(), |command| {
            command.env_remove("XDG_CACHE_HOME").env("HOME", "/proc/none");
        })
    };
    assert_eq!(homeless(&[]).expect_status(0).stderr, "");
    assert!(homeless(&["-v"]).expect_status(0).stderr.contains("without a cache"));
    let ran = sandbox.run(["pack", "opt", "--cache", "file"]).expect_status(0);
    assert!(ran.stderr.contains("without a cache"), "{ran:#?}");
    sandbox
        .run(["pack", "opt", "--no-cache", "--cache", "x"])
        .expect_status(2);
}

#[test]
fn more_effort_makes_smaller_layers() {
    let sandbox = Sandbox::new();
    sandbox
        .file("opt/text", text(1, 40_000))
        .file("opt/noise", noise(1, 1_000));
    let size = |effort| {
        let manifest = pack(&sandbox, &["--effort", effort, "--max", "1MB"]);
        assert_eq!(manifest["effort"], effort);
        manifest["totals"]["zipped_bytes"].as_u64().unwrap()
    };
    let [fast, best, max] = ["fast", "best", "max"].map(size);
    assert!(fast > best && best > max, "{fast} {best} {max}");
}

/// Where zopfli makes everything fit into one layer less, it is used, no more than it takes, and stays used.
#[test]
fn the_last_bytes_save_a_layer() {
    let sandbox = Sandbox::new();
    for file in 0..8 {
        sandbox.file(&format!("opt/{file}"), text(file, 30_000));
    }
    let size = |effort| {
        let manifest = pack(&sandbox, &["--effort", effort, "--max", "1MB", "--previous", "none"]);
        manifest["totals"]["zipped_bytes"].as_u64().unwrap()
    };
    let (best, max) = (size("best"), size("max"));
    let limit = |part: u64| (max + (best - max) * part / 8).to_string();
    // All but nothing is enough.
    let saved = pack(&sandbox, &["--max", &limit(6), "--previous", "none"]);
    let recompressed = |manifest: &Value| manifest["recompressed"].as_array().unwrap().len();
    assert_eq!(saved["totals"]["layers"], 1);
    assert!((1..8).contains(&recompressed(&saved)), "{}", saved["recompressed"]);
    let shown = sandbox
        .run(["pack", "opt", "--max", &limit(6), "-o", "shown"])
        .expect_status(0);
    assert!(shown.stdout.contains("as with --effort max"), "{}", shown.stdout);
    // Again the same, even where the limit no longer asks for it.
    let again = pack(&sandbox, &["--max", "1MB"]);
    assert_eq!(
        (changes(&again), recompressed(&again)),
        (vec!["unchanged"], recompressed(&saved))
    );
    // Out of reach: two layers, and nothing was changed for it.
    let two = pack(&sandbox, &["--max", &(max - 1).to_string(), "--previous", "none"]);
    assert_eq!((two["totals"]["layers"].as_u64(), recompressed(&two)), (Some(2), 0));
}

/// A file that is only just too large for a layer of its own is made to fit.
#[test]
fn the_last_bytes_make_a_file_fit() {
    let sandbox = Sandbox::new();
    sandbox.file("opt/text", text(3, 60_000));
    let size = |effort| {
        pack(&sandbox, &["--effort", effort])["totals"]["zipped_bytes"]
            .as_u64()
            .unwrap()
    };
    let best = size("best");
    assert!(size("max") < best);
    let manifest = pack(&sandbox, &["--max", &(best - 1).to_string(), "--previous", "none"]);
    assert_eq!(manifest["recompressed"][0]["path"], "text");
}

/// A long library, of which the default effort leaves more, is compressed harder where it would not fit.
#[test]
fn a_long_library_is_made_to_fit() {
    let sandbox = Sandbox::new();
    let object = fs_err::read(testdata("host/libfarther.so.1")).unwrap();
    sandbox.file("opt/lib/long.so", [object, text(5, 10_000_000)].concat());
    let size = |effort| {
        let arguments = ["--effort", effort, "--no-strip", "--max", "8MB"];
        pack(&sandbox, &arguments)["totals"]["zipped_bytes"].as_u64().unwrap()
    };
    let best = size("best");
    assert!(size("max") < best);
    let limit = (best - 1).to_string();
    let manifest = pack(&sandbox, &["--no-strip", "--max", &limit, "--previous", "none"]);
    assert_eq!(manifest["recompressed"][0]["path"], "lib/long.so");
}

#[test]
fn check_says_once_that_it_completed_a_pack() {
    let sandbox = Sandbox::new();
    six_parts(&sandbox);
    pack(&sandbox, &["-o", "out"]);
    sandbox.file("opt/part0/0", noise(99, 2_000));
    pack(&sandbox, &["-o", "new"]);
    // What that pack would leave in the other directory, if it were killed before its first rename.
    fs_err::rename(sandbox.path("new"), sandbox.path("out/.lambdar-prune-Ab3dE6")).unwrap();
    let before = fs_err::read(sandbox.path("out/layers.json")).unwrap();
    let first = sandbox
        .run(["check", "out", "--format", "json"])
        .expect_status(1)
        .json();
    let codes: Vec<&str> = first["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["code"].as_str().unwrap())
        .collect();
    assert!(codes.contains(&"pack-settled"), "{codes:?}");
    assert_ne!(fs_err::read(sandbox.path("out/layers.json")).unwrap(), before);
    sandbox.run(["check", "out"]).expect_status(0);
}
