//! Trees in container images: what `docker save` writes, OCI archives and OCI layouts give the same answers as the directory
//! that they stand for.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::support::{Sandbox, testdata};

/// One entry of a layer.
enum Item<'a> {
    Directory(&'a str),
    File(&'a str, &'a str, u32),
    Link(&'a str, &'a str),
    HardLink(&'a str, &'a str),
}

use Item::{Directory, File, HardLink, Link};

fn layer(items: &[Item<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for item in items {
        let mut header = Header::new_ustar();
        let (path, kind, mode, content, target) = match item {
            Directory(path) => (*path, EntryType::Directory, 0o755, "", ""),
            File(path, content, mode) => (*path, EntryType::Regular, *mode, *content, ""),
            Link(path, target) => (*path, EntryType::Symlink, 0o777, "", *target),
            HardLink(path, target) => (*path, EntryType::Link, 0o644, "", *target),
        };
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        // By hand: the crate does not write names that no archive should have.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Three layers: the third and second change, hide and link what is below.
fn layers() -> [Vec<u8>; 3] {
    [
        layer(&[
            Directory("opt/"),
            Directory("opt/bin/"),
            File("opt/bin/tool", "#!/bin/sh\necho one\n", 0o755),
            File("opt/bin/gone", "#!/bin/sh\n", 0o755),
            Directory("opt/share/"),
            File("opt/share/old", "old", 0o644),
            File("opt/share/deep/older", "older", 0o644),
            File("opt/kept", "kept", 0o644),
            Directory("opt/becomes-a-file/"),
            File("opt/becomes-a-file/x", "x", 0o644),
            File("opt/becomes-a-directory", "x", 0o644),
            Link("opt/current", "share"),
            File("etc/passwd", "not in the tree", 0o644),
            File("opt/shared", "in all layers", 0o640),
        ]),
        layer(&[
            File("opt/bin/tool", "#!/bin/sh\necho two\n", 0o755),
            File("opt/bin/.wh.gone", "", 0o644),
            Directory("opt/share/"),
            File("opt/share/new", "new", 0o644),
            File("opt/share/.wh..wh..opq", "", 0o644),
            File("opt/becomes-a-file", "now a file", 0o600),
            File("opt/becomes-a-directory/y", "y", 0o644),
            HardLink("opt/twin", "opt/kept"),
        ]),
        layer(&[
            HardLink("opt/triplet", "opt/twin"),
            File("opt/.wh.kept", "", 0o644),
            // Through a link of a lower layer, as builders that follow links write it.
            File("opt/current/through", "through", 0o644),
            Directory("opt/empty/"),
        ]),
    ]
}

/// The directory that the three layers stand for, made by hand.
fn directory(sandbox: &Sandbox) {
    let files = [
        ("bin/tool", "#!/bin/sh\necho two\n", 0o755),
        ("share/new", "new", 0o644),
        ("share/through", "through", 0o644),
        ("becomes-a-file", "now a file", 0o600),
        ("becomes-a-directory/y", "y", 0o644),
        ("twin", "kept", 0o644),
        ("triplet", "kept", 0o644),
        ("shared", "in all layers", 0o640),
    ];
    for (path, content, mode) in files {
        let path = format!("opt/{path}");
        sandbox.file(&path, content).mode(&path, mode);
    }
    sandbox.link("opt/current", "share").folder("opt/empty");
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// An archive of files.
fn archive(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, content.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// What `docker save` writes.
fn saved(layers: &[Vec<u8>]) -> Vec<u8> {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for (number, layer) in layers.iter().enumerate() {
        files.push((format!("{number:064}/layer.tar"), layer.clone()));
    }
    let names: Vec<&String> = files.iter().map(|(name, _)| name).collect();
    let manifest = json!([{ "Config": "config.json", "RepoTags": ["image:latest"], "Layers": names }]);
    files.push(("manifest.json".to_owned(), manifest.to_string().into_bytes()));
    archive(&files)
}

/// The files of an OCI layout, for two architectures of which one is this image, with an attestation next to it.
fn oci(layers: &[Vec<u8>]) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut blob = |content: Vec<u8>| {
        let mut hash = String::new();
        for byte in Sha256::digest(&content) {
            write!(hash, "{byte:02x}").unwrap();
        }
        let descriptor =
            json!({ "digest": format!("sha256:{hash}"), "size": content.len(), "mediaType": "application/x" });
        files.push((format!("blobs/sha256/{hash}"), content));
        descriptor
    };
    let manifest = |layers: Vec<Value>| json!({ "schemaVersion": 2, "layers": layers }).to_string().into_bytes();
    let own = layers.iter().map(|layer| blob(layer.clone())).collect();
    let own = blob(manifest(own));
    let other = blob(layer(&[File("opt/other", "arm64", 0o644)]));
    let other = blob(manifest(vec![other]));
    let with = |mut descriptor: Value, architecture: &str| {
        descriptor["platform"] = json!({ "os": "linux", "architecture": architecture });
        descriptor
    };
    let attestation = with(other.clone(), "unknown");
    let images = [attestation, with(other, "arm64"), with(own, "amd64")];
    let nested = blob(json!({ "manifests": images }).to_string().into_bytes());
    files.push((
        "index.json".to_owned(),
        json!({ "manifests": [nested] }).to_string().into_bytes(),
    ));
    files.push(("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()));
    files
}

fn write(path: &Path, content: &[u8]) {
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, content).unwrap();
}

#[test]
fn an_image_gives_the_answers_of_the_directory_that_it_stands_for() {
    let sandbox = Sandbox::new();
    directory(&sandbox);
    let layers = layers();
    let compressed = [layers[0].clone(), gzipped(&layers[1]), zstd(&layers[2])];
    write(&sandbox.path("docker.tar"), &saved(&layers));
    write(&sandbox.path("oci.tar"), &archive(&oci(&compressed)));
    write(&sandbox.path("docker.tar.gz"), &gzipped(&saved(&layers)));
    for (name, content) in oci(&compressed) {
        write(&sandbox.path("layout").join(name), &content);
    }
    let json = |arguments: &[&str]| sandbox.run(arguments).stdout;
    let analyzed = json(&["analyze", "opt", "-f", "json"]);
    let checked = json(&["check", "opt", "-f", "json"]);
    sandbox
        .run(["pack", "opt", "-o", "from-directory", "--no-cache"])
        .expect_status(0);
    let packed = sandbox.contents("from-directory");
    assert!(analyzed.contains("\"files\": 8"), "{analyzed}");
    for image in [
        "docker.tar",
        "docker.tar:/opt",
        "docker.tar.gz:/opt",
        "oci.tar:/opt",
        "layout",
        "layout:/opt/",
    ] {
        assert_eq!(json(&["analyze", image, "-f", "json"]), analyzed, "{image}");
        assert_eq!(json(&["check", image, "-f", "json"]), checked, "{image}");
        let output = format!("from-{}", image.replace(['/', ':'], "-"));
        sandbox
            .run(["pack", image, "-o", &output, "--no-cache"])
            .expect_status(0);
        assert_eq!(sandbox.contents(&output), packed, "{image}");
        let diff = sandbox.run(["diff", "opt", image]).expect_status(0);
        assert!(diff.stdout.contains("have the same contents"), "{diff:#?}");
    }
    // That of the other architecture, and another directory.
    let arm = sandbox
        .run(["analyze", "layout", "--arch", "arm64", "-f", "json"])
        .json();
    assert_eq!(arm["totals"]["files"], 1);
    assert_eq!(
        sandbox.run(["analyze", "docker.tar:/opt/current", "-f", "json"]).json()["totals"]["files"],
        2
    );
}

/// A directory as a layer, with further entries: empty files of these names.
fn layer_of(directory: &Path, whiteouts: &[&str]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    builder.follow_symlinks(false);
    builder.append_dir_all("", directory).unwrap();
    for name in whiteouts {
        let mut header = Header::new_gnu();
        header.set_size(0);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, &b""[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

/// The root of a system with a package of each kind; `name` is a further library.
fn system(sandbox: &Sandbox, root: &str, name: &str) {
    let object = fs_err::read(testdata("host/libfar.so.1")).unwrap();
    let file = |path: &str, content: &[u8]| {
        sandbox.file(&format!("{root}/{path}"), content);
    };
    file("lib64/ld-linux-x86-64.so.2", &object);
    file(&format!("usr/lib/{name}"), &object);
    file(
        "usr/lib/os-release",
        b"ID=own\nVERSION_ID=\"7\"\nPRETTY_NAME=\"Own OS 7\"\n",
    );
    file("usr/bin/tool", b"#!/bin/sh\n");
    file(
        &format!("usr/lib/R/site-library/{}/DESCRIPTION", name.replace('.', "")),
        b"Package: x\nVersion: 1.0\nBuilt: R 4.2.2\n",
    );
    file(
        &format!("usr/lib/R/site-library/{}/Meta/package.rds", name.replace('.', "")),
        b"x",
    );
    file(
        "usr/lib/python3/site-packages/six-1.17.0.dist-info/METADATA",
        b"Name: six\nVersion: 1.17.0\n",
    );
    file(
        "usr/lib/python3/site-packages/six-1.17.0.dist-info/RECORD",
        b"six.py,,\n",
    );
    file("usr/lib/python3/site-packages/six.py", b"x = 1\n");
    sandbox.mode(&format!("{root}/usr/bin/tool"), 0o755);
    sandbox.link(&format!("{root}/usr/lib/libz.so"), name);
    sandbox.link(&format!("{root}/etc/os-release"), "/usr/lib/os-release");
}

#[test]
fn a_runtime_is_the_same_from_an_image_and_from_its_root() {
    let sandbox = Sandbox::new();
    system(&sandbox, "below", "libold.so.1");
    system(&sandbox, "root", "libnew.so.1");
    let layers = [
        layer_of(&sandbox.path("below"), &[]),
        layer_of(
            &sandbox.path("root"),
            &["usr/lib/.wh.libold.so.1", "usr/lib/R/site-library/.wh.liboldso1"],
        ),
    ];
    write(&sandbox.path("docker.tar"), &saved(&layers));
    write(&sandbox.path("oci.tar"), &archive(&oci(&layers.clone())));
    for (name, content) in oci(&layers) {
        write(&sandbox.path("layout").join(name), &content);
    }
    let captured = sandbox.run(["runtimes", "capture", "root"]).expect_status(0).stdout;
    let to_stdout = sandbox.run(["runtimes", "capture", "root", "-o", "-"]).expect_status(0);
    assert_eq!(to_stdout.stdout, captured);
    assert!(!sandbox.path("-").exists());
    assert!(
        captured.contains("name = \"own-7\"\ntitle = \"Own OS 7\""),
        "{captured}"
    );
    assert!(
        captured.contains("libnew.so.1") && !captured.contains("libold"),
        "{captured}"
    );
    assert!(captured.contains("name = \"six\"\nversion = \"1.17.0\""), "{captured}");
    for image in ["docker.tar", "oci.tar", "layout", "docker.tar:/"] {
        let of_image = sandbox.run(["runtimes", "capture", image]).expect_status(0).stdout;
        assert!(of_image == captured, "{image}: {of_image}");
    }
    let named = sandbox.run(["runtimes", "capture", "docker.tar", "--name", "mine"]);
    assert!(named.expect_status(0).stdout.starts_with("name = \"mine\"\n"));
}

/// A runtime with packages of three languages, `mine.toml`, and a tree with some of them in other versions.
fn runtime_and_tree(sandbox: &Sandbox) {
    system(sandbox, "root", "libnew.so.1");
    let image = [
        ("usr/lib/R/site-library/rlang", "1.1.4"),
        ("usr/lib/R/site-library/cli", "3.0.0"),
        ("usr/lib/R/site-library/vctrs", "0.6.0"),
    ];
    let package = |root: &str, directory: &str, version: &str, imports: &str| {
        let name = directory.rsplit('/').next().unwrap();
        let text = format!("Package: {name}\nVersion: {version}\nImports: {imports}\nBuilt: R 4.2.2\n");
        sandbox
            .file(&format!("{root}/{directory}/DESCRIPTION"), text)
            .file(&format!("{root}/{directory}/Meta/package.rds"), "x")
            .file(&format!("{root}/{directory}/NAMESPACE"), "");
    };
    for (directory, version) in image {
        package("root", directory, version, "");
    }
    sandbox.file(
        "root/usr/lib/node_modules/ms/package.json",
        r#"{"name": "ms", "version": "2.1.3"}"#,
    );
    sandbox.file(
        "root/usr/lib/node_modules/debug/package.json",
        r#"{"name": "debug", "version": "5.0.0"}"#,
    );
    sandbox
        .run(["runtimes", "capture", "root", "--name", "mine", "-o", "mine.toml"])
        .expect_status(0);

    package(
        "tree",
        "R/library/dplyr",
        "1.1.0",
        "rlang (>= 1.1.0), cli (>= 3.4.0), vctrs",
    );
    package("tree", "R/library/rlang", "1.1.1", "");
    package("tree", "R/library/cli", "3.6.0", "");
    package("tree", "R/library/vctrs", "0.6.0", "");
    sandbox
        .file(
            "tree/python/six-1.16.0.dist-info/METADATA",
            "Name: six\nVersion: 1.16.0\n",
        )
        .file(
            "tree/python/six-1.16.0.dist-info/RECORD",
            "six.py,,\nsix-1.16.0.dist-info/METADATA,,\n",
        )
        .file("tree/python/six.py", "x = 1\n")
        .file("tree/python/own.py", "import six\n")
        .file(
            "tree/nodejs/node_modules/ms/package.json",
            r#"{"name": "ms", "version": "2.0.0"}"#,
        )
        .file("tree/nodejs/node_modules/ms/index.js", "1\n")
        .file(
            "tree/nodejs/node_modules/debug/package.json",
            r#"{"name": "debug", "version": "4.0.0"}"#,
        )
        .file("tree/nodejs/node_modules/debug/index.js", "1\n")
        .file(
            "tree/nodejs/node_modules/app/package.json",
            r#"{"name": "app", "version": "1.0.0", "dependencies": {"ms": "^2.0.0", "debug": "^4.0.0"}}"#,
        )
        .file(
            "tree/nodejs/node_modules/app/index.js",
            "require('ms'); require('debug')\n",
        );
}

/// What the runtime has is left out if it is not older and whatever requires it accepts it.
#[test]
fn packages_that_a_runtime_of_ones_own_has_are_left_out_on_request() {
    let sandbox = Sandbox::new();
    runtime_and_tree(&sandbox);
    let paths = |arguments: &[&str]| -> Vec<String> {
        let pack = [
            "pack",
            "tree",
            "--runtime",
            "mine.toml",
            "--no-cache",
            "--format",
            "json",
        ];
        let packed = sandbox.run([&pack[..], arguments].concat());
        assert!(packed.status < 2, "{packed:#?}");
        let layers = packed.json()["layers"].clone();
        let contents = layers[0]["contents"].as_array().unwrap().clone();
        contents
            .iter()
            .map(|entry| entry["path"].as_str().unwrap().to_owned())
            .collect()
    };
    let whole = paths(&["-o", "whole"]);
    let left = paths(&["-o", "left", "--enable", "provided"]);
    let gone: Vec<&String> = whole.iter().filter(|path| !left.contains(path)).collect();
    let of = |name: &str| gone.iter().any(|path| path.contains(name));
    // Newer and accepted; the same; newer.
    for name in [
        "R/library/rlang/",
        "R/library/vctrs/",
        "python/six.py",
        "node_modules/ms/",
    ] {
        assert!(of(name), "{name}: {gone:?}");
    }
    // Older; not accepted by what requires it; not in the runtime.
    for name in [
        "R/library/cli/",
        "node_modules/debug/",
        "R/library/dplyr/",
        "python/own.py",
        "node_modules/app/",
    ] {
        assert!(!of(name), "{name}: {gone:?}");
    }
}

/// The same for what a runtime of AWS's has: versions that every Python runtime has surpassed, and one that none has reached.
#[test]
fn packages_that_a_python_runtime_has_are_left_out_on_request() {
    let sandbox = Sandbox::new();
    let distribution = |name: &str, version: &str, requires: &str| {
        let metadata = format!("python/{name}-{version}.dist-info");
        sandbox
            .file(&format!("tree/python/{name}/__init__.py"), "x = 1\n")
            .file(
                &format!("tree/{metadata}/METADATA"),
                format!("Name: {name}\nVersion: {version}\n{requires}"),
            )
            .file(
                &format!("tree/{metadata}/RECORD"),
                format!("{name}/__init__.py,,\n{name}-{version}.dist-info/METADATA,,\n"),
            );
    };
    distribution("boto3", "1.0.0", "");
    distribution("botocore", "99.0.0", "");
    distribution("s3transfer", "0.0.1", "");
    distribution("jmespath", "0.9.0", "");
    distribution(
        "old",
        "1.0",
        "Requires-Dist: jmespath<0.10\nRequires-Dist: s3transfer>=0.0.1\n",
    );
    let left = |runtime: &str| -> Vec<String> {
        let ran = sandbox.run([
            "prune",
            "tree",
            "--to",
            runtime,
            "--enable",
            "provided",
            "--runtime",
            runtime,
            "--arch",
            "arm64",
        ]);
        assert!(ran.status < 2, "{ran:#?}");
        let names = fs_err::read_dir(sandbox.path(runtime).join("python")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.filter(|name| !name.ends_with(".dist-info")).collect();
        names.sort();
        names
    };
    assert_eq!(left("python3.13"), ["botocore", "jmespath", "old"]);
    for without in ["provided.al2023", "nodejs24.x"] {
        assert_eq!(
            left(without),
            ["boto3", "botocore", "jmespath", "old", "s3transfer"],
            "{without}"
        );
    }
    let shown = sandbox.run(["runtimes", "show", "python3.13"]).expect_status(0).stdout;
    assert!(
        shown.contains("\npython boto3 1.") && shown.contains("AWS updates them at any time"),
        "{shown}"
    );
}

/// Packages that require one another by their versions go together or stay together, whatever each of them is alone.
#[test]
fn packages_that_belong_together_are_left_out_together() {
    let gone = |bound: Option<&str>| {
        let sandbox = Sandbox::new();
        let own = ("own", "1.0", bound.into_iter().collect());
        let all = [
            ("boto3", "1.0.0", vec!["botocore<1.1,>=1.0.0", "s3transfer<0.1"]),
            ("botocore", "1.0.0", vec!["jmespath<0.2"]),
            ("s3transfer", "0.0.1", vec!["botocore<2.0a.0,>=1.0.0"]),
            ("jmespath", "0.1.0", vec![]),
        ];
        for (name, version, requires) in all.iter().chain([&own]) {
            let lines: Vec<String> = requires.iter().map(|text| format!("Requires-Dist: {text}\n")).collect();
            let information = format!("{name}-{version}.dist-info");
            sandbox
                .file(&format!("tree/python/{name}/__init__.py"), "x = 1\n")
                .file(
                    &format!("tree/python/{information}/METADATA"),
                    format!("Name: {name}\nVersion: {version}\n{}", lines.concat()),
                )
                .file(
                    &format!("tree/python/{information}/RECORD"),
                    format!("{name}/__init__.py,,\n{information}/METADATA,,\n"),
                );
        }
        let options = [
            "prune",
            "tree",
            "--to",
            "to",
            "--enable",
            "provided",
            "--runtime",
            "python3.13",
        ];
        assert!(sandbox.run(options).status < 2);
        let is_gone = |name: &&str| !sandbox.path(&format!("to/python/{name}")).exists();
        ["boto3", "botocore", "s3transfer", "jmespath"]
            .into_iter()
            .filter(is_gone)
            .collect::<Vec<_>>()
    };
    // Nothing else holds them to their versions.
    assert_eq!(gone(None), ["boto3", "botocore", "s3transfer", "jmespath"]);
    // What stays holds one to its version, and that one the others.
    for bound in ["botocore<1.1", "jmespath<0.2", "s3transfer<0.1"] {
        assert!(gone(Some(bound)).is_empty(), "{bound}");
    }
    assert_eq!(gone(Some("jmespath>=0.1")).len(), 4);
}

#[test]
fn broken_and_hostile_images_are_refused_and_write_nothing_outside() {
    let sandbox = Sandbox::new();
    let outside = sandbox.path("outside");
    let link_out = outside.to_str().unwrap().to_owned();
    let cases = [
        (
            "up",
            saved(&[layer(&[File("opt/../../../outside", "x", 0o644)])]),
            "is not a path in an image",
        ),
        (
            "hard",
            saved(&[layer(&[HardLink("opt/x", "etc/shadow")])]),
            "leads to nothing",
        ),
        (
            "circle",
            saved(&[layer(&[Link("opt", "opt"), File("opt/x", "x", 0o644)])]),
            "too many links",
        ),
        (
            "none",
            saved(&[layer(&[File("etc/x", "x", 0o644)])]),
            "there is nothing in /opt",
        ),
        ("cut", saved(&[gzipped(&layers()[0])[..40].to_vec()]), "layer 1"),
        (
            "plain",
            layer(&[File("opt/x", "x", 0o644)]),
            "neither manifest.json nor",
        ),
        (
            "several",
            archive(&[(
                "manifest.json".to_owned(),
                br#"[{"Layers":[],"RepoTags":["a:1"]},{"Layers":[],"RepoTags":["b:2"]}]"#.to_vec(),
            )]),
            "a:1, b:2",
        ),
        (
            "gone",
            archive(&[("manifest.json".to_owned(), br#"[{"Layers":["none"]}]"#.to_vec())]),
            "none is missing",
        ),
        (
            "digest",
            archive(&[(
                "index.json".to_owned(),
                br#"{"manifests":[{"digest":"sha256:../../x"}]}"#.to_vec(),
            )]),
            "is not a digest",
        ),
    ];
    for (name, content, message) in cases {
        let file = format!("{name}.tar");
        write(&sandbox.path(&file), &content);
        let ran = sandbox.run(["analyze", &file]).expect_status(2);
        assert!(
            ran.stderr.contains(message) && ran.stderr.contains(&file),
            "{name}: {ran:#?}"
        );
    }
    // What is put below a link is where the link leads to in the image, not on this machine.
    let through = layer(&[
        Link("opt/out", &link_out),
        File("opt/out/x", "x", 0o644),
        File("opt/y", "y", 0o644),
    ]);
    write(&sandbox.path("through.tar"), &saved(&[through]));
    let ran = sandbox.run(["analyze", "through.tar", "-f", "json"]);
    assert_eq!(ran.json()["totals"]["files"], 1, "{ran:#?}");
    assert!(!outside.exists());
    let follows = sandbox
        .run(["pack", "through.tar", "--symlinks", "follow-all"])
        .expect_status(2);
    assert!(follows.stderr.contains("files of this machine"), "{follows:#?}");
}
