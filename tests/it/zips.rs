//! The zips as other programs see them: Info-ZIP, Python, and the bytes themselves.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use proptest::prelude::*;

use crate::support::{Sandbox, output};

/// A file, folder or link of a random tree.
#[derive(Debug, Clone)]
enum Thing {
    File(Vec<u8>, bool),
    Folder,
    Link(String),
}

fn thing() -> impl Strategy<Value = Thing> {
    prop_oneof![
        4 => (content(), any::<bool>()).prop_map(|(content, executable)| Thing::File(content, executable)),
        1 => Just(Thing::Folder),
        1 => "[a-c]{1,2}(/[a-c]{1,2})?".prop_map(Thing::Link),
    ]
}

/// Empty, repetitive or random: what deflate makes small and what it does not.
fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Vec::new()),
        (any::<u8>(), 1..20_000_usize).prop_map(|(byte, length)| vec![byte; length]),
        prop::collection::vec(any::<u8>(), 0..3_000),
    ]
}

fn tree() -> impl Strategy<Value = BTreeMap<String, Thing>> {
    let name = prop_oneof![4 => "[a-c]{1,2}", 1 => "[ü% -]{1,3}\\.so"];
    let path = prop::collection::vec(name, 1..4).prop_map(|names| names.join("/"));
    prop::collection::btree_map(path, thing(), 1..25)
}

/// Lays the tree out; paths below a file or link are left out. Returns what is where.
fn lay_out(sandbox: &Sandbox, tree: &BTreeMap<String, Thing>) {
    for (path, thing) in tree {
        let path = format!("opt/{path}");
        let mut above = Path::new(&path).ancestors().skip(1);
        let blocked = above.any(|folder| {
            let folder = sandbox.path(folder.to_str().unwrap());
            folder.is_symlink() || folder.is_file()
        });
        if blocked || sandbox.path(&path).symlink_metadata().is_ok() {
            continue;
        }
        match thing {
            Thing::File(content, executable) => {
                sandbox.file(&path, content);
                sandbox.mode(&path, if *executable { 0o755 } else { 0o644 });
            }
            Thing::Folder => {
                sandbox.folder(&path);
            }
            Thing::Link(target) => {
                sandbox.link(&path, target);
            }
        }
    }
}

/// Every path of a folder with what is there.
fn listing(folder: &Path) -> BTreeMap<String, String> {
    walkdir::WalkDir::new(folder)
        .min_depth(1)
        .into_iter()
        .map(|entry| {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            let what = if metadata.is_dir() {
                "folder".to_owned()
            } else if metadata.is_symlink() {
                format!("-> {}", fs_err::read_link(entry.path()).unwrap().display())
            } else {
                let content = fs_err::read(entry.path()).unwrap();
                format!(
                    "{:o} {} {}",
                    metadata.permissions().mode(),
                    content.len(),
                    crc32fast::hash(&content)
                )
            };
            let path = entry.path().strip_prefix(folder).unwrap();
            (path.to_str().unwrap().to_owned(), what)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Whatever the tree and the limit: unpacked one over the other, the layers are the tree, and each keeps the limit.
    #[test]
    fn unzip_gives_back_the_tree(tree in tree(), max in 4_000..40_000_u32) {
        let sandbox = Sandbox::new();
        sandbox.folder("opt");
        lay_out(&sandbox, &tree);
        let ran = sandbox.run(["pack", "opt", "--max", &max.to_string()]);
        prop_assert!(ran.status == 0 || ran.status == 1, "{:#?}", ran);
        sandbox.folder("unpacked");
        let unpacked = sandbox.path("unpacked");
        let mut layers = 0;
        for number in 1.. {
            let zip = sandbox.path(&format!("layers/layer-{number}.zip"));
            if !zip.exists() {
                break;
            }
            layers += 1;
            prop_assert!(fs_err::metadata(&zip).unwrap().len() <= u64::from(max));
            let arguments = ["-qo", zip.to_str().unwrap(), "-d", unpacked.to_str().unwrap()];
            if output("unzip", &arguments).is_none() {
                return Ok(());
            }
        }
        prop_assert!(layers > 0);
        prop_assert_eq!(listing(&unpacked), listing(&sandbox.path("opt")));
    }
}

fn small_tree(sandbox: &Sandbox) {
    sandbox
        .file("opt/bin/run", "#!/bin/sh\necho run\n")
        .mode("opt/bin/run", 0o700)
        .file("opt/lib/data", vec![b'x'; 5000])
        .mode("opt/lib/data", 0o600)
        .file("opt/größe", "ü")
        .link("opt/bin/also", "run")
        .folder("opt/empty");
}

#[test]
fn other_readers_accept_the_zips_and_see_the_same() {
    let sandbox = Sandbox::new();
    small_tree(&sandbox);
    sandbox.run(["pack", "opt"]).expect_status(0);
    let zip = sandbox.path("layers/layer-1.zip");
    let zip = zip.to_str().unwrap();
    output("unzip", &["-tq", zip]);
    let script = "import sys, zipfile\n\
        z = zipfile.ZipFile(sys.argv[1])\n\
        assert z.testzip() is None and z.comment == b''\n\
        for i in z.infolist():\n\
        \x20print(i.filename, oct(i.external_attr >> 16), i.create_system, i.create_version, i.extract_version,\n\
        \x20      i.flag_bits, i.compress_type, i.date_time, len(i.extra), i.file_size)\n";
    if let Some(listed) = output("python3", &["-c", script, zip]) {
        let expected = "bin/also 0o120777 3 20 20 0 0 (1980, 1, 1, 0, 0, 0) 0 3\n\
             bin/run 0o100755 3 20 20 0 0 (1980, 1, 1, 0, 0, 0) 0 19\n\
             empty/ 0o40755 3 20 20 0 0 (1980, 1, 1, 0, 0, 0) 0 0\n\
             größe 0o100644 3 20 20 2048 0 (1980, 1, 1, 0, 0, 0) 0 2\n\
             lib/data 0o100644 3 20 20 0 8 (1980, 1, 1, 0, 0, 0) 0 5000\n";
        assert_eq!(listed, expected);
    }
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    let sandbox = Sandbox::new();
    small_tree(&sandbox);
    for number in 0..60_u8 {
        sandbox.file(&format!("opt/data/{number}"), vec![number; 40 * usize::from(number)]);
    }
    let pack = |output: &str, threads: &str, epoch: Option<&str>| {
        let arguments = ["pack", "opt", "-o", output, "--max", "3000", "--threads", threads];
        sandbox.run_with(arguments, |command| {
            if let Some(epoch) = epoch {
                command.env("SOURCE_DATE_EPOCH", epoch);
            }
        })
    };
    pack("one", "1", None).expect_status(0);
    // Times, modes within their kind and the order in which files were made do not matter.
    sandbox.mode("opt/lib/data", 0o664);
    filetime_now(&sandbox.path("opt/lib/data"));
    pack("many", "7", None).expect_status(0);
    assert!(sandbox.contents("one").len() > 2, "several layers");
    assert_eq!(sandbox.contents("one"), sandbox.contents("many"));
    pack("dated", "2", Some("1700000000")).expect_status(0);
    let dated = sandbox.contents("dated");
    assert_ne!(sandbox.contents("one"), dated);
    if let Some(listed) = output(
        "unzip",
        &["-Z", "-T", sandbox.path("dated/layer-1.zip").to_str().unwrap()],
    ) {
        assert!(listed.contains("20231114.221320"), "{listed}");
    }
    pack("bad", "2", Some("yesterday")).expect_status(2);
}

fn filetime_now(path: &Path) {
    let content = fs_err::read(path).unwrap();
    fs_err::write(path, content).unwrap();
}

/// The sizes in the manifest are those of the files, and its checksums those that other programs compute.
#[test]
fn the_manifest_tells_the_truth() {
    let sandbox = Sandbox::new();
    small_tree(&sandbox);
    let mut manifest = sandbox.run(["pack", "opt", "--format", "json"]).expect_status(0).json();
    let written: serde_json::Value =
        serde_json::from_str(&fs_err::read_to_string(sandbox.path("layers/layers.json")).unwrap()).unwrap();
    let change = manifest["layers"][0].as_object_mut().unwrap().remove("change");
    assert_eq!(
        change,
        Some("new".into()),
        "only the answer says what became of a layer"
    );
    let findings = manifest.as_object_mut().unwrap().remove("findings").unwrap();
    assert_eq!(
        findings[0]["code"], "bootstrap-missing",
        "only the answer has what check found"
    );
    assert_eq!(manifest, written);
    let layer = &manifest["layers"][0];
    let zip = sandbox.path("layers/layer-1.zip");
    assert_eq!(layer["zipped_bytes"], fs_err::metadata(&zip).unwrap().len());
    // Two files, a link of three bytes, and a file with one character of two bytes.
    assert_eq!(layer["unzipped_bytes"], 5000 + 19 + 3 + 2);
    assert_eq!(layer["entries"], 5);
    assert_eq!(manifest["totals"]["lower_bound"], 1);
    assert_eq!(manifest["totals"]["optimal"], true);
    if let Some(sum) = output("sha256sum", &[zip.to_str().unwrap()]) {
        assert_eq!(Some(layer["sha256"].as_str().unwrap()), sum.split(' ').next());
    }
    let script = "import sys, base64, hashlib\n\
        print(base64.b64encode(hashlib.sha256(open(sys.argv[1], 'rb').read()).digest()).decode())";
    if let Some(sum) = output("python3", &["-c", script, zip.to_str().unwrap()]) {
        assert_eq!(layer["code_sha256"], sum.trim());
    }
}
