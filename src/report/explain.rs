//! The report of `check --explain`: what is known of each kind of finding.

use serde::Serialize;

use super::SCHEMA_VERSION;
use super::table::{Column, RenderOptions};
use crate::finding::{Code, Page};

/// What is known of some kinds of findings.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Explanations {
    /// Version of this document's schema.
    pub schema_version: u32,
    /// The kinds, in the order of a report.
    pub findings: Vec<Explanation>,
}

/// What is known of one kind of finding.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Explanation {
    /// Its name.
    pub code: Code,
    /// The rest.
    #[serde(flatten)]
    pub page: &'static Page,
}

impl Explanations {
    /// What is known of these kinds.
    pub fn new(codes: &[Code]) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            findings: codes
                .iter()
                .filter_map(|code| {
                    Some(Explanation {
                        code: *code,
                        page: code.page()?,
                    })
                })
                .collect(),
        }
    }
}

/// All kinds in a table.
pub fn codes(explanations: &Explanations, render: RenderOptions) -> String {
    let columns = [
        Column::Left("Finding"),
        Column::Left("Severity"),
        Column::Left("Description"),
    ];
    let rows = explanations.findings.iter().map(|explanation| {
        vec![
            explanation.code.to_string(),
            explanation.page.severity.to_string(),
            explanation.page.title.clone(),
        ]
    });
    render.table(&columns, rows.collect())
        + "\n"
        + &render.folded(
            "",
            "Run `lambdar-prune check --explain FINDING` for the cause of one and how to fix it.",
        )
}

/// The page of each kind.
pub fn pages(explanations: &Explanations, render: RenderOptions) -> String {
    let mut text = String::new();
    for (number, Explanation { code, page }) in explanations.findings.iter().enumerate() {
        if number > 0 {
            text.push('\n');
        }
        text += &render.folded(&format!("{}[{code}]: ", render.severity(page.severity)), &page.title);
        text.push('\n');
        text += &render.folded("  example:    ", &page.example_message());
        if let Some(message) = &page.on_lambda {
            text += &render.folded("  on Lambda:  ", message);
        }
        text += &render.folded("  cause:      ", &page.cause);
        text += &render.folded("  fix:        ", &page.cure);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// All kinds as a Markdown document: `docs/findings.md`.
    fn findings_document() -> String {
        let explanations = Explanations::new(&Code::all().collect::<Vec<_>>());
        let mut text = "# What check finds\n\n\
            Made from `rules/findings.toml`; `lambdar-prune check --explain CODE` shows the same. An error will not work on \
            Lambda, a warning may not, and a note is worth knowing.\n\n\
            | Code | Severity | What it is |\n|---|---|---|\n"
            .to_owned();
        for Explanation { code, page } in &explanations.findings {
            text += &format!("| [{code}](#{code}) | {} | {} |\n", page.severity, page.title);
        }
        for Explanation { code, page } in &explanations.findings {
            text += &format!(
                "\n## {code}\n\n{}: {}.\n\n> {}\n\n",
                page.severity,
                page.title,
                page.example_message()
            );
            if let Some(message) = &page.on_lambda {
                text += &format!("On Lambda: `{}`\n\n", message.replace('`', "'"));
            }
            text += &format!("Cause: {}\n\nFix: {}\n", page.cause, page.cure);
        }
        text
    }

    /// `LAMBDAR_PRUNE_REWRITE=1 cargo test` writes the document anew.
    #[test]
    fn the_document_of_findings_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/findings.md");
        let document = findings_document();
        if std::env::var_os("LAMBDAR_PRUNE_REWRITE").is_some() {
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(&path, &document).unwrap();
        }
        let written = fs_err::read_to_string(&path).unwrap_or_default();
        assert!(
            written == document,
            "docs/findings.md is out of date: run the tests with LAMBDAR_PRUNE_REWRITE=1"
        );
        for code in Code::all() {
            assert!(document.contains(&format!("\n## {code}\n")), "{code}");
        }
    }
}
