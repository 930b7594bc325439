//! Rules: which files of a tree may go, why, and what stops working without them. The data lies in `rules/*.toml`.

mod matcher;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use matcher::{Matcher, Overrides};

/// The rule files that are built in, by name.
const BUILT_IN: [(&str, &str); 2] = [
    ("rules/unix.toml", include_str!("../../rules/unix.toml")),
    ("rules/r.toml", include_str!("../../rules/r.toml")),
];

/// Where the paths of a rule begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Anchor {
    /// The root of the tree.
    Tree,
    /// Each folder that R calls `R_HOME`.
    RHome,
    /// The folder of each installed R package.
    RPackage,
}

/// One rule.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The name by which it is switched on and off and named in reports.
    pub id: String,
    /// What it takes, in a line.
    pub title: String,
    /// The kind of files; a name by which all rules of a kind are switched on and off.
    pub category: String,
    /// Whether it is on unless switched off.
    pub default: bool,
    /// Where its paths begin.
    pub anchor: Anchor,
    /// Globs of what it takes. A folder is taken with all that it holds; `*` does not cross a `/`, `**` does.
    pub paths: Vec<String>,
    /// Globs of what it does not take.
    #[serde(default)]
    pub except: Vec<String>,
    /// What stops working without the files.
    pub breaks: String,
    /// Where the knowledge comes from.
    pub source: String,
}

/// Why rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// A rule file that cannot be read.
    #[error("cannot read the rules: {0}")]
    Read(#[from] std::io::Error),
    /// A rule file that does not parse.
    #[error("{file}: {reason}")]
    Parse {
        /// The file.
        file: String,
        /// What is wrong, with line and column.
        reason: String,
    },
    /// Two rules of one name.
    #[error("{file}: there is already a rule '{id}'; give this one another id")]
    Duplicate {
        /// The file of the second one.
        file: String,
        /// The name.
        id: String,
    },
    /// A glob that does not parse.
    #[error("'{glob}' is not a glob: {reason}")]
    Glob {
        /// The glob as written.
        glob: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A name on the command line that no rule has.
    #[error("there is no rule or category '{name}'; rules: {ids}; categories: {categories}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// Every rule.
        ids: String,
        /// Every category.
        categories: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    pack: Pack,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pack {
    #[serde(rename = "id")]
    _id: String,
    #[serde(rename = "title")]
    _title: String,
    #[serde(default)]
    except: Vec<String>,
}

/// Every rule that is known, in the order in which they apply, each with whether it is on.
#[derive(Debug, Clone)]
pub struct RuleSet {
    rules: Vec<(Rule, bool)>,
}

impl RuleSet {
    /// The built-in rules, each on or off by its default.
    pub fn built_in() -> Result<Self, RuleError> {
        let mut set = Self { rules: Vec::new() };
        for (file, text) in BUILT_IN {
            set.add(file, text)?;
        }
        Ok(set)
    }

    /// Adds the rules of a user's file behind those that are there.
    pub fn add_file(&mut self, path: &Path) -> Result<(), RuleError> {
        let text = fs_err::read_to_string(path)?;
        self.add(&path.display().to_string(), &text)
    }

    fn add(&mut self, file: &str, text: &str) -> Result<(), RuleError> {
        let parsed: RuleFile = toml::from_str(text).map_err(|error| RuleError::Parse {
            file: file.to_owned(),
            reason: error.to_string(),
        })?;
        for mut rule in parsed.rules {
            if self.rules.iter().any(|(known, _)| known.id == rule.id) {
                return Err(RuleError::Duplicate {
                    file: file.to_owned(),
                    id: rule.id,
                });
            }
            rule.except.extend(parsed.pack.except.iter().cloned());
            let on = rule.default;
            self.rules.push((rule, on));
        }
        Ok(())
    }

    /// Switches a rule, or all rules of a category, on or off.
    pub fn switch(&mut self, name: &str, on: bool) -> Result<(), RuleError> {
        let mut found = false;
        for (rule, state) in &mut self.rules {
            if rule.id == name || rule.category == name {
                *state = on;
                found = true;
            }
        }
        if found {
            return Ok(());
        }
        let joined = |names: BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join(", ");
        Err(RuleError::Unknown {
            name: name.to_owned(),
            ids: joined(self.rules.iter().map(|(rule, _)| rule.id.as_str()).collect()),
            categories: joined(self.rules.iter().map(|(rule, _)| rule.category.as_str()).collect()),
        })
    }

    /// The rules with whether each is on, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Rule, bool)> {
        self.rules.iter().map(|(rule, on)| (rule, *on))
    }
}

/// What a user asks of the rules on the command line.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Rule files to add.
    pub files: Vec<PathBuf>,
    /// Rules or categories to switch on.
    pub enable: Vec<String>,
    /// Rules or categories to switch off; this wins over `enable`.
    pub disable: Vec<String>,
}

impl Selection {
    /// The rules with everything in the selection carried out.
    pub fn rules(&self) -> Result<RuleSet, RuleError> {
        let mut rules = RuleSet::built_in()?;
        for file in &self.files {
            rules.add_file(file)?;
        }
        for name in &self.enable {
            rules.switch(name, true)?;
        }
        for name in &self.disable {
            rules.switch(name, false)?;
        }
        Ok(rules)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_rules_are_complete() {
        let rules = RuleSet::built_in().unwrap();
        for (rule, _) in rules.iter() {
            assert!(
                !rule.title.is_empty() && !rule.breaks.is_empty() && !rule.source.is_empty(),
                "{}",
                rule.id
            );
            assert!(!rule.paths.is_empty(), "{}", rule.id);
        }
    }

    #[test]
    fn unknown_keys_and_names_are_refused() {
        let mut rules = RuleSet::built_in().unwrap();
        let error = rules
            .add("my.toml", "[pack]\nid='x'\ntitle='x'\n[[rules]]\nidd='x'\n")
            .unwrap_err();
        assert!(error.to_string().contains("line 5"), "{error}");
        let error = rules.switch("nothing", true).unwrap_err().to_string();
        assert!(error.contains("r-tcltk") && error.contains("translations"), "{error}");
        rules.switch("docs", false).unwrap();
        assert!(rules.iter().all(|(rule, on)| on == (rule.category != "docs")));
    }
}
