//! Findings: what is wrong with a tree or its layers, in words that lead on. The texts lie in `rules/findings.toml`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// How bad a finding is. The order is that of the report: errors first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It will not work; the exit status is 1.
    Error,
    /// It may not work.
    Warning,
    /// Worth knowing.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// What kind of thing was found. The names are stable: scripts may rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // Each is described by its text in rules/findings.toml.
pub enum Code {
    ZipTooLarge,
    ZipNearLimit,
    UnzippedTooLarge,
    TooManyLayers,
    UnreadableZip,
    CorruptEntry,
    UnsupportedEntry,
    BadName,
    DuplicateName,
    NotMadeByUnix,
    FileNotReadable,
    FolderNotSearchable,
    ConflictingPath,
    DanglingLink,
    LinkOutOfOpt,
    LinkLoop,
    MissingLibrary,
    LibraryToBringIn,
    SymbolVersionMissing,
    NoVersionInformation,
    MissingDlopenLibrary,
    MissingOptionalLibrary,
    MissingInterpreter,
    ScriptCannotRun,
    MissingCommand,
    RWhichMissing,
    RWhichRepaired,
    WrongMachine,
    UnreadableObject,
    UnreadableFile,
    #[serde(rename = "name-not-utf8")]
    NameNotUtf8,
    SpecialFile,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    severity: Severity,
    message: String,
    help: String,
}

static TEXTS: LazyLock<Result<BTreeMap<Code, Text>, toml::de::Error>> =
    LazyLock::new(|| toml::from_str(include_str!("../rules/findings.toml")));

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of thing it is.
    pub code: Code,
    /// The layer it is in, by its file name; `None` if it is about all of them, or about a tree.
    pub layer: Option<String>,
    /// The path inside the tree, escaped for display; `None` if it is about no single path.
    pub path: Option<String>,
    /// What is the matter.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl Finding {
    /// A finding with the text that belongs to its code. `words` fill the braces of that text.
    pub fn new(code: Code, words: &[(&str, &str)]) -> Self {
        let text = TEXTS.as_ref().ok().and_then(|texts| texts.get(&code));
        let fill = |template: &str| {
            words.iter().fold(template.to_owned(), |text, (name, word)| {
                text.replace(&format!("{{{name}}}"), word)
            })
        };
        Self {
            severity: text.map_or(Severity::Error, |text| text.severity),
            code,
            layer: None,
            path: None,
            message: text.map(|text| fill(&text.message)).unwrap_or_default(),
            help: text.map(|text| fill(&text.help)).unwrap_or_default(),
        }
    }

    /// The same finding, about a path.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// The same finding, about a layer.
    #[must_use]
    pub fn in_layer(mut self, layer: Option<&str>) -> Self {
        self.layer = layer.map(ToOwned::to_owned);
        self
    }
}

/// Whether any finding is an error.
pub fn any_error(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_text_and_every_text_its_code() {
        // Keys that are no code fail to parse; a code without text is found by its name here.
        let texts = TEXTS.as_ref().unwrap();
        let last = Code::SpecialFile as usize;
        assert_eq!(texts.len(), last + 1);
    }

    #[test]
    fn words_fill_the_braces() {
        let finding = Finding::new(
            Code::MissingLibrary,
            &[
                ("soname", "libx.so.1"),
                ("needed_by", "bin/y"),
                ("runtime", "provided.al2023"),
            ],
        );
        assert!(finding.message.starts_with("libx.so.1 is needed by bin/y"));
        assert!(
            !finding.message.contains('{') && !finding.help.contains('{'),
            "{finding:?}"
        );
        assert_eq!(finding.code.to_string(), "missing-library");
    }
}
