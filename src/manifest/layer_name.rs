//! The name of a layer that a project gives it, such as `R` or `subsystem`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::directory::is_number_name;

/// The most characters of a name. AWS allows 140 for the whole ARN, of which its beginning takes up to about 60.
pub(crate) const MOST_CHARACTERS: usize = 64;

/// The name of a layer, on AWS and, with `.zip`, in the output directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LayerName(String);

/// Error of [`LayerName::from_str`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{}' is not a name for a layer: {reason}", crate::tree::path::escaped(.name.as_bytes()))]
pub struct LayerNameError {
    name: String,
    reason: String,
}

impl LayerName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of its zip in the output directory.
    pub fn file(&self) -> String {
        format!("{}.zip", self.0)
    }

    /// Whether both would be the same file on a file system that ignores case.
    pub fn is_like(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl fmt::Display for LayerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LayerName {
    type Err = LayerNameError;

    fn from_str(name: &str) -> Result<Self, LayerNameError> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        let reason = if name.is_empty() {
            "it is empty".to_owned()
        } else if !name.chars().all(is_allowed) {
            "use letters, digits, - and _, as AWS does".to_owned()
        } else if name.starts_with('-') {
            "it begins with -, which the aws tool takes for an option".to_owned()
        } else if name.len() > MOST_CHARACTERS {
            format!("it has {} characters; use at most {MOST_CHARACTERS}", name.len())
        } else if is_number_name(&name.to_ascii_lowercase()) {
            "layers without a name are called so; use another one".to_owned()
        } else {
            return Ok(Self(name.to_owned()));
        };
        Err(LayerNameError {
            name: name.to_owned(),
            reason,
        })
    }
}

impl TryFrom<String> for LayerName {
    type Error = LayerNameError;

    fn try_from(name: String) -> Result<Self, LayerNameError> {
        name.parse()
    }
}

impl From<LayerName> for String {
    fn from(name: LayerName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_aws_and_a_directory_can_have() {
        let longest = "x".repeat(64);
        for (name, expected) in [
            ("R", true),
            ("subsystem", true),
            ("my-layer_2", true),
            (longest.as_str(), true),
            ("layers", true),
            ("layer-x", true),
            ("", false),
            ("..", false),
            ("a/b", false),
            ("R.zip", false),
            ("-R", false),
            ("é", false),
            ("layer-1", false),
            ("Layer-12", false),
        ] {
            assert_eq!(name.parse::<LayerName>().is_ok(), expected, "{name}");
        }
        assert!("x".repeat(65).parse::<LayerName>().is_err());
        assert!(serde_json::from_str::<LayerName>("\"../x\"").is_err());
        assert_eq!("R".parse::<LayerName>().unwrap().file(), "R.zip");
    }
}
