//! `lambdar-prune.toml`: what a project wants of every run. The command line beats it.
//!
//! Each concern of the program has its section in [`Config`] and its keys in one table of the file. A key that no section
//! reads is an error.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use crate::gate::file::{BudgetTable, CheckTable};
use crate::gate::{self, Policy};
use crate::open;
use crate::progress::Silent;
use crate::rules::RuleSelection;
use crate::rules::file::{RuleTable, check_tables, checked_globs};
use crate::toml_file::{TomlError, TomlFile, keys};

/// The file that is read from the working directory where none is named.
pub const DEFAULT_NAME: &str = "lambdar-prune.toml";

/// What the file says, section by section. Without a file nothing is said.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// What goes and what stays: `enable`, `disable`, `keep`, `drop`, `r-packages` and `[[rules]]`, at the top of the file.
    pub selection: RuleSelection,
    /// What layers have to get through: `[check]` and `[[budget]]`.
    pub policy: Policy,
    /// Variables of the function's environment: `[env]`.
    pub environment: BTreeMap<String, String>,
}

/// The keys of the file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Keys {
    #[serde(default)]
    enable: Vec<String>,
    #[serde(default)]
    disable: Vec<String>,
    #[serde(default)]
    keep: Vec<Spanned<String>>,
    #[serde(default)]
    drop: Vec<Spanned<String>>,
    r_packages: Option<Vec<String>>,
    #[serde(default)]
    rules: Vec<RuleTable>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    check: CheckTable,
    #[serde(default)]
    budget: Vec<Spanned<BudgetTable>>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read the configuration: {0}")]
    Read(#[from] std::io::Error),
    /// It says something that it cannot say.
    #[error(transparent)]
    Toml(#[from] TomlError),
}

impl Config {
    /// Reads the file that is named; else the one with the default name if there is one; else nothing.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let (path, text) = match file {
            Some(path) => (path, open::named_text(path, &Silent)?),
            None => match open::read_regular_text(Path::new(DEFAULT_NAME)) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
                text => (Path::new(DEFAULT_NAME), text?),
            },
        };
        Ok(Self::parse(&path.display().to_string(), &text)?)
    }

    /// Whether a file is a configuration and not a rule file, which can have `[pack]` and `[[rules]]` alone.
    pub fn is_meant(name: &str, text: &str) -> Result<bool, TomlError> {
        let file = TomlFile::parse(name, text)?;
        let is_default = Path::new(name)
            .file_name()
            .is_some_and(|file_name| file_name == DEFAULT_NAME);
        Ok(is_default || keys::<Keys>().iter().any(|key| *key != "rules" && file.has(key)))
    }

    /// What a file of that name and text says.
    pub fn parse(name: &str, text: &str) -> Result<Self, TomlError> {
        let file = TomlFile::parse(name, text)?;
        file.only_keys_of::<Keys>(&[])?;
        check_tables(&file)?;
        gate::file::check_tables(&file)?;
        let keys: Keys = file.read()?;
        let rules = keys
            .rules
            .into_iter()
            .map(|table| table.into_rule(&file, name, &[]))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            selection: RuleSelection {
                file: Some(name.to_owned()),
                rules,
                enable: keys.enable,
                disable: keys.disable,
                keep: checked_globs(&file, keys.keep)?,
                drop: checked_globs(&file, keys.drop)?,
                r_packages: keys.r_packages,
            },
            environment: keys.env,
            policy: gate::file::policy(&file, name, keys.check, keys.budget)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read_and_no_other() {
        let config = Config::parse(
            "lambdar-prune.toml",
            "enable = ['tests']\ndisable = ['docs']\nkeep = ['a/**']\ndrop = ['b']\nr-packages = ['stats']\n\
             [[rules]]\nid = 'mine'\ntitle = 't'\ncategory = 'caches'\npaths = ['c']\nbreaks = 'b'\nsource = 's'\n[env]\nLD_LIBRARY_PATH = '/opt/x'\n",
        )
        .unwrap();
        assert_eq!(config.environment["LD_LIBRARY_PATH"], "/opt/x");
        let selection = config.selection;
        assert_eq!(selection.enable, ["tests"]);
        assert_eq!(selection.disable, ["docs"]);
        assert_eq!(selection.keep, ["a/**"]);
        assert_eq!(selection.drop, ["b"]);
        assert_eq!(selection.r_packages, Some(vec!["stats".to_owned()]));
        assert_eq!(selection.rules[0].id, "mine");
        assert_eq!(selection.rules[0].pack, "lambdar-prune.toml");
        for (text, expected) in [
            (
                "kepe = []\n",
                "c.toml:1:1: unknown key 'kepe'; did you mean 'keep'? \
                 (known here: enable, disable, keep, drop, r-packages, rules, env, check, budget)",
            ),
            (
                "keep = ['x', '/opt/x']\n",
                "c.toml:1:14: '/opt/x' is not a glob for paths in a tree: it begins with '/' or has an empty name; paths are relative",
            ),
            (
                "drop = 'x'\n",
                "c.toml:1:8: invalid type: string \"x\", expected a sequence",
            ),
        ] {
            let error = Config::parse("c.toml", text).unwrap_err().to_string();
            assert_eq!(error, expected);
        }
    }
}
