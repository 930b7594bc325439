//! Reports as a page for a browser: one file that needs no other and no network.
//!
//! The verdict, tables and findings are there without the script, which adds the map of files and the graph of libraries. The
//! browser runs and styles by nothing but what this program wrote: the page's content security policy names both by their
//! hashes, so that no name of a file can be more than text.

mod files;
mod libraries;
mod map;
mod pages;

use askama::Template;
use base64::Engine;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::finding::{Finding, Severity, any_error};
use crate::size::{Bytes, exact};
use crate::tree::path::escaped;

use files::MapFile;
use libraries::LibraryGraph;
use map::MapData;

pub use files::packed_entries;
pub use pages::{analysis_page, checked_page, difference_page, over_capacity_page, packed_page};

/// Style sheet of every page.
const STYLE: &str = include_str!("page.css");
/// Script of every page.
const SCRIPT: &str = include_str!("page.js");

/// How many findings of one kind are shown; the rest is counted.
const SHOWN: usize = 100;

/// What a page says, before it has a form.
#[derive(Debug, Default)]
struct Page {
    /// What was looked at.
    subject: String,
    /// The command that made the report.
    command: &'static str,
    /// The result in a sentence.
    verdict: String,
    /// Whether it is a good one; `None` if there is nothing to judge.
    is_ok: Option<bool>,
    /// How much of the limits is used.
    meters: Vec<Meter>,
    /// Files on the map.
    files: Vec<MapFile>,
    /// Which object needs which.
    libraries: LibraryGraph,
    tables: Vec<Table>,
    findings: Vec<Finding>,
    /// Findings that the project allows, with its reasons.
    allowed: Vec<(Finding, String)>,
}

/// A size next to its limit.
#[derive(Debug)]
struct Meter {
    label: String,
    used: Bytes,
    limit: Bytes,
}

impl Meter {
    /// The used part in thousandths, at most 1000.
    fn thousandths(&self) -> u64 {
        let part = u128::from(self.used.0) * 1000 / u128::from(self.limit.0.max(1));
        u64::try_from(part.min(1000)).unwrap_or(1000)
    }

    fn is_over(&self) -> bool {
        self.used > self.limit
    }
}

/// A table of a section of its own.
#[derive(Debug)]
struct Table {
    id: &'static str,
    title: &'static str,
    columns: Vec<Heading>,
    rows: Vec<Vec<String>>,
}

/// The head of a column.
#[derive(Debug, Clone, Copy)]
enum Heading {
    Text(&'static str),
    Number(&'static str),
}

impl Heading {
    fn text(self) -> &'static str {
        match self {
            Self::Text(text) | Self::Number(text) => text,
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Self::Number(_))
    }
}

/// The findings of one kind with what is known of it.
struct Kind {
    code: String,
    severity: Severity,
    title: String,
    cause: String,
    cure: String,
    on_lambda: Option<String>,
    count: usize,
    places: Vec<Occurrence>,
}

/// One finding.
struct Occurrence {
    at: String,
    message: String,
    help: String,
}

/// The data that the script reads.
#[derive(Serialize)]
struct Data<'a> {
    map: &'a MapData,
    libraries: &'a LibraryGraph,
}

#[derive(Template)]
#[template(path = "page.html")]
struct View<'a> {
    page: &'a Page,
    kinds: Vec<Kind>,
    allowed: Vec<Occurrence>,
    /// Whether there are errors: they come first.
    is_urgent: bool,
    has_map: bool,
    has_libraries: bool,
    policy: String,
    style: &'static str,
    script: &'static str,
    data: String,
    version: &'static str,
}

impl View<'_> {
    /// A name from a tree or the command line as text without control characters.
    #[expect(clippy::unused_self, reason = "the template calls it")]
    fn shown(&self, text: &str) -> String {
        escaped(text.as_bytes())
    }
}

impl Page {
    /// The whole file.
    fn render(&self) -> String {
        let map = MapData::new(&self.files);
        let data = embedded(&Data {
            map: &map,
            libraries: &self.libraries,
        });
        let view = View {
            page: self,
            kinds: kinds(&self.findings),
            allowed: self.allowed.iter().map(allowed).collect(),
            is_urgent: any_error(&self.findings),
            has_map: !self.files.is_empty(),
            has_libraries: !self.libraries.is_empty(),
            policy: policy(),
            style: STYLE,
            script: SCRIPT,
            data,
            version: env!("CARGO_PKG_VERSION"),
        };
        // Text is written to memory: this cannot fail.
        view.render().unwrap_or_default() + "\n"
    }
}

/// Nothing is loaded, and only this style and this script are used (Content Security Policy Level 3, 2.3.1).
fn policy() -> String {
    let hash = |text: &str| base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

/// JSON that may stand between `<script>` tags: without `<`, which could end the element or begin a comment, and without the
/// line ends that JSON allows and JavaScript once did not (HTML, 4.12.1.3 "Restrictions for contents of script elements").
fn embedded(data: &impl Serialize) -> String {
    // Numbers and texts alone: this cannot fail.
    let json = serde_json::to_string(data).unwrap_or_default();
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

/// Findings by kind, in the order in which they are reported.
fn kinds(findings: &[Finding]) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = Vec::new();
    for finding in findings {
        let code = finding.code.to_string();
        let known = kinds
            .iter()
            .position(|kind| kind.code == code && kind.severity == finding.severity);
        let index = known.unwrap_or_else(|| {
            let page = finding.code.page();
            kinds.push(Kind {
                code,
                severity: finding.severity,
                title: page.map_or_else(String::new, |page| page.title.clone()),
                cause: page.map_or_else(String::new, |page| page.cause.clone()),
                cure: page.map_or_else(String::new, |page| page.cure.clone()),
                on_lambda: page.and_then(|page| page.on_lambda.clone()),
                count: 0,
                places: Vec::new(),
            });
            kinds.len() - 1
        });
        let kind = &mut kinds[index];
        kind.count += 1;
        if kind.places.len() < SHOWN {
            kind.places.push(place(finding));
        }
    }
    kinds
}

impl Kind {
    /// How many findings are not shown; empty if all are.
    fn more(&self) -> String {
        match self.count - self.places.len() {
            0 => String::new(),
            more => exact(more as u64),
        }
    }
}

fn place(finding: &Finding) -> Occurrence {
    Occurrence {
        at: super::location::shown(finding),
        message: escaped(finding.message.as_bytes()),
        help: escaped(finding.help.as_bytes()),
    }
}

fn allowed((finding, reason): &(Finding, String)) -> Occurrence {
    Occurrence {
        help: escaped(reason.as_bytes()),
        ..place(finding)
    }
}

#[cfg(test)]
mod tests {
    use super::files::State;
    use super::*;
    use crate::finding::Code;
    use crate::inventory::Sizes;

    /// What HTML's parser could take for the end of a script, for a comment or for a tag.
    const HOSTILE: &str = "</script><script>alert(1)</script><!--\u{2028}\u{2029}&amp;\"'";

    #[test]
    fn data_cannot_end_its_element_and_say_the_same() {
        let json = embedded(&HOSTILE);
        assert!(!json.contains(['<', '>', '&', '\u{2028}', '\u{2029}']), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), HOSTILE);
    }

    #[test]
    fn findings_of_one_kind_stand_together_and_beyond_a_number_are_counted() {
        let finding = |path: String| Finding::new(Code::Leftover, &[("what", "x")]).at(path);
        let mut findings: Vec<Finding> = (0..SHOWN + 3).map(|number| finding(format!("{number}"))).collect();
        findings.push(Finding::new(Code::EmptyZip, &[]));
        let kinds = kinds(&findings);
        assert_eq!(kinds.len(), 2);
        assert_eq!((kinds[0].places.len(), kinds[0].more()), (SHOWN, "3".to_owned()));
        assert_eq!(kinds[1].more(), "");
    }

    #[test]
    fn ten_thousand_files_are_less_than_two_megabytes() {
        let sizes = |zipped, unzipped| {
            Some(Sizes {
                zipped,
                unzipped: Bytes(unzipped),
            })
        };
        let files = (0..10_000_u64).map(|number| MapFile {
            path: format!(
                "python/package_{}/subpackage/module_{number}.cpython-313.pyc",
                number % 97
            ),
            component: format!("package_{}", number % 97),
            layer: format!("layer-{}.zip", number % 3),
            state: State::Kept,
            before: sizes(None, 10_000 + number * 31),
            after: sizes(Some(Bytes(3_000 + number * 13)), 9_000 + number * 29),
        });
        let page = Page {
            files: files.collect(),
            ..Page::default()
        };
        let length = page.render().len();
        assert!(length < 2_000_000, "{length}");
    }

    #[test]
    fn names_are_text_wherever_they_stand() {
        let page = Page {
            subject: HOSTILE.to_owned(),
            verdict: HOSTILE.to_owned(),
            tables: vec![Table {
                id: "t",
                title: "T",
                columns: vec![Heading::Text("A")],
                rows: vec![vec![HOSTILE.to_owned()]],
            }],
            findings: vec![Finding::new(Code::Leftover, &[("what", HOSTILE)]).at(HOSTILE.to_owned())],
            ..Page::default()
        };
        let html = page.render();
        assert!(!html.contains("<script>alert"), "{html}");
        assert_eq!(html.matches("</script>").count(), 2);
    }
}
