//! Rules: which files of a tree may go, why, and what stops working without them. The data is in `rules/*.toml`.

mod anchored;
pub(crate) mod file;
mod globs;
mod matcher;
mod platforms;
mod provided;
pub mod unused;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use file::read_rules;
pub(crate) use globs::set_of as path_globs;
pub use matcher::Matcher;

pub use crate::languages::PackageSelection;
use crate::languages::PackageSelectionError;
use crate::languages::{self, LanguageAnchor};
use crate::nearest::suggestion;
use crate::toml_file::TomlError;
use unused::Evidence;

/// The rule files that are built in, by name, in the order in which they apply.
const RULE_FILES: [(&str, &str); 9] = [
    ("rules/unused.toml", include_str!("../../rules/unused.toml")),
    ("rules/unix.toml", include_str!("../../rules/unix.toml")),
    ("rules/r.toml", include_str!("../../rules/r.toml")),
    ("rules/python.toml", include_str!("../../rules/python.toml")),
    ("rules/node.toml", include_str!("../../rules/node.toml")),
    ("rules/ruby.toml", include_str!("../../rules/ruby.toml")),
    ("rules/shadowed.toml", include_str!("../../rules/shadowed.toml")),
    ("rules/provided.toml", include_str!("../../rules/provided.toml")),
    ("rules/other.toml", include_str!("../../rules/other.toml")),
];

/// SHA-256 of the built-in rules: of the names and texts of their files.
pub fn digest() -> [u8; 32] {
    let mut digest = Sha256::new();
    for (name, text) in RULE_FILES {
        digest.update(format!("{name}\n{text}"));
    }
    digest.finalize().into()
}

/// Where the paths of a rule begin. A rule does nothing in a tree that has no such place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum Anchor {
    /// The root of the tree.
    #[default]
    Tree,
    /// Libraries on the runtime's search path of which its own copies are found first, and links to these. Paths begin at the
    /// root of the tree.
    Shadowed,
    /// Programs that need such a library, and links to them, where the runtime has a command of that name that is found first
    /// on `PATH`. Paths begin at the root of the tree.
    ShadowedCommand,
    /// Native files for other systems, next to one that fits the runtime. Paths begin at the root of the tree.
    OtherPlatforms,
    /// What no recording used. Paths begin at the root of the tree.
    Unused,
    /// Packages that the runtime has as well. Paths begin at the root of the tree.
    Provided,
    /// Each directory of a kind that a language knows.
    Language(&'static LanguageAnchor),
}

impl Anchor {
    /// Every anchor that a rule may have.
    pub fn all() -> impl Iterator<Item = Self> {
        [
            Self::Tree,
            Self::Shadowed,
            Self::ShadowedCommand,
            Self::OtherPlatforms,
            Self::Unused,
            Self::Provided,
        ]
        .into_iter()
        .chain(languages::anchors().map(Self::Language))
    }

    /// Its name in rule files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tree => "tree",
            Self::Shadowed => "shadowed",
            Self::ShadowedCommand => "shadowed-command",
            Self::OtherPlatforms => "other-platforms",
            Self::Unused => "unused",
            Self::Provided => "provided",
            Self::Language(anchor) => anchor.name,
        }
    }

    /// What the place is, for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Tree => "the root of the tree",
            Self::OtherPlatforms => "the root of the tree, limited to native files for other systems",
            Self::Unused => "the root of the tree, limited to what no recording used",
            Self::Provided => "the root of the tree, limited to packages that the runtime has as well",
            Self::Language(anchor) => anchor.title,
            Self::Shadowed => "the root of the tree, limited to libraries shadowed by the runtime's own",
            Self::ShadowedCommand => {
                "the root of the tree, limited to commands shadowed by the runtime's own, and the libraries they need"
            }
        }
    }
}

impl From<Anchor> for &'static str {
    fn from(anchor: Anchor) -> Self {
        anchor.name()
    }
}

impl TryFrom<String> for Anchor {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Self::all().find(|anchor| anchor.name() == name).ok_or_else(|| {
            let names: Vec<String> = Self::all().map(|anchor| format!("`{}`", anchor.name())).collect();
            format!("unknown variant `{name}`, expected one of {}", names.join(", "))
        })
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Anchor {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Anchor".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names: Vec<&str> = Self::all().map(Self::name).collect();
        schemars::json_schema!({
            "description": "Where the paths of a rule begin. A rule does nothing in a tree that has no such place.",
            "type": "string",
            "enum": names,
        })
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The name by which it is switched on and off and named in reports.
    pub id: String,
    /// What it removes, in a line.
    pub title: String,
    /// The kind of files; a name by which all rules of a kind are switched on and off.
    pub category: String,
    /// Whether it is on unless switched off.
    pub default: bool,
    /// Where its paths begin.
    pub anchor: Anchor,
    /// A glob for sonames: the rule does nothing unless the tree has such libraries and the runtime's own copy of
    /// each is found first.
    pub when_shadowed: Option<String>,
    /// Texts: only scripts that have one of them are removed. No condition if it is empty.
    pub contains: Vec<String>,
    /// A command: a runtime that has it provides what the rule removes, so imports do not keep it.
    pub provided_with: Option<String>,
    /// Globs of what it removes. A directory is removed with all that it holds; `*` does not cross a `/`, `**` does.
    pub paths: Vec<String>,
    /// Globs of what it leaves.
    pub except: Vec<String>,
    /// What stops working without the files.
    pub breaks: String,
    /// Where the knowledge comes from.
    pub source: String,
    /// The pack that it belongs to, or the user's file.
    pub pack: String,
}

/// Why rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// A rule file that cannot be read.
    #[error("cannot read the rules: {0}")]
    Read(#[from] std::io::Error),
    /// A file that says something that it cannot say.
    #[error(transparent)]
    Toml(#[from] TomlError),
    /// Two rules of one name.
    #[error("{pack}: there is already a rule '{id}'; give this one another id")]
    Duplicate {
        /// Where the second one is.
        pack: String,
        /// The name.
        id: String,
    },
    /// A glob that does not parse.
    #[error("{from}: '{glob}' is not a glob for paths in a tree: {reason}")]
    Glob {
        /// The option or file that has it.
        from: String,
        /// The glob as written.
        glob: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A name that no rule has.
    #[error("{from}: there is no rule or category '{name}'{near} (`lambdar-prune rules` lists them)")]
    Unknown {
        /// The option or file that has it.
        from: String,
        /// The name asked for.
        name: String,
        /// The name that was most likely meant, as part of a sentence.
        near: String,
    },
    /// Recordings of something else.
    #[error(
        "the recordings used nothing of the tree: record the function on layers or a tree that have the same paths below /opt"
    )]
    NothingUsed,
    /// Packages that cannot be selected.
    #[error("{from}: {reason}")]
    Packages {
        /// The option or file that names them.
        from: String,
        /// Why not.
        reason: PackageSelectionError,
    },
}

/// What someone asks of the rules, on the command line or in a file.
#[derive(Debug, Clone, Default)]
pub struct RuleSelection {
    /// The file; `None` for the command line.
    pub file: Option<String>,
    /// Rules of their own.
    pub rules: Vec<Rule>,
    /// Rules or categories to switch on.
    pub enable: Vec<String>,
    /// Rules or categories to switch off; this wins over `enable`.
    pub disable: Vec<String>,
    /// Globs, relative to the tree, of what stays whatever a rule says.
    pub keep: Vec<String>,
    /// Globs, relative to the tree, of what goes unless it is in `keep`.
    pub drop: Vec<String>,
    /// The packages of a language that stay, with all that they need; every other one of that language goes. `None` for no such
    /// choice.
    pub packages: Option<PackageSelection>,
    /// What recorded runs used, if there are recordings.
    pub evidence: Option<Evidence>,
}

impl RuleSelection {
    /// What a choice is called in reports: as it is written, `--drop` on the command line and `drop` in a file.
    fn name(&self, key: &str) -> String {
        match self.file {
            None => format!("--{key}"),
            Some(_) => key.to_owned(),
        }
    }

    /// Where a choice stands, for errors.
    fn place(&self, key: &str) -> String {
        match &self.file {
            None => format!("--{key}"),
            Some(file) => format!("{file}: {key}"),
        }
    }
}

/// Names that rules and categories had in earlier versions, each with its present one: projects may still use them.
const FORMER_NAMES: [(&str, &str); 2] = [("unix-licences", "unix-licenses"), ("licences", "licenses")];

/// Every rule that is known, in the order in which they apply, each with whether it is on.
#[derive(Debug, Clone)]
pub struct RuleSet {
    rules: Vec<(Rule, bool)>,
}

impl RuleSet {
    /// The built-in rules, each on or off by its default.
    pub fn built_in() -> Result<Self, RuleError> {
        let mut set = Self { rules: Vec::new() };
        for (file, text) in RULE_FILES {
            set.add(file::rules_of(file, text)?)?;
        }
        Ok(set)
    }

    /// The built-in rules with choices carried out; those that come later beat those before. Fails where a glob of a choice
    /// is none, too.
    pub fn chosen(choices: &[RuleSelection]) -> Result<Self, RuleError> {
        let mut set = Self::built_in()?;
        for choice in choices {
            set.add(choice.rules.clone())?;
        }
        for choice in choices {
            for (key, globs) in [("keep", &choice.keep), ("drop", &choice.drop)] {
                path_globs(globs, &choice.place(key))?;
            }
            for (key, names, on) in [("enable", &choice.enable, true), ("disable", &choice.disable, false)] {
                for name in names {
                    set.switch(name, on, &choice.place(key))?;
                }
            }
        }
        Ok(set)
    }

    /// Adds rules behind those that are there.
    pub fn add(&mut self, rules: Vec<Rule>) -> Result<(), RuleError> {
        for rule in rules {
            if self
                .rules
                .iter()
                .any(|(known, _)| known.id == rule.id || known.category == rule.id)
            {
                return Err(RuleError::Duplicate {
                    pack: rule.pack,
                    id: rule.id,
                });
            }
            let on = rule.default;
            self.rules.push((rule, on));
        }
        Ok(())
    }

    /// Switches a rule, or all rules of a category, on or off. `from` says in an error where the name stands.
    pub fn switch(&mut self, name: &str, on: bool, from: &str) -> Result<(), RuleError> {
        let numbers = self.named(name, from)?;
        for number in numbers {
            if let Some((_, state)) = self.rules.get_mut(number) {
                *state = on;
            }
        }
        Ok(())
    }

    /// The numbers of the rule with that name, or of all rules of that category. A former name stands for the present one.
    pub fn named(&self, name: &str, from: &str) -> Result<Vec<usize>, RuleError> {
        let renamed = FORMER_NAMES.iter().find(|(former, _)| *former == name);
        let present = renamed.map_or(name, |(_, present)| *present);
        let numbers: Vec<usize> = self
            .rules
            .iter()
            .enumerate()
            .filter(|(_, (rule, _))| {
                [rule.id.as_str(), &rule.category]
                    .iter()
                    .any(|known| [name, present].contains(known))
            })
            .map(|(number, _)| number)
            .collect();
        if !numbers.is_empty() {
            return Ok(numbers);
        }
        let known = self.rules.iter().flat_map(|(rule, _)| [&*rule.id, &*rule.category]);
        Err(RuleError::Unknown {
            from: from.to_owned(),
            name: name.to_owned(),
            near: suggestion(name, known),
        })
    }

    /// The rules with whether each is on, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Rule, bool)> {
        self.rules.iter().map(|(rule, on)| (rule, *on))
    }

    /// The rule of that id.
    pub fn get(&self, id: &str) -> Option<&Rule> {
        self.iter().map(|(rule, _)| rule).find(|rule| rule.id == id)
    }
}

#[cfg(test)]
mod tests;
