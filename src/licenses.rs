//! Licenses by their SPDX expressions, and the names that packages have for them. The knowledge is in `rules/licenses.toml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use globset::{Glob, GlobMatcher};
use serde::{Deserialize, Serialize};
use spdx::{Expression, ParseMode};

/// No expression that a person writes is longer, in bytes.
const LONGEST: usize = 1000;

static DATA: LazyLock<Result<Data, String>> = LazyLock::new(|| {
    let data: Form = toml::from_str(include_str!("../rules/licenses.toml")).map_err(|error| error.to_string())?;
    let names = data
        .names
        .into_iter()
        .map(|(name, license)| (name.to_lowercase(), license));
    let mut libraries = Vec::new();
    for library in data.library {
        for glob in library.sonames {
            let glob = Glob::new(&glob).map_err(|error| error.to_string())?;
            libraries.push((glob.compile_matcher(), library.license.clone()));
        }
    }
    Ok(Data {
        names: names.collect(),
        libraries,
    })
});

struct Data {
    names: BTreeMap<String, String>,
    libraries: Vec<(GlobMatcher, String)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    names: BTreeMap<String, String>,
    library: Vec<Library>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Library {
    sonames: Vec<String>,
    license: String,
    #[serde(rename = "source")]
    _source: String,
}

/// The license of something, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct License {
    /// What the metadata say, in their own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<String>,
    /// That as an SPDX expression, where it is one or has a known name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
}

impl License {
    /// A license by what the metadata say.
    pub fn declared(text: &str) -> Self {
        Self {
            declared: Some(text.to_owned()),
            expression: expression(text),
        }
    }
}

/// A license as an SPDX expression: a text that is one, also with operators as people write them, or that is a known name.
/// `None` for any other text: nothing is guessed.
pub fn expression(text: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() || text.len() > LONGEST {
        return None;
    }
    if let Some(known) = DATA.as_ref().ok().and_then(|data| data.names.get(&text.to_lowercase())) {
        return Some(known.clone());
    }
    // A slash is the old way to write OR; operators are written in capitals (SPDX specification, annex "SPDX License
    // Expressions"; Cargo's and npm's older metadata).
    let words = text.replace('/', " OR ");
    let words: Vec<&str> = words
        .split_whitespace()
        .map(|word| match word {
            "or" | "Or" => "OR",
            "and" | "And" => "AND",
            "with" | "With" => "WITH",
            word => word,
        })
        .collect();
    let mended = words.join(" ");
    is_expression(&mended).then_some(mended)
}

/// Whether a text is an SPDX expression, with identifiers of the license list alone.
fn is_expression(text: &str) -> bool {
    Expression::parse_mode(text, ParseMode::STRICT).is_ok()
}

/// The license of a library that is known by its name.
pub fn of_library(soname: &str) -> Option<&'static str> {
    let data = DATA.as_ref().ok()?;
    let known = data.libraries.iter().find(|(glob, _)| glob.is_match(soname));
    known.map(|(_, license)| license.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_hold_expressions_alone() {
        let data = DATA.as_ref().unwrap();
        let libraries = data.libraries.iter().map(|(_, license)| license);
        for license in data.names.values().chain(libraries) {
            assert!(is_expression(license), "{license}");
        }
        assert_eq!(of_library("libreadline.so.8"), Some("GPL-3.0-or-later"));
        assert_eq!(
            of_library("libgfortran.so.5"),
            Some("GPL-3.0-or-later WITH GCC-exception-3.1")
        );
        assert_eq!(of_library("libown.so.1"), None);
    }

    #[test]
    fn texts_become_expressions_where_they_can() {
        for (text, expected) in [
            ("MIT", Some("MIT")),
            ("MIT OR Apache-2.0", Some("MIT OR Apache-2.0")),
            ("MIT/Apache-2.0", Some("MIT OR Apache-2.0")),
            ("BSD 3-Clause License", Some("BSD-3-Clause")),
            ("MIT and ISC", Some("MIT AND ISC")),
            ("BSD", None),
            ("the mit license (mit)", Some("MIT")),
            (
                "GPL-3.0-or-later WITH GCC-exception-3.1",
                Some("GPL-3.0-or-later WITH GCC-exception-3.1"),
            ),
            ("Part of R 4.2.2", None),
            ("SEE LICENSE IN LICENSE.txt", None),
            ("", None),
        ] {
            assert_eq!(expression(text).as_deref(), expected, "{text}");
        }
        assert_eq!(expression(&"MIT AND ".repeat(200)), None);
    }
}
