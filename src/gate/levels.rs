//! Levels of findings: a project denies some, warns of some and allows some, by code or by code and path.

use globset::GlobSet;
use serde::Serialize;

use crate::finding::{Code, CodeError, Finding, Severity};

/// The word that stands for every code.
const ALL: &str = "all";

/// What becomes of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// It is an error.
    Deny,
    /// It is a warning.
    Warn,
    /// It does not count.
    Allow,
}

/// Which findings a setting is about.
#[derive(Debug, Clone)]
pub enum Target {
    /// All of them.
    All,
    /// Those of one code.
    Code(Code),
    /// Those of one code at some paths.
    Paths {
        /// The code.
        code: Code,
        /// The paths as they were written.
        glob: String,
        /// What these match.
        paths: GlobSet,
    },
}

/// One setting: `deny`, `warn` or `allow` of one target.
#[derive(Debug, Clone)]
pub struct Setting {
    /// What becomes of the findings.
    pub level: Level,
    /// Which findings.
    pub target: Target,
    /// Why, where there is a reason.
    pub reason: Option<String>,
    /// The option, or the file with line and column, that says so.
    pub place: String,
}

/// All settings; of two that are equally specific, the later one counts.
#[derive(Debug, Clone, Default)]
pub struct Levels {
    /// Those of the file, and behind them those of the command line.
    pub settings: Vec<Setting>,
}

/// A finding that does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Allowed {
    /// The finding, as bad as it would be.
    #[serde(flatten)]
    pub finding: Finding,
    /// Why it is allowed, where the project says so.
    pub reason: Option<String>,
}

impl Target {
    /// What a word stands for behind a level: a code, or all of them, which can only be denied.
    pub fn parse(level: Level, word: &str) -> Result<Self, CodeError> {
        if level == Level::Deny && word == ALL {
            return Ok(Self::All);
        }
        word.parse().map(Self::Code)
    }

    fn matches(&self, finding: &Finding) -> bool {
        match self {
            Self::All => true,
            Self::Code(code) => finding.code == *code,
            Self::Paths { code, paths, .. } => {
                let path = finding.path.as_deref().unwrap_or_default();
                finding.code == *code && paths.is_match(path.trim_end_matches('/'))
            }
        }
    }

    /// The more specific beats the less: one path, one code, all.
    fn rank(&self) -> u8 {
        match self {
            Self::All => 0,
            Self::Code(_) => 1,
            Self::Paths { .. } => 2,
        }
    }

    fn named(&self) -> String {
        match self {
            Self::All => ALL.to_owned(),
            Self::Code(code) => code.to_string(),
            Self::Paths { code, glob, .. } => format!("{code} at {glob}"),
        }
    }
}

impl Levels {
    /// The same levels with further settings, which beat equally specific ones before them.
    #[must_use]
    pub fn with(mut self, settings: Vec<Setting>) -> Self {
        self.settings.extend(settings);
        self
    }

    /// Gives each finding its severity: those that count, errors first, and those that are allowed.
    pub fn apply(&self, findings: Vec<Finding>) -> (Vec<Finding>, Vec<Allowed>) {
        let (mut counting, mut allowed) = (Vec::new(), Vec::new());
        for mut finding in findings {
            // Of equals, `max_by_key` gives the last.
            let decisive = self
                .settings
                .iter()
                .filter(|setting| setting.target.matches(&finding))
                .max_by_key(|setting| setting.target.rank());
            match decisive.map(|setting| (setting.level, &setting.reason)) {
                Some((Level::Allow, reason)) => {
                    allowed.push(Allowed {
                        finding,
                        reason: reason.clone(),
                    });
                    continue;
                }
                Some((Level::Deny, _)) => finding.severity = Severity::Error,
                Some((Level::Warn, _)) => finding.severity = Severity::Warning,
                None => {}
            }
            counting.push(finding);
        }
        counting.sort();
        (counting, allowed)
    }

    /// A note on each allow that allows nothing that was found.
    pub fn unused(&self, findings: &[Finding]) -> Vec<Finding> {
        self.settings
            .iter()
            .filter(|setting| setting.level == Level::Allow)
            // Whether there are such notes is only known when this is done.
            .filter(|setting| !matches!(setting.target, Target::Code(Code::UnusedAllow)))
            .filter(|setting| !findings.iter().any(|finding| setting.target.matches(finding)))
            .map(|setting| {
                Finding::new(
                    Code::UnusedAllow,
                    &[("place", &setting.place), ("what", &setting.target.named())],
                )
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::path_globs;

    fn setting(level: Level, target: Target) -> Setting {
        Setting {
            level,
            target,
            reason: None,
            place: "test".to_owned(),
        }
    }

    fn at(code: Code, glob: &str) -> Target {
        Target::Paths {
            code,
            glob: glob.to_owned(),
            paths: path_globs(&[glob.to_owned()], "test").unwrap(),
        }
    }

    fn found() -> Vec<Finding> {
        vec![
            Finding::new(Code::DanglingLink, &[("target", "x")]).at("a/link"),
            Finding::new(Code::DanglingLink, &[("target", "x")]).at("b/link"),
            Finding::new(Code::FolderNotSearchable, &[("mode", "0700")]).at("c/"),
            Finding::new(Code::ZipNearLimit, &[("bytes", "1")]),
        ]
    }

    /// What becomes of [`found`], in its order: an error, a warning, a note, or allowed.
    fn check(settings: Vec<Setting>, expected: [&str; 4]) {
        let (counting, allowed) = Levels::default().with(settings).apply(found());
        assert!(counting.is_sorted());
        let of = |finding: &Finding| {
            let same = |other: &Finding| (other.code, &other.path) == (finding.code, &finding.path);
            if let Some(other) = counting.iter().find(|other| same(other)) {
                return other.severity.to_string();
            }
            assert!(allowed.iter().any(|allowed| same(&allowed.finding)));
            "allowed".to_owned()
        };
        assert_eq!(found().iter().map(of).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_more_specific_counts_and_then_the_later() {
        let own: Vec<String> = found().iter().map(|finding| finding.severity.to_string()).collect();
        let [link, _, directory, zip] = [0, 1, 2, 3].map(|index| own[index].as_str());
        check(vec![], [link, link, directory, zip]);
        check(vec![setting(Level::Deny, Target::All)], ["error"; 4]);
        check(
            vec![
                setting(Level::Allow, Target::Code(Code::ZipNearLimit)),
                setting(Level::Allow, at(Code::DanglingLink, "a/*")),
                setting(Level::Deny, Target::Code(Code::DanglingLink)),
                setting(Level::Deny, Target::All),
            ],
            ["allowed", "error", "error", "allowed"],
        );
        check(
            vec![
                setting(Level::Deny, Target::Code(Code::DanglingLink)),
                setting(Level::Warn, Target::Code(Code::DanglingLink)),
            ],
            ["warning", "warning", directory, zip],
        );
        // A directory's own path ends with a slash in a zip.
        check(
            vec![setting(Level::Allow, at(Code::FolderNotSearchable, "c"))],
            [link, link, "allowed", zip],
        );
        // A path of another code, and a code without a path.
        check(
            vec![
                setting(Level::Allow, at(Code::LinkLoop, "**")),
                setting(Level::Allow, at(Code::ZipNearLimit, "x")),
            ],
            [link, link, directory, zip],
        );
    }

    #[test]
    fn an_allow_that_allows_nothing_is_found() {
        let levels = Levels::default().with(vec![
            setting(Level::Allow, Target::Code(Code::DanglingLink)),
            setting(Level::Allow, at(Code::DanglingLink, "z/**")),
            setting(Level::Allow, Target::Code(Code::UnusedAllow)),
            setting(Level::Deny, Target::Code(Code::LinkLoop)),
        ]);
        let unused = levels.unused(&found());
        assert_eq!(unused.len(), 1);
        assert!(unused[0].message.contains("dangling-link at z/**"), "{unused:?}");
        let (counting, allowed) = levels.apply(unused);
        assert_eq!((counting.len(), allowed.len()), (0, 1));
    }
}
