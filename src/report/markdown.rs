//! GitHub Flavored Markdown, for the summary of a job.

use super::text::{counts, growth_rows};
use super::{Checked, location};
use crate::finding::Finding;
use crate::size::exact;
use crate::tree::path::escaped;

/// A heading with the verdict, a table of findings, and one of layers.
pub fn markdown(checked: &Checked) -> String {
    let mut text = format!(
        "### lambdar-prune check: {}\n\n{} for {} on {}, {} unzipped.\n",
        if checked.ok { "passed" } else { "failed" },
        counts(checked),
        plain(&checked.runtime),
        checked.arch,
        checked.totals.unzipped_bytes,
    );
    if !checked.findings.is_empty() {
        let rows = checked.findings.iter().map(finding_row);
        text += &table(&["Severity", "Code", "Where", "What", "Help"], rows);
    }
    if !checked.allowed.is_empty() {
        text += &format!("\n{} allowed:\n", exact(checked.allowed.len() as u64));
        let rows = checked.allowed.iter().map(|allowed| {
            vec![
                code(&allowed.finding.code.to_string()),
                code(&location::shown(&allowed.finding)),
                plain(&allowed.finding.message),
                plain(allowed.reason.as_deref().unwrap_or_default()),
            ]
        });
        text += &table(&["Code", "Where", "What", "Reason"], rows);
    }
    if let Some(growth) = &checked.growth
        && !growth.components.is_empty()
    {
        text += &format!("\nChanged since {}:\n", code(&growth.baseline));
        let rows = growth_rows(growth).into_iter().take(super::table::ROWS).map(|row| {
            let mut cells = row.into_iter();
            let name = cells.next().unwrap_or_default();
            std::iter::once(code(&name)).chain(cells).collect()
        });
        text += &table(&["Component", "Change", "Before", "After", "Unzipped", "Zipped"], rows);
    }
    if !checked.layers.is_empty() {
        let rows = checked.layers.iter().map(|layer| {
            vec![
                code(&layer.file),
                layer.zipped_bytes.to_string(),
                layer.unzipped_bytes.to_string(),
                exact(layer.entries as u64),
            ]
        });
        text += &table(&["Layer", "Zipped", "Unzipped", "Entries"], rows);
    }
    text
}

fn finding_row(finding: &Finding) -> Vec<String> {
    vec![
        finding.severity.to_string(),
        code(&finding.code.to_string()),
        code(&location::shown(finding)),
        plain(&finding.message),
        plain(&finding.help),
    ]
}

/// A table after an empty line. The cells are Markdown already.
fn table(columns: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut text = format!("\n| {} |\n|{}\n", columns.join(" | "), " --- |".repeat(columns.len()));
    for row in rows {
        text += &format!("| {} |\n", row.join(" | "));
    }
    text
}

/// A text that stands for itself: no character of it is markup (CommonMark 0.31, "Backslash escapes" and "Entity
/// references"; GFM, "Tables" and "Autolinks").
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in escaped(text.as_bytes()).chars() {
        match c {
            '<' => plain.push_str("&lt;"),
            '>' => plain.push_str("&gt;"),
            '&' => plain.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' | '@' | ':' | '$' => {
                plain.push('\\');
                plain.push(c);
            }
            _ => plain.push(c),
        }
    }
    // `www.` begins a link without more ado.
    plain.replace("www.", "www\\.")
}

/// A name as code (CommonMark 0.31, "Code spans"): between more backticks than it has in a row, with a bar escaped as a
/// table wants it (GFM, "Tables").
fn code(name: &str) -> String {
    let name = escaped(name.as_bytes());
    if name.trim().is_empty() {
        return String::new();
    }
    let longest = name.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let space = if name.starts_with(['`', ' ']) || name.ends_with(['`', ' ']) {
        " "
    } else {
        ""
    };
    // A backslash before a bar would be taken for the bar's own.
    let name = name.replace('|', "\\|");
    format!("{fence}{space}{name}{space}{fence}")
}
