//! Rules as they are written in TOML files.

use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::globs::glob_error;
use super::{Anchor, Rule, RuleError};
use crate::open;
use crate::progress::Silent;
use crate::toml_file::{TomlError, TomlFile};

/// The keys of a rule file.
#[derive(Debug, Deserialize)]
struct RuleFile {
    pack: Option<Pack>,
    #[serde(default)]
    rules: Vec<RuleTable>,
}

/// What holds for all rules of a file.
#[derive(Debug, Default, Deserialize)]
struct Pack {
    id: String,
    #[serde(rename = "title")]
    _title: String,
    #[serde(default)]
    except: Vec<Spanned<String>>,
}

/// One `[[rules]]` table.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct RuleTable {
    id: Spanned<String>,
    title: String,
    category: String,
    #[serde(default = "yes")]
    default: bool,
    #[serde(default)]
    anchor: Anchor,
    when_shadowed: Option<Spanned<String>>,
    #[serde(default)]
    contains: Vec<String>,
    provided_with: Option<String>,
    paths: Vec<Spanned<String>>,
    #[serde(default)]
    except: Vec<Spanned<String>>,
    #[serde(default = "yes")]
    pack_except: bool,
    breaks: String,
    source: String,
}

fn yes() -> bool {
    true
}

/// The rules of a rule file: `[pack]`, which may be left out, and `[[rules]]`.
pub(super) fn rules_of(name: &str, text: &str) -> Result<Vec<Rule>, TomlError> {
    let file = TomlFile::parse(name, text)?;
    file.only_keys_of::<RuleFile>(&[])?;
    file.only_keys_of::<Pack>(&["pack"])?;
    check_tables(&file)?;
    let parsed: RuleFile = file.read()?;
    let pack = parsed.pack.unwrap_or_default();
    let pack_name = if pack.id.is_empty() { name } else { &pack.id };
    let except = checked_globs(&file, pack.except)?;
    parsed
        .rules
        .into_iter()
        .map(|table| table.into_rule(&file, pack_name, &except))
        .collect()
}

/// Fails where a `[[rules]]` table of a file has a key that is not a rule's.
pub(crate) fn check_tables(file: &TomlFile<'_>) -> Result<(), TomlError> {
    file.only_keys_of::<RuleTable>(&["rules"])
}

/// The rules of a user's file.
pub fn read_rules(path: &Path) -> Result<Vec<Rule>, RuleError> {
    let text = open::named_text(path, &Silent)?;
    Ok(rules_of(&path.display().to_string(), &text)?)
}

impl RuleTable {
    /// The rule, if all that it says makes sense. `pack` is what the rule says it comes from.
    pub(crate) fn into_rule(self, file: &TomlFile<'_>, pack: &str, pack_except: &[String]) -> Result<Rule, TomlError> {
        let place = self.id.span();
        let id = self.id.into_inner();
        let plain = |name: &str| {
            !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        };
        for (what, name) in [("id", &id), ("category", &self.category)] {
            if !plain(name) {
                return Err(file.error(
                    place,
                    format!("{what} '{name}' cannot be a name; use small letters, digits and '-'"),
                ));
            }
        }
        for (what, text) in [
            ("title", &self.title),
            ("breaks", &self.breaks),
            ("source", &self.source),
        ] {
            if text.trim().is_empty() {
                return Err(file.error(
                    place,
                    format!("rule '{id}' has an empty {what}; a rule says why it is there"),
                ));
            }
        }
        if self.paths.is_empty() {
            return Err(file.error(
                place,
                format!("rule '{id}' has no paths, so it can never take anything"),
            ));
        }
        let when_shadowed = checked_globs(file, self.when_shadowed.into_iter().collect())?.pop();
        let paths = checked_globs(file, self.paths)?;
        let mut except = checked_globs(file, self.except)?;
        if self.pack_except {
            except.extend(pack_except.iter().cloned());
        }
        Ok(Rule {
            id,
            title: self.title,
            category: self.category,
            default: self.default,
            anchor: self.anchor,
            when_shadowed,
            contains: self.contains,
            provided_with: self.provided_with,
            paths,
            except,
            breaks: self.breaks,
            source: self.source,
            pack: pack.to_owned(),
        })
    }
}

/// The texts of globs that can match something.
pub(crate) fn checked_globs(file: &TomlFile<'_>, globs: Vec<Spanned<String>>) -> Result<Vec<String>, TomlError> {
    globs
        .into_iter()
        .map(|glob| match glob_error(glob.get_ref()) {
            Some(reason) => Err(file.error(
                glob.span(),
                format!("'{}' is not a glob for paths in a tree: {reason}", glob.get_ref()),
            )),
            None => Ok(glob.into_inner()),
        })
        .collect()
}
