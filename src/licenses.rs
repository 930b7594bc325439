//! Licenses by their SPDX expressions, and the names that packages have for them. The knowledge is in `rules/licenses.toml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use globset::{Glob, GlobMatcher};
use serde::{Deserialize, Serialize};
use spdx::error::ParseError;
use spdx::identifiers::{EXCEPTIONS, LICENSES};
use spdx::{Expression, ParseMode};

/// No expression that a person writes is longer, in bytes.
const LONGEST: usize = 1000;

static DATA: LazyLock<Result<Data, String>> = LazyLock::new(|| {
    let data: LicensesFile =
        toml::from_str(include_str!("../rules/licenses.toml")).map_err(|error| error.to_string())?;
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
struct LicensesFile {
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
    // A slash is the old way to write OR (Cargo's and npm's older metadata).
    let words = text.replace('/', " OR ");
    let words: Vec<String> = words.split_whitespace().map(word).collect();
    let mended = words.join(" ");
    parse(&mended).is_ok().then_some(mended)
}

/// A word of an expression, with its brackets, as the license list writes it: operators in capitals, identifiers in its spelling,
/// which is compared without regard to case (SPDX specification, annex "SPDX License Expressions").
fn word(text: &str) -> String {
    let is_bracket = |c: char| "()".contains(c);
    let bare = text.trim_matches(is_bracket);
    if ["OR", "AND", "WITH"].contains(&bare.to_uppercase().as_str()) {
        return text.to_uppercase();
    }
    if bare.is_empty() {
        return text.to_owned();
    }
    text.replacen(bare, &identifier(bare), 1)
}

/// A license or an exception in the spelling of the list. Names of GNU licenses that do not tell whether a later version may be
/// chosen were replaced in version 3.0 of the list; as far as they can be told, they are the new names.
fn identifier(text: &str) -> String {
    let plain = text.trim_end_matches('+');
    let license = LICENSES
        .iter()
        .map(|license| license.name)
        .find(|name| name.eq_ignore_ascii_case(plain));
    if let Some(name) = license {
        let plus = &text[plain.len()..];
        let of_gnu = spdx::license_id(name)
            .filter(|license| license.is_deprecated())
            .and_then(|_| spdx::gnu_license_id(name, !plus.is_empty()));
        return match of_gnu {
            Some(new) => new.name.to_owned(),
            None => format!("{name}{plus}"),
        };
    }
    let mut exceptions = EXCEPTIONS.iter().map(|exception| exception.name);
    if let Some(name) = exceptions.find(|name| name.eq_ignore_ascii_case(text)) {
        return name.to_owned();
    }
    let known = DATA.as_ref().ok().and_then(|data| data.names.get(&text.to_lowercase()));
    known.cloned().unwrap_or_else(|| text.to_owned())
}

/// Reads an SPDX expression, with identifiers of the license list alone.
///
/// # Errors
///
/// What is not one.
pub fn parse(text: &str) -> Result<Expression, ParseError> {
    let mode = ParseMode {
        allow_deprecated: true,
        ..ParseMode::STRICT
    };
    Expression::parse_mode(text, mode)
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
            assert!(parse(license).is_ok(), "{license}");
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
            ("mit", Some("MIT")),
            ("gpl-3.0-only oR apache-2.0", Some("GPL-3.0-only OR Apache-2.0")),
            ("(MIT or GPL-3.0)", Some("(MIT OR GPL-3.0-only)")),
            ("LGPL-2.1+ AND ((ISC))", Some("LGPL-2.1-or-later AND ((ISC))")),
            (
                "GPL-2.0-with-classpath-exception",
                Some("GPL-2.0-only WITH Classpath-exception-2.0"),
            ),
            (
                "gpl-2.0-or-later with classpath-exception-2.0",
                Some("GPL-2.0-or-later WITH Classpath-exception-2.0"),
            ),
            ("Apache-2.0+", Some("Apache-2.0+")),
            ("Net-SNMP", Some("Net-SNMP")),
            ("LicenseRef-Mine", Some("LicenseRef-Mine")),
            ("MIT OR", None),
            ("()", None),
            ("Part of R 4.2.2", None),
            ("SEE LICENSE IN LICENSE.txt", None),
            ("", None),
        ] {
            assert_eq!(expression(text).as_deref(), expected, "{text}");
        }
        assert_eq!(expression(&"MIT AND ".repeat(200)), None);
    }
}
