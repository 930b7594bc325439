use serde_json::Value;

use super::*;
use crate::languages::inspector;
use crate::manifest::{AddedFile, ChangedFile};
use crate::size::Bytes;
use crate::tree::{Entry, File, Mode, Tree};

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

fn tree(files: &[(&str, &[u8])]) -> Tree {
    let mut tree = Tree::default();
    for (name, bytes) in files {
        let path = path(name);
        let file = File {
            bytes: Bytes(bytes.len() as u64),
            mode: Mode::FILE,
            content: inspector().inspect(path.file_name(), bytes),
        };
        tree.insert(path, Entry::File(file));
    }
    tree
}

fn sample() -> (Tree, Vec<AddedFile>, Vec<ChangedFile>) {
    let library = fs_err::read(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/host/libfar.so.1")).unwrap();
    let tree = tree(&[
        ("lib/libfar.so.1", &library),
        ("lib/libown.so.1.2.3", &library),
        ("python/six.py", b"x"),
        (
            "python/six-1.16.0.dist-info/RECORD",
            b"six.py,,\nsix-1.16.0.dist-info/METADATA,,\n",
        ),
        (
            "python/six-1.16.0.dist-info/METADATA",
            b"Metadata-Version: 2.1\nName: six\nVersion: 1.16.0\nLicense: MIT\n",
        ),
        ("python/a.py", b"x"),
        ("python/a-2.0.0.dist-info/RECORD", b"a.py,,\n"),
        (
            "python/a-2.0.0.dist-info/METADATA",
            b"Name: a\nVersion: 2.0.0\nLicense-Expression: ISC\nRequires-Dist: b\n",
        ),
        ("python/b.py", b"x"),
        ("python/b-1.0.0.dist-info/RECORD", b"b.py,,\n"),
        ("python/b-1.0.0.dist-info/METADATA", b"Name: b\nVersion: 1.0.0\n"),
    ]);
    let added = AddedFile {
        path: "lib/libfar.so.1".to_owned(),
        from: "/usr/lib/libfar.so.1".to_owned(),
        soname: Some("libfar.so.1".to_owned()),
        needed_by: Vec::new(),
        package: Some(HostPackage {
            manager: crate::host::PackageManager::Deb,
            name: "libfar1".to_owned(),
            version: "1.0-2".to_owned(),
            arch: "amd64".to_owned(),
            source: None,
            distribution: Some("debian".to_owned()),
            release: Some("12".to_owned()),
            license: None,
        }),
    };
    let changed = ChangedFile {
        path: "lib/libown.so.1.2.3".to_owned(),
        by: "strip".to_owned(),
        before_bytes: Bytes(2),
        after_bytes: Bytes(1),
        what: None,
        why: None,
    };
    (tree, vec![added], vec![changed])
}

fn bill() -> Bill {
    let (tree, added, changed) = sample();
    let hashes = tree
        .files()
        .map(|(path, _)| (path.clone(), Sha256::digest(path.as_str()).into()))
        .collect();
    let own = embedded::EmbeddedVersion {
        project: "libown".to_owned(),
        version: "1.2.3".to_owned(),
        from: "file name",
    };
    let components = collect(Described {
        tree: &tree,
        source: &tree,
        text: &|_| None,
        hashes: &hashes,
        embedded: &BTreeMap::from([(path("lib/libown.so.1.2.3"), own)]),
        added: &added,
        changed: &changed,
    });
    Bill::new("provided.al2023", &[], components, Some(1_795_737_600))
}

#[test]
fn components_are_what_package_managers_and_names_say() {
    let bill = bill();
    let found: Vec<(&str, Option<&str>, Option<&str>)> = bill
        .components
        .iter()
        .map(|component| {
            (
                component.name.as_str(),
                component.version.as_deref(),
                component.purl.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("a", Some("2.0.0"), Some("pkg:pypi/a@2.0.0")),
            ("b", Some("1.0.0"), Some("pkg:pypi/b@1.0.0")),
            ("six", Some("1.16.0"), Some("pkg:pypi/six@1.16.0")),
            (
                "libfar.so.1",
                Some("1.0-2"),
                Some("pkg:deb/debian/libfar1@1.0-2?arch=amd64&distro=debian-12")
            ),
            ("libown.so.1.2.3", Some("1.2.3"), Some("pkg:generic/libown@1.2.3")),
        ]
    );
    assert_eq!(bill.components[4].changed, ["strip"]);
    assert!(bill.components[0].requires.contains(&bill.components[1].id));
    assert_eq!(bill.components[2].files.len(), 3);
}

#[test]
fn what_is_left_of_a_package_is_described_by_what_was_removed() {
    let (source, ..) = sample();
    let removed = [
        "six-1.16.0.dist-info/METADATA",
        "a.py",
        "a-2.0.0.dist-info/RECORD",
        "a-2.0.0.dist-info/METADATA",
    ];
    let removed = removed.map(|name| format!("python/{name}"));
    let mut kept = Tree::default();
    for (path, entry) in source
        .iter()
        .filter(|(path, _)| !removed.iter().any(|removed| removed == path.as_str()))
    {
        kept.insert(path.clone(), entry.clone());
    }
    let components = collect(Described {
        tree: &kept,
        source: &source,
        text: &|_| None,
        hashes: &BTreeMap::new(),
        embedded: &BTreeMap::new(),
        added: &[],
        changed: &[],
    });
    let names: Vec<&str> = components.iter().map(|component| component.name.as_str()).collect();
    assert_eq!(names, ["b", "six", "libfar.so.1", "libown.so.1.2.3"]);
    assert_eq!(components[1].version.as_deref(), Some("1.16.0"));
}

#[test]
fn the_same_contents_give_the_same_bytes_and_others_do_not() {
    let first = bill();
    assert_eq!(first.cyclonedx(), bill().cyclonedx());
    assert_eq!(first.spdx(), bill().spdx());
    let mut other = bill();
    other.components[0]
        .files
        .values_mut()
        .for_each(|hash| *hash = Some([1; 32]));
    let serial = |bill: &Bill| serde_json::from_str::<Value>(&bill.cyclonedx()).unwrap()["serialNumber"].clone();
    assert_ne!(serial(&first), serial(&other));
    let json: Value = serde_json::from_str(&first.cyclonedx()).unwrap();
    assert_eq!(json["specVersion"], "1.5");
    assert_eq!(json["metadata"]["timestamp"], "2026-11-27T00:00:00Z");
    let spdx: Value = serde_json::from_str(&first.spdx()).unwrap();
    assert_eq!(spdx["creationInfo"]["created"], "2026-11-27T00:00:00Z");
    assert_eq!(spdx["packages"].as_array().unwrap().len(), 6);
}

/// The digest of several files is that of what `sha256sum` prints: computed by it for the files `a` with "1" and `b` with "2".
#[test]
fn the_digest_of_several_files_is_that_of_their_list() {
    let mut component = bill().components.remove(0);
    let hash = |text: &str| Some(Sha256::digest(text).into());
    component.files = BTreeMap::from([(path("a"), hash("1")), (path("b"), hash("2"))]);
    assert_eq!(
        base16ct::lower::encode_string(&component.digest().unwrap()),
        "68c2919f4305e50800082ab7f11eb17d96c7832f59154e97b1d373a5179a63ea"
    );
    component.files.insert(path("c"), None);
    assert_eq!(component.digest(), None);
}

/// The note is one that rpm of Fedora 40 writes (systemd, "Package Metadata for Executable Files").
#[test]
fn a_library_without_a_package_manager_is_told_by_its_note() {
    let note = r#"{"type":"rpm","name":"curl","version":"8.6.0-10.fc40","architecture":"x86_64","osCpe":"cpe:/o:fedoraproject:fedora:40","os":"fedora","osVersion":"40"}"#;
    let package = serde_json::from_str::<crate::elf::PackageNote>(note).unwrap();
    let mut tree = tree(&[(
        "lib/libfar.so.1",
        &fs_err::read(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/host/libfar.so.1")).unwrap(),
    )]);
    let at = path("lib/libfar.so.1");
    let Some(Entry::File(mut file)) = tree.get(&at).cloned() else {
        panic!()
    };
    let crate::tree::Content::Object(object) = &mut file.content else {
        panic!()
    };
    std::sync::Arc::make_mut(object).package = Some(package);
    tree.insert(at, Entry::File(file));
    let components = collect(Described {
        tree: &tree,
        source: &tree,
        text: &|_| None,
        hashes: &BTreeMap::new(),
        embedded: &BTreeMap::new(),
        added: &[],
        changed: &[],
    });
    assert_eq!(
        components[0].purl.as_deref(),
        Some("pkg:rpm/fedora/curl@8.6.0-10.fc40?arch=x86_64&distro=fedora-40")
    );
    assert_eq!(components[0].version_from, Some("note of its package"));
}
