//! The knowledge in `rules/publish.toml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::runtime::Arch;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Data {
    pub(super) shown: Shown,
    pub(super) errors: Vec<KnownError>,
    pub(super) snippets: BTreeMap<String, Template>,
}

/// Which lines of the aws tool may be shown.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shown {
    pub(super) beginnings: Vec<String>,
    #[serde(rename = "source")]
    _source: String,
}

/// An error with its cure.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KnownError {
    pub(super) words: Vec<String>,
    pub(super) help: String,
    /// AWS's words, by which a test sees that the entry is found.
    #[cfg_attr(not(test), expect(dead_code))]
    pub(super) example: String,
    #[serde(rename = "source")]
    _source: String,
}

/// What to write where a function is described.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Template {
    pub(super) text: String,
    /// What the architectures are called there.
    pub(super) arch: BTreeMap<Arch, String>,
    #[serde(rename = "source")]
    _source: String,
}

fn parse() -> Result<Data, toml::de::Error> {
    toml::from_str(include_str!("../../rules/publish.toml"))
}

/// The data. It is built in and parses, as a test shows; were it empty, no runtime would be named and no line shown.
pub(super) static DATA: LazyLock<Data> = LazyLock::new(|| parse().unwrap_or_default());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_parses_and_is_complete() {
        let data = parse().unwrap();
        for error in &data.errors {
            assert!(!error.help.is_empty() && !error.words.is_empty(), "{error:?}");
        }
        for (name, template) in &data.snippets {
            assert!(template.text.contains("{arn}"), "{name}");
            assert!(Arch::ALL.iter().all(|arch| template.arch.contains_key(arch)), "{name}");
        }
    }
}
