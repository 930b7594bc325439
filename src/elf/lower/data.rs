//! Which symbols of glibc can be asked for in an older version (`rules/symbols.toml`).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::Machine;

const TEXT: &str = include_str!("../../../rules/symbols.toml");

/// What is known of glibc's symbols that came with a newer release.
#[derive(Debug)]
pub struct OlderSymbols {
    /// By library, version and symbol.
    older: BTreeMap<(String, String, String), Older>,
    /// By version and symbol; an empty symbol stands for all.
    refused: BTreeMap<(String, String), String>,
}

/// An older function of the same calling convention that does the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Older {
    /// Its name.
    pub symbol: String,
    /// Its version.
    pub version: String,
    /// What the newer one does otherwise.
    pub differs: String,
}

/// `rules/symbols.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    older: Vec<OlderData>,
    refused: Vec<RefusedData>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OlderData {
    library: String,
    version: String,
    names: Vec<String>,
    x86_64: String,
    arm64: String,
    differs: String,
    #[serde(rename = "source")]
    _source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RefusedData {
    version: String,
    #[serde(default)]
    names: Vec<String>,
    reason: String,
    #[serde(rename = "source")]
    _source: String,
}

impl OlderSymbols {
    /// What is known for a machine. Empty only if the built-in file were broken, which a test rules out.
    pub fn built_in(machine: Machine) -> Self {
        let data = toml::from_str(TEXT).unwrap_or(Data {
            older: Vec::new(),
            refused: Vec::new(),
        });
        Self::new(data, machine)
    }

    fn new(data: Data, machine: Machine) -> Self {
        let mut older = BTreeMap::new();
        for entry in data.older {
            let version = match machine {
                Machine::X86_64 => entry.x86_64,
                Machine::Aarch64 => entry.arm64,
                Machine::Other(_) => continue,
            };
            for names in &entry.names {
                let (newer, name) = names.split_once(' ').unwrap_or((names, names));
                let found = Older {
                    symbol: name.to_owned(),
                    version: version.clone(),
                    differs: entry.differs.clone(),
                };
                older.insert((entry.library.clone(), entry.version.clone(), newer.to_owned()), found);
            }
        }
        let mut refused = BTreeMap::new();
        for entry in data.refused {
            let names = if entry.names.is_empty() {
                vec![String::new()]
            } else {
                entry.names
            };
            for name in names {
                refused.insert((entry.version.clone(), name), entry.reason.clone());
            }
        }
        Self { older, refused }
    }

    /// The older function for a symbol of a version of a library.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn older(&self, library: &str, version: &str, symbol: &str) -> Result<&Older, String> {
        let key = (library.to_owned(), version.to_owned(), symbol.to_owned());
        let why_not = || match self.refusal(version, symbol) {
            Some(reason) => reason.to_owned(),
            None => format!("it came with {version}, and no older function does the same"),
        };
        self.older.get(&key).ok_or_else(why_not)
    }

    /// Whether a library is known to have a version, because older functions have it.
    pub(super) fn is_older(&self, library: &str, version: &str) -> bool {
        let mut older = self.older.iter();
        older.any(|((known, ..), older)| known == library && older.version == version)
    }

    /// Why an object cannot do without a version that none of its symbols asks for: such a version tells the loader that
    /// there is something in the object which it has to understand. `None` for a release, which says no more than that.
    pub(super) fn refusal_of_version(&self, version: &str) -> Option<String> {
        let number = version.strip_prefix("GLIBC_").unwrap_or_default();
        let is_release = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let unknown = || "what it stands for is not known".to_owned();
        (!is_release).then(|| self.refusal(version, "").map_or_else(unknown, ToOwned::to_owned))
    }

    fn refusal(&self, version: &str, symbol: &str) -> Option<&str> {
        let reason = |symbol: &str| self.refused.get(&(version.to_owned(), symbol.to_owned()));
        reason(symbol).or_else(|| reason("")).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(version: &str) -> Vec<u32> {
        let numbers = version.strip_prefix("GLIBC_").unwrap().split('.');
        numbers.map(|number| number.parse().unwrap()).collect()
    }

    #[test]
    fn every_replacement_is_older_than_what_it_replaces() {
        let data: Data = toml::from_str(TEXT).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for entry in &data.older {
            for older in [&entry.x86_64, &entry.arm64] {
                assert!(number(older) < number(&entry.version), "{:?}", entry.names);
            }
            // glibc's port to 64-bit ARM began with 2.17: nothing there is older.
            assert!(number(&entry.arm64) >= number("GLIBC_2.17"), "{:?}", entry.names);
            for names in &entry.names {
                let newer = names.split(' ').next().unwrap();
                assert!(seen.insert((&entry.library, &entry.version, newer)), "{newer} twice");
            }
        }
        for entry in &data.refused {
            for name in &entry.names {
                let is_older = data.older.iter().any(|older| {
                    older.version == entry.version
                        && older.names.iter().any(|names| names.split(' ').next() == Some(name))
                });
                assert!(!is_older, "{name} is both replaced and refused");
            }
        }
    }

    #[test]
    fn a_symbol_has_an_older_one_or_a_reason() {
        let symbols = OlderSymbols::built_in(Machine::X86_64);
        let older = |library, version, symbol| symbols.older(library, version, symbol);
        let hypot = older("libm.so.6", "GLIBC_2.35", "hypot").unwrap();
        assert_eq!(
            (hypot.symbol.as_str(), hypot.version.as_str()),
            ("hypot", "GLIBC_2.2.5")
        );
        let scan = older("libc.so.6", "GLIBC_2.38", "__isoc23_sscanf").unwrap();
        assert_eq!(
            (scan.symbol.as_str(), scan.version.as_str()),
            ("__isoc99_sscanf", "GLIBC_2.7")
        );
        let reason = |version, symbol| older("libc.so.6", version, symbol).unwrap_err();
        assert!(reason("GLIBC_2.34", "dlopen").contains("libdl"));
        assert!(reason("GLIBC_2.38", "strlcpy").contains("no older release"));
        assert_eq!(
            reason("GLIBC_2.41", "cospi"),
            "it came with GLIBC_2.41, and no older function does the same"
        );
        let refusal = |version| symbols.refusal_of_version(version);
        assert!(refusal("GLIBC_ABI_DT_RELR").unwrap().contains("pack-relative-relocs"));
        assert!(refusal("GLIBC_ABI_ANYTHING").is_some() && refusal("GLIBCXX_3.4.33").is_some());
        assert!(refusal("GLIBC_2.38").is_none() && refusal("GLIBC_2.34").is_none());
        let arm = OlderSymbols::built_in(Machine::Aarch64);
        assert_eq!(
            arm.older("libm.so.6", "GLIBC_2.35", "hypot").unwrap().version,
            "GLIBC_2.17"
        );
    }
}
