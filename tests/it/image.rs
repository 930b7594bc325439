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

use crate::support::Sandbox;

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
