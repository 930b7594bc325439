//! Small objects that ask for more than glibc 2.34 has (`testdata/newer`), and what the loader would read of them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::elf::Machine;
use crate::elf::mutation::mutations;
use crate::elf::{Object, VersionNeed, parse};

fn newer(name: &str) -> Vec<u8> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/newer");
    fs_err::read(directory.join(name)).unwrap()
}

/// What glibc 2.34 has.
fn is_in_2_34(_: &str, version: &str) -> bool {
    let number = version.strip_prefix("GLIBC_").unwrap_or_default();
    let number: Option<Vec<u32>> = number.split('.').map(|number| number.parse().ok()).collect();
    number.is_some_and(|number| number.as_slice() <= [2, 34].as_slice())
}

fn lowered(bytes: &[u8]) -> Result<Lowered, LowerError> {
    lower(bytes, &OlderSymbols::built_in(Machine::X86_64), &is_in_2_34)
}

fn object(bytes: &[u8]) -> Object {
    parse(&bytes).unwrap().unwrap()
}

/// The symbols that ask for a version, as `library version symbols`, without versions that no symbol asks for.
fn asked_for(bytes: &[u8]) -> Vec<String> {
    let line = |need: &VersionNeed| format!("{} {} {}", need.library, need.version, need.symbols.join(" "));
    let mut lines: Vec<String> = object(bytes)
        .version_needs
        .iter()
        .filter(|need| need.symbol_count > 0)
        .map(line)
        .collect();
    lines.sort();
    lines
}

fn assert_only_versions_of_2_34(bytes: &[u8]) {
    for need in object(bytes).version_needs {
        assert!(is_in_2_34(&need.library, &need.version), "{need:?}");
    }
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
fn the_only_version_of_a_library_becomes_one_that_another_library_names() {
    let bytes = newer("libmath.so.1");
    let done = lowered(&bytes).unwrap();
    assert_eq!(
        asked_for(&done.bytes),
        ["libc.so.6 GLIBC_2.2.5 strlen", "libm.so.6 GLIBC_2.2.5 hypot"]
    );
    assert_only_versions_of_2_34(&done.bytes);
    // Four bytes of the hash and one of the name's offset; the symbol keeps its index.
    assert!(
        differing(&bytes, &done.bytes) <= 6,
        "{}",
        differing(&bytes, &done.bytes)
    );
    let [
        Rebound {
            symbol,
            library,
            version,
            to,
        },
    ] = done.rebound.as_slice()
    else {
        panic!("{:?}", done.rebound);
    };
    assert_eq!(
        (symbol.as_str(), library.as_str(), version.as_str()),
        ("hypot", "libm.so.6", "GLIBC_2.35")
    );
    assert_eq!(to.as_ref().unwrap().version, "GLIBC_2.2.5");
    assert_eq!(lowered(&done.bytes), Err(LowerError::Nothing));
}

#[test]
fn a_name_is_the_end_of_the_newer_one_or_is_written_over_it() {
    let bytes = newer("libparse.so.1");
    let done = lowered(&bytes).unwrap();
    assert_only_versions_of_2_34(&done.bytes);
    assert_eq!(
        asked_for(&done.bytes),
        [
            "libc.so.6 GLIBC_2.2.5 memcmp strlen strtol",
            "libc.so.6 GLIBC_2.3 strtol_l",
            "libc.so.6 GLIBC_2.7 __isoc99_sscanf",
            "libm.so.6 GLIBC_2.2.5 fmod",
        ]
    );
    assert_eq!(done.rebound.len(), 5);
    // What it defines, needs and is called is as before.
    let (before, after) = (object(&bytes), object(&done.bytes));
    assert_eq!(
        (before.needed, before.soname, before.versions),
        (after.needed, after.soname, after.versions)
    );
}

#[test]
fn a_weak_symbol_that_nothing_older_has_is_asked_for_without_a_version() {
    let done = lowered(&newer("libweak.so.1")).unwrap();
    assert_only_versions_of_2_34(&done.bytes);
    assert_eq!(asked_for(&done.bytes), ["libc.so.6 GLIBC_2.2.5 strlen strtol"]);
    let weak = done.rebound.iter().find(|rebound| rebound.symbol == "strlcpy").unwrap();
    assert_eq!(weak.to, None);
}

#[test]
fn what_stands_in_the_way_is_named_with_its_reason() {
    let Err(LowerError::Blocked(blocked)) = lowered(&newer("libblocked.so.1")) else {
        panic!("it has nothing to do without strlcpy and cospi");
    };
    let names: Vec<&str> = blocked.iter().map(|blocked| blocked.symbol.as_str()).collect();
    assert_eq!(names, ["cospi", "strlcpy"]);
    let error = LowerError::Blocked(blocked).to_string();
    assert!(error.contains("cospi@GLIBC_2.41: it came with GLIBC_2.41"), "{error}");
    assert!(error.contains("strlcpy@GLIBC_2.38: no older release"), "{error}");
    // Other objects take the function's address from the program, by its name.
    let error = lowered(&newer("pointer")).unwrap_err().to_string();
    assert!(error.contains("cannot become strtol"), "{error}");
    // It names no version of libc that 2.34 has, and there is no room for one.
    let error = lowered(&newer("libspare.so.1")).unwrap_err().to_string();
    assert!(error.contains("names no version"), "{error}");
}

#[test]
fn an_object_that_asks_for_nothing_newer_stays() {
    for path in ["host/libfar.so.1.0", "opt/bin/hello", "opt/lib/libdebug.so.1"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(path);
        assert_eq!(lowered(&fs_err::read(path).unwrap()), Err(LowerError::Nothing));
    }
}

#[test]
fn a_change_that_was_not_intended_does_not_pass() {
    let bytes = newer("libparse.so.1");
    let tables = Tables::read(&bytes).unwrap().unwrap();
    let nothing = verify::Expected::default();
    assert_eq!(verify::verify(&bytes, &bytes, &nothing), Ok(()));
    for place in (0..bytes.len()).step_by(7) {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        assert!(verify::verify(&bytes, &changed, &nothing).is_err(), "byte {place}");
    }
    // The right bytes of one field, and the wrong ones in it.
    let version = tables.needs[0].versions[0];
    let mut expected = verify::Expected::default();
    expected.versions.insert(version.index, "GLIBC_2.2.5".to_owned());
    let mut changed = bytes.clone();
    changed[version.at] ^= 1;
    let error = verify::verify(&bytes, &changed, &expected).unwrap_err();
    assert!(matches!(error, VerifyError::Version(_)), "{error:?}");
}

/// Whether a change of mutated bytes is one that the two readers agree on: no refused version is left, and nothing else
/// that the loader reads is different.
fn assert_sound(bytes: &[u8]) {
    let Ok(done) = lowered(bytes) else { return };
    assert_eq!(done.bytes.len(), bytes.len());
    // What cannot be read is not an object, and is never repaired.
    let Ok(Some(before)) = parse(&bytes) else { return };
    let after = object(&done.bytes);
    assert_eq!((before.needed, before.soname), (after.needed, after.soname));
    assert_eq!((before.rpath, before.runpath), (after.rpath, after.runpath));
    assert_eq!(
        (before.interpreter, before.versions),
        (after.interpreter, after.versions)
    );
    let refused = after.version_needs.iter().filter(|need| !need.weak);
    for need in refused {
        assert!(is_in_2_34(&need.library, &need.version), "{need:?}");
    }
}

const OBJECTS: [&str; 6] = [
    "libmath.so.1",
    "libparse.so.1",
    "libspare.so.1",
    "libweak.so.1",
    "libblocked.so.1",
    "pointer",
];

proptest! {
    /// Of as many cases as `PROPTEST_CASES` says.
    #[test]
    fn no_mutation_panics_or_passes_unverified(
        which in 0..OBJECTS.len(),
        mutation in mutations(),
    ) {
        let bytes = mutation.of(newer(OBJECTS[which]));
        assert_sound(&bytes);
    }
}
