//! The names that glibc's libraries define, where a runtime's own are not recorded.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::{Runtime, numbers};

/// The file says what its lines are.
const NAMES: &str = include_str!("../../rules/runtimes/glibc-symbols.txt");

/// For each name the version of glibc that it came with.
static SINCE: LazyLock<HashMap<&'static str, Vec<u32>>> = LazyLock::new(|| {
    NAMES
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .flat_map(|(version, names)| {
            let since = numbers(version).unwrap_or_default();
            names.split(' ').map(move |name| (name, since.clone()))
        })
        .collect()
});

/// The libraries of glibc, without what follows `.so`.
const LIBRARIES: [&str; 18] = [
    "ld-linux-x86-64",
    "ld-linux-aarch64",
    "libBrokenLocale",
    "libSegFault",
    "libanl",
    "libc",
    "libc_malloc_debug",
    "libdl",
    "libm",
    "libmvec",
    "libnsl",
    "libnss_compat",
    "libnss_dns",
    "libnss_files",
    "libpthread",
    "libresolv",
    "librt",
    "libutil",
];

/// Whether a file name is that of one of glibc's libraries.
pub(super) fn is_library(file_name: &str) -> bool {
    file_name
        .split_once(".so")
        .is_some_and(|(name, _)| LIBRARIES.contains(&name))
}

impl Runtime {
    /// Whether glibc of this runtime's version defines a symbol, in whatever library of it.
    pub fn glibc_defines(&self, symbol: &str) -> bool {
        let newest = self.highest_versions.get("GLIBC").and_then(|version| numbers(version));
        match (SINCE.get(symbol), newest) {
            (Some(since), Some(newest)) => *since <= newest,
            // Of a glibc of which not even the version is known everything may be expected.
            (_, None) => true,
            (None, Some(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Arch, DEFAULT};

    #[test]
    fn glibc_defines_what_its_version_has() {
        let new = Runtime::load(DEFAULT, Arch::X86_64).unwrap();
        let old = Runtime::load("nodejs16.x", Arch::X86_64).unwrap();
        // getrandom came with 2.25, pidfd_open with 2.36 (the NEWS file of glibc).
        assert!(new.glibc_defines("printf") && new.glibc_defines("sin") && old.glibc_defines("getrandom"));
        assert!(!new.glibc_defines("pidfd_open") && !new.glibc_defines("foo_v2"));
        assert!(is_library("libc.so.6") && is_library("libm.so.6") && !is_library("libcrypto.so.3"));
    }
}
