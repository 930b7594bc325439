//! Which symbol versions the runtime's libraries define, where only the release of their package is known.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::error::{RuntimeError, parse};

/// Releases of packages, such as `1.2.11`, by the package's name.
pub(crate) type Packages = BTreeMap<String, String>;

const TABLE: &str = include_str!("../../rules/runtimes/versions.toml");

static LIBRARIES: LazyLock<Result<Table, String>> =
    LazyLock::new(|| parse("rules/runtimes/versions.toml", TABLE).map_err(|error| error.to_string()));

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    libraries: Vec<Library>,
}

/// Libraries of one package that define the same versions; the fields are described in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Library {
    sonames: Vec<String>,
    package: Option<String>,
    #[serde(default)]
    always: Vec<String>,
    #[serde(default)]
    from_name: Vec<String>,
    #[serde(default)]
    since: BTreeMap<String, String>,
    #[serde(rename = "source")]
    _source: String,
    #[serde(rename = "checked")]
    _checked: String,
}

/// The versions that a library of one of these packages defines, sorted. `None` for a library that is not in the table, or
/// whose package's release is not known.
pub(super) fn defined(soname: &str, packages: &Packages) -> Result<Option<Vec<String>>, RuntimeError> {
    let table = LIBRARIES.as_ref().map_err(|reason| RuntimeError::Data {
        name: "rules/runtimes/versions.toml".to_owned(),
        reason: reason.clone(),
    })?;
    let known = table
        .libraries
        .iter()
        .find(|library| library.sonames.iter().any(|name| name == soname));
    Ok(known.and_then(|library| library.versions(packages)))
}

impl Library {
    fn versions(&self, packages: &Packages) -> Option<Vec<String>> {
        let mut versions = self.always.clone();
        if let Some(package) = &self.package {
            let release = numbers(packages.get(package)?)?;
            let named = self.from_name.iter().map(|name| (name, family(name).1));
            let listed = self.since.iter().map(|(name, since)| (name, Some(since.as_str())));
            for (name, since) in named.chain(listed) {
                if numbers(since?)? <= release {
                    versions.push(name.clone());
                }
            }
        }
        versions.sort();
        Some(versions)
    }
}

/// The family of a version and its number: `LIBXML2` and `2.9.1` of `LIBXML2_2.9.1`, `MOUNT` and `2_35` of `MOUNT_2_35`. A
/// version without a number is a family of its own.
pub fn family(version: &str) -> (&str, Option<&str>) {
    let digits = |(at, _): &(usize, &str)| version[at + 1..].starts_with(|c: char| c.is_ascii_digit());
    match version.match_indices('_').find(digits) {
        Some((at, _)) => (&version[..at], Some(&version[at + 1..])),
        None => (version, None),
    }
}

/// The numbers of a release or version, to be compared one after the other; `None` if it is not made of numbers.
pub fn numbers(version: &str) -> Option<Vec<u32>> {
    version.split(['.', '_']).map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_version_begins_after_its_family() {
        assert_eq!(family("LIBXML2_2.9.1"), ("LIBXML2", Some("2.9.1")));
        assert_eq!(family("MOUNT_2_35"), ("MOUNT", Some("2_35")));
        assert_eq!(
            family("NCURSES6_TINFO_5.0.19991023"),
            ("NCURSES6_TINFO", Some("5.0.19991023"))
        );
        assert_eq!(family("krb5_3_MIT"), ("krb5", Some("3_MIT")));
        assert_eq!(family("HIDDEN"), ("HIDDEN", None));
        assert!(numbers("2_9") < numbers("2.35") && numbers("2.34") < numbers("2.34.1"));
        assert_eq!(numbers("3_MIT"), None);
    }

    #[test]
    fn a_library_defines_what_its_release_has() {
        let at = |package: &str, release: &str| Packages::from([(package.to_owned(), release.to_owned())]);
        let defines = |soname: &str, packages: &Packages, version: &str| {
            defined(soname, packages)
                .unwrap()
                .map(|versions| versions.iter().any(|known| known == version))
        };
        // zlib.map says ZLIB_1.2.9 { … gzfread, gzfwrite …}; 1.2.7 has none of it.
        assert_eq!(defines("libz.so.1", &at("zlib", "1.2.11"), "ZLIB_1.2.9"), Some(true));
        assert_eq!(defines("libz.so.1", &at("zlib", "1.2.7"), "ZLIB_1.2.9"), Some(false));
        assert_eq!(defines("libz.so.1", &at("zlib", "1.2.7"), "ZLIB_1.2.7.1"), Some(false));
        assert_eq!(defines("libz.so.1", &Packages::new(), "ZLIB_1.2.0"), None);
        assert_eq!(defines("libkrb5.so.3", &Packages::new(), "krb5_3_MIT"), Some(true));
        assert_eq!(defines("libown.so.1", &Packages::new(), "OWN_1"), None);
        assert_eq!(defined("libcurl.so.4", &Packages::new()).unwrap(), Some(Vec::new()));
    }

    #[test]
    fn every_entry_of_the_table_can_be_judged() {
        let table = LIBRARIES.as_ref().unwrap();
        let mut sonames = std::collections::BTreeSet::new();
        for library in &table.libraries {
            assert_eq!(
                library.package.is_some(),
                !library.from_name.is_empty() || !library.since.is_empty(),
                "{:?}",
                library.sonames
            );
            for soname in &library.sonames {
                assert!(sonames.insert(soname), "{soname} is there twice");
            }
            let releases = library.from_name.iter().map(|name| family(name).1.unwrap());
            for release in releases.chain(library.since.values().map(String::as_str)) {
                assert!(numbers(release).is_some(), "{release}");
            }
        }
    }
}
