//! Small objects that ask for libraries, and what the loader would read of them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::elf::mutation::mutations;
use crate::elf::{Object, parse};

fn testdata(path: &str) -> Vec<u8> {
    fs_err::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(path)).unwrap()
}

fn object(bytes: &[u8]) -> Object {
    parse(&bytes).unwrap().unwrap()
}

fn asked(names: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pair = |(old, new): &(&str, &str)| ((*old).to_owned(), (*new).to_owned());
    names.iter().map(pair).collect()
}

/// The object as it is to be.
fn expected(mut object: Object, names: Names<'_>) -> Object {
    let rename = |name: &mut String| {
        if let Some(new) = names.asked.get(name.as_str()) {
            *name = new.clone();
        }
    };
    object.needed.iter_mut().for_each(rename);
    object.filters.iter_mut().for_each(rename);
    object.auxiliaries.iter_mut().for_each(rename);
    for need in &mut object.version_needs {
        rename(&mut need.library);
    }
    if let (Some(soname), Some(own)) = (&mut object.soname, names.own) {
        own.clone_into(soname);
    }
    object
}

fn differing(before: &[u8], after: &[u8]) -> usize {
    assert_eq!(before.len(), after.len());
    before
        .iter()
        .zip(after)
        .filter(|(before, after)| before != after)
        .count()
}

#[test]
fn names_change_where_they_are_asked_for_and_borne() {
    let bytes = testdata("newer/libparse.so.1");
    let asked = asked(&[("libc.so.6", "ibc.so.6"), ("libm.so.6", "m.so.6")]);
    let names = Names {
        asked: &asked,
        own: Some("ibparse.so.1"),
    };
    let renamed = rename_libraries(&bytes, names).unwrap();
    let before = object(&bytes);
    assert_eq!(before.soname.as_deref(), Some("libparse.so.1"));
    assert!(
        before.version_needs.iter().any(|need| need.library == "libc.so.6"),
        "{before:?}"
    );
    assert_eq!(object(&renamed), expected(before, names));
    // Both libraries in .dynamic and in .gnu.version_r, and the own name: an offset of at most two bytes each.
    assert!(
        (5..=10).contains(&differing(&bytes, &renamed)),
        "{}",
        differing(&bytes, &renamed)
    );
    assert_eq!(
        rename_libraries(
            &renamed,
            Names {
                asked: &asked,
                own: None
            }
        ),
        Err(RenameError::Nothing)
    );
    let longer = BTreeMap::from([("libc.so.6".to_owned(), "libcc.so.6".to_owned())]);
    let error = rename_libraries(
        &bytes,
        Names {
            asked: &longer,
            own: None,
        },
    )
    .unwrap_err();
    assert_eq!(error, RenameError::NotAnEnd("libcc.so.6".to_owned()));
}

#[test]
fn a_private_name_is_one_that_nothing_has() {
    assert_eq!(private_name("libz.so.1", |_| false), Some("ibz.so.1"));
    assert_eq!(private_name("libz.so.1", |name| name == "ibz.so.1"), Some("bz.so.1"));
    assert_eq!(private_name("libz.so.1", |_| true), None);
    assert_eq!(private_name("äß.so", |_| false), Some("ß.so"));
    assert_eq!(private_name("", |_| false), None);
    assert_eq!(private_name("x.so", |_| false), None);
}

#[test]
fn a_change_that_was_not_intended_does_not_pass() {
    let bytes = testdata("newer/libparse.so.1");
    let nothing = BTreeMap::new();
    let names = Names {
        asked: &nothing,
        own: None,
    };
    assert_eq!(verify(&bytes, &bytes, names), Ok(()));
    for place in (0..bytes.len()).step_by(7) {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        assert!(verify(&bytes, &changed, names).is_err(), "byte {place}");
    }
    // The right name, and another byte.
    let asked = asked(&[("libc.so.6", "ibc.so.6")]);
    let names = Names {
        asked: &asked,
        own: None,
    };
    let mut renamed = rename_libraries(&bytes, names).unwrap();
    assert_eq!(verify(&bytes, &renamed, names), Ok(()));
    assert!(verify(&bytes, &bytes, names).is_err());
    *renamed.last_mut().unwrap() ^= 1;
    assert!(verify(&bytes, &renamed, names).is_err());
}

#[test]
fn what_is_no_object_is_refused() {
    let asked = asked(&[("libc.so.6", "ibc.so.6")]);
    let names = Names {
        asked: &asked,
        own: None,
    };
    assert!(rename_libraries(b"#!/bin/sh\n", names).is_err());
    let bytes = testdata("host/libfar.so.1.0");
    for length in 0..bytes.len() {
        assert!(rename_libraries(&bytes[..length], names).is_err(), "{length}");
    }
}

const OBJECTS: [&str; 5] = [
    "newer/libmath.so.1",
    "newer/libparse.so.1",
    "newer/pointer",
    "host/libfar.so.1.0",
    "opt/lib/libchain.so.1",
];

proptest! {
    /// Of as many cases as `PROPTEST_CASES` says.
    #[test]
    fn no_mutation_panics_or_passes_unverified(
        which in 0..OBJECTS.len(),
        mutation in mutations(),
    ) {
        let bytes = mutation.of(testdata(OBJECTS[which]));
        let asked = asked(&[("libc.so.6", "ibc.so.6"), ("libm.so.6", "ibm.so.6"), ("libfarther.so.1", "far.so.1")]);
        for own in [None, Some(".1")] {
            let names = Names { asked: &asked, own };
            let Ok(renamed) = rename_libraries(&bytes, names) else { continue };
            // What cannot be read is not an object, and is never repaired.
            if let Ok(Some(before)) = parse(&bytes.as_slice()) {
                prop_assert_eq!(object(&renamed), expected(before, names));
            }
        }
    }
}
