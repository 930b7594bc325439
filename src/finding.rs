//! Findings: what is wrong with a tree or its layers, in words that lead on. The texts are in `rules/findings.toml`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::nearest::suggestion;

/// How bad a finding is. The order is that of the report: errors first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // Each is described by its text in rules/findings.toml.
pub enum Code {
    ZipTooLarge,
    ZipNearLimit,
    UnzippedTooLarge,
    ReserveNotLeft,
    TooManyLayers,
    UnpacksTooFar,
    ManifestUnreadable,
    PackInterrupted,
    PackSettled,
    LayerMissing,
    LayerChanged,
    LayerNotListed,
    UnreadableZip,
    TruncatedZip,
    EmptyZip,
    DataOutsideZip,
    ZipComment,
    Zip64,
    NewerZipVersion,
    MadeByNewerVersion,
    DataDescriptor,
    CorruptEntry,
    ChecksumMismatch,
    AmbiguousZip,
    GapInZip,
    BrokenHeader,
    HeaderMismatch,
    SecondName,
    OverlappingEntries,
    UnsupportedEntry,
    BadName,
    MisleadingName,
    DirectoryWithContent,
    DuplicateName,
    NamesDifferInCase,
    NotMadeByUnix,
    FileNotReadable,
    FolderNotSearchable,
    SetuidFile,
    ConflictingPath,
    LinkNeedsLayer,
    DanglingLink,
    LinkOutOfOpt,
    LinkToRuntime,
    LinkLoop,
    MissingLibrary,
    LibraryPathUnclear,
    LibraryToBringIn,
    DropNotObeyed,
    GlobMatchesNothing,
    ShadowedLayer,
    SymbolVersionMissing,
    LibraryTooOld,
    NoVersionInformation,
    SymbolVersionNotChecked,
    VersionWithoutLibrary,
    UndefinedSymbol,
    LibraryElsewhere,
    FileInTheWay,
    TwoCLibraries,
    MissingDlopenLibrary,
    MissingOptionalLibrary,
    OpenedLibraryMissing,
    CompanionMissing,
    VariableToSet,
    MissingInterpreter,
    ScriptCannotRun,
    MissingCommand,
    RWhichMissing,
    RWhichRepaired,
    RHomeElsewhere,
    RNotExecutable,
    WrongMachine,
    ForeignObject,
    OtherPlatforms,
    LinkAsText,
    ModulesNotFound,
    ModulesElsewhere,
    EditableInstall,
    OtherLanguage,
    WrongAbi,
    RuntimeDeprecated,
    LicenseDenied,
    LicenseMissing,
    UnreadableObject,
    UnreadableFile,
    OverBudget,
    GrownTooMuch,
    UnusedBudget,
    UnusedAllow,
    #[serde(rename = "name-not-utf8")]
    NameNotUtf8,
    SpecialFile,
    BootstrapMissing,
    BootstrapTooDeep,
    BootstrapNotExecutable,
    BootstrapNotRunnable,
    BootstrapWithCrlf,
    ScriptWithCrlf,
    ProgramNotExecutable,
    WrongTopFolder,
    NestedArchive,
    OnlyAnArchive,
    Leftover,
    Secret,
    MoreFindings,
}

impl Code {
    /// Whether AWS makes no layer of a zip with this finding: then nothing of it is unpacked.
    pub fn prevents_unpacking(self) -> bool {
        matches!(
            self,
            Self::UnreadableZip | Self::CorruptEntry | Self::UnsupportedEntry | Self::BadName | Self::NameNotUtf8
        )
    }
}

/// Error of parsing a [`Code`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no finding '{name}'{near}; `lambdar-prune check --explain` lists all")]
pub struct CodeError {
    name: String,
    near: String,
}

impl FromStr for Code {
    type Err = CodeError;

    fn from_str(name: &str) -> Result<Self, CodeError> {
        Self::all().find(|code| code.to_string() == name).ok_or_else(|| {
            let known: Vec<String> = Self::all().map(|code| code.to_string()).collect();
            CodeError {
                name: name.to_owned(),
                near: suggestion(name, known.iter().map(String::as_str)),
            }
        })
    }
}

/// What is known of a kind of finding, in addition to the text of a single one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Page {
    /// What it is, in a line.
    pub title: String,
    /// How bad it is.
    pub severity: Severity,
    /// What a finding says, with words in braces.
    pub message: String,
    /// What several findings of one cause say together, with words in braces next to `{count}` and `{files}`.
    pub together: Option<String>,
    /// What to do, in a line, with words in braces.
    pub help: String,
    /// Words for the braces of the message and the help, as a finding could have them.
    #[serde(default)]
    pub example: BTreeMap<String, String>,
    /// How it comes about, and why it matters.
    pub cause: String,
    /// What AWS or Lambda say, where it is known: an example, not a pattern.
    pub on_lambda: Option<String>,
    /// What to do.
    pub cure: String,
}

impl Page {
    /// The message of a finding as it could be: with the words of the example.
    pub fn example_message(&self) -> String {
        fill(&self.message, self.example.iter())
    }
}

/// A template with its words in braces replaced.
fn fill<N: AsRef<str>, W: AsRef<str>>(template: &str, words: impl IntoIterator<Item = (N, W)>) -> String {
    words.into_iter().fold(template.to_owned(), |text, (name, word)| {
        text.replace(&format!("{{{}}}", name.as_ref()), word.as_ref())
    })
}

static PAGES: LazyLock<Result<BTreeMap<Code, Page>, toml::de::Error>> =
    LazyLock::new(|| toml::from_str(include_str!("../rules/findings.toml")));

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    /// Every path that it is about, if the message names only some, escaped for display.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Box<Files>>,
    /// What it has in common with others; `None` if each stands alone.
    #[serde(skip)]
    pub cause: Option<Box<Cause>>,
}

/// Paths that a finding is about, escaped for display.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Files(Vec<String>);

/// What findings of one code have in common: people are told once, with the number of files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause {
    /// Findings of one code with the same key have one cause.
    pub key: String,
    /// The one with the highest rank speaks for all, such as the one that asks for the newest version.
    pub rank: Vec<u32>,
    /// What it says, with `{count}` and `{files}` left to be filled in.
    together: String,
}

impl Cause {
    /// What all of these findings say together.
    pub fn says(&self, count: &str, files: &str) -> String {
        self.together.replace("{count}", count).replace("{files}", files)
    }
}

impl Finding {
    /// A finding with the text that belongs to its code. `words` fill the braces of that text.
    pub fn new(code: Code, words: &[(&str, &str)]) -> Self {
        let text = code.page();
        let fill = |template: &str| fill(template, words.iter().copied());
        Self {
            severity: text.map_or(Severity::Error, |text| text.severity),
            code,
            layer: None,
            path: None,
            message: text.map(|text| fill(&text.message)).unwrap_or_default(),
            help: text.map(|text| fill(&text.help)).unwrap_or_default(),
            files: None,
            cause: None,
        }
    }

    /// As [`Finding::new`], with words that were made for it.
    pub fn of<const N: usize>(code: Code, words: &[(&str, String); N]) -> Self {
        Self::new(code, &words.each_ref().map(|(name, word)| (*name, word.as_str())))
    }

    /// The same finding with the cause that it shares; `words` are those of [`Finding::new`].
    #[must_use]
    pub fn because_of(mut self, key: String, rank: Vec<u32>, words: &[(&str, &str)]) -> Self {
        let together = self.code.page().and_then(|page| page.together.clone());
        self.cause = together.map(|template| {
            Box::new(Cause {
                key,
                rank,
                together: words.iter().fold(template, |text, (name, word)| {
                    text.replace(&format!("{{{name}}}"), word)
                }),
            })
        });
        self
    }

    /// The same finding, as bad as this.
    #[must_use]
    pub fn with_severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// The same finding, about a path.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// The same finding, about all of these paths.
    #[must_use]
    pub fn about(mut self, files: Vec<String>) -> Self {
        self.files = Some(Box::new(Files(files)));
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

impl Code {
    /// Every code, in the order of the report.
    pub fn all() -> impl Iterator<Item = Self> {
        PAGES.iter().flat_map(|pages| pages.keys().copied())
    }

    /// What is known of it. Every code has its page, which a test sees to.
    pub fn page(self) -> Option<&'static Page> {
        PAGES.as_ref().ok()?.get(&self)
    }

    /// Whether it means that something of a zip was not read.
    pub fn hides_entries(self) -> bool {
        matches!(
            self,
            Self::UnreadableZip
                | Self::TruncatedZip
                | Self::UnpacksTooFar
                | Self::CorruptEntry
                | Self::ChecksumMismatch
                | Self::UnsupportedEntry
                | Self::BadName
        )
    }

    /// Whether it is about what a request to AWS can carry: for a zip that gets there through a bucket it does not hold.
    pub fn is_about_request(self) -> bool {
        matches!(self, Self::ZipTooLarge | Self::ZipNearLimit)
    }
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
    fn every_code_has_its_page_and_every_page_its_code() {
        // Keys that are not a code fail to parse; a code without a page is found by its number here.
        PAGES.as_ref().unwrap();
        let numbers: Vec<usize> = Code::all().map(|code| code as usize).collect();
        assert_eq!(numbers, (0..=Code::MoreFindings as usize).collect::<Vec<_>>());
        for code in Code::all() {
            assert_eq!(code.to_string().parse(), Ok(code));
            let page = code.page().unwrap();
            for text in [&page.title, &page.message, &page.help, &page.cause, &page.cure] {
                assert!(!text.is_empty() && !text.contains('\n'), "{code}: {text}");
            }
            for text in [page.example_message(), fill(&page.help, page.example.iter())] {
                assert!(!text.contains(['{', '}']), "{code} needs an example: {text}");
            }
        }
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
